// The reducer (spec 02 sections 8 layer 3 and 9): one record at a time onto a snapshot.
// Invariant: the result depends on snapshot and record only. An illegal event changes no status; it advances
// `lastEventSeq`, flags the run `inconsistent` and asks for one alert. A record at or below `lastEventSeq` is a no-op.
// No clock, no I/O, no locale. Thread-safe (no shared state).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/state/alert.h"
#include "engine-core/state/event.h"
#include "engine-core/state/snapshot.h"

namespace lockstep::state {

struct ApplyOutcome {
  enum class Kind : uint8_t {
    kApplied,         // a transition, or an audit event
    kIgnoredUnknown,  // a type this build does not know: advanced over
    kDuplicate,       // at or below `lastEventSeq`: nothing changed
    kRejected,        // illegal: flagged, `alert` is set
  };
  Kind kind = Kind::kApplied;
  std::string changed_step;    // step whose state (notes included) changed, or empty
  std::optional<Alert> alert;  // INVALID_TRANSITION, set exactly for kRejected
  // The record speaks of an effect whose cause has not been seen: an outcome before its `StepStarted`, a resume before
  // its pause, anything of the run before `RunStarted`. Across producers order is best effort (spec 02 section 4.1).
  bool causal_inversion = false;
};

// In place. A record of another run is a broken invariant.
LOCKSTEP_DETERMINISTIC ApplyOutcome Project(Snapshot* snapshot, const EventRecord& record);
// The same as a pure function.
LOCKSTEP_DETERMINISTIC Snapshot Apply(const Snapshot& snapshot, const EventRecord& record);

// Full replay of one run's log in ascending `runSeq`; gaps are legal. Errors: EVENT_LOG_INVALID when records belong to
// different runs or their numbers do not ascend.
LOCKSTEP_DETERMINISTIC Result<Snapshot> Replay(std::span<const EventRecord> records);

}  // namespace lockstep::state
