// Internal. What is done with the tokens of a JSON history, whoever reads them: they are written straight into the arena
// messages. A stack of frames says what the parser is inside of (an envelope, the list of events, a message, a list, a map);
// the tables of codec_tables.h say what a name means there. Texts are views and must stay until the whole text is read.
// Invariant: depth and number of messages are checked before anything is made, so that no input can exhaust stack or memory.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/bytes.h"
#include "replay/history/codec_tables.h"
#include "replay/history/decode_target.h"
#include "replay/history/payload_json.h"

namespace temporal::api::common::v1 {
class DataBlob;
}
namespace temporal::api::history::v1 {
class HistoryEvent;
}

namespace lockstep::history {

namespace pb = google::protobuf;
namespace api = temporal::api;

// A level of the text.
struct Frame {
  enum State : uint8_t {
    kEnvelope,   // an object that holds events, or a history that does
    kExecution,  // workflowExecution beside the events
    kEvents,     // the list of events
    kRaw,        // rawHistory: a list of data blobs
    kMessage,
    kRepeated,
    kMap,
    kLong,  // {low, high, unsigned}: a 64-bit number as JavaScript's Long prints it
  };
  State state = kMessage;
  bool envelope_seen = false;   // kEnvelope: had a member of an envelope, hence is no event
  bool shorthand_list = false;  // kRepeated: payloads given as a bare list
  int64_t index = -1;           // lists
  pb::Message* message = nullptr;
  const MessageTable* table = nullptr;
  const FieldEntry* field = nullptr;  // kMessage: of the current key; kRepeated, kMap: whose values these are
  std::string_view key;
  std::array<uint64_t, 2> seen{};  // kMessage: fields met, by index
  uint64_t oneofs = 0;             // kMessage: oneofs that hold a value
  int64_t low = 0, high = 0;       // kLong
  bool long_seen = false;          // kLong: had one of the two
};

class JsonHandler {
 public:
  explicit JsonHandler(DecodeTarget* target) : target_(target) { stack_.reserve(target->max_depth * 2 + 8); }

  bool found_events() const { return found_events_; }
  const std::vector<api::common::v1::DataBlob*>& raw() const { return raw_; }
  const std::string& expected() const { return expected_; }
  const std::string& found() const { return found_; }
  bool refused() const { return !expected_.empty(); }
  // Of the value that was refused, or that is being read.
  std::string Pointer() const;

  // The tokens, in the order of the text; each is valid JSON, its text valid UTF-8 and unescaped. False ends the reading:
  // expected() and found() say why.
  bool Key(std::string_view key) {
    if (skip_ > 0) return true;
    if (payload_ != nullptr) return Collect(Token::kKey, key);
    return Member(key);
  }
  bool Scalar(Token::Kind kind, std::string_view text);
  bool Enter(Token::Kind kind);
  bool Leave(Token::Kind kind);
  // For whoever reads the tokens: they are no good.
  bool Refuse(std::string expected, std::string found) {
    expected_ = std::move(expected);
    found_ = std::move(found);
    return false;
  }

 private:
  static std::string Describe(Token::Kind kind, std::string_view text);

  bool Open(Token::Kind kind);
  bool Close();
  bool Member(std::string_view key);
  bool EnvelopeMember(Frame* frame, std::string_view key);

  bool OpenInEnvelope(Frame* frame, Token::Kind kind);
  bool OpenField(Frame* frame, Token::Kind kind);
  bool OpenValue(const FieldEntry& field, Token::Kind kind);
  bool EnvelopeScalar(Frame* frame, Token::Kind kind, std::string_view text);
  bool ScalarValue(Frame* frame, Token::Kind kind, std::string_view text);
  bool Assign(Frame* frame, const FieldEntry& field, Token::Kind kind, std::string_view text);
  bool AssignNumber(Frame* frame, const FieldEntry& field, std::string_view text, Token::Kind kind);
  bool AssignEnum(Frame* frame, const FieldEntry& field, Token::Kind kind, std::string_view text);
  bool AssignTime(Frame* frame, const FieldEntry& field, Token::Kind kind, std::string_view text);
  template <typename Integer>
  void StoreInt(Frame* frame, const FieldEntry& field, Integer value);

  bool MarkOneof(Frame* frame, const FieldEntry& field);
  bool Spend() {
    if (target_->messages_left == 0) return Refuse("fewer messages for so few bytes", "one more");
    --target_->messages_left;
    return true;
  }
  // The message that the value of `field` goes to; nullptr after a refusal.
  pb::Message* Child(Frame* frame, const FieldEntry& field);
  void Push(Frame::State state, pb::Message* message, const MessageTable* table, const FieldEntry* field);
  bool PushEvent();
  void FinishEvent(const api::history::v1::HistoryEvent& event);

  bool Collect(Token::Kind kind, std::string_view text);
  bool FinishPayload();
  bool Replay(size_t first, size_t last);

  DecodeTarget* target_;
  const MessageTable* const event_table_ = &EventTable();
  std::vector<Frame> stack_;
  uint32_t depth_ = 0;
  uint32_t skip_ = 0;  // levels inside a value nobody wants
  api::common::v1::Payload* payload_ = nullptr;
  bool payload_in_list_ = false;
  uint32_t payload_depth_ = 0;
  bool replaying_ = false;
  std::vector<Token> tokens_;
  std::string payload_pointer_;
  std::string unknown_type_;
  bool found_events_ = false;
  std::vector<api::common::v1::DataBlob*> raw_;
  std::string expected_, found_;
};

}  // namespace lockstep::history
