// C++ as words: a text cut into tokens without its spaces and comments, and those into the functions and declarations
// that stand in namespaces and classes. Enough to compare two versions of a file by meaning and to follow names from
// one function to another; no preprocessor, no types. Used to rank, never to decide. A text that is no C++ gives tokens
// all the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::replay {

enum class TokenKind : uint8_t { kName, kNumber, kText, kOther, kDirective };

struct Token {
  TokenKind kind = TokenKind::kOther;
  // As written, but for numbers (without digit separators), neighbouring texts (joined) and directives (one line).
  std::string text;
  uint32_t line = 0;  // 1-based
  friend bool operator==(const Token& left, const Token& right) { return left.text == right.text; }
};

// A comma before a closing brace says nothing and is left out.
std::vector<Token> Tokens(const std::vector<std::string>& lines);

enum class ItemKind : uint8_t { kFunction, kDeclaration, kMacro };

// What stands in a namespace or class: a function with its body, a declaration with its value, a macro with its
// arguments.
struct Item {
  ItemKind kind = ItemKind::kFunction;
  std::string name;              // last part only: `Dispatch`
  std::string scope;             // class it belongs to: around it, or before `::`
  size_t begin = 0, end = 0;     // tokens
  uint32_t first = 0, last = 0;  // lines, inclusive
  // All sorted.
  std::vector<std::string> calls;   // names followed by `(`, or handed on as `&C::name`
  std::vector<std::string> names;   // all names
  std::vector<std::string> locals;  // names that it declares itself
  std::vector<std::string> writes;  // names that it gives a value, or calls something on that does
};
std::vector<Item> ItemsOf(const std::vector<Token>& tokens);

// Where each statement begins, and behind them the number of tokens. A statement ends with `;` or a brace outside of
// parentheses, with the head of `if`, `for`, `while` and `switch`, or with `else`.
std::vector<size_t> StatementsOf(const std::vector<Token>& tokens);

// The name at `at` is being declared: a type or another declarator stands before it.
bool IsDeclared(const std::vector<Token>& tokens, size_t at);

bool HasName(const std::vector<std::string>& sorted, const std::string& name);

// Words of the language that name nothing.
bool IsKeyword(std::string_view name);

}  // namespace lockstep::replay
