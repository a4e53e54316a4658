// Drives one analysis from files to findings.
#include "analyzer/lint/lint.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>

#include "analyzer/callgraph/cache.h"
#include "analyzer/callgraph/frontend.h"
#include "analyzer/callgraph/precompiled.h"
#include "analyzer/lint/analysis.h"
#include "analyzer/lint/config.h"
#include "analyzer/lint/git.h"
#include "analyzer/lint/suppress.h"
#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/base/json.h"
#include "engine-core/base/sha256.h"

namespace lockstep::analyzer {
namespace fs = std::filesystem;
namespace {

std::string Absolute(const std::string& path) {
  std::string text = fs::absolute(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

bool Below(const std::string& file, const std::string& directory) {
  return file == directory || (file.size() > directory.size() && file.rfind(directory, 0) == 0 && file[directory.size()] == '/');
}

// Sources by line, read once.
class SourceTexts {
 public:
  const std::string& Text(const std::string& file) {
    auto [it, added] = texts_.emplace(file, std::string());
    if (added) {
      if (auto text = ReadFile(file)) it->second = std::move(*text);
    }
    return it->second;
  }
  size_t Offset(const std::string& file, uint32_t line) {
    (void)Line(file, line);
    const auto& starts = starts_[file];
    return line == 0 || line > starts.size() ? 0 : starts[line - 1];
  }
  std::string Line(const std::string& file, uint32_t line) {
    auto [it, added] = starts_.emplace(file, std::vector<size_t>{0});
    const std::string& text = Text(file);
    if (added) {
      for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n') it->second.push_back(i + 1);
      }
    }
    if (line == 0 || line > it->second.size()) return {};
    const size_t begin = it->second[line - 1];
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    if (end > begin && text[end - 1] == '\r') --end;
    return text.substr(begin, end - begin);
  }

 private:
  std::map<std::string, std::string> texts_;
  std::map<std::string, std::vector<size_t>> starts_;
};

std::string WithoutSpace(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c != ' ' && c != '\t' && c != '\r') out.push_back(c);
  }
  return out;
}

// Identity of a finding: rule, the code of its line without white space, and how many equal ones stand before it in the file.
void Fingerprint(std::vector<Finding>* findings, SourceTexts* sources) {
  std::map<std::string, std::set<Location>> seen;
  for (auto& finding : *findings) {
    finding.source_line = sources->Line(finding.at.file, finding.at.line);
    const std::string base = finding.rule->id + "\n" + WithoutSpace(finding.source_line);
    auto& sites = seen[base + "\n" + finding.at.file];
    sites.insert(finding.at);
    finding.fingerprint = Sha256Hex(base + "\n" + std::to_string(sites.size())).substr(0, 32);
  }
}

std::atomic<bool> abandoned{false};

// One file within its budget of time. A compiler that is still busy then cannot be stopped: it is left behind with what it needs, and
// the file counts as one that does not compile.
Unit AnalyzeWithin(const CompileCommand& command, const std::shared_ptr<const ModelSet>& models, const Precompiled* header, unsigned seconds,
                   const std::shared_ptr<const PrecompiledHeaders>& headers) {
  if (seconds == 0) return AnalyzeFile(command, *models, {.headers = header, .deadline = {}});
  struct State {
    std::mutex mutex;
    std::condition_variable finished;
    bool done = false;
    Unit unit;
  };
  const auto state = std::make_shared<State>();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::thread worker([=] {
    Unit unit = AnalyzeFile(command, *models, {.headers = header, .deadline = deadline});
    (void)headers;  // Stays as long as somebody reads it.
    const std::lock_guard<std::mutex> lock(state->mutex);
    state->unit = std::move(unit);
    state->done = true;
    state->finished.notify_one();
  });
  std::unique_lock<std::mutex> lock(state->mutex);
  // The lowering stops by itself at the deadline and has something to show.
  if (state->finished.wait_until(lock, deadline + std::chrono::seconds(2), [&] { return state->done; })) {
    lock.unlock();
    worker.join();
    return std::move(state->unit);
  }
  worker.detach();
  abandoned = true;
  Unit unit;
  unit.main_file = command.file;
  unit.late = true;
  unit.strings.emplace_back();
  unit.error = command.file + ": error: the compiler did not finish this file within " + std::to_string(seconds) + " s (--file-timeout)";
  return unit;
}

// Parses what the cache does not have, links, and keeps the result for the next run over the same files.
Analysis Analyze(const std::vector<CompileCommand>& commands, const std::shared_ptr<const ModelSet>& models, const LintOptions& options,
                 const LinkOptions& link, size_t* from_cache) {
  SummaryCache cache(options.cache_directory, models->digest());
  const std::string key = AnalysisKey(commands, link);
  if (const auto bytes = cache.LoadRun(key)) {
    if (auto known = DecodeAnalysis(*bytes)) {
      *from_cache = commands.size();
      return std::move(*known);
    }
  }
  std::vector<Unit> units(commands.size());
  std::atomic<size_t> next{0};
  std::atomic<size_t> hits{0};
  std::vector<char> known(commands.size(), 0);
  const auto side_by_side = [&](const auto& work) {
    next = 0;
    std::vector<std::thread> threads;
    const size_t jobs = std::max<size_t>(1, std::min<size_t>(options.jobs, commands.size()));
    for (size_t i = 1; i < jobs; ++i) threads.emplace_back(work);
    work();
    for (auto& thread : threads) thread.join();
  };
  side_by_side([&] {
    for (size_t i = next++; i < commands.size(); i = next++) {
      auto cached = cache.Load(commands[i]);
      if (!cached) continue;
      units[i] = std::move(*cached);
      known[i] = 1;
      ++hits;
    }
  });
  const auto headers = std::make_shared<PrecompiledHeaders>(options.cache_directory);
  std::vector<const CompileCommand*> missing;
  for (size_t i = 0; i < commands.size(); ++i) {
    if (known[i] == 0) missing.push_back(&commands[i]);
  }
  headers->Build(missing, options.jobs);
  side_by_side([&] {
    for (size_t i = next++; i < commands.size(); i = next++) {
      if (known[i] != 0) continue;
      units[i] = AnalyzeWithin(commands[i], models, headers->For(commands[i]), options.file_seconds, headers);
      if (!units[i].late) cache.Store(commands[i], units[i]);
    }
  });
  *from_cache = hits;

  Analysis analysis;
  analysis.files = units.size();
  std::set<std::string> notes, sources;
  std::map<std::string, const Dependency*> read;
  bool complete = true;
  for (const auto& unit : units) {
    notes.insert(unit.notes.begin(), unit.notes.end());
    if (!unit.error.empty()) analysis.broken.emplace_back(unit.main_file, unit.error);
    else ++analysis.compiled;
    complete = complete && !unit.dependencies.empty() && !unit.late;
    if (unit.budget_exhausted) notes.insert(unit.main_file + ": too large to be analysed to the end");
    auto& includes = analysis.includes.emplace_back(unit.main_file, std::vector<std::string>()).second;
    for (const auto& dependency : unit.dependencies) {
      read.emplace((dependency.system ? "s" : "u") + dependency.path, &dependency);
      if (dependency.system) continue;
      sources.insert(dependency.path);
      includes.push_back(dependency.path);
    }
  }
  analysis.notes.assign(notes.begin(), notes.end());
  analysis.sources.assign(sources.begin(), sources.end());
  analysis.linked = Link(units, link);
  if (complete) {  // A file that could not even be opened has nothing to be checked by.
    std::vector<Dependency> dependencies;
    for (const auto& [name, dependency] : read) dependencies.push_back(*dependency);
    cache.StoreRun(key, dependencies, EncodeAnalysis(analysis));
  }
  return analysis;
}

Finding SuppressionFinding(const std::string& file, const Suppression& one, const std::string& what) {
  Finding finding;
  finding.rule = Registry::Get().Find("determinism-suppression");
  finding.severity = Severity::kError;
  finding.verdict = Verdict::kPayloadOnly;
  finding.at = {file, one.line, one.column};
  finding.what = what;
  finding.scope = "S4";
  finding.chain.push_back({"", finding.at});
  return finding;
}

// Splits findings into reported and suppressed, and adds a finding for every suppression that is not in order.
Status Suppress(const std::set<std::string>& files, const LintOptions& options, ConfigTree* configs, SourceTexts* sources,
                LintResult* result) {
  std::map<std::string, std::vector<Suppression>> by_file;
  for (const auto& file : files) {
    if (sources->Text(file).find("NOLINT") == std::string::npos) continue;
    LOCKSTEP_ASSIGN(const auto applying, configs->For(file));
    int days = 90;
    for (const auto* config : applying) days = std::min(days, config->max_suppression_days.value_or(days));
    by_file[file] = ParseSuppressions(sources->Text(file), options.today, days);
  }
  std::vector<Finding> kept;
  for (auto& finding : result->findings) {
    const Suppression* silent = nullptr;
    if (const auto it = by_file.find(finding.at.file); it != by_file.end()) {
      for (auto& one : it->second) {
        if (finding.at.line < one.first || finding.at.line > one.last || one.kind == Suppression::Kind::kEnd) continue;
        if (std::none_of(one.rules.begin(), one.rules.end(), [&](const auto& p) { return MatchesPattern(p, finding.rule->id); })) continue;
        one.used = true;
        if (silent == nullptr && !one.expired) silent = &one;
      }
    }
    if (silent == nullptr) {
      kept.push_back(std::move(finding));
    } else {
      result->suppressed.push_back(std::move(finding));
      result->suppressed_by.push_back({silent->reason, silent->owner, silent->expires});
    }
  }
  for (const auto& [file, list] : by_file) {
    for (const auto& one : list) {
      std::string rules;
      for (const auto& rule : one.rules) rules += (rules.empty() ? "" : ",") + rule;
      std::string what;
      for (const auto& problem : one.problems) what += (what.empty() ? "" : ", ") + problem;
      if (!one.used && one.kind != Suppression::Kind::kEnd) what += std::string(what.empty() ? "" : ", ") + "suppresses nothing";
      if (what.empty()) continue;
      Finding finding = SuppressionFinding(file, one, "suppression of " + rules + " (" + what + ")");
      if (!one.used && one.kind == Suppression::Kind::kLine) {
        // Nothing is lost with a comment that suppresses nothing.
        const std::string& text = sources->Text(file);
        const size_t begin = sources->Offset(file, one.line) + one.column - 1;
        const size_t end = std::min(text.find('\n', begin), text.size());
        if (text.compare(begin, 2, "//") == 0) {
          finding.edits.push_back({file, static_cast<uint32_t>(begin), static_cast<uint32_t>(end - begin), ""});
        }
      }
      kept.push_back(std::move(finding));
    }
  }
  result->findings = std::move(kept);
  return {};
}

std::vector<CommandChange> CommandChanges(const std::map<std::string, Skeleton>& stored, const std::map<std::string, Skeleton>& now) {
  std::vector<CommandChange> changes;
  for (const auto& [root, skeleton] : now) {
    const auto before = stored.find(root);
    if (before == stored.end() || before->second.commands == skeleton.commands) continue;
    CommandChange change{root, {}};
    const auto& known = before->second.changes;
    std::copy_if(skeleton.changes.begin(), skeleton.changes.end(), std::back_inserter(change.gates),
                 [&](const auto& id) { return std::find(known.begin(), known.end(), id) == known.end(); });
    changes.push_back(std::move(change));
  }
  return changes;
}

}  // namespace

