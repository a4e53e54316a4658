#include "engine-core/state/sqlite/schema.h"

#include <array>
#include <string>

namespace lockstep::state::sqlite {
namespace {

constexpr std::string_view kVersion1 = R"sql(
CREATE TABLE run_metadata (
  run_id          TEXT NOT NULL PRIMARY KEY,
  tenant_id       TEXT NOT NULL,
  project_id      TEXT NOT NULL,
  environment_id  TEXT NOT NULL,
  plan_id         TEXT NOT NULL,
  plan_version    TEXT NOT NULL,
  plan_sha256     TEXT NOT NULL,
  provider        TEXT NOT NULL,
  provider_ref    TEXT,
  run_request_id  TEXT,
  request_key     TEXT,
  original_run_id TEXT,
  created_at      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX run_metadata_request ON run_metadata (tenant_id, request_key) WHERE request_key IS NOT NULL;
CREATE INDEX run_metadata_newest ON run_metadata (tenant_id, created_at, run_id);

CREATE TABLE run_heads (
  run_id            TEXT NOT NULL PRIMARY KEY REFERENCES run_metadata (run_id),
  tenant_id         TEXT NOT NULL,
  last_seq          INTEGER NOT NULL,
  last_persisted_at INTEGER NOT NULL,
  status            TEXT NOT NULL
) STRICT;
CREATE INDEX run_heads_status ON run_heads (tenant_id, status);

CREATE TABLE run_events (
  run_id             TEXT NOT NULL REFERENCES run_metadata (run_id),
  run_seq            INTEGER NOT NULL CHECK (run_seq >= 1),
  tenant_id          TEXT NOT NULL,
  idempotency_key    TEXT NOT NULL,
  event_id           TEXT NOT NULL,
  event_type         TEXT NOT NULL,
  step_id            TEXT,
  logical_attempt_id INTEGER NOT NULL CHECK (logical_attempt_id >= 1),
  engine_attempt_id  INTEGER NOT NULL CHECK (engine_attempt_id >= 1),
  emitted_at         TEXT NOT NULL,
  persisted_at       TEXT NOT NULL,
  record             TEXT NOT NULL,
  PRIMARY KEY (run_id, run_seq),
  UNIQUE (run_id, idempotency_key)
) STRICT;

CREATE TABLE run_snapshots (
  run_id         TEXT NOT NULL PRIMARY KEY REFERENCES run_metadata (run_id),
  tenant_id      TEXT NOT NULL,
  last_event_seq INTEGER NOT NULL,
  snapshot       TEXT NOT NULL
) STRICT;
CREATE TABLE run_snapshot_steps (
  run_id    TEXT NOT NULL REFERENCES run_metadata (run_id),
  step_id   TEXT NOT NULL,
  tenant_id TEXT NOT NULL,
  step      TEXT NOT NULL,
  PRIMARY KEY (run_id, step_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE plan_digests (
  tenant_id    TEXT NOT NULL,
  plan_id      TEXT NOT NULL,
  plan_version TEXT NOT NULL,
  sha256       TEXT NOT NULL,
  PRIMARY KEY (tenant_id, plan_id, plan_version)
) STRICT;
CREATE TABLE plans (
  tenant_id TEXT NOT NULL,
  sha256    TEXT NOT NULL,
  bytes     BLOB NOT NULL,
  PRIMARY KEY (tenant_id, sha256)
) STRICT;
CREATE TABLE event_id_registry (
  tenant_id       TEXT NOT NULL,
  run_id          TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  event_id        TEXT NOT NULL,
  PRIMARY KEY (tenant_id, run_id, idempotency_key)
) STRICT;

CREATE TABLE signal_decisions (
  signal_decision_id TEXT NOT NULL PRIMARY KEY,
  tenant_id          TEXT NOT NULL,
  run_id             TEXT NOT NULL REFERENCES run_metadata (run_id),
  signal_id          TEXT NOT NULL,
  decision_seq       INTEGER NOT NULL CHECK (decision_seq >= 1),
  policy_decision_id TEXT NOT NULL UNIQUE,
  recorded_at        TEXT NOT NULL,
  decision           TEXT NOT NULL,
  UNIQUE (tenant_id, run_id, signal_id),
  UNIQUE (run_id, decision_seq)
) STRICT;
CREATE INDEX signal_decisions_time ON signal_decisions (tenant_id, run_id, recorded_at);
CREATE INDEX signal_decisions_signal ON signal_decisions (signal_id);
CREATE TABLE signal_outcomes (
  signal_decision_id TEXT NOT NULL REFERENCES signal_decisions (signal_decision_id),
  kind               TEXT NOT NULL CHECK (kind IN ('approval', 'result')),
  tenant_id          TEXT NOT NULL,
  outcome            TEXT NOT NULL,
  PRIMARY KEY (signal_decision_id, kind)
) STRICT;

CREATE TABLE outbox (
  run_id          TEXT NOT NULL,
  run_seq         INTEGER NOT NULL,
  tenant_id       TEXT NOT NULL,
  id              TEXT NOT NULL,
  event_id        TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  record          TEXT NOT NULL,
  attempts        INTEGER NOT NULL,
  backoff_step    INTEGER NOT NULL,
  last_error      TEXT NOT NULL,
  claim_id        TEXT NOT NULL,
  claimed_at      INTEGER,
  next_attempt_at INTEGER NOT NULL,
  delivered_at    INTEGER,
  ready           INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (run_id, run_seq),
  FOREIGN KEY (run_id, run_seq) REFERENCES run_events (run_id, run_seq)
) STRICT;
CREATE INDEX outbox_pending ON outbox (tenant_id, run_id, run_seq) WHERE delivered_at IS NULL;
CREATE INDEX outbox_ready ON outbox (tenant_id, next_attempt_at, run_id) WHERE ready = 1;
CREATE TABLE outbox_dead_letter (
  run_id          TEXT NOT NULL,
  run_seq         INTEGER NOT NULL,
  tenant_id       TEXT NOT NULL,
  id              TEXT NOT NULL,
  event_id        TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  record          TEXT NOT NULL,
  attempts        INTEGER NOT NULL,
  backoff_step    INTEGER NOT NULL,
  last_error      TEXT NOT NULL,
  next_attempt_at INTEGER NOT NULL,
  dead_at         INTEGER NOT NULL,
  PRIMARY KEY (run_id, run_seq)
) STRICT;

CREATE TRIGGER run_heads_forward BEFORE UPDATE ON run_heads
WHEN NEW.last_seq < OLD.last_seq OR NEW.last_persisted_at < OLD.last_persisted_at OR NEW.run_id <> OLD.run_id
     OR NEW.tenant_id <> OLD.tenant_id
     OR (OLD.status IN ('COMPLETED', 'FAILED', 'CANCELLED') AND NEW.status <> OLD.status)
BEGIN SELECT RAISE(ABORT, 'run_heads only moves forward'); END;
CREATE TRIGGER run_heads_no_delete BEFORE DELETE ON run_heads
BEGIN SELECT RAISE(ABORT, 'run_heads rows stay'); END;
CREATE TRIGGER run_metadata_columns BEFORE UPDATE OF run_id, tenant_id, project_id, environment_id, plan_id,
  plan_version, plan_sha256, provider, run_request_id, request_key, original_run_id, created_at ON run_metadata
BEGIN SELECT RAISE(ABORT, 'only provider_ref of run_metadata may change'); END;
CREATE TRIGGER run_metadata_no_delete BEFORE DELETE ON run_metadata
BEGIN SELECT RAISE(ABORT, 'run_metadata rows stay'); END;
CREATE TRIGGER run_metadata_no_replace BEFORE INSERT ON run_metadata
WHEN EXISTS (SELECT 1 FROM run_metadata WHERE run_id = NEW.run_id)
BEGIN SELECT RAISE(IGNORE); END;
)sql";

// Tables whose rows are written once. `same` finds the row that an insert would replace.
struct ImmutableTable {
  std::string_view name;
  std::string_view same;
};
constexpr std::array<ImmutableTable, 6> kImmutableTables = {{
    {"run_events", "run_id = NEW.run_id AND (run_seq = NEW.run_seq OR idempotency_key = NEW.idempotency_key)"},
    {"plan_digests", "tenant_id = NEW.tenant_id AND plan_id = NEW.plan_id AND plan_version = NEW.plan_version"},
    {"plans", "tenant_id = NEW.tenant_id AND sha256 = NEW.sha256"},
    {"event_id_registry",
     "tenant_id = NEW.tenant_id AND run_id = NEW.run_id AND idempotency_key = NEW.idempotency_key"},
    {"signal_decisions",
     "signal_decision_id = NEW.signal_decision_id OR policy_decision_id = NEW.policy_decision_id OR "
     "(run_id = NEW.run_id AND (decision_seq = NEW.decision_seq OR signal_id = NEW.signal_id))"},
    {"signal_outcomes", "signal_decision_id = NEW.signal_decision_id AND kind = NEW.kind"},
}};

std::string ImmutabilityTriggers(const ImmutableTable& table) {
  const std::string name(table.name);
  const std::string refuse = " BEGIN SELECT RAISE(ABORT, '" + name + " is append-only'); END;\n";
  return "CREATE TRIGGER " + name + "_no_update BEFORE UPDATE ON " + name + refuse +  //
         "CREATE TRIGGER " + name + "_no_delete BEFORE DELETE ON " + name + refuse +  //
         "CREATE TRIGGER " + name + "_no_replace BEFORE INSERT ON " + name + " WHEN EXISTS (SELECT 1 FROM " + name +
         " WHERE " + std::string(table.same) + ")" + refuse;
}

std::string Version1() {
  std::string sql(kVersion1);
  for (const ImmutableTable& table : kImmutableTables) sql += ImmutabilityTriggers(table);
  return sql;
}

Result<int64_t> CurrentVersion(Connection& connection) {
  LOCKSTEP_ASSIGN(
      Statement known,
      connection.Prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'"));
  LOCKSTEP_TRY(known.Step());
  if (known.IntAt(0) == 0) return 0;
  LOCKSTEP_ASSIGN(Statement version, connection.Prepare("SELECT coalesce(max(version), 0) FROM schema_migrations"));
  LOCKSTEP_TRY(version.Step());
  return version.IntAt(0);
}

std::unexpected<Error> NotMigrated(const Connection& connection, const std::string& found) {
  return Fail("STORE_NOT_MIGRATED", connection.path() + ": expected schema version " + std::to_string(kSchemaVersion) +
                                        " in WAL mode, found " + found);
}

Status ApplyVersion1(Connection& connection, UnixMillis now) {
  LOCKSTEP_TRY(connection.Execute(
      "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, "
      "applied_at TEXT NOT NULL) STRICT"));
  LOCKSTEP_TRY(connection.Execute(Version1()));
  LOCKSTEP_ASSIGN(Statement done,
                  connection.Prepare("INSERT INTO schema_migrations (version, name, applied_at) VALUES (?, ?, ?)"));
  return done.Int(1).Text("initial tables").Text(FormatUtcMillis(now)).Run();
}

}  // namespace

Status MigrateSchema(Connection& connection, UnixMillis now) {
  // WAL mode is a property of the file and cannot change inside a transaction.
  LOCKSTEP_TRY(connection.Execute("PRAGMA journal_mode = WAL"));
  LOCKSTEP_TRY(connection.Execute("BEGIN IMMEDIATE"));
  const Status migrated = [&]() -> Status {
    LOCKSTEP_ASSIGN(const int64_t version, CurrentVersion(connection));
    if (version > kSchemaVersion)
      return NotMigrated(connection, "version " + std::to_string(version) + " of a newer build");
    return version < 1 ? ApplyVersion1(connection, now) : Status{};
  }();
  if (!migrated) {
    (void)connection.Execute("ROLLBACK");
    return migrated;
  }
  return connection.Execute("COMMIT");
}

Status CheckSchema(Connection& connection) {
  LOCKSTEP_ASSIGN(const int64_t version, CurrentVersion(connection));
  if (version != kSchemaVersion) {
    return NotMigrated(connection, version == 0 ? std::string("no schema") : "version " + std::to_string(version));
  }
  LOCKSTEP_ASSIGN(Statement mode, connection.Prepare("PRAGMA journal_mode"));
  LOCKSTEP_TRY(mode.Step());
  if (mode.TextAt(0) != "wal") return NotMigrated(connection, "journal mode " + std::string(mode.TextAt(0)));
  return {};
}

}  // namespace lockstep::state::sqlite
