// The whole run over small programs in a scratch folder: configuration, cache, baseline, suppressions, change filter, fixes,
// outputs, and the two programs as a user starts them.
#include "analyzer/lint/lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "analyzer/lint/config.h"
#include "analyzer/lint/output.h"
#include "engine-core/base/files.h"

namespace lockstep::analyzer {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kWorkflow =
    "#include <lockstep/workflow.h>\n"
    "#include <ctime>\n"
    "#include \"clock.h\"\n"
    "LOCKSTEP_ACTIVITY void pay(long long at);\n"
    "LOCKSTEP_WORKFLOW void run() { pay(seconds()); }\n"
    "LOCKSTEP_WORKFLOW void clean() { pay(1); }\n";
constexpr const char* kClock = "#pragma once\n#include <ctime>\ninline long long seconds() { return std::time(nullptr); }\n";

class LintTest : public testing::Test {
 protected:
  LintTest() : scratch_(*TemporaryDirectory::Create("lint")) {}

  std::string In(const std::string& name) const { return (scratch_.path() / name).string(); }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(CreateDirectories(fs::path(In(name)).parent_path()));
    ASSERT_TRUE(WriteFileAtomically(In(name), text));
  }
  // Writes compile_commands.json for the given sources.
  void Commands(const std::vector<std::string>& files, const std::vector<std::string>& flags = {}) {
    Json list = Json::MakeArray();
    for (const auto& file : files) {
      Json arguments = Json::MakeArray();
      for (const std::string& argument : {std::string("clang++"), std::string("-std=c++23"),
                                          std::string("-I") + LOCKSTEP_SOURCE_DIR + "/fixtures/lint/cpp/include", std::string("-c"), file}) {
        arguments.Push(argument);
      }
      for (const auto& flag : flags) arguments.Push(flag);
      list.Push(Json::MakeObject({{"directory", scratch_.path().string()}, {"file", file}, {"arguments", std::move(arguments)}}));
    }
    Write("compile_commands.json", PrettyJson(list));
  }
  void Shop() {
    Write("run.cpp", kWorkflow);
    Write("clock.h", kClock);
    Commands({"run.cpp"});
  }
  LintOptions Options() const {
    LintOptions options;
    options.build_directory = scratch_.path().string();
    options.today = "2026-03-01";
    return options;
  }
  LintResult Run(const LintOptions& options) {
    auto result = RunLint(options);
    EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().ToString());
    return result ? std::move(*result) : LintResult();
  }
  static std::vector<std::string> Ids(const LintResult& result) {
    std::vector<std::string> ids;
    for (const auto& finding : result.findings) ids.push_back(finding.rule->id);
    return ids;
  }
  std::string Rendered(const LintResult& result) const { return PrettyJson(RenderJson(result, {.colour = false, .base = scratch_.path().string()})); }
  TemporaryDirectory scratch_;
};

TEST_F(LintTest, RunLint_FollowsAHeaderFunction_WithChain) {
  Shop();
  const LintResult result = Run(Options());
  ASSERT_EQ(Ids(result), std::vector<std::string>{"determinism-wall-clock"});
  const Finding& finding = result.findings[0];
  EXPECT_EQ(finding.at.file, In("clock.h"));
  EXPECT_EQ(finding.root, "run");
  ASSERT_EQ(finding.chain.size(), 2U);
  EXPECT_EQ(finding.chain[0].function, "run");
  EXPECT_EQ(finding.chain[1].function, "seconds");
  EXPECT_EQ(finding.verdict, Verdict::kPayloadOnly);
  EXPECT_TRUE(result.blocking());
}

TEST_F(LintTest, RunLint_AnyNumberOfJobs_GivesTheSameBytes) {
  Write("clock.h", kClock);
  std::vector<std::string> files;
  for (int i = 0; i < 6; ++i) {
    const std::string name = "run" + std::to_string(i) + ".cpp";
    std::string text = kWorkflow;
    for (const char* function : {"run()", "clean()"}) text.insert(text.find(function) + 3, std::to_string(i));
    Write(name, text);
    files.push_back(name);
  }
  Commands(files);
  LintOptions options = Options();
  const std::string one = Rendered(Run(options));
  options.jobs = 4;
  EXPECT_EQ(Rendered(Run(options)), one);
  EXPECT_THAT(one, HasSubstr("determinism-wall-clock"));
}

