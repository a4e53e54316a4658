// C++ as words, and the functions and declarations among them.
#include "replay/trace/cpp_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine-core/base/bytes.h"

namespace lockstep::replay {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

std::vector<Token> TokensOf(std::string_view text) {
  std::vector<std::string> lines;
  for (const std::string_view line : Split(text, '\n')) lines.emplace_back(line);
  return Tokens(lines);
}
std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  for (const Token& token : TokensOf(text)) words.push_back(token.text);
  return words;
}
std::vector<std::string> Names(std::string_view text) {
  std::vector<std::string> names;
  for (const Item& item : ItemsOf(TokensOf(text)))
    names.push_back(item.name + ":" + std::to_string(item.first) + "-" + std::to_string(item.last));
  return names;
}

TEST(Tokens, SpacesAndCommentsAreGone) {
  EXPECT_THAT(Words("a  /* x\n y */ b // c\n\td"), ElementsAre("a", "b", "d"));
  EXPECT_EQ(TokensOf("a /*\n*/ b")[1].line, 2u);
}

TEST(Tokens, NumbersTextsAndOperators) {
  EXPECT_THAT(Words("10'000 0x1F 1e-3 .5"), ElementsAre("10000", "0x1F", "1e-3", ".5"));
  EXPECT_THAT(Words("x->y::z<<=1"), ElementsAre("x", "->", "y", "::", "z", "<<", "=", "1"));
  EXPECT_THAT(Words(R"(f("a\"b", 'c', u8"d"))"), ElementsAre("f", "(", R"("a\"b")", ",", "'c'", ",", "u8\"d\"", ")"));
}

TEST(Tokens, TextsThatStandTogetherAreOne) { EXPECT_THAT(Words("\"ab\"\n  \"cd\""), ElementsAre("\"abcd\"")); }

TEST(Tokens, RawTextsGoOverLines) {
  const auto tokens = TokensOf("R\"x(a // no comment\n\" )x\" b");
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[1].text, "b");
  EXPECT_EQ(tokens[1].line, 2u);
}

TEST(Tokens, LastCommaOfAListSaysNothing) { EXPECT_EQ(Words("{a, b,\n}"), Words("{a, b}")); }

TEST(Tokens, DirectivesAreLines) { EXPECT_THAT(Words("#define A \\\n  1\nb"), ElementsAre("#define A   1", "b")); }

TEST(Tokens, UnfinishedTextsEnd) {
  EXPECT_EQ(Words("\"abc\nd").size(), 2u);
  EXPECT_EQ(Words("/* abc\nd").size(), 0u);
  EXPECT_EQ(Words("R\"(abc\nd").size(), 1u);
  EXPECT_EQ(Words("R\"abc").size(), 1u);
  EXPECT_EQ(Words("'").size(), 1u);
}

TEST(Items, FunctionsInNamespacesAndClasses) {
  EXPECT_THAT(Names("namespace x {\nnamespace {\nint F(int a) {\n  if (a) { return 1; }\n  return G(a);\n}\n}\n"
                    "class C : public D<int> {\n public:\n  C() : a_(1), b_{2} { Init(); }\n  wf::Task<void> "
                    "Run(std::vector<int> v) const {\n    co_return;\n  }\n"
                    "  bool operator==(const C&) const { return true; }\n private:\n  int a_ = 3;\n  int "
                    "b_;\n};\n}\nauto After() -> int {\n}\n"),
              ElementsAre("F:3-6", "C:10-10", "Run:11-13", "operator:14-14", "a_:16-16", "After:20-21"));
}

TEST(Items, DeclarationsWithValues) {
  EXPECT_THAT(Names("const wf::Activity<int(std::string)> kAsk{\"ask\", {.x = 1}};\nconstexpr Row kRows[] = {{1, 2},\n "
                    "{3}};\nint undefined;\nusing A = B;\n"
                    "enum class E : int { kA = 1, kB };\nvoid Declared(int);\nstatic const auto kLambda = [](int a) { "
                    "return a; };\n"),
              ElementsAre("kAsk:1-1", "kRows:2-3", "kLambda:8-8"));
}

TEST(Items, MacrosWithTheirArguments) {
  const auto items =
      ItemsOf(TokensOf("REGISTER_WORKFLOW(Order, \"order\",\n  wf::Signal(\"x\", &Order::Change))\nint F() {\n  return "
                       "1;\n}\nTEST(A, B) {\n}\n"));
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].kind, ItemKind::kMacro);
  EXPECT_EQ(items[0].last, 2u);
  EXPECT_THAT(items[0].calls, Contains("Change"));
  EXPECT_EQ(items[1].name, "F");
  EXPECT_EQ(items[2].kind, ItemKind::kFunction);
}

TEST(Items, ScopesLocalsAndWrites) {
  const auto items =
      ItemsOf(TokensOf("class A : B {\n  void F(int n) { const int half = n / 2; sum_ += half; order_.name = x; "
                       "list_.push_back(n); stock_[n] = 1; }\n};\nvoid C::G() { ++count_; return done_ == true; }\n"));
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].scope, "A");
  EXPECT_EQ(items[1].scope, "C");
  EXPECT_THAT(items[0].locals, ElementsAre("half", "n"));
  EXPECT_THAT(items[0].writes, ElementsAre("list_", "name", "order_", "stock_", "sum_"));
  EXPECT_THAT(items[1].writes, ElementsAre("count_"));
}

TEST(Statements, EndWithSemicolonsBracesAndHeads) {
  const auto tokens = TokensOf("if (a(1); b) { c(); } else d([] { e(); }); for (;;) f();");
  std::vector<std::string> statements;
  const auto begins = StatementsOf(tokens);
  for (size_t s = 0; s + 1 < begins.size(); ++s) {
    std::string& text = statements.emplace_back();
    for (size_t i = begins[s]; i < begins[s + 1]; ++i) text += tokens[i].text;
  }
  EXPECT_THAT(statements, ElementsAre("if(a(1);b)", "{", "c();", "}", "else", "d([]{e();});", "for(;;)", "f();"));
}

TEST(Items, BracketsThatDoNotMatchEndSomewhere) {
  for (const std::string_view text : {"}}}", "{{{", "int f( {", "class A {", "namespace", "x = ", "template <",
                                      "operator", "A(", "#", "int f() : a{", "){}("}) {
    ItemsOf(TokensOf(text));
  }
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "namespace a {";
  EXPECT_TRUE(ItemsOf(TokensOf(deep)).empty());
}

}  // namespace
}  // namespace lockstep::replay
