// Plan bytes that were verified before, keyed by (tenant, digest), so that no tenant profits from another's fetch (spec
// 01 section 4). The digest is computed anew on every read; an entry that no longer matches is dropped and counts as a
// miss.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace lockstep::plan {

// Thread-safe. Drops the entry that was not used for longest when the bytes exceed the bound.
class PlanCache {
 public:
  explicit PlanCache(size_t max_bytes = 64 * 1024 * 1024) : max_bytes_(max_bytes) {}

  std::optional<std::string> Get(const std::string& tenant_id, const std::string& sha256);
  // `bytes` are uncompressed and have that digest (checked: others are not stored).
  void Put(const std::string& tenant_id, const std::string& sha256, std::string bytes);
  size_t size_bytes() const;

 private:
  // The test of the re-check damages stored bytes behind the cache's back.
  friend class PlanCachePeer;
  using Key = std::pair<std::string, std::string>;
  struct Entry {
    std::string bytes;
    std::list<Key>::iterator age;
  };
  void Drop(std::map<Key, Entry>::iterator it);

  mutable std::mutex mutex_;
  const size_t max_bytes_;
  size_t used_ = 0;
  std::map<Key, Entry> entries_;
  // Newest first.
  std::list<Key> ages_;
};

}  // namespace lockstep::plan
