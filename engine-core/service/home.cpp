#include "engine-core/service/home.h"

#include "engine-core/base/clock.h"
#include "engine-core/base/files.h"
#include "engine-core/state/sqlite/sqlite_store.h"
#include "engine-core/steps/artifacts/directory_store.h"

namespace lockstep::service {

Result<EngineHome> OpenHome(const std::filesystem::path& folder) {
  EngineHome home;
  home.folder = folder;
  LOCKSTEP_TRY(CreateDirectories(folder));
  const std::string database = (folder / "state.db").string();
  LOCKSTEP_TRY(state::MigrateSqliteStore(database, SystemClock()));
  LOCKSTEP_ASSIGN(home.store, state::OpenSqliteStore(database, {.services = {.clock = &SystemClock(), .ids = &SystemIdGenerator()}}));
  LOCKSTEP_ASSIGN(home.artifacts, artifacts::OpenDirectoryStore(folder / "artifacts"));
  return home;
}

}  // namespace lockstep::service
