// The real world around an embedded engine: the system's clock, a thread for each activity attempt, and messages of
// other processes looked for a few times a second. Local activities run on the engine's own thread.
//
// An activity learns of its cancellation at once. When the world ends, whatever still runs is cancelled and waited for:
// a step's process gets SIGTERM and, five seconds later, SIGKILL (spec 04 section 5.2). Threads: `Post` from any
// thread; the rest from the engine's.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine-core/activity/activity.h"
#include "engine-core/activity/invoke.h"
#include "engine-core/providers/embedded/world.h"

namespace lockstep::embedded {

struct ThreadWorldOptions {
  const activity::ActivityRegistry* activities = nullptr;  // required
  IClock* clock = nullptr;                                 // required
  std::string namespace_name = "default";
  std::string workflow_id;
  std::string workflow_type;
  // News from elsewhere, asked for every `poll_ms`; may be empty.
  std::function<std::vector<News>()> poll;
  int64_t poll_ms = 50;
};

class ThreadWorld final : public World {
 public:
  explicit ThreadWorld(ThreadWorldOptions options);
  ~ThreadWorld() override;

  void Post(News news);

  UnixMillis Now() override;
  bool Wait(UnixMillis until) override;
  std::optional<News> TakeNews() override;
  void StartAttempt(ActivityAttempt attempt) override;
  void CancelAttempt(AttemptToken token) override;
  void DropAttempt(AttemptToken token) override;
  Result<Json> RunLocal(const workflow::LocalActivityRequest& request, int32_t attempt) override;

 private:
  class Context;
  struct Running {
    std::shared_ptr<Context> context;
    std::thread thread;
    bool done = false;  // under mutex_
  };
  void Poll();
  void Reap();

  ThreadWorldOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<News> news_;
  std::map<AttemptToken, std::unique_ptr<Running>> running_;
  std::vector<std::unique_ptr<Running>> dropped_;
  UnixMillis polled_at_ = 0;
};

}  // namespace lockstep::embedded
