#include "reports/gather/programs.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "engine-core/activity/activity.h"
#include "engine-core/base/bytes.h"
#include "engine-core/steps/child_process.h"

extern char** environ;

namespace lockstep::reports {
namespace {

// The context that the process runner asks about cancellation: here that of the command line.
class CommandContext final : public activity::ActivityContext {
 public:
  explicit CommandContext(const std::atomic<bool>* interrupted) : interrupted_(interrupted) {}
  const activity::ActivityInfo& info() const override { return info_; }
  void Heartbeat(const Json&) override {}
  Json LastHeartbeat() const override { return {}; }
  bool cancelled() const override { return interrupted_ != nullptr && interrupted_->load(); }
  bool WaitForCancellation(int64_t timeout_ms) override {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (!cancelled() && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return cancelled();
  }

 private:
  activity::ActivityInfo info_;
  const std::atomic<bool>* interrupted_;
};

std::string FindInPath(const std::string& name) {
  if (name.find('/') != std::string::npos) return ::access(name.c_str(), X_OK) == 0 ? name : std::string();
  const char* path = std::getenv("PATH");
  for (const std::string_view folder : Split(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    const std::string candidate = (folder.empty() ? std::string(".") : std::string(folder)) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

}  // namespace

Result<ProgramResult> RunProgram(const std::vector<std::string>& argv, const std::string& directory,
                                 const std::atomic<bool>* interrupted, const std::string& input) {
  const std::string program = FindInPath(argv.front());
  if (program.empty()) return Fail("PROGRAM_NOT_FOUND", argv.front() + ": expected a program, found none");
  ProgramResult result;
  steps::ProcessSpec spec;
  char* resolved = ::realpath(program.c_str(), nullptr);
  spec.program = resolved == nullptr ? program : resolved;
  std::free(resolved);
  spec.argv = argv;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (const size_t equals = text.find('='); equals != std::string_view::npos)
      spec.env.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  const int folder = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return Fail("PROCESS_START_FAILED", directory + ": expected a folder to run " + argv.front() + " in");
  spec.cwd_fd = folder;
  spec.stdin_text = input;
  spec.on_stdout = [&](std::string_view text) { return result.out += text, Status(); };
  spec.on_stderr = [&](std::string_view text) { return result.err += text, Status(); };
  CommandContext context(interrupted);
  const auto outcome = steps::RunProcess(spec, context);
  ::close(folder);
  if (!outcome) return Fail(outcome.error());
  result.exit_code = outcome->end == steps::ProcessEnd::kExited ? outcome->exit_code
                                                                : 128 + (outcome->signal == 0 ? 15 : outcome->signal);
  return result;
}

Result<std::string> Git(const std::string& directory, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "git");
  LOCKSTEP_ASSIGN(ProgramResult result, RunProgram(arguments, directory));
  if (result.exit_code == 0) return std::move(result.out);
  std::string words = result.err.substr(0, result.err.find('\n'));
  return Fail("GIT_FAILED",
              "git " + arguments[1] + ": " + (words.empty() ? "exit code " + std::to_string(result.exit_code) : words));
}

}  // namespace lockstep::reports
