// The state of a run as its event log implies it (spec 02 section 9), its canonical form and both hashes.
// Invariant: a snapshot is a function of the log alone, so incremental and full replay give identical bytes.
//
// A snapshot has two parts. The canonical form (`SnapshotJson`) is what `snapshotHash` covers and what people see. The
// reducer's notes (`approval_required`, `retry_accepted`, `final_failure`, `outcome_seq`) are facts of the log that the
// machines and the derived values need but that the canonical form of the specification does not hold; they are stored
// beside it (`StoredSnapshotJson`) so that projection can go on from a stored snapshot. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/state/machines.h"

namespace lockstep::state {

struct Attempt {
  int32_t logical_attempt_id = 1;
  int32_t engine_attempt_id = 1;
  StepStatus status = StepStatus::kPending;
  Json::Array artifacts;     // `ArtifactRef`s, known members only
  std::string started_at;    // empty: absent
  std::string completed_at;  // empty: absent
  std::string error_code;    // empty: absent
  std::optional<bool> retryable;
  std::string reason_code;  // empty: absent
  // Reducer's notes.
  bool final_failure = false;  // `StepFailed.payload.final`
  int64_t outcome_seq = 0;     // `runSeq` of the terminal event, 0 before it
  friend bool operator==(const Attempt&, const Attempt&) = default;
};

struct StepState {
  std::vector<Attempt> attempts;  // ascending `logicalAttemptId`, never empty in a snapshot
  // Reducer's note: a RETRY_STEP for this step was accepted since its newest attempt failed.
  bool retry_accepted = false;
  StepStatus status() const { return attempts.empty() ? StepStatus::kPending : attempts.back().status; }
  int32_t logical_attempt_id() const { return attempts.empty() ? 0 : attempts.back().logical_attempt_id; }
  friend bool operator==(const StepState&, const StepState&) = default;
};

struct Snapshot {
  std::string run_id;
  std::string tenant_id;
  std::string project_id;
  std::string environment_id;
  std::string plan_id;
  std::string plan_version;
  RunStatus status = RunStatus::kPending;
  int64_t last_event_seq = 0;  // 0: no event yet
  std::string started_at;      // empty: absent
  std::string completed_at;    // empty: absent
  int32_t pause_cycles = 0;
  bool inconsistent = false;
  std::map<std::string, StepState, std::less<>> steps;  // steps with at least one applied event
  // Reducer's notes.
  bool approval_required = false;
  int32_t running_attempts = 0;
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

// The canonical shape: what `snapshotHash` covers.
LOCKSTEP_DETERMINISTIC Json SnapshotJson(const Snapshot& snapshot);
// The same as canonical text, written without building the value first.
LOCKSTEP_DETERMINISTIC std::string SnapshotText(const Snapshot& snapshot);
// Reads the canonical shape, or the stored one (below), whose further members are the notes. Without the notes a
// snapshot can be looked at, compared and hashed; to go on projecting, read a stored one. Error: SNAPSHOT_INVALID.
LOCKSTEP_DETERMINISTIC Result<Snapshot> ParseSnapshot(const Json& json);

// Both parts: the canonical shape with the notes as further members. What stores keep.
LOCKSTEP_DETERMINISTIC Json StoredSnapshotJson(const Snapshot& snapshot);
LOCKSTEP_DETERMINISTIC Result<Snapshot> ParseStoredSnapshot(const Json& json);
// The two halves a store may keep apart, one row for the run and one a step, so that an append rewrites what changed.
LOCKSTEP_DETERMINISTIC Json StoredRunJson(const Snapshot& snapshot);
LOCKSTEP_DETERMINISTIC Json StoredStepJson(const StepState& step);
LOCKSTEP_DETERMINISTIC Result<Snapshot> ParseStoredRun(const Json& json);
LOCKSTEP_DETERMINISTIC Result<StepState> ParseStoredStep(std::string_view step_id, const Json& json);
// Adds a step read by `ParseStoredStep`.
LOCKSTEP_DETERMINISTIC void AddStoredStep(Snapshot* snapshot, std::string step_id, StepState step);

// Same log, two reducers or two replays: equal.
LOCKSTEP_DETERMINISTIC std::string SnapshotHash(const Snapshot& snapshot);
// Same plan, another adapter, retry or pause history: equal. No ids, times, attempts or URIs.
LOCKSTEP_DETERMINISTIC Json OutcomeJson(const Snapshot& snapshot);
LOCKSTEP_DETERMINISTIC std::string OutcomeHash(const Snapshot& snapshot);

// What the log cannot tell but the substatus depends on.
struct SubstatusFacts {
  bool hold_on_step_failure = false;  // the plan's `onStepFailure` is `hold`
};
// `DRAINING`, `WAITING_APPROVAL`, `WAITING_OPERATOR`, `RETRYING`, or nothing; precedence in this order.
LOCKSTEP_DETERMINISTIC std::string_view Substatus(const Snapshot& snapshot, const SubstatusFacts& facts);
// `completedAt - startedAt`; nothing until both are known.
LOCKSTEP_DETERMINISTIC std::optional<int64_t> TotalDurationMs(const Snapshot& snapshot);
// Artifacts of newest SUCCESS attempts in `runSeq` order of their completion.
LOCKSTEP_DETERMINISTIC Json::Array RunArtifacts(const Snapshot& snapshot);
// Known members of an `ArtifactRef` list; anything that is no object with a `uri` is left out.
LOCKSTEP_DETERMINISTIC Json::Array KnownArtifacts(const Json* refs);

}  // namespace lockstep::state
