// One row an event type in kRows: which attribute refers back, to events of which types, and what the reference means.
// The checks walk the rows; none of them knows an event type, except for workflow tasks, which take turns.
#include "replay/history/integrity.h"

#include <google/protobuf/descriptor.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <unordered_map>

#include "engine-core/base/check.h"
#include "replay/history/event_names.h"
#include "replay/history/reader.h"

namespace lockstep::history {
namespace {

namespace pb = google::protobuf;
namespace api = temporal::api;
using api::enums::v1::EventType;
using api::history::v1::History;
using api::history::v1::HistoryEvent;
using enum api::enums::v1::EventType;

constexpr std::array<ProblemKind, 13> kKinds = {{
    {"HISTORY_EMPTY", "the history has no event", "export the history again, and check the workflow and run id"},
    {"HISTORY_START_INVALID", "the first event is not WorkflowExecutionStarted, or it comes again",
     "export the whole history, oldest event first, of one run"},
    {"EVENT_ID_NOT_CONTIGUOUS", "event ids do not count up by one from 1",
     "export all pages, in order, without filters (`--reverse` is not replayable)"},
    {"EVENT_TYPE_MISSING", "an event has no type", "export the history again with an unmodified tool"},
    {"EVENT_TYPE_UNKNOWN", "an event type this build does not know, without workerMayIgnore",
     "update Lockstep to a release that knows the server's API"},
    {"EVENT_ATTRIBUTES_MISMATCH", "an event has no attributes, or those of another type",
     "export the history again with an unmodified tool"},
    {"EVENT_TIME_INVALID", "an event's time lies outside of the years 1 to 9999",
     "export the history again with an unmodified tool"},
    {"EVENT_REFERENCE_MISSING", "an event does not say which earlier event it belongs to",
     "export the history again with an unmodified tool"},
    {"EVENT_REFERENCE_NOT_EARLIER", "an event refers to itself, to a later event or to none",
     "export the whole history of one run, oldest event first"},
    {"EVENT_REFERENCE_WRONG_TYPE", "an event refers to an event of another kind",
     "the history was edited or mixed from two runs: export it again"},
    {"EVENT_REFERENCE_CONFLICT", "something is started or closed twice, or two references disagree",
     "the history was edited or mixed from two runs: export it again"},
    {"WORKFLOW_TASK_UNPAIRED", "workflow tasks are scheduled, started and closed out of turn",
     "the history was edited or mixed from two runs: export it again"},
    {"EVENT_AFTER_CLOSE", "an event follows the end of the workflow", "export one run only"},
}};

constexpr int64_t kFirstSecond = -62'135'596'800;
constexpr int64_t kLastSecond = 253'402'300'799;

enum class Role : uint8_t {
  kBelongs,  // the event is about the one it names
  kStarts,   // ... and is the one start of it
  kCloses,   // ... and is the one end of it
  kAgrees,   // names the start of what another reference of the event names
};
enum class Need : uint8_t { kRequired, kOptional };

struct Reference {
  std::string_view field;
  std::array<EventType, 2> targets;  // EVENT_TYPE_UNSPECIFIED: no second one
  Role role = Role::kBelongs;
  Need need = Need::kRequired;
};

constexpr Reference To(std::string_view field, EventType target, Role role, Need need = Need::kRequired) {
  return {field, {target, EVENT_TYPE_UNSPECIFIED}, role, need};
}
// The workflow task whose completion issued the command that this event records.
constexpr Reference kIssuedBy =
    To("workflow_task_completed_event_id", EVENT_TYPE_WORKFLOW_TASK_COMPLETED, Role::kBelongs);
constexpr Reference kMaybeIssuedBy =
    To("workflow_task_completed_event_id", EVENT_TYPE_WORKFLOW_TASK_COMPLETED, Role::kBelongs, Need::kOptional);

struct Row {
  EventType type;
  std::string_view attributes;  // field of HistoryEvent
  bool terminal = false;
  std::vector<Reference> references;
  bool bare = false;  // its attributes tell nothing that a replay needs: they may be absent
};

Row Plain(EventType type, std::string_view attributes) { return {type, attributes, false, {}, false}; }
Row Bare(EventType type, std::string_view attributes) { return {type, attributes, false, {}, true}; }
Row Command(EventType type, std::string_view attributes) { return {type, attributes, false, {kIssuedBy}, false}; }
Row Terminal(EventType type, std::string_view attributes, bool by_command) {
  Row row{type, attributes, true, {}, !by_command};
  if (by_command) row.references.push_back(kIssuedBy);
  return row;
}
Row Refers(EventType type, std::string_view attributes, std::initializer_list<Reference> references) {
  return {type, attributes, false, references, false};
}

std::vector<Row> MakeRows() {
  constexpr auto kChild = EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED;
  constexpr auto kSignal = EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED;
  constexpr auto kCancel = EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED;
  constexpr auto kTask = EVENT_TYPE_WORKFLOW_TASK_SCHEDULED;
  constexpr auto kTaskStart = EVENT_TYPE_WORKFLOW_TASK_STARTED;
  constexpr auto kActivity = EVENT_TYPE_ACTIVITY_TASK_SCHEDULED;
  constexpr auto kActivityStart = EVENT_TYPE_ACTIVITY_TASK_STARTED;
  constexpr auto kNexus = EVENT_TYPE_NEXUS_OPERATION_SCHEDULED;
  constexpr auto kNexusCancel = EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED;
  constexpr auto kOptional = Need::kOptional;
  const Reference child_closes = To("initiated_event_id", kChild, Role::kCloses);
  const Reference child_start = To("started_event_id", EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, Role::kAgrees);
  const Reference nexus_closes = To("scheduled_event_id", kNexus, Role::kCloses);
  return {
      Plain(EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, "workflow_execution_started_event_attributes"),
      Terminal(EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, "workflow_execution_completed_event_attributes", true),
      Terminal(EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, "workflow_execution_failed_event_attributes", true),
      Terminal(EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT, "workflow_execution_timed_out_event_attributes", false),
      Terminal(EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, "workflow_execution_canceled_event_attributes", true),
      Terminal(EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, "workflow_execution_terminated_event_attributes", false),
      Terminal(EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, "workflow_execution_continued_as_new_event_attributes",
               true),

      Bare(kTask, "workflow_task_scheduled_event_attributes"),
      Refers(kTaskStart, "workflow_task_started_event_attributes", {To("scheduled_event_id", kTask, Role::kStarts)}),
      Refers(EVENT_TYPE_WORKFLOW_TASK_COMPLETED, "workflow_task_completed_event_attributes",
             {To("scheduled_event_id", kTask, Role::kCloses), To("started_event_id", kTaskStart, Role::kAgrees)}),
      // A task may time out or be failed before a worker took it.
      Refers(EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, "workflow_task_timed_out_event_attributes",
             {To("scheduled_event_id", kTask, Role::kCloses),
              To("started_event_id", kTaskStart, Role::kAgrees, kOptional)}),
      Refers(EVENT_TYPE_WORKFLOW_TASK_FAILED, "workflow_task_failed_event_attributes",
             {To("scheduled_event_id", kTask, Role::kCloses),
              To("started_event_id", kTaskStart, Role::kAgrees, kOptional)}),

      Command(kActivity, "activity_task_scheduled_event_attributes"),
      Refers(kActivityStart, "activity_task_started_event_attributes",
             {To("scheduled_event_id", kActivity, Role::kStarts)}),
      Refers(
          EVENT_TYPE_ACTIVITY_TASK_COMPLETED, "activity_task_completed_event_attributes",
          {To("scheduled_event_id", kActivity, Role::kCloses), To("started_event_id", kActivityStart, Role::kAgrees)}),
      Refers(
          EVENT_TYPE_ACTIVITY_TASK_FAILED, "activity_task_failed_event_attributes",
          {To("scheduled_event_id", kActivity, Role::kCloses), To("started_event_id", kActivityStart, Role::kAgrees)}),
      // Schedule-to-start and schedule-to-close may strike before a worker took it; so may a cancellation.
      Refers(EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, "activity_task_timed_out_event_attributes",
             {To("scheduled_event_id", kActivity, Role::kCloses),
              To("started_event_id", kActivityStart, Role::kAgrees, kOptional)}),
      Refers(EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, "activity_task_cancel_requested_event_attributes",
             {kIssuedBy, To("scheduled_event_id", kActivity, Role::kBelongs)}),
      Refers(EVENT_TYPE_ACTIVITY_TASK_CANCELED, "activity_task_canceled_event_attributes",
             {To("scheduled_event_id", kActivity, Role::kCloses),
              To("started_event_id", kActivityStart, Role::kAgrees, kOptional),
              To("latest_cancel_requested_event_id", EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, Role::kBelongs,
                 kOptional)}),
      Refers(EVENT_TYPE_ACTIVITY_PROPERTIES_MODIFIED_EXTERNALLY,
             "activity_properties_modified_externally_event_attributes",
             {To("scheduled_event_id", kActivity, Role::kBelongs)}),

      Command(EVENT_TYPE_TIMER_STARTED, "timer_started_event_attributes"),
      Refers(EVENT_TYPE_TIMER_FIRED, "timer_fired_event_attributes",
             {To("started_event_id", EVENT_TYPE_TIMER_STARTED, Role::kCloses)}),
      Refers(EVENT_TYPE_TIMER_CANCELED, "timer_canceled_event_attributes",
             {kIssuedBy, To("started_event_id", EVENT_TYPE_TIMER_STARTED, Role::kCloses)}),

      Command(EVENT_TYPE_MARKER_RECORDED, "marker_recorded_event_attributes"),
      Command(EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, "upsert_workflow_search_attributes_event_attributes"),
      Command(EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED, "workflow_properties_modified_event_attributes"),
      Plain(EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED_EXTERNALLY,
            "workflow_properties_modified_externally_event_attributes"),
      Plain(EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, "workflow_execution_signaled_event_attributes"),
      Bare(EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED, "workflow_execution_cancel_requested_event_attributes"),
      Plain(EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED, "workflow_execution_options_updated_event_attributes"),
      Bare(EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED, "workflow_execution_paused_event_attributes"),
      Bare(EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED, "workflow_execution_unpaused_event_attributes"),
      Plain(EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
            "workflow_execution_time_skipping_transitioned_event_attributes"),

      Command(kChild, "start_child_workflow_execution_initiated_event_attributes"),
      Refers(EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED, "start_child_workflow_execution_failed_event_attributes",
             {kMaybeIssuedBy, child_closes}),
      Refers(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, "child_workflow_execution_started_event_attributes",
             {To("initiated_event_id", kChild, Role::kStarts)}),
      Refers(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, "child_workflow_execution_completed_event_attributes",
             {child_closes, child_start}),
      Refers(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, "child_workflow_execution_failed_event_attributes",
             {child_closes, child_start}),
      Refers(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, "child_workflow_execution_canceled_event_attributes",
             {child_closes, child_start}),
      Refers(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT, "child_workflow_execution_timed_out_event_attributes",
             {child_closes, child_start}),
      Refers(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED, "child_workflow_execution_terminated_event_attributes",
             {child_closes, child_start}),

      Command(kSignal, "signal_external_workflow_execution_initiated_event_attributes"),
      Refers(EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
             "signal_external_workflow_execution_failed_event_attributes",
             {kMaybeIssuedBy, To("initiated_event_id", kSignal, Role::kCloses)}),
      Refers(EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED, "external_workflow_execution_signaled_event_attributes",
             {To("initiated_event_id", kSignal, Role::kCloses)}),
      Command(kCancel, "request_cancel_external_workflow_execution_initiated_event_attributes"),
      Refers(EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
             "request_cancel_external_workflow_execution_failed_event_attributes",
             {kMaybeIssuedBy, To("initiated_event_id", kCancel, Role::kCloses)}),
      Refers(EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
             "external_workflow_execution_cancel_requested_event_attributes",
             {To("initiated_event_id", kCancel, Role::kCloses)}),

      Plain(EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED, "workflow_execution_update_admitted_event_attributes"),
      // Their sequencing ids count events of a workflow task that may never have been written.
      Plain(EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, "workflow_execution_update_accepted_event_attributes"),
      Plain(EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED, "workflow_execution_update_rejected_event_attributes"),
      Refers(EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED, "workflow_execution_update_completed_event_attributes",
             {To("accepted_event_id", EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, Role::kCloses)}),

      Command(kNexus, "nexus_operation_scheduled_event_attributes"),
      Refers(EVENT_TYPE_NEXUS_OPERATION_STARTED, "nexus_operation_started_event_attributes",
             {To("scheduled_event_id", kNexus, Role::kStarts)}),
      Refers(EVENT_TYPE_NEXUS_OPERATION_COMPLETED, "nexus_operation_completed_event_attributes", {nexus_closes}),
      Refers(EVENT_TYPE_NEXUS_OPERATION_FAILED, "nexus_operation_failed_event_attributes", {nexus_closes}),
      Refers(EVENT_TYPE_NEXUS_OPERATION_CANCELED, "nexus_operation_canceled_event_attributes", {nexus_closes}),
      Refers(EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT, "nexus_operation_timed_out_event_attributes", {nexus_closes}),
      Refers(kNexusCancel, "nexus_operation_cancel_requested_event_attributes",
             {kIssuedBy, To("scheduled_event_id", kNexus, Role::kBelongs)}),
      Refers(EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED,
             "nexus_operation_cancel_request_completed_event_attributes",
             {kMaybeIssuedBy, To("requested_event_id", kNexusCancel, Role::kCloses),
              To("scheduled_event_id", kNexus, Role::kBelongs, kOptional)}),
      Refers(EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED, "nexus_operation_cancel_request_failed_event_attributes",
             {kMaybeIssuedBy, To("requested_event_id", kNexusCancel, Role::kCloses),
              To("scheduled_event_id", kNexus, Role::kBelongs, kOptional)}),
  };
}

// A row with its names resolved.
struct Rule {
  struct Link {
    Reference reference;
    const pb::FieldDescriptor* field = nullptr;
  };
  const Row* row = nullptr;
  const pb::FieldDescriptor* attributes = nullptr;
  const pb::Reflection* reflection = nullptr;  // of the attributes
  std::vector<Link> links;
};

class Rules {
 public:
  static const Rules& Get() {
    static const Rules* rules = new Rules();
    return *rules;
  }
  // nullptr for a type without a row.
  const Rule* Find(int type) const {
    return type > 0 && static_cast<size_t>(type) < rules_.size() && rules_[static_cast<size_t>(type)].row != nullptr
               ? &rules_[static_cast<size_t>(type)]
               : nullptr;
  }

