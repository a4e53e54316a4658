#include "replay/history/codec_tables.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"

namespace lockstep::history {
namespace {

namespace pb = google::protobuf;
namespace api = temporal::api;

// `TIMER_STARTED` -> `TimerStarted`
std::string ToCamel(std::string_view screaming) {
  std::string out;
  bool upper = true;
  for (const char c : screaming) {
    if (c == '_') {
      upper = true;
    } else {
      out.push_back(upper ? c : AsciiLower(c));
      upper = false;
    }
  }
  return out;
}

// `EventType` -> `EVENT_TYPE_`
std::string PrefixOf(std::string_view enum_name) {
  std::string out;
  for (size_t i = 0; i < enum_name.size(); ++i) {
    const char c = enum_name[i];
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper && i > 0) out.push_back('_');
    out.push_back(!upper && IsAsciiAlpha(c) ? static_cast<char>(c - 'a' + 'A') : c);
  }
  return out + "_";
}

std::string Fold(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != '_') out.push_back(AsciiLower(c));
  }
  return out;
}

ValueKind KindOf(const pb::FieldDescriptor* field) {
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return ValueKind::kBool;
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return ValueKind::kInt32;
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return ValueKind::kInt64;
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return ValueKind::kUint32;
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return ValueKind::kUint64;
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return ValueKind::kFloat;
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return ValueKind::kDouble;
    case pb::FieldDescriptor::CPPTYPE_ENUM:
      return ValueKind::kEnum;
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return field->type() == pb::FieldDescriptor::TYPE_BYTES ? ValueKind::kBytes : ValueKind::kString;
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  const std::string& type = field->message_type()->full_name();
  if (type == "google.protobuf.Timestamp") return ValueKind::kTimestamp;
  if (type == "google.protobuf.Duration") return ValueKind::kDuration;
  return ValueKind::kMessage;
}

template <typename Base, auto kMutableMap, typename Owner>
Base* NewEntry(pb::Message* owner, std::string&& key) {
  auto& map = *(static_cast<Owner*>(owner)->*kMutableMap)();
  const size_t before = map.size();
  Base* value = &map[std::move(key)];
  return map.size() == before ? nullptr : value;
}
template <auto kMutableMap, typename Owner>
pb::Message* MessageEntry(pb::Message* owner, std::string&& key) {
  return NewEntry<pb::Message, kMutableMap, Owner>(owner, std::move(key));
}
template <auto kMutableMap, typename Owner>
std::string* TextEntry(pb::Message* owner, std::string&& key) {
  return NewEntry<std::string, kMutableMap, Owner>(owner, std::move(key));
}

struct MapRow {
  std::string_view field;
  MapAccess access;
};
const MapRow kMaps[] = {
    {"temporal.api.common.v1.Payload.metadata",
     {.text = TextEntry<&api::common::v1::Payload::mutable_metadata, api::common::v1::Payload>}},
    {"temporal.api.common.v1.Memo.fields",
     {.message = MessageEntry<&api::common::v1::Memo::mutable_fields, api::common::v1::Memo>}},
    {"temporal.api.common.v1.SearchAttributes.indexed_fields",
     {.message =
          MessageEntry<&api::common::v1::SearchAttributes::mutable_indexed_fields, api::common::v1::SearchAttributes>}},
    {"temporal.api.common.v1.Header.fields",
     {.message = MessageEntry<&api::common::v1::Header::mutable_fields, api::common::v1::Header>}},
    {"temporal.api.common.v1.Callback.Nexus.header",
     {.text = TextEntry<&api::common::v1::Callback_Nexus::mutable_header, api::common::v1::Callback_Nexus>}},
    {"temporal.api.history.v1.MarkerRecordedEventAttributes.details",
     {.message = MessageEntry<&api::history::v1::MarkerRecordedEventAttributes::mutable_details,
                              api::history::v1::MarkerRecordedEventAttributes>}},
    {"temporal.api.history.v1.NexusOperationScheduledEventAttributes.nexus_header",
     {.text = TextEntry<&api::history::v1::NexusOperationScheduledEventAttributes::mutable_nexus_header,
                        api::history::v1::NexusOperationScheduledEventAttributes>}},
};

