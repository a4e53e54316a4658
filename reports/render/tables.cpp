#include "reports/render/tables.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "engine-core/base/time.h"

namespace lockstep::reports {
namespace {

// The rank of a status, worst first.
int Rank(const std::string& status) {
  constexpr std::string_view kOrder[] = {"error", "diverged", "warning", "note", "clean"};
  return static_cast<int>(std::find(std::begin(kOrder), std::end(kOrder), status) - std::begin(kOrder));
}

std::string PlanKey(const v1::Finding& finding) {
  return finding.plan_id().empty() ? finding.file() : finding.plan_id();
}

bool Passed(const v1::History& history, bool strict) {
  return history.verdict() == "IDENTICAL" || (history.verdict() == "DRIFT" && !strict);
}

std::string PlanLine(const PlanFacts& plan, const RenderOptions& options) {
  std::string line = "plan " + plan.id + (plan.version.empty() ? "" : " " + plan.version);
  if (!plan.file.empty()) line += " (" + Shown(plan.file, options) + ")";
  line += ": lint " + plan.Lint() + ", replay " + plan.Replays() + ", " + Counted(plan.divergences, "divergence");
  return line + ", artifacts " + plan.Artifacts() + ": " + plan.Status();
}

}  // namespace

std::string PlanFacts::Lint() const {
  if (!linted) return "-";
  std::string text;
  const auto add = [&](int count, const char* noun) {
    if (count > 0) text += (text.empty() ? "" : ", ") + Counted(count, noun);
  };
  add(errors, "error"), add(warnings, "warning"), add(notes, "note");
  return text.empty() ? "clean" : text;
}

std::string PlanFacts::Replays() const {
  return replays == 0 ? "-" : std::to_string(passed) + "/" + std::to_string(replays);
}

std::string PlanFacts::Artifacts() const {
  return artifacts == 0 ? "-" : std::to_string(artifacts_matching * 100 / artifacts) + " %";
}

std::string PlanFacts::Status() const {
  if (errors > 0 || passed < replays) return "FAILED";
  return warnings > 0 || divergences > 0 ? "WARNINGS" : "PASSED";
}

std::vector<PlanFacts> PlanTable(const std::vector<v1::Result>& results) {
  std::map<std::string, PlanFacts> plans;
  for (const v1::Result& result : results) {
    for (const auto& row : result.plans()) {
      PlanFacts& plan = plans[row.plan_id().empty() ? row.file() : row.plan_id()];
      plan.version = row.plan_version();
      plan.file = row.file();
      plan.linted = true;
    }
    for (const auto& finding : result.findings()) {
      if (finding.pointer().empty()) continue;
      PlanFacts& plan = plans[PlanKey(finding)];
      plan.linted = true;
      ++(finding.severity() == "error" ? plan.errors : finding.severity() == "warning" ? plan.warnings : plan.notes);
    }
    for (const auto& history : result.histories()) {
      if (history.plan_id().empty()) continue;
      PlanFacts& plan = plans[history.plan_id()];
      if (plan.version.empty()) plan.version = history.plan_version();
      ++plan.replays;
      plan.passed += Passed(history, result.strict()) ? 1 : 0;
      plan.divergences += history.divergences_size();
      plan.artifacts += history.artifacts();
      plan.artifacts_matching += history.artifacts_matching();
    }
  }
  std::vector<PlanFacts> rows;
  for (auto& [id, plan] : plans) {
    plan.id = id;
    rows.push_back(std::move(plan));
  }
  const auto rank = [](const PlanFacts& plan) {
    const std::string status = plan.Status();
    return status == "FAILED" ? 0 : status == "WARNINGS" ? 1 : 2;
  };
  std::stable_sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return rows;
}

std::vector<StepFacts> StepTable(const std::vector<v1::Result>& results) {
  std::map<std::pair<std::string, std::string>, size_t> index;
  std::vector<StepFacts> rows;
  const auto row = [&](const std::string& plan, const std::string& step) -> StepFacts& {
    const auto [it, fresh] = index.emplace(std::make_pair(plan, step), rows.size());
    if (fresh) rows.push_back({plan, step, "", "clean", ""});
    return rows[it->second];
  };
  for (const v1::Result& result : results) {
    for (const auto& plan : result.plans()) {
      for (const auto& step : plan.step_rows())
        row(plan.plan_id().empty() ? plan.file() : plan.plan_id(), step.step_id()).kind = step.kind();
    }
  }
  const auto say = [](StepFacts& facts, const std::string& status, const std::string& note) {
    if (Rank(status) >= Rank(facts.status)) return;
    facts.status = status;
    facts.note = note;
  };
  for (const v1::Result& result : results) {
    for (const auto& finding : result.findings()) {
      if (finding.pointer().empty() || finding.step_id().empty()) continue;
      say(row(PlanKey(finding), finding.step_id()), finding.severity(),
          (finding.what().empty() ? finding.message() : finding.what()) + " [" + finding.id() + "]");
    }
    for (const auto& history : result.histories()) {
      for (const auto& divergence : history.divergences()) {
        if (history.plan_id().empty() || divergence.step_id().empty()) continue;
        say(row(history.plan_id(), divergence.step_id()), "diverged",
            divergence.grade() + " " + divergence.kind() + " in " + history.path());
      }
    }
  }
  return rows;
}

std::vector<SuppressionFacts> SuppressionTable(const std::vector<v1::Result>& results, const RenderOptions& options) {
  std::set<std::string> before;
  for (const v1::Result& result : options.base_results) {
    for (const auto& finding : result.suppressed()) before.insert(finding.id() + "\n" + finding.fingerprint());
  }
  std::set<std::tuple<std::string, std::string, int>> seen;
  std::vector<SuppressionFacts> rows;
  for (const v1::Result& result : results) {
    for (const auto& finding : result.suppressed()) {
      if (!seen.emplace(finding.id(), finding.file(), finding.line()).second) continue;
      SuppressionFacts facts{&finding, false, false, 0};
      facts.is_new = !options.base_results.empty() && !before.contains(finding.id() + "\n" + finding.fingerprint());
      const auto today = ParseUtcMillis(options.today + "T00:00:00.000Z");
      const auto end = ParseUtcMillis(finding.expires() + "T00:00:00.000Z");
      constexpr int64_t kDay = 86'400'000;
      if (today && end && (*end - *today) / kDay <= kExpiringDays) {
        facts.expiring = true;
        facts.days = static_cast<int>(std::max<int64_t>(0, (*end - *today) / kDay));
      }
      rows.push_back(facts);
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const SuppressionFacts& a, const SuppressionFacts& b) {
    return a.is_new + 2 * a.expiring > b.is_new + 2 * b.expiring;
  });
  return rows;
}

std::string SuppressionWords(const SuppressionFacts& facts) {
  const v1::Finding& finding = *facts.finding;
  std::string text = finding.reason();
  if (!finding.owner().empty()) text += (text.empty() ? "" : " ") + ("(owner " + finding.owner() + ")");
  if (!finding.expires().empty()) text += (text.empty() ? "" : ", ") + ("expires " + finding.expires());
  if (facts.expiring) text += facts.days == 0 ? ", today" : ", in " + Counted(facts.days, "day");
  return text;
}

std::vector<TrustFacts> TrustTable(const std::vector<v1::Result>& results, const RenderOptions& options) {
  // Lines move; a mark is known by its file, function and reason.
  const auto key = [](const v1::TrustedMark& mark) { return mark.file() + "\n" + mark.function() + "\n" + mark.reason(); };
  std::set<std::string> before;
  for (const v1::Result& result : options.base_results) {
    for (const auto& mark : result.trusted()) before.insert(key(mark));
  }
  std::vector<TrustFacts> rows;
  for (const v1::Result& result : results) {
    for (const auto& mark : result.trusted())
      rows.push_back({&mark, !options.base_results.empty() && !before.contains(key(mark))});
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const TrustFacts& a, const TrustFacts& b) { return a.is_new > b.is_new; });
  return rows;
}

