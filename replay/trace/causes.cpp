#include "replay/trace/causes.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/time.h"
#include "replay/trace/command_json.h"
#include "replay/trace/suspects.h"

namespace lockstep::replay {
namespace {

using workflow::Divergence;
using workflow::DivergenceKind;
using workflow::Grade;
using workflow::SourceLine;

struct NameRow {
  std::string_view cause;
  std::string_view meaning;
};
constexpr NameRow kCauses[] = {
    {"ungated-change", "the code was changed and no version gate keeps old runs on the old way"},
    {"unordered-iteration", "the order comes from a hash table or another container without one"},
    {"time", "the clock of the machine"},
    {"random", "a random number or a generated id"},
    {"external-result", "a result that came from outside of the history"},
    {"timeout-change", "time-outs or retry numbers were changed"},
    {"plan-or-input-change", "another plan or input than the recorded run had"},
    {"environment", "time zone, locale, variables or state of the machine and its processes"},
    {"undefined-behavior", "memory without a value, addresses, or code that crashes"},
    {"corrupt-record", "the history or record is not what was recorded"},
};

// What in a line of C++ hints at which cause, without an analyzer.
struct HazardRow {
  std::string_view text;
  std::string_view cause;
};
constexpr HazardRow kHazards[] = {
    {"system_clock", "time"},
    {"steady_clock", "time"},
    {"high_resolution_clock", "time"},
    {"std::time(", "time"},
    {"gettimeofday", "time"},
    {"clock_gettime", "time"},
    {"localtime", "environment"},
    {"time(nullptr)", "time"},
    {"random_device", "random"},
    {"rand()", "random"},
    {"mt19937", "random"},
    {"getrandom", "random"},
    {"unordered_", "unordered-iteration"},
    {"std::hash", "unordered-iteration"},
    {"reinterpret_cast<uintptr_t>", "undefined-behavior"},
    {"getenv", "environment"},
    {"setlocale", "environment"},
    {"std::locale", "environment"},
    {"gethostname", "environment"},
    {"getpid", "environment"},
    {"this_thread::get_id", "environment"},
    {"std::thread", "environment"},
    {"std::jthread", "environment"},
    {"thread_local", "environment"},
    {"std::atomic", "environment"},
    {"static int", "environment"},
    {"static std::", "environment"},
    {"ifstream", "external-result"},
    {"fopen", "external-result"},
    {"std::set<const ", "undefined-behavior"},
};
// Families of the analyzer's checks (spec 07 section 4), by the beginning of what follows `determinism-`.
constexpr HazardRow kChecks[] = {
    {"wall-clock", "time"},
    {"monotonic-clock", "time"},
    {"time-zone", "environment"},
    {"blocking-sleep", "time"},
    {"build-stamp", "environment"},
    {"entropy-source", "random"},
    {"c-random", "random"},
    {"engine-seed", "random"},
    {"std-distribution", "random"},
    {"uuid-generation", "random"},
    {"process-identity", "environment"},
    {"unordered", "unordered-iteration"},
    {"container-mutation", "unordered-iteration"},
    {"pointer", "undefined-behavior"},
    {"std-hash", "unordered-iteration"},
    {"owner-order", "undefined-behavior"},
    {"unstable-sort", "unordered-iteration"},
    {"comparator", "unordered-iteration"},
    {"uninitialized", "undefined-behavior"},
    {"padding", "undefined-behavior"},
    {"undefined", "undefined-behavior"},
    {"dangling", "undefined-behavior"},
    {"unsequenced", "undefined-behavior"},
    {"env", "environment"},
    {"runtime-config", "environment"},
    {"locale", "environment"},
    {"hardware", "environment"},
    {"thread", "environment"},
    {"atomic", "environment"},
    {"mutable-global", "environment"},
    {"function-static", "environment"},
    {"file-io", "external-result"},
    {"network-io", "external-result"},
    {"database-io", "external-result"},
    {"directory-order", "unordered-iteration"},
    {"float", "environment"},
    {"libm", "environment"},
};

// Attributes whose name in the code is not that of the protocol.
constexpr std::pair<std::string_view, std::string_view> kFieldWords[] = {
    {"maximumAttempts", "max_attempts"},
    {"initialInterval", "initial_interval_ms"},
    {"maximumInterval", "max_interval_ms"},
    {"backoffCoefficient", "backoff_coefficient"},
    {"nonRetryableErrorTypes", "non_retryable"},
    {"scheduleToCloseTimeout", "schedule_to_close_ms"},
    {"startToCloseTimeout", "start_to_close_ms"},
    {"scheduleToStartTimeout", "schedule_to_start_ms"},
    {"heartbeatTimeout", "heartbeat_ms"},
    {"startToFireTimeout", "deadline"},
    {"startToFireTimeout", "timeout_ms"},
    {"taskQueue", "task_queue"},
    {"activityId", "activity_id"},
    {"workflowTaskQueue", "task_queue"},
    {"engineAttemptId", "engine_attempt_id"},
    {"logicalAttemptId", "logical_attempt_id"},
    {"startedAt", "started_at"},
    {"completedAt", "completed_at"},
    {"errorCode", "error_code"},
    {"reasonCode", "reason_code"},
};

constexpr size_t kFewChanges = 20;

bool Is(const Divergence& divergence, std::initializer_list<DivergenceKind> kinds) {
  return std::find(kinds.begin(), kinds.end(), divergence.kind) != kinds.end();
}

// What the actual side of the divergences says; where it was raised is no part of it.
std::string ActualOf(const ProbeResult& probe) {
  std::string text;
  for (const Divergence& divergence : probe.divergences)
    text += divergence.command + "\x1f" + divergence.field + "\x1f" + divergence.actual + "\x1e";
  return text + probe.actual_digest;
}

// Times inside a text: RFC 3339, or whole numbers that are seconds, milliseconds or nanoseconds of this century.
std::vector<int64_t> TimesIn(const std::string& text) {
  std::vector<int64_t> times;
  for (size_t i = 0; i + 20 <= text.size(); ++i) {
    if (!IsAsciiDigit(text[i]) || text[i + 4] != '-' || (i > 0 && IsAsciiDigit(text[i - 1]))) continue;
    size_t end = i;
    while (end < text.size() && text[end] != 'Z' && end - i < 31) ++end;
    if (end >= text.size()) continue;
    if (const auto time = ParseRfc3339(std::string_view(text).substr(i, end + 1 - i)))
      times.push_back(time->seconds * 1000 + time->nanos / 1'000'000);
  }
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && IsAsciiDigit(text[end])) ++end;
    const auto number =
        end - i >= 10 && end - i <= 19 ? ParseInt64(std::string_view(text).substr(i, end - i)) : std::nullopt;
    for (const int64_t scale : {1000, 1, -1000, -1'000'000}) {
      if (!number) break;
      const int64_t millis = scale > 0 ? (*number < INT64_MAX / 1000 ? *number * scale : 0) : *number / -scale;
      if (millis > 1'400'000'000'000 && millis < 4'000'000'000'000) times.push_back(millis);
    }
    i = std::max(end, i + 1);
  }
  return times;
}

