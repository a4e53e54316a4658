// `runPlanWorkflow`: walks a plan (spec 04). One object per execution, shared by the main coroutine
// and the message handlers: a run that has ended still answers queries.
//
// Order is everything here. Signal handlers only change state. One workflow task first applies every resolution in history
// order, then makes exactly one scheduling pass (W4); a pass appends StepStarted of all steps it starts in index order and
// dispatches them in the same order once that append is durable (W5); outcomes are appended as they were observed (W6).
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/interpreter/emitter.h"
#include "engine-core/interpreter/run_input.h"
#include "engine-core/interpreter/step_board.h"
#include "engine-core/plan/plan.h"
#include "engine-core/plan/routing.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::interpreter {

// Registers the interpreter under its workflow type.
void RegisterInterpreter(workflow::WorkflowRegistry* registry);

LOCKSTEP_WORKFLOW wf::Task<wf::WorkflowResult> RunPlanWorkflow(const workflow::Payloads& input);

class LOCKSTEP_WORKFLOW PlanRun : public std::enable_shared_from_this<PlanRun> {
 public:
  explicit PlanRun(RunInput input);
  wf::Task<wf::WorkflowResult> Run();

 private:
  enum class RunStatus : uint8_t { kRunning, kCompleted, kFailed, kCancelled };

  // A control request as its handler left it, in order of arrival.
  struct Control {
    std::string name;
    Json body;
  };
  struct Observed {
    uint32_t index = 0;
    wf::ActivityOutcome outcome;
  };
  struct Announced {
    uint32_t index = 0;
    uint64_t ticket = 0;
    Json params;
    std::string queue;
  };

  // --- start
  wf::Task<void> Begin();
  wf::Task<Status> FetchPlan();
  wf::Task<Status> ValidatePlan();
  plan::QueueScope Queues() const;
  Status CheckQueues() const;
  void EmitRunStarted();

  // --- messages (control.cpp)
  void RegisterHandlers();
  void OnSignal(std::string_view name, const workflow::Payloads& payloads);
  void ApplyControl();
  void ApplyPause(const Json& body);
  void ApplyResume(const Json& body);
  void ApplyRetryStep(const Json& body);
  void ApplySkipStep(const Json& body);
  void ApplyUpdateParams(const Json& body);
  void ApplyInjectOverride(const Json& body);
  void ApplyUpdateTarget(const Json& body);
  void ApplyCustom(const Json& body);
  Json StatusView() const;
  Result<Json> StepStatesView(const Json::Array& arguments) const;

  // --- the walk (plan_run.cpp)
  wf::Task<void> Walk();
  wf::Task<void> DispatchLoop();
  void Dispatch(const Announced& step);
  wf::Task<void> AwaitStep(uint32_t index, wf::Future<wf::ActivityOutcome> future);
  wf::Task<void> AwaitSleep(uint32_t index, wf::Future<bool> timer);
  void ApplyOutcomes();
  void ApplyOutcome(const Observed& observed);
  void ApplySuccess(uint32_t index, const Json& output);
  void ApplyFailure(uint32_t index, const Error& error);
  void Pass();
  bool StartsNothing() const;
  void Judge(uint32_t index);
  bool ConditionsHold(const plan::Step& step) const;
  void ArmGate(uint32_t index);
  bool GateOpen(const plan::Step& step) const;
  void ExpireGate(uint32_t index);
  wf::Task<void> WatchGate(uint32_t index, int64_t millis);
  void Announce(uint32_t index);
  void Skip(uint32_t index, std::string_view reason, const Json& extra = Json::MakeObject());
  void FailWithoutDispatch(uint32_t index, const Error& error);
  Json StartPayload(uint32_t index);
  Result<Json> ResolveParams(uint32_t index) const;
  const Json* ProbeOf(uint32_t index, const std::string& pointer) const;
  Json StepInput(const Announced& step) const;
  std::string QueueOf(const plan::Step& step) const;

  // --- how it ends
  bool DecideEnd();
  bool RotationDue() const;
  void StartHoldTimer();
  wf::Task<void> WatchHold(int64_t millis);
  wf::Task<void> WatchRunTimeout(int64_t millis);
  wf::Task<void> WatchDrain();
  void FailRun(Error error);
  wf::Task<void> DrainInFlight();
  wf::Task<void> FinishCompleted();
  wf::Task<void> SnapshotOfUnfinished();
  wf::Task<void> FinishFailed();
  wf::Task<void> FinishCancelled();
  wf::Task<void> Snapshot();
  void EmitRunFailed();
  Cursor MakeCursor() const;
  wf::Task<wf::WorkflowResult> Conclude();
  wf::WorkflowResult Output() const;
  void SetStatus(RunStatus status);
  std::string_view StatusName() const;
  bool remaining_work() const { return board_ && !board_->all_settled(); }

  RunInput input_;
  std::string plan_id_;
  std::string plan_version_;
  std::string plan_sha256_;
  std::string run_started_at_;
  plan::StepTable table_;
  std::optional<StepBoard> board_;
  std::optional<Emitter> emitter_;
  std::optional<wf::CancelScope> steps_scope_;
  std::optional<wf::CancelScope> hold_scope_;
  std::optional<wf::CancelScope> drain_scope_;

  bool dirty_ = false;
  RunStatus status_ = RunStatus::kRunning;
  std::deque<Control> control_;
  std::deque<Observed> observed_;
  std::deque<Announced> announced_;
  Json params_ = Json::MakeObject();
  bool params_changed_ = false;              // by accepted updates: the cursor then carries them whole, because merge
                                             // patches do not compose into one
  Json signals_ = Json::MakeObject();        // name -> payloads, oldest first
  bool pause_requested_ = false;             // as the handlers see it
  bool paused_ = false;                      // as the log has it
  std::string pause_reason_;
  int32_t pause_ordinal_ = 0;
  bool cancelling_ = false;
  std::string cancel_reason_;
  std::string cancel_signal_id_;
  int64_t last_decision_seq_ = 0;
  std::optional<Error> failure_;             // the run is to end as FAILED once nothing is in flight
  bool hold_expired_ = false;
  UnixMillis hold_deadline_ = 0;
  UnixMillis run_deadline_ = 0;
  bool rotating_ = false;
  bool rotate_now_ = false;
  size_t settled_at_start_ = 0;
  int64_t history_bytes_at_start_ = 0;
  int64_t passes_ = 0;
  int32_t continued_as_new_count_ = 0;
};

}  // namespace lockstep::interpreter
