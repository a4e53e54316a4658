// The first difference: found by bisection, with what differs, why, and how to see it again.
#include "replay/trace/trace.h"

#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <ctime>

#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/testing/history_script.h"
#include "engine-core/workflow/wf.h"
#include "replay/session/session_testing.h"
#include "replay/trace/search.h"

namespace lockstep::replay {
namespace {

using namespace testing;  // NOLINT: this file is about its helpers' run
using interpreter::testing::ChainPlan;
using interpreter::testing::CheckedRun;
using ::testing::HasSubstr;
using ::testing::Le;
using workflow::DivergenceKind;

RC_GTEST_PROP(FirstDifference, IsFound_WithinTheBound, ()) {
  const auto n = *rc::gen::inRange<size_t>(0, 5'000);
  const auto first = *rc::gen::inRange<size_t>(1, 6'000);
  size_t probes = 0;
  const auto found = FirstDifference(n, [&](size_t k) -> Result<bool> {
    ++probes;
    return k < first;
  });
  RC_ASSERT(found.has_value());
  RC_ASSERT(*found == (first <= n ? first : 0));
  RC_ASSERT(probes <= MostProbes(n));
  // floor(log2(n)) + 1
  size_t bound = 0;
  for (size_t rest = n; rest > 0; rest /= 2) ++bound;
  RC_ASSERT(MostProbes(n) == bound);
}

class Trace : public ::testing::Test {
 protected:
  Trace() : registry_(InterpreterRegistry()), run_(ChainPlan(4), {}) {
    run_.RunToEnd();
    options_.registry = &registry_;
    options_.experiments = false;
    options_.now_ms = 1'800'000'000'000;
  }
  ReplayInput Input(bool with_record = true) {
    ReplayInput input;
    input.path = "run";
    for (size_t i = 0; i < run_.executions(); ++i)
      input.histories.push_back(history::ParseHistory(history::WriteJson(run_.history(i)), "run").value());
    if (with_record) input.record = RecordOf(run_);
    return input;
  }
  TraceReport Of(const ReplayInput& input) {
    auto report = TraceHistory(input, options_);
    EXPECT_TRUE(report.has_value()) << report.error().ToString();
    EXPECT_THAT(report->replays, Le(MostProbes(report->positions)));
    return std::move(*report);
  }
  static HistoryEvent* Scheduled(ReplayInput* input, int position) {
    for (HistoryEvent& event : *input->histories[0].history->mutable_events()) {
      if (event.has_activity_task_scheduled_event_attributes() && position-- == 0) return &event;
    }
    return nullptr;
  }
  workflow::WorkflowRegistry registry_;
  CheckedRun run_;
  TraceOptions options_;
};

TEST_F(Trace, RunInStep_IsIdentical_AndEndsWithTheDigestOfAllTasks) {
  const TraceReport report = Of(Input());
  EXPECT_EQ(report.verdict, TraceVerdict::kIdentical);
  EXPECT_EQ(ExitCode(report), 0);
  EXPECT_GT(report.plan.tasks.size(), 4u);
  const Json json = ToJson(report);
  EXPECT_EQ(json.At("/identicalUpTo/runningDigest")->AsString(), report.plan.tasks.back().expected_digest);
  EXPECT_EQ(json.Find("runningDigests")->AsArray().size(), report.plan.tasks.size());
}

TEST_F(Trace, ChangedInput_IsFoundWithFieldAndLine) {
  ReplayInput input = Input();
  HistoryEvent* scheduled = Scheduled(&input, 3);
  auto* payloads = scheduled->mutable_activity_task_scheduled_event_attributes()->mutable_input();
  Json changed = workflow::ReadFirstJson(*payloads).value();
  changed.Set("logicalAttemptId", 7);
  *payloads = workflow::JsonPayloads(changed);
  const TraceReport report = Of(input);
  ASSERT_EQ(report.verdict, TraceVerdict::kDiverged);
  EXPECT_EQ(ExitCode(report), 1);
  EXPECT_EQ(report.first.event_id, scheduled->event_id());
  EXPECT_EQ(report.first.kind, DivergenceKind::kFieldChanged);
  ASSERT_EQ(report.fields.size(), 1u);
  EXPECT_EQ(report.fields[0].pointer, "/input/0/logicalAttemptId");
  EXPECT_EQ(report.fields[0].expected, "7");
  EXPECT_EQ(report.fields[0].actual, "1");
  EXPECT_TRUE(report.first.where.known());
  EXPECT_EQ(report.actual.GetString("command"), report.expected.GetString("command"));
  EXPECT_NE(report.expected_digest, report.actual_digest);
  const Json json = ToJson(report);
  EXPECT_LT(json.At("/identicalUpTo/eventId")->AsInt(), scheduled->event_id());
  EXPECT_THAT(json.At("/reproduce/0")->AsString(), HasSubstr("lockstep replay run"));
  SourceTree none({});
  const std::string text = RenderTrace(report, &none, false);
  for (const char* part :
       {"in step up to event", "replays of at most", "/input/0/logicalAttemptId", "causes", "to reproduce"})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST_F(Trace, FirstOfSeveralDifferences_IsTheOneNamed) {
  ReplayInput input = Input();
  for (int position : {2, 3, 4})
    Scheduled(&input, position)
        ->mutable_activity_task_scheduled_event_attributes()
        ->mutable_task_queue()
        ->set_name("q" + std::to_string(position));
  const TraceReport report = Of(input);
  EXPECT_EQ(report.first.event_id, Scheduled(&input, 2)->event_id());
  EXPECT_EQ(report.first.field, "taskQueue");
}

TEST_F(Trace, AnotherCommand_StandsBesideTheExpectedOne) {
  ReplayInput input = Input();
  Scheduled(&input, 3)->mutable_activity_task_scheduled_event_attributes()->set_activity_id("another");
  const TraceReport report = Of(input);
  EXPECT_EQ(report.first.kind, DivergenceKind::kCommandChanged);
  EXPECT_THAT(report.expected.GetString("command"), HasSubstr("another"));
  EXPECT_THAT(report.actual.GetString("command"), HasSubstr("step/"));
}

TEST_F(Trace, ChangedEventOfTheRecord_HasItsNumber_AndDivergenceSeqSkipsEarlierOnes) {
  ReplayInput input = Input();
  std::vector<int64_t> changed;
  for (auto& event : input.record->events) {
    if (event.event_type != "StepStarted") continue;
    event.payload.Set("kind", "other");
    changed.push_back(event.run_seq);
  }
  ASSERT_GE(changed.size(), 3u);
  TraceReport report = Of(input);
  EXPECT_EQ(report.first.run_seq, changed[0]);
  EXPECT_EQ(report.first.field, "payload.kind");
  EXPECT_EQ(report.expected.At("/payload/kind")->AsString(), "other");
  ASSERT_FALSE(report.actual.is_null());
  options_.divergence_seq = changed[2];
  report = Of(input);
  EXPECT_EQ(report.first.run_seq, changed[2]);
  options_.divergence_seq = changed.back() + 1;
  EXPECT_EQ(Of(input).verdict, TraceVerdict::kIdentical);
}

TEST_F(Trace, WrongFinalHash_IsFoundAfterTheLastTask) {
  ReplayInput input = Input();
  input.record->snapshots.clear();
  input.record->manifest.Set("snapshotHash", std::string(64, '0'));
  const TraceReport report = Of(input);
  EXPECT_EQ(report.verdict, TraceVerdict::kDiverged);
  EXPECT_EQ(report.first.field, "snapshotHash");
  EXPECT_EQ(report.first_bad, report.plan.tasks.size() + 1);
}

TEST_F(Trace, UnknownWorkflow_IsToldFromItsEvents) {
  const workflow::WorkflowRegistry empty;
  options_.registry = &empty;
  const TraceReport report = Of(Input());
  EXPECT_EQ(report.verdict, TraceVerdict::kNoCode);
  EXPECT_EQ(ExitCode(report), 0);
  EXPECT_GT(report.growth.events, 0);
  SourceTree none({});
  EXPECT_THAT(RenderTrace(report, &none, false), HasSubstr("growth:"));
}

TEST_F(Trace, BareHistory_IsEnough) { EXPECT_EQ(Of(Input(false)).verdict, TraceVerdict::kIdentical); }

TEST_F(Trace, TwoRunsOfOnePlan_AreTheSame_WhateverTheirIdsAndTimes) {
  CheckedRun other(ChainPlan(4), {});
  other.RunToEnd();
  ReplayInput against = Input();
  against.record = RecordOf(other);
  TraceReport report = CompareRuns(Input(), against);
  EXPECT_EQ(report.verdict, TraceVerdict::kIdentical) << CanonicalJson(ToJson(report));
  for (auto& event : against.record->events) {
    if (event.event_type == "StepStarted" && event.step_id == "s2") event.payload.Set("kind", "other");
  }
  report = CompareRuns(Input(), against);
  ASSERT_EQ(report.verdict, TraceVerdict::kDiverged);
  EXPECT_EQ(report.first.step_id, "s2");
  EXPECT_EQ(report.fields[0].pointer, "/payload/kind");
}

// --- code that misbehaves
// ------------------------------------------------------------------------------------------------

wf::Task<wf::WorkflowResult> TwoTimers(const wf::Payloads&) {
  co_await wf::sleep(1'000);
  co_await wf::sleep(2'000);
  co_return wf::completed(Json("done"));
}

wf::Task<wf::WorkflowResult> CrashesAfterOne(const wf::Payloads&) {
  co_await wf::sleep(1'000);
  co_await wf::yield();
  std::abort();
}

wf::Task<wf::WorkflowResult> SpinsAfterOne(const wf::Payloads&) {
  co_await wf::sleep(1'000);
  co_await wf::yield();
  for (volatile bool on = true; on;) {
  }
  co_return wf::completed(Json("done"));
}

wf::Task<wf::WorkflowResult> ReadsTheClock(const wf::Payloads&) {
  co_await wf::sleep(1'000);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  co_await wf::sleep(2'000 + now.tv_nsec % 100'000 / 7 + now.tv_sec % 100);
  co_return wf::completed(Json("done"));
}

wf::Task<wf::WorkflowResult> ReadsTheZone(const wf::Payloads&) {
  co_await wf::sleep(1'000);
  const char* zone = std::getenv("TZ");
  co_await wf::sleep(2'001 + (zone == nullptr ? 0 : static_cast<int64_t>(std::string_view(zone).size())));
  co_return wf::completed(Json("done"));
}

class TraceCode : public ::testing::Test {
 protected:
  TraceReport Of(workflow::WorkflowFunction code) {
    ReplayInput input;
    input.path = "run";
    input.histories.push_back(history::ParseHistory(history::WriteJson(Recorded()), "run").value());
    workflow::WorkflowRegistry registry;
    registry.Register("test", std::move(code));
    TraceOptions options;
    options.registry = &registry;
    options.deadlock_ms = 300;
    options.now_ms = 1'800'000'000'000;
    auto report = TraceHistory(input, options);
    EXPECT_TRUE(report.has_value()) << report.error().ToString();
    return std::move(*report);
  }
  static History Recorded() {
    workflow::WorkflowRegistry registry;
    registry.Register("test", TwoTimers);
    workflow::testing::HistoryScript script(registry, {});
    script.RunTask();
    script.FireTimer("1");
    script.RunTask();
    script.FireTimer("2");
    script.RunTask();
    return script.history();
  }
};

TEST_F(TraceCode, SameCode_IsInStep) { EXPECT_EQ(Of(TwoTimers).verdict, TraceVerdict::kIdentical); }

TEST_F(TraceCode, Crash_EndsTheProbe_NotTheTrace_AndNamesTheLastLine) {
  const TraceReport report = Of(CrashesAfterOne);
  ASSERT_EQ(report.verdict, TraceVerdict::kDiverged);
  EXPECT_EQ(report.first_bad, 2u);
  EXPECT_EQ(report.causes[0].cause, "undefined-behavior");
  EXPECT_THAT(report.first.where.file, HasSubstr("trace_test.cpp"));
  EXPECT_THAT(report.first.actual, HasSubstr("crashed with signal 6"));
}

TEST_F(TraceCode, CodeThatNeverYields_IsEnded_AndNamesTheLastLine) {
  const TraceReport report = Of(SpinsAfterOne);
  ASSERT_EQ(report.verdict, TraceVerdict::kDiverged);
  EXPECT_EQ(report.first_bad, 2u);
  EXPECT_EQ(report.first.kind, DivergenceKind::kSpinning);
  EXPECT_THAT(report.first.where.file, HasSubstr("trace_test.cpp"));
}

TEST_F(TraceCode, ClockInACommand_DiffersEachTime) {
  const TraceReport report = Of(ReadsTheClock);
  ASSERT_EQ(report.verdict, TraceVerdict::kDiverged);
  EXPECT_THAT(report.causes[0].cause, ::testing::AnyOf("random", "time"));
  EXPECT_GE(report.experiments.size(), 3u);
}

TEST_F(TraceCode, EnvironmentInACommand_IsToldFromTheClock) {
  const TraceReport report = Of(ReadsTheZone);
  ASSERT_EQ(report.verdict, TraceVerdict::kDiverged);
  EXPECT_EQ(report.causes[0].cause, "environment");
}

}  // namespace
}  // namespace lockstep::replay
