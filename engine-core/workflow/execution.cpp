#include "engine-core/workflow/execution.h"

#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/enums/v1/failed_cause.pb.h>

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/base/sha256.h"
#include "engine-core/workflow/markers.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/runtime.h"

namespace lockstep::workflow {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary

LocalActivityRequest::LocalActivityRequest() = default;
LocalActivityRequest::~LocalActivityRequest() = default;
LocalActivityRequest::LocalActivityRequest(LocalActivityRequest&&) noexcept = default;
LocalActivityRequest& LocalActivityRequest::operator=(LocalActivityRequest&&) noexcept = default;
LocalActivityOutcome::LocalActivityOutcome() = default;
LocalActivityOutcome::~LocalActivityOutcome() = default;
LocalActivityOutcome::LocalActivityOutcome(LocalActivityOutcome&&) noexcept = default;
LocalActivityOutcome& LocalActivityOutcome::operator=(LocalActivityOutcome&&) noexcept = default;

std::unique_ptr<Execution> Execution::Create(const WorkflowRegistry& registry, ExecutionIdentity identity,
                                             ExecutionOptions options) {
  return std::make_unique<internal::Runtime>(registry, std::move(identity), std::move(options));
}

std::shared_ptr<ScopeState> ScopeState::MakeChild() {
  auto child = std::make_shared<ScopeState>();
  child->cancelled = cancelled;
  std::erase_if(children, [](const std::weak_ptr<ScopeState>& weak) { return weak.expired(); });
  children.push_back(child);
  return child;
}

void ScopeState::Cancel(std::source_location where) {
  if (cancelled) return;
  cancelled = true;
  const auto keep = shared_from_this();
  const auto joined = std::exchange(members, {});
  for (const auto& [key, cancel] : joined) cancel(where);
  for (const auto& weak : children) {
    if (const auto child = weak.lock()) child->Cancel(where);
  }
}

namespace internal {
namespace {

// The execution whose code runs on this thread. One logical thread per workflow: set for the length of a call, never shared.
thread_local Runtime* current_runtime = nullptr;

class EnterRuntime {
 public:
  explicit EnterRuntime(Runtime* runtime) : before_(std::exchange(current_runtime, runtime)) {}
  ~EnterRuntime() { current_runtime = before_; }
  EnterRuntime(const EnterRuntime&) = delete;
  EnterRuntime& operator=(const EnterRuntime&) = delete;

 private:
  Runtime* before_;
};

// Years 1 to 9999 and about as long for durations: what protobuf allows. A broken history may hold anything.
constexpr int64_t kMaxSeconds = 253'402'300'799;
constexpr int32_t kMaxAttempt = 1'000'000'000;
constexpr size_t kCommandBlock = 8 * 1024;

template <typename SecondsAndNanos>
int64_t ToMillis(const SecondsAndNanos& time) {
  return std::clamp(time.seconds(), -kMaxSeconds / 4, kMaxSeconds) * 1000 + time.nanos() / 1'000'000;
}

// Narrows what a handler may do for as long as it runs.
class Narrow {
 public:
  Narrow(Allowed* allowed, Allowed now) : allowed_(allowed), before_(std::exchange(*allowed, std::max(*allowed, now))) {}
  ~Narrow() { *allowed_ = before_; }
  Narrow(const Narrow&) = delete;
  Narrow& operator=(const Narrow&) = delete;

