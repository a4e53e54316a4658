// See workflow_tasks.h. A Session is one polled task and the tasks that its heartbeats bring. It ends in exactly one
// of: answered (the run may stay cached), given up (the run is dropped).
#include "engine-core/providers/temporal/workflow_tasks.h"

#include <algorithm>
#include <map>
#include <optional>

#include "engine-core/providers/temporal/local_activities.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"
#include "temporal/api/update/v1/message.pb.h"

namespace lockstep::provider {

using api::history::v1::HistoryEvent;
using workflow::Execution;

namespace {

// The cause the server records for a failed task.
struct TaskFailure {
  api::enums::v1::WorkflowTaskFailedCause cause =
      api::enums::v1::WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE;
  api::failure::v1::Failure failure;
  bool quiet = false;  // of this worker's making (shutdown): not counted, always reported
};

// Ids and types of commands are checked; a gate updates its search attribute; the command that ends a run comes last.
constexpr uint32_t kCommonCoreFlags[] = {1, 2, 3};

TaskFailure MakeTaskFailure(std::string code, std::string message) {
  TaskFailure result;
  result.failure = MakeFailure(Error(std::move(code), std::move(message), true));
  return result;
}

std::string TaskName(const WorkflowTask& task) {
  return "workflow task of " + task.workflow_type().name() + " " + task.workflow_execution().workflow_id() + "/" +
         task.workflow_execution().run_id();
}

}  // namespace

class WorkflowTasks::Session {
 public:
  Session(WorkflowTasks& parent, CachedRun& run, std::unique_ptr<WorkflowTask> task, std::string task_queue,
          std::string sticky_queue)
      : core_(parent.core_),
        local_pool_(parent.local_pool_),
        run_(run),
        task_(std::move(task)),
        task_queue_(std::move(task_queue)),
        sticky_queue_(std::move(sticky_queue)) {}

  // Whether the run may stay in the cache.
  bool Process() {
    if (task_->has_query()) return ProcessLegacyQuery();
    while (task_) {
      received_ = SteadyClock::now();
      if (auto failure = Advance()) {
        FailTask(*failure);
        return false;
      }
      if (auto failure = RunLocalActivities()) {
        FailTask(*failure);
        return false;
      }
      if (!Answer()) return false;
    }
    return !run_.execution->closed();
  }

 private:
  // --- bringing the execution up to date
  // ---------------------------------------------------------------------------------

  // The events this task needs, from where the cached execution stands, or from the start when there is none that fits.
  Status LoadHistory() {
    auto& events = *task_->mutable_history()->mutable_events();
    const int64_t first = events.empty() ? 0 : events.Get(0).event_id();
    const bool fits = run_.execution && run_.execution->last_started_event_id() == task_->previous_started_event_id() &&
                      (events.empty() || first == task_->previous_started_event_id() + 1);
    if (run_.execution && !fits) run_.Reset();
    if (run_.execution) {
      ++core_.counters.cache_hits;
      return AppendPages(task_->next_page_token(), 0);
    }
    if (first == 1) return AppendPages(task_->next_page_token(), 0);
    // The server thought the run cached here and sent only what is new.
    ++core_.counters.cache_misses;
    History recent;
    recent.mutable_events()->Swap(&events);
    LOCKSTEP_TRY(AppendPages({}, first));
    if (first == 0) return {};
    for (auto& event : *recent.mutable_events()) *events.Add() = std::move(event);
    return AppendPages(task_->next_page_token(), 0);
  }

  // Appends the pages that `token` continues with (an empty token: nothing, unless `before` is set: then the whole
  // history up to the event before that id).
  Status AppendPages(std::string token, int64_t before) {
    if (token.empty() && before == 0 && task_->history().events_size() > 0) return {};
    if (token.empty() && run_.execution) return {};
    service::GetWorkflowExecutionHistoryRequest request;
    request.set_namespace_(core_.namespace_name());
    *request.mutable_execution() = task_->workflow_execution();
    do {
      request.set_next_page_token(token);
      service::GetWorkflowExecutionHistoryResponse response;
      const grpc::Status status = core_.rpc->Call(&Stub::GetWorkflowExecutionHistory, request, &response,
                                                  core_.Spec(core_.rpc->options().request_timeout_ms));
      if (!status.ok())
        return std::unexpected(ToError(status, "getHistory", task_->workflow_execution().workflow_id()));
      for (auto& event : *response.mutable_history()->mutable_events()) {
        if (before > 0 && event.event_id() >= before) return {};
        *task_->mutable_history()->add_events() = std::move(event);
      }
      token = response.next_page_token();
    } while (!token.empty());
    return {};
  }

