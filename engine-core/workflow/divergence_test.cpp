#include "engine-core/workflow/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace lockstep::workflow {
namespace {

using ::testing::HasSubstr;

struct Sample {
  static std::source_location Here() { return std::source_location::current(); }
};
template <typename T>
std::source_location InTemplate(T, std::string_view) {
  return std::source_location::current();
}

TEST(ToSourceLine, NamesFileRelativeToTheTree_LineAndFunction) {
  const SourceLine here = ToSourceLine(std::source_location::current());
  EXPECT_EQ(here.line, __LINE__ - 1u);
  EXPECT_EQ(here.file, "engine-core/workflow/divergence_test.cpp");
  EXPECT_EQ(here.ToString(), "engine-core/workflow/divergence_test.cpp:" + std::to_string(here.line));
  EXPECT_TRUE(here.known());
}

TEST(ToSourceLine, Function_IsTheNameWithoutTypeAndArguments) {
  EXPECT_TRUE(ToSourceLine(Sample::Here()).function.ends_with("Sample::Here")) << ToSourceLine(Sample::Here()).function;
  EXPECT_THAT(ToSourceLine(InTemplate(1, "x")).function, HasSubstr("InTemplate"));
  const auto lambda = [](int) { return std::source_location::current(); };
  EXPECT_FALSE(ToSourceLine(lambda(1)).function.empty());
}

TEST(ToSourceLine, NoLocation_IsUnknown) {
  const SourceLine none = ToSourceLine(std::source_location());
  EXPECT_FALSE(none.known());
  EXPECT_EQ(none.ToString(), "-");
}

TEST(Grades, AreOrderedFromHarmlessToBreaking) {
  EXPECT_LT(Grade::kSnapshotOnly, Grade::kDrift);
  EXPECT_LT(Grade::kDrift, Grade::kPayloadOnly);
  EXPECT_LT(Grade::kPayloadOnly, Grade::kCommandChanging);
  EXPECT_EQ(GradeName(Grade::kSnapshotOnly), "snapshot-only");
  EXPECT_EQ(GradeName(Grade::kDrift), "drift");
  EXPECT_EQ(GradeName(Grade::kPayloadOnly), "payload-only");
  EXPECT_EQ(GradeName(Grade::kCommandChanging), "command-changing");
}

TEST(WorstGrade, IsTheMaximum_AndHarmlessWhenThereIsNone) {
  EXPECT_EQ(WorstGrade({}), Grade::kSnapshotOnly);
  Divergence drift, payload;
  drift.grade = Grade::kDrift;
  payload.grade = Grade::kPayloadOnly;
  EXPECT_EQ(WorstGrade({drift, payload, drift}), Grade::kPayloadOnly);
}

TEST(DivergenceKindName, IsDistinctForEveryKind) {
  std::set<std::string_view> names;
  for (int kind = 0; kind <= static_cast<int>(DivergenceKind::kSnapshotChanged); ++kind) {
    names.insert(DivergenceKindName(static_cast<DivergenceKind>(kind)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(DivergenceKind::kSnapshotChanged) + 1);
  EXPECT_EQ(DivergenceKindName(DivergenceKind::kOtherTask), "other-task");
}

TEST(Summary, IsOneLineWithPlaceExpectationAndFinding) {
  Divergence divergence;
  divergence.kind = DivergenceKind::kFieldChanged;
  divergence.grade = Grade::kPayloadOnly;
  divergence.event_id = 5;
  divergence.step_id = "load";
  divergence.command = "ActivityTaskScheduled step/load/1";
  divergence.field = "input";
  divergence.expected = "[1]";
  divergence.actual = "[2]";
  divergence.where = {"src/a.cpp", 12, "Run"};
  EXPECT_EQ(divergence.Summary(),
            "field-changed (payload-only) at event 5, step load: ActivityTaskScheduled step/load/1, input: expected [1], found [2] "
            "[src/a.cpp:12]");
}

}  // namespace
}  // namespace lockstep::workflow
