// Every question is a walk over one statement's tokens; what is a clock or a dice is a table.
#include "analyzer/plan/sql_facts.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>

#include "engine-core/base/bytes.h"

namespace lockstep::analyzer {
namespace {

using Kind = SqlToken::Kind;

template <size_t N>
bool In(const std::string_view (&table)[N], std::string_view word) {
  return std::find(std::begin(table), std::end(table), word) != std::end(table);
}

std::string Upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

void AddOnce(Found* found, std::string what) {
  if (std::find(found->begin(), found->end(), what) == found->end()) found->push_back(std::move(what));
}

bool Has(const SqlStatement& s, std::string_view word) {
  return std::any_of(s.begin(), s.end(), [&](const SqlToken& token) { return token.Is(word); });
}

// Index of `first second` side by side, or npos.
size_t FindPair(const SqlStatement& s, std::string_view first, std::string_view second, size_t from = 0) {
  for (size_t i = from; i + 1 < s.size(); ++i) {
    if (s[i].Is(first) && s[i + 1].Is(second)) return i;
  }
  return std::string::npos;
}

// Words at parenthesis depth 0 only.
size_t FindTop(const SqlStatement& s, std::string_view word, size_t from = 0, size_t to = std::string::npos) {
  int depth = 0;
  for (size_t i = from; i < std::min(to, s.size()); ++i) {
    if (s[i].Punct('(')) ++depth;
    if (s[i].Punct(')')) --depth;
    if (depth == 0 && s[i].Is(word)) return i;
  }
  return std::string::npos;
}

// A word that is used as a value: no column of a table, no alias, no declared name or type.
bool IsBareValue(const SqlStatement& s, size_t i) {
  if (i > 0 && (s[i - 1].Punct('.') || s[i - 1].Is("as"))) return false;
  return !(i + 1 < s.size() && s[i + 1].Punct('.'));
}

// --- time
// ----------------------------------------------------------------------------------------------------------------

// Always the clock, with or without parentheses.
constexpr std::string_view kClockWords[] = {"current_date",   "current_time", "current_timestamp", "localtime",
                                            "localtimestamp", "sysdate",      "systimestamp"};
// The clock when called, whatever the arguments (a precision, a zone).
constexpr std::string_view kClockCalls[] = {"clock_timestamp",
                                            "curdate",
                                            "current_date",
                                            "current_datetime",
                                            "current_time",
                                            "current_timestamp",
                                            "curtime",
                                            "get_current_time",
                                            "get_current_timestamp",
                                            "getdate",
                                            "getutcdate",
                                            "gettimestamp",
                                            "localtime",
                                            "localtimestamp",
                                            "now",
                                            "now64",
                                            "statement_timestamp",
                                            "sysdate",
                                            "sysdatetime",
                                            "sysdatetimeoffset",
                                            "systimestamp",
                                            "sysutcdatetime",
                                            "timeofday",
                                            "timestamp_now",
                                            "transaction_timestamp",
                                            "utc_date",
                                            "utc_time",
                                            "utc_timestamp"};
// The clock only without arguments.
constexpr std::string_view kClockIfEmpty[] = {"date",      "datetime", "julianday",   "time",
                                              "timestamp", "today",    "unix_millis", "unix_timestamp",
                                              "unixepoch", "utcnow",   "yesterday"};
// Functions of SQLite and others that read a time text: 'now' is the clock there.
constexpr std::string_view kTimeReaders[] = {"date",      "datetime",    "julianday", "strftime",     "time",
                                             "timestamp", "timestamptz", "to_date",   "to_timestamp", "unixepoch"};
constexpr std::string_view kRelativeDays[] = {"now", "today", "tomorrow", "yesterday"};
constexpr std::string_view kTimeTypes[] = {"date", "datetime", "time", "timestamp", "timestamptz", "timetz"};

bool IsRelativeDay(const std::string& text) { return In(kRelativeDays, AsciiLower(text)); }

// 'now' as a literal of a time type: 'now'::timestamp, timestamp 'now', cast('now' as date), date('now', ...).
bool IsTimeLiteral(const SqlStatement& s, size_t i) {
  if (s[i].kind != Kind::kString || !IsRelativeDay(s[i].text)) return false;
  if (i + 2 < s.size() && s[i + 1].text == "::" && In(kTimeTypes, s[i + 2].text)) return true;
  if (i + 2 < s.size() && s[i + 1].Is("as") && In(kTimeTypes, s[i + 2].text)) return true;
  if (i > 0 && s[i - 1].kind == Kind::kWord && In(kTimeTypes, s[i - 1].text)) return true;
  return false;
}

}  // namespace

Found CurrentTimeIn(const std::vector<SqlStatement>& statements) {
  Found found;
  for (const SqlStatement& s : statements) {
    std::set<size_t> called;
    for (const SqlCall& call : CallsIn(s)) {
      called.insert(call.at);
      const std::string& name = s[call.at].text;
      const bool reads_now =
          In(kTimeReaders, name) &&
          std::any_of(s.begin() + static_cast<ptrdiff_t>(call.open),
                      s.begin() + static_cast<ptrdiff_t>(std::min(call.close, s.size())), [](const SqlToken& token) {
                        return token.kind == Kind::kString && AsciiLower(token.text) == "now";
                      });
      if (In(kClockCalls, name) || (call.no_arguments() && In(kClockIfEmpty, name)))
        AddOnce(&found, Upper(name) + "()");
      else if (reads_now)
        AddOnce(&found, Upper(name) + "('now')");
      else if (name == "strftime" && ArgumentsOf(s, call).size() == 1)
        AddOnce(&found, "STRFTIME() of the current time");
    }
    for (size_t i = 0; i < s.size(); ++i) {
      // DB2 writes it as two words.
      if (s[i].Is("current") && i + 1 < s.size() &&
          (s[i + 1].Is("timestamp") || s[i + 1].Is("date") || s[i + 1].Is("time"))) {
        AddOnce(&found, "CURRENT " + Upper(s[i + 1].text));
      }
      if (IsTimeLiteral(s, i)) AddOnce(&found, "the time literal '" + s[i].text + "'");
      if (s[i].kind != Kind::kWord || called.contains(i) || !In(kClockWords, s[i].text) || !IsBareValue(s, i)) continue;
      AddOnce(&found, Upper(s[i].text));
    }
  }
  return found;
}

// --- random, ids
// -----------------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view kDiceAlways[] = {
    "crypt_gen_random", "gen_random_bytes", "generaterandomvarchar", "rand32",       "rand64",  "randcanonical",
    "randomblob",       "randombytes",      "randomprintableascii",  "randomstring", "randstr", "random_bytes",
    "random_string",    "random_normal",    "strong_random"};
