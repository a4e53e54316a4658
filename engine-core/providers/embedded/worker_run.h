// The worker's half of an embedded run: the execution in memory, brought up to the history task by task, and its local
// activities, retried inside the task as long as that is worth it (spec 00 section 5). Drives `workflow::Execution`
// exactly as the Temporal worker and the replayer do.
//
// The execution is a cache: `Evict` may be called between any two tasks and changes nothing but the work to rebuild it
// (RT5). Threads: used by one at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/providers/embedded/server_run.h"
#include "engine-core/providers/embedded/world.h"
#include "engine-core/workflow/execution.h"

namespace lockstep::workflow {
class WorkflowRegistry;
}

namespace lockstep::embedded {

struct WorkerOptions {
  const workflow::WorkflowRegistry* registry = nullptr;
  std::string namespace_name = "default";
  std::map<std::string, int, std::less<>> version_pins;
  std::function<void(workflow::LogLevel, std::string_view message)> log;
  std::function<void(const workflow::LocalActivityTrace&)> on_local_activity;
};

class WorkerRun {
 public:
  explicit WorkerRun(WorkerOptions options);
  ~WorkerRun();

  enum class Outcome : uint8_t {
    kCommands,   // the code waits for news
    kHeartbeat,  // the task's time is nearly over and local activities still run
    kFailed,     // broken or diverged: see `failure`
  };
  // Runs the open task of `run`. `pump` is called whenever time has passed, so that news reach the run meanwhile.
  Outcome RunTask(const ServerRun& run, World& world, const std::function<void()>& pump);
  std::vector<Command> TakeCommands();
  const Failure& failure() const { return failure_; }
  temporal::api::enums::v1::WorkflowTaskFailedCause cause() const { return cause_; }
  void Evict();
  // In memory, up to all completed tasks; rebuilt when it was evicted. For queries.
  workflow::Execution& execution(const ServerRun& run);
  bool cached() const { return execution_ != nullptr; }
  const std::vector<workflow::Divergence>& divergences() const { return divergences_; }

 private:
  struct Local {
    workflow::LocalActivityRequest request;
    int32_t attempt = 1;
    UnixMillis due = 0;
  };
  void BringUp(const ServerRun& run);
  bool Bad();
  void TakeRequests(UnixMillis now);
  bool RunLocal(Local* local, World& world);

  WorkerOptions options_;
  std::unique_ptr<workflow::Execution> execution_;
  size_t seen_ = 0;  // events the execution has been given
  int64_t task_timeout_ms_ = 10'000;
  std::vector<Local> locals_;
  Failure failure_;
  temporal::api::enums::v1::WorkflowTaskFailedCause cause_ = {};
  std::vector<workflow::Divergence> divergences_;
};

}  // namespace lockstep::embedded
