// Loads rules.json. The file is embedded, so a mistake in it is a broken invariant, not an expected failure.
#include "analyzer/registry/registry.h"

#include "analyzer/registry/embedded.h"
#include "engine-core/base/check.h"
#include "engine-core/base/json.h"

namespace lockstep::analyzer {

std::string_view SeverityName(Severity severity) {
  constexpr std::string_view kNames[] = {"note", "warning", "error"};
  return kNames[static_cast<size_t>(severity)];
}

Registry::Registry() {
  auto json = ParseJson(EmbeddedRules(), {.max_depth = 8, .max_string_bytes = 4096});
  LOCKSTEP_CHECK(json.has_value(), json.error().ToString());
  for (const Json& entry : json->Find("rules")->AsArray()) {
    Rule rule;
    rule.id = entry.GetString("id");
    rule.number = entry.GetString("number");
    rule.family = entry.GetString("family");
    rule.title = entry.GetString("title");
    const std::string severity = entry.GetString("severity");
    rule.severity = severity == "error" ? Severity::kError : severity == "note" ? Severity::kNote : Severity::kWarning;
    rule.reach = entry.GetString("reach");
    rule.why = entry.GetString("why");
    rule.replacement = entry.GetString("replacement");
    rule.fix = entry.GetBool("fix");
    rule.protocol = rule.family == "protocol" && rule.id != "determinism-suppression";
    rules_.push_back(std::move(rule));
  }
}

const Registry& Registry::Get() {
  static const Registry registry;
  return registry;
}

const Rule* Registry::Find(std::string_view id) const {
  for (const Rule& rule : rules_) {
    if (rule.id == id) return &rule;
  }
  return nullptr;
}

std::string_view Registry::Page(const Rule& rule) {
  const std::string name = rule.id.substr(std::string_view("determinism-").size()) + ".md";
  for (const auto& [file, text] : EmbeddedPages()) {
    if (file == name) return text;
  }
  return {};
}

}  // namespace lockstep::analyzer
