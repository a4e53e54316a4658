// Local activities: outcomes in the order they come, several at once, retries by timer, heartbeats, cancellation, and the
// replay of each (spec 00 section 5).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include "engine-core/workflow/markers.h"
#include "engine-core/workflow/testing/expect.h"
#include "engine-core/workflow/testing/program.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::workflow {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT
using testing::Count;
using testing::ExpectReplays;
using testing::FindEvent;
using testing::History;
using testing::HistoryScript;
using testing::LocalAnswer;
using testing::OneWorkflow;
using testing::Replay;
using testing::ResultOf;
using testing::ScriptOptions;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<LocalActivityMarker> Markers(const History& history) {
  std::vector<LocalActivityMarker> markers;
  for (const HistoryEvent& event : history.events()) {
    if (event.event_type() != EVENT_TYPE_MARKER_RECORDED) continue;
    if (auto data = ReadLocalActivityMarker(event.marker_recorded_event_attributes())) markers.push_back(std::move(*data));
  }
  return markers;
}

WorkflowRegistry One() {
  return OneWorkflow([](const Payloads& input) -> Task<WorkflowResult> {
    const auto outcome = co_await local_activity("emitEvents", input, {.activity_id = "event/RunStarted/RUN/1"});
    if (!outcome.result) co_return completed(outcome.result.error().code + " " + std::to_string(outcome.attempt));
    co_return completed(*outcome.result);
  });
}

TEST(LocalActivity, Outcome_IsDurableWithTheTask_AsOneMarker) {
  const auto registry = One();
  HistoryScript script(registry, {.input = JsonPayloads(5), .local_activities = [](const LocalActivityRequest& request) {
                                    EXPECT_EQ(request.activity_type, "emitEvents");
                                    EXPECT_EQ(ReadFirstJson(*request.input)->AsInt(), 5);
                                    EXPECT_EQ(request.attempt, 1);
                                    EXPECT_EQ(request.start_to_close_ms, 10'000);
                                    return LocalAnswer{.result = "done", .takes_ms = 100};
                                  }});
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"done\"");
  ASSERT_THAT(Markers(script.history()), SizeIs(1));
  EXPECT_EQ(Markers(script.history())[0].activity_id, "event/RunStarted/RUN/1");
  EXPECT_EQ(Markers(script.history())[0].replay_time, "2023-11-14T22:13:20.005Z");
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_WORKFLOW_TASK_COMPLETED), 1);
  ExpectReplays(registry, script.history());
}

TEST(LocalActivity, FinalFailure_IsAValue_AndReplays) {
  const auto registry = One();
  HistoryScript script(registry, {.local_activities = [](const LocalActivityRequest&) {
                         return LocalAnswer{.error = Error("STATE_STORE_UNAVAILABLE", "down", true), .attempts = 3};
                       }});
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"STATE_STORE_UNAVAILABLE 3\"");
  ExpectReplays(registry, script.history());
}

// A second one is asked for from the outcome of the first, within one task; two run beside each other.
WorkflowRegistry Several() {
  return OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    auto order = std::make_shared<std::string>();
    for (const char* name : {"slow", "fast"}) {
      spawn([](std::string id, std::shared_ptr<std::string> out) -> Task<void> {
        co_await local_activity(id, {}, {.activity_id = id});
        *out += id + " ";
        co_await local_activity(id, {}, {.activity_id = id + "-again"});
        *out += id + "-again ";
      }(name, order));
    }
    co_await wait_until([order] { return order->size() == 32; });
    co_return completed(Json(*order));
  });
}

LocalAnswer ByName(const LocalActivityRequest& request) { return {.takes_ms = request.activity_type == "slow" ? 50 : 20}; }

TEST(LocalActivity, SeveralAtOnce_ComeInTheOrderOfTheirOutcomes_AlsoInReplay) {
  const auto registry = Several();
  HistoryScript script(registry, {.local_activities = ByName});
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"fast fast-again slow slow-again \"");
  std::vector<std::string> ids;
  for (const auto& marker : Markers(script.history())) ids.push_back(marker.activity_id);
  EXPECT_THAT(ids, ElementsAre("fast", "fast-again", "slow", "slow-again"));
  ExpectReplays(registry, script.history());
}

TEST(LocalActivity, IdInUse_BreaksTheTask) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    auto first = local_activity("a", {}, {.activity_id = "same"});
    auto second = local_activity("a", {}, {.activity_id = "same"});
    co_await first;
    co_await second;
    co_return completed(Json());
  });
  HistoryScript script(registry, {.local_activities = ByName});
  script.RunTask();
  EXPECT_EQ(script.broken(), "WORKFLOW_PANIC");
}

