#include "replay/trace/cpp_text.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "engine-core/base/bytes.h"

namespace lockstep::replay {
namespace {

constexpr std::string_view kKeywords[] = {
    "alignas",   "alignof",   "auto",         "bool",          "break",       "case",    "catch",
    "char",      "class",     "co_await",     "co_return",     "co_yield",    "const",   "const_cast",
    "consteval", "constexpr", "continue",     "decltype",      "default",     "delete",  "do",
    "double",    "else",      "enum",         "explicit",      "extern",      "false",   "final",
    "float",     "for",       "friend",       "goto",          "if",          "inline",  "int",
    "long",      "mutable",   "namespace",    "new",           "noexcept",    "nullptr", "operator",
    "override",  "private",   "protected",    "public",        "requires",    "return",  "short",
    "signed",    "sizeof",    "static",       "static_assert", "static_cast", "struct",  "switch",
    "template",  "this",      "thread_local", "throw",         "true",        "try",     "typedef",
    "typename",  "union",     "unsigned",     "using",         "virtual",     "void",    "volatile",
    "while"};

constexpr std::string_view kOperators[] = {"...", "<=>", "->*", "::", "->", "<<", "<=", ">=", "==", "!=", "&&",
                                           "||",  "+=",  "-=",  "*=", "/=", "%=", "&=", "|=", "^=", "++", "--"};

bool BeginsName(char c) { return IsAsciiAlpha(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80; }
bool IsNamePart(char c) { return BeginsName(c) || IsAsciiDigit(c); }

// Reads line by line; what goes over several lines (comments, raw texts, directives) is state.
class Reader {
 public:
  explicit Reader(const std::vector<std::string>& lines) : lines_(lines) {}

  std::vector<Token> Read() {
    for (line_ = 0; line_ < lines_.size(); ++line_) {
      at_ = 0;
      bool first = true;
      while (SkipSpace()) {
        if (first && Here() == '#') {
          Directive();
          break;
        }
        first = false;
        One();
      }
    }
    return std::move(tokens_);
  }

 private:
  const std::string& Line() const { return lines_[line_]; }
  char Here() const { return Line()[at_]; }
  char Next() const { return at_ + 1 < Line().size() ? Line()[at_ + 1] : '\0'; }

  // To the next character that is no space and no comment; false at the end of the line.
  bool SkipSpace() {
    while (at_ < Line().size()) {
      if (Here() == ' ' || Here() == '\t' || Here() == '\r' || Here() == '\f') {
        ++at_;
      } else if (Here() == '/' && Next() == '/') {
        return false;
      } else if (Here() == '/' && Next() == '*') {
        SkipComment();
      } else {
        return true;
      }
    }
    return false;
  }

  void SkipComment() {
    size_t from = at_ + 2;
    while (true) {
      const size_t end = Line().find("*/", from);
      if (end != std::string::npos) {
        at_ = end + 2;
        return;
      }
      if (line_ + 1 >= lines_.size()) {
        at_ = Line().size();
        return;
      }
      ++line_;
      from = 0;
    }
  }

  void Add(TokenKind kind, std::string text, size_t line) {
    if (kind == TokenKind::kText && !tokens_.empty() && tokens_.back().kind == kind && text.starts_with('"') &&
        tokens_.back().text.ends_with('"')) {
      tokens_.back().text.pop_back();
      tokens_.back().text += text.substr(1);
      return;
    }
    if (text == "}" && !tokens_.empty() && tokens_.back().text == ",") tokens_.pop_back();
    tokens_.push_back({kind, std::move(text), static_cast<uint32_t>(line + 1)});
  }

  void Directive() {
    const size_t first = line_;
    std::string text = Line().substr(at_);
    while (text.ends_with('\\') && line_ + 1 < lines_.size()) {
      text.pop_back();
      text += lines_[++line_];
    }
    Add(TokenKind::kDirective, std::move(text), first);
    at_ = Line().size();
  }

  void One() {
    const char c = Here();
    if (BeginsName(c)) return Name();
    if (IsAsciiDigit(c) || (c == '.' && IsAsciiDigit(Next()))) return Number();
    if (c == '"' || c == '\'') return Text(at_);
    for (const std::string_view text : kOperators) {
      if (std::string_view(Line()).substr(at_).starts_with(text)) {
        at_ += text.size();
        return Add(TokenKind::kOther, std::string(text), line_);
      }
    }
    Add(TokenKind::kOther, std::string(1, c), line_);
    ++at_;
  }

  void Name() {
    const size_t begin = at_;
    while (at_ < Line().size() && IsNamePart(Here())) ++at_;
    const std::string_view name = std::string_view(Line()).substr(begin, at_ - begin);
    if (at_ < Line().size() && Here() == '"') {
      if (name == "R" || name == "u8R" || name == "LR" || name == "uR" || name == "UR") return RawText(begin);
      if (name == "u8" || name == "L" || name == "u" || name == "U") return Text(begin);
    }
    Add(TokenKind::kName, std::string(name), line_);
  }

  void Number() {
    std::string text;
    while (at_ < Line().size()) {
      const char c = Here();
      const bool sign = (c == '+' || c == '-') && !text.empty() &&
                        std::string_view("eEpP").find(text.back()) != std::string_view::npos && !text.starts_with("0x");
      if (c == '\'' && !text.empty() && IsNamePart(Next())) {
        ++at_;
        continue;
      }
      if (!IsNamePart(c) && c != '.' && !sign) break;
      text.push_back(c);
      ++at_;
    }
    Add(TokenKind::kNumber, std::move(text), line_);
  }

  // Up to the closing quote, or the end of the line when there is none.
  void Text(size_t begin) {
    const char quote = Line()[at_ = Line().find_first_of("\"'", begin)];
    for (++at_; at_ < Line().size() && Here() != quote; ++at_) {
      if (Here() == '\\') ++at_;
    }
    at_ = std::min(at_ + 1, Line().size());
    Add(TokenKind::kText, Line().substr(begin, at_ - begin), line_);
  }

  void RawText(size_t begin) {
    const size_t first = line_;
    const size_t open = Line().find('(', at_);
    if (open == std::string::npos) return Text(begin);
    const std::string close = ")" + Line().substr(at_ + 1, open - at_ - 1) + "\"";
    std::string text = Line().substr(begin, open + 1 - begin);
    size_t from = open + 1;
    while (true) {
      const size_t end = Line().find(close, from);
      if (end != std::string::npos || line_ + 1 >= lines_.size()) {
        at_ = end == std::string::npos ? Line().size() : end + close.size();
        text += Line().substr(from, at_ - from);
        break;
      }
      text += Line().substr(from) + "\n";
      ++line_;
      from = 0;
    }
    Add(TokenKind::kText, std::move(text), first);
  }

  const std::vector<std::string>& lines_;
  size_t line_ = 0;
  size_t at_ = 0;
  std::vector<Token> tokens_;
};

// Finds the items of a scope, and of those inside it.
class Outline {
 public:
  explicit Outline(const std::vector<Token>& tokens) : tokens_(tokens) {}

  std::vector<Item> Read() {
    size_t at = 0;
    // A brace too many ends a scope early; what follows is read as another.
    while (at < tokens_.size()) at = Scope(at) + 1;
    return std::move(items_);
  }

 private:
  const std::string& At(size_t i) const { return tokens_[i].text; }
  bool Is(size_t i, std::string_view text) const { return i < tokens_.size() && tokens_[i].text == text; }

  // What is known of a declaration while its tokens go by.
  struct Head {
    size_t begin = 0;
    size_t name = 0;          // token of the name; only when `named`
    bool named = false;       // a parameter list, value or braces follow the name
    bool parameters = false;  // the name is followed by a parameter list
    bool value = false;       // `=` or braces with a value
    bool scope = false;       // namespace or linkage
    bool type = false;        // class, struct, union
    bool enumeration = false;
    bool initializers = false;  // after the `:` of a constructor
    bool nothing = false;       // using, typedef, friend: no item
  };

  // Returns the index of the closing brace, or the end.
  size_t Scope(size_t at) {
    Head head{at};
    const auto restart = [&](size_t next) {
      head = Head{next};
      return next;
    };
    while (at < tokens_.size()) {
      const Token& token = tokens_[at];
      if (token.kind == TokenKind::kDirective) {
        at = head.begin == at ? restart(at + 1) : at + 1;
      } else if (token.text == "}") {
        return at;
      } else if (token.text == ";") {
        if (head.value && head.named && !head.nothing) Add(ItemKind::kDeclaration, head, at);
        at = restart(at + 1);
      } else if (token.text == "{") {
        at = Brace(at, &head);
        if (head.begin == SIZE_MAX) restart(at);
      } else if (head.begin == at && IsMacroCall(at)) {
        const size_t close = Match(at + 1);
        head.name = at;
        Add(ItemKind::kMacro, head, close);
        at = restart(Is(close + 1, ";") ? close + 2 : close + 1);
      } else if (token.text == ":" && at > 0 &&
                 (Is(at - 1, "public") || Is(at - 1, "private") || Is(at - 1, "protected"))) {
        at = restart(at + 1);
      } else {
        at = Step(at, &head);
      }
    }
    return at;
  }

  // One token of a declaration, or one bracketed group.
  size_t Step(size_t at, Head* head) {
    const std::string& text = At(at);
    if (text == "namespace" || text == "extern")
      head->scope =
          head->scope || text == "namespace" || tokens_[std::min(at + 1, tokens_.size() - 1)].kind == TokenKind::kText;
    if (text == "using" || text == "typedef" || text == "friend") head->nothing = true;
    if (!head->named && !head->enumeration && (text == "class" || text == "struct" || text == "union"))
      head->type = true;
    if (text == "enum") head->enumeration = true;
    if (text == "operator" && !head->named) return Operator(at, head);
    if (text == "template" && Is(at + 1, "<")) return SkipAngles(at + 1);
    if (text == "<" && !head->value && at > head->begin && tokens_[at - 1].kind == TokenKind::kName)
      return SkipAngles(at);
    if (text == "=" && !head->parameters) {
      Name(at, head);
      head->value = true;
    }
    if (text == ":" && head->parameters) head->initializers = true;
    if (text == "(" || text == "[") {
      if (text == "[" && !head->value) Name(at, head);
      if (text == "(" && !head->value && !head->named && at > head->begin) {
        Name(at, head);
        head->parameters = head->named;
        head->type = head->type && !head->named;
      }
      return Match(at) + 1;
    }
    return at + 1;
  }

  // `operator==(...)`: whatever stands between is part of the name.
  size_t Operator(size_t at, Head* head) const {
    head->named = head->parameters = true;
    head->name = at++;
    if (Is(at, "(") && Is(at + 1, ")")) at += 2;
    while (at < tokens_.size() && At(at) != "(" && At(at) != ";" && At(at) != "{") ++at;
    return Is(at, "(") ? Match(at) + 1 : at;
  }

  void Name(size_t at, Head* head) const {
    if (head->named || at <= head->begin || tokens_[at - 1].kind != TokenKind::kName || IsKeyword(At(at - 1))) return;
    head->named = true;
    head->name = at - 1;
  }

  size_t Brace(size_t at, Head* head) {
    const bool initializer =
        head->initializers && at > 0 && (tokens_[at - 1].kind == TokenKind::kName || Is(at - 1, ">"));
    if (initializer) return Match(at) + 1;
    if (head->parameters && !head->value) {
      const size_t close = Match(at);
      Add(ItemKind::kFunction, *head, close);
      head->begin = SIZE_MAX;
      return close + 1;
    }
    if ((head->scope || head->type) && !head->value && depth_ < kMaxScopes) {
      ++depth_;
      const std::string outer = std::exchange(class_, head->type ? ClassName(*head, at) : class_);
      const size_t close = Scope(at + 1);
      class_ = outer;
      --depth_;
      // What may follow a class up to its semicolon says nothing.
      head->begin = SIZE_MAX;
      return close + 1;
    }
    if (!head->enumeration) {
      Name(at, head);
      head->value = true;
    }
    return Match(at) + 1;
  }

  // `class Order final : public Base {`: the name before the bases.
  std::string ClassName(const Head& head, size_t brace) const {
    std::string name;
    for (size_t i = head.begin; i < brace && At(i) != ":"; ++i) {
      if (tokens_[i].kind == TokenKind::kName && !IsKeyword(At(i))) name = At(i);
    }
    return name;
  }

  // `LOCKSTEP_JSON(...)` at the beginning of a declaration, with nothing that makes it a function.
  bool IsMacroCall(size_t at) const {
    if (tokens_[at].kind != TokenKind::kName || !Is(at + 1, "(") || At(at).size() < 3) return false;
    const bool upper = std::all_of(At(at).begin(), At(at).end(),
                                   [](char c) { return c == '_' || IsAsciiDigit(c) || (c >= 'A' && c <= 'Z'); });
    const size_t close = Match(at + 1);
    return upper && !Is(close + 1, "{");
  }

  // The closing bracket of the one at `at`; the last token when there is none.
  size_t Match(size_t at) const {
    int depth = 0;
    for (; at < tokens_.size(); ++at) {
      const std::string& text = At(at);
      if (text == "(" || text == "[" || text == "{") ++depth;
      if ((text == ")" || text == "]" || text == "}") && --depth == 0) return at;
    }
    return tokens_.empty() ? 0 : tokens_.size() - 1;
  }

  // Behind the `>` that closes the `<` at `at`; behind the `<` when it is a comparison.
  size_t SkipAngles(size_t at) const {
    int depth = 0;
    for (size_t i = at; i < tokens_.size(); ++i) {
      const std::string& text = At(i);
      if (text == "(" || text == "[" || text == "{")
        i = Match(i);
      else if (text == "<")
        ++depth;
      else if (text == ">" && --depth == 0)
        return i + 1;
      else if (text == ";" || text == "}")
        break;
    }
    return at + 1;
  }

  void Add(ItemKind kind, const Head& head, size_t last) {
    Item item;
    item.kind = kind;
    item.name = At(head.name);
    item.scope = head.name >= 2 && Is(head.name - 1, "::") ? At(head.name - 2) : class_;
    item.begin = head.begin;
    item.end = last + 1;
    item.first = tokens_[head.begin].line;
    item.last = tokens_[last].line;
    std::set<std::string> calls, names, locals, writes;
    for (size_t i = head.begin; i <= last; ++i) {
      if (tokens_[i].kind != TokenKind::kName || IsKeyword(At(i))) continue;
      names.insert(At(i));
      const bool handed_on = i >= 3 && Is(i - 1, "::") && Is(i - 3, "&");
      if ((i != head.name && Is(i + 1, "(")) || handed_on) calls.insert(At(i));
      if (i != head.name && IsDeclared(tokens_, i)) {
        locals.insert(At(i));
      } else if (IsWritten(i)) {
        writes.insert(At(i));
      }
    }
    item.calls.assign(calls.begin(), calls.end());
    item.names.assign(names.begin(), names.end());
    item.locals.assign(locals.begin(), locals.end());
    item.writes.assign(writes.begin(), writes.end());
    items_.push_back(std::move(item));
  }

  static constexpr int kMaxScopes = 64;

  // Something is assigned to the name, to a part of it, or called on it that changes it.
  bool IsWritten(size_t at) const {
    constexpr std::string_view kAssign[] = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "++", "--"};
    constexpr std::string_view kChange[] = {
        "push_back", "pop_back", "push_front", "pop_front", "insert",       "emplace",     "erase",
        "clear",     "reset",    "set",        "Set",       "Push",         "push",        "pop",
        "assign",    "append",   "resize",     "swap",      "emplace_back", "try_emplace", "insert_or_assign",
        "store",     "send",     "close",      "merge",     "sort"};
    if (at > 0 && (Is(at - 1, "++") || Is(at - 1, "--"))) return true;
    size_t next = at + 1;
    if (Is(next, "[")) next = Match(next) + 1;
    // A part of it: a.b.c = x.
    while ((Is(next, ".") || Is(next, "->")) && next + 2 < tokens_.size() &&
           tokens_[next + 1].kind == TokenKind::kName && !Is(next + 2, "("))
      next += 2;
    if (next >= tokens_.size()) return false;
    if (std::find(std::begin(kAssign), std::end(kAssign), At(next)) != std::end(kAssign)) return true;
    return (At(next) == "." || At(next) == "->") && Is(next + 2, "(") &&
           std::find(std::begin(kChange), std::end(kChange), At(next + 1)) != std::end(kChange);
  }

  const std::vector<Token>& tokens_;
  std::vector<Item> items_;
  std::string class_;  // around what is being read
  int depth_ = 0;
};

}  // namespace

bool HasName(const std::vector<std::string>& sorted, const std::string& name) {
  return std::binary_search(sorted.begin(), sorted.end(), name);
}

bool IsKeyword(std::string_view name) { return std::binary_search(std::begin(kKeywords), std::end(kKeywords), name); }

std::vector<Token> Tokens(const std::vector<std::string>& lines) { return Reader(lines).Read(); }

std::vector<size_t> StatementsOf(const std::vector<Token>& tokens) {
  std::vector<size_t> begins;
  int depth = 0;
  bool head = false;
  bool fresh = true;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (fresh) begins.push_back(i);
    fresh = false;
    const std::string& text = tokens[i].text;
    if (depth == 0 && (text == "if" || text == "for" || text == "while" || text == "switch")) head = true;
    if (text == "(" || text == "[") ++depth;
    if (text == ")" || text == "]") depth = std::max(0, depth - 1);
    if (depth > 0) continue;
    const bool ends_head = head && text == ")";
    if (ends_head) head = false;
    fresh = ends_head || text == ";" || text == "{" || text == "}" || text == "else" ||
            tokens[i].kind == TokenKind::kDirective;
  }
  begins.push_back(tokens.size());
  return begins;
}

bool IsDeclared(const std::vector<Token>& tokens, size_t at) {
  if (at == 0 || at + 1 >= tokens.size()) return false;
  const Token& before = tokens[at - 1];
  const std::string& after = tokens[at + 1].text;
  constexpr std::string_view kAfter[] = {"=", ";", ",", ")", "{", "(", ":", "[", "]"};
  if (std::find(std::begin(kAfter), std::end(kAfter), after) == std::end(kAfter)) return false;
  if (before.kind == TokenKind::kName) {
    constexpr std::string_view kNoTypes[] = {"return", "co_return", "co_await", "co_yield", "throw",  "else",
                                             "case",   "goto",      "new",      "delete",   "sizeof", "operator"};
    return std::find(std::begin(kNoTypes), std::end(kNoTypes), before.text) == std::end(kNoTypes);
  }
  if (before.text == ">" || before.text == "&" || before.text == "*" || before.text == "&&") return true;
  // auto [a, b], and lambdas that catch `x = ...`.
  return before.text == "[" || (before.text == "," && (after == "]" || after == ","));
}

std::vector<Item> ItemsOf(const std::vector<Token>& tokens) { return Outline(tokens).Read(); }

}  // namespace lockstep::replay
