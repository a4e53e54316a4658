#include "replay/trace/bisect.h"

#include <algorithm>
#include <cstdlib>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"
#include "replay/trace/run_program.h"
#include "replay/trace/source_view.h"

namespace lockstep::replay {
namespace {

namespace fs = std::filesystem;

std::string FirstLine(const std::string& text) {
  return PrintableUtf8(std::string_view(text).substr(0, text.find('\n')));
}

std::string Trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  for (const std::string_view line : Split(text, '\n')) {
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

class Git {
 public:
  explicit Git(fs::path directory) : directory_(std::move(directory)) {}

  Result<std::string> Run(std::vector<std::string> words) const {
    words.insert(words.begin(), "git");
    // Neither the user's hooks nor an editor have a part in this.
    LOCKSTEP_ASSIGN(ProgramResult git,
                    RunProgram(words, {.directory = directory_.string(),
                                       .environment = {{"GIT_TERMINAL_PROMPT", "0"}, {"GIT_EDITOR", "true"}},
                                       .timeout_ms = 600'000}));
    if (git.exit_code != 0) return Fail("GIT_FAILED", "git " + words[1] + ": " + FirstLine(git.errors));
    return Trimmed(std::move(git.output));
  }
  Result<std::string> Resolve(const std::string& revision) const {
    if (revision.empty() || revision.starts_with('-'))
      return Fail("GIT_REVISION_UNKNOWN", "expected a revision, found " + (revision.empty() ? "nothing" : revision));
    auto full = Run({"rev-parse", "--verify", "--quiet", revision + "^{commit}"});
    if (!full) return Fail("GIT_REVISION_UNKNOWN", "expected a commit, found " + PrintableUtf8(revision));
    return full;
  }
  std::string Subject(const std::string& revision) const {
    return PrintableUtf8(Run({"show", "-s", "--format=%s", revision}).value_or(""));
  }

 private:
  fs::path directory_;
};

// The clone and what is known of its revisions.
class Bench {
 public:
  Bench(const BisectOptions& options, fs::path repository, fs::path work)
      : options_(options), repository_(std::move(repository)), work_(std::move(work)) {}

  fs::path tree() const { return work_ / "tree"; }

  Status Open(const std::string& good, const std::string& bad) {
    if (options_.fresh) {
      std::error_code ignored;
      fs::remove_all(work_ / "state.json", ignored);
    }
    LOCKSTEP_TRY(CreateDirectories(work_ / "logs"));
    LOCKSTEP_TRY(CopyHistory());
    std::error_code error;
    if (!fs::exists(tree() / ".git", error)) {
      fs::remove_all(tree(), error);
      LOCKSTEP_TRY(Git(work_).Run(
          {"clone", "--quiet", "--shared", "--no-checkout", "--", repository_.string(), tree().string()}));
    }
    key_ = Sha256Hex(good + bad + options_.build_command + "\n" + options_.replay_command + "\n" + history_digest_);
    ReadState();
    return {};
  }

  Result<TriedRevision> Try(const std::string& revision) {
    TriedRevision tried;
    tried.revision = revision;
    tried.subject = Git(repository_).Subject(revision);
    if (const auto known = verdicts_.find(revision); known != verdicts_.end()) {
      tried.verdict = known->second.verdict;
      tried.why = known->second.why;
      tried.known = true;
      return tried;
    }
    LOCKSTEP_TRY(BuildAndReplay(&tried));
    verdicts_[revision] = tried;
    LOCKSTEP_TRY(WriteState());
    return tried;
  }

 private:
  // What is replayed must not change with the revision, nor while the search lasts.
  Status CopyHistory() {
    const fs::path target = work_ / "history";
    std::error_code error;
    fs::remove_all(target, error);
    LOCKSTEP_TRY(CreateDirectories(target));
    history_ = fs::absolute(target / fs::path(options_.history).filename(), error);
    if (fs::path(options_.history).filename().empty()) history_ = target / "record";
    fs::copy(options_.history, history_, fs::copy_options::recursive, error);
    if (error) return Fail("FILE_IO", options_.history + ": " + error.message());
    std::map<std::string, std::string> digests;
    if (fs::is_directory(history_, error)) {
      for (const auto& entry : fs::recursive_directory_iterator(history_, error)) {
        if (!entry.is_regular_file(error)) continue;
        LOCKSTEP_ASSIGN(const std::string bytes, ReadFile(entry.path()));
        digests[entry.path().lexically_relative(history_).generic_string()] = Sha256Hex(bytes);
      }
    } else {
      LOCKSTEP_ASSIGN(const std::string bytes, ReadFile(history_));
      digests[""] = Sha256Hex(bytes);
    }
    for (const auto& [name, digest] : digests) history_digest_ += name + ":" + digest + "\n";
    history_digest_ = Sha256Hex(history_digest_);
    return {};
  }

  void ReadState() {
    const auto text = ReadFile(work_ / "state.json");
    const auto json = text ? ParseJson(*text, {.max_string_bytes = size_t{1} << 20}) : Result<Json>(Json());
    // Of other revisions, commands or another history, or half of something: start anew.
    if (!json || json->GetString("key") != key_) return;
    const Json* tried = json->Find("revisions");
    if (tried == nullptr || !tried->is_object()) return;
    for (const auto& [revision, entry] : tried->AsObject()) {
      const std::string name = entry.GetString("verdict");
      for (const auto verdict : {RevisionVerdict::kGood, RevisionVerdict::kBad, RevisionVerdict::kSkipped}) {
        if (RevisionVerdictName(verdict) != name) continue;
        verdicts_[revision].verdict = verdict;
        verdicts_[revision].why = entry.GetString("why");
      }
    }
  }

  Status WriteState() const {
    Json revisions = Json::MakeObject();
    for (const auto& [revision, tried] : verdicts_) {
      revisions.Set(revision, Json::MakeObject({{"verdict", RevisionVerdictName(tried.verdict)}, {"why", tried.why}}));
    }
    return WriteFileAtomically(
        work_ / "state.json",
        PrettyJson(
            Json::MakeObject({{"format", "lockstep.bisect/1"}, {"key", key_}, {"revisions", std::move(revisions)}})));
  }

  Result<ProgramResult> Shell(const std::string& command, int64_t timeout_ms) const {
    ProgramOptions program;
    program.directory = tree().string();
    program.timeout_ms = timeout_ms;
    program.interrupt = options_.interrupt;
    program.environment = {{"LOCKSTEP_HISTORY", history_.string()},
                           {"CCACHE_BASEDIR", tree().string()},
                           {"GIT_CEILING_DIRECTORIES", work_.string()}};
    return RunProgram({"sh", "-c", command}, program);
  }

  Status BuildAndReplay(TriedRevision* tried) {
    // Files that git does not know are the build of the revision before: kept, they make the next one short.
    LOCKSTEP_TRY(Git(tree()).Run({"checkout", "--quiet", "--force", "--detach", tried->revision}));
    std::string log;
    const auto keep = [&] { return WriteFileAtomically(work_ / "logs" / (tried->revision + ".log"), log); };
    if (!options_.build_command.empty()) {
      LOCKSTEP_ASSIGN(const ProgramResult build, Shell(options_.build_command, options_.build_timeout_ms));
      log += "$ " + options_.build_command + "\n" + build.output + build.errors + "exit code " +
             std::to_string(build.exit_code) + "\n";
      if (build.timed_out || build.exit_code != 0) {
        tried->verdict = RevisionVerdict::kSkipped;
        tried->why = build.timed_out ? "the build took too long"
                                     : "does not build (exit code " + std::to_string(build.exit_code) + ")";
        return keep();
      }
    }
    LOCKSTEP_ASSIGN(const ProgramResult replay, Shell(options_.replay_command, options_.replay_timeout_ms));
    log += "$ " + options_.replay_command + "\n" + replay.output + replay.errors + "exit code " +
           std::to_string(replay.exit_code) + "\n";
    tried->verdict = replay.exit_code == 0 ? RevisionVerdict::kGood : RevisionVerdict::kBad;
    // A program that crashes or hangs on the history is a program that does not replay it.
    const bool cannot_tell =
        !replay.timed_out && replay.exit_code != 0 && replay.exit_code != 1 && replay.exit_code < 128;
    if (cannot_tell || replay.exit_code == 127 || replay.exit_code == 126) {
      tried->verdict = RevisionVerdict::kSkipped;
      tried->why = "its replay cannot tell (exit code " + std::to_string(replay.exit_code) +
                   "): " + FirstLine(replay.errors).substr(0, 160);
    }
    return keep();
  }

  const BisectOptions& options_;
  fs::path repository_;
  fs::path work_;
  fs::path history_;
  std::string history_digest_;
  std::string key_;
  std::map<std::string, TriedRevision> verdicts_;
};

class Search {
 public:
  Search(const BisectOptions& options, Bench* bench, const Git& git, BisectReport* report)
      : options_(options), bench_(bench), git_(git), report_(report) {}

  Status Run() {
    LOCKSTEP_ASSIGN(const auto ends_bad, Try(report_->bad));
    if (ends_bad == RevisionVerdict::kGood) {
      report_->bad_in_step = true;
      return {};
    }
    if (ends_bad == RevisionVerdict::kSkipped) return CannotTell(report_->bad);
    LOCKSTEP_ASSIGN(const auto ends_good, Try(report_->good));
    if (ends_good == RevisionVerdict::kSkipped) return CannotTell(report_->good);
    if (ends_good == RevisionVerdict::kBad) {
      return Fail("BISECT_GOOD_DIVERGES",
                  report_->good.substr(0, 12) +
                      ": expected a revision that is in step with the history, found a divergence; name an older one");
    }
    std::vector<std::string> goods = {report_->good};
    std::string bad = report_->bad;
    while (true) {
      LOCKSTEP_ASSIGN(const std::vector<std::string> left, Candidates(goods, bad));
      const auto next = std::find_if(left.begin(), left.end(), [&](const std::string& revision) {
        return revision != bad && !skipped_.contains(revision);
      });
      if (next == left.end()) {
        report_->suspects = left;
        return Describe();
      }
      if (options_.progress) options_.progress(std::to_string(left.size()) + " revisions left");
      LOCKSTEP_ASSIGN(const auto verdict, Try(*next));
      if (verdict == RevisionVerdict::kGood) goods.push_back(*next);
      if (verdict == RevisionVerdict::kBad) bad = *next;
      if (verdict == RevisionVerdict::kSkipped) skipped_.insert({*next, true});
    }
  }

 private:
  Result<RevisionVerdict> Try(const std::string& revision) {
    if (options_.progress) options_.progress("trying " + revision.substr(0, 12) + " " + git_.Subject(revision));
    LOCKSTEP_ASSIGN(TriedRevision tried, bench_->Try(revision));
    if (options_.progress)
      options_.progress(revision.substr(0, 12) + " is " + std::string(RevisionVerdictName(tried.verdict)) +
                        (tried.why.empty() ? "" : ": " + tried.why));
    report_->tried.push_back(tried);
    return tried.verdict;
  }

  Status CannotTell(const std::string& revision) const {
    return Fail("BISECT_NOTHING_BUILDS", revision.substr(0, 12) + ": " + report_->tried.back().why + "; see " +
                                             (report_->work / "logs" / (revision + ".log")).string());
  }

  // Reachable from the bad one and from none of the good: what halves them best first.
  Result<std::vector<std::string>> Candidates(const std::vector<std::string>& goods, const std::string& bad) const {
    std::vector<std::string> words = {"rev-list", "--bisect-all", bad, "--not"};
    words.insert(words.end(), goods.begin(), goods.end());
    LOCKSTEP_ASSIGN(const std::string text, git_.Run(std::move(words)));
    std::vector<std::string> revisions;
    for (const std::string& line : LinesOf(text)) revisions.push_back(line.substr(0, line.find(' ')));
    return revisions;
  }

  Status Describe() {
    if (report_->suspects.size() != 1) return {};
    const std::string& revision = report_->suspects.front();
    report_->subject = git_.Subject(revision);
    LOCKSTEP_ASSIGN(report_->author_date, git_.Run({"show", "-s", "--format=%aI", revision}));
    LOCKSTEP_ASSIGN(const std::string files,
                    git_.Run({"diff-tree", "--no-commit-id", "--name-only", "-r", "--root", "-m", revision}));
    for (const std::string& file : LinesOf(files)) {
      if (std::find(report_->files.begin(), report_->files.end(), PrintableUtf8(file)) == report_->files.end())
        report_->files.push_back(PrintableUtf8(file));
    }
    return {};
  }

  const BisectOptions& options_;
  Bench* bench_;
  const Git& git_;
  BisectReport* report_;
  std::map<std::string, bool> skipped_;
};

fs::path CacheFolder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/')
    return fs::path(cache) / "lockstep";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return fs::path(home) / ".cache" / "lockstep";
  return fs::temp_directory_path() / "lockstep";
}

}  // namespace

std::string_view RevisionVerdictName(RevisionVerdict verdict) {
  constexpr std::string_view kNames[] = {"good", "bad", "skipped"};
  return kNames[static_cast<size_t>(verdict)];
}

Result<BisectReport> Bisect(const BisectOptions& options) {
  const fs::path repository = TreeAround(options.repository);
  const Git git(repository);
  BisectReport report;
  LOCKSTEP_TRY(git.Run({"rev-parse", "--git-dir"}));
  LOCKSTEP_ASSIGN(report.good, git.Resolve(options.good));
  LOCKSTEP_ASSIGN(report.bad, git.Resolve(options.bad));
  if (!git.Run({"merge-base", "--is-ancestor", report.good, report.bad})) {
    return Fail("GIT_NO_PATH", "expected " + PrintableUtf8(options.good) + " to be an ancestor of " +
                                   PrintableUtf8(options.bad) + ", found that it is not");
  }
  std::error_code error;
  const std::string name = Sha256Hex(repository.string() + "\n" + fs::absolute(options.history, error).string() + "\n" +
                                     report.good + report.bad)
                               .substr(0, 16);
  report.work = options.work.empty() ? CacheFolder() / "bisect" / name : fs::absolute(options.work, error);
  LOCKSTEP_TRY(CreateDirectories(report.work));
  Bench bench(options, repository, report.work);
  LOCKSTEP_TRY(bench.Open(report.good, report.bad));
  LOCKSTEP_TRY(Search(options, &bench, git, &report).Run());
  return report;
}

Json ToJson(const BisectReport& report) {
  Json tried = Json::MakeArray(), suspects = Json::MakeArray(), files = Json::MakeArray();
  for (const TriedRevision& revision : report.tried) {
    Json entry = Json::MakeObject({{"revision", revision.revision},
                                   {"subject", revision.subject},
                                   {"verdict", RevisionVerdictName(revision.verdict)},
                                   {"known", revision.known}});
    if (!revision.why.empty()) entry.Set("why", PrintableUtf8(revision.why));
    tried.Push(std::move(entry));
  }
  for (const std::string& revision : report.suspects) suspects.Push(revision);
  for (const std::string& file : report.files) files.Push(file);
  Json json = Json::MakeObject({{"format", "lockstep.bisect/1"},
                                {"good", report.good},
                                {"bad", report.bad},
                                {"tried", std::move(tried)},
                                {"verdict", report.bad_in_step            ? "IN_STEP"
                                            : report.suspects.size() == 1 ? "FOUND"
                                                                          : "AMBIGUOUS"},
                                {"suspects", std::move(suspects)},
                                {"work", report.work.string()}});
  if (report.suspects.size() == 1)
    json.Set("subject", report.subject).Set("authorDate", report.author_date).Set("files", std::move(files));
  return json;
}

std::string RenderBisect(const BisectReport& report, const std::string& history, bool color) {
  const auto bold = [color](const std::string& text) { return color ? "\x1b[1m" + text + "\x1b[0m" : text; };
  std::string text;
  for (const TriedRevision& revision : report.tried) {
    std::string verdict(RevisionVerdictName(revision.verdict));
    verdict.resize(8, ' ');
    text += verdict + revision.revision.substr(0, 12) + " " + revision.subject +
            (revision.why.empty() ? "" : " (" + PrintableUtf8(revision.why) + ")") +
            (revision.known ? " (known)" : "") + "\n";
  }
  if (report.bad_in_step)
    return text + "\n" + report.bad.substr(0, 12) + " is in step with " + history + ": there is nothing to find\n";
  if (report.suspects.size() != 1) {
    text += "\nrevisions that cannot be tried lie in between; it is one of\n";
    for (const std::string& revision : report.suspects) text += "  " + revision + "\n";
    return text;
  }
  const std::string& revision = report.suspects.front();
  text += "\n" + bold(revision) + " is the first that is not in step\n  " + report.author_date + " " + report.subject +
          "\n";
  for (size_t i = 0; i < report.files.size() && i < 20; ++i) text += "  " + report.files[i] + "\n";
  if (report.files.size() > 20) text += "  and " + std::to_string(report.files.size() - 20) + " more\n";
  return text + "\nwhy: lockstep trace " + history + " --changed-since " + revision.substr(0, 12) +
         "^   (with the program of that revision)\n";
}

}  // namespace lockstep::replay
