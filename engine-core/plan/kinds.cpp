// The table of kinds and the check of parameters against it.
#include "engine-core/plan/kinds.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/contracts/json_schema.h"
#include "engine-core/plan/issues.h"
#include "engine-core/plan/references.h"

namespace lockstep::plan {
namespace {

constexpr StepKind kKinds[] = {
    {"dbt.compile", WorkerClass::kData, "schemas/kinds/dbt.compile.schema.json"},
    {"dbt.run", WorkerClass::kData, "schemas/kinds/dbt.run.schema.json"},
    {"dbt.test", WorkerClass::kData, "schemas/kinds/dbt.test.schema.json"},
    {"echo", WorkerClass::kControl, "schemas/kinds/echo.schema.json"},
    {"fail", WorkerClass::kControl, "schemas/kinds/fail.schema.json", /*test_only=*/true},
    {"http.request", WorkerClass::kControl, "schemas/kinds/http.request.schema.json"},
    {"noop", WorkerClass::kControl, "schemas/kinds/noop.schema.json"},
    {"plugin", WorkerClass::kIsolation, "schemas/kinds/plugin.schema.json"},
    {"process.run", WorkerClass::kData, "schemas/kinds/process.run.schema.json"},
    {"sleep", WorkerClass::kControl, "schemas/kinds/sleep.schema.json", false, /*is_timer=*/true},
    {"sql.query", WorkerClass::kData, "schemas/kinds/sql.query.schema.json"},
};

// Whether a value of an unresolved plan may still become something else.
bool HoldsReference(const Json* value) {
  if (value == nullptr || !value->is_string()) return false;
  const auto parts = ParseTemplate(value->AsString());
  return parts.has_value() && !parts->IsLiteral();
}

// A path or glob that stays below the step's folder: relative, no `..`, no NUL.
bool StaysBelow(std::string_view path) {
  if (path.starts_with('/') || path.find('\0') != std::string_view::npos) return false;
  return std::ranges::none_of(Split(path, '/'), [](std::string_view part) { return part == ".."; });
}

// What the schema of process.run cannot say.
void CheckProcess(const Json& params, const std::string& base, References references, std::vector<Issue>* issues) {
  const auto bad = [&](const std::string& pointer, const std::string& expected, const std::string& found) {
    issues->push_back(
        {PathFromPointer(base + pointer), "param_invalid", "expected " + expected + ", found \"" + found + "\""});
  };
  const auto open = [&](const Json& value) { return references == References::kUnresolved && HoldsReference(&value); };
  const Json::Array& argv = params.Find("argv")->AsArray();
  for (size_t i = 0; i < argv.size(); ++i) {
    const std::string& text = argv[i].AsString();
    if (open(argv[i])) continue;
    if (i == 0 && text.empty()) bad("/argv/0", "the name of a program", text);
    if (text.find('\0') != std::string::npos) bad("/argv/" + std::to_string(i), "an argument without NUL", "NUL");
  }
  if (const Json* globs = params.Find("artifacts"); globs != nullptr) {
    for (size_t i = 0; i < globs->AsArray().size(); ++i) {
      const Json& glob = globs->AsArray()[i];
      if (!open(glob) && !StaysBelow(glob.AsString())) {
        bad("/artifacts/" + std::to_string(i), "a relative glob without `..`", glob.AsString());
      }
    }
  }
  if (const Json* env = params.Find("env"); env != nullptr) {
    for (const auto& [name, value] : env->AsObject()) {
      if (value.AsString().find('\0') != std::string::npos) bad("/env/" + name, "a value without NUL", "NUL");
    }
  }
}

}  // namespace

std::span<const StepKind> BuiltInKinds() { return kKinds; }

const StepKind* FindKind(std::string_view name, bool allow_test_kinds) {
  const auto* it = std::ranges::lower_bound(kKinds, name, {}, &StepKind::name);
  if (it == std::end(kKinds) || it->name != name || (it->test_only && !allow_test_kinds)) return nullptr;
  return it;
}

std::vector<Issue> CheckParams(const StepKind& kind, const Json& params, std::string_view base_pointer,
                               References references) {
  std::vector<Issue> issues;
  const std::string base(base_pointer);
  bool skipped = false;
  for (const auto& violation : contracts::JsonSchema::Embedded(kind.schema).Check(params)) {
    const bool surplus = violation.keyword == "additionalProperties";
    if (!surplus && references == References::kUnresolved && HoldsReference(params.At(violation.pointer))) {
      skipped = true;
      continue;
    }
    issues.push_back({PathFromPointer(base + violation.pointer), surplus ? "field_not_allowed" : "param_invalid",
                      surplus ? "the kind " + std::string(kind.name) + " has no such parameter" : violation.message});
  }
  if (issues.empty() && !skipped && kind.name == "process.run") CheckProcess(params, base, references, &issues);
  return issues;
}

}  // namespace lockstep::plan
