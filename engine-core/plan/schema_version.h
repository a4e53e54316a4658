// Which plan schema versions are accepted, and the way up and down between them (spec 01 section 6, spec 10 section 2).
//
// Up: pure and total over documents whose structure has been checked; one function per minor step, chained. Only the
// parsed document changes; bytes, digest and identity stay. Down: writes a new document with a new planVersion, or
// refuses with DOWNGRADE_NOT_POSSIBLE, one issue per member whose meaning would be lost.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/contracts/capability_matrix.h"

namespace lockstep::plan {

inline constexpr contracts::MinorVersion kCurrentSchema{1, 2};
// How many minors back are accepted.
inline constexpr int kAcceptedMinors = 3;

// PLAN_SCHEMA_VERSION_UNKNOWN with detail `reason`: `malformed`, `other_major`, `newer`, or `retired`. `current` is a
// parameter so that the rule can be proven for versions to come.
LOCKSTEP_DETERMINISTIC Result<contracts::MinorVersion> CheckSchemaVersion(
    std::string_view text, contracts::MinorVersion current = kCurrentSchema);

struct UpgradedDocument {
  // A v1.2 document in which every step key is one that v1.2 defines.
  Json document;
  // Step keys that the plan's own version does not define and that moved into `params` (step index, key).
  std::vector<std::pair<size_t, std::string>> moved;
  // Those that could not move because `params` has a member of that name already.
  std::vector<std::pair<size_t, std::string>> collisions;
};

// `document` passed CheckStructure for `from` (v1.0, v1.1 or v1.2).
LOCKSTEP_DETERMINISTIC UpgradedDocument Upgrade(Json document, contracts::MinorVersion from);

// From v1.2 to `to` (v1.1 or v1.0). `document` is a v1.2 document that loads; the result carries `new_plan_version`,
// which must be a legal planVersion and differ from the old one. Write it with CanonicalJson or PrettyJson and pin it
// anew.
LOCKSTEP_DETERMINISTIC Result<Json> Downgrade(const Json& document, contracts::MinorVersion to,
                                              std::string_view new_plan_version);

}  // namespace lockstep::plan