  std::optional<TaskFailure> CreateExecution() {
    const std::string& type = task_->workflow_type().name();
    if (core_.options.workflows == nullptr || core_.options.workflows->Find(type) == nullptr) {
      std::string known;
      for (const std::string& name :
           core_.options.workflows == nullptr ? std::vector<std::string>() : core_.options.workflows->Types()) {
        known += (known.empty() ? "" : ", ") + name;
      }
      return MakeTaskFailure("WORKER_UNAVAILABLE", "workflow type " + type + " is unknown to this worker; known: " +
                                                       (known.empty() ? "none" : known));
    }
    const auto& events = task_->history().events();
    if (events.empty() || !events.Get(0).has_workflow_execution_started_event_attributes()) {
      return MakeTaskFailure("TRANSIENT_STEP_ERROR", "the history does not begin with the start of the workflow");
    }
    run_.task_timeout_ms = std::max<int64_t>(
        100, ToMillis(events.Get(0).workflow_execution_started_event_attributes().workflow_task_timeout()));
    workflow::ExecutionOptions options;
    options.version_pins = core_.options.version_pins;
    options.build_id = core_.options.build_id;
    options.log = [&core = core_, id = task_->workflow_execution().workflow_id()](LogLevel level,
                                                                                  std::string_view message) {
      core.Log(level, "[" + id + "] " + std::string(message));
    };
    run_.execution = Execution::Create(
        *core_.options.workflows,
        {core_.namespace_name(), task_->workflow_execution().workflow_id(), task_->workflow_execution().run_id()},
        std::move(options));
    return std::nullopt;
  }

  // Replays what the history holds and activates the open task.
  std::optional<TaskFailure> Advance() {
    if (auto loaded = LoadHistory(); !loaded) return MakeTaskFailure(loaded.error().code, loaded.error().message);
    const bool created = !run_.execution;
    if (created) {
      if (auto failure = CreateExecution()) return failure;
    }
    std::vector<const HistoryEvent*> events;
    for (const HistoryEvent& event : task_->history().events()) events.push_back(&event);
    workflow::HistoryCut cut = workflow::CutHistory(events);
    if (!cut.tasks.empty() && cut.tasks.back().completed == nullptr) cut.tasks.back().updates = UnpackUpdates();
    if (cut.head_completed != nullptr && !created) {
      if (auto failure = ApplyHead(cut)) return failure;
    }
    for (const workflow::TaskSlice& slice : cut.tasks) {
      if (slice.completed == nullptr && task_->has_query()) break;  // a query never opens a task
      if (auto failure = ApplySlice(slice)) return failure;
    }
    if (!task_->has_query() && (cut.tasks.empty() || cut.tasks.back().completed != nullptr)) {
      return MakeTaskFailure("TRANSIENT_STEP_ERROR",
                             "the history holds no open workflow task; it ends at event " +
                                 std::to_string(events.empty() ? 0 : events.back()->event_id()));
    }
    return std::nullopt;
  }

  // The updates that came with the task, in the order of their messages. Other messages there are none of today.
  std::vector<workflow::UpdateDelivery> UnpackUpdates() {
    std::vector<workflow::UpdateDelivery> deliveries;
    update_requests_.clear();
    for (const auto& message : task_->messages()) {
      auto request = std::make_unique<api::update::v1::Request>();
      // Without a body: the history has the request.
      if (message.body().type_url().empty()) {
        deliveries.push_back({message.protocol_instance_id(), message.id(), message.event_id(), nullptr});
        continue;
      }
      if (!message.body().UnpackTo(request.get())) {
        core_.Log(LogLevel::kWarning, TaskName(*task_) + ": a message of type " + message.body().type_url() + " is left alone");
        continue;
      }
      deliveries.push_back({message.protocol_instance_id(), message.id(), message.event_id(), request.get()});
      update_requests_.push_back(std::move(request));
    }
    return deliveries;
  }

  std::optional<TaskFailure> ApplyHead(const workflow::HistoryCut& cut) {
    if (run_.head_applied) return std::nullopt;
    if (task_->has_query() && cut.tasks.empty()) return std::nullopt;  // the next task brings it again
    run_.execution->Complete(*cut.head_completed, cut.head_recorded);
    run_.head_applied = true;
    return Verdict();
  }

