#include "replay/simulate/simulation.h"

#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <queue>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/base/ids.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/interpreter/run_input.h"
#include "engine-core/plan/loader.h"
#include "engine-core/providers/embedded/engine.h"
#include "engine-core/state/keys.h"
#include "engine-core/state/memory/memory_store.h"
#include "engine-core/state/projector.h"
#include "engine-core/steps/engine_activities.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"
#include "replay/session/session.h"
#include "replay/simulate/invariants.h"

namespace lockstep::simulate {
namespace {

using embedded::ActivityAttempt;
using embedded::AttemptToken;
using embedded::kNever;
using embedded::News;

constexpr char kTenant[] = "sim";
constexpr char kRunId[] = "5eed0000-0000-4000-8000-000000000000";
constexpr UnixMillis kEpoch = 1'700'000'000'000;
constexpr int64_t kDay = 86'400'000;
constexpr std::string_view kStepPrefix = "step/";

class SeededIds final : public IIdGenerator {
 public:
  explicit SeededIds(uint64_t seed) : seed_(seed) {}
  std::string NewUuid() override {
    std::array<uint8_t, 16> bytes{};
    ++count_;
    for (size_t i = 0; i < 8; ++i) {
      bytes[i] = static_cast<uint8_t>(seed_ >> (8 * i));
      bytes[15 - i] = static_cast<uint8_t>(count_ >> (8 * i));
    }
    return FormatUuidV4(bytes);
  }

 private:
  uint64_t seed_;
  uint64_t count_ = 0;
};

class VirtualClock final : public IClock {
 public:
  UnixMillis Now() override { return now; }
  UnixMillis now = kEpoch;
};

// For activities of the engine, which neither beat nor wait.
class PlainContext final : public activity::ActivityContext {
 public:
  const activity::ActivityInfo& info() const override { return info_; }
  void Heartbeat(const Json&) override {}
  Json LastHeartbeat() const override { return {}; }
  bool cancelled() const override { return false; }
  bool WaitForCancellation(int64_t) override { return false; }

 private:
  activity::ActivityInfo info_;
};

embedded::Failure ToFailure(const Error& error) {
  embedded::Failure failure;
  workflow::ErrorToFailure(error, &failure);
  return failure;
}

class Simulation;

// Virtual time: things that will happen, in the order of their moment and then of their making.
class SimWorld final : public embedded::World {
 public:
  SimWorld(Simulation* run, Fates* fates, VirtualClock* clock) : run_(run), fates_(fates), clock_(clock) {}

  UnixMillis Now() override { return clock_->now; }
  bool Wait(UnixMillis until) override {
    const UnixMillis next = queue_.empty() ? kNever : queue_.top().at;
    const UnixMillis to = std::min(next, until);
    if (to == kNever) return false;
    clock_->now = std::max(clock_->now, to);
    return true;
  }
  std::optional<News> TakeNews() override;
  void StartAttempt(ActivityAttempt attempt) override;
  void CancelAttempt(AttemptToken token) override;
  void DropAttempt(AttemptToken) override {}
  Result<Json> RunLocal(const workflow::LocalActivityRequest& request, int32_t attempt) override;
  embedded::Mishap NextMishap() override;
  void TaskStarted() override;

  struct Happening {
    UnixMillis at = 0;
    uint64_t order = 0;
    std::function<std::optional<News>()> what;
    bool operator<(const Happening& other) const { return at != other.at ? at > other.at : order > other.order; }
  };
  void At(UnixMillis at, std::function<std::optional<News>()> what) { queue_.push({at, order_++, std::move(what)}); }
  void Say(UnixMillis at, News news) {
    At(at, [news = std::move(news)]() mutable -> std::optional<News> { return std::move(news); });
  }
  int64_t tasks() const { return tasks_; }

 private:
  void Answer(const ActivityAttempt& attempt, const std::string& name, News news, int64_t after);

