// Where embedded runs survive the process: histories, what is open besides them, and messages that other processes
// leave for a run (`lockstep signal`). One implementation, on SQLite: `<folder>/embedded.db`, WAL, full
// synchronisation; a save is one transaction.
//
// Errors: EMBEDDED_STORE_FAILED (retryable: the medium failed), EMBEDDED_STATE_CORRUPT (a row that cannot be read
// back), EMBEDDED_STORE_VERSION (written by a later build). Threads: any call from any thread; several processes may
// share the file.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/providers/embedded/server_run.h"

namespace lockstep::embedded {

struct StoredExecution {
  History history;
  Json state;
};

struct StoredRun {
  std::string workflow_id;
  int32_t executions = 0;
  int64_t events = 0;  // of all executions
  bool closed = false;
};

// A message for a run. `kind`: `signal`, `cancel`, `terminate`.
struct Message {
  int64_t seq = 0;
  std::string kind;
  std::string name;     // of the signal; cause or reason of the others
  std::string payload;  // canonical JSON; empty: none
  std::string request_id;
};

class HistoryStore {
 public:
  virtual ~HistoryStore() = default;
  // Appends what is new of each and replaces its state, in one transaction.
  virtual Status Save(std::span<const ServerRun* const> executions) = 0;
  // The chain in order; empty: unknown.
  virtual Result<std::vector<StoredExecution>> LoadRun(const std::string& workflow_id) = 0;
  virtual Result<std::vector<StoredRun>> ListRuns() = 0;  // newest first
  virtual Status PostMessage(const std::string& workflow_id, const Message& message) = 0;
  // In the order of posting. They stay until `RemoveMessages`; a repeated signal is told from its request id.
  virtual Result<std::vector<Message>> Messages(const std::string& workflow_id) = 0;
  virtual Status RemoveMessages(const std::string& workflow_id, int64_t up_to_seq) = 0;
  virtual const std::string& name() const = 0;
};

Result<std::unique_ptr<HistoryStore>> OpenHistoryStore(const std::filesystem::path& file);

}  // namespace lockstep::embedded
