// Writes a history as JSON or protobuf binary, plain or compressed. What is written reads back as the same messages.
// The JSON is what `temporal workflow show --output json` prints, to the byte: lowerCamelCase, 64-bit numbers as
// strings, enums in capitals, fields in the order of declaration, map keys sorted, two spaces an indent. A time or
// duration that has no text form (out of range) is written as {"seconds", "nanos"}, so that every message can be
// written.
#pragma once

#include <cstdint>
#include <string>

#include "engine-core/base/result.h"
#include "replay/history/reader.h"

namespace lockstep::history {

enum class EnumSpelling : uint8_t {
  kScreaming,  // EVENT_TYPE_TIMER_STARTED: the CLI and the current SDKs
  kCamel,      // TimerStarted: older tools and SDKs
};

struct JsonStyle {
  EnumSpelling enums = EnumSpelling::kScreaming;
  int indent = 2;  // 0: everything on one line
};

// `info`, where given, restores the names of unknown event types.
std::string WriteJson(const temporal::api::history::v1::History& history, const JsonStyle& style = {},
                      const HistoryInfo* info = nullptr);
// Deterministic: map entries sorted.
std::string WriteBinary(const temporal::api::history::v1::History& history);

struct WriteOptions {
  Format format = Format::kJson;
  Compression compression = Compression::kNone;
  JsonStyle style;
};
// Format and compression as the name asks for: `.json` or `.pb`, then `.gz` or `.zst`; JSON where it says nothing.
WriteOptions OptionsForPath(const std::string& path);
std::string EncodeHistory(const temporal::api::history::v1::History& history, const WriteOptions& options,
                          const HistoryInfo* info = nullptr);
// A reader of the file sees the old content or the new. Errors: FILE_NOT_FOUND, FILE_IO.
Status WriteHistory(const std::string& path, const temporal::api::history::v1::History& history,
                    const WriteOptions& options, const HistoryInfo* info = nullptr);

}  // namespace lockstep::history
