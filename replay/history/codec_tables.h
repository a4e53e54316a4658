// Internal. What the JSON reader, the wire scanner and the writer know about each message: one table a message type and
// one an enum, computed once from the descriptors, so that a new field of the API needs no code here. The tables are
// immutable after they are built and live as long as the process.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace google::protobuf {
class Descriptor;
class EnumDescriptor;
class FieldDescriptor;
class Message;
class Reflection;
}  // namespace google::protobuf

namespace lockstep::history {

enum class ValueKind : uint8_t {
  kBool,
  kInt32,
  kInt64,
  kUint32,
  kUint64,
  kFloat,
  kDouble,
  kString,
  kBytes,
  kEnum,
  kMessage,
  kTimestamp,
  kDuration
};
enum class Container : uint8_t { kSingular, kRepeated, kMap };
// Two messages whose JSON is more than their fields: the shorthand forms of the CLI and the UI.
enum class MessageRole : uint8_t { kPlain, kPayload, kPayloads };

// Names to numbers: open addressing over the names, which must outlive it.
class NameIndex {
 public:
  static constexpr int kAbsent = -1;
  void Build(const std::vector<std::pair<std::string_view, int>>& names);
  int Find(std::string_view name) const {
    if (slots_.empty()) return kAbsent;
    const Words words = Ends(name);
    for (size_t at = Hash(words, name.size()) & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.value == kAbsent) return kAbsent;
      if (slot.size != name.size() || slot.words.first != words.first || slot.words.last != words.last) continue;
      // Up to 16 bytes the two words are all of it.
      if (name.size() <= 16 || std::memcmp(names_[at] + 8, name.data() + 8, name.size() - 16) == 0) return slot.value;
    }
  }

 private:
  struct Words {
    uint64_t first = 0, last = 0;
  };
  // Small: the table of an event has to stay in the fastest cache.
  struct Slot {
    Words words;
    uint32_t size = 0;
    int value = kAbsent;
  };
  // The first and the last eight bytes, which overlap in a short name.
  static Words Ends(std::string_view name) {
    Words words;
    if (name.size() >= 8) {
      std::memcpy(&words.first, name.data(), 8);
      std::memcpy(&words.last, name.data() + name.size() - 8, 8);
    } else if (!name.empty()) {
      for (const char c : name) words.first = words.first << 8 | static_cast<unsigned char>(c);
    }
    return words;
  }
  static size_t Hash(Words words, size_t size) {
    const uint64_t mixed =
        (words.first * 0x9E3779B97F4A7C15ULL) ^ (words.last * 0xC2B2AE3D27D4EB4FULL) ^ (size * 0x165667B19E3779F9ULL);
    return static_cast<size_t>(mixed >> 29 ^ mixed >> 47);
  }
  std::vector<Slot> slots_;
  std::vector<const char*> names_;  // by slot
  size_t mask_ = 0;
};

class EnumTable {
 public:
  explicit EnumTable(const google::protobuf::EnumDescriptor* descriptor);
  // EVENT_TYPE_TIMER_STARTED, TimerStarted, TIMER_STARTED, in any case; nothing for a name this build does not know.
  std::optional<int> Parse(std::string_view text) const;
  // Empty for a number this build does not know.
  std::string_view ScreamingName(int number) const;
  std::string_view CamelName(int number) const;

 private:
  struct Value {
    int number;
    std::string screaming, camel, folded, folded_short;
  };
  const Value* Find(int number) const;
  std::vector<Value> values_;  // by number
  NameIndex exact_;
  NameIndex folded_;
};

struct MessageTable;

// How to reach an entry of a map field without going through reflection's list of entries, which would make every later
// access copy the map. nullptr when the key is there already.
struct MapAccess {
  google::protobuf::Message* (*message)(google::protobuf::Message* owner, std::string&& key) = nullptr;
  std::string* (*text)(google::protobuf::Message* owner, std::string&& key) = nullptr;
};

// The generated accessors of the fields that every history is full of; reflection does the same, four times slower.
// Empty for all other fields.
struct DirectAccess {
  void (*set_int64)(google::protobuf::Message* owner, int64_t value) = nullptr;
  void (*set_enum)(google::protobuf::Message* owner, int value) = nullptr;
  std::string* (*text)(google::protobuf::Message* owner) = nullptr;
  google::protobuf::Message* (*message)(google::protobuf::Message* owner) = nullptr;
};

struct FieldEntry {
  const google::protobuf::FieldDescriptor* field = nullptr;
  std::string json_name;
  std::string proto_name;
  uint32_t number = 0;
  ValueKind kind = ValueKind::kString;  // of an element, of a map's value
  Container container = Container::kSingular;
  uint8_t index = 0;  // in MessageTable::fields
  int8_t oneof = -1;  // index of the real oneof
  const MessageTable* message = nullptr;
  const EnumTable* enumeration = nullptr;
  MapAccess map;
  DirectAccess direct;
  // The value field of the map's entry message, for walking.
  const google::protobuf::FieldDescriptor* map_key = nullptr;
  const google::protobuf::FieldDescriptor* map_value = nullptr;
};

struct MessageTable {
  static constexpr size_t kMaxFields = 128;

  const google::protobuf::Descriptor* descriptor = nullptr;
  const google::protobuf::Reflection* reflection = nullptr;
  const google::protobuf::Message* prototype = nullptr;
  MessageRole role = MessageRole::kPlain;
  std::vector<FieldEntry> fields;  // in the order of declaration, as every SDK writes them
  NameIndex names;

  const FieldEntry* FindName(std::string_view name) const {
    const int at = names.Find(name);
    return at == NameIndex::kAbsent ? nullptr : &fields[static_cast<size_t>(at)];
  }
  const FieldEntry* FindNumber(uint32_t number) const {
    return number < by_number.size() && by_number[number] != 0 ? &fields[by_number[number] - 1U] : nullptr;
  }
  std::vector<uint8_t> by_number;  // field number -> index + 1
};

// The table of a message of the Temporal API or of a well-known type it uses.
const MessageTable& TableOf(const google::protobuf::Descriptor* descriptor);
const MessageTable& HistoryTable();
const MessageTable& EventTable();

// Every map field that is reachable from a history and has no direct access: empty, unless the API grew a new one.
std::vector<std::string> MapFieldsWithoutAccess();

}  // namespace lockstep::history
