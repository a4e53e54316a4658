#include "engine-core/workflow/wf.h"

#include "engine-core/base/check.h"
#include "engine-core/base/sha256.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/runtime.h"

namespace lockstep::workflow {

using internal::Condition;
using internal::FutureState;
using internal::Machine;
using internal::MachineOutcome;
using internal::PromiseBase;
using internal::Runtime;

namespace internal {

void* PromiseBase::operator new(size_t size) { return Runtime::Current().arena().Allocate(size); }

void PromiseBase::operator delete(void* frame, size_t size) noexcept { Runtime::Current().arena().Free(frame, size); }

std::coroutine_handle<> SwitchTo(PromiseBase* next) noexcept {
  Runtime::Current().set_running(next);
  return next->self;
}

PromiseBase::PromiseBase() { Runtime::Current().LinkCoroutine(this); }
PromiseBase::~PromiseBase() { Runtime::Current().UnlinkCoroutine(this); }

std::coroutine_handle<> StartChild(PromiseBase* child, PromiseBase* parent, std::source_location where) {
  Runtime::Current().CountStep();
  parent->where = where;
  parent->waits = WaitKind::kTask;
  child->continuation = parent;
  if (!child->scope) child->scope = parent->scope;
  return SwitchTo(child);
}

void FutureCore::Await(PromiseBase* waiter, std::source_location where) {
  waiter->where = where;
  waiter->waits = WaitKind::kCommand;
  waiter->awaited = machine;
  waiters.push_back(waiter);
}

void FutureCore::SetReady() {
  ready = true;
  for (PromiseBase* waiter : waiters) Runtime::Current().MakeReady(waiter);
  waiters.clear();
}

}  // namespace internal

namespace {

template <typename T>
void Set(const std::shared_ptr<FutureState<T>>& state, T value) {
  state->value.emplace(std::move(value));
  state->SetReady();
}

template <typename T>
Future<T> Ready(T value) {
  auto state = std::make_shared<FutureState<T>>();
  state->value.emplace(std::move(value));
  state->ready = true;
  return Future<T>(std::move(state));
}

void SetDuration(int64_t millis, google::protobuf::Duration* duration) {
  duration->set_seconds(millis / 1000);
  duration->set_nanos(static_cast<int32_t>(millis % 1000 * 1'000'000));
}

void FillRetry(const RetryOptions& retry, temporal::api::common::v1::RetryPolicy* policy) {
  SetDuration(retry.initial_interval_ms, policy->mutable_initial_interval());
  policy->set_backoff_coefficient(retry.backoff_coefficient);
  SetDuration(retry.max_interval_ms, policy->mutable_maximum_interval());
  policy->set_maximum_attempts(retry.max_attempts);
  for (const std::string& type : retry.non_retryable_types) policy->add_non_retryable_error_types(type);
}

ActivityOutcome CancelledOutcome() {
  ActivityOutcome outcome;
  outcome.result = std::unexpected(Error("CANCELLED", "cancelled by the workflow"));
  return outcome;
}

ActivityOutcome FailureOutcome(const temporal::api::failure::v1::Failure& failure, int32_t attempt) {
  ActivityOutcome outcome;
  outcome.attempt = attempt;
  outcome.failure = std::make_shared<temporal::api::failure::v1::Failure>(failure);
  outcome.result = std::unexpected(FailureToError(failure));
  return outcome;
}

ActivityOutcome ActivityOutcomeOf(const MachineOutcome& outcome) {
  if (outcome.event == nullptr) return CancelledOutcome();
  const HistoryEvent& event = *outcome.event;
  switch (outcome.input) {
    case MachineInput::kSucceeded: {
      ActivityOutcome result;
      result.attempt = outcome.attempt;
      result.result = event.activity_task_completed_event_attributes().result();
      return result;
    }
    case MachineInput::kFailed:
      return FailureOutcome(event.activity_task_failed_event_attributes().failure(), outcome.attempt);
    case MachineInput::kTimedOut:
      return FailureOutcome(event.activity_task_timed_out_event_attributes().failure(), outcome.attempt);
    default: {
      ActivityOutcome result = CancelledOutcome();
      result.attempt = outcome.attempt;
      return result;
    }
  }
}

ActivityOutcome LocalOutcomeOf(const MachineOutcome& outcome) {
  if (outcome.local == nullptr) return CancelledOutcome();
  if (outcome.local->failure != nullptr) return FailureOutcome(*outcome.local->failure, outcome.local->attempt);
  ActivityOutcome result;
  result.attempt = outcome.local->attempt;
  if (outcome.local->result != nullptr) result.result = *outcome.local->result;
  return result;
}

// Joins the current scope for as long as it waits; being cancelled there wakes the waiter.
struct ConditionAwaiter {
  const std::function<bool()>& predicate;
  uint64_t key = 0;
  bool cancelled = false;
  uint64_t scope_key = 0;
  std::shared_ptr<ScopeState> scope;

