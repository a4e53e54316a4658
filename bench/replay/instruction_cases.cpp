// What instruction counts are taken of: a few small cases, each prepared and run once before it is counted, so that tables
// and caches of the process are warm. Under Callgrind each counted case ends in a dump of its own, named after the case;
// without it the program runs the same cases and counts nothing.
//
//   instruction_cases LONG-HISTORY PLAN-RECORD     one line a case: name, events
//
// Counts are for one repetition on data that never change, so they depend on the code, the compiler and the libraries only.
#include <temporal/api/history/v1/message.pb.h>
#include <valgrind/callgrind.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bench/replay/rounds.h"
#include "engine-core/base/files.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/workflow/registry.h"
#include "replay/history/compression.h"
#include "replay/history/integrity.h"
#include "replay/history/reader.h"
#include "replay/history/writer.h"
#include "replay/session/batch.h"
#include "replay/session/input.h"
#include "replay/session/session.h"

namespace lockstep {
namespace {

using temporal::api::history::v1::History;

[[noreturn]] void Stop(const Error& error) {
  std::fprintf(stderr, "%s\n", error.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Need(Result<T> result) {
  if (!result) Stop(result.error());
  return std::move(*result);
}

void NeedThat(bool fact, const char* what) {
  if (!fact) Stop(Error("CASE_BROKEN", what));
}

void Count(const char* name, int64_t events, const std::function<void()>& once) {
  once();
  CALLGRIND_ZERO_STATS;
  CALLGRIND_TOGGLE_COLLECT;
  once();
  CALLGRIND_TOGGLE_COLLECT;
  CALLGRIND_DUMP_STATS_AT(name);
  std::printf("%s %lld\n", name, static_cast<long long>(events));
}

void Parse(const std::string& bytes, int64_t events) {
  const auto loaded = Need(history::ParseHistory(bytes, "case"));
  NeedThat(loaded.history->events_size() == events, "the reader lost events");
}

void Check(const History& history) {
  NeedThat(history::CheckIntegrity(history, {}).empty(), "the history is not sound");
}

void Replay(const History& history, const workflow::WorkflowRegistry& registry) {
  replay::EngineLog log;
  replay::SessionOptions options;
  options.registry = &registry;
  const auto result = replay::ReplayHistory(history, options, &log);
  NeedThat(result.divergences.empty() && result.closed_by_code, "the workflow's history does not replay");
}

// Everything that `lockstep replay RECORD` does but reading the files.
void ReplayRecord(const std::string& path, const workflow::WorkflowRegistry& registry) {
  replay::BatchOptions options;
  options.registry = &registry;
  const auto report = replay::ReplayOne(path, options);
  NeedThat(report.verdict == replay::Verdict::kIdentical, "the plan's record does not replay");
}

// Never to be changed: what the same compiler and libraries make of other code tells how far counts of this build and of the
// recorded one can be compared at all.
void Yardstick(const std::string& binary) {
  History history;
  NeedThat(history.ParseFromString(binary), "libprotobuf reads what it wrote");
  std::map<std::string, size_t> sizes;
  std::vector<std::string> names;
  uint64_t hash = 14'695'981'039'346'656'037ULL;
  for (const auto& event : history.events()) {
    const std::string name = "event-" + std::to_string(event.event_id() * 7'919 % 1'009);
    sizes[name] += event.ByteSizeLong();
    names.push_back(name);
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211ULL;
  }
  std::sort(names.begin(), names.end());
  NeedThat(hash != 0 && !sizes.empty() && std::is_sorted(names.begin(), names.end()), "arithmetic holds");
}

int Main(const std::string& long_history, const std::string& plan_record) {
  const auto loaded = Need(history::ReadHistory(long_history));
  const History& rounds = *loaded.history;
  const int64_t events = rounds.events_size();
  const std::string json = history::WriteJson(rounds), binary = history::WriteBinary(rounds);
  workflow::WorkflowRegistry engine;
  interpreter::RegisterInterpreter(&engine);
  int64_t plan_events = 0;
  for (const auto& part : Need(replay::LoadInput(plan_record)).histories) plan_events += part.history->events_size();

  Count("yardstick", events, [&] { Yardstick(binary); });
  Count("parse-json", events, [&] { Parse(json, events); });
  Count("parse-protobuf", events, [&] { Parse(binary, events); });
  Count("check-integrity", events, [&] { Check(rounds); });
  Count("replay-workflow", events, [&] { Replay(rounds, bench::RoundsRegistry()); });
  Count("replay-plan-record", plan_events, [&] { ReplayRecord(plan_record, engine); });
  return 0;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: instruction_cases LONG-HISTORY PLAN-RECORD\n");
    return 2;
  }
  return lockstep::Main(argv[1], argv[2]);
}