  Simulation* run_;
  Fates* fates_;
  VirtualClock* clock_;
  std::priority_queue<Happening> queue_;
  uint64_t order_ = 0;
  int64_t tasks_ = 0;
  std::set<AttemptToken> cancelled_;
  std::map<AttemptToken, std::string> names_;
};

class Simulation {
 public:
  Simulation(uint64_t seed, const SimulationOptions& options)
      : options_(options), fates_(seed, options.faults), ids_(seed), world_(this, &fates_, &clock_) {
    if (options.only) fates_.Only(*options.only);
    if (hooks() != nullptr && hooks()->registry) {
      hooks()->registry(&registry_);
    } else {
      interpreter::RegisterInterpreter(&registry_);
    }
    store_ = state::MakeMemoryStore({.clock = &clock_, .ids = &ids_});
    services_ = std::make_shared<steps::Services>();
    services_->store = store_;
    services_->clock = &clock_;
    services_->configuration.test_kinds = true;
    services_->default_tenant = kTenant;
  }

  Result<SimulationResult> Run() {
    LOCKSTEP_TRY(Prepare());
    PlanSignals();
    Drive();
    return Judge();
  }

  const Hooks* hooks() const { return options_.hooks; }
  Watch& watch() { return watch_; }

  Result<Json> Control(const ActivityAttempt& attempt) {
    const auto arguments = workflow::ReadJson(attempt.input);
    if (!arguments) return Fail(arguments.error());
    PlainContext context;
    auto result = attempt.activity_type == "fetchPlan" ? steps::FetchPlan(context, *arguments, *services_)
                                                       : steps::ValidatePlan(context, *arguments, *services_);
    if (result && hooks() != nullptr && hooks()->control) hooks()->control(attempt.activity_type, &*result);
    return result;
  }

  Result<Json> Append(const Json& input) {
    const auto next = [this](const Json& batch) -> Result<Json> {
      PlainContext context;
      watch_.NoteBatch(batch);
      return steps::EmitEvents(context, {batch}, *services_);
    };
    watch_.NoteProposed(input);
    return hooks() != nullptr && hooks()->append ? hooks()->append(input, next) : next(input);
  }

  Result<Json> CompileSnapshot(const Json& input) {
    PlainContext context;
    return steps::CompileRunSnapshot(context, {input}, *services_);
  }

  // A step is handed out: what it waits for must be in the log by now.
  void NoteDispatch(const std::string& step_id, int32_t attempt) {
    const auto snapshot = store_->GetSnapshot(state::TenantScope(kTenant), kRunId);
    bool durable = false;
    if (snapshot && *snapshot) {
      const auto it = (*snapshot)->steps.find(step_id);
      durable = it != (*snapshot)->steps.end() && it->second.logical_attempt_id() >= attempt;
    }
    if (!durable)
      watch_.Note("durable-before-dispatch", "step " + step_id + " attempt " + std::to_string(attempt) +
                                                 " was handed out before its StepStarted was in the log");
  }

  // As the gateway does it: a decision with its audit event, then the message.
  std::optional<News> Signal(const std::string& type, const Json& payload) {
    state::SignalDecision decision;
    decision.run_id = kRunId;
    decision.signal_decision_id = ids_.NewUuid();
    decision.signal_id = ids_.NewUuid();
    decision.signal_type = type;
    decision.signal_payload = payload;
    decision.request_fingerprint = state::SignalFingerprint(type, payload, "");
    decision.decision = state::SignalVerdict::kAccepted;
    decision.policy_decision_id = ids_.NewUuid();
    decision.audit = {"simulator", "Admin", kTenant, {}, "simulated", {}};
    const state::EventWrite audit =
        EngineEvent("SignalAccepted", Json::MakeObject({{"signalDecisionId", decision.signal_decision_id},
                                                        {"signalId", decision.signal_id},
                                                        {"signalType", type},
                                                        {"policyDecisionId", decision.policy_decision_id},
                                                        {"actorRole", "Admin"},
                                                        {"destructive", false},
                                                        {"signalPayload", payload}}));
    const auto receipt = store_->RecordSignalDecision(state::TenantScope(kTenant), decision, std::span(&audit, 1));
    const Status recorded = hooks() != nullptr && hooks()->decision ? hooks()->decision() : Status();
    if (!receipt || !recorded) {
      watch_.Note("signals-are-recorded", type + ": " + (receipt ? recorded.error() : receipt.error()).ToString());
      return std::nullopt;
    }
    Json body = payload;
    std::string name = AsciiLower(type);
    if (type.starts_with("CUSTOM:")) {
      name = "custom";
      body = Json::MakeObject({{"name", type.substr(7)}, {"payload", payload}});
    }
    body.Set("signalId", decision.signal_id);
    body.Set("decisionSeq", static_cast<int64_t>(receipt->view.decision.decision_seq));
    if (type == "CANCEL") world_.Say(clock_.now, embedded::CancelSent{payload.GetString("reason")});
    return embedded::SignalSent{name, workflow::JsonPayloads(body), decision.signal_id};
  }

