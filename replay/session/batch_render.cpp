// Results of a batch as JSON and as text.
#include <algorithm>

#include "replay/session/batch.h"

namespace lockstep::replay {
namespace {

using workflow::Divergence;

Json LineJson(const workflow::SourceLine& line) {
  if (!line.known()) return Json();
  return Json::MakeObject({{"file", line.file}, {"line", static_cast<int64_t>(line.line)}, {"function", line.function}});
}

void SetText(const char* name, const std::string& text, Json* json) {
  if (!text.empty()) json->Set(name, text);
}

std::string Padded(std::string text, size_t width, bool right = false) {
  if (text.size() >= width) return text;
  const std::string space(width - text.size(), ' ');
  return right ? space + text : text + space;
}

class Painter {
 public:
  explicit Painter(bool color) : color_(color) {}
  std::string Paint(std::string_view code, std::string text) const {
    return color_ ? "\x1b[" + std::string(code) + "m" + text + "\x1b[0m" : text;
  }
  std::string Verdict(replay::Verdict verdict, std::string text) const {
    constexpr std::string_view kCodes[] = {"32", "33", "31;1", "35"};
    return Paint(kCodes[static_cast<size_t>(verdict)], std::move(text));
  }

 private:
  bool color_;
};

std::string RenderDivergence(const Divergence& divergence, const Painter& painter) {
  std::string text = "  " + painter.Paint("1", std::string(workflow::GradeName(divergence.grade)) + " " + std::string(DivergenceKindName(divergence.kind)));
  if (divergence.event_id > 0) text += " at event " + std::to_string(divergence.event_id);
  if (divergence.task_started_id > 0) text += " (workflow task started at event " + std::to_string(divergence.task_started_id) + ")";
  if (!divergence.step_id.empty()) text += ", step " + divergence.step_id;
  text += "\n";
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) text += "    " + Padded(name, 10) + value + "\n";
  };
  row("command", divergence.command);
  row("field", divergence.field);
  row("expected", divergence.expected.empty() && !divergence.actual.empty() ? "nothing" : divergence.expected);
  row("actual", divergence.actual.empty() && !divergence.expected.empty() ? "nothing" : divergence.actual);
  if (divergence.where.known()) row("issued at", divergence.where.ToString() + (divergence.where.function.empty() ? "" : " in " + divergence.where.function));
  if (divergence.recorded_where.known() && !(divergence.recorded_where == divergence.where)) {
    row("recorded", "at " + divergence.recorded_where.ToString() + (divergence.recorded_where.function.empty() ? "" : " in " + divergence.recorded_where.function));
  }
  return text;
}

std::string RenderTable(const BatchResult& result, const Painter& painter) {
  size_t path_width = 7, type_width = 8;
  for (const ReplayReport& report : result.reports) {
    path_width = std::max(path_width, report.path.size());
    type_width = std::max(type_width, report.workflow_type.size());
  }
  std::string text = painter.Paint("1", Padded("history", path_width) + "  " + Padded("workflow", type_width) + "  events  tasks  commands  snapshot  verdict") + "\n";
  for (const ReplayReport& report : result.reports) {
    text += Padded(report.path, path_width) + "  " + Padded(report.workflow_type, type_width) + "  ";
    text += Padded(std::to_string(report.events), 6, true) + "  " + Padded(std::to_string(report.tasks), 5, true) + "  ";
    text += Padded(std::to_string(report.commands), 8, true) + "  " + Padded(report.snapshot_hash.substr(0, 8), 8) + "  ";
    text += painter.Verdict(report.verdict, std::string(VerdictName(report.verdict))) + "\n";
  }
  return text;
}

constexpr size_t kShownPerHistory = 10;

}  // namespace

Json ToJson(const Divergence& divergence) {
  Json json = Json::MakeObject({{"kind", DivergenceKindName(divergence.kind)}, {"grade", GradeName(divergence.grade)}});
  if (divergence.event_id > 0) json.Set("eventId", divergence.event_id);
  if (divergence.task_started_id > 0) json.Set("workflowTaskStartedEventId", divergence.task_started_id);
  if (divergence.run_seq > 0) json.Set("runSeq", divergence.run_seq);
  SetText("stepId", divergence.step_id, &json);
  SetText("command", divergence.command, &json);
  SetText("target", divergence.target, &json);
  SetText("field", divergence.field, &json);
  json.Set("expected", divergence.expected.empty() ? Json() : Json(divergence.expected));
  json.Set("actual", divergence.actual.empty() ? Json() : Json(divergence.actual));
  if (divergence.where.known()) json.Set("source", LineJson(divergence.where));
  if (divergence.recorded_where.known()) json.Set("recordedSource", LineJson(divergence.recorded_where));
  return json.Set("summary", divergence.Summary());
}

