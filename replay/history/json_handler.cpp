#include "replay/history/json_handler.h"

#include <google/protobuf/arena.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "engine-core/base/base64.h"
#include "engine-core/base/json.h"
#include "engine-core/base/time.h"
#include "replay/history/event_names.h"

namespace lockstep::history {
namespace {

// A payload with more tokens than this is a decoded value, not {metadata, data}.
constexpr size_t kMaxPayloadTokens = size_t{1} << 22;

// `10s`, `-0.250s`, up to nine fraction digits.
bool ParseDuration(std::string_view text, int64_t* seconds, int32_t* nanos) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (!text.ends_with('s')) return false;
  text.remove_suffix(1);
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction = point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  if (whole.empty() || !IsAsciiDigit(whole[0])) return false;
  const auto value = ParseInt64(whole);
  if (!value || fraction.size() > 9 || (point != std::string_view::npos && fraction.empty())) return false;
  int32_t billionths = 0;
  for (size_t i = 0; i < 9; ++i) {
    if (i < fraction.size() && !IsAsciiDigit(fraction[i])) return false;
    billionths = billionths * 10 + (i < fraction.size() ? fraction[i] - '0' : 0);
  }
  *seconds = negative ? -*value : *value;
  *nanos = negative ? -billionths : billionths;
  return true;
}

// An integer in any of JSON's spellings: 12, "12", 12.0, 1.2e1.
template <typename Int>
std::optional<Int> ParseInteger(std::string_view text) {
  // Up to nine plain digits are most of what there is.
  if (!text.empty() && text.size() <= 9) {
    uint32_t plain = 0;
    size_t i = 0;
    for (; i < text.size() && IsAsciiDigit(text[i]); ++i) plain = plain * 10 + static_cast<uint32_t>(text[i] - '0');
    if (i == text.size()) return static_cast<Int>(plain);
  }
  Int value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && at == end) return value;
  if (text.find_first_of(".eE") == std::string_view::npos) return std::nullopt;
  double real = 0;
  const auto [real_at, real_error] = std::from_chars(text.data(), end, real);
  if (real_error != std::errc() || real_at != end || std::trunc(real) != real) return std::nullopt;
  // Both bounds are exact as doubles: -2^n and 2^n.
  const double upper = std::ldexp(1.0, std::numeric_limits<Int>::digits);
  const double lower = std::numeric_limits<Int>::is_signed ? -upper : 0.0;
  if (real < lower || real >= upper) return std::nullopt;
  return static_cast<Int>(real);
}

std::optional<double> ParseDouble(std::string_view text, bool quoted) {
  if (quoted) {
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    const bool number =
        !text.empty() && (IsAsciiDigit(text[0]) || (text[0] == '-' && text.size() > 1 && IsAsciiDigit(text[1])));
    if (!number) return std::nullopt;
  }
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end) return std::nullopt;
  return value;
}
}  // namespace

std::string JsonHandler::Describe(Token::Kind kind, std::string_view text) {
  switch (kind) {
    case Token::kObject:
      return "an object";
    case Token::kArray:
      return "an array";
    case Token::kString:
      return "\"" + Excerpt(text) + "\"";
    case Token::kNumber:
      return Excerpt(text);
    case Token::kTrue:
      return "true";
    case Token::kFalse:
      return "false";
    default:
      return "null";
  }
}

std::string JsonHandler::Pointer() const {
  std::string out;
  for (const Frame& frame : stack_) {
    if (frame.state == Frame::kEvents || frame.state == Frame::kRaw || frame.state == Frame::kRepeated) {
      if (frame.index >= 0) out += "/" + std::to_string(frame.index);
    } else if (frame.key.data() != nullptr) {
      out += "/" + JsonPointerToken(frame.key);
    }
  }
  return out + payload_pointer_;
}

bool JsonHandler::Enter(Token::Kind kind) {
  if (!replaying_ && ++depth_ > target_->max_depth) {
    return Refuse("nesting of at most " + std::to_string(target_->max_depth) + " levels", "more");
  }
  if (skip_ > 0) {
    ++skip_;
    return true;
  }
  if (payload_ != nullptr) {
    ++payload_depth_;
    return Collect(kind, {});
  }
  return Open(kind);
}

bool JsonHandler::Leave(Token::Kind kind) {
  if (!replaying_) --depth_;
  if (skip_ > 0) {
    --skip_;
    return true;
  }
  if (payload_ != nullptr) {
    if (!Collect(kind, {})) return false;
    return --payload_depth_ > 0 || FinishPayload();
  }
  return Close();
}