template <auto kSet, typename Owner>
void SetInt64(pb::Message* owner, int64_t value) {
  (static_cast<Owner*>(owner)->*kSet)(value);
}
template <typename Owner, typename Enum, void (Owner::*kSet)(Enum)>
void SetEnum(pb::Message* owner, int value) {
  (static_cast<Owner*>(owner)->*kSet)(static_cast<Enum>(value));
}
template <auto kMutable, typename Owner>
std::string* Text(pb::Message* owner) {
  return (static_cast<Owner*>(owner)->*kMutable)();
}
template <auto kMutable, typename Owner>
pb::Message* SubMessage(pb::Message* owner) {
  return (static_cast<Owner*>(owner)->*kMutable)();
}

struct DirectRow {
  std::string_view field;
  DirectAccess access;
};
#define LOCKSTEP_NAME(package, type, name) "temporal.api." #package ".v1." #type "." #name
#define LOCKSTEP_TYPE(package, type) api::package::v1::type
#define LOCKSTEP_INT64(package, type, name)                                                          \
  {                                                                                                  \
    LOCKSTEP_NAME(package, type, name), {                                                            \
      .set_int64 = SetInt64<&LOCKSTEP_TYPE(package, type)::set_##name, LOCKSTEP_TYPE(package, type)> \
    }                                                                                                \
  }
#define LOCKSTEP_ENUM(package, type, name)                                                               \
  {                                                                                                      \
    LOCKSTEP_NAME(package, type, name), {                                                                \
      .set_enum = SetEnum<LOCKSTEP_TYPE(package, type), decltype(LOCKSTEP_TYPE(package, type)().name()), \
                          &LOCKSTEP_TYPE(package, type)::set_##name>                                     \
    }                                                                                                    \
  }
#define LOCKSTEP_TEXT(package, type, name)                                                      \
  {                                                                                             \
    LOCKSTEP_NAME(package, type, name), {                                                       \
      .text = Text<&LOCKSTEP_TYPE(package, type)::mutable_##name, LOCKSTEP_TYPE(package, type)> \
    }                                                                                           \
  }
#define LOCKSTEP_MESSAGE(package, type, name)                                                            \
  {                                                                                                      \
    LOCKSTEP_NAME(package, type, name), {                                                                \
      .message = SubMessage<&LOCKSTEP_TYPE(package, type)::mutable_##name, LOCKSTEP_TYPE(package, type)> \
    }                                                                                                    \
  }
