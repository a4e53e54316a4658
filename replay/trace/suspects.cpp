#include "replay/trace/suspects.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include "engine-core/base/bytes.h"

namespace lockstep::replay {
namespace {

using workflow::Divergence;
using workflow::DivergenceKind;
using workflow::SourceLine;

constexpr int kMaxDepth = 200;
constexpr int kFar = 9;

std::string Unquoted(const Token& token) {
  return token.kind == TokenKind::kText && token.text.size() >= 2 ? token.text.substr(1, token.text.size() - 2)
                                                                  : token.text;
}

// How alike two names of commands are, by how they begin.
size_t CommonPrefix(std::string_view left, std::string_view right) {
  size_t i = 0;
  while (i < std::min(left.size(), right.size()) && left[i] == right[i]) ++i;
  return i;
}

class Finder {
 public:
  Finder(const SuspectFacts& facts, SourceTree* tree) : facts_(facts), tree_(tree) {}

  std::vector<Suspect> Find() {
    std::set<std::pair<std::string, uint32_t>> places;
    size_t looked = 0;
    // The decisive difference first; what else the task shows tells about the same mistake.
    About(facts_.first, 1);
    places.insert({facts_.first.where.file, facts_.first.where.line});
    for (const Divergence& other : facts_.all) {
      if (!other.where.known() || !places.insert({other.where.file, other.where.line}).second || ++looked > 3) continue;
      About(other, other.run_seq > 0 ? 0.99 : 0.94);
    }
    std::stable_sort(found_.begin(), found_.end(),
                     [](const Suspect& a, const Suspect& b) { return a.score > b.score; });
    std::vector<Suspect> unique;
    for (Suspect& suspect : found_) {
      const bool seen = std::any_of(unique.begin(), unique.end(), [&](const Suspect& other) {
        return other.where.file == suspect.where.file && other.where.line == suspect.where.line;
      });
      if (!seen) unique.push_back(std::move(suspect));
    }
    return unique;
  }

 private:
  void About(const Divergence& divergence, double weight) {
    now_ = &divergence;
    const size_t before = found_.size();
    std::vector<SourceLine> stack;
    for (const auto* views : {&facts_.began, &facts_.awaits}) {
      for (const AwaitView& view : *views) stack.insert(stack.end(), view.stack.begin(), view.stack.end());
    }
    path_ =
        divergence.where.known() ? CallPath(tree_, facts_.files, stack, divergence.where) : std::vector<SourceLine>();
    const DivergenceKind kind = divergence.kind;
    if (kind == DivergenceKind::kEventChanged && OtherEvent()) {
      OfAnOrder();
      OfASurplusCommand();
    } else if (kind == DivergenceKind::kFieldChanged || kind == DivergenceKind::kEventChanged ||
               kind == DivergenceKind::kSnapshotChanged) {
      OfAValue();
    } else if (kind == DivergenceKind::kOrderChanged) {
      OfAnOrder();
    } else if (kind == DivergenceKind::kOtherTask && IsEarly()) {
      OfAnEarlyCommand();
    } else if (kind == DivergenceKind::kMissingCommand || kind == DivergenceKind::kOtherTask) {
      OfAMissingCommand();
    } else {
      OfASurplusCommand();
    }
    for (size_t i = before; i < found_.size(); ++i) found_[i].score *= weight;
  }

  // Not another payload of the same event of the engine, but the event of another step, or of another kind.
  bool OtherEvent() const {
    return now_->run_seq > 0 &&
           (now_->field == "stepId" || now_->field == "eventType" || now_->field == "idempotencyKey");
  }

  // Issued in an earlier workflow task than recorded: both sides name theirs.
  bool IsEarly() const {
    const auto number = [](std::string_view text) {
      const size_t at = text.find_last_of("0123456789");
      if (at == std::string_view::npos) return int64_t{0};
      size_t begin = at;
      while (begin > 0 && IsAsciiDigit(text[begin - 1])) --begin;
      return ParseInt64(text.substr(begin, at - begin + 1)).value_or(0);
    };
    return number(now_->actual) < number(now_->expected);
  }

