// An embedded run in which a test decides everything: when tasks run, how activities end, which timer fires, what the
// clock says. The engine is the one of `lockstep run` and the simulator; only the world is the test's. Rotations are
// followed.
//
//   ScriptedRun run({.registry = &registry, .start = start, .locals = ...});
//   run.RunTask();                                   // the code schedules an activity
//   run.CompleteActivity("step/a/1", result);        // started + completed, schedules the next task
//   run.RunTask();
//
// Misuse (an unknown activity id) is a broken test and stops the process.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/providers/embedded/engine.h"

namespace lockstep::embedded::testing {

using LocalTry = std::function<Result<Json>(const workflow::LocalActivityRequest& request, int32_t attempt)>;

struct ScriptedOptions {
  const workflow::WorkflowRegistry* registry = nullptr;
  ExecutionStart start;
  UnixMillis start_ms = 1'700'000'000'000;
  LocalTry locals;
  std::map<std::string, int, std::less<>> version_pins;
  std::function<void(workflow::LogLevel, std::string_view)> log;
  bool evict_after_every_task = false;
};

class ScriptedRun {
 public:
  explicit ScriptedRun(ScriptedOptions options);
  ~ScriptedRun();

  // --- what a worker does
  void RunTask();  // one workflow task, when one is scheduled
  // What happens while the next task is open: its events are buffered and come after the commands.
  void DuringNextTask(std::function<void()> happening);
  void Evict();

  // --- what the world does
  void Signal(std::string_view name, const Json& input);
  void Signal(std::string_view name, const Payloads& input);
  void RequestCancel(std::string_view reason = "test");
  // The attempt number is the one that gave the outcome, which is final.
  void CompleteActivity(std::string_view id, const Json& result = {}, int32_t attempt = 1);
  void FailActivity(std::string_view id, const Error& error, int32_t attempt = 1);
  void TimeOutActivity(std::string_view id, temporal::api::enums::v1::TimeoutType type, int32_t attempt = 1);
  void CancelActivity(std::string_view id);
  // The clock moves on to when the timer is due.
  void FireTimer(std::string_view id);
  void AdvanceClock(int64_t millis);

  // --- what came of it
  const History& history() const { return engine().run().history(); }
  bool closed() const { return engine().closed(); }
  bool task_scheduled() const { return engine().run().task_scheduled(); }
  UnixMillis now_ms() const;
  std::vector<std::string> OpenActivities() const;  // ids in the order they were scheduled
  std::vector<std::string> OpenTimers() const;
  UnixMillis DueOf(std::string_view timer_id) const;
  // Of a task that failed by its code or diverged; empty: none did.
  const std::string& broken() const { return broken_; }
  workflow::Execution& execution();
  Engine& engine() { return *engine_; }
  const Engine& engine() const { return *engine_; }

 private:
  class TestWorld;
  AttemptToken TokenOf(std::string_view id, int32_t attempt);

  std::unique_ptr<TestWorld> world_;
  std::unique_ptr<IIdGenerator> ids_;
  std::unique_ptr<Engine> engine_;
  std::string broken_;
};

}  // namespace lockstep::embedded::testing
