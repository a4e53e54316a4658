#include "replay/history/pending.h"

#include <google/protobuf/descriptor.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <optional>

#include "engine-core/base/bytes.h"
#include "engine-core/base/time.h"
#include "replay/history/integrity.h"
#include "replay/history/timeline.h"

namespace lockstep::history {
namespace {

namespace pb = google::protobuf;
using temporal::api::history::v1::HistoryEvent;
using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary

template <typename SecondsAndNanos>
int64_t Millis(const SecondsAndNanos& time) {
  constexpr int64_t kMost = 253'402'300'799;
  return std::clamp<int64_t>(time.seconds(), -kMost, kMost) * 1000 +
         std::clamp(time.nanos(), 0, 999'999'999) / 1'000'000;
}

// What opens an item.
struct OpenRow {
  int type;
  std::string_view kind;
  void (*fill)(const HistoryEvent& event, PendingItem* item);
};
constexpr OpenRow kOpens[] = {
    {EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, "activity",
     [](const HistoryEvent& event, PendingItem* item) {
       const auto& a = event.activity_task_scheduled_event_attributes();
       item->id = a.activity_id();
       item->type = a.activity_type().name();
       item->timeout_ms = Millis(a.start_to_close_timeout());
     }},
    {EVENT_TYPE_TIMER_STARTED, "timer",
     [](const HistoryEvent& event, PendingItem* item) {
       const auto& a = event.timer_started_event_attributes();
       item->id = a.timer_id();
       item->timeout_ms = Millis(a.start_to_fire_timeout());
     }},
    {EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED, "childWorkflow",
     [](const HistoryEvent& event, PendingItem* item) {
       const auto& a = event.start_child_workflow_execution_initiated_event_attributes();
       item->id = a.workflow_id();
       item->type = a.workflow_type().name();
     }},
    {EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, "signalExternal",
     [](const HistoryEvent& event, PendingItem* item) {
       const auto& a = event.signal_external_workflow_execution_initiated_event_attributes();
       item->id = a.workflow_execution().workflow_id();
       item->type = a.signal_name();
     }},
    {EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED, "cancelExternal",
     [](const HistoryEvent& event, PendingItem* item) {
       item->id = event.request_cancel_external_workflow_execution_initiated_event_attributes()
                      .workflow_execution()
                      .workflow_id();
     }},
    {EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, "update",
     [](const HistoryEvent& event, PendingItem* item) {
       const auto& a = event.workflow_execution_update_accepted_event_attributes();
       item->id = a.protocol_instance_id();
       item->type = a.accepted_request().input().name();
     }},
    {EVENT_TYPE_NEXUS_OPERATION_SCHEDULED, "nexusOperation",
     [](const HistoryEvent& event, PendingItem* item) {
       const auto& a = event.nexus_operation_scheduled_event_attributes();
       item->id = a.endpoint();
       item->type = a.service() + "." + a.operation();
     }},
};

enum class Effect : uint8_t { kStart, kCancelRequest, kClose };
struct EffectRow {
  int type;
  Effect effect;
};
constexpr EffectRow kEffects[] = {
    {EVENT_TYPE_ACTIVITY_TASK_STARTED, Effect::kStart},
    {EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, Effect::kCancelRequest},
    {EVENT_TYPE_ACTIVITY_TASK_COMPLETED, Effect::kClose},
    {EVENT_TYPE_ACTIVITY_TASK_FAILED, Effect::kClose},
    {EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, Effect::kClose},
    {EVENT_TYPE_ACTIVITY_TASK_CANCELED, Effect::kClose},
    {EVENT_TYPE_TIMER_FIRED, Effect::kClose},
    {EVENT_TYPE_TIMER_CANCELED, Effect::kClose},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, Effect::kStart},
    {EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED, Effect::kClose},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, Effect::kClose},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, Effect::kClose},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, Effect::kClose},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT, Effect::kClose},
    {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED, Effect::kClose},
    {EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED, Effect::kClose},
    {EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, Effect::kClose},
    {EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED, Effect::kClose},
    {EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, Effect::kClose},
    {EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED, Effect::kClose},
    {EVENT_TYPE_NEXUS_OPERATION_STARTED, Effect::kStart},
    {EVENT_TYPE_NEXUS_OPERATION_CANCEL_REQUESTED, Effect::kCancelRequest},
    {EVENT_TYPE_NEXUS_OPERATION_COMPLETED, Effect::kClose},
    {EVENT_TYPE_NEXUS_OPERATION_FAILED, Effect::kClose},
    {EVENT_TYPE_NEXUS_OPERATION_CANCELED, Effect::kClose},
    {EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT, Effect::kClose},
};

