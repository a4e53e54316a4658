// What workflow code sees: order, signals, waiting, queries, versions, recorded values, time and randomness; and that a
// replay of what was recorded, whole or cut off in any task, issues the same commands.
#include "engine-core/workflow/execution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include "engine-core/base/ids.h"
#include "engine-core/workflow/testing/history_script.h"
#include "engine-core/workflow/testing/expect.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::workflow {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT
using testing::ExpectReplays;
using testing::FindEvent;
using testing::HistoryScript;
using testing::OneWorkflow;
using testing::Replay;
using testing::ResultOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const ActivityOptions kTenSeconds{.start_to_close_ms = 10'000};

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// --- running ---------------------------------------------------------------------------------------------------------------

TEST(Execution, Activities_ResultAndFailureAreValues) {
  const auto registry = OneWorkflow([](const Payloads& input) -> Task<WorkflowResult> {
    const auto first = co_await execute_activity("load", input, kTenSeconds);
    const auto second = co_await execute_activity("store", *first.result, kTenSeconds);
    co_return completed(Json::MakeObject({{"first", ReadFirstJson(*first.result)->AsString()},
                                          {"second", second.result.error().code},
                                          {"attempt", second.attempt}}));
  });
  HistoryScript script(registry, {.input = JsonPayloads("in")});
  script.RunTask();
  EXPECT_THAT(script.OpenActivities(), ElementsAre("1"));
  script.CompleteActivity("1", "loaded");
  script.RunTask();
  script.FailActivity("2", Error("PERMANENT_STEP_ERROR", "no"), 3);
  script.RunTask();
  EXPECT_TRUE(script.closed());
  EXPECT_EQ(ResultOf(script.history()), R"({"attempt":3,"first":"loaded","second":"PERMANENT_STEP_ERROR"})");
  ExpectReplays(registry, script.history());
}

TEST(Execution, ActivityTimeouts_HaveTheCodesOfSpec04Section11) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const auto late = co_await execute_activity("a", {}, kTenSeconds);
    const auto nobody = co_await execute_activity("b", {}, kTenSeconds);
    co_return completed(late.result.error().code + " " + nobody.result.error().code + " " + std::to_string(nobody.attempt));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.TimeOutActivity("1", TIMEOUT_TYPE_HEARTBEAT);
  script.RunTask();
  script.TimeOutActivity("2", TIMEOUT_TYPE_SCHEDULE_TO_START);
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"STEP_TIMEOUT WORKER_UNAVAILABLE 0\"");
  ExpectReplays(registry, script.history());
}

TEST(Execution, AllOf_KeepsTheOrderOfItsArguments) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    std::vector<Future<ActivityOutcome>> futures;
    for (const char* name : {"a", "b", "c"}) futures.push_back(execute_activity(name, {}, kTenSeconds));
    const auto outcomes = co_await all_of(futures);
    std::vector<std::string> words;
    for (const auto& outcome : outcomes) words.push_back(ReadFirstJson(*outcome.result)->AsString());
    co_return completed(Json(Joined(words)));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.CompleteActivity("3", "third");
  script.RunTask();
  script.CompleteActivity("1", "first");
  script.CompleteActivity("2", "second");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"first second third\"");
  ExpectReplays(registry, script.history());
}

TEST(Execution, FirstOf_TakesTheOneNamedFirst_WhenSeveralAreReadyInOneTask) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    std::vector<Future<ActivityOutcome>> futures;
    for (const char* name : {"a", "b", "c"}) futures.push_back(execute_activity(name, {}, kTenSeconds));
    co_return completed(Json::Size(co_await first_of(futures)));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.CompleteActivity("3", "c");  // the history has c before b
  script.CompleteActivity("2", "b");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "1");
  ExpectReplays(registry, script.history());
}

// RT2: coroutines resume in the order in which they became ready, which is the order of the events.
TEST(Execution, Coroutines_ResumeInTheOrderOfTheEvents) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    auto order = std::make_shared<std::vector<std::string>>();
    for (const char* name : {"a", "b", "c"}) {
      spawn([](std::string id, std::shared_ptr<std::vector<std::string>> seen) -> Task<void> {
        seen->push_back("start-" + id);
        co_await execute_activity(id, {}, {.activity_id = id, .start_to_close_ms = 1'000});
        seen->push_back("end-" + id);
      }(name, order));
    }
    co_await wait_until([order] { return order->size() == 6; });
    co_return completed(Json(Joined(*order)));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  for (const char* id : {"c", "a", "b"}) script.CompleteActivity(id);
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"start-a start-b start-c end-c end-a end-b\"");
  ExpectReplays(registry, script.history());
}

