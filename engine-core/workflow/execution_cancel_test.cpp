// Cancellation: of the workflow, of scopes, nested and detached, and what each command kind and mode makes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include "engine-core/workflow/testing/expect.h"
#include "engine-core/workflow/testing/program.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::workflow {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT
using testing::Count;
using testing::ExpectReplays;
using testing::FindEvent;
using testing::HistoryScript;
using testing::History;
using testing::OneWorkflow;
using testing::ResultOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// An activity under a scope, cancelled by signal; the outcome's code is the result.
WorkflowRegistry ScopedActivity(CancelMode mode) {
  return OneWorkflow([mode](const Payloads&) -> Task<WorkflowResult> {
    CancelScope scope;
    bool stop = false;
    std::string code;
    set_signal_handler("stop", [&](const Payloads&) { stop = true; });
    spawn(scope.run([](CancelMode how, std::string* out) -> Task<void> {
      const auto outcome = co_await execute_activity("work", {}, {.start_to_close_ms = 10'000, .cancel = how});
      *out = outcome.result ? "ok" : outcome.result.error().code;
    }(mode, &code)));
    co_await wait_until([&] { return stop; });
    scope.cancel();
    co_await wait_until([&] { return !code.empty(); });
    co_await sleep(1'000);
    co_return completed(Json(code));
  });
}

TEST(CancelActivity, TryCancel_AnswersAtOnce_AndAsksTheServer) {
  const auto registry = ScopedActivity(CancelMode::kTryCancel);
  HistoryScript script(registry, {});
  script.RunTask();
  script.StartActivity("1");
  script.Signal("stop");
  script.RunTask();
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED), 1);
  EXPECT_THAT(script.OpenTimers(), ElementsAre("1"));  // went on already
  script.CompleteActivity("1", "late");  // whatever comes later finds nobody waiting
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"CANCELLED\"");
  ExpectReplays(registry, script.history());
}

TEST(CancelActivity, WaitForCompletion_WaitsForTheServersWord) {
  const auto registry = ScopedActivity(CancelMode::kWaitForCompletion);
  HistoryScript script(registry, {});
  script.RunTask();
  script.StartActivity("1");
  script.Signal("stop");
  script.RunTask();
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED), 1);
  EXPECT_THAT(script.OpenTimers(), IsEmpty());
  script.CancelActivity("1");
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"CANCELLED\"");
  ExpectReplays(registry, script.history());
}

TEST(CancelActivity, WaitForCompletion_TakesAResultThatCameFirst) {
  const auto registry = ScopedActivity(CancelMode::kWaitForCompletion);
  HistoryScript script(registry, {});
  script.RunTask();
  script.Signal("stop");
  script.RunTask();
  script.CompleteActivity("1");
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"ok\"");
  ExpectReplays(registry, script.history());
}

TEST(CancelActivity, Abandon_AnswersAtOnce_AndAsksNobody) {
  const auto registry = ScopedActivity(CancelMode::kAbandon);
  HistoryScript script(registry, {});
  script.RunTask();
  script.Signal("stop");
  script.RunTask();
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED), 0);
  script.CompleteActivity("1");
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"CANCELLED\"");
  ExpectReplays(registry, script.history());
}

TEST(CancelActivity, InTheTaskThatScheduledIt_LeavesNoCommand) {
  for (const CancelMode mode : {CancelMode::kTryCancel, CancelMode::kWaitForCompletion, CancelMode::kAbandon}) {
    const auto registry = ScopedActivity(mode);
    HistoryScript script(registry, {});
    script.Signal("stop");
    script.RunTask();
    EXPECT_EQ(Count(script.history(), EVENT_TYPE_ACTIVITY_TASK_SCHEDULED), 0);
    EXPECT_EQ(Count(script.history(), EVENT_TYPE_TIMER_STARTED), 1);
    script.FireTimer("1");
    script.RunTask();
    EXPECT_EQ(ResultOf(script.history()), "\"CANCELLED\"");
    ExpectReplays(registry, script.history());
  }
}

