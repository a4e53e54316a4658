// How runs end other than well: the modes of onStepFailure (spec 01 section 7.3), every row of the failure mapping (04
// section 11) that is the interpreter's, run time-out and hold expiry.
#include <temporal/api/enums/v1/workflow.pb.h>

#include "engine-core/interpreter/testing/checked_run.h"

namespace lockstep::interpreter::testing {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT: time-out types
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kTwoBranches[] = R"([
  {"stepId":"bad","kind":"noop","dependsOn":[]},{"stepId":"slow","kind":"noop","dependsOn":[]},
  {"stepId":"child","kind":"noop","dependsOn":["bad"]},{"stepId":"more","kind":"noop","dependsOn":["slow"]}])";

// --- onStepFailure -------------------------------------------------------------------------------------------------------

TEST(StepFailure, FailRun_StartsNothingNew_RecordsSiblings_ThenFails) {
  CheckedRun run(SimplePlan(kTwoBranches));
  run.Quiet();
  run.Answer("bad", FailPermanent());
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), ElementsAre("slow"));
  EXPECT_FALSE(run.closed());
  run.Answer("slow", Succeed());
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted bad/1", "StepStarted slow/1", "StepFailed bad/1 PERMANENT_STEP_ERROR",
                                     "StepCompleted slow/1", "RunFailed PERMANENT_STEP_ERROR"));
  // Unscheduled steps stay PENDING.
  EXPECT_FALSE(run.Snapshot().steps.contains("child"));
  EXPECT_FALSE(run.Snapshot().steps.contains("more"));
  const auto failed = run.Event("RunFailed");
  EXPECT_EQ(CanonicalJson(*failed.payload.Find("failedStepIds")), R"(["bad"])");
  EXPECT_EQ(failed.payload.GetInt("failedStepCount"), 1);
  EXPECT_EQ(failed.payload.Find("error")->GetString("source"), "engine");
  EXPECT_THAT(failed.payload.Find("error")->GetString("message"), HasSubstr("bad"));
}

TEST(StepFailure, FailRun_SiblingsThatFailToo_AreAllNamed) {
  CheckedRun run(SimplePlan(kTwoBranches));
  run.Quiet();
  run.Answer("slow", FailTransient());
  run.Answer("bad", FailPermanent());
  run.Quiet();
  const auto failed = run.Event("RunFailed");
  EXPECT_EQ(CanonicalJson(*failed.payload.Find("failedStepIds")), R"(["bad","slow"])");
  // The first in declaration order gives the run's error.
  EXPECT_EQ(failed.payload.Find("error")->GetString("code"), "PERMANENT_STEP_ERROR");
}

TEST(StepFailure, FailRun_NamesTheFirstTwoHundredAndFiftySix) {
  Json steps = Json::MakeArray();
  for (int i = 0; i < 260; ++i) steps.Push(Json::MakeObject({{"stepId", "s" + std::to_string(i)}, {"kind", "noop"}, {"dependsOn", Json::MakeArray()}}));
  CheckedRun run(SimplePlan(CanonicalJson(steps), R"({"maxParallelism":256,"onStepFailure":"continue"})"),
                 {.policy = {.continue_steps = 0, .history_bytes = 0}, .worker = [](const StepCall&) { return FailPermanent(); }});
  run.RunToEnd();
  const auto failed = run.Event("RunFailed");
  EXPECT_EQ(failed.payload.Find("failedStepIds")->AsArray().size(), 256u);
  EXPECT_EQ(failed.payload.GetInt("failedStepCount"), 260);
}

TEST(StepFailure, Continue_IndependentBranchesGoOn_DependentsAreSkipped_FailsAtTheEnd) {
  CheckedRun run(SimplePlan(kTwoBranches, R"({"onStepFailure":"continue"})"), {.worker = FailsFirst("bad", 9, FailPermanent())});
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted bad/1", "StepStarted slow/1", "StepFailed bad/1 PERMANENT_STEP_ERROR",
                                     "StepCompleted slow/1", "StepSkipped child/1 DEPENDENCY_FAILED", "StepStarted more/1", "StepCompleted more/1",
                                     "RunFailed PERMANENT_STEP_ERROR"));
}

