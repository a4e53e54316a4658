#include "engine-core/state/catalog.h"

#include <gtest/gtest.h>

#include "engine-core/state/event.h"
#include "engine-core/state/testing/event_builder.h"

namespace lockstep::state {
namespace {

using testing::EventBuilder;

EventWrite EventOf(std::string_view type, Json payload) {
  EventBuilder builder;
  EventWrite event = builder.Plain(type);
  event.payload = std::move(payload);
  return event;
}

std::string RefusedField(std::string_view type, Json payload) {
  const Status status = Validate(EventOf(type, std::move(payload)));
  return status ? "accepted" : status.error().Detail("field");
}

TEST(Catalog, HoldsTheFifteenTypesOfSection3) {
  EXPECT_EQ(EventCatalog().size(), 15u);
  EXPECT_NE(FindEventSpec("RunQueued"), nullptr);
  EXPECT_EQ(FindEventSpec("runQueued"), nullptr);
}

TEST(Catalog, ValidPayloadsPass) {
  for (const EventSpec& spec : EventCatalog()) {
    EXPECT_EQ(RefusedField(spec.type, testing::ValidPayload(spec.type)), "accepted") << spec.type;
  }
}

TEST(Catalog, EveryRequiredPayloadMemberIsMissed) {
  for (const EventSpec& spec : EventCatalog()) {
    for (const Member& member : spec.payload->members) {
      if (!member.required) continue;
      Json payload = testing::ValidPayload(spec.type);
      payload.AsObject().erase(std::string(member.name));
      EXPECT_EQ(RefusedField(spec.type, payload), "payload." + std::string(member.name)) << spec.type;
    }
  }
}

TEST(Catalog, EveryPayloadMemberRefusesTheWrongType) {
  for (const EventSpec& spec : EventCatalog()) {
    for (const Member& member : spec.payload->members) {
      if (member.kind == ValueKind::kAny) continue;
      Json payload = testing::ValidPayload(spec.type);
      payload.Set(member.name, Json());
      EXPECT_EQ(RefusedField(spec.type, payload), "payload." + std::string(member.name)) << spec.type;
    }
  }
}

TEST(Catalog, EveryEnumerationRefusesAnUnknownWord) {
  for (const EventSpec& spec : EventCatalog()) {
    for (const Member& member : spec.payload->members) {
      if (member.kind != ValueKind::kWord) continue;
      Json payload = testing::ValidPayload(spec.type);
      payload.Set(member.name, "NO_SUCH_WORD");
      EXPECT_EQ(RefusedField(spec.type, payload), "payload." + std::string(member.name)) << spec.type;
      for (const std::string_view word : member.words) {
        payload.Set(member.name, word);
        EXPECT_EQ(RefusedField(spec.type, payload), "accepted") << word;
      }
    }
  }
}

TEST(Catalog, PayloadIsRequiredExactlyWhereItHasARequiredMember) {
  for (const EventSpec& spec : EventCatalog()) {
    const bool optional = spec.type == "StepStarted";
    EXPECT_EQ(RefusedField(spec.type, Json()), optional ? "accepted" : "payload") << spec.type;
  }
}

TEST(Catalog, UnknownPayloadMembersPass) {
  Json payload = testing::ValidPayload("StepCompleted");
  payload.Set("sourceOccurredAt", "2020-01-01").Set("vendor", Json::MakeObject());
  EXPECT_EQ(RefusedField("StepCompleted", payload), "accepted");
}

TEST(Catalog, ErrorLimitsAreThoseOfSection33) {
  Json payload = testing::ValidPayload("StepFailed");
  Json& error = *payload.Find("error");
  error.Set("code", std::string(64, 'C'))
      .Set("message", std::string(2048, 'm'))
      .Set("stackTrace", std::string(8192, 's'));
  EXPECT_EQ(RefusedField("StepFailed", payload), "accepted");
  EXPECT_EQ(RefusedField("StepFailed", Json(payload).Set("error", Json(error).Set("code", std::string(65, 'C')))),
            "payload.error.code");
  EXPECT_EQ(RefusedField("StepFailed", Json(payload).Set("error", Json(error).Set("message", std::string(2049, 'm')))),
            "payload.error.message");
  EXPECT_EQ(
      RefusedField("StepFailed", Json(payload).Set("error", Json(error).Set("stackTrace", std::string(8193, 's')))),
      "payload.error.stackTrace");
  EXPECT_EQ(RefusedField("StepFailed", Json(payload).Set("error", Json(error).Set("category", "business"))),
            "payload.error.category");
  EXPECT_EQ(RefusedField("StepFailed", Json(payload).Set("error", Json(error).Set("source", "disk"))),
            "payload.error.source");
}

TEST(Catalog, ResultOfAStepHasAtMost32000Bytes) {
  Json payload = testing::ValidPayload("StepCompleted");
  EXPECT_EQ(RefusedField("StepCompleted", payload.Set("result", std::string(31'998, 'r'))), "accepted");
  EXPECT_EQ(RefusedField("StepCompleted", payload.Set("result", std::string(31'999, 'r'))), "payload.result");
}

TEST(Catalog, ArtifactRefsNeedUriAndAsciiKind) {
  const auto with = [](Json ref) { return Json::MakeObject({{"artifactRefs", Json(Json::Array{std::move(ref)})}}); };
  const Json good = Json::MakeObject({{"uri", "file:a"}, {"kind", "table"}, {"sizeBytes", 3}});
  EXPECT_EQ(RefusedField("StepCompleted", with(good)), "accepted");
  EXPECT_EQ(RefusedField("StepCompleted", with(Json(good).Set("kind", "t\xc3\xa9"))), "payload.artifactRefs[0].kind");
  EXPECT_EQ(RefusedField("StepCompleted", with(Json(good).Set("sizeBytes", -1))), "payload.artifactRefs[0].sizeBytes");
  EXPECT_EQ(RefusedField("StepCompleted", with(Json(good).Set("sha256", "xyz"))), "payload.artifactRefs[0].sha256");
  EXPECT_EQ(RefusedField("StepCompleted", with(Json(good).Set("expiresAt", "soon"))),
            "payload.artifactRefs[0].expiresAt");
  EXPECT_EQ(RefusedField("StepCompleted", with(Json::MakeObject({{"kind", "table"}}))), "payload.artifactRefs[0].uri");
  EXPECT_EQ(RefusedField("StepCompleted", with(Json("file:a"))), "payload.artifactRefs[0]");
}

TEST(Catalog, RunFailedListsTheFirst256FailedSteps) {
  Json payload = testing::ValidPayload("RunFailed");
  Json::Array ids(256, Json("s1"));
  EXPECT_EQ(RefusedField("RunFailed", payload.Set("failedStepIds", ids)), "accepted");
  ids.emplace_back("s1");
  EXPECT_EQ(RefusedField("RunFailed", payload.Set("failedStepIds", ids)), "payload.failedStepIds");
}

TEST(Catalog, NestedShapesOfRunQueuedAreChecked) {
  const Json good = testing::ValidPayload("RunQueued");
  const auto broken = [&](std::string_view outer, std::string_view inner, Json value) {
    Json payload = good;
    payload.Find(outer)->Set(inner, std::move(value));
    return RefusedField("RunQueued", payload);
  };
  EXPECT_EQ(broken("planRef", "schemaVersion", "1.0"), "payload.planRef.schemaVersion");
  EXPECT_EQ(broken("planRef", "sha256", "0"), "payload.planRef.sha256");
  EXPECT_EQ(broken("admission", "mode", "LATER"), "payload.admission.mode");
  EXPECT_EQ(broken("admission", "notBefore", "2026"), "payload.admission.notBefore");
  EXPECT_EQ(broken("validation", "warningCodes", "none"), "payload.validation.warningCodes");
}

TEST(Catalog, MetaMembersAreChecked) {
  EventBuilder builder;
  EventWrite event = builder.Queued();
  event.meta =
      Json::MakeObject({{"emittedBy", "engine"}, {"adapterVersion", "1"}, {"parentEventId", testing::TestUuid(3)}});
  EXPECT_TRUE(Validate(event));
  event.meta.Set("emittedBy", "somebody");
  EXPECT_EQ(Validate(event).error().Detail("field"), "meta.emittedBy");
}

TEST(Catalog, LifecycleEventsAreThoseOfSection31) {
  for (const EventSpec& spec : EventCatalog()) {
    const bool audit = spec.type == "SignalAccepted" || spec.type == "SignalRejected" || spec.type == "AlertEscalated";
    EXPECT_EQ(IsLifecycleEvent(spec.type), !audit) << spec.type;
  }
  EXPECT_FALSE(IsLifecycleEvent("StepFutureThing"));
}

}  // namespace
}  // namespace lockstep::state
