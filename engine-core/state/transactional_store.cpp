#include "engine-core/state/transactional_store.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/base/ids.h"
#include "engine-core/base/sha256.h"
#include "engine-core/state/catalog.h"
#include "engine-core/state/keys.h"
#include "engine-core/state/outbox_policy.h"
#include "engine-core/state/projector.h"

namespace lockstep::state {
namespace {

constexpr size_t kCachedRuns = 256;

Status CheckScope(const TenantScope& scope) {
  if (IsIdentifier(scope.tenant_id())) return {};
  return Fail("ScopeRequiredError", "state store: expected a tenant id, found none or a malformed one");
}

std::unexpected<Error> RunNotFound(std::string_view run_id) {
  return Fail("RUN_NOT_FOUND", "run " + std::string(TruncateUtf8(run_id, 128)) + ": no such run of this tenant");
}

std::unexpected<Error> SignalNotFound(std::string_view id) {
  return Fail("SIGNAL_NOT_FOUND", "signal decision " + std::string(TruncateUtf8(id, 128)) + ": no such decision");
}

std::unexpected<Error> OutboxNotFound(std::string_view id) {
  return Fail("OUTBOX_RECORD_NOT_FOUND", "outbox record " + std::string(TruncateUtf8(id, 160)) + ": no such record");
}

Status CheckLimit(int64_t limit, int64_t most) {
  if (limit >= 1 && limit <= most) return {};
  return Fail("VALIDATION_ERROR", "limit: expected 1 to " + std::to_string(most) + ", found " + std::to_string(limit));
}

// What a producer can get wrong on its own; needs no store.
Result<std::vector<EventWrite>> CheckWrites(std::string_view run_id, std::span<const EventWrite> writes) {
  if (writes.empty() || writes.size() > kMaxBatchEvents) {
    return Fail(
        SchemaError("events", "1 to " + std::to_string(kMaxBatchEvents) + " events", std::to_string(writes.size())));
  }
  std::vector<EventWrite> checked(writes.begin(), writes.end());
  for (EventWrite& write : checked) {
    LOCKSTEP_TRY(Validate(write));
    if (write.run_id != run_id) return Fail(SchemaError("runId", std::string(run_id), write.run_id));
    LOCKSTEP_TRY(CheckKey(write));
    NormalizeNumbers(&write.payload);
    NormalizeNumbers(&write.meta);
  }
  return checked;
}

// An event belongs to the run it is appended to, whole.
Status CheckIdentity(const RunMetadata& run, const EventWrite& write) {
  struct Pair {
    std::string_view name;
    const std::string& expected;
    const std::string& found;
  };
  const Pair pairs[] = {{"tenantId", run.tenant_id, write.tenant_id},
                        {"projectId", run.project_id, write.project_id},
                        {"environmentId", run.environment_id, write.environment_id},
                        {"planId", run.plan_id, write.plan_id},
                        {"planVersion", run.plan_version, write.plan_version}};
  for (const Pair& pair : pairs) {
    if (pair.expected == pair.found) continue;
    return Fail(SchemaError(pair.name, pair.expected + " as in run " + run.run_id, pair.found));
  }
  return {};
}

// The stored row wins whatever a repeat carries; other content is worth an alert. The event id does not count (the
// caller adopts the stored one), nor does `meta` (no effect on keys or state).
bool SameContent(const EventRecord& stored, const EventWrite& repeat) {
  EventWrite a = stored;
  EventWrite b = repeat;
  a.event_id = b.event_id;
  a.meta = b.meta;
  return a == b;
}

AppendResult Answer(const EventRecord& record, bool idempotent) {
  return {.event_id = record.event_id,
          .run_seq = record.run_seq,
          .persisted_at = record.persisted_at,
          .idempotent = idempotent,
          .persisted = !idempotent};
}

OutboxRecord OutboxRowFor(const EventRecord& record, std::string text, UnixMillis now) {
  OutboxRecord row;
  row.id = OutboxId(record.run_id, record.run_seq);
  row.tenant_id = record.tenant_id;
  row.run_id = record.run_id;
  row.run_seq = record.run_seq;
  row.event_id = record.event_id;
  row.idempotency_key = record.idempotency_key;
  row.record = std::move(text);
  row.next_attempt_at = now;
  return row;
}

Status CheckMetadata(const TenantScope& scope, const RunMetadata& run) {
  struct Rule {
    std::string_view name;
    const std::string& text;
    bool ok;
  };
  const Rule rules[] = {
      {"runId", run.run_id, IsIdentifier(run.run_id)},
      {"tenantId", run.tenant_id, run.tenant_id == scope.tenant_id()},
      {"projectId", run.project_id, IsIdentifier(run.project_id)},
      {"environmentId", run.environment_id, IsIdentifier(run.environment_id)},
      {"planId", run.plan_id, IsIdentifier(run.plan_id)},
      {"planVersion", run.plan_version, IsPlanVersion(run.plan_version)},
      {"planSha256", run.plan_sha256, IsLowerHex(run.plan_sha256, 64)},
      {"provider", run.provider, !run.provider.empty() && run.provider.size() <= 64},
      {"runRequestId", run.run_request_id, run.run_request_id.empty() || IsIdentifier(run.run_request_id)},
      {"originalRunId", run.original_run_id, run.original_run_id.empty() || IsIdentifier(run.original_run_id)}};
  for (const Rule& rule : rules) {
    if (!rule.ok) return Fail(SchemaError(rule.name, "a well-formed value", "\"" + rule.text + "\""));
  }
  return {};
}

// Cursors are opaque: the position of the last run of a page, in hex.
std::string MakeCursor(const RunMetadata& run) { return HexEncode(run.created_at + "|" + run.run_id); }
Result<ITransaction::RunPosition> ReadCursor(std::string_view cursor) {
  const auto text = HexDecode(cursor);
  const size_t bar = text ? text->find('|') : std::string::npos;
  if (bar != std::string::npos) {
    const auto time = ParseUtcMillis(std::string_view(*text).substr(0, bar));
    std::string run_id = text->substr(bar + 1);
    if (time && IsIdentifier(run_id)) return ITransaction::RunPosition{*time, std::move(run_id)};
  }
  return Fail("VALIDATION_ERROR", "cursor: expected one that a list of runs returned");
}

std::string RequestKeyOf(const RunMetadata& run) {
  if (run.run_request_id.empty()) return {};
  return RunRequestKey(run.tenant_id, run.project_id, run.environment_id, run.plan_id, run.plan_version,
                       run.run_request_id);
}

// Numbers the audit events of a decision and makes their keys.
std::vector<EventWrite> NumberAuditEvents(std::span<const EventWrite> events, int32_t decision_seq) {
  std::vector<EventWrite> numbered(events.begin(), events.end());
  for (EventWrite& event : numbered) {
    event.logical_attempt_id = decision_seq;
    if (event.event_type != "AlertEscalated") event.payload.Set("decisionSeq", decision_seq);
    event.idempotency_key = KeyOf(event);
  }
  return numbered;
}

Status CheckAuditEvents(SignalVerdict verdict, std::span<const EventWrite> events) {
  const std::string_view first = verdict == SignalVerdict::kAccepted   ? "SignalAccepted"
                                 : verdict == SignalVerdict::kRejected ? "SignalRejected"
                                                                       : "";
  const std::string found = events.empty() ? "nothing" : events.front().event_type;
  if (events.empty() != first.empty() || (!events.empty() && found != first)) {
    return Fail(SchemaError("auditEvents[0]", first.empty() ? "nothing" : first, found));
  }
  for (size_t i = 0; i < events.size(); ++i) {
    const bool allowed = i == 0 || events[i].event_type == "AlertEscalated";
    if (!allowed)
      return Fail(SchemaError("auditEvents[" + std::to_string(i) + "]", "AlertEscalated", events[i].event_type));
    if (!events[i].payload.is_object()) return Fail(SchemaError("payload", "an object", events[i].payload.KindName()));
  }
  return {};
}

// A decision that cannot be stored is not applied; the caller learns that, not which part of the store failed.
template <typename T>
Result<T> AsPersistFailure(Result<T> result) {
  if (result || (result.error().code != "STATE_STORE_TIMEOUT" && result.error().code != "STATE_STORE_UNAVAILABLE"))
    return result;
  return Fail(Error("SIGNAL_PERSIST_FAILED", "signal decision not stored: " + result.error().message, true)
                  .With("cause", result.error().code));
}

bool SameVerdict(const SignalApproval& stored, const SignalApproval& repeat) {
  return stored.approved == repeat.approved && stored.approved_by == repeat.approved_by;
}

}  // namespace

Json ToJson(const RunMetadata& run) {
  Json json = Json::MakeObject({{"runId", run.run_id},
                                {"tenantId", run.tenant_id},
                                {"projectId", run.project_id},
                                {"environmentId", run.environment_id},
                                {"planId", run.plan_id},
                                {"planVersion", run.plan_version},
                                {"planSha256", run.plan_sha256},
                                {"provider", run.provider},
                                {"createdAt", run.created_at},
                                {"status", Name(run.status)}});
  if (!run.provider_ref.is_null()) json.Set("providerRef", run.provider_ref);
  if (!run.run_request_id.empty()) json.Set("runRequestId", run.run_request_id);
  if (!run.original_run_id.empty()) json.Set("originalRunId", run.original_run_id);
  return json;
}

Json ToJson(const AppendResult& result) {
  return Json::MakeObject({{"eventId", result.event_id},
                           {"runSeq", result.run_seq},
                           {"persistedAt", result.persisted_at},
                           {"idempotent", result.idempotent},
                           {"persisted", result.persisted}});
}

TransactionalStore::TransactionalStore(std::unique_ptr<IBackend> backend, StoreServices services)
    : backend_(std::move(backend)), services_(services), cache_(kCachedRuns) {
  LOCKSTEP_CHECK(services_.clock != nullptr && services_.ids != nullptr, "a store needs a clock and an id generator");
}
TransactionalStore::~TransactionalStore() = default;

void TransactionalStore::Raise(const std::vector<Alert>& alerts) {
  if (services_.alerts == nullptr) return;
  for (const Alert& alert : alerts) services_.alerts->Raise(alert);
}

UnixMillis TransactionalStore::StoreTime(const HeadRow& head) const {
  return std::max(services_.clock->Now(), head.last_persisted_at);
}

// ---- appends

Result<CachedSnapshot> TransactionalStore::LoadState(ITransaction& tx, std::string_view tenant, std::string_view run_id,
                                                     int64_t head_seq) {
  if (head_seq == 0) return CachedSnapshot{};
  if (auto cached = cache_.Take(run_id, head_seq)) return std::move(*cached);
  LOCKSTEP_ASSIGN(std::optional<Snapshot> stored, tx.LoadSnapshot(tenant, run_id));
  if (!stored || stored->last_event_seq != head_seq) {
    return Fail("STATE_STORE_CORRUPT", "run " + std::string(run_id) + ": expected a snapshot at " +
                                           std::to_string(head_seq) + ", found " +
                                           (stored ? "one at " + std::to_string(stored->last_event_seq) : "none"));
  }
  std::string hash = SnapshotHash(*stored);
  return CachedSnapshot{std::move(*stored), std::move(hash)};
}

Result<TransactionalStore::Batch> TransactionalStore::OpenBatch(ITransaction& tx, const TenantScope& scope,
                                                                std::string_view run_id) {
  LOCKSTEP_ASSIGN(std::optional<RunMetadata> run, tx.FindRun(scope.tenant_id(), run_id));
  if (!run) return RunNotFound(run_id);
  Batch batch;
  batch.run = std::move(*run);
  LOCKSTEP_ASSIGN(batch.head, tx.LoadHead(scope.tenant_id(), run_id));
  LOCKSTEP_ASSIGN(batch.state, LoadState(tx, scope.tenant_id(), run_id, batch.head.last_seq));
  return batch;
}

Result<std::optional<EventRecord>> TransactionalStore::FindDuplicate(ITransaction& tx, const Batch& batch,
                                                                     const EventWrite& write) {
  const auto earlier = std::ranges::find(batch.fresh, write.idempotency_key, &EventRecord::idempotency_key);
  if (earlier != batch.fresh.end()) return *earlier;
  return tx.FindEventByKey(batch.run.tenant_id, batch.run.run_id, write.idempotency_key);
}

Status TransactionalStore::Decide(ITransaction& tx, std::span<const EventWrite> writes, Batch* batch) {
  for (const EventWrite& write : writes) {
    LOCKSTEP_ASSIGN(const std::optional<EventRecord> stored, FindDuplicate(tx, *batch, write));
    if (stored) {
      batch->results.push_back(Answer(*stored, true));
      if (!SameContent(*stored, write))
        batch->alerts.push_back(AlertAbout(kAlertContentMismatch, Severity::kP3, *stored));
      continue;
    }
    LOCKSTEP_TRY(CheckIdentity(batch->run, write));
    if (IsTerminal(batch->head.status) && IsLifecycleEvent(write.event_type)) {
      return Fail(Error("INVALID_TRANSITION", "run " + batch->run.run_id + ": expected no " + write.event_type +
                                                  " after " + std::string(Name(batch->head.status)))
                      .With("actualState", std::string(Name(batch->head.status)))
                      .With("attemptedEventType", write.event_type));
    }
    EventRecord record;
    static_cast<EventWrite&>(record) = write;
    record.run_seq = ++batch->head.last_seq;
    batch->head.last_persisted_at = StoreTime(batch->head);
    record.persisted_at = FormatUtcMillis(batch->head.last_persisted_at);
    ApplyOutcome outcome = Project(&batch->state.snapshot, record);
    if (!outcome.changed_step.empty()) batch->changed_steps.insert(std::move(outcome.changed_step));
    if (outcome.alert) batch->alerts.push_back(std::move(*outcome.alert));
    if (outcome.causal_inversion) batch->alerts.push_back(AlertAbout(kAlertCausalViolation, Severity::kP3, record));
    batch->head.status = batch->state.snapshot.status;
    batch->results.push_back(Answer(record, false));
    batch->fresh.push_back(std::move(record));
  }
  if (!batch->fresh.empty()) batch->state.hash = SnapshotHash(batch->state.snapshot);
  return {};
}

Status TransactionalStore::WriteBatch(ITransaction& tx, const Batch& batch) {
  if (batch.fresh.empty()) return {};
  for (const EventRecord& record : batch.fresh) {
    std::string text = CanonicalJson(ToJson(record));
    LOCKSTEP_TRY(tx.InsertEvent(record, text));
    LOCKSTEP_TRY(tx.InsertOutbox(OutboxRowFor(record, std::move(text), batch.head.last_persisted_at)));
  }
  LOCKSTEP_TRY(tx.PromoteOutbox(batch.run.tenant_id, batch.run.run_id));
  LOCKSTEP_TRY(tx.StoreSnapshot(batch.state.snapshot, batch.changed_steps));
  return tx.StoreHead(batch.run.tenant_id, batch.run.run_id, batch.head);
}

BatchResult TransactionalStore::Finish(Batch batch) {
  BatchResult result{
      .events = std::move(batch.results), .head_seq = batch.head.last_seq, .snapshot_hash = batch.state.hash};
  cache_.Put(std::move(batch.state));
  Raise(batch.alerts);
  return result;
}

Result<BatchResult> TransactionalStore::AppendEvents(const TenantScope& scope, std::string_view run_id,
                                                     std::span<const EventWrite> events) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::vector<EventWrite> writes, CheckWrites(run_id, events));
  Batch batch;
  {
    LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
    LOCKSTEP_ASSIGN(batch, OpenBatch(*tx, scope, run_id));
    LOCKSTEP_TRY(Decide(*tx, writes, &batch));
    LOCKSTEP_TRY(WriteBatch(*tx, batch));
    if (!batch.fresh.empty()) LOCKSTEP_TRY(tx->Commit());
  }
  return Finish(std::move(batch));
}

