// What reaches beyond an execution, and what reaches it: children, requests to others, Nexus operations, updates among signals,
// gates and values in both marker dialects, labels that travel with commands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/failure/v1/message.pb.h>
#include <temporal/api/update/v1/message.pb.h>

#include "engine-core/workflow/markers.h"
#include "engine-core/workflow/match.h"
#include "engine-core/workflow/testing/expect.h"

namespace lockstep::workflow::testing {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

WorkflowRegistry With(WorkflowConventions conventions, WorkflowFunction function) {
  WorkflowRegistry registry;
  registry.Register("test", std::move(function), conventions);
  return registry;
}

std::vector<std::string> EventNames(const History& history) {
  std::vector<std::string> names;
  for (const HistoryEvent& event : history.events()) names.push_back(EventTypeName(event.event_type()));
  return names;
}

// --- children ------------------------------------------------------------------------------------------------------------

TEST(Child, Options_TravelWithTheCommand) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    start_child_workflow("ship", JsonPayloads(Json(1)),
                         {.workflow_id = "ship-1",
                          .task_queue = "ships",
                          .run_timeout_ms = 60'000,
                          .parent_close = ParentClosePolicy::kRequestCancel,
                          .id_reuse = IdReusePolicy::kRejectDuplicate,
                          .retry = RetryOptions{.max_attempts = 5},
                          .cron_schedule = "@hourly",
                          .memo = Json::MakeObject({{"k", 1}}),
                          .summary = "a ship",
                          .priority = {.key = 3, .fairness_key = "north"},
                          .inherit_build_id = true});
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  const HistoryEvent* event = FindEvent(script.history(), EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED);
  ASSERT_NE(event, nullptr);
  const auto& child = event->start_child_workflow_execution_initiated_event_attributes();
  EXPECT_EQ(child.workflow_type().name(), "ship");
  EXPECT_EQ(child.task_queue().name(), "ships");
  EXPECT_EQ(child.workflow_run_timeout().seconds(), 60);
  EXPECT_EQ(child.parent_close_policy(), PARENT_CLOSE_POLICY_REQUEST_CANCEL);
  EXPECT_EQ(child.workflow_id_reuse_policy(), WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE);
  EXPECT_EQ(child.retry_policy().maximum_attempts(), 5);
  EXPECT_EQ(child.cron_schedule(), "@hourly");
  EXPECT_TRUE(child.memo().fields().contains("k"));
  EXPECT_EQ(child.priority().priority_key(), 3);
  EXPECT_TRUE(child.inherit_build_id());
  EXPECT_EQ(event->user_metadata().summary().data(), "\"a ship\"");
  ExpectReplays(registry, script.history());
}

TEST(Child, StartedAndResult_AreTwoMoments_AndASignalGoesToTheChildOnly) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const ChildWorkflow child = start_child_workflow("work", {}, {.workflow_id = "c"});
    const ChildStart started = co_await child.started;
    co_await child.signal("go", JsonPayloads(Json(1)));
    const ChildOutcome outcome = co_await child.result;
    co_return completed(Json(*started + " " + ReadFirstJson(*outcome.result)->AsString()));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.Happen(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, "c")
      ->mutable_child_workflow_execution_started_event_attributes()
      ->mutable_workflow_execution()
      ->set_run_id("run-7");
  script.RunTask();
  const HistoryEvent* signal = FindEvent(script.history(), EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED);
  ASSERT_NE(signal, nullptr);
  EXPECT_TRUE(signal->signal_external_workflow_execution_initiated_event_attributes().child_workflow_only());
  script.Happen(EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED, "go");
  *script.Happen(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, "c")->mutable_child_workflow_execution_completed_event_attributes()->mutable_result() =
      JsonPayloads(Json("done"));
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"run-7 done\"");
  ExpectReplays(registry, script.history());
}

