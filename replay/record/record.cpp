#include "replay/record/record.h"

#include <algorithm>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"
#include "engine-core/state/event_log_file.h"

namespace lockstep::replay {
namespace {

namespace fs = std::filesystem;

constexpr char kSums[] = "SHA256SUMS";
constexpr char kManifest[] = "manifest.json";
constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
constexpr JsonLimits kLimits{.max_depth = 128, .max_string_bytes = 64 * 1024 * 1024};

std::unexpected<Error> Corrupt(const fs::path& path, const std::string& what) {
  return Fail("RECORD_CORRUPT", path.string() + ": " + what);
}

Result<Json> ReadJsonFile(const fs::path& path) {
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(path, kMaxFileBytes));
  auto json = ParseJson(text, kLimits);
  if (!json) return Corrupt(path, json.error().message);
  return json;
}

// `<64 hex digits>  <relative path>` per line, as sha256sum writes it.
Result<std::map<std::string, std::string>> ReadSums(const fs::path& directory) {
  const fs::path path = directory / kSums;
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(path, kMaxFileBytes));
  std::map<std::string, std::string> sums;
  size_t line_number = 0;
  for (const std::string_view line : Split(text, '\n')) {
    ++line_number;
    if (line.empty()) continue;
    const bool shaped = line.size() > 66 && IsLowerHex(line.substr(0, 64), 64) && line.substr(64, 2) == "  ";
    const std::string name(shaped ? line.substr(66) : std::string_view());
    const fs::path relative(name);
    const bool inside = shaped && relative.is_relative() && std::none_of(relative.begin(), relative.end(), [](const fs::path& part) { return part == ".."; });
    if (!inside) return Corrupt(path, "line " + std::to_string(line_number) + ": expected a digest, two spaces and a file of the record");
    sums[name] = std::string(line.substr(0, 64));
  }
  return sums;
}

Result<std::set<std::string>> ListFiles(const fs::path& directory) {
  std::set<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error)) files.insert(it->path().lexically_relative(directory).generic_string());
  }
  if (error) return Fail("FILE_IO", directory.string() + ": " + error.message());
  files.erase(kSums);
  return files;
}

Status VerifySums(const fs::path& directory) {
  LOCKSTEP_ASSIGN(const auto sums, ReadSums(directory));
  LOCKSTEP_ASSIGN(const auto files, ListFiles(directory));
  for (const std::string& file : files) {
    if (!sums.contains(file)) return Corrupt(directory / file, "expected a line in SHA256SUMS, found none");
  }
  for (const auto& [file, digest] : sums) {
    if (!files.contains(file)) return Corrupt(directory / file, "expected by SHA256SUMS, the file is missing");
    LOCKSTEP_ASSIGN(const std::string bytes, ReadFile(directory / file, kMaxFileBytes));
    const std::string actual = Sha256Hex(bytes);
    if (actual != digest) return Corrupt(directory / file, "expected sha256 " + digest + ", found " + actual);
  }
  return {};
}

Json CommandJson(const CommandEntry& entry) {
  return Json::MakeObject({{"history", entry.history},
                           {"taskStartedEventId", entry.task_started_id},
                           {"eventId", entry.event_id},
                           {"command", entry.identity},
                           {"digest", entry.digest},
                           {"file", entry.where.file},
                           {"line", static_cast<int64_t>(entry.where.line)},
                           {"function", entry.where.function}});
}

Result<std::vector<CommandEntry>> ReadCommands(const fs::path& path) {
  std::vector<CommandEntry> entries;
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(path, kMaxFileBytes));
  size_t line_number = 0;
  for (const std::string_view line : Split(text, '\n')) {
    ++line_number;
    if (line.empty()) continue;
    const auto json = ParseJson(line, kLimits);
    if (!json || !json->is_object()) return Corrupt(path, "line " + std::to_string(line_number) + ": expected one JSON object a line");
    CommandEntry& entry = entries.emplace_back();
    entry.history = static_cast<int>(json->GetInt("history", 1));
    entry.task_started_id = json->GetInt("taskStartedEventId");
    entry.event_id = json->GetInt("eventId");
    entry.identity = json->GetString("command");
    entry.digest = json->GetString("digest");
    entry.where = {json->GetString("file"), static_cast<uint32_t>(json->GetInt("line")), json->GetString("function")};
  }
  return entries;
}

Status ReadSnapshots(const fs::path& directory, Record* record) {
  std::error_code error;
  if (!fs::exists(directory / "snapshots", error)) return {};
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory / "snapshots", error)) files.insert(entry.path());
  for (const fs::path& file : files) {
    const auto seq = ParseInt64(file.stem().string());
    if (!seq || *seq < 1 || file.extension() != ".json") return Corrupt(file, "expected a name <runSeq>.json");
    LOCKSTEP_ASSIGN(record->snapshots[*seq], ReadJsonFile(file));
  }
  return {};
}