void JsonHandler::Push(Frame::State state, pb::Message* message, const MessageTable* table, const FieldEntry* field) {
  Frame& frame = stack_.emplace_back();
  frame.state = state;
  frame.message = message;
  frame.table = table;
  frame.field = field;
}

bool JsonHandler::PushEvent() {
  if (!Spend()) return false;
  unknown_type_.clear();
  Push(Frame::kMessage, target_->history->add_events(), event_table_, nullptr);
  return true;
}

bool JsonHandler::Open(Token::Kind kind) {
  if (stack_.empty()) {
    if (kind == Token::kObject) {
      Push(Frame::kEnvelope, nullptr, nullptr, nullptr);
    } else {
      found_events_ = true;
      Push(Frame::kEvents, nullptr, nullptr, nullptr);
    }
    return true;
  }
  Frame* frame = &stack_.back();
  switch (frame->state) {
    case Frame::kEnvelope:
      return OpenInEnvelope(frame, kind);
    case Frame::kExecution:
      skip_ = 1;
      return true;
    case Frame::kEvents:
      ++frame->index;
      return kind == Token::kObject ? PushEvent() : Refuse("an event (an object)", Describe(kind, {}));
    case Frame::kRaw: {
      ++frame->index;
      if (kind != Token::kObject) return Refuse("a data blob (an object)", Describe(kind, {}));
      if (!Spend()) return false;
      auto* blob = pb::Arena::CreateMessage<api::common::v1::DataBlob>(target_->arena);
      raw_.push_back(blob);
      Push(Frame::kMessage, blob, &TableOf(api::common::v1::DataBlob::descriptor()), nullptr);
      return true;
    }
    case Frame::kLong:
      return Refuse("a number", Describe(kind, {}));
    case Frame::kMessage:
      return OpenField(frame, kind);
    case Frame::kRepeated:
      ++frame->index;
      return OpenValue(*frame->field, kind);
    case Frame::kMap:
      return OpenValue(*frame->field, kind);
  }
  return false;
}

bool JsonHandler::OpenInEnvelope(Frame* frame, Token::Kind kind) {
  const std::string_view key = frame->key;
  if (key == "events" || (key == "history" && kind == Token::kArray)) {
    if (kind != Token::kArray) return Refuse("an array of events", Describe(kind, {}));
    found_events_ = true;
    Push(Frame::kEvents, nullptr, nullptr, nullptr);
  } else if (key == "history") {
    Push(Frame::kEnvelope, nullptr, nullptr, nullptr);
    stack_.back().envelope_seen = true;
  } else if (key == "rawHistory" || key == "raw_history") {
    if (kind != Token::kArray) return Refuse("an array of data blobs", Describe(kind, {}));
    Push(Frame::kRaw, nullptr, nullptr, nullptr);
  } else if (kind == Token::kObject &&
             (key == "workflowExecution" || key == "workflow_execution" || key == "execution")) {
    Push(Frame::kExecution, nullptr, nullptr, nullptr);
  } else {
    skip_ = 1;
  }
  return true;
}

bool JsonHandler::MarkOneof(Frame* frame, const FieldEntry& field) {
  if (field.oneof < 0 || frame->state != Frame::kMessage) return true;
  const uint64_t bit = uint64_t{1} << field.oneof;
  if ((frame->oneofs & bit) != 0) {
    return Refuse("at most one of `" + field.field->containing_oneof()->name() + "`", "a second one");
  }
  frame->oneofs |= bit;
  return true;
}

pb::Message* JsonHandler::Child(Frame* frame, const FieldEntry& field) {
  pb::Message* owner = frame->message;
  if (field.container == Container::kMap) {
    std::string key(frame->key);
    if (field.map.message != nullptr) {
      pb::Message* value = field.map.message(owner, std::move(key));
      if (value == nullptr) Refuse("each key once", "`" + std::string(frame->key) + "` again");
      return value;
    }
    pb::Message* entry = owner->GetReflection()->AddMessage(owner, field.field);
    entry->GetReflection()->SetString(entry, field.map_key, std::move(key));
    return entry->GetReflection()->MutableMessage(entry, field.map_value);
  }
  if (field.container == Container::kRepeated) return owner->GetReflection()->AddMessage(owner, field.field);
  if (field.direct.message != nullptr) return field.direct.message(owner);
  return frame->table->reflection->MutableMessage(owner, field.field);
}

