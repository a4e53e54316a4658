#include "engine-core/service/runs.h"

#include <temporal/api/common/v1/message.pb.h>

#include "engine-core/base/bytes.h"
#include "engine-core/plan/loader.h"
#include "engine-core/plan/routing.h"
#include "engine-core/providers/temporal/client.h"
#include "engine-core/state/keys.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::service {
namespace {

constexpr std::string_view kCustomPrefix = "CUSTOM:";
constexpr std::string_view kDestructive[] = {"UPDATE_PARAMS", "INJECT_OVERRIDE", "UPDATE_TARGET", "EMERGENCY_STOP"};

bool IsDestructive(std::string_view type) {
  return std::find(std::begin(kDestructive), std::end(kDestructive), type) != std::end(kDestructive);
}

}  // namespace

std::string ControlQueue(const RunScope& scope) {
  return plan::DerivedQueue(plan::WorkerClass::kControl, scope.tenant_id, scope.environment_id);
}

std::vector<std::string> QueuesOf(const RunScope& scope) {
  std::vector<std::string> queues;
  for (const auto worker_class : {plan::WorkerClass::kControl, plan::WorkerClass::kData, plan::WorkerClass::kIsolation}) {
    queues.push_back(plan::DerivedQueue(worker_class, scope.tenant_id, scope.environment_id));
  }
  return queues;
}

namespace {

class TemporalProvider final : public IRunProvider {
 public:
  explicit TemporalProvider(provider::Client* client) : client_(client) {}
  std::string adapter() const override { return "temporal"; }
  std::string namespace_name() const override { return client_->options().namespace_name; }
  Result<std::string> Start(const ProviderStart& start) override {
    provider::StartOptions options;
    options.workflow_id = start.workflow_id;
    options.workflow_type = start.workflow_type;
    options.task_queue = start.task_queue;
    options.search_attributes.assign(start.search_attributes.begin(), start.search_attributes.end());
    LOCKSTEP_ASSIGN(const provider::WorkflowRef started, client_->StartWorkflow(options, workflow::JsonPayloads(start.input)));
    return started.run_id;
  }
  Status Signal(const std::string& run_id, const std::string& name, const Json& body, const std::string& request_id) override {
    return client_->Signal(run_id, {}, name, workflow::JsonPayloads(body), request_id);
  }
  Status RequestCancel(const std::string& run_id, const std::string& reason, const std::string& request_id) override {
    return client_->RequestCancel(run_id, {}, reason, request_id);
  }

 private:
  provider::Client* client_;
};

}  // namespace

std::unique_ptr<IRunProvider> MakeTemporalProvider(provider::Client* client) { return std::make_unique<TemporalProvider>(client); }

RunService::RunService(EngineHome home, provider::Client* client, RunScope scope)
    : home_(std::move(home)), own_(MakeTemporalProvider(client)), provider_(own_.get()), scope_(std::move(scope)) {}

RunService::RunService(EngineHome home, IRunProvider* provider, RunScope scope)
    : home_(std::move(home)), provider_(provider), scope_(std::move(scope)) {}

