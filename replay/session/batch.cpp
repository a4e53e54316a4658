#include "replay/session/batch.h"

#include <google/protobuf/message.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "engine-core/base/files.h"
#include "engine-core/state/snapshot.h"
#include "engine-core/workflow/registry.h"
#include "replay/record/record.h"
#include "replay/session/input.h"

namespace lockstep::replay {
namespace {

namespace fs = std::filesystem;
using workflow::Divergence;
using workflow::DivergenceKind;
using workflow::Grade;

constexpr std::string_view kHistorySuffixes[] = {".json", ".pb", ".binpb", ".bin", ".jsonl", ".hist"};
constexpr std::string_view kPackedSuffixes[] = {".gz", ".zst"};

bool IsHistoryName(std::string_view name) {
  for (const std::string_view packed : kPackedSuffixes) {
    if (name.ends_with(packed)) {
      name.remove_suffix(packed.size());
      break;
    }
  }
  return std::any_of(std::begin(kHistorySuffixes), std::end(kHistorySuffixes), [&](std::string_view suffix) { return name.ends_with(suffix); });
}

void FindInFolder(const fs::path& folder, std::vector<std::string>* found) {
  if (IsRecordDirectory(folder)) {
    found->push_back(folder.generic_string());
    return;
  }
  std::error_code error;
  std::set<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder, error)) entries.insert(entry.path());
  for (const fs::path& entry : entries) {
    const std::string name = entry.filename().string();
    if (name.starts_with(".")) continue;
    if (fs::is_directory(entry, error)) {
      FindInFolder(entry, found);
    } else if (IsHistoryName(name)) {
      found->push_back(entry.generic_string());
    }
  }
}

// --- one input -----------------------------------------------------------------------------------------------------------

Divergence HashDivergence(const char* field, const std::string& expected, const std::string& actual) {
  Divergence divergence;
  divergence.kind = DivergenceKind::kSnapshotChanged;
  divergence.grade = Grade::kSnapshotOnly;
  divergence.command = "final snapshot";
  divergence.field = field;
  divergence.expected = expected;
  divergence.actual = actual;
  return divergence;
}

// `step/attempt/position/sha256` of every artifact of a snapshot.
std::set<std::string> ArtifactsOf(const Json& snapshot) {
  std::set<std::string> found;
  const Json* steps = snapshot.Find("steps");
  if (steps == nullptr || !steps->is_object()) return found;
  for (const auto& [id, step] : steps->AsObject()) {
    const Json* attempts = step.Find("attempts");
    if (attempts == nullptr || !attempts->is_array()) continue;
    for (size_t attempt = 0; attempt < attempts->AsArray().size(); ++attempt) {
      const Json* artifacts = attempts->AsArray()[attempt].Find("artifacts");
      if (artifacts == nullptr || !artifacts->is_array()) continue;
      for (size_t i = 0; i < artifacts->AsArray().size(); ++i) {
        const std::string place = id + "/" + std::to_string(attempt) + "/" + std::to_string(i) + "/";
        const Json& artifact = artifacts->AsArray()[i];
        found.insert(place + artifact.GetString("kind") + "/" + artifact.GetString("sha256"));
      }
    }
  }
  return found;
}

void CompareArtifacts(const Record& record, const state::Snapshot& snapshot, ReplayReport* report) {
  if (record.snapshots.empty()) return;
  const std::set<std::string> expected = ArtifactsOf(record.snapshots.rbegin()->second);
  if (expected.empty()) return;
  const std::set<std::string> actual = ArtifactsOf(state::SnapshotJson(snapshot));
  report->artifacts = static_cast<int64_t>(expected.size());
  report->artifacts_matching =
      std::count_if(expected.begin(), expected.end(), [&](const std::string& one) { return actual.contains(one); });
}

// A record says which plan it is of, also where the replay did not come to its first event.
void NamePlan(const std::optional<Record>& record, const state::Snapshot& snapshot, ReplayReport* report) {
  report->plan_id = snapshot.plan_id;
  report->plan_version = snapshot.plan_version;
  if (!report->plan_id.empty() || !record || record->plan.empty()) return;
  const auto plan = ParseJson(record->plan);
  if (!plan || !plan->is_object()) return;
  const Json* metadata = plan->Find("metadata");
  if (metadata == nullptr || !metadata->is_object()) return;
  report->plan_id = metadata->GetString("planId");
  report->plan_version = metadata->GetString("planVersion");
}

Verdict VerdictOf(const std::vector<Divergence>& divergences) {
  if (divergences.empty()) return Verdict::kIdentical;
  const bool only_drift = std::all_of(divergences.begin(), divergences.end(), [](const Divergence& d) { return d.grade == Grade::kDrift; });
  return only_drift ? Verdict::kDrift : Verdict::kDiverged;
}

