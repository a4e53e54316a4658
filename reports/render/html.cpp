// One self-contained HTML page: no network, no font, no image; light and dark by the reader's setting; native elements
// (details, tables, links) so that keyboard and screen reader work, with a filter box as the only script. Holds
// everything that the comment has to leave out, and what spec 07 section 8.1 adds for the full report.
#include <algorithm>
#include <map>
#include <set>

#include "engine-core/base/time.h"
#include "reports/render/tables.h"

namespace lockstep::reports {
namespace {

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2128;--soft:#57606a;--line:#d0d7de;--panel:#f6f8fa;--bad:#b3212b;--warn:#8a5300;--good:#1a6b34;--link:#0550ae;--mark:#fff3c4}
@media (prefers-color-scheme:dark){:root{--bg:#0f1419;--fg:#e4e8ec;--soft:#a3adb8;--line:#36404b;--panel:#182029;--bad:#ff8f8a;--warn:#f0b45b;--good:#6fd08c;--link:#79b8ff;--mark:#4a3b00}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
main,header,footer,nav{max-width:72rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.5rem}
h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.25rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}h3{font-size:1rem;margin:1rem 0 .3rem}
a{color:var(--link)}a:focus-visible,summary:focus-visible,input:focus-visible,[tabindex]:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999rem}.skip:focus{left:1rem;top:.5rem;background:var(--panel);padding:.3rem .6rem;z-index:2}
.verdict{display:inline-block;padding:.15rem .7rem;border:2px solid;border-radius:.4rem;font-weight:700}
.FAILED,.INCOMPLETE,.error,.DIVERGED,.UNREADABLE{color:var(--bad)}.WARNINGS,.warning,.DRIFT{color:var(--warn)}.PASSED,.IDENTICAL{color:var(--good)}.note,.soft{color:var(--soft)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}th{background:var(--panel)}td code{overflow-wrap:normal}td.n,th.n{text-align:right}
code,pre{font-family:ui-monospace,monospace;font-size:.88em}code{overflow-wrap:anywhere}
pre{background:var(--panel);border:1px solid var(--line);border-radius:.4rem;padding:.6rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;margin:.4rem 0}
details{border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0;padding:0 .8rem;background:var(--bg)}summary{cursor:pointer;padding:.5rem 0;font-weight:600;overflow-wrap:anywhere}details[open]{padding-bottom:.6rem}
dl{display:grid;grid-template-columns:minmax(6rem,max-content) 1fr;gap:.25rem 1rem;margin:.5rem 0}dt{color:var(--soft)}dd{margin:0;min-width:0;overflow-wrap:anywhere}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;list-style:none;padding:0;margin:1rem 0}
input[type=search]{font:inherit;width:100%;max-width:28rem;padding:.4rem .6rem;border:1px solid var(--soft);border-radius:.4rem;background:var(--bg);color:var(--fg)}
[hidden]{display:none!important}
@media (max-width:40rem){dl{grid-template-columns:1fr}dt{margin-top:.3rem}h1{font-size:1.3rem}}
@media print{details>*{display:block}}
)css";

constexpr std::string_view kScript = R"js(
(function(){var box=document.getElementById('filter');if(!box)return;var items=document.querySelectorAll('[data-text]');var count=document.getElementById('shown');
function apply(){var words=box.value.toLowerCase().split(/\s+/).filter(Boolean),n=0;items.forEach(function(e){var t=e.textContent.toLowerCase();var on=words.every(function(w){return t.indexOf(w)>=0});e.hidden=!on;if(on)n++});count.textContent=words.length?n+' of '+items.length+' entries':''}
box.addEventListener('input',apply);document.getElementById('finder').hidden=false})();
)js";

std::string E(std::string_view text) { return EscapeMarkup(text); }
std::string Code(std::string_view text) { return "<code>" + E(text) + "</code>"; }

