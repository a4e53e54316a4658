// Messages to a run (spec 04 section 7, 03 section 5): pause, cancel, retry, skip, changes, custom signals, queries.
#include "engine-core/interpreter/testing/checked_run.h"

namespace lockstep::interpreter::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kTwoRoots[] = R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop","dependsOn":[]},
                                 {"stepId":"c","kind":"noop","dependsOn":["a"]}])";

Json StepOf(std::string_view step_id) { return Json::MakeObject({{"stepId", step_id}}); }

// --- 7.1: pause ----------------------------------------------------------------------------------------------------------

TEST(Pause, Rule1_NothingStarts_InFlightStepsRunToTheirEnd) {
  CheckedRun run(ChainPlan(3));
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), ElementsAre("s0"));
  run.Answer("s0", Succeed());
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "RunPaused 1", "StepCompleted s0/1"));
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Pause, Rule2_RunPausedNamesTheSignalTheReasonAndTheStepsInFlight) {
  CheckedRun run(SimplePlan(kTwoRoots));
  run.Quiet();
  const std::string pause = run.Signal("PAUSE", ParsedJson(R"({"reason":"release freeze"})"));
  run.Quiet();
  EXPECT_EQ(CanonicalJson(run.Event("RunPaused").payload), R"({"inFlightSteps":["a","b"],"reason":"release freeze","signalId":")" + pause + R"("})");
  run.Answer("a", Succeed());
  run.Quiet();
  const std::string resume = run.Signal("RESUME");
  run.Quiet();
  EXPECT_EQ(CanonicalJson(run.Event("RunResumed").payload), R"({"signalId":")" + resume + R"("})");
  // RunResumed before the first dispatch after it.
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepStarted b/1", "RunPaused 1", "StepCompleted a/1", "RunResumed 1",
                                     "StepStarted c/1"));
  run.RunToEnd();
}

TEST(Pause, Rule2_LongReasons_KeepTheirLastCharacterWhole) {
  std::string reason;
  for (int i = 0; i < 500; ++i) reason += "🐢";
  CheckedRun run(ChainPlan(1));
  run.Quiet();
  run.SignalOnly("PAUSE", Json::MakeObject({{"reason", reason}}));
  run.Quiet();
  EXPECT_EQ(run.Event("RunPaused").payload.GetString("reason"), reason);
  run.SignalOnly("RESUME");
  run.Quiet();
  run.SignalOnly("PAUSE", Json::MakeObject({{"reason", "x" + reason}}));
  run.Quiet();
  EXPECT_EQ(run.Event("RunPaused", 1).payload.GetString("reason").size(), 1'997u);
  run.SignalOnly("RESUME");
  run.RunToEnd();
}

TEST(Pause, Rule3_SubstatusIsDrainingWhileAnythingIsInFlight) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  EXPECT_EQ(state::Substatus(run.Snapshot(), {}), "DRAINING");
  run.Answer("s0", Succeed());
  run.Quiet();
  EXPECT_EQ(state::Substatus(run.Snapshot(), {}), "");
  run.Signal("RESUME");
  run.RunToEnd();
}

TEST(Pause, Rule3_FailureDuringAPause_EndsTheRunOnlyAfterTheResume) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.Answer("s0", FailPermanent());
  run.Quiet();
  EXPECT_FALSE(run.closed());
  EXPECT_EQ(run.Log().back(), "StepFailed s0/1 PERMANENT_STEP_ERROR");
  run.Signal("RESUME");
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "RunPaused 1", "StepFailed s0/1 PERMANENT_STEP_ERROR", "RunResumed 1",
                                     "RunFailed PERMANENT_STEP_ERROR"));
}

TEST(Pause, Rule4_LongDrain_RaisesTheAlert_StaysPaused_LateOutcomesAreApplied) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  ASSERT_EQ(run.script().OpenTimers().size(), 1u);
  const auto paused_at = run.script().now_ms();
  run.FireNextTimer();
  run.Quiet();
  EXPECT_GE(run.script().now_ms() - paused_at, 299'900);
  EXPECT_THAT(run.warnings(), Contains(HasSubstr("PAUSE_DRAIN_TIMEOUT")));
  EXPECT_EQ(run.status(), state::RunStatus::kPaused);
  run.Answer("s0", Succeed());
  run.Quiet();
  EXPECT_EQ(run.Log().back(), "StepCompleted s0/1");
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Pause, Rule4_DrainInTime_RaisesNothing) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.Answer("s0", Succeed());
  run.Quiet();
  EXPECT_THAT(run.script().OpenTimers(), IsEmpty());
  EXPECT_THAT(run.warnings(), Not(Contains(HasSubstr("PAUSE_DRAIN_TIMEOUT"))));
  run.Signal("RESUME");
  run.RunToEnd();
}

TEST(Pause, Rule5_EachCycleHasItsOccurrenceNumber) {
  CheckedRun run(ChainPlan(3));
  for (int cycle = 1; cycle <= 2; ++cycle) {
    run.Quiet();
    run.Signal("PAUSE");
    run.Quiet();
    run.AnswerSteps();
    run.Quiet();
    run.Signal("RESUME");
  }
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "RunPaused 1", "StepCompleted s0/1", "RunResumed 1", "StepStarted s1/1",
                                     "RunPaused 2", "StepCompleted s1/1", "RunResumed 2", "StepStarted s2/1", "StepCompleted s2/1", "RunCompleted"));
  EXPECT_EQ(run.Snapshot().pause_cycles, 2);
}

