#include "engine-core/interpreter/plan_run.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/interpreter/errors.h"
#include "engine-core/plan/references.h"
#include "engine-core/plan/step_table.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::interpreter {
namespace {

constexpr char kSleepKind[] = "sleep";
constexpr int64_t kMaxSleepMs = 2'592'000'000;  // as its schema has it
// Greatest canonical size of a result inside StepCompleted (spec 02 section 3.1).
constexpr size_t kMaxInlineResult = 32'000;
// Values kept for references that are more than a probe; a larger one must travel as an artifact.
constexpr size_t kMaxReferenceBytes = 32'000;
// What a history must have grown by for a rotation to be worth the fetch of the plan, when no step was settled.
constexpr int64_t kWorthRotating = 256 * 1024;
constexpr int64_t kControlStartToCloseMs = 30'000;
constexpr int64_t kFetchTotalMs = 300'000;
constexpr int64_t kValidateStartToCloseMs = 10'000;
constexpr int64_t kValidateTotalMs = 120'000;

// Spec 04 section 5.2: never retried, whatever a step says.
std::vector<std::string> NeverRetried(const std::vector<std::string>& more = {}) {
  std::vector<std::string> codes = {"PERMANENT_STEP_ERROR",
                                    "PermanentStepError",
                                    "PLAN_INTEGRITY_VALIDATION_FAILED",
                                    "INVALID_PLAN_SCHEMA",
                                    "INVALID_STEP_SCHEMA",
                                    "PLAN_URI_NOT_ALLOWED",
                                    "AUTHZ_DENIED"};
  for (const std::string& code : more) {
    if (std::find(codes.begin(), codes.end(), code) == codes.end()) codes.push_back(code);
  }
  return codes;
}

wf::RetryOptions ControlRetry() {
  wf::RetryOptions retry;
  retry.non_retryable_types = NeverRetried();
  return retry;
}

}  // namespace

void RegisterInterpreter(workflow::WorkflowRegistry* registry) { registry->Register(kWorkflowType, RunPlanWorkflow); }

wf::Task<wf::WorkflowResult> RunPlanWorkflow(const workflow::Payloads& payloads) {
  auto json = workflow::ReadFirstJson(payloads);
  if (!json) co_return wf::failed(Error("INVALID_WORKFLOW_STATE", json.error().message));
  auto input = ParseRunInput(*json);
  if (!input) co_return wf::failed(input.error());
  const auto run = std::make_shared<PlanRun>(std::move(*input));
  co_return co_await run->Run();
}

PlanRun::PlanRun(RunInput input) : input_(std::move(input)) {
  plan_id_ = input_.plan_ref.GetString("planId");
  plan_version_ = input_.plan_ref.GetString("planVersion");
  plan_sha256_ = input_.plan_ref.GetString("sha256");
  emitter_.emplace(input_, plan_id_, plan_version_);
  if (!input_.cursor) return;
  const Cursor& cursor = *input_.cursor;
  run_started_at_ = cursor.run_started_at;
  signals_ = cursor.signals;
  paused_ = pause_requested_ = cursor.paused;
  pause_reason_ = cursor.pause_reason;
  pause_ordinal_ = cursor.pause_ordinal;
  cancel_signal_id_ = cursor.cancel_signal_id;
  cancel_reason_ = cursor.cancel_reason;
  hold_deadline_ = cursor.hold_deadline;
  run_deadline_ = cursor.run_deadline;
  last_decision_seq_ = cursor.last_decision_seq;
  continued_as_new_count_ = cursor.continued_as_new_count;
}

LOCKSTEP_TRUSTED("the text is stored and shown; nothing decides by it")
static Error UnexpectedError(const std::exception& error) { return Error("INTERNAL_ERROR", error.what()); }

wf::Task<wf::WorkflowResult> PlanRun::Run() {
  RegisterHandlers();
  wf::spawn(wf::detached(emitter_->Run()));
  bool cancelled = false;
  std::optional<Error> unexpected;
  try {
    co_await Begin();
    if (!failure_) co_await Walk();
  } catch (const wf::Cancelled&) {
    cancelled = true;  // the one place where it is caught (section 7.2)
  } catch (const std::exception& error) {
    unexpected = UnexpectedError(error);
  }
  if (emitter_->refused()) co_return wf::failed(*emitter_->refused());
  if (rotate_now_ && !cancelled && !unexpected) {
    RunInput next = input_;
    next.cursor = MakeCursor();
    co_return wf::continue_as_new(workflow::JsonPayloads(ToJson(next)));
  }
  if (unexpected) failure_ = *unexpected;
  cancelling_ = cancelled;
  co_await wf::detached(cancelled ? FinishCancelled() : failure_ ? FinishFailed() : FinishCompleted());
  if (emitter_->refused()) co_return wf::failed(*emitter_->refused());
  if (unexpected) co_return wf::failed(*failure_);
  co_return Output();
}

