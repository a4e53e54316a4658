#include "replay/record/script.h"

#include <gtest/gtest.h>

namespace lockstep::replay {
namespace {

TEST(RunScript, ReadsConditionsActionsAndSettings) {
  const auto script = ParseRunScript(*ParseJson(R"({
    "worker":{"faults":["crash-after-append=2"]},"policy":{"continueSteps":2},"params":{"a":1},
    "script":[{"when":{"event":"StepCompleted","stepId":"s3","count":2},"do":{"signal":"PAUSE","payload":{"reason":"x"},"times":3}},
              {"when":{"workerExited":true},"do":{"startWorker":true}},{"do":{"wait":5}}]})"));
  ASSERT_TRUE(script.has_value()) << script.error().message;
  ASSERT_EQ(script->steps.size(), 3U);
  EXPECT_EQ(script->steps[0].when.step_id, "s3");
  EXPECT_EQ(script->steps[0].when.count, 2);
  EXPECT_EQ(script->steps[0].action, ScriptAction::kSignal);
  EXPECT_EQ(script->steps[0].times, 3);
  EXPECT_TRUE(script->steps[1].when.worker_exited);
  EXPECT_EQ(script->steps[1].action, ScriptAction::kStartWorker);
  EXPECT_EQ(script->steps[2].wait_ms, 5);
  EXPECT_EQ(script->worker_faults, std::vector<std::string>{"crash-after-append=2"});
}

TEST(RunScript, BareListIsTheScript) {
  const auto script = ParseRunScript(*ParseJson(R"([{"do":{"cancelNative":true}}])"));
  ASSERT_TRUE(script.has_value());
  EXPECT_EQ(script->steps[0].action, ScriptAction::kCancelNative);
}

TEST(RunScript, BadInput_NamesThePlace) {
  const std::pair<const char*, const char*> cases[] = {
      {R"(3)", "$: expected"},
      {R"([{"do":{}}])", "/0/do: expected signal"},
      {R"([{"when":{},"do":{"wait":1}}])", "/0/when: expected event"},
      {R"([{"do":{"wait":-1}}])", "/0/do/wait"},
      {R"([{"do":{"signal":"PAUSE","times":0}}])", "/0/do/times"},
      {R"([{"do":{"sginal":"PAUSE"}}])", "/0/do/sginal: expected one of"},
      {R"({"script":[{"when":{"event":"X","count":0},"do":{"wait":1}}]})", "/script/0/when/count"},
      {R"({"policy":[]})", "/policy: expected an object"},
      {R"({"worker":{"faults":3}})", "/worker/faults"},
      {R"({"worker":{"sleepy":true}})", "/worker/sleepy: expected one of"},
      {R"([{}])", "/0/do: expected an action, found nothing"},
  };
  for (const auto& [text, part] : cases) {
    const auto script = ParseRunScript(*ParseJson(text));
    ASSERT_FALSE(script.has_value()) << text;
    EXPECT_EQ(script.error().code, "SCRIPT_INVALID");
    EXPECT_NE(script.error().message.find(part), std::string::npos) << script.error().message;
  }
}

}  // namespace
}  // namespace lockstep::replay
