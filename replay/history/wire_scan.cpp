// Protobuf binary. Protobuf's own parser says only "no"; so the bytes are walked first, with the tables, to name the
// place of a fault, to bound depth and number of messages, and to count what this build does not know. The walk costs a
// tenth of the parse. Invariant: the JSON that the writer makes of what the walk accepts stays within the same depth.
#include <google/protobuf/arena.h>
#include <temporal/api/history/v1/message.pb.h>

#include <string>
#include <string_view>

#include "engine-core/base/base64.h"
#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "replay/history/codec_tables.h"
#include "replay/history/decode_target.h"
#include "replay/history/event_names.h"

namespace lockstep::history {
namespace {

namespace pb = google::protobuf;
namespace api = temporal::api;

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kStartGroup = 3, kEndGroup = 4, kFixed32 = 5 };
constexpr const char* kWireNames[] = {"a varint", "8 fixed bytes",      "a length",
                                      "a group",  "the end of a group", "4 fixed bytes"};

WireType WireOf(ValueKind kind) {
  switch (kind) {
    case ValueKind::kBool:
    case ValueKind::kInt32:
    case ValueKind::kInt64:
    case ValueKind::kUint32:
    case ValueKind::kUint64:
    case ValueKind::kEnum:
      return kVarint;
    case ValueKind::kFloat:
      return kFixed32;
    case ValueKind::kDouble:
      return kFixed64;
    case ValueKind::kString:
    case ValueKind::kBytes:
    case ValueKind::kMessage:
    case ValueKind::kTimestamp:
    case ValueKind::kDuration:
      break;
  }
  return kLength;
}

// Walks messages and remembers the first fault. Offsets count from the start of the outermost bytes.
class Scanner {
 public:
  Scanner(std::string_view bytes, DecodeTarget* target) : begin_(bytes.data()), target_(target) {}

  bool Message(std::string_view bytes, const MessageTable& table, uint32_t depth) {
    if (depth > target_->max_depth) {
      return Refuse(bytes, "nesting of at most " + std::to_string(target_->max_depth) + " levels", "more");
    }
    if (target_->messages_left-- == 0) {
      target_->messages_left = 0;
      return Refuse(bytes, "fewer messages for so few bytes", "one more");
    }
    int64_t element = 0;
    uint32_t last_number = 0;
    while (!bytes.empty()) {
      const std::string_view start = bytes;
      uint64_t tag = 0;
      if (!Varint(&bytes, &tag)) return false;
      const uint64_t number = tag >> 3;
      if (number == 0 || number > 0x1FFFFFFF) return Refuse(start, "a field number", std::to_string(number));
      element = number == last_number ? element + 1 : 0;
      last_number = static_cast<uint32_t>(number);
      const FieldEntry* entry = table.FindNumber(static_cast<uint32_t>(number));
      const auto wire = static_cast<uint32_t>(tag & 7);
      if (entry == nullptr) {
        ++unknown_;
        if (!Skip(&bytes, wire, static_cast<uint32_t>(number), depth)) return false;
      } else if (!Field(&bytes, start, *entry, wire, depth)) {
        Prefix(*entry, element);
        return false;
      }
    }
    return true;
  }

  uint64_t unknown() const { return unknown_; }
  Error ToError(std::string_view name) const {
    const std::string offset = std::to_string(offset_);
    return Error("HISTORY_CORRUPT", std::string(name) + ": byte " + offset + (path_.empty() ? "" : " (" + path_ + ")") +
                                        ": expected " + expected_ + ", found " + found_)
        .With("offset", offset)
        .With("pointer", path_);
  }

 private:
  bool Refuse(std::string_view at, std::string expected, std::string found) {
    offset_ = static_cast<size_t>(at.data() - begin_);
    expected_ = std::move(expected);
    found_ = std::move(found);
    return false;
  }
  // Called while a fault travels outwards.
  void Prefix(const FieldEntry& entry, int64_t element) {
    std::string step = "/" + entry.json_name;
    if (entry.container == Container::kRepeated) step += "/" + std::to_string(element);
    path_.insert(0, step);
  }

  bool Varint(std::string_view* bytes, uint64_t* value) {
    *value = 0;
    for (size_t i = 0; i < 10; ++i) {
      if (i >= bytes->size()) return Refuse(bytes->substr(bytes->size()), "a varint to go on", "the end (truncated)");
      const auto byte = static_cast<unsigned char>((*bytes)[i]);
      *value |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
      if (byte < 0x80) {
        bytes->remove_prefix(i + 1);
        return true;
      }
    }
    return Refuse(*bytes, "a varint of at most 10 bytes", "a longer one");
  }

