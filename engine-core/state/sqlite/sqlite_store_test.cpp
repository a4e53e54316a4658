// What only the SQLite store promises: migration, immutability by trigger, several processes, sudden death, a failing
// disk.
#include "engine-core/state/sqlite/sqlite_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "engine-core/base/files.h"
#include "engine-core/state/projector.h"
#include "engine-core/state/store_fixtures.h"
#include "engine-core/state/testing/event_builder.h"

namespace lockstep::state {
namespace {

using testing::EventBuilder;

// A plain connection, as an operator's shell would be.
class RawDatabase {
 public:
  explicit RawDatabase(const std::string& path) { EXPECT_EQ(sqlite3_open(path.c_str(), &handle_), SQLITE_OK); }
  ~RawDatabase() { sqlite3_close(handle_); }
  RawDatabase(const RawDatabase&) = delete;
  RawDatabase& operator=(const RawDatabase&) = delete;
  // Empty when it worked.
  std::string Execute(const std::string& sql) {
    char* text = nullptr;
    if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, &text) == SQLITE_OK) return {};
    std::string message = text != nullptr ? text : "error";
    sqlite3_free(text);
    return message;
  }
  std::string Value(const std::string& sql) {
    std::string value;
    const auto read = [](void* out, int count, char** columns, char**) {
      if (count > 0 && columns[0] != nullptr) *static_cast<std::string*>(out) = columns[0];
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(handle_, sql.c_str(), read, &value, nullptr), SQLITE_OK) << sql;
    return value;
  }

 private:
  sqlite3* handle_ = nullptr;
};

