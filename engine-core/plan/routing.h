// Which task queue a step goes to (spec 04 section 5.3), and the right to name one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/plan/plan.h"

namespace lockstep::plan {

inline constexpr size_t kMaxQueueNameBytes = 200;

// `^tq-(control|data|isolation-[a-z0-9-]+)-[a-z0-9-]+$`, at most 200 characters.
LOCKSTEP_DETERMINISTIC bool IsQueueName(std::string_view name);

struct QueueScope {
  std::string tenant_id;
  std::string environment_id;
  // Queues beyond the derived ones that this tenant may use in this environment.
  std::vector<std::string> allowed_queues;
};

// The queue of a worker class for a scope. An id that has other characters than the pattern allows, or is too long, is
// lowered, cleaned and made unique again by eight digits of its SHA-256, so two tenants never share an isolation queue
// by it.
LOCKSTEP_DETERMINISTIC std::string DerivedQueue(WorkerClass worker_class, std::string_view tenant_id,
                                                std::string_view environment_id);

// First match of the table. TASK_QUEUE_NOT_ALLOWED when the step names a queue that is no queue name, or neither
// derived from the scope nor among its allowed queues.
LOCKSTEP_DETERMINISTIC Result<std::string> SelectQueue(const Step& step, const QueueScope& scope);

// All steps at once (stage 16), with one issue per refused queue.
LOCKSTEP_DETERMINISTIC Status CheckQueues(const StepTable& table, const QueueScope& scope);

}  // namespace lockstep::plan
