// The `lockstep` program: one subcommand a file, no logic of its own.
#include <cstdio>

#include "cli/command.h"

int main(int argc, char** argv) {
  using namespace lockstep::cli;
  CLI::App app{"Lockstep proves that workflow code still does what it did: it replays recorded Temporal histories against this\n"
               "build and compares commands, events and snapshots.", "lockstep"};
  app.set_version_flag("--version", "lockstep " LOCKSTEP_VERSION);
  app.require_subcommand(0, 1);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    const CLI::App* command = failed;
    while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
    std::string name = command->get_name();
    for (const CLI::App* parent = command->get_parent(); parent != nullptr; parent = parent->get_parent()) name = parent->get_name() + " " + name;
    return "lockstep: USAGE: " + std::string(error.what()) + " (see " + name + " --help)\n";
  });
  app.get_formatter()->column_width(34);
  app.footer("Exit codes: 0 in step or clean, 1 divergence or blocking finding, 2 wrong usage, 3 corrupt or incompatible input,\n"
             "4 infrastructure failure.\n"
             "Examples:\n"
             "  lockstep replay fixtures/histories           # is this build in step with what was recorded?\n"
             "  lockstep run plan.json                       # no server needed\n"
             "  lockstep record plan.json --out rec --dev-server\n"
             "  lockstep lint -p build                       # C++ and plans\n"
             "  lockstep inspect history.json                # time line of any SDK's history\n"
             "  lockstep COMMAND --help");
  Run run;
  for (const auto add : {AddReplay, AddRecord, AddTrace, AddBisect, AddState, AddDebug, AddInspect, AddLint, AddReport,
                         AddRun, AddStatus, AddSignal, AddEvents, AddSimulate, AddWorker, AddPlan}) {
    add(&app, &run);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version end well; everything else is wrong usage.
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (!run) {
    std::fprintf(stderr, "lockstep: USAGE: expected a command, found none (see lockstep --help)\n");
    return kExitUsage;
  }
  return run();
}