// The request to cancel and the end of the work reach the code in one task: the server would refuse to cancel what is over.
TEST(CancelActivity, EndedInTheTaskThatCancels_TakesTheCancellationBack) {
  for (const CancelMode mode : {CancelMode::kTryCancel, CancelMode::kWaitForCompletion, CancelMode::kAbandon}) {
    const auto registry = OneWorkflow([mode](const Payloads&) -> Task<WorkflowResult> {
      const auto outcome = co_await execute_activity("work", {}, {.start_to_close_ms = 10'000, .cancel = mode});
      co_return completed(Json(outcome.result ? "ok" : outcome.result.error().code));
    });
    HistoryScript script(registry, {});
    script.RunTask();
    script.RequestCancel();
    script.CompleteActivity("1");
    script.RunTask();
    EXPECT_EQ(Count(script.history(), EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED), 0);
    EXPECT_EQ(ResultOf(script.history()), mode == CancelMode::kWaitForCompletion ? "\"ok\"" : "\"CANCELLED\"");
    ExpectReplays(registry, script.history());
  }
}

TEST(CancelTimer, FiredInTheTaskThatCancels_TakesTheCancellationBack) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    co_await sleep(1'000);
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.RequestCancel();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_TIMER_CANCELED), 0);
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED), 1);
  ExpectReplays(registry, script.history());
}

TEST(CancelTimer, StartedAndCancelledInOneTask_LeavesNoCommand) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    CancelScope scope;
    std::string seen;
    spawn(scope.run([](std::string* out) -> Task<void> {
      *out = co_await timer(60'000) ? "fired" : "cancelled";
    }(&seen)));
    co_await wait_until([&] { return true; });
    co_await [](CancelScope* s) -> Task<void> {
      s->cancel();
      co_return;
    }(&scope);
    co_await wait_until([&] { return !seen.empty(); });
    co_return completed(Json(seen));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_TIMER_STARTED), 0);
  EXPECT_EQ(ResultOf(script.history()), "\"cancelled\"");
  ExpectReplays(registry, script.history());
}

TEST(CancelWorkflow, UncaughtCancellation_EndsTheWorkflowCancelled) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    co_await sleep(60'000);
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.RequestCancel();
  script.RunTask();
  EXPECT_TRUE(script.closed());
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_TIMER_CANCELED), 1);
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED), 1);
  ExpectReplays(registry, script.history());
}

TEST(CancelWorkflow, BeforeTheFirstTask_LetsNoCommandOut) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const auto outcome = co_await execute_activity("work", {}, {.start_to_close_ms = 1'000});
    EXPECT_FALSE(outcome.result.has_value());
    EXPECT_TRUE(scope_cancelled());
    co_await sleep(1);
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RequestCancel();
  script.RunTask();
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED), 1);
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_ACTIVITY_TASK_SCHEDULED), 0);
  ExpectReplays(registry, script.history());
}

