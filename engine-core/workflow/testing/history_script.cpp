#include "engine-core/workflow/testing/history_script.h"

#include <google/protobuf/descriptor.h>
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/failure/v1/message.pb.h>
#include <temporal/api/protocol/v1/message.pb.h>
#include <temporal/api/update/v1/message.pb.h>

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/workflow/machines.h"
#include "engine-core/workflow/match.h"
#include "engine-core/workflow/slices.h"

namespace lockstep::workflow::testing {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary
using google::protobuf::Duration;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void SetTime(UnixMillis millis, google::protobuf::Timestamp* time) {
  time->set_seconds(millis / 1000);
  time->set_nanos(static_cast<int32_t>(millis % 1000 * 1'000'000));
}
void SetDuration(int64_t millis, Duration* duration) {
  duration->set_seconds(millis / 1000);
  duration->set_nanos(static_cast<int32_t>(millis % 1000 * 1'000'000));
}
int64_t Millis(const Duration& duration) { return duration.seconds() * 1000 + duration.nanos() / 1'000'000; }

// A server copies what a command says into the event: everything that has one name and one type in both.
void CopyShared(const Message& command, Message* event) {
  const auto* from = command.GetDescriptor();
  const auto* to = event->GetDescriptor();
  for (int i = 0; i < from->field_count(); ++i) {
    const FieldDescriptor* source = from->field(i);
    const FieldDescriptor* target = to->FindFieldByName(source->name());
    if (target == nullptr || target->type() != source->type() || target->is_repeated() != source->is_repeated()) continue;
    const auto* read = command.GetReflection();
    const auto* write = event->GetReflection();
    if (source->is_map()) {
      for (int entry = 0; entry < read->FieldSize(command, source); ++entry) {
        write->AddMessage(event, target)->MergeFromString(read->GetRepeatedMessage(command, source, entry).SerializeAsString());
      }
      continue;
    }
    if (source->is_repeated()) continue;
    switch (source->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (read->HasField(command, source)) {
          write->MutableMessage(event, target)->MergeFromString(read->GetMessage(command, source).SerializeAsString());
        }
        break;
      case FieldDescriptor::CPPTYPE_STRING: write->SetString(event, target, read->GetString(command, source)); break;
      case FieldDescriptor::CPPTYPE_INT64: write->SetInt64(event, target, read->GetInt64(command, source)); break;
      case FieldDescriptor::CPPTYPE_INT32: write->SetInt32(event, target, read->GetInt32(command, source)); break;
      case FieldDescriptor::CPPTYPE_BOOL: write->SetBool(event, target, read->GetBool(command, source)); break;
      case FieldDescriptor::CPPTYPE_ENUM: write->SetEnumValue(event, target, read->GetEnumValue(command, source)); break;
      default: break;
    }
  }
}

// The one attributes message that is set.
const Message& AttributesOf(const Message& holder) {
  const auto* oneof = holder.GetDescriptor()->FindOneofByName("attributes");
  const FieldDescriptor* field = holder.GetReflection()->GetOneofFieldDescriptor(holder, oneof);
  LOCKSTEP_CHECK(field != nullptr, "a command without attributes");
  return holder.GetReflection()->GetMessage(holder, field);
}

constexpr UnixMillis kSettled = -1;

struct EventShape {
  int command_type;
  EventType event_type;
  const char* attributes;
};
constexpr EventShape kShapes[] = {
    {COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, "activity_task_scheduled_event_attributes"},
    {COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK, EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED,
     "activity_task_cancel_requested_event_attributes"},
    {COMMAND_TYPE_START_TIMER, EVENT_TYPE_TIMER_STARTED, "timer_started_event_attributes"},
    {COMMAND_TYPE_CANCEL_TIMER, EVENT_TYPE_TIMER_CANCELED, "timer_canceled_event_attributes"},
    {COMMAND_TYPE_RECORD_MARKER, EVENT_TYPE_MARKER_RECORDED, "marker_recorded_event_attributes"},
    {COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
     "upsert_workflow_search_attributes_event_attributes"},
    {COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES, EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
     "workflow_properties_modified_event_attributes"},
    {COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION, EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
     "start_child_workflow_execution_initiated_event_attributes"},
    {COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION, EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
     "signal_external_workflow_execution_initiated_event_attributes"},
    {COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION, EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
     "request_cancel_external_workflow_execution_initiated_event_attributes"},
    {COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION, EVENT_TYPE_NEXUS_OPERATION_SCHEDULED, "nexus_operation_scheduled_event_attributes"},
    {COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION, EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED,
     "nexus_operation_cancel_requested_event_attributes"},
    {COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
     "workflow_execution_completed_event_attributes"},
    {COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, "workflow_execution_failed_event_attributes"},
    {COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
     "workflow_execution_canceled_event_attributes"},
    {COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
     "workflow_execution_continued_as_new_event_attributes"},
};

const EventShape& ShapeOf(const Command& command) {
  for (const EventShape& shape : kShapes) {
    if (shape.command_type == command.command_type()) return shape;
  }
  CheckFailed("known command", "no event shape for command type " + std::to_string(command.command_type()));
}

bool EndsExecution(const Command& command) {
  switch (command.command_type()) {
    case COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION:
    case COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION:
    case COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION:
    case COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: return true;
    default: return false;
  }
}

std::vector<std::string> Texts(const std::vector<Command>& commands) {
  std::vector<std::string> texts;
  for (const Command& command : commands) texts.push_back(CommandText(command));
  return texts;
}

}  // namespace

