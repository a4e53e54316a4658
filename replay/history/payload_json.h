// Internal. A payload in JSON is ambiguous until its last brace: the CLI and the UI may write the decoded value in
// place of {metadata, data}. So the reader collects the tokens of one payload (views into the text, nothing is copied)
// and this file decides, as the official decoder does.
//
// In a list that stands in place of `{"payloads": [..]}` a value is a real payload only if it has metadata and data;
// elsewhere an object that has nothing but payload fields is a payload, and faults in it are faults of the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "replay/history/decode_target.h"

namespace temporal::api::common::v1 {
class Payload;
}

namespace lockstep::history {

struct Token {
  enum Kind : uint8_t { kObject, kEndObject, kArray, kEndArray, kKey, kString, kNumber, kTrue, kFalse, kNull };
  const char* text = nullptr;
  uint32_t size = 0;
  Kind kind = kNull;
  std::string_view view() const { return {text, size}; }
};

struct PayloadFault {
  std::string pointer;  // below the payload
  std::string expected, found;
};

struct PayloadReading {
  uint64_t unknown_fields = 0;
  // `externalPayloads`, left for the reader, which knows how to read messages: [first, last) in the tokens.
  size_t external_first = 0, external_last = 0;
};

// False with a fault. `tokens` hold one whole value.
bool ReadPayload(const std::vector<Token>& tokens, bool in_shorthand_list, temporal::api::common::v1::Payload* payload,
                 PayloadReading* reading, PayloadFault* fault);
// One-token and oversized values are always shorthand.
void ReadShorthandPayload(const std::vector<Token>& tokens, temporal::api::common::v1::Payload* payload);

}  // namespace lockstep::history
