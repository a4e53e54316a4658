// Cuts a history into workflow tasks, the unit of progress of the runtime: what a worker is handed in one poll, and what a
// replayer feeds one by one. Workers, the replayer and the embedded provider all use this cut.
//
// A task that failed or timed out never counts: its events flow into the next task, because the code that ran then left no
// trace. A history may end in an open (started) task, and a worker's sticky delta may begin in the middle of one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace temporal::api::history::v1 {
class HistoryEvent;
}
namespace temporal::api::update::v1 {
class Request;
}

namespace lockstep::workflow {

using HistoryEvent = temporal::api::history::v1::HistoryEvent;

// An update as a live task brings it, beside the events. A replay takes the accepted ones from the history.
struct UpdateDelivery {
  std::string id;          // of the update; the server calls it protocol instance
  std::string message_id;  // of the message that brought it
  // It comes after the event with this id and before the next: that settles its order among signals.
  int64_t sequencing_event_id = 0;
  // nullptr: the history has it, in the event that admitted the update (after a reset).
  const temporal::api::update::v1::Request* request = nullptr;
};

// One workflow task. Pointers refer to the events given to `CutHistory`.
struct TaskSlice {
  // Everything new for the code, in history order: signals, resolutions, cancellation, and on the first task the start.
  // Holds no command event of the task before and no bookkeeping of workflow tasks, but for failed tasks, since a reset
  // shows as one.
  std::vector<const HistoryEvent*> events;
  const HistoryEvent* started = nullptr;
  // Live tasks only; filled in by whoever polled the task, in the order of arrival.
  std::vector<UpdateDelivery> updates;
  // Set when the history knows how the task ended: the code is replaying, and `recorded` are the events of its commands.
  const HistoryEvent* completed = nullptr;
  std::vector<const HistoryEvent*> recorded;
  // The server scheduled the next task together with the completion: the worker asked for it (a heartbeat, because a local
  // activity was still running), or events had been buffered. Also true when the history does not tell.
  bool continued_at_once = true;
  // Command events of all tasks of the cut, in history order: tells a command that moved to another task from a new one.
  std::shared_ptr<const std::vector<const HistoryEvent*>> history_commands;
};

struct HistoryCut {
  // Command events of a task that was started before these events begin (sticky delta), and its completed event.
  const HistoryEvent* head_completed = nullptr;
  std::vector<const HistoryEvent*> head_recorded;
  std::vector<TaskSlice> tasks;
  // Events after the last task that are not its commands: resolutions no task has seen yet, or a termination or time-out.
  std::vector<const HistoryEvent*> tail;
};

HistoryCut CutHistory(std::span<const HistoryEvent* const> events);

// Whether an event of this type records a command of the workflow (and so belongs to the task that issued it).
bool IsCommandEvent(const HistoryEvent& event);
// Whether the event ends the execution, by the workflow's own command or from outside.
bool IsTerminalEvent(const HistoryEvent& event);

}  // namespace lockstep::workflow
