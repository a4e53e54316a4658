// Plugin policies of v1.2 (spec 01 section 9.2): a plan may only be stricter than the platform. At admission each
// step's policy is held against the platform's; at dispatch the worker asks for the effective policy of the step.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/plan/plan.h"

namespace lockstep::plan {

struct PluginLimits {
  std::optional<int64_t> timeout_ms;
  std::optional<int64_t> max_memory_mb;
  std::optional<int64_t> max_cpu_millis;
  std::optional<int64_t> max_output_bytes;
  friend bool operator==(const PluginLimits&, const PluginLimits&) = default;
};

// What the deployment says. An unregistered plugin counts as untrusted.
struct PluginPlatform {
  struct Plugin {
    TrustTier tier = TrustTier::kUntrusted;
    // Exact versions that were verified; empty: none was, so every version is refused at dispatch.
    std::vector<std::string> verified_versions;
  };
  std::map<std::string, Plugin> registry;
  std::map<TrustTier, PluginLimits> tier_limits;
  // `host:port` that partner plugins may reach at most.
  std::vector<std::string> partner_allowlist;
};

struct EffectivePluginPolicy {
  TrustTier tier = TrustTier::kUntrusted;
  // nullopt: the network of the tier `trusted` is not restricted; otherwise the allowed `host:port`, none when empty.
  std::optional<std::vector<std::string>> network_allowlist;
  PluginLimits limits;
};

// `byPlugin` over `default`, member by member; `plan_tier` where no policy states a tier. Null when there is nothing to
// say.
LOCKSTEP_DETERMINISTIC Json MergedPluginPolicy(const Json* policies, std::optional<TrustTier> plan_tier,
                                               const std::string& plugin_id);

// PLUGIN_POLICY_WEAKENS_PLATFORM with issues. Without a platform (a plan checked offline) only what can never be right
// is refused.
LOCKSTEP_DETERMINISTIC Status CheckPluginPolicies(const Plan& plan, const PluginPlatform* platform);

// For the worker. POLICY_DENIED when the version is not among the allowed and verified ones or a required digest is
// missing; PLUGIN_POLICY_WEAKENS_PLATFORM as above. The step must have a plugin.
LOCKSTEP_DETERMINISTIC Result<EffectivePluginPolicy> EffectivePolicy(const Step& step, const PluginPlatform& platform);

}  // namespace lockstep::plan
