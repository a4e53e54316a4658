// JSON Schema draft-07, checked by Valijson (spec 00 section 5). One checker for the embedded schemas and for
// the payload schemas that plans bring along, therefore safe against hostile schemas and instances: patterns run in
// linear time, references stay inside the document, evaluation is bounded.
//
// Supported subset: every draft-07 assertion except `patternProperties`; `format` and the annotations are accepted and
// not checked; a local `$ref` (`#`, `#/...`) may not lead back to itself without descending into the instance. A
// keyword outside the subset is refused instead of ignored, because a constraint that silently does nothing is worse
// than none.
//
// A compiled schema is immutable and may be used from several threads.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::contracts {

struct Violation {
  // RFC 6901 pointer of the offending value; for `required` of the absent, for `additionalProperties` of the surplus
  // member.
  std::string pointer;
  // The violated keyword, for instance `type` or `maximum`; `budget` when the instance is too costly to judge.
  std::string keyword;
  // `expected an integer from 1 to 20, found 30`.
  std::string message;
  friend bool operator==(const Violation&, const Violation&) = default;
};

class JsonSchema {
 public:
  // Error SCHEMA_INVALID names the pointer inside the schema.
  LOCKSTEP_TRUSTED("a pure function; Valijson and RE2 look at nothing but their arguments")
  static Result<JsonSchema> Compile(const Json& schema);
  // A schema that is part of the program (`EmbeddedText`); a broken one is a broken invariant.
  LOCKSTEP_TRUSTED("compiled once from constant text under a lock; every thread sees the same value")
  static const JsonSchema& Embedded(std::string_view file_name);

  // Sorted by pointer, then keyword; empty when the instance is valid. At most `kMaxViolations` are reported.
  LOCKSTEP_TRUSTED("a pure function; the thread-local budget starts anew with every call")
  std::vector<Violation> Check(const Json& instance) const;
  bool Accepts(const Json& instance) const { return Check(instance).empty(); }

  JsonSchema(JsonSchema&&) noexcept;
  JsonSchema& operator=(JsonSchema&&) noexcept;
  ~JsonSchema();

  static constexpr size_t kMaxViolations = 1000;

 private:
  struct State;
  explicit JsonSchema(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lockstep::contracts
