#include "replay/trace/edits.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "engine-core/base/bytes.h"

namespace lockstep::replay {
namespace {

// Beyond this many replaced words two versions have little in common, and the middle counts as replaced.
constexpr int kMaxReplaced = 4'000;
// Functions that share this much are one under another name.
constexpr double kSame = 0.6;
// Changes of one statement that stand this near to each other are one edit.
constexpr size_t kNear = 12;

bool IsSource(const std::string& file) {
  const bool source = file.ends_with(".cpp") || file.ends_with(".h") || file.ends_with(".cc") ||
                      file.ends_with(".hpp") || file.ends_with(".cxx");
  return source && !file.ends_with("_test.cpp") && !file.ends_with("_test.cc");
}

// --- shortest edit script (Myers), forwards, with the furthest reaching points of each round kept
class Script {
 public:
  Script(const std::vector<Token>& before, const std::vector<Token>& after) : before_(before), after_(after) {}

  std::vector<TokenChange> Find() {
    while (first_ < std::min(before_.size(), after_.size()) && before_[first_] == after_[first_]) ++first_;
    size_t same = 0;
    while (same < std::min(before_.size(), after_.size()) - first_ &&
           before_[before_.size() - 1 - same] == after_[after_.size() - 1 - same])
      ++same;
    n_ = static_cast<int>(before_.size() - same - first_);
    m_ = static_cast<int>(after_.size() - same - first_);
    if (n_ == 0 && m_ == 0) return {};
    if (n_ == 0 || m_ == 0 || !Forward())
      return {{first_, first_ + static_cast<size_t>(n_), first_, first_ + static_cast<size_t>(m_)}};
    return Backward();
  }

 private:
  bool Same(int x, int y) const {
    return before_[first_ + static_cast<size_t>(x)] == after_[first_ + static_cast<size_t>(y)];
  }

  bool Forward() {
    std::vector<int> reach{0, 0, 0};  // diagonals -1, 0, 1 before the first round
    for (int d = 0; d <= kMaxReplaced; ++d) {
      // Diagonals -d..d; those of the round before are one narrower.
      std::vector<int> next(static_cast<size_t>(2 * d + 1), 0);
      for (int k = -d; k <= d; k += 2) {
        int x = 0;
        if (d > 0) {
          const auto at = [&](int diagonal) {
            return std::abs(diagonal) <= d - 1 ? reach[static_cast<size_t>(diagonal + d - 1)] : -1;
          };
          x = k == -d || (k != d && at(k - 1) < at(k + 1)) ? at(k + 1) : at(k - 1) + 1;
        }
        while (x < n_ && x - k < m_ && Same(x, x - k)) ++x;
        next[static_cast<size_t>(k + d)] = x;
        if (x >= n_ && x - k >= m_) {
          rounds_.push_back(std::move(next));
          return true;
        }
      }
      rounds_.push_back(next);
      reach = std::move(next);
    }
    return false;
  }

  std::vector<TokenChange> Backward() {
    std::vector<TokenChange> changes;
    int x = n_, y = m_;
    for (int d = static_cast<int>(rounds_.size()) - 1; d > 0; --d) {
      const std::vector<int>& reach = rounds_[static_cast<size_t>(d - 1)];
      const auto at = [&](int diagonal) {
        return std::abs(diagonal) <= d - 1 ? reach[static_cast<size_t>(diagonal + d - 1)] : -1;
      };
      const int k = x - y;
      const int from = k == -d || (k != d && at(k - 1) < at(k + 1)) ? k + 1 : k - 1;
      const int px = at(from), py = px - from;
      // One word removed or added behind (px, py), then equal ones.
      const size_t ox = first_ + static_cast<size_t>(px), oy = first_ + static_cast<size_t>(py);
      const TokenChange step = from == k + 1 ? TokenChange{ox, ox, oy, oy + 1} : TokenChange{ox, ox + 1, oy, oy};
      if (!changes.empty() && changes.back().old_begin == step.old_end && changes.back().new_begin == step.new_end) {
        changes.back().old_begin = step.old_begin;
        changes.back().new_begin = step.new_begin;
      } else {
        changes.push_back(step);
      }
      x = px;
      y = py;
    }
    std::reverse(changes.begin(), changes.end());
    return changes;
  }