TEST(Pause, Rule6_PauseWhilePausedAndResumeWhileRunning_AppendNothing) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.Signal("RESUME");
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  EXPECT_EQ(run.CountOf("RunPaused"), 1u);
  EXPECT_EQ(run.CountOf("RunResumed"), 0u);
  run.Signal("RESUME");
  run.Quiet();
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_EQ(run.CountOf("RunResumed"), 1u);
}

TEST(Pause, PauseResumePauseInOneTask_AreAppliedInOrder) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.Signal("PAUSE");
  run.Signal("RESUME");
  run.Signal("PAUSE");
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "RunPaused 1", "RunResumed 1", "RunPaused 2"));
  run.Signal("RESUME");
  run.RunToEnd();
}

TEST(Pause, BeforeThePlanIsLoaded_StartsNothing) {
  CheckedRun run(ChainPlan(1));
  run.Task();
  run.Signal("PAUSE");
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "RunPaused 1"));
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Pause, InTheTaskOfTheLastOutcome_CompletesOnlyAfterTheResume) {
  CheckedRun run(ChainPlan(1));
  run.Quiet();
  run.Answer("s0", Succeed());
  run.Signal("PAUSE");
  run.Quiet();
  EXPECT_FALSE(run.closed());
  EXPECT_EQ(run.status(), state::RunStatus::kPaused);
  run.Signal("RESUME");
  run.Quiet();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Pause, SleepingSteps_DrainLikeOthers) {
  CheckedRun run(SimplePlan(R"([{"stepId":"nap","kind":"sleep","params":{"durationMs":1000}},{"stepId":"b","kind":"noop"}])"));
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.FireNextTimer();
  run.Quiet();
  EXPECT_EQ(run.Log().back(), "StepCompleted nap/1");
  run.Signal("RESUME");
  run.RunToEnd();
}

// --- 7.2: cancel ---------------------------------------------------------------------------------------------------------

TEST(Cancel, Rule2_InterruptedStepsFailAsCancelled_PendingStepsStayPending) {
  CheckedRun run(SimplePlan(kTwoRoots), {.worker = [](const StepCall&) { return LeaveOpen(); }});
  run.Quiet();
  const std::string id = run.Signal("CANCEL", ParsedJson(R"({"reason":"wrong day"})"));
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepStarted b/1", "StepFailed a/1 CANCELLED", "StepFailed b/1 CANCELLED",
                                     "RunCancelled"));
  const auto failed = run.Event("StepFailed");
  EXPECT_FALSE(failed.payload.Find("error")->GetBool("retryable", true));
  EXPECT_TRUE(failed.payload.GetBool("final"));
  EXPECT_FALSE(run.Snapshot().steps.contains("c"));
  EXPECT_EQ(CanonicalJson(run.Event("RunCancelled").payload),
            R"({"abandonedSteps":[],"forced":false,"origin":"SIGNAL","reason":"wrong day","signalId":")" + id + R"("})");
  EXPECT_EQ(run.Result().GetString("status"), "CANCELLED");
}

TEST(Cancel, StepThatFinishesInTheGrace_IsRecordedAsItEnded) {
  CheckedRun run(SimplePlan(kTwoRoots));
  run.Quiet();
  run.Signal("CANCEL");
  run.Quiet();
  run.Answer("a", Succeed());
  run.Answer("b", FailTransient());
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepStarted b/1", "StepCompleted a/1", "StepFailed b/1 TRANSIENT_STEP_ERROR",
                                     "RunCancelled"));
  EXPECT_TRUE(run.Event("StepFailed").payload.GetBool("final"));
}

TEST(Cancel, ActivitiesSeeTheRequest_AndSleepsEndAtOnce) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"nap","kind":"sleep","dependsOn":[],"params":{"durationMs":90000}}])"));
  run.Quiet();
  run.Signal("CANCEL");
  run.Quiet();
  EXPECT_THAT(run.script().OpenTimers(), IsEmpty());
  bool requested = false;
  for (const auto& event : run.history(0).events()) requested = requested || event.has_activity_task_cancel_requested_event_attributes();
  EXPECT_TRUE(requested);
  run.Answer("a", StepAnswer{.kind = StepAnswer::Kind::kCancelled});
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCancelled);
}

TEST(Cancel, BothEntryPoints_GiveTheSameEvents) {
  CheckedRun by_signal(ChainPlan(2)), native(ChainPlan(2));
  for (CheckedRun* run : {&by_signal, &native}) run->Quiet();
  by_signal.Signal("CANCEL");
  native.RequestCancel();
  for (CheckedRun* run : {&by_signal, &native}) {
    run->Quiet();
    run->Answer("s0", StepAnswer{.kind = StepAnswer::Kind::kCancelled});
    run->RunToEnd();
  }
  EXPECT_EQ(by_signal.Log(), native.Log());
  EXPECT_EQ(by_signal.OutcomeHash(), native.OutcomeHash());
  EXPECT_EQ(native.Event("RunCancelled").payload.GetString("origin"), "API");
}

