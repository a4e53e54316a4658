// A bounded map from keys to shared values that forgets the least recently used one. An entry that is checked out is
// never forgotten, so the size may pass the capacity by the number of entries in use; the excess goes as they come
// back.
//
// Threads: all members may be called from any thread. The values guard themselves.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::provider {

template <typename Value>
class LruCache {
 public:
  using Pointer = std::shared_ptr<Value>;
  struct Evicted {
    std::string key;
    Pointer value;
  };

  explicit LruCache(size_t capacity) : capacity_(capacity) {}

  // The entry of `key`, made when it is missing; in use until CheckIn.
  Pointer CheckOut(const std::string& key) {
    std::lock_guard lock(mutex_);
    auto [it, added] = entries_.try_emplace(key);
    Entry& entry = it->second;
    if (added) {
      entry.value = std::make_shared<Value>();
      order_.push_front(key);
      entry.place = order_.begin();
    } else {
      order_.splice(order_.begin(), order_, entry.place);
    }
    ++entry.users;
    return entry.value;
  }

  // Gives an entry back. With `keep` false it is forgotten once nobody uses it. Returns what had to go to make room.
  std::vector<Evicted> CheckIn(const std::string& key, bool keep) {
    std::lock_guard lock(mutex_);
    const auto it = entries_.find(key);
    if (it == entries_.end()) return {};
    Entry& entry = it->second;
    --entry.users;
    entry.unwanted = !keep;
    if (entry.users == 0 && entry.unwanted) Erase(it);
    return Trim();
  }

  std::vector<Evicted> Clear() {
    std::lock_guard lock(mutex_);
    std::vector<Evicted> all;
    for (auto& [key, entry] : entries_) all.push_back({key, std::move(entry.value)});
    entries_.clear();
    order_.clear();
    return all;
  }

  size_t size() const {
    std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  struct Entry {
    Pointer value;
    std::list<std::string>::iterator place;
    int users = 0;
    bool unwanted = false;
  };
  using Entries = std::map<std::string, Entry>;

  void Erase(typename Entries::iterator it) {
    order_.erase(it->second.place);
    entries_.erase(it);
  }

  std::vector<Evicted> Trim() {
    std::vector<Evicted> evicted;
    auto place = order_.end();
    while (entries_.size() > capacity_ && place != order_.begin()) {
      --place;
      const auto it = entries_.find(*place);
      if (it->second.users > 0) continue;
      evicted.push_back({it->first, std::move(it->second.value)});
      place = order_.erase(place);
      entries_.erase(it);
    }
    return evicted;
  }

  const size_t capacity_;
  mutable std::mutex mutex_;
  Entries entries_;
  std::list<std::string> order_;  // most recently used first
};

}  // namespace lockstep::provider
