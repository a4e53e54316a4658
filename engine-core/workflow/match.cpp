#include "engine-core/workflow/match.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <map>
#include <span>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/workflow/machines.h"
#include "engine-core/workflow/markers.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::workflow {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary

// --- what is compared ----------------------------------------------------------------------------------------------------

// How an attribute is compared when the two sides are not plainly equal.
enum class Rule : uint8_t {
  kExact,
  kPayload,          // Payload, Payloads or maps of them: equal in meaning
  kServerDefault,    // a value the command leaves open is the server's to fill in
  kName,             // the `name` inside (activity type, task queue, workflow type)
};

struct FieldRow {
  std::string_view field;        // as in the command's attributes
  std::string_view event_field;  // as in the event's attributes; empty: the same
  Grade grade;
  Rule rule = Rule::kExact;
};

constexpr Grade kChanging = Grade::kCommandChanging, kPayload = Grade::kPayloadOnly, kDrift = Grade::kDrift;

constexpr FieldRow kActivityFields[] = {
    {"activity_type", "", kChanging, Rule::kName},
    {"input", "", kPayload, Rule::kPayload},
    {"task_queue", "", kPayload, Rule::kName},
    {"header", "", kPayload, Rule::kPayload},
    {"schedule_to_close_timeout", "", kDrift, Rule::kServerDefault},
    {"schedule_to_start_timeout", "", kDrift, Rule::kServerDefault},
    {"start_to_close_timeout", "", kDrift, Rule::kServerDefault},
    {"heartbeat_timeout", "", kDrift, Rule::kServerDefault},
    {"retry_policy", "", kDrift, Rule::kServerDefault},
    {"priority", "", kDrift},
};
constexpr FieldRow kTimerFields[] = {{"start_to_fire_timeout", "", kPayload}};
constexpr FieldRow kMarkerFields[] = {
    {"marker_name", "", kChanging}, {"details", "", kPayload, Rule::kPayload}, {"failure", "", kPayload}, {"header", "", kPayload, Rule::kPayload}};
constexpr FieldRow kSearchAttributeFields[] = {{"search_attributes", "", kPayload, Rule::kPayload}};
constexpr FieldRow kMemoFields[] = {{"upserted_memo", "", kPayload, Rule::kPayload}};
constexpr FieldRow kCompleteFields[] = {{"result", "", kPayload, Rule::kPayload}};
constexpr FieldRow kFailFields[] = {{"failure", "", kPayload}};
constexpr FieldRow kCancelFields[] = {{"details", "", kPayload, Rule::kPayload}};
constexpr FieldRow kContinueFields[] = {
    {"workflow_type", "", kChanging, Rule::kName},
    {"task_queue", "", kPayload, Rule::kName},
    {"input", "", kPayload, Rule::kPayload},
    {"workflow_run_timeout", "", kDrift, Rule::kServerDefault},
    {"workflow_task_timeout", "", kDrift, Rule::kServerDefault},
};
constexpr FieldRow kChildFields[] = {
    {"workflow_type", "", kChanging, Rule::kName},
    {"input", "", kPayload, Rule::kPayload},
    {"task_queue", "", kPayload, Rule::kName},
    {"namespace", "", kPayload, Rule::kServerDefault},
    {"parent_close_policy", "", kPayload, Rule::kServerDefault},
    {"workflow_id_reuse_policy", "", kPayload, Rule::kServerDefault},
    {"cron_schedule", "", kPayload},
    {"memo", "", kPayload, Rule::kPayload},
    {"search_attributes", "", kPayload, Rule::kPayload},
    {"header", "", kPayload, Rule::kPayload},
    {"workflow_execution_timeout", "", kDrift, Rule::kServerDefault},
    {"workflow_run_timeout", "", kDrift, Rule::kServerDefault},
    {"workflow_task_timeout", "", kDrift, Rule::kServerDefault},
    {"retry_policy", "", kDrift, Rule::kServerDefault},
};
constexpr FieldRow kSignalFields[] = {
    {"signal_name", "", kChanging},
    {"execution", "workflow_execution", kChanging},
    {"input", "", kPayload, Rule::kPayload},
    {"child_workflow_only", "", kPayload},
    {"header", "", kPayload, Rule::kPayload},
};
constexpr FieldRow kCancelExternalFields[] = {{"child_workflow_only", "", kPayload}, {"reason", "", kPayload}};

