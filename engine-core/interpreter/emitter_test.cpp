// The FIFO of events when the store is slow, down or refuses (spec 04 sections 3, 5.2 rule 8 and 11; 00 section 5).
#include "engine-core/interpreter/testing/checked_run.h"

namespace lockstep::interpreter::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kMinute = 60'000;

// Down for `millis` from the first append of this activity id on.
struct Outage {
  std::string activity_id;
  int64_t millis = 0;
  UnixMillis from = 0;
  int tries = 0;
  std::optional<Error> operator()(const workflow::LocalActivityRequest& request, UnixMillis at) {
    if (!request.activity_id.starts_with(activity_id)) return std::nullopt;
    ++tries;
    if (from == 0) from = at;
    if (at - from < millis) return Error("STATE_STORE_UNAVAILABLE", "the store is down", true);
    return std::nullopt;
  }
};

auto Faults(Outage* outage) {
  return [outage](const workflow::LocalActivityRequest& request, UnixMillis at) { return (*outage)(request, at); };
}

TEST(Emitter, ShortOutage_IsRetriedWithinTheTask) {
  Outage outage{.activity_id = "event/StepStarted/s0/1", .millis = 2'500};
  CheckedRun run(ChainPlan(1), {.store_fault = Faults(&outage)});
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_EQ(outage.tries, 3);  // at 0 s, 1 s and 3 s
}

TEST(Emitter, LongerOutage_BacksOffByTimer_DispatchesNothingMeanwhile) {
  Outage outage{.activity_id = "event/StepStarted/s0/1", .millis = 4 * kMinute};
  CheckedRun run(ChainPlan(1), {.store_fault = Faults(&outage)});
  run.Quiet();
  EXPECT_THAT(run.OpenSteps(), IsEmpty());
  int timers = 0;
  while (run.OpenSteps().empty() && run.FireNextTimer()) {
    ++timers;
    run.Quiet();
  }
  EXPECT_GE(timers, 3);
  EXPECT_GE(run.script().now_ms() - outage.from, 4 * kMinute);
  EXPECT_LE(run.script().now_ms() - outage.from, 5 * kMinute + 5'000);
  run.RunToEnd();
  EXPECT_EQ(run.CountOf("StepStarted"), 1u);
}

TEST(Emitter, OutageOverTenMinutes_RaisesTheAlert_ThenTriesEveryMinute) {
  Outage outage{.activity_id = "event/StepStarted/s0/1", .millis = 25 * kMinute};
  CheckedRun run(ChainPlan(1), {.store_fault = Faults(&outage)});
  run.RunToEnd();
  EXPECT_THAT(run.warnings(), Contains(HasSubstr("P1 STATE_STORE_UNAVAILABLE")));
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_EQ(run.CountOf("StepStarted"), 1u);
}

TEST(Emitter, OutageUnderTenMinutes_RaisesNothing) {
  Outage outage{.activity_id = "event/StepStarted/s0/1", .millis = 8 * kMinute};
  CheckedRun run(ChainPlan(1), {.store_fault = Faults(&outage)});
  run.RunToEnd();
  EXPECT_THAT(run.warnings(), ::testing::Not(Contains(HasSubstr("STATE_STORE_UNAVAILABLE"))));
}

TEST(Emitter, AppendThatWaits_KeepsIdsAndTimes) {
  Outage outage{.activity_id = "event/RunStarted/RUN/1", .millis = 3 * kMinute};
  CheckedRun run(ChainPlan(1), {.store_fault = Faults(&outage)});
  const auto started = run.script().now_ms();
  run.RunToEnd();
  const auto event = run.Event("RunStarted");
  const auto emitted = ParseUtcMillis(event.emitted_at), persisted = ParseUtcMillis(event.persisted_at);
  ASSERT_TRUE(emitted.has_value() && persisted.has_value());
  EXPECT_LE(*emitted - started, 10);
  EXPECT_GE(*persisted - *emitted, 3 * kMinute);
}

TEST(Emitter, AnswerLostAfterTheCommit_IsNoSecondEvent) {
  // The append is repeated with the same key: the store answers from the stored row.
  CheckedRun* live = nullptr;
  bool lost = false;
  CheckedRun run(ChainPlan(2), {.store_fault = [&](const workflow::LocalActivityRequest& request, UnixMillis) -> std::optional<Error> {
    if (request.activity_id != "event/StepCompleted/s0/1" || lost || live == nullptr) return std::nullopt;
    lost = true;
    const auto input = workflow::ReadFirstJson(*request.input);
    std::vector<state::EventWrite> events;
    for (const Json& event : input->Find("events")->AsArray()) events.push_back(state::ParseEventWrite(event).value());
    EXPECT_TRUE(live->store().AppendEvents(state::TenantScope("acme"), events[0].run_id, events).has_value());
    return Error("STATE_STORE_TIMEOUT", "no answer in time", true);
  }});
  live = &run;
  run.RunToEnd();
  EXPECT_TRUE(lost);
  EXPECT_EQ(run.CountOf("StepStarted"), 2u);
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Emitter, EventsDuringAnOutage_KeepTheirOrder) {
  Outage outage{.activity_id = "event/StepCompleted/a/1", .millis = 2 * kMinute};
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop","dependsOn":[]},
                                {"stepId":"c","kind":"noop","dependsOn":["a","b"]}])"), {.store_fault = Faults(&outage)});
  run.Quiet();
  run.Answer("a", Succeed());
  run.Quiet();
  run.SignalOnly("PAUSE");
  run.Quiet();
  run.Answer("b", Succeed());
  run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepStarted b/1"));
  while (run.Log().size() == 3 && run.FireNextTimer()) run.Quiet();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted a/1", "StepStarted b/1", "StepCompleted a/1", "RunPaused 1", "StepCompleted b/1"));
  run.SignalOnly("RESUME");
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Emitter, Cancel_DuringAnOutage_StillAppendsItsEvents) {
  Outage outage{.activity_id = "event/StepStarted/s0/1", .millis = 2 * kMinute};
  CheckedRun run(ChainPlan(1), {.store_fault = Faults(&outage)});
  run.Quiet();
  run.Signal("CANCEL");
  run.RunToEnd();
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1", "StepFailed s0/1 CANCELLED", "RunCancelled"));
  for (const std::string& scheduled : run.Scheduled()) EXPECT_THAT(scheduled, ::testing::Not(HasSubstr("step/")));
}

