#include "engine-core/workflow/registry.h"

#include "engine-core/base/check.h"
#include "engine-core/workflow/task.h"

namespace lockstep::workflow {

void WorkflowRegistry::Register(std::string type, WorkflowFunction function) {
  const bool added = functions_.emplace(type, std::move(function)).second;
  LOCKSTEP_CHECK(added, "workflow type registered twice: " + type);
}

const WorkflowFunction* WorkflowRegistry::Find(std::string_view type) const {
  const auto it = functions_.find(type);
  return it == functions_.end() ? nullptr : &it->second;
}

std::vector<std::string> WorkflowRegistry::Types() const {
  std::vector<std::string> types;
  for (const auto& [type, function] : functions_) types.push_back(type);
  return types;
}

}  // namespace lockstep::workflow
