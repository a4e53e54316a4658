#include <gtest/gtest.h>

#include <set>

#include "engine-core/state/memory/memory_store.h"
#include "engine-core/state/outbox_dispatcher.h"
#include "engine-core/state/outbox_policy.h"
#include "engine-core/state/testing/event_builder.h"

namespace lockstep::state {
namespace {

using testing::EventBuilder;

TEST(BackoffMs, DoublesFrom100MsTo30SecondsPlusAtMostAFifth) {
  const int64_t bases[] = {100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000};
  for (int32_t failures = 1; failures <= 12; ++failures) {
    const int64_t delay = BackoffMs("run-1:1", failures);
    EXPECT_GE(delay, bases[failures - 1]);
    EXPECT_LE(delay, bases[failures - 1] * 6 / 5);
  }
  EXPECT_LE(BackoffMs("run-1:1", INT32_MAX), 36'000);
}

TEST(BackoffMs, JitterDiffersBetweenRecords) {
  std::set<int64_t> delays;
  for (int i = 0; i < 50; ++i) delays.insert(BackoffMs(OutboxId("run-1", i + 1), 10));
  EXPECT_GT(delays.size(), 25u);
}

TEST(ParseOutboxId, ReadsRunIdsThatContainColons) {
  const auto id = ParseOutboxId("a:b:12");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->first, "a:b");
  EXPECT_EQ(id->second, 12);
  for (const std::string_view bad : {"", "a", "a:", ":1", "a:0", "a:-1", "a:1x"})
    EXPECT_FALSE(ParseOutboxId(bad)) << bad;
}

// Refuses what a test names, or everything, or cannot be reached.
class FakeBus final : public IEventBus {
 public:
  Receipt Publish(std::span<const OutboxRecord> records) override {
    if (!reachable) return {Answer::kUnreachable, "connection refused"};
    for (const OutboxRecord& record : records) {
      if (poison.contains(record.id)) return {Answer::kRefused, "too strange"};
    }
    for (const OutboxRecord& record : records) delivered.push_back(record.id);
    return {};
  }
  bool reachable = true;
  std::set<std::string> poison;
  std::vector<std::string> delivered;
};

class DispatchOutboxTest : public ::testing::Test {
 protected:
  void Bootstrap(const std::string& run_id) {
    EventBuilder b(run_id);
    ASSERT_TRUE(store_->BootstrapRun(scope_, b.Metadata(), std::vector{b.Queued(), b.Run("RunStarted")}));
  }
  DispatchReport Round() { return *DispatchOutbox(*store_, scope_, bus_, kOutboxBatch); }

  testing::ManualClock clock_{testing::kEpoch};
  testing::CountingIds ids_;
  testing::RecordingAlerts alerts_;
  std::unique_ptr<IRunStateStore> store_ = MakeMemoryStore({&clock_, &ids_, &alerts_});
  TenantScope scope_{"t1"};
  FakeBus bus_;
};

TEST_F(DispatchOutboxTest, DeliversInOrderOfARun) {
  Bootstrap("run-1");
  EXPECT_EQ(Round().delivered, 1);
  EXPECT_EQ(Round().delivered, 1);
  EXPECT_EQ(Round().claimed, 0);
  EXPECT_EQ(bus_.delivered, (std::vector<std::string>{"run-1:1", "run-1:2"}));
}

TEST_F(DispatchOutboxTest, BusOutageOfHoursIsNeverCounted) {
  Bootstrap("run-1");
  bus_.reachable = false;
  for (int i = 0; i < 100; ++i) {
    const DispatchReport report = Round();
    EXPECT_EQ(report.postponed, 1);
    EXPECT_EQ(report.dead_lettered, 0);
    clock_.Advance(60'000);
  }
  bus_.reachable = true;
  EXPECT_EQ(Round().delivered, 1);
}

TEST_F(DispatchOutboxTest, RefusedBatchIsRetriedRecordByRecordAndOnlyTheCulpritCounts) {
  Bootstrap("run-1");
  Bootstrap("run-2");
  Bootstrap("run-3");
  bus_.poison = {"run-2:1"};
  const DispatchReport report = Round();
  EXPECT_EQ(report.claimed, 3);
  EXPECT_EQ(report.delivered, 2);
  EXPECT_EQ(report.refused, 1);
}

TEST_F(DispatchOutboxTest, TenRefusalsMakeADeadLetterAndTheRunGoesOn) {
  Bootstrap("run-1");
  bus_.poison = {"run-1:1"};
  for (int i = 1; i <= 10; ++i) {
    EXPECT_EQ(Round().dead_lettered, i == 10 ? 1 : 0);
    clock_.Advance(60'000);
  }
  EXPECT_EQ(alerts_.CountOf("EVENT_BUS_DELIVERY_FAILED"), 1u);
  EXPECT_EQ(Round().delivered, 1);
  EXPECT_EQ(bus_.delivered, (std::vector<std::string>{"run-1:2"}));
}

}  // namespace
}  // namespace lockstep::state
