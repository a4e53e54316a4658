// One workflow execution: the pure function (code, history) -> commands that the live worker, the replayer and the embedded
// provider all drive (design/architecture.md section 4). No I/O, no clock, no threads: time is the start time of the current
// workflow task, randomness is seeded by the execution, and everything else arrives as an event.
//
// Driving it, task by task (`CutHistory` makes the slices):
//   auto execution = Execution::Create(registry, identity, options);
//   execution->Activate(slice);                       // runs the code until nothing can go on
//   while (execution->HasPendingLocalActivities())    // live only: run them, hand in each result as it comes
//     execution->ResolveLocalActivity(...);
//   execution->TakeCommands();                        // live: what to answer the server with
//   execution->Complete(completed, recorded);         // when the history shows how the task was recorded: match and bind
// In replay `Activate` resolves recorded local activities itself and `Complete` follows at once with `slice.recorded`.
// A divergence is a value in `divergences()`; after a command-changing one, or after `broken()`, only destruction is legal.
//
// Threads: an Execution may move between threads but is used by one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/result.h"
#include "engine-core/workflow/divergence.h"
#include "engine-core/workflow/machines.h"
#include "engine-core/workflow/slices.h"

namespace temporal::api::command::v1 {
class Command;
}
namespace temporal::api::common::v1 {
class Payloads;
}
namespace temporal::api::failure::v1 {
class Failure;
}
namespace temporal::api::protocol::v1 {
class Message;
}

namespace lockstep::workflow {

class WorkflowRegistry;
struct WorkflowConventions;

struct ExecutionIdentity {
  std::string namespace_name;
  std::string workflow_id;
  std::string run_id;
};

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

// A local activity as it ended, for whoever follows a run from its history: the replayer rebuilds the event log from these.
struct LocalActivityTrace {
  std::string_view activity_id;
  std::string_view activity_type;
  const temporal::api::common::v1::Payloads* input = nullptr;
  const temporal::api::common::v1::Payloads* result = nullptr;  // nullptr when it failed
  int64_t event_id = 0;  // of the marker when replaying, else 0
  int64_t task_started_id = 0;
  std::source_location where;
  std::span<const std::source_location> parts;  // lines of the parts of a batch, may be empty
};

struct ExecutionOptions {
  // Called by wf::log outside replay only.
  std::function<void(LogLevel, std::string_view message)> log;
  // Called for each outcome of a local activity, live and in replay.
  std::function<void(const LocalActivityTrace&)> on_local_activity;
  // Called for each row of a command machine's table that the execution takes, for tests that measure what they cover.
  std::function<void(CommandKind, const Transition&)> on_transition;
  // Change ids to treat as if this build did not go beyond the given version: -1 runs the code before the gate. For recording
  // histories as an older build would (`lockstep record --as-of`); replays of them need no pin.
  std::map<std::string, int, std::less<>> version_pins;
  // Of the worker that drives live tasks; a replay reads it from the history.
  std::string build_id;
  // Resumptions of coroutines in one workflow task after which the task counts as spinning.
  uint64_t max_resumptions_per_task = 1'000'000;
};

// A local activity that the code asked for; the driver runs it inside the open workflow task and answers with the same id.
struct LocalActivityRequest {
  std::string activity_id;
  std::string activity_type;
  std::unique_ptr<temporal::api::common::v1::Payloads> input;
  int64_t schedule_to_close_ms = 0;  // 0: no limit
  int64_t start_to_close_ms = 0;     // 0: no limit
  int32_t attempt = 1;               // grows over back-offs by timer
  int64_t first_scheduled_ms = 0;    // workflow time of attempt 1
  // Retry rule; the driver retries inside the task while the delay is below `timer_from_ms`.
  int64_t initial_interval_ms = 1'000;
  double backoff_coefficient = 2;
  int64_t max_interval_ms = 60'000;
  int32_t max_attempts = 0;  // 0: until schedule_to_close
  int64_t timer_from_ms = 0;  // pauses from here on are the workflow's to wait for; 0: from the task's time-out on
  std::vector<std::string> non_retryable_types;
  ~LocalActivityRequest();
  LocalActivityRequest();
  LocalActivityRequest(LocalActivityRequest&&) noexcept;
  LocalActivityRequest& operator=(LocalActivityRequest&&) noexcept;
};

// Exactly one of `result` and `failure`. With `failure` and `backoff_ms` > 0 the workflow waits that long on a timer and asks
// again with the next attempt; with `backoff_ms` = 0 the failure is final.
struct LocalActivityOutcome {
  std::string activity_id;
  std::unique_ptr<temporal::api::common::v1::Payloads> result;
  std::unique_ptr<temporal::api::failure::v1::Failure> failure;
  int32_t attempt = 1;
  int64_t backoff_ms = 0;
  LocalActivityOutcome();
  ~LocalActivityOutcome();
  LocalActivityOutcome(LocalActivityOutcome&&) noexcept;
  LocalActivityOutcome& operator=(LocalActivityOutcome&&) noexcept;
};

// A command as issued, for records and debuggers.
struct IssuedCommand {
  const temporal::api::command::v1::Command* command = nullptr;
  std::source_location where;
};

// A command that is not over yet, as the code knows it.
struct PendingCommand {
  std::string_view kind;   // `activity`, `timer`, ...
  std::string id;
  std::string_view state;  // `issued`, `recorded`, `started`, ...
  int64_t event_id = 0;    // of the command event; 0: the history does not have it yet
  int32_t attempt = 0;     // of a started activity
  std::source_location where;
};

// Where a suspended coroutine stands and what would wake it. `stack` goes from the wait outwards to whoever awaits whom; frames of
// the runtime itself are left out.
struct AwaitPoint {
  std::string waits_for;  // `activity step/a/1`, `timer 3`, `a condition`, `its turn`
  int64_t event_id = 0;   // of the command waited for, once recorded
  bool main = false;      // of the workflow function itself, not of a spawned task
  bool cancelled = false; // its scope is cancelled
  std::vector<std::source_location> stack;
};

class Execution {
 public:
  // The workflow type comes with the first event of the first slice. `registry` must outlive the execution.
  static std::unique_ptr<Execution> Create(const WorkflowRegistry& registry, ExecutionIdentity identity,
                                           ExecutionOptions options = {});
  virtual ~Execution() = default;

