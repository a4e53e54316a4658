#include "engine-core/providers/embedded/thread_world.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "engine-core/base/check.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::embedded {
namespace {

// Temporal's limit of one payload (spec 04 section 10).
constexpr size_t kMaxPayloadBytes = 2 * 1024 * 1024;

Failure ToFailure(const Error& error) {
  Failure failure;
  workflow::ErrorToFailure(error, &failure);
  return failure;
}

}  // namespace

// What one attempt sees.
class ThreadWorld::Context final : public activity::ActivityContext {
 public:
  Context(ThreadWorld* world, activity::ActivityInfo info, AttemptToken token, Json last)
      : world_(world), info_(std::move(info)), token_(token), last_(std::move(last)) {}
  const activity::ActivityInfo& info() const override { return info_; }
  void Heartbeat(const Json& details) override {
    if (!info_.local) world_->Post(AttemptBeat{token_, workflow::JsonPayloads(details)});
  }
  Json LastHeartbeat() const override { return last_; }
  bool cancelled() const override { return flag_.get(); }
  bool WaitForCancellation(int64_t timeout_ms) override { return flag_.WaitFor(timeout_ms); }
  void Cancel(bool requested) {
    if (requested) requested_ = true;
    flag_.Set();
  }
  bool requested() const { return requested_; }
  AttemptToken token() const { return token_; }

 private:
  ThreadWorld* world_;
  const activity::ActivityInfo info_;
  const AttemptToken token_;
  const Json last_;
  activity::CancelFlag flag_;
  std::atomic<bool> requested_ = false;
};

ThreadWorld::ThreadWorld(ThreadWorldOptions options) : options_(std::move(options)) {
  LOCKSTEP_CHECK(options_.activities != nullptr && options_.clock != nullptr,
                 "a world of threads needs activities and a clock");
}

ThreadWorld::~ThreadWorld() {
  for (auto& [token, running] : running_) running->context->Cancel(false);
  for (auto& [token, running] : running_) running->thread.join();
  for (auto& running : dropped_) running->thread.join();
}

void ThreadWorld::Post(News news) {
  std::lock_guard lock(mutex_);
  news_.push_back(std::move(news));
  changed_.notify_all();
}

UnixMillis ThreadWorld::Now() { return options_.clock->Now(); }

void ThreadWorld::Poll() {
  if (!options_.poll || Now() - polled_at_ < options_.poll_ms) return;
  polled_at_ = Now();
  for (News& news : options_.poll()) Post(std::move(news));
}

bool ThreadWorld::Wait(UnixMillis until) {
  Poll();
  const UnixMillis now = Now();
  int64_t left = until == kNever ? options_.poll_ms : std::clamp<int64_t>(until - now, 0, options_.poll_ms);
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(left), [this] { return !news_.empty(); });
  return true;
}

std::optional<News> ThreadWorld::TakeNews() {
  Poll();
  Reap();
  std::lock_guard lock(mutex_);
  if (news_.empty()) return std::nullopt;
  News first = std::move(news_.front());
  news_.pop_front();
  return first;
}

// Threads that have ended.
void ThreadWorld::Reap() {
  std::vector<std::unique_ptr<Running>> ended;
  {
    std::lock_guard lock(mutex_);
    for (auto it = running_.begin(); it != running_.end();) {
      if (!it->second->done) {
        ++it;
        continue;
      }
      ended.push_back(std::move(it->second));
      it = running_.erase(it);
    }
    for (auto& running : dropped_) {
      if (running->done) ended.push_back(std::move(running));
    }
    std::erase(dropped_, nullptr);
  }
  for (auto& running : ended) running->thread.join();
}