TEST(Execution, OneFuture_MayBeAwaitedByMany_InTheOrderTheyBegan) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    auto order = std::make_shared<std::string>();
    const auto future = timer(1'000);
    for (const char c : {'x', 'y', 'z'}) {
      spawn([](Future<bool> shared, char name, std::shared_ptr<std::string> out) -> Task<void> {
        co_await shared;
        out->push_back(name);
      }(future, c, order));
    }
    co_await future;
    co_await wait_until([order] { return order->size() == 3; });
    co_return completed(Json(*order));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"xyz\"");
  ExpectReplays(registry, script.history());
}

TEST(Execution, ManySpawnedTasks_AllFinish) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    auto count = std::make_shared<int>(0);
    for (int i = 0; i < 5'000; ++i) {
      spawn([](std::shared_ptr<int> n) -> Task<void> {
        ++*n;
        co_return;
      }(count));
    }
    co_await wait_until([count] { return *count == 5'000; });
    co_return completed(Json(*count));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "5000");
}

// --- signals ---------------------------------------------------------------------------------------------------------------

WorkflowRegistry SignalCollector() {
  return OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    std::vector<std::string> seen;
    co_await sleep(1'000);
    set_signal_handler("b", [&](const Payloads& input) { seen.push_back("b" + std::to_string(ReadFirstJson(input)->AsInt())); });
    set_signal_handler("a", [&](const Payloads& input) { seen.push_back("a" + std::to_string(ReadFirstJson(input)->AsInt())); });
    set_default_signal_handler([&](std::string_view name, const Payloads&) { seen.push_back("default-" + std::string(name)); });
    co_await wait_until([&] { return seen.size() >= 6; });
    co_return completed(Json(Joined(seen)));
  });
}

TEST(Signals, BeforeTheirHandler_AreBuffered_AndKeepTheirOrder) {
  const auto registry = SignalCollector();
  HistoryScript script(registry, {});
  script.Signal("a", 1);
  script.Signal("b", 2);
  script.Signal("c", 3);
  script.RunTask();
  EXPECT_THAT(script.execution().PendingWork(), ::testing::Contains("signal c buffered"));
  script.Signal("a", 4);
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  script.Signal("c", 5);
  script.Signal("a", 6);
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"b2 a1 a4 default-c default-c a6\"");
  ExpectReplays(registry, script.history());
}

// RT7: handlers run before the main coroutine of the same task, wherever the signal stands among the task's events.
TEST(Signals, Handlers_RunBeforeTheMainCoroutineOfTheSameTask) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    bool paused = false;
    set_signal_handler("pause", [&](const Payloads&) { paused = true; });
    co_await execute_activity("a", {}, kTenSeconds);
    co_return completed(Json(paused));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.CompleteActivity("1");
  script.Signal("pause");  // after the completion in the history
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "true");
  ExpectReplays(registry, script.history());
}

TEST(Signals, ArrivingWhileATaskIsOpen_BelongToTheNext) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    int count = 0;
    set_signal_handler("s", [&](const Payloads&) { ++count; });
    co_await sleep(1);
    co_return completed(Json(count));
  });
  HistoryScript script(registry, {});
  script.DuringNextTask([&] { script.Signal("s"); });
  script.RunTask();
  EXPECT_TRUE(script.task_scheduled());
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "1");
  ExpectReplays(registry, script.history());
}

TEST(Signals, HandlerThatReplacesItself_IsSafe) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    std::string seen;
    set_signal_handler("s", [&seen](const Payloads&) {
      seen += "1";
      set_signal_handler("s", [&seen](const Payloads&) { seen += "2"; });
      seen += "-";
    });
    co_await wait_until([&] { return seen.size() == 4; });
    co_return completed(Json(seen));
  });
  HistoryScript script(registry, {});
  script.Signal("s");
  script.Signal("s");
  script.RunTask();
  script.Signal("s");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"12-2\"");
}

TEST(Signals, HandlerThatIssuesACommand_BreaksTheTask) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    set_signal_handler("s", [](const Payloads&) { (void)timer(5); });
    co_await sleep(1'000);
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.Signal("s");
  script.RunTask();
  EXPECT_EQ(script.broken(), "WORKFLOW_PANIC");
  ASSERT_THAT(script.live_divergences(), SizeIs(1));
  EXPECT_THAT(script.live_divergences()[0].actual, HasSubstr("signal handler"));
}

// --- waiting ---------------------------------------------------------------------------------------------------------------