// Adds what one execution of the chain gave; false when the rest of the chain is pointless.
bool AddExecution(SessionResult result, ReplayReport* report) {
  report->workflow_type = result.workflow_type;
  if (report->executions == 0) {
    report->workflow_id = result.workflow_id;
    report->run_id = result.run_id;
  }
  ++report->executions;
  report->events += result.events;
  report->tasks += result.tasks;
  report->commands += result.issued;
  report->open_task = result.open_task;
  report->command_rows.push_back(std::move(result.commands));
  const bool changing = workflow::WorstGrade(result.divergences) == Grade::kCommandChanging && !result.divergences.empty();
  for (Divergence& divergence : result.divergences) report->divergences.push_back(std::move(divergence));
  return !changing && !result.stopped;
}

// --- many ----------------------------------------------------------------------------------------------------------------

// What a thread is doing, for the watchdog.
struct Slot {
  std::mutex mutex;
  const workflow::Execution* running = nullptr;
  std::chrono::steady_clock::time_point since;
  size_t input = 0;
  bool abandoned = false;
};

// Shared with threads that may outlive the batch.
struct Pool {
  std::vector<std::string> inputs;
  BatchOptions options;
  std::mutex mutex;
  std::condition_variable changed;
  size_t next = 0;
  size_t done = 0;
  std::vector<ReplayReport> reports;
  std::vector<bool> finished;

  void Store(size_t input, ReplayReport report) {
    const std::lock_guard lock(mutex);
    if (finished[input]) return;
    finished[input] = true;
    reports[input] = std::move(report);
    ++done;
    if (options.progress) options.progress(done, inputs.size(), reports[input]);
    changed.notify_all();
  }
};

void Work(const std::shared_ptr<Pool>& pool, const std::shared_ptr<Slot>& slot) {
  while (true) {
    size_t input = 0;
    {
      const std::lock_guard lock(pool->mutex);
      if (pool->next >= pool->inputs.size()) return;
      input = pool->next++;
    }
    {
      const std::lock_guard lock(slot->mutex);
      slot->input = input;
    }
    ReplayReport report = ReplayOne(pool->inputs[input], pool->options, [&](const workflow::Execution* execution) {
      const std::lock_guard lock(slot->mutex);
      slot->running = execution;
      slot->since = std::chrono::steady_clock::now();
    });
    {
      const std::lock_guard lock(slot->mutex);
      if (slot->abandoned) return;
    }
    pool->Store(input, std::move(report));
  }
}

ReplayReport SpinningReport(const std::string& path, const workflow::Execution& execution, int64_t limit_ms) {
  ReplayReport report;
  report.path = path;
  report.workflow_type = std::string(execution.workflow_type());
  report.verdict = Verdict::kDiverged;
  Divergence divergence;
  divergence.kind = DivergenceKind::kSpinning;
  divergence.grade = Grade::kCommandChanging;
  divergence.actual = "the code ran for over " + std::to_string(limit_ms) + " ms without yielding";
  divergence.where = workflow::ToSourceLine(execution.CurrentLocation());
  report.divergences.push_back(std::move(divergence));
  return report;
}

}  // namespace

void FinishReport(const std::optional<Record>& record, bool whole, EngineLog* log, ReplayReport* report) {
  if (whole && VerdictOf(report->divergences) != Verdict::kDiverged) log->Finish();
  for (Divergence& divergence : log->TakeDivergences()) report->divergences.push_back(std::move(divergence));
  report->engine_log = log->records();
  report->engine_events = static_cast<int64_t>(report->engine_log.size());
  NamePlan(record, log->snapshot(), report);
  if (record && (whole || !report->divergences.empty())) CompareArtifacts(*record, log->snapshot(), report);
  if (!log->comparable() || log->last_seq() == 0) return;
  report->status = std::string(state::Name(log->snapshot().status));
  report->snapshot_hash = state::SnapshotHash(log->snapshot());
  report->outcome_hash = state::OutcomeHash(log->snapshot());
  if (!whole || !record || VerdictOf(report->divergences) == Verdict::kDiverged) return;
  const std::pair<const char*, const std::string*> hashes[] = {{"snapshotHash", &report->snapshot_hash}, {"outcomeHash", &report->outcome_hash}};
  for (const auto& [name, actual] : hashes) {
    const std::string expected = record->manifest.GetString(name);
    if (!expected.empty() && expected != *actual) report->divergences.push_back(HashDivergence(name, expected, *actual));
  }
}

std::string_view VerdictName(Verdict verdict) {
  constexpr std::string_view kNames[] = {"IDENTICAL", "DRIFT", "DIVERGED", "UNREADABLE"};
  return kNames[static_cast<size_t>(verdict)];
}

size_t BatchResult::Count(Verdict verdict) const {
  return static_cast<size_t>(std::count_if(reports.begin(), reports.end(), [&](const ReplayReport& report) { return report.verdict == verdict; }));
}

