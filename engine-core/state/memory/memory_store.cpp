#include "engine-core/state/memory/memory_store.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "engine-core/base/check.h"

namespace lockstep::state {
namespace {

using Key2 = std::pair<std::string, std::string>;
using RowKey = std::pair<std::string, int64_t>;  // run id and number

Key2 K(std::string_view a, std::string_view b) { return {std::string(a), std::string(b)}; }

// Everything of one run, under its tenant.
struct RunRows {
  RunMetadata run;
  HeadRow head;
  std::vector<EventRecord> events;  // ascending `runSeq`
  std::map<std::string, size_t, std::less<>> by_key;
  std::optional<Snapshot> snapshot;
  std::map<int32_t, SignalDecisionView> decisions;  // by `decisionSeq`
  std::map<std::string, int32_t, std::less<>> by_signal;
};

struct TenantRows {
  std::map<std::string, RunRows, std::less<>> runs;
  std::map<std::pair<UnixMillis, std::string>, std::string> runs_by_time;
  std::map<std::string, std::string, std::less<>> run_by_request;
  std::map<Key2, std::string> event_ids;
  std::map<Key2, std::string> digests;
  std::map<std::string, std::string, std::less<>> plans;
  std::map<std::string, RowKey, std::less<>> decisions;  // by decision id: run id and `decisionSeq`
  std::map<std::string, RowKey, std::less<>> decisions_by_policy;
  std::map<RowKey, OutboxRecord> outbox;
  // Undelivered numbers of each run; the first of a run is the one that may be claimed.
  std::map<std::string, std::set<int64_t>, std::less<>> pending;
  std::map<RowKey, DeadLetter> dead_letters;
};

struct Database {
  std::mutex mutex;
  std::map<std::string, TenantRows, std::less<>> tenants;
  std::map<std::string, std::string, std::less<>> run_owner;  // run ids are unique across tenants
  std::set<std::string, std::less<>> decision_ids;
  std::set<std::string, std::less<>> policy_ids;
};

// Holds the mutex for its life. There is nothing to roll back: the store writes only after it has decided, and a write
// here cannot fail (the contract of `backend.h`).
class MemoryTransaction final : public ITransaction {
 public:
  explicit MemoryTransaction(Database& db) : db_(db), lock_(db.mutex) {}
  Status Commit() override { return {}; }

  Result<std::optional<RunMetadata>> FindRun(std::string_view tenant, std::string_view run_id) override {
    const RunRows* rows = Run(tenant, run_id);
    return rows != nullptr ? std::optional(WithStatus(*rows)) : std::nullopt;
  }

  Result<std::optional<RunMetadata>> FindRunByRequestKey(std::string_view tenant,
                                                         std::string_view request_key) override {
    const TenantRows& rows = Tenant(tenant);
    const auto found = rows.run_by_request.find(request_key);
    if (found == rows.run_by_request.end()) return std::optional<RunMetadata>();
    return FindRun(tenant, found->second);
  }

  Result<bool> InsertRun(const RunMetadata& run, std::string_view request_key, UnixMillis created_at) override {
    if (!db_.run_owner.emplace(run.run_id, run.tenant_id).second) return false;
    TenantRows& rows = Tenant(run.tenant_id);
    rows.runs[run.run_id].run = run;
    rows.runs_by_time.emplace(std::pair(created_at, run.run_id), run.run_id);
    if (!request_key.empty()) rows.run_by_request.emplace(request_key, run.run_id);
    return true;
  }

  Result<std::vector<RunMetadata>> ListRuns(std::string_view tenant, std::optional<RunStatus> status,
                                            const std::optional<RunPosition>& after, int64_t limit) override {
    const TenantRows& rows = Tenant(tenant);
    auto it = after ? rows.runs_by_time.lower_bound({after->created_at, after->run_id}) : rows.runs_by_time.end();
    std::vector<RunMetadata> page;
    while (it != rows.runs_by_time.begin() && static_cast<int64_t>(page.size()) < limit) {
      --it;
      const RunRows& run = rows.runs.find(it->second)->second;
      if (!status || run.head.status == *status) page.push_back(WithStatus(run));
    }
    return page;
  }

  Status SetProviderRef(std::string_view tenant, std::string_view run_id, const Json& provider_ref) override {
    Existing(tenant, run_id).run.provider_ref = provider_ref;
    return {};
  }