TEST(Cancel, Rule4_MissingReason_ReadsCancelledBySystem) {
  CheckedRun run(ChainPlan(1));
  run.Quiet();
  run.RequestCancel();
  run.Quiet();
  run.AnswerSteps();
  run.RunToEnd();
  EXPECT_EQ(run.Event("RunCancelled").payload.GetString("reason"), "Cancelled by system");
  EXPECT_THAT(run.warnings(), Contains(HasSubstr("without a reason")));
}

TEST(Cancel, Rule4_WhilePaused_NeedsNoResume) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.Answer("s0", Succeed());
  run.Quiet();
  run.Signal("CANCEL");
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "RunPaused 1", "StepCompleted s0/1", "RunCancelled"));
}

TEST(Cancel, WhileDrainingAPause) {
  CheckedRun run(ChainPlan(2), {.worker = [](const StepCall&) { return LeaveOpen(); }});
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.Signal("CANCEL");
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "RunPaused 1", "StepFailed s0/1 CANCELLED", "RunCancelled"));
}

TEST(Cancel, SignalAlone_OnlyStoresReasonAndId) {
  CheckedRun run(ChainPlan(1));
  run.Quiet();
  run.SignalOnly("CANCEL", ParsedJson(R"({"reason":"later","signalId":"0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8b"})"));
  run.Quiet();
  EXPECT_FALSE(run.closed());
  EXPECT_THAT(run.OpenSteps(), ElementsAre("s0"));
  EXPECT_EQ(run.Query("status").GetString("cancelReason"), "later");
  run.RequestCancel();
  run.Quiet();
  run.AnswerSteps();
  run.RunToEnd();
  EXPECT_EQ(run.Event("RunCancelled").payload.GetString("reason"), "later");
  EXPECT_EQ(run.Event("RunCancelled").payload.GetString("signalId"), "0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8b");
}

TEST(Cancel, WhileThePlanLoads) {
  CheckedRun run(ChainPlan(1), {.control = [](std::string_view, const Json::Array&) -> std::optional<StepAnswer> { return LeaveOpen(); }});
  run.Quiet();
  run.Signal("CANCEL");
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "RunCancelled"));
  EXPECT_TRUE(run.closed());
}

TEST(Cancel, BeforeTheFirstTask) {
  CheckedRun run(ChainPlan(1));
  run.Signal("CANCEL", ParsedJson(R"({"reason":"at once"})"));
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "RunCancelled"));
}

TEST(Cancel, WhileHeld) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"}])", R"({"onStepFailure":"hold"})"), {.worker = FailsFirst("a", 9, FailTransient())});
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.Signal("CANCEL");
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepFailed a/1 TRANSIENT_STEP_ERROR", "RunCancelled"));
}

TEST(Cancel, WhileDrainingAfterAFailure) {
  CheckedRun run(SimplePlan(kTwoRoots));
  run.Quiet();
  run.Answer("a", FailPermanent());
  run.Quiet();
  run.Signal("CANCEL");
  run.Quiet();
  run.Answer("b", StepAnswer{.kind = StepAnswer::Kind::kCancelled});
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepStarted b/1", "StepFailed a/1 PERMANENT_STEP_ERROR",
                                     "StepFailed b/1 CANCELLED", "RunCancelled"));
}

TEST(Cancel, NoLogicalRetryOnceCancelled) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","logicalRetries":5}])"));
  run.Quiet();
  run.Signal("CANCEL");
  run.Quiet();
  run.Answer("a", FailTransient());
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepFailed a/1 TRANSIENT_STEP_ERROR", "RunCancelled"));
}

// --- order and repeats ---------------------------------------------------------------------------------------------------

TEST(Signals, DecisionSeqNotAboveTheLastApplied_IsDropped) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.SignalOnly("PAUSE", ParsedJson(R"({"decisionSeq":4})"));
  run.Quiet();
  run.SignalOnly("RESUME", ParsedJson(R"({"decisionSeq":4})"));
  run.SignalOnly("RESUME", ParsedJson(R"({"decisionSeq":3})"));
  run.Quiet();
  EXPECT_EQ(run.status(), state::RunStatus::kPaused);
  run.SignalOnly("RESUME", ParsedJson(R"({"decisionSeq":5})"));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Signals, ThatMakeNoSense_AreDroppedWithAWarning) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.script().Signal("pause", Json("now"));
  run.script().Signal("pause", Json::MakeArray());
  workflow::Payloads binary;
  (*binary.add_payloads()->mutable_metadata())["encoding"] = "binary/plain";
  run.script().Signal("pause", binary);
  run.script().Signal("no_such_signal", Json::MakeObject());
  run.script().Signal("submitControl", Json::MakeObject());
  run.SignalOnly("RETRY_STEP", Json::MakeObject({{"stepId", 5}}));
  run.SignalOnly("SKIP_STEP", StepOf("unknown"));
  run.SignalOnly("UPDATE_PARAMS", Json::MakeObject({{"params", "x"}}));
  run.SignalOnly("INJECT_OVERRIDE", StepOf("s1"));
  run.SignalOnly("UPDATE_TARGET", StepOf("s1"));
  run.SignalOnly("CUSTOM:UNDECLARED");
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1"));
  EXPECT_GE(run.warnings().size(), 5u);
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Signals, WithoutPayload_AreTakenAsEmptyObjects) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.script().Signal("pause", workflow::Payloads());
  run.Quiet();
  EXPECT_EQ(run.status(), state::RunStatus::kPaused);
  EXPECT_EQ(run.Event("RunPaused").payload.GetString("signalId").size(), 36u);
  run.script().Signal("resume", Json());
  run.RunToEnd();
}

