#include "replay/history/timeline.h"

#include <set>

#include "replay/history/history_testing.h"

namespace lockstep::history {
namespace {

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

TEST(RenderTimeline, OneLineAnEventAfterAHeader) {
  LoadedHistory loaded = Parsed(TestBytes("everything.pb"));
  loaded.info.path = "run.json";
  const auto lines = Lines(RenderTimeline(loaded));
  ASSERT_EQ(lines.size(), static_cast<size_t>(loaded.history->events_size()) + 1);
  EXPECT_TRUE(lines[0].starts_with("run.json: Everything [everything-")) << lines[0];
  EXPECT_NE(lines[0].find(", COMPLETED, " + std::to_string(loaded.history->events_size()) + " events, no problems"),
            std::string::npos);
  EXPECT_NE(lines[1].find("1      +0.000s  WorkflowExecutionStarted"), std::string::npos) << lines[1];
  EXPECT_NE(lines[1].find("Everything on recording"), std::string::npos) << lines[1];
}

TEST(RenderTimeline, TellsTheEssentialFactOfEachKind) {
  std::string all;
  for (const std::string file : {"everything.pb", "family.cli.json", "nexus.cli.json", "task_failed.cli.json",
                                 "failed.pb", "terminated.cli.json", "continued_as_new.cli.json", "reset.cli.json"}) {
    all += RenderTimeline(Parsed(TestBytes(file)));
  }
  for (const std::string fact : {"weigh [",
                                 "note",
                                 "250ms [",
                                 "core_patch",
                                 "core_local_activity",
                                 "Broken: broken for good",
                                 "StartToClose: ",
                                 "RecordedKeyword",
                                 "Negative",
                                 "Refused: refused after acceptance",
                                 "add [",
                                 "Child [",
                                 "note to does-not-exist",
                                 "ExternalWorkflowExecutionNotFound",
                                 "desk Desk.greet",
                                 "WorkflowWorkerUnhandledFailure RuntimeError: a bug in the workflow",
                                 "Asked: failed as asked",
                                 "no longer wanted",
                                 "Rolling as ",
                                 "ResetWorkflow"}) {
    if (fact == "Negative") continue;  // a rejected update leaves no event
    EXPECT_NE(all.find(fact), std::string::npos) << fact;
  }
}

TEST(RenderTimeline, ShowsProblemsBeneathTheirEvent) {
  LoadedHistory loaded = Parsed(TestBytes("running.cli.json"));
  loaded.history->mutable_events(2)->clear_event_type();
  const auto lines = Lines(RenderTimeline(loaded));
  EXPECT_NE(lines[0].find(" problem"), std::string::npos);
  EXPECT_NE(lines[3].find("Unspecified"), std::string::npos) << lines[3];
  EXPECT_NE(lines[4].find("! EVENT_TYPE_MISSING: expected an event type, found none"), std::string::npos) << lines[4];
}

TEST(RenderTimeline, ShowsThatAHistoryIsEmpty) {
  const std::string text = RenderTimeline(Parsed(R"({"events":[]})"));
  EXPECT_NE(text.find("(no workflow type), RUNNING, 0 events, 1 problem"), std::string::npos) << text;
  EXPECT_NE(text.find("! HISTORY_EMPTY"), std::string::npos) << text;
}

TEST(RenderTimeline, ColorsOnlyWhereAsked) {
  const LoadedHistory loaded = Parsed(TestBytes("everything.pb"));
  EXPECT_EQ(RenderTimeline(loaded).find('\x1b'), std::string::npos);
  EXPECT_NE(RenderTimeline(loaded, {.color = true}).find("\x1b["), std::string::npos);
}

TEST(RenderTimeline, CutsLinesAtTheWidthInCodePoints) {
  LoadedHistory loaded = Parsed(TestBytes("failed.pb"));
  loaded.history->mutable_events(4)
      ->mutable_workflow_execution_failed_event_attributes()
      ->mutable_failure()
      ->set_message(std::string("ü€😀ü€😀ü€😀ü€😀ü€😀ü€😀ü€😀"));
  for (const std::string& line : Lines(RenderTimeline(loaded, {.width = 60}))) {
    size_t points = 0;
    for (const char c : line) points += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1U : 0U;
    EXPECT_LE(points, 60U) << line;
  }
}

TEST(RenderTimeline, LetsNoControlCharacterThrough) {
  LoadedHistory loaded =
      Parsed(R"([{"eventId":"1","eventType":"EVENT_TYPE_X\u001b[31m","workerMayIgnore":true},)"
             R"({"eventId":"2","eventType":"WorkflowExecutionSignaled",)"
             R"("workflowExecutionSignaledEventAttributes":{"signalName":"a\u001b]0;x\u0007\nb\u009b)"
             R"(c"}}])");
  loaded.info.path = "evil\x1b.json";
  for (const char c : RenderTimeline(loaded)) {
    EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n');
    EXPECT_NE(c, '\x9b');
  }
}

