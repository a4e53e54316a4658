#include "replay/trace/timeline_page.h"

#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <map>

#include "engine-core/base/bytes.h"
#include "engine-core/state/snapshot.h"
#include "engine-core/workflow/execution.h"
#include "engine-core/workflow/markers.h"
#include "engine-core/workflow/match.h"
#include "engine-core/workflow/registry.h"
#include "replay/history/event_names.h"
#include "replay/history/pending.h"
#include "replay/history/timeline.h"
#include "replay/trace/page_text.h"
#include "replay/trace/state_view.h"

namespace lockstep::replay {
namespace {

using workflow::HistoryEvent;

constexpr size_t kMaxFact = 160;

// Numbers for texts, in the order they first appear.
class Table {
 public:
  int64_t Of(const std::string& text) {
    const auto [it, fresh] = numbers_.emplace(text, static_cast<int64_t>(texts_.size()));
    if (fresh) texts_.push_back(text);
    return it->second;
  }
  Json ToJson() const {
    Json list = Json::MakeArray();
    for (const std::string& text : texts_) list.Push(text);
    return list;
  }

 private:
  std::map<std::string, int64_t> numbers_;
  std::vector<std::string> texts_;
};

// Which lane an event belongs to: its step, else what kind of thing it is about.
std::string LaneOf(const HistoryEvent& event, const std::map<int64_t, std::string>& opened) {
  if (const auto parent = opened.find(history::OpenedBy(event));
      parent != opened.end() && !event.has_workflow_task_started_event_attributes() &&
      !event.has_workflow_task_completed_event_attributes() && !event.has_workflow_task_failed_event_attributes() &&
      !event.has_workflow_task_timed_out_event_attributes()) {
    return parent->second;
  }
  const std::string step = workflow::StepIdOf(event);
  if (!step.empty()) return "step " + PrintableUtf8(step);
  const std::string type = history::EventTypeName(event.event_type());
  if (type.starts_with("WorkflowTask")) return "workflow tasks";
  if (event.has_activity_task_scheduled_event_attributes())
    return PrintableUtf8(event.activity_task_scheduled_event_attributes().activity_type().name());
  if (type.starts_with("Timer")) return "timers";
  if (event.has_start_child_workflow_execution_initiated_event_attributes()) {
    return "child " +
           PrintableUtf8(event.start_child_workflow_execution_initiated_event_attributes().workflow_type().name());
  }
  if (type.find("Signal") != std::string::npos) return "signals";
  return "run";
}

std::string StackText(const AwaitView& view) {
  std::string text = std::string(view.main ? "main" : "task") + " waits for " + view.waits_for +
                     (view.cancelled ? " (scope cancelled)" : "");
  for (const workflow::SourceLine& frame : view.stack) text += "\n    " + frame.ToString() + "  " + frame.function;
  return text;
}

// What the code adds: lines of commands, waits and snapshot changes, task by task.
class CodeTrack {
 public:
  void Run(const ReplayInput& input, size_t wanted, const workflow::WorkflowRegistry* registry, size_t tasks) {
    if (registry == nullptr || registry->Find(history::WorkflowType(*input.histories[wanted].history)) == nullptr)
      return;
    EngineLog log = LogFor(input);
    size_t done = 0;
    for (size_t i = 0; i <= wanted && done < tasks; ++i) {
      SessionOptions session;
      session.registry = registry;
      session.identity = {"", input.histories[i].info.workflow_id, input.histories[i].info.run_id};
      session.on_step = [&](const SessionStep& step) {
        if (i == wanted && !step.matched) NoteLines(step);
        if (i == wanted && step.matched) NoteTask(step);
        return !step.matched || ++done < tasks;
      };
      ReplayHistory(*input.histories[i].history, session, &log);
    }
  }

  void AddTo(Json* run) {
    if (!ran_) return;
    run->Set("lines", std::move(lines_)).Set("stacks", stacks_.ToJson()).Set("awaits", std::move(awaits_));
    if (followed_) run->Set("patches", std::move(patches_));
  }

 private:
  void NoteLines(const SessionStep& step) {
    std::vector<bool> taken(step.task.recorded.size(), false);
    for (const workflow::IssuedCommand& issued : step.execution.commands()) {
      for (size_t i = 0; i < taken.size(); ++i) {
        if (taken[i] || !workflow::SameIdentity(*issued.command, *step.task.recorded[i])) continue;
        taken[i] = true;
        const workflow::SourceLine line = workflow::ToSourceLine(issued.where);
        if (line.known())
          lines_.Push(Json(Json::Array{step.task.recorded[i]->event_id(), line.ToString() + " " + line.function}));
        break;
      }
    }
  }

  void NoteTask(const SessionStep& step) {
    ran_ = true;
    Json waits = Json::MakeArray();
    for (const AwaitView& view : AwaitViews(step.execution)) waits.Push(stacks_.Of(StackText(view)));
    awaits_.Push(std::move(waits));
    if (!step.log.comparable()) return;
    followed_ = true;
    Json snapshot = step.log.last_seq() > 0 ? state::SnapshotJson(step.log.snapshot()) : Json::MakeObject();
    patches_.Push(MergePatchBetween(snapshot_, snapshot));
    snapshot_ = std::move(snapshot);
  }

