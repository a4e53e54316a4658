// The state store's port (spec 02 sections 10 to 12): append authority, snapshots, decisions, outbox, plans.
//
// Guarantees every implementation keeps, and `testing/store_conformance_suite.h` proves:
//  - a batch of events, its snapshot, head and outbox rows commit together or not at all, durably, before the answer;
//  - `runSeq` is contiguous per run and follows commit order; `persistedAt` never decreases within a run;
//  - a duplicate is answered from the stored row and changes nothing;
//  - every call is bound to a tenant; another tenant's rows do not exist for it;
//  - rows of events, decisions, outcomes, digests, plans and event ids are never changed.
//
// Errors every call may return: ScopeRequiredError, STATE_STORE_TIMEOUT (retryable, write budget used up),
// STATE_STORE_UNAVAILABLE (retryable, the medium failed), STATE_STORE_CORRUPT (a stored row cannot be read back).
// Thread-safe: any call from any thread. No exception leaves a store.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/base/time.h"
#include "engine-core/state/event.h"
#include "engine-core/state/signal_decision.h"
#include "engine-core/state/snapshot.h"

namespace lockstep::state {

inline constexpr size_t kMaxBatchEvents = 100;
inline constexpr int64_t kDefaultFetchLimit = 1'000;
inline constexpr int64_t kMaxFetchLimit = 10'000;
inline constexpr int64_t kDefaultListLimit = 50;
inline constexpr int64_t kMaxListLimit = 500;
inline constexpr int64_t kWriteBudgetMs = 3'000;
inline constexpr size_t kMaxPlanBytes = 8 * 1024 * 1024;

// Whose rows a call may see. There is no default and no way to widen it.
class TenantScope {
 public:
  explicit TenantScope(std::string tenant_id) : tenant_id_(std::move(tenant_id)) {}
  const std::string& tenant_id() const { return tenant_id_; }

 private:
  std::string tenant_id_;
};

struct RunMetadata {
  std::string run_id;
  std::string tenant_id;
  std::string project_id;
  std::string environment_id;
  std::string plan_id;
  std::string plan_version;
  std::string plan_sha256;
  std::string provider;                    // `temporal`, `conductor`, `mock`
  Json provider_ref;                       // `EngineRunRef`; null until saved. The only member that may change
  std::string run_request_id;              // empty: absent
  std::string original_run_id;             // empty: absent
  std::string created_at;                  // assigned by the store
  RunStatus status = RunStatus::kPending;  // from the head; not part of the stored metadata
  friend bool operator==(const RunMetadata&, const RunMetadata&) = default;
};
Json ToJson(const RunMetadata& run);

struct AppendResult {
  std::string event_id;  // of the stored row: the caller adopts it
  int64_t run_seq = 0;
  std::string persisted_at;
  bool idempotent = false;  // answered from an earlier row
  bool persisted = false;   // a row was written
  friend bool operator==(const AppendResult&, const AppendResult&) = default;
};
Json ToJson(const AppendResult& result);

struct BatchResult {
  std::vector<AppendResult> events;  // one per write, in order
  int64_t head_seq = 0;              // head of the run after this batch
  std::string snapshot_hash;         // `snapshotHash` at `head_seq`
  friend bool operator==(const BatchResult&, const BatchResult&) = default;
};

struct ListRunsRequest {
  std::optional<RunStatus> status;
  int64_t limit = kDefaultListLimit;
  std::string cursor;  // empty: from the newest
};
struct RunPage {
  std::vector<RunMetadata> runs;  // newest first
  std::string next_cursor;        // empty: no more
};

struct ResyncRequest {
  enum class Mode : uint8_t { kFull, kFromSnapshot };
  Mode mode = Mode::kFull;
  int64_t snapshot_seq = 0;  // kFromSnapshot only: the newest snapshot wanted
};
struct ResyncAnswer {
  std::optional<Snapshot> snapshot;  // nothing: the records start at 1
  std::vector<EventRecord> records;  // everything above the snapshot, ascending
  int64_t head_seq = 0;              // head of the same read
};

struct SignalReceipt {
  SignalDecisionView view;
  bool duplicate = false;  // the stored decision of an equal request; nothing was written
};

struct OutboxRecord {
  std::string id;  // `runId:runSeq`
  std::string tenant_id;
  std::string run_id;
  int64_t run_seq = 0;
  std::string event_id;
  std::string idempotency_key;
  std::string record;        // canonical text of the event record
  int32_t attempts = 0;      // counted refusals
  int32_t backoff_step = 0;  // failures of any kind since the last success, drives the delay
  std::string last_error;
  std::string claim_id;  // empty: not claimed
  std::optional<UnixMillis> claimed_at;
  UnixMillis next_attempt_at = 0;
  std::optional<UnixMillis> delivered_at;
  friend bool operator==(const OutboxRecord&, const OutboxRecord&) = default;
};
struct DeadLetter {
  OutboxRecord record;
  UnixMillis dead_at = 0;
  friend bool operator==(const DeadLetter&, const DeadLetter&) = default;
};

struct OutboxFailure {
  std::string id;
  std::string claim_id;  // of the claim that failed; another one makes the call a no-op
  std::string error;
  // True when the bus refused this very record; false when the bus was unreachable or a whole batch failed.
  bool counted = false;
};
struct OutboxFailureOutcome {
  bool dead_lettered = false;
  int32_t attempts = 0;
  UnixMillis next_attempt_at = 0;
};

class IRunStateStore {
 public:
  virtual ~IRunStateStore() = default;

