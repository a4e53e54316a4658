// Finds where a replay first leaves its history and why (`lockstep trace`, spec 07 section 7): a binary search over
// replays of prefixes, each in a process of its own, then the same prefix under other conditions, then the ranking of
// causes. Must be called while the process has one thread (probes fork).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "replay/compare/json_diff.h"
#include "replay/history/growth.h"
#include "replay/trace/causes.h"
#include "replay/trace/gate_patch.h"
#include "replay/trace/probe.h"

namespace lockstep::replay {

enum class TraceVerdict : uint8_t {
  kIdentical,
  kDiverged,
  kNoCode,  // this build does not have the workflow: what the events alone say
};
std::string_view TraceVerdictName(TraceVerdict verdict);  // `IDENTICAL`, `DIVERGED`, `NO_CODE`

struct TraceOptions {
  const workflow::WorkflowRegistry* registry = nullptr;
  int64_t divergence_seq = 0;  // explain the first difference at or after this runSeq
  std::vector<std::filesystem::path> sources;
  std::vector<Hunk> changes;
  bool changes_known = false;
  std::string changed_since;  // of which revision `changes` are, for people
  std::vector<Finding> findings;
  bool experiments = true;  // replay again under other conditions
  int64_t deadlock_ms = 2'000;
  int64_t now_ms = 0;  // of this machine
};

struct ProbeNote {
  size_t tasks = 0;
  Condition condition = Condition::kAsItIs;
  bool to_the_end = false;
  std::string verdict;  // `in step`, `differs`, `crashed`, `never yielded`
  std::string expected_digest;
  std::string actual_digest;
};

struct TraceReport {
  std::string path;
  std::string workflow_type;
  std::string workflow_id;
  std::string run_id;
  TraceVerdict verdict = TraceVerdict::kIdentical;
  int64_t events = 0;
  TaskPlan plan;
  size_t first_bad = 0;  // workflow task, from 1; one more than there are: only what is compared after the end
  // The search: positions, replays it took, and the most it may take.
  size_t positions = 0;
  size_t replays = 0;
  std::vector<ProbeNote> probes;       // of the search
  std::vector<ProbeNote> experiments;  // under other conditions
  workflow::Divergence first;
  std::vector<workflow::Divergence> all;  // of the first task that differs
  std::vector<AwaitView> began;           // where the code stood before that task, and at its end
  std::vector<AwaitView> awaits;
  Json expected;  // side by side; null: nothing on that side
  Json actual;
  std::vector<JsonDifference> fields;
  std::vector<Cause> causes;
  GatePatch gate;
  std::vector<std::string> reproduce;
  std::string changed_since;  // what the changes that were weighed are relative to; empty: none were
  size_t changes = 0;         // places that say something else; `harmless`: those that do not, by what they are
  std::vector<std::pair<std::string, size_t>> harmless;
  std::string expected_digest;  // running, up to and with the first difference
  std::string actual_digest;
  Json inputs;                   // digests of what went in
  std::string against;           // the other run, when two were compared
  history::GrowthReport growth;  // kNoCode
  history::PendingWork pending;  // kNoCode: at the end
};

// Errors: those of probes.
Result<TraceReport> TraceHistory(const ReplayInput& input, const TraceOptions& options);
// Two recorded runs of one plan, without running any code: the first event of a step, or of the run, that is not the
// same in both.
TraceReport CompareRuns(const ReplayInput& input, const ReplayInput& against);

Json ToJson(const TraceReport& report);
std::string RenderTrace(const TraceReport& report, SourceTree* sources, bool color);
int ExitCode(const TraceReport& report);

}  // namespace lockstep::replay
