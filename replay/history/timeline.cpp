#include "replay/history/timeline.h"

#include <google/protobuf/descriptor.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <map>

#include "engine-core/base/bytes.h"
#include "engine-core/base/time.h"
#include "replay/history/codec_tables.h"
#include "replay/history/event_names.h"
#include "replay/history/integrity.h"

namespace lockstep::history {
namespace {

namespace pb = google::protobuf;
namespace api = temporal::api;
using api::history::v1::History;
using api::history::v1::HistoryEvent;
using enum api::enums::v1::EventType;

constexpr size_t kLongestFact = 160;

// The short name of an enum value: RETRY_STATE_TIMEOUT of RetryState is `Timeout`.
std::string EnumName(const pb::Message& message, std::string_view field_name) {
  const FieldEntry* field = TableOf(message.GetDescriptor()).FindName(field_name);
  if (field == nullptr || field->enumeration == nullptr) return {};
  const int number = message.GetReflection()->GetEnumValue(message, field->field);
  const std::string_view name = field->enumeration->CamelName(number);
  return name.empty() ? std::to_string(number) : std::string(name);
}

std::string Millis(const pb::Duration& duration) {
  constexpr int64_t kLongest = 1'000'000'000'000;
  const int64_t seconds = std::clamp<int64_t>(duration.seconds(), 0, kLongest);
  return FormatDuration(seconds * 1000 + std::clamp(duration.nanos(), 0, 999'999'999) / 1'000'000);
}

// Words with a space between those that are there.
std::string Join(std::initializer_list<std::string> words) {
  std::string out;
  for (const std::string& word : words) {
    if (word.empty()) continue;
    if (!out.empty()) out.push_back(' ');
    out += word;
  }
  return out;
}

std::string Event(int64_t id) { return "#" + std::to_string(id); }

std::string Message(const api::failure::v1::Failure& failure) {
  std::string type;
  if (failure.has_application_failure_info()) type = failure.application_failure_info().type();
  if (failure.has_timeout_failure_info()) type = EnumName(failure.timeout_failure_info(), "timeout_type");
  std::string out = type.empty() ? failure.message() : type + ": " + failure.message();
  if (failure.has_cause()) {
    const api::failure::v1::Failure* root = &failure.cause();
    while (root->has_cause()) root = &root->cause();
    if (!root->message().empty()) out += " (cause: " + root->message() + ")";
  }
  return out;
}

std::string Child(const std::string& type, const std::string& id) { return id.empty() ? type : type + " [" + id + "]"; }

struct FactRow {
  int type;
  std::string (*fact)(const HistoryEvent&);
};

// What a closing event of an activity, a timer, a child is about: its start.
#define LOCKSTEP_CLOSES(attributes, accessor) \
  [](const HistoryEvent& e) { return "of " + Event(e.attributes().accessor()); }
#define LOCKSTEP_FAILS(attributes, accessor)                                                    \
  [](const HistoryEvent& e) {                                                                   \
    return Join({"of " + Event(e.attributes().accessor()), Message(e.attributes().failure())}); \
  }

const FactRow kFacts[] = {
    {EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
     [](const HistoryEvent& e) {
       const auto& a = e.workflow_execution_started_event_attributes();
       return Join({a.workflow_type().name(), a.task_queue().name().empty() ? "" : "on " + a.task_queue().name(),
                    a.attempt() > 1 ? "attempt " + std::to_string(a.attempt()) : "",
                    a.continued_execution_run_id().empty() ? "" : "continued from " + a.continued_execution_run_id()});
     }},
    {EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
     [](const HistoryEvent& e) { return Message(e.workflow_execution_failed_event_attributes().failure()); }},
    {EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
     [](const HistoryEvent& e) { return e.workflow_execution_terminated_event_attributes().reason(); }},
    {EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
     [](const HistoryEvent& e) {
       const auto& a = e.workflow_execution_continued_as_new_event_attributes();
       return Join({a.workflow_type().name(), "as", a.new_execution_run_id()});
     }},
    {EVENT_TYPE_WORKFLOW_TASK_STARTED,
     [](const HistoryEvent& e) { return e.workflow_task_started_event_attributes().identity(); }},
    {EVENT_TYPE_WORKFLOW_TASK_FAILED,
     [](const HistoryEvent& e) {
       const auto& a = e.workflow_task_failed_event_attributes();
       return Join({EnumName(a, "cause"), Message(a.failure())});
     }},
    {EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
     [](const HistoryEvent& e) { return EnumName(e.workflow_task_timed_out_event_attributes(), "timeout_type"); }},
    {EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
     [](const HistoryEvent& e) {
       const auto& a = e.activity_task_scheduled_event_attributes();
       return Child(a.activity_type().name(), a.activity_id());
     }},
    {EVENT_TYPE_ACTIVITY_TASK_STARTED,
     [](const HistoryEvent& e) {
       const auto& a = e.activity_task_started_event_attributes();
       return Join(
           {"of " + Event(a.scheduled_event_id()), a.attempt() > 1 ? "attempt " + std::to_string(a.attempt()) : ""});
     }},
    {EVENT_TYPE_ACTIVITY_TASK_COMPLETED, LOCKSTEP_CLOSES(activity_task_completed_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_ACTIVITY_TASK_FAILED, LOCKSTEP_FAILS(activity_task_failed_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, LOCKSTEP_FAILS(activity_task_timed_out_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED,
     LOCKSTEP_CLOSES(activity_task_cancel_requested_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_ACTIVITY_TASK_CANCELED, LOCKSTEP_CLOSES(activity_task_canceled_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_TIMER_STARTED,
     [](const HistoryEvent& e) {
       const auto& a = e.timer_started_event_attributes();
       return Child(Millis(a.start_to_fire_timeout()), a.timer_id());
     }},
    {EVENT_TYPE_TIMER_FIRED, LOCKSTEP_CLOSES(timer_fired_event_attributes, started_event_id)},
    {EVENT_TYPE_TIMER_CANCELED, LOCKSTEP_CLOSES(timer_canceled_event_attributes, started_event_id)},
    {EVENT_TYPE_MARKER_RECORDED,
     [](const HistoryEvent& e) {
       const auto& a = e.marker_recorded_event_attributes();
       return a.has_failure() ? Join({a.marker_name(), Message(a.failure())}) : a.marker_name();
     }},
    {EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
     [](const HistoryEvent& e) { return e.workflow_execution_signaled_event_attributes().signal_name(); }},
    {EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
     [](const HistoryEvent& e) { return e.workflow_execution_cancel_requested_event_attributes().cause(); }},
    {EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
     [](const HistoryEvent& e) {
       std::vector<std::string> names;
       for (const auto& [name, value] :
            e.upsert_workflow_search_attributes_event_attributes().search_attributes().indexed_fields()) {
         names.push_back(name);
       }
       std::sort(names.begin(), names.end());
       std::string out;
       for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
       return out;
     }},
    {EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
     [](const HistoryEvent& e) {
       const auto& a = e.start_child_workflow_execution_initiated_event_attributes();
       return Child(a.workflow_type().name(), a.workflow_id());
     }},
    {EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED,
     [](const HistoryEvent& e) {
       const auto& a = e.start_child_workflow_execution_failed_event_attributes();
       return Join({"of " + Event(a.initiated_event_id()), EnumName(a, "cause")});
     }},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED,
     LOCKSTEP_CLOSES(child_workflow_execution_started_event_attributes, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
     LOCKSTEP_CLOSES(child_workflow_execution_completed_event_attributes, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
     LOCKSTEP_FAILS(child_workflow_execution_failed_event_attributes, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
     LOCKSTEP_CLOSES(child_workflow_execution_canceled_event_attributes, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT,
     LOCKSTEP_CLOSES(child_workflow_execution_timed_out_event_attributes, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED,
     LOCKSTEP_CLOSES(child_workflow_execution_terminated_event_attributes, initiated_event_id)},
    {EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
     [](const HistoryEvent& e) {
       const auto& a = e.signal_external_workflow_execution_initiated_event_attributes();
       return Join({a.signal_name(), "to", a.workflow_execution().workflow_id()});
     }},
    {EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
     [](const HistoryEvent& e) {
       const auto& a = e.signal_external_workflow_execution_failed_event_attributes();
       return Join({"of " + Event(a.initiated_event_id()), EnumName(a, "cause")});
     }},
    {EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
     LOCKSTEP_CLOSES(external_workflow_execution_signaled_event_attributes, initiated_event_id)},
    {EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
     [](const HistoryEvent& e) {
       return e.request_cancel_external_workflow_execution_initiated_event_attributes()
           .workflow_execution()
           .workflow_id();
     }},
    {EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
     [](const HistoryEvent& e) {
       const auto& a = e.request_cancel_external_workflow_execution_failed_event_attributes();
       return Join({"of " + Event(a.initiated_event_id()), EnumName(a, "cause")});
     }},
    {EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
     LOCKSTEP_CLOSES(external_workflow_execution_cancel_requested_event_attributes, initiated_event_id)},
    {EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED,
     [](const HistoryEvent& e) {
       const auto& request = e.workflow_execution_update_admitted_event_attributes().request();
       return Child(request.input().name(), request.meta().update_id());
     }},
    {EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
     [](const HistoryEvent& e) {
       const auto& a = e.workflow_execution_update_accepted_event_attributes();
       return Child(a.accepted_request().input().name(), a.protocol_instance_id());
     }},
    {EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED,
     [](const HistoryEvent& e) { return Message(e.workflow_execution_update_rejected_event_attributes().failure()); }},
    {EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
     [](const HistoryEvent& e) {
       const auto& a = e.workflow_execution_update_completed_event_attributes();
       return Join(
           {"of " + Event(a.accepted_event_id()), a.outcome().has_failure() ? Message(a.outcome().failure()) : ""});
     }},
    {EVENT_TYPE_NEXUS_OPERATION_SCHEDULED,
     [](const HistoryEvent& e) {
       const auto& a = e.nexus_operation_scheduled_event_attributes();
       return a.endpoint() + " " + a.service() + "." + a.operation();
     }},
    {EVENT_TYPE_NEXUS_OPERATION_STARTED, LOCKSTEP_CLOSES(nexus_operation_started_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_COMPLETED,
     LOCKSTEP_CLOSES(nexus_operation_completed_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_FAILED, LOCKSTEP_FAILS(nexus_operation_failed_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_CANCELED,
     LOCKSTEP_FAILS(nexus_operation_canceled_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT,
     LOCKSTEP_FAILS(nexus_operation_timed_out_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED,
     LOCKSTEP_CLOSES(nexus_operation_cancel_requested_event_attributes, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED,
     LOCKSTEP_CLOSES(nexus_operation_cancel_request_completed_event_attributes, requested_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED,
     LOCKSTEP_FAILS(nexus_operation_cancel_request_failed_event_attributes, requested_event_id)},
    {EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED,
     [](const HistoryEvent& e) { return e.workflow_execution_paused_event_attributes().reason(); }},
    {EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED,
     [](const HistoryEvent& e) { return e.workflow_execution_unpaused_event_attributes().reason(); }},
};
#undef LOCKSTEP_CLOSES
#undef LOCKSTEP_FAILS

struct StatusRow {
  int type;
  std::string_view status;
};
constexpr StatusRow kStatuses[] = {
    {EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, "COMPLETED"},
    {EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, "FAILED"},
    {EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, "CANCELED"},
    {EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, "TERMINATED"},
    {EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT, "TIMED_OUT"},
    {EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, "CONTINUED_AS_NEW"},
};

// One line, no control characters, and no bytes that a terminal might take for some (C1 in UTF-8 is 0xC2 0x80..0x9F).
std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\n' || byte == '\r' || byte == '\t') {
      out.push_back(' ');
    } else if (byte < 0x20 || byte == 0x7F) {
      out.push_back('?');
    } else if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      out.push_back('?');
      ++i;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// Cuts after `columns` code points.
std::string_view Cut(std::string_view text, size_t columns) {
  size_t points = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (points++ == columns) return text.substr(0, i);
  }
  return text;
}

class Renderer {
 public:
  Renderer(const LoadedHistory& loaded, const TimelineOptions& options)
      : loaded_(loaded), options_(options), problems_(CheckIntegrity(*loaded.history, loaded.info)) {}

  std::string Render() {
    const History& history = *loaded_.history;
    Header();
    for (const auto& event : history.events()) {
      type_width_ = std::max(type_width_, EventTypeName(event, loaded_.info).size());
      id_width_ = std::max(id_width_, std::to_string(event.event_id()).size());
    }
    size_t next = 0;
    if (history.events_size() > 0) start_ = Nanos(history.events(0));
    next = Problems(0, next);
    for (const auto& event : history.events()) {
      EventLine(event);
      next = Problems(event.event_id(), next);
    }
    while (next < problems_.size()) ProblemLine(problems_[next++]);
    return std::move(out_);
  }

 private:
  static __int128 Nanos(const HistoryEvent& event) {
    return static_cast<__int128>(event.event_time().seconds()) * 1'000'000'000 + event.event_time().nanos();
  }

  void Line(std::string_view text, std::string_view color) {
    const std::string_view shown = options_.width > 0 ? Cut(text, static_cast<size_t>(options_.width)) : text;
    const bool colored = options_.color && !color.empty();
    if (colored) out_ += color;
    out_ += shown;
    if (colored) out_ += "\x1b[0m";
    out_.push_back('\n');
  }

  void Header() {
    const History& history = *loaded_.history;
    const HistoryInfo& info = loaded_.info;
    const std::string type = WorkflowType(history);
    std::string line = info.path + ": " + (type.empty() ? "(no workflow type)" : type);
    if (!info.workflow_id.empty()) line += " [" + info.workflow_id + "]";
    line += ", " + std::string(HistoryStatus(history)) + ", " + std::to_string(history.events_size()) +
            (history.events_size() == 1 ? " event" : " events");
    line += problems_.empty()
                ? ", no problems"
                : ", " + std::to_string(problems_.size()) + (problems_.size() == 1 ? " problem" : " problems");
    if (info.unknown_fields > 0) line += ", " + std::to_string(info.unknown_fields) + " unknown fields skipped";
    Line(Printable(line), problems_.empty() ? "\x1b[1m" : "\x1b[1;31m");
  }

  // `+12.345s` since the first event.
  std::string Relative(const HistoryEvent& event) const {
    if (!event.has_event_time()) return "-";
    const __int128 millis = (Nanos(event) - start_) / 1'000'000;
    const auto bounded = static_cast<int64_t>(std::clamp<__int128>(millis, INT64_MIN / 2, INT64_MAX / 2));
    const int64_t size = bounded < 0 ? -bounded : bounded;
    const std::string fraction = std::to_string(1000 + size % 1000).substr(1);
    return (bounded < 0 ? "-" : "+") + std::to_string(size / 1000) + "." + fraction + "s";
  }

  void EventLine(const HistoryEvent& event) {
    const std::string id = std::to_string(event.event_id());
    const std::string time = Relative(event);
    std::string type = Printable(EventTypeName(event, loaded_.info));
    std::string line(id_width_ > id.size() ? id_width_ - id.size() : 0, ' ');
    line += id + "  " + std::string(time.size() < 11 ? 11 - time.size() : 0, ' ') + time + "  " + type;
    const std::string fact = Printable(TruncateUtf8(EventFact(event), kLongestFact));
    if (!fact.empty()) {
      line.append(type_width_ > type.size() ? type_width_ - type.size() : 0, ' ');
      line += "  " + fact;
    }
    Line(line, ColorOf(event.event_type()));
  }

  static std::string_view ColorOf(int type) {
    if (IsTerminalEvent(type)) return "\x1b[1m";
    switch (type) {
      case EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
      case EVENT_TYPE_WORKFLOW_TASK_STARTED:
      case EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
        return "\x1b[2m";
      case EVENT_TYPE_WORKFLOW_TASK_FAILED:
      case EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
      case EVENT_TYPE_ACTIVITY_TASK_FAILED:
      case EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
        return "\x1b[33m";
      default:
        return {};
    }
  }

  // Problems come in the order of events; those of this event are next in line.
  size_t Problems(int64_t event_id, size_t next) {
    while (next < problems_.size() && problems_[next].event_id == event_id) ProblemLine(problems_[next++]);
    return next;
  }
  void ProblemLine(const Problem& problem) {
    Line(std::string(id_width_, ' ') + "  ! " + problem.code + ": " + Printable(problem.message), "\x1b[31m");
  }

  const LoadedHistory& loaded_;
  const TimelineOptions& options_;
  const std::vector<Problem> problems_;
  std::string out_;
  size_t type_width_ = 0, id_width_ = 1;
  __int128 start_ = 0;
};

}  // namespace

std::string RenderTimeline(const LoadedHistory& loaded, const TimelineOptions& options) {
  return Renderer(loaded, options).Render();
}

Json InspectJson(const LoadedHistory& loaded) {
  const History& history = *loaded.history;
  std::map<std::string, int64_t> counts;
  for (const auto& event : history.events()) ++counts[EventTypeName(event, loaded.info)];
  Json types = Json::MakeObject();
  for (const auto& [name, count] : counts) types.Set(name, count);
  Json problems = Json::MakeArray();
  for (const Problem& problem : CheckIntegrity(history, loaded.info)) {
    problems.Push(
        Json::MakeObject({{"eventId", problem.event_id}, {"code", problem.code}, {"message", problem.message}}));
  }
  return Json::MakeObject({{"path", loaded.info.path},
                           {"events", static_cast<int64_t>(history.events_size())},
                           {"eventTypes", std::move(types)},
                           {"workflowType", WorkflowType(history)},
                           {"status", HistoryStatus(history)},
                           {"problems", std::move(problems)}});
}

std::string_view ClosingStatus(const HistoryEvent& event) {
  const auto row = std::find_if(std::begin(kStatuses), std::end(kStatuses),
                                [&](const StatusRow& one) { return one.type == event.event_type(); });
  return row == std::end(kStatuses) ? std::string_view() : row->status;
}

std::string_view HistoryStatus(const History& history) {
  for (int i = history.events_size() - 1; i >= 0; --i) {
    if (const std::string_view status = ClosingStatus(history.events(i)); !status.empty()) return status;
  }
  return "RUNNING";
}

std::string WorkflowType(const History& history) {
  for (const auto& event : history.events()) {
    if (event.has_workflow_execution_started_event_attributes()) {
      return event.workflow_execution_started_event_attributes().workflow_type().name();
    }
  }
  return {};
}

std::string EventFact(const HistoryEvent& event) {
  for (const FactRow& row : kFacts) {
    if (row.type == event.event_type()) return row.fact(event);
  }
  return {};
}

}  // namespace lockstep::history
