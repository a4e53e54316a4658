// The server's half of an embedded run, rule by rule. That whole histories are those of a real server is tested beside
// the recorded runs (embedded_history_test.cpp); here stand the rules that no recorded run shows.
#include "engine-core/providers/embedded/server_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include "engine-core/providers/embedded/messages.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::embedded {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CountedIds final : public IIdGenerator {
 public:
  std::string NewUuid() override { return "id-" + std::to_string(++count_); }

 private:
  int count_ = 0;
};

class ServerRunTest : public ::testing::Test {
 protected:
  static ExecutionStart StartOf() {
    ExecutionStart start;
    start.workflow_id = "w";
    start.run_id = "r";
    start.workflow_type = "t";
    start.task_queue = "q";
    return start;
  }
  Command Schedule(const std::string& id, int64_t start_to_close = 1'000, int32_t attempts = 3, int64_t total = 0) {
    Command command;
    command.set_command_type(COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK);
    auto* schedule = command.mutable_schedule_activity_task_command_attributes();
    schedule->set_activity_id(id);
    schedule->mutable_activity_type()->set_name("work");
    SetMillis(start_to_close, schedule->mutable_start_to_close_timeout());
    if (total > 0) SetMillis(total, schedule->mutable_schedule_to_close_timeout());
    schedule->mutable_retry_policy()->set_maximum_attempts(attempts);
    SetMillis(100, schedule->mutable_retry_policy()->mutable_initial_interval());
    return command;
  }
  Command Timer(const std::string& id, int64_t millis) {
    Command command;
    command.set_command_type(COMMAND_TYPE_START_TIMER);
    command.mutable_start_timer_command_attributes()->set_timer_id(id);
    SetMillis(millis, command.mutable_start_timer_command_attributes()->mutable_start_to_fire_timeout());
    return command;
  }
  Command Of(CommandType type) {
    Command command;
    command.set_command_type(type);
    return command;
  }
  // One task from start to end.
  std::optional<Refusal> Task(std::vector<Command> commands, const std::string& sticky = {}) {
    run_.StartTask(++now_, "worker");
    return run_.CompleteTask(++now_, {.commands = std::move(commands), .sticky_queue = sticky, .identity = "worker"});
  }
  std::vector<std::string> Types(int from = 1) const {
    std::vector<std::string> types;
    for (int i = from - 1; i < run_.history().events_size(); ++i)
      types.push_back(EventType_Name(run_.history().events(i).event_type()).substr(11));
    return types;
  }
  const HistoryEvent& Last() const { return run_.history().events(run_.history().events_size() - 1); }
  const HistoryEvent& Find(EventType type) const {
    for (int i = run_.history().events_size() - 1; i >= 0; --i) {
      if (run_.history().events(i).event_type() == type) return run_.history().events(i);
    }
    return HistoryEvent::default_instance();
  }

  CountedIds ids_;
  UnixMillis now_ = 1'000'000;
  ServerRun run_{StartOf(), {&ids_, &ids_}, 1'000'000};
};