Result<BatchResult> TransactionalStore::BootstrapRun(const TenantScope& scope, const RunMetadata& run,
                                                     std::span<const EventWrite> first_events) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_TRY(CheckMetadata(scope, run));
  LOCKSTEP_ASSIGN(const std::vector<EventWrite> writes, CheckWrites(run.run_id, first_events));
  const std::string request_key = RequestKeyOf(run);
  Batch batch;
  batch.run = run;
  {
    LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
    if (!request_key.empty()) {
      LOCKSTEP_ASSIGN(const auto other, tx->FindRunByRequestKey(run.tenant_id, request_key));
      if (other) {
        return Fail(
            Error("RUN_ALREADY_EXISTS", "request " + run.run_request_id + ": run " + other->run_id + " answers it")
                .With("runId", other->run_id));
      }
    }
    bool digest_known = false;
    LOCKSTEP_TRY(CheckDigest(*tx, run.tenant_id, run.plan_id, run.plan_version, run.plan_sha256, &digest_known));
    LOCKSTEP_TRY(Decide(*tx, writes, &batch));
    const UnixMillis created_at = batch.head.last_persisted_at;
    batch.run.created_at = FormatUtcMillis(created_at);
    batch.run.provider_ref = Json();
    LOCKSTEP_ASSIGN(const bool inserted, tx->InsertRun(batch.run, request_key, created_at));
    if (!inserted) return Fail("RUN_ALREADY_EXISTS", "run " + run.run_id + ": the id is in use");
    if (!digest_known)
      LOCKSTEP_TRY(tx->InsertPlanDigest(run.tenant_id, run.plan_id, run.plan_version, run.plan_sha256));
    LOCKSTEP_TRY(WriteBatch(*tx, batch));
    LOCKSTEP_TRY(tx->Commit());
  }
  return Finish(std::move(batch));
}

