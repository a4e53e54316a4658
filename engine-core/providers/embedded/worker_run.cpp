#include "engine-core/providers/embedded/worker_run.h"

#include <algorithm>
#include <cmath>

#include "engine-core/base/check.h"
#include "engine-core/providers/embedded/messages.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/slices.h"

namespace lockstep::embedded {

using workflow::Execution;
using workflow::LocalActivityOutcome;

namespace {

// Part of a task's time after which a worker asks for the next one.
constexpr int64_t kHeartbeatTenths = 8;

int64_t DelayAfter(const workflow::LocalActivityRequest& rule, int32_t attempt) {
  const double delay = static_cast<double>(rule.initial_interval_ms) * std::pow(rule.backoff_coefficient, attempt - 1);
  return static_cast<int64_t>(std::min(delay, static_cast<double>(rule.max_interval_ms)));
}

}  // namespace

WorkerRun::WorkerRun(WorkerOptions options) : options_(std::move(options)) {}
WorkerRun::~WorkerRun() = default;

void WorkerRun::Evict() {
  execution_.reset();
  locals_.clear();
}

// The cached execution gets what is new, a fresh one everything.
void WorkerRun::BringUp(const ServerRun& run) {
  if (execution_ == nullptr) {
    workflow::ExecutionOptions options;
    options.version_pins = options_.version_pins;
    options.log = options_.log;
    options.on_local_activity = options_.on_local_activity;
    execution_ = Execution::Create(
        *options_.registry, {options_.namespace_name, run.start().workflow_id, run.start().run_id}, std::move(options));
    seen_ = 0;
    task_timeout_ms_ = run.start().task_timeout_ms;
  }
  std::vector<const HistoryEvent*> events;
  const History& history = run.history();
  events.reserve(static_cast<size_t>(history.events_size()) - seen_ + run.transient_events().size());
  for (int i = static_cast<int>(seen_); i < history.events_size(); ++i) events.push_back(&history.events(i));
  seen_ = static_cast<size_t>(history.events_size());
  for (const HistoryEvent& event : run.transient_events()) events.push_back(&event);
  const workflow::HistoryCut cut = workflow::CutHistory(events);
  if (cut.head_completed != nullptr) execution_->Complete(*cut.head_completed, cut.head_recorded);
  for (const workflow::TaskSlice& task : cut.tasks) {
    execution_->Activate(task);
    if (task.completed != nullptr) execution_->Complete(*task.completed, task.recorded);
  }
}

Execution& WorkerRun::execution(const ServerRun& run) {
  if (execution_ == nullptr) BringUp(run);
  return *execution_;
}

// Whether the code is still good for an answer; if not, what to tell the server.
bool WorkerRun::Bad() {
  using namespace temporal::api::enums::v1;
  if (const Failure* broken = execution_->broken()) {
    divergences_ = execution_->divergences();
    failure_ = *broken;
    cause_ = WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE;
    return true;
  }
  if (!execution_->diverged()) return false;
  divergences_ = execution_->divergences();
  Error error("NONDETERMINISM_DETECTED", "the code no longer does what the history says", true);
  for (const workflow::Divergence& divergence : divergences_) {
    if (divergence.grade != workflow::Grade::kCommandChanging) continue;
    error.message += ": " + divergence.Summary();
    break;
  }
  failure_.Clear();
  workflow::ErrorToFailure(error, &failure_);
  cause_ = WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR;
  return true;
}

void WorkerRun::TakeRequests(UnixMillis now) {
  for (workflow::LocalActivityRequest& request : execution_->TakeLocalActivityRequests()) {
    Local local;
    local.attempt = request.attempt;
    local.due = now;
    local.request = std::move(request);
    locals_.push_back(std::move(local));
  }
  for (const std::string& id : execution_->TakeLocalActivityCancellations()) {
    std::erase_if(locals_, [&](const Local& local) { return local.request.activity_id == id; });
  }
}

// One try. False: it waits for the next one.
bool WorkerRun::RunLocal(Local* local, World& world) {
  const workflow::LocalActivityRequest& rule = local->request;
  Result<Json> result = world.RunLocal(rule, local->attempt);
  LocalActivityOutcome outcome;
  outcome.activity_id = rule.activity_id;
  outcome.attempt = local->attempt;
  if (result) {
    outcome.result = std::make_unique<Payloads>(workflow::JsonPayloads(*result));
    execution_->ResolveLocalActivity(std::move(outcome));
    return true;
  }
  const Error& error = result.error();
  const int64_t delay = DelayAfter(rule, local->attempt);
  const UnixMillis now = world.Now();
  const bool again =
      error.retryable &&
      std::find(rule.non_retryable_types.begin(), rule.non_retryable_types.end(), error.code) ==
          rule.non_retryable_types.end() &&
      (rule.max_attempts == 0 || local->attempt < rule.max_attempts) &&
      (rule.schedule_to_close_ms == 0 || now + delay - rule.first_scheduled_ms < rule.schedule_to_close_ms);
  if (again && delay < task_timeout_ms_) {
    ++local->attempt;
    local->due = now + delay;
    return false;
  }
  outcome.failure = std::make_unique<Failure>();
  workflow::ErrorToFailure(error, outcome.failure.get());
  outcome.backoff_ms = again ? delay : 0;
  execution_->ResolveLocalActivity(std::move(outcome));
  return true;
}

WorkerRun::Outcome WorkerRun::RunTask(const ServerRun& run, World& world, const std::function<void()>& pump) {
  const UnixMillis heartbeat_at = world.Now() + run.start().task_timeout_ms * kHeartbeatTenths / 10;
  BringUp(run);
  while (!Bad()) {
    TakeRequests(world.Now());
    if (!execution_->HasPendingLocalActivities()) return Outcome::kCommands;
    LOCKSTEP_CHECK(!locals_.empty(), "the workflow waits for a local activity that it did not ask for");
    const auto next =
        std::min_element(locals_.begin(), locals_.end(), [](const Local& a, const Local& b) { return a.due < b.due; });
    while (world.Now() < std::min(next->due, heartbeat_at)) {
      world.Wait(std::min(next->due, heartbeat_at));
      pump();
      if (!run.task_started()) return Outcome::kCommands;  // it is over; the answer comes too late
    }
    if (next->due > world.Now()) return Outcome::kHeartbeat;
    const std::string id = next->request.activity_id;
    Local local = std::move(*next);
    locals_.erase(next);
    if (!RunLocal(&local, world)) locals_.push_back(std::move(local));
    pump();
    if (!run.task_started()) return Outcome::kCommands;
  }
  return Outcome::kFailed;
}

std::vector<Command> WorkerRun::TakeCommands() { return execution_->TakeCommands(); }

}  // namespace lockstep::embedded
