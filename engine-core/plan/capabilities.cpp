// The validator's steps of spec 06 section 5 in their order. The decision table is data.
#include "engine-core/plan/capabilities.h"

#include <algorithm>
#include <map>

#include "engine-core/base/sha256.h"
#include "engine-core/plan/graph.h"

namespace lockstep::plan {
namespace {

using contracts::Adapter;
using contracts::Capability;
using contracts::CapabilityMatrix;
using contracts::CapabilityRow;
using contracts::MinorVersion;
using contracts::Stage;
using contracts::Support;

enum class Verdict : uint8_t { kOk, kEmulated, kDegraded, kNotSupported };

// Rows: support from unsupported to native; columns: reject, emulate, degrade (spec 01 section 8.2).
constexpr Verdict kDecision[4][3] = {
    {Verdict::kNotSupported, Verdict::kNotSupported, Verdict::kNotSupported},
    {Verdict::kNotSupported, Verdict::kNotSupported, Verdict::kDegraded},
    {Verdict::kNotSupported, Verdict::kEmulated, Verdict::kEmulated},
    {Verdict::kOk, Verdict::kOk, Verdict::kOk},
};

struct Need {
  std::string id;
  std::optional<std::string> min_version;
  bool optional = false;
  bool declared = true;
  // Of the declaration, or of what the plan does.
  std::string path;
};

// Keeps the stricter of two needs for one id: the higher version, and required over optional.
void Merge(Need* known, const Need& other) {
  known->optional = known->optional && other.optional;
  if (!other.min_version) return;
  const auto a = known->min_version ? contracts::ParseMinorVersion(*known->min_version) : std::nullopt;
  const auto b = contracts::ParseMinorVersion(*other.min_version);
  // A malformed version must stay visible, whichever of the two it is.
  if (known->min_version && !a) return;
  if (!a || !b || *b > *a) known->min_version = other.min_version;
}

class Validator {
 public:
  Validator(const Plan& plan, const CapabilityContext& context, const CapabilityMatrix& matrix, Fallback fallback)
      : plan_(plan), context_(context), matrix_(matrix), fallback_(fallback) {}

  ValidationReport Run() {
    report_.plan_id = plan_.table.plan_id;
    report_.plan_version = plan_.table.plan_version;
    report_.generated_at = context_.now;
    report_.target_adapter = context_.target_adapter;
    report_.adapter_version = context_.adapter_version;
    report_.registry_version = matrix_.registry_version();
    adapter_ = matrix_.FindAdapter(context_.target_adapter);
    if (adapter_ == nullptr) {
      Error("INVALID_TARGET_ADAPTER", "", "",
            "expected temporal, conductor or mock, found \"" + context_.target_adapter + "\"");
    } else {
      if (plan_.target_adapter != "any" && plan_.target_adapter != context_.target_adapter) {
        Error("TARGET_ADAPTER_MISMATCH", "", "metadata.targetAdapter",
              "expected the run's adapter \"" + context_.target_adapter + "\", found \"" + plan_.target_adapter + "\"");
      }
      for (const Capability& one : matrix_.capabilities()) {
        if (matrix_.EffectiveRow(*adapter_, one.id).support != Support::kUnsupported)
          report_.adapter_capabilities.push_back(one.id);
      }
      for (const auto& [id, need] : Needs()) Judge(need);
    }
    WarnAboutSteps();
    if (!report_.errors.empty()) {
      report_.status = ReportStatus::kErrors;
    } else if (!report_.warnings.empty()) {
      report_.status = ReportStatus::kWarnings;
    }
    return std::move(report_);
  }

 private:
  void Error(std::string code, std::string capability, std::string path, std::string message) {
    report_.errors.push_back({std::move(code), std::move(capability), std::move(path), std::move(message)});
  }
  void Warn(std::string code, std::string capability, std::string path, std::string message) {
    report_.warnings.push_back({std::move(code), std::move(capability), std::move(path), std::move(message)});
  }

