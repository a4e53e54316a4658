#include "replay/history/integrity.h"

#include <set>

#include "replay/history/codec_tables.h"
#include "replay/history/event_names.h"
#include "replay/history/history_testing.h"
#include "replay/history/writer.h"

namespace lockstep::history {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT: event types by their name

std::vector<Problem> Check(const History& history) { return CheckIntegrity(history, {}); }

std::string Text(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems)
    out += std::to_string(problem.event_id) + " " + problem.code + ": " + problem.message + "\n";
  return out;
}

// The recorded run that has the most to break; events are found by type.
class Broken {
 public:
  explicit Broken(const std::string& file = "everything.pb") : loaded_(Parsed(TestBytes(file))) {}
  History& history() { return *loaded_.history; }
  HistoryEvent& First(int type) {
    for (auto& event : *loaded_.history->mutable_events()) {
      if (event.event_type() == type) return event;
    }
    ADD_FAILURE() << "no event of type " << type;
    return *loaded_.history->mutable_events(0);
  }
  HistoryEvent& Last() { return *loaded_.history->mutable_events(loaded_.history->events_size() - 1); }
  // The one problem, which must be of this event and code.
  void Expect(const HistoryEvent& event, const std::string& code, const std::string& message_part = "") {
    const auto problems = CheckIntegrity(*loaded_.history, loaded_.info);
    ASSERT_EQ(problems.size(), 1U) << Text(problems);
    EXPECT_EQ(problems[0].event_id, event.event_id());
    EXPECT_EQ(problems[0].code, code);
    EXPECT_NE(problems[0].message.find(message_part), std::string::npos) << problems[0].message;
  }
  // Among others, perhaps.
  void ExpectAmong(int64_t event_id, const std::string& code) {
    const auto problems = CheckIntegrity(*loaded_.history, loaded_.info);
    bool found = false;
    for (const Problem& problem : problems) found = found || (problem.event_id == event_id && problem.code == code);
    EXPECT_TRUE(found) << code << " of " << event_id << " not in:\n" << Text(problems);
  }

 private:
  LoadedHistory loaded_;
};

TEST(CheckIntegrity, RecordedRuns_HaveNoProblem) {
  for (const std::string& name : RecordedHistories()) {
    const LoadedHistory loaded = Parsed(TestBytes(name));
    EXPECT_EQ(Text(CheckIntegrity(*loaded.history, loaded.info)), "") << name;
  }
}

TEST(CheckIntegrity, EveryPrefixOfARecordedRun_HasNoProblem) {
  for (const std::string& name : RecordedHistories()) {
    LoadedHistory loaded = Parsed(TestBytes(name));
    while (loaded.history->events_size() > 0) {
      EXPECT_EQ(Text(CheckIntegrity(*loaded.history, loaded.info)), "") << name << " " << loaded.history->events_size();
      loaded.history->mutable_events()->RemoveLast();
    }
  }
}

TEST(CheckIntegrity, EveryEventTypeOfTheApi_HasARule) {
  const auto* type = EventType_descriptor();
  for (int i = 0; i < type->value_count(); ++i) {
    const int number = type->value(i)->number();
    if (number == 0) continue;
    // Attributes of another type are a mismatch exactly where there is a rule.
    History history;
    auto* event = history.add_events();
    event->set_event_id(1);
    event->set_event_type(static_cast<EventType>(number));
    if (number == EVENT_TYPE_TIMER_FIRED) {
      event->mutable_timer_started_event_attributes();
    } else {
      event->mutable_timer_fired_event_attributes();
    }
    const auto problems = Check(history);
    EXPECT_TRUE(std::any_of(problems.begin(), problems.end(), [](const Problem& p) {
      return p.code == "EVENT_ATTRIBUTES_MISMATCH";
    })) << type->value(i)->name();
  }
}

