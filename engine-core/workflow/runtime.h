// The inside of an execution, shared by the driver side (execution.cpp) and the workflow API (wf.cpp). Not for users.
// Everything runs on one logical thread: the FIFO ready queue, the conditions in the order they began to wait, and the
// command machines in the order they were issued are the only schedulers there are.
#pragma once

#include <google/protobuf/arena.h>
#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/failure/v1/message.pb.h>
#include <temporal/api/history/v1/message.pb.h>
#include <temporal/api/protocol/v1/message.pb.h>
#include <temporal/api/update/v1/message.pb.h>

#include <atomic>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine-core/base/result.h"
#include "engine-core/workflow/execution.h"
#include "engine-core/workflow/frame_arena.h"
#include "engine-core/workflow/machines.h"
#include "engine-core/workflow/markers.h"
#include "engine-core/workflow/match.h"
#include "engine-core/workflow/random.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::workflow {

// A scope of cancellation. Members are cancelled in the order they joined.
struct ScopeState : std::enable_shared_from_this<ScopeState> {
  bool cancelled = false;
  // Each is told the line that cancelled; line 0 when the cancellation came from outside.
  std::map<uint64_t, std::function<void(std::source_location)>> members;
  std::vector<std::weak_ptr<ScopeState>> children;

  std::shared_ptr<ScopeState> MakeChild();
  void Cancel(std::source_location where);
};

namespace internal {

// Thrown out of a wf:: call once the workflow task has gone on for too long; nothing of the API catches it.
struct Spinning {};

// What a machine tells the code when it ends: an event of the history, or a local activity's outcome, or that its scope was
// cancelled (neither).
struct MachineOutcome {
  MachineInput input = MachineInput::kCancel;
  const HistoryEvent* event = nullptr;
  const LocalActivityOutcome* local = nullptr;
  int32_t attempt = 0;
};

struct LocalActivityState {
  bool default_id = false;
  uint32_t sequence = 0;  // in the common core's count
  std::string type;
  Payloads input;
  LocalActivityOptions options;
  std::string input_digest;
  int32_t attempt = 1;
  UnixMillis first_scheduled = 0;
};

struct UpdateState;

struct Machine {
  const CommandKindSpec* spec = nullptr;
  MachineState state = MachineState::kCreated;
  CancelMode mode = CancelMode::kAny;
  std::string id;
  int64_t event_id = 0;   // of the command event, once bound
  int32_t attempt = 0;    // from the started event
  std::source_location where;
  std::weak_ptr<ScopeState> scope;
  uint64_t scope_key = 0;
  bool resolved = false;
  std::function<void(const MachineOutcome&)> resolve;
  std::function<void(const HistoryEvent&)> tell_started;
  std::unique_ptr<LocalActivityState> local;
  // A child's: the request to cancel it, and what that needs to know.
  Machine* cancellation = nullptr;
  std::string child_run_id;
  std::string child_namespace;
  std::shared_ptr<UpdateState> update;
};

// An update from its arrival to its outcome.
struct UpdateState {
  std::string id;
  std::string message_id;
  int64_t sequencing_event_id = 0;
  temporal::api::update::v1::Request request;
  bool validate = false;  // a replay knows that it was accepted
  Machine* machine = nullptr;
  temporal::api::update::v1::Response response;
  temporal::api::update::v1::Rejection rejection;
};

// One entry of the open task's command list.
struct Issued {
  Command* command = nullptr;
  Machine* machine = nullptr;
  bool second = false;  // the machine's second command: a cancellation, or an update's outcome
  bool withdrawn = false;
  std::source_location where;
};

// The predicate lives in the frame that waits.
struct Condition {
  const std::function<bool()>* predicate = nullptr;
  PromiseBase* waiter = nullptr;
};

// What code called by the runtime may do. Signal handlers change state only, predicates and query handlers not even that
// (spec 04 section 7); a breach would pass unseen here and break the replay of another build.
enum class Allowed : uint8_t { kEverything, kNoCommands, kReadOnly };

struct RecordedVersion {
  int version = 0;
  bool attribute_updated = true;  // older histories of other SDKs have the marker alone
  const HistoryEvent* event = nullptr;
  bool patch = false;             // in the common core's dialect
  bool deprecated = false;
};

struct MutableValue {
  int64_t calls = 0;
  std::optional<Json> value;
};

class Runtime final : public Execution {
 public:
  Runtime(const WorkflowRegistry& registry, ExecutionIdentity identity, ExecutionOptions options);
  ~Runtime() override;

  // The execution whose code runs on this thread (checked: there is one).
  static Runtime& Current();

