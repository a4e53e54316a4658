// Prints docs/machines.md: `machine_diagrams > docs/machines.md`.
#include <cstdio>

#include "engine-core/workflow/testing/diagrams.h"

int main() {
  const std::string page = lockstep::workflow::testing::MachinesPage();
  return std::fwrite(page.data(), 1, page.size(), stdout) == page.size() ? 0 : 1;
}
