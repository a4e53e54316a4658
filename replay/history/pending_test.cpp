// What is under way at an event, by the events alone.
#include "replay/history/pending.h"

#include "replay/history/history_testing.h"
#include "replay/history/integrity.h"

namespace lockstep::history {
namespace {

std::string Ids(const PendingWork& work) {
  std::string out;
  for (const PendingItem& item : work.items)
    out += std::string(item.kind) + ":" + item.id + ":" + std::string(item.state) + " ";
  return out;
}

PendingWork After(const LoadedHistory& loaded, int64_t event_id = INT64_MAX) {
  PendingFold fold;
  for (const HistoryEvent& event : loaded.history->events()) {
    if (event.event_id() <= event_id) fold.Apply(event);
  }
  return fold.work();
}

LoadedHistory Busy() {
  return Parsed(R"({"events":[
    {"eventId":"1","eventTime":"2024-01-01T00:00:00Z","eventType":"WorkflowExecutionStarted","workflowExecutionStartedEventAttributes":{"workflowType":{"name":"w"}}},
    {"eventId":"2","eventTime":"2024-01-01T00:00:00Z","eventType":"WorkflowTaskScheduled","workflowTaskScheduledEventAttributes":{}},
    {"eventId":"3","eventTime":"2024-01-01T00:00:01Z","eventType":"WorkflowTaskStarted","workflowTaskStartedEventAttributes":{"scheduledEventId":"2"}},
    {"eventId":"4","eventTime":"2024-01-01T00:00:01Z","eventType":"WorkflowTaskCompleted","workflowTaskCompletedEventAttributes":{"scheduledEventId":"2","startedEventId":"3"}},
    {"eventId":"5","eventTime":"2024-01-01T00:00:01Z","eventType":"ActivityTaskScheduled","activityTaskScheduledEventAttributes":{"activityId":"a","activityType":{"name":"work"},"startToCloseTimeout":"10s"}},
    {"eventId":"6","eventTime":"2024-01-01T00:00:01Z","eventType":"TimerStarted","timerStartedEventAttributes":{"timerId":"t","startToFireTimeout":"60s"}},
    {"eventId":"7","eventTime":"2024-01-01T00:00:01Z","eventType":"StartChildWorkflowExecutionInitiated","startChildWorkflowExecutionInitiatedEventAttributes":{"workflowId":"child","workflowType":{"name":"c"}}},
    {"eventId":"8","eventTime":"2024-01-01T00:00:02Z","eventType":"ActivityTaskStarted","activityTaskStartedEventAttributes":{"scheduledEventId":"5","attempt":2}},
    {"eventId":"9","eventTime":"2024-01-01T00:00:03Z","eventType":"WorkflowExecutionSignaled","workflowExecutionSignaledEventAttributes":{"signalName":"go"}},
    {"eventId":"10","eventTime":"2024-01-01T00:00:03Z","eventType":"WorkflowTaskScheduled","workflowTaskScheduledEventAttributes":{}},
    {"eventId":"11","eventTime":"2024-01-01T00:00:03Z","eventType":"WorkflowTaskStarted","workflowTaskStartedEventAttributes":{"scheduledEventId":"10"}},
    {"eventId":"12","eventTime":"2024-01-01T00:00:04Z","eventType":"WorkflowTaskTimedOut","workflowTaskTimedOutEventAttributes":{"scheduledEventId":"10","startedEventId":"11"}},
    {"eventId":"13","eventTime":"2024-01-01T00:00:05Z","eventType":"TimerFired","timerFiredEventAttributes":{"timerId":"t","startedEventId":"6"}},
    {"eventId":"14","eventTime":"2024-01-01T00:00:06Z","eventType":"ChildWorkflowExecutionStarted","childWorkflowExecutionStartedEventAttributes":{"initiatedEventId":"7"}},
    {"eventId":"15","eventTime":"2024-01-01T00:00:07Z","eventType":"ActivityTaskCompleted","activityTaskCompletedEventAttributes":{"scheduledEventId":"5","startedEventId":"8"}}]})");
}

