// The interval is kept as whole milliseconds plus a decimal fraction of two digits per multiplication. It is cut off at
// the maximum as soon as it gets there, so the whole part stays below 3.6e6 and the fraction below 10^36: both fit.
#include "engine-core/plan/retry.h"

#include <cmath>

#include "engine-core/base/check.h"

namespace lockstep::plan {

std::optional<int32_t> BackoffHundredths(double coefficient) {
  const double hundredths = std::round(coefficient * 100);
  if (!(std::abs(hundredths) <= INT32_MAX) || hundredths / 100 != coefficient) return std::nullopt;
  return static_cast<int32_t>(hundredths);
}

int64_t DelayBeforeAttempt(const RetryPolicy& policy, int32_t attempt) {
  LOCKSTEP_CHECK(attempt >= 2 && attempt <= kMaxEngineAttempts, std::to_string(attempt));
  __extension__ using Wide = unsigned __int128;
  int64_t whole = policy.initial_interval_ms;
  Wide fraction = 0, scale = 1;
  for (int32_t i = 2; i < attempt; ++i) {
    if (whole >= policy.max_interval_ms) return policy.max_interval_ms;
    const int64_t product = whole * policy.backoff_hundredths;
    fraction = static_cast<Wide>(product % 100) * scale + fraction * static_cast<Wide>(policy.backoff_hundredths);
    scale *= 100;
    whole = product / 100 + static_cast<int64_t>(fraction / scale);
    fraction %= scale;
  }
  return whole < policy.max_interval_ms ? whole : policy.max_interval_ms;
}

int64_t DerivedTotalMs(const RetryPolicy& policy, int64_t attempt_ms) {
  int64_t total = policy.max_attempts * attempt_ms;
  for (int32_t attempt = 2; attempt <= policy.max_attempts; ++attempt) total += DelayBeforeAttempt(policy, attempt);
  return total;
}

}  // namespace lockstep::plan
