// Suppressions (spec 07 section 4.1, AN7; rule determinism-suppression):
//   // NOLINTNEXTLINE(determinism-wall-clock): reason; owner=team; expires=2026-12-31
//   // NOLINT(determinism-wall-clock): ...             on the line itself
//   // NOLINTBEGIN(determinism-wall-clock): ...   ...  // NOLINTEND(determinism-wall-clock)
// A comment counts only when it names a determinism rule (`determinism-*` works) or stands bare over a determinism finding;
// comments for other tools are not ours to judge. Reason, owner and expiry (at most 90 days ahead) are required; what is
// incomplete, expired or unused is a finding itself, and an expired one no longer suppresses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/callgraph/program.h"

namespace lockstep::analyzer {

struct Suppression {
  enum class Kind : uint8_t { kLine, kNextLine, kBegin, kEnd };
  Kind kind = Kind::kLine;
  uint32_t line = 0;  // of the comment
  uint32_t column = 0;
  uint32_t first = 0;  // lines it covers
  uint32_t last = 0;
  std::vector<std::string> rules;  // patterns
  std::string reason;
  std::string owner;
  std::string expires;
  std::vector<std::string> problems;
  bool used = false;
  bool expired = false;
};

// All suppressions of determinism rules in a source text. `today` is YYYY-MM-DD. Strings and block comments are understood.
std::vector<Suppression> ParseSuppressions(std::string_view text, std::string_view today, int max_days);
// Days between two dates YYYY-MM-DD, second minus first; nothing when one is no date.
bool DaysBetween(std::string_view from, std::string_view to, int* days);

}  // namespace lockstep::analyzer
