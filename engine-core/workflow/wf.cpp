#include "engine-core/workflow/wf.h"

#include "engine-core/base/check.h"
#include "engine-core/base/sha256.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/runtime.h"
#include "engine-core/workflow/wf_internal.h"

namespace lockstep::workflow {

using internal::Condition;
using internal::FutureState;
using internal::Machine;
using internal::MachineOutcome;
using internal::PromiseBase;
using internal::Runtime;
using internal::FillMetadata;
using internal::FillPriority;
using internal::FillRetry;
using internal::Ready;
using internal::Set;
using internal::SetDuration;

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

using ApiFailure = temporal::api::failure::v1::Failure;

struct ActivityRef {
  std::string id;
  std::string type;
};

ActivityOutcome CancelledOutcome() {
  ActivityOutcome outcome;
  outcome.result = std::unexpected(Error("CANCELLED", "cancelled by the workflow"));
  return outcome;
}

ActivityOutcome FailureOutcome(const ApiFailure& failure, int32_t attempt) {
  ActivityOutcome outcome;
  outcome.attempt = attempt;
  outcome.failure = std::make_shared<ApiFailure>(failure);
  outcome.result = std::unexpected(FailureToError(failure));
  return outcome;
}

// The wrapper that says which activity failed; official SDKs build the same one.
template <typename Attributes>
FailurePtr WrapActivity(std::string_view message, const ApiFailure& cause, const Attributes& event, const ActivityRef& activity) {
  auto wrapped = std::make_shared<ApiFailure>();
  wrapped->set_message(std::string(message));
  *wrapped->mutable_cause() = cause;
  auto* info = wrapped->mutable_activity_failure_info();
  info->set_scheduled_event_id(event.scheduled_event_id());
  info->set_started_event_id(event.started_event_id());
  if constexpr (requires { event.identity(); }) info->set_identity(event.identity());
  info->set_activity_id(activity.id);
  info->mutable_activity_type()->set_name(activity.type);
  if constexpr (requires { event.retry_state(); }) info->set_retry_state(event.retry_state());
  return wrapped;
}

ActivityOutcome ActivityOutcomeOf(const MachineOutcome& outcome, const ActivityRef& activity) {
  if (outcome.event == nullptr) return CancelledOutcome();
  const HistoryEvent& event = *outcome.event;
  switch (outcome.input) {
    case MachineInput::kSucceeded: {
      ActivityOutcome result;
      result.attempt = outcome.attempt;
      result.result = event.activity_task_completed_event_attributes().result();
      return result;
    }
    case MachineInput::kFailed: {
      const auto& failed = event.activity_task_failed_event_attributes();
      ActivityOutcome result = FailureOutcome(failed.failure(), outcome.attempt);
      result.chain = WrapActivity("Activity task failed", failed.failure(), failed, activity);
      return result;
    }
    case MachineInput::kTimedOut: {
      const auto& late = event.activity_task_timed_out_event_attributes();
      ActivityOutcome result = FailureOutcome(late.failure(), outcome.attempt);
      result.chain = WrapActivity("Activity task timed out", late.failure(), late, activity);
      return result;
    }
    default: {
      ActivityOutcome result = CancelledOutcome();
      result.attempt = outcome.attempt;
      return result;
    }
  }
}

ActivityOutcome LocalOutcomeOf(const MachineOutcome& outcome) {
  if (outcome.local == nullptr) return CancelledOutcome();
  if (outcome.local->failure != nullptr) {
    ActivityOutcome failed = FailureOutcome(*outcome.local->failure, outcome.local->attempt);
    failed.chain = failed.failure;
    return failed;
  }
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

Task<void> GuardedHandler(Task<void> body) {
  co_await GuardedSpawn(std::move(body));
  Runtime::Current().NoteHandler(-1);
}

}  // namespace

WorkflowResult completed(Payloads result, Location where) {
  return {WorkflowResult::Kind::kCompleted, std::move(result), {}, {}, where, nullptr};
}
WorkflowResult completed(const Json& result, Location where) { return completed(JsonPayloads(result), where); }
WorkflowResult failed(Error error, Location where) {
  return {WorkflowResult::Kind::kFailed, {}, std::move(error), {}, where, nullptr};
}
WorkflowResult failed(Failed failure, Location where) {
  return {WorkflowResult::Kind::kFailed, {}, std::move(failure.error), {}, where, std::move(failure.chain)};
}
WorkflowResult cancelled(Payloads details, Location where) {
  return {WorkflowResult::Kind::kCancelled, std::move(details), {}, {}, where, nullptr};
}
WorkflowResult continue_as_new(Payloads input, ContinueAsNewOptions options, Location where) {
  return {WorkflowResult::Kind::kContinueAsNew, std::move(input), {}, std::move(options), where, nullptr};
}

Future<ActivityOutcome> execute_activity(std::string_view type, Payloads input, ActivityOptions options, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  if (runtime.CurrentScope()->cancelled) return Ready(CancelledOutcome());
  options.activity_id = runtime.IdFor(CommandKind::kActivity, options.activity_id);
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
  FillPriority(options.priority, attributes);
  if (options.use_workflow_build_id) attributes->set_use_workflow_build_id(true);
  FillMetadata(options.summary, options.details, command);
  auto state = std::make_shared<FutureState<ActivityOutcome>>();
  const auto resolve = [state, activity = ActivityRef{options.activity_id, std::string(type)}](const MachineOutcome& outcome) {
    Set(state, ActivityOutcomeOf(outcome, activity));
  };
  state->machine = runtime.Issue(CommandKind::kActivity, command, options.activity_id, where, resolve, options.cancel);
  return Future<ActivityOutcome>(std::move(state));
}

Future<ActivityOutcome> local_activity(std::string_view type, Payloads input, LocalActivityOptions options, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  if (runtime.CurrentScope()->cancelled) return Ready(CancelledOutcome());
  auto local = std::make_unique<internal::LocalActivityState>();
  local->default_id = options.activity_id.empty();
  std::string id = runtime.IdFor(CommandKind::kLocalActivity, options.activity_id, &local->sequence);
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

Future<bool> timer(int64_t millis, Location where) { return timer(millis, {}, where); }

Future<bool> timer(int64_t millis, std::string_view summary, Location where) {
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
  FillMetadata(summary, {}, command);
  auto state = std::make_shared<FutureState<bool>>();
  state->machine = runtime.Issue(CommandKind::kTimer, command, id, where,
                                 [state](const MachineOutcome& outcome) { Set(state, outcome.event != nullptr); });
  return Future<bool>(std::move(state));
}

Task<void> sleep(int64_t millis, Location where) {
  if (!co_await timer(millis, where).at(where)) throw Cancelled();
}

Task<void> sleep(int64_t millis, std::string summary, Location where) {
  if (!co_await timer(millis, summary, where).at(where)) throw Cancelled();
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
void set_update_handler(std::string_view name, UpdateHandler handler) {
  Runtime::Current().SetUpdateHandler(name, std::move(handler));
}
bool all_handlers_finished() { return Runtime::Current().running_handlers() == 0; }
void spawn_handler(Task<void> task) {
  Runtime::Current().NoteHandler(1);
  Runtime::Current().Spawn(GuardedHandler(std::move(task)));
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

bool patched(std::string_view patch_id, Location where) { return Runtime::Current().Patched(patch_id, false, where); }
void deprecate_patch(std::string_view patch_id, Location where) { Runtime::Current().Patched(patch_id, true, where); }
Json mutable_side_effect(std::string_view id, const std::function<Json()>& produce, Location where) {
  return Runtime::Current().MutableSideEffect(id, produce, where);
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
  std::vector<SearchAttribute> typed;
  for (const auto& [name, value] : attributes) typed.push_back({name, value, {}});
  Runtime::Current().UpsertAttributes(typed, where);
}

void upsert_search_attributes(const std::vector<SearchAttribute>& attributes, Location where) {
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

const Payloads& last_result() { return Runtime::Current().last_result(); }
FailurePtr last_failure() { return Runtime::Current().last_failure(); }
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
