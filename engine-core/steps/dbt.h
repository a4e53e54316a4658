// Kinds `dbt.compile`, `dbt.run`, `dbt.test`: the dbt program of the worker's configuration, run as `process.run` runs
// a program.
#pragma once

#include "engine-core/steps/step_executor.h"

namespace lockstep::steps {

void RegisterDbtKinds(ExecutorRegistry* registry);

}  // namespace lockstep::steps