  // --- Execution
  void Activate(const TaskSlice& slice) override;
  void Complete(const HistoryEvent& completed, std::span<const HistoryEvent* const> recorded) override;
  std::vector<IssuedCommand> commands() const override;
  std::vector<Command> TakeCommands() override;
  std::vector<temporal::api::protocol::v1::Message> TakeMessages() override;
  const WorkflowConventions& conventions() const override { return conventions_; }
  std::vector<LocalActivityRequest> TakeLocalActivityRequests() override;
  std::vector<std::string> TakeLocalActivityCancellations() override;
  bool HasPendingLocalActivities() const override { return !pending_local_.empty() && !Over(); }
  void ResolveLocalActivity(LocalActivityOutcome outcome) override;
  Result<std::unique_ptr<Payloads>> Query(std::string_view name, const Payloads& args) override;
  bool closed() const override { return closed_; }
  const std::vector<Divergence>& divergences() const override { return divergences_; }
  bool diverged() const override { return diverged_; }
  const temporal::api::failure::v1::Failure* broken() const override { return broken_.get(); }
  std::source_location CurrentLocation() const override;
  std::string_view workflow_type() const override { return info_.workflow_type; }
  const ExecutionIdentity& identity() const override { return identity_; }
  int64_t last_started_event_id() const override { return info_.history_length; }
  std::vector<std::string> PendingWork() const override;
  std::vector<PendingCommand> PendingCommands() const override;
  std::vector<AwaitPoint> AwaitPoints() const override;

  // --- for the coroutine machinery
  FrameArena& arena() { return arena_; }
  void MakeReady(PromiseBase* waiter) { ready_.push_back(waiter); }
  PromiseBase* running() const { return running_; }
  void set_running(PromiseBase* promise) { running_ = promise; }
  void LinkCoroutine(PromiseBase* promise);
  void UnlinkCoroutine(PromiseBase* promise);
  const std::shared_ptr<ScopeState>& root_scope() const { return root_scope_; }
  std::shared_ptr<ScopeState> CurrentScope() const;
  void Spawn(Task<void> task);

  // --- for the workflow API
  Command* NewCommand() { return google::protobuf::Arena::CreateMessage<Command>(command_arena_.get()); }
  // Puts `command` into the open task. The machine lives until the execution ends.
  Machine* Issue(CommandKind kind, Command* command, std::string id, std::source_location where,
                 std::function<void(const MachineOutcome&)> resolve = {}, CancelMode mode = CancelMode::kAny,
                 std::shared_ptr<ScopeState> scope = nullptr);
  Machine* RequestLocal(std::unique_ptr<LocalActivityState> local, std::string id, std::source_location where,
                        std::function<void(const MachineOutcome&)> resolve);
  void CancelMachine(Machine* machine, std::source_location where);
  uint64_t AddCondition(Condition condition);
  // False when it was met before: its waiter is on the way already.
  bool RemoveCondition(uint64_t key) { return conditions_.erase(key) > 0; }
  // The common core counts activities and local activities together.
  std::string NextId(CommandKind kind) { return std::to_string(NextSequence(kind)); }
  uint64_t NextSequence(CommandKind kind) {
    if (kind == CommandKind::kLocalActivity && conventions_.common_core) kind = CommandKind::kActivity;
    return ++sequence_[static_cast<size_t>(kind)];
  }
  // The id asked for, or the next number; the common core counts also where it is given one.
  std::string IdFor(CommandKind kind, const std::string& given, uint32_t* sequence = nullptr) {
    if (!given.empty() && !conventions_.common_core) return given;
    const uint64_t number = NextSequence(kind);
    if (sequence != nullptr) *sequence = static_cast<uint32_t>(number);
    return given.empty() ? std::to_string(number) : given;
  }
  bool Holds(const std::function<bool()>& predicate);
  // Counts progress; throws Spinning past the limit of one workflow task.
  void CountStep();
  void NoteSpawnedDone() { ++spawned_done_; }
  void NoteSpawnedThrew() { BreakWithCurrentException(); }
  void NoteHandler(int change) { running_handlers_ += change; }
  int64_t running_handlers() const { return running_handlers_; }
  void NoteLocation(std::source_location where);
  int GetVersion(std::string_view change_id, int min, int max, std::source_location where);
  void UpdateVersionAttribute(std::source_location where);
  bool Patched(std::string_view patch_id, bool deprecated, std::source_location where);
  Json SideEffect(const std::function<Json()>& produce, std::source_location where);
  Json MutableSideEffect(std::string_view id, const std::function<Json()>& produce, std::source_location where);
  void SetUpdateHandler(std::string_view name, UpdateHandler handler);
  void SetSignalHandler(std::string_view name, std::function<void(const Payloads&)> handler);
  void SetDefaultSignalHandler(std::function<void(std::string_view, const Payloads&)> handler);
  void SetQueryHandler(std::string_view name, std::function<Result<Json>(const Json::Array&)> handler);
  void UpsertAttributes(const std::vector<SearchAttribute>& attributes, std::source_location where);
  Random& random();
  UnixMillis now() const { return now_; }
  const WorkflowInfo& info() const { return info_; }
  const Payloads& last_result() const { return last_result_; }
  const std::shared_ptr<const temporal::api::failure::v1::Failure>& last_failure() const { return last_failure_; }
  bool replaying() const { return replaying_; }
  const ExecutionOptions& options() const { return options_; }
  uint64_t NextScopeKey() { return ++scope_key_; }

