// The child of the perturbation test: prints the fingerprints of the histories it is given.
#include "replay/perturb/testing/planted.h"

#include <cstdio>

#include "replay/perturb/perturb.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  workflow::WorkflowRegistry registry;
  replay::testing::RegisterPlanted(&registry);
  replay::BatchOptions batch;
  batch.registry = &registry;
  batch.keep_commands = true;
  batch.jobs = 1;
  batch.deadlock_limit_ms = 0;
  const auto result = replay::RunBatch(std::vector<std::string>(argv + 1, argv + argc), batch);
  std::puts(CanonicalJson(replay::Fingerprints(result)).c_str());
  return 0;
}
