// One round of outbox delivery (spec 02 section 12): claim, publish, settle. The loop around it (every `kOutboxPollMs`)
// and its thread belong to the caller. A bus that cannot be reached is retried for ever and never counted; only a
// record that the bus refuses by itself is counted, and a failed batch is first retried record by record. Delivery is
// at least once: a crash between publish and settle delivers again, and consumers tell a repeat by `eventId`.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine-core/base/result.h"
#include "engine-core/state/store.h"

namespace lockstep::state {

class IEventBus {
 public:
  enum class Answer : uint8_t {
    kDelivered,
    kRefused,      // the bus is there and does not take this; for a batch: at least one record of it
    kUnreachable,  // nothing can be said about the records
  };
  struct Receipt {
    Answer answer = Answer::kDelivered;
    std::string error;  // one line, when not delivered
  };
  virtual ~IEventBus() = default;
  // All or nothing as far as the answer goes; records of a refused batch may have arrived all the same.
  virtual Receipt Publish(std::span<const OutboxRecord> records) = 0;
};

struct DispatchReport {
  int64_t claimed = 0;
  int64_t delivered = 0;
  int64_t refused = 0;    // counted failures
  int64_t postponed = 0;  // uncounted failures
  int64_t dead_lettered = 0;
};

// Error: the store's. What was published before it stays claimed and is delivered again after the lease.
Result<DispatchReport> DispatchOutbox(IRunStateStore& store, const TenantScope& scope, IEventBus& bus, int64_t batch);

}  // namespace lockstep::state
