// The simulator itself: the same seed is the same run, every invariant finds the defect that breaks it, failures shrink
// to what they take, and the invariants hold for many seeds of this build.
#include "replay/simulate/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <cstdlib>

#include "engine-core/interpreter/plan_run.h"
#include "engine-core/state/keys.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::simulate {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Next = std::function<Result<Json>(const Json&)>;

constexpr uint64_t kSeeds = 2'000;

// The first seed at which this very invariant breaks first.
std::optional<SimulationResult> FirstBreach(std::string_view invariant, const Hooks& hooks) {
  SimulationOptions options;
  options.hooks = &hooks;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    auto run = Simulate(seed, options);
    EXPECT_TRUE(run.has_value()) << run.error().ToString();
    if (run && run->violation && run->violation->invariant == invariant) return *run;
  }
  return std::nullopt;
}

void ExpectFound(std::string_view invariant, const Hooks& hooks) {
  EXPECT_TRUE(FirstBreach(invariant, hooks).has_value()) << invariant;
}

// An append without the events of one type.
Hooks Swallowing(std::string_view type) {
  Hooks hooks;
  hooks.append = [type = std::string(type)](const Json& input, const Next& next) -> Result<Json> {
    Json fewer = input;
    std::erase_if(fewer.Find("events")->AsArray(),
                  [&](const Json& event) { return event.GetString("eventType") == type; });
    if (fewer.Find("events")->AsArray().empty()) return Json::MakeObject({{"appended", Json::MakeArray()}});
    return next(fewer);
  };
  return hooks;
}

// An append in which events of one type are changed; their keys follow.
Hooks Changing(std::string_view type, std::function<void(state::EventWrite*)> change) {
  Hooks hooks;
  hooks.append = [type = std::string(type), change = std::move(change)](const Json& input,
                                                                        const Next& next) -> Result<Json> {
    Json changed = input;
    for (Json& event : changed.Find("events")->AsArray()) {
      if (event.GetString("eventType") != type) continue;
      auto write = state::ParseEventWrite(event);
      if (!write) continue;
      change(&*write);
      write->idempotency_key = state::KeyOf(*write);
      event = state::ToJson(*write);
    }
    return next(changed);
  };
  return hooks;
}

// --- each invariant finds what breaks it
// ---------------------------------------------------------------------------------

TEST(PlantedDefect, RunWithoutTerminalEvent_IsFound) { ExpectFound("run-ends", Swallowing("RunCompleted")); }

TEST(PlantedDefect, RunThatNobodyHelps_IsFound) {
  Hooks hooks;
  hooks.no_help = true;
  ExpectFound("run-ends", hooks);
}

TEST(PlantedDefect, PauseOfTheWrongCycle_IsFound) {
  ExpectFound("legal-transitions",
              Changing("RunPaused", [](state::EventWrite* event) { event->logical_attempt_id += 1; }));
}

TEST(PlantedDefect, LogWithAGap_IsFound) {
  Hooks hooks;
  hooks.log = [](std::vector<state::EventRecord>* log) {
    if (log->size() > 4) log->erase(log->begin() + 3);
  };
  ExpectFound("sequence-is-contiguous", hooks);
}

TEST(PlantedDefect, TwoEventsWithOneKey_IsFound) {
  Hooks hooks;
  hooks.log = [](std::vector<state::EventRecord>* log) {
    if (log->size() > 4) (*log)[4].idempotency_key = (*log)[3].idempotency_key;
  };
  ExpectFound("keys-are-unique", hooks);
}

TEST(PlantedDefect, StoreThatMakesUpEventIds_IsFound) {
  ExpectFound("event-id-is-stable",
              Changing("StepCompleted", [](state::EventWrite* event) { event->event_id.replace(0, 8, "ffffffff"); }));
}

TEST(PlantedDefect, OutcomeOfAnAttemptThatNeverStarted_IsFound) {
  ExpectFound("one-outcome-per-attempt",
              Changing("StepCompleted", [](state::EventWrite* event) { event->logical_attempt_id += 1; }));
}

TEST(PlantedDefect, DispatchBeforeTheAppend_IsFound) {
  ExpectFound("durable-before-dispatch", Swallowing("StepStarted"));
}

TEST(PlantedDefect, StartDuringAPause_IsFound) { ExpectFound("no-dispatch-while-paused", Swallowing("RunResumed")); }

TEST(PlantedDefect, StartBeforeItsDependency_IsFound) {
  ExpectFound("dependencies-are-satisfied", Swallowing("StepCompleted"));
}