  const std::vector<Token>& before_;
  const std::vector<Token>& after_;
  size_t first_ = 0;
  int n_ = 0, m_ = 0;
  std::vector<std::vector<int>> rounds_;
};

bool EndsStatement(const Token& token) { return token.text == ";" || token.text == "{" || token.text == "}"; }

// A run that was added or removed may begin at several places, as `f(); ` in `f(); f();`: where a statement begins
// reads best.
void Slide(const std::vector<Token>& tokens, size_t* begin, size_t* end, size_t* other_begin, size_t* other_end) {
  const auto good = [&](size_t from, size_t to) {
    return (from == 0 || EndsStatement(tokens[from - 1])) && EndsStatement(tokens[to - 1]);
  };
  const auto move = [&](ptrdiff_t by) {
    for (size_t* place : {begin, end, other_begin, other_end})
      *place = static_cast<size_t>(static_cast<ptrdiff_t>(*place) + by);
  };
  if (good(*begin, *end)) return;
  for (size_t back = 1; *begin >= back && *other_begin >= back && tokens[*begin - back] == tokens[*end - back];
       ++back) {
    if (good(*begin - back, *end - back)) return move(-static_cast<ptrdiff_t>(back));
  }
  for (size_t on = 1; *end + on <= tokens.size() && tokens[*begin + on - 1] == tokens[*end + on - 1]; ++on) {
    if (good(*begin + on, *end + on)) return move(static_cast<ptrdiff_t>(on));
  }
}

// --- what says nothing
bool IsLogName(std::string_view name) {
  const std::string lower = AsciiLower(name);
  for (const std::string_view word : {"log", "logger", "clog", "cerr", "cout", "spdlog", "printf", "fprintf", "puts",
                                      "fputs", "syslog", "print", "println"}) {
    if (lower == word || lower == std::string(word) + "_") return true;
  }
  return lower.starts_with("log_") || lower.ends_with("_log") || lower.ends_with("logger");
}

// The statement that begins at `at` writes to a log and does nothing else.
bool IsLogStatement(const std::vector<Token>& tokens, size_t at) {
  bool log = false;
  for (; at < tokens.size() && !EndsStatement(tokens[at]); ++at) {
    const std::string& text = tokens[at].text;
    if (!log && (text == "(" || text == "<<")) return false;
    log = log || (tokens[at].kind == TokenKind::kName && IsLogName(text));
    if (text == "=" || text == "++" || text == "--" || text == "co_await" || text == "co_return" || text == "return" ||
        text.ends_with("+="))
      return false;
  }
  return log;
}

bool IsControl(const Token& token) {
  return token.text == "if" || token.text == "for" || token.text == "while" || token.text == "switch";
}

// Without log lines, and without braces around a single statement. How many log lines there were.
size_t LeaveOutWhatSaysNothing(std::vector<Token>* tokens) {
  const std::vector<size_t> begins = StatementsOf(*tokens);
  std::vector<bool> drop(tokens->size(), false);
  size_t logs = 0;
  for (size_t s = 0; s + 1 < begins.size(); ++s) {
    if ((*tokens)[begins[s + 1] - 1].text != ";" || !IsLogStatement(*tokens, begins[s])) continue;
    // All that an `if` does must not vanish: the next statement would take its place.
    const bool guarded = s > 0 && (*tokens)[begins[s] - 1].text != ";" && (*tokens)[begins[s] - 1].text != "{" &&
                         (*tokens)[begins[s] - 1].text != "}";
    if (guarded) continue;
    ++logs;
    std::fill(drop.begin() + static_cast<ptrdiff_t>(begins[s]), drop.begin() + static_cast<ptrdiff_t>(begins[s + 1]),
              true);
  }
  const auto kept = [&](size_t s, int direction) {
    for (s += static_cast<size_t>(direction); s + 1 < begins.size() && drop[begins[s]];
         s += static_cast<size_t>(direction)) {
    }
    return s;
  };
  for (size_t s = 1; s + 3 < begins.size(); ++s) {
    const auto is = [&](size_t at, std::string_view text) {
      return at + 1 < begins.size() && begins[at + 1] == begins[at] + 1 && (*tokens)[begins[at]].text == text;
    };
    const Token& before = (*tokens)[begins[s] - 1];
    if (!is(s, "{") || (before.text != ")" && before.text != "else")) continue;
    const bool control = before.text == "else" || IsControl((*tokens)[begins[s - 1]]);
    const size_t inner = kept(s, 1), close = kept(inner, 1);
    if (!control || inner + 1 >= begins.size() || (*tokens)[begins[inner + 1] - 1].text != ";" || !is(close, "}"))
      continue;
    drop[begins[s]] = drop[begins[close]] = true;
  }
  size_t at = 0;
  std::erase_if(*tokens, [&](const Token&) { return drop[at++]; });
  return logs;
}

template <typename Predicate>
bool All(const std::vector<Token>& tokens, size_t begin, size_t end, Predicate holds) {
  return std::all_of(tokens.begin() + static_cast<ptrdiff_t>(begin), tokens.begin() + static_cast<ptrdiff_t>(end),
                     holds);
}

bool IsQualifier(const Token& token) {
  constexpr std::string_view kWords[] = {"const",        "noexcept", "final", "override",      "inline",   "nodiscard",
                                         "maybe_unused", "[",        "]",     "static_assert", "constexpr"};
  return std::find(std::begin(kWords), std::end(kWords), token.text) != std::end(kWords);
}

// One function, declaration or macro of a version of a file, or (name empty) all that is none of these.
struct Unit {
  std::string file;
  std::string name;
  ItemKind kind = ItemKind::kFunction;
  std::vector<Token> tokens;
  uint32_t first = 0;
  size_t logs = 0;    // lines left out
  std::string whole;  // the text with all of it
};

struct Version {
  std::vector<std::string> lines;
  std::vector<Unit> units;  // the last is the rest
};

Version VersionOf(const std::string& file, std::vector<std::string> lines) {
  Version version{std::move(lines), {}};
  const std::vector<Token> tokens = Tokens(version.lines);
  const auto cut = [&](size_t begin, size_t end) {
    return std::vector<Token>(tokens.begin() + static_cast<ptrdiff_t>(begin),
                              tokens.begin() + static_cast<ptrdiff_t>(end));
  };
  Unit rest{file, {}, ItemKind::kDeclaration, {}, 0, 0, {}};
  size_t at = 0;
  for (const Item& item : ItemsOf(tokens)) {
    for (Token& token : cut(at, item.begin)) rest.tokens.push_back(std::move(token));
    Unit unit{file, item.name, item.kind, cut(item.begin, item.end), item.first, 0, {}};
    for (uint32_t i = item.first; i <= item.last; ++i) unit.whole += version.lines[i - 1] + "\n";
    if (unit.kind == ItemKind::kFunction) unit.logs = LeaveOutWhatSaysNothing(&unit.tokens);
    version.units.push_back(std::move(unit));
    at = item.end;
  }
  for (Token& token : cut(at, tokens.size())) rest.tokens.push_back(std::move(token));
  version.units.push_back(std::move(rest));
  return version;
}

double Likeness(const std::vector<Token>& left, const std::vector<Token>& right) {
  std::map<std::string_view, int> count;
  for (const Token& token : left) ++count[token.text];
  size_t common = 0;
  for (const Token& token : right) common += count[token.text]-- > 0 ? 1 : 0;
  return left.empty() && right.empty()
             ? 1
             : 2.0 * static_cast<double>(common) / static_cast<double>(left.size() + right.size());
}

bool IsMember(const std::vector<Token>& tokens, size_t at) {
  return at > 0 && (tokens[at - 1].text == "." || tokens[at - 1].text == "->" || tokens[at - 1].text == "::");
}

// Statements are compared first, and words inside of those that have a like one on the other side.
class StatementDiff {
 public:
  StatementDiff(const std::vector<Token>& before, const std::vector<Token>& after)
      : before_(before), after_(after), old_begins_(StatementsOf(before)), new_begins_(StatementsOf(after)) {}