// What nine events in ten of a recorded run consist of.
const DirectRow kDirect[] = {
    LOCKSTEP_INT64(history, HistoryEvent, event_id),
    LOCKSTEP_INT64(history, HistoryEvent, task_id),
    LOCKSTEP_ENUM(history, HistoryEvent, event_type),
    LOCKSTEP_MESSAGE(history, HistoryEvent, event_time),
    LOCKSTEP_MESSAGE(history, HistoryEvent, workflow_task_scheduled_event_attributes),
    LOCKSTEP_MESSAGE(history, HistoryEvent, workflow_task_started_event_attributes),
    LOCKSTEP_MESSAGE(history, HistoryEvent, workflow_task_completed_event_attributes),
    LOCKSTEP_MESSAGE(history, HistoryEvent, activity_task_scheduled_event_attributes),
    LOCKSTEP_MESSAGE(history, HistoryEvent, activity_task_started_event_attributes),
    LOCKSTEP_MESSAGE(history, HistoryEvent, activity_task_completed_event_attributes),
    LOCKSTEP_MESSAGE(history, HistoryEvent, timer_started_event_attributes),
    LOCKSTEP_MESSAGE(history, HistoryEvent, timer_fired_event_attributes),
    LOCKSTEP_MESSAGE(history, HistoryEvent, timer_canceled_event_attributes),
    LOCKSTEP_MESSAGE(history, HistoryEvent, marker_recorded_event_attributes),
    LOCKSTEP_MESSAGE(history, HistoryEvent, workflow_execution_signaled_event_attributes),
    LOCKSTEP_MESSAGE(history, WorkflowTaskScheduledEventAttributes, task_queue),
    LOCKSTEP_MESSAGE(history, WorkflowTaskScheduledEventAttributes, start_to_close_timeout),
    LOCKSTEP_INT64(history, WorkflowTaskStartedEventAttributes, scheduled_event_id),
    LOCKSTEP_TEXT(history, WorkflowTaskStartedEventAttributes, identity),
    LOCKSTEP_TEXT(history, WorkflowTaskStartedEventAttributes, request_id),
    LOCKSTEP_INT64(history, ActivityTaskStartedEventAttributes, scheduled_event_id),
    LOCKSTEP_TEXT(history, ActivityTaskStartedEventAttributes, identity),
    LOCKSTEP_TEXT(history, ActivityTaskStartedEventAttributes, request_id),
    LOCKSTEP_INT64(history, WorkflowTaskStartedEventAttributes, history_size_bytes),
    LOCKSTEP_INT64(history, WorkflowTaskCompletedEventAttributes, scheduled_event_id),
    LOCKSTEP_INT64(history, WorkflowTaskCompletedEventAttributes, started_event_id),
    LOCKSTEP_TEXT(history, WorkflowTaskCompletedEventAttributes, identity),
    LOCKSTEP_INT64(history, ActivityTaskCompletedEventAttributes, scheduled_event_id),
    LOCKSTEP_INT64(history, ActivityTaskCompletedEventAttributes, started_event_id),
    LOCKSTEP_TEXT(history, ActivityTaskCompletedEventAttributes, identity),
    LOCKSTEP_MESSAGE(history, WorkflowTaskCompletedEventAttributes, sdk_metadata),
    LOCKSTEP_MESSAGE(history, WorkflowTaskCompletedEventAttributes, metering_metadata),
    LOCKSTEP_MESSAGE(history, WorkflowTaskCompletedEventAttributes, worker_version),
    LOCKSTEP_MESSAGE(history, ActivityTaskCompletedEventAttributes, result),
    LOCKSTEP_INT64(history, ActivityTaskScheduledEventAttributes, workflow_task_completed_event_id),
    LOCKSTEP_TEXT(history, ActivityTaskScheduledEventAttributes, activity_id),
    LOCKSTEP_MESSAGE(history, ActivityTaskScheduledEventAttributes, activity_type),
    LOCKSTEP_MESSAGE(history, ActivityTaskScheduledEventAttributes, task_queue),
    LOCKSTEP_MESSAGE(history, ActivityTaskScheduledEventAttributes, input),
    LOCKSTEP_MESSAGE(history, ActivityTaskScheduledEventAttributes, schedule_to_close_timeout),
    LOCKSTEP_MESSAGE(history, ActivityTaskScheduledEventAttributes, schedule_to_start_timeout),
    LOCKSTEP_MESSAGE(history, ActivityTaskScheduledEventAttributes, start_to_close_timeout),
    LOCKSTEP_MESSAGE(history, ActivityTaskScheduledEventAttributes, heartbeat_timeout),
    LOCKSTEP_MESSAGE(history, ActivityTaskScheduledEventAttributes, retry_policy),
    LOCKSTEP_INT64(history, TimerStartedEventAttributes, workflow_task_completed_event_id),
    LOCKSTEP_TEXT(history, TimerStartedEventAttributes, timer_id),
    LOCKSTEP_MESSAGE(history, TimerStartedEventAttributes, start_to_fire_timeout),
    LOCKSTEP_INT64(history, TimerFiredEventAttributes, started_event_id),
    LOCKSTEP_TEXT(history, TimerFiredEventAttributes, timer_id),
    LOCKSTEP_INT64(history, TimerCanceledEventAttributes, started_event_id),
    LOCKSTEP_TEXT(history, TimerCanceledEventAttributes, timer_id),
    LOCKSTEP_INT64(history, MarkerRecordedEventAttributes, workflow_task_completed_event_id),
    LOCKSTEP_TEXT(history, MarkerRecordedEventAttributes, marker_name),
    LOCKSTEP_TEXT(history, WorkflowExecutionSignaledEventAttributes, signal_name),
    LOCKSTEP_TEXT(history, WorkflowExecutionSignaledEventAttributes, identity),
    LOCKSTEP_MESSAGE(history, WorkflowExecutionSignaledEventAttributes, input),
    LOCKSTEP_TEXT(taskqueue, TaskQueue, name),
    LOCKSTEP_TEXT(taskqueue, TaskQueue, normal_name),
    LOCKSTEP_ENUM(taskqueue, TaskQueue, kind),
    LOCKSTEP_TEXT(common, ActivityType, name),
    LOCKSTEP_TEXT(common, WorkflowType, name),
    LOCKSTEP_TEXT(common, WorkerVersionStamp, build_id),
};
#undef LOCKSTEP_NAME
#undef LOCKSTEP_TYPE
#undef LOCKSTEP_INT64
#undef LOCKSTEP_ENUM
#undef LOCKSTEP_TEXT
#undef LOCKSTEP_MESSAGE