  // ---- runs and events
  // Metadata, first events, snapshot, head and outbox in one transaction; the plan digest is registered with it.
  // RUN_ALREADY_EXISTS: the run id or the request key is in use (detail `runId` names the run of this tenant that uses
  // the key). PLAN_VERSION_CONFLICT, SCHEMA_VALIDATION_FAILED, IDEMPOTENCY_KEY_MISMATCH.
  virtual Result<BatchResult> BootstrapRun(const TenantScope& scope, const RunMetadata& run,
                                           std::span<const EventWrite> first_events) = 0;
  // 1..100 writes, atomic, order kept. RUN_NOT_FOUND, SCHEMA_VALIDATION_FAILED, IDEMPOTENCY_KEY_MISMATCH,
  // INVALID_TRANSITION (a new lifecycle event after a terminal status).
  virtual Result<BatchResult> AppendEvents(const TenantScope& scope, std::string_view run_id,
                                           std::span<const EventWrite> events) = 0;
  // Ascending `runSeq`, above `after_seq`; empty for an unknown run. VALIDATION_ERROR for a limit outside 1..10 000.
  virtual Result<std::vector<EventRecord>> FetchEvents(const TenantScope& scope, std::string_view run_id,
                                                       int64_t after_seq = 0, int64_t limit = kDefaultFetchLimit) = 0;
  // 0 when the run has no events or is unknown.
  virtual Result<int64_t> HeadSeq(const TenantScope& scope, std::string_view run_id) = 0;
  // The stored snapshot, or nothing.
  virtual Result<std::optional<Snapshot>> GetSnapshot(const TenantScope& scope, std::string_view run_id) = 0;
  // Full replay of the log. RUN_NOT_FOUND.
  virtual Result<Snapshot> ProjectSnapshot(const TenantScope& scope, std::string_view run_id) = 0;
  virtual Result<ResyncAnswer> Resync(const TenantScope& scope, std::string_view run_id,
                                      const ResyncRequest& request) = 0;
  // RUN_NOT_FOUND.
  virtual Result<RunMetadata> GetRunMetadata(const TenantScope& scope, std::string_view run_id) = 0;
  virtual Result<std::optional<RunMetadata>> FindRunByRequest(const TenantScope& scope, std::string_view project_id,
                                                              std::string_view environment_id, std::string_view plan_id,
                                                              std::string_view plan_version,
                                                              std::string_view run_request_id) = 0;
  // VALIDATION_ERROR for a limit outside 1..500 or a cursor this store did not make.
  virtual Result<RunPage> ListRuns(const TenantScope& scope, const ListRunsRequest& request) = 0;
  // Idempotent. VALIDATION_ERROR when `provider` or `runId` of the reference are not those of the run.
  virtual Status SaveProviderRef(const TenantScope& scope, std::string_view run_id, const Json& provider_ref) = 0;

