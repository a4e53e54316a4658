#include "engine-core/interpreter/testing/plan_script.h"

#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/failure/v1/message.pb.h>

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/plan/loader.h"
#include "engine-core/state/keys.h"
#include "engine-core/state/memory/memory_store.h"
#include "engine-core/state/projector.h"
#include "engine-core/steps/engine_activities.h"
#include "engine-core/steps/testing/fake_activity_context.h"

namespace lockstep::interpreter::testing {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary
using workflow::HistoryEvent;

constexpr char kTenant[] = "acme";
constexpr char kStepPrefix[] = "step/";
// Histories with more tasks than this are cut off at a spread of places only.
constexpr size_t kMaxCuts = 40;

state::TenantScope Tenant() { return state::TenantScope(kTenant); }

const HistoryEvent* ScheduledEvent(const History& history, std::string_view activity_id) {
  for (int i = history.events_size() - 1; i >= 0; --i) {
    const HistoryEvent& event = history.events(i);
    if (event.event_type() == EVENT_TYPE_ACTIVITY_TASK_SCHEDULED &&
        event.activity_task_scheduled_event_attributes().activity_id() == activity_id) {
      return &event;
    }
  }
  return nullptr;
}

bool CancelRequested(const History& history, int64_t scheduled_id) {
  return std::any_of(history.events().begin(), history.events().end(), [&](const HistoryEvent& event) {
    return event.event_type() == EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED &&
           event.activity_task_cancel_requested_event_attributes().scheduled_event_id() == scheduled_id;
  });
}

Json Merged(std::string_view base, std::string_view patch) {
  auto target = ParseJson(base);
  const auto change = ParseJson(patch);
  LOCKSTEP_CHECK(target && change, "a test's JSON does not parse: " + std::string(patch));
  MergePatch(&*target, *change);
  return std::move(*target);
}

}  // namespace

StepAnswer Succeed(Json result, Json artifact_refs, int32_t engine_attempt) {
  StepAnswer answer;
  answer.output = Json::MakeObject({{"status", "SUCCESS"}, {"artifactRefs", std::move(artifact_refs)}, {"engineAttemptId", engine_attempt}});
  if (!result.is_null()) answer.output.Set("result", std::move(result));
  answer.engine_attempt = engine_attempt;
  return answer;
}
StepAnswer FailWith(Error error, int32_t engine_attempt) {
  StepAnswer answer;
  answer.kind = StepAnswer::Kind::kFailure;
  answer.error = std::move(error);
  answer.engine_attempt = engine_attempt;
  return answer;
}
StepAnswer FailTransient(int32_t engine_attempt, std::string code) {
  return FailWith(Error(std::move(code), "the warehouse did not answer", true), engine_attempt);
}
StepAnswer FailPermanent(std::string code) { return FailWith(Error(std::move(code), "no such table"), 1); }
StepAnswer TimeOut(TimeoutType type, int32_t engine_attempt) {
  StepAnswer answer;
  answer.kind = StepAnswer::Kind::kTimeOut;
  answer.timeout = type;
  answer.engine_attempt = engine_attempt;
  return answer;
}
StepAnswer LeaveOpen() {
  StepAnswer answer;
  answer.kind = StepAnswer::Kind::kOpen;
  return answer;
}

std::string SimplePlan(std::string_view steps, std::string_view metadata, std::string_view extra) {
  Json document = Merged("{}", extra);
  document.Set("metadata", Merged(R"({"planId":"p","planVersion":"1","schemaVersion":"v1.2"})", metadata));
  auto list = ParseJson(steps);
  LOCKSTEP_CHECK(list.has_value(), "a test's steps do not parse: " + std::string(steps));
  document.Set("steps", std::move(*list));
  return CanonicalJson(document);
}

std::string ChainPlan(int count, std::string_view metadata) {
  Json steps = Json::MakeArray();
  for (int i = 0; i < count; ++i) steps.Push(Json::MakeObject({{"stepId", "s" + std::to_string(i)}, {"kind", "noop"}}));
  return SimplePlan(CanonicalJson(steps), metadata);
}

// --- the run -------------------------------------------------------------------------------------------------------------