TEST(Signals, WithAnIdThatNoEventCanCarry_GetAnother) {
  for (const Json& id : {Json(std::string(200, 'x')), Json(7), Json("")}) {
    CheckedRun run(ChainPlan(2));
    run.Quiet();
    run.script().Signal("pause", Json::MakeObject({{"signalId", id}}));
    run.Quiet();
    EXPECT_EQ(run.Event("RunPaused").payload.GetString("signalId").size(), 36u);
    run.SignalOnly("RESUME");
    run.RunToEnd();
    EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  }
}

TEST(Signals, ArrivingWhileATaskIsOpen_AreNotLost) {
  CheckedRun run(ChainPlan(3));
  run.Quiet();
  run.Answer("s0", Succeed());
  run.script().DuringNextTask([&] { run.SignalOnly("PAUSE"); });
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "StepCompleted s0/1", "StepStarted s1/1", "RunPaused 1"));
  run.SignalOnly("RESUME");
  run.RunToEnd();
}

TEST(Signals, ArrivingWhileTheLastTaskIsOpen_DoNotStopTheEnd) {
  CheckedRun run(ChainPlan(1));
  run.Quiet();
  run.Answer("s0", Succeed());
  run.script().DuringNextTask([&] { run.SignalOnly("CUSTOM:UNDECLARED"); });
  run.Quiet();
  EXPECT_TRUE(run.closed());
  EXPECT_EQ(run.CountOf("RunCompleted"), 1u);
}

// --- 7.3: retry ----------------------------------------------------------------------------------------------------------

TEST(RetryStep, Rule1_FailRunWhoseSiblingsStillDrain_GoesOn) {
  CheckedRun run(SimplePlan(kTwoRoots));
  run.Quiet();
  run.Answer("a", FailTransient());
  run.Quiet();
  run.Signal("RETRY_STEP", StepOf("a"));
  run.Quiet();
  EXPECT_EQ(state::Substatus(run.Snapshot(), {}), "RETRYING");
  EXPECT_THAT(run.OpenSteps(), ElementsAre("b", "a"));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_EQ(run.CountOf("StepStarted"), 4u);
}

TEST(RetryStep, Rule1_UnderContinue_WhileOthersRun) {
  CheckedRun run(SimplePlan(kTwoRoots, R"({"onStepFailure":"continue"})"));
  run.Quiet();
  run.Answer("b", FailTransient());
  run.Quiet();
  run.Signal("RETRY_STEP", StepOf("b"));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(RetryStep, Rule1_DuringAPause_IsAppliedOnResume) {
  CheckedRun run(ChainPlan(2), {.worker = FailsFirst("s0", 1, FailTransient())});
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.Signal("RETRY_STEP", StepOf("s0"));
  run.Quiet();
  EXPECT_EQ(run.Log().back(), "StepFailed s0/1 TRANSIENT_STEP_ERROR");
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "RunPaused 1", "StepFailed s0/1 TRANSIENT_STEP_ERROR", "RunResumed 1",
                                     "StepStarted s0/2", "StepCompleted s0/2", "StepStarted s1/1", "StepCompleted s1/1", "RunCompleted"));
}

TEST(RetryStep, OfAStepThatIsNotFailed_ChangesNothing_EvenWithForce) {
  CheckedRun run(SimplePlan(kTwoRoots));
  run.Quiet();
  run.Answer("a", Succeed());
  run.Quiet();
  for (const char* step : {"a", "b", "c", "nothing"}) {
    run.SignalOnly("RETRY_STEP", StepOf(step));
    run.SignalOnly("RETRY_STEP", Json::MakeObject({{"stepId", step}, {"force", true}}));
  }
  run.RunToEnd();
  EXPECT_EQ(run.CountOf("StepStarted"), 3u);
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(RetryStep, Rule2_NotRetryable_NeedsForce) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"}])", R"({"onStepFailure":"hold"})"), {.worker = FailsFirst("a", 1, FailPermanent())});
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.Signal("RETRY_STEP", StepOf("a"));
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  run.Signal("RETRY_STEP", ParsedJson(R"({"stepId":"a","force":true})"));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(RetryStep, Rule2_TenLogicalAttemptsAreTheLimit_ButForForce) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"}])", R"({"onStepFailure":"hold"})"), {.worker = FailsFirst("a", 11, FailTransient())});
  run.Quiet();
  for (int i = 0; i < 14; ++i) {
    run.AnswerSteps();
    run.Quiet();
    run.Signal("RETRY_STEP", StepOf("a"));
    run.Quiet();
  }
  EXPECT_EQ(run.CountOf("StepStarted"), 10u);
  run.Signal("RETRY_STEP", ParsedJson(R"({"stepId":"a","force":true})"));
  run.Quiet();
  EXPECT_EQ(run.CountOf("StepStarted"), 11u);
  run.AnswerSteps();
  run.Quiet();
  run.Signal("RETRY_STEP", ParsedJson(R"({"stepId":"a","force":true})"));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(RetryStep, TwiceInOneTask_StartsOneAttempt) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"}])", R"({"onStepFailure":"hold"})"), {.worker = FailsFirst("a", 1, FailTransient())});
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.Signal("RETRY_STEP", StepOf("a"));
  run.Signal("RETRY_STEP", StepOf("a"));
  run.RunToEnd();
  EXPECT_EQ(run.CountOf("StepStarted"), 2u);
}

