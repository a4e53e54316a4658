// Binary search for the first difference. Positions run from 1 to n; "in step up to k" holds for k below the first
// difference and for none from there on. Takes at most floor(log2(n)) + 1 probes (spec 07, section 7), also to find
// that there is no difference.
#pragma once

#include <bit>
#include <cstddef>

#include "engine-core/base/result.h"

namespace lockstep::replay {

// The most probes a search over `n` positions can take.
inline size_t MostProbes(size_t n) { return n == 0 ? 0 : static_cast<size_t>(std::bit_width(n)); }

// `in_step(k)` returns Result<bool>. Gives the first position that is not in step; 0 when all are.
template <typename InStep>
Result<size_t> FirstDifference(size_t n, InStep in_step) {
  size_t good = 0, bad = n + 1;
  while (bad - good > 1) {
    const size_t middle = good + (bad - good) / 2;
    LOCKSTEP_ASSIGN(const bool same, in_step(middle));
    (same ? good : bad) = middle;
  }
  return bad == n + 1 ? 0 : bad;
}

}  // namespace lockstep::replay