  std::vector<TokenChange> Find() {
    for (const TokenChange& block : DiffTokens(Lines(before_, old_begins_), Lines(after_, new_begins_))) Refine(block);
    return std::move(changes_);
  }

 private:
  static std::vector<Token> Lines(const std::vector<Token>& tokens, const std::vector<size_t>& begins) {
    std::vector<Token> lines;
    for (size_t s = 0; s + 1 < begins.size(); ++s) {
      Token& line = lines.emplace_back();
      for (size_t i = begins[s]; i < begins[s + 1]; ++i) line.text += tokens[i].text + "\x1f";
    }
    return lines;
  }

  std::vector<Token> Statement(const std::vector<Token>& tokens, const std::vector<size_t>& begins, size_t s) const {
    return {tokens.begin() + static_cast<ptrdiff_t>(begins[s]), tokens.begin() + static_cast<ptrdiff_t>(begins[s + 1])};
  }

  // Pairs the statements of a block in their order so that they are most alike; the rest came or went as a whole.
  void Refine(const TokenChange& block) {
    const size_t rows = block.old_end - block.old_begin, columns = block.new_end - block.new_begin;
    if (rows == 0 || columns == 0 || rows * columns > kMaxPairs) return Add(block);
    std::vector<double> best((rows + 1) * (columns + 1), 0), alike(rows * columns, 0);
    const auto at = [columns](size_t r, size_t c) { return r * (columns + 1) + c; };
    for (size_t r = rows; r-- > 0;) {
      for (size_t c = columns; c-- > 0;) {
        const double likeness = Likeness(Statement(before_, old_begins_, block.old_begin + r),
                                         Statement(after_, new_begins_, block.new_begin + c));
        alike[r * columns + c] = likeness;
        best[at(r, c)] = std::max(
            {best[at(r + 1, c)], best[at(r, c + 1)], likeness >= kAlike ? best[at(r + 1, c + 1)] + likeness : 0});
      }
    }
    size_t r = 0, c = 0, old_from = block.old_begin, new_from = block.new_begin;
    while (r < rows && c < columns) {
      const double likeness = alike[r * columns + c];
      if (likeness >= kAlike && best[at(r, c)] == best[at(r + 1, c + 1)] + likeness) {
        Add({old_from, block.old_begin + r, new_from, block.new_begin + c});
        Inside(block.old_begin + r, block.new_begin + c);
        ++r, ++c;
        old_from = block.old_begin + r;
        new_from = block.new_begin + c;
      } else if (best[at(r, c)] == best[at(r + 1, c)]) {
        ++r;
      } else {
        ++c;
      }
    }
    Add({old_from, block.old_end, new_from, block.new_end});
  }

