// Every renderer against its golden file, and the promises that no golden file can show: limits, escapes, equal facts.
// LOCKSTEP_UPDATE_GOLDEN=1 writes the files anew.
#include "reports/render/render.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/base/json.h"
#include "reports/render/tables.h"

namespace lockstep::reports {
namespace {

namespace fs = std::filesystem;
const fs::path kData = fs::path(LOCKSTEP_SOURCE_DIR) / "reports/testdata";

std::vector<v1::Result> Samples() {
  std::vector<v1::Result> results;
  for (const char* name : {"replay.json", "lint.json"}) {
    auto result = ReadResult((kData / name).string());
    EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().ToString());
    if (result) results.push_back(std::move(*result));
  }
  return results;
}

RenderOptions Options() {
  RenderOptions options;
  options.repository = "https://github.com/acme/pipelines";
  options.commit = "4f1d2c3b5a6978877665544332211000ffeeddcc";
  options.full_report = "lockstep-report.html";
  options.tool_version = "0.1.0";
  options.today = "2026-11-24";
  auto base = ReadResult((kData / "base.json").string());
  EXPECT_TRUE(base.has_value()) << (base ? "" : base.error().ToString());
  if (base) options.base_results.push_back(std::move(*base));
  return options;
}

v1::Result ManyFindings(int count, const std::string& severity = "error") {
  v1::Result result;
  result.set_tool("lint");
  for (int i = 0; i < count; ++i) {
    auto* f = result.add_findings();
    f->set_id("determinism-wall-clock");
    f->set_severity(severity);
    f->set_message("time() read, number " + std::to_string(i));
    f->set_file("src/a" + std::to_string(i) + ".cpp");
    f->set_line(i + 1);
    f->set_column(1);
    f->set_fingerprint("f" + std::to_string(i));
  }
  Normalize(&result);
  return result;
}

size_t Utf16Length(const std::string& text) {
  size_t count = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) != 0x80) count += byte >= 0xF0 ? 2 : 1;
  }
  return count;
}

struct Golden {
  const char* file;
  Format format;
};
class RenderGolden : public testing::TestWithParam<Golden> {};
TEST_P(RenderGolden, IsAsStored) {
  const fs::path file = kData / "golden" / GetParam().file;
  const std::string text = Render(Samples(), GetParam().format, Options());
  EXPECT_TRUE(text == Render(Samples(), GetParam().format, Options()));
  if (std::getenv("LOCKSTEP_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(WriteFileAtomically(file, text).has_value());
  }
  const auto stored = ReadFile(file);
  ASSERT_TRUE(stored.has_value());
  // Not EXPECT_EQ: whole pages would fill the log.
  const size_t same =
      static_cast<size_t>(std::mismatch(text.begin(), text.end(), stored->begin(), stored->end()).first - text.begin());
  EXPECT_TRUE(text == *stored) << file << " differs from byte " << same << ": "
                               << text.substr(same > 40 ? same - 40 : 0, 160);
}
INSTANTIATE_TEST_SUITE_P(Formats, RenderGolden,
                         testing::Values(Golden{"report.txt", Format::kText}, Golden{"report.md", Format::kMarkdown},
                                         Golden{"report.html", Format::kHtml}, Golden{"report.sarif", Format::kSarif},
                                         Golden{"report.junit.xml", Format::kJunit},
                                         Golden{"report.github.txt", Format::kGithub},
                                         Golden{"report.json", Format::kJson}));

// What a format writes differently is read back here: references to characters, escapes of JSON, of Markdown, of annotations.
std::string AsPlain(std::string text, Format format) {
  const auto replace = [&](std::string_view from, std::string_view to) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  };
  if (format == Format::kMarkdown || format == Format::kHtml || format == Format::kJunit) {
    for (const char* tag : {"<code>", "</code>", "<b>", "</b>"}) replace(tag, "");
    replace("&lt;", "<"), replace("&gt;", ">"), replace("&quot;", "\""), replace("&#39;", "'"), replace("&amp;", "&");
  }
  if (format == Format::kMarkdown) {
    for (const char* mark : {"\\_", "\\[", "\\]", "\\`", "\\*", "\\#"}) replace(mark, mark + 1);
    replace("`", "");
  }
  if (format == Format::kSarif || format == Format::kJson) replace("\\\"", "\"");
  if (format == Format::kGithub) replace("%0A", "\n"), replace("%3A", ":"), replace("%2C", ","), replace("%25", "%");
  return text;
}