std::string GateWords(const v1::CommandChange& change) {
  if (change.gates().empty()) return "gate missing";
  std::string text = "gated by ";
  for (int i = 0; i < change.gates_size(); ++i) text += (i == 0 ? "" : ", ") + change.gates(i);
  return text;
}

std::string PerturbationWords(const v1::PerturbationRow& row) {
  if (row.identical()) return "identical on " + Counted(row.histories(), "history");
  return "differs on " + std::to_string(row.differences_size()) + " of " + Counted(row.histories(), "history");
}

std::vector<std::string> FactLines(const std::vector<v1::Result>& results, const RenderOptions& options) {
  std::vector<std::string> lines;
  for (const PlanFacts& plan : PlanTable(results)) lines.push_back(PlanLine(plan, options));
  for (const StepFacts& step : StepTable(results)) {
    if (step.status != "clean")
      lines.push_back("step " + step.step + " of " + step.plan + (step.kind.empty() ? "" : " (" + step.kind + ")") +
                      ": " + step.status + ": " + step.note);
  }
  for (const v1::Result& result : results) {
    for (const auto& change : result.command_changes())
      lines.push_back("commands of " + change.root() + " changed: " + GateWords(change));
  }
  for (const SuppressionFacts& facts : SuppressionTable(results, options)) {
    lines.push_back(std::string(facts.is_new ? "new " : "") + (facts.expiring ? "expiring " : "") + "suppression of " +
                    facts.finding->id() + " at " + At(facts.finding->file(), facts.finding->line(), 0, options) +
                    ": " + SuppressionWords(facts));
  }
  for (const TrustFacts& facts : TrustTable(results, options)) {
    lines.push_back(std::string(facts.is_new ? "new " : "") + "trusted mark: " + facts.mark->function() + " at " +
                    At(facts.mark->file(), facts.mark->line(), 0, options) + ": " + facts.mark->reason());
  }
  for (const v1::Result& result : results) {
    for (const auto& row : result.perturbations()) {
      lines.push_back("perturbation " + row.perturbation() + ", " + row.variant() + ": " + PerturbationWords(row));
      for (const auto& difference : row.differences())
        lines.push_back("  " + difference.path() + ": expected " + Clip(difference.expected(), 300) + ", found " +
                        Clip(difference.actual(), 300));
    }
    for (const auto& note : result.notes()) lines.push_back("note: " + note);
  }
  if (const BaseComparison base = CompareWithBase(results, options); base.known) {
    lines.push_back("against the base branch: " + base.Sentence());
    for (const v1::Finding* finding : base.fixed)
      lines.push_back("fixed: " + finding->id() + " at " + At(finding->file(), finding->line(), 0, options));
  }
  for (const std::string& step : NextSteps(results)) lines.push_back("next: " + step);
  return lines;
}

}  // namespace lockstep::reports
