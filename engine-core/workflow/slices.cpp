#include "engine-core/workflow/slices.h"

#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <array>
#include <optional>

#include "engine-core/workflow/machines.h"

namespace lockstep::workflow {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary

constexpr int kMaxEventType = 64;
enum EventClass : uint8_t { kPlain, kCommand, kTaskBookkeeping };

// Classifies event types once; command events come from the machine tables, so that a new kind is classified by its row.
const std::array<EventClass, kMaxEventType>& Classes() {
  static const auto classes = [] {
    std::array<EventClass, kMaxEventType> result{};
    for (const CommandKindSpec& spec : AllCommandKinds()) {
      result[static_cast<size_t>(spec.recorded_event_type)] = kCommand;
      if (spec.second_recorded_event_type != 0) result[static_cast<size_t>(spec.second_recorded_event_type)] = kCommand;
    }
    for (const int type : {EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, EVENT_TYPE_WORKFLOW_TASK_STARTED, EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
                           EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, EVENT_TYPE_WORKFLOW_TASK_FAILED}) {
      result[static_cast<size_t>(type)] = kTaskBookkeeping;
    }
    return result;
  }();
  return classes;
}

EventClass ClassOf(const HistoryEvent& event) {
  const int type = event.event_type();
  return type >= 0 && type < kMaxEventType ? Classes()[static_cast<size_t>(type)] : kPlain;
}

bool IsType(const HistoryEvent* event, EventType type) { return event != nullptr && event->event_type() == type; }

// The bookkeeping event that ends the task which `started` opens; nullptr: it is open.
const HistoryEvent* FindEnd(std::span<const HistoryEvent* const> events, size_t started_at) {
  for (size_t i = started_at + 1; i < events.size(); ++i) {
    if (ClassOf(*events[i]) == kTaskBookkeeping) return events[i];
  }
  return nullptr;
}

bool Before(const google::protobuf::Timestamp& a, const google::protobuf::Timestamp& b) {
  return a.seconds() != b.seconds() ? a.seconds() < b.seconds() : a.nanos() < b.nanos();
}

// Looks past the completion and its command events: buffered events carry times from before it; anything later that comes
// before a scheduled task came on its own.
bool ContinuedAtOnce(std::span<const HistoryEvent* const> events, const HistoryEvent& completed) {
  // Ids count up by one in what a server wrote; a damaged history may say anything, so the guess is checked.
  const uint64_t guess = static_cast<uint64_t>(completed.event_id()) - static_cast<uint64_t>(events.front()->event_id());
  const bool right = guess < events.size() && events[guess] == &completed;
  const size_t at = right ? guess : static_cast<size_t>(std::find(events.begin(), events.end(), &completed) - events.begin());
  for (size_t i = at + 1; i < events.size(); ++i) {
    if (IsTerminalEvent(*events[i])) return false;  // nothing goes on after the end
    if (ClassOf(*events[i]) == kCommand) continue;
    if (ClassOf(*events[i]) == kTaskBookkeeping) return true;
    if (Before(completed.event_time(), events[i]->event_time())) return false;
  }
  return true;
}

}  // namespace

bool IsCommandEvent(const HistoryEvent& event) { return ClassOf(event) == kCommand; }

bool IsTerminalEvent(const HistoryEvent& event) {
  switch (event.event_type()) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
    case EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: return true;
    default: return false;
  }
}

HistoryCut CutHistory(std::span<const HistoryEvent* const> events) {
  HistoryCut cut;
  std::vector<const HistoryEvent*> fresh;                            // not yet given to a task
  std::vector<const HistoryEvent*>* recorded = &cut.head_recorded;  // where command events belong
  const auto commands = std::make_shared<std::vector<const HistoryEvent*>>();
  for (size_t i = 0; i < events.size(); ++i) {
    const HistoryEvent* event = events[i];
    if (IsType(event, EVENT_TYPE_WORKFLOW_TASK_STARTED)) {
      const HistoryEvent* end = FindEnd(events, i);
      if (end != nullptr && !IsType(end, EVENT_TYPE_WORKFLOW_TASK_COMPLETED)) continue;
      TaskSlice& task = cut.tasks.emplace_back();
      task.events = std::move(fresh);
      fresh.clear();
      task.started = event;
      task.completed = end;
      task.history_commands = commands;
      if (end != nullptr) task.continued_at_once = ContinuedAtOnce(events, *end);
      recorded = &task.recorded;
    } else if (IsType(event, EVENT_TYPE_WORKFLOW_TASK_COMPLETED)) {
      if (cut.tasks.empty()) cut.head_completed = event;
    } else if (ClassOf(*event) == kCommand) {
      recorded->push_back(event);
      commands->push_back(event);
    } else if (IsType(event, EVENT_TYPE_WORKFLOW_TASK_FAILED)) {
      fresh.push_back(event);  // a reset changes the seed of randomness
    } else if (ClassOf(*event) != kTaskBookkeeping) {
      fresh.push_back(event);
    }
  }
  cut.tail = std::move(fresh);
  return cut;
}

}  // namespace lockstep::workflow
