#include "engine-core/base/time.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace lockstep {
namespace {

TEST(Time, Format_IsExactlyMillisecondsAndZ) {
  EXPECT_EQ(FormatUtcMillis(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatUtcMillis(1'770'854'400'006), "2026-02-12T00:00:00.006Z");
  EXPECT_EQ(FormatUtcMillis(-1), "1969-12-31T23:59:59.999Z");
}

TEST(Time, ParseUtcMillis_TakesOnlyTheExactForm) {
  EXPECT_EQ(ParseUtcMillis("2026-02-12T00:00:00.006Z"), 1'770'854'400'006);
  for (const char* text : {"2026-02-12T00:00:00Z", "2026-02-12T00:00:00.06Z", "2026-02-30T00:00:00.000Z", "2026-02-12 00:00:00.000Z",
                           "2026-02-12T24:00:00.000Z", "2026-02-12T00:00:00.000z", "2026-02-12T00:00:00.000+00:00", ""}) {
    EXPECT_FALSE(ParseUtcMillis(text).has_value()) << text;
  }
}

TEST(Time, Rfc3339_ReadsFractionsAndOffsets) {
  EXPECT_EQ(ParseRfc3339("2026-02-12T01:00:00.123456789+01:00"), (UnixNanos{1'770'854'400, 123'456'789}));
  EXPECT_EQ(ParseRfc3339("2026-02-12T00:00:00Z"), (UnixNanos{1'770'854'400, 0}));
  for (const char* text : {"2026-02-12T00:00:00", "2026-02-12T00:00:00.Z", "2026-02-12T00:00:00.1234567890Z", "2026-2-12T00:00:00Z"}) {
    EXPECT_FALSE(ParseRfc3339(text).has_value()) << text;
  }
  EXPECT_EQ(FormatRfc3339({1'770'854'400, 120'000'000}), "2026-02-12T00:00:00.120Z");
  EXPECT_EQ(FormatRfc3339({1'770'854'400, 1}), "2026-02-12T00:00:00.000000001Z");
}

TEST(Time, Property_MillisRoundTrip) {
  EXPECT_TRUE(rc::check([] {
    const int64_t millis = *rc::gen::inRange<int64_t>(-62'167'219'200'000, 253'402'300'799'999);
    RC_ASSERT(ParseUtcMillis(FormatUtcMillis(millis)) == millis);
  }));
}

TEST(Time, FormatDuration_ReadsLikePeopleWriteIt) {
  EXPECT_EQ(FormatDuration(250), "250ms");
  EXPECT_EQ(FormatDuration(2500), "2.5s");
  EXPECT_EQ(FormatDuration(61'000), "1m01s");
  EXPECT_EQ(FormatDuration(3'723'000), "1h02m03s");
}

}  // namespace
}  // namespace lockstep
