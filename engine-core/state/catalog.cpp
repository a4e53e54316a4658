#include "engine-core/state/catalog.h"

#include <algorithm>
#include <array>

#include "engine-core/base/bytes.h"
#include "engine-core/base/ids.h"
#include "engine-core/base/time.h"
#include "engine-core/state/event.h"

namespace lockstep::state {
namespace {

using enum ValueKind;
constexpr bool kRequired = true;
constexpr bool kOptional = false;

constexpr Member Field(std::string_view name, bool required, ValueKind kind, size_t max_bytes = 2048) {
  return {.name = name, .required = required, .kind = kind, .max_bytes = max_bytes};
}
constexpr Member List(std::string_view name, bool required, ValueKind kind, const Shape* shape = nullptr,
                      size_t max_items = SIZE_MAX) {
  return {.name = name, .required = required, .kind = kind, .array = true, .max_items = max_items, .shape = shape};
}
constexpr Member Word(std::string_view name, bool required, std::span<const std::string_view> words) {
  return {.name = name, .required = required, .kind = kWord, .words = words};
}
constexpr Member Object(std::string_view name, bool required, const Shape* shape = nullptr) {
  return {.name = name, .required = required, .kind = kObject, .shape = shape};
}

// Enumerations of sections 2 and 3.
constexpr std::array<std::string_view, 5> kEmitters = {"engine", "planner", "worker", "authorization", "system"};
constexpr std::array<std::string_view, 3> kAdmissionModes = {"DIRECT", "QUEUE", "DELAY"};
constexpr std::array<std::string_view, 4> kTriggerSources = {"manual", "schedule", "webhook", "api"};
constexpr std::array<std::string_view, 3> kEngineTypes = {"temporal", "conductor", "mock"};
constexpr std::array<std::string_view, 4> kSkipReasons = {"DEPENDENCY_FAILED", "CONDITION_FALSE", "OPERATOR_SKIP",
                                                          "GATE_TIMEOUT"};
constexpr std::array<std::string_view, 4> kCancelOrigins = {"SIGNAL", "API", "EMERGENCY_STOP", "SYSTEM"};
constexpr std::array<std::string_view, 4> kAlertLevels = {"INFO", "WARNING", "CRITICAL", "P1"};
constexpr std::array<std::string_view, 6> kErrorCategories = {"USER",    "SYSTEM",           "PLATFORM",
                                                              "TIMEOUT", "VALIDATION_ERROR", "PLUGIN_SANDBOX"};
constexpr std::array<std::string_view, 4> kErrorSources = {"activity", "engine", "planner", "secrets"};

// Shared payload types (section 3.3).
constexpr std::array<Member, 5> kArtifactRefMembers = {{
    Field("uri", kRequired, kText),
    Field("kind", kRequired, kAscii, 128),
    Field("sha256", kOptional, kSha256),
    Field("sizeBytes", kOptional, kCount),
    Field("expiresAt", kOptional, kTime),
}};
constexpr Shape kArtifactRef = {kArtifactRefMembers};

constexpr std::array<Member, 6> kErrorMembers = {{
    Field("code", kRequired, kText, 64),
    Field("message", kRequired, kFreeText, 2 * 1024),
    Field("retryable", kRequired, kBool),
    Word("category", kRequired, kErrorCategories),
    Word("source", kOptional, kErrorSources),
    Field("stackTrace", kOptional, kFreeText, 8 * 1024),
}};
constexpr Shape kError = {kErrorMembers};

constexpr std::array<Member, 4> kMetaMembers = {{
    Word("emittedBy", kOptional, kEmitters),
    Field("adapterVersion", kOptional, kText, 128),
    Field("causedBySignalId", kOptional, kText, 128),
    Field("parentEventId", kOptional, kUuid),
}};
constexpr Shape kMeta = {kMetaMembers};

// Lifecycle events (section 3.1).
constexpr std::array<Member, 5> kPlanRefMembers = {{
    Field("uri", kRequired, kText),
    Field("sha256", kRequired, kSha256),
    Field("schemaVersion", kRequired, kSchemaVersion),
    Field("planId", kRequired, kIdentifier),
    Field("planVersion", kRequired, kPlanVersion),
}};
constexpr Shape kPlanRef = {kPlanRefMembers};
constexpr std::array<Member, 2> kAdmissionMembers = {{
    Word("mode", kRequired, kAdmissionModes),
    Field("notBefore", kOptional, kTime),
}};
constexpr Shape kAdmission = {kAdmissionMembers};
constexpr std::array<Member, 3> kValidationMembers = {{
    Field("status", kRequired, kText, 64),
    List("warningCodes", kRequired, kText),
    Field("reportSha256", kRequired, kSha256),
}};
constexpr Shape kValidation = {kValidationMembers};
constexpr std::array<Member, 10> kRunQueuedMembers = {{
    Object("planRef", kRequired, &kPlanRef),
    Field("targetAdapter", kRequired, kText, 64),
    Object("admission", kRequired, &kAdmission),
    Field("approvalRequired", kRequired, kBool),
    Object("validation", kRequired, &kValidation),
    Object("params", kOptional),
    Field("triggeredBy", kOptional, kText, 256),
    Word("triggerSource", kOptional, kTriggerSources),
    Field("runRequestId", kOptional, kIdentifier),
    Field("originalRunId", kOptional, kIdentifier),
}};
constexpr Shape kRunQueued = {kRunQueuedMembers};

constexpr std::array<Member, 3> kRunApprovedMembers = {{
    Field("approvedBy", kRequired, kText, 256),
    Field("approvalId", kRequired, kText, 128),
    Field("reason", kOptional, kFreeText, 4096),
}};
constexpr Shape kRunApproved = {kRunApprovedMembers};

constexpr std::array<Member, 2> kEngineRunRefMembers = {{
    Field("provider", kRequired, kText, 64),
    Field("runId", kRequired, kIdentifier),
}};
constexpr Shape kEngineRunRef = {kEngineRunRefMembers};
constexpr std::array<Member, 5> kRunStartedMembers = {{
    Object("engineRunRef", kRequired, &kEngineRunRef),
    Word("engineType", kRequired, kEngineTypes),
    Field("planSha256", kRequired, kSha256),
    Field("stepCount", kRequired, kCount),
    Field("degraded", kRequired, kBool),
}};
constexpr Shape kRunStarted = {kRunStartedMembers};

constexpr std::array<Member, 3> kStepStartedMembers = {{
    Field("kind", kOptional, kText, 128),
    Field("workerId", kOptional, kText, 256),
    Field("overrideSignalId", kOptional, kText, 128),
}};
constexpr Shape kStepStarted = {kStepStartedMembers};

constexpr std::array<Member, 3> kStepCompletedMembers = {{
    List("artifactRefs", kRequired, kObject, &kArtifactRef),
    Field("result", kOptional, kAny, 32'000),
    Field("durationMs", kOptional, kCount),
}};
constexpr Shape kStepCompleted = {kStepCompletedMembers};

constexpr std::array<Member, 4> kStepFailedMembers = {{
    Object("error", kRequired, &kError),
    Field("final", kRequired, kBool),
    List("artifactRefs", kOptional, kObject, &kArtifactRef),
    Field("durationMs", kOptional, kCount),
}};
constexpr Shape kStepFailed = {kStepFailedMembers};

constexpr std::array<Member, 3> kStepSkippedMembers = {{
    Word("reasonCode", kRequired, kSkipReasons),
    Field("reason", kOptional, kFreeText, 4096),
    Field("signalId", kOptional, kText, 128),
}};
constexpr Shape kStepSkipped = {kStepSkippedMembers};

constexpr std::array<Member, 3> kRunPausedMembers = {{
    Field("signalId", kRequired, kText, 128),
    List("inFlightSteps", kRequired, kStepId),
    Field("reason", kOptional, kFreeText, 4096),
}};
constexpr Shape kRunPaused = {kRunPausedMembers};

constexpr std::array<Member, 1> kRunResumedMembers = {{Field("signalId", kRequired, kText, 128)}};
constexpr Shape kRunResumed = {kRunResumedMembers};

constexpr std::array<Member, 2> kStepTotalsMembers = {{
    Field("success", kRequired, kCount),
    Field("skipped", kRequired, kCount),
}};
constexpr Shape kStepTotals = {kStepTotalsMembers};
constexpr std::array<Member, 1> kRunCompletedMembers = {{Object("stepTotals", kRequired, &kStepTotals)}};
constexpr Shape kRunCompleted = {kRunCompletedMembers};

constexpr std::array<Member, 4> kInvalidTransitionMembers = {{
    Field("invalidTransitionDetected", kRequired, kBool),
    Field("expectedState", kRequired, kText, 128),
    Field("actualState", kRequired, kText, 128),
    Field("attemptedEventType", kRequired, kText, 64),
}};
constexpr Shape kInvalidTransition = {kInvalidTransitionMembers};
constexpr size_t kMaxFailedStepIds = 256;
constexpr std::array<Member, 4> kRunFailedMembers = {{
    Object("error", kRequired, &kError),
    List("failedStepIds", kRequired, kStepId, nullptr, kMaxFailedStepIds),
    Field("failedStepCount", kRequired, kCount),
    Object("invalidTransition", kOptional, &kInvalidTransition),
}};
constexpr Shape kRunFailed = {kRunFailedMembers};

constexpr std::array<Member, 5> kRunCancelledMembers = {{
    Word("origin", kRequired, kCancelOrigins),
    Field("forced", kRequired, kBool),
    List("abandonedSteps", kRequired, kStepId),
    Field("signalId", kOptional, kText, 128),
    Field("reason", kOptional, kFreeText, 4096),
}};
constexpr Shape kRunCancelled = {kRunCancelledMembers};

// Audit events (section 3.2).
constexpr std::array<Member, 8> kSignalAcceptedMembers = {{
    Field("signalDecisionId", kRequired, kUuid),
    Field("signalId", kRequired, kText, 128),
    Field("signalType", kRequired, kText, 128),
    Field("decisionSeq", kRequired, kPositive),
    Field("policyDecisionId", kRequired, kText, 128),
    Field("actorRole", kRequired, kText, 64),
    Field("destructive", kRequired, kBool),
    Object("signalPayload", kRequired),
}};
constexpr Shape kSignalAccepted = {kSignalAcceptedMembers};
constexpr std::array<Member, 8> kSignalRejectedMembers = {{
    Field("signalDecisionId", kRequired, kUuid),
    Field("signalId", kRequired, kText, 128),
    Field("signalType", kRequired, kText, 128),
    Field("decisionSeq", kRequired, kPositive),
    Field("policyDecisionId", kRequired, kText, 128),
    Field("actorRole", kRequired, kText, 64),
    Field("destructive", kRequired, kBool),
    Field("errorCode", kRequired, kText, 64),
}};
constexpr Shape kSignalRejected = {kSignalRejectedMembers};
constexpr std::array<Member, 3> kAlertEscalatedMembers = {{
    Word("level", kRequired, kAlertLevels),
    Field("signalId", kRequired, kText, 128),
    Field("note", kOptional, kFreeText, 4096),
}};
constexpr Shape kAlertEscalated = {kAlertEscalatedMembers};

constexpr bool kOnce = true;
constexpr bool kRepeats = false;
constexpr std::array<EventSpec, 15> kCatalog = {{
    {"RunQueued", EventClass::kRun, kOnce, &kRunQueued},
    {"RunApproved", EventClass::kRun, kOnce, &kRunApproved},
    {"RunStarted", EventClass::kRun, kOnce, &kRunStarted},
    {"StepStarted", EventClass::kStep, kRepeats, &kStepStarted},
    {"StepCompleted", EventClass::kStep, kRepeats, &kStepCompleted},
    {"StepFailed", EventClass::kStep, kRepeats, &kStepFailed},
    {"StepSkipped", EventClass::kStep, kRepeats, &kStepSkipped},
    {"RunPaused", EventClass::kRun, kRepeats, &kRunPaused},
    {"RunResumed", EventClass::kRun, kRepeats, &kRunResumed},
    {"RunCompleted", EventClass::kRun, kOnce, &kRunCompleted},
    {"RunFailed", EventClass::kRun, kOnce, &kRunFailed},
    {"RunCancelled", EventClass::kRun, kOnce, &kRunCancelled},
    {"SignalAccepted", EventClass::kAudit, kRepeats, &kSignalAccepted},
    {"SignalRejected", EventClass::kAudit, kRepeats, &kSignalRejected},
    {"AlertEscalated", EventClass::kAudit, kRepeats, &kAlertEscalated},
}};

bool IsSchemaVersion(std::string_view text) {
  if (text.size() < 4 || text.front() != 'v') return false;
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos || dot < 2 || dot + 1 == text.size()) return false;
  const auto digits = [](std::string_view part) { return std::ranges::all_of(part, IsAsciiDigit); };
  return digits(text.substr(1, dot - 1)) && digits(text.substr(dot + 1));
}

bool IsPrintableAscii(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; });
}

