// Lines that may be wrong, from the history and the source as it is, when nothing is known of what changed: the
// statement that issues the command, what decides whether it is reached, what it is made of, what the code waited for,
// who takes the messages of the task. Each with a score and a reason. Used to rank, never to decide.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "replay/compare/json_diff.h"
#include "replay/trace/probe.h"
#include "replay/trace/source_view.h"
#include "replay/trace/state_view.h"

namespace lockstep::replay {

struct Suspect {
  workflow::SourceLine where;
  double score = 0;  // 0 to 1
  std::string why;
};

struct SuspectFacts {
  workflow::Divergence first;
  std::vector<workflow::Divergence> all;
  std::vector<JsonDifference> fields;
  std::vector<AwaitView> began;   // where the code stood before the workflow task
  std::vector<AwaitView> awaits;  // and after it
  std::vector<Issuer> issuers;
  std::vector<TaskMessage> messages;       // that came with the task
  std::vector<std::string> field_words;    // by which the code would speak of what differs
  std::vector<std::string> actual_values;  // as the code may write them
  std::vector<std::string> expected_values;
  std::vector<std::string> files;        // that are looked through
  std::map<std::string, int> distances;  // calls from the command, by `file:first`
};

std::vector<Suspect> FindSuspects(const SuspectFacts& facts, SourceTree* tree);

// The statements of one function, and what each stands under.
class Body {
 public:
  struct Statement {
    size_t begin = 0, end = 0;  // words of the file
    uint32_t first = 0, last = 0;
    int guard = -1;       // the head of `if`, `for`, `while`, `switch` or `catch` that it stands under
    bool head = false;    // is such a head
    bool loop = false;    // of a loop
    bool block = false;   // nothing but braces, or opens a block
    bool leaves = false;  // return, break, continue, throw
  };

  Body(const std::vector<Token>& words, const FunctionText& function);
  const std::vector<Statement>& statements() const { return statements_; }
  // The one that stands on a line, or around it; -1: none.
  int At(uint32_t line) const;
  // The heads that decide whether it is reached: those around it from the inside, and those before it that leave.
  std::vector<int> Deciders(int statement) const;

 private:
  size_t One(size_t at, int guard);
  size_t Block(size_t at, int guard);
  std::string_view First(size_t at) const;

  const std::vector<Token>& words_;
  size_t base_ = 0;
  std::vector<size_t> begins_;
  std::vector<Statement> statements_;
  int depth_ = 0;
};

}  // namespace lockstep::replay