TEST(StepFailure, Hold_IndependentBranchesGoOn_ThenWaitsForAnOperator) {
  CheckedRun run(SimplePlan(kTwoBranches, R"({"onStepFailure":"hold"})"), {.worker = FailsFirst("bad", 1, FailTransient())});
  while (run.script().OpenTimers().empty()) {
    run.Quiet();
    run.AnswerSteps();
  }
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted bad/1", "StepStarted slow/1", "StepFailed bad/1 TRANSIENT_STEP_ERROR",
                                     "StepCompleted slow/1", "StepStarted more/1", "StepCompleted more/1"));
  EXPECT_EQ(state::Substatus(run.Snapshot(), {.hold_on_step_failure = true}), "WAITING_OPERATOR");
  run.Signal("RETRY_STEP", Json::MakeObject({{"stepId", "bad"}}));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_EQ(run.Snapshot().steps.at("bad").attempts.size(), 2u);
}

TEST(StepFailure, Hold_NobodyComes_ExpiresAfterTheDefaultOfADay) {
  CheckedRun run(SimplePlan(R"([{"stepId":"bad","kind":"noop"}])", R"({"onStepFailure":"hold"})"), {.worker = FailsFirst("bad", 9, FailPermanent())});
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  const auto held_at = run.script().now_ms();
  run.RunToEnd();
  EXPECT_GE(run.script().now_ms() - held_at, 86'400'000 - 100);
  EXPECT_LE(run.script().now_ms() - held_at, 86'400'000 + 1'000);
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted bad/1", "StepFailed bad/1 PERMANENT_STEP_ERROR", "RunFailed HOLD_EXPIRED"));
  const Json error = *run.Event("RunFailed").payload.Find("error");
  EXPECT_EQ(error.GetString("category"), "TIMEOUT");
  EXPECT_EQ(CanonicalJson(*run.Event("RunFailed").payload.Find("failedStepIds")), R"(["bad"])");
}

TEST(StepFailure, Hold_ExpiryDuringAPause_WaitsForTheResume) {
  CheckedRun run(SimplePlan(R"([{"stepId":"bad","kind":"noop"}])", R"({"onStepFailure":"hold","holdTimeoutMs":5000})"),
                 {.worker = FailsFirst("bad", 9, FailPermanent())});
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  ASSERT_TRUE(run.FireNextTimer());
  run.Quiet();
  EXPECT_FALSE(run.closed());
  EXPECT_EQ(run.status(), state::RunStatus::kPaused);
  run.Signal("RESUME");
  run.Quiet();
  EXPECT_THAT(run.Log().back(), "RunFailed HOLD_EXPIRED");
}

TEST(StepFailure, Hold_RetryThatFailsAgain_HoldsAgainForTheWholeTime) {
  CheckedRun run(SimplePlan(R"([{"stepId":"bad","kind":"noop"}])", R"({"onStepFailure":"hold","holdTimeoutMs":60000})"),
                 {.worker = FailsFirst("bad", 9, FailTransient())});
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.script().AdvanceClock(50'000);
  run.Signal("RETRY_STEP", Json::MakeObject({{"stepId", "bad"}}));
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  const auto held_at = run.script().now_ms();
  run.RunToEnd();
  EXPECT_GE(run.script().now_ms() - held_at, 59'000);
  EXPECT_THAT(run.Log().back(), "RunFailed HOLD_EXPIRED");
}

TEST(StepFailure, Continue_RetriedWithSuccessAfterItsDependentsWereSkipped_StillFails) {
  CheckedRun run(SimplePlan(kTwoBranches, R"({"onStepFailure":"continue"})"), {.worker = [](const StepCall& call) {
    if (call.step_id == "slow") return LeaveOpen();
    return call.step_id == "bad" && call.attempt == 1 ? FailTransient() : Succeed();
  }});
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.Signal("RETRY_STEP", Json::MakeObject({{"stepId", "bad"}}));
  run.Quiet();
  run.AnswerSteps();
  run.Answer("slow", Succeed());
  run.RunToEnd();
  EXPECT_EQ(run.Snapshot().steps.at("bad").status(), state::StepStatus::kSuccess);
  const Json error = *run.Event("RunFailed").payload.Find("error");
  EXPECT_EQ(error.GetString("code"), "PERMANENT_STEP_ERROR");
  EXPECT_EQ(run.Event("RunFailed").payload.GetInt("failedStepCount"), 0);
  EXPECT_THAT(error.GetString("message"), HasSubstr("skipped"));
}

// --- section 11 ----------------------------------------------------------------------------------------------------------

struct FetchCase {
  const char* code;
  bool retryable;
  const char* category;
};

TEST(FailureMapping, PlanThatDoesNotLoad_EndsTheRunWithTheCodeOfTheStage) {
  for (const FetchCase& each : {FetchCase{"PLAN_INTEGRITY_VALIDATION_FAILED", false, "VALIDATION_ERROR"}, FetchCase{"PLAN_URI_NOT_ALLOWED", false, "VALIDATION_ERROR"},
                                FetchCase{"PLAN_TOO_LARGE", false, "VALIDATION_ERROR"}, FetchCase{"PLAN_ENCODING_INVALID", false, "VALIDATION_ERROR"},
                                FetchCase{"INVALID_PLAN_SCHEMA", false, "VALIDATION_ERROR"}, FetchCase{"INVALID_STEP_SCHEMA", false, "VALIDATION_ERROR"},
                                FetchCase{"PLAN_FETCH_FAILED", true, "PLATFORM"}}) {
    CheckedRun run(ChainPlan(2), {.control = [&](std::string_view type, const Json::Array&) -> std::optional<StepAnswer> {
      if (type != "fetchPlan") return std::nullopt;
      return FailWith(Error(each.code, "the stage says no", each.retryable), 3);
    }});
    run.RunToEnd();
    EXPECT_THAT(run.Log(), ElementsAre("RunStarted", std::string("RunFailed ") + each.code));
    const Json error = *run.Event("RunFailed").payload.Find("error");
    EXPECT_EQ(error.GetBool("retryable"), each.retryable) << each.code;
    EXPECT_EQ(error.GetString("category"), each.category) << each.code;
    EXPECT_EQ(run.Result().GetString("status"), "FAILED");
  }
}

TEST(FailureMapping, TamperedPlan_IsRefusedByTheRealActivity) {
  CheckedRun run(ChainPlan(2), {.change_input = [](Json* input) { input->Find("planRef")->Set("sha256", std::string(64, '0')).Set("uri", "plan:" + std::string(64, '0')); }});
  run.RunToEnd();
  ASSERT_EQ(run.Log().size(), 2u);
  EXPECT_THAT(run.Log()[1], HasSubstr("RunFailed PLAN_"));
  EXPECT_EQ(run.CountOf("StepStarted"), 0u);
}

TEST(FailureMapping, PlanOfAnotherDigest_IsInvalidWorkflowState) {
  // An activity that answers with another plan than the reference names is no plan at all.
  CheckedRun other(ChainPlan(3));
  other.RunToEnd();
  Json page;
  for (const auto& event : other.history(0).events()) {
    if (event.has_activity_task_completed_event_attributes()) {
      page = workflow::ReadFirstJson(event.activity_task_completed_event_attributes().result()).value();
      break;
    }
  }
  CheckedRun run(ChainPlan(2), {.control = [&](std::string_view type, const Json::Array&) -> std::optional<StepAnswer> {
    if (type != "fetchPlan") return std::nullopt;
    return StepAnswer{.output = page};
  }});
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "RunFailed INVALID_WORKFLOW_STATE"));
}

TEST(FailureMapping, StepTableThatIsNone_IsInvalidWorkflowState) {
  for (const char* page : {"null", "[]", R"({"page":0})", R"({"page":0,"pageCount":1,"steps":[{}]})", R"("x")"}) {
    CheckedRun run(ChainPlan(2), {.control = [&](std::string_view type, const Json::Array&) -> std::optional<StepAnswer> {
      if (type != "fetchPlan") return std::nullopt;
      return StepAnswer{.output = ParsedJson(page)};
    }});
    run.RunToEnd();
    EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "RunFailed INVALID_WORKFLOW_STATE")) << page;
  }
}

