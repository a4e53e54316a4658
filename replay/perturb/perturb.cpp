#include "replay/perturb/perturb.h"

#include <fcntl.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>
#include <unistd.h>

#include <algorithm>

#include "engine-core/base/sha256.h"
#include "replay/session/input.h"

namespace lockstep::replay {
namespace {

enum class Kind : uint8_t { kWorkers, kEviction, kChild };

struct Variant {
  std::string_view name;
  Kind kind;
  std::string_view setting;  // of the environment, `NAME=value`; for workers the number of threads
  std::string_view perturb;  // LOCKSTEP_PERTURB
  bool empty_environment = false;
  bool fixed_addresses = false;  // no address randomisation
};

constexpr Perturbation kPerturbations[] = {
    {"workers", "1, 4 and 16 histories at once"},
    {"eviction", "the execution rebuilt from the history at every workflow task"},
    {"allocator", "addresses shuffled, memory filled with patterns; address randomisation off"},
    {"hash", "the hash of strings salted, so that unordered containers change their order"},
    {"timezone", "other time zones"},
    {"locale", "a locale that writes numbers otherwise"},
    {"environment", "an empty environment"},
    {"host", "another host name"},
    {"clock", "clocks that jump by hours"},
};
constexpr Variant kVariants[] = {
    {"workers", Kind::kWorkers, "1", ""},
    {"workers", Kind::kWorkers, "4", ""},
    {"workers", Kind::kWorkers, "16", ""},
    {"eviction", Kind::kEviction, "", ""},
    {"allocator", Kind::kChild, "", "allocator=1"},
    {"allocator", Kind::kChild, "", "allocator=2"},
    {"allocator", Kind::kChild, "", "", false, true},
    {"hash", Kind::kChild, "", "hash=1"},
    {"hash", Kind::kChild, "", "hash=2"},
    {"hash", Kind::kChild, "", "hash=3"},
    {"timezone", Kind::kChild, "TZ=Pacific/Kiritimati", ""},
    {"timezone", Kind::kChild, "TZ=America/St_Johns", ""},
    {"locale", Kind::kChild, "LC_ALL=tr_TR.UTF-8", "locale=1"},
    {"environment", Kind::kChild, "", "", true},
    {"host", Kind::kChild, "HOSTNAME=another-host", "host=1"},
    {"clock", Kind::kChild, "", "clock=1"},
};

std::string Describe(const Variant& variant) {
  if (variant.kind == Kind::kWorkers) return std::string(variant.setting) + " at once";
  if (variant.kind == Kind::kEviction) return "after every task";
  if (variant.empty_environment) return "no variables";
  if (variant.fixed_addresses) return "fixed addresses";
  std::string text(variant.setting);
  if (!variant.perturb.empty()) text += (text.empty() ? "" : ", ") + std::string(variant.perturb);
  return text;
}

// Longest spread of places at which a long history is cut off.
constexpr size_t kMaxCuts = 48;

std::vector<std::string> LinesOf(const ReplayReport& report) {
  std::vector<std::string> lines;
  lines.push_back("verdict " + std::string(VerdictName(report.verdict)) + " status " + report.status);
  lines.push_back("snapshot " + report.snapshot_hash);
  lines.push_back("outcome " + report.outcome_hash);
  for (size_t execution = 0; execution < report.command_rows.size(); ++execution) {
    for (const CommandRow& row : report.command_rows[execution]) {
      lines.push_back("command " + std::to_string(execution + 1) + "/" + std::to_string(row.task_started_id) + " " +
                      row.identity + " " + row.digest);
    }
  }
  for (const state::EventRecord& event : report.engine_log) {
    lines.push_back("event " + std::to_string(event.run_seq) + " " + event.event_type + " " +
                    Sha256Hex(CanonicalJson(state::ToJson(event))));
  }
  for (const workflow::Divergence& divergence : report.divergences)
    lines.push_back("divergence " + divergence.Summary());
  if (report.error) lines.push_back("error " + report.error->ToString());
  return lines;
}

std::optional<PerturbDifference> Compare(const std::string& path, const std::vector<std::string>& expected,
                                         const std::vector<std::string>& actual) {
  for (size_t i = 0; i < std::max(expected.size(), actual.size()); ++i) {
    const std::string a = i < expected.size() ? expected[i] : "nothing";
    const std::string b = i < actual.size() ? actual[i] : "nothing";
    if (a != b) return PerturbDifference{path, a, b};
  }
  return std::nullopt;
}

void CompareAll(const Json& expected, const Json& actual, PerturbRow* row) {
  const auto& list = expected.Find("histories")->AsArray();
  const Json* other = actual.Find("histories");
  const auto lines = [](const Json& history) {
    std::vector<std::string> texts;
    for (const Json& line : history.Find("lines")->AsArray()) texts.push_back(line.AsString());
    return texts;
  };
  row->histories = list.size();
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = list[i].GetString("path");
    if (other == nullptr || !other->is_array() || i >= other->AsArray().size()) {
      row->differences.push_back({path, "a replay", "nothing"});
      continue;
    }
    if (auto difference = Compare(path, lines(list[i]), lines(other->AsArray()[i])))
      row->differences.push_back(std::move(*difference));
  }
}

// --- eviction
// ------------------------------------------------------------------------------------------------------------

// Each task's commands from an execution that has just been rebuilt, against those of the one that saw every task.
void EvictAfterEveryTask(const std::string& path, const BatchOptions& batch, PerturbRow* row) {
  ++row->histories;
  const auto input = LoadInput(path);
  if (!input) return;  // the plain replay has said so
  for (const auto& loaded : input->histories) {
    const auto& history = *loaded.history;
    SessionOptions session;
    session.registry = batch.registry;
    session.keep_commands = true;
    EngineLog log;
    const SessionResult whole = ReplayHistory(history, session, &log);
    std::vector<int> cuts;
    for (int i = 0; i < history.events_size(); ++i) {
      if (history.events(i).event_type() == temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_TASK_STARTED)
        cuts.push_back(i + 1);
    }
    const size_t stride = 1 + cuts.size() / kMaxCuts;
    temporal::api::history::v1::History part;
    for (size_t i = 0; i < cuts.size(); i += stride) {
      while (part.events_size() < cuts[i]) *part.add_events() = history.events(part.events_size());
      EngineLog part_log;
      const SessionResult rebuilt = ReplayHistory(part, session, &part_log);
      std::vector<std::string> expected, actual;
      for (const CommandRow& command : whole.commands) {
        if (command.task_started_id <= cuts[i]) expected.push_back(command.identity + " " + command.digest);
      }
      for (const CommandRow& command : rebuilt.commands) actual.push_back(command.identity + " " + command.digest);
      // The open task ends where its first local activity has no outcome yet: what was issued must be a beginning.
      if (actual.size() < expected.size()) expected.resize(actual.size());
      if (auto difference = Compare(path, expected, actual)) {
        difference->expected += " (workflow task started by event " + std::to_string(cuts[i]) + ")";
        row->differences.push_back(std::move(*difference));
        return;
      }
    }
  }
}

// --- children
// ------------------------------------------------------------------------------------------------------------

struct Pipe {
  int read = -1;
  int write = -1;
  ~Pipe() {
    if (read >= 0) ::close(read);
    if (write >= 0) ::close(write);
  }
};

Result<Json> RunChild(const PerturbOptions& options, const Variant& variant) {
  std::vector<std::string> words = options.child;
  words.insert(words.end(), options.inputs.begin(), options.inputs.end());
  std::vector<std::string> settings;
  if (!variant.empty_environment) {
    const std::string name(variant.setting.substr(0, variant.setting.find('=') + 1));
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string_view text = *entry;
      if (text.starts_with("LD_PRELOAD=") || text.starts_with("LOCKSTEP_PERTURB=") ||
          (!name.empty() && text.starts_with(name)))
        continue;
      settings.emplace_back(text);
    }
  }
  if (!variant.setting.empty()) settings.emplace_back(variant.setting);
  if (!variant.perturb.empty()) {
    settings.push_back("LD_PRELOAD=" + options.preload.string());
    settings.push_back("LOCKSTEP_PERTURB=" + std::string(variant.perturb));
  }
  std::vector<char*> arguments, environment;
  for (std::string& word : words) arguments.push_back(word.data());
  for (std::string& setting : settings) environment.push_back(setting.data());
  arguments.push_back(nullptr);
  environment.push_back(nullptr);
  Pipe pipe;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Fail("PERTURB_CHILD_FAILED", "no pipe");
  pipe.read = ends[0];
  pipe.write = ends[1];
  const pid_t child = ::fork();
  if (child < 0) return Fail("PERTURB_CHILD_FAILED", "cannot start " + words.front());
  if (child == 0) {
    ::dup2(pipe.write, STDOUT_FILENO);
    if (variant.fixed_addresses) ::personality(ADDR_NO_RANDOMIZE);
    ::execve(arguments.front(), arguments.data(), environment.data());
    ::_exit(127);
  }
  ::close(std::exchange(pipe.write, -1));
  std::string text;
  char buffer[1 << 16];
  for (ssize_t got = 0; (got = ::read(pipe.read, buffer, sizeof(buffer))) != 0;) {
    if (got < 0 && errno != EINTR) break;
    if (got > 0) text.append(buffer, static_cast<size_t>(got));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  auto json = ParseJson(text);
  if (!json || json->Find("histories") == nullptr) {
    return Fail("PERTURB_CHILD_FAILED", std::string(variant.name) + " (" + Describe(variant) +
                                            "): expected fingerprints, found " +
                                            (WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                                                 : "exit code " + std::to_string(WEXITSTATUS(status))));
  }
  return json;
}

}  // namespace