struct HistoryScript::PendingUpdate {
  UpdateDelivery delivery;
  temporal::api::update::v1::Request request;
};

struct HistoryScript::LocalRun {
  LocalAnswer answer;
  UnixMillis due_ms = 0;
};

HistoryScript::HistoryScript(const WorkflowRegistry& registry, ScriptOptions options)
    : registry_(registry), options_(std::move(options)), clock_ms_(options_.start_ms) {
  HistoryEvent* event = Append(EVENT_TYPE_WORKFLOW_EXECUTION_STARTED);
  auto* start = event->mutable_workflow_execution_started_event_attributes();
  start->mutable_workflow_type()->set_name(options_.workflow_type);
  start->mutable_task_queue()->set_name(options_.task_queue);
  *start->mutable_input() = options_.input;
  start->set_workflow_id(options_.workflow_id);
  start->set_original_execution_run_id(options_.run_id);
  start->set_first_execution_run_id(options_.run_id);
  start->set_continued_execution_run_id(options_.continued_from_run_id);
  start->set_attempt(1);
  if (options_.run_timeout_ms > 0) SetDuration(options_.run_timeout_ms, start->mutable_workflow_run_timeout());
  SetDuration(options_.task_timeout_ms, start->mutable_workflow_task_timeout());
  ScheduleTask();
}

HistoryScript::~HistoryScript() = default;
HistoryScript::HistoryScript(HistoryScript&&) noexcept = default;

HistoryEvent* HistoryScript::Append(int type) {
  LOCKSTEP_CHECK(!closed_, "an event after the end");
  HistoryEvent* event = history_.add_events();
  event->set_event_id(history_.events_size());
  event->set_event_type(static_cast<EventType>(type));
  SetTime(clock_ms_, event->mutable_event_time());
  return event;
}

HistoryEvent* HistoryScript::AppendForCode(int type) {
  if (started_id_ == 0) return Append(type);
  auto event = std::make_unique<HistoryEvent>();
  event->set_event_type(static_cast<EventType>(type));
  SetTime(clock_ms_, event->mutable_event_time());
  return buffered_.emplace_back(std::move(event)).get();
}

void HistoryScript::ScheduleTask() {
  if (scheduled_id_ != 0 || closed_ || started_id_ != 0) return;
  HistoryEvent* event = Append(EVENT_TYPE_WORKFLOW_TASK_SCHEDULED);
  auto* attributes = event->mutable_workflow_task_scheduled_event_attributes();
  attributes->mutable_task_queue()->set_name(options_.task_queue);
  SetDuration(options_.task_timeout_ms, attributes->mutable_start_to_close_timeout());
  attributes->set_attempt(1);
  scheduled_id_ = event->event_id();
}

