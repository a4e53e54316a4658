// `lockstep trace`: where a replay first leaves its history, why, and what would repair it.
#include "replay/trace/trace.h"

#include <chrono>
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/result_file.h"
#include "engine-core/base/files.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/workflow/registry.h"
#include "replay/trace/run_program.h"
#include "replay/trace/timeline_page.h"

namespace lockstep::cli {
namespace {

struct Options {
  std::vector<std::string> libraries;
  std::string path;
  std::string against;
  int64_t divergence_seq = 0;
  std::vector<std::string> sources;
  std::string changed_since;
  std::string diff;
  std::string findings;
  std::string build;
  bool no_experiments = false;
  bool no_changes = false;
  std::string html;
  int64_t execution = 0;
  int64_t deadlock_ms = 2'000;
  ResultFile result;
  Output output;
};

// What the analyzer says of the tree, from the program that lies beside this one.
Result<std::vector<replay::Finding>> RunAnalyzer(const std::string& build, const std::string& tree) {
  const std::string program = (std::filesystem::path(OwnProgram()).parent_path() / "lockstep-tidy").string();
  LOCKSTEP_ASSIGN(const replay::ProgramResult tidy,
                  replay::RunProgram({program, "-p", build, "--format", "json"},
                                     {.directory = tree, .keep_bytes = size_t{256} << 20}));
  // 1: there are findings.
  if (tidy.exit_code > 1)
    return Fail("ANALYZER_FAILED", "lockstep-tidy -p " + build + ": " + tidy.errors.substr(0, tidy.errors.find('\n')));
  return replay::ParseFindings(tidy.output);
}

// A record that is kept with the code was in step with it when it was committed: what changed since then is to be
// weighed. Empty when git does not know the path.
std::string LastCommitOf(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (path == "-" || !std::filesystem::exists(absolute, error)) return {};
  const auto git = replay::RunProgram({"git", "log", "-1", "--format=%H", "--", absolute.string()},
                                      {.directory = absolute.parent_path().string(), .timeout_ms = 30'000});
  return git && git->exit_code == 0 ? git->output.substr(0, git->output.find('\n')) : std::string();
}

// What is known of the source beside the history.
Status ReadSources(const Options& options, replay::TraceOptions* trace) {
  if (options.sources.empty()) {
    trace->sources.push_back(replay::TreeAround("."));
  } else {
    for (const std::string& source : options.sources) trace->sources.emplace_back(source);
  }
  const bool asked = !options.changed_since.empty();
  const std::string since = asked                                         ? options.changed_since
                            : options.no_changes || !options.diff.empty() ? std::string()
                                                                          : LastCommitOf(options.path);
  if (!since.empty()) {
    auto changes = replay::ChangesSince(trace->sources.front().string(), since);
    if (!changes && asked) return Fail(changes.error());
    if (changes) {
      trace->changes = std::move(*changes);
      trace->changes_known = true;
      trace->changed_since = asked ? since : since.substr(0, 12) + ", the last commit of the record";
    }
  }
  if (!options.diff.empty()) {
    LOCKSTEP_ASSIGN(const std::string text, ReadFile(options.diff));
    LOCKSTEP_ASSIGN(auto hunks, replay::ParseDiff(text));
    trace->changes.insert(trace->changes.end(), hunks.begin(), hunks.end());
    trace->changes_known = true;
    if (trace->changed_since.empty()) trace->changed_since = "what " + options.diff + " starts from";
  }
  if (!options.findings.empty()) {
    LOCKSTEP_ASSIGN(const std::string text, ReadFile(options.findings));
    LOCKSTEP_ASSIGN(trace->findings, replay::ParseFindings(text));
  }
  if (!options.build.empty()) {
    std::error_code error;
    LOCKSTEP_ASSIGN(auto findings, RunAnalyzer(std::filesystem::absolute(options.build, error).string(),
                                               trace->sources.front().string()));
    trace->findings.insert(trace->findings.end(), findings.begin(), findings.end());
  }
  return {};
}

// The record of the very run gives events, snapshots and lines to compare with; that of another run is compared as a
// whole.
Result<bool> JoinRecord(const std::string& path, replay::ReplayInput* input, replay::ReplayInput* other) {
  LOCKSTEP_ASSIGN(*other, replay::LoadInput(path));
  if (!other->record) return Fail("INPUT_NOT_A_RECORD", path + ": expected a record directory, found a history");
  const bool same_run = other->histories.front().info.run_id == input->histories.front().info.run_id &&
                        !input->histories.front().info.run_id.empty();
  if (same_run) input->record = std::move(other->record);
  return same_run;
}

// A damaged input has a cause too, and programs that read the JSON should see it.
int ReportUnreadable(const Options& options, const Error& error) {
  const int code = Report(error);
  if (code != kExitCorrupt) return code;
  const Json cause = Json::MakeObject({{"cause", "corrupt-record"},
                                       {"meaning", replay::CauseMeaning("corrupt-record")},
                                       {"confidence", 1},
                                       {"evidence", Json(Json::Array{Json(error.message)})}});
  const Json json = Json::MakeObject({{"format", "lockstep.divergence/1"},
                                      {"path", options.path},
                                      {"verdict", "UNREADABLE"},
                                      {"error", Json::MakeObject({{"code", error.code}, {"message", error.message}})},
                                      {"causes", Json(Json::Array{cause})}});
  if (const Status written = options.result.Write(PrettyJson(json)); !written) return Report(written.error());
  return options.output.json() ? options.output.Write(PrettyJson(json), code) : code;
}

// The page shows the execution that differs, or the one asked for; beside it the other run.
Status WritePage(const Options& options, const workflow::WorkflowRegistry& registry, const replay::ReplayInput& input,
                 const replay::ReplayInput* other, const replay::TraceReport& report) {
  const size_t tasks = report.plan.tasks.size();
  const size_t safe = report.verdict == replay::TraceVerdict::kDiverged && report.first_bad > 0
                          ? std::min(tasks, report.first_bad - 1)
                          : tasks;
  size_t execution = options.execution > 0 ? static_cast<size_t>(options.execution) - 1 : 0;
  if (options.execution == 0 && report.first_bad > 0 && tasks > 0)
    execution = static_cast<size_t>(report.plan.tasks[std::min(report.first_bad, tasks) - 1].execution) - 1;
  if (execution >= input.histories.size())
    return Fail("INPUT_EXECUTION_OUT_OF_RANGE", options.path + ": expected an execution from 1 to " +
                                                    std::to_string(input.histories.size()) + ", found " +
                                                    std::to_string(execution + 1));
  std::vector<Json> runs;
  runs.push_back(replay::TimelineRun(input, execution, &registry, safe));
  if (other != nullptr)
    runs.push_back(replay::TimelineRun(*other, std::min(execution, other->histories.size() - 1), nullptr, 0));
  return WriteFileAtomically(options.html, replay::TimelinePage(std::move(runs), replay::ToJson(report)));
}

int RunTrace(const Options& options) {
  workflow::WorkflowRegistry registry;
  interpreter::RegisterInterpreter(&registry);
  if (const Status loaded = LoadWorkflowLibraries(options.libraries, &registry, nullptr); !loaded)
    return Report(loaded.error());
  auto input = replay::LoadInput(options.path);
  if (!input) return ReportUnreadable(options, input.error());
  replay::TraceOptions trace;
  trace.registry = &registry;
  trace.divergence_seq = options.divergence_seq;
  trace.experiments = !options.no_experiments;
  trace.deadlock_ms = options.deadlock_ms;
  trace.now_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  if (const Status read = ReadSources(options, &trace); !read) return Report(read.error());
  replay::TraceReport report;
  bool other_run = false;
  replay::ReplayInput other;
  if (!options.against.empty()) {
    const auto joined = JoinRecord(options.against, &*input, &other);
    if (!joined) return Report(joined.error());
    other_run = !*joined;
    if (other_run) report = replay::CompareRuns(*input, other);
  }
  if (!other_run) {
    auto traced = replay::TraceHistory(*input, trace);
    if (!traced) return Report(traced.error());
    report = std::move(*traced);
  }
  if (!options.html.empty()) {
    if (const Status written = WritePage(options, registry, *input, other_run ? &other : nullptr, report); !written)
      return Report(written.error());
  }
  const std::string json = PrettyJson(replay::ToJson(report));
  if (const Status written = options.result.Write(json); !written) return Report(written.error());
  replay::SourceTree sources(trace.sources);
  return options.output.Write(options.output.json() ? json
                                                    : replay::RenderTrace(report, &sources, options.output.color()),
                              replay::ExitCode(report));
}

}  // namespace

void AddTrace(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app->add_subcommand("trace", "Where a replay first leaves its history, why, and what would repair it");
  command->add_option("HISTORY", options->path, "A history or a record directory; - reads standard input")->required();
  command->add_option("--against", options->against,
                      "Record of the same run (gives events, snapshots, lines), or of another run of the plan");
  command
      ->add_option("--divergence-seq", options->divergence_seq,
                   "Explain the first difference at or after this number of the event log")
      ->check(CLI::PositiveNumber);
  command->add_option(
      "--source", options->sources,
      "Source tree of this build (default: the git tree around the working directory); may be repeated");
  command->add_option("--changed-since", options->changed_since,
                      "A revision that was in step: what changed since then is weighed, and gated in the patch "
                      "(default: the last commit of the record)");
  command->add_flag("--no-changes", options->no_changes, "Do not look at what changed since the record was committed");
  command->add_option("--diff", options->diff, "The same, from a unified diff");
  command->add_option("--findings", options->findings, "JSON of lockstep-tidy for this tree");
  command->add_option("-p,--build", options->build,
                      "Build folder of this tree: run lockstep-tidy on it first (minutes, then from its cache)");
  command->add_flag("--no-experiments", options->no_experiments, "Do not replay again under other conditions");
  command->add_option("--deadlock-ms", options->deadlock_ms, "How long code may run without yielding")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--html", options->html, "Also write the time line as one HTML page to this file");
  command
      ->add_option("--execution", options->execution,
                   "With --html, which execution of a chain (default: the one that differs)")
      ->check(CLI::PositiveNumber);
  AddWorkflowsOption(command, &options->libraries);
  options->result.AddOption(command);
  options->output.AddOptions(command);
  command->footer(
      "Exit code 0 in step, 1 divergence, 3 corrupt input. With --format json: divergence.json.\n"
      "Examples:\n"
      "  lockstep trace fixtures/histories/diamond --changed-since origin/main\n"
      "  lockstep trace history.json --against record --format json --out divergence.json\n"
      "  lockstep trace history.json --html timeline.html\n"
      "  lockstep trace run-2 --against run-1      # two recorded runs of one plan");
  command->callback([options, run] { *run = [options] { return RunTrace(*options); }; });
}

}  // namespace lockstep::cli