  bool Take(std::string_view* bytes, uint64_t length, std::string_view* taken) {
    if (length > bytes->size()) {
      return Refuse(*bytes, std::to_string(length) + " bytes",
                    std::to_string(bytes->size()) + " (truncated or damaged)");
    }
    *taken = bytes->substr(0, static_cast<size_t>(length));
    bytes->remove_prefix(static_cast<size_t>(length));
    return true;
  }
  bool LengthDelimited(std::string_view* bytes, std::string_view* taken) {
    uint64_t length = 0;
    return Varint(bytes, &length) && Take(bytes, length, taken);
  }

  bool Scalar(std::string_view* bytes, WireType wire) {
    uint64_t ignored = 0;
    std::string_view taken;
    if (wire == kVarint) return Varint(bytes, &ignored);
    return Take(bytes, wire == kFixed32 ? 4 : 8, &taken);
  }

  bool Field(std::string_view* bytes, std::string_view start, const FieldEntry& entry, uint32_t wire, uint32_t depth) {
    const WireType expected = entry.container == Container::kMap ? kLength : WireOf(entry.kind);
    // A repeated number may come packed or one by one.
    const bool packed = entry.container == Container::kRepeated && expected != kLength && wire == kLength;
    if (wire != expected && !packed) {
      return Refuse(start, kWireNames[expected], wire < 6 ? kWireNames[wire] : "wire type " + std::to_string(wire));
    }
    // In JSON a list or a map is a level of its own; scalars are none.
    const uint32_t inner = depth + (entry.container == Container::kSingular ? 0 : 1);
    if (inner > target_->max_depth) {
      return Refuse(start, "nesting of at most " + std::to_string(target_->max_depth) + " levels", "more");
    }
    if (expected != kLength && !packed) return Scalar(bytes, expected);
    std::string_view content;
    if (!LengthDelimited(bytes, &content)) return false;
    if (packed) {
      while (!content.empty()) {
        if (!Scalar(&content, expected)) return false;
      }
      return true;
    }
    if (entry.container == Container::kMap) return MapEntry(content, entry, inner);
    return Content(content, entry, inner);
  }

  bool Content(std::string_view content, const FieldEntry& entry, uint32_t depth) {
    switch (entry.kind) {
      case ValueKind::kString:
        return IsValidUtf8(content) || Refuse(content, "UTF-8", "other bytes");
      case ValueKind::kMessage:
        return Message(content, *entry.message, depth + 1);
      // Written as texts, hence no level in JSON.
      case ValueKind::kTimestamp:
      case ValueKind::kDuration:
        return Message(content, *entry.message, depth);
      default:
        return true;
    }
  }

  // A map's entry is a message of two fields, key 1 and value 2.
  bool MapEntry(std::string_view bytes, const FieldEntry& entry, uint32_t depth) {
    if (target_->messages_left-- == 0) {
      target_->messages_left = 0;
      return Refuse(bytes, "fewer messages for so few bytes", "one more");
    }
    while (!bytes.empty()) {
      const std::string_view start = bytes;
      uint64_t tag = 0;
      if (!Varint(&bytes, &tag)) return false;
      const auto number = static_cast<uint32_t>(tag >> 3);
      const auto wire = static_cast<uint32_t>(tag & 7);
      if ((tag >> 3) == 0 || (tag >> 3) > 0x1FFFFFFF) return Refuse(start, "a field number", std::to_string(tag >> 3));
      if (number > 2) {
        ++unknown_;
        if (!Skip(&bytes, wire, number, depth)) return false;
        continue;
      }
      if (wire != kLength)
        return Refuse(start, kWireNames[kLength], wire < 6 ? kWireNames[wire] : "an unknown wire type");
      std::string_view content;
      if (!LengthDelimited(&bytes, &content)) return false;
      if (number == 1 ? !(IsValidUtf8(content) || Refuse(content, "UTF-8", "other bytes"))
                      : !Content(content, entry, depth)) {
        return false;
      }
    }
    return true;
  }

  bool Skip(std::string_view* bytes, uint32_t wire, uint32_t number, uint32_t depth) {
    std::string_view ignored;
    switch (wire) {
      case kVarint:
        return Scalar(bytes, kVarint);
      case kFixed64:
        return Scalar(bytes, kFixed64);
      case kFixed32:
        return Scalar(bytes, kFixed32);
      case kLength:
        return LengthDelimited(bytes, &ignored);
      case kStartGroup:
        return SkipGroup(bytes, number, depth + 1);
      default:
        return Refuse(*bytes, "a wire type of 0 to 3 or 5", std::to_string(wire));
    }
  }
  bool SkipGroup(std::string_view* bytes, uint32_t number, uint32_t depth) {
    if (depth > target_->max_depth) {
      return Refuse(*bytes, "nesting of at most " + std::to_string(target_->max_depth) + " levels", "more");
    }
    while (true) {
      const std::string_view start = *bytes;
      uint64_t tag = 0;
      if (!Varint(bytes, &tag)) return false;
      if ((tag >> 3) == 0 || (tag >> 3) > 0x1FFFFFFF) return Refuse(start, "a field number", std::to_string(tag >> 3));
      const auto inner = static_cast<uint32_t>(tag >> 3);
      if ((tag & 7) == kEndGroup) {
        return inner == number ||
               Refuse(start, "the end of group " + std::to_string(number), "of " + std::to_string(inner));
      }
      if (!Skip(bytes, static_cast<uint32_t>(tag & 7), inner, depth)) return false;
    }
  }

