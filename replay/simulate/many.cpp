// Many seeds at once, shrinking, and how results are shown.
#include <algorithm>
#include <mutex>
#include <thread>

#include "engine-core/base/bytes.h"
#include "engine-core/plan/loader.h"
#include "replay/simulate/simulation.h"

namespace lockstep::simulate {
namespace {

std::string Joined(const auto& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

std::vector<std::string> StepIds(const SimulationOptions& options) {
  std::vector<std::string> ids;
  if (options.plan.empty()) {
    for (int i = 0; i < options.shape.max_steps; ++i) ids.push_back("s" + std::to_string(i));
    return ids;
  }
  const auto document = ParseJson(options.plan);
  const Json* steps = document ? document->Find("steps") : nullptr;
  if (steps == nullptr || !steps->is_array()) return ids;
  for (const Json& step : steps->AsArray()) ids.push_back(step.GetString("stepId"));
  return ids;
}

// For a shell: names hold nothing but letters, digits and a few marks.
std::string Command(const Failure& failure, const SimulationOptions& options, bool shrunk) {
  std::string command = "lockstep simulate";
  if (!failure.plan_name.empty()) command += " " + failure.plan_name;
  const std::string seed = std::to_string(failure.result.seed);
  command += " --seeds " + seed + ".." + seed;
  if (options.plan.empty() && failure.plan_name.empty() &&
      (options.shape.min_steps != PlanShape().min_steps || options.shape.max_steps != PlanShape().max_steps)) {
    command += " --steps " + std::to_string(options.shape.min_steps) + ".." + std::to_string(options.shape.max_steps);
  }
  if (shrunk) {
    command += " --only '" + Joined(failure.script) + "'";
    if (!failure.without_steps.empty()) command += " --without " + Joined(failure.without_steps);
  } else if (options.faults.ToString() != "all") {
    command += " --faults " + options.faults.ToString();
  }
  return command;
}

}  // namespace

Result<Range> ParseRange(std::string_view text) {
  const size_t dots = text.find("..");
  const auto first = ParseInt64(text.substr(0, dots));
  const auto last = dots == std::string_view::npos ? first : ParseInt64(text.substr(dots + 2));
  if (!first || !last || *first < 0 || *last < *first)
    return Fail("USAGE", "--seeds: expected A..B with 0 <= A <= B, found " + std::string(text));
  return Range{static_cast<uint64_t>(*first), static_cast<uint64_t>(*last)};
}

// Leaves out decisions and steps, in ever smaller portions, for as long as the same invariant breaks.
Failure Shrink(Failure failure, const SimulationOptions& given, uint64_t seed) {
  const std::string invariant = failure.result.violation->invariant;
  SimulationOptions options = given;
  std::vector<std::string> kept = failure.result.taken;
  std::set<std::string> without = given.without_steps;
  const auto breaks = [&](const std::vector<std::string>& decisions, const std::set<std::string>& dropped,
                          SimulationResult* result) {
    options.only = std::set<std::string>(decisions.begin(), decisions.end());
    options.without_steps = dropped;
    auto run = Simulate(seed, options);
    if (!run || !run->violation || run->violation->invariant != invariant) return false;
    *result = std::move(*run);
    return true;
  };
  SimulationResult smallest = failure.result;
  if (!breaks(kept, without, &smallest)) return failure;  // depends on what is not a decision: shown as it is
  for (bool progress = true; progress;) {
    progress = false;
    for (size_t portion = std::max<size_t>(1, kept.size() / 2); portion >= 1; portion /= 2) {
      for (size_t at = 0; at < kept.size();) {
        std::vector<std::string> fewer = kept;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at),
                    fewer.begin() + static_cast<std::ptrdiff_t>(std::min(at + portion, fewer.size())));
        if (breaks(fewer, without, &smallest)) {
          kept = std::move(fewer);
          progress = true;
        } else {
          at += portion;
        }
      }
      if (portion == 1) break;
    }
    for (const std::string& id : StepIds(given)) {
      if (without.contains(id)) continue;
      std::set<std::string> more = without;
      more.insert(id);
      if (!breaks(kept, more, &smallest)) continue;
      without = std::move(more);
      progress = true;
    }
  }
  failure.script = std::move(kept);
  failure.without_steps = std::move(without);
  failure.result = std::move(smallest);
  failure.command = Command(failure, given, true);
  return failure;
}

