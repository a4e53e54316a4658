// Keys of the store (spec 02 section 4.2, spec 03 sections 3.3 and 8): the values by which a repeat is recognised.
// Pure functions of their arguments. Every text is taken verbatim (UTF-8, case-sensitive, no trimming, no
// normalisation); the delimiter is one byte 0x7C, which no field of the contract may contain.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"

namespace lockstep::state {

// What stands in the place of the step id in the key of a run-level event.
inline constexpr std::string_view kRunScope = "RUN";

// Deduplication key of an event: 64 lower-case hex digits. `step_id` is empty for run-level events. Tenant, project,
// environment and `engineAttemptId` never take part. `logical_attempt` is at least 1.
LOCKSTEP_DETERMINISTIC std::string IdempotencyKey(std::string_view run_id, std::string_view step_id,
                                                  int32_t logical_attempt, std::string_view event_type,
                                                  std::string_view plan_id, std::string_view plan_version);

// The retired five-field formula, without the plan id. For an importer of old logs; the append authority refuses it.
LOCKSTEP_DETERMINISTIC std::string LegacyIdempotencyKey(std::string_view run_id, std::string_view step_id,
                                                        int32_t logical_attempt, std::string_view event_type,
                                                        std::string_view plan_version);

// Request key of a run start (spec 03 section 3.3), unique in the store.
LOCKSTEP_DETERMINISTIC std::string RunRequestKey(std::string_view tenant_id, std::string_view project_id,
                                                 std::string_view environment_id, std::string_view plan_id,
                                                 std::string_view plan_version, std::string_view run_request_id);

// Fingerprint of a signal request (spec 03 section 8). `reason` is empty when the request has none.
LOCKSTEP_DETERMINISTIC std::string SignalFingerprint(std::string_view signal_type, const Json& payload,
                                                     std::string_view reason);

}  // namespace lockstep::state
