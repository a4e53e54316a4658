// A projection that reads the log from outside the append transaction (spec 02 section 11): watermark, gap and
// regression rules, resync. The caller saves watermark and snapshot in one transaction with whatever it derives.
// Invariant: the snapshot is exactly the fold of the records the watermark covers. One consumer, one thread.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/state/alert.h"
#include "engine-core/state/event.h"
#include "engine-core/state/snapshot.h"

namespace lockstep::state {

// Position of one consumer in one run. `applied` holds the numbers it has applied as closed ranges, ascending and never
// touching: a gap that a full resync proved legal stays visible, so a late record inside it is told from a repeat.
struct Watermark {
  std::string consumer;
  std::string run_id;
  int64_t value = 0;  // highest applied `runSeq`
  bool stale = false;
  std::vector<std::pair<int64_t, int64_t>> applied;

  LOCKSTEP_DETERMINISTIC bool Covers(int64_t run_seq) const;
  LOCKSTEP_DETERMINISTIC void Advance(int64_t run_seq);
  friend bool operator==(const Watermark&, const Watermark&) = default;
};

LOCKSTEP_DETERMINISTIC Json ToJson(const Watermark& watermark);
LOCKSTEP_DETERMINISTIC Result<Watermark> ParseWatermark(const Json& json);

class LOCKSTEP_DETERMINISTIC Consumer {
 public:
  enum class Verdict : uint8_t {
    kAdvanced,      // applied, unknown or rejected: the watermark moved
    kRepeat,        // applied before: no-op
    kNeedsResync,   // not the next number: view is STALE, nothing applied
    kNeedsRebuild,  // below the watermark but never applied: full rebuild
  };
  struct Answer {
    Verdict verdict = Verdict::kAdvanced;
    std::vector<Alert> alerts;
  };

  Consumer(std::string name, std::string run_id);
  // Goes on from what was saved. Error: SNAPSHOT_INVALID when the two do not belong together.
  static Result<Consumer> Restore(Watermark watermark, Snapshot snapshot);

  Answer Feed(const EventRecord& record);

  // Rebuilds from a resync answer: `start` is the snapshot of FROM_SNAPSHOT or an empty one for FULL, `records`
  // everything above it, `head` the head read before the request. Gaps inside are legal. `complete` when the rebuilt
  // position has reached `head`; otherwise the view stays STALE and the resync is to be repeated.
  struct ResyncOutcome {
    bool complete = false;
    std::vector<Alert> alerts;
  };
  ResyncOutcome Resync(Snapshot start, std::span<const EventRecord> records, int64_t head);

  const Watermark& watermark() const { return watermark_; }
  const Snapshot& snapshot() const { return snapshot_; }

 private:
  void ApplyRecord(const EventRecord& record, std::vector<Alert>* alerts);
  Alert RunAlert(std::string_view code, Severity severity, std::string detail) const;

  Watermark watermark_;
  Snapshot snapshot_;
  std::set<std::string> alerted_;  // event ids: one alert per (run, event), rebuilds included
};

}  // namespace lockstep::state
