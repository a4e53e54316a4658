#include "engine-core/providers/embedded/engine.h"

#include <vector>

#include "engine-core/base/check.h"

namespace lockstep::embedded {

namespace {

constexpr char kSdkName[] = "lockstep";
constexpr char kSdkVersion[] = "0.1.0";

}  // namespace

Engine::Engine(EngineOptions options, World* world, HistoryStore* store)
    : options_(std::move(options)), world_(world), store_(store), worker_(options_.worker) {
  LOCKSTEP_CHECK(options_.ids != nullptr && world_ != nullptr && options_.worker.registry != nullptr,
                 "an engine needs ids, a world and workflows");
}

Engine::~Engine() = default;

Status Engine::Start(ExecutionStart start) {
  LOCKSTEP_CHECK(chain_.empty(), "an engine drives one run");
  chain_.push_back(std::make_unique<ServerRun>(std::move(start), Ids(), world_->Now()));
  dirty_ = true;
  return Save();
}

Status Engine::Resume(const std::string& workflow_id) {
  LOCKSTEP_CHECK(chain_.empty() && store_ != nullptr, "a stored run, and an engine that drives none");
  LOCKSTEP_ASSIGN(auto stored, store_->LoadRun(workflow_id));
  if (stored.empty()) return Fail("EMBEDDED_RUN_UNKNOWN", "no embedded run " + workflow_id + " in " + store_->name());
  for (StoredExecution& execution : stored) {
    LOCKSTEP_ASSIGN(ServerRun run, ServerRun::Load(std::move(execution.history), execution.state, Ids()));
    chain_.push_back(std::make_unique<ServerRun>(std::move(run)));
  }
  if (run().closed()) return {};
  const UnixMillis now = world_->Now();
  if (run().task_started()) run().TimeOutTask(now);
  run().AbandonAttempts(now);
  dirty_ = true;
  return Save();
}

Status Engine::Save() {
  if (!std::exchange(dirty_, false) || store_ == nullptr) return {};
  std::vector<const ServerRun*> changed;
  for (size_t i = clean_; i < chain_.size(); ++i) changed.push_back(chain_[i].get());
  LOCKSTEP_TRY(store_->Save(changed));
  clean_ = chain_.size() - 1;
  return {};
}

// --- the outside
// ---------------------------------------------------------------------------------------------------------

namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

}  // namespace

Status Engine::Apply(News news) {
  const UnixMillis now = world_->Now();
  ServerRun& server = run();
  const std::string& identity = options_.identity;
  std::visit(
      Overloaded{
          [&](AttemptCompleted& done) { server.CompleteActivity(now, done.token, std::move(done.result), identity); },
          [&](AttemptFailed& failed) { server.FailActivity(now, failed.token, std::move(failed.failure), identity); },
          [&](AttemptCancelled& cancelled) {
            server.CancelActivity(now, cancelled.token, std::move(cancelled.details), identity);
          },
          [&](AttemptBeat& beat) { server.Heartbeat(now, beat.token, std::move(beat.details)); },
          [&](SignalSent& signal) {
            server.Signal(now, signal.name, std::move(signal.input), identity, signal.request_id);
          },
          [&](CancelSent& cancel) { server.RequestCancel(now, cancel.cause, identity); },
          [&](TerminateSent& terminate) { server.Terminate(now, terminate.reason, identity); },
      },
      news);
  dirty_ = true;
  return {};
}

Status Engine::Pump() {
  while (auto news = world_->TakeNews()) LOCKSTEP_TRY(Apply(std::move(*news)));
  const UnixMillis now = world_->Now();
  if (options_.own_time && !run().closed() && run().NextDue() <= now) {
    run().FireDue(now);
    dirty_ = true;
  }
  TellWorld();
  return {};
}

// Attempts that are over without their own answer, and those that are to be cancelled.
void Engine::TellWorld() {
  for (auto& [token, told] : running_) {
    if (!run().Running(token)) {
      world_->DropAttempt(token);
      token.attempt = 0;
    } else if (!told && run().CancelRequested(token)) {
      told = true;
      world_->CancelAttempt(token);
    }
  }
  std::erase_if(running_, [](const auto& entry) { return entry.first.attempt == 0; });
}