// ---- reads

Result<std::vector<EventRecord>> TransactionalStore::FetchEvents(const TenantScope& scope, std::string_view run_id,
                                                                 int64_t after_seq, int64_t limit) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_TRY(CheckLimit(limit, kMaxFetchLimit));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  return tx->ReadEvents(scope.tenant_id(), run_id, after_seq, limit);
}

Result<int64_t> TransactionalStore::HeadSeq(const TenantScope& scope, std::string_view run_id) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  LOCKSTEP_ASSIGN(const HeadRow head, tx->LoadHead(scope.tenant_id(), run_id));
  return head.last_seq;
}

Result<std::optional<Snapshot>> TransactionalStore::GetSnapshot(const TenantScope& scope, std::string_view run_id) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  LOCKSTEP_ASSIGN(const HeadRow head, tx->LoadHead(scope.tenant_id(), run_id));
  if (head.last_seq == 0) return std::optional<Snapshot>();
  if (auto cached = cache_.Copy(run_id, head.last_seq)) return std::optional<Snapshot>(std::move(cached->snapshot));
  return tx->LoadSnapshot(scope.tenant_id(), run_id);
}

namespace {

Result<std::vector<EventRecord>> ReadAll(ITransaction& tx, const std::string& tenant, std::string_view run_id,
                                         int64_t after) {
  std::vector<EventRecord> records;
  while (true) {
    LOCKSTEP_ASSIGN(std::vector<EventRecord> page, tx.ReadEvents(tenant, run_id, after, kMaxFetchLimit));
    const bool last = static_cast<int64_t>(page.size()) < kMaxFetchLimit;
    if (!page.empty()) after = page.back().run_seq;
    std::ranges::move(page, std::back_inserter(records));
    if (last) return records;
  }
}

}  // namespace

