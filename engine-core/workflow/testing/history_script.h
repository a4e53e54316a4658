// A scripted Temporal server for unit tests of workflow code: it starts one workflow, drives a live Execution through its
// tasks exactly as a worker does, and writes the history that a server would have written (ids, times of a virtual clock,
// scheduled/started/completed tasks, command events, buffered events after the commands).
//
//   HistoryScript script(registry, {.workflow_type = "greet"});
//   script.RunTask();                          // first task: the code schedules activity 1
//   script.CompleteActivity("1", "hello");     // started + completed, schedules the next task
//   script.RunTask();                          // the code sees it
//   EXPECT_THAT(Replay(registry, script.history()).divergences, IsEmpty());
//
// It stands in for a server in unit tests only; what a real server does is tested beside the provider. Misuse (an unknown
// activity id, a task after the end) is a broken test and stops the process.
#pragma once

#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/enums/v1/failed_cause.pb.h>
#include <temporal/api/enums/v1/workflow.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/base/time.h"
#include "engine-core/workflow/execution.h"
#include "engine-core/workflow/machines.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"

namespace temporal::api::protocol::v1 {
class Message;
}

namespace lockstep::workflow::testing {

using temporal::api::command::v1::Command;
using temporal::api::history::v1::History;

// What a local activity does, in virtual time. Outcomes come in the order of the moment they are due.
struct LocalAnswer {
  Json result;                  // when there is no error
  std::optional<Error> error;
  int64_t backoff_ms = 0;       // with an error: the workflow is to try again after a timer of this length
  int64_t takes_ms = 0;         // beyond the heartbeat the task is completed and a new one started; kNever: until the end
  int32_t attempts = 1;         // tries made within this task
  static constexpr int64_t kNever = INT64_MAX;
};
using LocalActivityScript = std::function<LocalAnswer(const LocalActivityRequest&)>;

struct ScriptOptions {
  std::string workflow_type = "test";
  Payloads input;
  std::string workflow_id = "workflow-1";
  std::string run_id = "11111111-2222-4333-8444-555555555555";
  std::string task_queue = "queue";
  std::string continued_from_run_id;
  UnixMillis start_ms = 1'700'000'000'000;
  int64_t run_timeout_ms = 0;
  int64_t task_timeout_ms = 10'000;
  int64_t heartbeat_after_ms = 8'000;  // of an open task, while local activities run
  bool evict_after_every_task = false;  // each task in a fresh Execution, as when the sticky cache is of no use
  bool fill_defaults = true;            // as a server: time-outs and retry policy that the command left open
  LocalActivityScript local_activities;
  ExecutionOptions execution;
};

class HistoryScript {
 public:
  // `registry` must outlive the script.
  HistoryScript(const WorkflowRegistry& registry, ScriptOptions options);
  ~HistoryScript();
  HistoryScript(HistoryScript&&) noexcept;

  // --- what a worker does
  // One workflow task, from started to completed. A task whose code broke or diverged is recorded as failed.
  void RunTask();
  // Tasks for as long as one is scheduled, at most `limit`.
  void RunTasks(int limit = 100);
  // What happens while the next task is open: its events are buffered and come after the commands.
  void DuringNextTask(std::function<void()> happening) { during_task_ = std::move(happening); }
  // The next task starts and then fails, or times out: its code leaves no trace and the execution is evicted.
  void FailWorkflowTask(temporal::api::enums::v1::WorkflowTaskFailedCause cause, const std::string& new_run_id = {});
  void TimeOutWorkflowTask();
  void Evict() { execution_.reset(); }

  // --- what the world does; each but StartActivity schedules a workflow task when none is
  void Signal(std::string_view name, const Json& input = {});
  void Signal(std::string_view name, const Payloads& input);
  void RequestCancel(std::string_view reason = "test");
  void StartActivity(std::string_view id, int32_t attempt = 1);
  void CompleteActivity(std::string_view id, const Json& result = {}, int32_t attempt = 1);
  void FailActivity(std::string_view id, const Error& error, int32_t attempt = 1);
  void TimeOutActivity(std::string_view id, temporal::api::enums::v1::TimeoutType type, int32_t attempt = 1);
  void CancelActivity(std::string_view id);
  // The clock moves on to when the timer is due.
  void FireTimer(std::string_view id);
  // What becomes of a command that another party carries out: a child, a request to another workflow, a Nexus operation. The
  // event refers to the last command event with this identity (match.h); Nexus operations have none and are numbered from 1.
  HistoryEvent* Happen(temporal::api::enums::v1::EventType type, std::string_view command_id);
  // Comes with the next task, after the events so far; sets what the task records of it.
  void Update(const std::string& id, std::string_view name, const Json& argument = {});
  void Terminate(std::string_view reason = "test");
  void AdvanceClock(int64_t millis) { clock_ms_ += millis; }

