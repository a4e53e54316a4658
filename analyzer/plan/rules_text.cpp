// Rules about texts that are no query: templates, programs and their arguments, paths, versions, environment look-ups,
// credentials, and parameters that say how parallel a step is.
#include <algorithm>
#include <set>

#include "analyzer/plan/plan_rules.h"
#include "analyzer/plan/sql_facts.h"
#include "engine-core/base/bytes.h"
#include "engine-core/plan/references.h"

namespace lockstep::analyzer {
namespace {

using Form = Placeholder::Form;

template <typename Table>
bool In(std::string_view word, const Table& table) {
  return std::find(std::begin(table), std::end(table), word) != std::end(table);
}

bool IsProse(const PlanText& text) { return text.role == TextRole::kMessage; }

std::string Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\t')) text.remove_suffix(1);
  return std::string(text);
}

// Words of a template's code: names outside its string literals, those behind a dot with what stands before it.
struct TemplateWord {
  std::string word;
  std::string owner;  // before the dot
  bool called = false;
};
std::vector<TemplateWord> TemplateWords(const std::string& code) {
  std::vector<TemplateWord> words;
  const auto tokens = TokenizeSql(code);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].kind != SqlToken::Kind::kWord) continue;
    const bool owned = i > 1 && tokens[i - 1].Punct('.');
    words.push_back({tokens[i].text, owned ? tokens[i - 2].text : std::string(),
                     i + 1 < tokens.size() && tokens[i + 1].Punct('(')});
  }
  return words;
}

// --- clocks, dice and ids in templates and programs
// --------------------------------------------------------------------------

constexpr std::string_view kClockNames[] = {
    "current_date", "current_time", "current_timestamp", "currentdate", "currenttime", "currenttimestamp", "getdate",
    "localtime",    "now",          "run_started_at",    "sysdate",     "systime",     "timestamp",        "today",
    "utcnow",       "yesterday",    "tomorrow"};
constexpr std::string_view kClockOwners[] = {"date",     "datetime", "dbt",      "dt",   "moment",
                                             "pendulum", "time",     "timezone", "utils"};
constexpr std::string_view kDiceNames[] = {"choice", "rand", "randint", "random", "shuffle"};
constexpr std::string_view kUuidNames[] = {"guid", "invocation_id", "newguid", "newid", "ulid",
                                           "uuid", "uuid1",         "uuid4",   "uuid7"};

void CodeOfTemplate(const PlanText& text, const Placeholder& placeholder, PlanHits* hits) {
  if (placeholder.form == Form::kDollar || placeholder.form == Form::kPercent || placeholder.form == Form::kCommand)
    return;
  for (const TemplateWord& word : TemplateWords(placeholder.text)) {
    const bool free = word.owner.empty() || (word.called && In(word.owner, kClockOwners)) || word.owner == "random" ||
                      word.owner == "uuid";
    if (!free) continue;
    // In paths a clock is the business of the artifact-name rule as well; both speak.
    if (In(word.word, kClockNames)) hits->Add("current-time", text.pointer, text.step, placeholder.written);
    if (In(word.word, kDiceNames)) hits->Add("random", text.pointer, text.step, placeholder.written);
    if (In(word.word, kUuidNames)) hits->Add("uuid", text.pointer, text.step, placeholder.written);
  }
}

// The words of a shell script, cut at blanks and operators, each command with its first word.
std::vector<std::vector<std::string>> ShellCommands(std::string_view script) {
  std::vector<std::vector<std::string>> commands(1);
  std::string word;
  bool has_word = false;
  char quote = 0;
  std::vector<char> outer;  // quotes around the command substitutions that are open
  const auto flush = [&] {
    if (has_word) commands.back().push_back(word);
    word.clear();
    has_word = false;
  };
  const auto cut = [&] {
    flush();
    if (!commands.back().empty()) commands.emplace_back();
  };
  for (size_t i = 0; i < script.size(); ++i) {
    const char c = script[i];
    if (quote == '\'') {
      if (c == quote)
        quote = 0;
      else
        word += c;
      has_word = true;
    } else if (c == '$' && i + 1 < script.size() && script[i + 1] == '(') {
      cut();  // the command inside is a command of its own
      outer.push_back(quote);
      quote = 0;
      ++i;
    } else if (c == ')' && quote == 0 && !outer.empty()) {
      cut();
      quote = outer.back();
      outer.pop_back();
    } else if (c == '`') {
      cut();
    } else if (quote == '"') {
      if (c == quote)
        quote = 0;
      else
        word += c;
      has_word = true;
    } else if (c == '\'' || c == '"') {
      quote = c;
      has_word = true;
    } else if (c == '\\' && i + 1 < script.size()) {
      word += script[++i];
      has_word = true;
    } else if (c == '#' && !has_word && (i == 0 || script[i - 1] == ' ' || script[i - 1] == '\n')) {
      while (i + 1 < script.size() && script[i + 1] != '\n') ++i;
    } else if (c == ';' || c == '|' || c == '&' || c == '\n' || c == '(' || c == ')' || c == '{' || c == '}') {
      if ((c == '{' || c == '}') && has_word) {
        word += c;
        continue;
      }
      cut();
    } else if (c == ' ' || c == '\t') {
      flush();
    } else {
      word += c;
      has_word = true;
    }
  }
  cut();
  if (commands.back().empty()) commands.pop_back();
  // Assignments and keywords before the program's name.
  for (auto& command : commands) {
    while (!command.empty() &&
           (In(command.front(), std::initializer_list<std::string_view>{"do", "then", "else", "if", "while", "!",
                                                                        "exec", "time", "sudo", "nohup", "env"}) ||
            (command.front().find('=') != std::string::npos && command.front().find('=') > 0 &&
             IsAsciiAlpha(command.front()[0])))) {
      command.erase(command.begin());
    }
  }
  std::erase_if(commands, [](const auto& command) { return command.empty(); });
  return commands;
}

constexpr std::string_view kNetworkPrograms[] = {"aws",    "az",   "curl",   "ftp",  "gcloud", "gh",    "grpcurl",
                                                 "gsutil", "http", "https",  "nc",   "ncat",   "s3cmd", "scp",
                                                 "sftp",   "ssh",  "telnet", "wget", "xh"};

bool HasOption(const std::vector<std::string>& words, std::initializer_list<std::string_view> options) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return std::any_of(options.begin(), options.end(), [&](std::string_view option) {
      return word == option || (option.starts_with("--") && word.starts_with(std::string(option) + "="));
    });
  });
}

