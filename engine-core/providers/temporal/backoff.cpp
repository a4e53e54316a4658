// See backoff.h. The exponent is applied in floating point and cut at the ceiling before it becomes an integer, so that
// no number of failures can overflow.
#include "engine-core/providers/temporal/backoff.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

namespace lockstep::provider {
namespace {

constexpr int64_t kOneYearMs = int64_t{365} * 24 * 3'600 * 1'000;

double Exponential(double initial, double factor, int exponent, double ceiling) {
  const double delay = initial * std::pow(std::max(factor, 1.0), exponent);
  return std::isfinite(delay) ? std::min(delay, ceiling) : ceiling;
}

}  // namespace

double RandomUnit() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return static_cast<double>(engine() >> 11) * 0x1.0p-53;
}

Backoff::Backoff(BackoffPolicy policy, std::function<double()> unit) : policy_(policy), unit_(std::move(unit)) {}

int64_t Backoff::Next() {
  const double ceiling = static_cast<double>(std::max<int64_t>(policy_.max_ms, 1));
  const double delay = Exponential(static_cast<double>(policy_.initial_ms), policy_.factor, failures_, ceiling);
  if (failures_ < 1'000) ++failures_;
  const double jitter = std::clamp(policy_.jitter, 0.0, 1.0);
  const double spread = delay * (1 - jitter + 2 * jitter * unit_());
  return std::max<int64_t>(1, static_cast<int64_t>(std::min(spread, ceiling)));
}

int64_t RetryDelayMs(int64_t initial_ms, double factor, int64_t max_ms, int32_t attempt) {
  const double ceiling = static_cast<double>(max_ms > 0 ? max_ms : kOneYearMs);
  return static_cast<int64_t>(
      Exponential(static_cast<double>(std::max<int64_t>(initial_ms, 0)), factor, std::max(attempt, 1) - 1, ceiling));
}

}  // namespace lockstep::provider
