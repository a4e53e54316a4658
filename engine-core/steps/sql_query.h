// Kind `sql.query` on SQLite: bound arguments, one transaction, bounded results. A plan's statement is untrusted: it
// cannot reach another file (ATTACH), load code, end the transaction or change what protects the connection.
#pragma once

#include <memory>

#include "engine-core/steps/step_executor.h"

namespace lockstep::steps {

std::shared_ptr<StepExecutor> SqlQueryExecutor();

}  // namespace lockstep::steps