TEST(FailureMapping, WorkerLacksAnAdmittedCapability_IsCapabilitiesNotSupported) {
  CheckedRun run(ChainPlan(2), {.control = [](std::string_view type, const Json::Array&) -> std::optional<StepAnswer> {
    if (type != "validatePlan") return std::nullopt;
    return StepAnswer{.output = ParsedJson(R"({"valid":false,"message":"this worker has no cancel.forced"})")};
  }});
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "RunFailed CAPABILITIES_NOT_SUPPORTED"));
  EXPECT_EQ(run.Event("RunFailed").payload.Find("error")->GetString("message"), "this worker has no cancel.forced");
}

TEST(FailureMapping, ControlActivityThatTimesOut_EndsTheRun) {
  CheckedRun run(ChainPlan(2), {.control = [](std::string_view type, const Json::Array&) -> std::optional<StepAnswer> {
    if (type != "validatePlan") return std::nullopt;
    return TimeOut(TIMEOUT_TYPE_START_TO_CLOSE);
  }});
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kFailed);
}

struct StepCase {
  StepAnswer answer;
  const char* code;
  bool retryable;
  const char* category;
  int32_t engine_attempt;
};

TEST(FailureMapping, StepErrors_HaveTheirCodeAndSayWhetherToRetry) {
  const StepCase cases[] = {
      {FailPermanent(), "PERMANENT_STEP_ERROR", false, "USER", 1},
      {FailTransient(3), "TRANSIENT_STEP_ERROR", true, "USER", 3},
      {TimeOut(TIMEOUT_TYPE_START_TO_CLOSE, 3), "STEP_TIMEOUT", true, "TIMEOUT", 3},
      {TimeOut(TIMEOUT_TYPE_HEARTBEAT, 2), "STEP_TIMEOUT", true, "TIMEOUT", 2},
      {TimeOut(TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, 2), "STEP_TIMEOUT", true, "TIMEOUT", 2},
      {TimeOut(TIMEOUT_TYPE_SCHEDULE_TO_START), "WORKER_UNAVAILABLE", true, "PLATFORM", 1},
      {FailWith(Error("CPU_LIMIT", "breach").With("category", "PLUGIN_SANDBOX")), "CPU_LIMIT", false, "PLUGIN_SANDBOX", 1},
      {FailWith(Error("SQL_SYNTAX", "at line 3").With("category", "business")), "SQL_SYNTAX", false, "USER", 1},
      {FailWith(Error("DISK_FULL", "no space", true).With("category", "infrastructure")), "DISK_FULL", true, "PLATFORM", 1},
  };
  for (const StepCase& each : cases) {
    CheckedRun run(ChainPlan(1), {.worker = [&](const StepCall&) { return each.answer; }});
    run.RunToEnd();
    ASSERT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", std::string("StepFailed s0/1 ") + each.code, std::string("RunFailed ") + each.code));
    const auto failed = run.Event("StepFailed");
    const Json error = *failed.payload.Find("error");
    EXPECT_EQ(error.GetBool("retryable"), each.retryable) << each.code;
    EXPECT_EQ(error.GetString("category"), each.category) << each.code;
    EXPECT_EQ(error.GetString("source"), "activity");
    EXPECT_EQ(failed.engine_attempt_id, each.engine_attempt) << each.code;
    EXPECT_TRUE(failed.payload.GetBool("final"));
  }
}

