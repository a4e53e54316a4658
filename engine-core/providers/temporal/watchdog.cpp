// See watchdog.h. The thread looks four times per limit instead of being woken by each guard: guards come and go
// thousands of times a second, and a report may be a little late.
#include "engine-core/providers/temporal/watchdog.h"

#include <algorithm>
#include <utility>

namespace lockstep::provider {

Watchdog::Watchdog(int64_t limit_ms, Report report)
    : limit_(std::max<int64_t>(limit_ms, 1)), report_(std::move(report)), thread_([this] { Loop(); }) {}

Watchdog::~Watchdog() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

Watchdog::Guard::Guard(Watchdog& watchdog, std::string what, Locate locate) : watchdog_(watchdog) {
  std::lock_guard lock(watchdog_.mutex_);
  id_ = watchdog_.next_id_++;
  watchdog_.entries_.emplace(id_, Entry{std::move(what), std::move(locate), std::chrono::steady_clock::now(), false});
}

Watchdog::Guard::~Guard() {
  std::lock_guard lock(watchdog_.mutex_);
  watchdog_.entries_.erase(id_);
}

void Watchdog::Loop() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, limit_ / 4 + std::chrono::milliseconds(1), [this] { return stopped_; })) {
    const auto now = std::chrono::steady_clock::now();
    for (auto& [id, entry] : entries_) {
      const auto running = std::chrono::duration_cast<std::chrono::milliseconds>(now - entry.start);
      if (running < limit_) break;  // later ones started later
      if (entry.reported) continue;
      entry.reported = true;
      report_(entry.what, entry.locate(), running.count());
    }
  }
}

}  // namespace lockstep::provider
