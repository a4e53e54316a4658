// Replays many histories at once: finds them under paths, spreads them over threads, watches for code that never yields, and
// gathers one report each. This is what `lockstep replay`, the hook and the gate call.
//
// Threads: `RunBatch` uses `jobs` threads of its own and calls `progress` from any of them, one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/workflow/divergence.h"
#include "replay/record/record.h"
#include "replay/session/session.h"

namespace lockstep::workflow {
class WorkflowRegistry;
}

namespace lockstep::replay {

enum class Verdict : uint8_t {
  kIdentical,
  kDrift,         // only retry and time-out numbers differ, or the log has events of a lost workflow task
  kDiverged,
  kUnreadable,    // corrupt, or of a workflow this build does not know
};
std::string_view VerdictName(Verdict verdict);  // `IDENTICAL`, `DRIFT`, `DIVERGED`, `UNREADABLE`

struct ReplayReport {
  std::string path;     // as given or found
  bool record = false;  // a record directory, not a bare history
  Verdict verdict = Verdict::kIdentical;
  std::optional<Error> error;  // kUnreadable only
  std::string workflow_type;
  std::string workflow_id;
  std::string run_id;
  int64_t executions = 0;  // in the chain
  int64_t events = 0;
  int64_t tasks = 0;
  int64_t commands = 0;
  int64_t engine_events = 0;
  bool open_task = false;
  std::string status;         // of the run, by the engine's log; empty when the history is no plan run
  std::string plan_id;        // of a plan run
  std::string plan_version;
  // Artifacts of the record's last snapshot, and how many of them the replay's has at the same place with the same digest.
  int64_t artifacts = 0;
  int64_t artifacts_matching = 0;
  std::string snapshot_hash;  // empty when it cannot be told (a bare history from the middle of a chain)
  std::string outcome_hash;
  std::vector<workflow::Divergence> divergences;
  std::vector<std::vector<CommandRow>> command_rows;  // per execution of the chain, with `keep_commands`
  std::vector<state::EventRecord> engine_log;
  std::map<int64_t, Json> snapshots;  // at the end of each execution, by runSeq
};

struct BatchOptions {
  const workflow::WorkflowRegistry* registry = nullptr;
  unsigned jobs = 0;  // 0: one a core
  int64_t stop_at_seq = 0;
  bool compare_snapshots = true;
  bool keep_commands = false;  // fill `command_rows`
  int64_t deadlock_limit_ms = 2'000;  // spec 04, RT6; 0: no watch
  std::function<void(size_t done, size_t total, const ReplayReport& report)> progress;
};

struct BatchResult {
  std::vector<ReplayReport> reports;  // in the order of the paths found
  // Some code never yielded: its thread cannot be ended, so the process must leave by _Exit.
  bool abandoned_threads = false;
  size_t Count(Verdict verdict) const;
};

// Files and record directories under `paths` (`-`: standard input), sorted within each path, each once.
// Errors: INPUT_NOT_FOUND (a path that does not exist), INPUT_EMPTY (a path that matches nothing).
Result<std::vector<std::string>> FindHistories(const std::vector<std::string>& paths);

BatchResult RunBatch(const std::vector<std::string>& inputs, const BatchOptions& options);
// One history or record directory.
ReplayReport ReplayOne(const std::string& path, const BatchOptions& options,
                       const std::function<void(const workflow::Execution*)>& on_activate = {});

// What is compared once, after the last execution: recorded events that never came, and the record's hashes. `whole`: the chain was
// followed to its end. Also takes over status, log and hashes.
void FinishReport(const std::optional<Record>& record, bool whole, EngineLog* log, ReplayReport* report);

Json ToJson(const workflow::Divergence& divergence);
Json ToJson(const ReplayReport& report);
// {"format","verdict","totals","histories"}; `strict` makes drift count as diverged.
Json ToJson(const BatchResult& result, bool strict);
// The table, the divergences and the verdict, for people.
std::string RenderText(const BatchResult& result, bool strict, bool color);
// 0 in step, 1 diverged, 3 unreadable input. A divergence outweighs unreadable input.
int ExitCode(const BatchResult& result, bool strict);

}  // namespace lockstep::replay
