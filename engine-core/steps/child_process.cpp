#include "engine-core/steps/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "engine-core/base/check.h"
#include "engine-core/steps/descriptor.h"
#include "engine-core/steps/heartbeat.h"
#include "engine-core/steps/step_error.h"

namespace lockstep::steps {
namespace {

using SteadyClock = std::chrono::steady_clock;
using SteadyTime = SteadyClock::time_point;

// How late a cancellation may be noticed.
constexpr int kTickMs = 20;

std::unexpected<Error> StartFailure(const std::string& program, const char* what, int error) {
  const bool resources = error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
  return Fail(StepError("PROCESS_START_FAILED", resources ? Category::kPlatform : Category::kUser, resources,
                        program + ": " + what + ": " + std::strerror(error)));
}

// ---- the child's side: between fork and exec only async-signal-safe calls, no allocation ----

struct ChildPlan {
  const char* program;
  char* const* argv;
  char* const* envp;
  int cwd_fd;
  int stdin_fd;
  int stdout_fd;
  int stderr_fd;
  int report_fd;
  pid_t parent;
};

[[noreturn]] void ReportAndExit(int report_fd, int error) {
  [[maybe_unused]] const ssize_t written = ::write(report_fd, &error, sizeof error);
  ::_exit(127);
}

void RestoreSignals() {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void RunChild(const ChildPlan& plan) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(127);  // the worker died before the line above
  RestoreSignals();
  const rlimit no_core{0, 0};  // a core file would hold secrets
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (::fchdir(plan.cwd_fd) != 0) ReportAndExit(plan.report_fd, errno);
  const bool streams = ::dup2(plan.stdin_fd, STDIN_FILENO) >= 0 && ::dup2(plan.stdout_fd, STDOUT_FILENO) >= 0 &&
                       ::dup2(plan.stderr_fd, STDERR_FILENO) >= 0;
  if (!streams) ReportAndExit(plan.report_fd, errno);
  // Also what other code of the worker opened without the close-on-exec flag.
  ::close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
  ::execve(plan.program, plan.argv, plan.envp);
  ReportAndExit(plan.report_fd, errno);
}

// ---- the worker's side ----

// Every descriptor stays above 2, so that the child's dup2 calls cannot overwrite one another's sources.
Descriptor AboveStandard(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return Descriptor(fd);
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  ::close(fd);
  return Descriptor(moved);
}

struct Pipe {
  Descriptor read;
  Descriptor write;
};

bool OpenPipe(Pipe* out) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  out->read = AboveStandard(ends[0]);
  out->write = AboveStandard(ends[1]);
  return out->read.get() >= 0 && out->write.get() >= 0;
}

// The text as a file in memory: the program may read it at its own pace, or not at all, without a pipe that blocks us.
Result<Descriptor> InputFile(const ProcessSpec& spec) {
  if (spec.stdin_text.empty()) {
    Descriptor null = AboveStandard(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (null.get() < 0) return StartFailure(spec.program, "cannot open its input", errno);
    return null;
  }
  Descriptor file = AboveStandard(::memfd_create("stdin", MFD_CLOEXEC));
  if (file.get() < 0) return StartFailure(spec.program, "cannot make its input", errno);
  std::string_view rest = spec.stdin_text;
  while (!rest.empty()) {
    const ssize_t written = ::write(file.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return StartFailure(spec.program, "cannot write its input", errno);
    rest.remove_prefix(static_cast<size_t>(written));
  }
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return StartFailure(spec.program, "cannot rewind its input", errno);
  return file;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

struct Child {
  pid_t pid = -1;
  Descriptor out;
  Descriptor err;
};

Result<Child> StartChild(const ProcessSpec& spec) {
  Pipe out, err, report;
  if (!OpenPipe(&out) || !OpenPipe(&err) || !OpenPipe(&report))
    return StartFailure(spec.program, "cannot make a pipe", errno);
  LOCKSTEP_ASSIGN(const Descriptor input, InputFile(spec));
  std::vector<std::string> argv = spec.argv;
  std::vector<std::string> env;
  for (const auto& [name, value] : spec.env) env.push_back(name + "=" + value);
  const std::vector<char*> argv_pointers = Pointers(argv);
  const std::vector<char*> env_pointers = Pointers(env);
  const ChildPlan plan{spec.program.c_str(), argv_pointers.data(), env_pointers.data(), spec.cwd_fd, input.get(),
                       out.write.get(),      err.write.get(),      report.write.get(),  ::getpid()};
  const pid_t pid = ::fork();
  if (pid < 0) return StartFailure(spec.program, "cannot fork", errno);
  if (pid == 0) RunChild(plan);
  ::setpgid(pid, pid);  // whoever is first, so that the group exists from here on
  report.write.Close();
  int error = 0;
  ssize_t count;
  do {
    count = ::read(report.read.get(), &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  if (count == sizeof error) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return StartFailure(spec.program, "cannot run it", error);
  }
  return Child{pid, std::move(out.read), std::move(err.read)};
}

// One output stream of the child.
struct Stream {
  Descriptor* file;
  uint64_t* count;
  const std::function<Status(std::string_view)>* sink;
};

// Watches a running child. Reasons to end it are kept in `end_`; the first one stays.
class Supervisor {
 public:
  Supervisor(const ProcessSpec& spec, activity::ActivityContext& context, Child child)
      : spec_(spec),
        context_(context),
        child_(std::move(child)),
        started_(SteadyClock::now()),
        next_heartbeat_(started_) {
    streams_[0] = {&child_.out, &outcome_.stdout_bytes, &spec_.on_stdout};
    streams_[1] = {&child_.err, &outcome_.stderr_bytes, &spec_.on_stderr};
    for (const Stream& stream : streams_) ::fcntl(stream.file->get(), F_SETFL, O_NONBLOCK);
  }

  Result<ProcessOutcome> Run() {
    while (!LeaderEnded()) {
      Wait();
      for (const Stream& stream : streams_) ReadAvailable(stream);
      Watch();
    }
    // The leader is dead but not yet waited for, so its number still names this group and nothing else.
    Signal(SIGKILL);
    if (end_ != ProcessEnd::kOutputLimit && !sink_error_) {
      for (const Stream& stream : streams_) ReadAvailable(stream);
    }
    Reap();
    if (sink_error_) return Fail(*sink_error_);
    return outcome_;
  }

 private:
  bool LeaderEnded() const {
    siginfo_t info{};
    const int result = ::waitid(P_PID, static_cast<id_t>(child_.pid), &info, WEXITED | WNOHANG | WNOWAIT);
    LOCKSTEP_CHECK(result == 0 || errno == EINTR, std::string("waitid: ") + std::strerror(errno));
    return result == 0 && info.si_pid == child_.pid;
  }

  void Wait() {
    pollfd files[2];
    nfds_t count = 0;
    for (const Stream& stream : streams_) {
      if (stream.file->get() >= 0) files[count++] = pollfd{stream.file->get(), POLLIN, 0};
    }
    ::poll(files, count, kTickMs);
  }

  // Bounded, so that a program that writes without end does not keep us from `Watch`.
  void ReadAvailable(const Stream& stream) {
    char buffer[64 * 1024];
    for (int round = 0; round < 64 && stream.file->get() >= 0; ++round) {
      const ssize_t count = ::read(stream.file->get(), buffer, sizeof buffer);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) return;
      if (count <= 0) {
        stream.file->Close();
        return;
      }
      Deliver(stream, std::string_view(buffer, static_cast<size_t>(count)));
    }
  }

  void Deliver(const Stream& stream, std::string_view bytes) {
    const uint64_t room = spec_.max_output_bytes - *stream.count;
    if (bytes.size() > room) {
      bytes = bytes.substr(0, room);
      End(ProcessEnd::kOutputLimit);
    }
    *stream.count += bytes.size();
    if (sink_error_ || !*stream.sink || bytes.empty()) return;
    if (auto status = (*stream.sink)(bytes); !status) {
      sink_error_ = std::move(status).error();
      End(ProcessEnd::kCancelled);
    }
  }

  void Watch() {
    const SteadyTime now = SteadyClock::now();
    if (context_.cancelled()) End(ProcessEnd::kCancelled);
    if (spec_.time_limit_ms > 0 && now - started_ >= std::chrono::milliseconds(spec_.time_limit_ms))
      End(ProcessEnd::kTimedOut);
    if (end_ && now >= kill_at_ && !outcome_.killed) {
      Signal(SIGKILL);
      outcome_.killed = true;
    }
    if (now >= next_heartbeat_) {
      context_.Heartbeat(Json::MakeObject({{"stdoutBytes", Json(static_cast<int64_t>(outcome_.stdout_bytes))},
                                           {"stderrBytes", Json(static_cast<int64_t>(outcome_.stderr_bytes))}}));
      next_heartbeat_ = now + kHeartbeatInterval;
    }
  }

  void End(ProcessEnd reason) {
    if (end_) return;
    end_ = reason;
    kill_at_ = SteadyClock::now() + std::chrono::milliseconds(spec_.kill_grace_ms);
    Signal(SIGTERM);
  }

  // The group, and the leader by itself, which may have moved to another group. Only before `Reap`.
  void Signal(int number) const {
    ::kill(-child_.pid, number);
    ::kill(child_.pid, number);
  }

  void Reap() {
    int status = 0;
    pid_t waited;
    do {
      waited = ::waitpid(child_.pid, &status, 0);
    } while (waited < 0 && errno == EINTR);
    LOCKSTEP_CHECK(waited == child_.pid, std::string("waitpid: ") + std::strerror(errno));
    outcome_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    outcome_.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    outcome_.end = end_ ? *end_ : WIFSIGNALED(status) ? ProcessEnd::kSignaled : ProcessEnd::kExited;
  }

  const ProcessSpec& spec_;
  activity::ActivityContext& context_;
  Child child_;
  SteadyTime started_;
  SteadyTime next_heartbeat_;
  SteadyTime kill_at_;
  Stream streams_[2];
  std::optional<ProcessEnd> end_;
  std::optional<Error> sink_error_;
  ProcessOutcome outcome_;
};

}  // namespace

Result<ProcessOutcome> RunProcess(const ProcessSpec& spec, activity::ActivityContext& context) {
  LOCKSTEP_CHECK(!spec.argv.empty() && spec.cwd_fd >= 0, "incomplete process spec");
  LOCKSTEP_ASSIGN(Child child, StartChild(spec));
  return Supervisor(spec, context, std::move(child)).Run();
}

}  // namespace lockstep::steps
