// The steps of one run as the interpreter sees them: vectors by declaration index (spec 04, W9), which steps wait, which may
// start, which run. Pure bookkeeping without commands; the walk (plan_run.cpp) decides what to do about it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/base/time.h"
#include "engine-core/interpreter/run_input.h"
#include "engine-core/plan/plan.h"

namespace lockstep::interpreter {

enum class Phase : uint8_t {
  kWaiting,    // for its dependencies
  kEligible,   // dependencies settled; condition and gate not yet judged in a pass
  kGated,      // its gate is armed and closed
  kReady,      // may start as soon as a slot is free
  kAnnounced,  // StepStarted queued, not dispatched yet
  kRunning,
  kHeld,       // failed for good under `hold`: an operator may retry it
  kSettled,
};

struct StepState {
  Phase phase = Phase::kWaiting;
  Outcome outcome = Outcome::kNone;
  std::string reason;        // skip reason or error code
  std::string message;       // of the last error
  bool retryable = false;    // of the last error
  int32_t attempt = 1;       // logical attempt: the current or the next one
  int32_t engine_attempt = 1;
  bool reported_failed = false;  // its newest attempt ended as FAILED and nothing has begun since
  bool reopened = false;         // by an operator, and not started since: only then may it still be skipped
  int32_t open_dependencies = 0;
  bool doomed = false;       // a dependency can no longer be satisfied
  Json artifacts = Json::MakeArray();
  Json probes = Json::MakeObject();
  Json override_patch;       // {patch, signalId}, used by the next attempt
  Json target_patch;         // members of `target` that an operator replaced
  bool gate_armed = false;
  bool gate_expired = false;
  UnixMillis gate_deadline = 0;
};

class LOCKSTEP_DETERMINISTIC StepBoard {
 public:
  explicit StepBoard(const plan::StepTable& table);
  // Applies what a rotation carried over. Error: INVALID_WORKFLOW_STATE (W12).
  Status Restore(const Cursor& cursor);

  const plan::StepTable& table() const { return table_; }
  size_t size() const { return steps_.size(); }
  StepState& at(uint32_t index) { return steps_[index]; }
  const StepState& at(uint32_t index) const { return steps_[index]; }
  const plan::Step& step(uint32_t index) const { return table_.steps[index]; }
  // Index of a step id, or nothing.
  std::optional<uint32_t> IndexOf(std::string_view step_id) const;

  // Phase changes keep the sets below in step.
  void MoveTo(uint32_t index, Phase phase);
  // The step is over: dependents whose last dependency this was become eligible.
  void Settle(uint32_t index, Outcome outcome, std::string reason);
  // A held or failed step starts over with the next logical attempt.
  void Reopen(uint32_t index);

  // Ascending declaration index (01 section 7.2: lowest first).
  const std::set<uint32_t>& eligible() const { return eligible_; }
  const std::set<uint32_t>& ready() const { return ready_; }
  const std::set<uint32_t>& gated() const { return gated_; }
  const std::set<uint32_t>& held() const { return held_; }
  // Announced or running.
  const std::set<uint32_t>& in_flight() const { return in_flight_; }
  size_t settled_count() const { return settled_; }
  int64_t count(Outcome outcome) const { return outcomes_[static_cast<size_t>(outcome)]; }
  bool all_settled() const { return settled_ == steps_.size(); }
  // Failed steps in declaration order.
  std::vector<uint32_t> FailedSteps() const;
  // A step was skipped because a dependency failed.
  bool any_dependency_failure() const { return dependency_failures_ > 0; }

  void WriteTo(Cursor* cursor) const;
  const std::vector<std::string>& probe_paths(uint32_t index) const { return probe_paths_[index]; }

 private:
  std::set<uint32_t>* SetOf(Phase phase);
  void SatisfyDependents(uint32_t index);

  const plan::StepTable& table_;
  std::vector<StepState> steps_;
  std::vector<std::vector<uint32_t>> dependents_;
  std::vector<std::vector<std::string>> probe_paths_;
  std::map<std::string, uint32_t, std::less<>> by_id_;
  std::set<uint32_t> eligible_, ready_, gated_, held_, in_flight_;
  size_t settled_ = 0;
  int64_t outcomes_[4] = {};
  int64_t dependency_failures_ = 0;
};

}  // namespace lockstep::interpreter
