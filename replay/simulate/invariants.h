// What must hold for every run, whatever happens to it: the rules of spec 02 and 04 that the log shows, and those that only show
// while it runs. Each has a name, which is what a failure is called and what shrinking keeps.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/plan/plan.h"
#include "engine-core/state/event.h"
#include "engine-core/state/snapshot.h"
#include "replay/simulate/simulation.h"

namespace lockstep::simulate {

// Of one run.
class Watch {
 public:
  void Expect(const plan::Plan& plan) { plan_ = &plan; }
  // A batch of `emitEvents` before the store sees it.
  void NoteBatch(const Json& input);
  // Broken, by name; the first one counts.
  void Note(std::string_view invariant, std::string message);
  // The whole log once the run is over, and the store's snapshot.
  void HoldLog(const std::vector<state::EventRecord>& log, const state::Snapshot& stored, bool closed);
  std::optional<Violation> First() const { return first_; }

 private:
  void HoldSequence(const std::vector<state::EventRecord>& log);
  void HoldMachines(const std::vector<state::EventRecord>& log, const state::Snapshot& stored);
  void HoldAttempts(const std::vector<state::EventRecord>& log);
  void HoldWalk(const std::vector<state::EventRecord>& log);
  void HoldEnd(const std::vector<state::EventRecord>& log, bool closed);

  const plan::Plan* plan_ = nullptr;
  std::map<std::string, std::string> event_ids_;  // idempotency key -> event id
  std::optional<Violation> first_;
};

}  // namespace lockstep::simulate
