// Messages to a run (spec 04 section 7): handlers put requests in a queue and close the gate at once; everything that needs an
// event or a decision happens in the walk, in order of arrival.
#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::interpreter {
namespace {

constexpr char kCustomSignal[] = "custom";
constexpr int32_t kMaxLogicalAttempts = 10;
constexpr int64_t kStepStatesPage = 1'000;
constexpr size_t kMaxSignalIdBytes = 128;  // as events carry it
constexpr int64_t kMaxPage = 1'000'000;
// 500 characters (spec 03 section 5.1), each of up to four bytes.
constexpr size_t kMaxReasonBytes = 2'000;

std::string SignalId(const Json& body) { return body.GetString("signalId"); }

std::string ReasonOf(const Json& body) { return std::string(TruncateUtf8(body.GetString("reason"), kMaxReasonBytes)); }

// A reason as events carry it.
void AddReason(const Json& body, Json* payload) {
  if (std::string reason = ReasonOf(body); !reason.empty()) payload->Set("reason", std::move(reason));
}

}  // namespace

void PlanRun::RegisterHandlers() {
  // Handlers outlive the main coroutine.
  const auto self = shared_from_this();
  wf::set_default_signal_handler([self](std::string_view name, const workflow::Payloads& payloads) { self->OnSignal(name, payloads); });
  wf::set_query_handler("status", [self](const Json::Array&) -> Result<Json> { return self->StatusView(); });
  wf::set_query_handler("stepStates", [self](const Json::Array& arguments) { return self->StepStatesView(arguments); });
  wf::set_query_handler("cursor", [self](const Json::Array&) -> Result<Json> {
    if (!self->board_) return Fail("QUERY_FAILED", "the plan is not loaded yet");
    return ToJson(self->MakeCursor());
  });
}

void PlanRun::OnSignal(std::string_view name, const workflow::Payloads& payloads) {
  auto body = workflow::ReadFirstJson(payloads);
  if (!body || !(body->is_object() || body->is_null())) {
    wf::log_warning("signal " + std::string(name) + " dropped: expected one JSON object");
    return;
  }
  if (body->is_null()) *body = Json::MakeObject();
  // Sent in decisionSeq order; whatever is not above the last one applied is a repeat (section 1.1).
  if (const int64_t decision = body->GetInt("decisionSeq"); decision > 0) {
    if (decision <= last_decision_seq_) return;
    last_decision_seq_ = decision;
  }
  if (const std::string id = SignalId(*body); id.empty() || id.size() > kMaxSignalIdBytes || !IsValidUtf8(id)) body->Set("signalId", wf::uuid4());
  if (name == "cancel") {
    if (cancel_signal_id_.empty()) {
      cancel_reason_ = ReasonOf(*body);
      cancel_signal_id_ = SignalId(*body);
    }
    return;
  }
  if (name == "pause") {
    if (pause_requested_) return;
    pause_requested_ = true;
  } else if (name == "resume") {
    if (!pause_requested_) return;
    pause_requested_ = false;
  }
  std::string kind(name);
  constexpr std::string_view kPrefix = "custom:";
  if (name.starts_with(kPrefix)) {
    body->Set("name", name.substr(kPrefix.size()));
    kind = kCustomSignal;
  }
  control_.push_back({std::move(kind), std::move(*body)});
  dirty_ = true;
}

