// `lockstep worker`: the production worker. Serves the interpreter and the engine's activities on the queues of a scope.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "cli/command.h"
#include "engine-core/activity/activity.h"
#include "engine-core/base/bytes.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/providers/temporal/worker.h"
#include "engine-core/service/home.h"
#include "engine-core/service/runs.h"
#include "engine-core/steps/engine_activities.h"
#include "engine-core/steps/secrets.h"
#include "engine-core/workflow/registry.h"

namespace lockstep::cli {
namespace {

struct Options {
  std::string state = ".lockstep";
  std::string temporal;
  std::string name_space;
  std::string config;
  std::vector<std::string> queues;
  service::RunScope scope;
  bool test_kinds = false;
  bool no_workflows = false;
  bool no_activities = false;
  std::vector<std::string> pins;
  std::vector<std::string> faults;
  std::vector<std::string> libraries;
  std::string build_id;
  std::string deployment = "lockstep";
  std::string versioning = "none";
  size_t cache = 1'000;
  int64_t drain_s = 30;
};

// Faults for tests of recovery: the process ends as by SIGKILL right after the n-th append, before its workflow task is
// answered.
Result<int64_t> ParseFaults(const std::vector<std::string>& faults) {
  constexpr std::string_view kCrash = "crash-after-append=";
  int64_t crash_after = 0;
  for (const std::string& fault : faults) {
    const auto count = fault.starts_with(kCrash) ? ParseInt64(std::string_view(fault).substr(kCrash.size())) : std::nullopt;
    if (!count || *count < 1) return Fail("USAGE", "--fault: expected crash-after-append=N, found " + fault);
    crash_after = *count;
  }
  return crash_after;
}

activity::ActivityFunction CrashAfter(int64_t appends, std::shared_ptr<steps::Services> services) {
  auto left = std::make_shared<std::atomic<int64_t>>(appends);
  return [left, services](activity::ActivityContext& context, const Json::Array& arguments) -> Result<Json> {
    auto result = steps::EmitEvents(context, arguments, *services);
    if (result && left->fetch_sub(1) == 1) ::_exit(137);
    return result;
  };
}

Result<std::shared_ptr<steps::Services>> MakeServices(const Options& options) {
  auto services = std::make_shared<steps::Services>();
  LOCKSTEP_ASSIGN(const service::EngineHome home, service::OpenHome(options.state));
  services->store = home.store;
  services->artifacts = home.artifacts;
  services->default_tenant = options.scope.tenant_id;
  if (!options.config.empty()) {
    LOCKSTEP_ASSIGN(services->configuration, steps::LoadWorkerConfiguration(options.config));
  }
  if (options.test_kinds) services->configuration.test_kinds = true;
  if (!services->configuration.secrets_directory.empty()) {
    services->secrets = steps::DirectorySecrets(services->configuration.secrets_directory);
  }
  return services;
}

void RegisterActivities(activity::ActivityRegistry* registry, const std::shared_ptr<steps::Services>& services, int64_t crash_after) {
  activity::ActivityRegistry all;
  steps::RegisterEngineActivities(&all, services);
  for (const std::string& type : all.Types()) {
    registry->Register(type, crash_after > 0 && type == "emitEvents" ? CrashAfter(crash_after, services) : *all.Find(type));
  }
}

Result<provider::WorkerOptions> MakeWorkerOptions(const Options& options) {
  provider::WorkerOptions worker;
  LOCKSTEP_ASSIGN(worker.connection, provider::FromEnvironment());
  if (!options.temporal.empty()) worker.connection.address = options.temporal;
  if (!options.name_space.empty()) worker.connection.namespace_name = options.name_space;
  LOCKSTEP_ASSIGN(worker.version_pins, ParseVersionPins(options.pins));
  std::vector<std::string> queues = options.queues;
  const std::string control = worker.connection.task_queue.empty() ? service::ControlQueue(options.scope) : worker.connection.task_queue;
  if (queues.empty()) queues = worker.connection.task_queue.empty() ? service::QueuesOf(options.scope) : std::vector<std::string>{control};
  for (const std::string& queue : queues) {
    provider::QueueOptions entry;
    entry.task_queue = queue;
    // Plans run on the control queue only; workflows of one's own run wherever they are served.
    entry.workflows = !options.no_workflows && (queue == control || !options.libraries.empty());
    entry.activities = !options.no_activities;
    worker.queues.push_back(std::move(entry));
  }
  worker.build_id = options.build_id;
  worker.deployment = options.deployment;
  worker.versioning = options.versioning == "pinned"         ? provider::VersioningMode::kPinned
                      : options.versioning == "auto-upgrade" ? provider::VersioningMode::kAutoUpgrade
                                                             : provider::VersioningMode::kUnversioned;
  worker.sticky_cache_size = options.cache;
  worker.drain_ms = options.drain_s * 1000;
  return worker;
}

int RunWorker(const Options& options) {
  WatchSignals();
  const auto crash_after = ParseFaults(options.faults);
  if (!crash_after) return Report(crash_after.error());
  auto services = MakeServices(options);
  if (!services) return Report(services.error());
  auto worker_options = MakeWorkerOptions(options);
  if (!worker_options) return Report(worker_options.error());
  workflow::WorkflowRegistry workflows;
  interpreter::RegisterInterpreter(&workflows);
  activity::ActivityRegistry activities;
  RegisterActivities(&activities, *services, *crash_after);
  if (const Status loaded = LoadWorkflowLibraries(options.libraries, &workflows, &activities); !loaded) return Report(loaded.error());
  worker_options->workflows = &workflows;
  worker_options->activities = &activities;
  std::string served;
  for (const auto& queue : worker_options->queues) served += (served.empty() ? "" : ", ") + queue.task_queue;
  std::fprintf(stderr, "lockstep worker: serving %s at %s\n", served.c_str(), worker_options->connection.address.c_str());
  provider::Worker worker(std::move(*worker_options));
  if (const Status started = worker.Start(); !started) return Report(started.error());
  while (!interrupted.load()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::fprintf(stderr, "lockstep worker: draining\n");
  worker.Shutdown();
  return kExitOk;
}

}  // namespace

void AddWorker(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("worker", "Serve runs: the interpreter, its activities and the step executors");
  command->add_option("--state", options->state, "State folder: event log, plans, artifacts")->capture_default_str();
  command->add_option("--temporal", options->temporal, "Server, HOST:PORT (default: TEMPORAL_ADDRESS, else 127.0.0.1:7233)");
  command->add_option("--namespace", options->name_space, "Temporal namespace (default: TEMPORAL_NAMESPACE, else default)");
  command->add_option("--config", options->config, "Worker configuration: programs, connections and hosts that steps may use");
  command->add_option("--queue", options->queues, "Task queues to serve (default: control, data and isolation of the scope)");
  command->add_option("--tenant", options->scope.tenant_id, "Tenant")->capture_default_str();
  command->add_option("--project", options->scope.project_id, "Project")->capture_default_str();
  command->add_option("--environment", options->scope.environment_id, "Environment")->capture_default_str();
  command->add_option("--sticky-cache", options->cache, "Runs kept in memory between workflow tasks (0: none)")->capture_default_str();
  command->add_option("--drain", options->drain_s, "Seconds that running work may take after SIGTERM")->capture_default_str();
  command->add_flag("--no-workflows", options->no_workflows, "Serve activities only");
  command->add_flag("--no-activities", options->no_activities, "Serve workflows only");
  command->add_flag("--test-kinds", options->test_kinds, "Allow step kinds that exist for tests only (fail)");
  AddWorkflowsOption(command, &options->libraries);
  command->add_option("--build-id", options->build_id, "Build of this worker, reported with its answers");
  command->add_option("--deployment", options->deployment, "Deployment that the build belongs to")->capture_default_str();
  command->add_option("--versioning", options->versioning, "Runs and newer builds: none, pinned or auto-upgrade")
      ->check(CLI::IsMember({"none", "pinned", "auto-upgrade"}))
      ->capture_default_str();
  command->add_option("--as-of", options->pins, "CHANGE=VERSION: run as a build before that change would");
  command->add_option("--fault", options->faults, "For tests of recovery: crash-after-append=N");
  command->footer("SIGTERM or Ctrl-C drains: no new work, running work may finish, then activities are cancelled.\n"
                  "Connection settings also come from TEMPORAL_* (docs/worker.md).\n"
                  "Examples:\n"
                  "  lockstep worker --temporal 127.0.0.1:7233 --state /var/lib/lockstep --config worker.yaml\n"
                  "  lockstep worker --queue tq-data-prod --no-workflows\n"
                  "  lockstep worker --workflows build/liborders.so --queue orders");
  command->callback([options, run] { *run = [options] { return RunWorker(*options); }; });
}

}  // namespace lockstep::cli