// The same facts in each (spec 07 section 8.1): none is only in one of them.
TEST(Render, EveryFormatCarriesTheSameFacts) {
  const char* const facts[] = {
      // verdict, totals
      "FAILED", "5 histories: 2 identical, 2 diverged, 1 unreadable",
      // divergences: record, grade, kind, place in the run, step, command, field, values, lines, cause, how to show it again
      "rec/diamond.json", "payload-only", "field-changed", "20", "top", "ActivityTaskScheduled step/top/1", "input",
      "sha256 f0dad6125f5d", "sha256 6218fded1515", "plan_run.cpp", "plan_run.cpp:511",
      "no version gate keeps old runs on the old way", "lockstep replay rec/diamond.json",
      // outside of plans the step is what the command calls
      "rec/order", "ship", "command-changing", "src/order.cpp",
      // unreadable
      "HISTORY_CORRUPT", "EVENT_ID_NOT_CONTIGUOUS",
      // findings: rule, severity, place, message, root, chain, pointer, plan, step
      "determinism-plan-current-time", "determinism-wall-clock", "determinism-plan-external-call", "plans/orders.json",
      "/steps/0/params/query", "src/billing.cpp", "BillingWorkflow", "Deadline",
      "the clock shows another time when the history is replayed",
      // plan table
      "late-orders", "1.0.0", "0/1", "75 %", "2/2",
      // steps
      "sql.query", "http.request",
      // commands, suppressions, trusted marks
      "RefundWorkflow", "partial-refunds", "shown in the log only", "owner billing", "2026-12-01", "in 7 days",
      "src/keys.cpp", "2027-02-01", "RoundHalfEven", "integer arithmetic only",
      // perturbations
      "salt=2", "differs on 1 of 4 histories", "identical on 4 histories",
      // problems and notes
      "unknown type name 'Foo'", "C++ in tools was not analysed",
      // the base branch, what to do
      "2 findings new, 1 fixed; 4 in all, 3 on the base", "determinism-c-random",
      "Gate or revert the change behind 2 diverged histories", "Review 2 warnings"};
  for (const Format format :
       {Format::kText, Format::kMarkdown, Format::kHtml, Format::kSarif, Format::kJunit, Format::kGithub}) {
    const std::string text = AsPlain(Render(Samples(), format, Options()), format);
    for (const char* fact : facts) {
      // Steps in full are for the full report: the comment has what was found in them.
      if (format == Format::kMarkdown && (fact == std::string_view("sql.query") || fact == std::string_view("http.request")))
        continue;
      EXPECT_NE(text.find(fact), std::string::npos) << fact << " in format " << static_cast<int>(format);
    }
  }
}

TEST(Render, ASuppressionThatEndsSoonIsTold_AndOneThatDoesNotIsNot) {
  RenderOptions options = Options();
  const auto told = [&] {
    const std::string text = RenderText(Samples(), options);
    return text.find("expiring suppression") != std::string::npos;
  };
  options.today = "2026-11-17";  // 14 days before
  EXPECT_TRUE(told());
  options.today = "2026-11-16";
  EXPECT_FALSE(told());
  options.today = "2026-12-01";
  EXPECT_NE(RenderText(Samples(), options).find("expires 2026-12-01, today"), std::string::npos);
}

TEST(Render, WhatIsNewAgainstTheBaseIsMarked) {
  const std::string text = RenderText(Samples(), Options());
  EXPECT_NE(text.find("new expiring suppression of determinism-wall-clock"), std::string::npos);
  EXPECT_NE(text.find("\nsuppression of determinism-std-hash"), std::string::npos);
  EXPECT_NE(text.find("new trusted mark: RoundHalfEven"), std::string::npos);
}

TEST(Render, OfAPartialLintNothingIsCalledFixed) {
  std::vector<v1::Result> results = Samples();
  results[1].set_changed_since("origin/main");
  const std::string text = RenderText(results, Options());
  EXPECT_EQ(text.find("fixed: "), std::string::npos);
  EXPECT_NE(text.find("2 findings new, of those that the change can have caused; 3 on the base."), std::string::npos);
}

