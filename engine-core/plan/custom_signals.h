// Custom signals of v1.2 (spec 01 section 9.1): reading the declarations, and judging a payload against one of them.
#pragma once

#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/plan/plan.h"

namespace lockstep::plan {

inline constexpr size_t kMaxPayloadSchemaBytes = 16 * 1024;
inline constexpr size_t kMaxPayloadSchemaDepth = 16;

// `PAUSE`, `RETRY_STEP` ...: names a custom signal may not take (spec 03 section 5.1).
LOCKSTEP_DETERMINISTIC bool IsBuiltInSignal(std::string_view name);

// The member `customSignals`. Error CUSTOM_SIGNAL_INVALID with issues.
LOCKSTEP_DETERMINISTIC Result<std::vector<CustomSignal>> ParseCustomSignals(const Json& list);

// Every gate names a declared signal whose effect is `open_gate` and that may come often enough. Error
// CUSTOM_SIGNAL_INVALID.
LOCKSTEP_DETERMINISTIC Status CheckGates(const StepTable& table);

// What is wrong with a payload: the declared schema; `stepId` when the scope is `step`; `params` when the effect is
// `set_params`. Empty when it is good. The signal must come from a loaded plan (its schema is needed).
LOCKSTEP_DETERMINISTIC std::vector<Issue> CheckSignalPayload(const CustomSignal& signal, const Json& payload);

}  // namespace lockstep::plan
