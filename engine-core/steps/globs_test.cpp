#include "engine-core/steps/globs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "engine-core/base/files.h"

namespace lockstep::steps {
namespace {

namespace fs = std::filesystem;

class GlobsTest : public ::testing::Test {
 protected:
  void Touch(const std::string& name) {
    fs::create_directories((root() / name).parent_path());
    std::ofstream(root() / name) << "x";
  }
  fs::path root() const { return directory_.path() / "root"; }
  void SetUp() override { fs::create_directories(root()); }
  std::vector<std::string> Expand(std::vector<std::string> patterns) {
    return ExpandGlobs(root(), patterns, 100).value();
  }
  TemporaryDirectory directory_ = TemporaryDirectory::Create("lockstep-globs").value();
};

using Names = std::vector<std::string>;

TEST_F(GlobsTest, WildcardsStayWithinAnElement) {
  for (const char* name : {"a.csv", "b.csv", "c.txt", "d/e.csv", ".hidden.csv"}) Touch(name);
  EXPECT_EQ(Expand({"*.csv"}), (Names{"a.csv", "b.csv"}));
  EXPECT_EQ(Expand({"?.csv"}), (Names{"a.csv", "b.csv"}));
  EXPECT_EQ(Expand({"[b-z].*"}), (Names{"b.csv", "c.txt"}));
  EXPECT_EQ(Expand({"*/*.csv"}), (Names{"d/e.csv"}));
  EXPECT_EQ(Expand({".*.csv"}), (Names{".hidden.csv"}));
}

TEST_F(GlobsTest, DoubleStarMatchesAnyDepth) {
  for (const char* name : {"x/1", "x/y/2", "x/y/z/3", "w/4"}) Touch(name);
  EXPECT_EQ(Expand({"x/**"}), (Names{"x/1", "x/y/2", "x/y/z/3"}));
  EXPECT_EQ(Expand({"**/2"}), (Names{"x/y/2"}));
  EXPECT_EQ(Expand({"x/**/3"}), (Names{"x/y/z/3"}));
  EXPECT_EQ(Expand({"x/**/1"}), (Names{"x/1"}));
  EXPECT_EQ(Expand({"**"}), (Names{"w/4", "x/1", "x/y/2", "x/y/z/3"}));
}

TEST_F(GlobsTest, EveryFileOnceInByteOrder) {
  for (const char* name : {"b", "a", "B"}) Touch(name);
  EXPECT_EQ(Expand({"b", "*", "a"}), (Names{"B", "a", "b"}));
}

TEST_F(GlobsTest, PatternWithoutWildcardMustNameAFile) {
  Touch("d/a");
  EXPECT_EQ(ExpandGlobs(root(), {"missing"}, 10).error().code, "ARTIFACT_MISSING");
  EXPECT_EQ(ExpandGlobs(root(), {"d"}, 10).error().code, "ARTIFACT_MISSING");
  EXPECT_EQ(Expand({"*.none"}), Names{});
  EXPECT_EQ(Expand({"d/a", "d/a"}), Names{"d/a"});
}

TEST_F(GlobsTest, LinksInsideCountOutsideAreRefused) {
  Touch("real");
  fs::create_symlink("real", root() / "inner");
  EXPECT_EQ(Expand({"inner"}), Names{"inner"});
  std::ofstream(directory_.path() / "outside") << "x";
  fs::create_symlink("../outside", root() / "escape");
  EXPECT_EQ(ExpandGlobs(root(), {"escape"}, 10).error().code, "ARTIFACT_PATH_ESCAPES");
  EXPECT_EQ(ExpandGlobs(root(), {"*"}, 10).error().code, "ARTIFACT_PATH_ESCAPES");
}

TEST_F(GlobsTest, LinkedDirectoriesAreNotWalked) {
  fs::create_directories(directory_.path() / "other");
  std::ofstream(directory_.path() / "other/file") << "x";
  fs::create_directory_symlink(directory_.path() / "other", root() / "link");
  EXPECT_EQ(Expand({"**"}), Names{});
  EXPECT_EQ(Expand({"*/file"}), Names{});
  EXPECT_EQ(ExpandGlobs(root(), {"link/file"}, 10).error().code, "ARTIFACT_MISSING");
}

TEST_F(GlobsTest, DanglingLinksAndPipesAreNoFiles) {
  fs::create_symlink("nowhere", root() / "dangling");
  ASSERT_EQ(::mkfifo((root() / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(Expand({"*"}), Names{});
}

TEST_F(GlobsTest, TooManyFilesAreRefused) {
  for (int i = 0; i < 5; ++i) Touch(std::to_string(i));
  EXPECT_EQ(ExpandGlobs(root(), {"*"}, 4).error().code, "ARTIFACT_LIMIT_EXCEEDED");
}

TEST(CheckGlob, RefusesPathsThatLeaveTheDirectory) {
  for (const char* pattern : {"", "/etc", "..", "a/../b", "./a", "a//b", "a/", "a\nb"}) {
    EXPECT_FALSE(CheckGlob(pattern, "p").has_value()) << pattern;
  }
  for (const char* pattern : {"a", "a/b", "**/x", "..a", "*.csv"})
    EXPECT_TRUE(CheckGlob(pattern, "p").has_value()) << pattern;
}

}  // namespace
}  // namespace lockstep::steps
