// Times of the contract: milliseconds since the Unix epoch, UTC, written exactly `YYYY-MM-DDThh:mm:ss.mmmZ`
// (spec 02 section 2). No locale, no time zone, no clock: a clock is a port (`clock.h`).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

using UnixMillis = int64_t;

// `YYYY-MM-DDThh:mm:ss.mmmZ`; years 0000 to 9999.
std::string FormatUtcMillis(UnixMillis millis);
// Exactly that form, nothing looser.
std::optional<UnixMillis> ParseUtcMillis(std::string_view text);

// Any RFC 3339 time with up to nine fraction digits and any offset, as protobuf JSON and other tools write it.
struct UnixNanos {
  int64_t seconds = 0;
  int32_t nanos = 0;  // 0 .. 999 999 999
  friend bool operator==(const UnixNanos&, const UnixNanos&) = default;
};
std::optional<UnixNanos> ParseRfc3339(std::string_view text);
// Shortest of 0, 3, 6 or 9 fraction digits, `Z`: the form of protobuf JSON.
std::string FormatRfc3339(UnixNanos time);

// `1h02m03s`, `2.5s`, `250ms`: for people.
std::string FormatDuration(int64_t millis);

}  // namespace lockstep
