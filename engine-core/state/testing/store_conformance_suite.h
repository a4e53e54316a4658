// One suite for every state store: each row of spec 02 sections 10.1, 10.2, 8 (layer 2), 4.3, 11.2 and 12, and of spec
// 03 section 6. A store's test program includes this header once and instantiates `StoreConformance` with its
// factories:
//   INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance, ::testing::Values(MemoryStoreFactory()), ...);
// A factory gives a fresh, migrated, empty store that takes its time from the fixture's clock.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "engine-core/base/sha256.h"
#include "engine-core/state/keys.h"
#include "engine-core/state/outbox_policy.h"
#include "engine-core/state/projector.h"
#include "engine-core/state/store.h"
#include "engine-core/state/testing/event_builder.h"
#include "engine-core/state/testing/store_fixture.h"
#include "engine-core/state/transactional_store.h"

namespace lockstep::state::testing {

class StoreConformance : public ::testing::TestWithParam<StoreFactory> {
 protected:
  IRunStateStore& store() { return fixture_->store(); }

  BatchResult Bootstrap(EventBuilder& b, bool approval_required = false) {
    auto result = store().BootstrapRun(scope_, b.Metadata(), std::vector{b.Queued(approval_required)});
    EXPECT_TRUE(result) << result.error().ToString();
    return std::move(*result);
  }
  Result<BatchResult> Append(const EventBuilder& b, std::vector<EventWrite> events) {
    return store().AppendEvents(scope_, b.run_id(), events);
  }
  BatchResult MustAppend(const EventBuilder& b, std::vector<EventWrite> events) {
    auto result = Append(b, std::move(events));
    EXPECT_TRUE(result) << result.error().ToString();
    return result ? std::move(*result) : BatchResult{};
  }
  // A run that has ended, eight events long: `RunQueued` and the rest of the vector run.
  void Complete(EventBuilder& b) {
    const auto events = HelloWorldEvents(b);
    ASSERT_TRUE(store().BootstrapRun(scope_, b.Metadata(), std::span(events).first(1)));
    ASSERT_TRUE(store().AppendEvents(scope_, b.run_id(), std::span(events).subspan(1)));
  }
  int64_t Head(const EventBuilder& b) { return *store().HeadSeq(scope_, b.run_id()); }
  void ExpectUnchanged(const EventBuilder& b, int64_t head) {
    EXPECT_EQ(Head(b), head);
    EXPECT_EQ(store().FetchEvents(scope_, b.run_id())->size(), static_cast<size_t>(head));
    if (head > 0) {
      EXPECT_EQ(store().GetSnapshot(scope_, b.run_id())->value(), *store().ProjectSnapshot(scope_, b.run_id()));
    }
  }
  std::vector<std::string> ClaimIds() {
    std::vector<std::string> ids;
    for (const OutboxRecord& record : *store().ClaimOutbox(scope_)) ids.push_back(record.id);
    return ids;
  }