 private:
  Allowed* allowed_;
  Allowed before_;
};

google::protobuf::ArenaOptions CommandArenaOptions(std::byte* block) {
  google::protobuf::ArenaOptions options;
  options.initial_block = reinterpret_cast<char*>(block);
  options.initial_block_size = kCommandBlock;
  return options;
}

std::string DigestOf(const Payloads& payloads) {
  Sha256Stream stream;
  for (const Payload& payload : payloads.payloads()) {
    stream.Update(std::to_string(payload.data().size()) + ":");
    stream.Update(payload.data());
  }
  return ToHex(stream.Finish());
}

}  // namespace

Runtime::Runtime(const WorkflowRegistry& registry, ExecutionIdentity identity, ExecutionOptions options)
    : registry_(registry),
      identity_(std::move(identity)),
      options_(std::move(options)),
      command_block_(std::make_unique_for_overwrite<std::byte[]>(kCommandBlock)),
      command_arena_(std::make_unique<google::protobuf::Arena>(CommandArenaOptions(command_block_.get()))),
      root_scope_(std::make_shared<ScopeState>()) {}

Runtime::~Runtime() {
  // Frames give their memory back to the arena of the current execution while they are destroyed.
  const EnterRuntime enter(this);
  conditions_.clear();
  machines_.clear();
  signal_handlers_.clear();
  default_signal_handler_ = nullptr;
  query_handlers_.clear();
  spawned_.clear();
  root_ = Task<WorkflowResult>();
}

Runtime& Runtime::Current() {
  LOCKSTEP_CHECK(current_runtime != nullptr, "workflow API called outside a workflow task");
  return *current_runtime;
}

// --- one workflow task ---------------------------------------------------------------------------------------------------

void Runtime::Activate(const TaskSlice& slice) {
  LOCKSTEP_CHECK(slice.started != nullptr, "a task has a started event");
  const EnterRuntime enter(this);
  const auto& started = slice.started->workflow_task_started_event_attributes();
  skipped_ = broken_ != nullptr || diverged_;
  if (skipped_) return;
  now_ = std::max(now_, ToMillis(slice.started->event_time()));
  info_.history_length = slice.started->event_id();
  info_.history_size_bytes = started.history_size_bytes();
  info_.suggest_continue_as_new = started.suggest_continue_as_new();
  replaying_ = slice.completed != nullptr;
  continued_at_once_ = slice.continued_at_once;
  history_commands_ = slice.history_commands;
  resumptions_ = 0;
  LoadLookahead(slice);
  // Handlers run before the main coroutine of the same task (RT7): signals first, then resolutions in history order.
  for (const HistoryEvent* event : slice.events) {
    if (event->event_type() == EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) {
      const auto& signal = event->workflow_execution_signaled_event_attributes();
      DeliverSignal(signal.signal_name(), signal.input());
    }
  }
  for (const HistoryEvent* event : slice.events) ApplyEvent(*event);
  if (!started_) {
    Divergence divergence = Describe(DivergenceKind::kUnknownReference, slice.started, nullptr);
    divergence.expected = "WorkflowExecutionStarted before the first workflow task";
    divergence.actual = "a history that begins in the middle";
    Report(std::move(divergence));
  }
  if (Over()) return;
  Drain();
  ReplayLocalActivities();
}

void Runtime::LoadLookahead(const TaskSlice& slice) {
  recorded_versions_.clear();
  recorded_side_effects_.clear();
  recorded_local_.clear();
  for (const HistoryEvent* event : slice.recorded) {
    if (event->event_type() != EVENT_TYPE_MARKER_RECORDED) continue;
    const auto& marker = event->marker_recorded_event_attributes();
    if (marker.marker_name() == kVersionMarker) {
      if (const auto data = ReadVersionMarker(marker)) {
        recorded_versions_[data->change_id] = {data->version, data->attribute_updated, event};
      }
    } else if (marker.marker_name() == kSideEffectMarker) {
      if (auto data = ReadSideEffectMarker(marker)) recorded_side_effects_[data->id] = std::move(data->value);
    } else if (marker.marker_name() == kLocalActivityMarker) {
      recorded_local_.push_back(event);
    }
  }
}

void Runtime::StartFirst(const HistoryEvent& event) {
  const auto& start = event.workflow_execution_started_event_attributes();
  if (std::exchange(started_, true)) {
    Divergence divergence = Describe(DivergenceKind::kUnknownReference, &event, nullptr);
    divergence.expected = "one WorkflowExecutionStarted";
    divergence.actual = "a second one";
    Report(std::move(divergence));
    return;
  }
  info_.namespace_name = identity_.namespace_name;
  if (identity_.workflow_id.empty()) identity_.workflow_id = start.workflow_id();
  if (identity_.run_id.empty()) identity_.run_id = start.original_execution_run_id();
  info_.workflow_id = identity_.workflow_id;
  info_.run_id = identity_.run_id;
  info_.first_run_id = start.first_execution_run_id();
  info_.workflow_type = start.workflow_type().name();
  info_.task_queue = start.task_queue().name();
  info_.attempt = std::max(1, start.attempt());
  info_.continued_from_run_id = start.continued_execution_run_id();
  info_.start_ms = ToMillis(event.event_time());
  field_context_.workflow_run_timeout_ms = ToMillis(start.workflow_run_timeout());
  if (start.has_workflow_task_timeout()) info_.task_timeout_ms = ToMillis(start.workflow_task_timeout());
  random_.Seed(start.original_execution_run_id().empty() ? identity_.run_id : start.original_execution_run_id());
  const WorkflowFunction* function = registry_.Find(info_.workflow_type);
  if (function == nullptr) {
    Divergence divergence = Describe(DivergenceKind::kWorkflowType, &event, nullptr);
    divergence.expected = info_.workflow_type;
    std::string known;
    for (const std::string& type : registry_.Types()) known += (known.empty() ? "" : ", ") + type;
    divergence.actual = "a build that knows " + (known.empty() ? "no workflow" : known);
    Report(std::move(divergence));
    return;
  }
  input_ = start.input();
  try {
    root_ = (*function)(input_);
    root_.promise()->scope = root_scope_;
    ready_.push_back(root_.promise());
  } catch (...) {
    BreakWithCurrentException();
  }
}

void Runtime::ApplyEvent(const HistoryEvent& event) {
  switch (event.event_type()) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: StartFirst(event); return;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: root_scope_->Cancel({}); return;
    case EVENT_TYPE_WORKFLOW_TASK_FAILED: {
      const auto& failed = event.workflow_task_failed_event_attributes();
      if (failed.cause() == WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW) random_.Seed(failed.new_run_id());
      return;
    }
    default: break;
  }
  const EventRoute* route = FindRoute(event.event_type());
  if (route == nullptr) return;
  const int64_t reference = route->reference(event);
  const auto it = by_event_id_.find(reference);
  if (it == by_event_id_.end() || it->second->spec->kind != route->kind) {
    Divergence divergence = Describe(DivergenceKind::kUnknownReference, &event, nullptr);
    divergence.expected = EventTypeName(event.event_type()) + " of event " + std::to_string(reference);
    divergence.actual = "no " + std::string(SpecOf(route->kind).name) + " with that event";
    Report(std::move(divergence));
    return;
  }
  Step(it->second, route->input, &event, nullptr);
}

void Runtime::DeliverSignal(const std::string& name, const Payloads& input) {
  const auto it = signal_handlers_.find(name);
  const Narrow narrow(&allowed_, Allowed::kNoCommands);
  try {
    // Copies: a handler may put another one in its place.
    if (it != signal_handlers_.end()) {
      const auto handler = it->second;
      handler(input);
    } else if (default_signal_handler_) {
      const auto handler = default_signal_handler_;
      handler(name, input);
    } else {
      buffered_signals_.emplace_back(name, input);
    }
  } catch (...) {
    BreakWithCurrentException();
  }
}

// --- the scheduler -------------------------------------------------------------------------------------------------------

void Runtime::Drain() {
  while (!closed_ && !broken_) {
    if (!ready_.empty()) {
      ResumeNext();
    } else if (!EvaluateConditions()) {
      break;
    }
  }
  running_ = nullptr;
}

void Runtime::ResumeNext() {
  PromiseBase* next = ready_.front();
  ready_.pop_front();
  try {
    CountStep();
  } catch (const Spinning&) {
    BreakWithCurrentException();
    return;
  }
  // Code that spins after this wait is reported there, and not where another coroutine stood last.
  if (next->where.line() != 0) location_.store(next->where, std::memory_order_relaxed);
  running_ = next;
  next->self.resume();
  SweepSpawned();
  if (root_.done() && !broken_) FinishRoot();
}

void Runtime::CountStep() {
  if (++resumptions_ > options_.max_resumptions_per_task) [[unlikely]] throw Spinning();
}

// Frees the frames of finished spawned tasks, once they are half of all, so that spawning many costs no more than it must.
void Runtime::SweepSpawned() {
  if (spawned_done_ == 0 || spawned_done_ * 2 < spawned_.size()) return;
  std::erase_if(spawned_, [](const Task<void>& task) { return task.done(); });
  spawned_done_ = 0;
}

bool Runtime::Holds(const std::function<bool()>& predicate) {
  const Narrow narrow(&allowed_, Allowed::kReadOnly);
  return predicate();
}

bool Runtime::EvaluateConditions() {
  bool any = false;
  for (auto it = conditions_.begin(); it != conditions_.end();) {
    bool holds = false;
    try {
      holds = Holds(*it->second.predicate);
    } catch (...) {
      BreakWithCurrentException();
      return false;
    }
    if (holds) {
      MakeReady(it->second.waiter);
      it = conditions_.erase(it);
      any = true;
    } else {
      ++it;
    }
  }
  return any;
}

void Runtime::FinishRoot() {
  WorkflowResult result;
  try {
    result = root_.Take();
  } catch (const Cancelled&) {
    result = cancelled({}, location_.load());
  } catch (...) {
    BreakWithCurrentException();
    return;
  }
  Command* command = NewCommand();
  CommandKind kind = CommandKind::kCompleteWorkflow;
  switch (result.kind) {
    case WorkflowResult::Kind::kCompleted:
      command->set_command_type(COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION);
      *command->mutable_complete_workflow_execution_command_attributes()->mutable_result() = std::move(result.payloads);
      break;
    case WorkflowResult::Kind::kFailed:
      kind = CommandKind::kFailWorkflow;
      command->set_command_type(COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION);
      ErrorToFailure(result.error, command->mutable_fail_workflow_execution_command_attributes()->mutable_failure());
      break;
    case WorkflowResult::Kind::kCancelled:
      kind = CommandKind::kCancelWorkflow;
      command->set_command_type(COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION);
      if (result.payloads.payloads_size() > 0) {
        *command->mutable_cancel_workflow_execution_command_attributes()->mutable_details() = std::move(result.payloads);
      } else {
        command->mutable_cancel_workflow_execution_command_attributes();
      }
      break;
    case WorkflowResult::Kind::kContinueAsNew: {
      kind = CommandKind::kContinueAsNew;
      command->set_command_type(COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION);
      auto* next = command->mutable_continue_as_new_workflow_execution_command_attributes();
      next->mutable_workflow_type()->set_name(result.next.workflow_type.empty() ? info_.workflow_type : result.next.workflow_type);
      next->mutable_task_queue()->set_name(result.next.task_queue.empty() ? info_.task_queue : result.next.task_queue);
      *next->mutable_input() = std::move(result.payloads);
      break;
    }
  }
  Issue(kind, command, {}, result.where);
  Close();
}

// Nothing runs after the command that ends the execution: what still waits is told nothing more.
void Runtime::Close() {
  closed_ = true;
  ready_.clear();
  conditions_.clear();
  for (const auto& [id, machine] : pending_local_) local_cancellations_.push_back(id);
  pending_local_.clear();
  local_requests_.clear();
}

void Runtime::Require(Allowed least, std::string_view what) const {
  if (allowed_ <= least) return;
  throw std::logic_error(std::string(what) + " in a " +
                         (allowed_ == Allowed::kReadOnly ? "predicate or query handler" : "signal handler") +
                         ", which must not do that");
}

Random& Runtime::random() {
  Require(Allowed::kNoCommands, "randomness drawn");
  CountStep();
  return random_;
}

std::shared_ptr<ScopeState> Runtime::CurrentScope() const {
  return running_ != nullptr && running_->scope ? running_->scope : root_scope_;
}

void Runtime::Spawn(Task<void> task) {
  Require(Allowed::kNoCommands, "a task spawned");
  task.promise()->scope = CurrentScope();
  ready_.push_back(task.promise());
  spawned_.push_back(std::move(task));
}

uint64_t Runtime::AddCondition(Condition condition) {
  condition.waiter->where = CurrentLocation();
  condition.waiter->waits = WaitKind::kCondition;
  conditions_.emplace(++next_condition_, std::move(condition));
  return next_condition_;
}

void Runtime::NoteLocation(std::source_location where) {
  location_.store(where, std::memory_order_relaxed);
  CountStep();
}

std::source_location Runtime::CurrentLocation() const { return location_.load(std::memory_order_relaxed); }

// --- machines ------------------------------------------------------------------------------------------------------------

Machine* Runtime::Issue(CommandKind kind, Command* command, std::string id, std::source_location where,
                        std::function<void(const MachineOutcome&)> resolve, CancelMode mode,
                        std::shared_ptr<ScopeState> scope) {
  Require(Allowed::kEverything, "a command issued");
  auto& machine = machines_.emplace_back(std::make_unique<Machine>());
  machine->spec = &SpecOf(kind);
  machine->mode = mode;
  machine->id = std::move(id);
  machine->where = where;
  machine->resolve = std::move(resolve);
  issued_.push_back({command, machine.get(), false, false, where});
  if (machine->resolve) JoinScope(machine.get(), scope ? scope : CurrentScope());
  Step(machine.get(), MachineInput::kIssue, nullptr, nullptr);
  return machine.get();
}

Machine* Runtime::RequestLocal(std::unique_ptr<LocalActivityState> local, std::string id, std::source_location where,
                               std::function<void(const MachineOutcome&)> resolve) {
  Require(Allowed::kEverything, "a local activity asked for");
  if (pending_local_.contains(id)) throw std::logic_error("local activity id " + id + " is in use");
  auto& machine = machines_.emplace_back(std::make_unique<Machine>());
  machine->spec = &SpecOf(CommandKind::kLocalActivity);
  machine->id = std::move(id);
  machine->where = where;
  machine->resolve = std::move(resolve);
  machine->local = std::move(local);
  machine->local->first_scheduled = now_;
  machine->local->input_digest = DigestOf(machine->local->input);
  JoinScope(machine.get(), CurrentScope());
  Step(machine.get(), MachineInput::kIssue, nullptr, nullptr);
  return machine.get();
}

void Runtime::Step(Machine* machine, MachineInput input, const HistoryEvent* event, const LocalActivityOutcome* local) {
  const Transition* row = FindTransition(*machine->spec, machine->state, input, machine->mode);
  if (row == nullptr) {
    if (input == MachineInput::kCancel) return;  // over already
    LOCKSTEP_CHECK(event != nullptr, std::string(machine->spec->name) + " " + machine->id + ": " +
                                         std::string(MachineInputName(input)) + " in state " +
                                         std::string(MachineStateName(machine->state)));
    Divergence divergence = Describe(DivergenceKind::kUnknownReference, event, nullptr);
    divergence.command = std::string(machine->spec->name) + " " + machine->id;
    divergence.step_id = StepIdOf(machine->id);
    divergence.expected = EventTypeName(event->event_type());
    divergence.actual = "a " + std::string(machine->spec->name) + " that is " + std::string(MachineStateName(machine->state));
    divergence.where = ToSourceLine(machine->where);
    Report(std::move(divergence));
    return;
  }
  machine->state = row->to;
  if (input == MachineInput::kStarted && machine->spec->kind == CommandKind::kActivity) {
    machine->attempt = event->activity_task_started_event_attributes().attempt();
  }
  ApplyEffects(machine, *row, {input, event, local, machine->attempt});
  if (machine->state == MachineState::kClosed) LeaveScope(machine);
}

void Runtime::ApplyEffects(Machine* machine, const Transition& row, const MachineOutcome& outcome) {
  if (row.effects & kWithdraw) Withdraw(machine, false);
  if (row.effects & kWithdrawCancel) Withdraw(machine, true);
  if (row.effects & kBind) {
    machine->event_id = outcome.event->event_id();
    by_event_id_[machine->event_id] = machine;
  }
  if (row.effects & kEmitCancel) EmitCancel(machine);
  if (row.effects & kRequestLocal) {
    pending_local_[machine->id] = machine;
    local_requests_.push_back(machine);
  }
  if (row.effects & kDropLocal) {
    pending_local_.erase(machine->id);
    std::erase(local_requests_, machine);
    local_cancellations_.push_back(machine->id);
  }
  if (row.effects & kEmitMarker) EmitLocalMarker(machine, *outcome.local);
  if (row.effects & kStartBackOff) StartBackOff(machine, *outcome.local);
  if ((row.effects & (kResolve | kResolveCancelled)) && !machine->resolved) {
    machine->resolved = true;
    if (machine->resolve) machine->resolve(row.effects & kResolve ? outcome : MachineOutcome{.attempt = machine->attempt});
    machine->resolve = nullptr;
  }
}

void Runtime::Withdraw(Machine* machine, bool cancellation) {
  for (Issued& issued : issued_) {
    if (issued.machine == machine && issued.cancels == cancellation) issued.withdrawn = true;
  }
}

void Runtime::JoinScope(Machine* machine, const std::shared_ptr<ScopeState>& scope) {
  machine->scope = scope;
  machine->scope_key = NextScopeKey();
  scope->members[machine->scope_key] = [this, machine](std::source_location where) { CancelMachine(machine, where); };
}

void Runtime::CancelMachine(Machine* machine, std::source_location where) {
  cancelled_at_ = where;
  Step(machine, MachineInput::kCancel, nullptr, nullptr);
}

void Runtime::LeaveScope(Machine* machine) {
  if (machine->scope_key == 0) return;
  if (const auto scope = machine->scope.lock()) scope->members.erase(machine->scope_key);
  machine->scope_key = 0;
}

void Runtime::EmitCancel(Machine* machine) {
  Command* command = NewCommand();
  command->set_command_type(static_cast<CommandType>(machine->spec->cancel_command_type));
  if (machine->spec->kind == CommandKind::kActivity) {
    command->mutable_request_cancel_activity_task_command_attributes()->set_scheduled_event_id(machine->event_id);
  } else {
    command->mutable_cancel_timer_command_attributes()->set_timer_id(machine->id);
  }
  // Cancelled from outside: the line that asked for the work stands for the cancellation.
  issued_.push_back({command, machine, true, false, cancelled_at_.line() != 0 ? cancelled_at_ : machine->where});
}

void Runtime::EmitLocalMarker(Machine* machine, const LocalActivityOutcome& outcome) {
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_RECORD_MARKER);
  auto* marker = command->mutable_record_marker_command_attributes();
  LocalActivityMarker data;
  data.activity_id = machine->id;
  data.activity_type = machine->local->type;
  data.replay_time = FormatUtcMillis(now_);
  data.attempt = outcome.attempt;
  data.backoff_ms = outcome.backoff_ms;
  std::string_view digest = machine->local->input_digest;
  if (replayed_marker_ != nullptr) {
    const auto& recorded = replayed_marker_->marker_recorded_event_attributes();
    // Facts of the recording that the code does not decide; other SDKs record no digest of the input.
    data.replay_time = replayed_data_->replay_time;
    if (!recorded.details().contains(std::string(kInputDigestKey))) digest = {};
  }
  FillLocalActivityMarker(data, digest, marker);
  if (outcome.failure != nullptr) {
    *marker->mutable_failure() = *outcome.failure;
  } else if (outcome.result != nullptr) {
    (*marker->mutable_details())[std::string(kResultKey)] = *outcome.result;
  }
  pending_local_.erase(machine->id);
  issued_.push_back({command, machine, false, false, machine->where});
  if (options_.on_local_activity && outcome.backoff_ms == 0) {
    options_.on_local_activity({machine->id, machine->local->type, &machine->local->input, outcome.result.get(),
                                replayed_marker_ != nullptr ? replayed_marker_->event_id() : 0, info_.history_length, machine->where,
                                machine->local->options.parts});
  }
}

