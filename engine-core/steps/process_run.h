// Kind `process.run`, and what kinds that run a fixed program share with it (`dbt.*`). Spec 00 section 5, spec 04
// section 5.2.
//
// What a plan says is untrusted here: the program must be one the worker allows, the working directory must lie in a
// root it allows (or is fresh and removed afterwards), the environment holds what the step names and nothing of the
// worker's.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/steps/services.h"
#include "engine-core/steps/step_executor.h"

namespace lockstep::steps {

struct ProgramRun {
  std::string program;  // absolute path
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;    // before secrets and target are added
  std::optional<std::filesystem::path> cwd;  // an existing directory; none: a scratch directory
  std::string stdin_text;
  std::vector<int64_t> expect_exit{0};
  std::vector<std::string> artifact_globs;
  // Exit codes for which trying again cannot help.
  std::vector<int64_t> permanent_exit;
  // False: output goes into `result.log`, because it holds times and would make outcomes incomparable (spec 02 section
  // 9).
  bool output_is_artifact = true;
};

// Runs it, stores what it wrote and names it in the output. Codes: docs/steps.md, `process.run`.
Result<StepOutput> RunProgram(const ProgramRun& run, const StepRequest& request, activity::ActivityContext& context,
                              Services& services);

// The program that argv[0] names. PROGRAM_NOT_ALLOWED.
Result<std::string> ResolveProgram(const std::string& name, const ProcessSettings& settings);
// The directory that `cwd` names, links resolved. WORKING_DIRECTORY_NOT_ALLOWED.
Result<std::filesystem::path> ResolveWorkingDirectory(const std::string& cwd, const ProcessSettings& settings);

std::shared_ptr<StepExecutor> ProcessRunExecutor();

}  // namespace lockstep::steps
