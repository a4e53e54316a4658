// See poller.h. Back-off is kept per kind: a failing poll keeps its place while it waits, so that an outage is met by
// as many tries as there are polls, never by as many as there are threads.
#include "engine-core/providers/temporal/poller.h"

#include <algorithm>
#include <utility>

namespace lockstep::provider {

PollerGroup::PollerGroup(std::vector<Kind> kinds, int max_threads, std::function<void(int64_t)> pause)
    : max_threads_(std::max<size_t>(kinds.size(), static_cast<size_t>(std::max(max_threads, 1)))),
      pause_(std::move(pause)) {
  for (Kind& kind : kinds) {
    kinds_.push_back({std::move(kind), 0, Backoff({.initial_ms = 100, .factor = 2, .max_ms = 3'000, .jitter = 0.2})});
  }
}

PollerGroup::~PollerGroup() {
  Stop();
  Join();
}

void PollerGroup::Start() {
  std::lock_guard lock(mutex_);
  size_t wanted = 0;
  for (const KindState& kind : kinds_) wanted += static_cast<size_t>(std::max(kind.kind.max_polls, 1));
  for (size_t i = 0; i < std::min(wanted, max_threads_); ++i) AddThread();
}

void PollerGroup::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

void PollerGroup::Join() {
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

int PollerGroup::polling() const {
  std::lock_guard lock(mutex_);
  int total = 0;
  for (const KindState& kind : kinds_) total += kind.polling;
  return total;
}

int PollerGroup::running() const {
  std::lock_guard lock(mutex_);
  return running_;
}

// Holds the mutex.
void PollerGroup::AddThread() {
  ++idle_;  // counted before it runs, so that two releases in a row do not add two
  threads_.emplace_back([this] { Loop(); });
}

// Holds the mutex.
bool PollerGroup::FreeKind() const {
  return std::any_of(kinds_.begin(), kinds_.end(),
                     [](const KindState& kind) { return kind.polling < std::max(kind.kind.max_polls, 1); });
}

// The kind with the fewest polls waiting; the last one named (the sticky queue) among equals, as cached runs go first.
std::optional<size_t> PollerGroup::AcquireKind() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopped_ || FreeKind(); });
  --idle_;
  if (stopped_) return std::nullopt;
  size_t best = kinds_.size();
  for (size_t i = 0; i < kinds_.size(); ++i) {
    if (kinds_[i].polling >= std::max(kinds_[i].kind.max_polls, 1)) continue;
    if (best == kinds_.size() || kinds_[i].polling <= kinds_[best].polling) best = i;
  }
  ++kinds_[best].polling;
  return best;
}

// How long to pause before the place is given up; 0 when it was given up at once.
int64_t PollerGroup::ReleaseKind(size_t index, const PollResult& result) {
  std::lock_guard lock(mutex_);
  KindState& kind = kinds_[index];
  if (result.failed && !stopped_) return kind.backoff.Next();
  if (!result.failed) kind.backoff.Reset();
  --kind.polling;
  if (result.work) {
    ++running_;
    if (idle_ == 0 && threads_.size() < max_threads_ && !stopped_) AddThread();
  } else {
    ++idle_;
  }
  changed_.notify_one();
  return 0;
}

void PollerGroup::Loop() {
  while (const auto index = AcquireKind()) {
    PollResult result = kinds_[*index].kind.poll();
    if (const int64_t delay = ReleaseKind(*index, result); delay > 0) {
      pause_(delay);
      std::lock_guard lock(mutex_);
      --kinds_[*index].polling;
      ++idle_;
      changed_.notify_one();
      continue;
    }
    if (!result.work) continue;
    result.work();
    result.work = nullptr;
    std::lock_guard lock(mutex_);
    --running_;
    ++idle_;
  }
}

}  // namespace lockstep::provider