TEST(PendingFold, CommandsOfATask_ArePendingUntilTheyEnd) {
  const LoadedHistory loaded = Busy();
  EXPECT_EQ(Ids(After(loaded, 4)), "");
  EXPECT_EQ(Ids(After(loaded, 7)), "activity:a:scheduled timer:t:scheduled childWorkflow:child:scheduled ");
  EXPECT_EQ(Ids(After(loaded, 8)), "activity:a:started timer:t:scheduled childWorkflow:child:scheduled ");
  EXPECT_EQ(Ids(After(loaded)), "childWorkflow:child:started ");
}

TEST(PendingFold, StartedActivity_HasAttemptAndTimes) {
  const PendingWork work = After(Busy(), 8);
  EXPECT_EQ(work.items[0].attempt, 2);
  EXPECT_EQ(work.items[0].started_event_id, 8);
  EXPECT_EQ(work.items[0].timeout_ms, 10'000);
  EXPECT_EQ(work.items[1].timeout_ms, 60'000);
  const Json json = ToJson(work);
  EXPECT_EQ(json.At("/items/1/due")->AsString(), "2024-01-01T00:01:01.000Z");
}

TEST(PendingFold, Signal_IsUnseenUntilATaskThatCompletes) {
  const LoadedHistory loaded = Busy();
  EXPECT_EQ(After(loaded, 9).unseen_signals.size(), 1u);
  EXPECT_EQ(After(loaded, 11).unseen_signals.size(), 0u);
  // The task timed out: its code left no trace, so the signal will be delivered again.
  EXPECT_EQ(After(loaded, 12).unseen_signals.size(), 1u);
  EXPECT_EQ(After(loaded).signals, 1);
}

TEST(PendingFold, WorkflowTask_IsScheduledStartedAndOver) {
  const LoadedHistory loaded = Busy();
  EXPECT_EQ(After(loaded, 2).workflow_task, "scheduled");
  EXPECT_EQ(After(loaded, 3).workflow_task, "started");
  EXPECT_EQ(After(loaded, 4).workflow_task, "");
  EXPECT_EQ(After(loaded, 12).workflow_task, "");
}

TEST(PendingFold, VersionMarkersOfBothDialects_AreGates) {
  const LoadedHistory loaded = Parsed(R"({"events":[
    {"eventId":"1","eventType":"MarkerRecorded","markerRecordedEventAttributes":{"markerName":"Version","details":{
      "change-id":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"ImZpeCI="}]},
      "version":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Mg=="}]}}}},
    {"eventId":"2","eventType":"MarkerRecorded","markerRecordedEventAttributes":{"markerName":"core_patch","details":{
      "patch-data":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"eyJpZCI6InAxIiwiZGVwcmVjYXRlZCI6ZmFsc2V9"}]}}}}]})");
  const PendingWork work = After(loaded);
  EXPECT_EQ(work.versions.at("fix"), 2);
  EXPECT_EQ(work.versions.at("p1"), 1);
}

TEST(PendingFold, EventThatRefersToNothing_ChangesNothing) {
  const LoadedHistory loaded = Parsed(R"({"events":[
    {"eventId":"1","eventType":"ActivityTaskCompleted","activityTaskCompletedEventAttributes":{"scheduledEventId":"99"}},
    {"eventId":"2","eventType":"TimerFired","timerFiredEventAttributes":{"startedEventId":"-5"}}]})");
  EXPECT_EQ(Ids(After(loaded)), "");
}

TEST(PendingFold, EveryRecordedHistory_EndsWithNothingPendingWhenItIsOver) {
  for (const std::string& name : RecordedHistories()) {
    const auto loaded = ParseHistory(TestBytes(name), name);
    if (!loaded || !CheckIntegrity(*loaded->history, loaded->info).empty()) continue;
    const PendingWork work = After(*loaded);
    if (work.status != "RUNNING") EXPECT_EQ(Ids(work), "") << name;
    for (const PendingItem& item : work.items) EXPECT_GT(item.event_id, 0) << name;
  }
}

}  // namespace
}  // namespace lockstep::history