  Result<HeadRow> LoadHead(std::string_view tenant, std::string_view run_id) override {
    const RunRows* rows = Run(tenant, run_id);
    return rows != nullptr ? rows->head : HeadRow{};
  }
  Status StoreHead(std::string_view tenant, std::string_view run_id, const HeadRow& head) override {
    Existing(tenant, run_id).head = head;
    return {};
  }

  Result<std::optional<EventRecord>> FindEventByKey(std::string_view tenant, std::string_view run_id,
                                                    std::string_view idempotency_key) override {
    const RunRows* rows = Run(tenant, run_id);
    if (rows == nullptr) return std::optional<EventRecord>();
    const auto found = rows->by_key.find(idempotency_key);
    if (found == rows->by_key.end()) return std::optional<EventRecord>();
    return std::optional<EventRecord>(rows->events[found->second]);
  }

  Status InsertEvent(const EventRecord& record, std::string_view) override {
    RunRows& rows = Existing(record.tenant_id, record.run_id);
    LOCKSTEP_CHECK(rows.events.empty() || rows.events.back().run_seq < record.run_seq, "events out of order");
    rows.by_key.emplace(record.idempotency_key, rows.events.size());
    rows.events.push_back(record);
    return {};
  }

  Result<std::vector<EventRecord>> ReadEvents(std::string_view tenant, std::string_view run_id, int64_t after_seq,
                                              int64_t limit) override {
    const RunRows* rows = Run(tenant, run_id);
    if (rows == nullptr) return std::vector<EventRecord>();
    const auto first = std::ranges::upper_bound(rows->events, after_seq, {}, &EventRecord::run_seq);
    const auto count = std::min<int64_t>(limit, rows->events.end() - first);
    return std::vector<EventRecord>(first, first + count);
  }

  Result<std::optional<Snapshot>> LoadSnapshot(std::string_view tenant, std::string_view run_id) override {
    const RunRows* rows = Run(tenant, run_id);
    return rows != nullptr ? rows->snapshot : std::nullopt;
  }

  Status StoreSnapshot(const Snapshot& snapshot, const std::set<std::string>& changed_steps) override {
    std::optional<Snapshot>& stored = Existing(snapshot.tenant_id, snapshot.run_id).snapshot;
    // Copies what changed, so that an append to a run of many steps stays cheap.
    std::map<std::string, StepState, std::less<>> steps;
    if (stored) steps = std::move(stored->steps);
    for (const std::string& id : changed_steps) steps.insert_or_assign(id, snapshot.steps.find(id)->second);
    if (!stored) stored.emplace();
    CopyRunPart(snapshot, &*stored);
    stored->steps = std::move(steps);
    return {};
  }

  Result<std::optional<std::string>> FindEventId(std::string_view tenant, std::string_view run_id,
                                                 std::string_view idempotency_key) override {
    return Find(Tenant(tenant).event_ids, K(run_id, idempotency_key));
  }
  Status InsertEventId(std::string_view tenant, std::string_view run_id, std::string_view idempotency_key,
                       std::string_view event_id) override {
    Tenant(tenant).event_ids.emplace(K(run_id, idempotency_key), event_id);
    return {};
  }
  Result<std::optional<std::string>> FindPlanDigest(std::string_view tenant, std::string_view plan_id,
                                                    std::string_view plan_version) override {
    return Find(Tenant(tenant).digests, K(plan_id, plan_version));
  }
  Status InsertPlanDigest(std::string_view tenant, std::string_view plan_id, std::string_view plan_version,
                          std::string_view sha256) override {
    Tenant(tenant).digests.emplace(K(plan_id, plan_version), sha256);
    return {};
  }
  Result<std::optional<std::string>> FindPlan(std::string_view tenant, std::string_view sha256) override {
    return Find(Tenant(tenant).plans, sha256);
  }
  Status InsertPlan(std::string_view tenant, std::string_view sha256, std::string_view bytes) override {
    Tenant(tenant).plans.emplace(sha256, bytes);
    return {};
  }

