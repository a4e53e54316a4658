#include "analyzer/lint/suppress.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace lockstep::analyzer {
namespace {

constexpr const char* kToday = "2026-03-01";

std::vector<Suppression> Parse(const std::string& text) { return ParseSuppressions(text, kToday, 90); }

TEST(ParseSuppressions, CompleteNextLine_CoversTheNextLineOnly) {
  const auto all = Parse("int a;\n// NOLINTNEXTLINE(determinism-wall-clock): shown in the UI only; owner=billing; expires=2026-04-01\nint b;\n");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].first, 3U);
  EXPECT_EQ(all[0].last, 3U);
  EXPECT_EQ(all[0].reason, "shown in the UI only");
  EXPECT_EQ(all[0].owner, "billing");
  EXPECT_TRUE(all[0].problems.empty());
}

TEST(ParseSuppressions, WithoutReasonOwnerExpiry_NamesEachProblem) {
  const auto all = Parse("f();  // NOLINT(determinism-wall-clock)\n");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].problems, (std::vector<std::string>{"no reason", "no owner", "no expiry"}));
}

TEST(ParseSuppressions, Expired_IsMarked) {
  const auto all = Parse("f();  // NOLINT(determinism-wall-clock): r; owner=x; expires=2026-02-28\n");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_TRUE(all[0].expired);
  EXPECT_EQ(all[0].problems, (std::vector<std::string>{"expired on 2026-02-28"}));
}

TEST(ParseSuppressions, MoreThanNinetyDays_IsAProblem) {
  EXPECT_TRUE(Parse("f();  // NOLINT(determinism-x): r; owner=x; expires=2026-05-30\n")[0].problems.empty());
  EXPECT_EQ(Parse("f();  // NOLINT(determinism-x): r; owner=x; expires=2026-05-31\n")[0].problems.size(), 1U);
  EXPECT_EQ(Parse("f();  // NOLINT(determinism-x): r; owner=x; expires=2026-02-30\n")[0].problems,
            (std::vector<std::string>{"expiry 2026-02-30 is not a date YYYY-MM-DD"}));
}

TEST(ParseSuppressions, BeginEnd_CoversTheLinesBetween) {
  const auto all = Parse("// NOLINTBEGIN(determinism-*): r; owner=x; expires=2026-03-02\na();\nb();\n// NOLINTEND(determinism-*)\nc();\n");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].first, 1U);
  EXPECT_EQ(all[0].last, 4U);
}

TEST(ParseSuppressions, UnpairedBeginOrEnd_IsAProblem) {
  EXPECT_EQ(Parse("// NOLINTBEGIN(determinism-x): r; owner=x; expires=2026-03-02\n")[0].problems.back(), "NOLINTBEGIN without NOLINTEND");
  EXPECT_EQ(Parse("// NOLINTEND(determinism-x)\n")[0].problems.back(), "NOLINTEND without NOLINTBEGIN");
}

TEST(ParseSuppressions, OtherToolsAndStrings_AreNotOurs) {
  EXPECT_TRUE(Parse("f();  // NOLINT\ng();  // NOLINT(bugprone-*)\n").empty());
  EXPECT_TRUE(Parse("const char* t = \"// NOLINT(determinism-x)\";\n").empty());
  EXPECT_TRUE(Parse("auto t = R\"(\n// NOLINT(determinism-x)\n)\";\n").empty());
}

TEST(ParseSuppressions, SeveralRules_KeepsOurs) {
  const auto all = Parse("f();  // NOLINT(bugprone-x, determinism-a, determinism-b): r; owner=x; expires=2026-03-02\n");
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].rules, (std::vector<std::string>{"determinism-a", "determinism-b"}));
}

TEST(ParseSuppressions, AnyText_DoesNotFail) {
  rc::check([](const std::string& text) {
    for (const auto& one : Parse(text + "NOLINT(determinism-" + text)) RC_ASSERT(one.line >= 1U);
  });
}

TEST(DaysBetween, CountsCalendarDays) {
  int days = 0;
  EXPECT_TRUE(DaysBetween("2024-02-28", "2024-03-01", &days));
  EXPECT_EQ(days, 2);
  EXPECT_FALSE(DaysBetween("2024-02-28", "tomorrow", &days));
}

}  // namespace
}  // namespace lockstep::analyzer
