// How long to wait before a call is tried again: exponential with jitter, so that many callers that lost the same
// server do not come back in step. Pure but for the random source, which tests replace.
#pragma once

#include <cstdint>
#include <functional>

namespace lockstep::provider {

struct BackoffPolicy {
  int64_t initial_ms = 100;
  double factor = 2;
  int64_t max_ms = 3'000;
  // Share of the delay that is random: 0.2 spreads a delay of 1000 ms over 800..1200 ms. 0..1.
  double jitter = 0.2;
};

// Uniform in [0, 1). Thread-safe.
double RandomUnit();

// Threads: used by one at a time.
class Backoff {
 public:
  explicit Backoff(BackoffPolicy policy = {}, std::function<double()> unit = RandomUnit);
  // Delay before the next try, in milliseconds; at least 1 and never above max_ms.
  int64_t Next();
  // The call succeeded: the next failure starts from the initial delay again.
  void Reset() { failures_ = 0; }
  int failures() const { return failures_; }

 private:
  BackoffPolicy policy_;
  std::function<double()> unit_;
  int failures_ = 0;
};

// Delay before attempt `attempt` + 1 under an activity's retry rule (spec 04 section 5.2: no jitter). Saturates at
// max_ms; `max_ms` 0 means no ceiling but one year.
int64_t RetryDelayMs(int64_t initial_ms, double factor, int64_t max_ms, int32_t attempt);

}  // namespace lockstep::provider
