// One replay of the first workflow tasks of a run, in a process of its own: code that crashes, spins or corrupts memory
// ends the probe and not the search. What comes back is whether the prefix is in step, running digests, the divergences
// and the commands of its last task.
//
// Running digests: expected(k) covers every command event of the first k workflow tasks; actual(k) is the same chain in
// which each command that differs stands with its own content, so that "in step up to k" is monotone in k (spec 07,
// section 6). Threads: fork() must see one thread only; a probe is made before any other thread is started.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/workflow/divergence.h"
#include "replay/session/input.h"

namespace lockstep::workflow {
class WorkflowRegistry;
}

namespace lockstep::replay {

// Under what a prefix is replayed: the same results each time is what determinism means.
enum class Condition : uint8_t {
  kAsItIs,
  kAgain,        // once more, later
  kEnvironment,  // another time zone, locale and host variables
  kMemory,       // fresh memory filled with a pattern, other addresses
};
std::string_view ConditionName(Condition condition);

// Workflow tasks of all executions, in order.
struct TaskPlan {
  struct Task {
    int64_t execution = 1;
    int64_t started_id = 0;
    int64_t end_id = 0;           // last event of the task
    std::string expected_digest;  // running, after this task
  };
  std::vector<Task> tasks;
};
TaskPlan PlanTasks(const ReplayInput& input);

struct ProbeOptions {
  const workflow::WorkflowRegistry* registry = nullptr;
  size_t tasks = 0;         // how many from the beginning
  bool to_the_end = false;  // also what is compared once after the last task
  int64_t from_seq = 0;     // differences of engine events below this runSeq do not count
  Condition condition = Condition::kAsItIs;
  int64_t timeout_ms = 20'000;
  int64_t deadlock_ms = 2'000;
};

// A line that issues commands: the last one of each kind that it issued in this prefix.
struct Issuer {
  std::string command;  // `ActivityTaskScheduled step/a/1`
  std::string type;     // of the activity, child, marker or signal
  workflow::SourceLine where;
};

// What came for the code with a workflow task.
struct TaskMessage {
  std::string kind;       // `signal`, `cancel`, or the event's type
  std::string name;       // of a signal
  int64_t opened_by = 0;  // event of the command that it answers
};

struct ProbeResult {
  size_t tasks = 0;
  Condition condition = Condition::kAsItIs;
  bool in_step = false;
  std::string expected_digest;
  std::string actual_digest;
  std::vector<workflow::Divergence> divergences;  // that count
  int signal = 0;                                 // that ended the process
  bool spun = false;                              // never yielded, or over the time limit
  workflow::SourceLine where;                     // last known line, when it crashed or spun
  // {"commands": [{"command", "attributes", "source"}], "recorded": [...], "awaits": [...], "engineEvents": {runSeq:
  // event},
  //  "runSeq", "snapshotHash", "execution"}: of the last task that ran; "began": awaits before it.
  Json detail;
  std::vector<Issuer> issuers;
  std::vector<TaskMessage> messages;  // of the last task
};

// Error: PROBE_FAILED (the process could not be made or said nothing sensible).
Result<ProbeResult> RunProbe(const ReplayInput& input, const TaskPlan& plan, const ProbeOptions& options);

Result<workflow::Divergence> DivergenceFromJson(const Json& json);

}  // namespace lockstep::replay
