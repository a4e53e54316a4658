// References and predicates (spec 01 section 5.7), the only two things in a plan that depend on values of the run.
//
//   ${params.a.b[0]}   ${run.id}   ${run.startedAt}   ${steps['id'].result.path}   ${signals['NAME'][0].path}
//
// A path is names separated by dots; `[n]` picks an array item, `['any text']` a member whose name is no plain name.
// Nothing else is an expression; any other `${...}` is refused. `$${` writes a literal `${`.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/plan/plan.h"

namespace lockstep::plan {

enum class ReferenceSource : uint8_t { kParams, kRunId, kRunStartedAt, kStepResult, kSignal };

struct Reference {
  ReferenceSource source = ReferenceSource::kParams;
  // Step id or signal name.
  std::string name;
  // Which accepted signal, oldest first.
  uint32_t signal_index = 0;
  // RFC 6901, into the parameters, the result or the payload; empty for the whole.
  std::string pointer;
  // As written, `${...}`.
  std::string text;
  friend bool operator==(const Reference&, const Reference&) = default;
};

// A string split at its references: literal, reference, literal ... ; `literals` has one more entry than `references`.
struct Template {
  std::vector<std::string> literals;
  std::vector<Reference> references;
  // The string is one reference and nothing else: its value keeps its type.
  bool IsExactlyOne() const { return references.size() == 1 && literals[0].empty() && literals[1].empty(); }
  bool IsLiteral() const { return references.empty(); }
};

// Error REFERENCE_INVALID names the reference and what was expected.
LOCKSTEP_DETERMINISTIC Result<Template> ParseTemplate(std::string_view text);

// A reference and where it stands in a JSON value.
struct FoundReference {
  std::string pointer;
  Reference reference;
};
// All references in all strings of a value, in document order; malformed ones become issues at PathFromPointer(base +
// pointer).
LOCKSTEP_DETERMINISTIC std::vector<FoundReference> ListReferences(const Json& value, std::string_view base_pointer,
                                                                  std::vector<Issue>* issues);

// Where values come from. Each look-up returns nullptr when there is nothing; results must live until the next look-up.
struct ReferenceContext {
  const Json* params = nullptr;
  std::string run_id;
  std::string run_started_at;
  // Value at a pointer into the recorded result of a step (a probe or part of a whole result).
  std::function<const Json*(const std::string& step_id, const std::string& pointer)> step_result;
  // Payload of the i-th accepted signal of a name.
  std::function<const Json*(const std::string& name, uint32_t index)> signal;
};

// The value with every reference replaced. A string that is exactly one reference becomes the value; inside a longer
// string a value is written as text (strings as they are, everything else as canonical JSON). Error
// REFERENCE_UNRESOLVED.
LOCKSTEP_DETERMINISTIC Result<Json> Resolve(const Json& value, const ReferenceContext& context);
LOCKSTEP_DETERMINISTIC Result<std::string> ResolveText(std::string_view text, const ReferenceContext& context);

// `probe`: the value found at the predicate's path, nullptr when there is none. A missing value makes every operator
// except `ne` false. `eq`, `ne` compare JSON values (numbers by value); `lt le gt ge` compare two numbers or two
// strings (by code units of UTF-8), anything else is false.
LOCKSTEP_DETERMINISTIC bool EvaluateRunIf(const Predicate& predicate, const Json* probe);

// What `executeStep` has to bring back of a step (spec 04 W7): the JSON Pointers that predicates and references of
// other steps ask of it, sorted, without duplicates; indexed by step.
LOCKSTEP_DETERMINISTIC std::vector<std::vector<std::string>> AllProbePaths(const StepTable& table);
// The same for one step; use AllProbePaths for more than one.
LOCKSTEP_DETERMINISTIC std::vector<std::string> ProbePaths(const StepTable& table, uint32_t step);

// Largest probe a predicate may see, in bytes of canonical JSON.
inline constexpr size_t kMaxProbeBytes = 256;
// The probes of a result: pointer -> scalar; what is missing, no scalar or too large is left out.
LOCKSTEP_DETERMINISTIC std::map<std::string, Json> ExtractProbes(const Json& result,
                                                                 const std::vector<std::string>& pointers);

}  // namespace lockstep::plan