 private:
  Rules() : rows_(MakeRows()) {
    const pb::Descriptor* event = HistoryEvent::descriptor();
    for (const Row& row : rows_) {
      Rule rule;
      rule.row = &row;
      rule.attributes = event->FindFieldByName(std::string(row.attributes));
      LOCKSTEP_CHECK(rule.attributes != nullptr, "no field " + std::string(row.attributes));
      rule.reflection = HistoryEvent::default_instance()
                            .GetReflection()
                            ->GetMessage(HistoryEvent::default_instance(), rule.attributes)
                            .GetReflection();
      for (const Reference& reference : row.references) {
        const auto* field = rule.attributes->message_type()->FindFieldByName(std::string(reference.field));
        LOCKSTEP_CHECK(field != nullptr,
                       "no field " + std::string(reference.field) + " in " + std::string(row.attributes));
        rule.links.push_back({reference, field});
      }
      const auto type = static_cast<size_t>(row.type);
      if (rules_.size() <= type) rules_.resize(type + 1);
      rules_[type] = std::move(rule);
    }
  }
  std::vector<Row> rows_;
  std::vector<Rule> rules_;  // by event type
};

// The turns of workflow tasks: what is open, and which event may come.
enum class TaskState : uint8_t { kNone, kScheduled, kStarted };
enum class TaskInput : uint8_t { kSchedule, kStart, kComplete, kAbort };
struct TaskTurn {
  TaskInput input;
  bool from_none, from_scheduled, from_started;
  TaskState next;
  const char* complaint;
};
constexpr TaskTurn kTaskTurns[] = {
    {TaskInput::kSchedule, true, false, false, TaskState::kScheduled,
     "a workflow task is scheduled while another one is open"},
    {TaskInput::kStart, false, true, false, TaskState::kStarted, "a workflow task is started that was not scheduled"},
    {TaskInput::kComplete, false, false, true, TaskState::kNone, "a workflow task is completed that was not started"},
    {TaskInput::kAbort, false, true, true, TaskState::kNone,
     "a workflow task fails or times out that was not scheduled"},
};

class Checker {
 public:
  Checker(const History& history, const HistoryInfo& info) : history_(history), info_(info) {
    fates_.reserve(static_cast<size_t>(history.events_size()));
  }

