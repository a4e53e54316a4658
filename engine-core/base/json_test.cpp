#include "engine-core/base/json.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace lockstep {
namespace {

Json Parse(std::string_view text) {
  auto parsed = ParseJson(text);
  EXPECT_TRUE(parsed.has_value()) << (parsed ? "" : parsed.error().message);
  return parsed ? *parsed : Json();
}

TEST(Json, Canonical_SortsMembersAndDropsSpace) {
  EXPECT_EQ(CanonicalJson(Parse(R"({ "b" : [1, 2.5, true, null], "a" : "x\u0001\n\"" })")),
            R"({"a":"x\u0001\n\"","b":[1,2.5,true,null]})");
}

TEST(Json, Canonical_OrdersMembersByUtf16CodeUnits) {
  // U+1F600 is D83D DE00 in UTF-16 and so comes before U+FB33, although its UTF-8 bytes are greater.
  Json object = Json::MakeObject({{"\xEF\xAC\xB3", 1}, {"\xF0\x9F\x98\x80", 2}, {"\xE2\x82\xAC", 3}, {"1", 4}});
  EXPECT_EQ(CanonicalJson(object), "{\"1\":4,\"\xE2\x82\xAC\":3,\"\xF0\x9F\x98\x80\":2,\"\xEF\xAC\xB3\":1}");
}

TEST(Json, Canonical_NumbersFollowEcmaScript) {
  // Vectors of RFC 8785 appendix B.
  const auto number = [](uint64_t bits) {
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return CanonicalJson(Json(value));
  };
  EXPECT_EQ(number(0x0000000000000000), "0");
  EXPECT_EQ(number(0x8000000000000000), "0");
  EXPECT_EQ(number(0x0000000000000001), "5e-324");
  EXPECT_EQ(number(0x7fefffffffffffff), "1.7976931348623157e+308");
  EXPECT_EQ(number(0x4340000000000000), "9007199254740992");
  EXPECT_EQ(number(0x4430000000000000), "295147905179352830000");
  EXPECT_EQ(number(0x44b52d02c7e14af5), "9.999999999999997e+22");
  EXPECT_EQ(number(0x44b52d02c7e14af6), "1e+23");
  EXPECT_EQ(number(0x444b1ae4d6e2ef4e), "999999999999999700000");
  EXPECT_EQ(number(0x3eb0c6f7a0b5ed8d), "0.000001");
  EXPECT_EQ(number(0x3eb0c6f7a0b5ed8c), "9.999999999999997e-7");
  EXPECT_EQ(number(0x41b3de4355555553), "333333333.3333332");
  EXPECT_EQ(number(0xbecbf647612f3696), "-0.0000033333333333333333");
}

TEST(Json, Parse_RefusesWhatSpec01Section10Refuses) {
  const std::pair<std::string, std::string> cases[] = {
      {"{\"a\":1,\"a\":2}", "each key once"}, {"\xEF\xBB\xBF{}", "byte-order mark"}, {"NaN", "line 1, column 1"},
      {"{} x", "line 1, column 4"},           {"", "empty document"},                 {"[1e999]", "line 1"},
      {"\"\xC3\x28\"", "UTF-8"},              {"[1,]", "line 1"},                     {"{\"a\":\n  tru}", "line 2"},
  };
  for (const auto& [text, part] : cases) {
    const auto parsed = ParseJson(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, "JSON_INVALID");
    EXPECT_NE(parsed.error().message.find(part), std::string::npos) << parsed.error().message;
  }
}

TEST(Json, Parse_BoundsNestingStringsAndIntegers) {
  const std::string deep = std::string(65, '[') + std::string(65, ']');
  EXPECT_FALSE(ParseJson(deep).has_value());
  EXPECT_TRUE(ParseJson(std::string(64, '[') + std::string(64, ']')).has_value());
  EXPECT_FALSE(ParseJson("\"" + std::string(65 * 1024, 'x') + "\"").has_value());
  EXPECT_FALSE(ParseJson("9007199254740992", {.safe_integers_only = true}).has_value());
  EXPECT_TRUE(ParseJson("9007199254740991", {.safe_integers_only = true}).has_value());
  EXPECT_FALSE(ParseJson("18446744073709551615", {.safe_integers_only = true}).has_value());
}

