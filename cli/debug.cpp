// `lockstep debug`: a debugger at the workflow code of a chosen event.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "engine-core/base/files.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/workflow/registry.h"
#include "replay/trace/debug_session.h"

namespace lockstep::cli {
namespace {

struct Options {
  std::vector<std::string> libraries;
  std::string history;
  int64_t at = 1;
  int64_t execution = 1;
  std::string debugger = "gdb";
  bool batch = false;
  bool under_debugger = false;
  std::string script_only;
};

int RunDebugger(const Options& options, const std::string& script) {
  const std::string program = OwnProgram();
  const bool gdb = options.debugger.find("lldb") == std::string::npos;
  std::vector<std::string> words = gdb ? std::vector<std::string>{options.debugger, "-q", "-nh", "-x", script, program}
                                       : std::vector<std::string>{options.debugger, "-s", script, program};
  if (options.batch && gdb) words.insert(words.begin() + 1, "-batch");
  if (options.batch && !gdb) words.insert(words.begin() + 1, "--batch");
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  // The debugger takes this process's place: the terminal and its signals are its own.
  ::execvp(pointers.front(), pointers.data());
  return Report(Error("PROGRAM_NOT_FOUND",
                      options.debugger + ": expected a debugger (--debugger gdb or lldb-19): " + std::strerror(errno)));
}

int RunDebug(const Options& options) {
  workflow::WorkflowRegistry registry;
  interpreter::RegisterInterpreter(&registry);
  if (const Status loaded = LoadWorkflowLibraries(options.libraries, &registry, nullptr); !loaded)
    return Report(loaded.error());
  std::error_code error;
  if (options.history == "-")
    return Report(Error("USAGE", "HISTORY: expected a file or a record directory, found standard input"));
  const std::string history = std::filesystem::absolute(options.history, error).string();
  const auto input = replay::LoadInput(history);
  if (!input) return Report(input.error());
  const auto point = replay::FindDebugPoint(*input, registry, options.execution, options.at);
  if (!point) return Report(point.error());
  if (options.under_debugger) {
    replay::ReplayUnderDebugger(*input, registry, *point);
    return kExitOk;
  }
  const std::string script =
      options.script_only.empty()
          ? (std::filesystem::temp_directory_path() / ("lockstep-debug-" + std::to_string(::getpid()) + ".script"))
                .string()
          : options.script_only;
  std::vector<std::string> libraries;
  for (const std::string& library : options.libraries)
    libraries.push_back(std::filesystem::absolute(library, error).string());
  const auto debugger =
      options.debugger.find("lldb") == std::string::npos ? replay::Debugger::kGdb : replay::Debugger::kLldb;
  const std::string commands =
      replay::DebuggerCommands(debugger, *point, {OwnProgram(), history, script, options.batch, libraries});
  if (const Status written = WriteFileAtomically(script, commands); !written) return Report(written.error());
  if (!options.script_only.empty()) return kExitOk;
  return RunDebugger(options, script);
}

}  // namespace

void AddDebug(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("debug", "Stop a debugger at the workflow code of a chosen event");
  command->add_option("HISTORY", options->history, "A history or a record directory")->required();
  command->add_option("--at", options->at, "Event id: stops in the workflow task whose code sees it")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--execution", options->execution, "Which execution of a chain (rotation)")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--debugger", options->debugger, "gdb, lldb-19 or a path of one")->capture_default_str();
  command->add_flag("--batch", options->batch, "Show where it stops, and leave");
  AddWorkflowsOption(command, &options->libraries);
  command->add_flag("--under-debugger", options->under_debugger)->group("");
  command->add_option("--script-only", options->script_only)->group("");
  command->footer(
      "In gdb: lockstep-back and lockstep-forward replay to the workflow task before and after, lockstep-goto EVENT to "
      "any other.\n"
      "Locals are seen in a build with debug information: cmake --preset default -DCMAKE_BUILD_TYPE=Debug.\n"
      "Examples:\n"
      "  lockstep debug fixtures/histories/diamond --at 20\n"
      "  lockstep debug history.json --at 42 --batch");
  command->callback([options, run] { *run = [options] { return RunDebug(*options); }; });
}

}  // namespace lockstep::cli
