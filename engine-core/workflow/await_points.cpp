// What a debugger may ask of an execution: which commands are not over, and where each live coroutine stands.
#include "engine-core/workflow/runtime.h"

namespace lockstep::workflow::internal {

std::vector<PendingCommand> Runtime::PendingCommands() const {
  std::vector<PendingCommand> pending;
  for (const auto& machine : machines_) {
    // What ends or only tells something has nothing after it.
    if (machine->state == MachineState::kClosed || machine->state == MachineState::kCreated ||
        machine->spec->table.size() <= 2)
      continue;
    pending.push_back({machine->spec->name, machine->id, MachineStateName(machine->state), machine->event_id,
                       machine->attempt, machine->where});
  }
  return pending;
}

void Runtime::LinkCoroutine(PromiseBase* promise) {
  promise->older = std::exchange(newest_, promise);
  (promise->older != nullptr ? promise->older->newer : oldest_) = promise;
}

void Runtime::UnlinkCoroutine(PromiseBase* promise) {
  (promise->older != nullptr ? promise->older->newer : oldest_) = promise->newer;
  (promise->newer != nullptr ? promise->newer->older : newest_) = promise->older;
}

std::vector<AwaitPoint> Runtime::AwaitPoints() const {
  std::vector<AwaitPoint> points;
  for (const PromiseBase* leaf = oldest_; leaf != nullptr; leaf = leaf->newer) {
    // Not yet begun, over, or waiting for another coroutine that is in this list itself.
    if (leaf->waits == WaitKind::kNotStarted || leaf->waits == WaitKind::kTask || leaf->self.done()) continue;
    AwaitPoint& point = points.emplace_back();
    point.waits_for = leaf->waits == WaitKind::kCondition ? "a condition"
                      : leaf->waits == WaitKind::kTurn    ? "its turn"
                                                          : "a command";
    if (leaf->waits == WaitKind::kCommand && leaf->awaited != nullptr) {
      point.waits_for = std::string(leaf->awaited->spec->name) + " " + leaf->awaited->id;
      point.event_id = leaf->awaited->event_id;
    }
    point.cancelled = leaf->scope != nullptr && leaf->scope->cancelled;
    for (const PromiseBase* frame = leaf; frame != nullptr; frame = frame->continuation) {
      // The runtime's own waits stand for the user's line that called them, which then awaits them on that very line.
      const SourceLine line = ToSourceLine(frame->where);
      const bool repeated = !point.stack.empty() && line == ToSourceLine(point.stack.back());
      if (!line.file.starts_with("engine-core/workflow/wf.") && !repeated) point.stack.push_back(frame->where);
      point.main = frame == root_.promise();
    }
    if (point.stack.empty()) point.stack.push_back(leaf->where);
  }
  return points;
}

}  // namespace lockstep::workflow::internal
