#include "engine-core/workflow/match.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include "engine-core/workflow/markers.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::workflow {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT
using ::testing::IsEmpty;
using ::testing::SizeIs;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

std::vector<FieldDifference> Differences(const Command& command, const HistoryEvent& event, FieldContext context = {}) {
  EXPECT_TRUE(SameIdentity(command, event));
  std::vector<FieldDifference> differences;
  CompareFields(command, event, context, [&](FieldDifference difference) { differences.push_back(std::move(difference)); });
  return differences;
}

std::string Text(const std::vector<FieldDifference>& differences) {
  std::string text;
  for (const auto& difference : differences) {
    text += difference.field + " " + std::string(GradeName(difference.grade)) + " " + difference.expected + " -> " + difference.actual + "; ";
  }
  return text;
}

constexpr char kPayloads[] = R"(payloads { metadata { key: "encoding" value: "json/plain" } data: '{"a":1,"b":2}' })";

// A pair of command and event that agree; `body` is common to both attribute messages.
struct Pair {
  Command command;
  HistoryEvent event;
};
Pair MakePair(int command_type, int event_type, const std::string& command_field, const std::string& event_field,
              const std::string& body, const std::string& event_body = "", const std::string& command_body = "") {
  Pair pair;
  pair.command = Parse<Command>(command_field + " { " + body + command_body + " }");
  pair.command.set_command_type(static_cast<CommandType>(command_type));
  pair.event = Parse<HistoryEvent>(event_field + " { " + body + event_body + " }");
  pair.event.set_event_type(static_cast<EventType>(event_type));
  return pair;
}

const std::string kActivityBody = std::string(R"(
  activity_id: "step/load/1" activity_type { name: "acme.Load" } task_queue { name: "tq-data-prod" }
  input { )") + kPayloads + R"( } header { fields { key: "trace" value { data: "t" } } }
  schedule_to_close_timeout { seconds: 100 } schedule_to_start_timeout { seconds: 20 } start_to_close_timeout { seconds: 30 }
  heartbeat_timeout { seconds: 10 } priority { priority_key: 2 }
  retry_policy { initial_interval { seconds: 1 } backoff_coefficient: 2 maximum_interval { seconds: 60 } maximum_attempts: 3
                 non_retryable_error_types: "PERMANENT_STEP_ERROR" })";

Pair Activity(const std::string& body = kActivityBody) {
  return MakePair(COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, "schedule_activity_task_command_attributes",
                  "activity_task_scheduled_event_attributes", body);
}

