// Reads a Temporal history from a file, standard input or memory: JSON as any SDK or tool writes it, or protobuf
// binary; each plain, gzip or zstd. Whatever the form, the same history decodes to the same messages (spec 04 RT1).
//
// JSON shapes: `{"events":[..]}`, `{"history":{"events":[..]}}` with or without workflow and run id around it, a
// response of GetWorkflowExecutionHistory (also its `rawHistory`), a bare array of events, and several such documents
// one after the other (JSON lines, pages). Field names in lowerCamelCase or snake_case; enums as
// EVENT_TYPE_TIMER_STARTED, TimerStarted or numbers; payloads as messages or in the CLI's shorthand.
// docs/history-formats.md lists everything that is taken.
//
// What this build of the API does not know is skipped and counted, never an error: it comes from a newer server.
// Errors: HISTORY_CORRUPT, FILE_NOT_FOUND, FILE_TOO_LARGE, FILE_IO. The message is one line that names the file, then a
// JSON pointer or a byte offset, what was expected and what was found; details carry `pointer` or `offset`.
// Thread-safe: readers share only immutable tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/result.h"

namespace google::protobuf {
class Arena;
}
namespace temporal::api::history::v1 {
class History;
}

namespace lockstep::history {

enum class Format : uint8_t { kJson, kProtobuf };
enum class Compression : uint8_t { kNone, kGzip, kZstd };
std::string_view FormatName(Format format);                 // `json`, `protobuf`
std::string_view CompressionName(Compression compression);  // `none`, `gzip`, `zstd`

// An event whose type this build does not know. Its message keeps id, time and flags; the type is 0 when it came as a
// text.
struct UnknownEvent {
  int64_t event_id = 0;
  std::string type;  // as found: `EVENT_TYPE_X`, `X`, or a number
  bool worker_may_ignore = false;
  friend bool operator==(const UnknownEvent&, const UnknownEvent&) = default;
};

struct HistoryInfo {
  std::string path;
  Format format = Format::kJson;
  Compression compression = Compression::kNone;
  uint64_t bytes = 0;               // as read, before decompression
  uint64_t uncompressed_bytes = 0;  // what was parsed
  std::string workflow_id;          // from around the events, else from the first event; empty when neither says
  std::string run_id;
  uint64_t unknown_fields = 0;  // fields and enum names that were skipped
  std::vector<UnknownEvent> unknown_events;
};

struct LoadedHistory {
  std::shared_ptr<google::protobuf::Arena> arena;          // owns `history`
  temporal::api::history::v1::History* history = nullptr;  // never null in a result
  HistoryInfo info;
};

struct ReadOptions {
  uint64_t max_bytes = uint64_t{256} << 20;  // of the file, and of what it decompresses to
  uint32_t max_depth = 64;                   // nesting as JSON counts it; at most 100
  bool plain_json = false;                   // one token after the other; only slower, kept to compare the two ways
};

// For programs that read many histories and then end: memory that is freed is kept for the next history. Giving it back to
// the system after each costs a quarter of the time, for page faults. For the whole process.
void KeepFreedMemory();

// `-` reads standard input.
Result<LoadedHistory> ReadHistory(const std::string& path, const ReadOptions& options = {});
// `name` stands for the file in messages and in `info.path`.
Result<LoadedHistory> ParseHistory(std::string_view bytes, std::string_view name, const ReadOptions& options = {});

}  // namespace lockstep::history
