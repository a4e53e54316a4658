// The walk: rules W1 to W12 of spec 04 section 4, dispatch (5.1 to 5.3), references and probes, and plans of many steps.
#include "engine-core/interpreter/plan_run.h"

#include <temporal/api/enums/v1/event_type.pb.h>

#include "engine-core/interpreter/testing/checked_run.h"
#include "engine-core/state/keys.h"

namespace lockstep::interpreter::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using workflow::HistoryEvent;

constexpr char kDiamond[] = R"([{"stepId":"a","kind":"noop","dependsOn":[]},
                                {"stepId":"b","kind":"noop","dependsOn":["a"]},
                                {"stepId":"c","kind":"noop","dependsOn":["a"]},
                                {"stepId":"d","kind":"noop","dependsOn":["b","c"]}])";

std::vector<std::string> Kinds(const History& history) {
  std::vector<std::string> kinds;
  for (const HistoryEvent& event : history.events()) kinds.push_back(temporal::api::enums::v1::EventType_Name(event.event_type()).substr(11));
  return kinds;
}

// --- the main sequence ---------------------------------------------------------------------------------------------------

TEST(PlanRun, FirstExecution_AppendsRunStartedBeforeEverything) {
  CheckedRun run(ChainPlan(1));
  run.Task();
  // The append is the very first command: a local activity, hence a marker right after the first task.
  const auto kinds = Kinds(run.history(0));
  ASSERT_GE(kinds.size(), 6u);
  EXPECT_EQ(kinds[4], "MARKER_RECORDED");
  EXPECT_EQ(kinds[5], "ACTIVITY_TASK_SCHEDULED");
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted"));
  const auto started = run.Event("RunStarted");
  EXPECT_EQ(CanonicalJson(*started.payload.Find("engineRunRef")),
            R"({"namespace":"default","provider":"temporal","providerRunId":"run-1-of-the-provider",)"
            R"("runId":"0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a","taskQueue":"tq-control-dev","workflowId":"0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a"})");
  EXPECT_EQ(started.payload.GetString("engineType"), "temporal");
  EXPECT_EQ(started.payload.GetString("planSha256"), run.plan_ref().GetString("sha256"));
  EXPECT_EQ(started.payload.GetInt("stepCount"), 1);
  EXPECT_FALSE(started.payload.GetBool("degraded", true));
  run.RunToEnd();
}

TEST(PlanRun, WholeRun_LoadsChecksWalksSnapshotsAndCompletes) {
  CheckedRun run(ChainPlan(2));
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "StepCompleted s0/1", "StepStarted s1/1", "StepCompleted s1/1", "RunCompleted"));
  EXPECT_THAT(run.Scheduled(), ElementsAre("plan/fetch/0 @ tq-control-dev", "plan/validate @ tq-control-dev", "step/s0/1 @ tq-control-dev",
                                           "step/s1/1 @ tq-control-dev"));
  EXPECT_EQ(CanonicalJson(run.Result()),
            R"({"continuedAsNewCount":0,"runId":"0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a","status":"COMPLETED"})");
  EXPECT_EQ(CanonicalJson(run.Event("RunCompleted").payload), R"({"stepTotals":{"skipped":0,"success":2}})");
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(PlanRun, ApprovedRun_StartsFromApproved) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"}])", R"({"requiresApproval":true})"), {.approval_required = true});
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(PlanRun, EventIdsTimesAndKeys_AreFixedInTheWorkflow) {
  CheckedRun first(ChainPlan(3)), evicted(ChainPlan(3), {.evict_after_every_task = true});
  first.RunToEnd();
  evicted.RunToEnd();
  // The same code over the same history, with and without a sticky cache (RT5); a worker that takes a run up anew says who it is, which
  // makes the history a little larger.
  const auto text = [](History history) {
    for (auto& event : *history.mutable_events()) {
      if (event.has_workflow_task_completed_event_attributes()) event.mutable_workflow_task_completed_event_attributes()->clear_sdk_metadata();
      if (event.has_workflow_task_started_event_attributes()) event.mutable_workflow_task_started_event_attributes()->clear_history_size_bytes();
    }
    return history.ShortDebugString();
  };
  EXPECT_EQ(text(first.history(0)), text(evicted.history(0)));
  for (const auto& event : first.Events()) {
    EXPECT_EQ(event.idempotency_key, state::KeyOf(event));
    EXPECT_EQ(event.run_id, "0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a");
  }
}

