#include "engine-core/activity/invoke.h"

#include <algorithm>
#include <chrono>
#include <exception>

namespace lockstep::activity {

void CancelFlag::Set() {
  std::lock_guard lock(mutex_);
  set_ = true;
  changed_.notify_all();
}

bool CancelFlag::get() const {
  std::lock_guard lock(mutex_);
  return set_;
}

bool CancelFlag::WaitFor(int64_t timeout_ms) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(std::max<int64_t>(timeout_ms, 0)), [this] { return set_; });
}

Result<Json> Invoke(const ActivityFunction& function, ActivityContext& context, const Json::Array& arguments) {
  try {
    return function(context, arguments);
  } catch (const std::exception& problem) {
    return Fail("TRANSIENT_STEP_ERROR", "activity " + context.info().activity_type + " threw: " + problem.what(), true);
  } catch (...) {
    return Fail("TRANSIENT_STEP_ERROR",
                "activity " + context.info().activity_type + " threw something that is no exception", true);
  }
}

Error UnknownType(const ActivityRegistry* registry, std::string_view type) {
  std::string known;
  for (const std::string& name : registry == nullptr ? std::vector<std::string>() : registry->Types()) {
    known += (known.empty() ? "" : ", ") + name;
  }
  return Error(
      "WORKER_UNAVAILABLE",
      "activity type " + std::string(type) + " is unknown to this worker; known: " + (known.empty() ? "none" : known),
      true);
}

}  // namespace lockstep::activity