bool JsonHandler::OpenField(Frame* frame, Token::Kind kind) {
  if (frame->field == nullptr) {
    skip_ = 1;
    return true;
  }
  const FieldEntry& field = *frame->field;
  if (field.container == Container::kMap) {
    if (kind != Token::kObject) return Refuse("an object", Describe(kind, {}));
    Push(Frame::kMap, frame->message, frame->table, &field);
    return true;
  }
  if (field.container == Container::kRepeated) {
    if (kind != Token::kArray) return Refuse("an array", Describe(kind, {}));
    Push(Frame::kRepeated, frame->message, frame->table, &field);
    return true;
  }
  return MarkOneof(frame, field) && OpenValue(field, kind);
}

// A value that is an object or an array, for a field, an element or a map's entry.
bool JsonHandler::OpenValue(const FieldEntry& field, Token::Kind kind) {
  Frame* frame = &stack_.back();
  const bool integer = field.kind == ValueKind::kInt64 || field.kind == ValueKind::kUint64;
  if (integer && kind == Token::kObject) {
    Push(Frame::kLong, frame->message, frame->table, &field);
    return true;
  }
  if (field.message == nullptr) {
    return Refuse(field.kind == ValueKind::kString  ? "a string"
                  : field.kind == ValueKind::kBytes ? "base64"
                                                    : "a scalar",
                  Describe(kind, {}));
  }
  if (!Spend()) return false;
  if (field.message->role == MessageRole::kPayload) {
    payload_ = static_cast<api::common::v1::Payload*>(Child(frame, field));
    if (payload_ == nullptr) return false;
    payload_in_list_ = frame->shorthand_list;
    payload_depth_ = 1;
    tokens_.clear();
    return Collect(kind, {});
  }
  if (kind == Token::kArray) {
    if (field.message->role != MessageRole::kPayloads) return Refuse("an object", "an array");
    // `[a, b]` in place of `{"payloads": [..]}`.
    pb::Message* payloads = Child(frame, field);
    if (payloads == nullptr) return false;
    Push(Frame::kRepeated, payloads, field.message, &field.message->fields[0]);
    stack_.back().shorthand_list = true;
    return true;
  }
  pb::Message* child = Child(frame, field);
  if (child == nullptr) return false;
  Push(Frame::kMessage, child, field.message, nullptr);
  return true;
}

bool JsonHandler::Close() {
  if (stack_.back().state != Frame::kLong) {
    const Frame& frame = stack_.back();
    if (frame.state == Frame::kMessage && frame.table == event_table_) {
      FinishEvent(static_cast<const api::history::v1::HistoryEvent&>(*frame.message));
    }
    stack_.pop_back();
  } else {
    const Frame done = stack_.back();
    stack_.pop_back();
    if (!done.long_seen) return Refuse("a number", "an object without low and high");
    const uint64_t value = static_cast<uint64_t>(done.high) << 32 | (static_cast<uint64_t>(done.low) & 0xFFFFFFFFU);
    Frame* owner = &stack_.back();
    if (done.field->kind == ValueKind::kInt64) {
      StoreInt(owner, *done.field, static_cast<int64_t>(value));
    } else {
      StoreInt(owner, *done.field, value);
    }
  }
  return true;
}

void JsonHandler::FinishEvent(const api::history::v1::HistoryEvent& event) {
  if (event.event_type() == 0 && unknown_type_.empty()) return;
  if (unknown_type_.empty()) {
    if (api::enums::v1::EventType_IsValid(event.event_type())) return;
    unknown_type_ = std::to_string(event.event_type());
  }
  target_->info->unknown_events.push_back({event.event_id(), unknown_type_, event.worker_may_ignore()});
}

bool JsonHandler::Member(std::string_view key) {
  Frame* frame = &stack_.back();
  frame->key = key;
  if (frame->state == Frame::kEnvelope) return EnvelopeMember(frame, key);
  if (frame->state != Frame::kMessage) return true;
  frame->field = frame->table->FindName(key);
  if (frame->field == nullptr) {
    ++target_->info->unknown_fields;
    return true;
  }
  uint64_t& seen = frame->seen[frame->field->index >> 6];
  const uint64_t bit = uint64_t{1} << (frame->field->index & 63);
  if ((seen & bit) != 0) return Refuse("each field once", "`" + frame->field->json_name + "` again");
  seen |= bit;
  return true;
}