// Spec 04 section 7.2: caught once at the top, cleaned up from a detached scope.
TEST(CancelWorkflow, DetachedScope_IsNotReached) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    bool was_cancelled = false;
    try {
      co_await wait_until([] { return false; });
    } catch (const Cancelled&) {
      was_cancelled = true;
    }
    std::string code;
    co_await detached([](std::string* out) -> Task<void> {
      const auto outcome = co_await execute_activity("clean", {}, {.start_to_close_ms = 1'000});
      co_await sleep(1'000);
      *out = outcome.result ? "cleaned" : outcome.result.error().code;
    }(&code));
    co_return cancelled(JsonPayloads(code + (was_cancelled ? " once" : "")));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.RequestCancel();
  script.RunTask();
  script.CompleteActivity("1");
  script.RequestCancel();  // a second request changes nothing
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  const HistoryEvent* end = FindEvent(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED);
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(ReadFirstJson(end->workflow_execution_canceled_event_attributes().details())->AsString(), "cleaned once");
  ExpectReplays(registry, script.history());
}

TEST(CancelWorkflow, SpawnedTasks_EndWithTheirScope) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    for (int i = 0; i < 3; ++i) {
      spawn([](int n) -> Task<void> { co_await sleep(1'000 + n); }(i));
    }
    try {
      co_await sleep(100'000);
    } catch (const Cancelled&) {
    }
    co_return cancelled();
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.RequestCancel();
  script.RunTask();
  EXPECT_EQ(Count(script.history(), EVENT_TYPE_TIMER_CANCELED), 4);
  ExpectReplays(registry, script.history());
}

TEST(CancelScope, Nested_IsCancelledWithItsParent_NotTheOtherWayRound) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    std::vector<std::string> seen;
    CancelScope outer;
    std::string which;
    set_signal_handler("cancel", [&](const Payloads& input) { which = ReadFirstJson(input)->AsString(); });
    CancelScope* inner_scope = nullptr;
    spawn(outer.run([](std::vector<std::string>* out, CancelScope** inner_out) -> Task<void> {
      CancelScope inner;
      *inner_out = &inner;
      spawn(inner.run([](std::vector<std::string>* o) -> Task<void> {
        o->push_back(co_await timer(1'000) ? "inner fired" : "inner cancelled");
      }(out)));
      out->push_back(co_await timer(2'000) ? "outer fired" : "outer cancelled");
    }(&seen, &inner_scope)));
    while (seen.size() < 2) {
      co_await wait_until([&] { return !which.empty() || seen.size() == 2; });
      if (which == "inner" && inner_scope != nullptr) inner_scope->cancel();
      if (which == "outer") outer.cancel();
      which.clear();
    }
    EXPECT_EQ(outer.cancelled(), seen[1] == "outer cancelled" || seen[0] == "outer cancelled");
    co_return completed(seen[0] + ", " + seen[1]);
  });
  HistoryScript outer(registry, {});
  outer.RunTask();
  outer.Signal("cancel", "outer");
  outer.RunTask();
  EXPECT_EQ(ResultOf(outer.history()), "\"outer cancelled, inner cancelled\"");
  ExpectReplays(registry, outer.history());

  HistoryScript inner(registry, {});
  inner.RunTask();
  inner.Signal("cancel", "inner");
  inner.RunTask();
  ASSERT_EQ(inner.OpenTimers().size(), 1u);
  inner.FireTimer(inner.OpenTimers()[0]);
  inner.RunTask();
  EXPECT_EQ(ResultOf(inner.history()), "\"inner cancelled, outer fired\"");
  ExpectReplays(registry, inner.history());
}

TEST(CancelScope, WorkInsideACancelledScope_IsCancelledFromTheStart) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    CancelScope scope;
    scope.cancel();
    std::string seen;
    co_await scope.run([](std::string* out) -> Task<void> {
      *out += co_await timer(5) ? "timer " : "no-timer ";
      *out += (co_await local_activity("l", {})).result.error().code + " ";
      *out += (co_await execute_activity("a", {}, {.start_to_close_ms = 1})).result.error().code;
      try {
        co_await wait_until([] { return false; });
      } catch (const Cancelled&) {
        *out += " caught";
      }
    }(&seen));
    co_return completed(Json(seen));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"no-timer CANCELLED CANCELLED caught\"");
  ExpectReplays(registry, script.history());
}

// Two waiters are woken in one round; the first cancels the second's scope before the second's turn has come.
TEST(CancelScope, CancelledBetweenWakingAndRunning_TheConditionWins_AndTheWaiterRunsOnce) {
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    bool go = false;
    int runs = 0;
    CancelScope scope;
    set_signal_handler("go", [&](const Payloads&) { go = true; });
    spawn([](bool* flag, CancelScope* victim) -> Task<void> {
      co_await wait_until([flag] { return *flag; });
      victim->cancel();
    }(&go, &scope));
    spawn(scope.run([](bool* flag, int* count) -> Task<void> {
      co_await wait_until([flag] { return *flag; });
      ++*count;
    }(&go, &runs)));
    co_await wait_until([&] { return runs > 0; });
    co_return completed(Json(runs));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.Signal("go");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "1");
  ExpectReplays(registry, script.history());
}

TEST(CancelScope, CancellationCommands_CarryTheLineThatCancelled) {
  static uint32_t cancel_line = 0;
  static uint32_t timer_line = 0;
  const auto registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    CancelScope scope;
    bool stop = false;
    set_signal_handler("stop", [&](const Payloads&) { stop = true; });
    spawn(scope.run([]() -> Task<void> { co_await sleep(60'000); }()));
    co_await wait_until([&] { return stop; });
    cancel_line = std::source_location::current().line() + 1;
    scope.cancel();
    timer_line = std::source_location::current().line() + 1;
    co_await sleep(60'000);
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.Signal("stop");
  script.RunTask();
  script.RequestCancel();
  script.RunTask();
  const auto execution = Execution::Create(registry, {"default", "", ""});
  const auto pointers = testing::Pointers(script.history());
  std::vector<uint32_t> lines;
  for (const TaskSlice& task : CutHistory(pointers).tasks) {
    execution->Activate(task);
    for (const IssuedCommand& issued : execution->commands()) {
      if (issued.command->command_type() == COMMAND_TYPE_CANCEL_TIMER) lines.push_back(issued.where.line());
    }
    execution->Complete(*task.completed, task.recorded);
  }
  // Cancelled from outside: the line that asked for the work.
  EXPECT_THAT(lines, ElementsAre(cancel_line, timer_line));
}

}  // namespace
}  // namespace lockstep::workflow
