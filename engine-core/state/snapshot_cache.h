// The newest snapshots a store has written, so that an append need not read and parse what it wrote a moment ago.
// Invariant: an entry equals the stored snapshot of its run at `last_event_seq`. The log is append-only, so an entry
// whose number equals the head read inside a transaction is current, whoever wrote it. Bounded; thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "engine-core/state/snapshot.h"

namespace lockstep::state {

struct CachedSnapshot {
  Snapshot snapshot;
  std::string hash;
};

class SnapshotCache {
 public:
  explicit SnapshotCache(size_t capacity) : capacity_(capacity) {}
  // Removes and returns the entry when it is at `seq`; the caller puts back what it committed.
  std::optional<CachedSnapshot> Take(std::string_view run_id, int64_t seq);
  std::optional<CachedSnapshot> Copy(std::string_view run_id, int64_t seq);
  // Keeps the newer of two.
  void Put(CachedSnapshot entry);

 private:
  using Entries = std::list<CachedSnapshot>;  // most recently used first
  std::mutex mutex_;
  size_t capacity_;
  Entries entries_;
  std::map<std::string, Entries::iterator, std::less<>> index_;
};

}  // namespace lockstep::state