WorkflowRegistry Waiter() {
  return OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    bool go = false;
    set_signal_handler("go", [&](const Payloads&) { go = true; });
    const bool met = co_await wait_until([&] { return go; }, 5'000);
    co_return completed(Json(met));
  });
}

TEST(WaitUntil, ConditionFirst_IsTrue_AndCancelsTheTimer) {
  const auto registry = Waiter();
  HistoryScript script(registry, {});
  script.RunTask();
  script.Signal("go");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "true");
  EXPECT_NE(FindEvent(script.history(), EVENT_TYPE_TIMER_CANCELED), nullptr);
  ExpectReplays(registry, script.history());
}

TEST(WaitUntil, TimerFirst_IsFalse) {
  const auto registry = Waiter();
  HistoryScript script(registry, {});
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "false");
  ExpectReplays(registry, script.history());
}

TEST(WaitUntil, ConditionAndTimerInOneTask_TheConditionWins) {
  const auto registry = Waiter();
  HistoryScript script(registry, {});
  script.RunTask();
  script.FireTimer("1");
  script.Signal("go");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "true");
  EXPECT_EQ(FindEvent(script.history(), EVENT_TYPE_TIMER_CANCELED), nullptr);
  ExpectReplays(registry, script.history());
}

TEST(WaitUntil, ConditionTrueAtOnce_StartsNoTimer) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    co_await wait_until([] { return true; });
    co_return completed(Json(co_await wait_until([] { return true; }, 5'000)));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  EXPECT_TRUE(script.closed());
  EXPECT_EQ(FindEvent(script.history(), EVENT_TYPE_TIMER_STARTED), nullptr);
}

// Of two waiters woken by one change the first may undo it: the second waits on.
TEST(WaitUntil, Predicate_HoldsWhenTheWaiterGoesOn) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    struct State {
      int permits = 0, inside = 0, most = 0, done = 0;
    };
    auto state = std::make_shared<State>();
    set_signal_handler("permit", [state](const Payloads&) { ++state->permits; });
    for (int i = 0; i < 3; ++i) {
      spawn([](std::shared_ptr<State> s) -> Task<void> {
        co_await wait_until([s] { return s->permits > 0 && s->inside == 0; });
        --s->permits;
        s->most = std::max(s->most, ++s->inside);
        co_await sleep(1);
        --s->inside;
        ++s->done;
      }(state));
    }
    co_await wait_until([state] { return state->done == 3; });
    co_return completed(Json(state->most));
  });
  HistoryScript script(registry, {});
  for (int i = 0; i < 3; ++i) script.Signal("permit");
  script.RunTask();
  for (const char* id : {"1", "2", "3"}) {
    script.FireTimer(id);
    script.RunTask();
  }
  EXPECT_EQ(ResultOf(script.history()), "1");
  ExpectReplays(registry, script.history());
}

TEST(Timers, OfNoLength_LastAMillisecond) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    co_await sleep(0);
    co_await sleep(-5);
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  EXPECT_EQ(FindEvent(script.history(), EVENT_TYPE_TIMER_STARTED)->timer_started_event_attributes().start_to_fire_timeout().nanos(), 1'000'000);
}

// --- queries ---------------------------------------------------------------------------------------------------------------

TEST(Queries, Answer_FromTheStateOfTheCode) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    int count = 0;
    set_signal_handler("add", [&](const Payloads&) { ++count; });
    set_query_handler("count", [&](const Json::Array& arguments) -> Result<Json> {
      return Json(count + (arguments.empty() ? 0 : arguments[0].AsInt()));
    });
    set_query_handler("refuses", [](const Json::Array&) -> Result<Json> { return Fail("X", "not today"); });
    set_query_handler("throws", [](const Json::Array&) -> Result<Json> { throw std::runtime_error("oh"); });
    set_query_handler("throws-int", [](const Json::Array&) -> Result<Json> { throw 7; });
    set_query_handler("commands", [](const Json::Array&) -> Result<Json> {
      (void)timer(5);
      return Json();
    });
    set_query_handler("draws", [](const Json::Array&) -> Result<Json> { return Json(static_cast<int64_t>(random())); });
    set_query_handler("reads", [](const Json::Array&) -> Result<Json> {
      return Json(info().workflow_id + " " + std::to_string(now()));
    });
    co_await wait_until([&] { return count == 2; });
    co_return completed(Json(static_cast<int64_t>(random() >> 1)));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.Signal("add");
  script.RunTask();
  Execution& execution = script.execution();
  const auto ask = [&](std::string_view name, const Payloads& arguments = {}) {
    const auto answer = execution.Query(name, arguments);
    return answer ? CanonicalJson(*ReadFirstJson(**answer)) : answer.error().ToString();
  };
  EXPECT_EQ(ask("count"), "1");
  EXPECT_EQ(ask("count", JsonPayloads(10)), "11");
  EXPECT_THAT(ask("reads"), HasSubstr("workflow-1"));
  EXPECT_THAT(ask("nope"), HasSubstr("QUERY_UNKNOWN: no query nope; known: commands, count"));
  EXPECT_EQ(ask("refuses"), "QUERY_FAILED: refuses: X: not today");
  EXPECT_EQ(ask("throws"), "QUERY_FAILED: throws: oh");
  EXPECT_THAT(ask("throws-int"), HasSubstr("QUERY_FAILED"));
  EXPECT_THAT(ask("commands"), HasSubstr("QUERY_FAILED: commands: a command issued"));
  EXPECT_THAT(ask("draws"), HasSubstr("QUERY_FAILED"));
  Payloads unreadable;
  unreadable.add_payloads()->set_data("?");
  EXPECT_THAT(ask("count", unreadable), HasSubstr("QUERY_FAILED"));
  EXPECT_THAT(execution.commands(), IsEmpty());
  script.Signal("add");
  script.RunTask();
  EXPECT_NE(ask("count"), "");  // a closed workflow still answers
  ExpectReplays(registry, script.history());  // nothing a query did shows
}

