// Whether the event log can carry a value as it is (spec 01 section 10, state/event.cpp): numbers that every reader of
// JSON keeps exactly, and nesting that leaves room for the event around it. What it cannot carry travels as an artifact
// or as text.
#pragma once

#include <cstddef>

#include "engine-core/base/json.h"

namespace lockstep::steps {

// Readers of events stop at 60 levels, and an event puts some around the result.
inline constexpr size_t kMaxResultDepth = 48;

// Integers within +/-(2^53 - 1), and doubles that canonical JSON does not write as a larger integer.
bool IsCarriableNumber(const Json& number);
bool IsCarriable(const Json& value);

}  // namespace lockstep::steps
