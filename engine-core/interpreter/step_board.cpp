#include "engine-core/interpreter/step_board.h"

#include "engine-core/base/check.h"
#include "engine-core/plan/graph.h"
#include "engine-core/plan/references.h"

namespace lockstep::interpreter {
namespace {

constexpr char kDependencyFailed[] = "DEPENDENCY_FAILED";

std::vector<std::vector<uint32_t>> DependenciesOf(const plan::StepTable& table) {
  std::vector<std::vector<uint32_t>> depends_on;
  for (const plan::Step& step : table.steps) depends_on.push_back(step.depends_on);
  return depends_on;
}

std::unexpected<Error> Foreign(uint32_t index, size_t size) {
  return Fail("INVALID_WORKFLOW_STATE", "cursor names step index " + std::to_string(index) + ", the plan has " +
                                            std::to_string(size) + " steps");
}

}  // namespace

StepBoard::StepBoard(const plan::StepTable& table)
    : table_(table), steps_(table.steps.size()), dependents_(plan::Dependents(DependenciesOf(table))), probe_paths_(plan::AllProbePaths(table)) {
  for (uint32_t i = 0; i < steps_.size(); ++i) {
    by_id_.emplace(table.steps[i].step_id, i);
    steps_[i].open_dependencies = static_cast<int32_t>(table.steps[i].depends_on.size());
    if (steps_[i].open_dependencies == 0) MoveTo(i, Phase::kEligible);
  }
}

std::optional<uint32_t> StepBoard::IndexOf(std::string_view step_id) const {
  const auto it = by_id_.find(step_id);
  if (it == by_id_.end()) return std::nullopt;
  return it->second;
}

std::set<uint32_t>* StepBoard::SetOf(Phase phase) {
  switch (phase) {
    case Phase::kEligible: return &eligible_;
    case Phase::kReady: return &ready_;
    case Phase::kGated: return &gated_;
    case Phase::kHeld: return &held_;
    case Phase::kAnnounced:
    case Phase::kRunning: return &in_flight_;
    case Phase::kWaiting:
    case Phase::kSettled: return nullptr;
  }
  return nullptr;
}

void StepBoard::MoveTo(uint32_t index, Phase phase) {
  StepState& state = steps_[index];
  LOCKSTEP_CHECK(state.phase != Phase::kSettled, table_.steps[index].step_id + " is settled");
  if (auto* old = SetOf(state.phase)) old->erase(index);
  state.phase = phase;
  if (auto* fresh = SetOf(phase)) fresh->insert(index);
  if (phase == Phase::kAnnounced || phase == Phase::kRunning) state.reopened = false;
}

void StepBoard::Settle(uint32_t index, Outcome outcome, std::string reason) {
  StepState& state = steps_[index];
  MoveTo(index, Phase::kSettled);
  state.outcome = outcome;
  state.reason = std::move(reason);
  ++settled_;
  ++outcomes_[static_cast<size_t>(outcome)];
  if (outcome == Outcome::kSkipped && state.reason == kDependencyFailed) ++dependency_failures_;
  SatisfyDependents(index);
}

// Satisfied: SUCCESS, or SKIPPED for any reason but a failed dependency (01 section 7.2).
void StepBoard::SatisfyDependents(uint32_t index) {
  const StepState& state = steps_[index];
  const bool satisfied = state.outcome == Outcome::kSuccess || (state.outcome == Outcome::kSkipped && state.reason != kDependencyFailed);
  for (const uint32_t dependent : dependents_[index]) {
    StepState& waiting = steps_[dependent];
    if (!satisfied) waiting.doomed = true;
    if (--waiting.open_dependencies == 0 && waiting.phase == Phase::kWaiting) MoveTo(dependent, Phase::kEligible);
  }
}

void StepBoard::Reopen(uint32_t index) {
  StepState& state = steps_[index];
  if (state.phase == Phase::kSettled) {
    LOCKSTEP_CHECK(state.outcome == Outcome::kFailed, "only a failed step is opened again");
    --settled_;
    --outcomes_[static_cast<size_t>(state.outcome)];
    state.phase = Phase::kWaiting;
    for (const uint32_t dependent : dependents_[index]) {
      StepState& waiting = steps_[dependent];
      // A dependent that was skipped stays skipped; one that still waits gets its hope back.
      if (waiting.phase == Phase::kSettled) continue;
      ++waiting.open_dependencies;
      waiting.doomed = false;
      for (const uint32_t other : table_.steps[dependent].depends_on) {
        const StepState& dependency = steps_[other];
        if (dependency.phase == Phase::kSettled && dependency.outcome == Outcome::kFailed) waiting.doomed = true;
        if (dependency.reason == kDependencyFailed) waiting.doomed = true;
      }
      if (waiting.phase != Phase::kWaiting) MoveTo(dependent, Phase::kWaiting);
    }
  }
  state.outcome = Outcome::kNone;
  state.reason.clear();
  state.reported_failed = false;
  state.reopened = true;
  ++state.attempt;
  MoveTo(index, Phase::kReady);
}

std::vector<uint32_t> StepBoard::FailedSteps() const {
  std::vector<uint32_t> failed;
  for (uint32_t i = 0; i < steps_.size(); ++i) {
    const StepState& state = steps_[i];
    const bool over = state.phase == Phase::kHeld || state.phase == Phase::kSettled;
    if (over && state.outcome == Outcome::kFailed) failed.push_back(i);
  }
  return failed;
}

void StepBoard::WriteTo(Cursor* cursor) const {
  for (uint32_t i = 0; i < steps_.size(); ++i) {
    const StepState& state = steps_[i];
    if (state.phase == Phase::kSettled || state.phase == Phase::kHeld) {
      cursor->settled.push_back({i, state.outcome, state.reason, state.attempt, state.engine_attempt, state.retryable});
    } else if (state.attempt > 1) {
      cursor->attempts[i] = state.attempt;
      if (state.reopened) cursor->reopened.insert(i);
    }
    if (!state.artifacts.AsArray().empty()) cursor->artifacts[i] = state.artifacts;
    bool needed = false;
    for (const uint32_t dependent : dependents_[i]) needed = needed || steps_[dependent].phase != Phase::kSettled;
    // A reference may skip generations: keep what any unsettled step could still ask.
    if (!needed && settled_ < steps_.size()) needed = !probe_paths_[i].empty();
    if (needed && !state.probes.AsObject().empty()) cursor->probes[i] = state.probes;
    if (!state.override_patch.is_null()) cursor->step_overrides[i] = state.override_patch;
    if (!state.target_patch.is_null()) cursor->step_targets[i] = state.target_patch;
    // Also of a step that its gate let through but that found no free slot yet: the deadline has passed for it then.
    const bool waits = state.phase == Phase::kGated || state.phase == Phase::kReady;
    if (state.gate_armed && waits && state.attempt == 1) cursor->gate_deadlines[i] = state.gate_deadline;
  }
}

Status StepBoard::Restore(const Cursor& cursor) {
  const auto known = [&](uint32_t index) { return index < steps_.size(); };
  for (const SettledStep& settled : cursor.settled) {
    if (!known(settled.index)) return Foreign(settled.index, steps_.size());
    StepState& state = steps_[settled.index];
    if (state.phase == Phase::kSettled || state.phase == Phase::kHeld) {
      return Fail("INVALID_WORKFLOW_STATE", "cursor names step index " + std::to_string(settled.index) + " twice");
    }
    state.attempt = settled.attempt;
    state.engine_attempt = settled.engine_attempt;
    state.retryable = settled.retryable;
    const bool held = settled.outcome == Outcome::kFailed && table_.facts.on_step_failure == plan::OnStepFailure::kHold;
    if (held) {
      MoveTo(settled.index, Phase::kHeld);
      state.outcome = settled.outcome;
      state.reason = settled.reason;
    } else {
      Settle(settled.index, settled.outcome, settled.reason);
    }
    state.reported_failed = settled.outcome == Outcome::kFailed;
  }
  for (const auto& [index, attempt] : cursor.attempts) {
    if (!known(index)) return Foreign(index, steps_.size());
    if (steps_[index].phase == Phase::kSettled || steps_[index].phase == Phase::kHeld) continue;
    steps_[index].attempt = attempt;
    steps_[index].reopened = cursor.reopened.contains(index);
  }
  const std::pair<const std::map<uint32_t, Json>*, Json StepState::*> members[] = {{&cursor.artifacts, &StepState::artifacts},
                                                                                   {&cursor.probes, &StepState::probes},
                                                                                   {&cursor.step_overrides, &StepState::override_patch},
                                                                                   {&cursor.step_targets, &StepState::target_patch}};
  for (const auto& [values, member] : members) {
    for (const auto& [index, value] : *values) {
      if (!known(index)) return Foreign(index, steps_.size());
      steps_[index].*member = value;
    }
  }
  for (const auto& [index, deadline] : cursor.gate_deadlines) {
    if (!known(index)) return Foreign(index, steps_.size());
    steps_[index].gate_armed = true;
    steps_[index].gate_deadline = deadline;
  }
  return {};
}

}  // namespace lockstep::interpreter
