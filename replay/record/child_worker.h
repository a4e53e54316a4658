// A worker as a process of its own (`lockstep worker`), so that a recording can kill it for real. Only this very process id is
// ever signalled; the worker dies with its owner (PDEATHSIG). Used by one thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine-core/base/result.h"

namespace lockstep::replay {

class ChildWorker {
 public:
  // `arguments` without the program's name; output goes to `log_file`.
  ChildWorker(std::filesystem::path program, std::vector<std::string> arguments, std::filesystem::path log_file);
  ~ChildWorker();  // Stop
  ChildWorker(const ChildWorker&) = delete;
  ChildWorker& operator=(const ChildWorker&) = delete;

  // `extra` arguments count for this start only. WORKER_FAILED when it cannot be started.
  Status Start(const std::vector<std::string>& extra = {});
  bool Running();
  void Kill();                            // SIGKILL, and waits
  void Stop(int64_t grace_ms = 15'000);   // SIGTERM; SIGKILL when it has not ended in time
  // The end of its log, for error messages.
  std::string LogTail() const;

 private:
  std::filesystem::path program_;
  std::vector<std::string> arguments_;
  std::filesystem::path log_file_;
  int pid_ = -1;
};

}  // namespace lockstep::replay