// --- start ---------------------------------------------------------------------------------------------------------------

wf::Task<void> PlanRun::Begin() {
  if (!input_.cursor) {
    EmitRunStarted();
    co_await wf::wait_until([this] { return emitter_->idle() || emitter_->refused(); });
    if (emitter_->refused()) co_return;
    if (input_.policy.status_attribute) wf::upsert_attributes({{"runStatus", "RUNNING"}});
  }
  Status status = co_await FetchPlan();
  if (status) status = co_await ValidatePlan();
  if (status) status = CheckQueues();
  if (status) {
    board_.emplace(table_);
    if (input_.cursor) status = board_->Restore(*input_.cursor);
  }
  if (!status) {
    board_.reset();
    if (status.error().code == "CANCELLED") throw wf::Cancelled();
    FailRun(status.error());
    co_return;
  }
  settled_at_start_ = board_->settled_count();
  history_bytes_at_start_ = wf::info().history_size_bytes;
  params_ = table_.params;
  if (input_.context.params.is_object()) MergePatch(&params_, input_.context.params);
  if (input_.cursor && input_.cursor->params.is_object()) {
    params_ = input_.cursor->params;
    params_changed_ = true;
  }
  steps_scope_.emplace();
  wf::spawn(steps_scope_->run(DispatchLoop()));
  if (!input_.cursor && table_.facts.run_timeout_ms) run_deadline_ = wf::now() + *table_.facts.run_timeout_ms;
  if (run_deadline_ != 0) wf::spawn(WatchRunTimeout(std::max<int64_t>(1, run_deadline_ - wf::now())));
  if (hold_deadline_ != 0) StartHoldTimer();
}

void PlanRun::EmitRunStarted() {
  run_started_at_ = FormatUtcMillis(wf::now());
  const wf::WorkflowInfo& info = wf::info();
  const std::string& adapter = input_.context.target_adapter;
  Json reference = Json::MakeObject({{"provider", adapter}, {"runId", input_.context.run_id}, {"workflowId", info.workflow_id}});
  if (adapter == "temporal") {
    reference.Set("namespace", input_.policy.provider_namespace);
    reference.Set("providerRunId", info.first_run_id.empty() ? info.run_id : info.first_run_id);
    reference.Set("taskQueue", info.task_queue);
  }
  emitter_->Emit({.type = "RunStarted",
                  .payload = Json::MakeObject({{"engineRunRef", std::move(reference)},
                                               {"engineType", adapter},
                                               {"planSha256", plan_sha256_},
                                               {"stepCount", input_.admission.step_count},
                                               {"degraded", input_.admission.degraded}})});
}

// The plan comes in pages and so travels in the history: a bare history file is enough to replay it.
wf::Task<Status> PlanRun::FetchPlan() {
  std::vector<Json> pages;
  int64_t page_count = 1;
  for (int64_t page = 0; page < page_count; ++page) {
    workflow::Payloads arguments;
    workflow::AddJson(input_.plan_ref, &arguments);
    workflow::AddJson(page, &arguments);
    workflow::AddJson(Json::MakeObject({{"tenantId", input_.context.tenant_id}}), &arguments);
    const wf::ActivityOutcome outcome =
        co_await wf::execute_activity("fetchPlan", std::move(arguments),
                                      {.activity_id = "plan/fetch/" + std::to_string(page),
                                       .start_to_close_ms = kControlStartToCloseMs,
                                       .schedule_to_close_ms = kFetchTotalMs,
                                       .retry = ControlRetry()});
    if (!outcome.result) co_return Fail(outcome.result.error());
    auto json = workflow::ReadFirstJson(*outcome.result);
    if (!json) co_return Fail(json.error());
    if (page == 0) page_count = json->GetInt("pageCount", 1);
    pages.push_back(std::move(*json));
  }
  auto table = plan::AssembleStepTable(pages);
  if (!table) co_return Fail(table.error());
  table_ = std::move(*table);
  const std::string& expected = input_.cursor ? input_.cursor->plan_sha256 : plan_sha256_;
  if (table_.plan_sha256 != expected) {
    co_return Fail(Error("INVALID_WORKFLOW_STATE", "expected the plan with digest " + expected + ", found " + table_.plan_sha256));
  }
  co_return Status();
}