void Runtime::StartBackOff(Machine* machine, const LocalActivityOutcome& outcome) {
  const int64_t millis = outcome.backoff_ms;
  // The driver may have tried several times within the task.
  machine->local->attempt = std::max(machine->local->attempt, std::min(outcome.attempt, kMaxAttempt)) + 1;
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_START_TIMER);
  auto* attributes = command->mutable_start_timer_command_attributes();
  const std::string id = NextId(CommandKind::kTimer);
  attributes->set_timer_id(id);
  attributes->mutable_start_to_fire_timeout()->set_seconds(millis / 1000);
  attributes->mutable_start_to_fire_timeout()->set_nanos(static_cast<int32_t>(millis % 1000 * 1'000'000));
  const auto retry = [this, machine](const MachineOutcome& outcome) {
    const bool waits = machine->state == MachineState::kBackingOff;
    if (waits && outcome.event != nullptr) Step(machine, MachineInput::kRetry, outcome.event, nullptr);
  };
  Issue(CommandKind::kTimer, command, id, machine->where, retry, CancelMode::kAny, machine->scope.lock());
}

// --- local activities ----------------------------------------------------------------------------------------------------

std::vector<LocalActivityRequest> Runtime::TakeLocalActivityRequests() {
  std::vector<LocalActivityRequest> requests;
  for (const Machine* machine : std::exchange(local_requests_, {})) {
    const LocalActivityOptions& options = machine->local->options;
    LocalActivityRequest& request = requests.emplace_back();
    request.activity_id = machine->id;
    request.activity_type = machine->local->type;
    request.input = std::make_unique<Payloads>(machine->local->input);
    request.schedule_to_close_ms = options.schedule_to_close_ms;
    request.start_to_close_ms = options.start_to_close_ms;
    request.attempt = machine->local->attempt;
    request.first_scheduled_ms = machine->local->first_scheduled;
    request.initial_interval_ms = options.retry.initial_interval_ms;
    request.backoff_coefficient = options.retry.backoff_coefficient;
    request.max_interval_ms = options.retry.max_interval_ms;
    request.max_attempts = options.retry.max_attempts;
    request.non_retryable_types = options.retry.non_retryable_types;
  }
  return requests;
}

