#include "engine-core/providers/embedded/server_run.h"

#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include <algorithm>
#include <cmath>

#include "engine-core/base/base64.h"
#include "engine-core/base/check.h"
#include "engine-core/providers/embedded/messages.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::embedded {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary

namespace {

constexpr char kServer[] = "Server";  // source of failures that the server makes up
constexpr char kNotStarted[] = "ACTIVITY_ID_NOT_STARTED";
// The server suggests a rotation from here on (its dynamic configuration's defaults).
constexpr int64_t kSuggestBytes = 4 << 20;
constexpr int64_t kSuggestEvents = 4 * 1024;
// Shortest life of an execution that continues as new: the next one waits for the rest.
constexpr int64_t kMinLifeMs = 1'000;
constexpr int64_t kRetentionMs = 86'400'000;
// A failure that is kept for the next attempt is cut off here.
constexpr size_t kMaxLastFailureBytes = 4 * 1024;
constexpr int64_t kDefaultInitialIntervalMs = 1'000;
constexpr int64_t kMaxIntervalFactor = 100;

bool EndsExecution(CommandType type) {
  return type == COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION || type == COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION ||
         type == COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION || type == COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION;
}

bool EndsActivity(EventType type) {
  return type == EVENT_TYPE_ACTIVITY_TASK_COMPLETED || type == EVENT_TYPE_ACTIVITY_TASK_FAILED ||
         type == EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT || type == EVENT_TYPE_ACTIVITY_TASK_CANCELED;
}

Failure TimeoutFailure(std::string message, TimeoutType type) {
  Failure failure;
  failure.set_message(std::move(message));
  failure.set_source(kServer);
  failure.mutable_timeout_failure_info()->set_timeout_type(type);
  return failure;
}

std::string_view TimeoutName(TimeoutType type) {
  switch (type) {
    case TIMEOUT_TYPE_START_TO_CLOSE:
      return "StartToClose";
    case TIMEOUT_TYPE_SCHEDULE_TO_START:
      return "ScheduleToStart";
    case TIMEOUT_TYPE_SCHEDULE_TO_CLOSE:
      return "ScheduleToClose";
    case TIMEOUT_TYPE_HEARTBEAT:
      return "Heartbeat";
    default:
      return "Unspecified";
  }
}

bool Retryable(const Failure& failure, const std::vector<std::string>& final_types) {
  const auto listed = [&](const std::string& type) {
    return std::find(final_types.begin(), final_types.end(), type) != final_types.end();
  };
  if (failure.has_terminated_failure_info() || failure.has_canceled_failure_info()) return false;
  if (failure.has_timeout_failure_info()) {
    const auto type = failure.timeout_failure_info().timeout_type();
    if (type != TIMEOUT_TYPE_START_TO_CLOSE && type != TIMEOUT_TYPE_HEARTBEAT) return false;
    return !listed("TemporalTimeout:" + std::string(TimeoutName(type)));
  }
  if (failure.has_server_failure_info()) return !failure.server_failure_info().non_retryable();
  if (failure.has_application_failure_info()) {
    return !failure.application_failure_info().non_retryable() && !listed(failure.application_failure_info().type());
  }
  return true;
}

// What the server keeps of a failure for the next attempt.
Failure ForNextAttempt(const Failure& failure) {
  if (failure.ByteSizeLong() <= kMaxLastFailureBytes) return failure;
  Failure cut;
  cut.set_message("Failure exceeds size limit.");
  cut.set_source(kServer);
  cut.mutable_server_failure_info();
  cut.mutable_cause()->set_message(failure.message().substr(0, kMaxLastFailureBytes / 2));
  cut.mutable_cause()->set_source(failure.source());
  return cut;
}

void SetQueue(const std::string& name, temporal::api::taskqueue::v1::TaskQueue* queue) {
  queue->set_name(name);
  queue->set_kind(TASK_QUEUE_KIND_NORMAL);
}

}  // namespace

struct ServerRun::Activity {
  std::string id;
  std::string type;
  std::string queue;
  Payloads input;
  int64_t scheduled_id = 0;
  UnixMillis first_scheduled_at = 0;
  UnixMillis ready_at = 0;    // of the current attempt
  UnixMillis started_at = 0;  // 0: waits
  UnixMillis last_beat_at = 0;
  int32_t attempt = 1;
  bool cancel_requested = false;
  int64_t cancel_requested_id = 0;
  std::string identity;
  std::string request_id;
  std::unique_ptr<Failure> last_failure;
  Payloads heartbeat_details;
  int64_t schedule_to_close_ms = 0;
  int64_t schedule_to_start_ms = 0;
  int64_t start_to_close_ms = 0;
  int64_t heartbeat_ms = 0;
  int64_t initial_interval_ms = 0;
  int64_t max_interval_ms = 0;
  double coefficient = 2;
  int32_t max_attempts = 0;
  std::vector<std::string> final_types;

  void TakePolicy(const temporal::api::history::v1::ActivityTaskScheduledEventAttributes& event) {
    schedule_to_close_ms = ToMillis(event.schedule_to_close_timeout());
    schedule_to_start_ms = ToMillis(event.schedule_to_start_timeout());
    start_to_close_ms = ToMillis(event.start_to_close_timeout());
    heartbeat_ms = ToMillis(event.heartbeat_timeout());
    const auto& retry = event.retry_policy();
    initial_interval_ms = ToMillis(retry.initial_interval());
    max_interval_ms = ToMillis(retry.maximum_interval());
    coefficient = retry.backoff_coefficient();
    max_attempts = retry.maximum_attempts();
    final_types.assign(retry.non_retryable_error_types().begin(), retry.non_retryable_error_types().end());
  }
  void TakeEvent(const HistoryEvent& event) {
    const auto& attributes = event.activity_task_scheduled_event_attributes();
    id = attributes.activity_id();
    type = attributes.activity_type().name();
    queue = attributes.task_queue().name();
    input = attributes.input();
    scheduled_id = event.event_id();
    TakePolicy(attributes);
  }
};

struct ServerRun::Due {
  enum class What : uint8_t { kFirstTask, kTimer, kActivity, kTask, kRun };
  UnixMillis at = kNever;
  What what = What::kTimer;
  size_t position = 0;  // in activities_ or timers_
  TimeoutType type = TIMEOUT_TYPE_UNSPECIFIED;
};

ServerRun::ServerRun(RunIds ids) : ids_(ids) {}
ServerRun::~ServerRun() = default;
ServerRun::ServerRun(ServerRun&&) noexcept = default;