wf::Task<Status> PlanRun::ValidatePlan() {
  Json request = Json::MakeObject({{"planRef", input_.plan_ref},
                                   {"targetAdapter", input_.context.target_adapter},
                                   {"ctx", Json::MakeObject({{"tenantId", input_.context.tenant_id}})},
                                   {"admission", Json::MakeObject({{"reportSha256", input_.admission.report_sha256},
                                                                   {"degraded", input_.admission.degraded}})}});
  const wf::ActivityOutcome outcome = co_await wf::execute_activity(
      "validatePlan", workflow::JsonPayloads(request),
      {.activity_id = "plan/validate",
       .start_to_close_ms = kValidateStartToCloseMs,
       .schedule_to_close_ms = kValidateTotalMs,
       .retry = ControlRetry()});
  if (!outcome.result) co_return Fail(outcome.result.error());
  const auto verdict = workflow::ReadFirstJson(*outcome.result);
  if (!verdict) co_return Fail(verdict.error());
  if (!verdict->GetBool("valid", true)) {
    co_return Fail(Error("CAPABILITIES_NOT_SUPPORTED", verdict->GetString("message", "the worker lacks an admitted capability")));
  }
  co_return Status();
}

plan::QueueScope PlanRun::Queues() const {
  return {.tenant_id = input_.context.tenant_id,
          .environment_id = input_.context.environment_id,
          .allowed_queues = input_.policy.allowed_queues};
}

// Spec 04 section 5.3: a foreign queue is refused before anything starts.
Status PlanRun::CheckQueues() const {
  return input_.policy.task_queue.empty() ? plan::CheckQueues(table_, Queues()) : Status();
}

std::string PlanRun::QueueOf(const plan::Step& step) const {
  if (!input_.policy.task_queue.empty()) return input_.policy.task_queue;
  const auto queue = plan::SelectQueue(step, Queues());
  LOCKSTEP_CHECK(queue.has_value(), "queues were checked at the start");
  return *queue;
}

// --- the walk ------------------------------------------------------------------------------------------------------------

wf::Task<void> PlanRun::Walk() {
  dirty_ = true;
  while (true) {
    co_await wf::wait_until([this] { return dirty_ || emitter_->refused(); });
    // Everything else that became ready in this task goes first, so that there is one pass over all of it (W4).
    co_await wf::yield();
    dirty_ = false;
    if (emitter_->refused()) co_return;
    ApplyControl();
    ApplyOutcomes();
    if (RotationDue()) rotating_ = true;
    if (!paused_ && !failure_ && !rotating_) Pass();
    if (!DecideEnd()) continue;
    // What the last outcomes emitted must be durable before the run ends or rotates.
    co_await wf::wait_until([this] { return emitter_->idle() || emitter_->refused(); });
    // A signal that came meanwhile must be in the cursor: look again.
    if (!rotate_now_ || control_.empty()) break;
  }
}

void PlanRun::ApplyOutcomes() {
  while (!observed_.empty()) {
    const Observed observed = std::move(observed_.front());
    observed_.pop_front();
    ApplyOutcome(observed);
  }
}

void PlanRun::ApplyOutcome(const Observed& observed) {
  StepState& state = board_->at(observed.index);
  state.engine_attempt = std::max(1, observed.outcome.attempt);
  if (!observed.outcome.result) {
    ApplyFailure(observed.index, observed.outcome.result.error());
    return;
  }
  const auto output = workflow::ReadFirstJson(*observed.outcome.result);
  if (!output) {
    ApplyFailure(observed.index, Error("PERMANENT_STEP_ERROR", "step output: " + output.error().message));
    return;
  }
  const std::string status = output->GetString("status");
  if (status == "SUCCESS" || status == "SKIPPED") {
    ApplySuccess(observed.index, *output);
  } else {
    // A worker should throw instead of returning a failed value (section 5.2 rule 1); take it at its word all the same.
    ApplyFailure(observed.index, OutputError(*output, status));
  }
}

void PlanRun::ApplySuccess(uint32_t index, const Json& output) {
  StepState& state = board_->at(index);
  Json artifacts = Json::MakeArray();
  if (const Json* refs = output.Find("artifactRefs"); refs != nullptr && refs->is_array()) artifacts = *refs;
  const Json* result = output.Find("result");
  Json payload = Json::MakeObject({{"artifactRefs", artifacts}});
  if (result != nullptr && CanonicalJson(*result).size() <= kMaxInlineResult) payload.Set("result", *result);
  if (const Json* duration = output.Find("durationMs"); duration != nullptr && duration->is_int()) payload.Set("durationMs", *duration);
  Emitter::Draft completed{.type = "StepCompleted",
                           .step_id = board_->step(index).step_id,
                           .attempt = state.attempt,
                           .engine_attempt = state.engine_attempt,
                           .payload = std::move(payload)};
  if (const Status legal = emitter_->Check(completed); !legal) {
    ApplyFailure(index, Error("PERMANENT_STEP_ERROR", "step output: " + legal.error().message));
    return;
  }
  const Json* probes = output.Find("probes");
  for (const std::string& pointer : board_->probe_paths(index)) {
    const Json* value = probes != nullptr ? probes->Find(pointer) : nullptr;
    if (value == nullptr && result != nullptr) value = result->At(pointer);
    if (value != nullptr && CanonicalJson(*value).size() <= kMaxReferenceBytes) state.probes.Set(pointer, *value);
  }
  state.artifacts = CursorArtifacts(artifacts);
  emitter_->Emit(std::move(completed));
  board_->Settle(index, Outcome::kSuccess, {});
}

