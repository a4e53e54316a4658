// A run that is checked when the test is done with it: every replay is identical, and the log obeys the machines.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine-core/interpreter/testing/plan_script.h"

namespace lockstep::interpreter::testing {

class CheckedRun : public PlanScript {
 public:
  using PlanScript::PlanScript;
  ~CheckedRun() {
    for (const std::string& problem : ReplayProblems()) ADD_FAILURE() << problem;
    for (const std::string& problem : LogProblems()) ADD_FAILURE() << problem;
  }
};

inline Json ParsedJson(std::string_view text) {
  auto json = ParseJson(text);
  if (!json) ADD_FAILURE() << json.error().message << " in " << text;
  return json ? std::move(*json) : Json();
}

// A worker that fails the first `failures` attempts of one step and does well otherwise.
inline StepWorker FailsFirst(std::string step_id, int failures, StepAnswer failure) {
  return [=](const StepCall& call) { return call.step_id == step_id && call.attempt <= failures ? failure : Succeed(); };
}

}  // namespace lockstep::interpreter::testing
