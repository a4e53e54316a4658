#include "replay/simulate/random_plan.h"

#include "engine-core/base/json.h"

namespace lockstep::simulate {

std::string RandomPlan(const Fates& fates, const PlanShape& shape) {
  const auto below = [&](const std::string& name, int64_t limit) { return fates.RawBelow("plan." + name, limit); };
  const int64_t count = shape.min_steps + below("count", shape.max_steps - shape.min_steps + 1);
  const int64_t style = below("style", 5);  // chain, wide, or a random graph of some density
  Json steps = Json::MakeArray();
  for (int64_t i = 0; i < count; ++i) {
    const std::string id = "s" + std::to_string(i);
    Json depends = Json::MakeArray();
    if (style == 0) {
      if (i > 0) depends.Push("s" + std::to_string(i - 1));
    } else {
      const int64_t density = style == 1 ? 8 : 3;
      for (int64_t j = 0; j < i; ++j) {
        if (below(id + "<" + std::to_string(j), density) == 0) depends.Push("s" + std::to_string(j));
      }
    }
    const bool sleeps = below(id + ".kind", 8) == 0;
    Json step = Json::MakeObject({{"stepId", id}, {"kind", sleeps ? "sleep" : "noop"}});
    if (sleeps) step.Set("params", Json::MakeObject({{"durationMs", 1 + below(id + ".nap", 5'000)}}));
    if (!depends.AsArray().empty() && below(id + ".if", 6) == 0) {
      step.Set(
          "runIf",
          Json::MakeArray().Push(Json::MakeObject(
              {{"step", depends.AsArray()[0]}, {"path", "/n"}, {"op", "lt"}, {"value", below(id + ".limit", 12)}})));
    }
    step.Set("dependsOn", std::move(depends));
    if (below(id + ".again", 3) == 0) step.Set("logicalRetries", 1 + below(id + ".retries", 2));
    if (!sleeps && below(id + ".policy", 3) == 0) {
      step.Set("retryPolicy", Json::MakeObject({{"maxAttempts", 1 + below(id + ".attempts", 4)},
                                                {"initialIntervalMs", 100 + below(id + ".interval", 3'000)}}));
    }
    if (!sleeps && below(id + ".times", 3) == 0) {
      step.Set("timeouts", Json::MakeObject({{"attemptMs", 1'000 + below(id + ".attempt", 60'000)},
                                             {"heartbeatMs", 1'000 + below(id + ".beat", 9'000)}}));
    }
    if (below(id + ".gate", 9) == 0) {
      const char* const modes[] = {"fail", "skip", "proceed"};
      Json gate = Json::MakeObject({{"name", "GO_NOW"}, {"count", 1 + below(id + ".opens", 2)}});
      if (below(id + ".waits", 3) != 0)
        gate.Set("timeoutMs", 1'000 + below(id + ".deadline", 60'000)).Set("onTimeout", modes[below(id + ".mode", 3)]);
      step.Set("waitForSignal", std::move(gate));
    }
    steps.Push(std::move(step));
  }
  const char* const failure[] = {"fail_run", "continue", "hold"};
  Json metadata = Json::MakeObject({{"planId", "simulated"},
                                    {"planVersion", std::to_string(fates.seed())},
                                    {"schemaVersion", "v1.2"},
                                    {"onStepFailure", failure[below("failure", 3)]},
                                    {"maxParallelism", 1 + below("width", 6)}});
  if (below("bounded", 6) == 0) metadata.Set("runTimeoutMs", 5'000 + below("bound", 300'000));
  if (metadata.GetString("onStepFailure") == "hold" && below("patient", 2) == 0)
    metadata.Set("holdTimeoutMs", 1'000 + below("patience", 60'000));
  const Json document = Json::MakeObject(
      {{"metadata", std::move(metadata)},
       {"params", Json::MakeObject({{"a", 1}})},
       {"customSignals", Json::MakeArray().Push(Json::MakeObject(
                             {{"name", "GO_NOW"},
                              {"payloadSchema", Json::MakeObject({{"type", "object"}})},
                              {"effect", "open_gate"},
                              {"allowedRunStates", Json::MakeArray().Push("RUNNING").Push("PAUSED")}}))},
       {"steps", std::move(steps)}});
  return CanonicalJson(document);
}

std::string WithoutSteps(const std::string& plan, const std::set<std::string>& dropped) {
  auto document = ParseJson(plan);
  if (!document) return {};
  Json* steps = document->Find("steps");
  if (steps == nullptr || !steps->is_array()) return {};
  std::map<std::string, std::set<std::string>> instead;  // dropped step -> what stands for it
  Json left = Json::MakeArray();
  for (Json& step : steps->AsArray()) {
    const std::string id = step.GetString("stepId");
    std::set<std::string> depends;
    if (const Json* list = step.Find("dependsOn"); list != nullptr && list->is_array()) {
      for (const Json& on : list->AsArray()) {
        if (!on.is_string()) return {};
        const auto it = instead.find(on.AsString());
        if (it == instead.end()) {
          depends.insert(on.AsString());
        } else {
          depends.insert(it->second.begin(), it->second.end());
        }
      }
      Json rewired = Json::MakeArray();
      for (const std::string& on : depends) rewired.Push(on);
      step.Set("dependsOn", std::move(rewired));
    }
    if (dropped.contains(id)) {
      instead[id] = depends;
      continue;
    }
    if (Json* conditions = step.Find("runIf"); conditions != nullptr && conditions->is_array()) {
      std::erase_if(conditions->AsArray(),
                    [&](const Json& condition) { return dropped.contains(condition.GetString("step")); });
      if (conditions->AsArray().empty()) step.AsObject().erase(step.AsObject().find("runIf"));
    }
    left.Push(std::move(step));
  }
  if (left.AsArray().empty()) return {};
  document->Set("steps", std::move(left));
  return CanonicalJson(*document);
}

}  // namespace lockstep::simulate
