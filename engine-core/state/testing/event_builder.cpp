#include "engine-core/state/testing/event_builder.h"

#include <algorithm>
#include <array>

#include "engine-core/base/ids.h"
#include "engine-core/base/sha256.h"

namespace lockstep::state::testing {

std::string TestUuid(uint64_t number) {
  std::array<uint8_t, 16> bytes{};
  for (int i = 0; i < 8; ++i) bytes[15 - i] = static_cast<uint8_t>(number >> (8 * i));
  return FormatUuidV4(bytes);
}

std::string CountingIds::NewUuid() { return TestUuid(next_.fetch_add(1)); }

void RecordingAlerts::Raise(const Alert& alert) {
  const std::lock_guard lock(mutex_);
  alerts_.push_back(alert);
}
std::vector<Alert> RecordingAlerts::Taken() {
  const std::lock_guard lock(mutex_);
  return std::exchange(alerts_, {});
}
size_t RecordingAlerts::CountOf(std::string_view code) {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::ranges::count(alerts_, code, &Alert::code));
}

namespace {

const std::string kDigest = Sha256Hex("plan");

Json ErrorPayload() {
  return Json::MakeObject(
      {{"code", "PERMANENT_STEP_ERROR"}, {"message", "no such table"}, {"retryable", false}, {"category", "USER"}});
}

Json QueuedPayload(bool approval_required) {
  return Json::MakeObject(
      {{"planRef", Json::MakeObject({{"uri", "plan:" + kDigest},
                                     {"sha256", kDigest},
                                     {"schemaVersion", "v1.0"},
                                     {"planId", "hello-world"},
                                     {"planVersion", "1.0.0"}})},
       {"targetAdapter", "mock"},
       {"admission", Json::MakeObject({{"mode", "DIRECT"}})},
       {"approvalRequired", approval_required},
       {"validation",
        Json::MakeObject({{"status", "VALID"}, {"warningCodes", Json::MakeArray()}, {"reportSha256", kDigest}})}});
}

Json SignalPayload(std::string_view event_type, int32_t decision_seq, std::string_view signal_type, Json payload) {
  const auto number = static_cast<uint64_t>(decision_seq);
  Json json = Json::MakeObject({{"signalDecisionId", TestUuid(5000 + number)},
                                {"signalId", TestUuid(6000 + number)},
                                {"signalType", signal_type},
                                {"decisionSeq", decision_seq},
                                {"policyDecisionId", TestUuid(7000 + number)},
                                {"actorRole", "Operator"},
                                {"destructive", false}});
  if (event_type == "SignalAccepted") json.Set("signalPayload", std::move(payload));
  if (event_type == "SignalRejected") json.Set("errorCode", "RUN_TERMINAL");
  return json;
}

}  // namespace

Json ValidPayload(std::string_view type) {
  const Json none = Json::MakeArray();
  if (type == "RunQueued") return QueuedPayload(false);
  if (type == "RunApproved") return Json::MakeObject({{"approvedBy", "user-1"}, {"approvalId", "approval-1"}});
  if (type == "RunStarted") {
    return Json::MakeObject({{"engineRunRef", Json::MakeObject({{"provider", "mock"}, {"runId", "run-1"}})},
                             {"engineType", "mock"},
                             {"planSha256", kDigest},
                             {"stepCount", 2},
                             {"degraded", false}});
  }
  if (type == "StepCompleted") return Json::MakeObject({{"artifactRefs", none}});
  if (type == "StepFailed") return Json::MakeObject({{"error", ErrorPayload()}, {"final", true}});
  if (type == "StepSkipped") return Json::MakeObject({{"reasonCode", "CONDITION_FALSE"}});
  if (type == "RunPaused") return Json::MakeObject({{"signalId", TestUuid(6001)}, {"inFlightSteps", none}});
  if (type == "RunResumed") return Json::MakeObject({{"signalId", TestUuid(6002)}});
  if (type == "RunCompleted") {
    return Json::MakeObject({{"stepTotals", Json::MakeObject({{"success", 2}, {"skipped", 0}})}});
  }
  if (type == "RunFailed") {
    return Json::MakeObject({{"error", ErrorPayload()}, {"failedStepIds", none}, {"failedStepCount", 0}});
  }
  if (type == "RunCancelled") return Json::MakeObject({{"origin", "API"}, {"forced", false}, {"abandonedSteps", none}});
  if (type == "AlertEscalated") return Json::MakeObject({{"level", "WARNING"}, {"signalId", TestUuid(6003)}});
  if (type == "SignalAccepted" || type == "SignalRejected") return SignalPayload(type, 1, "PAUSE", Json::MakeObject());
  return Json();
}

