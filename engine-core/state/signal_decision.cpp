#include "engine-core/state/signal_decision.h"

#include <algorithm>
#include <array>
#include <limits>

#include "engine-core/base/bytes.h"
#include "engine-core/base/ids.h"
#include "engine-core/state/event.h"
#include "engine-core/state/json_members.h"

namespace lockstep::state {
namespace {

constexpr std::array<std::string_view, 3> kVerdicts = {"ACCEPTED", "REJECTED", "REVISION_REQUIRED"};

struct TextMember {
  std::string_view name;
  std::string SignalDecision::* member;
  bool (*valid)(std::string_view);
  std::string_view expected;
};
bool NotEmpty(std::string_view text) { return !text.empty() && text.size() <= 128; }
bool IsFingerprint(std::string_view text) { return IsLowerHex(text, 64); }

constexpr std::array<TextMember, 6> kRequiredTexts = {{
    {"runId", &SignalDecision::run_id, IsIdentifier, "an identifier"},
    {"signalDecisionId", &SignalDecision::signal_decision_id, IsUuidV4, "a lower-case UUID version 4"},
    {"signalId", &SignalDecision::signal_id, IsUuidV4, "a lower-case UUID version 4"},
    {"signalType", &SignalDecision::signal_type, NotEmpty, "1 to 128 bytes"},
    {"requestFingerprint", &SignalDecision::request_fingerprint, IsFingerprint, "64 lower-case hex digits"},
    {"policyDecisionId", &SignalDecision::policy_decision_id, IsUuidV4, "a lower-case UUID version 4"},
}};

std::unexpected<Error> Invalid(std::string_view field, std::string_view expected, std::string_view found) {
  return Fail(SchemaError(field, expected, found));
}

Json AuditJson(const SignalAudit& audit) {
  Json json = Json::MakeObject({{"actorId", audit.actor_id},
                                {"actorRole", audit.actor_role},
                                {"tenantId", audit.tenant_id},
                                {"timestamp", audit.timestamp}});
  SetUnlessEmpty(&json, "reason", audit.reason);
  SetUnlessEmpty(&json, "sourceIp", audit.source_ip);
  return json;
}

}  // namespace

std::string_view Name(SignalVerdict verdict) { return kVerdicts[static_cast<size_t>(verdict)]; }

int64_t SignalDecisionView::accepted_seq() const {
  if (decision.decision == SignalVerdict::kAccepted) return decision.event_run_seq;
  return approval && approval->approved ? approval->event_run_seq : 0;
}

Json ToJson(const SignalDecision& decision) {
  Json json = Json::MakeObject({{"signalPayload", decision.signal_payload},
                                {"decisionSeq", decision.decision_seq},
                                {"decision", Name(decision.decision)},
                                {"audit", AuditJson(decision.audit)},
                                {"approvalRequired", decision.approval_required}});
  for (const TextMember& text : kRequiredTexts) json.Set(text.name, decision.*text.member);
  SetUnlessEmpty(&json, "errorCode", decision.error_code);
  SetUnlessEmpty(&json, "reason", decision.reason);
  if (decision.event_run_seq != 0) json.Set("eventRunSeq", decision.event_run_seq);
  return json;
}

Json ToJson(const SignalApproval& approval) {
  Json json = Json::MakeObject({{"approvedBy", approval.approved_by},
                                {"approvalTimestamp", approval.timestamp},
                                {"approvalDecision", approval.approved ? "APPROVED" : "REJECTED"}});
  SetUnlessEmpty(&json, "approvalReason", approval.reason);
  if (approval.event_run_seq != 0) json.Set("eventRunSeq", approval.event_run_seq);
  return json;
}

Json ToJson(const SignalEngineResult& result) {
  Json engine = Json::MakeObject({{"status", result.success ? "success" : "failure"}, {"noop", result.noop}});
  SetUnlessEmpty(&engine, "errorCode", result.error_code);
  SetUnlessEmpty(&engine, "newRunId", result.new_run_id);
  return Json::MakeObject({{"engineProcessedAt", result.processed_at}, {"engineResult", std::move(engine)}});
}

Json ToJson(const SignalDecisionView& view) {
  Json json = ToJson(view.decision);
  const auto merge = [&json](const Json& part) {
    for (const auto& [name, value] : part.AsObject()) {
      if (name != "eventRunSeq") json.Set(name, value);
    }
  };
  if (view.approval) merge(ToJson(*view.approval));
  if (view.result) merge(ToJson(*view.result));
  return json;
}

Result<SignalDecision> ParseSignalDecision(const Json& json) {
  if (!json.is_object()) return Invalid("$", "an object", json.KindName());
  SignalDecision decision;
  for (const TextMember& text : kRequiredTexts) decision.*text.member = json.GetString(text.name);
  if (const Json* payload = json.Find("signalPayload"); payload != nullptr) decision.signal_payload = *payload;
  const int64_t seq = json.GetInt("decisionSeq");
  if (seq < 1 || seq > std::numeric_limits<int32_t>::max())
    return Invalid("decisionSeq", "at least 1", std::to_string(seq));
  decision.decision_seq = static_cast<int32_t>(seq);
  const auto verdict = std::ranges::find(kVerdicts, json.GetString("decision"));
  if (verdict == kVerdicts.end()) return Invalid("decision", "a verdict", json.GetString("decision"));
  decision.decision = static_cast<SignalVerdict>(verdict - kVerdicts.begin());
  decision.error_code = json.GetString("errorCode");
  decision.reason = json.GetString("reason");
  decision.approval_required = json.GetBool("approvalRequired");
  decision.event_run_seq = json.GetInt("eventRunSeq");
  if (const Json* audit = json.Find("audit"); audit != nullptr) {
    decision.audit = {.actor_id = audit->GetString("actorId"),
                      .actor_role = audit->GetString("actorRole"),
                      .tenant_id = audit->GetString("tenantId"),
                      .timestamp = audit->GetString("timestamp"),
                      .reason = audit->GetString("reason"),
                      .source_ip = audit->GetString("sourceIp")};
  }
  LOCKSTEP_TRY(Validate(decision));
  return decision;
}

Result<SignalApproval> ParseSignalApproval(const Json& json) {
  SignalApproval approval{.approved_by = json.GetString("approvedBy"),
                          .approved = json.GetString("approvalDecision") == "APPROVED",
                          .reason = json.GetString("approvalReason"),
                          .timestamp = json.GetString("approvalTimestamp"),
                          .event_run_seq = json.GetInt("eventRunSeq")};
  if (approval.approved_by.empty()) return Invalid("approvedBy", "a non-empty string", "nothing");
  return approval;
}

Result<SignalEngineResult> ParseSignalEngineResult(const Json& json) {
  const Json* engine = json.Find("engineResult");
  if (engine == nullptr) return Invalid("engineResult", "an object", "nothing");
  return SignalEngineResult{.success = engine->GetString("status") == "success",
                            .error_code = engine->GetString("errorCode"),
                            .noop = engine->GetBool("noop"),
                            .new_run_id = engine->GetString("newRunId"),
                            .processed_at = json.GetString("engineProcessedAt")};
}

Status Validate(const SignalDecision& decision) {
  for (const TextMember& text : kRequiredTexts) {
    if (!text.valid(decision.*text.member)) return Invalid(text.name, text.expected, decision.*text.member);
  }
  if (!decision.signal_payload.is_object()) {
    return Invalid("signalPayload", "an object", decision.signal_payload.KindName());
  }
  if (decision.audit.actor_id.empty()) return Invalid("audit.actorId", "a non-empty string", "nothing");
  if (decision.audit.actor_role.empty()) return Invalid("audit.actorRole", "a non-empty string", "nothing");
  if (decision.decision == SignalVerdict::kRejected && decision.error_code.empty()) {
    return Invalid("errorCode", "a code, because the decision is REJECTED", "nothing");
  }
  return {};
}

}  // namespace lockstep::state
