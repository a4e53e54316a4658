// One history through the whole engine: commands, their places and lines, where it stops, what an open end means.
#include "replay/session/session.h"

#include "engine-core/workflow/wf.h"
#include "replay/session/session_testing.h"

namespace lockstep::replay {
namespace {

using namespace testing;  // NOLINT
using interpreter::testing::ChainPlan;
using interpreter::testing::CheckedRun;
using interpreter::testing::Succeed;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using workflow::DivergenceKind;
using workflow::Grade;
using workflow::Payloads;
using workflow::testing::HistoryScript;

SessionResult Replay(const workflow::WorkflowRegistry& registry, const History& history, EngineLog* log, int64_t stop_at = 0) {
  SessionOptions options;
  options.registry = &registry;
  options.keep_commands = true;
  options.stop_at_seq = stop_at;
  return ReplayHistory(history, options, log);
}

TEST(Session, WholeRun_CountsAndClosesByItsCode) {
  CheckedRun run(ChainPlan(2));
  run.RunToEnd();
  EngineLog log;
  const SessionResult result = Replay(run.registry(), run.history(0), &log);
  EXPECT_EQ(result.workflow_type, "runPlanWorkflow");
  EXPECT_EQ(result.events, run.history(0).events_size());
  EXPECT_GT(result.tasks, 3);
  EXPECT_FALSE(result.open_task);
  EXPECT_TRUE(result.closed_by_code);
  EXPECT_FALSE(result.stopped);
  EXPECT_THAT(result.divergences, IsEmpty());
}

TEST(Session, CommandRows_NameEventLineAndDigest) {
  CheckedRun run(ChainPlan(2));
  run.RunToEnd();
  EngineLog log;
  const SessionResult result = Replay(run.registry(), run.history(0), &log);
  bool step = false;
  for (const CommandRow& row : result.commands) {
    ASSERT_GT(row.event_id, row.task_started_id) << row.identity;
    EXPECT_EQ(row.digest.size(), 64u);
    EXPECT_TRUE(row.where.known()) << row.identity;
    if (row.identity.find("step/s0/1") == std::string::npos) continue;
    step = true;
    EXPECT_THAT(row.where.file, HasSubstr("engine-core/interpreter/plan_run.cpp"));
    EXPECT_EQ(run.history(0).events(static_cast<int>(row.event_id) - 1).activity_task_scheduled_event_attributes().activity_id(), "step/s0/1");
  }
  EXPECT_TRUE(step);
}

TEST(Session, OpenTask_IsLegal_AndItsCommandsHaveNoEvent) {
  CheckedRun run(ChainPlan(1));
  run.Quiet();
  run.Answer("s0", Succeed());
  const int before = run.history(0).events_size();
  run.RunToEnd();
  History cut = run.history(0);
  while (cut.events_size() > before || cut.events(cut.events_size() - 1).event_type() != temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_TASK_STARTED) {
    if (cut.events_size() == before) {
      *cut.add_events() = run.history(0).events(before);
      break;
    }
    cut.mutable_events()->RemoveLast();
  }
  ASSERT_EQ(cut.events(cut.events_size() - 1).event_type(), temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_TASK_STARTED);
  EngineLog log;
  const SessionResult result = Replay(run.registry(), cut, &log);
  EXPECT_TRUE(result.open_task);
  EXPECT_THAT(result.divergences, IsEmpty());
  EXPECT_FALSE(result.closed_by_code);
}

TEST(Session, StopAt_EndsOnceTheLogHasReachedTheSeq) {
  CheckedRun run(ChainPlan(6));
  run.RunToEnd();
  EngineLog log;
  const SessionResult result = Replay(run.registry(), run.history(0), &log, 6);
  EXPECT_TRUE(result.stopped);
  EXPECT_GE(log.last_seq(), 6);
  EXPECT_LT(log.last_seq(), static_cast<int64_t>(run.Events().size()));
  EXPECT_THAT(result.divergences, IsEmpty());
}

TEST(Session, StopAtBeyondTheEnd_IsAWholeReplay) {
  CheckedRun run(ChainPlan(1));
  run.RunToEnd();
  EngineLog log;
  EXPECT_FALSE(Replay(run.registry(), run.history(0), &log, 10'000).stopped);
}

// Two builds of one workflow: the second no longer waits for the timer before its activity.
wf::Task<wf::WorkflowResult> Waits(const Payloads&) {
  co_await wf::sleep(1'000);
  co_await wf::execute_activity("work", {}, {.start_to_close_ms = 1'000});
  co_return wf::completed(Json(1));
}
wf::Task<wf::WorkflowResult> Hurries(const Payloads&) {
  auto timer = wf::timer(1'000);
  auto work = wf::execute_activity("work", {}, {.start_to_close_ms = 1'000});
  co_await timer;
  co_await work;
  co_return wf::completed(Json(1));
}
wf::Task<wf::WorkflowResult> Shorter(const Payloads&) {
  co_await wf::sleep(999);
  co_await wf::execute_activity("work", {}, {.start_to_close_ms = 1'000});
  co_return wf::completed(Json(1));
}
wf::Task<wf::WorkflowResult> OtherTimeout(const Payloads&) {
  co_await wf::sleep(1'000);
  co_await wf::execute_activity("work", {}, {.start_to_close_ms = 2'000});
  co_return wf::completed(Json(1));
}

workflow::WorkflowRegistry RegistryOf(workflow::WorkflowFunction function) {
  workflow::WorkflowRegistry registry;
  registry.Register("test", std::move(function));
  return registry;
}

History RecordedWaits() {
  static const auto registry = RegistryOf(Waits);
  HistoryScript script(registry, {});
  script.RunTask();
  script.FireTimer(script.OpenTimers().front());
  script.RunTask();
  script.CompleteActivity(script.OpenActivities().front());
  script.RunTask();
  return script.history();
}

TEST(Session, CommandThatALaterTaskRecorded_IsOtherTask) {
  const auto registry = RegistryOf(Hurries);
  const History history = RecordedWaits();
  EngineLog log;
  const SessionResult result = Replay(registry, history, &log);
  ASSERT_FALSE(result.divergences.empty());
  const auto& first = result.divergences.front();
  EXPECT_EQ(first.kind, DivergenceKind::kOtherTask) << first.Summary();
  EXPECT_EQ(first.grade, Grade::kCommandChanging);
  EXPECT_EQ(history.events(static_cast<int>(first.event_id) - 1).event_type(), temporal::api::enums::v1::EVENT_TYPE_ACTIVITY_TASK_SCHEDULED);
  EXPECT_THAT(first.expected, HasSubstr("workflow task"));
  EXPECT_NE(first.expected, first.actual);
}

TEST(Session, ChangedTimer_IsReportedWithBothLines) {
  const History history = RecordedWaits();
  // The line that issued the timer when it was recorded.
  const auto old_registry = RegistryOf(Waits), registry = RegistryOf(Shorter);
  EngineLog old_log, log;
  const SessionResult recorded = Replay(old_registry, history, &old_log);
  ASSERT_THAT(recorded.divergences, IsEmpty());
  std::map<int64_t, workflow::SourceLine> lines;
  for (const CommandRow& row : recorded.commands) lines[row.event_id] = row.where;
  SessionOptions options;
  options.registry = &registry;
  options.recorded_lines = &lines;
  const SessionResult result = ReplayHistory(history, options, &log);
  ASSERT_EQ(result.divergences.size(), 1u) << Summaries(result.divergences);
  const auto& found = result.divergences.front();
  EXPECT_EQ(found.kind, DivergenceKind::kFieldChanged);
  EXPECT_TRUE(found.where.known());
  EXPECT_TRUE(found.recorded_where.known());
  EXPECT_NE(found.where, found.recorded_where);
}

TEST(Session, TimeoutNumbers_AreDrift) {
  const auto registry = RegistryOf(OtherTimeout);
  EngineLog log;
  const SessionResult result = Replay(registry, RecordedWaits(), &log);
  ASSERT_FALSE(result.divergences.empty());
  EXPECT_EQ(workflow::WorstGrade(result.divergences), Grade::kDrift);
}

TEST(Session, AfterACommandChangingDivergence_NothingMoreIsRun) {
  const auto registry = RegistryOf([](const Payloads&) -> wf::Task<wf::WorkflowResult> { co_return wf::completed(Json(2)); });
  EngineLog log;
  const SessionResult result = Replay(registry, RecordedWaits(), &log);
  EXPECT_EQ(result.tasks, 1);
  EXPECT_EQ(workflow::WorstGrade(result.divergences), Grade::kCommandChanging);
}

TEST(Session, UnknownWorkflowType_IsADivergence) {
  const workflow::WorkflowRegistry registry;
  EngineLog log;
  const SessionResult result = Replay(registry, RecordedWaits(), &log);
  ASSERT_FALSE(result.divergences.empty());
  EXPECT_EQ(result.divergences.front().kind, DivergenceKind::kWorkflowType);
}

TEST(Session, CodeThatThrows_IsAPanic) {
  const auto registry = RegistryOf([](const Payloads&) -> wf::Task<wf::WorkflowResult> {
    throw std::runtime_error("no");
    co_return wf::completed(Json(1));
  });
  EngineLog log;
  const SessionResult result = Replay(registry, RecordedWaits(), &log);
  ASSERT_FALSE(result.divergences.empty());
  EXPECT_EQ(result.divergences.front().kind, DivergenceKind::kWorkflowPanic);
}

TEST(Session, EmptyHistory_GivesNothing) {
  const auto registry = RegistryOf(Waits);
  EngineLog log;
  const SessionResult result = Replay(registry, History(), &log);
  EXPECT_EQ(result.events, 0);
  EXPECT_EQ(result.tasks, 0);
  EXPECT_THAT(result.divergences, IsEmpty());
}

TEST(Session, Watchdog_IsToldBeforeAndAfterEachTask) {
  CheckedRun run(ChainPlan(1));
  run.RunToEnd();
  int begun = 0, ended = 0;
  SessionOptions options;
  options.registry = &run.registry();
  options.on_activate = [&](const workflow::Execution* execution) { execution != nullptr ? ++begun : ++ended; };
  EngineLog log;
  const SessionResult result = ReplayHistory(run.history(0), options, &log);
  EXPECT_EQ(begun, result.tasks);
  EXPECT_EQ(ended, result.tasks);
}

}  // namespace
}  // namespace lockstep::replay
