// The engine's events and snapshots during a replay: what counts as the same, and what is reported how.
#include "replay/session/engine_log.h"

#include "replay/session/session_testing.h"

namespace lockstep::replay {
namespace {

using namespace testing;  // NOLINT: this file is about its helpers' run
using interpreter::testing::ChainPlan;
using interpreter::testing::CheckedRun;
using interpreter::testing::FailsFirst;
using interpreter::testing::FailTransient;
using interpreter::testing::SimplePlan;
using interpreter::testing::Succeed;
using ::testing::IsEmpty;
using workflow::DivergenceKind;
using workflow::Grade;

Json StepOf(std::string_view step) { return Json::MakeObject({{"stepId", step}}); }

// A run with everything that others write into its log: queued, signals, a retry, a pause.
std::unique_ptr<CheckedRun> EventfulRun() {
  auto run = std::make_unique<CheckedRun>(ChainPlan(4, R"({"onStepFailure":"hold"})"),
                                          interpreter::testing::PlanScriptOptions{.worker = FailsFirst("s1", 1, FailTransient())});
  run->Quiet();
  run->Signal("PAUSE");
  run->Quiet();
  run->AnswerSteps();
  run->Quiet();
  run->Signal("RESUME");
  run->Quiet();
  run->AnswerSteps();
  run->Quiet();
  run->Signal("RETRY_STEP", StepOf("s1"));
  run->RunToEnd();
  return run;
}

EngineLog LogOf(const CheckedRun& run) { return EngineLog(run.Events(), {{run.Snapshot().last_event_seq, state::SnapshotJson(run.Snapshot())}}); }

TEST(EngineLog, RecordedRun_ReplaysToTheSameEventsAndSnapshot) {
  const auto run = EventfulRun();
  EngineLog log = LogOf(*run);
  EXPECT_EQ(Summaries(ReplayChain(ChainOf(*run), &log)), "");
  EXPECT_TRUE(log.comparable());
  EXPECT_EQ(log.records().size(), run->Events().size());
  for (size_t i = 0; i < log.records().size(); ++i) EXPECT_EQ(CanonicalJson(state::ToJson(log.records()[i])), CanonicalJson(state::ToJson(run->Events()[i])));
  EXPECT_EQ(state::SnapshotHash(log.snapshot()), state::SnapshotHash(run->Snapshot()));
  EXPECT_EQ(state::OutcomeHash(log.snapshot()), run->OutcomeHash());
}

TEST(EngineLog, BareHistory_NeedsNoLog_AndGivesTheSameHashes) {
  const auto run = EventfulRun();
  EngineLog log;
  EXPECT_EQ(Summaries(ReplayChain(ChainOf(*run), &log)), "");
  EXPECT_TRUE(log.comparable());
  EXPECT_EQ(state::SnapshotHash(log.snapshot()), state::SnapshotHash(run->Snapshot()));
  EXPECT_EQ(state::OutcomeHash(log.snapshot()), run->OutcomeHash());
}

TEST(EngineLog, BareHistory_OfAFailedStepSkippedAfterAnAcceptedRetry_IsIdentical) {
  CheckedRun run(ChainPlan(2), {.worker = FailsFirst("s0", 9, FailTransient())});
  run.Quiet();
  run.Signal("PAUSE");
  run.Quiet();
  run.AnswerSteps();
  run.Quiet();
  run.Signal("RETRY_STEP", StepOf("s0"));
  run.Signal("SKIP_STEP", StepOf("s0"));
  run.Quiet();
  run.Signal("RESUME");
  run.RunToEnd();
  EngineLog log;
  EXPECT_EQ(Summaries(ReplayChain(ChainOf(run), &log)), "");
  EXPECT_FALSE(log.snapshot().inconsistent);
}

TEST(EngineLog, BareHistory_OfAnApprovedRun_IsIdentical) {
  CheckedRun run(SimplePlan(R"([{"stepId":"a","kind":"noop"}])", R"({"requiresApproval":true})"), {.approval_required = true});
  run.RunToEnd();
  EngineLog log;
  EXPECT_EQ(Summaries(ReplayChain(ChainOf(run), &log)), "");
  EXPECT_EQ(state::SnapshotHash(log.snapshot()), state::SnapshotHash(run.Snapshot()));
}

TEST(EngineLog, RotatedChain_IsFollowedByOneLog) {
  interpreter::Policy policy;
  policy.continue_steps = 2;
  CheckedRun run(ChainPlan(5), {.policy = policy});
  run.RunToEnd();
  ASSERT_EQ(run.executions(), 3u);
  EngineLog recorded = LogOf(run), bare;
  EXPECT_EQ(Summaries(ReplayChain(ChainOf(run), &recorded)), "");
  EXPECT_EQ(Summaries(ReplayChain(ChainOf(run), &bare)), "");
  EXPECT_EQ(state::SnapshotHash(bare.snapshot()), state::SnapshotHash(run.Snapshot()));
}

TEST(EngineLog, HistoryFromTheMiddleOfAChain_IsReplayedWithoutSnapshots) {
  interpreter::Policy policy;
  policy.continue_steps = 2;
  CheckedRun run(ChainPlan(5), {.policy = policy});
  run.RunToEnd();
  EngineLog log;
  EXPECT_EQ(Summaries(ReplayChain({run.history(1)}, &log)), "");
  EXPECT_FALSE(log.comparable());
}

TEST(EngineLog, RecordedEventDiffers_IsPayloadOnly_NamesEventAndField_Once) {
  const auto run = EventfulRun();
  auto events = run->Events();
  size_t changed = 0;
  for (auto& event : events) {
    if (event.event_type != "StepCompleted" || event.step_id != "s2") continue;
    event.payload.Set("durationMs", 77);
    changed = static_cast<size_t>(event.run_seq);
  }
  EngineLog log(events, {});
  const auto found = ReplayChain(ChainOf(*run), &log);
  ASSERT_EQ(found.size(), 1u) << Summaries(found);
  EXPECT_EQ(found[0].kind, DivergenceKind::kEventChanged);
  EXPECT_EQ(found[0].grade, Grade::kPayloadOnly);
  EXPECT_EQ(found[0].step_id, "s2");
  EXPECT_EQ(found[0].field, "payload.durationMs");
  EXPECT_EQ(found[0].expected, "77");
  EXPECT_EQ(found[0].actual, "");
  EXPECT_EQ(found[0].command, "StepCompleted s2 (runSeq " + std::to_string(changed) + ")");
  EXPECT_GT(found[0].event_id, 0);
  EXPECT_TRUE(found[0].where.known());
}

TEST(EngineLog, MembersOfTheStore_AreNotCompared) {
  const auto run = EventfulRun();
  auto events = run->Events();
  for (auto& event : events) event.meta = Json::MakeObject({{"emittedBy", "system"}});
  EngineLog log(events, {});
  EXPECT_THAT(ReplayChain(ChainOf(*run), &log), IsEmpty());
}

TEST(EngineLog, RecordHasAnEventMore_AtTheEnd_IsReported) {
  const auto run = EventfulRun();
  auto events = run->Events();
  auto extra = run->Event("StepCompleted");
  extra.run_seq = events.back().run_seq + 1;
  events.push_back(extra);
  EngineLog log(events, {});
  const auto found = ReplayChain(ChainOf(*run), &log);
  ASSERT_EQ(found.size(), 1u) << Summaries(found);
  EXPECT_EQ(found[0].kind, DivergenceKind::kEventChanged);
  EXPECT_EQ(found[0].expected, "this event");
}

TEST(EngineLog, RecordHasAnEventMore_InTheMiddle_IsReported) {
  // The history says that the append got runSeq n; the record has another event of the interpreter below it.
  const auto run = EventfulRun();
  auto events = run->Events();
  std::vector<state::EventRecord> changed;
  for (auto event : events) {
    if (event.event_type.starts_with("Signal")) {
      event.event_type = "StepStarted";
      event.step_id = "s3";
    }
    changed.push_back(event);
  }
  EngineLog log(changed, {});
  const auto found = ReplayChain(ChainOf(*run), &log);
  ASSERT_GE(found.size(), 3u);
  EXPECT_EQ(found[0].expected, "this event");
  EXPECT_EQ(found[0].step_id, "s3");
}

// A worker appended an event and was lost before its task was answered; the task that followed asked for the event later, and was
// told of the row that is there. The marker's `runSeq` is then below that of events whose markers come first.
TEST(EngineLog, EventOfALostTask_AskedForAgainLater_IsIdentical_OnlyAfterALostTask) {
  const auto run = EventfulRun();
  auto chain = ChainOf(*run);
  auto events = run->Events();
  std::vector<HistoryEvent*> markers;
  for (int i = 0; markers.size() < 2; ++i) {
    HistoryEvent* marker = LocalMarker(&chain[0], "emitEvents", i);
    ASSERT_NE(marker, nullptr);
    const auto data = workflow::ReadLocalActivityMarker(marker->marker_recorded_event_attributes());
    if (i > 0 && data && data->activity_id.starts_with("event/Step")) markers.push_back(marker);
  }
  std::vector<int64_t> seqs;
  for (HistoryEvent* marker : markers)
    ChangeResult(marker, [&](Json* result) { seqs.push_back((*result).Find("appended")->AsArray()[0].GetInt("runSeq")); });
  for (size_t i = 0; i < 2; ++i)
    ChangeResult(markers[i], [&](Json* result) { result->AsObject()["appended"].AsArray()[0].Set("runSeq", seqs[1 - i]); });
  auto& first = events[static_cast<size_t>(seqs[0] - 1)];
  auto& second = events[static_cast<size_t>(seqs[1] - 1)];
  std::swap(first, second);
  std::swap(first.run_seq, second.run_seq);
  SessionOptions options;
  options.compare_snapshots = false;
  EngineLog lost(events, {});
  lost.NoteLostTask();
  EXPECT_EQ(Summaries(ReplayChain(chain, &lost, options)), "");
  EngineLog none(events, {});
  const auto found = ReplayChain(chain, &none, options);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].expected, "this event");
}

