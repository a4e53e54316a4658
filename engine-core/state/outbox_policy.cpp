#include "engine-core/state/outbox_policy.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/ids.h"
#include "engine-core/base/sha256.h"

namespace lockstep::state {

int64_t BackoffMs(std::string_view outbox_id, int32_t failures) {
  const int32_t doublings = std::clamp(failures - 1, 0, 20);
  const int64_t base = std::min(kBackoffFirstMs << doublings, kBackoffMaxMs);
  const Sha256Digest digest = Sha256(std::string(outbox_id) + "|" + std::to_string(failures));
  const int64_t draw = (int64_t{digest[0]} << 8) | digest[1];
  return base + base / 5 * draw / 65'536;
}

std::string OutboxId(std::string_view run_id, int64_t run_seq) {
  return std::string(run_id) + ":" + std::to_string(run_seq);
}

Result<std::pair<std::string, int64_t>> ParseOutboxId(std::string_view id) {
  const size_t colon = id.rfind(':');
  if (colon != std::string_view::npos) {
    const auto seq = ParseInt64(id.substr(colon + 1));
    const std::string_view run_id = id.substr(0, colon);
    if (seq && *seq >= 1 && IsIdentifier(run_id)) return std::pair(std::string(run_id), *seq);
  }
  return Fail("VALIDATION_ERROR",
              "outbox record id: expected runId:runSeq, found " + std::string(TruncateUtf8(id, 80)));
}

}  // namespace lockstep::state
