// Replays one recorded history through the full engine core and compares everything: commands with command events (kind, id,
// every attribute, order, and the workflow task), engine events with the recorded log, snapshots with the recorded hashes.
//
// The provider is the history, the store is in memory. A history may belong to a chain of executions (rotation): the caller
// then hands the same `EngineLog` to each session in turn.
// Nothing here depends on a clock or on threads; a session is used by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/state/event.h"
#include "engine-core/state/snapshot.h"
#include "engine-core/workflow/divergence.h"
#include "engine-core/workflow/execution.h"
#include "engine-core/workflow/slices.h"
#include "replay/session/engine_log.h"

namespace temporal::api::history::v1 {
class History;
}
namespace lockstep::workflow {
class WorkflowRegistry;
}

namespace lockstep::replay {

// One command as it was issued and where its event stands in the history.
struct CommandRow {
  int64_t task_started_id = 0;
  int64_t event_id = 0;  // 0: the history does not show it (open task, or surplus)
  std::string identity;  // `ActivityTaskScheduled step/a/1`
  std::string digest;    // SHA-256 of the command's attributes
  workflow::SourceLine where;
};

// A workflow task during a replay: told after its code ran, before its commands are matched with the history, and once more after.
struct SessionStep {
  size_t position = 0;  // of the task, from 0
  const workflow::TaskSlice& task;
  const workflow::Execution& execution;
  const EngineLog& log;
  bool matched = false;
};

struct SessionOptions {
  const workflow::WorkflowRegistry* registry = nullptr;
  workflow::ExecutionIdentity identity;
  // Stop once the engine log has reached this runSeq (0: never).
  int64_t stop_at_seq = 0;
  bool compare_snapshots = true;
  // Fill `commands`: a digest and a place in the history for each, which costs more than the replay itself.
  bool keep_commands = false;
  // Lines that issued the commands when they were recorded, by event id of the command.
  const std::map<int64_t, workflow::SourceLine>* recorded_lines = nullptr;
  // Told before the code runs and after (nullptr), for a watchdog on another thread.
  std::function<void(const workflow::Execution*)> on_activate;
  // False stops the replay here.
  std::function<bool(const SessionStep&)> on_step;
};

struct SessionResult {
  std::string workflow_type;
  std::string workflow_id;
  std::string run_id;
  int64_t events = 0;
  int64_t tasks = 0;
  bool open_task = false;   // the history ends in a started workflow task
  bool closed_by_code = false;
  bool stopped = false;     // at `stop_at_seq`
  int64_t issued = 0;  // commands
  std::vector<CommandRow> commands;  // with `keep_commands`
  std::vector<workflow::Divergence> divergences;
};

SessionResult ReplayHistory(const temporal::api::history::v1::History& history, const SessionOptions& options, EngineLog* log);

}  // namespace lockstep::replay
