// Why a replay left its history: ranked causes, each with evidence and, where it can be told, the line (spec 07,
// section 7). The rules are a table over facts: what differs and how, whether it differs again under other conditions,
// what the source near the command says, what changed since another revision, and what the analyzer found on the way to
// it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "replay/compare/json_diff.h"
#include "replay/trace/edits.h"
#include "replay/trace/probe.h"
#include "replay/trace/source_view.h"
#include "replay/trace/state_view.h"

namespace lockstep::replay {

struct Cause {
  std::string cause;      // one of CauseNames()
  double confidence = 0;  // 0 to 1, for ranking
  std::vector<std::string> evidence;
  workflow::SourceLine where;
  std::string finding;  // id of the analyzer's finding behind it
  int change = -1;      // index of the edit behind it
};

// `ungated-change`, `unordered-iteration`, `time`, `random`, `external-result`, `timeout-change`,
// `plan-or-input-change`, `environment`, `undefined-behavior`, `corrupt-record`.
const std::vector<std::string_view>& CauseNames();
std::string_view CauseMeaning(std::string_view cause);

struct CauseFacts {
  workflow::Divergence first;
  std::vector<workflow::Divergence> all;  // of the same prefix
  std::vector<JsonDifference> fields;     // between expected and actual
  std::vector<AwaitView> began;           // where the code stood before that task
  std::vector<AwaitView> awaits;          // and at its end
  const ProbeResult* bad = nullptr;
  const ProbeResult* again = nullptr;  // the same prefix under other conditions; nullptr: not tried
  const ProbeResult* environment = nullptr;
  const ProbeResult* memory = nullptr;
  const ProbeResult* memory_again = nullptr;  // tried only where the value is another each time
  bool plan_differs = false;                  // the record's plan or input is not the history's
  int64_t now_ms = 0;                         // for telling the clock of this machine from recorded times
  int64_t workflow_ms = 0;                    // time of the workflow task
  std::vector<Edit> edits;                    // of what changed since a revision that was in step
  bool changes_known = false;
  std::vector<Finding> findings;
};

// Most likely first; at least one. Lines that are equal appear once.
std::vector<Cause> RankCauses(const CauseFacts& facts, SourceTree* tree);

}  // namespace lockstep::replay
