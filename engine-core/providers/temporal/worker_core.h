// What the parts of one worker share: options, the connection, logging, counters, outage tracking. Internal to this
// room.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "engine-core/providers/temporal/rpc.h"
#include "engine-core/providers/temporal/watchdog.h"
#include "engine-core/providers/temporal/worker.h"
#include "engine-core/workflow/execution.h"

namespace lockstep::provider {

using workflow::LogLevel;
using Payloads = ::temporal::api::common::v1::Payloads;
using History = ::temporal::api::history::v1::History;

// Turns the failures of many calls into two log lines per outage: one when the server goes, one when it is back.
class Outages {
 public:
  explicit Outages(const LogSink& log, std::string address) : log_(log), address_(std::move(address)) {}
  void Observe(const grpc::Status& status);
  bool down() const { return down_.load(); }
  uint64_t count() const { return count_.load(); }

 private:
  const LogSink& log_;
  const std::string address_;
  std::mutex mutex_;
  std::atomic<bool> down_ = false;
  std::atomic<uint64_t> count_ = 0;
  SteadyClock::time_point since_;
};

struct Counters {
  std::atomic<uint64_t> workflow_tasks_completed = 0, workflow_tasks_failed = 0, workflow_task_heartbeats = 0,
                        divergences = 0, deadlocks = 0, queries = 0, activities_completed = 0, activities_failed = 0,
                        activities_cancelled = 0, activity_heartbeats = 0, local_activities = 0, cache_hits = 0,
                        cache_misses = 0, cache_evictions = 0;
};

struct WorkerCore {
  explicit WorkerCore(WorkerOptions options_in, std::shared_ptr<Rpc> rpc_in);

  WorkerOptions options;
  std::shared_ptr<Rpc> rpc;
  std::string instance_key;  // of this worker, for the server: polls of one key can be ended together
  Outages outages;
  Counters counters;
  CallGroup polls;                       // ends when draining begins
  CallGroup calls;                       // ends when the worker gives up
  std::atomic<bool> draining = false;    // no new work
  std::atomic<bool> abandoning = false;  // cancel what still runs
  // The server answers open polls when a worker says that it stops. Until that is known polls are short, so that they end
  // by themselves soon: a poll that is cut may take a task with it, which is then lost until its time-out.
  std::atomic<bool> ends_polls_when_told = false;
  Watchdog watchdog;

  void Log(LogLevel level, std::string_view message) const { options.log(level, message); }
  const std::string& namespace_name() const { return rpc->options().namespace_name; }
  const std::string& identity() const { return rpc->identity(); }
  int64_t NowMs() const { return options.clock->Now(); }
  // A call that repeats transient failures within `budget_ms`; seen by the outage tracker.
  CallSpec Spec(int64_t budget_ms);
  // A long poll: one try.
  CallSpec PollSpec();
  // Sets namespace, identity and the worker's build on a request that has them.
  template <typename Request>
  void Stamp(Request* request) const {
    request->set_namespace_(namespace_name());
    request->set_identity(identity());
    if (!options.build_id.empty()) SetDeployment(request->mutable_deployment_options());
  }
  void SetDeployment(api::deployment::v1::WorkerDeploymentOptions* deployment) const;
};

inline constexpr int64_t kPollTimeoutMs = 70'000;  // the server answers an empty poll after 60 s
inline constexpr int64_t kShortPollTimeoutMs = 4'000;  // and otherwise a second before its caller gives up
inline constexpr std::string_view kSdkName = "lockstep";
inline constexpr std::string_view kSdkVersion = "0.1.0";
inline constexpr size_t kMaxErrorTextBytes = 4 * 1024;  // spec 04 section 10

inline int64_t ToMillis(const google::protobuf::Duration& duration) {
  return duration.seconds() * 1'000 + duration.nanos() / 1'000'000;
}
inline int64_t ToMillis(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000 + time.nanos() / 1'000'000;
}

// An application failure with the message cut to the limit of the contract.
api::failure::v1::Failure MakeFailure(const Error& error);

}  // namespace lockstep::provider
