// Alerts that the state library raises. Where they go is the caller's concern: the library hands them to a port and
// never waits for it. An alert reports; it changes no state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine-core/base/json.h"

namespace lockstep::state {

struct EventRecord;

// Codes of spec 02.
inline constexpr std::string_view kAlertInvalidTransition = "INVALID_TRANSITION";
inline constexpr std::string_view kAlertContentMismatch = "APPEND_CONTENT_MISMATCH";
inline constexpr std::string_view kAlertCausalViolation = "PROJECTOR_CAUSAL_VIOLATION";
inline constexpr std::string_view kAlertNonContiguousFetch = "PROJECTOR_NON_CONTIGUOUS_FETCH_DETECTED";
inline constexpr std::string_view kAlertSeqRegression = "PROJECTOR_SEQ_REGRESSION";
inline constexpr std::string_view kAlertDeliveryFailed = "EVENT_BUS_DELIVERY_FAILED";

enum class Severity : uint8_t { kP1 = 1, kP2 = 2, kP3 = 3 };

struct Alert {
  std::string code;
  Severity severity = Severity::kP3;
  std::string run_id;
  std::string tenant_id;
  std::string project_id;
  std::string environment_id;
  std::string event_id;
  std::string event_type;
  int64_t run_seq = 0;
  std::string persisted_at;
  std::string prior_state;      // INVALID_TRANSITION only
  std::string attempted_state;  // INVALID_TRANSITION only
  std::string detail;           // one line for people, may be empty
  friend bool operator==(const Alert&, const Alert&) = default;
};

// Members that are empty are left out.
Json ToJson(const Alert& alert);
// An alert about one record.
Alert AlertAbout(std::string_view code, Severity severity, const EventRecord& record);

// Called outside every lock and transaction; may be called from several threads at once.
class IAlertSink {
 public:
  virtual ~IAlertSink() = default;
  virtual void Raise(const Alert& alert) = 0;
};

}  // namespace lockstep::state
