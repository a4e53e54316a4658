// Plays a run's script (script.h) against a run in this process: called between any two steps of the engine, it does
// what is due. For runs without a worker process of their own; actions on one are refused (SCRIPT_INVALID).
#pragma once

#include <functional>
#include <string>

#include "engine-core/base/clock.h"
#include "engine-core/base/result.h"
#include "replay/record/script.h"

namespace lockstep::replay {

struct ScriptPort {
  // Events of this type (and step, when one is named) in the run's log.
  std::function<Result<int64_t>(const std::string& event, const std::string& step_id)> count;
  std::function<Status(const ScriptStep& step)> signal;
  std::function<Status()> cancel_native;
};

// SCRIPT_INVALID when the script needs a worker or a server of its own.
Status CheckEmbeddable(const RunScript& script);

class ScriptPlayer {
 public:
  ScriptPlayer(RunScript script, ScriptPort port, IClock* clock)
      : script_(std::move(script)), port_(std::move(port)), clock_(clock) {}
  Status Poll();
  bool done() const { return next_ == script_.steps.size(); }

 private:
  RunScript script_;
  ScriptPort port_;
  IClock* clock_;
  size_t next_ = 0;
  UnixMillis waiting_until_ = 0;
};

}  // namespace lockstep::replay
