// The workflow API (spec 07 section 2): what workflow code may use in place of clocks, threads, random sources and I/O.
// Everything here acts on the execution whose workflow task is running on this thread and must only be called from
// workflow code. Every call that issues a command keeps its source line, so that a divergence names it.
//
//   wf::Task<wf::WorkflowResult> Greet(const wf::Payloads& input) {
//     auto greeting = co_await wf::execute_activity("compose", input, {.start_to_close_ms = 10'000});
//     if (!greeting.result) co_return wf::failed(greeting.result.error());
//     co_await wf::sleep(60'000);
//     co_return wf::completed(*greeting.result);
//   }
//
// Failures of activities are values. Being cancelled is the exception `wf::Cancelled`, thrown by waits (`sleep`,
// `wait_until`) inside a cancelled scope; let it pass, or catch it exactly once at the top.
#pragma once

#include <temporal/api/common/v1/message.pb.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/base/time.h"
#include "engine-core/workflow/machines.h"
#include "engine-core/workflow/outcome.h"
#include "engine-core/workflow/task.h"

namespace temporal::api::failure::v1 {
class Failure;
}

namespace lockstep::workflow {

using Payload = temporal::api::common::v1::Payload;
using Payloads = temporal::api::common::v1::Payloads;
using Location = std::source_location;

class Cancelled : public std::exception {
 public:
  const char* what() const noexcept override { return "workflow scope cancelled"; }
};

// --- how a workflow ends -------------------------------------------------------------------------------------------------
struct RetryOptions {
  int64_t initial_interval_ms = 1'000;
  double backoff_coefficient = 2;
  int64_t max_interval_ms = 60'000;  // 0: the server's rule, a hundred times the first
  int32_t max_attempts = 3;          // 0: no limit
  std::vector<std::string> non_retryable_types;
};
// Order among the tasks of one queue; zeros leave it to the server.
struct Priority {
  int32_t key = 0;  // 1 comes first
  std::string fairness_key;
  float fairness_weight = 0;
  bool empty() const { return key == 0 && fairness_key.empty() && fairness_weight == 0; }
};

struct ContinueAsNewOptions {
  std::string workflow_type;  // empty: the same
  std::string task_queue;     // empty: the same
  int64_t run_timeout_ms = 0;   // 0: the same
  int64_t task_timeout_ms = 0;  // 0: the same
  int64_t start_delay_ms = 0;
  std::optional<RetryOptions> retry;
  Json memo;               // an object; null: the same
  bool inherit_build_id = false;
  bool auto_upgrade = false;  // begin on the current worker version, also where this run is pinned to its own
};
struct WorkflowResult {
  enum class Kind : uint8_t { kCompleted, kFailed, kCancelled, kContinueAsNew };
  Kind kind = Kind::kCompleted;
  Payloads payloads;  // result, cancellation details, or the input of the next execution
  Error error;
  ContinueAsNewOptions next;
  Location where;
  FailurePtr chain;  // the failure in full, when it came from elsewhere
};
WorkflowResult completed(Payloads result, Location where = Location::current());
WorkflowResult completed(const Json& result, Location where = Location::current());
WorkflowResult failed(Error error, Location where = Location::current());
// As it came from an activity, a child or an operation, chain of causes and all.
WorkflowResult failed(Failed failure, Location where = Location::current());
WorkflowResult cancelled(Payloads details = {}, Location where = Location::current());
WorkflowResult continue_as_new(Payloads input, ContinueAsNewOptions options = {}, Location where = Location::current());

// --- waiting on commands -------------------------------------------------------------------------------------------------
namespace internal {
class Runtime;

// Shared between a command machine and whoever awaits it. Waiters are resumed in the order they began to wait.
struct FutureCore {
  bool ready = false;
  std::vector<PromiseBase*> waiters;
  const Machine* machine = nullptr;  // whose outcome this is, for debuggers
  void Await(PromiseBase* waiter, std::source_location where);
  void SetReady();
};
template <typename T>
struct FutureState : FutureCore {
  std::optional<T> value;
};

}  // namespace internal

// The outcome of a command, awaitable any number of times. Copies refer to the same command.
template <typename T>
class [[nodiscard]] Future {
 public:
  explicit Future(std::shared_ptr<internal::FutureState<T>> state) : state_(std::move(state)) {}
  bool ready() const { return state_->ready; }
  const T& value() const { return *state_->value; }