  Result<int32_t> LastDecisionSeq(std::string_view tenant, std::string_view run_id) override {
    const RunRows* rows = Run(tenant, run_id);
    return rows == nullptr || rows->decisions.empty() ? 0 : rows->decisions.rbegin()->first;
  }
  Result<bool> InsertDecision(std::string_view tenant, const SignalDecision& decision) override {
    if (db_.decision_ids.contains(decision.signal_decision_id) ||
        db_.policy_ids.contains(decision.policy_decision_id)) {
      return false;
    }
    db_.decision_ids.insert(decision.signal_decision_id);
    db_.policy_ids.insert(decision.policy_decision_id);
    RunRows& rows = Existing(tenant, decision.run_id);
    rows.decisions[decision.decision_seq].decision = decision;
    rows.by_signal.emplace(decision.signal_id, decision.decision_seq);
    Tenant(tenant).decisions.emplace(decision.signal_decision_id, RowKey(decision.run_id, decision.decision_seq));
    Tenant(tenant).decisions_by_policy.emplace(decision.policy_decision_id,
                                               RowKey(decision.run_id, decision.decision_seq));
    return true;
  }
  Result<std::optional<SignalDecisionView>> FindDecision(std::string_view tenant, std::string_view run_id,
                                                         std::string_view signal_id) override {
    const RunRows* rows = Run(tenant, run_id);
    if (rows == nullptr) return std::optional<SignalDecisionView>();
    const auto found = rows->by_signal.find(signal_id);
    if (found == rows->by_signal.end()) return std::optional<SignalDecisionView>();
    return std::optional<SignalDecisionView>(rows->decisions.find(found->second)->second);
  }
  Result<std::optional<SignalDecisionView>> FindDecisionById(std::string_view tenant, std::string_view id) override {
    return Copy(DecisionAt(tenant, Tenant(tenant).decisions, id));
  }
  Result<std::optional<SignalDecisionView>> FindDecisionByPolicy(std::string_view tenant,
                                                                 std::string_view id) override {
    return Copy(DecisionAt(tenant, Tenant(tenant).decisions_by_policy, id));
  }
  Result<std::vector<SignalDecisionView>> ListDecisions(std::string_view tenant, std::string_view run_id) override {
    std::vector<SignalDecisionView> views;
    if (const RunRows* rows = Run(tenant, run_id); rows != nullptr) {
      for (const auto& [seq, view] : rows->decisions) views.push_back(view);
    }
    return views;
  }
  Status InsertApproval(std::string_view tenant, std::string_view id, const SignalApproval& approval) override {
    DecisionAt(tenant, Tenant(tenant).decisions, id)->approval = approval;
    return {};
  }
  Status InsertResult(std::string_view tenant, std::string_view id, const SignalEngineResult& result) override {
    DecisionAt(tenant, Tenant(tenant).decisions, id)->result = result;
    return {};
  }

  Status InsertOutbox(const OutboxRecord& record) override {
    TenantRows& rows = Tenant(record.tenant_id);
    rows.outbox.insert_or_assign(RowKey(record.run_id, record.run_seq), record);
    if (!record.delivered_at) rows.pending[record.run_id].insert(record.run_seq);
    return {};
  }
  Result<std::optional<OutboxRecord>> FindOutbox(std::string_view tenant, std::string_view run_id,
                                                 int64_t run_seq) override {
    return Find(Tenant(tenant).outbox, RowKey(run_id, run_seq));
  }
  Status UpdateOutbox(const OutboxRecord& record) override {
    TenantRows& rows = Tenant(record.tenant_id);
    rows.outbox.find(RowKey(record.run_id, record.run_seq))->second = record;
    if (record.delivered_at) ErasePending(rows, record.run_id, record.run_seq);
    return {};
  }
  Status DeleteOutbox(std::string_view tenant, std::string_view run_id, int64_t run_seq) override {
    TenantRows& rows = Tenant(tenant);
    rows.outbox.erase(RowKey(run_id, run_seq));
    ErasePending(rows, run_id, run_seq);
    return {};
  }
  Result<std::vector<OutboxRecord>> FindClaimable(std::string_view tenant, UnixMillis now, UnixMillis lease_start,
                                                  int64_t limit) override {
    const TenantRows& rows = Tenant(tenant);
    std::vector<const OutboxRecord*> due;
    for (const auto& [run_id, numbers] : rows.pending) {
      const OutboxRecord& record = rows.outbox.find(RowKey(run_id, *numbers.begin()))->second;
      const bool free = !record.claimed_at || *record.claimed_at <= lease_start;
      if (free && record.next_attempt_at <= now) due.push_back(&record);
    }
    std::ranges::sort(due, {},
                      [](const OutboxRecord* record) { return std::tie(record->next_attempt_at, record->run_id); });
    if (static_cast<int64_t>(due.size()) > limit) due.resize(static_cast<size_t>(limit));
    std::vector<OutboxRecord> claimable;
    for (const OutboxRecord* record : due) claimable.push_back(*record);
    return claimable;
  }
  // The pending sets are kept with every change, so nothing is left to do.
  Status PromoteOutbox(std::string_view, std::string_view) override { return {}; }
  Status InsertDeadLetter(const DeadLetter& letter) override {
    Tenant(letter.record.tenant_id)
        .dead_letters.insert_or_assign(RowKey(letter.record.run_id, letter.record.run_seq), letter);
    return {};
  }
  Result<std::optional<DeadLetter>> FindDeadLetter(std::string_view tenant, std::string_view run_id,
                                                   int64_t run_seq) override {
    return Find(Tenant(tenant).dead_letters, RowKey(run_id, run_seq));
  }
  Status DeleteDeadLetter(std::string_view tenant, std::string_view run_id, int64_t run_seq) override {
    Tenant(tenant).dead_letters.erase(RowKey(run_id, run_seq));
    return {};
  }
  Result<std::vector<DeadLetter>> ListDeadLetters(std::string_view tenant, std::string_view after_run_id,
                                                  int64_t after_run_seq, int64_t limit) override {
    const auto& rows = Tenant(tenant).dead_letters;
    std::vector<DeadLetter> page;
    for (auto it = rows.upper_bound(RowKey(after_run_id, after_run_seq));
         it != rows.end() && static_cast<int64_t>(page.size()) < limit; ++it) {
      page.push_back(it->second);
    }
    return page;
  }