// --- versions --------------------------------------------------------------------------------------------------------------

TEST(GetVersion, NewExecution_TakesTheMaximum_AndRecordsItOnce) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    std::string seen;
    for (int i = 0; i < 3; ++i) {
      seen += std::to_string(get_version("loop", kDefaultVersion, 2)) + " ";
      co_await sleep(1'000);
    }
    seen += std::to_string(get_version("other", 1, 4));
    co_await sleep(1'000);
    co_return completed(Json(seen));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  for (const char* id : {"1", "2", "3", "4"}) {
    script.FireTimer(id);
    script.RunTask();
  }
  EXPECT_EQ(ResultOf(script.history()), "\"2 2 2 4\"");
  int markers = 0;
  std::vector<std::string> attributes;
  for (const HistoryEvent& event : script.history().events()) {
    markers += event.event_type() == EVENT_TYPE_MARKER_RECORDED;
    if (event.event_type() != EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES) continue;
    const auto& fields = event.upsert_workflow_search_attributes_event_attributes().search_attributes().indexed_fields();
    attributes.push_back(fields.at("TemporalChangeVersion").data());
    EXPECT_EQ(fields.at("TemporalChangeVersion").metadata().at("type"), "KeywordList");
  }
  EXPECT_EQ(markers, 2);
  EXPECT_THAT(attributes, ElementsAre("[\"loop-2\"]", "[\"loop-2\",\"other-4\"]"));
  ExpectReplays(registry, script.history());
}

TEST(GetVersion, ReplayOfAHistoryWithoutTheMarker_GivesMinusOne_AndGoesOnSo) {
  const auto before = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    co_await execute_activity("a", {}, kTenSeconds);
    co_await execute_activity("b", {}, kTenSeconds);
    co_return completed(Json());
  });
  const auto after = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const int version = get_version("gate", kDefaultVersion, 1);
    co_await execute_activity(version == kDefaultVersion ? "a" : "new-a", {}, kTenSeconds);
    co_await execute_activity(get_version("gate", kDefaultVersion, 1) == kDefaultVersion ? "b" : "new-b", {}, kTenSeconds);
    co_return completed(Json());
  });
  HistoryScript script(before, {});
  script.RunTask();
  script.CompleteActivity("1");
  script.RunTask();
  script.CompleteActivity("2");
  script.RunTask();
  EXPECT_THAT(Replay(after, script.history()).divergences, IsEmpty());
  HistoryScript fresh(after, {});
  fresh.RunTask();
  EXPECT_EQ(FindEvent(fresh.history(), EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)->activity_task_scheduled_event_attributes().activity_type().name(),
            "new-a");
}

// --- recorded values ---------------------------------------------------------------------------------------------------------

TEST(SideEffect, Replay_GivesTheRecordedValue_WithoutProducing) {
  static int produced = 0;
  produced = 0;
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const Json first = side_effect([] { return Json(++produced); });
    co_await sleep(1'000);
    const Json second = side_effect([] { return Json(++produced); });
    co_return completed(Json(first.AsInt() * 100 + second.AsInt()));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "102");
  EXPECT_EQ(produced, 2);
  EXPECT_THAT(Replay(registry, script.history()).divergences, IsEmpty());
  EXPECT_EQ(produced, 2);
}