TEST(PlanRun, InputThatIsNone_FailsTheExecution) {
  for (const char* member : {"planRef", "ctx", "admission"}) {
    CheckedRun run(ChainPlan(1), {.change_input = [member](Json* input) { input->AsObject().erase(input->AsObject().find(member)); }});
    run.RunToEnd();
    EXPECT_EQ(run.FailureType(), "INVALID_WORKFLOW_STATE") << member;
    EXPECT_THAT(run.Log(), IsEmpty()) << member;
  }
}

// --- W2 to W5: order -----------------------------------------------------------------------------------------------------

TEST(PlanRun, W2_NoDependsOn_RunsInDeclarationOrderOneAtATime) {
  CheckedRun run(SimplePlan(R"([{"stepId":"z","kind":"noop"},{"stepId":"a","kind":"noop"},{"stepId":"m","kind":"noop"}])"));
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), ElementsAre("z"));
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted z/1", "StepCompleted z/1", "StepStarted a/1", "StepCompleted a/1",
                                     "StepStarted m/1", "StepCompleted m/1", "RunCompleted"));
}

TEST(PlanRun, W2_OneEmptyDependsOn_MakesStepsWithoutItRoots) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop"},
                                {"stepId":"c","kind":"noop","dependsOn":["a"]}])"));
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), ElementsAre("a", "b"));
  run.RunToEnd();
}

TEST(PlanRun, W3_Diamond_StartsEachStepOnceAllItsDependenciesAreSatisfied) {
  CheckedRun run(SimplePlan(kDiamond));
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), ElementsAre("a"));
  run.Answer("a", Succeed());
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), ElementsAre("b", "c"));
  run.Answer("c", Succeed());
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), ElementsAre("b"));
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepCompleted a/1", "StepStarted b/1", "StepStarted c/1",
                                     "StepCompleted c/1", "StepCompleted b/1", "StepStarted d/1", "StepCompleted d/1", "RunCompleted"));
}

std::string FanOut(int width, std::string_view metadata) {
  Json steps = Json::MakeArray(), all = Json::MakeArray();
  for (int i = 0; i < width; ++i) {
    const std::string id = "w" + std::to_string(i);
    steps.Push(Json::MakeObject({{"stepId", id}, {"kind", "noop"}, {"dependsOn", Json::MakeArray()}}));
    all.Push(id);
  }
  steps.Push(Json::MakeObject({{"stepId", "merge"}, {"kind", "noop"}, {"dependsOn", std::move(all)}}));
  return SimplePlan(CanonicalJson(steps), metadata);
}

TEST(PlanRun, W3_MaxParallelism_DefaultsToSixteen) {
  CheckedRun run(FanOut(40, "{}"));
  run.Quiet();
  EXPECT_EQ(run.OpenSteps().size(), 16u);
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(PlanRun, W3_FanOutOfSixtyFour_KeepsMaxParallelismSlotsBusyLowestIndexFirst) {
  CheckedRun run(FanOut(64, R"({"maxParallelism":10})"), {.policy = {.continue_steps = 0}});
  run.Quiet();
  ASSERT_EQ(run.OpenSteps().size(), 10u);
  run.Answer("w7", Succeed());
  run.Answer("w3", Succeed());
  run.Quiet();
  EXPECT_EQ(run.OpenSteps().size(), 10u);
  EXPECT_THAT(run.OpenSteps(), IsSupersetOf({"w10", "w11"}));
  size_t most = 0;
  while (!run.closed()) {
    run.Quiet();
    most = std::max(most, run.OpenSteps().size());
    if (!run.closed()) run.Answer(run.OpenSteps().front(), Succeed());
  }
  EXPECT_EQ(most, 10u);
  EXPECT_EQ(run.CountOf("StepStarted"), 65u);
  EXPECT_EQ(run.CountOf("StepCompleted"), 65u);
}

TEST(PlanRun, W4_OutcomesOfOneTask_AreAllAppliedBeforeTheOnePass) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop","dependsOn":[]},
                                {"stepId":"z","kind":"noop","dependsOn":["b"]},{"stepId":"y","kind":"noop","dependsOn":["a"]}])"));
  run.Quiet();
  run.Answer("a", Succeed());
  run.Answer("b", Succeed());
  run.Task();
  // Both outcomes first, then both starts by declaration index: z before y although y became ready first.
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepStarted b/1", "StepCompleted a/1", "StepCompleted b/1",
                                     "StepStarted z/1", "StepStarted y/1"));
  EXPECT_THAT(run.OpenSteps(), ElementsAre("z", "y"));
  run.RunToEnd();
}

