#include "reports/gather/prove.h"

#include <google/protobuf/message.h>
#include <temporal/api/history/v1/message.pb.h>

#include <filesystem>
#include <optional>

#include "engine-core/base/files.h"
#include "replay/history/reader.h"
#include "replay/history/writer.h"
#include "replay/record/record.h"
#include "replay/session/batch.h"

namespace lockstep::reports {
namespace {

using temporal::api::history::v1::History;

// Changes the last command that a workflow task issued into one that this code cannot have issued; false when there is
// none.
bool Inject(History* history) {
  for (int i = history->events_size() - 1; i >= 0; --i) {
    auto* event = history->mutable_events(i);
    if (event->has_activity_task_scheduled_event_attributes()) {
      auto* type = event->mutable_activity_task_scheduled_event_attributes()->mutable_activity_type();
      type->set_name(type->name() + "-injected");
      return true;
    }
    if (event->has_timer_started_event_attributes()) {
      auto* timer = event->mutable_timer_started_event_attributes();
      timer->set_timer_id(timer->timer_id() + "-injected");
      return true;
    }
    if (event->has_start_child_workflow_execution_initiated_event_attributes()) {
      auto* type = event->mutable_start_child_workflow_execution_initiated_event_attributes()->mutable_workflow_type();
      type->set_name(type->name() + "-injected");
      return true;
    }
    if (event->has_marker_recorded_event_attributes()) {
      auto* marker = event->mutable_marker_recorded_event_attributes();
      marker->set_marker_name(marker->marker_name() + "-injected");
      return true;
    }
  }
  return false;
}

std::optional<history::LoadedHistory> Load(const std::string& path) {
  const bool record = path != "-" && replay::IsRecordDirectory(path);
  auto loaded = history::ReadHistory(record ? path + "/" + replay::HistoryFileName(1) : path);
  if (!loaded) return std::nullopt;
  return std::move(*loaded);
}

}  // namespace

Result<Proof> ProveReplay(const std::vector<std::string>& inputs, const workflow::WorkflowRegistry& registry,
                          unsigned jobs) {
  Proof proof;
  LOCKSTEP_ASSIGN(const TemporaryDirectory folder, TemporaryDirectory::Create("lockstep-prove"));
  std::vector<std::string> copies, originals;
  for (const std::string& input : inputs) {
    auto loaded = Load(input);
    if (!loaded || !Inject(loaded->history)) {
      proof.without.push_back(input);
      continue;
    }
    const std::string copy = (folder.path() / (std::to_string(copies.size()) + ".pb")).string();
    LOCKSTEP_TRY(history::WriteHistory(copy, *loaded->history, history::OptionsForPath(copy)));
    copies.push_back(copy);
    originals.push_back(input);
  }
  replay::BatchOptions options;
  options.registry = &registry;
  options.jobs = jobs;
  const replay::BatchResult result = replay::RunBatch(copies, options);
  proof.injected = copies.size();
  for (size_t i = 0; i < result.reports.size(); ++i) {
    if (result.reports[i].verdict == replay::Verdict::kDiverged)
      ++proof.caught;
    else
      proof.missed.push_back(originals[i]);
  }
  return proof;
}

Json ToJson(const Proof& proof) {
  const auto list = [](const std::vector<std::string>& paths) {
    Json out = Json::MakeArray();
    for (const std::string& path : paths) out.Push(path);
    return out;
  };
  return Json::MakeObject({{"format", "lockstep.proof/1"},
                           {"holds", proof.holds()},
                           {"injected", Json::Size(proof.injected)},
                           {"caught", Json::Size(proof.caught)},
                           {"missed", list(proof.missed)},
                           {"without", list(proof.without)}});
}

std::string RenderText(const Proof& proof) {
  std::string text;
  for (const std::string& path : proof.missed) text += path + ": the injected divergence was not found\n";
  for (const std::string& path : proof.without) text += path + ": nothing to change, or unreadable\n";
  text += std::to_string(proof.caught) + " of " + std::to_string(proof.injected) + " injected divergences caught. " +
          (proof.holds() ? "The gate sees." : "THE GATE IS BLIND.") + "\n";
  return text;
}

}  // namespace lockstep::reports