// The canonical form writes 1e19 without a fraction; reading it back must give the same double.
TEST(Json, Parse_TakesCanonicalDoublesAboveTheIntegers) {
  for (const double value : {9223372036854775808.0, 1e19, 18446744073709549568.0, 1e21}) {
    const Result<Json> back = ParseJson(CanonicalJson(Json(value)));
    ASSERT_TRUE(back.has_value()) << back.error().message;
    EXPECT_EQ(back->AsDouble(), value);
  }
}

TEST(Json, Parse_RefusesANulByteAndWhatFollowsIt) {
  using namespace std::string_view_literals;
  for (const std::string_view text : {"{}\0junk"sv, "1\0"sv, "[1]\0"sv, "\0{}"sv}) {
    const Result<Json> parsed = ParseJson(text);
    ASSERT_FALSE(parsed.has_value());
    EXPECT_EQ(parsed.error().code, "JSON_INVALID");
  }
}

TEST(Json, At_FollowsRfc6901) {
  const Json value = Parse(R"({"foo":["bar","baz"],"":0,"a/b":1,"m~n":8,"x":{"01":2}})");
  EXPECT_EQ(value.At("/foo/0")->AsString(), "bar");
  EXPECT_EQ(value.At("/")->AsInt(), 0);
  EXPECT_EQ(value.At("/a~1b")->AsInt(), 1);
  EXPECT_EQ(value.At("/m~0n")->AsInt(), 8);
  EXPECT_EQ(value.At("")->kind(), Json::Kind::kObject);
  EXPECT_EQ(value.At("/foo/00"), nullptr);
  EXPECT_EQ(value.At("/foo/2"), nullptr);
  EXPECT_EQ(value.At("foo"), nullptr);
  EXPECT_EQ(value.At("/m~2n"), nullptr);
}

TEST(Json, MergePatch_FollowsRfc7396) {
  Json target = Parse(R"({"a":"b","c":{"d":"e","f":"g"}})");
  MergePatch(&target, Parse(R"({"a":"z","c":{"f":null},"h":{"i":{"j":null}}})"));
  EXPECT_EQ(CanonicalJson(target), R"({"a":"z","c":{"d":"e"},"h":{"i":{}}})");
}

Json RandomJson(int depth) {
  switch (*rc::gen::inRange(0, depth > 0 ? 7 : 5)) {
    case 0: return Json();
    case 1: return Json(*rc::gen::arbitrary<bool>());
    case 2: return Json(*rc::gen::arbitrary<int64_t>());
    case 3: {
      const double value = *rc::gen::arbitrary<double>();
      return Json(std::isfinite(value) ? value : 0.5);
    }
    case 4: return Json(*rc::gen::container<std::string>(rc::gen::inRange('\x01', '\x7f')));
    case 5: {
      Json array = Json::MakeArray();
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i) array.Push(RandomJson(depth - 1));
      return array;
    }
    default: {
      Json object = Json::MakeObject();
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
        object.Set(*rc::gen::container<std::string>(rc::gen::inRange('a', 'z')), RandomJson(depth - 1));
      }
      return object;
    }
  }
}

TEST(Json, Property_CanonicalTextIsAFixedPoint) {
  EXPECT_TRUE(rc::check([] {
    const std::string text = CanonicalJson(RandomJson(3));
    const auto again = ParseJson(text);
    RC_ASSERT(again.has_value());
    RC_ASSERT(CanonicalJson(*again) == text);
    const auto pretty = ParseJson(PrettyJson(*again));
    RC_ASSERT(pretty.has_value());
    RC_ASSERT(CanonicalJson(*pretty) == text);
  }));
}

}  // namespace
}  // namespace lockstep
