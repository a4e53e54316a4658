// The one in-memory form of a plan, with v1.2 semantics whatever version the document was written in (spec 01
// section 6.3). Everything is resolved: defaults applied, dependencies as indices, retry and time-outs in milliseconds.
// Values of these types come out of the loader (loader.h) or of a step table (step_table.h) and are consistent: indices
// are in range, the graph has no cycle, names are unique.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/plan/retry.h"

namespace lockstep::plan {

enum class OnStepFailure : uint8_t { kFailRun, kContinue, kHold };
enum class WorkerClass : uint8_t { kControl, kData, kIsolation };
enum class Fallback : uint8_t { kReject, kEmulate, kDegrade };
// Ordered from strict to permissive.
enum class TrustTier : uint8_t { kUntrusted, kPartner, kTrusted };
enum class CompareOp : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kExists };
enum class GateTimeout : uint8_t { kFail, kSkip, kProceed };
enum class SignalScope : uint8_t { kRun, kStep };
enum class SignalEffect : uint8_t { kRecord, kSetParams, kOpenGate };
enum class Role : uint8_t { kOperator, kEngineer, kAdmin };

// Wire names (`fail_run`, `data`, `untrusted` ...) and the way back; nothing for a foreign name.
std::string_view Name(OnStepFailure value);
std::string_view Name(WorkerClass value);
std::string_view Name(Fallback value);
std::string_view Name(TrustTier value);
std::string_view Name(CompareOp value);
std::string_view Name(GateTimeout value);
std::string_view Name(SignalScope value);
std::string_view Name(SignalEffect value);
std::string_view Name(Role value);
template <typename Enum>
std::optional<Enum> FromName(std::string_view name);

// Defaults of spec 01 section 5.2.
inline constexpr int32_t kDefaultMaxParallelism = 16;
inline constexpr int64_t kDefaultHoldTimeoutMs = 86'400'000;
inline constexpr int64_t kDefaultAttemptMs = 1'800'000;

struct Timeouts {
  int64_t attempt_ms = kDefaultAttemptMs;
  // Given, or derived from the retry policy.
  int64_t total_ms = 5'403'000;
  std::optional<int64_t> heartbeat_ms;
  std::optional<int64_t> queue_ms;
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

struct SecretRef {
  std::string name;
  std::string secret_id;
  std::string key;
  std::optional<std::string> version;
  friend bool operator==(const SecretRef&, const SecretRef&) = default;
};

// One entry of `runIf` (spec 01 section 5.7).
struct Predicate {
  uint32_t step = 0;
  // RFC 6901, into the step's result.
  std::string path;
  CompareOp op = CompareOp::kExists;
  // A scalar; null for `exists`.
  Json value;
  friend bool operator==(const Predicate&, const Predicate&) = default;
};

struct WaitForSignal {
  std::string name;
  int32_t count = 1;
  std::optional<int64_t> timeout_ms;
  GateTimeout on_timeout = GateTimeout::kFail;
  friend bool operator==(const WaitForSignal&, const WaitForSignal&) = default;
};

struct PluginRef {
  std::string plugin_id;
  std::string version;
  std::optional<std::string> digest;
  friend bool operator==(const PluginRef&, const PluginRef&) = default;
};

struct Step {
  uint32_t index = 0;
  std::string step_id;
  std::string kind;
  std::string description;
  // Sorted, without duplicates. In sequential mode step i depends on step i-1.
  std::vector<uint32_t> depends_on;
  // As written; references are unresolved.
  Json params = Json::MakeObject();
  std::map<std::string, std::string> target;
  std::vector<SecretRef> secret_refs;
  std::vector<Predicate> run_if;
  RetryPolicy retry;
  int32_t logical_retries = 0;
  Timeouts timeouts;
  WorkerClass worker_class = WorkerClass::kControl;
  std::optional<std::string> task_queue;
  std::optional<PluginRef> plugin;
  // What `pluginPolicies` of the plan says about this step's plugin, as JSON; null when it says nothing.
  Json plugin_policy;
  std::optional<WaitForSignal> wait_for_signal;
  friend bool operator==(const Step&, const Step&) = default;
};

struct CustomSignal {
  std::string name;
  Json payload_schema = Json::MakeObject();
  // Admin when `destructive`.
  Role required_role = Role::kOperator;
  bool destructive = false;
  bool allowed_running = true;
  bool allowed_paused = false;
  SignalScope scope = SignalScope::kRun;
  SignalEffect effect = SignalEffect::kRecord;
  int32_t max_per_run = 100;
  friend bool operator==(const CustomSignal&, const CustomSignal&) = default;
};

// Facts about the whole run that the interpreter needs.
struct RunFacts {
  OnStepFailure on_step_failure = OnStepFailure::kFailRun;
  int32_t max_parallelism = kDefaultMaxParallelism;
  int64_t hold_timeout_ms = kDefaultHoldTimeoutMs;
  std::optional<int64_t> run_timeout_ms;
  bool requires_approval = false;
  // True when no step of the document has `dependsOn`.
  bool sequential = false;
  friend bool operator==(const RunFacts&, const RunFacts&) = default;
};

// Exactly what the interpreter works on; travels as pages of JSON (step_table.h).
struct StepTable {
  std::string plan_sha256;
  std::string plan_id;
  std::string plan_version;
  RunFacts facts;
  Json params = Json::MakeObject();
  // Without their payload schemas when read back from JSON: the gateway checks payloads, not the interpreter.
  std::vector<CustomSignal> custom_signals;
  std::vector<Step> steps;

  // nullptr when there is no such step or signal. Linear; build an own index for many look-ups.
  const Step* FindStep(std::string_view step_id) const;
  const CustomSignal* FindSignal(std::string_view name) const;
  friend bool operator==(const StepTable&, const StepTable&) = default;
};

struct CapabilityRequirement {
  std::string id;
  std::optional<std::string> min_version;
  bool optional = false;
  friend bool operator==(const CapabilityRequirement&, const CapabilityRequirement&) = default;
};

struct Plan {
  StepTable table;
  // The version the document is written in, for instance `v1.0`.
  std::string schema_version;
  // `temporal`, `conductor`, `mock` or `any`.
  std::string target_adapter = "any";
  Fallback fallback = Fallback::kReject;
  std::vector<CapabilityRequirement> requires_capabilities;
  // Absent: untrusted, with a warning when a step uses a plugin.
  std::optional<TrustTier> plugin_trust_tier;
  std::string description;
  std::map<std::string, std::string> labels;
  Json plugin_policies;  // null when absent
  Json cost_hints;       // null when absent; advisory
  // Per step, null when absent; advisory.
  std::vector<Json> step_cost_hints;
  // Indices of steps without `kind`: warning STEP_KIND_DEFAULTED.
  std::vector<uint32_t> kind_defaulted;

  const std::vector<Step>& steps() const { return table.steps; }
  const RunFacts& facts() const { return table.facts; }
  friend bool operator==(const Plan&, const Plan&) = default;
};

}  // namespace lockstep::plan
