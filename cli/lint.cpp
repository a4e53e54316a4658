// `lockstep lint`: C++ and plan JSON in one run.
#include "reports/gather/lint.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/result_file.h"
#include "reports/gather/programs.h"
#include "reports/render/render.h"

namespace lockstep::cli {
namespace {

struct Options {
  reports::LintRequest request;
  bool fix = false;
  bool fix_dry_run = false;
  bool list_rules = false;
  bool no_cache = false;
  std::string explain, write_command_baseline, command_baseline, cache_dir;
  std::vector<std::string> roots, models, deterministic;
  unsigned jobs = 0;
  int64_t max_warnings = -1;
  ResultFile result;
  Output output;
};

// lockstep-tidy lies beside this program, or in PATH.
std::string TidyProgram() {
  const std::filesystem::path beside = std::filesystem::path(OwnProgram()).parent_path() / "lockstep-tidy";
  std::error_code error;
  return std::filesystem::exists(beside, error) ? beside.string() : "lockstep-tidy";
}

std::vector<std::string> TidyArguments(const Options& options, const std::vector<std::string>& extras) {
  std::vector<std::string> words = extras;
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {option, value});
  };
  for (const auto& root : options.roots) add("--roots", root);
  for (const auto& model : options.models) add("--models", model);
  for (const auto& name : options.deterministic) add("--deterministic", name);
  add("--command-baseline", options.command_baseline);
  add("--cache-dir", options.cache_dir);
  if (options.no_cache) words.push_back("--no-cache");
  if (options.jobs > 0) add("--jobs", std::to_string(options.jobs));
  if (options.fix) words.push_back("--fix");
  return words;
}

// What only lockstep-tidy can do: its output is ours.
int PassThrough(std::vector<std::string> argv) {
  const auto run = reports::RunProgram(argv, {}, &interrupted);
  if (!run) return Report(run.error());
  std::fwrite(run->out.data(), 1, run->out.size(), stdout);
  std::fwrite(run->err.data(), 1, run->err.size(), stderr);
  return run->exit_code > 4 ? kExitInfrastructure : run->exit_code;
}

int RunLint(Options options, const std::vector<std::string>& extras) {
  WatchSignals();
  const std::string tidy = TidyProgram();
  if (options.list_rules)
    return PassThrough({tidy, "--list-rules", "--format", options.output.json() ? "json" : "text"});
  if (!options.explain.empty()) return PassThrough({tidy, "--explain", options.explain});
  reports::LintRequest& request = options.request;
  request.tidy_program = tidy;
  request.tidy_arguments = TidyArguments(options, extras);
  request.interrupted = &interrupted;
  if (options.fix_dry_run || !options.write_command_baseline.empty()) {
    std::vector<std::string> argv = {tidy};
    if (!request.build_directory.empty()) argv.insert(argv.end(), {"-p", request.build_directory});
    argv.insert(argv.end(), request.tidy_arguments.begin(), request.tidy_arguments.end());
    if (options.fix_dry_run) argv.push_back("--fix-dry-run");
    if (!options.write_command_baseline.empty())
      argv.insert(argv.end(), {"--write-command-baseline", options.write_command_baseline});
    argv.insert(argv.end(), request.paths.begin(), request.paths.end());
    return PassThrough(argv);
  }
  const auto outcome = reports::RunLint(request);
  if (!outcome) return Report(outcome.error());
  const auto& result = outcome->result;
  reports::RenderOptions render;
  render.color = options.output.color();
  render.brief = true;
  render.base = std::filesystem::current_path().string();
  render.tool_version = LOCKSTEP_VERSION;
  const bool over_budget = options.max_warnings >= 0 && result.summary().warnings() > options.max_warnings;
  int code = !request.write_baseline.empty() ? kExitOk
             : over_budget                   ? kExitDiverged
                                             : reports::ExitCodeFor(result.verdict());
  if (outcome->tidy_failure != 0) {
    code = outcome->tidy_failure;
    std::fprintf(stderr, "lockstep: %s\n", result.problems(0).message().c_str());
  }
  for (const auto& problem : result.problems()) {
    if (problem.fatal() && problem.code() != "LINT_FAILED")
      std::fprintf(stderr, "lockstep: %s: %s\n", problem.code().c_str(), problem.message().c_str());
  }
  if (over_budget)
    std::fprintf(stderr, "lockstep: WARNINGS_OVER_BUDGET: expected at most %lld warnings, found %d\n",
                 static_cast<long long>(options.max_warnings), result.summary().warnings());
  if (const Status written = options.result.Write(reports::ToJson(result)); !written) return Report(written.error());
  return options.output.Write(reports::Render({result}, *reports::FormatFromName(options.output.format), render), code);
}

}  // namespace