void PlanRun::ApplyFailure(uint32_t index, const Error& error) {
  const plan::Step& step = board_->step(index);
  StepState& state = board_->at(index);
  const bool again = error.retryable && !cancelling_ && !failure_ && state.attempt <= step.logical_retries;
  state.retryable = error.retryable;
  state.message = error.message;
  Json payload = Json::MakeObject({{"error", StepErrorJson(error)}, {"final", !again}});
  Emitter::Draft failed{.type = "StepFailed",
                        .step_id = step.step_id,
                        .attempt = state.attempt,
                        .engine_attempt = state.engine_attempt,
                        .payload = payload};
  if (const auto refs = ErrorArtifacts(error)) failed.payload.Set("artifactRefs", *refs);
  // The failure must be recorded, whatever the worker says it left behind.
  if (!emitter_->Check(failed)) failed.payload = std::move(payload);
  emitter_->Emit(std::move(failed));
  if (again) {
    state.reason = error.code;
    ++state.attempt;
    board_->MoveTo(index, Phase::kReady);
    return;
  }
  state.reported_failed = true;
  if (table_.facts.on_step_failure == plan::OnStepFailure::kHold && !cancelling_ && !failure_) {
    board_->MoveTo(index, Phase::kHeld);
    state.outcome = Outcome::kFailed;
    state.reason = error.code;
    return;
  }
  board_->Settle(index, Outcome::kFailed, error.code);
}

// One scheduling pass: judge what became eligible, then start what is ready while slots are free, lowest index first.
void PlanRun::Pass() {
  ++passes_;
  if (StartsNothing()) return;
  for (const uint32_t index : std::vector<uint32_t>(board_->gated().begin(), board_->gated().end())) {
    if (GateOpen(board_->step(index))) {
      board_->MoveTo(index, Phase::kReady);
    } else if (board_->at(index).gate_expired) {
      ExpireGate(index);
    }
  }
  // Judging may settle a step (skipped) and so make others eligible.
  while (!board_->eligible().empty() && !StartsNothing()) Judge(*board_->eligible().begin());
  const auto slots = static_cast<size_t>(table_.facts.max_parallelism);
  while (!board_->ready().empty() && board_->in_flight().size() < slots && !StartsNothing()) {
    Announce(*board_->ready().begin());
  }
}

// A failed step under `fail_run` stops everything that has not started.
bool PlanRun::StartsNothing() const {
  return table_.facts.on_step_failure == plan::OnStepFailure::kFailRun && board_->count(Outcome::kFailed) > 0;
}

void PlanRun::Judge(uint32_t index) {
  const plan::Step& step = board_->step(index);
  const StepState& state = board_->at(index);
  // It was judged before its first attempt; what is left of that after a rotation is the number of the next one.
  if (state.attempt > 1) return board_->MoveTo(index, Phase::kReady);
  if (state.doomed) return Skip(index, "DEPENDENCY_FAILED");
  if (!ConditionsHold(step)) return Skip(index, "CONDITION_FALSE");
  if (step.wait_for_signal && !GateOpen(step)) return ArmGate(index);
  board_->MoveTo(index, Phase::kReady);
}

bool PlanRun::ConditionsHold(const plan::Step& step) const {
  return std::all_of(step.run_if.begin(), step.run_if.end(), [this](const plan::Predicate& predicate) {
    return plan::EvaluateRunIf(predicate, ProbeOf(predicate.step, predicate.path));
  });
}

const Json* PlanRun::ProbeOf(uint32_t index, const std::string& pointer) const {
  return board_->at(index).probes.Find(pointer);
}

bool PlanRun::GateOpen(const plan::Step& step) const {
  const Json* accepted = signals_.Find(step.wait_for_signal->name);
  return accepted != nullptr && static_cast<int64_t>(accepted->AsArray().size()) >= step.wait_for_signal->count;
}

void PlanRun::ArmGate(uint32_t index) {
  StepState& state = board_->at(index);
  const auto& gate = *board_->step(index).wait_for_signal;
  if (!state.gate_armed && gate.timeout_ms) state.gate_deadline = wf::now() + *gate.timeout_ms;
  state.gate_armed = true;
  board_->MoveTo(index, Phase::kGated);
  if (state.gate_deadline != 0) wf::spawn(WatchGate(index, std::max<int64_t>(1, state.gate_deadline - wf::now())));
}