  // --- the text
  const FunctionText* FunctionOf(const SourceLine& line) {
    return line.known() ? tree_->FunctionAt(line.file, line.line) : nullptr;
  }

  const Body& BodyOf(const FunctionText& function) {
    const auto [entry, fresh] = bodies_.try_emplace({function.file, function.first}, nullptr);
    if (fresh) entry->second = std::make_unique<Body>(tree_->Words(function.file), function);
    return *entry->second;
  }

  std::vector<std::string> NamesIn(const std::string& file, const Body::Statement& statement) {
    std::set<std::string> names;
    const std::vector<Token>& words = tree_->Words(file);
    for (size_t i = statement.begin; i < statement.end; ++i) {
      if (words[i].kind == TokenKind::kName && !IsKeyword(words[i].text)) names.insert(words[i].text);
    }
    return {names.begin(), names.end()};
  }

  int DistanceOf(const FunctionText& function) const {
    const auto found = facts_.distances.find(function.file + ":" + std::to_string(function.first));
    return found == facts_.distances.end() ? kFar : found->second;
  }

  void Add(const std::string& file, uint32_t line, double score, std::string why) {
    const FunctionText* function = tree_->FunctionAt(file, line);
    found_.push_back({{file, line, function != nullptr ? function->name : std::string()}, score, std::move(why)});
  }
  void Add(const SourceLine& line, double score, std::string why) {
    if (line.known()) found_.push_back({line, score, std::move(why)});
  }

  // The heads that decide whether a line is reached, the innermost with this score.
  void Deciders(const SourceLine& line, double score, double step, size_t most, const std::string& why) {
    const FunctionText* function = FunctionOf(line);
    if (function == nullptr) return;
    const Body& body = BodyOf(*function);
    const int at = body.At(line.line);
    if (at < 0) return;
    for (const int head : body.Deciders(at)) {
      if (most-- == 0) return;
      const Body::Statement& statement = body.statements()[static_cast<size_t>(head)];
      Add(line.file, statement.first, score, why);
      Predicates(*function, statement, score - 0.03);
      score -= step;
    }
  }

  // Short functions that such a head asks: where they say what they say.
  void Predicates(const FunctionText& asking, const Body::Statement& head, double score) {
    const std::vector<Token>& words = tree_->Words(asking.file);
    for (size_t i = head.begin; i + 1 < head.end; ++i) {
      if (words[i].kind != TokenKind::kName || words[i + 1].text != "(" || (i > head.begin && words[i - 1].text == "."))
        continue;
      for (const std::string& file : facts_.files) {
        for (const FunctionText& other : tree_->Functions(file)) {
          if (other.kind != ItemKind::kFunction || other.name != words[i].text || other.last - other.first > 6 ||
              other.scope != asking.scope)
            continue;
          for (const Body::Statement& statement : BodyOf(other).statements()) {
            if (WordAt(other.file, statement.begin) == "return")
              Add(file, statement.first, score, other.name + " is asked whether it is reached");
          }
        }
      }
    }
  }
  std::string_view WordAt(const std::string& file, size_t at) { return tree_->Words(file)[at].text; }

  // --- another value
  void OfAValue() {
    Values();
    Words();
    Add(now_->where, 0.7, "issues the command");
    Ingredients();
    if (now_->recorded_where.known() && !(now_->recorded_where == now_->where))
      Add(now_->recorded_where, 0.3, "issued it when it was recorded");
  }

  // The statement that issues the command names what it is made of.
  std::vector<std::string> NamesOfTheCommand() {
    const FunctionText* function = FunctionOf(now_->where);
    if (function == nullptr) return {};
    const Body& body = BodyOf(*function);
    const int at = body.At(now_->where.line);
    return at < 0 ? std::vector<std::string>() : NamesIn(function->file, body.statements()[static_cast<size_t>(at)]);
  }

