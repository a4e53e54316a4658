// See task_pool.h. The queue holds at most the local activities that open workflow tasks have asked for.
#include "engine-core/providers/temporal/task_pool.h"

#include <algorithm>
#include <utility>

namespace lockstep::provider {

TaskPool::TaskPool(size_t max_threads) : max_threads_(std::max<size_t>(max_threads, 1)) {}

TaskPool::~TaskPool() { Stop(); }

bool TaskPool::Submit(std::function<void()> job) {
  std::lock_guard lock(mutex_);
  if (stopped_) return false;
  jobs_.push_back(std::move(job));
  if (idle_ < jobs_.size() && threads_.size() < max_threads_) threads_.emplace_back([this] { Loop(); });
  changed_.notify_one();
  return true;
}

void TaskPool::Stop() {
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    jobs_.clear();
    threads.swap(threads_);
    changed_.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
}

void TaskPool::Loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return stopped_ || !jobs_.empty(); });
    --idle_;
    if (stopped_) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
}

}  // namespace lockstep::provider
