// W1 and W2 with their reasons; properties of order, levels and ancestors; the largest plan.
#include "engine-core/plan/graph.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

namespace lockstep::plan {
namespace {

DeclaredStep S(std::string_view id, std::vector<std::string_view> deps) { return {id, true, std::move(deps)}; }
std::string Reason(const std::vector<DeclaredStep>& steps) {
  const auto graph = BuildGraph(steps);
  if (graph) return "ok";
  EXPECT_EQ(graph.error().code, "INVALID_PLAN_SCHEMA");
  return graph.error().issues[0].code + " " + graph.error().issues[0].path;
}

TEST(BuildGraph, NoDependsOn_IsAChainInDeclarationOrder) {
  const auto graph = BuildGraph({{"a", false, {}}, {"b", false, {}}, {"c", false, {}}});
  ASSERT_TRUE(graph.has_value());
  EXPECT_TRUE(graph->sequential);
  EXPECT_EQ(graph->depends_on, (std::vector<std::vector<uint32_t>>{{}, {0}, {1}}));
}

TEST(BuildGraph, OneEmptyDependsOn_MakesOthersRoots) {
  const auto graph = BuildGraph({{"a", false, {}}, {"b", true, {}}, {"c", false, {}}});
  ASSERT_TRUE(graph.has_value());
  EXPECT_FALSE(graph->sequential);
  EXPECT_EQ(graph->edge_count, 0U);
}

TEST(BuildGraph, DuplicateDependenciesCollapse) {
  const auto graph = BuildGraph({S("a", {}), S("b", {"a", "a"})});
  ASSERT_TRUE(graph.has_value());
  EXPECT_EQ(graph->depends_on[1], std::vector<uint32_t>{0});
  EXPECT_EQ(graph->edge_count, 1U);
}

TEST(BuildGraph, duplicate_step_id) {
  EXPECT_EQ(Reason({S("a", {}), S("a", {})}), "duplicate_step_id steps[1].stepId");
}
TEST(BuildGraph, duplicate_step_id_InSequentialMode) {
  EXPECT_EQ(Reason({{"a", false, {}}, {"a", false, {}}}), "duplicate_step_id steps[1].stepId");
}
TEST(BuildGraph, unknown_dependency) { EXPECT_EQ(Reason({S("a", {"b"})}), "unknown_dependency steps[0].dependsOn[0]"); }
TEST(BuildGraph, self_dependency) { EXPECT_EQ(Reason({S("a", {"a"})}), "self_dependency steps[0].dependsOn[0]"); }
TEST(BuildGraph, invalid_dependency_value) {
  EXPECT_EQ(Reason({S("a", {}), S("b", {""})}), "invalid_dependency_value steps[1].dependsOn[0]");
  EXPECT_EQ(Reason({S("a", {}), S("b", {"a b"})}), "invalid_dependency_value steps[1].dependsOn[0]");
  EXPECT_EQ(Reason({S("a", {}), S("b", {"RUN"})}), "invalid_dependency_value steps[1].dependsOn[0]");
}
TEST(BuildGraph, cyclic_dependencies_detected_NamesOneCycle) {
  const auto graph = BuildGraph({S("free", {}), S("x", {"z", "free"}), S("y", {"x"}), S("z", {"y"}), S("tail", {"z"})});
  ASSERT_FALSE(graph.has_value());
  ASSERT_EQ(graph.error().issues.size(), 1U);
  EXPECT_EQ(graph.error().issues[0].code, "cyclic_dependencies_detected");
  EXPECT_EQ(graph.error().issues[0].path, "steps[1].dependsOn");
  EXPECT_EQ(graph.error().issues[0].message, "expected no cycle, found x -> z -> y -> x");
}
TEST(BuildGraph, AllFindingsAreReportedSorted) {
  const auto graph = BuildGraph({S("a", {"ghost"}), S("a", {"a", "!"})});
  std::vector<std::string> codes;
  for (const Issue& issue : graph.error().issues) codes.push_back(issue.path + " " + issue.code);
  EXPECT_EQ(codes, (std::vector<std::string>{"steps[0].dependsOn[0] unknown_dependency",
                                             "steps[1].dependsOn[1] invalid_dependency_value",
                                             "steps[1].stepId duplicate_step_id"}));
}

std::vector<std::string> Names(size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back("s" + std::to_string(i));
  return names;
}
// Step i depends on up to `width` steps before it.
std::vector<DeclaredStep> Layered(const std::vector<std::string>& names, size_t width, size_t limit = SIZE_MAX) {
  std::vector<DeclaredStep> steps;
  size_t edges = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    DeclaredStep step{names[i], true, {}};
    for (size_t k = 1; k <= width && k <= i && edges < limit; ++k, ++edges) step.depends_on.push_back(names[i - k]);
    steps.push_back(std::move(step));
  }
  return steps;
}

TEST(BuildGraph, LargestPlan_TenThousandStepsHundredThousandEdges) {
  const auto names = Names(kMaxSteps);
  const auto graph = BuildGraph(Layered(names, 11, kMaxEdges));
  ASSERT_TRUE(graph.has_value());
  EXPECT_EQ(graph->edge_count, kMaxEdges);
  EXPECT_EQ(TopologicalOrder(graph->depends_on).size(), kMaxSteps);
  const AncestorQuery query(graph->depends_on);
  EXPECT_TRUE(query.IsAncestor(0, 100));
  EXPECT_FALSE(query.IsAncestor(100, 0));
}

TEST(BuildGraph, too_many_edges) {
  const auto names = Names(kMaxSteps);
  const auto graph = BuildGraph(Layered(names, 11, kMaxEdges + 1));
  ASSERT_FALSE(graph.has_value());
  EXPECT_EQ(graph.error().issues[0].code, "too_many_edges");
}

TEST(TopologicalOrder, PrefersTheLowestIndex) {
  EXPECT_EQ(TopologicalOrder({{3}, {}, {}, {}}), (std::vector<uint32_t>{1, 2, 3, 0}));
}

TEST(Levels, RootsAreZero) { EXPECT_EQ(Levels({{}, {0}, {0}, {1, 2}, {}}), (std::vector<uint32_t>{0, 1, 1, 2, 0})); }

std::vector<std::vector<uint32_t>> AnyGraph() {
  const auto count = *rc::gen::inRange<uint32_t>(1, 30);
  // A hidden order, so that dependencies also point forward in declaration order.
  std::vector<uint32_t> rank(count);
  for (uint32_t& one : rank) one = *rc::gen::inRange<uint32_t>(0, 1'000);
  std::vector<std::vector<uint32_t>> out(count);
  for (uint32_t i = 0; i < count; ++i) {
    for (const uint32_t d : *rc::gen::container<std::set<uint32_t>>(rc::gen::inRange<uint32_t>(0, count))) {
      if (std::pair(rank[d], d) < std::pair(rank[i], i)) out[i].push_back(d);
    }
  }
  return out;
}

TEST(Graph, RandomGraphs_OrderLevelsAndAncestorsAgree) {
  rc::check([] {
    const auto depends_on = AnyGraph();
    const auto order = TopologicalOrder(depends_on);
    RC_ASSERT(order.size() == depends_on.size());
    std::vector<size_t> position(order.size());
    for (size_t i = 0; i < order.size(); ++i) position[order[i]] = i;
    const auto levels = Levels(depends_on);
    const auto dependents = Dependents(depends_on);
    const AncestorQuery query(depends_on);
    for (uint32_t i = 0; i < depends_on.size(); ++i) {
      std::set<uint32_t> ancestors;
      for (const uint32_t d : depends_on[i]) {
        RC_ASSERT(position[d] < position[i]);
        RC_ASSERT(levels[d] < levels[i]);
        RC_ASSERT(std::count(dependents[d].begin(), dependents[d].end(), i) == 1);
        ancestors.insert(d);
        for (const uint32_t a : query.Ancestors(d)) ancestors.insert(a);
      }
      RC_ASSERT(query.Ancestors(i) == std::vector<uint32_t>(ancestors.begin(), ancestors.end()));
    }
  });
}

TEST(Graph, RandomGraphWithOneBackEdge_IsACycle) {
  rc::check([] {
    const auto depends_on = AnyGraph();
    const AncestorQuery query(depends_on);
    const auto names = Names(depends_on.size());
    std::vector<DeclaredStep> steps;
    for (uint32_t i = 0; i < depends_on.size(); ++i) {
      DeclaredStep step{names[i], true, {}};
      for (const uint32_t d : depends_on[i]) step.depends_on.push_back(names[d]);
      steps.push_back(step);
    }
    RC_ASSERT(BuildGraph(steps).has_value());
    const auto step = *rc::gen::inRange<uint32_t>(0, static_cast<uint32_t>(depends_on.size()));
    const auto ancestors = query.Ancestors(step);
    if (ancestors.empty()) return;
    steps[ancestors[0]].depends_on.push_back(names[step]);
    const auto graph = BuildGraph(steps);
    RC_ASSERT(!graph.has_value());
    RC_ASSERT(graph.error().issues[0].code == "cyclic_dependencies_detected");
  });
}

}  // namespace
}  // namespace lockstep::plan
