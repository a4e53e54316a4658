// Any history into the replayer. Histories that a server could have written, of plans and of little programs, must replay
// identically; whatever a damaged history says, its replay must end in a result: no crash, no hang, no leak.
// The first byte chooses what the others make.
#include <google/protobuf/stubs/logging.h>
#include <temporal/api/history/v1/message.pb.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#include "engine-core/interpreter/plan_run.h"
#include "engine-core/interpreter/testing/run_fuzz.h"
#include "engine-core/workflow/testing/event_fuzz.h"
#include "replay/history/integrity.h"
#include "replay/history/reader.h"
#include "replay/session/batch.h"
#include "replay/session/session.h"

namespace {

using namespace lockstep;  // NOLINT: the target touches many rooms
using interpreter::testing::Decisions;
using interpreter::testing::History;

[[noreturn]] void Broken(std::string_view what, const std::string& detail) {
  std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(what.size()), what.data(), detail.c_str());
  std::abort();
}

const workflow::WorkflowRegistry& Interpreter() {
  static const workflow::WorkflowRegistry registry = [] {
    workflow::WorkflowRegistry made;
    interpreter::RegisterInterpreter(&made);
    return made;
  }();
  return registry;
}

replay::SessionOptions Options() {
  replay::SessionOptions options;
  options.registry = &Interpreter();
  return options;
}

void ExpectIdentical(const replay::SessionResult& result) {
  if (!result.divergences.empty()) Broken("a history that the code just wrote does not replay", result.divergences.front().Summary());
}

// Through a log that knows the record, and through one that has only the history.
void ReplayRun(std::span<const uint8_t> bytes) {
  const auto run = interpreter::testing::RunFromBytes(bytes);
  replay::EngineLog recorded(run->Events(), {}), bare;
  for (size_t i = 0; i < run->executions(); ++i) {
    ExpectIdentical(replay::ReplayHistory(run->history(i), Options(), &recorded));
    ExpectIdentical(replay::ReplayHistory(run->history(i), Options(), &bare));
  }
  recorded.Finish();
  for (const auto& divergence : recorded.TakeDivergences()) Broken("the record has another log", divergence.Summary());
  for (const std::string& problem : run->LogProblems()) Broken("an illegal log", problem);
}

void Tell(replay::SessionResult result) {
  replay::BatchResult batch;
  batch.reports.resize(1);
  batch.reports[0].divergences = std::move(result.divergences);
  (void)replay::RenderText(batch, true, true);
  (void)CanonicalJson(replay::ToJson(batch, true));
}

// One run, damaged again and again: making it costs more than replaying it.
void ReplayDamaged(std::span<const uint8_t> bytes) {
  constexpr int kMaxRounds = 8;
  const size_t half = bytes.size() / 2;
  const auto run = interpreter::testing::RunFromBytes(bytes.first(half));
  const auto events = run->Events();
  Decisions decisions(bytes.subspan(half));
  for (int round = 0; round < kMaxRounds && !decisions.empty(); ++round) {
    History history = run->history(decisions.Below(run->executions()));
    interpreter::testing::DamageHistory(&history, &decisions);
    // What the check refuses never reaches the replayer; now and then it does all the same.
    const bool refused = !history::CheckIntegrity(history, history::HistoryInfo()).empty();
    if (refused && !decisions.OneIn(4)) continue;
    replay::EngineLog recorded(events, {{1, Json::MakeObject()}}), bare;
    Tell(replay::ReplayHistory(history, Options(), &recorded));
    recorded.Finish();
    Tell(replay::ReplayHistory(history, Options(), &bare));
  }
}

void ReplayBytes(std::span<const uint8_t> bytes) {
  history::ReadOptions options;
  options.max_bytes = 4 << 20;
  const auto loaded = history::ParseHistory(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()), "fuzz", options);
  if (!loaded || !history::CheckIntegrity(*loaded->history, loaded->info).empty()) return;
  replay::EngineLog log;
  Tell(replay::ReplayHistory(*loaded->history, Options(), &log));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const google::protobuf::LogSilencer silence;
  if (size < 2) return 0;
  const std::span<const uint8_t> bytes(data + 1, size - 1);
  switch (data[0] % 8) {
    case 0:
    case 1: workflow::testing::FuzzReplay(bytes); break;
    case 2: ReplayBytes(bytes); break;
    case 3:
    case 4: ReplayRun(bytes); break;
    default: ReplayDamaged(bytes); break;
  }
  return 0;
}
