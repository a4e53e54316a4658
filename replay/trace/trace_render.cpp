// A trace as `divergence.json` (spec 07, section 7) and as text.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine-core/base/bytes.h"
#include "replay/session/batch.h"
#include "replay/trace/search.h"
#include "replay/trace/trace.h"

namespace lockstep::replay {
namespace {

using workflow::Divergence;
using workflow::SourceLine;

Json ProbesJson(const std::vector<ProbeNote>& probes) {
  Json list = Json::MakeArray();
  for (const ProbeNote& probe : probes) {
    list.Push(Json::MakeObject({{"workflowTasks", Json::Size(probe.tasks)},
                                {"toTheEnd", probe.to_the_end},
                                {"condition", ConditionName(probe.condition)},
                                {"verdict", probe.verdict},
                                {"expectedDigest", probe.expected_digest},
                                {"actualDigest", probe.actual_digest}}));
  }
  return list;
}

Json FieldsJson(const std::vector<JsonDifference>& fields) {
  Json list = Json::MakeArray();
  for (const JsonDifference& field : fields) {
    list.Push(Json::MakeObject({{"path", field.pointer},
                                {"expected", field.expected.empty() ? Json() : Json(field.expected)},
                                {"actual", field.actual.empty() ? Json() : Json(field.actual)}}));
  }
  return list;
}

Json CausesJson(const std::vector<Cause>& causes) {
  Json list = Json::MakeArray();
  for (const Cause& cause : causes) {
    Json evidence = Json::MakeArray();
    for (const std::string& text : cause.evidence) evidence.Push(text);
    Json json = Json::MakeObject({{"cause", cause.cause},
                                  {"meaning", CauseMeaning(cause.cause)},
                                  {"confidence", std::round(cause.confidence * 100) / 100},
                                  {"evidence", std::move(evidence)}});
    if (cause.where.known()) json.Set("source", LineJson(cause.where));
    if (!cause.finding.empty()) json.Set("finding", cause.finding);
    list.Push(std::move(json));
  }
  return list;
}

// The last task in step: where everything was still the same.
const TaskPlan::Task* LastGood(const TraceReport& report) {
  if (report.first_bad < 2 || report.plan.tasks.empty()) return nullptr;
  return &report.plan.tasks[std::min(report.first_bad - 1, report.plan.tasks.size()) - 1];
}

Json IdenticalUpTo(const TraceReport& report) {
  const TaskPlan::Task* good = LastGood(report);
  if (report.verdict == TraceVerdict::kIdentical && !report.plan.tasks.empty()) good = &report.plan.tasks.back();
  if (good == nullptr) return Json();
  return Json::MakeObject({{"execution", good->execution},
                           {"workflowTask", Json::Size(static_cast<size_t>(good - report.plan.tasks.data()) + 1)},
                           {"eventId", good->end_id},
                           {"runningDigest", good->expected_digest}});
}

// --- text
// ----------------------------------------------------------------------------------------------------------------

constexpr size_t kColumn = 62;
constexpr size_t kMostLines = 40;

class Text {
 public:
  explicit Text(bool color) : color_(color) {}
  std::string Paint(std::string_view code, const std::string& text) const {
    return color_ ? "\x1b[" + std::string(code) + "m" + text + "\x1b[0m" : text;
  }
  std::string Bold(const std::string& text) const { return Paint("1", text); }