TEST(PlanRun, W5_StartsOfOnePass_AreOneAppend) {
  CheckedRun run(FanOut(5, "{}"));
  run.Quiet();
  int appends = 0;
  for (const HistoryEvent& event : run.history(0).events()) appends += event.has_marker_recorded_event_attributes() ? 1 : 0;
  EXPECT_EQ(appends, 2);  // RunStarted; five StepStarted
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted w0/1", "StepStarted w1/1", "StepStarted w2/1", "StepStarted w3/1", "StepStarted w4/1"));
  run.RunToEnd();
}

TEST(PlanRun, W6_Outcomes_AreAppendedInTheOrderTheyWereObserved) {
  CheckedRun run(FanOut(3, R"({"onStepFailure":"continue"})"));
  run.Quiet();
  run.Answer("w2", Succeed());
  run.Answer("w0", FailPermanent());
  run.Answer("w1", Succeed());
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted w0/1", "StepStarted w1/1", "StepStarted w2/1", "StepCompleted w2/1",
                                     "StepFailed w0/1 PERMANENT_STEP_ERROR", "StepCompleted w1/1", "StepSkipped merge/1 DEPENDENCY_FAILED",
                                     "RunFailed PERMANENT_STEP_ERROR"));
}

// --- W7, W8: conditions, skips -------------------------------------------------------------------------------------------

constexpr char kConditional[] = R"([
  {"stepId":"count","kind":"noop","dependsOn":[]},
  {"stepId":"many","kind":"noop","dependsOn":["count"],"runIf":[{"step":"count","path":"/rows","op":"gt","value":10}]},
  {"stepId":"after","kind":"noop","dependsOn":["many"]}])";

TEST(PlanRun, W7_FalseRunIf_SkipsTheStepWithConditionFalse_AndDependentsRun) {
  CheckedRun run(SimplePlan(kConditional), {.worker = [](const StepCall& call) {
    return call.step_id == "count" ? Succeed(ParsedJson(R"({"rows":3})")) : Succeed();
  }});
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted count/1", "StepCompleted count/1", "StepSkipped many/1 CONDITION_FALSE",
                                     "StepStarted after/1", "StepCompleted after/1", "RunCompleted"));
  EXPECT_EQ(CanonicalJson(run.Event("RunCompleted").payload), R"({"stepTotals":{"skipped":1,"success":2}})");
}

TEST(PlanRun, W7_TrueRunIf_RunsTheStep) {
  CheckedRun run(SimplePlan(kConditional), {.worker = [](const StepCall& call) {
    return call.step_id == "count" ? Succeed(ParsedJson(R"({"rows":11})")) : Succeed();
  }});
  run.RunToEnd();
  EXPECT_EQ(run.CountOf("StepSkipped"), 0u);
}

TEST(PlanRun, W7_Probes_AreAskedOfTheStepAndSuffice) {
  std::string asked;
  CheckedRun run(SimplePlan(kConditional), {.worker = [&](const StepCall& call) {
    if (call.step_id != "count") return Succeed();
    asked = CanonicalJson(*call.input.Find("probes"));
    StepAnswer answer = Succeed();  // the result itself became an artifact
    answer.output.Set("probes", Json::MakeObject({{"/rows", 99}}));
    return answer;
  }});
  run.RunToEnd();
  EXPECT_EQ(asked, R"(["/rows"])");
  EXPECT_EQ(run.CountOf("StepSkipped"), 0u);
}

TEST(PlanRun, W7_MissingProbe_IsFalseButForNe) {
  for (const auto& [op, runs] : std::map<std::string, bool>{{"eq", false}, {"lt", false}, {"exists", false}, {"ne", true}}) {
    Json predicate = Json::MakeObject({{"step", "count"}, {"path", "/rows"}, {"op", op}});
    if (op != "exists") predicate.Set("value", 1);
    Json plan = ParsedJson(kConditional);
    plan.AsArray()[1].Set("runIf", Json::MakeArray().Push(predicate));
    CheckedRun run(SimplePlan(CanonicalJson(plan)));
    run.RunToEnd();
    EXPECT_EQ(run.CountOf("StepSkipped"), runs ? 0u : 1u) << op;
  }
}

