// The event envelope (spec 02 section 2): what a producer writes and what the store keeps.
// An `EventWrite` becomes an `EventRecord` in exactly one place, the append authority, which adds `runSeq` and
// `persistedAt`. Values here are plain data; `Validate` is the one gate that decides whether a write may be stored.
// Pure: no clock, no random source, no I/O. Thread-safe (no shared state).
#pragma once

#include <cstdint>
#include <string>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::state {

// Greatest canonical size of a payload; larger data travels by `ArtifactRef`.
inline constexpr size_t kMaxPayloadBytes = 96 * 1024;

// Limits for the text of one stored record: a payload may be one long string.
inline constexpr JsonLimits kRecordLimits{
    .max_depth = 64, .max_string_bytes = kMaxPayloadBytes, .safe_integers_only = false};

struct EventWrite {
  std::string event_id;    // UUID v4, stable across retries of the same key
  std::string event_type;  // `^[A-Z][A-Za-z0-9]{2,63}$`
  std::string run_id;
  std::string tenant_id;
  std::string project_id;
  std::string environment_id;
  std::string plan_id;
  std::string plan_version;
  int32_t logical_attempt_id = 1;  // for run-level events the occurrence number (spec 02 section 4.2)
  int32_t engine_attempt_id = 1;
  std::string idempotency_key;
  std::string emitted_at;  // producer clock, `YYYY-MM-DDThh:mm:ss.mmmZ`
  std::string step_id;     // empty when absent; present exactly for types that begin with `Step`
  Json payload;            // null when absent
  Json meta;               // null when absent
  friend bool operator==(const EventWrite&, const EventWrite&) = default;
};

struct EventRecord : EventWrite {
  int64_t run_seq = 0;
  std::string persisted_at;  // append authority's clock, never decreasing within a run
  friend bool operator==(const EventRecord&, const EventRecord&) = default;
};

LOCKSTEP_DETERMINISTIC Json ToJson(const EventWrite& event);
LOCKSTEP_DETERMINISTIC Json ToJson(const EventRecord& event);

// Shape and constraints of a write from a producer: unknown members and `runSeq`/`persistedAt` are refused, then
// `Validate`. Error: SCHEMA_VALIDATION_FAILED; the detail `field` names the member.
LOCKSTEP_DETERMINISTIC Result<EventWrite> ParseEventWrite(const Json& json);

// A stored record as a consumer reads it: the envelope is checked, unknown members and unknown event types are let
// through, and the payload is not held against the catalog (spec 02 M6). Error: SCHEMA_VALIDATION_FAILED.
LOCKSTEP_DETERMINISTIC Result<EventRecord> ParseEventRecord(const Json& json);

// The same from the text of one stored record. Errors: JSON_INVALID, SCHEMA_VALIDATION_FAILED.
LOCKSTEP_DETERMINISTIC Result<EventRecord> ParseEventRecordText(std::string_view text);

// Every constraint of spec 02 section 2 and, for the event types of section 3, of their payload. The key is only
// checked for its form; `CheckKey` recomputes it. Error: SCHEMA_VALIDATION_FAILED with the detail `field`.
LOCKSTEP_DETERMINISTIC Status Validate(const EventWrite& event);

// The six-field key of this event.
LOCKSTEP_DETERMINISTIC std::string KeyOf(const EventWrite& event);
// Error: IDEMPOTENCY_KEY_MISMATCH, with both keys.
LOCKSTEP_DETERMINISTIC Status CheckKey(const EventWrite& event);

// Makes equal JSON texts equal values: a double that canonical JSON writes without fraction becomes an integer.
LOCKSTEP_DETERMINISTIC void NormalizeNumbers(Json* value);

// SCHEMA_VALIDATION_FAILED that names `field`, what was expected and what was found.
Error SchemaError(std::string_view field, std::string_view expected, std::string_view found);

}  // namespace lockstep::state
