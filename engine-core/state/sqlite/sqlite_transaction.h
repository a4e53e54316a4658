// Row access of the SQLite store: one statement a method, a tenant predicate in each. No rules.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "engine-core/state/backend.h"
#include "engine-core/state/sqlite/connection.h"

namespace lockstep::state::sqlite {

// Gives a connection back to whoever lent it.
class IConnectionOwner {
 public:
  virtual ~IConnectionOwner() = default;
  virtual void Return(std::unique_ptr<Connection> connection) = 0;
};

class SqliteTransaction final : public ITransaction {
 public:
  // The transaction has begun on `connection`. Rolls back and gives the connection back when it dies.
  SqliteTransaction(std::unique_ptr<Connection> connection, IConnectionOwner& owner)
      : connection_(std::move(connection)), db_(*connection_), owner_(owner) {}
  ~SqliteTransaction() override;

  Status Commit() override;
  Result<std::optional<RunMetadata>> FindRun(std::string_view tenant, std::string_view run_id) override;
  Result<std::optional<RunMetadata>> FindRunByRequestKey(std::string_view tenant,
                                                         std::string_view request_key) override;
  Result<bool> InsertRun(const RunMetadata& run, std::string_view request_key, UnixMillis created_at) override;
  Result<std::vector<RunMetadata>> ListRuns(std::string_view tenant, std::optional<RunStatus> status,
                                            const std::optional<RunPosition>& after, int64_t limit) override;
  Status SetProviderRef(std::string_view tenant, std::string_view run_id, const Json& provider_ref) override;

  Result<HeadRow> LoadHead(std::string_view tenant, std::string_view run_id) override;
  Status StoreHead(std::string_view tenant, std::string_view run_id, const HeadRow& head) override;
  Result<std::optional<EventRecord>> FindEventByKey(std::string_view tenant, std::string_view run_id,
                                                    std::string_view idempotency_key) override;
  Status InsertEvent(const EventRecord& record, std::string_view text) override;
  Result<std::vector<EventRecord>> ReadEvents(std::string_view tenant, std::string_view run_id, int64_t after_seq,
                                              int64_t limit) override;
  Result<std::optional<Snapshot>> LoadSnapshot(std::string_view tenant, std::string_view run_id) override;
  Status StoreSnapshot(const Snapshot& snapshot, const std::set<std::string>& changed_steps) override;

  Result<std::optional<std::string>> FindEventId(std::string_view tenant, std::string_view run_id,
                                                 std::string_view idempotency_key) override;
  Status InsertEventId(std::string_view tenant, std::string_view run_id, std::string_view idempotency_key,
                       std::string_view event_id) override;
  Result<std::optional<std::string>> FindPlanDigest(std::string_view tenant, std::string_view plan_id,
                                                    std::string_view plan_version) override;
  Status InsertPlanDigest(std::string_view tenant, std::string_view plan_id, std::string_view plan_version,
                          std::string_view sha256) override;
  Result<std::optional<std::string>> FindPlan(std::string_view tenant, std::string_view sha256) override;
  Status InsertPlan(std::string_view tenant, std::string_view sha256, std::string_view bytes) override;

  Result<int32_t> LastDecisionSeq(std::string_view tenant, std::string_view run_id) override;
  Result<bool> InsertDecision(std::string_view tenant, const SignalDecision& decision) override;
  Result<std::optional<SignalDecisionView>> FindDecision(std::string_view tenant, std::string_view run_id,
                                                         std::string_view signal_id) override;
  Result<std::optional<SignalDecisionView>> FindDecisionById(std::string_view tenant, std::string_view id) override;
  Result<std::optional<SignalDecisionView>> FindDecisionByPolicy(std::string_view tenant, std::string_view id) override;
  Result<std::vector<SignalDecisionView>> ListDecisions(std::string_view tenant, std::string_view run_id) override;
  Status InsertApproval(std::string_view tenant, std::string_view id, const SignalApproval& approval) override;
  Status InsertResult(std::string_view tenant, std::string_view id, const SignalEngineResult& result) override;

  Status InsertOutbox(const OutboxRecord& record) override;
  Result<std::optional<OutboxRecord>> FindOutbox(std::string_view tenant, std::string_view run_id,
                                                 int64_t run_seq) override;
  Status UpdateOutbox(const OutboxRecord& record) override;
  Status DeleteOutbox(std::string_view tenant, std::string_view run_id, int64_t run_seq) override;
  Result<std::vector<OutboxRecord>> FindClaimable(std::string_view tenant, UnixMillis now, UnixMillis lease_start,
                                                  int64_t limit) override;
  Status PromoteOutbox(std::string_view tenant, std::string_view run_id) override;
  Status InsertDeadLetter(const DeadLetter& letter) override;
  Result<std::optional<DeadLetter>> FindDeadLetter(std::string_view tenant, std::string_view run_id,
                                                   int64_t run_seq) override;
  Status DeleteDeadLetter(std::string_view tenant, std::string_view run_id, int64_t run_seq) override;
  Result<std::vector<DeadLetter>> ListDeadLetters(std::string_view tenant, std::string_view after_run_id,
                                                  int64_t after_run_seq, int64_t limit) override;

 private:
  Status InsertOutcome(std::string_view tenant, std::string_view id, std::string_view kind, const Json& outcome);

  std::unique_ptr<Connection> connection_;
  Connection& db_;
  IConnectionOwner& owner_;
};

}  // namespace lockstep::state::sqlite
