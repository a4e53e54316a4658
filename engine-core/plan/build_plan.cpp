// Two passes over the steps: one that finds everything wrong with them, and one that reads them, when nothing is.
#include "engine-core/plan/build_plan.h"

#include <map>

#include "engine-core/plan/issues.h"
#include "engine-core/plan/kinds.h"
#include "engine-core/plan/plugin_policy.h"
#include "engine-core/plan/references.h"

namespace lockstep::plan {
namespace {

using StepIndex = std::map<std::string, uint32_t, std::less<>>;

StepIndex IndexOf(const Json& document) {
  StepIndex index;
  const Json::Array& steps = document.Find("steps")->AsArray();
  for (uint32_t i = 0; i < steps.size(); ++i) index.emplace(steps[i].GetString("stepId"), i);
  return index;
}

std::string KindOf(const Json& step) { return step.GetString("kind", "noop"); }

class StepChecker {
 public:
  StepChecker(const Json& document, const Graph& graph, bool allow_test_kinds)
      : document_(document),
        index_(IndexOf(document)),
        ancestors_(graph.depends_on),
        allow_test_kinds_(allow_test_kinds) {
    if (const Json* signals = document.Find("customSignals"); signals != nullptr) {
      for (const Json& signal : signals->AsArray()) signals_.emplace(signal.GetString("name"), 0);
    }
  }

  std::vector<Issue> Run() {
    const Json::Array& steps = document_.Find("steps")->AsArray();
    for (uint32_t i = 0; i < steps.size(); ++i) Check(steps[i], i);
    return std::move(issues_);
  }

 private:
  void Add(const std::string& pointer, std::string code, std::string message) {
    issues_.push_back({PathFromPointer(pointer), std::move(code), std::move(message)});
  }

  void Check(const Json& step, uint32_t i) {
    const std::string base = "/steps/" + std::to_string(i);
    const StepKind* kind = FindKind(KindOf(step), allow_test_kinds_);
    if (kind == nullptr)
      return Add(base + "/kind", "kind_unknown", "expected a registered kind, found \"" + KindOf(step) + "\"");
    const Json none = Json::MakeObject();
    const Json* params = step.Find("params");
    const auto found =
        CheckParams(*kind, params == nullptr ? none : *params, base + "/params", References::kUnresolved);
    issues_.insert(issues_.end(), found.begin(), found.end());
    CheckPlugin(step, base);
    CheckReferences(step, i, base);
    CheckConditions(step, i, base);
  }

  void CheckPlugin(const Json& step, const std::string& base) {
    const Json* plugin = step.Find("plugin");
    if (KindOf(step) != "plugin") {
      if (plugin != nullptr)
        Add(base + "/plugin", "field_not_allowed", "expected `plugin` only on steps of kind \"plugin\"");
      return;
    }
    if (plugin == nullptr) return Add(base + "/plugin", "param_invalid", "expected the member `plugin`, found nothing");
    // Documents before v1.2 bring it as a parameter, which no plan schema has looked at.
    const bool good =
        plugin->is_object() && !plugin->GetString("pluginId").empty() && !plugin->GetString("version").empty();
    if (!good) return Add(base + "/plugin", "param_invalid", "expected {pluginId, version, digest?}");
    const Json policy =
        MergedPluginPolicy(document_.Find("pluginPolicies"), std::nullopt, plugin->GetString("pluginId"));
    if (policy.GetBool("requireDigest") && plugin->Find("digest") == nullptr) {
      Add(base + "/plugin/digest", "param_invalid", "expected a digest, as `requireDigest` asks, found nothing");
    }
  }

