// A bounded set of threads for local activities. Threads are made when needed, up to the limit; what does not fit waits
// in order. Internal to this room.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace lockstep::provider {

class TaskPool {
 public:
  explicit TaskPool(size_t max_threads);
  ~TaskPool();  // runs nothing further, waits for what runs

  // False when the pool has stopped.
  bool Submit(std::function<void()> job);
  void Stop();

 private:
  void Loop();

  const size_t max_threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  size_t idle_ = 0;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace lockstep::provider
