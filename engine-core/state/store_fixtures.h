// The two stores of this folder as the conformance and property tests make them. Test code.
#pragma once

#include "engine-core/base/check.h"
#include "engine-core/base/files.h"
#include "engine-core/state/memory/memory_store.h"
#include "engine-core/state/sqlite/sqlite_store.h"
#include "engine-core/state/testing/store_fixture.h"

namespace lockstep::state::testing {

class MemoryFixture final : public StoreFixture {
 public:
  explicit MemoryFixture(StoreServices services) : store_(MakeMemoryStore(services)) {}
  IRunStateStore& store() override { return *store_; }
  bool Reopen() override { return false; }

 private:
  std::unique_ptr<IRunStateStore> store_;
};

// A fresh file in a temporary folder.
class SqliteFixture final : public StoreFixture {
 public:
  explicit SqliteFixture(StoreServices services)
      : services_(services), folder_(*TemporaryDirectory::Create("lockstep-state")) {
    LOCKSTEP_CHECK(MigrateSqliteStore(path(), *services.clock).has_value(), "migration");
    Reopen();
  }
  IRunStateStore& store() override { return *store_; }
  bool Reopen() override {
    store_.reset();
    auto opened = OpenSqliteStore(path(), {.services = services_});
    LOCKSTEP_CHECK(opened.has_value(), opened ? "" : opened.error().message);
    store_ = std::move(*opened);
    return true;
  }
  std::string path() const { return (folder_.path() / "state.db").string(); }

 private:
  StoreServices services_;
  TemporaryDirectory folder_;
  std::unique_ptr<IRunStateStore> store_;
};

inline StoreFactory MemoryStoreFactory() {
  return {"Memory", [](StoreServices services) { return std::make_unique<MemoryFixture>(services); }};
}
inline StoreFactory SqliteStoreFactory() {
  return {"Sqlite", [](StoreServices services) { return std::make_unique<SqliteFixture>(services); }};
}

}  // namespace lockstep::state::testing
