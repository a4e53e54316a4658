// What the plan rules ask of SQL text: calls that give another answer each time, statements that change state when
// repeated, results whose order nobody fixed, settings taken from the server. Each question returns what it found, in
// the words of the text, in order of appearance; an empty list means nothing. Pure functions of tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analyzer/plan/sql.h"

namespace lockstep::analyzer {

using Found = std::vector<std::string>;

Found CurrentTimeIn(const std::vector<SqlStatement>& statements);
Found RandomIn(const std::vector<SqlStatement>& statements);
Found UuidIn(const std::vector<SqlStatement>& statements);
Found ExternalCallsIn(const std::vector<SqlStatement>& statements);
// Query text that is put together at run time by the database: EXECUTE of a concatenation and the like.
Found DynamicSqlIn(const std::vector<SqlStatement>& statements);
// Read-modify-write, inserts without a key, counters, appends (rule determinism-plan-non-idempotent-state).
Found NonIdempotentIn(const std::vector<SqlStatement>& statements);
// Time zone, locale and collation that the server decides (rule determinism-plan-session-settings).
Found SessionSettingsIn(const std::vector<SqlStatement>& statements);
Found EnvironmentIn(const std::vector<SqlStatement>& statements);

// The order of what the last statement returns.
enum class RowOrder : uint8_t {
  kNoRows,     // returns no rows
  kSingleRow,  // at most one
  kTotal,      // ORDER BY a unique key, or of everything that is selected
  kPartial,    // ORDER BY, but rows may tie
  kNone,       // no ORDER BY
};
struct ResultOrder {
  RowOrder order = RowOrder::kNoRows;
  std::string why;  // for people: `ORDER BY amount`, `no ORDER BY`
  // Aggregates whose value depends on the order of their input (`string_agg` without ORDER BY).
  Found unordered_aggregates;
};
ResultOrder OrderOfResult(const std::vector<SqlStatement>& statements);
// A result without total order that the text itself keeps: hashed, exported or cut off by LIMIT and stored.
Found UnorderedKeptIn(const std::vector<SqlStatement>& statements);

// File names that the text writes to (`COPY ... TO 'x'`, `INTO OUTFILE 'x'`).
std::vector<std::string> PathsWrittenBy(const std::vector<SqlStatement>& statements);

// Whether a text reads like an expression or a statement rather than like a sentence: names side by side make a
// sentence.
bool ReadsLikeCode(const std::vector<SqlToken>& tokens);

}  // namespace lockstep::analyzer
