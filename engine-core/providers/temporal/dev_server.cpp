// See dev_server.h. One thread owns each server process: it forks, waits for the end and reaps. PDEATHSIG is bound to
// the thread that forked, so that thread must live as long as the server.
#include "engine-core/providers/temporal/dev_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/providers/temporal/client.h"

namespace lockstep::provider {
namespace {

namespace fs = std::filesystem;

bool IsProgram(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0;
}

// A port nobody listens on now. Another process may take it before the server does; Start then tries again.
Result<uint16_t> FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Fail("DEV_SERVER_FAILED", std::string("no socket: ") + std::strerror(errno));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  close(fd);
  if (!bound) return Fail("DEV_SERVER_FAILED", std::string("no free port: ") + std::strerror(errno));
  return ntohs(address.sin_port);
}

std::string LogTail(const fs::path& file) {
  const auto text = ReadFile(file);
  if (!text) return {};
  std::string tail = text->size() > 2'000 ? text->substr(text->size() - 2'000) : *text;
  for (char& c : tail) {
    if (c == '\n') c = ' ';
  }
  return tail;
}

// A child process and the thread that waits for it.
class Process {
 public:
  // `arguments[0]` is the program. Output goes to the end of `log`.
  Process(std::vector<std::string> arguments, fs::path log) {
    std::promise<int> started;
    auto pid = started.get_future();
    thread_ =
        std::thread([this, arguments = std::move(arguments), log = std::move(log),
                     started = std::move(started)]() mutable { Run(std::move(arguments), std::move(log), started); });
    pid_ = pid.get();
  }
  ~Process() {
    Signal(SIGKILL);
    thread_.join();
  }

  int pid() const { return pid_; }
  bool ended() const {
    std::lock_guard lock(mutex_);
    return ended_;
  }
  // Never signals a process id that has been reaped: the waiting thread marks the end before it reaps.
  void Signal(int signal) {
    std::lock_guard lock(mutex_);
    if (!ended_ && pid_ > 0) kill(pid_, signal);
  }
  bool WaitEnded(int64_t timeout_ms) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return ended_; });
  }

 private:
  void Run(std::vector<std::string> arguments, fs::path log, std::promise<int>& started) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const int parent = getpid();
    const int pid = fork();
    if (pid == 0) {
      // Only async-signal-safe calls here: other threads' locks are as they were.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(127);
      setpgid(0, 0);  // a Ctrl-C for us is not one for the server
      const int input = open("/dev/null", O_RDONLY);
      if (input >= 0) dup2(input, STDIN_FILENO);
      if (output >= 0) {
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
      }
      execv(argv[0], argv.data());
      _exit(127);
    }
    if (output >= 0) close(output);
    started.set_value(pid);
    if (pid > 0) {
      siginfo_t info{};
      while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
      }
    }
    std::lock_guard lock(mutex_);
    ended_ = true;
    if (pid > 0) waitpid(pid, nullptr, 0);
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  int pid_ = -1;
  std::thread thread_;
};

}  // namespace

Result<fs::path> FindDevServerProgram(const DevServerOptions& options, const EnvironmentReader& read) {
  std::vector<fs::path> places;
  if (!options.program.empty()) {
    places.push_back(options.program);
  } else if (const auto named = read("LOCKSTEP_TEMPORAL_BIN"); named && !named->empty()) {
    places.emplace_back(*named);
  } else {
    if (!options.venv.empty()) places.push_back(options.venv / "bin" / "temporal");
    const std::string path = read("PATH").value_or("");
    for (const std::string_view folder : Split(path, ':')) {
      if (!folder.empty()) places.push_back(fs::path(folder) / "temporal");
    }
  }
  std::string looked;
  for (const fs::path& place : places) {
    if (IsProgram(place)) return place;
    looked += (looked.empty() ? "" : ", ") + place.string();
  }
  return Fail("DEV_SERVER_NOT_FOUND", "Temporal development server: expected a program at one of " +
                                          (looked.empty() ? "(nowhere)" : looked) +
                                          ", found none; set LOCKSTEP_TEMPORAL_BIN");
}

class DevServer::Impl {
 public:
  Impl(DevServerOptions options, fs::path program, std::optional<TemporaryDirectory> folder)
      : options_(std::move(options)), program_(std::move(program)), folder_(std::move(folder)) {
    if (options_.log_file.empty()) options_.log_file = folder_->path() / "server.log";
  }

