// Random graphs with random failures, signals, pauses, rotations and outages: whatever happens, the log obeys the machines of
// spec 02, has one terminal event and replays identically (that is what CheckedRun checks), and where the specification says
// that history must not matter the outcome hash does not change.
#include <rapidcheck.h>

#include "engine-core/interpreter/testing/checked_run.h"

namespace lockstep::interpreter::testing {
namespace {

struct Graph {
  std::string plan;
  int size = 0;
};

// Steps with dependencies on earlier ones, conditions, gates, sleeps, logical retries.
Graph AnyGraph(std::string_view on_failure, bool with_gates) {
  Graph graph;
  graph.size = *rc::gen::inRange(1, 12);
  Json steps = Json::MakeArray();
  for (int i = 0; i < graph.size; ++i) {
    Json depends = Json::MakeArray();
    for (int j = 0; j < i; ++j) {
      if (*rc::gen::inRange(0, 3) == 0) depends.Push("s" + std::to_string(j));
    }
    const bool sleeps = *rc::gen::inRange(0, 6) == 0;
    Json step = Json::MakeObject({{"stepId", "s" + std::to_string(i)}, {"kind", sleeps ? "sleep" : "noop"}});
    if (sleeps) step.Set("params", Json::MakeObject({{"durationMs", *rc::gen::inRange(1, 5'000)}}));
    if (!depends.AsArray().empty() && *rc::gen::inRange(0, 4) == 0) {
      step.Set("runIf", Json::MakeArray().Push(Json::MakeObject({{"step", depends.AsArray()[0]}, {"path", "/n"}, {"op", "lt"}, {"value", 5}})));
    }
    step.Set("dependsOn", std::move(depends));
    step.Set("logicalRetries", *rc::gen::inRange(0, 3));
    if (with_gates && *rc::gen::inRange(0, 5) == 0) {
      const char* const modes[] = {"fail", "skip", "proceed"};
      step.Set("waitForSignal", Json::MakeObject({{"name", "GO_NOW"}, {"count", *rc::gen::inRange(1, 3)}, {"timeoutMs", 10'000}, {"onTimeout", modes[*rc::gen::inRange(0, 3)]}}));
    }
    steps.Push(std::move(step));
  }
  graph.plan = SimplePlan(CanonicalJson(steps),
                          CanonicalJson(Json::MakeObject({{"onStepFailure", on_failure}, {"maxParallelism", *rc::gen::inRange(1, 6)}})),
                          R"({"params":{"a":1},"customSignals":[{"name":"GO_NOW","payloadSchema":{"type":"object"},"effect":"open_gate","allowedRunStates":["RUNNING","PAUSED"]}]})");
  return graph;
}

// How each attempt ends; sleeping steps have none.
StepWorker AnyWorker(int size) {
  const auto fates = *rc::gen::container<std::vector<int>>(static_cast<size_t>(size) * 4, rc::gen::inRange(0, 12));
  return [fates](const StepCall& call) {
    const auto number = static_cast<size_t>(std::stoi(call.step_id.substr(1)));
    const int fate = fates[(number * 4 + static_cast<size_t>(call.attempt)) % fates.size()];
    if (fate == 0) return FailPermanent();
    if (fate <= 2) return FailTransient(2);
    if (fate == 3) return TimeOut(temporal::api::enums::v1::TIMEOUT_TYPE_HEARTBEAT, 1);
    return Succeed(Json::MakeObject({{"n", static_cast<int64_t>(number)}}), Json::MakeArray(), 1 + fate % 3);
  };
}

// One thing that may happen to a run.
void Happen(PlanScript* run, int size, StepWorker worker) {
  const auto step = [&] { return Json::MakeObject({{"stepId", "s" + std::to_string(*rc::gen::inRange(0, size))}}); };
  switch (*rc::gen::inRange(0, 16)) {
    case 0: run->Signal("PAUSE"); break;
    case 1:
    case 2: run->Signal("RESUME"); break;
    case 3: run->Signal("RETRY_STEP", step()); break;
    case 4: run->Signal("RETRY_STEP", step().Set("force", true)); break;
    case 5: run->SignalOnly("SKIP_STEP", step()); break;
    case 6: run->Signal("UPDATE_PARAMS", Json::MakeObject({{"params", Json::MakeObject({{"a", *rc::gen::inRange(0, 9)}})}})); break;
    case 7: run->SignalOnly("INJECT_OVERRIDE", step().Set("override", Json::MakeObject())); break;
    case 8: run->Signal("CUSTOM:GO_NOW"); break;
    case 9: run->FireNextTimer(); break;
    case 10:
      if (*rc::gen::inRange(0, 6) == 0) run->Signal("CANCEL");
      break;
    default: {
      const auto open = run->OpenSteps();
      if (open.empty()) break;
      const std::string chosen = open[*rc::gen::inRange<size_t>(0, open.size())];
      StepCall call;
      call.step_id = chosen;
      run->Answer(chosen, worker(call));
      break;
    }
  }
}

void DriveAtRandom(PlanScript* run, int size, const StepWorker& worker) {
  for (int i = 0; i < 40 && !run->closed(); ++i) {
    if (*rc::gen::inRange(0, 3) != 0) {
      run->Quiet();
    } else {
      run->Task();  // several things may happen between two tasks
    }
    if (!run->closed()) Happen(run, size, worker);
  }
  run->Quiet();
  if (!run->closed()) run->SignalOnly("RESUME");
  run->RunToEnd(2'000);
}

TEST(PlanRunProperty, WhateverHappens_LogIsLegalAndReplaysAreIdentical) {
  EXPECT_TRUE(rc::check([] {
    const char* const modes[] = {"fail_run", "continue", "hold"};
    const Graph graph = AnyGraph(modes[*rc::gen::inRange(0, 3)], true);
    PlanScriptOptions options;
    options.worker = AnyWorker(graph.size);
    options.policy.continue_steps = *rc::gen::element<int64_t>(0, 1, 2, 5);
    options.evict_after_every_task = *rc::gen::inRange(0, 4) == 0;
    const StepWorker worker = options.worker;
    PlanScript run(graph.plan, std::move(options));
    DriveAtRandom(&run, graph.size, worker);
    for (const std::string& problem : run.ReplayProblems()) RC_FAIL(problem);
    for (const std::string& problem : run.LogProblems()) RC_FAIL(problem);
    RC_ASSERT(run.closed());
  }));
}

TEST(PlanRunProperty, Outages_ChangeNothingButTimes) {
  EXPECT_TRUE(rc::check([] {
    const Graph graph = AnyGraph("continue", false);
    const StepWorker worker = AnyWorker(graph.size);
    PlanScript calm(graph.plan, {.worker = worker});
    calm.RunToEnd();
    const auto pattern = *rc::gen::container<std::vector<int>>(8, rc::gen::inRange(0, 4));
    size_t tries = 0;
    PlanScript rough(graph.plan, {.worker = worker, .store_fault = [&](const workflow::LocalActivityRequest& request, UnixMillis) -> std::optional<Error> {
      if (request.activity_type != "emitEvents" || pattern[tries++ % pattern.size()] != 0 || tries % 16 == 15) return std::nullopt;
      return Error("STATE_STORE_UNAVAILABLE", "down", true);
    }});
    if (std::count(pattern.begin(), pattern.end(), 0) == static_cast<int>(pattern.size())) return;
    rough.RunToEnd();
    RC_ASSERT(calm.closed() && rough.closed());
    RC_ASSERT(calm.OutcomeHash() == rough.OutcomeHash());
    for (const std::string& problem : rough.ReplayProblems()) RC_FAIL(problem);
  }));
}

// Pauses, resumes, rotations and evictions are history, not outcome.
TEST(PlanRunProperty, OutcomeHash_IgnoresPausesAndRotations) {
  EXPECT_TRUE(rc::check([] {
    const Graph graph = AnyGraph("continue", false);
    const StepWorker worker = AnyWorker(graph.size);
    PlanScript plain(graph.plan, {.worker = worker});
    plain.RunToEnd();
    PlanScriptOptions options;
    options.worker = worker;
    options.policy.continue_steps = *rc::gen::element<int64_t>(1, 2, 3);
    PlanScript disturbed(graph.plan, std::move(options));
    for (int i = 0; i < 25 && !disturbed.closed(); ++i) {
      disturbed.Quiet();
      if (disturbed.closed()) break;
      if (*rc::gen::inRange(0, 3) == 0) {
        disturbed.Signal("PAUSE");
        disturbed.Quiet();
        disturbed.AnswerSteps();
        disturbed.Quiet();
        disturbed.Signal("RESUME");
        continue;
      }
      if (disturbed.AnswerSteps() == 0) disturbed.FireNextTimer();
    }
    disturbed.RunToEnd();
    RC_ASSERT(plain.closed() && disturbed.closed());
    RC_ASSERT(plain.OutcomeHash() == disturbed.OutcomeHash());
    for (const std::string& problem : disturbed.ReplayProblems()) RC_FAIL(problem);
  }));
}

// Attempts are history too: with enough retries a plan ends as if nothing had failed.
TEST(PlanRunProperty, OutcomeHash_IgnoresRetries) {
  EXPECT_TRUE(rc::check([] {
    const int size = *rc::gen::inRange(1, 8);
    Json steps = Json::MakeArray();
    for (int i = 0; i < size; ++i) {
      steps.Push(Json::MakeObject({{"stepId", "s" + std::to_string(i)}, {"kind", "noop"}, {"logicalRetries", 2}}));
    }
    const std::string plan = SimplePlan(CanonicalJson(steps), R"({"onStepFailure":"hold"})");
    const auto failures = *rc::gen::container<std::vector<int>>(static_cast<size_t>(size), rc::gen::inRange(0, 5));
    PlanScript smooth(plan);
    smooth.RunToEnd();
    PlanScript bumpy(plan, {.worker = [&](const StepCall& call) {
      return call.attempt <= failures[static_cast<size_t>(std::stoi(call.step_id.substr(1)))] ? FailTransient() : Succeed();
    }});
    while (!bumpy.closed()) {
      bumpy.Quiet();
      if (bumpy.closed() || bumpy.AnswerSteps() > 0) continue;
      for (int i = 0; i < size; ++i) bumpy.Signal("RETRY_STEP", Json::MakeObject({{"stepId", "s" + std::to_string(i)}}));
    }
    RC_ASSERT(bumpy.status() == state::RunStatus::kCompleted);
    RC_ASSERT(smooth.OutcomeHash() == bumpy.OutcomeHash());
  }));
}

}  // namespace
}  // namespace lockstep::interpreter::testing