 private:
  state::EventWrite EngineEvent(std::string_view type, Json payload) {
    state::EventWrite event;
    event.event_id = ids_.NewUuid();
    event.event_type = std::string(type);
    event.run_id = kRunId;
    event.tenant_id = kTenant;
    event.project_id = "sim";
    event.environment_id = "dev";
    event.plan_id = plan_ref_.GetString("planId");
    event.plan_version = plan_ref_.GetString("planVersion");
    event.emitted_at = FormatUtcMillis(clock_.now);
    event.payload = std::move(payload);
    event.idempotency_key = state::KeyOf(event);
    return event;
  }

  Status Prepare() {
    std::string plan = options_.plan.empty() ? RandomPlan(fates_, options_.shape) : options_.plan;
    if (!options_.without_steps.empty()) {
      plan = WithoutSteps(plan, options_.without_steps);
      if (plan.empty()) return Fail("PLAN_EMPTY", "no steps are left");
    }
    if (options_.parsed != nullptr && options_.without_steps.empty()) {
      parsed_ = options_.parsed;
    } else {
      LOCKSTEP_ASSIGN(plan::ParsedPlan parsed, plan::ParsePlanDocument(plan, true));
      parsed_ = std::make_shared<const plan::ParsedPlan>(std::move(parsed));
    }
    LOCKSTEP_ASSIGN(const std::string sha256, store_->PutPlan(state::TenantScope(kTenant), plan));
    // What `PinPlan` makes of it, without parsing the document a second time.
    plan_ref_ = Json::MakeObject({{"uri", "plan:" + sha256},
                                  {"sha256", sha256},
                                  {"schemaVersion", parsed_->plan.schema_version},
                                  {"planId", parsed_->plan.table.plan_id},
                                  {"planVersion", parsed_->plan.table.plan_version},
                                  {"sizeBytes", static_cast<int64_t>(plan.size())}});
    watch_.Expect(parsed_->plan);
    interpreter::RunInput input;
    input.plan_ref = plan_ref_;
    input.context = {kTenant, "sim", "dev", kRunId, "mock", Json()};
    input.policy.continue_steps = 1 + fates_.RawBelow("policy.rotate", 40);
    input.admission = {std::string(64, 'a'), false, static_cast<int64_t>(parsed_->plan.steps().size()), Json()};
    input_ = interpreter::ToJson(input);
    return Bootstrap();
  }

  Status Bootstrap() {
    Json reference = Json::MakeObject();
    for (const char* member : {"uri", "sha256", "schemaVersion", "planId", "planVersion"})
      reference.Set(member, plan_ref_.GetString(member));
    const state::EventWrite queued = EngineEvent(
        "RunQueued", Json::MakeObject({{"planRef", std::move(reference)},
                                       {"targetAdapter", "mock"},
                                       {"admission", Json::MakeObject({{"mode", "DIRECT"}})},
                                       {"approvalRequired", false},
                                       {"validation", Json::MakeObject({{"status", "VALID"},
                                                                        {"warningCodes", Json::MakeArray()},
                                                                        {"reportSha256", std::string(64, 'a')}})}}));
    state::RunMetadata metadata;
    metadata.run_id = kRunId;
    metadata.tenant_id = kTenant;
    metadata.project_id = "sim";
    metadata.environment_id = "dev";
    metadata.plan_id = plan_ref_.GetString("planId");
    metadata.plan_version = plan_ref_.GetString("planVersion");
    metadata.plan_sha256 = plan_ref_.GetString("sha256");
    metadata.provider = "mock";
    LOCKSTEP_TRY(store_->BootstrapRun(state::TenantScope(kTenant), metadata, std::span(&queued, 1)));
    return {};
  }

  std::string AnyStep(const std::string& name) const {
    const auto& steps = parsed_->plan.steps();
    return steps[static_cast<size_t>(fates_.RawBelow(name, static_cast<int64_t>(steps.size())))].step_id;
  }

