// Where two JSON values differ: the pointers at fault with both values, so that a report names the field and not the blob.
#pragma once

#include <string>
#include <vector>

#include "engine-core/base/json.h"

namespace lockstep {

struct JsonDifference {
  std::string pointer;   // RFC 6901; empty for the whole value
  std::string expected;  // canonical JSON, shortened; empty: absent
  std::string actual;
  friend bool operator==(const JsonDifference&, const JsonDifference&) = default;
};

// In document order, at most `limit`. Equal values give none.
std::vector<JsonDifference> DiffJson(const Json& expected, const Json& actual, size_t limit = 20);

}  // namespace lockstep
