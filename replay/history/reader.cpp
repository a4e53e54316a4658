#include "replay/history/reader.h"

#include <google/protobuf/arena.h>
#include <malloc.h>
#include <sys/mman.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "engine-core/base/check.h"
#include "engine-core/base/files.h"
#include "replay/history/compression.h"
#include "replay/history/decode_target.h"

namespace lockstep::history {
namespace {

// Protobuf's own parser stops at this depth.
constexpr uint32_t kMaxDepth = 100;
// Large blocks: a history is many small messages that live and die together.
constexpr size_t kFirstBlock = 16 * 1024;
constexpr size_t kLargestBlock = 4 * 1024 * 1024;
constexpr size_t kHugePage = 2 * 1024 * 1024;

// Fresh memory costs a page fault every 4 KiB, a sixth of the time of reading a large history; huge pages make that
// vanish. A hint only: where the system has none, nothing is lost.
void AdviseHugePages(void* memory, size_t size) {
#ifdef MADV_HUGEPAGE
  const auto begin = (reinterpret_cast<uintptr_t>(memory) + kHugePage - 1) / kHugePage * kHugePage;
  const auto end = (reinterpret_cast<uintptr_t>(memory) + size) / kHugePage * kHugePage;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

void* AllocateBlock(size_t size) {
  void* block = nullptr;
  if (size < kHugePage) {
    block = std::malloc(size);
  } else if (::posix_memalign(&block, kHugePage, size) == 0) {
    AdviseHugePages(block, size);
  }
  LOCKSTEP_CHECK(block != nullptr, "out of memory for " + std::to_string(size) + " bytes");
  return block;
}
void FreeBlock(void* block, size_t) { std::free(block); }

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

size_t SkipSpace(std::string_view bytes, size_t at) {
  while (at < bytes.size() && IsSpace(bytes[at])) ++at;
  return at;
}

// A line end is also the first byte of a serialized History, and `{` and `[` may be the length of its first event.
// After them stands 0x08 (the event's id) in protobuf, which no JSON has there.
bool LooksLikeJson(std::string_view bytes) {
  const size_t at = SkipSpace(bytes, 0);
  if (at == bytes.size()) return true;
  if (bytes[0] != '\n') {
    return bytes[at] == '{' || bytes[at] == '[' || bytes[at] == '"' || bytes[at] == '-' ||
           (bytes[at] >= '0' && bytes[at] <= 'z');
  }
  const size_t next = SkipSpace(bytes, at + 1);
  if (next == bytes.size()) return bytes[at] == '{' || bytes[at] == '[';
  if (bytes[at] == '{') return bytes[next] == '"' || bytes[next] == '}';
  if (bytes[at] == '[') return bytes[next] == '{' || bytes[next] == ']';
  return false;
}

Error Corrupt(std::string_view name, std::string_view expectation) {
  return Error("HISTORY_CORRUPT", std::string(name) + ": byte 0: " + std::string(expectation)).With("offset", "0");
}

Status CheckStart(std::string_view bytes, std::string_view name) {
  if (bytes.empty()) return Fail(Corrupt(name, "expected a history, found an empty file"));
  if (SkipSpace(bytes, 0) == bytes.size()) return Fail(Corrupt(name, "expected a history, found only white space"));
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) {
    return Fail(Corrupt(name, "expected UTF-8, found UTF-16 (as Windows shells redirect output)"));
  }
  if (DetectCompression(bytes) != Compression::kNone) {
    return Fail(Corrupt(name, "expected a history after decompression, found compressed data again"));
  }
  return {};
}

// Ids that nothing around the events told.
void CompleteInfo(LoadedHistory* loaded) {
  const auto& history = *loaded->history;
  if (history.events_size() == 0 || !history.events(0).has_workflow_execution_started_event_attributes()) return;
  const auto& started = history.events(0).workflow_execution_started_event_attributes();
  if (loaded->info.workflow_id.empty()) loaded->info.workflow_id = started.workflow_id();
  if (loaded->info.run_id.empty()) loaded->info.run_id = started.original_execution_run_id();
}

// Takes the bytes: a JSON text is parsed in place.
Result<LoadedHistory> Decode(std::string bytes, std::string_view name, const ReadOptions& options) {
  if (bytes.size() > options.max_bytes) {
    return Fail("FILE_TOO_LARGE", std::string(name) + ": expected at most " + std::to_string(options.max_bytes) +
                                      " bytes, found " + std::to_string(bytes.size()));
  }
  LoadedHistory loaded;
  loaded.info.path = name;
  loaded.info.bytes = bytes.size();
  loaded.info.compression = DetectCompression(bytes);
  if (loaded.info.compression != Compression::kNone) {
    LOCKSTEP_ASSIGN(bytes, Decompress(bytes, name, options.max_bytes));
  }
  loaded.info.uncompressed_bytes = bytes.size();
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.erase(0, 3);
  LOCKSTEP_TRY(CheckStart(bytes, name));

  google::protobuf::ArenaOptions arena_options;
  arena_options.start_block_size = kFirstBlock;
  arena_options.max_block_size = kLargestBlock;
  arena_options.block_alloc = AllocateBlock;
  arena_options.block_dealloc = FreeBlock;
  loaded.arena = std::make_shared<google::protobuf::Arena>(arena_options);
  loaded.history = google::protobuf::Arena::CreateMessage<temporal::api::history::v1::History>(loaded.arena.get());
  DecodeTarget target;
  target.arena = loaded.arena.get();
  target.history = loaded.history;
  target.info = &loaded.info;
  target.max_depth = std::min(options.max_depth, kMaxDepth);
  target.plain_json = options.plain_json;
  target.messages_left = DecodeTarget::MessageBudget(bytes.size());
  loaded.info.format = LooksLikeJson(bytes) ? Format::kJson : Format::kProtobuf;
  LOCKSTEP_TRY(loaded.info.format == Format::kJson ? DecodeJson(&bytes, name, &target)
                                                   : DecodeWire(bytes, name, &target));
  CompleteInfo(&loaded);
  return loaded;
}

}  // namespace

std::string_view FormatName(Format format) { return format == Format::kJson ? "json" : "protobuf"; }

std::string_view CompressionName(Compression compression) {
  constexpr std::string_view kNames[] = {"none", "gzip", "zstd"};
  return kNames[static_cast<size_t>(compression)];
}

void KeepFreedMemory() {
#ifdef __GLIBC__
  constexpr int kMost = 1 << 30;
  ::mallopt(M_MMAP_THRESHOLD, kMost);
  ::mallopt(M_TRIM_THRESHOLD, kMost);
#endif
}

Result<LoadedHistory> ReadHistory(const std::string& path, const ReadOptions& options) {
  LOCKSTEP_ASSIGN(std::string bytes, ReadFile(path, options.max_bytes));
  return Decode(std::move(bytes), path, options);
}

Result<LoadedHistory> ParseHistory(std::string_view bytes, std::string_view name, const ReadOptions& options) {
  if (bytes.size() > options.max_bytes) {
    return Fail("FILE_TOO_LARGE", std::string(name) + ": expected at most " + std::to_string(options.max_bytes) +
                                      " bytes, found " + std::to_string(bytes.size()));
  }
  std::string copy;
  copy.reserve(bytes.size() + kParsePadding);
  AdviseHugePages(copy.data(), copy.capacity());
  copy.append(bytes);
  return Decode(std::move(copy), name, options);
}

}  // namespace lockstep::history
