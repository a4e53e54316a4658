// `lockstep plan validate|pin|migrate`: plan files without running them.
#include <memory>

#include "cli/command.h"
#include "engine-core/base/clock.h"
#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"
#include "engine-core/plan/capabilities.h"
#include "engine-core/plan/loader.h"
#include "engine-core/plan/schema_version.h"

namespace lockstep::cli {
namespace {

struct Options {
  std::vector<std::string> plans;
  std::string target = "temporal";
  std::string to;
  std::string plan_version;
  bool test_kinds = false;
  Output output;
};

Json IssuesJson(const std::vector<Issue>& issues) {
  Json list = Json::MakeArray();
  for (const Issue& issue : issues) list.Push(Json::MakeObject({{"path", issue.path}, {"code", issue.code}, {"message", issue.message}}));
  return list;
}

int RunValidate(const Options& options) {
  Json all = Json::MakeArray();
  std::string text;
  int code = kExitOk;
  for (const std::string& file : options.plans) {
    const auto bytes = ReadFile(file, 16 << 20);
    if (!bytes) return Report(bytes.error());
    Json entry = Json::MakeObject({{"path", file}, {"sha256", Sha256Hex(*bytes)}});
    const auto parsed = plan::ParsePlanDocument(*bytes, options.test_kinds);
    if (!parsed) {
      code = std::max(code, kExitCorrupt);
      entry.Set("valid", false).Set("code", parsed.error().code).Set("message", parsed.error().message).Set("issues", IssuesJson(parsed.error().issues));
      text += file + ": " + parsed.error().ToString() + "\n";
      for (const Issue& issue : parsed.error().issues) text += "  " + issue.path + ": " + issue.code + ": " + issue.message + "\n";
    } else {
      const auto report = plan::ValidateCapabilities(parsed->plan, {.target_adapter = options.target, .now = SystemClock().Now()});
      const bool good = report.status != plan::ReportStatus::kErrors;
      if (!good) code = std::max(code, kExitCorrupt);
      entry.Set("valid", good).Set("report", plan::ToJson(report));
      text += file + ": " + (good ? "valid" : "CAPABILITIES_NOT_SUPPORTED") + ", " + std::to_string(parsed->plan.steps().size()) +
              " steps, schema " + parsed->schema_version + ", sha256 " + Sha256Hex(*bytes) + "\n";
      for (const auto& item : report.errors) text += "  error " + item.code + ": " + item.message + "\n";
      for (const auto& item : report.warnings) text += "  warning " + item.code + ": " + item.message + "\n";
    }
    all.Push(std::move(entry));
  }
  return options.output.Write(options.output.json() ? PrettyJson(all) : text, code);
}

int RunPin(const Options& options) {
  Json all = Json::MakeArray();
  for (const std::string& file : options.plans) {
    const auto bytes = ReadFile(file, 16 << 20);
    if (!bytes) return Report(bytes.error());
    const auto ref = plan::PinPlan(*bytes, options.test_kinds);
    if (!ref) return Report(Error(ref.error().code, file + ": " + ref.error().message));
    all.Push(plan::ToJson(*ref));
  }
  return options.output.Write(PrettyJson(all.AsArray().size() == 1 ? all.AsArray().front() : all), kExitOk);
}

// Spec 01 section 6.3: the result is a new document with a new digest and a new planVersion.
int RunMigrate(const Options& options) {
  if (options.plans.size() != 1) return Report(Error("USAGE", "migrate: expected one plan, found " + std::to_string(options.plans.size())));
  const auto to = plan::CheckSchemaVersion(options.to);
  if (!to) return Report(Error("USAGE", "--to: " + to.error().message));
  const auto bytes = ReadFile(options.plans.front(), 16 << 20);
  if (!bytes) return Report(bytes.error());
  const auto parsed = plan::ParsePlanDocument(*bytes, options.test_kinds);
  if (!parsed) return Report(Error(parsed.error().code, options.plans.front() + ": " + parsed.error().message));
  if (*to == plan::kCurrentSchema) {
    Json document = parsed->document;
    document.Find("metadata")->Set("schemaVersion", to->ToString()).Set("planVersion", options.plan_version);
    return options.output.Write(PrettyJson(document), kExitOk);
  }
  const auto migrated = plan::Downgrade(parsed->document, *to, options.plan_version);
  if (!migrated) return Report(migrated.error());
  return options.output.Write(PrettyJson(*migrated), kExitOk);
}

CLI::App* Subcommand(CLI::App* parent, const char* name, const char* what, const std::shared_ptr<Options>& options) {
  CLI::App* command = parent->add_subcommand(name, what);
  command->add_option("PLAN", options->plans, "Plan files; - reads standard input")->required();
  command->add_flag("--test-kinds", options->test_kinds, "Allow step kinds that exist for tests only (fail)");
  options->output.AddOptions(command);
  return command;
}

}  // namespace

void AddPlan(CLI::App* app, Run* run) {
  CLI::App* command = app->add_subcommand("plan", "Check and pin plan files");
  command->require_subcommand(1);
  command->footer("Examples:\n  lockstep plan validate plans/*.json\n  lockstep plan pin plan.json    # a reference by digest");
  auto validate = std::make_shared<Options>();
  CLI::App* check = Subcommand(command, "validate", "Schema, graph and capability checks", validate);
  check->add_option("--target", validate->target, "Adapter to check capabilities against")
      ->check(CLI::IsMember({"temporal", "conductor", "mock"}))->capture_default_str();
  check->callback([validate, run] { *run = [validate] { return RunValidate(*validate); }; });
  auto migrate = std::make_shared<Options>();
  CLI::App* move = Subcommand(command, "migrate", "Rewrite a plan for another schema version", migrate);
  move->add_option("--to", migrate->to, "Schema version, for instance v1.1")->required();
  move->add_option("--plan-version", migrate->plan_version, "planVersion of the new document")->required();
  move->footer("The result is a new document: it needs a planVersion of its own, and has another digest.\n"
               "Example:\n  lockstep plan migrate plan.json --to v1.1 --plan-version 2 --out plan-v1.1.json");
  move->callback([migrate, run] { *run = [migrate] { return RunMigrate(*migrate); }; });
  check->footer("Example:\n  lockstep plan validate plans/*.json --target temporal");
  auto pin = std::make_shared<Options>();
  CLI::App* refer = Subcommand(command, "pin", "Print the plan's reference (uri plan:<sha256>)", pin);
  refer->footer("Example:\n  lockstep plan pin plan.json > plan.ref.json");
  refer->callback([pin, run] { *run = [pin] { return RunPin(*pin); }; });
}

}  // namespace lockstep::cli
