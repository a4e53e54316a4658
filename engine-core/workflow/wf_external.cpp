// The part of the workflow API that reaches beyond the execution: child workflows, signals and cancellations to others, Nexus
// operations, and the next execution of a chain. Failures come back as values, wrapped as official SDKs wrap them.
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/enums/v1/failed_cause.pb.h>

#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/runtime.h"
#include "engine-core/workflow/wf.h"
#include "engine-core/workflow/wf_internal.h"

namespace lockstep::workflow {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary
using ParentClosePolicy = lockstep::workflow::ParentClosePolicy;  // the API's, not the message's
using internal::FutureState;
using internal::Machine;
using internal::MachineOutcome;
using internal::Ready;
using internal::Runtime;
using internal::Set;
using internal::SetDuration;
using ApiFailure = temporal::api::failure::v1::Failure;

namespace {

Error CancelledHere() { return Error("CANCELLED", "cancelled by the workflow"); }

// --- children ------------------------------------------------------------------------------------------------------------

// In the order of the enums in wf.h.
constexpr temporal::api::enums::v1::ParentClosePolicy kApiParentClose[] = {
    PARENT_CLOSE_POLICY_TERMINATE, PARENT_CLOSE_POLICY_ABANDON, PARENT_CLOSE_POLICY_REQUEST_CANCEL};
constexpr WorkflowIdReusePolicy kApiIdReuse[] = {
    WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
    WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING};

void FillChild(std::string_view type, Payloads input, const ChildWorkflowOptions& options, const WorkflowInfo& info,
               temporal::api::command::v1::StartChildWorkflowExecutionCommandAttributes* child) {
  child->set_workflow_id(options.workflow_id);
  child->set_namespace_(options.namespace_name);
  child->mutable_workflow_type()->set_name(std::string(type));
  child->mutable_task_queue()->set_name(options.task_queue.empty() ? info.task_queue : options.task_queue);
  if (input.payloads_size() > 0) *child->mutable_input() = std::move(input);
  if (options.execution_timeout_ms > 0) SetDuration(options.execution_timeout_ms, child->mutable_workflow_execution_timeout());
  if (options.run_timeout_ms > 0) SetDuration(options.run_timeout_ms, child->mutable_workflow_run_timeout());
  if (options.task_timeout_ms > 0) SetDuration(options.task_timeout_ms, child->mutable_workflow_task_timeout());
  child->set_parent_close_policy(kApiParentClose[static_cast<size_t>(options.parent_close)]);
  child->set_workflow_id_reuse_policy(kApiIdReuse[static_cast<size_t>(options.id_reuse)]);
  if (options.retry) internal::FillRetry(*options.retry, child->mutable_retry_policy());
  child->set_cron_schedule(options.cron_schedule);
  if (options.memo.is_object()) internal::FillMemo(options.memo, child->mutable_memo());
  internal::FillPriority(options.priority, child);
  if (options.inherit_build_id) child->set_inherit_build_id(true);
}

ApiFailure Plain(std::string_view message) {
  ApiFailure failure;
  failure.set_message(std::string(message));
  return failure;
}

template <typename Attributes>
ChildOutcome ChildFailed(std::string_view message, const ApiFailure& cause, const Attributes& event) {
  auto wrapped = std::make_shared<ApiFailure>();
  wrapped->set_message(std::string(message));
  *wrapped->mutable_cause() = cause;
  auto* info = wrapped->mutable_child_workflow_execution_failure_info();
  info->set_namespace_(event.namespace_());
  *info->mutable_workflow_execution() = event.workflow_execution();
  *info->mutable_workflow_type() = event.workflow_type();
  info->set_initiated_event_id(event.initiated_event_id());
  info->set_started_event_id(event.started_event_id());
  if constexpr (requires { event.retry_state(); }) info->set_retry_state(event.retry_state());
  ChildOutcome outcome;
  outcome.result = std::unexpected(FailureToError(cause));
  outcome.failure = std::make_shared<ApiFailure>(cause);
  outcome.chain = std::move(wrapped);
  return outcome;
}

Error StartError(const HistoryEvent& event) {
  const auto& failed = event.start_child_workflow_execution_failed_event_attributes();
  switch (failed.cause()) {
    case START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS:
      return Error("WORKFLOW_ALREADY_STARTED", "workflow " + failed.workflow_id() + " was started before");
    case START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND:
      return Error("NAMESPACE_NOT_FOUND", "no namespace " + failed.namespace_());
    default: return Error("CHILD_START_FAILED", "the server could not start workflow " + failed.workflow_id());
  }
}

ChildOutcome ChildOutcomeOf(const MachineOutcome& outcome) {
  ChildOutcome result;
  if (outcome.event == nullptr || outcome.event->event_type() == EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED) {
    result.result = std::unexpected(CancelledHere());
    return result;
  }
  const HistoryEvent& event = *outcome.event;
  switch (event.event_type()) {
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
      result.result = event.child_workflow_execution_completed_event_attributes().result();
      return result;
    case EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: result.result = std::unexpected(StartError(event)); return result;
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: {
      const auto& failed = event.child_workflow_execution_failed_event_attributes();
      return ChildFailed("Child Workflow execution failed", failed.failure(), failed);
    }
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: {
      ApiFailure cause = Plain("Timed out");
      cause.mutable_timeout_failure_info()->set_timeout_type(TIMEOUT_TYPE_START_TO_CLOSE);
      return ChildFailed("Child Workflow execution timed out", cause, event.child_workflow_execution_timed_out_event_attributes());
    }
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: {
      ApiFailure cause = Plain("Terminated");
      cause.mutable_terminated_failure_info();
      return ChildFailed("Child Workflow execution terminated", cause, event.child_workflow_execution_terminated_event_attributes());
    }
    default: {
      ApiFailure cause;
      cause.mutable_canceled_failure_info();
      *cause.mutable_canceled_failure_info()->mutable_details() =
          event.child_workflow_execution_canceled_event_attributes().details();
      return ChildFailed("Child Workflow execution cancelled", cause, event.child_workflow_execution_canceled_event_attributes());
    }
  }
}

// --- requests to others --------------------------------------------------------------------------------------------------

template <typename Attributes>
Status RequestFailed(const Attributes& failed, bool not_found) {
  const std::string& id = failed.workflow_execution().workflow_id();
  if (not_found) return Fail("WORKFLOW_NOT_FOUND", "no running workflow " + id);
  return Fail("EXTERNAL_REQUEST_FAILED", "the server could not reach workflow " + id);
}

Status ExternalStatusOf(const MachineOutcome& outcome) {
  if (outcome.event == nullptr) return std::unexpected(CancelledHere());
  if (outcome.input == MachineInput::kSucceeded) return {};
  const HistoryEvent& event = *outcome.event;
  if (event.has_signal_external_workflow_execution_failed_event_attributes()) {
    const auto& failed = event.signal_external_workflow_execution_failed_event_attributes();
    return RequestFailed(failed, failed.cause() == SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND);
  }
  const auto& failed = event.request_cancel_external_workflow_execution_failed_event_attributes();
  return RequestFailed(failed, failed.cause() == CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND);
}

Future<Status> SendSignal(std::string_view workflow_id, std::string_view run_id, std::string_view name, Payloads input,
                          bool child_only, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  if (runtime.CurrentScope()->cancelled) return Ready<Status>(std::unexpected(CancelledHere()));
  Command* command = runtime.NewCommand();
  command->set_command_type(COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION);
  auto* signal = command->mutable_signal_external_workflow_execution_command_attributes();
  signal->mutable_execution()->set_workflow_id(std::string(workflow_id));
  signal->mutable_execution()->set_run_id(std::string(run_id));
  signal->set_signal_name(std::string(name));
  if (input.payloads_size() > 0) *signal->mutable_input() = std::move(input);
  signal->set_child_workflow_only(child_only);
  auto state = std::make_shared<FutureState<Status>>();
  state->machine = runtime.Issue(CommandKind::kSignalExternal, command, std::string(workflow_id) + " " + std::string(name), where,
                [state](const MachineOutcome& outcome) { Set(state, ExternalStatusOf(outcome)); });
  return Future<Status>(std::move(state));
}

// --- Nexus ---------------------------------------------------------------------------------------------------------------

NexusOutcome NexusFailed(const ApiFailure& failure) {
  NexusOutcome outcome;
  // The wrapper says only that an operation failed; what it failed with is inside.
  outcome.result = std::unexpected(FailureToError(failure.has_cause() ? failure.cause() : failure));
  outcome.chain = std::make_shared<ApiFailure>(failure);
  return outcome;
}

NexusOutcome NexusOutcomeOf(const MachineOutcome& outcome) {
  NexusOutcome result;
  if (outcome.event == nullptr) {
    result.result = std::unexpected(CancelledHere());
    return result;
  }
  const HistoryEvent& event = *outcome.event;
  switch (event.event_type()) {
    case EVENT_TYPE_NEXUS_OPERATION_COMPLETED: result.result = event.nexus_operation_completed_event_attributes().result(); return result;
    case EVENT_TYPE_NEXUS_OPERATION_FAILED: return NexusFailed(event.nexus_operation_failed_event_attributes().failure());
    case EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT: return NexusFailed(event.nexus_operation_timed_out_event_attributes().failure());
    case EVENT_TYPE_NEXUS_OPERATION_CANCELED: return NexusFailed(event.nexus_operation_canceled_event_attributes().failure());
    case EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED:
      return NexusFailed(event.nexus_operation_cancel_request_failed_event_attributes().failure());
    default: result.result = std::unexpected(CancelledHere()); return result;
  }
}

}  // namespace

ChildWorkflow start_child_workflow(std::string_view type, Payloads input, ChildWorkflowOptions options, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  const std::string number = runtime.NextId(CommandKind::kChildWorkflow);
  if (options.workflow_id.empty()) options.workflow_id = runtime.info().run_id + "_" + number;
  if (runtime.CurrentScope()->cancelled) {
    ChildOutcome outcome;
    outcome.result = std::unexpected(CancelledHere());
    return {options.workflow_id, Ready<ChildStart>(std::unexpected(CancelledHere())), Ready(std::move(outcome))};
  }
  Command* command = runtime.NewCommand();
  command->set_command_type(COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION);
  FillChild(type, std::move(input), options, runtime.info(), command->mutable_start_child_workflow_execution_command_attributes());
  internal::FillMetadata(options.summary, options.details, command);
  auto started = std::make_shared<FutureState<ChildStart>>();
  auto result = std::make_shared<FutureState<ChildOutcome>>();
  const auto resolve = [started, result](const MachineOutcome& outcome) {
    ChildOutcome end = ChildOutcomeOf(outcome);
    if (!started->ready && !end.result) Set(started, ChildStart(std::unexpected(end.result.error())));
    Set(result, std::move(end));
  };
  Machine* machine = runtime.Issue(CommandKind::kChildWorkflow, command, options.workflow_id, where, resolve, options.cancel);
  started->machine = result->machine = machine;
  machine->child_namespace = options.namespace_name;
  machine->tell_started = [started](const HistoryEvent& event) {
    const auto& child = event.child_workflow_execution_started_event_attributes();
    if (!started->ready) Set(started, ChildStart(child.workflow_execution().run_id()));
  };
  return {options.workflow_id, Future<ChildStart>(std::move(started)), Future<ChildOutcome>(std::move(result))};
}

Future<Status> ChildWorkflow::signal(std::string_view name, Payloads input, Location where) const {
  return SendSignal(workflow_id, {}, name, std::move(input), true, where);
}

Future<Status> signal_external(std::string_view workflow_id, std::string_view run_id, std::string_view name, Payloads input,
                               Location where) {
  return SendSignal(workflow_id, run_id, name, std::move(input), false, where);
}

Future<Status> cancel_external(std::string_view workflow_id, std::string_view run_id, std::string_view reason, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  if (runtime.CurrentScope()->cancelled) return Ready<Status>(std::unexpected(CancelledHere()));
  Command* command = runtime.NewCommand();
  command->set_command_type(COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION);
  auto* request = command->mutable_request_cancel_external_workflow_execution_command_attributes();
  request->set_workflow_id(std::string(workflow_id));
  request->set_run_id(std::string(run_id));
  // The common core tells the other side who asks.
  request->set_reason(runtime.conventions().common_core
                          ? "Cancel requested by workflow with run id " + runtime.info().run_id + " with reason: " + std::string(reason)
                          : std::string(reason));
  auto state = std::make_shared<FutureState<Status>>();
  state->machine = runtime.Issue(CommandKind::kCancelExternal, command, std::string(workflow_id), where,
                [state](const MachineOutcome& outcome) { Set(state, ExternalStatusOf(outcome)); });
  return Future<Status>(std::move(state));
}

NexusOperation start_nexus_operation(std::string_view endpoint, std::string_view service, std::string_view operation, Payload input,
                                     NexusOptions options, Location where) {
  Runtime& runtime = Runtime::Current();
  runtime.NoteLocation(where);
  if (runtime.CurrentScope()->cancelled) {
    NexusOutcome outcome;
    outcome.result = std::unexpected(CancelledHere());
    return {Ready<Result<std::string>>(std::unexpected(CancelledHere())), Ready(std::move(outcome))};
  }
  Command* command = runtime.NewCommand();
  command->set_command_type(COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION);
  auto* schedule = command->mutable_schedule_nexus_operation_command_attributes();
  schedule->set_endpoint(std::string(endpoint));
  schedule->set_service(std::string(service));
  schedule->set_operation(std::string(operation));
  *schedule->mutable_input() = std::move(input);
  if (options.schedule_to_close_ms > 0) SetDuration(options.schedule_to_close_ms, schedule->mutable_schedule_to_close_timeout());
  if (options.schedule_to_start_ms > 0) SetDuration(options.schedule_to_start_ms, schedule->mutable_schedule_to_start_timeout());
  if (options.start_to_close_ms > 0) SetDuration(options.start_to_close_ms, schedule->mutable_start_to_close_timeout());
  for (const auto& [key, value] : options.headers) (*schedule->mutable_nexus_header())[key] = value;
  internal::FillMetadata(options.summary, {}, command);
  auto started = std::make_shared<FutureState<Result<std::string>>>();
  auto result = std::make_shared<FutureState<NexusOutcome>>();
  const auto resolve = [started, result](const MachineOutcome& outcome) {
    NexusOutcome end = NexusOutcomeOf(outcome);
    if (!started->ready) Set(started, end.result ? Result<std::string>() : Result<std::string>(std::unexpected(end.result.error())));
    Set(result, std::move(end));
  };
  Machine* machine = runtime.Issue(CommandKind::kNexusOperation, command,
                                   std::string(endpoint) + "/" + std::string(service) + "/" + std::string(operation), where, resolve,
                                   options.cancel);
  started->machine = result->machine = machine;
  machine->tell_started = [started](const HistoryEvent& event) {
    if (!started->ready) Set(started, Result<std::string>(event.nexus_operation_started_event_attributes().operation_token()));
  };
  return {Future<Result<std::string>>(std::move(started)), Future<NexusOutcome>(std::move(result))};
}

namespace internal {

void FillContinueAsNew(WorkflowResult result, const WorkflowInfo& info,
                       temporal::api::command::v1::ContinueAsNewWorkflowExecutionCommandAttributes* next) {
  const ContinueAsNewOptions& options = result.next;
  next->mutable_workflow_type()->set_name(options.workflow_type.empty() ? info.workflow_type : options.workflow_type);
  next->mutable_task_queue()->set_name(options.task_queue.empty() ? info.task_queue : options.task_queue);
  *next->mutable_input() = std::move(result.payloads);
  if (options.run_timeout_ms > 0) SetDuration(options.run_timeout_ms, next->mutable_workflow_run_timeout());
  if (options.task_timeout_ms > 0) SetDuration(options.task_timeout_ms, next->mutable_workflow_task_timeout());
  if (options.start_delay_ms > 0) SetDuration(options.start_delay_ms, next->mutable_backoff_start_interval());
  if (options.retry) FillRetry(*options.retry, next->mutable_retry_policy());
  if (options.memo.is_object()) FillMemo(options.memo, next->mutable_memo());
  if (options.inherit_build_id) next->set_inherit_build_id(true);
  if (options.auto_upgrade) next->set_initial_versioning_behavior(CONTINUE_AS_NEW_VERSIONING_BEHAVIOR_AUTO_UPGRADE);
}

}  // namespace internal
}  // namespace lockstep::workflow
