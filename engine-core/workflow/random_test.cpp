#include "engine-core/workflow/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine-core/base/ids.h"

namespace lockstep::workflow {
namespace {

TEST(Random, SameSeed_GivesTheSameNumbers_AndAnotherSeedOthers) {
  Random a("run-1"), b("run-1"), c("run-2");
  std::vector<uint64_t> from_a, from_b, from_c;
  for (int i = 0; i < 100; ++i) {
    from_a.push_back(a.Next());
    from_b.push_back(b.Next());
    from_c.push_back(c.Next());
  }
  EXPECT_EQ(from_a, from_b);
  EXPECT_NE(from_a, from_c);
}

// The algorithm is part of the contract: these numbers are in recorded histories. Computed by an independent program.
TEST(Random, FixedVectors_AreKept) {
  Random random("11111111-2222-4333-8444-555555555555");
  EXPECT_EQ(random.Next(), 0x1054c24ec8c4f068);
  EXPECT_EQ(random.Next(), 0x791062e3d8468748);
  EXPECT_EQ(random.Next(), 0x9ba2265e463237d3);
  EXPECT_EQ(random.Uniform(-5, 5), -4);
  EXPECT_EQ(random.Uniform(0, 999'999), 517365);
  EXPECT_EQ(random.Uuid4(), "36a1ba4b-00a5-4e98-a8d3-67f5e3a0a11a");
}

TEST(Random, Seed_StartsAnew) {
  Random random("a");
  const uint64_t first = random.Next();
  random.Next();
  random.Seed("a");
  EXPECT_EQ(random.Next(), first);
}

TEST(Uniform, StaysInRange_AndReachesBothEnds) {
  Random random("uniform");
  std::map<int64_t, int> seen;
  for (int i = 0; i < 11'000; ++i) ++seen[random.Uniform(-5, 5)];
  EXPECT_EQ(seen.size(), 11u);
  EXPECT_EQ(seen.begin()->first, -5);
  EXPECT_EQ(seen.rbegin()->first, 5);
  for (const auto& [value, count] : seen) EXPECT_NEAR(count, 1'000, 200) << value;
}

TEST(Uniform, RangesAtTheEdges_AreWhole) {
  Random random("edges");
  EXPECT_EQ(random.Uniform(7, 7), 7);
  EXPECT_EQ(random.Uniform(INT64_MAX, INT64_MAX), INT64_MAX);
  EXPECT_EQ(random.Uniform(INT64_MIN, INT64_MIN), INT64_MIN);
  bool negative = false, positive = false;
  for (int i = 0; i < 200; ++i) {
    const int64_t value = random.Uniform(INT64_MIN, INT64_MAX);
    negative |= value < 0;
    positive |= value > 0;
    EXPECT_GE(random.Uniform(INT64_MAX - 1, INT64_MAX), INT64_MAX - 1);
    EXPECT_LE(random.Uniform(INT64_MIN, INT64_MIN + 1), INT64_MIN + 1);
    const int64_t most = random.Uniform(INT64_MIN, INT64_MAX - 1);
    EXPECT_LT(most, INT64_MAX);
  }
  EXPECT_TRUE(negative && positive);
}

TEST(UniformDeathTest, EmptyRange_StopsTheProcess) {
  Random random("x");
  EXPECT_DEATH(random.Uniform(1, 0), "empty range");
}

TEST(Uuid4, HasTheFormOfVersion4_AndDiffersEachTime) {
  Random random("uuid");
  std::set<std::string> seen;
  for (int i = 0; i < 1'000; ++i) {
    const std::string uuid = random.Uuid4();
    EXPECT_TRUE(IsUuidV4(uuid)) << uuid;
    seen.insert(uuid);
  }
  EXPECT_EQ(seen.size(), 1'000u);
}

}  // namespace
}  // namespace lockstep::workflow
