#include "engine-core/interpreter/errors.h"

#include "engine-core/base/bytes.h"

namespace lockstep::interpreter {
namespace {

constexpr size_t kMaxCode = 64;
constexpr size_t kMaxMessage = 2048;

struct CategoryRow {
  std::string_view code;
  std::string_view category;
};
// Codes whose category does not come with the error.
constexpr CategoryRow kCategories[] = {
    {"STEP_TIMEOUT", "TIMEOUT"},       {"GATE_TIMEOUT", "TIMEOUT"},       {"RUN_TIMEOUT", "TIMEOUT"},
    {"HOLD_EXPIRED", "TIMEOUT"},       {"WORKER_UNAVAILABLE", "PLATFORM"}, {"STATE_STORE_UNAVAILABLE", "PLATFORM"},
    {"PROVIDER_FAILED", "PLATFORM"},   {"PROVIDER_TERMINATED", "PLATFORM"}, {"PROVIDER_TIMED_OUT", "PLATFORM"},
    {"INTERNAL_ERROR", "SYSTEM"},      {"CANCELLED", "SYSTEM"},           {"INVALID_WORKFLOW_STATE", "SYSTEM"},
    {"PLAN_FETCH_FAILED", "PLATFORM"}, {"REFERENCE_UNRESOLVED", "VALIDATION_ERROR"},
    {"CAPABILITIES_NOT_SUPPORTED", "VALIDATION_ERROR"}, {"TASK_QUEUE_NOT_ALLOWED", "VALIDATION_ERROR"},
};

// Older words map to the current ones (spec 02 section 3.3).
constexpr CategoryRow kWords[] = {{"business", "USER"}, {"validation", "USER"}, {"infrastructure", "PLATFORM"}, {"timeout", "TIMEOUT"}};
constexpr std::string_view kKnown[] = {"USER", "SYSTEM", "PLATFORM", "TIMEOUT", "VALIDATION_ERROR", "PLUGIN_SANDBOX"};

std::string CategoryOf(const Error& error) {
  const std::string given = error.Detail("category");
  for (const std::string_view known : kKnown) {
    if (given == known) return given;
  }
  for (const CategoryRow& row : kWords) {
    if (given == row.code) return std::string(row.category);
  }
  for (const CategoryRow& row : kCategories) {
    if (error.code == row.code) return std::string(row.category);
  }
  if (error.code.starts_with("PLAN_") || error.code.starts_with("INVALID_")) return "VALIDATION_ERROR";
  return "USER";
}

Json ErrorJson(const Error& error, std::string_view source) {
  const std::string code = error.code.empty() ? "PERMANENT_STEP_ERROR" : error.code;
  return Json::MakeObject({{"code", TruncateUtf8(code, kMaxCode)},
                           {"message", TruncateUtf8(error.message, kMaxMessage)},
                           {"retryable", error.retryable},
                           {"category", CategoryOf(error)},
                           {"source", source}});
}

}  // namespace

Json StepErrorJson(const Error& error) { return ErrorJson(error, "activity"); }
Json RunErrorJson(const Error& error) { return ErrorJson(error, "engine"); }

std::optional<Json> ErrorArtifacts(const Error& error) {
  const std::string text = error.Detail("artifactRefs");
  if (text.empty()) return std::nullopt;
  auto refs = ParseJson(text);
  if (!refs || !refs->is_array() || refs->AsArray().empty()) return std::nullopt;
  return std::move(*refs);
}

Error OutputError(const Json& output, const std::string& status) {
  Error error("PERMANENT_STEP_ERROR", "the worker returned status " + status);
  if (status == "CANCELLED") error.code = "CANCELLED";
  if (const Json* given = output.Find("error"); given != nullptr && given->is_object()) {
    error.code = given->GetString("code", error.code);
    error.message = given->GetString("message", error.message);
    error.retryable = given->GetBool("retryable");
    if (const std::string category = given->GetString("category"); !category.empty()) error.details.emplace_back("category", category);
  }
  return error;
}

Json CursorArtifacts(const Json& refs) {
  Json kept = Json::MakeArray();
  for (const Json& ref : refs.AsArray()) {
    if (!ref.is_object()) continue;
    Json entry = Json::MakeObject();
    for (const char* member : {"kind", "uri", "sha256"}) {
      if (const Json* value = ref.Find(member)) entry.Set(member, *value);
    }
    kept.Push(std::move(entry));
  }
  return kept;
}

}  // namespace lockstep::interpreter
