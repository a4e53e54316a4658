// One execution as a Temporal server keeps it: the history, and what is open besides it (activities, timers, the
// workflow task, events that wait for it). Pure bookkeeping: the time of each call comes with it, nothing here waits,
// runs or sleeps.
//
// What it keeps, as the real server does (fixtures/histories hold what one wrote; `embedded_history_test` compares):
//  - while a workflow task is started, news are buffered and follow the events of its commands; outcomes of activities
//  come last
//    among them; a timer that fired unseen can still be cancelled;
//  - an activity with a retry policy shows in the history once it is over: its started event is written with the
//  outcome;
//  - a task that fails on a sticky queue is scheduled again as new; one that goes on failing leaves no further trace
//  until it
//    succeeds (a transient task);
//  - an execution does not end past news that its code has not seen (UNHANDLED_COMMAND).
// Misuse by the driver (a task completed that was never started) is a broken invariant and stops the process; commands
// and answers that a worker may get wrong are refused by value.
//
// Threads: used by one at a time.
#pragma once

#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/enums/v1/failed_cause.pb.h>
#include <temporal/api/enums/v1/workflow.pb.h>
#include <temporal/api/failure/v1/message.pb.h>
#include <temporal/api/history/v1/message.pb.h>
#include <temporal/api/workflow/v1/message.pb.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/clock.h"
#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace lockstep::embedded {

using temporal::api::command::v1::Command;
using temporal::api::common::v1::Payloads;
using temporal::api::enums::v1::WorkflowTaskFailedCause;
using temporal::api::failure::v1::Failure;
using temporal::api::history::v1::History;
using temporal::api::history::v1::HistoryEvent;

inline constexpr UnixMillis kNever = INT64_MAX;

struct ExecutionStart {
  std::string workflow_id;
  std::string run_id;
  std::string workflow_type;
  std::string task_queue;
  Payloads input;
  std::string identity;  // of the client
  temporal::api::common::v1::SearchAttributes search_attributes;
  int64_t task_timeout_ms = 10'000;
  int64_t run_timeout_ms = 0;  // 0: none
  int64_t first_task_backoff_ms = 0;
  int32_t execution = 1;  // position in the chain
  // Of a chain (continue-as-new); empty for its first execution.
  std::string first_run_id;
  std::string continued_run_id;
  temporal::api::workflow::v1::ResetPoints reset_points;
};

// One attempt of an activity, as it is handed out. `scheduled_event_id` and `attempt` together name it: an answer for
// another attempt than the one that runs is late and changes nothing.
struct AttemptToken {
  int32_t execution = 0;  // of the chain, from 1
  int64_t scheduled_event_id = 0;
  int32_t attempt = 0;
  friend auto operator<=>(const AttemptToken&, const AttemptToken&) = default;
};
struct ActivityAttempt {
  AttemptToken token;
  std::string activity_id;
  std::string activity_type;
  std::string task_queue;
  Payloads input;
  Payloads heartbeat_details;  // of the attempt before
  UnixMillis scheduled_ms = 0;
  UnixMillis started_ms = 0;
  int64_t start_to_close_ms = 0;
  int64_t heartbeat_ms = 0;
};

struct TaskAnswer {
  std::vector<Command> commands;
  bool force_new_task = false;  // a heartbeat: local activities go on
  std::string sticky_queue;     // empty: no stickiness
  int64_t sticky_schedule_to_start_ms = 10'000;
  std::string sdk_name;  // empty: nothing new to say
  std::string sdk_version;
  std::string identity;
};

// Why a completed task was not taken: the task has been recorded as failed.
struct Refusal {
  WorkflowTaskFailedCause cause;
  std::string message;
};

// Where ids come from; both must outlive the run.
struct RunIds {
  IIdGenerator* requests;
  IIdGenerator* runs;
};

class ServerRun {
 public:
  ServerRun(ExecutionStart start, RunIds ids, UnixMillis now);
  ~ServerRun();
  ServerRun(ServerRun&&) noexcept;

