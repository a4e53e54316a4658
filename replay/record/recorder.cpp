#include "replay/record/recorder.h"

#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "engine-core/base/files.h"
#include "engine-core/base/ids.h"
#include "engine-core/base/sha256.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/providers/temporal/client.h"
#include "engine-core/providers/temporal/dev_server.h"
#include "engine-core/service/embedded_runs.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"
#include "replay/history/writer.h"
#include "replay/record/child_worker.h"
#include "replay/record/record.h"
#include "replay/record/script_player.h"
#include "replay/session/batch.h"

namespace lockstep::replay {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using temporal::api::history::v1::History;
// The executions of one run, each continued by the next.
using Chain = std::vector<std::unique_ptr<History>>;

constexpr int64_t kPollMs = 20;
constexpr int64_t kConditionTimeoutMs = 120'000;
constexpr int64_t kFetchPage = 1'000;
constexpr uint64_t kMaxArtifactBytes = 64ull << 20;
// Keyword search attributes of spec 04 section 9.
const std::vector<std::string> kSearchAttributes = {"tenantId", "projectId",   "environmentId", "regulatoryTier",
                                                    "planId",   "planVersion", "interpreterVersion", "runStatus"};

std::vector<const History*> Pointers(const Chain& chain) {
  std::vector<const History*> pointers;
  for (const auto& history : chain) pointers.push_back(history.get());
  return pointers;
}

}  // namespace

class Recorder::Impl {
 public:
  explicit Impl(RecorderOptions options) : options_(std::move(options)) { interpreter::RegisterInterpreter(&interpreter_); }

  Status Open() {
    if (options_.home.empty()) {
      LOCKSTEP_ASSIGN(auto folder, TemporaryDirectory::Create("lockstep-record"));
      scratch_.emplace(std::move(folder));
      options_.home = scratch_->path() / "home";
    }
    LOCKSTEP_ASSIGN(home_, service::OpenHome(options_.home));
    if (options_.embedded) return {};
    connection_.address = options_.temporal_address;
    connection_.namespace_name = options_.namespace_name;
    if (options_.temporal_address.empty()) LOCKSTEP_TRY(StartServer());
    client_ = std::make_unique<provider::Client>(connection_);
    LOCKSTEP_TRY(client_->Connect());
    runs_ = std::make_unique<service::RunService>(home_, client_.get(), options_.scope);
    worker_ = std::make_unique<ChildWorker>(options_.program, WorkerArguments(), options_.home / "worker.log");
    return {};
  }

  Result<RecordedRun> Record(const std::string& plan, const RunScript& script, const fs::path& directory, bool replace) {
    std::error_code error;
    if (fs::exists(directory, error) && !replace) {
      return Fail("RECORD_EXISTS", directory.string() + ": expected a new folder, found an existing one (--replace overwrites it)");
    }
    // Payloads cannot be scrubbed without breaking the replay, so what would have to be scrubbed is not recorded at all.
    if (std::string copy = plan; ScrubSecrets(&copy) > 0) {
      return Fail("PLAN_INLINE_SECRET", "the plan holds what looks like a credential: expected secretRefs; nothing was recorded");
    }
    if (options_.embedded) return RecordEmbedded(plan, script, directory, replace);
    // A worker with faults is for this run alone.
    if (!script.worker_faults.empty() || script.worker_delayed) worker_->Stop();
    if (!script.worker_delayed) LOCKSTEP_TRY(StartWorker(script.worker_faults));
    LOCKSTEP_ASSIGN(const service::StartRunRequest request, RequestOf(plan, script));
    LOCKSTEP_ASSIGN(const service::StartedRun run, runs_->Start(request));
    Say("run " + run.run_id + ": " + std::to_string(run.step_count) + " steps");
    for (const ScriptStep& step : script.steps) LOCKSTEP_TRY(Play(step, run));
    LOCKSTEP_TRY(StartWorker({}));
    LOCKSTEP_TRY(WaitForEnd(run));
    LOCKSTEP_ASSIGN(replay::Record record, Collect(run, plan, script));
    return Write(std::move(record), directory, replace);
  }

