// Events and fakes for tests of whatever uses the state library. Values are valid and fixed unless a test changes them.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/clock.h"
#include "engine-core/state/alert.h"
#include "engine-core/state/event.h"
#include "engine-core/state/store.h"

namespace lockstep::state::testing {

// A clock that stands where it is put. Thread-safe.
class ManualClock final : public IClock {
 public:
  explicit ManualClock(UnixMillis now) : now_(now) {}
  UnixMillis Now() override { return now_.load(); }
  void Set(UnixMillis now) { now_.store(now); }
  void Advance(int64_t millis) { now_.fetch_add(millis); }

 private:
  std::atomic<UnixMillis> now_;
};

// UUIDs in counting order. Thread-safe.
class CountingIds final : public IIdGenerator {
 public:
  explicit CountingIds(uint64_t first = 1) : next_(first) {}
  std::string NewUuid() override;

 private:
  std::atomic<uint64_t> next_;
};

class RecordingAlerts final : public IAlertSink {
 public:
  void Raise(const Alert& alert) override;
  std::vector<Alert> Taken();  // and forgets them
  size_t CountOf(std::string_view code);

 private:
  std::mutex mutex_;
  std::vector<Alert> alerts_;
};

// 2026-02-12T00:00:00.000Z
inline constexpr UnixMillis kEpoch = 1'770'854'400'000;

// Makes the events of one run: valid payloads, right keys, `emittedAt` one millisecond apart.
class EventBuilder {
 public:
  explicit EventBuilder(std::string run_id = "run-1", std::string tenant_id = "t1", std::string plan_id = "hello-world",
                        std::string plan_version = "1.0.0");

  EventWrite Queued(bool approval_required = false);
  EventWrite Run(std::string_view event_type, int32_t occurrence = 1);
  EventWrite Step(std::string_view event_type, std::string_view step_id, int32_t attempt = 1);
  EventWrite Signal(std::string_view event_type, int32_t decision_seq, std::string_view signal_type,
                    Json signal_payload);
  // Any type with an empty payload, known or not.
  EventWrite Plain(std::string_view event_type, int32_t occurrence = 1);

  RunMetadata Metadata() const;
  const std::string& run_id() const { return run_id_; }

 private:
  EventWrite Base(std::string_view event_type, std::string_view step_id, int32_t attempt);

  std::string run_id_;
  std::string tenant_id_;
  std::string plan_id_;
  std::string plan_version_;
  CountingIds ids_;
  int64_t emitted_ = 0;
};

// A payload that the catalog accepts for this type; null for types that need none.
Json ValidPayload(std::string_view event_type);
// Recomputes the key after a test changed the event.
EventWrite Rekeyed(EventWrite event);
// As the append authority would: number and time.
EventRecord Recorded(const EventWrite& event, int64_t run_seq, UnixMillis persisted_at = kEpoch);
std::vector<EventRecord> RecordedAll(const std::vector<EventWrite>& events);
// The seven events of the vector in spec 02 section 9.
std::vector<EventWrite> HelloWorldEvents(EventBuilder& builder);
std::string TestUuid(uint64_t number);

}  // namespace lockstep::state::testing