// What a string of this kind must satisfy; nullptr for kinds that are no string or have no pattern.
struct TextRule {
  ValueKind kind;
  bool (*valid)(std::string_view);
  std::string_view expected;
};
constexpr std::array<TextRule, 10> kTextRules = {{
    {kText, [](std::string_view text) { return !text.empty(); }, "a non-empty string"},
    {kFreeText, [](std::string_view) { return true; }, "a string"},
    {kAscii, IsPrintableAscii, "printable ASCII"},
    {kSha256, [](std::string_view text) { return IsLowerHex(text, 64); }, "64 lower-case hex digits"},
    {kTime, [](std::string_view text) { return ParseUtcMillis(text).has_value(); }, "a time YYYY-MM-DDThh:mm:ss.mmmZ"},
    {kIdentifier, IsIdentifier, "an identifier"},
    {kPlanVersion, IsPlanVersion, "a plan version"},
    {kSchemaVersion, IsSchemaVersion, "a schema version such as v1.1"},
    {kStepId, IsStepId, "a step id"},
    {kUuid, IsUuidV4, "a lower-case UUID version 4"},
}};

Status CheckText(const TextRule& rule, const Member& member, const Json& value, const std::string& path) {
  if (!value.is_string()) return Fail(SchemaError(path, rule.expected, value.KindName()));
  const std::string& text = value.AsString();
  if (text.size() > member.max_bytes) {
    return Fail(
        SchemaError(path, "at most " + std::to_string(member.max_bytes) + " bytes", std::to_string(text.size())));
  }
  if (rule.valid(text)) return {};
  std::string found;
  AppendJsonString(TruncateUtf8(text, 80), &found);
  return Fail(SchemaError(path, rule.expected, found));
}

