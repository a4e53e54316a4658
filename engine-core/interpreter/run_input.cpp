#include "engine-core/interpreter/run_input.h"

#include "engine-core/base/bytes.h"
#include "engine-core/base/ids.h"

namespace lockstep::interpreter {
namespace {

constexpr int64_t kMaxStepIndex = 10'000;
// Of logical and engine attempts: far above what limits allow, far below what overflows.
constexpr int64_t kMaxAttempt = 1'000'000;
// Year 9999, as far as times can be written; no duration is longer either.
constexpr int64_t kMaxMillis = 253'402'300'799'999;

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
    if (!index || *index < 0 || *index > kMaxStepIndex) return Invalid(member, "step indices as names");
    values[static_cast<uint32_t>(*index)] = value;
  }
  return values;
}

// Values of one kind, by step index.
Result<std::map<uint32_t, Json>> ParseIndexMap(const Json& json, std::string_view member, Json::Kind kind) {
  LOCKSTEP_ASSIGN(auto values, ParseIndexMap(json, member));
  for (const auto& [index, value] : values) {
    if (value.kind() != kind) return Invalid(member, kind == Json::Kind::kArray ? "arrays" : "objects");
  }
  return values;
}

template <typename T>
Result<std::map<uint32_t, T>> ParseIntegerMap(const Json& json, std::string_view member, int64_t low, int64_t high) {
  LOCKSTEP_ASSIGN(const auto values, ParseIndexMap(json, member));
  std::map<uint32_t, T> result;
  for (const auto& [index, value] : values) {
    if (!value.is_int() || value.AsInt() < low || value.AsInt() > high) {
      return Invalid(member, "integers from " + std::to_string(low) + " to " + std::to_string(high));
    }
    result[index] = static_cast<T>(value.AsInt());
  }
  return result;
}

// An integer within bounds; the target stays as it is when it is absent.
Status ReadInteger(const Json& json, const char* name, std::string_view place, int64_t high, int64_t* target) {
  const Json* value = json.Find(name);
  if (value == nullptr) return {};
  if (!value->is_int() || value->AsInt() < 0 || value->AsInt() > high) {
    return Invalid(std::string(place) + "." + name, "an integer from 0 to " + std::to_string(high));
  }
  *target = value->AsInt();
  return {};
}

template <typename T>
Json IntegerMap(const std::map<uint32_t, T>& values) {
  Json object = Json::MakeObject();
  for (const auto& [index, value] : values) object.Set(std::to_string(index), Json(static_cast<int64_t>(value)));
  return object;
}

Json Indices(const std::set<uint32_t>& indices) {
  Json array = Json::MakeArray();
  for (const uint32_t index : indices) array.Push(static_cast<int64_t>(index));
  return array;
}