// --- attributes by command and event type --------------------------------------------------------------------------------

struct KindRow {
  int command_type;
  int event_type;
  std::string_view command_attributes;
  std::string_view event_attributes;
  std::string_view id_field;        // string that identifies the command, in both messages; empty: the kind is enough
  std::span<const FieldRow> fields;
};

constexpr KindRow kKinds[] = {
    {COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, "schedule_activity_task_command_attributes",
     "activity_task_scheduled_event_attributes", "activity_id", kActivityFields},
    {COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK, EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED,
     "request_cancel_activity_task_command_attributes", "activity_task_cancel_requested_event_attributes", "scheduled_event_id", {}},
    {COMMAND_TYPE_START_TIMER, EVENT_TYPE_TIMER_STARTED, "start_timer_command_attributes", "timer_started_event_attributes",
     "timer_id", kTimerFields},
    {COMMAND_TYPE_CANCEL_TIMER, EVENT_TYPE_TIMER_CANCELED, "cancel_timer_command_attributes", "timer_canceled_event_attributes",
     "timer_id", {}},
    {COMMAND_TYPE_RECORD_MARKER, EVENT_TYPE_MARKER_RECORDED, "record_marker_command_attributes",
     "marker_recorded_event_attributes", "", kMarkerFields},
    {COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
     "upsert_workflow_search_attributes_command_attributes", "upsert_workflow_search_attributes_event_attributes", "",
     kSearchAttributeFields},
    {COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES, EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
     "modify_workflow_properties_command_attributes", "workflow_properties_modified_event_attributes", "", kMemoFields},
    {COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION, EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
     "start_child_workflow_execution_command_attributes", "start_child_workflow_execution_initiated_event_attributes",
     "workflow_id", kChildFields},
    {COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION, EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
     "signal_external_workflow_execution_command_attributes", "signal_external_workflow_execution_initiated_event_attributes",
     "signal_name", kSignalFields},
    {COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION, EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
     "request_cancel_external_workflow_execution_command_attributes",
     "request_cancel_external_workflow_execution_initiated_event_attributes", "", kCancelExternalFields},
    {COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
     "complete_workflow_execution_command_attributes", "workflow_execution_completed_event_attributes", "", kCompleteFields},
    {COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, "fail_workflow_execution_command_attributes",
     "workflow_execution_failed_event_attributes", "", kFailFields},
    {COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
     "cancel_workflow_execution_command_attributes", "workflow_execution_canceled_event_attributes", "", kCancelFields},
    {COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
     "continue_as_new_workflow_execution_command_attributes", "workflow_execution_continued_as_new_event_attributes", "",
     kContinueFields},
};

// Descriptors of a row, looked up once.
struct BoundField {
  const FieldRow* row;
  const FieldDescriptor* command;
  const FieldDescriptor* event;
};
struct BoundKind {
  const KindRow* row = nullptr;
  const FieldDescriptor* command_attributes = nullptr;
  const FieldDescriptor* event_attributes = nullptr;
  const FieldDescriptor* command_id = nullptr;
  const FieldDescriptor* event_id = nullptr;
  std::vector<BoundField> fields;
};

const FieldDescriptor* FieldNamed(const google::protobuf::Descriptor* type, std::string_view name) {
  const FieldDescriptor* field = type->FindFieldByName(std::string(name));
  LOCKSTEP_CHECK(field != nullptr, type->full_name() + " has no field " + std::string(name));
  return field;
}