TEST(LocalActivity, BackOff_WaitsOnATimer_AndTriesAgainWithTheNextAttempt) {
  const auto registry = One();
  std::vector<int32_t> attempts;
  std::vector<int64_t> first_scheduled;
  HistoryScript script(registry, {.local_activities = [&](const LocalActivityRequest& request) {
                         attempts.push_back(request.attempt);
                         first_scheduled.push_back(request.first_scheduled_ms);
                         if (request.attempt < 5) {
                           return LocalAnswer{.error = Error("STATE_STORE_UNAVAILABLE", "down", true), .backoff_ms = 60'000, .attempts = 2};
                         }
                         return LocalAnswer{.result = "up"};
                       }});
  script.RunTask();
  EXPECT_THAT(script.OpenTimers(), ElementsAre("1"));
  script.FireTimer("1");
  script.RunTask();
  script.FireTimer("2");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"up\"");
  EXPECT_THAT(attempts, ElementsAre(1, 3, 5));  // two tries within each task
  EXPECT_EQ(first_scheduled[0], first_scheduled[2]);
  EXPECT_EQ(Markers(script.history())[0].backoff_ms, 60'000);
  EXPECT_EQ(Markers(script.history())[0].attempt, 2);
  EXPECT_EQ(Markers(script.history())[1].attempt, 4);
  ExpectReplays(registry, script.history());
}

TEST(LocalActivity, CancelledWhileBackingOff_CancelsTheTimer_AndAnswers) {
  const auto registry = One();
  HistoryScript script(registry, {.local_activities = [](const LocalActivityRequest&) {
                         return LocalAnswer{.error = Error("X", "down", true), .backoff_ms = 60'000};
                       }});
  script.RunTask();
  script.RequestCancel();
  script.RunTask();
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_TIMER_CANCELED), 1);
  EXPECT_EQ(ResultOf(script.history()), "\"CANCELLED 0\"");
  ExpectReplays(registry, script.history());
}

TEST(LocalActivity, LongerThanATask_LivesOnOverHeartbeats) {
  const auto registry = One();
  int asked = 0;
  HistoryScript script(registry, {.local_activities = [&](const LocalActivityRequest&) {
                         ++asked;
                         return LocalAnswer{.result = "late", .takes_ms = 20'000};
                       }});
  script.RunTasks();
  EXPECT_EQ(ResultOf(script.history()), "\"late\"");
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_WORKFLOW_TASK_COMPLETED), 3);
  ExpectReplays(registry, script.history());
}

TEST(LocalActivity, SignalDuringAHeartbeat_IsHandledInTheNextTask) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    std::string seen;
    set_signal_handler("s", [&](const Payloads&) { seen += "signal "; });
    co_await local_activity("long", {});
    co_return completed(seen + "local");
  });
  HistoryScript script(registry, {.local_activities = [](const LocalActivityRequest&) { return LocalAnswer{.takes_ms = 12'000}; }});
  script.DuringNextTask([&] { script.Signal("s"); });
  script.RunTasks();
  EXPECT_EQ(ResultOf(script.history()), "\"signal local\"");
  ExpectReplays(registry, script.history());
}

TEST(LocalActivity, NeverFinishing_IsCancelledWithTheWorkflow_WithoutAMarker) {
  const auto registry = One();
  HistoryScript script(registry, {.local_activities = [](const LocalActivityRequest&) { return LocalAnswer{.takes_ms = LocalAnswer::kNever}; }});
  script.RunTasks(5);
  EXPECT_FALSE(script.closed());
  EXPECT_TRUE(script.execution().HasPendingLocalActivities());
  script.RequestCancel();
  script.RunTasks(5);
  EXPECT_EQ(ResultOf(script.history()), "\"CANCELLED 0\"");
  EXPECT_THAT(Markers(script.history()), IsEmpty());
  ExpectReplays(registry, script.history());
}

TEST(LocalActivity, EvictionBetweenHeartbeats_ChangesNothing) {
  const auto registry = Several();
  const auto run = [&](bool evict) {
    HistoryScript script(registry, {.evict_after_every_task = evict, .local_activities = [](const LocalActivityRequest& request) {
                                      return LocalAnswer{.takes_ms = request.activity_type == "slow" ? 19'000 : 5'000};
                                    }});
    script.RunTasks();
    EXPECT_TRUE(script.closed());
    ExpectReplays(registry, script.history());
    return script.commands_by_task();
  };
  EXPECT_EQ(run(false), run(true));
}

TEST(LocalActivity, WorkflowThatEndsWithoutIt_LeavesNothingPending) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    (void)local_activity("forgotten", {}, {.activity_id = "f"});
    co_return completed(Json());
  });
  HistoryScript script(registry, {.local_activities = ByName});
  script.RunTask();
  EXPECT_TRUE(script.closed());
  EXPECT_FALSE(script.execution().HasPendingLocalActivities());
  const auto execution = Execution::Create(registry, {"default", "", ""});
  const auto pointers = testing::Pointers(script.history(), 3);
  execution->Activate(CutHistory(pointers).tasks[0]);
  EXPECT_FALSE(execution->HasPendingLocalActivities());
  EXPECT_THAT(execution->TakeLocalActivityRequests(), IsEmpty());
  EXPECT_THAT(execution->TakeLocalActivityCancellations(), ElementsAre("f"));
  ExpectReplays(registry, script.history());
}

TEST(LocalActivity, OutcomeForAnUnknownId_IsIgnored) {
  const auto registry = One();
  HistoryScript script(registry, {.local_activities = [](const LocalActivityRequest&) { return LocalAnswer{.takes_ms = LocalAnswer::kNever}; }});
  script.RunTask();
  LocalActivityOutcome outcome;
  outcome.activity_id = "nobody";
  script.execution().ResolveLocalActivity(std::move(outcome));
  EXPECT_TRUE(script.execution().HasPendingLocalActivities());
}

}  // namespace
}  // namespace lockstep::workflow