template <typename Row, size_t N>
const Row* RowOf(const Row (&rows)[N], int type) {
  const auto it = std::find_if(std::begin(rows), std::end(rows), [type](const Row& row) { return row.type == type; });
  return it == std::end(rows) ? nullptr : &*it;
}

// A member of the event's own attributes by name; 0 when it has none.
int64_t ReferenceOf(const HistoryEvent& event, std::string_view name) {
  const auto* oneof = HistoryEvent::descriptor()->FindOneofByName("attributes");
  const auto* field = event.GetReflection()->GetOneofFieldDescriptor(event, oneof);
  if (field == nullptr) return 0;
  const pb::Message& attributes = event.GetReflection()->GetMessage(event, field);
  const auto* reference = attributes.GetDescriptor()->FindFieldByName(std::string(name));
  if (reference == nullptr || reference->cpp_type() != pb::FieldDescriptor::CPPTYPE_INT64) return 0;
  return attributes.GetReflection()->GetInt64(attributes, reference);
}

// A payload that holds a whole number as JSON text, as every SDK writes the version of a change gate.
std::optional<int64_t> NumberIn(const temporal::api::common::v1::Payloads& payloads) {
  if (payloads.payloads_size() == 0) return std::nullopt;
  return ParseInt64(payloads.payloads(0).data());
}

std::string TextIn(const temporal::api::common::v1::Payloads& payloads) {
  if (payloads.payloads_size() == 0) return {};
  const auto json = ParseJson(payloads.payloads(0).data());
  return json && json->is_string() ? PrintableUtf8(json->AsString()) : std::string();
}

// The dialects of Go, Java and our own (`Version`), and of the core-based SDKs (`core_patch`).
void NoteVersion(const HistoryEvent& event, PendingWork* work) {
  const auto& marker = event.marker_recorded_event_attributes();
  const auto detail = [&](const char* name) -> const temporal::api::common::v1::Payloads* {
    const auto it = marker.details().find(name);
    return it == marker.details().end() ? nullptr : &it->second;
  };
  if (marker.marker_name() == "Version") {
    const auto* id = detail("change-id") != nullptr ? detail("change-id") : detail("changeId");
    if (id == nullptr || detail("version") == nullptr) return;
    if (const auto version = NumberIn(*detail("version"))) work->versions[TextIn(*id)] = *version;
  } else if (marker.marker_name() == "core_patch" && detail("patch-data") != nullptr &&
             detail("patch-data")->payloads_size() > 0) {
    const auto json = ParseJson(detail("patch-data")->payloads(0).data());
    if (json && json->is_object()) work->versions[PrintableUtf8(json->GetString("id"))] = 1;
  }
}

}  // namespace

int64_t TimeMillis(const HistoryEvent& event) { return Millis(event.event_time()); }

int64_t OpenedBy(const HistoryEvent& event) {
  for (const std::string_view name : {"scheduled_event_id", "initiated_event_id", "accepted_event_id"}) {
    if (const int64_t id = ReferenceOf(event, name); id > 0) return id;
  }
  // A timer names its start as every other its schedule.
  if (event.event_type() == EVENT_TYPE_TIMER_FIRED || event.event_type() == EVENT_TYPE_TIMER_CANCELED) {
    return std::max<int64_t>(0, ReferenceOf(event, "started_event_id"));
  }
  return 0;
}

PendingItem* PendingFold::Find(int64_t event_id) {
  const auto it = std::lower_bound(work_.items.begin(), work_.items.end(), event_id,
                                   [](const PendingItem& item, int64_t id) { return item.event_id < id; });
  return it == work_.items.end() || it->event_id != event_id ? nullptr : &*it;
}