  virtual void Activate(const TaskSlice& slice) = 0;
  virtual void Complete(const HistoryEvent& completed, std::span<const HistoryEvent* const> recorded) = 0;

  // Commands of the open task in the order of issue (withdrawn ones left out). Valid until the next Activate or Complete.
  virtual std::vector<IssuedCommand> commands() const = 0;
  // The same as messages for the server. May be called once between local activity rounds for a heartbeat: commands taken
  // stay part of the open task until Complete matches them.
  virtual std::vector<temporal::api::command::v1::Command> TakeCommands() = 0;

  // Answers to updates, to go with the commands just taken: acceptances, outcomes, rejections.
  virtual std::vector<temporal::api::protocol::v1::Message> TakeMessages() = 0;
  virtual const WorkflowConventions& conventions() const = 0;

  // Local activities asked for since the last call.
  virtual std::vector<LocalActivityRequest> TakeLocalActivityRequests() = 0;
  // Ids of local activities that the code no longer wants (their scope was cancelled).
  virtual std::vector<std::string> TakeLocalActivityCancellations() = 0;
  virtual bool HasPendingLocalActivities() const = 0;
  // An outcome for an id that is no longer pending is ignored.
  virtual void ResolveLocalActivity(LocalActivityOutcome outcome) = 0;

  // Runs a query handler. Errors: QUERY_UNKNOWN, QUERY_FAILED.
  virtual Result<std::unique_ptr<temporal::api::common::v1::Payloads>> Query(
      std::string_view name, const temporal::api::common::v1::Payloads& args) = 0;

  // The code issued a command that ends the execution (completed, failed, cancelled, continued as new).
  virtual bool closed() const = 0;
  virtual const std::vector<Divergence>& divergences() const = 0;
  virtual bool diverged() const = 0;  // at least one command-changing divergence
  // The code threw something unexpected or spun: the workflow task must fail with this failure; the run stays open.
  virtual const temporal::api::failure::v1::Failure* broken() const = 0;
  // Where the code stands: the last command or wait, for a watchdog on another thread. Safe to call while Activate runs.
  virtual std::source_location CurrentLocation() const = 0;

  virtual std::string_view workflow_type() const = 0;
  virtual const ExecutionIdentity& identity() const = 0;
  virtual int64_t last_started_event_id() const = 0;
  // Human-readable pending work (`activity step/a/1 started`, `timer 3`), for `lockstep state`.
  virtual std::vector<std::string> PendingWork() const = 0;
  virtual std::vector<PendingCommand> PendingCommands() const = 0;
  // Of every live coroutine, in the order they were made.
  virtual std::vector<AwaitPoint> AwaitPoints() const = 0;
};

}  // namespace lockstep::workflow