  Status Launch(uint16_t port) {
    port_ = port;
    std::vector<std::string> arguments = {
        program_.string(), "server",      "start-dev", "--headless", "--ip",
        "127.0.0.1",       "--log-level", "error",     "--port",     std::to_string(port)};
    if (!options_.db_file.empty()) arguments.insert(arguments.end(), {"--db-filename", options_.db_file.string()});
    for (const std::string& name : options_.namespaces) arguments.insert(arguments.end(), {"--namespace", name});
    for (const std::string& name : options_.search_attributes)
      arguments.insert(arguments.end(), {"--search-attribute", name + "=Keyword"});
    for (const std::string& value : options_.dynamic_config)
      arguments.insert(arguments.end(), {"--dynamic-config-value", value});
    process_ = std::make_unique<Process>(std::move(arguments), options_.log_file);
    return WaitHealthy();
  }

  Status Start() {
    if (options_.port != 0) return Launch(options_.port);
    Status status;
    for (int i = 0; i < 3; ++i) {  // somebody else may take the port between the choice and the start
      LOCKSTEP_ASSIGN(const uint16_t port, FreePort());
      status = Launch(port);
      if (status || !process_->ended()) return status;
    }
    return status;
  }

  void Stop(int64_t grace_ms) {
    if (!process_) return;
    process_->Signal(SIGTERM);
    process_->WaitEnded(grace_ms);
    process_.reset();
  }
  void Kill() { process_.reset(); }

  Status Restart() {
    if (process_ && !process_->ended()) return Fail("DEV_SERVER_FAILED", "the development server still runs");
    process_.reset();
    return Launch(port_);
  }

  ConnectionOptions Connection() const {
    ConnectionOptions connection;
    connection.address = "127.0.0.1:" + std::to_string(port_);
    return connection;
  }
  uint16_t port() const { return port_; }
  int pid() const { return process_ && !process_->ended() ? process_->pid() : -1; }
  const fs::path& log_file() const { return options_.log_file; }

 private:
  // Healthy: the service answers and every namespace can be described.
  Status WaitHealthy() {
    const auto start = std::chrono::steady_clock::now();
    const auto spent = [&] {
      return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
    };
    ConnectionOptions connection = Connection();
    connection.connect_timeout_ms = 500;
    connection.request_timeout_ms = 2'000;
    std::string problem = "it did not answer";
    Client client(connection);
    while (spent() < options_.start_timeout_ms && !process_->ended()) {
      const Status status = Probe(client);
      if (status) return {};
      problem = status.error().message;
      process_->WaitEnded(20);
    }
    const std::string state =
        process_->ended() ? "ended at once" : "not healthy after " + std::to_string(spent()) + " ms (" + problem + ")";
    return Fail("DEV_SERVER_FAILED", "Temporal development server " + program_.string() + ": " + state +
                                         "; log: " + LogTail(options_.log_file));
  }

  Status Probe(Client& client) const {
    LOCKSTEP_TRY(client.Connect());
    LOCKSTEP_TRY(client.DescribeNamespace("default"));
    for (const std::string& name : options_.namespaces) LOCKSTEP_TRY(client.DescribeNamespace(name));
    return {};
  }

  DevServerOptions options_;
  const fs::path program_;
  std::optional<TemporaryDirectory> folder_;
  uint16_t port_ = 0;
  std::unique_ptr<Process> process_;
};

DevServer::DevServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DevServer::~DevServer() { Stop(); }

Result<std::unique_ptr<DevServer>> DevServer::Start(DevServerOptions options) {
  LOCKSTEP_ASSIGN(auto program, FindDevServerProgram(options, [](std::string_view name) -> std::optional<std::string> {
                    const char* value = std::getenv(std::string(name).c_str());
                    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
                  }));
  std::optional<TemporaryDirectory> folder;
  if (options.log_file.empty()) {
    LOCKSTEP_ASSIGN(folder, TemporaryDirectory::Create("lockstep-server"));
  }
  auto impl = std::make_unique<Impl>(std::move(options), std::move(program), std::move(folder));
  LOCKSTEP_TRY(impl->Start());
  return std::unique_ptr<DevServer>(new DevServer(std::move(impl)));
}

uint16_t DevServer::port() const { return impl_->port(); }
std::string DevServer::address() const { return impl_->Connection().address; }
ConnectionOptions DevServer::Connection() const { return impl_->Connection(); }
int DevServer::pid() const { return impl_->pid(); }
const fs::path& DevServer::log_file() const { return impl_->log_file(); }
void DevServer::Stop(int64_t grace_ms) { impl_->Stop(grace_ms); }
void DevServer::Kill() { impl_->Kill(); }
Status DevServer::Restart() { return impl_->Restart(); }

}  // namespace lockstep::provider
