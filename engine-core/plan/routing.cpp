// Queue names are made in one place, so that the worker that polls and the workflow that dispatches cannot disagree.
#include "engine-core/plan/routing.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/sha256.h"
#include "engine-core/plan/issues.h"

namespace lockstep::plan {
namespace {

bool IsLabel(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || IsAsciiDigit(c) || c == '-'; });
}

// Two labels, prefix and hyphens stay below 200 characters.
constexpr size_t kMaxLabel = 80;

std::string Label(std::string_view id) {
  if (IsLabel(id) && id.size() <= kMaxLabel) return std::string(id);
  std::string clean = AsciiLower(id.substr(0, kMaxLabel - 9));
  std::ranges::replace_if(clean, [](char c) { return !IsLabel(std::string_view(&c, 1)); }, '-');
  return clean + "-" + Sha256Hex(id).substr(0, 8);
}

Error NotAllowed(const Step& step, const std::string& why) {
  return IssueError("TASK_QUEUE_NOT_ALLOWED", "step " + step.step_id,
                    {{"steps[" + std::to_string(step.index) + "].taskQueue", "task_queue_not_allowed", why}});
}

}  // namespace

bool IsQueueName(std::string_view name) {
  if (name.size() > kMaxQueueNameBytes || !name.starts_with("tq-")) return false;
  name.remove_prefix(3);
  for (const std::string_view prefix : {"control-", "data-"}) {
    if (name.starts_with(prefix)) return IsLabel(name.substr(prefix.size()));
  }
  constexpr std::string_view kIsolation = "isolation-";
  if (!name.starts_with(kIsolation)) return false;
  // Two labels with a hyphen between them somewhere.
  const std::string_view rest = name.substr(kIsolation.size());
  const size_t hyphen = rest.find('-', 1);
  return IsLabel(rest) && hyphen != std::string_view::npos && hyphen + 1 < rest.size();
}

std::string DerivedQueue(WorkerClass worker_class, std::string_view tenant_id, std::string_view environment_id) {
  switch (worker_class) {
    case WorkerClass::kIsolation:
      return "tq-isolation-" + Label(tenant_id) + "-" + Label(environment_id);
    case WorkerClass::kData:
      return "tq-data-" + Label(environment_id);
    case WorkerClass::kControl:
      break;
  }
  return "tq-control-" + Label(environment_id);
}

Result<std::string> SelectQueue(const Step& step, const QueueScope& scope) {
  if (!step.task_queue) return DerivedQueue(step.worker_class, scope.tenant_id, scope.environment_id);
  const std::string& queue = *step.task_queue;
  if (!IsQueueName(queue))
    return Fail(NotAllowed(step, "expected a queue name tq-CLASS-ENVIRONMENT, found \"" + queue + "\""));
  for (const WorkerClass one : {WorkerClass::kControl, WorkerClass::kData, WorkerClass::kIsolation}) {
    if (queue == DerivedQueue(one, scope.tenant_id, scope.environment_id)) return queue;
  }
  if (std::ranges::find(scope.allowed_queues, queue) != scope.allowed_queues.end()) return queue;
  return Fail(NotAllowed(step, "expected a queue of this tenant and environment, found \"" + queue + "\""));
}

Status CheckQueues(const StepTable& table, const QueueScope& scope) {
  std::vector<Issue> issues;
  for (const Step& step : table.steps) {
    const auto queue = SelectQueue(step, scope);
    if (!queue) issues.insert(issues.end(), queue.error().issues.begin(), queue.error().issues.end());
  }
  if (issues.empty()) return {};
  return Fail(IssueError("TASK_QUEUE_NOT_ALLOWED", "a step names a queue it has no right to", std::move(issues)));
}

}  // namespace lockstep::plan
