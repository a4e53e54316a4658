// Positions of values in a text.
#include "engine-core/plan/source_map.h"

#include <gtest/gtest.h>

#include "engine-core/plan/issues.h"

namespace lockstep::plan {
namespace {

TEST(SourceMap, FindsLineAndColumnOfEveryKindOfValue) {
  const std::string text =
      "{\n  \"a\": [1, {\"b/c\" : \"x\"}],\n\t\"d\":null , \"e\": -2.5e3,\n\"f\":{}, \"g\":[],\"h\":true}";
  const auto map = SourceMap::Build(text);
  ASSERT_TRUE(map.has_value());
  EXPECT_EQ(map->Find(""), (SourcePosition{1, 1, 0}));
  EXPECT_EQ(map->Find("/a"), (SourcePosition{2, 8, 9}));
  EXPECT_EQ(map->Find("/a/0"), (SourcePosition{2, 9, 10}));
  EXPECT_EQ(map->Find("/a/1"), (SourcePosition{2, 12, 13}));
  EXPECT_EQ(map->Find("/a/1/b~1c")->column, 21U);
  EXPECT_EQ(text[map->Find("/d")->offset], 'n');
  EXPECT_EQ(text.substr(map->Find("/e")->offset, 6), "-2.5e3");
  EXPECT_EQ(text[map->Find("/f")->offset], '{');
  EXPECT_EQ(text[map->Find("/g")->offset], '[');
  EXPECT_EQ(text.substr(map->Find("/h")->offset, 4), "true");
  EXPECT_EQ(map->size(), 10U);
  EXPECT_FALSE(map->Find("/z").has_value());
  EXPECT_EQ(map->Nearest("/a/1/zz/y"), *map->Find("/a/1"));
  EXPECT_EQ(DescribePosition(*map, "a[1]['b/c']"), "line 2, column 21");
}

TEST(SourceMap, NoJson_IsRefused) {
  EXPECT_EQ(SourceMap::Build("{").error().code, "JSON_INVALID");
  EXPECT_FALSE(SourceMap::Build(std::string(100, '[') + std::string(100, ']')).has_value());
}

TEST(Issues, PathsAndPointersConvertBothWays) {
  const std::pair<const char*, const char*> pairs[] = {{"", "$"},
                                                       {"/metadata/planId", "metadata.planId"},
                                                       {"/steps/3/dependsOn/0", "steps[3].dependsOn[0]"},
                                                       {"/params/a.b", "params['a.b']"},
                                                       {"/params/x~1y", "params['x/y']"},
                                                       {"/params/it's", "params['it\\'s']"}};
  for (const auto& [pointer, path] : pairs) {
    EXPECT_EQ(PathFromPointer(pointer), path);
    EXPECT_EQ(PointerFromPath(path), pointer);
  }
}

TEST(Issues, AreSortedByPathThenCode) {
  const Error error = IssueError("X", "what", {{"b", "a", "1"}, {"a", "z", "2"}, {"a", "b", "3"}, {"a", "b", "3"}});
  ASSERT_EQ(error.issues.size(), 3U);
  EXPECT_EQ(error.issues[0].code, "b");
  EXPECT_EQ(error.issues[1].code, "z");
  EXPECT_EQ(error.issues[2].path, "b");
  EXPECT_EQ(error.message, "what: a: 3 (b), and 2 more");
}

TEST(Issues, AreCutAtTheirLimit) {
  std::vector<Issue> issues;
  for (int i = 0; i < 300; ++i) issues.push_back({"p" + std::to_string(i), "c", "m"});
  const Error error = IssueError("X", "what", issues);
  EXPECT_EQ(error.issues.size(), kMaxIssues);
  EXPECT_EQ(error.Detail("issueCount"), "300");
}

}  // namespace
}  // namespace lockstep::plan
