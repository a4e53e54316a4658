// The workflows of the interop suite in C++; workflows.py has the same ones in Python, and the two must stay alike: what one
// side recorded, the other replays.
#include <algorithm>

#include "engine-core/authoring/lockstep.h"

namespace {

constexpr int64_t kSoon = 20'000;

const wf::Activity<std::string(std::string, std::string)> kCompose{"compose", {.start_to_close_ms = kSoon}};
const wf::Activity<int64_t(int64_t)> kDouble{"double", {.start_to_close_ms = kSoon}};
const wf::Activity<std::string(std::string)> kRefuse{"refuse", {.start_to_close_ms = kSoon}};
const wf::Activity<int64_t(int64_t)> kShaky{"shaky", {.start_to_close_ms = kSoon}};
const wf::Activity<std::string()> kLinger{"linger", {.start_to_close_ms = kSoon}};

// --- activities ----------------------------------------------------------------------------------------------------------

std::string Compose(std::string greeting, std::string name) { return greeting + ", " + name + "!"; }
int64_t Double(int64_t value) { return value * 2; }
lockstep::Result<std::string> Refuse(std::string reason) { return lockstep::Fail("REFUSED", "refused: " + reason); }
lockstep::Result<int64_t> Shaky(lockstep::activity::ActivityContext& context, int64_t until) {
  const int attempt = context.info().attempt;
  if (attempt < until) return std::unexpected(lockstep::Error("SHAKY", "attempt " + std::to_string(attempt), true));
  return attempt;
}
lockstep::Result<std::string> Linger(lockstep::activity::ActivityContext& context) {
  while (!context.WaitForCancellation(50)) context.Heartbeat(lockstep::Json());
  return lockstep::Fail("CANCELLED", "told to stop");
}
LOCKSTEP_REGISTER_ACTIVITY("compose", Compose)
LOCKSTEP_REGISTER_ACTIVITY("double", Double)
LOCKSTEP_REGISTER_ACTIVITY("refuse", Refuse)
LOCKSTEP_REGISTER_ACTIVITY("shaky", Shaky)
LOCKSTEP_REGISTER_ACTIVITY("linger", Linger)

// --- workflows -----------------------------------------------------------------------------------------------------------

class Greet {
 public:
  wf::Task<wf::Outcome<std::string>> Run(std::string name) {
    const wf::RetryOptions retry{.initial_interval_ms = 50, .backoff_coefficient = 1.5, .max_interval_ms = 0, .max_attempts = 4,
                                 .non_retryable_types = {"NEVER"}};
    const auto compose = kCompose.with({.start_to_close_ms = kSoon, .schedule_to_close_ms = kSoon, .heartbeat_ms = 5'000, .retry = retry,
                                        .summary = "the only step", .priority = {.key = 2}});
    co_return co_await compose("Hello", name);
  }
};
LOCKSTEP_REGISTER_WORKFLOW(Greet, "greet", wf::CommonCore())

class FanOut {
 public:
  wf::Task<wf::Outcome<std::vector<int64_t>>> Run(int64_t count) {
    std::vector<wf::ActivityFuture<int64_t>> calls;
    for (int64_t i = 0; i < count; ++i) calls.push_back(kDouble(i));
    std::vector<int64_t> values;
    for (const auto& outcome : co_await wf::all_of(calls)) {
      if (!outcome) co_return outcome.failed();
      values.push_back(*outcome);
    }
    const wf::RetryOptions retry{.initial_interval_ms = 20, .max_interval_ms = 0, .max_attempts = 0};
    const auto attempts = co_await kShaky.with({.start_to_close_ms = kSoon, .retry = retry})(2);
    if (!attempts) co_return attempts.failed();
    values.push_back(*attempts);
    co_return values;
  }
};
LOCKSTEP_REGISTER_WORKFLOW(FanOut, "fan_out", wf::CommonCore())

class FailsByActivity {
 public:
  wf::Task<wf::Outcome<wf::Unit>> Run(std::string reason) {
    const auto outcome = co_await kRefuse(reason);
    if (!outcome) co_return outcome.failed();
    co_return wf::Unit{};
  }
};
LOCKSTEP_REGISTER_WORKFLOW(FailsByActivity, "fails_by_activity", wf::CommonCore())

class FailsByItself {
 public:
  wf::Task<wf::Outcome<std::string>> Run(bool) {
    const auto outcome = co_await kRefuse("caught");
    if (outcome) co_return std::string("unreachable");
    co_return wf::ApplicationFailure("GAVE_UP", "gave up after " + outcome.error().code, wf::EncodeAll(lockstep::Json::MakeObject({{"left", 3}})))
        .Because(outcome.failed());
  }
};
LOCKSTEP_REGISTER_WORKFLOW(FailsByItself, "fails_by_itself", wf::CommonCore())

class Timers {
 public:
  void Open() { opened_ = true; }
  bool Waiting() const { return at_the_gate_; }
  wf::Task<std::vector<std::string>> Run() {
    std::vector<std::string> log;
    co_await wf::sleep(50);
    log.push_back("slept");
    if (!co_await wf::wait_until([] { return false; }, 80)) log.push_back("timed out");
    co_await wf::sleep(30, "a short one");
    at_the_gate_ = true;
    if (co_await wf::wait_until([this] { return opened_; }, kSoon)) log.push_back("opened");
    co_return log;
  }

