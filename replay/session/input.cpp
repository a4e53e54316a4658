#include "replay/session/input.h"

#include <temporal/api/history/v1/message.pb.h>

#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"
#include "replay/history/integrity.h"

namespace lockstep::replay {
namespace {

Status CheckHistory(const history::LoadedHistory& loaded) {
  const auto problems = history::CheckIntegrity(*loaded.history, loaded.info);
  if (!problems.empty()) {
    const auto& first = problems.front();
    return Fail("HISTORY_CORRUPT", loaded.info.path + ": " +
                                       (first.event_id > 0 ? "event " + std::to_string(first.event_id) + ": " : "") +
                                       first.code + ": " + first.message);
  }
  return {};
}

Status CheckType(const history::LoadedHistory& loaded, const workflow::WorkflowRegistry& registry) {
  const std::string& type =
      loaded.history->events(0).workflow_execution_started_event_attributes().workflow_type().name();
  if (registry.Find(type) != nullptr) return {};
  std::string known;
  for (const std::string& name : registry.Types()) known += (known.empty() ? "" : ", ") + name;
  return Fail("WORKFLOW_TYPE_UNKNOWN", loaded.info.path + ": event 1: expected a workflow of this build (" +
                                           (known.empty() ? "none" : known) + "), found " + type);
}

// A record is one run: its histories are the executions of one chain, in order, of the plan that the manifest names.
Status CheckChain(const Record& record, const std::vector<history::LoadedHistory>& histories, const std::string& path) {
  const std::string expected_plan = record.manifest.GetString("claimedSha256", record.manifest.GetString("planSha256"));
  const std::string workflow_id = record.manifest.GetString("workflowId");
  std::string previous;
  for (size_t i = 0; i < histories.size(); ++i) {
    const auto& start = histories[i].history->events(0).workflow_execution_started_event_attributes();
    const auto bad = [&](const std::string& what, const std::string& expected, const std::string& found) {
      return Fail("RECORD_CORRUPT", path + "/" + HistoryFileName(i + 1) + ": event 1: expected " + what + " " +
                                        expected + ", found " + (found.empty() ? "none" : found));
    };
    const auto input = workflow::ReadFirstJson(start.input());
    const Json* ref = input ? input->Find("planRef") : nullptr;
    if (const std::string digest = ref != nullptr ? ref->GetString("sha256") : std::string();
        !expected_plan.empty() && digest != expected_plan) {
      return bad("the plan with sha256", expected_plan, digest);
    }
    if (!workflow_id.empty() && start.workflow_id() != workflow_id)
      return bad("workflow id", workflow_id, start.workflow_id());
    if (start.continued_execution_run_id() != previous) {
      return bad("an execution that continues", previous.empty() ? "none (the first of the chain)" : previous,
                 start.continued_execution_run_id());
    }
    previous = start.original_execution_run_id();
  }
  return {};
}

}  // namespace

Result<ReplayInput> LoadInput(const std::string& path) {
  ReplayInput input;
  input.path = path;
  if (path != "-" && IsRecordDirectory(path)) {
    LOCKSTEP_ASSIGN(input.record, ReadRecord(path));
    for (size_t i = 0; i < input.record->histories.size(); ++i) {
      LOCKSTEP_ASSIGN(auto loaded,
                      history::ParseHistory(input.record->histories[i], path + "/" + HistoryFileName(i + 1)));
      input.histories.push_back(std::move(loaded));
    }
  } else {
    LOCKSTEP_ASSIGN(auto loaded, history::ReadHistory(path));
    input.histories.push_back(std::move(loaded));
  }
  for (const auto& loaded : input.histories) LOCKSTEP_TRY(CheckHistory(loaded));
  if (input.record) LOCKSTEP_TRY(CheckChain(*input.record, input.histories, path));
  return input;
}

Status CheckRunnable(const ReplayInput& input, const workflow::WorkflowRegistry& registry) {
  for (const auto& loaded : input.histories) LOCKSTEP_TRY(CheckType(loaded, registry));
  return {};
}

EngineLog LogFor(const ReplayInput& input) {
  if (!input.record || input.record->events.empty()) return {};
  return EngineLog(input.record->events, input.record->snapshots);
}

std::map<int64_t, workflow::SourceLine> RecordedLines(const ReplayInput& input, size_t position) {
  std::map<int64_t, workflow::SourceLine> lines;
  if (!input.record) return lines;
  for (const CommandEntry& entry : input.record->commands) {
    if (entry.history == static_cast<int>(position) + 1 && entry.event_id != 0) lines[entry.event_id] = entry.where;
  }
  return lines;
}

}  // namespace lockstep::replay