void PlanRun::ApplyControl() {
  using Handler = void (PlanRun::*)(const Json&);
  constexpr std::pair<std::string_view, Handler> kHandlers[] = {{"pause", &PlanRun::ApplyPause},
                                                                {"resume", &PlanRun::ApplyResume},
                                                                {"retry_step", &PlanRun::ApplyRetryStep},
                                                                {"skip_step", &PlanRun::ApplySkipStep},
                                                                {"update_params", &PlanRun::ApplyUpdateParams},
                                                                {"inject_override", &PlanRun::ApplyInjectOverride},
                                                                {"update_target", &PlanRun::ApplyUpdateTarget},
                                                                {kCustomSignal, &PlanRun::ApplyCustom}};
  while (!control_.empty()) {
    const Control request = std::move(control_.front());
    control_.pop_front();
    const auto* row = std::find_if(std::begin(kHandlers), std::end(kHandlers), [&](const auto& entry) { return entry.first == request.name; });
    if (row == std::end(kHandlers)) {
      wf::log_warning("signal " + request.name + " is not known to the interpreter");
    } else {
      (this->*row->second)(request.body);
    }
  }
}

void PlanRun::ApplyPause(const Json& body) {
  if (paused_) return;
  paused_ = true;
  ++pause_ordinal_;
  pause_reason_ = ReasonOf(body);
  Json in_flight = Json::MakeArray();
  for (const uint32_t index : board_->in_flight()) in_flight.Push(board_->step(index).step_id);
  const bool draining = !board_->in_flight().empty();
  Json payload = Json::MakeObject({{"signalId", SignalId(body)}, {"inFlightSteps", std::move(in_flight)}});
  AddReason(body, &payload);
  emitter_->Emit({.type = "RunPaused", .attempt = pause_ordinal_, .payload = std::move(payload)});
  if (draining && input_.policy.pause_drain_timeout_ms > 0) wf::spawn(WatchDrain());
}

void PlanRun::ApplyResume(const Json& body) {
  if (!paused_) return;
  paused_ = false;
  pause_reason_.clear();
  emitter_->Emit({.type = "RunResumed", .attempt = pause_ordinal_, .payload = Json::MakeObject({{"signalId", SignalId(body)}})});
}

// Section 7.3. The gateway has checked already; the run may have moved on since. During a pause the step is only opened: the
// pass that starts it comes with the resume, and until then SKIP_STEP may still take it (spec 03 section 5.2).
void PlanRun::ApplyRetryStep(const Json& body) {
  const auto index = board_->IndexOf(body.GetString("stepId"));
  if (!index || failure_) return;
  StepState& state = board_->at(*index);
  if (!state.reported_failed) return;
  const bool force = body.GetBool("force");
  if (!force && (!state.retryable || state.attempt >= kMaxLogicalAttempts)) return;
  board_->Reopen(*index);
  hold_deadline_ = 0;
  hold_expired_ = false;
  if (hold_scope_) hold_scope_->cancel();
  hold_scope_.reset();
}

void PlanRun::ApplySkipStep(const Json& body) {
  const auto index = board_->IndexOf(body.GetString("stepId"));
  if (!index) return;
  const Phase phase = board_->at(*index).phase;
  if (phase == Phase::kAnnounced || phase == Phase::kRunning || phase == Phase::kSettled || phase == Phase::kHeld) return;
  // Between two automatic attempts the step counts as FAILED; only an accepted RETRY_STEP opens it for a skip (spec 02 section 7).
  if (board_->at(*index).attempt > 1 && !board_->at(*index).reopened) return;
  Json extra = Json::MakeObject({{"signalId", SignalId(body)}});
  AddReason(body, &extra);
  Skip(*index, "OPERATOR_SKIP", extra);
}

void PlanRun::ApplyUpdateParams(const Json& body) {
  const Json* params = body.Find("params");
  if (params == nullptr || !params->is_object()) return;
  MergePatch(&params_, *params);
  params_changed_ = true;
}

void PlanRun::ApplyInjectOverride(const Json& body) {
  const auto index = board_->IndexOf(body.GetString("stepId"));
  const Json* patch = body.Find("override");
  if (!index || patch == nullptr || !patch->is_object()) return;
  StepState& state = board_->at(*index);
  if (state.phase == Phase::kSettled && state.outcome != Outcome::kFailed) return;
  state.override_patch = Json::MakeObject({{"patch", *patch}, {"signalId", SignalId(body)}});
}

