#include "engine-core/providers/embedded/history_store.h"

#include <map>
#include <mutex>

#include "engine-core/state/sqlite/connection.h"

namespace lockstep::embedded {
namespace {

using state::sqlite::Connection;
using state::sqlite::Statement;

constexpr int64_t kSchemaVersion = 1;
constexpr int64_t kBusyMs = 5'000;
constexpr char kSchema[] = R"sql(
CREATE TABLE IF NOT EXISTS executions(
  workflow_id TEXT NOT NULL, position INTEGER NOT NULL, run_id TEXT NOT NULL, state TEXT NOT NULL, closed INTEGER NOT NULL,
  PRIMARY KEY(workflow_id, position)) STRICT;
CREATE TABLE IF NOT EXISTS history(
  workflow_id TEXT NOT NULL, position INTEGER NOT NULL, event_id INTEGER NOT NULL, event BLOB NOT NULL,
  PRIMARY KEY(workflow_id, position, event_id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, workflow_id TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
  payload TEXT NOT NULL, request_id TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS messages_by_run ON messages(workflow_id, seq);
)sql";

std::unexpected<Error> StoreFailed(const std::string& name, const Error& error) {
  return Fail("EMBEDDED_STORE_FAILED", name + ": " + error.message, true);
}

class SqliteHistoryStore final : public HistoryStore {
 public:
  SqliteHistoryStore(std::string name, std::unique_ptr<Connection> connection)
      : name_(std::move(name)), connection_(std::move(connection)) {}

  Status Migrate() {
    connection_->SetBusyTimeout(kBusyMs);
    LOCKSTEP_TRY(connection_->Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"));
    LOCKSTEP_ASSIGN(Statement version, connection_->Prepare("PRAGMA user_version"));
    LOCKSTEP_ASSIGN(const bool row, version.Step());
    const int64_t found = row ? version.IntAt(0) : 0;
    if (found > kSchemaVersion) {
      return Fail("EMBEDDED_STORE_VERSION", name_ + ": expected a layout up to " + std::to_string(kSchemaVersion) +
                                                ", found " + std::to_string(found));
    }
    if (found == kSchemaVersion) return {};
    return InTransaction([&]() -> Status {
      LOCKSTEP_TRY(connection_->Execute(kSchema));
      return connection_->Execute("PRAGMA user_version=" + std::to_string(kSchemaVersion));
    });
  }

  Status Save(std::span<const ServerRun* const> executions) override {
    std::lock_guard lock(mutex_);
    std::map<std::pair<std::string, int32_t>, int> written;
    const Status done = InTransaction([&]() -> Status {
      for (const ServerRun* run : executions) LOCKSTEP_TRY(SaveOne(*run, &written));
      return {};
    });
    if (!done) return StoreFailed(name_, done.error());
    for (const auto& [key, count] : written) saved_[key] = count;
    return {};
  }

  Result<std::vector<StoredExecution>> LoadRun(const std::string& workflow_id) override {
    std::lock_guard lock(mutex_);
    auto loaded = Load(workflow_id);
    if (!loaded && loaded.error().code != "EMBEDDED_STATE_CORRUPT") return StoreFailed(name_, loaded.error());
    return loaded;
  }

  Result<std::vector<StoredRun>> ListRuns() override {
    std::lock_guard lock(mutex_);
    const auto list = [&]() -> Result<std::vector<StoredRun>> {
      std::vector<StoredRun> runs;
      LOCKSTEP_ASSIGN(Statement rows,
                      connection_->Prepare("SELECT e.workflow_id, max(e.position), min(e.closed), (SELECT count(*) "
                                           "FROM history h WHERE h.workflow_id = e.workflow_id) "
                                           "FROM executions e GROUP BY e.workflow_id ORDER BY min(e.rowid) DESC"));
      while (true) {
        LOCKSTEP_ASSIGN(const bool row, rows.Step());
        if (!row) return runs;
        runs.push_back(
            {std::string(rows.TextAt(0)), static_cast<int32_t>(rows.IntAt(1)), rows.IntAt(3), rows.IntAt(2) != 0});
      }
    };
    auto runs = list();
    if (!runs) return StoreFailed(name_, runs.error());
    return runs;
  }

  Status PostMessage(const std::string& workflow_id, const Message& message) override {
    std::lock_guard lock(mutex_);
    const auto post = [&]() -> Status {
      LOCKSTEP_ASSIGN(Statement insert,
                      connection_->Prepare(
                          "INSERT INTO messages(workflow_id, kind, name, payload, request_id) VALUES(?, ?, ?, ?, ?)"));
      return insert.Text(workflow_id)
          .Text(message.kind)
          .Text(message.name)
          .Text(message.payload)
          .Text(message.request_id)
          .Run();
    };
    if (const Status done = post(); !done) return StoreFailed(name_, done.error());
    return {};
  }

  Result<std::vector<Message>> Messages(const std::string& workflow_id) override {
    std::lock_guard lock(mutex_);
    const auto read = [&]() -> Result<std::vector<Message>> {
      std::vector<Message> messages;
      LOCKSTEP_ASSIGN(
          Statement rows,
          connection_->Prepare(
              "SELECT seq, kind, name, payload, request_id FROM messages WHERE workflow_id = ? ORDER BY seq"));
      rows.Text(workflow_id);
      while (true) {
        LOCKSTEP_ASSIGN(const bool row, rows.Step());
        if (!row) return messages;
        messages.push_back({rows.IntAt(0), std::string(rows.TextAt(1)), std::string(rows.TextAt(2)),
                            std::string(rows.TextAt(3)), std::string(rows.TextAt(4))});
      }
    };
    auto messages = read();
    if (!messages) return StoreFailed(name_, messages.error());
    return messages;
  }

  Status RemoveMessages(const std::string& workflow_id, int64_t up_to_seq) override {
    std::lock_guard lock(mutex_);
    const auto remove = [&]() -> Status {
      LOCKSTEP_ASSIGN(Statement statement,
                      connection_->Prepare("DELETE FROM messages WHERE workflow_id = ? AND seq <= ?"));
      return statement.Text(workflow_id).Int(up_to_seq).Run();
    };
    if (const Status done = remove(); !done) return StoreFailed(name_, done.error());
    return {};
  }

  const std::string& name() const override { return name_; }

 private:
  template <typename Body>
  Status InTransaction(const Body& body) {
    LOCKSTEP_TRY(connection_->Execute("BEGIN IMMEDIATE"));
    Status done = body();
    if (done) done = connection_->Execute("COMMIT");
    if (!done && connection_->InTransaction()) (void)connection_->Execute("ROLLBACK");
    return done;
  }

  Status SaveOne(const ServerRun& run, std::map<std::pair<std::string, int32_t>, int>* written) {
    const std::pair<std::string, int32_t> key(run.start().workflow_id, run.start().execution);
    LOCKSTEP_ASSIGN(
        Statement upsert,
        connection_->Prepare(
            "INSERT INTO executions(workflow_id, position, run_id, state, closed) VALUES(?, ?, ?, ?, ?) "
            "ON CONFLICT(workflow_id, position) DO UPDATE SET state = excluded.state, closed = excluded.closed"));
    LOCKSTEP_TRY(upsert.Text(key.first)
                     .Int(key.second)
                     .Text(run.start().run_id)
                     .Text(CanonicalJson(run.SaveState()))
                     .Int(run.closed() ? 1 : 0)
                     .Run());
    const auto known = saved_.find(key);
    const int from = known == saved_.end() ? 0 : known->second;
    for (int i = from; i < run.history().events_size(); ++i) {
      LOCKSTEP_ASSIGN(
          Statement insert,
          connection_->Prepare("INSERT INTO history(workflow_id, position, event_id, event) VALUES(?, ?, ?, ?)"));
      LOCKSTEP_TRY(
          insert.Text(key.first).Int(key.second).Int(i + 1).Blob(run.history().events(i).SerializeAsString()).Run());
    }
    (*written)[key] = run.history().events_size();
    return {};
  }

  Result<std::vector<StoredExecution>> Load(const std::string& workflow_id) {
    std::vector<StoredExecution> chain;
    {
      LOCKSTEP_ASSIGN(Statement rows,
                      connection_->Prepare("SELECT state FROM executions WHERE workflow_id = ? ORDER BY position"));
      rows.Text(workflow_id);
      while (true) {
        LOCKSTEP_ASSIGN(const bool row, rows.Step());
        if (!row) break;
        auto state = ParseJson(rows.TextAt(0), {.max_string_bytes = size_t{1} << 30});  // buffered events may be large
        if (!state) return Corrupt(workflow_id, "a state that is no JSON");
        chain.push_back({History(), std::move(*state)});
      }
    }
    LOCKSTEP_ASSIGN(
        Statement rows,
        connection_->Prepare(
            "SELECT position, event_id, event FROM history WHERE workflow_id = ? ORDER BY position, event_id"));
    rows.Text(workflow_id);
    while (true) {
      LOCKSTEP_ASSIGN(const bool row, rows.Step());
      if (!row) break;
      const int64_t position = rows.IntAt(0);
      if (position < 1 || position > static_cast<int64_t>(chain.size()))
        return Corrupt(workflow_id, "events of execution " + std::to_string(position));
      History& history = chain[static_cast<size_t>(position - 1)].history;
      if (rows.IntAt(1) != history.events_size() + 1)
        return Corrupt(workflow_id, "a gap before event " + std::to_string(rows.IntAt(1)));
      const std::string_view bytes = rows.BlobAt(2);
      if (!history.add_events()->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return Corrupt(workflow_id, "event " + std::to_string(rows.IntAt(1)));
    }
    for (size_t i = 0; i < chain.size(); ++i)
      saved_[{workflow_id, static_cast<int32_t>(i + 1)}] = chain[i].history.events_size();
    return chain;
  }

  std::unexpected<Error> Corrupt(const std::string& workflow_id, const std::string& what) const {
    return Fail("EMBEDDED_STATE_CORRUPT", name_ + ": run " + workflow_id + ": " + what);
  }

  const std::string name_;
  std::mutex mutex_;
  std::unique_ptr<Connection> connection_;
  std::map<std::pair<std::string, int32_t>, int> saved_;  // events already written
};

}  // namespace

Result<std::unique_ptr<HistoryStore>> OpenHistoryStore(const std::filesystem::path& file) {
  auto connection = Connection::Open(file.string(), Connection::Mode::kCreate);
  if (!connection) return StoreFailed(file.string(), connection.error());
  auto store = std::make_unique<SqliteHistoryStore>(file.string(), std::move(*connection));
  if (const Status migrated = store->Migrate(); !migrated) {
    if (migrated.error().code == "EMBEDDED_STORE_VERSION") return Fail(migrated.error());
    return StoreFailed(file.string(), migrated.error());
  }
  return store;
}

}  // namespace lockstep::embedded
