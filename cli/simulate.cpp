// `lockstep simulate`: whole runs under virtual time and injected faults, each replayed and compared.
#include <memory>

#include "cli/command.h"
#include "cli/result_file.h"
#include "engine-core/base/files.h"
#include "replay/simulate/simulation.h"

namespace lockstep::cli {
namespace {

struct Options {
  std::vector<std::string> plans;
  std::string seeds = "0..999";
  std::string faults = "all";
  std::string steps = "2..12";
  std::vector<std::string> only;
  std::vector<std::string> without;
  bool only_given = false;
  bool invariants = false;
  unsigned jobs = 1;
  bool shrink = true;
  size_t failures = 1;
  ResultFile result;
  Output output;
};

std::string InvariantsText() {
  std::string text;
  for (const simulate::Invariant& row : simulate::Invariants()) {
    text += std::string(row.name) + " (spec " + std::string(row.spec) + ")\n    " + std::string(row.meaning) + "\n";
  }
  return text;
}

int RunSimulate(const Options& options) {
  if (options.invariants) return options.output.Write(InvariantsText(), kExitOk);
  WatchSignals();
  simulate::BatchOptions batch;
  const auto seeds = simulate::ParseRange(options.seeds);
  if (!seeds) return Report(seeds.error());
  batch.seeds = *seeds;
  const auto faults = simulate::ParseFaults(options.faults);
  if (!faults) return Report(faults.error());
  batch.each.faults = *faults;
  const auto steps = simulate::ParseRange(options.steps);
  if (!steps || steps->first < 1 || steps->last > 200)
    return Report(Error("USAGE", "--steps: expected A..B with 1 <= A <= B <= 200, found " + options.steps));
  batch.each.shape = {static_cast<int>(steps->first), static_cast<int>(steps->last)};
  if (options.only_given) {
    batch.each.only.emplace(options.only.begin(), options.only.end());
    batch.each.only->erase("");
  }
  batch.each.without_steps.insert(options.without.begin(), options.without.end());
  for (const std::string& plan : options.plans) {
    auto bytes = ReadFile(plan, 16 << 20);
    if (!bytes) return Report(bytes.error());
    batch.plans.emplace_back(plan, std::move(*bytes));
  }
  batch.jobs = options.jobs;
  batch.shrink = options.shrink;
  batch.max_failures = options.failures;
  batch.stop = &interrupted;
  Progress progress;
  batch.progress = [&](uint64_t done, uint64_t total) {
    progress.Show("simulated " + std::to_string(done) + " of " + std::to_string(total));
  };
  const auto result = simulate::SimulateMany(batch);
  progress.Show("");
  if (!result) return Report(result.error());
  const int code = !result->failures.empty() ? kExitDiverged : result->stopped ? kExitInfrastructure : kExitOk;
  const std::string json = PrettyJson(simulate::ToJson(*result));
  if (const Status written = options.result.Write(json); !written) return Report(written.error());
  return options.output.Write(options.output.json() ? json : simulate::RenderText(*result), code);
}

}  // namespace

void AddSimulate(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app->add_subcommand("simulate", "Run plans under virtual time and injected faults, replay each run and compare");
  command->add_option("PLAN", options->plans, "Plan files (default: a random plan a seed)");
  command->add_option("--seeds", options->seeds, "A..B, both included")->capture_default_str();
  command
      ->add_option("--faults", options->faults,
                   "all, none, or some of "
                   "durations,failures,timeouts,signals,crashes,evictions,duplicates,late,store,slow-tasks")
      ->capture_default_str();
  command->add_option("--steps", options->steps, "Size of random plans")->capture_default_str();
  command->add_option("--jobs,-j", options->jobs, "Runs at once; the result does not depend on it")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_flag("--shrink,!--no-shrink", options->shrink, "Reduce a failure to what it takes (default)");
  command->add_option("--failures", options->failures, "Stop after so many failures")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  auto* only = command->add_option("--only", options->only, "Take only these decisions (as a failure prints them)")
                   ->delimiter(',');
  command->add_option("--without", options->without, "Leave these steps out of the plan")->delimiter(',');
  command->add_flag("--invariants", options->invariants, "List what is checked");
  options->result.AddOption(command);
  options->output.AddOptions(command);
  command->footer(
      "Exit code 0: every invariant held; 1: one is broken (with the command that reproduces it).\n"
      "Examples:\n"
      "  lockstep simulate --seeds 0..19999 --jobs 2\n"
      "  lockstep simulate plan.json --seeds 1..500 --faults failures,crashes,evictions\n"
      "  lockstep simulate --invariants");
  command->callback([options, only, run] {
    options->only_given = only->count() > 0;
    *run = [options] { return RunSimulate(*options); };
  });
}

}  // namespace lockstep::cli