// Seeded by an argument: RAND(42), RANDOM(7).
constexpr std::string_view kDice[] = {"rand", "randn", "random"};
constexpr std::string_view kUuidAlways[] = {"gen_random_uuid",
                                            "gen_ulid",
                                            "generate_uuid",
                                            "generateuuidv4",
                                            "generateuuidv7",
                                            "generateulid",
                                            "gen_uuid",
                                            "newid",
                                            "newsequentialid",
                                            "random_uuid",
                                            "sys_guid",
                                            "uuid_generate_v1",
                                            "uuid_generate_v1mc",
                                            "uuid_generate_v4",
                                            "uuid_short",
                                            "uuid_v4",
                                            "uuidv4",
                                            "uuidv7"};
constexpr std::string_view kUuidIfEmpty[] = {"ulid", "uuid", "uuid_string"};

bool IsConstant(const SqlToken& token) {
  return token.kind == Kind::kNumber || token.kind == Kind::kBind || token.kind == Kind::kString;
}

// SAMPLE and TABLESAMPLE after a table; REPEATABLE(n) or SEED(n) fixes what they pick.
void SamplesIn(const SqlStatement& s, Found* found) {
  for (size_t i = 0; i + 1 < s.size(); ++i) {
    const bool table_sample = s[i].Is("tablesample");
    const bool sample =
        s[i].Is("sample") && i > 0 &&
        (s[i - 1].kind == Kind::kQuotedName || s[i - 1].Punct(')') || s[i - 1].Is("using") ||
         (s[i - 1].kind == Kind::kWord && !s[i - 1].Is("select") && !s[i - 1].Is("by") && !s[i - 1].Is("as") &&
          !s[i - 1].Is("and") && !s[i - 1].Is("where") && !s[i - 1].Is("from") && !s[i - 1].Is("join") &&
          !s[i - 1].Is("into") && !s[i - 1].Is("on") && !s[i - 1].Is("distinct") && !s[i - 1].Is("or"))) &&
        (s[i + 1].Punct('(') || s[i + 1].kind == Kind::kNumber || s[i + 1].Is("bernoulli") || s[i + 1].Is("system") ||
         s[i + 1].Is("block") || s[i + 1].Is("row") || s[i + 1].Is("reservoir"));
    if (!table_sample && !sample) continue;
    bool seeded = false;
    for (size_t k = i; k + 1 < s.size() && k < i + 14; ++k) {
      if ((s[k].Is("repeatable") || s[k].Is("seed")) && s[k + 1].Punct('(')) {
        seeded = k + 2 < s.size() && IsConstant(s[k + 2]);
      }
    }
    // DuckDB: USING SAMPLE 10% (bernoulli, 42).
    for (size_t k = i; k + 3 < s.size() && k < i + 10; ++k) {
      if (s[k].Punct('(') && s[k + 1].kind == Kind::kWord && s[k + 2].Punct(',') && IsConstant(s[k + 3])) seeded = true;
    }
    if (!seeded) AddOnce(found, Upper(s[i].text) + " without a seed");
  }
}

}  // namespace

Found RandomIn(const std::vector<SqlStatement>& statements) {
  Found found;
  bool seeded = false;
  for (const SqlStatement& s : statements) {
    for (const SqlCall& call : CallsIn(s)) {
      const std::string& name = s[call.at].text;
      const auto arguments = ArgumentsOf(s, call);
      if (name == "setseed" && arguments.size() == 1 && IsConstant(s[arguments[0].first])) seeded = true;
      const bool constant_seed =
          arguments.size() == 1 && arguments[0].second == arguments[0].first + 1 && IsConstant(s[arguments[0].first]);
      const bool package = call.at > 1 && s[call.at - 1].Punct('.') && s[call.at - 2].Is("dbms_random");
      if (package || In(kDiceAlways, name))
        AddOnce(&found, (package ? "DBMS_RANDOM." : "") + Upper(name) + "()");
      else if (In(kDice, name) && !constant_seed && !seeded)
        AddOnce(&found, Upper(name) + "()");
    }
    for (size_t i = 0; i + 2 < s.size(); ++i) {
      if (s[i].Is("dbms_random") && s[i + 1].Punct('.') && s[i + 2].Is("value") &&
          !(i + 3 < s.size() && s[i + 3].Punct('(')))
        AddOnce(&found, "DBMS_RANDOM.VALUE");
    }
    SamplesIn(s, &found);
  }
  return found;
}

Found UuidIn(const std::vector<SqlStatement>& statements) {
  Found found;
  for (const SqlStatement& s : statements) {
    for (const SqlCall& call : CallsIn(s)) {
      const std::string& name = s[call.at].text;
      if (In(kUuidAlways, name) || (call.no_arguments() && In(kUuidIfEmpty, name))) AddOnce(&found, Upper(name) + "()");
    }
  }
  return found;
}

Found ExternalCallsIn(const std::vector<SqlStatement>& statements) {
  constexpr std::string_view kCalls[] = {"dblink",    "dblink_exec", "http",      "http_get",
                                         "http_post", "http_put",    "load_http", "net_http_get",
                                         "openquery", "openrowset",  "url",       "utl_http"};
  Found found;
  for (const SqlStatement& s : statements) {
    for (const SqlCall& call : CallsIn(s)) {
      const std::string& name = s[call.at].text;
      const bool net =
          call.at > 1 && s[call.at - 1].Punct('.') && (s[call.at - 2].Is("net") || s[call.at - 2].Is("utl_http"));
      if (net || (In(kCalls, name) && !call.no_arguments())) AddOnce(&found, Upper(name) + "()");
    }
  }
  return found;
}

Found EnvironmentIn(const std::vector<SqlStatement>& statements) {
  constexpr std::string_view kCalls[] = {"env_var", "getenv", "pg_read_file", "sys_env", "sys_getenv"};
  constexpr std::string_view kHostWords[] = {"@@hostname", "@@servername"};
  Found found;
  for (const SqlStatement& s : statements) {
    for (const SqlCall& call : CallsIn(s)) {
      if (In(kCalls, s[call.at].text)) AddOnce(&found, s[call.at].text + "()");
    }
    for (size_t i = 0; i + 1 < s.size(); ++i) {
      if (s[i].text == "@@" && In(kHostWords, "@@" + s[i + 1].text)) AddOnce(&found, "@@" + s[i + 1].text);
    }
  }
  return found;
}

