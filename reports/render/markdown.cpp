// The pull-request comment (spec 07 section 8.1): marker, verdict, plan table, C++ table, divergences, command changes,
// suppressions and trusted marks, warnings, next steps. At most kMaxMarkdownCharacters: sections are filled in the
// order of their weight and say how much they left out; the whole is never cut in the middle of a table or a tag.
#include <algorithm>
#include <map>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/time.h"
#include "reports/render/tables.h"

namespace lockstep::reports {
namespace {

// Text inside a table cell or paragraph: no markup of its own, no line breaks, no mention of people or issues.
std::string Cell(const std::string& text) {
  std::string out;
  for (const char c : PrintableUtf8(text)) {
    if (c == '\n' || c == '\r' || c == '\t')
      out += ' ';
    else if (c == '|' || c == '*' || c == '_' || c == '`' || c == '[' || c == ']' || c == '\\' || c == '~' || c == '#')
      out += std::string("\\") + c;
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '@')
      out += "@\u200b";
    else
      out += c;
  }
  return out;
}

// A code span that survives backticks and, in tables, pipes.
std::string Code(const std::string& text) {
  std::string out;
  for (const char c : PrintableUtf8(text)) out += c == '`' ? '\'' : (c == '\n' || c == '\r') ? ' ' : c;
  std::string escaped;
  for (const char c : out) escaped += c == '|' ? std::string("\\|") : std::string(1, c);
  return escaped.empty() ? std::string() : "`" + escaped + "`";
}

// A fenced block that its content cannot end.
std::string Fenced(const std::string& text, const std::string& language) {
  std::string fence = "```";
  while (text.find(fence) != std::string::npos) fence += '`';
  return fence + language + "\n" + text + (text.ends_with('\n') ? "" : "\n") + fence + "\n";
}

std::string Linked(const std::string& file, int line, const RenderOptions& options) {
  const std::string shown = Code(At(file, line, 0, options));
  const std::string url = LinkTo(file, line, options);
  return url.empty() ? shown : "[" + shown + "](" + url + ")";
}

std::string Details(const std::string& summary, const std::string& body) {
  return "<details><summary>" + summary + "</summary>\n\n" + body + "\n</details>\n";
}

// A list of blocks that takes what fits.
struct Section {
  std::string head;                 // title and table head
  std::vector<std::string> blocks;  // rows or details
  std::string what;                 // for `... and N more WHAT`
};

size_t Characters(std::string_view text) {
  // GitHub counts UTF-16 code units.
  size_t count = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) != 0x80) count += byte >= 0xF0 ? 2 : 1;
  }
  return count;
}

std::string Fill(const Section& section, size_t* budget) {
  if (section.blocks.empty()) return {};
  const std::string more = "\n... and %s more " + section.what + ", see the full report\n";
  const size_t reserve = Characters(section.head) + Characters(more) + 20;
  if (*budget < reserve) return {};
  std::string out = section.head;
  size_t left = *budget - reserve;
  size_t taken = 0;
  for (const std::string& block : section.blocks) {
    const size_t size = Characters(block);
    if (size > left) break;
    out += block;
    left -= size;
    ++taken;
  }
  if (taken < section.blocks.size())
    out += "\n... and " + std::to_string(section.blocks.size() - taken) + " more " + section.what +
           ", see the full report\n";
  out += "\n";
  *budget -= std::min(*budget, Characters(out));
  return out;
}

std::string Emoji(std::string_view verdict) {
  return verdict == kFailed       ? "\u274c"
         : verdict == kIncomplete ? "\u2753"
         : verdict == kPassed     ? "\u2705"
                                  : "\u26a0\ufe0f";
}

