// See connection.h. Each setting has one checker, used for variables and for options built in code alike.
#include "engine-core/providers/temporal/connection.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "engine-core/base/bytes.h"

namespace lockstep::provider {
namespace {

constexpr size_t kMaxNameBytes = 255;
constexpr int64_t kMaxTimeoutMs = 3'600'000;

std::unexpected<Error> Invalid(std::string_view variable, std::string_view expected, std::string_view found) {
  Error error("TEMPORAL_CONFIG_INVALID", std::string(variable) + ": expected " + std::string(expected) + ", found `" +
                                             std::string(TruncateUtf8(found, 100)) + "`");
  return Fail(std::move(error).With("variable", std::string(variable)));
}

bool IsPlainName(std::string_view text, size_t max_bytes) {
  return text.size() <= max_bytes && IsValidUtf8(text) && std::none_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) <= ' ' || c == 127;
         });
}

Status CheckAddress(std::string_view variable, std::string_view address) {
  const size_t colon = address.rfind(':');
  const std::string_view host = colon == std::string_view::npos ? std::string_view() : address.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const bool host_ok = !host.empty() && IsPlainName(host, kMaxNameBytes) && host.find('/') == std::string_view::npos &&
                       (bracketed || host.find_first_of(":[]") == std::string_view::npos);
  const auto port = host_ok ? ParseInt64(address.substr(colon + 1)) : std::nullopt;
  if (!port || *port < 1 || *port > 65'535) return Invalid(variable, "host:port with a port from 1 to 65535", address);
  return {};
}

Status CheckNamespace(std::string_view variable, std::string_view name) {
  if (name.size() < 2 || !IsPlainName(name, kMaxNameBytes)) {
    return Invalid(variable, "a namespace of 2 to 255 characters without spaces", name);
  }
  return {};
}

Status CheckTaskQueue(std::string_view variable, std::string_view name) {
  if (!IsPlainName(name, 200)) return Invalid(variable, "a task queue of at most 200 characters without spaces", name);
  return {};
}

Status CheckTimeout(std::string_view variable, int64_t millis) {
  if (millis < 1 || millis > kMaxTimeoutMs)
    return Invalid(variable, "milliseconds from 1 to 3600000", std::to_string(millis));
  return {};
}

Status CheckTls(const ConnectionOptions& options) {
  const TlsOptions& tls = options.tls;
  if (!options.api_key.empty() && !tls.enabled) {
    return Invalid("TEMPORAL_TLS", "TLS on, because an API key is set and must not travel in the clear", "false");
  }
  if (options.api_key.size() > 16'384 || !IsPlainName(options.api_key, 16'384)) {
    return Invalid("TEMPORAL_API_KEY", "a key without spaces or control characters", "(not shown)");
  }
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    return tls.cert_file.empty()
               ? Invalid("TEMPORAL_TLS_CLIENT_CERT_PATH", "a file, because a client key is set", "")
               : Invalid("TEMPORAL_TLS_CLIENT_KEY_PATH", "a file, because a client certificate is set", "");
  }
  return {};
}

std::optional<bool> ParseBool(std::string_view text) {
  const std::string lower = AsciiLower(text);
  if (lower == "true" || lower == "1") return true;
  if (lower == "false" || lower == "0") return false;
  return std::nullopt;
}

Status ReadTimeout(const EnvironmentReader& read, std::string_view variable, int64_t* out) {
  const auto text = read(variable);
  if (!text) return {};
  const auto value = ParseInt64(*text);
  if (!value) return Invalid(variable, "milliseconds from 1 to 3600000", *text);
  *out = *value;
  return CheckTimeout(variable, *value);
}

Status ReadTls(const EnvironmentReader& read, ConnectionOptions* options) {
  bool mentioned = false;
  const std::array<std::pair<std::string_view, std::string*>, 5> texts = {{
      {"TEMPORAL_API_KEY", &options->api_key},
      {"TEMPORAL_TLS_SERVER_CA_CERT_PATH", &options->tls.ca_file},
      {"TEMPORAL_TLS_CLIENT_CERT_PATH", &options->tls.cert_file},
      {"TEMPORAL_TLS_CLIENT_KEY_PATH", &options->tls.key_file},
      {"TEMPORAL_TLS_SERVER_NAME", &options->tls.server_name},
  }};
  for (const auto& [variable, target] : texts) {
    *target = read(variable).value_or("");
    mentioned = mentioned || !target->empty();
  }
  options->tls.enabled = mentioned;
  if (const auto text = read("TEMPORAL_TLS")) {
    const auto value = ParseBool(*text);
    if (!value) return Invalid("TEMPORAL_TLS", "true or false", *text);
    options->tls.enabled = *value;
  }
  return {};
}

}  // namespace

Status CheckConnectionOptions(const ConnectionOptions& options) {
  if (options.address.empty() || options.namespace_name.empty()) {
    return Fail("TEMPORAL_CLIENT_NOT_CONFIGURED", "the Temporal client needs an address and a namespace");
  }
  LOCKSTEP_TRY(CheckAddress("TEMPORAL_ADDRESS", options.address));
  LOCKSTEP_TRY(CheckNamespace("TEMPORAL_NAMESPACE", options.namespace_name));
  LOCKSTEP_TRY(CheckTaskQueue("TEMPORAL_TASK_QUEUE", options.task_queue));
  LOCKSTEP_TRY(CheckTimeout("TEMPORAL_CONNECT_TIMEOUT_MS", options.connect_timeout_ms));
  LOCKSTEP_TRY(CheckTimeout("TEMPORAL_REQUEST_TIMEOUT_MS", options.request_timeout_ms));
  if (!IsPlainName(options.identity, kMaxNameBytes)) {
    return Invalid("TEMPORAL_IDENTITY", "at most 255 characters without spaces", options.identity);
  }
  return CheckTls(options);
}

Result<ConnectionOptions> FromEnvironment(const EnvironmentReader& read) {
  ConnectionOptions options;
  // A variable that is set but empty is an invalid address or namespace, not a wish for the default.
  if (auto value = read("TEMPORAL_ADDRESS")) {
    LOCKSTEP_TRY(CheckAddress("TEMPORAL_ADDRESS", *value));
    options.address = std::move(*value);
  }
  if (auto value = read("TEMPORAL_NAMESPACE")) {
    LOCKSTEP_TRY(CheckNamespace("TEMPORAL_NAMESPACE", *value));
    options.namespace_name = std::move(*value);
  }
  options.task_queue = read("TEMPORAL_TASK_QUEUE").value_or("");
  options.identity = read("TEMPORAL_IDENTITY").value_or("");
  LOCKSTEP_TRY(ReadTimeout(read, "TEMPORAL_CONNECT_TIMEOUT_MS", &options.connect_timeout_ms));
  LOCKSTEP_TRY(ReadTimeout(read, "TEMPORAL_REQUEST_TIMEOUT_MS", &options.request_timeout_ms));
  LOCKSTEP_TRY(ReadTls(read, &options));
  LOCKSTEP_TRY(CheckConnectionOptions(options));
  return options;
}

Result<ConnectionOptions> FromEnvironment() {
  return FromEnvironment([](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  });
}

std::string DefaultIdentity() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  const std::string_view name(host.data());
  return std::to_string(getpid()) + "@" + (name.empty() ? "unknown" : std::string(name));
}

}  // namespace lockstep::provider