Found DynamicSqlIn(const std::vector<SqlStatement>& statements) {
  Found found;
  for (const SqlStatement& s : statements) {
    for (size_t i = 0; i < s.size(); ++i) {
      const bool starts = s[i].Is("exec") || s[i].Is("execute") ||
                          (s[i].Is("prepare") && FindTop(s, "from", i) != std::string::npos) ||
                          s[i].Is("sp_executesql") || s[i].Is("exec_immediate");
      if (!starts) continue;
      // EXECUTE of a prepared name with bound arguments is what the rule asks for; text glued together is not.
      const auto glued = std::find_if(s.begin() + static_cast<ptrdiff_t>(i), s.end(), [](const SqlToken& token) {
        return token.text == "||" || token.Punct('+') || token.Is("concat") || token.Is("format") ||
               token.Is("replace") || token.kind == Kind::kTemplate;
      });
      const bool literal = std::any_of(s.begin() + static_cast<ptrdiff_t>(i), s.end(), [](const SqlToken& token) {
        return token.kind == Kind::kString || token.Is("concat") || token.Is("format");
      });
      if (glued != s.end() && literal) {
        AddOnce(&found, Upper(s[i].text) + " of concatenated text");
        break;
      }
    }
    // What is left of a program that pasted strings: '" + day + "'.
    for (size_t i = 0; i < s.size(); ++i) {
      if (s[i].kind != Kind::kString && s[i].kind != Kind::kQuotedName) continue;
      const std::string& text = s[i].text;
      for (const char quote : {'"', '\''}) {
        const size_t begin = text.find(quote);
        const size_t end = text.rfind(quote);
        if (begin == std::string::npos || end == begin) continue;
        const auto joined = [](std::string_view part) {
          const size_t first = part.find_first_not_of(" \t");
          return first != std::string_view::npos &&
                 (part[first] == '+' || part.substr(first).starts_with("||") || part[first] == '&');
        };
        if (joined(std::string_view(text).substr(begin + 1)) &&
            (text[end - 1] == ' ' || text[end - 1] == '+' || text[end - 1] == '|'))
          AddOnce(&found, "text pasted into a literal");
      }
    }
  }
  return found;
}

// --- state that changes on repeat
// ------------------------------------------------------------------------------------------

