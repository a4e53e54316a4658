// SQL as a stream of tokens, cut into statements. Comments vanish; string literals and quoted names are tokens of their
// own, so that a rule that looks for a word never meets the inside of one (spec 07 section 5). There is no grammar: the
// rules need to know what is code, who calls what, and where a statement ends, in every dialect at once.
//
// Pure; every position is a byte offset into the text that was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::analyzer {

enum class SqlDialect : uint8_t {
  kGeneric,
  kPostgres,
  kMysql,
  kSqlite,
  kTsql,
  kOracle,
  kSnowflake,
  kBigquery,
  kDuckdb,
  kClickhouse,
  kSpark,
  kTrino,
};
std::string_view SqlDialectName(SqlDialect dialect);
// Also common aliases (`postgresql`, `mariadb`, `mssql`, `databricks` ...); nothing for a foreign name.
std::optional<SqlDialect> SqlDialectFromName(std::string_view name);
// What a connection or URL tells about the dialect: `postgres://...`, `sqlite:x.db`, `wh-snowflake`. kGeneric when
// nothing.
SqlDialect GuessSqlDialect(std::string_view hint);

struct SqlToken {
  enum class Kind : uint8_t { kWord, kQuotedName, kString, kNumber, kBind, kPunctuation, kTemplate };
  Kind kind = Kind::kPunctuation;
  // Words in lower case; names and strings without their quotes; templates without their delimiters.
  std::string text;
  size_t offset = 0;
  bool Is(std::string_view word) const { return kind == Kind::kWord && text == word; }
  bool Punct(char c) const { return kind == Kind::kPunctuation && text.size() == 1 && text[0] == c; }
  bool IsName() const { return kind == Kind::kWord || kind == Kind::kQuotedName; }
};

using SqlStatement = std::vector<SqlToken>;

std::vector<SqlToken> TokenizeSql(std::string_view text, SqlDialect dialect = SqlDialect::kGeneric);
// Split at `;` outside parentheses; empty statements are left out. BEGIN ... END bodies are cut as well: for rules that
// look at one statement that is what is wanted.
std::vector<SqlStatement> ParseSql(std::string_view text, SqlDialect dialect = SqlDialect::kGeneric);

// Whether a text starts like a SQL statement.
bool LooksLikeSql(std::string_view text);

// Index of the parenthesis that closes the one at `open`, or the statement's size.
size_t MatchingParenthesis(const SqlStatement& statement, size_t open);

// A token that calls a function: a word with `(` behind it, no column of a table (`t.now(`), not defined here.
struct SqlCall {
  size_t at = 0;     // the name
  size_t open = 0;   // its `(`
  size_t close = 0;  // its `)`
  bool no_arguments() const { return close == open + 1; }
};
std::vector<SqlCall> CallsIn(const SqlStatement& statement);
// Arguments of a call as [begin, end) ranges of token indices.
std::vector<std::pair<size_t, size_t>> ArgumentsOf(const SqlStatement& statement, const SqlCall& call);

}  // namespace lockstep::analyzer
