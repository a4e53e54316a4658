// The run machine (spec 02 section 6) and the step attempt machine (section 7) as tables that read like the
// specification. A pair that no row covers, or whose condition does not hold, is illegal; there is no other place that
// decides this. Producers ask before they emit (layer 1), projectors when they apply (layer 3). Pure, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::state {

enum class RunStatus : uint8_t { kPending, kApproved, kRunning, kPaused, kCompleted, kFailed, kCancelled };
enum class StepStatus : uint8_t { kPending, kRunning, kSuccess, kFailed, kSkipped };
inline constexpr int kRunStatusCount = 7;
inline constexpr int kStepStatusCount = 5;

// `PENDING`, `APPROVED`, ...
LOCKSTEP_DETERMINISTIC std::string_view Name(RunStatus status);
LOCKSTEP_DETERMINISTIC std::string_view Name(StepStatus status);
LOCKSTEP_DETERMINISTIC std::optional<RunStatus> ParseRunStatus(std::string_view text);
LOCKSTEP_DETERMINISTIC std::optional<StepStatus> ParseStepStatus(std::string_view text);
// COMPLETED, FAILED, CANCELLED: permanent.
LOCKSTEP_DETERMINISTIC bool IsTerminal(RunStatus status);
// SUCCESS, FAILED, SKIPPED: of this attempt.
LOCKSTEP_DETERMINISTIC bool IsTerminal(StepStatus status);

enum class RunGuard : uint8_t {
  kNone,
  kFirstEvent,  // no prior event in the stream
  kApprovalRequired,
  kNoApprovalRequired,
  kNextCycle,       // occurrence = previous pause cycle + 1
  kSameCycle,       // occurrence = current pause cycle
  kNothingRunning,  // no attempt RUNNING
};

struct RunTransition {
  RunStatus from;
  std::string_view event_type;
  RunStatus to;
  RunGuard guard;
};

// What the guards look at.
struct RunFacts {
  bool first_event = false;
  bool approval_required = false;
  int32_t pause_cycles = 0;
  int32_t running_attempts = 0;
  int32_t occurrence = 1;  // `logicalAttemptId` of the event
};

LOCKSTEP_DETERMINISTIC std::span<const RunTransition> RunTransitions();
// The status after a lifecycle event of the run, or nothing when the pair is illegal.
LOCKSTEP_DETERMINISTIC std::optional<RunStatus> NextRunStatus(RunStatus from, std::string_view event_type,
                                                              const RunFacts& facts);
// The status the event leads to from anywhere (`RunPaused` -> PAUSED): the attempted state of an alert.
LOCKSTEP_DETERMINISTIC std::string_view AttemptedRunState(std::string_view event_type);

// Which attempt an event may speak of, relative to the newest one.
enum class AttemptRule : uint8_t {
  kFirst,  // 1, the step has no event yet
  kSame,   // the newest attempt
  kNext,   // the newest attempt + 1
};
enum class StepGuard : uint8_t { kNone, kRetryAccepted };
// Run statuses in which a step event is legal.
enum class StepRunStates : uint8_t { kRunning, kRunningOrPaused };

struct StepTransition {
  StepStatus from;
  std::string_view event_type;
  AttemptRule attempt;
  StepStatus to;
  StepRunStates run_states;
  StepGuard guard;
};

struct StepFacts {
  RunStatus run_status = RunStatus::kPending;
  int32_t newest_attempt = 0;   // 0: the step has no event yet
  int32_t attempt = 1;          // `logicalAttemptId` of the event
  bool retry_accepted = false;  // a RETRY_STEP was accepted since the newest attempt failed
};

LOCKSTEP_DETERMINISTIC std::span<const StepTransition> StepTransitions();
// `from` is the status of the newest attempt (PENDING without one). Nothing when the combination is illegal.
LOCKSTEP_DETERMINISTIC std::optional<StepStatus> NextStepStatus(StepStatus from, std::string_view event_type,
                                                                const StepFacts& facts);
LOCKSTEP_DETERMINISTIC std::string_view AttemptedStepState(std::string_view event_type);

}  // namespace lockstep::state
