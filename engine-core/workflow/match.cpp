#include "engine-core/workflow/match.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/failure/v1/message.pb.h>
#include <temporal/api/history/v1/message.pb.h>
#include <temporal/api/update/v1/message.pb.h>

#include <algorithm>
#include <map>
#include <optional>
#include <span>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/base/json_diff.h"
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

using UpdateResponse = temporal::api::update::v1::Response;

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
    {"use_workflow_build_id", "", kPayload},
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
    {"header", "", kPayload, Rule::kPayload},
    {"memo", "", kPayload, Rule::kServerDefault},
    {"search_attributes", "", kPayload, Rule::kServerDefault},
    {"inherit_build_id", "", kPayload},
    {"initial_versioning_behavior", "", kPayload},
    {"backoff_start_interval", "", kDrift, Rule::kServerDefault},
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
    {"priority", "", kDrift},
    {"inherit_build_id", "", kPayload},
    {"versioning_override", "", kPayload},
};
constexpr FieldRow kSignalFields[] = {
    {"signal_name", "", kChanging},
    {"execution", "workflow_execution", kChanging},
    {"input", "", kPayload, Rule::kPayload},
    {"namespace", "", kPayload, Rule::kServerDefault},
    {"child_workflow_only", "", kPayload},
    {"header", "", kPayload, Rule::kPayload},
};
constexpr FieldRow kCancelExternalFields[] = {
    {"namespace", "", kPayload, Rule::kServerDefault}, {"child_workflow_only", "", kPayload}, {"reason", "", kPayload}};
constexpr FieldRow kNexusFields[] = {
    {"endpoint", "", kChanging},
    {"service", "", kChanging},
    {"operation", "", kChanging},
    {"input", "", kPayload, Rule::kPayload},
    {"nexus_header", "", kPayload},
    {"schedule_to_close_timeout", "", kDrift, Rule::kServerDefault},
    {"schedule_to_start_timeout", "", kDrift, Rule::kServerDefault},
    {"start_to_close_timeout", "", kDrift, Rule::kServerDefault},
};
// Of the update's outcome, which travels in a message beside the command.
constexpr FieldRow kOutcomeField = {"outcome", "", kPayload};
constexpr FieldRow kMetadataField = {"user_metadata", "", kPayload};

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
    // One command for both messages of an update; its message id tells which of the two it is.
    {COMMAND_TYPE_PROTOCOL_MESSAGE, EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, "protocol_message_command_attributes",
     "workflow_execution_update_accepted_event_attributes", "", {}},
    {COMMAND_TYPE_PROTOCOL_MESSAGE, EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED, "protocol_message_command_attributes",
     "workflow_execution_update_completed_event_attributes", "", {}},
    {COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION, EVENT_TYPE_NEXUS_OPERATION_SCHEDULED, "schedule_nexus_operation_command_attributes",
     "nexus_operation_scheduled_event_attributes", "", kNexusFields},
    {COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION, EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED,
     "request_cancel_nexus_operation_command_attributes", "nexus_operation_cancel_requested_event_attributes", "scheduled_event_id", {}},
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

