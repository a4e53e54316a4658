#include "engine-core/workflow/markers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include "engine-core/workflow/payload.h"

namespace lockstep::workflow {
namespace {

// As a server records it.
MarkerEvent Recorded(const MarkerCommand& command) {
  MarkerEvent event;
  event.set_marker_name(command.marker_name());
  *event.mutable_details() = command.details();
  return event;
}

std::string Text(const MarkerCommand& marker, const std::string& key) {
  return marker.details().contains(key) ? marker.details().at(key).payloads(0).data() : "(none)";
}

TEST(VersionMarker, HasTheKeysOfTheGoSdk) {
  MarkerCommand marker;
  FillVersionMarker("new-retry", 3, true, &marker);
  EXPECT_EQ(marker.marker_name(), "Version");
  EXPECT_EQ(Text(marker, "change-id"), "\"new-retry\"");
  EXPECT_EQ(Text(marker, "version"), "3");
  EXPECT_EQ(Text(marker, "version-search-attribute-updated"), "true");
  EXPECT_EQ(marker.details().at("version").payloads(0).metadata().at("encoding"), "json/plain");
}

TEST(VersionMarker, ReadsBack_AlsoWithoutTheAttributeFlagOfOlderHistories) {
  MarkerCommand marker;
  FillVersionMarker("x", -1, true, &marker);
  const auto read = ReadVersionMarker(Recorded(marker));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->change_id, "x");
  EXPECT_EQ(read->version, -1);
  EXPECT_TRUE(read->attribute_updated);
  MarkerCommand older;
  FillVersionMarker("x", 1, false, &older);
  EXPECT_FALSE(older.details().contains("version-search-attribute-updated"));
  EXPECT_FALSE(ReadVersionMarker(Recorded(older))->attribute_updated);
}

TEST(SideEffectMarker, ReadsBackIdAndValue) {
  MarkerCommand marker;
  FillSideEffectMarker(7, Json::MakeObject({{"a", 1}}), &marker);
  EXPECT_EQ(marker.marker_name(), "SideEffect");
  EXPECT_EQ(Text(marker, "side-effect-id"), "7");
  const auto read = ReadSideEffectMarker(Recorded(marker));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->id, 7);
  EXPECT_EQ(CanonicalJson(read->value), "{\"a\":1}");
}

TEST(SideEffectMarker, NullValue_IsAValue) {
  MarkerCommand marker;
  FillSideEffectMarker(1, Json(), &marker);
  const auto read = ReadSideEffectMarker(Recorded(marker));
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->value.is_null());
}

TEST(LocalActivityMarker, HasTheKeysOfTheGoSdk_AndTheInputDigest) {
  MarkerCommand marker;
  FillLocalActivityMarker({"event/StepStarted/a/1", "emitEvents", "2023-11-14T22:13:20.000Z", 4, 90'000}, "abc", &marker);
  EXPECT_EQ(marker.marker_name(), "LocalActivity");
  EXPECT_EQ(Text(marker, "data"),
            "{\"ActivityID\":\"event/StepStarted/a/1\",\"ActivityType\":\"emitEvents\",\"Attempt\":4,\"Backoff\":90000000000,"
            "\"ReplayTime\":\"2023-11-14T22:13:20.000Z\"}");
  EXPECT_EQ(InputDigestOf(marker), "abc");
  const auto read = ReadLocalActivityMarker(Recorded(marker));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->activity_id, "event/StepStarted/a/1");
  EXPECT_EQ(read->activity_type, "emitEvents");
  EXPECT_EQ(read->replay_time, "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(read->attempt, 4);
  EXPECT_EQ(read->backoff_ms, 90'000);
}

TEST(LocalActivityMarker, WithoutADigest_HasNoKeyForIt) {
  MarkerCommand marker;
  FillLocalActivityMarker({"1", "t", "", 1, 0}, "", &marker);
  EXPECT_FALSE(marker.details().contains("lockstep-input"));
  EXPECT_EQ(InputDigestOf(Recorded(marker)), "");
}

TEST(MarkerId, TellsMarkersOfOneNameApart) {
  MarkerCommand version, effect, first, second;
  FillVersionMarker("gate", 1, true, &version);
  FillSideEffectMarker(12, 1, &effect);
  FillLocalActivityMarker({"la", "t", "", 1, 0}, "", &first);
  FillLocalActivityMarker({"la", "t", "", 2, 0}, "", &second);
  EXPECT_EQ(MarkerId("Version", version), "gate");
  EXPECT_EQ(MarkerId("SideEffect", effect), "12");
  EXPECT_EQ(MarkerId("LocalActivity", first), "la#1");
  EXPECT_EQ(MarkerId("LocalActivity", second), "la#2");
  EXPECT_EQ(MarkerId("LocalActivity", Recorded(second)), "la#2");
  EXPECT_EQ(MarkerId("SomebodyElses", version), "");
}

TEST(Markers, DamagedDetails_ReadAsNothing) {
  MarkerEvent empty;
  EXPECT_FALSE(ReadVersionMarker(empty));
  EXPECT_FALSE(ReadSideEffectMarker(empty));
  EXPECT_FALSE(ReadLocalActivityMarker(empty));
  MarkerEvent damaged;
  auto& details = *damaged.mutable_details();
  for (const char* key : {"change-id", "version", "side-effect-id", "data"}) {
    Payload* payload = details[key].add_payloads();
    (*payload->mutable_metadata())["encoding"] = "json/plain";
    payload->set_data("{\"unfinished");
  }
  EXPECT_FALSE(ReadVersionMarker(damaged));
  EXPECT_FALSE(ReadSideEffectMarker(damaged));
  EXPECT_FALSE(ReadLocalActivityMarker(damaged));
  EXPECT_EQ(MarkerId("Version", damaged), "");
  MarkerEvent mistyped;
  for (const char* key : {"change-id", "version", "side-effect-id", "data"}) {
    (*mistyped.mutable_details())[key] = JsonPayloads(Json::MakeArray());
  }
  EXPECT_FALSE(ReadVersionMarker(mistyped));
  EXPECT_FALSE(ReadSideEffectMarker(mistyped));
  EXPECT_FALSE(ReadLocalActivityMarker(mistyped));
}

}  // namespace
}  // namespace lockstep::workflow