 private:
  bool Over() const { return closed_ || broken_ != nullptr || diverged_; }
  // Throws std::logic_error where the code may not do `what`.
  void Require(Allowed least, std::string_view what) const;
  void StartFirst(const HistoryEvent& event);
  void BeginMain();
  void LoadLookahead(const TaskSlice& slice);
  void ApplyEvent(const HistoryEvent& event);
  void FillInfo(const HistoryEvent& event);
  void LoadMarker(const HistoryEvent& event, const HistoryEvent* next);
  void DeliverMessages(const TaskSlice& slice);
  void DeliverSignal(const std::string& name, const Payloads& input);
  void DeliverUpdate(std::shared_ptr<UpdateState> update);
  std::vector<std::shared_ptr<UpdateState>> UpdatesOf(const TaskSlice& slice);
  Task<void> RunSignal(std::string name, Payloads input);
  Task<void> RunUpdate(std::shared_ptr<UpdateState> update);
  // False when it was rejected.
  bool Admit(const std::shared_ptr<UpdateState>& update, const UpdateHandler& handler);
  void Reject(const std::shared_ptr<UpdateState>& update, const Error& error);
  void RejectUnknownUpdates();
  void EmitAnswer(Machine* machine);
  void AddMessage(const UpdateState& update, std::string_view suffix, const google::protobuf::Message& body);
  Command* EndCommand(WorkflowResult result, CommandKind* kind);
  void Drain();
  bool EvaluateConditions();
  void ResumeNext();
  void FinishRoot();
  void SweepSpawned();
  void Close();
  void ReplayLocalActivities();
  void Step(Machine* machine, MachineInput input, const HistoryEvent* event, const LocalActivityOutcome* local);
  void ApplyEffects(Machine* machine, const Transition& row, const MachineOutcome& outcome);
  void EmitCancel(Machine* machine);
  void EmitChildCancel(Machine* machine);
  void EmitLocalMarker(Machine* machine, const LocalActivityOutcome& outcome);
  void StartBackOff(Machine* machine, const LocalActivityOutcome& outcome);
  void Withdraw(Machine* machine, bool cancellation);
  void JoinScope(Machine* machine, const std::shared_ptr<ScopeState>& scope);
  void LeaveScope(Machine* machine);
  void Break(std::string code, std::string message);
  void BreakWithCurrentException();
  void ReportSpinning();
  void Report(Divergence divergence);
  Divergence Describe(DivergenceKind kind, const HistoryEvent* event, const Issued* issued) const;

  // Matching of the open task's commands with what the history recorded.
  void Pair(const Issued& issued, const HistoryEvent& event, const HistoryEvent& completed);
  void ReportUnfinishedLocalActivities(const HistoryEvent& completed);
  void ReportMisalignment(std::span<const Issued* const> issued, std::span<const HistoryEvent* const> recorded,
                          const HistoryEvent& completed, const Issued* before);
  void ReportSurplus(const Issued& issued, const CommandIdentity& identity, const HistoryEvent& completed);
  const HistoryEvent* RecordedLater(const Command& command) const;

  const WorkflowRegistry& registry_;
  ExecutionIdentity identity_;
  ExecutionOptions options_;
  FrameArena arena_;
  WorkflowInfo info_;
  Random random_;
  UnixMillis now_ = 0;
  bool replaying_ = false;
  WorkflowConventions conventions_;
  bool single_batch_ = false;  // the recording SDK says that it applied messages and other events together
  bool continued_at_once_ = true;  // the slice being run, see TaskSlice
  std::source_location last_issued_where_;
  bool started_ = false;
  bool start_pending_ = false;  // the code stands, its main coroutine has not begun
  bool closed_ = false;
  bool diverged_ = false;
  bool skipped_ = false;  // the open task was not run: an earlier one diverged or broke
  Allowed allowed_ = Allowed::kEverything;
  FieldContext field_context_;
  std::unique_ptr<temporal::api::failure::v1::Failure> broken_;
  std::vector<Divergence> divergences_;

