// The one implementation of the state store's rules, on top of any medium that offers transactions (`backend.h`).
// Order of an append (spec 02 sections 4.2, 4.3, 8): schema and key of every write, then under the write lock the
// duplicate check, identity of the run, terminal guard, numbering, projection; only then rows are written, and all of
// them commit. Alerts are raised after the commit, outside every lock. Thread-safe.
#pragma once

#include <memory>

#include "engine-core/base/clock.h"
#include "engine-core/state/alert.h"
#include "engine-core/state/backend.h"
#include "engine-core/state/snapshot_cache.h"
#include "engine-core/state/store.h"

namespace lockstep::state {

struct StoreServices {
  IClock* clock = nullptr;       // authority for `persistedAt`; not owned
  IIdGenerator* ids = nullptr;   // claim ids of the outbox; not owned
  IAlertSink* alerts = nullptr;  // may be absent; not owned
};

class TransactionalStore : public IRunStateStore {
 public:
  TransactionalStore(std::unique_ptr<IBackend> backend, StoreServices services);
  ~TransactionalStore() override;

  Result<BatchResult> BootstrapRun(const TenantScope& scope, const RunMetadata& run,
                                   std::span<const EventWrite> first_events) override;
  Result<BatchResult> AppendEvents(const TenantScope& scope, std::string_view run_id,
                                   std::span<const EventWrite> events) override;
  Result<std::vector<EventRecord>> FetchEvents(const TenantScope& scope, std::string_view run_id, int64_t after_seq,
                                               int64_t limit) override;
  Result<int64_t> HeadSeq(const TenantScope& scope, std::string_view run_id) override;
  Result<std::optional<Snapshot>> GetSnapshot(const TenantScope& scope, std::string_view run_id) override;
  Result<Snapshot> ProjectSnapshot(const TenantScope& scope, std::string_view run_id) override;
  Result<ResyncAnswer> Resync(const TenantScope& scope, std::string_view run_id, const ResyncRequest& request) override;
  Result<RunMetadata> GetRunMetadata(const TenantScope& scope, std::string_view run_id) override;
  Result<std::optional<RunMetadata>> FindRunByRequest(const TenantScope& scope, std::string_view project_id,
                                                      std::string_view environment_id, std::string_view plan_id,
                                                      std::string_view plan_version,
                                                      std::string_view run_request_id) override;
  Result<RunPage> ListRuns(const TenantScope& scope, const ListRunsRequest& request) override;
  Status SaveProviderRef(const TenantScope& scope, std::string_view run_id, const Json& provider_ref) override;

  Result<std::string> ReserveEventId(const TenantScope& scope, std::string_view run_id,
                                     std::string_view idempotency_key, std::string_view candidate) override;
  Status RegisterPlanDigest(const TenantScope& scope, std::string_view plan_id, std::string_view plan_version,
                            std::string_view sha256) override;
  Result<std::string> PutPlan(const TenantScope& scope, std::string_view bytes) override;
  Result<std::optional<std::string>> GetPlan(const TenantScope& scope, std::string_view sha256) override;

  Result<SignalReceipt> RecordSignalDecision(const TenantScope& scope, const SignalDecision& decision,
                                             std::span<const EventWrite> audit_events,
                                             std::optional<int64_t> expected_head) override;
  Result<SignalDecisionView> RecordSignalApproval(const TenantScope& scope, std::string_view signal_decision_id,
                                                  const SignalApproval& approval,
                                                  std::span<const EventWrite> audit_events) override;
  Result<SignalDecisionView> RecordSignalResult(const TenantScope& scope, std::string_view signal_decision_id,
                                                const SignalEngineResult& result) override;
  Result<SignalDecisionView> GetSignalDecision(const TenantScope& scope, std::string_view run_id,
                                               std::string_view signal_id) override;
  Result<SignalDecisionView> GetSignalDecisionByPolicy(const TenantScope& scope,
                                                       std::string_view policy_decision_id) override;
  Result<std::vector<SignalDecisionView>> ListSignalDecisions(const TenantScope& scope,
                                                              std::string_view run_id) override;
  Result<std::vector<SignalDecisionView>> ListUndeliveredSignals(const TenantScope& scope,
                                                                 std::string_view run_id) override;

  Result<std::vector<OutboxRecord>> ClaimOutbox(const TenantScope& scope, int64_t limit) override;
  Status MarkDelivered(const TenantScope& scope, std::string_view id) override;
  Result<OutboxFailureOutcome> MarkFailed(const TenantScope& scope, const OutboxFailure& failure) override;
  Result<std::vector<DeadLetter>> ListDeadLetters(const TenantScope& scope, int64_t limit,
                                                  std::string_view after_id) override;
  Status RequeueDeadLetter(const TenantScope& scope, std::string_view id, bool dry_run) override;

 protected:
  IBackend& backend() { return *backend_; }

 private:
  // A batch that has been decided on but not written.
  struct Batch {
    RunMetadata run;
    HeadRow head;
    CachedSnapshot state;
    std::vector<AppendResult> results;
    std::vector<EventRecord> fresh;  // rows to write
    std::set<std::string> changed_steps;
    std::vector<Alert> alerts;
  };

  Result<CachedSnapshot> LoadState(ITransaction& tx, std::string_view tenant, std::string_view run_id,
                                   int64_t head_seq);
  // Decides on every write of a run that is in `batch` with its head and state.
  Status Decide(ITransaction& tx, std::span<const EventWrite> writes, Batch* batch);
  Result<std::optional<EventRecord>> FindDuplicate(ITransaction& tx, const Batch& batch, const EventWrite& write);
  Status WriteBatch(ITransaction& tx, const Batch& batch);
  // Opens the run for a decision: RUN_NOT_FOUND for another tenant's.
  Result<Batch> OpenBatch(ITransaction& tx, const TenantScope& scope, std::string_view run_id);
  // Puts the state back into the cache, raises the alerts and answers.
  BatchResult Finish(Batch batch);
  Status CheckDigest(ITransaction& tx, std::string_view tenant, std::string_view plan_id, std::string_view plan_version,
                     std::string_view sha256, bool* known);
  void Raise(const std::vector<Alert>& alerts);
  Result<SignalReceipt> TryRecordDecision(const TenantScope& scope, const SignalDecision& decision,
                                          std::span<const EventWrite> audit_events,
                                          std::optional<int64_t> expected_head);
  Result<SignalDecisionView> TryRecordApproval(const TenantScope& scope, std::string_view signal_decision_id,
                                               const SignalApproval& approval,
                                               std::span<const EventWrite> audit_events);
  UnixMillis StoreTime(const HeadRow& head) const;

  std::unique_ptr<IBackend> backend_;
  StoreServices services_;
  SnapshotCache cache_;
};

}  // namespace lockstep::state
