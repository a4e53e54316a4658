#include "engine-core/steps/engine_activities.h"

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/base/sha256.h"
#include "engine-core/plan/loader.h"
#include "engine-core/plan/step_table.h"
#include "engine-core/state/store.h"
#include "engine-core/steps/execute_step.h"
#include "engine-core/steps/step_error.h"

namespace lockstep::steps {
namespace {

// Stage 13 of spec 01 section 4 is the last one that a worker repeats.
constexpr int kLastWorkerStage = 13;

std::unexpected<Error> BadRequest(std::string message) { return Fail("SCHEMA_VALIDATION_FAILED", std::move(message)); }

Result<const Json*> OneObject(const Json::Array& arguments, std::string_view activity) {
  if (arguments.size() == 1 && arguments.front().is_object()) return &arguments.front();
  return BadRequest(std::string(activity) + ": expected one object as argument");
}

Result<std::string> Text(const Json& object, std::string_view name, std::string_view activity) {
  const Json* member = object.Find(name);
  if (member != nullptr && member->is_string() && !member->AsString().empty()) return member->AsString();
  return BadRequest(std::string(activity) + ": `" + std::string(name) + "`: expected a text, found " +
                    std::string(member == nullptr ? "nothing" : member->KindName()));
}

// ---- plans ----

// The plan store of one tenant, and whatever else the worker can fetch from.
class TenantFetcher final : public plan::IPlanFetcher {
 public:
  TenantFetcher(std::string tenant_id, Services& services)
      : tenant_id_(std::move(tenant_id)),
        services_(services),
        plan_store_([this](const std::string& sha256) { return Read(sha256); }) {}

  Result<std::string> Fetch(const plan::PlanRef& ref, const plan::FetchLimits& limits) override {
    if (AsciiLower(ref.uri.substr(0, 5)) == "plan:") return plan_store_.Fetch(ref, limits);
    if (services_.plans.fetcher != nullptr) return services_.plans.fetcher->Fetch(ref, limits);
    return plan::FetchFailed("no fetcher for `" + ref.uri.substr(0, ref.uri.find(':')) + "` in this worker", false);
  }

 private:
  Result<std::string> Read(const std::string& sha256) {
    if (tenant_id_.empty()) return Fail("PLAN_FETCH_FAILED", "the request names no tenant");
    if (services_.store == nullptr) return Fail("STATE_STORE_UNAVAILABLE", "this worker has no state store", true);
    LOCKSTEP_ASSIGN(std::optional<std::string> bytes, services_.store->GetPlan(state::TenantScope(tenant_id_), sha256));
    if (!bytes) return Fail("PLAN_FETCH_FAILED", "no plan with this digest");
    return std::move(*bytes);
  }