void PlanRun::ApplyUpdateTarget(const Json& body) {
  const auto index = board_->IndexOf(body.GetString("stepId"));
  const Json* target = body.Find("newTarget");
  if (!index || target == nullptr || !target->is_object()) return;
  StepState& state = board_->at(*index);
  if (state.phase == Phase::kAnnounced || state.phase == Phase::kRunning) return;
  if (state.phase == Phase::kSettled && state.outcome != Outcome::kFailed) return;
  if (state.target_patch.is_null()) state.target_patch = Json::MakeObject();
  MergePatch(&state.target_patch, *target);
}

// Spec 01 section 9.1: recorded for references, merged into the parameters, or counted on a gate.
void PlanRun::ApplyCustom(const Json& body) {
  const std::string name = body.GetString("name");
  const auto* signal = table_.FindSignal(name);
  if (signal == nullptr) {
    wf::log_warning("custom signal " + name + " is not declared by the plan");
    return;
  }
  // Accepted in a state that the run has left since (section 7: the workflow repeats the state checks).
  if (paused_ ? !signal->allowed_paused : !signal->allowed_running) {
    wf::log_warning("custom signal " + name + " is not allowed while the run is " + std::string(StatusName()));
    return;
  }
  if (signals_.Find(name) == nullptr) signals_.Set(name, Json::MakeArray());
  Json* accepted = signals_.Find(name);
  if (static_cast<int64_t>(accepted->AsArray().size()) >= signal->max_per_run) return;
  const Json* payload = body.Find("payload");
  accepted->Push(payload != nullptr ? *payload : Json::MakeObject());
  if (signal->effect != plan::SignalEffect::kSetParams || payload == nullptr) return;
  if (const Json* params = payload->Find("params"); params != nullptr && params->is_object()) {
    ApplyUpdateParams(Json::MakeObject({{"params", *params}}));
  }
}

Json PlanRun::StatusView() const {
  Json view = Json::MakeObject({{"status", std::string(StatusName())},
                                {"paused", pause_requested_},
                                {"cancelled", status_ == RunStatus::kCancelled || cancelling_},
                                {"continuedAsNewCount", continued_as_new_count_}});
  if (!cancel_reason_.empty()) view.Set("cancelReason", cancel_reason_);
  int64_t current = 0;
  if (board_) {
    const auto& in_flight = board_->in_flight();
    current = in_flight.empty() ? static_cast<int64_t>(board_->settled_count()) : static_cast<int64_t>(*in_flight.begin());
  }
  return view.Set("currentStepIndex", current);
}

Result<Json> PlanRun::StepStatesView(const Json::Array& arguments) const {
  const int64_t page = !arguments.empty() && arguments[0].is_int() ? arguments[0].AsInt() : 0;
  if (page < 0 || page > kMaxPage) {
    return Fail("QUERY_FAILED", "expected a page from 0 to " + std::to_string(kMaxPage) + ", found " + std::to_string(page));
  }
  Json rows = Json::MakeArray();
  const int64_t size = board_ ? static_cast<int64_t>(board_->size()) : 0;
  for (int64_t i = page * kStepStatesPage; i < std::min(size, (page + 1) * kStepStatesPage); ++i) {
    const auto index = static_cast<uint32_t>(i);
    const StepState& state = board_->at(index);
    std::string status = "PENDING";
    if (state.phase == Phase::kAnnounced || state.phase == Phase::kRunning) status = "RUNNING";
    if (state.phase == Phase::kHeld || state.phase == Phase::kSettled) status = std::string(OutcomeName(state.outcome));
    rows.Push(Json::MakeObject({{"index", i}, {"stepId", board_->step(index).step_id}, {"status", status}, {"attempts", state.attempt}}));
  }
  return Json::MakeObject({{"page", page}, {"steps", std::move(rows)}, {"total", size}});
}

}  // namespace lockstep::interpreter
