// Calling an activity, the same for every provider: what it throws becomes an error, an unknown type has one message,
// and a cancellation is a flag that a function may wait for.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string_view>

#include "engine-core/activity/activity.h"

namespace lockstep::activity {

// Thread-safe.
class CancelFlag {
 public:
  void Set();
  bool get() const;
  // True when set before the time is over.
  bool WaitFor(int64_t timeout_ms);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

// TRANSIENT_STEP_ERROR (retryable) when the function throws.
Result<Json> Invoke(const ActivityFunction& function, ActivityContext& context, const Json::Array& arguments);

// WORKER_UNAVAILABLE (retryable), naming the types that are known. `registry` may be nullptr.
Error UnknownType(const ActivityRegistry* registry, std::string_view type);

}  // namespace lockstep::activity
