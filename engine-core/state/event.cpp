#include "engine-core/state/event.h"

#include <array>
#include <cmath>
#include <limits>

#include "engine-core/base/bytes.h"
#include "engine-core/base/ids.h"
#include "engine-core/base/time.h"
#include "engine-core/state/catalog.h"
#include "engine-core/state/keys.h"

namespace lockstep::state {
namespace {

constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;
constexpr size_t kMaxDepth = 60;  // payload plus envelope stay inside the parser's 64 levels

bool IsKey(std::string_view text) { return IsLowerHex(text, 64); }
bool IsTime(std::string_view text) { return ParseUtcMillis(text).has_value(); }

struct TextField {
  std::string_view name;
  std::string EventWrite::* member;
  bool (*valid)(std::string_view);
  std::string_view expected;
};

constexpr std::string_view kIdentifierForm = "1 to 128 of A-Z a-z 0-9 . _ : - that begin with a letter or digit";
constexpr std::array<TextField, 10> kTextFields = {{
    {"eventId", &EventWrite::event_id, IsUuidV4, "a lower-case UUID version 4"},
    {"eventType", &EventWrite::event_type, IsEventType, "PascalCase, 3 to 64 letters and digits"},
    {"runId", &EventWrite::run_id, IsIdentifier, kIdentifierForm},
    {"tenantId", &EventWrite::tenant_id, IsIdentifier, kIdentifierForm},
    {"projectId", &EventWrite::project_id, IsIdentifier, kIdentifierForm},
    {"environmentId", &EventWrite::environment_id, IsIdentifier, kIdentifierForm},
    {"planId", &EventWrite::plan_id, IsIdentifier, kIdentifierForm},
    {"planVersion", &EventWrite::plan_version, IsPlanVersion,
     "1 to 64 of A-Z a-z 0-9 . _ + - that begin with a letter or digit"},
    {"idempotencyKey", &EventWrite::idempotency_key, IsKey, "64 lower-case hex digits"},
    {"emittedAt", &EventWrite::emitted_at, IsTime, "a time YYYY-MM-DDThh:mm:ss.mmmZ"},
}};

struct AttemptField {
  std::string_view name;
  int32_t EventWrite::* member;
};
constexpr std::array<AttemptField, 2> kAttemptFields = {{
    {"logicalAttemptId", &EventWrite::logical_attempt_id},
    {"engineAttemptId", &EventWrite::engine_attempt_id},
}};

std::unexpected<Error> Refuse(std::string_view field, std::string_view expected, std::string_view found) {
  return Fail(SchemaError(field, expected, found));
}

std::string Quoted(std::string_view text) {
  std::string out;
  AppendJsonString(IsValidUtf8(text) ? TruncateUtf8(text, 80) : std::string_view("(malformed UTF-8)"), &out);
  return out;
}

Status CheckEnvelope(const EventWrite& event) {
  for (const TextField& field : kTextFields) {
    const std::string& text = event.*field.member;
    if (!field.valid(text)) return Refuse(field.name, field.expected, Quoted(text));
  }
  for (const AttemptField& field : kAttemptFields) {
    if (event.*field.member < 1) return Refuse(field.name, "at least 1", std::to_string(event.*field.member));
  }
  const bool step_event = IsStepEventType(event.event_type);
  if (step_event && !IsStepId(event.step_id)) {
    return Refuse("stepId", "a step id, because the event type begins with Step",
                  event.step_id.empty() ? std::string("nothing") : Quoted(event.step_id));
  }
  if (!step_event && !event.step_id.empty()) {
    return Refuse("stepId", "no step id, because the event type does not begin with Step", Quoted(event.step_id));
  }
  if (!event.payload.is_null() && !event.payload.is_object())
    return Refuse("payload", "an object", event.payload.KindName());
  if (!event.meta.is_null() && !event.meta.is_object()) return Refuse("meta", "an object", event.meta.KindName());
  return {};
}

// Canonical JSON writes a whole double below 10^21 without a fraction.
LOCKSTEP_TRUSTED("exact comparisons of IEEE values: nothing is rounded")
bool IsWrittenAsInteger(double number) { return std::abs(number) < 1e21 && std::trunc(number) == number; }

// The integer that a double is, when it is one within +/-(2^53-1).
LOCKSTEP_TRUSTED("exact comparisons of IEEE values: nothing is rounded")
std::optional<int64_t> SafeInteger(double number) {
  if (std::trunc(number) != number || std::abs(number) > static_cast<double>(kMaxSafeInteger)) return std::nullopt;
  return static_cast<int64_t>(number);
}

// What canonical JSON cannot carry must not enter the log: a value that comes back different would break every hash.
Status CheckCarriable(const Json& value, const std::string& path, size_t depth) {
  if (depth > kMaxDepth) return Refuse(path, "at most 60 levels of nesting", "more");
  switch (value.kind()) {
    case Json::Kind::kInt: {
      const int64_t number = value.AsInt();
      if (number > kMaxSafeInteger || number < -kMaxSafeInteger) {
        return Refuse(path, "an integer within +/-(2^53-1)", std::to_string(number));
      }
      return {};
    }
    case Json::Kind::kDouble: {
      if (!std::isfinite(value.AsDouble())) return Refuse(path, "a finite number", "infinity or NaN");
      if (IsWrittenAsInteger(value.AsDouble()) && !SafeInteger(value.AsDouble())) {
        return Refuse(path, "an integer within +/-(2^53-1)", "a larger one");
      }
      return {};
    }
    case Json::Kind::kString:
      if (!IsValidUtf8(value.AsString())) return Refuse(path, "well-formed UTF-8", "malformed bytes");
      return {};
    case Json::Kind::kArray: {
      size_t index = 0;
      for (const Json& element : value.AsArray()) {
        LOCKSTEP_TRY(CheckCarriable(element, path + "[" + std::to_string(index++) + "]", depth + 1));
      }
      return {};
    }
    case Json::Kind::kObject:
      for (const auto& [key, member] : value.AsObject()) {
        if (!IsValidUtf8(key)) return Refuse(path, "member names in well-formed UTF-8", "malformed bytes");
        LOCKSTEP_TRY(CheckCarriable(member, path + "." + key, depth + 1));
      }
      return {};
    case Json::Kind::kNull:
    case Json::Kind::kBool:
      return {};
  }
  return {};
}

Status CheckPayload(const EventWrite& event) {
  const EventSpec* spec = FindEventSpec(event.event_type);
  if (event.payload.is_null()) {
    if (spec != nullptr && spec->payload_required()) {
      return Refuse("payload", "the object that " + event.event_type + " requires", "nothing");
    }
    return {};
  }
  LOCKSTEP_TRY(CheckCarriable(event.payload, "payload", 1));
  const size_t size = CanonicalJson(event.payload).size();
  if (size > kMaxPayloadBytes) {
    return Refuse("payload", "at most " + std::to_string(kMaxPayloadBytes) + " bytes of canonical JSON",
                  std::to_string(size));
  }
  if (spec == nullptr) return {};
  return CheckShape(*spec->payload, event.payload, "payload");
}

Status CheckOccurrence(const EventWrite& event) {
  const EventSpec* spec = FindEventSpec(event.event_type);
  if (spec != nullptr && spec->occurs_once && event.logical_attempt_id != 1) {
    return Refuse("logicalAttemptId", "1, because a run has one " + event.event_type,
                  std::to_string(event.logical_attempt_id));
  }
  return {};
}

Result<std::string> TakeText(const Json& json, std::string_view name) {
  const Json* member = json.Find(name);
  if (member == nullptr) return Refuse(name, "a string", "nothing");
  if (!member->is_string()) return Refuse(name, "a string", member->KindName());
  return member->AsString();
}

Result<int64_t> TakeInteger(const Json& json, std::string_view name, int64_t max) {
  const Json* member = json.Find(name);
  if (member == nullptr) return Refuse(name, "an integer", "nothing");
  if (!member->is_int()) return Refuse(name, "an integer", member->KindName());
  if (member->AsInt() < 1 || member->AsInt() > max) {
    return Refuse(name, "an integer from 1 to " + std::to_string(max), std::to_string(member->AsInt()));
  }
  return member->AsInt();
}

Status ReadEnvelope(const Json& json, EventWrite* event) {
  if (!json.is_object()) return Refuse("$", "an object", json.KindName());
  for (const TextField& field : kTextFields) {
    LOCKSTEP_ASSIGN(event->*field.member, TakeText(json, field.name));
  }
  for (const AttemptField& field : kAttemptFields) {
    LOCKSTEP_ASSIGN(const int64_t number, TakeInteger(json, field.name, std::numeric_limits<int32_t>::max()));
    event->*field.member = static_cast<int32_t>(number);
  }
  if (const Json* step = json.Find("stepId"); step != nullptr) {
    if (!step->is_string() || step->AsString().empty()) {
      return Refuse("stepId", "a non-empty string", step->is_string() ? "an empty one" : step->KindName());
    }
    event->step_id = step->AsString();
  }
  if (const Json* payload = json.Find("payload"); payload != nullptr) {
    if (!payload->is_object()) return Refuse("payload", "an object", payload->KindName());
    event->payload = *payload;
  }
  if (const Json* meta = json.Find("meta"); meta != nullptr) {
    if (!meta->is_object()) return Refuse("meta", "an object", meta->KindName());
    event->meta = *meta;
  }
  return {};
}

bool IsWriteMember(std::string_view name) {
  for (const TextField& field : kTextFields) {
    if (field.name == name) return true;
  }
  for (const AttemptField& field : kAttemptFields) {
    if (field.name == name) return true;
  }
  return name == "stepId" || name == "payload" || name == "meta";
}

}  // namespace

Error SchemaError(std::string_view field, std::string_view expected, std::string_view found) {
  std::string message(field);
  message.append(": expected ").append(expected).append(", found ").append(found);
  return Error("SCHEMA_VALIDATION_FAILED", std::move(message)).With("field", std::string(field));
}

Json ToJson(const EventWrite& event) {
  Json json = Json::MakeObject();
  for (const TextField& field : kTextFields) json.Set(field.name, event.*field.member);
  for (const AttemptField& field : kAttemptFields) json.Set(field.name, event.*field.member);
  if (!event.step_id.empty()) json.Set("stepId", event.step_id);
  if (!event.payload.is_null()) json.Set("payload", event.payload);
  if (!event.meta.is_null()) json.Set("meta", event.meta);
  return json;
}

Json ToJson(const EventRecord& event) {
  Json json = ToJson(static_cast<const EventWrite&>(event));
  json.Set("runSeq", event.run_seq);
  json.Set("persistedAt", event.persisted_at);
  return json;
}

Result<EventWrite> ParseEventWrite(const Json& json) {
  EventWrite event;
  LOCKSTEP_TRY(ReadEnvelope(json, &event));
  for (const auto& [name, value] : json.AsObject()) {
    if (name == "runSeq" || name == "persistedAt") return Refuse(name, "nothing, the store assigns it", "a value");
    if (!IsWriteMember(name)) return Refuse(name, "no such member", "a value");
  }
  LOCKSTEP_TRY(Validate(event));
  NormalizeNumbers(&event.payload);
  NormalizeNumbers(&event.meta);
  return event;
}

Result<EventRecord> ParseEventRecord(const Json& json) {
  EventRecord event;
  LOCKSTEP_TRY(ReadEnvelope(json, &event));
  LOCKSTEP_TRY(CheckEnvelope(event));
  LOCKSTEP_ASSIGN(event.run_seq, TakeInteger(json, "runSeq", std::numeric_limits<int64_t>::max()));
  LOCKSTEP_ASSIGN(event.persisted_at, TakeText(json, "persistedAt"));
  if (!IsTime(event.persisted_at)) {
    return Refuse("persistedAt", "a time YYYY-MM-DDThh:mm:ss.mmmZ", Quoted(event.persisted_at));
  }
  return event;
}

Result<EventRecord> ParseEventRecordText(std::string_view text) {
  LOCKSTEP_ASSIGN(const Json json, ParseJson(text, kRecordLimits));
  return ParseEventRecord(json);
}

Status Validate(const EventWrite& event) {
  LOCKSTEP_TRY(CheckEnvelope(event));
  LOCKSTEP_TRY(CheckOccurrence(event));
  LOCKSTEP_TRY(CheckPayload(event));
  if (event.meta.is_null()) return {};
  LOCKSTEP_TRY(CheckCarriable(event.meta, "meta", 1));
  return CheckShape(MetaShape(), event.meta, "meta");
}

std::string KeyOf(const EventWrite& event) {
  return IdempotencyKey(event.run_id, event.step_id, event.logical_attempt_id, event.event_type, event.plan_id,
                        event.plan_version);
}

Status CheckKey(const EventWrite& event) {
  std::string expected = KeyOf(event);
  if (event.idempotency_key == expected) return {};
  return Fail(Error("IDEMPOTENCY_KEY_MISMATCH", event.event_type + " of run " + event.run_id +
                                                    ": idempotencyKey: expected " + expected + ", found " +
                                                    event.idempotency_key)
                  .With("expected", std::move(expected))
                  .With("found", event.idempotency_key));
}

void NormalizeNumbers(Json* value) {
  if (value->is_double()) {
    if (const auto whole = SafeInteger(value->AsDouble())) *value = Json(*whole);
  } else if (value->is_array()) {
    for (Json& element : value->AsArray()) NormalizeNumbers(&element);
  } else if (value->is_object()) {
    for (auto& [key, member] : value->AsObject()) NormalizeNumbers(&member);
  }
}

}  // namespace lockstep::state
