#include "analyzer/plan/plan_lint.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

#include "analyzer/lint/config.h"
#include "analyzer/plan/plan_rules.h"
#include "engine-core/base/check.h"
#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"
#include "engine-core/plan/issues.h"
#include "engine-core/plan/loader.h"
#include "engine-core/plan/source_map.h"

namespace lockstep::analyzer {
namespace {

namespace fs = std::filesystem;

// What a finding means for running workflows: rules on control flow can change commands, the others change data.
Verdict VerdictOf(std::string_view rule) {
  constexpr std::string_view kControl[] = {"condition", "timeout-fallback", "undeclared-dependency", "signal-order",
                                           "parallelism"};
  if (rule == "missing-bounds") return Verdict::kInert;
  return std::find(std::begin(kControl), std::end(kControl), rule) != std::end(kControl) ? Verdict::kCommandChanging
                                                                                         : Verdict::kPayloadOnly;
}

std::string LineOf(const std::string& text, size_t line) {
  size_t begin = 0;
  for (size_t i = 1; i < line; ++i) {
    begin = text.find('\n', begin);
    if (begin == std::string::npos) return {};
    ++begin;
  }
  std::string found = text.substr(begin, text.find('\n', begin) - begin);
  // A plan may be one long line.
  constexpr size_t kShown = 300;
  if (found.size() > kShown) found = std::string();
  return found;
}

// The pointer with the step's position replaced by its id.
std::string StablePointer(const PlanView& view, const PlanHit& hit) {
  if (hit.step == kNoStep) return hit.pointer;
  const PlanStep& step = view.steps[hit.step];
  return step.step_id + (hit.pointer.starts_with(step.pointer) ? hit.pointer.substr(step.pointer.size()) : hit.pointer);
}

void AddLoaderProblems(const std::string& bytes, const plan::SourceMap& map, PlanReport* report) {
  const auto parsed = plan::ParsePlanDocument(bytes, /*allow_test_kinds=*/true);
  if (parsed) return;
  const bool of_step = parsed.error().code == "INVALID_STEP_SCHEMA";
  const std::vector<Issue>& issues = parsed.error().issues;
  if (issues.empty()) {
    report->problems.push_back({report->file, parsed.error().code, parsed.error().message, !of_step});
    return;
  }
  for (const Issue& issue : issues) {
    // Told by the rule that knows better.
    const std::string pointer = plan::PointerFromPath(issue.path);
    const bool told = std::any_of(report->findings.begin(), report->findings.end(), [&](const PlanFinding& finding) {
      return finding.rule->id == "determinism-plan-undeclared-dependency" &&
             (finding.pointer == pointer || finding.pointer.starts_with(pointer + "/") ||
              pointer.starts_with(finding.pointer));
    });
    if (told) continue;
    const plan::SourcePosition at = map.Nearest(pointer);
    report->problems.push_back({report->file, parsed.error().code,
                                report->file + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " +
                                    issue.path + ": " + issue.code + ": " + issue.message,
                                !of_step});
  }
}

}  // namespace

void PlanHits::Add(std::string_view rule, const std::string& pointer, size_t step, const std::string& what,
                   std::optional<Severity> severity) {
  const auto [it, fresh] = index_.emplace(std::make_pair(std::string(rule), pointer), hits_.size());
  if (fresh) {
    hits_.push_back({std::string(rule), pointer, step, what, severity});
    return;
  }
  PlanHit& hit = hits_[it->second];
  if (hit.what.find(what) == std::string::npos && hit.what.size() < 400) hit.what += ", " + what;
}

std::string PlanFinding::Message() const {
  return (step_id.empty() ? std::string() : "step " + step_id + ": ") + what + ": " + rule->why + "; use " +
         rule->replacement;
}

PlanReport LintPlan(const std::string& file, const std::string& bytes, const PlanLintOptions& options) {
  PlanReport report;
  report.file = file;
  const auto document = ParseJson(bytes, {.max_depth = 64, .max_string_bytes = 1 << 20});
  if (!document) {
    report.problems.push_back({file, document.error().code, file + ": " + document.error().message, true});
    return report;
  }
  if (!LooksLikePlan(*document)) {
    report.problems.push_back(
        {file, "INVALID_PLAN_SCHEMA",
         file + ": $: expected a plan (an object with metadata and steps), found " + std::string(document->KindName()),
         true});
    return report;
  }
  const auto map = plan::SourceMap::Build(bytes);
  LOCKSTEP_CHECK(map.has_value(), "a document that was parsed has positions");
  const PlanView view = ViewPlan(*document, options.dialect);
  report.plan_id = view.plan_id;
  if (const Json* version = document->At("/metadata/planVersion"); version != nullptr && version->is_string())
    report.plan_version = version->AsString();
  report.steps = view.steps.size();
  for (const PlanStep& step : view.steps) report.step_kinds.emplace_back(step.step_id, step.kind);
  PlanHits hits;
  RunSqlRules(view, &hits);
  RunTextRules(view, &hits);
  RunShapeRules(view, &hits);
  std::map<std::string, int> seen;
  for (const PlanHit& hit : hits.Take()) {
    PlanFinding finding;
    finding.rule = Registry::Get().Find("determinism-plan-" + hit.rule);
    LOCKSTEP_CHECK(finding.rule != nullptr, hit.rule);
    finding.severity = hit.severity.value_or(finding.rule->severity);
    finding.verdict = VerdictOf(hit.rule);
    finding.file = file;
    finding.pointer = hit.pointer;
    if (hit.step != kNoStep) finding.step_id = view.steps[hit.step].step_id;
    const plan::SourcePosition at = map->Nearest(hit.pointer);
    finding.line = at.line;
    finding.column = at.column;
    finding.what = hit.what;
    finding.source_line = LineOf(bytes, at.line);
    const std::string key = hit.rule + "\n" + view.plan_id + "\n" + StablePointer(view, hit) + "\n" + hit.what;
    finding.fingerprint = Sha256Hex(key + "\n" + std::to_string(seen[key]++)).substr(0, 32);
    report.findings.push_back(std::move(finding));
  }
  std::sort(report.findings.begin(), report.findings.end(), [](const PlanFinding& a, const PlanFinding& b) {
    return std::tie(a.line, a.column, a.rule->id, a.pointer) < std::tie(b.line, b.column, b.rule->id, b.pointer);
  });
  AddLoaderProblems(bytes, *map, &report);
  return report;
}

Result<std::vector<PlanReport>> LintPlanFiles(const std::vector<std::string>& files, const PlanLintOptions& options) {
  std::vector<PlanReport> reports;
  ConfigTree configs(options.config);
  for (const std::string& file : files) {
    // Larger than any plan may be, so that the loader can say so.
    LOCKSTEP_ASSIGN(const std::string bytes, ReadFile(file, 16 << 20));
    PlanReport report = LintPlan(file, bytes, options);
    std::error_code ignored;
    const std::string absolute = fs::absolute(file, ignored).lexically_normal().string();
    LOCKSTEP_ASSIGN(const auto applying, configs.For(absolute));
    // A folder that is switched off (plans that are wrong on purpose) is not judged at all: no rule, no loader.
    if (!LevelFor(applying, "loader", absolute, Severity::kError)) continue;
    std::vector<PlanFinding> kept;
    for (PlanFinding& finding : report.findings) {
      const auto level = LevelFor(applying, finding.rule->id, absolute, finding.severity);
      if (!level) continue;
      finding.severity = *level;
      kept.push_back(std::move(finding));
    }
    report.findings = std::move(kept);
    reports.push_back(std::move(report));
  }
  return reports;
}

namespace {

bool HoldsPlan(const fs::path& file) {
  const auto bytes = ReadFile(file, 16 << 20);
  // Cheap first: most JSON files are no plans.
  if (!bytes || bytes->find("\"steps\"") == std::string::npos || bytes->find("\"stepId\"") == std::string::npos)
    return false;
  const auto document = ParseJson(*bytes, {.max_depth = 64, .max_string_bytes = 1 << 20});
  // A file that is meant to be a plan and cannot be read must not pass unseen.
  return document ? LooksLikePlan(*document) : bytes->find("\"metadata\"") != std::string::npos;
}

void FindBelow(const fs::path& folder, std::vector<std::string>* files) {
  std::error_code error;
  // Another CMake tree's output holds copies; node_modules holds the world.
  if (fs::exists(folder / "CMakeCache.txt", error) || folder.filename() == "node_modules") return;
  std::set<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder, error)) entries.insert(entry.path());
  for (const fs::path& entry : entries) {
    const std::string name = entry.filename().string();
    if (name.starts_with('.')) continue;
    if (fs::is_directory(entry, error) && !fs::is_symlink(entry, error))
      FindBelow(entry, files);
    else if (entry.extension() == ".json" && fs::is_regular_file(entry, error) && HoldsPlan(entry))
      files->push_back(entry.generic_string());
  }
}

}  // namespace

Result<PlanFiles> FindPlans(const std::vector<std::string>& paths) {
  PlanFiles found;
  for (const std::string& path : paths) {
    std::error_code error;
    if (fs::is_directory(path, error))
      FindBelow(fs::path(path).lexically_normal(), &found.files);
    else if (!fs::exists(path, error))
      return Fail("INPUT_NOT_FOUND", path + ": expected a plan, a source file or a folder, found nothing");
    else if (fs::path(path).extension() == ".json")
      found.files.push_back(path);
  }
  std::set<std::string> seen;
  std::erase_if(found.files, [&](const std::string& file) {
    std::error_code error;
    const fs::path real = fs::canonical(file, error);
    return !seen.insert(error ? file : real.string()).second;
  });
  return found;
}

}  // namespace lockstep::analyzer