  SignalDecision Decision(const EventBuilder& b, uint64_t number, SignalVerdict verdict = SignalVerdict::kAccepted) {
    SignalDecision decision;
    decision.run_id = b.run_id();
    decision.signal_decision_id = TestUuid(10'000 + number);
    decision.signal_id = TestUuid(20'000 + number);
    decision.signal_type = "PAUSE";
    decision.signal_payload = Json::MakeObject({{"reason", "deploy"}});
    decision.request_fingerprint = SignalFingerprint("PAUSE", decision.signal_payload, "");
    decision.decision = verdict;
    if (verdict == SignalVerdict::kRejected) decision.error_code = "RUN_TERMINAL";
    decision.policy_decision_id = TestUuid(30'000 + number);
    decision.audit.actor_id = "user-1";
    decision.audit.actor_role = "Operator";
    decision.approval_required = verdict == SignalVerdict::kRevisionRequired;
    return decision;
  }
  // The audit event as a caller writes it: number and key are the store's.
  EventWrite AuditEvent(EventBuilder& b, std::string_view type) {
    EventWrite event = b.Signal(type, 1, "PAUSE", Json::MakeObject({{"reason", "deploy"}}));
    event.payload.AsObject().erase("decisionSeq");
    event.idempotency_key.clear();
    return event;
  }

  ManualClock clock_{kEpoch};
  CountingIds ids_{1'000'000};
  RecordingAlerts alerts_;
  std::unique_ptr<StoreFixture> fixture_ = GetParam().make({&clock_, &ids_, &alerts_});
  TenantScope scope_{"t1"};
  TenantScope other_{"t2"};
};

// ---- bootstrapRun

TEST_P(StoreConformance, Bootstrap_WritesMetadataEventsSnapshotHeadAndOutboxTogether) {
  EventBuilder b;
  const BatchResult result = Bootstrap(b);
  EXPECT_EQ(result.head_seq, 1);
  ASSERT_EQ(result.events.size(), 1u);
  EXPECT_TRUE(result.events[0].persisted);
  EXPECT_FALSE(result.events[0].idempotent);
  const auto run = store().GetRunMetadata(scope_, "run-1");
  ASSERT_TRUE(run);
  EXPECT_EQ(run->plan_id, "hello-world");
  EXPECT_EQ(run->created_at, FormatUtcMillis(kEpoch));
  EXPECT_EQ(run->status, RunStatus::kPending);
  EXPECT_TRUE(run->provider_ref.is_null());
  const auto snapshot = store().GetSnapshot(scope_, "run-1");
  ASSERT_TRUE(snapshot && snapshot->has_value());
  EXPECT_EQ(SnapshotHash(**snapshot), result.snapshot_hash);
  EXPECT_EQ(ClaimIds(), std::vector<std::string>{"run-1:1"});
}

TEST_P(StoreConformance, Bootstrap_SecondTimeIsRunAlreadyExistsAndTouchesNothing) {
  EventBuilder b;
  Bootstrap(b);
  EventBuilder again;
  const auto result = store().BootstrapRun(scope_, again.Metadata(), std::vector{again.Queued()});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "RUN_ALREADY_EXISTS");
  ExpectUnchanged(b, 1);
}

TEST_P(StoreConformance, Bootstrap_IdOfAnotherTenantIsRunAlreadyExists) {
  EventBuilder mine, theirs("run-1", "t2");
  Bootstrap(mine);
  EXPECT_EQ(store().BootstrapRun(other_, theirs.Metadata(), std::vector{theirs.Queued()}).error().code,
            "RUN_ALREADY_EXISTS");
  EXPECT_EQ(*store().HeadSeq(other_, "run-1"), 0);
}

TEST_P(StoreConformance, Bootstrap_RequestKeyIsUnique) {
  EventBuilder a("run-a"), b("run-b");
  RunMetadata first = a.Metadata(), second = b.Metadata();
  first.run_request_id = second.run_request_id = "req-0001";
  ASSERT_TRUE(store().BootstrapRun(scope_, first, std::vector{a.Queued()}));
  const auto result = store().BootstrapRun(scope_, second, std::vector{b.Queued()});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "RUN_ALREADY_EXISTS");
  EXPECT_EQ(result.error().Detail("runId"), "run-a");
  const auto found = store().FindRunByRequest(scope_, "p1", "dev", "hello-world", "1.0.0", "req-0001");
  ASSERT_TRUE(found && found->has_value());
  EXPECT_EQ((*found)->run_id, "run-a");
  EXPECT_FALSE(store().FindRunByRequest(other_, "p1", "dev", "hello-world", "1.0.0", "req-0001")->has_value());
}

TEST_P(StoreConformance, Bootstrap_SecondDigestOfAPlanVersionIsPlanVersionConflict) {
  EventBuilder a("run-a"), b("run-b");
  Bootstrap(a);
  RunMetadata second = b.Metadata();
  second.plan_sha256 = Sha256Hex("another plan");
  EXPECT_EQ(store().BootstrapRun(scope_, second, std::vector{b.Queued()}).error().code, "PLAN_VERSION_CONFLICT");
  EXPECT_EQ(*store().HeadSeq(scope_, "run-b"), 0);
}

TEST_P(StoreConformance, Bootstrap_InvalidFirstEventStoresNothing) {
  EventBuilder b;
  EventWrite bad = b.Queued();
  bad.payload.AsObject().erase("planRef");
  EXPECT_EQ(store().BootstrapRun(scope_, b.Metadata(), std::vector{bad}).error().code, "SCHEMA_VALIDATION_FAILED");
  EXPECT_EQ(store().GetRunMetadata(scope_, "run-1").error().code, "RUN_NOT_FOUND");
}

// ---- appendEvents

TEST_P(StoreConformance, Append_NumbersContiguouslyAndKeepsOrder) {
  EventBuilder b;
  Complete(b);
  const auto records = store().FetchEvents(scope_, "run-1");
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 7u);
  EventBuilder same;
  const auto expected = HelloWorldEvents(same);
  for (size_t i = 0; i < records->size(); ++i) {
    EXPECT_EQ((*records)[i].run_seq, static_cast<int64_t>(i) + 1);
    EXPECT_EQ((*records)[i], Recorded(expected[i], static_cast<int64_t>(i) + 1));
  }
  EXPECT_EQ(Head(b), 7);
}

TEST_P(StoreConformance, Append_AnswersTheSnapshotHashOfTheVector) {
  EventBuilder b;
  const auto events = HelloWorldEvents(b);
  ASSERT_TRUE(store().BootstrapRun(scope_, b.Metadata(), std::span(events).first(3)));
  const auto result = store().AppendEvents(scope_, "run-1", std::span(events).subspan(3));
  ASSERT_TRUE(result);
  // The vector's run has these identities and times.
  EXPECT_EQ(result->snapshot_hash, "fee90b78e635e29d2f842538a53b0f1132d1dece1ea013a60c9db77c5c17f013");
  EXPECT_EQ(SnapshotHash(store().GetSnapshot(scope_, "run-1")->value()), result->snapshot_hash);
}

TEST_P(StoreConformance, Append_UnknownRunIsRunNotFound) {
  EventBuilder b;
  EXPECT_EQ(Append(b, {b.Queued()}).error().code, "RUN_NOT_FOUND");
}

TEST_P(StoreConformance, Append_ForeignTenantIsRunNotFound) {
  EventBuilder b;
  Bootstrap(b);
  EXPECT_EQ(store().AppendEvents(other_, "run-1", std::vector{b.Run("RunStarted")}).error().code, "RUN_NOT_FOUND");
  ExpectUnchanged(b, 1);
}

TEST_P(StoreConformance, Append_TakesOneToAHundredEvents) {
  EventBuilder b;
  Bootstrap(b);
  EXPECT_EQ(Append(b, {}).error().code, "SCHEMA_VALIDATION_FAILED");
  std::vector<EventWrite> events;
  for (int i = 1; i <= 101; ++i) events.push_back(b.Plain("VendorNote", i));
  EXPECT_EQ(Append(b, events).error().code, "SCHEMA_VALIDATION_FAILED");
  events.pop_back();
  EXPECT_EQ(MustAppend(b, events).head_seq, 101);
}

TEST_P(StoreConformance, Append_IsAtomicWhenOneWriteIsInvalid) {
  EventBuilder b;
  Bootstrap(b);
  EventWrite bad = b.Step("StepStarted", "s1");
  bad.emitted_at = "now";
  EXPECT_EQ(Append(b, {b.Run("RunStarted"), bad}).error().code, "SCHEMA_VALIDATION_FAILED");
  ExpectUnchanged(b, 1);
}

TEST_P(StoreConformance, Append_WrongKeyIsIdempotencyKeyMismatch) {
  EventBuilder b;
  Bootstrap(b);
  EventWrite bad = b.Run("RunStarted");
  bad.idempotency_key = Sha256Hex("something else");
  EXPECT_EQ(Append(b, {bad}).error().code, "IDEMPOTENCY_KEY_MISMATCH");
  bad.idempotency_key = LegacyIdempotencyKey(bad.run_id, "", 1, "RunStarted", bad.plan_version);
  EXPECT_EQ(Append(b, {bad}).error().code, "IDEMPOTENCY_KEY_MISMATCH") << "the retired formula is refused";
  ExpectUnchanged(b, 1);
}

TEST_P(StoreConformance, Append_EventOfAnotherRunTenantOrPlanIsRefused) {
  EventBuilder b;
  Bootstrap(b);
  EventBuilder elsewhere("run-2"), foreign("run-1", "t2"), replanned("run-1", "t1", "other-plan");
  for (const EventWrite& event :
       {elsewhere.Run("RunStarted"), foreign.Run("RunStarted"), replanned.Run("RunStarted")}) {
    EXPECT_EQ(Append(b, {event}).error().code, "SCHEMA_VALIDATION_FAILED");
  }
  ExpectUnchanged(b, 1);
}

TEST_P(StoreConformance, Append_DuplicateReturnsTheStoredRowAndWritesNothing) {
  EventBuilder b;
  Bootstrap(b);
  const EventWrite started = b.Run("RunStarted");
  const BatchResult first = MustAppend(b, {started});
  ClaimIds();
  clock_.Advance(10'000);
  EventWrite repeat = started;
  repeat.event_id = TestUuid(424242);
  const BatchResult second = MustAppend(b, {repeat});
  ASSERT_EQ(second.events.size(), 1u);
  EXPECT_TRUE(second.events[0].idempotent);
  EXPECT_FALSE(second.events[0].persisted);
  EXPECT_EQ(second.events[0].event_id, started.event_id);
  EXPECT_EQ(second.events[0].run_seq, first.events[0].run_seq);
  EXPECT_EQ(second.events[0].persisted_at, first.events[0].persisted_at);
  EXPECT_EQ(second.snapshot_hash, first.snapshot_hash);
  EXPECT_EQ(second.head_seq, 2);
  ExpectUnchanged(b, 2);
  EXPECT_EQ(alerts_.CountOf("APPEND_CONTENT_MISMATCH"), 0u) << "another event id alone is no other content";
}

TEST_P(StoreConformance, Append_DuplicateWithOtherContentKeepsTheStoredRowAndAlerts) {
  EventBuilder b;
  Bootstrap(b);
  const EventWrite started = b.Run("RunStarted");
  MustAppend(b, {started});
  EventWrite other = started;
  other.payload.Set("stepCount", 99);
  EXPECT_TRUE(MustAppend(b, {other}).events[0].idempotent);
  const auto alerts = alerts_.Taken();
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].code, "APPEND_CONTENT_MISMATCH");
  EXPECT_EQ(alerts[0].severity, Severity::kP3);
  EXPECT_EQ(store().FetchEvents(scope_, "run-1")->back().payload.GetInt("stepCount"), 2);
}