TEST_F(LintTest, Cache_SecondRunReadsIt_AndAChangedHeaderInvalidatesIt) {
  Shop();
  LintOptions options = Options();
  options.cache_directory = In("cache");
  const LintResult cold = Run(options);
  EXPECT_EQ(cold.from_cache, 0U);
  const LintResult warm = Run(options);
  EXPECT_EQ(warm.from_cache, 1U);
  EXPECT_EQ(Rendered(warm), Rendered(cold));
  Write("clock.h", "#pragma once\ninline long long seconds() { return 1; }\n");
  const LintResult changed = Run(options);
  EXPECT_EQ(changed.from_cache, 0U);
  EXPECT_TRUE(changed.findings.empty());
}

TEST_F(LintTest, Cache_UnchangedProgram_IsOneEntry) {
  Shop();
  LintOptions options = Options();
  options.cache_directory = In("cache");
  const std::string first = Rendered(Run(options));
  // Without the summaries only the entry of the whole run is left.
  for (const auto& entry : fs::directory_iterator(In("cache"))) {
    if (entry.path().filename() != "runs") fs::remove_all(entry.path());
  }
  const LintResult second = Run(options);
  EXPECT_EQ(second.from_cache, second.files);
  EXPECT_EQ(Rendered(second), first);
  // Other roots are another question.
  options.roots = {"seconds"};
  EXPECT_EQ(Run(options).from_cache, 0U);
}

TEST_F(LintTest, IgnoredSources_AreNoPartOfTheProgram) {
  Shop();
  Write("run_test.cpp", "this does not compile\n");
  Commands({"run.cpp", "run_test.cpp"});
  EXPECT_EQ(Run(Options()).broken.size(), 1U);
  Write(".lockstep.yaml", "ignore: [\"*_test.cpp\"]\n");
  const LintResult result = Run(Options());
  EXPECT_TRUE(result.broken.empty());
  EXPECT_EQ(result.files, 1U);
  EXPECT_EQ(result.findings.size(), 1U);
}

TEST_F(LintTest, Finding_SaysWhereItsValueEndsUp) {
  Shop();
  const LintResult result = Run(Options());
  ASSERT_EQ(result.findings.size(), 1U);
  EXPECT_EQ(result.findings[0].sink.function, "an argument of pay");
  EXPECT_EQ(result.findings[0].sink.at.line, 5U);
  EXPECT_THAT(Rendered(result), HasSubstr("an argument of pay"));
}

TEST_F(LintTest, Cache_DamagedEntry_IsAMiss) {
  Shop();
  LintOptions options = Options();
  options.cache_directory = In("cache");
  Run(options);
  for (const auto& entry : fs::recursive_directory_iterator(In("cache"))) {
    if (!entry.is_regular_file()) continue;
    auto bytes = ReadFile(entry.path());
    ASSERT_TRUE(bytes);
    (*bytes)[bytes->size() / 2] ^= 1;
    ASSERT_TRUE(WriteFileAtomically(entry.path(), *bytes));
  }
  const LintResult result = Run(options);
  EXPECT_EQ(result.from_cache, 0U);
  EXPECT_EQ(result.findings.size(), 1U);
}

TEST_F(LintTest, Baseline_SurvivesMovesRenamesAndReformatting_AndShowsWhatIsNew) {
  Shop();
  Write("baseline.json", WriteBaseline(Run(Options()).findings));
  // Other file, other line, other white space, other function name.
  Write("time_source.h", "#pragma once\n#include <ctime>\n\n\n   inline long long   seconds() {return std::time(nullptr);}\n");
  std::string text = kWorkflow;
  text.replace(text.find("clock.h"), 7, "time_source.h");
  Write("run.cpp", text);
  LintOptions options = Options();
  options.baseline = In("baseline.json");
  LintResult result = Run(options);
  EXPECT_TRUE(result.findings.empty()) << Rendered(result);
  EXPECT_EQ(result.baselined, 1U);
  Write("run.cpp", text + "LOCKSTEP_WORKFLOW long long more() { return std::time(nullptr) + 1; }\n");
  result = Run(options);
  EXPECT_EQ(Ids(result), std::vector<std::string>{"determinism-wall-clock"});
  Write("baseline.json", "{}");
  EXPECT_EQ(RunLint(options).error().code, "BASELINE_INVALID");
}