// All tables, built together: a table points at the tables of its fields, and messages may contain themselves.
class Registry {
 public:
  static const Registry& Get() {
    static const Registry* registry = new Registry();  // never destroyed: readers may run while the process ends
    return *registry;
  }
  const MessageTable& Of(const pb::Descriptor* descriptor) const {
    const auto it = messages_.find(descriptor->full_name());
    LOCKSTEP_CHECK(it != messages_.end(), "no table for " + descriptor->full_name());
    return *it->second;
  }
  const MessageTable* history = nullptr;
  const MessageTable* event = nullptr;
  std::vector<std::string> maps_without_access;

 private:
  Registry() {
    history = Add(api::history::v1::History::descriptor());
    event = Add(api::history::v1::HistoryEvent::descriptor());
    Add(api::common::v1::DataBlob::descriptor());
  }

  const MessageTable* Add(const pb::Descriptor* descriptor) {
    auto& slot = messages_[descriptor->full_name()];
    if (slot != nullptr) return slot.get();
    slot = std::make_unique<MessageTable>();
    MessageTable* table = slot.get();
    table->descriptor = descriptor;
    table->prototype = pb::MessageFactory::generated_factory()->GetPrototype(descriptor);
    table->reflection = table->prototype->GetReflection();
    if (descriptor == api::common::v1::Payload::descriptor()) table->role = MessageRole::kPayload;
    if (descriptor == api::common::v1::Payloads::descriptor()) table->role = MessageRole::kPayloads;
    const size_t count = static_cast<size_t>(descriptor->field_count());
    LOCKSTEP_CHECK(count <= MessageTable::kMaxFields,
                   descriptor->full_name() + " has " + std::to_string(count) + " fields");
    table->fields.resize(count);
    for (size_t i = 0; i < count; ++i) {
      Describe(descriptor->field(static_cast<int>(i)), static_cast<uint8_t>(i), &table->fields[i]);
    }
    Index(table);
    return table;
  }

  void Describe(const pb::FieldDescriptor* field, uint8_t index, FieldEntry* entry) {
    entry->field = field;
    entry->json_name = field->json_name();
    entry->proto_name = field->name();
    entry->number = static_cast<uint32_t>(field->number());
    entry->index = index;
    if (const pb::OneofDescriptor* oneof = field->real_containing_oneof(); oneof != nullptr) {
      entry->oneof = static_cast<int8_t>(oneof->index());
    }
    for (const DirectRow& row : kDirect) {
      if (row.field == field->full_name()) entry->direct = row.access;
    }
    const pb::FieldDescriptor* value = field;
    if (field->is_map()) {
      entry->container = Container::kMap;
      entry->map_key = field->message_type()->map_key();
      entry->map_value = value = field->message_type()->map_value();
      DescribeMap(field, entry);
    } else if (field->is_repeated()) {
      entry->container = Container::kRepeated;
    }
    entry->kind = KindOf(value);
    if (value->message_type() != nullptr) entry->message = Add(value->message_type());
    if (value->enum_type() != nullptr) entry->enumeration = AddEnum(value->enum_type());
  }

  void DescribeMap(const pb::FieldDescriptor* field, FieldEntry* entry) {
    LOCKSTEP_CHECK(entry->map_key->type() == pb::FieldDescriptor::TYPE_STRING,
                   field->full_name() + " is keyed by no string");
    for (const MapRow& row : kMaps) {
      if (row.field == field->full_name()) entry->map = row.access;
    }
    if (entry->map.message == nullptr && entry->map.text == nullptr) maps_without_access.push_back(field->full_name());
  }