Result<Snapshot> TransactionalStore::ProjectSnapshot(const TenantScope& scope, std::string_view run_id) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  Snapshot snapshot;
  while (true) {
    LOCKSTEP_ASSIGN(const std::vector<EventRecord> page,
                    tx->ReadEvents(scope.tenant_id(), run_id, snapshot.last_event_seq, kMaxFetchLimit));
    for (const EventRecord& record : page) Project(&snapshot, record);
    if (static_cast<int64_t>(page.size()) < kMaxFetchLimit) break;
  }
  if (snapshot.last_event_seq == 0) return RunNotFound(run_id);
  return snapshot;
}

Result<ResyncAnswer> TransactionalStore::Resync(const TenantScope& scope, std::string_view run_id,
                                                const ResyncRequest& request) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  ResyncAnswer answer;
  LOCKSTEP_ASSIGN(const HeadRow head, tx->LoadHead(scope.tenant_id(), run_id));
  answer.head_seq = head.last_seq;
  int64_t after = 0;
  if (request.mode == ResyncRequest::Mode::kFromSnapshot) {
    LOCKSTEP_ASSIGN(std::optional<Snapshot> stored, tx->LoadSnapshot(scope.tenant_id(), run_id));
    if (stored && stored->last_event_seq <= request.snapshot_seq) {
      after = stored->last_event_seq;
      answer.snapshot = std::move(stored);
    }
  }
  LOCKSTEP_ASSIGN(answer.records, ReadAll(*tx, scope.tenant_id(), run_id, after));
  return answer;
}

