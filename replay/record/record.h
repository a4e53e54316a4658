// Record directories (spec 07 section 6): everything one recorded run needs to be replayed and compared.
//
//   manifest.json      formatVersion, tool, toolVersion, buildId, planSha256, inputSha256, adapter, workflowType, workflowId,
//                      runId, status, histories[] (files in order of the chain), snapshotHash, outcomeHash, command
//   plan.json          the plan's bytes as they were recorded
//   input.json         input of the first execution
//   history.json       the provider's history; later executions of a chain are history.2.json, history.3.json, ...
//   events.jsonl       the engine's event log
//   commands.jsonl     each command with the line that issued it
//   snapshots/<seq>.json   at the end, and where an execution of the chain ended
//   artifacts/<sha256>
//   SHA256SUMS         one line a file, as sha256sum writes it
//
// Loading refuses a record with a broken sum, a missing or an unlisted file. Writing is all or nothing: a temporary folder
// beside the target, then a rename. Secrets are scrubbed before writing. Errors: RECORD_CORRUPT, RECORD_EXISTS, FILE_*.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/state/event.h"
#include "engine-core/workflow/divergence.h"

namespace lockstep::replay {

inline constexpr int kRecordFormatVersion = 1;

struct CommandEntry {
  int history = 1;  // 1-based position in the chain
  int64_t task_started_id = 0;
  int64_t event_id = 0;
  std::string identity;
  std::string digest;
  workflow::SourceLine where;
};

struct Record {
  Json manifest = Json::MakeObject();
  std::string plan;
  Json input;
  std::vector<std::string> histories;  // JSON text, in order of the chain
  std::vector<state::EventRecord> events;
  std::vector<CommandEntry> commands;
  std::map<int64_t, Json> snapshots;
  std::map<std::string, std::string> artifacts;  // sha256 -> bytes
};

bool IsRecordDirectory(const std::filesystem::path& path);
// Name of the n-th history of a chain, 1-based.
std::string HistoryFileName(size_t position);

struct RecordReadOptions {
  bool artifacts = false;  // also their bytes; sums are checked in any case
};
Result<Record> ReadRecord(const std::filesystem::path& directory, const RecordReadOptions& options = {});
// Refuses an existing target (RECORD_EXISTS) unless `replace`.
Status WriteRecord(const Record& record, const std::filesystem::path& directory, bool replace = false);

// Replaces what looks like a credential in a text by `[scrubbed]`; returns how many places. The same text always scrubs alike.
size_t ScrubSecrets(std::string* text);

}  // namespace lockstep::replay
