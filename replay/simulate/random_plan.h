// A plan that a seed decides: shape, width, kinds and policies. The same seed gives the same plan for ever.
#pragma once

#include <string>

#include "replay/simulate/fates.h"

namespace lockstep::simulate {

struct PlanShape {
  int min_steps = 2;
  int max_steps = 12;
};
// A v1.2 document.
std::string RandomPlan(const Fates& fates, const PlanShape& shape);

// The plan without these steps: what depended on them depends on what they depended on. Conditions and references to
// them go, too. Empty when nothing sensible is left.
std::string WithoutSteps(const std::string& plan, const std::set<std::string>& steps);

}  // namespace lockstep::simulate
