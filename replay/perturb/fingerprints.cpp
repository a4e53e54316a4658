// Prints what a replay of the given paths says, for builds to be compared (tools/perturb-builds).
#include <cstdio>

#include "engine-core/interpreter/plan_run.h"
#include "engine-core/workflow/registry.h"
#include "replay/perturb/perturb.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  const auto inputs = replay::FindHistories(std::vector<std::string>(argv + 1, argv + argc));
  if (!inputs) {
    std::fprintf(stderr, "perturb_fingerprints: %s\n", inputs.error().ToString().c_str());
    return 2;
  }
  workflow::WorkflowRegistry registry;
  interpreter::RegisterInterpreter(&registry);
  replay::BatchOptions batch;
  batch.registry = &registry;
  batch.keep_commands = true;
  std::puts(CanonicalJson(replay::Fingerprints(replay::RunBatch(*inputs, batch))).c_str());
  return 0;
}
