// How a history grows, why, and how long until the server ends the run for it: 51 200 events or 50 MB (the limits of a
// Temporal server with default settings). Any SDK.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine-core/base/json.h"

namespace temporal::api::history::v1 {
class History;
class HistoryEvent;
}  // namespace temporal::api::history::v1

namespace lockstep::history {

inline constexpr int64_t kMaxHistoryEvents = 51'200;
inline constexpr int64_t kMaxHistoryBytes = 50 * int64_t{1024} * 1024;

// What made the history longer: an activity with all its events, a timer, a kind of marker, a signal, the workflow
// tasks themselves.
struct GrowthCause {
  std::string name;  // `activity executeStep`, `workflow tasks`, `signal pause`, `timers`, `markers LocalActivity`, ...
  int64_t events = 0;
  int64_t bytes = 0;
};

struct GrowthReport {
  int64_t events = 0;
  int64_t bytes = 0;  // as the server counted with the last workflow task, plus what came after; else our own sum
  bool bytes_of_server = false;
  int64_t duration_ms = 0;
  bool closed = false;
  std::vector<GrowthCause> causes;  // most bytes first
  int64_t largest_event_id = 0;
  int64_t largest_event_bytes = 0;
  // At the pace of the last quarter of the time (of the whole when that is too little to tell); -1: does not grow, or
  // is over.
  int64_t to_event_limit_ms = -1;
  int64_t to_size_limit_ms = -1;
  bool suggests_continue_as_new = false;  // the server said so with a workflow task
};

GrowthReport MeasureGrowth(const temporal::api::history::v1::History& history);
Json ToJson(const GrowthReport& report);
std::string RenderGrowth(const GrowthReport& report);

}  // namespace lockstep::history