bool LooksLikeUuid(const std::string& text) {
  int run = 0, dashes = 0;
  for (const char c : text) {
    const bool hex = IsAsciiDigit(c) || (c >= 'a' && c <= 'f');
    if (hex)
      ++run;
    else if (c == '-' && run >= 4)
      ++dashes, run = 0;
    else if (dashes >= 4)
      break;
    else
      dashes = run = 0;
  }
  return dashes >= 4;
}

struct Candidate {
  SourceLine where;
  double score = 0;
  std::string why;
  int change = -1;
};

class Ranker {
 public:
  Ranker(const CauseFacts& facts, SourceTree* tree) : facts_(facts), tree_(tree) {
    starts_ = {facts_.first.where, facts_.first.recorded_where};
    if (facts_.bad != nullptr) starts_.push_back(facts_.bad->where);
    for (const AwaitView& view : facts_.awaits) {
      for (const SourceLine& frame : view.stack) stack_.push_back(frame);
    }
    std::erase_if(starts_, [](const SourceLine& line) { return !line.known(); });
    std::vector<std::string> files;
    for (const SourceLine& line : starts_) files.push_back(line.file);
    for (const SourceLine& line : stack_) files.push_back(line.file);
    for (const Edit& edit : facts_.edits) files.push_back(edit.file);
    files_ = tree_->Neighbours(files);
    distances_ = CallDistances(tree_, files_, starts_, 4);
    stack_distances_ = CallDistances(tree_, files_, stack_, 4);
    // Those who led to the command are as near as those it calls.
    if (facts_.first.where.known()) path_ = CallPath(tree_, files_, stack_, facts_.first.where);
    for (size_t i = 0; i < path_.size(); ++i) {
      if (const FunctionText* caller = tree_->FunctionAt(path_[i].file, path_[i].line)) {
        const std::string key = caller->file + ":" + std::to_string(caller->first);
        const int distance = static_cast<int>(i) + 1;
        const auto [entry, fresh] = distances_.emplace(key, distance);
        if (!fresh) entry->second = std::min(entry->second, distance);
      }
    }
  }

