// Runs the programs that commands lean on: lockstep-tidy and git. No shell; the environment and the working directory
// are the caller's; Ctrl-C ends the child as well.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "engine-core/base/result.h"

namespace lockstep::reports {

struct ProgramResult {
  int exit_code = 0;  // 128 + signal when a signal ended it
  std::string out;
  std::string err;
};

// `argv[0]` is a path, or a name that is looked up in PATH. `directory` empty: the current one. `interrupted`: may be
// nullptr. Errors: PROGRAM_NOT_FOUND, PROCESS_START_FAILED.
Result<ProgramResult> RunProgram(const std::vector<std::string>& argv, const std::string& directory = {},
                                 const std::atomic<bool>* interrupted = nullptr, const std::string& input = {});

// Standard output of a git command in `directory`; GIT_FAILED with git's own words otherwise.
Result<std::string> Git(const std::string& directory, std::vector<std::string> arguments);

}  // namespace lockstep::reports
