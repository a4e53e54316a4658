// Starting and steering runs on a provider (Temporal, or the embedded engine): admission of a plan, the bootstrap of the run's log, the start of the interpreter
// workflow, and control signals with their decision record (spec 03 sections 3.2 and 6, spec 04 section 1.1).
// Thread-safe as far as store and client are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine-core/base/clock.h"
#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/interpreter/run_input.h"
#include "engine-core/service/home.h"

namespace lockstep::provider {
class Client;
}

namespace lockstep::service {

struct RunScope {
  std::string tenant_id = "local";
  std::string project_id = "default";
  std::string environment_id = "dev";
};

struct StartRunRequest {
  std::string plan;  // bytes of the document
  std::string run_id;  // empty: a fresh UUID
  Json params;
  interpreter::Policy policy;
  bool allow_test_kinds = false;
  bool search_attributes = false;  // the namespace knows those of spec 04 section 9
  // Sets the digest that the workflow is told, to see a tampered plan refused; empty: the real one.
  std::string claimed_sha256;
};

struct StartedRun {
  std::string run_id;
  std::string workflow_id;
  std::string provider_run_id;
  Json plan_ref;
  Json input;  // of the first execution
  int64_t step_count = 0;
};

struct SignalRequest {
  std::string run_id;
  std::string type;  // `PAUSE`, `RETRY_STEP`, `CUSTOM:<name>`, ...
  Json payload = Json::MakeObject();
  std::string reason;
  std::string signal_id;  // empty: a fresh UUID
  std::string actor_id = "operator";
};

// Queues a worker of this scope has to serve: control, data, isolation.
std::vector<std::string> QueuesOf(const RunScope& scope);
std::string ControlQueue(const RunScope& scope);

// What a provider does for a run (the provider port of spec 03 section 4, as far as it is built).
struct ProviderStart {
  std::string workflow_id;
  std::string workflow_type;
  std::string task_queue;
  Json input;
  std::vector<std::pair<std::string, std::string>> search_attributes;
};
class IRunProvider {
 public:
  virtual ~IRunProvider() = default;
  virtual std::string adapter() const = 0;         // `temporal`, `mock`: as stored records say
  virtual std::string namespace_name() const = 0;  // empty: it has none
  // The provider's own id of the first execution.
  virtual Result<std::string> Start(const ProviderStart& start) = 0;
  virtual Status Signal(const std::string& run_id, const std::string& name, const Json& body, const std::string& request_id) = 0;
  virtual Status RequestCancel(const std::string& run_id, const std::string& reason, const std::string& request_id) = 0;
};
// `client` must outlive it.
std::unique_ptr<IRunProvider> MakeTemporalProvider(provider::Client* client);

class RunService {
 public:
  RunService(EngineHome home, provider::Client* client, RunScope scope);
  // `provider` must outlive the service.
  RunService(EngineHome home, IRunProvider* provider, RunScope scope);

  // Errors: those of admission (spec 01 section 11), RUN_ALREADY_EXISTS, ADAPTER_*.
  Result<StartedRun> Start(const StartRunRequest& request);
  // Records the decision and its audit event, then tells the workflow. CANCEL also requests the native cancellation.
  Status Signal(const SignalRequest& request);

 private:
  Status Bootstrap(const StartedRun& run, const Json& report, const std::string& digest, bool approval_required);
  state::EventWrite RunEvent(std::string_view type, const StartedRun& run, Json payload) const;
  Result<int64_t> RecordDecision(const SignalRequest& request, const std::string& signal_id);

  EngineHome home_;
  std::unique_ptr<IRunProvider> own_;
  IRunProvider* provider_;
  RunScope scope_;
};

}  // namespace lockstep::service
