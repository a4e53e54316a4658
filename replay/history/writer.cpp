#include "replay/history/writer.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "engine-core/base/base64.h"
#include "engine-core/base/files.h"
#include "engine-core/base/json.h"
#include "engine-core/base/time.h"
#include "replay/history/codec_tables.h"
#include "replay/history/compression.h"

namespace lockstep::history {
namespace {

namespace pb = google::protobuf;
namespace api = temporal::api;

// The range that RFC 3339 can write: years 1 to 9999.
constexpr int64_t kFirstSecond = -62'135'596'800;
constexpr int64_t kLastSecond = 253'402'300'799;
// Protobuf's bound: about 10 000 years.
constexpr int64_t kLongestSeconds = 315'576'000'000;
constexpr int32_t kNanosPerSecond = 1'000'000'000;

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, const HistoryInfo* info) : style_(style), info_(info) {}

  std::string Write(const api::history::v1::History& history) {
    out_.reserve(static_cast<size_t>(history.events_size()) * 700 + 64);
    Open('{');
    Name("events");
    if (history.events_size() == 0) {
      out_ += "[]";
    } else {
      Open('[');
      for (const auto& event : history.events()) {
        Item();
        Message(event, EventTable());
      }
      Close(']');
    }
    Close('}');
    if (style_.indent > 0) out_.push_back('\n');
    return std::move(out_);
  }

 private:
  void NewLine() {
    if (style_.indent <= 0) return;
    out_.push_back('\n');
    out_.append(depth_ * static_cast<size_t>(style_.indent), ' ');
  }
  void Open(char bracket) {
    out_.push_back(bracket);
    ++depth_;
    first_ = true;
  }
  void Close(char bracket) {
    --depth_;
    if (!first_) NewLine();
    out_.push_back(bracket);
    first_ = false;
  }
  void Item() {
    if (!first_) out_.push_back(',');
    first_ = false;
    NewLine();
  }
  void Colon() { out_ += style_.indent > 0 ? ": " : ":"; }
  // Names of fields need no escapes.
  void Name(std::string_view name) {
    Item();
    out_.push_back('"');
    out_ += name;
    out_.push_back('"');
    Colon();
  }
  void Key(std::string_view key) {
    Item();
    AppendJsonString(key, &out_);
    Colon();
  }

  void Message(const pb::Message& message, const MessageTable& table);
  void Field(const pb::Message& message, const MessageTable& table, const FieldEntry& entry);
  void Map(const pb::Message& message, const MessageTable& table, const FieldEntry& entry);
  // `at`: index in a repeated field, -1 for a singular one.
  void Value(const pb::Message& message, const pb::Reflection& reflection, const FieldEntry& entry,
             const pb::FieldDescriptor* field, int at);
  void SubMessage(const pb::Message& message, const FieldEntry& entry);
  void Enum(int number, const EnumTable& table);
  void Bytes(const std::string& bytes) {
    out_.push_back('"');
    out_ += Base64Encode(bytes);
    out_.push_back('"');
  }
  template <typename Int>
  void Number(Int value, bool quoted) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    if (quoted) out_.push_back('"');
    out_.append(digits, end);
    if (quoted) out_.push_back('"');
  }
  template <typename Real>
  void RealNumber(Real value);
  void TimeParts(int64_t seconds, int32_t nanos);
  void Timestamp(const pb::Timestamp& time);
  void Duration(const pb::Duration& duration);

  const JsonStyle& style_;
  const HistoryInfo* info_;
  size_t unknown_event_ = 0;
  std::string out_;
  size_t depth_ = 0;
  bool first_ = true;
};

void JsonWriter::Message(const pb::Message& message, const MessageTable& table) {
  const bool event = &table == &EventTable();
  Open('{');
  for (const FieldEntry& entry : table.fields) {
    if (entry.container != Container::kSingular) {
      if (table.reflection->FieldSize(message, entry.field) == 0) continue;
    } else if (!table.reflection->HasField(message, entry.field)) {
      if (!event || info_ == nullptr || entry.number != api::history::v1::HistoryEvent::kEventTypeFieldNumber) continue;
      // The type of an unknown event that came as a text.
      const int64_t id = static_cast<const api::history::v1::HistoryEvent&>(message).event_id();
      if (unknown_event_ >= info_->unknown_events.size() || info_->unknown_events[unknown_event_].event_id != id)
        continue;
      Name(entry.json_name);
      AppendJsonString(info_->unknown_events[unknown_event_++].type, &out_);
      continue;
    } else if (event && info_ != nullptr && unknown_event_ < info_->unknown_events.size() &&
               entry.number == api::history::v1::HistoryEvent::kEventTypeFieldNumber &&
               info_->unknown_events[unknown_event_].event_id ==
                   static_cast<const api::history::v1::HistoryEvent&>(message).event_id()) {
      ++unknown_event_;
    }
    Name(entry.json_name);
    Field(message, table, entry);
  }
  Close('}');
}