wf::Task<void> PlanRun::WatchGate(uint32_t index, int64_t millis) {
  const bool opened = co_await wf::wait_until([this, index] { return board_->at(index).phase != Phase::kGated; }, millis);
  if (opened) co_return;
  board_->at(index).gate_expired = true;
  dirty_ = true;
}

void PlanRun::ExpireGate(uint32_t index) {
  switch (board_->step(index).wait_for_signal->on_timeout) {
    case plan::GateTimeout::kProceed: board_->MoveTo(index, Phase::kReady); return;
    case plan::GateTimeout::kSkip: Skip(index, "GATE_TIMEOUT"); return;
    case plan::GateTimeout::kFail:
      FailWithoutDispatch(index, Error("GATE_TIMEOUT", "no signal " + board_->step(index).wait_for_signal->name + " within the time of the gate"));
      return;
  }
}

void PlanRun::Skip(uint32_t index, std::string_view reason, const Json& extra) {
  Json payload = extra;
  payload.Set("reasonCode", reason);
  emitter_->Emit({.type = "StepSkipped",
                  .step_id = board_->step(index).step_id,
                  .attempt = board_->at(index).attempt,
                  .payload = std::move(payload)});
  board_->Settle(index, Outcome::kSkipped, std::string(reason));
}

// StepStarted and StepFailed in one breath: the step never reaches a worker.
void PlanRun::FailWithoutDispatch(uint32_t index, const Error& error) {
  emitter_->Emit({.type = "StepStarted",
                  .step_id = board_->step(index).step_id,
                  .attempt = board_->at(index).attempt,
                  .payload = StartPayload(index)});
  board_->MoveTo(index, Phase::kRunning);
  ApplyFailure(index, error);
  dirty_ = true;
}

void PlanRun::Announce(uint32_t index) {
  const plan::Step& step = board_->step(index);
  StepState& state = board_->at(index);
  auto params = ResolveParams(index);
  // No worker checks what references made of the one kind that is a timer.
  if (params && step.kind == kSleepKind) {
    const Json* length = params->Find("durationMs");
    const bool legal = length != nullptr && length->is_int() && length->AsInt() >= 1 && length->AsInt() <= kMaxSleepMs;
    if (!legal) params = Fail("INVALID_STEP_SCHEMA", "durationMs: expected an integer from 1 to " + std::to_string(kMaxSleepMs));
  }
  if (!params) {
    FailWithoutDispatch(index, params.error());
    return;
  }
  state.reported_failed = false;
  const uint64_t ticket = emitter_->Emit(
      {.type = "StepStarted", .step_id = step.step_id, .attempt = state.attempt, .payload = StartPayload(index)});
  board_->MoveTo(index, Phase::kAnnounced);
  announced_.push_back({index, ticket, std::move(*params), QueueOf(step)});
}

// Of StepStarted. An override is used once: by this attempt.
Json PlanRun::StartPayload(uint32_t index) {
  Json payload = Json::MakeObject({{"kind", board_->step(index).kind}});
  const Json patch = std::exchange(board_->at(index).override_patch, Json());
  if (patch.is_object()) payload.Set("overrideSignalId", patch.GetString("signalId"));
  return payload;
}

Result<Json> PlanRun::ResolveParams(uint32_t index) const {
  plan::ReferenceContext context;
  context.params = &params_;
  context.run_id = input_.context.run_id;
  context.run_started_at = run_started_at_;
  context.step_result = [this](const std::string& step_id, const std::string& pointer) -> const Json* {
    const auto other = board_->IndexOf(step_id);
    return other ? ProbeOf(*other, pointer) : nullptr;
  };
  context.signal = [this](const std::string& name, uint32_t position) -> const Json* {
    const Json* accepted = signals_.Find(name);
    return accepted != nullptr && position < accepted->AsArray().size() ? &accepted->AsArray()[position] : nullptr;
  };
  Json params = board_->step(index).params;
  if (const Json& patch = board_->at(index).override_patch; patch.is_object()) MergePatch(&params, *patch.Find("patch"));
  return plan::Resolve(params, context);
}

// Dispatches announced steps in order, each once its StepStarted is durable (W5, section 5.2 rule 8).
wf::Task<void> PlanRun::DispatchLoop() {
  while (true) {
    co_await wf::wait_until([this] { return !announced_.empty() && emitter_->Durable(announced_.front().ticket); });
    while (!announced_.empty() && emitter_->Durable(announced_.front().ticket)) {
      const Announced step = std::move(announced_.front());
      announced_.pop_front();
      Dispatch(step);
    }
  }
}