  struct Awaiter {
    std::shared_ptr<internal::FutureState<T>> state;
    std::optional<Location> on_behalf;
    bool await_ready() const noexcept { return state->ready; }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting, Location where = Location::current()) const {
      state->Await(&awaiting.promise(), on_behalf.value_or(where));
    }
    T await_resume() const { return *state->value; }
  };
  Awaiter operator co_await() const { return Awaiter{state_, std::nullopt}; }
  // For coroutines of a library, whose own line tells the author of the workflow nothing: waits as if on `where`.
  Awaiter at(Location where) const { return Awaiter{state_, where}; }

 private:
  std::shared_ptr<internal::FutureState<T>> state_;
};

// --- activities ----------------------------------------------------------------------------------------------------------
struct ActivityOptions {
  std::string activity_id;  // empty: the next number of this execution
  std::string task_queue;   // empty: the workflow's own
  int64_t start_to_close_ms = 0;
  int64_t schedule_to_close_ms = 0;
  int64_t schedule_to_start_ms = 0;
  int64_t heartbeat_ms = 0;
  std::optional<RetryOptions> retry;
  CancelMode cancel = CancelMode::kTryCancel;
  std::string summary;  // one line for people, shown beside the event
  std::string details;
  Priority priority;
  bool use_workflow_build_id = false;  // run where this workflow's worker version runs
};

struct ActivityOutcome {
  Result<Payloads> result = Payloads();
  int32_t attempt = 0;  // the provider's attempt that gave the outcome; 0 when none began
  FailurePtr failure;   // as recorded, when it failed
  FailurePtr chain;     // the same inside what says which activity it was; nullptr when it never ran
};

Future<ActivityOutcome> execute_activity(std::string_view type, Payloads input, ActivityOptions options,
                                         Location where = Location::current());

struct LocalActivityOptions {
  std::string activity_id;
  int64_t start_to_close_ms = 10'000;
  int64_t schedule_to_close_ms = 0;
  RetryOptions retry{.max_attempts = 0};
  int64_t timer_from_ms = 0;  // pauses between tries this long or longer wait on a timer; 0: as long as a workflow task may take
  std::string summary;
  // For an input that is a batch: the lines its parts came from, so that a difference in one part names the right line.
  std::vector<Location> parts;
};
// Runs in the worker, inside the workflow task; the outcome is durable with the task, as one marker.
Future<ActivityOutcome> local_activity(std::string_view type, Payloads input, LocalActivityOptions options = {},
                                       Location where = Location::current());

// --- time ----------------------------------------------------------------------------------------------------------------
// Start time of the current workflow task.
UnixMillis now();
// A timer as a future: true when it fired, false when its scope was cancelled first.
Future<bool> timer(int64_t millis, Location where = Location::current());
Future<bool> timer(int64_t millis, std::string_view summary, Location where = Location::current());
// Throws Cancelled.
Task<void> sleep(int64_t millis, Location where = Location::current());
Task<void> sleep(int64_t millis, std::string summary, Location where = Location::current());

// Waits until `predicate` holds; it must be pure. Evaluated after each round of progress, in the order of the waits.
// Throws Cancelled.
Task<void> wait_until(std::function<bool()> predicate, Location where = Location::current());
// False when `millis` passed first. Condition and timer met in one task: the condition wins.
Task<bool> wait_until(std::function<bool()> predicate, int64_t millis, Location where = Location::current());

// Lets everything that is ready now go first. Issues nothing.
Task<void> yield(Location where = Location::current());

// --- concurrency ---------------------------------------------------------------------------------------------------------
// Runs beside the caller, in the caller's scope. What it throws breaks the workflow task, but for Cancelled.
void spawn(Task<void> task);
// Runs `body` where no cancellation reaches it.
Task<void> detached(Task<void> body);

