// `events.jsonl`: one canonical event record a line, as record directories keep a run's log (spec 07 section 6).
// Invariant: what is written reads back equal, and nothing but that form is read. Errors name the line.
// The text functions are pure; the file functions are edge code.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/state/event.h"

namespace lockstep::state {

// Every line ends with a newline; no records give an empty text.
LOCKSTEP_DETERMINISTIC std::string FormatEventLog(std::span<const EventRecord> records);

// One run's records in ascending `runSeq` (gaps are legal), each with its right key. An empty line, a last line without
// its newline, a second run, a number that does not ascend, or a wrong key is an error: EVENT_LOG_INVALID, with the
// detail `line`. Lines need not be canonical: unknown members and unknown event types pass (spec 02 M6).
LOCKSTEP_DETERMINISTIC Result<std::vector<EventRecord>> ParseEventLog(std::string_view text);

// The same on files; the error names the file as well. Writing is atomic.
Result<std::vector<EventRecord>> ReadEventLogFile(const std::filesystem::path& path);
Status WriteEventLogFile(const std::filesystem::path& path, std::span<const EventRecord> records);

}  // namespace lockstep::state
