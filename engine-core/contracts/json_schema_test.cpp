// The schema checker: draft-07 keywords, messages, and that hostile schemas and instances neither crash nor hang it.
#include "engine-core/contracts/json_schema.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine-core/contracts/embedded.h"

namespace lockstep::contracts {
namespace {

Json J(std::string_view text) { return *ParseJson(text); }
JsonSchema Schema(std::string_view text) {
  auto schema = JsonSchema::Compile(J(text));
  EXPECT_TRUE(schema.has_value()) << schema.error().message;
  return std::move(*schema);
}
std::string Refusal(std::string_view text) {
  const auto schema = JsonSchema::Compile(J(text));
  return schema ? "" : schema.error().ToString();
}

struct Case {
  const char* schema;
  const char* good;
  const char* bad;
  const char* pointer;
  const char* keyword;
  const char* message;
};
constexpr Case kCases[] = {
    {R"({"type":"integer"})", "3", "\"x\"", "", "type", "expected integer, found string"},
    {R"({"type":["integer","null"]})", "null", "true", "", "type", "expected integer or null, found boolean"},
    {R"({"enum":["a","b"]})", "\"a\"", "\"c\"", "", "enum", "expected one of \"a\", \"b\", found \"c\""},
    {R"({"const":1})", "1", "2", "", "const", "expected 1, found 2"},
    {R"({"minimum":1,"maximum":20})", "20", "30", "", "maximum", "expected a number from 1 to 20, found 30"},
    {R"({"minimum":1})", "1", "0", "", "minimum", "expected a number of at least 1, found 0"},
    {R"({"exclusiveMinimum":1})", "2", "1", "", "exclusiveMinimum", "expected a number above 1, found 1"},
    {R"({"exclusiveMaximum":1})", "0", "1", "", "exclusiveMaximum", "expected a number below 1, found 1"},
    {R"({"multipleOf":5})", "10", "11", "", "multipleOf", "expected a multiple of 5, found 11"},
    {R"({"minLength":2})", "\"ab\"", "\"a\"", "", "minLength", "expected a text length of at least 2, found 1 bytes"},
    {R"({"maxLength":1})", "\"a\"", "\"ab\"", "", "maxLength", "expected a text length of at most 1, found 2 bytes"},
    {R"({"pattern":"^[a-z]+$"})", "\"ab\"", "\"A\"", "", "pattern", "expected text that matches ^[a-z]+$, found \"A\""},
    {R"({"minItems":1})", "[1]", "[]", "", "minItems", "expected an item count of at least 1, found 0 items"},
    {R"({"maxItems":1})", "[1]", "[1,2]", "", "maxItems", "expected an item count of at most 1, found 2 items"},
    {R"({"uniqueItems":true})", "[1,2]", "[1,1.0]", "", "uniqueItems", "expected no value twice, found 2 items"},
    {R"({"items":{"type":"string"}})", "[\"a\"]", "[\"a\",1]", "/1", "type", "expected string, found integer"},
    {R"({"required":["a"]})", R"({"a":1})", "{}", "/a", "required", "expected the member \"a\", found nothing"},
    {R"({"properties":{"a":{"type":"string"}}})", R"({"a":"x"})", R"({"a":1})", "/a", "type",
     "expected string, found integer"},
    {R"({"properties":{"a":{}},"additionalProperties":false})", R"({"a":1})", R"({"b/c":1})", "/b~1c",
     "additionalProperties", "expected no member \"b/c\", found one"},
    {R"({"additionalProperties":{"type":"string"}})", R"({"a":"x"})", R"({"a":1})", "/a", "type",
     "expected string, found integer"},
    {R"({"minProperties":1})", R"({"a":1})", "{}", "", "minProperties",
     "expected a member count of at least 1, found 0 members"},
    {R"({"maxProperties":0})", "{}", R"({"a":1})", "", "maxProperties",
     "expected a member count of at most 0, found 1 members"},
    {R"({"definitions":{"n":{"type":"integer"}},"properties":{"a":{"$ref":"#/definitions/n"}}})", R"({"a":1})",
     R"({"a":"x"})", "/a", "type", "expected integer, found string"},
};

TEST(JsonSchema, EachKeyword_AcceptsAndRefusesWithPointerAndMessage) {
  for (const Case& c : kCases) {
    const JsonSchema schema = Schema(c.schema);
    EXPECT_TRUE(schema.Accepts(J(c.good))) << c.schema;
    const auto violations = schema.Check(J(c.bad));
    ASSERT_EQ(violations.size(), 1U) << c.schema;
    EXPECT_EQ(violations[0].pointer, c.pointer) << c.schema;
    EXPECT_EQ(violations[0].keyword, c.keyword) << c.schema;
    EXPECT_EQ(violations[0].message, c.message) << c.schema;
  }
}

TEST(JsonSchema, Combinators_AcceptAndRefuse) {
  EXPECT_TRUE(Schema(R"({"anyOf":[{"type":"string"},{"type":"null"}]})").Accepts(J("null")));
  EXPECT_FALSE(Schema(R"({"anyOf":[{"type":"string"},{"type":"null"}]})").Accepts(J("1")));
  EXPECT_FALSE(Schema(R"({"oneOf":[{"type":"integer"},{"minimum":0}]})").Accepts(J("1")));
  EXPECT_FALSE(Schema(R"({"allOf":[{"type":"integer"},{"minimum":2}]})").Accepts(J("1")));
  EXPECT_FALSE(Schema(R"({"not":{"type":"integer"}})").Accepts(J("1")));
  EXPECT_FALSE(Schema(R"({"if":{"minimum":1},"then":{"maximum":1}})").Accepts(J("2")));
  EXPECT_TRUE(Schema(R"({"if":{"minimum":1},"then":{"maximum":1}})").Accepts(J("0")));
  EXPECT_FALSE(Schema(R"({"contains":{"const":1}})").Accepts(J("[2]")));
  EXPECT_FALSE(Schema(R"({"dependencies":{"a":["b"]}})").Accepts(J(R"({"a":1})")));
  EXPECT_FALSE(Schema(R"({"propertyNames":{"pattern":"^a"}})").Accepts(J(R"({"b":1})")));
  EXPECT_FALSE(Schema("false").Accepts(J("1")));
  EXPECT_TRUE(Schema("true").Accepts(J("1")));
}

TEST(JsonSchema, PropertyNames_AreToldAtTheirObject) {
  const auto violations =
      Schema(R"({"properties":{"env":{"propertyNames":{"pattern":"^a"}}}})").Check(J(R"({"env":{"b":1}})"));
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_EQ(violations[0].pointer, "/env");
}

TEST(JsonSchema, AllSurplusMembersAreReported) {
  const auto violations =
      Schema(R"({"properties":{"a":{}},"additionalProperties":false})").Check(J(R"({"a":1,"c":1,"b":1})"));
  ASSERT_EQ(violations.size(), 2U);
  EXPECT_EQ(violations[0].pointer, "/b");
  EXPECT_EQ(violations[1].pointer, "/c");
}

TEST(JsonSchema, RecursiveSchema_DescendsIntoTheInstance) {
  const JsonSchema schema =
      Schema(R"({"type":"object","properties":{"next":{"$ref":"#"}},"additionalProperties":false})");
  EXPECT_TRUE(schema.Accepts(J(R"({"next":{"next":{}}})")));
  EXPECT_FALSE(schema.Accepts(J(R"({"next":{"next":1}})")));
}

TEST(JsonSchema, ReferenceToItself_IsRefused) {
  EXPECT_NE(Refusal(R"({"$ref":"#"})"), "");
  EXPECT_NE(Refusal(R"({"allOf":[{"$ref":"#"}]})"), "");
  EXPECT_NE(Refusal(R"({"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}}})"), "");
}

TEST(JsonSchema, RemoteOrDanglingReference_IsRefused) {
  EXPECT_NE(Refusal(R"({"$ref":"other.json#/a"})").find("inside this document"), std::string::npos);
  EXPECT_NE(Refusal(R"({"$ref":"https://schemas.example/a"})").find("inside this document"), std::string::npos);
  EXPECT_NE(Refusal(R"({"properties":{"a":{"$ref":"#/definitions/n"}}})").find("points to no schema"),
            std::string::npos);
}

TEST(JsonSchema, KeywordOutsideTheSubset_IsRefused) {
  for (const char* keyword : {"prefixItems", "unevaluatedProperties", "$dynamicRef", "dependentRequired", "minContains",
                              "patternProperties", "tpye"}) {
    EXPECT_NE(Refusal(std::string("{\"") + keyword + "\":{}}").find("subset"), std::string::npos) << keyword;
  }
  // The same names are fine as names of members.
  EXPECT_EQ(Refusal(R"({"properties":{"prefixItems":{},"$dynamicRef":{}}})"), "");
  EXPECT_EQ(Refusal(R"({"x-note":5,"title":"t","format":"date","$defs":{"a":{}}})"), "");
}

TEST(JsonSchema, BrokenSchemas_AreRefusedNotThrown) {
  for (const char* text : {"5", R"({"type":5})", R"({"type":"txt"})", R"({"required":"a"})", R"({"pattern":"("})",
                           R"({"multipleOf":0})", R"({"properties":[]})", R"({"allOf":{}})", R"({"allOf":[]})",
                           R"({"items":3})", R"({"minLength":"a"})", R"({"$ref":3})"}) {
    EXPECT_NE(Refusal(text).find("SCHEMA_INVALID"), std::string::npos) << text;
  }
}

TEST(JsonSchema, HostilePatternOnLongText_RunsInLinearTime) {
  const JsonSchema schema = Schema(R"({"pattern":"^(a|a)*$"})");
  EXPECT_FALSE(schema.Accepts(Json(std::string(60'000, 'a') + "b")));
  EXPECT_TRUE(schema.Accepts(Json(std::string(60'000, 'a'))));
}

TEST(JsonSchema, ExplosiveSchema_EndsWithBudget) {
  // 3^20 visits if it were followed to the end.
  std::string text = "{\"definitions\":{\"d0\":{\"type\":\"integer\"}";
  for (int i = 1; i <= 9; ++i) {
    const std::string below = "{\"$ref\":\"#/definitions/d" + std::to_string(i - 1) + "\"}";
    text += ",\"d" + std::to_string(i) + "\":{\"allOf\":[";
    for (int k = 0; k < 9; ++k) text += (k == 0 ? "" : ",") + below;
    text += "]}";
  }
  text += "},\"allOf\":[{\"$ref\":\"#/definitions/d9\"}]}";
  const auto schema = JsonSchema::Compile(J(text));
  ASSERT_TRUE(schema.has_value()) << schema.error().message;
  const auto violations = schema->Check(J("1"));
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_EQ(violations[0].keyword, "budget");
}

TEST(JsonSchema, ManyItems_UniqueInReasonableTime) {
  Json list = Json::MakeArray();
  for (int i = 0; i < 30'000; ++i) list.Push(i);
  const JsonSchema schema = Schema(R"({"uniqueItems":true})");
  EXPECT_TRUE(schema.Accepts(list));
  list.Push(7);
  EXPECT_FALSE(schema.Accepts(list));
}

TEST(JsonSchema, EveryEmbeddedSchemaCompiles) {
  size_t schemas = 0;
  for (size_t i = 0; i < kEmbeddedFileCount; ++i) {
    if (!kEmbeddedFiles[i].name.ends_with(".schema.json")) continue;
    ++schemas;
    const auto parsed = ParseJson(kEmbeddedFiles[i].text);
    ASSERT_TRUE(parsed.has_value()) << kEmbeddedFiles[i].name;
    EXPECT_EQ(parsed->GetString("$schema"), "http://json-schema.org/draft-07/schema#") << kEmbeddedFiles[i].name;
    const auto schema = JsonSchema::Compile(*parsed);
    EXPECT_TRUE(schema.has_value()) << kEmbeddedFiles[i].name << " " << schema.error().message;
  }
  EXPECT_GE(schemas, 19U);
}

TEST(JsonSchema, UnknownEmbeddedFile_IsEmpty) { EXPECT_TRUE(EmbeddedText("schemas/nope.json").empty()); }

rc::Gen<Json> AnyJson(int depth) {
  auto leaf =
      rc::gen::oneOf(rc::gen::just(Json()), rc::gen::map(rc::gen::arbitrary<bool>(), [](bool b) { return Json(b); }),
                     rc::gen::map(rc::gen::inRange(-5, 50), [](int i) { return Json(i); }),
                     rc::gen::element(Json("integer"), Json("#"), Json("#/properties/type"), Json("^a+$"), Json("x")));
  if (depth == 0) return leaf;
  auto keys =
      rc::gen::element<std::string>("type", "properties", "items", "$ref", "allOf", "anyOf", "not", "enum", "required",
                                    "pattern", "minLength", "maximum", "const", "additionalProperties", "dependencies",
                                    "multipleOf", "uniqueItems", "definitions", "if", "then", "contains");
  auto object = rc::gen::map(rc::gen::container<std::vector<std::pair<std::string, Json>>>(
                                 rc::gen::pair(keys, rc::gen::lazy([=] { return AnyJson(depth - 1); }))),
                             [](const std::vector<std::pair<std::string, Json>>& members) {
                               Json out = Json::MakeObject();
                               for (const auto& [key, value] : members) out.Set(key, value);
                               return out;
                             });
  auto array = rc::gen::map(rc::gen::container<std::vector<Json>>(rc::gen::lazy([=] { return AnyJson(depth - 1); })),
                            [](const std::vector<Json>& items) { return Json(Json::Array(items)); });
  return rc::gen::weightedOneOf<Json>({{2, leaf}, {4, object}, {1, array}});
}

TEST(JsonSchema, RandomSchemasAndInstances_NeverCrash) {
  rc::check([] {
    const Json schema = *rc::gen::scale(0.2, AnyJson(4));
    const Json instance = *rc::gen::scale(0.2, AnyJson(3));
    const auto compiled = JsonSchema::Compile(schema);
    if (compiled) {
      const auto once = compiled->Check(instance);
      RC_ASSERT(once == compiled->Check(instance));
    } else {
      RC_ASSERT(compiled.error().code == "SCHEMA_INVALID");
    }
  });
}

}  // namespace
}  // namespace lockstep::contracts