  // Whole statements.
  void Add(const TokenChange& block) {
    if (block.old_begin == block.old_end && block.new_begin == block.new_end) return;
    changes_.push_back({old_begins_[block.old_begin], old_begins_[block.old_end], new_begins_[block.new_begin],
                        new_begins_[block.new_end]});
  }

  void Inside(size_t old_statement, size_t new_statement) {
    const size_t old_at = old_begins_[old_statement], new_at = new_begins_[new_statement];
    for (const TokenChange& change :
         DiffTokens(Statement(before_, old_begins_, old_statement), Statement(after_, new_begins_, new_statement)))
      changes_.push_back(
          {old_at + change.old_begin, old_at + change.old_end, new_at + change.new_begin, new_at + change.new_end});
  }

  static constexpr double kAlike = 0.5;
  static constexpr size_t kMaxPairs = 40'000;

  const std::vector<Token>& before_;
  const std::vector<Token>& after_;
  std::vector<size_t> old_begins_, new_begins_;
  std::vector<TokenChange> changes_;
};

using Names = std::map<std::string, std::string>;

struct Pair {
  Unit* before = nullptr;
  Unit* after = nullptr;
  Names renamed;  // only in this one
};

// Matches the units of two versions, finds what was renamed, and makes edits of what is left.
class Comparison {
 public:
  Comparison(std::map<std::string, Version>* before, std::map<std::string, Version>* after, EditView* view)
      : before_(*before), after_(*after), view_(*view) {}

  void Run() {
    Match();
    for (int round = 0; round < 3; ++round) {
      if (!Rename()) break;
    }
    for (Pair& pair : pairs_) Compare(&pair);
    for (Unit* unit : fresh_) AddFresh(*unit);
    for (Unit* unit : gone_) AddGone(*unit);
    std::stable_sort(view_.edits.begin(), view_.edits.end(),
                     [](const Edit& a, const Edit& b) { return std::tie(a.file, a.line) < std::tie(b.file, b.line); });
    for (const auto& [what, count] : harmless_) view_.harmless.emplace_back(what, count);
  }

 private:
  void Match() {
    std::vector<Unit*> old_units, new_units;
    for (auto& [file, version] : before_) {
      for (Unit& unit : version.units) old_units.push_back(&unit);
    }
    for (auto& [file, version] : after_) {
      for (Unit& unit : version.units) new_units.push_back(&unit);
    }
    std::set<Unit*> taken;
    const auto take = [&](Unit* unit, Unit* other) {
      taken.insert(other);
      pairs_.push_back({other, unit, {}});
    };
    // The same name, most alike first: of overloads each finds its own.
    std::erase_if(new_units, [&](Unit* unit) {
      Unit* best = nullptr;
      double most = -1;
      for (Unit* other : old_units) {
        if (taken.contains(other) || other->name != unit->name || other->kind != unit->kind ||
            (unit->name.empty() && other->file != unit->file))
          continue;
        const double likeness = Likeness(other->tokens, unit->tokens) + (other->file == unit->file ? 0.05 : 0);
        if (likeness > most) most = likeness, best = other;
      }
      if (best != nullptr) take(unit, best);
      return best != nullptr;
    });
    // Another name, much the same text.
    for (Unit* unit : new_units) {
      Unit* best = nullptr;
      double most = kSame;
      for (Unit* other : old_units) {
        if (taken.contains(other) || other->kind != unit->kind || other->name.empty() || unit->name.empty()) continue;
        const double likeness = Likeness(other->tokens, unit->tokens);
        if (likeness > most) most = likeness, best = other;
      }
      if (best == nullptr) {
        if (!unit->tokens.empty()) fresh_.push_back(unit);
        continue;
      }
      // Its callers say the new name too.
      if (!best->name.empty()) names_[best->name] = unit->name;
      take(unit, best);
    }
    for (Unit* unit : old_units) {
      if (!taken.contains(unit) && !unit->tokens.empty()) gone_.push_back(unit);
    }
    for (Pair& pair : pairs_) Apply(names_, &pair.before->tokens, true);
    NoteMoves();
  }