void HistoryScript::StartTask() {
  LOCKSTEP_CHECK(!closed_, "a task after the end");
  ScheduleTask();
  clock_ms_ += 5;
  HistoryEvent* event = Append(EVENT_TYPE_WORKFLOW_TASK_STARTED);
  auto* attributes = event->mutable_workflow_task_started_event_attributes();
  attributes->set_scheduled_event_id(scheduled_id_);
  for (; sized_ < history_.events_size() - 1; ++sized_) size_bytes_ += static_cast<int64_t>(history_.events(sized_).ByteSizeLong());
  attributes->set_history_size_bytes(size_bytes_);
  started_id_ = event->event_id();
  task_started_ms_ = clock_ms_;
}

// Brings the worker's execution up to the given number of events: the sticky one by what is new, a fresh one from the start.
void HistoryScript::BringUp(size_t events) {
  if (execution_ == nullptr) {
    execution_ = Execution::Create(registry_, {"default", options_.workflow_id, options_.run_id}, options_.execution);
    seen_ = 0;
  }
  const std::vector<const HistoryEvent*> all = Pointers(history_, events);
  HistoryCut cut = CutHistory(std::span(all).subspan(seen_));
  if (!cut.tasks.empty() && cut.tasks.back().completed == nullptr) {
    for (const auto& update : updates_) cut.tasks.back().updates.push_back(update->delivery);
  }
  seen_ = all.size();
  if (cut.head_completed != nullptr) execution_->Complete(*cut.head_completed, cut.head_recorded);
  for (const TaskSlice& task : cut.tasks) {
    execution_->Activate(task);
    if (task.completed != nullptr) execution_->Complete(*task.completed, task.recorded);
  }
}

Execution& HistoryScript::execution() {
  if (execution_ == nullptr) BringUp(SIZE_MAX);
  return *execution_;
}

void HistoryScript::RunTask() {
  StartTask();
  if (options_.evict_after_every_task) Evict();
  BringUp(SIZE_MAX);
  if (const auto happening = std::exchange(during_task_, nullptr)) happening();
  bool heartbeat = false;
  RunLocalActivities(&heartbeat);
  if (execution_->broken() != nullptr || execution_->diverged()) {
    live_divergences_ = execution_->divergences();
    broken_ = execution_->broken() != nullptr ? execution_->broken()->application_failure_info().type() : "NONDETERMINISM_DETECTED";
    FailOpenTask(WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE, {});
    return;
  }
  const std::vector<Command> commands = execution_->TakeCommands();
  messages_.clear();
  for (auto& message : execution_->TakeMessages()) {
    messages_.push_back(std::make_unique<temporal::api::protocol::v1::Message>(std::move(message)));
  }
  const bool ends = !commands.empty() && EndsExecution(commands.back());
  if (ends && !buffered_.empty()) {  // the server does not let an execution end past news it has not seen
    FailOpenTask(WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND, {});
    return;
  }
  CompleteTask(commands, heartbeat);
}

void HistoryScript::RunTasks(int limit) {
  for (int i = 0; i < limit && task_scheduled() && !closed_; ++i) RunTask();
}