  void CheckReferences(const Json& step, uint32_t i, const std::string& base) {
    std::vector<FoundReference> all;
    for (const char* member : {"params", "target"}) {
      const Json* value = step.Find(member);
      if (value == nullptr) continue;
      auto found = ListReferences(*value, base + "/" + member, &issues_);
      all.insert(all.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
    }
    for (const FoundReference& found : all) {
      const Reference& reference = found.reference;
      if (reference.source == ReferenceSource::kStepResult) {
        CheckAncestor(reference.name, i, found.pointer, reference.text);
      } else if (reference.source == ReferenceSource::kSignal && !signals_.contains(reference.name)) {
        Add(found.pointer, "param_invalid", "expected the name of a declared custom signal, found " + reference.text);
      }
    }
  }

  void CheckConditions(const Json& step, uint32_t i, const std::string& base) {
    const Json* list = step.Find("runIf");
    if (list == nullptr) return;
    for (size_t k = 0; k < list->AsArray().size(); ++k) {
      const std::string name = list->AsArray()[k].GetString("step");
      CheckAncestor(name, i, base + "/runIf/" + std::to_string(k) + "/step", "\"" + name + "\"");
    }
  }

  void CheckAncestor(const std::string& name, uint32_t step, const std::string& pointer, const std::string& text) {
    const auto it = index_.find(name);
    if (it == index_.end()) {
      Add(pointer, "param_invalid", "expected a step of this plan, found " + text);
    } else if (!ancestors_.IsAncestor(it->second, step)) {
      Add(pointer, "param_invalid", "expected a step that this one depends on, found " + text);
    }
  }

  const Json& document_;
  StepIndex index_;
  std::map<std::string, int> signals_;
  AncestorQuery ancestors_;
  bool allow_test_kinds_;
  std::vector<Issue> issues_;
};

std::optional<int64_t> OptionalInt(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  if (value == nullptr) return std::nullopt;
  return value->AsInt();
}
std::optional<std::string> OptionalText(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  if (value == nullptr) return std::nullopt;
  return value->AsString();
}
std::map<std::string, std::string> Texts(const Json* object) {
  std::map<std::string, std::string> out;
  if (object == nullptr) return out;
  for (const auto& [key, value] : object->AsObject()) out.emplace(key, value.AsString());
  return out;
}

// A member of the step, of the plan's defaults, or nullptr.
const Json* Inherited(const Json& step, const Json* defaults, std::string_view group, std::string_view key) {
  for (const Json* holder : {&step, defaults}) {
    const Json* policy = holder == nullptr ? nullptr : holder->Find(group);
    if (const Json* value = policy == nullptr ? nullptr : policy->Find(key); value != nullptr) return value;
  }
  return nullptr;
}

RetryPolicy ReadRetry(const Json& step, const Json* defaults) {
  RetryPolicy out;
  const auto find = [&](std::string_view key) { return Inherited(step, defaults, "retryPolicy", key); };
  if (const Json* v = find("initialIntervalMs")) out.initial_interval_ms = v->AsInt();
  if (const Json* v = find("maxIntervalMs")) out.max_interval_ms = v->AsInt();
  if (const Json* v = find("backoffCoefficient"))
    out.backoff_hundredths = BackoffHundredths(v->AsDouble()).value_or(out.backoff_hundredths);
  if (const Json* v = find("maxAttempts")) out.max_attempts = static_cast<int32_t>(v->AsInt());
  if (const Json* v = find("nonRetryableCodes")) {
    out.non_retryable_codes.clear();
    for (const Json& code : v->AsArray()) out.non_retryable_codes.push_back(code.AsString());
  }
  return out;
}

Timeouts ReadTimeouts(const Json& step, const Json* defaults, const RetryPolicy& retry) {
  Timeouts out;
  const auto find = [&](std::string_view key) { return Inherited(step, defaults, "timeouts", key); };
  if (const Json* v = find("attemptMs")) out.attempt_ms = v->AsInt();
  if (const Json* v = find("heartbeatMs")) out.heartbeat_ms = v->AsInt();
  if (const Json* v = find("queueMs")) out.queue_ms = v->AsInt();
  const Json* total = find("totalMs");
  out.total_ms = total != nullptr ? total->AsInt() : DerivedTotalMs(retry, out.attempt_ms);
  return out;
}

Predicate ReadPredicate(const Json& entry, const StepIndex& index) {
  Predicate out;
  out.step = index.find(entry.GetString("step"))->second;
  out.path = entry.GetString("path");
  out.op = *FromName<CompareOp>(entry.GetString("op"));
  if (const Json* value = entry.Find("value"); value != nullptr && out.op != CompareOp::kExists) out.value = *value;
  return out;
}

class Builder {
 public:
  Builder(const Json& document, const Graph& graph) : document_(document), graph_(graph), index_(IndexOf(document)) {}

  Plan Run() {
    ReadMetadata();
    if (const Json* params = document_.Find("params"); params != nullptr) plan_.table.params = *params;
    if (const Json* policies = document_.Find("pluginPolicies"); policies != nullptr) plan_.plugin_policies = *policies;
    if (const Json* hints = document_.Find("costHints"); hints != nullptr) plan_.cost_hints = *hints;
    const Json::Array& steps = document_.Find("steps")->AsArray();
    plan_.table.steps.reserve(steps.size());
    for (uint32_t i = 0; i < steps.size(); ++i) ReadStep(steps[i], i);
    return std::move(plan_);
  }

