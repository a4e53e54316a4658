// What a replay reports when the code has changed since a history was recorded: kind, grade, event, step, field and the line
// of the code at fault (spec 00 section 6). One workflow is recorded as it was; each test replays it with one change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include <set>

#include "engine-core/workflow/testing/expect.h"
#include "engine-core/workflow/testing/program.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::workflow {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT
using testing::FindEvent;
using testing::History;
using testing::HistoryScript;
using testing::LocalAnswer;
using testing::OneWorkflow;
using testing::Replay;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// What the code does differently from the recorded one.
struct Change {
  std::string type = "load";
  Json input = "orders";
  std::string queue = "tq-data-prod";
  std::string id = "step/a/1";
  int64_t start_to_close_ms = 10'000;
  int32_t max_attempts = 3;
  int64_t sleep_ms = 60'000;
  std::string signal = "go";
  Json memo = 1;
  Json result = "done";
  std::string local_type = "emitEvents";
  Json local_input = 1;
  bool gate = true;
  int gate_min = kDefaultVersion, gate_max = 1;
  bool wait_for_activity = true;
  bool wait_for_signal = true;
  bool swap = false;
  bool drop_timer = false;
  bool second_activity = true;
  bool extra_timer = false;
  bool side_effect_before_local = false;
  bool extra_side_effect = false;
  bool fails = false;
  bool sleep_before_second = false;
};

struct Lines {
  uint32_t activity = 0, second = 0, timer = 0, extra_timer = 0, gate = 0, local = 0, memo = 0, end = 0, side_effect = 0;
} lines;

#define HERE(place) lines.place = std::source_location::current().line()

Task<WorkflowResult> Body(Change c) {
  bool go = false;
  set_signal_handler(c.signal, [&go](const Payloads&) { go = true; });
  if (c.gate) {
    (void)get_version("gate", c.gate_min, c.gate_max); HERE(gate);
  }
  if (c.side_effect_before_local) {
    (void)side_effect([] { return Json("new"); }); HERE(side_effect);
  }
  (void)co_await local_activity(c.local_type, JsonPayloads(c.local_input), {.activity_id = "event/StepStarted/a/1"}); HERE(local);
  (void)side_effect([] { return Json(1); });
  if (c.extra_side_effect) {
    (void)side_effect([] { return Json(2); }); HERE(side_effect);
  }
  std::optional<Future<bool>> timer_future;
  const auto start_timer = [&] {
    if (!c.drop_timer) { timer_future = timer(c.sleep_ms); HERE(timer); }
  };
  if (c.swap) start_timer();
  const ActivityOptions options{.activity_id = c.id, .task_queue = c.queue, .start_to_close_ms = c.start_to_close_ms,
                                .retry = RetryOptions{.max_attempts = c.max_attempts}};
  const auto first = execute_activity(c.type, JsonPayloads(c.input), options); HERE(activity);
  if (!c.swap) start_timer();
  if (c.extra_timer) {
    (void)timer(5); HERE(extra_timer);
  }
  if (c.wait_for_activity) (void)co_await first;
  if (c.sleep_before_second) co_await sleep(1);
  if (c.second_activity) {
    const auto second = execute_activity("store", {}, {.activity_id = "step/b/1", .start_to_close_ms = 10'000}); HERE(second);
    (void)co_await second;
  }
  upsert_memo(Json::MakeObject({{"note", c.memo}})); HERE(memo);
  if (c.wait_for_signal) co_await wait_until([&go] { return go; });
  HERE(end); if (!c.fails) co_return completed(c.result);
  co_return failed(Error("PERMANENT_STEP_ERROR", "no"));
}

WorkflowRegistry Registry(const Change& change) {
  return OneWorkflow([change](const Payloads&) { return Body(change); });
}

const History& Recorded() {
  static const History history = [] {
    static const WorkflowRegistry registry = Registry({});
    HistoryScript script(registry, {.local_activities = [](const auto&) { return LocalAnswer{.result = 1}; }});
    script.RunTask();
    script.CompleteActivity("step/a/1", "rows");
    script.RunTask();
    script.CompleteActivity("step/b/1");
    script.RunTask();
    script.Signal("go");
    script.RunTask();
    EXPECT_TRUE(script.closed());
    return script.history();
  }();
  return history;
}

int64_t IdOf(EventType type, int nth = 1) {
  int64_t after = 0;
  for (int i = 0; i < nth; ++i) after = FindEvent(Recorded(), type, after)->event_id();
  return after;
}

std::vector<Divergence> ReplayWith(const Change& change) { return Replay(Registry(change), Recorded()).divergences; }

// The one divergence that a change must give.
void ExpectOne(const Change& change, DivergenceKind kind, Grade grade, int64_t event_id, const std::string& field, const uint32_t* line,
               const std::string& step = "") {
  const auto divergences = ReplayWith(change);
  ASSERT_THAT(divergences, SizeIs(1)) << (divergences.empty() ? "" : divergences[0].Summary() + " / " + divergences.back().Summary());
  const Divergence& found = divergences[0];
  EXPECT_EQ(DivergenceKindName(found.kind), DivergenceKindName(kind)) << found.Summary();
  EXPECT_EQ(GradeName(found.grade), GradeName(grade)) << found.Summary();
  EXPECT_EQ(found.event_id, event_id) << found.Summary();
  // Of payloads the place inside is named as well.
  EXPECT_EQ(found.field.substr(0, found.field.find('/')), field) << found.Summary();
  EXPECT_EQ(found.step_id, step) << found.Summary();
  EXPECT_EQ(found.where.file, "engine-core/workflow/execution_divergence_test.cpp");
  EXPECT_EQ(found.where.line, *line) << found.Summary();
  EXPECT_GT(found.task_started_id, 0);
}

TEST(Divergence, UnchangedCode_HasNone) { EXPECT_THAT(ReplayWith({}), IsEmpty()); }

TEST(Divergence, ChangedActivityType_IsCommandChanging) {
  ExpectOne({.type = "pkg.load"}, DivergenceKind::kFieldChanged, Grade::kCommandChanging, IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED),
            "activityType", &lines.activity, "a");
}

TEST(Divergence, ChangedActivityInput_IsPayloadOnly) {
  ExpectOne({.input = "customers"}, DivergenceKind::kFieldChanged, Grade::kPayloadOnly, IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED), "input",
            &lines.activity, "a");
}

