// Numbers and arithmetic of the outbox (spec 02 section 12): pure, so that every store delays by the same rule.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::state {

inline constexpr int64_t kOutboxPollMs = 100;
inline constexpr int64_t kOutboxBatch = 100;
inline constexpr int64_t kClaimLeaseMs = 5 * 60 * 1000;
inline constexpr int64_t kBackoffFirstMs = 100;
inline constexpr int64_t kBackoffMaxMs = 30'000;
inline constexpr int32_t kMaxCountedFailures = 10;

// Delay before try `failures` + 1 (`failures` at least 1): 100 ms doubling to 30 s, plus up to a fifth of it. The
// jitter is taken from the record's id, so records spread out and a replayed store still answers alike.
LOCKSTEP_DETERMINISTIC int64_t BackoffMs(std::string_view outbox_id, int32_t failures);

// `runId:runSeq` and back. VALIDATION_ERROR when it is no such id.
LOCKSTEP_DETERMINISTIC std::string OutboxId(std::string_view run_id, int64_t run_seq);
LOCKSTEP_DETERMINISTIC Result<std::pair<std::string, int64_t>> ParseOutboxId(std::string_view id);

}  // namespace lockstep::state