TEST(PlantedDefect, MoreAtOnceThanThePlanAllows_IsFound) {
  Hooks hooks;
  hooks.control = [](std::string_view type, Json* result) {
    if (type != "fetchPlan") return;
    for (auto& [name, value] : result->AsObject()) {
      if (Json* width = value.Find("maxParallelism")) *width = Json(200);
      if (name == "maxParallelism") value = Json(200);
    }
  };
  ExpectFound("parallelism-is-bounded", hooks);
}

TEST(PlantedDefect, StartsOutOfOrder_IsFound) {
  Hooks hooks;
  hooks.append = [](const Json& input, const Next& next) -> Result<Json> {
    Json reversed = input;
    auto& events = reversed.Find("events")->AsArray();
    std::reverse(events.begin(), events.end());
    return next(reversed);
  };
  ExpectFound("starts-in-index-order", hooks);
}

TEST(PlantedDefect, SnapshotThatIsNotTheLogs_IsFound) {
  Hooks hooks;
  hooks.snapshot = [](state::Snapshot* snapshot) {
    if (!snapshot->steps.empty()) snapshot->steps.begin()->second.attempts.back().engine_attempt_id += 1;
  };
  ExpectFound("snapshot-is-the-logs", hooks);
}

// A workflow that does something else each time it is built up: fine until the cache is lost.
TEST(PlantedDefect, CodeThatDependsOnTheCache_IsFound) {
  static int built = 0;
  Hooks hooks;
  hooks.registry = [](workflow::WorkflowRegistry* registry) {
    registry->Register("runPlanWorkflow", [](const workflow::Payloads& input) -> wf::Task<wf::WorkflowResult> {
      if (++built % 2 == 0) wf::upsert_memo(Json::MakeObject({{"built", 1}}));
      co_return co_await interpreter::RunPlanWorkflow(input);
    });
  };
  ExpectFound("tasks-succeed", hooks);
}

TEST(PlantedDefect, DecisionThatCannotBeRecorded_IsFound) {
  Hooks hooks;
  hooks.decision = []() -> Status { return Fail("SIGNAL_PERSIST_FAILED", "planted"); };
  ExpectFound("signals-are-recorded", hooks);
}

TEST(PlantedDefect, HistoryThatSaysOtherwise_IsFound) {
  Hooks hooks;
  hooks.history = [](temporal::api::history::v1::History* history) {
    for (auto& event : *history->mutable_events()) {
      if (event.has_activity_task_scheduled_event_attributes())
        event.mutable_activity_task_scheduled_event_attributes()->mutable_activity_type()->set_name("otherwise");
    }
  };
  ExpectFound("replay-is-identical", hooks);
}

TEST(PlantedDefect, SnapshotThatDiffersInBetween_IsFound) {
  Hooks hooks;
  hooks.projected = [](state::EventRecord* event) {
    if (event->event_type == "StepCompleted") event->engine_attempt_id += 1;
  };
  ExpectFound("hashes-equal-at-every-task", hooks);
}

TEST(PlantedDefect, ReplayThatEndsElsewhere_IsFound) {
  Hooks hooks;
  hooks.history = [](temporal::api::history::v1::History* history) {
    using namespace temporal::api::enums::v1;
    for (int i = history->events_size() - 1; i > 0; --i) {
      if (history->events(i).event_type() != EVENT_TYPE_WORKFLOW_TASK_SCHEDULED) continue;
      history->mutable_events()->DeleteSubrange(i, history->events_size() - i);
      return;
    }
  };
  ExpectFound("hashes-equal", hooks);
}

TEST(Invariants, EachHasAPlantedDefect_AndAName) {
  // Kept in step with the tests above by hand: a further invariant needs a further defect.
  EXPECT_EQ(Invariants().size(), 17u);
  std::set<std::string_view> names;
  for (const Invariant& row : Invariants()) EXPECT_TRUE(names.insert(row.name).second) << row.name;
}

// --- the simulator
// -------------------------------------------------------------------------------------------------------

TEST(Simulation, SameSeed_SameRun) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto first = Simulate(seed, {});
    const auto second = Simulate(seed, {});
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->snapshot_hash, second->snapshot_hash);
    EXPECT_EQ(first->events, second->events);
    EXPECT_EQ(first->taken, second->taken);
  }
}

TEST(Simulation, WithoutFaults_NoDecisionGoesBadly) {
  SimulationOptions options;
  options.faults = FaultSet::None();
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto run = Simulate(seed, options);
    ASSERT_TRUE(run.has_value());
    EXPECT_THAT(run->taken, IsEmpty());
    EXPECT_FALSE(run->violation.has_value()) << run->violation->message;
  }
}

