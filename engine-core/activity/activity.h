// What an activity is to the code that runs it: a function from payloads to payloads with a context. Providers (the Temporal
// worker, the embedded engine) implement `ActivityContext`; step executors and the engine's own activities are written
// against it, so the same code runs under each.
//
// A failing activity returns an Error; it never returns a "failed" value, because a returned value ends the provider's
// retrying (spec 04 section 5.2). `Error::code` becomes the failure type on the wire and `retryable == false` makes the
// failure non-retryable; details travel as JSON. Code CANCELLED reports that the activity stopped because it was told to.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace temporal::api::common::v1 {
class Payloads;
}

namespace lockstep::activity {

using Payloads = temporal::api::common::v1::Payloads;

struct ActivityInfo {
  std::string namespace_name;
  std::string workflow_id;
  std::string workflow_run_id;
  std::string workflow_type;
  std::string activity_id;
  std::string activity_type;
  std::string task_queue;
  int32_t attempt = 1;
  bool local = false;
  int64_t scheduled_ms = 0;  // Unix milliseconds
  int64_t started_ms = 0;
  int64_t start_to_close_ms = 0;  // 0: none
  int64_t heartbeat_timeout_ms = 0;
};

// Threads: an activity runs on one thread; `Heartbeat`, `cancelled` and `WaitForCancellation` may be called from any.
class ActivityContext {
 public:
  virtual ~ActivityContext() = default;
  virtual const ActivityInfo& info() const = 0;
  // Reports progress. The provider throttles; a cancellation request comes back on a heartbeat. Workers also heartbeat on
  // their own every 10 s (spec 04 section 5.1), so that an activity that never calls this still learns of a cancellation.
  virtual void Heartbeat(const Json& details) = 0;
  // Details of the last heartbeat of the attempt before, or null.
  virtual Json LastHeartbeat() const = 0;
  // Cancellation requested, or the worker is shutting down and its grace time is over, or the activity is gone at the server.
  virtual bool cancelled() const = 0;
  // Blocks until cancelled or `timeout_ms` passed; true when cancelled.
  virtual bool WaitForCancellation(int64_t timeout_ms) = 0;
};

// JSON in, JSON out: every activity of the engine (payload encoding json/plain).
using ActivityFunction = std::function<Result<Json>(ActivityContext& context, const Json::Array& arguments)>;

class ActivityRegistry {
 public:
  // A type may be registered once (checked).
  void Register(std::string type, ActivityFunction function);
  const ActivityFunction* Find(std::string_view type) const;
  std::vector<std::string> Types() const;

 private:
  std::map<std::string, ActivityFunction, std::less<>> functions_;
};

}  // namespace lockstep::activity
