// Stage 6: bounded decompression.
#include "engine-core/plan/gzip.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace lockstep::plan {
namespace {

std::string Code(const Result<std::string>& result) { return result ? "ok" : result.error().code; }

TEST(GunzipBounded, RoundTrip) {
  rc::check([](const std::string& bytes) { RC_ASSERT(*GunzipBounded(Gzip(bytes), 1 << 20) == bytes); });
}
TEST(GunzipBounded, NotGzip_PLAN_ENCODING_INVALID) {
  EXPECT_EQ(Code(GunzipBounded("{\"a\":1}", 1'000)), "PLAN_ENCODING_INVALID");
  EXPECT_EQ(Code(GunzipBounded("", 1'000)), "PLAN_ENCODING_INVALID");
}
TEST(GunzipBounded, TruncatedDamagedOrTrailing_PLAN_ENCODING_INVALID) {
  const std::string good = Gzip("some text that is long enough to be cut in the middle of it");
  for (size_t cut = 1; cut < good.size(); ++cut)
    EXPECT_EQ(Code(GunzipBounded(good.substr(0, cut), 1'000)), "PLAN_ENCODING_INVALID") << cut;
  EXPECT_EQ(Code(GunzipBounded(good + "x", 1'000)), "PLAN_ENCODING_INVALID");
  EXPECT_EQ(Code(GunzipBounded(good + good, 1'000)), "PLAN_ENCODING_INVALID");
  std::string damaged = good;
  damaged[damaged.size() - 6] ^= 1;  // the check sum
  EXPECT_EQ(Code(GunzipBounded(damaged, 1'000)), "PLAN_ENCODING_INVALID");
}
TEST(GunzipBounded, OutputAboveTheBound_PLAN_TOO_LARGE) {
  const std::string text = "0123456789";
  EXPECT_EQ(Code(GunzipBounded(Gzip(text), 10)), "ok");
  EXPECT_EQ(Code(GunzipBounded(Gzip(text), 9)), "PLAN_TOO_LARGE");
}
TEST(GunzipBounded, RatioAbove100_PLAN_TOO_LARGE) {
  const auto bomb = GunzipBounded(Gzip(std::string(1'000'000, 'a')), 8'000'000);
  ASSERT_EQ(Code(bomb), "PLAN_TOO_LARGE");
  EXPECT_NE(bomb.error().message.find("100:1"), std::string::npos);
}
TEST(GunzipBounded, RandomDamage_NeverCrashes) {
  rc::check([](const std::string& bytes) {
    std::string packed = Gzip(bytes);
    packed[*rc::gen::inRange<size_t>(0, packed.size())] ^= static_cast<char>(*rc::gen::inRange(1, 256));
    const auto result = GunzipBounded(packed, 1 << 20);
    // Header fields such as the time carry no data; everything else must be noticed.
    if (result) RC_ASSERT(*result == bytes);
  });
}

}  // namespace
}  // namespace lockstep::plan