template <typename T>
Task<std::vector<T>> all_of(std::vector<Future<T>> futures) {
  std::vector<T> values;
  values.reserve(futures.size());
  for (const auto& future : futures) values.push_back(co_await future);
  co_return values;
}
// Index of the first ready future; of several ready in one task the one named first.
template <typename T>
Task<size_t> first_of(std::vector<Future<T>> futures, Location where = Location::current()) {
  const auto first = [&futures]() -> std::optional<size_t> {
    for (size_t i = 0; i < futures.size(); ++i) {
      if (futures[i].ready()) return i;
    }
    return std::nullopt;
  };
  co_await wait_until([&first] { return first().has_value(); }, where);
  co_return *first();
}

// A part of the workflow that can be cancelled on its own. Cancelling the workflow cancels every scope that is not detached.
class CancelScope {
 public:
  CancelScope();
  // `body` in this scope, to be awaited or spawned; it may outlive this object.
  template <typename T>
  Task<T> run(Task<T> body) {
    body.promise()->scope = state_;
    return body;
  }
  void cancel(Location where = Location::current());
  bool cancelled() const;

 private:
  std::shared_ptr<ScopeState> state_;
};
bool scope_cancelled();

// --- other workflows -----------------------------------------------------------------------------------------------------
enum class ParentClosePolicy : uint8_t { kTerminate, kAbandon, kRequestCancel };
enum class IdReusePolicy : uint8_t { kAllowDuplicate, kAllowDuplicateFailedOnly, kRejectDuplicate, kTerminateIfRunning };

struct ChildWorkflowOptions {
  std::string workflow_id;     // empty: made from this execution's run id and a number
  std::string task_queue;      // empty: the workflow's own
  std::string namespace_name;  // empty: the workflow's own
  int64_t execution_timeout_ms = 0;
  int64_t run_timeout_ms = 0;
  int64_t task_timeout_ms = 0;
  ParentClosePolicy parent_close = ParentClosePolicy::kTerminate;
  IdReusePolicy id_reuse = IdReusePolicy::kAllowDuplicate;
  std::optional<RetryOptions> retry;
  std::string cron_schedule;
  Json memo;  // an object
  CancelMode cancel = CancelMode::kWaitForCompletion;
  std::string summary;
  std::string details;
  Priority priority;
  bool inherit_build_id = false;
};
// Error codes: WORKFLOW_ALREADY_STARTED, CANCELLED, otherwise as FailureToError (payload.h) says.
struct ChildOutcome {
  Result<Payloads> result = Payloads();
  FailurePtr failure;
  FailurePtr chain;
};
using ChildStart = Result<std::string>;  // the run id
struct ChildWorkflow {
  std::string workflow_id;
  Future<ChildStart> started;
  Future<ChildOutcome> result;  // also when the start failed
  Future<Status> signal(std::string_view name, Payloads input, Location where = Location::current()) const;
};
ChildWorkflow start_child_workflow(std::string_view type, Payloads input, ChildWorkflowOptions options,
                                   Location where = Location::current());

// Error codes: WORKFLOW_NOT_FOUND, CANCELLED (only before the server heard of it), EXTERNAL_REQUEST_FAILED.
Future<Status> signal_external(std::string_view workflow_id, std::string_view run_id, std::string_view name, Payloads input,
                               Location where = Location::current());
Future<Status> cancel_external(std::string_view workflow_id, std::string_view run_id = {}, std::string_view reason = {},
                               Location where = Location::current());

// --- Nexus ---------------------------------------------------------------------------------------------------------------
struct NexusOptions {
  int64_t schedule_to_close_ms = 0;
  int64_t schedule_to_start_ms = 0;
  int64_t start_to_close_ms = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  CancelMode cancel = CancelMode::kWaitForCompletion;
  std::string summary;
};
struct NexusOutcome {
  Result<Payload> result = Payload();
  FailurePtr chain;
};
struct NexusOperation {
  Future<Result<std::string>> started;  // the operation's token; empty when it ended as it began
  Future<NexusOutcome> result;
};
NexusOperation start_nexus_operation(std::string_view endpoint, std::string_view service, std::string_view operation, Payload input,
                                     NexusOptions options = {}, Location where = Location::current());

