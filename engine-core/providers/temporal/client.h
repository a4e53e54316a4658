// Client of the Temporal service: the duties of ClientManager (one lazily opened connection, single-flight connect) and
// the calls the engine and its tools need (spec 04 sections 1 and 1.1).
//
// Every call has a deadline (`ConnectionOptions::request_timeout_ms`, retries included) and repeats transient failures
// with jittered back-off inside it; requests that change something carry one request id over all tries, so the server
// applies them once. Errors carry provider, operation and run reference as details:
//   TEMPORAL_CLIENT_NOT_CONFIGURED  no address or namespace       TEMPORAL_CLIENT_NOT_CONNECTED  no connection, or
//   closed WORKFLOW_ID_INVALID             refused before sending        ADAPTER_INVALID_RUN_REF        no such
//   execution ADAPTER_TIMEOUT                 deadline passed               ADAPTER_PROVIDER_ERROR         anything
//   else PAYLOAD_TOO_LARGE               above the server's 4 MB per message QUERY_FAILED                    the
//   workflow refused the query
//
// Threads: all members may be called from any thread at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/providers/temporal/connection.h"

namespace temporal::api::common::v1 {
class Payloads;
}
namespace temporal::api::history::v1 {
class History;
}

namespace lockstep::provider {

using Payloads = ::temporal::api::common::v1::Payloads;
using History = ::temporal::api::history::v1::History;

class Rpc;

enum class IdReuse : uint8_t { kRejectDuplicate, kAllowDuplicate, kAllowDuplicateFailedOnly };

struct StartOptions {
  std::string workflow_id;
  std::string workflow_type;
  std::string task_queue;
  IdReuse id_reuse = IdReuse::kRejectDuplicate;
  int64_t task_timeout_ms = 10'000;
  int64_t execution_timeout_ms = 0;  // 0: none
  int64_t run_timeout_ms = 0;        // 0: none
  std::vector<std::pair<std::string, Json>> memo;
  std::vector<std::pair<std::string, std::string>> search_attributes;  // Keyword
  std::string request_id;                                              // empty: a fresh one
};

// One execution. `run_id` is the provider's id of the first execution of the chain.
struct WorkflowRef {
  std::string namespace_name;
  std::string workflow_id;
  std::string run_id;
  std::string task_queue;
  bool already_started = false;
};

enum class WorkflowStatus : uint8_t {
  kUnknown,
  kRunning,
  kCompleted,
  kFailed,
  kCancelled,
  kTerminated,
  kContinuedAsNew,
  kTimedOut,
  kPaused
};
// `RUNNING`, `COMPLETED`, ...; `TEMPORAL_STATUS_UNKNOWN` for kUnknown.
std::string_view WorkflowStatusName(WorkflowStatus status);

struct WorkflowSummary {
  std::string workflow_id;
  std::string run_id;        // of the latest execution
  std::string first_run_id;  // of the chain; empty when the server does not say
  std::string workflow_type;
  std::string task_queue;
  WorkflowStatus status = WorkflowStatus::kUnknown;
  int64_t start_ms = 0;
  int64_t close_ms = 0;  // 0: open
  int64_t history_length = 0;
  int64_t history_bytes = 0;
  std::vector<std::pair<std::string, Json>> search_attributes;  // by name
  std::vector<std::pair<std::string, Json>> memo;
};

struct PendingActivity {
  std::string activity_id;
  std::string activity_type;
  int32_t attempt = 0;
  bool started = false;
  bool cancel_requested = false;
  std::string last_failure;  // message
  std::string last_worker;
};

struct WorkflowDescription {
  WorkflowSummary summary;
  std::vector<PendingActivity> pending_activities;
  int32_t pending_children = 0;
  int32_t pending_task_attempt = 0;  // of the open workflow task; 0: none
};

// How an execution ended. `result` is set for kCompleted (may hold no payload), `failure` for kFailed, kCancelled,
// kTerminated and kTimedOut.
struct WorkflowOutcome {
  WorkflowStatus status = WorkflowStatus::kUnknown;
  std::string run_id;
  std::unique_ptr<Payloads> result;
  Error failure;
  WorkflowOutcome();
  ~WorkflowOutcome();
  WorkflowOutcome(WorkflowOutcome&&) noexcept;
  WorkflowOutcome& operator=(WorkflowOutcome&&) noexcept;
};

struct WorkflowPage {
  std::vector<WorkflowSummary> workflows;
  std::string next_page_token;  // empty: the last page
};

struct ServerInfo {
  std::string version;
  bool sdk_metadata = false;
};

struct NamespaceDescription {
  std::string name;
  std::string id;
  int64_t retention_ms = 0;
};

enum class QueueKind : uint8_t { kWorkflow, kActivity };

struct Poller {
  std::string identity;
  int64_t last_access_ms = 0;
};

class Client {
 public:
  explicit Client(ConnectionOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Opens the connection and asks the service for its system information. Concurrent callers share one attempt.
  Status Connect();
  bool IsConnected() const;
  // Connects unless connected; after Close it refuses (TEMPORAL_CLIENT_NOT_CONNECTED) until Connect is called.
  Status EnsureConnected();
  // Ends running calls and drops the connection. Idempotent.
  void Close();
  const ConnectionOptions& options() const;

  // A workflow id that is already taken by an open or closed execution is success: the reference of that execution.
  Result<WorkflowRef> StartWorkflow(const StartOptions& start, const Payloads& input);
  Result<WorkflowRef> SignalWithStart(const StartOptions& start, const Payloads& input, std::string_view signal,
                                      const Payloads& signal_input);
  // `run_id` empty: the latest execution. `request_id` makes repeats of the caller harmless, too.
  Status Signal(const std::string& workflow_id, const std::string& run_id, std::string_view signal,
                const Payloads& input, const std::string& request_id = {});
  Result<std::unique_ptr<Payloads>> Query(const std::string& workflow_id, const std::string& run_id,
                                          std::string_view query, const Payloads& args);
  // Sends an update and waits for its outcome, at most `timeout_ms`. A rejected or failed one is the error that the workflow
  // gave; ADAPTER_TIMEOUT when it is not over in time, although it may be later. `update_id` makes repeats harmless.
  Result<std::unique_ptr<Payloads>> Update(const std::string& workflow_id, const std::string& run_id, std::string_view update,
                                           const Payloads& args, int64_t timeout_ms, const std::string& update_id = {});
  // Both are no-ops on a closed execution.
  Status RequestCancel(const std::string& workflow_id, const std::string& run_id, std::string_view reason,
                       const std::string& request_id = {});
  Status Terminate(const std::string& workflow_id, const std::string& run_id, std::string_view reason);

  Result<WorkflowDescription> Describe(const std::string& workflow_id, const std::string& run_id = {});
  // All pages.
  Result<std::unique_ptr<History>> GetHistory(const std::string& workflow_id, const std::string& run_id = {});
  // Waits for the end by long poll and follows continue-as-new. ADAPTER_TIMEOUT when `timeout_ms` passes first;
  // survives the server going away and coming back meanwhile.
  Result<WorkflowOutcome> WaitForResult(const std::string& workflow_id, const std::string& run_id, int64_t timeout_ms);
  Result<WorkflowPage> List(const std::string& query, int32_t page_size = 100, const std::string& page_token = {});
  Result<int64_t> Count(const std::string& query);
  // Back to the state after the given WorkflowTaskCompleted (or failed, timed out) event; the new run id.
  Result<std::string> Reset(const std::string& workflow_id, const std::string& run_id, int64_t finish_event_id,
                            std::string_view reason);

  Result<ServerInfo> Ping();
  Status RegisterNamespace(const std::string& name, int64_t retention_days);  // exists already: success
  Result<NamespaceDescription> DescribeNamespace(const std::string& name = {});
  Result<std::vector<Poller>> DescribeTaskQueue(const std::string& task_queue, QueueKind kind);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::provider
