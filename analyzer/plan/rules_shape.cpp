// Rules about the shape of a plan: who refers to whom, conditions and their arms, gates, bounds, signals, and steps
// that talk to the network.
#include <algorithm>
#include <optional>
#include <set>

#include "analyzer/plan/plan_rules.h"
#include "engine-core/base/bytes.h"
#include "engine-core/plan/plugin_policy.h"
#include "engine-core/plan/references.h"

namespace lockstep::analyzer {
namespace {

const Json* ArrayMember(const Json& object, std::string_view key) {
  const Json* list = object.Find(key);
  return list != nullptr && list->is_array() ? list : nullptr;
}

// --- references
// --------------------------------------------------------------------------------------------------------------

// All strings of a step, also those outside its parameters.
void Strings(const Json& value, const std::string& pointer,
             std::vector<std::pair<std::string, const std::string*>>* out) {
  if (value.is_string()) {
    out->emplace_back(pointer, &value.AsString());
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.AsArray().size(); ++i)
      Strings(value.AsArray()[i], pointer + "/" + std::to_string(i), out);
  } else if (value.is_object()) {
    for (const auto& [key, member] : value.AsObject()) Strings(member, pointer + "/" + JsonPointerToken(key), out);
  }
}

std::vector<std::string> StepsNamedIn(const std::string& text) {
  std::vector<std::string> names;
  for (size_t at = text.find("${"); at != std::string::npos; at = text.find("${", at + 2)) {
    if (at > 0 && text[at - 1] == '$') continue;
    const size_t end = text.find('}', at);
    if (end == std::string::npos) break;
    const auto one = plan::ParseTemplate(text.substr(at, end - at + 1));
    if (!one) continue;
    for (const plan::Reference& reference : one->references) {
      if (reference.source == plan::ReferenceSource::kStepResult) names.push_back(reference.name);
    }
  }
  return names;
}

void UndeclaredDependency(const PlanView& view, PlanHits* hits) {
  for (const PlanStep& step : view.steps) {
    std::vector<std::pair<std::string, std::string>> used;  // pointer, step id
    std::vector<std::pair<std::string, const std::string*>> strings;
    Strings(*step.json, step.pointer, &strings);
    for (const auto& [pointer, text] : strings) {
      if (text->find("${") == std::string::npos) continue;
      for (std::string& name : StepsNamedIn(*text)) used.emplace_back(pointer, std::move(name));
    }
    if (const Json* conditions = ArrayMember(*step.json, "runIf"); conditions != nullptr) {
      for (size_t i = 0; i < conditions->AsArray().size(); ++i) {
        const Json* name = conditions->AsArray()[i].Find("step");
        if (name != nullptr && name->is_string())
          used.emplace_back(step.pointer + "/runIf/" + std::to_string(i) + "/step", name->AsString());
      }
    }
    if (used.empty()) continue;
    const std::vector<bool> ancestors = view.AncestorsOf(step);
    for (const auto& [pointer, name] : used) {
      const PlanStep* other = view.FindStep(name);
      if (other != nullptr && other->index != step.index && ancestors[other->index]) continue;
      const std::string why = other == nullptr             ? "which the plan does not have"
                              : other->index == step.index ? "which is the step itself"
                                                           : "which is no ancestor";
      hits->Add("undeclared-dependency", pointer, step.index, "a reference to step " + name + ", " + why);
    }
  }
}

// --- conditions
// ----------------------------------------------------------------------------------------------------------------

struct Condition {
  std::string op;
  Json value;
  bool operator<(const Condition& other) const {
    return std::make_pair(op, CanonicalJson(value)) < std::make_pair(other.op, CanonicalJson(other.value));
  }
};
// The arm of a step: all its conditions on one value. A set, so that order and repetition do not make arms differ.
using Arm = std::set<Condition>;

struct Site {
  size_t step;
  std::string pointer;
};

bool Holds(const Arm& arm, const Json& probe) {
  return std::all_of(arm.begin(), arm.end(), [&](const Condition& condition) {
    plan::Predicate predicate;
    predicate.op = plan::FromName<plan::CompareOp>(condition.op).value_or(plan::CompareOp::kExists);
    predicate.value = condition.value;
    return plan::EvaluateRunIf(predicate, &probe);
  });
}

// Values between and around the constants that the arms compare with.
std::vector<Json> ProbesFor(const std::set<Arm>& arms) {
  std::set<double> numbers;
  std::set<std::string> texts;
  bool booleans = false;
  for (const Arm& arm : arms) {
    for (const Condition& condition : arm) {
      if (condition.value.is_number()) numbers.insert(condition.value.AsDouble());
      if (condition.value.is_string()) texts.insert(condition.value.AsString());
      booleans |= condition.value.is_bool();
    }
  }
  std::vector<Json> probes;
  double previous = 0;
  for (const double number : numbers) {
    const bool whole = number == static_cast<double>(static_cast<int64_t>(number));
    const auto push = [&](double value) { probes.push_back(whole ? Json(static_cast<int64_t>(value)) : Json(value)); };
    push(number - 1);
    push(number);
    push(number + 1);
    if (!probes.empty() && number != *numbers.begin()) push((previous + number) / 2);
    previous = number;
  }
  for (const std::string& text : texts) {
    probes.push_back(text);
    probes.push_back(text + "\x01");
    if (!text.empty()) probes.push_back(text.substr(0, text.size() - 1));
  }
  if (!texts.empty()) probes.push_back("\x7f\x7f");
  if (booleans) probes.insert(probes.end(), {Json(true), Json(false)});
  return probes;
}

// Equality with texts or booleans: the arms of a switch over names, complete as far as anybody can tell.
bool IsNameSwitch(const std::set<Arm>& arms) {
  return std::all_of(arms.begin(), arms.end(), [](const Arm& arm) {
    return arm.size() == 1 && arm.begin()->op == "eq" &&
           (arm.begin()->value.is_string() || arm.begin()->value.is_bool());
  });
}

std::string Shown(const Json& value) {
  return value.is_string() ? "\"" + value.AsString() + "\"" : CanonicalJson(value);
}

// Complaint about a group of arms, or nothing.
std::optional<std::string> NotComplementary(const std::set<Arm>& arms) {
  for (const Json& probe : ProbesFor(arms)) {
    size_t holding = 0;
    for (const Arm& arm : arms) holding += Holds(arm, probe) ? 1 : 0;
    // Probes are of a generated value: say which side of a constant rather than an invented text.
    const bool plain = !probe.is_string() || probe.AsString().find_first_of("\x01\x7f") == std::string::npos;
    const std::string value = plain ? Shown(probe) : "some texts";
    if (holding > 1) return "arms that overlap (at " + value + ")";
    if (holding == 0 && !IsNameSwitch(arms)) return "arms with a gap between them (at " + value + ")";
  }
  return std::nullopt;
}

void Arms(const PlanView& view, PlanHits* hits) {
  std::map<std::pair<std::string, std::string>, std::map<Arm, std::vector<Site>>> groups;
  for (const PlanStep& step : view.steps) {
    const Json* conditions = ArrayMember(*step.json, "runIf");
    if (conditions == nullptr || conditions->AsArray().empty()) continue;
    std::map<std::pair<std::string, std::string>, Arm> by_value;
    for (const Json& condition : conditions->AsArray()) {
      const Json* value = condition.Find("value");
      by_value[{condition.GetString("step"), condition.GetString("path")}].insert(
          {condition.GetString("op"), value == nullptr ? Json() : *value});
    }
    // A step that also asks something else is no plain arm.
    if (by_value.size() == 1)
      groups[by_value.begin()->first][by_value.begin()->second].push_back({step.index, step.pointer + "/runIf"});
  }
  for (const auto& [value, arms] : groups) {
    if (arms.size() < 2) continue;
    std::set<Arm> distinct;
    std::vector<Site> sites;
    bool exists = false;
    for (const auto& [arm, where] : arms) {
      distinct.insert(arm);
      sites.insert(sites.end(), where.begin(), where.end());
      exists |=
          std::any_of(arm.begin(), arm.end(), [](const Condition& condition) { return condition.op == "exists"; });
    }
    if (exists) continue;
    const auto complaint = NotComplementary(distinct);
    if (!complaint) continue;
    // Told once, where the last arm stands.
    const auto last =
        std::max_element(sites.begin(), sites.end(), [](const Site& a, const Site& b) { return a.step < b.step; });
    hits->Add("condition", last->pointer, last->step, *complaint + " over " + value.first + value.second);
  }
}

bool IsIndexed(const std::string& pointer) {
  for (const std::string_view part : Split(pointer, '/')) {
    if (!part.empty() && std::all_of(part.begin(), part.end(), IsAsciiDigit)) return true;
  }
  return false;
}

void Conditions(const PlanView& view, PlanHits* hits) {
  const auto unordered = UnorderedSteps(view);
  for (const PlanStep& step : view.steps) {
    const Json* conditions = ArrayMember(*step.json, "runIf");
    if (conditions == nullptr) continue;
    for (size_t i = 0; i < conditions->AsArray().size(); ++i) {
      const Json& condition = conditions->AsArray()[i];
      const std::string pointer = step.pointer + "/runIf/" + std::to_string(i);
      const Json* value = condition.Find("value");
      if (value != nullptr && value->is_double())
        hits->Add("condition", pointer + "/value", step.index,
                  "a comparison with the floating-point value " + CanonicalJson(*value), Severity::kError);
      const std::string path = condition.GetString("path");
      const PlanStep* other = view.FindStep(condition.GetString("step"));
      if (other == nullptr || !IsIndexed(path)) continue;
      if (const auto it = unordered.find(other->index); it != unordered.end() && path.starts_with("/rows/")) {
        hits->Add("condition", pointer, step.index,
                  "a condition on row " + path.substr(6, path.find('/', 6) - 6) + " of rows with " + it->second);
      } else if (other->kind.starts_with("dbt.")) {
        hits->Add("condition", pointer, step.index,
                  "a condition on an item of dbt results, whose order depends on its threads");
      }
    }
  }
  Arms(view, hits);
}

// --- gates, bounds, signals
// ------------------------------------------------------------------------------------------------------

bool RequiresFullReplay(const Json& document) {
  const Json* list = document.At("/metadata/requiresCapabilities");
  if (list == nullptr || !list->is_array()) return false;
  return std::any_of(list->AsArray().begin(), list->AsArray().end(), [](const Json& entry) {
    return entry.is_string() ? entry.AsString() == "replay.full" : entry.GetString("id") == "replay.full";
  });
}

void Gates(const PlanView& view, PlanHits* hits) {
  const bool full = RequiresFullReplay(*view.document);
  for (const PlanStep& step : view.steps) {
    const Json* gate = step.json->Find("waitForSignal");
    if (gate == nullptr || !gate->is_object()) continue;
    const std::string fallback = gate->GetString("onTimeout");
    if (fallback == "skip" || fallback == "proceed") {
      hits->Add("timeout-fallback", step.pointer + "/waitForSignal/onTimeout", step.index,
                "onTimeout " + fallback + (full ? "" : ", and the plan does not require replay.full"));
    }
  }
}

void Bounds(const PlanView& view, PlanHits* hits) {
  const Json* default_attempt = view.document->At("/defaults/timeouts/attemptMs");
  const Json* default_retry = view.document->At("/defaults/retryPolicy");
  for (const PlanStep& step : view.steps) {
    // These finish by themselves, inside the engine or at once.
    const bool trivial = step.kind == "noop" || step.kind == "echo" || step.kind == "sleep" || step.kind == "fail";
    const Json* attempt = step.json->At("/timeouts/attemptMs");
    const Json* gate = step.json->Find("waitForSignal");
    std::string missing;
    const auto add = [&](const char* what) { missing += (missing.empty() ? "" : ", ") + std::string(what); };
    if (!trivial && attempt == nullptr && default_attempt == nullptr) add("no timeouts.attemptMs");
    if (!trivial && step.json->Find("retryPolicy") == nullptr && default_retry == nullptr) add("no retryPolicy");
    if (gate != nullptr && gate->is_object() && gate->Find("timeoutMs") == nullptr)
      add("waitForSignal without timeoutMs");
    if (!missing.empty()) hits->Add("missing-bounds", step.pointer, step.index, missing);
  }
}

// The parameters a signal may set, by its payload schema; nothing when the schema does not say.
std::optional<std::set<std::string>> ParametersSetBy(const Json& signal) {
  for (const char* pointer : {"/payloadSchema/properties/params/properties"}) {
    const Json* properties = signal.At(pointer);
    if (properties == nullptr || !properties->is_object()) continue;
    std::set<std::string> names;
    for (const auto& [name, schema] : properties->AsObject()) names.insert(name);
    return names;
  }
  return std::nullopt;
}

void SignalOrder(const PlanView& view, PlanHits* hits) {
  const Json* signals = ArrayMember(*view.document, "customSignals");
  if (signals == nullptr) return;
  std::vector<std::pair<std::string, std::optional<std::set<std::string>>>> setters;
  for (size_t i = 0; i < signals->AsArray().size(); ++i) {
    const Json& signal = signals->AsArray()[i];
    if (!signal.is_object() || signal.GetString("effect") != "set_params") continue;
    const auto names = ParametersSetBy(signal);
    for (const auto& [earlier, others] : setters) {
      std::string shared = "parameters";
      if (names && others) {
        std::vector<std::string> both;
        std::set_intersection(names->begin(), names->end(), others->begin(), others->end(), std::back_inserter(both));
        if (both.empty()) continue;
        shared = "parameter " + both.front();
      }
      hits->Add("signal-order", "/customSignals/" + std::to_string(i), kNoStep,
                "signals " + earlier + " and " + signal.GetString("name") + " both set " + shared);
      break;
    }
    setters.emplace_back(signal.GetString("name"), names);
  }
}

// --- network
// -------------------------------------------------------------------------------------------------------------------

void Network(const PlanView& view, PlanHits* hits) {
  const Json* policies = view.document->Find("pluginPolicies");
  std::optional<plan::TrustTier> tier;
  if (const Json* name = view.document->At("/metadata/pluginTrustTier"); name != nullptr && name->is_string())
    tier = plan::FromName<plan::TrustTier>(name->AsString());
  for (const PlanStep& step : view.steps) {
    if (step.kind == "http.request") hits->Add("external-call", step.pointer, step.index, "an HTTP request");
    const Json* id = step.json->At("/plugin/pluginId");
    if (step.kind != "plugin" || id == nullptr || !id->is_string()) continue;
    const Json policy = plan::MergedPluginPolicy(policies != nullptr && policies->is_object() ? policies : nullptr,
                                                 tier, id->AsString());
    const Json* mode = policy.At("/network/mode");
    const std::string trust = policy.GetString("trustTier");
    // Without a word about the network only the tier `trusted` has it.
    const bool listed = mode != nullptr && mode->is_string() && mode->AsString() != "none";
    const bool trusted = mode == nullptr && trust == "trusted";
    if (listed || trusted)
      hits->Add("external-call", step.pointer, step.index, "plugin " + id->AsString() + " with network");
  }
}

}  // namespace

void RunShapeRules(const PlanView& view, PlanHits* hits) {
  UndeclaredDependency(view, hits);
  Conditions(view, hits);
  Gates(view, hits);
  Bounds(view, hits);
  SignalOrder(view, hits);
  Network(view, hits);
}

}  // namespace lockstep::analyzer
