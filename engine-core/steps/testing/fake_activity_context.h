// An activity context that a test steers: it cancels when told, and lets the test wait for what the activity does.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "engine-core/activity/activity.h"

namespace lockstep::steps::testing {

class FakeActivityContext final : public activity::ActivityContext {
 public:
  activity::ActivityInfo info_value;

  const activity::ActivityInfo& info() const override { return info_value; }
  void Heartbeat(const Json& details) override {
    const std::lock_guard lock(mutex_);
    heartbeats_.push_back(details);
    changed_.notify_all();
  }
  Json LastHeartbeat() const override { return {}; }
  bool cancelled() const override {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }
  bool WaitForCancellation(int64_t timeout_ms) override {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return cancelled_; });
  }

  void Cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  }
  size_t heartbeat_count() const {
    const std::lock_guard lock(mutex_);
    return heartbeats_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Json> heartbeats_;
  bool cancelled_ = false;
};

}  // namespace lockstep::steps::testing
