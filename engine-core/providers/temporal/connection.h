// Where the Temporal service is and how to speak to it (spec 04 section 10). A value: reading it opens nothing.
//
// Invalid settings are TEMPORAL_CONFIG_INVALID and name the variable, never a silent default; the detail `variable`
// carries the name alone. An API key is sent only over TLS: a key without TLS is refused. The namespace is
// `lockstep::provider`, not `lockstep::temporal`: the generated messages live in the root namespace
// `::temporal`, which a nested namespace of that name would hide.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "engine-core/base/result.h"

namespace lockstep::provider {

// PEM files. Without `ca_file` the system's roots are trusted. `cert_file` and `key_file` come together (mutual TLS).
struct TlsOptions {
  bool enabled = false;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::string server_name;  // name to verify, when it is not the host of the address
};

struct ConnectionOptions {
  std::string address = "127.0.0.1:7233";  // host:port, IPv6 as [::1]:7233
  std::string namespace_name = "default";
  // Single-queue development mode when not empty (spec 04 section 10).
  std::string task_queue;
  std::string identity;  // empty: DefaultIdentity()
  TlsOptions tls;
  std::string api_key;
  int64_t connect_timeout_ms = 5'000;
  // Whole time a call may take, retries included; long polls have their own.
  int64_t request_timeout_ms = 10'000;
};

// Gives the value of an environment variable, or nothing when it is unset.
using EnvironmentReader = std::function<std::optional<std::string>(std::string_view name)>;

// TEMPORAL_ADDRESS, _NAMESPACE, _TASK_QUEUE, _IDENTITY, _CONNECT_TIMEOUT_MS, _REQUEST_TIMEOUT_MS, _API_KEY, _TLS (true
// or false; an API key or any other TLS setting turns it on), _TLS_SERVER_CA_CERT_PATH, _TLS_CLIENT_CERT_PATH,
// _TLS_CLIENT_KEY_PATH, _TLS_SERVER_NAME.
Result<ConnectionOptions> FromEnvironment(const EnvironmentReader& read);
Result<ConnectionOptions> FromEnvironment();  // of this process

// Error: TEMPORAL_CONFIG_INVALID; TEMPORAL_CLIENT_NOT_CONFIGURED when address or namespace is empty.
Status CheckConnectionOptions(const ConnectionOptions& options);

// `<process id>@<host name>`, as the official SDKs name a worker.
std::string DefaultIdentity();

}  // namespace lockstep::provider
