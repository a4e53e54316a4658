// Acceptance, upgrade and downgrade of spec 01 section 6.
#include "engine-core/plan/schema_version.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "engine-core/base/files.h"
#include "engine-core/plan/structure.h"
#include "engine-core/plan/test_support/plans.h"

namespace lockstep::plan {
namespace {

std::string Reason(std::string_view text, contracts::MinorVersion current = kCurrentSchema) {
  const auto version = CheckSchemaVersion(text, current);
  if (version) return "ok";
  EXPECT_EQ(version.error().code, "PLAN_SCHEMA_VERSION_UNKNOWN");
  return version.error().Detail("reason");
}

TEST(CheckSchemaVersion, SupportedVersions_AreAccepted) {
  for (const char* version : {"v1.0", "v1.1", "v1.2"}) EXPECT_EQ(Reason(version), "ok");
}
TEST(CheckSchemaVersion, HigherMinor) { EXPECT_EQ(Reason("v1.3"), "newer"); }
TEST(CheckSchemaVersion, OtherMajor) {
  EXPECT_EQ(Reason("v2.0"), "other_major");
  EXPECT_EQ(Reason("v0.9"), "other_major");
}
TEST(CheckSchemaVersion, Malformed) {
  for (const char* version : {"", "v1.", "1.2", "s1", "v1.2.0", "v1", "V1.2", "v1.2 ", "v01.2"})
    EXPECT_EQ(Reason(version), "malformed") << version;
}
TEST(CheckSchemaVersion, OlderThanThreeMinors_IsRetired) {
  EXPECT_EQ(Reason("v1.0", {1, 3}), "ok");
  EXPECT_EQ(Reason("v1.0", {1, 4}), "retired");
  EXPECT_EQ(Reason("v1.1", {1, 4}), "ok");
}

UpgradedDocument Up(std::string_view text, int minor) { return Upgrade(J(text), {1, minor}); }

TEST(Upgrade, V10_MovesExtraKeysAndKeepsIdentity) {
  const auto up =
      Up(R"({"metadata":{"planId":"p","planVersion":"1","schemaVersion":"v1.0","pluginTrustTier":"partner"},)"
         R"("steps":[{"stepId":"a","kind":"sleep","durationMs":5}]})",
         0);
  EXPECT_EQ(up.document, J(R"({"metadata":{"planId":"p","planVersion":"1","schemaVersion":"v1.2"},)"
                           R"("pluginPolicies":{"default":{"trustTier":"partner"}},
                            "steps":[{"stepId":"a","kind":"sleep","params":{"durationMs":5}}]})"));
  EXPECT_EQ(up.moved, (std::vector<std::pair<size_t, std::string>>{{0, "durationMs"}}));
}
TEST(Upgrade, V11_PluginReferenceBecomesAMember) {
  const Plan plan = MustParse(
      PlanText(R"([{"stepId":"a","kind":"plugin","plugin":{"pluginId":"acme/x","version":"1"},"params":{"k":1}}])", "",
               ",\"pluginTrustTier\":\"partner\"", "v1.1"));
  ASSERT_TRUE(plan.steps()[0].plugin.has_value());
  EXPECT_EQ(plan.steps()[0].plugin->plugin_id, "acme/x");
  EXPECT_EQ(plan.steps()[0].params, J(R"({"k":1})"));
  EXPECT_EQ(plan.steps()[0].plugin_policy, J(R"({"trustTier":"partner"})"));
  EXPECT_EQ(plan.schema_version, "v1.1");
}
TEST(Upgrade, V12_IsUnchanged) {
  const auto text = ReadFile(LOCKSTEP_SOURCE_DIR "/fixtures/plans/good/orders-daily.json");
  EXPECT_EQ(Upgrade(J(*text), {1, 2}).document, J(*text));
}
TEST(Upgrade, IsIdempotent) {
  for (const char* file : {"sequential.v1.0.json", "conditional.v1.1.json"}) {
    const auto text = ReadFile(std::string(LOCKSTEP_SOURCE_DIR "/fixtures/plans/good/") + file);
    Json document = J(*text);
    if (document.Find("metadata")->Find("schemaVersion") == nullptr)
      document.Find("metadata")->Set("schemaVersion", "v1.0");
    const auto once =
        Upgrade(document, *contracts::ParseMinorVersion(document.Find("metadata")->GetString("schemaVersion")));
    EXPECT_EQ(Upgrade(once.document, {1, 2}).document, once.document);
    EXPECT_TRUE(CheckStructure(once.document, {1, 2}).empty());
  }
}

// A random document of a version; only its structure is right, values are whatever.
Json AnyDocument(int minor) {
  Json steps = Json::MakeArray();
  const int count = *rc::gen::inRange(1, 5);
  for (int i = 0; i < count; ++i) {
    Json step = Json::MakeObject({{"stepId", "s" + std::to_string(i)}});
    for (const std::string& key : *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
             "kind", "extra", "message", "plugin", "params", "dependsOn", "costHint", "retryPolicy"))) {
      if (key == "kind") {
        step.Set(key, *rc::gen::element<std::string>("noop", "echo", "plugin"));
      } else if (key == "dependsOn" && minor >= 1) {
        step.Set(key, Json::MakeArray());
      } else {
        step.Set(key,
                 Json::MakeObject({{*rc::gen::element<std::string>("plugin", "extra", "x"), *rc::gen::inRange(0, 9)}}));
      }
    }
    steps.Push(std::move(step));
  }
  Json metadata =
      Json::MakeObject({{"planId", "p"}, {"planVersion", "1"}, {"schemaVersion", "v1." + std::to_string(minor)}});
  if (*rc::gen::arbitrary<bool>()) metadata.Set("pluginTrustTier", "partner");
  return Json::MakeObject({{"metadata", metadata}, {"steps", steps}});
}

