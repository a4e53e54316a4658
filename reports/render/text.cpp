// Plain text: findings in the style of compilers, histories as a table, one closing line.
#include <algorithm>

#include "reports/render/tables.h"

namespace lockstep::reports {
namespace {

struct Paint {
  bool on;
  std::string operator()(std::string_view code, const std::string& text) const {
    return on ? "\033[" + std::string(code) + "m" + text + "\033[0m" : text;
  }
  std::string Severity(const std::string& severity) const {
    return (*this)(severity == "error" ? "1;31" : severity == "warning" ? "1;35" : "1;36", severity + ": ");
  }
};

void FindingText(const Grouped& group, const RenderOptions& options, const Paint& paint, std::string* out) {
  const v1::Finding& f = *group.finding;
  *out += paint("1", At(f.file(), f.line(), f.column(), options) + ": ") + paint.Severity(f.severity()) +
          paint("1", f.message()) + " [" + f.id() + "]\n";
  if (!f.source_line().empty()) {
    const std::string number = std::to_string(f.line());
    const std::string margin(number.size() < 5 ? 5 - number.size() : 0, ' ');
    *out += margin + number + " | " + f.source_line() + "\n";
    std::string caret;
    for (int i = 1; i < f.column() && i <= static_cast<int>(f.source_line().size()); ++i)
      caret += f.source_line()[static_cast<size_t>(i) - 1] == '\t' ? '\t' : ' ';
    *out += std::string(std::max<size_t>(5, number.size()), ' ') + " | " + caret + paint("1;32", "^") + "\n";
  }
  const std::string note = "      " + paint("1;36", "note: ");
  if (!f.pointer().empty())
    *out += note + "at " + f.pointer() + (f.plan_id().empty() ? "" : " of plan " + f.plan_id()) + "\n";
  if (!f.root().empty()) {
    *out += note + f.verdict() + "; reached from " + f.root();
    for (int i = 1; i < f.chain_size(); ++i) *out += " -> " + f.chain(i).function();
    if (group.roots > 1) *out += " (and from " + Counted(group.roots - 1, "other root") + ")";
    *out += "\n";
    for (int i = 0; i + 1 < f.chain_size(); ++i) {
      *out += At(f.chain(i).file(), f.chain(i).line(), f.chain(i).column(), options) + ": " + paint("1;36", "note: ") +
              f.chain(i).function() + " calls " + f.chain(i + 1).function() + " here\n";
    }
  }
  if (f.fixes_size() > 0) *out += note + "--fix can change this\n";
}

std::string Padded(std::string text, size_t width, bool right = false) {
  if (text.size() >= width) return text;
  const std::string space(width - text.size(), ' ');
  return right ? space + text : text + space;
}

void DivergenceText(const v1::Divergence& d, const RenderOptions& options, const Paint& paint, std::string* out) {
  *out += "  " + paint("1", d.grade() + " " + d.kind());
  *out += WhereInRun(d);
  if (!StepOf(d).empty()) *out += ", step " + StepOf(d);
  *out += "\n";
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) *out += "    " + Padded(name, 10) + value + "\n";
  };
  row("command", d.command());
  row("field", d.field());
  row("expected", d.expected().empty() && !d.actual().empty() ? "nothing" : d.expected());
  row("actual", d.actual().empty() && !d.expected().empty() ? "nothing" : d.actual());
  if (d.has_source())
    row("issued at", At(d.source().file(), d.source().line(), 0, options) +
                         (d.source().function().empty() ? "" : " in " + d.source().function()));
  if (d.has_recorded_source()) row("recorded", At(d.recorded_source().file(), d.recorded_source().line(), 0, options));
  row("cause", d.cause());
}

void HistoriesText(const v1::Result& result, const RenderOptions& options, const Paint& paint, std::string* out) {
  if (result.histories_size() == 0) return;
  size_t path = 7, type = 8;
  for (const auto& h : result.histories()) {
    path = std::max(path, h.path().size());
    type = std::max(type, h.workflow_type().size());
  }
  *out += paint("1", Padded("history", path) + "  " + Padded("workflow", type) +
                         "  events  tasks  commands  snapshot  verdict") +
          "\n";
  for (const auto& h : result.histories()) {
    *out += Padded(h.path(), path) + "  " + Padded(h.workflow_type(), type) + "  " +
            Padded(std::to_string(h.events()), 6, true) + "  " + Padded(std::to_string(h.workflow_tasks()), 5, true) +
            "  " + Padded(std::to_string(h.commands()), 8, true) + "  " + Padded(h.snapshot_hash().substr(0, 8), 8) +
            "  " +
            paint(h.verdict() == "IDENTICAL"  ? "32"
                  : h.verdict() == "DRIFT"    ? "33"
                  : h.verdict() == "DIVERGED" ? "31;1"
                                              : "35",
                  h.verdict()) +
            "\n";
  }
  constexpr int kShown = 10;
  for (const auto& h : result.histories()) {
    if (h.has_error()) *out += "\n" + h.path() + ": " + h.error().code() + ": " + h.error().message() + "\n";
    if (h.divergences_size() == 0) continue;
    *out += "\n" + paint("31;1", h.path()) + ": " + Counted(h.divergences_size(), "difference") + "\n";
    for (int i = 0; i < h.divergences_size() && i < kShown; ++i) DivergenceText(h.divergences(i), options, paint, out);
    if (h.divergences_size() > kShown)
      *out += "  ... and " + std::to_string(h.divergences_size() - kShown) + " more (--format json has all)\n";
    *out += "    reproduce " + ReproduceCommand(h) + "\n";
  }
  *out += "\n";
}

}  // namespace

std::string RenderText(const std::vector<v1::Result>& results, const RenderOptions& options) {
  const Paint paint{options.color};
  std::string out;
  for (const v1::Result& result : results) {
    for (const auto& problem : result.problems())
      out += paint("1;35", "problem: ") + problem.message() +
             (problem.code().empty() ? "" : " [" + problem.code() + "]") + "\n";
    for (const Grouped& group : GroupFindings(result)) FindingText(group, options, paint, &out);
    if (options.brief) {
      for (const auto& trust : result.trusted())
        out += At(trust.file(), trust.line(), trust.column(), options) + ": " + paint("1;36", "note: ") +
               trust.function() + " is trusted: " + trust.reason() + "\n";
      for (const auto& note : result.notes()) out += paint("1;36", "note: ") + note + "\n";
      if (result.suppressed_size() > 0) out += Counted(result.suppressed_size(), "finding") + " suppressed\n";
    }
    HistoriesText(result, options, paint, &out);
    const auto& s = result.summary();
    if (s.baselined() > 0) out += Counted(s.baselined(), "finding") + " in the baseline\n";
    if (s.unaffected() > 0) out += Counted(s.unaffected(), "finding") + " not caused by the change\n";
  }
  const std::string verdict(OverallVerdict(results));
  if (!options.brief) {
    for (const std::string& line : FactLines(results, options)) out += line + "\n";
  }
  return out + Summary(results) + ". " +
         paint(verdict == kFailed || verdict == kIncomplete ? "31;1" : "32;1", verdict) + "\n";
}

}  // namespace lockstep::reports