std::vector<Pair> AllPairs() {
  std::vector<Pair> pairs;
  pairs.push_back(Activity());
  pairs.push_back(MakePair(COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK, EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED,
                           "request_cancel_activity_task_command_attributes", "activity_task_cancel_requested_event_attributes",
                           "scheduled_event_id: 5"));
  pairs.push_back(MakePair(COMMAND_TYPE_START_TIMER, EVENT_TYPE_TIMER_STARTED, "start_timer_command_attributes",
                           "timer_started_event_attributes", R"(timer_id: "1" start_to_fire_timeout { seconds: 5 })"));
  pairs.push_back(MakePair(COMMAND_TYPE_CANCEL_TIMER, EVENT_TYPE_TIMER_CANCELED, "cancel_timer_command_attributes",
                           "timer_canceled_event_attributes", R"(timer_id: "1")"));
  pairs.push_back(MakePair(COMMAND_TYPE_RECORD_MARKER, EVENT_TYPE_MARKER_RECORDED, "record_marker_command_attributes",
                           "marker_recorded_event_attributes",
                           std::string(R"(marker_name: "Custom" details { key: "k" value { )") + kPayloads +
                               R"( } } failure { message: "f" } header { fields { key: "h" value { data: "t" } } })"));
  pairs.push_back(MakePair(COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
                           "upsert_workflow_search_attributes_command_attributes", "upsert_workflow_search_attributes_event_attributes",
                           R"(search_attributes { indexed_fields { key: "planId" value { data: "\"p\"" } } })"));
  pairs.push_back(MakePair(COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES, EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
                           "modify_workflow_properties_command_attributes", "workflow_properties_modified_event_attributes",
                           R"(upserted_memo { fields { key: "m" value { data: "1" } } })"));
  pairs.push_back(MakePair(
      COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION, EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
      "start_child_workflow_execution_command_attributes", "start_child_workflow_execution_initiated_event_attributes",
      std::string(R"(namespace: "n" workflow_id: "child" workflow_type { name: "Child" } task_queue { name: "q" } input { )") + kPayloads +
          R"( } workflow_execution_timeout { seconds: 1 } workflow_run_timeout { seconds: 2 } workflow_task_timeout { seconds: 3 }
             parent_close_policy: PARENT_CLOSE_POLICY_ABANDON workflow_id_reuse_policy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
             cron_schedule: "* * * * *" memo { fields { key: "m" value { data: "1" } } }
             search_attributes { indexed_fields { key: "s" value { data: "1" } } } header { fields { key: "h" value { data: "1" } } }
             retry_policy { maximum_attempts: 2 })"));
  pairs.push_back(MakePair(COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION, EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
                           "signal_external_workflow_execution_command_attributes",
                           "signal_external_workflow_execution_initiated_event_attributes",
                           std::string(R"(signal_name: "go" child_workflow_only: true header { fields { key: "h" value { data: "1" } } } input { )") +
                               kPayloads + " }",
                           R"( workflow_execution { workflow_id: "w" run_id: "r" })", R"( execution { workflow_id: "w" run_id: "r" })"));
  pairs.push_back(MakePair(COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
                           EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
                           "request_cancel_external_workflow_execution_command_attributes",
                           "request_cancel_external_workflow_execution_initiated_event_attributes",
                           R"(child_workflow_only: true reason: "why")", R"( workflow_execution { workflow_id: "w" })",
                           R"( workflow_id: "w")"));
  pairs.push_back(MakePair(COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
                           "complete_workflow_execution_command_attributes", "workflow_execution_completed_event_attributes",
                           std::string("result { ") + kPayloads + " }"));
  pairs.push_back(MakePair(COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
                           "fail_workflow_execution_command_attributes", "workflow_execution_failed_event_attributes",
                           R"(failure { message: "m" source: "s" application_failure_info { type: "T" } })"));
  pairs.push_back(MakePair(COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
                           "cancel_workflow_execution_command_attributes", "workflow_execution_canceled_event_attributes",
                           std::string("details { ") + kPayloads + " }"));
  pairs.push_back(MakePair(COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
                           "continue_as_new_workflow_execution_command_attributes",
                           "workflow_execution_continued_as_new_event_attributes",
                           std::string(R"(workflow_type { name: "W" } task_queue { name: "q" } workflow_run_timeout { seconds: 1 }
                                          workflow_task_timeout { seconds: 2 } input { )") +
                               kPayloads + " }"));
  return pairs;
}

TEST(CompareFields, EqualCommandsOfEveryKind_HaveNoDifference) {
  for (const Pair& pair : AllPairs()) {
    EXPECT_THAT(Differences(pair.command, pair.event), IsEmpty()) << pair.command.ShortDebugString();
    EXPECT_EQ(IdentityOf(pair.command), IdentityOf(pair.event));
  }
}

// Changes one attribute in the command; returns what is reported.
std::string Change(Pair pair, const std::function<void(Command*)>& change) {
  change(&pair.command);
  return Text(Differences(pair.command, pair.event));
}

TEST(CompareFields, EveryActivityField_IsReportedAlone_WithItsGrade) {
  const auto change = [](const std::function<void(temporal::api::command::v1::ScheduleActivityTaskCommandAttributes*)>& edit) {
    return Change(Activity(), [&](Command* c) { edit(c->mutable_schedule_activity_task_command_attributes()); });
  };
  EXPECT_EQ(change([](auto* a) { a->mutable_activity_type()->set_name("acme.Store"); }),
            "activityType command-changing acme.Load -> acme.Store; ");
  EXPECT_EQ(change([](auto* a) { *a->mutable_input() = JsonPayloads(7); }), "input/0 payload-only {\"a\":1,\"b\":2} -> 7; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_task_queue()->set_name("other"); }), "taskQueue payload-only tq-data-prod -> other; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_header()->Clear(); }).substr(0, 32), "header.fields.trace payload-only");
  EXPECT_EQ(change([](auto* a) { a->mutable_schedule_to_close_timeout()->set_seconds(90); }), "scheduleToCloseTimeout drift 100s -> 90s; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_schedule_to_start_timeout()->set_seconds(21); }), "scheduleToStartTimeout drift 20s -> 21s; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_start_to_close_timeout()->set_nanos(500'000'000); }), "startToCloseTimeout drift 30s -> 30.5s; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_heartbeat_timeout()->set_seconds(11); }), "heartbeatTimeout drift 10s -> 11s; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_priority()->set_priority_key(3); }), "priority.priorityKey drift 2 -> 3; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_retry_policy()->set_maximum_attempts(4); }), "retryPolicy.maximumAttempts drift 3 -> 4; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_retry_policy()->set_backoff_coefficient(3); }), "retryPolicy.backoffCoefficient drift 2 -> 3; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_retry_policy()->mutable_initial_interval()->set_seconds(2); }),
            "retryPolicy.initialInterval drift 1s -> 2s; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_retry_policy()->mutable_maximum_interval()->set_seconds(61); }),
            "retryPolicy.maximumInterval drift 60s -> 61s; ");
  EXPECT_EQ(change([](auto* a) { a->mutable_retry_policy()->add_non_retryable_error_types("X"); }),
            "retryPolicy.nonRetryableErrorTypes drift PERMANENT_STEP_ERROR -> PERMANENT_STEP_ERROR X; ");
}

