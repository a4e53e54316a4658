// GitHub workflow commands: one annotation a finding, one a divergence where its source line is known. GitHub shows at
// most ten errors and ten warnings of a step, so the worst come first and a last notice says how many there are.
#include <algorithm>

#include "reports/render/tables.h"

namespace lockstep::reports {
namespace {

std::string EscapeData(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '%')
      out += "%25";
    else if (c == '\r')
      out += "%0D";
    else if (c == '\n')
      out += "%0A";
    else
      out += c;
  }
  return out;
}

std::string EscapeProperty(const std::string& text) {
  std::string out;
  for (const char c : EscapeData(text)) {
    if (c == ':')
      out += "%3A";
    else if (c == ',')
      out += "%2C";
    else
      out += c;
  }
  return out;
}

struct Annotation {
  int rank = 0;  // 0 error, 1 warning, 2 notice
  std::string file;
  int line = 0;
  int column = 0;
  std::string title;
  std::string text;
};

std::string Command(const Annotation& a) {
  constexpr const char* kNames[] = {"error", "warning", "notice"};
  std::string properties;
  const auto add = [&](const std::string& name, const std::string& value) {
    properties += (properties.empty() ? " " : ",") + name + "=" + value;
  };
  if (!a.file.empty()) add("file", EscapeProperty(a.file));
  if (a.line > 0) add("line", std::to_string(a.line));
  if (a.line > 0 && a.column > 0) add("col", std::to_string(a.column));
  if (!a.title.empty()) add("title", EscapeProperty(a.title));
  return std::string("::") + kNames[a.rank] + properties + "::" + EscapeData(a.text) + "\n";
}

int Rank(const std::string& severity) { return severity == "error" ? 0 : severity == "warning" ? 1 : 2; }

void AddFindings(const v1::Result& result, const RenderOptions& options, std::vector<Annotation>* out) {
  for (const Grouped& group : GroupFindings(result)) {
    const v1::Finding& f = *group.finding;
    std::string text = f.message();
    if (!f.root().empty()) {
      text += "\nreached from " + f.root();
      for (int i = 1; i < f.chain_size(); ++i) text += " -> " + f.chain(i).function();
    }
    if (!f.pointer().empty()) text += "\nat " + f.pointer();
    out->push_back({Rank(f.severity()), Shown(f.file(), options), f.line(), f.column(), f.id(), text});
  }
  for (const auto& problem : result.problems())
    out->push_back({problem.fatal() ? 0 : 1, Shown(problem.file(), options), 0, 0, problem.code(), problem.message()});
}

void AddHistories(const v1::Result& result, const RenderOptions& options, std::vector<Annotation>* out) {
  for (const auto& h : result.histories()) {
    if (h.has_error()) out->push_back({0, "", 0, 0, h.error().code(), h.error().message()});
    if (h.divergences_size() == 0) continue;
    // The first one explains the others.
    const auto& d = h.divergences(0);
    const int rank = h.verdict() == "DRIFT" && !result.strict() ? 1 : 0;
    std::string text = h.path() + ": " + d.grade() + " " + d.kind() + WhereInRun(d) +
                       (StepOf(d).empty() ? "" : ", step " + StepOf(d));
    if (!d.command().empty()) text += "\ncommand " + d.command();
    if (!d.field().empty()) text += "\nfield " + d.field();
    text += "\nexpected " + Clip(d.expected().empty() ? "nothing" : d.expected(), 300) + "\nactual " +
            Clip(d.actual().empty() ? "nothing" : d.actual(), 300);
    if (d.has_recorded_source())
      text += "\nrecorded at " + At(d.recorded_source().file(), d.recorded_source().line(), 0, options);
    if (!d.cause().empty()) text += "\ncause " + d.cause();
    text += "\n" + ReproduceCommand(h);
    if (h.divergences_size() > 1) text += "\nand " + Counted(h.divergences_size() - 1, "further difference");
    const bool own = d.has_source() && !Shown(d.source().file(), options).starts_with("/");
    out->push_back({rank, own ? Shown(d.source().file(), options) : std::string(), own ? d.source().line() : 0, 0,
                    "replay diverged", text});
  }
}

}  // namespace

std::string RenderGithub(const std::vector<v1::Result>& results, const RenderOptions& options) {
  std::vector<Annotation> all;
  for (const v1::Result& result : results) {
    AddHistories(result, options, &all);
    AddFindings(result, options, &all);
  }
  std::stable_sort(all.begin(), all.end(), [](const Annotation& a, const Annotation& b) { return a.rank < b.rank; });
  std::string out;
  for (const Annotation& annotation : all) out += Command(annotation);
  // What belongs to no line, in one notice.
  constexpr size_t kShownByGithub = 10;
  if (options.brief && all.size() <= kShownByGithub) return out;
  std::string text = std::string(OverallVerdict(results)) + ": " + Summary(results);
  if (all.size() > kShownByGithub) text += "\nGitHub shows only the first annotations of a step; the report has all";
  if (!options.brief) {
    for (const std::string& line : FactLines(results, options)) text += "\n" + line;
  }
  constexpr size_t kLongestNotice = 8'000;
  return out + Command({2, "", 0, 0, "Lockstep", Clip(text, kLongestNotice)});
}

}  // namespace lockstep::reports
