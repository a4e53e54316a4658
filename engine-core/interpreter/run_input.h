// What goes into one execution of `runPlanWorkflow` and what a rotation carries to the next (spec 04 sections 2 and 6), as
// types and as JSON. A cursor holds what the plan and the log cannot give back: never plan bodies, full results or secrets.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/base/time.h"

namespace lockstep::interpreter {

inline constexpr char kWorkflowType[] = "runPlanWorkflow";
inline constexpr int32_t kCursorSchemaVersion = 1;
// Greatest canonical size of a cursor that travels inline (spec 04 section 6).
inline constexpr size_t kMaxCursorBytes = 256 * 1024;

struct RunContext {
  std::string tenant_id;
  std::string project_id;
  std::string environment_id;
  std::string run_id;
  std::string target_adapter = "temporal";
  Json params;  // merged over the plan's; null: none
};

// Resolved by the client from its configuration, so that a worker's configuration never decides what a run does.
struct Policy {
  int64_t continue_steps = 50;
  int64_t history_bytes = 1 << 20;
  bool server_suggestion = true;
  int64_t max_passes = 0;  // 0: off; dispatch passes between rotations, for tests
  int64_t pause_drain_timeout_ms = 300'000;
  int64_t append_retry_ms = 600'000;   // schedule-to-close of an append
  int64_t append_pause_ms = 60'000;    // then wait and try again
  std::string provider_namespace;      // of the provider, for the run's reference: a bare history does not tell it
  std::string task_queue;              // single-queue development mode; empty: routing of spec 04 section 5.3
  std::vector<std::string> allowed_queues;
  bool status_attribute = false;       // keep the search attribute `runStatus` up to date
};

struct Admission {
  std::string report_sha256;
  bool degraded = false;
  int64_t step_count = 0;
  Json requires_capabilities;  // as in the plan's metadata; null: none
};

enum class Outcome : uint8_t { kNone, kSuccess, kFailed, kSkipped };
std::string_view OutcomeName(Outcome outcome);  // `SUCCESS`, `FAILED`, `SKIPPED`

struct SettledStep {
  uint32_t index = 0;
  Outcome outcome = Outcome::kNone;
  std::string reason;  // `StepSkipped` reason code or error code
  int32_t attempt = 1;
  int32_t engine_attempt = 1;
  bool retryable = false;
};

struct Cursor {
  std::string plan_sha256;
  std::string run_started_at;
  std::vector<SettledStep> settled;                   // by index, ascending
  std::map<uint32_t, int32_t> attempts;               // unsettled steps whose next attempt is not the first
  std::set<uint32_t> reopened;                        // those of them that an operator opened again
  std::map<uint32_t, Json> artifacts;                 // lists of {kind?, uri, sha256}
  std::map<uint32_t, Json> probes;                    // pointer -> value still needed
  Json params;                                        // with all accepted updates; null: none was accepted
  std::map<uint32_t, Json> step_overrides;            // merge patches for the next attempt {patch, signalId}
  std::map<uint32_t, Json> step_targets;              // replaced target members
  Json signals;                                       // name -> accepted payloads, oldest first
  std::map<uint32_t, UnixMillis> gate_deadlines;      // armed gates; 0: no time-out
  bool paused = false;
  std::string pause_reason;
  int32_t pause_ordinal = 0;
  std::string cancel_signal_id;  // a CANCEL came whose native cancellation has not; empty: none
  std::string cancel_reason;
  UnixMillis hold_deadline = 0;  // 0: not waiting for an operator
  UnixMillis run_deadline = 0;   // 0: no run time-out
  int64_t last_decision_seq = 0;
  int32_t continued_as_new_count = 0;
};

struct RunInput {
  Json plan_ref;
  RunContext context;
  Policy policy;
  Admission admission;
  std::optional<Cursor> cursor;
};

// Error: INVALID_WORKFLOW_STATE, naming the member.
LOCKSTEP_DETERMINISTIC Result<RunInput> ParseRunInput(const Json& json);
LOCKSTEP_DETERMINISTIC Json ToJson(const RunInput& input);
LOCKSTEP_DETERMINISTIC Result<Cursor> ParseCursor(const Json& json);
LOCKSTEP_DETERMINISTIC Json ToJson(const Cursor& cursor);

}  // namespace lockstep::interpreter