TEST(Upgrade, RandomDocuments_TotalPureAndLosesNoKey) {
  rc::check([] {
    const int minor = *rc::gen::inRange(0, 3);
    const Json document = AnyDocument(minor);
    const auto once = Upgrade(document, {1, minor});
    RC_ASSERT(once.document == Upgrade(document, {1, minor}).document);
    RC_ASSERT(once.document.Find("metadata")->GetString("schemaVersion") == "v1.2");
    const auto& before = document.Find("steps")->AsArray();
    const auto& after = once.document.Find("steps")->AsArray();
    RC_ASSERT(before.size() == after.size());
    for (size_t i = 0; i < before.size(); ++i) {
      RC_ASSERT(before[i].GetString("stepId") == after[i].GetString("stepId"));
      for (const auto& [key, value] : before[i].AsObject()) {
        const Json* params = after[i].Find("params");
        const bool collided = std::ranges::find(once.collisions, std::pair(i, key)) != once.collisions.end();
        RC_ASSERT(collided || after[i].Find(key) != nullptr || (params != nullptr && params->Find(key) != nullptr));
      }
    }
  });
}

Result<Json> Down(std::string_view text, int minor) { return Downgrade(J(text), {1, minor}, "down"); }
std::string Refused(std::string_view text, int minor) {
  const auto down = Down(text, minor);
  if (down) return "ok";
  EXPECT_EQ(down.error().code, "DOWNGRADE_NOT_POSSIBLE");
  std::string out;
  for (const auto& [name, value] : down.error().details) {
    if (name == "pointer") out += (out.empty() ? "" : " ") + value;
  }
  return out;
}