Result<StartedRun> RunService::Start(const StartRunRequest& request) {
  const state::TenantScope tenant(scope_.tenant_id);
  LOCKSTEP_ASSIGN(const plan::PlanRef ref, plan::PinPlan(request.plan, request.allow_test_kinds));
  LOCKSTEP_ASSIGN(const std::string stored, home_.store->PutPlan(tenant, request.plan));
  plan::PlanStoreFetcher fetcher([&](const std::string&) -> Result<std::string> { return request.plan; });
  plan::VerifyContext context;
  const std::string adapter = provider_->adapter();
  context.target_adapter = adapter;
  context.scope = {scope_.tenant_id, scope_.environment_id, request.policy.allowed_queues};
  context.allow_test_kinds = request.allow_test_kinds;
  context.now = SystemClock().Now();
  LOCKSTEP_ASSIGN(const plan::VerifiedPlan verified, plan::Admit(plan::ToJson(ref), context, {.fetcher = &fetcher}));

  StartedRun run;
  run.run_id = request.run_id.empty() ? SystemIdGenerator().NewUuid() : request.run_id;
  run.workflow_id = run.run_id;
  run.plan_ref = plan::ToJson(verified.ref());
  if (!request.claimed_sha256.empty()) run.plan_ref.Set("sha256", request.claimed_sha256);
  run.step_count = static_cast<int64_t>(verified.table().steps.size());
  const std::string digest = plan::ReportDigest(verified.report());

  interpreter::RunInput input;
  input.plan_ref = run.plan_ref;
  input.context = {scope_.tenant_id, scope_.project_id, scope_.environment_id, run.run_id, adapter, request.params};
  input.policy = request.policy;
  input.policy.provider_namespace = provider_->namespace_name();
  input.admission = {digest, verified.report().degraded, run.step_count, Json()};
  run.input = interpreter::ToJson(input);

  LOCKSTEP_TRY(Bootstrap(run, plan::ToJson(verified.report()), digest, verified.plan().facts().requires_approval));
  ProviderStart start;
  start.workflow_id = run.workflow_id;
  start.workflow_type = interpreter::kWorkflowType;
  start.task_queue = request.policy.task_queue.empty() ? ControlQueue(scope_) : request.policy.task_queue;
  start.input = run.input;
  if (request.search_attributes) {
    start.search_attributes = {{"tenantId", scope_.tenant_id},
                               {"projectId", scope_.project_id},
                               {"environmentId", scope_.environment_id},
                               {"planId", verified.ref().plan_id},
                               {"planVersion", verified.ref().plan_version}};
  }
  LOCKSTEP_ASSIGN(run.provider_run_id, provider_->Start(start));
  Json reference = Json::MakeObject({{"provider", adapter}, {"workflowId", run.workflow_id}, {"runId", run.run_id},
                                     {"providerRunId", run.provider_run_id}, {"taskQueue", start.task_queue}});
  if (!provider_->namespace_name().empty()) reference.Set("namespace", provider_->namespace_name());
  LOCKSTEP_TRY(home_.store->SaveProviderRef(tenant, run.run_id, reference));
  return run;
}

state::EventWrite RunService::RunEvent(std::string_view type, const StartedRun& run, Json payload) const {
  state::EventWrite event;
  event.event_id = SystemIdGenerator().NewUuid();
  event.event_type = std::string(type);
  event.run_id = run.run_id;
  event.tenant_id = scope_.tenant_id;
  event.project_id = scope_.project_id;
  event.environment_id = scope_.environment_id;
  event.plan_id = run.plan_ref.GetString("planId");
  event.plan_version = run.plan_ref.GetString("planVersion");
  event.emitted_at = FormatUtcMillis(SystemClock().Now());
  event.payload = std::move(payload);
  event.meta = Json::MakeObject({{"emittedBy", "engine"}});
  event.idempotency_key = state::KeyOf(event);
  return event;
}

