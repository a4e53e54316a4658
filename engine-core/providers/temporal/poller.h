// Threads that poll and then run what they were given. One thread does both for one task, so a poll is only open when
// there is a thread to run its task, and nothing queues up inside the process. Internal to this room.
//
// A group has kinds of polls (a queue and its sticky queue), each with a number of polls that may wait at a time; the
// number of threads bounds the tasks that run at a time. Threads are added only when all others are busy.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine-core/providers/temporal/backoff.h"

namespace lockstep::provider {

class PollerGroup {
 public:
  using Work = std::function<void()>;
  struct PollResult {
    Work work;            // empty: nothing to do
    bool failed = false;  // back off before the next poll of this kind
  };
  struct Kind {
    int max_polls = 1;
    std::function<PollResult()> poll;
  };

  // `pause` sleeps the given milliseconds or less; returns when the group is to stop.
  PollerGroup(std::vector<Kind> kinds, int max_threads, std::function<void(int64_t)> pause);
  ~PollerGroup();  // Stop, Join

  void Start();
  // No further poll begins; the caller ends the running ones.
  void Stop();
  void Join();
  // Polls that wait, and tasks that run, now.
  int polling() const;
  int running() const;

 private:
  struct KindState {
    Kind kind;
    int polling = 0;
    Backoff backoff;
  };

  void Loop();
  std::optional<size_t> AcquireKind();
  int64_t ReleaseKind(size_t index, const PollResult& result);
  bool FreeKind() const;
  void AddThread();

  std::vector<KindState> kinds_;
  const size_t max_threads_;
  const std::function<void(int64_t)> pause_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  size_t idle_ = 0;  // threads waiting for a kind
  int running_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace lockstep::provider