ServerRun::ServerRun(ExecutionStart start, RunIds ids, UnixMillis now)
    : ids_(ids), start_(std::move(start)), started_at_(now) {
  HistoryEvent* event = Append(EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, now);
  auto* attributes = event->mutable_workflow_execution_started_event_attributes();
  attributes->mutable_workflow_type()->set_name(start_.workflow_type);
  SetQueue(start_.task_queue, attributes->mutable_task_queue());
  *attributes->mutable_input() = std::move(start_.input);
  start_.input.Clear();
  SetMillis(start_.task_timeout_ms, attributes->mutable_workflow_task_timeout());
  attributes->set_workflow_id(start_.workflow_id);
  attributes->set_original_execution_run_id(start_.run_id);
  if (start_.first_run_id.empty()) start_.first_run_id = start_.run_id;
  attributes->set_first_execution_run_id(start_.first_run_id);
  attributes->set_identity(start_.identity);
  attributes->set_attempt(1);
  const bool continued = !start_.continued_run_id.empty();
  if (continued) {
    attributes->set_continued_execution_run_id(start_.continued_run_id);
    attributes->set_initiator(CONTINUE_AS_NEW_INITIATOR_WORKFLOW);
    *attributes->mutable_prev_auto_reset_points() = start_.reset_points;
  }
  if (continued || start_.run_timeout_ms > 0)
    SetMillis(start_.run_timeout_ms, attributes->mutable_workflow_run_timeout());
  if (!continued || start_.first_task_backoff_ms > 0) {
    SetMillis(start_.first_task_backoff_ms, attributes->mutable_first_workflow_task_backoff());
  }
  if (start_.search_attributes.indexed_fields_size() > 0)
    *attributes->mutable_search_attributes() = start_.search_attributes;
  if (start_.first_task_backoff_ms > 0) first_task_at_ = now + start_.first_task_backoff_ms;
  if (MayScheduleTask()) ScheduleTask(now);
}

// --- events
// --------------------------------------------------------------------------------------------------------------

HistoryEvent* ServerRun::Append(int type, UnixMillis now) {
  LOCKSTEP_CHECK(!closed_, "an event after the end");
  HistoryEvent* event = history_.add_events();
  event->set_event_id(history_.events_size());
  event->set_event_type(static_cast<EventType>(type));
  SetMillis(now, event->mutable_event_time());
  return event;
}

HistoryEvent* ServerRun::AppendForCode(int type, UnixMillis now) {
  if (!buffering_ && task_.started_at == 0) return Append(type, now);
  auto event = std::make_unique<HistoryEvent>();
  event->set_event_type(static_cast<EventType>(type));
  SetMillis(now, event->mutable_event_time());
  return buffered_.emplace_back(std::move(event)).get();
}

// Outcomes of activities come last, and learn the number that their started event was given only now.
void ServerRun::FlushBuffered() {
  std::stable_partition(buffered_.begin(), buffered_.end(),
                        [](const auto& event) { return !EndsActivity(event->event_type()); });
  std::vector<std::pair<int64_t, int64_t>> started;  // scheduled -> started
  const auto started_of = [&](int64_t scheduled) {
    for (const auto& [from, to] : started) {
      if (from == scheduled) return to;
    }
    return int64_t{0};
  };
  for (auto& event : std::exchange(buffered_, {})) {
    event->set_event_id(history_.events_size() + 1);
    const auto wire = [&](auto* attributes) {
      if (attributes->started_event_id() < 0)
        attributes->set_started_event_id(started_of(attributes->scheduled_event_id()));
    };
    switch (event->event_type()) {
      case EVENT_TYPE_ACTIVITY_TASK_STARTED:
        started.emplace_back(event->activity_task_started_event_attributes().scheduled_event_id(), event->event_id());
        break;
      case EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
        wire(event->mutable_activity_task_completed_event_attributes());
        break;
      case EVENT_TYPE_ACTIVITY_TASK_FAILED:
        wire(event->mutable_activity_task_failed_event_attributes());
        break;
      case EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
        wire(event->mutable_activity_task_timed_out_event_attributes());
        break;
      case EVENT_TYPE_ACTIVITY_TASK_CANCELED:
        wire(event->mutable_activity_task_canceled_event_attributes());
        break;
      default:
        break;
    }
    history_.mutable_events()->AddAllocated(event.release());
  }
}

void ServerRun::CountSize() {
  for (; sized_ < history_.events_size(); ++sized_)
    size_bytes_ += static_cast<int64_t>(history_.events(sized_).ByteSizeLong());
}

// --- workflow tasks
// ------------------------------------------------------------------------------------------------------

HistoryEvent ServerRun::MakeTaskScheduled(UnixMillis at) const {
  HistoryEvent event;
  event.set_event_type(EVENT_TYPE_WORKFLOW_TASK_SCHEDULED);
  SetMillis(at, event.mutable_event_time());
  auto* attributes = event.mutable_workflow_task_scheduled_event_attributes();
  SetQueue(task_.queue, attributes->mutable_task_queue());
  if (task_.sticky) {
    attributes->mutable_task_queue()->set_kind(TASK_QUEUE_KIND_STICKY);
    attributes->mutable_task_queue()->set_normal_name(start_.task_queue);
  }
  SetMillis(start_.task_timeout_ms, attributes->mutable_start_to_close_timeout());
  attributes->set_attempt(task_.attempt);
  return event;
}

HistoryEvent ServerRun::MakeTaskStarted() const {
  HistoryEvent event;
  event.set_event_type(EVENT_TYPE_WORKFLOW_TASK_STARTED);
  SetMillis(task_.started_at, event.mutable_event_time());
  auto* attributes = event.mutable_workflow_task_started_event_attributes();
  attributes->set_scheduled_event_id(task_.scheduled_id);
  attributes->set_identity(task_.identity);
  attributes->set_request_id(task_.request_id);
  attributes->set_history_size_bytes(task_.history_size);
  attributes->set_suggest_continue_as_new(task_.suggest);
  return event;
}

void ServerRun::ScheduleTask(UnixMillis now) {
  // News make a task that keeps failing worth a fresh start.
  if (!buffered_.empty()) {
    task_.attempt = 1;
    FlushBuffered();
  }
  task_.sticky = !sticky_queue_.empty();
  task_.queue = task_.sticky ? sticky_queue_ : start_.task_queue;
  task_.scheduled_at = now;
  task_.scheduled_id = history_.events_size() + 1;
  if (transient()) return;
  HistoryEvent* event = history_.add_events();
  *event = MakeTaskScheduled(now);
  event->set_event_id(task_.scheduled_id);
}

void ServerRun::StartTask(UnixMillis now, std::string_view identity) {
  LOCKSTEP_CHECK(task_scheduled() && !closed_, "a workflow task that is scheduled");
  CountSize();
  task_.history_size = size_bytes_;
  task_.suggest = size_bytes_ >= kSuggestBytes || history_.events_size() >= kSuggestEvents;
  task_.started_at = now;
  task_.identity = identity;
  task_.request_id = ids_.requests->NewUuid();
  if (transient() && task_.scheduled_id != history_.events_size() + 1) {
    // Something came since it was scheduled: it is a task like any other again.
    task_.attempt = 1;
    HistoryEvent* event = history_.add_events();
    *event = MakeTaskScheduled(now);
    event->set_event_id(history_.events_size());
    task_.scheduled_id = event->event_id();
  }
  if (transient()) {
    transient_events_ = {MakeTaskScheduled(task_.scheduled_at), MakeTaskStarted()};
    transient_events_[0].set_event_id(task_.scheduled_id);
    transient_events_[1].set_event_id(task_.scheduled_id + 1);
    return;
  }
  HistoryEvent* event = history_.add_events();
  *event = MakeTaskStarted();
  event->set_event_id(history_.events_size());
  task_.started_id = event->event_id();
}

// The two events of a transient task, now that it came to something.
void ServerRun::WriteTransient() {
  if (!transient()) return;
  HistoryEvent* scheduled = history_.add_events();
  *scheduled = MakeTaskScheduled(task_.scheduled_at);
  scheduled->set_event_id(history_.events_size());
  task_.scheduled_id = scheduled->event_id();
  HistoryEvent* started = history_.add_events();
  *started = MakeTaskStarted();
  started->set_event_id(history_.events_size());
  task_.started_id = started->event_id();
}

