// Runs workflow tasks: brings a run's execution up to date with the history, lets the code go on, runs its local
// activities, and answers the server with commands, query results or a failure (spec 04 section 12). Internal to this
// room.
//
// The sticky cache is only an optimisation (RT5): whatever goes wrong with a task - divergence, a refused or lost
// answer, a gap in the history - the cached execution is dropped and rebuilt from the full history at the next task.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine-core/providers/temporal/lru_cache.h"
#include "engine-core/providers/temporal/task_pool.h"
#include "engine-core/providers/temporal/worker_core.h"
#include "engine-core/workflow/execution.h"

namespace lockstep::provider {

using WorkflowTask = service::PollWorkflowTaskQueueResponse;

// What is kept of a run between its tasks.
struct CachedRun {
  std::mutex busy;  // held for the whole of a task: an execution is used by one thread at a time
  std::unique_ptr<workflow::Execution> execution;
  int64_t task_timeout_ms = 10'000;
  bool head_applied = false;  // the commands of the last task have been matched with their events
  bool introduced = false;    // the server has been told which build runs this execution
  void Reset() {
    execution.reset();
    head_applied = false;
    introduced = false;
  }
};
using RunCache = LruCache<CachedRun>;

class WorkflowTasks {
 public:
  WorkflowTasks(WorkerCore& core, RunCache& cache, TaskPool& local_pool);
  // Handles one polled task to its end, heartbeats included. `sticky_queue` empty: no stickiness. Called by many
  // threads.
  void Handle(std::unique_ptr<WorkflowTask> task, const std::string& task_queue, const std::string& sticky_queue);
  // Forgets every run.
  void DropCache();

 private:
  class Session;

  void Forget(std::vector<RunCache::Evicted> evicted);

  WorkerCore& core_;
  RunCache& cache_;
  TaskPool& local_pool_;
};

}  // namespace lockstep::provider