  std::string tenant_id_;
  Services& services_;
  plan::PlanStoreFetcher plan_store_;
};

std::string TenantOf(const Json* ctx, const Services& services) {
  const std::string named = ctx == nullptr ? std::string() : ctx->GetString("tenantId");
  return named.empty() ? services.default_tenant : named;
}

Result<plan::VerifiedPlan> LoadPlan(const Json& ref, const std::string& tenant_id, Services& services) {
  plan::VerifyContext context;
  context.scope.tenant_id = tenant_id;
  context.allow_test_kinds = services.configuration.test_kinds;
  context.last_stage = kLastWorkerStage;
  context.now = 0;  // the expiry is checked once, at admission: here nothing has expired
  TenantFetcher fetcher(tenant_id, services);
  plan::AdmitEnvironment environment;
  environment.uri_policy = services.plans.uri_policy;
  environment.fetch_limits = services.plans.limits;
  environment.fetcher = &fetcher;
  environment.cache = services.plans.cache.get();
  return plan::Admit(ref, context, environment);
}

// ---- events ----

struct Batch {
  std::string tenant_id;
  std::string run_id;
  std::vector<state::EventWrite> events;
  std::vector<std::string> digests;
};

Result<Batch> ParseBatch(const Json& request) {
  Batch batch;
  LOCKSTEP_ASSIGN(batch.tenant_id, Text(request, "tenantId", "emitEvents"));
  LOCKSTEP_ASSIGN(batch.run_id, Text(request, "runId", "emitEvents"));
  const Json* events = request.Find("events");
  if (events == nullptr || !events->is_array()) return BadRequest("emitEvents: `events`: expected a list");
  const Json::Array& list = events->AsArray();
  if (list.empty() || list.size() > state::kMaxBatchEvents) {
    return BadRequest("emitEvents: `events`: expected 1 to 100 events, found " + std::to_string(list.size()));
  }
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string place = "emitEvents: events[" + std::to_string(i) + "]: ";
    auto event = state::ParseEventWrite(list[i]);
    if (!event) {
      event.error().message = place + event.error().message;
      return Fail(std::move(event).error());
    }
    if (event->tenant_id != batch.tenant_id || event->run_id != batch.run_id) {
      return BadRequest(place + "expected an event of tenant `" + batch.tenant_id + "` and run `" + batch.run_id +
                        "`, found `" + event->tenant_id + "` and `" + event->run_id + "`");
    }
    batch.digests.push_back(Sha256Hex(CanonicalJson(list[i])));
    batch.events.push_back(std::move(*event));
  }
  return batch;
}

// The write that a duplicate was answered from, when it says other than this one: an attempt of the same workflow task that was
// never answered may have appended it, with the times of that attempt. The log has it, so the history must tell it too.
Result<std::optional<Json>> StoredOther(const Batch& batch, size_t position, const state::AppendResult& answer,
                                        state::IRunStateStore& store) {
  LOCKSTEP_ASSIGN(const auto rows, store.FetchEvents(state::TenantScope(batch.tenant_id), batch.run_id, answer.run_seq - 1, 1));
  if (rows.empty() || rows.front().run_seq != answer.run_seq) return std::nullopt;
  const state::EventWrite& stored = rows.front();
  if (stored == batch.events[position]) return std::nullopt;
  return state::ToJson(stored);
}

Result<Json> BatchJson(const Batch& batch, const state::BatchResult& result, state::IRunStateStore& store) {
  Json appended = Json::MakeArray();
  for (size_t i = 0; i < result.events.size(); ++i) {
    const state::AppendResult& event = result.events[i];
    Json row = Json::MakeObject({{"eventId", event.event_id},
                                 {"runSeq", event.run_seq},
                                 {"persistedAt", event.persisted_at},
                                 {"idempotent", event.idempotent},
                                 {"digest", batch.digests.at(i)}});
    if (event.idempotent) {
      LOCKSTEP_ASSIGN(auto stored, StoredOther(batch, i, event, store));
      if (stored) row.Set("stored", std::move(*stored));
    }
    appended.Push(std::move(row));
  }
  return Json::MakeObject(
      {{"appended", std::move(appended)}, {"headSeq", result.head_seq}, {"snapshotHash", result.snapshot_hash}});
}

Result<state::IRunStateStore*> Store(Services& services) {
  if (services.store == nullptr) return Fail("STATE_STORE_UNAVAILABLE", "this worker has no state store", true);
  return services.store.get();
}

// What every error of these activities carries besides its code (spec 02 section 3.3).
Error Finished(Error error, const activity::ActivityContext& context) {
  if (error.message.size() > kMaxErrorMessageBytes) error.message = TruncateUtf8(error.message, kMaxErrorMessageBytes);
  if (error.Detail("category").empty())
    error.details.emplace_back("category", CategoryName(CategoryOfCode(error.code)));
  error.details.emplace_back("source", "engine");
  error.details.emplace_back("engineAttemptId", std::to_string(context.info().attempt));
  return error;
}

using Activity = Result<Json> (*)(activity::ActivityContext&, const Json::Array&, Services&);

activity::ActivityFunction Bind(Activity function, std::shared_ptr<Services> services) {
  return [function, services = std::move(services)](activity::ActivityContext& context,
                                                    const Json::Array& arguments) -> Result<Json> {
    auto value = function(context, arguments, *services);
    if (!value) return Fail(Finished(std::move(value).error(), context));
    return value;
  };
}

}  // namespace

Result<Json> FetchPlan(activity::ActivityContext&, const Json::Array& arguments, Services& services) {
  if (arguments.empty() || arguments.size() > 3) {
    return Fail("PLAN_REF_INVALID", "fetchPlan: expected a plan reference, a page and a context, found " +
                                        std::to_string(arguments.size()) + " arguments");
  }
  int64_t page = 0;
  if (arguments.size() > 1) {
    if (!arguments[1].is_int() || arguments[1].AsInt() < 0) {
      return Fail("INVALID_WORKFLOW_STATE", "fetchPlan: page: expected an integer, 0 or more, found " +
                                                CanonicalJson(arguments[1]).substr(0, 80));
    }
    page = arguments[1].AsInt();
  }
  const std::string tenant_id = TenantOf(arguments.size() > 2 ? &arguments[2] : nullptr, services);
  LOCKSTEP_ASSIGN(const plan::VerifiedPlan plan, LoadPlan(arguments[0], tenant_id, services));
  return plan::StepTablePage(plan.table(), static_cast<size_t>(page));
}

