// Does a history hold together? Names the event at fault, for histories of any SDK. A history that an honest server
// wrote has no problem: open ones, reset ones, with failed or timed-out workflow tasks, with buffered events.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace temporal::api::history::v1 {
class History;
}

namespace lockstep::history {

struct HistoryInfo;

struct Problem {
  int64_t event_id = 0;  // 0: the history as a whole
  std::string code;      // one of ProblemKinds()
  std::string message;   // one line, without the id and the code
  friend bool operator==(const Problem&, const Problem&) = default;
};

struct ProblemKind {
  std::string_view code;
  std::string_view meaning;
  std::string_view remedy;
};
// Every code CheckIntegrity can give:
//   HISTORY_EMPTY                no event at all
//   HISTORY_START_INVALID        the first event is not WorkflowExecutionStarted, or it comes again
//   EVENT_ID_NOT_CONTIGUOUS      ids do not count up by one from 1
//   EVENT_TYPE_MISSING           an event without a type
//   EVENT_TYPE_UNKNOWN           a type this build does not know, and workerMayIgnore is not set
//   EVENT_ATTRIBUTES_MISMATCH    no attributes, or those of another type
//   EVENT_TIME_INVALID           a time outside of the years 1 to 9999
//   EVENT_REFERENCE_MISSING      a reference that must be there is 0
//   EVENT_REFERENCE_NOT_EARLIER  it points at the event itself, a later one, or nowhere
//   EVENT_REFERENCE_WRONG_TYPE   it points at an event of another kind
//   EVENT_REFERENCE_CONFLICT     started or closed twice, or two references of one event disagree
//   WORKFLOW_TASK_UNPAIRED       workflow tasks scheduled, started and closed out of turn
//   EVENT_AFTER_CLOSE            something after the workflow's end
std::span<const ProblemKind> ProblemKinds();

// In order of events. `info` tells the texts of unknown event types.
std::vector<Problem> CheckIntegrity(const temporal::api::history::v1::History& history, const HistoryInfo& info);

// True for the six events that end a run.
bool IsTerminalEvent(int event_type);

}  // namespace lockstep::history