TEST(PlanRun, W8_DependencyFailed_PropagatesThroughTheBranch) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop","dependsOn":["a"]},
                                {"stepId":"c","kind":"noop","dependsOn":["b"]},{"stepId":"x","kind":"noop","dependsOn":[]}])",
                            R"({"onStepFailure":"continue"})"),
                 {.worker = FailsFirst("a", 9, FailPermanent())});
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepStarted x/1", "StepFailed a/1 PERMANENT_STEP_ERROR",
                                     "StepCompleted x/1", "StepSkipped b/1 DEPENDENCY_FAILED", "StepSkipped c/1 DEPENDENCY_FAILED",
                                     "RunFailed PERMANENT_STEP_ERROR"));
}

// --- W10: sleep ----------------------------------------------------------------------------------------------------------

TEST(PlanRun, W10_SleepSteps_AreTimersAndNoActivities) {
  CheckedRun run(SimplePlan(R"([{"stepId":"nap","kind":"sleep","params":{"durationMs":1500}}])"));
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  ASSERT_EQ(run.script().OpenTimers().size(), 1u);
  const auto before = run.script().now_ms();
  run.RunToEnd();
  EXPECT_GE(run.script().now_ms() - before, 1500);
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted nap/1", "StepCompleted nap/1", "RunCompleted"));
}

TEST(PlanRun, W10_SleepWithAResolvedLength_SleepsThatLong) {
  CheckedRun run(SimplePlan(R"([{"stepId":"nap","kind":"sleep","params":{"durationMs":"${params.wait}"}}])", "{}", R"({"params":{"wait":2500}})"));
  run.Quiet();
  const auto before = run.script().now_ms();
  run.RunToEnd();
  EXPECT_GE(run.script().now_ms() - before, 2500);
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(PlanRun, W10_SleepWithALengthThatIsNone_FailsTheStep) {
  for (const char* wait : {R"("soon")", "0", "-5", "1.5", "2592000001", "null"}) {
    CheckedRun run(SimplePlan(R"([{"stepId":"nap","kind":"sleep","params":{"durationMs":"${params.wait}"}}])"),
                   {.params = Json::MakeObject({{"wait", ParsedJson(wait)}})});
    run.RunToEnd();
    EXPECT_EQ(run.status(), state::RunStatus::kFailed) << wait;
    EXPECT_EQ(run.CountOf("StepStarted"), 1u) << wait;
  }
}

// --- W11, 5.2: attempts --------------------------------------------------------------------------------------------------

TEST(PlanRun, W11_LogicalRetries_ReenterWithTheNextAttempt) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","logicalRetries":2},{"stepId":"b","kind":"noop"}])"),
                 {.worker = FailsFirst("a", 2, FailTransient(3))});
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepFailed a/1 TRANSIENT_STEP_ERROR", "StepStarted a/2",
                                     "StepFailed a/2 TRANSIENT_STEP_ERROR", "StepStarted a/3", "StepCompleted a/3", "StepStarted b/1",
                                     "StepCompleted b/1", "RunCompleted"));
  EXPECT_FALSE(run.Event("StepFailed", 0).payload.GetBool("final", true));
  EXPECT_FALSE(run.Event("StepFailed", 1).payload.GetBool("final", true));
  EXPECT_THAT(run.Scheduled(), IsSupersetOf({"step/a/1 @ tq-control-dev", "step/a/2 @ tq-control-dev", "step/a/3 @ tq-control-dev"}));
  // The old attempts are never altered.
  const auto snapshot = run.Snapshot();
  ASSERT_EQ(snapshot.steps.at("a").attempts.size(), 3u);
  EXPECT_EQ(snapshot.steps.at("a").attempts[0].status, state::StepStatus::kFailed);
}

TEST(PlanRun, W11_LogicalRetriesUsedUp_FailForGood) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","logicalRetries":1}])"), {.worker = FailsFirst("a", 5, FailTransient())});
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepFailed a/1 TRANSIENT_STEP_ERROR", "StepStarted a/2",
                                     "StepFailed a/2 TRANSIENT_STEP_ERROR", "RunFailed TRANSIENT_STEP_ERROR"));
  EXPECT_TRUE(run.Event("StepFailed", 1).payload.GetBool("final"));
}

TEST(PlanRun, W11_PermanentError_IsNotRetriedLogically) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","logicalRetries":5}])"), {.worker = FailsFirst("a", 9, FailPermanent())});
  run.RunToEnd();
  EXPECT_EQ(run.CountOf("StepStarted"), 1u);
  EXPECT_TRUE(run.Event("StepFailed").payload.GetBool("final"));
}