// A task on a sticky queue that ends badly is tried again elsewhere first, and counts from there.
void ServerRun::EndTask(UnixMillis now, bool count_attempt, bool reset_attempt) {
  if (!sticky_queue_.empty()) {
    count_attempt = false;
    sticky_queue_.clear();
  }
  const int32_t attempt = count_attempt && !reset_attempt ? task_.attempt + 1 : 1;
  task_ = Task();
  task_.attempt = attempt;
  transient_events_.clear();
  ScheduleTask(now);
}

void ServerRun::FailTask(UnixMillis now, WorkflowTaskFailedCause cause, const Failure& failure,
                         std::string_view identity, const std::string& new_run_id) {
  LOCKSTEP_CHECK(task_started(), "a workflow task that runs");
  if (!transient()) {
    auto* attributes = Append(EVENT_TYPE_WORKFLOW_TASK_FAILED, now)->mutable_workflow_task_failed_event_attributes();
    attributes->set_scheduled_event_id(task_.scheduled_id);
    attributes->set_started_event_id(task_.started_id);
    attributes->set_cause(cause);
    if (failure.ByteSizeLong() > 0) *attributes->mutable_failure() = failure;
    attributes->set_identity(std::string(identity));
    attributes->set_new_run_id(new_run_id);
  }
  EndTask(now, true, cause == WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW);
}

void ServerRun::TimeOutTask(UnixMillis now) {
  const bool started = task_started();
  LOCKSTEP_CHECK(task_.scheduled_id != 0, "a workflow task to time out");
  if (!transient()) {
    auto* attributes =
        Append(EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, now)->mutable_workflow_task_timed_out_event_attributes();
    attributes->set_scheduled_event_id(task_.scheduled_id);
    attributes->set_started_event_id(task_.started_id);
    attributes->set_timeout_type(started ? TIMEOUT_TYPE_START_TO_CLOSE : TIMEOUT_TYPE_SCHEDULE_TO_START);
  }
  EndTask(now, started);
}

std::optional<Refusal> ServerRun::CompleteTask(UnixMillis now, TaskAnswer answer) {
  LOCKSTEP_CHECK(task_started(), "a workflow task that runs");
  if (auto refusal = Check(answer.commands)) {
    WriteTransient();
    task_.attempt = 1;
    Failure failure;
    failure.set_message(refusal->message);
    failure.set_source(kServer);
    failure.mutable_server_failure_info()->set_non_retryable(true);
    FailTask(now, refusal->cause, refusal->cause == WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND ? Failure() : failure,
             answer.identity);
    return refusal;
  }
  WriteTransient();
  HistoryEvent* completed = Append(EVENT_TYPE_WORKFLOW_TASK_COMPLETED, now);
  auto* attributes = completed->mutable_workflow_task_completed_event_attributes();
  attributes->set_scheduled_event_id(task_.scheduled_id);
  attributes->set_started_event_id(task_.started_id);
  attributes->set_identity(answer.identity);
  if (!answer.sdk_name.empty()) {
    attributes->mutable_sdk_metadata()->set_sdk_name(answer.sdk_name);
    attributes->mutable_sdk_metadata()->set_sdk_version(answer.sdk_version);
  }
  const int64_t completed_id = completed->event_id();
  if (first_completed_id_ == 0) first_completed_id_ = completed_id;
  task_ = Task();
  transient_events_.clear();
  sticky_queue_ = std::move(answer.sticky_queue);
  sticky_schedule_to_start_ms_ = answer.sticky_schedule_to_start_ms;
  not_started_cancelled_ = false;
  buffering_ = true;
  for (Command& command : answer.commands) {
    Apply(&command, completed_id, now, answer.identity);
    if (closed_) break;
  }
  buffering_ = false;
  if (closed_) {
    buffered_.clear();
    return std::nullopt;
  }
  if (!buffered_.empty() || answer.force_new_task || not_started_cancelled_) ScheduleTask(now);
  return std::nullopt;
}

// --- commands
// ------------------------------------------------------------------------------------------------------------

// What a server refuses a completed task for. Nothing has been recorded yet.
std::optional<Refusal> ServerRun::Check(const std::vector<Command>& commands) const {
  std::vector<std::string> activities, timers, fired;
  for (const auto& activity : activities_) activities.push_back(activity->id);
  for (const Timer& timer : timers_) timers.push_back(timer.id);
  size_t news = buffered_.size();
  for (const auto& event : buffered_) {
    if (event->event_type() == EVENT_TYPE_TIMER_FIRED)
      fired.push_back(event->timer_fired_event_attributes().timer_id());
  }
  const auto take = [](std::vector<std::string>* from, const std::string& id) {
    const auto it = std::find(from->begin(), from->end(), id);
    if (it == from->end()) return false;
    from->erase(it);
    return true;
  };
  const auto has = [](const std::vector<std::string>& in, const std::string& id) {
    return std::find(in.begin(), in.end(), id) != in.end();
  };
  for (const Command& command : commands) {
    switch (command.command_type()) {
      case COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: {
        const auto& schedule = command.schedule_activity_task_command_attributes();
        if (schedule.activity_id().empty() || schedule.activity_type().name().empty()) {
          return Refusal{WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES,
                         "an activity needs an id and a type"};
        }
        if (ToMillis(schedule.schedule_to_close_timeout()) <= 0 && ToMillis(schedule.start_to_close_timeout()) <= 0) {
          return Refusal{WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES,
                         "activity " + schedule.activity_id() +
                             ": expected a start-to-close or schedule-to-close time-out, found neither"};
        }
        if (has(activities, schedule.activity_id())) {
          return Refusal{WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID,
                         "activity id " + schedule.activity_id() + " is in use"};
        }
        activities.push_back(schedule.activity_id());
        break;
      }
      case COMMAND_TYPE_START_TIMER: {
        const auto& start = command.start_timer_command_attributes();
        if (start.timer_id().empty() || ToMillis(start.start_to_fire_timeout()) <= 0) {
          return Refusal{WORKFLOW_TASK_FAILED_CAUSE_BAD_START_TIMER_ATTRIBUTES,
                         "a timer needs an id and a time to wait"};
        }
        if (has(timers, start.timer_id())) {
          return Refusal{WORKFLOW_TASK_FAILED_CAUSE_START_TIMER_DUPLICATE_ID,
                         "timer id " + start.timer_id() + " is in use"};
        }
        timers.push_back(start.timer_id());
        break;
      }
      case COMMAND_TYPE_CANCEL_TIMER: {
        const std::string& id = command.cancel_timer_command_attributes().timer_id();
        if (take(&timers, id)) break;
        if (!take(&fired, id))
          return Refusal{WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_TIMER_ATTRIBUTES, "no timer " + id + " is running"};
        --news;
        break;
      }
      case COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: {
        const int64_t id = command.request_cancel_activity_task_command_attributes().scheduled_event_id();
        if (id <= 0 || id > history_.events_size() ||
            !history_.events(static_cast<int>(id - 1)).has_activity_task_scheduled_event_attributes()) {
          return Refusal{WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES,
                         "no activity was scheduled by event " + std::to_string(id)};
        }
        for (const auto& activity : activities_) {
          if (activity->scheduled_id == id && activity->started_at == 0) ++news;  // it ends at once
        }
        break;
      }
      case COMMAND_TYPE_RECORD_MARKER:
      case COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
      case COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES:
        break;
      default:
        if (!EndsExecution(command.command_type())) {
          return Refusal{WORKFLOW_TASK_FAILED_CAUSE_FEATURE_DISABLED,
                         CommandType_Name(command.command_type()) + " is no command of the embedded engine"};
        }
        if (news > 0) return Refusal{WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND, "UnhandledCommand"};
    }
  }
  return std::nullopt;
}