Result<RunMetadata> TransactionalStore::GetRunMetadata(const TenantScope& scope, std::string_view run_id) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  LOCKSTEP_ASSIGN(std::optional<RunMetadata> run, tx->FindRun(scope.tenant_id(), run_id));
  if (!run) return RunNotFound(run_id);
  return std::move(*run);
}

Result<std::optional<RunMetadata>> TransactionalStore::FindRunByRequest(
    const TenantScope& scope, std::string_view project_id, std::string_view environment_id, std::string_view plan_id,
    std::string_view plan_version, std::string_view run_request_id) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  return tx->FindRunByRequestKey(scope.tenant_id(), RunRequestKey(scope.tenant_id(), project_id, environment_id,
                                                                  plan_id, plan_version, run_request_id));
}

Result<RunPage> TransactionalStore::ListRuns(const TenantScope& scope, const ListRunsRequest& request) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_TRY(CheckLimit(request.limit, kMaxListLimit));
  std::optional<ITransaction::RunPosition> after;
  if (!request.cursor.empty()) {
    LOCKSTEP_ASSIGN(after, ReadCursor(request.cursor));
  }
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  RunPage page;
  // One more than asked for tells whether there is a next page.
  LOCKSTEP_ASSIGN(page.runs, tx->ListRuns(scope.tenant_id(), request.status, after, request.limit + 1));
  if (static_cast<int64_t>(page.runs.size()) > request.limit) {
    page.runs.pop_back();
    page.next_cursor = MakeCursor(page.runs.back());
  }
  return page;
}

Status TransactionalStore::SaveProviderRef(const TenantScope& scope, std::string_view run_id,
                                           const Json& provider_ref) {
  LOCKSTEP_TRY(CheckScope(scope));
  if (!provider_ref.is_object()) return Fail("VALIDATION_ERROR", "provider reference: expected an object");
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
  LOCKSTEP_ASSIGN(const std::optional<RunMetadata> run, tx->FindRun(scope.tenant_id(), run_id));
  if (!run) return RunNotFound(run_id);
  if (provider_ref.GetString("provider") != run->provider || provider_ref.GetString("runId") != run->run_id) {
    return Fail("VALIDATION_ERROR", "provider reference of run " + run->run_id + ": expected provider " +
                                        run->provider + " and this run id, found provider \"" +
                                        provider_ref.GetString("provider") + "\" and run id \"" +
                                        provider_ref.GetString("runId") + "\"");
  }
  if (run->provider_ref == provider_ref) return {};
  Json reference = provider_ref;
  NormalizeNumbers(&reference);
  LOCKSTEP_TRY(tx->SetProviderRef(scope.tenant_id(), run_id, reference));
  return tx->Commit();
}

// ---- identity

Result<std::string> TransactionalStore::ReserveEventId(const TenantScope& scope, std::string_view run_id,
                                                       std::string_view idempotency_key, std::string_view candidate) {
  LOCKSTEP_TRY(CheckScope(scope));
  if (!IsIdentifier(run_id)) return Fail(SchemaError("runId", "an identifier", run_id));
  if (!IsLowerHex(idempotency_key, 64))
    return Fail(SchemaError("idempotencyKey", "64 lower-case hex digits", idempotency_key));
  if (!IsUuidV4(candidate)) return Fail(SchemaError("eventId", "a lower-case UUID version 4", candidate));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
  LOCKSTEP_ASSIGN(std::optional<std::string> stored, tx->FindEventId(scope.tenant_id(), run_id, idempotency_key));
  if (stored) return std::move(*stored);
  LOCKSTEP_ASSIGN(const auto appended, tx->FindEventByKey(scope.tenant_id(), run_id, idempotency_key));
  std::string chosen = appended ? appended->event_id : std::string(candidate);
  LOCKSTEP_TRY(tx->InsertEventId(scope.tenant_id(), run_id, idempotency_key, chosen));
  LOCKSTEP_TRY(tx->Commit());
  return chosen;
}

Status TransactionalStore::CheckDigest(ITransaction& tx, std::string_view tenant, std::string_view plan_id,
                                       std::string_view plan_version, std::string_view sha256, bool* known) {
  LOCKSTEP_ASSIGN(const std::optional<std::string> stored, tx.FindPlanDigest(tenant, plan_id, plan_version));
  *known = stored.has_value();
  if (!stored || *stored == sha256) return {};
  return Fail(Error("PLAN_VERSION_CONFLICT", "plan " + std::string(plan_id) + " " + std::string(plan_version) +
                                                 ": expected digest " + *stored + ", found " + std::string(sha256))
                  .With("expectedSha256", *stored)
                  .With("actualSha256", std::string(sha256)));
}