  std::map<std::string, Need> Needs() const {
    std::map<std::string, Need> needs;
    const auto add = [&](Need need) {
      const auto [it, fresh] = needs.emplace(need.id, need);
      if (!fresh) Merge(&it->second, need);
    };
    for (size_t i = 0; i < plan_.requires_capabilities.size(); ++i) {
      const CapabilityRequirement& one = plan_.requires_capabilities[i];
      add({one.id, one.min_version, one.optional, true, "metadata.requiresCapabilities[" + std::to_string(i) + "]"});
    }
    for (Need& need : Undeclared()) {
      // Declaring it as optional does not change that the plan cannot do without it.
      if (const auto it = needs.find(need.id); it != needs.end()) {
        it->second.optional = false;
      } else {
        needs.emplace(need.id, std::move(need));
      }
    }
    return needs;
  }

  // What the plan does without saying so: steps side by side, gates that a time-out opens or skips.
  std::vector<Need> Undeclared() const {
    std::vector<Need> out;
    std::vector<std::vector<uint32_t>> depends_on;
    for (const Step& step : plan_.steps()) depends_on.push_back(step.depends_on);
    std::vector<uint32_t> first(plan_.steps().size(), UINT32_MAX);
    const std::vector<uint32_t> levels = Levels(depends_on);
    for (uint32_t i = 0; i < levels.size(); ++i) {
      if (first[levels[i]] == UINT32_MAX) {
        first[levels[i]] = i;
      } else {
        out.push_back({"workflow.fan.parallel", std::nullopt, false, false, "steps[" + std::to_string(i) + "]"});
        break;
      }
    }
    for (const Step& step : plan_.steps()) {
      if (!step.wait_for_signal || step.wait_for_signal->on_timeout == GateTimeout::kFail) continue;
      out.push_back(
          {"replay.full", std::nullopt, false, false, "steps[" + std::to_string(step.index) + "].waitForSignal"});
      break;
    }
    return out;
  }

  void Judge(const Need& need) {
    CapabilityCheck check;
    check.capability = need.id;
    check.required_version = need.min_version;
    const Capability* known = matrix_.Find(need.id);
    if (!CheckRegistry(need, known)) {
      report_.checks.push_back(std::move(check));
      return;
    }
    if (known->alias_of) {
      Warn("CAPABILITY_DEPRECATED", need.id, need.path, need.id + " is an older name of " + *known->alias_of);
      known = matrix_.Find(*known->alias_of);
    } else if (known->stage == Stage::kDeprecated) {
      Warn("CAPABILITY_DEPRECATED", need.id, need.path, need.id + " will be removed on " + known->removal_at);
    }
    const CapabilityRow& row = matrix_.EffectiveRow(*adapter_, known->id);
    if (row.support != Support::kUnsupported) {
      check.adapter_support = row.support;
      check.declared_version = row.version.ToString();
    }
    // A plain id asks for the version in which the capability was introduced, or a later one.
    const MinorVersion wanted =
        need.min_version ? *contracts::ParseMinorVersion(*need.min_version) : known->introduced_in;
    const bool too_old =
        row.support != Support::kUnsupported && (row.version.major != wanted.major || row.version.minor < wanted.minor);
    if (too_old) {
      Refuse(need, &check, "CAPABILITY_VERSION_TOO_OLD",
             "expected version " + wanted.ToString() + " on " + adapter_->name + ", found " + row.version.ToString(),
             "ask for " + row.version.ToString() + " or choose another adapter");
    } else {
      Decide(need, row, &check);
    }
    report_.checks.push_back(std::move(check));
  }

  // Unknown ids and stages that no plan may use are errors in every mode, optional or not.
  bool CheckRegistry(const Need& need, const Capability* known) {
    if (known == nullptr || known->stage == Stage::kProposed) {
      Error("CAPABILITY_UNKNOWN", need.id, need.path, "expected a registered capability, found \"" + need.id + "\"");
      return false;
    }
    if (known->stage == Stage::kRemoved) {
      Error("CAPABILITY_REMOVED", need.id, need.path,
            need.id + " was removed" + (known->replaced_by ? "; use " + *known->replaced_by : ""));
      return false;
    }
    if (known->stage == Stage::kExperimental && !context_.allow_experimental) {
      Error("CAPABILITY_EXPERIMENTAL_NOT_ALLOWED", need.id, need.path,
            need.id + " is experimental and not switched on in this deployment");
      return false;
    }
    if (need.min_version && !contracts::ParseMinorVersion(*need.min_version)) {
      Error("CAPABILITY_VERSION_INVALID", need.id, need.path,
            "expected minVersion vMAJOR.MINOR, found \"" + *need.min_version + "\"");
      return false;
    }
    return true;
  }

