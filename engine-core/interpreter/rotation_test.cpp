// Continue-as-new (spec 04 section 6): when it happens, what it waits for, what it carries, and that nothing is lost.
#include "engine-core/interpreter/testing/checked_run.h"

namespace lockstep::interpreter::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Policy Every(int64_t steps) {
  Policy policy;
  policy.continue_steps = steps;
  policy.history_bytes = 0;
  policy.server_suggestion = false;
  policy.provider_namespace = "default";
  return policy;
}

const Json& CursorOf(const PlanScript& run, size_t execution) { return *run.inputs().at(execution).Find("cursor"); }

std::string OutcomeWith(const std::string& plan, Policy policy, StepWorker worker) {
  CheckedRun run(plan, {.policy = std::move(policy), .worker = std::move(worker)});
  run.RunToEnd();
  return run.OutcomeHash();
}

// --- triggers ------------------------------------------------------------------------------------------------------------

TEST(Rotation, FiftySettledSteps_IsTheDefault) {
  CheckedRun run(ChainPlan(120));
  run.RunToEnd();
  ASSERT_EQ(run.executions(), 3u);
  EXPECT_EQ(CursorOf(run, 1).Find("settled")->AsArray().size(), 50u);
  EXPECT_EQ(CursorOf(run, 2).Find("settled")->AsArray().size(), 100u);
  EXPECT_EQ(run.Result().GetInt("continuedAsNewCount"), 2);
  EXPECT_EQ(run.CountOf("RunStarted"), 1u);
}

TEST(Rotation, IsSkippedWhenNothingIsLeftToDo) {
  CheckedRun run(ChainPlan(50));
  run.RunToEnd();
  EXPECT_EQ(run.executions(), 1u);
}

TEST(Rotation, HistoryBytes_AreThoseOfTheLastTaskStartedEvent) {
  Policy policy = Every(0);
  policy.history_bytes = 40'000;
  CheckedRun run(ChainPlan(60), {.policy = policy});
  run.RunToEnd();
  EXPECT_GT(run.executions(), 2u);
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  for (size_t i = 0; i + 1 < run.executions(); ++i) EXPECT_GT(run.history(i).ByteSizeLong(), 40'000u);
}

TEST(Rotation, HistoryBytesBelowWhatThePlanItselfTakes_StillMakeProgress) {
  Policy policy = Every(0);
  policy.history_bytes = 1;
  CheckedRun run(ChainPlan(6), {.policy = policy});
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_LE(run.executions(), 6u);
}

TEST(Rotation, SignalsAlone_FillAHistoryToo) {
  Policy policy = Every(0);
  policy.history_bytes = 1 << 20;
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","waitForSignal":{"name":"GO_NOW"}},{"stepId":"b","kind":"noop"}])", "{}",
                            R"({"customSignals":[{"name":"GO_NOW","payloadSchema":{"type":"object"},"effect":"open_gate"}]})"),
                 {.policy = policy});
  run.Quiet();
  const std::string filler(50'000, 'x');
  for (int i = 0; i < 30 && run.executions() == 1; ++i) {
    run.SignalOnly("PAUSE", Json::MakeObject({{"filler", filler}}));
    run.SignalOnly("RESUME", Json::MakeObject({{"filler", filler}}));
    run.Quiet();
  }
  EXPECT_EQ(run.executions(), 2u);
  run.Signal("CUSTOM:GO_NOW");
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Rotation, PassKnob_CountsDispatchPasses) {
  Policy policy = Every(0);
  policy.max_passes = 2;
  CheckedRun run(ChainPlan(5), {.policy = policy});
  run.RunToEnd();
  EXPECT_EQ(run.executions(), 3u);
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Rotation, Zeroes_SwitchItOff) {
  CheckedRun run(ChainPlan(130), {.policy = Every(0)});
  run.RunToEnd();
  EXPECT_EQ(run.executions(), 1u);
}

// --- how -----------------------------------------------------------------------------------------------------------------

