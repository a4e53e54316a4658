// Lockstep's part of bench/replay/run: records a history of the benchmark's workflow on a real server, and measures how fast
// this build replays histories (the workflow: rounds.h).
//
//   replay_peer record ADDRESS ROUNDS FILE
//   replay_peer replay SECONDS FILE...      one JSON line a file: events, events a second from JSON and from parsed messages
//   replay_peer once FILE...                one JSON line: bytes of the files, most memory the process ever had
//   replay_peer tree JOBS FOLDER            seconds for every history below the folder
#include <sys/resource.h>
#include <temporal/api/history/v1/message.pb.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "bench/replay/rounds.h"
#include "engine-core/activity/activity.h"
#include "engine-core/base/files.h"
#include "engine-core/providers/temporal/client.h"
#include "engine-core/providers/temporal/worker.h"
#include "engine-core/workflow/payload.h"
#include "replay/history/integrity.h"
#include "replay/history/reader.h"
#include "replay/history/writer.h"
#include "replay/session/batch.h"
#include "replay/session/session.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

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
  options.workflows = &bench::RoundsRegistry();
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
  options.registry = &bench::RoundsRegistry();
  const auto result = replay::ReplayHistory(history, options, &log);
  if (!result.divergences.empty() || !result.closed_by_code) {
    Stop(Error("DIVERGED", result.divergences.empty() ? "the run is still open" : result.divergences[0].Summary()));
  }
}

// What `lockstep replay FILE` does with one file: read, check, replay, compare.
void ReplayFile(const std::string& path) {
  replay::BatchOptions options;
  options.registry = &bench::RoundsRegistry();
  const auto report = replay::ReplayOne(path, options);
  if (report.verdict != replay::Verdict::kIdentical) Stop(report.error.value_or(Error("DIVERGED", path)));
}

struct Seconds {
  double wall = 0;
  double processor = 0;  // of this thread: what a loaded machine would need too
};

double ProcessorSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double Median(std::vector<double>* values) {
  const auto middle = values->begin() + static_cast<ptrdiff_t>(values->size() / 2);
  std::nth_element(values->begin(), middle, values->end());
  return *middle;
}

Seconds MedianSeconds(double seconds, const std::function<void()>& once) {
  std::vector<double> wall, processor;
  const auto start = Clock::now();
  while (wall.size() < 3 || std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
    const auto before = Clock::now();
    const double processor_before = ProcessorSeconds();
    once();
    processor.push_back(ProcessorSeconds() - processor_before);
    wall.push_back(std::chrono::duration<double>(Clock::now() - before).count());
  }
  return {Median(&wall), Median(&processor)};
}

void Measure(double seconds, const std::string& path) {
  const auto loaded = Need(history::ReadHistory(path));
  const double events = loaded.history->events_size();
  const Seconds parsed = MedianSeconds(seconds, [&] { ReplayParsed(*loaded.history); });
  const Seconds json = MedianSeconds(seconds, [&] { ReplayFile(path); });
  std::printf("{\"file\":\"%s\",\"events\":%.0f,\"json\":%.0f,\"parsed\":%.0f,\"jsonProcessor\":%.0f,\"parsedProcessor\":%.0f,"
              "\"bytes\":%llu}\n",
              path.c_str(), events, events / json.wall, events / parsed.wall, events / json.processor, events / parsed.processor,
              static_cast<unsigned long long>(loaded.info.bytes));
}

// In a process of its own: what was freed before would count.
void Once(const std::vector<std::string>& paths) {
  uint64_t bytes = 0;
  for (const std::string& path : paths) {
    bytes += std::filesystem::file_size(path);
    ReplayFile(path);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"bytes\":%llu,\"peakBytes\":%llu}\n", static_cast<unsigned long long>(bytes),
              static_cast<unsigned long long>(usage.ru_maxrss) * 1024);
}

void Tree(unsigned jobs, const std::string& folder) {
  const auto start = Clock::now();
  replay::BatchOptions options;
  options.registry = &bench::RoundsRegistry();
  options.jobs = jobs;
  const auto inputs = Need(replay::FindHistories({folder}));
  const auto result = replay::RunBatch(inputs, options);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (result.Count(replay::Verdict::kIdentical) != inputs.size()) Stop(Error("DIVERGED", folder));
  std::printf("{\"histories\":%zu,\"seconds\":%.4f}\n", inputs.size(), seconds);
}

int Main(const std::vector<std::string>& words) {
  history::KeepFreedMemory();  // as `lockstep replay` does
  if (words.size() == 4 && words[0] == "record") {
    RecordOne(words[1], std::atoll(words[2].c_str()), words[3]);
  } else if (words.size() >= 3 && words[0] == "replay") {
    for (size_t i = 2; i < words.size(); ++i) Measure(std::atof(words[1].c_str()), words[i]);
  } else if (words.size() >= 2 && words[0] == "once") {
    Once({words.begin() + 1, words.end()});
  } else if (words.size() == 3 && words[0] == "tree") {
    Tree(static_cast<unsigned>(std::atoi(words[1].c_str())), words[2]);
  } else {
    std::fprintf(stderr,
                 "usage: replay_peer record ADDRESS ROUNDS FILE | replay SECONDS FILE... | once FILE... | tree JOBS FOLDER\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) { return lockstep::Main({argv + 1, argv + argc}); }
