// For tests of this room: records made of scripted runs, small workflows to replay, and their histories on disk.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine-core/base/files.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/interpreter/testing/checked_run.h"
#include "engine-core/workflow/markers.h"
#include "replay/history/writer.h"
#include "replay/record/record.h"
#include "replay/session/session.h"

namespace lockstep::replay::testing {

using interpreter::testing::PlanScript;
using workflow::HistoryEvent;
using workflow::testing::History;

inline workflow::WorkflowRegistry InterpreterRegistry() {
  workflow::WorkflowRegistry registry;
  interpreter::RegisterInterpreter(&registry);
  return registry;
}

// What a recorder would have written about this run.
inline Record RecordOf(const PlanScript& run) {
  Record record;
  Json files = Json::MakeArray();
  for (size_t i = 0; i < run.executions(); ++i) {
    record.histories.push_back(history::WriteJson(run.history(i)));
    files.Push(HistoryFileName(i + 1));
  }
  record.input = run.inputs().front();
  record.events = run.Events();
  record.manifest = Json::MakeObject({{"formatVersion", kRecordFormatVersion},
                                      {"workflowType", interpreter::kWorkflowType},
                                      {"histories", std::move(files)},
                                      {"status", std::string(state::Name(run.status()))},
                                      {"snapshotHash", state::SnapshotHash(run.Snapshot())},
                                      {"outcomeHash", run.OutcomeHash()}});
  record.snapshots[run.Snapshot().last_event_seq] = state::SnapshotJson(run.Snapshot());
  return record;
}

// Every execution of the chain through one log; the divergences of all.
inline std::vector<workflow::Divergence> ReplayChain(const std::vector<History>& chain, EngineLog* log, SessionOptions options = {}) {
  const auto registry = InterpreterRegistry();
  options.registry = &registry;
  std::vector<workflow::Divergence> all;
  for (const History& history : chain) {
    for (auto& divergence : ReplayHistory(history, options, log).divergences) all.push_back(std::move(divergence));
  }
  log->Finish();
  for (auto& divergence : log->TakeDivergences()) all.push_back(std::move(divergence));
  return all;
}

inline std::vector<History> ChainOf(const PlanScript& run) {
  std::vector<History> chain;
  for (size_t i = 0; i < run.executions(); ++i) chain.push_back(run.history(i));
  return chain;
}

inline std::string Summaries(const std::vector<workflow::Divergence>& divergences) {
  std::string text;
  for (const auto& divergence : divergences) text += divergence.Summary() + "\n";
  return text;
}

// The n-th marker of a local activity of this type.
inline HistoryEvent* LocalMarker(History* history, std::string_view activity_type, int position = 0) {
  for (HistoryEvent& event : *history->mutable_events()) {
    if (!event.has_marker_recorded_event_attributes()) continue;
    const auto data = workflow::ReadLocalActivityMarker(event.marker_recorded_event_attributes());
    if (data && data->activity_type == activity_type && position-- == 0) return &event;
  }
  return nullptr;
}

// Changes the recorded result of a local activity.
inline void ChangeResult(HistoryEvent* marker, const std::function<void(Json*)>& change) {
  auto& payloads = (*marker->mutable_marker_recorded_event_attributes()->mutable_details())[std::string(workflow::kResultKey)];
  Json json = workflow::ReadFirstJson(payloads).value();
  change(&json);
  payloads = workflow::JsonPayloads(json);
}

}  // namespace lockstep::replay::testing