TEST(Emitter, ManyEvents_TravelInBatchesOfAHundred) {
  Json steps = Json::MakeArray();
  for (int i = 0; i < 250; ++i) steps.Push(Json::MakeObject({{"stepId", "s" + std::to_string(i)}, {"kind", "noop"}, {"dependsOn", Json::MakeArray()}}));
  size_t largest = 0;
  CheckedRun run(SimplePlan(CanonicalJson(steps), R"({"maxParallelism":256})"),
                 {.policy = {.continue_steps = 0, .history_bytes = 0}, .store_fault = [&](const workflow::LocalActivityRequest& request, UnixMillis) -> std::optional<Error> {
                    if (request.activity_type == "emitEvents") {
                      largest = std::max(largest, workflow::ReadFirstJson(*request.input)->Find("events")->AsArray().size());
                    }
                    return std::nullopt;
                  }});
  run.RunToEnd();
  EXPECT_EQ(largest, 100u);
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
}

TEST(Emitter, RefusedEvent_EndsTheExecutionAsFailed_StartsNothing) {
  CheckedRun run(ChainPlan(3), {.store_fault = [](const workflow::LocalActivityRequest& request, UnixMillis) -> std::optional<Error> {
    if (request.activity_id != "event/StepStarted/s1/1" && request.activity_id != "event/StepCompleted/s0/1") return std::nullopt;
    return Error("INVALID_TRANSITION", "the run was ended from outside");
  }});
  run.RunToEnd();
  EXPECT_EQ(run.FailureType(), "INVALID_TRANSITION");
  EXPECT_THAT(run.Log(), ElementsAre("RunStarted", "StepStarted s0/1"));
  EXPECT_EQ(run.CountOf("RunFailed"), 0u);
}

TEST(Emitter, RefusedRunStarted_LoadsNoPlan) {
  CheckedRun run(ChainPlan(3), {.store_fault = [](const workflow::LocalActivityRequest&, UnixMillis) -> std::optional<Error> {
    return Error("RUN_NOT_FOUND", "no such run");
  }});
  run.RunToEnd();
  EXPECT_EQ(run.FailureType(), "RUN_NOT_FOUND");
  EXPECT_THAT(run.Scheduled(), IsEmpty());
}

TEST(Emitter, SnapshotThatCannotBeCompiled_DoesNotStopTheRun) {
  CheckedRun run(ChainPlan(1), {.store_fault = [](const workflow::LocalActivityRequest& request, UnixMillis) -> std::optional<Error> {
    if (request.activity_type != "compileRunSnapshot") return std::nullopt;
    return Error("STATE_STORE_UNAVAILABLE", "down", true);
  }});
  run.RunToEnd();
  EXPECT_EQ(run.status(), state::RunStatus::kCompleted);
  EXPECT_THAT(run.warnings(), Contains(HasSubstr("no snapshot")));
}

}  // namespace
}  // namespace lockstep::interpreter::testing
