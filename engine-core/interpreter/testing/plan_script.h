// Whole runs of plans in the embedded engine, for tests: `runPlanWorkflow` in a ScriptedRun, the engine's own activities over a
// memory store (the same functions that a worker registers), steps answered by a function of the test.
// Time is virtual; rotations are followed, so a run is a chain of histories with one event log.
//
//   PlanScript run(SimplePlan(R"([{"stepId":"a"},{"stepId":"b"}])"));
//   run.Quiet();                      // plan loaded and checked, step a dispatched
//   run.Signal("PAUSE");
//   run.Answer("a", Succeed());
//   run.Quiet();                      // outcome recorded, b not started
//   run.Signal("RESUME");
//   run.RunToEnd();                   // the worker function answers the rest, timers fire when nothing else happens
//   EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
//   EXPECT_THAT(run.ReplayProblems(), IsEmpty());
#pragma once

#include <temporal/api/enums/v1/workflow.pb.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/interpreter/run_input.h"
#include "engine-core/providers/embedded/testing/scripted_run.h"
#include "engine-core/state/store.h"
#include "engine-core/state/testing/event_builder.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/testing/history_script.h"

namespace lockstep::steps {
struct Services;
}

namespace lockstep::interpreter::testing {

using workflow::testing::History;
using embedded::testing::ScriptedRun;

// --- what steps do -------------------------------------------------------------------------------------------------------

// One dispatched attempt, as a worker gets it.
struct StepCall {
  std::string step_id;
  int32_t attempt = 1;  // logical
  Json input;           // of `executeStep`
  bool cancel_requested = false;
};

struct StepAnswer {
  enum class Kind : uint8_t { kSuccess, kFailure, kTimeOut, kCancelled, kOpen };
  Kind kind = Kind::kSuccess;
  Json output;  // of `executeStep`, kSuccess only
  Error error;
  temporal::api::enums::v1::TimeoutType timeout = temporal::api::enums::v1::TIMEOUT_TYPE_START_TO_CLOSE;
  int32_t engine_attempt = 1;
};
// `result` also answers the probes that were asked for.
StepAnswer Succeed(Json result = {}, Json artifact_refs = Json::MakeArray(), int32_t engine_attempt = 1);
StepAnswer FailTransient(int32_t engine_attempt = 3, std::string code = "TRANSIENT_STEP_ERROR");
StepAnswer FailPermanent(std::string code = "PERMANENT_STEP_ERROR");
StepAnswer FailWith(Error error, int32_t engine_attempt = 1);
StepAnswer TimeOut(temporal::api::enums::v1::TimeoutType type, int32_t engine_attempt = 1);
StepAnswer LeaveOpen();

using StepWorker = std::function<StepAnswer(const StepCall&)>;

// --- plans ---------------------------------------------------------------------------------------------------------------

// A v1.2 plan `p` `1` with these steps (a JSON array); `metadata` and `extra` are JSON objects merged into the document.
std::string SimplePlan(std::string_view steps, std::string_view metadata = "{}", std::string_view extra = "{}");
// `count` steps s0, s1, ... in sequence.
std::string ChainPlan(int count, std::string_view metadata = "{}");

// --- the run -------------------------------------------------------------------------------------------------------------

struct PlanScriptOptions {
  Policy policy = {.provider_namespace = "default"};
  Json params;  // of the run
  StepWorker worker = [](const StepCall&) { return Succeed(); };
  std::map<std::string, int, std::less<>> version_pins;
  bool evict_after_every_task = false;
  // Changes the input after it was made, e.g. to start with a foreign cursor.
  std::function<void(Json*)> change_input;
  // What the store does instead of working at this (virtual) time; nothing: it works.
  std::function<std::optional<Error>(const workflow::LocalActivityRequest&, UnixMillis at)> store_fault;
  // Answers `fetchPlan` or `validatePlan` in place of the engine's own activity; nothing: that one answers.
  std::function<std::optional<StepAnswer>(std::string_view activity_type, const Json::Array& arguments)> control;
  bool approval_required = false;
};

class PlanScript {
 public:
  // The plan must be valid: a broken one is a broken test and stops the process.
  explicit PlanScript(const std::string& plan, PlanScriptOptions options = {});
  ~PlanScript();

