#include "replay/trace/debug_session.h"

#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>

#include "engine-core/workflow/execution.h"
#include "engine-core/workflow/registry.h"
#include "replay/trace/state_view.h"

namespace lockstep::replay {

// Kept out of line and with an effect the compiler cannot see, so that a breakpoint has a place.
extern "C" __attribute__((noinline, used)) void lockstep_debug_stop(int64_t started_event_id) {
  asm volatile("" : : "r"(started_event_id) : "memory");
}

namespace {

void AddStop(const workflow::SourceLine& line, std::vector<workflow::SourceLine>* stops) {
  if (line.known() && std::find(stops->begin(), stops->end(), line) == stops->end()) stops->push_back(line);
}

// A word inside double quotes of a debugger's script.
std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string Libraries(const DebugScript& script) {
  std::string words;
  for (const std::string& library : script.libraries) words += " --workflows " + Quoted(library);
  return words;
}

std::string Arguments(const DebugPoint& point, const DebugScript& script) {
  return "debug " + Quoted(script.history) + " --execution " + std::to_string(point.execution) + " --at " +
         std::to_string(point.started_id) + Libraries(script) + " --under-debugger";
}

std::string GdbCommands(const DebugPoint& point, const DebugScript& script) {
  std::string text = "set pagination off\nset confirm off\nset breakpoint pending on\n";
  text += "set $lockstep_event = " + std::to_string(point.started_id) +
          "\nset $lockstep_previous = " + std::to_string(point.previous_id) +
          "\nset $lockstep_next = " + std::to_string(point.next_id) + "\n";
  text += "define lockstep-goto\n  eval \"shell " + Quoted(script.program) + " debug " + Quoted(script.history) +
          " --execution " + std::to_string(point.execution) + Libraries(script) + " --script-only " +
          Quoted(script.script) + " --at %d\", $arg0\n  source " + script.script + "\nend\n";
  text += "document lockstep-goto\nReplays to the workflow task that sees event EVENT and stops at its code.\nend\n";
  text +=
      "define lockstep-back\n  if $lockstep_previous == 0\n    echo This is the first workflow task.\\n\n  else\n    "
      "eval \"lockstep-goto %d\", $lockstep_previous\n  end\nend\n";
  text += "document lockstep-back\nReplays to the workflow task before this one.\nend\n";
  text +=
      "define lockstep-forward\n  if $lockstep_next == 0\n    echo This is the last workflow task.\\n\n  else\n    "
      "eval \"lockstep-goto %d\", $lockstep_next\n  end\nend\n";
  text += "document lockstep-forward\nReplays to the workflow task after this one.\nend\n";
  text += "delete\ntbreak lockstep_debug_stop\nset args " + Arguments(point, script) + "\nrun\n";
  for (const auto& stop : point.stops) text += "tbreak " + stop.ToString() + "\n";
  text += "continue\n";
  if (script.batch) text += "backtrace 12\nkill\nquit\n";
  return text;
}

std::string LldbCommands(const DebugPoint& point, const DebugScript& script) {
  std::string text =
      "settings set auto-confirm true\nbreakpoint delete\nbreakpoint set --one-shot true --name lockstep_debug_stop\n";
  text += "process launch -- " + Arguments(point, script) + "\n";
  for (const auto& stop : point.stops) {
    const std::string file = stop.file.substr(stop.file.rfind('/') + 1);
    text += "breakpoint set --one-shot true --file " + file + " --line " + std::to_string(stop.line) + "\n";
  }
  text += "continue\n";
  if (script.batch) text += "thread backtrace --count 12\nprocess kill\nquit\n";
  return text;
}

}  // namespace

Result<DebugPoint> FindDebugPoint(const ReplayInput& input, const workflow::WorkflowRegistry& registry,
                                  int64_t execution, int64_t at) {
  LOCKSTEP_TRY(CheckRunnable(input, registry));
  StateOptions options{.registry = &registry, .execution = execution, .at = at};
  LOCKSTEP_TRY(StatesOf(input, options));
  std::vector<const workflow::HistoryEvent*> events;
  for (const auto& event : input.histories[static_cast<size_t>(execution) - 1].history->events())
    events.push_back(&event);
  const auto tasks = workflow::CutHistory(events).tasks;
  if (tasks.empty())
    return Fail("INPUT_EVENT_OUT_OF_RANGE", input.path + ": expected a history with a workflow task, found none");
  // The code sees an event in the task that begins after it; inside a task, in that one.
  size_t position = 0;
  while (position + 1 < tasks.size()) {
    const auto& task = tasks[position];
    const int64_t end = !task.recorded.empty()      ? task.recorded.back()->event_id()
                        : task.completed != nullptr ? task.completed->event_id()
                                                    : task.started->event_id();
    if (end >= at) break;
    ++position;
  }
  DebugPoint point;
  point.execution = execution;
  point.started_id = tasks[position].started->event_id();
  if (position > 0) point.previous_id = tasks[position - 1].started->event_id();
  if (position + 1 < tasks.size()) point.next_id = tasks[position + 1].started->event_id();
  // Where the coroutines stood before it that stand elsewhere afterwards: those are the ones that resume.
  std::vector<AwaitView> before, after;
  if (position > 0) {
    options.at = point.started_id - 1;
    LOCKSTEP_ASSIGN(const auto points, StatesOf(input, options));
    before = points.front().awaits;
  }
  options.at = point.started_id;
  LOCKSTEP_ASSIGN(const auto points, StatesOf(input, options));
  for (const AwaitView& view : before) {
    const bool stays =
        std::find(points.front().awaits.begin(), points.front().awaits.end(), view) != points.front().awaits.end();
    if (!stays && !view.stack.empty()) AddStop(view.stack.front(), &point.stops);
  }
  for (const CommandView& command : points.front().unrecorded) AddStop(command.where, &point.stops);
  // Nothing resumed and nothing was issued: where it waits is the best there is.
  if (point.stops.empty()) {
    for (const AwaitView& view : before) {
      if (!view.stack.empty()) AddStop(view.stack.front(), &point.stops);
    }
  }
  return point;
}

std::string DebuggerCommands(Debugger debugger, const DebugPoint& point, const DebugScript& script) {
  return debugger == Debugger::kGdb ? GdbCommands(point, script) : LldbCommands(point, script);
}

void ReplayUnderDebugger(const ReplayInput& input, const workflow::WorkflowRegistry& registry,
                         const DebugPoint& point) {
  EngineLog log = LogFor(input);
  for (size_t i = 0; i < input.histories.size() && static_cast<int64_t>(i) < point.execution; ++i) {
    SessionOptions session;
    session.registry = &registry;
    session.identity = {"", input.histories[i].info.workflow_id, input.histories[i].info.run_id};
    const bool here = static_cast<int64_t>(i) + 1 == point.execution;
    // After the task before it, the next thing to run is the task.
    if (here && point.previous_id == 0) lockstep_debug_stop(point.started_id);
    session.on_step = [&](const SessionStep& step) {
      if (here && step.matched && step.task.started->event_id() == point.previous_id)
        lockstep_debug_stop(point.started_id);
      return true;
    };
    ReplayHistory(*input.histories[i].history, session, &log);
  }
}

}  // namespace lockstep::replay
