// The one list of rules (rules.json): id, number, family, title, severity, reach, why, replacement, fix. It drives
// --list-rules, --explain, SARIF metadata and the docs index; a test compares it with the pages, the models and the fixtures.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::analyzer {

enum class Severity : uint8_t { kNote, kWarning, kError };
std::string_view SeverityName(Severity severity);

struct Rule {
  std::string id;      // determinism-wall-clock
  std::string number;  // A1; P1 to P18 are the rules on plans
  std::string family;  // time: the folder of its page
  std::string title;
  Severity severity = Severity::kError;
  std::string reach;  // L, R, T, B, D or a combination; P for plans
  std::string why;    // why replay breaks: second half of every message
  std::string replacement;
  bool fix = false;
  bool protocol = false;  // family J: off in scope S2
};

class Registry {
 public:
  // Parses the embedded rules.json once.
  static const Registry& Get();
  const std::vector<Rule>& rules() const { return rules_; }
  const Rule* Find(std::string_view id) const;
  // The page of a rule in Markdown, or an empty view.
  static std::string_view Page(const Rule& rule);

 private:
  Registry();
  std::vector<Rule> rules_;
};

}  // namespace lockstep::analyzer
