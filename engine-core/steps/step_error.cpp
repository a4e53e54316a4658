#include "engine-core/steps/step_error.h"

#include <algorithm>
#include <array>

namespace lockstep::steps {
namespace {

struct CodeCategory {
  std::string_view code;
  Category category;
};

// Everything not named here is of the platform when retrying may help, else of the user.
constexpr std::array<CodeCategory, 8> kCategories = {{
    {"STEP_TIMEOUT", Category::kTimeout},
    {"INVALID_STEP_SCHEMA", Category::kValidation},
    {"INVALID_PLAN_SCHEMA", Category::kValidation},
    {"PLAN_INTEGRITY_VALIDATION_FAILED", Category::kValidation},
    {"PLAN_REF_INVALID", Category::kValidation},
    {"SCHEMA_VALIDATION_FAILED", Category::kValidation},
    {"CANCELLED", Category::kSystem},
    {"ARTIFACT_CORRUPT", Category::kSystem},
}};

}  // namespace

std::string_view CategoryName(Category category) {
  switch (category) {
    case Category::kUser:
      return "USER";
    case Category::kSystem:
      return "SYSTEM";
    case Category::kPlatform:
      return "PLATFORM";
    case Category::kTimeout:
      return "TIMEOUT";
    case Category::kValidation:
      return "VALIDATION_ERROR";
  }
  return "SYSTEM";
}

Category CategoryOfCode(std::string_view code) {
  const auto row =
      std::find_if(kCategories.begin(), kCategories.end(), [code](const auto& r) { return r.code == code; });
  if (row != kCategories.end()) return row->category;
  if (code.starts_with("PLAN_") || code.starts_with("CAPABILIT")) return Category::kValidation;
  if (code.find("UNAVAILABLE") != std::string_view::npos || code.starts_with("TRANSIENT_")) return Category::kPlatform;
  if (code.ends_with("_TIMEOUT")) return Category::kTimeout;
  return Category::kUser;
}

Error StepError(std::string code, Category category, bool retryable, std::string message) {
  return Error(std::move(code), std::move(message), retryable).With("category", std::string(CategoryName(category)));
}

Error PermanentError(std::string message) {
  return StepError("PERMANENT_STEP_ERROR", Category::kUser, false, std::move(message));
}

Error TransientError(std::string message) {
  return StepError("TRANSIENT_STEP_ERROR", Category::kPlatform, true, std::move(message));
}

Error CancelledError(std::string message) {
  return StepError("CANCELLED", Category::kSystem, false, std::move(message));
}

Error TimeoutError(std::string message) {
  return StepError("STEP_TIMEOUT", Category::kTimeout, true, std::move(message));
}

Error ParamError(std::string path, std::string expectation) {
  Error error = StepError("INVALID_STEP_SCHEMA", Category::kValidation, false, path + ": " + expectation);
  error.issues.push_back(Issue{std::move(path), "param_invalid", std::move(expectation)});
  return error;
}

void AttachArtifacts(Error* error, const std::vector<artifacts::ArtifactRef>& refs) {
  if (!refs.empty()) error->details.emplace_back("artifactRefs", CanonicalJson(artifacts::ToJson(refs)));
}

}  // namespace lockstep::steps
