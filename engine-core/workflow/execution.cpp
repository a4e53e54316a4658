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

thread_local Runtime* current_runtime = nullptr;

namespace {

// Years 1 to 9999 and about as long for durations: what protobuf allows. A broken history may hold anything.
constexpr int64_t kMaxSeconds = 253'402'300'799;
constexpr int32_t kMaxAttempt = 1'000'000'000;
constexpr size_t kCommandBlock = 8 * 1024;

template <typename SecondsAndNanos>
int64_t ToMillis(const SecondsAndNanos& time) {
  return std::clamp(time.seconds(), -kMaxSeconds / 4, kMaxSeconds) * 1000 + time.nanos() / 1'000'000;
}

google::protobuf::ArenaOptions CommandArenaOptions(std::byte* block) {
  google::protobuf::ArenaOptions options;
  options.initial_block = reinterpret_cast<char*>(block);
  options.initial_block_size = kCommandBlock;
  return options;
}

std::string BuildIdOf(const HistoryEvent& completed) {
  const auto& task = completed.workflow_task_completed_event_attributes();
  return task.has_deployment_version() ? task.deployment_version().build_id() : task.worker_version().build_id();
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
  update_handlers_.clear();
  waiting_updates_.clear();
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
  // A damaged history may claim anything; workflows reckon with this number.
  info_.history_size_bytes = std::max<int64_t>(0, started.history_size_bytes());
  info_.suggest_continue_as_new = started.suggest_continue_as_new();
  replaying_ = slice.completed != nullptr;
  info_.build_id = replaying_ ? BuildIdOf(*slice.completed) : options_.build_id;
  continued_at_once_ = slice.continued_at_once;
  history_commands_ = slice.history_commands;
  resumptions_ = 0;
  LoadLookahead(slice);
  // The code must stand before its handlers can hear of anything.
  for (const HistoryEvent* event : slice.events) {
    if (event->event_type() == EVENT_TYPE_WORKFLOW_EXECUTION_STARTED) StartFirst(*event);
  }
  // Handlers run before the main coroutine of the same task (RT7): messages first, then resolutions in history order.
  DeliverMessages(slice);
  if (conventions_.messages_first && !single_batch_ && started_ && !Over()) Drain();
  if (start_pending_) BeginMain();
  for (const HistoryEvent* event : slice.events) ApplyEvent(*event);
  if (!started_) {
    Divergence divergence = Describe(DivergenceKind::kUnknownReference, slice.started, nullptr);
    divergence.expected = "WorkflowExecutionStarted before the first workflow task";
    divergence.actual = "a history that begins in the middle";
    Report(std::move(divergence));
  }
  if (Over()) return;
  Drain();
  RejectUnknownUpdates();
  ReplayLocalActivities();
}

void Runtime::LoadLookahead(const TaskSlice& slice) {
  recorded_versions_.clear();
  recorded_side_effects_.clear();
  recorded_mutable_.clear();
  recorded_local_.clear();
  for (size_t i = 0; i < slice.recorded.size(); ++i) {
    if (slice.recorded[i]->event_type() != EVENT_TYPE_MARKER_RECORDED) continue;
    LoadMarker(*slice.recorded[i], i + 1 < slice.recorded.size() ? slice.recorded[i + 1] : nullptr);
  }
  if (slice.completed != nullptr) {
    constexpr uint32_t kSingleBatchFlag = 2;  // of the Python SDK's own flags
    const auto& sdk = slice.completed->workflow_task_completed_event_attributes().sdk_metadata();
    for (const uint32_t flag : sdk.lang_used_flags()) single_batch_ = single_batch_ || flag == kSingleBatchFlag;
  }
}

void Runtime::LoadMarker(const HistoryEvent& event, const HistoryEvent* next) {
  const auto& marker = event.marker_recorded_event_attributes();
  const std::string& name = marker.marker_name();
  if (name == kVersionMarker) {
    if (const auto data = ReadVersionMarker(marker)) {
      recorded_versions_[data->change_id] = {data->version, data->attribute_updated, &event};
    }
  } else if (name == kCorePatchMarker) {
    if (const auto data = ReadPatchMarker(marker)) {
      // The marker does not tell whether the search attribute was updated with it; the event after it does.
      const bool updated = next != nullptr && next->upsert_workflow_search_attributes_event_attributes()
                                                  .search_attributes()
                                                  .indexed_fields()
                                                  .contains(std::string(kVersionAttribute));
      recorded_versions_[data->patch_id] = {1, updated, &event, true, data->deprecated};
    }
  } else if (name == kSideEffectMarker) {
    if (auto data = ReadSideEffectMarker(marker)) recorded_side_effects_[data->id] = std::move(data->value);
  } else if (name == kMutableSideEffectMarker) {
    if (auto data = ReadMutableSideEffectMarker(marker)) recorded_mutable_[{data->id, data->call}] = std::move(data->value);
  } else if (IsLocalActivityMarker(name)) {
    recorded_local_.push_back(&event);
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
  FillInfo(event);
  const WorkflowEntry* entry = registry_.Find(info_.workflow_type);
  if (entry == nullptr) {
    Divergence divergence = Describe(DivergenceKind::kWorkflowType, &event, nullptr);
    divergence.expected = info_.workflow_type;
    std::string known;
    for (const std::string& type : registry_.Types()) known += (known.empty() ? "" : ", ") + type;
    divergence.actual = "a build that knows " + (known.empty() ? "no workflow" : known);
    Report(std::move(divergence));
    return;
  }
  conventions_ = entry->conventions;
  input_ = start.input();
  try {
    // A class is made here, which puts its handlers in place; its main coroutine does not run yet.
    root_ = entry->function(input_);
    root_.promise()->scope = root_scope_;
    start_pending_ = true;
  } catch (...) {
    BreakWithCurrentException();
  }
}

void Runtime::BeginMain() {
  start_pending_ = false;
  if (!broken_) ready_.push_back(root_.promise());
}

void Runtime::FillInfo(const HistoryEvent& event) {
  const auto& start = event.workflow_execution_started_event_attributes();
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
  info_.cron_schedule = start.cron_schedule();
  info_.parent_workflow_id = start.parent_workflow_execution().workflow_id();
  info_.parent_run_id = start.parent_workflow_execution().run_id();
  info_.start_ms = ToMillis(event.event_time());
  field_context_.workflow_run_timeout_ms = ToMillis(start.workflow_run_timeout());
  info_.run_timeout_ms = field_context_.workflow_run_timeout_ms;
  if (start.has_workflow_task_timeout()) info_.task_timeout_ms = ToMillis(start.workflow_task_timeout());
  info_.priority = {start.priority().priority_key(), start.priority().fairness_key(), start.priority().fairness_weight()};
  last_result_ = start.last_completion_result();
  if (start.has_continued_failure()) {
    last_failure_ = std::make_shared<temporal::api::failure::v1::Failure>(start.continued_failure());
  }
  random_.Seed(start.original_execution_run_id().empty() ? identity_.run_id : start.original_execution_run_id());
}

void Runtime::ApplyEvent(const HistoryEvent& event) {
  switch (event.event_type()) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: return;
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
  if (root_.done() && !closed_ && !broken_) FinishRoot();
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
  if (root_.done() && !broken_ && !conventions_.messages_first) FinishRoot();
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
  const std::source_location where = result.where;
  CommandKind kind = CommandKind::kCompleteWorkflow;
  Command* command = EndCommand(std::move(result), &kind);
  Issue(kind, command, {}, where);
  Close();
}

Command* Runtime::EndCommand(WorkflowResult result, CommandKind* kind) {
  Command* command = NewCommand();
  switch (result.kind) {
    case WorkflowResult::Kind::kCompleted:
      command->set_command_type(COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION);
      *command->mutable_complete_workflow_execution_command_attributes()->mutable_result() = std::move(result.payloads);
      break;
    case WorkflowResult::Kind::kFailed: {
      *kind = CommandKind::kFailWorkflow;
      command->set_command_type(COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION);
      auto* failure = command->mutable_fail_workflow_execution_command_attributes()->mutable_failure();
      if (result.chain != nullptr) {
        *failure = *result.chain;
      } else {
        ErrorToFailure(result.error, failure);
      }
      break;
    }
    case WorkflowResult::Kind::kCancelled:
      *kind = CommandKind::kCancelWorkflow;
      command->set_command_type(COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION);
      if (result.payloads.payloads_size() > 0) {
        *command->mutable_cancel_workflow_execution_command_attributes()->mutable_details() = std::move(result.payloads);
      } else {
        command->mutable_cancel_workflow_execution_command_attributes();
      }
      break;
    case WorkflowResult::Kind::kContinueAsNew:
      *kind = CommandKind::kContinueAsNew;
      command->set_command_type(COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION);
      internal::FillContinueAsNew(std::move(result), info_,
                                  command->mutable_continue_as_new_workflow_execution_command_attributes());
      break;
  }
  return command;
}

// Nothing runs after the command that ends the execution: what still waits is told nothing more.
void Runtime::Close() {
  closed_ = true;
  waiting_updates_.clear();
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
  if (options_.on_transition) options_.on_transition(machine->spec->kind, *row);
  if (input == MachineInput::kStarted && machine->spec->kind == CommandKind::kActivity) {
    machine->attempt = event->activity_task_started_event_attributes().attempt();
  }
  if (input == MachineInput::kStarted && machine->spec->kind == CommandKind::kChildWorkflow) {
    const auto& child = event->child_workflow_execution_started_event_attributes();
    machine->child_run_id = child.workflow_execution().run_id();
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
  if (row.effects & kEmitAnswer) EmitAnswer(machine);
  if (row.effects & kEmitRejection) AddMessage(*machine->update, kUpdateRejectSuffix, machine->update->rejection);
  if ((row.effects & kTellStarted) && machine->tell_started) machine->tell_started(*outcome.event);
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

void Runtime::Withdraw(Machine* machine, bool second) {
  for (Issued& issued : issued_) {
    if (issued.machine == machine && issued.second == second) issued.withdrawn = true;
  }
  // A child's request may stand in an earlier task: then it is the server's.
  if (Machine* request = machine->cancellation; second && request != nullptr && request->state == MachineState::kIssued) {
    Withdraw(request, false);
    request->state = MachineState::kClosed;
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
  if (machine->spec->kind == CommandKind::kChildWorkflow) return EmitChildCancel(machine);
  Command* command = NewCommand();
  command->set_command_type(static_cast<CommandType>(machine->spec->second_command_type));
  switch (machine->spec->kind) {
    case CommandKind::kActivity:
      command->mutable_request_cancel_activity_task_command_attributes()->set_scheduled_event_id(machine->event_id);
      break;
    case CommandKind::kNexusOperation:
      command->mutable_request_cancel_nexus_operation_command_attributes()->set_scheduled_event_id(machine->event_id);
      break;
    default: command->mutable_cancel_timer_command_attributes()->set_timer_id(machine->id); break;
  }
  // Cancelled from outside: the line that asked for the work stands for the cancellation.
  issued_.push_back({command, machine, true, false, cancelled_at_.line() != 0 ? cancelled_at_ : machine->where});
}

// A request to another execution, which has a machine of its own; what it says to the end of that comes back to the child's.
void Runtime::EmitChildCancel(Machine* machine) {
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION);
  auto* request = command->mutable_request_cancel_external_workflow_execution_command_attributes();
  request->set_namespace_(machine->child_namespace);
  request->set_workflow_id(machine->id);
  request->set_run_id(machine->child_run_id);
  request->set_child_workflow_only(true);
  const auto told = [this, machine](const MachineOutcome& outcome) {
    if (machine->state != MachineState::kCancelIssued || outcome.event == nullptr) return;
    const bool reached = outcome.input == MachineInput::kSucceeded;
    Step(machine, reached ? MachineInput::kCancelAcknowledged : MachineInput::kCancelRefused, outcome.event, nullptr);
  };
  // Outside every scope: this is what a cancelled scope asks for.
  machine->cancellation = Issue(CommandKind::kCancelExternal, command, machine->id,
                                cancelled_at_.line() != 0 ? cancelled_at_ : machine->where, told, CancelMode::kAny,
                                std::make_shared<ScopeState>());
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
  data.sequence = machine->local->sequence;
  data.schedule_ms = machine->local->first_scheduled;
  data.complete_ms = now_;
  if (conventions_.common_core) data.dialect = MarkerDialect::kCore;
  std::string_view digest = machine->local->input_digest;
  const MarkerEvent* recorded = nullptr;
  if (replayed_marker_ != nullptr) {
    recorded = &replayed_marker_->marker_recorded_event_attributes();
    // Facts of the recording that the code does not decide; other SDKs record no digest of the input.
    data.replay_time = replayed_data_->replay_time;
    data.dialect = replayed_data_->dialect;
    if (!recorded->details().contains(std::string(kInputDigestKey))) digest = {};
  }
  if (recorded != nullptr && data.dialect == MarkerDialect::kCore) {
    CopyCoreLocalActivityMarker(data, digest, *recorded, marker);
  } else {
    FillLocalActivityMarker(data, digest, marker);
  }
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
    if (!waits || outcome.event == nullptr) return;
    // The common core counts each attempt after a timer as an activity of its own.
    if (conventions_.common_core) {
      machine->local->sequence = static_cast<uint32_t>(NextSequence(CommandKind::kLocalActivity));
      if (machine->local->default_id) machine->id = std::to_string(machine->local->sequence);
    }
    Step(machine, MachineInput::kRetry, outcome.event, nullptr);
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
    request.timer_from_ms = options.timer_from_ms;
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

std::vector<temporal::api::protocol::v1::Message> Runtime::TakeMessages() {
  std::vector<temporal::api::protocol::v1::Message> result;
  for (const auto& message : messages_) result.push_back(message);
  return result;
}

std::vector<Command> Runtime::TakeCommands() {
  std::vector<Command> result;
  for (const Issued& issued : issued_) {
    if (!issued.withdrawn) result.push_back(*issued.command);
  }
  return result;
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
  for (std::string* text : {&divergence.step_id, &divergence.command, &divergence.target, &divergence.field, &divergence.expected, &divergence.actual}) {
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
    divergence.target = TargetOf(*event);
  }
  if (issued != nullptr) {
    if (event == nullptr) divergence.command = IdentityOf(*issued->command).ToString();
    if (divergence.target.empty()) divergence.target = TargetOf(*issued->command);
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
  messages_.clear();
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
  FieldContext context = field_context_;
  if (issued.second && issued.machine->update != nullptr) context.update_response = &issued.machine->update->response;
  CompareFields(*issued.command, event, context, [&](FieldDifference difference) {
    Divergence divergence = Describe(DivergenceKind::kFieldChanged, &event, &issued);
    divergence.grade = difference.grade;
    divergence.field = std::move(difference.field);
    divergence.expected = std::move(difference.expected);
    divergence.actual = std::move(difference.actual);
    Report(std::move(divergence));
  });
  if (issued.machine == nullptr || issued.machine->spec->kind == CommandKind::kLocalActivity) return;
  Step(issued.machine, issued.second ? issued.machine->spec->second_recorded : MachineInput::kRecorded, &event, nullptr);
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
