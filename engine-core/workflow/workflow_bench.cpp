// Replay speed from parsed messages: events per second and allocations per event, for sequential activities and for timers
// with signals. The goal is 1 million events per second on one core, flat from 60 to 50 000 events.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "engine-core/base/check.h"
#include "engine-core/workflow/testing/history_script.h"
#include "engine-core/workflow/wf.h"

namespace {

std::atomic<uint64_t> allocations{0};

}  // namespace

// Counts what the replay asks of the heap.
void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* block = std::malloc(size)) return block;
  std::abort();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

namespace lockstep::workflow::testing {
namespace {

// About six events an activity.
Task<WorkflowResult> Sequential(const Payloads& input) {
  const int64_t count = ReadFirstJson(input)->AsInt();
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    // Braced lists stand apart from co_await: GCC 12 cannot keep them in a frame.
    const Payloads part = JsonPayloads(Json::MakeObject({{"table", "orders"}, {"part", i}}));
    const auto outcome = co_await execute_activity("load", part, {.start_to_close_ms = 10'000, .retry = RetryOptions{}});
    if (!outcome.result) co_return failed(outcome.result.error());
    ++sum;
  }
  co_return completed(Json(sum));
}

// About five events a signal and six a timer.
Task<WorkflowResult> TimersAndSignals(const Payloads& input) {
  const int64_t count = ReadFirstJson(input)->AsInt();
  int64_t signals = 0;
  set_signal_handler("tick", [&signals](const Payloads&) { ++signals; });
  for (int64_t i = 0; i < count; ++i) {
    co_await sleep(1'000);
    co_await wait_until([&signals, i] { return signals > i; });
  }
  co_return completed(Json(signals));
}

// What the plan interpreter does for a step: two events appended by local activities around one activity.
Task<WorkflowResult> Steps(const Payloads& input) {
  const int64_t count = ReadFirstJson(input)->AsInt();
  for (int64_t i = 0; i < count; ++i) {
    const std::string step = "step-" + std::to_string(i) + "/1";
    const Payloads before = JsonPayloads(Json::MakeObject({{"step", step}, {"status", "RUNNING"}}));
    const Payloads after = JsonPayloads(Json::MakeObject({{"step", step}, {"status", "SUCCESS"}}));
    (void)co_await local_activity("emitEvents", before, {.activity_id = "event/StepStarted/" + step});
    (void)co_await execute_activity("executeStep", JsonPayloads(step), {.activity_id = "step/" + step, .start_to_close_ms = 10'000, .retry = RetryOptions{}});
    (void)co_await local_activity("emitEvents", after, {.activity_id = "event/StepCompleted/" + step});
  }
  co_return completed(Json(count));
}

const WorkflowRegistry& Registry() {
  static const WorkflowRegistry registry = [] {
    WorkflowRegistry result;
    result.Register("sequential", Sequential);
    result.Register("timers", TimersAndSignals);
    result.Register("steps", Steps);
    return result;
  }();
  return registry;
}

History Record(const std::string& type, int64_t count) {
  HistoryScript script(Registry(), {.workflow_type = type, .input = JsonPayloads(count), .local_activities = [](const auto&) { return LocalAnswer{}; }});
  script.RunTask();
  while (!script.closed()) {
    for (const std::string& id : script.OpenActivities()) script.CompleteActivity(id, Json::MakeObject({{"rows", 17}}));
    for (const std::string& id : script.OpenTimers()) {
      script.FireTimer(id);
      script.RunTask();
      script.Signal("tick");
    }
    script.RunTask();
  }
  return script.history();
}

void BM_Replay(benchmark::State& state, const std::string& type, int64_t events_per_turn) {
  const History history = Record(type, state.range(0) / events_per_turn);
  const std::vector<const HistoryEvent*> events = Pointers(history);
  uint64_t asked = 0;
  for (auto _ : state) {
    const uint64_t before = allocations.load();
    const auto execution = Execution::Create(Registry(), {"default", "", ""});
    const HistoryCut cut = CutHistory(events);
    for (const TaskSlice& task : cut.tasks) {
      execution->Activate(task);
      if (task.completed != nullptr) execution->Complete(*task.completed, task.recorded);
    }
    LOCKSTEP_CHECK(execution->divergences().empty() && execution->closed(), "the benchmark's own history replays");
    asked += allocations.load() - before;
  }
  const double replayed = static_cast<double>(state.iterations()) * history.events_size();
  state.counters["events"] = history.events_size();
  state.counters["events/s"] = benchmark::Counter(replayed, benchmark::Counter::kIsRate);
  state.counters["allocations/event"] = static_cast<double>(asked) / replayed;
}
BENCHMARK_CAPTURE(BM_Replay, sequential_activities, "sequential", 6)->Arg(60)->Arg(1'000)->Arg(22'000)->Arg(50'000);
BENCHMARK_CAPTURE(BM_Replay, timers_and_signals, "timers", 9)->Arg(60)->Arg(1'000)->Arg(22'000)->Arg(50'000);
BENCHMARK_CAPTURE(BM_Replay, steps_with_events, "steps", 8)->Arg(60)->Arg(1'000)->Arg(22'000)->Arg(50'000);

}  // namespace
}  // namespace lockstep::workflow::testing

BENCHMARK_MAIN();