TEST(EngineLog, EventOfALostTask_AskedForByNone_IsDrift_AndNamed) {
  const auto run = EventfulRun();
  auto events = run->Events();
  auto extra = run->Event("StepCompleted");
  extra.run_seq = events.back().run_seq + 1;
  events.push_back(extra);
  auto chain = ChainOf(*run);
  EngineLog log(events, {});
  log.NoteLostTask();
  const auto found = ReplayChain(chain, &log);
  ASSERT_EQ(found.size(), 1u) << Summaries(found);
  EXPECT_EQ(found[0].grade, Grade::kDrift);
  EXPECT_EQ(found[0].run_seq, extra.run_seq);
  EXPECT_NE(found[0].actual.find("lost"), std::string::npos);
}

TEST(EngineLog, RecordEndsEarly_AuditEventsAtTheEnd_AreForeign) {
  const auto run = EventfulRun();
  auto events = run->Events();
  auto audit = run->Event("SignalAccepted");
  audit.run_seq = events.back().run_seq + 1;
  events.push_back(audit);
  EngineLog log(events, {});
  EXPECT_THAT(ReplayChain(ChainOf(*run), &log), IsEmpty());
  EXPECT_EQ(log.last_seq(), audit.run_seq);
}

TEST(EngineLog, ForcedEndByTheEngineCore_IsForeign) {
  CheckedRun run(ChainPlan(2));
  run.Quiet();
  auto events = run.Events();
  auto forced = events.back();
  forced.event_type = "RunCancelled";
  forced.step_id.clear();
  forced.payload = Json::MakeObject({{"forced", true}, {"origin", "SYSTEM"}});
  forced.run_seq = events.back().run_seq + 1;
  events.push_back(forced);
  EngineLog log(events, {});
  EXPECT_THAT(ReplayChain(ChainOf(run), &log), IsEmpty());
  run.RunToEnd();
}

