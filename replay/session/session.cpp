#include "replay/session/session.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/enums/v1/workflow.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>

#include "engine-core/base/sha256.h"
#include "engine-core/workflow/match.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"

namespace lockstep::replay {
namespace {

using workflow::Divergence;
using workflow::DivergenceKind;
using workflow::HistoryEvent;

// Maps in the order of their keys: without that, equal commands would have other bytes in another process.
std::string DeterministicBytes(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

// A worker may have run this task, local activities included, before it was lost or refused. A task nobody took is none of these.
bool LostTask(const HistoryEvent& event) {
  if (event.event_type() == temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_TASK_FAILED) return true;
  return event.event_type() == temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT &&
         event.workflow_task_timed_out_event_attributes().timeout_type() == temporal::api::enums::v1::TIMEOUT_TYPE_START_TO_CLOSE;
}

class Session {
 public:
  Session(const temporal::api::history::v1::History& history, const SessionOptions& options, EngineLog* log)
      : history_(history), options_(options), log_(log) {}

  SessionResult Run() {
    std::vector<const HistoryEvent*> events;
    events.reserve(static_cast<size_t>(history_.events_size()));
    for (const HistoryEvent& event : history_.events()) events.push_back(&event);
    result_.events = history_.events_size();
    cut_ = workflow::CutHistory(events);
    Prepare();
    for (size_t i = 0; i < cut_.tasks.size(); ++i) {
      if (!RunTask(cut_.tasks[i], i)) break;
    }
    Collect();
    return std::move(result_);
  }

 private:
  void Prepare() {
    log_->set_compare_snapshots(options_.compare_snapshots);
    if (history_.events_size() > 0 && history_.events(0).has_workflow_execution_started_event_attributes()) {
      const auto& start = history_.events(0).workflow_execution_started_event_attributes();
      result_.workflow_type = start.workflow_type().name();
      if (const auto input = workflow::ReadFirstJson(start.input()); input && input->is_object()) log_->Begin(*input);
    }
    for (const HistoryEvent& event : history_.events()) {
      if (LostTask(event)) log_->NoteLostTask();
    }
    workflow::ExecutionOptions execution;
    execution.on_local_activity = [this](const workflow::LocalActivityTrace& trace) { log_->Observe(trace); };
    execution_ = workflow::Execution::Create(*options_.registry, options_.identity, std::move(execution));
  }

  // False when there is nothing to be gained from going on.
  bool RunTask(const workflow::TaskSlice& task, size_t position) {
    if (options_.on_activate) options_.on_activate(execution_.get());
    execution_->Activate(task);
    if (options_.on_activate) options_.on_activate(nullptr);
    ++result_.tasks;
    const std::vector<workflow::IssuedCommand> issued = execution_->commands();
    result_.issued += static_cast<int64_t>(issued.size());
    if (options_.keep_commands) NoteCommands(task, issued);
    if (options_.on_step && !options_.on_step({position, task, *execution_, *log_, false})) return Stop();
    const size_t before = execution_->divergences().size();
    if (task.completed != nullptr) {
      execution_->Complete(*task.completed, task.recorded);
    } else {
      result_.open_task = true;
    }
    for (size_t i = before; i < execution_->divergences().size(); ++i) position_of_[i] = position;
    if (options_.on_step && !options_.on_step({position, task, *execution_, *log_, true})) return Stop();
    if (options_.stop_at_seq > 0 && log_->last_seq() >= options_.stop_at_seq) {
      return Stop();
    }
    return !execution_->diverged() && execution_->broken() == nullptr;
  }

  bool Stop() {
    result_.stopped = true;
    return false;
  }

  void NoteCommands(const workflow::TaskSlice& task, const std::vector<workflow::IssuedCommand>& commands) {
    std::vector<bool> taken(task.recorded.size(), false);
    for (const workflow::IssuedCommand& issued : commands) {
      CommandRow row;
      row.task_started_id = task.started->event_id();
      row.identity = workflow::IdentityOf(*issued.command).ToString();
      row.digest = Sha256Hex(DeterministicBytes(*issued.command));
      row.where = workflow::ToSourceLine(issued.where);
      for (size_t i = 0; i < task.recorded.size(); ++i) {
        if (taken[i] || !workflow::SameIdentity(*issued.command, *task.recorded[i])) continue;
        taken[i] = true;
        row.event_id = task.recorded[i]->event_id();
        break;
      }
      result_.commands.push_back(std::move(row));
    }
  }

  void Collect() {
    result_.workflow_id = execution_->identity().workflow_id;
    result_.run_id = execution_->identity().run_id;
    result_.closed_by_code = execution_->closed();
    const auto& found = execution_->divergences();
    for (size_t i = 0; i < found.size(); ++i) {
      Divergence divergence = found[i];
      // The event log says it better, event by event.
      const bool marker_input = divergence.kind == DivergenceKind::kFieldChanged && (divergence.field == "input" || divergence.field.starts_with("details"));
      if (marker_input && log_->explained_markers().contains(divergence.event_id)) continue;
      if (divergence.kind == DivergenceKind::kSurplusCommand) FindElsewhere(position_of_[i], &divergence);
      AddRecordedLine(&divergence);
      result_.divergences.push_back(std::move(divergence));
    }
    for (Divergence& divergence : log_->TakeDivergences()) {
      AddRecordedLine(&divergence);
      result_.divergences.push_back(std::move(divergence));
    }
    // In the order of the history; what stands at no event comes last.
    const auto place = [](const Divergence& divergence) {
      const int64_t at = std::max(divergence.event_id, divergence.task_started_id);
      return at == 0 ? INT64_MAX : at;
    };
    std::stable_sort(result_.divergences.begin(), result_.divergences.end(),
                     [&](const Divergence& a, const Divergence& b) { return place(a) < place(b); });
  }

  // A surplus command that a later workflow task recorded is not new: it was issued too early.
  void FindElsewhere(size_t position, Divergence* divergence) const {
    for (size_t i = position + 1; i < cut_.tasks.size(); ++i) {
      for (const HistoryEvent* event : cut_.tasks[i].recorded) {
        if (workflow::IdentityOf(*event).ToString() != divergence->actual) continue;
        divergence->kind = DivergenceKind::kOtherTask;
        divergence->event_id = event->event_id();
        divergence->expected = "in the workflow task started at event " + std::to_string(cut_.tasks[i].started->event_id());
        divergence->actual = "in the workflow task started at event " + std::to_string(divergence->task_started_id);
        return;
      }
    }
  }

  void AddRecordedLine(Divergence* divergence) const {
    if (options_.recorded_lines == nullptr) return;
    const auto it = options_.recorded_lines->find(divergence->event_id);
    if (it != options_.recorded_lines->end()) divergence->recorded_where = it->second;
  }

  const temporal::api::history::v1::History& history_;
  const SessionOptions& options_;
  EngineLog* log_;
  workflow::HistoryCut cut_;
  std::unique_ptr<workflow::Execution> execution_;
  std::map<size_t, size_t> position_of_;  // divergence -> task
  SessionResult result_;
};

}  // namespace

SessionResult ReplayHistory(const temporal::api::history::v1::History& history, const SessionOptions& options, EngineLog* log) {
  return Session(history, options, log).Run();
}

}  // namespace lockstep::replay
