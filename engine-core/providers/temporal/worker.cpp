// See worker.h. The worker is its parts in the order in which they are stopped: polls, running tasks, local activities,
// calls. Members are declared so that destruction in reverse order is safe after Shutdown.
#include "engine-core/providers/temporal/worker.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <set>

#include "engine-core/base/ids.h"
#include "engine-core/providers/temporal/activity_tasks.h"
#include "engine-core/providers/temporal/poller.h"
#include "engine-core/providers/temporal/task_pool.h"
#include "engine-core/providers/temporal/worker_core.h"
#include "engine-core/providers/temporal/workflow_tasks.h"

namespace lockstep::provider {
namespace {

std::unexpected<Error> BadOption(const std::string& what) { return Fail("TEMPORAL_CONFIG_INVALID", "worker: " + what); }

Status CheckQueue(const WorkerOptions& options, const QueueOptions& queue) {
  if (queue.task_queue.empty() || queue.task_queue.size() > 200) {
    return BadOption("expected a task queue of 1 to 200 characters, found `" + queue.task_queue + "`");
  }
  if (!queue.workflows && !queue.activities)
    return BadOption("queue " + queue.task_queue + " serves neither workflows nor activities");
  if (queue.workflows && options.workflows == nullptr)
    return BadOption("queue " + queue.task_queue + " needs a workflow registry");
  if (queue.activities && options.activities == nullptr)
    return BadOption("queue " + queue.task_queue + " needs an activity registry");
  if (queue.max_concurrent_workflow_tasks < 2 || queue.max_concurrent_activities < 1 || queue.workflow_pollers < 1 ||
      queue.activity_pollers < 1) {
    return BadOption("queue " + queue.task_queue + " needs 2 workflow tasks, 1 activity and 1 poller at least");
  }
  return {};
}

Status CheckOptions(const WorkerOptions& options) {
  if (options.queues.empty()) return BadOption("expected at least one queue, found none");
  std::set<std::string> names;
  for (const QueueOptions& queue : options.queues) {
    LOCKSTEP_TRY(CheckQueue(options, queue));
    if (!names.insert(queue.task_queue).second) return BadOption("queue " + queue.task_queue + " is named twice");
  }
  if (options.versioning != VersioningMode::kUnversioned && options.build_id.empty()) {
    return BadOption("versioning needs a build id");
  }
  if (options.max_concurrent_local_activities < 1) return BadOption("expected at least one local activity at a time");
  if (options.heartbeat_interval_ms < 1 || options.deadlock_limit_ms < 1 || options.drain_ms < 0 ||
      options.cancel_grace_ms < 0 || options.sticky_schedule_to_start_ms < 1) {
    return BadOption("expected positive times");
  }
  return {};
}

int HeartbeatThreads(const WorkerOptions& options) {
  int activities = 0;
  for (const QueueOptions& queue : options.queues) activities += queue.activities ? queue.max_concurrent_activities : 0;
  return std::clamp(activities / 25, 1, 4);
}

}  // namespace

class Worker::Impl {
 public:
  explicit Impl(WorkerOptions options) : options_(std::move(options)) {}
  ~Impl() { Shutdown(0); }

  Status Start() {
    std::lock_guard lock(mutex_);
    if (state_ != State::kNew) return Fail("TEMPORAL_WORKER_ALREADY_STARTED", "the worker was started before");
    LOCKSTEP_TRY(CheckOptions(options_));
    LOCKSTEP_ASSIGN(auto rpc, Rpc::Create(options_.connection));
    parts_ = std::make_unique<Parts>(options_, std::move(rpc));
    parts_->Start();
    state_ = State::kRunning;
    return {};
  }

