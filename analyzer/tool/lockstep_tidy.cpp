// lockstep-tidy: the C++ half of `lockstep lint`. Arguments in, one call to RunLint, one rendering out; no logic of its own.
// Exit codes (spec 00 section 3): 0 clean, 1 blocking finding, 2 usage, 3 corrupt input, 4 infrastructure.
#include <CLI/CLI.hpp>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <thread>

#include "analyzer/lint/config.h"
#include "analyzer/lint/lint.h"
#include "analyzer/lint/output.h"
#include "engine-core/base/files.h"
#include "engine-core/base/time.h"

namespace {

using namespace lockstep;
using namespace lockstep::analyzer;

enum Exit { kClean = 0, kBlocked = 1, kUsage = 2, kCorrupt = 3, kInfrastructure = 4 };

int ExitFor(const Error& error) {
  if (error.code == "NOTHING_TO_ANALYSE") return kUsage;
  if (error.code == "COMPILE_COMMANDS_INVALID" || error.code == "CONFIG_INVALID" || error.code == "MODEL_INVALID" || error.code == "BASELINE_INVALID") return kCorrupt;
  if (error.code == "FILE_NOT_FOUND") return kUsage;
  return kInfrastructure;
}

int Failed(const Error& error) {
  std::cerr << "lockstep-tidy: " << error.message << "\n";
  return ExitFor(error);
}

struct Arguments {
  LintOptions lint;
  std::string format = "text";
  std::string out;
  std::string explain;
  std::string write_baseline;
  std::string write_command_baseline;
  bool list_rules = false;
  bool fix = false;
  bool fix_dry_run = false;
  bool no_cache = false;
  bool strict = false;
  std::string colour = "auto";
};

int ListRules(const Arguments& arguments) {
  if (arguments.format == "json") {
    Json list = Json::MakeArray();
    for (const auto& rule : Registry::Get().rules()) {
      list.Push(Json::MakeObject({{"id", rule.id},
                                  {"number", rule.number},
                                  {"family", rule.family},
                                  {"title", rule.title},
                                  {"severity", SeverityName(rule.severity)},
                                  {"reach", rule.reach},
                                  {"replacement", rule.replacement},
                                  {"fix", rule.fix}}));
    }
    std::cout << PrettyJson(list);
    return kClean;
  }
  for (const auto& rule : Registry::Get().rules()) {
    std::string line = rule.number;
    line.resize(5, ' ');
    line += rule.id;
    line.resize(std::max<size_t>(line.size() + 1, 48), ' ');
    line += SeverityName(rule.severity);
    line.resize(std::max<size_t>(line.size() + 1, 57), ' ');
    line += rule.title + (rule.fix ? " (fix)" : "");
    std::cout << line << "\n";
  }
  return kClean;
}

int Explain(const std::string& name) {
  for (const auto& rule : Registry::Get().rules()) {
    if (rule.id != name && rule.number != name && rule.id != "determinism-" + name) continue;
    const auto page = Registry::Page(rule);
    if (!page.empty()) std::cout << page;
    else std::cout << rule.id << " (" << rule.number << ")\n\n" << rule.title << ": " << rule.why << ".\nUse instead: " << rule.replacement << "\n";
    return kClean;
  }
  std::cerr << "lockstep-tidy: --explain: expected a rule id or number, found " << name << " (see --list-rules)\n";
  return kUsage;
}

int Emit(const std::string& text, const std::string& out) {
  if (out.empty()) {
    std::cout << text << std::flush;
    return std::cout ? kClean : kInfrastructure;
  }
  const auto written = WriteFileAtomically(out, text);
  return written ? kClean : Failed(written.error());
}

int Fix(const LintResult& result, const Arguments& arguments) {
  size_t applied = 0;
  const auto texts = ApplyFixes(result.findings, true, &applied);
  if (!texts) return Failed(texts.error());
  if (arguments.fix_dry_run) {
    for (const auto& [file, text] : *texts) {
      const auto before = ReadFile(file);
      if (before) std::cout << RenderDiff(std::filesystem::path(file).lexically_relative(std::filesystem::current_path()).string(), *before, text);
    }
    return kClean;
  }
  const auto written = ApplyFixes(result.findings, false, &applied);
  if (!written) return Failed(written.error());
  std::cerr << "lockstep-tidy: " << applied << " edits in " << written->size() << " files\n";
  return kClean;
}

int Run(Arguments& arguments) {
  LintOptions& lint = arguments.lint;
  if (lint.build_directory.empty()) {
    std::error_code ignored;
    if (std::filesystem::exists("build/compile_commands.json", ignored)) lint.build_directory = "build";
    else if (lint.paths.empty()) {
      std::cerr << "lockstep-tidy: expected -p BUILD or a path, found neither (and no build/compile_commands.json)\n";
      return kUsage;
    }
  }
  if (arguments.no_cache) lint.cache_directory.clear();
  else if (lint.cache_directory.empty() && !lint.build_directory.empty()) lint.cache_directory = lint.build_directory + "/.lockstep-tidy";
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  lint.today = FormatUtcMillis(now).substr(0, 10);
  auto result = RunLint(lint);
  if (!result) return Failed(result.error());
  if (!arguments.write_baseline.empty()) {
    const auto written = WriteFileAtomically(arguments.write_baseline, WriteBaseline(result->findings));
    return written ? kClean : Failed(written.error());
  }
  if (!arguments.write_command_baseline.empty()) {
    const auto written = WriteFileAtomically(arguments.write_command_baseline, WriteCommandBaseline(result->skeletons));
    return written ? kClean : Failed(written.error());
  }
  if (arguments.fix || arguments.fix_dry_run) {
    if (const int code = Fix(*result, arguments); code != kClean) return code;
    if (arguments.fix_dry_run) return result->blocking() ? kBlocked : kClean;
  }
  OutputOptions options;
  options.base = std::filesystem::current_path().string();
  const bool terminal = arguments.out.empty() && isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  options.colour = arguments.colour == "always" || (arguments.colour == "auto" && terminal);
  std::string text;
  if (arguments.format == "json") text = PrettyJson(RenderJson(*result, options));
  else if (arguments.format == "sarif") text = PrettyJson(RenderSarif(*result, options));
  else if (arguments.format == "github") text = RenderGithub(*result, options);
  else text = RenderText(*result, options);
  if (const int code = Emit(text, arguments.out); code != kClean) return code;
  const bool strict = arguments.strict && !(result->findings.empty() && result->broken.empty());
  return result->blocking() || strict ? kBlocked : kClean;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"lockstep-tidy finds C++ code reachable from a workflow that can make a replay differ"};
  app.footer("Examples:\n  lockstep-tidy -p build\n  lockstep-tidy -p build src/billing --format sarif --out lint.sarif\n"
             "  lockstep-tidy -p build --changed-since origin/main\n  lockstep-tidy --explain determinism-wall-clock\n"
             "Exit codes: 0 clean, 1 blocking finding, 2 wrong usage, 3 corrupt input, 4 infrastructure failure");
  Arguments arguments;
  LintOptions& lint = arguments.lint;
  lint.jobs = std::max(1U, std::thread::hardware_concurrency());
  app.add_option("-p,--build", lint.build_directory, "Folder that holds compile_commands.json (default: build)");
  app.add_option("PATH", lint.paths, "Report only findings in these files or folders");
  app.add_option("--roots", lint.roots, "Qualified names or patterns of workflow roots beside the marks")->delimiter(',');
  app.add_option("--deterministic", lint.deterministic, "Names or patterns of deterministic engine code (scope S2)")->delimiter(',');
  app.add_option("--models", lint.models, "Further model files (YAML)")->delimiter(',');
  app.add_option("--config", lint.config, "A configuration file that applies everywhere, after the .lockstep.yaml files");
  app.add_option("--format", arguments.format, "text, json, sarif or github")->check(CLI::IsMember({"text", "json", "sarif", "github"}));
  app.add_option("--out", arguments.out, "Write the result to a file");
  app.add_option("-j,--jobs", lint.jobs, "Files analysed at the same time")->check(CLI::Range(1U, 256U));
  app.add_option("--baseline", lint.baseline, "Do not report what this file lists");
  app.add_option("--write-baseline", arguments.write_baseline, "Write the findings of this run as a baseline");
  app.add_option("--command-baseline", lint.command_baseline, "Stored command skeletons (determinism-ungated-command-change)");
  app.add_option("--write-command-baseline", arguments.write_command_baseline, "Store the command skeletons of this run");
  app.add_option("--changed-since", lint.changed_since, "Report only what the changes since this git revision can have caused");
  app.add_flag("--warnings-as-errors", arguments.strict, "Exit with 1 on any finding, warnings included, and on any file that could not be analysed");
  app.add_flag("--fix", arguments.fix, "Apply the fixes that go with findings");
  app.add_flag("--fix-dry-run", arguments.fix_dry_run, "Print the fixes as a diff instead");
  app.add_option("--file-timeout", lint.file_seconds, "Seconds a file may take, 0 for any number (default: 300)");
  app.add_option("--cache-dir", lint.cache_directory, "Summary cache (default: BUILD/.lockstep-tidy)");
  app.add_flag("--no-cache", arguments.no_cache, "Neither read nor write the cache");
  app.add_option("--colour,--color", arguments.colour, "auto, always or never")->check(CLI::IsMember({"auto", "always", "never"}));
  app.add_option("--explain", arguments.explain, "Print the page of a rule");
  app.add_flag("--list-rules", arguments.list_rules, "List all rules");
  app.set_version_flag("--version", "lockstep-tidy 0.1.0");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kClean : kUsage;
  }
  if (arguments.list_rules) return ListRules(arguments);
  if (!arguments.explain.empty()) return Explain(arguments.explain);
  const int code = Run(arguments);
  if (!LeftWorkBehind()) return code;
  // A compiler that could not be stopped still runs: leave without tearing down what it uses.
  std::cout.flush();
  std::_Exit(code);
}