TEST(CheckIntegrity, EveryReferenceInTheApi_IsFollowedOrKnownNotToBe) {
  // Fields named ..._event_id: a broken one must be noticed, but for those that point outside of the history or count
  // events that may never have been written.
  const std::set<std::string> outside = {"parent_initiated_event_id", "external_initiated_event_id",
                                         "accepted_request_sequencing_event_id",
                                         "rejected_request_sequencing_event_id"};
  const auto* types = EventType_descriptor();
  for (const FieldEntry& attributes : EventTable().fields) {
    if (attributes.oneof < 0) continue;
    for (const FieldEntry& field : attributes.message->fields) {
      if (!field.proto_name.ends_with("_event_id") || outside.contains(field.proto_name)) continue;
      const std::string name =
          attributes.proto_name.substr(0, attributes.proto_name.size() - std::string("_event_attributes").size());
      std::string screaming = "EVENT_TYPE_";
      for (const char c : name) screaming.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
      const auto* type = types->FindValueByName(screaming);
      ASSERT_NE(type, nullptr) << screaming;
      History history;
      auto* event = history.add_events();
      event->set_event_id(1);
      event->set_event_type(static_cast<EventType>(type->number()));
      auto* message = event->GetReflection()->MutableMessage(event, attributes.field);
      message->GetReflection()->SetInt64(message, field.field, 77);
      const auto problems = Check(history);
      EXPECT_TRUE(std::any_of(problems.begin(), problems.end(),
                              [&](const Problem& p) {
                                return p.code == "EVENT_REFERENCE_NOT_EARLIER" &&
                                       p.message.find(field.json_name) != std::string::npos;
                              }))
          << attributes.proto_name << "." << field.proto_name << "\n"
          << Text(problems);
    }
  }
}

TEST(CheckIntegrity, NoEvents_HistoryEmpty) {
  EXPECT_EQ(Text(Check(History())), "0 HISTORY_EMPTY: expected events, found none\n");
}

TEST(CheckIntegrity, FirstEventOfAnotherType_HistoryStartInvalid) {
  Broken broken;
  broken.history().mutable_events()->DeleteSubrange(0, 1);
  broken.ExpectAmong(2, "HISTORY_START_INVALID");
  broken.ExpectAmong(2, "EVENT_ID_NOT_CONTIGUOUS");
}

TEST(CheckIntegrity, StartedTwice_HistoryStartInvalid) {
  Broken broken("running.cli.json");
  HistoryEvent& again = *broken.history().add_events();
  again = broken.history().events(0);
  again.set_event_id(broken.history().events_size());
  broken.Expect(again, "HISTORY_START_INVALID");
}

TEST(CheckIntegrity, GapRepetitionAndOrder_EventIdNotContiguous) {
  Broken gap;
  gap.Last().set_event_id(gap.Last().event_id() + 5);
  gap.Expect(gap.Last(), "EVENT_ID_NOT_CONTIGUOUS");
  Broken swapped("running.cli.json");
  swapped.history().mutable_events()->SwapElements(1, 2);
  swapped.ExpectAmong(3, "EVENT_ID_NOT_CONTIGUOUS");
  Broken zero("running.cli.json");
  zero.Last().clear_event_id();
  zero.Expect(zero.Last(), "EVENT_ID_NOT_CONTIGUOUS");
}

TEST(CheckIntegrity, NoType_EventTypeMissing) {
  Broken broken("running.cli.json");
  broken.Last().clear_event_type();
  broken.Expect(broken.Last(), "EVENT_TYPE_MISSING");
}

TEST(CheckIntegrity, UnknownType_OnlyWithWorkerMayIgnore) {
  Broken broken("running.cli.json");
  HistoryEvent& event = *broken.history().add_events();
  event.set_event_id(broken.history().events_size());
  event.set_event_type(static_cast<EventType>(4711));
  broken.Expect(event, "EVENT_TYPE_UNKNOWN", "Unknown(4711)");
  event.set_worker_may_ignore(true);
  EXPECT_EQ(Text(Check(broken.history())), "");
}

TEST(CheckIntegrity, UnknownTypeAsText_IsNamed) {
  const LoadedHistory loaded = Parsed(R"([{"eventId":"1","eventType":"WorkflowExecutionStarted",)"
                                      R"("workflowExecutionStartedEventAttributes":{}},{"eventId":"2",)"
                                      R"("eventType":"EVENT_TYPE_BRAND_NEW"},{"eventId":"3",)"
                                      R"("eventType":"EVENT_TYPE_HARMLESS","workerMayIgnore":true}])");
  EXPECT_EQ(Text(CheckIntegrity(*loaded.history, loaded.info)),
            "2 EVENT_TYPE_UNKNOWN: expected a known event type or workerMayIgnore, found BrandNew\n");
}

