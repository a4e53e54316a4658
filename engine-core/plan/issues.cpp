// Conversion between the two notations of a place in a document, and the one way to build an error with issues.
#include "engine-core/plan/issues.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/base/json.h"

namespace lockstep::plan {
namespace {

bool IsIndex(std::string_view token) { return !token.empty() && std::ranges::all_of(token, IsAsciiDigit); }

bool IsName(std::string_view token) {
  if (token.empty() || IsAsciiDigit(token[0])) return false;
  return std::ranges::all_of(token, [](char c) { return IsAsciiAlnum(c) || c == '_' || c == '-'; });
}

std::string Unescape(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    const bool escape = token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1');
    out.push_back(escape ? (token[++i] == '0' ? '~' : '/') : token[i]);
  }
  return out;
}

}  // namespace

std::string PathFromPointer(std::string_view pointer) {
  if (pointer.empty()) return "$";
  std::string out;
  for (const std::string_view raw : Split(pointer.substr(1), '/')) {
    const std::string token = Unescape(raw);
    if (IsIndex(token)) {
      out += (out.empty() ? "$[" : "[") + token + "]";
    } else if (IsName(token)) {
      out += (out.empty() ? "" : ".") + token;
    } else {
      std::string quoted;
      for (const char c : token) quoted += c == '\'' || c == '\\' ? std::string{'\\', c} : std::string{c};
      out += (out.empty() ? "$['" : "['") + quoted + "']";
    }
  }
  return out;
}

std::string PointerFromPath(std::string_view path) {
  std::string out;
  if (path.starts_with('$')) path.remove_prefix(1);
  size_t i = 0;
  while (i < path.size()) {
    std::string token;
    if (path[i] == '[' && i + 1 < path.size() && path[i + 1] == '\'') {
      for (i += 2; i < path.size() && path[i] != '\''; ++i) {
        if (path[i] == '\\' && i + 1 < path.size()) ++i;
        token.push_back(path[i]);
      }
      i += 2;
    } else if (path[i] == '[') {
      const size_t close = path.find(']', i);
      if (close == std::string_view::npos) return {};
      token = path.substr(i + 1, close - i - 1);
      i = close + 1;
    } else {
      if (path[i] == '.') ++i;
      const size_t end = std::min(path.find_first_of(".[", i), path.size());
      token = path.substr(i, end - i);
      i = end;
    }
    out += "/" + JsonPointerToken(token);
  }
  return out;
}

Error IssueError(std::string code, std::string_view what, std::vector<Issue> issues) {
  std::sort(issues.begin(), issues.end());
  issues.erase(std::unique(issues.begin(), issues.end()), issues.end());
  std::string message(what);
  if (!issues.empty()) {
    message += ": " + issues.front().path + ": " + issues.front().message + " (" + issues.front().code + ")";
    if (issues.size() > 1) message += ", and " + std::to_string(issues.size() - 1) + " more";
  }
  Error error(std::move(code), std::move(message));
  error.details.emplace_back("category", "VALIDATION_ERROR");
  if (issues.size() > kMaxIssues) {
    error.details.emplace_back("issueCount", std::to_string(issues.size()));
    issues.resize(kMaxIssues);
  }
  error.issues = std::move(issues);
  return error;
}

}  // namespace lockstep::plan