Status Engine::Dispatch() {
  LOCKSTEP_TRY(Save());
  while (auto attempt = run().PollActivity(world_->Now(), options_.identity)) {
    dirty_ = true;
    LOCKSTEP_TRY(Save());
    running_.emplace_back(attempt->token, false);
    world_->StartAttempt(std::move(*attempt));
  }
  return {};
}

// --- workflow tasks
// ------------------------------------------------------------------------------------------------------

Status Engine::RunTask() {
  if (closed() || !run().task_scheduled()) return {};
  const Mishap mishap = world_->NextMishap();
  if (mishap == Mishap::kEvicted || options_.evict_after_every_task) worker_.Evict();
  if (mishap == Mishap::kWorkerIdle && run().NextDue() != kNever) {
    worker_.Evict();
    return {};  // waits in the sticky queue until the server gives up on it
  }
  Status problem;
  const auto pump = [&] {
    if (problem) problem = Pump();
  };
  if (!worker_.cached()) introduced_ = false;  // a worker that takes up a run says who it is
  run().StartTask(world_->Now(), options_.identity);
  dirty_ = true;
  world_->TaskStarted();
  while (true) {
    const WorkerRun::Outcome outcome = worker_.RunTask(run(), *world_, pump);
    LOCKSTEP_TRY(problem);
    if (mishap == Mishap::kWorkerLost || !run().task_started()) {
      worker_.Evict();
      ++failed_tasks_;
      break;
    }
    if (outcome == WorkerRun::Outcome::kFailed) {
      ++failed_tasks_;
      last_failure_ = worker_.failure().message();
      // As with a real worker: a task that fails again is left to time out, which paces the repeats.
      if (run().task_attempt() == 1)
        run().FailTask(world_->Now(), worker_.cause(), worker_.failure(), options_.identity);
      worker_.Evict();
      break;
    }
    const bool heartbeat = outcome == WorkerRun::Outcome::kHeartbeat;
    TaskAnswer answer;
    answer.commands = worker_.TakeCommands();
    answer.force_new_task = heartbeat;
    answer.sticky_queue = options_.sticky_queue;
    answer.identity = options_.identity;
    if (!std::exchange(introduced_, true)) {
      answer.sdk_name = kSdkName;
      answer.sdk_version = kSdkVersion;
    }
    if (const auto refusal = run().CompleteTask(world_->Now(), std::move(answer))) {
      ++failed_tasks_;
      worker_.Evict();
      break;
    }
    if (!heartbeat || closed()) break;
    run().StartTask(world_->Now(), options_.identity);
  }
  TellWorld();
  if (on_task) on_task(run());
  FollowRotation();
  return Save();
}

// In the transaction that closes the execution before.
void Engine::FollowRotation() {
  auto next = run().TakeNext();
  if (!next) return;
  worker_.Evict();
  chain_.push_back(std::make_unique<ServerRun>(std::move(*next), Ids(), world_->Now()));
}

// --- the loop
// ------------------------------------------------------------------------------------------------------------

Result<Engine::Progress> Engine::Step() {
  LOCKSTEP_TRY(Pump());
  if (closed()) {
    LOCKSTEP_TRY(Save());
    return Progress::kClosed;
  }
  LOCKSTEP_TRY(Dispatch());
  if (!run().task_scheduled()) {
    LOCKSTEP_TRY(Save());
    return Progress::kIdle;
  }
  const int64_t before = run().history().events_size();
  LOCKSTEP_TRY(RunTask());
  if (closed()) return Progress::kClosed;
  // A task that nobody took, or that waits for its time-out, needs time.
  return run().task_scheduled() && run().history().events_size() == before ? Progress::kIdle : Progress::kBusy;
}

Result<Engine::End> Engine::Run(const std::atomic<bool>* stop) {
  while (true) {
    if (stop != nullptr && stop->load()) return End::kStopped;
    LOCKSTEP_ASSIGN(const Progress progress, Step());
    if (progress == Progress::kClosed) return End::kClosed;
    if (progress == Progress::kBusy) continue;
    if (!world_->Wait(run().NextDue()) && run().NextDue() == kNever) return End::kStuck;
  }
}

}  // namespace lockstep::embedded
