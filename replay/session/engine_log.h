// The engine's event log and snapshot during a replay, rebuilt from what the interpreter hands to `emitEvents`: the events come
// from the code that replays, their numbers and times from the recorded outcome. Each event is compared with the recorded log
// where there is one, and with the digest in the outcome where there is none; each snapshot hash with the recorded one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/state/event.h"
#include "engine-core/state/snapshot.h"
#include "engine-core/workflow/divergence.h"
#include "engine-core/workflow/execution.h"

namespace lockstep::replay {

class EngineLog {
 public:
  EngineLog() = default;
  // What a record holds: the whole log, and snapshots by runSeq.
  EngineLog(std::vector<state::EventRecord> recorded, std::map<int64_t, Json> snapshots);

  // Before the first event of an execution: its input tells run, plan and whether it goes on from an earlier execution.
  void Begin(const Json& input);
  // One finished local activity of the interpreter. Others are ignored.
  void Observe(const workflow::LocalActivityTrace& trace);

  // The histories hold a workflow task that was lost or refused after the worker ran it: what it appended stands in the log before
  // the place where the task that survived asks for it again, or is asked for by none.
  void NoteLostTask() { lost_task_ = true; }

  // The run is followed from its first event on, so snapshots can be compared.
  bool comparable() const { return comparable_; }
  int64_t last_seq() const { return snapshot_.last_event_seq; }
  const state::Snapshot& snapshot() const { return snapshot_; }
  const std::vector<state::EventRecord>& records() const { return records_; }
  // Recorded events that the replay never produced or reached, as divergences; call once at the end of the last execution. Those
  // that only a lost task can have written are drift: no code can be blamed for them.
  void Finish();
  std::vector<workflow::Divergence> TakeDivergences() { return std::exchange(divergences_, {}); }
  // Marker events whose difference has been reported event by event.
  const std::set<int64_t>& explained_markers() const { return explained_; }
  void set_compare_snapshots(bool compare) { compare_snapshots_ = compare; }

 private:
  void ObserveAppend(const workflow::LocalActivityTrace& trace, const Json& input, const Json& result);
  void ObserveSnapshot(const workflow::LocalActivityTrace& trace, const Json& result);
  void CompareEvent(const workflow::LocalActivityTrace& trace, const state::EventWrite& event, const Json& appended);
  void CompareHash(const workflow::LocalActivityTrace& trace, const Json& result);
  void ApplyForeign(int64_t before_seq, const workflow::LocalActivityTrace& trace);
  void ReportMissing(const state::EventRecord& record, const workflow::LocalActivityTrace& trace);
  workflow::Divergence Missing(const state::EventRecord& record, const workflow::LocalActivityTrace& trace) const;
  void Project(const state::EventRecord& record, const workflow::LocalActivityTrace& trace);
  workflow::Divergence Describe(workflow::DivergenceKind kind, const workflow::LocalActivityTrace& trace) const;

  std::map<int64_t, state::EventRecord> recorded_;
  std::map<int64_t, Json> recorded_snapshots_;
  std::set<int64_t> produced_;  // runSeq of events the interpreter produced
  std::map<int64_t, workflow::Divergence> held_;  // by runSeq: missing where they stand, perhaps asked for later (a lost task)
  state::Snapshot snapshot_;
  std::vector<state::EventRecord> records_;
  bool has_record_ = false;
  bool lost_task_ = false;
  bool comparable_ = false;
  bool compare_snapshots_ = true;
  bool events_differ_ = false;
  bool gaps_ = false;  // events of others are missing: a bare history
  std::set<int64_t> explained_;
  std::vector<workflow::Divergence> divergences_;
};

}  // namespace lockstep::replay