TEST(RetryStep, LogicalRetriesAreCountedFromTheFirstAttempt) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","logicalRetries":1}])", R"({"onStepFailure":"hold"})"),
                 {.worker = FailsFirst("a", 3, FailTransient())});
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();  // attempts 1 and 2 are used up
  run.Signal("RETRY_STEP", StepOf("a"));
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  EXPECT_TRUE(run.Event("StepFailed", 2).payload.GetBool("final"));
  run.Signal("RETRY_STEP", StepOf("a"));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

// --- skip ----------------------------------------------------------------------------------------------------------------

TEST(SkipStep, PendingStep_IsSkippedAtOnce_DependentsRun) {
  CheckedRun run(ChainPlan(3));
  run.Quiet();
  const std::string id = run.Signal("SKIP_STEP", ParsedJson(R"({"stepId":"s1","reason":"not today"})"));
  run.Quiet();
  EXPECT_EQ(CanonicalJson(run.Event("StepSkipped").payload), R"({"reason":"not today","reasonCode":"OPERATOR_SKIP","signalId":")" + id + R"("})");
  run.RunToEnd();
  // s2 waits for s1 alone, and a skipped dependency is a satisfied one (spec 01 section 7.2).
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "StepSkipped s1/1 OPERATOR_SKIP", "StepStarted s2/1", "StepCompleted s0/1",
                                     "StepCompleted s2/1", "RunCompleted"));
}

TEST(SkipStep, RunningOrSettledStep_IsLeftAlone) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.SignalOnly("SKIP_STEP", StepOf("s0"));
  run.Quiet();
  run.Answer("s0", Succeed());
  run.Quiet();
  run.SignalOnly("SKIP_STEP", StepOf("s0"));
  run.RunToEnd();
  EXPECT_EQ(run.CountOf("StepSkipped"), 0u);
}

TEST(SkipStep, DuringAPause_IsAppendedAtOnce) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.Signal("SKIP_STEP", StepOf("s1"));
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "RunPaused 1", "StepSkipped s1/1 OPERATOR_SKIP"));
  run.Answer("s0", Succeed());
  run.Quiet();
  EXPECT_FALSE(run.closed());
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(SkipStep, OfAFailedStep_ByPauseRetrySkipResume) {
  for (const char* mode : {"fail_run", "hold", "continue"}) {
    CheckedRun run(ChainPlan(2, CanonicalJson(Json::MakeObject({{"onStepFailure", mode}}))), {.worker = FailsFirst("s0", 9, FailTransient())});
    run.Quiet();
    run.Signal("PAUSE");
    run.Quiet();
    run.AnswerSteps();
    run.Quiet();
    run.Signal("RETRY_STEP", StepOf("s0"));
    run.Quiet();
    run.Signal("SKIP_STEP", StepOf("s0"));
    run.Quiet();
    run.Signal("RESUME");
    run.RunToEnd();
    EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "RunPaused 1", "StepFailed s0/1 TRANSIENT_STEP_ERROR",
                                       "StepSkipped s0/2 OPERATOR_SKIP", "RunResumed 1", "StepStarted s1/1", "StepCompleted s1/1", "RunCompleted"))
        << mode;
  }
}

TEST(SkipStep, OfAHeldStep_WithoutRetry_IsLeftAlone) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"}])", R"({"onStepFailure":"hold"})"), {.worker = FailsFirst("a", 1, FailTransient())});
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.SignalOnly("SKIP_STEP", StepOf("a"));
  run.Quiet();
  EXPECT_EQ(run.CountOf("StepSkipped"), 0u);
  run.Signal("RETRY_STEP", StepOf("a"));
  run.RunToEnd();
}

TEST(SkipStep, BetweenTwoAutomaticAttempts_IsLeftAlone) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","logicalRetries":1}])"), {.worker = FailsFirst("a", 1, FailTransient())});
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.SignalOnly("SKIP_STEP", StepOf("a"));
  run.Quiet();
  run.Signal("RESUME");
  run.RunToEnd();
  EXPECT_EQ(run.CountOf("StepSkipped"), 0u);
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

// --- changes -------------------------------------------------------------------------------------------------------------

std::string TellingPlan() {
  return SimplePlan(R"([{"stepId":"first","kind":"echo","params":{"message":"${params.a.x} ${params.a.y}"}},
                        {"stepId":"second","kind":"echo","params":{"message":"${params.a.x} ${params.a.y}"},"target":{"schema":"raw","role":"r"}}])",
                    R"({"onStepFailure":"hold"})", R"({"params":{"a":{"x":1,"y":2}}})");
}

