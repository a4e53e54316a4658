// Runs plans, and workflows of a user's library, on a real Temporal server, plans also in this process, and keeps what happened as
// record directories (`lockstep record`, spec 00 section 3).
// Every record is replayed before it is written: a run that this very build cannot replay is an error, not a record.
// Errors: those of starting a run, SCRIPT_TIMEOUT, RUN_TIMEOUT_WAITING, RECORD_NOT_REPRODUCIBLE, RECORD_EXISTS, DEV_SERVER_*,
// WORKER_FAILED, INTERRUPTED.
// Used by one thread; `interrupt` may be set from a signal handler.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/service/runs.h"
#include "replay/record/script.h"

namespace lockstep::workflow {
class WorkflowRegistry;
}

namespace lockstep::replay {

struct RecorderOptions {
  std::filesystem::path program;      // the `lockstep` binary that runs the worker
  bool embedded = false;              // run in this process: no server, no worker
  std::string temporal_address;       // empty: start a development server
  std::string namespace_name = "default";
  std::filesystem::path venv;         // where to look for the development server
  std::filesystem::path home;         // state folder; empty: a temporary one
  std::filesystem::path worker_config;  // empty: nothing allowed
  bool own_worker = true;             // false: somebody else's worker serves the queues
  bool test_kinds = false;
  service::RunScope scope;
  std::map<std::string, int, std::less<>> version_pins;  // --as-of
  std::vector<std::string> libraries;  // --workflows; `workflows` below has what they hold
  const workflow::WorkflowRegistry* workflows = nullptr;  // nullptr: the interpreter alone
  int64_t run_timeout_ms = 600'000;   // how long to wait for a run
  const std::atomic<bool>* interrupt = nullptr;
  std::function<void(const std::string& line)> progress;
};

// A workflow of a library: its input, and the signals that are sent right after its start.
struct WorkflowRequest {
  std::string type;
  Json::Array input;
  std::vector<std::pair<std::string, Json>> signals;
};

struct RecordedRun {
  std::filesystem::path directory;
  std::string run_id;
  std::string status;
  std::string snapshot_hash;
  std::string outcome_hash;
  int64_t executions = 0;
  int64_t events = 0;
  int64_t engine_events = 0;
};

class Recorder {
 public:
  static Result<std::unique_ptr<Recorder>> Open(RecorderOptions options);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Runs `plan` (bytes) under `script` and writes the record to `directory`.
  Result<RecordedRun> Record(const std::string& plan, const RunScript& script, const std::filesystem::path& directory, bool replace);
  // Runs one workflow to its end and writes the record: histories and command lines, no engine log.
  Result<RecordedRun> RecordWorkflow(const WorkflowRequest& request, const std::filesystem::path& directory, bool replace);

 private:
  class Impl;
  explicit Recorder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::replay
