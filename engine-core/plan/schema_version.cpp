// The acceptance rule and the converters. The downgrade rules are a table of members with the value that loses nothing.
#include "engine-core/plan/schema_version.h"

#include <algorithm>
#include <set>

#include "engine-core/base/check.h"
#include "engine-core/base/ids.h"
#include "engine-core/contracts/embedded.h"
#include "engine-core/plan/issues.h"
#include "engine-core/plan/kinds.h"
#include "engine-core/plan/plan.h"

namespace lockstep::plan {
namespace {

using contracts::MinorVersion;
using Names = std::set<std::string, std::less<>>;

std::unexpected<Error> Unknown(std::string_view text, const std::string& reason, MinorVersion current) {
  const int oldest = std::max(0, current.minor - kAcceptedMinors);
  const std::string range = MinorVersion{current.major, oldest}.ToString() + " to " + current.ToString();
  return Fail(Error("PLAN_SCHEMA_VERSION_UNKNOWN",
                    "schemaVersion: expected " + range + ", found \"" + std::string(text) + "\" (" + reason + ")")
                  .With("reason", reason)
                  .With("schemaVersion", std::string(text)));
}

// The step keys that a version defines, read from its schema so that there is no second list.
LOCKSTEP_TRUSTED("parsed once from constant text; every thread sees the same value")
const Names& StepMembers(MinorVersion version) {
  static const std::vector<Names> members = [] {
    std::vector<Names> out;
    for (int minor = 0; minor <= kCurrentSchema.minor; ++minor) {
      const std::string file = "schemas/plan." + MinorVersion{1, minor}.ToString() + ".schema.json";
      const auto schema = ParseJson(contracts::EmbeddedText(file));
      LOCKSTEP_CHECK(schema.has_value(), file);
      Names names;
      for (const auto& [key, unused] : schema->At("/definitions/step/properties")->AsObject()) names.insert(key);
      out.push_back(std::move(names));
    }
    return out;
  }();
  return members.at(static_cast<size_t>(version.minor));
}

void MoveExtraKeys(UpgradedDocument* out, MinorVersion from) {
  const Names& known = StepMembers(from);
  Json::Array& steps = out->document.Find("steps")->AsArray();
  for (size_t i = 0; i < steps.size(); ++i) {
    std::vector<std::string> extra;
    for (const auto& [key, unused] : steps[i].AsObject()) {
      if (!known.contains(key)) extra.push_back(key);
    }
    if (extra.empty()) continue;
    // In a v1.0 document `params` itself is an extra key, so the object is built aside.
    Json params =
        known.contains("params") && steps[i].Find("params") != nullptr ? *steps[i].Find("params") : Json::MakeObject();
    for (const std::string& key : extra) {
      Json value = std::move(*steps[i].Find(key));
      steps[i].AsObject().erase(key);
      if (params.Find(key) != nullptr) {
        out->collisions.emplace_back(i, key);
      } else {
        params.Set(key, std::move(value));
        out->moved.emplace_back(i, key);
      }
    }
    steps[i].Set("params", std::move(params));
  }
}

void UpgradeToV11(Json* document) { document->Find("metadata")->Set("schemaVersion", "v1.1"); }

// The plan-wide tier becomes the default plugin policy; the reference to the plugin, an extra key until now, becomes a
// member.
void UpgradeToV12(Json* document) {
  Json& metadata = *document->Find("metadata");
  metadata.Set("schemaVersion", "v1.2");
  if (const Json* tier = metadata.Find("pluginTrustTier"); tier != nullptr) {
    document->Set("pluginPolicies", Json::MakeObject({{"default", Json::MakeObject({{"trustTier", *tier}})}}));
    metadata.AsObject().erase("pluginTrustTier");
  }
  for (Json& step : document->Find("steps")->AsArray()) {
    Json* params = step.Find("params");
    if (step.GetString("kind") != "plugin" || params == nullptr || params->Find("plugin") == nullptr) continue;
    Json plugin = std::move(*params->Find("plugin"));
    params->AsObject().erase("plugin");
    step.Set("plugin", std::move(plugin));
  }
}

// --- The way down ---

class Refusals {
 public:
  void Add(const std::string& pointer, const std::string& why) {
    issues_.push_back({PathFromPointer(pointer), "downgrade_not_possible", why});
    pointers_.push_back(pointer);
  }
  Status Done() && {
    if (issues_.empty()) return {};
    Error error =
        IssueError("DOWNGRADE_NOT_POSSIBLE", "the plan uses what the older version does not have", std::move(issues_));
    std::sort(pointers_.begin(), pointers_.end());
    for (std::string& pointer : pointers_) error.details.emplace_back("pointer", std::move(pointer));
    return Fail(std::move(error));
  }

