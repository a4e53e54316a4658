// Many histories: what is found, in which order, what a batch makes of bad ones, and how it is told.
#include "replay/session/batch.h"

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "engine-core/workflow/wf.h"
#include "replay/session/session_testing.h"

namespace lockstep::replay {
namespace {

namespace fs = std::filesystem;
using namespace testing;  // NOLINT
using interpreter::testing::ChainPlan;
using interpreter::testing::CheckedRun;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class BatchTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_.emplace(TemporaryDirectory::Create("lockstep-batch").value()); }
  std::string Path(const std::string& name) const { return (folder_->path() / name).generic_string(); }
  void Write(const std::string& name, std::string_view bytes) {
    fs::create_directories(fs::path(Path(name)).parent_path());
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }
  // A healthy record of a run of so many steps.
  Record AddRecord(const std::string& name, int steps = 2) {
    CheckedRun run(ChainPlan(steps));
    run.RunToEnd();
    Record record = RecordOf(run);
    EXPECT_TRUE(WriteRecord(record, Path(name)).has_value());
    return record;
  }
  std::string HistoryText(int steps = 2) {
    CheckedRun run(ChainPlan(steps));
    run.RunToEnd();
    return history::WriteJson(run.history(0));
  }
  BatchResult Run(const std::vector<std::string>& names, unsigned jobs = 2) {
    BatchOptions options;
    options.registry = &registry_;
    options.jobs = jobs;
    options.keep_commands = true;
    return RunBatch(names, options);
  }

  std::optional<TemporaryDirectory> folder_;
  workflow::WorkflowRegistry registry_ = InterpreterRegistry();
};

// --- discovery -----------------------------------------------------------------------------------------------------------

TEST_F(BatchTest, Find_WalksFolders_TakesRecordsWhole_SortsWithinEachPath) {
  AddRecord("b/record");
  for (const char* name : {"a/2.json", "a/1.pb", "a/3.json.gz", "a/4.pb.zst", "a/notes.txt", "a/.hidden.json", "c.binpb", "d.hist", "e.jsonl"}) Write(name, "x");
  const auto found = FindHistories({folder_->path().generic_string()});
  ASSERT_TRUE(found.has_value());
  EXPECT_THAT(*found, ElementsAre(Path("a/1.pb"), Path("a/2.json"), Path("a/3.json.gz"), Path("a/4.pb.zst"), Path("b/record"), Path("c.binpb"),
                                  Path("d.hist"), Path("e.jsonl")));
}

TEST_F(BatchTest, Find_KeepsTheOrderOfThePaths_AndTakesAnyNamedFile) {
  Write("z.json", "x");
  Write("a.weird", "x");
  const auto found = FindHistories({Path("z.json"), Path("a.weird"), "-"});
  ASSERT_TRUE(found.has_value());
  EXPECT_THAT(*found, ElementsAre(Path("z.json"), Path("a.weird"), "-"));
}

TEST_F(BatchTest, Find_TakesEachOnce_HoweverItIsSpelled) {
  Write("a/1.json", "x");
  const auto found = FindHistories({Path("a/1.json"), Path("a"), Path("a/../a/1.json"), Path("a/"), "-", "-"});
  ASSERT_TRUE(found.has_value());
  EXPECT_THAT(*found, ElementsAre(Path("a/1.json"), "-"));
}

TEST_F(BatchTest, Find_WhatIsNotThere_IsAnError) {
  const auto found = FindHistories({Path("nothing")});
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code, "INPUT_NOT_FOUND");
  EXPECT_THAT(found.error().message, HasSubstr(Path("nothing")));
}

TEST_F(BatchTest, Find_PathThatMatchesNothing_IsAnError_NeverAnEmptySuccess) {
  Write("a/readme.txt", "x");
  fs::create_directories(Path("empty"));
  Write("ok/1.json", "x");
  for (const char* name : {"a", "empty"}) {
    const auto found = FindHistories({Path("ok"), Path(name)});
    ASSERT_FALSE(found.has_value()) << name;
    EXPECT_EQ(found.error().code, "INPUT_EMPTY");
  }
}

// --- replaying -----------------------------------------------------------------------------------------------------------