TEST(CheckIntegrity, AttributesOfAnotherTypeOrNone_EventAttributesMismatch) {
  Broken other;
  HistoryEvent& signaled = other.First(EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED);
  signaled.mutable_timer_fired_event_attributes();
  other.Expect(signaled, "EVENT_ATTRIBUTES_MISMATCH", "found timerFiredEventAttributes");
  Broken none;
  none.First(EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED).clear_workflow_execution_signaled_event_attributes();
  none.Expect(none.First(EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED), "EVENT_ATTRIBUTES_MISMATCH", "found none");
}

TEST(CheckIntegrity, TimeOutOfRange_EventTimeInvalid) {
  Broken broken;
  broken.Last().mutable_event_time()->set_seconds(INT64_MAX);
  broken.Expect(broken.Last(), "EVENT_TIME_INVALID");
}

TEST(CheckIntegrity, ReferenceLeftOut_EventReferenceMissing) {
  Broken broken;
  HistoryEvent& started = broken.First(EVENT_TYPE_TIMER_STARTED);
  started.mutable_timer_started_event_attributes()->clear_workflow_task_completed_event_id();
  broken.Expect(started, "EVENT_REFERENCE_MISSING", "workflowTaskCompletedEventId");
}

TEST(CheckIntegrity, ReferenceToLaterSelfOrNowhere_EventReferenceNotEarlier) {
  for (const int64_t offset : {0, 1, 100'000, -100'000}) {
    Broken broken;
    HistoryEvent& fired = broken.First(EVENT_TYPE_TIMER_FIRED);
    fired.mutable_timer_fired_event_attributes()->set_started_event_id(fired.event_id() + offset);
    broken.Expect(fired, "EVENT_REFERENCE_NOT_EARLIER", std::to_string(fired.event_id() + offset));
  }
}

TEST(CheckIntegrity, ReferenceToAnotherKind_EventReferenceWrongType) {
  Broken broken;
  HistoryEvent& fired = broken.First(EVENT_TYPE_TIMER_FIRED);
  fired.mutable_timer_fired_event_attributes()->set_started_event_id(1);
  broken.Expect(fired, "EVENT_REFERENCE_WRONG_TYPE", "TimerStarted, found 1 (WorkflowExecutionStarted)");
}

TEST(CheckIntegrity, ClosedTwice_EventReferenceConflict) {
  Broken broken;
  broken.history().mutable_events()->RemoveLast();
  const int64_t timer = broken.First(EVENT_TYPE_TIMER_STARTED).event_id();
  HistoryEvent& again = *broken.history().add_events();
  again.set_event_id(broken.history().events_size());
  again.set_event_type(EVENT_TYPE_TIMER_FIRED);
  again.mutable_timer_fired_event_attributes()->set_started_event_id(timer);
  broken.Expect(again, "EVENT_REFERENCE_CONFLICT", "closed once");
}

TEST(CheckIntegrity, ReferencesThatDisagree_EventReferenceConflict) {
  Broken broken;
  // The activity's own start is another one.
  std::vector<HistoryEvent*> closed;
  for (auto& event : *broken.history().mutable_events()) {
    if (event.event_type() == EVENT_TYPE_ACTIVITY_TASK_COMPLETED) closed.push_back(&event);
  }
  ASSERT_GE(closed.size(), 2U);
  auto* attributes = closed[1]->mutable_activity_task_completed_event_attributes();
  attributes->set_started_event_id(closed[0]->activity_task_completed_event_attributes().started_event_id());
  broken.Expect(*closed[1], "EVENT_REFERENCE_CONFLICT", "startedEventId");
}

// Events 1 to n of these types, with the attributes that pairing needs.
History Tasks(const std::vector<EventType>& types) {
  History history;
  int64_t scheduled = 0, started = 0;
  for (const EventType type : types) {
    auto* event = history.add_events();
    event->set_event_id(history.events_size());
    event->set_event_type(type);
    switch (type) {
      case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
        event->mutable_workflow_execution_started_event_attributes();
        break;
      case EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
        event->mutable_workflow_task_scheduled_event_attributes();
        scheduled = event->event_id();
        started = 0;
        break;
      case EVENT_TYPE_WORKFLOW_TASK_STARTED:
        event->mutable_workflow_task_started_event_attributes()->set_scheduled_event_id(scheduled);
        started = event->event_id();
        break;
      case EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
        event->mutable_workflow_task_completed_event_attributes()->set_scheduled_event_id(scheduled);
        event->mutable_workflow_task_completed_event_attributes()->set_started_event_id(started);
        break;
      case EVENT_TYPE_WORKFLOW_TASK_FAILED:
        event->mutable_workflow_task_failed_event_attributes()->set_scheduled_event_id(scheduled);
        event->mutable_workflow_task_failed_event_attributes()->set_started_event_id(started);
        break;
      case EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
        event->mutable_workflow_task_timed_out_event_attributes()->set_scheduled_event_id(scheduled);
        event->mutable_workflow_task_timed_out_event_attributes()->set_started_event_id(started);
        break;
      default:
        event->mutable_workflow_execution_terminated_event_attributes();
        break;
    }
  }
  return history;
}

