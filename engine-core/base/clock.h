// Ports for the two things deterministic code may not reach on its own: the clock and randomness (spec 03 section 1).
// Core code takes them as arguments; the edges pass the system's, tests and the replayer pass their own.
#pragma once

#include <string>

#include "engine-core/base/time.h"

namespace lockstep {

class IClock {
 public:
  virtual ~IClock() = default;
  // UTC, milliseconds.
  virtual UnixMillis Now() = 0;
};

class IIdGenerator {
 public:
  virtual ~IIdGenerator() = default;
  // UUID version 4, lower case.
  virtual std::string NewUuid() = 0;
};

// The system's clock and random source, for the edges only. Thread-safe.
IClock& SystemClock();
IIdGenerator& SystemIdGenerator();

}  // namespace lockstep