std::vector<Perturbation> Perturbations() { return {std::begin(kPerturbations), std::end(kPerturbations)}; }

Result<std::vector<std::string>> ParsePerturbations(std::string_view text) {
  std::vector<std::string> names;
  const auto known = [](std::string_view name) {
    return std::any_of(std::begin(kPerturbations), std::end(kPerturbations),
                       [&](const Perturbation& row) { return row.name == name; });
  };
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view name = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (name == "all") {
      for (const Perturbation& row : kPerturbations) names.emplace_back(row.name);
    } else if (known(name)) {
      names.emplace_back(name);
    } else {
      std::string list = "all";
      for (const Perturbation& row : kPerturbations) list += ", " + std::string(row.name);
      return Fail("USAGE", "--perturb: expected some of " + list + "; found " + std::string(name));
    }
  }
  if (names.empty()) return Fail("USAGE", "--perturb: expected a set of names, found none");
  return names;
}

Json Fingerprints(const BatchResult& result) {
  Json histories = Json::MakeArray();
  for (const ReplayReport& report : result.reports) {
    Json lines = Json::MakeArray();
    for (const std::string& line : LinesOf(report)) lines.Push(line);
    histories.Push(Json::MakeObject({{"path", report.path}, {"lines", std::move(lines)}}));
  }
  return Json::MakeObject({{"histories", std::move(histories)}});
}

