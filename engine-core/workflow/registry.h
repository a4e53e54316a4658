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

// How an execution of a type behaves where official SDKs differ among each other. Part of what a history depends on: to be
// changed for new types only.
struct WorkflowConventions {
  // Markers, default ids and the text of cancellation reasons as the common core of Temporal's SDKs writes them, so that their
  // workers can take such a run over; else as the Go SDK does.
  bool common_core = false;
  // Code that waits for a signal or an update goes on before the other events of the same task are applied; and what is ready
  // when the main coroutine ends still runs, before the command that ends the execution.
  bool messages_first = false;
};

struct WorkflowEntry {
  WorkflowFunction function;
  WorkflowConventions conventions;
};

class WorkflowRegistry {
 public:
  // A type may be registered once (checked).
  void Register(std::string type, WorkflowFunction function, WorkflowConventions conventions = {});
  // nullptr when the type is unknown.
  const WorkflowEntry* Find(std::string_view type) const;
  std::vector<std::string> Types() const;

 private:
  std::map<std::string, WorkflowEntry, std::less<>> entries_;
};

}  // namespace lockstep::workflow