bool JsonHandler::EnvelopeMember(Frame* frame, std::string_view key) {
  const bool of_event = key == "eventId" || key == "event_id" || key == "eventType" || key == "event_type" ||
                        key == "eventTime" || key == "event_time";
  if (!of_event || frame->envelope_seen) {
    frame->envelope_seen = true;
    return true;
  }
  // One event a line.
  found_events_ = true;
  stack_.pop_back();
  return PushEvent() && Member(key);
}

bool JsonHandler::Scalar(Token::Kind kind, std::string_view text) {
  if (skip_ > 0) return true;
  if (payload_ != nullptr) return Collect(kind, text);
  if (stack_.empty()) return Refuse("a history (an object, or an array of events)", Describe(kind, text));
  Frame* frame = &stack_.back();
  switch (frame->state) {
    case Frame::kEnvelope:
    case Frame::kExecution:
      return EnvelopeScalar(frame, kind, text);
    case Frame::kEvents:
      ++frame->index;
      return Refuse("an event (an object)", Describe(kind, text));
    case Frame::kRaw:
      ++frame->index;
      return Refuse("a data blob (an object)", Describe(kind, text));
    case Frame::kLong: {
      if (frame->key == "unsigned") return true;
      const auto value = kind == Token::kNumber ? ParseInt64(text) : std::nullopt;
      if (!value || *value < INT32_MIN || *value > UINT32_MAX) return Refuse("a 32-bit number", Describe(kind, text));
      if (frame->key == "low") frame->low = *value;
      if (frame->key == "high") frame->high = *value;
      frame->long_seen = frame->long_seen || frame->key == "low" || frame->key == "high";
      return true;
    }
    case Frame::kRepeated:
      ++frame->index;
      return ScalarValue(frame, kind, text);
    case Frame::kMap:
      return ScalarValue(frame, kind, text);
    case Frame::kMessage:
      break;
  }
  if (frame->field == nullptr || kind == Token::kNull) return true;
  const FieldEntry& field = *frame->field;
  if (field.container == Container::kMap) return Refuse("an object", Describe(kind, text));
  if (field.container == Container::kRepeated) return Refuse("an array", Describe(kind, text));
  return MarkOneof(frame, field) && ScalarValue(frame, kind, text);
}

bool JsonHandler::EnvelopeScalar(Frame* frame, Token::Kind kind, std::string_view text) {
  const std::string_view key = frame->key;
  if (kind == Token::kString) {
    if (key == "workflowId" || key == "workflow_id") target_->info->workflow_id = text;
    if (key == "runId" || key == "run_id") target_->info->run_id = text;
  }
  if (frame->state == Frame::kExecution || kind == Token::kNull) return true;
  if (key == "events") return Refuse("an array of events", Describe(kind, text));
  if (key == "history") return Refuse("a history (an object)", Describe(kind, text));
  if (key == "rawHistory" || key == "raw_history") return Refuse("an array of data blobs", Describe(kind, text));
  return true;
}

bool JsonHandler::ScalarValue(Frame* frame, Token::Kind kind, std::string_view text) {
  const FieldEntry& field = *frame->field;
  if (field.message != nullptr && field.message->role == MessageRole::kPayload) {
    if (!Spend()) return false;
    tokens_.assign(1, Token{text.data(), static_cast<uint32_t>(text.size()), kind});
    auto* payload = static_cast<api::common::v1::Payload*>(Child(frame, field));
    if (payload == nullptr) return false;
    ReadShorthandPayload(tokens_, payload);
    return true;
  }
  return Assign(frame, field, kind, text);
}

template <typename Integer>
void JsonHandler::StoreInt(Frame* frame, const FieldEntry& field, Integer value) {
  if constexpr (std::is_same_v<Integer, int64_t>) {
    if (field.direct.set_int64 != nullptr) return field.direct.set_int64(frame->message, value);
  }
  const pb::Reflection* reflection = frame->message->GetReflection();
  const bool add = field.container == Container::kRepeated;
  if constexpr (std::is_same_v<Integer, int64_t>) {
    add ? reflection->AddInt64(frame->message, field.field, value)
        : reflection->SetInt64(frame->message, field.field, value);
  } else if constexpr (std::is_same_v<Integer, uint64_t>) {
    add ? reflection->AddUInt64(frame->message, field.field, value)
        : reflection->SetUInt64(frame->message, field.field, value);
  } else if constexpr (std::is_same_v<Integer, int32_t>) {
    add ? reflection->AddInt32(frame->message, field.field, value)
        : reflection->SetInt32(frame->message, field.field, value);
  } else {
    add ? reflection->AddUInt32(frame->message, field.field, value)
        : reflection->SetUInt32(frame->message, field.field, value);
  }
}

