// The time line as one self-contained HTML page (`lockstep trace --html`): events, workflow tasks, steps as lanes,
// state at each point, the divergence marked, a second run beside it. The page loads nothing; its parts are in
// replay/trace/page/. Invariant: the size grows with the history, not with its square: snapshots are kept as changes
// from task to task.
#pragma once

#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "replay/session/input.h"

namespace lockstep::workflow {
class WorkflowRegistry;
}

namespace lockstep::replay {

// One run, one execution of its chain. `registry` may be nullptr: then without lines, waits and snapshots.
// The code runs in this process as far as `tasks` workflow tasks of the whole chain (0: none), so that code which
// leaves the history, crashes or spins after them is not run.
Json TimelineRun(const ReplayInput& input, size_t execution, const workflow::WorkflowRegistry* registry, size_t tasks);

// `divergence` is divergence.json or null. `runs` has one or two.
std::string TimelinePage(std::vector<Json> runs, const Json& divergence);

// What turns `before` into `after` by RFC 7396; arrays are replaced as a whole. 0 (the number) when nothing does.
Json MergePatchBetween(const Json& before, const Json& after);

}  // namespace lockstep::replay