TEST(FailureMapping, ArtifactsOfAFailingStep_AreRecorded) {
  CheckedRun run(ChainPlan(1), {.worker = [](const StepCall&) {
    return FailWith(Error("PERMANENT_STEP_ERROR", "exit 2").With("artifactRefs", R"([{"uri":"artifact:log","kind":"stderr"}])"));
  }});
  run.RunToEnd();
  EXPECT_EQ(CanonicalJson(*run.Event("StepFailed").payload.Find("artifactRefs")), R"([{"kind":"stderr","uri":"artifact:log"}])");
}

TEST(FailureMapping, LongErrors_AreCutWhole) {
  std::string text;
  for (int i = 0; i < 1'500; ++i) text += "ü";
  CheckedRun run(ChainPlan(1), {.worker = [&](const StepCall&) { return FailWith(Error(std::string(90, 'C'), text)); }});
  run.RunToEnd();
  const Json error = *run.Event("StepFailed").payload.Find("error");
  EXPECT_EQ(error.GetString("code").size(), 64u);
  EXPECT_EQ(error.GetString("message").size(), 2'048u);
}

// --- runTimeoutMs --------------------------------------------------------------------------------------------------------

TEST(RunTimeout, EndsTheRun_AndInterruptsWhatIsInFlight) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"nap","kind":"sleep","dependsOn":[],"params":{"durationMs":900000}}])",
                            R"({"runTimeoutMs":60000})"),
                 {.worker = [](const StepCall&) { return LeaveOpen(); }});
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepStarted nap/1", "StepFailed nap/1 CANCELLED", "StepFailed a/1 CANCELLED",
                                     "RunFailed RUN_TIMEOUT"));
  EXPECT_FALSE(run.Event("StepFailed").payload.Find("error")->GetBool("retryable", true));
}

TEST(RunTimeout, DuringAPause_DoesNotWaitForTheResume) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"},{"stepId":"b","kind":"noop"}])", R"({"runTimeoutMs":60000})"));
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.Answer("a", Succeed());
  run.Quiet();
  ASSERT_TRUE(run.FireNextTimer());
  run.Quiet();
  EXPECT_TRUE(run.closed());
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "RunPaused 1", "StepCompleted a/1", "RunFailed RUN_TIMEOUT"));
}

TEST(RunTimeout, RunThatIsFasterNeverSeesIt) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"}])", R"({"runTimeoutMs":60000})"));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_FALSE(run.script().OpenTimers().empty());  // it ends with the execution
}

}  // namespace
}  // namespace lockstep::interpreter::testing
