// Ranked causes: which facts speak for which cause.
#include "replay/trace/causes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine-core/base/files.h"

namespace lockstep::replay {
namespace {

using workflow::Divergence;
using workflow::DivergenceKind;
using workflow::Grade;

class CausesTest : public ::testing::Test {
 protected:
  CausesTest() : folder_(TemporaryDirectory::Create().value()), tree_({folder_.path()}) {
    EXPECT_TRUE(WriteFileAtomically(folder_.path() / "w.cpp",
                                    "void Walk() {\n  Issue();\n}\n\nvoid Issue() {\n  wf::execute_activity(\"a\",\n   "
                                    "   {{\"attempt\", n}});\n}\n\nvoid Far() {\n  x = 1;\n}\n")
                    .has_value());
    facts_.first.kind = DivergenceKind::kFieldChanged;
    facts_.first.grade = Grade::kPayloadOnly;
    facts_.first.field = "input";
    facts_.first.command = "ActivityTaskScheduled a";
    facts_.first.expected = "1";
    facts_.first.actual = "2";
    facts_.first.where = {"w.cpp", 6, "Issue"};
    facts_.now_ms = 1'800'000'000'000;
    facts_.workflow_ms = 1'700'000'000'000;
  }
  std::vector<Cause> Rank() {
    facts_.all = {facts_.first};
    bad_.divergences = facts_.all;
    facts_.bad = &bad_;
    facts_.edits = EditsOf(&tree_, changes_).edits;
    return RankCauses(facts_, &tree_);
  }
  ProbeResult Other(const std::string& actual) {
    ProbeResult probe;
    probe.divergences = {facts_.first};
    probe.divergences[0].actual = actual;
    return probe;
  }
  TemporaryDirectory folder_;
  SourceTree tree_;
  CauseFacts facts_;
  std::vector<Hunk> changes_;
  ProbeResult bad_;
};

TEST_F(CausesTest, RepeatableChange_IsAnUngatedOne_AtTheCommand) {
  const auto causes = Rank();
  ASSERT_FALSE(causes.empty());
  EXPECT_EQ(causes[0].cause, "ungated-change");
  EXPECT_EQ(causes[0].where.line, 6u);
}

TEST_F(CausesTest, FieldName_LeadsToTheLineThatWritesIt) {
  facts_.fields = {{"/input/0/attempt", "1", "2"}};
  const auto causes = Rank();
  EXPECT_EQ(causes[0].where.line, 7u);
}

TEST_F(CausesTest, ChangedLine_NearTheCommand_IsFirst) {
  changes_ = {{"w.cpp", 11, 11, {"  x = 0;"}, {"  x = 1;"}}, {"w.cpp", 7, 7, {"old"}, {"      {{\"attempt\", n}});"}}};
  facts_.changes_known = true;
  const auto causes = Rank();
  EXPECT_EQ(causes[0].cause, "ungated-change");
  EXPECT_EQ(causes[0].where.line, 7u);
  EXPECT_EQ(facts_.edits.at(static_cast<size_t>(causes[0].change)).line, 7u);
}

TEST_F(CausesTest, ValueThatChangesEachTime_AndIsNow_IsTime) {
  facts_.first.actual = "\"2027-01-15T08:00:00Z\"";  // facts_.now_ms
  const ProbeResult again = Other("\"2027-01-15T08:00:01Z\"");
  facts_.again = &again;
  EXPECT_EQ(Rank()[0].cause, "time");
}

TEST_F(CausesTest, ClockOfSeconds_IsTimeEvenWhenItStandsStill) {
  facts_.first.actual = "1800000000";
  EXPECT_EQ(Rank()[0].cause, "time");
}

TEST_F(CausesTest, RecordedTime_IsNoClock) {
  facts_.first.actual = "1700000000";
  EXPECT_EQ(Rank()[0].cause, "ungated-change");
}

TEST_F(CausesTest, ValueThatChangesEachTime_IsRandom) {
  const ProbeResult again = Other("17");
  facts_.again = &again;
  EXPECT_EQ(Rank()[0].cause, "random");
}

TEST_F(CausesTest, OtherEnvironment_OtherValue) {
  const ProbeResult again = Other("2"), environment = Other("3");
  facts_.again = &again;
  facts_.environment = &environment;
  EXPECT_EQ(Rank()[0].cause, "environment");
}

TEST_F(CausesTest, DisturbedMemory_OtherValue_IsUndefinedBehaviour) {
  const ProbeResult again = Other("2"), memory = Other("1515870810");
  facts_.again = &again;
  facts_.memory = &memory;
  EXPECT_EQ(Rank()[0].cause, "undefined-behavior");
}

TEST_F(CausesTest, AnotherValueEachTime_ButNotWithAPatternInMemory_IsUndefinedBehaviour) {
  const ProbeResult again = Other("17"), memory = Other("190"), memory_again = Other("190");
  facts_.again = &again;
  facts_.memory = &memory;
  facts_.memory_again = &memory_again;
  EXPECT_EQ(Rank()[0].cause, "undefined-behavior");
  const ProbeResult different = Other("18");
  facts_.memory_again = &different;
  EXPECT_EQ(Rank()[0].cause, "random");
}

TEST_F(CausesTest, Crash_IsUndefinedBehaviour_AtTheLastKnownLine) {
  bad_.signal = 11;
  bad_.where = {"w.cpp", 2, "Walk"};
  const auto causes = Rank();
  EXPECT_EQ(causes[0].cause, "undefined-behavior");
  EXPECT_EQ(causes[0].where.line, 2u);
}

TEST_F(CausesTest, TimeoutField_IsATimeoutChange) {
  facts_.first.field = "startToCloseTimeout";
  facts_.first.grade = Grade::kDrift;
  EXPECT_EQ(Rank()[0].cause, "timeout-change");
}

TEST_F(CausesTest, OtherOrder_WithAHashTableNearby_IsUnorderedIteration) {
  facts_.first.kind = DivergenceKind::kOrderChanged;
  changes_ = {{"w.cpp", 6, 6, {"  for (auto& x : std::map"}, {"  for (auto& x : std::unordered_map"}}};
  facts_.changes_known = true;
  EXPECT_EQ(Rank()[0].cause, "unordered-iteration");
}

TEST_F(CausesTest, EventOfNothing_IsACorruptRecord) {
  facts_.first.kind = DivergenceKind::kUnknownReference;
  facts_.first.where = {};
  const auto causes = Rank();
  EXPECT_TRUE(std::any_of(causes.begin(), causes.begin() + 1,
                          [](const Cause& cause) { return cause.cause == "corrupt-record"; }));
}

TEST_F(CausesTest, AnotherPlan_IsFirst) {
  facts_.plan_differs = true;
  EXPECT_EQ(Rank()[0].cause, "plan-or-input-change");
}

TEST_F(CausesTest, Finding_OnTheWayToTheCommand_Counts) {
  facts_.findings = {{"determinism-wall-clock", "reads the clock", {{"w.cpp", 1, "Walk"}, {"w.cpp", 7, "Issue"}}}};
  const auto causes = Rank();
  const auto time =
      std::find_if(causes.begin(), causes.end(), [](const Cause& cause) { return cause.cause == "time"; });
  ASSERT_NE(time, causes.end());
  EXPECT_EQ(time->finding, "determinism-wall-clock");
  EXPECT_EQ(time->where.line, 7u);
}

TEST_F(CausesTest, EveryCauseHasAMeaning) {
  EXPECT_EQ(CauseNames().size(), 10u);
  for (const std::string_view name : CauseNames()) EXPECT_FALSE(CauseMeaning(name).empty()) << name;
}

}  // namespace
}  // namespace lockstep::replay