  bool await_ready() {
    if (scope->cancelled) {
      cancelled = true;
      return true;
    }
    return Runtime::Current().Holds(predicate);
  }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) {
    Runtime& runtime = Runtime::Current();
    PromiseBase* waiter = &awaiting.promise();
    key = runtime.AddCondition({&predicate, waiter});
    scope_key = runtime.NextScopeKey();
    scope->members[scope_key] = [this, waiter](Location) {
      // Met before in the same round: then the condition wins, and its waiter must not be resumed twice.
      if (!Runtime::Current().RemoveCondition(key)) return;
      cancelled = true;
      Runtime::Current().MakeReady(waiter);
    };
  }
  void await_resume() {
    if (scope_key != 0) scope->members.erase(scope_key);
    if (cancelled) throw Cancelled();
  }
};

struct YieldAwaiter {
  bool await_ready() const { return false; }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) const {
    awaiting.promise().where = Runtime::Current().CurrentLocation();
    awaiting.promise().waits = internal::WaitKind::kTurn;
    Runtime::Current().MakeReady(&awaiting.promise());
  }
  void await_resume() const {}
};

Task<void> GuardedSpawn(Task<void> body) {
  try {
    co_await body;
  } catch (const Cancelled&) {
    // A task in a cancelled scope has nothing more to say.
  } catch (...) {
    Runtime::Current().NoteSpawnedThrew();
  }
  Runtime::Current().NoteSpawnedDone();
}

}  // namespace

WorkflowResult completed(Payloads result, Location where) {
  return {WorkflowResult::Kind::kCompleted, std::move(result), {}, {}, where};
}
WorkflowResult completed(const Json& result, Location where) { return completed(JsonPayloads(result), where); }
WorkflowResult failed(Error error, Location where) {
  return {WorkflowResult::Kind::kFailed, {}, std::move(error), {}, where};
}
WorkflowResult cancelled(Payloads details, Location where) {
  return {WorkflowResult::Kind::kCancelled, std::move(details), {}, {}, where};
}
WorkflowResult continue_as_new(Payloads input, ContinueAsNewOptions options, Location where) {
  return {WorkflowResult::Kind::kContinueAsNew, std::move(input), {}, std::move(options), where};
}

Future<ActivityOutcome> execute_activity(std::string_view type, Payloads input, ActivityOptions options, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  if (runtime.CurrentScope()->cancelled) return Ready(CancelledOutcome());
  if (options.activity_id.empty()) options.activity_id = runtime.NextId(CommandKind::kActivity);
  Command* command = runtime.NewCommand();
  command->set_command_type(temporal::api::enums::v1::COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK);
  auto* attributes = command->mutable_schedule_activity_task_command_attributes();
  attributes->set_activity_id(options.activity_id);
  attributes->mutable_activity_type()->set_name(std::string(type));
  attributes->mutable_task_queue()->set_name(options.task_queue.empty() ? runtime.info().task_queue : options.task_queue);
  *attributes->mutable_input() = std::move(input);
  if (options.start_to_close_ms > 0) SetDuration(options.start_to_close_ms, attributes->mutable_start_to_close_timeout());
  if (options.schedule_to_close_ms > 0) SetDuration(options.schedule_to_close_ms, attributes->mutable_schedule_to_close_timeout());
  if (options.schedule_to_start_ms > 0) SetDuration(options.schedule_to_start_ms, attributes->mutable_schedule_to_start_timeout());
  if (options.heartbeat_ms > 0) SetDuration(options.heartbeat_ms, attributes->mutable_heartbeat_timeout());
  if (options.retry) FillRetry(*options.retry, attributes->mutable_retry_policy());
  auto state = std::make_shared<FutureState<ActivityOutcome>>();
  state->machine =
      runtime.Issue(CommandKind::kActivity, command, options.activity_id, where,
                    [state](const MachineOutcome& outcome) { Set(state, ActivityOutcomeOf(outcome)); }, options.cancel);
  return Future<ActivityOutcome>(std::move(state));
}

Future<ActivityOutcome> local_activity(std::string_view type, Payloads input, LocalActivityOptions options, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  if (runtime.CurrentScope()->cancelled) return Ready(CancelledOutcome());
  std::string id = options.activity_id.empty() ? runtime.NextId(CommandKind::kLocalActivity) : options.activity_id;
  auto local = std::make_unique<internal::LocalActivityState>();
  local->type = std::string(type);
  local->input = std::move(input);
  local->options = std::move(options);
  auto state = std::make_shared<FutureState<ActivityOutcome>>();
  state->machine = runtime.RequestLocal(std::move(local), std::move(id), where,
                                        [state](const MachineOutcome& outcome) { Set(state, LocalOutcomeOf(outcome)); });
  return Future<ActivityOutcome>(std::move(state));
}

UnixMillis now() {
  Runtime::Current().CountStep();
  return Runtime::Current().now();
}

