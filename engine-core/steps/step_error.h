// How the errors of steps are made: code, category (spec 02 section 3.3) and whether the provider may try again (spec
// 04 section 5.2). The rows of docs/steps.md and this table of constructors say the same.
//
// Details of every error that leaves `executeStep`, as text: `category`, `source` (`activity`), `engineAttemptId`,
// `durationMs`; where there are any: `artifactRefs` (canonical JSON array: what the failed step had written),
// `errorText` (the full text when the message had to be cut) or, above 4 KB, `errorArtifact` (canonical JSON of its
// ArtifactRef).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/result.h"
#include "engine-core/steps/artifacts/artifact_store.h"

namespace lockstep::steps {

inline constexpr size_t kMaxErrorMessageBytes = 2 * 1024;
inline constexpr size_t kMaxErrorTextBytes = 4 * 1024;

enum class Category : uint8_t { kUser, kSystem, kPlatform, kTimeout, kValidation };
std::string_view CategoryName(Category category);
// The category of a code when the error does not say: what spec 02 maps it to.
Category CategoryOfCode(std::string_view code);

Error StepError(std::string code, Category category, bool retryable, std::string message);
// PERMANENT_STEP_ERROR, category USER.
Error PermanentError(std::string message);
// TRANSIENT_STEP_ERROR, category PLATFORM, retryable.
Error TransientError(std::string message);
// CANCELLED: the step stopped because it was told to.
Error CancelledError(std::string message);
// STEP_TIMEOUT, category TIMEOUT, retryable.
Error TimeoutError(std::string message);
// INVALID_STEP_SCHEMA with one issue `param_invalid`; `path` reads `params.argv[0]`.
Error ParamError(std::string path, std::string expectation);

// Adds what a failed step has written, so that the workflow can record it.
void AttachArtifacts(Error* error, const std::vector<artifacts::ArtifactRef>& refs);

}  // namespace lockstep::steps