  Status Run() {
    LOCKSTEP_TRY(Start());
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return state_ == State::kEnded; });
    return {};
  }

  void Shutdown(int64_t drain_ms) {
    std::unique_lock lock(mutex_);
    if (state_ == State::kNew) {
      state_ = State::kEnded;
      ended_.notify_all();
    }
    if (state_ == State::kStopping && drain_ms == 0) parts_->hurry = true;
    if (state_ == State::kRunning) {
      state_ = State::kStopping;
      lock.unlock();
      parts_->Shutdown(drain_ms);
      lock.lock();
      state_ = State::kEnded;
      ended_.notify_all();
    }
    ended_.wait(lock, [this] { return state_ == State::kEnded; });
  }

  WorkerStats stats() const {
    std::lock_guard lock(mutex_);
    return parts_ ? parts_->Stats() : WorkerStats();
  }
  int64_t drain_ms() const { return options_.drain_ms; }

 private:
  enum class State : uint8_t { kNew, kRunning, kStopping, kEnded };

  struct Parts {
    Parts(const WorkerOptions& options, std::shared_ptr<Rpc> rpc)
        : core(options, std::move(rpc)),
          cache(core.options.sticky_cache_size),
          local_pool(static_cast<size_t>(options.max_concurrent_local_activities)),
          workflow_tasks(core, cache, local_pool),
          activity_tasks(core, HeartbeatThreads(options)) {
      for (const QueueOptions& queue : core.options.queues) {
        if (queue.workflows) AddWorkflowGroup(queue);
        if (queue.activities) AddActivityGroup(queue);
      }
    }

    void Start() {
      std::string names;
      for (const QueueOptions& queue : core.options.queues) names += (names.empty() ? "" : ", ") + queue.task_queue;
      core.Log(LogLevel::kInfo, "worker " + core.identity() + " polls " + names + " at " + core.rpc->options().address +
                                    ", namespace " + core.namespace_name());
      for (auto& group : groups) group->Start();
    }

    void Shutdown(int64_t drain_ms) {
      const auto start = SteadyClock::now();
      core.draining = true;
      for (auto& group : groups) group->Stop();
      EndPolls(drain_ms);
      WaitIdle(start + std::chrono::milliseconds(drain_ms), true);
      if (Running() > 0) {
        core.Log(LogLevel::kInfo, "worker: " + std::to_string(Running()) + " tasks still run after " +
                                      FormatDuration(MillisSince(start)) + ", cancelling them");
        core.abandoning = true;
        activity_tasks.CancelAll();
        WaitIdle(SteadyClock::now() + std::chrono::milliseconds(core.options.cancel_grace_ms), false);
        if (Running() > 0)
          core.Log(LogLevel::kWarning,
                   "worker: waiting for " + std::to_string(Running()) + " tasks that ignore their cancellation");
      }
      core.calls.Cancel();
      for (auto& group : groups) group->Join();
      workflow_tasks.DropCache();
      local_pool.Stop();
      core.Log(LogLevel::kInfo, "worker " + core.identity() + " stopped after " + FormatDuration(MillisSince(start)));
    }

    WorkerStats Stats() const {
      const Counters& from = core.counters;
      WorkerStats stats;
      stats.workflow_tasks_completed = from.workflow_tasks_completed;
      stats.workflow_tasks_failed = from.workflow_tasks_failed;
      stats.workflow_task_heartbeats = from.workflow_task_heartbeats;
      stats.divergences = from.divergences;
      stats.deadlocks = from.deadlocks;
      stats.queries = from.queries;
      stats.activities_completed = from.activities_completed;
      stats.activities_failed = from.activities_failed;
      stats.activities_cancelled = from.activities_cancelled;
      stats.activity_heartbeats = from.activity_heartbeats;
      stats.local_activities = from.local_activities;
      stats.cache_hits = from.cache_hits;
      stats.cache_misses = from.cache_misses;
      stats.cache_evictions = from.cache_evictions;
      stats.cached_runs = cache.size();
      stats.outages = core.outages.count();
      stats.server_reachable = !core.outages.down();
      for (size_t i = 0; i < groups.size(); ++i) {
        (group_is_workflow[i] ? stats.running_workflow_tasks : stats.running_activities) += groups[i]->running();
      }
      return stats;
    }

    // --- polls
    // -----------------------------------------------------------------------------------------------------------

    void AddWorkflowGroup(const QueueOptions& queue) {
      std::vector<PollerGroup::Kind> kinds;
      const bool sticky = core.options.sticky_cache_size > 0;
      const std::string sticky_queue =
          sticky ? "lockstep-" + core.instance_key + "-" + std::to_string(groups.size()) : "";
      kinds.push_back({queue.workflow_pollers, [this, name = queue.task_queue, sticky_queue] {
                         return PollWorkflows(name, sticky_queue, false);
                       }});
      if (sticky) {
        sticky_queues.push_back({sticky_queue, queue.task_queue});
        kinds.push_back({queue.workflow_pollers, [this, name = queue.task_queue, sticky_queue] {
                           return PollWorkflows(name, sticky_queue, true);
                         }});
      }
      AddGroup(std::move(kinds), queue.max_concurrent_workflow_tasks, true);
    }

    void AddActivityGroup(const QueueOptions& queue) {
      std::vector<PollerGroup::Kind> kinds;
      kinds.push_back({queue.activity_pollers, [this, name = queue.task_queue] { return PollActivities(name); }});
      AddGroup(std::move(kinds), queue.max_concurrent_activities, false);
    }

    void AddGroup(std::vector<PollerGroup::Kind> kinds, int threads, bool workflows) {
      groups.push_back(std::make_unique<PollerGroup>(std::move(kinds), threads,
                                                     [this](int64_t millis) { core.rpc->Pause(millis, &core.polls); }));
      group_is_workflow.push_back(workflows);
    }

    // After an outage a quick call comes first: a long poll would only tell after a minute that the server is back.
    bool ServerIsBack() {
      if (!core.outages.down()) return true;
      capabilities_asked = false;
      service::GetSystemInfoRequest request;
      service::GetSystemInfoResponse response;
      CallSpec spec = core.PollSpec();
      spec.budget_ms = 3'000;
      return core.rpc->Call(&Stub::GetSystemInfo, request, &response, spec).ok();
    }

    // Once, and again after an outage: another server may have taken the place.
    void LearnCapabilities() {
      if (capabilities_asked.exchange(true)) return;
      core.ends_polls_when_told = CompletesPollsOnShutdown();
    }

    // Whether a failed poll calls for a pause. An empty answer and a passed deadline are how long polls end.
    bool PollFailed(const grpc::Status& status, const std::string& queue) {
      if (status.ok() || status.error_code() == grpc::StatusCode::CANCELLED ||
          status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
        return core.polls.cancelled();
      }
      if (!IsTransient(status)) {
        std::lock_guard lock(complaint_mutex);
        const bool news = complaints.insert({queue, status.error_code()}).second;  // once per cause
        if (news) core.Log(LogLevel::kError, "poll of " + queue + " failed: " + Describe(status));
      }
      return true;
    }

    PollerGroup::PollResult PollWorkflows(const std::string& queue, const std::string& sticky_queue, bool sticky) {
      if (!ServerIsBack()) return {nullptr, true};
      LearnCapabilities();
      service::PollWorkflowTaskQueueRequest request;
      core.Stamp(&request);
      request.set_worker_instance_key(core.instance_key);
      request.mutable_task_queue()->set_name(sticky ? sticky_queue : queue);
      request.mutable_task_queue()->set_kind(sticky ? api::enums::v1::TASK_QUEUE_KIND_STICKY
                                                    : api::enums::v1::TASK_QUEUE_KIND_NORMAL);
      if (sticky) request.mutable_task_queue()->set_normal_name(queue);
      auto task = std::make_shared<WorkflowTask>();
      const grpc::Status status = core.rpc->Call(&Stub::PollWorkflowTaskQueue, request, task.get(), core.PollSpec());
      if (PollFailed(status, queue)) return {nullptr, true};
      if (task->task_token().empty()) return {};
      return {[this, task, queue, sticky_queue] {
                workflow_tasks.Handle(std::make_unique<WorkflowTask>(std::move(*task)), queue, sticky_queue);
              },
              false};
    }

    PollerGroup::PollResult PollActivities(const std::string& queue) {
      if (!ServerIsBack()) return {nullptr, true};
      LearnCapabilities();
      service::PollActivityTaskQueueRequest request;
      core.Stamp(&request);
      request.set_worker_instance_key(core.instance_key);
      request.mutable_task_queue()->set_name(queue);
      request.mutable_task_queue()->set_kind(api::enums::v1::TASK_QUEUE_KIND_NORMAL);
      auto task = std::make_shared<ActivityTask>();
      const grpc::Status status = core.rpc->Call(&Stub::PollActivityTaskQueue, request, task.get(), core.PollSpec());
      if (PollFailed(status, queue)) return {nullptr, true};
      if (task->task_token().empty()) return {};
      return {[this, task, queue] { activity_tasks.Handle(*task, queue); }, false};
    }

    // --- stopping
    // --------------------------------------------------------------------------------------------------------

    // Ends the polls without cutting one that is being answered: a task handed to a poll that is cut would be lost until it
    // timed out. A server with the capability answers open polls empty when it is told, so it is told first, also when there
    // is no time to drain; without it polls are short, and where runs are under way they are waited for. Every server is
    // told at the end: it then forgets the sticky queues, so that queries and tasks of cached runs go to other workers at
    // once.
    void EndPolls(int64_t drain_ms) {
      constexpr int64_t kTold = 2'000;  // milliseconds; the answers come at once
      if (!core.outages.down() && (core.ends_polls_when_told || CompletesPollsOnShutdown())) {
        for (const QueueOptions& queue : core.options.queues) AnnounceShutdown(queue);
        WaitNoPolls(kTold);
      } else if (!core.outages.down() && cache.size() > 0) {
        WaitNoPolls(std::min(drain_ms, kShortPollTimeoutMs));
      }
      core.polls.Cancel();
      WaitNoPolls(1'000);
      if (core.outages.down()) return;
      for (const QueueOptions& queue : core.options.queues) AnnounceShutdown(queue);
    }

    void WaitNoPolls(int64_t millis) const {
      const auto until = SteadyClock::now() + std::chrono::milliseconds(millis);
      while (Polling() > 0 && SteadyClock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }

    CallSpec FarewellSpec() {
      CallSpec spec = core.Spec(1'000);
      spec.retry = false;
      return spec;
    }

    void AnnounceShutdown(const QueueOptions& queue) {
      service::ShutdownWorkerRequest request;
      service::ShutdownWorkerResponse response;
      request.set_namespace_(core.namespace_name());
      request.set_identity(core.identity());
      request.set_reason("graceful shutdown");
      request.set_worker_instance_key(core.instance_key);
      request.set_task_queue(queue.task_queue);
      if (queue.workflows) request.add_task_queue_types(api::enums::v1::TASK_QUEUE_TYPE_WORKFLOW);
      if (queue.activities) request.add_task_queue_types(api::enums::v1::TASK_QUEUE_TYPE_ACTIVITY);
      for (const auto& [sticky_queue, normal] : sticky_queues) {
        if (normal == queue.task_queue) request.set_sticky_task_queue(sticky_queue);
      }
      core.rpc->Call(&Stub::ShutdownWorker, request, &response, FarewellSpec());
    }

    bool CompletesPollsOnShutdown() {
      service::DescribeNamespaceRequest request;
      service::DescribeNamespaceResponse response;
      request.set_namespace_(core.namespace_name());
      return core.rpc->Call(&Stub::DescribeNamespace, request, &response, FarewellSpec()).ok() &&
             response.namespace_info().capabilities().worker_poll_complete_on_shutdown();
    }

    int Polling() const {
      int total = 0;
      for (const auto& group : groups) total += group->polling();
      return total;
    }
    int Running() const {
      int total = 0;
      for (const auto& group : groups) total += group->running();
      return total;
    }
    void WaitIdle(SteadyClock::time_point until, bool may_hurry) const {
      while (Running() + Polling() > 0 && SteadyClock::now() < until && !(may_hurry && hurry))
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }

    std::atomic<bool> hurry = false;  // a second Shutdown cuts the drain short
    WorkerCore core;
    RunCache cache;
    TaskPool local_pool;
    WorkflowTasks workflow_tasks;
    ActivityTasks activity_tasks;
    std::vector<std::pair<std::string, std::string>> sticky_queues;  // with the queue each belongs to
    std::atomic<bool> capabilities_asked = false;
    std::mutex complaint_mutex;
    std::set<std::pair<std::string, grpc::StatusCode>> complaints;
    std::vector<std::unique_ptr<PollerGroup>> groups;
    std::vector<bool> group_is_workflow;
  };

  const WorkerOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  State state_ = State::kNew;
  std::unique_ptr<Parts> parts_;
};

Worker::Worker(WorkerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Worker::~Worker() = default;
Status Worker::Start() { return impl_->Start(); }
Status Worker::Run() { return impl_->Run(); }
void Worker::Shutdown() { impl_->Shutdown(impl_->drain_ms()); }
void Worker::Shutdown(int64_t drain_ms) { impl_->Shutdown(drain_ms); }
WorkerStats Worker::stats() const { return impl_->stats(); }

}  // namespace lockstep::provider