struct Recorder {
  std::map<std::string, Json> steps;
  StepWorker Worker(StepWorker then = [](const StepCall&) { return Succeed(); }) {
    return [this, then](const StepCall& call) {
      steps[call.step_id + "/" + std::to_string(call.attempt)] = *call.input.Find("step");
      return then(call);
    };
  }
  std::string Message(const std::string& attempt) const { return steps.at(attempt).Find("params")->GetString("message"); }
};

TEST(UpdateParams, AppliesToStepsNotYetDispatched) {
  Recorder recorder;
  CheckedRun run(TellingPlan(), {.worker = recorder.Worker()});
  run.Quiet();
  run.Signal("UPDATE_PARAMS", ParsedJson(R"({"params":{"a":{"y":7}}})"));
  run.RunToEnd();
  EXPECT_EQ(recorder.Message("first/1"), "1 2");
  EXPECT_EQ(recorder.Message("second/1"), "1 7");
}

TEST(UpdateParams, NullDeletes) {
  Recorder recorder;
  CheckedRun run(TellingPlan(), {.worker = recorder.Worker()});
  run.Quiet();
  run.Signal("UPDATE_PARAMS", ParsedJson(R"({"params":{"a":null}})"));
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  EXPECT_EQ(run.Log().back(), "StepFailed second/1 REFERENCE_UNRESOLVED");
  run.Signal("UPDATE_PARAMS", ParsedJson(R"({"params":{"a":{"x":5,"y":6}}})"));
  run.Signal("RETRY_STEP", ParsedJson(R"({"stepId":"second","force":true})"));
  run.RunToEnd();
  EXPECT_EQ(recorder.Message("second/2"), "5 6");
}

TEST(InjectOverride, IsUsedOnceByTheNextAttempt_AndNamedInItsStart) {
  Recorder recorder;
  CheckedRun run(TellingPlan(), {.worker = recorder.Worker(FailsFirst("second", 1, FailTransient()))});
  run.Quiet();
  const std::string id = run.Signal("INJECT_OVERRIDE", ParsedJson(R"({"stepId":"second","override":{"message":"by hand"}})"));
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  EXPECT_EQ(recorder.Message("second/1"), "by hand");
  EXPECT_EQ(run.Event("StepStarted", 1).payload.GetString("overrideSignalId"), id);
  run.Signal("RETRY_STEP", StepOf("second"));
  run.RunToEnd();
  EXPECT_EQ(recorder.Message("second/2"), "1 2");
  EXPECT_EQ(run.Event("StepStarted", 2).payload.Find("overrideSignalId"), nullptr);
}

TEST(InjectOverride, OfARunningStep_IsKeptForTheNextAttempt) {
  Recorder recorder;
  CheckedRun run(TellingPlan(), {.worker = recorder.Worker(FailsFirst("first", 1, FailTransient()))});
  run.Quiet();
  run.Signal("INJECT_OVERRIDE", ParsedJson(R"({"stepId":"first","override":{"message":"second try"}})"));
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.Signal("RETRY_STEP", StepOf("first"));
  run.RunToEnd();
  EXPECT_EQ(recorder.Message("first/1"), "1 2");
  EXPECT_EQ(recorder.Message("first/2"), "second try");
}

TEST(InjectOverride, ThatCannotBeResolved_IsUsedUpByTheAttemptItFails) {
  Recorder recorder;
  CheckedRun run(TellingPlan(), {.worker = recorder.Worker()});
  run.Quiet();
  run.Signal("INJECT_OVERRIDE", ParsedJson(R"({"stepId":"second","override":{"message":"${params.nothing}"}})"));
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  EXPECT_EQ(run.Log().back(), "StepFailed second/1 REFERENCE_UNRESOLVED");
  EXPECT_NE(run.Event("StepStarted", 1).payload.Find("overrideSignalId"), nullptr);
  run.Signal("RETRY_STEP", ParsedJson(R"({"stepId":"second","force":true})"));
  run.RunToEnd();
  EXPECT_EQ(recorder.Message("second/2"), "1 2");
}

TEST(InjectOverride, OfASettledStep_ChangesNothing) {
  CheckedRun run(TellingPlan());
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.SignalOnly("INJECT_OVERRIDE", ParsedJson(R"({"stepId":"first","override":{"message":"late"}})"));
  run.Quiet();
  EXPECT_EQ(CanonicalJson(*run.Query("cursor").Find("overrides")->Find("steps")), "{}");
  run.RunToEnd();
}

TEST(UpdateTarget, ReplacesMembersOfTheTarget) {
  Recorder recorder;
  CheckedRun run(TellingPlan(), {.worker = recorder.Worker(FailsFirst("second", 1, FailTransient()))});
  run.Quiet();
  run.Signal("UPDATE_TARGET", ParsedJson(R"({"stepId":"second","newTarget":{"schema":"mart"}})"));
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  EXPECT_EQ(CanonicalJson(*recorder.steps.at("second/1").Find("target")), R"({"role":"r","schema":"mart"})");
  run.Signal("UPDATE_TARGET", ParsedJson(R"({"stepId":"second","newTarget":{"role":"loader"}})"));
  run.Signal("RETRY_STEP", StepOf("second"));
  run.RunToEnd();
  EXPECT_EQ(CanonicalJson(*recorder.steps.at("second/2").Find("target")), R"({"role":"loader","schema":"mart"})");
}

