// Result<T> and Error: how every expected failure travels (design: no exception crosses a library).
// `code` is a code of the specification (spec 01 section 11, 02 section 3.3, 03 section 10, 04 section 11) and is what
// programs act on; `message` is one line for people and names place, expectation and finding; never parse it.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

// One finding of a structural check (spec 01 section 11). Paths read `steps[3].dependsOn[0]`; the root is `$`.
struct Issue {
  std::string path;
  std::string code;
  std::string message;
  friend bool operator==(const Issue&, const Issue&) = default;
  friend auto operator<=>(const Issue& a, const Issue& b) = default;
};

struct Error {
  std::string code;
  std::string message;
  bool retryable = false;
  std::vector<Issue> issues;
  // Further facts as name and value, in the order they were added (for instance `expectedSha256`).
  std::vector<std::pair<std::string, std::string>> details;

  Error() = default;
  Error(std::string code_in, std::string message_in, bool retryable_in = false)
      : code(std::move(code_in)), message(std::move(message_in)), retryable(retryable_in) {}

  Error&& With(std::string name, std::string value) && {
    details.emplace_back(std::move(name), std::move(value));
    return std::move(*this);
  }
  // The value of a detail, or an empty string.
  std::string Detail(std::string_view name) const;
  // `CODE: message`, for logs and terminals.
  std::string ToString() const;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

inline std::unexpected<Error> Fail(std::string code, std::string message, bool retryable = false) {
  return std::unexpected<Error>(Error(std::move(code), std::move(message), retryable));
}
inline std::unexpected<Error> Fail(Error error) { return std::unexpected<Error>(std::move(error)); }

}  // namespace lockstep

// LOCKSTEP_TRY(expression yielding Status or Result): returns the error to the caller, discards the value.
#define LOCKSTEP_TRY(expression)                                          \
  do {                                                                    \
    if (auto lockstep_try_ = (expression); !lockstep_try_.has_value()) {  \
      return std::unexpected(std::move(lockstep_try_).error());           \
    }                                                                     \
  } while (false)

#define LOCKSTEP_JOIN_(a, b) a##b
#define LOCKSTEP_JOIN(a, b) LOCKSTEP_JOIN_(a, b)
// LOCKSTEP_ASSIGN(auto x, expression yielding Result): binds the value or returns the error.
#define LOCKSTEP_ASSIGN(declaration, ...) \
  LOCKSTEP_ASSIGN_(LOCKSTEP_JOIN(lockstep_result_, __LINE__), declaration, __VA_ARGS__)
#define LOCKSTEP_ASSIGN_(result, declaration, ...)                             \
  auto result = (__VA_ARGS__);                                                 \
  if (!result.has_value()) return std::unexpected(std::move(result).error());  \
  declaration = std::move(*result)