TEST(CompareFields, DroppedActivityNumbers_AreReported) {
  const auto drop = [](const std::function<void(temporal::api::command::v1::ScheduleActivityTaskCommandAttributes*)>& edit) {
    return Change(Activity(), [&](Command* c) { edit(c->mutable_schedule_activity_task_command_attributes()); });
  };
  EXPECT_EQ(drop([](auto* a) { a->clear_heartbeat_timeout(); }), "heartbeatTimeout drift 10s -> ; ");
  EXPECT_EQ(drop([](auto* a) { a->clear_schedule_to_close_timeout(); }), "scheduleToCloseTimeout drift 100s -> ; ");
  EXPECT_EQ(drop([](auto* a) { a->clear_retry_policy(); }),
            "retryPolicy.maximumInterval drift 60s -> ; retryPolicy.maximumAttempts drift 3 -> 0; "
            "retryPolicy.nonRetryableErrorTypes drift PERMANENT_STEP_ERROR -> ; ");
}

TEST(CompareFields, PackagePrefixOfTheActivityType_Counts) {
  EXPECT_EQ(Change(Activity(),
                   [](Command* c) {
                     c->mutable_schedule_activity_task_command_attributes()->mutable_activity_type()->set_name("Load");
                   }),
            "activityType command-changing acme.Load -> Load; ");
}

TEST(CompareFields, EqualJsonWithAnotherKeyOrder_IsEqual) {
  Pair pair = Activity();
  pair.command.mutable_schedule_activity_task_command_attributes()->mutable_input()->mutable_payloads(0)->set_data("{ \"b\":2, \"a\":1 }");
  EXPECT_THAT(Differences(pair.command, pair.event), IsEmpty());
}