  std::vector<Cause> Rank() {
    CollectLines();
    Measure();
    RuleOrder();
    RuleNumbers();
    RuleRecord();
    RuleChange();
    RuleHazards();
    RuleFindings();
    return Merged();
  }

 private:
  // Calls from the command's function, or from where the code stands, to this line; 9: out of reach or unknown.
  int DistanceTo(const std::string& file, uint32_t line) {
    const FunctionText* function = tree_->FunctionAt(file, line);
    if (function == nullptr) return 9;
    const std::string key = function->file + ":" + std::to_string(function->first);
    const auto near = distances_.find(key), far = stack_distances_.find(key);
    int distance = near == distances_.end() ? 9 : near->second;
    if (far != stack_distances_.end()) distance = std::min(distance, far->second + 1);
    return distance;
  }

  void Add(std::string_view cause, double confidence, std::string evidence, SourceLine where = {}, int change = -1,
           std::string finding = {}) {
    causes_.push_back({std::string(cause),
                       std::clamp(confidence, 0.01, 0.99),
                       {std::move(evidence)},
                       std::move(where),
                       std::move(finding),
                       change});
  }
  SourceLine Best() const { return lines_.empty() ? facts_.first.where : lines_.front().where; }
  int BestChange() const { return lines_.empty() ? -1 : lines_.front().change; }