std::string Head(const std::vector<v1::Result>& results, const RenderOptions& options) {
  const std::string verdict(OverallVerdict(results));
  std::string out = std::string(kCommentMarker) + "\n## " + Emoji(verdict) + " " + Cell(options.title) + ": " +
                    verdict + "\n\n" + Cell(Summary(results)) + ".";
  int64_t duration = 0;
  for (const auto& result : results) duration += result.duration_ms();
  if (!options.commit.empty()) {
    const std::string short_commit = Code(options.commit.substr(0, 12));
    out += " Commit " +
           (options.repository.empty()
                ? short_commit
                : "[" + short_commit + "](" + options.repository + "/commit/" + options.commit + ")") +
           ".";
  }
  if (duration > 0) out += " Took " + FormatDuration(duration) + ".";
  if (!options.full_report.empty())
    out += " Full report: " +
           (options.full_report.starts_with("http") ? "[" + Cell("here") + "](" + options.full_report + ")"
                                                    : Code(options.full_report)) +
           ".";
  return out + "\n\n";
}

// --- divergences
// -----------------------------------------------------------------------------------------------------------

std::string DivergenceBlock(const v1::History& h, const RenderOptions& options) {
  const v1::Divergence& d = h.divergences(0);
  std::string title =
      "<code>" + Cell(Clip(h.path(), 300)) + "</code>: <b>" + Cell(d.grade()) + "</b> " + Cell(d.kind());
  title += WhereInRun(d);
  if (!StepOf(d).empty()) title += ", step <code>" + Cell(StepOf(d)) + "</code>";
  std::string body = Cell(d.grade()) + ": " + std::string(GradeMeaning(d.grade())) + ".\n\n| | |\n|---|---|\n";
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) body += std::string("| ") + name + " | " + value + " |\n";
  };
  row("step", Code(StepOf(d)));
  row("grade", Cell(d.grade()));
  row("command", Code(d.command()));
  row("field", Code(d.field()));
  row("expected", Code(Clip(d.expected().empty() ? "nothing" : d.expected(), 1500)));
  row("actual", Code(Clip(d.actual().empty() ? "nothing" : d.actual(), 1500)));
  if (d.has_source())
    row("issued at", Linked(d.source().file(), d.source().line(), options) +
                         (d.source().function().empty() ? "" : " in " + Code(Clip(d.source().function(), 200))));
  if (d.has_recorded_source() &&
      (d.recorded_source().line() != d.source().line() || d.recorded_source().file() != d.source().file())) {
    row("recorded at", Code(At(d.recorded_source().file(), d.recorded_source().line(), 0, options)));
  }
  row("cause", Cell(d.cause()));
  if (h.divergences_size() > 1) row("further differences", std::to_string(h.divergences_size() - 1));
  body += "\n" + RemedyFor(d) + "\n\n" + Fenced(ReproduceCommand(h), "sh");
  return Details(title, body);
}

Section Divergences(const std::vector<v1::Result>& results, const RenderOptions& options) {
  Section section{"### Divergences\n\n", {}, "diverged histories"};
  for (const v1::Result& result : results) {
    for (const auto& h : result.histories()) {
      if (h.divergences_size() > 0) section.blocks.push_back(DivergenceBlock(h, options));
    }
  }
  bool first = true;
  for (const v1::Result& result : results) {
    for (const auto& h : result.histories()) {
      if (h.divergences_size() > 0 || !h.has_error()) continue;
      // A list after HTML begins with an empty line.
      section.blocks.push_back(std::string(first ? "\n" : "") + "- " + Code(h.path()) + ": " + Code(h.error().code()) + " " +
                               Cell(Clip(h.error().message(), 600)) + "\n");
      first = false;
    }
  }
  return section;
}

// --- plans
// -------------------------------------------------------------------------------------------------------------------

Section Plans(const std::vector<v1::Result>& results, const RenderOptions& options) {
  Section section{
      "### Plans\n\n| Plan | Version | Lint | Replay | Divergences | Artifacts | Status |\n|---|---|---|---|---|---|---|\n",
      {},
      "plans"};
  for (const PlanFacts& plan : PlanTable(results)) {
    const std::string status = plan.Status();
    section.blocks.push_back(
        "| " + (plan.file.empty() ? Cell(plan.id) : Linked(plan.file, 0, options) + " " + Cell(plan.id)) + " | " +
        (plan.version.empty() ? "-" : Cell(plan.version)) + " | " + plan.Lint() + " | " + plan.Replays() + " | " +
        std::to_string(plan.divergences) + " | " + plan.Artifacts() + " | " +
        Emoji(status == "WARNINGS" ? kPassedWithWarnings : status) + " |\n");
  }
  return section;
}

