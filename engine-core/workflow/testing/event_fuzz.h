// Histories from arbitrary bytes, for fuzzing the runtime: valid ones through the scripted server, and damaged ones that no
// server would write. Replaying either must end in a result: no crash, no hang, no leak.
#pragma once

#include <cstdint>
#include <span>

#include "engine-core/workflow/testing/history_script.h"

namespace lockstep::workflow::testing {

// The first half of `bytes` makes a program, the second the order of events. The recorded history must replay; a divergence
// stops the process, since the fuzzer has then found a defect.
void FuzzValidHistory(std::span<const uint8_t> bytes);
// Random events of random types with random references, ids and payloads, replayed by a workflow that uses the whole API.
History DamagedHistory(std::span<const uint8_t> bytes);
void FuzzDamagedHistory(std::span<const uint8_t> bytes);
// Both, chosen by the first byte: the body of a fuzz target.
void FuzzReplay(std::span<const uint8_t> bytes);

}  // namespace lockstep::workflow::testing
