#include <algorithm>
#include <deque>

#include "engine-core/workflow/testing/program.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::workflow::testing {
namespace {

constexpr const char* kOpNames[] = {"start-activity", "await-oldest", "await-any",      "sleep", "wait-signal", "wait-signal-or-time",
                                    "version",        "side-effect",  "local-activity", "await-local", "spawn", "scoped",
                                    "detached",       "attributes",   "memo",           "random", "child", "tell-others", "nexus", "patch",
                                    "mutable-value"};
static_assert(std::size(kOpNames) == static_cast<size_t>(Op::kCount_));

struct Machine {
  std::deque<Future<ActivityOutcome>> futures;
  int64_t signals = 0;
  int64_t awaited_signals = 0;
  int64_t sum = 0;
  int open_tasks = 0;
};

ActivityOptions Options(uint8_t argument) {
  ActivityOptions options;
  options.start_to_close_ms = 1'000 + argument * 10;
  options.cancel = argument % 3 == 0 ? CancelMode::kTryCancel : argument % 3 == 1 ? CancelMode::kWaitForCompletion : CancelMode::kAbandon;
  if (argument % 2 == 0) options.retry = RetryOptions{.max_attempts = argument % 5};
  return options;
}

int64_t Value(const ActivityOutcome& outcome) { return outcome.result ? 1 + outcome.attempt : 1'000; }

Task<void> Beside(std::shared_ptr<Machine> m, uint8_t argument) {
  const auto outcome = co_await execute_activity("beside", JsonPayloads(argument), Options(argument));
  m->sum += Value(outcome);
  co_await sleep(1 + argument);
  --m->open_tasks;
}

Task<void> Guarded(std::shared_ptr<Machine> m, uint8_t argument) {
  try {
    const auto outcome = co_await execute_activity("scoped", JsonPayloads(argument), Options(argument));
    m->sum += Value(outcome);
    co_await sleep(10);
  } catch (const Cancelled&) {
    m->sum += 7;
  }
  --m->open_tasks;
}

Task<void> Scoped(std::shared_ptr<Machine> m, uint8_t argument) {
  CancelScope scope;
  ++m->open_tasks;
  spawn(scope.run(Guarded(m, argument)));
  const int64_t before = m->signals;
  if (argument % 4 != 0) co_await wait_until([m, before] { return m->signals > before; }, 1'000);
  scope.cancel();
}

constexpr CancelMode kModes[] = {CancelMode::kTryCancel, CancelMode::kWaitForCompletion, CancelMode::kWaitForRequest, CancelMode::kAbandon};

Task<void> Raise(std::shared_ptr<Machine> m, std::string id, CancelMode mode) {
  const ChildOutcome outcome = co_await start_child_workflow("child", JsonPayloads(Json(id)), {.workflow_id = id, .cancel = mode}).result;
  m->sum += outcome.result ? 5 : static_cast<int64_t>(outcome.result.error().code.size());
  --m->open_tasks;
}

Task<void> WithChild(std::shared_ptr<Machine> m, int64_t at, uint8_t argument) {
  CancelScope scope;
  ++m->open_tasks;
  spawn(scope.run(Raise(m, "child-" + std::to_string(at), kModes[argument % 4])));
  const int64_t before = m->signals;
  if (argument % 8 != 0) co_await wait_until([m, before] { return m->signals > before; }, 1'000);
  scope.cancel();
}

Task<void> TellOthers(std::shared_ptr<Machine> m, int64_t at) {
  const auto told = signal_external("friend", {}, "hello-" + std::to_string(at), JsonPayloads(Json(at)));
  const auto stopped = cancel_external("foe-" + std::to_string(at), {}, "enough");
  const Status first = co_await told, second = co_await stopped;
  m->sum += (first ? 1 : 2) + (second ? 10 : 20);
}

Task<void> Operate(std::shared_ptr<Machine> m, uint8_t argument) {
  Payload input;
  SetJson(Json(argument), &input);
  const NexusOutcome outcome = co_await start_nexus_operation("end", "service", "work", input, {.cancel = kModes[argument % 4]}).result;
  m->sum += outcome.result ? 4 : 40;
}

Task<void> Step(std::shared_ptr<Machine> m, Instruction instruction, int64_t at) {
  const uint8_t argument = instruction.argument;
  const Payloads input = JsonPayloads(Json::MakeObject({{"at", at}, {"argument", static_cast<int>(argument)}}));
  switch (instruction.op) {
    case Op::kStartActivity: m->futures.push_back(execute_activity("work", input, Options(argument))); break;
    case Op::kAwaitOldest:
      if (m->futures.empty()) break;
      m->sum += Value(co_await m->futures.front());
      m->futures.pop_front();
      break;
    case Op::kAwaitAny: {
      if (m->futures.empty()) break;
      const size_t first = co_await first_of(std::vector(m->futures.begin(), m->futures.end()));
      m->sum += Value(m->futures[first].value()) * static_cast<int64_t>(first + 1);
      m->futures.erase(m->futures.begin() + static_cast<std::ptrdiff_t>(first));
      break;
    }
    case Op::kSleep: co_await sleep(argument); break;
    case Op::kWaitSignal: {
      const int64_t wanted = ++m->awaited_signals;
      co_await wait_until([m, wanted] { return m->signals >= wanted; });
      break;
    }
    case Op::kWaitSignalOrTime: {
      const int64_t before = m->signals;
      if (co_await wait_until([m, before] { return m->signals > before; }, 1 + argument)) m->sum += 3;
      break;
    }
    case Op::kVersion: m->sum += get_version("change-" + std::to_string(argument % 3), kDefaultVersion, argument % 3); break;
    case Op::kSideEffect: m->sum += side_effect([argument] { return Json(argument); }).AsInt(); break;
    case Op::kLocalActivity:
      m->futures.push_back(local_activity("local", input, {.activity_id = "local-" + std::to_string(at) + "-" + std::to_string(argument)}));
      break;
    case Op::kAwaitLocal: m->sum += Value(co_await local_activity("local", input)); break;
    case Op::kSpawn:
      ++m->open_tasks;
      spawn(Beside(m, argument));
      break;
    case Op::kScoped: co_await Scoped(m, argument); break;
    case Op::kDetached: co_await detached([](std::shared_ptr<Machine> inner, Payloads payloads) -> Task<void> {
        inner->sum += Value(co_await execute_activity("detached", payloads, Options(0)));
      }(m, input));
      break;
    case Op::kAttributes: upsert_attributes({{"runStatus", std::to_string(argument)}}); break;
    case Op::kMemo: upsert_memo(Json::MakeObject({{"step", at}})); break;
    case Op::kRandom:
      m->futures.push_back(execute_activity("work", JsonPayloads(Json(uuid4() + std::to_string(uniform(0, argument)))), Options(argument)));
      break;
    case Op::kChild: co_await WithChild(m, at, argument); break;
    case Op::kTellOthers: co_await TellOthers(m, at); break;
    case Op::kNexus: co_await Operate(m, argument); break;
    case Op::kPatch: m->sum += patched("patch-" + std::to_string(argument % 3)) ? 2 : 1; break;
    case Op::kMutableValue:
      m->sum += mutable_side_effect("value-" + std::to_string(argument % 2), [argument] { return Json(argument / 2); }).AsInt();
      break;
    case Op::kCount_: break;
  }
}

Task<WorkflowResult> Interpret(std::shared_ptr<const std::vector<Instruction>> program) {
  auto m = std::make_shared<Machine>();
  set_signal_handler("go", [m](const Payloads&) { ++m->signals; });
  set_update_handler("add", {.run = [m](const Payloads& input) -> Task<Outcome<Payloads>> {
                               const int64_t value = ReadFirstJson(input)->AsInt();
                               if (value % 2 == 1) m->sum += Value(co_await execute_activity("update", input, Options(0)));
                               m->sum += value;
                               co_return JsonPayloads(Json(m->sum));
                             },
                             .validate = [](const Payloads& input) -> Status {
                               return ReadFirstJson(input)->AsInt() % 4 == 3 ? Fail("REFUSED", "scripted") : Status();
                             }});
  bool was_cancelled = false;
  try {
    for (size_t i = 0; i < program->size(); ++i) co_await Step(m, (*program)[i], static_cast<int64_t>(i));
    co_await wait_until([m] { return m->open_tasks == 0; });
    while (!m->futures.empty()) {
      m->sum += Value(co_await m->futures.front());
      m->futures.pop_front();
    }
  } catch (const Cancelled&) {
    was_cancelled = true;
  }
  if (was_cancelled) {
    co_await detached([](std::shared_ptr<Machine> inner) -> Task<void> {
      inner->sum += Value(co_await execute_activity("clean-up", JsonPayloads(inner->sum), Options(0)));
    }(m));
    co_return cancelled(JsonPayloads(m->sum));
  }
  if (m->sum % 5 == 4) co_return continue_as_new(JsonPayloads(m->sum));
  if (m->sum % 5 == 3) co_return failed(Error("PERMANENT_STEP_ERROR", std::to_string(m->sum)));
  co_return completed(Json(m->sum));
}

// Bytes read one at a time; zeros at the end.
class Bytes {
 public:
  explicit Bytes(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  uint8_t Next() { return at_ < bytes_.size() ? bytes_[at_++] : 0; }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

void SettleActivity(HistoryScript* script, const std::string& id, uint8_t how) {
  switch (how % 8) {
    case 5: script->FailActivity(id, Error("PERMANENT_STEP_ERROR", "scripted"), 1 + how / 64); break;
    case 6: script->TimeOutActivity(id, temporal::api::enums::v1::TIMEOUT_TYPE_START_TO_CLOSE); break;
    case 7: script->CancelActivity(id); break;
    default: script->CompleteActivity(id, Json(how), 1 + how / 64); break;
  }
}

// What becomes of a child, a request or an operation; each choice of `how` is legal where it stands.
void Settle(HistoryScript* script, const HistoryScript::OpenRequest& request, uint8_t how) {
  using namespace temporal::api::enums::v1;  // NOLINT
  EventType type = EVENT_TYPE_UNSPECIFIED;
  switch (request.kind) {
    case CommandKind::kChildWorkflow: {
      constexpr EventType kEnds[] = {EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
                                     EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED};
      type = request.started ? kEnds[how % 4]
                             : (how % 8 == 7 ? EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED : EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED);
      break;
    }
    case CommandKind::kSignalExternal:
      type = how % 4 == 3 ? EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED : EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED;
      break;
    case CommandKind::kCancelExternal:
      type = how % 4 == 3 ? EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED : EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED;
      break;
    default: {
      constexpr EventType kEnds[] = {EVENT_TYPE_NEXUS_OPERATION_COMPLETED, EVENT_TYPE_NEXUS_OPERATION_FAILED, EVENT_TYPE_NEXUS_OPERATION_CANCELED,
                                     EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT};
      type = !request.started && how % 4 == 0 ? EVENT_TYPE_NEXUS_OPERATION_STARTED : kEnds[how % 4];
      break;
    }
  }
  script->Happen(type, request.id);
}

// One thing that happens; false when nothing can.
bool Happen(HistoryScript* script, uint8_t what, uint8_t which) {
  const auto activities = script->OpenActivities();
  const auto timers = script->OpenTimers();
  const auto requests = script->OpenRequests();
  if (what % 16 == 15) {
    script->RequestCancel();
  } else if (what % 16 == 13) {
    script->Update("update-" + std::to_string(script->history().events_size()) + "-" + std::to_string(which), "add", Json(which));
  } else if (!requests.empty() && what % 4 != 1) {
    Settle(script, requests[which % requests.size()], static_cast<uint8_t>(what / 4 + which));
  } else if (what % 4 == 1 || (activities.empty() && timers.empty())) {
    script->Signal("go", Json(which));
  } else if (!activities.empty() && (what % 4 != 2 || timers.empty())) {
    SettleActivity(script, activities[which % activities.size()], static_cast<uint8_t>(what / 4 + which));
  } else {
    // The server fires what is due first.
    script->FireTimer(timers[which % timers.size()]);
  }
  return true;
}

}  // namespace

std::string ToText(const std::vector<Instruction>& program) {
  std::string text;
  for (const Instruction& instruction : program) {
    text += std::string(text.empty() ? "" : ", ") + kOpNames[static_cast<size_t>(instruction.op)] + " " + std::to_string(instruction.argument);
  }
  return text;
}

std::vector<Instruction> ProgramFromBytes(std::span<const uint8_t> bytes, size_t max_length) {
  std::vector<Instruction> program;
  for (size_t i = 0; i + 1 < bytes.size() && program.size() < max_length; i += 2) {
    program.push_back({static_cast<Op>(bytes[i] % static_cast<uint8_t>(Op::kCount_)), bytes[i + 1]});
  }
  return program;
}

WorkflowRegistry OneWorkflow(WorkflowFunction function) {
  WorkflowRegistry registry;
  registry.Register("test", std::move(function));
  return registry;
}

WorkflowRegistry ProgramRegistry(std::vector<Instruction> program) {
  const auto shared = std::make_shared<const std::vector<Instruction>>(std::move(program));
  return OneWorkflow([shared](const Payloads&) { return Interpret(shared); });
}

LocalActivityScript ProgramLocalActivities() {
  return [](const LocalActivityRequest& request) {
    size_t mix = static_cast<size_t>(request.attempt) * 31;
    for (const char c : request.activity_id) mix = mix * 131 + static_cast<unsigned char>(c);
    LocalAnswer answer;
    answer.result = Json(static_cast<int64_t>(mix % 10));
    answer.takes_ms = static_cast<int64_t>(mix % 7) * 10;
    if (mix % 11 == 0) answer.takes_ms = 20'000;  // over some heartbeats
    if (mix % 5 == 0) answer.error = Error("TRANSIENT_STEP_ERROR", "scripted", true);
    if (mix % 10 == 0 && request.attempt < 4) answer.backoff_ms = 15'000;
    return answer;
  };
}

void Drive(HistoryScript* script, std::span<const uint8_t> decisions, int max_tasks) {
  Bytes bytes(decisions);
  for (int task = 0; task < max_tasks && !script->closed(); ++task) {
    const uint8_t how = bytes.Next();
    if (!script->task_scheduled()) {
      for (int i = how % 3; i >= 0; --i) {
        const uint8_t what = bytes.Next();
        Happen(script, what, bytes.Next());
      }
    }
    if (how % 16 == 7) script->FailWorkflowTask(temporal::api::enums::v1::WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED);
    if (how % 16 == 11) script->TimeOutWorkflowTask();
    if (how % 4 == 3) script->Evict();
    if (how % 8 == 5) {
      const uint8_t what = bytes.Next(), which = bytes.Next();
      script->DuringNextTask([script, what, which] { Happen(script, what, which); });
    }
    script->RunTask();
    if (!script->broken().empty()) return;
  }
}

}  // namespace lockstep::workflow::testing