Json ToJson(const ReplayReport& report) {
  Json json = Json::MakeObject({{"path", report.path}, {"kind", report.record ? "record" : "history"}, {"verdict", VerdictName(report.verdict)}});
  if (report.error) {
    return json.Set("error", Json::MakeObject({{"code", report.error->code}, {"message", report.error->message}}));
  }
  SetText("workflowType", report.workflow_type, &json);
  SetText("workflowId", report.workflow_id, &json);
  SetText("runId", report.run_id, &json);
  SetText("status", report.status, &json);
  SetText("planId", report.plan_id, &json);
  SetText("planVersion", report.plan_version, &json);
  if (report.artifacts > 0) json.Set("artifacts", report.artifacts).Set("artifactsMatching", report.artifacts_matching);
  SetText("snapshotHash", report.snapshot_hash, &json);
  SetText("outcomeHash", report.outcome_hash, &json);
  json.Set("executions", report.executions).Set("events", report.events).Set("workflowTasks", report.tasks);
  json.Set("commands", report.commands).Set("engineEvents", report.engine_events).Set("openTask", report.open_task);
  Json divergences = Json::MakeArray();
  for (const Divergence& divergence : report.divergences) divergences.Push(ToJson(divergence));
  json.Set("divergences", std::move(divergences));
  if (!report.divergences.empty()) json.Set("grade", GradeName(workflow::WorstGrade(report.divergences)));
  return json;
}

Json ToJson(const BatchResult& result, bool strict) {
  Json histories = Json::MakeArray();
  for (const ReplayReport& report : result.reports) histories.Push(ToJson(report));
  constexpr std::string_view kOverall[] = {"IN_STEP", "DIVERGED", "", "UNREADABLE"};
  return Json::MakeObject({{"format", "lockstep.replay/1"},
                           {"verdict", kOverall[static_cast<size_t>(ExitCode(result, strict))]},
                           {"strict", strict},
                           {"totals", Json::MakeObject({{"histories", Json::Size(result.reports.size())},
                                                        {"identical", Json::Size(result.Count(Verdict::kIdentical))},
                                                        {"drift", Json::Size(result.Count(Verdict::kDrift))},
                                                        {"diverged", Json::Size(result.Count(Verdict::kDiverged))},
                                                        {"unreadable", Json::Size(result.Count(Verdict::kUnreadable))}})},
                           {"histories", std::move(histories)}});
}

std::string RenderText(const BatchResult& result, bool strict, bool color) {
  const Painter painter(color);
  std::string text = RenderTable(result, painter);
  for (const ReplayReport& report : result.reports) {
    if (report.error) text += "\n" + painter.Verdict(report.verdict, report.error->ToString()) + "\n";
    if (report.divergences.empty()) continue;
    text += "\n" + painter.Verdict(report.verdict, report.path) + ": " + std::to_string(report.divergences.size()) +
            (report.divergences.size() == 1 ? " difference\n" : " differences\n");
    for (size_t i = 0; i < report.divergences.size() && i < kShownPerHistory; ++i) text += RenderDivergence(report.divergences[i], painter);
    if (report.divergences.size() > kShownPerHistory) {
      text += "  ... and " + std::to_string(report.divergences.size() - kShownPerHistory) + " more (--format json has all)\n";
    }
  }
  const int code = ExitCode(result, strict);
  const size_t total = result.reports.size();
  std::string verdict = std::to_string(total) + (total == 1 ? " history: " : " histories: ") + std::to_string(result.Count(Verdict::kIdentical)) + " identical";
  const std::pair<Verdict, const char*> others[] = {{Verdict::kDrift, "drift"}, {Verdict::kDiverged, "diverged"}, {Verdict::kUnreadable, "unreadable"}};
  for (const auto& [kind, name] : others) {
    if (const size_t count = result.Count(kind); count > 0) verdict += ", " + std::to_string(count) + " " + name;
  }
  text += "\n" + verdict + ". " + painter.Paint(code == 0 ? "32;1" : "31;1", code == 0 ? "In step." : code == 1 ? "NOT in step." : "Unreadable input.") + "\n";
  return text;
}

}  // namespace lockstep::replay