std::vector<std::string> Runtime::TakeLocalActivityCancellations() { return std::exchange(local_cancellations_, {}); }

void Runtime::ResolveLocalActivity(LocalActivityOutcome outcome) {
  const EnterRuntime enter(this);
  if (Over()) return;
  const auto it = pending_local_.find(outcome.activity_id);
  if (it == pending_local_.end()) return;
  Machine* machine = it->second;
  std::erase(local_requests_, machine);
  const bool again = outcome.failure != nullptr && outcome.backoff_ms > 0;
  Step(machine, again ? MachineInput::kBackOff : MachineInput::kOutcome, nullptr, &outcome);
  Drain();
}

// In replay the markers of the task are the outcomes: hand them in one by one, as they once arrived.
void Runtime::ReplayLocalActivities() {
  while (!recorded_local_.empty() && !Over()) {
    const HistoryEvent* event = recorded_local_.front();
    const auto& marker = event->marker_recorded_event_attributes();
    const auto data = ReadLocalActivityMarker(marker);
    recorded_local_.pop_front();
    if (!data || !pending_local_.contains(data->activity_id)) continue;  // matching reports it
    LocalActivityOutcome outcome;
    outcome.activity_id = data->activity_id;
    outcome.attempt = data->attempt;
    outcome.backoff_ms = data->backoff_ms;
    if (marker.has_failure()) {
      outcome.failure = std::make_unique<temporal::api::failure::v1::Failure>(marker.failure());
    } else {
      const auto result = marker.details().find(std::string(kResultKey));
      outcome.result = std::make_unique<Payloads>(result == marker.details().end() ? Payloads() : result->second);
    }
    replayed_marker_ = event;
    replayed_data_ = &*data;
    ResolveLocalActivity(std::move(outcome));
    replayed_marker_ = nullptr;
    replayed_data_ = nullptr;
  }
}

