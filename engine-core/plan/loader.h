// From a reference to a plan that may be run: the sixteen stages of spec 01 section 4, in order, each with its own
// code.
//
//   Admit  = stages 1-16, in the engine, before a run exists.
//   Verify = stages 5-16 over fetched bytes; with `last_stage = 13`, what an out-of-process worker repeats.
//   ParsePlanDocument = a local file without a reference (stages 9, 12, 13, 16 as far as they need no run context).
//
// Only Admit does I/O (through its fetcher); the rest is a pure function of its arguments.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/plan/cache.h"
#include "engine-core/plan/capabilities.h"
#include "engine-core/plan/fetch.h"
#include "engine-core/plan/plan.h"
#include "engine-core/plan/plan_ref.h"
#include "engine-core/plan/plugin_policy.h"
#include "engine-core/plan/routing.h"
#include "engine-core/plan/uri_policy.h"

namespace lockstep::plan {

// What the deployment and the run say. Everything that is no plan byte comes in here.
struct VerifyContext {
  // `temporal`, `conductor` or `mock`.
  std::string target_adapter = "temporal";
  std::string adapter_version;
  QueueScope scope;
  bool allow_experimental = false;
  // Kinds that exist in test builds only (`fail`).
  bool allow_test_kinds = false;
  // nullptr: plugin policies are held against nothing but themselves.
  const PluginPlatform* plugin_platform = nullptr;
  int64_t max_plan_bytes = kMaxPlanBytes;
  // The injected clock.
  UnixMillis now = 0;
  // The last stage to run.
  int last_stage = 16;
};

// A plan whose bytes have the digest of their reference and that passed every stage asked for. Cheap to copy.
class VerifiedPlan {
 public:
  const PlanRef& ref() const { return state_->ref; }
  const Plan& plan() const { return state_->plan; }
  const StepTable& table() const { return state_->plan.table; }
  // The original, uncompressed bytes.
  const std::string& bytes() const { return state_->bytes; }
  // Empty checks when stage 15 was not asked for.
  const ValidationReport& report() const { return state_->report; }

 private:
  friend class Loading;
  struct State {
    PlanRef ref;
    std::string bytes;
    Plan plan;
    ValidationReport report;
  };
  explicit VerifiedPlan(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

LOCKSTEP_DETERMINISTIC Result<VerifiedPlan> Verify(const PlanRef& ref, std::string bytes, const VerifyContext& context);

struct AdmitEnvironment {
  UriPolicy uri_policy;
  FetchLimits fetch_limits;
  IPlanFetcher* fetcher = nullptr;
  // O
  PlanCache* cache = nullptr;
};

Result<VerifiedPlan> Admit(const Json& ref, const VerifyContext& context, const AdmitEnvironment& environment);

struct ParsedPlan {
  Plan plan;
  // The document after the upgrade to v1.2.
  Json document;
  // Version the document is written in.
  std::string schema_version;
};

// `bytes` is uncompressed JSON. A document without schemaVersion counts as v1.0. Errors: PLAN_TOO_LARGE,
// PLAN_SCHEMA_VERSION_UNKNOWN, INVALID_PLAN_SCHEMA, INVALID_STEP_SCHEMA, CUSTOM_SIGNAL_INVALID,
// PLUGIN_POLICY_WEAKENS_PLATFORM.
LOCKSTEP_DETERMINISTIC Result<ParsedPlan> ParsePlanDocument(std::string_view bytes, bool allow_test_kinds = false);

// A reference to the content-addressed store for a local plan: `plan:<sha256>` with identity, size and version filled
// in.
LOCKSTEP_DETERMINISTIC Result<PlanRef> PinPlan(std::string_view bytes, bool allow_test_kinds = false);

}  // namespace lockstep::plan
