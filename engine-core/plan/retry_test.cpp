// Vectors of spec 01 sections 5.4 and 5.5, and properties of the delays.
#include "engine-core/plan/retry.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace lockstep::plan {
namespace {

TEST(DelayBeforeAttempt, Defaults_GiveOneThenTwoSeconds) {
  EXPECT_EQ(DelayBeforeAttempt({}, 2), 1'000);
  EXPECT_EQ(DelayBeforeAttempt({}, 3), 2'000);
}

TEST(DelayBeforeAttempt, VectorOfFiveAttempts) {
  const RetryPolicy policy{.max_interval_ms = 20'000, .backoff_hundredths = 300, .max_attempts = 5};
  EXPECT_EQ(DelayBeforeAttempt(policy, 2), 1'000);
  EXPECT_EQ(DelayBeforeAttempt(policy, 3), 3'000);
  EXPECT_EQ(DelayBeforeAttempt(policy, 4), 9'000);
  EXPECT_EQ(DelayBeforeAttempt(policy, 5), 20'000);
}

TEST(DelayBeforeAttempt, FractionsAreKeptAndFloored) {
  const RetryPolicy policy{.initial_interval_ms = 1, .backoff_hundredths = 150, .max_attempts = 20};
  // 1, 1.5, 2.25, 3.375, 5.0625
  const int64_t expected[] = {1, 1, 2, 3, 5};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(DelayBeforeAttempt(policy, i + 2), expected[i]);
}

TEST(DelayBeforeAttempt, LastAttemptWithOddCoefficient_IsExact) {
  const RetryPolicy policy{
      .initial_interval_ms = 3'000'000, .max_interval_ms = 3'600'000, .backoff_hundredths = 101, .max_attempts = 20};
  // 3e6 * 1.01^18 = 3588442.2...
  EXPECT_EQ(DelayBeforeAttempt(policy, 20), 3'588'442);
}

TEST(DerivedTotalMs, Defaults) { EXPECT_EQ(DerivedTotalMs({}, 1'800'000), 5'403'000); }
TEST(DerivedTotalMs, OneAttempt_HasNoDelay) { EXPECT_EQ(DerivedTotalMs({.max_attempts = 1}, 50), 50); }

TEST(DelayBeforeAttempt, NeverFallsAndNeverExceedsTheMaximum) {
  rc::check([] {
    RetryPolicy policy;
    policy.initial_interval_ms = *rc::gen::inRange<int64_t>(1, 3'600'001);
    policy.max_interval_ms = *rc::gen::inRange<int64_t>(policy.initial_interval_ms, 3'600'001);
    policy.backoff_hundredths = *rc::gen::inRange(100, 1'001);
    int64_t last = policy.initial_interval_ms;
    RC_ASSERT(DelayBeforeAttempt(policy, 2) == last);
    for (int attempt = 3; attempt <= 20; ++attempt) {
      const int64_t delay = DelayBeforeAttempt(policy, attempt);
      RC_ASSERT(delay >= last);
      RC_ASSERT(delay <= policy.max_interval_ms);
      last = delay;
    }
  });
}

}  // namespace
}  // namespace lockstep::plan