class SqliteStoreTest : public ::testing::Test {
 protected:
  std::string Path() const { return (folder_.path() / "state.db").string(); }
  void Migrate() { ASSERT_TRUE(MigrateSqliteStore(Path(), clock_)); }
  std::unique_ptr<IRunStateStore> Open(int64_t budget = kWriteBudgetMs) {
    auto store = OpenSqliteStore(Path(), {.services = {&clock_, &ids_, &alerts_}, .write_budget_ms = budget});
    EXPECT_TRUE(store) << store.error().ToString();
    return store ? std::move(*store) : nullptr;
  }
  // Everything a dead or failed writer could have torn apart.
  void ExpectWhole(IRunStateStore& store, int64_t at_least) {
    const int64_t head = *store.HeadSeq(scope_, "run-1");
    EXPECT_GE(head, at_least);
    const auto records = store.FetchEvents(scope_, "run-1", 0, kMaxFetchLimit);
    ASSERT_TRUE(records);
    ASSERT_EQ(static_cast<int64_t>(records->size()), head);
    for (size_t i = 0; i < records->size(); ++i) EXPECT_EQ((*records)[i].run_seq, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(store.GetSnapshot(scope_, "run-1")->value(), *store.ProjectSnapshot(scope_, "run-1"));
    RawDatabase raw(Path());
    EXPECT_EQ(raw.Value("PRAGMA integrity_check"), "ok");
    EXPECT_EQ(raw.Value("SELECT count(*) FROM outbox"), std::to_string(head));
    EXPECT_EQ(raw.Value("SELECT count(*) FROM outbox WHERE ready = 1"), "1");
    EXPECT_EQ(raw.Value("SELECT count(*) FROM run_events"), std::to_string(head));
  }

  testing::ManualClock clock_{testing::kEpoch};
  testing::CountingIds ids_{1'000'000};
  testing::RecordingAlerts alerts_;
  TemporaryDirectory folder_ = *TemporaryDirectory::Create("lockstep-sqlite");
  TenantScope scope_{"t1"};
};

TEST_F(SqliteStoreTest, Open_WithoutMigrationIsStoreNotMigrated) {
  const auto open = [&] { return OpenSqliteStore(Path(), {.services = {&clock_, &ids_}}); };
  ASSERT_FALSE(open());
  EXPECT_EQ(open().error().code, "STORE_NOT_MIGRATED");
  RawDatabase(Path()).Execute("CREATE TABLE unrelated (x)");
  EXPECT_EQ(open().error().code, "STORE_NOT_MIGRATED");
}

TEST_F(SqliteStoreTest, Open_RefusesASchemaOfANewerBuild) {
  Migrate();
  RawDatabase(Path()).Execute("INSERT INTO schema_migrations VALUES (99, 'future', 'now')");
  EXPECT_EQ(OpenSqliteStore(Path(), {.services = {&clock_, &ids_}}).error().code, "STORE_NOT_MIGRATED");
  EXPECT_EQ(MigrateSqliteStore(Path(), clock_).error().code, "STORE_NOT_MIGRATED");
}

TEST_F(SqliteStoreTest, Open_OfAFileThatIsNoDatabaseFails) {
  ASSERT_TRUE(WriteFileAtomically(Path(), std::string(8192, 'x')));
  EXPECT_EQ(OpenSqliteStore(Path(), {.services = {&clock_, &ids_}}).error().code, "STATE_STORE_CORRUPT");
}

TEST_F(SqliteStoreTest, Migrate_IsIdempotentAndKeepsTheData) {
  Migrate();
  EventBuilder b;
  ASSERT_TRUE(Open()->BootstrapRun(scope_, b.Metadata(), std::vector{b.Queued()}));
  Migrate();
  EXPECT_EQ(*Open()->HeadSeq(scope_, "run-1"), 1);
  EXPECT_EQ(RawDatabase(Path()).Value("PRAGMA journal_mode"), "wal");
}

TEST_F(SqliteStoreTest, Schema_HasTheTablesOfSection103AllStrict) {
  Migrate();
  RawDatabase raw(Path());
  for (const std::string table :
       {"run_metadata", "run_heads", "run_events", "run_snapshots", "plan_digests", "signal_decisions",
        "signal_outcomes", "event_id_registry", "outbox", "outbox_dead_letter", "schema_migrations"}) {
    EXPECT_EQ(raw.Value("SELECT strict FROM pragma_table_list WHERE name = '" + table + "'"), "1") << table;
  }
  EXPECT_EQ(raw.Value("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 "
                      "AND name NOT LIKE "
                      "'sqlite_%'"),
            "0");
}

TEST_F(SqliteStoreTest, Triggers_AbortUpdateDeleteAndReplaceOfImmutableRows) {
  Migrate();
  EventBuilder b;
  const auto store = Open();
  ASSERT_TRUE(store->BootstrapRun(scope_, b.Metadata(), std::vector{b.Queued()}));
  ASSERT_TRUE(store->PutPlan(scope_, "{}"));
  ASSERT_TRUE(store->ReserveEventId(scope_, "run-1", std::string(64, 'a'), testing::TestUuid(1)));
  SignalDecision decision;
  decision.run_id = "run-1";
  decision.signal_decision_id = testing::TestUuid(11);
  decision.signal_id = testing::TestUuid(12);
  decision.policy_decision_id = testing::TestUuid(13);
  decision.signal_type = "PAUSE";
  decision.request_fingerprint = std::string(64, 'f');
  decision.decision = SignalVerdict::kRevisionRequired;
  decision.audit = {.actor_id = "user-1", .actor_role = "Operator"};
  ASSERT_TRUE(store->RecordSignalDecision(scope_, decision, {}));
  ASSERT_TRUE(store->RecordSignalResult(scope_, decision.signal_decision_id, {.success = true}));
  RawDatabase raw(Path());
  for (const std::string table :
       {"run_events", "plan_digests", "plans", "event_id_registry", "signal_decisions", "signal_outcomes"}) {
    const std::string refusal = table + " is append-only";
    EXPECT_EQ(raw.Value("SELECT count(*) FROM " + table), "1") << table;
    EXPECT_EQ(raw.Execute("UPDATE " + table + " SET tenant_id = 't2'"), refusal);
    EXPECT_EQ(raw.Execute("DELETE FROM " + table), refusal);
    EXPECT_EQ(raw.Execute("INSERT OR REPLACE INTO " + table + " SELECT * FROM " + table), refusal);
  }
  EXPECT_NE(raw.Execute("UPDATE run_metadata SET plan_id = 'x'"), "");
  EXPECT_NE(raw.Execute("DELETE FROM run_metadata"), "");
  EXPECT_NE(raw.Execute("UPDATE run_heads SET last_seq = 0"), "");
  EXPECT_NE(raw.Execute("DELETE FROM run_heads"), "");
  EXPECT_EQ(
      raw.Execute(
          "INSERT OR REPLACE INTO run_metadata (run_id, tenant_id, project_id, environment_id, plan_id, plan_version, "
          "plan_sha256, provider, created_at) VALUES ('run-1', 't2', 'p', 'e', 'p', '1', 's', 'mock', 0)"),
      "");
  EXPECT_EQ(raw.Value("SELECT tenant_id FROM run_metadata"), "t1") << "a replacing insert is ignored";
}

TEST_F(SqliteStoreTest, Triggers_ATerminalHeadStaysTerminal) {
  Migrate();
  EventBuilder b;
  ASSERT_TRUE(Open()->BootstrapRun(scope_, b.Metadata(), testing::HelloWorldEvents(b)));
  EXPECT_NE(RawDatabase(Path()).Execute("UPDATE run_heads SET status = 'RUNNING'"), "");
}

TEST_F(SqliteStoreTest, Append_BusyForTheWriteBudgetIsStateStoreTimeout) {
  Migrate();
  EventBuilder b;
  const auto store = Open(50);
  ASSERT_TRUE(store->BootstrapRun(scope_, b.Metadata(), std::vector{b.Queued()}));
  RawDatabase other(Path());
  ASSERT_EQ(other.Execute("BEGIN IMMEDIATE"), "");
  const std::vector<EventWrite> batch = {b.Run("RunStarted")};
  const auto result = store->AppendEvents(scope_, "run-1", batch);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "STATE_STORE_TIMEOUT");
  EXPECT_TRUE(result.error().retryable);
  EXPECT_EQ(*store->HeadSeq(scope_, "run-1"), 1) << "readers do not wait";
  SignalDecision decision;
  decision.run_id = "run-1";
  decision.signal_decision_id = decision.signal_id = decision.policy_decision_id = testing::TestUuid(1);
  decision.signal_type = "PAUSE";
  decision.request_fingerprint = std::string(64, 'f');
  decision.decision = SignalVerdict::kRevisionRequired;
  decision.audit = {.actor_id = "user-1", .actor_role = "Operator"};
  EXPECT_EQ(store->RecordSignalDecision(scope_, decision, {}).error().code, "SIGNAL_PERSIST_FAILED");
  ASSERT_EQ(other.Execute("ROLLBACK"), "");
  EXPECT_EQ(store->AppendEvents(scope_, "run-1", batch)->head_seq, 2) << "the same append succeeds afterwards";
}

