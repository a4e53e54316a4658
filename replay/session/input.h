// What a path holds: a bare history, or a record directory with the histories of a chain. Every command that looks at
// recorded runs loads them here, so that all refuse the same damage with the same words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/base/result.h"
#include "engine-core/workflow/divergence.h"
#include "replay/history/reader.h"
#include "replay/record/record.h"
#include "replay/session/engine_log.h"

namespace lockstep::workflow {
class WorkflowRegistry;
}

namespace lockstep::replay {

struct ReplayInput {
  std::string path;
  std::vector<history::LoadedHistory> histories;  // one, or the executions of a chain in order
  std::optional<Record> record;
};

// `-` reads standard input. Checks integrity, and that the histories of a record are one chain of the recorded plan.
// Errors: those of reading, HISTORY_CORRUPT, RECORD_CORRUPT.
Result<ReplayInput> LoadInput(const std::string& path);
// This build knows the workflows. Error: WORKFLOW_TYPE_UNKNOWN.
Status CheckRunnable(const ReplayInput& input, const workflow::WorkflowRegistry& registry);

// A log to compare with: the record's own, or an empty one for a bare history.
EngineLog LogFor(const ReplayInput& input);
// Lines that issued the commands when they were recorded, by event id, for the execution at `position` of the chain.
std::map<int64_t, workflow::SourceLine> RecordedLines(const ReplayInput& input, size_t position);

}  // namespace lockstep::replay