  void NoteMoves() {
    for (const Pair& pair : pairs_) {
      if (pair.before->name.empty()) continue;
      if (pair.before->file != pair.after->file) ++harmless_["move"];
    }
    // The order of what stands in both is another.
    for (auto& [file, version] : after_) {
      uint32_t last = 0;
      for (const Unit& unit : version.units) {
        const auto pair =
            std::find_if(pairs_.begin(), pairs_.end(), [&](const Pair& entry) { return entry.after == &unit; });
        if (pair == pairs_.end() || unit.name.empty() || pair->before->file != file) continue;
        if (pair->before->first < last) ++harmless_["move"];
        last = std::max(last, pair->before->first);
      }
    }
  }

  static void Apply(const Names& names, std::vector<Token>* tokens, bool members) {
    if (names.empty()) return;
    for (size_t i = 0; i < tokens->size(); ++i) {
      if ((*tokens)[i].kind != TokenKind::kName || (!members && IsMember(*tokens, i))) continue;
      if (const auto found = names.find((*tokens)[i].text); found != names.end()) (*tokens)[i].text = found->second;
    }
  }

  static int Count(const std::vector<Token>& tokens, const std::string& name, bool members) {
    int count = 0;
    for (size_t i = 0; i < tokens.size(); ++i)
      count +=
          tokens[i].kind == TokenKind::kName && tokens[i].text == name && (members || !IsMember(tokens, i)) ? 1 : 0;
    return count;
  }
  int CountAll(std::map<std::string, Version>& versions, const std::string& name) const {
    int count = 0;
    for (const auto& [file, version] : versions) {
      for (const Unit& unit : version.units) count += Count(unit.tokens, name, true);
    }
    return count;
  }

  // Names that stand for others throughout, and whose declarations do too. True when some were found.
  bool Rename() {
    std::map<std::pair<std::string, std::string>, bool> candidates;  // to whether a declaration is among the places
    bool found = false;
    for (Pair& pair : pairs_) {
      std::map<std::pair<std::string, std::string>, bool> local;
      for (const TokenChange& change : StatementDiff(pair.before->tokens, pair.after->tokens).Find()) {
        if (change.old_end - change.old_begin != change.new_end - change.new_begin) continue;
        for (size_t i = 0; i < change.old_end - change.old_begin; ++i) {
          const size_t o = change.old_begin + i, n = change.new_begin + i;
          const Token& a = pair.before->tokens[o];
          const Token& b = pair.after->tokens[n];
          if (a.kind != TokenKind::kName || b.kind != TokenKind::kName || IsKeyword(a.text) || IsKeyword(b.text) ||
              a == b)
            continue;
          const bool declared = IsDeclared(pair.before->tokens, o) && IsDeclared(pair.after->tokens, n);
          bool& entry = candidates[{a.text, b.text}];
          entry = entry || declared;
          if (!IsMember(pair.before->tokens, o)) {
            bool& here = local[{a.text, b.text}];
            here = here || declared;
          }
        }
      }
      Names fresh;
      for (const auto& [names, declared] : local) {
        const auto& [a, b] = names;
        if (!declared || pair.after->name.empty() || pair.after->kind != ItemKind::kFunction) continue;
        if (Count(pair.after->tokens, a, false) == 0 && Count(pair.before->tokens, b, false) == 0) fresh[a] = b;
      }
      if (fresh.empty()) continue;
      found = true;
      harmless_["name"] += fresh.size();
      Apply(fresh, &pair.before->tokens, false);
      pair.renamed.insert(fresh.begin(), fresh.end());
    }
    Names fresh;
    for (const auto& [names, declared] : candidates) {
      const auto& [a, b] = names;
      if (!declared || CountAll(after_, a) != 0 || CountAll(before_, b) != 0) continue;
      fresh[a] = b;
    }
    if (fresh.empty()) return found;
    harmless_["name"] += fresh.size();
    for (auto& [file, version] : before_) {
      for (Unit& unit : version.units) Apply(fresh, &unit.tokens, true);
    }
    names_.insert(fresh.begin(), fresh.end());
    return true;
  }

