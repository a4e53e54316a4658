// The random numbers of an execution: xoshiro256** (Blackman and Vigna), its 256 bits of state being SHA-256 of
// `lockstep-random|` and the run id, as four big-endian words.
// The algorithm is part of the contract (spec 04, RT3): recorded histories hold values that came from it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep::workflow {

class Random {
 public:
  explicit Random(std::string_view seed = {}) { Seed(seed); }
  void Seed(std::string_view seed);
  uint64_t Next();
  // Uniform in [low, high], by rejection.
  int64_t Uniform(int64_t low, int64_t high);
  std::string Uuid4();

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace lockstep::workflow
