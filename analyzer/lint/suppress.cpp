// Finds NOLINT comments with a small scanner that knows C++ comments, strings and raw strings.
#include "analyzer/lint/suppress.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "engine-core/base/bytes.h"

namespace lockstep::analyzer {
namespace {

struct Comment {
  uint32_t line;
  uint32_t column;
  std::string_view text;
};

std::vector<Comment> Comments(std::string_view text) {
  std::vector<Comment> comments;
  uint32_t line = 1;
  size_t line_start = 0;
  const auto advance = [&](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      if (text[i] == '\n') {
        ++line;
        line_start = i + 1;
      }
    }
  };
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    size_t end = i + 1;
    if (c == '/' && i + 1 < text.size() && text[i + 1] == '/') {
      end = text.find('\n', i);
      if (end == std::string_view::npos) end = text.size();
      comments.push_back({line, static_cast<uint32_t>(i - line_start + 1), text.substr(i + 2, end - i - 2)});
    } else if (c == '/' && i + 1 < text.size() && text[i + 1] == '*') {
      end = text.find("*/", i + 2);
      end = end == std::string_view::npos ? text.size() : end + 2;
      const std::string_view body = text.substr(i + 2, end - i - 2);
      if (body.find('\n') == std::string_view::npos) comments.push_back({line, static_cast<uint32_t>(i - line_start + 1), body});
    } else if (c == 'R' && i + 1 < text.size() && text[i + 1] == '"' && (i == 0 || !IsAsciiAlnum(text[i - 1]))) {
      const size_t open = text.find('(', i + 2);
      if (open != std::string_view::npos && open - i - 2 <= 16) {
        const std::string close = ")" + std::string(text.substr(i + 2, open - i - 2)) + "\"";
        end = text.find(close, open);
        end = end == std::string_view::npos ? text.size() : end + close.size();
      }
    } else if (c == '"' || (c == '\'' && (i == 0 || !IsAsciiAlnum(text[i - 1])))) {
      while (end < text.size() && text[end] != c && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, text.size());
    }
    advance(i, end);
    i = end;
  }
  return comments;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == ':')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' || text.back() == '*' || text.back() == '/')) text.remove_suffix(1);
  return text;
}

std::optional<std::chrono::sys_days> ParseDate(std::string_view date) {
  if (date.size() != 10 || date[4] != '-' || date[7] != '-') return std::nullopt;
  const auto year = ParseInt64(date.substr(0, 4));
  const auto month = ParseInt64(date.substr(5, 2));
  const auto day = ParseInt64(date.substr(8, 2));
  if (!year || !month || !day) return std::nullopt;
  const std::chrono::year_month_day ymd{std::chrono::year(static_cast<int>(*year)), std::chrono::month(static_cast<unsigned>(*month)),
                                        std::chrono::day(static_cast<unsigned>(*day))};
  if (!ymd.ok()) return std::nullopt;
  return std::chrono::sys_days(ymd);
}

void Judge(Suppression* one, std::string_view today, int max_days) {
  if (one->reason.empty()) one->problems.push_back("no reason");
  if (one->owner.empty()) one->problems.push_back("no owner");
  if (one->expires.empty()) {
    one->problems.push_back("no expiry");
    return;
  }
  int days = 0;
  if (!DaysBetween(today, one->expires, &days)) {
    one->problems.push_back("expiry " + one->expires + " is not a date YYYY-MM-DD");
  } else if (days < 0) {
    one->expired = true;
    one->problems.push_back("expired on " + one->expires);
  } else if (days > max_days) {
    one->problems.push_back("expiry " + one->expires + " is more than " + std::to_string(max_days) + " days ahead");
  }
}

}  // namespace

bool DaysBetween(std::string_view from, std::string_view to, int* days) {
  const auto a = ParseDate(from);
  const auto b = ParseDate(to);
  if (!a || !b) return false;
  *days = static_cast<int>((*b - *a).count());
  return true;
}

std::vector<Suppression> ParseSuppressions(std::string_view text, std::string_view today, int max_days) {
  std::vector<Suppression> found;
  for (const Comment& comment : Comments(text)) {
    const size_t at = comment.text.find("NOLINT");
    if (at == std::string_view::npos) continue;
    std::string_view rest = comment.text.substr(at + 6);
    Suppression one;
    one.line = comment.line;
    one.column = comment.column;
    one.first = one.last = comment.line;
    if (rest.starts_with("NEXTLINE")) {
      one.kind = Suppression::Kind::kNextLine;
      one.first = one.last = comment.line + 1;
      rest.remove_prefix(8);
    } else if (rest.starts_with("BEGIN")) {
      one.kind = Suppression::Kind::kBegin;
      one.last = UINT32_MAX;
      rest.remove_prefix(5);
    } else if (rest.starts_with("END")) {
      one.kind = Suppression::Kind::kEnd;
      rest.remove_prefix(3);
    }
    if (!rest.starts_with("(")) continue;  // Bare NOLINT belongs to other tools.
    const size_t close = rest.find(')');
    if (close == std::string_view::npos) continue;
    for (std::string_view rule : Split(rest.substr(1, close - 1), ',')) {
      rule = Trim(rule);
      if (rule.starts_with("determinism-")) one.rules.emplace_back(rule);
    }
    if (one.rules.empty()) continue;
    if (one.kind == Suppression::Kind::kEnd) {
      for (auto it = found.rbegin(); it != found.rend(); ++it) {
        if (it->kind == Suppression::Kind::kBegin && it->last == UINT32_MAX && it->rules == one.rules) {
          it->last = comment.line;
          one.used = true;
          break;
        }
      }
      if (!one.used) {
        one.problems.push_back("NOLINTEND without NOLINTBEGIN");
        found.push_back(std::move(one));
      }
      continue;
    }
    for (std::string_view part : Split(rest.substr(close + 1), ';')) {
      part = Trim(part);
      if (part.starts_with("owner=")) one.owner = std::string(Trim(part.substr(6)));
      else if (part.starts_with("expires=")) one.expires = std::string(Trim(part.substr(8)));
      else if (one.reason.empty()) one.reason = std::string(part);
    }
    Judge(&one, today, max_days);
    found.push_back(std::move(one));
  }
  for (auto& one : found) {
    if (one.kind == Suppression::Kind::kBegin && one.last == UINT32_MAX) one.problems.push_back("NOLINTBEGIN without NOLINTEND");
  }
  return found;
}

}  // namespace lockstep::analyzer
