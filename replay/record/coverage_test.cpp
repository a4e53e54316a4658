// What a history exercises.
#include "replay/record/coverage.h"

#include "replay/history/reader.h"

namespace lockstep::replay {
namespace {

using ::testing::Contains;
using ::testing::IsSupersetOf;

std::set<std::string> Of(const std::string& record) {
  const auto loaded =
      history::ReadHistory(std::string(LOCKSTEP_SOURCE_DIR) + "/fixtures/histories/" + record + "/history.json");
  EXPECT_TRUE(loaded.has_value());
  return TransitionsOf(*loaded->history);
}

TEST(Transitions, LivesOfCommands_AndWhatFollowsWhat) {
  const auto chain = Of("chain");
  EXPECT_THAT(chain, Contains("life:ActivityTaskScheduled>ActivityTaskStarted>ActivityTaskCompleted"));
  EXPECT_THAT(chain, Contains("to:ActivityTaskCompleted"));
  EXPECT_THAT(Of("sleep"), Contains("life:TimerStarted>TimerFired"));
}

TEST(Transitions, SameKindOfRun_AddsNothing_AnotherDoes) {
  const auto chain = Of("chain");
  EXPECT_EQ(Of("chain"), chain);
  EXPECT_THAT(chain, ::testing::Not(IsSupersetOf(Of("cancel-running"))));
}

TEST(Transitions, EmptyHistory_HasNone) { EXPECT_TRUE(TransitionsOf({}).empty()); }

}  // namespace
}  // namespace lockstep::replay