TEST_P(StoreConformance, Append_EqualNumbersInAnotherSpellingAreEqualContent) {
  EventBuilder b;
  Bootstrap(b);
  EventWrite note = b.Plain("VendorNote");
  note.payload = Json::MakeObject({{"n", 1}});
  MustAppend(b, {note});
  note.payload = Json::MakeObject({{"n", 1.0}});
  EXPECT_TRUE(MustAppend(b, {note}).events[0].idempotent);
  EXPECT_EQ(alerts_.CountOf("APPEND_CONTENT_MISMATCH"), 0u);
}

TEST_P(StoreConformance, Append_DuplicatesInsideABatchAreAnsweredInPlace) {
  EventBuilder b;
  Bootstrap(b);
  const EventWrite started = b.Run("RunStarted");
  const BatchResult result = MustAppend(b, {started, b.Step("StepStarted", "s1"), started});
  ASSERT_EQ(result.events.size(), 3u);
  EXPECT_TRUE(result.events[0].persisted);
  EXPECT_TRUE(result.events[1].persisted);
  EXPECT_TRUE(result.events[2].idempotent);
  EXPECT_EQ(result.events[2].run_seq, result.events[0].run_seq);
  EXPECT_EQ(result.head_seq, 3);
}

TEST_P(StoreConformance, Append_TerminalGuardRefusesNewLifecycleEventsAlways) {
  EventBuilder b;
  Complete(b);
  for (const EventWrite& event : {b.Step("StepStarted", "s9"), b.Run("RunFailed"), b.Run("RunPaused")}) {
    const auto first = Append(b, {event});
    ASSERT_FALSE(first);
    EXPECT_EQ(first.error().code, "INVALID_TRANSITION");
    EXPECT_EQ(Append(b, {event}).error().code, "INVALID_TRANSITION") << "a retry gets the same answer";
  }
  ExpectUnchanged(b, 7);
}

TEST_P(StoreConformance, Append_TerminalGuardComesAfterTheDuplicateCheck) {
  EventBuilder b;
  const auto events = HelloWorldEvents(b);
  ASSERT_TRUE(store().BootstrapRun(scope_, b.Metadata(), events));
  EXPECT_TRUE(MustAppend(b, {events[2]}).events[0].idempotent);
}

TEST_P(StoreConformance, Append_TerminalGuardWorksInsideABatch) {
  EventBuilder b;
  Bootstrap(b);
  EXPECT_EQ(Append(b, {b.Run("RunStarted"), b.Run("RunCompleted"), b.Step("StepStarted", "s1")}).error().code,
            "INVALID_TRANSITION");
  ExpectUnchanged(b, 1);
}

TEST_P(StoreConformance, Append_AuditAndUnknownEventsPassAfterTheEnd) {
  EventBuilder b;
  Complete(b);
  EXPECT_EQ(MustAppend(b, {b.Plain("AlertEscalated"), b.Plain("FutureThing")}).head_seq, 9);
  EXPECT_EQ(store().GetRunMetadata(scope_, "run-1")->status, RunStatus::kCompleted);
}

TEST_P(StoreConformance, Append_IllegalButNotTerminalIsStoredFlaggedAndAlertedOnce) {
  EventBuilder b;
  Bootstrap(b);
  const EventWrite illegal = b.Run("RunCompleted");
  MustAppend(b, {illegal});
  MustAppend(b, {illegal});
  EXPECT_EQ(alerts_.CountOf("INVALID_TRANSITION"), 1u);
  const Snapshot snapshot = store().GetSnapshot(scope_, "run-1")->value();
  EXPECT_TRUE(snapshot.inconsistent);
  EXPECT_EQ(snapshot.status, RunStatus::kPending);
  EXPECT_EQ(MustAppend(b, {b.Run("RunStarted")}).head_seq, 3) << "an illegal end does not end the run";
}

TEST_P(StoreConformance, Append_EffectBeforeCauseRaisesP3) {
  EventBuilder b;
  Bootstrap(b);
  MustAppend(b, {b.Run("RunStarted"), b.Step("StepCompleted", "s1")});
  EXPECT_EQ(alerts_.CountOf("PROJECTOR_CAUSAL_VIOLATION"), 1u);
}

