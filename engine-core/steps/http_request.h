// Kind `http.request`. The URL comes from a plan, so it is checked against the operator's list of hosts before anything
// is sent, the addresses behind the name are checked as well, and the connection goes to the address that was checked.
// No redirects.
#pragma once

#include <memory>

#include "engine-core/steps/step_executor.h"

namespace lockstep::steps {

std::shared_ptr<StepExecutor> HttpRequestExecutor();

}  // namespace lockstep::steps