void PendingFold::ApplyWorkflowTask(const HistoryEvent& event) {
  switch (event.event_type()) {
    case EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
      work_.workflow_task = "scheduled";
      return;
    case EVENT_TYPE_WORKFLOW_TASK_STARTED:
      work_.workflow_task = "started";
      arrived_ = std::move(work_.unseen_signals);
      work_.unseen_signals.clear();
      return;
    case EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
      work_.workflow_task = {};
      work_.last_completed_task_event_id = event.event_id();
      arrived_.clear();
      return;
    // The code that ran left no trace: it has seen nothing.
    case EVENT_TYPE_WORKFLOW_TASK_FAILED:
    case EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
      work_.workflow_task = {};
      work_.unseen_signals.insert(work_.unseen_signals.begin(), arrived_.begin(), arrived_.end());
      arrived_.clear();
      return;
    default:
      return;
  }
}

void PendingFold::Apply(const HistoryEvent& event) {
  work_.event_id = event.event_id();
  work_.time_ms = TimeMillis(event);
  ApplyWorkflowTask(event);
  if (const OpenRow* row = RowOf(kOpens, event.event_type())) {
    PendingItem item;
    item.kind = row->kind;
    item.state = "scheduled";
    item.event_id = event.event_id();
    item.since_ms = work_.time_ms;
    row->fill(event, &item);
    item.id = PrintableUtf8(item.id);
    item.type = PrintableUtf8(item.type);
    const auto place = std::upper_bound(work_.items.begin(), work_.items.end(), item.event_id,
                                        [](int64_t id, const PendingItem& other) { return id < other.event_id; });
    work_.items.insert(place, std::move(item));
  } else if (const EffectRow* effect = RowOf(kEffects, event.event_type())) {
    PendingItem* item = Find(OpenedBy(event));
    if (item == nullptr) return;
    if (effect->effect == Effect::kClose) {
      work_.items.erase(work_.items.begin() + (item - work_.items.data()));
    } else if (effect->effect == Effect::kCancelRequest) {
      item->cancel_requested = true;
    } else {
      item->state = "started";
      item->started_event_id = event.event_id();
      if (event.has_activity_task_started_event_attributes())
        item->attempt = event.activity_task_started_event_attributes().attempt();
    }
  } else if (event.event_type() == EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) {
    ++work_.signals;
    work_.unseen_signals.push_back(
        {event.event_id(), PrintableUtf8(event.workflow_execution_signaled_event_attributes().signal_name())});
  } else if (event.event_type() == EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED) {
    work_.cancel_requested = true;
  } else if (event.event_type() == EVENT_TYPE_MARKER_RECORDED) {
    NoteVersion(event, &work_);
  } else if (const std::string_view status = ClosingStatus(event); !status.empty()) {
    work_.status = status;
    // Whatever was under way is of no consequence to a run that is over.
    work_.items.clear();
    work_.unseen_signals.clear();
    work_.workflow_task = {};
  }
}

Json ToJson(const PendingWork& work) {
  Json items = Json::MakeArray();
  for (const PendingItem& item : work.items) {
    Json json = Json::MakeObject({{"kind", item.kind},
                                  {"id", item.id},
                                  {"state", item.state},
                                  {"eventId", item.event_id},
                                  {"since", FormatUtcMillis(item.since_ms)}});
    if (!item.type.empty()) json.Set("type", item.type);
    if (item.started_event_id > 0) json.Set("startedEventId", item.started_event_id);
    if (item.attempt > 0) json.Set("attempt", item.attempt);
    if (item.timeout_ms > 0) json.Set("timeoutMs", item.timeout_ms);
    if (item.timeout_ms > 0 && item.kind == "timer") json.Set("due", FormatUtcMillis(item.since_ms + item.timeout_ms));
    if (item.cancel_requested) json.Set("cancelRequested", true);
    items.Push(std::move(json));
  }
  Json signals = Json::MakeArray();
  for (const PendingSignal& signal : work.unseen_signals)
    signals.Push(Json::MakeObject({{"eventId", signal.event_id}, {"name", signal.name}}));
  Json versions = Json::MakeObject();
  for (const auto& [id, version] : work.versions) versions.Set(id, version);
  Json json = Json::MakeObject({{"status", work.status},
                                {"items", std::move(items)},
                                {"unseenSignals", std::move(signals)},
                                {"signalsSoFar", work.signals},
                                {"versions", std::move(versions)},
                                {"cancelRequested", work.cancel_requested}});
  return json.Set("workflowTask", work.workflow_task.empty() ? Json() : Json(work.workflow_task));
}

}  // namespace lockstep::history
