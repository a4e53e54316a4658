// Random event sequences for property tests: each number picks one event, legal or not, of a run with few steps, so
// that sequences often reach deep states. Deterministic in the numbers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine-core/state/testing/event_builder.h"

namespace lockstep::state::testing {

inline std::vector<EventWrite> RandomEvents(const std::vector<uint32_t>& choices, EventBuilder& builder) {
  constexpr std::array<std::string_view, 3> kSteps = {"a", "b", "c"};
  constexpr std::array<std::string_view, 4> kStepTypes = {"StepStarted", "StepCompleted", "StepFailed", "StepSkipped"};
  constexpr std::array<std::string_view, 6> kRareTypes = {"RunCompleted", "RunFailed",      "RunCancelled",
                                                          "RunApproved",  "SignalRejected", "FutureThing"};
  std::vector<EventWrite> events;
  // Most sequences begin as a run does; the first number decides.
  const uint32_t opening = choices.empty() ? 0 : choices.front() % 8;
  if (opening != 7) events.push_back(builder.Queued(opening == 6));
  if (opening < 6) events.push_back(builder.Run("RunStarted"));
  for (const uint32_t choice : choices) {
    const auto small = static_cast<int32_t>(choice / 16 % 3) + 1;
    const std::string_view step = kSteps[choice / 64 % kSteps.size()];
    switch (choice % 16) {
      case 0:
        events.push_back(builder.Run("RunPaused", small));
        break;
      case 1:
        events.push_back(builder.Run("RunResumed", small));
        break;
      case 2:
        events.push_back(builder.Run(kRareTypes[choice / 1024 % kRareTypes.size()]));
        break;
      case 3:
        events.push_back(builder.Signal("SignalAccepted", static_cast<int32_t>(events.size()) + 1, "RETRY_STEP",
                                        Json::MakeObject({{"stepId", step}})));
        break;
      default:
        events.push_back(builder.Step(kStepTypes[choice / 4 % kStepTypes.size()], step, small));
    }
  }
  return events;
}

}  // namespace lockstep::state::testing
