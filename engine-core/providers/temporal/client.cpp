// See client.h. Each call builds a request, runs it by `Impl::Invoke` and reads the answer; how a connection is opened
// and which statuses mean what stands in one place each.
#include "engine-core/providers/temporal/client.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>

#include "engine-core/base/bytes.h"
#include "engine-core/base/clock.h"
#include "engine-core/providers/temporal/rpc.h"
#include "engine-core/workflow/payload.h"
#include "temporal/api/errordetails/v1/message.pb.h"

namespace lockstep::provider {
namespace {

constexpr size_t kMaxWorkflowIdBytes = 1'000;
constexpr int64_t kLongPollMs = 30'000;

int64_t ToMillis(const google::protobuf::Timestamp& time) { return time.seconds() * 1'000 + time.nanos() / 1'000'000; }

void SetDuration(int64_t millis, google::protobuf::Duration* out) {
  out->set_seconds(millis / 1'000);
  out->set_nanos(static_cast<int32_t>(millis % 1'000) * 1'000'000);
}

Status CheckWorkflowId(const std::string& id) {
  const bool control =
      std::any_of(id.begin(), id.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; });
  if (!id.empty() && id.size() <= kMaxWorkflowIdBytes && IsValidUtf8(id) && !control) return {};
  return Fail("WORKFLOW_ID_INVALID",
              "workflow id: expected 1 to 1000 bytes of UTF-8 without control characters, found " +
                  (id.empty() ? std::string("nothing")
                              : std::to_string(id.size()) + " bytes `" + std::string(TruncateUtf8(id, 64)) + "`"));
}

std::string RefText(const std::string& workflow_id, const std::string& run_id) {
  return run_id.empty() ? workflow_id : workflow_id + "/" + run_id;
}

WorkflowStatus FromProto(api::enums::v1::WorkflowExecutionStatus status) {
  static const std::map<int, WorkflowStatus> kTable = {
      {api::enums::v1::WORKFLOW_EXECUTION_STATUS_RUNNING, WorkflowStatus::kRunning},
      {api::enums::v1::WORKFLOW_EXECUTION_STATUS_COMPLETED, WorkflowStatus::kCompleted},
      {api::enums::v1::WORKFLOW_EXECUTION_STATUS_FAILED, WorkflowStatus::kFailed},
      {api::enums::v1::WORKFLOW_EXECUTION_STATUS_CANCELED, WorkflowStatus::kCancelled},
      {api::enums::v1::WORKFLOW_EXECUTION_STATUS_TERMINATED, WorkflowStatus::kTerminated},
      {api::enums::v1::WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, WorkflowStatus::kContinuedAsNew},
      {api::enums::v1::WORKFLOW_EXECUTION_STATUS_TIMED_OUT, WorkflowStatus::kTimedOut},
      {api::enums::v1::WORKFLOW_EXECUTION_STATUS_PAUSED, WorkflowStatus::kPaused},
  };
  const auto it = kTable.find(status);
  return it == kTable.end() ? WorkflowStatus::kUnknown : it->second;
}

// Sorted by name, because protobuf maps have no order; a value that is not JSON becomes a text that says so.
template <typename ProtoMap>
std::vector<std::pair<std::string, Json>> ReadFields(const ProtoMap& fields) {
  std::map<std::string, Json> sorted;
  for (const auto& [name, payload] : fields) {
    auto value = workflow::ReadJson(payload);
    sorted[name] = value ? std::move(*value) : Json("(" + value.error().message + ")");
  }
  return {sorted.begin(), sorted.end()};
}

WorkflowSummary ToSummary(const api::workflow::v1::WorkflowExecutionInfo& info) {
  WorkflowSummary summary;
  summary.workflow_id = info.execution().workflow_id();
  summary.run_id = info.execution().run_id();
  summary.first_run_id = info.first_run_id();
  summary.workflow_type = info.type().name();
  summary.task_queue = info.task_queue();
  summary.status = FromProto(info.status());
  summary.start_ms = ToMillis(info.start_time());
  summary.close_ms = info.has_close_time() ? ToMillis(info.close_time()) : 0;
  summary.history_length = info.history_length();
  summary.history_bytes = info.history_size_bytes();
  summary.search_attributes = ReadFields(info.search_attributes().indexed_fields());
  summary.memo = ReadFields(info.memo().fields());
  return summary;
}

// StartWorkflowExecutionRequest and SignalWithStartWorkflowExecutionRequest name these fields alike.
template <typename Request>
void FillStart(const Rpc& rpc, const StartOptions& start, const Payloads& input, Request* request) {
  static const std::map<IdReuse, api::enums::v1::WorkflowIdReusePolicy> kReuse = {
      {IdReuse::kRejectDuplicate, api::enums::v1::WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE},
      {IdReuse::kAllowDuplicate, api::enums::v1::WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE},
      {IdReuse::kAllowDuplicateFailedOnly, api::enums::v1::WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY},
  };
  request->set_namespace_(rpc.options().namespace_name);
  request->set_workflow_id(start.workflow_id);
  request->mutable_workflow_type()->set_name(start.workflow_type);
  request->mutable_task_queue()->set_name(start.task_queue);
  *request->mutable_input() = input;
  SetDuration(start.task_timeout_ms, request->mutable_workflow_task_timeout());
  if (start.execution_timeout_ms > 0)
    SetDuration(start.execution_timeout_ms, request->mutable_workflow_execution_timeout());
  if (start.run_timeout_ms > 0) SetDuration(start.run_timeout_ms, request->mutable_workflow_run_timeout());
  request->set_identity(rpc.identity());
  request->set_request_id(start.request_id.empty() ? SystemIdGenerator().NewUuid() : start.request_id);
  request->set_workflow_id_reuse_policy(kReuse.at(start.id_reuse));
  for (const auto& [name, value] : start.memo)
    workflow::SetJson(value, &(*request->mutable_memo()->mutable_fields())[name]);
  for (const auto& [name, value] : start.search_attributes) {
    auto& payload = (*request->mutable_search_attributes()->mutable_indexed_fields())[name];
    workflow::SetJson(Json(value), &payload);
    (*payload.mutable_metadata())["type"] = "Keyword";
  }
}

Status CheckStart(const StartOptions& start) {
  LOCKSTEP_TRY(CheckWorkflowId(start.workflow_id));
  if (start.workflow_type.empty())
    return Fail("ADAPTER_PROVIDER_ERROR", "start workflow: expected a workflow type, found nothing");
  if (start.task_queue.empty())
    return Fail("ADAPTER_PROVIDER_ERROR", "start workflow: expected a task queue, found nothing");
  return {};
}

// Fills `outcome` from the closing event; the run id to follow when the execution was continued.
std::string ReadClosingEvent(const api::history::v1::HistoryEvent& event, WorkflowOutcome* outcome) {
  switch (event.attributes_case()) {
    case api::history::v1::HistoryEvent::kWorkflowExecutionCompletedEventAttributes: {
      const auto& done = event.workflow_execution_completed_event_attributes();
      outcome->status = WorkflowStatus::kCompleted;
      *outcome->result = done.result();
      return done.new_execution_run_id();
    }
    case api::history::v1::HistoryEvent::kWorkflowExecutionFailedEventAttributes: {
      const auto& failed = event.workflow_execution_failed_event_attributes();
      outcome->status = WorkflowStatus::kFailed;
      outcome->failure = workflow::FailureToError(failed.failure());
      return failed.new_execution_run_id();
    }
    case api::history::v1::HistoryEvent::kWorkflowExecutionCanceledEventAttributes:
      outcome->status = WorkflowStatus::kCancelled;
      outcome->failure = Error("CANCELLED", "the workflow was cancelled");
      return {};
    case api::history::v1::HistoryEvent::kWorkflowExecutionTerminatedEventAttributes:
      outcome->status = WorkflowStatus::kTerminated;
      outcome->failure =
          Error("PROVIDER_TERMINATED",
                "the workflow was terminated: " + event.workflow_execution_terminated_event_attributes().reason());
      return {};
    case api::history::v1::HistoryEvent::kWorkflowExecutionTimedOutEventAttributes:
      outcome->status = WorkflowStatus::kTimedOut;
      outcome->failure = Error("PROVIDER_TIMED_OUT", "the workflow timed out");
      return event.workflow_execution_timed_out_event_attributes().new_execution_run_id();
    case api::history::v1::HistoryEvent::kWorkflowExecutionContinuedAsNewEventAttributes:
      outcome->status = WorkflowStatus::kContinuedAsNew;
      return event.workflow_execution_continued_as_new_event_attributes().new_execution_run_id();
    default:
      outcome->status = WorkflowStatus::kUnknown;
      outcome->failure =
          Error("TEMPORAL_STATUS_UNKNOWN", "closing event of type " + std::to_string(event.event_type()));
      return {};
  }
}

}  // namespace

WorkflowOutcome::WorkflowOutcome() : result(std::make_unique<Payloads>()) {}
WorkflowOutcome::~WorkflowOutcome() = default;
WorkflowOutcome::WorkflowOutcome(WorkflowOutcome&&) noexcept = default;
WorkflowOutcome& WorkflowOutcome::operator=(WorkflowOutcome&&) noexcept = default;

std::string_view WorkflowStatusName(WorkflowStatus status) {
  static constexpr std::string_view kNames[] = {
      "TEMPORAL_STATUS_UNKNOWN", "RUNNING",   "COMPLETED", "FAILED", "CANCELLED", "TERMINATED",
      "CONTINUED_AS_NEW",        "TIMED_OUT", "PAUSED"};
  return kNames[static_cast<size_t>(status)];
}

// The connection as a small machine: closed -> connecting -> open; Close from anywhere.
class Client::Impl {
 public:
  explicit Impl(ConnectionOptions options) : options_(std::move(options)) {}
  ~Impl() { Close(); }

  const ConnectionOptions& options() const { return options_; }

  Status Connect() {
    std::unique_lock lock(mutex_);
    if (state_ == State::kOpen) return {};
    if (state_ == State::kConnecting) {
      const uint64_t attempt = attempt_;
      changed_.wait(lock, [&] { return attempt_ != attempt || state_ != State::kConnecting; });
      return state_ == State::kOpen ? Status{} : Status(std::unexpected(last_error_));
    }
    state_ = State::kConnecting;
    auto calls = std::make_shared<CallGroup>();
    calls_ = calls;
    lock.unlock();
    auto opened = Open(calls.get());
    lock.lock();
    ++attempt_;
    if (state_ != State::kConnecting || calls_ != calls) {  // Close came in between
      opened = std::unexpected(Closed());
    }
    if (opened) {
      rpc_ = std::move(*opened);
      state_ = State::kOpen;
    } else {
      last_error_ = opened.error();
      if (state_ == State::kConnecting && calls_ == calls) state_ = State::kIdle;
    }
    changed_.notify_all();
    return opened ? Status{} : Status(std::unexpected(last_error_));
  }

  Status EnsureConnected() {
    {
      std::lock_guard lock(mutex_);
      if (state_ == State::kClosed) return std::unexpected(Closed());
    }
    return Connect();
  }

  bool IsConnected() const {
    std::lock_guard lock(mutex_);
    return state_ == State::kOpen && rpc_->connected();
  }

  void Close() {
    std::lock_guard lock(mutex_);
    if (calls_) calls_->Cancel();
    calls_.reset();
    rpc_.reset();
    state_ = State::kClosed;
    changed_.notify_all();
  }

  struct Session {
    std::shared_ptr<Rpc> rpc;
    std::shared_ptr<CallGroup> calls;
  };
  Result<Session> Use() {
    LOCKSTEP_TRY(EnsureConnected());
    std::lock_guard lock(mutex_);
    if (state_ != State::kOpen) return std::unexpected(Closed());
    return Session{rpc_, calls_};
  }

  template <typename Request, typename Response>
  static grpc::Status Invoke(const Session& session, Rpc::Method<Request, Response> method, const Request& request,
                             Response* response, int64_t budget_ms = 0) {
    CallSpec spec;
    spec.budget_ms = budget_ms > 0 ? budget_ms : session.rpc->options().request_timeout_ms;
    spec.group = session.calls.get();
    return session.rpc->Call(method, request, response, spec);
  }

  static Error Closed() { return Error("TEMPORAL_CLIENT_NOT_CONNECTED", "the Temporal client is closed"); }

 private:
  enum class State : uint8_t { kIdle, kConnecting, kOpen, kClosed };

  Result<std::shared_ptr<Rpc>> Open(CallGroup* calls) {
    LOCKSTEP_ASSIGN(auto rpc, Rpc::Create(options_));
    CallSpec spec;
    spec.budget_ms = options_.connect_timeout_ms;
    spec.group = calls;
    service::GetSystemInfoRequest request;
    service::GetSystemInfoResponse response;
    const grpc::Status status = rpc->Call(&Stub::GetSystemInfo, request, &response, spec);
    if (status.ok()) return rpc;
    Error error = ToError(status, "connect");
    error.code = "TEMPORAL_CLIENT_NOT_CONNECTED";
    error.message = "no connection to Temporal at " + options_.address + ": " + provider::Describe(status);
    error.retryable = true;
    return std::unexpected(std::move(error));
  }

  const ConnectionOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::kIdle;
  uint64_t attempt_ = 0;  // finished attempts, so that waiters see the end of theirs
  Error last_error_ = Closed();
  std::shared_ptr<Rpc> rpc_;
  std::shared_ptr<CallGroup> calls_;
};

namespace {

// What a failed call on one execution means.
Error ExecutionError(const grpc::Status& status, std::string_view operation, const std::string& workflow_id,
                     const std::string& run_id) {
  Error error = ToError(status, operation, RefText(workflow_id, run_id));
  std::string detail;
  const bool no_namespace = FindDetailBytes(status, "temporal.api.errordetails.v1.NamespaceNotFoundFailure", &detail);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND && !no_namespace) {
    error.code = "ADAPTER_INVALID_RUN_REF";
    error.retryable = false;
  }
  return error;
}

template <typename Request>
void FillExecution(const Rpc& rpc, const std::string& workflow_id, const std::string& run_id, Request* request) {
  request->set_namespace_(rpc.options().namespace_name);
  request->mutable_workflow_execution()->set_workflow_id(workflow_id);
  request->mutable_workflow_execution()->set_run_id(run_id);
}

std::string RequestId(const std::string& given) { return given.empty() ? SystemIdGenerator().NewUuid() : given; }

}  // namespace

Client::Client(ConnectionOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() = default;

Status Client::Connect() { return impl_->Connect(); }
bool Client::IsConnected() const { return impl_->IsConnected(); }
Status Client::EnsureConnected() { return impl_->EnsureConnected(); }
void Client::Close() { impl_->Close(); }
const ConnectionOptions& Client::options() const { return impl_->options(); }

Result<WorkflowRef> Client::StartWorkflow(const StartOptions& start, const Payloads& input) {
  LOCKSTEP_TRY(CheckStart(start));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::StartWorkflowExecutionRequest request;
  service::StartWorkflowExecutionResponse response;
  FillStart(*session.rpc, start, input, &request);
  const grpc::Status status = Impl::Invoke(session, &Stub::StartWorkflowExecution, request, &response);
  WorkflowRef ref{options().namespace_name, start.workflow_id, response.run_id(), start.task_queue, false};
  if (status.ok()) return ref;
  if (status.error_code() != grpc::StatusCode::ALREADY_EXISTS) {
    return std::unexpected(ToError(status, "startRun", start.workflow_id));
  }
  ref.already_started = true;
  api::errordetails::v1::WorkflowExecutionAlreadyStartedFailure existing;
  if (FindDetail(status, &existing)) ref.run_id = existing.run_id();
  // The first execution of the chain and its queue are only told by a description.
  LOCKSTEP_ASSIGN(const auto description, Describe(start.workflow_id));
  if (!description.summary.first_run_id.empty()) ref.run_id = description.summary.first_run_id;
  if (ref.run_id.empty()) ref.run_id = description.summary.run_id;
  ref.task_queue = description.summary.task_queue;
  return ref;
}

Result<WorkflowRef> Client::SignalWithStart(const StartOptions& start, const Payloads& input, std::string_view signal,
                                            const Payloads& signal_input) {
  LOCKSTEP_TRY(CheckStart(start));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::SignalWithStartWorkflowExecutionRequest request;
  service::SignalWithStartWorkflowExecutionResponse response;
  FillStart(*session.rpc, start, input, &request);
  request.set_signal_name(std::string(signal));
  *request.mutable_signal_input() = signal_input;
  const grpc::Status status = Impl::Invoke(session, &Stub::SignalWithStartWorkflowExecution, request, &response);
  if (!status.ok()) return std::unexpected(ToError(status, "signalWithStart", start.workflow_id));
  return WorkflowRef{options().namespace_name, start.workflow_id, response.run_id(), start.task_queue,
                     !response.started()};
}

Status Client::Signal(const std::string& workflow_id, const std::string& run_id, std::string_view signal,
                      const Payloads& input, const std::string& request_id) {
  LOCKSTEP_TRY(CheckWorkflowId(workflow_id));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::SignalWorkflowExecutionRequest request;
  service::SignalWorkflowExecutionResponse response;
  FillExecution(*session.rpc, workflow_id, run_id, &request);
  request.set_signal_name(std::string(signal));
  *request.mutable_input() = input;
  request.set_identity(session.rpc->identity());
  request.set_request_id(RequestId(request_id));
  const grpc::Status status = Impl::Invoke(session, &Stub::SignalWorkflowExecution, request, &response);
  if (!status.ok()) return std::unexpected(ExecutionError(status, "signal", workflow_id, run_id));
  return {};
}

Result<std::unique_ptr<Payloads>> Client::Query(const std::string& workflow_id, const std::string& run_id,
                                                std::string_view query, const Payloads& args) {
  LOCKSTEP_TRY(CheckWorkflowId(workflow_id));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::QueryWorkflowRequest request;
  service::QueryWorkflowResponse response;
  request.set_namespace_(options().namespace_name);
  request.mutable_execution()->set_workflow_id(workflow_id);
  request.mutable_execution()->set_run_id(run_id);
  request.mutable_query()->set_query_type(std::string(query));
  *request.mutable_query()->mutable_query_args() = args;
  const grpc::Status status = Impl::Invoke(session, &Stub::QueryWorkflow, request, &response);
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) {
    Error error = ExecutionError(status, "query", workflow_id, run_id);
    error.code = "QUERY_FAILED";
    error.message = "query `" + std::string(query) + "` of " + workflow_id + " failed: " + status.error_message();
    return std::unexpected(std::move(error));
  }
  if (!status.ok()) return std::unexpected(ExecutionError(status, "query", workflow_id, run_id));
  return std::make_unique<Payloads>(std::move(*response.mutable_query_result()));
}

Result<std::unique_ptr<Payloads>> Client::Update(const std::string& workflow_id, const std::string& run_id,
                                                 std::string_view update, const Payloads& args, int64_t timeout_ms,
                                                 const std::string& update_id) {
  LOCKSTEP_TRY(CheckWorkflowId(workflow_id));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::UpdateWorkflowExecutionRequest request;
  service::UpdateWorkflowExecutionResponse response;
  request.set_namespace_(options().namespace_name);
  request.mutable_workflow_execution()->set_workflow_id(workflow_id);
  request.mutable_workflow_execution()->set_run_id(run_id);
  request.mutable_wait_policy()->set_lifecycle_stage(
      api::enums::v1::UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED);
  request.mutable_request()->mutable_meta()->set_update_id(RequestId(update_id));
  request.mutable_request()->mutable_meta()->set_identity(session.rpc->identity());
  request.mutable_request()->mutable_input()->set_name(std::string(update));
  *request.mutable_request()->mutable_input()->mutable_args() = args;
  // The server answers after a while without an outcome; the same update id then waits on for the same update.
  const auto until = SteadyClock::now() + std::chrono::milliseconds(timeout_ms);
  while (!response.has_outcome()) {
    const int64_t left = std::chrono::duration_cast<std::chrono::milliseconds>(until - SteadyClock::now()).count();
    if (left <= 0) {
      return Fail("ADAPTER_TIMEOUT", "update `" + std::string(update) + "` of " + workflow_id + " is not over after " +
                                         std::to_string(timeout_ms) + " ms");
    }
    const grpc::Status status =
        Impl::Invoke(session, &Stub::UpdateWorkflowExecution, request, &response, std::min(left, kLongPollMs));
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) continue;
    if (!status.ok()) return std::unexpected(ExecutionError(status, "update", workflow_id, run_id));
  }
  if (response.outcome().has_failure()) return std::unexpected(workflow::FailureToError(response.outcome().failure()));
  return std::make_unique<Payloads>(std::move(*response.mutable_outcome()->mutable_success()));
}

Status Client::RequestCancel(const std::string& workflow_id, const std::string& run_id, std::string_view reason,
                             const std::string& request_id) {
  LOCKSTEP_TRY(CheckWorkflowId(workflow_id));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::RequestCancelWorkflowExecutionRequest request;
  service::RequestCancelWorkflowExecutionResponse response;
  FillExecution(*session.rpc, workflow_id, run_id, &request);
  request.set_identity(session.rpc->identity());
  request.set_request_id(RequestId(request_id));
  request.set_reason(std::string(reason));
  const grpc::Status status = Impl::Invoke(session, &Stub::RequestCancelWorkflowExecution, request, &response);
  if (status.ok()) return {};
  // The server answers NOT_FOUND for a closed execution, too; only an unknown one is an error.
  if (status.error_code() == grpc::StatusCode::NOT_FOUND && Describe(workflow_id, run_id)) return {};
  return std::unexpected(ExecutionError(status, "cancelRun", workflow_id, run_id));
}

Status Client::Terminate(const std::string& workflow_id, const std::string& run_id, std::string_view reason) {
  LOCKSTEP_TRY(CheckWorkflowId(workflow_id));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::TerminateWorkflowExecutionRequest request;
  service::TerminateWorkflowExecutionResponse response;
  FillExecution(*session.rpc, workflow_id, run_id, &request);
  request.set_identity(session.rpc->identity());
  request.set_reason(std::string(reason));
  const grpc::Status status = Impl::Invoke(session, &Stub::TerminateWorkflowExecution, request, &response);
  if (status.ok()) return {};
  if (status.error_code() == grpc::StatusCode::NOT_FOUND && Describe(workflow_id, run_id)) return {};
  return std::unexpected(ExecutionError(status, "terminate", workflow_id, run_id));
}

Result<WorkflowDescription> Client::Describe(const std::string& workflow_id, const std::string& run_id) {
  LOCKSTEP_TRY(CheckWorkflowId(workflow_id));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::DescribeWorkflowExecutionRequest request;
  service::DescribeWorkflowExecutionResponse response;
  request.set_namespace_(options().namespace_name);
  request.mutable_execution()->set_workflow_id(workflow_id);
  request.mutable_execution()->set_run_id(run_id);
  const grpc::Status status = Impl::Invoke(session, &Stub::DescribeWorkflowExecution, request, &response);
  if (!status.ok()) return std::unexpected(ExecutionError(status, "getProviderStatus", workflow_id, run_id));
  WorkflowDescription description;
  description.summary = ToSummary(response.workflow_execution_info());
  for (const auto& activity : response.pending_activities()) {
    PendingActivity pending;
    pending.activity_id = activity.activity_id();
    pending.activity_type = activity.activity_type().name();
    pending.attempt = activity.attempt();
    pending.cancel_requested = activity.state() == api::enums::v1::PENDING_ACTIVITY_STATE_CANCEL_REQUESTED;
    pending.started = activity.state() == api::enums::v1::PENDING_ACTIVITY_STATE_STARTED || pending.cancel_requested;
    pending.last_failure = activity.last_failure().message();
    pending.last_worker = activity.last_worker_identity();
    description.pending_activities.push_back(std::move(pending));
  }
  description.pending_children = response.pending_children_size();
  if (response.has_pending_workflow_task())
    description.pending_task_attempt = response.pending_workflow_task().attempt();
  return description;
}

Result<std::unique_ptr<History>> Client::GetHistory(const std::string& workflow_id, const std::string& run_id) {
  LOCKSTEP_TRY(CheckWorkflowId(workflow_id));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::GetWorkflowExecutionHistoryRequest request;
  request.set_namespace_(options().namespace_name);
  request.mutable_execution()->set_workflow_id(workflow_id);
  request.mutable_execution()->set_run_id(run_id);
  auto history = std::make_unique<History>();
  do {
    service::GetWorkflowExecutionHistoryResponse response;
    const grpc::Status status = Impl::Invoke(session, &Stub::GetWorkflowExecutionHistory, request, &response);
    if (!status.ok()) return std::unexpected(ExecutionError(status, "getHistory", workflow_id, run_id));
    for (auto& event : *response.mutable_history()->mutable_events()) *history->add_events() = std::move(event);
    request.set_next_page_token(response.next_page_token());
  } while (!request.next_page_token().empty());
  return history;
}

Result<WorkflowOutcome> Client::WaitForResult(const std::string& workflow_id, const std::string& run_id,
                                              int64_t timeout_ms) {
  LOCKSTEP_TRY(CheckWorkflowId(workflow_id));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  const auto start = SteadyClock::now();
  service::GetWorkflowExecutionHistoryRequest request;
  request.set_namespace_(options().namespace_name);
  request.mutable_execution()->set_workflow_id(workflow_id);
  request.mutable_execution()->set_run_id(run_id);
  request.set_wait_new_event(true);
  request.set_history_event_filter_type(api::enums::v1::HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT);
  for (;;) {
    const int64_t left = timeout_ms - MillisSince(start);
    if (left <= 0) {
      Error error("ADAPTER_TIMEOUT", "workflow " + workflow_id + " did not end within " + FormatDuration(timeout_ms),
                  true);
      return std::unexpected(std::move(error).With("runRef", RefText(workflow_id, run_id)));
    }
    service::GetWorkflowExecutionHistoryResponse response;
    const grpc::Status status =
        Impl::Invoke(session, &Stub::GetWorkflowExecutionHistory, request, &response, std::min(left, kLongPollMs));
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED || IsTransient(status)) continue;
    if (!status.ok()) return std::unexpected(ExecutionError(status, "waitForResult", workflow_id, run_id));
    if (response.history().events_size() == 0) {
      request.set_next_page_token(response.next_page_token());
      continue;
    }
    WorkflowOutcome outcome;
    const auto& last = response.history().events(response.history().events_size() - 1);
    const std::string next = ReadClosingEvent(last, &outcome);
    if (next.empty()) {
      outcome.run_id = request.execution().run_id();
      return outcome;
    }
    request.mutable_execution()->set_run_id(next);
    request.clear_next_page_token();
  }
}

Result<WorkflowPage> Client::List(const std::string& query, int32_t page_size, const std::string& page_token) {
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::ListWorkflowExecutionsRequest request;
  service::ListWorkflowExecutionsResponse response;
  request.set_namespace_(options().namespace_name);
  request.set_query(query);
  request.set_page_size(page_size);
  request.set_next_page_token(page_token);
  const grpc::Status status = Impl::Invoke(session, &Stub::ListWorkflowExecutions, request, &response);
  if (!status.ok()) return std::unexpected(ToError(status, "list"));
  WorkflowPage page;
  for (const auto& info : response.executions()) page.workflows.push_back(ToSummary(info));
  page.next_page_token = response.next_page_token();
  return page;
}

Result<int64_t> Client::Count(const std::string& query) {
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::CountWorkflowExecutionsRequest request;
  service::CountWorkflowExecutionsResponse response;
  request.set_namespace_(options().namespace_name);
  request.set_query(query);
  const grpc::Status status = Impl::Invoke(session, &Stub::CountWorkflowExecutions, request, &response);
  if (!status.ok()) return std::unexpected(ToError(status, "count"));
  return response.count();
}

Result<std::string> Client::Reset(const std::string& workflow_id, const std::string& run_id, int64_t finish_event_id,
                                  std::string_view reason) {
  LOCKSTEP_TRY(CheckWorkflowId(workflow_id));
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::ResetWorkflowExecutionRequest request;
  service::ResetWorkflowExecutionResponse response;
  FillExecution(*session.rpc, workflow_id, run_id, &request);
  request.set_reason(std::string(reason));
  request.set_workflow_task_finish_event_id(finish_event_id);
  request.set_request_id(SystemIdGenerator().NewUuid());
  request.set_identity(session.rpc->identity());
  const grpc::Status status = Impl::Invoke(session, &Stub::ResetWorkflowExecution, request, &response);
  if (!status.ok()) return std::unexpected(ExecutionError(status, "reset", workflow_id, run_id));
  return response.run_id();
}

Result<ServerInfo> Client::Ping() {
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::GetSystemInfoRequest request;
  service::GetSystemInfoResponse response;
  const grpc::Status status = Impl::Invoke(session, &Stub::GetSystemInfo, request, &response);
  if (!status.ok()) return std::unexpected(ToError(status, "ping"));
  return ServerInfo{response.server_version(), response.capabilities().sdk_metadata()};
}

Status Client::RegisterNamespace(const std::string& name, int64_t retention_days) {
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::RegisterNamespaceRequest request;
  service::RegisterNamespaceResponse response;
  request.set_namespace_(name);
  SetDuration(retention_days * 24 * 3'600 * 1'000, request.mutable_workflow_execution_retention_period());
  const grpc::Status status = Impl::Invoke(session, &Stub::RegisterNamespace, request, &response);
  if (status.ok() || status.error_code() == grpc::StatusCode::ALREADY_EXISTS) return {};
  return std::unexpected(ToError(status, "registerNamespace", name));
}

Result<NamespaceDescription> Client::DescribeNamespace(const std::string& name) {
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::DescribeNamespaceRequest request;
  service::DescribeNamespaceResponse response;
  request.set_namespace_(name.empty() ? options().namespace_name : name);
  const grpc::Status status = Impl::Invoke(session, &Stub::DescribeNamespace, request, &response);
  if (!status.ok()) return std::unexpected(ToError(status, "describeNamespace", request.namespace_()));
  const auto& retention = response.config().workflow_execution_retention_ttl();
  return NamespaceDescription{response.namespace_info().name(), response.namespace_info().id(),
                              retention.seconds() * 1'000 + retention.nanos() / 1'000'000};
}

Result<std::vector<Poller>> Client::DescribeTaskQueue(const std::string& task_queue, QueueKind kind) {
  LOCKSTEP_ASSIGN(const auto session, impl_->Use());
  service::DescribeTaskQueueRequest request;
  service::DescribeTaskQueueResponse response;
  request.set_namespace_(options().namespace_name);
  request.mutable_task_queue()->set_name(task_queue);
  request.set_task_queue_type(kind == QueueKind::kWorkflow ? api::enums::v1::TASK_QUEUE_TYPE_WORKFLOW
                                                           : api::enums::v1::TASK_QUEUE_TYPE_ACTIVITY);
  const grpc::Status status = Impl::Invoke(session, &Stub::DescribeTaskQueue, request, &response);
  if (!status.ok()) return std::unexpected(ToError(status, "describeTaskQueue", task_queue));
  std::vector<Poller> pollers;
  for (const auto& poller : response.pollers())
    pollers.push_back({poller.identity(), ToMillis(poller.last_access_time())});
  return pollers;
}

}  // namespace lockstep::provider