TEST(Attributes, AndMemo_AreCommands) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    upsert_attributes({{"runStatus", "RUNNING"}, {"tags", Json(Json::Array{Json("a"), Json("b")})}});
    upsert_memo(Json::MakeObject({{"note", "x"}}));
    co_await sleep(1);
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  const auto& fields = FindEvent(script.history(), EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES)
                           ->upsert_workflow_search_attributes_event_attributes().search_attributes().indexed_fields();
  EXPECT_EQ(fields.at("runStatus").data(), "\"RUNNING\"");
  EXPECT_EQ(fields.at("runStatus").metadata().at("type"), "Keyword");
  EXPECT_EQ(fields.at("tags").metadata().at("type"), "KeywordList");
  EXPECT_EQ(FindEvent(script.history(), EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED)
                ->workflow_properties_modified_event_attributes().upserted_memo().fields().at("note").data(),
            "\"x\"");
  ExpectReplays(registry, script.history());
}

TEST(ContinueAsNew, CarriesInputTypeAndQueue) {
  const auto registry = OneWorkflow([](const Payloads& input) -> Task<WorkflowResult> {
    co_return continue_as_new(JsonPayloads(ReadFirstJson(input)->AsInt() + 1), {.task_queue = "elsewhere"});
  });
  HistoryScript script(registry, {.input = JsonPayloads(41)});
  script.RunTask();
  const auto& next = FindEvent(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW)
                         ->workflow_execution_continued_as_new_event_attributes();
  EXPECT_EQ(next.workflow_type().name(), "test");
  EXPECT_EQ(next.task_queue().name(), "elsewhere");
  EXPECT_EQ(ReadFirstJson(next.input())->AsInt(), 42);
  ExpectReplays(registry, script.history());
}

// --- time, randomness, facts -------------------------------------------------------------------------------------------------

TEST(Now, IsTheStartOfTheCurrentTask) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const UnixMillis first = now();
    co_await sleep(60'000);
    const UnixMillis second = now();
    EXPECT_EQ(now(), second);
    co_return completed(Json(Json::Array{Json(first), Json(second)}));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "[1700000000005,1700000060015]");
  ExpectReplays(registry, script.history());
}

TEST(Now, NeverGoesBack_WhenTheServersClockDoes) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const UnixMillis first = now();
    co_await sleep(1'000);
    co_return completed(Json(now() - first));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.FireTimer("1");
  script.AdvanceClock(-3'600'000);
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "0");
  ExpectReplays(registry, script.history());
}

WorkflowRegistry Randomness() {
  return OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const std::string before = uuid4() + " " + std::to_string(uniform(1, 1'000'000));
    co_await sleep(1'000);
    std::vector<int> values = {1, 2, 3, 4, 5, 6, 7, 8};
    shuffle(&values);
    std::string text;
    for (const int value : values) text += std::to_string(value);
    co_return completed(before + " " + uuid4() + " " + text);
  });
}

TEST(Randomness, IsTheSameInReplay_AndFollowsTheRunId) {
  const auto registry = Randomness();
  const auto run = [&](const std::string& run_id, bool evict) {
    HistoryScript script(registry, {.run_id = run_id, .evict_after_every_task = evict});
    script.RunTask();
    script.FireTimer("1");
    script.RunTask();
    ExpectReplays(registry, script.history());
    return ResultOf(script.history());
  };
  const std::string one = run("11111111-2222-4333-8444-555555555555", false);
  EXPECT_EQ(run("11111111-2222-4333-8444-555555555555", true), one);
  EXPECT_NE(run("99999999-2222-4333-8444-555555555555", false), one);
  EXPECT_TRUE(IsUuidV4(one.substr(1, 36))) << one;
}

TEST(Randomness, AReset_SeedsAnew) {
  const auto registry = Randomness();
  const auto run = [&](const std::string& new_run_id) {
    HistoryScript script(registry, {});
    script.RunTask();
    script.FireTimer("1");
    if (!new_run_id.empty()) script.FailWorkflowTask(WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW, new_run_id);
    script.RunTask();
    ExpectReplays(registry, script.history());
    return ResultOf(script.history());
  };
  const std::string plain = run(""), reset = run("77777777-2222-4333-8444-555555555555");
  EXPECT_EQ(plain.substr(0, 40), reset.substr(0, 40));
  EXPECT_NE(plain, reset);
  EXPECT_NE(run("88888888-2222-4333-8444-555555555555"), reset);
}