TEST(Rotation, DispatchesNothingNew_AndDrainsFirst) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop","dependsOn":[]},
                                {"stepId":"c","kind":"noop","dependsOn":["a"]}])"), {.policy = Every(1)});
  run.Quiet();
  run.Answer("a", Succeed());
  run.Quiet();
  EXPECT_EQ(run.executions(), 1u);
  EXPECT_THAT(run.OpenSteps(), ElementsAre("b"));
  run.Answer("b", Succeed());
  run.Quiet();
  EXPECT_EQ(run.executions(), 2u);
  EXPECT_THAT(run.OpenSteps(), ElementsAre("c"));
  run.RunToEnd();
  EXPECT_EQ(run.Log().back(), "RunCompleted");
}

TEST(Rotation, InputIsTheSameButForTheCursor) {
  CheckedRun run(ChainPlan(3), {.policy = Every(2), .params = ParsedJson(R"({"a":1})")});
  run.RunToEnd();
  ASSERT_EQ(run.executions(), 2u);
  Json next = run.inputs()[1];
  ASSERT_NE(next.Find("cursor"), nullptr);
  next.AsObject().erase(next.AsObject().find("cursor"));
  EXPECT_EQ(CanonicalJson(next), CanonicalJson(run.inputs()[0]));
}

TEST(Rotation, CursorHoldsNeitherPlanNorResults) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"echo","params":{"message":"plan-text-marker"}},{"stepId":"b","kind":"noop"},{"stepId":"c","kind":"noop"}])"),
                 {.policy = Every(1), .worker = [](const StepCall&) { return Succeed(ParsedJson(R"({"text":"result-marker"})"), ParsedJson(R"([{"uri":"artifact:1","kind":"log","sizeBytes":10,"expiresAt":"2030-01-01T00:00:00.000Z"}])")); }});
  run.RunToEnd();
  const std::string cursor = CanonicalJson(CursorOf(run, 1));
  EXPECT_THAT(cursor, Not(HasSubstr("plan-text-marker")));
  EXPECT_THAT(cursor, Not(HasSubstr("result-marker")));
  EXPECT_THAT(cursor, HasSubstr(R"("artifacts":{"0":[{"kind":"log","uri":"artifact:1"}]})"));
}

TEST(Rotation, Rule4_TwoHundredAndTwentySteps_SameOutcomeHashWithAndWithout) {
  // A wide and deep graph with failures, skips and conditions.
  Json steps = Json::MakeArray();
  for (int i = 0; i < 220; ++i) {
    Json depends = Json::MakeArray();
    if (i >= 10) depends.Push("s" + std::to_string(i - 10));
    if (i >= 13 && i % 3 == 0) depends.Push("s" + std::to_string(i - 13));
    Json step = Json::MakeObject({{"stepId", "s" + std::to_string(i)}, {"kind", "noop"}, {"dependsOn", std::move(depends)}, {"logicalRetries", i % 5 == 0 ? 1 : 0}});
    if (i >= 10 && i % 7 == 0) {
      step.Set("runIf", Json::MakeArray().Push(Json::MakeObject({{"step", "s" + std::to_string(i - 10)}, {"path", "/n"}, {"op", "lt"}, {"value", 150}})));
    }
    steps.Push(std::move(step));
  }
  const std::string plan = SimplePlan(CanonicalJson(steps), R"({"onStepFailure":"continue"})");
  const StepWorker worker = [](const StepCall& call) {
    const auto number = std::stoi(call.step_id.substr(1));
    if (number == 63) return FailPermanent();
    if (number % 5 == 0 && call.attempt == 1) return FailTransient();
    return Succeed(Json::MakeObject({{"n", number}}), ParsedJson(R"([{"uri":"x:1","kind":"table","sha256":")" + std::string(64, static_cast<char>('0' + number % 10)) + R"("}])"));
  };
  Policy bytes = Every(0);
  bytes.history_bytes = 50'000;
  const std::string off = OutcomeWith(plan, Every(0), worker);
  EXPECT_EQ(OutcomeWith(plan, Every(50), worker), off);
  EXPECT_EQ(OutcomeWith(plan, Every(7), worker), off);
  EXPECT_EQ(OutcomeWith(plan, bytes, worker), off);
}

// --- nothing is lost -----------------------------------------------------------------------------------------------------

