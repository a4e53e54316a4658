#include "engine-core/interpreter/run_input.h"

#include "engine-core/base/bytes.h"
#include "engine-core/base/ids.h"

namespace lockstep::interpreter {
namespace {

std::unexpected<Error> Invalid(std::string_view member, std::string_view expected) {
  return Fail("INVALID_WORKFLOW_STATE", "workflow input: " + std::string(member) + ": expected " + std::string(expected));
}

Json IndexMap(const std::map<uint32_t, Json>& values) {
  Json object = Json::MakeObject();
  for (const auto& [index, value] : values) object.Set(std::to_string(index), value);
  return object;
}

Result<std::map<uint32_t, Json>> ParseIndexMap(const Json& json, std::string_view member) {
  std::map<uint32_t, Json> values;
  const Json* object = json.Find(member);
  if (object == nullptr) return values;
  if (!object->is_object()) return Invalid(member, "an object by step index");
  for (const auto& [key, value] : object->AsObject()) {
    const auto index = ParseInt64(key);
    if (!index || *index < 0 || *index > 10'000) return Invalid(member, "step indices as names");
    values[static_cast<uint32_t>(*index)] = value;
  }
  return values;
}

template <typename T>
Result<std::map<uint32_t, T>> ParseIntegerMap(const Json& json, std::string_view member) {
  LOCKSTEP_ASSIGN(const auto values, ParseIndexMap(json, member));
  std::map<uint32_t, T> result;
  for (const auto& [index, value] : values) {
    if (!value.is_int()) return Invalid(member, "integers");
    result[index] = static_cast<T>(value.AsInt());
  }
  return result;
}

template <typename T>
Json IntegerMap(const std::map<uint32_t, T>& values) {
  Json object = Json::MakeObject();
  for (const auto& [index, value] : values) object.Set(std::to_string(index), Json(static_cast<int64_t>(value)));
  return object;
}

std::optional<Outcome> ParseOutcome(std::string_view name) {
  for (const Outcome outcome : {Outcome::kSuccess, Outcome::kFailed, Outcome::kSkipped}) {
    if (OutcomeName(outcome) == name) return outcome;
  }
  return std::nullopt;
}

// One row a settled step, [index, outcome, reason, logical attempt, engine attempt, retryable]: a cursor of ten thousand
// steps has to fit in 256 KiB, so names are not repeated.
Json SettledJson(const SettledStep& step) {
  Json row = Json::MakeArray();
  row.Push(static_cast<int64_t>(step.index)).Push(OutcomeName(step.outcome)).Push(step.reason).Push(step.attempt);
  row.Push(step.engine_attempt).Push(step.retryable);
  return row;
}

Result<SettledStep> ParseSettled(const Json& json) {
  if (!json.is_array() || json.AsArray().size() != 6) return Invalid("cursor.settled", "rows of six");
  const Json::Array& row = json.AsArray();
  const bool typed = row[0].is_int() && row[1].is_string() && row[2].is_string() && row[3].is_int() && row[4].is_int() && row[5].is_bool();
  const auto outcome = typed ? ParseOutcome(row[1].AsString()) : std::nullopt;
  if (!outcome || row[0].AsInt() < 0 || row[0].AsInt() > 10'000) return Invalid("cursor.settled", "index, outcome, reason, attempts");
  return SettledStep{static_cast<uint32_t>(row[0].AsInt()), *outcome, row[2].AsString(), static_cast<int32_t>(row[3].AsInt()),
                     static_cast<int32_t>(row[4].AsInt()), row[5].AsBool()};
}

Json ContextJson(const RunContext& context) {
  Json json = Json::MakeObject({{"tenantId", context.tenant_id},
                                {"projectId", context.project_id},
                                {"environmentId", context.environment_id},
                                {"runId", context.run_id},
                                {"targetAdapter", context.target_adapter}});
  if (context.params.is_object()) json.Set("params", context.params);
  return json;
}

Result<RunContext> ParseContext(const Json* json) {
  if (json == nullptr || !json->is_object()) return Invalid("ctx", "an object");
  RunContext context;
  const std::pair<const char*, std::string*> ids[] = {{"tenantId", &context.tenant_id},
                                                      {"projectId", &context.project_id},
                                                      {"environmentId", &context.environment_id},
                                                      {"runId", &context.run_id}};
  for (const auto& [name, target] : ids) {
    *target = json->GetString(name);
    if (!IsIdentifier(*target)) return Invalid("ctx." + std::string(name), "an identifier");
  }
  context.target_adapter = json->GetString("targetAdapter", "temporal");
  if (const Json* params = json->Find("params")) {
    if (!params->is_object()) return Invalid("ctx.params", "an object");
    context.params = *params;
  }
  return context;
}

Json PolicyJson(const Policy& policy) {
  Json queues = Json::MakeArray();
  for (const std::string& queue : policy.allowed_queues) queues.Push(queue);
  return Json::MakeObject({{"continueSteps", policy.continue_steps},
                           {"historyBytes", policy.history_bytes},
                           {"serverSuggestion", policy.server_suggestion},
                           {"maxPasses", policy.max_passes},
                           {"pauseDrainTimeoutMs", policy.pause_drain_timeout_ms},
                           {"appendRetryMs", policy.append_retry_ms},
                           {"appendPauseMs", policy.append_pause_ms},
                           {"providerNamespace", policy.provider_namespace},
                           {"taskQueue", policy.task_queue},
                           {"allowedQueues", std::move(queues)},
                           {"statusAttribute", policy.status_attribute}});
}

Result<Policy> ParsePolicy(const Json* json) {
  Policy policy;
  if (json == nullptr) return policy;
  if (!json->is_object()) return Invalid("policy", "an object");
  const std::pair<const char*, int64_t*> numbers[] = {{"continueSteps", &policy.continue_steps},
                                                      {"historyBytes", &policy.history_bytes},
                                                      {"maxPasses", &policy.max_passes},
                                                      {"pauseDrainTimeoutMs", &policy.pause_drain_timeout_ms},
                                                      {"appendRetryMs", &policy.append_retry_ms},
                                                      {"appendPauseMs", &policy.append_pause_ms}};
  for (const auto& [name, target] : numbers) {
    *target = json->GetInt(name, *target);
    if (*target < 0) return Invalid("policy." + std::string(name), "a number of at least 0");
  }
  policy.server_suggestion = json->GetBool("serverSuggestion", policy.server_suggestion);
  policy.status_attribute = json->GetBool("statusAttribute", policy.status_attribute);
  policy.provider_namespace = json->GetString("providerNamespace");
  policy.task_queue = json->GetString("taskQueue");
  if (const Json* queues = json->Find("allowedQueues"); queues != nullptr && queues->is_array()) {
    for (const Json& queue : queues->AsArray()) {
      if (!queue.is_string()) return Invalid("policy.allowedQueues", "strings");
      policy.allowed_queues.push_back(queue.AsString());
    }
  }
  return policy;
}

}  // namespace

std::string_view OutcomeName(Outcome outcome) {
  constexpr std::string_view kNames[] = {"NONE", "SUCCESS", "FAILED", "SKIPPED"};
  return kNames[static_cast<size_t>(outcome)];
}

Result<RunInput> ParseRunInput(const Json& json) {
  if (!json.is_object()) return Invalid("$", "an object");
  RunInput input;
  const Json* plan_ref = json.Find("planRef");
  if (plan_ref == nullptr || !plan_ref->is_object()) return Invalid("planRef", "an object");
  input.plan_ref = *plan_ref;
  LOCKSTEP_ASSIGN(input.context, ParseContext(json.Find("ctx")));
  LOCKSTEP_ASSIGN(input.policy, ParsePolicy(json.Find("policy")));
  const Json* admission = json.Find("admission");
  if (admission == nullptr || !admission->is_object()) return Invalid("admission", "an object");
  input.admission.report_sha256 = admission->GetString("reportSha256");
  input.admission.degraded = admission->GetBool("degraded");
  input.admission.step_count = admission->GetInt("stepCount");
  if (const Json* capabilities = admission->Find("requiresCapabilities")) input.admission.requires_capabilities = *capabilities;
  if (const Json* cursor = json.Find("cursor"); cursor != nullptr && !cursor->is_null()) {
    LOCKSTEP_ASSIGN(input.cursor, ParseCursor(*cursor));
  }
  return input;
}

Json ToJson(const RunInput& input) {
  Json admission = Json::MakeObject({{"reportSha256", input.admission.report_sha256},
                                     {"degraded", input.admission.degraded},
                                     {"stepCount", input.admission.step_count}});
  if (!input.admission.requires_capabilities.is_null()) {
    admission.Set("requiresCapabilities", input.admission.requires_capabilities);
  }
  Json json = Json::MakeObject({{"planRef", input.plan_ref},
                                {"ctx", ContextJson(input.context)},
                                {"policy", PolicyJson(input.policy)},
                                {"admission", std::move(admission)}});
  if (input.cursor) json.Set("cursor", ToJson(*input.cursor));
  return json;
}

Json ToJson(const Cursor& cursor) {
  Json settled = Json::MakeArray();
  for (const SettledStep& step : cursor.settled) settled.Push(SettledJson(step));
  Json overrides = Json::MakeObject({{"steps", IndexMap(cursor.step_overrides)}, {"targets", IndexMap(cursor.step_targets)}});
  if (!cursor.params.is_null()) overrides.Set("params", cursor.params);
  Json control = Json::MakeObject({{"paused", cursor.paused}, {"pauseOrdinal", cursor.pause_ordinal}, {"cancelRequested", false}});
  if (!cursor.pause_reason.empty()) control.Set("pauseReason", cursor.pause_reason);
  if (cursor.hold_deadline != 0) control.Set("holdDeadline", cursor.hold_deadline);
  if (cursor.run_deadline != 0) control.Set("runDeadline", cursor.run_deadline);
  return Json::MakeObject({{"cursorSchemaVersion", kCursorSchemaVersion},
                           {"planSha256", cursor.plan_sha256},
                           {"runStartedAt", cursor.run_started_at},
                           {"settled", std::move(settled)},
                           {"attempts", IntegerMap(cursor.attempts)},
                           {"artifacts", IndexMap(cursor.artifacts)},
                           {"probes", IndexMap(cursor.probes)},
                           {"overrides", std::move(overrides)},
                           {"gates", Json::MakeObject({{"signals", cursor.signals.is_null() ? Json::MakeObject() : cursor.signals},
                                                       {"deadlines", IntegerMap(cursor.gate_deadlines)}})},
                           {"control", std::move(control)},
                           {"lastDecisionSeq", cursor.last_decision_seq},
                           {"continuedAsNewCount", cursor.continued_as_new_count}});
}

Result<Cursor> ParseCursor(const Json& json) {
  if (json.GetInt("cursorSchemaVersion") != kCursorSchemaVersion) return Invalid("cursor.cursorSchemaVersion", "1");
  Cursor cursor;
  cursor.plan_sha256 = json.GetString("planSha256");
  if (!IsLowerHex(cursor.plan_sha256, 64)) return Invalid("cursor.planSha256", "64 hex digits");
  cursor.run_started_at = json.GetString("runStartedAt");
  const Json* settled = json.Find("settled");
  if (settled == nullptr || !settled->is_array()) return Invalid("cursor.settled", "an array");
  for (const Json& row : settled->AsArray()) {
    LOCKSTEP_ASSIGN(SettledStep step, ParseSettled(row));
    cursor.settled.push_back(std::move(step));
  }
  LOCKSTEP_ASSIGN(cursor.attempts, ParseIntegerMap<int32_t>(json, "attempts"));
  LOCKSTEP_ASSIGN(cursor.artifacts, ParseIndexMap(json, "artifacts"));
  LOCKSTEP_ASSIGN(cursor.probes, ParseIndexMap(json, "probes"));
  const Json* overrides = json.Find("overrides");
  const Json* gates = json.Find("gates");
  const Json* control = json.Find("control");
  if (overrides == nullptr || gates == nullptr || control == nullptr) return Invalid("cursor", "overrides, gates and control");
  if (const Json* params = overrides->Find("params")) cursor.params = *params;
  LOCKSTEP_ASSIGN(cursor.step_overrides, ParseIndexMap(*overrides, "steps"));
  LOCKSTEP_ASSIGN(cursor.step_targets, ParseIndexMap(*overrides, "targets"));
  const Json* signals = gates->Find("signals");
  if (signals == nullptr || !signals->is_object()) return Invalid("cursor.gates.signals", "an object");
  cursor.signals = *signals;
  LOCKSTEP_ASSIGN(cursor.gate_deadlines, ParseIntegerMap<UnixMillis>(*gates, "deadlines"));
  cursor.paused = control->GetBool("paused");
  cursor.pause_reason = control->GetString("pauseReason");
  cursor.pause_ordinal = static_cast<int32_t>(control->GetInt("pauseOrdinal"));
  cursor.hold_deadline = control->GetInt("holdDeadline");
  cursor.run_deadline = control->GetInt("runDeadline");
  cursor.last_decision_seq = json.GetInt("lastDecisionSeq");
  cursor.continued_as_new_count = static_cast<int32_t>(json.GetInt("continuedAsNewCount"));
  return cursor;
}

}  // namespace lockstep::interpreter