  std::vector<Problem> Run() {
    if (history_.events_size() == 0) Report(0, "HISTORY_EMPTY", "expected events, found none");
    for (int i = 0; i < history_.events_size(); ++i) Event(history_.events(i), i);
    return std::move(problems_);
  }

 private:
  struct Fate {
    int64_t started_by = 0, closed_by = 0;
  };

  // An absent time is no fault: tools that build histories by hand leave it out, and replay takes it as the epoch.
  static bool HasUsableTime(const HistoryEvent& event) {
    const auto& time = event.event_time();
    return time.seconds() >= kFirstSecond && time.seconds() <= kLastSecond && time.nanos() >= 0 &&
           time.nanos() < 1'000'000'000;
  }
  void Report(int64_t event_id, std::string_view code, std::string message) {
    problems_.push_back({event_id, std::string(code), std::move(message)});
  }

  void Event(const HistoryEvent& event, int index) {
    Position(event, index);
    if (closed_by_ != 0) {
      Report(event.event_id(), "EVENT_AFTER_CLOSE",
             "expected nothing after the workflow's end in event " + std::to_string(closed_by_) + ", found " +
                 Name(event));
    }
    if (!HasUsableTime(event)) {
      Report(event.event_id(), "EVENT_TIME_INVALID", "expected a time in the years 1 to 9999, found another");
    }
    Type(event);
    Place(event.event_id(), index);
    fates_.emplace_back();
  }

