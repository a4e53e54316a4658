#include "replay/trace/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

extern char** environ;

namespace lockstep::replay {
namespace {

using Clock = std::chrono::steady_clock;

// A pipe whose ends no further child inherits.
struct Pipe {
  int read = -1;
  int write = -1;
  bool Open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
  void CloseWrite() {
    if (write >= 0) ::close(write);
    write = -1;
  }
  ~Pipe() {
    CloseWrite();
    if (read >= 0) ::close(read);
  }
};

// False at the end of the stream.
bool Drain(int descriptor, size_t keep, std::string* out) {
  char buffer[64 * 1024];
  const ssize_t got = ::read(descriptor, buffer, sizeof(buffer));
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  out->append(buffer, static_cast<size_t>(got));
  if (out->size() > 2 * keep) out->erase(0, out->size() - keep);
  return true;
}

// Own and added variables as `NAME=value`, the added ones in the place of the own.
std::vector<std::string> Environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    if (!added.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : added) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

Result<pid_t> Start(std::vector<std::string> argv, const ProgramOptions& options, const Pipe& out, const Pipe& err) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out.write, 1);
  ::posix_spawn_file_actions_adddup2(&actions, err.write, 2);
  if (!options.directory.empty()) ::posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  // A group of its own, so that ending it ends what it started.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  std::vector<std::string> environment = Environment(options.environment);
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, argv.front().c_str(), &actions, &attributes, Pointers(&argv).data(),
                                    Pointers(&environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (failed == ENOENT)
    return Fail("PROGRAM_NOT_FOUND", argv.front() + ": expected a program or its working directory, found none");
  if (failed != 0) return Fail("PROGRAM_FAILED", argv.front() + ": " + std::strerror(failed));
  return pid;
}

}  // namespace

Result<ProgramResult> RunProgram(const std::vector<std::string>& argv, const ProgramOptions& options) {
  if (argv.empty() || argv.front().empty()) return Fail("PROGRAM_NOT_FOUND", "expected a program, found none");
  Pipe out, err;
  if (!out.Open() || !err.Open()) return Fail("PROGRAM_FAILED", argv.front() + ": " + std::strerror(errno));
  LOCKSTEP_ASSIGN(const pid_t pid, Start(argv, options, out, err));
  out.CloseWrite();
  err.CloseWrite();
  ProgramResult result;
  const auto deadline = Clock::now() + std::chrono::milliseconds(options.timeout_ms);
  bool out_open = true, err_open = true, interrupted = false;
  while (out_open || err_open) {
    pollfd waits[] = {{out_open ? out.read : -1, POLLIN, 0}, {err_open ? err.read : -1, POLLIN, 0}};
    ::poll(waits, 2, 100);
    if (waits[0].revents != 0) out_open = Drain(out.read, options.keep_bytes, &result.output);
    if (waits[1].revents != 0) err_open = Drain(err.read, options.keep_bytes, &result.errors);
    interrupted = options.interrupt != nullptr && options.interrupt->load();
    result.timed_out = options.timeout_ms > 0 && Clock::now() >= deadline;
    if (interrupted || result.timed_out) {
      ::kill(-pid, SIGKILL);
      break;
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (interrupted) return Fail("INTERRUPTED", argv.front() + ": stopped by a signal");
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace lockstep::replay