BoundKind Bind(const KindRow& row) {
  BoundKind bound;
  bound.row = &row;
  bound.command_attributes = FieldNamed(Command::descriptor(), row.command_attributes);
  bound.event_attributes = FieldNamed(HistoryEvent::descriptor(), row.event_attributes);
  const auto* command_type = bound.command_attributes->message_type();
  const auto* event_type = bound.event_attributes->message_type();
  if (!row.id_field.empty()) {
    bound.command_id = FieldNamed(command_type, row.id_field);
    bound.event_id = FieldNamed(event_type, row.id_field);
  }
  for (const FieldRow& field : row.fields) {
    bound.fields.push_back({&field, FieldNamed(command_type, field.field),
                            FieldNamed(event_type, field.event_field.empty() ? field.field : field.event_field)});
  }
  return bound;
}

const std::vector<BoundKind>& BoundKinds() {
  static const std::vector<BoundKind> kinds = [] {
    std::vector<BoundKind> result;
    for (const KindRow& row : kKinds) result.push_back(Bind(row));
    return result;
  }();
  return kinds;
}

const BoundKind* KindOfCommand(int command_type) {
  for (const BoundKind& kind : BoundKinds()) {
    if (kind.row->command_type == command_type) return &kind;
  }
  return nullptr;
}
const BoundKind* KindOfEvent(int event_type) {
  for (const BoundKind& kind : BoundKinds()) {
    if (kind.row->event_type == event_type) return &kind;
  }
  return nullptr;
}

const Message& Attributes(const Message& holder, const FieldDescriptor* field) {
  return holder.GetReflection()->GetMessage(holder, field);
}

std::string IdText(const Message& attributes, const FieldDescriptor* field) {
  const Reflection* reflection = attributes.GetReflection();
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64) return std::to_string(reflection->GetInt64(attributes, field));
  return reflection->GetString(attributes, field);
}

// Ids that no single field holds.
std::string SpecialId(const Command& command) {
  if (command.command_type() == COMMAND_TYPE_RECORD_MARKER) {
    const auto& marker = command.record_marker_command_attributes();
    const std::string id = MarkerId(marker.marker_name(), marker);
    return marker.marker_name() + (id.empty() ? "" : " " + id);
  }
  if (command.command_type() == COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION) {
    return command.request_cancel_external_workflow_execution_command_attributes().workflow_id();
  }
  return {};
}
std::string SpecialId(const HistoryEvent& event) {
  if (event.event_type() == EVENT_TYPE_MARKER_RECORDED) {
    const auto& marker = event.marker_recorded_event_attributes();
    const std::string id = MarkerId(marker.marker_name(), marker);
    return marker.marker_name() + (id.empty() ? "" : " " + id);
  }
  if (event.event_type() == EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED) {
    return event.request_cancel_external_workflow_execution_initiated_event_attributes().workflow_execution().workflow_id();
  }
  return {};
}

// --- comparing values ----------------------------------------------------------------------------------------------------

bool SameValue(const Message& a, const FieldDescriptor* a_field, const Message& b, const FieldDescriptor* b_field);

bool SameMap(const Message& a, const FieldDescriptor* a_field, const Message& b, const FieldDescriptor* b_field) {
  const Reflection* a_reflection = a.GetReflection();
  const Reflection* b_reflection = b.GetReflection();
  const int size = a_reflection->FieldSize(a, a_field);
  if (size != b_reflection->FieldSize(b, b_field)) return false;
  const FieldDescriptor* key = a_field->message_type()->map_key();
  const FieldDescriptor* value = a_field->message_type()->map_value();
  std::map<std::string, const Message*> entries;
  for (int i = 0; i < size; ++i) {
    const Message& entry = b_reflection->GetRepeatedMessage(b, b_field, i);
    entries[entry.GetReflection()->GetString(entry, key)] = &entry;
  }
  for (int i = 0; i < size; ++i) {
    const Message& entry = a_reflection->GetRepeatedMessage(a, a_field, i);
    const auto it = entries.find(entry.GetReflection()->GetString(entry, key));
    if (it == entries.end() || !SameValue(entry, value, *it->second, value)) return false;
  }
  return true;
}