  void Decide(const Need& need, const CapabilityRow& row, CapabilityCheck* check) {
    const Verdict verdict = kDecision[static_cast<size_t>(row.support)][static_cast<size_t>(fallback_)];
    const std::string limits = row.limitations.empty() ? "" : ": " + row.limitations.front();
    const std::string where =
        need.id + " is " + std::string(contracts::SupportName(row.support)) + " on " + adapter_->name + limits;
    check->supported = verdict != Verdict::kNotSupported;
    if (!need.declared && row.support != Support::kNative) {
      Warn("CAPABILITY_UNDECLARED", need.id, need.path, "the plan needs " + need.id + " without declaring it");
    }
    switch (verdict) {
      case Verdict::kOk:
        return;
      case Verdict::kEmulated:
        report_.degraded = true;
        Warn("CAPABILITY_EMULATED", need.id, need.path, where);
        if (row.latency_p99_ms) {
          Warn("LATENCY_EXPECTED", need.id, need.path,
               "p99 of " + std::to_string(*row.latency_p99_ms) + " ms on " + adapter_->name);
        }
        return;
      case Verdict::kDegraded:
        report_.degraded = true;
        Warn("CAPABILITY_DEGRADED", need.id, need.path, where);
        if (row.latency_p99_ms) {
          Warn("PERFORMANCE_IMPACT", need.id, need.path,
               "p99 of " + std::to_string(*row.latency_p99_ms) + " ms on " + adapter_->name);
        }
        return;
      case Verdict::kNotSupported:
        Refuse(need, check, "CAPABILITY_NOT_SUPPORTED",
               where + ", and fallbackBehavior is \"" + std::string(Name(fallback_)) + "\"",
               row.support == Support::kEmulated   ? "set fallbackBehavior to \"emulate\""
               : row.support == Support::kDegraded ? "set fallbackBehavior to \"degrade\""
                                                   : "choose another adapter or do without it");
        return;
    }
  }

  void Refuse(const Need& need, CapabilityCheck* check, std::string code, std::string message,
              std::string recommendation) {
    check->supported = false;
    check->recommendation = std::move(recommendation);
    if (!need.optional) Error(std::move(code), need.id, need.path, std::move(message));
  }

  void WarnAboutSteps() {
    for (const uint32_t i : plan_.kind_defaulted) {
      Warn("STEP_KIND_DEFAULTED", "", "steps[" + std::to_string(i) + "]", "no kind given; it runs as noop");
    }
    for (const Step& step : plan_.steps()) {
      if (!step.plugin || step.plugin_policy.Find("trustTier") != nullptr) continue;
      Warn("PLUGIN_TRUST_TIER_MISSING", "", "steps[" + std::to_string(step.index) + "].plugin",
           "no trust tier given; the plugin runs as untrusted");
    }
  }

