#include "replay/record/script.h"

#include <algorithm>
#include <optional>

namespace lockstep::replay {
namespace {

std::unexpected<Error> Invalid(const std::string& place, const std::string& expected, const Json* found) {
  return Fail("SCRIPT_INVALID", place + ": expected " + expected + ", found " + (found == nullptr ? "nothing" : CanonicalJson(*found).substr(0, 80)));
}

Status CheckMembers(const Json& object, const std::string& place, std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : object.AsObject()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string list;
    for (const std::string_view entry : known) list += (list.empty() ? "" : ", ") + std::string(entry);
    return Fail("SCRIPT_INVALID", place + "/" + JsonPointerToken(name) + ": expected one of " + list + ", found " + name);
  }
  return {};
}

Result<ScriptCondition> ParseCondition(const Json& json, const std::string& place) {
  if (!json.is_object()) return Invalid(place, "an object", &json);
  LOCKSTEP_TRY(CheckMembers(json, place, {"event", "stepId", "count", "workerExited"}));
  ScriptCondition condition;
  condition.event = json.GetString("event");
  condition.step_id = json.GetString("stepId");
  condition.count = json.GetInt("count", 1);
  condition.worker_exited = json.GetBool("workerExited");
  if (condition.count < 1) return Invalid(place + "/count", "a number of at least 1", json.Find("count"));
  if (condition.event.empty() && !condition.worker_exited) return Invalid(place, "event or workerExited", &json);
  return condition;
}

struct FlagRow {
  std::string_view name;
  ScriptAction action;
};
constexpr FlagRow kFlags[] = {{"cancelNative", ScriptAction::kCancelNative}, {"killWorker", ScriptAction::kKillWorker},
                              {"stopWorker", ScriptAction::kStopWorker},     {"startWorker", ScriptAction::kStartWorker},
                              {"restartServer", ScriptAction::kRestartServer}};

Status ParseAction(const Json& json, const std::string& place, ScriptStep* step) {
  if (!json.is_object()) return Invalid(place, "an object", &json);
  LOCKSTEP_TRY(CheckMembers(json, place, {"signal", "payload", "reason", "times", "wait", "cancelNative", "killWorker", "stopWorker",
                                          "startWorker", "restartServer"}));
  if (const Json* wait = json.Find("wait")) {
    if (!wait->is_int() || wait->AsInt() < 0 || wait->AsInt() > 600'000) return Invalid(place + "/wait", "milliseconds up to 600000", wait);
    step->action = ScriptAction::kWait;
    step->wait_ms = wait->AsInt();
    return {};
  }
  for (const FlagRow& row : kFlags) {
    if (json.GetBool(row.name)) {
      step->action = row.action;
      return {};
    }
  }
  step->action = ScriptAction::kSignal;
  step->signal = json.GetString("signal");
  step->reason = json.GetString("reason");
  step->times = json.GetInt("times", 1);
  if (step->signal.empty()) return Invalid(place, "signal, wait, or one of the other actions", &json);
  if (step->times < 1 || step->times > 10'000) return Invalid(place + "/times", "a number from 1 to 10000", json.Find("times"));
  if (const Json* payload = json.Find("payload")) {
    if (!payload->is_object()) return Invalid(place + "/payload", "an object", payload);
    step->payload = *payload;
  }
  return {};
}

Status ParseSteps(const Json& json, const std::string& place, std::vector<ScriptStep>* steps) {
  if (!json.is_array()) return Invalid(place.empty() ? "$" : place, "a list of steps", &json);
  for (size_t i = 0; i < json.AsArray().size(); ++i) {
    const Json& entry = json.AsArray()[i];
    const std::string here = place + "/" + std::to_string(i);
    if (!entry.is_object()) return Invalid(here, "an object", &entry);
    LOCKSTEP_TRY(CheckMembers(entry, here, {"when", "do"}));
    ScriptStep& step = steps->emplace_back();
    if (const Json* when = entry.Find("when")) {
      LOCKSTEP_ASSIGN(step.when, ParseCondition(*when, here + "/when"));
    }
    const Json* action = entry.Find("do");
    if (action == nullptr) return Invalid(here + "/do", "an action", nullptr);
    LOCKSTEP_TRY(ParseAction(*action, here + "/do", &step));
  }
  return {};
}

}  // namespace

Result<RunScript> ParseRunScript(const Json& json) {
  RunScript script;
  script.source = json;
  if (json.is_array()) {
    LOCKSTEP_TRY(ParseSteps(json, "", &script.steps));
    return script;
  }
  if (!json.is_object()) return Invalid("$", "a list of steps, or an object with script", &json);
  LOCKSTEP_TRY(CheckMembers(json, "", {"worker", "policy", "params", "claimedSha256", "script", "description"}));
  if (const Json* worker = json.Find("worker")) {
    if (!worker->is_object()) return Invalid("/worker", "an object", worker);
    LOCKSTEP_TRY(CheckMembers(*worker, "/worker", {"faults", "delayed"}));
    script.worker_delayed = worker->GetBool("delayed");
    if (const Json* faults = worker->Find("faults")) {
      if (!faults->is_array()) return Invalid("/worker/faults", "a list of faults", faults);
      for (const Json& fault : faults->AsArray()) {
        if (!fault.is_string()) return Invalid("/worker/faults", "strings", &fault);
        script.worker_faults.push_back(fault.AsString());
      }
    }
  }
  for (const auto& [name, target] : {std::pair{"policy", &script.policy}, std::pair{"params", &script.params}}) {
    const Json* value = json.Find(name);
    if (value == nullptr) continue;
    if (!value->is_object()) return Invalid("/" + std::string(name), "an object", value);
    *target = *value;
  }
  script.claimed_sha256 = json.GetString("claimedSha256");
  if (const Json* steps = json.Find("script")) LOCKSTEP_TRY(ParseSteps(*steps, "/script", &script.steps));
  return script;
}

}  // namespace lockstep::replay