 private:
  bool opened_ = false;
  bool at_the_gate_ = false;
};
LOCKSTEP_REGISTER_WORKFLOW(Timers, "timers", wf::CommonCore(), wf::Signal("open", &Timers::Open), wf::Query("waiting", &Timers::Waiting))

struct Mail {
  std::vector<std::string> letters;
  std::vector<int64_t> doubled;
};

}  // namespace
LOCKSTEP_JSON(Mail, letters, doubled)
namespace {

class Mailbox {
 public:
  void Letter(std::string text, int64_t weight) { mail_.letters.push_back(text + ":" + std::to_string(weight)); }
  wf::Task<void> Work(int64_t value) {
    const auto outcome = co_await kDouble(value);
    mail_.doubled.push_back(outcome.value_or(-1));
  }
  void Close() { closing_ = true; }
  int64_t Count() const { return static_cast<int64_t>(mail_.letters.size()); }
  lockstep::Result<std::string> Nth(size_t index) const {
    if (index >= mail_.letters.size()) return lockstep::Fail("NO_SUCH_LETTER", std::to_string(index));
    return mail_.letters[index];
  }
  wf::Task<Mail> Run() {
    co_await wf::wait_until([this] { return closing_ && wf::all_handlers_finished(); });
    std::sort(mail_.doubled.begin(), mail_.doubled.end());
    co_return mail_;
  }

 private:
  Mail mail_;
  bool closing_ = false;
};
LOCKSTEP_REGISTER_WORKFLOW(Mailbox, "mailbox", wf::CommonCore(), wf::Signal("letter", &Mailbox::Letter), wf::Signal("work", &Mailbox::Work),
                           wf::Signal("close", &Mailbox::Close), wf::Query("count", &Mailbox::Count), wf::Query("nth", &Mailbox::Nth))

class Account {
 public:
  int64_t Deposit(int64_t amount) { return balance_ += amount; }
  lockstep::Status CheckDeposit(int64_t amount) const {
    if (amount <= 0) return std::unexpected(lockstep::Error("BAD_AMOUNT", "cannot deposit " + std::to_string(amount), true));
    return {};
  }
  wf::Task<wf::Outcome<int64_t>> Invest(int64_t amount) {
    if (amount > balance_) co_return lockstep::Error("OVERDRAWN", "too much");
    balance_ -= amount;
    const auto gain = co_await kDouble(amount);
    if (!gain) co_return gain.failed();
    co_return balance_ += *gain;
  }
  void Fee(int64_t amount) { balance_ -= amount; }
  void Close() { closing_ = true; }
  int64_t Current() const { return balance_; }
  wf::Task<int64_t> Run() {
    co_await wf::wait_until([this] { return closing_ && wf::all_handlers_finished(); });
    co_return balance_;
  }