  // What the history does not tell, and back. Error: EMBEDDED_STATE_CORRUPT.
  Json SaveState() const;
  static Result<ServerRun> Load(History history, const Json& state, RunIds ids);

  // --- workflow tasks
  bool task_scheduled() const { return task_.scheduled_id != 0 && task_.started_at == 0; }
  bool task_started() const { return task_.started_at != 0; }
  int32_t task_attempt() const { return task_.attempt; }
  void StartTask(UnixMillis now, std::string_view identity);
  // Nothing: taken. `started_next`: the task that a heartbeat brought has begun.
  std::optional<Refusal> CompleteTask(UnixMillis now, TaskAnswer answer);
  void FailTask(UnixMillis now, WorkflowTaskFailedCause cause, const Failure& failure, std::string_view identity,
                const std::string& new_run_id = {});
  void TimeOutTask(UnixMillis now);
  // Scheduled and started event of a task whose events are not in the history (yet); empty for others.
  const std::vector<HistoryEvent>& transient_events() const { return transient_events_; }

  // --- the world's news. False: the execution is over, or has it already.
  bool Signal(UnixMillis now, std::string_view name, Payloads input, std::string_view identity,
              const std::string& request_id = {});
  bool RequestCancel(UnixMillis now, std::string_view cause, std::string_view identity);
  bool Terminate(UnixMillis now, std::string_view reason, std::string_view identity);

  // --- activities
  // The next attempt that is due, in the order of scheduling; it counts as started from now.
  std::optional<ActivityAttempt> PollActivity(UnixMillis now, std::string_view identity);
  // The same for one activity, and as a given attempt: for drivers that follow a record. False: none of that id waits.
  std::optional<ActivityAttempt> StartActivity(UnixMillis now, std::string_view activity_id, std::string_view identity,
                                               int32_t attempt = 0);
  // False: nobody waits for this attempt any more.
  bool CompleteActivity(UnixMillis now, AttemptToken token, Payloads result, std::string_view identity);
  // Retried when the policy of the activity says so, else recorded. `final`: never retried, for drivers that follow a
  // record.
  bool FailActivity(UnixMillis now, AttemptToken token, Failure failure, std::string_view identity, bool final = false);
  bool CancelActivity(UnixMillis now, AttemptToken token, Payloads details, std::string_view identity);
  // As the server does it when the time of `type` has passed.
  bool TimeOutActivity(UnixMillis now, int64_t scheduled_event_id, temporal::api::enums::v1::TimeoutType type,
                       bool final = false);
  // The attempt was handed out but never began after all: it waits again.
  bool ReturnAttempt(AttemptToken token);
  // Makes the attempt that runs the n-th, as if those before had failed; for drivers that follow a record.
  std::optional<AttemptToken> SetAttempt(int64_t scheduled_event_id, int32_t attempt);
  bool Running(AttemptToken token) { return FindRunning(token) != nullptr; }
  bool CancelRequested(AttemptToken token) {
    const Activity* activity = FindRunning(token);
    return activity != nullptr && IsCancelRequested(*activity);
  }
  struct HeartbeatReply {
    bool known = false;
    bool cancel_requested = false;
  };
  HeartbeatReply Heartbeat(UnixMillis now, AttemptToken token, Payloads details);
  // Attempts that ran when the process ended: nobody will answer them. Each counts as timed out.
  void AbandonAttempts(UnixMillis now);

  // --- time
  // When something happens by itself: a timer, a time-out, a retry, the first task after a back-off. kNever: nothing.
  UnixMillis NextDue() const;
  // Whatever is due, in the order of the moments. Retries only become ready for PollActivity.
  void FireDue(UnixMillis now);
  // The moment of one timer, whatever the clock says; false: none of that id runs.
  bool FireTimer(UnixMillis now, std::string_view timer_id);

