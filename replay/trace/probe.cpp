#include "replay/trace/probe.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <temporal/api/history/v1/message.pb.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <thread>

#include "engine-core/base/bytes.h"
#include "engine-core/base/sha256.h"
#include "engine-core/state/event.h"
#include "engine-core/state/snapshot.h"
#include "engine-core/workflow/execution.h"
#include "engine-core/workflow/match.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/slices.h"
#include "replay/history/pending.h"
#include "replay/session/batch.h"
#include "replay/trace/command_json.h"
#include "replay/trace/state_view.h"

namespace lockstep::replay {
namespace {

using workflow::Divergence;
using workflow::DivergenceKind;
using workflow::Grade;
using workflow::HistoryEvent;

std::string Chain(const std::string& before, std::string_view part) {
  return Sha256Hex(before + "|" + std::string(part));
}

std::vector<const HistoryEvent*> EventsOf(const history::LoadedHistory& loaded) {
  std::vector<const HistoryEvent*> events;
  for (const HistoryEvent& event : loaded.history->events()) events.push_back(&event);
  return events;
}

// --- inside the probe's process
// ------------------------------------------------------------------------------------------

// Where the code is, for the handlers below: they may only read.
std::atomic<const workflow::Execution*> running{nullptr};
std::atomic<int64_t> running_since{0};
int report_pipe = -1;

int64_t NowMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void WriteAll(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

// Said without allocating: the process may be in any state.
void ReportPlace(const char* what) {
  const workflow::Execution* execution = running.load();
  const std::source_location where = execution != nullptr ? execution->CurrentLocation() : std::source_location();
  char text[1024];
  const int length = std::snprintf(text, sizeof(text), "!%s\n%u\n%s\n%s\n", what, where.line(), where.file_name(),
                                   where.function_name());
  if (length > 0)
    WriteAll(report_pipe, std::string_view(text, std::min(sizeof(text) - 1, static_cast<size_t>(length))));
}

void OnCrash(int signal) {
  ReportPlace("crash");
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void CatchCrashes() {
  static char stack[64 * 1024];
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof(stack);
  ::sigaltstack(&alternate, nullptr);
  struct sigaction action{};
  action.sa_handler = OnCrash;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) ::sigaction(signal, &action, nullptr);
}

void WatchForSpinning(int64_t limit_ms) {
  if (limit_ms <= 0) return;
  std::thread([limit_ms] {
    while (true) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      const int64_t since = running_since.load();
      if (since == 0 || NowMillis() - since < limit_ms) continue;
      ReportPlace("spun");
      ::_exit(0);
    }
  }).detach();
}

// Memory that nobody gave a value gets one that no correct program depends on; later objects lie elsewhere.
void DisturbMemory() {
  ::mallopt(M_PERTURB, 0x5a);
  // Kept on purpose: the blocks shift what comes after them.
  static std::vector<std::unique_ptr<char[]>> kept;
  for (size_t i = 1; i <= 257; ++i) {
    kept.push_back(std::make_unique<char[]>(16 * (i * 7 % 61 + 1)));
    if (i % 3 == 0) kept[i / 3].reset();
  }
}

void DisturbEnvironment() {
  ::setenv("TZ", "Asia/Kathmandu", 1);
  ::tzset();
  for (const char* name : {"LC_ALL", "LANG"}) ::setenv(name, "C.UTF-8", 1);
  for (const char* locale : {"de_DE.UTF-8", "tr_TR.UTF-8", "C.UTF-8"}) {
    if (std::setlocale(LC_ALL, locale) != nullptr) break;
  }
  for (const char* name : {"HOSTNAME", "USER", "HOME", "LOGNAME", "PWD", "SHELL", "TMPDIR"})
    ::setenv(name, "elsewhere", 1);
}

void Apply(Condition condition) {
  if (condition == Condition::kEnvironment) DisturbEnvironment();
  if (condition == Condition::kMemory) DisturbMemory();
  // Long enough for a clock of seconds to move on.
  if (condition == Condition::kAgain) std::this_thread::sleep_for(std::chrono::milliseconds(1'050));
}

class PrefixReplay {
 public:
  PrefixReplay(const ReplayInput& input, const TaskPlan& plan, const ProbeOptions& options)
      : input_(input), plan_(plan), options_(options), log_(LogFor(input)) {}

  Json Run() {
    bool whole = true;
    for (size_t i = 0; i < input_.histories.size() && done_ < options_.tasks && whole; ++i) whole = RunExecution(i);
    if (options_.to_the_end) {
      ReplayReport report;
      report.divergences = divergences_;
      FinishReport(input_.record, whole, &log_, &report);
      divergences_ = std::move(report.divergences);
    }
    std::erase_if(divergences_, [&](const Divergence& divergence) { return !Counts(divergence); });
    return Result();
  }

 private:
  bool Counts(const Divergence& divergence) const {
    if (options_.from_seq <= 0) return true;
    return divergence.run_seq == 0 || divergence.run_seq >= options_.from_seq;
  }

  bool RunExecution(size_t position) {
    const auto lines = RecordedLines(input_, position);
    SessionOptions session;
    session.registry = options_.registry;
    session.identity = {"", input_.histories[position].info.workflow_id, input_.histories[position].info.run_id};
    session.recorded_lines = lines.empty() ? nullptr : &lines;
    session.on_activate = [](const workflow::Execution* execution) {
      running.store(execution);
      running_since.store(execution != nullptr ? NowMillis() : 0);
    };
    session.on_step = [this, position](const SessionStep& step) {
      if (step.matched) {
        ++done_;
        if (done_ + 1 == options_.tasks) began_ = AwaitsJson(step.execution);
        return done_ < options_.tasks;
      }
      NoteIssuers(step);
      // The commands are gone once they are matched; only the last task's are wanted, and the first task may be the
      // last.
      if (done_ + 1 == options_.tasks) NoteTask(position, step);
      return true;
    };
    SessionResult result = ReplayHistory(*input_.histories[position].history, session, &log_);
    bool changing = false;
    for (Divergence& divergence : result.divergences) {
      changing = changing || divergence.grade == Grade::kCommandChanging;
      divergences_.push_back(std::move(divergence));
    }
    return !changing && !(result.stopped && done_ < options_.tasks);
  }

  void NoteTask(size_t position, const SessionStep& step) {
    Json commands = Json::MakeArray(), recorded = Json::MakeArray(), awaits = Json::MakeArray();
    for (const workflow::IssuedCommand& issued : step.execution.commands()) {
      const workflow::SourceLine where = workflow::ToSourceLine(issued.where);
      Json command = CommandJson(*issued.command);
      if (where.known()) {
        command.Set("source", Json::MakeObject({{"file", where.file},
                                                {"line", static_cast<int64_t>(where.line)},
                                                {"function", where.function}}));
      }
      commands.Push(std::move(command));
    }
    for (const HistoryEvent* event : step.task.recorded) recorded.Push(CommandEventJson(*event));
    awaits = AwaitsJson(step.execution);
    messages_ = MessagesJson(step.task);
    detail_.Set("execution", Json::Size(position + 1))
        .Set("commands", std::move(commands))
        .Set("recorded", std::move(recorded));
    detail_.Set("awaits", std::move(awaits)).Set("began", std::move(began_));
  }

  static Json AwaitsJson(const workflow::Execution& execution) {
    Json awaits = Json::MakeArray();
    for (const AwaitView& view : AwaitViews(execution)) awaits.Push(ToJson(view));
    return awaits;
  }

  // A line is known by its place and the type of what it issues; what it issued last tells most.
  void NoteIssuers(const SessionStep& step) {
    for (const workflow::IssuedCommand& issued : step.execution.commands()) {
      const workflow::SourceLine where = workflow::ToSourceLine(issued.where);
      if (!where.known()) continue;
      const std::string type = CommandTypeName(*issued.command);
      issuers_[{where.file, where.line, type}] = {workflow::IdentityOf(*issued.command).ToString(), type, where};
    }
  }

  static Json MessagesJson(const workflow::TaskSlice& task) {
    Json messages = Json::MakeArray();
    for (const HistoryEvent* event : task.events) {
      Json message = Json::MakeObject();
      if (event->has_workflow_execution_signaled_event_attributes())
        message.Set("kind", "signal")
            .Set("name", PrintableUtf8(event->workflow_execution_signaled_event_attributes().signal_name()));
      else if (event->has_workflow_execution_cancel_requested_event_attributes())
        message.Set("kind", "cancel");
      else
        message.Set("kind", workflow::IdentityOf(*event).ToString()).Set("openedBy", history::OpenedBy(*event));
      messages.Push(std::move(message));
    }
    return messages;
  }

  Json Result() {
    const std::string expected = done_ == 0 ? std::string() : plan_.tasks[done_ - 1].expected_digest;
    std::string actual = expected;
    Json divergences = Json::MakeArray();
    for (const Divergence& divergence : divergences_) {
      divergences.Push(ToJson(divergence));
      actual = Chain(actual, divergence.command + divergence.field + divergence.actual);
    }
    Json events = Json::MakeObject();
    for (const state::EventRecord& record : log_.records()) {
      // Only what a difference may be about.
      for (const Divergence& divergence : divergences_) {
        if (divergence.run_seq == record.run_seq) events.Set(std::to_string(record.run_seq), state::ToJson(record));
      }
    }
    detail_.Set("engineEvents", std::move(events)).Set("runSeq", log_.last_seq());
    if (log_.comparable() && log_.last_seq() > 0) detail_.Set("snapshotHash", state::SnapshotHash(log_.snapshot()));
    return Json::MakeObject({{"tasks", Json::Size(done_)},
                             {"expectedDigest", expected},
                             {"actualDigest", actual},
                             {"divergences", std::move(divergences)},
                             {"issuers", IssuersJson()},
                             {"messages", std::move(messages_)},
                             {"detail", std::move(detail_)}});
  }

  const ReplayInput& input_;
  const TaskPlan& plan_;
  const ProbeOptions& options_;
  EngineLog log_;
  Json IssuersJson() const {
    Json issuers = Json::MakeArray();
    for (const auto& [place, issuer] : issuers_) {
      issuers.Push(Json::MakeObject({{"command", PrintableUtf8(issuer.command)},
                                     {"type", PrintableUtf8(issuer.type)},
                                     {"file", issuer.where.file},
                                     {"line", static_cast<int64_t>(issuer.where.line)},
                                     {"function", issuer.where.function}}));
    }
    return issuers;
  }

  size_t done_ = 0;
  std::vector<Divergence> divergences_;
  std::map<std::tuple<std::string, uint32_t, std::string>, Issuer> issuers_;
  Json detail_ = Json::MakeObject();
  Json began_ = Json::MakeArray();
  Json messages_ = Json::MakeArray();
};

[[noreturn]] void RunInChild(const ReplayInput& input, const TaskPlan& plan, const ProbeOptions& options) {
  CatchCrashes();
  WatchForSpinning(options.deadlock_ms);
  Apply(options.condition);
  std::string answer;
  try {
    answer = "=" + CanonicalJson(PrefixReplay(input, plan, options).Run());
  } catch (const std::exception& error) {
    answer = std::string("?") + error.what();
  }
  WriteAll(report_pipe, answer);
  ::_exit(0);
}

// --- outside
// -------------------------------------------------------------------------------------------------------------

// Everything the process says until it ends or its time is over.
std::string ReadAll(int descriptor, int64_t timeout_ms, bool* timed_out) {
  std::string text;
  const int64_t deadline = NowMillis() + timeout_ms;
  while (true) {
    pollfd wait{descriptor, POLLIN, 0};
    const int64_t left = deadline - NowMillis();
    if (left <= 0) {
      *timed_out = true;
      return text;
    }
    if (::poll(&wait, 1, static_cast<int>(std::min<int64_t>(left, 1'000))) <= 0) continue;
    char buffer[64 * 1024];
    const ssize_t got = ::read(descriptor, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
}

workflow::SourceLine LineFromJson(const Json* json) {
  if (json == nullptr || !json->is_object()) return {};
  return {json->GetString("file"), static_cast<uint32_t>(json->GetInt("line")), json->GetString("function")};
}

template <typename Enum, typename Name>
std::optional<Enum> ByName(Enum last, Name name_of, std::string_view name) {
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    if (name_of(static_cast<Enum>(i)) == name) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

// A place as `ReportPlace` wrote it: kind, line, file, function.
workflow::SourceLine ReadPlace(std::string_view text) {
  const auto parts = [&] {
    std::vector<std::string> lines;
    size_t from = 0;
    while (from <= text.size()) {
      const size_t end = std::min(text.find('\n', from), text.size());
      lines.emplace_back(text.substr(from, end - from));
      from = end + 1;
    }
    return lines;
  }();
  if (parts.size() < 4) return {};
  // The same shortening as of any other line needs a std::source_location; a file below the tree is told by its room.
  workflow::SourceLine line{parts[2], static_cast<uint32_t>(std::strtoul(parts[1].c_str(), nullptr, 10)), parts[3]};
  return workflow::Normalized(std::move(line));
}

Result<ProbeResult> ReadAnswer(std::string text, int status, bool timed_out, const ProbeOptions& options) {
  ProbeResult result;
  result.tasks = options.tasks;
  result.condition = options.condition;
  if (WIFSIGNALED(status) && !timed_out) result.signal = WTERMSIG(status);
  if (text.starts_with("!")) {
    result.where = ReadPlace(text);
    result.spun = text.starts_with("!spun");
    return result;
  }
  if (timed_out) {
    result.spun = true;
    return result;
  }
  if (result.signal != 0) return result;
  if (!text.starts_with("="))
    return Fail("PROBE_FAILED",
                "expected the result of a replay, found " + (text.empty() ? "nothing" : text.substr(1)));
  LOCKSTEP_ASSIGN(Json json,
                  ParseJson(std::string_view(text).substr(1), {.max_depth = 512, .max_string_bytes = size_t{1} << 30}));
  result.expected_digest = json.GetString("expectedDigest");
  result.actual_digest = json.GetString("actualDigest");
  for (const Json& entry : json.Find("divergences")->AsArray()) {
    LOCKSTEP_ASSIGN(Divergence divergence, DivergenceFromJson(entry));
    result.divergences.push_back(std::move(divergence));
  }
  for (const Json& entry : json.Find("issuers")->AsArray())
    result.issuers.push_back({entry.GetString("command"), entry.GetString("type"), LineFromJson(&entry)});
  for (const Json& entry : json.Find("messages")->AsArray())
    result.messages.push_back({entry.GetString("kind"), entry.GetString("name"), entry.GetInt("openedBy")});
  result.in_step = result.divergences.empty();
  result.detail = std::move(*json.Find("detail"));
  return result;
}

}  // namespace

std::string_view ConditionName(Condition condition) {
  constexpr std::string_view kNames[] = {"as it is", "again, later", "another environment", "disturbed memory"};
  return kNames[static_cast<size_t>(condition)];
}

TaskPlan PlanTasks(const ReplayInput& input) {
  TaskPlan plan;
  std::string digest;
  for (size_t i = 0; i < input.histories.size(); ++i) {
    const auto events = EventsOf(input.histories[i]);
    for (const workflow::TaskSlice& task : workflow::CutHistory(events).tasks) {
      TaskPlan::Task& entry = plan.tasks.emplace_back();
      entry.execution = static_cast<int64_t>(i) + 1;
      entry.started_id = task.started->event_id();
      entry.end_id = task.completed != nullptr ? task.completed->event_id() : entry.started_id;
      digest = Chain(digest, std::to_string(entry.execution) + ":" + std::to_string(entry.started_id));
      for (const HistoryEvent* event : task.recorded) {
        entry.end_id = event->event_id();
        digest = Chain(digest, CanonicalJson(CommandEventJson(*event)));
      }
      entry.expected_digest = digest;
    }
  }
  return plan;
}

Result<ProbeResult> RunProbe(const ReplayInput& input, const TaskPlan& plan, const ProbeOptions& options) {
  int ends[2];
  if (::pipe(ends) != 0) return Fail("PROBE_FAILED", std::string("pipe: ") + std::strerror(errno));
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    return Fail("PROBE_FAILED", std::string("fork: ") + std::strerror(errno));
  }
  if (child == 0) {
    ::close(ends[0]);
    report_pipe = ends[1];
    RunInChild(input, plan, options);
  }
  ::close(ends[1]);
  bool timed_out = false;
  std::string text = ReadAll(ends[0], options.timeout_ms, &timed_out);
  ::close(ends[0]);
  if (timed_out) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return ReadAnswer(std::move(text), status, timed_out, options);
}

Result<Divergence> DivergenceFromJson(const Json& json) {
  Divergence divergence;
  const auto kind = ByName(DivergenceKind::kSnapshotChanged, workflow::DivergenceKindName, json.GetString("kind"));
  const auto grade = ByName(Grade::kCommandChanging, workflow::GradeName, json.GetString("grade"));
  if (!kind || !grade)
    return Fail("JSON_INVALID", "expected a divergence, found " + CanonicalJson(json).substr(0, 200));
  divergence.kind = *kind;
  divergence.grade = *grade;
  divergence.event_id = json.GetInt("eventId");
  divergence.task_started_id = json.GetInt("workflowTaskStartedEventId");
  divergence.run_seq = json.GetInt("runSeq");
  divergence.step_id = json.GetString("stepId");
  divergence.command = json.GetString("command");
  divergence.target = json.GetString("target");
  divergence.field = json.GetString("field");
  const auto text = [&](const char* name) {
    const Json* member = json.Find(name);
    return member != nullptr && member->is_string() ? member->AsString() : std::string();
  };
  divergence.expected = text("expected");
  divergence.actual = text("actual");
  divergence.where = LineFromJson(json.Find("source"));
  divergence.recorded_where = LineFromJson(json.Find("recordedSource"));
  return divergence;
}

}  // namespace lockstep::replay
