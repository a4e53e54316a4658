// Non-determinism as a value (design/architecture.md section 4): what differs between the commands the code issued and the
// events the history recorded, how bad it is (spec 00 section 6), and which line issued the command.
#pragma once

#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::workflow {

// Ordered from harmless to breaking, so that the worst of several is their maximum.
enum class Grade : uint8_t { kSnapshotOnly, kDrift, kPayloadOnly, kCommandChanging };
// `snapshot-only`, `drift`, `payload-only`, `command-changing`.
std::string_view GradeName(Grade grade);

enum class DivergenceKind : uint8_t {
  kFieldChanged,     // same command, another attribute
  kCommandChanged,   // another command in this place
  kMissingCommand,   // the history has it, the code no longer issues it
  kSurplusCommand,   // the code issues it, the history does not have it
  kOrderChanged,     // both have it, in another order
  kOtherTask,        // issued in an earlier or later workflow task than recorded
  kUnknownReference, // an event closes something the code never opened
  kVersionRange,     // a recorded version lies outside the range the code supports
  kWorkflowType,     // the history is of a workflow this build does not know
  kSpinning,         // the code ran on without yielding
  kWorkflowPanic,    // the code threw something unexpected
  kEventChanged,     // an engine event differs from the record
  kSnapshotChanged,  // a snapshot differs from the record
};
// `field-changed`, `missing-command`, ...
std::string_view DivergenceKindName(DivergenceKind kind);

struct SourceLine {
  std::string file;  // relative to the source tree
  uint32_t line = 0;
  std::string function;
  bool known() const { return line != 0; }
  std::string ToString() const;  // `engine-core/interpreter/walk.cpp:120`, or `-`
  friend bool operator==(const SourceLine&, const SourceLine&) = default;
};
SourceLine ToSourceLine(const std::source_location& where);
// The same for a file and function as the compiler spells them.
SourceLine Normalized(SourceLine line);

struct Divergence {
  DivergenceKind kind = DivergenceKind::kFieldChanged;
  Grade grade = Grade::kCommandChanging;
  int64_t event_id = 0;          // the event at fault; for a surplus command the WorkflowTaskCompleted event
  int64_t task_started_id = 0;   // the workflow task in which the code ran
  int64_t run_seq = 0;           // of the engine event or snapshot concerned; 0: it is about a command
  std::string step_id;           // when the command belongs to a step, else empty
  std::string command;           // `ScheduleActivityTask step/a/1`, the command concerned
  std::string target;            // what it calls: the type of an activity or child workflow, the name of a signal; else empty
  std::string field;             // attribute path for kFieldChanged, e.g. `input` or `retryPolicy.maximumAttempts`
  std::string expected;          // from the history
  std::string actual;            // from the code
  SourceLine where;              // line that issued the actual command (or the nearest before a missing one)
  SourceLine recorded_where;     // line that issued it when it was recorded, when the record knows
  std::string Summary() const;   // one line
};

Grade WorstGrade(const std::vector<Divergence>& divergences);

}  // namespace lockstep::workflow