  const Plan& plan_;
  const CapabilityContext& context_;
  const CapabilityMatrix& matrix_;
  const Fallback fallback_;
  const Adapter* adapter_ = nullptr;
  ValidationReport report_;
};

// Tries the other fallbacks and adapters, and names weaker capabilities that the adapter has natively.
Remediation FindRemediation(const Plan& plan, const CapabilityContext& context, const CapabilityMatrix& matrix,
                            const ValidationReport& report) {
  Remediation out;
  for (const Fallback fallback : {Fallback::kEmulate, Fallback::kDegrade}) {
    if (fallback > plan.fallback && Validator(plan, context, matrix, fallback).Run().errors.empty()) {
      out.fallback = fallback;
      break;
    }
  }
  for (const Adapter& adapter : matrix.adapters()) {
    if (adapter.name == context.target_adapter) continue;
    CapabilityContext other = context;
    other.target_adapter = adapter.name;
    if (!Validator(plan, other, matrix, plan.fallback).Run().errors.empty()) continue;
    out.target_adapter = adapter.name;
    break;
  }
  const Adapter* adapter = matrix.FindAdapter(context.target_adapter);
  for (const ReportItem& error : report.errors) {
    const Capability* failing = matrix.Find(error.capability);
    if (adapter == nullptr || failing == nullptr) continue;
    for (const std::string& weaker : failing->implies) {
      if (matrix.EffectiveRow(*adapter, weaker).support == Support::kNative) out.capabilities.push_back(weaker);
    }
  }
  return out;
}

Json ItemJson(const ReportItem& item) {
  Json out = Json::MakeObject({{"code", item.code}, {"message", item.message}});
  if (!item.capability.empty()) out.Set("capability", item.capability);
  if (!item.path.empty()) out.Set("path", item.path);
  return out;
}

Json CheckJson(const CapabilityCheck& check) {
  Json out = Json::MakeObject({{"capability", check.capability}, {"supported", check.supported}});
  if (check.required_version) out.Set("requiredVersion", *check.required_version);
  if (check.adapter_support) out.Set("adapterSupport", contracts::SupportName(*check.adapter_support));
  if (check.declared_version) out.Set("declaredVersion", *check.declared_version);
  if (!check.recommendation.empty()) out.Set("recommendation", check.recommendation);
  return out;
}

Json TextsJson(const std::vector<std::string>& texts) {
  Json out = Json::MakeArray();
  for (const std::string& text : texts) out.Push(text);
  return out;
}

}  // namespace

std::string_view Name(ReportStatus status) {
  constexpr std::string_view kNames[] = {"VALID", "WARNINGS", "ERRORS"};
  return kNames[static_cast<size_t>(status)];
}

std::vector<std::string> ValidationReport::WarningCodes() const {
  std::vector<std::string> out;
  for (const ReportItem& warning : warnings) out.push_back(warning.code);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

ValidationReport ValidateCapabilities(const Plan& plan, const CapabilityContext& context,
                                      const CapabilityMatrix& matrix) {
  ValidationReport report = Validator(plan, context, matrix, plan.fallback).Run();
  if (!report.errors.empty()) report.remediation = FindRemediation(plan, context, matrix, report);
  return report;
}

Json ToJson(const ValidationReport& report) {
  Json out = Json::MakeObject({{"planId", report.plan_id},
                               {"planVersion", report.plan_version},
                               {"generatedAt", FormatUtcMillis(report.generated_at)},
                               {"targetAdapter", report.target_adapter},
                               {"registryVersion", report.registry_version},
                               {"adapterCapabilities", TextsJson(report.adapter_capabilities)},
                               {"status", Name(report.status)}});
  if (!report.adapter_version.empty()) out.Set("adapterVersion", report.adapter_version);
  Json checks = Json::MakeArray(), errors = Json::MakeArray(), warnings = Json::MakeArray();
  for (const CapabilityCheck& check : report.checks) checks.Push(CheckJson(check));
  for (const ReportItem& item : report.errors) errors.Push(ItemJson(item));
  for (const ReportItem& item : report.warnings) warnings.Push(ItemJson(item));
  out.Set("capabilityChecks", std::move(checks)).Set("errors", std::move(errors)).Set("warnings", std::move(warnings));
  if (!report.remediation.empty()) {
    Json remediation = Json::MakeObject();
    if (report.remediation.fallback) remediation.Set("suggestedFallbackBehavior", Name(*report.remediation.fallback));
    if (!report.remediation.capabilities.empty())
      remediation.Set("suggestedCapabilities", TextsJson(report.remediation.capabilities));
    if (!report.remediation.target_adapter.empty())
      remediation.Set("suggestedTargetAdapter", report.remediation.target_adapter);
    out.Set("remediation", std::move(remediation));
  }
  return out;
}

std::string ReportDigest(const ValidationReport& report) {
  Json json = ToJson(report);
  json.AsObject().erase("generatedAt");
  return Sha256Hex(CanonicalJson(json));
}

}  // namespace lockstep::plan