bool PerturbResult::identical() const {
  return std::all_of(rows.begin(), rows.end(), [](const PerturbRow& row) { return row.differences.empty(); });
}

Result<PerturbResult> Perturb(const PerturbOptions& options) {
  PerturbResult result;
  BatchOptions batch = options.batch;
  batch.keep_commands = true;
  result.plain = RunBatch(options.inputs, batch);
  if (result.plain.abandoned_threads) return result;
  const Json expected = Fingerprints(result.plain);
  for (const Variant& variant : kVariants) {
    if (std::find(options.names.begin(), options.names.end(), variant.name) == options.names.end()) continue;
    PerturbRow row;
    row.name = variant.name;
    row.variant = Describe(variant);
    if (options.progress) options.progress(row.name + ": " + row.variant);
    if (variant.kind == Kind::kWorkers) {
      batch.jobs = static_cast<unsigned>(std::stoul(std::string(variant.setting)));
      CompareAll(expected, Fingerprints(RunBatch(options.inputs, batch)), &row);
    } else if (variant.kind == Kind::kEviction) {
      for (const std::string& input : options.inputs) EvictAfterEveryTask(input, batch, &row);
    } else {
      LOCKSTEP_ASSIGN(const Json actual, RunChild(options, variant));
      CompareAll(expected, actual, &row);
    }
    result.rows.push_back(std::move(row));
  }
  return result;
}

Json ToJson(const PerturbResult& result, bool strict) {
  Json rows = Json::MakeArray();
  for (const PerturbRow& row : result.rows) {
    Json differences = Json::MakeArray();
    for (const PerturbDifference& difference : row.differences) {
      differences.Push(Json::MakeObject(
          {{"path", difference.path}, {"expected", difference.expected}, {"actual", difference.actual}}));
    }
    rows.Push(Json::MakeObject({{"perturbation", row.name},
                                {"variant", row.variant},
                                {"histories", static_cast<int64_t>(row.histories)},
                                {"identical", row.differences.empty()},
                                {"differences", std::move(differences)}}));
  }
  Json json = ToJson(result.plain, strict);
  return json.Set("perturbations", std::move(rows));
}

std::string RenderText(const PerturbResult& result, bool strict, bool color) {
  std::string text = RenderText(result.plain, strict, color) + "\n";
  for (const PerturbRow& row : result.rows) {
    std::string line = row.name + std::string(row.name.size() < 13 ? 13 - row.name.size() : 1, ' ') + row.variant;
    line += std::string(line.size() < 48 ? 48 - line.size() : 1, ' ');
    text += line + (row.differences.empty() ? "identical\n"
                                            : std::to_string(row.differences.size()) + " of " +
                                                  std::to_string(row.histories) + " DIFFER\n");
    for (const PerturbDifference& difference : row.differences) {
      text += "  " + difference.path + "\n    expected  " + difference.expected + "\n    actual    " +
              difference.actual + "\n";
    }
  }
  return text + (result.identical() ? "Nothing that must not matter does.\n"
                                    : "The replay depends on what must not matter.\n");
}

}  // namespace lockstep::replay
