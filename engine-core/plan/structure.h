// Structural validation of a plan document (stage 9 of spec 01 section 4): the JSON Schema of its version, and the
// rules of section 5 that a schema cannot say. All findings are collected.
#pragma once

#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/contracts/capability_matrix.h"

namespace lockstep::plan {

inline constexpr size_t kMaxParamsBytes = 64 * 1024;

struct StructureFindings {
  // For INVALID_PLAN_SCHEMA.
  std::vector<Issue> plan;
  // For INVALID_STEP_SCHEMA: field_not_allowed, dependsOn_must_be_array, dependsOn_values_must_be_string, kind_unknown.
  std::vector<Issue> step;
  bool empty() const { return plan.empty() && step.empty(); }
};

LOCKSTEP_DETERMINISTIC StructureFindings CheckStructure(const Json& document, contracts::MinorVersion version);

}  // namespace lockstep::plan
