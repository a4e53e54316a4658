// The names of event types, in the one spelling people see: `TimerStarted`, as the Temporal CLI prints them.
#pragma once

#include <string>
#include <string_view>

namespace temporal::api::history::v1 {
class HistoryEvent;
}

namespace lockstep::history {

struct HistoryInfo;

// `WorkflowExecutionStarted`; `Unknown(N)` for a number this build does not know, `Unspecified` for 0.
std::string EventTypeName(int event_type);
// The same, with the name an unknown event had in the file where `info` remembers one.
std::string EventTypeName(const temporal::api::history::v1::HistoryEvent& event, const HistoryInfo& info);
// True for a type that this build knows (0 is not one).
bool IsKnownEventType(int event_type);

}  // namespace lockstep::history
