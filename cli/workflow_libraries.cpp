// `--workflows`: libraries with workflows and activities of one's own, for every command that runs or replays them.
#include "cli/command.h"
#include "engine-core/authoring/library.h"

namespace lockstep::cli {

void AddWorkflowsOption(CLI::App* app, std::vector<std::string>* libraries) {
  // One library a flag: paths behind it are histories.
  app->add_option("--workflows", *libraries, "Shared library with workflows and activities of your own (may be repeated)")
      ->allow_extra_args(false);
}

Status LoadWorkflowLibraries(const std::vector<std::string>& libraries, workflow::WorkflowRegistry* workflows,
                             activity::ActivityRegistry* activities) {
  for (const std::string& library : libraries) LOCKSTEP_TRY(workflow::LoadWorkflowLibrary(library, workflows, activities));
  return {};
}

}  // namespace lockstep::cli