  // Where the very value stands that this build gives.
  void Values() {
    const std::vector<std::string> direct = NamesOfTheCommand();
    for (const std::string& value : facts_.actual_values) {
      const bool plain = value.size() >= 3 || (value.size() == 2 && !IsAsciiDigit(value[0]));
      if (!plain) continue;
      for (const std::string& file : facts_.files) {
        for (const Token& token : tree_->Words(file)) {
          if ((token.kind != TokenKind::kText && token.kind != TokenKind::kNumber) || Unquoted(token) != value)
            continue;
          const FunctionText* function = tree_->FunctionAt(file, token.line);
          const int distance = function == nullptr ? kFar : DistanceOf(*function);
          if (distance > 3) continue;
          const bool named = function->kind == ItemKind::kDeclaration && HasName(direct, function->name);
          Add(file, token.line, (named ? 0.92 : 0.88) - 0.04 * distance, "the value that this build gives stands here");
        }
      }
    }
  }

  // A text, or a member that is given a value.
  static bool SpeaksOfAField(const std::vector<Token>& tokens, size_t at) {
    if (tokens[at].kind == TokenKind::kText) return true;
    const std::string_view after = at + 1 < tokens.size() ? std::string_view(tokens[at + 1].text) : std::string_view();
    return at > 0 && (tokens[at - 1].text == "." || tokens[at - 1].text == "->") && (after == "=" || after == "{");
  }

  // Where the name stands of what differs: in what the command names, then in its own function, then further away.
  void Words() {
    const std::vector<std::string> direct = NamesOfTheCommand();
    for (const std::string& word : facts_.field_words) {
      int best = 4;
      std::vector<Suspect> nearest;
      for (const std::string& file : facts_.files) {
        const std::vector<Token>& tokens = tree_->Words(file);
        for (size_t i = 0; i < tokens.size(); ++i) {
          const Token& token = tokens[i];
          if (token.text != word || !SpeaksOfAField(tokens, i)) continue;
          const FunctionText* function = tree_->FunctionAt(file, token.line);
          if (function == nullptr) continue;
          const bool named = function->kind == ItemKind::kDeclaration && HasName(direct, function->name);
          const int distance = named ? 0 : DistanceOf(*function) + (function->kind == ItemKind::kDeclaration ? 1 : 0);
          if (distance > best || distance > 3) continue;
          if (distance < best) nearest.clear();
          best = distance;
          nearest.push_back(
              {{file, token.line, function->name}, 0.82 - 0.06 * distance, "names what differs (" + word + ")"});
        }
      }
      // Of several, the nearest to the command; the next ones count less.
      const SourceLine& where = now_->where;
      std::stable_sort(nearest.begin(), nearest.end(), [&](const Suspect& a, const Suspect& b) {
        const auto away = [&](const Suspect& s) {
          return s.where.file == where.file
                     ? std::abs(static_cast<int64_t>(s.where.line) - static_cast<int64_t>(where.line))
                     : INT32_MAX;
        };
        return away(a) < away(b);
      });
      for (size_t i = 0; i < nearest.size() && i < 3; ++i) {
        nearest[i].score -= 0.05 * static_cast<double>(i);
        found_.push_back(nearest[i]);
      }
    }
  }