TEST(Render, ATraceJoinsTheReplayOfTheSameHistory) {
  std::vector<v1::Result> results = Samples();
  v1::Result trace;
  trace.set_tool("trace");
  auto* history = trace.add_histories();
  history->set_path("rec/order");
  history->set_verdict("DIVERGED");
  history->set_reproduce("lockstep trace rec/order");
  auto* divergence = history->add_divergences();
  divergence->set_grade("command-changing");
  divergence->set_cause("time: the clock of the machine");
  Normalize(&trace);
  results.push_back(trace);
  const std::string text = Render(results, Format::kText, Options());
  EXPECT_NE(text.find("time: the clock of the machine"), std::string::npos);
  EXPECT_NE(text.find("lockstep trace rec/order"), std::string::npos);
  EXPECT_NE(text.find("5 histories: 2 identical"), std::string::npos) << "not counted twice";
}

TEST(PlanTable, JoinsLintAndReplayById_WorstFirst) {
  const auto plans = PlanTable(Samples());
  ASSERT_EQ(plans.size(), 3U);
  EXPECT_EQ(plans[0].id, "late-orders");
  EXPECT_EQ(plans[0].Lint(), "1 error");
  EXPECT_EQ(plans[0].Replays(), "0/1");
  EXPECT_EQ(plans[0].Artifacts(), "75 %");
  EXPECT_EQ(plans[0].Status(), "FAILED");
  EXPECT_EQ(plans[1].id, "rates");
  EXPECT_EQ(plans[1].Status(), "WARNINGS");
  EXPECT_EQ(plans[2].id, "chain");
  EXPECT_EQ(plans[2].Replays(), "2/2");
  EXPECT_EQ(plans[2].Artifacts(), "-");
}

TEST(StepTable, SaysTheWorstOfEachStep) {
  for (const StepFacts& step : StepTable(Samples())) {
    if (step.step == "late") EXPECT_EQ(step.status, "error");
    if (step.step == "mail") EXPECT_EQ(step.status, "clean");
    if (step.step == "top") EXPECT_EQ(step.status, "diverged");
  }
}

TEST(Model, APerturbationThatDiffersFails) {
  v1::Result result;
  result.set_tool("replay");
  result.add_histories()->set_verdict("IDENTICAL");
  auto* row = result.add_perturbations();
  row->set_identical(true);
  Normalize(&result);
  EXPECT_EQ(result.verdict(), kPassed);
  row->set_identical(false);
  Normalize(&result);
  EXPECT_EQ(result.verdict(), kFailed);
}

TEST(RenderMarkdown, StaysWithinItsLimit_AndSaysWhatWasLeftOut) {
  std::vector<v1::Result> results = Samples();
  results.push_back(ManyFindings(3000));
  const std::string text = RenderMarkdown(results, Options());
  EXPECT_LE(Utf16Length(text), kMaxMarkdownCharacters);
  EXPECT_GT(Utf16Length(text), kMaxMarkdownCharacters / 2);
  EXPECT_NE(text.find("more errors, see the full report"), std::string::npos);
  // Divergences weigh more than findings.
  EXPECT_NE(text.find("rec/diamond.json"), std::string::npos);
  EXPECT_NE(text.find("### Next steps"), std::string::npos);
  size_t opened = 0, closed = 0;
  for (size_t at = text.find("<details>"); at != std::string::npos; at = text.find("<details>", at + 1)) ++opened;
  for (size_t at = text.find("</details>"); at != std::string::npos; at = text.find("</details>", at + 1)) ++closed;
  EXPECT_EQ(opened, closed);
}

TEST(RenderMarkdown, BeginsWithTheMarker_AndMentionsNobody) {
  v1::Result result = ManyFindings(1);
  result.mutable_findings(0)->set_message("cc @octocat <img src=x> `x` | y\n## z");
  Normalize(&result);
  const std::string text = RenderMarkdown({result}, Options());
  EXPECT_TRUE(text.starts_with(kCommentMarker));
  EXPECT_EQ(text.find("@octocat"), std::string::npos);
  EXPECT_EQ(text.find("<img"), std::string::npos);
  EXPECT_EQ(text.find("\n## z"), std::string::npos);
}

TEST(RenderMarkdown, TellsNewAndFixedFindingsApart) {
  RenderOptions options = Options();
  v1::Result base = ManyFindings(2);
  base.mutable_findings(1)->set_fingerprint("gone");
  options.base_results = {base};
  for (const Format format : {Format::kMarkdown, Format::kHtml}) {
    const std::string text = Render({ManyFindings(3)}, format, options);
    EXPECT_NE(text.find("2 findings new, 1 fixed; 3 in all, 2 on the base."), std::string::npos)
        << static_cast<int>(format);
    EXPECT_NE(text.find("fixed: "), std::string::npos);
  }
  options.base_results.clear();
  EXPECT_EQ(RenderMarkdown({ManyFindings(3)}, options).find("base branch"), std::string::npos);
}

