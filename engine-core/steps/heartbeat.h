// How often a step that does work says that it lives: well below any heartbeat time-out that a plan would set.
#pragma once

#include <chrono>

namespace lockstep::steps {

inline constexpr std::chrono::seconds kHeartbeatInterval{1};

}  // namespace lockstep::steps
