// Runs in this process, without a server (`lockstep run`): admission and log as everywhere, the embedded engine in
// place of the provider, and a home folder that survives the process. Other processes steer a run through messages in
// the home.
//
// `<home>/embedded.db` holds the histories; a lock file keeps two processes from driving one run.
// Errors: those of RunService, EMBEDDED_*, RUN_BUSY (another process drives the run).
// Threads: `Signal` from any thread; the rest from one.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine-core/base/result.h"
#include "engine-core/service/home.h"
#include "engine-core/service/runs.h"

namespace lockstep::embedded {
class HistoryStore;
}
namespace temporal::api::history::v1 {
class History;
}

namespace lockstep::service {

struct EmbeddedOptions {
  std::filesystem::path home;
  RunScope scope;
  std::filesystem::path worker_config;  // empty: nothing allowed
  bool test_kinds = false;
  std::map<std::string, int, std::less<>> version_pins;
  std::function<void(const std::string& message)> log;
};

class EmbeddedRun {
 public:
  static Result<std::unique_ptr<EmbeddedRun>> Open(EmbeddedOptions options);
  ~EmbeddedRun();

  Result<StartedRun> Start(const StartRunRequest& request);
  // Takes up a run that an earlier process left.
  Status Resume(const std::string& run_id);
  Status Signal(const SignalRequest& request);
  Status RequestCancel(const std::string& reason);

  // Works until the run is over or `stop` is set; `idle` is called between any two steps. False: stopped.
  Result<bool> Run(const std::atomic<bool>& stop, const std::function<Status()>& idle);

  const std::string& run_id() const;
  EngineHome& home();
  // Of the executions so far, in order.
  std::vector<const temporal::api::history::v1::History*> histories() const;
  // Why workflow tasks fail at the moment; empty: they do not.
  std::string trouble() const;

 private:
  struct Impl;
  explicit EmbeddedRun(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Leaves signals for runs that another process drives.
class EmbeddedSignals {
 public:
  static Result<std::unique_ptr<EmbeddedSignals>> Open(const std::filesystem::path& home, const RunScope& scope);
  ~EmbeddedSignals();
  Status Signal(const SignalRequest& request);

 private:
  struct Impl;
  explicit EmbeddedSignals(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::service