TEST_F(BatchTest, HealthyCorpus_IsInStep) {
  AddRecord("one", 2);
  AddRecord("two", 3);
  Write("three.json", HistoryText(4));
  const auto found = FindHistories({folder_->path().generic_string()});
  const BatchResult result = Run(*found);
  ASSERT_EQ(result.reports.size(), 3u);
  EXPECT_EQ(result.Count(Verdict::kIdentical), 3u) << RenderText(result, false, false);
  EXPECT_EQ(ExitCode(result, true), 0);
  for (const ReplayReport& report : result.reports) {
    EXPECT_EQ(report.status, "COMPLETED");
    EXPECT_EQ(report.snapshot_hash.size(), 64u);
    EXPECT_EQ(report.outcome_hash.size(), 64u);
    EXPECT_GT(report.commands, 0);
  }
  EXPECT_TRUE(result.reports[0].record);
  EXPECT_FALSE(result.reports[1].record);
}

TEST_F(BatchTest, Reports_ComeInTheOrderOfTheInputs_WhateverTheNumberOfThreads) {
  std::vector<std::string> inputs;
  for (int i = 0; i < 9; ++i) {
    Write("h" + std::to_string(i) + ".json", HistoryText(1 + i % 3));
    inputs.push_back(Path("h" + std::to_string(i) + ".json"));
  }
  const std::string one = PrettyJson(ToJson(Run(inputs, 1), false));
  EXPECT_EQ(PrettyJson(ToJson(Run(inputs, 4), false)), one);
  EXPECT_EQ(PrettyJson(ToJson(Run(inputs, 64), false)), one);
}

TEST_F(BatchTest, EveryForm_ReplaysAlike) {
  CheckedRun run(ChainPlan(2));
  run.RunToEnd();
  std::vector<std::string> inputs;
  for (const char* name : {"h.json", "h.pb", "h.json.gz", "h.json.zst", "h.pb.gz", "h.pb.zst"}) {
    ASSERT_TRUE(history::WriteHistory(Path(name), run.history(0), history::OptionsForPath(name)).has_value());
    inputs.push_back(Path(name));
  }
  const BatchResult result = Run(inputs);
  EXPECT_EQ(result.Count(Verdict::kIdentical), inputs.size());
  for (const ReplayReport& report : result.reports) EXPECT_EQ(report.snapshot_hash, state::SnapshotHash(run.Snapshot()));
}

TEST_F(BatchTest, UnreadableInputs_AreNamed_TheOthersAreReplayedAllTheSame) {
  Write("bad.json", "{\"events\": [");
  Write("empty.json", "{\"events\":[]}");
  Write("good.json", HistoryText());
  const BatchResult result = Run({Path("bad.json"), Path("empty.json"), Path("good.json"), Path("gone.json")});
  EXPECT_EQ(result.Count(Verdict::kUnreadable), 3u);
  EXPECT_EQ(result.Count(Verdict::kIdentical), 1u);
  EXPECT_EQ(ExitCode(result, false), 3);
  EXPECT_EQ(result.reports[0].error->code, "HISTORY_CORRUPT");
  EXPECT_THAT(result.reports[0].error->message, HasSubstr("bad.json"));
  EXPECT_EQ(result.reports[1].error->code, "HISTORY_CORRUPT");
  for (const ReplayReport& report : result.reports) {
    if (report.error) EXPECT_THAT(report.error->message, Not(HasSubstr("\n")));
  }
}

TEST_F(BatchTest, WorkflowOfAnotherBuild_IsUnreadable_AndListsWhatIsKnown) {
  Write("h.json", HistoryText());
  workflow::WorkflowRegistry other;
  other.Register("somethingElse", [](const workflow::Payloads&) -> wf::Task<wf::WorkflowResult> { co_return wf::completed(Json(1)); });
  BatchOptions options;
  options.registry = &other;
  const ReplayReport report = ReplayOne(Path("h.json"), options);
  EXPECT_EQ(report.verdict, Verdict::kUnreadable);
  EXPECT_EQ(report.error->code, "WORKFLOW_TYPE_UNKNOWN");
  EXPECT_THAT(report.error->message, HasSubstr("somethingElse"));
  EXPECT_THAT(report.error->message, HasSubstr("runPlanWorkflow"));
}

TEST_F(BatchTest, RecordWithABrokenSum_IsUnreadable) {
  AddRecord("record");
  Write("record/events.jsonl", "{}\n");
  const BatchResult result = Run({Path("record")});
  EXPECT_EQ(result.Count(Verdict::kUnreadable), 1u);
  EXPECT_EQ(result.reports[0].error->code, "RECORD_CORRUPT");
}