bool JsonHandler::Assign(Frame* frame, const FieldEntry& field, Token::Kind kind, std::string_view text) {
  const pb::Reflection* reflection = frame->table->reflection;
  const bool add = field.container == Container::kRepeated;
  switch (field.kind) {
    case ValueKind::kString:
      if (kind != Token::kString) return Refuse("a string", Describe(kind, text));
      if (field.container == Container::kMap) {
        if (field.map.text != nullptr) {
          std::string* value = field.map.text(frame->message, std::string(frame->key));
          if (value == nullptr) return Refuse("each key once", "`" + std::string(frame->key) + "` again");
          value->assign(text);
          return true;
        }
        pb::Message* entry = reflection->AddMessage(frame->message, field.field);
        entry->GetReflection()->SetString(entry, field.map_key, std::string(frame->key));
        entry->GetReflection()->SetString(entry, field.map_value, std::string(text));
        return true;
      }
      if (field.direct.text != nullptr) {
        field.direct.text(frame->message)->assign(text);
        return true;
      }
      add ? reflection->AddString(frame->message, field.field, std::string(text))
          : reflection->SetString(frame->message, field.field, std::string(text));
      return true;
    case ValueKind::kBytes: {
      std::string bytes;
      if (kind != Token::kString || !Base64DecodeTo(text, &bytes)) return Refuse("base64", Describe(kind, text));
      if (field.container == Container::kMap) {
        std::string* value =
            field.map.text == nullptr ? nullptr : field.map.text(frame->message, std::string(frame->key));
        if (value == nullptr) return Refuse("each key once", "`" + std::string(frame->key) + "` again");
        *value = std::move(bytes);
        return true;
      }
      add ? reflection->AddString(frame->message, field.field, std::move(bytes))
          : reflection->SetString(frame->message, field.field, std::move(bytes));
      return true;
    }
    case ValueKind::kBool:
      if (kind != Token::kTrue && kind != Token::kFalse) return Refuse("true or false", Describe(kind, text));
      add ? reflection->AddBool(frame->message, field.field, kind == Token::kTrue)
          : reflection->SetBool(frame->message, field.field, kind == Token::kTrue);
      return true;
    case ValueKind::kEnum:
      return AssignEnum(frame, field, kind, text);
    case ValueKind::kTimestamp:
    case ValueKind::kDuration:
      return AssignTime(frame, field, kind, text);
    case ValueKind::kMessage:
      return Refuse(field.message->role == MessageRole::kPayloads ? "payloads (an object or an array)" : "an object",
                    Describe(kind, text));
    default:
      return AssignNumber(frame, field, text, kind);
  }
}

bool JsonHandler::AssignNumber(Frame* frame, const FieldEntry& field, std::string_view text, Token::Kind kind) {
  const auto store = [&](const auto& value, const char* expected) {
    if (!value) return Refuse(expected, Describe(kind, text));
    StoreInt(frame, field, *value);
    return true;
  };
  const bool number = kind == Token::kNumber || kind == Token::kString;
  switch (field.kind) {
    case ValueKind::kInt64:
      return store(number ? ParseInteger<int64_t>(text) : std::nullopt, "a 64-bit integer (a number or a string)");
    case ValueKind::kUint64:
      return store(number ? ParseInteger<uint64_t>(text) : std::nullopt,
                   "an unsigned 64-bit integer (a number or a string)");
    case ValueKind::kInt32:
      return store(number ? ParseInteger<int32_t>(text) : std::nullopt, "a 32-bit integer");
    case ValueKind::kUint32:
      return store(number ? ParseInteger<uint32_t>(text) : std::nullopt, "an unsigned 32-bit integer");
    default:
      break;
  }
  const auto value = number ? ParseDouble(text, kind == Token::kString) : std::nullopt;
  const bool is_float = field.kind == ValueKind::kFloat;
  if (!value || (is_float && std::isfinite(*value) &&
                 std::abs(*value) > static_cast<double>(std::numeric_limits<float>::max()))) {
    return Refuse("a number", Describe(kind, text));
  }
  const pb::Reflection* reflection = frame->table->reflection;
  const bool add = field.container == Container::kRepeated;
  if (is_float) {
    const auto narrow = static_cast<float>(*value);
    add ? reflection->AddFloat(frame->message, field.field, narrow)
        : reflection->SetFloat(frame->message, field.field, narrow);
  } else {
    add ? reflection->AddDouble(frame->message, field.field, *value)
        : reflection->SetDouble(frame->message, field.field, *value);
  }
  return true;
}