 private:
  bool color_;
};

size_t WidthOf(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string Column(std::string_view text) {
  std::string cut(WidthOf(text) > kColumn ? TruncateUtf8(text, kColumn - 3) : text);
  if (cut.size() < text.size()) cut += "...";
  return cut + std::string(kColumn - std::min(kColumn, WidthOf(cut)), ' ');
}

std::vector<std::string> PrettyLines(const Json& json) {
  if (json.is_null()) return {"(nothing)"};
  std::vector<std::string> lines;
  for (const std::string_view line : Split(PrettyJson(json), '\n')) {
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

// Pairs of lines: equal ones side by side, by the longest common subsequence; long values are cut first.
std::vector<std::pair<int, int>> Align(const std::vector<std::string>& left, const std::vector<std::string>& right) {
  const size_t n = left.size(), m = right.size();
  std::vector<std::vector<uint32_t>> best(n + 1, std::vector<uint32_t>(m + 1, 0));
  for (size_t i = n; i-- > 0;) {
    for (size_t j = m; j-- > 0;)
      best[i][j] = left[i] == right[j] ? best[i + 1][j + 1] + 1 : std::max(best[i + 1][j], best[i][j + 1]);
  }
  std::vector<std::pair<int, int>> pairs;
  size_t i = 0, j = 0;
  while (i < n || j < m) {
    if (i < n && j < m && left[i] == right[j]) {
      pairs.emplace_back(static_cast<int>(i++), static_cast<int>(j++));
    } else if (i < n && j < m && best[i + 1][j + 1] == best[i][j]) {
      pairs.emplace_back(static_cast<int>(i++), static_cast<int>(j++));  // one replaced by the other
    } else if (j >= m || (i < n && best[i + 1][j] >= best[i][j + 1])) {
      pairs.emplace_back(static_cast<int>(i++), -1);
    } else {
      pairs.emplace_back(-1, static_cast<int>(j++));
    }
  }
  return pairs;
}

// Without what only one side can have: the line, the id of the event, and attributes that the server filled in.
std::pair<Json, Json> ForPeople(const TraceReport& report) {
  Json expected = report.expected, actual = report.actual;
  for (Json* side : {&expected, &actual}) {
    if (!side->is_object() || side->Find("attributes") == nullptr) continue;
    side->AsObject().erase("source");
    side->AsObject().erase("eventId");
  }
  Json* recorded = expected.Find("attributes");
  const Json* issued = actual.Find("attributes");
  if (recorded == nullptr || issued == nullptr || report.first.kind != workflow::DivergenceKind::kFieldChanged)
    return {expected, actual};
  std::erase_if(recorded->AsObject(), [&](const auto& member) {
    const auto differs = [&](const JsonDifference& field) { return field.pointer.starts_with("/" + member.first); };
    return issued->Find(member.first) == nullptr && std::none_of(report.fields.begin(), report.fields.end(), differs);
  });
  return {expected, actual};
}

std::string SideBySideText(const TraceReport& report, const Text& text) {
  const auto [expected, actual] = ForPeople(report);
  std::vector<std::string> left = PrettyLines(expected), right = PrettyLines(actual);
  left.resize(std::min<size_t>(left.size(), 400));
  right.resize(std::min<size_t>(right.size(), 400));
  const auto pairs = Align(left, right);
  std::vector<bool> shown(pairs.size(), false);
  const auto differs = [&](size_t k) {
    return pairs[k].first < 0 || pairs[k].second < 0 ||
           left[static_cast<size_t>(pairs[k].first)] != right[static_cast<size_t>(pairs[k].second)];
  };
  for (size_t k = 0; k < pairs.size(); ++k) {
    if (!differs(k)) continue;
    for (size_t near = k > 2 ? k - 2 : 0; near < std::min(pairs.size(), k + 3); ++near) shown[near] = true;
  }
  std::string out = "  " + text.Bold(Column("expected")) + "   " + text.Bold("actual") + "\n";
  size_t lines = 0;
  for (size_t k = 0; k < pairs.size() && lines < kMostLines; ++k) {
    if (!shown[k]) {
      if (k > 0 && shown[k - 1]) out += "  ...\n";
      continue;
    }
    const std::string a = pairs[k].first < 0 ? std::string() : left[static_cast<size_t>(pairs[k].first)];
    const std::string b = pairs[k].second < 0 ? std::string() : right[static_cast<size_t>(pairs[k].second)];
    std::string second = Column(b);
    second.erase(second.find_last_not_of(' ') + 1);
    out += differs(k) ? "  " + text.Paint("31", Column(a)) + " | " + text.Paint("32", second) + "\n"
                      : "  " + Column(a) + "   " + second + "\n";
    ++lines;
  }
  return out;
}

std::string Snippet(const SourceLine& where, SourceTree* sources) {
  const std::vector<std::string>* lines = sources->Lines(where.file);
  if (lines == nullptr || where.line == 0 || where.line > lines->size()) return {};
  std::string number = std::to_string(where.line);
  return "       " + number + " | " + PrintableUtf8((*lines)[where.line - 1]) + "\n";
}

std::string CausesText(const TraceReport& report, SourceTree* sources, const Text& text) {
  std::string out = "\n" + text.Bold("causes, most likely first") + "\n";
  if (!report.changed_since.empty()) {
    out += "  (weighed: " + std::to_string(report.changes) + " places that say something else since " +
           PrintableUtf8(report.changed_since);
    for (size_t i = 0; i < report.harmless.size(); ++i)
      out +=
          (i == 0 ? "; left out: " : ", ") + std::to_string(report.harmless[i].second) + " " + report.harmless[i].first;
    out += ")\n";
  }
  for (size_t i = 0; i < report.causes.size() && i < 5; ++i) {
    const Cause& cause = report.causes[i];
    char confidence[16];
    std::snprintf(confidence, sizeof(confidence), "%.2f", cause.confidence);
    out += "  " + std::to_string(i + 1) + ". " + text.Bold(cause.cause) + " (" + confidence +
           "): " + std::string(CauseMeaning(cause.cause)) + "\n";
    if (cause.where.known())
      out += "     at " + cause.where.ToString() + (cause.where.function.empty() ? "" : " in " + cause.where.function) +
             "\n" + Snippet(cause.where, sources);
    for (const std::string& evidence : cause.evidence) out += "     - " + PrintableUtf8(evidence) + "\n";
  }
  return out;
}

std::string HeadText(const TraceReport& report, const Text& text) {
  std::string out = text.Bold(report.path) + ": " + PrintableUtf8(report.workflow_type) + " [" + report.workflow_id +
                    "], " + std::to_string(report.events) + " events";
  if (!report.plan.tasks.empty()) out += ", " + std::to_string(report.plan.tasks.size()) + " workflow tasks";
  if (!report.against.empty()) out += ", against " + report.against;
  return out + "\n";
}

std::string SearchText(const TraceReport& report) {
  if (report.replays == 0) return {};
  return std::to_string(report.replays) + (report.replays == 1 ? " replay" : " replays") + " of at most " +
         std::to_string(MostProbes(report.positions));
}

std::string DivergenceText(const TraceReport& report, const Text& text) {
  const Divergence& first = report.first;
  std::string out;
  if (const TaskPlan::Task* good = LastGood(report)) {
    out += "in step up to event " + std::to_string(good->end_id) +
           (good->execution > 1 ? " of execution " + std::to_string(good->execution) : "") + " (workflow task " +
           std::to_string(report.first_bad - 1) + " of " + std::to_string(report.plan.tasks.size()) + "), " +
           SearchText(report) + "\n";
  } else if (report.replays > 0) {
    out += "differs from the first workflow task on, " + SearchText(report) + "\n";
  }
  out += "\n" + text.Paint("31;1", std::string(workflow::GradeName(first.grade)) + " " +
                                       std::string(workflow::DivergenceKindName(first.kind)));
  if (first.event_id > 0) out += " at event " + std::to_string(first.event_id);
  if (first.run_seq > 0) out += ", runSeq " + std::to_string(first.run_seq);
  if (!first.step_id.empty()) out += ", step " + first.step_id;
  out += "\n";
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty())
      out += "  " + std::string(name) + std::string(10 - std::string_view(name).size(), ' ') + value + "\n";
  };
  const auto place = [](const SourceLine& line) {
    return line.known() ? line.ToString() + (line.function.empty() ? "" : " in " + line.function) : std::string();
  };
  row("command", first.command);
  if (report.fields.empty()) {
    row("field", first.field);
    row("expected", first.expected.empty() ? "nothing" : first.expected);
    row("actual", first.actual.empty() ? "nothing" : first.actual);
  }
  row("issued at", place(first.where));
  if (!(first.recorded_where == first.where)) row("recorded", place(first.recorded_where));
  for (const JsonDifference& field : report.fields) {
    out += "  " + text.Bold(field.pointer) + "\n    expected " + (field.expected.empty() ? "nothing" : field.expected) +
           "\n    actual   " + (field.actual.empty() ? "nothing" : field.actual) + "\n";
  }
  if (report.all.size() > 1)
    out += "  (" + std::to_string(report.all.size()) +
           " differences in this prefix; this is the first of the worst grade)\n";
  if (!report.expected.is_null() || !report.actual.is_null()) out += "\n" + SideBySideText(report, text);
  return out;
}

std::string RepairText(const TraceReport& report, const Text& text) {
  std::string out;
  if (!report.gate.change_id.empty()) {
    out += "\n" + text.Bold("smallest version gate") + "\n";
    if (!report.gate.patch.empty()) out += report.gate.patch;
    out += "  (" + report.gate.note + ")\n";
  }
  if (!report.reproduce.empty()) {
    out += "\n" + text.Bold("to reproduce") + "\n";
    for (const std::string& line : report.reproduce) out += "  " + line + "\n";
  }
  return out;
}

}  // namespace

Json ToJson(const TraceReport& report) {
  Json json = Json::MakeObject({{"format", "lockstep.divergence/1"},
                                {"path", report.path},
                                {"verdict", TraceVerdictName(report.verdict)},
                                {"workflowType", PrintableUtf8(report.workflow_type)},
                                {"workflowId", report.workflow_id},
                                {"runId", report.run_id},
                                {"events", report.events},
                                {"workflowTasks", Json::Size(report.plan.tasks.size())}});
  if (!report.against.empty()) json.Set("against", report.against);
  if (report.verdict == TraceVerdict::kNoCode)
    return json.Set("growth", history::ToJson(report.growth)).Set("pending", history::ToJson(report.pending));
  json.Set("search", Json::MakeObject({{"positions", Json::Size(report.positions)},
                                       {"replays", Json::Size(report.replays)},
                                       {"most", Json::Size(MostProbes(report.positions))}}));
  json.Set("probes", ProbesJson(report.probes))
      .Set("identicalUpTo", IdenticalUpTo(report))
      .Set("inputs", report.inputs);
  Json digests = Json::MakeArray();
  for (const TaskPlan::Task& task : report.plan.tasks) {
    digests.Push(Json::MakeObject({{"execution", task.execution},
                                   {"startedEventId", task.started_id},
                                   {"lastEventId", task.end_id},
                                   {"runningDigest", task.expected_digest}}));
  }
  json.Set("runningDigests", std::move(digests));
  if (report.verdict == TraceVerdict::kIdentical) return json;
  json.Set("first", ToJson(report.first))
      .Set("fields", FieldsJson(report.fields))
      .Set("expectedCommand", report.expected)
      .Set("actualCommand", report.actual);
  json.Set("divergenceSeq", report.first.run_seq > 0 ? Json(report.first.run_seq) : Json());
  json.Set("workflowTask", Json::Size(report.first_bad))
      .Set("expectedDigest", report.expected_digest)
      .Set("actualDigest", report.actual_digest);
  Json all = Json::MakeArray(), reproduce = Json::MakeArray(), awaits = Json::MakeArray();
  for (const Divergence& divergence : report.all) all.Push(ToJson(divergence));
  for (const std::string& line : report.reproduce) reproduce.Push(line);
  for (const AwaitView& view : report.awaits) awaits.Push(ToJson(view));
  json.Set("divergences", std::move(all))
      .Set("causes", CausesJson(report.causes))
      .Set("experiments", ProbesJson(report.experiments));
  json.Set("awaits", std::move(awaits)).Set("reproduce", std::move(reproduce));
  if (!report.changed_since.empty()) {
    Json harmless = Json::MakeObject();
    for (const auto& [what, count] : report.harmless) harmless.Set(what, Json::Size(count));
    json.Set("changedSince", PrintableUtf8(report.changed_since));
    json.Set("changes", Json::MakeObject({{"weighed", Json::Size(report.changes)}, {"leftOut", std::move(harmless)}}));
  }
  if (!report.gate.change_id.empty()) {
    json.Set("repair", Json::MakeObject({{"changeId", report.gate.change_id},
                                         {"patch", report.gate.patch.empty() ? Json() : Json(report.gate.patch)},
                                         {"note", report.gate.note}}));
  }
  return json;
}

std::string RenderTrace(const TraceReport& report, SourceTree* sources, bool color) {
  const Text text(color);
  std::string out = HeadText(report, text);
  if (report.verdict == TraceVerdict::kIdentical) {
    return out + text.Paint("32;1", "in step") + " to the end" + (report.replays > 0 ? ", " + SearchText(report) : "") +
           "\n";
  }
  if (report.verdict == TraceVerdict::kNoCode) {
    return out + "this build has no workflow " + PrintableUtf8(report.workflow_type) +
           ": nothing to replay; what its events say:\n\n" + history::RenderGrowth(report.growth);
  }
  out += DivergenceText(report, text) + CausesText(report, sources, text) + RepairText(report, text);
  return out;
}

}  // namespace lockstep::replay
