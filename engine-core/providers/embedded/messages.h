// Times and durations of the Temporal messages as the milliseconds this room counts in.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>

namespace lockstep::embedded {

template <typename SecondsAndNanos>
void SetMillis(int64_t millis, SecondsAndNanos* time) {
  time->set_seconds(millis / 1'000);
  time->set_nanos(static_cast<int32_t>(millis % 1'000 * 1'000'000));
}
template <typename SecondsAndNanos>
int64_t ToMillis(const SecondsAndNanos& time) {
  return time.seconds() * 1'000 + time.nanos() / 1'000'000;
}

}  // namespace lockstep::embedded
