// The step table as JSON: what the activity `fetchPlan` writes into the workflow's history and the interpreter works on
// (spec 04 sections 3 and 5.1). Canonical, compact (members at their default are left out), and free of what the
// interpreter does not need: no descriptions, no cost hints, no payload schemas. Reading it back gives an equal table,
// those parts aside.
//
// A table may be cut into pages so that each stays below the provider's payload limit:
//   {"planSha256", "page", "pageCount", "firstStep", "steps": [...], and on page 0 everything else}
#pragma once

#include <cstdint>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/plan/plan.h"

namespace lockstep::plan {

// Default page size: the provider warns above 256 KB per payload.
inline constexpr size_t kStepTablePageBytes = 240 * 1024;

// The whole table as one value.
LOCKSTEP_DETERMINISTIC Json StepTableJson(const StepTable& table);
LOCKSTEP_DETERMINISTIC inline Json StepTableJson(const Plan& plan) { return StepTableJson(plan.table); }
// Error INVALID_WORKFLOW_STATE when the JSON did not come from StepTableJson.
LOCKSTEP_DETERMINISTIC Result<StepTable> ParseStepTable(const Json& json);

// All pages. Pages are filled greedily, so the same table and size always give the same cut. Error PLAN_TOO_LARGE when
// the head or a single step does not fit into `max_bytes`.
LOCKSTEP_DETERMINISTIC Result<std::vector<Json>> StepTablePages(const StepTable& table,
                                                                size_t max_bytes = kStepTablePageBytes);
// One of them; INVALID_WORKFLOW_STATE when there is no such page.
LOCKSTEP_DETERMINISTIC Result<Json> StepTablePage(const StepTable& table, size_t page,
                                                  size_t max_bytes = kStepTablePageBytes);
LOCKSTEP_DETERMINISTIC inline Result<Json> StepTablePage(const Plan& plan, size_t page,
                                                         size_t max_bytes = kStepTablePageBytes) {
  return StepTablePage(plan.table, page, max_bytes);
}
// From page 0 onwards, complete and in order; INVALID_WORKFLOW_STATE otherwise.
LOCKSTEP_DETERMINISTIC Result<StepTable> AssembleStepTable(const std::vector<Json>& pages);

}  // namespace lockstep::plan
