// The embedded engine: one run (a chain of executions) in this process, the server's half (`ServerRun`) and the
// worker's half
// (`WorkerRun`) driven by one loop. The histories it writes are those of a Temporal server, so its runs replay like any
// other. Time and work come from a `World`; what must survive the process goes to a `HistoryStore`, before anything
// depends on it: an activity is handed out only after the command that asked for it is stored.
//
//   Engine engine(options, &world, &store);
//   LOCKSTEP_TRY(engine.Start(start));           // or Resume(workflow_id)
//   while (*engine.Step() != Engine::Progress::kClosed) ...;   // or engine.Run()
//
// Errors: those of the store (EMBEDDED_STORE_*), EMBEDDED_STATE_CORRUPT, EMBEDDED_RUN_UNKNOWN.
// Threads: used by one at a time.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine-core/base/result.h"
#include "engine-core/providers/embedded/history_store.h"
#include "engine-core/providers/embedded/server_run.h"
#include "engine-core/providers/embedded/worker_run.h"
#include "engine-core/providers/embedded/world.h"

namespace lockstep::embedded {

struct EngineOptions {
  WorkerOptions worker;
  IIdGenerator* ids = nullptr;      // required: request ids, and run ids unless there are others for them
  IIdGenerator* run_ids = nullptr;  // of the executions that a rotation starts
  std::string identity = "embedded";
  std::string sticky_queue;  // empty: tasks are not sticky
  bool evict_after_every_task = false;
  bool own_time = true;  // false: the driver fires timers and time-outs itself
};

class Engine {
 public:
  // `world` and `store` must outlive the engine; `store` may be nullptr: nothing survives then.
  Engine(EngineOptions options, World* world, HistoryStore* store);
  ~Engine();

  Status Start(ExecutionStart start);
  // Takes up a run where the last process left it. Attempts that ran then are lost and count as timed out.
  Status Resume(const std::string& workflow_id);

  enum class Progress : uint8_t { kBusy, kIdle, kClosed };
  // News, whatever is due, and at most one workflow task. kIdle: only time or news can bring more.
  Result<Progress> Step();
  enum class End : uint8_t { kClosed, kStuck, kStopped };
  // Steps and waits until the run is closed, nothing can happen any more (virtual time), or `stop` is set.
  Result<End> Run(const std::atomic<bool>* stop = nullptr);

  // --- the parts, for drivers that decide themselves
  // One workflow task with the tasks its heartbeats bring, and the start of the next execution when it rotates.
  Status RunTask();
  Status Pump();
  Status Dispatch();
  Status Apply(News news);
  Status Save();
  ServerRun& run() { return *chain_.back(); }
  const ServerRun& run() const { return *chain_.back(); }
  WorkerRun& worker() { return worker_; }

  // --- what there is
  bool closed() const { return !chain_.empty() && chain_.back()->closed(); }
  size_t executions() const { return chain_.size(); }
  const ServerRun& execution(size_t position) const { return *chain_.at(position); }
  // Commands of each completed task are in the histories; this counts tasks that were lost or refused.
  int64_t failed_tasks() const { return failed_tasks_; }
  const std::string& last_failure() const { return last_failure_; }
  // Called after every completed or failed workflow task.
  std::function<void(const ServerRun&)> on_task;

 private:
  void FollowRotation();
  RunIds Ids() const { return {options_.ids, options_.run_ids != nullptr ? options_.run_ids : options_.ids}; }
  void TellWorld();

  EngineOptions options_;
  World* world_;
  HistoryStore* store_;
  WorkerRun worker_;
  std::vector<std::unique_ptr<ServerRun>> chain_;
  std::vector<std::pair<AttemptToken, bool>> running_;  // told to the world, and whether it was told to cancel
  bool introduced_ = false;
  size_t clean_ = 0;  // executions of the chain that are closed and saved
  bool dirty_ = false;
  int64_t failed_tasks_ = 0;
  std::string last_failure_;
};

}  // namespace lockstep::embedded