TEST_F(SqliteStoreTest, Append_WaitsForAnotherThreadWithinTheBudget) {
  Migrate();
  EventBuilder b;
  const auto store = Open();
  ASSERT_TRUE(store->BootstrapRun(scope_, b.Metadata(), std::vector{b.Queued()}));
  const auto second = Open();
  for (int i = 1; i <= 20; ++i) {
    IRunStateStore& turn = i % 2 == 0 ? *store : *second;
    ASSERT_EQ(turn.AppendEvents(scope_, "run-1", std::vector{b.Plain("VendorNote", i)})->head_seq, i + 1)
        << "two stores on one file see each other's rows, whatever they cache";
  }
  ExpectWhole(*store, 21);
}

TEST_F(SqliteStoreTest, Read_OfARowThatCannotBeParsedIsStateStoreCorrupt) {
  Migrate();
  EventBuilder b;
  ASSERT_TRUE(Open()->BootstrapRun(scope_, b.Metadata(), std::vector{b.Queued()}));
  RawDatabase raw(Path());
  ASSERT_EQ(raw.Execute("DROP TRIGGER run_events_no_update; UPDATE run_events SET record = '{'; UPDATE run_snapshots "
                        "SET snapshot = '[]'"),
            "");
  const auto store = Open();
  EXPECT_EQ(store->FetchEvents(scope_, "run-1").error().code, "STATE_STORE_CORRUPT");
  EXPECT_EQ(store->GetSnapshot(scope_, "run-1").error().code, "STATE_STORE_CORRUPT");
}

