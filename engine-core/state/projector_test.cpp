#include "engine-core/state/projector.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine-core/state/testing/event_builder.h"
#include "engine-core/state/testing/event_sequences.h"

namespace lockstep::state {
namespace {

using testing::EventBuilder;
using testing::Recorded;
using testing::RecordedAll;

struct Fold {
  Snapshot snapshot;
  ApplyOutcome last;
};
Fold FoldOf(const std::vector<EventWrite>& events) {
  Fold fold;
  for (const EventRecord& record : RecordedAll(events)) fold.last = Project(&fold.snapshot, record);
  return fold;
}

TEST(Project, IllegalEventChangesNoStatusAdvancesAndFlags) {
  EventBuilder b;
  const Fold fold = FoldOf({b.Queued(), b.Run("RunCompleted")});
  EXPECT_EQ(fold.last.kind, ApplyOutcome::Kind::kRejected);
  EXPECT_EQ(fold.snapshot.status, RunStatus::kPending);
  EXPECT_EQ(fold.snapshot.last_event_seq, 2);
  EXPECT_TRUE(fold.snapshot.inconsistent);
  EXPECT_TRUE(fold.snapshot.completed_at.empty());
}

TEST(Project, AlertOfAnIllegalEventHasEveryFieldOfSection8) {
  EventBuilder b;
  const EventWrite bad = b.Run("RunCompleted");
  const Fold fold = FoldOf({b.Queued(), bad});
  ASSERT_TRUE(fold.last.alert);
  const Alert& alert = *fold.last.alert;
  EXPECT_EQ(alert.code, "INVALID_TRANSITION");
  EXPECT_EQ(alert.run_id, "run-1");
  EXPECT_EQ(alert.tenant_id, "t1");
  EXPECT_EQ(alert.project_id, "p1");
  EXPECT_EQ(alert.environment_id, "dev");
  EXPECT_EQ(alert.event_id, bad.event_id);
  EXPECT_EQ(alert.event_type, "RunCompleted");
  EXPECT_EQ(alert.run_seq, 2);
  EXPECT_EQ(alert.persisted_at, FormatUtcMillis(testing::kEpoch));
  EXPECT_EQ(alert.prior_state, "PENDING");
  EXPECT_EQ(alert.attempted_state, "COMPLETED");
}

TEST(Project, RunQueuedAgainIsRejected) {
  EventBuilder b;
  EXPECT_EQ(FoldOf({b.Queued(), b.Queued()}).last.kind, ApplyOutcome::Kind::kRejected);
}

TEST(Project, ApprovalGateHoldsBothWays) {
  EventBuilder b;
  EXPECT_EQ(FoldOf({b.Queued(true), b.Run("RunStarted")}).last.kind, ApplyOutcome::Kind::kRejected);
  EventBuilder c;
  EXPECT_EQ(FoldOf({c.Queued(false), c.Run("RunApproved")}).last.kind, ApplyOutcome::Kind::kRejected);
  EventBuilder d;
  EXPECT_EQ(FoldOf({d.Queued(true), d.Run("RunApproved"), d.Run("RunStarted")}).snapshot.status, RunStatus::kRunning);
}

TEST(Project, UnknownTypeAdvancesAndChangesNothingElse) {
  EventBuilder b;
  Fold fold = FoldOf({b.Queued(), b.Run("RunStarted")});
  Snapshot before = fold.snapshot;
  const ApplyOutcome outcome = Project(&fold.snapshot, Recorded(b.Plain("StepFutureThing"), 3));
  EXPECT_EQ(outcome.kind, ApplyOutcome::Kind::kIgnoredUnknown);
  before.last_event_seq = 3;
  EXPECT_EQ(fold.snapshot, before);
}

TEST(Project, AuditEventsChangeNoStatus) {
  EventBuilder b;
  Fold fold = FoldOf({b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"), b.Run("RunCancelled")});
  Snapshot before = fold.snapshot;
  int64_t seq = 4;
  for (const std::string_view type : {"SignalAccepted", "SignalRejected", "AlertEscalated"}) {
    EXPECT_EQ(Project(&fold.snapshot, Recorded(b.Plain(type), ++seq)).kind, ApplyOutcome::Kind::kApplied);
  }
  before.last_event_seq = seq;
  EXPECT_EQ(fold.snapshot, before);
}

TEST(Project, RecordAppliedTwiceIsANoOp) {
  EventBuilder b;
  const auto records = RecordedAll({b.Queued(), b.Run("RunStarted"), b.Run("RunCompleted")});
  Snapshot snapshot;
  for (const EventRecord& record : records) Project(&snapshot, record);
  const Snapshot before = snapshot;
  for (const EventRecord& record : records) EXPECT_EQ(Project(&snapshot, record).kind, ApplyOutcome::Kind::kDuplicate);
  EXPECT_EQ(snapshot, before);
}

TEST(Project, SkipOfAFailedStepNeedsAnAcceptedRetry) {
  EventBuilder b;
  const std::vector<EventWrite> failed = {b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"),
                                          b.Step("StepFailed", "a")};
  std::vector<EventWrite> without = failed;
  without.push_back(b.Step("StepSkipped", "a", 2));
  EXPECT_EQ(FoldOf(without).last.kind, ApplyOutcome::Kind::kRejected);
  std::vector<EventWrite> with = failed;
  with.push_back(b.Signal("SignalAccepted", 1, "RETRY_STEP", Json::MakeObject({{"stepId", "a"}})));
  with.push_back(b.Step("StepSkipped", "a", 2));
  const Fold fold = FoldOf(with);
  EXPECT_EQ(fold.last.kind, ApplyOutcome::Kind::kApplied);
  EXPECT_EQ(fold.snapshot.steps.at("a").status(), StepStatus::kSkipped);
  EXPECT_EQ(fold.snapshot.steps.at("a").attempts.front().status, StepStatus::kFailed) << "old attempts stay unchanged";
}

TEST(Project, AcceptedRetryIsUsedUpByTheNextAttempt) {
  EventBuilder b;
  EXPECT_EQ(FoldOf({b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"), b.Step("StepFailed", "a"),
                    b.Signal("SignalAccepted", 1, "RETRY_STEP", Json::MakeObject({{"stepId", "a"}})),
                    b.Step("StepStarted", "a", 2), b.Step("StepFailed", "a", 2), b.Step("StepSkipped", "a", 3)})
                .last.kind,
            ApplyOutcome::Kind::kRejected);
}

TEST(Project, TerminalEventCarriesTheEngineAttempt) {
  EventBuilder b;
  EventWrite done = b.Step("StepCompleted", "a");
  done.engine_attempt_id = 3;
  const Fold fold = FoldOf({b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"), done});
  EXPECT_EQ(fold.snapshot.steps.at("a").attempts.back().engine_attempt_id, 3);
}

TEST(Project, RunCompletedWithARunningAttemptIsRejected) {
  EventBuilder b;
  EXPECT_EQ(FoldOf({b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"), b.Run("RunCompleted")}).last.kind,
            ApplyOutcome::Kind::kRejected);
}

TEST(Project, PauseCyclesFollowTheirNumbers) {
  EventBuilder b;
  std::vector<EventWrite> events = {b.Queued(),
                                    b.Run("RunStarted"),
                                    b.Run("RunPaused", 1),
                                    b.Run("RunResumed", 1),
                                    b.Run("RunPaused", 2),
                                    b.Run("RunResumed", 2)};
  const Fold fold = FoldOf(events);
  EXPECT_EQ(fold.snapshot.pause_cycles, 2);
  EXPECT_FALSE(fold.snapshot.inconsistent);
  EventBuilder c;
  EXPECT_EQ(FoldOf({c.Queued(), c.Run("RunStarted"), c.Run("RunPaused", 2)}).last.kind, ApplyOutcome::Kind::kRejected);
}

TEST(Project, EffectBeforeItsCauseIsACausalInversion) {
  EventBuilder b;
  EXPECT_TRUE(FoldOf({b.Queued(), b.Run("RunStarted"), b.Step("StepCompleted", "a")}).last.causal_inversion);
  EventBuilder c;
  EXPECT_TRUE(FoldOf({c.Queued(), c.Step("StepStarted", "a")}).last.causal_inversion);
  EventBuilder d;
  EXPECT_TRUE(FoldOf({d.Queued(), d.Run("RunStarted"), d.Run("RunResumed", 1)}).last.causal_inversion);
  EventBuilder e;
  EXPECT_FALSE(
      FoldOf({e.Queued(), e.Run("RunStarted"), e.Run("RunFailed"), e.Run("RunCompleted")}).last.causal_inversion);
}

TEST(Project, PayloadOfAForeignBuildNeverBreaksTheReducer) {
  EventBuilder b;
  EventWrite failed = b.Step("StepFailed", "a");
  failed.payload = Json::MakeObject(
      {{"error", "text"}, {"artifactRefs", Json(Json::Array{Json(1), Json::MakeObject({{"uri", 5}})})}});
  EventWrite skipped = b.Step("StepSkipped", "b");
  skipped.payload = Json::MakeObject({{"reasonCode", "A_WORD_OF_TOMORROW"}});
  const Fold fold = FoldOf({b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"), failed, skipped});
  EXPECT_EQ(fold.snapshot.steps.at("a").status(), StepStatus::kFailed);
  EXPECT_TRUE(fold.snapshot.steps.at("a").attempts.back().artifacts.empty());
  EXPECT_EQ(fold.snapshot.steps.at("b").attempts.back().reason_code, "A_WORD_OF_TOMORROW");
}

TEST(Replay, RefusesMixedRunsAndNumbersThatDoNotAscend) {
  EventBuilder a("run-1"), b("run-2");
  EXPECT_EQ(Replay(std::vector{Recorded(a.Queued(), 1), Recorded(b.Queued(), 2)}).error().code, "EVENT_LOG_INVALID");
  EXPECT_EQ(Replay(std::vector{Recorded(a.Queued(), 2), Recorded(a.Run("RunStarted"), 2)}).error().code,
            "EVENT_LOG_INVALID");
  EXPECT_TRUE(Replay(std::vector{Recorded(a.Queued(), 2), Recorded(a.Run("RunStarted"), 5)})) << "gaps are legal";
}

TEST(ProjectProperty, IncrementalThroughStoredFormEqualsFullReplayByteForByte) {
  EXPECT_TRUE(rc::check([] {
    EventBuilder builder;
    const auto choices = *rc::gen::container<std::vector<uint32_t>>(rc::gen::arbitrary<uint32_t>());
    const auto records = RecordedAll(testing::RandomEvents(choices, builder));
    Snapshot incremental;
    for (const EventRecord& record : records) {
      const Snapshot next = Apply(incremental, record);
      // Each step passes through what a store keeps, so nothing may live only in memory.
      const auto stored = ParseStoredSnapshot(*ParseJson(CanonicalJson(StoredSnapshotJson(next))));
      RC_ASSERT(stored.has_value());
      incremental = *stored;
    }
    const auto full = Replay(records);
    RC_ASSERT(full.has_value());
    RC_ASSERT(*full == incremental);
    RC_ASSERT(SnapshotText(*full) == SnapshotText(incremental));
  }));
}

TEST(ProjectProperty, RejectedEventsChangeNothingButNumberAndFlag) {
  EXPECT_TRUE(rc::check([] {
    EventBuilder builder;
    const auto choices = *rc::gen::container<std::vector<uint32_t>>(rc::gen::arbitrary<uint32_t>());
    const auto records = RecordedAll(testing::RandomEvents(choices, builder));
    Snapshot snapshot;
    for (const EventRecord& record : records) {
      Snapshot before = snapshot;
      const ApplyOutcome outcome = Project(&snapshot, record);
      RC_ASSERT(outcome.alert.has_value() == (outcome.kind == ApplyOutcome::Kind::kRejected));
      if (outcome.kind != ApplyOutcome::Kind::kRejected || before.last_event_seq == 0) continue;
      before.last_event_seq = record.run_seq;
      before.inconsistent = true;
      RC_ASSERT(snapshot == before);
    }
  }));
}

}  // namespace
}  // namespace lockstep::state
