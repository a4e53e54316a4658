// `lockstep record`: runs plans on a real Temporal server, or in this process, and writes record directories.
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/command.h"
#include "engine-core/base/files.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/plan/loader.h"
#include "engine-core/workflow/registry.h"
#include "replay/record/recorder.h"

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> plans;
  std::string out;
  std::string temporal;
  bool dev_server = false;
  bool embedded = false;
  std::string script;
  std::string state;
  std::string config;
  std::string name_space = "default";
  bool test_kinds = false;
  bool external_worker = false;
  bool replace = false;
  std::vector<std::string> pins;
  int64_t timeout_s = 600;
  std::vector<std::string> libraries;
  std::string workflow;
  std::vector<std::string> input;
  std::vector<std::string> signals;
  service::RunScope scope;
  Output output;
};

Json SummaryJson(const std::string& plan, const replay::RecordedRun& run) {
  return Json::MakeObject({{"plan", plan},
                           {"record", run.directory.string()},
                           {"runId", run.run_id},
                           {"status", run.status},
                           {"snapshotHash", run.snapshot_hash},
                           {"outcomeHash", run.outcome_hash},
                           {"executions", run.executions},
                           {"events", run.events},
                           {"engineEvents", run.engine_events}});
}

// With several plans the folder gets one record each.
fs::path TargetOf(const Options& options, const std::string& plan) {
  return options.plans.size() == 1 ? fs::path(options.out) : fs::path(options.out) / fs::path(plan).stem();
}

// Arguments are JSON; what is none is taken as text, so that `--input hello` needs no quotes in quotes.
Json ArgumentOf(const std::string& text) {
  auto json = ParseJson(text);
  return json ? std::move(*json) : Json(text);
}

replay::RecorderOptions MakeRecorderOptions(const Options& options, Progress* progress) {
  replay::RecorderOptions recorder;
  recorder.program = OwnProgram();
  recorder.temporal_address = options.temporal;
  recorder.namespace_name = options.name_space;
  recorder.venv = BuildVenv();
  recorder.home = options.state;
  if (!options.config.empty()) recorder.worker_config = fs::absolute(options.config);
  recorder.own_worker = !options.external_worker;
  recorder.test_kinds = options.test_kinds;
  recorder.scope = options.scope;
  recorder.run_timeout_ms = options.timeout_s * 1000;
  recorder.interrupt = &interrupted;
  recorder.progress = [progress](const std::string& line) { progress->Show(line); };
  for (const std::string& library : options.libraries) recorder.libraries.push_back(fs::absolute(library).string());
  return recorder;
}

int RecordWorkflow(const Options& options) {
  if (options.libraries.empty() || options.workflow.empty()) {
    return Report(Error("USAGE", "expected --workflows LIBRARY and --workflow TYPE together, or a PLAN"));
  }
  if (!options.plans.empty() || !options.script.empty()) return Report(Error("USAGE", "--workflow takes no PLAN and no --script"));
  workflow::WorkflowRegistry workflows;
  interpreter::RegisterInterpreter(&workflows);
  if (const Status loaded = LoadWorkflowLibraries(options.libraries, &workflows, nullptr); !loaded) return Report(loaded.error());
  if (workflows.Find(options.workflow) == nullptr) return Report(Error("USAGE", "--workflow: no workflow " + options.workflow + " in the libraries"));
  replay::WorkflowRequest request;
  request.type = options.workflow;
  for (const std::string& argument : options.input) request.input.push_back(ArgumentOf(argument));
  for (const std::string& signal : options.signals) {
    const size_t equals = signal.find('=');
    request.signals.emplace_back(signal.substr(0, equals), equals == std::string::npos ? Json() : ArgumentOf(signal.substr(equals + 1)));
  }
  Progress progress;
  replay::RecorderOptions recorder_options = MakeRecorderOptions(options, &progress);
  recorder_options.workflows = &workflows;
  auto recorder = replay::Recorder::Open(recorder_options);
  if (!recorder) return Report(recorder.error());
  const auto run = (*recorder)->RecordWorkflow(request, options.out, options.replace);
  progress.Show("");
  if (!run) return Report(run.error());
  const Json summary = Json::MakeObject({{"workflow", options.workflow}, {"record", options.out}, {"runId", run->run_id},
                                         {"executions", run->executions}, {"events", run->events}});
  return options.output.Write(options.output.json() ? PrettyJson(summary)
                                                    : options.out + ": " + options.workflow + " " + run->run_id + ", " +
                                                          std::to_string(run->events) + " events in " + std::to_string(run->executions) +
                                                          (run->executions == 1 ? " execution\n" : " executions\n"),
                              kExitOk);
}