TEST_F(LintTest, Suppression_InOrder_Silences_ExpiredOrUnusedIsAFinding) {
  const auto with = [&](const std::string& comment) {
    Write("run.cpp", std::string("#include <lockstep/workflow.h>\n#include <ctime>\nLOCKSTEP_WORKFLOW long long run() {\n  ") + comment +
                         "\n  return std::time(nullptr);\n}\n");
    Commands({"run.cpp"});
    return Run(Options());
  };
  LintResult result = with("// NOLINTNEXTLINE(determinism-wall-clock): shown only; owner=a; expires=2026-04-01");
  EXPECT_TRUE(result.findings.empty()) << Rendered(result);
  EXPECT_EQ(result.suppressed.size(), 1U);
  result = with("// NOLINTNEXTLINE(determinism-wall-clock): shown only; owner=a; expires=2026-02-01");
  EXPECT_EQ(Ids(result), (std::vector<std::string>{"determinism-suppression", "determinism-wall-clock"}));
  result = with("// NOLINTNEXTLINE(determinism-wall-clock)");
  EXPECT_EQ(Ids(result), (std::vector<std::string>{"determinism-suppression"}));
  result = with("// NOLINTNEXTLINE(determinism-locale): r; owner=a; expires=2026-04-01");
  EXPECT_EQ(Ids(result), (std::vector<std::string>{"determinism-suppression", "determinism-wall-clock"}));
}

TEST_F(LintTest, Configuration_RootsModelsAndLevels) {
  Write("lib.cpp", "#include <ctime>\nlong long vendor();\nnamespace shop { long long run() { return std::time(nullptr) + vendor(); } }\n");
  Commands({"lib.cpp"});
  EXPECT_TRUE(Run(Options()).findings.empty());
  Write(".lockstep.yaml", "roots: ['shop::*']\nmodels: [mine.yaml]\nrules: {determinism-wall-clock: warning}\n");
  Write("mine.yaml", "safe: [vendor]\n");
  LintResult result = Run(Options());
  ASSERT_EQ(Ids(result), std::vector<std::string>{"determinism-wall-clock"});
  EXPECT_EQ(result.findings[0].severity, Severity::kWarning);
  EXPECT_FALSE(result.blocking());
  Write(".lockstep.yaml", "roots: ['shop::*']\n");
  EXPECT_EQ(Ids(Run(Options())), (std::vector<std::string>{"determinism-wall-clock", "determinism-opaque-callee"}));
  Write(".lockstep.yaml", "roots: ['shop::*'\n");
  EXPECT_EQ(RunLint(Options()).error().code, "CONFIG_INVALID");
}

TEST_F(LintTest, Paths_LimitWhatIsReported_AndMustExist) {
  Shop();
  LintOptions options = Options();
  options.paths = {In("run.cpp")};
  EXPECT_TRUE(Run(options).findings.empty());  // The finding stands in clock.h.
  options.paths = {In("clock.h")};
  EXPECT_EQ(Run(options).findings.size(), 1U);
  options.paths = {In("nowhere")};
  EXPECT_EQ(RunLint(options).error().code, "NOTHING_TO_ANALYSE");
}

TEST_F(LintTest, BrokenFile_IsReportedOnce_TheOthersAreAnalysed) {
  Shop();
  Write("broken.cpp", "int x = missing;\n");
  Commands({"run.cpp", "broken.cpp"});
  const LintResult result = Run(Options());
  ASSERT_EQ(result.broken.size(), 1U);
  EXPECT_THAT(result.broken[0].message, HasSubstr("use of undeclared identifier"));
  EXPECT_EQ(result.findings.size(), 1U);
  Commands({"broken.cpp"});
  EXPECT_EQ(RunLint(Options()).error().code, "NOTHING_COMPILES");
}

TEST_F(LintTest, UngatedCommandChange_IsFound_AGateMakesItFine) {
  const auto source = [](const std::string& body) {
    return "#include <lockstep/workflow.h>\nLOCKSTEP_ACTIVITY void pay(int cents);\nLOCKSTEP_ACTIVITY void audit(int cents);\n"
           "LOCKSTEP_WORKFLOW void run() { " + body + " }\n";
  };
  Write("run.cpp", source("pay(1);"));
  Commands({"run.cpp"});
  Write("commands.json", WriteCommandBaseline(Run(Options()).skeletons));
  LintOptions options = Options();
  options.command_baseline = In("commands.json");
  EXPECT_TRUE(Run(options).findings.empty());
  Write("run.cpp", source("pay(2);"));
  EXPECT_TRUE(Run(options).findings.empty());  // Same commands, other data.
  for (const char* body : {"pay(1); audit(1);", "audit(1);", "audit(1); pay(1);", "", "pay(1); pay(1);"}) {
    if (std::string(body).empty()) continue;
    Write("run.cpp", source(body));
    EXPECT_EQ(Ids(Run(options)), std::vector<std::string>{"determinism-ungated-command-change"}) << body;
  }
  Write("run.cpp", source("pay(1); if (lockstep::workflow::get_version(\"audit\", 0, 1) >= 1) audit(1);"));
  EXPECT_TRUE(Run(options).findings.empty());
}

