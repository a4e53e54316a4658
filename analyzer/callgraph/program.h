// The link step (spec 07 section 4.1, AN2 to AN5): merges the summaries of all units, resolves virtual and indirect calls over
// the whole program, computes what is reachable from the roots, follows values to sinks along realisable paths, and decides
// which hazards are findings.
//
// Determinism: units are merged in the order of their main files, functions are numbered in that order, every search walks
// vectors in index order. The result does not depend on how many threads produced the summaries.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analyzer/callgraph/summary.h"
#include "analyzer/registry/registry.h"

namespace lockstep::analyzer {

enum class Verdict : uint8_t { kCommandChanging, kPayloadOnly, kInert };
std::string_view VerdictName(Verdict verdict);

struct Location {
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;
  friend auto operator<=>(const Location&, const Location&) = default;
};

// One step of a chain: `function` is where we are, `at` the call in it that leads on (or the site itself for the last step).
struct ChainStep {
  std::string function;
  Location at;
};

struct TextEdit {
  std::string file;
  uint32_t offset = 0;
  uint32_t length = 0;
  std::string text;
  friend auto operator<=>(const TextEdit&, const TextEdit&) = default;
};

struct Finding {
  const Rule* rule = nullptr;
  Severity severity = Severity::kError;
  Verdict verdict = Verdict::kCommandChanging;
  Location at;
  std::string what;      // the offending thing
  std::string function;  // where it stands
  std::string root;      // name of the root
  std::string scope;     // S1, S2 or S3
  std::vector<ChainStep> chain;
  ChainStep sink;            // where the value matters, in words; empty when the site itself does
  std::vector<TextEdit> edits;
  std::string fingerprint;   // survives moves, renames of files and reformatting; filled in by lint.cpp
  std::string source_line;   // the same: text of the line, for people
  // One line: what, why replay breaks, what to write instead.
  std::string Message() const;
};

struct TrustedMark {
  std::string function;
  std::string reason;
  Location at;
};

struct GateBounds {
  int64_t min = 0;
  int64_t max = 0;
};

// The commands a root can issue, in the order of its code, and the change ids it asks for.
struct Skeleton {
  std::vector<std::string> commands;
  std::vector<std::string> changes;
  friend bool operator==(const Skeleton&, const Skeleton&) = default;
};

struct LinkOptions {
  std::vector<std::string> roots;                  // patterns of qualified names, beside the marks
  std::vector<std::string> deterministic_roots;    // the same for scope S2
  std::optional<std::map<std::string, GateBounds>> change_registry;
  std::optional<std::map<std::string, Skeleton>> command_baseline;
};

struct LinkResult {
  std::vector<Finding> findings;  // sorted by file, line, column, id, root
  std::vector<TrustedMark> trusted;
  std::vector<std::string> roots;
  std::map<std::string, Skeleton> skeletons;
  // Files that hold reachable code.
  std::vector<std::string> reachable_files;
};

LinkResult Link(const std::vector<Unit>& units, const LinkOptions& options);

}  // namespace lockstep::analyzer