Result<Json> ValidatePlan(activity::ActivityContext&, const Json::Array& arguments, Services& services) {
  LOCKSTEP_ASSIGN(const Json* request, OneObject(arguments, "validatePlan"));
  const Json* ref = request->Find("planRef");
  if (ref == nullptr)
    return Fail("PLAN_REF_INVALID", "validatePlan: `planRef`: expected a plan reference, found nothing");
  plan::CapabilityContext context;
  LOCKSTEP_ASSIGN(context.target_adapter, Text(*request, "targetAdapter", "validatePlan"));
  context.allow_experimental = services.plans.allow_experimental;
  context.now = services.clock->Now();
  LOCKSTEP_ASSIGN(const plan::VerifiedPlan plan, LoadPlan(*ref, TenantOf(request->Find("ctx"), services), services));
  const plan::ValidationReport report = plan::ValidateCapabilities(plan.plan(), context);

  Json verdict = Json::MakeObject({{"status", plan::Name(report.status)},
                                   {"degraded", report.degraded},
                                   {"reportSha256", plan::ReportDigest(report)}});
  Json& warnings = verdict.Set("warningCodes", Json::MakeArray()).AsObject().at("warningCodes");
  for (std::string& code : report.WarningCodes()) warnings.Push(std::move(code));
  const Json* admission = request->Find("admission");
  std::string message;
  if (!report.errors.empty()) {
    message = "this worker: " + report.errors.front().code + ": " + report.errors.front().message;
  } else if (admission != nullptr && report.degraded && !admission->GetBool("degraded")) {
    message = "this worker can run the plan only degraded, but it was admitted as not degraded";
  }
  verdict.Set("valid", message.empty());
  if (!message.empty()) verdict.Set("message", std::move(message));
  return verdict;
}

Result<Json> EmitEvents(activity::ActivityContext&, const Json::Array& arguments, Services& services) {
  LOCKSTEP_ASSIGN(const Json* request, OneObject(arguments, "emitEvents"));
  LOCKSTEP_ASSIGN(const Batch batch, ParseBatch(*request));
  LOCKSTEP_ASSIGN(state::IRunStateStore * store, Store(services));
  LOCKSTEP_ASSIGN(const state::BatchResult result,
                  store->AppendEvents(state::TenantScope(batch.tenant_id), batch.run_id, batch.events));
  LOCKSTEP_CHECK(result.events.size() == batch.events.size(), "the store answered another number of events");
  return BatchJson(batch, result, *store);
}

Result<Json> CompileRunSnapshot(activity::ActivityContext&, const Json::Array& arguments, Services& services) {
  LOCKSTEP_ASSIGN(const Json* request, OneObject(arguments, "compileRunSnapshot"));
  LOCKSTEP_ASSIGN(const std::string tenant_id, Text(*request, "tenantId", "compileRunSnapshot"));
  LOCKSTEP_ASSIGN(const std::string run_id, Text(*request, "runId", "compileRunSnapshot"));
  LOCKSTEP_ASSIGN(state::IRunStateStore * store, Store(services));
  const state::TenantScope scope(tenant_id);
  LOCKSTEP_ASSIGN(std::optional<state::Snapshot> snapshot, store->GetSnapshot(scope, run_id));
  if (!snapshot) {
    // Spec 02 section 10.1: none stored means that the caller replays.
    LOCKSTEP_ASSIGN(snapshot, store->ProjectSnapshot(scope, run_id));
  }
  return Json::MakeObject({{"snapshotSeq", snapshot->last_event_seq},
                           {"snapshotHash", state::SnapshotHash(*snapshot)},
                           {"outcomeHash", state::OutcomeHash(*snapshot)}});
}

void RegisterEngineActivities(activity::ActivityRegistry* registry, std::shared_ptr<Services> services) {
  LOCKSTEP_CHECK(services != nullptr, "activities need services");
  registry->Register("fetchPlan", Bind(&FetchPlan, services));
  registry->Register("validatePlan", Bind(&ValidatePlan, services));
  registry->Register("emitEvents", Bind(&EmitEvents, services));
  registry->Register("compileRunSnapshot", Bind(&CompileRunSnapshot, services));
  // Finishes its errors itself, because they may need the artifact store.
  registry->Register(kExecuteStepType, [services](activity::ActivityContext& context, const Json::Array& arguments) {
    return ExecuteStep(context, arguments, *services);
  });
}

}  // namespace lockstep::steps
