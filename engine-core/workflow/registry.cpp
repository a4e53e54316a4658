#include "engine-core/workflow/registry.h"

#include "engine-core/base/check.h"
#include "engine-core/workflow/task.h"

namespace lockstep::workflow {

void WorkflowRegistry::Register(std::string type, WorkflowFunction function, WorkflowConventions conventions) {
  const bool added = entries_.emplace(type, WorkflowEntry{std::move(function), conventions}).second;
  LOCKSTEP_CHECK(added, "workflow type registered twice: " + type);
}

const WorkflowEntry* WorkflowRegistry::Find(std::string_view type) const {
  const auto it = entries_.find(type);
  return it == entries_.end() ? nullptr : &it->second;
}

std::vector<std::string> WorkflowRegistry::Types() const {
  std::vector<std::string> types;
  for (const auto& [type, entry] : entries_) types.push_back(type);
  return types;
}

}  // namespace lockstep::workflow
