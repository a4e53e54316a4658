// Failures as values. `Outcome<T>` is a T or a `Failed`: the error that code decides by, and the chain of causes as the server
// has it, so that a workflow which ends by somebody else's failure can hand the whole of it on.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "engine-core/base/check.h"
#include "engine-core/base/result.h"

namespace temporal::api::failure::v1 {
class Failure;
}

namespace temporal::api::common::v1 {
class Payloads;
}

namespace lockstep::workflow {

using FailurePtr = std::shared_ptr<const temporal::api::failure::v1::Failure>;

struct Failed {
  Error error;
  FailurePtr chain;  // may be nullptr: then `error` is all there is
  Failed() = default;
  Failed(Error error_in, FailurePtr chain_in = nullptr) : error(std::move(error_in)), chain(std::move(chain_in)) {}
  // A failure of its own, brought about by another one.
  Failed Because(const Failed& cause) const;
  void FillFailure(temporal::api::failure::v1::Failure* failure) const;
};

// A failure with details as payloads, in full: what other SDKs call an application error.
Failed ApplicationFailure(std::string type, std::string message, const temporal::api::common::v1::Payloads& details,
                          bool retryable = false);

// Checked: `*outcome` of a failure stops the process, as reading a missing value always does here.
template <typename T>
class [[nodiscard]] Outcome {
 public:
  using value_type = T;
  Outcome() requires std::is_default_constructible_v<T> : value_(std::in_place_index<0>) {}
  template <typename U = T>
    requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, Outcome> &&
             !std::is_same_v<std::remove_cvref_t<U>, Failed> && !std::is_same_v<std::remove_cvref_t<U>, Error>)
  Outcome(U&& value) : value_(std::in_place_index<0>, std::forward<U>(value)) {}
  Outcome(Failed failed) : value_(std::in_place_index<1>, std::move(failed)) {}
  Outcome(Error error) : value_(std::in_place_index<1>, std::move(error)) {}
  Outcome(std::unexpected<Error> error) : value_(std::in_place_index<1>, std::move(error.error())) {}

  bool ok() const { return value_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& operator*() { return Value(); }
  const T& operator*() const { return const_cast<Outcome*>(this)->Value(); }
  T* operator->() { return &Value(); }
  const T* operator->() const { return &**this; }
  T value_or(T other) const { return ok() ? **this : std::move(other); }
  const Failed& failed() const {
    LOCKSTEP_CHECK(!ok(), "no failure to look at");
    return std::get<1>(value_);
  }
  const Error& error() const { return failed().error; }

 private:
  T& Value() {
    LOCKSTEP_CHECK(ok(), "a failure has no value: " + std::get<1>(value_).error.ToString());
    return std::get<0>(value_);
  }
  std::variant<T, Failed> value_;
};

// Nothing to hand over: the outcome of what is done for its effect.
struct Unit {
  friend bool operator==(const Unit&, const Unit&) = default;
};

}  // namespace lockstep::workflow
