// What `lockstep inspect` shows: a time line for people, one line an event with the fact that matters, integrity
// problems beneath the event at fault; and the same as an object for programs.
#pragma once

#include <string>
#include <string_view>

#include "engine-core/base/json.h"
#include "replay/history/reader.h"

namespace temporal::api::history::v1 {
class HistoryEvent;
}

namespace lockstep::history {

struct TimelineOptions {
  bool color = false;
  int width = 0;  // columns to cut lines at; 0: do not cut
};

// Control characters from the history never reach the terminal.
std::string RenderTimeline(const LoadedHistory& loaded, const TimelineOptions& options = {});

// {path, events, eventTypes: {name: count}, workflowType, status, problems: [{eventId, code, message}]}
Json InspectJson(const LoadedHistory& loaded);

// RUNNING, COMPLETED, FAILED, CANCELED, TERMINATED, TIMED_OUT or CONTINUED_AS_NEW: what the last terminal event says.
std::string_view HistoryStatus(const temporal::api::history::v1::History& history);
// The same of one event; empty when it ends nothing.
std::string_view ClosingStatus(const temporal::api::history::v1::HistoryEvent& event);
// Of the first event that starts the workflow; empty when there is none.
std::string WorkflowType(const temporal::api::history::v1::History& history);
// The essential fact of one event in a line: activity type and id, duration of a timer, message of a failure...
std::string EventFact(const temporal::api::history::v1::HistoryEvent& event);

}  // namespace lockstep::history
