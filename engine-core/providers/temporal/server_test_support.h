// For tests against the real development server: one server per test program, workers with small times, and a TCP proxy
// that can cut the connections between the two.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine-core/activity/activity.h"
#include "engine-core/base/json.h"
#include "engine-core/providers/temporal/client.h"
#include "engine-core/providers/temporal/dev_server.h"
#include "engine-core/providers/temporal/worker.h"
#include "engine-core/workflow/registry.h"

namespace lockstep::provider::testing {

// The program's server; started at first use, stopped when the program ends.
DevServer& SharedServer();
DevServerOptions ServerOptions();

// Collects what a worker logs.
class LogBook {
 public:
  LogSink Sink();
  int Count(std::string_view part) const;
  std::string Text() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// A registry pair, a client and a fresh task queue on one server.
struct Bench {
  explicit Bench(const ConnectionOptions& connection = SharedServer().Connection());
  // Options with short times for `queue`.
  WorkerOptions Options();
  std::unique_ptr<Worker> StartWorker();
  std::unique_ptr<Worker> StartWorker(WorkerOptions options);
  // Starts a workflow of `type`; the workflow id is the type and a number.
  WorkflowRef Start(const std::string& type, const Json& input = Json(), int64_t task_timeout_ms = 10'000);
  // The result of a completed workflow; records a test failure and gives null when it ended otherwise.
  Json Result(const WorkflowRef& ref, int64_t timeout_ms = 30'000);
  WorkflowOutcome Outcome(const WorkflowRef& ref, int64_t timeout_ms = 30'000);
  void Signal(const WorkflowRef& ref, std::string_view name, const Json& input = Json());
  Json Query(const WorkflowRef& ref, std::string_view name);
  // Number of events of a type (by number of the API) in the history.
  int CountEvents(const WorkflowRef& ref, int event_type);

  workflow::WorkflowRegistry workflows;
  activity::ActivityRegistry activities;
  LogBook log;
  ConnectionOptions connection;
  std::string queue;
  Client client;
};

// True when `condition` holds within the time.
bool Eventually(const std::function<bool()>& condition, int64_t timeout_ms = 15'000);

// Forwards 127.0.0.1:port() to a target; Cut drops every connection, Close and Open refuse and accept new ones.
class Proxy {
 public:
  explicit Proxy(uint16_t target_port);
  ~Proxy();
  uint16_t port() const { return port_; }
  void Cut();
  void Close();
  void Open();
  int connections() const { return accepted_.load(); }

 private:
  void Loop();
  const uint16_t target_port_;
  uint16_t port_ = 0;
  int listener_ = -1;
  std::atomic<bool> stopped_ = false;
  std::atomic<bool> closed_ = false;
  std::atomic<bool> cut_ = false;
  std::atomic<int> accepted_ = 0;
  std::thread thread_;
};

}  // namespace lockstep::provider::testing