TEST(Child, Failure_ComesWithItsChain_AndCanBeHandedOnWhole) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const ChildOutcome outcome = co_await start_child_workflow("work", {}, {.workflow_id = "c"}).result;
    co_return failed(Failed(outcome.result.error(), outcome.chain));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.Happen(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, "c");
  auto* end = script.Happen(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, "c")->mutable_child_workflow_execution_failed_event_attributes();
  end->mutable_workflow_execution()->set_workflow_id("c");
  ErrorToFailure(Error("BROKEN", "it broke"), end->mutable_failure());
  script.RunTask();
  const HistoryEvent* event = FindEvent(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_FAILED);
  ASSERT_NE(event, nullptr);
  const auto& failure = event->workflow_execution_failed_event_attributes().failure();
  EXPECT_EQ(failure.message(), "Child Workflow execution failed");
  EXPECT_EQ(failure.child_workflow_execution_failure_info().workflow_execution().workflow_id(), "c");
  EXPECT_EQ(failure.cause().application_failure_info().type(), "BROKEN");
  ExpectReplays(registry, script.history());
}

TEST(Child, RefusedStart_IsAnErrorOfBothMoments) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const ChildWorkflow child = start_child_workflow("work", {}, {.workflow_id = "c"});
    const ChildStart started = co_await child.started;
    const ChildOutcome outcome = co_await child.result;
    co_return completed(Json(started.error().code + " " + outcome.result.error().code));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.Happen(EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED, "c")
      ->mutable_start_child_workflow_execution_failed_event_attributes()
      ->set_cause(START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS);
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"WORKFLOW_ALREADY_STARTED WORKFLOW_ALREADY_STARTED\"");
}

TEST(Child, CancelRequest_NamesTheRunThatStarted) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const ChildWorkflow child = start_child_workflow("work", {}, {.workflow_id = "c", .cancel = CancelMode::kWaitForCompletion});
    const ChildOutcome outcome = co_await child.result;
    co_return completed(Json(outcome.result ? "ok" : outcome.result.error().code));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.Happen(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, "c")
      ->mutable_child_workflow_execution_started_event_attributes()
      ->mutable_workflow_execution()
      ->set_run_id("run-7");
  script.RunTask();
  script.RequestCancel();
  script.RunTask();
  const HistoryEvent* request = FindEvent(script.history(), EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED);
  ASSERT_NE(request, nullptr);
  const auto& attributes = request->request_cancel_external_workflow_execution_initiated_event_attributes();
  EXPECT_EQ(attributes.workflow_execution().run_id(), "run-7");
  EXPECT_TRUE(attributes.child_workflow_only());
  script.Happen(EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED, "c");
  script.Happen(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, "c");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"CANCELLED\"");
  ExpectReplays(registry, script.history());
}

// --- updates -------------------------------------------------------------------------------------------------------------