std::string Linked(const std::string& file, int line, int column, const RenderOptions& options) {
  const std::string shown = Code(At(file, line, column, options));
  const std::string url = LinkTo(file, line, options);
  return url.empty() ? shown : "<a href=\"" + E(url) + "\">" + shown + "</a>";
}

void Row(std::string* out, const char* name, const std::string& html) {
  if (!html.empty()) *out += std::string("<dt>") + name + "</dt><dd>" + html + "</dd>\n";
}

// Our own sentences: `name` is code.
std::string Sentence(const std::string& text) {
  std::string out;
  bool open = false;
  for (const char c : E(text)) {
    if (c == '`')
      out += open ? "</code>" : "<code>", open = !open;
    else
      out += c;
  }
  return open ? out + "</code>" : out;
}

// Pages of tens of thousands of findings must still open.
constexpr size_t kMaxEntries = 5'000;
constexpr size_t kMaxValue = 20'000;

class Page {
 public:
  Page(const std::vector<v1::Result>& results, const RenderOptions& options) : results_(results), options_(options) {}

  std::string Run() {
    Divergences();
    Plans();
    Findings();
    CommandChanges();
    Histories();
    Perturbation();
    Steps();
    Trust();
    Problems();
    Recommendations();
    Rules();
    About();
    return Head() + body_ + "</main>\n<footer><p class=\"soft\">Written by Lockstep " + E(options_.tool_version) +
           ".</p></footer>\n<script>" + std::string(kScript) + "</script>\n</body>\n</html>\n";
  }

 private:
  void Section(const char* id, const std::string& title) {
    contents_ += "<li><a href=\"#" + std::string(id) + "\">" + E(title) + "</a></li>\n";
    body_ += "<section aria-labelledby=\"" + std::string(id) + "\">\n<h2 id=\"" + std::string(id) +
             "\" tabindex=\"-1\">" + E(title) + "</h2>\n";
  }
  void EndSection() { body_ += "</section>\n"; }

  // Opens a table that scrolls by itself; a name that begins with `#` heads a column of numbers.
  void OpenTable(const std::string& label, const std::vector<std::string>& columns) {
    body_ += "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"" + E(label) + "\"><table>\n<thead><tr>";
    for (const std::string& column : columns) {
      const bool number = column.starts_with('#');
      body_ += std::string("<th scope=\"col\"") + (number ? " class=\"n\">" : ">") + E(number ? column.substr(1) : column) + "</th>";
    }
    body_ += "</tr></thead>\n<tbody>\n";
  }
  void TableRow(const std::vector<std::string>& cells) {
    body_ += "<tr data-text>";
    for (const std::string& cell : cells)
      body_ += cell.starts_with('#') ? "<td class=\"n\">" + cell.substr(1) + "</td>" : "<td>" + cell + "</td>";
    body_ += "</tr>\n";
  }
  void CloseTable() { body_ += "</tbody></table></div>\n"; }
  static std::string Status(const std::string& css, const std::string& text) {
    return "<span class=\"" + E(css) + "\">" + E(text) + "</span>";
  }

  std::string Head() const {
    const std::string verdict(OverallVerdict(results_));
    const std::string css = verdict == kPassedWithWarnings ? "WARNINGS" : verdict;
    std::string out =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<link "
        "rel=\"icon\" href=\"data:,\">\n<title>" +
        E(options_.title + ": " + verdict) + "</title>\n<style>" + std::string(kStyle) +
        "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#content\">Skip to the content</a>\n<header>\n<h1>" +
        E(options_.title) + "</h1>\n<p><span class=\"verdict " + E(css) + "\">" + E(verdict) + "</span></p>\n<p>" +
        E(Summary(results_)) + ".</p>\n";
    std::string facts;
    if (!options_.commit.empty()) {
      const std::string shown = Code(options_.commit);
      Row(&facts, "commit",
          options_.repository.empty()
              ? shown
              : "<a href=\"" + E(options_.repository + "/commit/" + options_.commit) + "\">" + shown + "</a>");
    }
    int64_t duration = 0;
    for (const auto& result : results_) duration += result.duration_ms();
    if (duration > 0) Row(&facts, "duration", FormatDuration(duration));
    if (!facts.empty()) out += "<dl>" + facts + "</dl>\n";
    return out + "</header>\n<nav aria-label=\"Contents\"><ul>\n" + contents_ +
           "</ul>\n<p id=\"finder\" hidden><label for=\"filter\">Filter entries</label><br><input type=\"search\" "
           "id=\"filter\" autocomplete=\"off\"> <span id=\"shown\" role=\"status\"></span></p></nav>\n<main "
           "id=\"content\">\n";
  }