TEST(RenderMarkdown, LinksToFileAndLineAtTheCommit) {
  EXPECT_NE(
      RenderMarkdown(Samples(), Options())
          .find("https://github.com/acme/pipelines/blob/4f1d2c3b5a6978877665544332211000ffeeddcc/plans/orders.json#L"),
      std::string::npos);
}

TEST(RenderHtml, EscapesWhatItShows_AndLoadsNothing) {
  v1::Result result = ManyFindings(1);
  result.mutable_findings(0)->set_message("<script>alert(1)</script> \" '");
  result.mutable_findings(0)->set_file("a\"><b>.cpp");
  Normalize(&result);
  const std::string text = RenderHtml({result}, Options());
  EXPECT_EQ(text.find("<script>alert"), std::string::npos);
  EXPECT_EQ(text.find("<b>"), std::string::npos);
  for (const char* load : {" src=", "@import", "url(http", "<link rel=\"stylesheet"})
    EXPECT_EQ(text.find(load), std::string::npos) << load;
}

TEST(RenderSarif, CutsAtTheLimitOfCodeScanning_ErrorsFirst_AndSaysSo) {
  v1::Result result = ManyFindings(static_cast<int>(kMaxSarifResults) + 10, "warning");
  result.mutable_findings(result.findings_size() - 1)->set_severity("error");
  Normalize(&result);
  const auto json = ParseJson(RenderSarif({result}, Options()), {.max_depth = 48, .max_string_bytes = 1 << 20});
  ASSERT_TRUE(json.has_value());
  const Json* results = json->At("/runs/0/results");
  ASSERT_EQ(results->AsArray().size(), kMaxSarifResults);
  EXPECT_EQ(results->AsArray()[0].GetString("level"), "error");
  const std::string notes = CanonicalJson(*json->At("/runs/0/invocations/0/toolExecutionNotifications"));
  EXPECT_NE(notes.find("cut: 10 of 25010 results left out"), std::string::npos);
  EXPECT_NE(notes.find("25010 results; code scanning shows the first 5000, errors first"), std::string::npos);
}

TEST(RenderSarif, IdentityOfAFindingIsItsCheck_WithChainAndFingerprint) {
  const auto json = ParseJson(RenderSarif(Samples(), Options()), {.max_depth = 48, .max_string_bytes = 1 << 20});
  ASSERT_TRUE(json.has_value());
  bool chain = false, pointer = false;
  for (const Json& entry : json->At("/runs/0/results")->AsArray()) {
    const int64_t index = entry.GetInt("ruleIndex", -1);
    EXPECT_EQ(json->At("/runs/0/tool/driver/rules")->AsArray()[static_cast<size_t>(index)].GetString("id"),
              entry.GetString("ruleId"));
    EXPECT_NE(entry.At("/partialFingerprints"), nullptr);
    chain |= entry.At("/codeFlows/0/threadFlows/0/locations/1") != nullptr;
    pointer |= entry.At("/locations/0/logicalLocations/0/fullyQualifiedName") != nullptr;
  }
  EXPECT_TRUE(chain);
  EXPECT_TRUE(pointer);
}

TEST(RenderGithub, PutsErrorsFirst_AndEscapes) {
  v1::Result result = ManyFindings(2, "warning");
  result.mutable_findings(1)->set_severity("error");
  result.mutable_findings(1)->set_file("a,b:c.cpp");
  result.mutable_findings(1)->set_message("100%\nsure");
  Normalize(&result);
  const std::string text = RenderGithub({result}, Options());
  EXPECT_TRUE(text.starts_with("::error file=a%2Cb%3Ac.cpp,line=2,col=1,title=determinism-wall-clock::100%25%0Asure\n"))
      << text;
}