// --- commands ------------------------------------------------------------------------------------------------------------

std::vector<IssuedCommand> Runtime::commands() const {
  std::vector<IssuedCommand> result;
  for (const Issued& issued : issued_) {
    if (!issued.withdrawn) result.push_back({issued.command, issued.where});
  }
  return result;
}

std::vector<Command> Runtime::TakeCommands() {
  std::vector<Command> result;
  for (const Issued& issued : issued_) {
    if (!issued.withdrawn) result.push_back(*issued.command);
  }
  return result;
}

// --- recorded values -----------------------------------------------------------------------------------------------------

int Runtime::GetVersion(std::string_view change_id, int min, int max, std::source_location where) {
  NoteLocation(where);
  if (min > max) throw std::logic_error("version range of " + std::string(change_id) + " is empty");
  const auto known = versions_.find(change_id);
  const auto recorded = recorded_versions_.find(change_id);
  const bool has_marker = recorded != recorded_versions_.end();
  int version = max;
  if (known != versions_.end()) {
    version = known->second;
  } else if (replaying_) {
    version = has_marker ? recorded->second.version : kDefaultVersion;
  } else if (const auto pin = options_.version_pins.find(change_id); pin != options_.version_pins.end()) {
    version = std::min(version, pin->second);
  }
  if ((version < min || version > max) && versions_out_of_range_.emplace(change_id).second) {
    Divergence divergence = Describe(DivergenceKind::kVersionRange, has_marker ? recorded->second.event : nullptr, nullptr);
    if (!has_marker) divergence.event_id = info_.history_length;
    divergence.command = "Version " + std::string(change_id);
    divergence.expected = std::to_string(version);
    divergence.actual = std::to_string(min) + ".." + std::to_string(max);
    divergence.where = ToSourceLine(where);
    Report(std::move(divergence));
  }
  if (known != versions_.end()) return version;
  Require(Allowed::kEverything, "a version asked for");
  versions_.emplace(std::string(change_id), version);
  // Before the gate there was no marker: neither a replay nor a pinned recording writes one.
  if (version == kDefaultVersion && !has_marker) return version;
  const bool update_attribute = !replaying_ || recorded->second.attribute_updated;
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_RECORD_MARKER);
  FillVersionMarker(change_id, version, update_attribute, command->mutable_record_marker_command_attributes());
  Issue(CommandKind::kMarker, command, std::string(change_id), where);
  if (!update_attribute) return version;
  Json all = Json::MakeArray();
  for (const auto& [id, value] : versions_) all.Push(id + "-" + std::to_string(value));
  UpsertAttributes({{"TemporalChangeVersion", std::move(all)}}, where);
  return version;
}

