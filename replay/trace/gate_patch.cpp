#include "replay/trace/gate_patch.h"

#include <algorithm>

#include "engine-core/base/bytes.h"

namespace lockstep::replay {
namespace {

constexpr uint32_t kContext = 3;

std::string Call(const std::string& change_id) {
  return "wf::get_version(\"" + change_id + "\", wf::kDefaultVersion, 1)";
}

std::string IndentOf(const std::string& line) {
  return line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
}

std::string Trimmed(std::string_view text) {
  const size_t from = text.find_first_not_of(" \t");
  if (from == std::string_view::npos) return {};
  return std::string(text.substr(from, text.find_last_not_of(" \t") - from + 1));
}

// Brackets match, none closes what it did not open; texts and characters are skipped.
bool Balanced(std::string_view text) {
  std::string open;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\')
        ++i;
      else if (c == quote)
        quote = 0;
    } else if (c == '"' || (c == '\'' && (i == 0 || !IsAsciiDigit(text[i - 1])))) {
      quote = c;
    } else if (c == '(' || c == '[' || c == '{') {
      open.push_back(c);
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) return false;
      open.pop_back();
    }
  }
  return open.empty() && quote == 0;
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// Whole statements that declare nothing the rest of the function could need.
bool WholeStatements(const std::vector<std::string>& lines) {
  const std::string text = Trimmed(Joined(lines));
  if (lines.empty()) return true;
  if (!Balanced(Joined(lines))) return false;
  const std::string last = Trimmed(lines.back());
  if (!last.ends_with(';') && !last.ends_with('}')) return false;
  const std::string first = Trimmed(lines.front());
  for (const std::string_view word : {"const ", "auto ", "constexpr ", "static ", "int ", "int64_t ", "bool ",
                                      "std::", "Json ", "case ", "}", "else"}) {
    if (first.starts_with(word) && !(word == "std::" && first.find('=') == std::string::npos)) return false;
  }
  return true;
}

std::vector<std::string> Deeper(const std::vector<std::string>& lines) {
  std::vector<std::string> deeper;
  for (const std::string& line : lines) deeper.push_back(line.empty() ? line : "  " + line);
  return deeper;
}

// A unified diff that puts `after` in the place of `count` lines from `start` (1-based).
std::string Patch(const std::string& file, const std::vector<std::string>& lines, uint32_t start, uint32_t count,
                  const std::vector<std::string>& after) {
  const uint32_t from = start > kContext ? start - kContext : 1;
  const uint32_t end = std::min<uint32_t>(start + count + kContext - 1, static_cast<uint32_t>(lines.size()));
  const uint32_t old_count = end - from + 1;
  std::string patch = "--- a/" + file + "\n+++ b/" + file + "\n@@ -" + std::to_string(from) + "," +
                      std::to_string(old_count) + " +" + std::to_string(from) + "," +
                      std::to_string(old_count - count + after.size()) + " @@\n";
  for (uint32_t i = from; i < start; ++i) patch += " " + lines[i - 1] + "\n";
  for (uint32_t i = start; i < start + count; ++i) patch += "-" + lines[i - 1] + "\n";
  for (const std::string& line : after) patch += "+" + line + "\n";
  for (uint32_t i = start + count; i <= end; ++i) patch += " " + lines[i - 1] + "\n";
  return patch;
}

bool StillThere(const std::vector<std::string>& lines, const Hunk& hunk) {
  if (hunk.new_start == 0 || hunk.new_start - 1 + hunk.new_lines.size() > lines.size()) return false;
  return std::equal(hunk.new_lines.begin(), hunk.new_lines.end(), lines.begin() + (hunk.new_start - 1));
}

// Where an expression ends on the left of `at`, respectively on the right: at a bracket, comma or assignment on its own
// level.
size_t LeftEdge(std::string_view line, size_t at) {
  int depth = 0;
  while (at > 0) {
    const char c = line[at - 1];
    if (c == ')' || c == ']' || c == '}') ++depth;
    if ((c == '(' || c == '[' || c == '{') && depth-- == 0) return at;
    const bool assigns = c == '=' && at >= 2 &&
                         std::string_view("=!<>+-*/|&^").find(line[at - 2]) == std::string_view::npos &&
                         (at >= line.size() || line[at] != '=');
    if (depth == 0 && (c == ',' || c == ';' || assigns)) return at;
    for (const std::string_view word : {"co_return ", "return "}) {
      if (depth == 0 && line.substr(0, at).ends_with(word)) return at;
    }
    --at;
  }
  return std::string_view::npos;
}
size_t RightEdge(std::string_view line, size_t at) {
  int depth = 0;
  for (; at < line.size(); ++at) {
    const char c = line[at];
    if (c == '(' || c == '[' || c == '{') ++depth;
    if ((c == ')' || c == ']' || c == '}') && depth-- == 0) return at;
    if (depth == 0 && (c == ',' || c == ';')) return at;
  }
  return std::string_view::npos;
}

}  // namespace