 private:
  int64_t balance_ = 0;
  bool closing_ = false;
};
LOCKSTEP_REGISTER_WORKFLOW(Account, "account", wf::CommonCore(), wf::Update("deposit", &Account::Deposit, &Account::CheckDeposit),
                           wf::Update("invest", &Account::Invest), wf::Signal("fee", &Account::Fee), wf::Signal("close", &Account::Close),
                           wf::Query("current", &Account::Current))

class EchoChild {
 public:
  wf::Task<wf::Outcome<std::string>> Run(std::string text) {
    co_await wf::sleep(20);
    if (text == "fail") co_return lockstep::Error("CHILD_FAILED", "child failed");
    for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    co_return text;
  }
};
LOCKSTEP_REGISTER_WORKFLOW(EchoChild, "echo_child", wf::CommonCore())

class PatientChild {
 public:
  void Stop(std::string word) { word_ = word; }
  wf::Task<std::string> Run() {
    co_await wf::wait_until([this] { return !word_.empty(); });
    co_return word_;
  }

 private:
  std::string word_;
};
LOCKSTEP_REGISTER_WORKFLOW(PatientChild, "patient_child", wf::CommonCore(), wf::Signal("stop", &PatientChild::Stop))

const wf::ChildOf<std::string(std::string)> kEchoChild{"echo_child"};
const wf::ChildOf<std::string()> kPatientChild{"patient_child"};

class Parent {
 public:
  wf::Task<wf::Outcome<std::vector<std::string>>> Run(std::string queue) {
    const std::string me = wf::info().workflow_id;
    std::vector<std::string> log;
    const auto first = co_await kEchoChild.with({.workflow_id = me + "/a", .task_queue = queue, .run_timeout_ms = 60'000,
                                                 .memo = lockstep::Json::MakeObject({{"kept", 1}}), .summary = "echoes"})("hello");
    if (!first) co_return first.failed();
    log.push_back(*first);
    const auto second = co_await kEchoChild.with({.workflow_id = me + "/b", .task_queue = queue})("fail");
    log.push_back(second ? "no failure" : second.error().code);
    const auto third = co_await kEchoChild.with(
        {.workflow_id = me + "/a", .task_queue = queue, .id_reuse = wf::IdReusePolicy::kRejectDuplicate})("again");
    log.push_back(!third && third.error().code == "WORKFLOW_ALREADY_STARTED" ? "already started" : "started");
    co_return log;
  }
};
LOCKSTEP_REGISTER_WORKFLOW(Parent, "parent", wf::CommonCore())

class SteeringParent {
 public:
  wf::Task<wf::Outcome<std::vector<std::string>>> Run(std::string queue) {
    const std::string me = wf::info().workflow_id;
    std::vector<std::string> log;
    const auto told = kPatientChild.with({.workflow_id = me + "/told", .task_queue = queue})();
    co_await told.started();
    co_await told.signal("stop", std::string("well done"));
    const auto word = co_await told;
    if (!word) co_return word.failed();
    log.push_back(*word);
    wf::CancelScope scope;
    const auto stopped = co_await scope.run(Start(me + "/stopped", queue));
    co_await stopped.started();
    co_await wf::sleep(20);
    scope.cancel();
    const auto end = co_await stopped;
    log.push_back(!end && end.error().code == "CANCELLED" ? "CancelledError" : "not cancelled");
    const auto left = kPatientChild.with({.workflow_id = me + "/left", .task_queue = queue, .parent_close = wf::ParentClosePolicy::kAbandon,
                                          .cancel = wf::CancelMode::kAbandon})();
    co_await left.started();
    co_return log;
  }

