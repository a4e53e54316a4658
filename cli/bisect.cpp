// `lockstep bisect`: the commit that broke a replay.
#include "replay/trace/bisect.h"

#include <memory>

#include "cli/command.h"
#include "replay/session/batch.h"
#include "replay/session/input.h"

namespace lockstep::cli {
namespace {

struct Options {
  std::string history;
  replay::BisectOptions bisect;
  std::string repository = ".";
  std::string work;
  int64_t build_timeout_s = 3'600;
  int64_t replay_timeout_s = 300;
  Output output;
};

int RunBisect(Options options) {
  // What no build could replay is no question of builds.
  const auto found = replay::FindHistories({options.history});
  if (!found) return Report(found.error());
  if (options.history == "-")
    return Report(Error("USAGE", "HISTORY: expected a file or a record directory, found standard input"));
  for (const std::string& path : *found) {
    if (const auto input = replay::LoadInput(path); !input) return Report(input.error());
  }
  WatchSignals();
  Progress progress;
  options.bisect.history = options.history;
  options.bisect.repository = options.repository;
  options.bisect.work = options.work;
  options.bisect.build_timeout_ms = options.build_timeout_s * 1'000;
  options.bisect.replay_timeout_ms = options.replay_timeout_s * 1'000;
  options.bisect.interrupt = &interrupted;
  options.bisect.progress = [&progress](const std::string& line) { progress.Show(line); };
  const auto report = replay::Bisect(options.bisect);
  progress.Show("");
  if (!report) return Report(report.error());
  const int code = report->bad_in_step ? kExitOk : kExitDiverged;
  return options.output.Write(options.output.json()
                                  ? PrettyJson(replay::ToJson(*report))
                                  : replay::RenderBisect(*report, options.history, options.output.color()),
                              code);
}

}  // namespace

void AddBisect(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("bisect", "Which commit broke the replay of a history");
  command->add_option("HISTORY", options->history, "A history, a record directory or a folder of them")->required();
  command->add_option("--good", options->bisect.good, "A revision that is in step")->required();
  command->add_option("--bad", options->bisect.bad, "A later revision that is not")->required();
  command
      ->add_option("--build-command", options->bisect.build_command,
                   "Builds a revision, run by the shell in a private clone")
      ->default_str("make build");
  command
      ->add_option("--replay-command", options->bisect.replay_command,
                   "Replays $LOCKSTEP_HISTORY: 0 in step, 1 not, others: skip the revision")
      ->default_str("build/bin/lockstep replay --strict \"$LOCKSTEP_HISTORY\"");
  options->bisect.build_command = "make build";
  options->bisect.replay_command = "build/bin/lockstep replay --strict \"$LOCKSTEP_HISTORY\"";
  command->add_option("--repository", options->repository, "The git tree")->capture_default_str();
  command->add_option("--work", options->work,
                      "Where clone, builds and verdicts are kept (default: the user's cache folder)");
  command->add_flag("--fresh", options->bisect.fresh, "Forget the verdicts of an earlier search");
  command->add_option("--build-timeout", options->build_timeout_s, "Seconds")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--replay-timeout", options->replay_timeout_s, "Seconds")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  options->output.AddOptions(command);
  command->footer(
      "Exit code 1 when the commit (or a few that cannot be told apart) is found, 0 when the bad revision is in step.\n"
      "Your work tree is not touched. A search that was interrupted goes on where it stopped.\n"
      "Examples:\n"
      "  lockstep bisect fixtures/histories/diamond --good v0.1.0 --bad HEAD\n"
      "  lockstep bisect rec --good main~20 --bad main --build-command 'cmake --preset default && cmake --build build "
      "--target lockstep'");
  command->callback([options, run] { *run = [options] { return RunBisect(*options); }; });
}

}  // namespace lockstep::cli
