#include "reports/gather/lint.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "analyzer/plan/plan_lint.h"
#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/base/json.h"
#include "reports/gather/programs.h"

namespace lockstep::reports {
namespace {

namespace fs = std::filesystem;
using analyzer::PlanFinding;
using analyzer::PlanReport;

constexpr std::string_view kCppSuffixes[] = {".c",  ".cc",  ".cpp", ".cppm", ".cxx", ".c++", ".h",
                                             ".hh", ".hpp", ".hxx", ".h++",  ".inl", ".ipp", ".tcc"};

bool IsCpp(const fs::path& file) {
  const std::string suffix = AsciiLower(file.extension().string());
  return std::find(std::begin(kCppSuffixes), std::end(kCppSuffixes), suffix) != std::end(kCppSuffixes);
}

bool HoldsCpp(const fs::path& folder) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error), end;
       it != end && !error; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (it->is_directory(error) &&
        (name.starts_with('.') || name == "node_modules" || fs::exists(it->path() / "CMakeCache.txt", error)))
      it.disable_recursion_pending();
    else if (IsCpp(it->path()))
      return true;
  }
  return false;
}

// What there is to do, by kind.
struct Work {
  std::vector<std::string> cpp;    // paths for lockstep-tidy
  std::vector<std::string> plans;  // files
  bool whole_program = false;
  bool cpp_named = false;  // a C++ file was named, or -p was given
  std::string build;
};

Result<Work> Divide(const LintRequest& request) {
  Work work;
  std::error_code error;
  work.build = request.build_directory;
  if (work.build.empty() && fs::exists("build/compile_commands.json", error)) work.build = "build";
  const std::vector<std::string> paths = request.paths.empty() ? std::vector<std::string>{"."} : request.paths;
  LOCKSTEP_ASSIGN(auto found, analyzer::FindPlans(paths));
  if (request.plans) work.plans = std::move(found.files);
  work.whole_program = request.paths.empty() && !work.build.empty();
  work.cpp_named = !request.build_directory.empty();
  for (const std::string& path : request.paths) {
    if (fs::is_directory(path, error)) {
      if (HoldsCpp(path)) work.cpp.push_back(path);
    } else if (IsCpp(path)) {
      work.cpp.push_back(path);
      work.cpp_named = true;
    } else if (fs::path(path).extension() != ".json") {
      return Fail("INPUT_INVALID", path + ": expected C++ or plan JSON, found another kind of file");
    }
  }
  if (work.plans.empty() && work.cpp.empty() && !work.whole_program) {
    return Fail("INPUT_EMPTY",
                paths.front() + ": expected C++ sources or plans, found neither" +
                    (work.build.empty() ? " (and no build/compile_commands.json; -p names a build folder)" : ""));
  }
  return work;
}

// --- C++
// -------------------------------------------------------------------------------------------------------------------

class SourceLines {
 public:
  std::string Of(const std::string& file, int line) {
    const auto [it, fresh] = lines_.try_emplace(file);
    if (fresh) {
      if (const auto text = ReadFile(file, 64 << 20)) {
        for (const std::string_view part : Split(*text, '\n'))
          it->second.emplace_back(part.ends_with('\r') ? part.substr(0, part.size() - 1) : part);
      }
    }
    const size_t index = static_cast<size_t>(line) - 1;
    constexpr size_t kLongest = 400;
    return line > 0 && index < it->second.size() && it->second[index].size() <= kLongest ? it->second[index]
                                                                                         : std::string();
  }

 private:
  std::map<std::string, std::vector<std::string>> lines_;
};

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