void PlanRun::Dispatch(const Announced& announced) {
  const plan::Step& step = board_->step(announced.index);
  const StepState& state = board_->at(announced.index);
  board_->MoveTo(announced.index, Phase::kRunning);
  if (step.kind == kSleepKind) {
    wf::spawn(AwaitSleep(announced.index, wf::timer(announced.params.GetInt("durationMs"))));
    return;
  }
  wf::RetryOptions retry;
  retry.initial_interval_ms = step.retry.initial_interval_ms;
  retry.max_interval_ms = step.retry.max_interval_ms;
  retry.backoff_coefficient = step.retry.BackoffCoefficient();
  retry.max_attempts = step.retry.max_attempts;
  retry.non_retryable_types = NeverRetried(step.retry.non_retryable_codes);
  wf::ActivityOptions options;
  options.activity_id = "step/" + step.step_id + "/" + std::to_string(state.attempt);
  options.task_queue = announced.queue;
  options.start_to_close_ms = step.timeouts.attempt_ms;
  options.schedule_to_close_ms = step.timeouts.total_ms;
  options.schedule_to_start_ms = step.timeouts.queue_ms.value_or(0);
  options.heartbeat_ms = step.timeouts.heartbeat_ms.value_or(0);
  options.retry = std::move(retry);
  options.cancel = workflow::CancelMode::kWaitForCompletion;
  wf::spawn(AwaitStep(announced.index, wf::execute_activity("executeStep", workflow::JsonPayloads(StepInput(announced)), std::move(options))));
}

Json PlanRun::StepInput(const Announced& announced) const {
  const plan::Step& step = board_->step(announced.index);
  const StepState& state = board_->at(announced.index);
  Json target = Json::MakeObject();
  for (const auto& [name, value] : step.target) target.Set(name, value);
  if (state.target_patch.is_object()) MergePatch(&target, state.target_patch);
  Json secrets = Json::MakeArray();
  for (const plan::SecretRef& secret : step.secret_refs) {
    Json entry = Json::MakeObject({{"name", secret.name}, {"secretId", secret.secret_id}, {"key", secret.key}});
    if (secret.version) entry.Set("version", *secret.version);
    secrets.Push(std::move(entry));
  }
  Json definition = Json::MakeObject({{"stepId", step.step_id},
                                      {"kind", step.kind},
                                      {"params", announced.params},
                                      {"target", std::move(target)},
                                      {"secretRefs", std::move(secrets)},
                                      {"maxAttempts", step.retry.max_attempts}});
  if (step.plugin) {
    Json plugin = Json::MakeObject({{"pluginId", step.plugin->plugin_id}, {"version", step.plugin->version}});
    if (step.plugin->digest) plugin.Set("digest", *step.plugin->digest);
    definition.Set("plugin", std::move(plugin));
    if (!step.plugin_policy.is_null()) definition.Set("pluginPolicy", step.plugin_policy);
  }
  Json artifacts = Json::MakeArray();
  for (const uint32_t dependency : step.depends_on) {
    for (const Json& artifact : board_->at(dependency).artifacts.AsArray()) artifacts.Push(artifact);
  }
  Json probes = Json::MakeArray();
  for (const std::string& pointer : board_->probe_paths(announced.index)) probes.Push(pointer);
  return Json::MakeObject({{"step", std::move(definition)},
                           {"ctx", Json::MakeObject({{"tenantId", input_.context.tenant_id},
                                                     {"projectId", input_.context.project_id},
                                                     {"environmentId", input_.context.environment_id},
                                                     {"runId", input_.context.run_id}})},
                           {"logicalAttemptId", state.attempt},
                           {"artifacts", std::move(artifacts)},
                           {"probes", std::move(probes)}});
}

wf::Task<void> PlanRun::AwaitStep(uint32_t index, wf::Future<wf::ActivityOutcome> future) {
  observed_.push_back({index, co_await future});
  dirty_ = true;
}

wf::Task<void> PlanRun::AwaitSleep(uint32_t index, wf::Future<bool> timer) {
  wf::ActivityOutcome outcome;
  outcome.attempt = 1;
  if (co_await timer) {
    outcome.result = workflow::JsonPayloads(Json::MakeObject({{"status", "SUCCESS"}, {"artifactRefs", Json::MakeArray()}}));
  } else {
    outcome.result = std::unexpected(Error("CANCELLED", "cancelled while sleeping"));
  }
  observed_.push_back({index, std::move(outcome)});
  dirty_ = true;
}

// --- how it ends ---------------------------------------------------------------------------------------------------------