 private:
  TenantRows& Tenant(std::string_view tenant) {
    const auto found = db_.tenants.find(tenant);
    return found != db_.tenants.end() ? found->second : db_.tenants[std::string(tenant)];
  }
  RunRows* Run(std::string_view tenant, std::string_view run_id) {
    auto& runs = Tenant(tenant).runs;
    const auto found = runs.find(run_id);
    return found != runs.end() ? &found->second : nullptr;
  }
  RunRows& Existing(std::string_view tenant, std::string_view run_id) {
    RunRows* rows = Run(tenant, run_id);
    LOCKSTEP_CHECK(rows != nullptr, "no rows of run " + std::string(run_id));
    return *rows;
  }
  static void ErasePending(TenantRows& rows, std::string_view run_id, int64_t run_seq) {
    const auto found = rows.pending.find(run_id);
    if (found == rows.pending.end()) return;
    found->second.erase(run_seq);
    if (found->second.empty()) rows.pending.erase(found);
  }
  static RunMetadata WithStatus(const RunRows& rows) {
    RunMetadata run = rows.run;
    run.status = rows.head.status;
    return run;
  }
  SignalDecisionView* DecisionAt(std::string_view tenant, const std::map<std::string, RowKey, std::less<>>& index,
                                 std::string_view id) {
    const auto found = index.find(id);
    if (found == index.end()) return nullptr;
    return &Existing(tenant, found->second.first).decisions.find(static_cast<int32_t>(found->second.second))->second;
  }
  static std::optional<SignalDecisionView> Copy(const SignalDecisionView* view) {
    return view != nullptr ? std::optional(*view) : std::nullopt;
  }
  template <typename Map, typename Key>
  static std::optional<typename Map::mapped_type> Find(const Map& map, const Key& key) {
    const auto found = map.find(key);
    return found != map.end() ? std::optional(found->second) : std::nullopt;
  }
  // Every member but the steps.
  static void CopyRunPart(const Snapshot& from, Snapshot* to) {
    to->run_id = from.run_id;
    to->tenant_id = from.tenant_id;
    to->project_id = from.project_id;
    to->environment_id = from.environment_id;
    to->plan_id = from.plan_id;
    to->plan_version = from.plan_version;
    to->status = from.status;
    to->last_event_seq = from.last_event_seq;
    to->started_at = from.started_at;
    to->completed_at = from.completed_at;
    to->pause_cycles = from.pause_cycles;
    to->inconsistent = from.inconsistent;
    to->approval_required = from.approval_required;
    to->running_attempts = from.running_attempts;
  }

  Database& db_;
  std::unique_lock<std::mutex> lock_;
};

class MemoryBackend final : public IBackend {
 public:
  Result<std::unique_ptr<ITransaction>> BeginWrite() override { return std::make_unique<MemoryTransaction>(db_); }
  Result<std::unique_ptr<ITransaction>> BeginRead() override { return std::make_unique<MemoryTransaction>(db_); }

 private:
  Database db_;
};

}  // namespace

std::unique_ptr<IRunStateStore> MakeMemoryStore(StoreServices services) {
  return std::make_unique<TransactionalStore>(std::make_unique<MemoryBackend>(), services);
}

}  // namespace lockstep::state