  std::unique_ptr<std::byte[]> command_block_;  // what the arena starts with after each reset
  std::unique_ptr<google::protobuf::Arena> command_arena_;
  std::shared_ptr<const std::vector<const HistoryEvent*>> history_commands_;  // of the cut that the open task came from
  int64_t task_end_id_ = 0;                                                  // last event of the task being matched
  std::vector<Issued> issued_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::unordered_map<int64_t, Machine*> by_event_id_;  // found by key only, never walked
  std::array<uint64_t, static_cast<size_t>(CommandKind::kCount_)> sequence_{};
  uint64_t side_effects_ = 0;

  std::vector<Machine*> local_requests_;           // asked for and not yet taken by the driver
  std::map<std::string, Machine*> pending_local_;  // by activity id
  std::vector<std::string> local_cancellations_;
  std::deque<const HistoryEvent*> recorded_local_;  // markers of the task being replayed, in order
  const HistoryEvent* replayed_marker_ = nullptr;   // the one whose outcome is being handed in
  const LocalActivityMarker* replayed_data_ = nullptr;  // read from it
  std::map<std::string, RecordedVersion, std::less<>> recorded_versions_;
  std::map<std::string, int, std::less<>> versions_;
  std::set<std::string, std::less<>> versions_out_of_range_;  // each is reported once
  std::map<int64_t, Json> recorded_side_effects_;
  std::map<std::pair<std::string, int64_t>, Json> recorded_mutable_;  // by id and call, of the task being replayed
  std::map<std::string, MutableValue, std::less<>> mutable_values_;
  std::set<std::string, std::less<>> patches_;  // that have a marker

  std::map<std::string, std::function<void(const Payloads&)>, std::less<>> signal_handlers_;
  std::function<void(std::string_view, const Payloads&)> default_signal_handler_;
  std::deque<std::pair<std::string, Payloads>> buffered_signals_;
  std::map<std::string, std::function<Result<Json>(const Json::Array&)>, std::less<>> query_handlers_;
  std::map<std::string, std::shared_ptr<const UpdateHandler>, std::less<>> update_handlers_;
  std::vector<std::shared_ptr<UpdateState>> waiting_updates_;  // without a handler so far
  struct AdmittedUpdate {
    temporal::api::update::v1::Request request;
    int64_t event_id = 0;
  };
  std::map<std::string, AdmittedUpdate> admitted_updates_;
  std::vector<temporal::api::protocol::v1::Message> messages_;  // of the open task
  int64_t running_handlers_ = 0;
  Payloads last_result_;
  std::shared_ptr<const temporal::api::failure::v1::Failure> last_failure_;

  std::shared_ptr<ScopeState> root_scope_;
  uint64_t scope_key_ = 0;
  std::source_location cancelled_at_;  // of the cancellation under way
  std::deque<PromiseBase*> ready_;
  std::map<uint64_t, Condition> conditions_;
  uint64_t next_condition_ = 0;
  PromiseBase* running_ = nullptr;
  PromiseBase* oldest_ = nullptr;  // all coroutines, in the order they were made
  PromiseBase* newest_ = nullptr;
  uint64_t resumptions_ = 0;
  std::atomic<std::source_location> location_{std::source_location()};  // read by a watchdog on another thread

  Payloads input_;
  Task<WorkflowResult> root_;
  uint64_t spawned_done_ = 0;
  std::list<Task<void>> spawned_;  // destroyed before the arena, after everything that points into frames
};

// The execution whose code runs on this thread. One logical thread per workflow: set for the length of a call, never shared.
extern thread_local Runtime* current_runtime;

class EnterRuntime {
 public:
  explicit EnterRuntime(Runtime* runtime) : before_(std::exchange(current_runtime, runtime)) {}
  ~EnterRuntime() { current_runtime = before_; }
  EnterRuntime(const EnterRuntime&) = delete;
  EnterRuntime& operator=(const EnterRuntime&) = delete;

 private:
  Runtime* before_;
};

// Narrows what a handler may do for as long as it runs.
class Narrow {
 public:
  Narrow(Allowed* allowed, Allowed now) : allowed_(allowed), before_(std::exchange(*allowed, std::max(*allowed, now))) {}
  ~Narrow() { *allowed_ = before_; }
  Narrow(const Narrow&) = delete;
  Narrow& operator=(const Narrow&) = delete;

 private:
  Allowed* allowed_;
  Allowed before_;
};

// In wf.cpp, with the options of the other commands.
void FillContinueAsNew(WorkflowResult result, const WorkflowInfo& info,
                       temporal::api::command::v1::ContinueAsNewWorkflowExecutionCommandAttributes* next);

inline constexpr std::string_view kVersionAttribute = "TemporalChangeVersion";
inline constexpr std::string_view kUpdateRejectSuffix = "/reject";

}  // namespace internal
}  // namespace lockstep::workflow
