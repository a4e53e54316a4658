#include "engine-core/state/outbox_dispatcher.h"

#include <vector>

namespace lockstep::state {
namespace {

Status Settle(IRunStateStore& store, const TenantScope& scope, const OutboxRecord& record,
              const IEventBus::Receipt& receipt, DispatchReport* report) {
  if (receipt.answer == IEventBus::Answer::kDelivered) {
    LOCKSTEP_TRY(store.MarkDelivered(scope, record.id));
    ++report->delivered;
    return {};
  }
  const bool counted = receipt.answer == IEventBus::Answer::kRefused;
  LOCKSTEP_ASSIGN(
      const OutboxFailureOutcome outcome,
      store.MarkFailed(scope,
                       {.id = record.id, .claim_id = record.claim_id, .error = receipt.error, .counted = counted}));
  ++(counted ? report->refused : report->postponed);
  if (outcome.dead_lettered) ++report->dead_lettered;
  return {};
}

}  // namespace

Result<DispatchReport> DispatchOutbox(IRunStateStore& store, const TenantScope& scope, IEventBus& bus, int64_t batch) {
  DispatchReport report;
  LOCKSTEP_ASSIGN(const std::vector<OutboxRecord> records, store.ClaimOutbox(scope, batch));
  report.claimed = static_cast<int64_t>(records.size());
  if (records.empty()) return report;
  const IEventBus::Receipt whole = bus.Publish(records);
  const bool one_by_one = whole.answer == IEventBus::Answer::kRefused && records.size() > 1;
  for (const OutboxRecord& record : records) {
    const IEventBus::Receipt receipt = one_by_one ? bus.Publish(std::span(&record, 1)) : whole;
    LOCKSTEP_TRY(Settle(store, scope, record, receipt, &report));
  }
  return report;
}

}  // namespace lockstep::state