  Result<RecordedRun> RecordWorkflow(const WorkflowRequest& request, const fs::path& directory, bool replace) {
    std::error_code error;
    if (fs::exists(directory, error) && !replace) {
      return Fail("RECORD_EXISTS", directory.string() + ": expected a new folder, found an existing one (--replace overwrites it)");
    }
    LOCKSTEP_TRY(StartWorker({}));
    provider::StartOptions start;
    start.workflow_type = request.type;
    start.workflow_id = SystemIdGenerator().NewUuid();
    start.task_queue = service::ControlQueue(options_.scope);
    workflow::Payloads input;
    for (const Json& argument : request.input) workflow::AddJson(argument, &input);
    LOCKSTEP_ASSIGN(const auto ref, client_->StartWorkflow(start, input));
    Say("workflow " + request.type + " " + start.workflow_id);
    for (const auto& [name, payload] : request.signals) {
      LOCKSTEP_TRY(client_->Signal(start.workflow_id, {}, name, workflow::JsonPayloads(payload)));
    }
    service::StartedRun run;
    run.workflow_id = start.workflow_id;
    run.run_id = ref.run_id;
    run.provider_run_id = ref.run_id;
    LOCKSTEP_TRY(WaitForEnd(run));
    replay::Record record;
    record.input = Json(request.input);
    Json files = Json::MakeArray();
    LOCKSTEP_TRY(CollectHistories(run, &record, &files));
    record.manifest = Json::MakeObject({{"formatVersion", kRecordFormatVersion},
                                        {"tool", "lockstep"},
                                        {"toolVersion", LOCKSTEP_VERSION},
                                        {"buildId", LOCKSTEP_VERSION},
                                        {"adapter", "temporal"},
                                        {"inputSha256", Sha256Hex(CanonicalJson(record.input))},
                                        {"workflowType", request.type},
                                        {"workflowId", run.workflow_id},
                                        {"runId", run.run_id},
                                        {"histories", std::move(files)}});
    return Write(std::move(record), directory, replace);
  }

 private:
  void Say(const std::string& line) const {
    if (options_.progress) options_.progress(line);
  }
  bool Interrupted() const { return options_.interrupt != nullptr && options_.interrupt->load(); }
  static std::unexpected<Error> InterruptedError() { return Fail("INTERRUPTED", "interrupted; nothing was written"); }

  Status StartServer() {
    Say("starting a Temporal development server");
    provider::DevServerOptions server;
    server.venv = options_.venv;
    server.db_file = options_.home / "temporal.db";
    server.search_attributes = kSearchAttributes;
    server.log_file = options_.home / "temporal.log";
    LOCKSTEP_ASSIGN(server_, provider::DevServer::Start(server));
    connection_ = server_->Connection();
    return {};
  }

  std::vector<std::string> WorkerArguments() const {
    std::vector<std::string> arguments = {"worker",        "--state",        options_.home.string(),        "--temporal", connection_.address,
                                          "--namespace",   connection_.namespace_name, "--tenant", options_.scope.tenant_id,
                                          "--project",     options_.scope.project_id,  "--environment", options_.scope.environment_id};
    if (!options_.worker_config.empty()) arguments.insert(arguments.end(), {"--config", options_.worker_config.string()});
    if (options_.test_kinds) arguments.emplace_back("--test-kinds");
    for (const std::string& library : options_.libraries) arguments.insert(arguments.end(), {"--workflows", library});
    for (const auto& [change, version] : options_.version_pins) {
      arguments.insert(arguments.end(), {"--as-of", change + "=" + std::to_string(version)});
    }
    return arguments;
  }

  Status StartWorker(const std::vector<std::string>& faults) {
    if (!options_.own_worker) return {};
    std::vector<std::string> extra;
    for (const std::string& fault : faults) extra.insert(extra.end(), {"--fault", fault});
    return worker_->Start(extra);
  }

  Result<service::StartRunRequest> RequestOf(const std::string& plan, const RunScript& script) const {
    service::StartRunRequest request;
    request.plan = plan;
    request.params = script.params;
    request.allow_test_kinds = options_.test_kinds;
    request.search_attributes = server_ != nullptr || options_.embedded;
    request.claimed_sha256 = script.claimed_sha256;
    LOCKSTEP_ASSIGN(request.policy, PolicyOf(script));
    return request;
  }