 private:
  void ReadMetadata() {
    const Json& metadata = *document_.Find("metadata");
    plan_.table.plan_id = metadata.GetString("planId");
    plan_.table.plan_version = metadata.GetString("planVersion");
    plan_.schema_version = metadata.GetString("schemaVersion");
    plan_.target_adapter = metadata.GetString("targetAdapter", "any");
    plan_.fallback = *FromName<Fallback>(metadata.GetString("fallbackBehavior", "reject"));
    plan_.plugin_trust_tier = FromName<TrustTier>(metadata.GetString("pluginTrustTier"));
    plan_.description = metadata.GetString("description");
    plan_.labels = Texts(metadata.Find("labels"));
    if (const Json* required = metadata.Find("requiresCapabilities"); required != nullptr) {
      for (const Json& one : required->AsArray()) {
        if (one.is_string()) {
          plan_.requires_capabilities.push_back({one.AsString(), std::nullopt, false});
        } else {
          plan_.requires_capabilities.push_back(
              {one.GetString("id"), OptionalText(one, "minVersion"), one.GetBool("optional")});
        }
      }
    }
    RunFacts& facts = plan_.table.facts;
    facts.on_step_failure = *FromName<OnStepFailure>(metadata.GetString("onStepFailure", "fail_run"));
    facts.max_parallelism = static_cast<int32_t>(metadata.GetInt("maxParallelism", kDefaultMaxParallelism));
    facts.hold_timeout_ms = metadata.GetInt("holdTimeoutMs", kDefaultHoldTimeoutMs);
    facts.run_timeout_ms = OptionalInt(metadata, "runTimeoutMs");
    facts.requires_approval = metadata.GetBool("requiresApproval");
    facts.sequential = graph_.sequential;
  }

  void ReadStep(const Json& in, uint32_t i) {
    const Json* defaults = document_.Find("defaults");
    Step out;
    out.index = i;
    out.step_id = in.GetString("stepId");
    out.kind = KindOf(in);
    if (in.Find("kind") == nullptr) plan_.kind_defaulted.push_back(i);
    out.description = in.GetString("description");
    out.depends_on = graph_.depends_on[i];
    if (const Json* params = in.Find("params"); params != nullptr) out.params = *params;
    out.target = Texts(in.Find("target"));
    if (const Json* list = in.Find("secretRefs"); list != nullptr) {
      for (const Json& ref : list->AsArray()) {
        out.secret_refs.push_back(
            {ref.GetString("name"), ref.GetString("secretId"), ref.GetString("key"), OptionalText(ref, "version")});
      }
    }
    if (const Json* list = in.Find("runIf"); list != nullptr) {
      for (const Json& entry : list->AsArray()) out.run_if.push_back(ReadPredicate(entry, index_));
    }
    out.retry = ReadRetry(in, defaults);
    out.logical_retries = static_cast<int32_t>(in.GetInt("logicalRetries"));
    out.timeouts = ReadTimeouts(in, defaults, out.retry);
    const WorkerClass of_kind = FindKind(out.kind, /*allow_test_kinds=*/true)->worker_class;
    out.worker_class = FromName<WorkerClass>(in.GetString("workerClass")).value_or(of_kind);
    out.task_queue = OptionalText(in, "taskQueue");
    ReadV12(in, &out);
    plan_.table.steps.push_back(std::move(out));
  }

  void ReadV12(const Json& in, Step* out) {
    if (const Json* plugin = in.Find("plugin"); plugin != nullptr) {
      out->plugin =
          PluginRef{plugin->GetString("pluginId"), plugin->GetString("version"), OptionalText(*plugin, "digest")};
      out->plugin_policy =
          MergedPluginPolicy(document_.Find("pluginPolicies"), plan_.plugin_trust_tier, out->plugin->plugin_id);
    }
    if (const Json* gate = in.Find("waitForSignal"); gate != nullptr) {
      out->wait_for_signal =
          WaitForSignal{gate->GetString("name"), static_cast<int32_t>(gate->GetInt("count", 1)),
                        OptionalInt(*gate, "timeoutMs"), *FromName<GateTimeout>(gate->GetString("onTimeout", "fail"))};
    }
    const Json* hint = in.Find("costHint");
    plan_.step_cost_hints.push_back(hint == nullptr ? Json() : *hint);
  }

  const Json& document_;
  const Graph& graph_;
  StepIndex index_;
  Plan plan_;
};

}  // namespace

std::vector<DeclaredStep> DeclaredSteps(const Json& document) {
  std::vector<DeclaredStep> out;
  for (const Json& step : document.Find("steps")->AsArray()) {
    DeclaredStep declared;
    declared.step_id = step.Find("stepId")->AsString();
    if (const Json* list = step.Find("dependsOn"); list != nullptr) {
      declared.has_depends_on = true;
      for (const Json& name : list->AsArray()) declared.depends_on.push_back(name.AsString());
    }
    out.push_back(std::move(declared));
  }
  return out;
}

std::vector<Issue> CheckSteps(const Json& document, const Graph& graph, bool allow_test_kinds) {
  return StepChecker(document, graph, allow_test_kinds).Run();
}

Plan BuildPlan(const Json& document, const Graph& graph) { return Builder(document, graph).Run(); }

}  // namespace lockstep::plan
