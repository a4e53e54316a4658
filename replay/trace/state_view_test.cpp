// The state of a run at any event.
#include "replay/trace/state_view.h"

#include "engine-core/state/snapshot.h"
#include "replay/session/session_testing.h"

namespace lockstep::replay {
namespace {

using namespace testing;  // NOLINT: this file is about its helpers' run
using interpreter::testing::ChainPlan;
using interpreter::testing::CheckedRun;
using ::testing::HasSubstr;

class StateView : public ::testing::Test {
 protected:
  StateView() : registry_(InterpreterRegistry()), run_(ChainPlan(3), {}) { run_.RunToEnd(); }

  ReplayInput Input(bool with_record = true) {
    ReplayInput input;
    input.path = "run";
    for (size_t i = 0; i < run_.executions(); ++i) {
      input.histories.push_back(history::ParseHistory(history::WriteJson(run_.history(i)), "run").value());
    }
    if (with_record) input.record = RecordOf(run_);
    return input;
  }
  StatePoint At(int64_t event, const workflow::WorkflowRegistry* registry) {
    auto points = StatesOf(Input(), {.registry = registry, .at = event});
    EXPECT_TRUE(points.has_value()) << points.error().ToString();
    return points->front();
  }
  int64_t First(int type) {
    for (const HistoryEvent& event : run_.history(0).events()) {
      if (event.event_type() == type) return event.event_id();
    }
    return 0;
  }

