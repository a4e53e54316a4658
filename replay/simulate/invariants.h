// What must hold for every run, whatever happens to it: the rules of spec 02 and 04 that the log shows, and those that
// only show while it runs. Each has a name, which is what a failure is called and what shrinking keeps.
#pragma once

#include <map>
#include <optional>
#include <set>
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
  // A batch as the interpreter asks for it, and as the store is given it.
  void NoteProposed(const Json& input);
  void NoteBatch(const Json& input);
  // What is proposed in between belongs to one task; `lost`: nobody will know of it.
  void BeginTask() { in_task_.clear(); }
  void EndTask(bool lost);
  // Appended by a lost task: the task that survived asks for it elsewhere in the log, or not at all because it knows more.
  bool FromLostTask(const std::string& key) const { return lost_.contains(key); }
  // Of these, what no task after it asked for: the run went another way than the log says.
  bool Orphaned(const std::string& key) const { return orphans_.contains(key); }
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
  std::map<std::string, std::set<std::string>> proposed_;  // idempotency key -> event ids that the interpreter gave it
  std::vector<std::string> in_task_;                       // keys
  std::set<std::string, std::less<>> lost_, orphans_;     // keys
  std::optional<Violation> first_;
};

}  // namespace lockstep::simulate
