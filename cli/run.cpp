// `lockstep run`: runs a plan in this process, without a server; `status`, `events` and `signal` look at such runs and
// steer them.
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "cli/command.h"
#include "engine-core/base/bytes.h"
#include "engine-core/base/clock.h"
#include "engine-core/base/files.h"
#include "engine-core/service/embedded_runs.h"
#include "engine-core/state/snapshot.h"
#include "replay/record/script_player.h"

namespace lockstep::cli {
namespace {

constexpr int64_t kPage = 1'000;

struct Options {
  std::string plan;
  std::string input;
  std::string script;
  std::string store = ".lockstep";
  std::string config;
  std::string resume;
  bool test_kinds = false;
  bool quiet = false;
  std::vector<std::string> pins;
  service::RunScope scope;
  Output output;
};

// A file, or the JSON itself.
Result<Json> LoadInput(const std::string& given) {
  if (given.empty()) return Json();
  std::string text = given;
  if (!given.starts_with("{")) {
    LOCKSTEP_ASSIGN(text, ReadFile(given, 1 << 20));
  }
  auto json = ParseJson(text);
  if (!json) return Fail("INVALID_INPUT", "--input: " + json.error().message);
  if (!json->is_object())
    return Fail("INVALID_INPUT", "--input: expected an object of parameters, found " + std::string(json->KindName()));
  return json;
}

Result<std::vector<state::EventRecord>> EventsAfter(state::IRunStateStore& store, const service::RunScope& scope,
                                                    const std::string& run_id, int64_t after) {
  std::vector<state::EventRecord> events;
  while (true) {
    LOCKSTEP_ASSIGN(auto page, store.FetchEvents(state::TenantScope(scope.tenant_id), run_id,
                                                 events.empty() ? after : events.back().run_seq, kPage));
    const bool last = static_cast<int64_t>(page.size()) < kPage;
    std::move(page.begin(), page.end(), std::back_inserter(events));
    if (last) return events;
  }
}

std::string EventLine(const state::EventRecord& event) {
  std::string line = event.event_type;
  if (!event.step_id.empty())
    line += " " + event.step_id +
            (event.logical_attempt_id > 1 ? " (attempt " + std::to_string(event.logical_attempt_id) + ")" : "");
  if (const Json* error = event.payload.Find("error"))
    line += ": " + error->GetString("code") + " " + error->GetString("message");
  if (const std::string reason = event.payload.GetString("reasonCode"); !reason.empty()) line += ": " + reason;
  return line;
}

// Follows the log and shows where the run stands: one line that changes on a terminal, a line an event elsewhere.
class Watcher {
 public:
  Watcher(state::IRunStateStore& store, const service::RunScope& scope, std::string run_id, int64_t steps, bool quiet)
      : store_(store), scope_(scope), run_id_(std::move(run_id)), steps_(steps), quiet_(quiet) {}

  Status Look() {
    LOCKSTEP_ASSIGN(const auto events, EventsAfter(store_, scope_, run_id_, seen_));
    for (const state::EventRecord& event : events) Take(event);
    if (!events.empty() && !quiet_) progress_.Show(Line());
    return {};
  }
  int64_t CountOf(const std::string& event, const std::string& step_id) const {
    const auto it = counts_.find({event, step_id});
    return it == counts_.end() ? 0 : it->second;
  }
  void Say(const std::string& line) { progress_.Say(line); }
  void Finish() { progress_.Show(""); }

 private:
  void Take(const state::EventRecord& event) {
    seen_ = event.run_seq;
    ++counts_[{event.event_type, ""}];
    if (!event.step_id.empty()) ++counts_[{event.event_type, event.step_id}];
    if (event.event_type == "StepStarted") running_.insert(event.step_id);
    if (event.event_type == "StepCompleted" || event.event_type == "StepFailed" || event.event_type == "StepSkipped")
      running_.erase(event.step_id);
    const bool failed = event.event_type == "StepFailed" || event.event_type == "RunFailed";
    if (!quiet_ && (failed || !progress_.terminal())) progress_.Say(EventLine(event));
  }
  std::string Line() const {
    const int64_t done = CountOf("StepCompleted", "") + CountOf("StepSkipped", "");
    std::string line = std::to_string(done) + " of " + std::to_string(steps_) + " steps";
    if (CountOf("RunPaused", "") > CountOf("RunResumed", "")) line += ", paused";
    std::string names;
    size_t shown = 0;
    for (const std::string& step : running_) {
      if (++shown > 4) {
        names += " and " + std::to_string(running_.size() - 4) + " more";
        break;
      }
      names += (names.empty() ? "" : ", ") + step;
    }
    return names.empty() ? line : line + ", running: " + names;
  }