  std::optional<TaskFailure> ApplySlice(const workflow::TaskSlice& slice) {
    {
      const Watchdog::Guard guard = Watch();
      run_.execution->Activate(slice);
    }
    run_.head_applied = false;
    if (auto failure = Verdict()) return failure;
    if (slice.completed == nullptr) return std::nullopt;
    run_.execution->Complete(*slice.completed, slice.recorded);
    run_.head_applied = true;
    return Verdict();
  }

  Watchdog::Guard Watch() {
    return Watchdog::Guard(core_.watchdog, TaskName(*task_),
                           [execution = run_.execution.get()] { return execution->CurrentLocation(); });
  }

  // Whether the code is still in step with the history.
  std::optional<TaskFailure> Verdict() {
    if (run_.execution->diverged()) {
      ++core_.counters.divergences;
      TaskFailure result;
      result.cause = api::enums::v1::WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR;
      Error error("NONDETERMINISM_DETECTED", "the code no longer does what the history says", true);
      for (const workflow::Divergence& divergence : run_.execution->divergences()) {
        if (divergence.grade != workflow::Grade::kCommandChanging) continue;
        error.message += ": " + divergence.Summary();
        break;
      }
      result.failure = MakeFailure(error);
      return result;
    }
    if (const auto* failure = run_.execution->broken()) {
      TaskFailure result;
      result.failure = *failure;
      return result;
    }
    return std::nullopt;
  }

  // --- local activities
  // --------------------------------------------------------------------------------------------------

  std::optional<TaskFailure> RunLocalActivities() {
    Execution& execution = *run_.execution;
    for (;;) {
      HandOverLocalActivities();
      if (execution.closed() || !execution.HasPendingLocalActivities()) return std::nullopt;
      if (local_.has_value() && local_->empty()) {
        return MakeTaskFailure("TRANSIENT_STEP_ERROR",
                               "the workflow waits for a local activity that it did not ask for");
      }
      auto outcome = local_->Next(received_ + std::chrono::milliseconds(run_.task_timeout_ms * 8 / 10));
      if (core_.abandoning) {
        TaskFailure stopped = MakeTaskFailure("WORKER_UNAVAILABLE", "the worker stopped while local activities ran");
        stopped.quiet = true;
        return stopped;
      }
      if (!outcome) {
        heartbeat_ = true;  // the task's time is nearly over: go on in a new one
        return std::nullopt;
      }
      {
        const Watchdog::Guard guard = Watch();
        execution.ResolveLocalActivity(std::move(*outcome));
      }
      if (auto failure = Verdict()) return failure;
    }
  }

  void HandOverLocalActivities() {
    for (auto& request : run_.execution->TakeLocalActivityRequests()) {
      if (!local_) {
        LocalActivities::Facts facts{run_.execution->identity().workflow_id, run_.execution->identity().run_id,
                                     std::string(run_.execution->workflow_type()), task_queue_, run_.task_timeout_ms};
        local_.emplace(core_, local_pool_, std::move(facts));
      }
      local_->Start(std::move(request));
    }
    for (const std::string& id : run_.execution->TakeLocalActivityCancellations()) {
      if (local_) local_->Cancel(id);
    }
  }

  // --- answers
  // -----------------------------------------------------------------------------------------------------------

