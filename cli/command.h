// What every command of `lockstep` shares: exit codes, output format and place, colour, errors (spec 00 section 3).
// A command is one file: it adds its options and returns an exit code; the work is done in the libraries.
#pragma once

#include <CLI/CLI.hpp>

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/result.h"
#include "replay/record/script.h"

namespace lockstep::workflow {
class WorkflowRegistry;
}
namespace lockstep::activity {
class ActivityRegistry;
}

namespace lockstep::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitDiverged = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitCorrupt = 3;
inline constexpr int kExitInfrastructure = 4;

// Set by SIGINT and SIGTERM once `WatchSignals` was called.
extern std::atomic<bool> interrupted;
void WatchSignals();

struct Output {
  std::string format = "text";
  std::string file;  // empty: standard output
  bool json() const { return format == "json"; }
  // Colour only on a terminal, and not with NO_COLOR.
  bool color() const;
  void AddOptions(CLI::App* app, const std::vector<std::string>& formats = {"text", "json"});
  // To the file (atomically) or to standard output. Exit code.
  int Write(std::string_view text, int exit_code) const;
};

// Prints `lockstep: CODE: message` and gives the exit code that belongs to the code.
int Report(const Error& error);
int ExitCodeOf(const Error& error);

// Progress on standard error, on a terminal only.
class Progress {
 public:
  Progress();
  ~Progress();  // clears the line
  void Show(const std::string& line);
  // A line that stays, also without a terminal.
  void Say(const std::string& line);
  bool terminal() const { return terminal_; }

 private:
  bool terminal_;
  bool shown_ = false;
};

// The script of signals and mishaps in a file (docs/record.md); an empty path is an empty script. SCRIPT_INVALID, FILE_*.
Result<replay::RunScript> LoadScript(const std::string& path);

// `--as-of CHANGE=VERSION`, repeated. USAGE when one is malformed.
Result<std::map<std::string, int, std::less<>>> ParseVersionPins(const std::vector<std::string>& pins);

// The program that runs (for child workers) and the virtual environment of the build it lies in, if any.
std::string OwnProgram();
std::string BuildVenv();

// `--workflows LIBRARY`, repeated: adds what the libraries have to the registries (activities may be nullptr).
void AddWorkflowsOption(CLI::App* app, std::vector<std::string>* libraries);
Status LoadWorkflowLibraries(const std::vector<std::string>& libraries, workflow::WorkflowRegistry* workflows,
                             activity::ActivityRegistry* activities);

using Run = std::function<int()>;
// Each adds one subcommand and sets `*run` when it is chosen.
void AddReplay(CLI::App* app, Run* run);
void AddRecord(CLI::App* app, Run* run);
void AddState(CLI::App* app, Run* run);
void AddTrace(CLI::App* app, Run* run);
void AddBisect(CLI::App* app, Run* run);
void AddDebug(CLI::App* app, Run* run);
void AddInspect(CLI::App* app, Run* run);
void AddWorker(CLI::App* app, Run* run);
void AddPlan(CLI::App* app, Run* run);
void AddLint(CLI::App* app, Run* run);
void AddReport(CLI::App* app, Run* run);
void AddRun(CLI::App* app, Run* run);
void AddStatus(CLI::App* app, Run* run);
void AddSignal(CLI::App* app, Run* run);
void AddEvents(CLI::App* app, Run* run);
void AddSimulate(CLI::App* app, Run* run);

}  // namespace lockstep::cli