Future<bool> timer(int64_t millis, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  if (runtime.CurrentScope()->cancelled) return Ready(false);
  // The server refuses a timer of no length, and an immediate answer would not be in the history.
  millis = std::max<int64_t>(millis, 1);
  const std::string id = runtime.NextId(CommandKind::kTimer);
  Command* command = runtime.NewCommand();
  command->set_command_type(temporal::api::enums::v1::COMMAND_TYPE_START_TIMER);
  auto* attributes = command->mutable_start_timer_command_attributes();
  attributes->set_timer_id(id);
  SetDuration(millis, attributes->mutable_start_to_fire_timeout());
  auto state = std::make_shared<FutureState<bool>>();
  state->machine = runtime.Issue(CommandKind::kTimer, command, id, where,
                                 [state](const MachineOutcome& outcome) { Set(state, outcome.event != nullptr); });
  return Future<bool>(std::move(state));
}

Task<void> sleep(int64_t millis, Location where) {
  if (!co_await timer(millis, where).at(where)) throw Cancelled();
}

Task<void> wait_until(std::function<bool()> predicate, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  // Others may run between the round that found it true and this coroutine's turn, and undo it: then wait on.
  do {
    ConditionAwaiter awaiter{predicate, 0, false, 0, runtime.CurrentScope()};
    co_await awaiter;
    runtime.NoteLocation(where);
  } while (!runtime.Holds(predicate));
}

Task<bool> wait_until(std::function<bool()> predicate, int64_t millis, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  if (runtime.Holds(predicate)) co_return true;
  CancelScope scope;
  Future<bool> fired = co_await scope.run([](int64_t length, Location line) -> Task<Future<bool>> {
    co_return timer(length, line);
  }(millis, where));
  co_await wait_until([&fired, &predicate] { return predicate() || fired.ready(); }, where);
  const bool met = runtime.Holds(predicate);
  if (!fired.ready()) scope.cancel(where);
  co_return met;
}

Task<void> yield(Location where) {
  Runtime::Current().NoteLocation(where);
  co_await YieldAwaiter{};
}

void spawn(Task<void> task) { Runtime::Current().Spawn(GuardedSpawn(std::move(task))); }

Task<void> detached(Task<void> body) {
  body.promise()->scope = std::make_shared<ScopeState>();
  return body;
}

CancelScope::CancelScope() : state_(Runtime::Current().CurrentScope()->MakeChild()) {}
void CancelScope::cancel(Location where) {
  Runtime::Current().NoteLocation(where);
  state_->Cancel(where);
}
bool CancelScope::cancelled() const { return state_->cancelled; }
bool scope_cancelled() { return Runtime::Current().CurrentScope()->cancelled; }

void set_signal_handler(std::string_view name, std::function<void(const Payloads&)> handler) {
  Runtime::Current().SetSignalHandler(name, std::move(handler));
}
void set_default_signal_handler(std::function<void(std::string_view, const Payloads&)> handler) {
  Runtime::Current().SetDefaultSignalHandler(std::move(handler));
}
void set_query_handler(std::string_view name, std::function<Result<Json>(const Json::Array&)> handler) {
  Runtime::Current().SetQueryHandler(name, std::move(handler));
}

int get_version(std::string_view change_id, int min, int max, Location where) {
  return Runtime::Current().GetVersion(change_id, min, max, where);
}
Json side_effect(const std::function<Json()>& produce, Location where) {
  return Runtime::Current().SideEffect(produce, where);
}

uint64_t random() { return Runtime::Current().random().Next(); }
int64_t uniform(int64_t low, int64_t high) { return Runtime::Current().random().Uniform(low, high); }
std::string uuid4() { return Runtime::Current().random().Uuid4(); }
std::string stable_id(std::string_view run_id, std::string_view step_id) {
  return Sha256Hex(std::string(run_id) + "|" + std::string(step_id));
}
uint64_t stable_hash(const Json& value) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : CanonicalJson(value)) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

void upsert_attributes(const std::vector<std::pair<std::string, Json>>& attributes, Location where) {
  Runtime::Current().UpsertAttributes(attributes, where);
}

void upsert_memo(const Json& memo, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  Command* command = runtime.NewCommand();
  command->set_command_type(temporal::api::enums::v1::COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES);
  auto* fields = command->mutable_modify_workflow_properties_command_attributes()->mutable_upserted_memo()->mutable_fields();
  for (const auto& [key, value] : memo.AsObject()) SetJson(value, &(*fields)[key]);
  runtime.Issue(CommandKind::kMemo, command, {}, where);
}

const WorkflowInfo& info() { return Runtime::Current().info(); }
bool is_replaying() { return Runtime::Current().replaying(); }

namespace {
void LogLine(LogLevel level, std::string_view message) {
  const Runtime& runtime = Runtime::Current();
  if (!runtime.replaying() && runtime.options().log) runtime.options().log(level, message);
}
}  // namespace
void log(std::string_view message) { LogLine(LogLevel::kInfo, message); }
void log_warning(std::string_view message) { LogLine(LogLevel::kWarning, message); }

}  // namespace lockstep::workflow