void HistoryScript::RunLocalActivities(bool* heartbeat) {
  std::vector<std::string> running;  // keys into local_runs_, in the order of the requests
  std::map<std::string, std::string> id_of;
  const auto add = [&](const std::string& key) {
    id_of[key] = key.substr(0, key.rfind('#'));
    if (std::find(running.begin(), running.end(), key) == running.end()) running.push_back(key);
  };
  const UnixMillis heartbeat_at = task_started_ms_ + options_.heartbeat_after_ms;
  const auto take = [&] {
    for (const LocalActivityRequest& request : execution_->TakeLocalActivityRequests()) {
      LOCKSTEP_CHECK(options_.local_activities != nullptr, "a local activity without a script: " + request.activity_id);
      const std::string key = request.activity_id + "#" + std::to_string(request.attempt);
      if (!local_runs_.contains(key)) {
        LocalRun run{options_.local_activities(request), 0};
        run.due_ms = run.answer.takes_ms == LocalAnswer::kNever ? LocalAnswer::kNever : clock_ms_ + run.answer.takes_ms;
        run.answer.attempts += request.attempt - 1;
        local_runs_.emplace(key, std::move(run));
      }
      add(key);
    }
    for (const std::string& id : execution_->TakeLocalActivityCancellations()) {
      std::erase_if(running, [&](const std::string& key) {
        if (id_of[key] != id) return false;
        local_runs_.at(key).due_ms = kSettled;
        return true;
      });
    }
  };
  // Work that went on over a heartbeat is known to the execution but asked for no more.
  for (const auto& [key, run] : local_runs_) {
    if (run.due_ms != kSettled) add(key);
  }
  for (take(); execution_->HasPendingLocalActivities(); take()) {
    const auto next = std::min_element(running.begin(), running.end(), [&](const std::string& a, const std::string& b) {
      return local_runs_.at(a).due_ms < local_runs_.at(b).due_ms;
    });
    if (next == running.end() || local_runs_.at(*next).due_ms > heartbeat_at) {
      clock_ms_ = std::max(clock_ms_, heartbeat_at);
      *heartbeat = true;
      return;
    }
    LocalRun& run = local_runs_.at(*next);
    clock_ms_ = std::max(clock_ms_, run.due_ms);
    LocalActivityOutcome outcome;
    outcome.activity_id = id_of[*next];
    outcome.attempt = run.answer.attempts;
    if (run.answer.error) {
      outcome.failure = std::make_unique<temporal::api::failure::v1::Failure>();
      ErrorToFailure(*run.answer.error, outcome.failure.get());
      outcome.backoff_ms = run.answer.backoff_ms;
    } else {
      outcome.result = std::make_unique<Payloads>(JsonPayloads(run.answer.result));
    }
    run.due_ms = kSettled;
    running.erase(next);
    execution_->ResolveLocalActivity(std::move(outcome));
  }
}

void HistoryScript::CompleteTask(const std::vector<Command>& commands, bool again) {
  clock_ms_ += 5;
  HistoryEvent* completed = Append(EVENT_TYPE_WORKFLOW_TASK_COMPLETED);
  auto* attributes = completed->mutable_workflow_task_completed_event_attributes();
  attributes->set_scheduled_event_id(std::exchange(scheduled_id_, 0));
  attributes->set_started_event_id(std::exchange(started_id_, 0));
  const int64_t completed_id = completed->event_id();
  for (const Command& command : commands) RecordCommand(command, completed_id);
  for (const auto& message : messages_) {
    temporal::api::update::v1::Rejection rejection;
    if (!message->body().UnpackTo(&rejection)) continue;
    rejected_updates_.emplace_back(message->protocol_instance_id(), rejection.failure().application_failure_info().type());
  }
  updates_.clear();
  commands_by_task_.push_back(Texts(commands));
  if (!commands.empty() && EndsExecution(commands.back())) {
    closed_ = true;
    return;
  }
  const bool news = !buffered_.empty();
  FlushBuffered();
  if (news || again) ScheduleTask();
}

// The event of an update holds what its message says; the command is only its place in the history.
void HistoryScript::RecordMessage(const std::string& message_id, HistoryEvent* event) {
  const auto found = std::find_if(messages_.begin(), messages_.end(), [&](const auto& message) { return message->id() == message_id; });
  LOCKSTEP_CHECK(found != messages_.end(), "a command for a message that is not there: " + message_id);
  temporal::api::update::v1::Acceptance acceptance;
  temporal::api::update::v1::Response response;
  const std::string& id = (*found)->protocol_instance_id();
  if ((*found)->body().UnpackTo(&acceptance)) {
    event->set_event_type(EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED);
    auto* accepted = event->mutable_workflow_execution_update_accepted_event_attributes();
    accepted->set_protocol_instance_id(id);
    accepted->set_accepted_request_message_id(acceptance.accepted_request_message_id());
    accepted->set_accepted_request_sequencing_event_id(acceptance.accepted_request_sequencing_event_id());
    *accepted->mutable_accepted_request() = acceptance.accepted_request();
    accepted_ids_[id] = event->event_id();
  } else if ((*found)->body().UnpackTo(&response)) {
    event->set_event_type(EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED);
    auto* completed = event->mutable_workflow_execution_update_completed_event_attributes();
    *completed->mutable_meta() = response.meta();
    *completed->mutable_outcome() = response.outcome();
    completed->set_accepted_event_id(accepted_ids_.at(id));
  }
}

