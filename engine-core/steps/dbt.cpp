#include "engine-core/steps/dbt.h"

#include "engine-core/base/files.h"
#include "engine-core/steps/params.h"
#include "engine-core/steps/process_run.h"
#include "engine-core/steps/step_error.h"

namespace lockstep::steps {
namespace {

// dbt ends with 1 when a node failed, which a second attempt may cure, and with 2 when it could not even begin.
constexpr int64_t kDbtUsageExit = 2;

class Dbt final : public StepExecutor {
 public:
  explicit Dbt(std::string command) : command_(std::move(command)) {}

  Result<StepOutput> Execute(const StepRequest& request, activity::ActivityContext& context,
                             Services& services) override {
    ParamReader reader(request.params);
    const std::vector<std::string> select = reader.Strings("select");
    const std::vector<std::string> exclude = reader.Strings("exclude");
    const Json::Object* vars = reader.OptionalObject("vars");
    // A node selector that looks like an option would be read as one.
    for (const auto* list : {&select, &exclude}) {
      for (const std::string& selector : *list) {
        if (selector.empty() || selector.starts_with('-') || selector.find('\0') != std::string::npos) {
          reader.Reject(list == &select ? "select" : "exclude", "expected node selectors that do not begin with `-`");
        }
      }
    }
    LOCKSTEP_TRY(reader.Finish());
    const DbtSettings& settings = services.configuration.dbt;
    if (settings.program.empty()) {
      return Fail(StepError("DBT_NOT_CONFIGURED", Category::kUser, false,
                            "step `" + request.step_id + "`: this worker's configuration has no `dbt` section"));
    }
    LOCKSTEP_ASSIGN(const TemporaryDirectory scratch, TemporaryDirectory::Create("lockstep-dbt"));
    ProgramRun run;
    run.program = settings.program;
    run.argv = Arguments(settings, scratch.path());
    Append("--select", select, &run.argv);
    Append("--exclude", exclude, &run.argv);
    if (vars != nullptr) Append("--vars", {CanonicalJson(Json(*vars))}, &run.argv);
    if (const auto target = request.target.find("connection"); target != request.target.end()) {
      if (target->second.starts_with('-'))
        return Fail(ParamError("target.connection", "expected a name that does not begin with `-`"));
      Append("--target", {target->second}, &run.argv);
    }
    run.env = settings.env;
    run.cwd = scratch.path();
    run.permanent_exit = {kDbtUsageExit};
    // With a wildcard, because a command that fails early leaves no such file.
    run.artifact_globs = {"target/run_results.jso[n]"};
    run.output_is_artifact = false;
    return RunProgram(run, request, context, services);
  }

 private:
  std::vector<std::string> Arguments(const DbtSettings& settings, const std::filesystem::path& scratch) const {
    std::vector<std::string> argv{settings.program, command_, "--no-use-colors", "--project-dir",
                                  settings.project_dir.string()};
    if (!settings.profiles_dir.empty()) Append("--profiles-dir", {settings.profiles_dir.string()}, &argv);
    // Steps of one project run side by side: each writes below its own directory.
    Append("--target-path", {(scratch / "target").string()}, &argv);
    Append("--log-path", {(scratch / "logs").string()}, &argv);
    return argv;
  }

  static void Append(const char* option, const std::vector<std::string>& values, std::vector<std::string>* argv) {
    if (values.empty()) return;
    argv->push_back(option);
    argv->insert(argv->end(), values.begin(), values.end());
  }

  std::string command_;
};

}  // namespace

void RegisterDbtKinds(ExecutorRegistry* registry) {
  for (const char* command : {"compile", "run", "test"}) {
    registry->Register(std::string("dbt.") + command, std::make_shared<Dbt>(command));
  }
}

}  // namespace lockstep::steps
