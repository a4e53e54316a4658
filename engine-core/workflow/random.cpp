#include "engine-core/workflow/random.h"

#include <bit>

#include "engine-core/base/check.h"
#include "engine-core/base/ids.h"
#include "engine-core/base/sha256.h"

namespace lockstep::workflow {

void Random::Seed(std::string_view seed) {
  const Sha256Digest digest = Sha256("lockstep-random|" + std::string(seed));
  for (size_t word = 0; word < state_.size(); ++word) {
    state_[word] = 0;
    for (size_t byte = 0; byte < 8; ++byte) state_[word] = state_[word] << 8 | digest[word * 8 + byte];
  }
}

uint64_t Random::Next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

int64_t Random::Uniform(int64_t low, int64_t high) {
  LOCKSTEP_CHECK(low <= high, "empty range");
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  if (range == UINT64_MAX) return static_cast<int64_t>(Next());
  const uint64_t count = range + 1;
  const uint64_t limit = UINT64_MAX - UINT64_MAX % count;
  uint64_t value = Next();
  while (value >= limit) value = Next();
  return static_cast<int64_t>(static_cast<uint64_t>(low) + value % count);
}

std::string Random::Uuid4() {
  std::array<uint8_t, 16> bytes{};
  for (size_t half = 0; half < 2; ++half) {
    uint64_t word = Next();
    for (size_t i = 0; i < 8; ++i) {
      bytes[half * 8 + i] = static_cast<uint8_t>(word >> 56);
      word <<= 8;
    }
  }
  return FormatUuidV4(bytes);
}

}  // namespace lockstep::workflow