namespace {

// `schema.table` or `table` at `i`, in lower case; moves `i` behind it.
std::string NameAt(const SqlStatement& s, size_t* i) {
  std::string name;
  while (*i < s.size() && (s[*i].IsName() || s[*i].kind == Kind::kTemplate)) {
    name += AsciiLower(s[*i].text);
    ++*i;
    if (*i < s.size() && s[*i].Punct('.')) {
      name += '.';
      ++*i;
      continue;
    }
    break;
  }
  return name;
}

std::string LastPart(const std::string& name) {
  return name.substr(name.rfind('.') == std::string::npos ? 0 : name.rfind('.') + 1);
}

struct Assignment {
  std::string column;
  size_t begin = 0;  // right-hand side
  size_t end = 0;
};

// `a = 1, t.b = c + 1` behind SET, up to the next clause at the same depth.
std::vector<Assignment> AssignmentsAfter(const SqlStatement& s, size_t set) {
  constexpr std::string_view kEnd[] = {"from", "limit", "on", "order", "output", "returning", "when", "where"};
  std::vector<Assignment> list;
  size_t i = set + 1;
  while (i < s.size()) {
    const std::string column = LastPart(NameAt(s, &i));
    if (column.empty() || i >= s.size() || !s[i].Punct('=')) {
      // += and the like: read-modify-write by itself.
      if (!column.empty() && i + 1 < s.size() && s[i].kind == Kind::kPunctuation && s[i + 1].Punct('='))
        list.push_back({column, std::string::npos, i});
      return list;
    }
    Assignment assignment{column, i + 1, i + 1};
    int depth = 0;
    int cases = 0;
    for (++i; i < s.size(); ++i) {
      if (s[i].Punct('(')) ++depth;
      if (s[i].Punct(')') && --depth < 0) break;
      if (s[i].Is("case")) ++cases;
      if (s[i].Is("end") && cases > 0) --cases;
      if (depth == 0 && cases == 0 && (s[i].Punct(',') || (s[i].kind == Kind::kWord && In(kEnd, s[i].text)))) break;
    }
    assignment.end = i;
    list.push_back(assignment);
    if (i >= s.size() || !s[i].Punct(',')) return list;
    ++i;
  }
  return list;
}

constexpr std::string_view kAppenders[] = {
    "append",   "array_append", "array_cat", "array_concat",      "array_prepend", "concat",      "concat_ws",
    "date_add", "date_sub",     "dateadd",   "json_array_append", "jsonb_insert",  "list_append", "timestampadd"};

bool Mentions(const SqlStatement& s, const Assignment& assignment, const std::string& column) {
  for (size_t i = assignment.begin; i < assignment.end; ++i) {
    if (s[i].IsName() && AsciiLower(s[i].text) == column &&
        !(i + 1 < assignment.end && (s[i + 1].Punct('(') || s[i + 1].Punct('.')))) {
      // excluded.n, source.n and the like are the incoming row.
      if (i > 1 && s[i - 1].Punct('.') &&
          (s[i - 2].Is("excluded") || s[i - 2].Is("new") || s[i - 2].Is("source") || s[i - 2].Is("src") ||
           s[i - 2].Is("s")))
        continue;
      if (i > assignment.begin && s[i - 1].Punct('(') && i > assignment.begin + 1 && s[i - 2].Is("values")) continue;
      return true;
    }
  }
  return false;
}

bool Computes(const SqlStatement& s, const Assignment& assignment) {
  for (size_t i = assignment.begin; i < assignment.end; ++i) {
    if (s[i].Punct('+') || s[i].Punct('-') || s[i].Punct('*') || s[i].Punct('/') || s[i].Punct('%') ||
        s[i].Punct('^') || s[i].text == "||" || s[i].Is("not"))
      return true;
    if (s[i].kind == Kind::kWord && i + 1 < assignment.end && s[i + 1].Punct('(') && In(kAppenders, s[i].text))
      return true;
  }
  return false;
}

// WHERE version = ?: the second run finds nothing to do.
bool GuardedBy(const SqlStatement& s, const std::string& column) {
  const size_t where = FindTop(s, "where");
  if (where == std::string::npos) return false;
  for (size_t i = where + 1; i + 2 < s.size(); ++i) {
    if (s[i].IsName() && AsciiLower(s[i].text) == column && s[i + 1].Punct('=') &&
        (IsConstant(s[i + 2]) || s[i + 2].kind == Kind::kTemplate))
      return true;
  }
  return false;
}

void ReadModifyWriteIn(const SqlStatement& s, Found* found) {
  for (size_t i = 0; i < s.size(); ++i) {
    const bool set = s[i].Is("set") && (Has(s, "update") || Has(s, "merge"));
    const bool duplicate = i > 1 && s[i].Is("update") && s[i - 1].Is("key") && s[i - 2].Is("duplicate");
    if (!set && !duplicate) continue;
    const auto assignments = AssignmentsAfter(s, i);
    for (const Assignment& assignment : assignments) {
      if (assignment.begin == std::string::npos) {
        AddOnce(found, "read-modify-write of " + assignment.column);
      } else if (Mentions(s, assignment, assignment.column) && Computes(s, assignment) &&
                 !GuardedBy(s, assignment.column)) {
        AddOnce(found, "read-modify-write of " + assignment.column);
      }
      // A swap gives the old state back on the second run.
      for (const Assignment& other : assignments) {
        if (assignment.column < other.column && assignment.begin != std::string::npos &&
            other.begin != std::string::npos && Mentions(s, assignment, other.column) &&
            Mentions(s, other, assignment.column)) {
          AddOnce(found, "swap of " + assignment.column + " and " + other.column);
        }
      }
    }
  }
}

// Tables that the text empties or makes itself before it fills them.
struct Prepared {
  std::set<std::string> tables;
  void Note(const SqlStatement& s) {
    size_t i = 0;
    if (s[0].Is("truncate") || (s.size() > 1 && s[0].Is("delete") && s[1].Is("from"))) {
      i = s.size() > 1 && (s[1].Is("table") || s[1].Is("from")) ? 2 : 1;
    } else if (s[0].Is("create")) {
      const size_t table = FindTop(s, "table");
      if (table == std::string::npos) return;
      // CREATE TABLE IF NOT EXISTS may find yesterday's rows.
      const bool keeps = FindPair(s, "if", "not") != std::string::npos && !Has(s, "temp") && !Has(s, "temporary");
      if (keeps) return;
      i = table + 1;
      if (i + 2 < s.size() && s[i].Is("if")) i += 3;
    } else if (s[0].Is("drop") && s.size() > 2 && s[1].Is("table")) {
      i = s[2].Is("if") ? 4 : 2;
    } else {
      return;
    }
    const std::string name = NameAt(s, &i);
    if (!name.empty()) tables.insert(LastPart(name));
  }
};

bool HasKeyClause(const SqlStatement& s) {
  return FindPair(s, "on", "conflict") != std::string::npos || FindPair(s, "on", "duplicate") != std::string::npos ||
         FindPair(s, "insert", "or") != std::string::npos || FindPair(s, "insert", "ignore") != std::string::npos ||
         FindPair(s, "insert", "overwrite") != std::string::npos || FindPair(s, "not", "exists") != std::string::npos ||
         FindPair(s, "not", "in") != std::string::npos || Has(s, "except") || Has(s, "minus") ||
         (FindPair(s, "left", "join") != std::string::npos && FindPair(s, "is", "null") != std::string::npos) ||
         (FindPair(s, "replace", "where") != std::string::npos) ||
         (FindPair(s, "by", "name") != std::string::npos && FindPair(s, "insert", "or") != std::string::npos);
}

void InsertsIn(const SqlStatement& s, const Prepared& prepared, Found* found) {
  for (size_t i = 0; i + 1 < s.size(); ++i) {
    // The INSERT of a MERGE is keyed by its ON.
    if (!s[i].Is("insert") || Has(s, "merge")) continue;
    size_t at = i + 1;
    while (at < s.size() && (s[at].Is("into") || s[at].Is("table") || s[at].Is("all") || s[at].Is("first"))) ++at;
    if (at == i + 1 && !s[at].IsName()) continue;
    if (HasKeyClause(s)) return;
    const std::string table = NameAt(s, &at);
    if (table.empty() || prepared.tables.contains(LastPart(table)) || table[0] == '#') continue;
    AddOnce(found, "INSERT into " + table + " without a key");
    return;
  }
}

constexpr std::string_view kSequences[] = {"currval",       "gen_id",         "identity",
                                           "ident_current", "last_insert_id", "last_insert_rowid",
                                           "lastval",       "nextval",        "scope_identity"};

void CountersIn(const SqlStatement& s, Found* found) {
  for (const SqlCall& call : CallsIn(s)) {
    if (In(kSequences, s[call.at].text) && !(s[call.at].text == "identity" && Has(s, "create")))
      AddOnce(found, Upper(s[call.at].text) + "()");
  }
  for (size_t i = 0; i + 1 < s.size(); ++i) {
    if (s[i].Punct('.') && (s[i + 1].Is("nextval") || s[i + 1].Is("currval")) &&
        !(i + 2 < s.size() && s[i + 2].Punct('(')))
      AddOnce(found, Upper(s[i + 1].text));
  }
  if (const size_t at = FindPair(s, "next", "value");
      at != std::string::npos && at + 2 < s.size() && s[at + 2].Is("for"))
    AddOnce(found, "NEXT VALUE FOR");
}

void AppendsIn(const SqlStatement& s, const Prepared& prepared, Found* found) {
  if (s[0].Is("copy")) {
    size_t at = s.size() > 1 && s[1].Is("into") ? 2 : 1;
    const bool into = at == 2;
    const std::string table = NameAt(s, &at);
    const size_t from = FindTop(s, "from", at);
    if (table.empty() || from == std::string::npos || prepared.tables.contains(LastPart(table))) return;
    // COPY INTO remembers the files it has loaded, unless FORCE = TRUE.
    const size_t force = FindTop(s, "force");
    const bool forced = force != std::string::npos && force + 2 < s.size() && s[force + 2].Is("true");
    if (!into || forced) AddOnce(found, "COPY appends to " + table);
  } else if (s[0].Is("load") && s.size() > 1 && s[1].Is("data") && !Has(s, "overwrite") && !Has(s, "replace") &&
             !Has(s, "ignore")) {
    AddOnce(found, "LOAD DATA appends");
  } else if ((s[0].Is("delete") || s[0].Is("update")) &&
             (FindTop(s, "limit") != std::string::npos || (s.size() > 1 && s[1].Is("top")))) {
    AddOnce(found, Upper(s[0].text) + " of the next rows (LIMIT)");
  }
}

}  // namespace

Found NonIdempotentIn(const std::vector<SqlStatement>& statements) {
  Found found;
  Prepared prepared;
  for (const SqlStatement& s : statements) {
    ReadModifyWriteIn(s, &found);
    InsertsIn(s, prepared, &found);
    CountersIn(s, &found);
    AppendsIn(s, prepared, &found);
    prepared.Note(s);
  }
  return found;
}