TEST(Rotation, WhilePaused_StaysPaused_WithItsOrdinal) {
  CheckedRun run(ChainPlan(4), {.policy = Every(1)});
  run.Quiet();
  run.Signal("PAUSE", ParsedJson(R"({"reason":"night"})"));
  run.Quiet();
  run.Answer("s0", Succeed());
  run.Quiet();
  EXPECT_EQ(run.executions(), 2u);
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  EXPECT_EQ(run.Query("status").GetString("status"), "PAUSED");
  const Json& control = *CursorOf(run, 1).Find("control");
  EXPECT_TRUE(control.GetBool("paused"));
  EXPECT_EQ(control.GetString("pauseReason"), "night");
  EXPECT_EQ(control.GetInt("pauseOrdinal"), 1);
  run.SignalOnly("PAUSE");  // still paused: nothing
  run.Quiet();
  run.Signal("RESUME");
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_THAT(run.Log(), Contains("RunPaused 2"));
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_EQ(run.CountOf("RunResumed"), 2u);
}

std::string GatedPlan(std::string_view gate) {
  Json steps = ParsedJson(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop","dependsOn":["a"]},
                              {"stepId":"g","kind":"noop","dependsOn":[]}])");
  steps.AsArray()[2].Set("waitForSignal", ParsedJson(gate));
  return SimplePlan(CanonicalJson(steps), R"({"maxParallelism":1})", R"({"customSignals":[{"name":"GO_NOW","payloadSchema":{"type":"object"},"effect":"open_gate"}]})");
}

TEST(Rotation, WithAnOpenGate_KeepsCountsAndDeadline) {
  CheckedRun run(GatedPlan(R"({"name":"GO_NOW","count":2,"timeoutMs":60000,"onTimeout":"skip"})"), {.policy = Every(1)});
  run.Quiet();
  const auto armed = run.script().now_ms();
  run.Signal("CUSTOM:GO_NOW");
  run.Quiet();
  run.script().AdvanceClock(20'000);
  run.Answer("a", Succeed());
  run.Quiet();
  ASSERT_EQ(run.executions(), 2u);
  const Json& gates = *CursorOf(run, 1).Find("gates");
  EXPECT_EQ(gates.Find("signals")->Find("GO_NOW")->AsArray().size(), 1u);
  const int64_t deadline = gates.Find("deadlines")->GetInt("2");
  EXPECT_GE(deadline, armed + 59'000);
  EXPECT_LE(deadline, armed + 60'000);
  run.Answer("b", Succeed());
  run.RunToEnd();
  EXPECT_GE(run.script().now_ms(), deadline);
  EXPECT_LE(run.script().now_ms(), deadline + 1'000);
  EXPECT_THAT(run.Log(), Contains("StepSkipped g/1 GATE_TIMEOUT"));
}

TEST(Rotation, WithAnOpenGate_TheSecondSignalOpensIt) {
  CheckedRun run(GatedPlan(R"({"name":"GO_NOW","count":2})"), {.policy = Every(1)});
  run.Quiet();
  run.Signal("CUSTOM:GO_NOW");
  run.Quiet();
  run.Answer("a", Succeed());
  run.Quiet();
  run.Answer("b", Succeed());
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  run.Signal("CUSTOM:GO_NOW");
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Rotation, GateThatLetAStepThroughWithoutASlot_DoesNotStartOver) {
  CheckedRun run(GatedPlan(R"({"name":"GO_NOW","timeoutMs":5000,"onTimeout":"proceed"})"), {.policy = Every(1)});
  run.Quiet();
  ASSERT_TRUE(run.FireNextTimer());  // a takes the only slot: g is ready and waits for one
  run.Quiet();
  run.Answer("a", Succeed());
  run.Quiet();
  ASSERT_EQ(run.executions(), 2u);
  const auto rotated = run.script().now_ms();
  run.RunToEnd();
  EXPECT_LT(run.script().now_ms(), rotated + 4'000);
  EXPECT_THAT(run.Log(), Contains("StepCompleted g/1"));
}

TEST(Rotation, WithAStepThatAnOperatorReopened_RunsItsNextAttempt) {
  // The step waits behind a pause; its gate and its condition were judged before the first attempt.
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop","dependsOn":[]}])", R"({"onStepFailure":"hold"})"),
                 {.policy = Every(1), .worker = FailsFirst("b", 1, FailTransient())});
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.Answer("b", FailTransient());
  run.Quiet();
  run.Signal("RETRY_STEP", Json::MakeObject({{"stepId", "b"}}));
  run.Quiet();
  run.Answer("a", Succeed());
  run.Quiet();
  ASSERT_EQ(run.executions(), 2u);
  EXPECT_EQ(CursorOf(run, 1).Find("attempts")->GetInt("1"), 2);
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_THAT(run.Log(), Contains("StepCompleted b/2"));
}

TEST(Rotation, WithAStepThatAnOperatorReopened_SkipStillTakesIt) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop","dependsOn":[]}])", R"({"onStepFailure":"hold"})"),
                 {.policy = Every(1)});
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.Answer("b", FailTransient());
  run.Quiet();
  run.Signal("RETRY_STEP", Json::MakeObject({{"stepId", "b"}}));
  run.Quiet();
  run.Answer("a", Succeed());
  run.Quiet();
  ASSERT_EQ(run.executions(), 2u);
  run.Signal("SKIP_STEP", Json::MakeObject({{"stepId", "b"}}));
  run.Quiet();
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_THAT(run.Log(), Contains("StepSkipped b/2 OPERATOR_SKIP"));
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Rotation, WithAHeldStep_KeepsItsDeadline_AndItMayBeRetried) {
  const std::string plan = SimplePlan(R"([{"stepId":"bad","kind":"noop","dependsOn":[]},{"stepId":"a","kind":"noop","dependsOn":[]},
                                          {"stepId":"b","kind":"noop","dependsOn":["bad"]}])", R"({"onStepFailure":"hold","holdTimeoutMs":60000})");
  for (const bool retried : {true, false}) {
    CheckedRun run(plan, {.policy = Every(1), .worker = FailsFirst("bad", 1, FailTransient())});
    run.Quiet();
    run.Answer("bad", FailTransient());
    run.Quiet();
    run.Answer("a", Succeed());
    run.Quiet();
    ASSERT_EQ(run.executions(), 2u);
    EXPECT_EQ(CanonicalJson(*CursorOf(run, 1).Find("settled")), R"([[0,"FAILED","TRANSIENT_STEP_ERROR",1,3,true],[1,"SUCCESS","",1,1,false]])");
    if (retried) run.Signal("RETRY_STEP", Json::MakeObject({{"stepId", "bad"}}));
    run.RunToEnd();
    EXPECT_EQ(run.status(), retried ? state::RunStatus::kCompleted : state::RunStatus::kFailed);
    if (!retried) EXPECT_EQ(run.Log().back(), "RunFailed HOLD_EXPIRED");
  }
}