TEST(UpdateTarget, OfAFailedStepUnderContinue_ServesItsRetry) {
  Recorder recorder;
  CheckedRun run(SimplePlan(kTwoRoots, R"({"onStepFailure":"continue"})"), {.worker = recorder.Worker(FailsFirst("b", 1, FailTransient()))});
  run.Quiet();
  run.Answer("b", FailTransient());
  run.Quiet();
  run.Signal("UPDATE_TARGET", ParsedJson(R"({"stepId":"b","newTarget":{"schema":"fallback"}})"));
  run.Signal("RETRY_STEP", StepOf("b"));
  run.RunToEnd();
  EXPECT_EQ(CanonicalJson(*recorder.steps.at("b/2").Find("target")), R"({"schema":"fallback"})");
}

TEST(UpdateTarget, OfARunningStep_ChangesNothing) {
  CheckedRun run(TellingPlan());
  run.Quiet();
  run.SignalOnly("UPDATE_TARGET", ParsedJson(R"({"stepId":"first","newTarget":{"schema":"mart"}})"));
  run.Quiet();
  EXPECT_EQ(CanonicalJson(*run.Query("cursor").Find("overrides")->Find("targets")), "{}");
  run.RunToEnd();
}

// --- custom signals ------------------------------------------------------------------------------------------------------

std::string CustomPlan(std::string_view signal, std::string_view message) {
  Json declared = ParsedJson(R"({"name":"NOTE_IT","payloadSchema":{"type":"object"}})");
  MergePatch(&declared, ParsedJson(signal));
  return SimplePlan(R"([{"stepId":"first","kind":"noop"},{"stepId":"second","kind":"echo","params":{"message":")" + std::string(message) + R"("}}])", "{}",
                    CanonicalJson(Json::MakeObject({{"customSignals", Json::MakeArray().Push(declared)}, {"params", ParsedJson(R"({"day":"mon"})")}})));
}

TEST(CustomSignal, Record_IsReadableThroughReferences_OldestFirst) {
  Recorder recorder;
  CheckedRun run(CustomPlan("{}", "${signals['NOTE_IT'][0].who} ${signals['NOTE_IT'][1].who}"), {.worker = recorder.Worker()});
  run.Quiet();
  run.Signal("CUSTOM:NOTE_IT", ParsedJson(R"({"who":"ann"})"));
  run.Signal("CUSTOM:NOTE_IT", ParsedJson(R"({"who":"bob"})"));
  run.RunToEnd();
  EXPECT_EQ(recorder.Message("second/1"), "ann bob");
}

TEST(CustomSignal, SetParams_MergesIntoTheRunParameters) {
  Recorder recorder;
  CheckedRun run(CustomPlan(R"({"effect":"set_params"})", "${params.day}"), {.worker = recorder.Worker()});
  run.Quiet();
  run.Signal("CUSTOM:NOTE_IT", ParsedJson(R"({"params":{"day":"tue"}})"));
  run.RunToEnd();
  EXPECT_EQ(recorder.Message("second/1"), "tue");
}

TEST(CustomSignal, OverMaxPerRun_IsIgnored) {
  CheckedRun run(CustomPlan(R"({"effect":"set_params","maxPerRun":1})", "${params.day}"));
  run.Quiet();
  run.SignalOnly("CUSTOM:NOTE_IT", ParsedJson(R"({"params":{"day":"tue"}})"));
  run.SignalOnly("CUSTOM:NOTE_IT", ParsedJson(R"({"params":{"day":"wed"}})"));
  run.Quiet();
  EXPECT_EQ(run.Query("cursor").Find("gates")->Find("signals")->Find("NOTE_IT")->AsArray().size(), 1u);
  run.RunToEnd();
}

TEST(CustomSignal, OutsideItsAllowedRunStates_IsDropped) {
  for (const auto& [states, kept] : std::map<std::string, size_t>{{R"(["RUNNING"])", 0}, {R"(["PAUSED"])", 1}, {R"(["RUNNING","PAUSED"])", 1}}) {
    CheckedRun run(CustomPlan(R"({"allowedRunStates":)" + states + "}", "x"));
    run.Quiet();
    run.Signal("PAUSE");
    run.Quiet();
    run.SignalOnly("CUSTOM:NOTE_IT", Json::MakeObject());
    run.Quiet();
    const Json cursor = run.Query("cursor");
    const Json* accepted = cursor.Find("gates")->Find("signals")->Find("NOTE_IT");
    EXPECT_EQ(accepted == nullptr ? 0u : accepted->AsArray().size(), kept) << states;
    run.Signal("RESUME");
    run.RunToEnd();
  }
}

TEST(CustomSignal, UnderItsOwnWireName_IsTheSame) {
  Recorder recorder;
  CheckedRun run(CustomPlan("{}", "${signals['NOTE_IT'][0].who}"), {.worker = recorder.Worker()});
  run.Quiet();
  run.script().Signal("custom:NOTE_IT", ParsedJson(R"({"payload":{"who":"eve"}})"));
  run.RunToEnd();
  EXPECT_EQ(recorder.Message("second/1"), "eve");
}

