#include "engine-core/workflow/slices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include "engine-core/workflow/machines.h"

namespace lockstep::workflow {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr EventType kStart = EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, kScheduled = EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
                    kStarted = EVENT_TYPE_WORKFLOW_TASK_STARTED, kCompleted = EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
                    kFailed = EVENT_TYPE_WORKFLOW_TASK_FAILED, kTimedOut = EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
                    kActivity = EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, kActivityStarted = EVENT_TYPE_ACTIVITY_TASK_STARTED,
                    kActivityDone = EVENT_TYPE_ACTIVITY_TASK_COMPLETED, kSignal = EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
                    kTimer = EVENT_TYPE_TIMER_STARTED, kEnd = EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
                    kTerminated = EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED;

// Events with ids from `first_id` on.
class Events {
 public:
  explicit Events(std::initializer_list<EventType> types, int64_t first_id = 1) {
    for (const EventType type : types) {
      HistoryEvent* event = history_.add_events();
      event->set_event_id(first_id++);
      event->set_event_type(type);
    }
    for (const HistoryEvent& event : history_.events()) pointers_.push_back(&event);
  }
  HistoryCut Cut() const { return CutHistory(pointers_); }

 private:
  temporal::api::history::v1::History history_;
  std::vector<const HistoryEvent*> pointers_;
};

std::vector<int64_t> Ids(const std::vector<const HistoryEvent*>& events) {
  std::vector<int64_t> ids;
  for (const HistoryEvent* event : events) ids.push_back(event->event_id());
  return ids;
}

TEST(CutHistory, FirstTask_HoldsTheStart_AndItsCommands) {
  const Events events({kStart, kScheduled, kStarted, kCompleted, kActivity, kTimer});
  const HistoryCut cut = events.Cut();
  ASSERT_THAT(cut.tasks, SizeIs(1));
  EXPECT_THAT(Ids(cut.tasks[0].events), ElementsAre(1));
  EXPECT_EQ(cut.tasks[0].started->event_id(), 3);
  EXPECT_EQ(cut.tasks[0].completed->event_id(), 4);
  EXPECT_THAT(Ids(cut.tasks[0].recorded), ElementsAre(5, 6));
  EXPECT_THAT(cut.tail, IsEmpty());
  EXPECT_EQ(cut.head_completed, nullptr);
}

TEST(CutHistory, SignalsBeforeTheFirstTask_BelongToIt) {
  const Events events({kStart, kScheduled, kSignal, kSignal, kStarted, kCompleted});
  EXPECT_THAT(Ids(events.Cut().tasks[0].events), ElementsAre(1, 3, 4));
}

TEST(CutHistory, ResolutionsBetweenTasks_BelongToTheNext) {
  const Events events({kStart, kScheduled, kStarted, kCompleted, kActivity, kActivityStarted, kActivityDone, kScheduled, kStarted,
                       kCompleted, kEnd});
  const HistoryCut cut = events.Cut();
  ASSERT_THAT(cut.tasks, SizeIs(2));
  EXPECT_THAT(Ids(cut.tasks[1].events), ElementsAre(6, 7));
  EXPECT_THAT(Ids(cut.tasks[1].recorded), ElementsAre(11));
}

TEST(CutHistory, EventsBufferedDuringATask_BelongToTheNext) {
  const Events events({kStart, kScheduled, kStarted, kCompleted, kActivity, kSignal, kScheduled, kStarted, kCompleted});
  const HistoryCut cut = events.Cut();
  EXPECT_THAT(Ids(cut.tasks[0].recorded), ElementsAre(5));
  EXPECT_THAT(Ids(cut.tasks[1].events), ElementsAre(6));
}

TEST(CutHistory, FailedAndTimedOutTasks_LeaveTheirNewsToTheNext) {
  const Events events({kStart, kScheduled, kStarted, kFailed, kSignal, kScheduled, kStarted, kTimedOut, kScheduled, kStarted, kCompleted,
                       kTimer});
  const HistoryCut cut = events.Cut();
  ASSERT_THAT(cut.tasks, SizeIs(1));
  EXPECT_EQ(cut.tasks[0].started->event_id(), 10);
  EXPECT_THAT(Ids(cut.tasks[0].events), ElementsAre(1, 4, 5));  // a failure may be a reset, so it is news
  EXPECT_THAT(Ids(cut.tasks[0].recorded), ElementsAre(12));
}

TEST(CutHistory, TaskTimedOutBeforeItStarted_IsNoTask) {
  const Events events({kStart, kScheduled, kTimedOut, kScheduled, kStarted, kCompleted});
  const HistoryCut cut = events.Cut();
  ASSERT_THAT(cut.tasks, SizeIs(1));
  EXPECT_THAT(Ids(cut.tasks[0].events), ElementsAre(1));
}

TEST(CutHistory, HistoryEndingInAStartedTask_HasAnOpenOne) {
  const Events events({kStart, kScheduled, kStarted, kCompleted, kTimer, kSignal, kScheduled, kStarted});
  const HistoryCut cut = events.Cut();
  ASSERT_THAT(cut.tasks, SizeIs(2));
  EXPECT_EQ(cut.tasks[1].completed, nullptr);
  EXPECT_THAT(Ids(cut.tasks[1].events), ElementsAre(6));
}

TEST(CutHistory, EventsAfterTheLastTask_AreTheTail) {
  const Events events({kStart, kScheduled, kStarted, kCompleted, kActivity, kActivityStarted, kActivityDone, kScheduled});
  EXPECT_THAT(Ids(events.Cut().tail), ElementsAre(6, 7));
}

TEST(CutHistory, Termination_IsTail_AndEndsNoTask) {
  const Events events({kStart, kScheduled, kStarted, kCompleted, kActivity, kTerminated});
  const HistoryCut cut = events.Cut();
  ASSERT_THAT(cut.tasks, SizeIs(1));
  EXPECT_THAT(Ids(cut.tail), ElementsAre(6));
}

TEST(CutHistory, TerminationDuringATask_AbandonsIt) {
  const Events events({kStart, kScheduled, kStarted, kCompleted, kTimer, kSignal, kScheduled, kStarted, kFailed, kTerminated});
  const HistoryCut cut = events.Cut();
  ASSERT_THAT(cut.tasks, SizeIs(1));
  EXPECT_THAT(Ids(cut.tail), ElementsAre(6, 9, 10));
}

TEST(CutHistory, StickyDelta_BeginsWithTheCommandsOfTheTaskBefore) {
  const Events events({kCompleted, kActivity, kTimer, kSignal, kScheduled, kStarted}, 4);
  const HistoryCut cut = events.Cut();
  ASSERT_NE(cut.head_completed, nullptr);
  EXPECT_EQ(cut.head_completed->event_id(), 4);
  EXPECT_THAT(Ids(cut.head_recorded), ElementsAre(5, 6));
  ASSERT_THAT(cut.tasks, SizeIs(1));
  EXPECT_THAT(Ids(cut.tasks[0].events), ElementsAre(7));
  EXPECT_EQ(cut.tasks[0].completed, nullptr);
}

TEST(CutHistory, StickyDeltaAfterAHeartbeat_HasNoCommands) {
  const Events events({kCompleted, kScheduled, kStarted}, 4);
  const HistoryCut cut = events.Cut();
  EXPECT_EQ(cut.head_completed->event_id(), 4);
  EXPECT_THAT(cut.head_recorded, IsEmpty());
  ASSERT_THAT(cut.tasks, SizeIs(1));
  EXPECT_THAT(cut.tasks[0].events, IsEmpty());
}

TEST(CutHistory, Reset_CarriesItsFailedTaskToTheNext) {
  const Events events({kStart, kScheduled, kStarted, kCompleted, kTimer, kSignal, kScheduled, kStarted, kFailed, kSignal, kScheduled, kStarted,
                       kCompleted});
  const HistoryCut cut = events.Cut();
  ASSERT_THAT(cut.tasks, SizeIs(2));
  EXPECT_THAT(Ids(cut.tasks[1].events), ElementsAre(6, 9, 10));
}

TEST(CutHistory, EveryTask_KnowsTheCommandsOfAll) {
  const Events events({kStart, kScheduled, kStarted, kCompleted, kActivity, kActivityStarted, kActivityDone, kScheduled, kStarted,
                       kCompleted, kEnd});
  const HistoryCut cut = events.Cut();
  for (const TaskSlice& task : cut.tasks) EXPECT_THAT(Ids(*task.history_commands), ElementsAre(5, 11));
}

TEST(CutHistory, Nothing_CutsToNothing) {
  const HistoryCut cut = CutHistory({});
  EXPECT_THAT(cut.tasks, IsEmpty());
  EXPECT_THAT(cut.tail, IsEmpty());
}

TEST(CutHistory, UnknownEventTypes_AreNews_NotCommands) {
  const Events events({kStart, kScheduled, kStarted, kCompleted, static_cast<EventType>(63), static_cast<EventType>(4711), kScheduled,
                       kStarted});
  const HistoryCut cut = events.Cut();
  EXPECT_THAT(cut.tasks[0].recorded, IsEmpty());
  EXPECT_THAT(Ids(cut.tasks[1].events), ElementsAre(5, 6));
}

TEST(IsCommandEvent, IsTrueForTheEventOfEveryKind_AndItsCancellation) {
  HistoryEvent event;
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    event.set_event_type(static_cast<EventType>(spec.recorded_event_type));
    EXPECT_TRUE(IsCommandEvent(event)) << spec.name;
    if (spec.second_recorded_event_type == 0) continue;
    event.set_event_type(static_cast<EventType>(spec.second_recorded_event_type));
    EXPECT_TRUE(IsCommandEvent(event)) << spec.name;
  }
  for (const EventType type : {kStart, kScheduled, kStarted, kCompleted, kFailed, kSignal, kActivityDone, kTerminated,
                               EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT, EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED}) {
    event.set_event_type(type);
    EXPECT_FALSE(IsCommandEvent(event)) << type;
  }
}

TEST(IsTerminalEvent, IsTrueForTheSixEnds) {
  HistoryEvent event;
  int ends = 0;
  for (int type = 0; type < 64; ++type) {
    event.set_event_type(static_cast<EventType>(type));
    ends += IsTerminalEvent(event) ? 1 : 0;
  }
  EXPECT_EQ(ends, 6);
  event.set_event_type(kTerminated);
  EXPECT_TRUE(IsTerminalEvent(event));
}

}  // namespace
}  // namespace lockstep::workflow