// --- messages ------------------------------------------------------------------------------------------------------------
// A handler changes state only: no command, no wait. Signals that came before are delivered at once, in order.
void set_signal_handler(std::string_view name, std::function<void(const Payloads&)> handler);
// Gets every signal that has no handler of its own.
void set_default_signal_handler(std::function<void(std::string_view name, const Payloads&)> handler);
// An update is validated (reading state only; an error rejects it and leaves no trace), accepted, and carried out by a
// coroutine that may do what the workflow itself may.
struct UpdateHandler {
  std::function<Task<Outcome<Payloads>>(const Payloads&)> run;
  std::function<Status(const Payloads&)> validate;  // may be empty
  Location where = Location::current();
};
void set_update_handler(std::string_view name, UpdateHandler handler);
// No update handler and no signal handler that is a coroutine of its own is under way. To be waited for before the end.
bool all_handlers_finished();
// Runs beside the workflow until it ends and counts as a handler meanwhile.
void spawn_handler(Task<void> task);
// A handler reads state only.
void set_query_handler(std::string_view name, std::function<Result<Json>(const Json::Array& arguments)> handler);

// --- change gates and recorded values ------------------------------------------------------------------------------------
inline constexpr int kDefaultVersion = -1;
// Spec 04 section 8: one marker per execution and change id; a history without the marker gives kDefaultVersion.
int get_version(std::string_view change_id, int min, int max, Location where = Location::current());
// A gate without numbers, as SDKs of the common core have it: whether the execution goes the new way.
bool patched(std::string_view patch_id, Location where = Location::current());
// The way before the gate is gone from the code; histories with its marker still replay.
void deprecate_patch(std::string_view patch_id, Location where = Location::current());
// Recorded only where the value differs from that of the call before.
Json mutable_side_effect(std::string_view id, const std::function<Json()>& produce, Location where = Location::current());
// Runs `produce` once and records its value; a replay gives the recorded one.
Json side_effect(const std::function<Json()>& produce, Location where = Location::current());

// --- random --------------------------------------------------------------------------------------------------------------
uint64_t random();
// Uniform in [low, high], by rejection; the algorithm is part of the contract.
int64_t uniform(int64_t low, int64_t high);
template <typename T>
void shuffle(std::vector<T>* values) {
  for (size_t i = values->size(); i > 1; --i) std::swap((*values)[i - 1], (*values)[static_cast<size_t>(uniform(0, static_cast<int64_t>(i) - 1))]);
}
std::string uuid4();
// SHA-256 of run id and step id: the same wherever it is computed.
std::string stable_id(std::string_view run_id, std::string_view step_id);
// FNV-1a 64 over the canonical JSON.
uint64_t stable_hash(const Json& value);
inline std::string canonical_json(const Json& value) { return CanonicalJson(value); }

// --- attributes and facts ------------------------------------------------------------------------------------------------
// Keyword search attributes; a list of strings makes a KeywordList.
void upsert_attributes(const std::vector<std::pair<std::string, Json>>& attributes, Location where = Location::current());
struct SearchAttribute {
  std::string name;
  Json value;        // null: unset
  std::string type;  // Keyword, KeywordList, Text, Int, Double, Bool, Datetime; empty: Keyword, or KeywordList for a list
};
void upsert_search_attributes(const std::vector<SearchAttribute>& attributes, Location where = Location::current());
// Null takes a key away.
void upsert_memo(const Json& memo, Location where = Location::current());

struct WorkflowInfo {
  std::string namespace_name;  // empty in a replay from a bare history: not for data
  std::string workflow_id;
  std::string run_id;
  std::string first_run_id;
  std::string workflow_type;
  std::string task_queue;
  int32_t attempt = 1;
  std::string continued_from_run_id;  // empty for the first of a chain
  UnixMillis start_ms = 0;
  int64_t task_timeout_ms = 10'000;
  int64_t history_length = 0;       // event id of the current workflow task's start
  int64_t history_size_bytes = 0;   // as the server reported it with that event
  bool suggest_continue_as_new = false;
  std::string cron_schedule;
  std::string parent_workflow_id;  // empty: no child
  std::string parent_run_id;
  int64_t run_timeout_ms = 0;  // 0: none
  Priority priority;
  std::string build_id;  // of the worker that runs, or in a replay once ran, the current task; empty: not told
};
const WorkflowInfo& info();
// What the run before in a chain of retries or cron runs came to; empty for the first.
const Payloads& last_result();
FailurePtr last_failure();
// For logging only.
bool is_replaying();

void log(std::string_view message);
void log_warning(std::string_view message);

}  // namespace lockstep::workflow

namespace wf = lockstep::workflow;
