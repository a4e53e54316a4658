// The worker's thread parts without a server: poller groups, the pool of local activities, the watchdog.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "engine-core/providers/temporal/poller.h"
#include "engine-core/providers/temporal/task_pool.h"
#include "engine-core/providers/temporal/watchdog.h"

namespace lockstep::provider {
namespace {

using std::chrono::milliseconds;

// A gate that threads wait at until it opens.
class Gate {
 public:
  void Open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

void Until(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    std::this_thread::sleep_for(milliseconds(1));
  }
}

TEST(PollerGroup, RunsWhatItPolls_AndStaysWithinItsThreads) {
  Gate gate;
  std::atomic<int> handed = 0, running = 0, most = 0, done = 0;
  PollerGroup group({{2,
                      [&]() -> PollerGroup::PollResult {
                        if (handed >= 10) {
                          gate.Wait();
                          return {};
                        }
                        ++handed;
                        return {[&] {
                                  const int now = ++running;
                                  for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
                                  }
                                  std::this_thread::sleep_for(milliseconds(5));
                                  --running;
                                  ++done;
                                },
                                false};
                      }}},
                    3, [](int64_t) {});
  group.Start();
  Until([&] { return done >= 10; });
  EXPECT_LE(most, 3);
  group.Stop();
  gate.Open();
  group.Join();
  EXPECT_EQ(group.running(), 0);
  EXPECT_EQ(group.polling(), 0);
}

TEST(PollerGroup, BusyThreads_LeaveAPollOpen_UpToTheLimit) {
  Gate tasks, polls;
  std::atomic<int> handed = 0;
  PollerGroup group({{1,
                      [&]() -> PollerGroup::PollResult {
                        if (handed >= 3) {
                          polls.Wait();
                          return {};
                        }
                        ++handed;
                        return {[&] { tasks.Wait(); }, false};
                      }}},
                    4, [](int64_t) {});
  group.Start();
  Until([&] { return group.running() == 3 && group.polling() == 1; });
  group.Stop();
  tasks.Open();
  polls.Open();
}

TEST(PollerGroup, ServesEachKind) {
  Gate gate;
  std::atomic<int> first = 0, second = 0;
  const auto kind = [&gate](std::atomic<int>& counter) {
    return [&gate, &counter]() -> PollerGroup::PollResult {
      if (++counter > 5) gate.Wait();
      return {};
    };
  };
  PollerGroup group({{1, kind(first)}, {1, kind(second)}}, 2, [](int64_t) {});
  group.Start();
  Until([&] { return first > 5 && second > 5; });
  group.Stop();
  gate.Open();
}

TEST(PollerGroup, FailedPolls_BackOff_GrowingDelays) {
  std::mutex mutex;
  std::vector<int64_t> delays;
  PollerGroup group({{1, []() -> PollerGroup::PollResult { return {nullptr, true}; }}}, 4, [&](int64_t millis) {
    std::lock_guard lock(mutex);
    delays.push_back(millis);
    std::this_thread::sleep_for(milliseconds(1));
  });
  group.Start();
  Until([&] {
    std::lock_guard lock(mutex);
    return delays.size() >= 10;
  });
  group.Stop();
  group.Join();
  EXPECT_LE(delays[0], 120);
  EXPECT_GE(delays[4], 1'000);
  for (const int64_t delay : delays) EXPECT_LE(delay, 3'000);  // at most a few seconds
}

TEST(TaskPool, RunsEverything_WithinItsThreads) {
  std::atomic<int> running = 0, most = 0, done = 0;
  TaskPool pool(3);
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(pool.Submit([&] {
      const int now = ++running;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::sleep_for(milliseconds(1));
      --running;
      ++done;
    }));
  }
  Until([&] { return done == 50; });
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 2);
}

TEST(TaskPool, Stopped_TakesNothingMore_AndDropsWhatWaits) {
  std::atomic<int> done = 0;
  Gate gate;
  TaskPool pool(1);
  pool.Submit([&] {
    gate.Wait();
    ++done;
  });
  pool.Submit([&] { ++done; });
  std::thread opener([&] {
    std::this_thread::sleep_for(milliseconds(20));
    gate.Open();
  });
  pool.Stop();
  opener.join();
  EXPECT_LE(done, 1);
  EXPECT_FALSE(pool.Submit([] {}));
}

TEST(Watchdog, ReportsOncePerActivation_OnlyBeyondTheLimit) {
  std::atomic<int> reports = 0;
  std::string what;
  uint32_t line = 0;
  Watchdog watchdog(40, [&](const std::string& name, std::source_location where, int64_t running_ms) {
    what = name;
    line = where.line();
    EXPECT_GE(running_ms, 40);
    ++reports;
  });
  const auto here = std::source_location::current();
  {
    const Watchdog::Guard quick(watchdog, "quick", [here] { return here; });
  }
  {
    const Watchdog::Guard slow(watchdog, "slow", [here] { return here; });
    Until([&] { return reports == 1; });
    std::this_thread::sleep_for(milliseconds(120));
  }
  EXPECT_EQ(reports, 1);
  EXPECT_EQ(what, "slow");
  EXPECT_EQ(line, here.line());
}

TEST(Watchdog, WatchesSeveralAtOnce) {
  std::atomic<int> reports = 0;
  Watchdog watchdog(20, [&](const std::string&, std::source_location, int64_t) { ++reports; });
  const auto locate = [] { return std::source_location(); };
  const Watchdog::Guard a(watchdog, "a", locate);
  const Watchdog::Guard b(watchdog, "b", locate);
  Until([&] { return reports == 2; });
}

}  // namespace
}  // namespace lockstep::provider