void ServerRun::Apply(Command* command, int64_t completed_id, UnixMillis now, std::string_view identity) {
  const auto meta = [&](HistoryEvent* event) {
    if (command->has_user_metadata()) *event->mutable_user_metadata() = std::move(*command->mutable_user_metadata());
    return event;
  };
  switch (command->command_type()) {
    case COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
      ApplySchedule(command, completed_id, now);
      return;
    case COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK:
      ApplyCancelActivity(*command, completed_id, now, identity);
      return;
    case COMMAND_TYPE_START_TIMER: {
      auto* from = command->mutable_start_timer_command_attributes();
      HistoryEvent* event = meta(Append(EVENT_TYPE_TIMER_STARTED, now));
      auto* to = event->mutable_timer_started_event_attributes();
      timers_.push_back({from->timer_id(), event->event_id(), now + ToMillis(from->start_to_fire_timeout())});
      to->set_timer_id(std::move(*from->mutable_timer_id()));
      *to->mutable_start_to_fire_timeout() = from->start_to_fire_timeout();
      to->set_workflow_task_completed_event_id(completed_id);
      return;
    }
    case COMMAND_TYPE_CANCEL_TIMER:
      ApplyCancelTimer(*command, completed_id, now, identity);
      return;
    case COMMAND_TYPE_RECORD_MARKER: {
      auto* from = command->mutable_record_marker_command_attributes();
      auto* to = meta(Append(EVENT_TYPE_MARKER_RECORDED, now))->mutable_marker_recorded_event_attributes();
      to->set_marker_name(std::move(*from->mutable_marker_name()));
      to->mutable_details()->swap(*from->mutable_details());
      if (from->has_header()) *to->mutable_header() = std::move(*from->mutable_header());
      if (from->has_failure()) *to->mutable_failure() = std::move(*from->mutable_failure());
      to->set_workflow_task_completed_event_id(completed_id);
      return;
    }
    case COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: {
      auto* to = meta(Append(EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, now))
                     ->mutable_upsert_workflow_search_attributes_event_attributes();
      *to->mutable_search_attributes() = std::move(
          *command->mutable_upsert_workflow_search_attributes_command_attributes()->mutable_search_attributes());
      to->set_workflow_task_completed_event_id(completed_id);
      return;
    }
    case COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES: {
      auto* to = meta(Append(EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED, now))
                     ->mutable_workflow_properties_modified_event_attributes();
      *to->mutable_upserted_memo() =
          std::move(*command->mutable_modify_workflow_properties_command_attributes()->mutable_upserted_memo());
      to->set_workflow_task_completed_event_id(completed_id);
      return;
    }
    case COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION: {
      auto* to = meta(Append(EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, now))
                     ->mutable_workflow_execution_completed_event_attributes();
      *to->mutable_result() =
          std::move(*command->mutable_complete_workflow_execution_command_attributes()->mutable_result());
      to->set_workflow_task_completed_event_id(completed_id);
      closed_ = true;
      return;
    }
    case COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION: {
      auto* to =
          meta(Append(EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, now))->mutable_workflow_execution_failed_event_attributes();
      *to->mutable_failure() =
          std::move(*command->mutable_fail_workflow_execution_command_attributes()->mutable_failure());
      to->set_retry_state(RETRY_STATE_RETRY_POLICY_NOT_SET);
      to->set_workflow_task_completed_event_id(completed_id);
      closed_ = true;
      return;
    }
    case COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION: {
      auto* from = command->mutable_cancel_workflow_execution_command_attributes();
      auto* to = meta(Append(EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, now))
                     ->mutable_workflow_execution_canceled_event_attributes();
      if (from->has_details()) *to->mutable_details() = std::move(*from->mutable_details());
      to->set_workflow_task_completed_event_id(completed_id);
      closed_ = true;
      return;
    }
    case COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION:
      ApplyContinue(command, completed_id, now);
      return;
    default:
      CheckFailed("command of the table", CommandType_Name(command->command_type()));
  }
}

// What the server fills in where the command leaves it open: no limit is above the total, and a retry policy is always
// there.
void ServerRun::ApplySchedule(Command* command, int64_t completed_id, UnixMillis now) {
  auto* from = command->mutable_schedule_activity_task_command_attributes();
  HistoryEvent* event = Append(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, now);
  if (command->has_user_metadata()) *event->mutable_user_metadata() = std::move(*command->mutable_user_metadata());
  auto* to = event->mutable_activity_task_scheduled_event_attributes();
  to->set_activity_id(std::move(*from->mutable_activity_id()));
  *to->mutable_activity_type() = std::move(*from->mutable_activity_type());
  SetQueue(from->task_queue().name().empty() ? start_.task_queue : from->task_queue().name(), to->mutable_task_queue());
  if (from->has_header()) *to->mutable_header() = std::move(*from->mutable_header());
  if (from->has_input()) *to->mutable_input() = std::move(*from->mutable_input());
  if (from->has_priority()) *to->mutable_priority() = std::move(*from->mutable_priority());
  const int64_t run = start_.run_timeout_ms;
  const int64_t given_total = ToMillis(from->schedule_to_close_timeout());
  const auto within = [&](int64_t value, int64_t limit) {
    return limit <= 0 ? value : value > 0 ? std::min(value, limit) : limit;
  };
  const int64_t total = within(given_total, run);
  SetMillis(total, to->mutable_schedule_to_close_timeout());
  SetMillis(within(ToMillis(from->schedule_to_start_timeout()), total), to->mutable_schedule_to_start_timeout());
  const int64_t each = ToMillis(from->start_to_close_timeout());
  SetMillis(given_total > 0 || run > 0 ? within(each, total) : each, to->mutable_start_to_close_timeout());
  SetMillis(ToMillis(from->heartbeat_timeout()), to->mutable_heartbeat_timeout());
  to->set_workflow_task_completed_event_id(completed_id);
  auto* retry = to->mutable_retry_policy();
  if (from->has_retry_policy()) *retry = std::move(*from->mutable_retry_policy());
  if (ToMillis(retry->initial_interval()) <= 0) SetMillis(kDefaultInitialIntervalMs, retry->mutable_initial_interval());
  if (retry->backoff_coefficient() == 0) retry->set_backoff_coefficient(2);
  if (ToMillis(retry->maximum_interval()) <= 0) {
    SetMillis(ToMillis(retry->initial_interval()) * kMaxIntervalFactor, retry->mutable_maximum_interval());
  }
  auto activity = std::make_unique<Activity>();
  activity->TakeEvent(*event);
  activity->first_scheduled_at = activity->ready_at = now;
  activities_.push_back(std::move(activity));
}

