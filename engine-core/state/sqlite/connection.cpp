#include "engine-core/state/sqlite/connection.h"

#include <sqlite3.h>

#include <algorithm>
#include <limits>

namespace lockstep::state::sqlite {
namespace {

int ToInt(int64_t value) { return static_cast<int>(std::clamp<int64_t>(value, 0, std::numeric_limits<int>::max())); }

std::string_view CodeFor(int primary) {
  switch (primary) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "STATE_STORE_TIMEOUT";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "STATE_STORE_CORRUPT";
    default:
      return "STATE_STORE_UNAVAILABLE";
  }
}

}  // namespace

Statement::~Statement() {
  if (handle_ == nullptr) return;
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
}

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_), handle_(other.handle_), next_(other.next_), bind_error_(other.bind_error_) {
  other.handle_ = nullptr;
}

Statement& Statement::Text(std::string_view text) {
  // An empty view may have no address, which SQLite would read as NULL.
  const char* data = text.data() != nullptr ? text.data() : "";
  const int code = sqlite3_bind_text64(handle_, next_++, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

Statement& Statement::TextOrNull(std::string_view text) {
  if (!text.empty()) return Text(text);
  ++next_;
  return *this;
}

Statement& Statement::Blob(std::string_view bytes) {
  const void* data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  const int code = sqlite3_bind_blob64(handle_, next_++, data, bytes.size(), SQLITE_TRANSIENT);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

Statement& Statement::Int(int64_t value) {
  const int code = sqlite3_bind_int64(handle_, next_++, value);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

Statement& Statement::IntOrNull(const std::optional<int64_t>& value) {
  if (value) return Int(*value);
  ++next_;
  return *this;
}

Result<bool> Statement::Step() {
  if (bind_error_ != 0) return Fail(connection_->Failure(bind_error_));
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return Fail(connection_->Failure(code));
}

Status Statement::Run() {
  while (true) {
    LOCKSTEP_ASSIGN(const bool row, Step());
    if (!row) return {};
  }
}

bool Statement::IsNullAt(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
int64_t Statement::IntAt(int column) const { return sqlite3_column_int64(handle_, column); }
std::optional<int64_t> Statement::OptionalIntAt(int column) const {
  if (IsNullAt(column)) return std::nullopt;
  return IntAt(column);
}
std::string_view Statement::TextAt(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_column_bytes(handle_, column))};
}
std::string_view Statement::BlobAt(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<size_t>(sqlite3_column_bytes(handle_, column))};
}

Result<std::unique_ptr<Connection>> Connection::Open(const std::string& path, Mode mode) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (mode == Mode::kCreate ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Connection> connection(new Connection(path, handle));
  if (code != SQLITE_OK) return Fail(connection->Failure(code));
  connection->SetBusyTimeout(3'000);
  LOCKSTEP_TRY(
      connection->Execute("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA recursive_triggers = ON; "
                          "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON"));
  return connection;
}

Connection::~Connection() {
  for (const auto& [sql, statement] : cache_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

Result<Statement> Connection::Prepare(std::string_view sql) {
  const auto found = cache_.find(sql);
  if (found != cache_.end()) return Statement(*this, found->second);
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                      &statement, nullptr);
  if (code != SQLITE_OK) return Fail(Failure(code));
  cache_.emplace(sql, statement);
  return Statement(*this, statement);
}

Status Connection::Execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Fail(Failure(code));
  return {};
}

void Connection::SetBusyTimeout(int64_t millis) { sqlite3_busy_timeout(handle_, ToInt(millis)); }
int64_t Connection::Changes() const { return sqlite3_changes64(handle_); }
bool Connection::InTransaction() const { return sqlite3_get_autocommit(handle_) == 0; }

Error Connection::Failure(int code) const {
  const std::string_view name = CodeFor(code & 0xFF);
  const char* text = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  return Error(std::string(name), path_ + ": " + text, name != "STATE_STORE_CORRUPT")
      .With("sqlite", std::to_string(code));
}

}  // namespace lockstep::state::sqlite