// --- order of results
// ------------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view kAggregates[] = {"approx_count_distinct",
                                            "array_agg",
                                            "avg",
                                            "bit_and",
                                            "bit_or",
                                            "bool_and",
                                            "bool_or",
                                            "count",
                                            "count_big",
                                            "count_if",
                                            "countif",
                                            "every",
                                            "group_concat",
                                            "json_agg",
                                            "json_group_array",
                                            "jsonb_agg",
                                            "list",
                                            "listagg",
                                            "max",
                                            "median",
                                            "min",
                                            "stddev",
                                            "string_agg",
                                            "sum",
                                            "total",
                                            "variance"};
constexpr std::string_view kOrderSensitive[] = {
    "any_value", "array_agg", "first",      "first_value", "group_concat", "json_agg",  "json_group_array",
    "jsonb_agg", "last",      "last_value", "list",        "listagg",      "string_agg"};
constexpr std::string_view kHashes[] = {"checksum_agg", "digest",  "farm_fingerprint", "hash",         "hashbytes",
                                        "md5",          "md5_hex", "md5_number",       "sha",          "sha1",
                                        "sha2",         "sha256",  "sha512",           "standard_hash"};

// Columns that name one row by the way they are called.
bool LooksUnique(std::string name) {
  name = AsciiLower(name);
  constexpr std::string_view kWhole[] = {"code", "email", "guid", "id",   "iban", "isbn", "key",
                                         "pk",   "rowid", "sku",  "slug", "uid",  "uuid"};
  if (In(kWhole, name)) return true;
  for (const std::string_view tail :
       {"_id", "_key", "_uuid", "_pk", "_guid", "_code", "_no", "_nr", "_number", "_sk", "_hash", "_sku"}) {
    if (name.ends_with(tail)) return true;
  }
  return false;
}

using Range = std::pair<size_t, size_t>;

std::vector<Range> SplitCommas(const SqlStatement& s, size_t begin, size_t end) {
  std::vector<Range> parts;
  int depth = 0;
  size_t start = begin;
  for (size_t i = begin; i < end; ++i) {
    if (s[i].Punct('(')) ++depth;
    if (s[i].Punct(')')) --depth;
    if (depth == 0 && s[i].Punct(',')) {
      parts.emplace_back(start, i);
      start = i + 1;
    }
  }
  if (start < end) parts.emplace_back(start, end);
  return parts;
}

// The name a select item or sort key goes by: its alias, else its last name.
std::string NameOf(const SqlStatement& s, Range range) {
  std::string name;
  for (size_t i = range.first; i < range.second; ++i) {
    if (s[i].Is("asc") || s[i].Is("desc") || s[i].Is("nulls") || s[i].Is("collate")) break;
    if (s[i].Is("as") && i + 1 < range.second) return AsciiLower(s[i + 1].text);
    if (s[i].IsName() || s[i].kind == Kind::kNumber) name = AsciiLower(s[i].text);
  }
  return name;
}

// The clauses of the outermost SELECT of a statement (behind its WITH).
struct Select {
  bool found = false;
  std::vector<Range> items;
  bool distinct = false;
  bool has_from = false;
  bool set_operation = false;
  Range from;
  Range where;
  std::vector<Range> group_by;
  std::vector<Range> order_by;
  bool limit = false;
  bool limit_one = false;
};

size_t ClauseEnd(const SqlStatement& s, size_t begin, size_t end) {
  constexpr std::string_view kClauses[] = {"except",    "fetch",   "for",   "from",  "group",  "having",
                                           "intersect", "into",    "limit", "minus", "offset", "option",
                                           "order",     "qualify", "union", "where", "window"};
  int depth = 0;
  for (size_t i = begin; i < end; ++i) {
    if (s[i].Punct('(')) ++depth;
    if (s[i].Punct(')')) --depth;
    if (depth == 0 && s[i].kind == Kind::kWord && In(kClauses, s[i].text)) return i;
  }
  return end;
}

Select ReadSelect(const SqlStatement& s, size_t begin, size_t end) {
  Select select;
  const size_t word = FindTop(s, "select", begin, end);
  if (word == std::string::npos) return select;
  select.found = true;
  size_t i = word + 1;
  while (i < end && (s[i].Is("distinct") || s[i].Is("all") || s[i].Is("top"))) {
    select.distinct |= s[i].Is("distinct");
    if (s[i].Is("top")) {
      select.limit = true;
      select.limit_one = i + 1 < end && s[i + 1].text == "1";
      ++i;
      if (i < end && s[i].Punct('(')) i = MatchingParenthesis(s, i);
    }
    ++i;
  }
  size_t stop = ClauseEnd(s, i, end);
  select.items = SplitCommas(s, i, stop);
  while (stop < end) {
    const std::string& clause = s[stop].text;
    const size_t body = stop + 1 + ((clause == "group" || clause == "order") ? 1 : 0);
    const size_t next = ClauseEnd(s, std::min(body, end), end);
    if (clause == "from") select.has_from = true, select.from = {body, next};
    if (clause == "where") select.where = {body, next};
    if (clause == "group") select.group_by = SplitCommas(s, body, next);
    if (clause == "order") select.order_by = SplitCommas(s, body, next);
    if (clause == "union" || clause == "intersect" || clause == "except" || clause == "minus")
      select.set_operation = true;
    if (clause == "limit" || clause == "fetch") {
      select.limit = true;
      select.limit_one |=
          (body < end && s[body].text == "1") || (clause == "fetch" && body + 1 < end && s[body + 1].text == "1");
    }
    stop = next;
  }
  return select;
}

bool IsAggregateItem(const SqlStatement& s, Range range) {
  bool aggregate = false;
  for (size_t i = range.first; i + 1 < range.second; ++i) {
    if (s[i].kind == Kind::kWord && s[i + 1].Punct('(') && In(kAggregates, s[i].text)) {
      const size_t close = MatchingParenthesis(s, i + 1);
      // A window function gives a value for each row.
      if (close + 1 < s.size() && s[close + 1].Is("over")) return false;
      aggregate = true;
    }
  }
  if (aggregate) return true;
  return range.second == range.first + 1 && IsConstant(s[range.first]);
}