Status CheckWord(const Member& member, const Json& value, const std::string& path) {
  if (value.is_string() && std::ranges::find(member.words, value.AsString()) != member.words.end()) return {};
  std::string expected = "one of";
  for (const std::string_view word : member.words) expected.append(" ").append(word);
  std::string found(value.KindName());
  if (value.is_string()) {
    found.clear();
    AppendJsonString(TruncateUtf8(value.AsString(), 80), &found);
  }
  return Fail(SchemaError(path, expected, found));
}

Status CheckInteger(int64_t least, const Json& value, const std::string& path) {
  const std::string expected = "an integer of at least " + std::to_string(least);
  if (!value.is_int()) return Fail(SchemaError(path, expected, value.KindName()));
  if (value.AsInt() < least) return Fail(SchemaError(path, expected, std::to_string(value.AsInt())));
  return {};
}

Status CheckValue(const Member& member, const Json& value, const std::string& path) {
  for (const TextRule& rule : kTextRules) {
    if (rule.kind == member.kind) return CheckText(rule, member, value, path);
  }
  if (member.kind == kWord) return CheckWord(member, value, path);
  if (member.kind == kCount) return CheckInteger(0, value, path);
  if (member.kind == kPositive) return CheckInteger(1, value, path);
  if (member.kind == kBool) {
    return value.is_bool() ? Status{} : Fail(SchemaError(path, "a boolean", value.KindName()));
  }
  if (member.kind == kObject) {
    if (!value.is_object()) return Fail(SchemaError(path, "an object", value.KindName()));
    return member.shape != nullptr ? CheckShape(*member.shape, value, path) : Status{};
  }
  const size_t size = CanonicalJson(value).size();
  if (size <= member.max_bytes) return {};
  return Fail(SchemaError(path, "at most " + std::to_string(member.max_bytes) + " bytes of canonical JSON",
                          std::to_string(size)));
}

