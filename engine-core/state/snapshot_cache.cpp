#include "engine-core/state/snapshot_cache.h"

namespace lockstep::state {

std::optional<CachedSnapshot> SnapshotCache::Take(std::string_view run_id, int64_t seq) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(run_id);
  if (found == index_.end()) return std::nullopt;
  std::optional<CachedSnapshot> entry;
  if (found->second->snapshot.last_event_seq == seq) entry = std::move(*found->second);
  entries_.erase(found->second);
  index_.erase(found);
  return entry;
}

std::optional<CachedSnapshot> SnapshotCache::Copy(std::string_view run_id, int64_t seq) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(run_id);
  if (found == index_.end() || found->second->snapshot.last_event_seq != seq) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, found->second);
  return *found->second;
}

void SnapshotCache::Put(CachedSnapshot entry) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(entry.snapshot.run_id);
  if (found != index_.end()) {
    if (found->second->snapshot.last_event_seq > entry.snapshot.last_event_seq) return;
    entries_.erase(found->second);
    index_.erase(found);
  }
  entries_.push_front(std::move(entry));
  index_.emplace(entries_.front().snapshot.run_id, entries_.begin());
  if (entries_.size() <= capacity_) return;
  index_.erase(entries_.back().snapshot.run_id);
  entries_.pop_back();
}

}  // namespace lockstep::state
