// Drift: rules.json, pages, models and fixtures must tell the same story.
#include "analyzer/registry/registry.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace lockstep::analyzer {
namespace {

namespace fs = std::filesystem;
const fs::path kRoot = LOCKSTEP_SOURCE_DIR;

std::string Slurp(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Registry, HoldsTheSeventySixRulesOfTheSpecification_AndTheEighteenOnPlans) {
  const std::map<char, size_t> kPerFamily = {{'A', 5}, {'B', 6}, {'C', 12}, {'D', 7}, {'E', 6}, {'F', 7}, {'G', 4}, {'H', 7}, {'I', 8}, {'J', 14}, {'P', 18}};
  std::map<char, size_t> found;
  std::set<std::string> ids;
  for (const auto& rule : Registry::Get().rules()) {
    ++found[rule.number.front()];
    EXPECT_TRUE(ids.insert(rule.id).second) << rule.id;
    EXPECT_EQ(rule.id.rfind("determinism-", 0), 0U);
    EXPECT_FALSE(rule.why.empty()) << rule.id;
    EXPECT_FALSE(rule.replacement.empty()) << rule.id;
    EXPECT_FALSE(rule.title.empty()) << rule.id;
  }
  EXPECT_EQ(found, kPerFamily);
}

TEST(Registry, EveryRuleHasItsPage_AndEveryPageItsRule) {
  std::set<std::string> expected, present;
  for (const auto& rule : Registry::Get().rules()) {
    expected.insert(rule.family + "/" + rule.id.substr(12) + ".md");
    const auto page = Registry::Page(rule);
    EXPECT_EQ(page.rfind("# " + rule.id + " (" + rule.number + ")", 0), 0U) << rule.id;
    EXPECT_NE(page.find("| " + std::string(SeverityName(rule.severity)) + " | " + rule.reach + " | " + (rule.fix ? "yes" : "no") + " |"), std::string_view::npos)
        << rule.id << ": severity, reach or fix on the page differ from rules.json";
  }
  for (const auto& family : fs::directory_iterator(kRoot / "analyzer/rules")) {
    for (const auto& page : fs::directory_iterator(family)) present.insert(family.path().filename().string() + "/" + page.path().filename().string());
  }
  EXPECT_EQ(expected, present);
}

// determinism-ungated-command-change and determinism-suppression compare with something outside the source: lint_test.cpp.
// Plans have fixtures of their own: plan_lint_test.cpp.
TEST(Registry, EveryRuleHasPositiveAndNegativeFixtures) {
  for (const auto& rule : Registry::Get().rules()) {
    if (rule.id == "determinism-ungated-command-change" || rule.id == "determinism-suppression" || rule.family == "plan") continue;
    const fs::path folder = kRoot / "fixtures/lint/cpp" / rule.id;
    ASSERT_TRUE(fs::exists(folder)) << rule.id;
    size_t positives = 0, negatives = 0;
    for (const auto& file : fs::directory_iterator(folder)) {
      if (file.path().extension() != ".cpp") continue;
      const std::string text = Slurp(file.path());
      size_t mentions = 0, roots = 0;
      for (size_t at = text.find(rule.id); at != std::string::npos; at = text.find(rule.id, at + 1)) ++mentions;
      for (size_t at = text.find("LOCKSTEP_"); at != std::string::npos; at = text.find("LOCKSTEP_", at + 1)) ++roots;
      for (size_t at = text.find("wf::Workflow {"); at != std::string::npos; at = text.find("wf::Workflow {", at + 1)) roots += 4;
      if (file.path().filename().string().rfind("bad_", 0) == 0) positives += mentions;
      else if (mentions == 0) negatives += roots;
    }
    EXPECT_GE(positives, 5U) << rule.id;
    EXPECT_GE(negatives, 4U) << rule.id;
  }
}

TEST(Registry, ModelsNameOnlyKnownRules) {
  for (const auto& file : fs::directory_iterator(kRoot / "analyzer/models")) {
    if (file.path().extension() != ".yaml") continue;
    const std::string text = Slurp(file.path());
    for (size_t at = text.find("rule: determinism-"); at != std::string::npos; at = text.find("rule: determinism-", at + 1)) {
      const std::string id = text.substr(at + 6, text.find_first_of(",}", at) - at - 6);
      EXPECT_NE(Registry::Get().Find(id), nullptr) << file.path() << ": " << id;
    }
  }
}

TEST(Registry, FindsByIdOnly) {
  ASSERT_NE(Registry::Get().Find("determinism-wall-clock"), nullptr);
  EXPECT_EQ(Registry::Get().Find("determinism-wall-clock")->number, "A1");
  EXPECT_EQ(Registry::Get().Find("A1"), nullptr);
}

}  // namespace
}  // namespace lockstep::analyzer
