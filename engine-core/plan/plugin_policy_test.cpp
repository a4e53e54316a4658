// Plugin policies (spec 01 section 9.2).
#include "engine-core/plan/plugin_policy.h"

#include <gtest/gtest.h>

#include "engine-core/plan/test_support/plans.h"

namespace lockstep::plan {
namespace {

PluginPlatform Platform() {
  PluginPlatform platform;
  platform.registry["acme/score"] = {TrustTier::kPartner, {"1.4.0", "1.5.0"}};
  platform.registry["core/copy"] = {TrustTier::kTrusted, {"2.0"}};
  platform.tier_limits[TrustTier::kPartner] = {.timeout_ms = 60'000, .max_memory_mb = 512};
  platform.tier_limits[TrustTier::kUntrusted] = {.timeout_ms = 10'000};
  platform.partner_allowlist = {"api.acme.example:443", "db.acme.example:5432"};
  return platform;
}
Plan PlanWith(std::string_view policies, std::string_view plugin = R"({"pluginId":"acme/score","version":"1.4.0"})",
          std::string_view metadata = "") {
  const std::string text =
      PlanText("[{\"stepId\":\"a\",\"kind\":\"plugin\",\"plugin\":" + std::string(plugin) + "}]",
               policies.empty() ? "" : "\"pluginPolicies\":" + std::string(policies) + ",", metadata);
  return MustParse(text);
}
std::string Check(const Plan& plan) {
  const PluginPlatform platform = Platform();
  const auto status = CheckPluginPolicies(plan, &platform);
  return status ? "ok" : status.error().code;
}

TEST(PluginPolicy, TierMayEqualOrLowerTheRegistrys) {
  EXPECT_EQ(Check(PlanWith(R"({"default":{"trustTier":"partner"}})")), "ok");
  EXPECT_EQ(Check(PlanWith(R"({"default":{"trustTier":"untrusted"}})")), "ok");
  EXPECT_EQ(Check(PlanWith("")), "ok");
  EXPECT_EQ(Check(PlanWith(R"({"default":{"trustTier":"trusted"}})")), "PLUGIN_POLICY_WEAKENS_PLATFORM");
  EXPECT_EQ(Check(PlanWith("", R"({"pluginId":"acme/score","version":"1.4.0"})", ",\"pluginTrustTier\":\"trusted\"")),
            "PLUGIN_POLICY_WEAKENS_PLATFORM");
}
TEST(PluginPolicy, UnregisteredPlugin_IsUntrusted) {
  EXPECT_EQ(Check(PlanWith(R"({"default":{"trustTier":"partner"}})", R"({"pluginId":"who/knows","version":"1"})")),
            "PLUGIN_POLICY_WEAKENS_PLATFORM");
}
TEST(PluginPolicy, PartnerNetwork_StaysInsideThePlatformsList) {
  EXPECT_EQ(Check(PlanWith(R"({"default":{"trustTier":"partner","network":{"mode":"allowlist",)"
                       R"("allowlist":["API.acme.example:443"]}}})")),
            "ok");
  EXPECT_EQ(
      Check(PlanWith(
          R"({"default":{"trustTier":"partner","network":{"mode":"allowlist","allowlist":["api.acme.example:80"]}}})")),
      "PLUGIN_POLICY_WEAKENS_PLATFORM");
}
TEST(PluginPolicy, UntrustedNetwork_IsAlwaysNone) {
  const std::string text =
      PlanText(R"([{"stepId":"a","kind":"plugin","plugin":{"pluginId":"x","version":"1"}}])",
               R"("pluginPolicies":{"default":{"network":{"mode":"allowlist","allowlist":["h:1"]}}},)");
  EXPECT_EQ(Outcome(text), "PLUGIN_POLICY_WEAKENS_PLATFORM policy_weakens_platform steps[0].plugin");
}
TEST(PluginPolicy, ByPlugin_OverridesDefaultMemberByMember) {
  const Json policies =
      J(R"({"default":{"trustTier":"untrusted","limits":{"timeoutMs":5,"maxMemoryMb":9},"requireDigest":true},)"
        R"("byPlugin":{"p":{"trustTier":"partner","limits":{"timeoutMs":7}}}})");
  EXPECT_EQ(MergedPluginPolicy(&policies, TrustTier::kTrusted, "p"),
            J(R"({"trustTier":"partner","limits":{"timeoutMs":7,"maxMemoryMb":9},"requireDigest":true})"));
  EXPECT_EQ(MergedPluginPolicy(&policies, std::nullopt, "q").GetString("trustTier"), "untrusted");
  EXPECT_TRUE(MergedPluginPolicy(nullptr, std::nullopt, "q").is_null());
}
TEST(PluginPolicy, EffectiveLimits_AreTheMinimum) {
  const Plan plan =
      PlanWith(R"({"default":{"trustTier":"partner","limits":{"timeoutMs":90000,"maxMemoryMb":100,"maxOutputBytes":5}}})");
  const auto policy = EffectivePolicy(plan.steps()[0], Platform());
  ASSERT_TRUE(policy.has_value()) << policy.error().ToString();
  EXPECT_EQ(policy->limits, (PluginLimits{.timeout_ms = 60'000, .max_memory_mb = 100, .max_output_bytes = 5}));
  EXPECT_EQ(policy->network_allowlist, Platform().partner_allowlist);
}
TEST(PluginPolicy, MissingTier_RunsAsUntrustedWithoutNetwork) {
  const auto policy = EffectivePolicy(PlanWith("").steps()[0], Platform());
  ASSERT_TRUE(policy.has_value());
  EXPECT_EQ(policy->tier, TrustTier::kUntrusted);
  EXPECT_EQ(policy->network_allowlist, std::vector<std::string>{});
  EXPECT_EQ(policy->limits.timeout_ms, 10'000);
}
TEST(PluginPolicy, TrustedNetwork_IsUnrestrictedUnlessThePlanSaysSo) {
  EXPECT_FALSE(
      EffectivePolicy(
          PlanWith(R"({"default":{"trustTier":"trusted"}})", R"({"pluginId":"core/copy","version":"2.0"})").steps()[0],
          Platform())
          ->network_allowlist.has_value());
  EXPECT_EQ(EffectivePolicy(PlanWith(R"({"default":{"trustTier":"trusted","network":{"mode":"none"}}})",
                                 R"({"pluginId":"core/copy","version":"2.0"})")
                                .steps()[0],
                            Platform())
                ->network_allowlist,
            std::vector<std::string>{});
}
TEST(PluginPolicy, Versions_POLICY_DENIED) {
  const auto code = [](std::string_view policies, std::string_view version) {
    const auto policy = EffectivePolicy(
        PlanWith(policies, "{\"pluginId\":\"acme/score\",\"version\":\"" + std::string(version) + "\"}").steps()[0],
        Platform());
    return policy ? std::string("ok") : policy.error().code;
  };
  EXPECT_EQ(code("", "1.4.0"), "ok");
  EXPECT_EQ(code("", "1.6.0"), "POLICY_DENIED");
  EXPECT_EQ(code(R"({"default":{"allowedVersions":["1.5.0"]}})", "1.4.0"), "POLICY_DENIED");
  EXPECT_EQ(code(R"({"default":{"allowedVersions":["1.5.0"]}})", "1.5.0"), "ok");
}
TEST(PluginPolicy, requireDigest_IsPartOfTheStepSchema) {
  const auto plan = [](std::string_view plugin) {
    return Outcome(PlanText("[{\"stepId\":\"a\",\"kind\":\"plugin\",\"plugin\":" + std::string(plugin) + "}]",
                            R"("pluginPolicies":{"default":{"requireDigest":true}},)"));
  };
  EXPECT_EQ(plan(R"({"pluginId":"x","version":"1"})"), "INVALID_STEP_SCHEMA param_invalid steps[0].plugin.digest");
  EXPECT_EQ(plan("{\"pluginId\":\"x\",\"version\":\"1\",\"digest\":\"" + std::string(64, 'a') + "\"}"), "ok");
}

}  // namespace
}  // namespace lockstep::plan
