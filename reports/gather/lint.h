// What `lockstep lint` gathers: the C++ half from the program lockstep-tidy, the plan half from analyzer/plan, as one
// result.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "engine-core/base/result.h"
#include "reports/model/model.h"

namespace lockstep::reports {

struct LintRequest {
  std::string tidy_program;
  std::string build_directory;
  bool plans = true;               // false: C++ only
  std::vector<std::string> paths;  // empty: the whole program, and every plan below the current folder
  std::string changed_since;
  std::string baseline;
  std::string write_baseline;
  std::string config;
  std::string dialect;                      // of SQL in plans
  std::vector<std::string> tidy_arguments;  // handed to lockstep-tidy as they are
  const std::atomic<bool>* interrupted = nullptr;
};

struct LintOutcome {
  v1::Result result;
  // Of the C++ half when it could not do its work (2, 3 or 4), else 0. Its words are a fatal problem of the result.
  int tidy_failure = 0;
};

// Errors: INPUT_NOT_FOUND, INPUT_EMPTY (a path with neither C++ nor plans), PROGRAM_NOT_FOUND (lockstep-tidy),
// GIT_FAILED, BASELINE_INVALID, CONFIG_INVALID, and those of reading files.
Result<LintOutcome> RunLint(const LintRequest& request);

}  // namespace lockstep::reports
