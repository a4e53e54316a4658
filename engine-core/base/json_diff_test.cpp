#include "engine-core/base/json_diff.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace lockstep {
namespace {

TEST(JsonDiff, NamesTheFieldAndBothValues) {
  const Json expected = *ParseJson(R"({"a":{"b":[1,2,{"c":"x"}]},"gone":1})");
  const Json actual = *ParseJson(R"({"a":{"b":[1,3,{"c":"y"}]},"new":true})");
  const std::vector<JsonDifference> want = {
      {"/a/b/1", "2", "3"}, {"/a/b/2/c", "\"x\"", "\"y\""}, {"/gone", "1", ""}, {"/new", "", "true"}};
  EXPECT_EQ(DiffJson(expected, actual), want);
}

TEST(JsonDiff, EqualValuesGiveNothing) {
  const Json value = *ParseJson(R"({"a":[1,{"b":null}]})");
  EXPECT_TRUE(DiffJson(value, value).empty());
}

TEST(JsonDiff, StopsAtTheLimit) {
  Json left = Json::MakeArray(), right = Json::MakeArray();
  for (int i = 0; i < 100; ++i) {
    left.Push(i);
    right.Push(-i - 1);
  }
  EXPECT_EQ(DiffJson(left, right, 7).size(), 7U);
}

TEST(JsonDiff, LongValuesAreShortenedButTellApart) {
  const Json left(std::string(1000, 'a') + "1"), right(std::string(1000, 'a') + "2");
  const auto found = DiffJson(left, right);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].expected, found[0].actual);
  EXPECT_LT(found[0].expected.size(), 300U);
}

TEST(JsonDiff, EscapesPointerTokens) {
  const auto found = DiffJson(Json::MakeObject({{"a/b~", 1}}), Json::MakeObject({{"a/b~", 2}}));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].pointer, "/a~1b~0");
}

}  // namespace
}  // namespace lockstep
