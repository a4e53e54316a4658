// Diffs, findings and functions of a source tree.
#include "replay/trace/source_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine-core/base/files.h"
#include "replay/trace/run_program.h"

namespace lockstep::replay {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseDiff, HunksAreRunsOfChangedLines) {
  const auto hunks = ParseDiff(
      "diff --git a/x.cpp b/x.cpp\n--- a/x.cpp\n+++ b/x.cpp\n@@ -10,3 +10,5 @@ void F() {\n same\n-old\n+new\n+more\n "
      "same\n+added\n"
      "--- a/y.cpp\n+++ b/y.cpp\n@@ -5 +4,0 @@\n-gone\n");
  ASSERT_TRUE(hunks.has_value()) << hunks.error().ToString();
  ASSERT_EQ(hunks->size(), 3u);
  EXPECT_EQ((*hunks)[0].file, "x.cpp");
  EXPECT_EQ((*hunks)[0].new_start, 11u);
  EXPECT_THAT((*hunks)[0].old_lines, ElementsAre("old"));
  EXPECT_THAT((*hunks)[0].new_lines, ElementsAre("new", "more"));
  EXPECT_EQ((*hunks)[1].new_start, 14u);
  EXPECT_TRUE((*hunks)[1].old_lines.empty());
  EXPECT_EQ((*hunks)[2].file, "y.cpp");
  EXPECT_EQ((*hunks)[2].new_start, 5u);
}

TEST(ParseDiff, LinesThatLookLikeHeaders_AreContent) {
  const auto hunks = ParseDiff("--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n--- a\n+++ b\n");
  ASSERT_TRUE(hunks.has_value());
  ASSERT_EQ(hunks->size(), 1u);
  EXPECT_THAT((*hunks)[0].old_lines, ElementsAre("-- a"));
  EXPECT_THAT((*hunks)[0].new_lines, ElementsAre("++ b"));
}

TEST(ParseDiff, NoDiff_IsRefusedOrEmpty) {
  EXPECT_TRUE(ParseDiff("just a text\n")->empty());
  const auto bad = ParseDiff("+++ b/x\n@@ nonsense @@\n");
  ASSERT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error().code, "DIFF_INVALID");
  EXPECT_FALSE(ParseDiff("@@ -1 +1 @@\n-a\n+b\n").has_value());
}

TEST(ParseFindings, ChainEndsAtTheSite) {
  const auto findings =
      ParseFindings(R"({"findings":[{"id":"determinism-wall-clock","message":"m","file":"a.cpp","line":7,"function":"G",
    "chain":[{"file":"a.cpp","line":3,"function":"F"}]}]})");
  ASSERT_TRUE(findings.has_value());
  ASSERT_EQ(findings->size(), 1u);
  EXPECT_EQ((*findings)[0].site().line, 7u);
  EXPECT_EQ((*findings)[0].chain.front().function, "F");
  EXPECT_EQ(ParseFindings("{}").error().code, "FINDINGS_INVALID");
  EXPECT_EQ(ParseFindings("nonsense").error().code, "FINDINGS_INVALID");
}

class SourceTreeTest : public ::testing::Test {
 protected:
  SourceTreeTest() : folder_(TemporaryDirectory::Create().value()), tree_({folder_.path() / "none", folder_.path()}) {}
  void Write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    ASSERT_TRUE(WriteFileAtomically(folder_.path() / name, text).has_value());
  }
  TemporaryDirectory folder_;
  SourceTree tree_;
};

TEST_F(SourceTreeTest, FunctionsAndTheirCalls) {
  Write("r/a.cpp",
        "namespace x {\n\nint F(int a) {\n  return G(a) + 1;\n}\n\nvoid H();\n\nTask<void> C::G(int a,\n              "
        "int b) {\n  wf::sleep(1);\n}\n\nint Short() { return F(1); }\n\n}\n");
  ASSERT_EQ(tree_.Functions("r/a.cpp").size(), 3u);
  EXPECT_EQ(tree_.FunctionAt("r/a.cpp", 4)->name, "F");
  EXPECT_EQ(tree_.FunctionAt("r/a.cpp", 11)->name, "G");
  EXPECT_EQ(tree_.FunctionAt("r/a.cpp", 14)->name, "Short");
  EXPECT_EQ(tree_.FunctionAt("r/a.cpp", 7), nullptr);
  EXPECT_THAT(tree_.FunctionAt("r/a.cpp", 4)->calls, Contains("G"));
}

