#include "replay/record/script_player.h"

namespace lockstep::replay {

Status CheckEmbeddable(const RunScript& script) {
  const auto refuse = [](const std::string& what) {
    return Fail("SCRIPT_INVALID", what + " needs a worker process of its own: expected --dev-server or --temporal");
  };
  if (!script.worker_faults.empty()) return refuse("worker.faults");
  if (script.worker_delayed) return refuse("worker.delayed");
  for (const ScriptStep& step : script.steps) {
    if (step.when.worker_exited) return refuse("workerExited");
    if (step.action == ScriptAction::kKillWorker) return refuse("killWorker");
    if (step.action == ScriptAction::kStopWorker) return refuse("stopWorker");
    if (step.action == ScriptAction::kStartWorker) return refuse("startWorker");
    if (step.action == ScriptAction::kRestartServer) return refuse("restartServer");
  }
  return {};
}

Status ScriptPlayer::Poll() {
  while (next_ < script_.steps.size()) {
    const ScriptStep& step = script_.steps[next_];
    if (waiting_until_ == 0) {
      if (!step.when.event.empty()) {
        LOCKSTEP_ASSIGN(const int64_t seen, port_.count(step.when.event, step.when.step_id));
        if (seen < step.when.count) return {};
      }
      if (step.action == ScriptAction::kWait) waiting_until_ = clock_->Now() + step.wait_ms;
    }
    if (step.action == ScriptAction::kWait) {
      if (clock_->Now() < waiting_until_) return {};
      waiting_until_ = 0;
    } else if (step.action == ScriptAction::kSignal) {
      for (int64_t i = 0; i < step.times; ++i) LOCKSTEP_TRY(port_.signal(step));
    } else {
      LOCKSTEP_TRY(port_.cancel_native());
    }
    ++next_;
  }
  return {};
}

}  // namespace lockstep::replay