void HistoryScript::RecordCommand(const Command& command, int64_t completed_id) {
  if (command.command_type() == COMMAND_TYPE_PROTOCOL_MESSAGE) {
    RecordMessage(command.protocol_message_command_attributes().message_id(), Append(EVENT_TYPE_UNSPECIFIED));
    return;
  }
  const EventShape& shape = ShapeOf(command);
  HistoryEvent* event = Append(shape.event_type);
  const FieldDescriptor* field = HistoryEvent::descriptor()->FindFieldByName(shape.attributes);
  Message* attributes = event->GetReflection()->MutableMessage(event, field);
  CopyShared(AttributesOf(command), attributes);
  if (command.has_user_metadata()) *event->mutable_user_metadata() = command.user_metadata();
  attributes->GetReflection()->SetInt64(
      attributes, attributes->GetDescriptor()->FindFieldByName("workflow_task_completed_event_id"), completed_id);
  switch (command.command_type()) {
    case COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
      if (options_.fill_defaults) FillActivity(event);
      activities_.push_back({event->activity_task_scheduled_event_attributes().activity_id(), event->event_id()});
      break;
    case COMMAND_TYPE_START_TIMER: {
      const auto& timer = command.start_timer_command_attributes();
      timers_.push_back({timer.timer_id(), event->event_id(), 0, clock_ms_ + Millis(timer.start_to_fire_timeout())});
      break;
    }
    case COMMAND_TYPE_CANCEL_TIMER: {
      auto* timer = event->mutable_timer_canceled_event_attributes();
      timer->set_started_event_id(StopTimer(timer->timer_id()));
      break;
    }
    case COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION:
      *event->mutable_signal_external_workflow_execution_initiated_event_attributes()->mutable_workflow_execution() =
          command.signal_external_workflow_execution_command_attributes().execution();
      break;
    case COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: {
      const auto& request = command.request_cancel_external_workflow_execution_command_attributes();
      auto* who = event->mutable_request_cancel_external_workflow_execution_initiated_event_attributes()->mutable_workflow_execution();
      who->set_workflow_id(request.workflow_id());
      who->set_run_id(request.run_id());
      break;
    }
    case COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION:
      event->mutable_workflow_execution_continued_as_new_event_attributes()->set_new_execution_run_id(options_.run_id + "-next");
      break;
    default: break;
  }
}

// Ends a timer that runs, or that fired while the task was open: a server takes such a buffered event back.
int64_t HistoryScript::StopTimer(const std::string& id) {
  int64_t started = 0;
  std::erase_if(timers_, [&](const OpenWork& work) {
    if (work.id == id) started = work.scheduled_id;
    return work.id == id;
  });
  std::erase_if(buffered_, [&](const std::unique_ptr<HistoryEvent>& event) {
    const auto& fired = event->timer_fired_event_attributes();
    if (event->event_type() != EVENT_TYPE_TIMER_FIRED || fired.timer_id() != id) return false;
    started = fired.started_event_id();
    return true;
  });
  LOCKSTEP_CHECK(started != 0, "cancelled a timer that is not running: " + id);
  return started;
}