TEST(Simulation, SeedsReachEveryKindOfTrouble_AndEveryEnd) {
  std::set<std::string> kinds, statuses;
  int64_t rotated = 0;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const auto run = Simulate(seed, {});
    ASSERT_TRUE(run.has_value());
    for (const std::string& name : run->taken)
      kinds.insert(name.substr(name.rfind(':') + 1,
                               name.rfind('#') == std::string::npos ? std::string::npos : std::string::npos));
    statuses.insert(run->status);
    rotated += run->executions > 1;
  }
  for (const char* kind : {"lost", "idle", "evicted", "twice", "late", "refuse", "fail", "stops", "slow"})
    EXPECT_THAT(kinds, Contains(kind));
  EXPECT_THAT(kinds, Contains(HasSubstr("down#")));
  EXPECT_THAT(kinds, Contains(HasSubstr("unheard#")));
  EXPECT_THAT(statuses, ::testing::UnorderedElementsAre("COMPLETED", "FAILED", "CANCELLED"));
  EXPECT_GT(rotated, 50);
}

TEST(Simulation, GivenPlan_IsSimulatedWithoutRunningItsSteps) {
  SimulationOptions options;
  options.plan = R"({"metadata":{"planId":"p","planVersion":"1","schemaVersion":"v1.2"},"steps":[
      {"stepId":"tool","kind":"process.run","params":{"argv":["false"]},"dependsOn":[]},{"stepId":"end","kind":"echo","params":{"message":"x"},"dependsOn":["tool"]}]})";
  const auto run = Simulate(1, options);
  ASSERT_TRUE(run.has_value()) << run.error().ToString();
  EXPECT_FALSE(run->violation.has_value());
  options.plan = "{}";
  EXPECT_FALSE(Simulate(1, options).has_value());
}

TEST(Shrink, KeepsTheInvariant_AndWhatItTakes) {
  const Hooks hooks = Swallowing("RunResumed");
  SimulationOptions options;
  options.hooks = &hooks;
  const auto found = FirstBreach("no-dispatch-while-paused", hooks);
  ASSERT_TRUE(found.has_value());
  Failure failure;
  failure.result = *found;
  const Failure shrunk = Shrink(failure, options, found->seed);
  EXPECT_EQ(shrunk.result.violation->invariant, "no-dispatch-while-paused");
  EXPECT_LT(shrunk.script.size(), 6u);
  EXPECT_LT(shrunk.script.size(), found->taken.size());
  EXPECT_THAT(shrunk.script, Contains(HasSubstr("signal.")));
  EXPECT_THAT(shrunk.command, HasSubstr("lockstep simulate --seeds " + std::to_string(found->seed) + ".." +
                                        std::to_string(found->seed) + " --only '"));
  options.only = std::set<std::string>(shrunk.script.begin(), shrunk.script.end());
  options.without_steps = shrunk.without_steps;
  const auto again = Simulate(found->seed, options);
  ASSERT_TRUE(again && again->violation);
  EXPECT_EQ(again->violation->message, shrunk.result.violation->message);
}

TEST(ManySeeds, ResultDoesNotDependOnTheNumberOfThreads) {
  BatchOptions batch;
  batch.seeds = {100, 160};
  const auto one = SimulateMany(batch);
  batch.jobs = 3;
  const auto three = SimulateMany(batch);
  ASSERT_TRUE(one && three);
  EXPECT_EQ(CanonicalJson(ToJson(*one)), CanonicalJson(ToJson(*three)));
}

TEST(Faults, AreNamed) {
  EXPECT_EQ(ParseFaults("all")->ToString(), "all");
  EXPECT_EQ(ParseFaults("none")->ToString(), "none");
  EXPECT_EQ(ParseFaults("crashes,failures")->ToString(), "failures,crashes");
  EXPECT_THAT(ParseFaults("rain").error().message, HasSubstr("found rain"));
  EXPECT_EQ(ParseRange("3..7")->last, 7u);
  EXPECT_EQ(ParseRange("5")->first, 5u);
  for (const char* bad : {"", "7..3", "x", "1..", "-1..2"}) EXPECT_FALSE(ParseRange(bad).has_value()) << bad;
}

TEST(WithoutSteps, RewiresWhatDependedOnThem) {
  const std::string plan =
      R"({"metadata":{},"steps":[{"stepId":"a","dependsOn":[]},{"stepId":"b","dependsOn":["a"]},{"stepId":"c","dependsOn":["b"],
      "runIf":[{"step":"b","path":"/n","op":"eq","value":1}]}]})";
  const auto left = ParseJson(WithoutSteps(plan, {"b"}));
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(CanonicalJson(*left->Find("steps")), R"([{"dependsOn":[],"stepId":"a"},{"dependsOn":["a"],"stepId":"c"}])");
  EXPECT_EQ(WithoutSteps(plan, {"a", "b", "c"}), "");
}

}  // namespace
}  // namespace lockstep::simulate