TEST_F(ServerRunTest, NewsDuringATask_ComeAfterItsCommands_OutcomesOfActivitiesLast) {
  Task({Schedule("a"), Timer("t", 1'000)});
  auto attempt = run_.PollActivity(++now_, "worker");
  ASSERT_TRUE(attempt.has_value());
  run_.Signal(++now_, "first", {}, "client");
  run_.StartTask(++now_, "worker");
  run_.CompleteActivity(++now_, attempt->token, {}, "worker");
  run_.Signal(++now_, "second", {}, "client");
  const int before = run_.history().events_size();
  run_.CompleteTask(++now_, {.commands = {Timer("u", 5'000)}, .identity = "worker"});
  EXPECT_THAT(Types(before + 1),
              ElementsAre("WORKFLOW_TASK_COMPLETED", "TIMER_STARTED", "ACTIVITY_TASK_STARTED",
                          "WORKFLOW_EXECUTION_SIGNALED", "ACTIVITY_TASK_COMPLETED", "WORKFLOW_TASK_SCHEDULED"));
  const auto& done = Find(EVENT_TYPE_ACTIVITY_TASK_COMPLETED).activity_task_completed_event_attributes();
  EXPECT_EQ(done.started_event_id(), Find(EVENT_TYPE_ACTIVITY_TASK_STARTED).event_id());
  for (int i = 0; i < run_.history().events_size(); ++i) EXPECT_EQ(run_.history().events(i).event_id(), i + 1);
}

TEST_F(ServerRunTest, RetriesShowOnceTheyAreOver) {
  Task({Schedule("a")});
  const int before = run_.history().events_size();
  Failure failure;
  workflow::ErrorToFailure(Error("TRANSIENT_STEP_ERROR", "no answer", true), &failure);
  for (int32_t attempt = 1; attempt <= 2; ++attempt) {
    auto started = run_.PollActivity(now_, "worker");
    ASSERT_TRUE(started.has_value());
    EXPECT_EQ(started->token.attempt, attempt);
    EXPECT_TRUE(run_.FailActivity(now_, started->token, failure, "worker"));
    EXPECT_EQ(run_.history().events_size(), before);
    EXPECT_FALSE(run_.PollActivity(now_, "worker").has_value()) << "the back-off is not over";
    now_ = run_.NextDue();
  }
  EXPECT_EQ(now_, 1'000'002 + 100 + 200);
  auto last = run_.PollActivity(now_, "worker");
  EXPECT_TRUE(run_.FailActivity(now_, last->token, failure, "worker"));
  EXPECT_THAT(Types(before + 1),
              ElementsAre("ACTIVITY_TASK_STARTED", "ACTIVITY_TASK_FAILED", "WORKFLOW_TASK_SCHEDULED"));
  const auto& started = Find(EVENT_TYPE_ACTIVITY_TASK_STARTED).activity_task_started_event_attributes();
  EXPECT_EQ(started.attempt(), 3);
  EXPECT_EQ(started.last_failure().message(), "no answer");
  EXPECT_EQ(Find(EVENT_TYPE_ACTIVITY_TASK_FAILED).activity_task_failed_event_attributes().retry_state(),
            RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED);
}

TEST_F(ServerRunTest, AnswersThatAreLateOrTwice_ChangeNothing) {
  Task({Schedule("a")});
  auto first = run_.PollActivity(++now_, "worker");
  now_ += 1'000;
  run_.FireDue(now_);  // start-to-close
  now_ = run_.NextDue();
  auto second = run_.PollActivity(now_, "worker");
  ASSERT_TRUE(second.has_value());
  EXPECT_FALSE(run_.CompleteActivity(now_, first->token, {}, "worker"));
  EXPECT_FALSE(run_.Heartbeat(now_, first->token, {}).known);
  EXPECT_TRUE(run_.CompleteActivity(now_, second->token, {}, "worker"));
  EXPECT_FALSE(run_.CompleteActivity(now_, second->token, {}, "worker"));
  AttemptToken other = second->token;
  other.execution = 2;
  EXPECT_FALSE(run_.Running(other));
}

TEST_F(ServerRunTest, TimeOuts_OfEachKind) {
  Task({Schedule("total", 5'000, 0, 2'000), Schedule("queued", 1'000, 1, 0)});
  auto total = run_.PollActivity(now_, "worker");
  ASSERT_TRUE(total.has_value());
  now_ += 2'000;
  run_.FireDue(now_);
  const auto& timed_out = Find(EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT).activity_task_timed_out_event_attributes();
  EXPECT_EQ(timed_out.failure().timeout_failure_info().timeout_type(), TIMEOUT_TYPE_SCHEDULE_TO_CLOSE);
  EXPECT_EQ(timed_out.retry_state(), RETRY_STATE_TIMEOUT);
  auto queued = run_.PollActivity(now_, "worker");
  ASSERT_TRUE(queued.has_value());
  now_ += 1'000;
  run_.FireDue(now_);
  EXPECT_EQ(Find(EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT).activity_task_timed_out_event_attributes().failure().message(),
            "activity StartToClose timeout");
}

TEST_F(ServerRunTest, CancelOfAnActivityThatNobodyBegan_EndsItAtOnce) {
  Task({Schedule("a")});
  run_.Signal(++now_, "s", {}, "client");
  Command cancel = Of(COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK);
  cancel.mutable_request_cancel_activity_task_command_attributes()->set_scheduled_event_id(5);
  const int before = run_.history().events_size();
  Task({cancel});
  EXPECT_THAT(Types(before + 3),
              ElementsAre("ACTIVITY_TASK_CANCEL_REQUESTED", "ACTIVITY_TASK_CANCELED", "WORKFLOW_TASK_SCHEDULED"));
  EXPECT_EQ(workflow::ReadFirstJson(
                Find(EVENT_TYPE_ACTIVITY_TASK_CANCELED).activity_task_canceled_event_attributes().details())
                ->AsString(),
            "ACTIVITY_ID_NOT_STARTED");
}

TEST_F(ServerRunTest, TimerThatFiredUnseen_CanStillBeCancelled) {
  Task({Timer("t", 10)});
  run_.Signal(++now_, "s", {}, "client");
  run_.StartTask(++now_, "worker");
  now_ += 20;
  run_.FireDue(now_);
  EXPECT_EQ(run_.buffered(), 1u);
  Command cancel = Of(COMMAND_TYPE_CANCEL_TIMER);
  cancel.mutable_cancel_timer_command_attributes()->set_timer_id("t");
  EXPECT_FALSE(
      run_.CompleteTask(now_, {.commands = {cancel, Of(COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION)}, .identity = "worker"})
          .has_value());
  EXPECT_EQ(Find(EVENT_TYPE_TIMER_FIRED).event_id(), 0);
  EXPECT_TRUE(run_.closed());
}

TEST_F(ServerRunTest, EndPastUnseenNews_IsRefused) {
  run_.StartTask(++now_, "worker");
  run_.Signal(++now_, "s", {}, "client");
  const auto refusal =
      run_.CompleteTask(++now_, {.commands = {Of(COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION)}, .identity = "worker"});
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->cause, WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND);
  EXPECT_THAT(Types(4), ElementsAre("WORKFLOW_TASK_FAILED", "WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_TASK_SCHEDULED"));
  EXPECT_FALSE(run_.closed());
  EXPECT_FALSE(Task({Of(COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION)}).has_value());
  EXPECT_TRUE(run_.closed());
}

TEST_F(ServerRunTest, CommandsThatMakeNoSense_FailTheTask_AndNothingIsRecordedOfThem) {
  const std::pair<Command, WorkflowTaskFailedCause> cases[] = {
      {Of(COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION), WORKFLOW_TASK_FAILED_CAUSE_FEATURE_DISABLED},
      {Schedule("", 1), WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES},
      {Schedule("x", 0), WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES},
      {Timer("t", 0), WORKFLOW_TASK_FAILED_CAUSE_BAD_START_TIMER_ATTRIBUTES},
      {Of(COMMAND_TYPE_CANCEL_TIMER), WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_TIMER_ATTRIBUTES},
      {Of(COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK),
       WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES},
  };
  for (const auto& [command, cause] : cases) {
    const auto refusal = Task({Timer("ok", 5), command});
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->cause, cause);
    EXPECT_THAT(run_.open_timers(), IsEmpty());
  }
  const auto twice = Task({Schedule("a"), Schedule("a")});
  ASSERT_TRUE(twice.has_value());
  EXPECT_EQ(twice->cause, WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID);
}

TEST_F(ServerRunTest, TaskThatGoesOnFailing_LeavesOneTrace_UntilItSucceeds) {
  const Failure failure;
  run_.StartTask(++now_, "worker");
  run_.FailTask(++now_, WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR, failure, "worker");
  const int before = run_.history().events_size();
  EXPECT_EQ(Last().event_type(), EVENT_TYPE_WORKFLOW_TASK_FAILED);
  for (int i = 0; i < 3; ++i) {
    run_.StartTask(++now_, "worker");
    EXPECT_EQ(run_.transient_events().size(), 2u);
    run_.FailTask(++now_, WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR, failure, "worker");
    EXPECT_EQ(run_.history().events_size(), before);
  }
  EXPECT_EQ(run_.task_attempt(), 5);
  Task({});
  EXPECT_THAT(Types(before + 1),
              ElementsAre("WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED"));
  EXPECT_EQ(run_.history().events(before).workflow_task_scheduled_event_attributes().attempt(), 5);
}

TEST_F(ServerRunTest, NewsMakeAFailingTaskATaskLikeAnyOther) {
  run_.StartTask(++now_, "worker");
  run_.FailTask(++now_, WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR, {}, "worker");
  run_.Signal(++now_, "s", {}, "client");
  run_.StartTask(++now_, "worker");
  EXPECT_THAT(run_.transient_events(), IsEmpty());
  EXPECT_THAT(Types(4), ElementsAre("WORKFLOW_TASK_FAILED", "WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_TASK_SCHEDULED",
                                    "WORKFLOW_TASK_STARTED"));
}

TEST_F(ServerRunTest, StickyTask_ThatNobodyTakes_GoesToTheNormalQueue) {
  Task({}, "sticky");
  run_.Signal(++now_, "s", {}, "client");
  EXPECT_EQ(Last().workflow_task_scheduled_event_attributes().task_queue().kind(), TASK_QUEUE_KIND_STICKY);
  now_ = run_.NextDue();
  run_.FireDue(now_);
  EXPECT_EQ(Find(EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT).workflow_task_timed_out_event_attributes().timeout_type(),
            TIMEOUT_TYPE_SCHEDULE_TO_START);
  EXPECT_EQ(Last().workflow_task_scheduled_event_attributes().task_queue().kind(), TASK_QUEUE_KIND_NORMAL);
  EXPECT_EQ(run_.task_attempt(), 1);
}

TEST_F(ServerRunTest, Rotation_CarriesTheChain_AndLetsAShortLifeWait) {
  Command next = Of(COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION);
  workflow::AddJson(Json("cursor"),
                    next.mutable_continue_as_new_workflow_execution_command_attributes()->mutable_input());
  Task({next});
  auto start = run_.TakeNext();
  ASSERT_TRUE(start.has_value());
  EXPECT_EQ(start->execution, 2);
  EXPECT_EQ(start->continued_run_id, "r");
  EXPECT_EQ(start->first_run_id, "r");
  EXPECT_EQ(start->first_task_backoff_ms, 998);
  ServerRun second(std::move(*start), {&ids_, &ids_}, now_);
  EXPECT_FALSE(second.task_scheduled());
  second.Signal(now_, "s", {}, "client");
  EXPECT_FALSE(second.task_scheduled()) << "a signal does not shorten the back-off";
  EXPECT_EQ(second.NextDue(), now_ + 998);
  second.FireDue(now_ + 998);
  EXPECT_TRUE(second.task_scheduled());
}

TEST_F(ServerRunTest, SignalSentTwice_IsRecordedOnce) {
  EXPECT_TRUE(run_.Signal(++now_, "s", {}, "client", "request"));
  EXPECT_FALSE(run_.Signal(++now_, "s", {}, "client", "request"));
  EXPECT_TRUE(run_.RequestCancel(++now_, "enough", "client"));
  EXPECT_FALSE(run_.RequestCancel(++now_, "enough", "client"));
  EXPECT_TRUE(run_.Terminate(++now_, "for good", "client"));
  EXPECT_FALSE(run_.Terminate(++now_, "for good", "client"));
  EXPECT_FALSE(run_.Signal(++now_, "s", {}, "client"));
  EXPECT_EQ(run_.NextDue(), kNever);
}

// Whatever is open comes back; what ran with the process counts as timed out.
TEST_F(ServerRunTest, StateRoundTrip_AtAnyMoment) {
  Task({Schedule("running"), Schedule("waiting"), Timer("t", 9'000)}, "sticky");
  auto attempt = run_.StartActivity(++now_, "running", "worker");
  ASSERT_TRUE(attempt.has_value());
  Payloads details;
  workflow::AddJson(Json(7), &details);
  run_.Heartbeat(++now_, attempt->token, details);
  run_.Signal(++now_, "s", {}, "client", "request");
  run_.StartTask(++now_, "worker");
  run_.Signal(++now_, "buffered", {}, "client", "other");
  auto loaded = ServerRun::Load(run_.history(), run_.SaveState(), {&ids_, &ids_});
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_EQ(CanonicalJson(loaded->SaveState()), CanonicalJson(run_.SaveState()));
  EXPECT_EQ(loaded->NextDue(), run_.NextDue());
  EXPECT_FALSE(loaded->Signal(now_, "s", {}, "client", "request"));
  EXPECT_FALSE(loaded->Signal(now_, "s", {}, "client", "other"));
  loaded->TimeOutTask(now_);
  loaded->AbandonAttempts(now_);
  EXPECT_FALSE(loaded->Running(attempt->token));
  const auto open = loaded->open_activities();
  ASSERT_EQ(open.size(), 2u);
  EXPECT_EQ(open[0].attempt, 2);
  EXPECT_FALSE(open[0].started);
}

TEST_F(ServerRunTest, DamagedState_IsRefused) {
  for (const char* text : {"{}", R"({"activities":[{"scheduledEventId":99}],"timers":[],"buffered":[],"task":{}})",
                           R"({"activities":[],"timers":[],"buffered":["%%%"],"task":{}})",
                           R"({"activities":[],"timers":[],"buffered":[]})"}) {
    const auto loaded = ServerRun::Load(run_.history(), *ParseJson(text), {&ids_, &ids_});
    ASSERT_FALSE(loaded.has_value()) << text;
    EXPECT_EQ(loaded.error().code, "EMBEDDED_STATE_CORRUPT");
  }
  EXPECT_FALSE(ServerRun::Load({}, run_.SaveState(), {&ids_, &ids_}).has_value());
}

}  // namespace
}  // namespace lockstep::embedded
