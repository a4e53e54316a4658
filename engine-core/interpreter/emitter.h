// The FIFO through which every event of a run goes (spec 04 section 3): log order follows causal order because there is one
// queue and one append at a time. Appends are local activities (spec 00 section 5), so an event is durable before the
// workflow task that produced it completes, and hence before anything is dispatched because of it.
// `eventId` and `emittedAt` are fixed here, in the workflow, so that replays and repeated appends reuse them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/interpreter/run_input.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::state {
struct EventWrite;
}

namespace lockstep::interpreter {

class LOCKSTEP_WORKFLOW Emitter {
 public:
  Emitter(const RunInput& input, std::string plan_id, std::string plan_version);

  struct Draft {
    std::string_view type;
    std::string step_id;       // empty: a run event
    int32_t attempt = 1;       // logical attempt, or the occurrence number of a run event
    int32_t engine_attempt = 1;
    Json payload;
  };
  // Whether the catalog of events allows this one (spec 02 section 8, layer 1). For payloads that hold what others returned:
  // an event that the store refuses ends the run.
  Status Check(const Draft& draft) const;
  // Queues the event; returns its ticket. `emitted_at` of the event is now.
  uint64_t Emit(Draft draft, std::source_location where = std::source_location::current());
  // The append of this ticket is durable.
  bool Durable(uint64_t ticket) const { return ticket <= durable_; }
  bool idle() const { return durable_ == issued_; }
  // The store refused an event for good: a defect of this producer, or the run was ended from outside.
  const std::optional<Error>& refused() const { return refused_; }
  // Appends until the execution ends. To be spawned once, where no cancellation reaches it.
  wf::Task<void> Run();

 private:
  struct Queued {
    Json event;
    std::string activity_id;
    std::source_location where;
  };
  state::EventWrite Build(const Draft& draft, std::string event_id) const;
  wf::Task<bool> Append(Json batch, std::string activity_id, std::source_location where, std::vector<std::source_location> parts);

  const RunInput& input_;
  std::string plan_id_;
  std::string plan_version_;
  std::deque<Queued> queue_;
  uint64_t issued_ = 0;
  uint64_t durable_ = 0;
  std::optional<Error> refused_;
};

}  // namespace lockstep::interpreter