TEST_F(BatchTest, RecordWhoseHashesDiffer_Diverges) {
  CheckedRun run(ChainPlan(2));
  run.RunToEnd();
  for (const char* name : {"snapshotHash", "outcomeHash"}) {
    Record record = RecordOf(run);
    record.manifest.Set(name, std::string(64, '1'));
    ASSERT_TRUE(WriteRecord(record, Path(name)).has_value());
    const BatchResult result = Run({Path(name)});
    ASSERT_EQ(result.Count(Verdict::kDiverged), 1u);
    ASSERT_EQ(result.reports[0].divergences.size(), 1u);
    EXPECT_EQ(result.reports[0].divergences[0].field, name);
    EXPECT_EQ(result.reports[0].divergences[0].grade, workflow::Grade::kSnapshotOnly);
    EXPECT_EQ(ExitCode(result, false), 1);
  }
}

TEST_F(BatchTest, RotatedRecord_IsOneReport) {
  interpreter::Policy policy;
  policy.continue_steps = 2;
  CheckedRun run(ChainPlan(5), {.policy = policy});
  run.RunToEnd();
  ASSERT_TRUE(WriteRecord(RecordOf(run), Path("chain")).has_value());
  const BatchResult result = Run({Path("chain")});
  EXPECT_EQ(result.Count(Verdict::kIdentical), 1u) << RenderText(result, false, false);
  EXPECT_EQ(result.reports[0].executions, 3);
  EXPECT_EQ(result.reports[0].command_rows.size(), 3u);
  EXPECT_EQ(result.reports[0].engine_events, static_cast<int64_t>(run.Events().size()));
  EXPECT_EQ(result.reports[0].snapshots.size(), 3u);
}

TEST_F(BatchTest, StopAt_StopsEachAndJudgesOnlyWhatWasReplayed) {
  AddRecord("record", 5);
  BatchOptions options;
  options.registry = &registry_;
  options.stop_at_seq = 5;
  const ReplayReport report = ReplayOne(Path("record"), options);
  EXPECT_EQ(report.verdict, Verdict::kIdentical) << Summaries(report.divergences);
  EXPECT_EQ(report.status, "RUNNING");
  EXPECT_LT(report.engine_events, 12);
}

TEST_F(BatchTest, Drift_CountsOnlyWhenStrict) {
  CheckedRun run(ChainPlan(2));
  run.RunToEnd();
  History history = run.history(0);
  for (HistoryEvent& event : *history.mutable_events()) {
    if (!event.has_activity_task_scheduled_event_attributes()) continue;
    auto* activity = event.mutable_activity_task_scheduled_event_attributes();
    if (activity->activity_id() == "step/s0/1") activity->mutable_retry_policy()->set_maximum_attempts(9);
  }
  Write("drift.json", history::WriteJson(history));
  const BatchResult result = Run({Path("drift.json")});
  ASSERT_EQ(result.Count(Verdict::kDrift), 1u) << RenderText(result, false, false);
  EXPECT_EQ(ExitCode(result, false), 0);
  EXPECT_EQ(ExitCode(result, true), 1);
  EXPECT_EQ(ToJson(result, false).GetString("verdict"), "IN_STEP");
  EXPECT_EQ(ToJson(result, true).GetString("verdict"), "DIVERGED");
  EXPECT_THAT(RenderText(result, false, false), HasSubstr("In step."));
  EXPECT_THAT(RenderText(result, true, false), HasSubstr("NOT in step."));
}

TEST_F(BatchTest, ExitCode_DivergenceOutweighsUnreadableInput) {
  BatchResult result;
  result.reports.resize(3);
  EXPECT_EQ(ExitCode(result, true), 0);
  result.reports[1].verdict = Verdict::kUnreadable;
  EXPECT_EQ(ExitCode(result, false), 3);
  result.reports[2].verdict = Verdict::kDiverged;
  EXPECT_EQ(ExitCode(result, false), 1);
}

// --- telling -------------------------------------------------------------------------------------------------------------

TEST_F(BatchTest, Json_HasItsFormatTotalsAndOneEntryAHistory) {
  AddRecord("record");
  Write("bad.json", "[]]");
  const Json json = ToJson(Run({Path("record"), Path("bad.json")}), false);
  EXPECT_EQ(json.GetString("format"), "lockstep.replay/1");
  EXPECT_EQ(json.GetString("verdict"), "UNREADABLE");
  EXPECT_EQ(CanonicalJson(*json.Find("totals")), R"({"diverged":0,"drift":0,"histories":2,"identical":1,"unreadable":1})");
  const Json& record = json.Find("histories")->AsArray()[0];
  EXPECT_EQ(record.GetString("kind"), "record");
  EXPECT_EQ(record.GetString("verdict"), "IDENTICAL");
  EXPECT_EQ(record.GetString("workflowType"), "runPlanWorkflow");
  for (const char* member : {"path", "status", "snapshotHash", "outcomeHash", "executions", "events", "workflowTasks", "commands", "engineEvents", "openTask", "divergences"}) {
    EXPECT_NE(record.Find(member), nullptr) << member;
  }
  const Json& bad = json.Find("histories")->AsArray()[1];
  EXPECT_EQ(bad.Find("error")->GetString("code"), "HISTORY_CORRUPT");
}

