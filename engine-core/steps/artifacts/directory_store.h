// The artifact store as a directory: `<root>/<first two digits>/<sha256>`, unfinished writes under `<root>/tmp/`. A
// reader sees an artifact whole or not at all (temporary name, fsync, rename, fsync of the folder); content already
// there is not written again. Several processes, also on several machines over a shared file system, may use one root.
#pragma once

#include <filesystem>
#include <memory>

#include "engine-core/steps/artifacts/artifact_store.h"

namespace lockstep::artifacts {

// Creates the directory when it is missing, and removes unfinished writes that are older than a day.
// ARTIFACT_STORE_UNAVAILABLE when it cannot be used.
Result<std::shared_ptr<IArtifactStore>> OpenDirectoryStore(const std::filesystem::path& root);

}  // namespace lockstep::artifacts
