#include "engine-core/providers/temporal/backoff.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <vector>

namespace lockstep::provider {
namespace {

TEST(Backoff, GrowsToTheCeiling_AndStartsAgainAfterReset) {
  Backoff backoff({.initial_ms = 100, .factor = 2, .max_ms = 1'000, .jitter = 0}, [] { return 0.5; });
  std::vector<int64_t> delays;
  for (int i = 0; i < 6; ++i) delays.push_back(backoff.Next());
  EXPECT_EQ(delays, (std::vector<int64_t>{100, 200, 400, 800, 1'000, 1'000}));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), 100);
}

TEST(Backoff, Jitter_SpreadsBothWays_WithinTheCeiling) {
  Backoff low({.initial_ms = 1'000, .max_ms = 5'000, .jitter = 0.2}, [] { return 0.0; });
  Backoff high({.initial_ms = 1'000, .max_ms = 5'000, .jitter = 0.2}, [] { return 0.999'999; });
  EXPECT_EQ(low.Next(), 800);
  EXPECT_EQ(high.Next(), 1'199);
}

TEST(Backoff, NeverLeavesItsBounds_WhateverThePolicy) {
  rc::check([] {
    BackoffPolicy policy;
    policy.initial_ms = *rc::gen::inRange<int64_t>(0, 1'000'000);
    policy.max_ms = *rc::gen::inRange<int64_t>(1, 1'000'000);
    policy.factor = *rc::gen::inRange(0, 100);
    policy.jitter = *rc::gen::inRange(0, 3) / 2.0;
    Backoff backoff(policy);
    for (int i = 0; i < 2'000; ++i) {
      const int64_t delay = backoff.Next();
      RC_ASSERT(delay >= 1 && delay <= policy.max_ms);
    }
  });
}

TEST(Backoff, RandomUnit_StaysInItsRange) {
  for (int i = 0; i < 1'000; ++i) {
    const double unit = RandomUnit();
    ASSERT_GE(unit, 0.0);
    ASSERT_LT(unit, 1.0);
  }
}

// Spec 04 section 5.2: initial 1 s, coefficient 2, maximum 60 s, no jitter.
TEST(RetryDelay, FollowsTheRule) {
  EXPECT_EQ(RetryDelayMs(1'000, 2, 60'000, 1), 1'000);
  EXPECT_EQ(RetryDelayMs(1'000, 2, 60'000, 2), 2'000);
  EXPECT_EQ(RetryDelayMs(1'000, 2, 60'000, 6), 32'000);
  EXPECT_EQ(RetryDelayMs(1'000, 2, 60'000, 7), 60'000);
  EXPECT_EQ(RetryDelayMs(1'000, 2, 60'000, 2'000'000'000), 60'000);
}

TEST(RetryDelay, OddRulesStaySane) {
  EXPECT_EQ(RetryDelayMs(0, 2, 60'000, 5), 0);
  EXPECT_EQ(RetryDelayMs(-5, 2, 60'000, 1), 0);
  EXPECT_EQ(RetryDelayMs(1'000, 0.5, 60'000, 3), 1'000);  // a coefficient below 1 is no decay
  EXPECT_EQ(RetryDelayMs(1'000, 2, 0, 3), 4'000);         // no ceiling given
  EXPECT_GT(RetryDelayMs(1'000, 2, 0, 1'000), 0);
}

}  // namespace
}  // namespace lockstep::provider
