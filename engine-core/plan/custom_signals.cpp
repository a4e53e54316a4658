// Declarations are read entry by entry; a finding in one does not hide those in the others.
#include "engine-core/plan/custom_signals.h"

#include <algorithm>
#include <set>

#include "engine-core/contracts/json_schema.h"
#include "engine-core/plan/issues.h"

namespace lockstep::plan {
namespace {

constexpr std::string_view kBuiltIn[] = {"CANCEL",    "EMERGENCY_STOP", "ESCALATE_ALERT", "INJECT_OVERRIDE",
                                         "PAUSE",     "RESUME",         "RETRY_RUN",      "RETRY_STEP",
                                         "SKIP_STEP", "UPDATE_PARAMS",  "UPDATE_TARGET"};
constexpr std::string_view kWhat = "custom signals are not valid";

size_t Depth(const Json& value) {
  size_t deepest = 0;
  if (value.is_array()) {
    for (const Json& item : value.AsArray()) deepest = std::max(deepest, Depth(item));
  } else if (value.is_object()) {
    for (const auto& [key, member] : value.AsObject()) deepest = std::max(deepest, Depth(member));
  } else {
    return 0;
  }
  return deepest + 1;
}

void CheckPayloadSchema(const Json& schema, const std::string& path, std::vector<Issue>* issues) {
  const auto bad = [&](std::string code, std::string message) {
    issues->push_back({path, std::move(code), std::move(message)});
  };
  if (const size_t size = CanonicalJson(schema).size(); size > kMaxPayloadSchemaBytes) {
    return bad("too_large", "expected at most 16384 bytes, found " + std::to_string(size));
  }
  if (const size_t depth = Depth(schema); depth > kMaxPayloadSchemaDepth) {
    return bad("too_deep", "expected at most 16 levels, found " + std::to_string(depth));
  }
  if (const auto compiled = contracts::JsonSchema::Compile(schema); !compiled)
    bad("schema_invalid", compiled.error().message);
}

CustomSignal Read(const Json& entry) {
  CustomSignal out;
  out.name = entry.GetString("name");
  out.payload_schema = *entry.Find("payloadSchema");
  out.destructive = entry.GetBool("destructive");
  out.required_role = FromName<Role>(entry.GetString("requiredRole", "Operator")).value_or(Role::kOperator);
  if (out.destructive) out.required_role = Role::kAdmin;
  if (const Json* states = entry.Find("allowedRunStates"); states != nullptr) {
    const auto allows = [&](std::string_view state) {
      return std::ranges::find(states->AsArray(), Json(state)) != states->AsArray().end();
    };
    out.allowed_running = allows("RUNNING");
    out.allowed_paused = allows("PAUSED");
  }
  out.scope = FromName<SignalScope>(entry.GetString("scope", "run")).value_or(SignalScope::kRun);
  out.effect = FromName<SignalEffect>(entry.GetString("effect", "record")).value_or(SignalEffect::kRecord);
  out.max_per_run = static_cast<int32_t>(entry.GetInt("maxPerRun", 100));
  return out;
}

}  // namespace

bool IsBuiltInSignal(std::string_view name) { return std::ranges::find(kBuiltIn, name) != std::end(kBuiltIn); }

Result<std::vector<CustomSignal>> ParseCustomSignals(const Json& list) {
  std::vector<CustomSignal> out;
  std::vector<Issue> issues;
  std::set<std::string> names;
  const auto& shape = contracts::JsonSchema::Embedded("schemas/custom-signal.schema.json");
  for (size_t i = 0; i < list.AsArray().size(); ++i) {
    const Json& entry = list.AsArray()[i];
    const std::string pointer = "/customSignals/" + std::to_string(i);
    const auto violations = shape.Check(entry);
    for (const auto& v : violations) issues.push_back({PathFromPointer(pointer + v.pointer), v.keyword, v.message});
    if (!violations.empty()) continue;
    CustomSignal signal = Read(entry);
    const std::string path = PathFromPointer(pointer);
    if (IsBuiltInSignal(signal.name)) {
      issues.push_back({path + ".name", "reserved_name",
                        "expected a name that no built-in signal has, found \"" + signal.name + "\""});
    }
    if (!names.insert(signal.name).second) {
      issues.push_back(
          {path + ".name", "duplicate_name", "expected each name once, found \"" + signal.name + "\" again"});
    }
    CheckPayloadSchema(signal.payload_schema, path + ".payloadSchema", &issues);
    out.push_back(std::move(signal));
  }
  if (!issues.empty()) return Fail(IssueError("CUSTOM_SIGNAL_INVALID", kWhat, std::move(issues)));
  return out;
}

Status CheckGates(const StepTable& table) {
  std::vector<Issue> issues;
  for (const Step& step : table.steps) {
    if (!step.wait_for_signal) continue;
    const std::string path = "steps[" + std::to_string(step.index) + "].waitForSignal.";
    const WaitForSignal& gate = *step.wait_for_signal;
    const CustomSignal* signal = table.FindSignal(gate.name);
    if (signal == nullptr) {
      issues.push_back({path + "name", "unknown_signal",
                        "expected the name of a declared custom signal, found \"" + gate.name + "\""});
    } else if (signal->effect != SignalEffect::kOpenGate) {
      issues.push_back(
          {path + "name", "wrong_effect",
           "expected a signal with effect \"open_gate\", found \"" + std::string(Name(signal->effect)) + "\""});
    } else if (gate.count > signal->max_per_run) {
      issues.push_back({path + "count", "maximum",
                        "expected at most maxPerRun of the signal (" + std::to_string(signal->max_per_run) +
                            "), found " + std::to_string(gate.count)});
    }
  }
  if (issues.empty()) return {};
  return Fail(IssueError("CUSTOM_SIGNAL_INVALID", kWhat, std::move(issues)));
}

std::vector<Issue> CheckSignalPayload(const CustomSignal& signal, const Json& payload) {
  std::vector<Issue> issues;
  const auto schema = contracts::JsonSchema::Compile(signal.payload_schema);
  if (!schema) return {{"$", "schema_invalid", schema.error().message}};
  for (const auto& v : schema->Check(payload)) issues.push_back({PathFromPointer(v.pointer), v.keyword, v.message});
  const Json* step = payload.Find("stepId");
  if (signal.scope == SignalScope::kStep && (step == nullptr || !step->is_string())) {
    issues.push_back({"stepId", "required", "expected the stepId that the signal is for"});
  }
  const Json* params = payload.Find("params");
  if (signal.effect == SignalEffect::kSetParams && (params == nullptr || !params->is_object())) {
    issues.push_back({"params", "required", "expected an object of run parameters"});
  }
  std::sort(issues.begin(), issues.end());
  return issues;
}

}  // namespace lockstep::plan
