#include "engine-core/workflow/divergence.h"

#include <algorithm>

namespace lockstep::workflow {

std::string_view GradeName(Grade grade) {
  constexpr std::string_view kNames[] = {"snapshot-only", "drift", "payload-only", "command-changing"};
  return kNames[static_cast<size_t>(grade)];
}

std::string_view DivergenceKindName(DivergenceKind kind) {
  constexpr std::string_view kNames[] = {"field-changed", "command-changed",   "missing-command", "surplus-command", "order-changed",
                                         "other-task",    "unknown-reference", "version-range",   "workflow-type",   "spinning",
                                         "workflow-panic", "event-changed",    "snapshot-changed"};
  return kNames[static_cast<size_t>(kind)];
}

std::string SourceLine::ToString() const { return known() ? file + ":" + std::to_string(line) : "-"; }

namespace {

// Paths are reported relative to the tree that was compiled: this file's own path tells where that tree begins.
std::string RelativeToTree(std::string_view path) {
  constexpr std::string_view kOwn = "engine-core/workflow/divergence.cpp";
  const std::string_view own = std::source_location::current().file_name();
  if (own.ends_with(kOwn)) {
    const std::string_view root = own.substr(0, own.size() - kOwn.size());
    if (path.starts_with(root)) return std::string(path.substr(root.size()));
  }
  // A compiler cache may have spelled one of the two paths another way.
  if (const size_t at = path.rfind("/engine-core/"); at != std::string_view::npos) return std::string(path.substr(at + 1));
  return std::string(path);
}

// `Task<Walk> Interpreter::Run(const Plan&)` -> `Interpreter::Run`.
std::string ShortFunction(std::string_view pretty) {
  size_t open = pretty.find('(');
  // `(anonymous namespace)`, `(anonymous class)` and `(lambda at ...)` are parts of the name.
  const auto in_name = [&] { return pretty.substr(open).starts_with("(anonymous") || pretty.substr(open).starts_with("(lambda"); };
  while (open != std::string_view::npos && in_name()) open = pretty.find('(', open + 1);
  if (open == std::string_view::npos) return std::string(pretty);
  std::string_view head = pretty.substr(0, open);
  int depth = 0;
  for (size_t i = head.size(); i > 0; --i) {
    const char c = head[i - 1];
    if (c == '>' || c == ')') ++depth;
    if (c == '<' || c == '(') --depth;
    if (depth == 0 && (c == ' ' || c == '*' || c == '&')) return std::string(head.substr(i));
  }
  return std::string(head);
}

}  // namespace

SourceLine ToSourceLine(const std::source_location& where) {
  if (where.line() == 0) return {};
  return {RelativeToTree(where.file_name()), where.line(), ShortFunction(where.function_name())};
}

SourceLine Normalized(SourceLine line) {
  if (!line.known()) return {};
  return {RelativeToTree(line.file), line.line, ShortFunction(line.function)};
}

std::string Divergence::Summary() const {
  std::string text(DivergenceKindName(kind));
  text += " (" + std::string(GradeName(grade)) + ")";
  if (event_id != 0) text += " at event " + std::to_string(event_id);
  if (!step_id.empty()) text += ", step " + step_id;
  if (!command.empty()) text += ": " + command;
  if (!field.empty()) text += ", " + field;
  if (!expected.empty() || !actual.empty()) {
    text += ": expected " + (expected.empty() ? "nothing" : expected) + ", found " + (actual.empty() ? "nothing" : actual);
  }
  if (where.known()) text += " [" + where.ToString() + "]";
  return text;
}

Grade WorstGrade(const std::vector<Divergence>& divergences) {
  Grade worst = Grade::kSnapshotOnly;
  for (const Divergence& divergence : divergences) worst = std::max(worst, divergence.grade);
  return worst;
}

}  // namespace lockstep::workflow
