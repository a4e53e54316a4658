// SQLite behind RAII and Result: a connection with cached prepared statements. One thread at a time per connection; the
// store above hands connections out. Knows no rules and no tables. Errors: STATE_STORE_TIMEOUT (busy for longer than
// the budget, retryable), STATE_STORE_CORRUPT, STATE_STORE_UNAVAILABLE (retryable). SQLite's own result code travels as
// the detail `sqlite`.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine-core/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace lockstep::state::sqlite {

class Connection;

// A lease on a cached statement: bound from left to right, reset when it dies. Column texts live until the next step.
class Statement {
 public:
  Statement(Connection& connection, sqlite3_stmt* handle) : connection_(&connection), handle_(handle) {}
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;

  Statement& Text(std::string_view text);
  Statement& TextOrNull(std::string_view text);  // empty: NULL
  Statement& Blob(std::string_view bytes);
  Statement& Int(int64_t value);
  Statement& IntOrNull(const std::optional<int64_t>& value);

  // True when there is a row.
  Result<bool> Step();
  // Steps to the end; rows, if any, are passed over.
  Status Run();

  bool IsNullAt(int column) const;
  int64_t IntAt(int column) const;
  std::optional<int64_t> OptionalIntAt(int column) const;
  std::string_view TextAt(int column) const;  // empty for NULL
  std::string_view BlobAt(int column) const;

 private:
  Connection* connection_;
  sqlite3_stmt* handle_;
  int next_ = 1;
  int bind_error_ = 0;
};

class Connection {
 public:
  enum class Mode { kReadWrite, kCreate };
  static Result<std::unique_ptr<Connection>> Open(const std::string& path, Mode mode);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // `sql` must be one statement whose text outlives the connection (a literal): it is the key of the cache.
  Result<Statement> Prepare(std::string_view sql);
  // Any number of statements, rows passed over, nothing cached.
  Status Execute(const std::string& sql);
  void SetBusyTimeout(int64_t millis);
  int64_t Changes() const;
  bool InTransaction() const;
  const std::string& path() const { return path_; }

  Error Failure(int code) const;

 private:
  Connection(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}

  std::string path_;
  sqlite3* handle_;
  std::map<std::string_view, sqlite3_stmt*> cache_;
};

}  // namespace lockstep::state::sqlite