TEST(Divergence, ChangedQueue_IsPayloadOnly) {
  ExpectOne({.queue = "tq-control-prod"}, DivergenceKind::kFieldChanged, Grade::kPayloadOnly, IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED),
            "taskQueue", &lines.activity, "a");
}

TEST(Divergence, ChangedTimeout_IsDrift) {
  ExpectOne({.start_to_close_ms = 20'000}, DivergenceKind::kFieldChanged, Grade::kDrift, IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED),
            "startToCloseTimeout", &lines.activity, "a");
}

TEST(Divergence, ChangedRetryNumber_IsDrift) {
  ExpectOne({.max_attempts = 4}, DivergenceKind::kFieldChanged, Grade::kDrift, IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED),
            "retryPolicy.maximumAttempts", &lines.activity, "a");
}

TEST(Divergence, ChangedTimerDuration_IsPayloadOnly) {
  ExpectOne({.sleep_ms = 61'000}, DivergenceKind::kFieldChanged, Grade::kPayloadOnly, IdOf(EVENT_TYPE_TIMER_STARTED), "startToFireTimeout",
            &lines.timer);
}

TEST(Divergence, ChangedActivityId_IsAnotherCommand) {
  ExpectOne({.id = "step/z/1"}, DivergenceKind::kCommandChanged, Grade::kCommandChanging, IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED), "",
            &lines.activity, "a");
}

TEST(Divergence, ChangedMemo_IsPayloadOnly) {
  ExpectOne({.memo = 2}, DivergenceKind::kFieldChanged, Grade::kPayloadOnly, IdOf(EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED),
            "upsertedMemo.fields.note", &lines.memo);
}

TEST(Divergence, ChangedFinalResult_IsPayloadOnly) {
  ExpectOne({.result = "other"}, DivergenceKind::kFieldChanged, Grade::kPayloadOnly, IdOf(EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED), "result",
            &lines.end);
}

TEST(Divergence, ChangedLocalActivityInput_IsPayloadOnly) {
  ExpectOne({.local_input = 2}, DivergenceKind::kFieldChanged, Grade::kPayloadOnly, IdOf(EVENT_TYPE_MARKER_RECORDED, 2), "input",
            &lines.local, "a");
}

TEST(Divergence, ChangedLocalActivityType_IsCommandChanging) {
  ExpectOne({.local_type = "appendEvents"}, DivergenceKind::kFieldChanged, Grade::kCommandChanging, IdOf(EVENT_TYPE_MARKER_RECORDED, 2),
            "activityType", &lines.local, "a");
}

TEST(Divergence, FailureInPlaceOfTheResult_IsReportedOnBothSides) {
  const auto divergences = ReplayWith({.fails = true});
  ASSERT_THAT(divergences, SizeIs(2));
  std::set<DivergenceKind> kinds = {divergences[0].kind, divergences[1].kind};
  EXPECT_TRUE(kinds.contains(DivergenceKind::kMissingCommand) && kinds.contains(DivergenceKind::kSurplusCommand));
  EXPECT_EQ(WorstGrade(divergences), Grade::kCommandChanging);
}

