// What is stripped from a history before it is saved, and what stays.
#include "replay/record/redact.h"

#include "engine-core/workflow/payload.h"
#include "replay/history/integrity.h"
#include "replay/history/reader.h"

namespace lockstep::replay {
namespace {

using temporal::api::history::v1::History;

History Sample() {
  History history;
  auto* started = history.add_events();
  started->set_event_id(1);
  started->set_event_type(temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_EXECUTION_STARTED);
  *started->mutable_workflow_execution_started_event_attributes()->mutable_input() =
      workflow::JsonPayloads(Json::MakeObject(
          {{"email", "a@x"},
           {"order",
            Json::MakeObject({{"Email", "b@x"}, {"count", 3}, {"tokens", Json(Json::Array{"t1", true, 7})}})}}));
  auto* signal = history.add_events();
  signal->set_event_id(2);
  signal->set_event_type(temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED);
  signal->mutable_workflow_execution_signaled_event_attributes()->set_signal_name("go");
  *signal->mutable_workflow_execution_signaled_event_attributes()->mutable_input() =
      workflow::JsonPayloads(Json::MakeObject({{"who", "a@x"}, {"n", 5}}));
  auto* raw = signal->mutable_workflow_execution_signaled_event_attributes()->mutable_input()->add_payloads();
  (*raw->mutable_metadata())["encoding"] = "binary/encrypted";
  raw->set_data("secret");
  return history;
}

Json InputOf(const History& history) {
  return *workflow::ReadFirstJson(history.events(0).workflow_execution_started_event_attributes().input());
}
RedactRules Rules(const char* text) { return ParseRedactRules(*ParseJson(text)).value(); }

TEST(Redact, KeysAreReplacedAtAnyDepth_WithoutRegardToCase) {
  History history = Sample();
  EXPECT_EQ(Redact(Rules(R"({"rules":[{"key":"email"},{"key":"tok*"}]})"), &history), 5u);
  const Json input = InputOf(history);
  EXPECT_TRUE(input.GetString("email").starts_with("[redacted]:"));
  EXPECT_TRUE(input.At("/order/Email")->AsString().starts_with("[redacted]:"));
  EXPECT_NE(input.GetString("email"), input.At("/order/Email")->AsString());
  EXPECT_EQ(input.At("/order/count")->AsInt(), 3);
  EXPECT_EQ(input.At("/order/tokens/2")->AsInt(), 0);
  EXPECT_FALSE(input.At("/order/tokens/1")->AsBool());
}

TEST(Redact, WithoutKey_EveryTextOfTheEventGoes_AndForeignPayloads) {
  History history = Sample();
  Redact(Rules(R"([{"event":"WorkflowExecutionSignaled"}])"), &history);
  EXPECT_EQ(InputOf(history).GetString("email"), "a@x");
  const auto& payloads = history.events(1).workflow_execution_signaled_event_attributes().input();
  const Json body = *workflow::ReadJson(payloads.payloads(0));
  EXPECT_TRUE(body.GetString("who").starts_with("[redacted]:"));
  EXPECT_EQ(body.GetInt("n"), 5);
  EXPECT_EQ(payloads.payloads(1).data().find("secret"), std::string::npos);
  EXPECT_EQ(payloads.payloads(1).metadata().at("encoding"), "binary/encrypted");
  EXPECT_EQ(history.events(1).workflow_execution_signaled_event_attributes().signal_name(), "go");
}

TEST(Redact, EqualValues_StayEqual_AndTwiceIsOnce) {
  History history = Sample();
  const RedactRules rules = Rules(R"({"rules":[{}],"replacement":"x"})");
  Redact(rules, &history);
  const std::string first = InputOf(history).GetString("email");
  EXPECT_EQ(workflow::ReadFirstJson(history.events(1).workflow_execution_signaled_event_attributes().input())
                ->GetString("who"),
            first);
}

TEST(Redact, BadRules_NameThePlace) {
  for (const char* text : {"{}", "[]", R"([{"keys":"a"}])", R"([{"key":""}])", R"([{"key":1}])", R"([1])",
                           R"({"rules":[{}],"replacement":1})"}) {
    const auto rules = ParseRedactRules(*ParseJson(text));
    ASSERT_FALSE(rules.has_value()) << text;
    EXPECT_EQ(rules.error().code, "REDACT_RULES_INVALID");
  }
}

}  // namespace
}  // namespace lockstep::replay
