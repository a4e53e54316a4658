// Signal gates (spec 01 section 9.1, 04 W10): counting, each onTimeout, and who wins when both come at once.
#include "engine-core/interpreter/testing/checked_run.h"

namespace lockstep::interpreter::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string GatePlan(std::string_view gate, std::string_view metadata = "{}", std::string_view signal = "{}") {
  Json steps = ParsedJson(R"([{"stepId":"first","kind":"noop","dependsOn":[]},{"stepId":"gated","kind":"noop","dependsOn":["first"]},
                              {"stepId":"last","kind":"noop","dependsOn":["gated"]}])");
  Json declared = ParsedJson(R"({"name":"RELEASE","payloadSchema":{"type":"object"},"effect":"open_gate","allowedRunStates":["RUNNING","PAUSED"]})");
  MergePatch(&declared, ParsedJson(signal));
  steps.AsArray()[1].Set("waitForSignal", ParsedJson(gate));
  return SimplePlan(CanonicalJson(steps), metadata, CanonicalJson(Json::MakeObject({{"customSignals", Json::MakeArray().Push(declared)}})));
}

// Runs up to where the gate is the only thing to wait for.
void ToTheGate(CheckedRun* run) {
  run->Quiet();
  run->Answer("first", Succeed());
  run->Quiet();
}

TEST(Gate, OpensWithTheSignal_AndIssuesNoTimerWithoutATimeout) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE"})"));
  ToTheGate(&run);
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  EXPECT_THAT(run.script().OpenTimers(), IsEmpty());
  run.Signal("CUSTOM:RELEASE");
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), ElementsAre("gated"));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Gate, SignalBeforeTheDependencies_Counts) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE","timeoutMs":1000})"));
  run.Quiet();
  run.Signal("CUSTOM:RELEASE");
  ToTheGate(&run);
  EXPECT_THAT(run.OpenSteps(), ElementsAre("gated"));
  EXPECT_THAT(run.script().OpenTimers(), IsEmpty());
  run.RunToEnd();
}

TEST(Gate, CountsUpToItsNumber) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE","count":3})"));
  ToTheGate(&run);
  for (int i = 0; i < 2; ++i) {
    run.Signal("CUSTOM:RELEASE");
    run.Quiet();
    EXPECT_THAT(run.OpenSteps(), IsEmpty());
  }
  run.Signal("CUSTOM:RELEASE");
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), ElementsAre("gated"));
  run.RunToEnd();
}

TEST(Gate, W10_TimerStartsOnlyWhenTheDependenciesAreSatisfied) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE","timeoutMs":7000})"));
  run.Quiet();
  EXPECT_THAT(run.script().OpenTimers(), IsEmpty());
  run.Answer("first", Succeed());
  run.Quiet();
  ASSERT_EQ(run.script().OpenTimers().size(), 1u);
  const auto armed = run.script().now_ms();
  run.RunToEnd();
  EXPECT_GE(run.script().now_ms() - armed, 6'900);
}

TEST(Gate, OnTimeoutFail_RecordsStartAndFailureWithoutDispatch) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE","timeoutMs":1000})"));
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted first/1", "StepCompleted first/1", "StepStarted gated/1",
                                     "StepFailed gated/1 GATE_TIMEOUT", "RunFailed GATE_TIMEOUT"));
  EXPECT_EQ(run.Event("StepFailed").payload.Find("error")->GetString("category"), "TIMEOUT");
  for (const std::string& scheduled : run.Scheduled()) EXPECT_THAT(scheduled, ::testing::Not(::testing::HasSubstr("step/gated")));
}

TEST(Gate, OnTimeoutSkip_CountsAsSatisfied) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE","timeoutMs":1000,"onTimeout":"skip"})"));
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted first/1", "StepCompleted first/1", "StepSkipped gated/1 GATE_TIMEOUT",
                                     "StepStarted last/1", "StepCompleted last/1", "RunCompleted"));
}

TEST(Gate, OnTimeoutProceed_StartsTheStep) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE","timeoutMs":1000,"onTimeout":"proceed"})"));
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted first/1", "StepCompleted first/1", "StepStarted gated/1", "StepCompleted gated/1",
                                     "StepStarted last/1", "StepCompleted last/1", "RunCompleted"));
}

TEST(Gate, W10_SignalAndTimerInOneTask_SignalWins_WhicheverCameFirst) {
  for (const bool timer_first : {true, false}) {
    CheckedRun run(GatePlan(R"({"name":"RELEASE","timeoutMs":1000})"));
    ToTheGate(&run);
    const std::string timer = run.script().OpenTimers().front();
    if (timer_first) run.script().FireTimer(timer);
    run.Signal("CUSTOM:RELEASE");
    if (!timer_first) run.script().FireTimer(timer);
    run.Quiet();
    EXPECT_THAT(run.OpenSteps(), ElementsAre("gated")) << timer_first;
    run.RunToEnd();
    EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  }
}

TEST(Gate, SignalInTime_CancelsTheTimer) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE","timeoutMs":1000})"));
  ToTheGate(&run);
  run.Signal("CUSTOM:RELEASE");
  run.Quiet();
  EXPECT_THAT(run.script().OpenTimers(), IsEmpty());
  run.RunToEnd();
}

TEST(Gate, TimerRunsDuringAPause_ExpiryTakesEffectAfterTheResume) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE","timeoutMs":1000,"onTimeout":"skip"})"));
  ToTheGate(&run);
  run.Signal("PAUSE");
  run.Quiet();
  ASSERT_TRUE(run.FireNextTimer());
  run.Quiet();
  EXPECT_EQ(run.Log().back(), "RunPaused 1");
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ::testing::Contains("StepSkipped gated/1 GATE_TIMEOUT"));
}

TEST(Gate, SignalDuringAPauseAfterExpiry_StillWins) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE","timeoutMs":1000})"));
  ToTheGate(&run);
  run.Signal("PAUSE");
  run.Quiet();
  ASSERT_TRUE(run.FireNextTimer());
  run.Quiet();
  run.Signal("CUSTOM:RELEASE");
  run.Quiet();
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Gate, RetryOfAStepWhoseGateTimedOut_RunsIt) {
  CheckedRun run(GatePlan(R"({"name":"RELEASE","timeoutMs":1000})", R"({"onStepFailure":"hold"})"));
  ToTheGate(&run);
  ASSERT_TRUE(run.FireNextTimer());
  run.Quiet();
  run.Signal("RETRY_STEP", ParsedJson(R"({"stepId":"gated"})"));  // not retryable without force
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  run.Signal("RETRY_STEP", ParsedJson(R"({"stepId":"gated","force":true})"));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_EQ(run.Snapshot().steps.at("gated").attempts.size(), 2u);
}

TEST(Gate, ManySteps_OnOneSignal_OpenTogetherByIndex) {
  CheckedRun run(SimplePlan(R"([{"stepId":"b","kind":"noop","dependsOn":[],"waitForSignal":{"name":"GO_NOW"}},
                                {"stepId":"a","kind":"noop","dependsOn":[],"waitForSignal":{"name":"GO_NOW"}}])",
                            "{}", R"({"customSignals":[{"name":"GO_NOW","payloadSchema":{"type":"object"},"effect":"open_gate"}]})"));
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  run.Signal("CUSTOM:GO_NOW");
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), ElementsAre("b", "a"));
  run.RunToEnd();
}

}  // namespace
}  // namespace lockstep::interpreter::testing
