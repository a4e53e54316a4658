// Custom signals and gates (spec 01 section 9.1).
#include "engine-core/plan/custom_signals.h"

#include <gtest/gtest.h>

#include "engine-core/plan/test_support/plans.h"

namespace lockstep::plan {
namespace {

std::string Of(std::string_view entry) {
  const auto signals = ParseCustomSignals(J("[" + std::string(entry) + "]"));
  if (signals) return "ok";
  EXPECT_EQ(signals.error().code, "CUSTOM_SIGNAL_INVALID");
  return signals.error().issues[0].code + " " + signals.error().issues[0].path;
}
CustomSignal Signal(std::string_view entry) { return ParseCustomSignals(J("[" + std::string(entry) + "]"))->at(0); }

TEST(CustomSignals, Defaults) {
  const CustomSignal signal = Signal(R"({"name":"GO_NOW","payloadSchema":{}})");
  EXPECT_EQ(signal.required_role, Role::kOperator);
  EXPECT_FALSE(signal.destructive);
  EXPECT_TRUE(signal.allowed_running);
  EXPECT_FALSE(signal.allowed_paused);
  EXPECT_EQ(signal.scope, SignalScope::kRun);
  EXPECT_EQ(signal.effect, SignalEffect::kRecord);
  EXPECT_EQ(signal.max_per_run, 100);
}
TEST(CustomSignals, DestructiveForcesAdmin) {
  EXPECT_EQ(Signal(R"({"name":"DROP","payloadSchema":{},"requiredRole":"Operator","destructive":true})").required_role,
            Role::kAdmin);
}
TEST(CustomSignals, AllowedRunStates) {
  const CustomSignal signal = Signal(R"({"name":"GO_NOW","payloadSchema":{},"allowedRunStates":["PAUSED"]})");
  EXPECT_FALSE(signal.allowed_running);
  EXPECT_TRUE(signal.allowed_paused);
}
TEST(CustomSignals, BadDeclarations_CUSTOM_SIGNAL_INVALID) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"payloadSchema":{}})", "required customSignals[0].name"},
      {R"({"name":"GO_NOW"})", "required customSignals[0].payloadSchema"},
      {R"({"name":"go","payloadSchema":{}})", "pattern customSignals[0].name"},
      {R"({"name":"GO","payloadSchema":{}})", "ok"},
      {R"({"name":"PAUSE","payloadSchema":{}})", "reserved_name customSignals[0].name"},
      {R"({"name":"EMERGENCY_STOP","payloadSchema":{}})", "reserved_name customSignals[0].name"},
      {R"({"name":"GOX","payloadSchema":{},"requiredRole":"System"})", "enum customSignals[0].requiredRole"},
      {R"({"name":"GOX","payloadSchema":{},"allowedRunStates":["FAILED"]})",
       "enum customSignals[0].allowedRunStates[0]"},
      {R"({"name":"GOX","payloadSchema":{},"scope":"plan"})", "enum customSignals[0].scope"},
      {R"({"name":"GOX","payloadSchema":{},"effect":"run"})", "enum customSignals[0].effect"},
      {R"({"name":"GOX","payloadSchema":{},"maxPerRun":1001})", "maximum customSignals[0].maxPerRun"},
      {R"({"name":"GOX","payloadSchema":{},"maxPerRun":0})", "minimum customSignals[0].maxPerRun"},
      {R"({"name":"GOX","payloadSchema":{},"color":"red"})", "additionalProperties customSignals[0].color"},
      {R"({"name":"GOX","payloadSchema":{"$ref":"https://a.example/s"}})",
       "schema_invalid customSignals[0].payloadSchema"},
      {R"({"name":"GOX","payloadSchema":{"prefixItems":[{}]}})", "schema_invalid customSignals[0].payloadSchema"},
      {R"({"name":"GOX","payloadSchema":{"type":5}})", "schema_invalid customSignals[0].payloadSchema"}};
  for (const auto& [entry, expected] : cases) {
    if (std::string_view(expected) == "ok") continue;
    EXPECT_EQ(Of(entry), expected) << entry;
  }
  // Two characters are too few: the pattern asks for three.
  EXPECT_EQ(Of(R"({"name":"GO","payloadSchema":{}})"), "pattern customSignals[0].name");
}
TEST(CustomSignals, DuplicateName) {
  EXPECT_EQ(Of(R"({"name":"GOX","payloadSchema":{}},{"name":"GOX","payloadSchema":{}})"),
            "duplicate_name customSignals[1].name");
}
TEST(CustomSignals, PayloadSchema16KiB_IsTheLimit) {
  EXPECT_EQ(Of("{\"name\":\"GOX\",\"payloadSchema\":{\"enum\":[\"" + std::string(16'400, 'x') + "\"]}}"),
            "too_large customSignals[0].payloadSchema");
}
TEST(CustomSignals, PayloadSchemaDepth16_IsTheLimit) {
  const auto nested = [](int levels) {
    std::string schema = "{}";
    for (int i = 1; i < levels; ++i) schema = "{\"items\":" + schema + "}";
    return Of("{\"name\":\"GOX\",\"payloadSchema\":" + schema + "}");
  };
  EXPECT_EQ(nested(16), "ok");
  EXPECT_EQ(nested(17), "too_deep customSignals[0].payloadSchema");
}
TEST(CustomSignals, ThirtyTwo_AreTheLimit) {
  std::string list;
  for (int i = 0; i < 33; ++i)
    list += (i == 0 ? "" : ",") + ("{\"name\":\"SIG_" + std::to_string(i) + "\",\"payloadSchema\":{}}");
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"}])", "\"customSignals\":[" + list + "],")),
            "INVALID_PLAN_SCHEMA maxItems customSignals");
}

