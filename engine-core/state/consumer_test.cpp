#include "engine-core/state/consumer.h"

#include <gtest/gtest.h>

#include "engine-core/state/projector.h"
#include "engine-core/state/testing/event_builder.h"

namespace lockstep::state {
namespace {

using testing::EventBuilder;
using testing::Recorded;
using testing::RecordedAll;
using Verdict = Consumer::Verdict;

std::vector<EventRecord> HelloWorld() {
  EventBuilder builder;
  return RecordedAll(testing::HelloWorldEvents(builder));
}

TEST(Consumer, AdvancesOverAppliedDuplicateUnknownAndRejected) {
  EventBuilder b;
  Consumer consumer("status", "run-1");
  EXPECT_EQ(consumer.Feed(Recorded(b.Queued(), 1)).verdict, Verdict::kAdvanced);
  EXPECT_EQ(consumer.Feed(Recorded(b.Plain("FutureThing"), 2)).verdict, Verdict::kAdvanced);
  const EventRecord illegal = Recorded(b.Run("RunCompleted"), 3);
  const auto rejected = consumer.Feed(illegal);
  EXPECT_EQ(rejected.verdict, Verdict::kAdvanced);
  ASSERT_FALSE(rejected.alerts.empty());
  EXPECT_EQ(rejected.alerts.front().code, "INVALID_TRANSITION");
  EXPECT_EQ(consumer.watermark().value, 3);
  const auto again = consumer.Feed(illegal);
  EXPECT_EQ(again.verdict, Verdict::kRepeat);
  EXPECT_TRUE(again.alerts.empty());
}

TEST(Consumer, NonContiguousFetchMarksStaleRaisesP2AndAppliesNothing) {
  const auto records = HelloWorld();
  Consumer consumer("status", "run-1");
  consumer.Feed(records[0]);
  const auto answer = consumer.Feed(records[2]);
  EXPECT_EQ(answer.verdict, Verdict::kNeedsResync);
  ASSERT_EQ(answer.alerts.size(), 1u);
  EXPECT_EQ(answer.alerts[0].code, "PROJECTOR_NON_CONTIGUOUS_FETCH_DETECTED");
  EXPECT_EQ(answer.alerts[0].severity, Severity::kP2);
  EXPECT_TRUE(consumer.watermark().stale);
  EXPECT_EQ(consumer.watermark().value, 1);
  EXPECT_TRUE(consumer.Feed(records[3]).alerts.empty()) << "one alert for one gap";
}

TEST(Consumer, ResyncAcceptsAGapAndALateRecordInsideItIsARegression) {
  auto records = HelloWorld();
  const EventRecord late = records[2];
  records.erase(records.begin() + 2);
  Consumer consumer("status", "run-1");
  consumer.Feed(records[0]);
  const auto outcome = consumer.Resync({}, records, 7);
  EXPECT_TRUE(outcome.complete);
  EXPECT_FALSE(consumer.watermark().stale);
  EXPECT_EQ(consumer.watermark().value, 7);
  const auto answer = consumer.Feed(late);
  EXPECT_EQ(answer.verdict, Verdict::kNeedsRebuild);
  ASSERT_EQ(answer.alerts.size(), 1u);
  EXPECT_EQ(answer.alerts[0].code, "PROJECTOR_SEQ_REGRESSION");
  EXPECT_EQ(answer.alerts[0].severity, Severity::kP1);
}

TEST(Consumer, ResyncIsDoneWhenTheHeadIsReachedAlsoOnAQuietRun) {
  const auto records = HelloWorld();
  Consumer consumer("status", "run-1");
  for (const EventRecord& record : records) consumer.Feed(record);
  EXPECT_TRUE(consumer.Resync({}, records, 7).complete) << "no progress beyond the old watermark is needed";
  EXPECT_FALSE(consumer.Resync({}, std::span(records).first(3), 7).complete);
  EXPECT_TRUE(consumer.watermark().stale);
}

TEST(Consumer, HeadBelowTheOldWatermarkIsP1) {
  const auto records = HelloWorld();
  Consumer consumer("status", "run-1");
  for (const EventRecord& record : records) consumer.Feed(record);
  const auto outcome = consumer.Resync({}, std::span(records).first(3), 3);
  ASSERT_FALSE(outcome.alerts.empty());
  EXPECT_EQ(outcome.alerts[0].code, "PROJECTOR_SEQ_REGRESSION");
  EXPECT_EQ(outcome.alerts[0].severity, Severity::kP1);
}

TEST(Consumer, ResyncFromSnapshotEqualsFullResync) {
  const auto records = HelloWorld();
  Consumer full("status", "run-1"), partial("status", "run-1");
  full.Resync({}, records, 7);
  partial.Resync(*Replay(std::span(records).first(4)), std::span(records).subspan(4), 7);
  EXPECT_EQ(full.snapshot(), partial.snapshot());
  EXPECT_EQ(full.watermark(), partial.watermark());
}

TEST(Consumer, RebuildDoesNotRepeatAnAlert) {
  EventBuilder b;
  const auto records = RecordedAll({b.Queued(), b.Run("RunCompleted")});
  Consumer consumer("status", "run-1");
  for (const EventRecord& record : records) consumer.Feed(record);
  EXPECT_TRUE(consumer.Resync({}, records, 2).alerts.empty());
}

TEST(Consumer, GoesOnFromWhatWasSaved) {
  const auto records = HelloWorld();
  Consumer consumer("status", "run-1");
  for (const EventRecord& record : std::span(records).first(4)) consumer.Feed(record);
  const auto watermark = ParseWatermark(*ParseJson(CanonicalJson(ToJson(consumer.watermark()))));
  ASSERT_TRUE(watermark);
  EXPECT_EQ(*watermark, consumer.watermark());
  auto restored = Consumer::Restore(*watermark, consumer.snapshot());
  ASSERT_TRUE(restored);
  for (const EventRecord& record : records) restored->Feed(record);
  EXPECT_EQ(restored->snapshot(), *Replay(records));
}

TEST(Consumer, RestoreRefusesASnapshotOfAnotherPosition) {
  const auto records = HelloWorld();
  Watermark watermark{.consumer = "status", .run_id = "run-1"};
  watermark.Advance(1);
  EXPECT_EQ(Consumer::Restore(watermark, *Replay(records)).error().code, "SNAPSHOT_INVALID");
}

TEST(ParseWatermark, RefusesRangesThatTouchOrDescend) {
  const auto with = [](Json ranges, int64_t value) {
    return Json::MakeObject(
        {{"consumer", "c"}, {"runId", "r"}, {"stale", false}, {"value", value}, {"applied", std::move(ranges)}});
  };
  const auto range = [](int64_t a, int64_t b) { return Json(Json::Array{Json(a), Json(b)}); };
  EXPECT_TRUE(ParseWatermark(with(Json(Json::Array{range(1, 3), range(5, 9)}), 9)));
  EXPECT_FALSE(ParseWatermark(with(Json(Json::Array{range(1, 3), range(4, 9)}), 9)));
  EXPECT_FALSE(ParseWatermark(with(Json(Json::Array{range(5, 9), range(1, 3)}), 3)));
  EXPECT_FALSE(ParseWatermark(with(Json(Json::Array{range(1, 3)}), 4)));
}

}  // namespace
}  // namespace lockstep::state
