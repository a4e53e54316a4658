#include "replay/trace/command_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine-core/base/base64.h"
#include "engine-core/base/bytes.h"
#include "engine-core/workflow/match.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::replay {
namespace {

namespace pb = google::protobuf;

// What an event has and no command.
constexpr std::string_view kOfTheServer[] = {"workflow_task_completed_event_id", "new_execution_run_id",
                                             "namespace_id"};

Json MessageJson(const pb::Message& message);

Json ValueJson(const pb::Message& message, const pb::FieldDescriptor* field, int index) {
  const pb::Reflection* reflection = message.GetReflection();
  const bool repeated = index >= 0;
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return static_cast<int64_t>(repeated ? reflection->GetRepeatedInt32(message, field, index)
                                           : reflection->GetInt32(message, field));
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return repeated ? reflection->GetRepeatedInt64(message, field, index) : reflection->GetInt64(message, field);
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return static_cast<int64_t>(repeated ? reflection->GetRepeatedUInt32(message, field, index)
                                           : reflection->GetUInt32(message, field));
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return static_cast<int64_t>(repeated ? reflection->GetRepeatedUInt64(message, field, index)
                                           : reflection->GetUInt64(message, field));
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
    case pb::FieldDescriptor::CPPTYPE_FLOAT: {
      const double value =
          field->cpp_type() == pb::FieldDescriptor::CPPTYPE_FLOAT
              ? (repeated ? reflection->GetRepeatedFloat(message, field, index) : reflection->GetFloat(message, field))
              : (repeated ? reflection->GetRepeatedDouble(message, field, index)
                          : reflection->GetDouble(message, field));
      return std::isfinite(value) ? Json(value) : Json(std::to_string(value));
    }
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return repeated ? reflection->GetRepeatedBool(message, field, index) : reflection->GetBool(message, field);
    case pb::FieldDescriptor::CPPTYPE_ENUM: {
      const auto* value =
          repeated ? reflection->GetRepeatedEnum(message, field, index) : reflection->GetEnum(message, field);
      return value->name();
    }
    case pb::FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      const std::string& text = repeated ? reflection->GetRepeatedStringReference(message, field, index, &scratch)
                                         : reflection->GetStringReference(message, field, &scratch);
      return field->type() == pb::FieldDescriptor::TYPE_BYTES ? Json(Base64Encode(text)) : Json(PrintableUtf8(text));
    }
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageJson(repeated ? reflection->GetRepeatedMessage(message, field, index)
                                  : reflection->GetMessage(message, field));
  }
  return {};
}

Json PayloadJson(const temporal::api::common::v1::Payload& payload) {
  if (auto json = workflow::ReadJson(payload)) return *json;
  Json encoded = Json::MakeObject({{"data", Base64Encode(payload.data())}});
  const auto encoding = payload.metadata().find("encoding");
  return encoded.Set("encoding",
                     encoding == payload.metadata().end() ? std::string() : PrintableUtf8(encoding->second));
}

// Messages whose JSON is more than their fields.
bool SpecialJson(const pb::Message& message, Json* json) {
  const std::string& name = message.GetDescriptor()->full_name();
  if (name == "temporal.api.common.v1.Payload") {
    *json = PayloadJson(static_cast<const temporal::api::common::v1::Payload&>(message));
  } else if (name == "temporal.api.common.v1.Payloads") {
    const auto& payloads = static_cast<const temporal::api::common::v1::Payloads&>(message);
    *json = Json::MakeArray();
    for (const auto& payload : payloads.payloads()) json->Push(PayloadJson(payload));
  } else if (name == "google.protobuf.Duration" || name == "google.protobuf.Timestamp") {
    const auto* seconds = message.GetDescriptor()->FindFieldByNumber(1);
    const auto* nanos = message.GetDescriptor()->FindFieldByNumber(2);
    const int64_t whole = message.GetReflection()->GetInt64(message, seconds);
    const int32_t rest = message.GetReflection()->GetInt32(message, nanos);
    char digits[48];
    std::snprintf(digits, sizeof(digits), "%lld.%09d", static_cast<long long>(whole), rest);
    std::string text(digits);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    *json = text + "s";
  } else {
    return false;
  }
  return true;
}

