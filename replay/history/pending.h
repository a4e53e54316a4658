// What a history says is under way at any of its events, without the code that ran: activities, timers, child
// workflows, messages to other workflows, updates, Nexus operations, signals that no workflow task has seen yet, the
// workflow task itself. Any SDK. Invariant: a pure fold over events in order; an event that refers to nothing changes
// nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"

namespace temporal::api::history::v1 {
class HistoryEvent;
}

namespace lockstep::history {

struct PendingItem {
  std::string_view
      kind;  // `activity`, `timer`, `childWorkflow`, `signalExternal`, `cancelExternal`, `update`, `nexusOperation`
  std::string id;          // activity id, timer id, workflow id, ...
  std::string type;        // activity or workflow type, signal name; empty for timers
  std::string_view state;  // `scheduled`, `started`
  int64_t event_id = 0;    // the event that opened it
  int64_t started_event_id = 0;
  int32_t attempt = 0;     // activities: of the started event
  int64_t since_ms = 0;    // Unix time of the opening event
  int64_t timeout_ms = 0;  // timers: how long; activities: start to close; 0: not said
  bool cancel_requested = false;
};

struct PendingSignal {
  int64_t event_id = 0;
  std::string name;
};

struct PendingWork {
  int64_t event_id = 0;  // of the last event applied
  int64_t time_ms = 0;
  std::string_view status = "RUNNING";  // or how the run ended
  std::string_view workflow_task;       // `scheduled`, `started`; empty: none is open
  int64_t last_completed_task_event_id = 0;
  bool cancel_requested = false;
  std::vector<PendingItem> items;             // by opening event
  std::vector<PendingSignal> unseen_signals;  // arrived since the last started workflow task
  int64_t signals = 0;                        // all so far
  std::map<std::string, int64_t> versions;    // change gates passed so far, where the markers are readable
};

class PendingFold {
 public:
  void Apply(const temporal::api::history::v1::HistoryEvent& event);
  const PendingWork& work() const { return work_; }

 private:
  PendingItem* Find(int64_t event_id);
  void ApplyWorkflowTask(const temporal::api::history::v1::HistoryEvent& event);

  PendingWork work_;
  std::vector<PendingSignal> arrived_;  // of the open workflow task: seen once it starts
};

Json ToJson(const PendingWork& work);
// The event the given one closes or continues (`scheduledEventId`, `startedEventId`, `initiatedEventId`, ...); 0: none.
int64_t OpenedBy(const temporal::api::history::v1::HistoryEvent& event);
// Milliseconds since the Unix epoch, clamped to what a time can be.
int64_t TimeMillis(const temporal::api::history::v1::HistoryEvent& event);

}  // namespace lockstep::history
