// Runs another program to its end and keeps what it said: git, a build command, a debugger. Arguments go to the program
// as they are, no shell in between. Only the process started here (and its group) is ever signalled.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine-core/base/result.h"

namespace lockstep::replay {

struct ProgramOptions {
  std::string directory;                           // empty: this one
  std::map<std::string, std::string> environment;  // added to that of this process
  int64_t timeout_ms = 0;                          // 0: none
  size_t keep_bytes = size_t{8} << 20;             // of output; the beginning is dropped
  const std::atomic<bool>* interrupt = nullptr;
};
struct ProgramResult {
  int exit_code = 0;  // 128 + signal when one ended it
  bool timed_out = false;
  std::string output;  // standard output
  std::string errors;  // standard error
};

// Errors: PROGRAM_NOT_FOUND, PROGRAM_FAILED (could not be started), INTERRUPTED.
Result<ProgramResult> RunProgram(const std::vector<std::string>& argv, const ProgramOptions& options = {});

}  // namespace lockstep::replay
