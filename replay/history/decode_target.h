// Internal. Where the decoders put what they read, and how much of it they may make: a file of two-byte empty messages
// must not become gigabytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine-core/base/result.h"
#include "replay/history/reader.h"

namespace lockstep::history {

// Both JSON readers look at up to so many bytes beyond the end of a text.
inline constexpr size_t kParsePadding = 64;

struct DecodeTarget {
  google::protobuf::Arena* arena = nullptr;
  temporal::api::history::v1::History* history = nullptr;
  HistoryInfo* info = nullptr;
  uint32_t max_depth = 64;
  uint64_t messages_left = 0;
  bool plain_json = false;  // ReadOptions::plain_json

  // One message per eight bytes is several times what the densest real history has.
  static uint64_t MessageBudget(uint64_t bytes) { return 1024 + bytes / 8; }
};

// `found` cut to a length that fits in a line, without control characters.
std::string Excerpt(std::string_view found);

// `buffer` may be garbage afterwards.
Status DecodeJson(std::string* buffer, std::string_view name, DecodeTarget* target);
// A serialized History, or a GetWorkflowExecutionHistoryResponse around one.
Status DecodeWire(std::string_view bytes, std::string_view name, DecodeTarget* target);

}  // namespace lockstep::history