Status ReadArtifacts(const fs::path& directory, Record* record) {
  std::error_code error;
  if (!fs::exists(directory / "artifacts", error)) return {};
  for (const auto& entry : fs::directory_iterator(directory / "artifacts", error)) {
    LOCKSTEP_ASSIGN(std::string bytes, ReadFile(entry.path(), kMaxFileBytes));
    if (Sha256Hex(bytes) != entry.path().filename().string()) return Corrupt(entry.path(), "expected the file to be named by its sha256");
    record->artifacts.emplace(entry.path().filename().string(), std::move(bytes));
  }
  return {};
}

// All files of a record by their relative name.
std::map<std::string, std::string> FilesOf(const Record& record) {
  std::map<std::string, std::string> files;
  files[kManifest] = PrettyJson(record.manifest);
  if (!record.plan.empty()) files["plan.json"] = record.plan;
  if (!record.input.is_null()) files["input.json"] = PrettyJson(record.input);
  for (size_t i = 0; i < record.histories.size(); ++i) files[HistoryFileName(i + 1)] = record.histories[i];
  std::string events;
  for (const state::EventRecord& event : record.events) {
    AppendCanonicalJson(state::ToJson(event), &events);
    events.push_back('\n');
  }
  if (!record.events.empty()) files["events.jsonl"] = std::move(events);
  std::string commands;
  for (const CommandEntry& entry : record.commands) {
    AppendCanonicalJson(CommandJson(entry), &commands);
    commands.push_back('\n');
  }
  if (!record.commands.empty()) files["commands.jsonl"] = std::move(commands);
  for (const auto& [seq, snapshot] : record.snapshots) files["snapshots/" + std::to_string(seq) + ".json"] = PrettyJson(snapshot);
  for (const auto& [digest, bytes] : record.artifacts) files["artifacts/" + digest] = bytes;
  return files;
}

// --- scrubbing -----------------------------------------------------------------------------------------------------------
// Shapes of credentials that carry their own mark; names such as `password` inside a plan are the linter's business. A linear
// scan: histories hold megabytes of base64, on which a backtracking matcher would recurse without bound.

struct Found {
  size_t length = 0;  // 0: nothing here
  std::string_view replacement = "[scrubbed]";
};

struct TokenShape {
  std::string_view prefix;
  std::string_view alphabet_extra;  // beside letters and digits
  size_t least;                     // characters after the prefix
};
constexpr TokenShape kTokens[] = {
    {"AKIA", "", 16},       {"ghp_", "", 36},    {"gho_", "", 36},    {"ghu_", "", 36},    {"ghs_", "", 36},
    {"ghr_", "", 36},       {"xoxb-", "-", 10},  {"xoxp-", "-", 10},  {"xoxa-", "-", 10},  {"xoxr-", "-", 10},
    {"xoxs-", "-", 10},     {"Bearer ", "._~+/=-", 16}, {"bearer ", "._~+/=-", 16},
};

size_t RunLength(std::string_view text, size_t at, std::string_view extra) {
  size_t end = at;
  while (end < text.size() && (IsAsciiAlnum(text[end]) || extra.find(text[end]) != std::string_view::npos)) ++end;
  return end - at;
}

// header.payload.signature, each base64url, the first two beginning as JSON objects do.
size_t WebTokenLength(std::string_view text, size_t at) {
  size_t end = at;
  for (int part = 0; part < 3; ++part) {
    if (part < 2 && text.substr(end, 3) != "eyJ") return 0;
    const size_t length = RunLength(text, end, "_-");
    if (length < 10) return 0;
    end += length;
    if (part < 2 && (end >= text.size() || text[end++] != '.')) return 0;
  }
  return end - at;
}

size_t PrivateKeyLength(std::string_view text, size_t at) {
  constexpr std::string_view kBegin = "-----BEGIN ", kKind = "PRIVATE KEY-----", kEnd = "-----END ";
  if (text.substr(at, kBegin.size()) != kBegin) return 0;
  const size_t kind = text.substr(at, 64).find(kKind);
  if (kind == std::string_view::npos) return 0;
  const size_t end = text.find(kEnd, at + kind);
  if (end == std::string_view::npos) return 0;
  const size_t last = text.find(kKind, end);
  return last == std::string_view::npos ? 0 : last + kKind.size() - at;
}

// `://user:password@`
size_t UserInfoLength(std::string_view text, size_t at) {
  constexpr size_t kMax = 512;
  if (text.substr(at, 3) != "://") return 0;
  bool colon = false;
  for (size_t i = at + 3; i < text.size() && i < at + kMax; ++i) {
    const char c = text[i];
    if (c == '@') return colon && i > at + 4 ? i + 1 - at : 0;
    if (c == ':') {
      if (colon) return 0;
      colon = true;
    } else if (c == '/' || c == '"' || c == ' ' || c == '\n' || c == '\\') {
      return 0;
    }
  }
  return 0;
}

