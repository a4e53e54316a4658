// What a history exercises, as a set of short names: for each command how it went from its event to its end, which
// commands follow one another inside a workflow task, and what reached the code between. A corpus is worth as much as
// the union of these.
#pragma once

#include <set>
#include <string>

namespace temporal::api::history::v1 {
class History;
}

namespace lockstep::replay {

// `activity:Scheduled>Started>Completed`, `task:TimerStarted>ActivityTaskScheduled`, `to:WorkflowExecutionSignaled`,
// ...
std::set<std::string> TransitionsOf(const temporal::api::history::v1::History& history);

}  // namespace lockstep::replay