TEST(Model, VerdictsFollowTheContents) {
  EXPECT_EQ(ManyFindings(0).verdict(), kPassed);
  EXPECT_EQ(ManyFindings(1, "note").verdict(), kPassed);
  EXPECT_EQ(ManyFindings(1, "warning").verdict(), kPassedWithWarnings);
  EXPECT_EQ(ManyFindings(1).verdict(), kFailed);
  EXPECT_EQ(OverallVerdict({}), kIncomplete);
  EXPECT_EQ(OverallVerdict(Samples()), kFailed);
  EXPECT_EQ(ExitCodeFor(kFailed), 1);
  EXPECT_EQ(ExitCodeFor(kIncomplete), 3);
}

TEST(Model, AReplayOfNothingIsIncomplete) {
  const auto result = ParseResult(R"({"format":"lockstep.replay/1","histories":[]})", "x");
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->verdict(), kIncomplete);
}

TEST(Model, JsonRoundTrips) {
  for (const v1::Result& result : Samples()) {
    const auto again = ParseResult(ToJson(result), "again");
    ASSERT_TRUE(again.has_value()) << again.error().ToString();
    EXPECT_EQ(ToJson(*again), ToJson(result));
  }
}

TEST(Model, BadInputIsOneLineThatNamesTheFile) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"format":"lockstep.result/2","findings":[]})", R"({"format":"other/1"})",
        R"({"format":"lockstep.result/1"})", R"({"format":"lockstep.result/1","findings":[{"line":"x"}]})"}) {
    const auto result = ParseResult(text, "some.json");
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_EQ(result.error().code, "RESULT_INVALID");
    EXPECT_TRUE(result.error().message.starts_with("some.json: ")) << result.error().message;
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
  }
}

TEST(Model, ReadsATrace_WithItsTopCause) {
  const auto result = ParseResult(
      R"({"format":"lockstep.divergence/1","path":"h.json","verdict":"DIVERGED","workflowType":"w","events":4,"first":{"kind":"field-changed","grade":"payload-only","stepId":"s","eventId":3},)"
      R"("divergences":[{"kind":"field-changed","grade":"payload-only","stepId":"s","eventId":3},{"kind":"missing","grade":"payload-only"}],"causes":[{"cause":"time"}],"reproduce":["lockstep trace h.json"]})",
      "x");
  ASSERT_TRUE(result.has_value()) << result.error().ToString();
  EXPECT_EQ(result->tool(), "trace");
  EXPECT_EQ(result->verdict(), kFailed);
  ASSERT_EQ(result->histories(0).divergences_size(), 2);
  EXPECT_EQ(result->histories(0).divergences(0).cause(), "time");
  EXPECT_EQ(ReproduceCommand(result->histories(0)), "lockstep trace h.json");
}

TEST(Model, ReadsASimulation) {
  const auto held = ParseResult(
      R"({"format":"lockstep-simulation/1","verdict":"HELD","runs":20,"workflowTasks":80,"historyEvents":400,"executions":20,"failures":[]})",
      "x");
  ASSERT_TRUE(held.has_value()) << held.error().ToString();
  EXPECT_EQ(held->verdict(), kPassed);
  const auto broken = ParseResult(
      R"({"format":"lockstep-simulation/1","verdict":"BROKEN","runs":20,"failures":[{"seed":7,"plan":null,"invariant":"replay-equals-run","message":"m","command":"lockstep simulate --seeds 7..7"}]})",
      "x");
  ASSERT_TRUE(broken.has_value()) << broken.error().ToString();
  EXPECT_EQ(broken->verdict(), kFailed);
  EXPECT_EQ(broken->totals().diverged(), 1);
  EXPECT_EQ(ReproduceCommand(broken->histories(0)), "lockstep simulate --seeds 7..7");
}

TEST(Model, ReadsWhatTheAnalyzerPrints) {
  const auto result = ParseResult(
      R"({"format":1,"tool":"lockstep-tidy","findings":[{"id":"determinism-wall-clock","severity":"error","message":"m","file":"a.cpp","line":3,"column":4,"chain":[{"file":"a.cpp","line":1,"column":2,"function":"f"}]}],"broken":[{"file":"b.cpp","message":"does not compile"}],"roots":["f"],"summary":{"files":2,"errors":1,"warnings":0,"notes":0}})",
      "x");
  ASSERT_TRUE(result.has_value()) << result.error().ToString();
  EXPECT_EQ(result->findings(0).chain(0).function(), "f");
  EXPECT_EQ(result->problems(0).file(), "b.cpp");
  EXPECT_EQ(result->verdict(), kFailed);
}

}  // namespace
}  // namespace lockstep::reports
