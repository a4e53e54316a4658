// What the operator lets the steps of a worker do: which programs, databases and hosts. Everything not named is
// refused; the default configuration allows nothing. File format (YAML, of which JSON is a part): docs/steps.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/result.h"

namespace lockstep::steps {

struct ProcessSettings {
  // Name that a plan may write as argv[0] -> absolute path of the program. The path itself may be written too.
  std::map<std::string, std::string, std::less<>> programs;
  std::vector<std::filesystem::path> roots;  // where `cwd` may lie; absolute
  uint64_t max_output_bytes = 64ull << 20;   // of standard output, and of standard error
  uint64_t max_artifact_bytes = 1ull << 30;  // of one collected file
  int64_t kill_grace_ms = 5000;              // SIGTERM to SIGKILL (spec 04 section 5.2 rule 7); not in the file
};

struct DbtSettings {
  std::string program;  // absolute path; empty: this worker runs no dbt
  std::filesystem::path project_dir;
  std::filesystem::path profiles_dir;  // empty: the project's own
  std::map<std::string, std::string> env;
};

struct SqlConnection {
  enum class Mode : uint8_t { kReadOnly, kReadWrite, kCreate };
  std::string path;
  Mode mode = Mode::kReadWrite;
};

struct SqlSettings {
  std::map<std::string, SqlConnection, std::less<>> connections;
  int64_t busy_timeout_ms = 5000;           // how long one attempt waits for a lock
  uint64_t max_result_bytes = 64ull << 20;  // of the rows as JSON
};

// An origin that `http.request` may talk to.
struct HttpOrigin {
  std::string scheme;       // `https` or `http`
  std::string host;         // lower case; an IPv6 address without brackets
  std::optional<int> port;  // nothing: any port (written `:*`)
  friend bool operator==(const HttpOrigin&, const HttpOrigin&) = default;
};

struct HttpSettings {
  std::vector<HttpOrigin> allowed;
  bool allow_loopback = false;
  bool allow_private_networks = false;
  int64_t connect_timeout_ms = 10000;
  int64_t request_timeout_ms = 60000;  // the whole exchange
  uint64_t max_response_bytes = 16ull << 20;
  std::string ca_file;  // empty: the system's
};

struct WorkerConfiguration {
  ProcessSettings processes;
  DbtSettings dbt;
  SqlSettings sql;
  HttpSettings http;
  std::filesystem::path secrets_directory;  // empty: no secrets
  bool test_kinds = false;                  // allows kind `fail`
};

// Error: WORKER_CONFIG_INVALID, one line `<name>:<line>: <place>: expected ..., found ...`.
Result<WorkerConfiguration> ParseWorkerConfiguration(std::string_view text, std::string_view name);
Result<WorkerConfiguration> LoadWorkerConfiguration(const std::filesystem::path& path);

}  // namespace lockstep::steps
