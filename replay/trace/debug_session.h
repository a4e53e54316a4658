// A debugger at the workflow code of a chosen event (`lockstep debug`): the history is replayed up to the workflow task
// in which the code sees that event, then the debugger stops where that task's code resumes or issues its commands.
// Going back is replaying again.
//
// Two processes: the debugger runs this program with `--under-debugger`, which replays and calls `lockstep_debug_stop`
// before the task; the script for the debugger is made beforehand from a replay of its own, which tells the lines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine-core/base/result.h"
#include "replay/session/input.h"

namespace lockstep::workflow {
class WorkflowRegistry;
}

namespace lockstep::replay {

// The debugger's first breakpoint: the named workflow task is about to run.
extern "C" void lockstep_debug_stop(int64_t started_event_id);

struct DebugPoint {
  int64_t execution = 1;
  int64_t started_id = 0;   // of the workflow task whose code sees the event
  int64_t previous_id = 0;  // of the task before and after; 0: there is none
  int64_t next_id = 0;
  std::vector<workflow::SourceLine> stops;  // where the code resumes, then what it issues; each once
};
// The task in which the code sees event `at`. Errors: WORKFLOW_TYPE_UNKNOWN, INPUT_EVENT_OUT_OF_RANGE,
// INPUT_EXECUTION_OUT_OF_RANGE.
Result<DebugPoint> FindDebugPoint(const ReplayInput& input, const workflow::WorkflowRegistry& registry,
                                  int64_t execution, int64_t at);

enum class Debugger : uint8_t { kGdb, kLldb };
struct DebugScript {
  std::string program;  // this one
  std::string history;
  std::string script;  // where the text below will stand
  bool batch = false;  // show where it stopped, and leave
  std::vector<std::string> libraries;  // of workflows, to be loaded again
};
// Commands for the debugger. gdb also gets `lockstep-back`, `lockstep-forward` and `lockstep-goto EVENT`.
std::string DebuggerCommands(Debugger debugger, const DebugPoint& point, const DebugScript& script);

// What runs under the debugger: replays to the task, stops there, goes on to the end.
void ReplayUnderDebugger(const ReplayInput& input, const workflow::WorkflowRegistry& registry, const DebugPoint& point);

}  // namespace lockstep::replay