constexpr auto kBegin = EVENT_TYPE_WORKFLOW_EXECUTION_STARTED;
constexpr auto kScheduled = EVENT_TYPE_WORKFLOW_TASK_SCHEDULED;
constexpr auto kStarted = EVENT_TYPE_WORKFLOW_TASK_STARTED;
constexpr auto kCompleted = EVENT_TYPE_WORKFLOW_TASK_COMPLETED;
constexpr auto kFailed = EVENT_TYPE_WORKFLOW_TASK_FAILED;
constexpr auto kTimedOut = EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT;
constexpr auto kTerminated = EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED;

TEST(CheckIntegrity, WorkflowTasksInTurn_HaveNoProblem) {
  for (const std::vector<EventType>& types :
       std::vector<std::vector<EventType>>{{kBegin, kScheduled, kStarted, kCompleted, kScheduled, kStarted},
                                           {kBegin, kScheduled, kStarted, kFailed, kScheduled, kStarted, kTimedOut,
                                            kScheduled, kTimedOut, kScheduled, kFailed},
                                           {kBegin, kScheduled, kTerminated},
                                           {kBegin, kScheduled, kStarted, kTerminated}}) {
    EXPECT_EQ(Text(Check(Tasks(types))), "");
  }
}

TEST(CheckIntegrity, WorkflowTasksOutOfTurn_WorkflowTaskUnpaired) {
  for (const std::vector<EventType>& types :
       std::vector<std::vector<EventType>>{{kBegin, kScheduled, kScheduled},
                                           {kBegin, kScheduled, kStarted, kScheduled},
                                           {kBegin, kScheduled, kCompleted},
                                           {kBegin, kStarted},
                                           {kBegin, kCompleted},
                                           {kBegin, kFailed},
                                           {kBegin, kScheduled, kStarted, kCompleted, kCompleted}}) {
    const auto problems = Check(Tasks(types));
    ASSERT_FALSE(problems.empty());
    EXPECT_EQ(problems[0].event_id, static_cast<int64_t>(types.size()));
    EXPECT_EQ(problems[0].code, "WORKFLOW_TASK_UNPAIRED") << Text(problems);
  }
}

TEST(CheckIntegrity, AnythingAfterTheEnd_EventAfterClose) {
  for (const std::string file : {"failed.pb", "canceled.cli.json", "terminated.cli.json", "timed_out.cli.json",
                                 "continued_as_new.cli.json", "everything.pb"}) {
    Broken broken(file);
    const std::string end = std::to_string(broken.Last().event_id());
    HistoryEvent& event = *broken.history().add_events();
    event.set_event_id(broken.history().events_size());
    event.set_event_type(EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED);
    event.mutable_workflow_execution_signaled_event_attributes();
    broken.Expect(event, "EVENT_AFTER_CLOSE", "end in event " + end);
  }
}

TEST(CheckIntegrity, EveryCode_IsListedOnceWithARemedy) {
  std::set<std::string_view> codes;
  for (const ProblemKind& kind : ProblemKinds()) {
    EXPECT_TRUE(codes.insert(kind.code).second) << kind.code;
    EXPECT_FALSE(kind.meaning.empty());
    EXPECT_FALSE(kind.remedy.empty());
  }
  EXPECT_EQ(codes.size(), 13U);
  // Random histories break nearly everything.
  for (uint64_t seed = 0; seed < 200; ++seed) {
    History history;
    RandomHistory(seed).Fill(&history);
    for (const Problem& problem : Check(history)) EXPECT_TRUE(codes.contains(problem.code)) << problem.code;
  }
}

}  // namespace
}  // namespace lockstep::history
