#include "engine-core/providers/embedded/testing/scripted_run.h"

#include <algorithm>

#include "engine-core/base/check.h"
#include "engine-core/base/ids.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::embedded::testing {
namespace {

constexpr char kIdentity[] = "test";
constexpr int64_t kTaskMs = 5;  // between scheduled and started, and again to completed
constexpr int64_t kNewsMs = 1;  // between two things that happen

class CountingUuids final : public IIdGenerator {
 public:
  std::string NewUuid() override {
    std::array<uint8_t, 16> bytes{};
    ++count_;
    for (size_t i = 0; i < 8; ++i) bytes[15 - i] = static_cast<uint8_t>(count_ >> (8 * i));
    return FormatUuidV4(bytes);
  }

 private:
  uint64_t count_ = 0;
};

}  // namespace

class ScriptedRun::TestWorld final : public World {
 public:
  TestWorld(UnixMillis now, LocalTry locals) : now_(now), locals_(std::move(locals)) {}
  UnixMillis Now() override { return now_; }
  bool Wait(UnixMillis until) override {
    if (until == kNever) return false;
    now_ = std::max(now_, until);
    return true;
  }
  std::optional<News> TakeNews() override { return std::nullopt; }
  void StartAttempt(ActivityAttempt) override {}
  void CancelAttempt(AttemptToken) override {}
  void DropAttempt(AttemptToken) override {}
  Result<Json> RunLocal(const workflow::LocalActivityRequest& request, int32_t attempt) override {
    LOCKSTEP_CHECK(locals_ != nullptr, "a local activity without a script: " + request.activity_id);
    return locals_(request, attempt);
  }
  void TaskStarted() override {
    if (const auto happening = std::exchange(during_, nullptr)) happening();
  }
  void Advance(int64_t millis) { now_ += millis; }
  void During(std::function<void()> happening) { during_ = std::move(happening); }

 private:
  UnixMillis now_;
  LocalTry locals_;
  std::function<void()> during_;
};

ScriptedRun::ScriptedRun(ScriptedOptions options)
    : world_(std::make_unique<TestWorld>(options.start_ms, std::move(options.locals))),
      ids_(std::make_unique<CountingUuids>()) {
  EngineOptions engine;
  engine.worker = {options.registry, "default", std::move(options.version_pins), std::move(options.log), nullptr};
  engine.ids = ids_.get();
  engine.identity = kIdentity;
  engine.evict_after_every_task = options.evict_after_every_task;
  engine.own_time = false;
  engine_ = std::make_unique<Engine>(std::move(engine), world_.get(), nullptr);
  const Status started = engine_->Start(std::move(options.start));
  LOCKSTEP_CHECK(started.has_value(), "a scripted run starts");
}

ScriptedRun::~ScriptedRun() = default;

void ScriptedRun::RunTask() {
  if (!task_scheduled()) return;
  world_->Advance(kTaskMs);
  const int64_t failed = engine_->failed_tasks();
  const size_t executions = engine_->executions();
  engine_->on_task = [this](const ServerRun&) { world_->Advance(kTaskMs); };
  const Status done = engine_->RunTask();
  LOCKSTEP_CHECK(done.has_value(), "a scripted task runs");
  if (engine_->failed_tasks() != failed) broken_ = engine_->last_failure();
  if (closed()) return;
  if (engine_->executions() != executions && !task_scheduled()) {
    // An execution that lived shortly lets the next one wait.
    world_->Advance(engine_->run().NextDue() - world_->Now());
    engine_->run().FireDue(world_->Now());
  }
  (void)engine_->Dispatch();
}

void ScriptedRun::DuringNextTask(std::function<void()> happening) { world_->During(std::move(happening)); }
void ScriptedRun::Evict() { engine_->worker().Evict(); }
void ScriptedRun::AdvanceClock(int64_t millis) { world_->Advance(millis); }
UnixMillis ScriptedRun::now_ms() const { return world_->Now(); }
workflow::Execution& ScriptedRun::execution() { return engine_->worker().execution(engine_->run()); }

void ScriptedRun::Signal(std::string_view name, const Json& input) { Signal(name, workflow::JsonPayloads(input)); }

void ScriptedRun::Signal(std::string_view name, const Payloads& input) {
  world_->Advance(kNewsMs);
  engine_->run().Signal(world_->Now(), name, input, kIdentity);
}

void ScriptedRun::RequestCancel(std::string_view reason) {
  world_->Advance(kNewsMs);
  engine_->run().RequestCancel(world_->Now(), reason, kIdentity);
}

AttemptToken ScriptedRun::TokenOf(std::string_view id, int32_t attempt) {
  world_->Advance(kNewsMs);
  for (const auto& activity : engine_->run().open_activities()) {
    if (activity.id != id) continue;
    const auto token = engine_->run().SetAttempt(activity.scheduled_event_id, std::max(attempt, 1));
    LOCKSTEP_CHECK(token.has_value(), "an activity that has begun: " + std::string(id));
    return *token;
  }
  CheckFailed("open activity", "no open activity " + std::string(id));
}

void ScriptedRun::CompleteActivity(std::string_view id, const Json& result, int32_t attempt) {
  engine_->run().CompleteActivity(world_->Now(), TokenOf(id, attempt), workflow::JsonPayloads(result), kIdentity);
}

void ScriptedRun::FailActivity(std::string_view id, const Error& error, int32_t attempt) {
  Failure failure;
  workflow::ErrorToFailure(error, &failure);
  engine_->run().FailActivity(world_->Now(), TokenOf(id, attempt), std::move(failure), kIdentity, true);
}

void ScriptedRun::TimeOutActivity(std::string_view id, temporal::api::enums::v1::TimeoutType type, int32_t attempt) {
  const AttemptToken token = TokenOf(id, attempt);
  if (type == temporal::api::enums::v1::TIMEOUT_TYPE_SCHEDULE_TO_START) engine_->run().ReturnAttempt(token);
  engine_->run().TimeOutActivity(world_->Now(), token.scheduled_event_id, type, true);
}

void ScriptedRun::CancelActivity(std::string_view id) {
  engine_->run().CancelActivity(world_->Now(), TokenOf(id, 1), {}, kIdentity);
}

void ScriptedRun::FireTimer(std::string_view id) {
  const UnixMillis due = DueOf(id);
  world_->Advance(std::max<int64_t>(kNewsMs, due - world_->Now()));
  engine_->run().FireTimer(world_->Now(), id);
}

UnixMillis ScriptedRun::DueOf(std::string_view timer_id) const {
  for (const auto& timer : engine_->run().open_timers()) {
    if (timer.id == timer_id) return timer.due;
  }
  CheckFailed("running timer", "no timer " + std::string(timer_id));
}

std::vector<std::string> ScriptedRun::OpenActivities() const {
  std::vector<std::string> ids;
  for (const auto& activity : engine_->run().open_activities()) ids.push_back(activity.id);
  return ids;
}

std::vector<std::string> ScriptedRun::OpenTimers() const {
  std::vector<std::string> ids;
  for (const auto& timer : engine_->run().open_timers()) ids.push_back(timer.id);
  return ids;
}

}  // namespace lockstep::embedded::testing
