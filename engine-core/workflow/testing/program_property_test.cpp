// Properties over random workflow programs and random orders of events: what was recorded replays, whole and at every prefix
// that ends in a started task; eviction changes nothing; and a change of any one attribute of any command event is reported.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include "engine-core/workflow/slices.h"
#include "engine-core/workflow/testing/program.h"

namespace lockstep::workflow::testing {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Decisions = std::vector<uint8_t>;

std::string Summaries(const std::vector<Divergence>& divergences) {
  std::string text;
  for (const Divergence& divergence : divergences) text += divergence.Summary() + "\n";
  return text;
}

HistoryScript Record(const WorkflowRegistry& registry, const Decisions& decisions, bool evict = false) {
  HistoryScript script(registry, {.evict_after_every_task = evict, .local_activities = ProgramLocalActivities()});
  Drive(&script, decisions);
  return script;
}

void Check(const char* name, const std::function<void()>& property) { EXPECT_TRUE(rc::check(name, property)); }

TEST(Programs, ReplayInFullAndAtEveryStartedTask_GivesNoDivergence_AndTheSameCommands) {
  Check("replays", [] {
    const Decisions program = *rc::gen::arbitrary<Decisions>(), decisions = *rc::gen::arbitrary<Decisions>();
    const auto instructions = ProgramFromBytes(program);
    RC_LOG() << ToText(instructions) << "\n";
    const auto registry = ProgramRegistry(instructions);
    HistoryScript script = Record(registry, decisions);
    RC_LOG() << Summaries(script.live_divergences());
    RC_ASSERT(script.broken().empty());
    const auto whole = Replay(registry, script.history());
    RC_LOG() << Summaries(whole.divergences);
    RC_ASSERT(whole.divergences.empty());
    RC_ASSERT(whole.closed == script.closed());
    RC_ASSERT(whole.commands_by_task == script.commands_by_task());
    for (int i = 0; i < script.history().events_size(); ++i) {
      if (script.history().events(i).event_type() != EVENT_TYPE_WORKFLOW_TASK_STARTED) continue;
      const auto cut = Replay(registry, script.history(), static_cast<size_t>(i) + 1);
      RC_ASSERT(cut.divergences.empty());
    }
  });
}

TEST(Programs, EvictingAfterEveryTask_GivesTheSameHistory) {
  Check("evicts", [] {
    const Decisions program = *rc::gen::arbitrary<Decisions>(), decisions = *rc::gen::arbitrary<Decisions>();
    const auto registry = ProgramRegistry(ProgramFromBytes(program));
    RC_ASSERT(Record(registry, decisions, false).commands_by_task() == Record(registry, decisions, true).commands_by_task());
  });
}

// Attributes that the code decides and that a replay must therefore compare, of one command event.
struct Place {
  Message* holder;
  const FieldDescriptor* field;
};

void Collect(Message* message, std::vector<Place>* places) {
  const auto* reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    // Facts of the server, and what only replays of the record itself can know.
    static const std::set<std::string> kServers = {"workflow_task_completed_event_id", "started_event_id", "new_execution_run_id",
                                                "source", "stack_trace"};
    if (kServers.contains(field->name()) || field->is_map()) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (field->is_repeated()) {
        for (int i = 0; i < reflection->FieldSize(*message, field); ++i) Collect(reflection->MutableRepeatedMessage(message, field, i), places);
      } else {
        Collect(reflection->MutableMessage(message, field), places);
      }
    } else if (!field->is_repeated()) {
      places->push_back({message, field});
    }
  }
}

void Flip(const Place& place) {
  const auto* reflection = place.holder->GetReflection();
  switch (place.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      // JSON stays JSON.
      reflection->SetString(place.holder, place.field,
                            place.field->name() == "data" ? "\"flipped\"" : reflection->GetString(*place.holder, place.field) + "x");
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      reflection->SetInt64(place.holder, place.field, reflection->GetInt64(*place.holder, place.field) + 1);
      break;
    case FieldDescriptor::CPPTYPE_INT32:
      // Nanoseconds in a step that microseconds show: the server keeps no more.
      reflection->SetInt32(place.holder, place.field, (reflection->GetInt32(*place.holder, place.field) + 1'000) % 1'000'000'000);
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      reflection->SetDouble(place.holder, place.field, reflection->GetDouble(*place.holder, place.field) + 1);
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      reflection->SetBool(place.holder, place.field, !reflection->GetBool(*place.holder, place.field));
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      reflection->SetEnumValue(place.holder, place.field, reflection->GetEnumValue(*place.holder, place.field) == 1 ? 2 : 1);
      break;
    default: break;
  }
}

TEST(Programs, AnyChangedAttributeOfARecordedCommand_IsReported) {
  Check("reports", [] {
    const Decisions program = *rc::gen::arbitrary<Decisions>(), decisions = *rc::gen::arbitrary<Decisions>();
    const auto registry = ProgramRegistry(ProgramFromBytes(program));
    HistoryScript script = Record(registry, decisions);
    History history = script.history();
    std::vector<Place> places;
    for (HistoryEvent& event : *history.mutable_events()) {
      if (!IsCommandEvent(event) || event.event_type() == EVENT_TYPE_MARKER_RECORDED) continue;
      // What an acceptance says is the sender's; of an outcome's event the outcome alone is the code's.
      if (event.event_type() == EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED) continue;
      if (event.event_type() == EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED) {
        Collect(event.mutable_workflow_execution_update_completed_event_attributes()->mutable_outcome(), &places);
        continue;
      }
      const auto* oneof = HistoryEvent::descriptor()->FindOneofByName("attributes");
      const auto* field = event.GetReflection()->GetOneofFieldDescriptor(event, oneof);
      Collect(event.GetReflection()->MutableMessage(&event, field), &places);
    }
    RC_PRE(!places.empty());
    const Place& place = places[*rc::gen::inRange<size_t>(0, places.size())];
    const std::string name = place.field->full_name();
    Flip(place);
    const auto outcome = Replay(registry, history);
    RC_LOG() << name;
    RC_ASSERT(!outcome.divergences.empty());
  });
}

TEST(Programs, AnyDroppedCommandEvent_IsReported) {
  Check("drops", [] {
    const Decisions program = *rc::gen::arbitrary<Decisions>(), decisions = *rc::gen::arbitrary<Decisions>();
    const auto registry = ProgramRegistry(ProgramFromBytes(program));
    HistoryScript script = Record(registry, decisions);
    std::vector<int> commands;
    for (int i = 0; i < script.history().events_size(); ++i) {
      // A missing marker of a local activity reads as a heartbeat, one of a version as a history from before the gate.
      const HistoryEvent& event = script.history().events(i);
      // Older SDKs write the marker of a patch without the search attribute.
      const auto& attributes = event.upsert_workflow_search_attributes_event_attributes().search_attributes();
      if (attributes.indexed_fields().contains("TemporalChangeVersion")) continue;
      if (IsCommandEvent(event) && event.event_type() != EVENT_TYPE_MARKER_RECORDED) commands.push_back(i);
    }
    RC_PRE(!commands.empty());
    History history = script.history();
    history.mutable_events()->DeleteSubrange(commands[*rc::gen::inRange<size_t>(0, commands.size())], 1);
    RC_ASSERT(!Replay(registry, history).divergences.empty());
  });
}

}  // namespace
}  // namespace lockstep::workflow::testing
