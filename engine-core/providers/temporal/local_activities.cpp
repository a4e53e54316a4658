// See local_activities.h. A run is waiting for its retry, queued, or running; `Advance` moves one run by what happened,
// and `Next` repeats that until a run has an outcome.
#include "engine-core/providers/temporal/local_activities.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "engine-core/providers/temporal/activity_tasks.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::provider {

using workflow::LocalActivityOutcome;
using workflow::LocalActivityRequest;

// Outlives the session when an attempt does.
struct LocalActivities::Mailbox {
  std::mutex mutex;
  std::condition_variable changed;
};

// One call of the function on a thread of the pool. `started_`, `result_` under the mailbox's mutex.
class LocalActivities::Attempt final : public activity::ActivityContext {
 public:
  Attempt(std::shared_ptr<Mailbox> mailbox, activity::ActivityInfo info, Payloads input,
          const activity::ActivityFunction& function)
      : mailbox_(std::move(mailbox)), info_(std::move(info)), input_(std::move(input)), function_(function) {}

  const activity::ActivityInfo& info() const override { return info_; }
  void Heartbeat(const Json&) override {}  // a local activity lives inside its task; there is nobody to tell
  Json LastHeartbeat() const override { return Json(); }
  bool cancelled() const override { return cancel_.get(); }
  bool WaitForCancellation(int64_t timeout_ms) override { return cancel_.WaitFor(timeout_ms); }

  void Cancel() { cancel_.Set(); }

  void Execute() {
    {
      std::lock_guard lock(mailbox_->mutex);
      started_ = SteadyClock::now();
      mailbox_->changed.notify_all();
    }
    Result<Json> result = cancelled() ? Result<Json>(Fail("CANCELLED", "cancelled before it began"))
                                      : RunActivityFunction(function_, *this, input_);
    std::lock_guard lock(mailbox_->mutex);
    result_ = std::move(result);
    mailbox_->changed.notify_all();
  }

  // Both with the mailbox's mutex held.
  std::optional<SteadyClock::time_point> started() const { return started_; }
  std::optional<Result<Json>> TakeResult() { return std::exchange(result_, std::nullopt); }

 private:
  const std::shared_ptr<Mailbox> mailbox_;
  const activity::ActivityInfo info_;
  const Payloads input_;
  const activity::ActivityFunction& function_;
  CancelFlag cancel_;
  std::optional<SteadyClock::time_point> started_;
  std::optional<Result<Json>> result_;
};

struct LocalActivities::Run {
  LocalActivityRequest request;
  int32_t attempt = 1;
  SteadyClock::time_point begun;                    // when this task took it up
  int64_t earlier_ms = 0;                           // spent in earlier tasks
  std::optional<SteadyClock::time_point> retry_at;  // waiting for the next attempt
  std::shared_ptr<Attempt> current;
  bool cancelled = false;
};

namespace {

api::failure::v1::Failure TimeoutFailure(api::enums::v1::TimeoutType type, const std::string& message) {
  api::failure::v1::Failure failure;
  failure.set_message(message);
  failure.set_source("lockstep");
  failure.mutable_timeout_failure_info()->set_timeout_type(type);
  return failure;
}

api::failure::v1::Failure CancelledFailure() {
  api::failure::v1::Failure failure;
  failure.set_message("local activity cancelled");
  failure.set_source("lockstep");
  failure.mutable_canceled_failure_info();
  return failure;
}

}  // namespace

LocalActivities::LocalActivities(WorkerCore& core, TaskPool& pool, Facts facts)
    : core_(core), pool_(pool), facts_(std::move(facts)), mailbox_(std::make_shared<Mailbox>()) {}

LocalActivities::~LocalActivities() { CancelAll(); }

void LocalActivities::Start(LocalActivityRequest request) {
  auto run = std::make_unique<Run>();
  run->attempt = request.attempt;
  run->begun = SteadyClock::now();
  // The first attempt counts from now: workflow time and this machine's clock need not agree.
  if (request.attempt > 1) run->earlier_ms = std::max<int64_t>(0, core_.NowMs() - request.first_scheduled_ms);
  run->request = std::move(request);
  Run& started = *run;
  runs_[started.request.activity_id] = std::move(run);
  Launch(started);
}

void LocalActivities::Cancel(const std::string& activity_id) {
  const auto it = runs_.find(activity_id);
  if (it == runs_.end()) return;
  it->second->cancelled = true;
  if (it->second->current) it->second->current->Cancel();
}

void LocalActivities::CancelAll() {
  for (auto& [id, run] : runs_) {
    run->cancelled = true;
    if (run->current) run->current->Cancel();
  }
}

void LocalActivities::Launch(Run& run) {
  run.retry_at.reset();
  ++core_.counters.local_activities;
  const activity::ActivityFunction* function =
      core_.options.activities == nullptr ? nullptr : core_.options.activities->Find(run.request.activity_type);
  activity::ActivityInfo info;
  info.namespace_name = core_.namespace_name();
  info.workflow_id = facts_.workflow_id;
  info.workflow_run_id = facts_.run_id;
  info.workflow_type = facts_.workflow_type;
  info.activity_id = run.request.activity_id;
  info.activity_type = run.request.activity_type;
  info.task_queue = facts_.task_queue;
  info.attempt = run.attempt;
  info.local = true;
  info.scheduled_ms = run.request.first_scheduled_ms;
  info.started_ms = core_.NowMs();
  info.start_to_close_ms = run.request.start_to_close_ms;
  static const activity::ActivityFunction kNobody;
  run.current =
      std::make_shared<Attempt>(mailbox_, std::move(info), run.request.input ? *run.request.input : Payloads(),
                                function == nullptr ? kNobody : *function);
  if (function == nullptr) return;  // Advance reports it
  pool_.Submit([attempt = run.current] { attempt->Execute(); });
}

