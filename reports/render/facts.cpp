#include "reports/render/facts.h"

#include <algorithm>

#include "analyzer/registry/registry.h"
#include "engine-core/base/bytes.h"

namespace lockstep::reports {

std::string Counted(int64_t count, std::string_view noun) {
  if (count == 1) return "1 " + std::string(noun);
  const bool vowel = noun.size() > 1 && std::string_view("aeiou").find(noun[noun.size() - 2]) != std::string_view::npos;
  if (noun.ends_with("y") && !vowel) return std::to_string(count) + " " + std::string(noun.substr(0, noun.size() - 1)) + "ies";
  return std::to_string(count) + " " + std::string(noun) + "s";
}

std::string Shown(const std::string& file, const RenderOptions& options) {
  const std::string& base = options.base;
  if (!base.empty() && file.size() > base.size() && file.starts_with(base) && file[base.size()] == '/')
    return file.substr(base.size() + 1);
  return file.starts_with("./") ? file.substr(2) : file;
}

std::string At(const std::string& file, int line, int column, const RenderOptions& options) {
  std::string text = Shown(file, options);
  if (line > 0) text += ":" + std::to_string(line);
  if (line > 0 && column > 0) text += ":" + std::to_string(column);
  return text;
}

std::string LinkTo(const std::string& file, int line, const RenderOptions& options) {
  const std::string shown = Shown(file, options);
  if (options.repository.empty() || options.commit.empty() || shown.empty() || shown.starts_with("/")) return {};
  std::string url = options.repository + "/blob/" + options.commit + "/";
  for (const char c : shown) {
    constexpr char kHex[] = "0123456789ABCDEF";
    const bool plain = IsAsciiAlnum(c) || c == '/' || c == '.' || c == '-' || c == '_' || c == '~' || c == '+';
    if (plain)
      url += c;
    else
      url += {'%', kHex[static_cast<unsigned char>(c) >> 4], kHex[static_cast<unsigned char>(c) & 15]};
  }
  return line > 0 ? url + "#L" + std::to_string(line) : url;
}

std::string Clip(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  return std::string(TruncateUtf8(text, max_bytes > 3 ? max_bytes - 3 : 0)) + "...";
}

std::string EscapeMarkup(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const bool valid = IsValidUtf8(text);
  for (const char raw : text) {
    const auto c = static_cast<unsigned char>(raw);
    if (raw == '&')
      out += "&amp;";
    else if (raw == '<')
      out += "&lt;";
    else if (raw == '>')
      out += "&gt;";
    else if (raw == '"')
      out += "&quot;";
    else if (raw == '\'')
      out += "&#39;";
    else if ((c < 0x20 && raw != '\n' && raw != '\t') || c == 0x7f || (c >= 0x80 && !valid))
      out += '?';
    else
      out += raw;
  }
  return out;
}

std::string StepOf(const v1::Divergence& divergence) {
  return divergence.step_id().empty() ? divergence.target() : divergence.step_id();
}

std::string WhereInRun(const v1::Divergence& divergence) {
  std::string text;
  if (divergence.event_id() > 0) text += " at event " + std::to_string(divergence.event_id());
  if (divergence.run_seq() > 0) text += " at runSeq " + std::to_string(divergence.run_seq());
  return text;
}

std::string_view GradeMeaning(std::string_view grade) {
  struct Row {
    std::string_view grade;
    std::string_view meaning;
  };
  constexpr Row kRows[] = {
      {"command-changing", "breaks workflows that are running: the server refuses what this build does"},
      {"payload-only", "running workflows go on, but with other data than recorded"},
      {"drift", "only retry and time-out numbers differ"},
      {"snapshot-only", "the same commands, but another state of the engine"},
  };
  for (const Row& row : kRows) {
    if (row.grade == grade) return row.meaning;
  }
  return "differs from what was recorded";
}

std::string RemedyFor(const v1::Divergence& divergence) {
  if (divergence.grade() == "drift") return "If the new numbers are wanted, record the history again.";
  if (divergence.grade() == "snapshot-only")
    return "Put the change of the projection behind a version, or record the history again.";
  if (divergence.kind() == "spinning") return "Find the loop that never waits: workflow code must yield.";
  return "Put the change behind a version gate (`wf::get_version`), so that recorded runs take the old path.";
}

std::string ShellQuoted(std::string_view word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return IsAsciiAlnum(c) || std::string_view("_-./:=@%+,").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(word);
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string ReproduceCommand(const v1::History& history) {
  return history.reproduce().empty() ? "lockstep replay " + ShellQuoted(history.path()) : history.reproduce();
}

std::string Summary(const std::vector<v1::Result>& results) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  for (const v1::Result& result : results) {
    if (result.histories_size() > 0) {
      const auto& totals = result.totals();
      std::string part =
          Counted(totals.histories(), "history") + ": " + std::to_string(totals.identical()) + " identical";
      if (totals.drift() > 0) part += ", " + std::to_string(totals.drift()) + " drift";
      if (totals.diverged() > 0) part += ", " + std::to_string(totals.diverged()) + " diverged";
      if (totals.unreadable() > 0) part += ", " + std::to_string(totals.unreadable()) + " unreadable";
      add(part);
    }
    if (result.tool() == "lint" || result.findings_size() > 0) {
      const auto& s = result.summary();
      std::string part = Counted(s.errors(), "error") + ", " + Counted(s.warnings(), "warning");
      if (s.notes() > 0) part += ", " + Counted(s.notes(), "note");
      if (s.files() > 0 || s.plans() > 0) {
        part += " in " + (s.files() > 0 ? Counted(s.files(), "file") : std::string()) +
                (s.files() > 0 && s.plans() > 0 ? " and " : "") +
                (s.plans() > 0 ? Counted(s.plans(), "plan") : std::string());
      }
      add(part);
    }
    if (result.problems_size() > 0) add(Counted(result.problems_size(), "problem"));
  }
  return text.empty() ? "no result" : text;
}

std::vector<Grouped> GroupFindings(const v1::Result& result) {
  std::vector<Grouped> groups;
  for (const v1::Finding& finding : result.findings()) {
    if (!groups.empty()) {
      const v1::Finding& last = *groups.back().finding;
      if (last.id() == finding.id() && last.file() == finding.file() && last.line() == finding.line() &&
          last.column() == finding.column() && last.pointer() == finding.pointer()) {
        ++groups.back().roots;
        // The shortest chain speaks.
        if (finding.chain_size() < last.chain_size()) groups.back().finding = &finding;
        continue;
      }
    }
    groups.push_back({&finding, 1});
  }
  return groups;
}

std::string BaseComparison::Sentence() const {
  if (!whole)
    return Counted(added, "finding") + " new, of those that the change can have caused; " +
           std::to_string(total_before) + " on the base.";
  return Counted(added, "finding") + " new, " + std::to_string(fixed.size()) + " fixed; " + std::to_string(total) +
         " in all, " + std::to_string(total_before) + " on the base.";
}

BaseComparison CompareWithBase(const std::vector<v1::Result>& results, const RenderOptions& options) {
  BaseComparison comparison;
  comparison.known = !options.base_results.empty();
  if (!comparison.known) return comparison;
  std::set<std::string> now;
  bool& whole = comparison.whole;
  for (const v1::Result& result : results) {
    for (const auto& f : result.findings()) now.insert(f.fingerprint());
    // Of what the change cannot have caused nothing was reported: it is neither there nor gone.
    whole = whole && result.changed_since().empty();
  }
  for (const v1::Result& result : options.base_results) {
    for (const auto& f : result.findings()) {
      // One finding may be reached from several roots.
      if (comparison.before.insert(f.fingerprint()).second && whole && !now.contains(f.fingerprint()))
        comparison.fixed.push_back(&f);
    }
  }
  comparison.total = static_cast<int64_t>(now.size());
  comparison.total_before = static_cast<int64_t>(comparison.before.size());
  comparison.added = std::count_if(
      now.begin(), now.end(), [&](const std::string& fingerprint) { return !comparison.before.contains(fingerprint); });
  return comparison;
}

std::vector<std::string> NextSteps(const std::vector<v1::Result>& results) {
  std::vector<std::string> steps;
  int errors = 0, warnings = 0, diverged = 0, drift = 0, unreadable = 0, problems = 0, ungated = 0, perturbed = 0;
  for (const v1::Result& result : results) {
    errors += result.summary().errors();
    warnings += result.summary().warnings();
    diverged += result.totals().diverged();
    drift += result.totals().drift();
    unreadable += result.totals().unreadable();
    problems += result.problems_size();
  }
  for (const v1::Result& result : results) {
    for (const auto& change : result.command_changes()) ungated += change.gates().empty() ? 1 : 0;
    for (const auto& row : result.perturbations()) perturbed += row.identical() ? 0 : 1;
  }
  if (diverged > 0) steps.push_back("Gate or revert the change behind " + Counted(diverged, "diverged history"));
  if (ungated > 0) steps.push_back("Gate the changed commands of " + Counted(ungated, "root"));
  if (perturbed > 0)
    steps.push_back("Find what depends on " + Counted(perturbed, "condition") + " that must not matter");
  if (errors > 0) steps.push_back("Fix " + Counted(errors, "error"));
  if (unreadable > 0) steps.push_back("Repair or record again " + Counted(unreadable, "unreadable history"));
  if (problems > 0) steps.push_back("Look at " + Counted(problems, "problem") + " with the input");
  if (drift > 0)
    steps.push_back("Decide on " + Counted(drift, "history") +
                    " with drift; record again if the new numbers are wanted");
  if (warnings > 0) steps.push_back("Review " + Counted(warnings, "warning"));
  if (results.empty()) steps.push_back("Run `lockstep replay` and `lockstep lint`: nothing was checked");
  return steps;
}

RuleFacts FactsOf(const std::string& rule_id) {
  const analyzer::Rule* rule = analyzer::Registry::Get().Find(rule_id);
  if (rule == nullptr) return {};
  return {rule->number,
          rule->title,
          rule->why,
          rule->replacement,
          std::string(analyzer::SeverityName(rule->severity)),
          std::string(analyzer::Registry::Page(*rule))};
}

Result<Format> FormatFromName(std::string_view name) {
  struct Row {
    std::string_view name;
    Format format;
  };
  constexpr Row kRows[] = {{"text", Format::kText},     {"md", Format::kMarkdown}, {"markdown", Format::kMarkdown},
                           {"html", Format::kHtml},     {"sarif", Format::kSarif}, {"junit", Format::kJunit},
                           {"github", Format::kGithub}, {"json", Format::kJson}};
  for (const Row& row : kRows) {
    if (row.name == name) return row.format;
  }
  return Fail("USAGE", "expected a format (text, md, html, sarif, junit, github, json), found " + std::string(name));
}

std::string Render(const std::vector<v1::Result>& given, Format format, const RenderOptions& options) {
  std::vector<v1::Result> results = given;
  JoinTraces(&results);
  switch (format) {
    case Format::kText:
      return RenderText(results, options);
    case Format::kMarkdown:
      return RenderMarkdown(results, options);
    case Format::kHtml:
      return RenderHtml(results, options);
    case Format::kSarif:
      return RenderSarif(results, options);
    case Format::kJunit:
      return RenderJunit(results, options);
    case Format::kGithub:
      return RenderGithub(results, options);
    case Format::kJson:
      return ToJson(given);
  }
  return {};
}

}  // namespace lockstep::reports
