// The tables of the SQLite store (spec 02 section 10.3) and the step that creates them.
// STRICT tables throughout; rows that the contract calls immutable are guarded by triggers, also against REPLACE.
#pragma once

#include <string_view>

#include "engine-core/base/result.h"
#include "engine-core/base/time.h"
#include "engine-core/state/sqlite/connection.h"

namespace lockstep::state::sqlite {

// The schema this build works on.
inline constexpr int kSchemaVersion = 1;

// Brings the file to `kSchemaVersion` in one transaction and switches it to WAL. STORE_NOT_MIGRATED for a newer schema.
Status MigrateSchema(Connection& connection, UnixMillis now);
// STORE_NOT_MIGRATED unless the file is exactly at `kSchemaVersion` and in WAL mode.
Status CheckSchema(Connection& connection);

}  // namespace lockstep::state::sqlite
