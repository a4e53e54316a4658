// What a change says anew, when all that says nothing is taken away: the hunks of a diff are compared word by word
// inside the functions and declarations they belong to, wherever those stand now. Comments, formatting, names that were
// changed throughout, functions that moved, includes and log lines are told apart from what a program does otherwise.
// Used to rank, never to decide.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "replay/trace/cpp_text.h"
#include "replay/trace/source_view.h"

namespace lockstep::replay {

// One place that says something else than before.
struct Edit {
  std::string file;
  uint32_t line = 0;  // of the new text: the first word that is new; of a removal, the word beside it
  uint32_t last = 0;
  std::string function;  // or declaration; empty outside of both
  std::vector<Token> removed, added;
  std::vector<Token> around;  // the statement it stands in, as it is now
  bool new_item = false;      // all of a function that was not there before
  // The same as whole lines, with the names of the new text: what a gate is made of.
  Hunk hunk;
};

struct EditView {
  std::vector<Edit> edits;
  // How many places were left out, by what they are: `comment or format`, `name`, `move`, `include`, `log`,
  // `qualifier`.
  std::vector<std::pair<std::string, size_t>> harmless;
};

// Hunks of files that are not C++, or of tests, give nothing. Where the tree holds another text than the diff ends
// with, each hunk is an edit as it stands.
EditView EditsOf(SourceTree* tree, const std::vector<Hunk>& hunks);

// A shortest way from one list of words to the other: which runs of the old are replaced by which of the new.
struct TokenChange {
  size_t old_begin = 0, old_end = 0;
  size_t new_begin = 0, new_end = 0;
};
std::vector<TokenChange> DiffTokens(const std::vector<Token>& before, const std::vector<Token>& after);

}  // namespace lockstep::replay