  void Compare(Pair* pair) {
    const std::vector<Token>& before = pair->before->tokens;
    const std::vector<Token>& after = pair->after->tokens;
    std::vector<TokenChange> changes = StatementDiff(before, after).Find();
    if (pair->before->logs != pair->after->logs) {
      ++harmless_["log"];
    } else if (changes.empty() && pair->before->whole != pair->after->whole && pair->renamed.empty()) {
      ++harmless_["comment or format"];
    }
    std::vector<TokenChange> kept;
    for (TokenChange& change : changes) {
      if (change.old_begin == change.old_end)
        Slide(after, &change.new_begin, &change.new_end, &change.old_begin, &change.old_end);
      if (change.new_begin == change.new_end)
        Slide(before, &change.old_begin, &change.old_end, &change.new_begin, &change.new_end);
      if (const char* what = WhatHarmless(before, after, change)) {
        ++harmless_[what];
        continue;
      }
      if (!kept.empty() && Joins(after, kept.back(), change)) {
        kept.back().old_end = change.old_end;
        kept.back().new_end = change.new_end;
      } else {
        kept.push_back(change);
      }
    }
    for (const TokenChange& change : kept) view_.edits.push_back(EditFrom(*pair, change));
  }

  // In one statement, with little between.
  static bool Joins(const std::vector<Token>& after, const TokenChange& left, const TokenChange& right) {
    if (right.new_begin < left.new_end || right.new_begin - left.new_end > kNear) return false;
    return std::none_of(after.begin() + static_cast<ptrdiff_t>(left.new_end),
                        after.begin() + static_cast<ptrdiff_t>(right.new_begin), EndsStatement);
  }

  static const char* WhatHarmless(const std::vector<Token>& before, const std::vector<Token>& after,
                                  const TokenChange& change) {
    const auto both = [&](auto holds) {
      return All(before, change.old_begin, change.old_end, holds) &&
             All(after, change.new_begin, change.new_end, holds);
    };
    if (both([](const Token& token) { return token.text == "{" || token.text == "}"; })) return "comment or format";
    if (both(IsQualifier)) return "qualifier";
    if (both([](const Token& token) {
          return token.kind == TokenKind::kDirective &&
                 (token.text.find("include") != std::string::npos || token.text.find("pragma") != std::string::npos);
        }))
      return "include";
    if (both([](const Token& token) { return token.text == "this" || token.text == "->"; })) return "qualifier";
    return nullptr;
  }

  Edit EditFrom(const Pair& pair, const TokenChange& change) const {
    const std::vector<Token>& before = pair.before->tokens;
    const std::vector<Token>& after = pair.after->tokens;
    Edit edit{pair.after->file, 0, 0, pair.after->name, {}, {}, {}, false, {}};
    edit.removed.assign(before.begin() + static_cast<ptrdiff_t>(change.old_begin),
                        before.begin() + static_cast<ptrdiff_t>(change.old_end));
    edit.added.assign(after.begin() + static_cast<ptrdiff_t>(change.new_begin),
                      after.begin() + static_cast<ptrdiff_t>(change.new_end));
    // Braces only hold what is new.
    const auto tells = [](const Token& token) { return token.text != "{" && token.text != "}"; };
    const auto first = std::find_if(edit.added.begin(), edit.added.end(), tells);
    if (!edit.added.empty()) {
      edit.line = first != edit.added.end() ? first->line : edit.added.front().line;
      edit.last = edit.added.back().line;
    } else if (change.new_begin < after.size() && change.old_end < before.size() &&
               before[change.old_end].line == before[change.old_end - 1].line) {
      // The rest of the line is still there.
      edit.line = edit.last = after[change.new_begin].line;
    } else if (change.new_begin > 0) {
      edit.line = edit.last = after[change.new_begin - 1].line;
    } else {
      edit.line = edit.last = after.empty() ? 1 : after.front().line;
    }
    edit.around = Around(after, change);
    edit.hunk = HunkOf(pair, change);
    return edit;
  }

