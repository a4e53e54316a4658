// What a storage medium must offer so that `TransactionalStore` can be a state store on it: transactions and row
// access, no rules. All rules live in `TransactionalStore`, once; a backend only finds, inserts and updates rows of its
// tenant.
//
// Contract: inside one transaction `TransactionalStore` reads everything it decides on before its first write, and a
// write fails only when the medium fails. A transaction that is destroyed without `Commit` leaves nothing behind. Write
// transactions of one store, in whatever process, exclude each other; a read transaction sees one committed state.
// `tenant` is part of every statement.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/result.h"
#include "engine-core/base/time.h"
#include "engine-core/state/event.h"
#include "engine-core/state/snapshot.h"
#include "engine-core/state/store.h"

namespace lockstep::state {

struct HeadRow {
  int64_t last_seq = 0;
  UnixMillis last_persisted_at = 0;
  RunStatus status = RunStatus::kPending;
};

class ITransaction {
 public:
  virtual ~ITransaction() = default;
  virtual Status Commit() = 0;

  // runs
  virtual Result<std::optional<RunMetadata>> FindRun(std::string_view tenant, std::string_view run_id) = 0;
  virtual Result<std::optional<RunMetadata>> FindRunByRequestKey(std::string_view tenant,
                                                                 std::string_view request_key) = 0;
  // False, with nothing written, when the run id is in use by anyone. `request_key` may be empty.
  virtual Result<bool> InsertRun(const RunMetadata& run, std::string_view request_key, UnixMillis created_at) = 0;
  // Newest first by (`created_at`, `run_id`), strictly after the position when it is given.
  struct RunPosition {
    UnixMillis created_at = 0;
    std::string run_id;
  };
  virtual Result<std::vector<RunMetadata>> ListRuns(std::string_view tenant, std::optional<RunStatus> status,
                                                    const std::optional<RunPosition>& after, int64_t limit) = 0;
  virtual Status SetProviderRef(std::string_view tenant, std::string_view run_id, const Json& provider_ref) = 0;

  // heads, events, snapshots
  virtual Result<HeadRow> LoadHead(std::string_view tenant, std::string_view run_id) = 0;
  virtual Status StoreHead(std::string_view tenant, std::string_view run_id, const HeadRow& head) = 0;
  virtual Result<std::optional<EventRecord>> FindEventByKey(std::string_view tenant, std::string_view run_id,
                                                            std::string_view idempotency_key) = 0;
  virtual Status InsertEvent(const EventRecord& record, std::string_view text) = 0;
  virtual Result<std::vector<EventRecord>> ReadEvents(std::string_view tenant, std::string_view run_id,
                                                      int64_t after_seq, int64_t limit) = 0;
  virtual Result<std::optional<Snapshot>> LoadSnapshot(std::string_view tenant, std::string_view run_id) = 0;
  // `changed_steps` are the steps that differ from what is stored.
  virtual Status StoreSnapshot(const Snapshot& snapshot, const std::set<std::string>& changed_steps) = 0;

  // identity
  virtual Result<std::optional<std::string>> FindEventId(std::string_view tenant, std::string_view run_id,
                                                         std::string_view idempotency_key) = 0;
  virtual Status InsertEventId(std::string_view tenant, std::string_view run_id, std::string_view idempotency_key,
                               std::string_view event_id) = 0;
  virtual Result<std::optional<std::string>> FindPlanDigest(std::string_view tenant, std::string_view plan_id,
                                                            std::string_view plan_version) = 0;
  virtual Status InsertPlanDigest(std::string_view tenant, std::string_view plan_id, std::string_view plan_version,
                                  std::string_view sha256) = 0;
  virtual Result<std::optional<std::string>> FindPlan(std::string_view tenant, std::string_view sha256) = 0;
  virtual Status InsertPlan(std::string_view tenant, std::string_view sha256, std::string_view bytes) = 0;

  // signals
  virtual Result<int32_t> LastDecisionSeq(std::string_view tenant, std::string_view run_id) = 0;
  // False, with nothing written, when the decision id or the policy decision id is in use.
  virtual Result<bool> InsertDecision(std::string_view tenant, const SignalDecision& decision) = 0;
  virtual Result<std::optional<SignalDecisionView>> FindDecision(std::string_view tenant, std::string_view run_id,
                                                                 std::string_view signal_id) = 0;
  virtual Result<std::optional<SignalDecisionView>> FindDecisionById(std::string_view tenant,
                                                                     std::string_view signal_decision_id) = 0;
  virtual Result<std::optional<SignalDecisionView>> FindDecisionByPolicy(std::string_view tenant,
                                                                         std::string_view policy_decision_id) = 0;
  // Ascending `decisionSeq`.
  virtual Result<std::vector<SignalDecisionView>> ListDecisions(std::string_view tenant, std::string_view run_id) = 0;
  virtual Status InsertApproval(std::string_view tenant, std::string_view signal_decision_id,
                                const SignalApproval& approval) = 0;
  virtual Status InsertResult(std::string_view tenant, std::string_view signal_decision_id,
                              const SignalEngineResult& result) = 0;

  // outbox: `ready` marks the lowest undelivered record of each run
  virtual Status InsertOutbox(const OutboxRecord& record) = 0;
  virtual Result<std::optional<OutboxRecord>> FindOutbox(std::string_view tenant, std::string_view run_id,
                                                         int64_t run_seq) = 0;
  // Everything but the identity of the row.
  virtual Status UpdateOutbox(const OutboxRecord& record) = 0;
  virtual Status DeleteOutbox(std::string_view tenant, std::string_view run_id, int64_t run_seq) = 0;
  // Ready, undelivered, `next_attempt_at` at most `now`, and not claimed after `lease_start`; ascending
  // (`next_attempt_at`, `run_id`).
  virtual Result<std::vector<OutboxRecord>> FindClaimable(std::string_view tenant, UnixMillis now,
                                                          UnixMillis lease_start, int64_t limit) = 0;
  // Recomputes `ready` for one run after its rows changed.
  virtual Status PromoteOutbox(std::string_view tenant, std::string_view run_id) = 0;
  virtual Status InsertDeadLetter(const DeadLetter& letter) = 0;
  virtual Result<std::optional<DeadLetter>> FindDeadLetter(std::string_view tenant, std::string_view run_id,
                                                           int64_t run_seq) = 0;
  virtual Status DeleteDeadLetter(std::string_view tenant, std::string_view run_id, int64_t run_seq) = 0;
  // Ascending (`run_id`, `run_seq`), strictly after the position.
  virtual Result<std::vector<DeadLetter>> ListDeadLetters(std::string_view tenant, std::string_view after_run_id,
                                                          int64_t after_run_seq, int64_t limit) = 0;
};

class IBackend {
 public:
  virtual ~IBackend() = default;
  // STATE_STORE_TIMEOUT when another writer keeps the store busy for longer than the write budget.
  virtual Result<std::unique_ptr<ITransaction>> BeginWrite() = 0;
  virtual Result<std::unique_ptr<ITransaction>> BeginRead() = 0;
};

}  // namespace lockstep::state
