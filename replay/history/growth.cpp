#include "replay/history/growth.h"

#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <map>

#include "engine-core/base/bytes.h"
#include "engine-core/base/time.h"
#include "replay/history/event_names.h"
#include "replay/history/integrity.h"
#include "replay/history/pending.h"

namespace lockstep::history {
namespace {

using temporal::api::history::v1::History;
using temporal::api::history::v1::HistoryEvent;
using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary

std::string CauseOf(const HistoryEvent& event, const std::map<int64_t, std::string>& opened) {
  const auto parent = opened.find(OpenedBy(event));
  if (parent != opened.end()) return parent->second;
  switch (event.event_type()) {
    case EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
      return "activity " + PrintableUtf8(event.activity_task_scheduled_event_attributes().activity_type().name());
    case EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
      return "child workflow " +
             PrintableUtf8(event.start_child_workflow_execution_initiated_event_attributes().workflow_type().name());
    case EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
      return "signal " + PrintableUtf8(event.workflow_execution_signaled_event_attributes().signal_name());
    case EVENT_TYPE_MARKER_RECORDED:
      return "markers " + PrintableUtf8(event.marker_recorded_event_attributes().marker_name());
    case EVENT_TYPE_TIMER_STARTED:
      return "timers";
    case EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
    case EVENT_TYPE_WORKFLOW_TASK_STARTED:
    case EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
    case EVENT_TYPE_WORKFLOW_TASK_FAILED:
    case EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
      return "workflow tasks";
    case EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
      return "search attributes";
    case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
      return "start and input";
    default:
      return EventTypeName(event.event_type());
  }
}

// How long the rest takes at this pace; -1: never.
int64_t TimeFor(int64_t rest, int64_t grown, int64_t over_ms) {
  if (grown <= 0 || over_ms <= 0) return -1;
  if (rest <= 0) return 0;
  const double ms = static_cast<double>(rest) * static_cast<double>(over_ms) / static_cast<double>(grown);
  return ms > 9e15 ? -1 : static_cast<int64_t>(ms);
}

std::string SizeText(int64_t bytes) {
  char text[32];
  if (bytes < 1024) return std::to_string(bytes) + " B";
  std::snprintf(text, sizeof(text), bytes < 1024 * 1024 ? "%.1f kB" : "%.1f MB",
                bytes < 1024 * 1024 ? static_cast<double>(bytes) / 1024 : static_cast<double>(bytes) / 1024 / 1024);
  return text;
}

std::string PercentText(int64_t part, int64_t whole) {
  char text[16];
  std::snprintf(text, sizeof(text), "%.1f %%",
                whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0);
  return text;
}

}  // namespace

GrowthReport MeasureGrowth(const History& history) {
  GrowthReport report;
  report.events = history.events_size();
  if (report.events == 0) return report;
  std::map<std::string, GrowthCause> causes;
  std::map<int64_t, std::string> opened;
  std::vector<int64_t> sizes;
  int64_t sum = 0, counted = 0, after = 0;
  for (const HistoryEvent& event : history.events()) {
    const auto bytes = static_cast<int64_t>(event.ByteSizeLong());
    sum += bytes;
    after += bytes;
    sizes.push_back(bytes);
    const std::string name = CauseOf(event, opened);
    opened[event.event_id()] = name;
    GrowthCause& cause = causes[name];
    cause.name = name;
    ++cause.events;
    cause.bytes += bytes;
    if (bytes > report.largest_event_bytes) {
      report.largest_event_bytes = bytes;
      report.largest_event_id = event.event_id();
    }
    if (event.has_workflow_task_started_event_attributes()) {
      const auto& started = event.workflow_task_started_event_attributes();
      if (started.history_size_bytes() > 0) {
        counted = started.history_size_bytes();
        after = 0;
      }
      report.suggests_continue_as_new = report.suggests_continue_as_new || started.suggest_continue_as_new();
    }
    report.closed = report.closed || IsTerminalEvent(event.event_type());
  }
  report.bytes_of_server = counted > 0;
  report.bytes = counted > 0 ? counted + after : sum;
  const int64_t begin = TimeMillis(history.events(0)), end = TimeMillis(history.events(history.events_size() - 1));
  report.duration_ms = std::max<int64_t>(0, end - begin);
  if (!report.closed) {
    int64_t from = end - report.duration_ms / 4, grown = 0, grown_bytes = 0;
    for (int i = history.events_size() - 1; i > 0 && TimeMillis(history.events(i)) > from; --i) {
      ++grown;
      grown_bytes += sizes[static_cast<size_t>(i)];
    }
    if (grown < 10) {
      from = begin;
      grown = report.events - 1;
      grown_bytes = sum;
    }
    report.to_event_limit_ms = TimeFor(kMaxHistoryEvents - report.events, grown, end - from);
    report.to_size_limit_ms = TimeFor(kMaxHistoryBytes - report.bytes, grown_bytes, end - from);
  }
  for (auto& [name, cause] : causes) report.causes.push_back(std::move(cause));
  std::stable_sort(report.causes.begin(), report.causes.end(),
                   [](const GrowthCause& a, const GrowthCause& b) { return a.bytes > b.bytes; });
  return report;
}

Json ToJson(const GrowthReport& report) {
  Json causes = Json::MakeArray();
  for (const GrowthCause& cause : report.causes) {
    causes.Push(Json::MakeObject({{"cause", cause.name}, {"events", cause.events}, {"bytes", cause.bytes}}));
  }
  const auto limit = [](int64_t ms) { return ms < 0 ? Json() : Json(ms); };
  return Json::MakeObject({{"events", report.events},
                           {"bytes", report.bytes},
                           {"bytesFrom", report.bytes_of_server ? "server" : "messages"},
                           {"durationMs", report.duration_ms},
                           {"closed", report.closed},
                           {"causes", std::move(causes)},
                           {"largestEvent", Json::MakeObject({{"eventId", report.largest_event_id},
                                                              {"bytes", report.largest_event_bytes}})},
                           {"limits", Json::MakeObject({{"events", kMaxHistoryEvents}, {"bytes", kMaxHistoryBytes}})},
                           {"msToEventLimit", limit(report.to_event_limit_ms)},
                           {"msToSizeLimit", limit(report.to_size_limit_ms)},
                           {"suggestsContinueAsNew", report.suggests_continue_as_new}});
}

std::string RenderGrowth(const GrowthReport& report) {
  std::string text = "growth: " + std::to_string(report.events) + " events (" +
                     PercentText(report.events, kMaxHistoryEvents) + " of " + std::to_string(kMaxHistoryEvents) +
                     "), " + SizeText(report.bytes) + " (" + PercentText(report.bytes, kMaxHistoryBytes) +
                     " of 50 MB) in " + FormatDuration(report.duration_ms) + "\n";
  size_t width = 0;
  const size_t shown = std::min<size_t>(report.causes.size(), 8);
  for (size_t i = 0; i < shown; ++i) width = std::max(width, report.causes[i].name.size());
  int64_t bytes = 0;
  for (const GrowthCause& cause : report.causes) bytes += cause.bytes;
  for (size_t i = 0; i < shown; ++i) {
    const GrowthCause& cause = report.causes[i];
    text += "  " + cause.name + std::string(width - cause.name.size() + 2, ' ') + std::to_string(cause.events) +
            " events, " + SizeText(cause.bytes) + ", " + PercentText(cause.bytes, bytes) + "\n";
  }
  if (report.causes.size() > shown) text += "  and " + std::to_string(report.causes.size() - shown) + " more\n";
  if (report.largest_event_bytes > 0)
    text += "  largest: event " + std::to_string(report.largest_event_id) + ", " +
            SizeText(report.largest_event_bytes) + "\n";
  if (report.closed) return text;
  const auto left = [](int64_t ms) { return ms < 0 ? std::string("not in sight") : "in " + FormatDuration(ms); };
  text += "  at this pace the limit of events is reached " + left(report.to_event_limit_ms) + ", that of size " +
          left(report.to_size_limit_ms) + "\n";
  if (report.suggests_continue_as_new) text += "  the server suggests to continue as new\n";
  return text;
}

}  // namespace lockstep::history
