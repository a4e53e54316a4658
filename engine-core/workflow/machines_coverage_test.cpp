// Measures that executions take every row of every command machine's table: each kind is driven through all combinations of
// cancellation mode, moment of the cancellation, what the other side says to it, and how the work ends. A row that no execution
// can take does not belong in a table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine-core/workflow/match.h"
#include "engine-core/workflow/testing/expect.h"

namespace lockstep::workflow::testing {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT

class Coverage {
 public:
  ScriptOptions Options() {
    ScriptOptions options;
    options.execution.on_transition = [this](CommandKind kind, const Transition& row) { taken_[kind].insert(&row); };
    return options;
  }
  std::vector<std::string> Missing() const {
    std::vector<std::string> missing;
    for (const CommandKindSpec& spec : AllCommandKinds()) {
      for (const Transition& row : spec.table) {
        const auto it = taken_.find(spec.kind);
        if (it != taken_.end() && it->second.contains(&row)) continue;
        missing.push_back(std::string(spec.name) + ": " + std::string(MachineStateName(row.from)) + " + " +
                          std::string(MachineInputName(row.on)) + " [" + std::string(CancelModeName(row.only)) + "]");
      }
    }
    return missing;
  }

 private:
  std::map<CommandKind, std::set<const Transition*>> taken_;
};

// --- activities, children, Nexus operations ------------------------------------------------------------------------------

enum class When : uint8_t { kNever, kAtOnce, kBeforeStart, kAfterStart };
enum class Said : uint8_t { kNothing, kAcknowledged, kRefused };

struct Story {
  CommandKind kind = CommandKind::kActivity;
  CancelMode mode = CancelMode::kTryCancel;
  When when = When::kNever;
  bool from_outside = false;   // a request to cancel the workflow, followed by more news in the same task
  Said said = Said::kNothing;  // to the request to cancel
  bool said_late = false;      // after the end
  bool said_early = false;     // before the start
  bool starts = true;
  std::optional<EventType> end;

