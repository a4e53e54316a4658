// Always-on checks of broken invariants. A failed check prints the expression, the place and the message, and stops the
// process: going on with a broken invariant could write a wrong event, which no later code can take back.
#pragma once

#include <source_location>
#include <string>

#include "engine-core/base/marks.h"

namespace lockstep {

[[noreturn]] LOCKSTEP_TRUSTED("stops the process: what it prints reaches no history") void CheckFailed(const char* expression, const std::string& message,
                              std::source_location where = std::source_location::current());

}  // namespace lockstep

// LOCKSTEP_CHECK(condition, message-as-std::string)
#define LOCKSTEP_CHECK(condition, ...)                                             \
  do {                                                                             \
    if (!(condition)) [[unlikely]] {                                               \
      ::lockstep::CheckFailed(#condition, ::std::string(__VA_ARGS__));             \
    }                                                                              \
  } while (false)