EventBuilder::EventBuilder(std::string run_id, std::string tenant_id, std::string plan_id, std::string plan_version)
    : run_id_(std::move(run_id)),
      tenant_id_(std::move(tenant_id)),
      plan_id_(std::move(plan_id)),
      plan_version_(std::move(plan_version)) {}

EventWrite EventBuilder::Base(std::string_view event_type, std::string_view step_id, int32_t attempt) {
  EventWrite event;
  event.event_id = ids_.NewUuid();
  event.event_type = event_type;
  event.run_id = run_id_;
  event.tenant_id = tenant_id_;
  event.project_id = "p1";
  event.environment_id = "dev";
  event.plan_id = plan_id_;
  event.plan_version = plan_version_;
  event.logical_attempt_id = attempt;
  event.emitted_at = FormatUtcMillis(kEpoch + emitted_++);
  event.step_id = step_id;
  event.payload = ValidPayload(event_type);
  return Rekeyed(std::move(event));
}

EventWrite EventBuilder::Queued(bool approval_required) {
  EventWrite event = Base("RunQueued", "", 1);
  event.payload = QueuedPayload(approval_required);
  return event;
}
EventWrite EventBuilder::Run(std::string_view event_type, int32_t occurrence) {
  return Base(event_type, "", occurrence);
}
EventWrite EventBuilder::Step(std::string_view event_type, std::string_view step_id, int32_t attempt) {
  return Base(event_type, step_id, attempt);
}
EventWrite EventBuilder::Signal(std::string_view event_type, int32_t decision_seq, std::string_view signal_type,
                                Json payload) {
  EventWrite event = Base(event_type, "", decision_seq);
  event.payload = SignalPayload(event_type, decision_seq, signal_type, std::move(payload));
  return event;
}
EventWrite EventBuilder::Plain(std::string_view event_type, int32_t occurrence) {
  return Base(event_type, event_type.starts_with("Step") ? "s1" : "", occurrence);
}

RunMetadata EventBuilder::Metadata() const {
  RunMetadata run;
  run.run_id = run_id_;
  run.tenant_id = tenant_id_;
  run.project_id = "p1";
  run.environment_id = "dev";
  run.plan_id = plan_id_;
  run.plan_version = plan_version_;
  run.plan_sha256 = kDigest;
  run.provider = "mock";
  return run;
}

EventWrite Rekeyed(EventWrite event) {
  event.idempotency_key = KeyOf(event);
  return event;
}

EventRecord Recorded(const EventWrite& event, int64_t run_seq, UnixMillis persisted_at) {
  EventRecord record;
  static_cast<EventWrite&>(record) = event;
  record.run_seq = run_seq;
  record.persisted_at = FormatUtcMillis(persisted_at);
  return record;
}

std::vector<EventRecord> RecordedAll(const std::vector<EventWrite>& events) {
  std::vector<EventRecord> records;
  for (const EventWrite& event : events) records.push_back(Recorded(event, static_cast<int64_t>(records.size()) + 1));
  return records;
}

std::vector<EventWrite> HelloWorldEvents(EventBuilder& builder) {
  return {builder.Queued(),
          builder.Run("RunStarted"),
          builder.Step("StepStarted", "s1"),
          builder.Step("StepCompleted", "s1"),
          builder.Step("StepStarted", "s2"),
          builder.Step("StepCompleted", "s2"),
          builder.Run("RunCompleted")};
}

}  // namespace lockstep::state::testing