Result<std::set<uint32_t>> ParseIndices(const Json& json, std::string_view member) {
  std::set<uint32_t> indices;
  const Json* array = json.Find(member);
  if (array == nullptr) return indices;
  if (!array->is_array()) return Invalid(member, "an array");
  for (const Json& index : array->AsArray()) {
    if (!index.is_int() || index.AsInt() < 0 || index.AsInt() > kMaxStepIndex) return Invalid(member, "step indices");
    indices.insert(static_cast<uint32_t>(index.AsInt()));
  }
  return indices;
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
  const auto within = [](const Json& number, int64_t low, int64_t high) { return number.AsInt() >= low && number.AsInt() <= high; };
  const bool bounded = outcome && within(row[0], 0, kMaxStepIndex) && within(row[3], 1, kMaxAttempt) && within(row[4], 1, kMaxAttempt);
  if (!bounded) return Invalid("cursor.settled", "index, outcome, reason, attempts");
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
  for (const auto& [name, target] : numbers) LOCKSTEP_TRY(ReadInteger(*json, name, "policy", kMaxMillis, target));
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
  Json control = Json::MakeObject({{"paused", cursor.paused}, {"pauseOrdinal", cursor.pause_ordinal}, {"cancelRequested", !cursor.cancel_signal_id.empty()}});
  if (!cursor.pause_reason.empty()) control.Set("pauseReason", cursor.pause_reason);
  if (!cursor.cancel_signal_id.empty()) {
    control.Set("cancelSignalId", cursor.cancel_signal_id);
    control.Set("cancelReason", cursor.cancel_reason);
  }
  if (cursor.hold_deadline != 0) control.Set("holdDeadline", cursor.hold_deadline);
  if (cursor.run_deadline != 0) control.Set("runDeadline", cursor.run_deadline);
  return Json::MakeObject({{"cursorSchemaVersion", kCursorSchemaVersion},
                           {"planSha256", cursor.plan_sha256},
                           {"runStartedAt", cursor.run_started_at},
                           {"settled", std::move(settled)},
                           {"attempts", IntegerMap(cursor.attempts)},
                           {"reopened", Indices(cursor.reopened)},
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
  LOCKSTEP_ASSIGN(cursor.attempts, ParseIntegerMap<int32_t>(json, "attempts", 1, kMaxAttempt));
  LOCKSTEP_ASSIGN(cursor.reopened, ParseIndices(json, "reopened"));
  LOCKSTEP_ASSIGN(cursor.artifacts, ParseIndexMap(json, "artifacts", Json::Kind::kArray));
  LOCKSTEP_ASSIGN(cursor.probes, ParseIndexMap(json, "probes", Json::Kind::kObject));
  const Json* overrides = json.Find("overrides");
  const Json* gates = json.Find("gates");
  const Json* control = json.Find("control");
  for (const Json* part : {overrides, gates, control}) {
    if (part == nullptr || !part->is_object()) return Invalid("cursor", "objects `overrides`, `gates` and `control`");
  }
  if (const Json* params = overrides->Find("params")) {
    if (!params->is_object()) return Invalid("cursor.overrides.params", "an object");
    cursor.params = *params;
  }
  LOCKSTEP_ASSIGN(cursor.step_overrides, ParseIndexMap(*overrides, "steps", Json::Kind::kObject));
  for (const auto& [index, entry] : cursor.step_overrides) {
    if (const Json* patch = entry.Find("patch"); patch == nullptr || !patch->is_object()) return Invalid("cursor.overrides.steps", "a patch each");
  }
  LOCKSTEP_ASSIGN(cursor.step_targets, ParseIndexMap(*overrides, "targets", Json::Kind::kObject));
  const Json* signals = gates->Find("signals");
  if (signals == nullptr || !signals->is_object()) return Invalid("cursor.gates.signals", "an object");
  for (const auto& [name, accepted] : signals->AsObject()) {
    if (!accepted.is_array()) return Invalid("cursor.gates.signals", "arrays of payloads");
  }
  cursor.signals = *signals;
  LOCKSTEP_ASSIGN(cursor.gate_deadlines, ParseIntegerMap<UnixMillis>(*gates, "deadlines", 0, kMaxMillis));
  cursor.paused = control->GetBool("paused");
  cursor.pause_reason = control->GetString("pauseReason");
  cursor.cancel_signal_id = control->GetString("cancelSignalId");
  cursor.cancel_reason = control->GetString("cancelReason");
  LOCKSTEP_TRY(ReadInteger(*control, "holdDeadline", "cursor.control", kMaxMillis, &cursor.hold_deadline));
  LOCKSTEP_TRY(ReadInteger(*control, "runDeadline", "cursor.control", kMaxMillis, &cursor.run_deadline));
  LOCKSTEP_TRY(ReadInteger(json, "lastDecisionSeq", "cursor", INT32_MAX, &cursor.last_decision_seq));
  int64_t ordinal = 0, count = 0;
  LOCKSTEP_TRY(ReadInteger(*control, "pauseOrdinal", "cursor.control", INT32_MAX - 1, &ordinal));
  LOCKSTEP_TRY(ReadInteger(json, "continuedAsNewCount", "cursor", INT32_MAX - 1, &count));
  cursor.pause_ordinal = static_cast<int32_t>(ordinal);
  cursor.continued_as_new_count = static_cast<int32_t>(count);
  return cursor;
}

}  // namespace lockstep::interpreter