  // --- which line
  void CollectLines() {
    CollectChanges();
    // What is known to have changed goes before what could be wrong.
    const double weight = facts_.edits.empty() ? 1 : 0.6;
    for (Suspect& suspect : FindSuspects(SuspectsFrom(), tree_))
      lines_.push_back({std::move(suspect.where), weight * suspect.score, std::move(suspect.why), -1});
    if (facts_.bad != nullptr && facts_.bad->where.known())
      lines_.push_back({facts_.bad->where, 0.9, "the last line known before it", -1});
    std::stable_sort(lines_.begin(), lines_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    std::vector<Candidate> unique;
    for (Candidate& line : lines_) {
      const bool seen = std::any_of(unique.begin(), unique.end(), [&](const Candidate& other) {
        return other.where.file == line.where.file && other.where.line == line.where.line;
      });
      if (!seen) unique.push_back(std::move(line));
    }
    lines_ = std::move(unique);
  }

  SuspectFacts SuspectsFrom() const {
    SuspectFacts facts;
    facts.first = facts_.first;
    facts.all = facts_.all;
    facts.fields = facts_.fields;
    facts.began = facts_.began;
    facts.awaits = facts_.awaits;
    if (facts_.bad != nullptr) {
      facts.issuers = facts_.bad->issuers;
      facts.messages = facts_.bad->messages;
    }
    facts.field_words = FieldWords();
    facts.actual_values = ValuesOf(false);
    facts.expected_values = ValuesOf(true);
    facts.files = files_;
    facts.distances = distances_;
    return facts;
  }

  void CollectChanges() {
    for (size_t i = 0; i < facts_.edits.size(); ++i) {
      const Edit& edit = facts_.edits[i];
      const int distance = DistanceTo(edit.file, edit.line);
      // Of a whole release's changes only those on the way to the command say anything.
      if (distance == 9 && facts_.edits.size() > kFewChanges) continue;
      std::string why = distance == 0  ? "changed, in the function of the command"
                        : distance < 9 ? "changed, " + std::to_string(distance) + " calls from the command"
                                       : "changed";
      const double points = Points(edit, distance, &why);
      lines_.push_back({{edit.file, edit.line, edit.function},
                        std::min(0.98, 0.6 + 0.004 * points),
                        std::move(why),
                        static_cast<int>(i)});
    }
  }

  // How much speaks for an edit, besides that it was made: where it stands, and whether it speaks of what differs.
  double Points(const Edit& edit, int distance, std::string* why) const {
    double points = distance < 9 ? 40 - 6 * distance : 4;
    for (const SourceLine& start : starts_) {
      if (start.file == edit.file && start.line >= edit.hunk.new_start &&
          start.line <= std::max<uint32_t>(edit.last, edit.line)) {
        points += 12;
        break;
      }
    }
    if (const int matches = ValueMatches(edit); matches > 0) {
      points += 15 + 10 * matches;
      *why += ", and the values that differ stand in it";
    }
    if (NamesWhatDiffers(edit)) {
      points += 14;
      *why += ", and it names what differs";
    }
    if (Structural()) {
      if (Mentions(edit, {"wf", "co_await", "co_return", "get_version", "Emit", "emit"})) points += 12;
      if (Mentions(edit, {"if", "else", "while", "for", "return", "break", "continue", "&&", "||", "!", "==", "!=", "<",
                          ">", "<=", ">=", "true", "false"}))
        points += 8;
    }
    if (HasKind(DivergenceKind::kOrderChanged) &&
        Mentions(edit, {"begin", "rbegin", "sort", "front", "back", "swap", "reverse", "push_back", "push_front",
                        "pop_front", "pop_back", "for", "max", "min", "insert"}))
      points += 14;
    if (HasKind(DivergenceKind::kVersionRange) && Mentions(edit, {"get_version", "patched", "kDefaultVersion"}))
      points += 30;
    if (edit.new_item) points -= 8;
    return points;
  }

  // Commands are there or not, or elsewhere, rather than other in themselves.
  bool Structural() const {
    return !Is(facts_.first,
               {DivergenceKind::kFieldChanged, DivergenceKind::kEventChanged, DivergenceKind::kSnapshotChanged});
  }
  bool HasKind(DivergenceKind kind) const {
    return std::any_of(facts_.all.begin(), facts_.all.end(),
                       [&](const Divergence& divergence) { return divergence.kind == kind; });
  }

  static bool Mentions(const Edit& edit, std::initializer_list<std::string_view> words) {
    const auto any = [&](const std::vector<Token>& tokens) {
      return std::any_of(tokens.begin(), tokens.end(), [&](const Token& token) {
        return std::find(words.begin(), words.end(), token.text) != words.end();
      });
    };
    return any(edit.removed) || any(edit.added);
  }

  bool NamesWhatDiffers(const Edit& edit) const {
    for (const std::string& word : FieldWords()) {
      const auto names = [&](const Token& token) { return token.text == word; };
      if (std::any_of(edit.around.begin(), edit.around.end(), names) ||
          std::any_of(edit.removed.begin(), edit.removed.end(), names))
        return true;
    }
    return false;
  }

  // The recorded value among the words that are gone, this build's among those that came.
  int ValueMatches(const Edit& edit) const {
    const auto has = [](const std::vector<Token>& tokens, const std::vector<std::string>& values) {
      return std::any_of(tokens.begin(), tokens.end(), [&](const Token& token) {
        const std::string text = token.kind == TokenKind::kText && token.text.size() >= 2
                                     ? token.text.substr(1, token.text.size() - 2)
                                     : token.text;
        return std::find(values.begin(), values.end(), text) != values.end();
      });
    };
    const std::vector<std::string> expected = ValuesOf(true), actual = ValuesOf(false);
    return (has(edit.removed, expected) && !has(edit.added, expected) ? 1 : 0) +
           (has(edit.added, actual) && !has(edit.removed, actual) ? 1 : 0);
  }

  // The values of one side as code may write them: texts, numbers, durations in seconds and milliseconds.
  std::vector<std::string> ValuesOf(bool expected) const {
    std::vector<std::string> values;
    const auto add = [&](std::string_view text) {
      if (text.size() >= 2 && text.front() == '"') text = text.substr(1, text.size() - 2);
      if (text.size() < 2 || text.size() > 200) return;
      values.emplace_back(text);
      if (text.back() == 's' && IsAsciiDigit(text.front())) {
        const double seconds = std::strtod(std::string(text).c_str(), nullptr);
        values.push_back(std::to_string(std::llround(seconds * 1000)));
        values.push_back(std::to_string(std::llround(seconds)));
      }
    };
    for (const Divergence& divergence : facts_.all) {
      add(expected ? divergence.expected : divergence.actual);
      // `ActivityTaskScheduled name`: what is missing or new is told by its name.
      const std::string& command = expected ? divergence.expected : divergence.actual;
      if (const size_t space = command.find(' '); space != std::string::npos)
        add(std::string_view(command).substr(space + 1));
    }
    for (const JsonDifference& field : facts_.fields) add(expected ? field.expected : field.actual);
    return values;
  }

  // The names by which the code would speak of what differs: as text, or as `.name =`.
  std::vector<std::string> FieldWords() const {
    std::vector<std::string> words;
    const auto add = [&](std::string_view leaf) {
      if (leaf.size() < 3 || ParseInt64(leaf)) return;
      words.push_back("\"" + std::string(leaf) + "\"");
      words.emplace_back(leaf);
      for (const auto& [protocol, code] : kFieldWords) {
        if (protocol == leaf) words.emplace_back(code);
      }
    };
    for (const JsonDifference& field : facts_.fields)
      add(std::string_view(field.pointer).substr(field.pointer.rfind('/') + 1));
    const std::string field = AttributeOf(facts_.first.field);
    add(field.substr(field.rfind('.') == std::string::npos ? 0 : field.rfind('.') + 1));
    return words;
  }

  // --- does it differ again?
  void Measure() {
    if (facts_.bad == nullptr) return;
    if (facts_.bad->signal != 0) {
      Add("undefined-behavior", 0.97, "the code crashed with signal " + std::to_string(facts_.bad->signal),
          facts_.bad->where);
      // The last line known is only where the code last spoke to the runtime.
      for (size_t i = 0; i < lines_.size() && lines_[i].change >= 0 && i < 3; ++i)
        Add("undefined-behavior", 0.96 - 0.02 * static_cast<double>(i), lines_[i].why, lines_[i].where,
            lines_[i].change);
      return;
    }
    const std::string base = ActualOf(*facts_.bad);
    const auto differs = [&](const ProbeResult* probe) {
      return probe != nullptr && (probe->signal != 0 || ActualOf(*probe) != base);
    };
    varies_ = differs(facts_.again);
    const bool near_now = NearNow();
    if (varies_ && near_now) {
      Add("time", 0.97, "a second later the same replay gives another value, and it is the time of this machine",
          Best(), BestChange());
    } else if (varies_) {
      Add("random", 0.9, "the same replay gives another value each time: " + facts_.first.actual.substr(0, 120), Best(),
          BestChange());
      Add("time", 0.6, "the same replay gives another value a second later", Best(), BestChange());
    } else if (near_now) {
      Add("time", 0.93,
          "the value is the time of this machine, not of the recorded run: " + facts_.first.actual.substr(0, 80),
          Best(), BestChange());
    }
    // Another value each time, but the same where fresh memory holds a pattern: it was read from there.
    if (varies_ && !near_now && facts_.memory != nullptr && facts_.memory_again != nullptr &&
        ActualOf(*facts_.memory) == ActualOf(*facts_.memory_again)) {
      Add("undefined-behavior", 0.95,
          "another value each time, and always the same with fresh memory filled with a pattern", Best(), BestChange());
    }
    // What varies by itself says nothing about what makes it vary.
    if (varies_) return;
    if (differs(facts_.environment))
      Add("environment", 0.95, "with another time zone, locale and other variables the replay gives another value",
          Best(), BestChange());
    if (differs(facts_.memory))
      Add("undefined-behavior", 0.94, "with fresh memory filled with a pattern the replay gives another value", Best(),
          BestChange());
  }

  bool NearNow() const {
    std::string actual = facts_.first.actual;
    for (const JsonDifference& field : facts_.fields) actual += " " + field.actual;
    if (std::abs(facts_.now_ms - facts_.workflow_ms) < 600'000) return false;
    for (const int64_t time : TimesIn(actual)) {
      if (std::abs(time - facts_.now_ms) < 300'000) return true;
    }
    return false;
  }

  // --- what differs
  void RuleOrder() {
    const bool order = std::any_of(facts_.all.begin(), facts_.all.end(),
                                   [](const Divergence& d) { return d.kind == DivergenceKind::kOrderChanged; });
    // Each side has the same commands of one task, or one command stands where its sibling was.
    if (order) Add("unordered-iteration", 0.62, "the same commands were issued in another order", Best(), BestChange());
  }

  void RuleNumbers() {
    const std::string field = AttributeOf(facts_.first.field);
    const bool timeout = field.find("imeout") != std::string::npos || field.starts_with("retryPolicy") ||
                         facts_.first.grade == Grade::kDrift;
    if (timeout)
      Add("timeout-change", 0.9,
          field + " was " + facts_.first.expected.substr(0, 60) + " and is " + facts_.first.actual.substr(0, 60),
          Best(), BestChange());
  }

  void RuleRecord() {
    const Divergence& first = facts_.first;
    if (Is(first, {DivergenceKind::kUnknownReference})) {
      Add("corrupt-record", facts_.edits.empty() ? 0.85 : 0.5, "an event closes something that was never opened",
          first.where);
    }
    if (facts_.plan_differs)
      Add("plan-or-input-change", 0.96, "the plan or input at hand is not the one the history names", first.where);
    if (GeneratedIdDiffers()) {
      Add("random", varies_ ? 0.9 : 0.4, "a generated id differs", Best(), BestChange());
    }
    if (AttributeOf(first.field) == "result" || first.field.starts_with("details"))
      Add("external-result", 0.25, "a recorded result differs from what the code makes of it", Best(), BestChange());
  }

  // Of the very values that differ; a whole input holds ids that do not.
  bool GeneratedIdDiffers() const {
    if (facts_.fields.empty()) {
      return facts_.first.actual.size() < 80 && LooksLikeUuid(facts_.first.actual) &&
             LooksLikeUuid(facts_.first.expected);
    }
    return std::any_of(facts_.fields.begin(), facts_.fields.end(), [](const JsonDifference& field) {
      return LooksLikeUuid(field.actual) && LooksLikeUuid(field.expected);
    });
  }

  // The code does the same each time, and not what it did.
  void RuleChange() {
    const Divergence& first = facts_.first;
    double base = varies_ ? 0.3 : 0.88;
    if (facts_.bad != nullptr && facts_.bad->signal != 0) base = 0.5;
    if (Is(first, {DivergenceKind::kVersionRange})) base = 0.98;
    if (facts_.changes_known && facts_.edits.empty()) base = std::min(base, 0.4);
    if (lines_.empty())
      Add("ungated-change", base * 0.8, "the code does the same each time, and not what was recorded", first.where);
    for (size_t i = 0; i < lines_.size() && i < 4; ++i) {
      Add("ungated-change", base - 0.03 * static_cast<double>(i) + (lines_[i].change >= 0 ? 0.06 : 0), lines_[i].why,
          lines_[i].where, lines_[i].change);
    }
  }

  // --- what the source says
  void RuleHazards() {
    std::set<std::string> seen;
    for (size_t i = 0; i < facts_.edits.size(); ++i) {
      const Edit& edit = facts_.edits[i];
      if (facts_.edits.size() > kFewChanges && DistanceTo(edit.file, edit.line) == 9) continue;
      for (size_t j = 0; j < edit.hunk.new_lines.size(); ++j) {
        const uint32_t line = edit.hunk.new_start + static_cast<uint32_t>(j);
        if (line >= edit.line && line <= edit.last)
          NoteHazard(edit.file, line, edit.hunk.new_lines[j], 0.95, "a changed line uses ", static_cast<int>(i), &seen);
      }
    }
    for (const std::string& file : files_) {
      for (const FunctionText& function : tree_->Functions(file)) {
        const int distance = DistanceTo(file, function.first);
        if (distance > 2) continue;
        for (uint32_t line = function.first; line <= function.last; ++line) {
          NoteHazard(file, line, (*tree_->Lines(file))[line - 1], 0.5 - 0.1 * distance, "near the command stands ", -1,
                     &seen);
        }
      }
    }
  }

  void NoteHazard(const std::string& file, uint32_t line, const std::string& text, double confidence, const char* what,
                  int change, std::set<std::string>* seen) {
    for (const HazardRow& row : kHazards) {
      if (text.find(row.text) == std::string::npos ||
          !seen->insert(file + std::to_string(line) + std::string(row.cause)).second)
        continue;
      const FunctionText* function = tree_->FunctionAt(file, line);
      Add(row.cause, confidence, what + std::string(row.text),
          {file, line, function != nullptr ? function->name : std::string()}, change);
    }
  }

  void RuleFindings() {
    for (const Finding& finding : facts_.findings) {
      const std::string_view check = std::string_view(finding.id).starts_with("determinism-")
                                         ? std::string_view(finding.id).substr(12)
                                         : std::string_view(finding.id);
      const auto row = std::find_if(std::begin(kChecks), std::end(kChecks),
                                    [&](const HazardRow& entry) { return check.starts_with(entry.text); });
      double confidence = 0;
      for (const SourceLine& step : finding.chain) {
        const int distance = DistanceTo(step.file, step.line);
        if (distance < 9) confidence = std::max(confidence, 0.9 - 0.05 * distance);
      }
      if (confidence == 0) continue;
      Add(row == std::end(kChecks) ? "ungated-change" : row->cause, confidence, "analyzer: " + finding.message,
          finding.site(), -1, finding.id);
    }
  }

  // Entries of one cause and line become one, with all their evidence; each further reason adds to the confidence.
  std::vector<Cause> Merged() {
    std::vector<Cause> merged;
    std::stable_sort(causes_.begin(), causes_.end(),
                     [](const Cause& a, const Cause& b) { return a.confidence > b.confidence; });
    for (Cause& cause : causes_) {
      const auto same = std::find_if(merged.begin(), merged.end(), [&](const Cause& other) {
        return other.cause == cause.cause && other.where.file == cause.where.file &&
               other.where.line == cause.where.line;
      });
      if (same == merged.end()) {
        merged.push_back(std::move(cause));
        continue;
      }
      same->confidence += (0.99 - same->confidence) * cause.confidence * 0.5;
      same->evidence.insert(same->evidence.end(), cause.evidence.begin(), cause.evidence.end());
      if (same->finding.empty()) same->finding = cause.finding;
      if (same->change < 0) same->change = cause.change;
    }
    std::stable_sort(merged.begin(), merged.end(),
                     [](const Cause& a, const Cause& b) { return a.confidence > b.confidence; });
    if (merged.size() > 8) merged.resize(8);
    return merged;
  }

  const CauseFacts& facts_;
  SourceTree* tree_;
  std::vector<SourceLine> starts_, stack_;
  std::vector<SourceLine> path_;  // calls that lead to the command, innermost first
  std::vector<std::string> files_;
  std::map<std::string, int> distances_, stack_distances_;
  std::vector<Candidate> lines_;
  std::vector<Cause> causes_;
  bool varies_ = false;
};

}  // namespace

const std::vector<std::string_view>& CauseNames() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const NameRow& row : kCauses) all.push_back(row.cause);
    return all;
  }();
  return names;
}

std::string_view CauseMeaning(std::string_view cause) {
  const auto row =
      std::find_if(std::begin(kCauses), std::end(kCauses), [&](const NameRow& entry) { return entry.cause == cause; });
  return row == std::end(kCauses) ? std::string_view() : row->meaning;
}

std::vector<Cause> RankCauses(const CauseFacts& facts, SourceTree* tree) { return Ranker(facts, tree).Rank(); }

}  // namespace lockstep::replay
