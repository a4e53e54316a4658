// What several renderers say in the same words: places, counts, sentences about grades, what to do next.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "reports/render/render.h"

namespace lockstep::reports {

std::string Counted(int64_t count, std::string_view noun);  // `3 errors`, `1 history`
// `file:line:column`, relative to the base of the options.
std::string At(const std::string& file, int line, int column, const RenderOptions& options);
std::string Shown(const std::string& file, const RenderOptions& options);
// The link to a line, or an empty string.
std::string LinkTo(const std::string& file, int line, const RenderOptions& options);
// Cut inside a code point never; `...` tells that something was cut.
std::string Clip(std::string_view text, size_t max_bytes);

// Text between tags, or inside a double-quoted attribute; control characters that XML and HTML forbid become `?`.
std::string EscapeMarkup(std::string_view text);

// The step of the plan; outside of plans what the command calls.
std::string StepOf(const v1::Divergence& divergence);
// ` at event 20`, ` at runSeq 7`, or nothing.
std::string WhereInRun(const v1::Divergence& divergence);
// What a grade means for running workflows, one sentence.
std::string_view GradeMeaning(std::string_view grade);
// What to do about a kind of divergence, one sentence.
std::string RemedyFor(const v1::Divergence& divergence);
// A word as a shell takes it.
std::string ShellQuoted(std::string_view word);
// The command that shows a divergence again.
std::string ReproduceCommand(const v1::History& history);

// One line about everything: `64 histories: 63 identical, 1 diverged; 2 errors, 1 warning`.
std::string Summary(const std::vector<v1::Result>& results);

// Findings of all results, one for each (rule, place); `roots` tells how many roots reach it.
struct Grouped {
  const v1::Finding* finding = nullptr;
  int roots = 1;
};
std::vector<Grouped> GroupFindings(const v1::Result& result);

// Findings against those of the base branch.
struct BaseComparison {
  bool known = false;                     // there is a base
  bool whole = true;                      // all findings were reported, not only those that a change can have caused
  std::set<std::string> before;           // fingerprints
  std::vector<const v1::Finding*> fixed;  // of the base, gone
  int64_t added = 0;
  int64_t total = 0;
  int64_t total_before = 0;
  bool IsNew(const v1::Finding& finding) const { return known && !before.contains(finding.fingerprint()); }
  std::string Sentence() const;  // `2 findings new, 1 fixed; 5 in all, 4 on the base.`
};
BaseComparison CompareWithBase(const std::vector<v1::Result>& results, const RenderOptions& options);

// The checklist at the end (spec 07 section 8.1).
std::vector<std::string> NextSteps(const std::vector<v1::Result>& results);

struct RuleFacts {
  std::string number;
  std::string title;
  std::string why;
  std::string replacement;
  std::string severity;
  std::string page;  // Markdown
};
// What the registry says about a rule id; empty strings for an unknown one.
RuleFacts FactsOf(const std::string& rule_id);

}  // namespace lockstep::reports
