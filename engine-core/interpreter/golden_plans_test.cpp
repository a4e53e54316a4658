// The golden plans of spec 01 section 12, run as each row of the table demands.
#include "engine-core/base/files.h"
#include "engine-core/interpreter/testing/checked_run.h"

namespace lockstep::interpreter::testing {
namespace {

using ::testing::ElementsAre;

std::string Golden(const std::string& name) {
  auto text = ReadFile(std::string(LOCKSTEP_SOURCE_DIR) + "/fixtures/plans/golden/" + name + ".json");
  if (!text) ADD_FAILURE() << text.error().message;
  return text ? *text : "";
}

// `fail` as its executor does it: so many logical attempts fail, the next one succeeds.
StepAnswer BuiltIn(const StepCall& call, int healthy_from = 0) {
  const Json& step = *call.input.Find("step");
  const Json& params = *step.Find("params");
  if (step.GetString("kind") == "fail" && call.attempt <= params.GetInt("failAttempts", INT32_MAX) && healthy_from == 0) {
    return params.GetString("mode") == "permanent" ? FailPermanent() : FailTransient(1);
  }
  if (step.GetString("kind") == "echo") return Succeed(Json::MakeObject({{"message", params.GetString("message")}}));
  return Succeed();
}

StepWorker Healthy() {
  return [](const StepCall& call) { return BuiltIn(call, 1); };
}
StepWorker AsWritten() {
  return [](const StepCall& call) { return BuiltIn(call); };
}

TEST(GoldenPlan, Minimal_Completes) {
  CheckedRun run(Golden("plan-minimal"), {.worker = AsWritten()});
  EXPECT_EQ(run.plan_ref().GetString("sha256"), "a986878982b35e031985b91826b534555abef216b207f77caf3827dd02e6c90a");
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s1/1", "StepCompleted s1/1", "RunCompleted"));
}

TEST(GoldenPlan, Parallel_FansOutAndIn_SameHashWhateverTheOrder) {
  std::string hash;
  for (const std::vector<const char*>& order : {std::vector<const char*>{"left", "middle", "right"}, {"right", "left", "middle"}}) {
    CheckedRun run(Golden("plan-parallel"), {.worker = AsWritten()});
    run.Quiet();
    EXPECT_THAT(run.OpenSteps(), ElementsAre("left", "middle", "right"));
    for (const char* step : order) {
      run.Answer(step, Succeed());
      run.Quiet();
    }
    EXPECT_THAT(run.OpenSteps(), ElementsAre("merge"));
    run.RunToEnd();
    EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
    if (hash.empty()) hash = run.OutcomeHash();
    EXPECT_EQ(run.OutcomeHash(), hash);
  }
}

TEST(GoldenPlan, CancelAndResume_PausedAfterTheThird_SameHashAsWithout) {
  CheckedRun plain(Golden("plan-cancel-and-resume")), paused(Golden("plan-cancel-and-resume"));
  plain.RunToEnd();
  while (paused.CountOf("StepCompleted") < 3) {
    paused.Quiet();
    paused.FireNextTimer();
    paused.Quiet();
  }
  paused.Signal("PAUSE");
  paused.Quiet();
  paused.Signal("RESUME");
  paused.RunToEnd();
  EXPECT_EQ(paused.CountOf("RunPaused"), 1u);
  EXPECT_EQ(paused.status(), state::RunStatus::kCompleted);
  EXPECT_EQ(paused.OutcomeHash(), plain.OutcomeHash());
}

TEST(GoldenPlan, Retry_SecondStepFailsOnce_SameHashAsWithout) {
  CheckedRun failing(Golden("plan-retry"), {.worker = AsWritten()}), healthy(Golden("plan-retry"), {.worker = Healthy()});
  failing.RunToEnd();
  healthy.RunToEnd();
  EXPECT_EQ(failing.CountOf("StepFailed"), 1u);
  EXPECT_EQ(healthy.CountOf("StepFailed"), 0u);
  EXPECT_EQ(failing.OutcomeHash(), healthy.OutcomeHash());
}

TEST(GoldenPlan, HoldRetry_OperatorRetries_SecondAttemptSucceeds) {
  CheckedRun run(Golden("plan-hold-retry"), {.worker = AsWritten()}), healthy(Golden("plan-hold-retry"), {.worker = Healthy()});
  healthy.RunToEnd();
  while (run.CountOf("StepFailed") == 0) {
    run.Quiet();
    run.AnswerSteps();
  }
  EXPECT_FALSE(run.closed());
  run.Signal("RETRY_STEP", Json::MakeObject({{"stepId", "second"}}));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  const auto snapshot = run.Snapshot();
  ASSERT_EQ(snapshot.steps.at("second").attempts.size(), 2u);
  EXPECT_EQ(snapshot.steps.at("second").attempts[1].status, state::StepStatus::kSuccess);
  EXPECT_EQ(run.OutcomeHash(), healthy.OutcomeHash());
}

TEST(GoldenPlan, Each_IsStableOverThreeRuns) {
  for (const char* name : {"plan-minimal", "plan-parallel", "plan-cancel-and-resume", "plan-retry"}) {
    std::vector<std::string> logs, hashes;
    for (int i = 0; i < 3; ++i) {
      CheckedRun run(Golden(name), {.worker = AsWritten()});
      run.RunToEnd();
      hashes.push_back(state::SnapshotHash(run.Snapshot()));
    }
    EXPECT_EQ(hashes[0], hashes[1]) << name;
    EXPECT_EQ(hashes[1], hashes[2]) << name;
  }
}

TEST(GoldenPlan, OtherGoodPlans_Complete) {
  for (const char* name : {"conditional.v1.1", "orders-daily", "sequential.v1.0"}) {
    const auto text = ReadFile(std::string(LOCKSTEP_SOURCE_DIR) + "/fixtures/plans/good/" + name + ".json");
    ASSERT_TRUE(text.has_value());
    CheckedRun run(*text);
    run.Quiet();
    if (std::string_view(name) == "orders-daily") run.Signal("CUSTOM:RELEASE");
    run.RunToEnd();
    EXPECT_TRUE(run.closed()) << name;
  }
}

}  // namespace
}  // namespace lockstep::interpreter::testing
