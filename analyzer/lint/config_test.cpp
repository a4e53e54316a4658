#include "analyzer/lint/config.h"

#include <gtest/gtest.h>

#include "engine-core/base/files.h"

namespace lockstep::analyzer {
namespace {

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() : scratch_(*TemporaryDirectory::Create("config")) {}
  std::string Write(const std::string& name, const std::string& text) {
    const auto path = scratch_.path() / name;
    EXPECT_TRUE(CreateDirectories(path.parent_path()));
    EXPECT_TRUE(WriteFileAtomically(path, text));
    return path.string();
  }
  std::string In(const std::string& name) { return (scratch_.path() / name).string(); }
  TemporaryDirectory scratch_;
};

TEST_F(ConfigTest, NearestFileDecides_OuterOneStillCounts) {
  Write(".lockstep.yaml", "rules: {determinism-locale: off, determinism-thread: warning}\nroots: ['shop::run']\n");
  Write("inner/.lockstep.yaml", "rules: {determinism-thread: note}\n");
  ConfigTree tree;
  const auto configs = tree.For(In("inner/a.cpp"));
  ASSERT_TRUE(configs) << configs.error().message;
  const std::string file = In("inner/a.cpp");
  EXPECT_EQ(LevelFor(*configs, "determinism-locale", file, Severity::kError), std::nullopt);
  EXPECT_EQ(LevelFor(*configs, "determinism-thread", file, Severity::kError), Severity::kNote);
  EXPECT_EQ(LevelFor(*configs, "determinism-wall-clock", file, Severity::kError), Severity::kError);
}

TEST_F(ConfigTest, ExcludedPathsAndScopeOff_ReportOnlySuppressions) {
  Write(".lockstep.yaml", "exclude: [third_party, '*_generated.cpp']\n");
  Write("tests/.lockstep.yaml", "scope: off\n");
  ConfigTree tree;
  const auto level = [&](const std::string& file, const std::string& rule) { return LevelFor(*tree.For(In(file)), rule, In(file), Severity::kError); };
  EXPECT_EQ(level("third_party/x.cpp", "determinism-locale"), std::nullopt);
  EXPECT_EQ(level("a_generated.cpp", "determinism-locale"), std::nullopt);
  EXPECT_EQ(level("a.cpp", "determinism-locale"), Severity::kError);
  EXPECT_EQ(level("tests/a.cpp", "determinism-locale"), std::nullopt);
  EXPECT_EQ(level("tests/a.cpp", "determinism-suppression"), Severity::kError);
}

TEST_F(ConfigTest, BadInput_NamesFileAndLine) {
  const auto file = Write(".lockstep.yaml", "roots: [a]\nrules: {determinism-locale: loud}\n");
  const auto config = ReadConfig(file);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, "CONFIG_INVALID");
  EXPECT_EQ(config.error().message, file + ":2: expected off, note, warning, error or default, found loud");
  EXPECT_FALSE(ReadConfig(Write("b.yaml", "colour: red\n")));
  EXPECT_FALSE(ReadConfig(Write("c.yaml", "[\n")));
  EXPECT_FALSE(ReadConfig(Write("d.yaml", "- 1\n")));
}

TEST_F(ConfigTest, ChangeRegistry_ReadsBounds) {
  Write("changes.yaml", "audit: {min: 0, max: 2}\n");
  const auto config = ReadConfig(Write("a.yaml", "change_registry: changes.yaml\n"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->change_registry->at("audit").max, 2);
  EXPECT_FALSE(ReadChangeRegistry(Write("bad.yaml", "audit: 3\n")));
}

TEST_F(ConfigTest, CommandBaseline_RoundTrips) {
  const std::map<std::string, Skeleton> skeletons = {{"shop::run", {{"activity a", "timer b"}, {"audit"}}}};
  const auto read = ReadCommandBaseline(Write("commands.json", WriteCommandBaseline(skeletons)));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, skeletons);
  EXPECT_FALSE(ReadCommandBaseline(Write("bad.json", "{}")));
}

}  // namespace
}  // namespace lockstep::analyzer
