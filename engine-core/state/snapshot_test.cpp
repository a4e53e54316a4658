#include "engine-core/state/snapshot.h"

#include <gtest/gtest.h>

#include "engine-core/base/sha256.h"
#include "engine-core/state/projector.h"
#include "engine-core/state/testing/event_builder.h"

namespace lockstep::state {
namespace {

using testing::EventBuilder;
using testing::RecordedAll;

Snapshot ReplayOf(const std::vector<EventWrite>& events) {
  auto snapshot = Replay(RecordedAll(events));
  EXPECT_TRUE(snapshot);
  return std::move(*snapshot);
}

Snapshot HelloWorld() {
  EventBuilder builder;
  return ReplayOf(testing::HelloWorldEvents(builder));
}

TEST(SnapshotHash, EqualsTheVectorOfSpec02Section9) {
  const Snapshot snapshot = HelloWorld();
  EXPECT_EQ(SnapshotText(snapshot).size(), 716u);
  EXPECT_EQ(SnapshotHash(snapshot), "fee90b78e635e29d2f842538a53b0f1132d1dece1ea013a60c9db77c5c17f013");
}

TEST(OutcomeHash, EqualsTheVectorOfSpec02Section9) {
  const Snapshot snapshot = HelloWorld();
  EXPECT_EQ(
      CanonicalJson(OutcomeJson(snapshot)),
      R"({"planId":"hello-world","planVersion":"1.0.0","status":"COMPLETED","steps":{)"
      R"("s1":{"artifacts":[],"status":"SUCCESS"},"s2":{"artifacts":[],"status":"SUCCESS"}}})");
  EXPECT_EQ(OutcomeHash(snapshot), "bcaaee094be9179bbfcffeabc11cea12934c123333d80faea0313db9b690caeb");
}

Json Artifact(std::string_view kind, std::string_view sha256, std::string_view uri) {
  return Json::MakeObject({{"kind", kind}, {"sha256", sha256}, {"uri", uri}});
}

// A run with every optional member in use somewhere.
std::vector<EventWrite> EventfulRun(EventBuilder& b) {
  std::vector<EventWrite> events = {b.Queued(true),
                                    b.Run("RunApproved"),
                                    b.Run("RunStarted"),
                                    b.Step("StepStarted", "a"),
                                    b.Step("StepFailed", "a"),
                                    b.Signal("SignalAccepted", 1, "RETRY_STEP", Json::MakeObject({{"stepId", "a"}})),
                                    b.Step("StepStarted", "a", 2),
                                    b.Run("RunPaused"),
                                    b.Step("StepCompleted", "a", 2),
                                    b.Run("RunResumed"),
                                    b.Step("StepSkipped", "b/c"),
                                    b.Run("RunPaused", 3)};
  events[8].payload =
      Json::MakeObject({{"artifactRefs", Json(Json::Array{Artifact("table", std::string(64, 'b'), "file:b"),
                                                          Artifact("log", std::string(64, 'a'), "file:a")})}});
  return events;
}

TEST(SnapshotText, EqualsCanonicalJsonOfSnapshotJson) {
  EventBuilder builder;
  std::vector<EventRecord> records = RecordedAll(EventfulRun(builder));
  Snapshot snapshot;
  for (const EventRecord& record : records) {
    Project(&snapshot, record);
    EXPECT_EQ(SnapshotText(snapshot), CanonicalJson(SnapshotJson(snapshot)));
  }
  EXPECT_TRUE(snapshot.inconsistent);
}

TEST(SnapshotHash, OfARunLongerThanOneChunkIsTheDigestOfItsText) {
  EventBuilder b;
  std::vector<EventWrite> events = {b.Queued(), b.Run("RunStarted")};
  for (int i = 0; i < 300; ++i) events.push_back(b.Step("StepStarted", "step-" + std::to_string(i)));
  const Snapshot snapshot = ReplayOf(events);
  ASSERT_GT(SnapshotText(snapshot).size(), size_t{40'000});
  EXPECT_EQ(SnapshotHash(snapshot), Sha256Hex(SnapshotText(snapshot)));
}

TEST(ParseStoredSnapshot, GivesBackTheSnapshotWithItsNotes) {
  EventBuilder builder;
  const Snapshot snapshot = ReplayOf(EventfulRun(builder));
  const auto parsed = ParseStoredSnapshot(*ParseJson(CanonicalJson(StoredSnapshotJson(snapshot))));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, snapshot);
}

TEST(ParseSnapshot, GivesBackTheCanonicalPart) {
  EventBuilder builder;
  const Snapshot snapshot = ReplayOf(EventfulRun(builder));
  const auto parsed = ParseSnapshot(*ParseJson(SnapshotText(snapshot)));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(SnapshotText(*parsed), SnapshotText(snapshot));
}

TEST(ParseSnapshot, NamesTheMemberThatIsWrong) {
  const Json good = SnapshotJson(HelloWorld());
  const std::pair<std::string_view, Json> cases[] = {
      {"runId", ""},          {"status", "SUCCESS"}, {"lastEventSeq", 0},         {"pauseCycles", -1},
      {"inconsistent", "no"}, {"startedAt", "noon"}, {"steps", Json::MakeArray()}};
  for (const auto& [name, value] : cases) {
    const auto parsed = ParseSnapshot(Json(good).Set(name, value));
    ASSERT_FALSE(parsed) << name;
    EXPECT_EQ(parsed.error().code, "SNAPSHOT_INVALID");
    EXPECT_NE(parsed.error().message.find(name), std::string::npos) << parsed.error().message;
  }
  Json wrong_step = good;
  wrong_step.Find("steps")->Find("s1")->Set("status", "FAILED");
  EXPECT_FALSE(ParseSnapshot(wrong_step));
}

TEST(OutcomeHash, IgnoresPausesRetriesIdsAndTimes) {
  EventBuilder plain("run-1");
  EventBuilder eventful("run-2", "t2");
  const Snapshot a = ReplayOf({plain.Queued(), plain.Run("RunStarted"), plain.Step("StepStarted", "s"),
                               plain.Step("StepCompleted", "s"), plain.Run("RunCompleted")});
  const Snapshot b = ReplayOf({eventful.Queued(), eventful.Run("RunStarted"), eventful.Step("StepStarted", "s"),
                               eventful.Step("StepFailed", "s"), eventful.Run("RunPaused"), eventful.Run("RunResumed"),
                               eventful.Step("StepStarted", "s", 2), eventful.Step("StepCompleted", "s", 2),
                               eventful.Run("RunCompleted")});
  EXPECT_EQ(OutcomeHash(a), OutcomeHash(b));
  EXPECT_NE(SnapshotHash(a), SnapshotHash(b));
}

TEST(OutcomeJson, SortsArtifactsAndCarriesCodes) {
  EventBuilder b;
  EventWrite done = b.Step("StepCompleted", "a");
  done.payload = Json::MakeObject({{"artifactRefs", Json(Json::Array{Artifact("t", std::string(64, 'b'), "u:1"),
                                                                     Artifact("t", std::string(64, 'a'), "u:2")})}});
  const Snapshot snapshot =
      ReplayOf({b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"), done, b.Step("StepStarted", "f"),
                b.Step("StepFailed", "f"), b.Step("StepSkipped", "k")});
  const Json outcome = OutcomeJson(snapshot);
  EXPECT_EQ(outcome.At("/steps/a/artifacts/0/sha256")->AsString(), std::string(64, 'a'));
  EXPECT_EQ(outcome.At("/steps/a/artifacts/0/uri"), nullptr);
  EXPECT_EQ(outcome.At("/steps/f/errorCode")->AsString(), "PERMANENT_STEP_ERROR");
  EXPECT_EQ(outcome.At("/steps/k/reasonCode")->AsString(), "CONDITION_FALSE");
  EXPECT_EQ(outcome.At("/steps/a/errorCode"), nullptr);
}

TEST(Substatus, DrainingWhilePausedWithARunningAttempt) {
  EventBuilder b;
  std::vector<EventWrite> events = {b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"), b.Run("RunPaused")};
  EXPECT_EQ(Substatus(ReplayOf(events), {}), "DRAINING");
  events.push_back(b.Step("StepCompleted", "a"));
  EXPECT_EQ(Substatus(ReplayOf(events), {}), "");
}

TEST(Substatus, WaitingApprovalWhilePendingWithApprovalRequired) {
  EventBuilder b;
  EXPECT_EQ(Substatus(ReplayOf({b.Queued(true)}), {}), "WAITING_APPROVAL");
  EventBuilder c;
  EXPECT_EQ(Substatus(ReplayOf({c.Queued(false)}), {}), "");
  EventBuilder d;
  EXPECT_EQ(Substatus(ReplayOf({d.Queued(true), d.Run("RunApproved")}), {}), "");
}

TEST(Substatus, WaitingOperatorNeedsHoldAFinalFailureAndNothingRunning) {
  EventBuilder b;
  std::vector<EventWrite> events = {b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"),
                                    b.Step("StepFailed", "a")};
  EXPECT_EQ(Substatus(ReplayOf(events), {.hold_on_step_failure = true}), "WAITING_OPERATOR");
  EXPECT_EQ(Substatus(ReplayOf(events), {.hold_on_step_failure = false}), "");
  std::vector<EventWrite> retried_later = events;
  retried_later[3].payload.Set("final", false);
  EXPECT_EQ(Substatus(ReplayOf(retried_later), {.hold_on_step_failure = true}), "");
  events.push_back(b.Step("StepStarted", "b"));
  EXPECT_EQ(Substatus(ReplayOf(events), {.hold_on_step_failure = true}), "");
}

TEST(Substatus, RetryingWhileTheNewestAttemptAboveOneRuns) {
  EventBuilder b;
  std::vector<EventWrite> events = {b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"),
                                    b.Step("StepFailed", "a"), b.Step("StepStarted", "a", 2)};
  EXPECT_EQ(Substatus(ReplayOf(events), {}), "RETRYING");
  events.push_back(b.Run("RunPaused"));
  EXPECT_EQ(Substatus(ReplayOf(events), {}), "DRAINING") << "DRAINING comes first";
}

TEST(TotalDurationMs, IsCompletedMinusStarted) { EXPECT_EQ(TotalDurationMs(HelloWorld()), 5); }

TEST(RunArtifacts, FollowRunSeqOfCompletionAndLeaveOutOldAttempts) {
  EventBuilder b;
  EventWrite z = b.Step("StepCompleted", "z");
  z.payload = Json::MakeObject({{"artifactRefs", Json(Json::Array{Artifact("t", std::string(64, '1'), "u:z")})}});
  EventWrite failed = b.Step("StepFailed", "a");
  failed.payload.Set("artifactRefs", Json(Json::Array{Artifact("t", std::string(64, '2'), "u:old")}));
  EventWrite a = b.Step("StepCompleted", "a", 2);
  a.payload = Json::MakeObject({{"artifactRefs", Json(Json::Array{Artifact("t", std::string(64, '3'), "u:a")})}});
  const Json::Array artifacts =
      RunArtifacts(ReplayOf({b.Queued(), b.Run("RunStarted"), b.Step("StepStarted", "a"), failed,
                             b.Step("StepStarted", "z"), b.Step("StepStarted", "a", 2), z, a}));
  ASSERT_EQ(artifacts.size(), 2u);
  EXPECT_EQ(artifacts[0].GetString("uri"), "u:z");
  EXPECT_EQ(artifacts[1].GetString("uri"), "u:a");
}

}  // namespace
}  // namespace lockstep::state