 private:
  static wf::Task<wf::Child<std::string>> Start(std::string id, std::string queue) {
    co_return kPatientChild.with({.workflow_id = id, .task_queue = queue, .cancel = wf::CancelMode::kWaitForCompletion})();
  }
};
LOCKSTEP_REGISTER_WORKFLOW(SteeringParent, "steering_parent", wf::CommonCore())

class Messenger {
 public:
  wf::Task<wf::Outcome<std::vector<std::string>>> Run(std::string friend_id, std::string foe_id) {
    std::vector<std::string> log;
    if (co_await wf::External(friend_id).signal("stop", std::string("from outside"))) log.push_back("signalled");
    if (co_await wf::External(foe_id).cancel()) log.push_back("cancelled");
    const auto lost = co_await wf::External("nobody-" + friend_id).signal("stop", std::string("lost"));
    if (!lost && lost.error().code == "WORKFLOW_NOT_FOUND") log.push_back("nobody there");
    co_return log;
  }
};
LOCKSTEP_REGISTER_WORKFLOW(Messenger, "messenger", wf::CommonCore())

class Counter {
 public:
  wf::Task<wf::WorkflowResult> Run(int64_t left, int64_t total) {
    co_await wf::sleep(10);
    if (left > 0) {
      co_return wf::continue_as_new(wf::EncodeAll(left - 1, total + left),
                                    {.memo = lockstep::Json::MakeObject({{"left", left}}), .inherit_build_id = true});
    }
    co_return wf::complete(total);
  }
};
LOCKSTEP_REGISTER_WORKFLOW(Counter, "counter", wf::CommonCore())

class Labelled {
 public:
  wf::Task<std::string> Run(std::string topic) {
    wf::upsert_search_attributes({{"CustomKeywordField", topic, "Keyword"}, {"CustomIntField", 7, "Int"}});
    wf::upsert_memo(lockstep::Json::MakeObject({{"note", "in work"}, {"step", 1}}));
    co_await wf::sleep(20);
    wf::upsert_search_attributes({{"CustomIntField", lockstep::Json(), "Int"}});
    wf::upsert_memo(lockstep::Json::MakeObject({{"note", lockstep::Json()}}));
    co_return topic;
  }
};
LOCKSTEP_REGISTER_WORKFLOW(Labelled, "labelled", wf::CommonCore())

class PatchedFlow {
 public:
  wf::Task<wf::Outcome<std::vector<std::string>>> Run() {
    std::vector<std::string> log;
    wf::deprecate_patch("old-gate");
    if (wf::patched("new-gate")) {
      const auto text = co_await kCompose("New", "way");
      if (!text) co_return text.failed();
      log.push_back(*text);
    } else {
      log.push_back("old way");
    }
    log.push_back(wf::patched("new-gate") ? "True" : "False");
    co_return log;
  }
};
LOCKSTEP_REGISTER_WORKFLOW(PatchedFlow, "patched_flow", wf::CommonCore())

const wf::LocalActivity<std::string(std::string, std::string)> kComposeHere{"compose", {.start_to_close_ms = kSoon}};
const wf::LocalActivity<int64_t(int64_t)> kDoubleHere{"double", {.start_to_close_ms = kSoon}};
const wf::LocalActivity<std::string(std::string)> kRefuseHere{"refuse", {.start_to_close_ms = kSoon, .retry = {.max_attempts = 1}}};
// Longer than a workflow task, so that it backs off by a timer.
const wf::LocalActivity<int64_t(int64_t)> kShakyHere{"shaky", {.start_to_close_ms = kSoon, .retry = {.initial_interval_ms = 100, .max_attempts = 0}, .timer_from_ms = 1}};

class LocalWork {
 public:
  wf::Task<wf::Outcome<lockstep::Json>> Run() {
    lockstep::Json log = lockstep::Json::MakeArray();
    const auto near = co_await kComposeHere("Near", "by");
    if (!near) co_return near.failed();
    log.Push(*near);
    const auto [one, two] = co_await wf::all_of(kDoubleHere(1), kDoubleHere(2));
    log.Push(one.value_or(0));
    log.Push(two.value_or(0));
    const auto refused = co_await kRefuseHere("near");
    log.Push(refused ? "no failure" : refused.error().code);
    const auto attempts = co_await kShakyHere(2);
    if (!attempts) co_return attempts.failed();
    log.Push(*attempts);
    co_return log;
  }
};
LOCKSTEP_REGISTER_WORKFLOW(LocalWork, "local_work", wf::CommonCore())

class NexusCaller {
 public:
  wf::Task<wf::Outcome<lockstep::Json>> Run(std::string endpoint) {
    const wf::NexusService calculator(endpoint, "calculator", {.schedule_to_close_ms = kSoon});
    lockstep::Json log = lockstep::Json::MakeArray();
    const auto triple = co_await calculator.call<int64_t>("triple", int64_t{14});
    if (!triple) co_return triple.failed();
    log.Push(*triple);
    const auto negative = co_await calculator.call<int64_t>("triple", int64_t{-1});
    log.Push(!negative && negative.error().code == "OperationError" ? "ApplicationError" : "no failure");
    wf::CancelScope scope;
    const auto waiting = co_await scope.run(Start(calculator));
    co_await waiting.started();
    co_await wf::sleep(20);
    scope.cancel();
    const auto end = co_await waiting;
    log.Push(!end && end.error().code == "CANCELLED" ? "CancelledError" : "not cancelled");
    co_return log;
  }