// A child appends and reports every answered head; the parent kills it as soon as it has seen enough of them, which
// catches the child anywhere in its next append.
int64_t AppendUntilKilled(const std::string& path, const TenantScope& scope, int32_t first_occurrence,
                          int answered_before_kill) {
  int pipe_ends[2];
  EXPECT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe_ends[0]);
    testing::ManualClock clock(testing::kEpoch);
    testing::CountingIds ids;
    auto store = OpenSqliteStore(path, {.services = {&clock, &ids}});
    if (!store) ::_exit(3);
    EventBuilder b;
    for (int32_t occurrence = first_occurrence;; occurrence += 3) {
      const auto result =
          (*store)->AppendEvents(scope, "run-1",
                                 std::vector{b.Plain("VendorNote", occurrence), b.Plain("VendorNote", occurrence + 1),
                                             b.Plain("VendorNote", occurrence + 2)});
      if (!result) ::_exit(4);
      if (::write(pipe_ends[1], &result->head_seq, sizeof result->head_seq) != sizeof result->head_seq) ::_exit(5);
    }
  }
  ::close(pipe_ends[1]);
  int64_t head = 0;
  for (int i = 0; i < answered_before_kill; ++i) {
    EXPECT_EQ(::read(pipe_ends[0], &head, sizeof head), static_cast<ssize_t>(sizeof head));
  }
  ::kill(child, SIGKILL);
  // What the child answered between the last read and its death counts as answered, too.
  int64_t late = 0;
  while (::read(pipe_ends[0], &late, sizeof late) == static_cast<ssize_t>(sizeof late)) head = late;
  ::close(pipe_ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  return head;
}

TEST_F(SqliteStoreTest, Kill9InTheMiddleOfAppends_LosesNothingAnsweredAndTearsNothing) {
  Migrate();
  EventBuilder b;
  ASSERT_TRUE(Open()->BootstrapRun(scope_, b.Metadata(), std::vector{b.Queued()}));
  std::mt19937 random(20260212);
  for (int round = 0; round < 12; ++round) {
    const int64_t head = *Open()->HeadSeq(scope_, "run-1");
    const int64_t answered =
        AppendUntilKilled(Path(), scope_, static_cast<int32_t>(head) * 4 + 1, 1 + static_cast<int>(random() % 12));
    const auto store = Open();
    ExpectWhole(*store, answered);
    EXPECT_EQ((*store->HeadSeq(scope_, "run-1") - 1) % 3, 0) << "a batch is whole or absent";
  }
}

TEST_F(SqliteStoreTest, SeveralProcesses_AppendToOneRunWithoutGapsOrLoss) {
  Migrate();
  EventBuilder b;
  ASSERT_TRUE(Open()->BootstrapRun(scope_, b.Metadata(), std::vector{b.Queued()}));
  constexpr int kProcesses = 3, kEach = 30;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = ::fork();
    if (child == 0) {
      testing::ManualClock clock(testing::kEpoch + p * 1'000);
      testing::CountingIds ids;
      auto store = OpenSqliteStore(Path(), {.services = {&clock, &ids}, .write_budget_ms = 60'000});
      if (!store) ::_exit(3);
      EventBuilder mine;
      for (int i = 0; i < kEach; ++i) {
        if (!(*store)->AppendEvents(scope_, "run-1", std::vector{mine.Plain("VendorNote", 1 + p * kEach + i)}))
          ::_exit(4);
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  const auto store = Open();
  EXPECT_EQ(*store->HeadSeq(scope_, "run-1"), 1 + kProcesses * kEach);
  ExpectWhole(*store, 1 + kProcesses * kEach);
}

TEST_F(SqliteStoreTest, DiskThatFillsUp_FailsTheAppendWholeAndTheStoreGoesOn) {
  Migrate();
  EventBuilder b;
  ASSERT_TRUE(Open()->BootstrapRun(scope_, b.Metadata(), std::vector{b.Queued()}));
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{256 * 1024, 256 * 1024};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(2);
    testing::ManualClock clock(testing::kEpoch);
    testing::CountingIds ids;
    auto store = OpenSqliteStore(Path(), {.services = {&clock, &ids}});
    if (!store) ::_exit(3);
    EventBuilder mine;
    for (int32_t i = 1; i < 1'000; ++i) {
      EventWrite note = mine.Plain("VendorNote", i);
      note.payload = Json::MakeObject({{"text", std::string(5'000, 'x')}});
      const int64_t before = *(*store)->HeadSeq(scope_, "run-1");
      const auto result = (*store)->AppendEvents(scope_, "run-1", std::vector{note});
      if (result) continue;
      const bool right = result.error().code == "STATE_STORE_UNAVAILABLE" && result.error().retryable;
      ::_exit(right && *(*store)->HeadSeq(scope_, "run-1") == before ? 0 : 6);
    }
    ::_exit(5);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  const auto store = Open();
  ExpectWhole(*store, 2);
  EXPECT_TRUE(store->AppendEvents(scope_, "run-1", std::vector{b.Run("RunStarted")}));
}

}  // namespace
}  // namespace lockstep::state
