// The state store on one SQLite file (spec 02 section 10.3): WAL, `synchronous=FULL`, STRICT tables, rows immutable by
// trigger. Several threads and several processes may have the same file open; writers exclude each other by
// `BEGIN IMMEDIATE`, readers never wait. A process may die at any point: what was answered is there, what was not is
// absent. A store must not be carried across fork(): open it again in the child.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine-core/base/result.h"
#include "engine-core/state/transactional_store.h"

namespace lockstep::state {

struct SqliteOptions {
  StoreServices services;                    // clock and ids are required and must outlive the store
  int64_t write_budget_ms = kWriteBudgetMs;  // then STATE_STORE_TIMEOUT
};

// Creates or upgrades the file: the separate, privileged step. Idempotent. Errors: STORE_NOT_MIGRATED (a newer build
// wrote it), STATE_STORE_UNAVAILABLE, STATE_STORE_CORRUPT.
Status MigrateSqliteStore(const std::string& path, IClock& clock);

// STORE_NOT_MIGRATED when the file is absent or not at the schema of this build.
Result<std::unique_ptr<IRunStateStore>> OpenSqliteStore(const std::string& path, const SqliteOptions& options);

}  // namespace lockstep::state