 private:
  std::vector<Issue> issues_;
  std::vector<std::string> pointers_;
};

std::string StepPointer(size_t i, std::string_view member) {
  return "/steps/" + std::to_string(i) + "/" + std::string(member);
}

// The strictest tier that any policy states; a policy without one means untrusted.
std::string StrictestTier(const Json& policies) {
  TrustTier strictest = TrustTier::kTrusted;
  const auto look = [&](const Json& policy) {
    const TrustTier tier =
        FromName<TrustTier>(policy.GetString("trustTier", "untrusted")).value_or(TrustTier::kUntrusted);
    strictest = std::min(strictest, tier);
  };
  const Json* fallback = policies.Find("default");
  look(fallback == nullptr ? Json::MakeObject() : *fallback);
  if (const Json* by_plugin = policies.Find("byPlugin"); by_plugin != nullptr) {
    for (const auto& [name, policy] : by_plugin->AsObject()) {
      // A policy without a tier inherits the default's.
      if (policy.Find("trustTier") != nullptr || fallback == nullptr) look(policy);
    }
  }
  return std::string(Name(strictest));
}

Status DowngradeToV11(Json* document) {
  Refusals refusals;
  if (const Json* signals = document->Find("customSignals"); signals != nullptr && !signals->AsArray().empty()) {
    refusals.Add("/customSignals", "v1.1 has no custom signals");
  }
  Json::Array& steps = document->Find("steps")->AsArray();
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].Find("waitForSignal") != nullptr)
      refusals.Add(StepPointer(i, "waitForSignal"), "v1.1 has no signal gates");
  }
  LOCKSTEP_TRY(std::move(refusals).Done());
  Json& metadata = *document->Find("metadata");
  metadata.Set("schemaVersion", "v1.1");
  if (const Json* policies = document->Find("pluginPolicies"); policies != nullptr) {
    metadata.Set("pluginTrustTier", StrictestTier(*policies));
  }
  for (const char* member : {"pluginPolicies", "costHints", "customSignals"}) document->AsObject().erase(member);
  // `plugin` stays: for v1.1 it is a parameter of the kind, and the way up makes it a member again.
  for (Json& step : steps) step.AsObject().erase("costHint");
  return {};
}

// A v1.1 member and the value that v1.0 has anyway; a null value stands for "never".
struct DefaultedMember {
  std::string_view name;
  Json value;
};

