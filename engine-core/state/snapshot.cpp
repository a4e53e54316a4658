#include "engine-core/state/snapshot.h"

#include <algorithm>
#include <limits>

#include "engine-core/base/ids.h"
#include "engine-core/base/sha256.h"
#include "engine-core/base/time.h"
#include "engine-core/state/catalog.h"
#include "engine-core/state/json_members.h"

namespace lockstep::state {
namespace {

constexpr std::string_view kRetryAccepted = "retryAccepted";
constexpr std::string_view kApprovalRequired = "approvalRequired";

Json AttemptJson(const Attempt& attempt) {
  Json json = Json::MakeObject({{"logicalAttemptId", attempt.logical_attempt_id},
                                {"engineAttemptId", attempt.engine_attempt_id},
                                {"status", Name(attempt.status)},
                                {"artifacts", attempt.artifacts}});
  SetUnlessEmpty(&json, "startedAt", attempt.started_at);
  SetUnlessEmpty(&json, "completedAt", attempt.completed_at);
  SetUnlessEmpty(&json, "errorCode", attempt.error_code);
  if (attempt.retryable) json.Set("retryable", *attempt.retryable);
  SetUnlessEmpty(&json, "reasonCode", attempt.reason_code);
  return json;
}

Json StepJson(const StepState& step) {
  Json attempts = Json::MakeArray();
  for (const Attempt& attempt : step.attempts) attempts.Push(AttemptJson(attempt));
  return Json::MakeObject({{"status", Name(step.status())},
                           {"logicalAttemptId", step.logical_attempt_id()},
                           {"attempts", std::move(attempts)}});
}

// Everything but the steps.
Json RunJson(const Snapshot& snapshot) {
  Json json = Json::MakeObject({{"runId", snapshot.run_id},
                                {"tenantId", snapshot.tenant_id},
                                {"projectId", snapshot.project_id},
                                {"environmentId", snapshot.environment_id},
                                {"planId", snapshot.plan_id},
                                {"planVersion", snapshot.plan_version},
                                {"status", Name(snapshot.status)},
                                {"lastEventSeq", snapshot.last_event_seq},
                                {"pauseCycles", snapshot.pause_cycles},
                                {"inconsistent", snapshot.inconsistent}});
  SetUnlessEmpty(&json, "startedAt", snapshot.started_at);
  SetUnlessEmpty(&json, "completedAt", snapshot.completed_at);
  return json;
}

void AppendText(std::string* out, std::string_view key, std::string_view value) {
  out->append(key);
  AppendJsonString(value, out);
}

// Members in canonical order; `SnapshotText_EqualsCanonicalJsonOfSnapshotJson` holds this against the value form.
void AppendAttempt(const Attempt& attempt, std::string* out) {
  out->append("{\"artifacts\":");
  AppendCanonicalJson(Json(attempt.artifacts), out);
  if (!attempt.completed_at.empty()) AppendText(out, ",\"completedAt\":", attempt.completed_at);
  out->append(",\"engineAttemptId\":").append(std::to_string(attempt.engine_attempt_id));
  if (!attempt.error_code.empty()) AppendText(out, ",\"errorCode\":", attempt.error_code);
  out->append(",\"logicalAttemptId\":").append(std::to_string(attempt.logical_attempt_id));
  if (!attempt.reason_code.empty()) AppendText(out, ",\"reasonCode\":", attempt.reason_code);
  if (attempt.retryable) out->append(",\"retryable\":").append(*attempt.retryable ? "true" : "false");
  if (!attempt.started_at.empty()) AppendText(out, ",\"startedAt\":", attempt.started_at);
  AppendText(out, ",\"status\":", Name(attempt.status));
  out->push_back('}');
}

void AppendStep(const StepState& step, std::string* out) {
  out->append("{\"attempts\":[");
  bool first = true;
  for (const Attempt& attempt : step.attempts) {
    if (!first) out->push_back(',');
    first = false;
    AppendAttempt(attempt, out);
  }
  out->append("],\"logicalAttemptId\":").append(std::to_string(step.logical_attempt_id()));
  AppendText(out, ",\"status\":", Name(step.status()));
  out->push_back('}');
}

// Calls `flush` between steps, so that a hash need not hold the text of a run of ten thousand steps at once.
template <typename Flush>
void AppendSnapshot(const Snapshot& snapshot, std::string* out, Flush flush) {
  out->push_back('{');
  if (!snapshot.completed_at.empty()) {
    AppendText(out, "\"completedAt\":", snapshot.completed_at);
    out->push_back(',');
  }
  AppendText(out, "\"environmentId\":", snapshot.environment_id);
  out->append(",\"inconsistent\":").append(snapshot.inconsistent ? "true" : "false");
  out->append(",\"lastEventSeq\":").append(std::to_string(snapshot.last_event_seq));
  out->append(",\"pauseCycles\":").append(std::to_string(snapshot.pause_cycles));
  AppendText(out, ",\"planId\":", snapshot.plan_id);
  AppendText(out, ",\"planVersion\":", snapshot.plan_version);
  AppendText(out, ",\"projectId\":", snapshot.project_id);
  AppendText(out, ",\"runId\":", snapshot.run_id);
  if (!snapshot.started_at.empty()) AppendText(out, ",\"startedAt\":", snapshot.started_at);
  AppendText(out, ",\"status\":", Name(snapshot.status));
  out->append(",\"steps\":{");
  bool first = true;
  for (const auto& [id, step] : snapshot.steps) {
    if (!first) out->push_back(',');
    first = false;
    AppendJsonString(id, out);
    out->push_back(':');
    AppendStep(step, out);
    flush(out);
  }
  AppendText(out, "},\"tenantId\":", snapshot.tenant_id);
  out->push_back('}');
}

std::unexpected<Error> Invalid(std::string_view where, std::string_view expected) {
  std::string message("snapshot ");
  message.append(where).append(": expected ").append(expected).append(", found something else");
  return Fail("SNAPSHOT_INVALID", std::move(message));
}

Result<std::string> Text(const Json& json, std::string_view name, bool (*valid)(std::string_view)) {
  const Json* member = json.Find(name);
  if (member == nullptr || !member->is_string() || !valid(member->AsString()))
    return Invalid(name, "a well-formed text");
  return member->AsString();
}

Result<int64_t> Integer(const Json& json, std::string_view name, int64_t least, int64_t most) {
  const Json* member = json.Find(name);
  if (member == nullptr || !member->is_int() || member->AsInt() < least || member->AsInt() > most) {
    return Invalid(name, "an integer from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return member->AsInt();
}

bool IsTime(std::string_view text) { return ParseUtcMillis(text).has_value(); }
bool IsGiven(std::string_view text) { return !text.empty(); }

Result<std::string> OptionalText(const Json& json, std::string_view name, bool (*valid)(std::string_view)) {
  if (json.Find(name) == nullptr) return std::string();
  return Text(json, name, valid);
}

Result<Attempt> ReadAttempt(const Json& json) {
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  if (!json.is_object()) return Invalid("attempts[]", "an object");
  Attempt attempt;
  LOCKSTEP_ASSIGN(const int64_t logical, Integer(json, "logicalAttemptId", 1, kMax));
  LOCKSTEP_ASSIGN(const int64_t engine, Integer(json, "engineAttemptId", 1, kMax));
  attempt.logical_attempt_id = static_cast<int32_t>(logical);
  attempt.engine_attempt_id = static_cast<int32_t>(engine);
  const auto status = ParseStepStatus(json.GetString("status"));
  if (!status || *status == StepStatus::kPending) return Invalid("attempts[].status", "a status of an attempt");
  attempt.status = *status;
  const Json* artifacts = json.Find("artifacts");
  if (artifacts == nullptr || !artifacts->is_array()) return Invalid("attempts[].artifacts", "an array");
  attempt.artifacts = artifacts->AsArray();
  LOCKSTEP_ASSIGN(attempt.started_at, OptionalText(json, "startedAt", IsTime));
  LOCKSTEP_ASSIGN(attempt.completed_at, OptionalText(json, "completedAt", IsTime));
  LOCKSTEP_ASSIGN(attempt.error_code, OptionalText(json, "errorCode", IsGiven));
  LOCKSTEP_ASSIGN(attempt.reason_code, OptionalText(json, "reasonCode", IsGiven));
  if (const Json* retryable = json.Find("retryable"); retryable != nullptr) {
    if (!retryable->is_bool()) return Invalid("attempts[].retryable", "a boolean");
    attempt.retryable = retryable->AsBool();
  }
  // Notes of the stored form; absent in the canonical one.
  attempt.final_failure = json.GetBool("finalFailure");
  attempt.outcome_seq = json.GetInt("outcomeSeq");
  return attempt;
}

Result<StepState> ReadStep(const Json& json) {
  const Json* attempts = json.Find("attempts");
  if (attempts == nullptr || !attempts->is_array() || attempts->AsArray().empty()) {
    return Invalid("steps{}.attempts", "a non-empty array");
  }
  StepState step;
  for (const Json& element : attempts->AsArray()) {
    LOCKSTEP_ASSIGN(Attempt attempt, ReadAttempt(element));
    if (attempt.logical_attempt_id <= step.logical_attempt_id())
      return Invalid("steps{}.attempts", "ascending attempts");
    step.attempts.push_back(std::move(attempt));
  }
  if (json.GetString("status") != Name(step.status()) || json.GetInt("logicalAttemptId") != step.logical_attempt_id()) {
    return Invalid("steps{}", "status and logicalAttemptId of the newest attempt");
  }
  step.retry_accepted = json.GetBool(kRetryAccepted);
  return step;
}

Result<Snapshot> ReadRun(const Json& json) {
  if (!json.is_object()) return Invalid("$", "an object");
  Snapshot snapshot;
  LOCKSTEP_ASSIGN(snapshot.run_id, Text(json, "runId", IsIdentifier));
  LOCKSTEP_ASSIGN(snapshot.tenant_id, Text(json, "tenantId", IsIdentifier));
  LOCKSTEP_ASSIGN(snapshot.project_id, Text(json, "projectId", IsIdentifier));
  LOCKSTEP_ASSIGN(snapshot.environment_id, Text(json, "environmentId", IsIdentifier));
  LOCKSTEP_ASSIGN(snapshot.plan_id, Text(json, "planId", IsIdentifier));
  LOCKSTEP_ASSIGN(snapshot.plan_version, Text(json, "planVersion", IsPlanVersion));
  const auto status = ParseRunStatus(json.GetString("status"));
  if (!status) return Invalid("status", "a run status");
  snapshot.status = *status;
  LOCKSTEP_ASSIGN(snapshot.last_event_seq, Integer(json, "lastEventSeq", 1, std::numeric_limits<int64_t>::max()));
  LOCKSTEP_ASSIGN(const int64_t cycles, Integer(json, "pauseCycles", 0, std::numeric_limits<int32_t>::max()));
  snapshot.pause_cycles = static_cast<int32_t>(cycles);
  const Json* inconsistent = json.Find("inconsistent");
  if (inconsistent == nullptr || !inconsistent->is_bool()) return Invalid("inconsistent", "a boolean");
  snapshot.inconsistent = inconsistent->AsBool();
  LOCKSTEP_ASSIGN(snapshot.started_at, OptionalText(json, "startedAt", IsTime));
  LOCKSTEP_ASSIGN(snapshot.completed_at, OptionalText(json, "completedAt", IsTime));
  snapshot.approval_required = json.GetBool(kApprovalRequired);
  return snapshot;
}

Json OutcomeArtifacts(const Attempt& attempt) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const Json& artifact : attempt.artifacts) {
    pairs.emplace_back(artifact.GetString("kind"), artifact.GetString("sha256"));
  }
  std::ranges::sort(pairs);
  Json list = Json::MakeArray();
  for (const auto& [kind, sha256] : pairs) {
    Json entry = Json::MakeObject({{"kind", kind}});
    SetUnlessEmpty(&entry, "sha256", sha256);
    list.Push(std::move(entry));
  }
  return list;
}

Json OutcomeOfStep(const StepState& step) {
  const Attempt& newest = step.attempts.back();
  Json json = Json::MakeObject({{"status", Name(newest.status)}, {"artifacts", OutcomeArtifacts(newest)}});
  if (newest.status == StepStatus::kFailed) SetUnlessEmpty(&json, "errorCode", newest.error_code);
  if (newest.status == StepStatus::kSkipped) SetUnlessEmpty(&json, "reasonCode", newest.reason_code);
  return json;
}

bool AnyStep(const Snapshot& snapshot, auto&& predicate) {
  return std::ranges::any_of(snapshot.steps, [&](const auto& entry) { return predicate(entry.second); });
}

}  // namespace

Json SnapshotJson(const Snapshot& snapshot) {
  Json json = RunJson(snapshot);
  Json steps = Json::MakeObject();
  for (const auto& [id, step] : snapshot.steps) steps.Set(id, StepJson(step));
  json.Set("steps", std::move(steps));
  return json;
}

std::string SnapshotText(const Snapshot& snapshot) {
  std::string out;
  out.reserve(512 + snapshot.steps.size() * 320);
  AppendSnapshot(snapshot, &out, [](std::string*) {});
  return out;
}

Json StoredStepJson(const StepState& step) {
  Json json = StepJson(step);
  Json::Array& attempts = json.Find("attempts")->AsArray();
  for (size_t i = 0; i < attempts.size(); ++i) {
    if (step.attempts[i].final_failure) attempts[i].Set("finalFailure", true);
    if (step.attempts[i].outcome_seq != 0) attempts[i].Set("outcomeSeq", step.attempts[i].outcome_seq);
  }
  if (step.retry_accepted) json.Set(kRetryAccepted, true);
  return json;
}

Json StoredRunJson(const Snapshot& snapshot) {
  Json json = RunJson(snapshot);
  if (snapshot.approval_required) json.Set(kApprovalRequired, true);
  return json;
}

Json StoredSnapshotJson(const Snapshot& snapshot) {
  Json json = StoredRunJson(snapshot);
  Json steps = Json::MakeObject();
  for (const auto& [id, step] : snapshot.steps) steps.Set(id, StoredStepJson(step));
  json.Set("steps", std::move(steps));
  return json;
}

Result<Snapshot> ParseStoredRun(const Json& json) { return ReadRun(json); }

Result<StepState> ParseStoredStep(std::string_view step_id, const Json& json) {
  if (!IsStepId(step_id)) return Invalid("steps{}", "a step id");
  return ReadStep(json);
}

void AddStoredStep(Snapshot* snapshot, std::string step_id, StepState step) {
  if (step.status() == StepStatus::kRunning) ++snapshot->running_attempts;
  snapshot->steps.insert_or_assign(std::move(step_id), std::move(step));
}

Result<Snapshot> ParseStoredSnapshot(const Json& json) {
  LOCKSTEP_ASSIGN(Snapshot snapshot, ReadRun(json));
  const Json* steps = json.Find("steps");
  if (steps == nullptr || !steps->is_object()) return Invalid("steps", "an object");
  for (const auto& [id, value] : steps->AsObject()) {
    LOCKSTEP_ASSIGN(StepState step, ParseStoredStep(id, value));
    AddStoredStep(&snapshot, id, std::move(step));
  }
  return snapshot;
}

Result<Snapshot> ParseSnapshot(const Json& json) { return ParseStoredSnapshot(json); }

std::string SnapshotHash(const Snapshot& snapshot) {
  constexpr size_t kChunk = 16 * 1024;
  Sha256Stream stream;
  std::string text;
  text.reserve(2 * kChunk);
  AppendSnapshot(snapshot, &text, [&stream](std::string* chunk) {
    if (chunk->size() < kChunk) return;
    stream.Update(*chunk);
    chunk->clear();
  });
  stream.Update(text);
  return ToHex(stream.Finish());
}

Json OutcomeJson(const Snapshot& snapshot) {
  Json steps = Json::MakeObject();
  for (const auto& [id, step] : snapshot.steps) steps.Set(id, OutcomeOfStep(step));
  return Json::MakeObject({{"planId", snapshot.plan_id},
                           {"planVersion", snapshot.plan_version},
                           {"status", Name(snapshot.status)},
                           {"steps", std::move(steps)}});
}

std::string OutcomeHash(const Snapshot& snapshot) { return Sha256Hex(CanonicalJson(OutcomeJson(snapshot))); }

std::string_view Substatus(const Snapshot& snapshot, const SubstatusFacts& facts) {
  const bool running = snapshot.running_attempts > 0;
  if (snapshot.status == RunStatus::kPaused && running) return "DRAINING";
  if (snapshot.status == RunStatus::kPending && snapshot.approval_required) return "WAITING_APPROVAL";
  if (snapshot.status == RunStatus::kRunning && !running && facts.hold_on_step_failure &&
      AnyStep(snapshot, [](const StepState& step) {
        return step.status() == StepStatus::kFailed && step.attempts.back().final_failure;
      })) {
    return "WAITING_OPERATOR";
  }
  if (!IsTerminal(snapshot.status) && AnyStep(snapshot, [](const StepState& step) {
        return step.status() == StepStatus::kRunning && step.logical_attempt_id() > 1;
      })) {
    return "RETRYING";
  }
  return {};
}

std::optional<int64_t> TotalDurationMs(const Snapshot& snapshot) {
  const auto start = ParseUtcMillis(snapshot.started_at);
  const auto end = ParseUtcMillis(snapshot.completed_at);
  if (!start || !end) return std::nullopt;
  return *end - *start;
}

Json::Array RunArtifacts(const Snapshot& snapshot) {
  std::vector<const Attempt*> done;
  for (const auto& [id, step] : snapshot.steps) {
    if (step.status() == StepStatus::kSuccess) done.push_back(&step.attempts.back());
  }
  std::ranges::stable_sort(done, {}, &Attempt::outcome_seq);
  Json::Array artifacts;
  for (const Attempt* attempt : done) {
    artifacts.insert(artifacts.end(), attempt->artifacts.begin(), attempt->artifacts.end());
  }
  return artifacts;
}

Json::Array KnownArtifacts(const Json* refs) {
  Json::Array artifacts;
  if (refs == nullptr || !refs->is_array()) return artifacts;
  for (const Json& ref : refs->AsArray()) {
    const Json* uri = ref.Find("uri");
    if (uri == nullptr || !uri->is_string()) continue;
    Json known = Json::MakeObject();
    for (const Member& member : ArtifactRefShape().members) {
      const Json* value = ref.Find(member.name);
      if (value != nullptr && !value->is_null()) known.Set(member.name, *value);
    }
    artifacts.push_back(std::move(known));
  }
  return artifacts;
}

}  // namespace lockstep::state
