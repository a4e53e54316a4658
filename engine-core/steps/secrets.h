// Where a worker gets secret values (port `ISecretsProvider`, spec 03 section 1; spec 01 section 5.6). Values live in
// memory for one attempt of one step and go nowhere else.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine-core/base/result.h"
#include "engine-core/steps/step_executor.h"

namespace lockstep::steps {

// Thread-safe. Errors: SECRET_NOT_FOUND (also for another tenant's secret: both look alike), SECRET_STORE_UNAVAILABLE
// (retryable).
class ISecretsProvider {
 public:
  virtual ~ISecretsProvider() = default;
  virtual Result<std::string> Resolve(const RunIdentity& run, const SecretRef& ref) = 0;
};

// Secrets as files, the way container platforms mount them:
//   `<root>/<tenantId>/<environmentId>/<secretId>/<key>`             the latest value
//   `<root>/<tenantId>/<environmentId>/<secretId>@<version>/<key>`   a pinned one
// The whole file is the value, except for one line feed at its end. At most 64 KiB.
std::shared_ptr<ISecretsProvider> DirectorySecrets(std::filesystem::path root);

}  // namespace lockstep::steps
