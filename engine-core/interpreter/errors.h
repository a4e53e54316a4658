// Errors as events carry them (spec 02 section 3.3) and back from what workers return.
#pragma once

#include <optional>
#include <string>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::interpreter {

// `error` of StepFailed: code (at most 64), message (at most 2 KiB), retryable, category, source `activity`.
LOCKSTEP_DETERMINISTIC Json StepErrorJson(const Error& error);
// `error` of RunFailed, source `engine`.
LOCKSTEP_DETERMINISTIC Json RunErrorJson(const Error& error);
// Artifacts that a failing step left behind (detail `artifactRefs`), when there are any.
LOCKSTEP_DETERMINISTIC std::optional<Json> ErrorArtifacts(const Error& error);
// The error inside an output whose status is not a success.
LOCKSTEP_DETERMINISTIC Error OutputError(const Json& output, const std::string& status);
// What a cursor and later steps keep of artifact references: kind, uri and sha256.
LOCKSTEP_DETERMINISTIC Json CursorArtifacts(const Json& refs);

}  // namespace lockstep::interpreter
