#include "replay/trace/trace.h"

#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/sha256.h"
#include "engine-core/state/event.h"
#include "engine-core/workflow/match.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"
#include "replay/history/timeline.h"
#include "replay/trace/command_json.h"
#include "replay/trace/search.h"

namespace lockstep::replay {
namespace {

using workflow::Divergence;
using workflow::DivergenceKind;

// What the verdict rests on: the first difference of the worst grade.
const Divergence& Decisive(const std::vector<Divergence>& all) {
  const auto worst = workflow::WorstGrade(all);
  return *std::find_if(all.begin(), all.end(), [&](const Divergence& divergence) { return divergence.grade == worst; });
}

const Json* Named(const Json* list, std::string_view command) {
  if (list == nullptr || !list->is_array()) return nullptr;
  for (const Json& entry : list->AsArray()) {
    if (entry.GetString("command") == command) return &entry;
  }
  return nullptr;
}

std::string VerdictOf(const ProbeResult& probe) {
  if (probe.signal != 0) return "crashed with signal " + std::to_string(probe.signal);
  if (probe.spun) return "never yielded";
  return probe.in_step ? "in step" : "differs";
}

AwaitView AwaitFromJson(const Json& json) {
  AwaitView view;
  view.waits_for = json.GetString("waitsFor");
  view.event_id = json.GetInt("eventId");
  view.main = json.GetBool("main");
  view.cancelled = json.GetBool("cancelled");
  const Json* stack = json.Find("stack");
  for (size_t i = 0; stack != nullptr && stack->is_array() && i < stack->AsArray().size(); ++i) {
    const Json& frame = stack->AsArray()[i];
    if (frame.is_object())
      view.stack.push_back(
          {frame.GetString("file"), static_cast<uint32_t>(frame.GetInt("line")), frame.GetString("function")});
  }
  return view;
}

// A path or word as a shell takes it.
std::string Quoted(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return IsAsciiAlnum(c) || std::string_view("/._-+=:@,").find(c) != std::string_view::npos;
  });
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

class Tracer {
 public:
  Tracer(const ReplayInput& input, const TraceOptions& options)
      : input_(input), options_(options), tree_(options.sources) {}

  Result<TraceReport> Run() {
    Introduce();
    if (options_.registry->Find(report_.workflow_type) == nullptr) {
      report_.verdict = TraceVerdict::kNoCode;
      LookWithoutCode();
      return std::move(report_);
    }
    LOCKSTEP_TRY(Search());
    if (report_.first_bad == 0) return std::move(report_);
    report_.verdict = TraceVerdict::kDiverged;
    Describe();
    SideBySide();
    LOCKSTEP_TRY(Experiment());
    Explain();
    return std::move(report_);
  }

 private:
  void Introduce() {
    const auto& first = input_.histories.front();
    report_.path = input_.path;
    report_.workflow_type = history::WorkflowType(*first.history);
    report_.workflow_id = PrintableUtf8(first.info.workflow_id);
    report_.run_id = PrintableUtf8(first.info.run_id);
    for (const auto& loaded : input_.histories) report_.events += loaded.history->events_size();
    report_.plan = PlanTasks(input_);
    const auto& start = first.history->events(0).workflow_execution_started_event_attributes();
    report_.inputs = Json::MakeObject();
    if (const auto json = workflow::ReadFirstJson(start.input()); json && !json->is_null()) {
      report_.inputs.Set("workflowInputSha256", Sha256Hex(CanonicalJson(*json)));
      if (const Json* ref = json->Find("planRef"); ref != nullptr && ref->is_object())
        report_.inputs.Set("planSha256", PrintableUtf8(ref->GetString("sha256")));
    }
  }

  void LookWithoutCode() {
    history::PendingFold fold;
    for (const auto& event : input_.histories.back().history->events()) fold.Apply(event);
    report_.pending = fold.work();
    report_.growth = history::MeasureGrowth(*input_.histories.back().history);
  }

