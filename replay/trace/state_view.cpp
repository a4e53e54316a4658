#include "replay/trace/state_view.h"

#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/time.h"
#include "engine-core/state/snapshot.h"
#include "engine-core/workflow/execution.h"
#include "engine-core/workflow/match.h"
#include "engine-core/workflow/registry.h"
#include "replay/history/event_names.h"
#include "replay/history/timeline.h"

namespace lockstep::replay {
namespace {

using workflow::HistoryEvent;

// What the code knew at the end of one workflow task (or before its commands were matched).
struct CodeState {
  int64_t task_started_id = 0;
  int64_t task_completed_id = 0;
  std::vector<AwaitView> awaits;
  std::vector<std::string> buffered;
  std::vector<CommandView> unrecorded;
  int64_t run_seq = 0;
  Json snapshot;
  std::string snapshot_hash;
};

int64_t EndOf(const workflow::TaskSlice& task) {
  if (!task.recorded.empty()) return task.recorded.back()->event_id();
  return task.completed != nullptr ? task.completed->event_id() : task.started->event_id();
}

// Follows one execution and keeps the code's state at the wanted events.
class Follower {
 public:
  Follower(const history::LoadedHistory& loaded, int64_t execution, const StateOptions& options)
      : loaded_(loaded), execution_(execution), options_(options) {}

  bool wanted() const { return options_.at == 0 || execution_ == options_.execution; }

  void Run(EngineLog* log, const ReplayInput& input) {
    if (options_.registry == nullptr || options_.registry->Find(history::WorkflowType(*loaded_.history)) == nullptr) {
      why_no_code_ = "this build has no workflow " + PrintableUtf8(history::WorkflowType(*loaded_.history));
      return;
    }
    const auto lines = RecordedLines(input, static_cast<size_t>(execution_) - 1);
    SessionOptions session;
    session.registry = options_.registry;
    session.identity = {"", loaded_.info.workflow_id, loaded_.info.run_id};
    session.recorded_lines = lines.empty() ? nullptr : &lines;
    session.on_activate = options_.on_activate;
    session.on_step = [this](const SessionStep& step) { return OnStep(step); };
    const SessionResult result = ReplayHistory(*loaded_.history, session, log);
    for (const auto& divergence : result.divergences) {
      if (divergence.grade != workflow::Grade::kCommandChanging) continue;
      left_at_ = std::max(divergence.event_id, divergence.task_started_id);
      why_no_code_ = "the code left the history: " + divergence.Summary();
      break;
    }
  }

  void AddPoints(std::vector<StatePoint>* points) {
    history::PendingFold fold;
    const auto& events = loaded_.history->events();
    size_t state = 0;
    for (int i = 0; i < events.size(); ++i) {
      fold.Apply(events[i]);
      if (!IsPoint(events[i].event_id(), i + 1 == events.size())) continue;
      while (state < states_.size() && states_[state].first <= events[i].event_id()) ++state;
      points->push_back(PointAt(events[i], fold.work(), state == 0 ? nullptr : &states_[state - 1].second));
      if (options_.at != 0) return;
    }
  }

 private:
  bool IsPoint(int64_t event_id, bool last) const {
    if (options_.at != 0) return event_id == options_.at;
    return last || ends_.contains(event_id);
  }

  bool OnStep(const SessionStep& step) {
    if (!wanted()) return true;
    const int64_t at = options_.at == 0 ? INT64_MAX : options_.at;
    const int64_t started = step.task.started->event_id();
    const int64_t end = EndOf(step.task);
    if (at < started) return false;
    if (step.matched) {
      Keep(end, step);
      ends_.insert(end);
      return true;
    }
    // Between the task's start and its last command the code has run, and the history does not have all it issued.
    if (options_.at == 0 && end == started) return true;
    if (options_.at == 0 || at < end) Keep(started, step);
    return options_.at == 0 || at >= end;
  }

  void Keep(int64_t from_event, const SessionStep& step) {
    // Going to one event, only the last state counts.
    if (options_.at != 0) states_.clear();
    CodeState state;
    state.task_started_id = step.task.started->event_id();
    state.task_completed_id = step.task.completed != nullptr ? step.task.completed->event_id() : 0;
    state.awaits = AwaitViews(step.execution);
    for (const workflow::PendingCommand& pending : step.execution.PendingCommands()) {
      if (pending.event_id > 0) lines_[pending.event_id] = workflow::ToSourceLine(pending.where);
      if (pending.kind == "local activity")
        state.buffered.push_back("local activity " + PrintableUtf8(pending.id) + " " + std::string(pending.state));
    }
    if (!step.matched) NoteUnrecorded(step, &state);
    if (step.log.comparable() && step.log.last_seq() > 0) {
      state.run_seq = step.log.last_seq();
      state.snapshot = state::SnapshotJson(step.log.snapshot());
      state.snapshot_hash = state::SnapshotHash(step.log.snapshot());
    }
    states_.emplace_back(from_event, std::move(state));
  }

