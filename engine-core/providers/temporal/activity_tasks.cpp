// See activity_tasks.h.
#include "engine-core/providers/temporal/activity_tasks.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "engine-core/workflow/payload.h"

namespace lockstep::provider {

Heartbeats::Heartbeats(int threads) {
  for (int i = 0; i < std::max(threads, 1); ++i) threads_.emplace_back([this] { Loop(); });
}

Heartbeats::~Heartbeats() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

void Heartbeats::Add(Run* run, SteadyClock::time_point due) {
  std::lock_guard lock(mutex_);
  due_.emplace(due, run);
  changed_.notify_one();
}

void Heartbeats::BringForward(Run* run, SteadyClock::time_point due) {
  std::lock_guard lock(mutex_);
  const auto it = std::find_if(due_.begin(), due_.end(), [run](const auto& item) { return item.second == run; });
  if (it == due_.end() || it->first <= due) return;  // beating right now, or due anyway
  due_.erase(it);
  due_.emplace(due, run);
  changed_.notify_one();
}

void Heartbeats::Remove(Run* run) {
  std::unique_lock lock(mutex_);
  std::erase_if(due_, [run](const auto& item) { return item.second == run; });
  if (!beating_.contains(run)) return;
  removed_.insert(run);
  idle_.wait(lock, [&] { return !beating_.contains(run); });
  removed_.erase(run);
}

void Heartbeats::Loop() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    if (due_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = due_.begin();
    if (first->first > SteadyClock::now()) {
      const auto until = first->first;
      changed_.wait_until(lock, until);
      continue;
    }
    Run* run = first->second;
    due_.erase(first);
    beating_.insert(run);
    lock.unlock();
    const auto next = run->Beat();
    lock.lock();
    beating_.erase(run);
    if (!removed_.contains(run)) due_.emplace(next, run);
    idle_.notify_all();
  }
}

Result<Json> RunActivityFunction(const activity::ActivityFunction& function, activity::ActivityContext& context,
                                 const Payloads& input) {
  LOCKSTEP_ASSIGN(const auto arguments, workflow::ReadJson(input));
  return activity::Invoke(function, context, arguments);
}

Result<Payloads> EncodeResult(const Json& value, std::string_view activity_type) {
  Payloads payloads = workflow::JsonPayloads(value);
  if (payloads.ByteSizeLong() <= kMaxPayloadBytes) return payloads;
  return Fail("PAYLOAD_TOO_LARGE", "result of activity " + std::string(activity_type) +
                                       ": expected at most 2097152 bytes, found " +
                                       std::to_string(payloads.ByteSizeLong()));
}

// One attempt: what the activity sees, and what the heartbeats carry.
class ActivityTasks::Run final : public activity::ActivityContext, public Heartbeats::Run {
 public:
  Run(WorkerCore& core, Heartbeats& heartbeats, const ActivityTask& task, const std::string& task_queue)
      : core_(core), heartbeats_(heartbeats), task_(task), start_(SteadyClock::now()), last_sent_(start_) {
    info_.namespace_name = core.namespace_name();
    info_.workflow_id = task.workflow_execution().workflow_id();
    info_.workflow_run_id = task.workflow_execution().run_id();
    info_.workflow_type = task.workflow_type().name();
    info_.activity_id = task.activity_id();
    info_.activity_type = task.activity_type().name();
    info_.task_queue = task_queue;
    info_.attempt = task.attempt();
    info_.scheduled_ms = ToMillis(task.current_attempt_scheduled_time());
    info_.started_ms = ToMillis(task.started_time());
    info_.start_to_close_ms = ToMillis(task.start_to_close_timeout());
    info_.heartbeat_timeout_ms = ToMillis(task.heartbeat_timeout());
    interval_ = std::chrono::milliseconds(IntervalMs());
    deadline_ = start_ + std::chrono::milliseconds(TimeLeftMs());
    if (auto last = workflow::ReadFirstJson(task.heartbeat_details())) last_heartbeat_ = std::move(*last);
    // A heartbeat without details would erase those of the attempt before.
    details_ = task.heartbeat_details();
  }
  ~Run() override { StopBeating(); }

  void StartBeating() {
    beating_ = true;
    heartbeats_.Add(this, NextDue());
  }

  void StopBeating() {
    if (!beating_.exchange(false)) return;
    heartbeats_.Remove(this);
  }

