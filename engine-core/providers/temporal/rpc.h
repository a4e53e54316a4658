// One channel to the Temporal service and the rules every call on it follows: a deadline, headers, retry of transient
// codes with jittered back-off inside a time budget, and cancellation from another thread. Internal to this room: it
// includes gRPC.
//
// gRPC limits (spec 04 section 10): the server refuses messages above 4 MB, so a request above that is refused here,
// with its size, before it is sent; answers may be larger (a page of a history), so the receive limit is wide.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "engine-core/base/result.h"
#include "engine-core/providers/temporal/backoff.h"
#include "engine-core/providers/temporal/connection.h"
#include "temporal/api/workflowservice/v1/service.grpc.pb.h"

namespace lockstep::provider {

namespace api = ::temporal::api;
namespace service = ::temporal::api::workflowservice::v1;
using Stub = service::WorkflowService::Stub;
using SteadyClock = std::chrono::steady_clock;

inline constexpr size_t kMaxRequestBytes = 4 * 1024 * 1024;
inline constexpr size_t kMaxPayloadBytes = 2 * 1024 * 1024;

// Calls that can be stopped together. After `Cancel` every call of the group, running or new, ends as CANCELLED and
// every `Sleep` returns at once. Thread-safe; outlives its calls.
class CallGroup {
 public:
  void Cancel();
  bool cancelled() const;
  // False when the group was cancelled before or during the wait.
  bool Sleep(int64_t millis);

 private:
  friend class Rpc;
  bool Enter(grpc::ClientContext* context);
  void Leave(grpc::ClientContext* context);

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool cancelled_ = false;
  std::set<grpc::ClientContext*> running_;
};

struct CallSpec {
  // Whole time, retries included.
  int64_t budget_ms = 10'000;
  bool retry = true;
  CallGroup* group = nullptr;
  // Sees each failed try that will be repeated, and the last status; for outage tracking. Optional.
  std::function<void(const grpc::Status&)> observe;
};

class Rpc {
 public:
  // Reads the TLS files; opens nothing yet. Errors: those of CheckConnectionOptions, TEMPORAL_CONFIG_INVALID for an
  // unreadable file.
  static Result<std::shared_ptr<Rpc>> Create(const ConnectionOptions& options);

  template <typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

  template <typename Request, typename Response>
  grpc::Status Call(Method<Request, Response> method, const Request& request, Response* response,
                    const CallSpec& spec) {
    return Run(spec, request.ByteSizeLong(), [&](grpc::ClientContext* context) {
      response->Clear();
      return (stub_.get()->*method)(context, request, response);
    });
  }

  // Waits before another try, at most `millis`; ends early when a lost connection is back. False when the group was
  // cancelled.
  bool Pause(int64_t millis, CallGroup* group);
  bool connected() const;
  const ConnectionOptions& options() const { return options_; }
  const std::string& identity() const { return options_.identity; }

 private:
  Rpc(ConnectionOptions options, std::shared_ptr<grpc::Channel> channel);
  grpc::Status Run(const CallSpec& spec, size_t request_bytes,
                   const std::function<grpc::Status(grpc::ClientContext*)>& call);
  grpc::Status RunOnce(const CallSpec& spec, SteadyClock::time_point deadline,
                       const std::function<grpc::Status(grpc::ClientContext*)>& call);

  ConnectionOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
};

// Codes that say nothing about the request: the same call may succeed in a moment.
bool IsTransient(const grpc::Status& status);
// `UNAVAILABLE`, `NOT_FOUND`, ...
std::string_view CodeName(grpc::StatusCode code);
// `UNAVAILABLE: connection refused`
std::string Describe(const grpc::Status& status);
// ADAPTER_TIMEOUT for a passed deadline, PAYLOAD_TOO_LARGE for a message that cannot be sent,
// TEMPORAL_CLIENT_NOT_CONNECTED for a cancelled call, else ADAPTER_PROVIDER_ERROR. Details: provider, operation,
// grpcCode, and `runRef` when there is one.
Error ToError(const grpc::Status& status, std::string_view operation, std::string_view run_ref = {});

// The message of type `T` among the typed details the server attached to a status; false when there is none.
template <typename T>
bool FindDetail(const grpc::Status& status, T* out);

// The raw bytes of the detail with this full message name.
bool FindDetailBytes(const grpc::Status& status, std::string_view full_name, std::string* bytes);

template <typename T>
bool FindDetail(const grpc::Status& status, T* out) {
  std::string bytes;
  return FindDetailBytes(status, T::descriptor()->full_name(), &bytes) && out->ParseFromString(bytes);
}

int64_t MillisSince(SteadyClock::time_point start);

}  // namespace lockstep::provider
