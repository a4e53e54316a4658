// Runs activity tasks: the context an activity sees, its heartbeats, and the answer to the server (spec 04 section 5).
// Internal to this room.
//
// Heartbeats go out by themselves every min(10 s, 80 % of the heartbeat time-out), because cancel requests come back on
// them; `Heartbeat` only changes what they carry (and brings a due one forward). An activity is cancelled when the
// server says so, when it no longer knows the activity, when its time is over, or when the worker stops.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "engine-core/activity/activity.h"
#include "engine-core/activity/invoke.h"
#include "engine-core/providers/temporal/worker_core.h"

namespace lockstep::provider {

// Calls `Beat` of each registered run when it is due, on a few threads of its own.
class Heartbeats {
 public:
  class Run {
   public:
    virtual ~Run() = default;
    // Sends one heartbeat; when the next is due.
    virtual SteadyClock::time_point Beat() = 0;
  };

  explicit Heartbeats(int threads);
  ~Heartbeats();
  void Add(Run* run, SteadyClock::time_point due);
  void BringForward(Run* run, SteadyClock::time_point due);
  // Returns when no beat of the run is under way; none comes after.
  void Remove(Run* run);

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable idle_;
  bool stopped_ = false;
  std::set<std::pair<SteadyClock::time_point, Run*>> due_;
  std::set<Run*> beating_;
  std::set<Run*> removed_;  // removed while beating
  std::vector<std::thread> threads_;
};

using activity::CancelFlag;

// Calls the function and turns what it throws into an error; used for local activities, too.
Result<Json> RunActivityFunction(const activity::ActivityFunction& function, activity::ActivityContext& context,
                                 const Payloads& input);
// The result as payloads; PAYLOAD_TOO_LARGE above 2 MB.
Result<Payloads> EncodeResult(const Json& value, std::string_view activity_type);

using ActivityTask = service::PollActivityTaskQueueResponse;

class ActivityTasks {
 public:
  ActivityTasks(WorkerCore& core, int heartbeat_threads);
  ~ActivityTasks();
  // Runs one activity to its end and answers the server. Called by many threads.
  void Handle(const ActivityTask& task, const std::string& task_queue);
  // The worker gives up: every running activity sees itself cancelled.
  void CancelAll();

 private:
  class Run;
  void Answer(const ActivityTask& task, Run& run, Result<Json> result);
  void Complete(const ActivityTask& task, Payloads result);
  // `last_details`: progress that no heartbeat has carried yet, for the next attempt.
  void Fail(const ActivityTask& task, const Error& error, const Payloads& last_details = {});
  void ReportCancelled(const ActivityTask& task, const Error& error);
  int64_t AnswerBudgetMs(const ActivityTask& task) const;
  void NoteAnswer(const grpc::Status& status, const ActivityTask& task, const char* operation);

  WorkerCore& core_;
  Heartbeats heartbeats_;
  std::mutex mutex_;
  std::set<Run*> running_;
  bool cancelled_ = false;
};

}  // namespace lockstep::provider
