// Properties that hold for any sequence of events, on both stores side by side.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine-core/state/projector.h"
#include "engine-core/state/store_fixtures.h"
#include "engine-core/state/testing/event_sequences.h"

namespace lockstep::state {
namespace {

using testing::EventBuilder;
using testing::ManualClock;
using testing::RandomEvents;

// One store with its own clock, fed the same times.
struct Side {
  explicit Side(const testing::StoreFactory& factory) : fixture(factory.make({&clock, &ids, &alerts})) {}
  IRunStateStore& store() { return fixture->store(); }
  ManualClock clock{testing::kEpoch};
  testing::CountingIds ids{1'000'000};
  testing::RecordingAlerts alerts;
  std::unique_ptr<testing::StoreFixture> fixture;
};

// What a caller can see of an append.
std::string Seen(const Result<BatchResult>& result) {
  if (!result) return result.error().ToString();
  std::string text = result->snapshot_hash + " " + std::to_string(result->head_seq);
  for (const AppendResult& event : result->events) text += " " + CanonicalJson(ToJson(event));
  return text;
}

std::string Seen(const std::vector<Alert>& alerts) {
  std::string text;
  for (const Alert& alert : alerts) text += CanonicalJson(ToJson(alert)) + "\n";
  return text;
}

std::string Seen(const Result<std::vector<OutboxRecord>>& rows) {
  std::string text;
  for (const OutboxRecord& row : *rows) {
    text += row.id + " " + row.claim_id + " " + std::to_string(row.attempts) + " " + row.record + "\n";
  }
  return text;
}

void CheckLog(IRunStateStore& store, const TenantScope& scope) {
  const auto records = store.FetchEvents(scope, "run-1", 0, kMaxFetchLimit);
  RC_ASSERT(records.has_value());
  for (size_t i = 0; i < records->size(); ++i) {
    RC_ASSERT((*records)[i].run_seq == static_cast<int64_t>(i) + 1);
    if (i > 0) RC_ASSERT((*records)[i - 1].persisted_at <= (*records)[i].persisted_at);
  }
  const auto stored = store.GetSnapshot(scope, "run-1");
  const auto replayed = store.ProjectSnapshot(scope, "run-1");
  RC_ASSERT(stored.has_value());
  RC_ASSERT(stored->has_value());
  RC_ASSERT(replayed.has_value());
  RC_ASSERT(SnapshotText(**stored) == SnapshotText(*replayed));
  RC_ASSERT(**stored == *replayed);
}

TEST(StoreProperty, MemoryAndSqliteAnswerAlikeForAnySequence) {
  EXPECT_TRUE(rc::check([] {
    Side memory(testing::MemoryStoreFactory()), sqlite(testing::SqliteStoreFactory());
    const TenantScope scope("t1");
    EventBuilder builder;
    const std::vector<EventWrite> first = {builder.Queued(*rc::gen::arbitrary<bool>())};
    RC_ASSERT(Seen(memory.store().BootstrapRun(scope, builder.Metadata(), first)) ==
              Seen(sqlite.store().BootstrapRun(scope, builder.Metadata(), first)));
    const auto events =
        RandomEvents(*rc::gen::container<std::vector<uint32_t>>(rc::gen::arbitrary<uint32_t>()), builder);
    size_t at = 0;
    while (at < events.size()) {
      const auto size = std::min<size_t>(*rc::gen::inRange<size_t>(1, 6), events.size() - at);
      const auto jump = *rc::gen::inRange<int64_t>(-5'000, 10'000);
      memory.clock.Advance(jump);
      sqlite.clock.Advance(jump);
      // Now and then a batch begins with events that were sent before.
      const size_t from = *rc::gen::inRange(0, 4) == 0 ? at - std::min<size_t>(at, 2) : at;
      const std::span batch = std::span(events).subspan(from, at - from + size);
      RC_ASSERT(Seen(memory.store().AppendEvents(scope, "run-1", batch)) ==
                Seen(sqlite.store().AppendEvents(scope, "run-1", batch)));
      RC_ASSERT(Seen(memory.alerts.Taken()) == Seen(sqlite.alerts.Taken()));
      RC_ASSERT(Seen(memory.store().ClaimOutbox(scope)) == Seen(sqlite.store().ClaimOutbox(scope)));
      at += size;
    }
    sqlite.fixture->Reopen();
    RC_ASSERT(*memory.store().FetchEvents(scope, "run-1") == *sqlite.store().FetchEvents(scope, "run-1"));
    RC_ASSERT(*memory.store().GetSnapshot(scope, "run-1") == *sqlite.store().GetSnapshot(scope, "run-1"));
    CheckLog(memory.store(), scope);
    CheckLog(sqlite.store(), scope);
  }));
}

TEST(StoreProperty, DuplicatesChangeNothing) {
  EXPECT_TRUE(rc::check([] {
    Side side(testing::MemoryStoreFactory());
    const TenantScope scope("t1");
    EventBuilder builder;
    const auto events =
        RandomEvents(*rc::gen::container<std::vector<uint32_t>>(rc::gen::arbitrary<uint32_t>()), builder);
    RC_PRE(!events.empty());
    RC_ASSERT(side.store().BootstrapRun(scope, builder.Metadata(), std::span(events).first(1)).has_value());
    for (const EventWrite& event : events) (void)side.store().AppendEvents(scope, "run-1", std::span(&event, 1));
    const auto records = *side.store().FetchEvents(scope, "run-1");
    const auto snapshot = *side.store().GetSnapshot(scope, "run-1");
    (void)side.alerts.Taken();
    for (const EventRecord& record : records) {
      const EventWrite write = record;
      const auto again = side.store().AppendEvents(scope, "run-1", std::span(&write, 1));
      RC_ASSERT(again.has_value());
      RC_ASSERT(again->events.front().idempotent);
      RC_ASSERT(again->events.front().run_seq == record.run_seq);
    }
    RC_ASSERT(*side.store().FetchEvents(scope, "run-1") == records);
    RC_ASSERT(*side.store().GetSnapshot(scope, "run-1") == snapshot);
    RC_ASSERT(side.alerts.Taken().empty());
  }));
}

// Spec 02 section 13. Under sanitizers the first twenty thousand say as much.
#ifdef LOCKSTEP_SANITIZED
constexpr int kDuplicates = 20'000;
#else
constexpr int kDuplicates = 1'000'000;
#endif

TEST(StoreTorture, AMillionDuplicateAppendsChangeNothing) {
  Side side(testing::MemoryStoreFactory());
  const TenantScope scope("t1");
  EventBuilder builder;
  const auto events = testing::HelloWorldEvents(builder);
  ASSERT_TRUE(side.store().BootstrapRun(scope, builder.Metadata(), events));
  const auto before = *side.store().GetSnapshot(scope, "run-1");
  for (int i = 0; i < kDuplicates; ++i) {
    const auto result =
        side.store().AppendEvents(scope, "run-1", std::span(&events[static_cast<size_t>(i) % events.size()], 1));
    ASSERT_TRUE(result && result->events.front().idempotent);
  }
  EXPECT_EQ(*side.store().GetSnapshot(scope, "run-1"), before);
  EXPECT_EQ(*side.store().HeadSeq(scope, "run-1"), 7);
}

}  // namespace
}  // namespace lockstep::state