Result<std::vector<std::string>> FindHistories(const std::vector<std::string>& paths) {
  std::vector<std::string> found;
  for (const std::string& path : paths) {
    std::error_code error;
    const size_t before = found.size();
    if (path == "-") {
      found.push_back(path);
    } else if (fs::is_directory(path, error)) {
      FindInFolder(path, &found);
    } else if (fs::exists(path, error)) {
      found.push_back(path);
    } else {
      return Fail("INPUT_NOT_FOUND", path + ": expected a history, a record directory or a folder of them, found nothing");
    }
    if (found.size() == before) return Fail("INPUT_EMPTY", path + ": expected at least one history below it, found none");
  }
  // Each once, however it is spelled.
  std::set<std::string> seen;
  std::erase_if(found, [&](const std::string& path) {
    std::error_code error;
    const fs::path real = path == "-" ? fs::path(path) : fs::canonical(path, error);
    return !seen.insert(error ? path : real.string()).second;
  });
  return found;
}

ReplayReport ReplayOne(const std::string& path, const BatchOptions& options,
                       const std::function<void(const workflow::Execution*)>& on_activate) {
  ReplayReport report;
  report.path = path;
  auto input = LoadInput(path);
  if (input) {
    if (const Status runnable = CheckRunnable(*input, *options.registry); !runnable) input = std::unexpected(runnable.error());
  }
  if (!input) {
    report.verdict = Verdict::kUnreadable;
    report.error = input.error();
    return report;
  }
  report.record = input->record.has_value();
  EngineLog log = LogFor(*input);
  bool whole = true;
  for (size_t i = 0; i < input->histories.size() && whole; ++i) {
    const auto lines = RecordedLines(*input, i);
    SessionOptions session;
    session.registry = options.registry;
    session.identity = {"", input->histories[i].info.workflow_id, input->histories[i].info.run_id};
    session.stop_at_seq = options.stop_at_seq;
    session.compare_snapshots = options.compare_snapshots;
    session.keep_commands = options.keep_commands;
    session.recorded_lines = lines.empty() ? nullptr : &lines;
    session.on_activate = on_activate;
    whole = AddExecution(ReplayHistory(*input->histories[i].history, session, &log), &report);
    if (log.comparable() && log.last_seq() > 0) report.snapshots[log.last_seq()] = state::SnapshotJson(log.snapshot());
  }
  FinishReport(input->record, whole, &log, &report);
  if (log.comparable() && log.last_seq() > 0) report.snapshots[log.last_seq()] = state::SnapshotJson(log.snapshot());
  report.verdict = VerdictOf(report.divergences);
  return report;
}

BatchResult RunBatch(const std::vector<std::string>& inputs, const BatchOptions& options) {
  auto pool = std::make_shared<Pool>();
  pool->inputs = inputs;
  pool->options = options;
  pool->reports.resize(inputs.size());
  pool->finished.resize(inputs.size(), false);
  const unsigned jobs = std::max(1U, std::min<unsigned>(options.jobs != 0 ? options.jobs : std::thread::hardware_concurrency(),
                                                        static_cast<unsigned>(std::max<size_t>(1, inputs.size()))));
  std::vector<std::pair<std::thread, std::shared_ptr<Slot>>> threads;
  const auto start = [&] {
    auto slot = std::make_shared<Slot>();
    threads.emplace_back(std::thread(Work, pool, slot), slot);
  };
  for (unsigned i = 0; i < jobs; ++i) start();
  BatchResult result;
  std::unique_lock lock(pool->mutex);
  while (pool->done < inputs.size()) {
    pool->changed.wait_for(lock, std::chrono::milliseconds(50));
    if (options.deadlock_limit_ms <= 0) continue;
    lock.unlock();
    for (size_t i = 0; i < threads.size(); ++i) {
      const std::shared_ptr<Slot> slot = threads[i].second;
      const std::lock_guard slot_lock(slot->mutex);
      const auto limit = std::chrono::milliseconds(options.deadlock_limit_ms);
      if (slot->abandoned || slot->running == nullptr || std::chrono::steady_clock::now() - slot->since < limit) continue;
      // The thread cannot be stopped: take its place, and let it spin until the process ends.
      slot->abandoned = true;
      result.abandoned_threads = true;
      pool->Store(slot->input, SpinningReport(inputs[slot->input], *slot->running, options.deadlock_limit_ms));
      threads[i].first.detach();
      start();
    }
    lock.lock();
  }
  lock.unlock();
  for (auto& [thread, slot] : threads) {
    if (thread.joinable()) thread.join();
  }
  result.reports = std::move(pool->reports);
  return result;
}

int ExitCode(const BatchResult& result, bool strict) {
  if (result.Count(Verdict::kDiverged) > 0 || (strict && result.Count(Verdict::kDrift) > 0)) return 1;
  return result.Count(Verdict::kUnreadable) > 0 ? 3 : 0;
}

}  // namespace lockstep::replay