std::vector<DefaultedMember> MetadataDefaults() {
  return {
      {"onStepFailure", "fail_run"}, {"maxParallelism", kDefaultMaxParallelism},
      {"holdTimeoutMs", nullptr},    {"runTimeoutMs", nullptr},
      {"requiresApproval", false},   {"labels", Json::MakeObject()}};
}
std::vector<DefaultedMember> StepDefaults() {
  return {
      {"params", Json::MakeObject()}, {"target", Json::MakeObject()}, {"secretRefs", Json::MakeArray()},
      {"runIf", Json::MakeArray()},   {"logicalRetries", 0},          {"taskQueue", nullptr}};
}
std::vector<DefaultedMember> RetryDefaults() {
  return {
      {"initialIntervalMs", 1'000},
      {"maxIntervalMs", 60'000},
      {"maxAttempts", 3},
      {"nonRetryableCodes", Json(Json::Array{Json("PERMANENT_STEP_ERROR")})}};
}
std::vector<DefaultedMember> TimeoutDefaults() {
  return {
      {"attemptMs", kDefaultAttemptMs}, {"totalMs", 5'403'000}, {"heartbeatMs", nullptr}, {"queueMs", nullptr}};
}

void DropDefaults(Json* object, const std::vector<DefaultedMember>& members, const std::string& base,
                  Refusals* refusals) {
  for (const auto& [name, value] : members) {
    const Json* found = object->Find(name);
    if (found == nullptr) continue;
    if (value.is_null() || *found != value) {
      refusals->Add(base + "/" + std::string(name), "v1.0 has no member \"" + std::string(name) + "\"");
    } else {
      object->AsObject().erase(std::string(name));
    }
  }
}

// `retryPolicy` and `timeouts` of a step or of `defaults`.
void DropPolicies(Json* holder, const std::string& base, Refusals* refusals) {
  if (Json* retry = holder->Find("retryPolicy"); retry != nullptr) {
    DropDefaults(retry, RetryDefaults(), base + "/retryPolicy", refusals);
    if (const Json* backoff = retry->Find("backoffCoefficient"); backoff != nullptr && BackoffHundredths(backoff->AsDouble()) != 200) {
      refusals->Add(base + "/retryPolicy/backoffCoefficient", "v1.0 has no member \"backoffCoefficient\"");
    }
    holder->AsObject().erase("retryPolicy");
  }
  if (Json* timeouts = holder->Find("timeouts"); timeouts != nullptr) {
    DropDefaults(timeouts, TimeoutDefaults(), base + "/timeouts", refusals);
    holder->AsObject().erase("timeouts");
  }
}

bool IsChain(const Json::Array& steps) {
  const bool any = std::ranges::any_of(steps, [](const Json& step) { return step.Find("dependsOn") != nullptr; });
  if (!any) return true;
  for (size_t i = 0; i < steps.size(); ++i) {
    Names names;
    if (const Json* list = steps[i].Find("dependsOn"); list != nullptr) {
      for (const Json& name : list->AsArray()) names.insert(name.AsString());
    }
    const Names wanted = i == 0 ? Names{} : Names{steps[i - 1].GetString("stepId")};
    if (names != wanted) return false;
  }
  return true;
}

void DowngradeStepToV10(Json* step, size_t i, bool chain, Refusals* refusals) {
  const std::string base = "/steps/" + std::to_string(i);
  DropDefaults(step, StepDefaults(), base, refusals);
  DropPolicies(step, base, refusals);
  if (const Json* worker = step->Find("workerClass"); worker != nullptr) {
    const StepKind* kind = FindKind(step->GetString("kind", "noop"), /*allow_test_kinds=*/true);
    if (kind == nullptr || worker->AsString() != Name(kind->worker_class)) {
      refusals->Add(base + "/workerClass", "v1.0 has no member \"workerClass\"");
    }
    step->AsObject().erase("workerClass");
  }
  if (step->Find("dependsOn") == nullptr) return;
  if (!chain)
    refusals->Add(base + "/dependsOn", "v1.0 runs steps in declaration order, and this graph is no such chain");
  step->AsObject().erase("dependsOn");
}

Status DowngradeToV10(Json* document) {
  Refusals refusals;
  Json& metadata = *document->Find("metadata");
  DropDefaults(&metadata, MetadataDefaults(), "/metadata", &refusals);
  if (Json* required = metadata.Find("requiresCapabilities"); required != nullptr) {
    Json::Array& list = required->AsArray();
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i].is_string()) continue;
      if (list[i].Find("minVersion") != nullptr || list[i].GetBool("optional")) {
        refusals.Add("/metadata/requiresCapabilities/" + std::to_string(i), "v1.0 knows plain ids only");
      } else {
        list[i] = Json(list[i].GetString("id"));
      }
    }
  }
  if (const Json* params = document->Find("params"); params != nullptr) {
    if (!params->AsObject().empty()) refusals.Add("/params", "v1.0 has no run parameters");
    document->AsObject().erase("params");
  }
  if (Json* defaults = document->Find("defaults"); defaults != nullptr) {
    DropPolicies(defaults, "/defaults", &refusals);
    document->AsObject().erase("defaults");
  }
  Json::Array& steps = document->Find("steps")->AsArray();
  const bool chain = IsChain(steps);
  for (size_t i = 0; i < steps.size(); ++i) DowngradeStepToV10(&steps[i], i, chain, &refusals);
  metadata.Set("schemaVersion", "v1.0");
  return std::move(refusals).Done();
}

}  // namespace

Result<MinorVersion> CheckSchemaVersion(std::string_view text, MinorVersion current) {
  const auto version = contracts::ParseMinorVersion(text);
  if (!version) return Unknown(text, "malformed", current);
  if (version->major != current.major) return Unknown(text, "other_major", current);
  if (version->minor > current.minor) return Unknown(text, "newer", current);
  if (version->minor < current.minor - kAcceptedMinors) return Unknown(text, "retired", current);
  return *version;
}

UpgradedDocument Upgrade(Json document, MinorVersion from) {
  UpgradedDocument out;
  out.document = std::move(document);
  MoveExtraKeys(&out, from);
  if (from.minor < 1) UpgradeToV11(&out.document);
  if (from.minor < 2) UpgradeToV12(&out.document);
  return out;
}

Result<Json> Downgrade(const Json& document, MinorVersion to, std::string_view new_plan_version) {
  Json out = document;
  Json& metadata = *out.Find("metadata");
  if (to.major != 1 || to.minor < 0 || to.minor >= kCurrentSchema.minor)
    return Unknown(to.ToString(), "not below the current version", kCurrentSchema);
  if (!IsPlanVersion(new_plan_version) || metadata.GetString("planVersion") == new_plan_version) {
    return Fail(IssueError("DOWNGRADE_NOT_POSSIBLE", "the result needs a planVersion of its own",
                           {{"metadata.planVersion", "plan_version_unchanged",
                             "expected a new planVersion, found \"" + std::string(new_plan_version) + "\""}}));
  }
  metadata.Set("planVersion", new_plan_version);
  LOCKSTEP_TRY(DowngradeToV11(&out));
  if (to.minor == 0) LOCKSTEP_TRY(DowngradeToV10(&out));
  return out;
}

}  // namespace lockstep::plan