PlanScript::PlanScript(const std::string& plan, PlanScriptOptions options) : options_(std::move(options)) {
  RegisterInterpreter(&registry_);
  store_ = state::MakeMemoryStore({.clock = &clock_, .ids = &ids_});
  services_ = std::make_shared<steps::Services>();
  services_->store = store_;
  services_->clock = &clock_;
  services_->configuration.test_kinds = true;
  const auto ref = plan::PinPlan(plan, true);
  LOCKSTEP_CHECK(ref.has_value(), "the plan of a test: " + ref.error().ToString());
  LOCKSTEP_CHECK(store_->PutPlan(Tenant(), plan).has_value(), "the plan store refused the plan");
  plan_ref_ = plan::ToJson(*ref);
  const auto parsed = plan::ParsePlanDocument(plan, true);
  LOCKSTEP_CHECK(parsed.has_value(), "the plan of a test: " + (parsed ? "" : parsed.error().ToString()));
  RunInput input;
  input.plan_ref = plan_ref_;
  input.context = {kTenant, "sales", "dev", run_id_, "temporal", options_.params};
  input.policy = options_.policy;
  input.admission = {std::string(64, 'a'), false, static_cast<int64_t>(parsed->plan.steps().size()), Json()};
  Json json = ToJson(input);
  if (options_.change_input) options_.change_input(&json);
  Bootstrap(options_.approval_required);
  StartRun(json);
}

PlanScript::~PlanScript() = default;

state::EventWrite PlanScript::EngineEvent(std::string_view type, Json payload) {
  state::EventWrite event;
  event.event_id = ids_.NewUuid();
  event.event_type = std::string(type);
  event.run_id = run_id_;
  event.tenant_id = kTenant;
  event.project_id = "sales";
  event.environment_id = "dev";
  event.plan_id = plan_ref_.GetString("planId");
  event.plan_version = plan_ref_.GetString("planVersion");
  event.emitted_at = FormatUtcMillis(run_ == nullptr ? clock_.Now() : script().now_ms());
  event.payload = std::move(payload);
  event.idempotency_key = state::KeyOf(event);
  return event;
}

void PlanScript::Bootstrap(bool approval_required) {
  Json reference = Json::MakeObject();
  for (const char* member : {"uri", "sha256", "schemaVersion", "planId", "planVersion"}) reference.Set(member, plan_ref_.GetString(member));
  const Json validation = Json::MakeObject(
      {{"status", "VALID"}, {"warningCodes", Json::MakeArray()}, {"reportSha256", std::string(64, 'a')}});
  std::vector<state::EventWrite> events;
  events.push_back(EngineEvent("RunQueued", Json::MakeObject({{"planRef", std::move(reference)},
                                                              {"targetAdapter", "temporal"},
                                                              {"admission", Json::MakeObject({{"mode", "DIRECT"}})},
                                                              {"approvalRequired", approval_required},
                                                              {"validation", validation}})));
  if (approval_required) {
    events.push_back(EngineEvent("RunApproved", Json::MakeObject({{"approvedBy", "dana"}, {"approvalId", ids_.NewUuid()}})));
  }
  state::RunMetadata metadata;
  metadata.run_id = run_id_;
  metadata.tenant_id = kTenant;
  metadata.project_id = "sales";
  metadata.environment_id = "dev";
  metadata.plan_id = plan_ref_.GetString("planId");
  metadata.plan_version = plan_ref_.GetString("planVersion");
  metadata.plan_sha256 = plan_ref_.GetString("sha256");
  metadata.provider = "temporal";
  const auto result = store_->BootstrapRun(Tenant(), metadata, events);
  LOCKSTEP_CHECK(result.has_value(), "bootstrap: " + (result ? "" : result.error().ToString()));
}

void PlanScript::StartRun(const Json& input) {
  embedded::testing::ScriptedOptions script;
  script.registry = &registry_;
  script.start.workflow_type = kWorkflowType;
  script.start.input = workflow::JsonPayloads(input);
  script.start.workflow_id = run_id_;
  script.start.run_id = "run-1-of-the-provider";
  script.start.task_queue = "tq-control-dev";
  script.start_ms = clock_.Now();
  script.evict_after_every_task = options_.evict_after_every_task;
  script.locals = [this](const workflow::LocalActivityRequest& request, int32_t) { return RunLocal(request); };
  script.version_pins = options_.version_pins;
  script.log = [this](workflow::LogLevel, std::string_view message) { warnings_.emplace_back(message); };
  inputs_.push_back(input);
  run_ = std::make_unique<ScriptedRun>(std::move(script));
}

// --- what the worker does ------------------------------------------------------------------------------------------------