  ProbeOptions OptionsFor(size_t position, Condition condition) const {
    ProbeOptions options;
    options.registry = options_.registry;
    options.tasks = std::min(position, report_.plan.tasks.size());
    options.to_the_end = position > report_.plan.tasks.size();
    options.from_seq = options_.divergence_seq;
    options.condition = condition;
    options.deadlock_ms = options_.deadlock_ms;
    options.timeout_ms = std::max<int64_t>(30'000, 5 * options_.deadlock_ms);
    return options;
  }

  static ProbeNote NoteOf(const ProbeOptions& options, const ProbeResult& probe) {
    return {options.tasks,    options.condition,     options.to_the_end,
            VerdictOf(probe), probe.expected_digest, probe.actual_digest};
  }

  Status Search() {
    // After the last workflow task comes what is compared once: events that never came, and the record's hashes.
    report_.positions = report_.plan.tasks.size() + 1;
    const auto in_step = [&](size_t position) -> Result<bool> {
      const ProbeOptions options = OptionsFor(position, Condition::kAsItIs);
      LOCKSTEP_ASSIGN(ProbeResult probe, RunProbe(input_, report_.plan, options));
      ++report_.replays;
      report_.probes.push_back(NoteOf(options, probe));
      if (!probe.in_step) bad_ = std::move(probe);
      return report_.probes.back().verdict == "in step";
    };
    LOCKSTEP_ASSIGN(report_.first_bad, FirstDifference(report_.positions, in_step));
    return {};
  }

  void Describe() {
    if (bad_.divergences.empty()) {
      Divergence divergence;
      divergence.kind = bad_.spun ? DivergenceKind::kSpinning : DivergenceKind::kWorkflowPanic;
      divergence.grade = workflow::Grade::kCommandChanging;
      divergence.task_started_id = BadTask().started_id;
      divergence.event_id = BadTask().started_id;
      divergence.actual =
          bad_.spun ? "the code never yielded" : "the code crashed with signal " + std::to_string(bad_.signal);
      divergence.where = bad_.where;
      bad_.divergences.push_back(std::move(divergence));
    }
    Locate(&bad_.where);
    for (Divergence& divergence : bad_.divergences) {
      Locate(&divergence.where);
      Locate(&divergence.recorded_where);
    }
    report_.all = bad_.divergences;
    report_.first = Decisive(report_.all);
    report_.expected_digest = bad_.expected_digest;
    report_.actual_digest = bad_.actual_digest;
    report_.awaits = AwaitsFrom("awaits");
    report_.began = AwaitsFrom("began");
    for (Issuer& issuer : bad_.issuers) Locate(&issuer.where);
  }

  std::vector<AwaitView> AwaitsFrom(const char* member) {
    std::vector<AwaitView> views;
    const Json* awaits = bad_.detail.Find(member);
    for (size_t i = 0; awaits != nullptr && i < awaits->AsArray().size(); ++i) {
      views.push_back(AwaitFromJson(awaits->AsArray()[i]));
      for (workflow::SourceLine& frame : views.back().stack) Locate(&frame);
    }
    return views;
  }

  // By the names of the tree, as changes and findings have them.
  void Locate(workflow::SourceLine* line) { line->file = tree_.Relative(line->file); }

  const TaskPlan::Task& BadTask() const {
    return report_.plan.tasks[std::min(report_.first_bad, report_.plan.tasks.size()) - 1];
  }

  void SideBySide() {
    const Divergence& first = report_.first;
    if (first.run_seq > 0) return EventsSideBySide();
    if (const Json* recorded = bad_.detail.Find("recorded"); recorded != nullptr && recorded->is_array()) {
      for (const Json& entry : recorded->AsArray()) {
        if (first.event_id > 0 && entry.GetInt("eventId") == first.event_id) report_.expected = entry;
      }
    }
    const Json* commands = bad_.detail.Find("commands");
    const Json* actual = Named(commands, first.actual);
    if (actual == nullptr && first.kind != DivergenceKind::kMissingCommand) actual = Named(commands, first.command);
    if (actual != nullptr) report_.actual = *actual;
    if (report_.expected.is_null() || report_.actual.is_null() || first.kind != DivergenceKind::kFieldChanged) return;
    for (const Divergence& divergence : report_.all) {
      if (divergence.kind != DivergenceKind::kFieldChanged || divergence.event_id != first.event_id) continue;
      const std::string pointer = "/attributes" + AttributePointer(divergence.field);
      const Json* expected_part = report_.expected.At(pointer);
      const Json* actual_part = report_.actual.At(pointer);
      const Json none;
      if (expected_part == nullptr && actual_part == nullptr) {
        report_.fields.push_back({AttributePointer(divergence.field), divergence.expected, divergence.actual});
        continue;
      }
      for (JsonDifference& difference :
           DiffJson(expected_part != nullptr ? *expected_part : none, actual_part != nullptr ? *actual_part : none)) {
        difference.pointer = AttributePointer(divergence.field) + difference.pointer;
        report_.fields.push_back(std::move(difference));
      }
    }
  }

  void EventsSideBySide() {
    const Divergence& first = report_.first;
    if (input_.record) {
      for (const state::EventRecord& record : input_.record->events) {
        if (record.run_seq == first.run_seq) report_.expected = state::ToJson(record);
      }
    }
    if (const Json* events = bad_.detail.Find("engineEvents"); events != nullptr) {
      if (const Json* event = events->Find(std::to_string(first.run_seq)); event != nullptr) report_.actual = *event;
    }
    for (const Divergence& divergence : report_.all) {
      if (divergence.run_seq == first.run_seq && !divergence.field.empty()) {
        report_.fields.push_back({AttributePointer(divergence.field), divergence.expected, divergence.actual});
      }
    }
  }

  Status Experiment() {
    if (!options_.experiments) return {};
    const std::pair<Condition, std::optional<ProbeResult>*> experiments[] = {
        {Condition::kAgain, &again_}, {Condition::kEnvironment, &environment_}, {Condition::kMemory, &memory_}};
    // What never yields takes its time in every replay, and tells nothing new.
    if (bad_.spun) return {};
    for (const auto& [condition, result] : experiments) {
      const ProbeOptions options = OptionsFor(report_.first_bad, condition);
      LOCKSTEP_ASSIGN(*result, RunProbe(input_, report_.plan, options));
      report_.experiments.push_back(NoteOf(options, **result));
    }
    // What is another value each time may still come from memory that nobody wrote.
    if (again_->actual_digest != bad_.actual_digest) {
      const ProbeOptions options = OptionsFor(report_.first_bad, Condition::kMemory);
      LOCKSTEP_ASSIGN(memory_again_, RunProbe(input_, report_.plan, options));
      report_.experiments.push_back(NoteOf(options, *memory_again_));
    }
    return {};
  }

  int64_t WorkflowTime() const {
    const auto& events = input_.histories[static_cast<size_t>(BadTask().execution) - 1].history->events();
    const int64_t started = BadTask().started_id;
    return started >= 1 && started <= events.size() ? history::TimeMillis(events[static_cast<int>(started) - 1]) : 0;
  }

  void Explain() {
    CauseFacts facts;
    facts.first = report_.first;
    facts.all = report_.all;
    facts.fields = report_.fields;
    facts.began = report_.began;
    facts.awaits = report_.awaits;
    facts.bad = &bad_;
    facts.again = again_ ? &*again_ : nullptr;
    facts.environment = environment_ ? &*environment_ : nullptr;
    facts.memory = memory_ ? &*memory_ : nullptr;
    facts.memory_again = memory_again_ ? &*memory_again_ : nullptr;
    facts.now_ms = options_.now_ms;
    facts.workflow_ms = WorkflowTime();
    EditView view = EditsOf(&tree_, options_.changes);
    edits_ = std::move(view.edits);
    report_.harmless = std::move(view.harmless);
    facts.edits = edits_;
    facts.changes_known = options_.changes_known;
    report_.changed_since = options_.changed_since;
    report_.changes = edits_.size();
    facts.findings = options_.findings;
    if (input_.record && !input_.record->plan.empty()) {
      const std::string recorded = input_.record->manifest.GetString("planSha256");
      facts.plan_differs = !recorded.empty() && recorded != Sha256Hex(input_.record->plan);
    }
    report_.causes = RankCauses(facts, &tree_);
    Repair();
    const std::string path = Quoted(report_.path);
    report_.reproduce.push_back("lockstep replay " + path);
    const std::string execution = BadTask().execution > 1 ? " --execution " + std::to_string(BadTask().execution) : "";
    report_.reproduce.push_back("lockstep debug " + path + " --at " + std::to_string(BadTask().started_id) + execution);
  }

  void Repair() {
    const Divergence& first = report_.first;
    const std::string attribute = AttributeOf(first.field);
    const std::string what = !attribute.empty() ? attribute.substr(attribute.rfind('.') + 1)
                                                : std::string(workflow::DivergenceKindName(first.kind));
    for (const Cause& cause : report_.causes) {
      if (cause.change < 0) continue;
      const Edit& edit = edits_[static_cast<size_t>(cause.change)];
      report_.gate = GateForChange(&tree_, edit.hunk, ChangeIdFor(cause.where.function, what));
      if (!report_.gate.patch.empty()) return;
    }
    const bool fresh = first.kind == DivergenceKind::kSurplusCommand;
    if (report_.gate.note.empty() && fresh) {
      report_.gate = GateForNewCommand(&tree_, first.where, ChangeIdFor(first.where.function, what));
    } else if (report_.gate.note.empty()) {
      report_.gate = {ChangeIdFor(first.where.function, what),
                      {},
                      "the old text is not known: name a revision that was in step (--changed-since REV) to get the "
                      "gate as a patch"};
    }
  }

  const ReplayInput& input_;
  const TraceOptions& options_;
  SourceTree tree_;
  std::vector<Edit> edits_;
  TraceReport report_;
  ProbeResult bad_;
  std::optional<ProbeResult> again_, environment_, memory_, memory_again_;
};

// --- two recorded runs
// ---------------------------------------------------------------------------------------------------

// What two runs of one plan have in common: no ids, times, numbers of the log, lengths.
Json Comparable(const state::EventRecord& record) {
  Json payload = record.payload;
  if (payload.is_object()) {
    for (const char* name : {"durationMs", "engineRunRef", "engineType", "validation", "triggerSource", "queueWaitMs"})
      payload.AsObject().erase(name);
  }
  return Json::MakeObject({{"eventType", record.event_type},
                           {"stepId", record.step_id},
                           {"logicalAttemptId", static_cast<int64_t>(record.logical_attempt_id)},
                           {"payload", std::move(payload)}});
}

struct Lane {
  std::vector<Json> items;
  std::vector<std::string> digests;  // running
  std::vector<int64_t> places;       // runSeq or event id
  void Add(Json item, int64_t place) {
    digests.push_back(Sha256Hex((digests.empty() ? std::string() : digests.back()) + "|" + CanonicalJson(item)));
    items.push_back(std::move(item));
    places.push_back(place);
  }
};

// By step; commands of a history without an engine log are one lane.
std::map<std::string, Lane> LanesOf(const ReplayInput& input) {
  std::map<std::string, Lane> lanes;
  if (input.record && !input.record->events.empty()) {
    for (const state::EventRecord& record : input.record->events)
      lanes[record.step_id].Add(Comparable(record), record.run_seq);
    return lanes;
  }
  for (const auto& loaded : input.histories) {
    for (const auto& event : loaded.history->events()) {
      if (workflow::IsCommandEvent(event))
        lanes[""].Add(CommandEventJson(event).GetString("command"), event.event_id());
    }
  }
  return lanes;
}

}  // namespace

std::string_view TraceVerdictName(TraceVerdict verdict) {
  constexpr std::string_view kNames[] = {"IDENTICAL", "DIVERGED", "NO_CODE"};
  return kNames[static_cast<size_t>(verdict)];
}

Result<TraceReport> TraceHistory(const ReplayInput& input, const TraceOptions& options) {
  return Tracer(input, options).Run();
}

TraceReport CompareRuns(const ReplayInput& input, const ReplayInput& against) {
  TraceReport report;
  const auto& first = input.histories.front();
  report.path = input.path;
  report.against = against.path;
  report.workflow_type = PrintableUtf8(history::WorkflowType(*first.history));
  report.workflow_id = PrintableUtf8(first.info.workflow_id);
  report.run_id = PrintableUtf8(first.info.run_id);
  for (const auto& loaded : input.histories) report.events += loaded.history->events_size();
  const auto actual = LanesOf(input), expected = LanesOf(against);
  std::set<std::string> names;
  for (const auto& [name, lane] : actual) names.insert(name);
  for (const auto& [name, lane] : expected) names.insert(name);
  const Lane none;
  int64_t earliest = INT64_MAX;
  for (const std::string& name : names) {
    const Lane& left = expected.contains(name) ? expected.at(name) : none;
    const Lane& right = actual.contains(name) ? actual.at(name) : none;
    const size_t length = std::max(left.items.size(), right.items.size());
    report.positions += length;
    const auto difference = FirstDifference(length, [&](size_t k) -> Result<bool> {
      return k <= left.digests.size() && k <= right.digests.size() && left.digests[k - 1] == right.digests[k - 1];
    });
    if (!difference || *difference == 0) continue;
    const size_t at = *difference - 1;
    const int64_t place = at < right.places.size() ? right.places[at] : INT64_MAX - 1;
    if (place >= earliest) continue;
    earliest = place;
    report.verdict = TraceVerdict::kDiverged;
    report.expected = at < left.items.size() ? left.items[at] : Json();
    report.actual = at < right.items.size() ? right.items[at] : Json();
    report.fields = DiffJson(report.expected, report.actual);
    Divergence divergence;
    divergence.kind = report.actual.is_null()     ? DivergenceKind::kMissingCommand
                      : report.expected.is_null() ? DivergenceKind::kSurplusCommand
                                                  : DivergenceKind::kEventChanged;
    divergence.grade = divergence.kind == DivergenceKind::kEventChanged ? workflow::Grade::kPayloadOnly
                                                                        : workflow::Grade::kCommandChanging;
    divergence.step_id = name;
    divergence.run_seq = at < right.places.size() && input.record ? right.places[at] : 0;
    divergence.event_id = at < right.places.size() && !input.record ? right.places[at] : 0;
    // Where a step begins in the history is known by its name.
    for (const auto& event : first.history->events()) {
      if (divergence.event_id == 0 && at == 0 && !name.empty() && workflow::StepIdOf(event) == name)
        divergence.event_id = event.event_id();
    }
    if (!report.fields.empty()) divergence.field = report.fields.front().pointer;
    divergence.expected = report.fields.empty() ? std::string() : report.fields.front().expected;
    divergence.actual = report.fields.empty() ? std::string() : report.fields.front().actual;
    report.expected_digest = at < left.digests.size() ? left.digests[at] : std::string();
    report.actual_digest = at < right.digests.size() ? right.digests[at] : std::string();
    report.first = divergence;
    report.all = {divergence};
  }
  if (report.verdict == TraceVerdict::kDiverged) {
    const auto plan_of = [](const ReplayInput& run) {
      return run.record ? run.record->manifest.GetString("planSha256") : std::string();
    };
    const bool other_plan = plan_of(input) != plan_of(against);
    Cause cause;
    cause.cause = other_plan ? "plan-or-input-change" : "external-result";
    cause.confidence = other_plan ? 0.95 : 0.6;
    cause.evidence.push_back(other_plan ? "the two runs are of different plans"
                                        : "two runs of one plan: their steps gave different results");
    report.causes.push_back(std::move(cause));
  }
  return report;
}

int ExitCode(const TraceReport& report) { return report.verdict == TraceVerdict::kDiverged ? 1 : 0; }

}  // namespace lockstep::replay