Status TransactionalStore::RegisterPlanDigest(const TenantScope& scope, std::string_view plan_id,
                                              std::string_view plan_version, std::string_view sha256) {
  LOCKSTEP_TRY(CheckScope(scope));
  if (!IsIdentifier(plan_id)) return Fail(SchemaError("planId", "an identifier", plan_id));
  if (!IsPlanVersion(plan_version)) return Fail(SchemaError("planVersion", "a plan version", plan_version));
  if (!IsLowerHex(sha256, 64)) return Fail(SchemaError("sha256", "64 lower-case hex digits", sha256));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
  bool known = false;
  LOCKSTEP_TRY(CheckDigest(*tx, scope.tenant_id(), plan_id, plan_version, sha256, &known));
  if (known) return {};
  LOCKSTEP_TRY(tx->InsertPlanDigest(scope.tenant_id(), plan_id, plan_version, sha256));
  return tx->Commit();
}

Result<std::string> TransactionalStore::PutPlan(const TenantScope& scope, std::string_view bytes) {
  LOCKSTEP_TRY(CheckScope(scope));
  if (bytes.size() > kMaxPlanBytes) {
    return Fail("PLAN_TOO_LARGE", "plan: expected at most " + std::to_string(kMaxPlanBytes) + " bytes, found " +
                                      std::to_string(bytes.size()));
  }
  std::string sha256 = Sha256Hex(bytes);
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
  LOCKSTEP_ASSIGN(const auto stored, tx->FindPlan(scope.tenant_id(), sha256));
  if (stored) return sha256;
  LOCKSTEP_TRY(tx->InsertPlan(scope.tenant_id(), sha256, bytes));
  LOCKSTEP_TRY(tx->Commit());
  return sha256;
}

Result<std::optional<std::string>> TransactionalStore::GetPlan(const TenantScope& scope, std::string_view sha256) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  LOCKSTEP_ASSIGN(std::optional<std::string> bytes, tx->FindPlan(scope.tenant_id(), sha256));
  if (const std::string actual = bytes ? Sha256Hex(*bytes) : std::string(sha256); actual != sha256) {
    return Fail(Error("STATE_STORE_CORRUPT", "plan " + std::string(sha256) + ": the stored bytes have SHA-256 " + actual)
                    .With("actualSha256", actual));
  }
  return bytes;
}

// ---- signals

Result<SignalReceipt> TransactionalStore::RecordSignalDecision(const TenantScope& scope, const SignalDecision& decision,
                                                               std::span<const EventWrite> audit_events,
                                                               std::optional<int64_t> expected_head) {
  return AsPersistFailure(TryRecordDecision(scope, decision, audit_events, expected_head));
}

Result<SignalReceipt> TransactionalStore::TryRecordDecision(const TenantScope& scope, const SignalDecision& decision,
                                                            std::span<const EventWrite> audit_events,
                                                            std::optional<int64_t> expected_head) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_TRY(Validate(decision));
  LOCKSTEP_TRY(CheckAuditEvents(decision.decision, audit_events));
  SignalReceipt receipt;
  Batch batch;
  {
    LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
    LOCKSTEP_ASSIGN(batch, OpenBatch(*tx, scope, decision.run_id));
    LOCKSTEP_ASSIGN(auto stored, tx->FindDecision(scope.tenant_id(), decision.run_id, decision.signal_id));
    if (stored) {
      if (stored->decision.request_fingerprint != decision.request_fingerprint) {
        return Fail("SIGNAL_DUPLICATE", "signal " + decision.signal_id + ": the id is in use for another request");
      }
      return SignalReceipt{.view = std::move(*stored), .duplicate = true};
    }
    if (expected_head && *expected_head != batch.head.last_seq) {
      return Fail("STATE_STORE_CONFLICT",
                  "run " + decision.run_id + ": expected head " + std::to_string(*expected_head) + ", found " +
                      std::to_string(batch.head.last_seq),
                  true);
    }
    SignalDecision row = decision;
    LOCKSTEP_ASSIGN(const int32_t last_seq, tx->LastDecisionSeq(scope.tenant_id(), decision.run_id));
    row.decision_seq = last_seq + 1;
    row.audit.tenant_id = scope.tenant_id();
    NormalizeNumbers(&row.signal_payload);
    if (!audit_events.empty()) {
      LOCKSTEP_ASSIGN(const auto writes,
                      CheckWrites(decision.run_id, NumberAuditEvents(audit_events, row.decision_seq)));
      LOCKSTEP_TRY(Decide(*tx, writes, &batch));
      row.event_run_seq = batch.results.front().run_seq;
    }
    row.audit.timestamp = FormatUtcMillis(StoreTime(batch.head));
    LOCKSTEP_ASSIGN(const bool inserted, tx->InsertDecision(scope.tenant_id(), row));
    if (!inserted) {
      return Fail(SchemaError("signalDecisionId", "ids that no other decision has", row.signal_decision_id));
    }
    LOCKSTEP_TRY(WriteBatch(*tx, batch));
    LOCKSTEP_TRY(tx->Commit());
    receipt.view.decision = std::move(row);
  }
  Finish(std::move(batch));
  return receipt;
}

Result<SignalDecisionView> TransactionalStore::RecordSignalApproval(const TenantScope& scope,
                                                                    std::string_view signal_decision_id,
                                                                    const SignalApproval& approval,
                                                                    std::span<const EventWrite> audit_events) {
  return AsPersistFailure(TryRecordApproval(scope, signal_decision_id, approval, audit_events));
}

