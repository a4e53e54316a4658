#include "engine-core/service/embedded_runs.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine-core/base/clock.h"
#include "engine-core/base/files.h"
#include "engine-core/base/ids.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/providers/embedded/engine.h"
#include "engine-core/providers/embedded/history_store.h"
#include "engine-core/providers/embedded/thread_world.h"
#include "engine-core/steps/engine_activities.h"
#include "engine-core/steps/worker_configuration.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"

namespace lockstep::service {
namespace {

constexpr char kAdapter[] = "mock";  // `embedded` in stored records (spec 00 section 5)
constexpr char kSignal[] = "signal";
constexpr char kCancel[] = "cancel";

// One process drives a run.
class RunLock {
 public:
  static Result<RunLock> Take(const std::filesystem::path& folder, const std::string& run_id) {
    if (!IsIdentifier(run_id)) return Fail("EMBEDDED_RUN_UNKNOWN", "expected a run id, found " + run_id);
    LOCKSTEP_TRY(CreateDirectories(folder / "locks"));
    const std::string path = (folder / "locks" / run_id).string();
    const int file = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (file < 0) return Fail("EMBEDDED_STORE_FAILED", path + ": cannot be opened", true);
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      ::close(file);
      return Fail("RUN_BUSY", "run " + run_id + " is driven by another process");
    }
    return RunLock(file);
  }
  // The file stays: whoever waits for it must wait for the same one.
  ~RunLock() {
    if (file_ >= 0) ::close(file_);
  }
  RunLock(RunLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  RunLock& operator=(RunLock&&) = delete;

 private:
  explicit RunLock(int file) : file_(file) {}
  int file_;
};

// Runs start in the engine of this process; signals go through the store, so that one way serves every process.
class EmbeddedProvider final : public IRunProvider {
 public:
  EmbeddedProvider(embedded::HistoryStore* store, std::function<Result<std::string>(const ProviderStart&)> start)
      : store_(store), start_(std::move(start)) {}
  std::string adapter() const override { return kAdapter; }
  std::string namespace_name() const override { return {}; }
  Result<std::string> Start(const ProviderStart& start) override {
    if (!start_) return Fail("ADAPTER_NOT_IMPLEMENTED", "this process only sends signals");
    return start_(start);
  }
  Status Signal(const std::string& run_id, const std::string& name, const Json& body,
                const std::string& request_id) override {
    return store_->PostMessage(run_id, {0, kSignal, name, CanonicalJson(body), request_id});
  }
  Status RequestCancel(const std::string& run_id, const std::string& reason, const std::string& request_id) override {
    return store_->PostMessage(run_id, {0, kCancel, reason, "", request_id});
  }

 private:
  embedded::HistoryStore* store_;
  std::function<Result<std::string>(const ProviderStart&)> start_;
};

}  // namespace

struct EmbeddedRun::Impl {
  EmbeddedOptions options;
  EngineHome home;
  std::unique_ptr<embedded::HistoryStore> store;
  workflow::WorkflowRegistry workflows;
  activity::ActivityRegistry activities;
  std::unique_ptr<EmbeddedProvider> provider;
  std::unique_ptr<RunService> runs;
  std::optional<RunLock> lock;
  std::unique_ptr<embedded::ThreadWorld> world;
  std::unique_ptr<embedded::Engine> engine;
  std::string run_id;
  int64_t delivered = 0;  // messages handed to the engine, not yet removed
  int64_t removed = 0;
  int64_t failed_before = 0;
  std::string trouble;

  Status Open() {
    LOCKSTEP_ASSIGN(home, OpenHome(options.home));
    LOCKSTEP_ASSIGN(store, embedded::OpenHistoryStore(home.folder / "embedded.db"));
    interpreter::RegisterInterpreter(&workflows);
    steps::WorkerConfiguration configuration;
    if (!options.worker_config.empty()) {
      LOCKSTEP_ASSIGN(configuration, steps::LoadWorkerConfiguration(options.worker_config));
    }
    if (options.test_kinds) configuration.test_kinds = true;
    const auto services = steps::MakeServices(std::move(configuration), home.store, home.artifacts);
    services->default_tenant = options.scope.tenant_id;
    steps::RegisterEngineActivities(&activities, services);
    provider = std::make_unique<EmbeddedProvider>(store.get(),
                                                  [this](const ProviderStart& start) { return StartEngine(start); });
    runs = std::make_unique<RunService>(home, provider.get(), options.scope);
    return {};
  }

  Status MakeEngine(const std::string& workflow_id) {
    LOCKSTEP_ASSIGN(RunLock taken, RunLock::Take(home.folder, workflow_id));
    lock.emplace(std::move(taken));
    run_id = workflow_id;
    embedded::ThreadWorldOptions around;
    around.activities = &activities;
    around.clock = &SystemClock();
    around.workflow_id = workflow_id;
    around.workflow_type = interpreter::kWorkflowType;
    around.poll = [this] { return Messages(); };
    world = std::make_unique<embedded::ThreadWorld>(std::move(around));
    embedded::EngineOptions settings;
    settings.worker.registry = &workflows;
    settings.worker.version_pins = options.version_pins;
    if (options.log)
      settings.worker.log = [this](workflow::LogLevel, std::string_view message) { options.log(std::string(message)); };
    settings.ids = &SystemIdGenerator();
    settings.identity = std::to_string(::getpid()) + "@embedded";
    settings.sticky_queue = "lockstep-embedded-" + workflow_id;
    engine = std::make_unique<embedded::Engine>(std::move(settings), world.get(), store.get());
    return {};
  }