std::string ProgramOf(const std::string& word) {
  return word.substr(word.rfind('/') == std::string::npos ? 0 : word.rfind('/') + 1);
}

// One command line: what it asks of clock, dice, network and state.
void CommandLine(const std::vector<std::string>& words, const std::string& pointer, size_t step, PlanHits* hits) {
  const std::string program = ProgramOf(words.front());
  if (program == "date" && !HasOption(words, {"-d", "--date", "-r", "--reference", "-f"}))
    hits->Add("current-time", pointer, step, "the program date");
  if (program == "uuidgen" && !HasOption(words, {"--md5", "--sha1", "-m", "-s"}))
    hits->Add("uuid", pointer, step, "the program uuidgen");
  if (program == "shuf" && !HasOption(words, {"--random-source"}))
    hits->Add("random", pointer, step, "shuf without --random-source");
  if (program == "sort" && HasOption(words, {"-R", "--random-sort"}) && !HasOption(words, {"--random-source"}))
    hits->Add("random", pointer, step, "sort -R");
  if (program == "openssl" && words.size() > 1 && words[1] == "rand")
    hits->Add("random", pointer, step, "openssl rand");
  if (In(program, kNetworkPrograms)) hits->Add("external-call", pointer, step, "the program " + program);
  if (program == "rsync" && std::any_of(words.begin() + 1, words.end(),
                                        [](const std::string& word) { return word.find(':') != std::string::npos; }))
    hits->Add("external-call", pointer, step, "rsync to another host");
  if (program == "redis-cli") {
    for (const std::string& word : words) {
      if (In(AsciiLower(word), std::initializer_list<std::string_view>{"incr", "incrby", "decr", "decrby", "lpush",
                                                                       "rpush", "xadd", "hincrby"}))
        hits->Add("non-idempotent-state", pointer, step, "redis " + word);
    }
  }
  if (program == "tee" && HasOption(words, {"-a", "--append"}))
    hits->Add("non-idempotent-state", pointer, step, "tee -a");
  for (const std::string& word : words) {
    if (word == "/dev/urandom" || word == "/dev/random") hits->Add("random", pointer, step, word);
    if (word == "/proc/sys/kernel/random/uuid") hits->Add("uuid", pointer, step, word);
  }
}

void Programs(const PlanView& view, PlanHits* hits) {
  for (const PlanStep& step : view.steps) {
    const std::string base = step.json->At("/params/argv") != nullptr ? "/params/argv" : "/argv";
    const Json* argv = step.json->At(base);
    if (step.kind != "process.run" || argv == nullptr || !argv->is_array()) continue;
    std::vector<std::string> words;
    for (const Json& word : argv->AsArray()) words.push_back(word.is_string() ? word.AsString() : std::string());
    // The wrappers env, nice, timeout and the like run what follows them.
    size_t first = 0;
    while (first + 1 < words.size() &&
           In(ProgramOf(words[first]), std::initializer_list<std::string_view>{"env", "nice", "nohup", "ionice",
                                                                               "stdbuf", "timeout", "xargs"})) {
      ++first;
      while (first + 1 < words.size() &&
             (words[first].starts_with('-') || words[first].find('=') != std::string::npos ||
              (!words[first].empty() && IsAsciiDigit(words[first][0]))))
        ++first;
    }
    if (first < words.size() && !words[first].empty())
      CommandLine({words.begin() + static_cast<ptrdiff_t>(first), words.end()},
                  step.pointer + base + "/" + std::to_string(first), step.index, hits);
  }
  for (const PlanText& text : view.texts) {
    if (text.role != TextRole::kShell) continue;
    for (const auto& command : ShellCommands(*text.text)) CommandLine(command, text.pointer, text.step, hits);
    if (text.text->find("$RANDOM") != std::string::npos || text.text->find("${RANDOM}") != std::string::npos)
      hits->Add("random", text.pointer, text.step, "$RANDOM");
    if (text.text->find("$EPOCHSECONDS") != std::string::npos || text.text->find("$SECONDS") != std::string::npos)
      hits->Add("current-time", text.pointer, text.step, "$EPOCHSECONDS");
    if (text.text->find(">>") != std::string::npos)
      hits->Add("non-idempotent-state", text.pointer, text.step, ">> appends to a file");
  }
}

// A value that a receiver reads as the present: exactly `now`, and relative days where dates are expected.
void RelativeValues(const PlanText& text, PlanHits* hits) {
  const std::string value = AsciiLower(Trim(*text.text));
  const bool value_role = text.role == TextRole::kVars || text.role == TextRole::kBound ||
                          text.role == TextRole::kValue || text.role == TextRole::kPlanParam ||
                          text.role == TextRole::kEnv || text.role == TextRole::kBody;
  if (!value_role) return;
  const std::string key = NormalizedKey(text.key);
  const bool day = (value == "today" || value == "yesterday" || value == "tomorrow") &&
                   (text.role == TextRole::kVars || text.role == TextRole::kPlanParam || text.role == TextRole::kValue);
  if (value == "now" || day) hits->Add("current-time", text.pointer, text.step, "the value \"" + value + "\"");
  if (text.role == TextRole::kPlanParam || text.role == TextRole::kEnv || text.role == TextRole::kBound) {
    const auto tokens = TokenizeSql(*text.text);
    if (tokens.size() > 40 || !ReadsLikeCode(tokens)) return;
    // A bound argument is a value: only what every receiver would evaluate.
    if (text.role != TextRole::kPlanParam) return;
    for (const std::string& what : CurrentTimeIn({tokens})) hits->Add("current-time", text.pointer, text.step, what);
    for (const std::string& what : RandomIn({tokens})) hits->Add("random", text.pointer, text.step, what);
    for (const std::string& what : UuidIn({tokens})) hits->Add("uuid", text.pointer, text.step, what);
  }
  if ((key.ends_with("seed") || key == "randomstate") &&
      (value == "random" || value == "auto" || value == "time" || value == "none")) {
    hits->Add("random", text.pointer, text.step, "the seed \"" + value + "\"");
  }
}