const BoundKind* KindOfEvent(int event_type) {
  for (const BoundKind& kind : BoundKinds()) {
    if (kind.row->event_type == event_type) return &kind;
  }
  return nullptr;
}
const BoundKind* KindOfCommand(const Command& command) {
  if (command.command_type() == COMMAND_TYPE_PROTOCOL_MESSAGE) {
    const bool ends = command.protocol_message_command_attributes().message_id().ends_with(kUpdateCompleteSuffix);
    return KindOfEvent(ends ? EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED : EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED);
  }
  for (const BoundKind& kind : BoundKinds()) {
    if (kind.row->command_type == command.command_type()) return &kind;
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
  if (command.command_type() == COMMAND_TYPE_PROTOCOL_MESSAGE) {
    const std::string& id = command.protocol_message_command_attributes().message_id();
    return id.substr(0, id.rfind('/'));
  }
  return {};
}
std::string SpecialId(const HistoryEvent& event) {
  if (event.event_type() == EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED) {
    return event.workflow_execution_update_accepted_event_attributes().protocol_instance_id();
  }
  if (event.event_type() == EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED) {
    return event.workflow_execution_update_completed_event_attributes().meta().update_id();
  }
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

// Of a failure these say who built it and where, which is the recording SDK's affair and not the workflow's.
bool IsFactOfRecorder(const FieldDescriptor* field) {
  using temporal::api::failure::v1::Failure;
  return field->containing_type() == Failure::descriptor() &&
         (field->number() == Failure::kSourceFieldNumber || field->number() == Failure::kStackTraceFieldNumber);
}

bool SameMap(const Message& a, const FieldDescriptor* a_field, const Message& b, const FieldDescriptor* b_field) {
  const Reflection* a_reflection = a.GetReflection();
  const Reflection* b_reflection = b.GetReflection();
  const int size = a_reflection->FieldSize(a, a_field);
  if (size != b_reflection->FieldSize(b, b_field)) return false;
  // The entries of the two sides are of different message types, each with its own descriptors.
  const auto* a_entry = a_field->message_type();
  const auto* b_entry = b_field->message_type();
  std::map<std::string, const Message*> entries;
  for (int i = 0; i < size; ++i) {
    const Message& entry = b_reflection->GetRepeatedMessage(b, b_field, i);
    entries[entry.GetReflection()->GetString(entry, b_entry->map_key())] = &entry;
  }
  for (int i = 0; i < size; ++i) {
    const Message& entry = a_reflection->GetRepeatedMessage(a, a_field, i);
    const auto it = entries.find(entry.GetReflection()->GetString(entry, a_entry->map_key()));
    if (it == entries.end() || !SameValue(entry, a_entry->map_value(), *it->second, b_entry->map_value())) return false;
  }
  return true;
}

// Equal in meaning: payloads by their JSON, maps without order, everything else field by field.
bool SameMessage(const Message& a, const Message& b) {
  if (a.GetDescriptor() != b.GetDescriptor()) return false;
  if (const auto* payload = dynamic_cast<const Payload*>(&a)) return SamePayload(*payload, dynamic_cast<const Payload&>(b));
  const auto* descriptor = a.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    if (IsFactOfRecorder(descriptor->field(i))) continue;
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
  // An absent message and an empty one say the same. Absent on both sides ends the walk: a failure's cause is a failure.
  if (!left->HasField(a, a_field) && !right->HasField(b, b_field)) return true;
  return SameMessage(left->GetMessage(a, a_field), right->GetMessage(b, b_field));
}

bool SameElement(const Message& a, const FieldDescriptor* a_field, const Message& b, const FieldDescriptor* b_field, int i) {
  const Reflection* left = a.GetReflection();
  const Reflection* right = b.GetReflection();
  switch (a_field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return left->GetRepeatedInt32(a, a_field, i) == right->GetRepeatedInt32(b, b_field, i);
    case FieldDescriptor::CPPTYPE_INT64: return left->GetRepeatedInt64(a, a_field, i) == right->GetRepeatedInt64(b, b_field, i);
    case FieldDescriptor::CPPTYPE_UINT32: return left->GetRepeatedUInt32(a, a_field, i) == right->GetRepeatedUInt32(b, b_field, i);
    case FieldDescriptor::CPPTYPE_UINT64: return left->GetRepeatedUInt64(a, a_field, i) == right->GetRepeatedUInt64(b, b_field, i);
    case FieldDescriptor::CPPTYPE_DOUBLE: return left->GetRepeatedDouble(a, a_field, i) == right->GetRepeatedDouble(b, b_field, i);
    case FieldDescriptor::CPPTYPE_FLOAT: return left->GetRepeatedFloat(a, a_field, i) == right->GetRepeatedFloat(b, b_field, i);
    case FieldDescriptor::CPPTYPE_BOOL: return left->GetRepeatedBool(a, a_field, i) == right->GetRepeatedBool(b, b_field, i);
    case FieldDescriptor::CPPTYPE_ENUM:
      return left->GetRepeatedEnumValue(a, a_field, i) == right->GetRepeatedEnumValue(b, b_field, i);
    case FieldDescriptor::CPPTYPE_STRING: return left->GetRepeatedString(a, a_field, i) == right->GetRepeatedString(b, b_field, i);
    case FieldDescriptor::CPPTYPE_MESSAGE: break;
  }
  return SameMessage(left->GetRepeatedMessage(a, a_field, i), right->GetRepeatedMessage(b, b_field, i));
}

bool SameValue(const Message& a, const FieldDescriptor* a_field, const Message& b, const FieldDescriptor* b_field) {
  if (a_field->is_map()) return SameMap(a, a_field, b, b_field);
  if (!a_field->is_repeated()) return SameScalar(a, a_field, b, b_field);
  const Reflection* left = a.GetReflection();
  const Reflection* right = b.GetReflection();
  const int size = left->FieldSize(a, a_field);
  if (size != right->FieldSize(b, b_field)) return false;
  for (int i = 0; i < size; ++i) {
    if (!SameElement(a, a_field, b, b_field, i)) return false;
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
      if (!text.empty()) text += " ";
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
        text += reflection->GetRepeatedString(holder, field, i);
        continue;
      }
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return std::to_string(reflection->FieldSize(holder, field)) + " values";
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

// One attribute on both sides. `filled` is the command as a server would have completed it, where that is known.
struct Sides {
  const Message& command;
  const FieldDescriptor* command_field;
  const Message& event;
  const FieldDescriptor* event_field;
  const Message* filled = nullptr;
};
using Report = std::function<void(FieldDifference)>;

std::map<std::string, const Message*> MapEntries(const Message& holder, const FieldDescriptor* field) {
  std::map<std::string, const Message*> entries;
  const Reflection* reflection = holder.GetReflection();
  for (int i = 0; i < reflection->FieldSize(holder, field); ++i) {
    const Message& entry = reflection->GetRepeatedMessage(holder, field, i);
    entries[entry.GetReflection()->GetString(entry, field->message_type()->map_key())] = &entry;
  }
  return entries;
}

// Payloads that are JSON on both sides: the places that differ, as JSON Pointers below the field (`input/0/cursor/x`), and not
// the whole of both. False when something other than a value differs: their number, an encoding.
bool ReportPayloads(const std::string& name, const FieldRow& row, const Message& actual, const Message& expected, const Report& report) {
  constexpr size_t kMostDifferences = 10;  // of one field; more of them say no more
  const auto list = [](const Message& message) {
    std::vector<const Payload*> payloads;
    if (const auto* one = dynamic_cast<const Payload*>(&message)) payloads.push_back(one);
    if (const auto* many = dynamic_cast<const Payloads*>(&message)) {
      for (const Payload& payload : many->payloads()) payloads.push_back(&payload);
    }
    return payloads;
  };
  const auto left = list(actual), right = list(expected);
  if (left.empty() || left.size() != right.size()) return false;
  std::vector<FieldDifference> differences;
  for (size_t i = 0; i < left.size(); ++i) {
    if (SamePayload(*left[i], *right[i])) continue;
    const auto here = ReadJson(*left[i]), there = ReadJson(*right[i]);
    if (!SameMetadata(*left[i], *right[i]) || !here || !there) return false;
    const std::string base = dynamic_cast<const Payload*>(&actual) != nullptr ? name : name + "/" + std::to_string(i);
    for (JsonDifference& difference : DiffJson(*there, *here, kMostDifferences)) {
      differences.push_back({base + difference.pointer, row.grade, std::move(difference.expected), std::move(difference.actual)});
    }
  }
  if (differences.empty()) return false;
  if (differences.size() > kMostDifferences) differences.resize(kMostDifferences);
  for (FieldDifference& difference : differences) report(std::move(difference));
  return true;
}

// Key by key, so that the one search attribute or marker detail is named that differs.
void ReportMap(const std::string& name, const FieldRow& row, const Sides& sides, const Report& report) {
  const auto left = MapEntries(sides.command, sides.command_field);
  auto right = MapEntries(sides.event, sides.event_field);
  // Entries of the two sides are of different message types, each with its own descriptors.
  const FieldDescriptor* actual = sides.command_field->message_type()->map_value();
  const FieldDescriptor* expected = sides.event_field->message_type()->map_value();
  for (const auto& [key, entry] : left) {
    const auto other = right.extract(key);
    if (other.empty()) {
      report({name + "." + key, row.grade, {}, ValueText(*entry, actual)});
    } else if (!SameValue(*entry, actual, *other.mapped(), expected)) {
      const bool messages = actual->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
      if (messages && ReportPayloads(name + "." + key, row, entry->GetReflection()->GetMessage(*entry, actual),
                                     other.mapped()->GetReflection()->GetMessage(*other.mapped(), expected), report)) {
        continue;
      }
      report({name + "." + key, row.grade, ValueText(*other.mapped(), expected), ValueText(*entry, actual)});
    }
  }
  for (const auto& [key, entry] : right) report({name + "." + key, row.grade, ValueText(*entry, expected), {}});
}

bool IsLeaf(const Message& message) {
  return dynamic_cast<const Payloads*>(&message) != nullptr || dynamic_cast<const Payload*>(&message) != nullptr ||
         dynamic_cast<const google::protobuf::Duration*>(&message) != nullptr;
}

void ReportValue(const std::string& name, const FieldRow& row, const Sides& sides, const Report& report) {
  const auto& [command, command_field, event, event_field, filled] = sides;
  if (SameValue(command, command_field, event, event_field)) return;
  if (row.rule == Rule::kServerDefault) {
    if (filled != nullptr ? SameValue(*filled, command_field, event, event_field) : IsUnset(command, command_field)) return;
  }
  if (row.rule == Rule::kName && IsUnset(command, command_field)) return;
  if (command_field->is_map()) return ReportMap(name, row, sides, report);
  if (command_field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !command_field->is_repeated()) {
    const Message& left = command.GetReflection()->GetMessage(command, command_field);
    const Message& right = event.GetReflection()->GetMessage(event, event_field);
    if (row.rule == Rule::kName) {
      const FieldDescriptor* inner = FieldNamed(left.GetDescriptor(), "name");
      if (ValueText(left, inner) != ValueText(right, inner)) {
        report({name, row.grade, ValueText(right, inner), ValueText(left, inner)});
      }
      return;
    }
    if (!IsLeaf(left)) {
      // The part that differs, so that `retryPolicy.maximumAttempts` is named and not the whole policy.
      const Message* inner = filled != nullptr ? &filled->GetReflection()->GetMessage(*filled, command_field) : nullptr;
      for (int i = 0; i < left.GetDescriptor()->field_count(); ++i) {
        const FieldDescriptor* field = left.GetDescriptor()->field(i);
        if (IsFactOfRecorder(field)) continue;
        ReportValue(name + "." + CamelName(field->name()), row, {left, field, right, field, inner}, report);
      }
      return;
    }
    if (ReportPayloads(name, row, left, right, report)) return;
  }
  report({name, row.grade, ValueText(event, event_field), ValueText(command, command_field)});
}

// --- what a server fills in ----------------------------------------------------------------------------------------------

using ActivityCommand = temporal::api::command::v1::ScheduleActivityTaskCommandAttributes;
using ActivityEvent = temporal::api::history::v1::ActivityTaskScheduledEventAttributes;
using google::protobuf::Duration;
using temporal::api::common::v1::RetryPolicy;

// Durations as one number. In nanoseconds 64 bits would hold 292 years, protobuf allows 10 000.
int64_t Micros(const Duration& duration) {
  constexpr int64_t kMaxSeconds = 315'576'000'000;
  return std::clamp(duration.seconds(), -kMaxSeconds, kMaxSeconds) * 1'000'000 + duration.nanos() / 1'000;
}

void SetMicros(int64_t micros, Duration* duration) {
  duration->set_seconds(micros / 1'000'000);
  duration->set_nanos(static_cast<int32_t>(micros % 1'000'000 * 1'000));
}

// Temporal's rules for what an activity command leaves open: the time-outs follow from each other and from the run's own.
struct ActivityTimeouts {
  int64_t schedule_to_close = 0;
  int64_t schedule_to_start = 0;
  int64_t start_to_close = 0;
  int64_t heartbeat = 0;
  friend bool operator==(const ActivityTimeouts&, const ActivityTimeouts&) = default;
};

template <typename Attributes>
ActivityTimeouts TimeoutsOf(const Attributes& attributes) {
  return {Micros(attributes.schedule_to_close_timeout()), Micros(attributes.schedule_to_start_timeout()),
          Micros(attributes.start_to_close_timeout()), Micros(attributes.heartbeat_timeout())};
}

ActivityTimeouts Filled(ActivityTimeouts given, const FieldContext& context) {
  const int64_t run = context.workflow_run_timeout_ms * 1'000;
  if (given.schedule_to_close > 0) {
    const auto within = [&](int64_t value) { return value > 0 ? std::min(value, given.schedule_to_close) : given.schedule_to_close; };
    given.schedule_to_start = within(given.schedule_to_start);
    given.start_to_close = within(given.start_to_close);
  } else {
    given.schedule_to_close = run;
    if (given.schedule_to_start <= 0) given.schedule_to_start = run;
  }
  if (run > 0) {
    given.schedule_to_close = std::min(given.schedule_to_close, run);
    given.schedule_to_start = std::min(given.schedule_to_start, run);
    given.start_to_close = std::min(given.start_to_close, run);
  }
  if (given.start_to_close > 0) given.heartbeat = std::min(given.heartbeat, given.start_to_close);
  return given;
}

// The numbers of a retry policy.
struct RetryNumbers {
  int64_t initial = 0;
  int64_t maximum = 0;
  double coefficient = 0;
  int32_t attempts = 0;
  friend bool operator==(const RetryNumbers&, const RetryNumbers&) = default;
};

RetryNumbers NumbersOf(const RetryPolicy& policy) {
  return {Micros(policy.initial_interval()), Micros(policy.maximum_interval()), policy.backoff_coefficient(), policy.maximum_attempts()};
}

RetryNumbers Filled(RetryNumbers given) {
  constexpr int64_t kInitial = 1'000'000, kMaximumFactor = 100, kMost = INT64_MAX / kMaximumFactor;
  if (given.initial <= 0) given.initial = kInitial;
  if (given.coefficient == 0) given.coefficient = 2;
  if (given.maximum <= 0) given.maximum = std::min(given.initial, kMost) * kMaximumFactor;
  return given;
}

void FillRetryDefaults(RetryPolicy* policy) {
  const RetryNumbers given = NumbersOf(*policy), filled = Filled(given);
  if (filled.initial != given.initial) SetMicros(filled.initial, policy->mutable_initial_interval());
  if (filled.maximum != given.maximum) SetMicros(filled.maximum, policy->mutable_maximum_interval());
  policy->set_backoff_coefficient(filled.coefficient);
}

ActivityCommand Filled(const ActivityCommand& command, const FieldContext& context) {
  ActivityCommand filled = command;
  const ActivityTimeouts timeouts = Filled(TimeoutsOf(command), context);
  SetMicros(timeouts.schedule_to_close, filled.mutable_schedule_to_close_timeout());
  SetMicros(timeouts.schedule_to_start, filled.mutable_schedule_to_start_timeout());
  SetMicros(timeouts.start_to_close, filled.mutable_start_to_close_timeout());
  SetMicros(timeouts.heartbeat, filled.mutable_heartbeat_timeout());
  FillRetryDefaults(filled.mutable_retry_policy());
  return filled;
}

bool SameTimeouts(const ActivityCommand& command, const ActivityEvent& event, const FieldContext& context) {
  const ActivityTimeouts given = TimeoutsOf(command), recorded = TimeoutsOf(event);
  return recorded == given || recorded == Filled(given, context);
}

// A policy that was left out is the server's to fill in, like its numbers.
bool SameRetry(const RetryPolicy& command, const RetryPolicy& event) {
  const RetryNumbers given = NumbersOf(command), recorded = NumbersOf(event);
  return (recorded == given || recorded == Filled(given)) &&
         std::ranges::equal(command.non_retryable_error_types(), event.non_retryable_error_types());
}

// The common case of the common command, without reflection; whatever is not plainly equal goes through the tables.
bool PlainlyEqual(const ActivityCommand& command, const ActivityEvent& event, const FieldContext& context) {
  return command.activity_type().name() == event.activity_type().name() && SamePayloads(command.input(), event.input()) &&
         command.task_queue().name() == event.task_queue().name() && !command.has_header() && event.header().fields().empty() &&
         !command.has_priority() && !event.has_priority() &&
         command.use_workflow_build_id() == event.use_workflow_build_id() && SameTimeouts(command, event, context) &&
         SameRetry(command.retry_policy(), event.retry_policy());
}

bool PlainlyEqual(const MarkerCommand& command, const MarkerEvent& event) {
  if (command.marker_name() != event.marker_name() || command.details_size() != event.details_size()) return false;
  if (command.has_failure() || event.has_failure() || command.has_header() || event.has_header()) return false;
  for (const auto& [key, payloads] : command.details()) {
    const auto other = event.details().find(key);
    if (other == event.details().end() || !SamePayloads(payloads, other->second)) return false;
  }
  return true;
}

// The bytes that hold the id; an unequal spelling of the same id is left to the slow way.
bool SameMarkerBytes(const MarkerCommand& command, const MarkerEvent& event) {
  const std::string key(MarkerIdKey(command.marker_name()));
  if (key.empty()) return false;
  const auto left = command.details().find(key);
  const auto right = event.details().find(key);
  return left != command.details().end() && right != event.details().end() && left->second.payloads_size() == 1 &&
         right->second.payloads_size() == 1 && left->second.payloads(0).data() == right->second.payloads(0).data();
}

// --- local activities ----------------------------------------------------------------------------------------------------

// A local activity is a marker to the server; to people it is an activity, and its fields are compared as such.
void CompareLocalActivity(const MarkerCommand& command, const MarkerEvent& event, const BoundField& details, const Report& report) {
  const auto actual = ReadLocalActivityMarker(command), expected = ReadLocalActivityMarker(event);
  const bool readable = actual.has_value() && expected.has_value();
  const bool other_type = readable && actual->activity_type != expected->activity_type;
  if (other_type) report({"activityType", kChanging, expected->activity_type, actual->activity_type});
  const Report renamed = [&](FieldDifference difference) {
    // The pointer behind a detail's name, when the difference is in that detail.
    const auto behind = [&](std::string_view key) -> std::optional<std::string> {
      const std::string prefix = "details." + std::string(key);
      if (!difference.field.starts_with(prefix)) return std::nullopt;
      std::string rest = difference.field.substr(prefix.size());
      return rest.empty() || rest[0] == '/' ? std::optional(std::move(rest)) : std::nullopt;
    };
    if (behind(kDataKey) && other_type) return;
    if (behind(kInputDigestKey)) difference.field = "input";
    if (const auto pointer = behind(kResultKey)) difference.field = "result" + *pointer;
    report(std::move(difference));
  };
  ReportValue("details", *details.row, {command, details.command, event, details.event}, renamed);
}

// --- what the tables cannot say -------------------------------------------------------------------------------------------

void CompareMetadata(const Command& command, const HistoryEvent& event, const Report& report) {
  static const FieldDescriptor* const kCommandField = FieldNamed(Command::descriptor(), "user_metadata");
  static const FieldDescriptor* const kEventField = FieldNamed(HistoryEvent::descriptor(), "user_metadata");
  ReportValue("userMetadata", kMetadataField, {command, kCommandField, event, kEventField}, report);
}

void CompareOutcome(const UpdateResponse& response, const HistoryEvent& event, const Report& report) {
  const auto& completed = event.workflow_execution_update_completed_event_attributes();
  static const FieldDescriptor* const kResponseField = FieldNamed(UpdateResponse::descriptor(), "outcome");
  static const FieldDescriptor* const kEventField = FieldNamed(completed.GetDescriptor(), "outcome");
  ReportValue("outcome", kOutcomeField, {response, kResponseField, completed, kEventField}, report);
}

void CompareBeyondTables(const Command& command, const HistoryEvent& event, const FieldContext& context, const Report& report) {
  if (command.has_request_cancel_external_workflow_execution_command_attributes()) {
    // The one attribute that the two messages nest differently.
    const auto& actual = command.request_cancel_external_workflow_execution_command_attributes().run_id();
    const auto& expected =
        event.request_cancel_external_workflow_execution_initiated_event_attributes().workflow_execution().run_id();
    if (actual != expected) report({"runId", kPayload, expected, actual});
  }
  if (context.update_response != nullptr && event.has_workflow_execution_update_completed_event_attributes()) {
    CompareOutcome(*context.update_response, event, report);
  }
}

}  // namespace

std::string CommandIdentity::ToString() const { return EventTypeName(event_type) + (id.empty() ? "" : " " + id); }

CommandIdentity IdentityOf(const Command& command) {
  const BoundKind* kind = KindOfCommand(command);
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
  // The most frequent kinds without a look-up.
  if (command.command_type() == COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK) {
    return event.event_type() == EVENT_TYPE_ACTIVITY_TASK_SCHEDULED &&
           command.schedule_activity_task_command_attributes().activity_id() ==
               event.activity_task_scheduled_event_attributes().activity_id();
  }
  if (command.command_type() == COMMAND_TYPE_START_TIMER) {
    return event.event_type() == EVENT_TYPE_TIMER_STARTED &&
           command.start_timer_command_attributes().timer_id() == event.timer_started_event_attributes().timer_id();
  }
  const BoundKind* kind = KindOfCommand(command);
  if (kind == nullptr || kind->row->event_type != event.event_type()) return false;
  if (command.command_type() == COMMAND_TYPE_RECORD_MARKER) {
    const auto& left = command.record_marker_command_attributes();
    const auto& right = event.marker_recorded_event_attributes();
    if (left.marker_name() != right.marker_name()) return false;
    if (SameMarkerBytes(left, right)) return true;
  }
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

void CompareFields(const Command& command, const HistoryEvent& event, const FieldContext& context, const Report& report) {
  const BoundKind* kind = KindOfCommand(command);
  LOCKSTEP_CHECK(kind != nullptr && kind->row->event_type == event.event_type(), "identities differ");
  const Message& left = Attributes(command, kind->command_attributes);
  const Message& right = Attributes(event, kind->event_attributes);
  std::optional<ActivityCommand> filled;
  if (command.has_user_metadata() || event.has_user_metadata()) CompareMetadata(command, event, report);
  if (command.command_type() == COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK) {
    if (PlainlyEqual(command.schedule_activity_task_command_attributes(), event.activity_task_scheduled_event_attributes(), context)) {
      return;
    }
    filled = Filled(command.schedule_activity_task_command_attributes(), context);
  }
  if (command.command_type() == COMMAND_TYPE_RECORD_MARKER &&
      PlainlyEqual(command.record_marker_command_attributes(), event.marker_recorded_event_attributes())) {
    return;
  }
  const bool local = command.command_type() == COMMAND_TYPE_RECORD_MARKER &&
                     IsLocalActivityMarker(command.record_marker_command_attributes().marker_name());
  for (const BoundField& field : kind->fields) {
    if (local && field.row->field == "details") {
      CompareLocalActivity(command.record_marker_command_attributes(), event.marker_recorded_event_attributes(), field, report);
      continue;
    }
    ReportValue(CamelName(field.row->field), *field.row, {left, field.command, right, field.event, filled ? &*filled : nullptr},
                report);
  }
  CompareBeyondTables(command, event, context, report);
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

std::string StepIdOf(const HistoryEvent& event) {
  if (event.event_type() == EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) {
    return StepIdOf(event.activity_task_scheduled_event_attributes().activity_id());
  }
  if (event.event_type() != EVENT_TYPE_MARKER_RECORDED) return {};
  const auto& marker = event.marker_recorded_event_attributes();
  if (!IsLocalActivityMarker(marker.marker_name())) return {};
  const auto data = ReadLocalActivityMarker(marker);
  return data ? StepIdOf(data->activity_id) : std::string();
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

std::string TargetOf(const Command& command) {
  switch (command.command_type()) {
    case COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
      return command.schedule_activity_task_command_attributes().activity_type().name();
    case COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION:
      return command.start_child_workflow_execution_command_attributes().workflow_type().name();
    case COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION:
      return command.schedule_nexus_operation_command_attributes().operation();
    case COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION:
      return command.signal_external_workflow_execution_command_attributes().signal_name();
    default:
      return {};
  }
}

std::string TargetOf(const HistoryEvent& event) {
  switch (event.event_type()) {
    case EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
      return event.activity_task_scheduled_event_attributes().activity_type().name();
    case EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
      return event.start_child_workflow_execution_initiated_event_attributes().workflow_type().name();
    case EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:
      return event.nexus_operation_scheduled_event_attributes().operation();
    case EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
      return event.signal_external_workflow_execution_initiated_event_attributes().signal_name();
    case EVENT_TYPE_MARKER_RECORDED: {
      const auto& marker = event.marker_recorded_event_attributes();
      if (!IsLocalActivityMarker(marker.marker_name())) return {};
      const auto data = ReadLocalActivityMarker(marker);
      return data ? data->activity_type : std::string();
    }
    default:
      return {};
  }
}

}  // namespace lockstep::workflow
