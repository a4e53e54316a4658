// What happens to a run while it is recorded (`lockstep record --script`): a list of actions, each waiting for something first.
//
//   {"worker": {"faults": ["crash-after-append=5"], "delayed": true}, "policy": {"continueSteps": 2}, "params": {...}, "claimedSha256": "...",
//    "script": [
//     {"when": {"event": "StepCompleted", "stepId": "s3", "count": 1}, "do": {"signal": "PAUSE", "payload": {"reason": "deploy"}}},
//     {"when": {"event": "RunPaused"}, "do": {"signal": "RESUME"}},
//     {"when": {"workerExited": true}, "do": {"startWorker": true}},
//     {"do": {"wait": 500}}]}
//
// A bare list is the script alone. Actions: signal (with payload, reason, times), cancelNative, killWorker, stopWorker,
// startWorker, restartServer, wait (milliseconds). Error: SCRIPT_INVALID, naming the place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace lockstep::replay {

struct ScriptCondition {
  std::string event;  // event type of the run's log; empty: no such condition
  std::string step_id;
  int64_t count = 1;
  bool worker_exited = false;
};

enum class ScriptAction : uint8_t { kSignal, kCancelNative, kKillWorker, kStopWorker, kStartWorker, kRestartServer, kWait };

struct ScriptStep {
  ScriptCondition when;
  ScriptAction action = ScriptAction::kWait;
  std::string signal;
  Json payload = Json::MakeObject();
  std::string reason;
  int64_t times = 1;
  int64_t wait_ms = 0;
};

struct RunScript {
  std::vector<std::string> worker_faults;
  bool worker_delayed = false;  // start the worker only after the script, or where it says startWorker
  Json policy;  // members of the interpreter's policy to set; null: none
  Json params;
  std::string claimed_sha256;
  std::vector<ScriptStep> steps;
  Json source;  // as given; null: no script. Kept in the record's manifest
};

Result<RunScript> ParseRunScript(const Json& json);

}  // namespace lockstep::replay