// WHERE id = ? picks one row of one table.
bool PicksOneRow(const SqlStatement& s, const Select& select) {
  for (size_t i = select.from.first; i < select.from.second; ++i) {
    if (s[i].Is("join") || s[i].Punct(',')) return false;
  }
  int depth = 0;
  bool unique = false;
  for (size_t i = select.where.first; i < select.where.second; ++i) {
    if (s[i].Punct('(')) ++depth;
    if (s[i].Punct(')')) --depth;
    if (s[i].Is("or")) return false;
    if (depth == 0 && i + 2 < select.where.second && s[i].IsName() && s[i + 1].Punct('=') && IsConstant(s[i + 2])) {
      const std::string name = AsciiLower(s[i].text);
      // `customer_id = ?` may pick many orders; `id`, `key` and the like are the table's own.
      unique |= name == "id" || name == "uuid" || name == "key" || name == "pk" || name == "rowid" || name == "guid" ||
                name == "email" || name == "sku" || name == "slug";
    }
  }
  return unique;
}

std::string Describe(const SqlStatement& s, const std::vector<Range>& keys) {
  std::string text = "ORDER BY ";
  for (size_t i = 0; i < keys.size(); ++i) text += (i == 0 ? "" : ", ") + NameOf(s, keys[i]);
  return text + " alone";
}

bool IsTotal(const SqlStatement& s, const Select& select) {
  std::set<std::string> ordered;
  for (const Range& key : select.order_by) {
    std::string name = NameOf(s, key);
    // ORDER BY 2.
    if (const auto position = ParseInt64(name);
        position && *position >= 1 && static_cast<size_t>(*position) <= select.items.size()) {
      name = NameOf(s, select.items[static_cast<size_t>(*position) - 1]);
    }
    if (LooksUnique(name)) return true;
    ordered.insert(name);
  }
  const auto all_ordered = [&](const std::vector<Range>& ranges) {
    return !ranges.empty() && std::all_of(ranges.begin(), ranges.end(), [&](const Range& range) {
      std::string name = NameOf(s, range);
      if (const auto position = ParseInt64(name);
          position && *position >= 1 && static_cast<size_t>(*position) <= select.items.size()) {
        name = NameOf(s, select.items[static_cast<size_t>(*position) - 1]);
      }
      return ordered.contains(name);
    });
  };
  // Groups are told apart by their keys; rows that tie in everything selected are the same row.
  return all_ordered(select.group_by) || all_ordered(select.items);
}

Found UnorderedAggregatesIn(const SqlStatement& s) {
  Found found;
  for (const SqlCall& call : CallsIn(s)) {
    const std::string& name = s[call.at].text;
    if (!In(kOrderSensitive, name) || call.no_arguments()) continue;
    bool ordered = false;
    size_t end = std::min(call.close + 1, s.size());
    if (end + 1 < s.size() && (s[end].Is("within") || s[end].Is("over"))) {
      const size_t open = s[end].Is("within") ? end + 2 : end + 1;
      if (open < s.size() && s[open].Punct('(')) end = std::min(MatchingParenthesis(s, open) + 1, s.size());
      // OVER a named window is ordered where it is declared.
      else
        ordered = true;
    }
    for (size_t i = call.open; i < end; ++i) ordered |= s[i].Is("order");
    if (!ordered) AddOnce(&found, Upper(name) + "() without ORDER BY");
  }
  for (const SqlCall& call : CallsIn(s)) {
    const std::string& name = s[call.at].text;
    if (name != "row_number" && name != "lag" && name != "lead" && name != "ntile") continue;
    if (call.close + 2 >= s.size() || !s[call.close + 1].Is("over") || !s[call.close + 2].Punct('(')) continue;
    const size_t close = MatchingParenthesis(s, call.close + 2);
    const bool ordered = std::any_of(s.begin() + static_cast<ptrdiff_t>(call.close),
                                     s.begin() + static_cast<ptrdiff_t>(std::min(close, s.size())),
                                     [](const SqlToken& token) { return token.Is("order"); });
    if (!ordered) AddOnce(&found, Upper(name) + "() over rows without ORDER BY");
  }
  return found;
}

bool ReturnsRows(const SqlStatement& s) {
  if (s[0].Is("select") || s[0].Is("values") || s[0].Is("table") || s[0].Is("show") || s[0].Punct('(')) return true;
  if (s[0].Is("with")) {
    const size_t verb =
        std::min({FindTop(s, "insert"), FindTop(s, "update"), FindTop(s, "delete"), FindTop(s, "merge")});
    return verb == std::string::npos;
  }
  return false;
}

ResultOrder JudgeSelect(const SqlStatement& s, size_t begin, size_t end) {
  ResultOrder result;
  const Select select = ReadSelect(s, begin, end);
  if (!select.found) {
    result.order = RowOrder::kTotal;  // VALUES come as they are listed
    return result;
  }
  result.unordered_aggregates = UnorderedAggregatesIn(s);
  const bool all_aggregates = !select.items.empty() &&
                              std::all_of(select.items.begin(), select.items.end(),
                                          [&](const Range& item) { return IsAggregateItem(s, item); }) &&
                              std::any_of(select.items.begin(), select.items.end(),
                                          [&](const Range& item) { return item.second > item.first + 1; });
  if (!select.set_operation &&
      ((select.group_by.empty() && all_aggregates) || !select.has_from || PicksOneRow(s, select))) {
    result.order = RowOrder::kSingleRow;
  } else if (select.order_by.empty()) {
    result.order = RowOrder::kNone;
    result.why = select.limit ? "LIMIT without ORDER BY" : "no ORDER BY";
  } else if (IsTotal(s, select)) {
    result.order = RowOrder::kTotal;
  } else {
    result.order = RowOrder::kPartial;
    result.why = Describe(s, select.order_by);
  }
  return result;
}

}  // namespace

ResultOrder OrderOfResult(const std::vector<SqlStatement>& statements) {
  ResultOrder result;
  if (statements.empty()) return result;
  const SqlStatement& s = statements.back();
  if (!ReturnsRows(s)) {
    if (FindTop(s, "returning") != std::string::npos) {
      // INSERT ... VALUES of one row gives one row back.
      const bool one = FindTop(s, "values") != std::string::npos && FindTop(s, "select") == std::string::npos;
      result.order = one ? RowOrder::kSingleRow : RowOrder::kNone;
      result.why = one ? "" : "RETURNING without order";
    }
    return result;
  }
  if (s[0].Is("show")) {
    result.order = RowOrder::kSingleRow;
    return result;
  }
  size_t begin = 0;
  size_t end = s.size();
  if (s[0].Punct('(') && MatchingParenthesis(s, 0) + 1 == s.size()) begin = 1, --end;
  return JudgeSelect(s, begin, end);
}