  workflow::WorkflowRegistry registry_;
  CheckedRun run_;
};

TEST_F(StateView, BeforeTheFirstTask_HasEventsOnly) {
  const StatePoint point = At(1, &registry_);
  EXPECT_FALSE(point.code);
  EXPECT_EQ(point.why_no_code, "no workflow task has run yet");
  EXPECT_EQ(point.event_type, "WorkflowExecutionStarted");
}

TEST_F(StateView, ScheduledActivity_HasTheLineThatIssuedIt_AndWhoWaitsForIt) {
  const int64_t scheduled = First(temporal::api::enums::v1::EVENT_TYPE_ACTIVITY_TASK_SCHEDULED);
  const StatePoint point = At(scheduled + 1, &registry_);
  ASSERT_TRUE(point.code) << point.why_no_code;
  ASSERT_EQ(point.pending.items.size(), 1u);
  EXPECT_EQ(point.pending.items[0].event_id, scheduled);
  EXPECT_THAT(point.lines.at(scheduled).file, HasSubstr("engine-core/interpreter/"));
  ASSERT_FALSE(point.awaits.empty());
  bool awaited = false;
  for (const AwaitView& view : point.awaits) {
    EXPECT_FALSE(view.stack.empty());
    for (const workflow::SourceLine& frame : view.stack) {
      EXPECT_TRUE(frame.known());
      EXPECT_THAT(frame.file, ::testing::Not(::testing::StartsWith("engine-core/workflow/")));
    }
    if (view.event_id == scheduled) {
      awaited = true;
      EXPECT_EQ(view.waits_for, "activity " + point.pending.items[0].id);
    }
  }
  EXPECT_TRUE(awaited);
  EXPECT_EQ(std::count_if(point.awaits.begin(), point.awaits.end(), [](const AwaitView& view) { return view.main; }),
            1);
}

TEST_F(StateView, InsideATask_ShowsWhatTheHistoryDoesNotHaveYet) {
  const int64_t started = First(temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_TASK_STARTED);
  const StatePoint at_start = At(started, &registry_);
  ASSERT_TRUE(at_start.code);
  ASSERT_FALSE(at_start.unrecorded.empty());
  EXPECT_EQ(at_start.task_completed_id, 0);
  for (const CommandView& command : at_start.unrecorded) EXPECT_TRUE(command.where.known());
  // Two events on the task is completed and its first command recorded.
  const StatePoint one_in = At(started + 2, &registry_);
  EXPECT_EQ(one_in.unrecorded.size() + 1, at_start.unrecorded.size());
  EXPECT_EQ(one_in.task_completed_id, started + 1);
}

TEST_F(StateView, Snapshot_IsThatOfTheEventsSoFar) {
  const int last = run_.history(0).events_size();
  const StatePoint end = At(last, &registry_);
  ASSERT_TRUE(end.code);
  EXPECT_EQ(end.snapshot_hash, state::SnapshotHash(run_.Snapshot()));
  EXPECT_TRUE(end.awaits.empty());
  EXPECT_EQ(end.pending.status, "COMPLETED");
  int64_t before = 0;
  for (int event = 1; event <= last; ++event) {
    const StatePoint point = At(event, &registry_);
    EXPECT_GE(point.run_seq, before) << event;
    before = point.run_seq;
  }
}

TEST_F(StateView, EveryTask_AgreesWithEachAlone) {
  const auto points = StatesOf(Input(), {.registry = &registry_});
  ASSERT_TRUE(points.has_value());
  ASSERT_GT(points->size(), 3u);
  for (const StatePoint& point : *points) {
    EXPECT_EQ(CanonicalJson(ToJson(point)), CanonicalJson(ToJson(At(point.event_id, &registry_)))) << point.event_id;
  }
}

TEST_F(StateView, WithoutTheCode_PendingWorkIsStillKnown) {
  const int64_t scheduled = First(temporal::api::enums::v1::EVENT_TYPE_ACTIVITY_TASK_SCHEDULED);
  const workflow::WorkflowRegistry empty;
  const StatePoint point = At(scheduled, &empty);
  EXPECT_FALSE(point.code);
  EXPECT_THAT(point.why_no_code, HasSubstr("this build has no workflow"));
  EXPECT_EQ(point.pending.items.size(), 1u);
}

TEST_F(StateView, EventOutOfRange_IsWrongUsage) {
  const auto points = StatesOf(Input(), {.registry = &registry_, .at = 100'000});
  ASSERT_FALSE(points.has_value());
  EXPECT_EQ(points.error().code, "INPUT_EVENT_OUT_OF_RANGE");
  EXPECT_EQ(StatesOf(Input(), {.registry = &registry_, .execution = 2, .at = 1}).error().code,
            "INPUT_EXECUTION_OUT_OF_RANGE");
}

TEST_F(StateView, CodeThatLeftTheHistory_IsNotAskedAnyMore) {
  ReplayInput input = Input();
  // The history says that another activity was scheduled.
  for (HistoryEvent& event : *input.histories[0].history->mutable_events()) {
    if (!event.has_activity_task_scheduled_event_attributes()) continue;
    event.mutable_activity_task_scheduled_event_attributes()->set_activity_id("another");
    break;
  }
  const int last = input.histories[0].history->events_size();
  const auto points = StatesOf(input, {.registry = &registry_, .at = last});
  ASSERT_TRUE(points.has_value());
  EXPECT_FALSE(points->front().code);
  EXPECT_THAT(points->front().why_no_code, HasSubstr("the code left the history"));
  const auto early = StatesOf(input, {.registry = &registry_, .at = 3});
  EXPECT_TRUE(early->front().code);
}

TEST_F(StateView, ChainOfExecutions_CarriesTheSnapshotOn) {
  interpreter::Policy policy;
  policy.continue_steps = 2;
  CheckedRun run(ChainPlan(5), {.policy = policy});
  run.RunToEnd();
  ReplayInput input;
  input.path = "chain";
  for (size_t i = 0; i < run.executions(); ++i)
    input.histories.push_back(history::ParseHistory(history::WriteJson(run.history(i)), "run").value());
  input.record = RecordOf(run);
  const int last = run.history(2).events_size();
  const auto points = StatesOf(input, {.registry = &registry_, .execution = 3, .at = last});
  ASSERT_TRUE(points.has_value());
  EXPECT_EQ(points->front().snapshot_hash, state::SnapshotHash(run.Snapshot()));
  const auto all = StatesOf(input, {.registry = &registry_});
  EXPECT_EQ(all->back().snapshot_hash, state::SnapshotHash(run.Snapshot()));
  EXPECT_EQ(all->back().execution, 3);
}

}  // namespace
}  // namespace lockstep::replay
