#include "engine-core/steps/sql_query.h"

#include <sqlite3.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "engine-core/base/base64.h"
#include "engine-core/base/bytes.h"
#include "engine-core/steps/carriable.h"
#include "engine-core/steps/heartbeat.h"
#include "engine-core/steps/params.h"
#include "engine-core/steps/services.h"
#include "engine-core/steps/step_error.h"
#include "engine-core/steps/text.h"

namespace lockstep::steps {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Rows up to this size stay in the result; its other members have the rest of the 32 000 bytes.
constexpr size_t kInlineRowBytes = 24'000;
constexpr int kProgressSteps = 2'000;  // virtual machine steps between two looks at the cancellation
constexpr auto kBusyNap = std::chrono::milliseconds(10);

// Why a statement was interrupted.
enum class Stop : uint8_t { kNone, kCancelled, kTimedOut };

// What the callbacks that SQLite calls need. Lives as long as the connection.
struct Guard {
  activity::ActivityContext* context;
  SteadyClock::time_point busy_until;
  std::optional<SteadyClock::time_point> deadline;
  Stop stop = Stop::kNone;
  bool authorize = false;  // off while we begin and commit
  SteadyClock::time_point next_heartbeat;

  // Also reports progress, because this is what gets called all the time.
  bool ShouldStop() {
    if (const auto now = SteadyClock::now(); now >= next_heartbeat) {
      context->Heartbeat(Json());
      next_heartbeat = now + kHeartbeatInterval;
    }
    if (stop == Stop::kNone && context->cancelled()) stop = Stop::kCancelled;
    if (stop == Stop::kNone && deadline && SteadyClock::now() >= *deadline) stop = Stop::kTimedOut;
    return stop != Stop::kNone;
  }
};

int OnProgress(void* data) { return static_cast<Guard*>(data)->ShouldStop() ? 1 : 0; }

int OnBusy(void* data, int) {
  auto* guard = static_cast<Guard*>(data);
  if (guard->ShouldStop() || SteadyClock::now() >= guard->busy_until) return 0;
  std::this_thread::sleep_for(kBusyNap);
  return 1;
}

// Pragmas that only read.
bool IsHarmlessPragma(std::string_view name, const char* argument) {
  static constexpr std::string_view kWithArgument[] = {"table_info",       "table_xinfo",      "index_info",
                                                       "index_xinfo",      "index_list",       "table_list",
                                                       "foreign_key_list", "foreign_key_check"};
  static constexpr std::string_view kReadOnly[] = {"user_version",   "application_id", "encoding",
                                                   "page_count",     "page_size",      "journal_mode",
                                                   "schema_version", "foreign_keys",   "freelist_count"};
  for (const std::string_view legal : kWithArgument) {
    if (name == legal) return true;
  }
  if (argument != nullptr) return false;
  for (const std::string_view legal : kReadOnly) {
    if (name == legal) return true;
  }
  return false;
}

int OnAuthorize(void* data, int action, const char* first, const char* second, const char*, const char*) {
  if (!static_cast<Guard*>(data)->authorize) return SQLITE_OK;
  switch (action) {
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      return SQLITE_DENY;
    case SQLITE_FUNCTION:
      return second != nullptr && sqlite3_stricmp(second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_PRAGMA:
      return first != nullptr && IsHarmlessPragma(AsciiLower(std::string_view(first)), second) ? SQLITE_OK
                                                                                               : SQLITE_DENY;
    default:
      return SQLITE_OK;
  }
}

struct CloseConnection {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Connection = std::unique_ptr<sqlite3, CloseConnection>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

// ---- errors ----

Error ErrorOf(sqlite3* db, int code, const Guard& guard) {
  const std::string text = "sql.query: " + PrintableText(db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code));
  if (guard.stop == Stop::kCancelled) return CancelledError("sql.query: stopped because the step was cancelled");
  if (guard.stop == Stop::kTimedOut) return TimeoutError("sql.query: stopped because the attempt's time was over");
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_FULL:
    case SQLITE_PROTOCOL:
    case SQLITE_SCHEMA:
      return TransientError(text);
    case SQLITE_AUTH:
      return StepError("SQL_NOT_ALLOWED", Category::kUser, false,
                       text + " (ATTACH, transactions, extensions and changing pragmas are not for steps)");
    case SQLITE_CANTOPEN:
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return StepError("SQL_CONNECTION_FAILED", Category::kPlatform, false, text);
    default:
      return PermanentError(text);
  }
}

// ---- connection ----

// The connection that a name means: first a secret of the step that holds `sqlite:<path>`, then the worker's
// configuration.
Result<SqlConnection> FindConnection(const std::string& name, const StepRequest& request, const SqlSettings& settings) {
  if (const auto secret = request.secrets.find(name); secret != request.secrets.end()) {
    constexpr std::string_view kScheme = "sqlite:";
    if (!secret->second.starts_with(kScheme) || secret->second.size() == kScheme.size()) {
      return Fail(StepError("SQL_CONNECTION_UNKNOWN", Category::kUser, false,
                            "connection `" + ShortText(name) + "`: expected a secret that reads `sqlite:<path>`"));
    }
    return SqlConnection{secret->second.substr(kScheme.size()), SqlConnection::Mode::kReadWrite};
  }
  if (const auto entry = settings.connections.find(name); entry != settings.connections.end()) return entry->second;
  return Fail(
      StepError("SQL_CONNECTION_UNKNOWN", Category::kUser, false,
                "connection `" + ShortText(name) + "`: neither a secret of this step nor a connection of this worker"));
}

int OpenFlags(SqlConnection::Mode mode) {
  // No URI file names: a path is a path.
  constexpr int kCommon = SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (mode) {
    case SqlConnection::Mode::kReadOnly:
      return kCommon | SQLITE_OPEN_READONLY;
    case SqlConnection::Mode::kReadWrite:
      return kCommon | SQLITE_OPEN_READWRITE;
    case SqlConnection::Mode::kCreate:
      return kCommon | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  }
  return kCommon;
}

Result<Connection> Open(const SqlConnection& target, Guard* guard) {
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(target.path.c_str(), &raw, OpenFlags(target.mode), nullptr);
  Connection db(raw);
  if (opened != SQLITE_OK) return Fail(ErrorOf(raw, opened, *guard));
  sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_busy_handler(raw, OnBusy, guard);
  sqlite3_progress_handler(raw, kProgressSteps, OnProgress, guard);
  sqlite3_set_authorizer(raw, OnAuthorize, guard);
  return db;
}

// ---- values ----

Json ColumnValue(sqlite3_stmt* row, int column) {
  const auto bytes = [row, column](const void* data) {
    return std::string_view(static_cast<const char*>(data), static_cast<size_t>(sqlite3_column_bytes(row, column)));
  };
  switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER: {
      const Json value(static_cast<int64_t>(sqlite3_column_int64(row, column)));
      return IsCarriableNumber(value) ? value : Json(CanonicalJson(value));
    }
    case SQLITE_FLOAT: {
      const double value = sqlite3_column_double(row, column);
      if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
      return IsCarriableNumber(value) ? Json(value) : Json(CanonicalJson(value));
    }
    case SQLITE_TEXT: {
      const std::string_view text = bytes(sqlite3_column_text(row, column));
      if (IsValidUtf8(text)) return text;
      return Json::MakeObject({{"base64", Base64Encode(text)}});
    }
    case SQLITE_BLOB:
      return Json::MakeObject({{"base64", Base64Encode(bytes(sqlite3_column_blob(row, column)))}});
    default:
      return nullptr;
  }
}