TEST(Info, SaysWhatTheHistorySays) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const WorkflowInfo& facts = info();
    const int64_t before = facts.history_length;
    co_await sleep(1);
    co_return completed(Json::MakeObject({{"id", facts.workflow_id}, {"run", facts.run_id}, {"type", facts.workflow_type},
                                          {"queue", facts.task_queue}, {"from", facts.continued_from_run_id},
                                          {"grew", facts.history_length > before}, {"bytes", facts.history_size_bytes > 0},
                                          {"suggest", facts.suggest_continue_as_new}}));
  });
  HistoryScript script(registry, {.continued_from_run_id = "earlier"});
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()),
            R"({"bytes":true,"from":"earlier","grew":true,"id":"workflow-1","queue":"queue","run":"11111111-2222-4333-8444-555555555555",)"
            R"("suggest":false,"type":"test"})");
  ExpectReplays(registry, script.history());
}

TEST(Info, SizeThatADamagedHistoryPutsBelowZero_IsNone) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    co_return completed(Json(info().history_size_bytes >= 0));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  testing::History history = script.history();
  for (HistoryEvent& event : *history.mutable_events()) {
    if (event.has_workflow_task_started_event_attributes())
      event.mutable_workflow_task_started_event_attributes()->set_history_size_bytes(INT64_MIN);
  }
  EXPECT_EQ(ResultOf(history), "true");
  ExpectReplays(registry, history);
}

TEST(StableIdAndHash, AreFixed) {
  EXPECT_EQ(stable_id("run", "step"), stable_id("run", "step"));
  EXPECT_EQ(stable_id("run", "step").size(), 64u);
  EXPECT_EQ(stable_hash(Json("")), 0x08c5db07b5a1bb7eu ^ stable_hash(Json("")) ^ 0x08c5db07b5a1bb7eu);
  EXPECT_EQ(stable_hash(Json::MakeObject({{"b", 1}, {"a", 2}})), stable_hash(Json::MakeObject({{"a", 2}, {"b", 1}})));
}

TEST(Log, IsSilentInReplay) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    log("begin");
    co_await sleep(1);
    log_warning("end");
    co_return completed(Json(is_replaying()));
  });
  std::vector<std::string> lines;
  ExecutionOptions options;
  options.log = [&](LogLevel, std::string_view line) { lines.emplace_back(line); };
  HistoryScript script(registry, {.execution = options});
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_THAT(lines, ElementsAre("begin", "end"));
  (void)Replay(registry, script.history(), SIZE_MAX, options);
  EXPECT_THAT(lines, SizeIs(2));
}

// --- ends that are no results ------------------------------------------------------------------------------------------------

TEST(Execution, FailedResult_FailsTheWorkflow) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    co_return failed(Error("INVALID_WORKFLOW_STATE", "cursor").With("planSha256", "x"));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  const auto& failure = FindEvent(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)->workflow_execution_failed_event_attributes().failure();
  EXPECT_EQ(failure.application_failure_info().type(), "INVALID_WORKFLOW_STATE");
  ExpectReplays(registry, script.history());
}

struct Trouble {
  const char* name;
  std::function<Task<WorkflowResult>(const Payloads&)> code;
  const char* broken;
};

TEST(Execution, WhatTheCodeThrows_BreaksTheTask_WithTheLastSourceLine) {
  static uint32_t line = 0;
  const Trouble troubles[] = {
      {"main",
       [](const Payloads&) -> Task<WorkflowResult> {
         co_await sleep(1); line = std::source_location::current().line();
         throw std::runtime_error("main broke");
       },
       "main broke"},
      {"spawned",
       [](const Payloads&) -> Task<WorkflowResult> {
         spawn([]() -> Task<void> {
           co_await sleep(1); line = std::source_location::current().line();
           throw std::runtime_error("spawned broke");
         }());
         co_await wait_until([] { return false; });
         co_return completed(Json());
       },
       "spawned broke"},
      {"no std::exception",
       [](const Payloads&) -> Task<WorkflowResult> {
         co_await sleep(1); line = std::source_location::current().line();
         throw 42;
       },
       "something that is no std::exception"},
  };
  for (const Trouble& trouble : troubles) {
    const auto registry = OneWorkflow(trouble.code);
    HistoryScript script(registry, {});
    script.RunTask();
    script.FireTimer("1");
    script.RunTask();
    EXPECT_EQ(script.broken(), "WORKFLOW_PANIC") << trouble.name;
    EXPECT_FALSE(script.closed());
    EXPECT_NE(FindEvent(script.history(), EVENT_TYPE_WORKFLOW_TASK_FAILED), nullptr);
    ASSERT_THAT(script.live_divergences(), SizeIs(1));
    const Divergence& divergence = script.live_divergences()[0];
    EXPECT_EQ(divergence.kind, DivergenceKind::kWorkflowPanic);
    EXPECT_EQ(divergence.grade, Grade::kCommandChanging);
    EXPECT_THAT(divergence.actual, HasSubstr(trouble.broken));
    if (trouble.name != std::string("spawned")) {
      EXPECT_EQ(divergence.where.line, line) << trouble.name;
    }
  }
}