Result<SignalDecisionView> TransactionalStore::TryRecordApproval(const TenantScope& scope,
                                                                 std::string_view signal_decision_id,
                                                                 const SignalApproval& approval,
                                                                 std::span<const EventWrite> audit_events) {
  LOCKSTEP_TRY(CheckScope(scope));
  if (approval.approved_by.empty()) return Fail(SchemaError("approvedBy", "a user id", "nothing"));
  LOCKSTEP_TRY(CheckAuditEvents(approval.approved ? SignalVerdict::kAccepted : SignalVerdict::kRejected, audit_events));
  SignalDecisionView view;
  Batch batch;
  {
    LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
    LOCKSTEP_ASSIGN(auto stored, tx->FindDecisionById(scope.tenant_id(), signal_decision_id));
    if (!stored) return SignalNotFound(signal_decision_id);
    view = std::move(*stored);
    if (view.decision.audit.actor_id == approval.approved_by) {
      return Fail("APPROVAL_SELF",
                  "signal decision " + std::string(signal_decision_id) + ": the approver made the request");
    }
    if (view.approval && SameVerdict(*view.approval, approval)) return view;
    if (view.approval || view.decision.decision != SignalVerdict::kRevisionRequired) {
      return Fail("APPROVAL_ALREADY_RESOLVED",
                  "signal decision " + std::string(signal_decision_id) + ": already resolved");
    }
    LOCKSTEP_ASSIGN(batch, OpenBatch(*tx, scope, view.decision.run_id));
    LOCKSTEP_ASSIGN(const auto writes,
                    CheckWrites(view.decision.run_id, NumberAuditEvents(audit_events, view.decision.decision_seq)));
    LOCKSTEP_TRY(Decide(*tx, writes, &batch));
    view.approval = approval;
    view.approval->event_run_seq = batch.results.front().run_seq;
    view.approval->timestamp = FormatUtcMillis(StoreTime(batch.head));
    LOCKSTEP_TRY(tx->InsertApproval(scope.tenant_id(), signal_decision_id, *view.approval));
    LOCKSTEP_TRY(WriteBatch(*tx, batch));
    LOCKSTEP_TRY(tx->Commit());
  }
  Finish(std::move(batch));
  return view;
}

Result<SignalDecisionView> TransactionalStore::RecordSignalResult(const TenantScope& scope,
                                                                  std::string_view signal_decision_id,
                                                                  const SignalEngineResult& result) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
  LOCKSTEP_ASSIGN(auto stored, tx->FindDecisionById(scope.tenant_id(), signal_decision_id));
  if (!stored) return SignalNotFound(signal_decision_id);
  if (stored->result) return std::move(*stored);
  stored->result = result;
  stored->result->processed_at = FormatUtcMillis(services_.clock->Now());
  LOCKSTEP_TRY(tx->InsertResult(scope.tenant_id(), signal_decision_id, *stored->result));
  LOCKSTEP_TRY(tx->Commit());
  return std::move(*stored);
}

Result<SignalDecisionView> TransactionalStore::GetSignalDecision(const TenantScope& scope, std::string_view run_id,
                                                                 std::string_view signal_id) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  LOCKSTEP_ASSIGN(auto view, tx->FindDecision(scope.tenant_id(), run_id, signal_id));
  if (!view) return SignalNotFound(signal_id);
  return std::move(*view);
}

Result<SignalDecisionView> TransactionalStore::GetSignalDecisionByPolicy(const TenantScope& scope,
                                                                         std::string_view policy_decision_id) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  LOCKSTEP_ASSIGN(auto view, tx->FindDecisionByPolicy(scope.tenant_id(), policy_decision_id));
  if (!view) return SignalNotFound(policy_decision_id);
  return std::move(*view);
}

Result<std::vector<SignalDecisionView>> TransactionalStore::ListSignalDecisions(const TenantScope& scope,
                                                                                std::string_view run_id) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  return tx->ListDecisions(scope.tenant_id(), run_id);
}

Result<std::vector<SignalDecisionView>> TransactionalStore::ListUndeliveredSignals(const TenantScope& scope,
                                                                                   std::string_view run_id) {
  LOCKSTEP_ASSIGN(std::vector<SignalDecisionView> views, ListSignalDecisions(scope, run_id));
  std::erase_if(views,
                [](const SignalDecisionView& view) { return view.accepted_seq() == 0 || view.result.has_value(); });
  std::ranges::sort(views, {}, &SignalDecisionView::accepted_seq);
  return views;
}

// ---- outbox

Result<std::vector<OutboxRecord>> TransactionalStore::ClaimOutbox(const TenantScope& scope, int64_t limit) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_TRY(CheckLimit(limit, kMaxFetchLimit));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
  const UnixMillis now = services_.clock->Now();
  LOCKSTEP_ASSIGN(std::vector<OutboxRecord> rows,
                  tx->FindClaimable(scope.tenant_id(), now, now - kClaimLeaseMs, limit));
  if (rows.empty()) return rows;
  const std::string claim_id = services_.ids->NewUuid();
  for (OutboxRecord& row : rows) {
    row.claim_id = claim_id;
    row.claimed_at = now;
    LOCKSTEP_TRY(tx->UpdateOutbox(row));
  }
  LOCKSTEP_TRY(tx->Commit());
  return rows;
}

