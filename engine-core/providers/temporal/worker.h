// The live worker (WorkerHost of spec 04 section 1): polls its task queues, drives the workflow runtime with what it is
// handed, runs activities and local activities, and answers the server.
//
//   Worker worker(options);
//   LOCKSTEP_TRY(worker.Start());      // TEMPORAL_WORKER_ALREADY_STARTED the second time; does not wait for the server
//   ...                                // SIGTERM
//   worker.Shutdown();                 // drains, see below; the destructor drains with no time at all
//
// What it keeps bounded: tasks per queue, threads (one per running task or waiting poll), runs in the sticky cache,
// local activities, and time: every call has a deadline, and polls end promptly when the worker stops. A task is only
// polled when there is a thread to run it, so nothing queues up inside the process.
//
// A server that goes away costs nothing but time: polls back off to 3 s at most, one log line says that it went and one
// that it came back; answers are repeated until the task's time is over.
//
// Shutdown: polls end (the server is told first, so that it hands out nothing more); running tasks may go on for
// `drain_ms`; then activities are cancelled and may take `cancel_grace_ms` to return; then open workflow tasks are
// given back and remaining calls are cut off. Activities must honour cancellation: a thread cannot be killed, so
// Shutdown waits for it.
//
// Threads: Start, Shutdown and stats may be called from any thread. The registries must outlive the worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/clock.h"
#include "engine-core/base/result.h"
#include "engine-core/providers/temporal/connection.h"

namespace lockstep::activity {
class ActivityRegistry;
}
namespace lockstep::workflow {
class WorkflowRegistry;
enum class LogLevel : uint8_t;
}  // namespace lockstep::workflow

namespace lockstep::provider {

using LogSink = std::function<void(workflow::LogLevel level, std::string_view message)>;

// Standard error through spdlog.
LogSink DefaultLogSink();

struct QueueOptions {
  std::string task_queue;
  bool workflows = true;
  bool activities = true;
  int max_concurrent_workflow_tasks = 16;  // at least 2: one poll on the queue, one on its sticky queue
  int max_concurrent_activities = 32;
  int workflow_pollers = 2;  // on the queue, and as many on its sticky queue
  int activity_pollers = 2;
};

// What becomes of running executions when a newer build of a deployment takes over.
enum class VersioningMode : uint8_t {
  kUnversioned,  // the server does not tell builds apart
  kPinned,       // they stay with the build they began on
  kAutoUpgrade,  // they move on
};

struct WorkerOptions {
  ConnectionOptions connection;
  std::vector<QueueOptions> queues;
  const workflow::WorkflowRegistry* workflows = nullptr;   // needed when a queue has workflows
  const activity::ActivityRegistry* activities = nullptr;  // needed when a queue has activities; local activities too
  size_t sticky_cache_size = 1'000;                        // runs kept in memory; 0: no stickiness
  int64_t sticky_schedule_to_start_ms = 10'000;
  int max_concurrent_local_activities = 64;
  int64_t heartbeat_interval_ms = 10'000;  // of activities, at most; 80 % of the heartbeat time-out when that is less
  int64_t deadlock_limit_ms = 2'000;       // RT6
  int64_t drain_ms = 30'000;
  int64_t cancel_grace_ms = 10'000;
  // Change ids to treat as an older build would (workflow/execution.h, `ExecutionOptions::version_pins`).
  std::map<std::string, int, std::less<>> version_pins;
  std::string build_id;     // reported with each answer when not empty
  std::string deployment = "lockstep";  // whose build that is
  VersioningMode versioning = VersioningMode::kUnversioned;  // otherwise needs a build id
  IClock* clock = nullptr;  // nullptr: the system's
  LogSink log;              // empty: DefaultLogSink()
};

// Counters since Start, for metrics and tests.
struct WorkerStats {
  uint64_t workflow_tasks_completed = 0;
  uint64_t workflow_tasks_failed = 0;
  uint64_t workflow_task_heartbeats = 0;
  uint64_t divergences = 0;
  uint64_t deadlocks = 0;
  uint64_t queries = 0;
  uint64_t activities_completed = 0;
  uint64_t activities_failed = 0;
  uint64_t activities_cancelled = 0;
  uint64_t activity_heartbeats = 0;
  uint64_t local_activities = 0;  // attempts
  uint64_t cache_hits = 0;
  uint64_t cache_misses = 0;  // runs rebuilt from their history although the server thought them cached
  uint64_t cache_evictions = 0;
  size_t cached_runs = 0;
  uint64_t outages = 0;
  int running_workflow_tasks = 0;
  int running_activities = 0;
  bool server_reachable = true;
};

class Worker {
 public:
  explicit Worker(WorkerOptions options);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Errors: TEMPORAL_WORKER_ALREADY_STARTED, TEMPORAL_CONFIG_INVALID, TEMPORAL_CLIENT_NOT_CONFIGURED.
  Status Start();
  // Start, then blocks until another thread has called Shutdown and everything has ended.
  Status Run();
  // Returns when everything has ended. Idempotent; Shutdown(0) while another thread drains cuts that drain short.
  void Shutdown();
  void Shutdown(int64_t drain_ms);
  WorkerStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::provider