// --- findings
// ------------------------------------------------------------------------------------------------------------------

std::string FindingBlock(const Grouped& group, const BaseComparison& base, const RenderOptions& options) {
  const v1::Finding& f = *group.finding;
  const std::string mark = f.severity() == "error"     ? "\u274c"
                           : f.severity() == "warning" ? "\u26a0\ufe0f"
                                                       : "\u2139\ufe0f";
  const std::string title = mark + (base.IsNew(f) ? " <b>new</b>" : "") + " <code>" +
                            Cell(At(f.file(), f.line(), f.column(), options)) + "</code> " +
                            Cell(Clip(f.what().empty() ? f.message() : f.what(), 200)) + " (" + Cell(f.id()) + ")";
  std::string body = Cell(f.message()) + "\n\n" + Linked(f.file(), f.line(), options);
  if (!f.pointer().empty()) body += " at " + Code(f.pointer());
  if (!f.root().empty()) {
    body += ", reached from " + Code(f.root());
    if (group.roots > 1) body += " and " + Counted(group.roots - 1, "other root");
  }
  body += "\n";
  if (f.chain_size() > 1) {
    body += "\n";
    for (const auto& step : f.chain())
      body += "1. " + Code(Clip(step.function(), 160)) + " " + Linked(step.file(), step.line(), options) + "\n";
  }
  if (!f.source_line().empty()) body += "\n" + Fenced(Clip(f.source_line(), 200), f.pointer().empty() ? "cpp" : "json");
  return Details(title, body);
}

Section Findings(const std::vector<v1::Result>& results, bool errors, const RenderOptions& options) {
  Section section{
      errors ? "### Findings\n\n" : "### Warnings and notes\n\n", {}, errors ? "errors" : "warnings and notes"};
  std::vector<Grouped> groups;
  for (const v1::Result& result : results) {
    for (const Grouped& group : GroupFindings(result)) {
      if ((group.finding->severity() == "error") == errors) groups.push_back(group);
    }
  }
  std::stable_sort(groups.begin(), groups.end(), [](const Grouped& a, const Grouped& b) {
    return (a.finding->severity() == "warning") > (b.finding->severity() == "warning");
  });
  const BaseComparison base = CompareWithBase(results, options);
  // What the change brought comes first.
  std::stable_sort(groups.begin(), groups.end(),
                   [&](const Grouped& a, const Grouped& b) { return base.IsNew(*a.finding) > base.IsNew(*b.finding); });
  for (const Grouped& group : groups) section.blocks.push_back(FindingBlock(group, base, options));
  return section;
}

Section AgainstBase(const std::vector<v1::Result>& results, const RenderOptions& options) {
  const BaseComparison base = CompareWithBase(results, options);
  if (!base.known) return {};
  Section section{"### Against the base branch\n\n", {base.Sentence() + "\n"}, "fixed findings"};
  if (!base.fixed.empty()) section.blocks.push_back("\n");
  for (const v1::Finding* f : base.fixed)
    section.blocks.push_back("- fixed: " + Code(f->id()) + " at " + Code(At(f->file(), f->line(), 0, options)) + "\n");
  return section;
}

Section CommandChanges(const std::vector<v1::Result>& results) {
  Section section{"### Command changes\n\n| Root | Gate |\n|---|---|\n", {}, "roots"};
  for (const v1::Result& result : results) {
    for (const auto& change : result.command_changes()) {
      std::string gate = change.gates().empty() ? "\u274c missing" : "found:";
      for (const std::string& id : change.gates()) gate += " " + Code(id);
      section.blocks.push_back("| " + Code(change.root()) + " | " + gate + " |\n");
    }
  }
  return section;
}