TEST(Gates, NeedADeclaredOpenGateSignal) {
  const auto gate = [](std::string_view signals, std::string_view wait) {
    return Outcome(PlanText("[{\"stepId\":\"a\",\"waitForSignal\":" + std::string(wait) + "}]",
                            "\"customSignals\":[" + std::string(signals) + "],"));
  };
  EXPECT_EQ(gate(R"({"name":"GOX","payloadSchema":{},"effect":"open_gate"})", R"({"name":"GOX"})"), "ok");
  EXPECT_EQ(gate("", R"({"name":"GOX"})"), "CUSTOM_SIGNAL_INVALID unknown_signal steps[0].waitForSignal.name");
  EXPECT_EQ(gate(R"({"name":"GOX","payloadSchema":{}})", R"({"name":"GOX"})"),
            "CUSTOM_SIGNAL_INVALID wrong_effect steps[0].waitForSignal.name");
  EXPECT_EQ(
      gate(R"({"name":"GOX","payloadSchema":{},"effect":"open_gate","maxPerRun":1})", R"({"name":"GOX","count":2})"),
      "CUSTOM_SIGNAL_INVALID maximum steps[0].waitForSignal.count");
}
TEST(Gates, WaitForSignalOnANoopStep_IsTheWaitForSignalStep) {
  const Plan plan = MustParse(PlanText(
      R"([{"stepId":"a","kind":"noop","waitForSignal":{"name":"GOX","count":3,"timeoutMs":5,"onTimeout":"skip"}}])",
      R"("customSignals":[{"name":"GOX","payloadSchema":{},"effect":"open_gate"}],)"));
  EXPECT_EQ(plan.steps()[0].wait_for_signal, (WaitForSignal{"GOX", 3, 5, GateTimeout::kSkip}));
}

TEST(CheckSignalPayload, SchemaScopeAndEffect) {
  const CustomSignal plain = Signal(R"({"name":"GOX","payloadSchema":{"type":"object","required":["t"]}})");
  EXPECT_TRUE(CheckSignalPayload(plain, J(R"({"t":1})")).empty());
  EXPECT_EQ(CheckSignalPayload(plain, J("{}"))[0].path, "t");
  const CustomSignal step = Signal(R"({"name":"GOX","payloadSchema":{},"scope":"step"})");
  EXPECT_EQ(CheckSignalPayload(step, J("{}"))[0].path, "stepId");
  EXPECT_TRUE(CheckSignalPayload(step, J(R"({"stepId":"a"})")).empty());
  const CustomSignal params = Signal(R"({"name":"GOX","payloadSchema":{},"effect":"set_params"})");
  EXPECT_EQ(CheckSignalPayload(params, J(R"({"params":[]})"))[0].path, "params");
  EXPECT_TRUE(CheckSignalPayload(params, J(R"({"params":{}})")).empty());
}

}  // namespace
}  // namespace lockstep::plan
