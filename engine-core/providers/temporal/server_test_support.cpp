// See server_test_support.h.
#include "engine-core/providers/temporal/server_test_support.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <temporal/api/history/v1/message.pb.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <map>

#include "engine-core/base/clock.h"
#include "engine-core/workflow/execution.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::provider::testing {
namespace {

std::unique_ptr<DevServer> shared_server;
std::mutex shared_server_mutex;

class StopServerAtEnd : public ::testing::Environment {
 public:
  void TearDown() override { shared_server.reset(); }
};
const auto* const kEnvironment = ::testing::AddGlobalTestEnvironment(new StopServerAtEnd);

void WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = send(fd, data, size, MSG_NOSIGNAL);
    if (written <= 0) return;
    data += written;
    size -= static_cast<size_t>(written);
  }
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

}  // namespace

DevServerOptions ServerOptions() {
  DevServerOptions options;
  options.venv = std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "build" / "venv";
  options.namespaces = {"second"};
  options.search_attributes = {"tenantId", "planId"};
  return options;
}

DevServer& SharedServer() {
  std::lock_guard lock(shared_server_mutex);
  if (!shared_server) {
    auto server = DevServer::Start(ServerOptions());
    if (!server) {
      ADD_FAILURE() << server.error().ToString();
      std::abort();
    }
    shared_server = std::move(*server);
  }
  return *shared_server;
}

LogSink LogBook::Sink() {
  return [this](workflow::LogLevel, std::string_view message) {
    std::lock_guard lock(mutex_);
    lines_.emplace_back(message);
  };
}

int LogBook::Count(std::string_view part) const {
  std::lock_guard lock(mutex_);
  int count = 0;
  for (const std::string& line : lines_) count += line.find(part) != std::string::npos ? 1 : 0;
  return count;
}

std::string LogBook::Text() const {
  std::lock_guard lock(mutex_);
  std::string text;
  for (const std::string& line : lines_) text += line + "\n";
  return text;
}

Bench::Bench(const ConnectionOptions& connection_in)
    : connection(connection_in),
      queue("tq-test-" + SystemIdGenerator().NewUuid().substr(0, 8)),
      client(connection_in) {}

WorkerOptions Bench::Options() {
  WorkerOptions options;
  options.connection = connection;
  options.queues = {QueueOptions{.task_queue = queue}};
  options.workflows = &workflows;
  options.activities = &activities;
  options.heartbeat_interval_ms = 200;
  options.cancel_grace_ms = 3'000;
  options.log = log.Sink();
  return options;
}

std::unique_ptr<Worker> Bench::StartWorker() { return StartWorker(Options()); }

std::unique_ptr<Worker> Bench::StartWorker(WorkerOptions options) {
  auto worker = std::make_unique<Worker>(std::move(options));
  const Status started = worker->Start();
  EXPECT_TRUE(started) << started.error().ToString();
  return worker;
}

WorkflowRef Bench::Start(const std::string& type, const Json& input, int64_t task_timeout_ms) {
  StartOptions start;
  start.workflow_id = type + "-" + SystemIdGenerator().NewUuid().substr(0, 8);
  start.workflow_type = type;
  start.task_queue = queue;
  start.task_timeout_ms = task_timeout_ms;
  const auto ref = client.StartWorkflow(start, workflow::JsonPayloads(input));
  EXPECT_TRUE(ref) << ref.error().ToString();
  return ref.value_or(WorkflowRef{});
}

WorkflowOutcome Bench::Outcome(const WorkflowRef& ref, int64_t timeout_ms) {
  auto outcome = client.WaitForResult(ref.workflow_id, ref.run_id, timeout_ms);
  EXPECT_TRUE(outcome) << outcome.error().ToString() << "\n" << log.Text();
  return outcome ? std::move(*outcome) : WorkflowOutcome();
}

Json Bench::Result(const WorkflowRef& ref, int64_t timeout_ms) {
  const WorkflowOutcome outcome = Outcome(ref, timeout_ms);
  EXPECT_EQ(WorkflowStatusName(outcome.status), "COMPLETED") << outcome.failure.ToString() << "\n" << log.Text();
  return workflow::ReadFirstJson(*outcome.result).value_or(Json());
}

void Bench::Signal(const WorkflowRef& ref, std::string_view name, const Json& input) {
  const Status sent = client.Signal(ref.workflow_id, ref.run_id, name, workflow::JsonPayloads(input));
  EXPECT_TRUE(sent) << sent.error().ToString();
}

Json Bench::Query(const WorkflowRef& ref, std::string_view name) {
  const auto answer = client.Query(ref.workflow_id, ref.run_id, name, Payloads());
  EXPECT_TRUE(answer) << answer.error().ToString() << "\n" << log.Text();
  return answer ? workflow::ReadFirstJson(**answer).value_or(Json()) : Json();
}

int Bench::CountEvents(const WorkflowRef& ref, int event_type) {
  const auto history = client.GetHistory(ref.workflow_id, ref.run_id);
  EXPECT_TRUE(history) << history.error().ToString();
  int count = 0;
  if (history) {
    for (const auto& event : (*history)->events()) count += event.event_type() == event_type ? 1 : 0;
  }
  return count;
}

bool Eventually(const std::function<bool()>& condition, int64_t timeout_ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

Proxy::Proxy(uint16_t target_port) : target_port_(target_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof(address);
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(listen(listener_, 16), 0);
  EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length), 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Loop(); });
}

Proxy::~Proxy() {
  stopped_ = true;
  thread_.join();
  close(listener_);
}

void Proxy::Cut() {
  cut_ = true;
  Eventually([this] { return !cut_.load(); }, 2'000);
}
void Proxy::Close() {
  closed_ = true;
  Cut();
}
void Proxy::Open() { closed_ = false; }

void Proxy::Loop() {
  std::map<int, int> peers;  // both directions
  const auto drop = [&peers](int fd) {
    const int peer = peers[fd];
    close(fd);
    close(peer);
    peers.erase(fd);
    peers.erase(peer);
  };
  std::array<char, 16'384> buffer;
  while (!stopped_) {
    if (cut_) {
      while (!peers.empty()) drop(peers.begin()->first);
      cut_ = false;
    }
    std::vector<pollfd> waits = {{listener_, POLLIN, 0}};
    for (const auto& [fd, peer] : peers) waits.push_back({fd, POLLIN, 0});
    poll(waits.data(), waits.size(), 20);
    if (waits[0].revents != 0) {
      const int client = accept(listener_, nullptr, nullptr);
      const int target = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = Loopback(target_port_);
      if (closed_ || connect(target, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        close(client);
        close(target);
      } else {
        peers[client] = target;
        peers[target] = client;
        ++accepted_;
      }
    }
    for (size_t i = 1; i < waits.size(); ++i) {
      if (waits[i].revents == 0 || !peers.contains(waits[i].fd)) continue;
      const ssize_t got = read(waits[i].fd, buffer.data(), buffer.size());
      if (got <= 0) {
        drop(waits[i].fd);
      } else {
        WriteAll(peers[waits[i].fd], buffer.data(), static_cast<size_t>(got));
      }
    }
  }
  while (!peers.empty()) drop(peers.begin()->first);
}

}  // namespace lockstep::provider::testing