  // --- what came of it
  const History& history() const { return history_; }
  Execution& execution();  // of the worker; rebuilt from the history when it was evicted
  bool closed() const { return closed_; }
  bool task_scheduled() const { return scheduled_id_ != 0; }
  UnixMillis now_ms() const { return clock_ms_; }
  // Commands of each completed task, in order, as text.
  const std::vector<std::vector<std::string>>& commands_by_task() const { return commands_by_task_; }
  // Updates that were turned down: id and failure code.
  const std::vector<std::pair<std::string, std::string>>& rejected_updates() const { return rejected_updates_; }
  // The last failed task's failure code; empty when none failed by its code.
  const std::string& broken() const { return broken_; }
  const std::vector<Divergence>& live_divergences() const { return live_divergences_; }
  // Open activities and timers: ids in order of issue.
  std::vector<std::string> OpenActivities() const;
  std::vector<std::string> OpenTimers() const;
  // Children, requests to others and Nexus operations without an end so far, in order of issue; `id` is what `Happen` takes.
  struct OpenRequest {
    CommandKind kind = CommandKind::kChildWorkflow;
    std::string id;
    bool started = false;
  };
  std::vector<OpenRequest> OpenRequests() const;

 private:
  struct LocalRun;
  HistoryEvent* Append(int type);
  HistoryEvent* AppendForCode(int type);  // buffered while a task is open
  void ScheduleTask();
  void StartTask();
  void CompleteTask(const std::vector<Command>& commands, bool again);
  void RecordCommand(const Command& command, int64_t completed_id);
  void RecordMessage(const std::string& message_id, HistoryEvent* event);
  void FillActivity(HistoryEvent* event) const;
  int64_t StopTimer(const std::string& id);
  void FlushBuffered();
  void RunLocalActivities(bool* heartbeat);
  void FailOpenTask(temporal::api::enums::v1::WorkflowTaskFailedCause cause, const std::string& new_run_id);
  void BringUp(size_t events);
  HistoryEvent* Outcome(int type, std::string_view activity_id, int32_t attempt, int64_t* scheduled, int64_t* started);

  const WorkflowRegistry& registry_;
  ScriptOptions options_;
  History history_;
  UnixMillis clock_ms_;
  std::vector<std::unique_ptr<HistoryEvent>> buffered_;
  std::unique_ptr<Execution> execution_;
  size_t seen_ = 0;  // events the execution has been given
  int64_t scheduled_id_ = 0;
  int64_t started_id_ = 0;  // of the open task
  UnixMillis task_started_ms_ = 0;
  int sized_ = 0;  // events counted in size_bytes_
  int64_t size_bytes_ = 0;
  bool closed_ = false;
  std::function<void()> during_task_;
  std::string broken_;
  std::vector<Divergence> live_divergences_;
  std::vector<std::vector<std::string>> commands_by_task_;
  struct OpenWork {
    std::string id;
    int64_t scheduled_id = 0;
    int64_t started_id = 0;
    UnixMillis due_ms = 0;
  };
  std::vector<OpenWork> activities_, timers_;
  struct PendingUpdate;
  std::vector<std::unique_ptr<PendingUpdate>> updates_;  // not yet answered by a completed task
  std::vector<std::unique_ptr<temporal::api::protocol::v1::Message>> messages_;  // of the task being completed
  std::map<std::string, int64_t> accepted_ids_;
  std::vector<std::pair<std::string, std::string>> rejected_updates_;
  std::map<std::string, LocalRun> local_runs_;  // by id and attempt; outlive an eviction, as the work itself would
};

// --- replaying -----------------------------------------------------------------------------------------------------------

struct ReplayOutcome {
  std::vector<Divergence> divergences;
  // Commands of each task that was replayed, as text; the last one may be of an open task.
  std::vector<std::vector<std::string>> commands_by_task;
  bool closed = false;
  std::string broken;  // failure type
  std::vector<std::string> pending_work;
};
// Replays the first `events` events of a history in a fresh execution, task by task, until the first one that diverges.
ReplayOutcome Replay(const WorkflowRegistry& registry, const History& history, size_t events = SIZE_MAX,
                     ExecutionOptions options = {});

// `ScheduleActivityTask {...}`: equal texts mean equal commands.
std::string CommandText(const Command& command);
std::vector<const HistoryEvent*> Pointers(const History& history, size_t events = SIZE_MAX);
// The first event of a type, from the event with id `after` on; nullptr when there is none.
const HistoryEvent* FindEvent(const History& history, int type, int64_t after = 0);
HistoryEvent* FindEvent(History* history, int type, int64_t after = 0);

}  // namespace lockstep::workflow::testing
