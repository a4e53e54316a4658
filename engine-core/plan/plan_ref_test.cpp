// PlanRef: every field, unknown members, size (spec 01 section 2).
#include "engine-core/plan/plan_ref.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine-core/plan/test_support/plans.h"

namespace lockstep::plan {
namespace {

const char kDigest[] = "a986878982b35e031985b91826b534555abef216b207f77caf3827dd02e6c90a";

Json Good() {
  return Json::MakeObject({{"uri", "s3://plans/a.json"},
                           {"sha256", kDigest},
                           {"schemaVersion", "v1.2"},
                           {"planId", "p"},
                           {"planVersion", "1"}});
}
std::string IssueAt(Json json) {
  const auto ref = ParsePlanRef(json);
  if (ref) return "ok";
  EXPECT_EQ(ref.error().code, "PLAN_REF_INVALID");
  EXPECT_FALSE(ref.error().retryable);
  return ref.error().issues.empty() ? "none" : ref.error().issues[0].path;
}
Json With(std::string_view key, Json value) {
  Json json = Good();
  json.Set(key, std::move(value));
  return json;
}

TEST(ParsePlanRef, AllFields_RoundTrip) {
  Json json = Good();
  json.Set("sizeBytes", 123).Set("expiresAt", "2026-02-12T00:00:00.000Z").Set("compression", "gzip");
  const auto ref = ParsePlanRef(json);
  ASSERT_TRUE(ref.has_value()) << ref.error().ToString();
  EXPECT_EQ(ref->compression, Compression::kGzip);
  EXPECT_EQ(ref->size_bytes, 123);
  EXPECT_EQ(ToJson(*ref), json);
}

TEST(ParsePlanRef, DefaultCompressionIsLeftOut) {
  const auto ref = ParsePlanRef(With("compression", "none"));
  ASSERT_TRUE(ref.has_value());
  EXPECT_EQ(ToJson(*ref), Good());
}

TEST(ParsePlanRef, EachRequiredField_WhenMissing) {
  for (const char* field : {"uri", "sha256", "schemaVersion", "planId", "planVersion"}) {
    Json json = Good();
    json.AsObject().erase(field);
    EXPECT_EQ(IssueAt(json), field);
  }
}

TEST(ParsePlanRef, UnknownMember_IsRefused) { EXPECT_EQ(IssueAt(With("hint", "x")), "hint"); }

TEST(ParsePlanRef, BadValues_AreRefusedAtTheirPath) {
  const std::pair<const char*, Json> cases[] = {{"uri", ""},
                                                {"uri", std::string(2049, 'a')},
                                                {"uri", 5},
                                                {"sha256", std::string(64, 'A')},
                                                {"sha256", "abc"},
                                                {"schemaVersion", "1.2"},
                                                {"planId", "a|b"},
                                                {"planId", ".a"},
                                                {"planId", std::string(129, 'a')},
                                                {"planVersion", "1|2"},
                                                {"planVersion", ""},
                                                {"planVersion", std::string(65, '1')},
                                                {"sizeBytes", 0},
                                                {"sizeBytes", kMaxPlanBytes + 1},
                                                {"sizeBytes", "1"},
                                                {"expiresAt", "2026-02-12T00:00:00Z"},
                                                {"expiresAt", "2026-02-12T00:00:00.000+00:00"},
                                                {"expiresAt", "2026-13-12T00:00:00.000Z"},
                                                {"compression", "zstd"}};
  for (const auto& [key, value] : cases) EXPECT_EQ(IssueAt(With(key, value)), key) << CanonicalJson(value);
}

TEST(ParsePlanRef, OpaqueVersionsAreLegal) {
  for (const char* version : {"2", "2026.02.19", "1.0.0-rc+7", "a1b2c3"})
    EXPECT_EQ(IssueAt(With("planVersion", version)), "ok") << version;
}

TEST(ParsePlanRef, Above8KiB_IsRefused) { EXPECT_EQ(IssueAt(With("x", std::string(9'000, 'a'))), "$"); }
TEST(ParsePlanRef, NoObject_IsRefused) { EXPECT_EQ(IssueAt(Json("text")), "$"); }

TEST(ParsePlanRef, PlanUriWithAnotherDigest_IsRefused) {
  EXPECT_EQ(IssueAt(With("uri", std::string("plan:") + kDigest)), "ok");
  EXPECT_EQ(IssueAt(With("uri", "plan:" + std::string(64, '0'))), "uri");
}

TEST(ParsePlanRefText, NoJson_IsRefused) {
  EXPECT_EQ(ParsePlanRefText("{").error().code, "PLAN_REF_INVALID");
  EXPECT_EQ(ParsePlanRefText(std::string(100'000, ' ')).error().code, "PLAN_REF_INVALID");
  EXPECT_TRUE(ParsePlanRefText(CanonicalJson(Good())).has_value());
}

TEST(CheckVersionConflict, SecondDigestForOneVersion_PLAN_VERSION_CONFLICT) {
  const PlanRef ref = *ParsePlanRef(Good());
  EXPECT_TRUE(CheckVersionConflict(std::nullopt, ref).has_value());
  EXPECT_TRUE(CheckVersionConflict(std::string(kDigest), ref).has_value());
  const auto conflict = CheckVersionConflict(std::string(64, '0'), ref);
  EXPECT_EQ(conflict.error().code, "PLAN_VERSION_CONFLICT");
  EXPECT_EQ(conflict.error().Detail("knownSha256"), std::string(64, '0'));
}

}  // namespace
}  // namespace lockstep::plan