TEST(CompareFields, WhatTheServerFillsIn_IsNoDifference) {
  // Only start-to-close given: the server sets the others from the run's time-out and a default retry policy.
  Pair pair = Activity(R"(activity_id: "1" activity_type { name: "A" } task_queue { name: "q" } start_to_close_timeout { seconds: 30 })");
  auto* event = pair.event.mutable_activity_task_scheduled_event_attributes();
  event->mutable_schedule_to_close_timeout();
  event->mutable_schedule_to_start_timeout();
  event->mutable_heartbeat_timeout();
  *event->mutable_retry_policy() = Parse<temporal::api::common::v1::RetryPolicy>(
      "initial_interval { seconds: 1 } backoff_coefficient: 2 maximum_interval { seconds: 100 }");
  EXPECT_THAT(Differences(pair.command, pair.event), IsEmpty());
  event->mutable_schedule_to_close_timeout()->set_seconds(600);
  event->mutable_schedule_to_start_timeout()->set_seconds(600);
  EXPECT_THAT(Differences(pair.command, pair.event, {.workflow_run_timeout_ms = 600'000}), IsEmpty());
  EXPECT_THAT(Differences(pair.command, pair.event), SizeIs(2));  // no run time-out: nobody but the code can have set these
}

TEST(CompareFields, WhatTheServerCaps_IsNoDifference) {
  Pair pair = Activity(
      R"(activity_id: "1" activity_type { name: "A" } task_queue { name: "q" } schedule_to_close_timeout { seconds: 100 }
         start_to_close_timeout { seconds: 500 } heartbeat_timeout { seconds: 300 } retry_policy { initial_interval { seconds: 5 } })");
  auto* event = pair.event.mutable_activity_task_scheduled_event_attributes();
  event->mutable_start_to_close_timeout()->set_seconds(100);
  event->mutable_schedule_to_start_timeout()->set_seconds(100);
  event->mutable_heartbeat_timeout()->set_seconds(100);
  event->mutable_retry_policy()->set_backoff_coefficient(2);
  event->mutable_retry_policy()->mutable_maximum_interval()->set_seconds(500);
  EXPECT_THAT(Text(Differences(pair.command, pair.event)), IsEmpty());
  event->mutable_start_to_close_timeout()->set_seconds(99);
  EXPECT_EQ(Text(Differences(pair.command, pair.event)), "startToCloseTimeout drift 99s -> 500s; ");
}

TEST(CompareFields, OtherKinds_ReportExactlyTheChangedField) {
  std::map<int, Pair> by_type;
  for (const Pair& pair : AllPairs()) by_type[pair.command.command_type()] = pair;
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_START_TIMER],
                   [](Command* c) { c->mutable_start_timer_command_attributes()->mutable_start_to_fire_timeout()->set_seconds(6); }),
            "startToFireTimeout payload-only 5s -> 6s; ");
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_RECORD_MARKER],
                   [](Command* c) { (*c->mutable_record_marker_command_attributes()->mutable_details())["k"] = JsonPayloads(1); }),
            "details.k/0 payload-only {\"a\":1,\"b\":2} -> 1; ");
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_RECORD_MARKER],
                   [](Command* c) { (*c->mutable_record_marker_command_attributes()->mutable_details())["new"] = JsonPayloads(1); }),
            "details.new payload-only  -> [1]; ");
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_RECORD_MARKER],
                   [](Command* c) { c->mutable_record_marker_command_attributes()->mutable_failure()->set_message("g"); }),
            "failure.message payload-only f -> g; ");
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES],
                   [](Command* c) {
                     auto* attributes = c->mutable_upsert_workflow_search_attributes_command_attributes()->mutable_search_attributes();
                     (*attributes->mutable_indexed_fields())["planId"].set_data("\"q\"");
                   }).substr(0, 54),
            "searchAttributes.indexedFields.planId payload-only [< ");
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES],
                   [](Command* c) {
                     (*c->mutable_modify_workflow_properties_command_attributes()->mutable_upserted_memo()->mutable_fields())["m"].set_data("2");
                   }).substr(0, 37),
            "upsertedMemo.fields.m payload-only [<");
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION],
                   [](Command* c) { *c->mutable_complete_workflow_execution_command_attributes()->mutable_result() = JsonPayloads(1); }),
            "result/0 payload-only {\"a\":1,\"b\":2} -> 1; ");
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION],
                   [](Command* c) {
                     c->mutable_fail_workflow_execution_command_attributes()->mutable_failure()->mutable_application_failure_info()->set_type("U");
                   }),
            "failure.applicationFailureInfo.type payload-only T -> U; ");
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION],
                   [](Command* c) { c->mutable_cancel_workflow_execution_command_attributes()->clear_details(); }),
            "details payload-only [{\"a\":1,\"b\":2}] -> ; ");
  const auto next = [&](const std::function<void(temporal::api::command::v1::ContinueAsNewWorkflowExecutionCommandAttributes*)>& edit) {
    return Change(by_type[COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION],
                  [&](Command* c) { edit(c->mutable_continue_as_new_workflow_execution_command_attributes()); });
  };
  EXPECT_EQ(next([](auto* a) { a->mutable_workflow_type()->set_name("V"); }), "workflowType command-changing W -> V; ");
  EXPECT_EQ(next([](auto* a) { a->mutable_task_queue()->set_name("r"); }), "taskQueue payload-only q -> r; ");
  EXPECT_EQ(next([](auto* a) { *a->mutable_input() = JsonPayloads(1); }), "input/0 payload-only {\"a\":1,\"b\":2} -> 1; ");
  EXPECT_EQ(next([](auto* a) { a->mutable_workflow_run_timeout()->set_seconds(3); }), "workflowRunTimeout drift 1s -> 3s; ");
  EXPECT_EQ(next([](auto* a) { a->clear_workflow_task_timeout(); }), "");
}

