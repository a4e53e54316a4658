// What a step kind is to the worker: an executor that turns a request into an output or an error. `executeStep`
// (execute_step.h) is the only caller; it checks the request, resolves secrets, bounds what goes back to the workflow
// and finishes errors.
//
// Invariant: an executor reads nothing but its request and the worker's configuration, and an output holds nothing that
// differs between two runs of the same work (no times, no host names, no temporary paths), because outputs are recorded
// and compared.
//
// Errors (spec 02 section 3.3, 04 section 11): made with `StepError` (step_error.h), so that each carries a category.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/activity/activity.h"
#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/steps/artifacts/artifact_store.h"
#include "engine-core/steps/redactor.h"

namespace lockstep::steps {

struct Services;

struct RunIdentity {
  std::string tenant_id;
  std::string project_id;
  std::string environment_id;
  std::string run_id;
};

struct SecretRef {
  std::string name;  // local handle, also the name of the environment variable of a program
  std::string secret_id;
  std::string key;
  std::string version;  // empty: latest
};

struct StepRequest {
  std::string step_id;
  std::string kind;
  Json params = Json::MakeObject();           // an object; references are resolved already
  std::map<std::string, std::string> target;  // `database`, `schema`, `warehouse`, `role`, `connection`
  std::vector<SecretRef> secret_refs;
  int64_t logical_attempt_id = 1;
  int64_t max_attempts = 0;  // engine attempts that each logical attempt may take; 0: not told
  RunIdentity run;
  std::vector<artifacts::ArtifactRef> inputs;
  std::vector<std::string> probes;  // JSON Pointers into the result
  // Set by `executeStep`: the value of each secret by its handle, and the means to keep them out of everything written.
  std::map<std::string, std::string> secrets;
  Redactor redactor;
};

// Spec 04 section 5.2 rule 2. A failed or cancelled step is an error, never an output.
enum class StepStatus : uint8_t { kSuccess, kSkipped };

struct StepOutput {
  StepStatus status = StepStatus::kSuccess;
  std::optional<Json> result;
  std::vector<artifacts::ArtifactRef> artifacts;
};

// Thread-safe: one executor serves all steps of its kinds at once.
class StepExecutor {
 public:
  virtual ~StepExecutor() = default;
  virtual Result<StepOutput> Execute(const StepRequest& request, activity::ActivityContext& context,
                                     Services& services) = 0;
};

class ExecutorRegistry {
 public:
  // A kind may be registered once (checked).
  void Register(std::string kind, std::shared_ptr<StepExecutor> executor);
  // nullptr when this worker has no executor for the kind.
  StepExecutor* Find(std::string_view kind) const;
  std::vector<std::string> Kinds() const;

 private:
  std::map<std::string, std::shared_ptr<StepExecutor>, std::less<>> executors_;
};

// `noop`, `echo`, `sleep`, `fail`, `process.run`, `sql.query`, `http.request`, `dbt.compile`, `dbt.run`, `dbt.test`.
ExecutorRegistry BuiltInExecutors();

}  // namespace lockstep::steps