  bool ran_ = false;
  bool followed_ = false;
  Json lines_ = Json::MakeArray(), awaits_ = Json::MakeArray(), patches_ = Json::MakeArray();
  Json snapshot_ = Json::MakeObject();
  Table stacks_;
};

// JSON that may stand inside a script element: nothing in it can end the element.
std::string InsideScript(const Json& json) {
  std::string text;
  for (const char c : CanonicalJson(json)) {
    if (c == '<')
      text += "\\u003c";
    else if (c == '>')
      text += "\\u003e";
    else if (c == '&')
      text += "\\u0026";
    else
      text += c;
  }
  return text;
}

std::string EscapedHtml(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

}  // namespace

Json MergePatchBetween(const Json& before, const Json& after) {
  if (before == after) return 0;
  if (!before.is_object() || !after.is_object()) return after;
  Json patch = Json::MakeObject();
  for (const auto& [key, value] : after.AsObject()) {
    const Json* old = before.Find(key);
    if (old == nullptr) {
      patch.Set(key, value);
    } else if (!(*old == value)) {
      patch.Set(key, MergePatchBetween(*old, value));
    }
  }
  for (const auto& [key, value] : before.AsObject()) {
    if (after.Find(key) == nullptr) patch.Set(key, Json());
  }
  return patch;
}

Json TimelineRun(const ReplayInput& input, size_t execution, const workflow::WorkflowRegistry* registry, size_t tasks) {
  const history::LoadedHistory& loaded = input.histories[execution];
  const auto& events = loaded.history->events();
  Table types, lanes;
  lanes.Of("workflow tasks");
  lanes.Of("run");
  // What comes from outside stands above the steps, wherever in the history it begins.
  for (const HistoryEvent& event : events) {
    if (event.has_workflow_execution_signaled_event_attributes()) lanes.Of("signals");
  }
  std::map<int64_t, std::string> opened;
  std::map<int64_t, Json::Array> items;  // by the event that opened it
  Json list = Json::MakeArray(), item_list = Json::MakeArray(), task_list = Json::MakeArray();
  history::PendingFold fold;
  const int64_t begin = events.empty() ? 0 : history::TimeMillis(events[0]);
  std::vector<const HistoryEvent*> pointers;
  for (const HistoryEvent& event : events) {
    pointers.push_back(&event);
    const int64_t id = event.event_id(), parent = history::OpenedBy(event);
    const std::string lane = LaneOf(event, opened);
    opened[id] = lane;
    const std::string fact = PrintableUtf8(TruncateUtf8(history::EventFact(event), kMaxFact));
    list.Push(
        Json(Json::Array{id, types.Of(PrintableUtf8(history::EventTypeName(event, loaded.info))),
                         std::max<int64_t>(0, history::TimeMillis(event) - begin), lanes.Of(lane), parent, fact}));
    fold.Apply(event);
    const auto& pending = fold.work().items;
    // The item this event opened, or moved on, or closed.
    const auto known = items.find(parent);
    const auto now = std::find_if(pending.begin(), pending.end(), [&](const history::PendingItem& item) {
      return item.event_id == (known == items.end() ? id : parent);
    });
    if (known != items.end()) {
      if (now == pending.end() && known->second[5] == Json(0)) known->second[5] = id;
      if (now != pending.end()) known->second[4] = now->started_event_id;
    } else if (now != pending.end()) {
      items[id] = Json::Array{std::string(now->kind), now->id, now->type, id, 0, 0, lanes.Of(lane)};
    }
  }
  for (auto& [id, item] : items) item_list.Push(Json(std::move(item)));
  for (const workflow::TaskSlice& task : workflow::CutHistory(pointers).tasks) {
    const int64_t completed = task.completed != nullptr ? task.completed->event_id() : 0;
    const int64_t end = !task.recorded.empty() ? task.recorded.back()->event_id()
                        : completed != 0       ? completed
                                               : task.started->event_id();
    task_list.Push(Json(Json::Array{task.started->event_id(), completed, end}));
  }
  Json run = Json::MakeObject({{"path", input.path},
                               {"execution", Json::Size(execution + 1)},
                               {"workflowType", PrintableUtf8(history::WorkflowType(*loaded.history))},
                               {"workflowId", PrintableUtf8(loaded.info.workflow_id)},
                               {"runId", PrintableUtf8(loaded.info.run_id)},
                               {"status", history::HistoryStatus(*loaded.history)},
                               {"startMs", begin},
                               {"events", std::move(list)},
                               {"items", std::move(item_list)},
                               {"tasks", std::move(task_list)},
                               {"types", types.ToJson()},
                               {"lanes", lanes.ToJson()}});
  CodeTrack code;
  if (tasks > 0) code.Run(input, execution, registry, tasks);
  code.AddTo(&run);
  return run;
}

std::string TimelinePage(std::vector<Json> runs, const Json& divergence) {
  const std::string title = runs.empty()
                                ? std::string("lockstep")
                                : runs.front().GetString("workflowType") + " " + runs.front().GetString("path");
  Json list = Json::MakeArray();
  for (Json& run : runs) list.Push(std::move(run));
  Json shown = divergence;
  // Of use to programs only.
  if (shown.is_object()) {
    for (const char* name : {"runningDigests", "probes", "experiments"}) shown.AsObject().erase(name);
    if (const Json* detail = shown.At("/identicalUpTo/execution"); detail != nullptr) shown.Set("execution", *detail);
  }
  const Json data =
      Json::MakeObject({{"runs", std::move(list)},
                        {"divergence", shown},
                        {"verdict", divergence.is_object() ? divergence.GetString("verdict") : std::string()}});
  std::string page(kPageHtml);
  const auto put = [&page](std::string_view mark, std::string_view text) {
    const size_t place = page.find(mark);
    if (place != std::string::npos) page.replace(place, mark.size(), text);
  };
  // The data last: it may hold anything.
  put("%TITLE%", EscapedHtml(title));
  put("%STYLE%", kPageStyle);
  put("%SCRIPT%", kPageScript);
  put("%DATA%", InsideScript(data));
  return page;
}

}  // namespace lockstep::replay