  static std::vector<Token> Around(const std::vector<Token>& after, const TokenChange& change) {
    size_t begin = change.new_begin, end = change.new_end;
    while (begin > 0 && !EndsStatement(after[begin - 1])) --begin;
    while (end < after.size() && (end == 0 || !EndsStatement(after[end - 1]))) ++end;
    return {after.begin() + static_cast<ptrdiff_t>(begin), after.begin() + static_cast<ptrdiff_t>(end)};
  }

  // Whole lines: where the change begins or ends inside of a line, that line belongs to both sides.
  Hunk HunkOf(const Pair& pair, const TokenChange& change) const {
    const std::vector<Token>& before = pair.before->tokens;
    const std::vector<Token>& after = pair.after->tokens;
    struct Range {
      uint32_t first = 0, last = 0;  // empty: last < first
    };
    const auto range = [](const std::vector<Token>& tokens, size_t begin, size_t end) {
      if (begin < end) return Range{tokens[begin].line, tokens[end - 1].line};
      const uint32_t next = begin > 0 ? tokens[begin - 1].line + 1 : begin < tokens.size() ? tokens[begin].line : 1;
      return Range{next, next - 1};
    };
    Range old_lines = range(before, change.old_begin, change.old_end),
          new_lines = range(after, change.new_begin, change.new_end);
    const auto shares_before = [](const std::vector<Token>& tokens, size_t at, uint32_t line) {
      return at > 0 && tokens[at - 1].line == line;
    };
    const auto shares_after = [](const std::vector<Token>& tokens, size_t at, uint32_t line) {
      return at < tokens.size() && tokens[at].line == line;
    };
    const bool inside_before =
        (new_lines.last >= new_lines.first && shares_before(after, change.new_begin, new_lines.first)) ||
        (old_lines.last >= old_lines.first && shares_before(before, change.old_begin, old_lines.first));
    const bool inside_after =
        (new_lines.last >= new_lines.first && shares_after(after, change.new_end, new_lines.last)) ||
        (old_lines.last >= old_lines.first && shares_after(before, change.old_end, old_lines.last));
    const auto widen = [](const std::vector<Token>& tokens, size_t begin, size_t end, bool front, bool back,
                          Range* lines) {
      if (front && begin > 0) {
        lines->first = tokens[begin - 1].line;
        lines->last = std::max(lines->last, lines->first);
      }
      if (back && end < tokens.size()) {
        lines->last = std::max(lines->last, tokens[end].line);
        lines->first = std::min(lines->first, tokens[end].line);
      }
    };
    widen(before, change.old_begin, change.old_end, inside_before, inside_after, &old_lines);
    widen(after, change.new_begin, change.new_end, inside_before, inside_after, &new_lines);
    Hunk hunk{pair.after->file, old_lines.first, new_lines.first, {}, {}};
    const auto cut = [](const std::vector<std::string>& lines, const Range& lines_range, std::vector<std::string>* to) {
      for (uint32_t i = lines_range.first; i <= lines_range.last && i <= lines.size(); ++i) to->push_back(lines[i - 1]);
    };
    cut(before_.at(pair.before->file).lines, old_lines, &hunk.old_lines);
    cut(after_.at(pair.after->file).lines, new_lines, &hunk.new_lines);
    for (std::string& line : hunk.old_lines) line = Respelled(line, pair.renamed);
    return hunk;
  }

  // A line of the old text with the names of the new.
  std::string Respelled(const std::string& line, const Names& local) const {
    if (local.empty() && names_.empty()) return line;
    std::string text;
    for (size_t i = 0; i < line.size();) {
      size_t end = i;
      while (end < line.size() && (IsAsciiAlnum(line[end]) || line[end] == '_')) ++end;
      const std::string word = line.substr(i, std::max(end, i + 1) - i);
      const bool member = i > 0 && (line[i - 1] == '.' || line[i - 1] == '>');
      const auto own = local.find(word);
      const auto general = names_.find(word);
      text += own != local.end() && !member ? own->second : general != names_.end() ? general->second : word;
      i = std::max(end, i + 1);
    }
    return text;
  }

  void AddFresh(const Unit& unit) {
    if (unit.tokens.empty()) return;
    Edit edit{unit.file, unit.tokens.front().line, unit.tokens.back().line, unit.name, {}, unit.tokens, {}, true, {}};
    edit.hunk = {unit.file, edit.line, edit.line, {}, {}};
    const std::vector<std::string>& lines = after_.at(unit.file).lines;
    for (uint32_t i = edit.line; i <= edit.last && i <= lines.size(); ++i) edit.hunk.new_lines.push_back(lines[i - 1]);
    view_.edits.push_back(std::move(edit));
  }