std::string ConditionalLine(const std::string& before, const std::string& after, const std::string& gate) {
  if (before == after) return {};
  size_t prefix = 0;
  while (prefix < std::min(before.size(), after.size()) && before[prefix] == after[prefix]) ++prefix;
  size_t suffix = 0;
  while (suffix < std::min(before.size(), after.size()) - prefix &&
         before[before.size() - 1 - suffix] == after[after.size() - 1 - suffix])
    ++suffix;
  // The whole expression on both sides; its left edge is in the common part.
  const size_t left = LeftEdge(before, prefix);
  if (left == std::string_view::npos || LeftEdge(after, prefix) != left) return {};
  const size_t right_before = RightEdge(before, before.size() - suffix),
               right_after = RightEdge(after, after.size() - suffix);
  if (right_before == std::string_view::npos || right_after == std::string_view::npos) return {};
  if (before.substr(right_before) != after.substr(right_after)) return {};
  const std::string old_text = Trimmed(std::string_view(before).substr(left, right_before - left));
  const std::string new_text = Trimmed(std::string_view(after).substr(left, right_after - left));
  if (old_text.empty() || new_text.empty() || !Balanced(old_text) || !Balanced(new_text)) return {};
  // A braced list is no expression.
  if (old_text.front() == '{' || new_text.front() == '{') return {};
  const std::string space = left > 0 && (before[left - 1] == '=' || before[left - 1] == ',') ? " " : "";
  return before.substr(0, left) + space + gate + " == wf::kDefaultVersion ? " + old_text + " : " + new_text +
         before.substr(right_before);
}

GatePatch GateForChange(SourceTree* tree, const Hunk& hunk, const std::string& change_id) {
  GatePatch gate{change_id, {}, {}};
  const std::vector<std::string>* lines = tree->Lines(hunk.file);
  if (lines == nullptr || !StillThere(*lines, hunk)) {
    gate.note = "the text of " + hunk.file + " is not that of the change: no patch can be made";
    return gate;
  }
  const std::string call = Call(change_id);
  std::vector<std::string> after;
  if (hunk.old_lines.size() == 1 && hunk.new_lines.size() == 1) {
    if (std::string line = ConditionalLine(hunk.old_lines[0], hunk.new_lines[0], call); !line.empty())
      after.push_back(std::move(line));
  }
  if (after.empty() && WholeStatements(hunk.old_lines) && WholeStatements(hunk.new_lines)) {
    const std::string indent = IndentOf(hunk.old_lines.empty() ? hunk.new_lines.front() : hunk.old_lines.front());
    const bool only_new = hunk.old_lines.empty();
    after.push_back(indent + "if (" + call + (only_new ? " != " : " == ") + "wf::kDefaultVersion) {");
    for (std::string& line : Deeper(only_new ? hunk.new_lines : hunk.old_lines)) after.push_back(std::move(line));
    if (!only_new && !hunk.new_lines.empty()) {
      after.push_back(indent + "} else {");
      for (std::string& line : Deeper(hunk.new_lines)) after.push_back(std::move(line));
    }
    after.push_back(indent + "}");
  }
  if (after.empty()) {
    gate.note = "the change at " + hunk.file + ":" + std::to_string(hunk.new_start) +
                " is no whole statement: keep both texts and choose by " + call;
    return gate;
  }
  gate.patch = Patch(hunk.file, *lines, hunk.new_start, static_cast<uint32_t>(hunk.new_lines.size()), after);
  gate.note =
      "register the change id with the other gates of the tree, replay with the patch, and record a run with each side";
  return gate;
}

GatePatch GateForNewCommand(SourceTree* tree, const workflow::SourceLine& where, const std::string& change_id) {
  GatePatch gate{change_id, {}, {}};
  const std::vector<std::string>* lines = tree->Lines(where.file);
  if (lines == nullptr || where.line == 0 || where.line > lines->size()) {
    gate.note = "the source of " + where.ToString() + " is not at hand (--source)";
    return gate;
  }
  const auto ends = [](const std::string& line) {
    const std::string text = Trimmed(line);
    return text.empty() || text.ends_with(';') || text.ends_with('{') || text.ends_with('}') || text.ends_with(':') ||
           text.starts_with("//");
  };
  uint32_t first = where.line, last = where.line;
  while (first > 1 && !ends((*lines)[first - 2])) --first;
  while (last < lines->size() && !Trimmed((*lines)[last - 1]).ends_with(';')) ++last;
  const Hunk hunk{where.file, first, first, {}, {lines->begin() + (first - 1), lines->begin() + last}};
  if (!WholeStatements(hunk.new_lines)) {
    gate.note = "the statement at " + where.ToString() + " declares what follows: issue the command only where " +
                Call(change_id) + " is 1";
    return gate;
  }
  return GateForChange(tree, hunk, change_id);
}

std::string ChangeIdFor(std::string_view function, std::string_view what) {
  if (const size_t colon = function.rfind("::"); colon != std::string_view::npos) function.remove_prefix(colon + 2);
  std::string id;
  const auto add = [&id](std::string_view text) {
    bool lower_before = false;
    for (const char c : text) {
      if (!IsAsciiAlnum(c)) {
        if (!id.empty() && id.back() != '-') id += '-';
        lower_before = false;
        continue;
      }
      const bool upper = c >= 'A' && c <= 'Z';
      if (upper && lower_before) id += '-';
      id += AsciiLower(c);
      lower_before = !upper;
    }
  };
  add(function);
  if (!id.empty() && !what.empty()) id += '-';
  add(what);
  while (id.ends_with('-')) id.pop_back();
  return id.empty() ? "change" : id;
}

}  // namespace lockstep::replay