TEST(PlanRun, Rule52_InfrastructureRetries_AddNoEvents_EngineAttemptIsThatOfTheOutcome) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"},{"stepId":"b","kind":"noop","logicalRetries":1}])"), {.worker = [](const StepCall& call) {
    if (call.step_id == "a") return Succeed({}, Json::MakeArray(), 3);
    return call.attempt == 1 ? FailTransient(3) : Succeed({}, Json::MakeArray(), 2);
  }});
  run.RunToEnd();
  EXPECT_EQ(run.CountOf("StepStarted"), 3u);
  EXPECT_EQ(run.Event("StepCompleted", 0).engine_attempt_id, 3);
  EXPECT_EQ(run.Event("StepFailed", 0).engine_attempt_id, 3);
  EXPECT_EQ(run.Event("StepCompleted", 1).engine_attempt_id, 2);
  EXPECT_EQ(run.Event("StepCompleted", 1).logical_attempt_id, 2);
  EXPECT_EQ(run.Event("StepStarted", 2).engine_attempt_id, 1);
}

TEST(PlanRun, Rule52_OneStartAndOneOutcome_PerLogicalAttempt) {
  CheckedRun run(ChainPlan(6), {.worker = [](const StepCall&) { return Succeed({}, Json::MakeArray(), 2); }});
  run.RunToEnd();
  std::map<std::string, int> seen;
  for (const std::string& line : run.Log()) EXPECT_EQ(++seen[line], 1) << line;
}

TEST(PlanRun, Rule52_NoDispatchBeforeStepStartedIsDurable) {
  // The store goes down when the step is to start and stays so for five minutes.
  UnixMillis down_from = 0;
  CheckedRun run(ChainPlan(1), {.store_fault = [&](const workflow::LocalActivityRequest& request, UnixMillis at) -> std::optional<Error> {
    if (!request.activity_id.starts_with("event/StepStarted")) return std::nullopt;
    if (down_from == 0) down_from = at;
    if (at < down_from + 300'000) return Error("STATE_STORE_UNAVAILABLE", "the store is down", true);
    return std::nullopt;
  }});
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted"));
  while (run.OpenSteps().empty() && run.FireNextTimer()) run.Quiet();
  EXPECT_GE(run.script().now_ms(), down_from + 300'000);
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1"));
  EXPECT_THAT(run.OpenSteps(), ElementsAre("s0"));
  run.RunToEnd();
}

TEST(PlanRun, ExecuteStep_IsScheduledWithTheTimesAndRetriesOfThePlan) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","retryPolicy":{"initialIntervalMs":250,"maxIntervalMs":4000,"backoffCoefficient":1.5,
      "maxAttempts":7,"nonRetryableCodes":["NO_SUCH_TABLE"]},"timeouts":{"attemptMs":5000,"totalMs":60000,"heartbeatMs":2000,"queueMs":30000}}])"));
  run.Quiet();
  const HistoryEvent* event = nullptr;
  for (const HistoryEvent& each : run.history(0).events()) {
    if (each.activity_task_scheduled_event_attributes().activity_id() == "step/a/1") event = &each;
  }
  ASSERT_NE(event, nullptr);
  const auto& attributes = event->activity_task_scheduled_event_attributes();
  EXPECT_EQ(attributes.activity_type().name(), "executeStep");
  EXPECT_EQ(attributes.start_to_close_timeout().seconds(), 5);
  EXPECT_EQ(attributes.schedule_to_close_timeout().seconds(), 60);
  EXPECT_EQ(attributes.heartbeat_timeout().seconds(), 2);
  EXPECT_EQ(attributes.schedule_to_start_timeout().seconds(), 30);
  const auto& retry = attributes.retry_policy();
  EXPECT_EQ(retry.initial_interval().nanos(), 250'000'000);
  EXPECT_EQ(retry.maximum_interval().seconds(), 4);
  EXPECT_EQ(retry.backoff_coefficient(), 1.5);
  EXPECT_EQ(retry.maximum_attempts(), 7);
  const std::vector<std::string> never(retry.non_retryable_error_types().begin(), retry.non_retryable_error_types().end());
  EXPECT_THAT(never, IsSupersetOf({"PERMANENT_STEP_ERROR", "PermanentStepError", "PLAN_INTEGRITY_VALIDATION_FAILED", "INVALID_PLAN_SCHEMA",
                                   "PLAN_URI_NOT_ALLOWED", "INVALID_STEP_SCHEMA", "AUTHZ_DENIED", "NO_SUCH_TABLE"}));
  run.RunToEnd();
}