  // Where the names get their values that the command is made of.
  void Ingredients() {
    const FunctionText* function = FunctionOf(now_->where);
    if (function == nullptr) return;
    const Body& body = BodyOf(*function);
    const std::vector<std::string> names = NamesOfTheCommand();
    double near = 0.68;
    const std::vector<Token>& words = tree_->Words(function->file);
    for (size_t s = body.statements().size(); s-- > 0;) {
      const Body::Statement& statement = body.statements()[s];
      if (statement.block || statement.head || statement.first >= now_->where.line) continue;
      for (size_t i = statement.begin; i < statement.end; ++i) {
        if (words[i].kind != TokenKind::kName || !HasName(names, words[i].text)) continue;
        const bool gives = IsDeclared(words, i) || (i + 1 < statement.end && words[i + 1].text == "=");
        if (!gives || near < 0.5) continue;
        Add(function->file, words[i].line, near, "gives " + words[i].text + " its value");
        near -= 0.04;
        break;
      }
    }
    double far = 0.56;
    for (const std::string& name : names) {
      if (HasName(function->locals, name)) continue;
      for (const std::string& file : facts_.files) {
        for (const FunctionText& other : tree_->Functions(file)) {
          if (far < 0.4 || (other.file == function->file && other.first == function->first)) continue;
          const bool declares = other.kind == ItemKind::kDeclaration && other.name == name;
          if (!declares && !(HasName(other.writes, name) && !HasName(other.locals, name))) continue;
          const bool message = TakesAMessage(other);
          Add(file, declares ? other.first : LineOfWrite(other, name),
              declares  ? 0.64
              : message ? 0.66
                        : far,
              (declares ? "declares " : "changes ") + name);
          far -= 0.03;
        }
      }
    }
  }

  uint32_t LineOfWrite(const FunctionText& function, const std::string& name) {
    for (const Token& token : tree_->Words(function.file)) {
      if (token.line >= function.first && token.line <= function.last && token.text == name) return token.line;
    }
    return function.first;
  }

  // --- another order
  void OfAnOrder() {
    Add(now_->where, 0.58, "issues the command");
    Loops(now_->where, 0.74);
    double score = 0.66;
    for (const SourceLine& call : path_) {
      Add(call, score - 0.02, "leads to the command");
      Loops(call, score + 0.06);
      score -= 0.05;
    }
    Takers(0.62);
    Fillers(0.72);
  }

  // The loops around a line: their order is that of the commands.
  void Loops(const SourceLine& line, double score) {
    const FunctionText* function = FunctionOf(line);
    if (function == nullptr) return;
    const Body& body = BodyOf(*function);
    for (int at = body.At(line.line); at >= 0; at = body.statements()[static_cast<size_t>(at)].guard) {
      const Body::Statement& statement = body.statements()[static_cast<size_t>(at)];
      if (!statement.loop) continue;
      Add(line.file, statement.first, score, "its order is that of the commands");
      score -= 0.06;
    }
  }

  // What takes things out of a container, on the way to the command.
  void Takers(double score) {
    std::vector<SourceLine> lines = path_;
    lines.insert(lines.begin(), now_->where);
    for (const SourceLine& line : lines) {
      const FunctionText* function = FunctionOf(line);
      if (function == nullptr) continue;
      const std::vector<Token>& words = tree_->Words(function->file);
      for (size_t i = 1; i + 1 < words.size(); ++i) {
        if (words[i].line < function->first || words[i].line > function->last || words[i - 1].text != ".") continue;
        constexpr std::string_view kTake[] = {"front", "back", "begin", "rbegin", "top", "extract"};
        if (std::find(std::begin(kTake), std::end(kTake), words[i].text) == std::end(kTake) || score < 0.5) continue;
        Add(function->file, words[i].line, score, "takes the next one");
        score -= 0.03;
      }
    }
  }

  // --- a command that is no longer issued
  void OfAMissingCommand() {
    Untaken();
    Waits();
    // Who issued such commands so far, and what led there.
    const std::string expected = now_->expected.empty() ? now_->command : now_->expected;
    if (now_->recorded_where.known()) {
      Add(now_->recorded_where, 0.46, "issued it when it was recorded");
    }
    const Issuer* issuer = IssuerLike(expected);
    if (issuer != nullptr) {
      Add(issuer->where, 0.52, "issued " + issuer->command + " before");
      Deciders(issuer->where, 0.64, 0.04, 3, "decides whether such a command is issued");
    }
    ByName(expected);
    RecordedFunction();
    Add(now_->where, 0.45, "the last command before the missing one");
    Fillers(0.6);
    double score = 0.6;
    for (const SourceLine& call : path_) {
      Add(call, score, "leads to such commands");
      Deciders(call, score + 0.02, 0.03, 2, "decides whether it is reached");
      score -= 0.05;
    }
  }