void ThreadWorld::StartAttempt(ActivityAttempt attempt) {
  const activity::ActivityFunction* function = options_.activities->Find(attempt.activity_type);
  if (function == nullptr) {
    Post(AttemptFailed{attempt.token, ToFailure(activity::UnknownType(options_.activities, attempt.activity_type))});
    return;
  }
  activity::ActivityInfo info;
  info.namespace_name = options_.namespace_name;
  info.workflow_id = options_.workflow_id;
  info.workflow_type = options_.workflow_type;
  info.activity_id = attempt.activity_id;
  info.activity_type = attempt.activity_type;
  info.task_queue = attempt.task_queue;
  info.attempt = attempt.token.attempt;
  info.scheduled_ms = attempt.scheduled_ms;
  info.started_ms = attempt.started_ms;
  info.start_to_close_ms = attempt.start_to_close_ms;
  info.heartbeat_timeout_ms = attempt.heartbeat_ms;
  auto running = std::make_unique<Running>();
  running->context = std::make_shared<Context>(this, std::move(info), attempt.token,
                                               workflow::ReadFirstJson(attempt.heartbeat_details).value_or(Json()));
  Running* entry = running.get();
  running_[attempt.token] = std::move(running);
  entry->thread = std::thread([this, entry, function, input = std::move(attempt.input)] {
    Context& context = *entry->context;
    Result<Json> result = Json();
    const auto arguments = workflow::ReadJson(input);
    if (arguments) {
      result = activity::Invoke(*function, context, *arguments);
    } else {
      result = Fail(arguments.error());
    }
    News news = AttemptFailed{};
    if (result) {
      Payloads payloads = workflow::JsonPayloads(*result);
      if (payloads.ByteSizeLong() <= kMaxPayloadBytes) {
        news = AttemptCompleted{context.token(), std::move(payloads)};
      } else {
        news = AttemptFailed{context.token(),
                             ToFailure(Error("PAYLOAD_TOO_LARGE", "result of activity " + context.info().activity_type +
                                                                      ": expected at most 2097152 bytes, found " +
                                                                      std::to_string(payloads.ByteSizeLong())))};
      }
    } else if (result.error().code == "CANCELLED" && context.requested()) {
      Payloads details;
      if (!result.error().message.empty()) workflow::AddJson(Json(result.error().message), &details);
      news = AttemptCancelled{context.token(), std::move(details)};
    } else {
      news = AttemptFailed{context.token(), ToFailure(result.error())};
    }
    std::lock_guard lock(mutex_);
    entry->done = true;
    news_.push_back(std::move(news));
    changed_.notify_all();
  });
}

void ThreadWorld::CancelAttempt(AttemptToken token) {
  const auto it = running_.find(token);
  if (it != running_.end()) it->second->context->Cancel(true);
}

// Its answer comes too late whatever it is; the thread ends on its own.
void ThreadWorld::DropAttempt(AttemptToken token) {
  std::lock_guard lock(mutex_);
  const auto it = running_.find(token);
  if (it == running_.end()) return;
  it->second->context->Cancel(false);
  dropped_.push_back(std::move(it->second));
  running_.erase(it);
}

Result<Json> ThreadWorld::RunLocal(const workflow::LocalActivityRequest& request, int32_t attempt) {
  const activity::ActivityFunction* function = options_.activities->Find(request.activity_type);
  if (function == nullptr) return Fail(activity::UnknownType(options_.activities, request.activity_type));
  activity::ActivityInfo info;
  info.namespace_name = options_.namespace_name;
  info.workflow_id = options_.workflow_id;
  info.workflow_type = options_.workflow_type;
  info.activity_id = request.activity_id;
  info.activity_type = request.activity_type;
  info.attempt = attempt;
  info.local = true;
  info.scheduled_ms = request.first_scheduled_ms;
  info.started_ms = Now();
  info.start_to_close_ms = request.start_to_close_ms;
  Context context(this, std::move(info), {}, Json());
  const auto arguments = workflow::ReadJson(*request.input);
  if (!arguments) return Fail(arguments.error());
  return activity::Invoke(*function, context, *arguments);
}

}  // namespace lockstep::embedded