 private:
  static wf::Task<wf::Operation<std::string>> Start(wf::NexusService calculator) {
    co_return calculator.call<std::string>("wait", wf::info().workflow_id + "/wait");
  }
};
LOCKSTEP_REGISTER_WORKFLOW(NexusCaller, "nexus_caller", wf::CommonCore())

class Cancellable {
 public:
  int64_t CleanedUp() const { return cleaned_; }
  wf::Task<wf::Outcome<wf::Unit>> Run() {
    const auto outcome = co_await kLinger.with({.start_to_close_ms = kSoon, .heartbeat_ms = 10'000, .cancel = wf::CancelMode::kTryCancel})();
    co_await wf::detached(CleanUp());
    if (!outcome) co_return outcome.failed();
    co_return wf::Unit{};
  }

 private:
  wf::Task<void> CleanUp() { cleaned_ = (co_await kDouble(21)).value_or(-1); }
  int64_t cleaned_ = 0;
};
LOCKSTEP_REGISTER_WORKFLOW(Cancellable, "cancellable", wf::CommonCore(), wf::Query("cleaned_up", &Cancellable::CleanedUp))

class Stopwatch {
 public:
  wf::Task<std::string> Run() {
    wf::CancelScope scope;
    const auto linger = co_await scope.run(Start());
    co_await wf::sleep(300);
    scope.cancel();
    const auto outcome = co_await linger;
    co_return !outcome && outcome.error().code == "CANCELLED" ? "CancelledError" : "not cancelled";
  }

 private:
  static wf::Task<wf::ActivityFuture<std::string>> Start() {
    co_return kLinger.with({.start_to_close_ms = kSoon, .heartbeat_ms = 2'000, .cancel = wf::CancelMode::kWaitForCompletion})();
  }
};
LOCKSTEP_REGISTER_WORKFLOW(Stopwatch, "stopwatch", wf::CommonCore())

class SecondChance {
 public:
  wf::Task<wf::Outcome<int64_t>> Run() {
    co_await wf::sleep(10);
    if (wf::info().attempt < 2) co_return lockstep::Error("NOT_YET", "not yet", true);
    co_return wf::info().attempt;
  }
};
LOCKSTEP_REGISTER_WORKFLOW(SecondChance, "second_chance", wf::CommonCore())

class Tally {
 public:
  wf::Task<wf::Outcome<int64_t>> Run() {
    const auto before = lockstep::workflow::ReadFirstJson(wf::last_result());
    const int64_t count = before && before->is_int() ? before->AsInt() : 0;
    const bool failed = wf::last_failure() != nullptr;
    co_await wf::sleep(10);
    if (count == 2 && !failed) co_return lockstep::Error("TIRED", "two is enough", true);
    co_return count + (failed ? 10 : 1);
  }
};
LOCKSTEP_REGISTER_WORKFLOW(Tally, "tally", wf::CommonCore())

class Relay {
 public:
  wf::Task<wf::Outcome<lockstep::Json>> Run(std::string queue) {
    const auto number = co_await kDouble.with({.task_queue = queue, .start_to_close_ms = kSoon})(5);
    if (!number) co_return number.failed();
    const auto text = co_await kEchoChild.with({.workflow_id = wf::info().workflow_id + "/c", .task_queue = queue})("over there");
    if (!text) co_return text.failed();
    lockstep::Json log = lockstep::Json::MakeArray();
    log.Push(*number);
    log.Push(*text);
    co_return log;
  }
};
LOCKSTEP_REGISTER_WORKFLOW(Relay, "relay", wf::CommonCore())

}  // namespace
