// Kahn's algorithm with a heap on the declaration index gives order and cycle check in one; the cycle that is reported
// is found by walking dependencies among the steps that never became free, always to the lowest index, so that the
// report is stable.
#include "engine-core/plan/graph.h"

#include <algorithm>
#include <functional>
#include <map>
#include <queue>

#include "engine-core/base/check.h"
#include "engine-core/base/ids.h"
#include "engine-core/plan/issues.h"

namespace lockstep::plan {
namespace {

std::string StepPath(size_t step) { return "steps[" + std::to_string(step) + "]"; }
std::string EdgePath(size_t step, size_t edge) { return StepPath(step) + ".dependsOn[" + std::to_string(edge) + "]"; }

using StepPositions = std::map<std::string_view, uint32_t>;

StepPositions IndexSteps(const std::vector<DeclaredStep>& steps, std::vector<Issue>* issues) {
  StepPositions index;
  for (uint32_t i = 0; i < steps.size(); ++i) {
    const auto [it, fresh] = index.emplace(steps[i].step_id, i);
    if (fresh) continue;
    issues->push_back({StepPath(i) + ".stepId", "duplicate_step_id",
                       "expected a unique stepId, found \"" + std::string(steps[i].step_id) + "\" of " +
                           StepPath(it->second) + " again"});
  }
  return index;
}

void ResolveStep(const DeclaredStep& step, uint32_t self, const StepPositions& index, std::vector<uint32_t>* out,
                 std::vector<Issue>* issues) {
  for (size_t k = 0; k < step.depends_on.size(); ++k) {
    const std::string_view name = step.depends_on[k];
    const std::string quoted = "\"" + std::string(name) + "\"";
    if (!IsStepId(name)) {
      issues->push_back({EdgePath(self, k), "invalid_dependency_value", "expected a stepId, found " + quoted});
      continue;
    }
    const auto found = index.find(name);
    if (found == index.end()) {
      issues->push_back(
          {EdgePath(self, k), "unknown_dependency", "expected the stepId of a step of this plan, found " + quoted});
    } else if (found->second == self) {
      issues->push_back({EdgePath(self, k), "self_dependency", "expected another step, found the step itself"});
    } else {
      out->push_back(found->second);
    }
  }
  std::sort(out->begin(), out->end());
  out->erase(std::unique(out->begin(), out->end()), out->end());
}

// One cycle among the steps that `order` lacks, lowest index first.
std::vector<uint32_t> FindCycle(const std::vector<std::vector<uint32_t>>& depends_on,
                                const std::vector<uint32_t>& order) {
  std::vector<bool> done(depends_on.size(), false);
  for (const uint32_t step : order) done[step] = true;
  // Every step that is left depends on one that is left, so this walk must meet itself.
  uint32_t here = static_cast<uint32_t>(std::find(done.begin(), done.end(), false) - done.begin());
  std::vector<uint32_t> path;
  std::vector<bool> seen(depends_on.size(), false);
  while (!seen[here]) {
    seen[here] = true;
    path.push_back(here);
    here = *std::find_if(depends_on[here].begin(), depends_on[here].end(), [&](uint32_t d) { return !done[d]; });
  }
  path.erase(path.begin(), std::find(path.begin(), path.end(), here));
  std::rotate(path.begin(), std::min_element(path.begin(), path.end()), path.end());
  return path;
}

Issue CycleIssue(const std::vector<DeclaredStep>& steps, const std::vector<uint32_t>& cycle) {
  constexpr size_t kLongest = 20;
  std::string text = "expected no cycle, found ";
  for (size_t i = 0; i < cycle.size() && i < kLongest; ++i) text += std::string(steps[cycle[i]].step_id) + " -> ";
  if (cycle.size() > kLongest) text += "... (" + std::to_string(cycle.size()) + " steps) -> ";
  return {StepPath(cycle[0]) + ".dependsOn", "cyclic_dependencies_detected",
          text + std::string(steps[cycle[0]].step_id)};
}

}  // namespace

Result<Graph> BuildGraph(const std::vector<DeclaredStep>& steps) {
  Graph graph;
  std::vector<Issue> issues;
  const StepPositions index = IndexSteps(steps, &issues);
  graph.depends_on.resize(steps.size());
  graph.sequential = std::ranges::none_of(steps, &DeclaredStep::has_depends_on);
  for (uint32_t i = 0; i < steps.size(); ++i) {
    if (graph.sequential) {
      if (i > 0) graph.depends_on[i] = {i - 1};
    } else {
      ResolveStep(steps[i], i, index, &graph.depends_on[i], &issues);
    }
    graph.edge_count += graph.depends_on[i].size();
  }
  if (graph.edge_count > kMaxEdges) {
    issues.push_back(
        {"steps", "too_many_edges",
         "expected at most " + std::to_string(kMaxEdges) + " dependencies, found " + std::to_string(graph.edge_count)});
  }
  constexpr std::string_view kWhat = "the step graph is not valid";
  if (!issues.empty()) return Fail(IssueError("INVALID_PLAN_SCHEMA", kWhat, std::move(issues)));
  if (graph.sequential) return graph;
  const std::vector<uint32_t> order = TopologicalOrder(graph.depends_on);
  if (order.size() == steps.size()) return graph;
  return Fail(IssueError("INVALID_PLAN_SCHEMA", kWhat, {CycleIssue(steps, FindCycle(graph.depends_on, order))}));
}

std::vector<uint32_t> TopologicalOrder(const std::vector<std::vector<uint32_t>>& depends_on) {
  const auto dependents = Dependents(depends_on);
  std::vector<size_t> missing(depends_on.size());
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> free;
  for (uint32_t i = 0; i < depends_on.size(); ++i) {
    missing[i] = depends_on[i].size();
    if (missing[i] == 0) free.push(i);
  }
  std::vector<uint32_t> order;
  order.reserve(depends_on.size());
  while (!free.empty()) {
    const uint32_t step = free.top();
    free.pop();
    order.push_back(step);
    for (const uint32_t next : dependents[step]) {
      if (--missing[next] == 0) free.push(next);
    }
  }
  return order;
}

std::vector<uint32_t> Levels(const std::vector<std::vector<uint32_t>>& depends_on) {
  std::vector<uint32_t> levels(depends_on.size(), 0);
  for (const uint32_t step : TopologicalOrder(depends_on)) {
    for (const uint32_t above : depends_on[step]) levels[step] = std::max(levels[step], levels[above] + 1);
  }
  return levels;
}

std::vector<std::vector<uint32_t>> Dependents(const std::vector<std::vector<uint32_t>>& depends_on) {
  std::vector<std::vector<uint32_t>> out(depends_on.size());
  for (uint32_t i = 0; i < depends_on.size(); ++i) {
    for (const uint32_t above : depends_on[i]) out[above].push_back(i);
  }
  return out;
}

AncestorQuery::AncestorQuery(const std::vector<std::vector<uint32_t>>& depends_on)
    : size_(depends_on.size()), words_((depends_on.size() + 63) / 64), bits_(size_ * words_, 0) {
  for (const uint32_t step : TopologicalOrder(depends_on)) {
    uint64_t* row = bits_.data() + step * words_;
    for (const uint32_t above : depends_on[step]) {
      const uint64_t* inherited = bits_.data() + above * words_;
      for (size_t w = 0; w < words_; ++w) row[w] |= inherited[w];
      row[above / 64] |= uint64_t{1} << (above % 64);
    }
  }
}

bool AncestorQuery::IsAncestor(uint32_t ancestor, uint32_t step) const {
  LOCKSTEP_CHECK(ancestor < size_ && step < size_, std::to_string(ancestor) + " " + std::to_string(step));
  return (bits_[step * words_ + ancestor / 64] >> (ancestor % 64) & 1) != 0;
}

std::vector<uint32_t> AncestorQuery::Ancestors(uint32_t step) const {
  std::vector<uint32_t> out;
  for (uint32_t i = 0; i < size_; ++i) {
    if (IsAncestor(i, step)) out.push_back(i);
  }
  return out;
}

}  // namespace lockstep::plan