  void OneDivergence(const v1::Divergence& d) {
    std::string rows;
    if (!StepOf(d).empty()) Row(&rows, "step", Code(StepOf(d)));
    Row(&rows, "grade", E(d.grade()) + " - " + E(GradeMeaning(d.grade())));
    if (d.event_id() > 0)
      Row(&rows, "event",
          std::to_string(d.event_id()) +
              (d.workflow_task_started_event_id() > 0
                   ? " (workflow task started at event " + std::to_string(d.workflow_task_started_event_id()) + ")"
                   : ""));
    if (d.run_seq() > 0) Row(&rows, "runSeq", std::to_string(d.run_seq()));
    if (!d.command().empty()) Row(&rows, "command", Code(d.command()));
    if (!d.field().empty()) Row(&rows, "field", Code(d.field()));
    Row(&rows, "expected",
        d.expected().empty() ? "<span class=\"soft\">nothing</span>"
                             : "<pre>" + E(Clip(d.expected(), kMaxValue)) + "</pre>");
    Row(&rows, "actual",
        d.actual().empty() ? "<span class=\"soft\">nothing</span>"
                           : "<pre>" + E(Clip(d.actual(), kMaxValue)) + "</pre>");
    if (d.has_source())
      Row(&rows, "issued at",
          Linked(d.source().file(), d.source().line(), 0, options_) +
              (d.source().function().empty() ? "" : " in " + Code(d.source().function())));
    if (d.has_recorded_source())
      Row(&rows, "recorded at", Linked(d.recorded_source().file(), d.recorded_source().line(), 0, options_));
    Row(&rows, "cause", E(d.cause()));
    Row(&rows, "what to do", Sentence(RemedyFor(d)));
    body_ += "<h3>" + E(d.kind()) + (StepOf(d).empty() ? "" : ", step " + E(StepOf(d))) + "</h3>\n<dl>" + rows +
             "</dl>\n";
  }

  void Divergences() {
    size_t total = 0;
    for (const auto& result : results_) {
      for (const auto& h : result.histories()) total += h.divergences_size() > 0 ? 1 : 0;
    }
    if (total == 0) return;
    Section("divergences", "Divergences");
    size_t shown = 0;
    for (const auto& result : results_) {
      for (const auto& h : result.histories()) {
        if (h.divergences_size() == 0 || shown >= kMaxEntries) continue;
        const auto& first = h.divergences(0);
        body_ += "<details data-text" + std::string(shown < 3 ? " open" : "") + "><summary>" + Code(h.path()) +
                 " <span class=\"" + E(h.verdict()) + "\">" + E(first.grade()) + "</span> " + E(first.kind()) +
                 WhereInRun(first) + (StepOf(first).empty() ? "" : ", step " + E(StepOf(first))) + "</summary>\n";
        constexpr int kShownOfOne = 25;
        for (int i = 0; i < h.divergences_size() && i < kShownOfOne; ++i) OneDivergence(h.divergences(i));
        if (h.divergences_size() > kShownOfOne)
          body_ += "<p>... and " + Counted(h.divergences_size() - kShownOfOne, "further difference") +
                   "; the JSON result has all.</p>\n";
        body_ += "<p>Show it again:</p><pre tabindex=\"0\">" + E(ReproduceCommand(h)) + "</pre>\n</details>\n";
        ++shown;
      }
    }
    if (shown < total)
      body_ += "<p>... and " + Counted(static_cast<int64_t>(total - shown), "further history") + ".</p>\n";
    EndSection();
  }