  // Up to six signals at any time, and what opens gates that nothing else would.
  void PlanSignals() {
    for (int i = 0; i < 6; ++i) {
      const std::string name = "signal." + std::to_string(i);
      if (!fates_.Happens(Fault::kSignals, name, 300)) continue;
      const int64_t scale = fates_.RawBelow(name + ".scale", 3) == 0 ? 60'000 : 3'000;
      const UnixMillis at = kEpoch + fates_.RawBelow(name + ".at", scale);
      const Json step = Json::MakeObject({{"stepId", AnyStep(name + ".step")}});
      std::string type;
      Json payload = Json::MakeObject();
      switch (fates_.RawBelow(name + ".type", 12)) {
        case 0:
        case 1:
        case 2:
          type = "PAUSE";
          break;
        case 3:
        case 4:
          type = "RESUME";
          break;
        case 5:
          type = "RETRY_STEP";
          payload = step;
          break;
        case 6:
          type = "RETRY_STEP";
          payload = step;
          payload.Set("force", true);
          break;
        case 7:
          type = "SKIP_STEP";
          payload = step;
          break;
        case 8:
          type = "UPDATE_PARAMS";
          payload = Json::MakeObject({{"params", Json::MakeObject({{"a", fates_.RawBelow(name + ".a", 9)}})}});
          break;
        case 9:
          type = "CANCEL";
          payload = Json::MakeObject({{"reason", "simulated"}});
          break;
        default:
          type = "CUSTOM:GO_NOW";
          break;
      }
      world_.At(at, [this, type, payload] { return Signal(type, payload); });
    }
    if (hooks() != nullptr && hooks()->no_help) return;
    // An operator who looks once a day: gates open, pauses end, and what still holds is cancelled at last.
    for (int day = 1; day <= 3; ++day) {
      for (int i = 0; i < 3; ++i) world_.At(kEpoch + day * kDay + i, [this] { return Help("CUSTOM:GO_NOW"); });
      world_.At(kEpoch + day * kDay + 10, [this] { return Help("RESUME"); });
    }
    world_.At(kEpoch + 10 * kDay, [this] { return Help("CANCEL"); });
  }
  std::optional<News> Help(const std::string& type) {
    if (engine_->closed()) return std::nullopt;
    return Signal(type, type == "CANCEL" ? Json::MakeObject({{"reason", "stuck"}}) : Json::MakeObject());
  }

  void Drive() {
    embedded::EngineOptions settings;
    settings.worker.registry = &registry_;
    settings.ids = &ids_;
    settings.identity = "simulator";
    settings.sticky_queue = "sim-sticky";
    engine_ = std::make_unique<embedded::Engine>(std::move(settings), &world_, nullptr);
    embedded::ExecutionStart start;
    start.workflow_id = kRunId;
    start.run_id = ids_.NewUuid();
    start.workflow_type = interpreter::kWorkflowType;
    start.task_queue = "tq-control-dev";
    start.input = workflow::JsonPayloads(input_);
    Status done = engine_->Start(std::move(start));
    LOCKSTEP_CHECK(done.has_value(), "an engine without a store starts");
    while (true) {
      const int64_t lost = engine_->failed_tasks();
      watch_.BeginTask();
      const auto progress = engine_->Step();
      watch_.EndTask(engine_->failed_tasks() != lost);
      LOCKSTEP_CHECK(progress.has_value(), "an engine without a store steps");
      if (*progress == embedded::Engine::Progress::kClosed) return;
      if (world_.tasks() > options_.max_tasks) {
        watch_.Note("run-ends", "still running after " + std::to_string(world_.tasks()) + " workflow tasks");
        return;
      }
      if (*progress == embedded::Engine::Progress::kIdle && !world_.Wait(engine_->run().NextDue())) {
        watch_.Note("run-ends", "nothing can happen any more and the run has not ended");
        return;
      }
    }
  }