void ServerRun::ApplyCancelActivity(const Command& command, int64_t completed_id, UnixMillis now,
                                    std::string_view identity) {
  const int64_t scheduled = command.request_cancel_activity_task_command_attributes().scheduled_event_id();
  HistoryEvent* event = Append(EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, now);
  auto* attributes = event->mutable_activity_task_cancel_requested_event_attributes();
  attributes->set_scheduled_event_id(scheduled);
  attributes->set_workflow_task_completed_event_id(completed_id);
  Activity* activity = FindActivity(scheduled);
  if (activity == nullptr) return;  // it is over, and the code will be told
  activity->cancel_requested = true;
  activity->cancel_requested_id = event->event_id();
  if (activity->started_at != 0) return;
  // Nobody works on it: it ends here.
  auto* cancelled =
      AppendForCode(EVENT_TYPE_ACTIVITY_TASK_CANCELED, now)->mutable_activity_task_canceled_event_attributes();
  workflow::AddJson(Json(kNotStarted), cancelled->mutable_details());
  cancelled->set_latest_cancel_requested_event_id(activity->cancel_requested_id);
  cancelled->set_scheduled_event_id(scheduled);
  cancelled->set_identity(std::string(identity));
  not_started_cancelled_ = true;
  Drop(activity);
}

void ServerRun::ApplyCancelTimer(const Command& command, int64_t completed_id, UnixMillis now,
                                 std::string_view identity) {
  const std::string& id = command.cancel_timer_command_attributes().timer_id();
  int64_t started = 0;
  std::erase_if(timers_, [&](const Timer& timer) {
    if (timer.id != id) return false;
    started = timer.started_id;
    return true;
  });
  // It fired while the code was deciding to cancel it: taken back.
  if (started == 0) {
    std::erase_if(buffered_, [&](const std::unique_ptr<HistoryEvent>& event) {
      const auto& fired = event->timer_fired_event_attributes();
      if (event->event_type() != EVENT_TYPE_TIMER_FIRED || fired.timer_id() != id) return false;
      started = fired.started_event_id();
      return true;
    });
  }
  auto* attributes = Append(EVENT_TYPE_TIMER_CANCELED, now)->mutable_timer_canceled_event_attributes();
  attributes->set_timer_id(id);
  attributes->set_started_event_id(started);
  attributes->set_workflow_task_completed_event_id(completed_id);
  attributes->set_identity(std::string(identity));
}

void ServerRun::ApplyContinue(Command* command, int64_t completed_id, UnixMillis now) {
  auto* from = command->mutable_continue_as_new_workflow_execution_command_attributes();
  ExecutionStart next;
  next.workflow_id = start_.workflow_id;
  next.execution = start_.execution + 1;
  next.run_id = ids_.runs->NewUuid();
  next.workflow_type = from->workflow_type().name().empty() ? start_.workflow_type : from->workflow_type().name();
  next.task_queue = from->task_queue().name().empty() ? start_.task_queue : from->task_queue().name();
  next.input = from->input();
  next.search_attributes = from->search_attributes();
  next.run_timeout_ms =
      from->has_workflow_run_timeout() ? ToMillis(from->workflow_run_timeout()) : start_.run_timeout_ms;
  const int64_t task_timeout = ToMillis(from->workflow_task_timeout());
  next.task_timeout_ms = task_timeout > 0 ? task_timeout : start_.task_timeout_ms;
  next.first_run_id = start_.first_run_id;
  next.continued_run_id = start_.run_id;
  const int64_t life = now - (started_at_ + start_.first_task_backoff_ms);
  if (life < kMinLifeMs) next.first_task_backoff_ms = kMinLifeMs - std::max<int64_t>(life, 0);
  next.reset_points = start_.reset_points;
  if (next.reset_points.points().empty()) {
    auto* point = next.reset_points.add_points();
    point->set_run_id(start_.run_id);
    point->set_first_workflow_task_completed_id(first_completed_id_);
    SetMillis(started_at_, point->mutable_create_time());
    SetMillis(now + kRetentionMs, point->mutable_expire_time());
    point->set_resettable(true);
  }
  auto* to = Append(EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, now)
                 ->mutable_workflow_execution_continued_as_new_event_attributes();
  to->set_new_execution_run_id(next.run_id);
  to->mutable_workflow_type()->set_name(next.workflow_type);
  SetQueue(next.task_queue, to->mutable_task_queue());
  *to->mutable_input() = std::move(*from->mutable_input());
  SetMillis(next.run_timeout_ms, to->mutable_workflow_run_timeout());
  SetMillis(next.task_timeout_ms, to->mutable_workflow_task_timeout());
  to->set_workflow_task_completed_event_id(completed_id);
  if (next.search_attributes.indexed_fields_size() > 0) *to->mutable_search_attributes() = next.search_attributes;
  next_ = std::move(next);
  closed_ = true;
}

// --- the world
// -----------------------------------------------------------------------------------------------------------

bool ServerRun::Signal(UnixMillis now, std::string_view name, Payloads input, std::string_view identity,
                       const std::string& request_id) {
  if (closed_ || (!request_id.empty() && !signals_.insert(request_id).second)) return false;
  auto* attributes = AppendForCode(EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, now)
                         ->mutable_workflow_execution_signaled_event_attributes();
  attributes->set_signal_name(std::string(name));
  *attributes->mutable_input() = std::move(input);
  attributes->set_identity(std::string(identity));
  attributes->set_request_id(request_id);
  if (MayScheduleTask()) ScheduleTask(now);
  return true;
}

bool ServerRun::RequestCancel(UnixMillis now, std::string_view cause, std::string_view identity) {
  if (closed_ || std::exchange(cancel_requested_, true)) return false;
  auto* attributes = AppendForCode(EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED, now)
                         ->mutable_workflow_execution_cancel_requested_event_attributes();
  attributes->set_cause(std::string(cause));
  attributes->set_identity(std::string(identity));
  if (MayScheduleTask()) ScheduleTask(now);
  return true;
}

bool ServerRun::Terminate(UnixMillis now, std::string_view reason, std::string_view identity) {
  if (closed_) return false;
  FlushBuffered();
  auto* attributes =
      Append(EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, now)->mutable_workflow_execution_terminated_event_attributes();
  attributes->set_reason(std::string(reason));
  attributes->set_identity(std::string(identity));
  closed_ = true;
  task_ = Task();
  transient_events_.clear();
  return true;
}

// --- activities
// ----------------------------------------------------------------------------------------------------------

ServerRun::Activity* ServerRun::FindActivity(int64_t scheduled_event_id) {
  for (const auto& activity : activities_) {
    if (activity->scheduled_id == scheduled_event_id) return activity.get();
  }
  return nullptr;
}

bool ServerRun::IsCancelRequested(const Activity& activity) { return activity.cancel_requested; }

ServerRun::Activity* ServerRun::FindRunning(AttemptToken token) {
  Activity* activity =
      closed_ || token.execution != start_.execution ? nullptr : FindActivity(token.scheduled_event_id);
  return activity != nullptr && activity->started_at != 0 && activity->attempt == token.attempt ? activity : nullptr;
}

void ServerRun::Drop(const Activity* activity) {
  std::erase_if(activities_, [&](const auto& entry) { return entry.get() == activity; });
}