  // Ids that count up from 1, as they do in every sound history, are their places.
  void Place(int64_t id, int index) {
    if (places_.empty() && id == index + 1) return;
    if (places_.empty()) {
      for (int i = 0; i < index; ++i) places_[i + 1] = i;
    }
    places_[id] = index;
  }
  // Of the events before the one being looked at; -1: there is none.
  int PlaceOf(int64_t id) const {
    if (places_.empty()) return id >= 1 && static_cast<uint64_t>(id) <= fates_.size() ? static_cast<int>(id - 1) : -1;
    const auto it = places_.find(id);
    return it == places_.end() ? -1 : it->second;
  }

  void Position(const HistoryEvent& event, int index) {
    const int64_t id = event.event_id();
    if (id != expected_id_) {
      Report(id, "EVENT_ID_NOT_CONTIGUOUS",
             "expected event " + std::to_string(expected_id_) + ", found " + std::to_string(id));
    }
    expected_id_ = id < INT64_MAX ? id + 1 : id;
    const bool start = event.event_type() == EVENT_TYPE_WORKFLOW_EXECUTION_STARTED;
    if (start != (index == 0)) {
      Report(id, "HISTORY_START_INVALID",
             start ? "expected WorkflowExecutionStarted only as the first event, found it again"
                   : "expected WorkflowExecutionStarted as the first event, found " + Name(event));
    }
  }