Result<Json> PlanScript::RunLocal(const workflow::LocalActivityRequest& request) {
  if (options_.store_fault) {
    if (auto error = options_.store_fault(request, script().now_ms())) return Fail(std::move(*error));
  }
  clock_.Set(std::max(clock_.Now(), script().now_ms()));
  steps::testing::FakeActivityContext context;
  const auto arguments = workflow::ReadJson(*request.input);
  LOCKSTEP_CHECK(arguments.has_value(), "the input of a local activity is not JSON");
  const bool append = request.activity_type == "emitEvents";
  LOCKSTEP_CHECK(append || request.activity_type == "compileRunSnapshot", "an unknown local activity " + request.activity_type);
  return append ? steps::EmitEvents(context, *arguments, *services_) : steps::CompileRunSnapshot(context, *arguments, *services_);
}

void PlanScript::Task() {
  if (!script().task_scheduled() || closed()) return;
  const size_t before = executions();
  script().RunTask();
  LOCKSTEP_CHECK(script().broken().empty(), "the workflow task failed: " + script().broken());
  if (executions() == before) return;
  const auto input = workflow::ReadFirstJson(script().history().events(0).workflow_execution_started_event_attributes().input());
  LOCKSTEP_CHECK(input.has_value(), "the input of the next execution is not JSON");
  inputs_.push_back(*input);
}

bool PlanScript::AnswerControl() {
  bool any = false;
  for (const std::string& id : script().OpenActivities()) {
    if (id.starts_with(kStepPrefix)) continue;
    const auto& scheduled = ScheduledEvent(script().history(), id)->activity_task_scheduled_event_attributes();
    const std::string& type = scheduled.activity_type().name();
    const auto arguments = workflow::ReadJson(scheduled.input());
    LOCKSTEP_CHECK(arguments.has_value(), "the input of " + type + " is not JSON");
    std::optional<StepAnswer> answer = options_.control ? options_.control(type, *arguments) : std::nullopt;
    if (!answer) {
      steps::testing::FakeActivityContext context;
      const auto result = type == "fetchPlan" ? steps::FetchPlan(context, *arguments, *services_) : steps::ValidatePlan(context, *arguments, *services_);
      answer = result ? StepAnswer{.output = *result} : FailWith(result.error());
    }
    if (answer->kind == StepAnswer::Kind::kOpen) continue;
    any = true;
    if (answer->kind == StepAnswer::Kind::kFailure) {
      script().FailActivity(id, answer->error, answer->engine_attempt);
    } else if (answer->kind == StepAnswer::Kind::kTimeOut) {
      script().TimeOutActivity(id, answer->timeout);
    } else if (answer->kind == StepAnswer::Kind::kCancelled) {
      script().CancelActivity(id);
    } else {
      script().CompleteActivity(id, answer->output);
    }
  }
  return any;
}

void PlanScript::Quiet() {
  do {
    while (script().task_scheduled() && !closed()) Task();
  } while (!closed() && AnswerControl());
}

StepCall PlanScript::CallOf(const std::string& activity_id) const {
  const HistoryEvent* event = ScheduledEvent(script().history(), activity_id);
  const size_t slash = activity_id.rfind('/');
  StepCall call;
  call.step_id = activity_id.substr(std::size(kStepPrefix) - 1, slash - (std::size(kStepPrefix) - 1));
  call.attempt = static_cast<int32_t>(ParseInt64(activity_id.substr(slash + 1)).value_or(0));
  call.input = workflow::ReadFirstJson(event->activity_task_scheduled_event_attributes().input()).value_or(Json());
  call.cancel_requested = CancelRequested(script().history(), event->event_id());
  return call;
}

int PlanScript::AnswerSteps() {
  int answered = 0;
  for (const std::string& id : script().OpenActivities()) {
    if (!id.starts_with(kStepPrefix)) continue;
    const StepCall call = CallOf(id);
    StepAnswer answer = options_.worker(call);
    // Whatever a worker is busy with ends once the cancellation reaches it.
    if (answer.kind == StepAnswer::Kind::kOpen && call.cancel_requested) answer.kind = StepAnswer::Kind::kCancelled;
    if (answer.kind == StepAnswer::Kind::kOpen) continue;
    Answer(call.step_id, answer);
    ++answered;
  }
  return answered;
}

void PlanScript::Answer(std::string_view step_id, const StepAnswer& answer) {
  const auto open = script().OpenActivities();
  const auto it = std::find_if(open.begin(), open.end(), [&](const std::string& id) {
    return id.starts_with(kStepPrefix) && id.substr(0, id.rfind('/')) == kStepPrefix + std::string(step_id);
  });
  LOCKSTEP_CHECK(it != open.end(), "step " + std::string(step_id) + " is not running");
  switch (answer.kind) {
    case StepAnswer::Kind::kSuccess: script().CompleteActivity(*it, answer.output, answer.engine_attempt); return;
    case StepAnswer::Kind::kFailure: script().FailActivity(*it, answer.error, answer.engine_attempt); return;
    case StepAnswer::Kind::kTimeOut: script().TimeOutActivity(*it, answer.timeout, answer.engine_attempt); return;
    case StepAnswer::Kind::kCancelled: script().CancelActivity(*it); return;
    case StepAnswer::Kind::kOpen: return;
  }
}