int Bind(sqlite3_stmt* statement, int index, const Json& value) {
  switch (value.kind()) {
    case Json::Kind::kBool:
      return sqlite3_bind_int(statement, index, value.AsBool() ? 1 : 0);
    case Json::Kind::kInt:
      return sqlite3_bind_int64(statement, index, value.AsInt());
    case Json::Kind::kDouble:
      return sqlite3_bind_double(statement, index, value.AsDouble());
    case Json::Kind::kString:
      return sqlite3_bind_text64(statement, index, value.AsString().data(), value.AsString().size(), SQLITE_TRANSIENT,
                                 SQLITE_UTF8);
    default:
      return sqlite3_bind_null(statement, index);
  }
}

// ---- rows ----

// The rows of a statement as the text of a canonical JSON array: in memory while small, then in the artifact store.
class Rows {
 public:
  Rows(const StepRequest& request, Services& services) : request_(request), services_(services) {}

  Status Add(const Json& row) {
    std::string text(count_ == 0 ? "[" : ",");
    AppendCanonicalJson(request_.redactor.RedactJson(row), &text);
    ++count_;
    buffer_ += text;
    if (buffer_.size() < (writer_ ? kFlushBytes : kInlineRowBytes)) return {};
    return Flush();
  }

  // Members `rows` or `rowsRef`, and `rowCount`.
  Status Finish(StepOutput* output) {
    buffer_ += count_ == 0 ? "[]" : "]";
    output->result->Set("rowCount", Json(count_));
    if (!writer_) {
      LOCKSTEP_ASSIGN(Json rows, ParseJson(buffer_, JsonLimits{.max_depth = 8, .max_string_bytes = kInlineRowBytes}));
      output->result->Set("rows", std::move(rows));
      return {};
    }
    LOCKSTEP_TRY(Flush());
    LOCKSTEP_ASSIGN(artifacts::ArtifactRef ref, writer_->Commit("rows"));
    output->result->Set("rowsRef", artifacts::ToJson(ref));
    output->artifacts.push_back(std::move(ref));
    return {};
  }

