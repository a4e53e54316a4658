// SIGTERM and SIGINT as something to wait for, and the way a worker process ends by them: the first signal drains the
// worker, a second one cuts the drain short.
//
// The signals are caught, not blocked: a blocked signal would stay blocked in the step processes that a worker starts.
// One object per process (checked); the former dispositions come back when it dies.
#pragma once

#include <cstdint>

#include "engine-core/base/result.h"

namespace lockstep::provider {

class Worker;

class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // The number of the next signal, or 0 when `timeout_ms` passed first (negative: wait for ever).
  int Wait(int64_t timeout_ms = -1);
};

// Starts the worker, waits for a signal, drains. For `lockstep worker`.
Status RunUntilStopped(Worker& worker, StopSignals& signals);

}  // namespace lockstep::provider
