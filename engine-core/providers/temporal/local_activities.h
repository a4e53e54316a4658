// Runs the local activities of one open workflow task (spec 00 section 5): functions on a bounded pool, retried inside
// the task while the delay is below the workflow task time-out, longer delays handed to the workflow as a back-off by
// timer. Internal to this room.
//
// The thread of the workflow task drives everything: it waits here for the next outcome, so no timer thread exists. A
// function that outlives its time-out is told to cancel and its late result is dropped.
//
// Threads: one thread drives a session; the pool's threads only touch the mailbox.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/activity/activity.h"
#include "engine-core/providers/temporal/task_pool.h"
#include "engine-core/providers/temporal/worker_core.h"
#include "engine-core/workflow/execution.h"

namespace lockstep::provider {

class LocalActivities {
 public:
  struct Facts {
    std::string workflow_id;
    std::string run_id;
    std::string workflow_type;
    std::string task_queue;
    int64_t task_timeout_ms = 10'000;
  };

  LocalActivities(WorkerCore& core, TaskPool& pool, Facts facts);
  ~LocalActivities();  // cancels what runs; late results go nowhere

  void Start(workflow::LocalActivityRequest request);
  // The workflow no longer wants it. Its outcome, if any is still to come, is CANCELLED.
  void Cancel(const std::string& activity_id);
  void CancelAll();
  // The next outcome; nothing when `until` passes, the worker gives up, or nothing is running.
  std::optional<workflow::LocalActivityOutcome> Next(SteadyClock::time_point until);
  bool empty() const { return runs_.empty(); }

 private:
  struct Mailbox;
  class Attempt;
  struct Run;

  void Launch(Run& run);
  std::optional<workflow::LocalActivityOutcome> Advance(Run& run, SteadyClock::time_point now);
  std::optional<workflow::LocalActivityOutcome> Finish(Run& run, Result<Json> result);
  std::optional<workflow::LocalActivityOutcome> Failed(Run& run, const api::failure::v1::Failure& failure,
                                                       const std::string& type, bool retryable);
  int64_t ElapsedMs(const Run& run) const;
  SteadyClock::time_point NextDeadline(SteadyClock::time_point until) const;

  WorkerCore& core_;
  TaskPool& pool_;
  const Facts facts_;
  std::shared_ptr<Mailbox> mailbox_;
  std::map<std::string, std::unique_ptr<Run>> runs_;  // by activity id
};

}  // namespace lockstep::provider