Found UnorderedKeptIn(const std::vector<SqlStatement>& statements) {
  Found found;
  for (const SqlStatement& s : statements) {
    const Found aggregates = UnorderedAggregatesIn(s);
    const bool hashed = std::any_of(
        s.begin(), s.end(), [](const SqlToken& token) { return token.kind == Kind::kWord && In(kHashes, token.text); });
    const bool stored = s[0].Is("insert") || s[0].Is("create") || s[0].Is("merge") || s[0].Is("update");
    if (!aggregates.empty() && (hashed || stored || s[0].Is("copy") || s[0].Is("unload"))) {
      for (const std::string& what : aggregates) AddOnce(&found, what + (hashed ? ", hashed" : ", stored"));
    }
    // COPY (select ...) TO 'file'.
    const bool exports = (s[0].Is("copy") || s[0].Is("unload") || s[0].Is("export"));
    if (exports) {
      for (size_t i = 0; i < s.size(); ++i) {
        if (!s[i].Punct('(') || i + 1 >= s.size() || !(s[i + 1].Is("select") || s[i + 1].Is("with"))) continue;
        const ResultOrder inner = JudgeSelect(s, i + 1, MatchingParenthesis(s, i));
        if (inner.order == RowOrder::kNone || inner.order == RowOrder::kPartial)
          AddOnce(&found, "export with " + inner.why);
        break;
      }
    }
    if (Has(s, "outfile") || Has(s, "dumpfile")) {
      const ResultOrder inner = JudgeSelect(s, 0, s.size());
      if (inner.order == RowOrder::kNone || inner.order == RowOrder::kPartial)
        AddOnce(&found, "export with " + inner.why);
    }
    if (stored && FindTop(s, "select") != std::string::npos) {
      const Select select = ReadSelect(s, 0, s.size());
      if (select.limit && select.order_by.empty() && select.has_from && !s[0].Is("update"))
        AddOnce(&found, "LIMIT without ORDER BY, stored");
    }
  }
  return found;
}

std::vector<std::string> PathsWrittenBy(const std::vector<SqlStatement>& statements) {
  std::vector<std::string> paths;
  for (const SqlStatement& s : statements) {
    const bool writes = s[0].Is("copy") || s[0].Is("unload") || s[0].Is("export") || Has(s, "outfile") ||
                        Has(s, "dumpfile") || Has(s, "location");
    if (!writes) continue;
    for (const SqlToken& token : s) {
      if (token.kind == Kind::kString || (token.kind == Kind::kBind && token.text[0] == '@'))
        paths.push_back(token.text);
    }
  }
  return paths;
}

// --- session settings
// ------------------------------------------------------------------------------------------------------