 private:
  static constexpr size_t kFlushBytes = 256 * 1024;

  Status Flush() {
    const uint64_t limit = services_.configuration.sql.max_result_bytes;
    if (!writer_) {
      LOCKSTEP_ASSIGN(writer_, services_.artifacts->Create(limit));
    }
    auto status = writer_->Write(buffer_);
    buffer_.clear();
    if (!status && status.error().code == "ARTIFACT_TOO_LARGE") {
      return Fail(
          StepError("SQL_RESULT_TOO_LARGE", Category::kUser, false,
                    "sql.query: expected rows of at most " + std::to_string(limit) + " bytes as JSON, found more"));
    }
    return status;
  }

  const StepRequest& request_;
  Services& services_;
  std::unique_ptr<artifacts::ArtifactWriter> writer_;
  std::string buffer_;
  int64_t count_ = 0;
};

// ---- the work ----

class Query {
 public:
  Query(const StepRequest& request, Services& services, sqlite3* db, Guard* guard)
      : request_(request), services_(services), db_(db), guard_(guard) {}

  Result<StepOutput> Run(const std::string& text, const Json::Array& args) {
    LOCKSTEP_TRY(Command("BEGIN"));
    guard_->authorize = true;
    auto output = Statements(text, args);
    guard_->authorize = false;
    if (output) {
      if (auto committed = Commit(); !committed) output = std::unexpected(std::move(committed).error());
    }
    if (!output) Rollback();
    return output;
  }

 private:
  Status Command(const char* command) {
    const int code = sqlite3_exec(db_, command, nullptr, nullptr, nullptr);
    return code == SQLITE_OK ? Status() : Status(Fail(ErrorOf(db_, code, *guard_)));
  }

  Status Commit() {
    if (guard_->ShouldStop()) return Fail(ErrorOf(db_, SQLITE_INTERRUPT, *guard_));
    return Command("COMMIT");
  }

  void Rollback() {
    // A cancelled step must still be able to take its work back.
    sqlite3_progress_handler(db_, 0, nullptr, nullptr);
    if (sqlite3_get_autocommit(db_) == 0) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }

  Result<StepOutput> Statements(const std::string& text, const Json::Array& args) {
    StepOutput output;
    const int64_t changes_before = sqlite3_total_changes64(db_);
    const char* rest = text.data();
    const char* const end = text.data() + text.size();
    size_t next_arg = 0;
    bool any = false;
    while (rest < end) {
      sqlite3_stmt* raw = nullptr;
      const int prepared = sqlite3_prepare_v2(db_, rest, static_cast<int>(end - rest), &raw, &rest);
      const Statement statement(raw);
      if (prepared != SQLITE_OK) return Fail(ErrorOf(db_, prepared, *guard_));
      if (raw == nullptr) continue;  // white space or a comment
      any = true;
      LOCKSTEP_TRY(BindAll(raw, args, &next_arg));
      output = StepOutput{};
      output.result = Json::MakeObject();
      LOCKSTEP_TRY(Step(raw, &output));
    }
    if (!any) return Fail(PermanentError("sql.query: the query holds no statement"));
    if (next_arg != args.size()) {
      return Fail(PermanentError("sql.query: expected " + std::to_string(next_arg) + " arguments, found " +
                                 std::to_string(args.size())));
    }
    output.result->Set("changes", Json(static_cast<int64_t>(sqlite3_total_changes64(db_) - changes_before)));
    return output;
  }