  void Histories() {
    for (const auto& result : results_) {
      if (result.histories_size() == 0) continue;
      Section("histories", "Histories");
      OpenTable("Table of histories", {"Verdict", "History", "Workflow", "#Events", "#Tasks", "#Commands", "Status", "Snapshot"});
      size_t shown = 0;
      for (const auto& h : result.histories()) {
        if (shown++ >= kMaxEntries) break;
        TableRow({Status(h.verdict(), h.verdict()) + (h.has_error() ? "<br>" + E(h.error().code() + ": " + h.error().message()) : ""),
                  Code(h.path()), E(h.workflow_type()), "#" + std::to_string(h.events()), "#" + std::to_string(h.workflow_tasks()),
                  "#" + std::to_string(h.commands()), E(h.status()),
                  h.snapshot_hash().empty() ? "" : Code(h.snapshot_hash().substr(0, 8))});
      }
      CloseTable();
      if (result.histories_size() > static_cast<int>(kMaxEntries))
        body_ += "<p>... and " +
                 Counted(result.histories_size() - static_cast<int64_t>(kMaxEntries), "further history") + ".</p>\n";
      EndSection();
    }
  }

  void OneFinding(const Grouped& group, bool is_new, bool open) {
    const v1::Finding& f = *group.finding;
    std::string rows;
    Row(&rows, "where", Linked(f.file(), f.line(), f.column(), options_));
    if (!f.pointer().empty()) Row(&rows, "pointer", Code(f.pointer()));
    if (!f.plan_id().empty())
      Row(&rows, "plan", Code(f.plan_id()) + (f.step_id().empty() ? "" : ", step " + Code(f.step_id())));
    if (!f.root().empty())
      Row(&rows, "root", Code(f.root()) + (group.roots > 1 ? " and " + Counted(group.roots - 1, "other root") : ""));
    Row(&rows, "effect", E(f.verdict()));
    Row(&rows, "use instead", E(f.replacement()));
    body_ += "<details data-text" + std::string(open ? " open" : "") + "><summary><span class=\"" + E(f.severity()) +
             "\">" + E(f.severity()) + "</span> " + std::string(is_new ? "new " : "") +
             Code(At(f.file(), f.line(), f.column(), options_)) + " " +
             E(Clip(f.what().empty() ? f.message() : f.what(), 240)) + " <span class=\"soft\">" + E(f.id()) +
             "</span></summary>\n<p>" + E(f.message()) + "</p>\n";
    if (!f.source_line().empty()) body_ += "<pre>" + E(Clip(f.source_line(), 1000)) + "</pre>\n";
    body_ += "<dl>" + rows + "</dl>\n";
    if (f.chain_size() > 1) {
      body_ += "<p>Call chain:</p><ol>\n";
      for (const auto& step : f.chain())
        body_ += "<li>" + Code(step.function()) + " " + Linked(step.file(), step.line(), step.column(), options_) +
                 "</li>\n";
      body_ += "</ol>\n";
    }
    body_ += "</details>\n";
  }