Json Runtime::SideEffect(const std::function<Json()>& produce, std::source_location where) {
  NoteLocation(where);
  Require(Allowed::kEverything, "a side effect recorded");
  const auto id = static_cast<int64_t>(++side_effects_);
  const auto recorded = recorded_side_effects_.find(id);
  // Without a recorded value in a replay the marker is surplus; matching says so, and the value no longer matters.
  Json value;
  if (recorded != recorded_side_effects_.end()) {
    value = recorded->second;
  } else {
    const Narrow narrow(&allowed_, Allowed::kNoCommands);
    value = produce();
  }
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_RECORD_MARKER);
  FillSideEffectMarker(id, value, command->mutable_record_marker_command_attributes());
  Issue(CommandKind::kMarker, command, std::to_string(id), where);
  return value;
}

void Runtime::UpsertAttributes(const std::vector<std::pair<std::string, Json>>& attributes, std::source_location where) {
  NoteLocation(where);
  Require(Allowed::kEverything, "a command issued");
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES);
  auto* fields = command->mutable_upsert_workflow_search_attributes_command_attributes()
                     ->mutable_search_attributes()
                     ->mutable_indexed_fields();
  for (const auto& [name, value] : attributes) {
    Payload& payload = (*fields)[name];
    SetJson(value, &payload);
    (*payload.mutable_metadata())["type"] = value.is_array() ? "KeywordList" : "Keyword";
  }
  Issue(CommandKind::kSearchAttributes, command, {}, where);
}

// --- messages ------------------------------------------------------------------------------------------------------------

void Runtime::SetSignalHandler(std::string_view name, std::function<void(const Payloads&)> handler) {
  Require(Allowed::kNoCommands, "a handler set");
  const std::string key(name);
  signal_handlers_[key] = std::move(handler);
  // One at a time: a handler may set further handlers, or throw.
  for (size_t i = 0; i < buffered_signals_.size();) {
    if (buffered_signals_[i].first != key) {
      ++i;
      continue;
    }
    const Payloads input = std::move(buffered_signals_[i].second);
    buffered_signals_.erase(buffered_signals_.begin() + static_cast<std::ptrdiff_t>(i));
    const auto current = signal_handlers_[key];
    const Narrow narrow(&allowed_, Allowed::kNoCommands);
    current(input);
  }
}

void Runtime::SetDefaultSignalHandler(std::function<void(std::string_view, const Payloads&)> handler) {
  Require(Allowed::kNoCommands, "a handler set");
  default_signal_handler_ = std::move(handler);
  while (!buffered_signals_.empty() && default_signal_handler_) {
    const auto [name, input] = std::move(buffered_signals_.front());
    buffered_signals_.pop_front();
    const auto current = default_signal_handler_;
    const Narrow narrow(&allowed_, Allowed::kNoCommands);
    current(name, input);
  }
}

void Runtime::SetQueryHandler(std::string_view name, std::function<Result<Json>(const Json::Array&)> handler) {
  Require(Allowed::kNoCommands, "a handler set");
  query_handlers_[std::string(name)] = std::move(handler);
}

Result<std::unique_ptr<Payloads>> Runtime::Query(std::string_view name, const Payloads& args) {
  const EnterRuntime enter(this);
  const auto it = query_handlers_.find(name);
  if (it == query_handlers_.end()) {
    std::string known;
    for (const auto& [query, handler] : query_handlers_) known += (known.empty() ? "" : ", ") + query;
    return Fail("QUERY_UNKNOWN", "no query " + std::string(name) + "; known: " + (known.empty() ? "none" : known));
  }
  const auto failed = [&](const std::string& why) { return Fail("QUERY_FAILED", std::string(name) + ": " + why); };
  const auto arguments = ReadJson(args);
  if (!arguments) return failed(arguments.error().message);
  const Narrow narrow(&allowed_, Allowed::kReadOnly);
  // A query takes no step of the workflow, whatever its handler reads.
  const auto resumptions = std::exchange(resumptions_, 0);
  const auto restore = [&](auto result) {
    resumptions_ = resumptions;
    return result;
  };
  try {
    const Result<Json> answer = it->second(*arguments);
    if (!answer) return restore(Result<std::unique_ptr<Payloads>>(failed(answer.error().ToString())));
    return restore(Result<std::unique_ptr<Payloads>>(std::make_unique<Payloads>(JsonPayloads(*answer))));
  } catch (const std::exception& error) {
    return restore(Result<std::unique_ptr<Payloads>>(failed(error.what())));
  } catch (...) {
    return restore(Result<std::unique_ptr<Payloads>>(failed("threw something that is no std::exception")));
  }
}