TEST(Rotation, RunTimeout_CountsFromTheStartOfTheRun) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"},{"stepId":"b","kind":"noop"},{"stepId":"c","kind":"noop"}])", R"({"runTimeoutMs":60000})"),
                 {.policy = Every(1)});
  run.Quiet();
  const auto started = run.script().now_ms();
  run.script().AdvanceClock(40'000);
  run.Answer("a", Succeed());
  run.Quiet();
  ASSERT_EQ(run.executions(), 2u);
  ASSERT_TRUE(run.FireNextTimer());
  EXPECT_LE(run.script().now_ms(), started + 61'000);
  run.Quiet();
  run.Answer("b", StepAnswer{.kind = StepAnswer::Kind::kCancelled});
  run.RunToEnd();
  EXPECT_EQ(run.Log().back(), "RunFailed RUN_TIMEOUT");
}

TEST(Rotation, ParameterUpdates_SurviveAsTheyWereApplied) {
  std::string message;
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"},{"stepId":"b","kind":"noop"},{"stepId":"c","kind":"echo","params":{"message":"${params.p.x} ${params.p.y} ${params.p.z}"}}])",
                            "{}", R"({"params":{"p":{"x":1,"y":1,"z":1},"gone":1}})"),
                 {.policy = Every(1), .worker = [&](const StepCall& call) {
                    if (call.step_id == "c") message = call.input.Find("step")->Find("params")->GetString("message");
                    return Succeed();
                  }});
  run.Quiet();
  run.Signal("UPDATE_PARAMS", ParsedJson(R"({"params":{"p":{"x":2},"gone":null}})"));
  run.Signal("UPDATE_PARAMS", ParsedJson(R"({"params":{"p":{"y":3}}})"));
  run.RunToEnd();
  ASSERT_EQ(run.executions(), 3u);
  EXPECT_EQ(message, "2 3 1");
  EXPECT_EQ(CanonicalJson(*CursorOf(run, 2).Find("overrides")->Find("params")), R"({"p":{"x":2,"y":3,"z":1}})");
}

