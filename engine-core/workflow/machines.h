// The command machines: for each kind of command a table that says how it moves from the code's request through the history's
// events to its end. Everything the runtime does with a command is one look-up here; a further kind of the Temporal API is
// a further table and a few rows in the event routing below, not code.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine-core/workflow/slices.h"

namespace lockstep::workflow {

// What a command is about. Terminal commands share one machine each with nothing after them.
enum class CommandKind : uint8_t {
  kActivity,
  kLocalActivity,
  kTimer,
  kMarker,
  kSearchAttributes,
  kMemo,
  kChildWorkflow,
  kSignalExternal,
  kCancelExternal,
  kUpdate,
  kNexusOperation,
  kCompleteWorkflow,
  kFailWorkflow,
  kCancelWorkflow,
  kContinueAsNew,
  kCount_,
};

enum class MachineState : uint8_t {
  kCreated,         // made by the code, nothing issued yet
  kIssued,          // command issued in the open task, not yet seen in the history
  kRecorded,        // the history has the event of the command
  kStarted,         // work began (activity picked up, child started, Nexus operation under way)
  kCancelIssued,    // the code asked to cancel; that command is issued
  kCancelRecorded,  // the history has the cancellation request
  kBackingOff,      // a local activity waits on a timer for its next attempt
  kAnsweredEarly,   // an update ended in the task that accepted it: both commands are issued
  kAnswerIssued,    // the command with an update's outcome is issued, its acceptance is in the history
  kClosed,
};

enum class MachineInput : uint8_t {
  kIssue,           // the code issues the command
  kCancel,          // the code cancels (its scope was cancelled)
  kRecorded,        // command event
  kStarted,
  kSucceeded,
  kFailed,
  kTimedOut,
  kCancelled,       // the history says it ended cancelled
  kTerminated,
  kCancelRecorded,  // command event of the cancellation
  kCancelAcknowledged,  // the other side was told to cancel
  kCancelRefused,       // it could not be told
  kOutcome,         // local activity: final outcome
  kBackOff,         // local activity: failed, try again after a timer
  kRetry,           // local activity: that timer fired
  kReject,          // update: the validator said no
  kAnswer,          // update: the handler ended
  kAnswerRecorded,  // command event of an update's outcome
};

// What a step does besides changing state; a set of flags.
enum MachineEffect : uint16_t {
  kNoEffect = 0,
  kEmitCommand = 1 << 0,        // put the command in the open task
  kEmitCancel = 1 << 1,         // put its cancellation command in the open task
  kWithdraw = 1 << 2,           // take the command back: the server never heard of it
  kBind = 1 << 3,               // remember the event id: later events refer to it
  kResolve = 1 << 4,            // hand the outcome to the code
  kResolveCancelled = 1 << 5,   // tell the code it is cancelled
  kRequestLocal = 1 << 6,       // ask the driver to run a local activity
  kDropLocal = 1 << 7,          // tell the driver to stop it
  kEmitMarker = 1 << 8,         // put the marker with the outcome in the open task
  kStartBackOff = 1 << 9,       // start the back-off timer
  kWithdrawCancel = 1 << 10,    // take the cancellation back: the work ended in the same task, the server would refuse it
  kTellStarted = 1 << 11,       // tell the code that the work began
  kEmitAnswer = 1 << 12,        // put the update's outcome in the open task
  kEmitRejection = 1 << 13,     // answer the update's sender; no trace in the history
};

// How cancelling treats work that has already begun: ask and go on at once; ask and wait for its end; ask and wait until the
// other side was told; do not ask at all. kAny is a row's, not a command's.
enum class CancelMode : uint8_t { kAny, kTryCancel, kWaitForCompletion, kWaitForRequest, kAbandon };

struct Transition {
  MachineState from;
  MachineInput on;
  MachineState to;
  uint16_t effects = kNoEffect;
  CancelMode only = CancelMode::kAny;  // the row applies only to commands with this mode
};

struct CommandKindSpec {
  CommandKind kind;
  std::string_view name;             // `activity`, for messages and diagrams
  int command_type;                  // temporal.api.enums.v1.CommandType
  int recorded_event_type;           // event of the command
  // The second command that the machine may issue: the cancellation, or an update's outcome. 0: there is none.
  int second_command_type;
  int second_recorded_event_type;
  MachineInput second_recorded;      // what its event is to the machine
  std::span<const Transition> table;
};

const CommandKindSpec& SpecOf(CommandKind kind);
std::span<const CommandKindSpec> AllCommandKinds();
std::string_view MachineStateName(MachineState state);
std::string_view MachineInputName(MachineInput input);
std::string_view CancelModeName(CancelMode mode);
// `emit command, resolve`: the flags of a row.
std::string EffectNames(uint16_t effects);

// The row for (state, input, mode), or nullptr: the combination is illegal.
const Transition* FindTransition(const CommandKindSpec& spec, MachineState state, MachineInput input, CancelMode mode);

// Where an event that is no command event goes: to the machine whose command event has the id that `reference` reads.
struct EventRoute {
  int event_type;
  CommandKind kind;
  MachineInput input;
  int64_t (*reference)(const HistoryEvent& event);
};
const EventRoute* FindRoute(int event_type);
std::span<const EventRoute> AllEventRoutes();

}  // namespace lockstep::workflow
