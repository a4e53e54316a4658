// Reads a JSON Schema before Valijson does: refuses what is outside the supported subset or would make evaluation
// endless, and rewrites the three keywords that need an own implementation (see json_schema.cpp).
#pragma once

#include <string_view>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace lockstep::contracts {

// Keys under which the rewritten schema carries what own constraints check.
inline constexpr std::string_view kPatternKey = "lockstep:pattern";
inline constexpr std::string_view kUniqueKey = "lockstep:uniqueItems";
inline constexpr std::string_view kBudgetKey = "lockstep:budget";

// Longest chain of schemas applied to one value; with 64 levels of nesting this bounds the stack.
inline constexpr size_t kMaxInPlaceDepth = 24;

// The rewritten schema, or SCHEMA_INVALID.
Result<Json> PrepareSchema(const Json& schema);

}  // namespace lockstep::contracts