TEST(EngineLog, SnapshotDiffers_IsSnapshotOnly_NamesTheField) {
  const auto run = EventfulRun();
  Json snapshot = state::SnapshotJson(run->Snapshot());
  snapshot.Set("pauseCycles", 2);
  EngineLog log(run->Events(), {{run->Snapshot().last_event_seq, snapshot}});
  const auto found = ReplayChain(ChainOf(*run), &log);
  ASSERT_EQ(found.size(), 1u) << Summaries(found);
  EXPECT_EQ(found[0].kind, DivergenceKind::kSnapshotChanged);
  EXPECT_EQ(found[0].grade, Grade::kSnapshotOnly);
  EXPECT_EQ(found[0].field, "pauseCycles");
  EXPECT_EQ(found[0].expected, "2");
  EXPECT_EQ(found[0].actual, "1");
}

TEST(EngineLog, SnapshotsSwitchedOff_AreNotCompared) {
  const auto run = EventfulRun();
  Json snapshot = state::SnapshotJson(run->Snapshot());
  snapshot.Set("pauseCycles", 2);
  EngineLog log(run->Events(), {{run->Snapshot().last_event_seq, snapshot}});
  SessionOptions options;
  options.compare_snapshots = false;
  EXPECT_THAT(ReplayChain(ChainOf(*run), &log, options), IsEmpty());
}