  static std::string LastPart(const std::string& function) {
    const size_t colon = function.rfind("::");
    return colon == std::string::npos ? function : function.substr(colon + 2);
  }

  // The function that issued it when it was recorded, by its name: lines may have moved since.
  void RecordedFunction() {
    if (!now_->recorded_where.known()) return;
    const std::string name = LastPart(now_->recorded_where.function);
    for (const std::string& file : facts_.files) {
      for (const FunctionText& function : tree_->Functions(file)) {
        if (function.kind == ItemKind::kFunction && function.name == name && file == now_->recorded_where.file)
          Add(file, FirstStatement(function), 0.6, "this function issued it when it was recorded");
      }
    }
  }

  const Issuer* IssuerLike(const std::string& command) const {
    const Issuer* best = nullptr;
    // The kind of command, and of a marker its name, must be the same.
    size_t most = std::min(command.find(' '), command.size());
    if (command.starts_with("MarkerRecorded ")) most = std::min(command.find(' ', 15), command.size());
    for (const Issuer& issuer : facts_.issuers) {
      const size_t common = CommonPrefix(issuer.command, command);
      if (common > most) most = common, best = &issuer;
    }
    return best;
  }

  // `MarkerRecorded LocalActivity event/StepStarted/a/1#1`: `StepStarted`, ... without what kind of command it is.
  static std::vector<std::string> PartsOf(std::string_view command) {
    std::vector<std::string> parts;
    std::string part;
    for (const char c : std::string(command.substr(std::min(command.size(), command.find(' ')))) + " ") {
      if (c != ' ' && c != '/' && c != '#') {
        part += c;
        continue;
      }
      if (part.size() >= 4 && part != "Version" && part != "LocalActivity" && part != "SideEffect" && part != "event" &&
          part != "step")
        parts.push_back(part);
      part.clear();
    }
    return parts;
  }

  // Texts of the code that are part of the command's name: the type of an activity, the id of a change.
  void ByName(const std::string& command) {
    for (const std::string& part : PartsOf(command)) {
      for (const std::string& file : facts_.files) {
        for (const Token& token : tree_->Words(file)) {
          if (token.kind == TokenKind::kText && Unquoted(token) == part) {
            const FunctionText* function = tree_->FunctionAt(file, token.line);
            if (function == nullptr || DistanceOf(*function) > 4) continue;
            Add(file, token.line, function->name == LastPart(now_->recorded_where.function) ? 0.69 : 0.64,
                "names the command");
            Deciders({file, token.line, ""}, 0.61, 0.03, 2, "decides whether it is issued");
          }
        }
      }
    }
  }

  // A message of the task whose name the code does not know.
  void Untaken() {
    for (const TaskMessage& message : facts_.messages) {
      if (message.kind != "signal" || message.name.empty()) continue;
      bool known = false;
      for (const std::string& file : facts_.files) {
        for (const Token& token : tree_->Words(file))
          known = known || (token.kind == TokenKind::kText &&
                            (Unquoted(token) == message.name ||
                             (Unquoted(token).ends_with(':') && message.name.starts_with(Unquoted(token)))));
      }
      if (known) continue;
      for (const std::string& file : facts_.files) {
        for (const FunctionText& function : tree_->Functions(file)) {
          if (function.kind != ItemKind::kMacro || !HasName(function.names, "Signal")) continue;
          for (const Token& token : tree_->Words(file)) {
            if (token.text == "Signal" && token.line >= function.first && token.line <= function.last)
              Add(file, token.line, 0.9, "no handler takes the signal " + message.name);
          }
        }
      }
      ComparedNames(message.name);
    }
  }

