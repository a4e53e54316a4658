// Records of decisions about signals (spec 03 section 6). A decision row is written once, before any effect; what
// happens later (an approval, the engine's result) is appended as a row of its own and joined for reading.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace lockstep::state {

enum class SignalVerdict : uint8_t { kAccepted, kRejected, kRevisionRequired };
// `ACCEPTED`, `REJECTED`, `REVISION_REQUIRED`.
std::string_view Name(SignalVerdict verdict);

struct SignalAudit {
  std::string actor_id;
  std::string actor_role;  // effective role
  std::string tenant_id;
  std::string timestamp;  // store time; assigned by the store
  std::string reason;     // empty: absent
  std::string source_ip;  // empty: absent
  friend bool operator==(const SignalAudit&, const SignalAudit&) = default;
};

struct SignalDecision {
  std::string run_id;
  std::string signal_decision_id;  // UUID v4
  std::string signal_id;           // UUID v4, chosen by the client
  std::string signal_type;
  Json signal_payload = Json::MakeObject();
  std::string request_fingerprint;  // `SignalFingerprint`
  int32_t decision_seq = 0;         // 1, 2, 3 ... per run; assigned by the store
  SignalVerdict decision = SignalVerdict::kRejected;
  std::string error_code;          // empty: absent
  std::string reason;              // empty: absent
  std::string policy_decision_id;  // UUID v4, globally unique
  SignalAudit audit;
  bool approval_required = false;
  int64_t event_run_seq = 0;  // `runSeq` of the audit event written with it, 0 without one; assigned by the store
  friend bool operator==(const SignalDecision&, const SignalDecision&) = default;
};

struct SignalApproval {
  std::string approved_by;  // differs from `audit.actor_id`
  bool approved = false;
  std::string reason;
  std::string timestamp;      // assigned by the store
  int64_t event_run_seq = 0;  // assigned by the store
  friend bool operator==(const SignalApproval&, const SignalApproval&) = default;
};

struct SignalEngineResult {
  bool success = false;
  std::string error_code;  // empty: absent
  bool noop = false;
  std::string new_run_id;    // empty: absent
  std::string processed_at;  // assigned by the store
  friend bool operator==(const SignalEngineResult&, const SignalEngineResult&) = default;
};

// A decision with what was appended to it.
struct SignalDecisionView {
  SignalDecision decision;
  std::optional<SignalApproval> approval;
  std::optional<SignalEngineResult> result;
  // The `runSeq` of the `SignalAccepted` event by which the signal takes effect, 0 when it never did.
  int64_t accepted_seq() const;
  friend bool operator==(const SignalDecisionView&, const SignalDecisionView&) = default;
};

// Decision records as people and programs read them (field names of spec 03 section 6.1).
Json ToJson(const SignalDecision& decision);
Json ToJson(const SignalApproval& approval);
Json ToJson(const SignalEngineResult& result);
Json ToJson(const SignalDecisionView& view);
Result<SignalDecision> ParseSignalDecision(const Json& json);
Result<SignalApproval> ParseSignalApproval(const Json& json);
Result<SignalEngineResult> ParseSignalEngineResult(const Json& json);

// Constraints on what a caller hands in; fields that the store assigns are not looked at. SCHEMA_VALIDATION_FAILED.
Status Validate(const SignalDecision& decision);

}  // namespace lockstep::state
