// `lockstep replay`: replays histories and record directories against this build.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/result_file.h"
#include "cli/shadow.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/workflow/registry.h"
#include "replay/history/reader.h"
#include "replay/perturb/perturb.h"
#include "replay/record/record.h"
#include "replay/session/batch.h"
#include "reports/gather/programs.h"
#include "reports/gather/prove.h"
#include "reports/model/model.h"

namespace lockstep::cli {
namespace {

struct Options {
  std::vector<std::string> paths;
  unsigned jobs = 0;
  int64_t stop_at = 0;
  int64_t deadlock_ms = 2'000;
  bool compare_snapshots = true;
  bool strict = false;
  bool update = false;
  ShadowCommand shadow;
  bool prove = false;
  std::vector<std::string> libraries;
  std::string perturb;
  bool fingerprint = false;
  int causes = 0;
  ResultFile result;
  Output output;
};

// Takes over the lines and snapshots of this build into records whose commands it reproduces.
Status UpdateRecord(const replay::ReplayReport& report) {
  if (!report.record || report.error || workflow::WorstGrade(report.divergences) == workflow::Grade::kCommandChanging) return {};
  LOCKSTEP_ASSIGN(replay::Record record, replay::ReadRecord(report.path, {.artifacts = true}));
  record.commands.clear();
  for (size_t execution = 0; execution < report.command_rows.size(); ++execution) {
    for (const replay::CommandRow& row : report.command_rows[execution]) {
      record.commands.push_back({static_cast<int>(execution) + 1, row.task_started_id, row.event_id, row.identity, row.digest, row.where});
    }
  }
  return replay::WriteRecord(record, report.path, true);
}

Json WithVersion(Json json) { return json.Set("toolVersion", LOCKSTEP_VERSION); }

// Why the first histories that diverge do: `lockstep trace` of each, in a process of its own since it forks.
void AddCauses(const Options& options, Progress* progress, Json* json) {
  Json* histories = json->Find("histories");
  if (histories == nullptr) return;
  int left = options.causes;
  for (Json& history : histories->AsArray()) {
    if (left == 0) return;
    Json* divergences = history.Find("divergences");
    const std::string path = history.GetString("path");
    if (history.GetString("verdict") != "DIVERGED" || divergences == nullptr || divergences->AsArray().empty() || path == "-") continue;
    --left;
    progress->Show("looking for the cause: " + path);
    std::vector<std::string> words = {OwnProgram(), "trace", path, "--format", "json"};
    for (const std::string& library : options.libraries) words.insert(words.end(), {"--workflows", library});
    const auto traced = reports::RunProgram(words, {}, nullptr);
    const auto document = traced ? ParseJson(traced->out, {.max_string_bytes = size_t{64} << 20}) : Result<Json>(std::unexpected(traced.error()));
    if (document) {
      if (const std::string cause = reports::TopCause(*document); !cause.empty()) divergences->AsArray().front().Set("cause", cause);
    }
  }
}

// `../lib/lockstep` of an installed program, `../lib` of a build tree.
std::filesystem::path PerturbLibrary() {
  const std::filesystem::path top = std::filesystem::path(OwnProgram()).parent_path().parent_path();
  const std::filesystem::path installed = top / "lib" / "lockstep" / "liblockstep_perturb.so";
  std::error_code error;
  return std::filesystem::exists(installed, error) ? installed : top / "lib" / "liblockstep_perturb.so";
}

// This program again for the variants that need a process of their own.
int RunPerturbed(const Options& options, const std::vector<std::string>& inputs, const replay::BatchOptions& batch, Progress* progress) {
  replay::PerturbOptions perturb;
  auto names = replay::ParsePerturbations(options.perturb);
  if (!names) return Report(names.error());
  if (std::find(inputs.begin(), inputs.end(), "-") != inputs.end()) return Report(Error("USAGE", "--perturb reads its histories several times: expected paths, found -"));
  perturb.names = std::move(*names);
  perturb.inputs = inputs;
  perturb.batch = batch;
  perturb.child = {OwnProgram(), "replay", "--fingerprint", "--deadlock-ms", "0", "--jobs", std::to_string(std::max(1U, options.jobs))};
  for (const std::string& library : options.libraries) perturb.child.insert(perturb.child.end(), {"--workflows", std::filesystem::absolute(library).string()});
  perturb.preload = PerturbLibrary();
  std::error_code error;
  if (!std::filesystem::exists(perturb.preload, error)) return Report(Error("PERTURB_CHILD_FAILED", perturb.preload.string() + ": expected the library of perturbations, found nothing"));
  perturb.progress = [&](const std::string& line) { progress->Show("perturbing: " + line); };
  const auto result = replay::Perturb(perturb);
  progress->Show("");
  if (!result) return Report(result.error());
  const int plain = replay::ExitCode(result->plain, options.strict);
  Json document = WithVersion(replay::ToJson(*result, options.strict));
  AddCauses(options, progress, &document);
  const std::string json = PrettyJson(document);
  if (const Status written = options.result.Write(json); !written) return Report(written.error());
  return options.output.Write(options.output.json() ? json
                                                    : replay::RenderText(*result, options.strict, options.output.color()),
                              plain != kExitOk ? plain : result->identical() ? kExitOk : kExitDiverged);
}

int RunReplay(const Options& options) {
  workflow::WorkflowRegistry registry;
  interpreter::RegisterInterpreter(&registry);
  if (const Status loaded = LoadWorkflowLibraries(options.libraries, &registry, nullptr); !loaded) return Report(loaded.error());
  Progress progress;
  replay::BatchOptions batch;
  batch.registry = &registry;
  batch.jobs = options.jobs;
  batch.stop_at_seq = options.stop_at;
  batch.keep_commands = options.update;
  batch.compare_snapshots = options.compare_snapshots;
  batch.deadlock_limit_ms = options.deadlock_ms;
  batch.progress = [&](size_t done, size_t total, const replay::ReplayReport&) {
    progress.Show("replayed " + std::to_string(done) + " of " + std::to_string(total));
  };
  if (options.shadow.given) {
    if (!options.paths.empty()) return Report(Error("USAGE", "expected either PATH or --from-server, found both"));
    return RunShadow(options.shadow, batch, options.strict, options.result, options.output);
  }
  if (options.paths.empty()) return Report(Error("USAGE", "expected PATH or --from-server, found neither (see lockstep replay --help)"));
  const auto inputs = replay::FindHistories(options.paths);
  if (!inputs) return Report(inputs.error());
  if (options.prove) {
    const auto proof = reports::ProveReplay(*inputs, registry, options.jobs);
    if (!proof) return Report(proof.error());
    return options.output.Write(options.output.json() ? PrettyJson(reports::ToJson(*proof)) : reports::RenderText(*proof), proof->holds() ? kExitOk : kExitDiverged);
  }
  if (!options.perturb.empty()) return RunPerturbed(options, *inputs, batch, &progress);
  if (options.fingerprint) {
    batch.keep_commands = true;
    return options.output.Write(CanonicalJson(replay::Fingerprints(replay::RunBatch(*inputs, batch))) + "\n", kExitOk);
  }
  history::KeepFreedMemory();
  const replay::BatchResult result = replay::RunBatch(*inputs, batch);
  progress.Show("");
  if (options.update) {
    for (const replay::ReplayReport& report : result.reports) {
      if (const Status updated = UpdateRecord(report); !updated) return Report(updated.error());
    }
  }
  for (const replay::ReplayReport& report : result.reports) {
    if (report.error) progress.Say("lockstep: " + report.error->ToString());
  }
  Json json = WithVersion(replay::ToJson(result, options.strict));
  AddCauses(options, &progress, &json);
  progress.Show("");
  if (const Status written = options.result.Write(PrettyJson(json)); !written) return Report(written.error());
  const int code = options.output.Write(options.output.json() ? PrettyJson(json)
                                                              : replay::RenderText(result, options.strict, options.output.color()),
                                        replay::ExitCode(result, options.strict));
  // Code that never yields still holds its thread; nothing can be waited for.
  if (result.abandoned_threads) std::_Exit(code);
  return code;
}

}  // namespace

void AddReplay(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("replay", "Replay recorded histories against this build and compare everything");
  command->add_option("PATH", options->paths, "Histories, record directories, or folders of them; - reads standard input");
  command->add_option("--jobs,-j", options->jobs, "Histories replayed at once (default: one a core)")->check(CLI::Range(1, 256));
  command->add_flag("--compare-snapshots,!--no-compare-snapshots", options->compare_snapshots, "Compare snapshots as well (default)");
  command->add_option("--stop-at", options->stop_at, "Stop when the engine's event log has reached this runSeq")->check(CLI::Range(int64_t{1}, INT64_MAX, "RUNSEQ of at least 1"));
  command->add_flag("--strict", options->strict, "Drift of retry and time-out numbers counts as divergence");
  command->add_flag("--update", options->update, "Take over source lines of this build into records that it reproduces");
  command->add_flag("--prove", options->prove, "Inject a divergence into a copy of each history and demand that it is found");
  command->add_option("--deadlock-ms", options->deadlock_ms, "Report code that runs longer without yielding (0: never)")->capture_default_str();
  options->shadow.AddOptions(command);
  AddWorkflowsOption(command, &options->libraries);
  command->add_option("--perturb", options->perturb, "Replay also under conditions that must not matter: all, or some of workers,eviction,allocator,hash,\n"
                                                     "timezone,locale,environment,host,clock (docs/perturb.md)");
  command->add_flag("--fingerprint", options->fingerprint, "Print everything that must not change, for --perturb")->group("");
  command->add_option("--causes", options->causes, "Look for the causes of this many diverged histories, and name them in JSON and result")->check(CLI::Range(0, 1000));
  options->result.AddOption(command);
  options->output.AddOptions(command);
  command->footer("Histories are JSON (both enum spellings) or protobuf binary, plain, gzip or zstd.\n"
                  "Examples:\n"
                  "  lockstep replay fixtures/histories\n"
                  "  lockstep replay fixtures/histories --perturb all\n"
                  "  temporal workflow show -w ID --output json | lockstep replay -\n"
                  "  lockstep replay histories/ --workflows build/liborders.so\n"
                  "  lockstep replay --from-server \"WorkflowType='runPlanWorkflow'\" --limit 500 --save corpus --state shadow.json\n"
                  "  lockstep replay record/ --strict --format json --out result.json");
  command->callback([options, run] { *run = [options] { return RunReplay(*options); }; });
}

}  // namespace lockstep::cli