TEST(CompareFields, ChildAndExternalKinds_ReportExactlyTheChangedField) {
  std::map<int, Pair> by_type;
  for (const Pair& pair : AllPairs()) by_type[pair.command.command_type()] = pair;
  const auto child = [&](const std::function<void(temporal::api::command::v1::StartChildWorkflowExecutionCommandAttributes*)>& edit) {
    return Change(by_type[COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION],
                  [&](Command* c) { edit(c->mutable_start_child_workflow_execution_command_attributes()); });
  };
  EXPECT_EQ(child([](auto* a) { a->mutable_workflow_type()->set_name("Other"); }), "workflowType command-changing Child -> Other; ");
  EXPECT_EQ(child([](auto* a) { a->set_parent_close_policy(PARENT_CLOSE_POLICY_TERMINATE); }),
            "parentClosePolicy payload-only PARENT_CLOSE_POLICY_ABANDON -> PARENT_CLOSE_POLICY_TERMINATE; ");
  EXPECT_EQ(child([](auto* a) { a->set_cron_schedule("0 * * * *"); }), "cronSchedule payload-only * * * * * -> 0 * * * *; ");
  EXPECT_EQ(child([](auto* a) { a->mutable_workflow_execution_timeout()->set_seconds(9); }), "workflowExecutionTimeout drift 1s -> 9s; ");
  EXPECT_EQ(child([](auto* a) { a->mutable_retry_policy()->set_maximum_attempts(5); }), "retryPolicy.maximumAttempts drift 2 -> 5; ");
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION],
                   [](Command* c) {
                     c->mutable_signal_external_workflow_execution_command_attributes()->mutable_execution()->set_workflow_id("x");
                   }),
            "execution.workflowId command-changing w -> x; ");
  EXPECT_EQ(Change(by_type[COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION],
                   [](Command* c) { c->mutable_request_cancel_external_workflow_execution_command_attributes()->set_reason("because"); }),
            "reason payload-only why -> because; ");
}

TEST(CompareFields, LocalActivity_IsComparedAsAnActivity) {
  const auto marker = [](const std::string& type, const std::string& digest, const Json& result) {
    Pair pair;
    pair.command.set_command_type(COMMAND_TYPE_RECORD_MARKER);
    auto* command = pair.command.mutable_record_marker_command_attributes();
    FillLocalActivityMarker({"la", type, "2023-11-14T22:13:20.000Z", 1, 0}, digest, command);
    (*command->mutable_details())["result"] = JsonPayloads(result);
    pair.event.set_event_type(EVENT_TYPE_MARKER_RECORDED);
    pair.event.mutable_marker_recorded_event_attributes()->set_marker_name(command->marker_name());
    *pair.event.mutable_marker_recorded_event_attributes()->mutable_details() = command->details();
    return pair;
  };
  const Pair recorded = marker("emit", "d1", 1);
  EXPECT_THAT(Differences(marker("emit", "d1", 1).command, recorded.event), IsEmpty());
  EXPECT_EQ(Text(Differences(marker("other", "d1", 1).command, recorded.event)), "activityType command-changing emit -> other; ");
  EXPECT_EQ(Text(Differences(marker("emit", "d2", 1).command, recorded.event)), "input payload-only \"d1\" -> \"d2\"; ");
  EXPECT_EQ(Text(Differences(marker("emit", "d1", 2).command, recorded.event)), "result/0 payload-only 1 -> 2; ");
}

TEST(SameIdentity, IdsAndKinds_TellCommandsApart) {
  const auto pairs = AllPairs();
  for (size_t i = 0; i < pairs.size(); ++i) {
    for (size_t j = 0; j < pairs.size(); ++j) {
      EXPECT_EQ(SameIdentity(pairs[i].command, pairs[j].event), i == j) << i << " " << j;
      EXPECT_EQ(IdentityOf(pairs[i].command) == IdentityOf(pairs[j].event), i == j) << i << " " << j;
    }
  }
  Pair pair = Activity();
  pair.command.mutable_schedule_activity_task_command_attributes()->set_activity_id("step/load/2");
  EXPECT_FALSE(SameIdentity(pair.command, pair.event));
}

