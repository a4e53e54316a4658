#include "engine-core/workflow/testing/event_fuzz.h"

#include <google/protobuf/descriptor.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include <algorithm>

#include "engine-core/base/check.h"
#include "engine-core/workflow/markers.h"
#include "engine-core/workflow/testing/program.h"

namespace lockstep::workflow::testing {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMaxEvents = 400;

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return at_ >= bytes_.size(); }
  uint8_t Byte() { return empty() ? 0 : bytes_[at_++]; }
  int64_t Number() {
    const uint8_t kind = Byte();
    if (kind < 200) return kind % 40;  // mostly ids that exist
    int64_t value = 0;
    for (int i = 0; i < 8; ++i) value = static_cast<int64_t>(static_cast<uint64_t>(value) << 8 | Byte());
    return value;
  }
  std::string Text() {
    constexpr const char* kWords[] = {"test", "1", "2", "go", "Version", "SideEffect", "LocalActivity", "change-0", "local-0-0", "work", ""};
    const uint8_t kind = Byte();
    if (kind < 220) return kWords[kind % std::size(kWords)];
    std::string text;
    for (int i = Byte() % 16; i > 0; --i) text.push_back(static_cast<char>(Byte()));
    return text;
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

Payload AnyPayload(Reader* reader) {
  Payload payload;
  if (reader->Byte() % 4 != 0) {
    SetJson(Json(reader->Number()), &payload);
    return payload;
  }
  (*payload.mutable_metadata())["encoding"] = reader->Byte() % 2 == 0 ? "json/plain" : "binary/plain";
  payload.set_data(reader->Text());
  return payload;
}

// Fills a few fields of any message; unset ones are as interesting.
void FillMessage(Message* message, Reader* reader, int depth) {
  const auto* reflection = message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->field(i);
    if (field->is_repeated() || reader->empty()) continue;
    if (field->name() != "scheduled_event_id" && field->name() != "started_event_id" && reader->Byte() % 3 == 0) continue;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT64: reflection->SetInt64(message, field, reader->Number()); break;
      case FieldDescriptor::CPPTYPE_INT32: reflection->SetInt32(message, field, static_cast<int32_t>(reader->Number())); break;
      case FieldDescriptor::CPPTYPE_BOOL: reflection->SetBool(message, field, reader->Byte() % 2 == 0); break;
      case FieldDescriptor::CPPTYPE_DOUBLE: reflection->SetDouble(message, field, static_cast<double>(reader->Number())); break;
      case FieldDescriptor::CPPTYPE_ENUM: reflection->SetEnumValue(message, field, reader->Byte() % 12); break;
      case FieldDescriptor::CPPTYPE_STRING:
        if (field->type() == FieldDescriptor::TYPE_STRING || field->type() == FieldDescriptor::TYPE_BYTES) {
          reflection->SetString(message, field, reader->Text());
        }
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        if (depth <= 0) break;
        Message* inner = reflection->MutableMessage(message, field);
        if (auto* payloads = dynamic_cast<Payloads*>(inner)) {
          *payloads->add_payloads() = AnyPayload(reader);
        } else {
          FillMessage(inner, reader, depth - 1);
        }
        break;
      }
      default: break;
    }
  }
}

const FieldDescriptor* AttributesOfType(int event_type) {
  // `EVENT_TYPE_TIMER_FIRED` has `timer_fired_event_attributes`.
  if (!EventType_IsValid(event_type)) return nullptr;
  std::string name = EventType_Name(static_cast<EventType>(event_type)).substr(std::string_view("EVENT_TYPE_").size());
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return HistoryEvent::descriptor()->FindFieldByName(name + "_event_attributes");
}

void FillMarker(HistoryEvent* event, Reader* reader) {
  auto* marker = event->mutable_marker_recorded_event_attributes();
  for (const std::string_view key : {kVersionChangeIdKey, kVersionKey, kSideEffectIdKey, kDataKey, kResultKey, kInputDigestKey}) {
    if (reader->Byte() % 2 == 0) *(*marker->mutable_details())[std::string(key)].add_payloads() = AnyPayload(reader);
  }
  if (reader->Byte() % 3 != 0) return;
  MarkerCommand local;
  FillLocalActivityMarker({reader->Text(), reader->Text(), reader->Text(), static_cast<int32_t>(reader->Number()), reader->Number() % 1'000'000},
                          reader->Text(), &local);
  marker->set_marker_name(local.marker_name());
  marker->mutable_details()->insert(local.details().begin(), local.details().end());
}

const std::vector<Instruction>& EveryOperation() {
  static const std::vector<Instruction> program = [] {
    std::vector<Instruction> all;
    for (uint8_t round = 0; round < 2; ++round) {
      for (uint8_t op = 0; op < static_cast<uint8_t>(Op::kCount_); ++op) all.push_back({static_cast<Op>(op), static_cast<uint8_t>(op + round)});
    }
    return all;
  }();
  return program;
}