  // Each statement takes the next arguments, as many as it has parameters.
  Status BindAll(sqlite3_stmt* statement, const Json::Array& args, size_t* next_arg) {
    const int wanted = sqlite3_bind_parameter_count(statement);
    if (args.size() - *next_arg < static_cast<size_t>(wanted)) {
      return Fail(PermanentError("sql.query: expected at least " +
                                 std::to_string(*next_arg + static_cast<size_t>(wanted)) + " arguments, found " +
                                 std::to_string(args.size())));
    }
    for (int index = 1; index <= wanted; ++index) {
      const int code = Bind(statement, index, args[(*next_arg)++]);
      if (code != SQLITE_OK) return Fail(ErrorOf(db_, code, *guard_));
    }
    return {};
  }

  Status Step(sqlite3_stmt* statement, StepOutput* output) {
    Json columns = Json::MakeArray();
    const int column_count = sqlite3_column_count(statement);
    for (int i = 0; i < column_count; ++i) {
      const char* name = sqlite3_column_name(statement, i);
      columns.Push(PrintableText(name != nullptr ? name : ""));
    }
    output->result->Set("columns", std::move(columns));
    Rows rows(request_, services_);
    while (true) {
      const int code = sqlite3_step(statement);
      if (code == SQLITE_DONE) return rows.Finish(output);
      if (code != SQLITE_ROW) return Fail(ErrorOf(db_, code, *guard_));
      Json row = Json::MakeArray();
      for (int i = 0; i < column_count; ++i) row.Push(ColumnValue(statement, i));
      LOCKSTEP_TRY(rows.Add(row));
      if (guard_->ShouldStop()) return Fail(ErrorOf(db_, SQLITE_INTERRUPT, *guard_));
    }
  }

  const StepRequest& request_;
  Services& services_;
  sqlite3* db_;
  Guard* guard_;
};

class SqlQuery final : public StepExecutor {
 public:
  Result<StepOutput> Execute(const StepRequest& request, activity::ActivityContext& context,
                             Services& services) override {
    ParamReader reader(request.params);
    std::string name = reader.RequiredString("connection");
    const std::string query = reader.RequiredString("query");
    const Json::Array* args = reader.OptionalArray("args");
    for (size_t i = 0; args != nullptr && i < args->size(); ++i) {
      const Json& value = (*args)[i];
      if (value.is_array() || value.is_object()) {
        reader.Reject("args[" + std::to_string(i) + "]",
                      "expected null, a boolean, a number or a string, found " + std::string(value.KindName()));
      }
    }
    LOCKSTEP_TRY(reader.Finish());
    // Spec 01 section 5.3: the target may have been changed by UPDATE_TARGET.
    if (const auto target = request.target.find("connection"); target != request.target.end()) name = target->second;
    LOCKSTEP_ASSIGN(const SqlConnection connection, FindConnection(name, request, services.configuration.sql));

    const auto now = SteadyClock::now();
    Guard guard{&context, now + std::chrono::milliseconds(services.configuration.sql.busy_timeout_ms)};
    if (const int64_t limit = context.info().start_to_close_ms; limit > 0)
      guard.deadline = now + std::chrono::milliseconds(limit);
    if (guard.ShouldStop()) return Fail(ErrorOf(nullptr, SQLITE_INTERRUPT, guard));
    LOCKSTEP_ASSIGN(const Connection db, Open(connection, &guard));
    static const Json::Array kNoArgs;
    return Query(request, services, db.get(), &guard).Run(query, args != nullptr ? *args : kNoArgs);
  }
};

}  // namespace

std::shared_ptr<StepExecutor> SqlQueryExecutor() { return std::make_shared<SqlQuery>(); }

}  // namespace lockstep::steps