  // Names of messages in comparisons, where handlers are chosen by hand.
  void ComparedNames(const std::string& name) {
    for (const std::string& file : facts_.files) {
      const std::vector<Token>& words = tree_->Words(file);
      for (size_t i = 2; i < words.size(); ++i) {
        if (words[i].kind == TokenKind::kText && words[i - 1].text == "==" && words[i - 2].text == "name")
          Add(file, words[i].line, 0.66, "no handler takes the signal " + name);
      }
    }
  }

  bool TakesAMessage(const FunctionText& function) {
    for (const TaskMessage& message : facts_.messages) {
      if (message.kind == "signal" && IsHandlerOf(function, message.name)) return true;
    }
    return false;
  }

  // Registered by a macro for this name: `Signal("confirm", &Order::Confirm)`.
  bool IsHandlerOf(const FunctionText& function, const std::string& name) {
    for (const std::string& file : facts_.files) {
      const std::vector<Token>& words = tree_->Words(file);
      for (size_t i = 0; i + 6 < words.size(); ++i) {
        if (words[i].kind != TokenKind::kText || Unquoted(words[i]) != name || words[i + 1].text != "," ||
            words[i + 2].text != "&")
          continue;
        for (size_t k = i + 3; k < words.size() && (words[k].kind == TokenKind::kName || words[k].text == "::"); ++k) {
          if (words[k].text == function.name) return true;
        }
      }
    }
    return false;
  }

  // What the code waits for: the state of a condition, and who changes it.
  void Waits() {
    for (const TaskMessage& message : facts_.messages) {
      if (message.kind != "signal") continue;
      for (const std::string& file : facts_.files) {
        for (const FunctionText& function : tree_->Functions(file)) {
          if (function.kind == ItemKind::kFunction && IsHandlerOf(function, message.name))
            Add(file, FirstStatement(function), 0.7, "takes the signal " + message.name);
        }
      }
    }
    for (const AwaitView& view : facts_.awaits) {
      if (view.stack.empty()) continue;
      const SourceLine& line = view.stack.front();
      // Where it always rests, it tells little that it rests there again.
      const bool rests = std::any_of(facts_.began.begin(), facts_.began.end(),
                                     [&](const AwaitView& other) { return other.stack == view.stack; });
      Add(line, view.main ? (rests ? 0.5 : 0.62) : 0.4, "the code waits here instead, for " + view.waits_for);
      if (view.waits_for.find("condition") != std::string::npos) Writers(line, view.main ? (rests ? 0.58 : 0.6) : 0.42);
      if (view.main) Deciders(line, 0.5, 0.03, 2, "leads to where the code waits");
    }
  }

  uint32_t FirstStatement(const FunctionText& function) {
    for (const Body::Statement& statement : BodyOf(function).statements()) {
      if (!statement.block) return statement.first;
    }
    return function.first;
  }

  // Who changes the state that a waiting statement reads. State that everything changes tells nothing.
  void Writers(const SourceLine& line, double score) {
    const FunctionText* function = FunctionOf(line);
    if (function == nullptr) return;
    const Body& body = BodyOf(*function);
    const int at = body.At(line.line);
    if (at < 0) return;
    for (const std::string& name : NamesIn(function->file, body.statements()[static_cast<size_t>(at)])) {
      if (HasName(function->locals, name) || HasName(function->calls, name)) continue;
      const std::vector<const FunctionText*> writers = WritersOf(name);
      if (writers.size() > 4) continue;
      for (const FunctionText* other : writers) {
        if (other == function || score < 0.45) continue;
        Add(other->file, LineOfWrite(*other, name), score, "changes " + name + ", which the code waits for");
        score -= 0.03;
      }
    }
  }

  std::vector<const FunctionText*> WritersOf(const std::string& name) {
    std::vector<const FunctionText*> writers;
    for (const std::string& file : facts_.files) {
      for (const FunctionText& other : tree_->Functions(file)) {
        if (HasName(other.writes, name) && !HasName(other.locals, name)) writers.push_back(&other);
      }
    }
    return writers;
  }

