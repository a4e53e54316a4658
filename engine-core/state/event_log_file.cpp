#include "engine-core/state/event_log_file.h"

#include "engine-core/base/files.h"

namespace lockstep::state {
namespace {

std::unexpected<Error> Invalid(size_t line, const std::string& what) {
  const std::string number = std::to_string(line);
  return Fail(Error("EVENT_LOG_INVALID", "line " + number + ": " + what).With("line", number));
}

Status CheckNext(const std::vector<EventRecord>& before, const EventRecord& record, size_t line) {
  if (const Status key = CheckKey(record); !key) return Invalid(line, key.error().message);
  if (before.empty()) return {};
  const EventRecord& last = before.back();
  if (record.run_id != last.run_id) return Invalid(line, "runId: expected " + last.run_id + ", found " + record.run_id);
  if (record.run_seq > last.run_seq) return {};
  return Invalid(
      line, "runSeq: expected more than " + std::to_string(last.run_seq) + ", found " + std::to_string(record.run_seq));
}

}  // namespace

std::string FormatEventLog(std::span<const EventRecord> records) {
  std::string text;
  for (const EventRecord& record : records) {
    AppendCanonicalJson(ToJson(record), &text);
    text.push_back('\n');
  }
  return text;
}

Result<std::vector<EventRecord>> ParseEventLog(std::string_view text) {
  std::vector<EventRecord> records;
  for (size_t line = 1; !text.empty(); ++line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return Invalid(line, "expected a newline at the end, found the end of the text");
    const std::string_view content = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (content.empty()) return Invalid(line, "expected an event record, found an empty line");
    auto record = ParseEventRecordText(content);
    if (!record) return Invalid(line, record.error().message);
    LOCKSTEP_TRY(CheckNext(records, *record, line));
    records.push_back(std::move(*record));
  }
  return records;
}

Result<std::vector<EventRecord>> ReadEventLogFile(const std::filesystem::path& path) {
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(path));
  auto records = ParseEventLog(text);
  if (records) return records;
  Error error = std::move(records).error();
  error.message = path.string() + ": " + error.message;
  return Fail(std::move(error));
}

Status WriteEventLogFile(const std::filesystem::path& path, std::span<const EventRecord> records) {
  return WriteFileAtomically(path, FormatEventLog(records));
}

}  // namespace lockstep::state
