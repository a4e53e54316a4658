// A map for the look-up and a list for the age; both change together under one lock.
#include "engine-core/plan/cache.h"

#include "engine-core/base/sha256.h"

namespace lockstep::plan {

std::optional<std::string> PlanCache::Get(const std::string& tenant_id, const std::string& sha256) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find({tenant_id, sha256});
  if (it == entries_.end()) return std::nullopt;
  if (Sha256Hex(it->second.bytes) != sha256) {
    Drop(it);
    return std::nullopt;
  }
  ages_.splice(ages_.begin(), ages_, it->second.age);
  return it->second.bytes;
}

void PlanCache::Put(const std::string& tenant_id, const std::string& sha256, std::string bytes) {
  if (bytes.size() > max_bytes_ || Sha256Hex(bytes) != sha256) return;
  const std::lock_guard lock(mutex_);
  const Key key{tenant_id, sha256};
  if (const auto known = entries_.find(key); known != entries_.end()) Drop(known);
  ages_.push_front(key);
  used_ += bytes.size();
  entries_.emplace(key, Entry{std::move(bytes), ages_.begin()});
  while (used_ > max_bytes_) Drop(entries_.find(ages_.back()));
}

size_t PlanCache::size_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

void PlanCache::Drop(std::map<Key, Entry>::iterator it) {
  used_ -= it->second.bytes.size();
  ages_.erase(it->second.age);
  entries_.erase(it);
}

}  // namespace lockstep::plan