bool PlanScript::FireNextTimer() {
  const auto timers = script().OpenTimers();
  if (timers.empty()) return false;
  const auto next = std::min_element(timers.begin(), timers.end(), [&](const std::string& a, const std::string& b) {
    return script().DueOf(a) < script().DueOf(b);
  });
  script().FireTimer(*next);
  return true;
}

void PlanScript::RunToEnd(int limit) {
  for (int round = 0; round < limit; ++round) {
    Quiet();
    if (closed()) return;
    if (AnswerSteps() == 0 && !FireNextTimer()) return;
  }
}

void PlanScript::SignalOnly(std::string_view type, Json payload) {
  std::string name = AsciiLower(std::string(type));
  constexpr std::string_view kPrefix = "CUSTOM:";
  if (type.starts_with(kPrefix)) {
    name = "custom";
    Json body = Json::MakeObject({{"name", type.substr(kPrefix.size())}});
    for (const char* member : {"signalId", "decisionSeq"}) {
      if (Json* value = payload.Find(member)) {
        body.Set(member, *value);
        payload.AsObject().erase(payload.AsObject().find(member));
      }
    }
    body.Set("payload", std::move(payload));
    payload = std::move(body);
  }
  script().Signal(name, payload);
}

std::string PlanScript::Signal(std::string_view type, const Json& payload) {
  state::SignalDecision decision;
  decision.run_id = run_id_;
  decision.signal_decision_id = ids_.NewUuid();
  decision.signal_id = ids_.NewUuid();
  decision.signal_type = std::string(type);
  decision.signal_payload = payload;
  decision.request_fingerprint = state::SignalFingerprint(type, payload, "");
  decision.decision = state::SignalVerdict::kAccepted;
  decision.policy_decision_id = ids_.NewUuid();
  decision.audit = {"dana", "Admin", kTenant, {}, "as agreed", {}};
  const state::EventWrite audit = EngineEvent("SignalAccepted", Json::MakeObject({{"signalDecisionId", decision.signal_decision_id},
                                                                                  {"signalId", decision.signal_id},
                                                                                  {"signalType", std::string(type)},
                                                                                  {"policyDecisionId", decision.policy_decision_id},
                                                                                  {"actorRole", "Admin"},
                                                                                  {"destructive", false},
                                                                                  {"signalPayload", payload}}));
  clock_.Set(std::max(clock_.Now(), script().now_ms()));
  const auto receipt = store_->RecordSignalDecision(Tenant(), decision, std::span(&audit, 1));
  LOCKSTEP_CHECK(receipt.has_value(), "signal decision: " + (receipt ? "" : receipt.error().ToString()));
  Json body = payload;
  body.Set("signalId", decision.signal_id);
  body.Set("decisionSeq", static_cast<int64_t>(receipt->view.decision.decision_seq));
  SignalOnly(type, std::move(body));
  if (type == "CANCEL") script().RequestCancel(payload.GetString("reason"));
  return decision.signal_id;
}

Json PlanScript::Query(std::string_view name, const Json::Array& arguments) {
  workflow::Payloads payloads;
  for (const Json& argument : arguments) workflow::AddJson(argument, &payloads);
  const auto answer = script().execution().Query(name, payloads);
  if (!answer) return Json::MakeObject({{"error", answer.error().code}});
  return workflow::ReadFirstJson(**answer).value_or(Json());
}

// --- what came of it -----------------------------------------------------------------------------------------------------

std::vector<state::EventRecord> PlanScript::Events() const {
  std::vector<state::EventRecord> all;
  while (true) {
    auto more = store_->FetchEvents(Tenant(), run_id_, static_cast<int64_t>(all.size()), state::kMaxFetchLimit);
    LOCKSTEP_CHECK(more.has_value(), "the log cannot be read");
    if (more->empty()) return all;
    all.insert(all.end(), more->begin(), more->end());
  }
}

state::Snapshot PlanScript::Snapshot() const {
  auto snapshot = store_->GetSnapshot(Tenant(), run_id_);
  LOCKSTEP_CHECK(snapshot.has_value() && snapshot->has_value(), "the run has no snapshot");
  return **snapshot;
}