Result<BatchResult> SimulateMany(const BatchOptions& options) {
  BatchResult total;
  std::mutex mutex;
  std::optional<Error> refused;
  std::vector<std::shared_ptr<const plan::ParsedPlan>> parsed;
  for (const auto& [name, bytes] : options.plans) {
    auto one = plan::ParsePlanDocument(bytes, true);
    if (!one) {
      one.error().message = name + ": " + one.error().message;
      return Fail(one.error());
    }
    parsed.push_back(std::make_shared<const plan::ParsedPlan>(std::move(*one)));
  }
  const uint64_t plans = std::max<uint64_t>(1, options.plans.size());
  const uint64_t seeds = options.seeds.last - options.seeds.first + 1;
  uint64_t next = 0;
  const auto work = [&] {
    while (true) {
      uint64_t job = 0;
      {
        const std::lock_guard lock(mutex);
        if (refused || total.failures.size() >= options.max_failures || next >= seeds * plans) return;
        if (options.stop != nullptr && options.stop->load()) {
          total.stopped = true;
          return;
        }
        job = next++;
      }
      SimulationOptions each = options.each;
      std::string name;
      if (!options.plans.empty()) {
        name = options.plans[job % plans].first;
        each.plan = options.plans[job % plans].second;
        each.parsed = parsed[job % plans];
      }
      const uint64_t seed = options.seeds.first + job / plans;
      auto run = Simulate(seed, each);
      Failure failure;
      const bool failed = run.has_value() && run->violation.has_value();
      if (failed) {
        failure.plan_name = name;
        failure.result = *run;
        failure.command = Command(failure, each, false);
        if (options.shrink) failure = Shrink(std::move(failure), each, seed);
      }
      const std::lock_guard lock(mutex);
      if (!run) {
        refused = run.error();
        if (!name.empty()) refused->message = name + ": " + refused->message;
        return;
      }
      ++total.runs;
      total.tasks += static_cast<uint64_t>(run->tasks);
      total.events += static_cast<uint64_t>(run->events);
      total.executions += static_cast<uint64_t>(run->executions);
      total.decisions += run->taken.size();
      total.orphans += static_cast<uint64_t>(run->orphans);
      ++total.statuses[run->status];
      if (failed) total.failures.push_back(std::move(failure));
      if (options.progress && total.runs % 64 == 0) options.progress(total.runs, seeds * plans);
    }
  };
  if (options.jobs <= 1) {
    work();
  } else {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < options.jobs; ++i) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
  }
  if (refused) return Fail(*refused);
  std::sort(total.failures.begin(), total.failures.end(),
            [](const Failure& a, const Failure& b) { return a.result.seed < b.result.seed; });
  return total;
}

Json ToJson(const BatchResult& result) {
  Json statuses = Json::MakeObject();
  for (const auto& [status, count] : result.statuses) statuses.Set(status, static_cast<int64_t>(count));
  Json failures = Json::MakeArray();
  for (const Failure& failure : result.failures) {
    Json script = Json::MakeArray();
    for (const std::string& decision : failure.script) script.Push(decision);
    Json without = Json::MakeArray();
    for (const std::string& step : failure.without_steps) without.Push(step);
    failures.Push(Json::MakeObject({{"seed", static_cast<int64_t>(failure.result.seed)},
                                    {"plan", failure.plan_name.empty() ? Json() : Json(failure.plan_name)},
                                    {"invariant", failure.result.violation->invariant},
                                    {"message", failure.result.violation->message},
                                    {"script", std::move(script)},
                                    {"withoutSteps", std::move(without)},
                                    {"command", failure.command}}));
  }
  return Json::MakeObject({{"format", "lockstep-simulation/1"},
                           {"verdict", result.failures.empty() ? "HELD" : "BROKEN"},
                           {"runs", static_cast<int64_t>(result.runs)},
                           {"workflowTasks", static_cast<int64_t>(result.tasks)},
                           {"historyEvents", static_cast<int64_t>(result.events)},
                           {"executions", static_cast<int64_t>(result.executions)},
                           {"decisions", static_cast<int64_t>(result.decisions)},
                           {"orphanedEvents", static_cast<int64_t>(result.orphans)},
                           {"statuses", std::move(statuses)},
                           {"stopped", result.stopped},
                           {"failures", std::move(failures)}});
}

std::string RenderText(const BatchResult& result) {
  std::string text;
  for (const Failure& failure : result.failures) {
    text += "seed " + std::to_string(failure.result.seed) +
            (failure.plan_name.empty() ? "" : " of " + failure.plan_name) + " breaks " +
            failure.result.violation->invariant + "\n  " + failure.result.violation->message + "\n";
    if (!failure.script.empty() || !failure.without_steps.empty()) {
      text += "  it takes no more than " + (failure.script.empty() ? std::string("the plan") : Joined(failure.script));
      if (!failure.without_steps.empty()) text += " (steps left out: " + Joined(failure.without_steps) + ")";
      text += "\n";
    }
    text += "  reproduce: " + failure.command + "\n";
  }
  text += std::to_string(result.runs) + (result.runs == 1 ? " run" : " runs") + ", " + std::to_string(result.tasks) +
          " workflow tasks, " + std::to_string(result.events) + " history events, " + std::to_string(result.decisions) +
          " decisions:";
  bool first = true;
  for (const auto& [status, count] : result.statuses) {
    text += std::string(first ? " " : ", ") + std::to_string(count) + " " + status;
    first = false;
  }
  text += result.failures.empty() ? ". All invariants held.\n" : ". BROKEN.\n";
  if (result.stopped) text += "Stopped before the end.\n";
  return text;
}

}  // namespace lockstep::simulate