Status RunService::Bootstrap(const StartedRun& run, const Json& report, const std::string& digest, bool approval_required) {
  Json warnings = Json::MakeArray();
  if (const Json* given = report.Find("warnings"); given != nullptr && given->is_array()) {
    for (const Json& warning : given->AsArray()) warnings.Push(warning.GetString("code"));
  }
  Json reference = Json::MakeObject();
  for (const char* member : {"uri", "sha256", "schemaVersion", "planId", "planVersion"}) reference.Set(member, run.plan_ref.GetString(member));
  std::vector<state::EventWrite> events;
  events.push_back(RunEvent("RunQueued", run,
                            Json::MakeObject({{"planRef", std::move(reference)},
                                              {"targetAdapter", provider_->adapter()},
                                              {"admission", Json::MakeObject({{"mode", "DIRECT"}})},
                                              {"approvalRequired", approval_required},
                                              {"validation", Json::MakeObject({{"status", report.GetString("status")},
                                                                               {"warningCodes", std::move(warnings)},
                                                                               {"reportSha256", digest}})},
                                              {"triggerSource", "api"}})));
  // Who starts a run from the command line approves it with that.
  if (approval_required) {
    events.push_back(RunEvent("RunApproved", run, Json::MakeObject({{"approvedBy", "operator"}, {"approvalId", SystemIdGenerator().NewUuid()}})));
  }
  state::RunMetadata metadata;
  metadata.run_id = run.run_id;
  metadata.tenant_id = scope_.tenant_id;
  metadata.project_id = scope_.project_id;
  metadata.environment_id = scope_.environment_id;
  metadata.plan_id = run.plan_ref.GetString("planId");
  metadata.plan_version = run.plan_ref.GetString("planVersion");
  metadata.plan_sha256 = run.plan_ref.GetString("sha256");
  metadata.provider = provider_->adapter();
  LOCKSTEP_TRY(home_.store->BootstrapRun(state::TenantScope(scope_.tenant_id), metadata, events));
  return {};
}

Result<int64_t> RunService::RecordDecision(const SignalRequest& request, const std::string& signal_id) {
  const state::TenantScope tenant(scope_.tenant_id);
  LOCKSTEP_ASSIGN(const state::RunMetadata metadata, home_.store->GetRunMetadata(tenant, request.run_id));
  state::SignalDecision decision;
  decision.run_id = request.run_id;
  decision.signal_decision_id = SystemIdGenerator().NewUuid();
  decision.signal_id = signal_id;
  decision.signal_type = request.type;
  decision.signal_payload = request.payload;
  decision.request_fingerprint = state::SignalFingerprint(request.type, request.payload, request.reason);
  decision.decision = state::SignalVerdict::kAccepted;
  decision.policy_decision_id = SystemIdGenerator().NewUuid();
  decision.audit = {request.actor_id, "Admin", scope_.tenant_id, {}, request.reason, {}};
  StartedRun run;
  run.run_id = request.run_id;
  run.plan_ref = Json::MakeObject({{"planId", metadata.plan_id}, {"planVersion", metadata.plan_version}});
  const state::EventWrite audit =
      RunEvent("SignalAccepted", run,
               Json::MakeObject({{"signalDecisionId", decision.signal_decision_id},
                                 {"signalId", signal_id},
                                 {"signalType", request.type},
                                 {"policyDecisionId", decision.policy_decision_id},
                                 {"actorRole", "Admin"},
                                 {"destructive", IsDestructive(request.type)},
                                 {"signalPayload", request.payload}}));
  LOCKSTEP_ASSIGN(const state::SignalReceipt receipt, home_.store->RecordSignalDecision(tenant, decision, std::span(&audit, 1)));
  return static_cast<int64_t>(receipt.view.decision.decision_seq);
}

Status RunService::Signal(const SignalRequest& request) {
  const std::string signal_id = request.signal_id.empty() ? SystemIdGenerator().NewUuid() : request.signal_id;
  LOCKSTEP_ASSIGN(const int64_t decision_seq, RecordDecision(request, signal_id));
  Json body = request.payload;
  std::string name = AsciiLower(request.type);
  if (request.type.starts_with(kCustomPrefix)) {
    name = "custom";
    body = Json::MakeObject({{"name", request.type.substr(kCustomPrefix.size())}, {"payload", request.payload}});
  }
  body.Set("signalId", signal_id);
  body.Set("decisionSeq", decision_seq);
  LOCKSTEP_TRY(provider_->Signal(request.run_id, name, body, signal_id));
  if (request.type == "CANCEL") LOCKSTEP_TRY(provider_->RequestCancel(request.run_id, request.payload.GetString("reason"), signal_id));
  return {};
}

}  // namespace lockstep::service
