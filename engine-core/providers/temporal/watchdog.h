// Reports workflow code that runs on without yielding (spec 04, RT6): once per activation, with the line where the code
// stands. It cannot stop the code; the server times the task out and the report says why. Internal to this room.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <source_location>
#include <string>
#include <thread>

namespace lockstep::provider {

class Watchdog {
 public:
  // `report` gets what was being done and where the code stands. Called on the watchdog's thread.
  using Report = std::function<void(const std::string& what, std::source_location where, int64_t running_ms)>;
  using Locate = std::function<std::source_location()>;

  Watchdog(int64_t limit_ms, Report report);
  ~Watchdog();

  // While a Guard lives, its code is watched. `locate` is called from the watchdog's thread, only while the guard
  // lives.
  class Guard {
   public:
    Guard(Watchdog& watchdog, std::string what, Locate locate);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Watchdog& watchdog_;
    uint64_t id_;
  };

 private:
  struct Entry {
    std::string what;
    Locate locate;
    std::chrono::steady_clock::time_point start;
    bool reported = false;
  };
  void Loop();

  const std::chrono::milliseconds limit_;
  const Report report_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  uint64_t next_id_ = 0;
  std::map<uint64_t, Entry> entries_;  // in order of start
  std::thread thread_;
};

}  // namespace lockstep::provider
