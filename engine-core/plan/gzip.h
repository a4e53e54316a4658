// Bounded decompression of a stored plan (stage 6 of spec 01 section 4).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::plan {

inline constexpr int64_t kMaxCompressionRatio = 100;

// One gzip member, whole and with nothing after it. PLAN_ENCODING_INVALID when it is not that; PLAN_TOO_LARGE when the
// output would exceed `max_bytes` or a hundred times the input. Never holds more than the bound.
LOCKSTEP_DETERMINISTIC Result<std::string> GunzipBounded(std::string_view compressed, int64_t max_bytes);
// For writers and tests. Deterministic: no file name, no time.
LOCKSTEP_DETERMINISTIC std::string Gzip(std::string_view bytes);

}  // namespace lockstep::plan