  Result<std::string> StartEngine(const ProviderStart& start) {
    LOCKSTEP_TRY(MakeEngine(start.workflow_id));
    embedded::ExecutionStart execution;
    execution.workflow_id = start.workflow_id;
    execution.run_id = SystemIdGenerator().NewUuid();
    execution.workflow_type = start.workflow_type;
    execution.task_queue = start.task_queue;
    execution.input = workflow::JsonPayloads(start.input);
    execution.identity = std::to_string(::getpid()) + "@embedded";
    for (const auto& [name, value] : start.search_attributes) {
      auto& payload = (*execution.search_attributes.mutable_indexed_fields())[name];
      workflow::SetJson(Json(value), &payload);
      (*payload.mutable_metadata())["type"] = "Keyword";
    }
    const std::string id = execution.run_id;
    LOCKSTEP_TRY(engine->Start(std::move(execution)));
    return id;
  }

  // What other processes, or this one, left for the run. They are removed once the engine has stored them.
  std::vector<embedded::News> Messages() {
    std::vector<embedded::News> news;
    const auto messages = store->Messages(run_id);
    if (!messages) return news;  // the store is asked again
    for (const embedded::Message& message : *messages) {
      if (message.seq <= delivered) continue;
      delivered = message.seq;
      if (message.kind == kCancel) {
        news.push_back(embedded::CancelSent{message.name});
        continue;
      }
      const auto body = ParseJson(message.payload);
      news.push_back(
          embedded::SignalSent{message.name, workflow::JsonPayloads(body ? *body : Json()), message.request_id});
    }
    return news;
  }

  Status Step(embedded::Engine::Progress* progress) {
    const int64_t before = delivered;
    LOCKSTEP_ASSIGN(*progress, engine->Step());
    if (before > removed) {
      LOCKSTEP_TRY(store->RemoveMessages(run_id, before));
      removed = before;
    }
    trouble = engine->failed_tasks() > failed_before ? engine->last_failure() : std::string();
    failed_before = engine->failed_tasks();
    return {};
  }
};

EmbeddedRun::EmbeddedRun(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EmbeddedRun::~EmbeddedRun() = default;

Result<std::unique_ptr<EmbeddedRun>> EmbeddedRun::Open(EmbeddedOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  LOCKSTEP_TRY(impl->Open());
  return std::unique_ptr<EmbeddedRun>(new EmbeddedRun(std::move(impl)));
}

Result<StartedRun> EmbeddedRun::Start(const StartRunRequest& request) { return impl_->runs->Start(request); }

Status EmbeddedRun::Resume(const std::string& run_id) {
  LOCKSTEP_TRY(impl_->MakeEngine(run_id));
  return impl_->engine->Resume(run_id);
}

Status EmbeddedRun::Signal(const SignalRequest& request) { return impl_->runs->Signal(request); }

Status EmbeddedRun::RequestCancel(const std::string& reason) {
  return impl_->provider->RequestCancel(impl_->run_id, reason, {});
}

Result<bool> EmbeddedRun::Run(const std::atomic<bool>& stop, const std::function<Status()>& idle) {
  using Progress = embedded::Engine::Progress;
  while (!stop.load()) {
    Progress progress = Progress::kBusy;
    LOCKSTEP_TRY(impl_->Step(&progress));
    if (idle) LOCKSTEP_TRY(idle());
    if (progress == Progress::kClosed) return true;
    if (progress == Progress::kIdle) impl_->world->Wait(impl_->engine->run().NextDue());
  }
  return false;
}

const std::string& EmbeddedRun::run_id() const { return impl_->run_id; }
EngineHome& EmbeddedRun::home() { return impl_->home; }
std::string EmbeddedRun::trouble() const { return impl_->trouble; }

std::vector<const temporal::api::history::v1::History*> EmbeddedRun::histories() const {
  std::vector<const temporal::api::history::v1::History*> all;
  for (size_t i = 0; i < impl_->engine->executions(); ++i) all.push_back(&impl_->engine->execution(i).history());
  return all;
}

struct EmbeddedSignals::Impl {
  std::unique_ptr<embedded::HistoryStore> store;
  std::unique_ptr<EmbeddedProvider> provider;
  std::unique_ptr<RunService> runs;
};

EmbeddedSignals::EmbeddedSignals(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EmbeddedSignals::~EmbeddedSignals() = default;

Result<std::unique_ptr<EmbeddedSignals>> EmbeddedSignals::Open(const std::filesystem::path& folder,
                                                               const RunScope& scope) {
  auto impl = std::make_unique<Impl>();
  LOCKSTEP_ASSIGN(EngineHome home, OpenHome(folder));
  LOCKSTEP_ASSIGN(impl->store, embedded::OpenHistoryStore(home.folder / "embedded.db"));
  impl->provider = std::make_unique<EmbeddedProvider>(impl->store.get(), nullptr);
  impl->runs = std::make_unique<RunService>(std::move(home), impl->provider.get(), scope);
  return std::unique_ptr<EmbeddedSignals>(new EmbeddedSignals(std::move(impl)));
}

Status EmbeddedSignals::Signal(const SignalRequest& request) { return impl_->runs->Signal(request); }

}  // namespace lockstep::service
