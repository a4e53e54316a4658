// From a checked v1.2 document to the in-memory form: applies every default and resolves every name.
#pragma once

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/plan/graph.h"
#include "engine-core/plan/plan.h"

namespace lockstep::plan {

// Stage 13 (spec 01 section 4) over an upgraded document: kinds, their parameters, references and predicates, plugin
// members. Paths name the keys of `document`. Empty when all is well.
LOCKSTEP_DETERMINISTIC std::vector<Issue> CheckSteps(const Json& document, const Graph& graph, bool allow_test_kinds);

// `document` passed the structural check, the graph check and CheckSteps. Custom signals are left out: they are read by
// ParseCustomSignals, which can fail.
LOCKSTEP_DETERMINISTIC Plan BuildPlan(const Json& document, const Graph& graph);

// The steps as the graph check wants them; views into `document`.
LOCKSTEP_DETERMINISTIC std::vector<DeclaredStep> DeclaredSteps(const Json& document);

}  // namespace lockstep::plan