Found CredentialAt(std::string_view text, size_t at) {
  switch (text[at]) {
    case ':': return {UserInfoLength(text, at), "://[scrubbed]@"};
    case '-': return {PrivateKeyLength(text, at)};
    case 'e': return {WebTokenLength(text, at)};
    case 'A':
    case 'g':
    case 'x':
    case 'B':
    case 'b': break;
    default: return {};
  }
  // A prefix inside a longer word (base64, an identifier) is no token.
  if (at > 0 && (IsAsciiAlnum(text[at - 1]) || text[at - 1] == '_')) return {};
  for (const TokenShape& shape : kTokens) {
    if (!text.substr(at).starts_with(shape.prefix)) continue;
    const size_t length = RunLength(text, at + shape.prefix.size(), shape.alphabet_extra);
    if (length >= shape.least) return {shape.prefix.size() + length};
  }
  return {};
}

}  // namespace

bool IsRecordDirectory(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path / kManifest, error);
}

std::string HistoryFileName(size_t position) {
  return position == 1 ? "history.json" : "history." + std::to_string(position) + ".json";
}

Result<Record> ReadRecord(const fs::path& directory, const RecordReadOptions& options) {
  LOCKSTEP_TRY(VerifySums(directory));
  Record record;
  LOCKSTEP_ASSIGN(record.manifest, ReadJsonFile(directory / kManifest));
  const int64_t version = record.manifest.GetInt("formatVersion");
  if (version != kRecordFormatVersion) {
    return Corrupt(directory / kManifest, "expected formatVersion " + std::to_string(kRecordFormatVersion) + ", found " + std::to_string(version));
  }
  const Json* histories = record.manifest.Find("histories");
  if (histories == nullptr || !histories->is_array() || histories->AsArray().empty()) {
    return Corrupt(directory / kManifest, "expected histories: a list of files");
  }
  for (const Json& name : histories->AsArray()) {
    if (!name.is_string() || fs::path(name.AsString()).has_parent_path()) return Corrupt(directory / kManifest, "expected file names in histories");
    LOCKSTEP_ASSIGN(std::string text, ReadFile(directory / name.AsString(), kMaxFileBytes));
    record.histories.push_back(std::move(text));
  }
  std::error_code error;
  if (fs::exists(directory / "plan.json", error)) {
    LOCKSTEP_ASSIGN(record.plan, ReadFile(directory / "plan.json", kMaxFileBytes));
    const std::string digest = Sha256Hex(record.plan), expected = record.manifest.GetString("planSha256");
    if (digest != expected) return Corrupt(directory / "plan.json", "expected the plan with sha256 " + expected + ", found " + digest);
  }
  if (fs::exists(directory / "input.json", error)) {
    LOCKSTEP_ASSIGN(record.input, ReadJsonFile(directory / "input.json"));
  }
  if (fs::exists(directory / "events.jsonl", error)) {
    auto events = state::ReadEventLogFile(directory / "events.jsonl");
    if (!events) return Fail("RECORD_CORRUPT", events.error().message);  // names the file itself
    record.events = std::move(*events);
  }
  if (fs::exists(directory / "commands.jsonl", error)) {
    LOCKSTEP_ASSIGN(record.commands, ReadCommands(directory / "commands.jsonl"));
  }
  LOCKSTEP_TRY(ReadSnapshots(directory, &record));
  if (options.artifacts) LOCKSTEP_TRY(ReadArtifacts(directory, &record));
  return record;
}

Status WriteRecord(const Record& record, const fs::path& directory, bool replace) {
  std::error_code error;
  if (fs::exists(directory, error) && !replace) {
    return Fail("RECORD_EXISTS", directory.string() + ": expected a new folder, found an existing one");
  }
  const fs::path target = fs::absolute(directory, error).lexically_normal();
  const fs::path parent = target.has_filename() ? target.parent_path() : target.parent_path().parent_path();
  LOCKSTEP_TRY(CreateDirectories(parent));
  const fs::path scratch = parent / ("." + target.filename().string() + ".writing");
  fs::remove_all(scratch, error);
  LOCKSTEP_TRY(CreateDirectories(scratch));
  const auto write = [&]() -> Status {
    std::string sums;
    for (auto& [name, text] : FilesOf(record)) {
      std::string bytes = text;
      if (!name.starts_with("artifacts/")) ScrubSecrets(&bytes);
      LOCKSTEP_TRY(CreateDirectories((scratch / name).parent_path()));
      LOCKSTEP_TRY(WriteFileAtomically(scratch / name, bytes));
      sums += Sha256Hex(bytes) + "  " + name + "\n";
    }
    return WriteFileAtomically(scratch / kSums, sums);
  };
  Status status = write();
  if (status && replace) fs::remove_all(target, error);
  if (status) {
    fs::rename(scratch, target, error);
    if (error) status = Fail("FILE_IO", target.string() + ": cannot rename into place: " + error.message());
  }
  if (!status) fs::remove_all(scratch, error);
  return status;
}

size_t ScrubSecrets(std::string* text) {
  size_t count = 0;
  std::string out;
  size_t plain = 0;
  for (size_t i = 0; i < text->size();) {
    const Found found = CredentialAt(*text, i);
    if (found.length == 0) {
      ++i;
      continue;
    }
    out.append(*text, plain, i - plain);
    out += found.replacement;
    i += found.length;
    plain = i;
    ++count;
  }
  if (count == 0) return 0;
  out.append(*text, plain);
  *text = std::move(out);
  return count;
}

}  // namespace lockstep::replay