  Result<RecordedRun> RecordEmbedded(const std::string& plan, const RunScript& script, const fs::path& directory, bool replace) {
    LOCKSTEP_TRY(CheckEmbeddable(script));
    LOCKSTEP_ASSIGN(const auto run, service::EmbeddedRun::Open({options_.home, options_.scope, options_.worker_config, options_.test_kinds,
                                                                options_.version_pins, [this](const std::string& line) { Say(line); }}));
    LOCKSTEP_ASSIGN(const service::StartRunRequest request, RequestOf(plan, script));
    LOCKSTEP_ASSIGN(const service::StartedRun started, run->Start(request));
    Say("run " + started.run_id + ": " + std::to_string(started.step_count) + " steps");
    ScriptPort port;
    port.count = [&](const std::string& event, const std::string& step_id) -> Result<int64_t> {
      LOCKSTEP_ASSIGN(const auto events, Events(started.run_id));
      return std::count_if(events.begin(), events.end(), [&](const state::EventRecord& record) {
        return record.event_type == event && (step_id.empty() || record.step_id == step_id);
      });
    };
    port.signal = [&](const ScriptStep& step) {
      Say("signal " + step.signal);
      return run->Signal({.run_id = started.run_id, .type = step.signal, .payload = step.payload, .reason = step.reason});
    };
    port.cancel_native = [&] { return run->RequestCancel("recorded script"); };
    ScriptPlayer player(script, std::move(port), &SystemClock());
    const auto deadline = Clock::now() + std::chrono::milliseconds(options_.run_timeout_ms);
    static const std::atomic<bool> kNever = false;
    LOCKSTEP_ASSIGN(const bool ended, run->Run(options_.interrupt != nullptr ? *options_.interrupt : kNever, [&]() -> Status {
      if (Clock::now() > deadline) {
        return Fail("RUN_TIMEOUT_WAITING", "run " + started.run_id + " has not ended within " + std::to_string(options_.run_timeout_ms / 1000) +
                                               " s" + (run->trouble().empty() ? "" : "; its workflow task fails: " + run->trouble()));
      }
      return player.Poll();
    }));
    if (!ended) return InterruptedError();
    LOCKSTEP_ASSIGN(replay::Record record, Assemble(started, plan, script, "mock", run->histories()));
    return Write(std::move(record), directory, replace);
  }

  Result<interpreter::Policy> PolicyOf(const RunScript& script) const {
    // One reader for the policy's JSON: the interpreter's own.
    Json input = interpreter::ToJson(interpreter::RunInput{Json::MakeObject(), {"t", "p", "e", "r", "temporal", Json()}, {}, {}, std::nullopt});
    if (script.policy.is_object()) MergePatch(input.Find("policy"), script.policy);
    LOCKSTEP_ASSIGN(interpreter::RunInput parsed, interpreter::ParseRunInput(input));
    parsed.policy.status_attribute = server_ != nullptr || options_.embedded;
    return parsed.policy;
  }

  Result<std::vector<state::EventRecord>> Events(const std::string& run_id) const {
    std::vector<state::EventRecord> events;
    while (true) {
      LOCKSTEP_ASSIGN(auto page, home_.store->FetchEvents(state::TenantScope(options_.scope.tenant_id), run_id,
                                                          events.empty() ? 0 : events.back().run_seq, kFetchPage));
      const bool last = static_cast<int64_t>(page.size()) < kFetchPage;
      std::move(page.begin(), page.end(), std::back_inserter(events));
      if (last) return events;
    }
  }

  Result<bool> Holds(const ScriptCondition& condition, const std::string& run_id) const {
    if (condition.worker_exited) return !worker_->Running();
    LOCKSTEP_ASSIGN(const auto events, Events(run_id));
    int64_t seen = 0;
    for (const state::EventRecord& event : events) {
      if (event.event_type == condition.event && (condition.step_id.empty() || event.step_id == condition.step_id)) ++seen;
    }
    return seen >= condition.count;
  }

