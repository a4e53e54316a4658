#include "replay/session/engine_log.h"

#include "engine-core/base/sha256.h"
#include "engine-core/base/time.h"
#include "engine-core/interpreter/run_input.h"
#include "engine-core/state/projector.h"
#include "engine-core/workflow/payload.h"
#include "replay/compare/json_diff.h"

namespace lockstep::replay {
namespace {

using workflow::Divergence;
using workflow::DivergenceKind;
using workflow::Grade;

// Members that the store assigns, or that only say who wrote the row.
constexpr const char* kStoreMembers[] = {"runSeq", "persistedAt", "meta"};

// No log is longer; what a damaged history claims must not overflow.
constexpr int64_t kMaxSeq = int64_t{1} << 53;

Json Comparable(Json event) {
  for (const char* member : kStoreMembers) {
    if (const auto it = event.AsObject().find(member); it != event.AsObject().end()) event.AsObject().erase(it);
  }
  return event;
}

// `/payload/error/code` -> `payload.error.code`.
std::string FieldName(std::string_view pointer) {
  std::string name;
  for (const char c : pointer.substr(pointer.empty() ? 0 : 1)) name.push_back(c == '/' ? '.' : c);
  return name;
}

std::string EventName(const state::EventWrite& event, int64_t seq) {
  return event.event_type + (event.step_id.empty() ? "" : " " + event.step_id) + " (runSeq " + std::to_string(seq) + ")";
}

// Written by the engine core or by people, not by the interpreter: admission, approval, audit, and an end that the engine core
// or its reconciler appended because the workflow could not (spec 04 sections 7.2 and 11).
bool IsForeign(const state::EventRecord& record) {
  const std::string& type = record.event_type;
  if (type == "RunQueued" || type == "RunApproved" || type == "AlertEscalated" || type.starts_with("Signal")) return true;
  if (type == "RunCancelled") return record.payload.GetBool("forced");
  if (type != "RunFailed") return false;
  const Json* error = record.payload.Find("error");
  return error != nullptr && error->GetString("code").starts_with("PROVIDER_");
}

// Written by the engine core when a run begins; a bare history does not hold it, and the snapshot needs only its ids.
state::EventRecord QueuedEvent(const Json& input) {
  state::EventRecord event;
  const Json& context = *input.Find("ctx");
  const Json& plan = *input.Find("planRef");
  event.event_type = "RunQueued";
  event.run_id = context.GetString("runId");
  event.tenant_id = context.GetString("tenantId");
  event.project_id = context.GetString("projectId");
  event.environment_id = context.GetString("environmentId");
  event.plan_id = plan.GetString("planId");
  event.plan_version = plan.GetString("planVersion");
  event.run_seq = 1;
  event.payload = Json::MakeObject({{"approvalRequired", false}});
  return event;
}

}  // namespace

EngineLog::EngineLog(std::vector<state::EventRecord> recorded, std::map<int64_t, Json> snapshots)
    : recorded_snapshots_(std::move(snapshots)), has_record_(true) {
  for (state::EventRecord& record : recorded) {
    const int64_t seq = record.run_seq;
    recorded_.emplace(seq, std::move(record));
  }
}

void EngineLog::Begin(const Json& input) {
  const bool first = input.Find("cursor") == nullptr && input.Find("ctx") != nullptr && input.Find("planRef") != nullptr;
  if (!first) return;
  comparable_ = true;
  if (!has_record_) Project(QueuedEvent(input), {});
}

void EngineLog::Observe(const workflow::LocalActivityTrace& trace) {
  if (trace.result == nullptr) return;
  const bool append = trace.activity_type == "emitEvents";
  if (!append && trace.activity_type != "compileRunSnapshot") return;
  const auto input = workflow::ReadFirstJson(*trace.input);
  const auto result = workflow::ReadFirstJson(*trace.result);
  if (!input || !result || !result->is_object()) return;
  if (append) {
    ObserveAppend(trace, *input, *result);
  } else {
    ObserveSnapshot(trace, *result);
  }
}

Divergence EngineLog::Describe(DivergenceKind kind, const workflow::LocalActivityTrace& trace) const {
  Divergence divergence;
  divergence.kind = kind;
  divergence.grade = kind == DivergenceKind::kSnapshotChanged ? Grade::kSnapshotOnly : Grade::kPayloadOnly;
  divergence.event_id = trace.event_id;
  divergence.task_started_id = trace.task_started_id;
  divergence.command = "LocalActivity " + std::string(trace.activity_id);
  divergence.where = workflow::ToSourceLine(trace.where);
  return divergence;
}

void EngineLog::ObserveAppend(const workflow::LocalActivityTrace& trace, const Json& input, const Json& result) {
  const Json* events = input.Find("events");
  const Json* appended = result.Find("appended");
  if (events == nullptr || !events->is_array() || appended == nullptr || !appended->is_array()) return;
  if (events->AsArray().size() != appended->AsArray().size()) {
    Divergence divergence = Describe(DivergenceKind::kEventChanged, trace);
    divergence.field = "events";
    divergence.expected = std::to_string(appended->AsArray().size()) + " events";
    divergence.actual = std::to_string(events->AsArray().size()) + " events";
    divergences_.push_back(std::move(divergence));
    explained_.insert(trace.event_id);
    events_differ_ = true;
  }
  const size_t count = std::min(events->AsArray().size(), appended->AsArray().size());
  for (size_t i = 0; i < count; ++i) {
    const auto event = state::ParseEventWrite(events->AsArray()[i]);
    if (!event) {
      Divergence divergence = Describe(DivergenceKind::kEventChanged, trace);
      divergence.expected = "an event of the catalog";
      divergence.actual = event.error().message;
      divergences_.push_back(std::move(divergence));
      continue;
    }
    workflow::LocalActivityTrace part = trace;
    if (i < trace.parts.size()) part.where = trace.parts[i];
    CompareEvent(part, *event, appended->AsArray()[i]);
  }
  CompareHash(trace, result);
}

void EngineLog::CompareEvent(const workflow::LocalActivityTrace& trace, const state::EventWrite& event, const Json& appended) {
  const int64_t seq = appended.GetInt("runSeq");
  const Json actual = state::ToJson(event);
  if (seq < 1 || seq > kMaxSeq) {
    Divergence divergence = Describe(DivergenceKind::kEventChanged, trace);
    divergence.step_id = event.step_id;
    divergence.command = event.event_type + (event.step_id.empty() ? "" : " " + event.step_id);
    divergence.field = "runSeq";
    divergence.expected = "a number that the store assigned, found " + std::to_string(seq);
    divergences_.push_back(std::move(divergence));
    explained_.insert(trace.event_id);
    events_differ_ = true;
    return;
  }
  // A duplicate answered from a row that says otherwise: the log has that row, and this write is known by its digest alone.
  const Json* stored_json = appended.Find("stored");
  const auto stored = stored_json != nullptr ? state::ParseEventWrite(*stored_json) : Result<state::EventWrite>(event);
  ApplyForeign(seq, trace);
  produced_.insert(seq);
  held_.erase(seq);
  std::vector<JsonDifference> differences;
  const auto recorded = recorded_.find(seq);
  if (recorded != recorded_.end() && stored_json == nullptr) {
    differences = DiffJson(Comparable(state::ToJson(recorded->second)), Comparable(actual));
  } else if (const std::string digest = Sha256Hex(CanonicalJson(actual)), known = appended.GetString("digest"); known != digest && !known.empty()) {
    differences.push_back({"/event", "digest " + known, "digest " + digest + ": " + CanonicalJson(event.payload).substr(0, 200)});
  }
  for (JsonDifference& difference : differences) {
    Divergence divergence = Describe(DivergenceKind::kEventChanged, trace);
    divergence.step_id = event.step_id;
    divergence.command = EventName(event, seq);
    divergence.run_seq = seq;
    divergence.field = FieldName(difference.pointer);
    divergence.expected = std::move(difference.expected);
    divergence.actual = std::move(difference.actual);
    divergences_.push_back(std::move(divergence));
  }
  if (!differences.empty()) {
    explained_.insert(trace.event_id);
    events_differ_ = true;
  }
  state::EventRecord record;
  static_cast<state::EventWrite&>(record) = stored ? *stored : event;
  record.event_id = appended.GetString("eventId", event.event_id);
  record.run_seq = seq;
  record.persisted_at = appended.GetString("persistedAt");
  Project(record, trace);
}

// Events that others appended in between (RunQueued, SignalAccepted ...), as the record has them. An event of the interpreter's
// own in between is one that the replay should have produced.
void EngineLog::ApplyForeign(int64_t before_seq, const workflow::LocalActivityTrace& trace) {
  for (auto it = recorded_.upper_bound(snapshot_.last_event_seq); it != recorded_.end() && it->first < before_seq; ++it) {
    if (!IsForeign(it->second) && !produced_.contains(it->first)) ReportMissing(it->second, trace);
    Project(it->second, trace);
  }
  // A bare history does not hold what others appended. Audit events change nothing but the number; anything else is unknown.
  if (!has_record_ && before_seq > snapshot_.last_event_seq + 1) gaps_ = true;
}

Divergence EngineLog::Missing(const state::EventRecord& record, const workflow::LocalActivityTrace& trace) const {
  Divergence divergence = Describe(DivergenceKind::kEventChanged, trace);
  divergence.step_id = record.step_id;
  divergence.command = EventName(record, record.run_seq);
  divergence.run_seq = record.run_seq;
  divergence.expected = "this event";
  return divergence;
}

// An event that the code should have produced by now. After a lost task it may be asked for later: a new append of it is answered
// with the row that is there.
void EngineLog::ReportMissing(const state::EventRecord& record, const workflow::LocalActivityTrace& trace) {
  if (lost_task_) {
    held_.emplace(record.run_seq, Missing(record, trace));
    return;
  }
  divergences_.push_back(Missing(record, trace));
  events_differ_ = true;
}

void EngineLog::Project(const state::EventRecord& record, const workflow::LocalActivityTrace& trace) {
  if (record.run_seq <= snapshot_.last_event_seq) return;
  // The harness follows one run: a history that mixes runs is reported by its events, not by an abort.
  if (!snapshot_.run_id.empty() && record.run_id != snapshot_.run_id) return;
  // A bare history lacks the SignalAccepted by which a failed step may be skipped; whoever recorded the skip has seen it.
  if (!has_record_ && record.event_type == "StepSkipped") {
    if (const auto step = snapshot_.steps.find(record.step_id); step != snapshot_.steps.end()) step->second.retry_accepted = true;
  }
  state::Project(&snapshot_, record);
  records_.push_back(record);
  // A changed event explains a changed snapshot.
  if (!compare_snapshots_ || !comparable_ || events_differ_) return;
  const auto it = recorded_snapshots_.find(record.run_seq);
  if (it == recorded_snapshots_.end()) return;
  for (JsonDifference& difference : DiffJson(it->second, state::SnapshotJson(snapshot_))) {
    Divergence divergence = Describe(DivergenceKind::kSnapshotChanged, trace);
    divergence.command = "snapshot at runSeq " + std::to_string(record.run_seq);
    divergence.run_seq = record.run_seq;
    divergence.step_id = record.step_id;
    divergence.field = FieldName(difference.pointer);
    divergence.expected = std::move(difference.expected);
    divergence.actual = std::move(difference.actual);
    divergences_.push_back(std::move(divergence));
  }
}

void EngineLog::CompareHash(const workflow::LocalActivityTrace& trace, const Json& result) {
  if (!compare_snapshots_ || !comparable_ || events_differ_) return;
  const std::string recorded = result.GetString("snapshotHash");
  // The hash is that of the head: of another state when a repeated append found the log further on.
  if (recorded.empty() || result.GetInt("headSeq", snapshot_.last_event_seq) != snapshot_.last_event_seq) return;
  const std::string actual = state::SnapshotHash(snapshot_);
  if (recorded == actual || gaps_) return;
  Divergence divergence = Describe(DivergenceKind::kSnapshotChanged, trace);
  divergence.command = "snapshot at runSeq " + std::to_string(snapshot_.last_event_seq);
  divergence.run_seq = snapshot_.last_event_seq;
  divergence.field = "snapshotHash";
  divergence.expected = recorded;
  divergence.actual = actual;
  divergences_.push_back(std::move(divergence));
}

void EngineLog::ObserveSnapshot(const workflow::LocalActivityTrace& trace, const Json& result) {
  if (!compare_snapshots_ || !comparable_ || events_differ_) return;
  const int64_t seq = result.GetInt("snapshotSeq");
  if (seq < 1 || seq > kMaxSeq) return;
  ApplyForeign(seq + 1, trace);
  if (seq != snapshot_.last_event_seq) return;  // others had appended more, and a bare history does not hold that
  const std::pair<const char*, std::string> hashes[] = {{"snapshotHash", state::SnapshotHash(snapshot_)},
                                                        {"outcomeHash", state::OutcomeHash(snapshot_)}};
  for (const auto& [name, actual] : hashes) {
    const std::string recorded = result.GetString(name);
    if (recorded.empty() || recorded == actual || gaps_) continue;
    Divergence divergence = Describe(DivergenceKind::kSnapshotChanged, trace);
    divergence.field = name;
    divergence.expected = recorded;
    divergence.actual = actual;
    divergences_.push_back(std::move(divergence));
  }
}

void EngineLog::Finish() {
  if (!has_record_) return;
  for (const auto& [seq, record] : recorded_) {
    if (seq <= snapshot_.last_event_seq) continue;
    if (!IsForeign(record)) ReportMissing(record, {});
  }
  if (!events_differ_) ApplyForeign(INT64_MAX, {});
  for (auto& [seq, divergence] : held_) {
    divergence.grade = Grade::kDrift;
    divergence.actual = "no history accounts for it: a workflow task that was lost wrote it";
    divergences_.push_back(std::move(divergence));
  }
  held_.clear();
}

}  // namespace lockstep::replay
