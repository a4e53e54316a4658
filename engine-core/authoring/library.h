// Workflows and activities in a shared library that `lockstep worker`, `replay` and `record` load (`--workflows libmine.so`).
// The library links nothing of Lockstep: the program that loads it has the runtime, so both sides share one. What makes that
// safe is checked before any of the library's code for the program runs: `LibraryInfo` says against which interface, which
// layout of its types and which protobuf the library was compiled.
//
// LOCKSTEP_REGISTER_WORKFLOW (workflow_class.h) and LOCKSTEP_REGISTER_ACTIVITY (activities.h) fill the list; including this
// header gives the library its entry point.
#pragma once

#include <google/protobuf/stubs/common.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine-core/base/result.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::activity {
class ActivityRegistry;
}

namespace lockstep::workflow {

// Raised by hand whenever a library built before must not be loaded any more.
inline constexpr uint32_t kWorkflowAbi = 1;

using RegisterFunction = void (*)(WorkflowRegistry*, activity::ActivityRegistry*);

// Read across versions: this part never changes, further facts go behind it.
struct LibraryInfo {
  uint32_t abi = 0;
  uint32_t protobuf = 0;
  uint64_t layout = 0;
  const char* compiler = "";
  const RegisterFunction* parts = nullptr;
  uint64_t part_count = 0;
};

// Sizes of what crosses the border, mixed: a forgotten `kWorkflowAbi` shows here, and so does another standard library.
constexpr uint64_t LayoutFingerprint() {
  uint64_t hash = 0xcbf29ce484222325;
  for (const uint64_t size : {sizeof(WorkflowInfo), sizeof(ActivityOptions), sizeof(LocalActivityOptions), sizeof(ChildWorkflowOptions),
                              sizeof(NexusOptions), sizeof(WorkflowResult), sizeof(ActivityOutcome), sizeof(ChildOutcome),
                              sizeof(NexusOutcome), sizeof(UpdateHandler), sizeof(internal::PromiseBase), sizeof(internal::FutureCore),
                              sizeof(Json), sizeof(Error), sizeof(Payload), sizeof(std::string), sizeof(WorkflowConventions)}) {
    hash = (hash ^ size) * 0x100000001b3;
  }
  return hash;
}

// Errors: WORKFLOWS_NOT_FOUND, WORKFLOWS_UNLOADABLE (no library, symbols that this program does not have), WORKFLOWS_INCOMPATIBLE (built
// against another interface), WORKFLOWS_EMPTY, WORKFLOWS_CLASH (a type that another library has). The library stays loaded.
Status LoadWorkflowLibrary(const std::string& path, WorkflowRegistry* workflows, activity::ActivityRegistry* activities);

// What the registration macros of this very program or library left behind, for tests of workflows and programs that have them
// linked in.
[[gnu::visibility("hidden")]] inline void RegisterLinkedWorkflows(WorkflowRegistry* workflows, activity::ActivityRegistry* activities);

namespace internal {

// One list a library: hidden, so that two libraries in one program do not share it.
[[gnu::visibility("hidden")]] inline std::vector<RegisterFunction>& LibraryParts() {
  static std::vector<RegisterFunction> parts;
  return parts;
}

struct LibraryPart {
  explicit LibraryPart(RegisterFunction function) { LibraryParts().push_back(function); }
};

}  // namespace internal

inline void RegisterLinkedWorkflows(WorkflowRegistry* workflows, activity::ActivityRegistry* activities) {
  for (const RegisterFunction part : internal::LibraryParts()) part(workflows, activities);
}

}  // namespace lockstep::workflow

#define LOCKSTEP_UNIQUE_2(name, line) name##line
#define LOCKSTEP_UNIQUE_1(name, line) LOCKSTEP_UNIQUE_2(name, line)
#define LOCKSTEP_UNIQUE(name) LOCKSTEP_UNIQUE_1(name, __COUNTER__)

// The one symbol that a loader looks for. Weak: every source of a library may have it.
extern "C" __attribute__((weak, visibility("default"))) const ::lockstep::workflow::LibraryInfo* lockstep_workflow_library() {
  static ::lockstep::workflow::LibraryInfo info;
  const auto& parts = ::lockstep::workflow::internal::LibraryParts();
  info = {::lockstep::workflow::kWorkflowAbi, GOOGLE_PROTOBUF_VERSION, ::lockstep::workflow::LayoutFingerprint(), __VERSION__,
          parts.data(), parts.size()};
  return &info;
}
