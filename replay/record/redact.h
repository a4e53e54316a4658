// Takes what must not leave a server out of a history before it is saved (`lockstep replay --from-server --redact
// RULES`).
//
//   {"rules": [{"event": "ActivityTask*", "key": "email"}, {"key": "*token*"}, {"event": "WorkflowExecutionSignaled"}],
//    "replacement": "[redacted]"}
//
// A rule holds for events whose type matches `event` (default `*`). With `key` it replaces the values of members of
// that name, at any depth of any JSON payload; without it every text in the payloads. Patterns are those of a shell
// (`*`, `?`, `[..]`), keys without regard to case. A payload that is no JSON is replaced as a whole where a rule
// without key holds. Equal values get equal replacements (a digest follows the word), so that what was equal stays
// equal; numbers become 0 and truth values false. Invariant: ids, types, times and the order of events stay; the result
// is a history that the integrity check accepts.
#pragma once

#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace temporal::api::history::v1 {
class History;
}

namespace lockstep::replay {

struct RedactRule {
  std::string event = "*";
  std::string key;  // empty: everything
};
struct RedactRules {
  std::vector<RedactRule> rules;
  std::string replacement = "[redacted]";
};

// Error: REDACT_RULES_INVALID, naming the place.
Result<RedactRules> ParseRedactRules(const Json& json);
// How many values were replaced.
size_t Redact(const RedactRules& rules, temporal::api::history::v1::History* history);

}  // namespace lockstep::replay
