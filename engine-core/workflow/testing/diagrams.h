// The command machines as a page of the documentation: one state diagram (Mermaid) and one table a kind, made from the tables
// themselves, so that they cannot say anything else. `machine_diagrams` writes docs/machines.md; a test holds the page to it.
#pragma once

#include <string>

namespace lockstep::workflow::testing {

std::string MachinesPage();

}  // namespace lockstep::workflow::testing