// --- 7.4: queries --------------------------------------------------------------------------------------------------------

TEST(Query, Status_TellsWhereTheRunStands) {
  CheckedRun run(ChainPlan(3));
  run.Task();
  EXPECT_EQ(run.Query("status").GetString("status"), "RUNNING");
  run.Quiet();
  run.Answer("s0", Succeed());
  run.Quiet();
  EXPECT_EQ(CanonicalJson(run.Query("status")),
            R"({"cancelled":false,"continuedAsNewCount":0,"currentStepIndex":1,"paused":false,"status":"RUNNING"})");
  run.Signal("PAUSE");
  run.Quiet();
  EXPECT_EQ(run.Query("status").GetString("status"), "PAUSED");
  EXPECT_TRUE(run.Query("status").GetBool("paused"));
  run.Signal("CANCEL", ParsedJson(R"({"reason":"enough"})"));
  run.Quiet();
  run.AnswerSteps();
  run.RunToEnd();
  EXPECT_EQ(CanonicalJson(run.Query("status")),
            R"({"cancelReason":"enough","cancelled":true,"continuedAsNewCount":0,"currentStepIndex":2,"paused":true,"status":"CANCELLED"})");
}

TEST(Query, StepStates_ComeInPagesOfAThousand) {
  CheckedRun run(ChainPlan(1'001));
  run.Quiet();
  run.Answer("s0", Succeed());
  run.Quiet();
  const Json first = run.Query("stepStates"), second = run.Query("stepStates", {Json(1)}), third = run.Query("stepStates", {Json(2)});
  EXPECT_EQ(first.Find("steps")->AsArray().size(), 1'000u);
  EXPECT_EQ(first.GetInt("total"), 1'001);
  EXPECT_EQ(CanonicalJson(first.Find("steps")->AsArray()[0]), R"({"attempts":1,"index":0,"status":"SUCCESS","stepId":"s0"})");
  EXPECT_EQ(first.Find("steps")->AsArray()[1].GetString("status"), "RUNNING");
  ASSERT_EQ(second.Find("steps")->AsArray().size(), 1u);
  EXPECT_EQ(second.Find("steps")->AsArray()[0].GetString("status"), "PENDING");
  EXPECT_THAT(third.Find("steps")->AsArray(), IsEmpty());
  EXPECT_EQ(run.Query("stepStates", {Json(-1)}).GetString("error"), "QUERY_FAILED");
  EXPECT_EQ(run.Query("stepStates", {Json(int64_t{INT64_MAX})}).GetString("error"), "QUERY_FAILED");
}

TEST(Query, Cursor_IsWhatARotationWouldWrite) {
  CheckedRun run(ChainPlan(3));
  run.Task();
  EXPECT_EQ(run.Query("cursor").GetString("error"), "QUERY_FAILED");  // the plan is not loaded yet
  run.Quiet();
  run.Answer("s0", Succeed());
  run.Quiet();
  const Json cursor = run.Query("cursor");
  EXPECT_EQ(cursor.GetInt("cursorSchemaVersion"), 1);
  EXPECT_EQ(CanonicalJson(*cursor.Find("settled")), R"([[0,"SUCCESS","",1,1,false]])");
  EXPECT_EQ(cursor.GetInt("continuedAsNewCount"), 1);
  EXPECT_TRUE(ParseCursor(cursor).has_value());
  run.RunToEnd();
}

TEST(Query, AfterTheEnd_IsStillAnswered) {
  CheckedRun run(ChainPlan(2));
  run.RunToEnd();
  EXPECT_EQ(CanonicalJson(run.Query("status")),
            R"({"cancelled":false,"continuedAsNewCount":0,"currentStepIndex":2,"paused":false,"status":"COMPLETED"})");
  EXPECT_EQ(run.Query("stepStates").Find("steps")->AsArray().size(), 2u);
  EXPECT_EQ(run.Query("cursor").Find("settled")->AsArray().size(), 2u);
  run.script().Evict();  // the worker that is asked may have to replay first
  EXPECT_EQ(run.Query("status").GetString("status"), "COMPLETED");
}

TEST(Query, ChangesNothing) {
  CheckedRun queried(ChainPlan(4)), left_alone(ChainPlan(4));
  for (int i = 0; i < 4; ++i) {
    for (CheckedRun* run : {&queried, &left_alone}) run->Quiet();
    for (const char* name : {"status", "stepStates", "cursor", "nothing"}) queried.Query(name);
    for (CheckedRun* run : {&queried, &left_alone}) run->AnswerSteps();
  }
  for (CheckedRun* run : {&queried, &left_alone}) run->RunToEnd();
  EXPECT_EQ(queried.history(0).ShortDebugString(), left_alone.history(0).ShortDebugString());
}

TEST(Query, Unknown_IsAnError) {
  CheckedRun run(ChainPlan(1));
  run.Task();
  EXPECT_EQ(run.Query("nothing").GetString("error"), "QUERY_UNKNOWN");
  run.RunToEnd();
}

}  // namespace
}  // namespace lockstep::interpreter::testing
