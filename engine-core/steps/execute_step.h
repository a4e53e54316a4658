// The activity `executeStep` (spec 04 section 5.1): one engine attempt of one step.
//
// Argument (one object):
//   step              {stepId, kind, params?, target?, secretRefs?: [{name, secretId, key, version?}], maxAttempts?};
//                     references are resolved; `maxAttempts`: engine attempts of a logical attempt (for kind `fail`
//                     alone)
//   ctx               {tenantId, projectId, environmentId, runId, ...}
//   logicalAttemptId  integer, 1 or more
//   artifacts?        [ArtifactRef]: what the steps it depends on left
//   probes?           [JSON Pointer]: what later conditions and references ask of the result
// Unknown members of the object, of `step` and of `ctx` are ignored, so that workflow and worker may differ by a
// version.
//
// Value:
//   status            `SUCCESS` or `SKIPPED` (a failed or cancelled step is an error, spec 04 section 5.2)
//   result?           at most 32 000 bytes of canonical JSON that an event can carry (carriable.h). Another one becomes
//   an artifact of kind `result`: `result` is
//                     then absent, `resultRef` is its ArtifactRef, and a reference into it finds nothing
//   artifactRefs      [ArtifactRef], `resultRef` included
//   probes            {pointer: value} of the scalars of at most 256 bytes that the pointers find in the whole result,
//   also
//                     when that became an artifact (spec 04 W7); anything else is left out
//   engineAttemptId   the attempt number of this activity
//   durationMs        wall time of the attempt; recorded, never compared
//
// Errors: step_error.h and docs/steps.md. Thread-safe.
#pragma once

#include <memory>

#include "engine-core/activity/activity.h"
#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/steps/services.h"

namespace lockstep::steps {

inline constexpr char kExecuteStepType[] = "executeStep";
inline constexpr size_t kMaxInlineResultBytes = 32'000;
// References of one step; with the result they must fit into the 96 KiB of an event's payload (spec 02 section 2).
inline constexpr size_t kMaxArtifactRefBytes = 56 * 1024;

Result<StepRequest> ParseStepRequest(const Json::Array& arguments);
LOCKSTEP_ACTIVITY Result<Json> ExecuteStep(activity::ActivityContext& context, const Json::Array& arguments,
                                           Services& services);

}  // namespace lockstep::steps