// Notes what it hears, in order.
WorkflowFunction Listener() {
  return [](const Payloads&) -> Task<WorkflowResult> {
    std::string heard;
    bool over = false;
    set_signal_handler("note", [&heard](const Payloads& input) { heard += "s" + ReadFirstJson(input)->AsString(); });
    set_signal_handler("over", [&over](const Payloads&) { over = true; });
    set_update_handler("note", {.run = [&heard](const Payloads& input) -> Task<Outcome<Payloads>> {
                                  heard += "u" + ReadFirstJson(input)->AsString();
                                  co_return JsonPayloads(Json(heard));
                                }});
    set_update_handler("slow", {.run = [&heard](const Payloads&) -> Task<Outcome<Payloads>> {
                                  const ActivityOutcome outcome = co_await execute_activity("work", {}, {.activity_id = "a", .start_to_close_ms = 1'000});
                                  if (!outcome.result) co_return Failed(outcome.result.error(), outcome.chain);
                                  heard += "!";
                                  co_return JsonPayloads(Json(heard));
                                }});
    co_await wait_until([&] { return over && all_handlers_finished(); });
    co_return completed(Json(heard));
  };
}

TEST(Updates, AmongSignals_KeepTheOrderInWhichTheyCame) {
  const WorkflowRegistry registry = With({.messages_first = true}, Listener());
  HistoryScript script(registry, {});
  script.RunTask();
  script.Signal("note", Json("1"));
  script.Update("u2", "note", Json("2"));
  script.Signal("note", Json("3"));
  script.Update("u4", "note", Json("4"));
  script.RunTask();
  script.Signal("over");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"s1u2s3u4\"");
  ExpectReplays(registry, script.history());
}

TEST(Updates, AcceptedAndCompletedInOneTask_AreTwoEventsInARow) {
  const WorkflowRegistry registry = OneWorkflow(Listener());
  HistoryScript script(registry, {});
  script.RunTask();
  script.Update("u", "note", Json("x"));
  script.RunTask();
  const auto names = EventNames(script.history());
  ASSERT_GE(names.size(), 2u);
  EXPECT_EQ(names[names.size() - 2], "WorkflowExecutionUpdateAccepted");
  EXPECT_EQ(names.back(), "WorkflowExecutionUpdateCompleted");
  const auto& completed = script.history().events(script.history().events_size() - 1).workflow_execution_update_completed_event_attributes();
  EXPECT_EQ(completed.outcome().success().payloads(0).data(), "\"ux\"");
  EXPECT_EQ(completed.meta().update_id(), "u");
}

TEST(Updates, OutcomeOfALaterTask_AndAFailure_AreRecorded) {
  const WorkflowRegistry registry = OneWorkflow(Listener());
  HistoryScript script(registry, {});
  script.RunTask();
  script.Update("u", "slow");
  script.RunTask();
  EXPECT_EQ(FindEvent(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED), nullptr);
  script.FailActivity("a", Error("BAD", "bad"));
  script.RunTask();
  const HistoryEvent* event = FindEvent(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED);
  ASSERT_NE(event, nullptr);
  const auto& failure = event->workflow_execution_update_completed_event_attributes().outcome().failure();
  EXPECT_EQ(failure.message(), "Activity task failed");
  EXPECT_EQ(failure.cause().application_failure_info().type(), "BAD");
  script.Signal("over");
  script.RunTask();
  EXPECT_TRUE(script.closed());
  ExpectReplays(registry, script.history());
}

TEST(Updates, ChangedOutcome_IsReported_AndADroppedHandlerToo) {
  const WorkflowRegistry registry = OneWorkflow(Listener());
  HistoryScript script(registry, {});
  script.RunTask();
  script.Update("u", "note", Json("x"));
  script.RunTask();
  History changed = script.history();
  FindEvent(&changed, EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED)
      ->mutable_workflow_execution_update_completed_event_attributes()
      ->mutable_outcome()
      ->mutable_success()
      ->mutable_payloads(0)
      ->set_data("\"other\"");
  const auto outcome = Replay(registry, changed).divergences;
  ASSERT_THAT(outcome, SizeIs(1));
  EXPECT_EQ(outcome[0].field, "outcome.success/0");
  EXPECT_EQ(outcome[0].grade, Grade::kPayloadOnly);
  EXPECT_EQ(outcome[0].expected, "\"other\"");
  EXPECT_EQ(outcome[0].actual, "\"ux\"");

  const WorkflowRegistry deaf = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    co_await wait_until([] { return false; });
    co_return completed(Json());
  });
  const auto dropped = Replay(deaf, script.history()).divergences;
  ASSERT_THAT(dropped, SizeIs(2));
  EXPECT_EQ(dropped[0].kind, DivergenceKind::kMissingCommand);
  EXPECT_THAT(dropped[0].command, HasSubstr("WorkflowExecutionUpdateAccepted u"));
}

TEST(Updates, HandlerSetLater_GetsWhatWaited) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    bool heard = false;
    co_await yield();
    set_update_handler("note", {.run = [&heard](const Payloads&) -> Task<Outcome<Payloads>> {
                                  heard = true;
                                  co_return JsonPayloads(Json(1));
                                }});
    co_await wait_until([&heard] { return heard; });
    co_return completed(Json("heard"));
  });
  HistoryScript script(registry, {});
  script.Update("u", "note");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"heard\"");
  ExpectReplays(registry, script.history());
}

// A validator must not change anything, and what it says is asked on live tasks only.
TEST(Updates, ValidatorThatIssuesACommand_BreaksTheTask) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    set_update_handler("bad", {.run = [](const Payloads&) -> Task<Outcome<Payloads>> { co_return Payloads(); },
                               .validate = [](const Payloads&) -> Status {
                                 upsert_memo(Json::MakeObject({{"k", 1}}));
                                 return {};
                               }});
    co_await wait_until([] { return false; });
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.Update("u", "bad");
  script.RunTask();
  EXPECT_EQ(script.broken(), "WORKFLOW_PANIC");
}