void JsonWriter::Field(const pb::Message& message, const MessageTable& table, const FieldEntry& entry) {
  const pb::Reflection& reflection = *table.reflection;
  switch (entry.container) {
    case Container::kSingular:
      return Value(message, reflection, entry, entry.field, -1);
    case Container::kMap:
      return Map(message, table, entry);
    case Container::kRepeated:
      break;
  }
  Open('[');
  const int count = reflection.FieldSize(message, entry.field);
  for (int i = 0; i < count; ++i) {
    Item();
    Value(message, reflection, entry, entry.field, i);
  }
  Close(']');
}

void JsonWriter::Map(const pb::Message& message, const MessageTable& table, const FieldEntry& entry) {
  Open('{');
  // The commonest map by far; reflection would copy it.
  if (table.role == MessageRole::kPayload) {
    const auto& metadata = static_cast<const api::common::v1::Payload&>(message).metadata();
    std::vector<std::pair<std::string_view, const std::string*>> sorted;
    sorted.reserve(metadata.size());
    for (const auto& [key, value] : metadata) sorted.emplace_back(key, &value);
    std::sort(sorted.begin(), sorted.end());
    for (const auto& [key, value] : sorted) {
      Key(key);
      Bytes(*value);
    }
    return Close('}');
  }
  const int count = table.reflection->FieldSize(message, entry.field);
  std::vector<std::pair<std::string, const pb::Message*>> sorted;
  for (int i = 0; i < count; ++i) {
    const pb::Message& pair = table.reflection->GetRepeatedMessage(message, entry.field, i);
    sorted.emplace_back(pair.GetReflection()->GetString(pair, entry.map_key), &pair);
  }
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [key, pair] : sorted) {
    Key(key);
    Value(*pair, *pair->GetReflection(), entry, entry.map_value, -1);
  }
  Close('}');
}

void JsonWriter::Value(const pb::Message& message, const pb::Reflection& reflection, const FieldEntry& entry,
                       const pb::FieldDescriptor* field, int at) {
  const bool one = at < 0;
  std::string scratch;
  switch (entry.kind) {
    case ValueKind::kBool:
      out_ += (one ? reflection.GetBool(message, field) : reflection.GetRepeatedBool(message, field, at)) ? "true"
                                                                                                          : "false";
      return;
    case ValueKind::kInt32:
      return Number(one ? reflection.GetInt32(message, field) : reflection.GetRepeatedInt32(message, field, at), false);
    case ValueKind::kUint32:
      return Number(one ? reflection.GetUInt32(message, field) : reflection.GetRepeatedUInt32(message, field, at),
                    false);
    case ValueKind::kInt64:
      return Number(one ? reflection.GetInt64(message, field) : reflection.GetRepeatedInt64(message, field, at), true);
    case ValueKind::kUint64:
      return Number(one ? reflection.GetUInt64(message, field) : reflection.GetRepeatedUInt64(message, field, at),
                    true);
    case ValueKind::kFloat:
      return RealNumber(one ? reflection.GetFloat(message, field) : reflection.GetRepeatedFloat(message, field, at));
    case ValueKind::kDouble:
      return RealNumber(one ? reflection.GetDouble(message, field) : reflection.GetRepeatedDouble(message, field, at));
    case ValueKind::kEnum:
      return Enum(one ? reflection.GetEnumValue(message, field) : reflection.GetRepeatedEnumValue(message, field, at),
                  *entry.enumeration);
    case ValueKind::kString:
      AppendJsonString(one ? reflection.GetStringReference(message, field, &scratch)
                           : reflection.GetRepeatedStringReference(message, field, at, &scratch),
                       &out_);
      return;
    case ValueKind::kBytes:
      return Bytes(one ? reflection.GetStringReference(message, field, &scratch)
                       : reflection.GetRepeatedStringReference(message, field, at, &scratch));
    case ValueKind::kMessage:
    case ValueKind::kTimestamp:
    case ValueKind::kDuration:
      return SubMessage(one ? reflection.GetMessage(message, field) : reflection.GetRepeatedMessage(message, field, at),
                        entry);
  }
}