  static void Index(MessageTable* table) {
    std::vector<std::pair<std::string_view, int>> names;
    for (const FieldEntry& entry : table->fields) {
      names.emplace_back(entry.json_name, entry.index);
      if (entry.proto_name != entry.json_name) names.emplace_back(entry.proto_name, entry.index);
      if (table->by_number.size() <= entry.number) table->by_number.resize(entry.number + 1);
      table->by_number[entry.number] = static_cast<uint8_t>(entry.index + 1);
    }
    table->names.Build(names);
  }

  const EnumTable* AddEnum(const pb::EnumDescriptor* descriptor) {
    auto& slot = enums_[descriptor->full_name()];
    if (slot == nullptr) slot = std::make_unique<EnumTable>(descriptor);
    return slot.get();
  }

  std::map<std::string, std::unique_ptr<MessageTable>> messages_;
  std::map<std::string, std::unique_ptr<EnumTable>> enums_;
};

}  // namespace

void NameIndex::Build(const std::vector<std::pair<std::string_view, int>>& names) {
  size_t size = 8;
  while (size < names.size() * 2) size *= 2;
  mask_ = size - 1;
  slots_.assign(size, Slot{});
  names_.assign(size, nullptr);
  for (const auto& [name, value] : names) {
    if (Find(name) != kAbsent) continue;
    const Words words = Ends(name);
    size_t at = Hash(words, name.size()) & mask_;
    while (slots_[at].value != kAbsent) at = (at + 1) & mask_;
    slots_[at] = Slot{words, static_cast<uint32_t>(name.size()), value};
    names_[at] = name.data();
  }
}

EnumTable::EnumTable(const pb::EnumDescriptor* descriptor) {
  const std::string prefix = PrefixOf(descriptor->name());
  values_.reserve(static_cast<size_t>(descriptor->value_count()));
  for (int i = 0; i < descriptor->value_count(); ++i) {
    Value value;
    value.number = descriptor->value(i)->number();
    value.screaming = descriptor->value(i)->name();
    std::string_view rest = value.screaming;
    if (rest.starts_with(prefix)) rest.remove_prefix(prefix.size());
    value.camel = ToCamel(rest);
    value.folded = Fold(value.screaming);
    value.folded_short = Fold(rest);
    values_.push_back(std::move(value));
  }
  std::stable_sort(values_.begin(), values_.end(), [](const Value& a, const Value& b) { return a.number < b.number; });
  std::vector<std::pair<std::string_view, int>> exact, folded;
  for (size_t i = 0; i < values_.size(); ++i) {
    exact.emplace_back(values_[i].screaming, static_cast<int>(i));
    folded.emplace_back(values_[i].folded, static_cast<int>(i));
  }
  for (size_t i = 0; i < values_.size(); ++i) {
    exact.emplace_back(values_[i].camel, static_cast<int>(i));
    folded.emplace_back(values_[i].folded_short, static_cast<int>(i));
  }
  exact_.Build(exact);
  folded_.Build(folded);
}

std::optional<int> EnumTable::Parse(std::string_view text) const {
  int at = exact_.Find(text);
  if (at == NameIndex::kAbsent) at = folded_.Find(Fold(text));
  if (at == NameIndex::kAbsent) return std::nullopt;
  return values_[static_cast<size_t>(at)].number;
}

const EnumTable::Value* EnumTable::Find(int number) const {
  const auto it = std::lower_bound(values_.begin(), values_.end(), number,
                                   [](const Value& value, int wanted) { return value.number < wanted; });
  return it != values_.end() && it->number == number ? &*it : nullptr;
}

std::string_view EnumTable::ScreamingName(int number) const {
  const Value* value = Find(number);
  return value == nullptr ? std::string_view() : std::string_view(value->screaming);
}

std::string_view EnumTable::CamelName(int number) const {
  const Value* value = Find(number);
  return value == nullptr ? std::string_view() : std::string_view(value->camel);
}

const MessageTable& TableOf(const pb::Descriptor* descriptor) { return Registry::Get().Of(descriptor); }
const MessageTable& HistoryTable() { return *Registry::Get().history; }
const MessageTable& EventTable() { return *Registry::Get().event; }
std::vector<std::string> MapFieldsWithoutAccess() { return Registry::Get().maps_without_access; }

}  // namespace lockstep::history
