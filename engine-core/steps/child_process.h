// Runs one program to its end: no shell, its own process group, standard streams only, nothing else inherited.
//
// Invariants, whatever happens in between: when `RunProcess` returns, the process has been waited for (no zombie),
// every process left in its group has been killed, and no descriptor stays open. If the worker itself dies, the kernel
// kills the program. The calling thread must live as long as the call (the kernel ties the program's life to that
// thread).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/activity/activity.h"
#include "engine-core/base/result.h"

namespace lockstep::steps {

struct ProcessSpec {
  std::string program;                     // absolute path
  std::vector<std::string> argv;           // argv[0] included
  std::map<std::string, std::string> env;  // all of it
  int cwd_fd = -1;                         // an open directory; stays the caller's
  std::string stdin_text;
  uint64_t max_output_bytes = UINT64_MAX;  // of each stream
  int64_t time_limit_ms = 0;               // 0: none
  int64_t kill_grace_ms = 5000;            // between SIGTERM and SIGKILL
  // Called on the calling thread. A failure ends the process and is returned.
  std::function<Status(std::string_view)> on_stdout;
  std::function<Status(std::string_view)> on_stderr;
};

enum class ProcessEnd : uint8_t {
  kExited,       // by itself; `exit_code`
  kSignaled,     // by a signal that we did not send; `signal`
  kCancelled,    // ended by us: the activity was cancelled
  kTimedOut,     // ended by us: `time_limit_ms`
  kOutputLimit,  // ended by us: `max_output_bytes`
};

struct ProcessOutcome {
  ProcessEnd end = ProcessEnd::kExited;
  int exit_code = 0;
  int signal = 0;
  uint64_t stdout_bytes = 0;
  uint64_t stderr_bytes = 0;
  bool killed = false;  // SIGKILL was necessary
};

// Errors: PROCESS_START_FAILED (retryable when the system lacked resources), or what a stream callback returned.
Result<ProcessOutcome> RunProcess(const ProcessSpec& spec, activity::ActivityContext& context);

}  // namespace lockstep::steps