  std::string ToString() const {
    return std::string(SpecOf(kind).name) + ", " + std::string(CancelModeName(mode)) + ", when " + std::to_string(static_cast<int>(when)) +
           (from_outside ? ", from outside" : "") + ", said " + std::to_string(static_cast<int>(said)) + (said_late ? " late" : "") + (said_early ? " early" : "") +
           (starts ? "" : ", not started") + ", ends " + (end ? EventTypeName(*end) : "never");
  }
};

struct Begun {
  std::function<bool()> ready;
  std::function<std::string()> code;
};

Task<Begun> Begin(CommandKind kind, CancelMode mode) {
  const auto seen = [](const auto& future) {
    return Begun{[future] { return future.ready(); },
                 [future] { return future.value().result ? std::string("ok") : future.value().result.error().code; }};
  };
  if (kind == CommandKind::kActivity) {
    co_return seen(execute_activity("work", {}, {.activity_id = "w", .start_to_close_ms = 1'000, .cancel = mode}));
  }
  if (kind == CommandKind::kChildWorkflow) {
    co_return seen(start_child_workflow("work", {}, {.workflow_id = "w", .cancel = mode}).result);
  }
  co_return seen(start_nexus_operation("end", "service", "work", {}, {.cancel = mode}).result);
}

WorkflowRegistry StoryRegistry(const Story& story) {
  return OneWorkflow([story](const Payloads&) -> Task<WorkflowResult> {
    bool cancel = story.when == When::kAtOnce, over = false;
    set_signal_handler("cancel", [&cancel](const Payloads&) { cancel = true; });
    set_signal_handler("over", [&over](const Payloads&) { over = true; });
    CancelScope scope;
    const Begun begun = co_await scope.run(Begin(story.kind, story.mode));
    if (!story.from_outside) {
      co_await wait_until([&] { return cancel || over; });
      if (cancel) scope.cancel();
    }
    // Where cancelling the workflow cannot reach: the story goes on after it.
    co_await detached([](bool& over) -> Task<void> { co_await wait_until([&over] { return over; }); }(over));
    co_return completed(Json(begun.ready() ? begun.code() : "open"));
  });
}

void Start(HistoryScript* script, CommandKind kind) {
  if (kind == CommandKind::kActivity) script->StartActivity("w");
  if (kind == CommandKind::kChildWorkflow) {
    script->Happen(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, "w")
        ->mutable_child_workflow_execution_started_event_attributes()
        ->mutable_workflow_execution()
        ->set_run_id("child-run");
  }
  if (kind == CommandKind::kNexusOperation) script->Happen(EVENT_TYPE_NEXUS_OPERATION_STARTED, "1");
}

void End(HistoryScript* script, const Story& story) {
  if (story.kind != CommandKind::kActivity) {
    script->Happen(*story.end, story.kind == CommandKind::kChildWorkflow ? "w" : "1");
    return;
  }
  const int attempt = story.starts ? 1 : 0;
  switch (*story.end) {
    case EVENT_TYPE_ACTIVITY_TASK_COMPLETED: script->CompleteActivity("w", {}, attempt); break;
    case EVENT_TYPE_ACTIVITY_TASK_FAILED: script->FailActivity("w", Error("BAD", "bad"), attempt); break;
    case EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: script->TimeOutActivity("w", TIMEOUT_TYPE_START_TO_CLOSE, attempt); break;
    default: script->CancelActivity("w"); break;
  }
}

void Say(HistoryScript* script, const Story& story) {
  const bool yes = story.said == Said::kAcknowledged;
  if (story.kind == CommandKind::kChildWorkflow) {
    script->Happen(yes ? EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED : EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, "w");
  } else {
    script->Happen(yes ? EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED : EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED, "1");
  }
}

// What the code is told, from the rules of the modes alone.
std::string ExpectedCode(const Story& story) {
  const bool cancelled = story.when != When::kNever;
  const auto ended_as = [&]() -> std::string {
    if (!story.end) return "open";
    switch (*story.end) {
      case EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
      case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
      case EVENT_TYPE_NEXUS_OPERATION_COMPLETED: return "ok";
      default: return "failed";
    }
  };
  if (!cancelled) return ended_as();
  if (story.when == When::kAtOnce) return "CANCELLED";
  // The end reached the code in the task that was to ask for the cancellation: then nothing was asked for.
  if (story.mode == CancelMode::kTryCancel || story.mode == CancelMode::kAbandon) return "CANCELLED";
  if (story.mode == CancelMode::kWaitForRequest && story.said == Said::kAcknowledged && !story.said_late) return "CANCELLED";
  if (story.mode == CancelMode::kWaitForRequest && story.said == Said::kRefused && !story.said_late &&
      story.kind == CommandKind::kNexusOperation) {
    return "failed";
  }
  return ended_as();
}

void Tell(const Story& story, Coverage* coverage) {
  SCOPED_TRACE(story.ToString());
  const WorkflowRegistry registry = StoryRegistry(story);
  const ScriptOptions options = coverage->Options();
  HistoryScript script(registry, options);
  script.RunTask();
  const auto cancel = [&] {
    if (story.from_outside) {
      script.RequestCancel();  // and the task waits for more
    } else {
      script.Signal("cancel");
      script.RunTask();
    }
  };
  const bool asks = story.mode != CancelMode::kAbandon && story.when != When::kAtOnce && story.when != When::kNever;
  const bool says = story.said != Said::kNothing && asks && story.kind != CommandKind::kActivity && !story.from_outside;
  if (story.when == When::kBeforeStart) cancel();
  if (says && story.said_early) {
    Say(&script, story);
    script.RunTask();
  }
  if (story.when != When::kAtOnce && story.starts) Start(&script, story.kind);
  if (script.task_scheduled() && !story.from_outside) script.RunTask();
  if (story.when == When::kAfterStart) cancel();
  if (says && !story.said_late && !story.said_early) {
    Say(&script, story);
    script.RunTask();
  }
  if (story.end && story.when != When::kAtOnce) End(&script, story);
  if (script.task_scheduled()) script.RunTask();
  if (says && story.said_late) {
    Say(&script, story);
    script.RunTask();
  }
  script.Signal("over");
  script.RunTask();
  ASSERT_TRUE(script.closed()) << script.broken();
  const std::string expected = ExpectedCode(story), actual = ResultOf(script.history());
  if (expected == "failed") {
    EXPECT_THAT(actual, ::testing::Not(::testing::AnyOf("\"ok\"", "\"open\"")));
  } else {
    EXPECT_EQ(actual, "\"" + expected + "\"");
  }
  EXPECT_TRUE(script.live_divergences().empty());
  ExpectReplays(registry, script.history());
  Replay(registry, script.history(), SIZE_MAX, options.execution);
}

const std::map<CommandKind, std::vector<EventType>> kEnds = {
    {CommandKind::kActivity,
     {EVENT_TYPE_ACTIVITY_TASK_COMPLETED, EVENT_TYPE_ACTIVITY_TASK_FAILED, EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, EVENT_TYPE_ACTIVITY_TASK_CANCELED}},
    {CommandKind::kChildWorkflow,
     {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT,
      EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED}},
    {CommandKind::kNexusOperation,
     {EVENT_TYPE_NEXUS_OPERATION_COMPLETED, EVENT_TYPE_NEXUS_OPERATION_FAILED, EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT,
      EVENT_TYPE_NEXUS_OPERATION_CANCELED}}};

std::vector<Story> StoriesOf(CommandKind kind, const std::vector<CancelMode>& modes) {
  std::vector<Story> stories;
  const bool child = kind == CommandKind::kChildWorkflow;
  for (const EventType end : kEnds.at(kind)) {
    for (const bool starts : {true, false}) {
      if (child && !starts) continue;
      stories.push_back({.kind = kind, .starts = starts, .end = end});
    }
  }
  stories.push_back({.kind = kind, .when = When::kAtOnce, .starts = false});
  if (child) stories.push_back({.kind = kind, .starts = false, .end = EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED});
  for (const CancelMode mode : modes) {
    for (const When when : {When::kBeforeStart, When::kAfterStart}) {
      for (const Said said : {Said::kNothing, Said::kAcknowledged, Said::kRefused}) {
        for (const bool late : {false, true}) {
          if (late && said == Said::kNothing) continue;
          for (const EventType end : kEnds.at(kind)) {
            if (late && child) continue;  // a child's request is over with the child: nobody listens
            stories.push_back({.kind = kind, .mode = mode, .when = when, .said = said, .said_late = late, .end = end});
          }
        }
      }
      for (const EventType end : kEnds.at(kind)) {
        stories.push_back({.kind = kind, .mode = mode, .when = when, .from_outside = true, .end = end});
        stories.push_back({.kind = kind, .mode = mode, .when = When::kBeforeStart, .said = Said::kAcknowledged, .said_early = true, .end = end});
      }
    }
  }
  return stories;
}

// --- the others ----------------------------------------------------------------------------------------------------------

void Timers(Coverage* coverage) {
  for (const std::string how : {"fires", "at once", "cancelled", "late"}) {
    SCOPED_TRACE("timer " + how);
    const WorkflowRegistry registry = OneWorkflow([how](const Payloads&) -> Task<WorkflowResult> {
      CancelScope scope;
      const auto fired = co_await scope.run([]() -> Task<Future<bool>> { co_return timer(1'000); }());
      if (how == "at once") scope.cancel();
      int signals = 0;
      set_signal_handler("go", [&signals](const Payloads&) { ++signals; });
      try {
        co_await wait_until([&] { return signals > 0 || fired.ready(); });
      } catch (const Cancelled&) {
      }
      if (how == "cancelled") scope.cancel();
      co_return completed(Json(fired.ready() && fired.value()));
    });
    HistoryScript script(registry, coverage->Options());
    script.RunTask();
    if (how == "late") script.RequestCancel();
    if (how == "fires" || how == "late") script.FireTimer("1");
    if (how == "cancelled") script.Signal("go");
    if (!script.closed()) script.RunTask();
    EXPECT_EQ(ResultOf(script.history()), how == "fires" ? "true" : "false");
    ExpectReplays(registry, script.history());
    Replay(registry, script.history(), SIZE_MAX, coverage->Options().execution);
  }
}

// A timer whose cancellation the history has: the run goes on after it.
void CancelledTimerIsRecorded(Coverage* coverage) {
  const WorkflowRegistry cancels = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    int signals = 0;
    set_signal_handler("go", [&signals](const Payloads&) { ++signals; });
    co_await wait_until([&] { return signals > 0; }, 1'000);
    co_await wait_until([&] { return signals > 1; });
    co_return completed(Json(signals));
  });
  HistoryScript script(cancels, coverage->Options());
  script.RunTask();
  script.Signal("go");
  script.RunTask();
  script.Signal("go");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "2");
  ExpectReplays(cancels, script.history());
}

void LocalActivities(Coverage* coverage) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    int stops = 0;
    set_signal_handler("stop", [&stops](const Payloads&) { ++stops; });
    const auto good = co_await local_activity("good", {});
    CancelScope running, backing_off;
    // The one never ends by itself, the other fails and waits on a timer.
    const auto endless = co_await running.run([]() -> Task<Future<ActivityOutcome>> { co_return local_activity("endless", {}); }());
    const auto failing = co_await backing_off.run([]() -> Task<Future<ActivityOutcome>> { co_return local_activity("failing", {}); }());
    const auto heals = local_activity("heals", {});
    co_await heals;
    co_await wait_until([&] { return stops > 0; });
    running.cancel();
    backing_off.cancel();
    co_return completed(Json((endless.ready() && !endless.value().result && failing.ready() && good.result) ? "as told" : "otherwise"));
  });
  ScriptOptions options = coverage->Options();
  options.local_activities = [](const LocalActivityRequest& request) -> LocalAnswer {
    if (request.activity_type == "endless") return {.takes_ms = LocalAnswer::kNever};
    if (request.activity_type == "failing") return {.error = Error("BAD", "bad", true), .backoff_ms = 600'000};
    if (request.activity_type == "heals" && request.attempt == 1) return {.error = Error("BAD", "bad", true), .backoff_ms = 20'000};
    return {.result = Json(1)};
  };
  HistoryScript script(registry, options);
  script.RunTasks(1);
  script.FireTimer("2");
  script.RunTasks(3);
  script.Signal("stop");
  script.RunTasks(3);
  EXPECT_EQ(ResultOf(script.history()), "\"as told\"");
  ExpectReplays(registry, script.history());
}

void Externals(Coverage* coverage) {
  for (const bool reached : {true, false}) {
    for (const bool withdrawn : {true, false}) {
      SCOPED_TRACE(reached ? "reached" : "not reached");
      const WorkflowRegistry registry = OneWorkflow([withdrawn](const Payloads&) -> Task<WorkflowResult> {
        CancelScope scope;
        const auto [signal, cancel] = co_await scope.run([]() -> Task<std::pair<Future<Status>, Future<Status>>> {
          co_return std::pair(signal_external("friend", {}, "hello", {}), cancel_external("foe", {}, "enough"));
        }());
        if (withdrawn) scope.cancel();
        const Status first = co_await signal, second = co_await cancel;
        co_return completed(Json((first ? "ok" : first.error().code) + " " + (second ? "ok" : second.error().code)));
      });
      HistoryScript script(registry, coverage->Options());
      script.RunTask();
      if (!withdrawn) {
        auto* failed = script.Happen(reached ? EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED
                                             : EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, "hello");
        if (!reached) {
          failed->mutable_signal_external_workflow_execution_failed_event_attributes()->set_cause(
              SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND);
        }
        script.Happen(reached ? EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED
                              : EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, "foe");
        script.RunTask();
      }
      EXPECT_EQ(ResultOf(script.history()), withdrawn  ? "\"CANCELLED CANCELLED\""
                                            : reached ? "\"ok ok\""
                                                      : "\"WORKFLOW_NOT_FOUND EXTERNAL_REQUEST_FAILED\"");
      ExpectReplays(registry, script.history());
    }
  }
}

void Updates(Coverage* coverage) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    int64_t sum = 0;
    bool open = false, over = false;
    set_signal_handler("open", [&open](const Payloads&) { open = true; });
    set_signal_handler("over", [&over](const Payloads&) { over = true; });
    set_update_handler("add", {.run = [&](const Payloads& input) -> Task<Outcome<Payloads>> {
                                 const int64_t value = ReadFirstJson(input)->AsInt();
                                 if (value >= 10) co_await wait_until([&] { return open; });
                                 sum += value;
                                 co_return JsonPayloads(Json(sum));
                               },
                               .validate = [](const Payloads& input) -> Status {
                                 if (ReadFirstJson(input)->AsInt() < 0) return Fail("NEGATIVE", "no");
                                 return {};
                               }});
    co_await wait_until([&] { return over && all_handlers_finished(); });
    co_return completed(Json(sum));
  });
  HistoryScript script(registry, coverage->Options());
  script.RunTask();
  script.Update("u1", "add", 1);
  script.Update("u2", "add", 10);
  script.Update("u3", "add", -1);
  script.Update("u4", "subtract", 1);
  script.RunTask();
  script.Signal("open");
  script.RunTask();
  script.Signal("over");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "11");
  EXPECT_THAT(script.rejected_updates(), ::testing::UnorderedElementsAre(std::pair("u3", "NEGATIVE"), std::pair("u4", "UPDATE_UNKNOWN")));
  ExpectReplays(registry, script.history());
}