// --- what goes wrong -----------------------------------------------------------------------------------------------------

void Runtime::Break(std::string code, std::string message) {
  if (broken_) return;
  broken_ = std::make_unique<temporal::api::failure::v1::Failure>();
  ErrorToFailure(Error(std::move(code), std::move(message)), broken_.get());
}

void Runtime::BreakWithCurrentException() {
  std::string what = "something that is no std::exception";
  try {
    throw;
  } catch (const Spinning&) {
    ReportSpinning();
    return;
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
  }
  Divergence divergence = Describe(DivergenceKind::kWorkflowPanic, nullptr, nullptr);
  divergence.event_id = info_.history_length;
  divergence.where = ToSourceLine(location_.load());
  divergence.actual = "the workflow threw: " + what;
  Report(divergence);
  Break("WORKFLOW_PANIC", what);
}

void Runtime::ReportSpinning() {
  Divergence divergence = Describe(DivergenceKind::kSpinning, nullptr, nullptr);
  divergence.event_id = info_.history_length;
  divergence.where = ToSourceLine(location_.load());
  divergence.expected = "a workflow task that ends";
  divergence.actual = "still running after " + std::to_string(options_.max_resumptions_per_task) + " steps in one workflow task";
  Report(divergence);
  Break("WORKFLOW_SPINNING", divergence.Summary());
}

void Runtime::Report(Divergence divergence) {
  // Payloads and ids of a history may hold anything; what is reported goes to terminals and into JSON.
  for (std::string* text : {&divergence.step_id, &divergence.command, &divergence.field, &divergence.expected, &divergence.actual}) {
    *text = PrintableUtf8(*text);
  }
  if (divergence.grade == Grade::kCommandChanging) diverged_ = true;
  divergences_.push_back(std::move(divergence));
}

Divergence Runtime::Describe(DivergenceKind kind, const HistoryEvent* event, const Issued* issued) const {
  Divergence divergence;
  divergence.kind = kind;
  divergence.grade = Grade::kCommandChanging;
  divergence.task_started_id = info_.history_length;
  if (event != nullptr) {
    divergence.event_id = event->event_id();
    divergence.command = IdentityOf(*event).ToString();
    divergence.step_id = StepIdOf(*event);
  }
  if (issued != nullptr) {
    if (event == nullptr) divergence.command = IdentityOf(*issued->command).ToString();
    divergence.where = ToSourceLine(issued->where);
    if (issued->machine != nullptr && divergence.step_id.empty()) divergence.step_id = StepIdOf(issued->machine->id);
  }
  return divergence;
}

std::vector<std::string> Runtime::PendingWork() const {
  std::vector<std::string> pending;
  for (const auto& machine : machines_) {
    if (machine->state == MachineState::kClosed || machine->state == MachineState::kCreated) continue;
    pending.push_back(std::string(machine->spec->name) + " " + machine->id + " " + std::string(MachineStateName(machine->state)) +
                      " [" + ToSourceLine(machine->where).ToString() + "]");
  }
  for (const auto& [name, input] : buffered_signals_) pending.push_back("signal " + name + " buffered");
  return pending;
}

// --- matching ------------------------------------------------------------------------------------------------------------

void Runtime::Complete(const HistoryEvent& completed, std::span<const HistoryEvent* const> recorded) {
  const EnterRuntime enter(this);
  if (skipped_) return;
  const bool was_diverged = diverged_;
  task_end_id_ = recorded.empty() ? completed.event_id() : recorded.back()->event_id();
  std::vector<const Issued*> issued;
  issued.reserve(issued_.size());
  for (const Issued& entry : issued_) {
    if (!entry.withdrawn) issued.push_back(&entry);
  }
  // After the code broke, diverged on the way or never began, what it issued is not worth a comparison: that report stands
  // alone.
  if (!diverged_ && !broken_ && root_.valid()) {
    size_t at = 0;
    const size_t common = std::min(issued.size(), recorded.size());
    while (at < common && SameIdentity(*issued[at]->command, *recorded[at])) {
      Pair(*issued[at], *recorded[at], completed);
      ++at;
    }
    if (at < issued.size() || at < recorded.size()) {
      ReportMisalignment(std::span(issued).subspan(at), recorded.subspan(at), completed, at > 0 ? issued[at - 1] : nullptr);
    }
  }
  if (!was_diverged && !broken_ && !continued_at_once_) ReportUnfinishedLocalActivities(completed);
  if (!issued_.empty()) last_issued_where_ = issued_.back().where;
  issued_.clear();
  command_arena_->Reset();
}

// A worker completes a task with a local activity still running only to ask for the next task at once (a heartbeat). Where the
// history shows no such task, the code that was recorded had not started it here.
void Runtime::ReportUnfinishedLocalActivities(const HistoryEvent& completed) {
  for (const auto& [id, machine] : pending_local_) {
    Divergence divergence = Describe(DivergenceKind::kSurplusCommand, nullptr, nullptr);
    divergence.event_id = completed.event_id();
    divergence.command = "MarkerRecorded LocalActivity " + id + "#" + std::to_string(machine->local->attempt);
    divergence.actual = divergence.command;
    divergence.step_id = StepIdOf(id);
    divergence.where = ToSourceLine(machine->where);
    Report(std::move(divergence));
  }
}

