// The dependency graph of a plan (spec 01 section 7.1, spec 04 rules W1 and W2): checks with their reasons, and the
// queries that references, predicates and the capability check ask. Everything is indexed by declaration order; nothing
// here allocates per edge twice, so 10 000 steps with 100 000 edges take milliseconds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::plan {

inline constexpr size_t kMaxSteps = 10'000;
inline constexpr size_t kMaxEdges = 100'000;

// One step as the document declares it.
struct DeclaredStep {
  std::string_view step_id;
  // Whether the member `dependsOn` is there, even empty.
  bool has_depends_on = false;
  std::vector<std::string_view> depends_on;
};

struct Graph {
  // Sorted dependencies of each step, without duplicates.
  std::vector<std::vector<uint32_t>> depends_on;
  // No step has `dependsOn`: a chain in declaration order.
  bool sequential = false;
  size_t edge_count = 0;
};

// All findings at once: duplicate_step_id, unknown_dependency, self_dependency, invalid_dependency_value,
// too_many_edges, and, when nothing else is wrong, cyclic_dependencies_detected naming one cycle. Error
// INVALID_PLAN_SCHEMA.
LOCKSTEP_DETERMINISTIC Result<Graph> BuildGraph(const std::vector<DeclaredStep>& steps);

// A topological order that prefers the lowest declaration index; complete for every Graph that BuildGraph returned.
LOCKSTEP_DETERMINISTIC std::vector<uint32_t> TopologicalOrder(const std::vector<std::vector<uint32_t>>& depends_on);

// Length of the longest dependency chain above each step: roots are level 0.
LOCKSTEP_DETERMINISTIC std::vector<uint32_t> Levels(const std::vector<std::vector<uint32_t>>& depends_on);

// The steps that wait for each step, sorted.
LOCKSTEP_DETERMINISTIC std::vector<std::vector<uint32_t>> Dependents(
    const std::vector<std::vector<uint32_t>>& depends_on);

// Answers "is `ancestor` reached from `step` along dependencies?" in constant time, from one bit per pair of steps
// (12.5 MB for the largest plan). The graph must have no cycle. Immutable once built.
class LOCKSTEP_DETERMINISTIC AncestorQuery {
 public:
  explicit AncestorQuery(const std::vector<std::vector<uint32_t>>& depends_on);
  bool IsAncestor(uint32_t ancestor, uint32_t step) const;
  // All ancestors of `step`, sorted.
  std::vector<uint32_t> Ancestors(uint32_t step) const;

 private:
  size_t size_;
  size_t words_;
  std::vector<uint64_t> bits_;
};

}  // namespace lockstep::plan
