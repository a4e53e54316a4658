#include "engine-core/workflow/machines.h"

#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <array>

#include "engine-core/base/check.h"

namespace lockstep::workflow {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary
using S = MachineState;
using I = MachineInput;
using M = CancelMode;

constexpr uint16_t kEndWith = kResolve;

// Spec 04 section 5; cancellation semantics as in Temporal's documentation of activity cancellation types.
constexpr Transition kActivityTable[] = {
    {S::kCreated, I::kIssue, S::kIssued, kEmitCommand},
    {S::kIssued, I::kRecorded, S::kRecorded, kBind},
    {S::kIssued, I::kCancel, S::kClosed, kWithdraw | kResolveCancelled},
    {S::kRecorded, I::kStarted, S::kStarted},
    {S::kRecorded, I::kSucceeded, S::kClosed, kEndWith},
    {S::kRecorded, I::kFailed, S::kClosed, kEndWith},
    {S::kRecorded, I::kTimedOut, S::kClosed, kEndWith},
    {S::kRecorded, I::kCancelled, S::kClosed, kEndWith},
    {S::kStarted, I::kSucceeded, S::kClosed, kEndWith},
    {S::kStarted, I::kFailed, S::kClosed, kEndWith},
    {S::kStarted, I::kTimedOut, S::kClosed, kEndWith},
    {S::kStarted, I::kCancelled, S::kClosed, kEndWith},
    {S::kRecorded, I::kCancel, S::kCancelIssued, kEmitCancel | kResolveCancelled, M::kTryCancel},
    {S::kStarted, I::kCancel, S::kCancelIssued, kEmitCancel | kResolveCancelled, M::kTryCancel},
    {S::kRecorded, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForCompletion},
    {S::kStarted, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForCompletion},
    // Abandoned work goes on; the code has its answer and later events find nobody waiting.
    {S::kRecorded, I::kCancel, S::kRecorded, kResolveCancelled, M::kAbandon},
    {S::kStarted, I::kCancel, S::kStarted, kResolveCancelled, M::kAbandon},
    {S::kCancelIssued, I::kCancelRecorded, S::kCancelRecorded},
    // The request to cancel and the activity's end may reach the code in one task.
    {S::kCancelIssued, I::kStarted, S::kCancelIssued},
    {S::kCancelIssued, I::kSucceeded, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelIssued, I::kFailed, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelIssued, I::kTimedOut, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelIssued, I::kCancelled, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelRecorded, I::kStarted, S::kCancelRecorded},
    {S::kCancelRecorded, I::kSucceeded, S::kClosed, kEndWith},
    {S::kCancelRecorded, I::kFailed, S::kClosed, kEndWith},
    {S::kCancelRecorded, I::kTimedOut, S::kClosed, kEndWith},
    {S::kCancelRecorded, I::kCancelled, S::kClosed, kEndWith},
};

// Spec 00 section 5: one marker, written by the task in which the outcome arrived.
constexpr Transition kLocalActivityTable[] = {
    {S::kCreated, I::kIssue, S::kIssued, kRequestLocal},
    {S::kIssued, I::kOutcome, S::kClosed, kEmitMarker | kResolve},
    {S::kIssued, I::kBackOff, S::kBackingOff, kEmitMarker | kStartBackOff},
    {S::kBackingOff, I::kRetry, S::kIssued, kRequestLocal},
    {S::kIssued, I::kCancel, S::kClosed, kDropLocal | kResolveCancelled},
    {S::kBackingOff, I::kCancel, S::kClosed, kResolveCancelled},
};

constexpr Transition kTimerTable[] = {
    {S::kCreated, I::kIssue, S::kIssued, kEmitCommand},
    {S::kIssued, I::kRecorded, S::kRecorded, kBind},
    {S::kIssued, I::kCancel, S::kClosed, kWithdraw | kResolveCancelled},
    {S::kRecorded, I::kSucceeded, S::kClosed, kEndWith},
    {S::kRecorded, I::kCancel, S::kCancelIssued, kEmitCancel | kResolveCancelled},
    {S::kCancelIssued, I::kCancelRecorded, S::kClosed},
    {S::kCancelIssued, I::kSucceeded, S::kClosed, kWithdrawCancel},
};

// Commands that the history merely confirms.
constexpr Transition kConfirmedTable[] = {
    {S::kCreated, I::kIssue, S::kIssued, kEmitCommand},
    {S::kIssued, I::kRecorded, S::kClosed},
};

// A child is cancelled by a request to another execution, which is a command, and a machine, of its own: what became of the
// request comes back as an input.
constexpr Transition kChildTable[] = {
    {S::kCreated, I::kIssue, S::kIssued, kEmitCommand},
    {S::kIssued, I::kRecorded, S::kRecorded, kBind},
    {S::kIssued, I::kCancel, S::kClosed, kWithdraw | kResolveCancelled},
    {S::kRecorded, I::kStarted, S::kStarted, kTellStarted},
    {S::kRecorded, I::kFailed, S::kClosed, kEndWith},
    {S::kStarted, I::kSucceeded, S::kClosed, kEndWith},
    {S::kStarted, I::kFailed, S::kClosed, kEndWith},
    {S::kStarted, I::kTimedOut, S::kClosed, kEndWith},
    {S::kStarted, I::kCancelled, S::kClosed, kEndWith},
    {S::kStarted, I::kTerminated, S::kClosed, kEndWith},
    {S::kRecorded, I::kCancel, S::kCancelIssued, kEmitCancel | kResolveCancelled, M::kTryCancel},
    {S::kStarted, I::kCancel, S::kCancelIssued, kEmitCancel | kResolveCancelled, M::kTryCancel},
    {S::kRecorded, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForCompletion},
    {S::kStarted, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForCompletion},
    {S::kRecorded, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForRequest},
    {S::kStarted, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForRequest},
    {S::kRecorded, I::kCancel, S::kRecorded, kResolveCancelled, M::kAbandon},
    {S::kStarted, I::kCancel, S::kStarted, kResolveCancelled, M::kAbandon},
    {S::kCancelIssued, I::kStarted, S::kCancelIssued, kTellStarted},
    {S::kCancelIssued, I::kCancelAcknowledged, S::kCancelRecorded, kResolveCancelled, M::kWaitForRequest},
    {S::kCancelIssued, I::kCancelAcknowledged, S::kCancelRecorded, kNoEffect, M::kTryCancel},
    {S::kCancelIssued, I::kCancelAcknowledged, S::kCancelRecorded, kNoEffect, M::kWaitForCompletion},
    // The child may have ended before it could be told: its end is on the way.
    {S::kCancelIssued, I::kCancelRefused, S::kCancelRecorded},
    {S::kCancelIssued, I::kSucceeded, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelIssued, I::kFailed, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelIssued, I::kTimedOut, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelIssued, I::kCancelled, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelIssued, I::kTerminated, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelRecorded, I::kStarted, S::kCancelRecorded, kTellStarted},
    {S::kCancelRecorded, I::kSucceeded, S::kClosed, kEndWith},
    {S::kCancelRecorded, I::kFailed, S::kClosed, kEndWith},
    {S::kCancelRecorded, I::kTimedOut, S::kClosed, kEndWith},
    {S::kCancelRecorded, I::kCancelled, S::kClosed, kEndWith},
    {S::kCancelRecorded, I::kTerminated, S::kClosed, kEndWith},
};

constexpr Transition kExternalTable[] = {
    {S::kCreated, I::kIssue, S::kIssued, kEmitCommand},
    {S::kIssued, I::kRecorded, S::kRecorded, kBind},
    {S::kIssued, I::kCancel, S::kClosed, kWithdraw | kResolveCancelled},
    {S::kRecorded, I::kSucceeded, S::kClosed, kEndWith},
    {S::kRecorded, I::kFailed, S::kClosed, kEndWith},
};

// An update leaves a trace from its acceptance on; its outcome may follow in the same task or any later one.
constexpr Transition kUpdateTable[] = {
    {S::kCreated, I::kReject, S::kClosed, kEmitRejection},
    {S::kCreated, I::kIssue, S::kIssued, kEmitCommand},
    {S::kIssued, I::kRecorded, S::kRecorded, kBind},
    {S::kIssued, I::kAnswer, S::kAnsweredEarly, kEmitAnswer},
    {S::kRecorded, I::kAnswer, S::kAnswerIssued, kEmitAnswer},
    {S::kAnsweredEarly, I::kRecorded, S::kAnswerIssued, kBind},
    {S::kAnswerIssued, I::kAnswerRecorded, S::kClosed},
};

// The answer to a cancellation request says that the handler was told, not that the operation has ended.
constexpr Transition kNexusTable[] = {
    {S::kCreated, I::kIssue, S::kIssued, kEmitCommand},
    {S::kIssued, I::kRecorded, S::kRecorded, kBind},
    {S::kIssued, I::kCancel, S::kClosed, kWithdraw | kResolveCancelled},
    {S::kRecorded, I::kStarted, S::kStarted, kTellStarted},
    {S::kRecorded, I::kSucceeded, S::kClosed, kEndWith},
    {S::kRecorded, I::kFailed, S::kClosed, kEndWith},
    {S::kRecorded, I::kTimedOut, S::kClosed, kEndWith},
    {S::kRecorded, I::kCancelled, S::kClosed, kEndWith},
    {S::kStarted, I::kSucceeded, S::kClosed, kEndWith},
    {S::kStarted, I::kFailed, S::kClosed, kEndWith},
    {S::kStarted, I::kTimedOut, S::kClosed, kEndWith},
    {S::kStarted, I::kCancelled, S::kClosed, kEndWith},
    {S::kRecorded, I::kCancel, S::kCancelIssued, kEmitCancel | kResolveCancelled, M::kTryCancel},
    {S::kStarted, I::kCancel, S::kCancelIssued, kEmitCancel | kResolveCancelled, M::kTryCancel},
    {S::kRecorded, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForCompletion},
    {S::kStarted, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForCompletion},
    {S::kRecorded, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForRequest},
    {S::kStarted, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForRequest},
    {S::kRecorded, I::kCancel, S::kRecorded, kResolveCancelled, M::kAbandon},
    {S::kStarted, I::kCancel, S::kStarted, kResolveCancelled, M::kAbandon},
    {S::kCancelIssued, I::kCancelRecorded, S::kCancelRecorded},
    {S::kCancelIssued, I::kStarted, S::kCancelIssued, kTellStarted},
    {S::kCancelIssued, I::kSucceeded, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelIssued, I::kFailed, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelIssued, I::kTimedOut, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelIssued, I::kCancelled, S::kClosed, kWithdrawCancel | kEndWith},
    {S::kCancelRecorded, I::kStarted, S::kCancelRecorded, kTellStarted},
    {S::kCancelRecorded, I::kCancelAcknowledged, S::kCancelRecorded, kResolveCancelled, M::kWaitForRequest},
    {S::kCancelRecorded, I::kCancelAcknowledged, S::kCancelRecorded, kNoEffect, M::kTryCancel},
    {S::kCancelRecorded, I::kCancelAcknowledged, S::kCancelRecorded, kNoEffect, M::kWaitForCompletion},
    {S::kCancelRecorded, I::kCancelRefused, S::kCancelRecorded, kEndWith, M::kWaitForRequest},
    {S::kCancelRecorded, I::kCancelRefused, S::kCancelRecorded, kNoEffect, M::kTryCancel},
    {S::kCancelRecorded, I::kCancelRefused, S::kCancelRecorded, kNoEffect, M::kWaitForCompletion},
    {S::kCancelRecorded, I::kSucceeded, S::kClosed, kEndWith},
    {S::kCancelRecorded, I::kFailed, S::kClosed, kEndWith},
    {S::kCancelRecorded, I::kTimedOut, S::kClosed, kEndWith},
    {S::kCancelRecorded, I::kCancelled, S::kClosed, kEndWith},
    // What became of the request may be known only after the operation's end.
    {S::kClosed, I::kCancelAcknowledged, S::kClosed},
    {S::kClosed, I::kCancelRefused, S::kClosed},
};

constexpr CommandKindSpec kSpecs[] = {
    {CommandKind::kActivity, "activity", COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
     COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK, EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, I::kCancelRecorded, kActivityTable},
    {CommandKind::kLocalActivity, "local activity", COMMAND_TYPE_RECORD_MARKER, EVENT_TYPE_MARKER_RECORDED,
     0, 0, I::kRecorded, kLocalActivityTable},
    {CommandKind::kTimer, "timer", COMMAND_TYPE_START_TIMER, EVENT_TYPE_TIMER_STARTED,
     COMMAND_TYPE_CANCEL_TIMER, EVENT_TYPE_TIMER_CANCELED, I::kCancelRecorded, kTimerTable},
    {CommandKind::kMarker, "marker", COMMAND_TYPE_RECORD_MARKER, EVENT_TYPE_MARKER_RECORDED,
     0, 0, I::kRecorded, kConfirmedTable},
    {CommandKind::kSearchAttributes, "search attributes", COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
     EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, 0, 0, I::kRecorded, kConfirmedTable},
    {CommandKind::kMemo, "memo", COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES, EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
     0, 0, I::kRecorded, kConfirmedTable},
    {CommandKind::kChildWorkflow, "child workflow", COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
     EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED, 0, 0, I::kRecorded, kChildTable},
    {CommandKind::kSignalExternal, "signal to another workflow", COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION,
     EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, 0, 0, I::kRecorded, kExternalTable},
    {CommandKind::kCancelExternal, "cancellation of another workflow", COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
     EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, 0, 0, I::kRecorded, kExternalTable},
    {CommandKind::kUpdate, "update", COMMAND_TYPE_PROTOCOL_MESSAGE, EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
     COMMAND_TYPE_PROTOCOL_MESSAGE, EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED, I::kAnswerRecorded, kUpdateTable},
    {CommandKind::kNexusOperation, "Nexus operation", COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION,
     EVENT_TYPE_NEXUS_OPERATION_SCHEDULED, COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION, EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED, I::kCancelRecorded, kNexusTable},
    {CommandKind::kCompleteWorkflow, "completion", COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
     EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, 0, 0, I::kRecorded, kConfirmedTable},
    {CommandKind::kFailWorkflow, "failure", COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION, EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
     0, 0, I::kRecorded, kConfirmedTable},
    {CommandKind::kCancelWorkflow, "cancellation", COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION,
     EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, 0, 0, I::kRecorded, kConfirmedTable},
    {CommandKind::kContinueAsNew, "continue-as-new", COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
     EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, 0, 0, I::kRecorded, kConfirmedTable},
};
static_assert(std::size(kSpecs) == static_cast<size_t>(CommandKind::kCount_));

// Reads the id of the command event that `event` is about.
#define REFERENCE(attributes, field) \
  [](const HistoryEvent& event) -> int64_t { return event.attributes##_event_attributes().field(); }

constexpr EventRoute kRoutes[] = {
    {EVENT_TYPE_ACTIVITY_TASK_STARTED, CommandKind::kActivity, I::kStarted,
     REFERENCE(activity_task_started, scheduled_event_id)},
    {EVENT_TYPE_ACTIVITY_TASK_COMPLETED, CommandKind::kActivity, I::kSucceeded,
     REFERENCE(activity_task_completed, scheduled_event_id)},
    {EVENT_TYPE_ACTIVITY_TASK_FAILED, CommandKind::kActivity, I::kFailed,
     REFERENCE(activity_task_failed, scheduled_event_id)},
    {EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, CommandKind::kActivity, I::kTimedOut,
     REFERENCE(activity_task_timed_out, scheduled_event_id)},
    {EVENT_TYPE_ACTIVITY_TASK_CANCELED, CommandKind::kActivity, I::kCancelled,
     REFERENCE(activity_task_canceled, scheduled_event_id)},
    {EVENT_TYPE_TIMER_FIRED, CommandKind::kTimer, I::kSucceeded, REFERENCE(timer_fired, started_event_id)},
    {EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED, CommandKind::kChildWorkflow, I::kFailed,
     REFERENCE(start_child_workflow_execution_failed, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, CommandKind::kChildWorkflow, I::kStarted,
     REFERENCE(child_workflow_execution_started, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, CommandKind::kChildWorkflow, I::kSucceeded,
     REFERENCE(child_workflow_execution_completed, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, CommandKind::kChildWorkflow, I::kFailed,
     REFERENCE(child_workflow_execution_failed, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, CommandKind::kChildWorkflow, I::kCancelled,
     REFERENCE(child_workflow_execution_canceled, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT, CommandKind::kChildWorkflow, I::kTimedOut,
     REFERENCE(child_workflow_execution_timed_out, initiated_event_id)},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED, CommandKind::kChildWorkflow, I::kTerminated,
     REFERENCE(child_workflow_execution_terminated, initiated_event_id)},
    {EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, CommandKind::kSignalExternal, I::kFailed,
     REFERENCE(signal_external_workflow_execution_failed, initiated_event_id)},
    {EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED, CommandKind::kSignalExternal, I::kSucceeded,
     REFERENCE(external_workflow_execution_signaled, initiated_event_id)},
    {EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, CommandKind::kCancelExternal, I::kFailed,
     REFERENCE(request_cancel_external_workflow_execution_failed, initiated_event_id)},
    {EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED, CommandKind::kCancelExternal, I::kSucceeded,
     REFERENCE(external_workflow_execution_cancel_requested, initiated_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_STARTED, CommandKind::kNexusOperation, I::kStarted,
     REFERENCE(nexus_operation_started, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_COMPLETED, CommandKind::kNexusOperation, I::kSucceeded,
     REFERENCE(nexus_operation_completed, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_FAILED, CommandKind::kNexusOperation, I::kFailed,
     REFERENCE(nexus_operation_failed, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_CANCELED, CommandKind::kNexusOperation, I::kCancelled,
     REFERENCE(nexus_operation_canceled, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT, CommandKind::kNexusOperation, I::kTimedOut,
     REFERENCE(nexus_operation_timed_out, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED, CommandKind::kNexusOperation, I::kCancelAcknowledged,
     REFERENCE(nexus_operation_cancel_request_completed, scheduled_event_id)},
    {EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUEST_FAILED, CommandKind::kNexusOperation, I::kCancelRefused,
     REFERENCE(nexus_operation_cancel_request_failed, scheduled_event_id)},
};
#undef REFERENCE

constexpr int kMaxEventType = 64;

// Event type -> route, so that finding one costs an array access.
constexpr auto kRouteIndex = [] {
  std::array<int8_t, kMaxEventType> index{};
  index.fill(-1);
  for (size_t i = 0; i < std::size(kRoutes); ++i) index[static_cast<size_t>(kRoutes[i].event_type)] = static_cast<int8_t>(i);
  return index;
}();

}  // namespace

const CommandKindSpec& SpecOf(CommandKind kind) {
  const CommandKindSpec& spec = kSpecs[static_cast<size_t>(kind)];
  LOCKSTEP_CHECK(spec.kind == kind, "command kinds out of order");
  return spec;
}

std::span<const CommandKindSpec> AllCommandKinds() { return kSpecs; }

std::string_view MachineStateName(MachineState state) {
  constexpr std::string_view kNames[] = {"created",       "issued",          "recorded",    "started",        "cancel issued",
                                         "cancel recorded", "backing off", "answered early", "answer issued", "closed"};
  return kNames[static_cast<size_t>(state)];
}

std::string_view MachineInputName(MachineInput input) {
  constexpr std::string_view kNames[] = {"issue",      "cancel",          "recorded",            "started",        "succeeded",
                                         "failed",     "timed out",       "cancelled",           "terminated",     "cancel recorded",
                                         "cancel acknowledged", "cancel refused", "outcome",     "back off",       "retry",
                                         "reject",     "answer",          "answer recorded"};
  return kNames[static_cast<size_t>(input)];
}

std::string_view CancelModeName(CancelMode mode) {
  constexpr std::string_view kNames[] = {"any", "try cancel", "wait for completion", "wait for request", "abandon"};
  return kNames[static_cast<size_t>(mode)];
}

std::string EffectNames(uint16_t effects) {
  constexpr std::string_view kNames[] = {"emit command", "emit cancel", "withdraw",  "bind",          "resolve",
                                         "resolve as cancelled", "request local activity", "drop local activity", "emit marker",
                                         "start back-off", "withdraw cancel", "tell started", "emit answer", "emit rejection"};
  std::string text;
  for (size_t bit = 0; bit < std::size(kNames); ++bit) {
    if ((effects & (1u << bit)) == 0) continue;
    if (!text.empty()) text += ", ";
    text += kNames[bit];
  }
  return text;
}

const Transition* FindTransition(const CommandKindSpec& spec, MachineState state, MachineInput input, CancelMode mode) {
  for (const Transition& row : spec.table) {
    if (row.from == state && row.on == input && (row.only == CancelMode::kAny || row.only == mode)) return &row;
  }
  return nullptr;
}

const EventRoute* FindRoute(int event_type) {
  if (event_type < 0 || event_type >= kMaxEventType) return nullptr;
  const int8_t index = kRouteIndex[static_cast<size_t>(event_type)];
  return index < 0 ? nullptr : &kRoutes[index];
}

std::span<const EventRoute> AllEventRoutes() { return kRoutes; }

}  // namespace lockstep::workflow