  // A coroutine that waits for a container to be filled issues what others put there: who does, and what led there.
  void Fillers(double score) {
    SourceLine outermost = path_.empty() ? now_->where : path_.back();
    const FunctionText* function = FunctionOf(outermost);
    if (function == nullptr) return;
    const std::vector<Token>& words = tree_->Words(function->file);
    for (const std::string& name : function->names) {
      if (HasName(function->locals, name) || HasName(function->calls, name) || !TakenFrom(words, *function, name))
        continue;
      for (const FunctionText* other : WritersOf(name)) {
        if (other == function) continue;
        const SourceLine fills{other->file, LineOfWrite(*other, name), other->name};
        Add(fills, score - 0.04, "fills " + name + ", from which the command comes");
        Deciders(fills, score - 0.05, 0.04, 1, "decides whether " + name + " is filled");
        std::vector<SourceLine> stack;
        for (const AwaitView& view : facts_.awaits) stack.insert(stack.end(), view.stack.begin(), view.stack.end());
        double step = score;
        for (const SourceLine& call : CallPath(tree_, facts_.files, stack, fills)) {
          Add(call, step, "leads to what fills " + name);
          Deciders(call, step + 0.01, 0.03, 1, "decides whether " + name + " is filled");
          if (now_->kind == DivergenceKind::kOrderChanged) Loops(call, step + 0.02);
          step -= 0.05;
        }
      }
    }
  }

  static bool TakenFrom(const std::vector<Token>& words, const FunctionText& function, const std::string& name) {
    for (size_t i = 0; i + 2 < words.size(); ++i) {
      if (words[i].line < function.first || words[i].line > function.last || words[i].text != name) continue;
      if (words[i + 1].text == "." && (words[i + 2].text == "front" || words[i + 2].text == "pop_front" ||
                                       words[i + 2].text == "back" || words[i + 2].text == "top"))
        return true;
    }
    return false;
  }

  // --- a command that comes too soon: something no longer waits, or is no longer held back
  void OfAnEarlyCommand() {
    Add(now_->where, 0.6, "issues the command");
    if (const FunctionText* function = FunctionOf(now_->where)) {
      const Body& body = BodyOf(*function);
      const int at = body.At(now_->where.line);
      if (at >= 0 && FirstStatement(*function) < now_->where.line)
        Add(function->file, FirstStatement(*function), 0.58, "nothing waits here before the command");
    }
    Deciders(now_->where, 0.66, 0.04, 2, "decides whether it is issued");
    double score = 0.64;
    for (const SourceLine& call : path_) {
      Add(call, score - 0.03, "leads to the command");
      Deciders(call, score, 0.04, 2, "decides whether the command is reached");
      score -= 0.05;
    }
    Fillers(0.63);
    if (now_->where.known()) Writers(now_->where, 0.6);
  }

  // --- a command that the history does not have
  void OfASurplusCommand() {
    Add(now_->where, 0.72, "issues the command");
    Deciders(now_->where, 0.68, 0.04, 3, "decides whether it is issued");
    double score = 0.65;
    for (const SourceLine& call : path_) {
      Add(call, score - 0.03, "leads to the command");
      Deciders(call, score, 0.04, 2, "decides whether the command is reached");
      score -= 0.05;
    }
    for (const AwaitView& view : facts_.began) {
      if (view.stack.empty()) continue;
      const bool rests = std::any_of(facts_.awaits.begin(), facts_.awaits.end(),
                                     [&](const AwaitView& other) { return other.stack == view.stack; });
      Add(view.stack.front(), rests ? 0.3 : view.main ? 0.64 : 0.45, "the code went on from here");
    }
    Fillers(0.62);
    Values();
    if (now_->recorded_where.known() && !(now_->recorded_where == now_->where))
      Add(now_->recorded_where, 0.3, "issued it when it was recorded");
  }

