// The source text beside a divergence: functions and lines of the tree that was built, what changed since another
// revision, and what the analyzer found. All of it is advice for people; nothing here decides whether a replay is in
// step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/workflow/divergence.h"
#include "replay/trace/cpp_text.h"

namespace lockstep::replay {

// A change between two revisions, from a unified diff.
struct Hunk {
  std::string file;  // relative to the tree
  uint32_t old_start = 0;
  uint32_t new_start = 0;  // first changed line of the new text; for a pure deletion the line after which it was
  std::vector<std::string> old_lines;
  std::vector<std::string> new_lines;
};
// Context lines are dropped: every hunk is one run of changed lines. Error: DIFF_INVALID.
Result<std::vector<Hunk>> ParseDiff(std::string_view text);
// `git diff` of the working tree around `directory` against `revision`. Errors: GIT_FAILED, PROGRAM_NOT_FOUND.
Result<std::vector<Hunk>> ChangesSince(const std::string& directory, const std::string& revision);

// One finding of `lockstep-tidy --format json`.
struct Finding {
  std::string id;
  std::string message;
  std::vector<workflow::SourceLine> chain;  // root to site
  const workflow::SourceLine& site() const { return chain.back(); }
};
// Error: FINDINGS_INVALID.
Result<std::vector<Finding>> ParseFindings(std::string_view json);

// A function, or a declaration or macro that stands outside of functions.
struct FunctionText {
  std::string name;  // last part only: `Dispatch`
  std::string file;
  uint32_t first = 0;  // lines, 1-based, inclusive
  uint32_t last = 0;
  ItemKind kind = ItemKind::kFunction;
  std::string scope;  // class it belongs to
  // As in Item, sorted.
  std::vector<std::string> calls, names, locals, writes;
};

// The text of the tree, and its functions as the text shows them (cpp_text.h). Used to rank, never to decide.
class SourceTree {
 public:
  // A file is taken from the first of these folders that has it.
  explicit SourceTree(std::vector<std::filesystem::path> roots) : roots_(std::move(roots)) {}

  bool empty() const { return roots_.empty(); }
  // The name of a file below these folders, as compilers write it: an absolute path, one relative to a build folder, or
  // one of another machine that ends alike. The name itself when there is no such file.
  const std::string& Relative(const std::string& file);
  // nullptr when there is no such file.
  const std::vector<std::string>* Lines(const std::string& file);
  const std::vector<FunctionText>& Functions(const std::string& file);
  const FunctionText* FunctionAt(const std::string& file, uint32_t line);
  // The words of a file; empty when there is no such file.
  const std::vector<Token>& Words(const std::string& file);
  // C++ files that stand in the same folders as these.
  std::vector<std::string> Neighbours(const std::vector<std::string>& files);

 private:
  std::vector<std::filesystem::path> roots_;
  std::map<std::string, std::optional<std::vector<std::string>>> lines_;
  std::map<std::string, std::vector<FunctionText>> functions_;
  std::map<std::string, std::string> relative_;
  std::map<std::string, std::vector<Token>> words_;
};

// How many calls away each function is from the given ones (0: one of them), by `file:first`, at most `limit`. What
// writes the state that a function reads counts as two calls away.
std::map<std::string, int> CallDistances(SourceTree* tree, const std::vector<std::string>& files,
                                         const std::vector<workflow::SourceLine>& from, int limit);

// The lines of the calls that lead from one of the given functions to the one around `to`, innermost first; empty when
// none is known.
std::vector<workflow::SourceLine> CallPath(SourceTree* tree, const std::vector<std::string>& files,
                                           const std::vector<workflow::SourceLine>& from,
                                           const workflow::SourceLine& to);

// The top of the git tree around `directory`, or `directory` itself.
std::filesystem::path TreeAround(const std::filesystem::path& directory);

}  // namespace lockstep::replay