  void Findings() {
    std::vector<Grouped> groups;
    for (const auto& result : results_) {
      for (const Grouped& group : GroupFindings(result)) groups.push_back(group);
    }
    const BaseComparison base = CompareWithBase(results_, options_);
    if (groups.empty() && base.fixed.empty()) return;
    const auto rank = [](const Grouped& group) {
      return group.finding->severity() == "error" ? 0 : group.finding->severity() == "warning" ? 1 : 2;
    };
    std::stable_sort(groups.begin(), groups.end(),
                     [&](const Grouped& a, const Grouped& b) { return rank(a) < rank(b); });
    Section("findings", "Findings");
    if (base.known) {
      body_ += "<p>Against the base branch: " + E(base.Sentence()) + "</p>\n";
      if (!base.fixed.empty()) body_ += "<ul>\n";
      for (const auto* f : base.fixed)
        body_ += "<li>fixed: " + Code(f->id()) + " at " + Code(At(f->file(), f->line(), 0, options_)) + "</li>\n";
      if (!base.fixed.empty()) body_ += "</ul>\n";
    }
    for (size_t i = 0; i < groups.size() && i < kMaxEntries; ++i) {
      used_rules_.insert(groups[i].finding->id());
      OneFinding(groups[i], base.IsNew(*groups[i].finding), i < 3 && rank(groups[i]) == 0);
    }
    if (groups.size() > kMaxEntries)
      body_ += "<p>... and " + Counted(static_cast<int64_t>(groups.size() - kMaxEntries), "further finding") +
               "; the JSON result has all.</p>\n";
    EndSection();
  }

  void Plans() {
    const std::vector<PlanFacts> plans = PlanTable(results_);
    if (plans.empty()) return;
    Section("plans", "Plans");
    OpenTable("Table of plans", {"Plan", "Status", "Version", "Lint", "Replay", "#Divergences", "#Artifacts match", "File"});
    for (size_t i = 0; i < plans.size() && i < kMaxEntries; ++i) {
      const PlanFacts& plan = plans[i];
      TableRow({E(plan.id), Status(plan.Status(), plan.Status()), E(plan.version), E(plan.Lint()), E(plan.Replays()),
                "#" + std::to_string(plan.divergences), "#" + plan.Artifacts(),
                plan.file.empty() ? "" : Linked(plan.file, 0, 0, options_)});
    }
    CloseTable();
    EndSection();
  }

  // Every step, so that one sees what was looked at.
  void Steps() {
    const std::vector<StepFacts> steps = StepTable(results_);
    if (steps.empty()) return;
    Section("steps", "Steps");
    OpenTable("Table of steps", {"Plan", "Step", "Status", "Type", "Note"});
    for (size_t i = 0; i < steps.size() && i < kMaxEntries; ++i) {
      const StepFacts& step = steps[i];
      const std::string css = step.status == "diverged" ? "error" : step.status == "clean" ? "PASSED" : step.status;
      TableRow({E(step.plan), Code(step.step), Status(css, step.status), Code(step.kind), E(Clip(step.note, 300))});
    }
    CloseTable();
    if (steps.size() > kMaxEntries)
      body_ += "<p>... and " + Counted(static_cast<int64_t>(steps.size() - kMaxEntries), "further step") + ".</p>\n";
    EndSection();
  }

  void CommandChanges() {
    size_t total = 0;
    for (const auto& result : results_) total += static_cast<size_t>(result.command_changes_size());
    if (total == 0) return;
    Section("commands", "Command changes");
    OpenTable("Table of command changes", {"Root", "Gate"});
    for (const auto& result : results_) {
      for (const auto& change : result.command_changes())
        TableRow({Code(change.root()), Status(change.gates().empty() ? "error" : "PASSED", GateWords(change))});
    }
    CloseTable();
    EndSection();
  }

  // Conditions that must not matter, one a row.
  void Perturbation() {
    size_t total = 0;
    for (const auto& result : results_) total += static_cast<size_t>(result.perturbations_size());
    if (total == 0) return;
    Section("perturbations", "Under varied conditions");
    OpenTable("Table of conditions", {"Condition", "Variant", "Outcome"});
    std::string details;
    for (const auto& result : results_) {
      for (const auto& row : result.perturbations()) {
        TableRow({E(row.perturbation()), Code(row.variant()), Status(row.identical() ? "IDENTICAL" : "DIVERGED", PerturbationWords(row))});
        for (const auto& difference : row.differences()) {
          details += "<details data-text><summary>" + E(row.perturbation()) + " " + Code(row.variant()) + ": " + Code(difference.path()) +
                     "</summary>\n<dl>";
          Row(&details, "expected", "<pre>" + E(Clip(difference.expected(), kMaxValue)) + "</pre>");
          Row(&details, "actual", "<pre>" + E(Clip(difference.actual(), kMaxValue)) + "</pre>");
          details += "</dl></details>\n";
        }
      }
    }
    CloseTable();
    body_ += details;
    EndSection();
  }