  const activity::ActivityInfo& info() const override { return info_; }
  Json LastHeartbeat() const override { return last_heartbeat_; }
  bool cancelled() const override { return cancel_.get(); }
  bool WaitForCancellation(int64_t timeout_ms) override { return cancel_.WaitFor(timeout_ms); }

  void Heartbeat(const Json& details) override {
    const Payloads payloads = workflow::JsonPayloads(details);
    SteadyClock::time_point due;
    {
      std::lock_guard lock(mutex_);
      details_ = payloads;
      fresh_ = true;
      due = last_sent_ + interval_;
    }
    if (beating_.load()) heartbeats_.BringForward(this, due);
  }

  SteadyClock::time_point Beat() override {
    if (SteadyClock::now() >= deadline_) {
      gone_ = true;  // the server has timed the attempt out; nobody waits for an answer
      cancel_.Set();
      return SteadyClock::now() + std::chrono::hours(1);
    }
    service::RecordActivityTaskHeartbeatRequest request;
    request.set_namespace_(core_.namespace_name());
    request.set_identity(core_.identity());
    request.set_task_token(task_.task_token());
    {
      std::lock_guard lock(mutex_);
      *request.mutable_details() = details_;
      fresh_ = false;
      last_sent_ = SteadyClock::now();
    }
    service::RecordActivityTaskHeartbeatResponse response;
    const int64_t budget =
        std::clamp<int64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(interval_).count(), 500, 5'000);
    const grpc::Status status =
        core_.rpc->Call(&Stub::RecordActivityTaskHeartbeat, request, &response, core_.Spec(budget));
    Apply(status, response);
    return NextDue();
  }

  void CancelByWorker() {
    by_worker_ = true;
    cancel_.Set();
  }

  bool cancel_requested() const { return requested_; }
  bool by_worker() const { return by_worker_; }
  bool gone() const { return gone_; }
  // Details that no heartbeat has carried yet; they travel with a failure.
  Payloads UnsentDetails() const {
    std::lock_guard lock(mutex_);
    return fresh_ ? details_ : Payloads();
  }

 private:
  int64_t IntervalMs() const {
    const int64_t limit = std::max<int64_t>(core_.options.heartbeat_interval_ms, 1);
    return info_.heartbeat_timeout_ms > 0 ? std::max<int64_t>(1, std::min(limit, info_.heartbeat_timeout_ms * 8 / 10))
                                          : limit;
  }

  // Until the server gives the attempt up.
  int64_t TimeLeftMs() const {
    constexpr int64_t kForever = int64_t{10} * 365 * 24 * 3'600 * 1'000;
    int64_t left = info_.start_to_close_ms > 0 ? info_.start_to_close_ms : kForever;
    if (const int64_t total = ToMillis(task_.schedule_to_close_timeout()); total > 0) {
      // Both times are the server's, so that its clock and ours need not agree.
      left = std::min(left, total - (info_.started_ms - ToMillis(task_.scheduled_time())));
    }
    return std::max<int64_t>(left, 1);
  }

  SteadyClock::time_point NextDue() const {
    std::lock_guard lock(mutex_);
    return std::min(last_sent_ + interval_, deadline_);
  }

  void Apply(const grpc::Status& status, const service::RecordActivityTaskHeartbeatResponse& response) {
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
      gone_ = true;
      cancel_.Set();
      return;
    }
    if (!status.ok()) return;
    ++core_.counters.activity_heartbeats;
    if (response.cancel_requested()) {
      requested_ = true;
      cancel_.Set();
    } else if (response.activity_paused() || response.activity_reset()) {
      by_worker_ = true;  // ends as a failure that is tried again, not as cancelled
      cancel_.Set();
    }
  }

  WorkerCore& core_;
  Heartbeats& heartbeats_;
  const ActivityTask& task_;
  const SteadyClock::time_point start_;
  SteadyClock::duration interval_{};
  SteadyClock::time_point deadline_;
  activity::ActivityInfo info_;
  Json last_heartbeat_;
  CancelFlag cancel_;
  std::atomic<bool> beating_ = false;
  std::atomic<bool> requested_ = false;
  std::atomic<bool> by_worker_ = false;
  std::atomic<bool> gone_ = false;
  mutable std::mutex mutex_;
  Payloads details_;
  bool fresh_ = false;
  SteadyClock::time_point last_sent_;
};

ActivityTasks::ActivityTasks(WorkerCore& core, int heartbeat_threads) : core_(core), heartbeats_(heartbeat_threads) {}
ActivityTasks::~ActivityTasks() = default;

void ActivityTasks::CancelAll() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  for (Run* run : running_) run->CancelByWorker();
}