TEST(CommandIdentity, ReadsWell) {
  EXPECT_EQ(IdentityOf(Activity().command).ToString(), "ActivityTaskScheduled step/load/1");
  Pair marker;
  marker.command.set_command_type(COMMAND_TYPE_RECORD_MARKER);
  FillVersionMarker("gate", 1, true, marker.command.mutable_record_marker_command_attributes());
  EXPECT_EQ(IdentityOf(marker.command).ToString(), "MarkerRecorded Version gate");
  HistoryEvent unknown;
  unknown.set_event_type(static_cast<EventType>(4711));
  EXPECT_EQ(IdentityOf(unknown).ToString(), "EventType4711");
  EXPECT_FALSE(SameIdentity(marker.command, unknown));
}

TEST(EventTypeName, IsCamelCase_AndNumbersWhatItDoesNotKnow) {
  EXPECT_EQ(EventTypeName(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED), "ActivityTaskScheduled");
  EXPECT_EQ(EventTypeName(EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW), "WorkflowExecutionContinuedAsNew");
  EXPECT_EQ(EventTypeName(99), "EventType99");
  EXPECT_EQ(EventTypeName(-3), "EventType-3");
}

TEST(StepIdOf, ReadsTheIdsOfSpec04Section51) {
  EXPECT_EQ(StepIdOf("step/load/1"), "load");
  EXPECT_EQ(StepIdOf("step/a/b/c/12"), "a/b/c");
  EXPECT_EQ(StepIdOf("event/StepStarted/load/1"), "load");
  EXPECT_EQ(StepIdOf("event/StepStarted/a/b/1"), "a/b");
  EXPECT_EQ(StepIdOf("event/RunStarted/RUN/1"), "");
  for (const char* other : {"", "1", "/", "step", "step/", "event/x", "fetchPlan", "event/"}) EXPECT_EQ(StepIdOf(other), "") << other;
  Pair local;
  local.event.set_event_type(EVENT_TYPE_MARKER_RECORDED);
  MarkerCommand marker;
  FillLocalActivityMarker({"event/StepFailed/load/2", "emitEvents", "", 1, 0}, "", &marker);
  local.event.mutable_marker_recorded_event_attributes()->set_marker_name(marker.marker_name());
  *local.event.mutable_marker_recorded_event_attributes()->mutable_details() = marker.details();
  EXPECT_EQ(StepIdOf(local.event), "load");
  EXPECT_EQ(StepIdOf(Activity().event), "load");
}

TEST(TargetOf, NamesWhatACommandCalls_OfCommandAndEventAlike) {
  Command command;
  command.set_command_type(temporal::api::enums::v1::COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK);
  command.mutable_schedule_activity_task_command_attributes()->mutable_activity_type()->set_name("charge");
  EXPECT_EQ(TargetOf(command), "charge");
  HistoryEvent event;
  event.set_event_type(EVENT_TYPE_ACTIVITY_TASK_SCHEDULED);
  event.mutable_activity_task_scheduled_event_attributes()->mutable_activity_type()->set_name("ship");
  EXPECT_EQ(TargetOf(event), "ship");
  event.set_event_type(EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED);
  event.mutable_start_child_workflow_execution_initiated_event_attributes()->mutable_workflow_type()->set_name("order");
  EXPECT_EQ(TargetOf(event), "order");
  event.set_event_type(EVENT_TYPE_TIMER_STARTED);
  EXPECT_EQ(TargetOf(event), "");
  MarkerCommand marker;
  FillLocalActivityMarker({"1", "normalize", "", 1, 0}, "", &marker);
  event.set_event_type(EVENT_TYPE_MARKER_RECORDED);
  event.mutable_marker_recorded_event_attributes()->set_marker_name(marker.marker_name());
  *event.mutable_marker_recorded_event_attributes()->mutable_details() = marker.details();
  EXPECT_EQ(TargetOf(event), "normalize");
}

}  // namespace
}  // namespace lockstep::workflow
