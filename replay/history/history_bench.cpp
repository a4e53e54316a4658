// How fast histories are read and written, in events a second on one core. The workload is a recorded run, repeated
// until it has about 50 000 events (the server's limit for one run).
//   --benchmark_filter=ReadJson   the one that decides replay speed: the goal is 500 000 events/s
#include <benchmark/benchmark.h>
#include <google/protobuf/arena.h>
#include <temporal/api/history/v1/message.pb.h>

#include <cstdio>
#include <string>

#include "replay/history/compression.h"
#include "replay/history/integrity.h"
#include "replay/history/reader.h"
#include "replay/history/timeline.h"
#include "replay/history/writer.h"

namespace lockstep::history {
namespace {

using temporal::api::history::v1::History;

const History& Workload() {
  static const History* history = [] {
    const auto loaded = ReadHistory(LOCKSTEP_SOURCE_DIR "/replay/history/testdata/everything.pb");
    if (!loaded) {
      std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
      std::exit(4);
    }
    auto* out = new History();
    while (out->events_size() < 50'000) out->MergeFrom(*loaded->history);
    for (int i = 0; i < out->events_size(); ++i) out->mutable_events(i)->set_event_id(i + 1);
    return out;
  }();
  return *history;
}

void Count(benchmark::State& state, size_t bytes) {
  const auto events = static_cast<int64_t>(Workload().events_size()) * static_cast<int64_t>(state.iterations());
  state.counters["events/s"] = benchmark::Counter(static_cast<double>(events), benchmark::Counter::kIsRate);
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * static_cast<int64_t>(state.iterations()));
}

void Read(benchmark::State& state, const std::string& bytes) {
  uint64_t arena = 0;
  for (auto _ : state) {
    auto loaded = ParseHistory(bytes, "bench");
    if (!loaded) state.SkipWithError(loaded.error().message.c_str());
    arena = loaded->arena->SpaceUsed();
    benchmark::DoNotOptimize(loaded->history);
  }
  Count(state, bytes.size());
  state.counters["arena/input"] = static_cast<double>(arena) / static_cast<double>(bytes.size());
}

void ReadJson(benchmark::State& state) { Read(state, WriteJson(Workload())); }
void ReadCompactJson(benchmark::State& state) { Read(state, WriteJson(Workload(), {.indent = 0})); }
void ReadCamelJson(benchmark::State& state) { Read(state, WriteJson(Workload(), {.enums = EnumSpelling::kCamel})); }
void ReadProtobuf(benchmark::State& state) { Read(state, WriteBinary(Workload())); }
void ReadJsonZstd(benchmark::State& state) { Read(state, Compress(WriteJson(Workload()), Compression::kZstd)); }
void WriteJsonBench(benchmark::State& state) {
  size_t bytes = 0;
  for (auto _ : state) {
    const std::string text = WriteJson(Workload());
    bytes = text.size();
    benchmark::DoNotOptimize(text.data());
  }
  Count(state, bytes);
}
void WriteProtobuf(benchmark::State& state) {
  size_t bytes = 0;
  for (auto _ : state) bytes = WriteBinary(Workload()).size();
  Count(state, bytes);
}
void Integrity(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(CheckIntegrity(Workload(), {}));
  Count(state, 0);
}

BENCHMARK(ReadJson)->Unit(benchmark::kMillisecond);
BENCHMARK(ReadCompactJson)->Unit(benchmark::kMillisecond);
BENCHMARK(ReadCamelJson)->Unit(benchmark::kMillisecond);
BENCHMARK(ReadJsonZstd)->Unit(benchmark::kMillisecond);
BENCHMARK(ReadProtobuf)->Unit(benchmark::kMillisecond);
BENCHMARK(WriteJsonBench)->Name("WriteJson")->Unit(benchmark::kMillisecond);
BENCHMARK(WriteProtobuf)->Unit(benchmark::kMillisecond);
BENCHMARK(Integrity)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lockstep::history

BENCHMARK_MAIN();
