#include "engine-core/state/sqlite/sqlite_store.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <vector>

#include "engine-core/state/sqlite/connection.h"
#include "engine-core/state/sqlite/schema.h"
#include "engine-core/state/sqlite/sqlite_transaction.h"

namespace lockstep::state {
namespace {

using sqlite::Connection;
using std::chrono::milliseconds;

constexpr size_t kIdleReaders = 8;

// Readers share a pool of connections.
class ReaderPool final : public sqlite::IConnectionOwner {
 public:
  explicit ReaderPool(std::string path) : path_(std::move(path)) {}

  Result<std::unique_ptr<Connection>> Borrow() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Connection> connection = std::move(idle_.back());
        idle_.pop_back();
        return connection;
      }
    }
    LOCKSTEP_ASSIGN(std::unique_ptr<Connection> connection, Connection::Open(path_, Connection::Mode::kReadWrite));
    LOCKSTEP_TRY(connection->Execute("PRAGMA query_only = ON"));
    return connection;
  }

  void Return(std::unique_ptr<Connection> connection) override {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kIdleReaders) idle_.push_back(std::move(connection));
  }

 private:
  const std::string path_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

// The one writer of this process. Waiting for it counts against the write budget like waiting for another process.
class WriterSlot final : public sqlite::IConnectionOwner {
 public:
  WriterSlot(std::unique_ptr<Connection> connection, milliseconds budget)
      : connection_(std::move(connection)), budget_(budget) {}

  Result<std::unique_ptr<Connection>> Begin() {
    const auto deadline = std::chrono::steady_clock::now() + budget_;
    if (!mutex_.try_lock_until(deadline)) {
      return Fail("STATE_STORE_TIMEOUT", "the store was busy for " + std::to_string(budget_.count()) + " ms", true);
    }
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    connection_->SetBusyTimeout(std::max<int64_t>(left.count(), 1));
    if (Status begun = connection_->Execute("BEGIN IMMEDIATE"); !begun) {
      mutex_.unlock();
      return Fail(std::move(begun).error());
    }
    return std::move(connection_);
  }

  // By the thread that began, from the destructor of the transaction.
  void Return(std::unique_ptr<Connection> connection) override {
    connection_ = std::move(connection);
    mutex_.unlock();
  }

 private:
  std::timed_mutex mutex_;
  std::unique_ptr<Connection> connection_;
  const milliseconds budget_;
};

class SqliteBackend final : public IBackend {
 public:
  SqliteBackend(std::string path, std::unique_ptr<Connection> writer, milliseconds budget)
      : readers_(std::move(path)), writer_(std::move(writer), budget) {}

  Result<std::unique_ptr<ITransaction>> BeginWrite() override {
    LOCKSTEP_ASSIGN(std::unique_ptr<Connection> connection, writer_.Begin());
    return std::make_unique<sqlite::SqliteTransaction>(std::move(connection), writer_);
  }

  Result<std::unique_ptr<ITransaction>> BeginRead() override {
    LOCKSTEP_ASSIGN(std::unique_ptr<Connection> connection, readers_.Borrow());
    LOCKSTEP_TRY(connection->Execute("BEGIN"));
    return std::make_unique<sqlite::SqliteTransaction>(std::move(connection), readers_);
  }

 private:
  ReaderPool readers_;
  WriterSlot writer_;
};

}  // namespace

Status MigrateSqliteStore(const std::string& path, IClock& clock) {
  LOCKSTEP_ASSIGN(const std::unique_ptr<Connection> connection, Connection::Open(path, Connection::Mode::kCreate));
  return sqlite::MigrateSchema(*connection, clock.Now());
}

Result<std::unique_ptr<IRunStateStore>> OpenSqliteStore(const std::string& path, const SqliteOptions& options) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return Fail("STORE_NOT_MIGRATED", path + ": expected a state store, found no file");
  }
  LOCKSTEP_ASSIGN(std::unique_ptr<Connection> writer, Connection::Open(path, Connection::Mode::kReadWrite));
  LOCKSTEP_TRY(sqlite::CheckSchema(*writer));
  const milliseconds budget(std::max<int64_t>(options.write_budget_ms, 1));
  auto backend = std::make_unique<SqliteBackend>(path, std::move(writer), budget);
  return std::make_unique<TransactionalStore>(std::move(backend), options.services);
}

}  // namespace lockstep::state
