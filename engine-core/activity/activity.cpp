#include "engine-core/activity/activity.h"

#include "engine-core/base/check.h"

namespace lockstep::activity {

void ActivityRegistry::Register(std::string type, ActivityFunction function) {
  const bool added = functions_.emplace(type, std::move(function)).second;
  LOCKSTEP_CHECK(added, "activity type registered twice: " + type);
}

const ActivityFunction* ActivityRegistry::Find(std::string_view type) const {
  const auto it = functions_.find(type);
  return it == functions_.end() ? nullptr : &it->second;
}

std::vector<std::string> ActivityRegistry::Types() const {
  std::vector<std::string> types;
  for (const auto& [type, function] : functions_) types.push_back(type);
  return types;
}

}  // namespace lockstep::activity