// Equal in meaning: payloads by their JSON, maps without order, everything else field by field.
bool SameMessage(const Message& a, const Message& b) {
  if (a.GetDescriptor() != b.GetDescriptor()) return false;
  if (const auto* payload = dynamic_cast<const Payload*>(&a)) return SamePayload(*payload, dynamic_cast<const Payload&>(b));
  const auto* descriptor = a.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    if (!SameValue(a, descriptor->field(i), b, descriptor->field(i))) return false;
  }
  return true;
}

bool SameScalar(const Message& a, const FieldDescriptor* a_field, const Message& b, const FieldDescriptor* b_field) {
  const Reflection* left = a.GetReflection();
  const Reflection* right = b.GetReflection();
  switch (a_field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return left->GetInt32(a, a_field) == right->GetInt32(b, b_field);
    case FieldDescriptor::CPPTYPE_INT64: return left->GetInt64(a, a_field) == right->GetInt64(b, b_field);
    case FieldDescriptor::CPPTYPE_UINT32: return left->GetUInt32(a, a_field) == right->GetUInt32(b, b_field);
    case FieldDescriptor::CPPTYPE_UINT64: return left->GetUInt64(a, a_field) == right->GetUInt64(b, b_field);
    case FieldDescriptor::CPPTYPE_DOUBLE: return left->GetDouble(a, a_field) == right->GetDouble(b, b_field);
    case FieldDescriptor::CPPTYPE_FLOAT: return left->GetFloat(a, a_field) == right->GetFloat(b, b_field);
    case FieldDescriptor::CPPTYPE_BOOL: return left->GetBool(a, a_field) == right->GetBool(b, b_field);
    case FieldDescriptor::CPPTYPE_ENUM: return left->GetEnumValue(a, a_field) == right->GetEnumValue(b, b_field);
    case FieldDescriptor::CPPTYPE_STRING: return left->GetString(a, a_field) == right->GetString(b, b_field);
    case FieldDescriptor::CPPTYPE_MESSAGE: break;
  }
  // An absent message and an empty one say the same.
  return SameMessage(left->GetMessage(a, a_field), right->GetMessage(b, b_field));
}

bool SameValue(const Message& a, const FieldDescriptor* a_field, const Message& b, const FieldDescriptor* b_field) {
  if (a_field->is_map()) return SameMap(a, a_field, b, b_field);
  if (!a_field->is_repeated()) return SameScalar(a, a_field, b, b_field);
  const Reflection* left = a.GetReflection();
  const Reflection* right = b.GetReflection();
  const int size = left->FieldSize(a, a_field);
  if (size != right->FieldSize(b, b_field)) return false;
  for (int i = 0; i < size; ++i) {
    const bool same = a_field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE
                          ? SameMessage(left->GetRepeatedMessage(a, a_field, i), right->GetRepeatedMessage(b, b_field, i))
                      : a_field->cpp_type() == FieldDescriptor::CPPTYPE_STRING
                          ? left->GetRepeatedString(a, a_field, i) == right->GetRepeatedString(b, b_field, i)
                          : left->GetRepeatedInt64(a, a_field, i) == right->GetRepeatedInt64(b, b_field, i);
    if (!same) return false;
  }
  return true;
}