  // --- what there is
  const History& history() const { return history_; }
  bool closed() const { return closed_; }
  const ExecutionStart& start() const { return start_; }
  bool cancel_requested() const { return cancel_requested_; }
  // Set once the execution has continued as new: what the next one starts with.
  std::optional<ExecutionStart> TakeNext() { return std::exchange(next_, std::nullopt); }
  struct OpenActivity {
    std::string id;
    std::string type;
    int64_t scheduled_event_id = 0;
    int32_t attempt = 1;
    bool started = false;
    bool cancel_requested = false;
    UnixMillis ready_at = 0;
  };
  // Once the execution is over: what it left open.
  std::vector<OpenActivity> open_activities() const;
  struct OpenTimer {
    std::string id;
    UnixMillis due = 0;
  };
  std::vector<OpenTimer> open_timers() const;
  size_t buffered() const { return buffered_.size(); }

 private:
  struct Task {
    int64_t scheduled_id = 0;  // 0: none
    int64_t started_id = 0;
    int32_t attempt = 1;  // above 1: transient, no events of its own
    UnixMillis scheduled_at = 0;
    UnixMillis started_at = 0;
    std::string queue;
    bool sticky = false;
    std::string request_id;
    std::string identity;
    int64_t history_size = 0;
    bool suggest = false;
  };
  struct Activity;
  struct Timer {
    std::string id;
    int64_t started_id = 0;
    UnixMillis due = 0;
  };
  struct Due;

  explicit ServerRun(RunIds ids);
  HistoryEvent* Append(int type, UnixMillis now);
  HistoryEvent* AppendForCode(int type, UnixMillis now);  // buffered while a task is open
  void FlushBuffered();
  void ScheduleTask(UnixMillis now);
  bool MayScheduleTask() const { return !closed_ && task_.scheduled_id == 0 && first_task_at_ == 0; }
  bool transient() const { return task_.attempt > 1; }
  HistoryEvent MakeTaskScheduled(UnixMillis at) const;
  HistoryEvent MakeTaskStarted() const;
  void WriteTransient();
  void EndTask(UnixMillis now, bool count_attempt, bool reset_attempt = false);
  void CountSize();

  std::optional<Refusal> Check(const std::vector<Command>& commands) const;
  void Apply(Command* command, int64_t completed_id, UnixMillis now, std::string_view identity);
  void ApplySchedule(Command* command, int64_t completed_id, UnixMillis now);
  void ApplyCancelActivity(const Command& command, int64_t completed_id, UnixMillis now, std::string_view identity);
  void ApplyCancelTimer(const Command& command, int64_t completed_id, UnixMillis now, std::string_view identity);
  void ApplyContinue(Command* command, int64_t completed_id, UnixMillis now);

  static bool IsCancelRequested(const Activity& activity);
  Activity* FindActivity(int64_t scheduled_event_id);
  Activity* FindRunning(AttemptToken token);
  ActivityAttempt Begin(Activity* activity, UnixMillis now, std::string_view identity);
  void WriteStarted(Activity* activity);
  void Drop(const Activity* activity);
  temporal::api::enums::v1::RetryState Retry(Activity* activity, const Failure& failure, UnixMillis now, bool final);
  std::optional<Due> FirstDue() const;

  RunIds ids_;
  ExecutionStart start_;
  UnixMillis started_at_ = 0;
  UnixMillis first_task_at_ = 0;  // of a back-off that still runs; 0: none
  History history_;
  std::vector<std::unique_ptr<HistoryEvent>> buffered_;
  bool buffering_ = false;  // while commands are recorded
  Task task_;
  std::vector<HistoryEvent> transient_events_;
  std::string sticky_queue_;
  int64_t sticky_schedule_to_start_ms_ = 10'000;
  std::vector<std::unique_ptr<Activity>> activities_;
  std::vector<Timer> timers_;
  std::set<std::string> signals_;  // request ids: a signal sent twice is recorded once
  bool cancel_requested_ = false;
  bool closed_ = false;
  bool not_started_cancelled_ = false;
  int64_t first_completed_id_ = 0;
  int sized_ = 0;
  int64_t size_bytes_ = 0;
  std::optional<ExecutionStart> next_;
};

}  // namespace lockstep::embedded