TEST(EngineLog, BareHistory_DigestOfAnEventDiffers_IsReported) {
  const auto run = EventfulRun();
  History history = run->history(0);
  ChangeResult(LocalMarker(&history, "emitEvents", 1), [](Json* result) { result->Find("appended")->AsArray()[0].Set("digest", std::string(64, '0')); });
  EngineLog log;
  const auto found = ReplayChain({history}, &log);
  ASSERT_EQ(found.size(), 1u) << Summaries(found);
  EXPECT_EQ(found[0].kind, DivergenceKind::kEventChanged);
  EXPECT_EQ(found[0].field, "event");
}

TEST(EngineLog, BareHistory_SnapshotHashDiffers_IsReported) {
  // Without events of others in between: a bare history cannot tell what those have done.
  CheckedRun run(ChainPlan(2));
  run.RunToEnd();
  for (const char* activity : {"emitEvents", "compileRunSnapshot"}) {
    History history = run.history(0);
    HistoryEvent* marker = LocalMarker(&history, activity);
    ChangeResult(marker, [](Json* result) { result->Set("snapshotHash", std::string(64, '0')); });
    EngineLog log;
    const auto found = ReplayChain({history}, &log);
    ASSERT_EQ(found.size(), 1u) << activity << Summaries(found);
    EXPECT_EQ(found[0].kind, DivergenceKind::kSnapshotChanged);
    EXPECT_EQ(found[0].event_id, marker->event_id());
  }
}

TEST(EngineLog, AppendedListOfAnotherLength_IsReported) {
  const auto run = EventfulRun();
  History history = run->history(0);
  ChangeResult(LocalMarker(&history, "emitEvents", 1), [](Json* result) { result->Find("appended")->AsArray().clear(); });
  EngineLog log;
  const auto found = ReplayChain({history}, &log);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].kind, DivergenceKind::kEventChanged);
  EXPECT_EQ(found[0].field, "events");
}

TEST(EngineLog, OtherWorkflows_LeaveItAlone) {
  EngineLog log;
  log.Begin(Json::MakeObject({{"x", 1}}));
  log.Begin(Json::MakeObject({{"ctx", 1}, {"planRef", 2}}));
  EXPECT_EQ(log.records().size() <= 1u, true);
}

TEST(EngineLog, RunsThatFailedOrWereCancelled_AreIdenticalToo) {
  CheckedRun failed(ChainPlan(2), {.worker = FailsFirst("s0", 9, FailTransient())});
  failed.RunToEnd();
  CheckedRun cancelled(ChainPlan(2));
  cancelled.Quiet();
  cancelled.Signal("CANCEL");
  cancelled.Quiet();
  cancelled.Answer("s0", Succeed());
  cancelled.RunToEnd();
  CheckedRun refused(ChainPlan(2), {.store_fault = [](const workflow::LocalActivityRequest& request, UnixMillis) -> std::optional<Error> {
    if (request.activity_id != "event/StepCompleted/s0/1") return std::nullopt;
    return Error("INVALID_TRANSITION", "ended from outside");
  }});
  refused.RunToEnd();
  for (const CheckedRun* run : {&failed, &cancelled, &refused}) {
    EngineLog recorded = LogOf(*run), bare;
    EXPECT_EQ(Summaries(ReplayChain(ChainOf(*run), &recorded)), "");
    EXPECT_EQ(Summaries(ReplayChain(ChainOf(*run), &bare)), "");
  }
}

}  // namespace
}  // namespace lockstep::replay