Status RunCpp(const LintRequest& request, const Work& work, LintOutcome* outcome) {
  if (work.build.empty() && !work.cpp_named) {
    if (!work.cpp.empty())
      outcome->result.add_notes("C++ in " + work.cpp.front() +
                                " was not analysed: no compile_commands.json found (-p BUILD names its folder)");
    return {};
  }
  if (work.cpp.empty() && !work.whole_program) return {};
  std::vector<std::string> argv = {request.tidy_program, "--format", "json"};
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) argv.insert(argv.end(), {option, value});
  };
  add("-p", work.build);
  add("--changed-since", request.changed_since);
  add("--baseline", request.baseline);
  add("--config", request.config);
  argv.insert(argv.end(), request.tidy_arguments.begin(), request.tidy_arguments.end());
  argv.insert(argv.end(), work.cpp.begin(), work.cpp.end());
  LOCKSTEP_ASSIGN(const ProgramResult run, RunProgram(argv, {}, request.interrupted));
  auto parsed = run.exit_code <= 1 ? ParseResult(run.out, "lockstep-tidy")
                                   : Result<v1::Result>(Fail("LINT_FAILED", FirstLine(run.err)));
  if (parsed) {
    outcome->result.MergeFrom(*parsed);
    return {};
  }
  // Folders whose sources are in no build: with plans beside them that is a note, alone it is wrong usage.
  if (run.exit_code == 2 && !work.plans.empty() && !work.cpp_named) {
    outcome->result.add_notes(FirstLine(run.err));
    return {};
  }
  outcome->tidy_failure = run.exit_code >= 2 && run.exit_code <= 4 ? run.exit_code : 4;
  auto* problem = outcome->result.add_problems();
  problem->set_code("LINT_FAILED");
  problem->set_message(parsed.error().message.empty() ? "lockstep-tidy: exit code " + std::to_string(run.exit_code)
                                                      : parsed.error().message);
  problem->set_fatal(true);
  return {};
}

// --- plans
// -------------------------------------------------------------------------------------------------------------------

void AddPlanFinding(const PlanReport& report, const PlanFinding& finding, v1::Result* result) {
  auto* out = result->add_findings();
  out->set_id(finding.rule->id);
  out->set_severity(std::string(analyzer::SeverityName(finding.severity)));
  out->set_verdict(std::string(analyzer::VerdictName(finding.verdict)));
  out->set_message(finding.Message());
  out->set_what(finding.what);
  out->set_replacement(finding.rule->replacement);
  out->set_file(finding.file.starts_with("./") ? finding.file.substr(2) : finding.file);
  out->set_line(static_cast<int>(finding.line));
  out->set_column(static_cast<int>(finding.column));
  out->set_pointer(finding.pointer);
  out->set_step_id(finding.step_id);
  out->set_plan_id(report.plan_id);
  out->set_fingerprint(finding.fingerprint);
  out->set_source_line(finding.source_line);
}

Result<std::set<std::string>> BaselineOf(const std::string& file) {
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(file));
  const auto json = ParseJson(text, {.max_depth = 8, .max_string_bytes = 1 << 20});
  const Json* list = json ? json->Find("findings") : nullptr;
  if (list == nullptr || !list->is_array())
    return Fail("BASELINE_INVALID",
                file + ": expected an array member `findings`" + (json ? "" : ": " + json.error().message));
  std::set<std::string> known;
  for (const Json& entry : list->AsArray()) known.insert(entry.GetString("fingerprint"));
  return known;
}

// Plans that differ from a revision, and what was already found in them there.
struct Change {
  std::string top;
  std::set<std::string> files;  // absolute
};

Result<Change> ChangeSince(const std::string& revision) {
  Change change;
  LOCKSTEP_ASSIGN(change.top, Git({}, {"rev-parse", "--show-toplevel"}));
  while (change.top.ends_with('\n')) change.top.pop_back();
  LOCKSTEP_ASSIGN(const std::string changed, Git(change.top, {"diff", "--name-only", "-z", revision, "--"}));
  LOCKSTEP_ASSIGN(const std::string untracked, Git(change.top, {"ls-files", "--others", "--exclude-standard", "-z"}));
  for (const std::string& list : {changed, untracked}) {
    for (const std::string_view name : Split(list, '\0')) {
      if (!name.empty()) change.files.insert((fs::path(change.top) / name).lexically_normal().string());
    }
  }
  return change;
}

std::set<std::string> FoundBefore(const Change& change, const std::string& revision, const std::string& file,
                                  const analyzer::PlanLintOptions& options) {
  std::set<std::string> before;
  const std::string name = fs::path(file).lexically_relative(change.top).generic_string();
  const auto bytes = Git(change.top, {"show", revision + ":" + name});
  if (!bytes) return before;  // a new file
  for (const PlanFinding& finding : analyzer::LintPlan(file, *bytes, options).findings)
    before.insert(finding.fingerprint);
  return before;
}