TEST(Divergence, RemovedVersionGate_IsMissing_WithItsAttribute) {
  const auto divergences = ReplayWith({.gate = false});
  ASSERT_THAT(divergences, SizeIs(2));
  EXPECT_EQ(divergences[0].kind, DivergenceKind::kMissingCommand);
  EXPECT_EQ(divergences[0].grade, Grade::kCommandChanging);
  EXPECT_EQ(divergences[0].event_id, IdOf(EVENT_TYPE_MARKER_RECORDED));
  EXPECT_EQ(divergences[0].expected, "MarkerRecorded Version gate");
  EXPECT_TRUE(divergences[0].where.known());
  EXPECT_EQ(divergences[1].event_id, IdOf(EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES));
}

TEST(Divergence, NarrowedVersionRange_IsReportedWithTheGate) {
  const auto divergences = ReplayWith({.gate_min = 2, .gate_max = 3});
  ASSERT_THAT(divergences, SizeIs(1));
  EXPECT_EQ(divergences[0].kind, DivergenceKind::kVersionRange);
  EXPECT_EQ(divergences[0].event_id, IdOf(EVENT_TYPE_MARKER_RECORDED));
  EXPECT_EQ(divergences[0].expected, "1");
  EXPECT_EQ(divergences[0].actual, "2..3");
  EXPECT_EQ(divergences[0].where.line, lines.gate);
}

TEST(Divergence, WidenedVersionRange_IsNone) { EXPECT_THAT(ReplayWith({.gate_max = 5}), IsEmpty()); }

TEST(Divergence, AddedVersionGate_WithTheOldBranchKept_IsNone) {
  static const WorkflowRegistry before = Registry({.gate = false});
  HistoryScript script(before, {.local_activities = [](const auto&) { return LocalAnswer{}; }});
  script.RunTask();
  EXPECT_THAT(Replay(Registry({}), script.history()).divergences, IsEmpty());
  // Without the old branch's range it is not.
  const auto strict = Replay(Registry({.gate_min = 1}), script.history()).divergences;
  ASSERT_FALSE(strict.empty());
  EXPECT_EQ(strict[0].kind, DivergenceKind::kVersionRange);
  EXPECT_EQ(strict[0].expected, "-1");
}

TEST(Divergence, DroppedWait_IsACommandOfAnEarlierTask) {
  ExpectOne({.wait_for_activity = false}, DivergenceKind::kOtherTask, Grade::kCommandChanging, IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, 2),
            "", &lines.second, "b");
}

TEST(Divergence, AddedWait_IsAMissingCommand) {
  const auto divergences = ReplayWith({.sleep_before_second = true});
  ASSERT_THAT(divergences, SizeIs(2));
  EXPECT_EQ(WorstGrade(divergences), Grade::kCommandChanging);
  std::set<int64_t> events;
  for (const Divergence& divergence : divergences) events.insert(divergence.event_id);
  EXPECT_TRUE(events.contains(IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, 2)));
}

TEST(Divergence, RenamedSignal_IsTheMissingEnd) {
  const auto divergences = ReplayWith({.signal = "proceed"});
  ASSERT_THAT(divergences, SizeIs(1));
  EXPECT_EQ(divergences[0].kind, DivergenceKind::kMissingCommand);
  EXPECT_EQ(divergences[0].event_id, IdOf(EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED));
  EXPECT_TRUE(divergences[0].where.known());
}

TEST(Divergence, DroppedSignalWait_EndsTooEarly) {
  ExpectOne({.wait_for_signal = false}, DivergenceKind::kOtherTask, Grade::kCommandChanging, IdOf(EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED), "",
            &lines.end);
}

TEST(Divergence, SwappedCommands_AreInAnotherOrder) {
  const auto divergences = ReplayWith({.swap = true});
  ASSERT_THAT(divergences, SizeIs(1));
  EXPECT_EQ(divergences[0].kind, DivergenceKind::kOrderChanged);
  EXPECT_EQ(divergences[0].grade, Grade::kCommandChanging);
  EXPECT_EQ(divergences[0].event_id, IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED));
  EXPECT_EQ(divergences[0].where.line, lines.activity);
  EXPECT_EQ(divergences[0].step_id, "a");
}

TEST(Divergence, DroppedLastCommand_IsMissing_WithTheNearestLineBefore) {
  ExpectOne({.drop_timer = true}, DivergenceKind::kMissingCommand, Grade::kCommandChanging, IdOf(EVENT_TYPE_TIMER_STARTED), "",
            &lines.activity);
}

