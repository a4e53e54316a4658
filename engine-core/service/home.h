// The folder an embedded engine, a worker and the command line share: the SQLite state store (with the plan store inside) and
// the artifact directory. Several processes may use one home at once.
#pragma once

#include <filesystem>
#include <memory>

#include "engine-core/base/result.h"
#include "engine-core/state/store.h"
#include "engine-core/steps/artifacts/artifact_store.h"

namespace lockstep::service {

struct EngineHome {
  std::filesystem::path folder;
  std::shared_ptr<state::IRunStateStore> store;
  std::shared_ptr<artifacts::IArtifactStore> artifacts;
};

// Creates and migrates what is missing. `<folder>/state.db`, `<folder>/artifacts/`.
Result<EngineHome> OpenHome(const std::filesystem::path& folder);

}  // namespace lockstep::service