int Shell(const std::string& line) {
  const int status = std::system(line.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(LintTest, ChangedSince_KeepsCallersOfAChangedHeader) {
  Shop();
  Write("other.cpp", "#include <lockstep/workflow.h>\n#include <cstdlib>\nLOCKSTEP_WORKFLOW int other() { return std::rand(); }\n");
  Commands({"run.cpp", "other.cpp"});
  const std::string git = "git -c user.name=test -c user.email=test@example.invalid -C " + scratch_.path().string() + " ";
  ASSERT_EQ(Shell(git + "init -q && " + git + "add . && " + git + "commit -q -m start"), 0);
  const fs::path before = fs::current_path();
  fs::current_path(scratch_.path());
  LintOptions options = Options();
  options.changed_since = "HEAD";
  EXPECT_TRUE(Run(options).findings.empty());
  Write("clock.h", std::string(kClock) + "\n");
  const LintResult result = Run(options);
  EXPECT_EQ(Ids(result), std::vector<std::string>{"determinism-wall-clock"});
  EXPECT_EQ(result.unaffected, 1U);
  options.changed_since = "no-such-revision";
  EXPECT_EQ(RunLint(options).error().code, "GIT_FAILED");
  fs::current_path(before);
}

struct FixCase {
  const char* rule;
  const char* code;
  const char* include = "";
};

// One small program for every rule with a fix.
const FixCase kFixes[] = {
    {"determinism-wall-clock", "LOCKSTEP_WORKFLOW void run() { pay(std::time(nullptr)); }",
        "#include <ctime>"},
    {"determinism-c-random", "LOCKSTEP_WORKFLOW int run() { return std::rand() % 6; }",
        "#include <cstdlib>"},
    {"determinism-engine-seed", "LOCKSTEP_WORKFLOW uint64_t run() { std::mt19937_64 engine; return engine(); }",
        "#include <random>"},
    {"determinism-std-hash", "LOCKSTEP_WORKFLOW uint64_t run(std::string id) { return std::hash<std::string>{}(id); }"},
    {"determinism-unstable-sort",
        "LOCKSTEP_WORKFLOW void run(std::vector<Job> jobs) { std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) { return a.rank < "
        "b.rank; }); pay(jobs.front().rank); }",
        "#include <algorithm>"},
    {"determinism-comparator-contract",
        "LOCKSTEP_WORKFLOW void run(std::vector<int> v) { std::sort(v.begin(), v.end(), [](int a, int b) { return a <= b; }); pay(v.front()); }",
        "#include <algorithm>"},
    {"determinism-parallel-algorithm",
        "LOCKSTEP_WORKFLOW void run(std::vector<int> v) {\n#pragma omp parallel for\n  for (int& one : v) one = 1;\n  pay(v[0]);\n}"},
    {"determinism-uninitialized-read",
        "struct Cart { Cart() : items(1) {} int items; int cents; };\nLOCKSTEP_WORKFLOW void run() { Cart cart; pay(cart.cents); }"},
    {"determinism-dangling-across-await",
        "LOCKSTEP_WORKFLOW wf::Task<void> run(const std::string& id) { co_await wf::sleep(wf::Duration(1)); pay(static_cast<int64_t>(id.size())); }"},
    {"determinism-fast-math", "LOCKSTEP_WORKFLOW void run(int v) {\n#pragma clang fp reassociate(on)\n  pay(v);\n}"},
    {"determinism-float-reduction",
        "LOCKSTEP_WORKFLOW double run(std::vector<double> v) { return std::reduce(v.begin(), v.end(), 0.0); }",
        "#include <numeric>"},
    {"determinism-platform-width",
        "LOCKSTEP_WORKFLOW wf::Task<void> run(std::vector<int> v) { co_await wf::execute_activity(\"a\", wf::Options{}, v.size()); }"},
    {"determinism-dropped-task", "LOCKSTEP_WORKFLOW wf::Task<void> run() { wf::sleep(wf::Duration(1)); co_return; }"},
    {"determinism-console-io", "LOCKSTEP_WORKFLOW void run() { std::puts(\"done\"); }",
        "#include <cstdio>"},
    {"determinism-unguarded-log", "LOCKSTEP_WORKFLOW void run() { spdlog::info(\"done\"); }",
        "#include <spdlog/spdlog.h>"},
    {"determinism-swallowed-cancellation",
        "LOCKSTEP_WORKFLOW wf::Task<void> run() { try { co_await wf::sleep(wf::Duration(1)); } catch (...) { wf::log(\"x\"); } }"},
    {"determinism-version-gate", "LOCKSTEP_WORKFLOW void run() { if (wf::get_version(\"a\", 1, 0) >= 1) pay(1); }"},
    {"determinism-side-effect-capture",
        "LOCKSTEP_WORKFLOW int run(int n) { return wf::side_effect(\"n\", [&] { return n + 1; }); }"},
    {"determinism-blocking-sleep",
        "LOCKSTEP_WORKFLOW wf::Task<void> run() { std::this_thread::sleep_for(std::chrono::seconds(2)); co_return; }", "#include <thread>"},
    {"determinism-std-distribution",
        "LOCKSTEP_WORKFLOW void run(std::vector<int> v) { std::mt19937 bits(7); std::shuffle(v.begin(), v.end(), bits); pay(v.front()); }",
        "#include <algorithm>\n#include <random>"},
    {"determinism-function-static",
        "LOCKSTEP_WORKFLOW void run() { static const std::vector<int> steps = {1, 2}; pay(steps.front()); }"},
    {"determinism-blocking-sync",
        "struct Desk { std::mutex lock; int64_t open = 0; };\nLOCKSTEP_WORKFLOW void run() { Desk desk; std::lock_guard<std::mutex> guard(desk.lock); "
        "pay(desk.open); }",
        "#include <mutex>"},
    {"determinism-padding-compare",
        "struct Row { char kind = 0; int32_t cents = 0; bool operator==(const Row&) const = default; };\n"
        "LOCKSTEP_WORKFLOW void run(Row a, Row b) { if (std::memcmp(&a, &b, sizeof a) == 0) pay(1); }",
        "#include <cstring>"},
    {"determinism-time-zone", "LOCKSTEP_WORKFLOW void run(time_t at) { pay(std::localtime(&at)->tm_hour); }", "#include <ctime>"},
    {"determinism-entropy-source", "LOCKSTEP_WORKFLOW void run() { pay(std::random_device{}()); }", "#include <random>"},
    {"determinism-locale", "LOCKSTEP_WORKFLOW void run() { std::setlocale(LC_ALL, \"C\"); pay(1); }", "#include <clocale>"},
    {"determinism-fp-environment", "LOCKSTEP_WORKFLOW void run() { std::fesetround(FE_UPWARD); pay(1); }", "#include <cfenv>"},
    {"determinism-atomic", "LOCKSTEP_WORKFLOW void run(int n) { volatile int last = n; pay(last); }"},
    {"determinism-libm-variance", "LOCKSTEP_WORKFLOW void run(double x) { if (std::pow(x, 2) > 4) pay(1); }", "#include <cmath>"},
    {"determinism-suppression", "LOCKSTEP_WORKFLOW void run() { pay(1); }  // NOLINT(determinism-locale)"},
};

// All of them in two runs: as written, and after the fixes were applied.
TEST_F(LintTest, Fixes_CompileAndTheFindingIsGone) {
  const size_t count = std::size(kFixes);
  const auto name = [](size_t i) { return "fix" + std::to_string(i) + ".cpp"; };
  std::vector<std::string> files;
  for (size_t i = 0; i < count; ++i) {
    Write(name(i), std::string(kFixes[i].include) + "\n#include <lockstep/workflow.h>\nnamespace fix" + std::to_string(i) +
                       " {\nstruct Job { std::string id; int rank = 0; };\nLOCKSTEP_ACTIVITY void pay(int64_t cents);\n" + kFixes[i].code + "\n}\n");
    files.push_back(name(i));
  }
  Commands(files, {"-include", "cmake_pch.hxx"});
  Write("cmake_pch.hxx", "#include <algorithm>\n#include <chrono>\n#include <coroutine>\n#include <functional>\n#include <map>\n#include <mutex>\n"
                         "#include <numeric>\n#include <optional>\n#include <random>\n#include <set>\n#include <string>\n#include <thread>\n#include <vector>\n");
  LintOptions options = Options();
  options.cache_directory = In("cache");
  const auto ids_of = [&](const LintResult& result, size_t i) {
    std::vector<std::string> ids;
    for (const auto& finding : result.findings) {
      if (finding.at.file == In(name(i))) ids.push_back(finding.rule->id);
    }
    return ids;
  };
  const LintResult before = Run(options);
  ASSERT_TRUE(before.broken.empty()) << before.broken.front().message;
  for (size_t i = 0; i < count; ++i) {
    EXPECT_THAT(ids_of(before, i), testing::Contains(kFixes[i].rule));
    EXPECT_TRUE(std::any_of(before.findings.begin(), before.findings.end(), [&](const Finding& finding) {
      return finding.at.file == In(name(i)) && finding.rule->id == kFixes[i].rule && !finding.edits.empty();
    })) << kFixes[i].rule;
    EXPECT_TRUE(Registry::Get().Find(kFixes[i].rule)->fix) << "rules.json does not say that " << kFixes[i].rule << " has a fix";
  }
  size_t applied = 0;
  ASSERT_TRUE(ApplyFixes(before.findings, false, &applied));
  const LintResult after = Run(options);
  for (const auto& broken : after.broken) ADD_FAILURE() << broken.message << "\n" << *ReadFile(broken.file);
  for (size_t i = 0; i < count; ++i) EXPECT_THAT(ids_of(after, i), testing::Not(testing::Contains(kFixes[i].rule))) << *ReadFile(In(name(i)));
}

TEST(Fixes, EveryRuleThatSaysSoHasACase_AndThereAreThirty) {
  std::set<std::string> covered, promised;
  for (const auto& one : kFixes) covered.insert(one.rule);
  for (const auto& rule : Registry::Get().rules()) {
    if (rule.fix) promised.insert(rule.id);
  }
  EXPECT_EQ(covered, promised);
  EXPECT_GE(covered.size(), 30U);
}

TEST_F(LintTest, Sarif_HasRulesFlowsFingerprints) {
  Shop();
  const Json sarif = RenderSarif(Run(Options()), {.colour = false, .base = scratch_.path().string()});
  EXPECT_EQ(sarif.GetString("version"), "2.1.0");
  EXPECT_EQ(sarif.At("/runs/0/tool/driver/rules")->AsArray().size(), Registry::Get().rules().size());
  EXPECT_EQ(sarif.At("/runs/0/results/0/ruleId")->AsString(), "determinism-wall-clock");
  EXPECT_EQ(sarif.At("/runs/0/results/0/level")->AsString(), "error");
  EXPECT_EQ(sarif.At("/runs/0/results/0/codeFlows/0/threadFlows/0/locations")->AsArray().size(), 2U);
  EXPECT_EQ(sarif.At("/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri")->AsString(), "clock.h");
  EXPECT_EQ(sarif.At("/runs/0/results/0/locations/0/physicalLocation/region/startLine")->AsInt(), 3);
  EXPECT_FALSE(sarif.At("/runs/0/results/0/partialFingerprints/lockstep~1v1")->AsString().empty());
  const auto index = static_cast<size_t>(sarif.At("/runs/0/results/0/ruleIndex")->AsInt());
  EXPECT_EQ(Registry::Get().rules()[index].id, "determinism-wall-clock");
  EXPECT_NE(sarif.At("/runs/0/results/0/fixes/0/artifactChanges/0/replacements/0/deletedRegion/byteOffset"), nullptr);
}

TEST_F(LintTest, TextAndGithub_SayWhatWhyAndWhatInstead) {
  Shop();
  const LintResult result = Run(Options());
  const std::string text = RenderText(result, {.colour = false, .base = scratch_.path().string()});
  EXPECT_THAT(text, HasSubstr("clock.h:3:37: error: time: the clock shows another time when the history is replayed; use wf::now() [determinism-wall-clock]"));
  EXPECT_THAT(text, HasSubstr("reached from run -> seconds"));
  EXPECT_THAT(text, HasSubstr("run.cpp:5:36: note: run calls seconds here"));
  EXPECT_THAT(text, HasSubstr("1 error, 0 warnings in 1 file, 2 roots"));
  EXPECT_THAT(RenderGithub(result, {.colour = false, .base = scratch_.path().string()}), HasSubstr("::error file=clock.h,line=3,col=37,title=determinism-wall-clock::"));
  EXPECT_THAT(RenderText(result, {.colour = true, .base = ""}), HasSubstr("\033[1;31m"));
}

TEST_F(LintTest, Program_ExitCodes) {
  Shop();
  const std::string program = LOCKSTEP_TIDY_PROGRAM;
  const std::string quiet = " > " + In("out") + " 2> " + In("err");
  const std::string base = program + " -p " + scratch_.path().string() + " --no-cache ";
  EXPECT_EQ(Shell(base + quiet), 1);
  EXPECT_EQ(Shell(base + "--format sarif --out " + In("x.sarif") + quiet), 1);
  EXPECT_TRUE(fs::exists(In("x.sarif")));
  Write("clock.h", "#pragma once\ninline long long seconds() { return 1; }\n");
  EXPECT_EQ(Shell(base + quiet), 0);
  EXPECT_EQ(Shell(base + "--format loud" + quiet), 2);
  EXPECT_EQ(Shell(base + In("nowhere") + quiet), 2);
  EXPECT_EQ(Shell(program + " -p /nowhere" + quiet), 2);
  EXPECT_EQ(Shell(program + " --explain determinism-wall-clock" + quiet), 0);
  EXPECT_THAT(*ReadFile(In("out")), HasSubstr("# determinism-wall-clock (A1)"));
  EXPECT_EQ(Shell(program + " --explain nothing" + quiet), 2);
  EXPECT_EQ(Shell(program + " --list-rules" + quiet), 0);
  EXPECT_THAT(*ReadFile(In("out")), HasSubstr("J14"));
  Write(".lockstep.yaml", "rules: [\n");
  EXPECT_EQ(Shell(base + quiet), 3);
  fs::remove(In(".lockstep.yaml"));
  Write("run.cpp", "int x = missing;\n");
  EXPECT_EQ(Shell(base + quiet), 4);
  Write("compile_commands.json", "[");
  EXPECT_EQ(Shell(base + quiet), 3);
}

TEST_F(LintTest, FileTimeout_ACompilerThatNeverEnds_IsLeftBehind) {
  // Twice as many instantiations at every step: nobody sees the end of it.
  Write("endless.cpp",
        "template <int N, unsigned long M> struct Sum { static constexpr unsigned long value = Sum<N - 1, 2 * M>::value + Sum<N - 1, 2 * M + 1>::value; };\n"
        "template <unsigned long M> struct Sum<0, M> { static constexpr unsigned long value = M; };\n"
        "unsigned long all() { return Sum<62, 1>::value; }\n");
  Write("fine.cpp", "#define LOCKSTEP_WORKFLOW [[clang::annotate(\"lockstep::workflow\")]]\nextern \"C\" int rand();\nLOCKSTEP_WORKFLOW int dice() { return rand(); }\n");
  Commands({"endless.cpp", "fine.cpp"});
  const std::string line = std::string(LOCKSTEP_TIDY_PROGRAM) + " --no-cache -j 2 --file-timeout 4 -p " + scratch_.path().string() + " > " + In("out") + " 2> " + In("err");
  EXPECT_EQ(Shell(line), 1);
  const std::string out = *ReadFile(In("out"));
  EXPECT_THAT(out, HasSubstr("endless.cpp: error: the compiler did not finish this file within 4 s (--file-timeout)"));
  EXPECT_THAT(out, HasSubstr("[determinism-c-random]"));
}

TEST_F(LintTest, TidyModule_ReportsMarkedCodeInClangTidy) {
  Shop();
  const std::string line = "clang-tidy-19 --load " LOCKSTEP_TIDY_MODULE " --checks='-*,determinism-*' --header-filter='.*' --quiet -p " +
                           scratch_.path().string() + " " + In("run.cpp") + " > " + In("out") + " 2> " + In("err");
  EXPECT_EQ(Shell(line), 0) << *ReadFile(In("err"));
  const std::string out = *ReadFile(In("out"));
  EXPECT_THAT(out, HasSubstr("clock.h:3:37: warning: time: the clock shows another time"));
  EXPECT_THAT(out, HasSubstr("[determinism-wall-clock]"));
}

}  // namespace
}  // namespace lockstep::analyzer
