// The state of a run at any event of its history (`lockstep state`): what is under way by the events alone, and, where
// this build has the workflow's code, what replaying to that event tells besides: commands that the history does not
// show yet, the line that issued each, where every live coroutine waits, and the engine's snapshot. Invariant: the
// state at event N depends on the events up to N only; code that leaves the history before N contributes nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/workflow/divergence.h"
#include "replay/history/pending.h"
#include "replay/session/input.h"
#include "replay/session/session.h"

namespace lockstep::workflow {
class Execution;
class WorkflowRegistry;
}  // namespace lockstep::workflow

namespace lockstep::replay {

struct AwaitView {
  std::string waits_for;  // `activity step/a/1`, `a condition`, ...
  int64_t event_id = 0;   // of the command waited for
  bool main = false;      // the workflow function itself, not a spawned task
  bool cancelled = false;
  std::vector<workflow::SourceLine> stack;  // innermost first
  friend bool operator==(const AwaitView&, const AwaitView&) = default;
};
std::vector<AwaitView> AwaitViews(const workflow::Execution& execution);

struct CommandView {
  std::string identity;  // `ActivityTaskScheduled step/a/1`
  workflow::SourceLine where;
};

struct StatePoint {
  int64_t execution = 1;  // position in the chain
  int64_t event_id = 0;
  std::string event_type;
  int64_t time_ms = 0;
  int64_t elapsed_ms = 0;         // since the first event of this history
  int64_t task_started_id = 0;    // of the last workflow task whose code has run; 0: none yet
  int64_t task_completed_id = 0;  // 0: still open at this event
  history::PendingWork pending;
  // From here on only with the code.
  bool code = false;
  std::string why_no_code;                        // one line, when `code` is false
  std::map<int64_t, workflow::SourceLine> lines;  // of the commands, by their event
  std::vector<CommandView> unrecorded;            // issued, and not in the history up to this event
  std::vector<AwaitView> awaits;
  std::vector<std::string> buffered;  // local activities asked for and without outcome, signals nobody took
  int64_t run_seq = 0;                // 0: the engine's log is not followed
  Json snapshot;
  std::string snapshot_hash;
};

struct StateOptions {
  const workflow::WorkflowRegistry* registry = nullptr;  // nullptr: from events alone
  int64_t execution = 1;                                 // of a chain
  int64_t at = 0;  // event id; 0: at the end of every workflow task, of every execution
  // Told before the code runs and after, as in SessionOptions.
  std::function<void(const workflow::Execution*)> on_activate;
};

// Errors: INPUT_EVENT_OUT_OF_RANGE, INPUT_EXECUTION_OUT_OF_RANGE.
Result<std::vector<StatePoint>> StatesOf(const ReplayInput& input, const StateOptions& options);

// {"file", "line", "function"}; null when it is not known.
Json LineJson(const workflow::SourceLine& line);
Json ToJson(const AwaitView& view);
Json ToJson(const StatePoint& point);
Json StateReportJson(const ReplayInput& input, const std::vector<StatePoint>& points);
std::string RenderStates(const ReplayInput& input, const std::vector<StatePoint>& points, bool color);

}  // namespace lockstep::replay
