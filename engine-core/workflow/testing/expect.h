// What most tests of workflow code need beside the scripted server: the result of a workflow as text, and the expectation
// that a history replays.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include <string>
#include <vector>

#include "engine-core/workflow/testing/history_script.h"
#include "engine-core/workflow/testing/program.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::workflow::testing {

// Whole, and cut off after every started task (spec 04, RT4: a history ending in a started task is legal).
inline void ExpectReplays(const WorkflowRegistry& registry, const History& history) {
  const auto whole = Replay(registry, history);
  for (const Divergence& divergence : whole.divergences) ADD_FAILURE() << divergence.Summary();
  for (int i = 0; i < history.events_size(); ++i) {
    if (history.events(i).event_type() != temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_TASK_STARTED) continue;
    const auto cut = Replay(registry, history, static_cast<size_t>(i) + 1);
    for (const Divergence& divergence : cut.divergences) {
      ADD_FAILURE() << "cut off after event " << i + 1 << ": " << divergence.Summary();
    }
  }
}

// Canonical JSON of what the workflow completed with; empty when it did not.
inline std::string ResultOf(const History& history) {
  const HistoryEvent* event = FindEvent(history, temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED);
  if (event == nullptr) return {};
  const auto result = ReadFirstJson(event->workflow_execution_completed_event_attributes().result());
  return result ? CanonicalJson(*result) : result.error().message;
}

inline int Count(const History& history, temporal::api::enums::v1::EventType type) {
  int count = 0;
  for (const HistoryEvent& event : history.events()) count += event.event_type() == type;
  return count;
}

}  // namespace lockstep::workflow::testing