Status RunPlans(const LintRequest& request, const Work& work, v1::Result* result) {
  analyzer::PlanLintOptions options;
  options.dialect = analyzer::SqlDialectFromName(request.dialect).value_or(analyzer::SqlDialect::kGeneric);
  options.config = request.config;
  Change change;
  if (!request.changed_since.empty() && !work.plans.empty()) {
    LOCKSTEP_ASSIGN(change, ChangeSince(request.changed_since));
  }
  std::set<std::string> known;
  if (!request.baseline.empty()) {
    LOCKSTEP_ASSIGN(known, BaselineOf(request.baseline));
  }
  LOCKSTEP_ASSIGN(const std::vector<PlanReport> reports, analyzer::LintPlanFiles(work.plans, options));
  auto* summary = result->mutable_summary();
  for (const PlanReport& report : reports) {
    std::error_code error;
    const std::string absolute = fs::weakly_canonical(report.file, error).string();
    std::set<std::string> before;
    if (!request.changed_since.empty()) {
      if (!change.files.contains(absolute)) {
        summary->set_unaffected(summary->unaffected() + static_cast<int>(report.findings.size()));
        continue;
      }
      before = FoundBefore(change, request.changed_since, absolute, options);
    }
    summary->set_plans(summary->plans() + 1);
    auto* row = result->add_plans();
    row->set_file(report.file.starts_with("./") ? report.file.substr(2) : report.file);
    row->set_plan_id(report.plan_id);
    row->set_plan_version(report.plan_version);
    row->set_steps(static_cast<int>(report.steps));
    for (const auto& [step, kind] : report.step_kinds) {
      auto* step_row = row->add_step_rows();
      step_row->set_step_id(step);
      step_row->set_kind(kind);
    }
    for (const PlanFinding& finding : report.findings) {
      if (known.contains(finding.fingerprint))
        summary->set_baselined(summary->baselined() + 1);
      else if (before.contains(finding.fingerprint))
        summary->set_unaffected(summary->unaffected() + 1);
      else
        AddPlanFinding(report, finding, result);
    }
    for (const auto& problem : report.problems) {
      auto* out = result->add_problems();
      out->set_file(report.file);
      out->set_code(problem.code);
      out->set_message(problem.message);
      out->set_fatal(problem.corrupt);
    }
  }
  return {};
}

Status WriteBaseline(const std::string& file, const v1::Result& result) {
  std::map<std::string, const v1::Finding*> unique;
  for (const auto& finding : result.findings()) unique.emplace(finding.fingerprint(), &finding);
  Json list = Json::MakeArray();
  for (const auto& [fingerprint, finding] : unique) {
    std::string line;
    for (const char c : finding->source_line()) {
      if (c != ' ' && c != '\t') line += c;
    }
    list.Push(Json::MakeObject({{"fingerprint", fingerprint}, {"rule", finding->id()}, {"line", line}}));
  }
  return WriteFileAtomically(file, PrettyJson(Json::MakeObject({{"format", 1}, {"findings", std::move(list)}})));
}

}  // namespace

Result<LintOutcome> RunLint(const LintRequest& request) {
  LintOutcome outcome;
  outcome.result.set_tool("lint");
  LOCKSTEP_ASSIGN(const Work work, Divide(request));
  LOCKSTEP_TRY(RunCpp(request, work, &outcome));
  SourceLines lines;
  for (auto& finding : *outcome.result.mutable_findings()) {
    if (finding.source_line().empty()) finding.set_source_line(lines.Of(finding.file(), finding.line()));
  }
  LOCKSTEP_TRY(RunPlans(request, work, &outcome.result));
  outcome.result.set_tool("lint");
  outcome.result.set_changed_since(request.changed_since);
  SortFindings(&outcome.result);
  Normalize(&outcome.result);
  if (!request.write_baseline.empty()) LOCKSTEP_TRY(WriteBaseline(request.write_baseline, outcome.result));
  return outcome;
}

}  // namespace lockstep::reports