ActivityAttempt ServerRun::Begin(Activity* activity, UnixMillis now, std::string_view identity) {
  activity->started_at = now;
  activity->last_beat_at = now;
  activity->identity = identity;
  activity->request_id = ids_.requests->NewUuid();
  ActivityAttempt attempt;
  attempt.token = {start_.execution, activity->scheduled_id, activity->attempt};
  attempt.activity_id = activity->id;
  attempt.activity_type = activity->type;
  attempt.task_queue = activity->queue;
  attempt.input = activity->input;
  attempt.heartbeat_details = activity->heartbeat_details;
  attempt.scheduled_ms = activity->ready_at;
  attempt.started_ms = now;
  attempt.start_to_close_ms = activity->start_to_close_ms;
  attempt.heartbeat_ms = activity->heartbeat_ms;
  return attempt;
}

std::optional<ActivityAttempt> ServerRun::PollActivity(UnixMillis now, std::string_view identity) {
  if (closed_) return std::nullopt;
  for (const auto& activity : activities_) {
    if (activity->started_at == 0 && activity->ready_at <= now) return Begin(activity.get(), now, identity);
  }
  return std::nullopt;
}

std::optional<ActivityAttempt> ServerRun::StartActivity(UnixMillis now, std::string_view activity_id,
                                                        std::string_view identity, int32_t attempt) {
  if (closed_) return std::nullopt;
  for (const auto& activity : activities_) {
    if (activity->id != activity_id || activity->started_at != 0) continue;
    if (attempt > 0) activity->attempt = attempt;
    return Begin(activity.get(), now, identity);
  }
  return std::nullopt;
}

// The started event was held back while the attempt might still be retried.
void ServerRun::WriteStarted(Activity* activity) {
  HistoryEvent* event = AppendForCode(EVENT_TYPE_ACTIVITY_TASK_STARTED, activity->started_at);
  auto* attributes = event->mutable_activity_task_started_event_attributes();
  attributes->set_scheduled_event_id(activity->scheduled_id);
  attributes->set_identity(activity->identity);
  attributes->set_request_id(activity->request_id);
  attributes->set_attempt(activity->attempt);
  if (activity->last_failure) *attributes->mutable_last_failure() = *activity->last_failure;
}

namespace {

// Until a buffered started event has its number, the outcome refers to it by -1.
int64_t StartedReference(const History& history, bool buffered) { return buffered ? -1 : history.events_size(); }

}  // namespace

bool ServerRun::CompleteActivity(UnixMillis now, AttemptToken token, Payloads result, std::string_view identity) {
  Activity* activity = FindRunning(token);
  if (activity == nullptr) return false;
  WriteStarted(activity);
  const int64_t started = StartedReference(history_, task_.started_at != 0);
  auto* attributes =
      AppendForCode(EVENT_TYPE_ACTIVITY_TASK_COMPLETED, now)->mutable_activity_task_completed_event_attributes();
  *attributes->mutable_result() = std::move(result);
  attributes->set_scheduled_event_id(token.scheduled_event_id);
  attributes->set_started_event_id(started);
  attributes->set_identity(std::string(identity));
  Drop(activity);
  if (MayScheduleTask()) ScheduleTask(now);
  return true;
}

RetryState ServerRun::Retry(Activity* activity, const Failure& failure, UnixMillis now, bool final) {
  if (activity->cancel_requested) return RETRY_STATE_CANCEL_REQUESTED;
  if (failure.has_timeout_failure_info()) {
    const auto type = failure.timeout_failure_info().timeout_type();
    if (type == TIMEOUT_TYPE_SCHEDULE_TO_START || type == TIMEOUT_TYPE_SCHEDULE_TO_CLOSE) return RETRY_STATE_TIMEOUT;
  }
  if (!Retryable(failure, activity->final_types)) return RETRY_STATE_NON_RETRYABLE_FAILURE;
  if (activity->max_attempts > 0 && activity->attempt >= activity->max_attempts)
    return RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED;
  double interval =
      static_cast<double>(activity->initial_interval_ms) * std::pow(activity->coefficient, activity->attempt - 1);
  interval = std::min(interval, static_cast<double>(activity->max_interval_ms));
  if (failure.has_application_failure_info() && failure.application_failure_info().has_next_retry_delay()) {
    interval = static_cast<double>(ToMillis(failure.application_failure_info().next_retry_delay()));
  }
  const auto wait = static_cast<int64_t>(interval);
  if (activity->schedule_to_close_ms > 0 &&
      now + wait > activity->first_scheduled_at + activity->schedule_to_close_ms) {
    return RETRY_STATE_TIMEOUT;
  }
  if (final) return RETRY_STATE_UNSPECIFIED;
  ++activity->attempt;
  activity->ready_at = now + wait;
  activity->started_at = 0;
  activity->request_id.clear();
  activity->last_failure = std::make_unique<Failure>(ForNextAttempt(failure));
  return RETRY_STATE_IN_PROGRESS;
}

bool ServerRun::FailActivity(UnixMillis now, AttemptToken token, Failure failure, std::string_view identity,
                             bool final) {
  Activity* activity = FindRunning(token);
  if (activity == nullptr) return false;
  const RetryState state = Retry(activity, failure, now, final);
  if (state == RETRY_STATE_IN_PROGRESS) return true;
  WriteStarted(activity);
  const int64_t started = StartedReference(history_, task_.started_at != 0);
  auto* attributes =
      AppendForCode(EVENT_TYPE_ACTIVITY_TASK_FAILED, now)->mutable_activity_task_failed_event_attributes();
  *attributes->mutable_failure() = std::move(failure);
  attributes->set_scheduled_event_id(token.scheduled_event_id);
  attributes->set_started_event_id(started);
  attributes->set_identity(std::string(identity));
  attributes->set_retry_state(state);
  Drop(activity);
  if (MayScheduleTask()) ScheduleTask(now);
  return true;
}

bool ServerRun::CancelActivity(UnixMillis now, AttemptToken token, Payloads details, std::string_view identity) {
  Activity* activity = FindRunning(token);
  if (activity == nullptr || !activity->cancel_requested) return false;
  WriteStarted(activity);
  const int64_t started = StartedReference(history_, task_.started_at != 0);
  auto* attributes =
      AppendForCode(EVENT_TYPE_ACTIVITY_TASK_CANCELED, now)->mutable_activity_task_canceled_event_attributes();
  if (details.payloads_size() > 0) *attributes->mutable_details() = std::move(details);
  attributes->set_latest_cancel_requested_event_id(activity->cancel_requested_id);
  attributes->set_scheduled_event_id(token.scheduled_event_id);
  attributes->set_started_event_id(started);
  attributes->set_identity(std::string(identity));
  Drop(activity);
  if (MayScheduleTask()) ScheduleTask(now);
  return true;
}

bool ServerRun::ReturnAttempt(AttemptToken token) {
  Activity* activity = FindRunning(token);
  if (activity == nullptr) return false;
  activity->started_at = 0;
  return true;
}

std::optional<AttemptToken> ServerRun::SetAttempt(int64_t scheduled_event_id, int32_t attempt) {
  Activity* activity = closed_ ? nullptr : FindActivity(scheduled_event_id);
  if (activity == nullptr || activity->started_at == 0) return std::nullopt;
  activity->attempt = attempt;
  return AttemptToken{start_.execution, scheduled_event_id, attempt};
}

