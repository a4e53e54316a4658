// The page's data: what the browser gets.
#include "replay/trace/timeline_page.h"

#include <rapidcheck/gtest.h>

#include "engine-core/state/snapshot.h"
#include "replay/session/session_testing.h"
#include "replay/trace/page_text.h"

namespace lockstep::replay {
namespace {

using namespace testing;  // NOLINT: this file is about its helpers' run
using interpreter::testing::ChainPlan;
using interpreter::testing::CheckedRun;
using ::testing::HasSubstr;
using ::testing::Not;

ReplayInput InputOf(const CheckedRun& run) {
  ReplayInput input;
  input.path = "a </script> & \"path\"";
  for (size_t i = 0; i < run.executions(); ++i)
    input.histories.push_back(history::ParseHistory(history::WriteJson(run.history(i)), "run").value());
  input.record = RecordOf(run);
  return input;
}

TEST(TimelinePage, SnapshotsOfAllTasks_ComeBackFromTheirChanges) {
  CheckedRun run(ChainPlan(4), {});
  run.RunToEnd();
  const auto registry = InterpreterRegistry();
  const Json data = TimelineRun(InputOf(run), 0, &registry, 1'000);
  Json snapshot = Json::MakeObject();
  ASSERT_NE(data.Find("patches"), nullptr);
  for (const Json& patch : data.Find("patches")->AsArray()) {
    if (!patch.is_int()) MergePatch(&snapshot, patch);
  }
  EXPECT_EQ(CanonicalJson(snapshot), CanonicalJson(state::SnapshotJson(run.Snapshot())));
  EXPECT_EQ(data.Find("patches")->AsArray().size(), data.Find("tasks")->AsArray().size());
  EXPECT_EQ(data.Find("awaits")->AsArray().size(), data.Find("tasks")->AsArray().size());
  EXPECT_EQ(data.Find("events")->AsArray().size(), static_cast<size_t>(run.history(0).events_size()));
}

TEST(TimelinePage, ItemsOpenAndClose_InTheLaneOfTheirStep) {
  CheckedRun run(ChainPlan(2), {});
  run.RunToEnd();
  const auto registry = InterpreterRegistry();
  const Json data = TimelineRun(InputOf(run), 0, &registry, 1'000);
  size_t steps = 0;
  for (const Json& item : data.Find("items")->AsArray()) {
    EXPECT_GT(item.At("/5")->AsInt(), item.At("/3")->AsInt()) << "closed after it was opened";
    const std::string lane = data.Find("lanes")->AsArray()[static_cast<size_t>(item.At("/6")->AsInt())].AsString();
    if (lane.starts_with("step ")) ++steps;
  }
  EXPECT_EQ(steps, 2u);
  EXPECT_FALSE(data.Find("lines")->AsArray().empty());
}

TEST(TimelinePage, CodeIsRunOnlyAsFarAsAsked) {
  CheckedRun run(ChainPlan(3), {});
  run.RunToEnd();
  const auto registry = InterpreterRegistry();
  EXPECT_EQ(TimelineRun(InputOf(run), 0, &registry, 2).Find("awaits")->AsArray().size(), 2u);
  EXPECT_EQ(TimelineRun(InputOf(run), 0, &registry, 0).Find("awaits"), nullptr);
  EXPECT_EQ(TimelineRun(InputOf(run), 0, nullptr, 5).Find("awaits"), nullptr);
}

TEST(TimelinePage, NothingInTheDataEndsTheScript_AndNothingIsLoaded) {
  CheckedRun run(ChainPlan(1), {});
  run.RunToEnd();
  const auto registry = InterpreterRegistry();
  const std::string page = TimelinePage({TimelineRun(InputOf(run), 0, &registry, 100)}, Json());
  size_t ends = 0;
  for (size_t at = page.find("</script>"); at != std::string::npos; at = page.find("</script>", at + 1)) ++ends;
  EXPECT_EQ(ends, 2u);
  for (const char* mark :
       {"%TITLE%", "%STYLE%", "%SCRIPT%", "%DATA%", "http://", "https://", "src=", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(mark)));
  EXPECT_THAT(page, HasSubstr("a &lt;/script&gt; &amp; &quot;path&quot;"));
}

TEST(TimelinePage, EmptyOfCode_StillHasEvents) {
  EXPECT_FALSE(kPageHtml.empty());
  const auto loaded = history::ParseHistory(
      R"({"events":[{"eventId":"1","eventTime":"2024-01-01T00:00:00Z","eventType":"WorkflowExecutionStarted",
      "workflowExecutionStartedEventAttributes":{"workflowType":{"name":"other"}}}]})",
      "x");
  ReplayInput input;
  input.path = "x";
  input.histories.push_back(*loaded);
  const auto registry = InterpreterRegistry();
  const Json data = TimelineRun(input, 0, &registry, 100);
  EXPECT_EQ(data.Find("events")->AsArray().size(), 1u);
  EXPECT_EQ(data.GetString("workflowType"), "other");
}

RC_GTEST_PROP(MergePatchBetween, TurnsTheOneIntoTheOther, ()) {
  // Objects of objects of numbers; null members do not occur in snapshots and cannot be told by a merge patch.
  const auto make = [] {
    Json json = Json::MakeObject();
    for (int i = *rc::gen::inRange(0, 5); i > 0; --i) {
      Json inner = Json::MakeObject();
      for (int j = *rc::gen::inRange(0, 4); j > 0; --j)
        inner.Set(std::string(1, static_cast<char>('a' + *rc::gen::inRange(0, 4))), *rc::gen::inRange(0, 3));
      json.Set(std::string(1, static_cast<char>('a' + *rc::gen::inRange(0, 5))),
               *rc::gen::inRange(0, 3) == 0 ? Json(*rc::gen::inRange(0, 9)) : inner);
    }
    return json;
  };
  Json before = make();
  const Json after = make();
  const Json patch = MergePatchBetween(before, after);
  if (!patch.is_int()) MergePatch(&before, patch);
  RC_ASSERT(before == after);
}

}  // namespace
}  // namespace lockstep::replay