bool LeftWorkBehind() { return abandoned; }

bool LintResult::blocking() const {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.severity == Severity::kError; });
}

Result<std::multiset<std::string>> ReadBaseline(const std::string& path) {
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(path));
  auto json = ParseJson(text, {.max_depth = 8, .max_string_bytes = 1 << 20});
  if (!json) return Fail("BASELINE_INVALID", path + ": " + json.error().message);
  const Json* list = json->Find("findings");
  if (list == nullptr || !list->is_array()) return Fail("BASELINE_INVALID", path + ": expected an array member `findings`");
  std::multiset<std::string> fingerprints;
  for (const Json& entry : list->AsArray()) {
    const std::string fingerprint = entry.GetString("fingerprint");
    if (fingerprint.empty()) return Fail("BASELINE_INVALID", path + ": a finding without `fingerprint`");
    fingerprints.insert(fingerprint);
  }
  return fingerprints;
}

std::string WriteBaseline(const std::vector<Finding>& findings) {
  // By fingerprint, so that the file does not change when findings only move.
  std::map<std::string, const Finding*> unique;
  for (const auto& finding : findings) unique.emplace(finding.fingerprint, &finding);
  Json list = Json::MakeArray();
  for (const auto& [fingerprint, finding] : unique) {
    list.Push(Json::MakeObject({{"fingerprint", fingerprint}, {"rule", finding->rule->id}, {"line", WithoutSpace(finding->source_line)}}));
  }
  return PrettyJson(Json::MakeObject({{"format", 1}, {"findings", std::move(list)}}));
}

