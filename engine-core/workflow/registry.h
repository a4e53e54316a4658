// Which workflow types a process knows. Filled at start-up, read-only afterwards; may then be shared by threads.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace temporal::api::common::v1 {
class Payloads;
}

namespace lockstep::workflow {

template <typename T>
class Task;
struct WorkflowResult;

using Payloads = temporal::api::common::v1::Payloads;

// The body of a workflow: a coroutine that gets the input payloads and ends with a `WorkflowResult`.
using WorkflowFunction = std::function<Task<WorkflowResult>(const Payloads& input)>;

class WorkflowRegistry {
 public:
  // A type may be registered once (checked).
  void Register(std::string type, WorkflowFunction function);
  // nullptr when the type is unknown.
  const WorkflowFunction* Find(std::string_view type) const;
  std::vector<std::string> Types() const;

 private:
  std::map<std::string, WorkflowFunction, std::less<>> functions_;
};

}  // namespace lockstep::workflow