  // ---- identity
  // Stores `candidate` for the key unless one is stored, and returns the stored one (spec 02 section 4.3).
  virtual Result<std::string> ReserveEventId(const TenantScope& scope, std::string_view run_id,
                                             std::string_view idempotency_key, std::string_view candidate) = 0;
  // PLAN_VERSION_CONFLICT when (planId, planVersion) is known with another digest.
  virtual Status RegisterPlanDigest(const TenantScope& scope, std::string_view plan_id, std::string_view plan_version,
                                    std::string_view sha256) = 0;
  // Content-addressed plans, URI `plan:<sha256>` (spec 00 section 5). Idempotent; PLAN_TOO_LARGE above 8 MiB.
  virtual Result<std::string> PutPlan(const TenantScope& scope, std::string_view bytes) = 0;
  virtual Result<std::optional<std::string>> GetPlan(const TenantScope& scope, std::string_view sha256) = 0;

  // ---- signals
  // Record and audit events in one transaction. Of the events, `logicalAttemptId`, `idempotencyKey` and, where the
  // catalog has it, `payload.decisionSeq` are filled in here, because the store numbers decisions. The first is
  // `SignalAccepted` for ACCEPTED and `SignalRejected` for REJECTED; REVISION_REQUIRED has none. `AlertEscalated` may
  // follow. `expected_head`, when given, is the head the decision was made on: the run must still be there, otherwise
  // STATE_STORE_CONFLICT (retryable) and nothing is stored.
  // SIGNAL_DUPLICATE (same signal id, other fingerprint), RUN_NOT_FOUND, SCHEMA_VALIDATION_FAILED,
  // SIGNAL_PERSIST_FAILED (retryable: the store could not write).
  virtual Result<SignalReceipt> RecordSignalDecision(const TenantScope& scope, const SignalDecision& decision,
                                                     std::span<const EventWrite> audit_events,
                                                     std::optional<int64_t> expected_head = std::nullopt) = 0;
  // Appends the verdict on a decision that waits for approval, with its audit events in the same transaction:
  // `SignalAccepted` first when approved, `SignalRejected` first when refused. A repeat with the same verdict by the
  // same person returns the stored view. APPROVAL_SELF, APPROVAL_ALREADY_RESOLVED, SIGNAL_NOT_FOUND.
  virtual Result<SignalDecisionView> RecordSignalApproval(const TenantScope& scope, std::string_view signal_decision_id,
                                                          const SignalApproval& approval,
                                                          std::span<const EventWrite> audit_events) = 0;
  // Appends the engine's result; the first one wins and is returned. SIGNAL_NOT_FOUND.
  virtual Result<SignalDecisionView> RecordSignalResult(const TenantScope& scope, std::string_view signal_decision_id,
                                                        const SignalEngineResult& result) = 0;
  // SIGNAL_NOT_FOUND.
  virtual Result<SignalDecisionView> GetSignalDecision(const TenantScope& scope, std::string_view run_id,
                                                       std::string_view signal_id) = 0;
  virtual Result<SignalDecisionView> GetSignalDecisionByPolicy(const TenantScope& scope,
                                                               std::string_view policy_decision_id) = 0;
  // All decisions of a run by `decisionSeq`; or only those that took effect but have no engine result yet, by the
  // `runSeq` of their `SignalAccepted` (what a restart delivers again).
  virtual Result<std::vector<SignalDecisionView>> ListSignalDecisions(const TenantScope& scope,
                                                                      std::string_view run_id) = 0;
  virtual Result<std::vector<SignalDecisionView>> ListUndeliveredSignals(const TenantScope& scope,
                                                                         std::string_view run_id) = 0;

  // ---- outbox (spec 02 section 12)
  // At most one record a run: its lowest undelivered one, when it is due and not under a live claim.
  virtual Result<std::vector<OutboxRecord>> ClaimOutbox(const TenantScope& scope, int64_t limit = 100) = 0;
  // Idempotent; OUTBOX_RECORD_NOT_FOUND.
  virtual Status MarkDelivered(const TenantScope& scope, std::string_view id) = 0;
  virtual Result<OutboxFailureOutcome> MarkFailed(const TenantScope& scope, const OutboxFailure& failure) = 0;
  // By id of the record after `after_id`, ascending (`runId`, `runSeq`).
  virtual Result<std::vector<DeadLetter>> ListDeadLetters(const TenantScope& scope, int64_t limit = 100,
                                                          std::string_view after_id = {}) = 0;
  // Puts a dead letter back, with no failures counted. A dry run only checks that it is there. A repeat is a no-op.
  // OUTBOX_RECORD_NOT_FOUND when the id was never enqueued.
  virtual Status RequeueDeadLetter(const TenantScope& scope, std::string_view id, bool dry_run) = 0;
};

}  // namespace lockstep::state