TEST(PlanRun, ExecuteStep_DefaultTimes) {
  CheckedRun run(ChainPlan(1));
  run.Quiet();
  const HistoryEvent& event = run.history(0).events(run.history(0).events_size() - 1);
  const auto& attributes = event.activity_task_scheduled_event_attributes();
  EXPECT_EQ(attributes.start_to_close_timeout().seconds(), 1'800);
  EXPECT_EQ(attributes.schedule_to_close_timeout().seconds(), 5'403);
  EXPECT_EQ(attributes.retry_policy().maximum_attempts(), 3);
  EXPECT_EQ(attributes.retry_policy().maximum_interval().seconds(), 60);
  run.RunToEnd();
}

TEST(PlanRun, StepOutput_GoesIntoStepCompleted) {
  CheckedRun run(ChainPlan(1), {.worker = [](const StepCall&) {
    StepAnswer answer = Succeed(ParsedJson(R"({"rows":7})"), ParsedJson(R"([{"uri":"artifact:1","kind":"table","sha256":")" + std::string(64, 'b') + R"("}])"));
    answer.output.Set("durationMs", 12);
    return answer;
  }});
  run.RunToEnd();
  EXPECT_EQ(CanonicalJson(run.Event("StepCompleted").payload),
            R"({"artifactRefs":[{"kind":"table","sha256":")" + std::string(64, 'b') + R"(","uri":"artifact:1"}],"durationMs":12,"result":{"rows":7}})");
}

TEST(PlanRun, Rule52_2_OutputWithAStatusThatIsNone_FailsTheStep) {
  for (const char* output : {R"({})", R"({"status":"OK"})", R"({"status":"COMPLETED"})", "null", R"("done")", R"({"status":"FAILED"})"}) {
    CheckedRun run(ChainPlan(1), {.worker = [&](const StepCall&) {
      StepAnswer answer;
      answer.output = ParsedJson(output);
      return answer;
    }});
    run.RunToEnd();
    EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "StepFailed s0/1 PERMANENT_STEP_ERROR", "RunFailed PERMANENT_STEP_ERROR")) << output;
  }
}

TEST(PlanRun, OutputThatNoEventCanCarry_FailsTheStep_NotTheRunsLog) {
  for (const char* output : {R"({"status":"SUCCESS","artifactRefs":[3]})", R"({"status":"SUCCESS","artifactRefs":[{"kind":"log"}]})",
                             R"({"status":"SUCCESS","artifactRefs":[{"uri":"u","kind":"k","sha256":"short"}]})",
                             R"({"status":"SUCCESS","durationMs":-1})"}) {
    CheckedRun run(ChainPlan(1), {.worker = [&](const StepCall&) {
      StepAnswer answer;
      answer.output = ParsedJson(output);
      return answer;
    }});
    run.RunToEnd();
    EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "StepFailed s0/1 PERMANENT_STEP_ERROR", "RunFailed PERMANENT_STEP_ERROR")) << output;
    EXPECT_THAT(run.Event("StepFailed").payload.Find("error")->GetString("message"), HasSubstr("step output")) << output;
  }
}

TEST(PlanRun, FailureWithArtifactsThatNoEventCanCarry_IsRecordedWithoutThem) {
  CheckedRun run(ChainPlan(1), {.worker = [](const StepCall&) {
    return FailWith(Error("PERMANENT_STEP_ERROR", "exit 2").With("artifactRefs", R"([{"kind":"log"}])"));
  }});
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kFailed);
  EXPECT_EQ(run.Event("StepFailed").payload.Find("artifactRefs"), nullptr);
}

TEST(PlanRun, ArtifactsOfDependencies_AreTheInputOfAStep) {
  std::string input;
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"},{"stepId":"b","kind":"noop"}])"), {.worker = [&](const StepCall& call) {
    if (call.step_id == "b") input = CanonicalJson(*call.input.Find("artifacts"));
    return Succeed({}, ParsedJson(R"([{"uri":"artifact:)" + call.step_id + R"(","kind":"log","sizeBytes":4}])"));
  }});
  run.RunToEnd();
  EXPECT_EQ(input, R"([{"kind":"log","uri":"artifact:a"}])");
}

// --- 5.3: routing --------------------------------------------------------------------------------------------------------