// Modes of writing that add to what is there.
void AppendModes(const PlanText& text, PlanHits* hits) {
  const std::string key = NormalizedKey(text.key);
  const std::string value = AsciiLower(Trim(*text.text));
  constexpr std::string_view kKeys[] = {"createdisposition",
                                        "disposition",
                                        "ifexists",
                                        "incrementalstrategy",
                                        "insertmode",
                                        "loadmode",
                                        "mode",
                                        "savemode",
                                        "strategy",
                                        "syncmode",
                                        "writedisposition",
                                        "writemode",
                                        "destinationsyncmode",
                                        "outputmode"};
  constexpr std::string_view kValues[] = {"a",      "append",       "append-only", "append_only", "appendonly",
                                          "insert", "write_append", "insert_only", "increment"};
  if (text.role != TextRole::kVars && text.role != TextRole::kValue && text.role != TextRole::kBody) return;
  if (In(key, kKeys) && In(value, kValues))
    hits->Add("non-idempotent-state", text.pointer, text.step, text.key + " " + value);
}

void AppendArguments(const PlanText& text, PlanHits* hits) {
  if (text.role != TextRole::kArgument) return;
  const std::string word = AsciiLower(*text.text);
  if (word == "--append" || word == "--append_table" || word == "--mode=append" || word == "--noreplace" ||
      (word == "append" && (text.key == "--mode" || text.key == "--write-mode" || text.key == "--if-exists"))) {
    hits->Add("non-idempotent-state", text.pointer, text.step, *text.text);
  }
}

// --- environment
// -----------------------------------------------------------------------------------------------------------

bool IsVariableName(std::string_view name) {
  if (name.size() < 2 || !(name[0] == '_' || (name[0] >= 'A' && name[0] <= 'Z'))) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return c == '_' || IsAsciiDigit(c) || (c >= 'A' && c <= 'Z'); });
}

// Names a shell script gives a value itself.
std::set<std::string> AssignedIn(const std::string& script) {
  std::set<std::string> names;
  for (size_t i = 0; i < script.size(); ++i) {
    if (script[i] != '=' || i == 0) continue;
    size_t begin = i;
    while (begin > 0 && (IsAsciiAlnum(script[begin - 1]) || script[begin - 1] == '_')) --begin;
    if (begin < i && (begin == 0 || script[begin - 1] == ' ' || script[begin - 1] == ';' || script[begin - 1] == '\n' ||
                      script[begin - 1] == '('))
      names.insert(script.substr(begin, i - begin));
  }
  for (size_t at = script.find("for "); at != std::string::npos; at = script.find("for ", at + 4)) {
    const size_t begin = at + 4;
    size_t end = begin;
    while (end < script.size() && (IsAsciiAlnum(script[end]) || script[end] == '_')) ++end;
    names.insert(script.substr(begin, end - begin));
  }
  for (size_t at = script.find("read "); at != std::string::npos; at = script.find("read ", at + 5)) {
    size_t begin = at + 5;
    if (script.compare(begin, 3, "-r ") == 0) begin += 3;
    size_t end = begin;
    while (end < script.size() && (IsAsciiAlnum(script[end]) || script[end] == '_')) ++end;
    names.insert(script.substr(begin, end - begin));
  }
  return names;
}

void Environment(const PlanView& view, const PlanText& text, PlanHits* hits) {
  const std::string& value = *text.text;
  const auto report = [&](const std::string& what) { hits->Add("env-reference", text.pointer, text.step, what); };
  const std::set<std::string> assigned = text.role == TextRole::kShell ? AssignedIn(value) : std::set<std::string>();
  const auto own = [&](const std::string& name) {
    // Variables that the step itself declares are plan data; RANDOM and the like belong to other rules.
    if (text.step != kNoStep) {
      const PlanStep& step = view.steps[text.step];
      if (text.role == TextRole::kShell &&
          (step.env.contains(name) || step.secret_names.contains(name) || name.starts_with("LOCKSTEP_TARGET_")))
        return true;
    }
    return assigned.contains(name) || name == "RANDOM" || name == "SECONDS" || name == "EPOCHSECONDS" || name == "IFS";
  };
  for (const Placeholder& placeholder : PlaceholdersIn(value)) {
    const std::string inside = Trim(placeholder.text);
    const std::string lower = AsciiLower(inside);
    switch (placeholder.form) {
      case Form::kDollarBrace: {
        const std::string name = inside.substr(0, inside.find_first_of(":-=?+%#/"));
        const bool namespaced = lower.starts_with("env.") || lower.starts_with("env:") || lower.starts_with("env[") ||
                                lower.starts_with("oc.env:") || lower.starts_with("sys:") ||
                                lower.starts_with("process.env");
        const bool shell_local = text.role == TextRole::kShell && !IsVariableName(name) && !namespaced;
        if (namespaced || (IsVariableName(name) && !own(name)) ||
            (!shell_local && text.role != TextRole::kShell && IsVariableName(inside) && !own(inside)))
          report(placeholder.written);
        break;
      }
      case Form::kJinja:
      case Form::kErb:
        for (const TemplateWord& word : TemplateWords(placeholder.text)) {
          if ((word.called &&
               (word.word == "env_var" || word.word == "getenv" || (word.word == "env" && word.owner.empty()))) ||
              word.owner == "env" || word.owner == "environ" || word.word == "environ" ||
              (word.word == "env" && (word.owner == "os" || word.owner == "process"))) {
            report(placeholder.written);
            break;
          }
        }
        if (lower.starts_with("env[")) report(placeholder.written);
        break;
      case Form::kBrace:
        if (lower.starts_with("env.") || lower.starts_with("env:") || lower.starts_with("$"))
          report(placeholder.written);
        break;
      case Form::kDollar:
        if (text.role == TextRole::kSql) break;
        if (placeholder.text == "ENV" || (IsVariableName(placeholder.text) && !own(placeholder.text)))
          report(placeholder.written);
        else if (placeholder.text == "env" && value.find("$env:") != std::string::npos)
          report("$env:");
        break;
      case Form::kPercent:
        if (text.role != TextRole::kSql && text.role != TextRole::kUrl && IsVariableName(placeholder.text))
          report(placeholder.written);
        break;
      case Form::kCommand:
        if (lower == "printenv" || lower.starts_with("printenv ") || lower.starts_with("env "))
          report(placeholder.written);
        break;
    }
  }
  const bool code = text.role == TextRole::kArgument || text.role == TextRole::kShell || text.role == TextRole::kVars ||
                    text.role == TextRole::kValue || text.role == TextRole::kPlanParam;
  if (code) {
    for (const std::string_view call : {"os.environ", "os.getenv(", "getenv(", "process.env.", "process.env[",
                                        "System.getenv", "ENV[", "env_var(", "std::env::var"}) {
      if (value.find(call) != std::string::npos) {
        report(std::string(call));
        break;
      }
    }
    if (value.starts_with("env:") || value.starts_with("env://")) report(value);
  }
}