TEST_F(SourceTreeTest, CallDistance_CountsCallsAcrossFiles) {
  Write("r/a.cpp", "void F() {\n  G();\n}\n");
  Write("r/b.cpp", "void G() {\n  H();\n}\n\nvoid H() {\n}\n\nvoid Other() {\n}\n");
  Write("r/a_test.cpp", "void Test() {\n}\n");
  const auto files = tree_.Neighbours({"r/a.cpp"});
  EXPECT_THAT(files, ElementsAre("r/a.cpp", "r/b.cpp"));
  const auto distances = CallDistances(&tree_, files, {{"r/a.cpp", 2, ""}}, 4);
  EXPECT_EQ(distances.at("r/a.cpp:1"), 0);
  EXPECT_EQ(distances.at("r/b.cpp:1"), 1);
  EXPECT_EQ(distances.at("r/b.cpp:5"), 2);
  EXPECT_FALSE(distances.contains("r/b.cpp:8"));
}

TEST_F(SourceTreeTest, CallPath_NamesTheLinesThatLeadThere_InnermostFirst) {
  Write("r/a.cpp",
        "void Walk() {\n  x();\n  Pass();\n}\n\nvoid Pass() {\n  NotAnnounce();\n  Announce(1);\n}\n\nvoid Announce() "
        "{\n  emit();\n}\n");
  const auto path = CallPath(&tree_, {"r/a.cpp"}, {{"r/a.cpp", 2, ""}}, {"r/a.cpp", 12, ""});
  ASSERT_EQ(path.size(), 2u);
  EXPECT_EQ(path[0].line, 8u);
  EXPECT_EQ(path[1].line, 3u);
  EXPECT_TRUE(CallPath(&tree_, {"r/a.cpp"}, {{"r/a.cpp", 12, ""}}, {"r/a.cpp", 2, ""}).empty());
}

TEST_F(SourceTreeTest, NamesOfCompilers_AreThoseBelowTheTree) {
  Write("src/orders/order.cpp", "int a;\n");
  EXPECT_EQ(tree_.Relative((folder_.path() / "src/orders/order.cpp").string()), "src/orders/order.cpp");
  EXPECT_EQ(tree_.Relative("../src/orders/order.cpp"), "src/orders/order.cpp");
  EXPECT_EQ(tree_.Relative("/home/ci/checkout/src/orders/order.cpp"), "src/orders/order.cpp");
  EXPECT_EQ(tree_.Relative("src/orders/order.cpp"), "src/orders/order.cpp");
  EXPECT_EQ(tree_.Relative("/usr/include/vector"), "/usr/include/vector");
  EXPECT_EQ(tree_.Relative("x/src/orders/order.cpp"), "x/src/orders/order.cpp");
  EXPECT_EQ(tree_.Relative(""), "");
}

TEST_F(SourceTreeTest, PathsOutsideOfTheTree_AreNotRead) {
  EXPECT_EQ(tree_.Lines("/etc/passwd"), nullptr);
  EXPECT_EQ(tree_.Lines("../x"), nullptr);
  EXPECT_EQ(tree_.Lines(""), nullptr);
}

TEST(RunProgram, KeepsOutputErrorsAndExitCode) {
  const auto done = RunProgram({"sh", "-c", "echo out; echo err >&2; exit 3"});
  ASSERT_TRUE(done.has_value()) << done.error().ToString();
  EXPECT_EQ(done->exit_code, 3);
  EXPECT_EQ(done->output, "out\n");
  EXPECT_EQ(done->errors, "err\n");
}

TEST(RunProgram, ArgumentsAreNotForAShell_AndVariablesAreAdded) {
  EXPECT_EQ(RunProgram({"printf", "%s", "$HOME; ls"})->output, "$HOME; ls");
  EXPECT_EQ(
      RunProgram({"sh", "-c", "printf %s \"$LOCKSTEP_TEST_VALUE\""}, {.environment = {{"LOCKSTEP_TEST_VALUE", "x y"}}})
          ->output,
      "x y");
}

TEST(RunProgram, TooLong_IsEndedWithWhatItStarted) {
  const auto done = RunProgram({"sh", "-c", "sleep 100 & wait"}, {.timeout_ms = 200});
  ASSERT_TRUE(done.has_value());
  EXPECT_TRUE(done->timed_out);
}

TEST(RunProgram, Missing_IsAnError) {
  EXPECT_EQ(RunProgram({"no-such-program-here"}).error().code, "PROGRAM_NOT_FOUND");
  EXPECT_EQ(RunProgram({}).error().code, "PROGRAM_NOT_FOUND");
}

TEST(ChangesSince, OptionForARevision_IsRefused) { EXPECT_EQ(ChangesSince(".", "--output=x").error().code, "USAGE"); }

}  // namespace
}  // namespace lockstep::replay
