// What a change says anew, among all that says nothing.
#include "replay/trace/edits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"

namespace lockstep::replay {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> LinesOf(std::string_view text) {
  std::vector<std::string> lines;
  for (const std::string_view line : Split(text, '\n')) lines.emplace_back(line);
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

// One hunk over everything between the first and the last line that differ.
Hunk HunkBetween(const std::string& file, const std::vector<std::string>& before,
                 const std::vector<std::string>& after) {
  size_t first = 0, same = 0;
  const size_t shorter = std::min(before.size(), after.size());
  while (first < shorter && before[first] == after[first]) ++first;
  while (same < shorter - first && before[before.size() - 1 - same] == after[after.size() - 1 - same]) ++same;
  const auto place = static_cast<uint32_t>(first + 1);
  return {file,
          place,
          place,
          {before.begin() + static_cast<ptrdiff_t>(first), before.end() - static_cast<ptrdiff_t>(same)},
          {after.begin() + static_cast<ptrdiff_t>(first), after.end() - static_cast<ptrdiff_t>(same)}};
}

class EditsTest : public ::testing::Test {
 protected:
  EditsTest() : folder_(TemporaryDirectory::Create().value()) {}

  EditView Edits(const std::string& before, const std::string& after) {
    EXPECT_TRUE(WriteFileAtomically(folder_.path() / "w.cpp", after).has_value());
    SourceTree tree({folder_.path()});
    return EditsOf(&tree, {HunkBetween("w.cpp", LinesOf(before), LinesOf(after))});
  }
  TemporaryDirectory folder_;
};

constexpr char kBefore[] =
    "namespace x {\n"
    "\n"
    "int Half(int n) {\n"
    "  return n / 2;\n"
    "}\n"
    "\n"
    "Task<void> Run(Order order) {\n"
    "  const int total = order.cents + kFee;\n"
    "  for (const auto& entry : order.lines) Add(entry, total);\n"
    "  co_await kCharge(order.id, total);\n"
    "  wf::timer(5'000);\n"
    "}\n"
    "\n"
    "}\n";

TEST_F(EditsTest, CommentsFormatNamesMovesAndLogLines_SayNothing) {
  const EditView view = Edits(kBefore,
                              "#include <map>\n"
                              "namespace x {\n"
                              "\n"
                              "// What it costs.\n"
                              "Task<void> Run(Order order) {\n"
                              "  wf::log(\"starting \" + order.id);\n"
                              "  const int sum =\n"
                              "      order.cents + kFee;\n"
                              "  for (const auto& line : order.lines) {\n"
                              "    Add(line, sum);\n"
                              "  }\n"
                              "  co_await kCharge(order.id,\n"
                              "                   sum);\n"
                              "  wf::timer(5000);\n"
                              "}\n"
                              "\n"
                              "int Half(int number) { return number / 2; }\n"
                              "\n"
                              "}\n");
  for (const Edit& edit : view.edits) ADD_FAILURE() << edit.line << " in " << edit.function;
  EXPECT_FALSE(view.harmless.empty());
}

TEST_F(EditsTest, TheOneWordAmongThem_IsNamed) {
  const EditView view = Edits(kBefore,
                              "namespace x {\n"
                              "\n"
                              "Task<void> Run(Order order) {\n"
                              "  const int sum = order.cents + kFee;\n"
                              "  // Every line.\n"
                              "  for (const auto& entry : order.lines)\n"
                              "    Add(entry, sum);\n"
                              "  co_await kCharge(order.id, sum);\n"
                              "  wf::timer(\n"
                              "      6'000);\n"
                              "}\n"
                              "\n"
                              "int Half(int n) {\n"
                              "  return n / 2;\n"
                              "}\n"
                              "\n"
                              "}\n");
  ASSERT_EQ(view.edits.size(), 1u);
  EXPECT_EQ(view.edits[0].line, 10u);
  EXPECT_EQ(view.edits[0].function, "Run");
  EXPECT_EQ(view.edits[0].removed.at(0).text, "5000");
  EXPECT_EQ(view.edits[0].added.at(0).text, "6000");
  // The gate's lines are whole ones.
  EXPECT_THAT(view.edits[0].hunk.new_lines, ElementsAre("  wf::timer(", "      6'000);"));
  EXPECT_THAT(view.edits[0].hunk.old_lines, ElementsAre("  wf::timer(5'000);"));
}

TEST_F(EditsTest, OldLinesOfAGate_SpeakWithTheNewNames) {
  const EditView view =
      Edits("void F() {\n  int a = 1;\n  Use(a, 7);\n}\n", "void F() {\n  int b = 1;\n  Use(b, 8);\n}\n");
  ASSERT_EQ(view.edits.size(), 1u);
  EXPECT_THAT(view.edits[0].hunk.old_lines, ElementsAre("  Use(b, 7);"));
}

TEST_F(EditsTest, OtherMemberInThePlaceOfOne_IsNoRename) {
  const EditView view =
      Edits("void F(A a) {\n  options.queue = a.queue;\n}\n", "void F(A a) {\n  options.queue = a.kind;\n}\n");
  ASSERT_EQ(view.edits.size(), 1u);
  EXPECT_EQ(view.edits[0].line, 2u);
}

TEST_F(EditsTest, SwappedNames_AreNoRename) {
  const EditView view = Edits("void F(int a, int b) {\n  Pick(a);\n  Pack(b);\n}\n",
                              "void F(int a, int b) {\n  Pick(b);\n  Pack(a);\n}\n");
  EXPECT_FALSE(view.edits.empty());
}

TEST_F(EditsTest, RenamedMember_SaysNothingWithItsDeclaration) {
  const EditView view = Edits("class A {\n  void F() { if (done_) x(); }\n  bool done_ = false;\n};\n",
                              "class A {\n  void F() { if (over_) x(); }\n  bool over_ = false;\n};\n");
  EXPECT_TRUE(view.edits.empty());
}

TEST_F(EditsTest, RenamedFunction_SaysNothingWithItsCalls) {
  const EditView view = Edits("int Half(int n) {\n  return n / 2;\n}\nint F() {\n  return Half(8);\n}\n",
                              "int HalfOf(int n) {\n  return n / 2;\n}\nint F() {\n  return HalfOf(8);\n}\n");
  EXPECT_TRUE(view.edits.empty());
}

TEST_F(EditsTest, StatementsInAnotherOrder_AreEdits) {
  const EditView view = Edits("void F() {\n  A();\n  B();\n}\n", "void F() {\n  B();\n  A();\n}\n");
  EXPECT_FALSE(view.edits.empty());
}

TEST_F(EditsTest, LogLineThatDoesMore_IsAnEdit) {
  EXPECT_FALSE(Edits("void F() {\n}\n", "void F() {\n  wf::log(std::to_string(++count_));\n}\n").edits.empty());
  EXPECT_FALSE(Edits("void F() {\n}\n", "void F() {\n  x = log(y);\n}\n").edits.empty());
  EXPECT_TRUE(Edits("void F() {\n}\n", "void F() {\n  std::clog << count_ << '\\n';\n}\n").edits.empty());
  EXPECT_TRUE(Edits("void F() {\n  log(\"a\");\n}\n", "void F() {\n  log(\"b\");\n}\n").edits.empty());
}

TEST_F(EditsTest, RemovedStatement_IsNamedAmongLogLinesAndBraces) {
  const EditView view = Edits(
      "void F() {\n  if (!paid) return Fail(paid);\n  state_ = \"paid\";\n  if (wf::get_version(\"insured\", 0, 1) == "
      "1) Charge(id, 100);\n  Ship();\n}\n",
      "void F() {\n  if (!paid) {\n    return Fail(paid);\n  }\n  wf::log(\"paid\");\n  state_ = \"paid\";\n  // "
      "Then.\n  Ship();\n}\n");
  ASSERT_EQ(view.edits.size(), 1u);
  EXPECT_EQ(view.edits[0].line, 6u);
  EXPECT_THAT(view.edits[0].hunk.old_lines,
              ElementsAre("  if (wf::get_version(\"insured\", 0, 1) == 1) Charge(id, 100);"));
}

TEST_F(EditsTest, LogLineUnderACondition_StaysWithIt) {
  EXPECT_FALSE(Edits("void F() {\n  A();\n}\n", "void F() {\n  if (x)\n    wf::log(\"a\");\n  else\n    A();\n}\n")
                   .edits.empty());
}

TEST_F(EditsTest, Removal_IsBehindTheWordBefore) {
  const EditView view = Edits("void F() {\n  A();\n  if (!x) return;\n  B();\n}\n", "void F() {\n  A();\n  B();\n}\n");
  ASSERT_EQ(view.edits.size(), 1u);
  EXPECT_EQ(view.edits[0].line, 2u);
  EXPECT_THAT(view.edits[0].hunk.old_lines, ElementsAre("  if (!x) return;"));
  EXPECT_TRUE(view.edits[0].hunk.new_lines.empty());
  EXPECT_EQ(view.edits[0].hunk.new_start, 3u);
}

TEST_F(EditsTest, RemovedCondition_IsWhereItsStatementStands) {
  const EditView view = Edits("void F() {\n  if (Old(1)) A();\n}\n", "void F() {\n  // Always.\n  A();\n}\n");
  ASSERT_EQ(view.edits.size(), 1u);
  EXPECT_EQ(view.edits[0].line, 3u);
}

TEST_F(EditsTest, RemovedDeclaration_IsAnEditToo) {
  const EditView view =
      Edits("void F() {\n}\n\nREGISTER(A, \"a\")\nvoid G() {\n}\n", "void F() {\n}\n\nvoid G() {\n}\n");
  ASSERT_EQ(view.edits.size(), 1u);
  EXPECT_EQ(view.edits[0].line, 2u);
}

TEST_F(EditsTest, TextThatIsNotTheDiffs_LeavesTheHunk) {
  ASSERT_TRUE(WriteFileAtomically(folder_.path() / "w.cpp", "something else\n").has_value());
  SourceTree tree({folder_.path()});
  const EditView view = EditsOf(
      &tree,
      {{"w.cpp", 7, 7, {"old"}, {"", "new();"}}, {"gone.cpp", 1, 1, {"x"}, {}}, {"README.md", 1, 1, {"x"}, {"y"}}});
  ASSERT_EQ(view.edits.size(), 2u);
  EXPECT_EQ(view.edits[1].line, 8u);
}

RC_GTEST_PROP(DiffTokens, LeadsFromOneToTheOther, ()) {
  const auto list = [] {
    std::vector<Token> tokens;
    for (const uint8_t letter : *rc::gen::container<std::vector<uint8_t>>(rc::gen::inRange<uint8_t>(0, 4)))
      tokens.push_back({TokenKind::kName, std::string(1, static_cast<char>('a' + letter)), 1});
    return tokens;
  };
  const std::vector<Token> before = list(), after = list();
  std::vector<Token> made;
  size_t at = 0, placed = 0;
  for (const TokenChange& change : DiffTokens(before, after)) {
    RC_ASSERT(change.old_begin >= at && change.old_begin - at == change.new_begin - placed);
    made.insert(made.end(), before.begin() + static_cast<ptrdiff_t>(at),
                before.begin() + static_cast<ptrdiff_t>(change.old_begin));
    made.insert(made.end(), after.begin() + static_cast<ptrdiff_t>(change.new_begin),
                after.begin() + static_cast<ptrdiff_t>(change.new_end));
    at = change.old_end;
    placed = change.new_end;
  }
  made.insert(made.end(), before.begin() + static_cast<ptrdiff_t>(at), before.end());
  RC_ASSERT(made == after);
}

}  // namespace
}  // namespace lockstep::replay