  state::IRunStateStore& store_;
  const service::RunScope& scope_;
  const std::string run_id_;
  const int64_t steps_;
  const bool quiet_;
  Progress progress_;
  int64_t seen_ = 0;
  std::map<std::pair<std::string, std::string>, int64_t> counts_;
  std::set<std::string> running_;
};

Json StatusJson(const std::string& run_id, const state::Snapshot& snapshot) {
  Json steps = Json::MakeObject();
  for (const auto& [id, step] : snapshot.steps) {
    Json entry =
        Json::MakeObject({{"status", std::string(state::Name(step.status()))}, {"attempt", step.logical_attempt_id()}});
    if (!step.attempts.empty() && !step.attempts.back().error_code.empty())
      entry.Set("errorCode", step.attempts.back().error_code);
    steps.Set(id, std::move(entry));
  }
  return Json::MakeObject({{"runId", run_id},
                           {"planId", snapshot.plan_id},
                           {"planVersion", snapshot.plan_version},
                           {"status", std::string(state::Name(snapshot.status))},
                           {"lastEventSeq", snapshot.last_event_seq},
                           {"steps", std::move(steps)},
                           {"snapshotHash", state::SnapshotHash(snapshot)},
                           {"outcomeHash", state::OutcomeHash(snapshot)}});
}

std::string StatusText(const Json& status) {
  std::map<std::string, int64_t> totals;
  for (const auto& [id, step] : status.Find("steps")->AsObject()) ++totals[step.GetString("status")];
  std::string text = "run " + status.GetString("runId") + " " + status.GetString("status") + ": plan " +
                     status.GetString("planId") + " " + status.GetString("planVersion");
  for (const auto& [name, count] : totals) text += ", " + std::to_string(count) + " " + name;
  text += "\n";
  for (const auto& [id, step] : status.Find("steps")->AsObject()) {
    if (step.GetString("status") != "FAILED") continue;
    text += "  " + id + " FAILED " + step.GetString("errorCode") + "\n";
  }
  return text + "  snapshot " + status.GetString("snapshotHash") + "\n  outcome  " + status.GetString("outcomeHash") +
         "\n";
}

Result<state::Snapshot> SnapshotOf(service::EngineHome& home, const service::RunScope& scope,
                                   const std::string& run_id) {
  LOCKSTEP_ASSIGN(const auto snapshot, home.store->GetSnapshot(state::TenantScope(scope.tenant_id), run_id));
  if (!snapshot) return Fail("RUN_NOT_FOUND", "no run " + run_id + " in " + home.folder.string());
  return *snapshot;
}

int Finish(const Options& options, service::EmbeddedRun& run) {
  const auto snapshot = SnapshotOf(run.home(), options.scope, run.run_id());
  if (!snapshot) return Report(snapshot.error());
  const Json status = StatusJson(run.run_id(), *snapshot);
  const int code = snapshot->status == state::RunStatus::kCompleted ? kExitOk : kExitDiverged;
  return options.output.Write(options.output.json() ? PrettyJson(status) : StatusText(status), code);
}

// The first Ctrl-C asks the run to end; the log then says so.
Status CancelOnce(service::EmbeddedRun& run, Watcher& watcher, bool* cancelled) {
  if (!interrupted.load() || std::exchange(*cancelled, true)) return {};
  watcher.Say("cancelling run " + run.run_id() + "; press again to leave it where it is");
  return run.Signal(
      {.run_id = run.run_id(), .type = "CANCEL", .payload = Json::MakeObject({{"reason", "interrupted"}})});
}

int RunPlan(const Options& options) {
  if (options.plan.empty() == options.resume.empty()) return Report(Error("USAGE", "expected a plan, or --resume RUN"));
  WatchSignals();
  const auto pins = ParseVersionPins(options.pins);
  if (!pins) return Report(pins.error());
  const auto script = LoadScript(options.script);
  if (!script) return Report(script.error());
  if (const Status fit = replay::CheckEmbeddable(*script); !fit) return Report(fit.error());
  const auto input = LoadInput(options.input);
  if (!input) return Report(input.error());
  std::string plan;
  if (!options.plan.empty()) {
    auto bytes = ReadFile(options.plan, 16 << 20);
    if (!bytes) return Report(bytes.error());
    plan = std::move(*bytes);
  }
  Progress log;
  auto run = service::EmbeddedRun::Open({options.store, options.scope, options.config, options.test_kinds, *pins,
                                         [&log](const std::string& message) { log.Say("lockstep: " + message); }});
  if (!run) return Report(run.error());
  int64_t steps = 0;
  if (options.resume.empty()) {
    service::StartRunRequest request;
    request.plan = std::move(plan);
    request.params = input->is_null() ? script->params : *input;
    request.allow_test_kinds = options.test_kinds;
    auto started = (*run)->Start(request);
    if (!started) {
      Error error = started.error();
      error.message = options.plan + ": " + error.message;
      return Report(error);
    }
    steps = started->step_count;
  } else {
    if (const Status resumed = (*run)->Resume(options.resume); !resumed) return Report(resumed.error());
  }
  Watcher watcher(*(*run)->home().store, options.scope, (*run)->run_id(), steps, options.quiet);
  if (!options.quiet)
    watcher.Say("run " + (*run)->run_id() + (steps > 0 ? ": " + std::to_string(steps) + " steps" : " taken up"));
  replay::ScriptPort port;
  port.count = [&](const std::string& event, const std::string& step_id) -> Result<int64_t> {
    return watcher.CountOf(event, step_id);
  };
  port.signal = [&](const replay::ScriptStep& step) {
    return (*run)->Signal(
        {.run_id = (*run)->run_id(), .type = step.signal, .payload = step.payload, .reason = step.reason});
  };
  port.cancel_native = [&] { return (*run)->RequestCancel("script"); };
  replay::ScriptPlayer player(*script, std::move(port), &SystemClock());
  bool cancelled = false;
  std::string trouble;
  static const std::atomic<bool> kNever = false;
  const auto ended = (*run)->Run(kNever, [&]() -> Status {
    LOCKSTEP_TRY(watcher.Look());
    LOCKSTEP_TRY(CancelOnce(**run, watcher, &cancelled));
    if (const std::string now = (*run)->trouble(); !now.empty() && std::exchange(trouble, now) != now)
      watcher.Say("lockstep: the workflow task fails: " + now);
    return player.Poll();
  });
  if (!ended) return Report(ended.error());
  (void)watcher.Look();
  watcher.Finish();
  return Finish(options, **run);
}

void AddScope(CLI::App* command, const std::shared_ptr<Options>& options) {
  command->add_option("--store", options->store, "State folder: event log, histories, plans, artifacts")
      ->capture_default_str();
  command->add_option("--tenant", options->scope.tenant_id, "Tenant")->capture_default_str();
  command->add_option("--project", options->scope.project_id, "Project")->capture_default_str();
  command->add_option("--environment", options->scope.environment_id, "Environment")->capture_default_str();
}

// Looking must not create a folder.
Result<service::EngineHome> ExistingHome(const Options& options) {
  std::error_code error;
  if (!std::filesystem::exists(std::filesystem::path(options.store) / "state.db", error)) {
    return Fail("INPUT_NOT_FOUND", options.store + ": expected a state folder, found none (--store)");
  }
  return service::OpenHome(options.store);
}

int RunStatus(const Options& options, const std::string& run_id) {
  auto home = ExistingHome(options);
  if (!home) return Report(home.error());
  if (!run_id.empty()) {
    const auto snapshot = SnapshotOf(*home, options.scope, run_id);
    if (!snapshot) return Report(snapshot.error());
    const Json status = StatusJson(run_id, *snapshot);
    return options.output.Write(options.output.json() ? PrettyJson(status) : StatusText(status), kExitOk);
  }
  const auto page = home->store->ListRuns(state::TenantScope(options.scope.tenant_id), {});
  if (!page) return Report(page.error());
  Json list = Json::MakeArray();
  std::string text;
  for (const state::RunMetadata& metadata : page->runs) {
    list.Push(state::ToJson(metadata).Set("status", std::string(state::Name(metadata.status))));
    text += metadata.run_id + "  " + std::string(state::Name(metadata.status)) + "  " + metadata.plan_id + " " +
            metadata.plan_version + "  " + metadata.created_at + "\n";
  }
  if (text.empty()) text = "no runs\n";
  return options.output.Write(options.output.json() ? PrettyJson(list) : text, kExitOk);
}

int RunEvents(const Options& options, const std::string& run_id, int64_t after) {
  auto home = ExistingHome(options);
  if (!home) return Report(home.error());
  if (const auto known = SnapshotOf(*home, options.scope, run_id); !known) return Report(known.error());
  const auto events = EventsAfter(*home->store, options.scope, run_id, after);
  if (!events) return Report(events.error());
  Json list = Json::MakeArray();
  std::string text;
  for (const state::EventRecord& event : *events) {
    if (options.output.json()) list.Push(state::ToJson(event));
    text += std::to_string(event.run_seq) + "  " + event.persisted_at + "  " + EventLine(event) + "\n";
  }
  return options.output.Write(options.output.json() ? PrettyJson(list) : text, kExitOk);
}

int RunSignal(const Options& options, const std::string& run_id, const std::string& type, const std::string& payload,
              const std::string& reason) {
  const auto body = LoadInput(payload);
  if (!body) return Report(body.error());
  auto home = ExistingHome(options);
  if (!home) return Report(home.error());
  const auto snapshot = SnapshotOf(*home, options.scope, run_id);
  if (!snapshot) return Report(snapshot.error());
  if (snapshot->status == state::RunStatus::kCompleted || snapshot->status == state::RunStatus::kFailed ||
      snapshot->status == state::RunStatus::kCancelled) {
    return Report(
        Error("SIGNAL_REJECTED", "run " + run_id + " is over: " + std::string(state::Name(snapshot->status))));
  }
  auto signals = service::EmbeddedSignals::Open(options.store, options.scope);
  if (!signals) return Report(signals.error());
  const Status sent = (*signals)->Signal(
      {.run_id = run_id, .type = type, .payload = body->is_null() ? Json::MakeObject() : *body, .reason = reason});
  if (!sent) return Report(sent.error());
  return options.output.Write(type + " sent to run " + run_id + "\n", kExitOk);
}

}  // namespace

void AddRun(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("run", "Run a plan in this process, without a server");
  command->add_option("PLAN", options->plan, "Plan file");
  command->add_option("--input", options->input, "Parameters of the run: a JSON file, or the object itself");
  command->add_option("--signals,--script", options->script, "Signals during the run (docs/run.md)");
  command->add_option("--resume", options->resume, "Take up a run that an earlier process left");
  command->add_option("--config", options->config,
                      "Worker configuration: programs, connections and hosts that steps may use");
  AddScope(command, options);
  command->add_flag("--test-kinds", options->test_kinds, "Allow step kinds that exist for tests only (fail)");
  command->add_flag("--quiet,-q", options->quiet, "No progress");
  command->add_option("--as-of", options->pins, "CHANGE=VERSION: run as a build before that change would");
  options->output.AddOptions(command);
  command->footer(
      "Exit code 0: COMPLETED; 1: FAILED or CANCELLED. Ctrl-C cancels the run; pressed again, it leaves the run to "
      "--resume.\n"
      "Examples:\n"
      "  lockstep run plan.json\n"
      "  lockstep run plan.json --input '{\"day\": \"2026-02-12\"}' --config worker.yaml --format json\n"
      "  lockstep run --resume 0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a");
  command->callback([options, run] { *run = [options] { return RunPlan(*options); }; });
}

void AddStatus(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  auto run_id = std::make_shared<std::string>();
  CLI::App* command = app->add_subcommand("status", "Show runs of a state folder, or one run");
  command->add_option("RUN", *run_id, "Run id (default: all runs, newest first)");
  AddScope(command, options);
  options->output.AddOptions(command);
  command->footer("Examples:\n  lockstep status\n  lockstep status 0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a --format json");
  command->callback([options, run_id, run] { *run = [options, run_id] { return RunStatus(*options, *run_id); }; });
}

void AddEvents(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  auto run_id = std::make_shared<std::string>();
  auto after = std::make_shared<int64_t>(0);
  CLI::App* command = app->add_subcommand("events", "Show the event log of a run");
  command->add_option("RUN", *run_id, "Run id")->required();
  command->add_option("--after", *after, "Only events above this runSeq")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  AddScope(command, options);
  options->output.AddOptions(command);
  command->footer("Examples:\n  lockstep events 0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a --format json");
  command->callback([options, run_id, after, run] {
    *run = [options, run_id, after] { return RunEvents(*options, *run_id, *after); };
  });
}

void AddSignal(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  auto run_id = std::make_shared<std::string>(), type = std::make_shared<std::string>(),
       payload = std::make_shared<std::string>(), reason = std::make_shared<std::string>();
  CLI::App* command = app->add_subcommand("signal", "Steer a run that `lockstep run` drives");
  command->add_option("RUN", *run_id, "Run id")->required();
  command->add_option("TYPE", *type, "PAUSE, RESUME, CANCEL, RETRY_STEP, SKIP_STEP, UPDATE_PARAMS, CUSTOM:NAME, ...")
      ->required();
  command->add_option("--payload", *payload, "JSON file, or the object itself");
  command->add_option("--reason", *reason, "Why, for the record");
  AddScope(command, options);
  command->footer(
      "Examples:\n  lockstep signal 0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a PAUSE\n"
      "  lockstep signal 0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a RETRY_STEP --payload '{\"stepId\": \"load\"}'");
  command->callback([=] { *run = [=] { return RunSignal(*options, *run_id, *type, *payload, *reason); }; });
}

}  // namespace lockstep::cli