TEST(PlanRun, Routing53_FirstMatchWins) {
  CheckedRun run(SimplePlan(R"([{"stepId":"own","kind":"noop","taskQueue":"tq-data-special","dependsOn":[]},
                                {"stepId":"isolated","kind":"noop","workerClass":"isolation","dependsOn":[]},
                                {"stepId":"heavy","kind":"dbt.run","dependsOn":[]},
                                {"stepId":"light","kind":"noop","dependsOn":[]},
                                {"stepId":"moved","kind":"noop","workerClass":"data","dependsOn":[]}])"),
                 {.policy = {.allowed_queues = {"tq-data-special"}}});
  run.Quiet();
  EXPECT_THAT(run.Scheduled(), ElementsAre("plan/fetch/0 @ tq-control-dev", "plan/validate @ tq-control-dev", "step/own/1 @ tq-data-special",
                                           "step/isolated/1 @ tq-isolation-acme-dev", "step/heavy/1 @ tq-data-dev",
                                           "step/light/1 @ tq-control-dev", "step/moved/1 @ tq-data-dev"));
  run.RunToEnd();
}

TEST(PlanRun, Routing53_ForeignQueue_EndsTheRunBeforeAnyStep) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"},{"stepId":"b","kind":"noop","taskQueue":"tq-isolation-globex-dev"}])"));
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "RunFailed TASK_QUEUE_NOT_ALLOWED"));
  EXPECT_EQ(run.Result().GetString("status"), "FAILED");
}

TEST(PlanRun, Routing53_SingleQueueMode_SendsEverythingThere) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"dbt.run"}])"), {.policy = {.task_queue = "tq-control-dev"}});
  run.RunToEnd();
  EXPECT_THAT(run.Scheduled(), ::testing::Contains("step/a/1 @ tq-control-dev"));
}

// --- 01 section 5.7: references ------------------------------------------------------------------------------------------

TEST(PlanRun, References_AreResolvedWhenTheStepStarts) {
  Json params;
  CheckedRun run(SimplePlan(R"([{"stepId":"count","kind":"noop","dependsOn":[]},
      {"stepId":"tell","kind":"echo","dependsOn":["count"],"params":{"message":"${run.id} ${params.day} ${steps['count'].result.rows} ${run.startedAt}"}}])",
                            "{}", R"({"params":{"day":"monday"}})"),
                 {.params = Json::MakeObject({{"day", "tuesday"}}), .worker = [&](const StepCall& call) {
                    if (call.step_id == "tell") params = *call.input.Find("step")->Find("params");
                    return Succeed(ParsedJson(R"({"rows":42})"));
                  }});
  run.RunToEnd();
  EXPECT_EQ(params.GetString("message"), "0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a tuesday 42 " + run.Event("RunStarted").emitted_at);
}

TEST(PlanRun, References_UnresolvedAtRunTime_FailTheStepWithoutDispatch) {
  CheckedRun run(SimplePlan(R"([{"stepId":"count","kind":"noop","dependsOn":[]},
      {"stepId":"tell","kind":"echo","dependsOn":["count"],"params":{"message":"${steps['count'].result.rows}"}}])"));
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted count/1", "StepCompleted count/1", "StepStarted tell/1",
                                     "StepFailed tell/1 REFERENCE_UNRESOLVED", "RunFailed REFERENCE_UNRESOLVED"));
  EXPECT_THAT(run.Scheduled(), ::testing::Not(::testing::Contains(HasSubstr("step/tell"))));
}

TEST(PlanRun, SecretReferences_TravelAsReferencesOnly) {
  Json step;
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"sql.query","params":{"connection":"dsn","query":"select 1"},
      "secretRefs":[{"name":"dsn","secretId":"wh","key":"dsn","version":"3"}],"target":{"schema":"mart"}}])"),
                 {.worker = [&](const StepCall& call) {
                   step = *call.input.Find("step");
                   return Succeed();
                 }});
  run.RunToEnd();
  EXPECT_EQ(CanonicalJson(*step.Find("secretRefs")), R"([{"key":"dsn","name":"dsn","secretId":"wh","version":"3"}])");
  EXPECT_EQ(CanonicalJson(*step.Find("target")), R"({"schema":"mart"})");
}

// --- size ----------------------------------------------------------------------------------------------------------------

