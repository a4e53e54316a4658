#include "replay/simulate/invariants.h"

#include <algorithm>
#include <set>

#include "engine-core/base/check.h"
#include "engine-core/state/keys.h"
#include "engine-core/state/machines.h"
#include "engine-core/state/projector.h"

namespace lockstep::simulate {
namespace {

constexpr Invariant kInvariants[] = {
    {"run-ends", "02 section 6",
     "the run comes to an end, with exactly one terminal event, and nothing of its life follows it"},
    {"legal-transitions", "02 sections 6 to 8", "every event is a legal step of the run's and the attempt's machine"},
    {"sequence-is-contiguous", "02 sections 4.1 and 10.2",
     "runSeq counts from 1 without gaps; persistedAt never decreases"},
    {"keys-are-unique", "02 section 4.2",
     "no two events of a run share an idempotency key, and each key is that of its fields"},
    {"event-id-is-stable", "02 section 4.3",
     "an event has the id that its producer fixed for its key, however often it is appended"},
    {"one-outcome-per-attempt", "04 section 5.2, rule 4",
     "one StepStarted and at most one outcome for each step and logical attempt"},
    {"durable-before-dispatch", "04 section 5.2, rule 8",
     "a step is handed out only after its StepStarted is in the log"},
    {"no-dispatch-while-paused", "04 section 7.1", "between RunPaused and RunResumed no step starts"},
    {"dependencies-are-satisfied", "04 section 4, W3 and W8",
     "a step starts only after each of its dependencies succeeded or was skipped for a reason that lets dependents "
     "run"},
    {"parallelism-is-bounded", "04 section 4, W3", "never more attempts run than maxParallelism allows"},
    {"starts-in-index-order", "04 section 4, W5", "one append starts steps in the order of their declaration"},
    {"snapshot-is-the-logs", "02 section 9", "the store's snapshot is that of a full replay of the log"},
    {"tasks-succeed", "04 section 12, RT5", "no workflow task fails by its code, whatever is evicted and whenever"},
    {"signals-are-recorded", "03 section 6", "a decision on a signal can be recorded whenever the run is known"},
    {"replay-is-identical", "07 section 6, R1", "the histories replay to the same commands, events and log"},
    {"hashes-equal-at-every-task", "07 section 6",
     "after every workflow task the replay's snapshot is that of the log up to there"},
    {"hashes-equal", "07 section 6", "snapshotHash and outcomeHash of log and replay agree at the end"},
};

bool Terminal(std::string_view type) { return type == "RunCompleted" || type == "RunFailed" || type == "RunCancelled"; }
bool Outcome(std::string_view type) { return type == "StepCompleted" || type == "StepFailed"; }
bool Lifecycle(std::string_view type) { return type.starts_with("Run") || type.starts_with("Step"); }
std::string Place(const state::EventRecord& event) {
  std::string place = event.event_type;
  if (!event.step_id.empty()) place += " " + event.step_id + "/" + std::to_string(event.logical_attempt_id);
  return place + " at runSeq " + std::to_string(event.run_seq);
}

// A step that fails before it is handed out (its gate's time is over, a reference that leads nowhere) starts and fails in one pass: it
// never takes a slot.
bool NeverRan(const std::vector<state::EventRecord>& log, size_t start) {
  for (size_t i = start + 1; i < log.size(); ++i) {
    if (log[i].step_id != log[start].step_id || log[i].logical_attempt_id != log[start].logical_attempt_id) continue;
    return log[i].event_type == "StepFailed" && log[i].emitted_at == log[start].emitted_at;
  }
  return false;
}

}  // namespace

std::span<const Invariant> Invariants() { return kInvariants; }

void Watch::Note(std::string_view invariant, std::string message) {
  LOCKSTEP_CHECK(std::any_of(std::begin(kInvariants), std::end(kInvariants),
                             [&](const Invariant& row) { return row.name == invariant; }),
                 "an invariant of the table: " + std::string(invariant));
  if (!first_) first_ = Violation{std::string(invariant), std::move(message)};
}

void Watch::NoteProposed(const Json& input) {
  const Json* events = input.Find("events");
  if (events == nullptr || !events->is_array()) return;
  for (const Json& event : events->AsArray()) {
    const std::string key = event.GetString("idempotencyKey");
    proposed_[key].insert(event.GetString("eventId"));
    in_task_.push_back(key);
  }
}

void Watch::EndTask(bool lost) {
  for (const std::string& key : in_task_) {
    if (lost) {
      lost_.insert(key);
      orphans_.insert(key);
    } else {
      orphans_.erase(key);
    }
  }
}

void Watch::NoteBatch(const Json& input) {
  const Json* events = input.Find("events");
  if (events == nullptr || !events->is_array()) return;
  int64_t last = -1;
  std::string pass;
  for (const Json& event : events->AsArray()) {
    const std::string type = event.GetString("eventType");
    // An append that waited for the store holds the events of several passes; each pass has its own time.
    const std::string at = event.GetString("emittedAt");
    if (type != "StepStarted" || std::exchange(pass, at) != at) last = -1;
    if (type != "StepStarted") continue;
    const auto& steps = plan_->steps();
    const auto it = std::find_if(steps.begin(), steps.end(),
                                 [&](const plan::Step& step) { return step.step_id == event.GetString("stepId"); });
    const int64_t index = it == steps.end() ? -1 : it->index;
    if (index < last)
      Note("starts-in-index-order", "step " + event.GetString("stepId") + " (" + std::to_string(index) +
                                        ") starts after step number " + std::to_string(last) + " in one append");
    last = index;
  }
}

void Watch::HoldLog(const std::vector<state::EventRecord>& log, const state::Snapshot& stored, bool closed) {
  HoldSequence(log);
  HoldAttempts(log);
  HoldWalk(log);
  HoldMachines(log, stored);
  HoldEnd(log, closed);
}

void Watch::HoldSequence(const std::vector<state::EventRecord>& log) {
  std::set<std::string> keys;
  for (size_t i = 0; i < log.size(); ++i) {
    const state::EventRecord& event = log[i];
    if (event.run_seq != static_cast<int64_t>(i) + 1)
      Note("sequence-is-contiguous", Place(event) + ": expected runSeq " + std::to_string(i + 1));
    if (i > 0 && event.persisted_at < log[i - 1].persisted_at)
      Note("sequence-is-contiguous", Place(event) + ": persisted before the event before it");
    if (!keys.insert(event.idempotency_key).second)
      Note("keys-are-unique", Place(event) + ": its key is that of an earlier event");
    if (event.idempotency_key != state::KeyOf(event))
      Note("keys-are-unique", Place(event) + ": its key is not that of its fields");
    const auto proposed = proposed_.find(event.idempotency_key);
    if (proposed != proposed_.end() && !proposed->second.contains(event.event_id))
      Note("event-id-is-stable", Place(event) + ": its event id is none that was given to it");
  }
}

void Watch::HoldMachines(const std::vector<state::EventRecord>& log, const state::Snapshot& stored) {
  state::Snapshot snapshot;
  bool orphan = false;  // of what the run knows nothing may make illegal what it does later
  for (const state::EventRecord& event : log) {
    orphan = orphan || Orphaned(event.idempotency_key);
    if (state::Project(&snapshot, event).kind == state::ApplyOutcome::Kind::kRejected && !orphan)
      Note("legal-transitions", Place(event) + " is not legal here");
  }
  if (!state::IsTerminal(snapshot.status) && !orphan)
    Note("run-ends", "the log ends with the run " + std::string(state::Name(snapshot.status)));
  if (!(snapshot == stored))
    Note("snapshot-is-the-logs",
         "stored " + state::SnapshotHash(stored) + ", replayed " + state::SnapshotHash(snapshot));
}

void Watch::HoldAttempts(const std::vector<state::EventRecord>& log) {
  std::map<std::pair<std::string, int32_t>, std::pair<int, int>> counts;
  for (const state::EventRecord& event : log) {
    auto& [starts, outcomes] = counts[{event.step_id, event.logical_attempt_id}];
    if (event.event_type == "StepStarted" && ++starts > 1)
      Note("one-outcome-per-attempt", Place(event) + ": the attempt had started");
    if (Outcome(event.event_type) && ++outcomes > 1)
      Note("one-outcome-per-attempt", Place(event) + ": the attempt had an outcome");
    if (Outcome(event.event_type) && starts == 0)
      Note("one-outcome-per-attempt", Place(event) + ": an outcome without a start");
  }
}

// Pauses, dependencies and width, from the log alone.
void Watch::HoldWalk(const std::vector<state::EventRecord>& log) {
  std::map<std::string, std::string, std::less<>> outcome;  // newest: SUCCESS, FAILED, SKIPPED, BLOCKED
  std::map<std::string, bool, std::less<>> running;
  bool paused = false;
  int32_t width = 0;
  for (size_t i = 0; i < log.size(); ++i) {
    const state::EventRecord& event = log[i];
    if (event.event_type == "RunPaused") paused = true;
    if (event.event_type == "RunResumed") paused = false;
    if (event.event_type == "StepStarted" && Orphaned(event.idempotency_key)) {
      outcome.erase(event.step_id);  // it never ran
    } else if (event.event_type == "StepStarted") {
      if (paused) Note("no-dispatch-while-paused", Place(event) + " during a pause");
      const auto& steps = plan_->steps();
      const auto it = std::find_if(steps.begin(), steps.end(),
                                   [&](const plan::Step& step) { return step.step_id == event.step_id; });
      if (it == steps.end()) {
        Note("dependencies-are-satisfied", Place(event) + ": no step of the plan");
        continue;
      }
      for (const uint32_t on : it->depends_on) {
        const auto found = outcome.find(steps[on].step_id);
        if (found == outcome.end() || (found->second != "SUCCESS" && found->second != "SKIPPED")) {
          Note("dependencies-are-satisfied", Place(event) + " before " + steps[on].step_id + " was done");
        }
      }
      // When a step that a lost task started was really handed out, the log does not tell: it may have been much later.
      if (NeverRan(log, i) || FromLostTask(event.idempotency_key)) {
        outcome.erase(event.step_id);
        continue;
      }
      if (++width > plan_->facts().max_parallelism) {
        Note("parallelism-is-bounded", Place(event) + ": " + std::to_string(width) + " run, expected at most " +
                                           std::to_string(plan_->facts().max_parallelism));
      }
      running[event.step_id] = true;
      outcome.erase(event.step_id);
    } else if (Outcome(event.event_type) || event.event_type == "StepSkipped") {
      if (running[event.step_id]) --width;
      running[event.step_id] = false;
      outcome[event.step_id] = event.event_type == "StepCompleted"                            ? "SUCCESS"
                               : event.event_type == "StepFailed"                             ? "FAILED"
                               : event.payload.GetString("reasonCode") == "DEPENDENCY_FAILED" ? "BLOCKED"
                                                                                              : "SKIPPED";
    }
  }
}

void Watch::HoldEnd(const std::vector<state::EventRecord>& log, bool closed) {
  int terminal = 0;
  for (const state::EventRecord& event : log) {
    if (terminal > 0 && Lifecycle(event.event_type)) Note("run-ends", Place(event) + " after the end");
    if (Terminal(event.event_type)) ++terminal;
  }
  if (closed && terminal != 1) Note("run-ends", "expected one terminal event, found " + std::to_string(terminal));
  if (!closed) Note("run-ends", "the run has not ended");
}

}  // namespace lockstep::simulate
