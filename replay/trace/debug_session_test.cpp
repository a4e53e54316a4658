// Where a debugger is to stop, and what it is told.
#include "replay/trace/debug_session.h"

#include "replay/session/session_testing.h"

namespace lockstep::replay {
namespace {

using namespace testing;  // NOLINT: this file is about its helpers' run
using interpreter::testing::ChainPlan;
using interpreter::testing::CheckedRun;
using ::testing::HasSubstr;
using ::testing::Not;

class DebugPointTest : public ::testing::Test {
 protected:
  DebugPointTest() : registry_(InterpreterRegistry()), run_(ChainPlan(3), {}) {
    run_.RunToEnd();
    input_.path = "run";
    input_.histories.push_back(history::ParseHistory(history::WriteJson(run_.history(0)), "run").value());
  }
  DebugPoint At(int64_t event) { return FindDebugPoint(input_, registry_, 1, event).value(); }
  workflow::WorkflowRegistry registry_;
  CheckedRun run_;
  ReplayInput input_;
};

TEST_F(DebugPointTest, EventIsSeenByTheTaskThatBeginsAfterIt_OrTheOneItLiesIn) {
  int64_t completed = 0, started = 0;
  for (const HistoryEvent& event : run_.history(0).events()) {
    if (event.has_activity_task_completed_event_attributes() && completed == 0) completed = event.event_id();
    if (event.has_workflow_task_started_event_attributes() && completed != 0 && started == 0)
      started = event.event_id();
  }
  EXPECT_EQ(At(completed).started_id, started);
  EXPECT_EQ(At(started).started_id, started);
  EXPECT_EQ(At(started + 2).started_id, started);
}

TEST_F(DebugPointTest, TasksAreInARow_BackAndForward) {
  DebugPoint point = At(1);
  EXPECT_EQ(point.previous_id, 0);
  int tasks = 1;
  while (point.next_id != 0) {
    const DebugPoint next = At(point.next_id);
    EXPECT_EQ(next.previous_id, point.started_id);
    EXPECT_FALSE(next.stops.empty());
    point = next;
    ++tasks;
  }
  EXPECT_GT(tasks, 3);
}

TEST_F(DebugPointTest, Scripts_StopInTheCode_AndKnowTheWayBack) {
  const DebugPoint point = At(At(1).next_id);
  const std::string gdb = DebuggerCommands(Debugger::kGdb, point, {"/bin/lock step", "/tmp/it's", "/tmp/script", true});
  for (const char* part : {"tbreak lockstep_debug_stop\n", "define lockstep-back", "--under-debugger\nrun\n",
                           "backtrace", "tbreak engine-core/interpreter/", "'/tmp/it'\\''s'"}) {
    EXPECT_THAT(gdb, HasSubstr(part));
  }
  const std::string lldb = DebuggerCommands(Debugger::kLldb, point, {"p", "h", "s", false});
  EXPECT_THAT(lldb, HasSubstr("--name lockstep_debug_stop"));
  EXPECT_THAT(lldb, Not(HasSubstr("quit")));
}

TEST_F(DebugPointTest, ForeignWorkflowAndEventsOutOfRange_AreErrors) {
  const workflow::WorkflowRegistry empty;
  EXPECT_EQ(FindDebugPoint(input_, empty, 1, 1).error().code, "WORKFLOW_TYPE_UNKNOWN");
  EXPECT_EQ(FindDebugPoint(input_, registry_, 1, 9'999).error().code, "INPUT_EVENT_OUT_OF_RANGE");
  EXPECT_EQ(FindDebugPoint(input_, registry_, 2, 1).error().code, "INPUT_EXECUTION_OUT_OF_RANGE");
}

TEST_F(DebugPointTest, ReplayUnderDebugger_RunsThrough) { ReplayUnderDebugger(input_, registry_, At(1)); }

}  // namespace
}  // namespace lockstep::replay