// What Temporal's server fills in when a schedule command leaves it open.
void HistoryScript::FillActivity(HistoryEvent* event) const {
  auto* activity = event->mutable_activity_task_scheduled_event_attributes();
  const int64_t run = options_.run_timeout_ms;
  const int64_t total = Millis(activity->schedule_to_close_timeout());
  if (total > 0) {
    const auto within = [&](Duration* duration) {
      const int64_t value = Millis(*duration);
      SetDuration(value > 0 ? std::min(value, total) : total, duration);
    };
    within(activity->mutable_schedule_to_start_timeout());
    within(activity->mutable_start_to_close_timeout());
  } else {
    SetDuration(run, activity->mutable_schedule_to_close_timeout());
    if (Millis(activity->schedule_to_start_timeout()) <= 0) SetDuration(run, activity->mutable_schedule_to_start_timeout());
  }
  if (run > 0) {
    for (Duration* duration : {activity->mutable_schedule_to_close_timeout(), activity->mutable_schedule_to_start_timeout(),
                               activity->mutable_start_to_close_timeout()}) {
      SetDuration(std::min(Millis(*duration), run), duration);
    }
  }
  auto* retry = activity->mutable_retry_policy();
  if (Millis(retry->initial_interval()) <= 0) SetDuration(1'000, retry->mutable_initial_interval());
  if (retry->backoff_coefficient() == 0) retry->set_backoff_coefficient(2);
  if (Millis(retry->maximum_interval()) <= 0) SetDuration(Millis(retry->initial_interval()) * 100, retry->mutable_maximum_interval());
  SetDuration(Millis(activity->heartbeat_timeout()), activity->mutable_heartbeat_timeout());
}

void HistoryScript::FlushBuffered() {
  for (auto& event : std::exchange(buffered_, {})) {
    event->set_event_id(history_.events_size() + 1);
    history_.mutable_events()->AddAllocated(event.release());
  }
}

void HistoryScript::FailOpenTask(WorkflowTaskFailedCause cause, const std::string& new_run_id) {
  HistoryEvent* failed = Append(EVENT_TYPE_WORKFLOW_TASK_FAILED);
  auto* attributes = failed->mutable_workflow_task_failed_event_attributes();
  attributes->set_scheduled_event_id(std::exchange(scheduled_id_, 0));
  attributes->set_started_event_id(std::exchange(started_id_, 0));
  attributes->set_cause(cause);
  attributes->set_new_run_id(new_run_id);
  FlushBuffered();
  Evict();
  ScheduleTask();
}

void HistoryScript::FailWorkflowTask(WorkflowTaskFailedCause cause, const std::string& new_run_id) {
  StartTask();
  if (const auto happening = std::exchange(during_task_, nullptr)) happening();
  FailOpenTask(cause, new_run_id);
}

void HistoryScript::TimeOutWorkflowTask() {
  StartTask();
  if (const auto happening = std::exchange(during_task_, nullptr)) happening();
  clock_ms_ += options_.task_timeout_ms;
  HistoryEvent* event = Append(EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT);
  auto* attributes = event->mutable_workflow_task_timed_out_event_attributes();
  attributes->set_scheduled_event_id(std::exchange(scheduled_id_, 0));
  attributes->set_started_event_id(std::exchange(started_id_, 0));
  FlushBuffered();
  Evict();
  ScheduleTask();
}

// --- the world -----------------------------------------------------------------------------------------------------------

void HistoryScript::Signal(std::string_view name, const Json& input) { Signal(name, JsonPayloads(input)); }

void HistoryScript::Signal(std::string_view name, const Payloads& input) {
  clock_ms_ += 1;
  auto* attributes = AppendForCode(EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)->mutable_workflow_execution_signaled_event_attributes();
  attributes->set_signal_name(std::string(name));
  *attributes->mutable_input() = input;
  ScheduleTask();
}

void HistoryScript::RequestCancel(std::string_view reason) {
  clock_ms_ += 1;
  AppendForCode(EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
      ->mutable_workflow_execution_cancel_requested_event_attributes()
      ->set_cause(std::string(reason));
  ScheduleTask();
}

void HistoryScript::StartActivity(std::string_view id, int32_t attempt) {
  const auto it = std::find_if(activities_.begin(), activities_.end(), [&](const OpenWork& work) { return work.id == id; });
  LOCKSTEP_CHECK(it != activities_.end(), "no open activity " + std::string(id));
  if (it->started_id != 0) return;
  clock_ms_ += 1;
  // A started event is never buffered: a server writes it together with the outcome.
  HistoryEvent* event = AppendForCode(EVENT_TYPE_ACTIVITY_TASK_STARTED);
  auto* attributes = event->mutable_activity_task_started_event_attributes();
  attributes->set_scheduled_event_id(it->scheduled_id);
  attributes->set_attempt(attempt);
  it->started_id = event->event_id() != 0 ? event->event_id() : -1;
}

HistoryEvent* HistoryScript::Outcome(int type, std::string_view activity_id, int32_t attempt, int64_t* scheduled, int64_t* started) {
  if (attempt > 0) StartActivity(activity_id, attempt);
  const auto it = std::find_if(activities_.begin(), activities_.end(), [&](const OpenWork& work) { return work.id == activity_id; });
  LOCKSTEP_CHECK(it != activities_.end(), "no open activity " + std::string(activity_id));
  *scheduled = it->scheduled_id;
  *started = std::max<int64_t>(it->started_id, 0);
  activities_.erase(it);
  clock_ms_ += 1;
  return AppendForCode(type);
}

void HistoryScript::CompleteActivity(std::string_view id, const Json& result, int32_t attempt) {
  int64_t scheduled = 0, started = 0;
  auto* attributes =
      Outcome(EVENT_TYPE_ACTIVITY_TASK_COMPLETED, id, attempt, &scheduled, &started)->mutable_activity_task_completed_event_attributes();
  attributes->set_scheduled_event_id(scheduled);
  attributes->set_started_event_id(started);
  *attributes->mutable_result() = JsonPayloads(result);
  ScheduleTask();
}

void HistoryScript::FailActivity(std::string_view id, const Error& error, int32_t attempt) {
  int64_t scheduled = 0, started = 0;
  auto* attributes =
      Outcome(EVENT_TYPE_ACTIVITY_TASK_FAILED, id, attempt, &scheduled, &started)->mutable_activity_task_failed_event_attributes();
  attributes->set_scheduled_event_id(scheduled);
  attributes->set_started_event_id(started);
  ErrorToFailure(error, attributes->mutable_failure());
  ScheduleTask();
}

void HistoryScript::TimeOutActivity(std::string_view id, TimeoutType type, int32_t attempt) {
  int64_t scheduled = 0, started = 0;
  if (type == TIMEOUT_TYPE_SCHEDULE_TO_START) attempt = 0;  // nobody ever began
  auto* attributes =
      Outcome(EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, id, attempt, &scheduled, &started)->mutable_activity_task_timed_out_event_attributes();
  attributes->set_scheduled_event_id(scheduled);
  attributes->set_started_event_id(started);
  attributes->mutable_failure()->set_message("activity timed out");
  attributes->mutable_failure()->mutable_timeout_failure_info()->set_timeout_type(type);
  ScheduleTask();
}

void HistoryScript::CancelActivity(std::string_view id) {
  int64_t scheduled = 0, started = 0;
  auto* attributes =
      Outcome(EVENT_TYPE_ACTIVITY_TASK_CANCELED, id, 0, &scheduled, &started)->mutable_activity_task_canceled_event_attributes();
  attributes->set_scheduled_event_id(scheduled);
  attributes->set_started_event_id(started);
  ScheduleTask();
}

void HistoryScript::FireTimer(std::string_view id) {
  const auto it = std::find_if(timers_.begin(), timers_.end(), [&](const OpenWork& work) { return work.id == id; });
  LOCKSTEP_CHECK(it != timers_.end(), "no running timer " + std::string(id));
  clock_ms_ = std::max(clock_ms_ + 1, it->due_ms);
  auto* attributes = AppendForCode(EVENT_TYPE_TIMER_FIRED)->mutable_timer_fired_event_attributes();
  attributes->set_timer_id(it->id);
  attributes->set_started_event_id(it->scheduled_id);
  timers_.erase(it);
  ScheduleTask();
}

HistoryEvent* HistoryScript::Happen(EventType type, std::string_view command_id) {
  const EventRoute* route = FindRoute(type);
  LOCKSTEP_CHECK(route != nullptr, "no outcome of a command: event type " + std::to_string(type));
  int64_t reference = 0, number = 0;
  for (const HistoryEvent& event : history_.events()) {
    if (event.event_type() != SpecOf(route->kind).recorded_event_type) continue;
    const bool nexus = route->kind == CommandKind::kNexusOperation;
    const std::string id = nexus ? std::to_string(++number) : IdentityOf(event).id;
    if (id == command_id) reference = event.event_id();
  }
  LOCKSTEP_CHECK(reference != 0, "no command " + std::string(command_id));
  clock_ms_ += 1;
  HistoryEvent* event = AppendForCode(type);
  // The attributes are named like the type, and name their command in one of two fields.
  std::string name = EventType_Name(type).substr(11);
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c == '_' ? c : AsciiLower(c); });
  const FieldDescriptor* field = HistoryEvent::descriptor()->FindFieldByName(name + "_event_attributes");
  LOCKSTEP_CHECK(field != nullptr, "no attributes " + name);
  Message* attributes = event->GetReflection()->MutableMessage(event, field);
  for (const char* candidate : {"scheduled_event_id", "initiated_event_id"}) {
    const FieldDescriptor* id = attributes->GetDescriptor()->FindFieldByName(candidate);
    if (id != nullptr) attributes->GetReflection()->SetInt64(attributes, id, reference);
  }
  ScheduleTask();
  return event;
}

