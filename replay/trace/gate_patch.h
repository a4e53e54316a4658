// The smallest version gate (wf::get_version) that lets old runs go the old way, as a patch against the changed file:
// both texts stay, the recorded version chooses. A proposal for review; it is right when the replay is in step with it.
#pragma once

#include <string>
#include <vector>

#include "replay/trace/source_view.h"

namespace lockstep::replay {

struct GatePatch {
  std::string change_id;
  std::string patch;  // unified diff; empty: none can be made from the text alone
  std::string note;   // what to know about it, or why there is none
};

// For a change that is known from a diff.
GatePatch GateForChange(SourceTree* tree, const Hunk& hunk, const std::string& change_id);
// For a command that is new and stands in one statement at this line; nothing is known of the old text.
GatePatch GateForNewCommand(SourceTree* tree, const workflow::SourceLine& where, const std::string& change_id);

// `PlanRun::StepInput`, `input` -> `step-input-input`.
std::string ChangeIdFor(std::string_view function, std::string_view what);

// Internal, for tests: the one line that holds both, by a conditional expression; empty when there is no such line.
std::string ConditionalLine(const std::string& before, const std::string& after, const std::string& gate);

}  // namespace lockstep::replay
