// See worker_core.h.
#include "engine-core/providers/temporal/worker_core.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "engine-core/base/bytes.h"
#include "engine-core/base/clock.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::provider {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

WorkerOptions Complete(WorkerOptions options) {
  if (options.clock == nullptr) options.clock = &SystemClock();
  if (!options.log) options.log = DefaultLogSink();
  return options;
}

// A cancelled call is our own doing, and a limited caller does reach its server.
bool SaysNothing(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::CANCELLED ||
         status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
}

}  // namespace

LogSink DefaultLogSink() {
  static const auto logger =
      std::make_shared<spdlog::logger>("worker", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  return [](LogLevel level, std::string_view message) { logger->log(ToSpdlog(level), "{}", message); };
}

void Outages::Observe(const grpc::Status& status) {
  if (SaysNothing(status)) return;
  const bool away = status.error_code() == grpc::StatusCode::UNAVAILABLE;
  if (away == down_.load()) return;
  std::lock_guard lock(mutex_);
  if (away == down_.load()) return;
  down_ = away;
  if (away) {
    ++count_;
    since_ = SteadyClock::now();
    log_(LogLevel::kWarning, "Temporal at " + address_ + " is unreachable, trying on: " + Describe(status));
  } else {
    log_(LogLevel::kInfo,
         "Temporal at " + address_ + " is reachable again after " + FormatDuration(MillisSince(since_)));
  }
}

WorkerCore::WorkerCore(WorkerOptions options_in, std::shared_ptr<Rpc> rpc_in)
    : options(Complete(std::move(options_in))),
      rpc(std::move(rpc_in)),
      instance_key(SystemIdGenerator().NewUuid()),
      outages(options.log, rpc->options().address),
      watchdog(options.deadlock_limit_ms,
               [this](const std::string& what, std::source_location where, int64_t running_ms) {
                 ++counters.deadlocks;
                 Log(LogLevel::kError, "deadlock: " + what + " has not yielded for " + FormatDuration(running_ms) +
                                           ", at " + workflow::ToSourceLine(where).ToString());
               }) {}

CallSpec WorkerCore::Spec(int64_t budget_ms) {
  CallSpec spec;
  spec.budget_ms = budget_ms;
  spec.group = &calls;
  spec.observe = [this](const grpc::Status& status) { outages.Observe(status); };
  return spec;
}

CallSpec WorkerCore::PollSpec() {
  CallSpec spec;
  spec.budget_ms = ends_polls_when_told.load() ? kPollTimeoutMs : kShortPollTimeoutMs;
  spec.retry = false;
  spec.group = &polls;
  spec.observe = [this](const grpc::Status& status) { outages.Observe(status); };
  return spec;
}

void WorkerCore::SetDeployment(api::deployment::v1::WorkerDeploymentOptions* deployment) const {
  deployment->set_deployment_name(options.deployment);
  deployment->set_build_id(options.build_id);
  deployment->set_worker_versioning_mode(options.versioning == VersioningMode::kUnversioned
                                             ? api::enums::v1::WORKER_VERSIONING_MODE_UNVERSIONED
                                             : api::enums::v1::WORKER_VERSIONING_MODE_VERSIONED);
}

api::failure::v1::Failure MakeFailure(const Error& error) {
  Error bounded = error;
  bounded.message = std::string(TruncateUtf8(bounded.message, kMaxErrorTextBytes));
  api::failure::v1::Failure failure;
  workflow::ErrorToFailure(bounded, &failure);
  failure.set_source("lockstep");
  return failure;
}

}  // namespace lockstep::provider