  void Type(const HistoryEvent& event) {
    if (!IsKnownEventType(event.event_type())) {
      if (event.worker_may_ignore()) return;
      const bool unknown = event.event_type() != 0 || Name(event) != EventTypeName(0);
      Report(event.event_id(), unknown ? "EVENT_TYPE_UNKNOWN" : "EVENT_TYPE_MISSING",
             unknown ? "expected a known event type or workerMayIgnore, found " + Name(event)
                     : "expected an event type, found none");
      return;
    }
    const Rule* rule = Rules::Get().Find(event.event_type());
    // The API knows the type, the rows do not: a test keeps that from being released.
    if (rule == nullptr || !Attributes(event, *rule)) return;
    WorkflowTask(event);
    References(event, *rule);
    if (rule->row->terminal && closed_by_ == 0) closed_by_ = event.event_id();
  }

  bool Attributes(const HistoryEvent& event, const Rule& rule) {
    if (reflection_->HasField(event, rule.attributes)) return true;
    const auto* oneof = rule.attributes->containing_oneof();
    const auto* found = reflection_->GetOneofFieldDescriptor(event, oneof);
    if (found == nullptr && rule.row->bare) return true;
    Report(event.event_id(), "EVENT_ATTRIBUTES_MISMATCH",
           "expected " + rule.attributes->json_name() + " in " + Name(event) + ", found " +
               (found == nullptr ? "none" : found->json_name()));
    if (rule.row->terminal && closed_by_ == 0) closed_by_ = event.event_id();
    return false;
  }

  void WorkflowTask(const HistoryEvent& event) {
    TaskInput input;
    switch (event.event_type()) {
      case EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
        input = TaskInput::kSchedule;
        break;
      case EVENT_TYPE_WORKFLOW_TASK_STARTED:
        input = TaskInput::kStart;
        break;
      case EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
        input = TaskInput::kComplete;
        break;
      case EVENT_TYPE_WORKFLOW_TASK_FAILED:
      case EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
        input = TaskInput::kAbort;
        break;
      default:
        return;
    }
    const TaskTurn& turn = kTaskTurns[static_cast<size_t>(input)];
    const bool allowed = task_ == TaskState::kNone        ? turn.from_none
                         : task_ == TaskState::kScheduled ? turn.from_scheduled
                                                          : turn.from_started;
    if (!allowed) Report(event.event_id(), "WORKFLOW_TASK_UNPAIRED", turn.complaint);
    task_ = turn.next;
  }