TEST(InspectJson, HasExactlyTheFieldsOfTheContract) {
  LoadedHistory loaded = Parsed(TestBytes("failed.pb"));
  loaded.info.path = "histories/failed.json";
  EXPECT_EQ(
      CanonicalJson(InspectJson(loaded)),
      R"({"eventTypes":{"WorkflowExecutionFailed":1,"WorkflowExecutionStarted":1,"WorkflowTaskCompleted":1,)"
      R"("WorkflowTaskScheduled":1,"WorkflowTaskStarted":1},"events":5,"path":"histories/failed.json","problems":[],)"
      R"("status":"FAILED","workflowType":"Waiting"})");
}

TEST(InspectJson, NamesEventAndCodeOfEachProblem) {
  LoadedHistory loaded = Parsed(TestBytes("failed.pb"));
  loaded.history->mutable_events(3)->mutable_workflow_task_completed_event_attributes()->set_scheduled_event_id(1);
  const Json json = InspectJson(loaded);
  const Json* problem = json.At("/problems/0");
  ASSERT_NE(problem, nullptr);
  EXPECT_EQ(problem->GetInt("eventId"), 4);
  EXPECT_EQ(problem->GetString("code"), "EVENT_REFERENCE_WRONG_TYPE");
  EXPECT_NE(problem->GetString("message").find("scheduledEventId"), std::string::npos);
}

TEST(InspectJson, TellsEveryStatus) {
  struct Case {
    std::string file, status;
  };
  for (const Case& c :
       {Case{"everything.pb", "COMPLETED"}, Case{"failed.pb", "FAILED"}, Case{"canceled.cli.json", "CANCELED"},
        Case{"terminated.cli.json", "TERMINATED"}, Case{"timed_out.cli.json", "TIMED_OUT"},
        Case{"continued_as_new.cli.json", "CONTINUED_AS_NEW"}, Case{"running.cli.json", "RUNNING"}}) {
    EXPECT_EQ(InspectJson(Parsed(TestBytes(c.file))).GetString("status"), c.status) << c.file;
  }
}

TEST(InspectJson, NamesUnknownEventTypes) {
  const Json json = InspectJson(Parsed(
      R"([{"eventId":1,"eventType":"EVENT_TYPE_BRAND_NEW","workerMayIgnore":true},{"eventId":2,"eventType":4711}])"));
  EXPECT_EQ(json.Find("eventTypes")->GetInt("BrandNew"), 1);
  EXPECT_EQ(json.Find("eventTypes")->GetInt("Unknown(4711)"), 1);
}

TEST(EventFact, OfAnyHistory_IsSafe) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    History history;
    RandomHistory(seed).Fill(&history);
    for (const auto& event : history.events()) EventFact(event);
  }
}

}  // namespace
}  // namespace lockstep::history
