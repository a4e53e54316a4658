#include "replay/record/child_worker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "engine-core/base/files.h"

namespace lockstep::replay {

ChildWorker::ChildWorker(std::filesystem::path program, std::vector<std::string> arguments, std::filesystem::path log_file)
    : program_(std::move(program)), arguments_(std::move(arguments)), log_file_(std::move(log_file)) {}

ChildWorker::~ChildWorker() { Stop(); }

Status ChildWorker::Start(const std::vector<std::string>& extra) {
  if (Running()) return {};
  std::vector<std::string> words = {program_.string()};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  words.insert(words.end(), extra.begin(), extra.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int log = ::open(log_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return Fail("WORKER_FAILED", log_file_.string() + ": cannot open: " + std::strerror(errno));
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    // A Ctrl-C on the terminal is for the recorder, which then stops its worker in order.
    ::setpgid(0, 0);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(log);
  if (child < 0) return Fail("WORKER_FAILED", "cannot start a worker: " + std::string(std::strerror(errno)));
  pid_ = child;
  return {};
}

bool ChildWorker::Running() {
  if (pid_ < 0) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

void ChildWorker::Kill() {
  if (!Running()) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
}

void ChildWorker::Stop(int64_t grace_ms) {
  if (!Running()) return;
  ::kill(pid_, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(grace_ms);
  while (Running() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  Kill();
}

std::string ChildWorker::LogTail() const {
  constexpr size_t kTail = 2000;
  const auto text = ReadFile(log_file_);
  if (!text) return {};
  return text->size() <= kTail ? *text : text->substr(text->size() - kTail);
}

}  // namespace lockstep::replay