TEST(Downgrade, ToV11_DropsCostHintsAndCollapsesPolicies) {
  const auto down = Down(PlanText(R"([{"stepId":"a","costHint":{"estimate":"1"}}])",
                                  R"("costHints":{"budget":"1"},"pluginPolicies":{"default":{"trustTier":"trusted"},)"
                                  R"("byPlugin":{"x":{"trustTier":"partner"}}},)"),
                         1);
  ASSERT_TRUE(down.has_value()) << down.error().ToString();
  EXPECT_EQ(*down,
            J(R"({"metadata":{"planId":"p","planVersion":"down","schemaVersion":"v1.1","pluginTrustTier":"partner"},)"
              R"("steps":[{"stepId":"a"}]})"));
  EXPECT_EQ(Outcome(CanonicalJson(*down)), "ok");
}
TEST(Downgrade, ToV11_PolicyWithoutTier_CollapsesToUntrusted) {
  const auto down =
      Down(PlanText(R"([{"stepId":"a"}])", R"("pluginPolicies":{"byPlugin":{"x":{"trustTier":"partner"}}},)"), 1);
  EXPECT_EQ(down->Find("metadata")->GetString("pluginTrustTier"), "untrusted");
}
TEST(Downgrade, ToV11_RefusesSignals) {
  EXPECT_EQ(Refused(PlanText(R"([{"stepId":"a"},{"stepId":"b","waitForSignal":{"name":"GOX"}}])",
                             R"("customSignals":[{"name":"GOX","payloadSchema":{},"effect":"open_gate"}],)"),
                    1),
            "/customSignals /steps/1/waitForSignal");
}
TEST(Downgrade, ToV10_ChainOfDependencies_IsDropped) {
  const auto down = Down(
      PlanText(
          R"([{"stepId":"a","dependsOn":[]},{"stepId":"b","dependsOn":["a","a"]},{"stepId":"c","dependsOn":["b"]}])",
          "", ",\"maxParallelism\":16,\"onStepFailure\":\"fail_run\""),
      0);
  ASSERT_TRUE(down.has_value()) << down.error().ToString();
  EXPECT_EQ(*down,
            J(R"({"metadata":{"planId":"p","planVersion":"down","schemaVersion":"v1.0"},"steps":[{"stepId":"a"},)"
              R"({"stepId":"b"},{"stepId":"c"}]})"));
}
TEST(Downgrade, ToV10_OtherGraphs_AreRefused) {
  EXPECT_EQ(Refused(PlanText(R"([{"stepId":"a","dependsOn":[]},{"stepId":"b","dependsOn":[]}])"), 0),
            "/steps/0/dependsOn /steps/1/dependsOn");
  EXPECT_NE(Refused(PlanText(R"([{"stepId":"b","dependsOn":["a"]},{"stepId":"a","dependsOn":[]}])"), 0), "ok");
  EXPECT_NE(Refused(PlanText(R"([{"stepId":"a"},{"stepId":"b","dependsOn":["a"]},{"stepId":"c"}])"), 0), "ok");
}
TEST(Downgrade, ToV10_EachNonDefaultMember_IsRefused) {
  const std::pair<const char*, const char*> steps[] = {
      {R"("params":{"x":1})", "/steps/0/params"},
      {R"("target":{"schema":"s"})", "/steps/0/target"},
      {R"("secretRefs":[{"name":"a","secretId":"s","key":"k"}])", "/steps/0/secretRefs"},
      {R"("runIf":[{"step":"a","path":"","op":"exists"}])", "/steps/0/runIf"},
      {R"("retryPolicy":{"maxAttempts":2})", "/steps/0/retryPolicy/maxAttempts"},
      {R"("retryPolicy":{"backoffCoefficient":3})", "/steps/0/retryPolicy/backoffCoefficient"},
      {R"("logicalRetries":1)", "/steps/0/logicalRetries"},
      {R"("timeouts":{"queueMs":1})", "/steps/0/timeouts/queueMs"},
      {R"("workerClass":"data")", "/steps/0/workerClass"},
      {R"("taskQueue":"tq-data-dev")", "/steps/0/taskQueue"}};
  for (const auto& [member, pointer] : steps)
    EXPECT_EQ(Refused(PlanText("[{\"stepId\":\"a\"," + std::string(member) + "}]"), 0), pointer);
  const std::pair<const char*, const char*> metadata[] = {
      {R"("onStepFailure":"continue")", "/metadata/onStepFailure"},
      {R"("maxParallelism":2)", "/metadata/maxParallelism"},
      {R"("runTimeoutMs":5000)", "/metadata/runTimeoutMs"},
      {R"("requiresApproval":true)", "/metadata/requiresApproval"},
      {R"("labels":{"a":"b"})", "/metadata/labels"},
      {R"("requiresCapabilities":[{"id":"a","optional":true}])", "/metadata/requiresCapabilities/0"}};
  for (const auto& [member, pointer] : metadata)
    EXPECT_EQ(Refused(PlanText(R"([{"stepId":"a"}])", "", "," + std::string(member)), 0), pointer);
  EXPECT_EQ(Refused(PlanText(R"([{"stepId":"a"}])", R"("params":{"a":1},)"), 0), "/params");
  EXPECT_EQ(Refused(PlanText(R"([{"stepId":"a"}])", R"("defaults":{"timeouts":{"attemptMs":1}},)"), 0),
            "/defaults/timeouts/attemptMs");
}
TEST(Downgrade, ToV10_DefaultsSpelledOut_AreDropped) {
  const auto down =
      Down(PlanText(R"([{"stepId":"a","kind":"noop","params":{},"target":{},"secretRefs":[],"runIf":[],)"
                    R"("logicalRetries":0,"workerClass":"control",
    "retryPolicy":{"initialIntervalMs":1000,"maxIntervalMs":60000,"backoffCoefficient":2,"maxAttempts":3,
    "nonRetryableCodes":["PERMANENT_STEP_ERROR"]},"timeouts":{"attemptMs":1800000,"totalMs":5403000}}])",
                    R"("params":{},"defaults":{"retryPolicy":{"maxAttempts":3}},)",
                    R"(,"requiresApproval":false,"labels":{},"requiresCapabilities":[{"id":"basic-execution"}])"),
           0);
  ASSERT_TRUE(down.has_value()) << down.error().ToString();
  EXPECT_EQ(*down, J(R"({"metadata":{"planId":"p","planVersion":"down","schemaVersion":"v1.0",)"
                     R"("requiresCapabilities":["basic-execution"]},"steps":[{"stepId":"a","kind":"noop"}]})"));
}
TEST(Downgrade, NeedsAPlanVersionOfItsOwn) {
  EXPECT_EQ(Downgrade(J(PlanText(R"([{"stepId":"a"}])")), {1, 1}, "1").error().code, "DOWNGRADE_NOT_POSSIBLE");
  EXPECT_EQ(Downgrade(J(PlanText(R"([{"stepId":"a"}])")), {1, 1}, "a|b").error().code, "DOWNGRADE_NOT_POSSIBLE");
}
TEST(Downgrade, UpThenDown_GivesTheSameDocument) {
  const Json v10 =
      J(R"({"metadata":{"planId":"p","planVersion":"1","schemaVersion":"v1.0","pluginTrustTier":"partner",)"
        R"("fallbackBehavior":"emulate","requiresCapabilities":["basic-execution"]},"steps":[{"stepId":"a",)"
        R"("kind":"noop"},{"stepId":"b"}]})");
  Json back = *Downgrade(Upgrade(v10, {1, 0}).document, {1, 0}, "2");
  back.Find("metadata")->Set("planVersion", "1");
  EXPECT_EQ(CanonicalJson(back), CanonicalJson(v10));
  const auto text = ReadFile(LOCKSTEP_SOURCE_DIR "/fixtures/plans/good/conditional.v1.1.json");
  back = *Downgrade(Upgrade(J(*text), {1, 1}).document, {1, 1}, "x");
  back.Find("metadata")->Set("planVersion", "3");
  EXPECT_EQ(CanonicalJson(back), CanonicalJson(J(*text)));
}

}  // namespace
}  // namespace lockstep::plan