std::string DurationText(const google::protobuf::Duration& duration) {
  std::string text = std::to_string(duration.seconds());
  if (duration.nanos() != 0) {
    std::string nanos = std::to_string(1'000'000'000 + duration.nanos()).substr(1);
    while (nanos.back() == '0') nanos.pop_back();
    text += "." + nanos;
  }
  return text + "s";
}

// A value for people: payloads as JSON, durations as `10s`, names bare, the rest as protobuf's short text.
std::string ValueText(const Message& holder, const FieldDescriptor* field) {
  const Reflection* reflection = holder.GetReflection();
  if (field->is_repeated()) {
    std::string text;
    for (int i = 0; i < reflection->FieldSize(holder, field); ++i) {
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) break;
      if (!text.empty()) text += " ";
      const Message& element = reflection->GetRepeatedMessage(holder, field, i);
      text += field->is_map() ? ValueText(element, field->message_type()->map_key()) + "=" +
                                    ValueText(element, field->message_type()->map_value())
                              : element.ShortDebugString();
    }
    return text;
  }
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: return reflection->GetString(holder, field);
    case FieldDescriptor::CPPTYPE_INT64: return std::to_string(reflection->GetInt64(holder, field));
    case FieldDescriptor::CPPTYPE_INT32: return std::to_string(reflection->GetInt32(holder, field));
    case FieldDescriptor::CPPTYPE_BOOL: return reflection->GetBool(holder, field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_DOUBLE: return CanonicalJson(Json(reflection->GetDouble(holder, field)));
    case FieldDescriptor::CPPTYPE_ENUM: return reflection->GetEnum(holder, field)->name();
    case FieldDescriptor::CPPTYPE_MESSAGE: break;
    default: return "?";
  }
  if (!reflection->HasField(holder, field)) return {};
  const Message& message = reflection->GetMessage(holder, field);
  if (const auto* payloads = dynamic_cast<const Payloads*>(&message)) return Describe(*payloads);
  if (const auto* payload = dynamic_cast<const Payload*>(&message)) {
    Payloads one;
    *one.add_payloads() = *payload;
    return Describe(one);
  }
  if (const auto* duration = dynamic_cast<const google::protobuf::Duration*>(&message)) return DurationText(*duration);
  return message.ShortDebugString();
}

std::string CamelName(std::string_view snake) {
  std::string text;
  bool upper = false;
  for (const char c : snake) {
    if (c == '_') {
      upper = true;
    } else {
      text.push_back(upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
      upper = false;
    }
  }
  return text;
}

bool IsUnset(const Message& holder, const FieldDescriptor* field) {
  const Reflection* reflection = holder.GetReflection();
  if (field->is_repeated()) return reflection->FieldSize(holder, field) == 0;
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return !reflection->HasField(holder, field) || reflection->GetMessage(holder, field).ByteSizeLong() == 0;
  }
  return !reflection->HasField(holder, field);
}

// The part of a sub-message that differs, so that `retryPolicy.maximumAttempts` is named and not the whole policy.
void ReportSubfields(std::string_view prefix, const FieldRow& row, const Message& command, const Message& event,
                     const std::function<void(FieldDifference)>& report) {
  const auto* descriptor = command.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (row.rule == Rule::kServerDefault && IsUnset(command, field)) continue;
    if (SameValue(command, field, event, field)) continue;
    report({std::string(prefix) + "." + CamelName(field->name()), row.grade, ValueText(event, field), ValueText(command, field)});
  }
}

void CompareField(const BoundField& bound, const Message& command, const Message& event,
                  const std::function<void(FieldDifference)>& report) {
  const FieldRow& row = *bound.row;
  if (SameValue(command, bound.command, event, bound.event)) return;
  // What a command leaves open the server fills in from its defaults (spec 04 section 5: we set everything ourselves).
  if (row.rule == Rule::kServerDefault && IsUnset(command, bound.command)) return;
  if (row.rule == Rule::kName && IsUnset(command, bound.command)) return;
  const std::string name = CamelName(row.field);
  if (bound.command->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !bound.command->is_repeated()) {
    const Message& left = command.GetReflection()->GetMessage(command, bound.command);
    const Message& right = event.GetReflection()->GetMessage(event, bound.event);
    if (row.rule == Rule::kName) {
      const FieldDescriptor* inner = FieldNamed(left.GetDescriptor(), "name");
      if (ValueText(left, inner) == ValueText(right, inner)) return;
      report({name, row.grade, ValueText(right, inner), ValueText(left, inner)});
      return;
    }
    const bool leaf = dynamic_cast<const Payloads*>(&left) != nullptr || dynamic_cast<const Payload*>(&left) != nullptr ||
                      dynamic_cast<const google::protobuf::Duration*>(&left) != nullptr;
    if (!leaf) return ReportSubfields(name, row, left, right, report);
  }
  report({name, row.grade, ValueText(event, bound.event), ValueText(command, bound.command)});
}

}  // namespace

