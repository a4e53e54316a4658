#include "analyzer/models/model_set.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace lockstep::analyzer {
namespace {

TEST(MatchesPattern, StarMatchesAnyRun) {
  EXPECT_TRUE(MatchesPattern("std::*", "std::chrono::system_clock::now"));
  EXPECT_TRUE(MatchesPattern("*::now", "std::chrono::system_clock::now"));
  EXPECT_TRUE(MatchesPattern("a*b*c", "a--b--c"));
  EXPECT_FALSE(MatchesPattern("std::*", "boost::x"));
  EXPECT_FALSE(MatchesPattern("now", "nowhere"));
  EXPECT_TRUE(MatchesPattern("*", ""));
}

TEST(MatchesPattern, TextMatchesItselfAndAnyOfItsPrefixesWithStar) {
  rc::check([](const std::string& text) {
    if (text.find('*') != std::string::npos) return;
    RC_ASSERT(MatchesPattern(text, text));
    RC_ASSERT(MatchesPattern(text.substr(0, text.size() / 2) + "*", text));
  });
}

TEST(ModelSet, BuiltIn_KnowsTheLibrariesOfTheSpecification) {
  const ModelSet& models = ModelSet::BuiltIn();
  const auto rule = [&](const std::string& name) -> std::string {
    const auto* found = models.Find({name});
    return found == nullptr || found->front().kind != ModelKind::kHazard ? "" : found->front().rule;
  };
  EXPECT_EQ(rule("std::chrono::system_clock::now"), "determinism-wall-clock");
  EXPECT_EQ(rule("absl::Now"), "determinism-wall-clock");
  EXPECT_EQ(rule("boost::uuids::random_generator::random_generator"), "determinism-uuid-generation");
  EXPECT_EQ(rule("google::protobuf::MessageLite::SerializeAsString"), "determinism-noncanonical-serialization");
  EXPECT_EQ(rule("grpc::CreateChannel"), "determinism-network-io");
  EXPECT_EQ(rule("pqxx::work::exec"), "determinism-database-io");
  EXPECT_EQ(rule("sqlite3_step"), "determinism-database-io");
  EXPECT_EQ(rule("spdlog::info"), "determinism-unguarded-log");
  EXPECT_EQ(rule("fmt::print"), "determinism-console-io");
  EXPECT_EQ(rule("RAND_bytes"), "determinism-entropy-source");
  EXPECT_EQ(rule("curl_easy_perform"), "determinism-network-io");
  EXPECT_EQ(rule("std::vector::push_back"), "");
}

TEST(ModelSet, ExactNameWinsOverPattern_LongerPatternOverShorter) {
  ModelSet models;
  ASSERT_TRUE(models.AddYaml("safe: ['a::*']\ncut: ['a::b::*']\ninert: ['a::b::c']\n", "test.yaml"));
  EXPECT_EQ(models.Find({"a::x"})->front().kind, ModelKind::kSafe);
  EXPECT_EQ(models.Find({"a::b::x"})->front().kind, ModelKind::kCut);
  EXPECT_EQ(models.Find({"a::b::c"})->front().kind, ModelKind::kInert);
  EXPECT_EQ(models.Find({"b::c"}), nullptr);
}

TEST(ModelSet, LaterFileOverridesEarlier) {
  ModelSet models = ModelSet::BuiltIn().Clone();
  ASSERT_TRUE(models.AddYaml("safe: [time]\n", "mine.yaml"));
  EXPECT_EQ(models.Find({"time"})->front().kind, ModelKind::kSafe);
  EXPECT_EQ(ModelSet::BuiltIn().Find({"time"})->front().kind, ModelKind::kHazard);
  EXPECT_NE(models.digest(), ModelSet::BuiltIn().digest());
}

TEST(ModelSet, BadInput_NamesFileAndLine) {
  ModelSet models;
  const auto unknown = models.AddYaml("safe: []\nfoo: []\n", "mine.yaml");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "MODEL_INVALID");
  EXPECT_EQ(unknown.error().message, "mine.yaml:2: unknown section foo");
  const auto no_rule = models.AddYaml("hazards:\n  - {names: [x]}\n", "mine.yaml");
  ASSERT_FALSE(no_rule);
  EXPECT_EQ(no_rule.error().message, "mine.yaml:2: expected a `rule`, found none");
  EXPECT_FALSE(models.AddYaml("hazards: [", "mine.yaml"));
  EXPECT_FALSE(models.AddYaml("- a\n- b\n", "mine.yaml"));
  EXPECT_FALSE(models.AddYaml("hazards:\n  - {rule: determinism-wall-clock, names: [x], carry: magic}\n", "mine.yaml"));
}

}  // namespace
}  // namespace lockstep::analyzer
