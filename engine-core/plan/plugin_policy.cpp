// Tiers are ordered from strict to permissive, so "not weaker" is a comparison; limits combine by minimum.
#include "engine-core/plan/plugin_policy.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/plan/issues.h"

namespace lockstep::plan {
namespace {

TrustTier TierOf(const Json& policy) {
  return FromName<TrustTier>(policy.GetString("trustTier", "untrusted")).value_or(TrustTier::kUntrusted);
}

std::vector<std::string> Texts(const Json* list) {
  std::vector<std::string> out;
  if (list == nullptr) return out;
  for (const Json& text : list->AsArray()) out.push_back(text.AsString());
  return out;
}

bool Holds(const std::vector<std::string>& list, std::string_view entry) {
  return std::ranges::any_of(list, [&](const std::string& one) { return AsciiLower(one) == AsciiLower(entry); });
}

TrustTier PlatformTier(const PluginPlatform& platform, const std::string& plugin_id) {
  const auto it = platform.registry.find(plugin_id);
  return it == platform.registry.end() ? TrustTier::kUntrusted : it->second.tier;
}

void CheckStep(const Step& step, const PluginPlatform* platform, std::vector<Issue>* issues) {
  if (!step.plugin || step.plugin_policy.is_null()) return;
  const std::string path = "steps[" + std::to_string(step.index) + "].plugin";
  const auto weakens = [&](const std::string& message) {
    issues->push_back({path, "policy_weakens_platform", message});
  };
  const TrustTier tier = TierOf(step.plugin_policy);
  if (platform != nullptr && tier > PlatformTier(*platform, step.plugin->plugin_id)) {
    weakens("expected a trust tier of at most \"" + std::string(Name(PlatformTier(*platform, step.plugin->plugin_id))) +
            "\" for " + step.plugin->plugin_id + ", found \"" + std::string(Name(tier)) + "\"");
  }
  const Json* network = step.plugin_policy.Find("network");
  if (network == nullptr || network->GetString("mode") != "allowlist") return;
  if (tier == TrustTier::kUntrusted)
    return weakens("expected network mode \"none\" for an untrusted plugin, found \"allowlist\"");
  if (platform == nullptr || tier != TrustTier::kPartner) return;
  for (const std::string& entry : Texts(network->Find("allowlist"))) {
    if (!Holds(platform->partner_allowlist, entry))
      weakens("expected hosts of the platform's list for partner plugins, found \"" + entry + "\"");
  }
}

std::optional<int64_t> Smaller(std::optional<int64_t> a, const Json* b) {
  if (b == nullptr) return a;
  return a ? std::min(*a, b->AsInt()) : b->AsInt();
}

PluginLimits CombinedLimits(const PluginLimits& platform, const Json& policy) {
  const auto plan = [&](const char* name) { return policy.At(std::string("/limits/") + name); };
  return {Smaller(platform.timeout_ms, plan("timeoutMs")), Smaller(platform.max_memory_mb, plan("maxMemoryMb")),
          Smaller(platform.max_cpu_millis, plan("maxCpuMillis")),
          Smaller(platform.max_output_bytes, plan("maxOutputBytes"))};
}

Status CheckVersion(const Step& step, const PluginPlatform& platform) {
  const PluginRef& plugin = *step.plugin;
  const auto denied = [&](const std::string& what) {
    return Fail("POLICY_DENIED", "step " + step.step_id + ", plugin " + plugin.plugin_id + ": " + what);
  };
  const auto registered = platform.registry.find(plugin.plugin_id);
  const auto verified =
      registered == platform.registry.end() ? std::vector<std::string>{} : registered->second.verified_versions;
  if (std::ranges::find(verified, plugin.version) == verified.end()) {
    return denied("expected a verified version, found \"" + plugin.version + "\"");
  }
  if (const Json* allowed = step.plugin_policy.Find("allowedVersions"); allowed != nullptr) {
    const auto versions = Texts(allowed);
    if (std::ranges::find(versions, plugin.version) == versions.end()) {
      return denied("expected a version that the plan allows, found \"" + plugin.version + "\"");
    }
  }
  if (step.plugin_policy.GetBool("requireDigest") && !plugin.digest)
    return denied("expected plugin.digest, found nothing");
  return {};
}

}  // namespace

Json MergedPluginPolicy(const Json* policies, std::optional<TrustTier> plan_tier, const std::string& plugin_id) {
  Json out;
  if (plan_tier) out.Set("trustTier", Name(*plan_tier));
  if (policies == nullptr) return out;
  const Json* by_plugin = policies->Find("byPlugin");
  for (const Json* layer : {policies->Find("default"), by_plugin == nullptr ? nullptr : by_plugin->Find(plugin_id)}) {
    if (layer == nullptr) continue;
    if (out.is_null()) out = Json::MakeObject();
    for (const auto& [key, value] : layer->AsObject()) {
      Json* known = out.Find(key);
      if (key == "limits" && known != nullptr) {
        MergePatch(known, value);
      } else {
        out.Set(key, value);
      }
    }
  }
  return out;
}

Status CheckPluginPolicies(const Plan& plan, const PluginPlatform* platform) {
  std::vector<Issue> issues;
  for (const Step& step : plan.steps()) CheckStep(step, platform, &issues);
  if (issues.empty()) return {};
  return Fail(
      IssueError("PLUGIN_POLICY_WEAKENS_PLATFORM", "a plan can only be stricter than the platform", std::move(issues)));
}

Result<EffectivePluginPolicy> EffectivePolicy(const Step& step, const PluginPlatform& platform) {
  LOCKSTEP_CHECK(step.plugin.has_value(), step.step_id);
  std::vector<Issue> issues;
  CheckStep(step, &platform, &issues);
  if (!issues.empty()) {
    return Fail(IssueError("PLUGIN_POLICY_WEAKENS_PLATFORM", "a plan can only be stricter than the platform",
                           std::move(issues)));
  }
  LOCKSTEP_TRY(CheckVersion(step, platform));
  EffectivePluginPolicy out;
  out.tier = TierOf(step.plugin_policy);
  const Json* network = step.plugin_policy.Find("network");
  if (out.tier == TrustTier::kUntrusted || (network != nullptr && network->GetString("mode") == "none")) {
    out.network_allowlist.emplace();
  } else if (network != nullptr) {
    out.network_allowlist = Texts(network->Find("allowlist"));
  } else if (out.tier == TrustTier::kPartner) {
    out.network_allowlist = platform.partner_allowlist;
  }
  const auto limits = platform.tier_limits.find(out.tier);
  out.limits =
      CombinedLimits(limits == platform.tier_limits.end() ? PluginLimits{} : limits->second, step.plugin_policy);
  return out;
}

}  // namespace lockstep::plan
