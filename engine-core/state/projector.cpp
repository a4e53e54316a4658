#include "engine-core/state/projector.h"

#include "engine-core/base/check.h"
#include "engine-core/state/catalog.h"

namespace lockstep::state {
namespace {

void AdoptIdentity(Snapshot* snapshot, const EventRecord& record) {
  snapshot->run_id = record.run_id;
  snapshot->tenant_id = record.tenant_id;
  snapshot->project_id = record.project_id;
  snapshot->environment_id = record.environment_id;
  snapshot->plan_id = record.plan_id;
  snapshot->plan_version = record.plan_version;
}

ApplyOutcome Reject(Snapshot* snapshot, const EventRecord& record, std::string_view prior, std::string_view attempted,
                    bool causal_inversion) {
  snapshot->inconsistent = true;
  ApplyOutcome outcome{.kind = ApplyOutcome::Kind::kRejected, .causal_inversion = causal_inversion};
  outcome.alert = AlertAbout(kAlertInvalidTransition, Severity::kP2, record);
  outcome.alert->prior_state = prior;
  outcome.alert->attempted_state = attempted;
  return outcome;
}

bool PayloadBool(const EventRecord& record, std::string_view name) { return record.payload.GetBool(name); }

ApplyOutcome ProjectRunEvent(Snapshot* snapshot, const EventRecord& record, bool first_event) {
  const RunFacts facts{.first_event = first_event,
                       .approval_required = snapshot->approval_required,
                       .pause_cycles = snapshot->pause_cycles,
                       .running_attempts = snapshot->running_attempts,
                       .occurrence = record.logical_attempt_id};
  const auto next = NextRunStatus(snapshot->status, record.event_type, facts);
  if (!next) {
    const bool resume_first = record.event_type == "RunResumed" && snapshot->status == RunStatus::kRunning &&
                              record.logical_attempt_id == int64_t{snapshot->pause_cycles} + 1;
    const bool before_start =
        (snapshot->status == RunStatus::kPending || snapshot->status == RunStatus::kApproved) &&
        (record.event_type == "RunPaused" || record.event_type == "RunResumed" || record.event_type == "RunCompleted");
    return Reject(snapshot, record, Name(snapshot->status), AttemptedRunState(record.event_type),
                  resume_first || before_start);
  }
  snapshot->status = *next;
  if (record.event_type == "RunQueued") snapshot->approval_required = PayloadBool(record, "approvalRequired");
  if (record.event_type == "RunStarted") snapshot->started_at = record.emitted_at;
  if (record.event_type == "RunPaused") ++snapshot->pause_cycles;
  if (IsTerminal(*next)) snapshot->completed_at = record.emitted_at;
  return {};
}

// The attempt that a legal step event speaks of, made when it is new.
Attempt& TargetAttempt(StepState* step, const EventRecord& record) {
  if (step->logical_attempt_id() != record.logical_attempt_id) {
    step->attempts.emplace_back();
    step->attempts.back().logical_attempt_id = record.logical_attempt_id;
    step->retry_accepted = false;
  }
  return step->attempts.back();
}

void RecordOutcome(Attempt* attempt, const EventRecord& record) {
  attempt->completed_at = record.emitted_at;
  attempt->outcome_seq = record.run_seq;
  attempt->artifacts = KnownArtifacts(record.payload.Find("artifactRefs"));
  if (attempt->status == StepStatus::kFailed) {
    const Json* error = record.payload.Find("error");
    attempt->error_code = error != nullptr ? error->GetString("code") : std::string();
    const Json* retryable = error != nullptr ? error->Find("retryable") : nullptr;
    if (retryable != nullptr && retryable->is_bool()) attempt->retryable = retryable->AsBool();
    attempt->final_failure = PayloadBool(record, "final");
  }
  if (attempt->status == StepStatus::kSkipped) attempt->reason_code = record.payload.GetString("reasonCode");
}

std::string PriorStepState(const StepState* step, RunStatus run) {
  const StepStatus status = step != nullptr ? step->status() : StepStatus::kPending;
  const int32_t attempt = step != nullptr ? step->logical_attempt_id() : 0;
  return std::string(Name(status)) + (attempt > 0 ? "(" + std::to_string(attempt) + ")" : "") + " in run " +
         std::string(Name(run));
}

ApplyOutcome RejectStepEvent(Snapshot* snapshot, const EventRecord& record, const StepState* step) {
  const int32_t newest = step != nullptr ? step->logical_attempt_id() : 0;
  const StepStatus status = step != nullptr ? step->status() : StepStatus::kPending;
  const bool outcome = record.event_type != "StepStarted";
  const bool before_its_start = outcome && record.logical_attempt_id == int64_t{newest} + 1 &&
                                record.event_type != "StepSkipped" && status != StepStatus::kRunning;
  const bool before_run = snapshot->status == RunStatus::kPending || snapshot->status == RunStatus::kApproved;
  const std::string attempted =
      std::string(AttemptedStepState(record.event_type)) + "(" + std::to_string(record.logical_attempt_id) + ")";
  return Reject(snapshot, record, PriorStepState(step, snapshot->status), attempted, before_its_start || before_run);
}

ApplyOutcome ProjectStepEvent(Snapshot* snapshot, const EventRecord& record) {
  const auto found = snapshot->steps.find(record.step_id);
  StepState* step = found != snapshot->steps.end() ? &found->second : nullptr;
  const StepFacts facts{.run_status = snapshot->status,
                        .newest_attempt = step != nullptr ? step->logical_attempt_id() : 0,
                        .attempt = record.logical_attempt_id,
                        .retry_accepted = step != nullptr && step->retry_accepted};
  const auto next = NextStepStatus(step != nullptr ? step->status() : StepStatus::kPending, record.event_type, facts);
  if (!next) return RejectStepEvent(snapshot, record, step);
  if (step == nullptr) step = &snapshot->steps[record.step_id];
  if (step->status() == StepStatus::kRunning) --snapshot->running_attempts;
  Attempt& attempt = TargetAttempt(step, record);
  attempt.status = *next;
  attempt.engine_attempt_id = record.engine_attempt_id;
  if (*next == StepStatus::kRunning) {
    ++snapshot->running_attempts;
    attempt.started_at = record.emitted_at;
  } else {
    RecordOutcome(&attempt, record);
  }
  return {.changed_step = record.step_id};
}

// Audit events change no status. An accepted RETRY_STEP opens one row of the step machine, so it is noted on the step.
ApplyOutcome ProjectAuditEvent(Snapshot* snapshot, const EventRecord& record) {
  if (record.event_type != "SignalAccepted" || record.payload.GetString("signalType") != "RETRY_STEP") return {};
  const Json* payload = record.payload.Find("signalPayload");
  if (payload == nullptr) return {};
  const auto step = snapshot->steps.find(payload->GetString("stepId"));
  if (step == snapshot->steps.end() || step->second.status() != StepStatus::kFailed) return {};
  step->second.retry_accepted = true;
  return {.changed_step = step->first};
}

}  // namespace

ApplyOutcome Project(Snapshot* snapshot, const EventRecord& record) {
  const bool first_event = snapshot->last_event_seq == 0;
  if (first_event) {
    AdoptIdentity(snapshot, record);
  } else {
    LOCKSTEP_CHECK(snapshot->run_id == record.run_id,
                   "record of run " + record.run_id + " for run " + snapshot->run_id);
  }
  if (record.run_seq <= snapshot->last_event_seq) return {.kind = ApplyOutcome::Kind::kDuplicate};
  snapshot->last_event_seq = record.run_seq;
  const EventSpec* spec = FindEventSpec(record.event_type);
  if (spec == nullptr) return {.kind = ApplyOutcome::Kind::kIgnoredUnknown};
  switch (spec->event_class) {
    case EventClass::kRun:
      return ProjectRunEvent(snapshot, record, first_event);
    case EventClass::kStep:
      return ProjectStepEvent(snapshot, record);
    case EventClass::kAudit:
      return ProjectAuditEvent(snapshot, record);
  }
  return {};
}

Snapshot Apply(const Snapshot& snapshot, const EventRecord& record) {
  Snapshot next = snapshot;
  Project(&next, record);
  return next;
}

Result<Snapshot> Replay(std::span<const EventRecord> records) {
  Snapshot snapshot;
  for (const EventRecord& record : records) {
    if (snapshot.last_event_seq != 0 && record.run_id != snapshot.run_id) {
      return Fail("EVENT_LOG_INVALID", "runSeq " + std::to_string(record.run_seq) + ": expected an event of run " +
                                           snapshot.run_id + ", found one of run " + record.run_id);
    }
    if (record.run_seq <= snapshot.last_event_seq) {
      return Fail("EVENT_LOG_INVALID", "run " + record.run_id + ": expected a runSeq above " +
                                           std::to_string(snapshot.last_event_seq) + ", found " +
                                           std::to_string(record.run_seq));
    }
    Project(&snapshot, record);
  }
  return snapshot;
}

}  // namespace lockstep::state