bool ServerRun::TimeOutActivity(UnixMillis now, int64_t scheduled_event_id, TimeoutType type, bool final) {
  Activity* activity = closed_ ? nullptr : FindActivity(scheduled_event_id);
  if (activity == nullptr) return false;
  Failure failure = TimeoutFailure("activity " + std::string(TimeoutName(type)) + " timeout", type);
  const RetryState state = Retry(activity, failure, now, final);
  if (state == RETRY_STATE_IN_PROGRESS) return true;
  if (state == RETRY_STATE_TIMEOUT && type != TIMEOUT_TYPE_SCHEDULE_TO_START) {
    failure = TimeoutFailure(
        "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying",
        TIMEOUT_TYPE_SCHEDULE_TO_CLOSE);
  }
  if (activity->last_failure) *failure.mutable_cause() = *activity->last_failure;
  if (activity->heartbeat_details.payloads_size() > 0) {
    *failure.mutable_timeout_failure_info()->mutable_last_heartbeat_details() = activity->heartbeat_details;
  }
  const bool began = activity->started_at != 0;
  if (began) WriteStarted(activity);
  const int64_t started = began ? StartedReference(history_, task_.started_at != 0) : 0;
  auto* attributes =
      AppendForCode(EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, now)->mutable_activity_task_timed_out_event_attributes();
  *attributes->mutable_failure() = std::move(failure);
  attributes->set_scheduled_event_id(scheduled_event_id);
  attributes->set_started_event_id(started);
  attributes->set_retry_state(state);
  Drop(activity);
  if (MayScheduleTask()) ScheduleTask(now);
  return true;
}

ServerRun::HeartbeatReply ServerRun::Heartbeat(UnixMillis now, AttemptToken token, Payloads details) {
  Activity* activity = FindRunning(token);
  if (activity == nullptr) return {};
  activity->last_beat_at = now;
  activity->heartbeat_details = std::move(details);
  return {true, activity->cancel_requested};
}

void ServerRun::AbandonAttempts(UnixMillis now) {
  std::vector<std::pair<int64_t, TimeoutType>> lost;
  for (const auto& activity : activities_) {
    if (activity->started_at == 0) continue;
    lost.emplace_back(activity->scheduled_id,
                      activity->heartbeat_ms > 0 ? TIMEOUT_TYPE_HEARTBEAT : TIMEOUT_TYPE_START_TO_CLOSE);
  }
  for (const auto& [id, type] : lost) TimeOutActivity(now, id, type);
}

// --- time
// ----------------------------------------------------------------------------------------------------------------

std::optional<ServerRun::Due> ServerRun::FirstDue() const {
  if (closed_) return std::nullopt;
  Due first;
  const auto offer = [&](UnixMillis at, Due::What what, size_t position, TimeoutType type) {
    if (at < first.at) first = {at, what, position, type};
  };
  if (first_task_at_ != 0) offer(first_task_at_, Due::What::kFirstTask, 0, TIMEOUT_TYPE_UNSPECIFIED);
  for (size_t i = 0; i < timers_.size(); ++i) offer(timers_[i].due, Due::What::kTimer, i, TIMEOUT_TYPE_UNSPECIFIED);
  for (size_t i = 0; i < activities_.size(); ++i) {
    const Activity& activity = *activities_[i];
    if (activity.started_at != 0) {
      if (activity.start_to_close_ms > 0)
        offer(activity.started_at + activity.start_to_close_ms, Due::What::kActivity, i, TIMEOUT_TYPE_START_TO_CLOSE);
      if (activity.heartbeat_ms > 0)
        offer(activity.last_beat_at + activity.heartbeat_ms, Due::What::kActivity, i, TIMEOUT_TYPE_HEARTBEAT);
    } else if (activity.schedule_to_start_ms > 0) {
      offer(activity.ready_at + activity.schedule_to_start_ms, Due::What::kActivity, i, TIMEOUT_TYPE_SCHEDULE_TO_START);
    }
    if (activity.schedule_to_close_ms > 0) {
      offer(activity.first_scheduled_at + activity.schedule_to_close_ms, Due::What::kActivity, i,
            TIMEOUT_TYPE_SCHEDULE_TO_CLOSE);
    }
  }
  if (task_.started_at != 0) {
    offer(task_.started_at + start_.task_timeout_ms, Due::What::kTask, 0, TIMEOUT_TYPE_START_TO_CLOSE);
  } else if (task_.scheduled_id != 0 && task_.sticky) {
    offer(task_.scheduled_at + sticky_schedule_to_start_ms_, Due::What::kTask, 0, TIMEOUT_TYPE_SCHEDULE_TO_START);
  }
  if (start_.run_timeout_ms > 0)
    offer(started_at_ + start_.run_timeout_ms, Due::What::kRun, 0, TIMEOUT_TYPE_START_TO_CLOSE);
  if (first.at == kNever) return std::nullopt;
  return first;
}

UnixMillis ServerRun::NextDue() const {
  const auto first = FirstDue();
  UnixMillis at = first ? first->at : kNever;
  for (const auto& activity : activities_) {
    if (activity->started_at == 0 && !closed_) at = std::min(at, activity->ready_at);
  }
  return at;
}

bool ServerRun::FireTimer(UnixMillis now, std::string_view timer_id) {
  const auto it =
      std::find_if(timers_.begin(), timers_.end(), [&](const Timer& timer) { return timer.id == timer_id; });
  if (closed_ || it == timers_.end()) return false;
  auto* attributes = AppendForCode(EVENT_TYPE_TIMER_FIRED, now)->mutable_timer_fired_event_attributes();
  attributes->set_timer_id(it->id);
  attributes->set_started_event_id(it->started_id);
  timers_.erase(it);
  if (MayScheduleTask()) ScheduleTask(now);
  return true;
}

void ServerRun::FireDue(UnixMillis now) {
  for (auto due = FirstDue(); due && due->at <= now; due = FirstDue()) {
    switch (due->what) {
      case Due::What::kFirstTask:
        first_task_at_ = 0;
        if (MayScheduleTask()) ScheduleTask(now);
        break;
      case Due::What::kTimer:
        FireTimer(now, std::string(timers_[due->position].id));
        break;
      case Due::What::kActivity:
        TimeOutActivity(now, activities_[due->position]->scheduled_id, due->type);
        break;
      case Due::What::kTask:
        TimeOutTask(now);
        break;
      case Due::What::kRun: {
        FlushBuffered();
        auto* attributes = Append(EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT, now)
                               ->mutable_workflow_execution_timed_out_event_attributes();
        attributes->set_retry_state(RETRY_STATE_RETRY_POLICY_NOT_SET);
        closed_ = true;
        task_ = Task();
        transient_events_.clear();
        return;
      }
    }
  }
}

std::vector<ServerRun::OpenActivity> ServerRun::open_activities() const {
  std::vector<OpenActivity> open;
  for (const auto& activity : activities_) {
    open.push_back({activity->id, activity->type, activity->scheduled_id, activity->attempt, activity->started_at != 0,
                    activity->cancel_requested, activity->ready_at});
  }
  return open;
}

std::vector<ServerRun::OpenTimer> ServerRun::open_timers() const {
  std::vector<OpenTimer> open;
  for (const Timer& timer : timers_) open.push_back({timer.id, timer.due});
  return open;
}

// --- what survives a process
// ---------------------------------------------------------------------------------------------