  void NoteUnrecorded(const SessionStep& step, CodeState* state) {
    std::vector<bool> taken(step.task.recorded.size(), false);
    for (const workflow::IssuedCommand& issued : step.execution.commands()) {
      int64_t event_id = 0;
      for (size_t i = 0; i < taken.size(); ++i) {
        if (taken[i] || !workflow::SameIdentity(*issued.command, *step.task.recorded[i])) continue;
        taken[i] = true;
        event_id = step.task.recorded[i]->event_id();
        break;
      }
      if (event_id != 0 && options_.at != 0 && event_id <= options_.at) {
        lines_[event_id] = workflow::ToSourceLine(issued.where);
        continue;
      }
      state->unrecorded.push_back(
          {PrintableUtf8(workflow::IdentityOf(*issued.command).ToString()), workflow::ToSourceLine(issued.where)});
    }
  }

  StatePoint PointAt(const HistoryEvent& event, const history::PendingWork& pending, CodeState* state) {
    StatePoint point;
    point.execution = execution_;
    point.event_id = event.event_id();
    point.event_type = history::EventTypeName(event, loaded_.info);
    point.time_ms = history::TimeMillis(event);
    point.elapsed_ms = point.time_ms - history::TimeMillis(loaded_.history->events(0));
    point.pending = pending;
    if (left_at_ > 0 && point.event_id >= left_at_) {
      point.why_no_code = why_no_code_;
      return point;
    }
    if (state == nullptr) {
      point.why_no_code = left_at_ == 0 && !why_no_code_.empty() ? why_no_code_ : "no workflow task has run yet";
      return point;
    }
    point.code = true;
    point.task_started_id = state->task_started_id;
    point.task_completed_id = state->task_completed_id <= point.event_id ? state->task_completed_id : 0;
    point.awaits = state->awaits;
    point.buffered = state->buffered;
    for (const history::PendingItem& item : pending.items) {
      if (const auto line = lines_.find(item.event_id); line != lines_.end()) point.lines.insert(*line);
    }
    point.unrecorded = state->unrecorded;
    point.run_seq = state->run_seq;
    point.snapshot = state->snapshot;
    point.snapshot_hash = state->snapshot_hash;
    return point;
  }

