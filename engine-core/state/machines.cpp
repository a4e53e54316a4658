#include "engine-core/state/machines.h"

#include <algorithm>
#include <array>

namespace lockstep::state {
namespace {

using enum RunStatus;
using enum RunGuard;

constexpr std::array<std::string_view, kRunStatusCount> kRunNames = {"PENDING",   "APPROVED", "RUNNING",  "PAUSED",
                                                                     "COMPLETED", "FAILED",   "CANCELLED"};
constexpr std::array<std::string_view, kStepStatusCount> kStepNames = {"PENDING", "RUNNING", "SUCCESS", "FAILED",
                                                                       "SKIPPED"};

// Spec 02 section 6, row by row.
constexpr std::array<RunTransition, 15> kRunTransitions = {{
    {kPending, "RunQueued", kPending, kFirstEvent},
    {kPending, "RunApproved", kApproved, kApprovalRequired},
    {kPending, "RunStarted", kRunning, kNoApprovalRequired},
    {kApproved, "RunStarted", kRunning, RunGuard::kNone},
    {kPending, "RunFailed", kFailed, RunGuard::kNone},
    {kApproved, "RunFailed", kFailed, RunGuard::kNone},
    {kPending, "RunCancelled", kCancelled, RunGuard::kNone},
    {kApproved, "RunCancelled", kCancelled, RunGuard::kNone},
    {kRunning, "RunPaused", kPaused, kNextCycle},
    {kPaused, "RunResumed", kRunning, kSameCycle},
    {kRunning, "RunCompleted", kCompleted, kNothingRunning},
    {kRunning, "RunFailed", kFailed, RunGuard::kNone},
    {kPaused, "RunFailed", kFailed, RunGuard::kNone},
    {kRunning, "RunCancelled", kCancelled, RunGuard::kNone},
    {kPaused, "RunCancelled", kCancelled, RunGuard::kNone},
}};

// Spec 02 section 7, row by row.
constexpr std::array<StepTransition, 6> kStepTransitions = {{
    {StepStatus::kPending, "StepStarted", AttemptRule::kFirst, StepStatus::kRunning, StepRunStates::kRunning,
     StepGuard::kNone},
    {StepStatus::kPending, "StepSkipped", AttemptRule::kFirst, StepStatus::kSkipped, StepRunStates::kRunningOrPaused,
     StepGuard::kNone},
    {StepStatus::kRunning, "StepCompleted", AttemptRule::kSame, StepStatus::kSuccess, StepRunStates::kRunningOrPaused,
     StepGuard::kNone},
    {StepStatus::kRunning, "StepFailed", AttemptRule::kSame, StepStatus::kFailed, StepRunStates::kRunningOrPaused,
     StepGuard::kNone},
    {StepStatus::kFailed, "StepStarted", AttemptRule::kNext, StepStatus::kRunning, StepRunStates::kRunning,
     StepGuard::kNone},
    {StepStatus::kFailed, "StepSkipped", AttemptRule::kNext, StepStatus::kSkipped, StepRunStates::kRunningOrPaused,
     StepGuard::kRetryAccepted},
}};

bool Holds(RunGuard guard, const RunFacts& facts) {
  switch (guard) {
    case RunGuard::kNone:
      return true;
    case kFirstEvent:
      return facts.first_event;
    case kApprovalRequired:
      return facts.approval_required;
    case kNoApprovalRequired:
      return !facts.approval_required;
    case kNextCycle:
      return facts.occurrence == int64_t{facts.pause_cycles} + 1;
    case kSameCycle:
      return facts.occurrence == facts.pause_cycles;
    case kNothingRunning:
      return facts.running_attempts == 0;
  }
  return false;
}

bool Holds(const StepTransition& row, const StepFacts& facts) {
  const bool run_ok = facts.run_status == kRunning ||
                      (facts.run_status == kPaused && row.run_states == StepRunStates::kRunningOrPaused);
  if (!run_ok || (row.guard == StepGuard::kRetryAccepted && !facts.retry_accepted)) return false;
  const int64_t newest = facts.newest_attempt;
  switch (row.attempt) {
    case AttemptRule::kFirst:
      return newest == 0 && facts.attempt == 1;
    case AttemptRule::kSame:
      return facts.attempt == newest;
    case AttemptRule::kNext:
      return facts.attempt == newest + 1;
  }
  return false;
}

template <typename Status, size_t kSize>
std::optional<Status> Lookup(const std::array<std::string_view, kSize>& names, std::string_view text) {
  const auto it = std::ranges::find(names, text);
  if (it == names.end()) return std::nullopt;
  return static_cast<Status>(it - names.begin());
}

}  // namespace

std::string_view Name(RunStatus status) { return kRunNames[static_cast<size_t>(status)]; }
std::string_view Name(StepStatus status) { return kStepNames[static_cast<size_t>(status)]; }
std::optional<RunStatus> ParseRunStatus(std::string_view text) { return Lookup<RunStatus>(kRunNames, text); }
std::optional<StepStatus> ParseStepStatus(std::string_view text) { return Lookup<StepStatus>(kStepNames, text); }
bool IsTerminal(RunStatus status) { return status >= kCompleted; }
bool IsTerminal(StepStatus status) { return status >= StepStatus::kSuccess; }

std::span<const RunTransition> RunTransitions() { return kRunTransitions; }

std::optional<RunStatus> NextRunStatus(RunStatus from, std::string_view event_type, const RunFacts& facts) {
  for (const RunTransition& row : kRunTransitions) {
    if (row.from == from && row.event_type == event_type && Holds(row.guard, facts)) return row.to;
  }
  return std::nullopt;
}

std::string_view AttemptedRunState(std::string_view event_type) {
  const auto it = std::ranges::find(kRunTransitions, event_type, &RunTransition::event_type);
  return it == kRunTransitions.end() ? std::string_view() : Name(it->to);
}

std::span<const StepTransition> StepTransitions() { return kStepTransitions; }

std::optional<StepStatus> NextStepStatus(StepStatus from, std::string_view event_type, const StepFacts& facts) {
  for (const StepTransition& row : kStepTransitions) {
    if (row.from == from && row.event_type == event_type && Holds(row, facts)) return row.to;
  }
  return std::nullopt;
}

std::string_view AttemptedStepState(std::string_view event_type) {
  const auto it = std::ranges::find(kStepTransitions, event_type, &StepTransition::event_type);
  return it == kStepTransitions.end() ? std::string_view() : Name(it->to);
}

}  // namespace lockstep::state
