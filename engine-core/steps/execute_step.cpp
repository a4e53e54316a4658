#include "engine-core/steps/execute_step.h"

#include <chrono>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/base/ids.h"
#include "engine-core/plan/kinds.h"
#include "engine-core/plan/references.h"
#include "engine-core/steps/carriable.h"
#include "engine-core/steps/dbt.h"
#include "engine-core/steps/http_request.h"
#include "engine-core/steps/process_run.h"
#include "engine-core/steps/simple_kinds.h"
#include "engine-core/steps/sql_query.h"
#include "engine-core/steps/step_error.h"
#include "engine-core/steps/text.h"

namespace lockstep::steps {
namespace {

using artifacts::ArtifactRef;
using SteadyClock = std::chrono::steady_clock;

// ---- the argument ----

// The required member of `object`; an error with its place when it is absent or of the wrong kind.
Result<std::string> TextMember(const Json& object, std::string_view name, const std::string& place) {
  const Json* member = object.Find(name);
  if (member != nullptr && member->is_string()) return member->AsString();
  return Fail(
      ParamError(place + "." + std::string(name),
                 "expected a string, found " + std::string(member == nullptr ? "nothing" : member->KindName())));
}

Result<std::string> IdMember(const Json& object, std::string_view name, const std::string& place) {
  LOCKSTEP_ASSIGN(std::string text, TextMember(object, name, place));
  if (IsIdentifier(text)) return text;
  return Fail(ParamError(place + "." + std::string(name), "expected an identifier, found `" + ShortText(text) + "`"));
}

Result<const Json*> ObjectMember(const Json& object, std::string_view name, const std::string& place) {
  const Json* member = object.Find(name);
  if (member != nullptr && member->is_object()) return member;
  return Fail(ParamError(
      place, "expected an object, found " + std::string(member == nullptr ? "nothing" : member->KindName())));
}

// The elements of an optional array.
Result<const Json::Array*> ArrayMember(const Json& object, std::string_view name, const std::string& place) {
  static const Json::Array kNone;
  const Json* member = object.Find(name);
  if (member == nullptr || member->is_null()) return &kNone;
  if (member->is_array()) return &member->AsArray();
  return Fail(ParamError(place, "expected an array, found " + std::string(member->KindName())));
}

Result<SecretRef> ParseSecretRef(const Json& value, const std::string& place) {
  SecretRef ref;
  LOCKSTEP_ASSIGN(ref.name, TextMember(value, "name", place));
  LOCKSTEP_ASSIGN(ref.secret_id, TextMember(value, "secretId", place));
  LOCKSTEP_ASSIGN(ref.key, TextMember(value, "key", place));
  if (const Json* version = value.Find("version"); version != nullptr && !version->is_null()) {
    LOCKSTEP_ASSIGN(ref.version, TextMember(value, "version", place));
  }
  bool legal = !ref.name.empty() && ref.name.size() <= 64 && !IsAsciiDigit(ref.name.front());
  for (const char c : ref.name) legal = legal && (IsAsciiAlnum(c) || c == '_');
  if (!legal)
    return Fail(ParamError(place + ".name", "expected letters, digits and `_`, found `" + ShortText(ref.name) + "`"));
  return ref;
}

Status ParseStep(const Json& step, StepRequest* out) {
  LOCKSTEP_ASSIGN(out->step_id, TextMember(step, "stepId", "step"));
  if (!IsStepId(out->step_id))
    return Fail(ParamError("step.stepId", "expected a step id, found `" + ShortText(out->step_id) + "`"));
  LOCKSTEP_ASSIGN(out->kind, TextMember(step, "kind", "step"));
  if (const Json* params = step.Find("params"); params != nullptr && !params->is_null()) {
    if (!params->is_object())
      return Fail(ParamError("params", "expected an object, found " + std::string(params->KindName())));
    out->params = *params;
  }
  if (const Json* target = step.Find("target"); target != nullptr && !target->is_null()) {
    if (!target->is_object())
      return Fail(ParamError("target", "expected an object, found " + std::string(target->KindName())));
    for (const auto& [name, value] : target->AsObject()) {
      LOCKSTEP_ASSIGN(out->target[name], TextMember(*target, name, "target"));
    }
  }
  if (const Json* max = step.Find("maxAttempts"); max != nullptr && max->is_int()) out->max_attempts = max->AsInt();
  LOCKSTEP_ASSIGN(const Json::Array* secrets, ArrayMember(step, "secretRefs", "secretRefs"));
  for (size_t i = 0; i < secrets->size(); ++i) {
    LOCKSTEP_ASSIGN(SecretRef ref, ParseSecretRef((*secrets)[i], "secretRefs[" + std::to_string(i) + "]"));
    out->secret_refs.push_back(std::move(ref));
  }
  return {};
}

Status ParseContext(const Json& ctx, StepRequest* out) {
  LOCKSTEP_ASSIGN(out->run.tenant_id, IdMember(ctx, "tenantId", "ctx"));
  LOCKSTEP_ASSIGN(out->run.project_id, IdMember(ctx, "projectId", "ctx"));
  LOCKSTEP_ASSIGN(out->run.environment_id, IdMember(ctx, "environmentId", "ctx"));
  LOCKSTEP_ASSIGN(out->run.run_id, IdMember(ctx, "runId", "ctx"));
  return {};
}

Status ParseRest(const Json& input, StepRequest* out) {
  const Json* attempt = input.Find("logicalAttemptId");
  if (attempt == nullptr || !attempt->is_int() || attempt->AsInt() < 1 || attempt->AsInt() > INT32_MAX) {
    return Fail(ParamError("logicalAttemptId", "expected an integer, 1 or more"));
  }
  out->logical_attempt_id = attempt->AsInt();
  LOCKSTEP_ASSIGN(const Json::Array* inputs, ArrayMember(input, "artifacts", "artifacts"));
  for (size_t i = 0; i < inputs->size(); ++i) {
    LOCKSTEP_ASSIGN(ArtifactRef ref,
                    artifacts::ArtifactRefFromJson((*inputs)[i], "artifacts[" + std::to_string(i) + "]"));
    out->inputs.push_back(std::move(ref));
  }
  LOCKSTEP_ASSIGN(const Json::Array* probes, ArrayMember(input, "probes", "probes"));
  for (size_t i = 0; i < probes->size(); ++i) {
    const Json& probe = (*probes)[i];
    const bool pointer = probe.is_string() && (probe.AsString().empty() || probe.AsString().front() == '/');
    if (!pointer) return Fail(ParamError("probes[" + std::to_string(i) + "]", "expected a JSON Pointer"));
    out->probes.push_back(probe.AsString());
  }
  return {};
}

// ---- secrets ----

Status ResolveSecrets(StepRequest* request, const Services& services) {
  std::vector<std::string> values;
  for (const SecretRef& ref : request->secret_refs) {
    if (services.secrets == nullptr) {
      return Fail(StepError("SECRET_NOT_FOUND", Category::kUser, false,
                            "secret `" + ref.name + "`: this worker has no secret store"));
    }
    LOCKSTEP_ASSIGN(std::string value, services.secrets->Resolve(request->run, ref));
    values.push_back(value);
    if (!request->secrets.emplace(ref.name, std::move(value)).second) {
      return Fail(ParamError("secretRefs", "expected each name once, found `" + ref.name + "` again"));
    }
  }
  request->redactor = Redactor(std::move(values));
  return {};
}

// ---- the value ----

std::string_view StatusName(StepStatus status) { return status == StepStatus::kSuccess ? "SUCCESS" : "SKIPPED"; }

// Puts the result where it fits: into the value, or into the artifact store.
Status PlaceResult(std::optional<Json> result, StepOutput* output, Services& services, Json* value) {
  if (!result) return {};
  const std::string text = CanonicalJson(*result);
  if (text.size() <= kMaxInlineResultBytes && IsCarriable(*result)) {
    value->Set("result", std::move(*result));
    return {};
  }
  LOCKSTEP_ASSIGN(ArtifactRef ref, services.artifacts->Put(text, "result"));
  value->Set("resultRef", artifacts::ToJson(ref));
  output->artifacts.push_back(std::move(ref));
  return {};
}

Result<Json> ValueOf(const StepRequest& request, StepOutput output, Services& services) {
  std::optional<Json> result = std::move(output.result);
  if (result) result = request.redactor.RedactJson(*result);
  Json value = Json::MakeObject({{"status", StatusName(output.status)}});
  Json& probes = value.Set("probes", Json::MakeObject()).AsObject().at("probes");
  if (result) {
    for (auto& [pointer, scalar] : plan::ExtractProbes(*result, request.probes)) probes.Set(pointer, std::move(scalar));
  }
  LOCKSTEP_TRY(PlaceResult(std::move(result), &output, services, &value));
  Json refs = artifacts::ToJson(output.artifacts);
  if (const size_t size = CanonicalJson(refs).size(); size > kMaxArtifactRefBytes) {
    return Fail(StepError("ARTIFACT_LIMIT_EXCEEDED", Category::kUser, false,
                          "step `" + request.step_id + "`: expected artifact references of at most " +
                              std::to_string(kMaxArtifactRefBytes) + " bytes, found " + std::to_string(size)));
  }
  value.Set("artifactRefs", std::move(refs));
  return value;
}

// ---- the error ----

void SetDetail(Error* error, std::string_view name, std::string value) {
  std::erase_if(error->details, [name](const auto& detail) { return detail.first == name; });
  error->details.emplace_back(std::string(name), std::move(value));
}

// Spec 04 section 10: a long text becomes an artifact. If even that fails, the cut message has to do.
void BoundText(Error* error, Services& services) {
  if (error->message.size() <= kMaxErrorMessageBytes) return;
  if (error->message.size() <= kMaxErrorTextBytes) {
    SetDetail(error, "errorText", error->message);
  } else if (auto ref = services.artifacts->Put(error->message, "error-text")) {
    SetDetail(error, "errorArtifact", CanonicalJson(artifacts::ToJson(*ref)));
  }
  error->message = std::string(TruncateUtf8(error->message, kMaxErrorMessageBytes));
}

Error FinishError(Error error, const Redactor& redactor, const activity::ActivityInfo& info, int64_t duration_ms,
                  Services& services) {
  error.message = redactor.Redact(error.message);
  for (Issue& issue : error.issues) issue.message = redactor.Redact(issue.message);
  BoundText(&error, services);
  if (error.Detail("category").empty())
    SetDetail(&error, "category", std::string(CategoryName(CategoryOfCode(error.code))));
  SetDetail(&error, "source", "activity");
  SetDetail(&error, "engineAttemptId", std::to_string(info.attempt));
  SetDetail(&error, "durationMs", std::to_string(duration_ms));
  return error;
}

// The parameters with their references resolved, against the kind's schema once more (spec 01 stage 13 could not see
// the values).
Status CheckResolvedParams(const StepRequest& request) {
  const plan::StepKind* kind = plan::FindKind(request.kind, true);
  if (kind == nullptr) return {};
  std::vector<Issue> issues = plan::CheckParams(*kind, request.params, "/params");
  if (issues.empty()) return {};
  Error error = ParamError(issues.front().path, issues.front().message);
  error.issues = std::move(issues);
  return Fail(std::move(error));
}

Result<Json> RunRequest(StepRequest* request, activity::ActivityContext& context, Services& services) {
  StepExecutor* executor = services.executors.Find(request->kind);
  if (executor == nullptr) {
    Error error = ParamError("step.kind", "no executor for kind `" + ShortText(request->kind) + "` on this worker");
    error.issues.front().code = "kind_unknown";
    return Fail(std::move(error));
  }
  if (context.cancelled()) return Fail(CancelledError("step `" + request->step_id + "`: cancelled before it began"));
  LOCKSTEP_TRY(CheckResolvedParams(*request));
  LOCKSTEP_TRY(ResolveSecrets(request, services));
  LOCKSTEP_ASSIGN(StepOutput output, executor->Execute(*request, context, services));
  return ValueOf(*request, std::move(output), services);
}

}  // namespace

void ExecutorRegistry::Register(std::string kind, std::shared_ptr<StepExecutor> executor) {
  const bool added = executors_.emplace(kind, std::move(executor)).second;
  LOCKSTEP_CHECK(added, "step kind registered twice: " + kind);
}

StepExecutor* ExecutorRegistry::Find(std::string_view kind) const {
  const auto entry = executors_.find(kind);
  return entry == executors_.end() ? nullptr : entry->second.get();
}

std::vector<std::string> ExecutorRegistry::Kinds() const {
  std::vector<std::string> kinds;
  for (const auto& [kind, executor] : executors_) kinds.push_back(kind);
  return kinds;
}

ExecutorRegistry BuiltInExecutors() {
  ExecutorRegistry registry;
  RegisterSimpleKinds(&registry);
  RegisterDbtKinds(&registry);
  registry.Register("process.run", ProcessRunExecutor());
  registry.Register("sql.query", SqlQueryExecutor());
  registry.Register("http.request", HttpRequestExecutor());
  return registry;
}

Result<StepRequest> ParseStepRequest(const Json::Array& arguments) {
  if (arguments.size() != 1 || !arguments.front().is_object()) return Fail(ParamError("$", "expected one object"));
  const Json& input = arguments.front();
  StepRequest out;
  LOCKSTEP_ASSIGN(const Json* step, ObjectMember(input, "step", "step"));
  LOCKSTEP_ASSIGN(const Json* ctx, ObjectMember(input, "ctx", "ctx"));
  LOCKSTEP_TRY(ParseStep(*step, &out));
  LOCKSTEP_TRY(ParseContext(*ctx, &out));
  LOCKSTEP_TRY(ParseRest(input, &out));
  return out;
}

Result<Json> ExecuteStep(activity::ActivityContext& context, const Json::Array& arguments, Services& services) {
  const auto started = SteadyClock::now();
  auto request = ParseStepRequest(arguments);
  auto value = request ? RunRequest(&*request, context, services) : Result<Json>(std::unexpected(request.error()));
  const int64_t duration_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - started).count();
  if (!value) {
    static const Redactor kNothing;
    const Redactor& redactor = request ? request->redactor : kNothing;
    return Fail(FinishError(std::move(value).error(), redactor, context.info(), duration_ms, services));
  }
  value->Set("engineAttemptId", Json(static_cast<int64_t>(context.info().attempt)));
  value->Set("durationMs", Json(duration_ms));
  return value;
}

}  // namespace lockstep::steps