TEST(Execution, ThrowingHandlersAndPredicates_BreakTheTask) {
  const Trouble troubles[] = {
      {"handler",
       [](const Payloads&) -> Task<WorkflowResult> {
         set_signal_handler("s", [](const Payloads&) { throw std::runtime_error("handler broke"); });
         co_await sleep(1'000);
         co_return completed(Json());
       },
       "handler broke"},
      {"predicate",
       [](const Payloads&) -> Task<WorkflowResult> {
         int calls = 0;
         set_signal_handler("s", [&](const Payloads&) { ++calls; });
         co_await wait_until([&]() -> bool {
           if (calls > 0) throw std::runtime_error("predicate broke");
           return false;
         });
         co_return completed(Json());
       },
       "predicate broke"},
      {"impure predicate",
       [](const Payloads&) -> Task<WorkflowResult> {
         int calls = 0;
         set_signal_handler("s", [&](const Payloads&) { ++calls; });
         co_await wait_until([&] { return calls > 0 && uniform(0, 1) == 0; });
         co_return completed(Json());
       },
       "predicate or query handler"},
  };
  for (const Trouble& trouble : troubles) {
    const auto registry = OneWorkflow(trouble.code);
    HistoryScript script(registry, {});
    script.RunTask();
    script.Signal("s");
    script.RunTask();
    EXPECT_EQ(script.broken(), "WORKFLOW_PANIC") << trouble.name;
    ASSERT_THAT(script.live_divergences(), SizeIs(1)) << trouble.name;
    EXPECT_THAT(script.live_divergences()[0].actual, HasSubstr(trouble.broken));
  }
}

// A workflow that goes on without ever waiting for an event is reported with the line it is on.
TEST(Execution, Spinning_IsReportedWithItsLine) {
  static uint32_t line = 0;
  const Trouble troubles[] = {
      {"a wait that is met at once",
       [](const Payloads&) -> Task<WorkflowResult> {
         line = std::source_location::current().line() + 1;
         for (;;) co_await wait_until([] { return true; });
       },
       ""},
      {"tasks that take turns",
       [](const Payloads&) -> Task<WorkflowResult> {
         auto turn = std::make_shared<int>(0);
         spawn([](std::shared_ptr<int> t) -> Task<void> {
           for (;;) {
             co_await wait_until([t] { return *t == 1; }, std::source_location());
             *t = 0;
           }
         }(turn));
         for (;;) {
           *turn = 1;
           line = std::source_location::current().line() + 1;
           co_await wait_until([turn] { return *turn == 0; });
         }
       },
       ""},
      {"calls without a wait",
       [](const Payloads&) -> Task<WorkflowResult> {
         line = std::source_location::current().line() + 1;
         for (;;) upsert_memo(Json::MakeObject({{"a", 1}}));
       },
       ""},
      {"child tasks that return at once",
       [](const Payloads&) -> Task<WorkflowResult> {
         upsert_memo(Json::MakeObject()); line = std::source_location::current().line();
         for (;;) co_await [](int) -> Task<void> { co_return; }(1);
       },
       ""},
  };
  for (const Trouble& trouble : troubles) {
    const auto registry = OneWorkflow(trouble.code);
    ExecutionOptions options;
    options.max_resumptions_per_task = 2'000;
    HistoryScript script(registry, {.execution = options});
    script.RunTask();
    EXPECT_EQ(script.broken(), "WORKFLOW_SPINNING") << trouble.name;
    ASSERT_THAT(script.live_divergences(), SizeIs(1)) << trouble.name;
    const Divergence& divergence = script.live_divergences()[0];
    EXPECT_EQ(divergence.kind, DivergenceKind::kSpinning);
    EXPECT_EQ(divergence.grade, Grade::kCommandChanging);
    if (trouble.name != std::string("tasks that take turns")) {
      EXPECT_EQ(divergence.where.line, line) << trouble.name;
    }
  }
}

TEST(Execution, UnknownWorkflowType_IsReported_NotRun) {
  WorkflowRegistry registry;
  registry.Register("known", [](const Payloads&) -> Task<WorkflowResult> { co_return completed(Json()); });
  const auto other = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    co_await sleep(1);
    co_return completed(Json());
  });
  HistoryScript script(other, {});
  script.RunTask();
  const auto outcome = Replay(registry, script.history());
  ASSERT_THAT(outcome.divergences, SizeIs(1));
  EXPECT_EQ(outcome.divergences[0].kind, DivergenceKind::kWorkflowType);
  EXPECT_EQ(outcome.divergences[0].event_id, 1);
  EXPECT_EQ(outcome.divergences[0].expected, "test");
  EXPECT_EQ(outcome.divergences[0].actual, "a build that knows known");
}