  const char* begin_;
  DecodeTarget* target_;
  uint64_t unknown_ = 0;
  size_t offset_ = 0;
  std::string path_, expected_, found_;
};

// Appends the events of one serialized History to the target.
Status AppendHistory(std::string_view bytes, std::string_view name, DecodeTarget* target) {
  Scanner scanner(bytes, target);
  if (!scanner.Message(bytes, HistoryTable(), 1)) return Fail(scanner.ToError(name));
  const int before = target->history->events_size();
  const bool parsed = before == 0 ? target->history->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))
                                  : target->history->MergeFromString(std::string(bytes));
  if (!parsed)
    return Fail("HISTORY_CORRUPT", std::string(name) + ": expected a serialized History, found damaged bytes");
  if (scanner.unknown() != 0) {
    target->info->unknown_fields += scanner.unknown();
    target->history->DiscardUnknownFields();
  }
  for (int i = before; i < target->history->events_size(); ++i) {
    const auto& event = target->history->events(i);
    if (event.event_type() == 0 || IsKnownEventType(event.event_type())) continue;
    target->info->unknown_events.push_back(
        {event.event_id(), std::to_string(event.event_type()), event.worker_may_ignore()});
  }
  return {};
}

// The parts of a GetWorkflowExecutionHistoryResponse: history = 1, raw_history = 2 (DataBlob{encoding = 1, data = 2}).
struct ResponseParts {
  std::string_view history;
  std::vector<std::string_view> raw;
};

bool TakeTag(std::string_view* bytes, uint64_t* value) {
  *value = 0;
  for (size_t i = 0; i < bytes->size() && i < 10; ++i) {
    const auto byte = static_cast<unsigned char>((*bytes)[i]);
    *value |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
    if (byte < 0x80) {
      bytes->remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

// Fields of a flat message that are length-delimited or varints; false when the bytes are anything else.
template <typename Visit>
bool ForEachField(std::string_view bytes, const Visit& visit) {
  while (!bytes.empty()) {
    uint64_t tag = 0, value = 0;
    if (!TakeTag(&bytes, &tag) || !TakeTag(&bytes, &value)) return false;
    if ((tag & 7) == kVarint) continue;
    if ((tag & 7) != kLength || value > bytes.size()) return false;
    if (!visit(tag >> 3, bytes.substr(0, static_cast<size_t>(value)))) return false;
    bytes.remove_prefix(static_cast<size_t>(value));
  }
  return true;
}

bool SplitResponse(std::string_view bytes, ResponseParts* parts) {
  return ForEachField(bytes, [&](uint64_t number, std::string_view content) {
    if (number == 1 && parts->history.empty()) {
      parts->history = content;
    } else if (number == 2) {
      return ForEachField(content, [&](uint64_t inner, std::string_view data) {
        if (inner == 2) parts->raw.push_back(data);
        return inner <= 2;
      });
    } else {
      return number == 3 || number == 4;
    }
    return true;
  });
}

}  // namespace

Status DecodeWire(std::string_view bytes, std::string_view name, DecodeTarget* target) {
  if (bytes.size() > INT32_MAX) {
    return Fail("FILE_TOO_LARGE", std::string(name) + ": expected at most 2147483647 bytes of protobuf, found " +
                                      std::to_string(bytes.size()));
  }
  const uint64_t budget = target->messages_left;
  const uint64_t unknown_fields = target->info->unknown_fields;
  const size_t unknown_events = target->info->unknown_events.size();
  Status status = AppendHistory(bytes, name, target);
  if (status && target->history->events_size() > 0) return {};
  // Not a History with events: perhaps a response that carries one. The first fault is the one to tell otherwise.
  ResponseParts parts;
  if (SplitResponse(bytes, &parts) && (!parts.history.empty() || !parts.raw.empty())) {
    target->messages_left = budget;
    target->history->Clear();
    target->info->unknown_events.resize(unknown_events);
    target->info->unknown_fields = unknown_fields;
    Status inner = AppendHistory(parts.history, name, target);
    for (const std::string_view raw : parts.raw) {
      if (inner) inner = AppendHistory(raw, name, target);
    }
    if (inner && target->history->events_size() > 0) return {};
  }
  if (!status) return status;
  return Fail(Error("HISTORY_CORRUPT", std::string(name) + ": byte 0: expected the events of a history, found none")
                  .With("offset", "0"));
}

}  // namespace lockstep::history