// --- names of artifacts
// ------------------------------------------------------------------------------------------------------

// What a word in a path stands for, when it is one of the four that the rule forbids.
std::string_view ForbiddenInPath(const std::string& name) {
  const auto words = WordsOf(name);
  const auto has = [&](std::string_view word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  const std::string whole = NormalizedKey(name);
  for (const std::string_view word :
       {"now", "time", "timestamp", "ts", "date", "datetime", "today", "epoch", "unixtime", "yyyymmdd", "clock",
        "utcnow", "currenttime", "currentdate", "millis"}) {
    if (has(word)) return "time";
  }
  if (whole.starts_with("yyyy") || whole == "hhmmss") return "time";
  const bool attempt = has("attempt") || has("retry") || has("try") || whole.find("attempt") != std::string::npos;
  if (attempt && !has("logical") && whole.find("logical") == std::string::npos) return "engine attempt";
  for (const std::string_view word : {"host", "hostname", "node", "nodename", "machine", "pod", "podname", "worker",
                                      "workerid", "pid", "ip", "instance"}) {
    if (has(word)) return "host";
  }
  for (const std::string_view word : {"seq", "sequence", "runseq", "counter", "seqno", "seqnum"}) {
    if (has(word)) return "sequence number";
  }
  if (whole == "eventid" || whole.find("runseq") != std::string::npos) return "sequence number";
  return {};
}

constexpr std::string_view kParameterOwners[] = {"args", "input", "inputs", "param", "params", "var", "vars"};

bool IsPathText(const PlanText& text) {
  if (text.role == TextRole::kPath) return true;
  if (text.role != TextRole::kArgument) return false;
  // The word behind an option that names an output, or `--out=...`.
  const std::string option = NormalizedKey(text.key.starts_with("--") ? text.key : std::string());
  const bool output = text.key == "-o" || option == "out" || option == "output" || option == "outfile" ||
                      option == "outdir" || option == "outputdir" || option == "outputfile" || option == "outputpath" ||
                      option == "dest" || option == "destination" || option == "target" || option == "path" ||
                      option == "prefix";
  return output || text.text->starts_with("--out") || text.text->find("://") != std::string::npos ||
         text.text->starts_with("out/") || text.text->starts_with("artifacts/");
}

void ArtifactName(const PlanText& text, const std::string& path, PlanHits* hits) {
  const auto report = [&](std::string_view what, const std::string& written) {
    hits->Add("artifact-name", text.pointer, text.step, std::string(what) + " in a path (" + written + ")");
  };
  if (path.find("${run.startedAt}") != std::string::npos) report("time", "${run.startedAt}");
  for (const Placeholder& placeholder : PlaceholdersIn(path)) {
    if (placeholder.form == Form::kCommand) {
      const std::string command = Trim(placeholder.text);
      if (command.starts_with("date"))
        report("time", placeholder.written);
      else if (command.starts_with("hostname") || command.starts_with("uname"))
        report("host", placeholder.written);
      continue;
    }
    // `{{ run.logical_attempt }}`: the last name says it.
    bool reported = false;
    for (const TemplateWord& word : TemplateWords(placeholder.text)) {
      // A run parameter is plan data whatever it is called.
      if (In(word.word, kParameterOwners) || In(word.owner, kParameterOwners)) {
        reported = true;
        continue;
      }
      const std::string full = word.owner.empty() ? word.word : word.owner + "_" + word.word;
      if (const std::string_view what = ForbiddenInPath(full); !what.empty()) {
        report(what, placeholder.written);
        reported = true;
        break;
      }
    }
    if (!reported) {
      if (const std::string_view what = ForbiddenInPath(placeholder.text); !what.empty())
        report(what, placeholder.written);
    }
  }
  // strftime patterns: at least two of them make a date.
  size_t patterns = 0;
  for (size_t i = 0; i + 1 < path.size(); ++i)
    patterns += path[i] == '%' && std::string_view("YymdHMSsjFTD").find(path[i + 1]) != std::string_view::npos ? 1 : 0;
  if (patterns >= 2 || path.find("%Y") != std::string::npos || path.find("%s") != std::string::npos ||
      path.find("%F") != std::string::npos)
    report("time", "strftime pattern");
  if (path.find("<timestamp>") != std::string::npos || path.find("<date>") != std::string::npos)
    report("time", "<timestamp>");
  if (path.find("<hostname>") != std::string::npos || path.find("<host>") != std::string::npos ||
      path.find("%h") != std::string::npos)
    report("host", "<host>");
  if (path.find("<seq>") != std::string::npos || path.find("<runSeq>") != std::string::npos)
    report("sequence number", "<seq>");
  if (path.find("<attempt>") != std::string::npos || path.find("<engineAttemptId>") != std::string::npos)
    report("engine attempt", "<attempt>");
}

// `> out-$(date +%F).csv` in a shell script.
std::vector<std::string> RedirectsIn(const std::string& script) {
  std::vector<std::string> paths;
  for (size_t at = script.find('>'); at != std::string::npos; at = script.find('>', at + 1)) {
    size_t begin = at + 1;
    while (begin < script.size() && (script[begin] == '>' || script[begin] == ' ')) ++begin;
    size_t end = begin;
    int depth = 0;
    while (end < script.size() && (depth > 0 || (script[end] != ' ' && script[end] != ';' && script[end] != '\n' &&
                                                 script[end] != '|' && script[end] != '&'))) {
      if (script[end] == '(') ++depth;
      if (script[end] == ')') --depth;
      ++end;
    }
    if (end > begin) paths.push_back(script.substr(begin, end - begin));
    at = std::max(at, end > 0 ? end - 1 : end);
  }
  return paths;
}

// --- pins
// ----------------------------------------------------------------------------------------------------------------------

bool IsFloatingVersion(const std::string& raw) {
  const std::string version = AsciiLower(Trim(raw));
  constexpr std::string_view kNames[] = {"*",       "any",     "beta",    "canary", "current",    "default", "dev",
                                         "develop", "edge",    "head",    "latest", "lts",        "main",    "master",
                                         "newest",  "next",    "nightly", "prod",   "production", "release", "snapshot",
                                         "stable",  "staging", "trunk",   "x"};
  if (version.empty() || In(version, kNames)) return true;
  if (version.find_first_of("^~<>*|, ") != std::string::npos || version.starts_with('='))
    return version.find_first_of("^~<>*|, ") != std::string::npos;
  for (const std::string_view tail : {".x", "-latest", "-snapshot", ".latest"}) {
    if (version.ends_with(tail)) return true;
  }
  return version.find(".x.") != std::string::npos || version.starts_with("latest") ||
         version.starts_with("refs/heads/") || version.starts_with("origin/");
}

bool IsBranch(const std::string& raw) {
  const std::string name = AsciiLower(Trim(raw));
  constexpr std::string_view kBranches[] = {"dev",  "develop", "development", "head",
                                            "main", "master",  "staging",     "trunk"};
  return In(name, kBranches) || name.starts_with("refs/heads/") || name.starts_with("origin/") ||
         name.starts_with("feature/") || name.starts_with("release/") || name.starts_with("heads/") ||
         name.starts_with("bugfix/");
}

bool IsCommitOrTag(const std::string& raw) {
  const std::string name = Trim(raw);
  const bool hex =
      name.size() >= 7 && name.size() <= 64 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
  return hex || name.starts_with("sha256:") || name.starts_with("refs/tags/") ||
         (name.find_first_of("0123456789") != std::string::npos && name.find('.') != std::string::npos);
}

void Plugins(const PlanView& view, PlanHits* hits) {
  for (const PlanStep& step : view.steps) {
    const Json* plugin = step.json->Find("plugin");
    if (plugin == nullptr || !plugin->is_object()) {
      continue;
    }
    const Json* digest = plugin->Find("digest");
    if (digest != nullptr && digest->is_string()) continue;
    const Json* version = plugin->Find("version");
    if (version == nullptr)
      hits->Add("unpinned-reference", step.pointer + "/plugin", step.index, "a plugin without version");
    else if (version->is_string() && IsFloatingVersion(version->AsString()))
      hits->Add("unpinned-reference", step.pointer + "/plugin/version", step.index,
                "plugin version \"" + version->AsString() + "\"");
  }
  const Json* policies = view.document->Find("pluginPolicies");
  const auto check = [&](const Json* policy, const std::string& pointer) {
    const Json* allowed = policy == nullptr ? nullptr : policy->Find("allowedVersions");
    if (allowed == nullptr || !allowed->is_array()) return;
    for (size_t i = 0; i < allowed->AsArray().size(); ++i) {
      const Json& version = allowed->AsArray()[i];
      if (version.is_string() && IsFloatingVersion(version.AsString()))
        hits->Add("unpinned-reference", pointer + "/allowedVersions/" + std::to_string(i), kNoStep,
                  "plugin version \"" + version.AsString() + "\"");
    }
  };
  if (policies == nullptr || !policies->is_object()) return;
  check(policies->Find("default"), "/pluginPolicies/default");
  if (const Json* by_plugin = policies->Find("byPlugin"); by_plugin != nullptr && by_plugin->is_object()) {
    for (const auto& [id, policy] : by_plugin->AsObject())
      check(&policy, "/pluginPolicies/byPlugin/" + JsonPointerToken(id));
  }
}

// `latest` as a tag, a version or a part of a path, and branches inside URLs.
std::string FloatingPart(const std::string& text) {
  const std::string lower = AsciiLower(text);
  for (size_t at = lower.find("latest"); at != std::string::npos; at = lower.find("latest", at + 6)) {
    const char before = at == 0 ? '\0' : lower[at - 1];
    const char after = at + 6 >= lower.size() ? '\0' : lower[at + 6];
    const bool opens = before == ':' || before == '@' || before == '/' || before == '=';
    const bool closes = after == '\0' || after == '/' || after == '"' || after == ' ' || after == '?' || after == '#';
    if (opens && closes) return text.substr(at - 1, 7);
  }
  for (const std::string_view mark : {"/blob/", "/tree/", "/raw/", "/archive/refs/heads/", "/refs/heads/"}) {
    const size_t at = lower.find(mark);
    if (at == std::string::npos) continue;
    const size_t begin = at + mark.size();
    const std::string name = lower.substr(begin, lower.find_first_of("/?#", begin) - begin);
    if (IsBranch(name) || mark.find("heads") != std::string_view::npos) return std::string(mark) + name;
  }
  if (lower.starts_with("https://raw.") || lower.find("git+") != std::string::npos ||
      lower.find(".git@") != std::string::npos || lower.find(".git#") != std::string::npos) {
    for (const std::string_view branch : {"main", "master", "develop", "trunk", "head"}) {
      for (const char open : {'/', '@', '#'}) {
        const size_t at = lower.find(std::string(1, open) + std::string(branch));
        const size_t end = at == std::string::npos ? at : at + 1 + branch.size();
        if (at != std::string::npos &&
            (end == lower.size() || lower[end] == '/' || lower[end] == '#' || lower[end] == '?' || lower[end] == ' '))
          return text.substr(at, branch.size() + 1);
      }
    }
  }
  return {};
}

void Pins(const PlanText& text, PlanHits* hits) {
  const auto report = [&](const std::string& what) { hits->Add("unpinned-reference", text.pointer, text.step, what); };
  if (text.role == TextRole::kSql || text.role == TextRole::kMessage || text.role == TextRole::kShell) {
    if (text.role == TextRole::kShell) {
      for (const auto& command : ShellCommands(*text.text)) {
        for (const std::string& word : command) {
          if (const std::string part = FloatingPart(word); !part.empty()) report(part);
        }
      }
    }
    return;
  }
  if (HoldsPlanReference(*text.text)) return;
  const std::string key = NormalizedKey(text.key);
  const std::string& value = *text.text;
  const bool free_role = text.role == TextRole::kValue || text.role == TextRole::kVars ||
                         text.role == TextRole::kBody || text.role == TextRole::kEnv || text.role == TextRole::kPath ||
                         text.role == TextRole::kPlanParam || text.role == TextRole::kUrl ||
                         text.role == TextRole::kTarget;
  if (free_role) {
    constexpr std::string_view kRefKeys[] = {"branch", "branchname",  "gitbranch",    "gitref",
                                             "ref",    "rev",         "revision",     "commit",
                                             "gitrev", "gitrevision", "sourcebranch", "checkout"};
    const bool version_key = key.ends_with("version") || key == "tag" || key == "imagetag" || key == "release" ||
                             key == "channel" || key.ends_with("tag");
    if (AsciiLower(Trim(value)) == "latest")
      report("\"latest\"");
    else if ((key == "branch" || key == "gitbranch" || key == "branchname" || key == "sourcebranch") && !value.empty())
      report("branch " + value);
    else if (In(key, kRefKeys) && IsBranch(value) && !IsCommitOrTag(value))
      report("branch " + value);
    else if (version_key && key != "schemaversion" && key != "apiversion" && key != "httpversion" &&
             IsFloatingVersion(value) && !value.empty())
      report(text.key + " \"" + value + "\"");
    else if ((key == "image" || key == "containerimage" || key == "dockerimage") &&
             value.find('@') == std::string::npos && !value.empty()) {
      const size_t tag = value.rfind(':');
      const bool tagged = tag != std::string::npos && value.find('/', tag) == std::string::npos;
      if (!tagged)
        report("image " + value + " without tag or digest");
      else if (IsFloatingVersion(value.substr(tag + 1)))
        report("image " + value);
    } else if (const std::string part = FloatingPart(value); !part.empty()) {
      report(part);
    }
    return;
  }
  if (text.role == TextRole::kArgument) {
    if (const std::string part = FloatingPart(value); !part.empty())
      report(part);
    else if ((text.key == "--branch" || text.key == "-b" || text.key == "checkout") && IsBranch(value))
      report("branch " + value);
    else if ((text.key == "--version" || text.key == "--tag" || text.key == "--ref") && IsFloatingVersion(value))
      report(text.key + " " + value);
    else if (value.starts_with("--branch=") && IsBranch(value.substr(9)))
      report(value);
  }
}

// A secret that goes into results (a salt, a signing key) changes them when it is rotated; one that opens a door does
// not.
void Secrets(const PlanView& view, PlanHits* hits) {
  constexpr std::string_view kShaping[] = {"cipher",  "encryption", "hash",         "hmac",   "mask",
                                           "masking", "pepper",     "pseudonym",    "salt",   "seed",
                                           "sign",    "signing",    "tokenization", "keyring"};
  constexpr std::string_view kAccess[] = {"access",   "account",     "api",   "apikey",     "auth",       "bearer",
                                          "cert",     "certificate", "conn",  "connection", "credential", "credentials",
                                          "dsn",      "jwt",         "key",   "login",      "passwd",     "password",
                                          "pat",      "pwd",         "token", "url",        "uri",        "user",
                                          "username", "webhook",     "hook",  "secret"};
  for (const PlanStep& step : view.steps) {
    const Json* refs = step.json->Find("secretRefs");
    if (refs == nullptr || !refs->is_array()) continue;
    for (size_t i = 0; i < refs->AsArray().size(); ++i) {
      const Json& ref = refs->AsArray()[i];
      if (!ref.is_object() || (ref.Find("version") != nullptr &&
                               !(ref.Find("version")->is_string() && IsFloatingVersion(ref.GetString("version")))))
        continue;
      bool shaping = false, access = false;
      for (const char* member : {"name", "secretId", "key"}) {
        for (const std::string& word : WordsOf(ref.GetString(member))) {
          shaping |= In(word, kShaping);
          access |= In(word, kAccess);
        }
      }
      const std::string name = ref.GetString("name");
      const Json* connection = step.json->At("/params/connection");
      if (connection == nullptr) connection = step.json->At("/target/connection");
      const bool connects = connection != nullptr && connection->is_string() && connection->AsString() == name;
      // In a header it says who asks, not what is answered.
      const bool header = std::any_of(view.texts.begin(), view.texts.end(), [&](const PlanText& text) {
        return text.step == step.index && text.role == TextRole::kHeader &&
               text.text->find("{{secret:" + name + "}}") != std::string::npos;
      });
      if (!shaping && (connects || header || access)) continue;
      hits->Add("unpinned-reference", step.pointer + "/secretRefs/" + std::to_string(i), step.index,
                "secret " + name + " without version", Severity::kNote);
    }
  }
}

// --- credentials
// -----------------------------------------------------------------------------------------------------------------

bool IsBase64Like(char c) { return IsAsciiAlnum(c) || c == '+' || c == '/' || c == '=' || c == '-' || c == '_'; }

// Letters and digits mixed, long, and no word of a language: what generators make.
bool LooksRandom(std::string_view text) {
  if (text.size() < 16) return false;
  size_t digits = 0, uppers = 0, lowers = 0, changes = 0;
  int last = -1;
  for (const char c : text) {
    if (!IsBase64Like(c)) return false;
    const int kind = IsAsciiDigit(c) ? 0 : (c >= 'A' && c <= 'Z') ? 1 : (c >= 'a' && c <= 'z') ? 2 : 3;
    digits += kind == 0;
    uppers += kind == 1;
    lowers += kind == 2;
    changes += last >= 0 && kind != last ? 1 : 0;
    last = kind;
  }
  return digits >= 2 && (uppers + lowers) >= 4 && changes >= text.size() / 5;
}

struct TokenRow {
  std::string_view prefix;
  size_t min_tail;
  std::string_view name;
};
constexpr TokenRow kTokens[] = {
    {"AKIA", 16, "an AWS access key"},     {"ASIA", 16, "an AWS access key"},
    {"ghp_", 20, "a GitHub token"},        {"gho_", 20, "a GitHub token"},
    {"ghs_", 20, "a GitHub token"},        {"ghu_", 20, "a GitHub token"},
    {"github_pat_", 20, "a GitHub token"}, {"glpat-", 16, "a GitLab token"},
    {"xoxb-", 10, "a Slack token"},        {"xoxp-", 10, "a Slack token"},
    {"xoxa-", 10, "a Slack token"},        {"xapp-", 10, "a Slack token"},
    {"sk_live_", 10, "a Stripe key"},      {"rk_live_", 10, "a Stripe key"},
    {"sk_test_", 10, "a Stripe key"},      {"sk-", 20, "an API key"},
    {"AIza", 30, "a Google API key"},      {"ya29.", 20, "a Google token"},
    {"SG.", 20, "a SendGrid key"},         {"dapi", 32, "a Databricks token"},
    {"npm_", 30, "an npm token"},          {"pypi-", 30, "a PyPI token"},
    {"hf_", 20, "a Hugging Face token"},   {"dop_v1_", 30, "a DigitalOcean token"},
    {"shpat_", 30, "a Shopify token"},     {"hvs.", 20, "a Vault token"},
};

// `scheme://user:secret@host`
bool HasUserInfo(const std::string& text) {
  const size_t scheme = text.find("://");
  if (scheme == std::string::npos) return false;
  const size_t begin = scheme + 3;
  const size_t end = text.find_first_of("/?# ", begin);
  const std::string authority = text.substr(begin, end == std::string::npos ? end : end - begin);
  const size_t at = authority.rfind('@');
  if (at == std::string::npos) return false;
  const size_t colon = authority.find(':');
  if (colon == std::string::npos || colon + 1 >= at) return false;
  const std::string password = authority.substr(colon + 1, at - colon - 1);
  return PlaceholdersIn(password).empty() && !HoldsPlanReference(password) && password.find('*') == std::string::npos &&
         password[0] != '<' && password[0] != '$';
}

bool IsPlaceholderText(const std::string& value) {
  const std::string lower = AsciiLower(value);
  if (value.empty() || value.find("${") != std::string::npos || value.find("{{") != std::string::npos ||
      value[0] == '<' || value[0] == '$')
    return true;
  if (value.find_first_not_of("*xX.-_") == std::string::npos) return true;
  return lower == "none" || lower == "null" || lower == "redacted" || lower == "required" || lower == "true" ||
         lower == "false" || lower.starts_with("secret:") || lower.starts_with("vault:") ||
         lower.starts_with("secretref") || lower.starts_with("your-") || lower.starts_with("your_");
}

std::string CredentialInText(const std::string& text) {
  for (const TokenRow& row : kTokens) {
    for (size_t at = text.find(row.prefix); at != std::string::npos; at = text.find(row.prefix, at + 1)) {
      if (at > 0 && (IsAsciiAlnum(text[at - 1]) || text[at - 1] == '_')) continue;
      size_t end = at + row.prefix.size();
      while (end < text.size() && (IsAsciiAlnum(text[end]) || text[end] == '_' || text[end] == '-' || text[end] == '.'))
        ++end;
      const std::string tail = text.substr(at + row.prefix.size(), end - at - row.prefix.size());
      if (tail.size() < row.min_tail) continue;
      const bool all_x = tail.find_first_not_of("xX*.") == std::string::npos;
      if (!all_x && tail.find_first_of("0123456789") != std::string::npos) return std::string(row.name);
    }
  }
  if (const size_t at = text.find("-----BEGIN ");
      at != std::string::npos && text.find("PRIVATE KEY", at) != std::string::npos)
    return "a private key";
  if (const size_t at = text.find("eyJ"); at != std::string::npos && text.find(".eyJ", at) != std::string::npos)
    return "a JSON web token";
  if (HasUserInfo(text)) return "a password in a URL";
  const std::string lower = AsciiLower(text);
  for (const std::string_view scheme : {"bearer ", "basic ", "token "}) {
    const size_t at = lower.find(scheme);
    if (at == std::string::npos || (at > 0 && IsAsciiAlnum(lower[at - 1]))) continue;
    size_t end = at + scheme.size();
    while (end < text.size() && IsBase64Like(text[end])) ++end;
    const std::string tail = text.substr(at + scheme.size(), end - at - scheme.size());
    if ((tail.size() >= 16 && LooksRandom(tail)) ||
        (scheme == "basic " && tail.size() >= 8 && tail.find_first_of("=0123456789") != std::string::npos && at == 0))
      return "an authorization value";
  }
  for (const std::string_view mark :
       {"password=", "passwd=", "pwd=", "accountkey=", "sharedaccesskey=", "client_secret=", "secret=", "api_key=",
        "apikey=", "access_token=", "--password=", "--token="}) {
    const size_t at = lower.find(mark);
    if (at == std::string::npos || (at > 0 && IsAsciiAlnum(lower[at - 1]))) continue;
    const size_t begin = at + mark.size();
    size_t end = begin;
    while (end < text.size() && text[end] != ';' && text[end] != '&' && text[end] != ' ' && text[end] != '"' &&
           text[end] != '\'')
      ++end;
    const std::string value = text.substr(begin, end - begin);
    if (!IsPlaceholderText(value) && value != "?" && value[0] != ':' && value[0] != '%')
      return "a value for " + std::string(mark.substr(0, mark.size() - 1));
  }
  return {};
}

enum class KeyKind : uint8_t { kNone, kPassword, kToken };
KeyKind CredentialKey(const std::string& raw) {
  const std::string key = NormalizedKey(raw);
  // `passwordFile`, `tokenUrl`, `secretName` talk about one without being one.
  for (const std::string_view tail : {"password", "passwd", "pwd", "passphrase", "clientsecret", "secretkey",
                                      "privatekey", "secretaccesskey", "signingsecret", "sharedkey", "accountkey"}) {
    if (key.ends_with(tail)) return KeyKind::kPassword;
  }
  for (const std::string_view tail : {"token", "apikey", "accesskey", "secret", "credential", "credentials",
                                      "authorization", "accesskeyid", "webhookurl", "xapikey", "authkey"}) {
    if (key.ends_with(tail)) return KeyKind::kToken;
  }
  return KeyKind::kNone;
}

void InlineSecret(const PlanView& view, const PlanText& text, PlanHits* hits) {
  const std::string& value = *text.text;
  const auto report = [&](const std::string& what) { hits->Add("inline-secret", text.pointer, text.step, what); };
  if (const std::string what = CredentialInText(value); !what.empty()) return report(what);
  if (text.role == TextRole::kSql || text.role == TextRole::kPath || IsPlaceholderText(value)) return;
  const bool handle = text.step != kNoStep && view.steps[text.step].secret_names.contains(value);
  if (handle) return;
  std::string key = text.key;
  if (text.role == TextRole::kArgument && !key.starts_with("--")) return;
  switch (CredentialKey(key)) {
    case KeyKind::kPassword:
      report("a value for " + key);
      break;
    case KeyKind::kToken:
      if (value.size() >= 8 && value.find(' ') == std::string::npos && value.find("://") == std::string::npos &&
          value.find_first_of("0123456789") != std::string::npos)
        report("a value for " + key);
      break;
    case KeyKind::kNone:
      break;
  }
}

// Labels and descriptions are read by everybody.
void SecretsElsewhere(const PlanView& view, PlanHits* hits) {
  if (const Json* labels = view.document->At("/metadata/labels"); labels != nullptr && labels->is_object()) {
    for (const auto& [name, value] : labels->AsObject()) {
      if (!value.is_string()) continue;
      const std::string what = CredentialInText(value.AsString());
      const bool named = CredentialKey(name) == KeyKind::kPassword && !IsPlaceholderText(value.AsString());
      if (!what.empty() || named)
        hits->Add("inline-secret", "/metadata/labels/" + JsonPointerToken(name), kNoStep,
                  what.empty() ? "a value for " + name : what);
    }
  }
  if (const Json* text = view.document->At("/metadata/description"); text != nullptr && text->is_string()) {
    if (const std::string what = CredentialInText(text->AsString()); !what.empty())
      hits->Add("inline-secret", "/metadata/description", kNoStep, what);
  }
}

// --- parallelism
// -------------------------------------------------------------------------------------------------------------------

bool IsParallelismKey(const std::string& raw) {
  constexpr std::string_view kKeys[] = {"concurrency",
                                        "concurrencylevel",
                                        "concurrentrequests",
                                        "cores",
                                        "cpus",
                                        "degreeofparallelism",
                                        "dop",
                                        "executors",
                                        "jobs",
                                        "maxconcurrency",
                                        "maxjobs",
                                        "maxparallel",
                                        "maxparallelism",
                                        "maxprocs",
                                        "maxthreads",
                                        "maxworkers",
                                        "ncores",
                                        "ncpus",
                                        "njobs",
                                        "nproc",
                                        "nprocs",
                                        "nthreads",
                                        "numcores",
                                        "numcpus",
                                        "numexecutors",
                                        "numjobs",
                                        "numprocesses",
                                        "numprocs",
                                        "numthreads",
                                        "numworkers",
                                        "nworkers",
                                        "parallel",
                                        "parallelism",
                                        "parallelworkers",
                                        "processes",
                                        "poolsize",
                                        "threadcount",
                                        "threadpoolsize",
                                        "threads",
                                        "workercount",
                                        "workers",
                                        "paralleldegree",
                                        "maxparallelworkers",
                                        "threadspercore",
                                        "parallelthreads",
                                        "shuffleparallelism",
                                        "defaultparallelism"};
  return In(NormalizedKey(raw), kKeys);
}

bool IsPositiveInteger(const std::string& text) {
  const auto number = ParseInt64(text);
  return number && *number > 0;
}

void Parallelism(const PlanView& view, PlanHits* hits) {
  for (const PlanMember& member : view.members) {
    if (member.step == kNoStep || !IsParallelismKey(member.key)) continue;
    const Json& value = *member.value;
    const bool list = value.is_array() || value.is_object();
    if (list || (value.is_int() && value.AsInt() > 0) || (value.is_bool() && !value.AsBool())) continue;
    const std::string shown = value.is_string() ? "\"" + value.AsString() + "\"" : CanonicalJson(value);
    // An environment variable is always text.
    const std::string pointer_env = "/params/env/";
    if (value.is_string() && member.pointer.find(pointer_env) != std::string::npos &&
        IsPositiveInteger(value.AsString()))
      continue;
    hits->Add("parallelism", member.pointer, member.step, member.key + " " + shown);
  }
  for (const PlanText& text : view.texts) {
    if (text.role == TextRole::kShell &&
        (text.text->find("$(nproc)") != std::string::npos || text.text->find("`nproc`") != std::string::npos))
      hits->Add("parallelism", text.pointer, text.step, "$(nproc)");
    if (text.role != TextRole::kArgument) continue;
    const std::string& word = *text.text;
    if (text.key.starts_with("--") && text.key.find('=') == std::string::npos && IsParallelismKey(text.key) &&
        !IsPositiveInteger(word) && !word.starts_with("-")) {
      hits->Add("parallelism", text.pointer, text.step, text.key + " " + word);
    }
    if (const size_t equals = word.find('='); word.starts_with("--") && equals != std::string::npos &&
                                              IsParallelismKey(word.substr(0, equals)) &&
                                              !IsPositiveInteger(word.substr(equals + 1))) {
      hits->Add("parallelism", text.pointer, text.step, word);
    }
  }
}

// Settings that say "what the server has".
void ServerDefaults(const PlanText& text, PlanHits* hits) {
  if (text.role != TextRole::kValue && text.role != TextRole::kVars && text.role != TextRole::kBody &&
      text.role != TextRole::kEnv && text.role != TextRole::kPlanParam)
    return;
  constexpr std::string_view kKeys[] = {"collate", "collation", "datelanguage",    "language", "lccollate",
                                        "lctime",  "locale",    "sessiontimezone", "timezone", "tz"};
  constexpr std::string_view kValues[] = {"",      "auto",      "database_default", "default", "host",
                                          "local", "localtime", "server",           "session", "system"};
  if (In(NormalizedKey(text.key), kKeys) && In(AsciiLower(Trim(*text.text)), kValues))
    hits->Add("session-settings", text.pointer, text.step, text.key + " \"" + *text.text + "\"");
}

}  // namespace

