// JUnit XML as CI servers read it: a suite a result, a case a history, a plan, or a rule with findings. Every fact of a
// case is in the text of its failure. Valid against the Jenkins xUnit schema.
#include <map>
#include <set>

#include "reports/render/tables.h"

namespace lockstep::reports {
namespace {

struct Case {
  std::string class_name;
  std::string name;
  std::string file;
  std::string kind;  // failure, error, skipped or empty
  std::string type;
  std::string message;
  std::string text;
};

std::string DivergenceLines(const v1::History& h, const RenderOptions& options) {
  std::string text;
  for (const auto& d : h.divergences()) {
    text += d.grade() + " " + d.kind() + WhereInRun(d) + (StepOf(d).empty() ? "" : ", step " + StepOf(d)) + "\n";
    if (!d.command().empty()) text += "  command  " + d.command() + "\n";
    if (!d.field().empty()) text += "  field    " + d.field() + "\n";
    text += "  expected " + Clip(d.expected().empty() ? "nothing" : d.expected(), 2000) + "\n  actual   " +
            Clip(d.actual().empty() ? "nothing" : d.actual(), 2000) + "\n";
    if (d.has_source()) text += "  issued at " + At(d.source().file(), d.source().line(), 0, options) + "\n";
    if (d.has_recorded_source())
      text += "  recorded  " + At(d.recorded_source().file(), d.recorded_source().line(), 0, options) + "\n";
    if (!d.cause().empty()) text += "  cause    " + d.cause() + "\n";
  }
  return text + "reproduce: " + ReproduceCommand(h) + "\n";
}

std::vector<Case> HistoryCases(const v1::Result& result, const RenderOptions& options) {
  std::vector<Case> cases;
  for (const auto& h : result.histories()) {
    Case c{"lockstep.replay." + (h.workflow_type().empty() ? std::string("unknown") : h.workflow_type()),
           h.path(),
           h.path(),
           "",
           "",
           "",
           ""};
    if (h.verdict() == "UNREADABLE") {
      c.kind = "error";
      c.type = h.error().code();
      c.message = h.error().message();
      c.text = h.error().code() + ": " + h.error().message();
    } else if (h.verdict() == "DIVERGED" || (h.verdict() == "DRIFT" && result.strict())) {
      c.kind = "failure";
      c.type = h.grade().empty() && h.divergences_size() > 0 ? h.divergences(0).grade() : h.grade();
      c.message =
          Counted(h.divergences_size(), "difference") +
          (h.divergences_size() > 0
               ? ": " + Clip(h.divergences(0).summary().empty() ? h.divergences(0).kind() : h.divergences(0).summary(),
                             400)
               : "");
      c.text = DivergenceLines(h, options);
    }
    cases.push_back(std::move(c));
  }
  return cases;
}

// One case a rule and file: CI servers list failed cases, and a rule in a file is what one fixes at a time.
std::vector<Case> LintCases(const v1::Result& result, const RenderOptions& options) {
  std::vector<Case> cases;
  std::map<std::pair<std::string, std::string>, Case> by_rule;
  std::set<std::string> with_findings;
  for (const Grouped& group : GroupFindings(result)) {
    const v1::Finding& f = *group.finding;
    const std::string file = Shown(f.file(), options);
    with_findings.insert(file);
    Case& c = by_rule[{file, f.id()}];
    const std::string line =
        At(f.file(), f.line(), f.column(), options) + ": " + f.severity() + ": " + f.message() + " [" + f.id() + "]";
    if (c.name.empty()) c = {"lockstep.lint." + f.id(), file, file, "", f.id(), Clip(line, 400), ""};
    if (f.severity() == "error") c.kind = "failure";
    c.text += line + "\n";
    if (!f.pointer().empty()) c.text += "  at " + f.pointer() + "\n";
    if (!f.root().empty()) c.text += "  reached from " + f.root() + "\n";
    for (const auto& step : f.chain())
      c.text += "  " + At(step.file(), step.line(), step.column(), options) + ": " + step.function() + "\n";
  }
  for (auto& [key, c] : by_rule) cases.push_back(std::move(c));
  for (const auto& plan : result.plans()) {
    if (!with_findings.contains(Shown(plan.file(), options)))
      cases.push_back({"lockstep.lint.plan", Shown(plan.file(), options), Shown(plan.file(), options), "", "", "", ""});
  }
  for (const auto& problem : result.problems()) {
    cases.push_back({"lockstep.lint.input", Shown(problem.file(), options), Shown(problem.file(), options),
                     problem.fatal() ? "error" : "", problem.code(), Clip(problem.message(), 400), problem.message()});
  }
  if (cases.empty()) cases.push_back({"lockstep.lint", "no finding", "", "", "", "", ""});
  return cases;
}

std::string Attribute(const char* name, const std::string& value) {
  return value.empty() ? std::string() : std::string(" ") + name + "=\"" + EscapeMarkup(value) + "\"";
}

std::string CaseXml(const Case& c) {
  std::string out =
      "    <testcase name=\"" + EscapeMarkup(c.name) + "\"" + Attribute("classname", c.class_name) + " time=\"0\"";
  if (c.kind.empty() && c.text.empty()) return out + "/>\n";
  out += ">\n";
  if (c.kind.empty())
    out += "      <system-out>" + EscapeMarkup(c.text) + "</system-out>\n";
  else
    out += "      <" + c.kind + Attribute("type", c.type) + Attribute("message", c.message) + ">" +
           EscapeMarkup(c.text) + "</" + c.kind + ">\n";
  return out + "    </testcase>\n";
}

}  // namespace

std::string RenderJunit(const std::vector<v1::Result>& results, const RenderOptions& options) {
  std::string suites;
  size_t tests = 0, failures = 0, errors = 0;
  for (const v1::Result& result : results) {
    std::vector<Case> cases = HistoryCases(result, options);
    if (result.tool() == "lint" || result.findings_size() > 0) {
      for (Case& c : LintCases(result, options)) cases.push_back(std::move(c));
    }
    size_t failed = 0, broken = 0;
    std::string body;
    for (const Case& c : cases) {
      failed += c.kind == "failure";
      broken += c.kind == "error";
      body += CaseXml(c);
    }
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%lld.%03lld", static_cast<long long>(result.duration_ms() / 1000),
                  static_cast<long long>(result.duration_ms() % 1000));
    suites += "  <testsuite name=\"lockstep " + EscapeMarkup(result.tool()) + "\" tests=\"" +
              std::to_string(cases.size()) + "\" failures=\"" + std::to_string(failed) + "\" errors=\"" +
              std::to_string(broken) + "\" skipped=\"0\" time=\"" + seconds + "\">\n";
    suites += "    <properties>\n      <property name=\"verdict\" value=\"" + EscapeMarkup(result.verdict()) + "\"/>\n";
    if (!options.commit.empty())
      suites += "      <property name=\"commit\" value=\"" + EscapeMarkup(options.commit) + "\"/>\n";
    suites += "    </properties>\n" + body;
    // What belongs to no case stands once, in the first suite.
    if (&result == &results.front()) {
      std::string text = std::string(OverallVerdict(results)) + ": " + Summary(results) + "\n";
      for (const std::string& line : FactLines(results, options)) text += line + "\n";
      suites += "    <system-out>" + EscapeMarkup(text) + "</system-out>\n";
    }
    suites += "  </testsuite>\n";
    tests += cases.size();
    failures += failed;
    errors += broken;
  }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"lockstep\" tests=\"" + std::to_string(tests) +
         "\" failures=\"" + std::to_string(failures) + "\" errors=\"" + std::to_string(errors) + "\">\n" + suites +
         "</testsuites>\n";
}

}  // namespace lockstep::reports