  SimulationResult Judge() {
    SimulationResult result;
    result.seed = fates_.seed();
    result.taken = fates_.taken();
    result.steps = static_cast<int64_t>(parsed_->plan.steps().size());
    result.tasks = world_.tasks();
    result.executions = static_cast<int64_t>(engine_->executions());
    if (!engine_->last_failure().empty()) watch_.Note("tasks-succeed", engine_->last_failure());
    std::vector<state::EventRecord> log;
    while (true) {
      auto more = store_->FetchEvents(state::TenantScope(kTenant), kRunId, log.empty() ? 0 : log.back().run_seq,
                                      state::kMaxFetchLimit);
      LOCKSTEP_CHECK(more.has_value(), "a memory store is read");
      if (more->empty()) break;
      std::move(more->begin(), more->end(), std::back_inserter(log));
    }
    if (hooks() != nullptr && hooks()->log) hooks()->log(&log);
    auto stored = store_->GetSnapshot(state::TenantScope(kTenant), kRunId);
    LOCKSTEP_CHECK(stored.has_value() && stored->has_value(), "a run has a snapshot");
    if (hooks() != nullptr && hooks()->snapshot) hooks()->snapshot(&**stored);
    watch_.HoldLog(log, **stored, engine_->closed());
    Replay(log, &result);
    result.violation = watch_.First();
    return result;
  }

  // Every execution through the replayer; after each workflow task its snapshot is that of the log up to there.
  void Replay(const std::vector<state::EventRecord>& log, SimulationResult* result) {
    const auto note = [&](const std::string& where, const workflow::Divergence& divergence) {
      // What a lost task appended and no history accounts for: the replay says so, and is right.
      if (divergence.grade == workflow::Grade::kDrift && divergence.run_seq > 0 &&
          watch_.FromLostTask(log[static_cast<size_t>(divergence.run_seq) - 1].idempotency_key)) {
        ++result->orphans;
        return;
      }
      watch_.Note("replay-is-identical", where + divergence.Summary());
    };
    replay::EngineLog engine_log(log, {});
    state::Snapshot projected;
    size_t next = 0;
    const auto project = [&] {
      if (hooks() != nullptr && hooks()->projected) {
        state::EventRecord altered = log[next++];
        hooks()->projected(&altered);
        state::Project(&projected, altered);
      } else {
        state::Project(&projected, log[next++]);
      }
    };
    for (size_t i = 0; i < engine_->executions(); ++i) {
      const embedded::History* history = &engine_->execution(i).history();
      embedded::History altered;
      if (hooks() != nullptr && hooks()->history) {
        altered = *history;
        hooks()->history(&altered);
        history = &altered;
      }
      result->events += history->events_size();
      const std::string where = engine_->executions() == 1 ? "" : "execution " + std::to_string(i + 1) + ": ";
      replay::SessionOptions session;
      session.registry = &registry_;
      session.on_step = [&](const replay::SessionStep& step) {
        if (step.matched) return true;
        const state::Snapshot& replayed = step.log.snapshot();
        while (next < log.size() && log[next].run_seq <= replayed.last_event_seq) project();
        if (replayed == projected) return true;
        watch_.Note("hashes-equal-at-every-task", where + "after workflow task " + std::to_string(step.position + 1) +
                                                      ": snapshot of the log " + state::SnapshotHash(projected) +
                                                      " outcome " + state::OutcomeHash(projected) + ", of the replay " +
                                                      state::SnapshotHash(replayed) + " outcome " +
                                                      state::OutcomeHash(replayed));
        return true;
      };
      const replay::SessionResult replayed = replay::ReplayHistory(*history, session, &engine_log);
      for (const workflow::Divergence& divergence : replayed.divergences) note(where, divergence);
    }
    while (next < log.size()) project();
    result->status = std::string(state::Name(projected.status));
    result->snapshot_hash = state::SnapshotHash(projected);
    result->outcome_hash = state::OutcomeHash(projected);
    engine_log.Finish();
    const state::Snapshot& replayed = engine_log.snapshot();
    if (state::OutcomeHash(replayed) != result->outcome_hash) {
      watch_.Note("hashes-equal",
                  "outcome of the log " + result->outcome_hash + ", of the replay " + state::OutcomeHash(replayed));
    }
    if (state::SnapshotHash(replayed) != result->snapshot_hash) {
      watch_.Note("hashes-equal",
                  "snapshot of the log " + result->snapshot_hash + ", of the replay " + state::SnapshotHash(replayed));
    }
    for (const workflow::Divergence& divergence : engine_log.TakeDivergences()) note("", divergence);
  }

