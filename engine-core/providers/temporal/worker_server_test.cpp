// The worker against the real development server: everything a workflow can ask of it.
#include <gtest/gtest.h>
#include <signal.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/enums/v1/failed_cause.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "engine-core/providers/temporal/server_test_support.h"
#include "engine-core/providers/temporal/stop_signals.h"
#include "engine-core/providers/temporal/worker.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::provider::testing {
namespace {

using activity::ActivityContext;
namespace enums = ::temporal::api::enums::v1;

Json Input(const wf::Payloads& input) { return workflow::ReadFirstJson(input).value_or(Json()); }

// A wait that honours cancellation, as every activity must.
Result<Json> WaitOrCancel(ActivityContext& context, int64_t millis) {
  if (context.WaitForCancellation(millis)) return Fail("CANCELLED", "told to stop");
  return Json("done");
}

// --- workflows of these tests
// --------------------------------------------------------------------------------------------

wf::Task<wf::WorkflowResult> EchoWorkflow(const wf::Payloads& input) {
  auto outcome = co_await wf::execute_activity("echo", input, {.start_to_close_ms = 10'000});
  if (!outcome.result) co_return wf::failed(outcome.result.error());
  co_return wf::completed(*outcome.result);
}

// Collects signals `add` until `end`; query `count`.
wf::Task<wf::WorkflowResult> CollectWorkflow(const wf::Payloads&) {
  Json::Array items;
  bool end = false;
  wf::set_signal_handler("add", [&items](const wf::Payloads& payloads) { items.push_back(Input(payloads)); });
  wf::set_signal_handler("end", [&end](const wf::Payloads&) { end = true; });
  wf::set_query_handler("count", [&items](const Json::Array&) -> Result<Json> { return Json::Size(items.size()); });
  wf::set_query_handler("broken", [](const Json::Array&) -> Result<Json> { return Fail("NOT_TODAY", "ask again"); });
  co_await wf::wait_until([&end] { return end; });
  co_return wf::completed(Json(items));
}

// One activity per signal `go`; ends after the given number. Long-lived runs with state in memory.
wf::Task<wf::WorkflowResult> StepsWorkflow(const wf::Payloads& input) {
  const int64_t wanted = Input(input).AsInt();
  int64_t allowed = 0;
  int64_t sum = 0;
  wf::set_signal_handler("go", [&allowed](const wf::Payloads&) { ++allowed; });
  wf::set_query_handler("sum", [&sum](const Json::Array&) -> Result<Json> { return Json(sum); });
  for (int64_t i = 0; i < wanted; ++i) {
    co_await wf::wait_until([&allowed, i] { return allowed > i; });
    auto outcome =
        co_await wf::execute_activity("echo", workflow::JsonPayloads(Json(i)), {.start_to_close_ms = 10'000});
    sum += Input(*outcome.result).AsInt();
  }
  co_return wf::completed(Json(sum));
}

wf::Task<wf::WorkflowResult> TimerWorkflow(const wf::Payloads&) {
  const auto before = wf::now();
  co_await wf::sleep(300);
  co_return wf::completed(Json(wf::now() - before >= 300));
}

wf::Task<wf::WorkflowResult> LocalWorkflow(const wf::Payloads& input) {
  const Json options = Input(input);
  wf::LocalActivityOptions local;
  local.start_to_close_ms = options.GetInt("startToClose", 10'000);
  local.retry.initial_interval_ms = options.GetInt("interval", 50);
  local.retry.max_attempts = static_cast<int32_t>(options.GetInt("attempts", 0));
  auto outcome = co_await wf::local_activity(options.GetString("type"), workflow::JsonPayloads(options), local);
  if (!outcome.result) co_return wf::failed(outcome.result.error());
  co_return wf::completed(Json::MakeObject({{"value", Input(*outcome.result)}, {"attempt", Json(outcome.attempt)}}));
}

// Cancelled from outside while an activity runs; reports how the activity ended.
wf::Task<wf::WorkflowResult> CancellableWorkflow(const wf::Payloads&) {
  auto outcome = co_await wf::execute_activity(
      "wait", wf::Payloads(), {.start_to_close_ms = 30'000, .cancel = wf::CancelMode::kWaitForCompletion});
  co_return wf::completed(Json(outcome.result ? std::string("finished") : outcome.result.error().code));
}

struct WorkerTest : ::testing::Test {
  WorkerTest() {
    bench.workflows.Register("echo", EchoWorkflow);
    bench.workflows.Register("collect", CollectWorkflow);
    bench.workflows.Register("steps", StepsWorkflow);
    bench.workflows.Register("timer", TimerWorkflow);
    bench.workflows.Register("local", LocalWorkflow);
    bench.workflows.Register("cancellable", CancellableWorkflow);
    bench.activities.Register("echo", [](ActivityContext&, const Json::Array& arguments) -> Result<Json> {
      return arguments.empty() ? Json() : arguments[0];
    });
    bench.activities.Register("wait", [this](ActivityContext& context, const Json::Array&) -> Result<Json> {
      ++waiting;
      return WaitOrCancel(context, 20'000);
    });
    bench.activities.Register("slow", [](ActivityContext& context, const Json::Array& arguments) -> Result<Json> {
      return WaitOrCancel(context, arguments[0].GetInt("millis", 1'000));
    });
  }
  Bench bench;
  std::atomic<int> waiting = 0;
};

// --- workflow tasks
// ------------------------------------------------------------------------------------------------------

TEST_F(WorkerTest, Activity_ResultReachesTheWorkflow) {
  const auto worker = bench.StartWorker();
  EXPECT_EQ(bench.Result(bench.Start("echo", Json("hello"))), Json("hello"));
  EXPECT_TRUE(Eventually([&] { return worker->stats().activities_completed == 1; }));
}

TEST_F(WorkerTest, Start_Twice_IsAlreadyStarted) {
  const auto worker = bench.StartWorker();
  EXPECT_EQ(worker->Start().error().code, "TEMPORAL_WORKER_ALREADY_STARTED");
  worker->Shutdown();
  EXPECT_EQ(worker->Start().error().code, "TEMPORAL_WORKER_ALREADY_STARTED");
}

TEST_F(WorkerTest, Timer_FiresInWorkflowTime) {
  const auto worker = bench.StartWorker();
  EXPECT_EQ(bench.Result(bench.Start("timer")), Json(true));
}

TEST_F(WorkerTest, Signals_AreDeliveredInOrder) {
  const auto ref = bench.Start("collect");
  for (int i = 0; i < 5; ++i) bench.Signal(ref, "add", Json(i));
  const auto worker = bench.StartWorker();
  for (int i = 5; i < 10; ++i) bench.Signal(ref, "add", Json(i));
  bench.Signal(ref, "end");
  EXPECT_EQ(CanonicalJson(bench.Result(ref)), "[0,1,2,3,4,5,6,7,8,9]");
}

TEST_F(WorkerTest, Query_SeesTheState_WhileRunningAndAfterTheEnd) {
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("collect");
  bench.Signal(ref, "add", Json(1));
  bench.Signal(ref, "add", Json(2));
  EXPECT_TRUE(Eventually([&] { return bench.Query(ref, "count") == Json(2); })) << bench.log.Text();
  EXPECT_EQ(bench.client.Query(ref.workflow_id, ref.run_id, "broken", Payloads()).error().code, "QUERY_FAILED");
  EXPECT_EQ(bench.client.Query(ref.workflow_id, ref.run_id, "nonsense", Payloads()).error().code, "QUERY_FAILED");
  bench.Signal(ref, "end");
  bench.Result(ref);
  EXPECT_EQ(bench.Query(ref, "count"), Json(2));
}

TEST_F(WorkerTest, Query_OnAWorkerWithoutTheRun_RebuildsItFromTheHistory) {
  auto first = bench.StartWorker();
  const auto ref = bench.Start("collect");
  for (int i = 0; i < 3; ++i) bench.Signal(ref, "add", Json(i));
  ASSERT_TRUE(Eventually([&] { return bench.Query(ref, "count") == Json(3); }));
  first->Shutdown();
  const auto second = bench.StartWorker();
  EXPECT_EQ(bench.Query(ref, "count"), Json(3));
  bench.Signal(ref, "add", Json(3));
  bench.Signal(ref, "end");
  EXPECT_EQ(CanonicalJson(bench.Result(ref)), "[0,1,2,3]");
  EXPECT_EQ(second->stats().divergences, 0u);
}

TEST_F(WorkerTest, StickyCache_ServesLaterTasksWithoutTheHistory) {
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("steps", Json(5));
  for (int i = 0; i < 5; ++i) bench.Signal(ref, "go");
  EXPECT_EQ(bench.Result(ref), Json(10));
  const WorkerStats stats = worker->stats();
  EXPECT_GE(stats.cache_hits, 4u);
  EXPECT_EQ(stats.cache_misses, 0u);
  EXPECT_TRUE(Eventually([&] { return worker->stats().cached_runs == 0; }));  // a closed run is not kept
}

// RT5: evicting after any task must not change commands.
TEST_F(WorkerTest, StickyCache_OfOneRun_EvictsAndRebuilds) {
  WorkerOptions options = bench.Options();
  options.sticky_cache_size = 1;
  const auto worker = bench.StartWorker(options);
  std::vector<WorkflowRef> refs;
  for (int i = 0; i < 4; ++i) refs.push_back(bench.Start("steps", Json(4)));
  for (int round = 0; round < 4; ++round) {
    for (const auto& ref : refs) bench.Signal(ref, "go");
  }
  for (const auto& ref : refs) EXPECT_EQ(bench.Result(ref), Json(6));
  const WorkerStats stats = worker->stats();
  EXPECT_GT(stats.cache_evictions, 0u);
  EXPECT_TRUE(Eventually([&] { return worker->stats().cached_runs <= 1; }));
  EXPECT_EQ(stats.divergences, 0u) << bench.log.Text();
  EXPECT_EQ(stats.workflow_tasks_failed, 0u) << bench.log.Text();
}

TEST_F(WorkerTest, StickyCache_Off_ReplaysEachTask) {
  WorkerOptions options = bench.Options();
  options.sticky_cache_size = 0;
  const auto worker = bench.StartWorker(options);
  const auto ref = bench.Start("steps", Json(3));
  for (int i = 0; i < 3; ++i) bench.Signal(ref, "go");
  EXPECT_EQ(bench.Result(ref), Json(3));
  EXPECT_EQ(worker->stats().cache_hits, 0u);
  EXPECT_EQ(worker->stats().divergences, 0u);
}

TEST_F(WorkerTest, History_OfSeveralPages_IsReadWhole) {
  bench.workflows.Register("long", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    int rounds = 0, done = 0;
    wf::set_signal_handler("go", [&rounds](const wf::Payloads&) { ++rounds; });
    wf::set_query_handler("done", [&done](const Json::Array&) -> Result<Json> { return Json(done); });
    int64_t sum = 0;
    while (done < 6) {
      co_await wf::wait_until([&] { return rounds > done; });
      for (int i = 0; i < 250; ++i) sum += wf::side_effect([] { return Json(1); }).AsInt();
      ++done;
    }
    co_return wf::completed(Json(sum));
  });
  auto first = bench.StartWorker();
  const auto ref = bench.Start("long");
  for (int i = 0; i < 5; ++i) {
    bench.Signal(ref, "go");
    ASSERT_TRUE(Eventually([&] { return bench.Query(ref, "done") == Json(i + 1); })) << bench.log.Text();
  }
  first->Shutdown();
  const auto second = bench.StartWorker();
  bench.Signal(ref, "go");
  EXPECT_EQ(bench.Result(ref), Json(1'500));
  EXPECT_EQ(second->stats().divergences, 0u) << bench.log.Text();
}

// Updates of a real server: accepted and completed in one task, rejected by a validator, carried out over several tasks.
TEST_F(WorkerTest, Updates_AreAnswered_AndARejectionLeavesNoTrace) {
  bench.workflows.Register("sums", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    int64_t sum = 0;
    bool over = false;
    wf::set_signal_handler("over", [&over](const wf::Payloads&) { over = true; });
    wf::set_update_handler("add", {.run = [&sum](const wf::Payloads& input) -> wf::Task<wf::Outcome<wf::Payloads>> {
                                     const int64_t value = workflow::ReadFirstJson(input)->AsInt();
                                     if (value >= 10) co_await wf::sleep(20);
                                     sum += value;
                                     co_return workflow::JsonPayloads(Json(sum));
                                   },
                                   .validate = [](const wf::Payloads& input) -> Status {
                                     if (workflow::ReadFirstJson(input)->AsInt() < 0) return Fail("NEGATIVE", "cannot add that");
                                     return {};
                                   }});
    co_await wf::wait_until([&] { return over && wf::all_handlers_finished(); });
    co_return wf::completed(Json(sum));
  });
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("sums");
  const auto update = [&](int64_t value) -> Json {
    const auto answer = bench.client.Update(ref.workflow_id, {}, "add", workflow::JsonPayloads(Json(value)), 20'000);
    return answer ? workflow::ReadFirstJson(**answer).value() : Json(answer.error().code);
  };
  EXPECT_EQ(update(1), Json(1));
  EXPECT_EQ(update(-1), Json("NEGATIVE"));
  EXPECT_EQ(update(10), Json(11));
  const auto unknown = bench.client.Update(ref.workflow_id, {}, "divide", workflow::JsonPayloads(Json(1)), 20'000);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "UPDATE_UNKNOWN");
  bench.Signal(ref, "over");
  EXPECT_EQ(bench.Result(ref), Json(11));
  EXPECT_EQ(bench.CountEvents(ref, enums::EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED), 2);
  EXPECT_EQ(bench.CountEvents(ref, enums::EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED), 2);
  EXPECT_EQ(worker->stats().divergences, 0u) << bench.log.Text();
}

// A poll that is cut while the server answers it takes the task with it: a worker that may drain does not do that. (A task that
// waits in its sticky queue is moved on by the server at once, which the history shows as a time-out of another kind.)
TEST_F(WorkerTest, WorkersThatComeAndGo_LoseNoWorkflowTask) {
  bench.workflows.Register("ticks", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    for (int i = 0; i < 15; ++i) co_await wf::sleep(400);
    co_return wf::completed(Json("done"));
  });
  auto worker = bench.StartWorker();
  std::vector<WorkflowRef> refs;
  for (int i = 0; i < 6; ++i) refs.push_back(bench.Start("ticks"));
  for (int i = 0; i < 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    auto next = bench.StartWorker();
    worker->Shutdown(20'000);
    worker = std::move(next);
  }
  for (const WorkflowRef& ref : refs) {
    EXPECT_EQ(bench.Result(ref), Json("done"));
    const auto history = bench.client.GetHistory(ref.workflow_id, ref.run_id);
    ASSERT_TRUE(history);
    for (const auto& event : (*history)->events()) {
      if (!event.has_workflow_task_timed_out_event_attributes()) continue;
      EXPECT_NE(event.workflow_task_timed_out_event_attributes().timeout_type(), enums::TIMEOUT_TYPE_START_TO_CLOSE) << bench.log.Text();
    }
  }
}

TEST_F(WorkerTest, ContinueAsNew_IsFollowedToTheEnd) {
  bench.workflows.Register("chain", [](const wf::Payloads& input) -> wf::Task<wf::WorkflowResult> {
    const int64_t left = Input(input).AsInt();
    co_await wf::sleep(1);
    if (left > 0) co_return wf::continue_as_new(workflow::JsonPayloads(Json(left - 1)));
    co_return wf::completed(Json("end"));
  });
  const auto worker = bench.StartWorker();
  EXPECT_EQ(bench.Result(bench.Start("chain", Json(1))), Json("end"));
}

TEST_F(WorkerTest, WorkflowFailure_CarriesItsCode) {
  bench.workflows.Register("fails", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    co_await wf::sleep(1);
    co_return wf::failed(Error("PLAN_TOO_LARGE", "too big"));
  });
  const auto worker = bench.StartWorker();
  const auto outcome = bench.Outcome(bench.Start("fails"));
  EXPECT_EQ(outcome.status, WorkflowStatus::kFailed);
  EXPECT_EQ(outcome.failure.code, "PLAN_TOO_LARGE");
}

TEST_F(WorkerTest, Divergence_FailsTheTask_AndACorrectBuildFinishesTheRun) {
  auto first = bench.StartWorker();
  const auto ref = bench.Start("steps", Json(2), 1'000);
  bench.Signal(ref, "go");
  ASSERT_TRUE(Eventually([&] { return bench.CountEvents(ref, enums::EVENT_TYPE_ACTIVITY_TASK_COMPLETED) == 1; }));
  first->Shutdown();

  workflow::WorkflowRegistry changed;
  changed.Register("steps", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    co_await wf::sleep(60'000);
    co_return wf::completed(Json());
  });
  WorkerOptions wrong_options = bench.Options();
  wrong_options.workflows = &changed;
  auto wrong = bench.StartWorker(wrong_options);
  bench.Signal(ref, "go");
  ASSERT_TRUE(Eventually([&] { return wrong->stats().divergences > 0; })) << bench.log.Text();
  wrong->Shutdown();
  EXPECT_GE(bench.log.Count("NONDETERMINISM_DETECTED") + bench.log.Count("no longer does what the history says"), 1)
      << bench.log.Text();

  const auto fixed = bench.StartWorker();
  EXPECT_EQ(bench.Result(ref), Json(1));
  const auto history = bench.client.GetHistory(ref.workflow_id, ref.run_id);
  ASSERT_TRUE(history);
  int causes = 0;
  for (const auto& event : (*history)->events()) {
    if (event.event_type() != enums::EVENT_TYPE_WORKFLOW_TASK_FAILED) continue;
    causes += event.workflow_task_failed_event_attributes().cause() ==
                      enums::WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
                  ? 1
                  : 0;
  }
  EXPECT_EQ(causes, 1);
}

TEST_F(WorkerTest, UnexpectedException_FailsTheTask_RunStaysOpen) {
  std::atomic<bool> healed = false;
  bench.workflows.Register("throws", [&healed](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    co_await wf::sleep(1);
    if (!healed) throw std::runtime_error("a bug");
    co_return wf::completed(Json("healed"));
  });
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("throws", Json(), 1'000);
  ASSERT_TRUE(Eventually([&] { return worker->stats().workflow_tasks_failed > 0; })) << bench.log.Text();
  EXPECT_EQ(bench.client.Describe(ref.workflow_id)->summary.status, WorkflowStatus::kRunning);
  healed = true;
  EXPECT_EQ(bench.Result(ref), Json("healed"));
}

TEST_F(WorkerTest, UnknownWorkflowType_FailsTheTask_NamingTheKnownOnes) {
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("nobody-knows", Json(), 1'000);
  EXPECT_TRUE(Eventually([&] {
    return bench.log.Count("workflow type nobody-knows is unknown to this worker; known: cancellable, ") > 0;
  })) << bench.log.Text();
  EXPECT_TRUE(bench.client.Terminate(ref.workflow_id, ref.run_id, "test over"));
}

// RT6
TEST_F(WorkerTest, LongRunningTask_IsReportedOnceAsDeadlock_WithItsLine) {
  bench.workflows.Register("hog", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    co_await wf::sleep(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    co_return wf::completed(Json());
  });
  WorkerOptions options = bench.Options();
  options.deadlock_limit_ms = 100;
  const auto worker = bench.StartWorker(options);
  bench.Result(bench.Start("hog"));
  EXPECT_EQ(worker->stats().deadlocks, 1u);
  EXPECT_EQ(bench.log.Count("worker_server_test.cpp:"), 1) << bench.log.Text();
}

// --- local activities
// ----------------------------------------------------------------------------------------------------

Json LocalInput(std::string type, std::initializer_list<std::pair<std::string_view, int64_t>> numbers) {
  Json input = Json::MakeObject({{"type", Json(std::move(type))}});
  for (const auto& [name, value] : numbers) input.Set(name, Json(value));
  return input;
}

TEST_F(WorkerTest, LocalActivity_RunsInsideTheTask) {
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("local", LocalInput("slow", {{"millis", 1}}));
  EXPECT_EQ(bench.Result(ref).GetString("value"), "done");
  EXPECT_EQ(bench.CountEvents(ref, enums::EVENT_TYPE_WORKFLOW_TASK_COMPLETED), 1);
  EXPECT_EQ(bench.CountEvents(ref, enums::EVENT_TYPE_MARKER_RECORDED), 1);
}

TEST_F(WorkerTest, LocalActivity_LongerThanTheTaskTimeout_HeartbeatsTheTask) {
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("local", LocalInput("slow", {{"millis", 2'500}}), 1'000);
  EXPECT_EQ(bench.Result(ref).GetString("value"), "done");
  EXPECT_GE(worker->stats().workflow_task_heartbeats, 2u);
  EXPECT_EQ(worker->stats().local_activities, 1u);  // never restarted
  EXPECT_EQ(bench.CountEvents(ref, enums::EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT), 0);
}

TEST_F(WorkerTest, LocalActivity_TransientFailures_AreRetriedInTheTask) {
  std::atomic<int> calls = 0;
  bench.activities.Register("flaky", [&calls](ActivityContext& context, const Json::Array&) -> Result<Json> {
    EXPECT_TRUE(context.info().local);
    EXPECT_EQ(context.info().attempt, calls + 1);
    if (++calls < 4) return Fail("TRANSIENT_STEP_ERROR", "not yet", true);
    return Json("at last");
  });
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("local", LocalInput("flaky", {{"interval", 20}}));
  const Json result = bench.Result(ref);
  EXPECT_EQ(result.GetString("value"), "at last");
  EXPECT_EQ(result.GetInt("attempt"), 4);
  EXPECT_EQ(bench.CountEvents(ref, enums::EVENT_TYPE_TIMER_STARTED), 0);
}

TEST_F(WorkerTest, LocalActivity_LongBackOff_BecomesATimer) {
  std::atomic<int> calls = 0;
  bench.activities.Register("flaky", [&calls](ActivityContext&, const Json::Array&) -> Result<Json> {
    if (++calls < 2) return Fail("STATE_STORE_UNAVAILABLE", "down", true);
    return Json("up");
  });
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("local", LocalInput("flaky", {{"interval", 1'200}}), 1'000);
  const Json result = bench.Result(ref);
  EXPECT_EQ(result.GetString("value"), "up");
  EXPECT_EQ(result.GetInt("attempt"), 2);
  EXPECT_EQ(bench.CountEvents(ref, enums::EVENT_TYPE_TIMER_STARTED), 1);
}

TEST_F(WorkerTest, LocalActivity_FinalFailures_ReachTheWorkflow) {
  bench.activities.Register("refuses", [](ActivityContext&, const Json::Array&) -> Result<Json> {
    return Fail("PERMANENT_STEP_ERROR", "never");
  });
  bench.activities.Register("sleepy", [](ActivityContext& context, const Json::Array&) -> Result<Json> {
    return WaitOrCancel(context, 5'000);
  });
  const auto worker = bench.StartWorker();
  EXPECT_EQ(bench.Outcome(bench.Start("local", LocalInput("refuses", {}))).failure.code, "PERMANENT_STEP_ERROR");
  EXPECT_EQ(
      bench.Outcome(bench.Start("local", LocalInput("sleepy", {{"startToClose", 50}, {"attempts", 2}}))).failure.code,
      "STEP_TIMEOUT");
  EXPECT_EQ(bench.Outcome(bench.Start("local", LocalInput("missing", {{"attempts", 1}}))).failure.code,
            "WORKER_UNAVAILABLE");
}

// --- activities
// ----------------------------------------------------------------------------------------------------------

TEST_F(WorkerTest, Activity_CancelledThroughItsHeartbeat) {
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("cancellable");
  ASSERT_TRUE(Eventually([&] { return waiting == 1; }));
  EXPECT_TRUE(bench.client.RequestCancel(ref.workflow_id, ref.run_id, "enough"));
  EXPECT_EQ(bench.Result(ref), Json("CANCELLED"));
  EXPECT_TRUE(Eventually([&] { return worker->stats().activities_cancelled == 1; }));
  EXPECT_GT(worker->stats().activity_heartbeats, 0u);
}

TEST_F(WorkerTest, Activity_HeartbeatDetails_ReachTheNextAttempt) {
  bench.workflows.Register("progress", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    auto outcome =
        co_await wf::execute_activity("progress", wf::Payloads(),
                                      {.start_to_close_ms = 10'000,
                                       .heartbeat_ms = 2'000,
                                       .retry = wf::RetryOptions{.initial_interval_ms = 10, .max_attempts = 2}});
    if (!outcome.result) co_return wf::failed(outcome.result.error());
    co_return wf::completed(*outcome.result);
  });
  bench.activities.Register("progress", [](ActivityContext& context, const Json::Array&) -> Result<Json> {
    if (context.info().attempt == 2) return context.LastHeartbeat();
    context.Heartbeat(Json(41));
    context.Heartbeat(Json(42));
    return Fail("TRANSIENT_STEP_ERROR", "again", true);
  });
  const auto worker = bench.StartWorker();
  EXPECT_EQ(bench.Result(bench.Start("progress")), Json(42));
}

TEST_F(WorkerTest, Activity_GoneAtTheServer_IsCancelledAndNotAnswered) {
  const auto worker = bench.StartWorker();
  const auto ref = bench.Start("cancellable");
  ASSERT_TRUE(Eventually([&] { return waiting == 1; }));
  EXPECT_TRUE(bench.client.Terminate(ref.workflow_id, ref.run_id, "gone"));
  EXPECT_TRUE(Eventually([&] { return worker->stats().running_activities == 0; }));
  EXPECT_EQ(
      worker->stats().activities_completed + worker->stats().activities_failed + worker->stats().activities_cancelled,
      0u);
}

TEST_F(WorkerTest, Activity_Failures_AreClear) {
  bench.workflows.Register("one-try", [](const wf::Payloads& input) -> wf::Task<wf::WorkflowResult> {
    auto outcome =
        co_await wf::execute_activity(Input(input).AsString(), wf::Payloads(),
                                      {.start_to_close_ms = 10'000, .retry = wf::RetryOptions{.max_attempts = 1}});
    if (!outcome.result) co_return wf::failed(outcome.result.error());
    co_return wf::completed(*outcome.result);
  });
  bench.activities.Register("big", [](ActivityContext&, const Json::Array&) -> Result<Json> {
    return Json(std::string(3 * 1024 * 1024, 'x'));
  });
  bench.activities.Register(
      "throwing", [](ActivityContext&, const Json::Array&) -> Result<Json> { throw std::runtime_error("oops"); });
  const auto worker = bench.StartWorker();
  const auto big = bench.Outcome(bench.Start("one-try", Json("big"))).failure;
  EXPECT_EQ(big.code, "PAYLOAD_TOO_LARGE");
  EXPECT_NE(big.message.find("expected at most 2097152 bytes, found 31457"), std::string::npos) << big.message;
  const auto thrown = bench.Outcome(bench.Start("one-try", Json("throwing"))).failure;
  EXPECT_EQ(thrown.code, "TRANSIENT_STEP_ERROR");
  EXPECT_NE(thrown.message.find("oops"), std::string::npos);
  const auto unknown = bench.Outcome(bench.Start("one-try", Json("unheard-of"))).failure;
  EXPECT_NE(unknown.message.find("activity type unheard-of is unknown to this worker; known: big, echo"),
            std::string::npos)
      << unknown.message;
}

// --- several queues
// ------------------------------------------------------------------------------------------------------

TEST_F(WorkerTest, SeveralQueues_OneProcess_EachServesItsPart) {
  const std::string data_queue = bench.queue + "-data";
  bench.workflows.Register("routed", [data_queue](const wf::Payloads& input) -> wf::Task<wf::WorkflowResult> {
    auto outcome =
        co_await wf::execute_activity("where", input, {.task_queue = data_queue, .start_to_close_ms = 10'000});
    if (!outcome.result) co_return wf::failed(outcome.result.error());
    co_return wf::completed(*outcome.result);
  });
  bench.activities.Register("where", [](ActivityContext& context, const Json::Array&) -> Result<Json> {
    return Json(context.info().task_queue);
  });
  WorkerOptions options = bench.Options();
  options.queues = {QueueOptions{.task_queue = bench.queue, .activities = false},
                    QueueOptions{.task_queue = data_queue, .workflows = false}};
  const auto worker = bench.StartWorker(options);
  EXPECT_EQ(bench.Result(bench.Start("routed")), Json(data_queue));
  EXPECT_TRUE(Eventually([&] { return !bench.client.DescribeTaskQueue(data_queue, QueueKind::kActivity)->empty(); }));
  EXPECT_TRUE(bench.client.DescribeTaskQueue(data_queue, QueueKind::kWorkflow)->empty());
}

TEST_F(WorkerTest, ManyRuns_StayWithinTheSlots) {
  std::atomic<int> running = 0, most = 0;
  bench.activities.Register("count", [&](ActivityContext&, const Json::Array&) -> Result<Json> {
    const int now = ++running;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    --running;
    return Json();
  });
  bench.workflows.Register("many", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    std::vector<wf::Future<wf::ActivityOutcome>> all;
    for (int i = 0; i < 12; ++i)
      all.push_back(wf::execute_activity("count", wf::Payloads(), {.start_to_close_ms = 10'000}));
    const auto outcomes = co_await wf::all_of(std::move(all));
    co_return wf::completed(Json::Size(outcomes.size()));
  });
  WorkerOptions options = bench.Options();
  options.queues[0].max_concurrent_activities = 3;
  const auto worker = bench.StartWorker(options);
  std::vector<WorkflowRef> refs;
  for (int i = 0; i < 3; ++i) refs.push_back(bench.Start("many"));
  for (const auto& ref : refs) EXPECT_EQ(bench.Result(ref), Json(12));
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 2);
}

// --- stopping
// ------------------------------------------------------------------------------------------------------------

TEST_F(WorkerTest, Shutdown_WhenIdle_IsPrompt_AndRunReturns) {
  Worker worker(bench.Options());
  std::thread runner([&worker] { EXPECT_TRUE(worker.Run()); });
  EXPECT_TRUE(Eventually([&] { return !bench.client.DescribeTaskQueue(bench.queue, QueueKind::kWorkflow)->empty(); }));
  const auto start = std::chrono::steady_clock::now();
  worker.Shutdown();
  runner.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST_F(WorkerTest, Shutdown_LetsRunningTasksFinish) {
  bench.activities.Register("second", [this](ActivityContext& context, const Json::Array&) -> Result<Json> {
    ++waiting;
    return WaitOrCancel(context, 1'000);
  });
  bench.workflows.Register("second", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    auto outcome = co_await wf::execute_activity("second", wf::Payloads(), {.start_to_close_ms = 20'000});
    co_return wf::completed(Json(outcome.attempt));
  });
  auto first = bench.StartWorker();
  const auto ref = bench.Start("second");
  ASSERT_TRUE(Eventually([&] { return waiting == 1; }));
  first->Shutdown();
  EXPECT_EQ(first->stats().activities_completed, 1u);
  const auto second = bench.StartWorker();
  EXPECT_EQ(bench.Result(ref), Json(1));
}

TEST_F(WorkerTest, Shutdown_AfterTheDrainTime_CancelsActivities_AndAnotherWorkerRepeatsThem) {
  bench.workflows.Register("patient", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    auto outcome = co_await wf::execute_activity(
        "first-waits", wf::Payloads(),
        {.start_to_close_ms = 20'000, .retry = wf::RetryOptions{.initial_interval_ms = 10}});
    co_return wf::completed(Json(outcome.attempt));
  });
  bench.activities.Register("first-waits", [this](ActivityContext& context, const Json::Array&) -> Result<Json> {
    if (context.info().attempt > 1) return Json("quick");
    ++waiting;
    return WaitOrCancel(context, 20'000);
  });
  auto first = bench.StartWorker();
  const auto ref = bench.Start("patient");
  ASSERT_TRUE(Eventually([&] { return waiting == 1; }));
  first->Shutdown(200);
  EXPECT_EQ(first->stats().activities_failed, 1u);
  const auto second = bench.StartWorker();
  EXPECT_EQ(bench.Result(ref), Json(2));
}

TEST_F(WorkerTest, Shutdown_MidLocalActivity_GivesTheTaskBack) {
  auto first = bench.StartWorker();
  const auto ref = bench.Start("local", LocalInput("slow", {{"millis", 1'500}}), 8'000);
  ASSERT_TRUE(Eventually([&] { return first->stats().local_activities == 1; }));
  first->Shutdown(0);
  const auto second = bench.StartWorker();
  EXPECT_EQ(bench.Result(ref).GetString("value"), "done");
  EXPECT_EQ(second->stats().local_activities, 1u);
  EXPECT_EQ(bench.CountEvents(ref, enums::EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT), 0);
}

// SIGTERM drains; a second one cuts the drain short.
TEST_F(WorkerTest, Sigterm_Drains_AndASecondOneCutsItShort) {
  StopSignals signals;
  for (const bool twice : {false, true}) {
    waiting = 0;
    bench.activities = {};
    bench.activities.Register("wait", [this, twice](ActivityContext& context, const Json::Array&) -> Result<Json> {
      ++waiting;
      return WaitOrCancel(context, twice ? 20'000 : 500);
    });
    Worker worker(bench.Options());
    std::thread runner([&] { EXPECT_TRUE(RunUntilStopped(worker, signals)); });
    const auto ref = bench.Start("cancellable");
    ASSERT_TRUE(Eventually([&] { return waiting == 1; }));
    const auto start = std::chrono::steady_clock::now();
    raise(SIGTERM);
    if (twice) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      raise(SIGTERM);
    }
    runner.join();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
    EXPECT_EQ(worker.stats().activities_completed, twice ? 0u : 1u);
    EXPECT_EQ(worker.stats().activities_failed, twice ? 1u : 0u);
    EXPECT_TRUE(bench.client.Terminate(ref.workflow_id, "", "test over"));
  }
}

// A server with the capability ends the polls itself; nothing is cut.
TEST(WorkerShutdown, OnAServerThatCompletesPolls_IsPrompt) {
  DevServerOptions server_options = ServerOptions();
  server_options.dynamic_config = {"frontend.enableCancelWorkerPollsOnShutdown=true"};
  auto server = DevServer::Start(server_options);
  ASSERT_TRUE(server) << server.error().ToString();
  Bench bench((*server)->Connection());
  bench.workflows.Register("echo", EchoWorkflow);
  bench.activities.Register(
      "echo", [](ActivityContext&, const Json::Array& arguments) -> Result<Json> { return arguments[0]; });
  WorkerOptions options = bench.Options();
  options.build_id = "build-1";
  const auto worker = bench.StartWorker(options);
  EXPECT_EQ(bench.Result(bench.Start("echo", Json("x"))), Json("x"));
  const auto start = std::chrono::steady_clock::now();
  worker->Shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(1'800));
}

TEST_F(WorkerTest, Destructor_OfARunningWorker_Joins) {
  {
    const auto worker = bench.StartWorker();
  }
  {
    Worker never_started(bench.Options());
  }
}

}  // namespace
}  // namespace lockstep::provider::testing
