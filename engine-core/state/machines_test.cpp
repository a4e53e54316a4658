#include "engine-core/state/machines.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "engine-core/state/catalog.h"

namespace lockstep::state {
namespace {

using enum RunStatus;

constexpr std::array<RunStatus, kRunStatusCount> kRunStatuses = {kPending,   kApproved, kRunning,  kPaused,
                                                                 kCompleted, kFailed,   kCancelled};
constexpr std::array<StepStatus, kStepStatusCount> kStepStatuses = {
    StepStatus::kPending, StepStatus::kRunning, StepStatus::kSuccess, StepStatus::kFailed, StepStatus::kSkipped};

// Every combination of what the guards look at, as the specification's rows see them.
std::vector<RunFacts> AllRunFacts() {
  std::vector<RunFacts> all;
  for (const bool first : {false, true}) {
    for (const bool approval : {false, true}) {
      for (const int32_t cycles : {0, 1, 2}) {
        for (const int32_t running : {0, 1}) {
          for (const int32_t occurrence : {1, 2, 3, 4}) all.push_back({first, approval, cycles, running, occurrence});
        }
      }
    }
  }
  return all;
}

// The specification's table, written a second time as prose-like conditions: (from, event) -> (to, condition).
std::optional<RunStatus> Expected(RunStatus from, std::string_view event, const RunFacts& f) {
  if (from == kPending && event == "RunQueued" && f.first_event) return kPending;
  if (from == kPending && event == "RunApproved" && f.approval_required) return kApproved;
  if (from == kPending && event == "RunStarted" && !f.approval_required) return kRunning;
  if (from == kApproved && event == "RunStarted") return kRunning;
  if ((from == kPending || from == kApproved) && event == "RunFailed") return kFailed;
  if ((from == kPending || from == kApproved) && event == "RunCancelled") return kCancelled;
  if (from == kRunning && event == "RunPaused" && f.occurrence == f.pause_cycles + 1) return kPaused;
  if (from == kPaused && event == "RunResumed" && f.occurrence == f.pause_cycles) return kRunning;
  if (from == kRunning && event == "RunCompleted" && f.running_attempts == 0) return kCompleted;
  if (from == kRunning && event == "RunFailed") return kFailed;
  if (from == kPaused && event == "RunFailed") return kFailed;
  if ((from == kRunning || from == kPaused) && event == "RunCancelled") return kCancelled;
  return std::nullopt;
}

TEST(RunMachine, EveryPairOfStatusAndEventFollowsSection6AndEveryRowIsTaken) {
  std::set<std::tuple<RunStatus, std::string_view>> taken;
  for (const RunStatus from : kRunStatuses) {
    for (const EventSpec& spec : EventCatalog()) {
      for (const RunFacts& facts : AllRunFacts()) {
        const auto next = NextRunStatus(from, spec.type, facts);
        ASSERT_EQ(next, Expected(from, spec.type, facts)) << Name(from) << " " << spec.type;
        if (next) taken.emplace(from, spec.type);
      }
    }
  }
  EXPECT_EQ(taken.size(), RunTransitions().size());
  for (const RunTransition& row : RunTransitions()) {
    EXPECT_TRUE(taken.contains(std::tuple(row.from, row.event_type))) << Name(row.from) << " " << row.event_type;
  }
}

TEST(RunMachine, Terminal_RejectsEveryLifecycleEvent) {
  for (const RunStatus from : {kCompleted, kFailed, kCancelled}) {
    EXPECT_TRUE(IsTerminal(from));
    for (const EventSpec& spec : EventCatalog()) {
      for (const RunFacts& facts : AllRunFacts()) EXPECT_FALSE(NextRunStatus(from, spec.type, facts)) << spec.type;
    }
  }
}

TEST(RunMachine, Paused_NeverCompletes) {
  for (const RunFacts& facts : AllRunFacts()) EXPECT_FALSE(NextRunStatus(kPaused, "RunCompleted", facts));
}

TEST(RunMachine, UnknownTypesAreNoTransition) {
  for (const RunStatus from : kRunStatuses) EXPECT_FALSE(NextRunStatus(from, "RunTeleported", {}));
}

TEST(RunMachine, PauseCycleDoesNotOverflow) {
  EXPECT_FALSE(NextRunStatus(kRunning, "RunPaused", {.pause_cycles = INT32_MAX, .occurrence = INT32_MIN}));
}

// Row of section 7 that covers the combination, or 0.
int ExpectedRow(StepStatus newest, std::string_view event, const StepFacts& f) {
  const bool running = f.run_status == kRunning;
  const bool active = running || f.run_status == kPaused;
  const bool none = f.newest_attempt == 0 && newest == StepStatus::kPending;
  if (none && event == "StepStarted" && f.attempt == 1 && running) return 1;
  if (none && event == "StepSkipped" && f.attempt == 1 && active) return 2;
  if (newest == StepStatus::kRunning && event == "StepCompleted" && f.attempt == f.newest_attempt && active) return 3;
  if (newest == StepStatus::kRunning && event == "StepFailed" && f.attempt == f.newest_attempt && active) return 4;
  if (newest == StepStatus::kFailed && event == "StepStarted" && f.attempt == f.newest_attempt + 1 && running) return 5;
  if (newest == StepStatus::kFailed && event == "StepSkipped" && f.attempt == f.newest_attempt + 1 && active &&
      f.retry_accepted) {
    return 6;
  }
  return 0;
}

TEST(StepMachine, EveryCombinationFollowsSection7AndEveryRowIsTaken) {
  const std::map<int, StepStatus> to = {{1, StepStatus::kRunning}, {2, StepStatus::kSkipped},
                                        {3, StepStatus::kSuccess}, {4, StepStatus::kFailed},
                                        {5, StepStatus::kRunning}, {6, StepStatus::kSkipped}};
  std::set<int> taken;
  for (const StepStatus newest : kStepStatuses) {
    for (const int32_t newest_attempt : {0, 1, 2, 3}) {
      // A step without attempt is PENDING and one with an attempt is not.
      if ((newest_attempt == 0) != (newest == StepStatus::kPending)) continue;
      for (const EventSpec& spec : EventCatalog()) {
        for (const int32_t attempt : {1, 2, 3, 4, 5}) {
          for (const RunStatus run : kRunStatuses) {
            for (const bool retry : {false, true}) {
              const StepFacts facts{run, newest_attempt, attempt, retry};
              const int row = ExpectedRow(newest, spec.type, facts);
              const auto next = NextStepStatus(newest, spec.type, facts);
              ASSERT_EQ(next.has_value(), row != 0)
                  << Name(newest) << " " << spec.type << " " << attempt << " " << Name(run);
              if (row != 0) {
                EXPECT_EQ(*next, to.at(row));
                taken.insert(row);
              }
            }
          }
        }
      }
    }
  }
  EXPECT_EQ(taken.size(), StepTransitions().size());
}

TEST(StepMachine, RejectsAJumpToTheAttemptAfterNext) {
  EXPECT_FALSE(NextStepStatus(StepStatus::kFailed, "StepStarted", {kRunning, 1, 3, true}));
}
TEST(StepMachine, RejectsARestartOfSuccessAndSkipped) {
  EXPECT_FALSE(NextStepStatus(StepStatus::kSuccess, "StepStarted", {kRunning, 1, 2, true}));
  EXPECT_FALSE(NextStepStatus(StepStatus::kSkipped, "StepStarted", {kRunning, 1, 2, true}));
}
TEST(StepMachine, RejectsAnEventOfAnEarlierAttempt) {
  EXPECT_FALSE(NextStepStatus(StepStatus::kRunning, "StepCompleted", {kRunning, 2, 1, false}));
}

TEST(Statuses, NamesRoundTrip) {
  for (const RunStatus status : kRunStatuses) EXPECT_EQ(ParseRunStatus(Name(status)), status);
  for (const StepStatus status : kStepStatuses) EXPECT_EQ(ParseStepStatus(Name(status)), status);
  EXPECT_FALSE(ParseRunStatus("SUCCESS"));
  EXPECT_FALSE(ParseStepStatus("COMPLETED"));
}

}  // namespace
}  // namespace lockstep::state
