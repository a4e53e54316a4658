#include "engine-core/state/sqlite/sqlite_transaction.h"

#include "engine-core/base/time.h"

namespace lockstep::state::sqlite {
namespace {

std::unexpected<Error> Corrupt(std::string_view what, const Error& cause) {
  return Fail("STATE_STORE_CORRUPT", std::string(what) + ": the stored row cannot be read: " + cause.message);
}

// The first row of a query read by `read`, or nothing.
template <typename Reader>
auto One(Result<Statement> statement, Reader read)
    -> Result<std::optional<typename decltype(read(*statement))::value_type>> {
  using Value = typename decltype(read(*statement))::value_type;
  if (!statement) return Fail(std::move(statement).error());
  LOCKSTEP_ASSIGN(const bool row, statement->Step());
  if (!row) return std::optional<Value>();
  LOCKSTEP_ASSIGN(Value value, read(*statement));
  return std::optional<Value>(std::move(value));
}

template <typename Reader>
auto All(Result<Statement> statement, Reader read)
    -> Result<std::vector<typename decltype(read(*statement))::value_type>> {
  std::vector<typename decltype(read(*statement))::value_type> rows;
  if (!statement) return Fail(std::move(statement).error());
  while (true) {
    LOCKSTEP_ASSIGN(const bool row, statement->Step());
    if (!row) return rows;
    LOCKSTEP_ASSIGN(auto value, read(*statement));
    rows.push_back(std::move(value));
  }
}

// Binds one value by its type.
void Bind(Statement& statement, std::string_view text) { statement.Text(text); }
void Bind(Statement& statement, int64_t number) { statement.Int(number); }

template <typename... Values>
Result<Statement> Query(Connection& db, std::string_view sql, const Values&... values) {
  LOCKSTEP_ASSIGN(Statement statement, db.Prepare(sql));
  (Bind(statement, values), ...);
  return statement;
}

template <typename... Values>
Status Run(Connection& db, std::string_view sql, const Values&... values) {
  LOCKSTEP_ASSIGN(Statement statement, Query(db, sql, values...));
  return statement.Run();
}

Result<std::string> ReadText(const Statement& row) { return std::string(row.TextAt(0)); }

Result<Json> ReadJson(std::string_view text, std::string_view what) {
  auto json = ParseJson(text, {.max_depth = 64, .max_string_bytes = 16 * 1024 * 1024});
  if (!json) return Corrupt(what, json.error());
  return json;
}

Result<EventRecord> ReadEvent(const Statement& row) {
  auto record = ParseEventRecordText(row.TextAt(0));
  if (!record) return Corrupt("run_events", record.error());
  return record;
}

constexpr std::string_view kRunColumns =
    "SELECT m.run_id, m.tenant_id, m.project_id, m.environment_id, m.plan_id, m.plan_version, m.plan_sha256, "
    "m.provider, "
    "m.provider_ref, m.run_request_id, m.original_run_id, m.created_at, h.status FROM run_metadata m JOIN run_heads h "
    "ON "
    "h.run_id = m.run_id AND h.tenant_id = m.tenant_id ";

Result<RunMetadata> ReadRun(const Statement& row) {
  RunMetadata run;
  std::string RunMetadata::* const texts[] = {
      &RunMetadata::run_id,  &RunMetadata::tenant_id,    &RunMetadata::project_id,  &RunMetadata::environment_id,
      &RunMetadata::plan_id, &RunMetadata::plan_version, &RunMetadata::plan_sha256, &RunMetadata::provider};
  int column = 0;
  for (std::string RunMetadata::* const text : texts) run.*text = row.TextAt(column++);
  if (!row.IsNullAt(8)) {
    LOCKSTEP_ASSIGN(run.provider_ref, ReadJson(row.TextAt(8), "run_metadata"));
  }
  run.run_request_id = row.TextAt(9);
  run.original_run_id = row.TextAt(10);
  run.created_at = FormatUtcMillis(row.IntAt(11));
  const auto status = ParseRunStatus(row.TextAt(12));
  if (!status) return Fail("STATE_STORE_CORRUPT", "run_heads: unknown status " + std::string(row.TextAt(12)));
  run.status = *status;
  return run;
}

constexpr std::string_view kDecisionColumns =
    "SELECT d.decision, (SELECT o.outcome FROM signal_outcomes o WHERE o.signal_decision_id = d.signal_decision_id AND "
    "o.kind "
    "= 'approval' AND o.tenant_id = d.tenant_id), (SELECT o.outcome FROM signal_outcomes o WHERE o.signal_decision_id "
    "= "
    "d.signal_decision_id AND o.kind = 'result' AND o.tenant_id = d.tenant_id) FROM signal_decisions d ";

Result<SignalDecisionView> ReadDecision(const Statement& row) {
  SignalDecisionView view;
  LOCKSTEP_ASSIGN(const Json decision, ReadJson(row.TextAt(0), "signal_decisions"));
  LOCKSTEP_ASSIGN(view.decision, ParseSignalDecision(decision));
  if (!row.IsNullAt(1)) {
    LOCKSTEP_ASSIGN(const Json approval, ReadJson(row.TextAt(1), "signal_outcomes"));
    LOCKSTEP_ASSIGN(view.approval, ParseSignalApproval(approval));
  }
  if (!row.IsNullAt(2)) {
    LOCKSTEP_ASSIGN(const Json result, ReadJson(row.TextAt(2), "signal_outcomes"));
    LOCKSTEP_ASSIGN(view.result, ParseSignalEngineResult(result));
  }
  return view;
}

constexpr std::string_view kOutboxColumns =
    "SELECT id, tenant_id, run_id, run_seq, event_id, idempotency_key, record, attempts, backoff_step, last_error, "
    "next_attempt_at, claim_id, claimed_at, delivered_at FROM outbox ";
constexpr std::string_view kDeadLetterColumns =
    "SELECT id, tenant_id, run_id, run_seq, event_id, idempotency_key, record, attempts, backoff_step, last_error, "
    "next_attempt_at, dead_at FROM outbox_dead_letter ";

OutboxRecord ReadOutboxCommon(const Statement& row) {
  OutboxRecord record;
  record.id = row.TextAt(0);
  record.tenant_id = row.TextAt(1);
  record.run_id = row.TextAt(2);
  record.run_seq = row.IntAt(3);
  record.event_id = row.TextAt(4);
  record.idempotency_key = row.TextAt(5);
  record.record = row.TextAt(6);
  record.attempts = static_cast<int32_t>(row.IntAt(7));
  record.backoff_step = static_cast<int32_t>(row.IntAt(8));
  record.last_error = row.TextAt(9);
  record.next_attempt_at = row.IntAt(10);
  return record;
}

Result<OutboxRecord> ReadOutbox(const Statement& row) {
  OutboxRecord record = ReadOutboxCommon(row);
  record.claim_id = row.TextAt(11);
  record.claimed_at = row.OptionalIntAt(12);
  record.delivered_at = row.OptionalIntAt(13);
  return record;
}

Result<DeadLetter> ReadDeadLetter(const Statement& row) {
  return DeadLetter{.record = ReadOutboxCommon(row), .dead_at = row.IntAt(11)};
}

// Statement texts are cached by address and must live as long as the program.
#define LOCKSTEP_SQL(columns, rest)                                \
  []() -> std::string_view {                                       \
    static const std::string text = std::string(columns) + (rest); \
    return text;                                                   \
  }()

}  // namespace

SqliteTransaction::~SqliteTransaction() {
  if (db_.InTransaction()) (void)db_.Execute("ROLLBACK");
  owner_.Return(std::move(connection_));
}

Status SqliteTransaction::Commit() { return Run(db_, "COMMIT"); }

// ---- runs

Result<std::optional<RunMetadata>> SqliteTransaction::FindRun(std::string_view tenant, std::string_view run_id) {
  return One(Query(db_, LOCKSTEP_SQL(kRunColumns, "WHERE m.run_id = ? AND m.tenant_id = ?"), run_id, tenant), ReadRun);
}

Result<std::optional<RunMetadata>> SqliteTransaction::FindRunByRequestKey(std::string_view tenant,
                                                                          std::string_view key) {
  return One(Query(db_, LOCKSTEP_SQL(kRunColumns, "WHERE m.tenant_id = ? AND m.request_key = ?"), tenant, key),
             ReadRun);
}

Result<bool> SqliteTransaction::InsertRun(const RunMetadata& run, std::string_view request_key, UnixMillis created_at) {
  LOCKSTEP_ASSIGN(
      Statement insert,
      db_.Prepare("INSERT INTO run_metadata (run_id, tenant_id, project_id, environment_id, plan_id, plan_version, "
                  "plan_sha256, provider, run_request_id, request_key, original_run_id, created_at) VALUES "
                  "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"));
  insert.Text(run.run_id).Text(run.tenant_id).Text(run.project_id).Text(run.environment_id);
  insert.Text(run.plan_id).Text(run.plan_version).Text(run.plan_sha256).Text(run.provider);
  insert.TextOrNull(run.run_request_id).TextOrNull(request_key).TextOrNull(run.original_run_id).Int(created_at);
  LOCKSTEP_TRY(insert.Run());
  return db_.Changes() == 1;
}

Result<std::vector<RunMetadata>> SqliteTransaction::ListRuns(std::string_view tenant, std::optional<RunStatus> status,
                                                             const std::optional<RunPosition>& after, int64_t limit) {
  const int64_t time = after ? after->created_at : INT64_MAX;
  const std::string_view run_id = after ? std::string_view(after->run_id) : std::string_view();
  if (!status) {
    return All(
        Query(db_,
              LOCKSTEP_SQL(kRunColumns,
                           "WHERE m.tenant_id = ? AND (m.created_at, m.run_id) < (?, ?) ORDER BY m.created_at DESC, "
                           "m.run_id DESC LIMIT ?"),
              tenant, time, run_id, limit),
        ReadRun);
  }
  return All(Query(db_,
                   LOCKSTEP_SQL(kRunColumns,
                                "WHERE m.tenant_id = ? AND (m.created_at, m.run_id) < (?, ?) AND h.status = ? ORDER BY "
                                "m.created_at DESC, m.run_id DESC LIMIT ?"),
                   tenant, time, run_id, Name(*status), limit),
             ReadRun);
}

Status SqliteTransaction::SetProviderRef(std::string_view tenant, std::string_view run_id, const Json& provider_ref) {
  return Run(db_, "UPDATE run_metadata SET provider_ref = ? WHERE run_id = ? AND tenant_id = ?",
             CanonicalJson(provider_ref), run_id, tenant);
}

// ---- heads, events, snapshots

Result<HeadRow> SqliteTransaction::LoadHead(std::string_view tenant, std::string_view run_id) {
  const auto read = [](const Statement& row) -> Result<HeadRow> {
    const auto status = ParseRunStatus(row.TextAt(2));
    if (!status) return Fail("STATE_STORE_CORRUPT", "run_heads: unknown status " + std::string(row.TextAt(2)));
    return HeadRow{.last_seq = row.IntAt(0), .last_persisted_at = row.IntAt(1), .status = *status};
  };
  LOCKSTEP_ASSIGN(
      const std::optional<HeadRow> head,
      One(Query(db_, "SELECT last_seq, last_persisted_at, status FROM run_heads WHERE run_id = ? AND tenant_id = ?",
                run_id, tenant),
          read));
  return head.value_or(HeadRow{});
}

Status SqliteTransaction::StoreHead(std::string_view tenant, std::string_view run_id, const HeadRow& head) {
  return Run(
      db_,
      "INSERT INTO run_heads (run_id, tenant_id, last_seq, last_persisted_at, status) VALUES (?, ?, ?, ?, ?) ON "
      "CONFLICT "
      "(run_id) DO UPDATE SET last_seq = excluded.last_seq, last_persisted_at = excluded.last_persisted_at, status = "
      "excluded.status WHERE tenant_id = excluded.tenant_id",
      run_id, tenant, head.last_seq, head.last_persisted_at, Name(head.status));
}

Result<std::optional<EventRecord>> SqliteTransaction::FindEventByKey(std::string_view tenant, std::string_view run_id,
                                                                     std::string_view idempotency_key) {
  return One(Query(db_, "SELECT record FROM run_events WHERE run_id = ? AND idempotency_key = ? AND tenant_id = ?",
                   run_id, idempotency_key, tenant),
             ReadEvent);
}

Status SqliteTransaction::InsertEvent(const EventRecord& record, std::string_view text) {
  LOCKSTEP_ASSIGN(
      Statement insert,
      db_.Prepare("INSERT INTO run_events (run_id, run_seq, tenant_id, idempotency_key, event_id, event_type, step_id, "
                  "logical_attempt_id, engine_attempt_id, emitted_at, persisted_at, record) VALUES "
                  "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.Text(record.run_id)
      .Int(record.run_seq)
      .Text(record.tenant_id)
      .Text(record.idempotency_key)
      .Text(record.event_id);
  insert.Text(record.event_type)
      .TextOrNull(record.step_id)
      .Int(record.logical_attempt_id)
      .Int(record.engine_attempt_id);
  insert.Text(record.emitted_at).Text(record.persisted_at).Text(text);
  return insert.Run();
}

Result<std::vector<EventRecord>> SqliteTransaction::ReadEvents(std::string_view tenant, std::string_view run_id,
                                                               int64_t after_seq, int64_t limit) {
  return All(
      Query(db_,
            "SELECT record FROM run_events WHERE run_id = ? AND run_seq > ? AND tenant_id = ? ORDER BY run_seq LIMIT ?",
            run_id, after_seq, tenant, limit),
      ReadEvent);
}

Result<std::optional<Snapshot>> SqliteTransaction::LoadSnapshot(std::string_view tenant, std::string_view run_id) {
  const auto read_run = [](const Statement& row) -> Result<Snapshot> {
    LOCKSTEP_ASSIGN(const Json json, ReadJson(row.TextAt(0), "run_snapshots"));
    auto run = ParseStoredRun(json);
    if (!run) return Corrupt("run_snapshots", run.error());
    return run;
  };
  LOCKSTEP_ASSIGN(
      std::optional<Snapshot> snapshot,
      One(Query(db_, "SELECT snapshot FROM run_snapshots WHERE run_id = ? AND tenant_id = ?", run_id, tenant),
          read_run));
  if (!snapshot) return snapshot;
  const auto read_step = [](const Statement& row) -> Result<std::pair<std::string, StepState>> {
    LOCKSTEP_ASSIGN(const Json json, ReadJson(row.TextAt(1), "run_snapshot_steps"));
    auto step = ParseStoredStep(row.TextAt(0), json);
    if (!step) return Corrupt("run_snapshot_steps", step.error());
    return std::pair(std::string(row.TextAt(0)), std::move(*step));
  };
  LOCKSTEP_ASSIGN(
      auto steps,
      All(Query(db_, "SELECT step_id, step FROM run_snapshot_steps WHERE run_id = ? AND tenant_id = ?", run_id, tenant),
          read_step));
  for (auto& [id, step] : steps) AddStoredStep(&*snapshot, std::move(id), std::move(step));
  return snapshot;
}

Status SqliteTransaction::StoreSnapshot(const Snapshot& snapshot, const std::set<std::string>& changed_steps) {
  for (const std::string& id : changed_steps) {
    const std::string step = CanonicalJson(StoredStepJson(snapshot.steps.find(id)->second));
    LOCKSTEP_TRY(Run(
        db_,
        "INSERT INTO run_snapshot_steps (run_id, step_id, tenant_id, step) VALUES (?, ?, ?, ?) ON CONFLICT (run_id, "
        "step_id) DO UPDATE SET step = excluded.step WHERE tenant_id = excluded.tenant_id",
        snapshot.run_id, id, snapshot.tenant_id, step));
  }
  return Run(db_,
             "INSERT INTO run_snapshots (run_id, tenant_id, last_event_seq, snapshot) VALUES (?, ?, ?, ?) ON CONFLICT "
             "(run_id) DO "
             "UPDATE SET last_event_seq = excluded.last_event_seq, snapshot = excluded.snapshot WHERE tenant_id = "
             "excluded.tenant_id",
             snapshot.run_id, snapshot.tenant_id, snapshot.last_event_seq, CanonicalJson(StoredRunJson(snapshot)));
}

// ---- identity

Result<std::optional<std::string>> SqliteTransaction::FindEventId(std::string_view tenant, std::string_view run_id,
                                                                  std::string_view idempotency_key) {
  return One(
      Query(db_, "SELECT event_id FROM event_id_registry WHERE tenant_id = ? AND run_id = ? AND idempotency_key = ?",
            tenant, run_id, idempotency_key),
      ReadText);
}

Status SqliteTransaction::InsertEventId(std::string_view tenant, std::string_view run_id,
                                        std::string_view idempotency_key, std::string_view event_id) {
  return Run(db_, "INSERT INTO event_id_registry (tenant_id, run_id, idempotency_key, event_id) VALUES (?, ?, ?, ?)",
             tenant, run_id, idempotency_key, event_id);
}

Result<std::optional<std::string>> SqliteTransaction::FindPlanDigest(std::string_view tenant, std::string_view plan_id,
                                                                     std::string_view plan_version) {
  return One(Query(db_, "SELECT sha256 FROM plan_digests WHERE tenant_id = ? AND plan_id = ? AND plan_version = ?",
                   tenant, plan_id, plan_version),
             ReadText);
}

Status SqliteTransaction::InsertPlanDigest(std::string_view tenant, std::string_view plan_id,
                                           std::string_view plan_version, std::string_view sha256) {
  return Run(db_, "INSERT INTO plan_digests (tenant_id, plan_id, plan_version, sha256) VALUES (?, ?, ?, ?)", tenant,
             plan_id, plan_version, sha256);
}

Result<std::optional<std::string>> SqliteTransaction::FindPlan(std::string_view tenant, std::string_view sha256) {
  return One(Query(db_, "SELECT bytes FROM plans WHERE tenant_id = ? AND sha256 = ?", tenant, sha256),
             [](const Statement& row) -> Result<std::string> { return std::string(row.BlobAt(0)); });
}

Status SqliteTransaction::InsertPlan(std::string_view tenant, std::string_view sha256, std::string_view bytes) {
  LOCKSTEP_ASSIGN(Statement insert, db_.Prepare("INSERT INTO plans (tenant_id, sha256, bytes) VALUES (?, ?, ?)"));
  return insert.Text(tenant).Text(sha256).Blob(bytes).Run();
}

// ---- signals

Result<int32_t> SqliteTransaction::LastDecisionSeq(std::string_view tenant, std::string_view run_id) {
  LOCKSTEP_ASSIGN(
      Statement last,
      Query(db_, "SELECT coalesce(max(decision_seq), 0) FROM signal_decisions WHERE run_id = ? AND tenant_id = ?",
            run_id, tenant));
  LOCKSTEP_TRY(last.Step());
  return static_cast<int32_t>(last.IntAt(0));
}

Result<bool> SqliteTransaction::InsertDecision(std::string_view tenant, const SignalDecision& decision) {
  // Both ids are unique across tenants; the existence check tells nothing else about the other row.
  LOCKSTEP_ASSIGN(
      Statement insert,
      db_.Prepare("INSERT INTO signal_decisions (signal_decision_id, tenant_id, run_id, signal_id, decision_seq, "
                  "policy_decision_id, recorded_at, decision) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE NOT EXISTS "
                  "(SELECT 1 FROM signal_decisions WHERE signal_decision_id = ?1 OR policy_decision_id = ?6)"));
  insert.Text(decision.signal_decision_id).Text(tenant).Text(decision.run_id).Text(decision.signal_id);
  insert.Int(decision.decision_seq).Text(decision.policy_decision_id).Text(decision.audit.timestamp);
  insert.Text(CanonicalJson(ToJson(decision)));
  LOCKSTEP_TRY(insert.Run());
  return db_.Changes() == 1;
}

Result<std::optional<SignalDecisionView>> SqliteTransaction::FindDecision(std::string_view tenant,
                                                                          std::string_view run_id,
                                                                          std::string_view signal_id) {
  return One(Query(db_, LOCKSTEP_SQL(kDecisionColumns, "WHERE d.tenant_id = ? AND d.run_id = ? AND d.signal_id = ?"),
                   tenant, run_id, signal_id),
             ReadDecision);
}

Result<std::optional<SignalDecisionView>> SqliteTransaction::FindDecisionById(std::string_view tenant,
                                                                              std::string_view id) {
  return One(
      Query(db_, LOCKSTEP_SQL(kDecisionColumns, "WHERE d.tenant_id = ? AND d.signal_decision_id = ?"), tenant, id),
      ReadDecision);
}

Result<std::optional<SignalDecisionView>> SqliteTransaction::FindDecisionByPolicy(std::string_view tenant,
                                                                                  std::string_view id) {
  return One(
      Query(db_, LOCKSTEP_SQL(kDecisionColumns, "WHERE d.tenant_id = ? AND d.policy_decision_id = ?"), tenant, id),
      ReadDecision);
}

Result<std::vector<SignalDecisionView>> SqliteTransaction::ListDecisions(std::string_view tenant,
                                                                         std::string_view run_id) {
  return All(
      Query(db_, LOCKSTEP_SQL(kDecisionColumns, "WHERE d.tenant_id = ? AND d.run_id = ? ORDER BY d.decision_seq"),
            tenant, run_id),
      ReadDecision);
}

Status SqliteTransaction::InsertOutcome(std::string_view tenant, std::string_view id, std::string_view kind,
                                        const Json& outcome) {
  return Run(db_, "INSERT INTO signal_outcomes (signal_decision_id, kind, tenant_id, outcome) VALUES (?, ?, ?, ?)", id,
             kind, tenant, CanonicalJson(outcome));
}
Status SqliteTransaction::InsertApproval(std::string_view tenant, std::string_view id, const SignalApproval& approval) {
  return InsertOutcome(tenant, id, "approval", ToJson(approval));
}
Status SqliteTransaction::InsertResult(std::string_view tenant, std::string_view id, const SignalEngineResult& result) {
  return InsertOutcome(tenant, id, "result", ToJson(result));
}

// ---- outbox

Status SqliteTransaction::InsertOutbox(const OutboxRecord& record) {
  LOCKSTEP_ASSIGN(
      Statement insert,
      db_.Prepare("INSERT INTO outbox (run_id, run_seq, tenant_id, id, event_id, idempotency_key, record, attempts, "
                  "backoff_step, last_error, claim_id, claimed_at, next_attempt_at, delivered_at) VALUES "
                  "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.Text(record.run_id).Int(record.run_seq).Text(record.tenant_id).Text(record.id).Text(record.event_id);
  insert.Text(record.idempotency_key)
      .Text(record.record)
      .Int(record.attempts)
      .Int(record.backoff_step)
      .Text(record.last_error);
  insert.Text(record.claim_id).IntOrNull(record.claimed_at).Int(record.next_attempt_at).IntOrNull(record.delivered_at);
  return insert.Run();
}

Result<std::optional<OutboxRecord>> SqliteTransaction::FindOutbox(std::string_view tenant, std::string_view run_id,
                                                                  int64_t run_seq) {
  return One(Query(db_, LOCKSTEP_SQL(kOutboxColumns, "WHERE run_id = ? AND run_seq = ? AND tenant_id = ?"), run_id,
                   run_seq, tenant),
             ReadOutbox);
}

Status SqliteTransaction::UpdateOutbox(const OutboxRecord& record) {
  LOCKSTEP_ASSIGN(
      Statement update,
      db_.Prepare("UPDATE outbox SET attempts = ?, backoff_step = ?, last_error = ?, claim_id = ?, claimed_at = ?, "
                  "next_attempt_at = ?, delivered_at = ? WHERE run_id = ? AND run_seq = ? AND tenant_id = ?"));
  update.Int(record.attempts).Int(record.backoff_step).Text(record.last_error).Text(record.claim_id);
  update.IntOrNull(record.claimed_at).Int(record.next_attempt_at).IntOrNull(record.delivered_at);
  return update.Text(record.run_id).Int(record.run_seq).Text(record.tenant_id).Run();
}

Status SqliteTransaction::DeleteOutbox(std::string_view tenant, std::string_view run_id, int64_t run_seq) {
  return Run(db_, "DELETE FROM outbox WHERE run_id = ? AND run_seq = ? AND tenant_id = ?", run_id, run_seq, tenant);
}

Result<std::vector<OutboxRecord>> SqliteTransaction::FindClaimable(std::string_view tenant, UnixMillis now,
                                                                   UnixMillis lease_start, int64_t limit) {
  return All(Query(db_,
                   LOCKSTEP_SQL(kOutboxColumns,
                                "WHERE tenant_id = ? AND ready = 1 AND next_attempt_at <= ? AND (claimed_at IS NULL OR "
                                "claimed_at <= ?) ORDER BY next_attempt_at, run_id LIMIT ?"),
                   tenant, now, lease_start, limit),
             ReadOutbox);
}

Status SqliteTransaction::PromoteOutbox(std::string_view tenant, std::string_view run_id) {
  LOCKSTEP_ASSIGN(Statement lowest,
                  Query(db_,
                        "SELECT run_seq, ready FROM outbox WHERE tenant_id = ? AND run_id = ? AND delivered_at IS "
                        "NULL ORDER BY run_seq LIMIT 1",
                        tenant, run_id));
  LOCKSTEP_ASSIGN(const bool pending, lowest.Step());
  const int64_t run_seq = pending ? lowest.IntAt(0) : 0;
  if (pending && lowest.IntAt(1) == 1) {
    // The usual case: the head of the run is ready already. A later record can be ready only after a requeue below it,
    // which makes the lowest one not ready and takes the way below.
    return Status{};
  }
  LOCKSTEP_TRY(
      Run(db_, "UPDATE outbox SET ready = 0 WHERE tenant_id = ? AND run_id = ? AND ready = 1", tenant, run_id));
  if (!pending) return Status{};
  return Run(db_, "UPDATE outbox SET ready = 1 WHERE run_id = ? AND run_seq = ? AND tenant_id = ?", run_id, run_seq,
             tenant);
}

Status SqliteTransaction::InsertDeadLetter(const DeadLetter& letter) {
  const OutboxRecord& record = letter.record;
  LOCKSTEP_ASSIGN(
      Statement insert,
      db_.Prepare("INSERT INTO outbox_dead_letter (run_id, run_seq, tenant_id, id, event_id, idempotency_key, record, "
                  "attempts, backoff_step, last_error, next_attempt_at, dead_at) VALUES "
                  "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.Text(record.run_id).Int(record.run_seq).Text(record.tenant_id).Text(record.id).Text(record.event_id);
  insert.Text(record.idempotency_key)
      .Text(record.record)
      .Int(record.attempts)
      .Int(record.backoff_step)
      .Text(record.last_error);
  return insert.Int(record.next_attempt_at).Int(letter.dead_at).Run();
}

Result<std::optional<DeadLetter>> SqliteTransaction::FindDeadLetter(std::string_view tenant, std::string_view run_id,
                                                                    int64_t run_seq) {
  return One(Query(db_, LOCKSTEP_SQL(kDeadLetterColumns, "WHERE run_id = ? AND run_seq = ? AND tenant_id = ?"), run_id,
                   run_seq, tenant),
             ReadDeadLetter);
}

Status SqliteTransaction::DeleteDeadLetter(std::string_view tenant, std::string_view run_id, int64_t run_seq) {
  return Run(db_, "DELETE FROM outbox_dead_letter WHERE run_id = ? AND run_seq = ? AND tenant_id = ?", run_id, run_seq,
             tenant);
}

Result<std::vector<DeadLetter>> SqliteTransaction::ListDeadLetters(std::string_view tenant,
                                                                   std::string_view after_run_id, int64_t after_run_seq,
                                                                   int64_t limit) {
  return All(Query(db_,
                   LOCKSTEP_SQL(kDeadLetterColumns,
                                "WHERE tenant_id = ? AND (run_id, run_seq) > (?, ?) ORDER BY run_id, run_seq LIMIT ?"),
                   tenant, after_run_id, after_run_seq, limit),
             ReadDeadLetter);
}

}  // namespace lockstep::state::sqlite