  const SuspectFacts& facts_;
  SourceTree* tree_;
  const Divergence* now_ = nullptr;  // the difference that is looked at
  std::vector<SourceLine> path_;     // calls that lead to it, innermost first
  std::map<std::pair<std::string, uint32_t>, std::unique_ptr<Body>> bodies_;
  std::vector<Suspect> found_;
};

}  // namespace

// --- Body
// ----------------------------------------------------------------------------------------------------------------

Body::Body(const std::vector<Token>& words, const FunctionText& function) : words_(words) {
  std::vector<Token> own;
  for (const Token& token : words) {
    if (token.line < function.first) ++base_;
    if (token.line >= function.first && token.line <= function.last) own.push_back(token);
  }
  begins_ = StatementsOf(own);
  for (size_t& begin : begins_) begin += base_;
  for (size_t at = 0; at + 1 < begins_.size();) at = One(at, -1);
}

std::string_view Body::First(size_t at) const {
  return at + 1 < begins_.size() ? std::string_view(words_[begins_[at]].text) : std::string_view();
}

size_t Body::One(size_t at, int guard) {
  if (at + 1 >= begins_.size()) return at;
  Statement statement{begins_[at], begins_[at + 1], words_[begins_[at]].line, words_[begins_[at + 1] - 1].line, guard};
  const std::string_view first = First(at), last = words_[statement.end - 1].text;
  statement.loop = first == "for" || first == "while" || first == "do";
  statement.head = last == ")" && (statement.loop || first == "if" || first == "switch");
  statement.leaves =
      first == "return" || first == "co_return" || first == "break" || first == "continue" || first == "throw";
  const bool opens = last == "{";
  statement.block = first == "{" || first == "}" || first == "else" || (opens && first != "catch");
  const int own = static_cast<int>(statements_.size());
  statements_.push_back(statement);
  if (++depth_ > kMaxDepth) {
    --depth_;
    return at + 1;
  }
  size_t next = at + 1;
  if (opens) {
    next = Block(next, first == "catch" ? own : guard);
  } else if (statement.head) {
    next = One(next, own);
    if (First(next) == "else") next = One(next + 1, own);
  }
  --depth_;
  return next;
}

// Up to and with the closing brace.
size_t Body::Block(size_t at, int guard) {
  while (at + 1 < begins_.size()) {
    if (First(at) == "}") return at + 1;
    at = One(at, guard);
  }
  return at;
}

int Body::At(uint32_t line) const {
  int best = -1;
  for (size_t s = 0; s < statements_.size(); ++s) {
    const Statement& statement = statements_[s];
    if (statement.block || line < statement.first || line > statement.last) continue;
    if (best < 0 || statement.last - statement.first <=
                        statements_[static_cast<size_t>(best)].last - statements_[static_cast<size_t>(best)].first)
      best = static_cast<int>(s);
  }
  return best;
}

std::vector<int> Body::Deciders(int statement) const {
  std::vector<int> deciders;
  std::set<int> around;
  for (int at = statements_[static_cast<size_t>(statement)].guard; at >= 0;
       at = statements_[static_cast<size_t>(at)].guard)
    around.insert(at);
  for (int s = statement - 1; s >= 0; --s) {
    if (around.contains(s)) {
      deciders.push_back(s);
      continue;
    }
    // A statement that leaves, under a head on the way here.
    const Statement& other = statements_[static_cast<size_t>(s)];
    if (!other.leaves || other.guard < 0 || around.contains(other.guard)) continue;
    const int outer = statements_[static_cast<size_t>(other.guard)].guard;
    if (outer < 0 || around.contains(outer)) deciders.push_back(other.guard);
  }
  return deciders;
}

std::vector<Suspect> FindSuspects(const SuspectFacts& facts, SourceTree* tree) { return Finder(facts, tree).Find(); }

}  // namespace lockstep::replay