  // --- driving
  // One workflow task, when one is scheduled; follows a rotation.
  void Task();
  // Tasks and control activities until the run waits for a step, a timer or a signal.
  void Quiet();
  // Until the run ends, or nothing can happen any more: open steps are put to the worker, in the order of their dispatch and
  // all of them between two tasks; when none has an answer, the timer due first fires.
  void RunToEnd(int limit = 100'000);
  // Puts every open step to the worker once; how many answered.
  int AnswerSteps();
  void Answer(std::string_view step_id, const StepAnswer& answer);
  // The timer due first; false when none runs.
  bool FireNextTimer();
  // As the gateway does: a decision record with its SignalAccepted event, then the signal to the workflow. `CANCEL` also
  // requests the native cancellation. Returns the signal id.
  std::string Signal(std::string_view type, const Json& payload = Json::MakeObject());
  // The message alone.
  void SignalOnly(std::string_view type, Json payload = Json::MakeObject());
  void RequestCancel() { script().RequestCancel(); }
  ScriptedRun& script() { return *run_; }
  const ScriptedRun& script() const { return *run_; }
  Json Query(std::string_view name, const Json::Array& arguments = {});

  // --- what came of it
  bool closed() const { return run_->closed(); }
  size_t executions() const { return run_->engine().executions(); }
  const History& history(size_t execution) const { return run_->engine().execution(execution).history(); }
  const std::vector<Json>& inputs() const { return inputs_; }  // of each execution
  const Json& plan_ref() const { return plan_ref_; }
  std::vector<state::EventRecord> Events() const;
  state::Snapshot Snapshot() const;
  state::RunStatus status() const { return Snapshot().status; }
  std::string OutcomeHash() const { return state::OutcomeHash(Snapshot()); }
  // What the last execution returned; null when it did not complete.
  Json Result() const;
  // Failure type of a failed last execution; empty otherwise.
  std::string FailureType() const;
  // One line an event of the interpreter, without RunQueued and audit events: `StepFailed a/1 TRANSIENT_STEP_ERROR`.
  std::vector<std::string> Log() const;
  size_t CountOf(std::string_view event_type) const;
  // The n-th event of a type.
  state::EventRecord Event(std::string_view event_type, size_t position = 0) const;
  // Activities that the code scheduled in the whole chain, as `id @ queue`.
  std::vector<std::string> Scheduled() const;
  std::vector<std::string> OpenSteps() const;  // step ids
  // Differences between the run and its replays: every history whole, and cut off after started tasks (all of them when the
  // history is short, a spread of them when it is long). Empty: identical.
  std::vector<std::string> ReplayProblems() const;
  // Log messages of the code.
  const std::vector<std::string>& warnings() const { return warnings_; }
  // Broken rules of spec 02: an illegal transition, more or other events than the machines allow.
  std::vector<std::string> LogProblems() const;
  const workflow::WorkflowRegistry& registry() const { return registry_; }
  state::IRunStateStore& store() { return *store_; }

 private:
  void StartRun(const Json& input);
  void Bootstrap(bool approval_required);
  lockstep::Result<Json> RunLocal(const workflow::LocalActivityRequest& request);
  bool AnswerControl();
  StepCall CallOf(const std::string& activity_id) const;
  state::EventWrite EngineEvent(std::string_view type, Json payload);

  PlanScriptOptions options_;
  workflow::WorkflowRegistry registry_;
  state::testing::ManualClock clock_{1'700'000'000'000};
  state::testing::CountingIds ids_{1'000'000};
  std::shared_ptr<state::IRunStateStore> store_;
  std::shared_ptr<steps::Services> services_;
  Json plan_ref_;
  std::string run_id_ = "0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a";
  std::unique_ptr<ScriptedRun> run_;
  std::vector<Json> inputs_;
  std::vector<std::string> warnings_;
};

}  // namespace lockstep::interpreter::testing