  void References(const HistoryEvent& event, const Rule& rule) {
    if (rule.links.empty()) return;
    const pb::Message& attributes = reflection_->GetMessage(event, rule.attributes);
    int target_index = -1;  // of the reference that starts or closes
    for (const Rule::Link& link : rule.links) {
      const int64_t id = rule.reflection->GetInt64(attributes, link.field);
      const int index = Resolve(event, link, id);
      if (index < 0) continue;
      if (link.reference.role == Role::kStarts || link.reference.role == Role::kCloses) {
        target_index = index;
        Claim(event, link.reference.role, id, &fates_[static_cast<size_t>(index)]);
      } else if (link.reference.role == Role::kAgrees && target_index >= 0) {
        Agree(event, link, id, target_index);
      }
    }
  }

  // Index of the event that `id` names, or -1 after a report (or for an optional reference that is not there).
  int Resolve(const HistoryEvent& event, const Rule::Link& link, int64_t id) {
    const auto wanted = [&] {
      return "expected " + link.field->json_name() + " of " + Name(event) + " to name an earlier " +
             Targets(link.reference);
    };
    if (id == 0) {
      if (link.reference.need == Need::kRequired)
        Report(event.event_id(), "EVENT_REFERENCE_MISSING", wanted() + ", found none");
      return -1;
    }
    const int place = PlaceOf(id);
    if (place < 0 || id == event.event_id()) {
      Report(event.event_id(), "EVENT_REFERENCE_NOT_EARLIER", wanted() + ", found " + std::to_string(id));
      return -1;
    }
    const HistoryEvent& target = history_.events(place);
    const auto& types = link.reference.targets;
    if (std::find(types.begin(), types.end(), target.event_type()) == types.end() || target.event_type() == 0) {
      Report(event.event_id(), "EVENT_REFERENCE_WRONG_TYPE",
             wanted() + ", found " + std::to_string(id) + " (" + Name(target) + ")");
      return -1;
    }
    return place;
  }

  void Claim(const HistoryEvent& event, Role role, int64_t id, Fate* fate) {
    int64_t& holder = role == Role::kStarts ? fate->started_by : fate->closed_by;
    const char* verb = role == Role::kStarts ? " started" : " closed";
    if (holder != 0) {
      Report(event.event_id(), "EVENT_REFERENCE_CONFLICT",
             "expected event " + std::to_string(id) + " to be" + verb + " once, found it" + verb + " by event " +
                 std::to_string(holder) + " and again");
      return;
    }
    if (role == Role::kStarts && fate->closed_by != 0) {
      Report(event.event_id(), "EVENT_REFERENCE_CONFLICT",
             "expected event " + std::to_string(id) + " to be open, found it closed by event " +
                 std::to_string(fate->closed_by));
    }
    holder = event.event_id();
  }

  void Agree(const HistoryEvent& event, const Rule::Link& link, int64_t started_id, int target_index) {
    const int64_t actual = fates_[static_cast<size_t>(target_index)].started_by;
    if (actual == started_id) return;
    Report(event.event_id(), "EVENT_REFERENCE_CONFLICT",
           "expected " + link.field->json_name() + " to name the start of event " +
               std::to_string(history_.events(target_index).event_id()) + " (" +
               (actual == 0 ? "none" : std::to_string(actual)) + "), found " + std::to_string(started_id));
  }

  std::string Name(const HistoryEvent& event) const { return EventTypeName(event, info_); }
  static std::string Targets(const Reference& reference) {
    std::string out = EventTypeName(reference.targets[0]);
    if (reference.targets[1] != EVENT_TYPE_UNSPECIFIED) out += " or " + EventTypeName(reference.targets[1]);
    return out;
  }

  const History& history_;
  const HistoryInfo& info_;
  std::vector<Problem> problems_;
  int64_t expected_id_ = 1;
  int64_t closed_by_ = 0;
  TaskState task_ = TaskState::kNone;
  const pb::Reflection* const reflection_ = HistoryEvent::default_instance().GetReflection();
  std::unordered_map<int64_t, int> places_;  // only when ids do not count up; looked up, never walked
  std::vector<Fate> fates_;                  // by index
};

}  // namespace

std::span<const ProblemKind> ProblemKinds() { return kKinds; }

std::vector<Problem> CheckIntegrity(const History& history, const HistoryInfo& info) {
  return Checker(history, info).Run();
}

bool IsTerminalEvent(int event_type) {
  const Rule* rule = Rules::Get().Find(event_type);
  return rule != nullptr && rule->row->terminal;
}

}  // namespace lockstep::history
