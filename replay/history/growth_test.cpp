// How histories grow and when they would hit a limit.
#include "replay/history/growth.h"

#include <gmock/gmock.h>

#include "replay/history/history_testing.h"

namespace lockstep::history {
namespace {

using ::testing::HasSubstr;

// An open run with one activity a second.
History Steady(int activities) {
  History history;
  const auto add = [&](int type, int64_t second) {
    HistoryEvent* event = history.add_events();
    event->set_event_id(history.events_size());
    event->set_event_type(static_cast<temporal::api::enums::v1::EventType>(type));
    event->mutable_event_time()->set_seconds(1'700'000'000 + second);
    return event;
  };
  add(1, 0)->mutable_workflow_execution_started_event_attributes()->mutable_workflow_type()->set_name("w");
  for (int i = 1; i <= activities; ++i) {
    add(10, i)->mutable_activity_task_scheduled_event_attributes()->mutable_activity_type()->set_name("work");
    const int64_t scheduled = history.events_size();
    auto* done = add(12, i)->mutable_activity_task_completed_event_attributes();
    done->set_scheduled_event_id(scheduled);
    done->mutable_result()->add_payloads()->set_data(std::string(1'000, 'x'));
  }
  return history;
}

TEST(Growth, EventsOfAnActivity_CountForIt) {
  const GrowthReport report = MeasureGrowth(Steady(50));
  EXPECT_EQ(report.events, 101);
  ASSERT_FALSE(report.causes.empty());
  EXPECT_EQ(report.causes[0].name, "activity work");
  EXPECT_EQ(report.causes[0].events, 100);
  EXPECT_FALSE(report.bytes_of_server);
}

TEST(Growth, SteadyPace_TellsWhenTheLimitsAreReached) {
  const GrowthReport report = MeasureGrowth(Steady(400));
  // Two events a second: 51 200 events take about 25 600 s in all.
  EXPECT_NEAR(static_cast<double>(report.to_event_limit_ms), (51'200 - 801) / 2.0 * 1000, 600'000);
  EXPECT_GT(report.to_size_limit_ms, 0);
  EXPECT_THAT(RenderGrowth(report), HasSubstr("at this pace"));
}

TEST(Growth, ClosedRun_HasNoLimitAhead) {
  History history = Steady(20);
  HistoryEvent* end = history.add_events();
  end->set_event_id(history.events_size());
  end->set_event_type(temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED);
  end->mutable_workflow_execution_completed_event_attributes();
  const GrowthReport report = MeasureGrowth(history);
  EXPECT_TRUE(report.closed);
  EXPECT_EQ(report.to_event_limit_ms, -1);
  EXPECT_TRUE(ToJson(report).Find("msToEventLimit")->is_null());
}

TEST(Growth, ServersCount_IsPreferred) {
  History history = Steady(3);
  HistoryEvent* started = history.add_events();
  started->set_event_id(history.events_size());
  started->set_event_type(temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_TASK_STARTED);
  started->mutable_workflow_task_started_event_attributes()->set_history_size_bytes(1'234'567);
  started->mutable_workflow_task_started_event_attributes()->set_suggest_continue_as_new(true);
  const GrowthReport report = MeasureGrowth(history);
  EXPECT_TRUE(report.bytes_of_server);
  EXPECT_EQ(report.bytes, 1'234'567);
  EXPECT_TRUE(report.suggests_continue_as_new);
}

TEST(Growth, EmptyHistory_IsNothing) { EXPECT_EQ(MeasureGrowth(History()).events, 0); }

TEST(Growth, PastTheLimit_IsNow) {
  History history = Steady(25'700);
  EXPECT_EQ(MeasureGrowth(history).to_event_limit_ms, 0);
}

}  // namespace
}  // namespace lockstep::history