std::string CommandIdentity::ToString() const { return EventTypeName(event_type) + (id.empty() ? "" : " " + id); }

CommandIdentity IdentityOf(const Command& command) {
  const BoundKind* kind = KindOfCommand(command.command_type());
  LOCKSTEP_CHECK(kind != nullptr, "command type " + std::to_string(command.command_type()));
  std::string id = kind->command_id != nullptr ? IdText(Attributes(command, kind->command_attributes), kind->command_id)
                                               : SpecialId(command);
  return {kind->row->event_type, std::move(id)};
}

CommandIdentity IdentityOf(const HistoryEvent& event) {
  const BoundKind* kind = KindOfEvent(event.event_type());
  if (kind == nullptr) return {event.event_type(), {}};
  std::string id =
      kind->event_id != nullptr ? IdText(Attributes(event, kind->event_attributes), kind->event_id) : SpecialId(event);
  return {event.event_type(), std::move(id)};
}

bool SameIdentity(const Command& command, const HistoryEvent& event) {
  const BoundKind* kind = KindOfCommand(command.command_type());
  if (kind == nullptr || kind->row->event_type != event.event_type()) return false;
  if (kind->command_id == nullptr) return SpecialId(command) == SpecialId(event);
  const Message& left = Attributes(command, kind->command_attributes);
  const Message& right = Attributes(event, kind->event_attributes);
  if (kind->command_id->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
    return left.GetReflection()->GetInt64(left, kind->command_id) == right.GetReflection()->GetInt64(right, kind->event_id);
  }
  std::string left_scratch, right_scratch;
  return left.GetReflection()->GetStringReference(left, kind->command_id, &left_scratch) ==
         right.GetReflection()->GetStringReference(right, kind->event_id, &right_scratch);
}

void CompareFields(const Command& command, const HistoryEvent& event,
                   const std::function<void(FieldDifference)>& report) {
  const BoundKind* kind = KindOfCommand(command.command_type());
  LOCKSTEP_CHECK(kind != nullptr && kind->row->event_type == event.event_type(), "identities differ");
  const Message& left = Attributes(command, kind->command_attributes);
  const Message& right = Attributes(event, kind->event_attributes);
  for (const BoundField& field : kind->fields) CompareField(field, left, right, report);
}

std::string EventTypeName(int event_type) {
  if (!EventType_IsValid(event_type)) return "EventType" + std::to_string(event_type);
  constexpr std::string_view kPrefix = "EVENT_TYPE_";
  std::string text;
  bool upper = true;
  for (const char c : EventType_Name(static_cast<EventType>(event_type)).substr(kPrefix.size())) {
    if (c == '_') {
      upper = true;
    } else {
      text.push_back(upper ? c : AsciiLower(c));
      upper = false;
    }
  }
  return text;
}

std::string StepIdOf(std::string_view activity_id) {
  const size_t last = activity_id.rfind('/');
  if (last == std::string_view::npos) return {};
  std::string_view head = activity_id.substr(0, last);
  if (head.starts_with("step/")) return std::string(head.substr(5));
  if (head.starts_with("event/")) {
    const size_t type_end = head.find('/', 6);
    if (type_end == std::string_view::npos) return {};
    const std::string_view step = head.substr(type_end + 1);
    return step == "RUN" ? std::string() : std::string(step);
  }
  return {};
}

}  // namespace lockstep::workflow
