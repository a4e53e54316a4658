// Starts the real Temporal development server for tests and for recording (`lockstep record --dev-server`): a process
// of its own on a free loopback port, gone with its owner.
//
// The program is LOCKSTEP_TEMPORAL_BIN, else `temporal` of the build's virtual environment (when the caller names it),
// else `temporal` on PATH. With a database file the server can be killed and restarted on the same port with everything
// it knew. The server dies with this process, however that ends (PDEATHSIG); only this very process id is ever
// signalled.
//
// Errors: DEV_SERVER_NOT_FOUND, DEV_SERVER_FAILED (with the end of its log).
// Threads: used by one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine-core/base/result.h"
#include "engine-core/providers/temporal/connection.h"

namespace lockstep::provider {

struct DevServerOptions {
  std::filesystem::path program;               // empty: found as above
  std::filesystem::path venv;                  // virtual environment to look in; empty: none
  std::filesystem::path db_file;               // empty: in memory
  std::filesystem::path log_file;              // empty: a temporary one
  std::vector<std::string> namespaces;         // beside `default`
  std::vector<std::string> search_attributes;  // Keyword
  std::vector<std::string> dynamic_config;     // `key=json value`
  uint16_t port = 0;                           // 0: a free one
  int64_t start_timeout_ms = 30'000;
};

class DevServer {
 public:
  // Returns when the server answers and knows its namespaces.
  static Result<std::unique_ptr<DevServer>> Start(DevServerOptions options);
  ~DevServer();  // Stop
  DevServer(const DevServer&) = delete;
  DevServer& operator=(const DevServer&) = delete;

  uint16_t port() const;
  std::string address() const;  // 127.0.0.1:<port>
  // For a client or worker of this server.
  ConnectionOptions Connection() const;
  int pid() const;  // -1 when it does not run
  const std::filesystem::path& log_file() const;

  // SIGTERM, then SIGKILL when it has not ended within `grace_ms`.
  void Stop(int64_t grace_ms = 5'000);
  void Kill();  // SIGKILL
  // After Stop or Kill: the same port and database file. A server without a database file has forgotten everything.
  Status Restart();

 private:
  class Impl;
  explicit DevServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The program Start would run; DEV_SERVER_NOT_FOUND names the places looked at.
Result<std::filesystem::path> FindDevServerProgram(const DevServerOptions& options, const EnvironmentReader& read);

}  // namespace lockstep::provider
