// The kinds without an outside world: `noop`, `echo`, `fail`, and the guard that stands for `sleep`.
#pragma once

#include "engine-core/steps/step_executor.h"

namespace lockstep::steps {

void RegisterSimpleKinds(ExecutorRegistry* registry);

}  // namespace lockstep::steps
