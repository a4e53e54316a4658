// See rpc.h. The deadline of a call covers its retries; a retry that would not fit is not begun.
#include "engine-core/providers/temporal/rpc.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <array>
#include <utility>

#include "engine-core/base/files.h"

namespace lockstep::provider {
namespace {

constexpr int kMaxReceiveBytes = 128 * 1024 * 1024;
constexpr std::string_view kTooLarge = "larger than max";

grpc::ChannelArguments MakeArguments(const ConnectionOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  // A server that vanished without closing the connection is noticed within 45 s.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 15'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Back within two seconds of the server.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  // Lockstep retries by its own rule; a second one underneath would multiply the tries.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetString(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "lockstep");
  // Two workers in one process must not share the fate of one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (options.tls.enabled && !options.tls.server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls.server_name);
  }
  return arguments;
}

Result<std::string> ReadPem(const std::string& path, std::string_view variable) {
  if (path.empty()) return std::string();
  auto bytes = ReadFile(path, 1 << 20);
  if (!bytes) {
    Error error("TEMPORAL_CONFIG_INVALID",
                std::string(variable) + ": expected a readable PEM file, found " + bytes.error().message);
    return Fail(std::move(error).With("variable", std::string(variable)));
  }
  if (bytes->find("-----BEGIN ") == std::string::npos) {
    Error error("TEMPORAL_CONFIG_INVALID",
                std::string(variable) + ": expected a PEM file, found no PEM block in " + path);
    return Fail(std::move(error).With("variable", std::string(variable)));
  }
  return bytes;
}

Result<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(const TlsOptions& tls) {
  if (!tls.enabled) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  LOCKSTEP_ASSIGN(ssl.pem_root_certs, ReadPem(tls.ca_file, "TEMPORAL_TLS_SERVER_CA_CERT_PATH"));
  LOCKSTEP_ASSIGN(ssl.pem_cert_chain, ReadPem(tls.cert_file, "TEMPORAL_TLS_CLIENT_CERT_PATH"));
  LOCKSTEP_ASSIGN(ssl.pem_private_key, ReadPem(tls.key_file, "TEMPORAL_TLS_CLIENT_KEY_PATH"));
  return grpc::SslCredentials(ssl);
}

}  // namespace

void CallGroup::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* context : running_) context->TryCancel();
  wake_.notify_all();
}

bool CallGroup::cancelled() const {
  std::lock_guard lock(mutex_);
  return cancelled_;
}

bool CallGroup::Sleep(int64_t millis) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, std::chrono::milliseconds(millis), [this] { return cancelled_; });
}

bool CallGroup::Enter(grpc::ClientContext* context) {
  std::lock_guard lock(mutex_);
  if (cancelled_) return false;
  running_.insert(context);
  return true;
}

void CallGroup::Leave(grpc::ClientContext* context) {
  std::lock_guard lock(mutex_);
  running_.erase(context);
}

Result<std::shared_ptr<Rpc>> Rpc::Create(const ConnectionOptions& options) {
  LOCKSTEP_TRY(CheckConnectionOptions(options));
  LOCKSTEP_ASSIGN(auto credentials, MakeCredentials(options.tls));
  ConnectionOptions complete = options;
  if (complete.identity.empty()) complete.identity = DefaultIdentity();
  auto channel = grpc::CreateCustomChannel(complete.address, credentials, MakeArguments(complete));
  return std::shared_ptr<Rpc>(new Rpc(std::move(complete), std::move(channel)));
}

Rpc::Rpc(ConnectionOptions options, std::shared_ptr<grpc::Channel> channel)
    : options_(std::move(options)), channel_(std::move(channel)), stub_(service::WorkflowService::NewStub(channel_)) {}

// gRPC's synchronous API moves a connection on only while some thread waits inside it; a thread that merely slept would
// leave a reconnect half-done for seconds.
bool Rpc::Pause(int64_t millis, CallGroup* group) {
  constexpr auto kSlice = std::chrono::milliseconds(50);
  const auto until = SteadyClock::now() + std::chrono::milliseconds(millis);
  if (connected()) {
    if (group != nullptr) return group->Sleep(millis);
    std::this_thread::sleep_until(until);
    return true;
  }
  while (SteadyClock::now() < until) {
    if (group != nullptr && group->cancelled()) return false;
    if (channel_->WaitForConnected(std::chrono::system_clock::now() + kSlice)) return true;
  }
  return group == nullptr || !group->cancelled();
}

bool Rpc::connected() const { return channel_->GetState(false) == GRPC_CHANNEL_READY; }

