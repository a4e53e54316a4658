// What the activities of a worker work with. One object for the life of the worker; everything in it is thread-safe.
#pragma once

#include <memory>
#include <string>

#include "engine-core/base/clock.h"
#include "engine-core/plan/cache.h"
#include "engine-core/plan/fetch.h"
#include "engine-core/plan/uri_policy.h"
#include "engine-core/steps/artifacts/artifact_store.h"
#include "engine-core/steps/secrets.h"
#include "engine-core/steps/step_executor.h"
#include "engine-core/steps/worker_configuration.h"

namespace lockstep::state {
class IRunStateStore;
}

namespace lockstep::steps {

// How a worker gets at plans. `plan:<sha256>` is read from the state store, everything else through `fetcher`.
struct PlanAccess {
  plan::UriPolicy uri_policy;  // default: the plan store alone
  plan::FetchLimits limits;
  std::shared_ptr<plan::IPlanFetcher> fetcher;  // none: no other scheme can be fetched
  bool allow_experimental = false;              // the deployment's switch, as at admission
  std::shared_ptr<plan::PlanCache> cache = std::make_shared<plan::PlanCache>();
};

struct Services {
  std::shared_ptr<artifacts::IArtifactStore> artifacts;  // required for `executeStep`
  std::shared_ptr<state::IRunStateStore> store;          // required for the engine's own activities
  std::shared_ptr<ISecretsProvider> secrets;             // none: every secret is SECRET_NOT_FOUND
  PlanAccess plans;
  WorkerConfiguration configuration;
  ExecutorRegistry executors = BuiltInExecutors();
  IClock* clock = &SystemClock();
  // Tenant of a plan request that names none; empty: such a request cannot read the plan store.
  std::string default_tenant;
};

// The usual way to make one: secrets come from the directory that the configuration names.
std::shared_ptr<Services> MakeServices(WorkerConfiguration configuration, std::shared_ptr<state::IRunStateStore> store,
                                       std::shared_ptr<artifacts::IArtifactStore> artifacts);

}  // namespace lockstep::steps
