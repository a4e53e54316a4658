// The gate proves itself: into a copy of each history a divergence is injected, as if other code had been recorded, and
// the replay must find it. A replay that finds nothing in them would find nothing in a broken change either.
#pragma once

#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace lockstep::workflow {
class WorkflowRegistry;
}

namespace lockstep::reports {

struct Proof {
  size_t injected = 0;               // histories that could carry an injection
  size_t caught = 0;                 // of which the replay reported DIVERGED
  std::vector<std::string> missed;   // paths
  std::vector<std::string> without;  // paths of histories without a command to change
  bool holds() const { return injected > 0 && missed.empty(); }
};

// `inputs` as replay::FindHistories gives them. Unreadable ones count as `without`. Errors: FILE_IO of the temporary
// folder.
Result<Proof> ProveReplay(const std::vector<std::string>& inputs, const workflow::WorkflowRegistry& registry,
                          unsigned jobs);

Json ToJson(const Proof& proof);
std::string RenderText(const Proof& proof);

}  // namespace lockstep::reports