  const SimulationOptions& options_;
  Fates fates_;
  VirtualClock clock_;
  SeededIds ids_;
  SimWorld world_;
  Watch watch_;
  workflow::WorkflowRegistry registry_;
  std::shared_ptr<state::IRunStateStore> store_;
  std::shared_ptr<steps::Services> services_;
  std::shared_ptr<const plan::ParsedPlan> parsed_;
  Json plan_ref_;
  Json input_;
  std::unique_ptr<embedded::Engine> engine_;
};

// --- the world
// -----------------------------------------------------------------------------------------------------------

std::optional<News> SimWorld::TakeNews() {
  while (!queue_.empty() && queue_.top().at <= clock_->now) {
    const auto what = queue_.top().what;
    queue_.pop();
    if (auto news = what()) return news;
  }
  return std::nullopt;
}

void SimWorld::Answer(const ActivityAttempt& attempt, const std::string& name, News news, int64_t after) {
  const UnixMillis at = clock_->now + after;
  At(at, [this, token = attempt.token, news]() mutable -> std::optional<News> {
    // Whatever the step was about to say, it has been told to stop.
    if (cancelled_.contains(token)) return std::nullopt;
    return std::move(news);
  });
  if (fates_->Happens(Fault::kDuplicates, name + ":twice", 60))
    Say(at + fates_->RawBelow(name + ":again", 2'000), std::move(news));
}

void SimWorld::StartAttempt(ActivityAttempt attempt) {
  const bool step = attempt.activity_id.starts_with(kStepPrefix);
  const std::string name = attempt.activity_id + "#" + std::to_string(attempt.token.attempt);
  if (!step) {
    auto result = run_->Control(attempt);
    News news = embedded::AttemptFailed{};
    if (result) {
      news = embedded::AttemptCompleted{attempt.token, workflow::JsonPayloads(*result)};
    } else {
      news = embedded::AttemptFailed{attempt.token, ToFailure(result.error())};
    }
    if (fates_->Happens(Fault::kFailures, name + ":fail", 20)) {
      news = embedded::AttemptFailed{attempt.token,
                                     ToFailure(Error("PLAN_FETCH_FAILED", "the plan store did not answer", true))};
    }
    Answer(attempt, name, std::move(news), fates_->Number(Fault::kDurations, name + ":time", 1, 40, 5));
    return;
  }
  const size_t slash = attempt.activity_id.rfind('/');
  const std::string step_id = attempt.activity_id.substr(kStepPrefix.size(), slash - kStepPrefix.size());
  const auto logical = static_cast<int32_t>(ParseInt64(attempt.activity_id.substr(slash + 1)).value_or(0));
  run_->NoteDispatch(step_id, logical);
  names_[attempt.token] = name;
  int64_t takes = fates_->Number(Fault::kDurations, name + ":time", 1, 400, 20);
  if (fates_->Happens(Fault::kDurations, name + ":long", 60)) takes += fates_->RawBelow(name + ":longer", 30'000);
  if (fates_->Happens(Fault::kTimeouts, name + ":lost", 40)) {
    // Nobody answers; the server gives up on it. Perhaps the answer comes after that.
    if (fates_->Happens(Fault::kLate, name + ":late", 500)) {
      const int64_t limit = attempt.heartbeat_ms > 0 ? std::min(attempt.heartbeat_ms, attempt.start_to_close_ms)
                                                     : attempt.start_to_close_ms;
      Say(clock_->now + limit + fates_->RawBelow(name + ":later", 5'000),
          embedded::AttemptCompleted{attempt.token, workflow::JsonPayloads(Json::MakeObject({{"status", "SUCCESS"}}))});
    }
    return;
  }
  // A worker beats for a step that takes longer than its heartbeat time-out.
  if (attempt.heartbeat_ms > 0) {
    for (int64_t at = attempt.heartbeat_ms / 2; at < takes; at += std::max<int64_t>(1, attempt.heartbeat_ms / 2)) {
      Say(clock_->now + at, embedded::AttemptBeat{attempt.token, {}});
    }
  }
  const Json details = Json::MakeObject({{"engineAttemptId", attempt.token.attempt}});
  if (fates_->Happens(Fault::kFailures, name + ":refuse", 50)) {
    Error error("PERMANENT_STEP_ERROR", "no such table");
    Answer(attempt, name, embedded::AttemptFailed{attempt.token, ToFailure(error)}, takes);
    return;
  }
  if (fates_->Happens(Fault::kFailures, name + ":fail", 120)) {
    Answer(attempt, name,
           embedded::AttemptFailed{attempt.token,
                                   ToFailure(Error("TRANSIENT_STEP_ERROR", "the warehouse did not answer", true))},
           takes);
    return;
  }
  const int64_t n = fates_->RawBelow(step_id + ".value", 12);
  Json probes = Json::MakeObject();
  const auto input = workflow::ReadFirstJson(attempt.input);
  if (const Json* asked = input ? input->Find("probes") : nullptr; asked != nullptr && asked->is_array()) {
    for (const Json& pointer : asked->AsArray()) {
      if (pointer.is_string() && pointer.AsString() == "/n") probes.Set("/n", n);
    }
  }
  Json output = Json::MakeObject({{"status", "SUCCESS"},
                                  {"artifactRefs", Json::MakeArray()},
                                  {"engineAttemptId", attempt.token.attempt},
                                  {"durationMs", takes},
                                  {"result", Json::MakeObject({{"n", n}})},
                                  {"probes", std::move(probes)}});
  Answer(attempt, name, embedded::AttemptCompleted{attempt.token, workflow::JsonPayloads(output)}, takes);
}

void SimWorld::CancelAttempt(AttemptToken token) {
  const std::string& name = names_[token];
  // Some finish what they do, others stop.
  if (fates_->Happens(Fault::kLate, name + ":finishes", 250)) return;
  cancelled_.insert(token);
  Say(clock_->now + fates_->Number(Fault::kDurations, name + ":stops", 1, 8'000, 10),
      embedded::AttemptCancelled{token, {}});
}

Result<Json> SimWorld::RunLocal(const workflow::LocalActivityRequest& request, int32_t attempt) {
  const auto input = workflow::ReadFirstJson(*request.input);
  if (!input) return Fail(input.error());
  const std::string name = request.activity_id + "#" + std::to_string(attempt);
  clock_->now += fates_->Number(Fault::kSlowTasks, "local." + name + ":time", 0, 9, 1);
  if (fates_->Happens(Fault::kSlowTasks, "local." + name + ":slow", 15))
    clock_->now += fates_->RawBelow("local." + name + ":slower", 3'000);
  // An outage begins somewhere and goes on for some tries.
  const std::string outage = "store." + request.activity_id;
  const int64_t tries = fates_->RawBelow(outage + ".tries", 4) == 0 ? 1 + fates_->RawBelow(outage + ".many", 7) : 1;
  if (attempt <= tries && fates_->RawBelow(outage, 1000) < 30 &&
      fates_->Happens(Fault::kStore, outage + ":down#" + std::to_string(attempt), 1000)) {
    return Fail("STATE_STORE_UNAVAILABLE", "the store is down", true);
  }
  Result<Json> result = request.activity_type == "emitEvents" ? run_->Append(*input) : run_->CompileSnapshot(*input);
  // The store has it, the answer is lost.
  if (result && attempt <= 2 && fates_->Happens(Fault::kStore, outage + ":unheard#" + std::to_string(attempt), 15)) {
    return Fail("STATE_STORE_TIMEOUT", "no answer", true);
  }
  return result;
}

embedded::Mishap SimWorld::NextMishap() {
  const std::string name = "task." + std::to_string(tasks_++);
  if (fates_->Happens(Fault::kCrashes, name + ":lost", 25)) return embedded::Mishap::kWorkerLost;
  if (fates_->Happens(Fault::kCrashes, name + ":idle", 10)) return embedded::Mishap::kWorkerIdle;
  if (fates_->Happens(Fault::kEvictions, name + ":evicted", 70)) return embedded::Mishap::kEvicted;
  return embedded::Mishap::kNone;
}

// A task takes a little while, in which things may happen.
void SimWorld::TaskStarted() {
  const std::string name = "task." + std::to_string(tasks_);
  clock_->now += fates_->Number(Fault::kSlowTasks, name + ":time", 0, 20, 1);
}

}  // namespace

Result<SimulationResult> Simulate(uint64_t seed, const SimulationOptions& options) {
  return Simulation(seed, options).Run();
}

}  // namespace lockstep::simulate
