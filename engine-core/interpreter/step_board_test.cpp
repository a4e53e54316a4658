#include "engine-core/interpreter/step_board.h"

#include <gmock/gmock.h>

#include "engine-core/interpreter/testing/plan_script.h"
#include "engine-core/plan/loader.h"

namespace lockstep::interpreter {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

plan::StepTable Table(std::string_view steps, std::string_view metadata = "{}") {
  auto parsed = plan::ParsePlanDocument(testing::SimplePlan(steps, metadata), true);
  EXPECT_TRUE(parsed.has_value()) << parsed.error().ToString();
  return parsed->plan.table;
}

constexpr char kDiamond[] = R"([{"stepId":"d","kind":"noop","dependsOn":["b","c"]},{"stepId":"a","kind":"noop","dependsOn":[]},
                                {"stepId":"b","kind":"noop","dependsOn":["a"]},{"stepId":"c","kind":"noop","dependsOn":["a"]}])";

TEST(StepBoard, RootsAreEligible_OthersFollowTheirLastDependency) {
  const auto table = Table(kDiamond);
  StepBoard board(table);
  EXPECT_THAT(board.eligible(), ElementsAre(1));
  board.Settle(1, Outcome::kSuccess, "");
  EXPECT_THAT(board.eligible(), ElementsAre(2, 3));
  board.Settle(2, Outcome::kSuccess, "");
  EXPECT_THAT(board.eligible(), ElementsAre(3));
  board.Settle(3, Outcome::kSkipped, "CONDITION_FALSE");
  EXPECT_THAT(board.eligible(), ElementsAre(0));
  EXPECT_FALSE(board.at(0).doomed);
}

TEST(StepBoard, UnsatisfiableDependency_DoomsTheDependent) {
  const auto table = Table(kDiamond);
  for (const auto& [outcome, reason] : {std::pair{Outcome::kFailed, "X"}, {Outcome::kSkipped, "DEPENDENCY_FAILED"}}) {
    StepBoard board(table);
    board.Settle(1, Outcome::kSuccess, "");
    board.Settle(2, outcome, reason);
    EXPECT_TRUE(board.at(0).doomed);
    EXPECT_THAT(board.eligible(), ElementsAre(3));  // it is judged only once all its dependencies are over
  }
}

TEST(StepBoard, Reopen_OfASettledFailure_TakesItsDependentsBack) {
  const auto table = Table(kDiamond);
  StepBoard board(table);
  board.Settle(1, Outcome::kSuccess, "");
  board.Settle(2, Outcome::kFailed, "X");
  board.Settle(3, Outcome::kSuccess, "");
  EXPECT_THAT(board.eligible(), ElementsAre(0));
  board.Reopen(2);
  EXPECT_THAT(board.eligible(), IsEmpty());
  EXPECT_THAT(board.ready(), ElementsAre(2));
  EXPECT_EQ(board.at(2).attempt, 2);
  EXPECT_FALSE(board.at(0).doomed);
  EXPECT_EQ(board.count(Outcome::kFailed), 0);
  board.Settle(2, Outcome::kSuccess, "");
  EXPECT_THAT(board.eligible(), ElementsAre(0));
}

TEST(StepBoard, Reopen_WithAnotherFailedDependency_LeavesTheDependentDoomed) {
  const auto table = Table(kDiamond);
  StepBoard board(table);
  board.Settle(1, Outcome::kSuccess, "");
  board.Settle(2, Outcome::kFailed, "X");
  board.Settle(3, Outcome::kFailed, "X");
  board.Reopen(2);
  EXPECT_TRUE(board.at(0).doomed);
  board.Reopen(3);
  EXPECT_FALSE(board.at(0).doomed);
}

TEST(StepBoard, CursorRoundTrip_RestoresEveryPhaseThatOutlivesARotation) {
  const auto table = Table(kDiamond, R"({"onStepFailure":"hold"})");
  StepBoard board(table);
  board.Settle(1, Outcome::kSuccess, "");
  board.at(1).engine_attempt = 3;
  board.at(1).artifacts.Push(Json::MakeObject({{"uri", "u"}}));
  board.MoveTo(2, Phase::kHeld);
  board.at(2).outcome = Outcome::kFailed;
  board.at(2).reason = "STEP_TIMEOUT";
  board.at(2).retryable = true;
  Cursor cursor;
  board.WriteTo(&cursor);
  StepBoard restored(table);
  ASSERT_TRUE(restored.Restore(cursor).has_value());
  EXPECT_THAT(restored.held(), ElementsAre(2));
  EXPECT_TRUE(restored.at(2).reported_failed);
  EXPECT_TRUE(restored.at(2).retryable);
  EXPECT_THAT(restored.eligible(), ElementsAre(3));
  EXPECT_EQ(restored.at(1).engine_attempt, 3);
  Cursor again;
  restored.WriteTo(&again);
  EXPECT_EQ(CanonicalJson(ToJson(again)), CanonicalJson(ToJson(cursor)));
}

TEST(StepBoard, Restore_DependentSettledBeforeItsDependencyInIndexOrder) {
  const auto table = Table(kDiamond);  // d has index 0
  Cursor cursor;
  for (uint32_t i = 0; i < 4; ++i) cursor.settled.push_back({i, Outcome::kSuccess, "", 1, 1, false});
  StepBoard board(table);
  ASSERT_TRUE(board.Restore(cursor).has_value());
  EXPECT_TRUE(board.all_settled());
  EXPECT_THAT(board.eligible(), IsEmpty());
}

TEST(StepBoard, W12_IndexOutsideThePlan_OrTwice_IsRefused) {
  const auto table = Table(kDiamond);
  Cursor outside, twice;
  outside.settled = {{4, Outcome::kSuccess, "", 1, 1, false}};
  twice.settled = {{1, Outcome::kSuccess, "", 1, 1, false}, {1, Outcome::kSuccess, "", 1, 1, false}};
  for (const Cursor* cursor : {&outside, &twice}) {
    StepBoard board(table);
    const auto status = board.Restore(*cursor);
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, "INVALID_WORKFLOW_STATE");
  }
}

TEST(StepBoard, FailedSteps_AreHeldAndSettledOnesByIndex) {
  const auto table = Table(kDiamond);
  StepBoard board(table);
  board.Settle(3, Outcome::kFailed, "X");
  board.MoveTo(2, Phase::kHeld);
  board.at(2).outcome = Outcome::kFailed;
  EXPECT_THAT(board.FailedSteps(), ElementsAre(2, 3));
}

TEST(StepBoard, IndexOf) {
  const auto table = Table(kDiamond);
  StepBoard board(table);
  EXPECT_EQ(board.IndexOf("c"), 3u);
  EXPECT_EQ(board.IndexOf("nothing"), std::nullopt);
}

}  // namespace
}  // namespace lockstep::interpreter