  // Behind what stood before it.
  void AddGone(const Unit& unit) {
    Edit edit{unit.file, 1, 1, {}, unit.tokens, {}, {}, true, {}};
    for (const Unit& other : before_.at(unit.file).units) {
      if (&other == &unit) break;
      const auto pair =
          std::find_if(pairs_.begin(), pairs_.end(), [&](const Pair& entry) { return entry.before == &other; });
      if (pair == pairs_.end() || other.name.empty() || pair->after->file != unit.file || pair->after->tokens.empty())
        continue;
      edit.line = edit.last = pair->after->tokens.back().line;
      edit.function = pair->after->name;
    }
    const std::vector<std::string>& lines = before_.at(unit.file).lines;
    edit.hunk = {unit.file, unit.tokens.front().line, edit.line + 1, {}, {}};
    for (uint32_t i = unit.tokens.front().line; i <= unit.tokens.back().line && i <= lines.size(); ++i)
      edit.hunk.old_lines.push_back(lines[i - 1]);
    view_.edits.push_back(std::move(edit));
  }

  std::map<std::string, Version>& before_;
  std::map<std::string, Version>& after_;
  EditView& view_;
  std::vector<Pair> pairs_;
  std::vector<Unit*> fresh_, gone_;
  Names names_;  // everywhere
  std::map<std::string, size_t> harmless_;
};

// The text before the hunks; nothing when they do not end with this one.
std::optional<std::vector<std::string>> Undone(const std::vector<std::string>& lines, std::vector<const Hunk*> hunks) {
  std::sort(hunks.begin(), hunks.end(), [](const Hunk* a, const Hunk* b) { return a->new_start < b->new_start; });
  std::vector<std::string> before;
  size_t at = 0;  // lines of the new text that are done
  for (const Hunk* hunk : hunks) {
    const size_t start = hunk->new_start == 0 ? 0 : hunk->new_start - 1;
    if (start < at || start + hunk->new_lines.size() > lines.size()) return std::nullopt;
    if (!std::equal(hunk->new_lines.begin(), hunk->new_lines.end(), lines.begin() + static_cast<ptrdiff_t>(start)))
      return std::nullopt;
    before.insert(before.end(), lines.begin() + static_cast<ptrdiff_t>(at),
                  lines.begin() + static_cast<ptrdiff_t>(start));
    before.insert(before.end(), hunk->old_lines.begin(), hunk->old_lines.end());
    at = start + hunk->new_lines.size();
  }
  before.insert(before.end(), lines.begin() + static_cast<ptrdiff_t>(at), lines.end());
  return before;
}

// The hunk as it stands.
Edit RawEdit(SourceTree* tree, const Hunk& hunk) {
  // The first changed line that says something.
  uint32_t line = hunk.new_start;
  for (const std::string& text : hunk.new_lines) {
    if (text.find_first_not_of(" \t/") != std::string::npos && !text.starts_with("#")) break;
    ++line;
  }
  if (hunk.new_lines.empty() && line > 1) --line;
  const FunctionText* function = tree->FunctionAt(hunk.file, line);
  Edit edit{hunk.file,
            line,
            hunk.new_start + static_cast<uint32_t>(hunk.new_lines.size()),
            function != nullptr ? function->name : std::string(),
            Tokens(hunk.old_lines),
            Tokens(hunk.new_lines),
            {},
            false,
            hunk};
  for (Token& token : edit.added) token.line += hunk.new_start - 1;
  edit.around = edit.added;
  return edit;
}

}  // namespace

std::vector<TokenChange> DiffTokens(const std::vector<Token>& before, const std::vector<Token>& after) {
  return Script(before, after).Find();
}

EditView EditsOf(SourceTree* tree, const std::vector<Hunk>& hunks) {
  EditView view;
  std::map<std::string, std::vector<const Hunk*>> by_file;
  for (const Hunk& hunk : hunks) {
    if (IsSource(hunk.file)) by_file[hunk.file].push_back(&hunk);
  }
  std::map<std::string, Version> before, after;
  for (const auto& [file, changes] : by_file) {
    const std::vector<std::string>* lines = tree->Lines(file);
    auto old_lines = lines != nullptr ? Undone(*lines, changes) : std::nullopt;
    if (!old_lines) {
      for (const Hunk* hunk : changes) view.edits.push_back(RawEdit(tree, *hunk));
      continue;
    }
    before.emplace(file, VersionOf(file, std::move(*old_lines)));
    after.emplace(file, VersionOf(file, *lines));
  }
  Comparison(&before, &after, &view).Run();
  return view;
}

}  // namespace lockstep::replay
