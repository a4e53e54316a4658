// The tokenizer: one table of what each dialect quotes and comments with, one function a token class.
#include "analyzer/plan/sql.h"

#include <algorithm>
#include <array>

#include "engine-core/base/bytes.h"

namespace lockstep::analyzer {
namespace {

struct DialectRow {
  SqlDialect dialect;
  std::string_view name;
  bool backslash_escapes;  // inside plain string literals
  bool double_quote_string;
  bool brackets;  // [name]
  bool hash_comment;
  bool dollar_quotes;
  bool nested_comments;
  bool q_quotes;  // q'[...]'
  bool triple_quotes;
};
constexpr DialectRow kDialects[] = {
    {SqlDialect::kGeneric, "generic", false, false, false, false, true, true, true, false},
    {SqlDialect::kPostgres, "postgres", false, false, false, false, true, true, false, false},
    {SqlDialect::kMysql, "mysql", true, true, false, true, false, false, false, false},
    {SqlDialect::kSqlite, "sqlite", false, false, true, false, false, false, false, false},
    {SqlDialect::kTsql, "tsql", false, false, true, false, false, true, false, false},
    {SqlDialect::kOracle, "oracle", false, false, false, false, false, false, true, false},
    {SqlDialect::kSnowflake, "snowflake", true, false, false, false, true, false, false, false},
    {SqlDialect::kBigquery, "bigquery", true, true, false, true, false, false, false, true},
    {SqlDialect::kDuckdb, "duckdb", false, false, false, false, true, true, false, false},
    {SqlDialect::kClickhouse, "clickhouse", true, false, false, true, false, true, false, false},
    {SqlDialect::kSpark, "spark", true, true, false, false, false, true, false, false},
    {SqlDialect::kTrino, "trino", false, false, false, false, false, false, false, false},
};

struct AliasRow {
  std::string_view alias;
  SqlDialect dialect;
};
// Looked for as whole words of a connection's name and as URL schemes.
constexpr AliasRow kAliases[] = {
    {"postgres", SqlDialect::kPostgres}, {"postgresql", SqlDialect::kPostgres}, {"pg", SqlDialect::kPostgres},
    {"redshift", SqlDialect::kPostgres}, {"mysql", SqlDialect::kMysql},         {"mariadb", SqlDialect::kMysql},
    {"sqlite", SqlDialect::kSqlite},     {"sqlite3", SqlDialect::kSqlite},      {"tsql", SqlDialect::kTsql},
    {"mssql", SqlDialect::kTsql},        {"sqlserver", SqlDialect::kTsql},      {"synapse", SqlDialect::kTsql},
    {"oracle", SqlDialect::kOracle},     {"snowflake", SqlDialect::kSnowflake}, {"bigquery", SqlDialect::kBigquery},
    {"bq", SqlDialect::kBigquery},       {"duckdb", SqlDialect::kDuckdb},       {"clickhouse", SqlDialect::kClickhouse},
    {"spark", SqlDialect::kSpark},       {"databricks", SqlDialect::kSpark},    {"hive", SqlDialect::kSpark},
    {"trino", SqlDialect::kTrino},       {"presto", SqlDialect::kTrino},        {"athena", SqlDialect::kTrino},
    {"generic", SqlDialect::kGeneric},   {"ansi", SqlDialect::kGeneric},
};

bool IsWordStart(char c) { return IsAsciiAlpha(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80; }
bool IsWordPart(char c) { return IsWordStart(c) || IsAsciiDigit(c) || c == '$' || c == '#'; }
bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

class Tokenizer {
 public:
  Tokenizer(std::string_view text, const DialectRow& row, bool backslash)
      : text_(text), row_(row), backslash_(backslash) {}

  std::vector<SqlToken> Run() {
    while (at_ < text_.size()) Step();
    return std::move(tokens_);
  }
  // A string literal that never ended: the guess about escapes may have been wrong.
  bool unterminated() const { return unterminated_; }

 private:
  char Peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool Starts(std::string_view what) const { return text_.substr(at_).starts_with(what); }

  void Add(SqlToken::Kind kind, std::string text, size_t offset) { tokens_.push_back({kind, std::move(text), offset}); }

  void Step() {
    const char c = Peek();
    if (IsSpace(c)) {
      ++at_;
    } else if (Starts("--") || (c == '#' && IsHashComment())) {
      SkipLine();
    } else if (Starts("/*")) {
      SkipBlock();
    } else if (Starts("{#")) {
      const size_t end = text_.find("#}", at_ + 2);
      at_ = end == std::string_view::npos ? text_.size() : end + 2;
    } else if (Starts("{{") || Starts("{%")) {
      Template(Starts("{{") ? "}}" : "%}", 2);
    } else if (Starts("${")) {
      Template("}", 2);
    } else if (c == '\'' || c == '"' || c == '`' || (c == '[' && row_.brackets)) {
      Quoted(c, 0, false);
    } else if (c == '$' && row_.dollar_quotes && DollarQuote()) {
      // Consumed.
    } else if (IsWordStart(c)) {
      Word();
    } else if (IsAsciiDigit(c) || (c == '.' && IsAsciiDigit(Peek(1)))) {
      Number();
    } else if (c == '?' || ((c == '$' || c == ':' || c == '@') && IsWordPart(Peek(1)) && Peek(1) != '#') ||
               (c == '%' && (Peek(1) == 's' || Peek(1) == '('))) {
      Bind();
    } else if (Starts("::") || Starts("||") || Starts("<=") || Starts(">=") || Starts("<>") || Starts("!=") ||
               Starts(":=") || Starts("@@")) {
      Add(SqlToken::Kind::kPunctuation, std::string(text_.substr(at_, 2)), at_);
      at_ += 2;
    } else {
      Add(SqlToken::Kind::kPunctuation, std::string(1, c), at_);
      ++at_;
    }
  }

  bool IsHashComment() const {
    if (row_.hash_comment) return true;
    if (row_.dialect != SqlDialect::kGeneric) return false;
    // Elsewhere `#` is an operator or a temporary table: only a line that starts with `# ` reads as a comment.
    for (size_t i = at_; i > 0; --i) {
      if (text_[i - 1] == '\n') break;
      if (!IsSpace(text_[i - 1])) return false;
    }
    return IsSpace(Peek(1));
  }

  void SkipLine() {
    const size_t end = text_.find('\n', at_);
    at_ = end == std::string_view::npos ? text_.size() : end + 1;
  }

  void SkipBlock() {
    if (row_.nested_comments) {
      size_t depth = 0;
      for (size_t i = at_; i + 1 < text_.size();) {
        const std::string_view two = text_.substr(i, 2);
        if (two == "/*")
          ++depth, i += 2;
        else if (two == "*/") {
          i += 2;
          if (--depth == 0) {
            at_ = i;
            return;
          }
        } else
          ++i;
      }
    }
    const size_t end = text_.find("*/", at_ + 2);
    at_ = end == std::string_view::npos ? text_.size() : end + 2;
  }

  void Template(std::string_view close, size_t skip) {
    const size_t begin = at_ + skip;
    const size_t end = text_.find(close, begin);
    Add(SqlToken::Kind::kTemplate,
        std::string(text_.substr(begin, end == std::string_view::npos ? text_.size() - begin : end - begin)), at_);
    at_ = end == std::string_view::npos ? text_.size() : end + close.size();
  }

  // A literal or a quoted name. `prefix`: length of `E`, `N`, `U&` before it.
  void Quoted(char quote, size_t prefix, bool escapes) {
    const size_t start = at_;
    const bool is_string = quote == '\'' || (quote == '"' && row_.double_quote_string);
    const char close = quote == '[' ? ']' : quote;
    at_ += prefix + 1;
    if (row_.triple_quotes && quote != '`' && text_.substr(at_ - 1).starts_with(std::string(3, quote))) {
      const size_t end = text_.find(std::string(3, quote), at_ + 2);
      Add(SqlToken::Kind::kString,
          std::string(text_.substr(at_ + 2, end == std::string_view::npos ? end : end - at_ - 2)), start);
      at_ = end == std::string_view::npos ? text_.size() : end + 3;
      return;
    }
    std::string value;
    const bool backslash = is_string && (escapes || backslash_);
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (backslash && c == '\\' && at_ + 1 < text_.size()) {
        value += text_[at_ + 1];
        at_ += 2;
      } else if (c == close) {
        ++at_;
        if (Peek() != close || quote == '[') {
          Add(is_string ? SqlToken::Kind::kString : SqlToken::Kind::kQuotedName, std::move(value), start);
          return;
        }
        value += close;
        ++at_;
      } else {
        value += c;
        ++at_;
      }
    }
    unterminated_ = true;
    Add(is_string ? SqlToken::Kind::kString : SqlToken::Kind::kQuotedName, std::move(value), start);
  }

  // $tag$ ... $tag$. The body of DO and of a routine (AS $$ ... $$) is code: only the delimiters go.
  bool DollarQuote() {
    size_t end = at_ + 1;
    while (end < text_.size() && (IsAsciiAlnum(text_[end]) || text_[end] == '_')) ++end;
    if (end >= text_.size() || text_[end] != '$' || (end > at_ + 1 && IsAsciiDigit(text_[at_ + 1]))) return false;
    const std::string_view tag = text_.substr(at_, end - at_ + 1);
    const size_t close = text_.find(tag, end + 1);
    if (!tokens_.empty() && (tokens_.back().Is("do") || tokens_.back().Is("as")) && open_tag_.empty() &&
        close != std::string_view::npos) {
      open_tag_ = tag;
      at_ = end + 1;
      return true;
    }
    if (tag == open_tag_) {
      open_tag_ = {};
      at_ = end + 1;
      return true;
    }
    if (close == std::string_view::npos) return false;
    Add(SqlToken::Kind::kString, std::string(text_.substr(end + 1, close - end - 1)), at_);
    at_ = close + tag.size();
    return true;
  }

  void Word() {
    const size_t start = at_;
    size_t end = at_;
    while (end < text_.size() && IsWordPart(text_[end])) ++end;
    const std::string lower = AsciiLower(text_.substr(at_, end - at_));
    const char next = end < text_.size() ? text_[end] : '\0';
    if (next == '\'' && row_.q_quotes && (lower == "q" || lower == "nq") && end + 1 < text_.size()) return QQuote(end);
    if (next == '\'' && (lower == "e" || lower == "n" || lower == "b" || lower == "x" || lower == "r" ||
                         lower == "rb" || lower == "br")) {
      return Quoted('\'', end - at_, lower == "e");
    }
    at_ = end;
    Add(SqlToken::Kind::kWord, lower, start);
  }

  void QQuote(size_t quote) {
    const size_t start = at_;
    const char open = text_[quote + 1];
    const char close = open == '[' ? ']' : open == '(' ? ')' : open == '{' ? '}' : open == '<' ? '>' : open;
    const size_t end = text_.find(std::string{close, '\''}, quote + 2);
    Add(SqlToken::Kind::kString,
        std::string(text_.substr(quote + 2, end == std::string_view::npos ? end : end - quote - 2)), start);
    at_ = end == std::string_view::npos ? text_.size() : end + 2;
  }

  void Number() {
    const size_t start = at_;
    while (at_ < text_.size() &&
           (IsAsciiAlnum(text_[at_]) || text_[at_] == '.' ||
            ((text_[at_] == '+' || text_[at_] == '-') && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E')))) {
      ++at_;
    }
    Add(SqlToken::Kind::kNumber, std::string(text_.substr(start, at_ - start)), start);
  }

  void Bind() {
    const size_t start = at_;
    ++at_;
    if (text_[start] == '%' && Peek() == '(') {
      const size_t end = text_.find(')', at_);
      at_ = end == std::string_view::npos ? text_.size() : std::min(text_.size(), end + 2);
    } else if (text_[start] == '%') {
      ++at_;
    } else {
      while (at_ < text_.size() && IsWordPart(text_[at_])) ++at_;
    }
    Add(SqlToken::Kind::kBind, AsciiLower(text_.substr(start, at_ - start)), start);
  }

  std::string_view text_;
  const DialectRow& row_;
  bool backslash_;
  bool unterminated_ = false;
  size_t at_ = 0;
  std::string_view open_tag_;
  std::vector<SqlToken> tokens_;
};

const DialectRow& RowOf(SqlDialect dialect) { return kDialects[static_cast<size_t>(dialect)]; }

}  // namespace

std::string_view SqlDialectName(SqlDialect dialect) { return RowOf(dialect).name; }

std::optional<SqlDialect> SqlDialectFromName(std::string_view name) {
  const std::string lower = AsciiLower(name);
  for (const AliasRow& row : kAliases) {
    if (row.alias == lower) return row.dialect;
  }
  return std::nullopt;
}

SqlDialect GuessSqlDialect(std::string_view hint) {
  std::string word;
  for (size_t i = 0; i <= hint.size(); ++i) {
    if (i < hint.size() && IsAsciiAlnum(hint[i])) {
      word += hint[i];
      continue;
    }
    if (const auto found = SqlDialectFromName(word); found && *found != SqlDialect::kGeneric) return *found;
    word.clear();
  }
  return SqlDialect::kGeneric;
}

std::vector<SqlToken> TokenizeSql(std::string_view text, SqlDialect dialect) {
  const DialectRow& row = RowOf(dialect);
  Tokenizer first(text, row, row.backslash_escapes);
  auto tokens = first.Run();
  if (!first.unterminated() || row.backslash_escapes) return tokens;
  Tokenizer second(text, row, true);
  auto other = second.Run();
  return second.unterminated() ? tokens : other;
}

std::vector<SqlStatement> ParseSql(std::string_view text, SqlDialect dialect) {
  std::vector<SqlStatement> statements(1);
  int depth = 0;
  for (SqlToken& token : TokenizeSql(text, dialect)) {
    if (token.Punct('(')) ++depth;
    if (token.Punct(')')) depth = std::max(0, depth - 1);
    if (token.Punct(';')) {
      // An unbalanced parenthesis must not glue the rest together.
      depth = 0;
      if (!statements.back().empty()) statements.emplace_back();
      continue;
    }
    statements.back().push_back(std::move(token));
  }
  if (statements.back().empty()) statements.pop_back();
  return statements;
}

bool LooksLikeSql(std::string_view text) {
  constexpr std::string_view kVerbs[] = {"alter",    "begin",  "call",   "copy",    "create",  "declare",
                                         "delete",   "do",     "drop",   "exec",    "execute", "explain",
                                         "insert",   "load",   "merge",  "replace", "select",  "set",
                                         "truncate", "unload", "update", "upsert",  "values",  "with"};
  const auto tokens = TokenizeSql(text.substr(0, 4096));
  size_t first = 0;
  while (first < tokens.size() && tokens[first].Punct('(')) ++first;
  if (first + 1 >= tokens.size() || tokens[first].kind != SqlToken::Kind::kWord) return false;
  return std::ranges::find(kVerbs, std::string_view(tokens[first].text)) != std::end(kVerbs);
}

size_t MatchingParenthesis(const SqlStatement& statement, size_t open) {
  int depth = 0;
  for (size_t i = open; i < statement.size(); ++i) {
    if (statement[i].Punct('(')) ++depth;
    if (statement[i].Punct(')') && --depth == 0) return i;
  }
  return statement.size();
}

std::vector<SqlCall> CallsIn(const SqlStatement& statement) {
  // What may stand before the dot of a built-in function.
  constexpr std::string_view kPackages[] = {
      "dbms_random", "dbo", "dbt",        "dbt_utils", "extensions", "information_schema",
      "mysql",       "net", "pg_catalog", "public",    "sys",        "utl_http"};
  std::vector<SqlCall> calls;
  for (size_t i = 0; i + 1 < statement.size(); ++i) {
    if (statement[i].kind != SqlToken::Kind::kWord || !statement[i + 1].Punct('(')) continue;
    if (i > 1 && statement[i - 1].Punct('.')) {
      if (std::ranges::find(kPackages, std::string_view(statement[i - 2].text)) == std::end(kPackages)) continue;
    }
    // `insert into now (a, b)`, `create function now(`: a name, no call.
    constexpr std::string_view kNamed[] = {"as",        "function",   "index", "into",   "macro",
                                           "procedure", "references", "table", "update", "view"};
    if (i > 0 && statement[i - 1].kind == SqlToken::Kind::kWord &&
        std::ranges::find(kNamed, std::string_view(statement[i - 1].text)) != std::end(kNamed)) {
      continue;
    }
    calls.push_back({i, i + 1, MatchingParenthesis(statement, i + 1)});
  }
  return calls;
}

std::vector<std::pair<size_t, size_t>> ArgumentsOf(const SqlStatement& statement, const SqlCall& call) {
  std::vector<std::pair<size_t, size_t>> arguments;
  if (call.no_arguments()) return arguments;
  int depth = 0;
  size_t begin = call.open + 1;
  for (size_t i = begin; i < call.close && i < statement.size(); ++i) {
    if (statement[i].Punct('(') || statement[i].Punct('[')) ++depth;
    if (statement[i].Punct(')') || statement[i].Punct(']')) --depth;
    if (depth == 0 && statement[i].Punct(',')) {
      arguments.emplace_back(begin, i);
      begin = i + 1;
    }
  }
  arguments.emplace_back(begin, std::min(call.close, statement.size()));
  return arguments;
}

}  // namespace lockstep::analyzer