namespace {

bool LooksLikeInstant(const std::string& raw) {
  const std::string name = AsciiLower(raw);
  constexpr std::string_view kWhole[] = {"created",   "datetime", "event_time", "eventtime",
                                         "timestamp", "ts",       "updated"};
  if (In(kWhole, name)) return true;
  for (const std::string_view tail : {"_at", "_ts", "_time", "_timestamp", "_datetime", "_tstz", "timestamp"}) {
    if (name.ends_with(tail)) return true;
  }
  return false;
}

bool LooksLikeText(const std::string& raw) {
  const std::string name = AsciiLower(raw);
  constexpr std::string_view kWhole[] = {"address",  "city", "country", "description", "firstname", "label",
                                         "lastname", "name", "surname", "text",        "title",     "username"};
  if (In(kWhole, name)) return true;
  return name.ends_with("_name") || name.ends_with("_title") || name.ends_with("_label") || name.ends_with("_text") ||
         name.ends_with("_city") || name.ends_with("_country");
}

bool SetsZone(const SqlStatement& s) {
  constexpr std::string_view kNotExplicit[] = {"default", "local", "localtime", "system"};
  if (!s[0].Is("set") && !s[0].Is("alter") && !s[0].Is("pragma")) return false;
  const bool zone = std::any_of(s.begin(), s.end(), [](const SqlToken& token) {
    return token.Is("timezone") || token.Is("time_zone") || token.Is("zone");
  });
  return zone && std::none_of(s.begin(), s.end(),
                              [&](const SqlToken& token) { return In(kNotExplicit, AsciiLower(token.text)); });
}

bool SetsCollation(const SqlStatement& s) {
  return s[0].Is("set") && std::any_of(s.begin(), s.end(), [](const SqlToken& token) {
           return token.Is("lc_collate") || token.Is("collation_connection") || token.Is("collation") ||
                  token.Is("names");
         });
}

bool SetsLocale(const SqlStatement& s) {
  return (s[0].Is("set") || s[0].Is("alter")) && std::any_of(s.begin(), s.end(), [](const SqlToken& token) {
           return token.Is("lc_time") || token.Is("lc_time_names") || token.Is("nls_date_language") ||
                  token.Is("language") || token.Is("nls_language");
         });
}

bool AnyInstant(const SqlStatement& s, size_t begin, size_t end) {
  bool instant = false;
  for (size_t i = begin; i < std::min(end, s.size()); ++i) {
    if (s[i].Is("zone") || s[i].Is("convert_timezone") || s[i].Is("timezone") || s[i].Is("from_utc_timestamp") ||
        s[i].Is("to_utc_timestamp"))
      return false;
    instant |= s[i].IsName() && LooksLikeInstant(s[i].text) && !(i + 1 < s.size() && s[i + 1].Punct('('));
  }
  return instant;
}

// Functions that cut an instant into days and hours: the result depends on the session's zone.
constexpr std::string_view kZoneCuts[] = {"date",       "date_format", "date_part", "date_trunc", "day",
                                          "dayofmonth", "dayofweek",   "extract",   "hour",       "month",
                                          "to_char",    "to_date",     "trunc",     "week",       "year"};

void ZoneIn(const SqlStatement& s, Found* found) {
  for (const SqlCall& call : CallsIn(s)) {
    const std::string& name = s[call.at].text;
    if (name == "from_unixtime" || name == "to_timestamp_ltz")
      AddOnce(found, Upper(name) + "() in the session's time zone");
    if (name == "convert_timezone" && ArgumentsOf(s, call).size() == 2)
      AddOnce(found, "CONVERT_TIMEZONE() from the session's time zone");
    if (name == "current_setting" && call.open + 1 < s.size()) {
      const std::string setting = AsciiLower(s[call.open + 1].text);
      if (setting == "timezone" || setting.starts_with("lc_")) AddOnce(found, "current_setting('" + setting + "')");
    }
    if (!In(kZoneCuts, name) || !AnyInstant(s, call.open, call.close)) continue;
    const auto arguments = ArgumentsOf(s, call);
    // date_trunc('day', ts, 'UTC') names its zone.
    if ((name == "date_trunc" && arguments.size() == 3)) continue;
    const std::string unit = call.open + 1 < s.size() ? AsciiLower(s[call.open + 1].text) : std::string();
    if (unit == "epoch" || unit == "second" || unit == "minute" || unit == "microseconds" || unit == "milliseconds")
      continue;
    AddOnce(found, Upper(name) + "() in the session's time zone");
  }
  for (size_t i = 0; i + 2 < s.size(); ++i) {
    const bool cast = (s[i + 1].text == "::" || s[i + 1].Is("as")) && s[i + 2].Is("date");
    if (cast && s[i].IsName() && LooksLikeInstant(s[i].text))
      AddOnce(found, "cast of " + AsciiLower(s[i].text) + " to a date in the session's time zone");
    if (s[i].kind == Kind::kString && (s[i + 1].text == "::" || s[i + 1].Is("as")) && s[i + 2].Is("timestamptz") &&
        s[i].text.find_first_of("zZ+") == std::string::npos && s[i].text.find(" UTC") == std::string::npos &&
        !s[i].text.empty() && IsAsciiDigit(s[i].text[0])) {
      AddOnce(found, "a time without zone read as timestamptz");
    }
  }
  for (const SqlToken& token : s) {
    if (token.Is("sessiontimezone") || token.Is("session_timezone") || token.Is("dbtimezone"))
      AddOnce(found, Upper(token.text));
  }
  if (const size_t zone = FindPair(s, "time", "zone"); zone != std::string::npos && s[0].Is("set") &&
                                                       zone + 2 < s.size() &&
                                                       (s[zone + 2].Is("local") || s[zone + 2].Is("default"))) {
    AddOnce(found, "SET TIME ZONE " + Upper(s[zone + 2].text));
  }
}

void LocaleIn(const SqlStatement& s, Found* found) {
  for (const SqlCall& call : CallsIn(s)) {
    const std::string& name = s[call.at].text;
    if (name == "monthname" || name == "dayname" || name == "datename")
      AddOnce(found, Upper(name) + "() in the server's language");
    if (name == "to_char" || name == "date_format" || name == "format" || name == "strftime" || name == "to_date" ||
        name == "to_timestamp") {
      for (size_t i = call.open; i < std::min(call.close, s.size()); ++i) {
        if (s[i].kind != Kind::kString) continue;
        const std::string pattern = AsciiLower(s[i].text);
        const bool names =
            name == "date_format" || name == "strftime"
                ? (s[i].text.find("%M") != std::string::npos && name == "date_format") ||
                      s[i].text.find("%b") != std::string::npos || s[i].text.find("%B") != std::string::npos ||
                      s[i].text.find("%a") != std::string::npos || s[i].text.find("%A") != std::string::npos ||
                      s[i].text.find("%W") != std::string::npos
                : pattern.find("month") != std::string::npos || pattern.find("mon") != std::string::npos ||
                      pattern.find("day") != std::string::npos || pattern.find("dy") != std::string::npos ||
                      (name == "to_char" && s[i].text.find_first_of("LG") != std::string::npos &&
                       s[i].text.find('9') != std::string::npos);
        if (names) AddOnce(found, Upper(name) + "('" + s[i].text + "') in the server's language");
      }
      if (name == "format" && ArgumentsOf(s, call).size() == 2 && call.close >= 1) {
        const SqlToken& last = s[std::min(call.close, s.size()) - 1];
        if (last.kind == Kind::kString && last.text.size() <= 2 && !last.text.empty() && IsAsciiAlpha(last.text[0]))
          AddOnce(found, "FORMAT() in the server's culture");
      }
    }
  }
}

void CollationIn(const SqlStatement& s, Found* found) {
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i].Is("collate") && i + 1 < s.size() &&
        (AsciiLower(s[i + 1].text) == "default" || AsciiLower(s[i + 1].text) == "database_default"))
      AddOnce(found, "COLLATE " + s[i + 1].text);
    // name < 'M', name between 'a' and 'm'
    const bool compares =
        s[i].Punct('<') || s[i].Punct('>') || s[i].text == "<=" || s[i].text == ">=" || s[i].Is("between");
    if (compares && i > 0 && i + 1 < s.size() && s[i - 1].IsName() && s[i + 1].kind == Kind::kString &&
        LooksLikeText(s[i - 1].text)) {
      AddOnce(found, "comparison of " + AsciiLower(s[i - 1].text) + " in the server's collation");
    }
  }
  for (size_t at = FindPair(s, "order", "by"); at != std::string::npos; at = FindPair(s, "order", "by", at + 2)) {
    size_t end = at + 2;
    int depth = 0;
    for (; end < s.size(); ++end) {
      if (s[end].Punct('(')) ++depth;
      if (s[end].Punct(')') && --depth < 0) break;
      if (depth == 0 &&
          (s[end].Is("limit") || s[end].Is("offset") || s[end].Is("fetch") || s[end].Is("for") || s[end].Is("rows")))
        break;
    }
    for (const Range& key : SplitCommas(s, at + 2, end)) {
      const bool collated =
          std::any_of(s.begin() + static_cast<ptrdiff_t>(key.first), s.begin() + static_cast<ptrdiff_t>(key.second),
                      [](const SqlToken& token) { return token.Is("collate"); });
      const std::string name = NameOf(s, key);
      if (!collated && LooksLikeText(name)) AddOnce(found, "ORDER BY " + name + " in the server's collation");
    }
  }
}

}  // namespace

Found SessionSettingsIn(const std::vector<SqlStatement>& statements) {
  Found found;
  bool zone = false, collation = false, locale = false;
  for (const SqlStatement& s : statements) {
    zone |= SetsZone(s);
    collation |= SetsCollation(s);
    locale |= SetsLocale(s);
    if (!zone) ZoneIn(s, &found);
    if (!locale) LocaleIn(s, &found);
    if (!collation) CollationIn(s, &found);
  }
  return found;
}

bool ReadsLikeCode(const std::vector<SqlToken>& tokens) {
  // `to`, `of`, `from`: words that sentences and SQL share do not help; two unknown words in a row twice do.
  constexpr std::string_view kKeywords[] = {
      "and",   "as",        "asc",   "at",   "between", "by",   "case", "cast",     "date",   "day",
      "desc",  "distinct",  "else",  "end",  "from",    "hour", "in",   "interval", "is",     "like",
      "limit", "minute",    "month", "not",  "null",    "on",   "or",   "order",    "select", "then",
      "time",  "timestamp", "week",  "when", "where",   "year", "zone"};
  size_t pairs = 0;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (tokens[i].kind == Kind::kWord && tokens[i + 1].kind == Kind::kWord && !In(kKeywords, tokens[i].text) &&
        !In(kKeywords, tokens[i + 1].text))
      ++pairs;
  }
  return pairs == 0;
}

}  // namespace lockstep::analyzer