void HistoryScript::Update(const std::string& id, std::string_view name, const Json& argument) {
  auto update = std::make_unique<PendingUpdate>();
  update->request.mutable_meta()->set_update_id(id);
  update->request.mutable_input()->set_name(std::string(name));
  *update->request.mutable_input()->mutable_args() = JsonPayloads(argument);
  update->delivery = {id, id + "/request", history_.events_size(), &update->request};
  updates_.push_back(std::move(update));
  ScheduleTask();
}

void HistoryScript::Terminate(std::string_view reason) {
  Append(EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED)
      ->mutable_workflow_execution_terminated_event_attributes()
      ->set_reason(std::string(reason));
  closed_ = true;
}

std::vector<std::string> HistoryScript::OpenActivities() const {
  std::vector<std::string> ids;
  for (const OpenWork& work : activities_) ids.push_back(work.id);
  return ids;
}

std::vector<std::string> HistoryScript::OpenTimers() const {
  std::vector<std::string> ids;
  for (const OpenWork& work : timers_) ids.push_back(work.id);
  return ids;
}

std::vector<HistoryScript::OpenRequest> HistoryScript::OpenRequests() const {
  std::map<int64_t, OpenRequest> open;  // by event id of the command
  int64_t operations = 0;
  const auto look = [&](const HistoryEvent& event) {
    for (const CommandKind kind :
         {CommandKind::kChildWorkflow, CommandKind::kSignalExternal, CommandKind::kCancelExternal, CommandKind::kNexusOperation}) {
      if (event.event_type() != SpecOf(kind).recorded_event_type) continue;
      open[event.event_id()] = {kind, kind == CommandKind::kNexusOperation ? std::to_string(++operations) : IdentityOf(event).id, false};
    }
    const EventRoute* route = FindRoute(event.event_type());
    if (route == nullptr) return;
    const auto found = open.find(route->reference(event));
    if (found == open.end()) return;
    if (route->input == MachineInput::kStarted) {
      found->second.started = true;
    } else if (route->input != MachineInput::kCancelAcknowledged && route->input != MachineInput::kCancelRefused) {
      open.erase(found);
    }
  };
  for (const HistoryEvent& event : history_.events()) look(event);
  for (const auto& event : buffered_) look(*event);
  std::vector<OpenRequest> requests;
  for (const auto& [id, request] : open) requests.push_back(request);
  return requests;
}

