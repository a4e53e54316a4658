// The registry of built-in step kinds (spec 01 section 5.8, spec 00 section 5): worker class, parameter schema, and
// what only some builds know. Kinds are data; adding one means one row here and one schema in
// engine-core/contracts/schemas/kinds.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/plan/plan.h"

namespace lockstep::plan {

struct StepKind {
  std::string_view name;
  WorkerClass worker_class = WorkerClass::kControl;
  // Embedded file with the draft-07 schema of `params`.
  std::string_view schema;
  // Exists only where test kinds are allowed (`fail`).
  bool test_only = false;
  // Runs in the interpreter as a provider timer instead of an activity (`sleep`).
  bool is_timer = false;
};

LOCKSTEP_DETERMINISTIC std::span<const StepKind> BuiltInKinds();
// nullptr for an unknown kind, and for a test kind unless allowed.
LOCKSTEP_DETERMINISTIC const StepKind* FindKind(std::string_view name, bool allow_test_kinds = false);

enum class References : uint8_t {
  // As written in a plan: a string that holds a reference is not judged, its value is not known yet.
  kUnresolved,
  // Just before execution.
  kResolved,
};

// Issues (`param_invalid`, `field_not_allowed`) with paths below `base_pointer`; empty when the parameters are good.
LOCKSTEP_DETERMINISTIC std::vector<Issue> CheckParams(const StepKind& kind, const Json& params,
                                                      std::string_view base_pointer,
                                                      References references = References::kResolved);

}  // namespace lockstep::plan