// Section 6: values come from history, never from a local estimate.
bool PlanRun::RotationDue() const {
  if (rotating_) return true;
  if (board_->all_settled()) return false;
  const Policy& policy = input_.policy;
  const wf::WorkflowInfo& info = wf::info();
  const auto settled = static_cast<int64_t>(board_->settled_count() - settled_at_start_);
  // Without progress a rotation would only fetch the plan again; the bytes of that fetch do not count. Signals and further
  // attempts settle nothing but fill a history all the same.
  const int64_t grown = info.history_size_bytes - history_bytes_at_start_;
  const bool progress = settled > 0 || grown >= kWorthRotating;
  return (policy.continue_steps > 0 && settled >= policy.continue_steps) ||
         (policy.history_bytes > 0 && progress && grown >= policy.history_bytes) ||
         (policy.server_suggestion && progress && info.suggest_continue_as_new) ||
         (policy.max_passes > 0 && settled > 0 && passes_ >= policy.max_passes);
}

// True when the walk is over: completed, failed or to be rotated.
bool PlanRun::DecideEnd() {
  if (failure_) return true;  // a run time-out does not wait, not even for a resume
  const bool drained = board_->in_flight().empty() && observed_.empty();
  if (paused_) {
    // A rotation may happen during a pause; every other end waits for the resume.
    rotate_now_ = rotating_ && drained && control_.empty();
    return rotate_now_;
  }
  if (!drained) return false;
  const std::vector<uint32_t> failed = board_->FailedSteps();
  const bool fail_run = table_.facts.on_step_failure == plan::OnStepFailure::kFailRun && !failed.empty();
  if (fail_run || (board_->all_settled() && (!failed.empty() || board_->any_dependency_failure()))) {
    if (failed.empty()) {  // the step that failed was retried with success, but what had been skipped stays skipped
      FailRun(Error("PERMANENT_STEP_ERROR", "steps were skipped because a dependency had failed"));
      return true;
    }
    const StepState& state = board_->at(failed.front());
    FailRun(Error(state.reason, "step " + board_->step(failed.front()).step_id + " failed: " + state.message, state.retryable));
    return true;
  }
  if (board_->all_settled()) return true;
  if (rotating_) {
    rotate_now_ = control_.empty();
    return rotate_now_;
  }
  const bool stuck = board_->ready().empty() && board_->eligible().empty() && board_->gated().empty() && !board_->held().empty();
  if (stuck && hold_expired_) {
    FailRun(Error("HOLD_EXPIRED", "no operator came for the held steps in time"));
    return true;
  }
  if (stuck && hold_deadline_ == 0) {
    hold_deadline_ = wf::now() + table_.facts.hold_timeout_ms;
    StartHoldTimer();
  }
  return false;
}

void PlanRun::StartHoldTimer() {
  hold_scope_.emplace();
  wf::spawn(hold_scope_->run(WatchHold(std::max<int64_t>(1, hold_deadline_ - wf::now()))));
}

wf::Task<void> PlanRun::WatchHold(int64_t millis) {
  co_await wf::sleep(millis);
  hold_expired_ = true;
  dirty_ = true;
}

wf::Task<void> PlanRun::WatchRunTimeout(int64_t millis) {
  co_await wf::sleep(millis);
  FailRun(Error("RUN_TIMEOUT", "the run took longer than its runTimeoutMs"));
  steps_scope_->cancel();
  dirty_ = true;
}

// Section 7.1 rule 4: say so when a pause takes long to drain; nothing else changes.
wf::Task<void> PlanRun::WatchDrain() {
  const bool drained =
      co_await wf::wait_until([this] { return !paused_ || board_->in_flight().empty(); }, input_.policy.pause_drain_timeout_ms);
  if (!drained) wf::log_warning("PAUSE_DRAIN_TIMEOUT: run " + input_.context.run_id + " is paused and steps are still in flight");
}

void PlanRun::FailRun(Error error) {
  if (!failure_) failure_ = std::move(error);
}

// Waits until every attempt has its terminal event. Steps that were announced but never dispatched end here.
wf::Task<void> PlanRun::DrainInFlight() {
  if (!board_) co_return;
  for (const Announced& step : std::exchange(announced_, {})) {
    ApplyFailure(step.index, Error("CANCELLED", "the run ended before the step was dispatched"));
  }
  while (true) {
    ApplyOutcomes();
    if (board_->in_flight().empty()) break;
    co_await wf::wait_until([this] { return !observed_.empty(); });
  }
}

wf::Task<void> PlanRun::Snapshot() {
  co_await wf::wait_until([this] { return emitter_->idle() || emitter_->refused(); });
  const Json request = Json::MakeObject({{"tenantId", input_.context.tenant_id}, {"runId", input_.context.run_id}});
  const wf::ActivityOutcome outcome = co_await wf::local_activity(
      "compileRunSnapshot", workflow::JsonPayloads(request),
      {.activity_id = "snapshot/RUN/1",
       .start_to_close_ms = 30'000,
       .schedule_to_close_ms = 300'000,
       .retry = {.max_attempts = 3}});
  if (!outcome.result) wf::log_warning("no snapshot of run " + input_.context.run_id + ": " + outcome.result.error().message);
}

