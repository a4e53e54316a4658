// The proposed version gate keeps both texts.
#include "replay/trace/gate_patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine-core/base/files.h"

namespace lockstep::replay {
namespace {

using ::testing::HasSubstr;

TEST(ConditionalLine, ArgumentOfACall) {
  EXPECT_EQ(ConditionalLine("  timer(a.Get(\"x\"));", "  timer(a.Get(\"x\") + 1);", "GATE"),
            "  timer(GATE == wf::kDefaultVersion ? a.Get(\"x\") : a.Get(\"x\") + 1);");
}
TEST(ConditionalLine, MemberOfAList) {
  EXPECT_EQ(ConditionalLine("    {\"id\", state.attempt},", "    {\"id\", state.attempt + 1},", "GATE"),
            "    {\"id\", GATE == wf::kDefaultVersion ? state.attempt : state.attempt + 1},");
}
TEST(ConditionalLine, RightSideOfAnAssignment) {
  EXPECT_EQ(ConditionalLine("  options.task_queue = queue;", "  options.task_queue = queue + \"-v2\";", "GATE"),
            "  options.task_queue = GATE == wf::kDefaultVersion ? queue : queue + \"-v2\";");
}
TEST(ConditionalLine, WholeStatements_AreNone) {
  EXPECT_EQ(ConditionalLine("  First();", "  Second();", "GATE"), "");
  EXPECT_EQ(ConditionalLine("  if (a) {", "  if (b) {", "GATE"), "  if (GATE == wf::kDefaultVersion ? a : b) {");
  EXPECT_EQ(ConditionalLine("same;", "same;", "GATE"), "");
}

class GatePatchTest : public ::testing::Test {
 protected:
  GatePatchTest() : folder_(TemporaryDirectory::Create().value()), tree_({folder_.path()}) {}
  void Write(const std::string& text) { ASSERT_TRUE(WriteFileAtomically(folder_.path() / "w.cpp", text).has_value()); }
  TemporaryDirectory folder_;
  SourceTree tree_;
};

TEST_F(GatePatchTest, ReplacedStatements_StandInBothArms) {
  Write("void F() {\n  A();\n  New();\n  B();\n}\n");
  const GatePatch gate = GateForChange(&tree_, {"w.cpp", 3, 3, {"  Old();"}, {"  New();"}}, "f-x");
  EXPECT_EQ(gate.patch,
            "--- a/w.cpp\n+++ b/w.cpp\n@@ -1,5 +1,9 @@\n void F() {\n   A();\n-  New();\n"
            "+  if (wf::get_version(\"f-x\", wf::kDefaultVersion, 1) == wf::kDefaultVersion) {\n+    Old();\n+  } else "
            "{\n+    New();\n+  }\n   B();\n }\n");
}

TEST_F(GatePatchTest, RemovedStatement_RunsForOldRunsOnly) {
  Write("void F() {\n  A();\n  B();\n}\n");
  const GatePatch gate = GateForChange(&tree_, {"w.cpp", 3, 3, {"  Gone();"}, {}}, "f-x");
  EXPECT_THAT(
      gate.patch,
      HasSubstr(
          "+  if (wf::get_version(\"f-x\", wf::kDefaultVersion, 1) == wf::kDefaultVersion) {\n+    Gone();\n+  }\n"));
}

TEST_F(GatePatchTest, NewCommand_IsWrappedAsAWhole) {
  Write("void F() {\n  A();\n  co_await wf::execute_activity(\n      \"x\", input);\n  B();\n}\n");
  const GatePatch gate = GateForNewCommand(&tree_, {"w.cpp", 3, "F"}, "f-x");
  EXPECT_THAT(
      gate.patch,
      HasSubstr("!= wf::kDefaultVersion) {\n+    co_await wf::execute_activity(\n+        \"x\", input);\n+  }"));
}

TEST_F(GatePatchTest, DeclarationAndForeignText_GiveANoteInstead) {
  Write("void F() {\n  auto x =\n      wf::now();\n  Use(x);\n}\n");
  EXPECT_EQ(GateForNewCommand(&tree_, {"w.cpp", 2, "F"}, "f-x").patch, "");
  EXPECT_EQ(GateForChange(&tree_, {"w.cpp", 2, 2, {"old"}, {"other text"}}, "f-x").patch, "");
  EXPECT_EQ(GateForChange(&tree_, {"none.cpp", 2, 2, {"old"}, {"new"}}, "f-x").patch, "");
}

TEST(ChangeId, IsMadeOfFunctionAndField) {
  EXPECT_EQ(ChangeIdFor("lockstep::interpreter::PlanRun::StepInput", "input"), "step-input-input");
  EXPECT_EQ(ChangeIdFor("", "startToFireTimeout"), "start-to-fire-timeout");
  EXPECT_EQ(ChangeIdFor("", ""), "change");
}

}  // namespace
}  // namespace lockstep::replay