TEST(Rotation, OverridesAndTargets_Survive) {
  Json last;
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"},{"stepId":"b","kind":"noop"},{"stepId":"c","kind":"echo","params":{"message":"plain"}}])"),
                 {.policy = Every(1), .worker = [&](const StepCall& call) {
                    last = *call.input.Find("step");
                    return Succeed();
                  }});
  run.Quiet();
  const std::string id = run.Signal("INJECT_OVERRIDE", ParsedJson(R"({"stepId":"c","override":{"message":"changed"}})"));
  run.Signal("UPDATE_TARGET", ParsedJson(R"({"stepId":"c","newTarget":{"schema":"mart"}})"));
  run.RunToEnd();
  EXPECT_EQ(last.Find("params")->GetString("message"), "changed");
  EXPECT_EQ(last.Find("target")->GetString("schema"), "mart");
  EXPECT_EQ(run.Event("StepStarted", 2).payload.GetString("overrideSignalId"), id);
}

TEST(Rotation, ProbesStillNeeded_Survive) {
  std::string message;
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"},{"stepId":"b","kind":"noop"},
      {"stepId":"c","kind":"echo","params":{"message":"${steps['a'].result.rows}"},"runIf":[{"step":"a","path":"/ok","op":"eq","value":true}]}])"),
                 {.policy = Every(1), .worker = [&](const StepCall& call) {
                    if (call.step_id == "c") message = CanonicalJson(*call.input.Find("step")->Find("params")->Find("message"));
                    return Succeed(ParsedJson(R"({"rows":12,"ok":true})"));
                  }});
  run.RunToEnd();
  EXPECT_EQ(run.executions(), 3u);
  EXPECT_EQ(message, "12");
  EXPECT_EQ(CanonicalJson(*CursorOf(run, 2).Find("probes")), R"({"0":{"/ok":true,"/rows":12}})");
}

TEST(Rotation, DependencyFailures_AreRemembered) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop","dependsOn":["a"]},
                                {"stepId":"x","kind":"noop","dependsOn":[]},{"stepId":"y","kind":"noop","dependsOn":["x"]}])", R"({"onStepFailure":"continue"})"),
                 {.policy = Every(1), .worker = FailsFirst("a", 9, FailPermanent())});
  run.RunToEnd();
  EXPECT_GT(run.executions(), 1u);
  EXPECT_EQ(run.status(), state::RunStatus::kFailed);
  EXPECT_EQ(CanonicalJson(*run.Event("RunFailed").payload.Find("failedStepIds")), R"(["a"])");
}