int RunRecord(const Options& options) {
  WatchSignals();
  if (options.plans.empty() && options.workflow.empty() && options.libraries.empty()) {
    return Report(Error("USAGE", "PLAN is required, or --workflows LIBRARY and --workflow TYPE"));
  }
  if (options.out.empty()) return Report(Error("USAGE", "--out is required"));
  if (int{options.dev_server} + int{options.embedded} + int{!options.temporal.empty()} != 1) {
    return Report(Error("USAGE", "expected exactly one of --dev-server, --temporal HOST:PORT and --embedded"));
  }
  if (options.plans.empty()) return RecordWorkflow(options);
  const auto pins = ParseVersionPins(options.pins);
  if (!pins) return Report(pins.error());
  const auto script = LoadScript(options.script);
  if (!script) return Report(script.error());
  std::error_code exists;
  std::vector<std::string> plans;
  for (const std::string& plan : options.plans) {
    auto bytes = ReadFile(plan, 16 << 20);
    if (!bytes) return Report(bytes.error());
    // Everything that can be refused is refused before a server is started.
    if (const auto pinned = plan::PinPlan(*bytes, options.test_kinds); !pinned) {
      Error error = pinned.error();
      error.message = plan + ": " + error.message;
      return Report(error);
    }
    const fs::path target = TargetOf(options, plan);
    if (fs::exists(target, exists) && !options.replace) {
      return Report(Error("RECORD_EXISTS", target.string() + ": expected a new folder, found an existing one (--replace overwrites it)"));
    }
    plans.push_back(std::move(*bytes));
  }
  Progress progress;
  replay::RecorderOptions recorder_options = MakeRecorderOptions(options, &progress);
  recorder_options.embedded = options.embedded;
  recorder_options.version_pins = *pins;
  auto recorder = replay::Recorder::Open(recorder_options);
  if (!recorder) return Report(recorder.error());
  Json all = Json::MakeArray();
  std::string text;
  for (size_t i = 0; i < plans.size(); ++i) {
    const fs::path directory = TargetOf(options, options.plans[i]);
    const auto run = (*recorder)->Record(plans[i], *script, directory, options.replace);
    if (!run) return Report(run.error());
    all.Push(SummaryJson(options.plans[i], *run));
    text += directory.string() + ": run " + run->run_id + " " + run->status + ", " + std::to_string(run->events) + " events in " +
            std::to_string(run->executions) + (run->executions == 1 ? " execution" : " executions") + ", snapshot " + run->snapshot_hash +
            ", outcome " + run->outcome_hash + "\n";
  }
  progress.Show("");
  return options.output.Write(options.output.json() ? PrettyJson(all) : text, kExitOk);
}

}  // namespace

void AddRecord(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("record", "Run plans and keep what happened, to be replayed");
  command->add_option("PLAN", options->plans, "Plan files");
  command->add_option("--out", options->out, "Record directory; with several plans a folder that gets one each");
  command->add_option("--temporal", options->temporal, "Server to use, HOST:PORT");
  command->add_flag("--dev-server", options->dev_server, "Start a Temporal development server on a free port and stop it afterwards");
  command->add_flag("--embedded", options->embedded, "Run in this process: no server, no worker (docs/run.md)");
  AddWorkflowsOption(command, &options->libraries);
  command->add_option("--workflow", options->workflow, "In place of plans: a workflow type of the libraries");
  command->add_option("--input", options->input, "An argument of that workflow, JSON or text (may be repeated)");
  command->add_option("--signal", options->signals, "NAME or NAME=JSON, sent right after its start (may be repeated)");
  command->add_option("--script", options->script, "Signals and mishaps during the run (docs/record.md)");
  command->add_option("--config", options->config, "Worker configuration: programs, connections and hosts that steps may use");
  command->add_option("--state", options->state, "State folder to use and keep (default: a temporary one)");
  command->add_option("--namespace", options->name_space, "Temporal namespace")->capture_default_str();
  command->add_option("--tenant", options->scope.tenant_id, "Tenant")->capture_default_str();
  command->add_option("--project", options->scope.project_id, "Project")->capture_default_str();
  command->add_option("--environment", options->scope.environment_id, "Environment")->capture_default_str();
  command->add_flag("--test-kinds", options->test_kinds, "Allow step kinds that exist for tests only (fail)");
  command->add_flag("--external-worker", options->external_worker, "Start no worker: others serve the queues, with the same --state");
  command->add_flag("--replace", options->replace, "Overwrite an existing record");
  command->add_option("--as-of", options->pins, "CHANGE=VERSION: record as a build before that change would (-1: without its gate)");
  command->add_option("--timeout", options->timeout_s, "Seconds to wait for a run")->capture_default_str()->check(CLI::PositiveNumber);
  command->add_option("--format", options->output.format, "How the summary is written")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  command->footer("Each record is replayed before it is written: a run that this build cannot replay is an error (exit code 1).\n"
                  "Examples:\n"
                  "  lockstep record plan.json --out fixtures/histories/my-plan --dev-server\n"
                  "  lockstep record --workflows liborders.so --workflow order --input '{\"id\":\"1\"}' --out rec --dev-server\n"
                  "  lockstep record plan.json --out rec --temporal 127.0.0.1:7233 --script pause.json --config worker.yaml");
  command->callback([options, run] { *run = [options] { return RunRecord(*options); }; });
}

}  // namespace lockstep::cli
