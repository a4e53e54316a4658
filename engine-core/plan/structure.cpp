// First the schema; only when it is content do the further rules run, because they rely on the shapes it guarantees.
#include "engine-core/plan/structure.h"

#include <algorithm>
#include <set>
#include <string>

#include "engine-core/base/bytes.h"
#include "engine-core/contracts/json_schema.h"
#include "engine-core/plan/issues.h"
#include "engine-core/plan/plan.h"

namespace lockstep::plan {
namespace {

std::string StepPath(size_t i) { return "steps[" + std::to_string(i) + "]"; }

// Sorts a violation of the schema into the code that the specification gives it.
void Classify(const contracts::Violation& violation, StructureFindings* out) {
  const auto tokens = Split(violation.pointer, '/');  // "", "steps", "3", "dependsOn", "0"
  const bool in_step = tokens.size() > 3 && tokens[1] == "steps";
  const std::string_view member = in_step ? tokens[3] : std::string_view();
  const auto add = [&](std::vector<Issue>* list, std::string_view code) {
    list->push_back({PathFromPointer(violation.pointer), std::string(code), violation.message});
  };
  if (violation.keyword == "additionalProperties") return add(in_step ? &out->step : &out->plan, "field_not_allowed");
  if (member == "dependsOn" && violation.keyword == "type") {
    return add(&out->step, tokens.size() == 4 ? "dependsOn_must_be_array" : "dependsOn_values_must_be_string");
  }
  if (member == "dependsOn" && violation.keyword == "maxItems") return add(&out->plan, "too_many_edges");
  if (member == "kind" && tokens.size() == 4 && violation.keyword == "pattern") return add(&out->step, "kind_unknown");
  add(&out->plan, violation.keyword);
}

class Rules {
 public:
  Rules(const Json& document, StructureFindings* out) : document_(document), out_(out) {}

  void Run() {
    Metadata();
    Size(document_.Find("params"), "params");
    const Json* defaults = document_.Find("defaults");
    if (defaults != nullptr) Retry(*defaults, nullptr, "defaults");
    Policies();
    const Json::Array& steps = document_.Find("steps")->AsArray();
    for (size_t i = 0; i < steps.size(); ++i) Step(steps[i], defaults, StepPath(i));
  }

 private:
  void Add(std::string path, std::string code, std::string message) {
    out_->plan.push_back({std::move(path), std::move(code), std::move(message)});
  }

  void Size(const Json* params, const std::string& path) {
    if (params == nullptr) return;
    const size_t size = CanonicalJson(*params).size();
    if (size > kMaxParamsBytes) Add(path, "too_large", "expected at most 65536 bytes, found " + std::to_string(size));
  }

  void Metadata() {
    const Json& metadata = *document_.Find("metadata");
    if (metadata.Find("holdTimeoutMs") != nullptr && metadata.GetString("onStepFailure") != "hold") {
      Add("metadata.holdTimeoutMs", "field_not_allowed", "expected holdTimeoutMs only with onStepFailure \"hold\"");
    }
    std::set<std::string> ids;
    const Json* required = metadata.Find("requiresCapabilities");
    if (required == nullptr) return;
    for (size_t i = 0; i < required->AsArray().size(); ++i) {
      const Json& one = required->AsArray()[i];
      // The same id twice with different versions is legal: the higher one counts (spec 06 section 5).
      if (one.is_string() && !ids.insert(one.AsString()).second) {
        Add("metadata.requiresCapabilities[" + std::to_string(i) + "]", "uniqueItems",
            "expected each id once, found " + CanonicalJson(one) + " again");
      }
    }
  }

  // `holder` is a step or `defaults`. The bounds must hold for what is in force, whoever said it.
  void Retry(const Json& holder, const Json* defaults, const std::string& path) {
    const Json* own = holder.Find("retryPolicy");
    if (own == nullptr) return;
    const Json* inherited = defaults == nullptr ? nullptr : defaults->Find("retryPolicy");
    const RetryPolicy standard;
    const auto value = [&](std::string_view key, int64_t fallback) {
      return own->GetInt(key, inherited == nullptr ? fallback : inherited->GetInt(key, fallback));
    };
    const int64_t initial = value("initialIntervalMs", standard.initial_interval_ms);
    const int64_t maximum = value("maxIntervalMs", standard.max_interval_ms);
    if (maximum < initial) {
      Add(path + ".retryPolicy.maxIntervalMs", "minimum",
          "expected at least initialIntervalMs (" + std::to_string(initial) + "), found " + std::to_string(maximum));
    }
    if (const Json* backoff = own->Find("backoffCoefficient"); backoff != nullptr) {
      if (!BackoffHundredths(backoff->AsDouble())) {
        Add(path + ".retryPolicy.backoffCoefficient", "multipleOf",
            "expected at most two decimals, found " + CanonicalJson(*backoff));
      }
    }
  }