TEST_P(StoreConformance, Append_PersistedAtNeverDecreasesWhenTheClockJumpsBack) {
  EventBuilder b;
  Bootstrap(b);
  clock_.Advance(5'000);
  MustAppend(b, {b.Run("RunStarted")});
  clock_.Set(kEpoch - 60'000);
  MustAppend(b, {b.Step("StepStarted", "s1")});
  clock_.Set(kEpoch + 9'000);
  MustAppend(b, {b.Step("StepCompleted", "s1")});
  std::vector<std::string> times;
  for (const EventRecord& record : *store().FetchEvents(scope_, "run-1")) times.push_back(record.persisted_at);
  EXPECT_EQ(times, (std::vector<std::string>{FormatUtcMillis(kEpoch), FormatUtcMillis(kEpoch + 5'000),
                                             FormatUtcMillis(kEpoch + 5'000), FormatUtcMillis(kEpoch + 9'000)}));
}

TEST_P(StoreConformance, Append_KeepsAPayloadOfTheGreatestSize) {
  EventBuilder b;
  Bootstrap(b);
  EventWrite note = b.Plain("VendorNote");
  note.payload = Json::MakeObject({{"n", std::string(kMaxPayloadBytes - 8, 'x')}});
  MustAppend(b, {note});
  EXPECT_EQ(store().FetchEvents(scope_, "run-1")->back().payload, note.payload);
}

TEST_P(StoreConformance, Append_ManyThreadsGiveContiguousNumbersAndTheFullReplay) {
  EventBuilder b;
  Bootstrap(b);
  constexpr int kThreads = 4, kEach = 25;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      EventBuilder mine;
      for (int i = 0; i < kEach; ++i) {
        const EventWrite note = mine.Plain("VendorNote", 1 + t * kEach + i);
        const std::vector<EventWrite> batch = {note};
        EXPECT_TRUE(store().AppendEvents(scope_, "run-1", batch));
        EXPECT_TRUE(store().AppendEvents(scope_, "run-1", batch)->events[0].idempotent);
        EXPECT_TRUE(store().GetSnapshot(scope_, "run-1"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto records = store().FetchEvents(scope_, "run-1");
  ASSERT_EQ(records->size(), 1u + kThreads * kEach);
  for (size_t i = 0; i < records->size(); ++i) EXPECT_EQ((*records)[i].run_seq, static_cast<int64_t>(i) + 1);
  ExpectUnchanged(b, 1 + kThreads * kEach);
}

// ---- reads

TEST_P(StoreConformance, Fetch_PagesAreAscendingAndRepeatable) {
  EventBuilder b;
  Complete(b);
  const auto page = store().FetchEvents(scope_, "run-1", 2, 3);
  ASSERT_TRUE(page);
  ASSERT_EQ(page->size(), 3u);
  EXPECT_EQ(page->front().run_seq, 3);
  EXPECT_EQ(*page, *store().FetchEvents(scope_, "run-1", 2, 3));
  EXPECT_TRUE(store().FetchEvents(scope_, "run-1", 7)->empty());
}

TEST_P(StoreConformance, Fetch_LimitIsOneToTenThousand) {
  for (const int64_t limit : {int64_t{0}, int64_t{-1}, int64_t{10'001}}) {
    EXPECT_EQ(store().FetchEvents(scope_, "run-1", 0, limit).error().code, "VALIDATION_ERROR");
  }
  EXPECT_TRUE(store().FetchEvents(scope_, "run-1", 0, 10'000));
}

TEST_P(StoreConformance, UnknownAndForeignRunsLookTheSame) {
  EventBuilder b;
  Complete(b);
  for (const auto& [scope, run] : {std::pair{other_, "run-1"}, std::pair{scope_, "run-9"}}) {
    EXPECT_EQ(*store().HeadSeq(scope, run), 0);
    EXPECT_TRUE(store().FetchEvents(scope, run)->empty());
    EXPECT_FALSE(store().GetSnapshot(scope, run)->has_value());
    EXPECT_EQ(store().ProjectSnapshot(scope, run).error().code, "RUN_NOT_FOUND");
    EXPECT_EQ(store().GetRunMetadata(scope, run).error().code, "RUN_NOT_FOUND");
    EXPECT_TRUE(store().Resync(scope, run, {})->records.empty());
    EXPECT_TRUE(store().ListSignalDecisions(scope, run)->empty());
  }
  EXPECT_TRUE(store().ListRuns(other_, {})->runs.empty());
  EXPECT_TRUE(store().ClaimOutbox(other_)->empty());
}

TEST_P(StoreConformance, EveryOperationWantsAScope) {
  const TenantScope none{""};
  EventBuilder b;
  const auto code = [](const auto& result) { return result ? std::string("accepted") : result.error().code; };
  EXPECT_EQ(code(store().BootstrapRun(none, b.Metadata(), std::vector{b.Queued()})), "ScopeRequiredError");
  EXPECT_EQ(code(store().AppendEvents(none, "run-1", std::vector{b.Queued()})), "ScopeRequiredError");
  EXPECT_EQ(code(store().FetchEvents(none, "run-1")), "ScopeRequiredError");
  EXPECT_EQ(code(store().HeadSeq(none, "run-1")), "ScopeRequiredError");
  EXPECT_EQ(code(store().GetSnapshot(none, "run-1")), "ScopeRequiredError");
  EXPECT_EQ(code(store().ProjectSnapshot(none, "run-1")), "ScopeRequiredError");
  EXPECT_EQ(code(store().Resync(none, "run-1", {})), "ScopeRequiredError");
  EXPECT_EQ(code(store().GetRunMetadata(none, "run-1")), "ScopeRequiredError");
  EXPECT_EQ(code(store().ListRuns(none, {})), "ScopeRequiredError");
  EXPECT_EQ(code(store().SaveProviderRef(none, "run-1", Json::MakeObject())), "ScopeRequiredError");
  EXPECT_EQ(code(store().PutPlan(none, "{}")), "ScopeRequiredError");
  EXPECT_EQ(code(store().GetPlan(none, "x")), "ScopeRequiredError");
  EXPECT_EQ(code(store().RegisterPlanDigest(none, "p", "1", Sha256Hex("x"))), "ScopeRequiredError");
  EXPECT_EQ(code(store().ReserveEventId(none, "run-1", Sha256Hex("x"), TestUuid(1))), "ScopeRequiredError");
  EXPECT_EQ(code(store().RecordSignalDecision(none, Decision(b, 1), {})), "ScopeRequiredError");
  EXPECT_EQ(code(store().ClaimOutbox(none)), "ScopeRequiredError");
  EXPECT_EQ(code(store().MarkDelivered(none, "run-1:1")), "ScopeRequiredError");
  EXPECT_EQ(code(store().ListDeadLetters(none)), "ScopeRequiredError");
}

TEST_P(StoreConformance, Resync_FullGivesAllRecordsFromOne) {
  EventBuilder b;
  Complete(b);
  const auto answer = store().Resync(scope_, "run-1", {.mode = ResyncRequest::Mode::kFull});
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->snapshot);
  EXPECT_EQ(answer->records, *store().FetchEvents(scope_, "run-1"));
  EXPECT_EQ(answer->head_seq, 7);
}

TEST_P(StoreConformance, Resync_FromSnapshotGivesTheSnapshotAndWhatIsAbove) {
  EventBuilder b;
  Complete(b);
  const auto answer = store().Resync(scope_, "run-1", {.mode = ResyncRequest::Mode::kFromSnapshot, .snapshot_seq = 7});
  ASSERT_TRUE(answer && answer->snapshot);
  Snapshot rebuilt = *answer->snapshot;
  for (const EventRecord& record : answer->records) Project(&rebuilt, record);
  EXPECT_EQ(rebuilt, *store().ProjectSnapshot(scope_, "run-1"));
  EXPECT_EQ(answer->head_seq, 7);
}

TEST_P(StoreConformance, Resync_FromSnapshotFallsBackToFullWithoutOneThatOld) {
  EventBuilder b;
  Complete(b);
  const auto answer = store().Resync(scope_, "run-1", {.mode = ResyncRequest::Mode::kFromSnapshot, .snapshot_seq = 3});
  ASSERT_TRUE(answer);
  Snapshot rebuilt = answer->snapshot.value_or(Snapshot{});
  EXPECT_LE(rebuilt.last_event_seq, 3);
  for (const EventRecord& record : answer->records) Project(&rebuilt, record);
  EXPECT_EQ(rebuilt, *store().ProjectSnapshot(scope_, "run-1"));
}

TEST_P(StoreConformance, ListRuns_NewestFirstPagedByCursorAndFilteredByStatus) {
  for (const std::string id : {"run-a", "run-b", "run-c", "run-d", "run-e"}) {
    EventBuilder b(id);
    Bootstrap(b);
    if (id == "run-b" || id == "run-d") MustAppend(b, {b.Run("RunStarted")});
    if (id != "run-a") clock_.Advance(10);  // a and b share their time
  }
  const auto names = [](const RunPage& page) {
    std::vector<std::string> ids;
    for (const RunMetadata& run : page.runs) ids.push_back(run.run_id);
    return ids;
  };
  RunPage page = *store().ListRuns(scope_, {.limit = 2});
  EXPECT_EQ(names(page), (std::vector<std::string>{"run-e", "run-d"}));
  page = *store().ListRuns(scope_, {.limit = 2, .cursor = page.next_cursor});
  EXPECT_EQ(names(page), (std::vector<std::string>{"run-c", "run-b"}));
  page = *store().ListRuns(scope_, {.limit = 2, .cursor = page.next_cursor});
  EXPECT_EQ(names(page), (std::vector<std::string>{"run-a"}));
  EXPECT_TRUE(page.next_cursor.empty());
  EXPECT_EQ(names(*store().ListRuns(scope_, {.status = RunStatus::kRunning})),
            (std::vector<std::string>{"run-d", "run-b"}));
  EXPECT_EQ(names(*store().ListRuns(scope_, {.status = RunStatus::kFailed})), std::vector<std::string>{});
}

TEST_P(StoreConformance, ListRuns_RefusesForeignCursorsAndLimits) {
  EXPECT_EQ(store().ListRuns(scope_, {.cursor = "zz"}).error().code, "VALIDATION_ERROR");
  EXPECT_EQ(store().ListRuns(scope_, {.limit = 501}).error().code, "VALIDATION_ERROR");
  EXPECT_EQ(store().ListRuns(scope_, {.limit = 0}).error().code, "VALIDATION_ERROR");
}

TEST_P(StoreConformance, SaveProviderRef_IsIdempotentAndKeepsTheProvider) {
  EventBuilder b;
  Bootstrap(b);
  Json reference = Json::MakeObject({{"provider", "mock"}, {"runId", "run-1"}, {"workflowId", "run-1"}});
  EXPECT_TRUE(store().SaveProviderRef(scope_, "run-1", reference));
  EXPECT_TRUE(store().SaveProviderRef(scope_, "run-1", reference));
  EXPECT_EQ(store().GetRunMetadata(scope_, "run-1")->provider_ref, reference);
  EXPECT_EQ(store().SaveProviderRef(scope_, "run-1", Json(reference).Set("provider", "temporal")).error().code,
            "VALIDATION_ERROR");
  EXPECT_EQ(store().SaveProviderRef(scope_, "run-1", Json(reference).Set("runId", "run-2")).error().code,
            "VALIDATION_ERROR");
  EXPECT_EQ(store().SaveProviderRef(other_, "run-1", reference).error().code, "RUN_NOT_FOUND");
}

TEST_P(StoreConformance, EverythingSurvivesAReopen) {
  EventBuilder b;
  Complete(b);
  const Snapshot before = store().GetSnapshot(scope_, "run-1")->value();
  const auto records = *store().FetchEvents(scope_, "run-1");
  if (!fixture_->Reopen()) return;
  EXPECT_EQ(store().GetSnapshot(scope_, "run-1")->value(), before);
  EXPECT_EQ(*store().FetchEvents(scope_, "run-1"), records);
  EXPECT_EQ(MustAppend(b, {b.Plain("FutureThing")}).head_seq, 8);
  ExpectUnchanged(b, 8);
}

TEST_P(StoreConformance, StoredNotesLetProjectionGoOnAfterAReopen) {
  EventBuilder b;
  Bootstrap(b);
  MustAppend(b, {b.Run("RunStarted"), b.Step("StepStarted", "a"), b.Step("StepFailed", "a"),
                 b.Signal("SignalAccepted", 1, "RETRY_STEP", Json::MakeObject({{"stepId", "a"}}))});
  fixture_->Reopen();
  MustAppend(b, {b.Step("StepSkipped", "a", 2)});
  EXPECT_FALSE(store().GetSnapshot(scope_, "run-1")->value().inconsistent);
  ExpectUnchanged(b, 6);
}

// ---- identity

TEST_P(StoreConformance, ReserveEventId_FirstCandidateWins) {
  const std::string key = Sha256Hex("k");
  EXPECT_EQ(*store().ReserveEventId(scope_, "run-1", key, TestUuid(1)), TestUuid(1));
  EXPECT_EQ(*store().ReserveEventId(scope_, "run-1", key, TestUuid(2)), TestUuid(1));
  EXPECT_EQ(*store().ReserveEventId(scope_, "run-2", key, TestUuid(3)), TestUuid(3));
  EXPECT_EQ(*store().ReserveEventId(other_, "run-1", key, TestUuid(4)), TestUuid(4));
  EXPECT_FALSE(store().ReserveEventId(scope_, "run-1", "short", TestUuid(2)));
  EXPECT_FALSE(store().ReserveEventId(scope_, "run-1", key, "not-a-uuid"));
}

TEST_P(StoreConformance, ReserveEventId_AdoptsTheIdOfAnAppendedEvent) {
  EventBuilder b;
  const BatchResult result = Bootstrap(b);
  const std::string key = store().FetchEvents(scope_, "run-1")->front().idempotency_key;
  EXPECT_EQ(*store().ReserveEventId(scope_, "run-1", key, TestUuid(99)), result.events[0].event_id);
}

TEST_P(StoreConformance, RegisterPlanDigest_SecondDigestIsPlanVersionConflict) {
  EXPECT_TRUE(store().RegisterPlanDigest(scope_, "p", "1", Sha256Hex("a")));
  EXPECT_TRUE(store().RegisterPlanDigest(scope_, "p", "1", Sha256Hex("a")));
  EXPECT_TRUE(store().RegisterPlanDigest(scope_, "p", "2", Sha256Hex("b")));
  const Status conflict = store().RegisterPlanDigest(scope_, "p", "1", Sha256Hex("b"));
  ASSERT_FALSE(conflict);
  EXPECT_EQ(conflict.error().code, "PLAN_VERSION_CONFLICT");
  EXPECT_TRUE(store().RegisterPlanDigest(other_, "p", "1", Sha256Hex("b"))) << "per tenant";
}

TEST_P(StoreConformance, PlanStore_IsContentAddressedAndPerTenant) {
  const std::string bytes("{\"planId\":\"p\"}\0tail", 19);
  const auto sha256 = store().PutPlan(scope_, bytes);
  ASSERT_TRUE(sha256);
  EXPECT_EQ(*sha256, Sha256Hex(bytes));
  EXPECT_EQ(*store().PutPlan(scope_, bytes), *sha256);
  EXPECT_EQ(store().GetPlan(scope_, *sha256)->value(), bytes);
  EXPECT_FALSE(store().GetPlan(other_, *sha256)->has_value());
  EXPECT_FALSE(store().GetPlan(scope_, Sha256Hex("absent"))->has_value());
  EXPECT_EQ(store().PutPlan(scope_, std::string(kMaxPlanBytes + 1, ' ')).error().code, "PLAN_TOO_LARGE");
}

// ---- signals (spec 03 section 6)

TEST_P(StoreConformance, Signal_DecisionAndAuditEventCommitTogetherAndAreNumbered) {
  EventBuilder b;
  Bootstrap(b);
  const auto first = store().RecordSignalDecision(scope_, Decision(b, 1), std::vector{AuditEvent(b, "SignalAccepted")});
  ASSERT_TRUE(first) << first.error().ToString();
  const auto second = store().RecordSignalDecision(scope_, Decision(b, 2, SignalVerdict::kRejected),
                                                   std::vector{AuditEvent(b, "SignalRejected")});
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_EQ(first->view.decision.decision_seq, 1);
  EXPECT_EQ(second->view.decision.decision_seq, 2);
  EXPECT_EQ(first->view.decision.audit.tenant_id, "t1");
  EXPECT_EQ(first->view.decision.audit.timestamp, FormatUtcMillis(kEpoch));
  const auto records = *store().FetchEvents(scope_, "run-1");
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[1].logical_attempt_id, 1);
  EXPECT_EQ(records[2].logical_attempt_id, 2);
  EXPECT_EQ(records[2].payload.GetInt("decisionSeq"), 2);
  EXPECT_EQ(first->view.decision.event_run_seq, 2);
  for (const EventRecord& record : records) EXPECT_TRUE(CheckKey(record));
  ExpectUnchanged(b, 3);
}

TEST_P(StoreConformance, Signal_EqualRepeatReturnsTheStoredDecision) {
  EventBuilder b;
  Bootstrap(b);
  const auto first = store().RecordSignalDecision(scope_, Decision(b, 1), std::vector{AuditEvent(b, "SignalAccepted")});
  ASSERT_TRUE(first);
  SignalDecision repeat = Decision(b, 1);
  repeat.signal_decision_id = TestUuid(77);
  repeat.policy_decision_id = TestUuid(78);
  const auto second = store().RecordSignalDecision(scope_, repeat, std::vector{AuditEvent(b, "SignalAccepted")});
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->duplicate);
  EXPECT_EQ(second->view, first->view);
  ExpectUnchanged(b, 2);
}

TEST_P(StoreConformance, Signal_SameIdWithAnotherFingerprintIsSignalDuplicate) {
  EventBuilder b;
  Bootstrap(b);
  ASSERT_TRUE(store().RecordSignalDecision(scope_, Decision(b, 1), std::vector{AuditEvent(b, "SignalAccepted")}));
  SignalDecision other = Decision(b, 1);
  other.request_fingerprint = Sha256Hex("other");
  EXPECT_EQ(store().RecordSignalDecision(scope_, other, std::vector{AuditEvent(b, "SignalAccepted")}).error().code,
            "SIGNAL_DUPLICATE");
  ExpectUnchanged(b, 2);
}

TEST_P(StoreConformance, Signal_InvalidAuditEventStoresNeither) {
  EventBuilder b;
  Bootstrap(b);
  EventWrite bad = AuditEvent(b, "SignalAccepted");
  bad.payload.AsObject().erase("actorRole");
  EXPECT_EQ(store().RecordSignalDecision(scope_, Decision(b, 1), std::vector{bad}).error().code,
            "SCHEMA_VALIDATION_FAILED");
  EXPECT_EQ(store().RecordSignalDecision(scope_, Decision(b, 1), {}).error().code, "SCHEMA_VALIDATION_FAILED");
  EXPECT_EQ(
      store().RecordSignalDecision(scope_, Decision(b, 1), std::vector{AuditEvent(b, "SignalRejected")}).error().code,
      "SCHEMA_VALIDATION_FAILED");
  EXPECT_TRUE(store().ListSignalDecisions(scope_, "run-1")->empty());
  ExpectUnchanged(b, 1);
}

TEST_P(StoreConformance, Signal_PolicyDecisionIdIsGloballyUnique) {
  EventBuilder b;
  Bootstrap(b);
  ASSERT_TRUE(store().RecordSignalDecision(scope_, Decision(b, 1), std::vector{AuditEvent(b, "SignalAccepted")}));
  SignalDecision second = Decision(b, 2);
  second.policy_decision_id = Decision(b, 1).policy_decision_id;
  EXPECT_EQ(store().RecordSignalDecision(scope_, second, std::vector{AuditEvent(b, "SignalAccepted")}).error().code,
            "SCHEMA_VALIDATION_FAILED");
  ExpectUnchanged(b, 2);
}

TEST_P(StoreConformance, Signal_HeadThatMovedIsAConflict) {
  EventBuilder b;
  Bootstrap(b);
  MustAppend(b, {b.Run("RunStarted")});
  const auto stale =
      store().RecordSignalDecision(scope_, Decision(b, 1), std::vector{AuditEvent(b, "SignalAccepted")}, 1);
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, "STATE_STORE_CONFLICT");
  EXPECT_TRUE(stale.error().retryable);
  EXPECT_TRUE(store().RecordSignalDecision(scope_, Decision(b, 1), std::vector{AuditEvent(b, "SignalAccepted")}, 2));
}

TEST_P(StoreConformance, Signal_UnknownOrForeignRunIsRunNotFound) {
  EventBuilder b;
  EXPECT_EQ(
      store().RecordSignalDecision(scope_, Decision(b, 1), std::vector{AuditEvent(b, "SignalAccepted")}).error().code,
      "RUN_NOT_FOUND");
  Bootstrap(b);
  EXPECT_EQ(
      store().RecordSignalDecision(other_, Decision(b, 1), std::vector{AuditEvent(b, "SignalAccepted")}).error().code,
      "RUN_NOT_FOUND");
}

TEST_P(StoreConformance, Signal_IsRecordedOnATerminalRun) {
  EventBuilder b;
  Complete(b);
  EXPECT_TRUE(store().RecordSignalDecision(scope_, Decision(b, 1, SignalVerdict::kRejected),
                                           std::vector{AuditEvent(b, "SignalRejected")}));
}

TEST_P(StoreConformance, Signal_EscalationAddsAlertEscalated) {
  EventBuilder b;
  Bootstrap(b);
  EventWrite escalated = b.Plain("AlertEscalated");
  ASSERT_TRUE(
      store().RecordSignalDecision(scope_, Decision(b, 1), std::vector{AuditEvent(b, "SignalAccepted"), escalated}));
  const auto records = *store().FetchEvents(scope_, "run-1");
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[2].event_type, "AlertEscalated");
  EXPECT_EQ(records[2].payload.Find("decisionSeq"), nullptr);
}

TEST_P(StoreConformance, Signal_LookupsFindTheDecision) {
  EventBuilder b;
  Bootstrap(b);
  const SignalDecision decision = Decision(b, 1);
  const auto stored = store().RecordSignalDecision(scope_, decision, std::vector{AuditEvent(b, "SignalAccepted")});
  ASSERT_TRUE(stored);
  EXPECT_EQ(*store().GetSignalDecision(scope_, "run-1", decision.signal_id), stored->view);
  EXPECT_EQ(*store().GetSignalDecisionByPolicy(scope_, decision.policy_decision_id), stored->view);
  EXPECT_EQ(store().GetSignalDecision(scope_, "run-1", TestUuid(5)).error().code, "SIGNAL_NOT_FOUND");
  EXPECT_EQ(store().GetSignalDecision(other_, "run-1", decision.signal_id).error().code, "SIGNAL_NOT_FOUND");
  EXPECT_EQ(store().GetSignalDecisionByPolicy(other_, decision.policy_decision_id).error().code, "SIGNAL_NOT_FOUND");
}

TEST_P(StoreConformance, Signal_ApprovalIsAnOutcomeRowAndTheDecisionStays) {
  EventBuilder b;
  Bootstrap(b);
  const SignalDecision decision = Decision(b, 1, SignalVerdict::kRevisionRequired);
  ASSERT_TRUE(store().RecordSignalDecision(scope_, decision, {}));
  ExpectUnchanged(b, 1);
  const SignalApproval approval{.approved_by = "user-2", .approved = true, .reason = "fine"};
  const auto audit = std::vector{AuditEvent(b, "SignalAccepted")};
  EXPECT_EQ(
      store()
          .RecordSignalApproval(scope_, decision.signal_decision_id, {.approved_by = "user-1", .approved = true}, audit)
          .error()
          .code,
      "APPROVAL_SELF");
  const auto view = store().RecordSignalApproval(scope_, decision.signal_decision_id, approval, audit);
  ASSERT_TRUE(view) << view.error().ToString();
  EXPECT_EQ(view->decision.decision, SignalVerdict::kRevisionRequired);
  EXPECT_TRUE(view->approval->approved);
  EXPECT_EQ(view->accepted_seq(), 2);
  EXPECT_EQ(*store().RecordSignalApproval(scope_, decision.signal_decision_id, approval, audit), *view);
  const auto rejected = std::vector{AuditEvent(b, "SignalRejected")};
  EXPECT_EQ(store()
                .RecordSignalApproval(scope_, decision.signal_decision_id, {.approved_by = "user-3"}, rejected)
                .error()
                .code,
            "APPROVAL_ALREADY_RESOLVED");
  EXPECT_EQ(store().RecordSignalApproval(other_, decision.signal_decision_id, approval, audit).error().code,
            "SIGNAL_NOT_FOUND");
  ExpectUnchanged(b, 2);
  EXPECT_EQ(*store().GetSignalDecision(scope_, "run-1", decision.signal_id), *view);
}

TEST_P(StoreConformance, Signal_FirstResultWins) {
  EventBuilder b;
  Bootstrap(b);
  const SignalDecision decision = Decision(b, 1);
  ASSERT_TRUE(store().RecordSignalDecision(scope_, decision, std::vector{AuditEvent(b, "SignalAccepted")}));
  const auto first =
      store().RecordSignalResult(scope_, decision.signal_decision_id, {.success = true, .new_run_id = "run-2"});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->result->processed_at, FormatUtcMillis(kEpoch));
  EXPECT_EQ(*store().RecordSignalResult(scope_, decision.signal_decision_id, {.success = false}), *first);
  EXPECT_EQ(store().RecordSignalResult(scope_, TestUuid(1), {}).error().code, "SIGNAL_NOT_FOUND");
}

TEST_P(StoreConformance, Signal_UndeliveredOnesComeInTheOrderOfTheirEffect) {
  EventBuilder b;
  Bootstrap(b);
  ASSERT_TRUE(store().RecordSignalDecision(scope_, Decision(b, 1, SignalVerdict::kRevisionRequired), {}));
  ASSERT_TRUE(store().RecordSignalDecision(scope_, Decision(b, 2), std::vector{AuditEvent(b, "SignalAccepted")}));
  ASSERT_TRUE(store().RecordSignalDecision(scope_, Decision(b, 3, SignalVerdict::kRejected),
                                           std::vector{AuditEvent(b, "SignalRejected")}));
  ASSERT_TRUE(store().RecordSignalApproval(scope_, Decision(b, 1).signal_decision_id,
                                           {.approved_by = "user-2", .approved = true},
                                           std::vector{AuditEvent(b, "SignalAccepted")}));
  const auto sequence = [&] {
    std::vector<int32_t> numbers;
    for (const auto& view : *store().ListUndeliveredSignals(scope_, "run-1"))
      numbers.push_back(view.decision.decision_seq);
    return numbers;
  };
  EXPECT_EQ(sequence(), (std::vector<int32_t>{2, 1}));
  ASSERT_TRUE(store().RecordSignalResult(scope_, Decision(b, 2).signal_decision_id, {.success = true}));
  EXPECT_EQ(sequence(), (std::vector<int32_t>{1}));
  EXPECT_EQ(store().ListSignalDecisions(scope_, "run-1")->size(), 3u);
}

// ---- outbox (section 12)

TEST_P(StoreConformance, Outbox_HoldsOneRecordAnEventAndNoneForDuplicates) {
  EventBuilder b;
  Complete(b);
  MustAppend(b, {HelloWorldEvents(b).front()});
  std::vector<std::string> seen;
  for (auto ids = ClaimIds(); !ids.empty(); ids = ClaimIds()) {
    ASSERT_EQ(ids.size(), 1u);
    seen.push_back(ids[0]);
    ASSERT_TRUE(store().MarkDelivered(scope_, ids[0]));
  }
  EXPECT_EQ(seen,
            (std::vector<std::string>{"run-1:1", "run-1:2", "run-1:3", "run-1:4", "run-1:5", "run-1:6", "run-1:7"}));
}

TEST_P(StoreConformance, Outbox_RecordCarriesTheEvent) {
  EventBuilder b;
  Bootstrap(b);
  const auto claimed = store().ClaimOutbox(scope_);
  ASSERT_EQ(claimed->size(), 1u);
  const OutboxRecord& row = claimed->front();
  const EventRecord event = store().FetchEvents(scope_, "run-1")->front();
  EXPECT_EQ(row.record, CanonicalJson(ToJson(event)));
  EXPECT_EQ(row.event_id, event.event_id);
  EXPECT_EQ(row.idempotency_key, event.idempotency_key);
  EXPECT_EQ(row.run_seq, 1);
  EXPECT_EQ(row.attempts, 0);
  EXPECT_EQ(row.claimed_at, kEpoch);
}

TEST_P(StoreConformance, Outbox_OnlyTheLowestUndeliveredOfARunIsClaimable) {
  EventBuilder a("run-a"), b("run-b");
  Complete(a);
  Complete(b);
  auto ids = ClaimIds();
  std::ranges::sort(ids);
  EXPECT_EQ(ids, (std::vector<std::string>{"run-a:1", "run-b:1"}));
  EXPECT_TRUE(ClaimIds().empty()) << "claimed and not due";
  ASSERT_TRUE(store().MarkDelivered(scope_, "run-b:1"));
  EXPECT_EQ(ClaimIds(), std::vector<std::string>{"run-b:2"});
}

TEST_P(StoreConformance, Outbox_ClaimIsReclaimableAfterTheLease) {
  EventBuilder b;
  Bootstrap(b);
  ASSERT_EQ(ClaimIds().size(), 1u);
  clock_.Advance(kClaimLeaseMs - 1);
  EXPECT_TRUE(ClaimIds().empty());
  clock_.Advance(1);
  EXPECT_EQ(ClaimIds(), std::vector<std::string>{"run-1:1"});
}

TEST_P(StoreConformance, Outbox_ClaimTakesAtMostTheLimit) {
  for (const std::string id : {"run-a", "run-b", "run-c"}) {
    EventBuilder b(id);
    Bootstrap(b);
  }
  EXPECT_EQ(store().ClaimOutbox(scope_, 2)->size(), 2u);
  EXPECT_EQ(store().ClaimOutbox(scope_, 2)->size(), 1u);
  EXPECT_EQ(store().ClaimOutbox(scope_, 0).error().code, "VALIDATION_ERROR");
}

TEST_P(StoreConformance, Outbox_FailureWaitsForItsBackoff) {
  EventBuilder b;
  Bootstrap(b);
  const OutboxRecord row = store().ClaimOutbox(scope_)->front();
  const auto outcome =
      store().MarkFailed(scope_, {.id = row.id, .claim_id = row.claim_id, .error = "refused", .counted = true});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->attempts, 1);
  EXPECT_EQ(outcome->next_attempt_at, kEpoch + BackoffMs(row.id, 1));
  EXPECT_TRUE(ClaimIds().empty());
  clock_.Set(outcome->next_attempt_at);
  const auto again = store().ClaimOutbox(scope_);
  ASSERT_EQ(again->size(), 1u);
  EXPECT_EQ(again->front().last_error, "refused");
  EXPECT_EQ(again->front().attempts, 1);
}

TEST_P(StoreConformance, Outbox_MarkFailedTwiceCountsOnce) {
  EventBuilder b;
  Bootstrap(b);
  const OutboxRecord row = store().ClaimOutbox(scope_)->front();
  const OutboxFailure failure{.id = row.id, .claim_id = row.claim_id, .error = "refused", .counted = true};
  ASSERT_TRUE(store().MarkFailed(scope_, failure));
  EXPECT_EQ(store().MarkFailed(scope_, failure)->attempts, 1);
  EXPECT_EQ(store().MarkFailed(scope_, {.id = row.id, .claim_id = "", .error = "x", .counted = true})->attempts, 1);
}

TEST_P(StoreConformance, Outbox_MarkDeliveredIsIdempotentAndKnowsItsRecords) {
  EventBuilder b;
  Bootstrap(b);
  EXPECT_TRUE(store().MarkDelivered(scope_, "run-1:1"));
  EXPECT_TRUE(store().MarkDelivered(scope_, "run-1:1"));
  EXPECT_EQ(store().MarkDelivered(scope_, "run-1:2").error().code, "OUTBOX_RECORD_NOT_FOUND");
  EXPECT_EQ(store().MarkDelivered(other_, "run-1:1").error().code, "OUTBOX_RECORD_NOT_FOUND");
  EXPECT_EQ(store().MarkDelivered(scope_, "nonsense").error().code, "VALIDATION_ERROR");
}

TEST_P(StoreConformance, Outbox_DeadLetterAfterTenCountedFailuresAndRequeue) {
  EventBuilder b;
  Bootstrap(b);
  MustAppend(b, {b.Run("RunStarted")});
  for (int i = 1; i <= 10; ++i) {
    const auto rows = store().ClaimOutbox(scope_);
    ASSERT_EQ(rows->size(), 1u);
    ASSERT_EQ(rows->front().id, "run-1:1");
    const auto outcome = store().MarkFailed(
        scope_, {.id = "run-1:1", .claim_id = rows->front().claim_id, .error = "refused", .counted = true});
    EXPECT_EQ(outcome->dead_lettered, i == 10);
    clock_.Advance(60'000);
  }
  const auto alerts = alerts_.Taken();
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].code, "EVENT_BUS_DELIVERY_FAILED");
  EXPECT_EQ(alerts[0].severity, Severity::kP1);
  EXPECT_EQ(alerts[0].run_seq, 1);
  EXPECT_EQ(ClaimIds(), std::vector<std::string>{"run-1:2"}) << "later records go on";
  const auto dead = store().ListDeadLetters(scope_);
  ASSERT_EQ(dead->size(), 1u);
  EXPECT_EQ(dead->front().record.id, "run-1:1");
  EXPECT_EQ(dead->front().record.attempts, 10);
  EXPECT_TRUE(store().ListDeadLetters(scope_, 100, "run-1:1")->empty());
  EXPECT_TRUE(store().ListDeadLetters(other_)->empty());
  EXPECT_TRUE(store().RequeueDeadLetter(scope_, "run-1:1", true));
  EXPECT_EQ(store().ListDeadLetters(scope_)->size(), 1u) << "a dry run moves nothing";
  EXPECT_TRUE(store().RequeueDeadLetter(scope_, "run-1:1", false));
  EXPECT_TRUE(store().RequeueDeadLetter(scope_, "run-1:1", false)) << "idempotent";
  EXPECT_TRUE(store().ListDeadLetters(scope_)->empty());
  EXPECT_EQ(ClaimIds(), std::vector<std::string>{"run-1:1"});
  ASSERT_TRUE(store().MarkDelivered(scope_, "run-1:2"));
  ASSERT_TRUE(store().MarkDelivered(scope_, "run-1:1"));
  EXPECT_TRUE(ClaimIds().empty());
  EXPECT_EQ(store().RequeueDeadLetter(scope_, "run-9:1", false).error().code, "OUTBOX_RECORD_NOT_FOUND");
}

TEST_P(StoreConformance, Outbox_UncountedFailuresNeverMakeADeadLetter) {
  EventBuilder b;
  Bootstrap(b);
  for (int i = 0; i < 30; ++i) {
    const auto rows = store().ClaimOutbox(scope_);
    ASSERT_EQ(rows->size(), 1u);
    ASSERT_FALSE(store()
                     .MarkFailed(scope_, {.id = "run-1:1", .claim_id = rows->front().claim_id, .error = "down"})
                     ->dead_lettered);
    clock_.Advance(40'000);
  }
}

}  // namespace lockstep::state::testing
