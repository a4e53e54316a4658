// Library models (spec 07 section 4.1, AN6): what a function outside the program means for replay. A model file is YAML; the
// ones beside this header are compiled into the tool, users add theirs with --models or in .lockstep.yaml.
//
// File format (every list is optional):
//   library: name
//   safe | cut | inert | order_free | sorts | suspends | rollover | spawns | hashes | compares | name_fields | ports: [pattern...]
//   hazards:   [{rule, carry: effect|value|out|taint, names: [...], types: [...], if_literal: {argument, matches},
//                if_float: bool, if_derives: class, also_own: bool, through_library: bool, sinks: [...]}]
//   variables: [{rule, carry, names}]
//   commands:  [{names, name_args: [i...], decide_args: [i...], suspends: bool, needs_argument: i}]
//   callables: [{kind: query|signal|update|predicate|side_effect, names}]
//   types:     {unordered: [...], ordered: [...], atomic...: [...]}
// A pattern is a qualified name without template arguments and inline namespaces; `*` matches any characters. An exact name
// wins over a pattern, a longer pattern over a shorter one, a later file over an earlier one.
//
// A program may have functions of its own that are called like one of a library (`read`, `random`, `Config::load_config`): what comes
// with the tool speaks about them only where it names their namespace or says `also_own`. Models of the user speak about everything.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "analyzer/callgraph/summary.h"
#include "engine-core/base/result.h"

namespace lockstep::analyzer {

enum class ModelKind : uint8_t { kSafe, kCut, kInert, kHazard, kCommand, kHash };

struct Model {
  ModelKind kind = ModelKind::kSafe;
  std::string rule;
  HazardMode mode = HazardMode::kEffect;
  bool out = false;  // the value is written through pointer arguments
  bool if_float = false;
  bool through_library = false;
  int literal_argument = -1;
  std::string literal_pattern;  // anchored `*` pattern
  std::string derives;          // only members of classes that derive from this one
  uint32_t sinks = 0xff;
  uint32_t name_args = 0;
  uint32_t decide_args = 0;
  int needs_argument = -1;  // a command only when this argument is given
};

// Facts that go with any model: they are looked up separately because a safe function can also sort, suspend or wait.
enum class Trait : uint8_t { kOrderFree, kSorts, kSuspends, kRollover, kHashes, kCompares, kUnordered, kOrdered, kQuery, kSignal,
                             kUpdate, kPredicate, kSideEffect, kTask, kAwaitable, kNameField, kSpawns, kPort };

class ModelSet {
 public:
  ModelSet();
  ~ModelSet();
  ModelSet(ModelSet&&) noexcept;
  ModelSet& operator=(ModelSet&&) noexcept;

  // The models that come with the tool.
  static const ModelSet& BuiltIn();
  ModelSet Clone() const;
  // `origin` is named in errors. Error code: MODEL_INVALID.
  Status AddYaml(std::string_view text, const std::string& origin);

  // Every model whose name matches one of the candidates best; several hazards may share a name under different conditions.
  // `own`: the function is the program's, not a library's.
  const std::vector<Model>* Find(const std::vector<std::string>& candidates, bool own = false) const;
  const Model* FindVariable(const std::string& name, bool own = false) const;
  bool Has(Trait trait, const std::vector<std::string>& candidates) const;
  bool Has(Trait trait, const std::string& name) const;
  // Digest over everything that was added: part of the cache key.
  const std::string& digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// `*` matches any run of characters, everything else itself.
bool MatchesPattern(std::string_view pattern, std::string_view text);

}  // namespace lockstep::analyzer
