// The eighteen rules on plan JSON (spec 07 section 5). A rule is a function over the view of a plan; what it finds it
// puts into one collector, which keeps one finding for each (rule, JSON Pointer). Ids, severities and pages:
// rules.json, family `plan`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/plan/plan_text.h"
#include "analyzer/registry/registry.h"

namespace lockstep::analyzer {

// Ids without `determinism-plan-`.
struct PlanHit {
  std::string rule;
  std::string pointer;
  size_t step = kNoStep;
  std::string what;
  std::optional<Severity> severity;  // where it is not that of the rule
};

class PlanHits {
 public:
  // A second hit of a rule at a place joins the first.
  void Add(std::string_view rule, const std::string& pointer, size_t step, const std::string& what,
           std::optional<Severity> severity = std::nullopt);
  std::vector<PlanHit> Take() { return std::move(hits_); }

 private:
  std::vector<PlanHit> hits_;
  std::map<std::pair<std::string, std::string>, size_t> index_;
};

// Query text: clocks, dice, ids, concatenation, state that changes on repeat, order, session settings.
void RunSqlRules(const PlanView& view, PlanHits* hits);
// Texts of every other kind: templates, programs, paths, versions, environment, credentials, parallelism.
void RunTextRules(const PlanView& view, PlanHits* hits);
// Shape: references, conditions, gates, bounds, signals, network.
void RunShapeRules(const PlanView& view, PlanHits* hits);

// How each step's rows are ordered, where that can be told and is not total; by step index.
std::map<size_t, std::string> UnorderedSteps(const PlanView& view);

}  // namespace lockstep::analyzer
