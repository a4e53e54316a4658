// The activities of the engine (spec 04 section 5.1), written once for every provider. JSON in, JSON out.
//
// fetchPlan(planRef, page?, ctx?)     planRef as in spec 01 section 2; page: integer from 0; ctx: {tenantId}
//   -> one page of the step table (plan/step_table.h). Stages 1 to 3 and 5 to 13 of spec 01 section 4; the expiry
//   (stage 4) was checked at admission and only there. Errors: the codes of the stages; only PLAN_FETCH_FAILED is
//   retryable.
// validatePlan({planRef, targetAdapter, admission: {reportSha256, degraded}, ctx?})
//   -> {valid, status, degraded, reportSha256, warningCodes, message?}. `valid` is false when this worker's own
//   declaration gives errors, or makes the run degraded although it was admitted as not degraded; the workflow then
//   ends the run with CAPABILITIES_NOT_SUPPORTED. A report that differs in other ways (another version, say) is no such
//   difference.
// emitEvents({tenantId, runId, events: [EventWrite]})
//   -> {appended: [{eventId, runSeq, persistedAt, idempotent, digest, stored?}], headSeq, snapshotHash}; `stored`:
//   the stored EventWrite when a duplicate was answered from one that says otherwise; `digest` is the SHA-256
//   of the canonical text of the write as it was received. Retryable: STATE_STORE_UNAVAILABLE, STATE_STORE_TIMEOUT; not
//   retryable: every defect of the producer (SCHEMA_VALIDATION_FAILED, IDEMPOTENCY_KEY_MISMATCH, INVALID_TRANSITION,
//   RUN_NOT_FOUND).
// compileRunSnapshot({tenantId, runId})
//   -> {snapshotSeq, snapshotHash, outcomeHash}.
// executeStep                          execute_step.h
#pragma once

#include <memory>

#include "engine-core/activity/activity.h"
#include "engine-core/base/marks.h"
#include "engine-core/steps/services.h"

namespace lockstep::steps {

LOCKSTEP_ACTIVITY Result<Json> FetchPlan(activity::ActivityContext& context, const Json::Array& arguments,
                                         Services& services);
LOCKSTEP_ACTIVITY Result<Json> ValidatePlan(activity::ActivityContext& context, const Json::Array& arguments,
                                            Services& services);
LOCKSTEP_ACTIVITY Result<Json> EmitEvents(activity::ActivityContext& context, const Json::Array& arguments,
                                          Services& services);
LOCKSTEP_ACTIVITY Result<Json> CompileRunSnapshot(activity::ActivityContext& context, const Json::Array& arguments,
                                                  Services& services);

// `fetchPlan`, `validatePlan`, `executeStep`, `emitEvents`, `compileRunSnapshot`. The functions share `services`.
void RegisterEngineActivities(activity::ActivityRegistry* registry, std::shared_ptr<Services> services);

}  // namespace lockstep::steps
