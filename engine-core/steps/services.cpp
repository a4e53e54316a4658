#include "engine-core/steps/services.h"

namespace lockstep::steps {

std::shared_ptr<Services> MakeServices(WorkerConfiguration configuration, std::shared_ptr<state::IRunStateStore> store,
                                       std::shared_ptr<artifacts::IArtifactStore> artifacts) {
  auto services = std::make_shared<Services>();
  services->store = std::move(store);
  services->artifacts = std::move(artifacts);
  if (!configuration.secrets_directory.empty()) services->secrets = DirectorySecrets(configuration.secrets_directory);
  services->configuration = std::move(configuration);
  return services;
}

}  // namespace lockstep::steps