  const history::LoadedHistory& loaded_;
  int64_t execution_;
  const StateOptions& options_;
  std::string why_no_code_;
  int64_t left_at_ = 0;  // event at which the code left the history
  std::map<int64_t, workflow::SourceLine> lines_;
  std::set<int64_t> ends_;
  std::vector<std::pair<int64_t, CodeState>> states_;  // from this event on
};

// --- rendering
// -----------------------------------------------------------------------------------------------------------

std::string Bold(bool color, const std::string& text) { return color ? "\x1b[1m" + text + "\x1b[0m" : text; }
std::string Dim(bool color, const std::string& text) { return color ? "\x1b[2m" + text + "\x1b[0m" : text; }

std::string LineText(const workflow::SourceLine& line) {
  if (!line.known()) return {};
  return line.ToString() + (line.function.empty() ? "" : " in " + line.function);
}

std::string RenderItem(const history::PendingItem& item, const StatePoint& point) {
  std::string text = "  #" + std::to_string(item.event_id) + " " + std::string(item.kind) + " " + item.id;
  if (!item.type.empty()) text += " (" + item.type + ")";
  text += ", " + std::string(item.state);
  if (item.attempt > 0) text += ", attempt " + std::to_string(item.attempt);
  text += ", for " + FormatDuration(std::max<int64_t>(0, point.time_ms - item.since_ms));
  if (item.kind == "timer" && item.timeout_ms > 0) text += " of " + FormatDuration(item.timeout_ms);
  if (item.cancel_requested) text += ", cancellation requested";
  const auto line = point.lines.find(item.event_id);
  if (line != point.lines.end() && line->second.known()) text += "\n      issued at " + LineText(line->second);
  return text + "\n";
}

std::string RenderSnapshot(const StatePoint& point) {
  std::string text = "  run " + point.snapshot.GetString("status");
  const Json* steps = point.snapshot.Find("steps");
  if (steps == nullptr || !steps->is_object()) return text + "\n";
  std::map<std::string, std::string> by_status;
  for (const auto& [id, step] : steps->AsObject()) {
    const Json* attempts = step.is_array() ? &step : step.Find("attempts");
    const std::string status = step.is_object() && step.Find("status") != nullptr ? step.GetString("status")
                               : attempts != nullptr && attempts->is_array() && !attempts->AsArray().empty()
                                   ? attempts->AsArray().back().GetString("status")
                                   : std::string();
    std::string& list = by_status[status];
    list += (list.empty() ? "" : " ") + id;
  }
  text += "\n";
  for (const auto& [status, ids] : by_status)
    text += "  " + status + ": " + (ids.size() > 400 ? ids.substr(0, 400) + " ..." : ids) + "\n";
  return text;
}

std::string RenderPoint(const StatePoint& point, bool chain, bool color) {
  std::string text = Bold(color, (chain ? "execution " + std::to_string(point.execution) + ", " : "") + "event " +
                                     std::to_string(point.event_id) + " " + point.event_type + " at +" +
                                     FormatDuration(point.elapsed_ms)) +
                     "\n";
  text += "status " + std::string(point.pending.status);
  if (point.pending.cancel_requested) text += ", cancellation requested";
  if (!point.pending.workflow_task.empty()) text += ", workflow task " + std::string(point.pending.workflow_task);
  text += ", " + std::to_string(point.pending.signals) + (point.pending.signals == 1 ? " signal" : " signals") +
          " so far\n";
  for (const auto& [id, version] : point.pending.versions)
    text += "version " + id + " = " + std::to_string(version) + "\n";
  text += Bold(color, "pending") +
          (point.pending.items.empty() && point.pending.unseen_signals.empty() ? ": nothing\n" : "\n");
  for (const history::PendingItem& item : point.pending.items) text += RenderItem(item, point);
  for (const history::PendingSignal& signal : point.pending.unseen_signals) {
    text += "  #" + std::to_string(signal.event_id) + " signal " + signal.name + ", not seen by the code yet\n";
  }
  if (!point.code) return text + Dim(color, "(" + point.why_no_code + ")") + "\n";
  for (const CommandView& command : point.unrecorded) {
    text +=
        "  issued, not in the history yet: " + command.identity + "\n      issued at " + LineText(command.where) + "\n";
  }
  for (const std::string& buffered : point.buffered) text += "  " + buffered + "\n";
  text += Bold(color, "waiting") + (point.awaits.empty() ? ": nothing, the code has ended\n" : "\n");
  for (const AwaitView& view : point.awaits) {
    text += "  " + std::string(view.main ? "main" : "task") + " for " + view.waits_for +
            (view.event_id > 0 ? " (#" + std::to_string(view.event_id) + ")" : "") +
            (view.cancelled ? ", its scope is cancelled" : "") + "\n";
    for (const workflow::SourceLine& frame : view.stack) text += "      " + LineText(frame) + "\n";
  }
  if (point.run_seq > 0) {
    text += Bold(color, "snapshot") + " at runSeq " + std::to_string(point.run_seq) + ", " +
            point.snapshot_hash.substr(0, 16) + "\n" + RenderSnapshot(point);
  }
  return text;
}

}  // namespace

Json LineJson(const workflow::SourceLine& line) {
  if (!line.known()) return Json();
  return Json::MakeObject(
      {{"file", line.file}, {"line", static_cast<int64_t>(line.line)}, {"function", line.function}});
}

std::vector<AwaitView> AwaitViews(const workflow::Execution& execution) {
  std::vector<AwaitView> views;
  if (execution.closed()) return views;
  for (const workflow::AwaitPoint& point : execution.AwaitPoints()) {
    AwaitView& view = views.emplace_back();
    view.waits_for = PrintableUtf8(point.waits_for);
    view.event_id = point.event_id;
    view.main = point.main;
    view.cancelled = point.cancelled;
    for (const std::source_location& frame : point.stack) {
      workflow::SourceLine line = workflow::ToSourceLine(frame);
      // The runtime's own frames are between those of the workflow.
      if (line.file.starts_with("engine-core/workflow/") || line.file.starts_with("engine-core/authoring/")) continue;
      view.stack.push_back(std::move(line));
    }
  }
  return views;
}

Result<std::vector<StatePoint>> StatesOf(const ReplayInput& input, const StateOptions& options) {
  if (options.execution < 1 || options.execution > static_cast<int64_t>(input.histories.size())) {
    return Fail("INPUT_EXECUTION_OUT_OF_RANGE", input.path + ": expected an execution from 1 to " +
                                                    std::to_string(input.histories.size()) + ", found " +
                                                    std::to_string(options.execution));
  }
  const int last = input.histories[static_cast<size_t>(options.execution) - 1].history->events_size();
  if (options.at != 0 && (options.at < 1 || options.at > last)) {
    return Fail("INPUT_EVENT_OUT_OF_RANGE", input.path + ": expected an event from 1 to " + std::to_string(last) +
                                                ", found " + std::to_string(options.at));
  }
  std::vector<StatePoint> points;
  EngineLog log = LogFor(input);
  for (size_t i = 0; i < input.histories.size(); ++i) {
    const auto execution = static_cast<int64_t>(i) + 1;
    if (options.at != 0 && execution > options.execution) break;
    Follower follower(input.histories[i], execution, options);
    follower.Run(&log, input);
    if (follower.wanted()) follower.AddPoints(&points);
  }
  return points;
}

Json ToJson(const AwaitView& view) {
  Json stack = Json::MakeArray();
  for (const workflow::SourceLine& frame : view.stack) stack.Push(LineJson(frame));
  Json json = Json::MakeObject(
      {{"waitsFor", view.waits_for}, {"main", view.main}, {"cancelled", view.cancelled}, {"stack", std::move(stack)}});
  if (view.event_id > 0) json.Set("eventId", view.event_id);
  return json;
}

Json ToJson(const StatePoint& point) {
  Json pending = history::ToJson(point.pending);
  for (Json& item : pending.Find("items")->AsArray()) {
    const auto line = point.lines.find(item.GetInt("eventId"));
    if (line != point.lines.end()) item.Set("source", LineJson(line->second));
  }
  Json json = Json::MakeObject({{"execution", point.execution},
                                {"eventId", point.event_id},
                                {"eventType", point.event_type},
                                {"time", FormatUtcMillis(point.time_ms)},
                                {"elapsedMs", point.elapsed_ms},
                                {"pending", std::move(pending)},
                                {"source", point.code ? "code" : "events"}});
  if (!point.code) return json.Set("note", point.why_no_code);
  Json task = Json::MakeObject({{"startedEventId", point.task_started_id}});
  if (point.task_completed_id > 0) task.Set("completedEventId", point.task_completed_id);
  Json unrecorded = Json::MakeArray(), awaits = Json::MakeArray(), buffered = Json::MakeArray();
  for (const CommandView& command : point.unrecorded) {
    unrecorded.Push(Json::MakeObject({{"command", command.identity}, {"source", LineJson(command.where)}}));
  }
  for (const AwaitView& view : point.awaits) awaits.Push(ToJson(view));
  for (const std::string& text : point.buffered) buffered.Push(text);
  json.Set("workflowTask", std::move(task))
      .Set("unrecordedCommands", std::move(unrecorded))
      .Set("awaits", std::move(awaits));
  json.Set("localActivities", std::move(buffered));
  if (point.run_seq > 0)
    json.Set("runSeq", point.run_seq).Set("snapshot", point.snapshot).Set("snapshotHash", point.snapshot_hash);
  return json;
}

Json StateReportJson(const ReplayInput& input, const std::vector<StatePoint>& points) {
  Json list = Json::MakeArray();
  for (const StatePoint& point : points) list.Push(ToJson(point));
  const auto& first = input.histories.front();
  return Json::MakeObject({{"format", "lockstep.state/1"},
                           {"path", input.path},
                           {"workflowType", PrintableUtf8(history::WorkflowType(*first.history))},
                           {"workflowId", PrintableUtf8(first.info.workflow_id)},
                           {"executions", Json::Size(input.histories.size())},
                           {"points", std::move(list)}});
}

std::string RenderStates(const ReplayInput& input, const std::vector<StatePoint>& points, bool color) {
  const auto& first = input.histories.front();
  std::string text = Bold(color, input.path) + ": " + PrintableUtf8(history::WorkflowType(*first.history)) + " [" +
                     PrintableUtf8(first.info.workflow_id) + "]\n";
  for (const StatePoint& point : points) text += "\n" + RenderPoint(point, input.histories.size() > 1, color);
  return text;
}

}  // namespace lockstep::replay