Json PlanScript::Result() const {
  const HistoryEvent* event = workflow::testing::FindEvent(script().history(), EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED);
  if (event == nullptr) return {};
  return workflow::ReadFirstJson(event->workflow_execution_completed_event_attributes().result()).value_or(Json());
}

std::string PlanScript::FailureType() const {
  const HistoryEvent* event = workflow::testing::FindEvent(script().history(), EVENT_TYPE_WORKFLOW_EXECUTION_FAILED);
  return event == nullptr ? "" : event->workflow_execution_failed_event_attributes().failure().application_failure_info().type();
}

std::vector<std::string> PlanScript::Log() const {
  std::vector<std::string> lines;
  for (const state::EventRecord& event : Events()) {
    if (event.event_type == "RunQueued" || event.event_type == "RunApproved" || event.event_type.starts_with("Signal")) continue;
    std::string line = event.event_type;
    if (!event.step_id.empty()) line += " " + event.step_id + "/" + std::to_string(event.logical_attempt_id);
    if (event.event_type == "RunPaused" || event.event_type == "RunResumed") line += " " + std::to_string(event.logical_attempt_id);
    if (const Json* error = event.payload.Find("error")) line += " " + error->GetString("code");
    if (const std::string reason = event.payload.GetString("reasonCode"); !reason.empty()) line += " " + reason;
    lines.push_back(std::move(line));
  }
  return lines;
}

size_t PlanScript::CountOf(std::string_view event_type) const {
  const auto events = Events();
  return static_cast<size_t>(std::count_if(events.begin(), events.end(), [&](const auto& event) { return event.event_type == event_type; }));
}

state::EventRecord PlanScript::Event(std::string_view event_type, size_t position) const {
  for (const state::EventRecord& event : Events()) {
    if (event.event_type == event_type && position-- == 0) return event;
  }
  CheckFailed("event in the log", "no such " + std::string(event_type));
}

std::vector<std::string> PlanScript::Scheduled() const {
  std::vector<std::string> scheduled;
  for (size_t n = 0; n < executions(); ++n) {
    for (const HistoryEvent& event : history(n).events()) {
      if (event.event_type() != EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) continue;
      const auto& attributes = event.activity_task_scheduled_event_attributes();
      scheduled.push_back(attributes.activity_id() + " @ " + attributes.task_queue().name());
    }
  }
  return scheduled;
}

std::vector<std::string> PlanScript::OpenSteps() const {
  std::vector<std::string> open;
  for (const std::string& id : script().OpenActivities()) {
    if (id.starts_with(kStepPrefix)) open.push_back(CallOf(id).step_id);
  }
  return open;
}

std::vector<std::string> PlanScript::ReplayProblems() const {
  std::vector<std::string> problems;
  for (size_t n = 0; n < executions(); ++n) {
    const History& history = this->history(n);
    std::vector<size_t> cuts;
    for (int i = 0; i < history.events_size(); ++i) {
      if (history.events(i).event_type() == EVENT_TYPE_WORKFLOW_TASK_STARTED) cuts.push_back(static_cast<size_t>(i) + 1);
    }
    const size_t stride = 1 + cuts.size() / kMaxCuts;
    const auto check = [&](size_t events) {
      const auto outcome = workflow::testing::Replay(registry_, history, events);
      const std::string where = "execution " + std::to_string(n + 1) + ", first " + std::to_string(events) + " events: ";
      for (const auto& divergence : outcome.divergences) problems.push_back(where + divergence.Summary());
      if (!outcome.broken.empty()) problems.push_back(where + "broke: " + outcome.broken);
    };
    for (size_t i = 0; i < cuts.size(); i += stride) check(cuts[i]);
    check(static_cast<size_t>(history.events_size()));
  }
  return problems;
}

std::vector<std::string> PlanScript::LogProblems() const {
  std::vector<std::string> problems;
  state::Snapshot snapshot;
  int terminal = 0;
  for (const state::EventRecord& event : Events()) {
    const bool before = snapshot.inconsistent;
    state::Project(&snapshot, event);
    if (snapshot.inconsistent && !before) problems.push_back("illegal transition at runSeq " + std::to_string(event.run_seq) + ": " + event.event_type + " " + event.step_id);
    if (event.event_type == "RunCompleted" || event.event_type == "RunFailed" || event.event_type == "RunCancelled") ++terminal;
  }
  const bool ended = closed() && !Result().is_null();
  if (terminal != (ended ? 1 : 0) && FailureType().empty()) problems.push_back(std::to_string(terminal) + " terminal events");
  if (snapshot != Snapshot()) problems.push_back("the store's snapshot is not that of a full replay");
  return problems;
}

}  // namespace lockstep::interpreter::testing