ExecutionOptions Bounded() {
  ExecutionOptions options;
  options.max_resumptions_per_task = 20'000;
  return options;
}

}  // namespace

void FuzzValidHistory(std::span<const uint8_t> bytes) {
  const auto program = bytes.first(bytes.size() / 2), decisions = bytes.subspan(bytes.size() / 2);
  const auto registry = ProgramRegistry(ProgramFromBytes(program));
  HistoryScript script(registry, {.local_activities = ProgramLocalActivities(), .execution = Bounded()});
  Drive(&script, decisions, 30);
  const auto outcome = Replay(registry, script.history(), SIZE_MAX, Bounded());
  LOCKSTEP_CHECK(script.broken().empty(), "the live run broke: " + script.broken());
  LOCKSTEP_CHECK(outcome.divergences.empty(), outcome.divergences.front().Summary());
  LOCKSTEP_CHECK(outcome.commands_by_task == script.commands_by_task(), "the replay issued other commands");
}

History DamagedHistory(std::span<const uint8_t> bytes) {
  Reader reader(bytes);
  History history;
  while (!reader.empty() && static_cast<size_t>(history.events_size()) < kMaxEvents) {
    HistoryEvent* event = history.add_events();
    const uint8_t type = reader.Byte();
    // Tasks come often, or nothing would run.
    constexpr int kOften[] = {EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, EVENT_TYPE_WORKFLOW_TASK_STARTED, EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
                              EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, EVENT_TYPE_TIMER_FIRED, EVENT_TYPE_ACTIVITY_TASK_COMPLETED};
    int event_type = type < 128 ? type % 66 : kOften[type % std::size(kOften)];
    if (history.events_size() == 1 && type % 8 != 0) event_type = EVENT_TYPE_WORKFLOW_EXECUTION_STARTED;
    event->set_event_type(static_cast<EventType>(event_type));
    event->set_event_id(reader.Byte() % 16 == 0 ? reader.Number() : history.events_size());
    event->mutable_event_time()->set_seconds(reader.Number());
    event->mutable_event_time()->set_nanos(static_cast<int32_t>(reader.Number()));
    if (const FieldDescriptor* field = AttributesOfType(event_type); field != nullptr && reader.Byte() % 16 != 0) {
      FillMessage(event->GetReflection()->MutableMessage(event, field), &reader, 3);
    }
    if (event_type == EVENT_TYPE_MARKER_RECORDED) FillMarker(event, &reader);
    if (event_type == EVENT_TYPE_WORKFLOW_EXECUTION_STARTED && type % 8 != 1) {
      event->mutable_workflow_execution_started_event_attributes()->mutable_workflow_type()->set_name("test");
    }
  }
  return history;
}

void FuzzDamagedHistory(std::span<const uint8_t> bytes) {
  static const WorkflowRegistry registry = ProgramRegistry(EveryOperation());
  const History history = DamagedHistory(bytes);
  (void)Replay(registry, history, SIZE_MAX, Bounded());
  // As sticky deltas of any size, and queried and listed on the way.
  const auto execution = Execution::Create(registry, {"default", "w", "r"}, Bounded());
  const auto events = Pointers(history);
  size_t at = 0;
  while (at < events.size() && !execution->diverged() && execution->broken() == nullptr) {
    const size_t length = std::min<size_t>(events.size() - at, 1 + bytes[at % bytes.size()] % 32);
    const HistoryCut cut = CutHistory(std::span(events).subspan(at, length));
    if (cut.head_completed != nullptr) execution->Complete(*cut.head_completed, cut.head_recorded);
    for (const TaskSlice& task : cut.tasks) {
      execution->Activate(task);
      for (const LocalActivityRequest& request : execution->TakeLocalActivityRequests()) {
        LocalActivityOutcome outcome;
        outcome.activity_id = request.activity_id;
        outcome.attempt = request.attempt;
        if (task.completed == nullptr) execution->ResolveLocalActivity(std::move(outcome));
      }
      (void)execution->TakeCommands();
      if (task.completed != nullptr) execution->Complete(*task.completed, task.recorded);
    }
    (void)execution->PendingWork();
    (void)execution->Query("status", {});
    at += length;
  }
  for (const Divergence& divergence : execution->divergences()) (void)divergence.Summary();
}

void FuzzReplay(std::span<const uint8_t> bytes) {
  if (bytes.size() < 2) return;
  bytes[0] % 2 == 0 ? FuzzValidHistory(bytes.subspan(1)) : FuzzDamagedHistory(bytes.subspan(1));
}

}  // namespace lockstep::workflow::testing