wf::Task<void> PlanRun::FinishCompleted() {
  co_await Snapshot();
  emitter_->Emit({.type = "RunCompleted",
                  .payload = Json::MakeObject({{"stepTotals", Json::MakeObject({{"success", board_->count(Outcome::kSuccess)},
                                                                                {"skipped", board_->count(Outcome::kSkipped)}})}})});
  SetStatus(RunStatus::kCompleted);
  co_await wf::wait_until([this] { return emitter_->idle() || emitter_->refused(); });
}

wf::Task<void> PlanRun::SnapshotOfUnfinished() {
  // Runs recorded before this change end without a snapshot when they fail (interpreter-changes.json).
  if (wf::get_version("snapshot-on-every-end", wf::kDefaultVersion, 1) == 1) co_await Snapshot();
}

wf::Task<void> PlanRun::FinishFailed() {
  co_await DrainInFlight();
  co_await SnapshotOfUnfinished();
  EmitRunFailed();
  SetStatus(RunStatus::kFailed);
  co_await wf::wait_until([this] { return emitter_->idle() || emitter_->refused(); });
}

void PlanRun::EmitRunFailed() {
  constexpr size_t kMaxNamed = 256;
  const std::vector<uint32_t> failed = board_ ? board_->FailedSteps() : std::vector<uint32_t>();
  Json ids = Json::MakeArray();
  for (size_t i = 0; i < failed.size() && i < kMaxNamed; ++i) ids.Push(board_->step(failed[i]).step_id);
  emitter_->Emit({.type = "RunFailed",
                  .payload = Json::MakeObject({{"error", RunErrorJson(*failure_)},
                                               {"failedStepIds", std::move(ids)},
                                               {"failedStepCount", Json::Size(failed.size())}})});
}

wf::Task<void> PlanRun::FinishCancelled() {
  cancelling_ = true;
  co_await DrainInFlight();
  // In-flight steps were recorded while the run was still RUNNING or PAUSED; only now does it end.
  co_await SnapshotOfUnfinished();
  const bool by_signal = !cancel_signal_id_.empty();
  if (cancel_reason_.empty()) {
    cancel_reason_ = "Cancelled by system";
    wf::log_warning("run " + input_.context.run_id + " was cancelled without a reason");
  }
  Json payload = Json::MakeObject({{"origin", by_signal ? "SIGNAL" : "API"},
                                   {"forced", false},
                                   {"abandonedSteps", Json::MakeArray()},
                                   {"reason", cancel_reason_}});
  if (by_signal) payload.Set("signalId", cancel_signal_id_);
  emitter_->Emit({.type = "RunCancelled", .payload = std::move(payload)});
  SetStatus(RunStatus::kCancelled);
  co_await wf::wait_until([this] { return emitter_->idle() || emitter_->refused(); });
}

void PlanRun::SetStatus(RunStatus status) {
  status_ = status;
  if (input_.policy.status_attribute) wf::upsert_attributes({{"runStatus", std::string(StatusName())}});
}

std::string_view PlanRun::StatusName() const {
  constexpr std::string_view kNames[] = {"RUNNING", "COMPLETED", "FAILED", "CANCELLED"};
  if (status_ == RunStatus::kRunning && paused_) return "PAUSED";
  return kNames[static_cast<size_t>(status_)];
}

wf::WorkflowResult PlanRun::Output() const {
  return wf::completed(Json::MakeObject({{"runId", input_.context.run_id},
                                         {"status", std::string(StatusName())},
                                         {"continuedAsNewCount", continued_as_new_count_}}));
}

Cursor PlanRun::MakeCursor() const {
  Cursor cursor;
  cursor.plan_sha256 = plan_sha256_;
  cursor.run_started_at = run_started_at_;
  board_->WriteTo(&cursor);
  if (params_changed_) cursor.params = params_;
  cursor.signals = signals_;
  cursor.paused = paused_;
  cursor.pause_reason = pause_reason_;
  cursor.pause_ordinal = pause_ordinal_;
  cursor.cancel_signal_id = cancel_signal_id_;
  cursor.cancel_reason = cancel_reason_;
  cursor.hold_deadline = hold_deadline_;
  cursor.run_deadline = run_deadline_;
  cursor.last_decision_seq = last_decision_seq_;
  cursor.continued_as_new_count = continued_as_new_count_ + 1;
  return cursor;
}

}  // namespace lockstep::interpreter
