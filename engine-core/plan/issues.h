// Paths of issues[] (spec 01 section 11): `metadata.planId`, `steps[3].dependsOn[0]`, root `$`. Internally everything
// is named by JSON Pointers; this is the one place that turns them into paths.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::plan {

// At most this many issues travel with an error; detail `issueCount` then tells how many there were.
inline constexpr size_t kMaxIssues = 256;

// `/steps/3/dependsOn/0` -> `steps[3].dependsOn[0]`, `` -> `$`. A name that is no identifier is quoted:
// `params['a.b']`. All-digit tokens read as indices.
LOCKSTEP_DETERMINISTIC std::string PathFromPointer(std::string_view pointer);
// The way back; for positions in a file. A path that did not come from PathFromPointer gives an empty pointer.
LOCKSTEP_DETERMINISTIC std::string PointerFromPath(std::string_view path);

// An error with sorted issues (by path, then code), whose message quotes the first of them.
LOCKSTEP_DETERMINISTIC Error IssueError(std::string code, std::string_view what, std::vector<Issue> issues);

}  // namespace lockstep::plan