  void Trust() {
    std::string items;
    const auto mark = [](bool is_new) { return is_new ? std::string("<b>new</b> ") : std::string(); };
    for (const SuppressionFacts& facts : SuppressionTable(results_, options_)) {
      items += "<li data-text>" + mark(facts.is_new) + (facts.expiring ? Status("warning", "expiring") + " " : "") + "suppressed: " +
               Code(facts.finding->id()) + " at " +
               Linked(facts.finding->file(), facts.finding->line(), facts.finding->column(), options_) + ": " +
               E(SuppressionWords(facts)) + "</li>\n";
    }
    for (const TrustFacts& facts : TrustTable(results_, options_)) {
      items += "<li data-text>" + mark(facts.is_new) + Code(facts.mark->function()) + " is trusted: " + E(facts.mark->reason()) + " (" +
               Linked(facts.mark->file(), facts.mark->line(), facts.mark->column(), options_) + ")</li>\n";
    }
    if (items.empty()) return;
    Section("trust", "Suppressions and trusted marks");
    body_ += "<ul>\n" + items + "</ul>\n";
    EndSection();
  }

  void Problems() {
    std::string items;
    for (const auto& result : results_) {
      for (const auto& problem : result.problems())
        items += "<li>" + E(problem.message()) + " <span class=\"soft\">" + E(problem.code()) + "</span></li>\n";
      for (const auto& note : result.notes()) items += "<li class=\"soft\">" + E(note) + "</li>\n";
    }
    if (items.empty()) return;
    Section("problems", "Problems and notes");
    body_ += "<ul>\n" + items + "</ul>\n";
    EndSection();
  }

  void Recommendations() {
    const auto steps = NextSteps(results_);
    if (steps.empty()) return;
    Section("next", "Next steps");
    body_ += "<ul>\n";
    for (const auto& step : steps) body_ += "<li>" + E(step) + "</li>\n";
    body_ +=
        "</ul>\n<h3>For the reviewer</h3>\n<ul>\n<li>Does every changed command stand behind a version "
        "gate?</li>\n<li>Is every new suppression or trusted mark justified and owned?</li>\n<li>Was the corpus "
        "recorded again where the change is wanted?</li>\n</ul>\n";
    EndSection();
  }

  void Rules() {
    if (used_rules_.empty()) return;
    Section("rules", "Rules");
    for (const std::string& id : used_rules_) {
      const RuleFacts facts = FactsOf(id);
      if (facts.title.empty()) continue;
      body_ += "<details><summary>" + Code(id) + " " + E(facts.title) + "</summary>\n<pre>" + E(facts.page) +
               "</pre>\n</details>\n";
    }
    EndSection();
  }

  void About() {
    Section("about", "About this report");
    std::string rows;
    for (const auto& result : results_) {
      Row(&rows, result.tool().c_str(),
          E(result.verdict()) + (result.command().empty() ? "" : ": " + Code(result.command())) +
              (result.tool_version().empty() ? "" : " (version " + E(result.tool_version()) + ")") +
              (result.models().empty() ? "" : " (models " + Code(result.models()) + ")"));
    }
    Row(&rows, "model", Code(std::string(kResultFormat)));
    body_ += "<dl>" + rows + "</dl>\n";
    EndSection();
  }

  const std::vector<v1::Result>& results_;
  const RenderOptions& options_;
  std::string contents_;
  std::string body_;
  std::set<std::string> used_rules_;
};

}  // namespace

std::string RenderHtml(const std::vector<v1::Result>& results, const RenderOptions& options) {
  return Page(results, options).Run();
}

}  // namespace lockstep::reports