TEST(Updates, AfterAReset_AreTakenFromTheEventThatAdmittedThem) {
  const WorkflowRegistry registry = OneWorkflow(Listener());
  HistoryScript script(registry, {});
  script.RunTask();
  script.Update("u", "note", Json("x"));
  script.RunTask();
  script.Signal("over");
  script.RunTask();
  History history = script.history();
  HistoryEvent* accepted = FindEvent(&history, EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED);
  auto* attributes = accepted->mutable_workflow_execution_update_accepted_event_attributes();
  // As a server writes it: the request stands in an event of its own before the task.
  HistoryEvent admitted;
  admitted.set_event_type(EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED);
  *admitted.mutable_workflow_execution_update_admitted_event_attributes()->mutable_request() = attributes->accepted_request();
  attributes->clear_accepted_request();
  History moved;
  const int64_t before = FindEvent(history, EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, 4)->event_id();
  for (const HistoryEvent& event : history.events()) {
    if (event.event_id() == before) *moved.add_events() = admitted;
    *moved.add_events() = event;
  }
  const auto outcome = Replay(registry, moved);
  for (const Divergence& divergence : outcome.divergences) ADD_FAILURE() << divergence.Summary();
  EXPECT_TRUE(outcome.closed);
}

// --- gates and values ----------------------------------------------------------------------------------------------------

WorkflowFunction Gated() {
  return [](const Payloads&) -> Task<WorkflowResult> {
    deprecate_patch("old");
    const bool taken = patched("new");
    co_await sleep(1'000);
    co_return completed(Json(std::string(taken ? "new" : "old") + (patched("new") ? " again" : " not again")));
  };
}

TEST(Patches, WriteTheCommonCoresMarkers_AndListThemInTheSearchAttribute) {
  const WorkflowRegistry registry = With({.common_core = true}, Gated());
  HistoryScript script(registry, {});
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"new again\"");
  const HistoryEvent* first = FindEvent(script.history(), EVENT_TYPE_MARKER_RECORDED);
  const auto old_gate = ReadPatchMarker(first->marker_recorded_event_attributes());
  ASSERT_TRUE(old_gate);
  EXPECT_EQ(old_gate->patch_id, "old");
  EXPECT_TRUE(old_gate->deprecated);
  const HistoryEvent* second = FindEvent(script.history(), EVENT_TYPE_MARKER_RECORDED, first->event_id());
  EXPECT_FALSE(ReadPatchMarker(second->marker_recorded_event_attributes())->deprecated);
  const HistoryEvent* attribute = FindEvent(script.history(), EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, second->event_id());
  ASSERT_NE(attribute, nullptr);
  const auto& fields = attribute->upsert_workflow_search_attributes_event_attributes().search_attributes().indexed_fields();
  EXPECT_EQ(fields.at("TemporalChangeVersion").data(), R"(["new","old"])");
  EXPECT_EQ(fields.at("TemporalChangeVersion").metadata().at("type"), "KeywordList");
  ExpectReplays(registry, script.history());
}

TEST(Patches, HistoryFromBefore_GoesTheOldWay_ThroughoutTheRun) {
  const WorkflowRegistry before = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    co_await sleep(1'000);
    co_return completed(Json("old not again"));
  });
  HistoryScript script(before, {});
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  const WorkflowRegistry now = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const bool taken = patched("new");
    co_await sleep(1'000);
    co_return completed(Json(std::string(taken ? "new" : "old") + (patched("new") ? " again" : " not again")));
  });
  EXPECT_THAT(Replay(now, script.history()).divergences, IsEmpty());
}

// A gate may change its dialect: what the history has is what is expected.
TEST(Patches, AndVersions_ReadEachOthersMarkers) {
  const auto numbered = [](const Payloads&) -> Task<WorkflowResult> { co_return completed(Json(get_version("gate", -1, 1))); };
  const auto plain = [](const Payloads&) -> Task<WorkflowResult> { co_return completed(Json(patched("gate") ? 1 : -1)); };
  for (const bool numbered_records : {true, false}) {
    const WorkflowRegistry records = numbered_records ? OneWorkflow(numbered) : OneWorkflow(plain);
    const WorkflowRegistry replays = numbered_records ? OneWorkflow(plain) : OneWorkflow(numbered);
    HistoryScript script(records, {});
    script.RunTask();
    EXPECT_EQ(ResultOf(script.history()), "1");
    const auto outcome = Replay(replays, script.history());
    // The list in the search attribute spells the two differently; nothing else may.
    for (const Divergence& divergence : outcome.divergences) {
      EXPECT_THAT(divergence.field, HasSubstr("TemporalChangeVersion")) << divergence.Summary();
    }
  }
}

