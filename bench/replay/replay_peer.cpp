// Lockstep's part of bench/replay/run: records a history of the benchmark's workflow on a real server, and measures how fast
// this build replays histories. The workflow is the one of go/main.go and bench_replay.py: rounds of ten parallel activities,
// and a short timer after every fifth round.
//
//   replay_peer record ADDRESS ROUNDS FILE
//   replay_peer replay SECONDS FILE...      one JSON line a file: events, events/s from JSON and from parsed messages
//   replay_peer tree JOBS FOLDER            seconds for every history below the folder
#include <sys/resource.h>
#include <temporal/api/history/v1/message.pb.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "engine-core/activity/activity.h"
#include "engine-core/base/files.h"
#include "engine-core/providers/temporal/client.h"
#include "engine-core/providers/temporal/worker.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/wf.h"
#include "replay/history/integrity.h"
#include "replay/history/reader.h"
#include "replay/history/writer.h"
#include "replay/session/batch.h"
#include "replay/session/session.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kParts = 10;

wf::Task<wf::WorkflowResult> Rounds(const wf::Payloads& input) {
  const int64_t count = workflow::ReadFirstJson(input)->AsInt();
  int64_t rows = 0;
  for (int64_t round = 0; round < count; ++round) {
    std::vector<wf::Future<wf::ActivityOutcome>> futures;
    for (int i = 0; i < kParts; ++i) {
      const Json part = Json::MakeObject({{"part", i}, {"round", round}, {"table", "orders"}});
      futures.push_back(wf::execute_activity("load", workflow::JsonPayloads(part), {.start_to_close_ms = 60'000}));
    }
    const auto outcomes = co_await wf::all_of(std::move(futures));
    for (const auto& outcome : outcomes) {
      if (!outcome.result) co_return wf::failed(outcome.result.error());
      rows += workflow::ReadFirstJson(*outcome.result)->GetInt("rows", 0);
    }
    if (round % 5 == 4) co_await wf::sleep(1);
  }
  co_return wf::completed(Json(rows));
}

const workflow::WorkflowRegistry& Workflows() {
  static const workflow::WorkflowRegistry registry = [] {
    workflow::WorkflowRegistry made;
    made.Register("rounds", Rounds);
    return made;
  }();
  return registry;
}

[[noreturn]] void Stop(const Error& error) {
  std::fprintf(stderr, "%s\n", error.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Need(Result<T> result) {
  if (!result) Stop(result.error());
  return std::move(*result);
}

void RecordOne(const std::string& address, int64_t rounds, const std::string& out) {
  activity::ActivityRegistry activities;
  activities.Register("load", [](activity::ActivityContext&, const Json::Array& arguments) -> Result<Json> {
    return Json::MakeObject({{"rows", 1'000 + arguments[0].GetInt("part", 0)}, {"table", arguments[0].GetString("table")}});
  });
  provider::ConnectionOptions connection;
  connection.address = address;
  provider::WorkerOptions options;
  options.connection = connection;
  const std::string queue = "lockstep-bench-" + std::to_string(getpid());
  options.queues = {{.task_queue = queue}};
  options.workflows = &Workflows();
  options.activities = &activities;
  options.log = [](workflow::LogLevel, std::string_view) {};
  provider::Worker worker(options);
  if (const Status started = worker.Start(); !started) Stop(started.error());
  provider::Client client(connection);
  provider::StartOptions start;
  start.workflow_id = queue + "-" + std::to_string(rounds);
  start.workflow_type = "rounds";
  start.task_queue = queue;
  const auto ref = Need(client.StartWorkflow(start, workflow::JsonPayloads(Json(rounds))));
  const auto outcome = Need(client.WaitForResult(ref.workflow_id, ref.run_id, 3'600'000));
  if (outcome.status != provider::WorkflowStatus::kCompleted) Stop(outcome.failure);
  const auto history = Need(client.GetHistory(ref.workflow_id, ref.run_id));
  if (const Status written = WriteFileAtomically(out, history::WriteJson(*history)); !written) Stop(written.error());
  worker.Shutdown();
}

void ReplayParsed(const temporal::api::history::v1::History& history) {
  replay::EngineLog log;
  replay::SessionOptions options;
  options.registry = &Workflows();
  const auto result = replay::ReplayHistory(history, options, &log);
  if (!result.divergences.empty() || !result.closed_by_code) {
    Stop(Error("DIVERGED", result.divergences.empty() ? "the run is still open" : result.divergences[0].Summary()));
  }
}

// What `lockstep replay FILE` does with one file: read, check, replay, compare.
void ReplayFile(const std::string& path) {
  replay::BatchOptions options;
  options.registry = &Workflows();
  const auto report = replay::ReplayOne(path, options);
  if (report.verdict != replay::Verdict::kIdentical) Stop(report.error.value_or(Error("DIVERGED", path)));
}

double MedianSeconds(double seconds, const std::function<void()>& once) {
  std::vector<double> times;
  const auto start = Clock::now();
  while (times.size() < 3 || std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
    const auto before = Clock::now();
    once();
    times.push_back(std::chrono::duration<double>(Clock::now() - before).count());
  }
  std::nth_element(times.begin(), times.begin() + static_cast<ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

void Measure(double seconds, const std::string& path) {
  const auto loaded = Need(history::ReadHistory(path));
  const double events = loaded.history->events_size();
  const double parsed = MedianSeconds(seconds, [&] { ReplayParsed(*loaded.history); });
  const double json = MedianSeconds(seconds, [&] { ReplayFile(path); });
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"file\":\"%s\",\"events\":%.0f,\"json\":%.0f,\"parsed\":%.0f,\"bytes\":%llu,\"peakBytes\":%llu}\n",
              path.c_str(), events, events / json, events / parsed, static_cast<unsigned long long>(loaded.info.bytes),
              static_cast<unsigned long long>(usage.ru_maxrss) * 1024);
}

void Tree(unsigned jobs, const std::string& folder) {
  const auto start = Clock::now();
  replay::BatchOptions options;
  options.registry = &Workflows();
  options.jobs = jobs;
  const auto inputs = Need(replay::FindHistories({folder}));
  const auto result = replay::RunBatch(inputs, options);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (result.Count(replay::Verdict::kIdentical) != inputs.size()) Stop(Error("DIVERGED", folder));
  std::printf("{\"histories\":%zu,\"seconds\":%.4f}\n", inputs.size(), seconds);
}

int Main(const std::vector<std::string>& words) {
  if (words.size() == 4 && words[0] == "record") {
    RecordOne(words[1], std::atoll(words[2].c_str()), words[3]);
  } else if (words.size() >= 3 && words[0] == "replay") {
    for (size_t i = 2; i < words.size(); ++i) Measure(std::atof(words[1].c_str()), words[i]);
  } else if (words.size() == 3 && words[0] == "tree") {
    Tree(static_cast<unsigned>(std::atoi(words[1].c_str())), words[2]);
  } else {
    std::fprintf(stderr,
                 "usage: replay_peer record ADDRESS ROUNDS FILE | replay SECONDS FILE... | tree JOBS FOLDER\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) { return lockstep::Main({argv + 1, argv + argc}); }