Json ServerRun::SaveState() const {
  const auto bytes = [](const auto& message) { return Base64Encode(message.SerializeAsString()); };
  Json activities = Json::MakeArray();
  for (const auto& activity : activities_) {
    Json entry = Json::MakeObject({{"scheduledEventId", activity->scheduled_id},
                                   {"firstScheduledAt", activity->first_scheduled_at},
                                   {"readyAt", activity->ready_at},
                                   {"startedAt", activity->started_at},
                                   {"lastBeatAt", activity->last_beat_at},
                                   {"attempt", activity->attempt},
                                   {"cancelRequestedId", activity->cancel_requested_id},
                                   {"identity", activity->identity},
                                   {"requestId", activity->request_id}});
    if (activity->last_failure) entry.Set("lastFailure", bytes(*activity->last_failure));
    if (activity->heartbeat_details.payloads_size() > 0)
      entry.Set("heartbeatDetails", bytes(activity->heartbeat_details));
    activities.Push(std::move(entry));
  }
  Json timers = Json::MakeArray();
  for (const Timer& timer : timers_) {
    timers.Push(Json::MakeObject({{"id", timer.id}, {"startedEventId", timer.started_id}, {"due", timer.due}}));
  }
  Json buffered = Json::MakeArray();
  for (const auto& event : buffered_) buffered.Push(bytes(*event));
  return Json::MakeObject({{"activities", std::move(activities)},
                           {"timers", std::move(timers)},
                           {"buffered", std::move(buffered)},
                           {"task", Json::MakeObject({{"scheduledId", task_.scheduled_id},
                                                      {"startedId", task_.started_id},
                                                      {"attempt", task_.attempt},
                                                      {"scheduledAt", task_.scheduled_at},
                                                      {"startedAt", task_.started_at},
                                                      {"queue", task_.queue},
                                                      {"sticky", task_.sticky},
                                                      {"requestId", task_.request_id},
                                                      {"identity", task_.identity},
                                                      {"historySize", task_.history_size}})},
                           {"execution", start_.execution},
                           {"startedAt", started_at_},
                           {"firstTaskAt", first_task_at_},
                           {"stickyQueue", sticky_queue_},
                           {"stickyScheduleToStartMs", sticky_schedule_to_start_ms_},
                           {"cancelRequested", cancel_requested_},
                           {"closed", closed_},
                           {"firstCompletedId", first_completed_id_}});
}

Result<ServerRun> ServerRun::Load(History history, const Json& state, RunIds ids) {
  const auto corrupt = [](const std::string& what) {
    return Fail("EMBEDDED_STATE_CORRUPT", "stored execution: " + what);
  };
  if (history.events_size() == 0 || !history.events(0).has_workflow_execution_started_event_attributes()) {
    return corrupt("expected a history that begins with the start of the workflow");
  }
  ServerRun run(ids);
  const auto& started = history.events(0).workflow_execution_started_event_attributes();
  run.start_.workflow_id = started.workflow_id();
  run.start_.run_id = started.original_execution_run_id();
  run.start_.workflow_type = started.workflow_type().name();
  run.start_.task_queue = started.task_queue().name();
  run.start_.identity = started.identity();
  run.start_.task_timeout_ms = ToMillis(started.workflow_task_timeout());
  run.start_.run_timeout_ms = ToMillis(started.workflow_run_timeout());
  run.start_.first_task_backoff_ms = ToMillis(started.first_workflow_task_backoff());
  run.start_.first_run_id = started.first_execution_run_id();
  run.start_.continued_run_id = started.continued_execution_run_id();
  run.start_.reset_points = started.prev_auto_reset_points();
  run.history_ = std::move(history);
  for (const HistoryEvent& event : run.history_.events()) {
    const std::string& request = event.workflow_execution_signaled_event_attributes().request_id();
    if (!request.empty()) run.signals_.insert(request);
  }
  const auto decode = [](const std::string& text, auto* message) {
    const auto data = Base64Decode(text);
    return data && message->ParseFromString(*data);
  };
  const Json* lists[] = {state.Find("activities"), state.Find("timers"), state.Find("buffered")};
  for (const Json* list : lists) {
    if (list == nullptr || !list->is_array()) return corrupt("expected activities, timers and buffered events");
  }
  for (const Json& entry : lists[0]->AsArray()) {
    const int64_t id = entry.GetInt("scheduledEventId");
    if (id < 1 || id > run.history_.events_size() ||
        !run.history_.events(static_cast<int>(id - 1)).has_activity_task_scheduled_event_attributes()) {
      return corrupt("expected an activity scheduled by event " + std::to_string(id));
    }
    auto activity = std::make_unique<Activity>();
    activity->TakeEvent(run.history_.events(static_cast<int>(id - 1)));
    activity->first_scheduled_at = entry.GetInt("firstScheduledAt");
    activity->ready_at = entry.GetInt("readyAt");
    activity->started_at = entry.GetInt("startedAt");
    activity->last_beat_at = entry.GetInt("lastBeatAt");
    activity->attempt = static_cast<int32_t>(entry.GetInt("attempt", 1));
    activity->cancel_requested_id = entry.GetInt("cancelRequestedId");
    activity->cancel_requested = activity->cancel_requested_id != 0;
    activity->identity = entry.GetString("identity");
    activity->request_id = entry.GetString("requestId");
    if (entry.Find("lastFailure") != nullptr) {
      activity->last_failure = std::make_unique<Failure>();
      if (!decode(entry.GetString("lastFailure"), activity->last_failure.get()))
        return corrupt("a failure that cannot be read");
    }
    if (entry.Find("heartbeatDetails") != nullptr &&
        !decode(entry.GetString("heartbeatDetails"), &activity->heartbeat_details)) {
      return corrupt("heartbeat details that cannot be read");
    }
    run.activities_.push_back(std::move(activity));
  }
  for (const Json& entry : lists[1]->AsArray()) {
    run.timers_.push_back({entry.GetString("id"), entry.GetInt("startedEventId"), entry.GetInt("due")});
  }
  for (const Json& entry : lists[2]->AsArray()) {
    auto event = std::make_unique<HistoryEvent>();
    if (!entry.is_string() || !decode(entry.AsString(), event.get()))
      return corrupt("a buffered event that cannot be read");
    const std::string& request = event->workflow_execution_signaled_event_attributes().request_id();
    if (!request.empty()) run.signals_.insert(request);
    run.buffered_.push_back(std::move(event));
  }
  const Json* task = state.Find("task");
  if (task == nullptr) return corrupt("expected a workflow task");
  run.task_.scheduled_id = task->GetInt("scheduledId");
  run.task_.started_id = task->GetInt("startedId");
  run.task_.attempt = static_cast<int32_t>(task->GetInt("attempt", 1));
  run.task_.scheduled_at = task->GetInt("scheduledAt");
  run.task_.started_at = task->GetInt("startedAt");
  run.task_.queue = task->GetString("queue");
  run.task_.sticky = task->GetBool("sticky");
  run.task_.request_id = task->GetString("requestId");
  run.task_.identity = task->GetString("identity");
  run.task_.history_size = task->GetInt("historySize");
  run.start_.execution = static_cast<int32_t>(state.GetInt("execution", 1));
  run.started_at_ = state.GetInt("startedAt");
  run.first_task_at_ = state.GetInt("firstTaskAt");
  run.sticky_queue_ = state.GetString("stickyQueue");
  run.sticky_schedule_to_start_ms_ = state.GetInt("stickyScheduleToStartMs", 10'000);
  run.cancel_requested_ = state.GetBool("cancelRequested");
  run.closed_ = state.GetBool("closed");
  run.first_completed_id_ = state.GetInt("firstCompletedId");
  return run;
}

}  // namespace lockstep::embedded
