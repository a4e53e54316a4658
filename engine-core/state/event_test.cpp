#include "engine-core/state/event.h"

#include <gtest/gtest.h>

#include <limits>

#include "engine-core/state/testing/event_builder.h"

namespace lockstep::state {
namespace {

using testing::EventBuilder;
using testing::Recorded;

// The field a refusal names, or "accepted".
std::string RefusedField(const Status& status) {
  if (status) return "accepted";
  EXPECT_EQ(status.error().code, "SCHEMA_VALIDATION_FAILED");
  return status.error().Detail("field");
}
std::string RefusedField(const Result<EventWrite>& result) {
  return result ? "accepted" : RefusedField(Status(std::unexpected(result.error())));
}

TEST(Validate, AcceptsAValidEvent) {
  EventBuilder builder;
  EXPECT_EQ(RefusedField(Validate(builder.Queued())), "accepted");
  EXPECT_EQ(RefusedField(Validate(builder.Step("StepStarted", "s1"))), "accepted");
}

TEST(Validate, NamesTheFieldOfTheEnvelopeThatIsWrong) {
  struct Case {
    std::string EventWrite::* member;
    std::string value;
    std::string_view field;
  };
  const Case cases[] = {{&EventWrite::event_id, "0D3C6A9E-4F0C-4A8E-9D5D-3D4C0F7DBB8A", "eventId"},
                        {&EventWrite::event_id, "0d3c6a9e-4f0c-1a8e-9d5d-3d4c0f7dbb8a", "eventId"},
                        {&EventWrite::event_type, "onRunStarted", "eventType"},
                        {&EventWrite::event_type, "Ab", "eventType"},
                        {&EventWrite::run_id, "-run", "runId"},
                        {&EventWrite::run_id, std::string(129, 'r'), "runId"},
                        {&EventWrite::tenant_id, "", "tenantId"},
                        {&EventWrite::project_id, "a|b", "projectId"},
                        {&EventWrite::environment_id, "dev ", "environmentId"},
                        {&EventWrite::plan_id, "a|b", "planId"},
                        {&EventWrite::plan_version, "", "planVersion"},
                        {&EventWrite::idempotency_key, std::string(64, 'A'), "idempotencyKey"},
                        {&EventWrite::emitted_at, "2026-02-12T00:00:00Z", "emittedAt"},
                        {&EventWrite::emitted_at, "2026-02-12T00:00:00.0000Z", "emittedAt"},
                        {&EventWrite::emitted_at, "2026-02-30T00:00:00.000Z", "emittedAt"}};
  for (const Case& c : cases) {
    EventBuilder builder;
    EventWrite event = builder.Run("RunStarted");
    event.*c.member = c.value;
    EXPECT_EQ(RefusedField(Validate(event)), c.field) << c.value;
  }
}

TEST(Validate, RefusesAttemptsBelowOne) {
  EventBuilder builder;
  EventWrite event = builder.Step("StepStarted", "s1");
  event.logical_attempt_id = 0;
  EXPECT_EQ(RefusedField(Validate(event)), "logicalAttemptId");
  event.logical_attempt_id = 1;
  event.engine_attempt_id = -1;
  EXPECT_EQ(RefusedField(Validate(event)), "engineAttemptId");
}

TEST(Validate, WantsAStepIdExactlyForTypesThatBeginWithStep) {
  EventBuilder builder;
  EventWrite event = builder.Step("StepStarted", "s1");
  event.step_id.clear();
  EXPECT_EQ(RefusedField(Validate(event)), "stepId");
  event.step_id = "RUN";
  EXPECT_EQ(RefusedField(Validate(event)), "stepId");
  EventWrite run = builder.Run("RunStarted");
  run.step_id = "s1";
  EXPECT_EQ(RefusedField(Validate(run)), "stepId");
  EXPECT_EQ(RefusedField(Validate(builder.Step("StepFutureThing", "s1"))), "accepted");
}

TEST(Validate, WantsOccurrenceOneForEventsThatHappenOnce) {
  for (const std::string_view type :
       {"RunQueued", "RunApproved", "RunStarted", "RunCompleted", "RunFailed", "RunCancelled"}) {
    EventBuilder builder;
    EXPECT_EQ(RefusedField(Validate(builder.Run(type, 2))), "logicalAttemptId") << type;
    EXPECT_EQ(RefusedField(Validate(builder.Run(type, 1))), "accepted") << type;
  }
  EventBuilder builder;
  EXPECT_EQ(RefusedField(Validate(builder.Run("RunPaused", 2))), "accepted");
}

TEST(Validate, LimitsThePayloadTo96KiBOfCanonicalJson) {
  EventBuilder builder;
  EventWrite event = builder.Plain("VendorNote");
  const size_t frame = std::string("{\"n\":\"\"}").size();
  event.payload = Json::MakeObject({{"n", std::string(kMaxPayloadBytes - frame, 'x')}});
  EXPECT_EQ(RefusedField(Validate(event)), "accepted");
  event.payload = Json::MakeObject({{"n", std::string(kMaxPayloadBytes - frame + 1, 'x')}});
  EXPECT_EQ(RefusedField(Validate(event)), "payload");
}

TEST(Validate, LetsUnknownTypesPassWithTheGenericRules) {
  EventBuilder builder;
  EventWrite event = builder.Plain("VendorNote", 5);
  EXPECT_EQ(RefusedField(Validate(event)), "accepted");
  event.payload = Json::MakeObject({{"anything", Json::MakeArray()}});
  EXPECT_EQ(RefusedField(Validate(event)), "accepted");
  event.payload = Json::MakeArray();
  EXPECT_EQ(RefusedField(Validate(event)), "payload");
}

TEST(Validate, RefusesWhatCanonicalJsonCannotCarry) {
  EventBuilder builder;
  EventWrite event = builder.Plain("VendorNote");
  const std::pair<Json, std::string_view> cases[] = {
      {Json(std::numeric_limits<double>::infinity()), "payload.v"},
      {Json(std::numeric_limits<double>::quiet_NaN()), "payload.v"},
      {Json((int64_t{1} << 53)), "payload.v"},
      {Json(1e19), "payload.v"},
      {Json("\xff"), "payload.v"},
      {Json(Json::Array{Json("\xc3")}), "payload.v[0]"},
  };
  for (const auto& [value, field] : cases) {
    event.payload = Json::MakeObject({{"v", value}});
    EXPECT_EQ(RefusedField(Validate(event)), field);
  }
  Json deep = Json(1);
  for (int i = 0; i < 70; ++i) deep = Json(Json::Array{std::move(deep)});
  event.payload = Json::MakeObject({{"v", std::move(deep)}});
  EXPECT_NE(RefusedField(Validate(event)), "accepted");
  event.payload = Json::MakeObject({{"v", Json(1e300)}, {"w", Json(0.5)}, {"x", Json((int64_t{1} << 53) - 1)}});
  EXPECT_EQ(RefusedField(Validate(event)), "accepted");
}

TEST(ParseEventWrite, RoundTripsThroughCanonicalText) {
  EventBuilder builder;
  for (const EventWrite& event : testing::HelloWorldEvents(builder)) {
    const auto json = ParseJson(CanonicalJson(ToJson(event)));
    ASSERT_TRUE(json);
    const auto parsed = ParseEventWrite(*json);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed, event);
  }
}

TEST(ParseEventWrite, RefusesMembersThatTheStoreAssigns) {
  EventBuilder builder;
  Json json = ToJson(builder.Queued());
  EXPECT_EQ(RefusedField(ParseEventWrite(Json(json).Set("runSeq", 1))), "runSeq");
  EXPECT_EQ(RefusedField(ParseEventWrite(Json(json).Set("persistedAt", "2026-02-12T00:00:00.000Z"))), "persistedAt");
}

TEST(ParseEventWrite, RefusesUnknownMembersAmongThemOccurredAt) {
  EventBuilder builder;
  Json json = ToJson(builder.Queued());
  EXPECT_EQ(RefusedField(ParseEventWrite(Json(json).Set("occurredAt", "2026-02-12T00:00:00.000Z"))), "occurredAt");
  EXPECT_EQ(RefusedField(ParseEventWrite(Json(json).Set("workflowId", "x"))), "workflowId");
}

TEST(ParseEventWrite, NamesMissingAndMistypedMembers) {
  EventBuilder builder;
  const Json whole = ToJson(builder.Step("StepCompleted", "s1"));
  for (const auto& [name, value] : whole.AsObject()) {
    Json without = whole;
    without.AsObject().erase(name);
    EXPECT_NE(RefusedField(ParseEventWrite(without)), "accepted") << name;
    EXPECT_EQ(RefusedField(ParseEventWrite(Json(whole).Set(name, Json()))), name);
  }
  EXPECT_EQ(RefusedField(ParseEventWrite(Json(whole).Set("logicalAttemptId", "1"))), "logicalAttemptId");
  EXPECT_EQ(RefusedField(ParseEventWrite(Json(whole).Set("logicalAttemptId", int64_t{1} << 31))), "logicalAttemptId");
  EXPECT_EQ(RefusedField(ParseEventWrite(Json(whole).Set("stepId", ""))), "stepId");
  EXPECT_EQ(RefusedField(ParseEventWrite(Json::MakeArray())), "$");
}

TEST(ParseEventRecord, IgnoresUnknownMembersAndUnknownTypes) {
  EventBuilder builder;
  EventWrite event = builder.Plain("FutureThing");
  event.payload = Json::MakeObject({{"x", 1}});
  Json json = ToJson(Recorded(event, 9));
  json.Set("addedLater", true);
  const auto record = ParseEventRecord(json);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(*record, Recorded(event, 9));
}

TEST(ParseEventRecord, WantsRunSeqAndPersistedAt) {
  EventBuilder builder;
  const Json json = ToJson(Recorded(builder.Queued(), 1));
  EXPECT_EQ(ParseEventRecord(Json(json).Set("runSeq", 0)).error().Detail("field"), "runSeq");
  EXPECT_EQ(ParseEventRecord(Json(json).Set("persistedAt", "yesterday")).error().Detail("field"), "persistedAt");
}

TEST(ParseEventRecordText, ReadsAPayloadOfOneLongString) {
  EventBuilder builder;
  EventWrite event = builder.Plain("VendorNote");
  event.payload = Json::MakeObject({{"n", std::string(kMaxPayloadBytes - 8, 'x')}});
  ASSERT_TRUE(Validate(event));
  EXPECT_TRUE(ParseEventRecordText(CanonicalJson(ToJson(Recorded(event, 1)))));
}

TEST(NormalizeNumbers, MakesEqualTextsEqualValues) {
  Json value = Json::MakeObject({{"a", 1.0}, {"b", Json(Json::Array{Json(-0.0), Json(1.5)})}});
  NormalizeNumbers(&value);
  EXPECT_EQ(value, *ParseJson(CanonicalJson(value)));
}

}  // namespace
}  // namespace lockstep::state