TEST(PlanRun, TwoHundredAndFiftySteps_AllRun) {
  CheckedRun run(ChainPlan(250));
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_EQ(run.CountOf("StepCompleted"), 250u);
  EXPECT_EQ(run.executions(), 5u);  // four rotations, and nothing left to do at the fifth
  EXPECT_EQ(run.Result().GetInt("continuedAsNewCount"), 4);
}

TEST(PlanRun, PlanOfSeveralPages_IsFetchedPageByPage) {
  Json steps = Json::MakeArray();
  for (int i = 0; i < 12; ++i) {
    steps.Push(Json::MakeObject({{"stepId", "s" + std::to_string(i)}, {"kind", "echo"}, {"dependsOn", Json::MakeArray()},
                                 {"params", Json::MakeObject({{"message", std::string(40'000, 'x')}})}}));
  }
  CheckedRun run(SimplePlan(CanonicalJson(steps)), {.policy = {.history_bytes = 0}});
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_THAT(run.Scheduled(), IsSupersetOf({"plan/fetch/0 @ tq-control-dev", "plan/fetch/1 @ tq-control-dev"}));
}

// --- section 8: version gates --------------------------------------------------------------------------------------------

TEST(PlanRun, VersionGate_OlderBuild_EndsFailedRunsWithoutASnapshot_AndReplaysOnThisOne) {
  CheckedRun old(ChainPlan(1), {.worker = FailsFirst("s0", 9, FailPermanent()), .version_pins = {{"snapshot-on-every-end", -1}}});
  old.RunToEnd();
  EXPECT_EQ(old.status(), state::RunStatus::kFailed);
  CheckedRun current(ChainPlan(1), {.worker = FailsFirst("s0", 9, FailPermanent())});
  current.RunToEnd();
  const auto markers = [](const PlanScript& run, std::string_view name) {
    int count = 0;
    for (const HistoryEvent& event : run.history(0).events()) {
      if (event.has_marker_recorded_event_attributes() && event.marker_recorded_event_attributes().marker_name() == name) ++count;
    }
    return count;
  };
  EXPECT_EQ(markers(old, "Version"), 0);
  EXPECT_EQ(markers(current, "Version"), 1);
  EXPECT_EQ(markers(current, "LocalActivity"), markers(old, "LocalActivity") + 1);
  EXPECT_EQ(old.OutcomeHash(), current.OutcomeHash());
}

TEST(PlanRun, VersionGate_ReplayOfAPinnedHistoryWithThePin_IsIdenticalToo) {
  CheckedRun old(ChainPlan(1), {.version_pins = {{"snapshot-on-every-end", -1}}});
  old.Quiet();
  old.Signal("CANCEL");
  old.RunToEnd();
  workflow::ExecutionOptions options;
  options.version_pins = {{"snapshot-on-every-end", -1}};
  EXPECT_THAT(workflow::testing::Replay(old.registry(), old.history(0), SIZE_MAX, options).divergences, IsEmpty());
}

TEST(PlanRun, StatusAttribute_IsKeptUpToDateOnChangeOnly) {
  CheckedRun run(ChainPlan(3), {.policy = {.status_attribute = true}});
  run.RunToEnd();
  std::vector<std::string> values;
  for (const HistoryEvent& event : run.history(0).events()) {
    if (!event.has_upsert_workflow_search_attributes_event_attributes()) continue;
    const auto& fields = event.upsert_workflow_search_attributes_event_attributes().search_attributes().indexed_fields();
    if (const auto it = fields.find("runStatus"); it != fields.end()) values.push_back(it->second.data());
  }
  EXPECT_THAT(values, ElementsAre("\"RUNNING\"", "\"COMPLETED\""));
}

// --- changed code is seen ------------------------------------------------------------------------------------------------

TEST(PlanRun, ReplayOfAHistoryWithAnotherPlan_Diverges) {
  CheckedRun run(ChainPlan(2));
  run.RunToEnd();
  History changed = run.history(0);
  for (HistoryEvent& event : *changed.mutable_events()) {
    if (!event.has_activity_task_completed_event_attributes()) continue;
    auto* result = event.mutable_activity_task_completed_event_attributes()->mutable_result();
    auto table = workflow::ReadFirstJson(*result);
    ASSERT_TRUE(table.has_value());
    table->Find("steps")->AsArray()[1].Set("stepId", "other");
    *result = workflow::JsonPayloads(*table);
    break;
  }
  const auto outcome = workflow::testing::Replay(run.registry(), changed);
  ASSERT_FALSE(outcome.divergences.empty());
}

}  // namespace
}  // namespace lockstep::interpreter::testing