// --- replaying -----------------------------------------------------------------------------------------------------------

ReplayOutcome Replay(const WorkflowRegistry& registry, const History& history, size_t events, ExecutionOptions options) {
  ReplayOutcome outcome;
  const auto execution = Execution::Create(registry, {"default", "", ""}, std::move(options));
  const std::vector<const HistoryEvent*> all = Pointers(history, events);
  const HistoryCut cut = CutHistory(all);
  for (const TaskSlice& task : cut.tasks) {
    execution->Activate(task);
    outcome.commands_by_task.push_back(Texts(execution->TakeCommands()));
    if (task.completed != nullptr) execution->Complete(*task.completed, task.recorded);
    if (execution->diverged() || execution->broken() != nullptr) break;
  }
  outcome.divergences = execution->divergences();
  outcome.closed = execution->closed();
  if (execution->broken() != nullptr) outcome.broken = execution->broken()->application_failure_info().type();
  outcome.pending_work = execution->PendingWork();
  return outcome;
}

std::string CommandText(const Command& command) {
  return CommandType_Name(command.command_type()) + " " + AttributesOf(command).ShortDebugString();
}

std::vector<const HistoryEvent*> Pointers(const History& history, size_t events) {
  std::vector<const HistoryEvent*> pointers;
  for (const HistoryEvent& event : history.events()) {
    if (pointers.size() == events) break;
    pointers.push_back(&event);
  }
  return pointers;
}

const HistoryEvent* FindEvent(const History& history, int type, int64_t after) {
  for (const HistoryEvent& event : history.events()) {
    if (event.event_type() == type && event.event_id() > after) return &event;
  }
  return nullptr;
}

HistoryEvent* FindEvent(History* history, int type, int64_t after) {
  return const_cast<HistoryEvent*>(FindEvent(*history, type, after));
}

}  // namespace lockstep::workflow::testing