  Status WaitFor(const ScriptCondition& condition, const std::string& run_id) const {
    if (condition.event.empty() && !condition.worker_exited) return {};
    const auto deadline = Clock::now() + std::chrono::milliseconds(kConditionTimeoutMs);
    while (true) {
      LOCKSTEP_ASSIGN(const bool holds, Holds(condition, run_id));
      if (holds) return {};
      if (Interrupted()) return InterruptedError();
      if (Clock::now() > deadline) {
        return Fail("SCRIPT_TIMEOUT", "script: no " + (condition.event.empty() ? std::string("end of the worker") : condition.event) +
                                          (condition.step_id.empty() ? "" : " of step " + condition.step_id) + " within " +
                                          std::to_string(kConditionTimeoutMs / 1000) + " s\n" + worker_->LogTail());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
    }
  }

  Status Play(const ScriptStep& step, const service::StartedRun& run) {
    LOCKSTEP_TRY(WaitFor(step.when, run.run_id));
    switch (step.action) {
      case ScriptAction::kSignal:
        Say("signal " + step.signal + (step.times > 1 ? " " + std::to_string(step.times) + " times" : ""));
        for (int64_t i = 0; i < step.times; ++i) {
          LOCKSTEP_TRY(runs_->Signal({.run_id = run.run_id, .type = step.signal, .payload = step.payload, .reason = step.reason}));
        }
        return {};
      case ScriptAction::kCancelNative: return client_->RequestCancel(run.workflow_id, {}, "recorded script");
      case ScriptAction::kKillWorker: Say("killing the worker"); worker_->Kill(); return {};
      case ScriptAction::kStopWorker: Say("stopping the worker"); worker_->Stop(); return {};
      case ScriptAction::kStartWorker: return StartWorker({});
      case ScriptAction::kRestartServer:
        if (server_ == nullptr) return Fail("SCRIPT_INVALID", "restartServer works with --dev-server only");
        Say("restarting the server");
        server_->Stop();
        return server_->Restart();
      case ScriptAction::kWait: return Pause(step.wait_ms);
    }
    return {};
  }

  Status Pause(int64_t millis) const {
    const auto deadline = Clock::now() + std::chrono::milliseconds(millis);
    while (Clock::now() < deadline) {
      if (Interrupted()) return InterruptedError();
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min<int64_t>(kPollMs, millis)));
    }
    return {};
  }

  Status WaitForEnd(const service::StartedRun& run) const {
    const auto deadline = Clock::now() + std::chrono::milliseconds(options_.run_timeout_ms);
    constexpr int64_t kSliceMs = 2'000;
    while (true) {
      const auto outcome = client_->WaitForResult(run.workflow_id, {}, kSliceMs);
      if (outcome.has_value()) return {};
      if (outcome.error().code != "ADAPTER_TIMEOUT") return Fail(outcome.error());
      if (Interrupted()) {
        (void)client_->Terminate(run.workflow_id, {}, "recording interrupted");
        return InterruptedError();
      }
      if (options_.own_worker && !worker_->Running()) return Fail("WORKER_FAILED", "the worker ended before the run\n" + worker_->LogTail());
      if (Clock::now() > deadline) {
        return Fail("RUN_TIMEOUT_WAITING", "run " + run.run_id + " has not ended within " + std::to_string(options_.run_timeout_ms / 1000) +
                                               " s\n" + worker_->LogTail());
      }
    }
  }

  // Every execution of the chain, in order.
  Result<Chain> FetchChain(const service::StartedRun& run) const {
    Chain chain;
    std::string next = run.provider_run_id;
    while (!next.empty()) {
      LOCKSTEP_ASSIGN(auto loaded, client_->GetHistory(run.workflow_id, next));
      const auto& last = loaded->events(loaded->events_size() - 1);
      next = last.has_workflow_execution_continued_as_new_event_attributes()
                 ? last.workflow_execution_continued_as_new_event_attributes().new_execution_run_id()
                 : std::string();
      chain.push_back(std::move(loaded));
    }
    return chain;
  }

  Status CollectHistories(const service::StartedRun& run, replay::Record* record, Json* files) const {
    LOCKSTEP_ASSIGN(const Chain chain, FetchChain(run));
    return KeepHistories(Pointers(chain), record, files);
  }

  static Status KeepHistories(const std::vector<const History*>& histories, replay::Record* record, Json* files) {
    for (const History* history : histories) {
      // The binary form holds payloads in plain, so credentials inside them show.
      if (std::string bytes = history::WriteBinary(*history); ScrubSecrets(&bytes) > 0) {
        return Fail("RECORD_SECRET_FOUND", "a payload of the history holds what looks like a credential; nothing was recorded");
      }
      record->histories.push_back(history::WriteJson(*history));
      files->Push(HistoryFileName(record->histories.size()));
    }
    return {};
  }

  Result<replay::Record> Collect(const service::StartedRun& run, const std::string& plan, const RunScript& script) const {
    LOCKSTEP_ASSIGN(const Chain chain, FetchChain(run));
    return Assemble(run, plan, script, "temporal", Pointers(chain));
  }

  Result<replay::Record> Assemble(const service::StartedRun& run, const std::string& plan, const RunScript& script, const std::string& adapter,
                                  const std::vector<const History*>& histories) const {
    replay::Record record;
    record.plan = plan;
    record.input = run.input;
    Json files = Json::MakeArray();
    LOCKSTEP_TRY(KeepHistories(histories, &record, &files));
    LOCKSTEP_ASSIGN(record.events, Events(run.run_id));
    LOCKSTEP_TRY(CollectArtifacts(&record));
    record.manifest = Json::MakeObject({{"formatVersion", kRecordFormatVersion},
                                        {"tool", "lockstep"},
                                        {"toolVersion", LOCKSTEP_VERSION},
                                        {"buildId", LOCKSTEP_VERSION},
                                        {"adapter", adapter},
                                        {"planSha256", Sha256Hex(plan)},
                                        {"inputSha256", Sha256Hex(CanonicalJson(run.input))},
                                        {"planId", run.plan_ref.GetString("planId")},
                                        {"planVersion", run.plan_ref.GetString("planVersion")},
                                        {"workflowType", interpreter::kWorkflowType},
                                        {"workflowId", run.workflow_id},
                                        {"runId", run.run_id},
                                        {"histories", std::move(files)}});
    if (!script.claimed_sha256.empty()) record.manifest.Set("claimedSha256", script.claimed_sha256);
    if (!script.source.is_null()) record.manifest.Set("script", script.source);
    for (const auto& [change, version] : options_.version_pins) {
      if (record.manifest.Find("asOf") == nullptr) record.manifest.Set("asOf", Json::MakeObject());
      record.manifest.Find("asOf")->Set(change, version);
    }
    return record;
  }

  Status CollectArtifacts(replay::Record* record) const {
    for (const state::EventRecord& event : record->events) {
      const Json* refs = event.payload.Find("artifactRefs");
      if (refs == nullptr || !refs->is_array()) continue;
      for (const Json& ref : refs->AsArray()) {
        const std::string digest = ref.GetString("sha256");
        if (digest.empty() || record->artifacts.contains(digest)) continue;
        auto bytes = home_.artifacts->Get(ref.GetString("uri"), kMaxArtifactBytes);
        // An artifact of a foreign worker lies elsewhere; its reference is in the log.
        if (bytes) record->artifacts.emplace(digest, std::move(*bytes));
      }
    }
    return {};
  }

  // Replays the raw record, takes over lines and snapshots, and writes the whole.
  Result<RecordedRun> Write(replay::Record record, const fs::path& directory, bool replace) {
    LOCKSTEP_ASSIGN(const auto folder, TemporaryDirectory::Create("lockstep-verify"));
    LOCKSTEP_TRY(WriteRecord(record, folder.path() / "raw"));
    BatchOptions batch;
    batch.registry = options_.workflows != nullptr ? options_.workflows : &interpreter_;
    batch.keep_commands = true;
    const ReplayReport report = ReplayOne((folder.path() / "raw").string(), batch);
    if (report.error) return Fail("RECORD_NOT_REPRODUCIBLE", "the recorded run cannot be read back: " + report.error->ToString());
    if (report.verdict != Verdict::kIdentical) {
      std::string first = report.divergences.empty() ? std::string("no difference named") : report.divergences.front().Summary();
      return Fail("RECORD_NOT_REPRODUCIBLE", "the recorded run does not replay on this build: " + first);
    }
    for (size_t execution = 0; execution < report.command_rows.size(); ++execution) {
      for (const CommandRow& row : report.command_rows[execution]) {
        record.commands.push_back({static_cast<int>(execution) + 1, row.task_started_id, row.event_id, row.identity, row.digest, row.where});
      }
    }
    record.snapshots = report.snapshots;
    record.manifest.Set("status", report.status);
    record.manifest.Set("snapshotHash", report.snapshot_hash);
    record.manifest.Set("outcomeHash", report.outcome_hash);
    LOCKSTEP_TRY(WriteRecord(record, directory, replace));
    return RecordedRun{directory,           record.manifest.GetString("runId"), report.status, report.snapshot_hash,
                       report.outcome_hash, report.executions,                 report.events, report.engine_events};
  }

  RecorderOptions options_;
  workflow::WorkflowRegistry interpreter_;
  std::optional<TemporaryDirectory> scratch_;
  service::EngineHome home_;
  std::unique_ptr<provider::DevServer> server_;
  provider::ConnectionOptions connection_;
  std::unique_ptr<provider::Client> client_;
  std::unique_ptr<service::RunService> runs_;
  std::unique_ptr<ChildWorker> worker_;
};

Recorder::Recorder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Recorder::~Recorder() = default;

Result<std::unique_ptr<Recorder>> Recorder::Open(RecorderOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  LOCKSTEP_TRY(impl->Open());
  return std::unique_ptr<Recorder>(new Recorder(std::move(impl)));
}

Result<RecordedRun> Recorder::Record(const std::string& plan, const RunScript& script, const std::filesystem::path& directory, bool replace) {
  return impl_->Record(plan, script, directory, replace);
}

Result<RecordedRun> Recorder::RecordWorkflow(const WorkflowRequest& request, const std::filesystem::path& directory, bool replace) {
  return impl_->RecordWorkflow(request, directory, replace);
}

}  // namespace lockstep::replay