TEST(Divergence, SurplusCommand_IsAtTheTasksCompletion) {
  ExpectOne({.extra_timer = true}, DivergenceKind::kSurplusCommand, Grade::kCommandChanging, IdOf(EVENT_TYPE_WORKFLOW_TASK_COMPLETED), "",
            &lines.extra_timer);
}

TEST(Divergence, AddedSideEffect_IsSurplus) {
  ExpectOne({.extra_side_effect = true}, DivergenceKind::kSurplusCommand, Grade::kCommandChanging, IdOf(EVENT_TYPE_WORKFLOW_TASK_COMPLETED), "",
            &lines.side_effect);
}

TEST(Divergence, MovedSideEffect_IsReported) {
  EXPECT_EQ(WorstGrade(ReplayWith({.side_effect_before_local = true})), Grade::kCommandChanging);
}

TEST(Divergence, DroppedActivity_IsMissing) {
  const auto divergences = ReplayWith({.second_activity = false});
  ASSERT_FALSE(divergences.empty());
  EXPECT_EQ(divergences[0].kind, DivergenceKind::kMissingCommand);
  EXPECT_EQ(divergences[0].step_id, "b");
  EXPECT_EQ(divergences[0].event_id, IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, 2));
}

TEST(Divergence, SeveralPayloadChanges_AreAllReported_AndTheReplayGoesOn) {
  const auto divergences = ReplayWith({.input = "x", .start_to_close_ms = 1, .sleep_ms = 1, .memo = 9, .result = 9});
  EXPECT_THAT(divergences, SizeIs(5));
  EXPECT_EQ(WorstGrade(divergences), Grade::kPayloadOnly);
}

TEST(Divergence, AfterACommandChangingOne_NothingMoreIsRun) {
  Change change{.type = "other"};
  change.result = "other too";
  EXPECT_THAT(ReplayWith(change), SizeIs(1));
}

// --- changed histories ---------------------------------------------------------------------------------------------------------

TEST(Divergence, CommandMovedToAnotherTask_IsReported) {
  History history = Recorded();
  // The second activity's event as if the first task had recorded it.
  const int64_t second = IdOf(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, 2), timer = IdOf(EVENT_TYPE_TIMER_STARTED);
  auto* events = history.mutable_events();
  for (int i = static_cast<int>(second) - 1; i > timer; --i) events->SwapElements(i, i - 1);
  const auto divergences = Replay(Registry({}), history).divergences;
  ASSERT_FALSE(divergences.empty());
  EXPECT_EQ(divergences[0].kind, DivergenceKind::kMissingCommand);
  EXPECT_EQ(divergences[0].event_id, second);
  EXPECT_EQ(divergences[0].grade, Grade::kCommandChanging);
}

TEST(Divergence, ResolutionOfNothing_IsAnUnknownReference) {
  History history = Recorded();
  FindEvent(&history, EVENT_TYPE_ACTIVITY_TASK_COMPLETED)->mutable_activity_task_completed_event_attributes()->set_scheduled_event_id(999);
  const auto divergences = Replay(Registry({}), history).divergences;
  ASSERT_FALSE(divergences.empty());
  EXPECT_EQ(divergences[0].kind, DivergenceKind::kUnknownReference);
  EXPECT_EQ(divergences[0].event_id, IdOf(EVENT_TYPE_ACTIVITY_TASK_COMPLETED));
  EXPECT_THAT(divergences[0].expected, HasSubstr("event 999"));
}

TEST(Divergence, ResolutionTwice_IsAnUnknownReference) {
  History history = Recorded();
  const auto* done = FindEvent(Recorded(), EVENT_TYPE_ACTIVITY_TASK_COMPLETED);
  HistoryEvent again = *done;
  *history.mutable_events(static_cast<int>(IdOf(EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)) - 1) = again;
  const auto divergences = Replay(Registry({}), history).divergences;
  ASSERT_FALSE(divergences.empty());
  EXPECT_EQ(divergences[0].kind, DivergenceKind::kUnknownReference);
  EXPECT_THAT(divergences[0].actual, HasSubstr("closed"));
  EXPECT_EQ(divergences[0].step_id, "a");
}

TEST(Divergence, CommandOfAKindThisBuildDoesNotKnow_IsMissing) {
  History history = Recorded();
  HistoryEvent* event = FindEvent(&history, EVENT_TYPE_TIMER_STARTED);
  event->set_event_type(EVENT_TYPE_NEXUS_OPERATION_SCHEDULED);
  const auto divergences = Replay(Registry({.drop_timer = true}), history).divergences;
  ASSERT_THAT(divergences, SizeIs(1));
  EXPECT_EQ(divergences[0].kind, DivergenceKind::kMissingCommand);
  EXPECT_EQ(divergences[0].expected, "NexusOperationScheduled");
}

}  // namespace
}  // namespace lockstep::workflow