Result<std::map<std::string, std::string>> ApplyFixes(const std::vector<Finding>& findings, bool dry_run, size_t* applied) {
  std::set<TextEdit> edits;
  for (const auto& finding : findings) edits.insert(finding.edits.begin(), finding.edits.end());
  std::map<std::string, std::vector<TextEdit>> by_file;
  for (const auto& edit : edits) by_file[edit.file].push_back(edit);
  std::map<std::string, std::string> texts;
  *applied = 0;
  for (auto& [file, list] : by_file) {
    LOCKSTEP_ASSIGN(const std::string text, ReadFile(file));
    std::string fixed;
    size_t at = 0;
    for (const auto& edit : list) {  // Sorted by offset.
      if (edit.offset < at || edit.offset + edit.length > text.size()) continue;
      fixed.append(text, at, edit.offset - at);
      fixed += edit.text;
      at = edit.offset + edit.length;
      ++*applied;
    }
    fixed.append(text, at, std::string::npos);
    if (!dry_run) LOCKSTEP_TRY(WriteFileAtomically(file, fixed));
    texts.emplace(file, std::move(fixed));
  }
  return texts;
}

namespace {

Result<ModelSet> LoadModels(const LintOptions& options, const std::vector<const DirectoryConfig*>& configs) {
  ModelSet models = ModelSet::BuiltIn().Clone();
  std::set<std::string> files(options.models.begin(), options.models.end());
  for (const auto* config : configs) files.insert(config->models.begin(), config->models.end());
  for (const auto& file : files) {
    LOCKSTEP_ASSIGN(const std::string text, ReadFile(file));
    LOCKSTEP_TRY(models.AddYaml(text, file));
  }
  return models;
}

// Keeps what the change can have caused: a finding whose chain touches a changed file, or a file that includes one.
Status KeepAffected(const LintOptions& options, const Analysis& analysis, LintResult* result) {
  LOCKSTEP_ASSIGN(std::set<std::string> affected, ChangedFiles(fs::current_path().string(), options.changed_since));
  const std::set<std::string> changed = affected;
  for (const auto& [file, includes] : analysis.includes) {
    for (const auto& include : includes) {
      if (changed.count(include) != 0) affected.insert(file);
    }
  }
  std::vector<Finding> kept;
  for (auto& finding : result->findings) {
    const bool touched = affected.count(finding.at.file) != 0 ||
                         std::any_of(finding.chain.begin(), finding.chain.end(), [&](const ChainStep& step) { return affected.count(step.at.file) != 0; });
    if (touched) kept.push_back(std::move(finding));
    else ++result->unaffected;
  }
  result->findings = std::move(kept);
  return {};
}

Status Baseline(const LintOptions& options, LintResult* result) {
  LOCKSTEP_ASSIGN(const auto known, ReadBaseline(options.baseline));
  std::vector<Finding> kept;
  for (auto& finding : result->findings) {
    if (known.count(finding.fingerprint) == 0) kept.push_back(std::move(finding));
    else ++result->baselined;
  }
  result->findings = std::move(kept);
  return {};
}

Status ApplyLevels(const LintOptions& options, const std::vector<std::string>& paths, ConfigTree* configs, LintResult* result) {
  (void)options;
  std::vector<Finding> kept;
  for (auto& finding : result->findings) {
    if (!paths.empty() && std::none_of(paths.begin(), paths.end(), [&](const auto& path) { return Below(finding.at.file, path); })) continue;
    LOCKSTEP_ASSIGN(const auto applying, configs->For(finding.at.file));
    const auto level = LevelFor(applying, finding.rule->id, finding.at.file, finding.severity);
    if (!level) continue;
    finding.severity = *level;
    kept.push_back(std::move(finding));
  }
  result->findings = std::move(kept);
  return {};
}

bool IsSource(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".cpp" || extension == ".cc" || extension == ".cxx" || extension == ".c" || extension == ".C";
}

// Files under the paths that no compile command covers, when they are sources that were named outright.
void AddUnlisted(const std::vector<std::string>& paths, std::vector<CompileCommand>* commands) {
  for (const auto& path : paths) {
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored)) continue;
    const bool listed = std::any_of(commands->begin(), commands->end(), [&](const auto& command) { return command.file == path; });
    if (!listed) commands->push_back(InferCommand(*commands, path));
  }
  (void)IsSource;
}

}  // namespace