void JsonWriter::SubMessage(const pb::Message& message, const FieldEntry& entry) {
  if (entry.kind == ValueKind::kTimestamp) return Timestamp(static_cast<const pb::Timestamp&>(message));
  if (entry.kind == ValueKind::kDuration) return Duration(static_cast<const pb::Duration&>(message));
  Message(message, *entry.message);
}

void JsonWriter::Enum(int number, const EnumTable& table) {
  const std::string_view name =
      style_.enums == EnumSpelling::kCamel ? table.CamelName(number) : table.ScreamingName(number);
  if (name.empty()) return Number(number, false);
  out_.push_back('"');
  out_ += name;
  out_.push_back('"');
}

template <typename Real>
void JsonWriter::RealNumber(Real value) {
  if (std::isnan(value)) {
    out_ += "\"NaN\"";
  } else if (std::isinf(value)) {
    out_ += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  } else {
    Number(value, false);
  }
}

void JsonWriter::TimeParts(int64_t seconds, int32_t nanos) {
  Open('{');
  if (seconds != 0) {
    Name("seconds");
    Number(seconds, true);
  }
  if (nanos != 0) {
    Name("nanos");
    Number(nanos, false);
  }
  Close('}');
}

void JsonWriter::Timestamp(const pb::Timestamp& time) {
  const bool has_text = time.seconds() >= kFirstSecond && time.seconds() <= kLastSecond && time.nanos() >= 0 &&
                        time.nanos() < kNanosPerSecond;
  if (!has_text) return TimeParts(time.seconds(), time.nanos());
  out_.push_back('"');
  out_ += FormatRfc3339({time.seconds(), time.nanos()});
  out_.push_back('"');
}

void JsonWriter::Duration(const pb::Duration& duration) {
  const int64_t seconds = duration.seconds();
  const int32_t nanos = duration.nanos();
  const bool has_text = std::abs(static_cast<double>(seconds)) <= static_cast<double>(kLongestSeconds) &&
                        nanos > -kNanosPerSecond && nanos < kNanosPerSecond && !(seconds > 0 && nanos < 0) &&
                        !(seconds < 0 && nanos > 0);
  if (!has_text) return TimeParts(seconds, nanos);
  out_ += seconds < 0 || nanos < 0 ? "\"-" : "\"";
  Number(seconds < 0 ? -seconds : seconds, false);
  if (nanos != 0) {
    std::string digits = std::to_string(nanos < 0 ? -nanos : nanos);
    digits.insert(0, 9 - digits.size(), '0');
    // 0, 3, 6 or 9 digits.
    while (digits.ends_with("000")) digits.resize(digits.size() - 3);
    out_.push_back('.');
    out_ += digits;
  }
  out_ += "s\"";
}

}  // namespace

std::string WriteJson(const api::history::v1::History& history, const JsonStyle& style, const HistoryInfo* info) {
  return JsonWriter(style, info).Write(history);
}

std::string WriteBinary(const api::history::v1::History& history) {
  std::string out;
  pb::io::StringOutputStream stream(&out);
  pb::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  history.SerializeToCodedStream(&coded);
  coded.Trim();
  return out;
}

WriteOptions OptionsForPath(const std::string& path) {
  WriteOptions options;
  std::string_view name = path;
  if (name.ends_with(".gz")) {
    options.compression = Compression::kGzip;
    name.remove_suffix(3);
  } else if (name.ends_with(".zst")) {
    options.compression = Compression::kZstd;
    name.remove_suffix(4);
  }
  for (const std::string_view binary : {".pb", ".bin", ".binpb"}) {
    if (name.ends_with(binary)) options.format = Format::kProtobuf;
  }
  return options;
}

std::string EncodeHistory(const api::history::v1::History& history, const WriteOptions& options,
                          const HistoryInfo* info) {
  const std::string plain =
      options.format == Format::kProtobuf ? WriteBinary(history) : WriteJson(history, options.style, info);
  return options.compression == Compression::kNone ? plain : Compress(plain, options.compression);
}

Status WriteHistory(const std::string& path, const api::history::v1::History& history, const WriteOptions& options,
                    const HistoryInfo* info) {
  return WriteFileAtomically(path, EncodeHistory(history, options, info));
}

}  // namespace lockstep::history