void RunTextRules(const PlanView& view, PlanHits* hits) {
  for (const PlanText& text : view.texts) {
    InlineSecret(view, text, hits);
    if (IsProse(text)) continue;
    for (const Placeholder& placeholder : PlaceholdersIn(*text.text)) {
      // `{timestamp}` in a path is the business of artifact-name alone.
      if (placeholder.form != Form::kBrace || !IsPathText(text)) CodeOfTemplate(text, placeholder, hits);
    }
    RelativeValues(text, hits);
    AppendModes(text, hits);
    AppendArguments(text, hits);
    Environment(view, text, hits);
    Pins(text, hits);
    ServerDefaults(text, hits);
    if (IsPathText(text)) ArtifactName(text, *text.text, hits);
    if (text.role == TextRole::kShell) {
      for (const std::string& path : RedirectsIn(*text.text)) ArtifactName(text, path, hits);
    }
    if (text.role == TextRole::kSql) {
      for (const std::string& path : PathsWrittenBy(ParseSql(*text.text, text.dialect))) ArtifactName(text, path, hits);
    }
  }
  Programs(view, hits);
  Plugins(view, hits);
  Secrets(view, hits);
  SecretsElsewhere(view, hits);
  Parallelism(view, hits);
}

}  // namespace lockstep::analyzer