// Commands that the history merely confirms, and the four ends.
void Confirmed(Coverage* coverage) {
  for (const std::string end : {"completed", "failed", "cancelled", "continued"}) {
    const WorkflowRegistry registry = OneWorkflow([end](const Payloads&) -> Task<WorkflowResult> {
      side_effect([] { return Json(1); });
      upsert_search_attributes({{"Topic", "tea", "Keyword"}});
      upsert_memo(Json::MakeObject({{"note", 1}}));
      if (end == "failed") co_return failed(Error("BAD", "bad"));
      if (end == "cancelled") co_return cancelled();
      if (end == "continued") co_return continue_as_new({});
      co_return completed(Json());
    });
    HistoryScript script(registry, coverage->Options());
    script.RunTask();
    EXPECT_TRUE(script.closed());
    ExpectReplays(registry, script.history());
    Replay(registry, script.history(), SIZE_MAX, coverage->Options().execution);
  }
}

TEST(MachineCoverage, EveryRowOfEveryTable_IsTakenByAnExecution) {
  Coverage coverage;
  const auto tell = [&](CommandKind kind, const std::vector<CancelMode>& modes) {
    for (const Story& story : StoriesOf(kind, modes)) Tell(story, &coverage);
  };
  using M = CancelMode;
  tell(CommandKind::kActivity, {M::kTryCancel, M::kWaitForCompletion, M::kAbandon});
  tell(CommandKind::kChildWorkflow, {M::kTryCancel, M::kWaitForCompletion, M::kWaitForRequest, M::kAbandon});
  tell(CommandKind::kNexusOperation, {M::kTryCancel, M::kWaitForCompletion, M::kWaitForRequest, M::kAbandon});
  Timers(&coverage);
  CancelledTimerIsRecorded(&coverage);
  LocalActivities(&coverage);
  Externals(&coverage);
  Updates(&coverage);
  Confirmed(&coverage);
  EXPECT_THAT(coverage.Missing(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace lockstep::workflow::testing