TEST(Rotation, SignalInTheRotatingTask_IsAppliedOnce) {
  CheckedRun run(ChainPlan(3), {.policy = Every(1)});
  run.Quiet();
  run.Answer("s0", Succeed());
  run.script().DuringNextTask([&] { run.SignalOnly("PAUSE", ParsedJson(R"({"decisionSeq":1})")); });
  run.Quiet();
  EXPECT_EQ(run.CountOf("RunPaused"), 1u);
  EXPECT_EQ(run.executions(), 2u);
  EXPECT_EQ(CursorOf(run, 1).GetInt("lastDecisionSeq"), 1);
  run.SignalOnly("PAUSE", ParsedJson(R"({"decisionSeq":1})"));
  run.SignalOnly("RESUME", ParsedJson(R"({"decisionSeq":2})"));
  run.RunToEnd();
  EXPECT_EQ(run.CountOf("RunPaused"), 1u);
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Rotation, SignalWhileTheLastAppendBeforeItWaitsForTheStore_IsNotLost) {
  UnixMillis until = 0;
  CheckedRun run(ChainPlan(3), {.policy = Every(1), .store_fault = [&](const workflow::LocalActivityRequest& request, UnixMillis at) -> std::optional<Error> {
    if (request.activity_id != "event/StepCompleted/s0/1") return std::nullopt;
    if (until == 0) until = at + 60'000;
    return at < until ? std::optional(Error("STATE_STORE_UNAVAILABLE", "down", true)) : std::nullopt;
  }});
  run.Quiet();
  run.Answer("s0", Succeed());
  run.Quiet();
  ASSERT_EQ(run.executions(), 1u);  // the outcome is not durable yet
  run.SignalOnly("PAUSE", ParsedJson(R"({"decisionSeq":1})"));
  run.Quiet();
  while (run.executions() == 1 && run.FireNextTimer()) run.Quiet();
  EXPECT_EQ(run.executions(), 2u);
  EXPECT_EQ(run.CountOf("RunPaused"), 1u);
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  run.SignalOnly("RESUME", ParsedJson(R"({"decisionSeq":2})"));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Rotation, CancelSignalWhoseNativeHalfComesAfterIt_KeepsReasonAndId) {
  CheckedRun run(ChainPlan(3), {.policy = Every(1)});
  run.Quiet();
  run.SignalOnly("CANCEL", ParsedJson(R"({"reason":"too late","signalId":"0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8b"})"));
  run.Quiet();
  run.Answer("s0", Succeed());
  run.Quiet();
  ASSERT_EQ(run.executions(), 2u);
  EXPECT_TRUE(CursorOf(run, 1).Find("control")->GetBool("cancelRequested"));
  run.RequestCancel();
  run.Quiet();
  run.AnswerSteps();
  run.RunToEnd();
  EXPECT_EQ(run.Event("RunCancelled").payload.GetString("reason"), "too late");
  EXPECT_EQ(run.Event("RunCancelled").payload.GetString("origin"), "SIGNAL");
}

TEST(Rotation, CancelInTheRotatingTask_Cancels) {
  CheckedRun run(ChainPlan(3), {.policy = Every(1)});
  run.Quiet();
  run.Answer("s0", Succeed());
  run.RequestCancel();
  run.Quiet();
  EXPECT_EQ(run.executions(), 1u);
  EXPECT_THAT(run.Log().back(), "RunCancelled");
}

// --- W12 -----------------------------------------------------------------------------------------------------------------

struct CursorCase {
  const char* name;
  std::function<void(Json*)> change;
};

TEST(Rotation, W12_ForeignCursor_IsInvalidWorkflowState) {
  CheckedRun donor(ChainPlan(3), {.policy = Every(1)});
  donor.RunToEnd();
  const CursorCase cases[] = {
      {"index outside the plan", [](Json* cursor) { cursor->Find("settled")->Push(ParsedJson(R"([3,"SUCCESS","",1,1,false])")); }},
      {"attempts outside", [](Json* cursor) { cursor->Find("attempts")->Set("9999", 2); }},
      {"artifacts outside", [](Json* cursor) { cursor->Find("artifacts")->Set("77", Json::MakeArray()); }},
      {"probes outside", [](Json* cursor) { cursor->Find("probes")->Set("77", Json::MakeObject()); }},
      {"gates outside", [](Json* cursor) { cursor->Find("gates")->Find("deadlines")->Set("77", 5); }},
      {"another plan", [](Json* cursor) { cursor->Set("planSha256", std::string(64, '0')); }},
      {"a step twice", [](Json* cursor) { cursor->Find("settled")->Push(ParsedJson(R"([0,"SUCCESS","",1,1,false])")); }},
  };
  for (const CursorCase& each : cases) {
    CheckedRun run(ChainPlan(3), {.change_input = [&](Json* input) {
      Json cursor = CursorOf(donor, 1);
      each.change(&cursor);
      input->Set("cursor", std::move(cursor));
    }});
    // The log of this run needs its RunStarted: that of an earlier execution.
    run.Quiet();
    EXPECT_TRUE(run.closed()) << each.name;
    ASSERT_EQ(run.CountOf("RunFailed"), 1u) << each.name;
    EXPECT_EQ(run.Event("RunFailed").payload.Find("error")->GetString("code"), "INVALID_WORKFLOW_STATE") << each.name;
    EXPECT_EQ(run.CountOf("StepStarted"), 0u) << each.name;
  }
}

}  // namespace
}  // namespace lockstep::interpreter::testing
