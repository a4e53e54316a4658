// Provider-level retries (spec 01 sections 5.4 and 5.5): the delay before each engine attempt and what all attempts of
// one logical attempt may take together. Exact decimal arithmetic, so that every engine and every platform gets the
// same numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/base/marks.h"

namespace lockstep::plan {

inline constexpr int32_t kMaxEngineAttempts = 20;

struct RetryPolicy {
  int64_t initial_interval_ms = 1'000;
  int64_t max_interval_ms = 60'000;
  // The coefficient in hundredths (2 -> 200): it has at most two decimals.
  int32_t backoff_hundredths = 200;
  int32_t max_attempts = 3;
  std::vector<std::string> non_retryable_codes = {"PERMANENT_STEP_ERROR"};
  LOCKSTEP_TRUSTED("one IEEE division of whole numbers: the same on every machine")
  double BackoffCoefficient() const { return backoff_hundredths / 100.0; }
  friend bool operator==(const RetryPolicy&, const RetryPolicy&) = default;
};

// A coefficient as a plan writes it, in hundredths; nothing when it has more than two decimals.
LOCKSTEP_TRUSTED("one IEEE multiplication and exact comparisons: the same on every machine")
std::optional<int32_t> BackoffHundredths(double coefficient);

// min(initial * coefficient^(attempt-2), max), floored to whole milliseconds; no jitter. `attempt` from 2 to 20.
LOCKSTEP_DETERMINISTIC int64_t DelayBeforeAttempt(const RetryPolicy& policy, int32_t attempt);

// max_attempts * attempt_ms + all delays: the default of `timeouts.totalMs`.
LOCKSTEP_DETERMINISTIC int64_t DerivedTotalMs(const RetryPolicy& policy, int64_t attempt_ms);

}  // namespace lockstep::plan