void AddLint(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("lint", "Find non-deterministic C++ and plans before they run");
  reports::LintRequest& request = options->request;
  command->add_option("PATH", request.paths,
                      "Files or folders with C++ or plans (default: the whole program, and plans below this folder)");
  command->add_option("-p,--build", request.build_directory,
                      "Folder that holds compile_commands.json (default: build, when it has one)");
  command->add_option("--changed-since", request.changed_since,
                      "Only findings that changes since this git revision can have caused");
  command->add_option("--baseline", request.baseline, "Do not report what this file lists");
  command->add_option("--write-baseline", request.write_baseline, "Write the findings of this run as a baseline");
  command->add_flag("!--no-plans", request.plans, "C++ only");
  command->add_flag("--fix", options->fix, "Apply the fixes that go with findings (C++)");
  command->add_flag("--fix-dry-run", options->fix_dry_run, "Print the fixes as a diff instead");
  command->add_option("--max-warnings", options->max_warnings, "More warnings than this block as well")
      ->check(CLI::Range(int64_t{0}, INT64_MAX, "COUNT"));
  command->add_option("--config", request.config,
                      "A configuration file that applies everywhere, after the .lockstep.yaml files");
  command->add_option("--sql-dialect", request.dialect, "Dialect of SQL in plans whose connection does not tell")
      ->check(CLI::IsMember({"generic", "postgres", "mysql", "sqlite", "tsql", "oracle", "snowflake", "bigquery",
                             "duckdb", "clickhouse", "spark", "trino"}));
  command->add_option("--roots", options->roots, "Qualified names or patterns of workflow roots beside the marks")
      ->delimiter(',');
  command->add_option("--deterministic", options->deterministic, "Names or patterns of deterministic engine code")
      ->delimiter(',');
  command->add_option("--models", options->models, "Further model files (YAML)")->delimiter(',');
  command->add_option("--command-baseline", options->command_baseline, "Stored command skeletons");
  command->add_option("--write-command-baseline", options->write_command_baseline,
                      "Store the command skeletons of this run");
  command->add_option("--jobs,-j", options->jobs, "Files analysed at the same time (default: one a core)")
      ->check(CLI::Range(1, 256));
  command->add_option("--cache-dir", options->cache_dir, "Summary cache (default: BUILD/.lockstep-tidy)");
  command->add_flag("--no-cache", options->no_cache, "Neither read nor write the cache");
  command->add_option("--explain", options->explain, "Print the page of a rule");
  command->add_flag("--list-rules", options->list_rules, "List all rules");
  options->result.AddOption(command);
  options->output.AddOptions(command, {"text", "json", "sarif", "github"});
  command->allow_extras();
  command->footer(
      "Options that are not listed go to lockstep-tidy, written as --option=value.\n"
      "Exit codes: 0 clean, 1 blocking finding, 2 wrong usage, 3 corrupt input, 4 infrastructure failure.\n"
      "Examples:\n"
      "  lockstep lint -p build                     # the whole program and every plan\n"
      "  lockstep lint plans/ --format github\n"
      "  lockstep lint -p build --changed-since origin/main --format sarif --out lint.sarif\n"
      "  lockstep lint --explain determinism-plan-current-time");
  command->callback([options, command, run] {
    const std::vector<std::string> extras = command->remaining();
    for (const std::string& extra : extras) {
      if (!extra.starts_with("-")) throw CLI::ValidationError("lint", "expected an option or a path, found " + extra);
    }
    *run = [options, extras] { return RunLint(*options, extras); };
  });
}

}  // namespace lockstep::cli