int64_t LocalActivities::ElapsedMs(const Run& run) const { return run.earlier_ms + MillisSince(run.begun); }

// What the failure means: another attempt here, a back-off by timer, or the end.
std::optional<LocalActivityOutcome> LocalActivities::Failed(Run& run, const api::failure::v1::Failure& failure,
                                                            const std::string& type, bool retryable) {
  const LocalActivityRequest& rule = run.request;
  const auto& final_types = rule.non_retryable_types;
  const int64_t delay =
      RetryDelayMs(rule.initial_interval_ms, rule.backoff_coefficient, rule.max_interval_ms, run.attempt);
  const bool again = retryable && !run.cancelled &&
                     std::find(final_types.begin(), final_types.end(), type) == final_types.end() &&
                     (rule.max_attempts == 0 || run.attempt < rule.max_attempts) &&
                     (rule.schedule_to_close_ms == 0 || ElapsedMs(run) + delay < rule.schedule_to_close_ms);
  if (again && delay < (rule.timer_from_ms > 0 ? rule.timer_from_ms : facts_.task_timeout_ms)) {
    ++run.attempt;
    run.retry_at = SteadyClock::now() + std::chrono::milliseconds(delay);
    run.current.reset();
    return std::nullopt;
  }
  LocalActivityOutcome outcome;
  outcome.activity_id = rule.activity_id;
  outcome.attempt = run.attempt;
  outcome.failure = std::make_unique<api::failure::v1::Failure>(failure);
  outcome.backoff_ms = again ? delay : 0;
  return outcome;
}

std::optional<LocalActivityOutcome> LocalActivities::Finish(Run& run, Result<Json> result) {
  Result<Payloads> encoded =
      result ? EncodeResult(*result, run.request.activity_type) : std::unexpected(result.error());
  if (encoded) {
    LocalActivityOutcome outcome;
    outcome.activity_id = run.request.activity_id;
    outcome.attempt = run.attempt;
    outcome.result = std::make_unique<Payloads>(std::move(*encoded));
    return outcome;
  }
  const Error& error = encoded.error();
  if (error.code == "CANCELLED" && run.cancelled) return Failed(run, CancelledFailure(), error.code, false);
  return Failed(run, MakeFailure(error), error.code, error.retryable);
}

// Moves one run by what has happened to it. The mailbox's mutex is held.
std::optional<LocalActivityOutcome> LocalActivities::Advance(Run& run, SteadyClock::time_point now) {
  if (run.retry_at) {
    if (run.cancelled) return Failed(run, CancelledFailure(), "CANCELLED", false);
    if (now >= *run.retry_at) Launch(run);
    return std::nullopt;
  }
  if (core_.options.activities == nullptr || core_.options.activities->Find(run.request.activity_type) == nullptr) {
    const Error error = activity::UnknownType(core_.options.activities, run.request.activity_type);
    return Failed(run, MakeFailure(error), error.code, error.retryable);
  }
  if (auto result = run.current->TakeResult()) return Finish(run, std::move(*result));
  if (run.cancelled) {  // it may take long to notice; the workflow does not wait for that
    run.current->Cancel();
    return Failed(run, CancelledFailure(), "CANCELLED", false);
  }
  const int64_t total = run.request.schedule_to_close_ms;
  if (total > 0 && ElapsedMs(run) >= total) {
    run.current->Cancel();
    return Failed(run,
                  TimeoutFailure(api::enums::v1::TIMEOUT_TYPE_SCHEDULE_TO_CLOSE,
                                 "local activity took longer than " + FormatDuration(total)),
                  "", false);
  }
  const int64_t each = run.request.start_to_close_ms;
  const auto started = run.current->started();
  if (each > 0 && started && now >= *started + std::chrono::milliseconds(each)) {
    run.current->Cancel();
    return Failed(
        run,
        TimeoutFailure(api::enums::v1::TIMEOUT_TYPE_START_TO_CLOSE, "attempt took longer than " + FormatDuration(each)),
        "", true);
  }
  return std::nullopt;
}

// When the next run changes by itself. The mailbox's mutex is held.
SteadyClock::time_point LocalActivities::NextDeadline(SteadyClock::time_point until) const {
  for (const auto& [id, run] : runs_) {
    if (run->retry_at) {
      until = std::min(until, *run->retry_at);
      continue;
    }
    if (run->request.schedule_to_close_ms > 0) {
      until =
          std::min(until, run->begun + std::chrono::milliseconds(run->request.schedule_to_close_ms - run->earlier_ms));
    }
    const auto started = run->current->started();
    if (run->request.start_to_close_ms > 0 && started) {
      until = std::min(until, *started + std::chrono::milliseconds(run->request.start_to_close_ms));
    }
  }
  return until;
}

std::optional<LocalActivityOutcome> LocalActivities::Next(SteadyClock::time_point until) {
  // An abandoned worker is looked for this often; nobody else wakes the mailbox for it.
  constexpr auto kLook = std::chrono::milliseconds(100);
  std::unique_lock lock(mailbox_->mutex);
  while (!runs_.empty() && !core_.abandoning) {
    const auto now = SteadyClock::now();
    for (auto it = runs_.begin(); it != runs_.end(); ++it) {
      if (auto outcome = Advance(*it->second, now)) {
        runs_.erase(it);
        return outcome;
      }
    }
    if (now >= until) return std::nullopt;
    mailbox_->changed.wait_until(lock, std::min(NextDeadline(until), now + kLook));
  }
  return std::nullopt;
}

}  // namespace lockstep::provider