TEST_F(BatchTest, Text_ColoursOnlyWhenAsked_AndShowsTenDifferencesAHistory) {
  BatchResult result;
  result.reports.resize(1);
  ReplayReport& report = result.reports[0];
  report.path = "h.json";
  report.verdict = Verdict::kDiverged;
  for (int i = 0; i < 12; ++i) {
    workflow::Divergence divergence;
    divergence.event_id = i + 1;
    divergence.field = "input";
    divergence.expected = "1";
    report.divergences.push_back(divergence);
  }
  const std::string plain = RenderText(result, false, false), colored = RenderText(result, false, true);
  EXPECT_THAT(plain, Not(HasSubstr("\x1b[")));
  EXPECT_THAT(colored, HasSubstr("\x1b["));
  EXPECT_THAT(plain, HasSubstr("and 2 more"));
  EXPECT_THAT(plain, HasSubstr("12 differences"));
  EXPECT_THAT(plain, HasSubstr("actual    nothing"));
}

TEST_F(BatchTest, Progress_IsToldOncePerHistory) {
  std::vector<std::string> inputs;
  for (int i = 0; i < 5; ++i) {
    Write("h" + std::to_string(i) + ".json", HistoryText(1));
    inputs.push_back(Path("h" + std::to_string(i) + ".json"));
  }
  BatchOptions options;
  options.registry = &registry_;
  options.jobs = 3;
  std::vector<size_t> told;
  options.progress = [&](size_t done, size_t total, const ReplayReport&) {
    told.push_back(done);
    EXPECT_EQ(total, 5u);
  };
  RunBatch(inputs, options);
  EXPECT_THAT(told, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(BatchTest, NoInputs_GiveNoReports) {
  EXPECT_THAT(Run({}).reports, IsEmpty());
}

// --- the watchdog --------------------------------------------------------------------------------------------------------

// Shared with the thread that spins: it must outlive the batch, and end before the process looks for leaks.
struct Spin {
  std::atomic<bool> stop = false;
  std::atomic<bool> left = false;
};

TEST_F(BatchTest, SpinningCode_IsReported_AndDoesNotHoldUpTheRest) {
  static Spin spin;
  static workflow::WorkflowRegistry registry;
  registry.Register("runPlanWorkflow", [](const workflow::Payloads& input) -> wf::Task<wf::WorkflowResult> {
    const auto json = workflow::ReadFirstJson(input);
    if (json && json->Find("admission")->GetInt("stepCount") == 1) {
      while (!spin.stop) {
      }
      spin.left = true;
    }
    co_return wf::completed(Json(1));
  });
  Write("spins.json", HistoryText(1));
  for (int i = 0; i < 4; ++i) Write("other" + std::to_string(i) + ".json", HistoryText(2));
  BatchOptions options;
  options.registry = &registry;
  options.jobs = 1;
  options.deadlock_limit_ms = 200;
  const BatchResult result = RunBatch({Path("spins.json"), Path("other0.json"), Path("other1.json"), Path("other2.json"), Path("other3.json")}, options);
  EXPECT_TRUE(result.abandoned_threads);
  ASSERT_EQ(result.reports.size(), 5u);
  EXPECT_EQ(result.reports[0].verdict, Verdict::kDiverged);
  ASSERT_EQ(result.reports[0].divergences.size(), 1u);
  EXPECT_EQ(result.reports[0].divergences[0].kind, workflow::DivergenceKind::kSpinning);
  EXPECT_THAT(result.reports[0].divergences[0].actual, HasSubstr("200 ms"));
  for (size_t i = 1; i < 5; ++i) EXPECT_EQ(result.reports[i].path, Path("other" + std::to_string(i - 1) + ".json"));
  spin.stop = true;
  for (int i = 0; i < 2'000 && !spin.left; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(spin.left);
}

TEST_F(BatchTest, HealthyCode_IsNeverAbandoned) {
  AddRecord("record");
  EXPECT_FALSE(Run({Path("record")}).abandoned_threads);
}

}  // namespace
}  // namespace lockstep::replay