grpc::Status Rpc::RunOnce(const CallSpec& spec, SteadyClock::time_point deadline,
                          const std::function<grpc::Status(grpc::ClientContext*)>& call) {
  grpc::ClientContext context;
  const auto left = std::max(deadline - SteadyClock::now(), SteadyClock::duration::zero());
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::microseconds>(left));
  context.AddMetadata("client-name", "lockstep");
  context.AddMetadata("client-version", "0.1.0");
  context.AddMetadata("temporal-namespace", options_.namespace_name);
  if (!options_.api_key.empty()) context.AddMetadata("authorization", "Bearer " + options_.api_key);
  if (spec.group == nullptr) return call(&context);
  if (!spec.group->Enter(&context)) return grpc::Status(grpc::StatusCode::CANCELLED, "the caller is shutting down");
  grpc::Status status = call(&context);
  spec.group->Leave(&context);
  return status;
}

grpc::Status Rpc::Run(const CallSpec& spec, size_t request_bytes,
                      const std::function<grpc::Status(grpc::ClientContext*)>& call) {
  if (request_bytes > kMaxRequestBytes) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "message of " + std::to_string(request_bytes) + " bytes is larger than max (4194304)");
  }
  const auto deadline = SteadyClock::now() + std::chrono::milliseconds(spec.budget_ms);
  Backoff backoff({.initial_ms = 100, .factor = 1.7, .max_ms = 3'000, .jitter = 0.2});
  // A server that limits its callers wants a longer pause than one that is away.
  Backoff limited({.initial_ms = 1'000, .factor = 2, .max_ms = 10'000, .jitter = 0.2});
  for (;;) {
    grpc::Status status = RunOnce(spec, deadline, call);
    if (spec.observe) spec.observe(status);
    if (status.ok() || !spec.retry || !IsTransient(status)) return status;
    const int64_t delay = status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ? limited.Next() : backoff.Next();
    if (SteadyClock::now() + std::chrono::milliseconds(delay) >= deadline) return status;
    if (!Pause(delay, spec.group)) return status;
  }
}

bool IsTransient(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::DATA_LOSS:
      return true;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      // The same message will never become smaller.
      return status.error_message().find(kTooLarge) == std::string::npos;
    default:
      return false;
  }
}

std::string_view CodeName(grpc::StatusCode code) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "UNKNOWN";
}

std::string Describe(const grpc::Status& status) {
  return std::string(CodeName(status.error_code())) + ": " + status.error_message();
}

Error ToError(const grpc::Status& status, std::string_view operation, std::string_view run_ref) {
  std::string code = "ADAPTER_PROVIDER_ERROR";
  bool retryable = IsTransient(status);
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    code = "ADAPTER_TIMEOUT";
    retryable = true;
  } else if (status.error_code() == grpc::StatusCode::CANCELLED) {
    code = "TEMPORAL_CLIENT_NOT_CONNECTED";
  } else if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED && !retryable) {
    code = "PAYLOAD_TOO_LARGE";
  }
  Error error(std::move(code), "temporal " + std::string(operation) + " failed: " + Describe(status), retryable);
  error.details = {{"provider", "temporal"},
                   {"operation", std::string(operation)},
                   {"grpcCode", std::string(CodeName(status.error_code()))}};
  if (!run_ref.empty()) error.details.emplace_back("runRef", std::string(run_ref));
  return error;
}

// A status carries `google.rpc.Status` (fields: 1 code, 2 message, 3 repeated Any). Its C++ class is in no package
// here, and three fields do not earn a generated one.
bool FindDetailBytes(const grpc::Status& status, std::string_view full_name, std::string* bytes) {
  using google::protobuf::internal::WireFormatLite;
  const std::string raw = status.error_details();
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(raw.data()), static_cast<int>(raw.size()));
  constexpr uint32_t kDetails = (3 << 3) | WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
  while (const uint32_t tag = in.ReadTag()) {
    if (tag != kDetails) {
      if (!WireFormatLite::SkipField(&in, tag)) return false;
      continue;
    }
    uint32_t length = 0;
    std::string encoded;
    google::protobuf::Any any;
    if (!in.ReadVarint32(&length) || !in.ReadString(&encoded, static_cast<int>(length)) ||
        !any.ParseFromString(encoded)) {
      return false;
    }
    const std::string_view url = any.type_url();
    if (url.substr(url.rfind('/') + 1) == full_name) {
      *bytes = any.value();
      return true;
    }
  }
  return false;
}

int64_t MillisSince(SteadyClock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - start).count();
}

}  // namespace lockstep::provider