TEST(Execution, HistoryThatBeginsInTheMiddle_IsReported) {
  const auto registry = Waiter();
  HistoryScript script(registry, {});
  script.RunTask();
  script.Signal("go");
  script.RunTask();
  auto history = script.history();
  history.mutable_events()->DeleteSubrange(0, 4);
  const auto outcome = Replay(registry, history);
  ASSERT_FALSE(outcome.divergences.empty());
  EXPECT_EQ(outcome.divergences[0].kind, DivergenceKind::kUnknownReference);
}

// --- tasks that leave no trace -------------------------------------------------------------------------------------------------

TEST(Execution, FailedAndTimedOutTasks_DoNotCount) {
  const auto registry = Randomness();
  HistoryScript script(registry, {});
  script.FailWorkflowTask(WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE);
  script.TimeOutWorkflowTask();
  script.RunTask();
  script.FireTimer("1");
  script.TimeOutWorkflowTask();
  script.RunTask();
  EXPECT_TRUE(script.closed());
  ExpectReplays(registry, script.history());
}

TEST(Execution, CompletionPastUnseenNews_IsRefusedByTheServer_AndTriedAgain) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    int count = 0;
    set_signal_handler("s", [&](const Payloads&) { ++count; });
    co_return completed(Json(count));
  });
  HistoryScript script(registry, {});
  script.DuringNextTask([&] { script.Signal("s"); });
  script.RunTask();
  EXPECT_FALSE(script.closed());
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "1");
  ExpectReplays(registry, script.history());
}

TEST(Execution, Termination_EndsTheHistory_AndReplays) {
  const auto registry = Waiter();
  HistoryScript script(registry, {});
  script.RunTask();
  script.Terminate();
  EXPECT_THAT(Replay(registry, script.history()).divergences, IsEmpty());
}

// RT5: the sticky cache is only an optimisation.
TEST(Execution, EvictingAfterEveryTask_ChangesNoCommand) {
  const auto registry = SignalCollector();
  const auto run = [&](bool evict) {
    HistoryScript script(registry, {.evict_after_every_task = evict});
    script.Signal("a", 1);
    script.RunTask();
    script.Signal("b", 2);
    script.RunTask();
    script.FireTimer("1");
    for (int i = 0; i < 4; ++i) script.Signal("c");
    script.RunTask();
    EXPECT_TRUE(script.closed());
    return script.commands_by_task();
  };
  EXPECT_EQ(run(false), run(true));
}

TEST(Execution, PendingWork_NamesWhatIsOpen_WithItsLine) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    auto activity = execute_activity("load", {}, {.activity_id = "step/a/1", .start_to_close_ms = 1'000});
    co_await sleep(1'000);
    co_await activity;
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  const auto pending = Replay(registry, script.history()).pending_work;
  ASSERT_THAT(pending, SizeIs(2));
  EXPECT_THAT(pending[0], HasSubstr("activity step/a/1 recorded [engine-core/workflow/execution_test.cpp:"));
  EXPECT_THAT(pending[1], HasSubstr("timer 1 recorded"));
}

TEST(Execution, Commands_CarryTheLineThatIssuedThem) {
  static uint32_t line = 0;
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    line = std::source_location::current().line() + 1;
    (void)execute_activity("a", {}, kTenSeconds);
    (void)timer(5);
    (void)side_effect([] { return Json(1); });
    (void)get_version("v", 1, 1);
    upsert_memo(Json::MakeObject({{"a", 1}}));
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  const auto execution = Execution::Create(registry, {"default", "", ""});
  const auto pointers = testing::Pointers(script.history(), 3);
  execution->Activate(CutHistory(pointers).tasks[0]);
  std::vector<uint32_t> lines;
  for (const IssuedCommand& issued : execution->commands()) lines.push_back(issued.where.line());
  EXPECT_THAT(lines, ElementsAre(line, line + 1, line + 2, line + 3, line + 3, line + 4, line + 5));
}

}  // namespace
}  // namespace lockstep::workflow