  void Policies() {
    const Json* policies = document_.Find("pluginPolicies");
    if (policies == nullptr) return;
    if (const Json* fallback = policies->Find("default"); fallback != nullptr)
      Allowlist(*fallback, "pluginPolicies.default");
    if (const Json* by_plugin = policies->Find("byPlugin"); by_plugin != nullptr) {
      for (const auto& [id, policy] : by_plugin->AsObject()) {
        Allowlist(policy, PathFromPointer("/pluginPolicies/byPlugin/" + JsonPointerToken(id)));
      }
    }
  }

  void Allowlist(const Json& policy, const std::string& path) {
    const Json* list = policy.At("/network/allowlist");
    if (list == nullptr) return;
    for (size_t i = 0; i < list->AsArray().size(); ++i) {
      const std::string& entry = list->AsArray()[i].AsString();
      const auto port = ParseInt64(std::string_view(entry).substr(entry.rfind(':') + 1));
      if (!port || *port < 1 || *port > 65535) {
        Add(path + ".network.allowlist[" + std::to_string(i) + "]", "pattern",
            "expected host:port, found \"" + entry + "\"");
      }
    }
  }

  void Step(const Json& step, const Json* defaults, const std::string& path) {
    if (step.GetString("stepId") == "RUN")
      Add(path + ".stepId", "reserved_step_id", "expected another stepId: RUN stands for the run itself");
    if (const Json* params = step.Find("params"); params != nullptr && params->is_object())
      Size(params, path + ".params");
    Retry(step, defaults, path);
    Secrets(step, path);
    if (const Json* list = step.Find("runIf"); list != nullptr && list->is_array()) {
      for (size_t i = 0; i < list->AsArray().size(); ++i) {
        Condition(list->AsArray()[i], path + ".runIf[" + std::to_string(i) + "]");
      }
    }
  }

  void Secrets(const Json& step, const std::string& path) {
    const Json* list = step.Find("secretRefs");
    if (list == nullptr || !list->is_array()) return;
    std::set<std::string> names;
    for (size_t i = 0; i < list->AsArray().size(); ++i) {
      const std::string name = list->AsArray()[i].GetString("name");
      if (names.insert(name).second) continue;
      Add(path + ".secretRefs[" + std::to_string(i) + "].name", "duplicate_name",
          "expected each name once, found \"" + name + "\" again");
    }
  }

  void Condition(const Json& entry, const std::string& path) {
    if (!entry.is_object()) return;
    const std::string pointer = entry.GetString("path");
    bool good = pointer.empty() || pointer[0] == '/';
    for (size_t i = 0; i < pointer.size(); ++i) {
      if (pointer[i] == '~') good = good && i + 1 < pointer.size() && (pointer[i + 1] == '0' || pointer[i + 1] == '1');
    }
    if (!good) Add(path + ".path", "pattern", "expected a JSON Pointer, found \"" + pointer + "\"");
    if (entry.GetString("op") != "exists" && entry.Find("value") == nullptr) {
      Add(path + ".value", "required",
          "expected a value for the operator \"" + entry.GetString("op") + "\", found nothing");
    }
  }

  const Json& document_;
  StructureFindings* out_;
};

}  // namespace

StructureFindings CheckStructure(const Json& document, contracts::MinorVersion version) {
  StructureFindings out;
  const auto& schema = contracts::JsonSchema::Embedded("schemas/plan." + version.ToString() + ".schema.json");
  // Counted before the schema walks into every step.
  if (const Json* steps = document.Find("steps"); steps != nullptr && steps->is_array()) {
    constexpr size_t kMost = 10'000;
    if (const size_t count = steps->AsArray().size(); count > kMost) {
      out.plan.push_back({"steps", "maxItems", "expected at most 10000 steps, found " + std::to_string(count)});
      return out;
    }
  }
  for (const auto& violation : schema.Check(document)) Classify(violation, &out);
  if (!out.empty()) return out;
  // Keys that the version does not define are parameters (a v1.0 `secretRefs` is one) and are judged by the kind
  // instead.
  if (version.minor >= 1) {
    Rules(document, &out).Run();
    return out;
  }
  Json known = document;
  for (Json& step : known.Find("steps")->AsArray()) step = Json::MakeObject({{"stepId", step.GetString("stepId")}});
  Rules(known, &out).Run();
  return out;
}

}  // namespace lockstep::plan
