#include "engine-core/interpreter/errors.h"

#include <gmock/gmock.h>

#include "engine-core/base/bytes.h"

namespace lockstep::interpreter {
namespace {

struct CategoryCase {
  const char* code;
  const char* given;
  const char* category;
};

TEST(Errors, Category_IsTheGivenOne_OrThatOfTheCode) {
  for (const CategoryCase& each : {CategoryCase{"STEP_TIMEOUT", "", "TIMEOUT"}, {"GATE_TIMEOUT", "", "TIMEOUT"}, {"RUN_TIMEOUT", "", "TIMEOUT"},
                                   {"HOLD_EXPIRED", "", "TIMEOUT"}, {"WORKER_UNAVAILABLE", "", "PLATFORM"}, {"PLAN_FETCH_FAILED", "", "PLATFORM"},
                                   {"PLAN_INTEGRITY_VALIDATION_FAILED", "", "VALIDATION_ERROR"}, {"INVALID_PLAN_SCHEMA", "", "VALIDATION_ERROR"},
                                   {"INVALID_WORKFLOW_STATE", "", "SYSTEM"}, {"CANCELLED", "", "SYSTEM"}, {"WHATEVER", "", "USER"},
                                   {"WHATEVER", "PLATFORM", "PLATFORM"}, {"WHATEVER", "PLUGIN_SANDBOX", "PLUGIN_SANDBOX"},
                                   {"WHATEVER", "business", "USER"}, {"WHATEVER", "validation", "USER"}, {"WHATEVER", "infrastructure", "PLATFORM"},
                                   {"WHATEVER", "timeout", "TIMEOUT"}, {"STEP_TIMEOUT", "no such word", "TIMEOUT"}}) {
    Error error(each.code, "m");
    if (each.given[0] != '\0') error.details.emplace_back("category", each.given);
    EXPECT_EQ(StepErrorJson(error).GetString("category"), each.category) << each.code << " " << each.given;
  }
}

TEST(Errors, Json_HasTheFieldsOfTheEvent) {
  EXPECT_EQ(CanonicalJson(StepErrorJson(Error("X", "m", true))), R"({"category":"USER","code":"X","message":"m","retryable":true,"source":"activity"})");
  EXPECT_EQ(RunErrorJson(Error("X", "m")).GetString("source"), "engine");
  EXPECT_EQ(StepErrorJson(Error("", "m")).GetString("code"), "PERMANENT_STEP_ERROR");
}

TEST(Errors, LongTexts_AreCutAtACharacter) {
  std::string text = "x";
  for (int i = 0; i < 2'000; ++i) text += "é";
  const Json json = StepErrorJson(Error(text, text));
  EXPECT_LE(json.GetString("code").size(), 64u);
  EXPECT_LE(json.GetString("message").size(), 2'048u);
  EXPECT_TRUE(IsValidUtf8(json.GetString("code")));
  EXPECT_TRUE(IsValidUtf8(json.GetString("message")));
}

TEST(Errors, OutputError_TakesWhatTheWorkerSays) {
  const Json output = ParseJson(R"({"error":{"code":"A","message":"b","retryable":true,"category":"PLATFORM"}})").value();
  const Error given = OutputError(output, "FAILED");
  EXPECT_EQ(given.code, "A");
  EXPECT_TRUE(given.retryable);
  EXPECT_EQ(given.Detail("category"), "PLATFORM");
  EXPECT_EQ(OutputError(Json::MakeObject(), "CANCELLED").code, "CANCELLED");
  EXPECT_EQ(OutputError(Json::MakeObject(), "OK").code, "PERMANENT_STEP_ERROR");
  EXPECT_EQ(OutputError(Json(), "").code, "PERMANENT_STEP_ERROR");
}

TEST(Errors, Artifacts_OnlyWhenThereAreAny) {
  EXPECT_FALSE(ErrorArtifacts(Error("X", "m")).has_value());
  for (const char* text : {"not json", "{}", "[]"}) EXPECT_FALSE(ErrorArtifacts(Error("X", "m").With("artifactRefs", text)).has_value()) << text;
  EXPECT_TRUE(ErrorArtifacts(Error("X", "m").With("artifactRefs", R"([{"uri":"u","kind":"k"}])")).has_value());
}

TEST(Errors, CursorArtifacts_KeepKindUriAndDigest) {
  const Json refs = ParseJson(R"([{"uri":"u","kind":"k","sha256":"s","sizeBytes":1,"expiresAt":"t"},3])").value();
  EXPECT_EQ(CanonicalJson(CursorArtifacts(refs)), R"([{"kind":"k","sha256":"s","uri":"u"}])");
}

}  // namespace
}  // namespace lockstep::interpreter