Status TransactionalStore::MarkDelivered(const TenantScope& scope, std::string_view id) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const auto where, ParseOutboxId(id));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
  LOCKSTEP_ASSIGN(auto row, tx->FindOutbox(scope.tenant_id(), where.first, where.second));
  if (!row) {
    // A slow deliverer may report a record that was given up meanwhile; the dead letter stays for an operator to see.
    LOCKSTEP_ASSIGN(const auto dead, tx->FindDeadLetter(scope.tenant_id(), where.first, where.second));
    return dead ? Status{} : OutboxNotFound(id);
  }
  if (row->delivered_at) return {};
  row->delivered_at = services_.clock->Now();
  row->claim_id.clear();
  row->claimed_at.reset();
  LOCKSTEP_TRY(tx->UpdateOutbox(*row));
  LOCKSTEP_TRY(tx->PromoteOutbox(scope.tenant_id(), where.first));
  return tx->Commit();
}

Result<OutboxFailureOutcome> TransactionalStore::MarkFailed(const TenantScope& scope, const OutboxFailure& failure) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const auto where, ParseOutboxId(failure.id));
  OutboxFailureOutcome outcome;
  std::vector<Alert> alerts;
  {
    LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
    LOCKSTEP_ASSIGN(auto row, tx->FindOutbox(scope.tenant_id(), where.first, where.second));
    if (!row) {
      LOCKSTEP_ASSIGN(const auto dead, tx->FindDeadLetter(scope.tenant_id(), where.first, where.second));
      if (!dead) return OutboxNotFound(failure.id);
      return OutboxFailureOutcome{.dead_lettered = true, .attempts = dead->record.attempts};
    }
    outcome = {.attempts = row->attempts, .next_attempt_at = row->next_attempt_at};
    if (row->delivered_at || row->claim_id.empty() || row->claim_id != failure.claim_id) return outcome;
    const UnixMillis now = services_.clock->Now();
    row->claim_id.clear();
    row->claimed_at.reset();
    row->last_error = TruncateUtf8(failure.error, 2048);
    row->backoff_step = std::min(row->backoff_step + 1, 1000);
    if (failure.counted) ++row->attempts;
    row->next_attempt_at = now + BackoffMs(row->id, row->backoff_step);
    outcome = {.attempts = row->attempts, .next_attempt_at = row->next_attempt_at};
    if (row->attempts >= kMaxCountedFailures) {
      outcome.dead_lettered = true;
      LOCKSTEP_ASSIGN(EventRecord record, ParseEventRecordText(row->record));
      alerts.push_back(AlertAbout(kAlertDeliveryFailed, Severity::kP1, record));
      alerts.back().detail = row->last_error;
      LOCKSTEP_TRY(tx->InsertDeadLetter({.record = *row, .dead_at = now}));
      LOCKSTEP_TRY(tx->DeleteOutbox(scope.tenant_id(), where.first, where.second));
      LOCKSTEP_TRY(tx->PromoteOutbox(scope.tenant_id(), where.first));
    } else {
      LOCKSTEP_TRY(tx->UpdateOutbox(*row));
    }
    LOCKSTEP_TRY(tx->Commit());
  }
  Raise(alerts);
  return outcome;
}

Result<std::vector<DeadLetter>> TransactionalStore::ListDeadLetters(const TenantScope& scope, int64_t limit,
                                                                    std::string_view after_id) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_TRY(CheckLimit(limit, kMaxFetchLimit));
  std::pair<std::string, int64_t> after;
  if (!after_id.empty()) {
    LOCKSTEP_ASSIGN(after, ParseOutboxId(after_id));
  }
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginRead());
  return tx->ListDeadLetters(scope.tenant_id(), after.first, after.second, limit);
}

Status TransactionalStore::RequeueDeadLetter(const TenantScope& scope, std::string_view id, bool dry_run) {
  LOCKSTEP_TRY(CheckScope(scope));
  LOCKSTEP_ASSIGN(const auto where, ParseOutboxId(id));
  LOCKSTEP_ASSIGN(const std::unique_ptr<ITransaction> tx, backend_->BeginWrite());
  LOCKSTEP_ASSIGN(auto dead, tx->FindDeadLetter(scope.tenant_id(), where.first, where.second));
  if (!dead) {
    LOCKSTEP_ASSIGN(const auto row, tx->FindOutbox(scope.tenant_id(), where.first, where.second));
    return row ? Status{} : OutboxNotFound(id);
  }
  if (dry_run) return {};
  OutboxRecord row = std::move(dead->record);
  row.attempts = 0;
  row.backoff_step = 0;
  row.claim_id.clear();
  row.claimed_at.reset();
  row.next_attempt_at = services_.clock->Now();
  LOCKSTEP_TRY(tx->InsertOutbox(row));
  LOCKSTEP_TRY(tx->DeleteDeadLetter(scope.tenant_id(), where.first, where.second));
  LOCKSTEP_TRY(tx->PromoteOutbox(scope.tenant_id(), where.first));
  return tx->Commit();
}

}  // namespace lockstep::state