Json MessageJson(const pb::Message& message) {
  Json json = Json::MakeObject();
  if (SpecialJson(message, &json)) return json;
  std::vector<const pb::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    // The server says that a queue is no sticky one; a command need not.
    if (field->name() == "kind" && message.GetDescriptor()->full_name() == "temporal.api.taskqueue.v1.TaskQueue")
      continue;
    if (std::find(std::begin(kOfTheServer), std::end(kOfTheServer), field->name()) != std::end(kOfTheServer)) continue;
    if (field->is_map()) {
      Json map = Json::MakeObject();
      for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
        const pb::Message& entry = message.GetReflection()->GetRepeatedMessage(message, field, i);
        const Json key = ValueJson(entry, field->message_type()->map_key(), -1);
        map.Set(key.is_string() ? key.AsString() : CanonicalJson(key),
                ValueJson(entry, field->message_type()->map_value(), -1));
      }
      json.Set(field->json_name(), std::move(map));
    } else if (field->is_repeated()) {
      Json list = Json::MakeArray();
      for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i)
        list.Push(ValueJson(message, field, i));
      json.Set(field->json_name(), std::move(list));
    } else {
      json.Set(field->json_name(), ValueJson(message, field, -1));
    }
  }
  return json;
}

template <typename Message>
Json WithAttributes(const Message& message) {
  Json json = Json::MakeObject({{"command", PrintableUtf8(workflow::IdentityOf(message).ToString())}});
  const auto* oneof = Message::descriptor()->FindOneofByName("attributes");
  const auto* field = message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
  return json.Set("attributes", field == nullptr ? Json::MakeObject()
                                                 : MessageJson(message.GetReflection()->GetMessage(message, field)));
}

// Of the one set attributes message.
std::string TypeNameIn(const pb::Message& message) {
  const pb::OneofDescriptor* attributes = message.GetDescriptor()->FindOneofByName("attributes");
  const pb::FieldDescriptor* set =
      attributes != nullptr ? message.GetReflection()->GetOneofFieldDescriptor(message, attributes) : nullptr;
  if (set == nullptr || set->message_type() == nullptr) return {};
  const pb::Message& inner = message.GetReflection()->GetMessage(message, set);
  for (const char* name : {"activity_type", "workflow_type", "signal_name", "marker_name"}) {
    const pb::FieldDescriptor* field = inner.GetDescriptor()->FindFieldByName(name);
    if (field == nullptr) continue;
    if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING) return inner.GetReflection()->GetString(inner, field);
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const pb::Message& type = inner.GetReflection()->GetMessage(inner, field);
    if (const pb::FieldDescriptor* text = type.GetDescriptor()->FindFieldByName("name"); text != nullptr)
      return type.GetReflection()->GetString(type, text);
  }
  return {};
}

}  // namespace

Json CommandJson(const temporal::api::command::v1::Command& command) { return WithAttributes(command); }
Json CommandEventJson(const workflow::HistoryEvent& event) {
  return WithAttributes(event).Set("eventId", event.event_id());
}

std::string CommandTypeName(const temporal::api::command::v1::Command& command) { return TypeNameIn(command); }

std::string EventTypeNameOf(const workflow::HistoryEvent& event) { return TypeNameIn(event); }

std::string AttributePointer(std::string_view field) {
  // Behind the attribute's name a place inside its payload is a pointer already.
  const size_t place = std::min(field.find('/'), field.size());
  std::string pointer;
  for (const std::string_view part : Split(field.substr(0, place), '.')) pointer += "/" + JsonPointerToken(part);
  return pointer + std::string(field.substr(place));
}

}  // namespace lockstep::replay