Status CheckList(const Member& member, const Json& value, const std::string& path) {
  if (!value.is_array()) return Fail(SchemaError(path, "an array", value.KindName()));
  const Json::Array& elements = value.AsArray();
  if (elements.size() > member.max_items) {
    return Fail(SchemaError(path, "at most " + std::to_string(member.max_items) + " elements",
                            std::to_string(elements.size())));
  }
  for (size_t i = 0; i < elements.size(); ++i) {
    LOCKSTEP_TRY(CheckValue(member, elements[i], path + "[" + std::to_string(i) + "]"));
  }
  return {};
}

}  // namespace

bool EventSpec::payload_required() const {
  return std::ranges::any_of(payload->members, [](const Member& member) { return member.required; });
}

std::span<const EventSpec> EventCatalog() { return kCatalog; }

const EventSpec* FindEventSpec(std::string_view type) {
  const auto it = std::ranges::find(kCatalog, type, &EventSpec::type);
  return it == kCatalog.end() ? nullptr : &*it;
}

bool IsLifecycleEvent(std::string_view type) {
  const EventSpec* spec = FindEventSpec(type);
  return spec != nullptr && spec->event_class != EventClass::kAudit;
}

bool IsStepEventType(std::string_view type) { return type.starts_with("Step"); }

const Shape& MetaShape() { return kMeta; }
const Shape& ArtifactRefShape() { return kArtifactRef; }
const Shape& ErrorShape() { return kError; }

Status CheckShape(const Shape& shape, const Json& object, const std::string& path) {
  for (const Member& member : shape.members) {
    const std::string where = path + "." + std::string(member.name);
    const Json* value = object.Find(member.name);
    if (value == nullptr) {
      if (member.required) return Fail(SchemaError(where, "a value", "nothing"));
      continue;
    }
    LOCKSTEP_TRY(member.array ? CheckList(member, *value, where) : CheckValue(member, *value, where));
  }
  return {};
}

}  // namespace lockstep::state
