// Runs of plans from arbitrary bytes, for fuzzing: the bytes make a plan, how its steps end, and what happens to the run in
// which order. Every outcome is a history that a server could have written.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "engine-core/interpreter/testing/plan_script.h"

namespace lockstep::interpreter::testing {

// Bytes as small decisions; zeros once they are used up.
class Decisions {
 public:
  explicit Decisions(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return at_ >= bytes_.size(); }
  uint8_t Byte() { return empty() ? 0 : bytes_[at_++]; }
  // In [0, limit).
  size_t Below(size_t limit) { return limit == 0 ? 0 : Byte() % limit; }
  bool OneIn(size_t n) { return Below(n) == 0; }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

// A JSON value of any kind.
Json AnyJson(Decisions* decisions, int depth = 2);
// A run as far as the bytes lead it: ended or not.
std::unique_ptr<PlanScript> RunFromBytes(std::span<const uint8_t> bytes);
// The same history with some of its payloads, numbers and texts changed, events dropped, doubled or swapped.
void DamageHistory(History* history, Decisions* decisions);

}  // namespace lockstep::interpreter::testing