  // Time left for an answer; the server has given the task up after that.
  int64_t AnswerBudgetMs() const { return std::max<int64_t>(2'000, run_.task_timeout_ms - MillisSince(received_)); }

  // False when the run must be dropped. Otherwise `task_` is the next task of a heartbeat, or empty.
  bool Answer() {
    const bool heartbeat = std::exchange(heartbeat_, false);
    service::RespondWorkflowTaskCompletedRequest request;
    core_.Stamp(&request);
    request.set_task_token(task_->task_token());
    for (auto& command : run_.execution->TakeCommands()) {
      // An eager activity would come back with the answer, past the slots of the activity pollers.
      if (command.has_schedule_activity_task_command_attributes()) {
        command.mutable_schedule_activity_task_command_attributes()->set_request_eager_execution(false);
      }
      *request.add_commands() = std::move(command);
    }
    request.set_return_new_workflow_task(heartbeat);
    request.set_force_create_new_workflow_task(heartbeat);
    if (core_.options.versioning != VersioningMode::kUnversioned) {
      request.set_versioning_behavior(core_.options.versioning == VersioningMode::kPinned
                                          ? api::enums::v1::VERSIONING_BEHAVIOR_PINNED
                                          : api::enums::v1::VERSIONING_BEHAVIOR_AUTO_UPGRADE);
    }
    if (!sticky_queue_.empty() && !core_.draining) FillSticky(request.mutable_sticky_attributes());
    FillMetadata(&request);
    AnswerQueries(&request);
    for (auto& message : run_.execution->TakeMessages()) *request.add_messages() = std::move(message);
    if (request.ByteSizeLong() > kMaxRequestBytes) {
      TaskFailure failure =
          MakeTaskFailure("PAYLOAD_TOO_LARGE", "commands of one workflow task: expected at most 4194304 bytes, found " +
                                                   std::to_string(request.ByteSizeLong()));
      failure.cause = api::enums::v1::WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE;
      FailTask(failure);
      return false;
    }
    service::RespondWorkflowTaskCompletedResponse response;
    const grpc::Status status =
        core_.rpc->Call(&Stub::RespondWorkflowTaskCompleted, request, &response, core_.Spec(AnswerBudgetMs()));
    if (!status.ok()) {
      NoteRefusal(status, "answer");
      return false;
    }
    ++(heartbeat ? core_.counters.workflow_task_heartbeats : core_.counters.workflow_tasks_completed);
    run_.introduced = true;
    // A reset point means the server dropped the task's events: the cached state is ahead of the history.
    if (response.reset_history_event_id() != 0) return false;
    if (!heartbeat) {
      task_.reset();
      return true;
    }
    if (!response.has_workflow_task() || response.workflow_task().task_token().empty()) return false;
    task_ = std::make_unique<WorkflowTask>(std::move(*response.mutable_workflow_task()));
    return true;
  }

  void FillSticky(api::taskqueue::v1::StickyExecutionAttributes* sticky) const {
    auto* queue = sticky->mutable_worker_task_queue();
    queue->set_name(sticky_queue_);
    queue->set_kind(api::enums::v1::TASK_QUEUE_KIND_STICKY);
    queue->set_normal_name(task_queue_);
    const int64_t timeout = core_.options.sticky_schedule_to_start_ms;
    sticky->mutable_schedule_to_start_timeout()->set_seconds(timeout / 1'000);
    sticky->mutable_schedule_to_start_timeout()->set_nanos(static_cast<int32_t>(timeout % 1'000) * 1'000'000);
  }

  // Recorded in the history, so only when it says something new. The flags tell a worker of the common core that takes the
  // run over which of that core's conventions the history keeps to.
  void FillMetadata(service::RespondWorkflowTaskCompletedRequest* request) const {
    if (run_.introduced) return;
    if (run_.execution->conventions().common_core) {
      for (const uint32_t flag : kCommonCoreFlags) request->mutable_sdk_metadata()->add_core_used_flags(flag);
    }
    request->mutable_sdk_metadata()->set_sdk_name(std::string(kSdkName));
    request->mutable_sdk_metadata()->set_sdk_version(std::string(kSdkVersion));
  }

  Result<std::unique_ptr<Payloads>> RunQuery(const api::query::v1::WorkflowQuery& query) {
    ++core_.counters.queries;
    const Watchdog::Guard guard = Watch();
    return run_.execution->Query(query.query_type(), query.query_args());
  }

  void AnswerQueries(service::RespondWorkflowTaskCompletedRequest* request) {
    for (const auto& [id, query] : task_->queries()) {
      api::query::v1::WorkflowQueryResult& result = (*request->mutable_query_results())[id];
      auto answer = RunQuery(query);
      if (answer) {
        result.set_result_type(api::enums::v1::QUERY_RESULT_TYPE_ANSWERED);
        *result.mutable_answer() = std::move(**answer);
      } else {
        result.set_result_type(api::enums::v1::QUERY_RESULT_TYPE_FAILED);
        result.set_error_message(answer.error().ToString());
        *result.mutable_failure() = MakeFailure(answer.error());
      }
    }
  }

  void FailTask(const TaskFailure& failure) {
    if (!failure.quiet) ++core_.counters.workflow_tasks_failed;
    const bool repeated = task_->attempt() > 1 && !failure.quiet;
    core_.Log(repeated        ? LogLevel::kDebug
              : failure.quiet ? LogLevel::kInfo
                              : LogLevel::kError,
              TaskName(*task_) + " failed (attempt " + std::to_string(std::max(task_->attempt(), 1)) +
                  "): " + failure.failure.message());
    if (task_->has_query()) {
      AnswerLegacyQuery(Fail("QUERY_FAILED", failure.failure.message()), failure.cause);
      return;
    }
    // The server repeats a failed task at once. From the second failure on the task is left to time out, which paces
    // the repeats without holding a thread; the history records only the first failure anyway.
    if (repeated) return;
    service::RespondWorkflowTaskFailedRequest request;
    service::RespondWorkflowTaskFailedResponse response;
    core_.Stamp(&request);
    request.set_task_token(task_->task_token());
    request.set_cause(failure.cause);
    *request.mutable_failure() = failure.failure;
    const grpc::Status status =
        core_.rpc->Call(&Stub::RespondWorkflowTaskFailed, request, &response, core_.Spec(AnswerBudgetMs()));
    if (!status.ok()) NoteRefusal(status, "failure");
  }

  // NOT_FOUND is daily life: the task timed out, or the run was closed meanwhile.
  void NoteRefusal(const grpc::Status& status, const char* what) const {
    const bool usual = status.error_code() == grpc::StatusCode::NOT_FOUND || core_.outages.down();
    core_.Log(usual ? LogLevel::kDebug : LogLevel::kWarning,
              TaskName(*task_) + ": the server refused the " + what + ": " + provider::Describe(status));
  }

  // --- queries outside a task
  // --------------------------------------------------------------------------------------------

  bool ProcessLegacyQuery() {
    received_ = SteadyClock::now();
    if (auto failure = Advance()) {
      FailTask(*failure);
      return false;
    }
    AnswerLegacyQuery(RunQuery(task_->query()), api::enums::v1::WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED);
    return true;
  }

  void AnswerLegacyQuery(Result<std::unique_ptr<Payloads>> answer, api::enums::v1::WorkflowTaskFailedCause cause) {
    service::RespondQueryTaskCompletedRequest request;
    service::RespondQueryTaskCompletedResponse response;
    request.set_namespace_(core_.namespace_name());
    request.set_task_token(task_->task_token());
    if (answer) {
      request.set_completed_type(api::enums::v1::QUERY_RESULT_TYPE_ANSWERED);
      *request.mutable_query_result() = std::move(**answer);
    } else {
      request.set_completed_type(api::enums::v1::QUERY_RESULT_TYPE_FAILED);
      request.set_error_message(answer.error().ToString());
      *request.mutable_failure() = MakeFailure(answer.error());
      request.set_cause(cause);
    }
    const grpc::Status status =
        core_.rpc->Call(&Stub::RespondQueryTaskCompleted, request, &response, core_.Spec(AnswerBudgetMs()));
    if (!status.ok()) NoteRefusal(status, "query result");
  }

  WorkerCore& core_;
  TaskPool& local_pool_;
  CachedRun& run_;
  std::unique_ptr<WorkflowTask> task_;
  const std::string task_queue_;
  const std::string sticky_queue_;
  std::optional<LocalActivities> local_;  // over all tasks of the session: heartbeats do not interrupt them
  std::vector<std::unique_ptr<api::update::v1::Request>> update_requests_;  // of the task at hand
  SteadyClock::time_point received_;
  bool heartbeat_ = false;
};

WorkflowTasks::WorkflowTasks(WorkerCore& core, RunCache& cache, TaskPool& local_pool)
    : core_(core), cache_(cache), local_pool_(local_pool) {}

void WorkflowTasks::Handle(std::unique_ptr<WorkflowTask> task, const std::string& task_queue,
                           const std::string& sticky_queue) {
  const std::string run_id = task->workflow_execution().run_id();
  const auto run = cache_.CheckOut(run_id);
  bool keep = false;
  {
    std::lock_guard busy(run->busy);
    Session session(*this, *run, std::move(task), task_queue, sticky_queue);
    keep = session.Process() && !sticky_queue.empty();
    if (!keep) run->Reset();
  }
  Forget(cache_.CheckIn(run_id, keep));
}

// Drops executions that had to make room. The server is not told: resetting stickiness would strand a task that already
// waits in the sticky queue until its schedule-to-start time-out, and a run that comes back is rebuilt from its history
// anyway.
void WorkflowTasks::Forget(std::vector<RunCache::Evicted> evicted) {
  for (RunCache::Evicted& entry : evicted) {
    ++core_.counters.cache_evictions;
    std::lock_guard busy(entry.value->busy);
    entry.value->Reset();
  }
}

void WorkflowTasks::DropCache() {
  for (RunCache::Evicted& entry : cache_.Clear()) {
    std::lock_guard busy(entry.value->busy);
    entry.value->Reset();
  }
}

}  // namespace lockstep::provider