Result<LintResult> RunLint(const LintOptions& options) {
  LintResult result;
  std::vector<CompileCommand> commands;
  if (!options.build_directory.empty()) {
    LOCKSTEP_ASSIGN(commands, ReadCompileCommands(options.build_directory));
  }
  std::vector<std::string> paths;
  for (const auto& path : options.paths) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) return Fail("NOTHING_TO_ANALYSE", path + ": expected a file or folder, found nothing");
    paths.push_back(Absolute(path));
  }
  AddUnlisted(paths, &commands);
  std::sort(commands.begin(), commands.end(), [](const auto& a, const auto& b) { return a.file < b.file; });
  if (commands.empty()) return Fail("NOTHING_TO_ANALYSE", "expected at least one compile command, found none");
  ConfigTree configs(options.config);
  std::vector<CompileCommand> program;
  for (auto& command : commands) {
    LOCKSTEP_ASSIGN(const auto applying, configs.For(command.file));
    const bool named = std::find(paths.begin(), paths.end(), command.file) != paths.end();
    if (named || !Ignored(applying, command.file)) program.push_back(std::move(command));
  }
  commands = std::move(program);
  if (commands.empty()) return Fail("NOTHING_TO_ANALYSE", "expected at least one file that is not ignored, found none");
  LOCKSTEP_ASSIGN(ModelSet loaded, LoadModels(options, configs.All()));
  const auto models = std::make_shared<const ModelSet>(std::move(loaded));
  LinkOptions link;
  link.roots = options.roots;
  link.deterministic_roots = options.deterministic;
  std::string command_baseline = options.command_baseline;
  for (const auto* config : configs.All()) {
    link.roots.insert(link.roots.end(), config->roots.begin(), config->roots.end());
    link.deterministic_roots.insert(link.deterministic_roots.end(), config->deterministic.begin(), config->deterministic.end());
    if (config->change_registry) {
      if (!link.change_registry) link.change_registry.emplace();
      link.change_registry->insert(config->change_registry->begin(), config->change_registry->end());
    }
    if (command_baseline.empty()) command_baseline = config->command_baseline;
  }
  std::error_code ignored;
  if (!command_baseline.empty() && fs::exists(command_baseline, ignored)) {
    LOCKSTEP_ASSIGN(link.command_baseline, ReadCommandBaseline(command_baseline));
  }
  Analysis analysis = Analyze(commands, models, options, link, &result.from_cache);
  for (const auto& [file, message] : analysis.broken) result.broken.push_back({file, message});
  if (analysis.compiled == 0) return Fail("NOTHING_COMPILES", result.broken.front().message);
  result.files = analysis.files;
  result.notes = std::move(analysis.notes);
  result.findings = std::move(analysis.linked.findings);
  result.trusted = std::move(analysis.linked.trusted);
  result.roots = std::move(analysis.linked.roots);
  result.skeletons = std::move(analysis.linked.skeletons);
  if (link.command_baseline) result.command_changes = CommandChanges(*link.command_baseline, result.skeletons);
  result.models = models->digest().substr(0, 16);
  SourceTexts sources;
  LOCKSTEP_TRY(Suppress({analysis.sources.begin(), analysis.sources.end()}, options, &configs, &sources, &result));
  LOCKSTEP_TRY(ApplyLevels(options, paths, &configs, &result));
  std::sort(result.findings.begin(), result.findings.end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.at, a.rule->id, a.root, a.what) < std::tie(b.at, b.rule->id, b.root, b.what);
  });
  Fingerprint(&result.findings, &sources);
  Fingerprint(&result.suppressed, &sources);
  if (!options.baseline.empty()) LOCKSTEP_TRY(Baseline(options, &result));
  if (!options.changed_since.empty()) LOCKSTEP_TRY(KeepAffected(options, analysis, &result));
  return result;
}

}  // namespace lockstep::analyzer
