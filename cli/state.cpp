// `lockstep state`: snapshot, pending work and await points at any event of a history.
#include <memory>

#include "cli/command.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/workflow/registry.h"
#include "replay/trace/state_view.h"

namespace lockstep::cli {
namespace {

struct Options {
  std::vector<std::string> libraries;
  std::string path;
  int64_t at = 0;
  int64_t execution = 1;
  bool every_task = false;
  Output output;
};

int RunState(const Options& options) {
  if ((options.at != 0) == options.every_task)
    return Report(Error("USAGE", "expected one of --at N and --at-every-task (see lockstep state --help)"));
  workflow::WorkflowRegistry registry;
  interpreter::RegisterInterpreter(&registry);
  if (const Status loaded = LoadWorkflowLibraries(options.libraries, &registry, nullptr); !loaded)
    return Report(loaded.error());
  const auto input = replay::LoadInput(options.path);
  if (!input) return Report(input.error());
  const auto points =
      replay::StatesOf(*input, {.registry = &registry, .execution = options.execution, .at = options.at});
  if (!points) return Report(points.error());
  return options.output.Write(options.output.json() ? PrettyJson(replay::StateReportJson(*input, *points))
                                                    : replay::RenderStates(*input, *points, options.output.color()),
                              kExitOk);
}

}  // namespace

void AddState(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("state", "Pending work, await points and snapshot at any event of a history");
  command->add_option("HISTORY", options->path, "A history or a record directory; - reads standard input")->required();
  command->add_option("--at", options->at, "Event id: the state after this event")->check(CLI::PositiveNumber);
  command->add_flag("--at-every-task", options->every_task, "The state at the end of every workflow task");
  command->add_option("--execution", options->execution, "With --at, which execution of a chain (rotation)")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  AddWorkflowsOption(command, &options->libraries);
  options->output.AddOptions(command);
  command->footer(
      "Of a workflow that this build does not have, what its events alone say: pending activities, timers, children, "
      "signals.\n"
      "Examples:\n"
      "  lockstep state fixtures/histories/diamond --at 20\n"
      "  lockstep state history.json --at-every-task --format json\n"
      "  temporal workflow show -w ID --output json | lockstep state - --at 42");
  command->callback([options, run] { *run = [options] { return RunState(*options); }; });
}

}  // namespace lockstep::cli