Section Trust(const std::vector<v1::Result>& results, const RenderOptions& options) {
  Section section{"### Suppressions and trusted marks\n\n", {}, "marks"};
  const auto mark = [](bool is_new) { return is_new ? std::string("**new** ") : std::string(); };
  for (const SuppressionFacts& facts : SuppressionTable(results, options)) {
    section.blocks.push_back("- " + mark(facts.is_new) + (facts.expiring ? "\u26a0\ufe0f " : "") + "suppressed: " +
                             Code(facts.finding->id()) + " at " +
                             Linked(facts.finding->file(), facts.finding->line(), options) + ": " +
                             Cell(Clip(SuppressionWords(facts), 300)) + "\n");
  }
  for (const TrustFacts& facts : TrustTable(results, options)) {
    section.blocks.push_back("- " + mark(facts.is_new) + Code(facts.mark->function()) + " is trusted: " +
                             Cell(Clip(facts.mark->reason(), 300)) + " (" +
                             Linked(facts.mark->file(), facts.mark->line(), options) + ")\n");
  }
  return section;
}

Section Perturbations(const std::vector<v1::Result>& results) {
  Section section{"### Under varied conditions\n\n| Condition | Variant | |\n|---|---|---|\n", {}, "conditions"};
  for (const v1::Result& result : results) {
    for (const auto& row : result.perturbations()) {
      section.blocks.push_back("| " + Cell(row.perturbation()) + " | " + Code(row.variant()) + " | " +
                               (row.identical() ? "\u2705 " : "\u274c ") + PerturbationWords(row) + " |\n");
    }
  }
  // What differs first.
  std::stable_sort(section.blocks.begin(), section.blocks.end(), [](const std::string& a, const std::string& b) {
    return (a.find("\u274c") != std::string::npos) > (b.find("\u274c") != std::string::npos);
  });
  return section;
}

Section Problems(const std::vector<v1::Result>& results) {
  Section section{"### Problems and notes\n\n", {}, "problems"};
  for (const v1::Result& result : results) {
    for (const auto& problem : result.problems())
      section.blocks.push_back("- " + Cell(Clip(problem.message(), 600)) + "\n");
    for (const std::string& note : result.notes()) section.blocks.push_back("- " + Cell(Clip(note, 600)) + "\n");
  }
  return section;
}

}  // namespace

std::string RenderMarkdown(const std::vector<v1::Result>& results, const RenderOptions& options) {
  const std::string head = Head(results, options);
  std::string tail;
  const auto steps = NextSteps(results);
  if (!steps.empty()) {
    tail = "### Next steps\n\n";
    for (const std::string& step : steps) tail += "- [ ] " + step + "\n";
  }
  size_t budget = kMaxMarkdownCharacters - Characters(head) - Characters(tail);
  // Filled by weight, shown in the order of the specification. A table of thousands of clean plans must not push out
  // the divergences: it gets what is left.
  enum Part : size_t { kPlans, kBase, kErrors, kDivergences, kCommands, kPerturbations, kTrust, kProblems, kWarnings, kParts };
  Section sections[kParts];
  sections[kPlans] = Plans(results, options);
  sections[kBase] = AgainstBase(results, options);
  sections[kErrors] = Findings(results, true, options);
  sections[kDivergences] = Divergences(results, options);
  sections[kCommands] = CommandChanges(results);
  sections[kPerturbations] = Perturbations(results);
  sections[kTrust] = Trust(results, options);
  sections[kProblems] = Problems(results);
  sections[kWarnings] = Findings(results, false, options);
  std::string texts[kParts];
  for (const Part part : {kDivergences, kErrors, kCommands, kPerturbations, kBase, kProblems, kPlans, kWarnings, kTrust})
    texts[part] = Fill(sections[part], &budget);
  std::string out = head;
  for (const std::string& text : texts) out += text;
  return out + tail;
}

}  // namespace lockstep::reports