void Runtime::Pair(const Issued& issued, const HistoryEvent& event, const HistoryEvent& completed) {
  CompareFields(*issued.command, event, field_context_, [&](FieldDifference difference) {
    Divergence divergence = Describe(DivergenceKind::kFieldChanged, &event, &issued);
    divergence.grade = difference.grade;
    divergence.field = std::move(difference.field);
    divergence.expected = std::move(difference.expected);
    divergence.actual = std::move(difference.actual);
    Report(std::move(divergence));
  });
  const MachineInput input = issued.cancels ? MachineInput::kCancelRecorded : MachineInput::kRecorded;
  if (issued.machine == nullptr || issued.machine->spec->kind == CommandKind::kLocalActivity) return;
  Step(issued.machine, input, &event, nullptr);
}

// The lists part ways: say what is missing, what is surplus, and what merely moved.
void Runtime::ReportMisalignment(std::span<const Issued* const> issued, std::span<const HistoryEvent* const> recorded,
                                 const HistoryEvent& completed, const Issued* before) {
  std::vector<CommandIdentity> actual, expected;
  for (const Issued* entry : issued) actual.push_back(IdentityOf(*entry->command));
  for (const HistoryEvent* event : recorded) expected.push_back(IdentityOf(*event));
  // Partners are of one identity; the first of it on the one side goes with the first on the other.
  std::vector<int> partner_of_issued(issued.size(), -1), partner_of_recorded(recorded.size(), -1);
  std::map<std::pair<int, std::string_view>, std::deque<int>> waiting;
  for (size_t j = 0; j < recorded.size(); ++j) waiting[{expected[j].event_type, expected[j].id}].push_back(static_cast<int>(j));
  for (size_t i = 0; i < issued.size(); ++i) {
    const auto it = waiting.find({actual[i].event_type, actual[i].id});
    if (it == waiting.end() || it->second.empty()) continue;
    partner_of_issued[i] = it->second.front();
    partner_of_recorded[static_cast<size_t>(it->second.front())] = static_cast<int>(i);
    it->second.pop_front();
  }
  const Issued* nearest = before != nullptr ? before : (issued.empty() ? nullptr : issued.front());
  const size_t places = std::max(issued.size(), recorded.size());
  int last_partner = -1;
  for (size_t i = 0; i < places; ++i) {
    const bool lone_issued = i < issued.size() && partner_of_issued[i] < 0;
    const bool lone_recorded = i < recorded.size() && partner_of_recorded[i] < 0;
    if (lone_issued && lone_recorded && actual[i].event_type == expected[i].event_type &&
        RecordedLater(*issued[i]->command) == nullptr) {
      Divergence divergence = Describe(DivergenceKind::kCommandChanged, recorded[i], issued[i]);
      divergence.expected = expected[i].ToString();
      divergence.actual = actual[i].ToString();
      Report(std::move(divergence));
      nearest = issued[i];
      continue;
    }
    if (lone_recorded) {
      Divergence divergence = Describe(DivergenceKind::kMissingCommand, recorded[i], nullptr);
      divergence.expected = expected[i].ToString();
      if (nearest != nullptr) divergence.where = ToSourceLine(nearest->where);
      if (!divergence.where.known()) divergence.where = ToSourceLine(last_issued_where_);
      if (!divergence.where.known()) divergence.where = ToSourceLine(location_.load());
      Report(std::move(divergence));
    }
    if (lone_issued) {
      ReportSurplus(*issued[i], actual[i], completed);
    }
    if (i < issued.size()) {
      nearest = issued[i];
      if (partner_of_issued[i] >= 0 && partner_of_issued[i] < last_partner) {
        const auto j = static_cast<size_t>(partner_of_issued[i]);
        Divergence divergence = Describe(DivergenceKind::kOrderChanged, recorded[j], issued[i]);
        divergence.expected = expected[j].ToString() + " before " + expected[static_cast<size_t>(last_partner)].ToString();
        divergence.actual = "after it";
        Report(std::move(divergence));
      }
      last_partner = std::max(last_partner, partner_of_issued[i]);
    }
  }
  // Bind what both sides have, so that a debugger may look on from here.
  for (size_t i = 0; i < issued.size(); ++i) {
    if (partner_of_issued[i] >= 0) Pair(*issued[i], *recorded[static_cast<size_t>(partner_of_issued[i])], completed);
  }
}

// The same command, attributes and all, that the history has in a later task.
const HistoryEvent* Runtime::RecordedLater(const Command& command) const {
  if (history_commands_ == nullptr) return nullptr;
  for (const HistoryEvent* event : *history_commands_) {
    if (event->event_id() <= task_end_id_ || !SameIdentity(command, *event)) continue;
    bool same = true;
    CompareFields(command, *event, field_context_, [&same](const FieldDifference&) { same = false; });
    if (same) return event;
  }
  return nullptr;
}

// A command that the history has later on was issued too early: a wait has gone. Any other is new.
void Runtime::ReportSurplus(const Issued& issued, const CommandIdentity& identity, const HistoryEvent& completed) {
  if (const HistoryEvent* later = RecordedLater(*issued.command)) {
    Divergence divergence = Describe(DivergenceKind::kOtherTask, later, &issued);
    divergence.expected = "a later workflow task (event " + std::to_string(later->event_id()) + ")";
    divergence.actual = "the workflow task completed by event " + std::to_string(completed.event_id());
    Report(std::move(divergence));
    return;
  }
  Divergence divergence = Describe(DivergenceKind::kSurplusCommand, nullptr, &issued);
  divergence.event_id = completed.event_id();
  divergence.actual = identity.ToString();
  Report(std::move(divergence));
}

}  // namespace internal
}  // namespace lockstep::workflow
