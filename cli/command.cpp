#include "cli/command.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"

namespace lockstep::cli {

std::atomic<bool> interrupted{false};

namespace {

void OnSignal(int) {
  // A second Ctrl-C ends at once.
  if (interrupted.exchange(true)) ::_exit(130);
}

struct CodeRow {
  std::string_view prefix;
  int exit_code;
};
// First match by prefix; everything else is an infrastructure failure.
constexpr CodeRow kExitCodes[] = {
    {"INPUT_", kExitUsage},         {"USAGE", kExitUsage},          {"FILE_NOT_FOUND", kExitUsage},  {"FILE_NOT_REGULAR", kExitUsage},  {"RECORD_EXISTS", kExitUsage},
    {"RECORD_NOT_REPRODUCIBLE", kExitDiverged}, {"RECORD_", kExitCorrupt}, {"HISTORY_", kExitCorrupt}, {"FILE_TOO_LARGE", kExitCorrupt},
    {"WORKFLOW_TYPE_", kExitCorrupt}, {"JSON_", kExitCorrupt},      {"SCRIPT_INVALID", kExitCorrupt}, {"PLAN_FETCH_FAILED", kExitInfrastructure},
    {"PLAN_", kExitCorrupt},        {"INVALID_", kExitCorrupt},     {"CUSTOM_SIGNAL_", kExitCorrupt}, {"PLUGIN_", kExitCorrupt},
    {"CAPABILITIES_", kExitCorrupt}, {"TARGET_ADAPTER_", kExitCorrupt}, {"TASK_QUEUE_", kExitCorrupt}, {"DOWNGRADE_", kExitCorrupt},
    {"WORKFLOWS_NOT_FOUND", kExitUsage}, {"WORKFLOWS_", kExitCorrupt}, {"WORKER_CONFIG_", kExitUsage}, {"TEMPORAL_CONFIG_", kExitUsage}, {"SCHEMA_", kExitCorrupt},
    {"DIFF_INVALID", kExitUsage},   {"REDACT_RULES_INVALID", kExitUsage}, {"SHADOW_STATE_INVALID", kExitUsage},   {"FINDINGS_INVALID", kExitUsage}, {"GIT_", kExitUsage}, {"BISECT_GOOD_DIVERGES", kExitUsage},
    {"CONFIG_INVALID", kExitCorrupt}, {"BASELINE_INVALID", kExitCorrupt}, {"RESULT_INVALID", kExitCorrupt}, {"COMMENT_TARGET_INVALID", kExitUsage},
    {"RUN_NOT_FOUND", kExitUsage}, {"EMBEDDED_RUN_UNKNOWN", kExitUsage}, {"EMBEDDED_STATE_CORRUPT", kExitCorrupt}, {"EMBEDDED_STORE_VERSION", kExitCorrupt},
    {"SIGNAL_", kExitUsage},
};

}  // namespace

void WatchSignals() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool Output::color() const {
  return file.empty() && format == "text" && std::getenv("NO_COLOR") == nullptr && ::isatty(STDOUT_FILENO) == 1;
}

void Output::AddOptions(CLI::App* app, const std::vector<std::string>& formats) {
  app->add_option("--format", format, "How the result is written")->check(CLI::IsMember(formats))->capture_default_str();
  app->add_option("--out", file, "File for the result instead of standard output");
}

int Output::Write(std::string_view text, int exit_code) const {
  if (file.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    return exit_code;
  }
  const Status written = WriteFileAtomically(file, text);
  return written ? exit_code : Report(written.error());
}

int ExitCodeOf(const Error& error) {
  for (const CodeRow& row : kExitCodes) {
    if (error.code.starts_with(row.prefix)) return row.exit_code;
  }
  return kExitInfrastructure;
}

int Report(const Error& error) {
  std::fprintf(stderr, "lockstep: %s\n", error.ToString().c_str());
  for (const Issue& issue : error.issues) {
    std::fprintf(stderr, "  %s: %s: %s\n", issue.path.c_str(), issue.code.c_str(), issue.message.c_str());
  }
  return ExitCodeOf(error);
}

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
}

void Progress::Show(const std::string& line) {
  if (!terminal_) return;
  std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void Progress::Say(const std::string& line) {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
  std::fprintf(stderr, "%s\n", line.c_str());
}

Result<replay::RunScript> LoadScript(const std::string& path) {
  if (path.empty()) return replay::RunScript();
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(path, 1 << 20));
  const auto json = ParseJson(text);
  if (!json) return Fail("SCRIPT_INVALID", path + ": " + json.error().message);
  auto script = replay::ParseRunScript(*json);
  if (!script) return Fail("SCRIPT_INVALID", path + ": " + script.error().message);
  return script;
}

Result<std::map<std::string, int, std::less<>>> ParseVersionPins(const std::vector<std::string>& pins) {
  std::map<std::string, int, std::less<>> result;
  for (const std::string& pin : pins) {
    const size_t equals = pin.rfind('=');
    const auto version = equals == std::string::npos ? std::nullopt : ParseInt64(std::string_view(pin).substr(equals + 1));
    if (!version || equals == 0) return Fail("USAGE", "--as-of: expected CHANGE=VERSION, found " + pin);
    result[pin.substr(0, equals)] = static_cast<int>(*version);
  }
  return result;
}

std::string OwnProgram() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : path.string();
}

std::string BuildVenv() {
  const std::filesystem::path program = OwnProgram();
  std::error_code error;
  // build/bin/lockstep -> build/venv; a nested build tree (build/sanitize/bin) looks one further up.
  for (std::filesystem::path folder = program.parent_path().parent_path(); folder.has_relative_path(); folder = folder.parent_path()) {
    if (std::filesystem::exists(folder / "venv" / "bin" / "temporal", error)) return (folder / "venv").string();
  }
  return {};
}

}  // namespace lockstep::cli