bool JsonHandler::AssignEnum(Frame* frame, const FieldEntry& field, Token::Kind kind, std::string_view text) {
  std::optional<int> value;
  if (kind == Token::kString) {
    value = field.enumeration->Parse(text);
    if (!value) {
      // A newer server's name. An event of unknown type is kept and told apart; elsewhere it is one more unknown.
      if (frame->table == event_table_ && field.proto_name == "event_type") {
        unknown_type_ = text.empty() ? "(empty)" : std::string(text);
      } else {
        ++target_->info->unknown_fields;
      }
      return true;
    }
  } else if (kind == Token::kNumber) {
    value = ParseInteger<int32_t>(text);
  }
  if (!value) return Refuse("the name or number of an enum value", Describe(kind, text));
  if (field.direct.set_enum != nullptr) {
    field.direct.set_enum(frame->message, *value);
    return true;
  }
  const pb::Reflection* reflection = frame->table->reflection;
  field.container == Container::kRepeated ? reflection->AddEnumValue(frame->message, field.field, *value)
                                          : reflection->SetEnumValue(frame->message, field.field, *value);
  return true;
}

bool JsonHandler::AssignTime(Frame* frame, const FieldEntry& field, Token::Kind kind, std::string_view text) {
  if (field.kind == ValueKind::kDuration) {
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (kind != Token::kString || !ParseDuration(text, &seconds, &nanos)) {
      return Refuse("a duration such as \"10s\" or \"0.250s\"", Describe(kind, text));
    }
    if (!Spend()) return false;
    auto* duration = static_cast<pb::Duration*>(Child(frame, field));
    duration->set_seconds(seconds);
    duration->set_nanos(nanos);
    return true;
  }
  const auto time = kind == Token::kString ? ParseRfc3339(text) : std::nullopt;
  if (!time) return Refuse("a time such as \"2024-01-31T12:00:00.5Z\"", Describe(kind, text));
  if (!Spend()) return false;
  auto* timestamp = static_cast<pb::Timestamp*>(Child(frame, field));
  timestamp->set_seconds(time->seconds);
  timestamp->set_nanos(time->nanos);
  return true;
}

bool JsonHandler::Collect(Token::Kind kind, std::string_view text) {
  if (tokens_.size() >= kMaxPayloadTokens) {
    return Refuse("a payload of at most " + std::to_string(kMaxPayloadTokens) + " JSON tokens", "more");
  }
  tokens_.push_back(Token{text.data(), static_cast<uint32_t>(text.size()), kind});
  return true;
}

bool JsonHandler::FinishPayload() {
  api::common::v1::Payload* payload = payload_;
  payload_ = nullptr;
  PayloadReading reading;
  PayloadFault fault;
  if (!ReadPayload(tokens_, payload_in_list_, payload, &reading, &fault)) {
    payload_pointer_ = fault.pointer;
    return Refuse(std::move(fault.expected), std::move(fault.found));
  }
  target_->info->unknown_fields += reading.unknown_fields;
  if (reading.external_last == 0) return true;
  Push(Frame::kMessage, payload, &TableOf(api::common::v1::Payload::descriptor()), nullptr);
  replaying_ = true;
  const bool ok = Replay(reading.external_first, reading.external_last);
  replaying_ = false;
  if (ok) stack_.pop_back();
  return ok;
}

// Feeds collected tokens to the handler as if the parser had just met them.
bool JsonHandler::Replay(size_t first, size_t last) {
  for (size_t i = first; i < last; ++i) {
    const Token token = tokens_[i];
    bool ok = true;
    switch (token.kind) {
      case Token::kObject:
      case Token::kArray:
        ok = Enter(token.kind);
        break;
      case Token::kEndObject:
      case Token::kEndArray:
        ok = Leave(token.kind);
        break;
      case Token::kKey:
        ok = skip_ > 0 || Member(token.view());
        break;
      default:
        ok = Scalar(token.kind, token.view());
        break;
    }
    if (!ok) return false;
  }
  return true;
}
}  // namespace lockstep::history
