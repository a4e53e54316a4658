#include "cli/shadow.h"

#include <cstdlib>

#include "engine-core/base/files.h"
#include "replay/record/shadow.h"

namespace lockstep::cli {
namespace {

Status FillConnection(const ShadowCommand& command, replay::ShadowOptions* options) {
  LOCKSTEP_ASSIGN(options->connection, provider::FromEnvironment());
  if (!command.address.empty()) options->connection.address = command.address;
  if (!command.namespace_name.empty()) options->connection.namespace_name = command.namespace_name;
  return provider::CheckConnectionOptions(options->connection);
}

Status FillRedaction(const ShadowCommand& command, replay::ShadowOptions* options) {
  if (command.redact.empty()) return {};
  if (command.save.empty())
    return Fail("USAGE", "--redact: expected --save DIR beside it, since only what is saved is redacted");
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(command.redact));
  LOCKSTEP_ASSIGN(const Json json, ParseJson(text));
  LOCKSTEP_ASSIGN(options->redact, replay::ParseRedactRules(json));
  return {};
}

}  // namespace

void ShadowCommand::AddOptions(CLI::App* app) {
  const std::string group = "From a running server (only read)";
  app->add_option_function<std::string>(
         "--from-server",
         [this](const std::string& text) {
           query = text;
           given = true;
         },
         "Visibility query, such as WorkflowType = 'runPlanWorkflow' and ExecutionStatus = 'Completed'; '' for all")
      ->group(group);
  app->add_option("--temporal", address, "HOST:PORT (default: TEMPORAL_ADDRESS, or 127.0.0.1:7233)")->group(group);
  app->add_option("--namespace", namespace_name, "Namespace (default: TEMPORAL_NAMESPACE, or default)")->group(group);
  app->add_option("--limit", limit, "Executions to replay")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}))
      ->group(group);
  app->add_option("--scan", scan,
                  "Executions to list and choose from by type, status and length (default: ten times the limit)")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app->add_option("--sample", sample, "Chance of each listed execution, from 0 to 1")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0))
      ->group(group);
  app->add_option("--seed", seed, "Of that chance")->capture_default_str()->group(group);
  app->add_option("--stop-after", stop_after, "Stop after this many divergences")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app->add_option("--max-seconds", max_seconds, "Stop after this time")->check(CLI::PositiveNumber)->group(group);
  app->add_option("--parallel", parallel, "Histories fetched at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 64))
      ->group(group);
  app->add_option("--save", save, "Keep histories that add a transition to this folder")->group(group);
  app->add_option("--redact", redact, "JSON rules: what to strip from histories before they are kept")->group(group);
  app->add_option("--state", state, "Remember in this file what has been replayed, and leave it out the next time")
      ->group(group);
}

int RunShadow(const ShadowCommand& command, const replay::BatchOptions& batch, bool strict, const ResultFile& result_file, const Output& output) {
  replay::ShadowOptions options;
  if (const Status connection = FillConnection(command, &options); !connection) return Report(connection.error());
  if (const Status redaction = FillRedaction(command, &options); !redaction) return Report(redaction.error());
  WatchSignals();
  Progress progress;
  options.query = command.query;
  options.limit = command.limit;
  options.scan = command.scan;
  options.sample = command.sample;
  options.seed = command.seed;
  options.stop_after_divergences = command.stop_after;
  options.max_seconds = command.max_seconds;
  options.parallel = command.parallel;
  options.save = command.save;
  options.state = command.state;
  options.batch = batch;
  options.batch.progress = nullptr;
  options.interrupt = &interrupted;
  options.progress = [&progress](const std::string& line) { progress.Show(line); };
  const auto report = replay::Shadow(options);
  progress.Show("");
  if (!report) return Report(report.error());
  if (report->result.reports.empty() && report->seen_before == 0) {
    return Report(Error("INPUT_EMPTY", "--from-server: expected at least one execution that matches, found none (" +
                                           std::to_string(report->listed) + " listed)"));
  }
  if (const Status written = result_file.Write(PrettyJson(replay::ToJson(report->result, strict))); !written) return Report(written.error());
  const int code = output.Write(output.json() ? PrettyJson(replay::ToJson(*report, strict))
                                              : replay::RenderShadow(*report, strict, output.color()),
                                replay::ExitCode(report->result, strict));
  if (report->result.abandoned_threads) std::_Exit(code);
  return code;
}

}  // namespace lockstep::cli
