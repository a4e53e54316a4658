// Whole runs of plans under virtual time and injected trouble (`lockstep simulate`): the embedded engine, the
// interpreter and the engine's own activities over a memory store, one thread, one seed a run. After a run its
// histories are replayed through the replayer's session, in full, with the snapshot compared after every workflow task,
// and the invariants of spec 02 and 04 are held against log and histories (`Invariants`).
//
// A run is a pure function of plan, seed, faults and the decisions left in: the same on every machine.
// Threads: `Simulate` may be called from many at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/state/event.h"
#include "engine-core/state/snapshot.h"
#include "replay/simulate/fates.h"
#include "replay/simulate/random_plan.h"

namespace temporal::api::history::v1 {
class History;
}

namespace lockstep::workflow {
class WorkflowRegistry;
}
namespace lockstep::plan {
struct ParsedPlan;
}

namespace lockstep::simulate {

// Alters the engine for one test: where a known defect is planted.
struct Hooks {
  // In place of an append: `next` is the store's own.
  std::function<Result<Json>(const Json& input, const std::function<Result<Json>(const Json&)>& next)> append;
  // Result of `fetchPlan` or `validatePlan`.
  std::function<void(std::string_view type, Json* result)> control;
  // What a decision on a signal ends with.
  std::function<Status()> decision;
  // The workflows the engine and the replayer know.
  std::function<void(workflow::WorkflowRegistry*)> registry;
  // The log and the store's snapshot as the invariants see them, and an event as it is projected beside the replay.
  std::function<void(std::vector<state::EventRecord>*)> log;
  std::function<void(state::Snapshot*)> snapshot;
  std::function<void(state::EventRecord*)> projected;
  // A history before it is replayed.
  std::function<void(temporal::api::history::v1::History*)> history;
  // Nobody helps a run to its end that waits for an operator.
  bool no_help = false;
};

struct SimulationOptions {
  std::string plan;                                // empty: a random one
  std::shared_ptr<const plan::ParsedPlan> parsed;  // of `plan`, to spare many runs the parsing; may be empty
  PlanShape shape;
  FaultSet faults = FaultSet::All();
  std::optional<std::set<std::string>> only;  // decisions to take; nothing: all
  std::set<std::string> without_steps;
  int64_t max_tasks = 3'000;
  const Hooks* hooks = nullptr;
};

struct Violation {
  std::string invariant;
  std::string message;
};

struct SimulationResult {
  uint64_t seed = 0;
  std::optional<Violation> violation;
  std::vector<std::string> taken;  // decisions that did not go well
  std::string status;              // of the run, by its log
  std::string snapshot_hash;
  std::string outcome_hash;
  int64_t steps = 0;
  int64_t tasks = 0;
  int64_t events = 0;
  int64_t executions = 0;
  // Events of the log that no history accounts for: a worker was lost right after it had appended them, and the next
  // one, which knew of a signal that had come meanwhile, decided otherwise.
  int64_t orphans = 0;
};

struct Invariant {
  std::string_view name;
  std::string_view spec;  // where the rule stands
  std::string_view meaning;
};
std::span<const Invariant> Invariants();

// PLAN_* and others of admission when the plan is not valid.
Result<SimulationResult> Simulate(uint64_t seed, const SimulationOptions& options);

// --- many seeds
// ----------------------------------------------------------------------------------------------------------

struct Range {
  uint64_t first = 0;
  uint64_t last = 0;
};
// `A..B` (both included) or one number. Error: USAGE.
Result<Range> ParseRange(std::string_view text);

struct Failure {
  std::string plan_name;  // empty: random
  SimulationResult result;
  // What was found by leaving things out; empty when shrinking was not asked for.
  std::vector<std::string> script;
  std::set<std::string> without_steps;
  std::string command;  // reproduces it
};

struct BatchOptions {
  std::vector<std::pair<std::string, std::string>> plans;  // name, bytes; empty: random ones
  Range seeds;
  SimulationOptions each;
  unsigned jobs = 1;
  bool shrink = true;
  size_t max_failures = 1;  // then it stops
  const std::atomic<bool>* stop = nullptr;
  std::function<void(uint64_t done, uint64_t total)> progress;
};

struct BatchResult {
  uint64_t runs = 0;
  uint64_t tasks = 0;
  uint64_t events = 0;
  uint64_t executions = 0;
  uint64_t decisions = 0;  // that did not go well
  uint64_t orphans = 0;
  std::map<std::string, uint64_t> statuses;
  std::vector<Failure> failures;  // by seed
  bool stopped = false;
};

Result<BatchResult> SimulateMany(const BatchOptions& options);
Failure Shrink(Failure failure, const SimulationOptions& options, uint64_t seed);

Json ToJson(const BatchResult& result);
std::string RenderText(const BatchResult& result);

}  // namespace lockstep::simulate
