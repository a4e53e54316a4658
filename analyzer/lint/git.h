// The one question the analyzer asks git: which files differ from a revision.
#pragma once

#include <set>
#include <string>

#include "engine-core/base/result.h"

namespace lockstep::analyzer {

// Absolute paths of files that differ between `revision` and the working tree of the repository around `directory`, untracked
// ones included. Error code GIT_FAILED.
Result<std::set<std::string>> ChangedFiles(const std::string& directory, const std::string& revision);

}  // namespace lockstep::analyzer