void ActivityTasks::Handle(const ActivityTask& task, const std::string& task_queue) {
  const activity::ActivityFunction* function =
      core_.options.activities == nullptr ? nullptr : core_.options.activities->Find(task.activity_type().name());
  if (function == nullptr) {
    Fail(task, activity::UnknownType(core_.options.activities, task.activity_type().name()));
    return;
  }
  Run run(core_, heartbeats_, task, task_queue);
  {
    std::lock_guard lock(mutex_);
    running_.insert(&run);
    if (cancelled_) run.CancelByWorker();
  }
  run.StartBeating();
  Result<Json> result = RunActivityFunction(*function, run, task.input());
  {
    std::lock_guard lock(mutex_);
    running_.erase(&run);
  }
  run.StopBeating();
  Answer(task, run, std::move(result));
}

void ActivityTasks::Answer(const ActivityTask& task, Run& run, Result<Json> result) {
  if (run.gone()) return;  // the attempt is over at the server
  if (result) {
    auto payloads = EncodeResult(*result, task.activity_type().name());
    if (payloads) {
      Complete(task, std::move(*payloads));
    } else {
      Fail(task, payloads.error());
    }
    return;
  }
  const Error& error = result.error();
  if (error.code == "CANCELLED" && run.cancel_requested()) {
    ReportCancelled(task, error);
  } else if (error.code == "CANCELLED" && run.by_worker()) {
    Fail(task,
         Error("WORKER_UNAVAILABLE", "the worker stopped while activity " + task.activity_type().name() + " ran", true),
         run.UnsentDetails());
  } else {
    Fail(task, error, run.UnsentDetails());
  }
}

// Answers are worth repeating while the server still waits for them, so that a result outlives a server's restart;
// without a limit on the attempt, a minute.
int64_t ActivityTasks::AnswerBudgetMs(const ActivityTask& task) const {
  const int64_t limit = ToMillis(task.start_to_close_timeout());
  return limit > 0 ? std::clamp<int64_t>(limit, 10'000, 60'000) : 60'000;
}

void ActivityTasks::NoteAnswer(const grpc::Status& status, const ActivityTask& task, const char* operation) {
  // NOT_FOUND: timed out, cancelled or closed meanwhile; the server has dealt with it.
  if (status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND) return;
  core_.Log(LogLevel::kWarning, std::string("activity ") + task.activity_id() + " of " +
                                    task.workflow_execution().workflow_id() + ": " + operation +
                                    " failed: " + Describe(status));
}

void ActivityTasks::Complete(const ActivityTask& task, Payloads result) {
  service::RespondActivityTaskCompletedRequest request;
  service::RespondActivityTaskCompletedResponse response;
  core_.Stamp(&request);
  request.set_task_token(task.task_token());
  *request.mutable_result() = std::move(result);
  const grpc::Status status =
      core_.rpc->Call(&Stub::RespondActivityTaskCompleted, request, &response, core_.Spec(AnswerBudgetMs(task)));
  if (status.ok()) ++core_.counters.activities_completed;
  NoteAnswer(status, task, "completion");
}

void ActivityTasks::Fail(const ActivityTask& task, const Error& error, const Payloads& last_details) {
  service::RespondActivityTaskFailedRequest request;
  service::RespondActivityTaskFailedResponse response;
  core_.Stamp(&request);
  request.set_task_token(task.task_token());
  *request.mutable_failure() = MakeFailure(error);
  if (last_details.payloads_size() > 0) *request.mutable_last_heartbeat_details() = last_details;
  const grpc::Status status =
      core_.rpc->Call(&Stub::RespondActivityTaskFailed, request, &response, core_.Spec(AnswerBudgetMs(task)));
  if (status.ok()) ++core_.counters.activities_failed;
  NoteAnswer(status, task, "failure");
}

void ActivityTasks::ReportCancelled(const ActivityTask& task, const Error& error) {
  service::RespondActivityTaskCanceledRequest request;
  service::RespondActivityTaskCanceledResponse response;
  core_.Stamp(&request);
  request.set_task_token(task.task_token());
  if (!error.message.empty()) workflow::AddJson(Json(error.message), request.mutable_details());
  const grpc::Status status =
      core_.rpc->Call(&Stub::RespondActivityTaskCanceled, request, &response, core_.Spec(AnswerBudgetMs(task)));
  if (status.ok()) ++core_.counters.activities_cancelled;
  NoteAnswer(status, task, "cancellation");
}

}  // namespace lockstep::provider