TEST(MutableSideEffect, RecordsOnlyWhatChanged_AndReplaysWithoutAsking) {
  int asked = 0;
  const WorkflowRegistry registry = OneWorkflow([&asked](const Payloads&) -> Task<WorkflowResult> {
    std::string seen;
    for (int i = 0; i < 4; ++i) {
      seen += mutable_side_effect("config", [&asked] { return Json(++asked < 3 ? "a" : "b"); }).AsString();
      co_await sleep(1'000);
    }
    co_return completed(Json(seen));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  for (int i = 1; i <= 4; ++i) {
    script.FireTimer(std::to_string(i));
    script.RunTask();
  }
  EXPECT_EQ(ResultOf(script.history()), "\"aabb\"");
  int markers = 0;
  for (const HistoryEvent& event : script.history().events()) {
    if (event.event_type() != EVENT_TYPE_MARKER_RECORDED) continue;
    ++markers;
    EXPECT_TRUE(ReadMutableSideEffectMarker(event.marker_recorded_event_attributes()));
  }
  EXPECT_EQ(markers, 2);
  const int before = asked;
  EXPECT_THAT(Replay(registry, script.history()).divergences, IsEmpty());
  EXPECT_EQ(asked, before) << "a replay must not ask";
}

// --- local activities in the common core's dialect -------------------------------------------------------------------------

TEST(CommonCore, LocalActivities_ShareTheCountOfActivities_AndGetANewOneAfterATimer) {
  const WorkflowRegistry registry = With({.common_core = true}, [](const Payloads&) -> Task<WorkflowResult> {
    co_await local_activity("good", {});
    const auto plain = execute_activity("plain", {}, {.start_to_close_ms = 1'000});
    co_await local_activity("heals", {});
    co_await plain;
    co_return completed(Json());
  });
  ScriptOptions options;
  options.local_activities = [](const LocalActivityRequest& request) -> LocalAnswer {
    if (request.activity_type == "heals" && request.attempt == 1) return {.error = Error("BAD", "bad", true), .backoff_ms = 20'000};
    return {.result = Json(1)};
  };
  HistoryScript script(registry, options);
  script.RunTask();
  EXPECT_THAT(script.OpenActivities(), ElementsAre("2"));
  script.FireTimer("1");
  script.CompleteActivity("2");
  script.RunTask();
  EXPECT_TRUE(script.closed());
  std::vector<std::string> ids;
  for (const HistoryEvent& event : script.history().events()) {
    if (event.event_type() != EVENT_TYPE_MARKER_RECORDED) continue;
    EXPECT_EQ(event.marker_recorded_event_attributes().marker_name(), kCoreLocalActivityMarker);
    const auto data = ReadLocalActivityMarker(event.marker_recorded_event_attributes());
    ids.push_back(data->activity_id + "/" + std::to_string(data->sequence) + "/" + std::to_string(data->attempt));
  }
  EXPECT_THAT(ids, ElementsAre("1/1/1", "3/3/1", "4/4/2"));
  ExpectReplays(registry, script.history());
}

// --- labels and chains -----------------------------------------------------------------------------------------------------

TEST(Metadata, SummariesAndPriorities_AreRecorded_AndADifferenceIsReported) {
  const auto workflow = [](std::string summary, int priority) {
    return OneWorkflow([summary, priority](const Payloads&) -> Task<WorkflowResult> {
      const auto work = execute_activity("work", {}, {.start_to_close_ms = 1'000, .summary = summary, .priority = {.key = priority}});
      const auto fired = timer(1'000, summary);
      co_return completed(Json());
    });
  };
  const WorkflowRegistry registry = workflow("first", 1);
  HistoryScript script(registry, {});
  script.RunTask();
  EXPECT_EQ(FindEvent(script.history(), EVENT_TYPE_TIMER_STARTED)->user_metadata().summary().data(), "\"first\"");
  ExpectReplays(registry, script.history());
  std::vector<std::string> fields;
  for (const Divergence& divergence : Replay(workflow("second", 2), script.history()).divergences) fields.push_back(divergence.field);
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("userMetadata.summary", "priority.priorityKey", "userMetadata.summary"));
}

TEST(Chain, RetriesAndCronRuns_SeeWhatTheRunBeforeCameTo) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const std::string before = last_result().payloads_size() > 0 ? ReadFirstJson(last_result())->AsString() : "nothing";
    co_return completed(Json(before + ", attempt " + std::to_string(info().attempt) + ", " + info().cron_schedule + ", " +
                             (last_failure() ? last_failure()->message() : "no failure")));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  History history = script.history();
  auto* start = history.mutable_events(0)->mutable_workflow_execution_started_event_attributes();
  start->set_attempt(3);
  start->set_cron_schedule("@daily");
  *start->mutable_last_completion_result() = JsonPayloads(Json("yesterday"));
  start->mutable_continued_failure()->set_message("tired");
  start->set_initiator(CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE);
  const auto divergences = Replay(registry, history).divergences;
  ASSERT_THAT(divergences, SizeIs(1));
  EXPECT_EQ(divergences[0].actual, "\"yesterday, attempt 3, @daily, tired\"");
}

TEST(Nexus, Operation_IsMatchedByWhatItCalls_AndItsHeadersAreCompared) {
  const auto workflow = [](std::string operation, std::string header) {
    return OneWorkflow([operation, header](const Payloads&) -> Task<WorkflowResult> {
      Payload input;
      SetJson(Json(1), &input);
      const NexusOperation running = start_nexus_operation("math", "calculator", operation, input, {.headers = {{"trace", header}}});
      const NexusOutcome outcome = co_await running.result;
      co_return completed(outcome.result ? *ReadJson(*outcome.result) : Json(outcome.result.error().code));
    });
  };
  const WorkflowRegistry registry = workflow("triple", "1");
  HistoryScript script(registry, {});
  script.RunTask();
  SetJson(Json(3), script.Happen(EVENT_TYPE_NEXUS_OPERATION_COMPLETED, "1")->mutable_nexus_operation_completed_event_attributes()->mutable_result());
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "3");
  ExpectReplays(registry, script.history());
  const auto renamed = Replay(workflow("double", "1"), script.history()).divergences;
  ASSERT_FALSE(renamed.empty());
  EXPECT_EQ(renamed[0].field, "operation");
  EXPECT_EQ(renamed[0].grade, Grade::kCommandChanging);
  const auto traced = Replay(workflow("triple", "2"), script.history()).divergences;
  ASSERT_THAT(traced, SizeIs(1));
  EXPECT_EQ(traced[0].field, "nexusHeader.trace");
}

// --- order ---------------------------------------------------------------------------------------------------------------

// A signal and an activity's end in one task: who waits for the signal goes first where messages come first.
TEST(Conventions, MessagesFirst_LetsWaitersForSignalsGoBeforeResolutions) {
  const auto function = [](const Payloads&) -> Task<WorkflowResult> {
    std::string order;
    bool signalled = false;
    set_signal_handler("go", [&signalled](const Payloads&) { signalled = true; });
    const auto work = execute_activity("work", {}, {.activity_id = "a", .start_to_close_ms = 1'000});
    spawn([](bool& signalled, std::string& order) -> Task<void> {
      co_await wait_until([&signalled] { return signalled; });
      order += "signal ";
    }(signalled, order));
    co_await work;
    order += "activity ";
    co_await wait_until([&order] { return order.size() > 9; });
    co_return completed(Json(order));
  };
  for (const bool first : {true, false}) {
    const WorkflowRegistry registry = With({.messages_first = first}, function);
    HistoryScript script(registry, {});
    script.RunTask();
    script.CompleteActivity("a");
    script.Signal("go");
    script.RunTask();
    EXPECT_EQ(ResultOf(script.history()), first ? "\"signal activity \"" : "\"activity signal \"");
    ExpectReplays(registry, script.history());
  }
}

}  // namespace
}  // namespace lockstep::workflow::testing
