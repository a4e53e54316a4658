// Structure of a plan document: every member, limit and reason of spec 01 sections 5, 7.1 and 10, through the loader.
#include "engine-core/plan/structure.h"

#include <gtest/gtest.h>

#include "engine-core/plan/test_support/plans.h"

namespace lockstep::plan {
namespace {

std::string OfStep(std::string_view members) {
  return Outcome(PlanText("[{\"stepId\":\"a\"," + std::string(members) + "}]"));
}
std::string OfMetadata(std::string_view members) {
  return Outcome(PlanText(R"([{"stepId":"a"}])", "", "," + std::string(members)));
}
std::string OfTop(std::string_view members) { return Outcome(PlanText(R"([{"stepId":"a"}])", members)); }

// --- Parser limits (section 10) ---

TEST(Parser, NoJsonAtAll_INVALID_PLAN_SCHEMA) {
  for (const char* text : {"", "{", "nonsense", "{\"a\":NaN}", "{\"a\":1}x", "{\"a\":01}", "[1,]", "{'a':1}"})
    EXPECT_EQ(Outcome(text), "INVALID_PLAN_SCHEMA json_invalid $") << text;
  EXPECT_EQ(Outcome("[]"), "INVALID_PLAN_SCHEMA type $");
}
TEST(Parser, DuplicateKeys_AreRefused) {
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a","stepId":"b"}])")), "INVALID_PLAN_SCHEMA json_invalid $");
}
TEST(Parser, ByteOrderMark_IsRefused) {
  EXPECT_EQ(Outcome("\xEF\xBB\xBF" + PlanText(R"([{"stepId":"a"}])")), "INVALID_PLAN_SCHEMA json_invalid $");
}
TEST(Parser, TrailingData_IsRefused) {
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"}])") + "{}"), "INVALID_PLAN_SCHEMA json_invalid $");
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"}])") + std::string(1, '\0') + "junk"),
            "INVALID_PLAN_SCHEMA json_invalid $");
}
TEST(Parser, Nesting64_IsTheLimit) {
  const auto nested = [](size_t depth) {
    return OfTop("\"params\":{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "},");
  };
  EXPECT_EQ(nested(62), "ok");
  EXPECT_EQ(nested(63), "INVALID_PLAN_SCHEMA json_invalid $");
}
TEST(Parser, Strings64KiB_AreTheLimit) {
  EXPECT_EQ(OfTop("\"params\":{\"a\":\"" + std::string(65'537, 'x') + "\"},"), "INVALID_PLAN_SCHEMA json_invalid $");
}
TEST(Parser, Integers_StayWithin53Bits) {
  EXPECT_EQ(OfTop("\"params\":{\"a\":9007199254740991},"), "ok");
  EXPECT_EQ(OfTop("\"params\":{\"a\":9007199254740992},"), "INVALID_PLAN_SCHEMA json_invalid $");
  EXPECT_EQ(OfTop("\"params\":{\"a\":-9007199254740992},"), "INVALID_PLAN_SCHEMA json_invalid $");
}
TEST(Parser, PlanAbove8MiB_PLAN_TOO_LARGE) {
  EXPECT_EQ(Outcome(std::string(8 * 1024 * 1024 + 1, ' ')), "PLAN_TOO_LARGE");
}
TEST(Parser, ErrorNamesLineAndColumn) {
  const auto parsed = ParsePlanDocument("{\n  \"a\": tru\n}");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().Detail("line"), "2");
}

// --- Top level (5.1) ---

TEST(TopLevel, UnknownMember_INVALID_PLAN_SCHEMA) {
  EXPECT_EQ(OfTop("\"edges\":[],"), "INVALID_PLAN_SCHEMA field_not_allowed edges");
}
TEST(TopLevel, MissingMembers) {
  EXPECT_EQ(Outcome("{}"), "INVALID_PLAN_SCHEMA required metadata");
  EXPECT_EQ(Outcome(R"({"metadata":{"planId":"p","planVersion":"1","schemaVersion":"v1.2"}})"),
            "INVALID_PLAN_SCHEMA required steps");
}
TEST(TopLevel, NoSteps) { EXPECT_EQ(Outcome(PlanText("[]")), "INVALID_PLAN_SCHEMA minItems steps"); }
TEST(TopLevel, TenThousandSteps_AreTheLimit) {
  const auto plan = [](int count) {
    std::string steps = "[";
    for (int i = 0; i < count; ++i) steps += (i == 0 ? "" : ",") + ("{\"stepId\":\"s" + std::to_string(i) + "\"}");
    return Outcome(PlanText(steps + "]"));
  };
  EXPECT_EQ(plan(10'000), "ok");
  EXPECT_EQ(plan(10'001), "INVALID_PLAN_SCHEMA maxItems steps");
}
TEST(TopLevel, Params64KiB_AreTheLimit) {
  const std::string half(33'000, 'x');
  EXPECT_EQ(OfTop("\"params\":{\"a\":\"" + half + "\"},"), "ok");
  EXPECT_EQ(OfTop("\"params\":{\"a\":\"" + half + "\",\"b\":\"" + half + "\"},"),
            "INVALID_PLAN_SCHEMA too_large params");
}
TEST(TopLevel, MembersOfLaterVersions_AreUnknown) {
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"}])", "\"params\":{},", "", "v1.0")),
            "INVALID_PLAN_SCHEMA field_not_allowed params");
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"}])", "\"defaults\":{},", "", "v1.0")),
            "INVALID_PLAN_SCHEMA field_not_allowed defaults");
  for (const char* member : {"customSignals", "pluginPolicies", "costHints"}) {
    EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"}])", "\"" + std::string(member) + "\":{},", "", "v1.1")),
              "INVALID_PLAN_SCHEMA field_not_allowed " + std::string(member));
  }
}

// --- Metadata (5.2) ---

TEST(Metadata, GoodValues) {
  for (const char* members :
       {R"("targetAdapter":"conductor")", R"("fallbackBehavior":"degrade")",
        R"("requiresCapabilities":["basic-execution",{"id":"replay.full","minVersion":"v1.0","optional":true}])",
        R"("pluginTrustTier":"partner")", R"("onStepFailure":"hold","holdTimeoutMs":1000)", R"("maxParallelism":256)",
        R"("runTimeoutMs":2592000000)", R"("requiresApproval":true)", R"("description":"d","labels":{"a":"b"})"}) {
    EXPECT_EQ(OfMetadata(members), "ok") << members;
  }
}
TEST(Metadata, BadValues) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("owner":"x")", "field_not_allowed metadata.owner"},
      {R"("targetAdapter":"airflow")", "enum metadata.targetAdapter"},
      {R"("fallbackBehavior":"ignore")", "enum metadata.fallbackBehavior"},
      {R"("requiresCapabilities":["a","a"])", "uniqueItems metadata.requiresCapabilities"},
      {R"("requiresCapabilities":[{"minVersion":"v1.0"}])", "required metadata.requiresCapabilities[0].id"},
      {R"("requiresCapabilities":[5])", "type metadata.requiresCapabilities[0]"},
      {R"("pluginTrustTier":"gold")", "enum metadata.pluginTrustTier"},
      {R"("onStepFailure":"stop")", "enum metadata.onStepFailure"},
      {R"("maxParallelism":0)", "minimum metadata.maxParallelism"},
      {R"("maxParallelism":257)", "maximum metadata.maxParallelism"},
      {R"("maxParallelism":1.5)", "type metadata.maxParallelism"},
      {R"("holdTimeoutMs":5000)", "field_not_allowed metadata.holdTimeoutMs"},
      {R"("onStepFailure":"hold","holdTimeoutMs":999)", "minimum metadata.holdTimeoutMs"},
      {R"("runTimeoutMs":2592000001)", "maximum metadata.runTimeoutMs"},
      {R"("requiresApproval":"yes")", "type metadata.requiresApproval"},
      {R"("labels":{"a":1})", "type metadata.labels.a"}};
  for (const auto& [members, expected] : cases)
    EXPECT_EQ(OfMetadata(members), "INVALID_PLAN_SCHEMA " + std::string(expected)) << members;
  EXPECT_EQ(OfMetadata("\"description\":\"" + std::string(1'025, 'x') + "\""),
            "INVALID_PLAN_SCHEMA maxLength metadata.description");
}
TEST(Metadata, SixtyFourCapabilities_AreTheLimit) {
  std::string list;
  for (int i = 0; i < 65; ++i) list += (i == 0 ? "" : ",") + ("\"c" + std::to_string(i) + "\"");
  EXPECT_EQ(OfMetadata("\"requiresCapabilities\":[" + list + "]"),
            "INVALID_PLAN_SCHEMA maxItems metadata.requiresCapabilities");
}
TEST(Metadata, SchemaVersion_IsOptionalInV10Only) {
  EXPECT_EQ(Outcome(R"({"metadata":{"planId":"p","planVersion":"1"},"steps":[{"stepId":"a"}]})"), "ok");
  const std::string text = R"({"metadata":{"planId":"p","planVersion":"1"},"steps":[{"stepId":"a"}]})";
  const auto verified = Verify(RefFor(text, "v1.1"), text, Context());
  ASSERT_FALSE(verified.has_value());
  EXPECT_EQ(verified.error().issues[0].path, "metadata.schemaVersion");
}
TEST(Metadata, V10KnowsNoV11Members) {
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"}])", "", ",\"maxParallelism\":2", "v1.0")),
            "INVALID_PLAN_SCHEMA field_not_allowed metadata.maxParallelism");
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"}])", "", ",\"requiresCapabilities\":[{\"id\":\"a\"}]", "v1.0")),
            "INVALID_PLAN_SCHEMA type metadata.requiresCapabilities[0]");
}

// --- Steps (5.3 to 5.7) ---

TEST(Steps, StepIdPattern) {
  for (const char* id : {"a", "_x", "A.b:c/d-e", "0"})
    EXPECT_EQ(Outcome(PlanText("[{\"stepId\":\"" + std::string(id) + "\"}]")), "ok") << id;
  for (const std::string& id :
       {std::string(""), std::string("-a"), std::string("a b"), std::string("a|b"), std::string(129, 'a')}) {
    EXPECT_EQ(Outcome(PlanText("[{\"stepId\":\"" + id + "\"}]")), "INVALID_PLAN_SCHEMA pattern steps[0].stepId") << id;
  }
  EXPECT_EQ(Outcome(PlanText("[{}]")), "INVALID_PLAN_SCHEMA required steps[0].stepId");
}
TEST(Steps, stepId_RUN_IsReserved) {
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"RUN"}])")), "INVALID_PLAN_SCHEMA reserved_step_id steps[0].stepId");
}
TEST(Steps, duplicate_step_id) {
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"},{"stepId":"a"}])")),
            "INVALID_PLAN_SCHEMA duplicate_step_id steps[1].stepId");
}
TEST(Steps, kind_unknown) {
  EXPECT_EQ(OfStep(R"("kind":"spark.run")"), "INVALID_STEP_SCHEMA kind_unknown steps[0].kind");
  EXPECT_EQ(OfStep(R"("kind":"Bad Kind")"), "INVALID_STEP_SCHEMA kind_unknown steps[0].kind");
  EXPECT_EQ(ParsePlanDocument(PlanText(R"([{"stepId":"a","kind":"fail","params":{"mode":"transient"}}])"), false)
                .error()
                .issues[0]
                .code,
            "kind_unknown");
}
TEST(Steps, dependsOn_must_be_array) {
  EXPECT_EQ(OfStep(R"("dependsOn":"b")"), "INVALID_STEP_SCHEMA dependsOn_must_be_array steps[0].dependsOn");
}
TEST(Steps, dependsOn_values_must_be_string) {
  EXPECT_EQ(OfStep(R"("dependsOn":[1])"), "INVALID_STEP_SCHEMA dependsOn_values_must_be_string steps[0].dependsOn[0]");
}
TEST(Steps, dependsOn_EdgeObjectsAreNotAccepted) {
  EXPECT_EQ(OfStep(R"("dependsOn":[{"from":"b","kind":"tests"}])"),
            "INVALID_STEP_SCHEMA dependsOn_values_must_be_string steps[0].dependsOn[0]");
}
TEST(Steps, ThousandDependencies_AreTheLimit) {
  std::string list;
  for (int i = 0; i < 1'001; ++i) list += (i == 0 ? "\"b\"" : ",\"b\"");
  EXPECT_EQ(Outcome(PlanText("[{\"stepId\":\"b\"},{\"stepId\":\"a\",\"dependsOn\":[" + list + "]}]")),
            "INVALID_PLAN_SCHEMA too_many_edges steps[1].dependsOn");
  EXPECT_EQ(Outcome(PlanText("[{\"stepId\":\"b\"},{\"stepId\":\"a\",\"dependsOn\":[" + list.substr(4) + "]}]")), "ok");
}
TEST(Steps, param_invalid) {
  EXPECT_EQ(OfStep(R"("kind":"sleep","params":{"durationMs":"x"})"),
            "INVALID_STEP_SCHEMA param_invalid steps[0].params.durationMs");
}
TEST(Steps, field_not_allowed_InParams) {
  EXPECT_EQ(OfStep(R"("kind":"noop","params":{"x":1})"), "INVALID_STEP_SCHEMA field_not_allowed steps[0].params.x");
}
TEST(Steps, field_not_allowed_ForUnknownKeyThatTheKindRefuses) {
  EXPECT_EQ(OfStep(R"("kind":"noop","x":1)"), "INVALID_STEP_SCHEMA field_not_allowed steps[0].x");
}
TEST(Steps, ExtraKeys_BecomeParameters) {
  const Plan plan = MustParse(PlanText(R"([{"stepId":"a","kind":"echo","message":"hi"}])"));
  EXPECT_EQ(plan.steps()[0].params, J(R"({"message":"hi"})"));
  EXPECT_EQ(OfStep(R"("kind":"sleep","durationMs":"x")"), "INVALID_STEP_SCHEMA param_invalid steps[0].durationMs");
}
TEST(Steps, field_not_allowed_WhenParamsHaveTheKeyAlready) {
  EXPECT_EQ(OfStep(R"("kind":"echo","message":"hi","params":{"message":"ho"})"),
            "INVALID_STEP_SCHEMA field_not_allowed steps[0].message");
}
TEST(Steps, DependsOnInAV10Plan_FailsLoudly) {
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"},{"stepId":"b","dependsOn":["a"]}])", "", "", "v1.0")),
            "INVALID_STEP_SCHEMA field_not_allowed steps[1].dependsOn");
}
TEST(Steps, Params64KiB_AreTheLimit) {
  const std::string half(33'000, 'x');
  EXPECT_EQ(OfStep("\"kind\":\"plugin\",\"plugin\":{\"pluginId\":\"p\",\"version\":\"1\"},\"params\":{\"a\":\"" + half +
                   "\",\"b\":\"" + half + "\"}"),
            "INVALID_PLAN_SCHEMA too_large steps[0].params");
  EXPECT_EQ(OfStep("\"kind\":\"plugin\",\"plugin\":{\"pluginId\":\"p\",\"version\":\"1\"},\"a\":\"" + half +
                   "\",\"b\":\"" + half + "\""),
            "INVALID_STEP_SCHEMA param_invalid steps[0].params");
}
TEST(Steps, GoodMembers) {
  for (
      const char* members :
      {R"("description":"d")", R"("target":{"database":"a","schema":"b","warehouse":"c","role":"d","connection":"e"})",
       R"("logicalRetries":10)", R"("workerClass":"isolation")",
       R"("secretRefs":[{"name":"a","secretId":"s","key":"k"},{"name":"b","secretId":"s","key":"k","version":"3"}])",
       R"("timeouts":{"attemptMs":1,"totalMs":2,"heartbeatMs":3,"queueMs":4})",
       R"("retryPolicy":{"initialIntervalMs":3600000,"maxIntervalMs":3600000,"backoffCoefficient":1.25,)"
       R"("maxAttempts":20,"nonRetryableCodes":[]})",
       R"("costHint":{"estimate":"1.5","computeUnits":"3.5",)"
       R"("dataBytes":1,"artifactBytes":2,"estimatedDurationMs":3})"}) {
    EXPECT_EQ(OfStep(members), "ok") << members;
  }
}
TEST(Steps, BadMembers) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("target":{"table":"x"})", "INVALID_STEP_SCHEMA field_not_allowed steps[0].target.table"},
      {R"("target":{"schema":1})", "INVALID_PLAN_SCHEMA type steps[0].target.schema"},
      {R"("logicalRetries":11)", "INVALID_PLAN_SCHEMA maximum steps[0].logicalRetries"},
      {R"("workerClass":"gpu")", "INVALID_PLAN_SCHEMA enum steps[0].workerClass"},
      {R"("secretRefs":[{"name":"1a","secretId":"s","key":"k"}])",
       "INVALID_PLAN_SCHEMA pattern steps[0].secretRefs[0].name"},
      {R"("secretRefs":[{"name":"a","secretId":"s"}])", "INVALID_PLAN_SCHEMA required steps[0].secretRefs[0].key"},
      {R"("secretRefs":[{"name":"a","secretId":"s","key":"k","value":"x"}])",
       "INVALID_STEP_SCHEMA field_not_allowed steps[0].secretRefs[0].value"},
      {R"("secretRefs":[{"name":"a","secretId":"s","key":"k"},{"name":"a","secretId":"t","key":"k"}])",
       "INVALID_PLAN_SCHEMA duplicate_name steps[0].secretRefs[1].name"},
      {R"("timeouts":{"attemptMs":0})", "INVALID_PLAN_SCHEMA minimum steps[0].timeouts.attemptMs"},
      {R"("timeouts":{"idleMs":1})", "INVALID_STEP_SCHEMA field_not_allowed steps[0].timeouts.idleMs"},
      {R"("retryPolicy":{"maxAttempts":21})", "INVALID_PLAN_SCHEMA maximum steps[0].retryPolicy.maxAttempts"},
      {R"("retryPolicy":{"maxAttempts":0})", "INVALID_PLAN_SCHEMA minimum steps[0].retryPolicy.maxAttempts"},
      {R"("retryPolicy":{"initialIntervalMs":3600001})",
       "INVALID_PLAN_SCHEMA maximum steps[0].retryPolicy.initialIntervalMs"},
      {R"("retryPolicy":{"initialIntervalMs":70000})",
       "INVALID_PLAN_SCHEMA minimum steps[0].retryPolicy.maxIntervalMs"},
      {R"("retryPolicy":{"backoffCoefficient":0.5})",
       "INVALID_PLAN_SCHEMA minimum steps[0].retryPolicy.backoffCoefficient"},
      {R"("retryPolicy":{"backoffCoefficient":10.1})",
       "INVALID_PLAN_SCHEMA maximum steps[0].retryPolicy.backoffCoefficient"},
      {R"("retryPolicy":{"backoffCoefficient":1.005})",
       "INVALID_PLAN_SCHEMA multipleOf steps[0].retryPolicy.backoffCoefficient"},
      {R"("runIf":[{"step":"a","path":"/x","op":"like","value":1}])", "INVALID_PLAN_SCHEMA enum steps[0].runIf[0].op"},
      {R"("runIf":[{"step":"a","path":"x","op":"exists"}])", "INVALID_PLAN_SCHEMA pattern steps[0].runIf[0].path"},
      {R"("runIf":[{"step":"a","path":"/~2","op":"exists"}])", "INVALID_PLAN_SCHEMA pattern steps[0].runIf[0].path"},
      {R"("runIf":[{"step":"a","path":"/x","op":"eq"}])", "INVALID_PLAN_SCHEMA required steps[0].runIf[0].value"},
      {R"("runIf":[{"step":"a","path":"/x","op":"eq","value":[1]}])",
       "INVALID_PLAN_SCHEMA type steps[0].runIf[0].value"},
      {R"("plugin":{"pluginId":"p","version":"1"})", "INVALID_STEP_SCHEMA field_not_allowed steps[0].plugin"},
      {R"("kind":"plugin")", "INVALID_STEP_SCHEMA param_invalid steps[0].plugin"},
      {R"("kind":"plugin","plugin":{"pluginId":"p"})", "INVALID_PLAN_SCHEMA required steps[0].plugin.version"},
      {R"("kind":"plugin","plugin":{"pluginId":"p","version":"1","digest":"xyz"})",
       "INVALID_PLAN_SCHEMA pattern steps[0].plugin.digest"},
      {R"("waitForSignal":{"name":"GOX","count":101})", "INVALID_PLAN_SCHEMA maximum steps[0].waitForSignal.count"},
      {R"("waitForSignal":{"name":"GOX","onTimeout":"retry"})",
       "INVALID_PLAN_SCHEMA enum steps[0].waitForSignal.onTimeout"},
      {R"("costHint":{"estimate":1.5})", "INVALID_PLAN_SCHEMA type steps[0].costHint.estimate"},
      {R"("costHint":{"estimate":"1.1234567"})", "INVALID_PLAN_SCHEMA pattern steps[0].costHint.estimate"}};
  for (const auto& [members, expected] : cases) EXPECT_EQ(OfStep(members), expected) << members;
}
TEST(Steps, ListLimits) {
  std::string secrets, predicates;
  for (int i = 0; i < 33; ++i)
    secrets += (i == 0 ? "" : ",") + ("{\"name\":\"n" + std::to_string(i) + "\",\"secretId\":\"s\",\"key\":\"k\"}");
  for (int i = 0; i < 9; ++i)
    predicates += std::string(i == 0 ? "" : ",") + R"({"step":"a","path":"/x","op":"exists"})";
  EXPECT_EQ(OfStep("\"secretRefs\":[" + secrets + "]"), "INVALID_PLAN_SCHEMA maxItems steps[0].secretRefs");
  EXPECT_EQ(OfStep("\"runIf\":[" + predicates + "]"), "INVALID_PLAN_SCHEMA maxItems steps[0].runIf");
}
TEST(Steps, ReferencesAndPredicates_NeedAnAncestor) {
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a"},{"stepId":"b","kind":"echo","message":"${steps['a'].result.x}"}])")),
            "ok");
  EXPECT_EQ(Outcome(PlanText(R"([{"stepId":"a","kind":"echo","message":"${steps['b'].result.x}"},{"stepId":"b"}])")),
            "INVALID_STEP_SCHEMA param_invalid steps[0].message");
  EXPECT_EQ(
      Outcome(PlanText(R"([{"stepId":"a"},{"stepId":"b","kind":"echo","message":"${steps['ghost'].result.x}"}])")),
      "INVALID_STEP_SCHEMA param_invalid steps[1].message");
  EXPECT_EQ(Outcome(PlanText(
                R"([{"stepId":"a","dependsOn":[]},{"stepId":"b","dependsOn":[],"runIf":[{"step":"a","path":"/x",)"
                R"("op":"exists"}]}])")),
            "INVALID_STEP_SCHEMA param_invalid steps[1].runIf[0].step");
  EXPECT_EQ(OfStep(R"("runIf":[{"step":"a","path":"/x","op":"exists"}])"),
            "INVALID_STEP_SCHEMA param_invalid steps[0].runIf[0].step");
  EXPECT_EQ(OfStep(R"("kind":"echo","message":"${env.HOME}")"), "INVALID_STEP_SCHEMA param_invalid steps[0].message");
  EXPECT_EQ(OfStep(R"("kind":"echo","message":"${signals['GOX'][0]}")"),
            "INVALID_STEP_SCHEMA param_invalid steps[0].message");
}
TEST(Steps, AncestorsAreTransitive) {
  EXPECT_EQ(
      Outcome(PlanText(R"([{"stepId":"a","dependsOn":[]},{"stepId":"b","dependsOn":["a"]},{"stepId":"c","kind":"echo",)"
                       R"("dependsOn":["b"],"message":"${steps['a'].result.x}"}])")),
      "ok");
}

// --- Plan-wide members of v1.2 ---

TEST(CostHints, Shapes) {
  EXPECT_EQ(OfTop(R"("costHints":{"currency":"EUR","budget":"12.50","estimate":"0","labels":{"a":"b"}},)"), "ok");
  EXPECT_EQ(OfTop(R"("costHints":{"budget":12.5},)"), "INVALID_PLAN_SCHEMA type costHints.budget");
  EXPECT_EQ(OfTop(R"("costHints":{"currency":"euro"},)"), "INVALID_PLAN_SCHEMA pattern costHints.currency");
  EXPECT_EQ(OfTop(R"("costHints":{"budget":"-1"},)"), "INVALID_PLAN_SCHEMA pattern costHints.budget");
}
TEST(PluginPolicies, Shapes) {
  EXPECT_EQ(OfTop(R"("pluginPolicies":{"byPlugin":{"acme/x":{"trustTier":"partner","network":{"mode":"allowlist",)"
                  R"("allowlist":["h:1"]},"allowedVersions":["1"],"requireDigest":true}}},)"),
            "ok");
  EXPECT_EQ(OfTop(R"("pluginPolicies":{"default":{"network":{"mode":"all"}}},)"),
            "INVALID_PLAN_SCHEMA enum pluginPolicies.default.network.mode");
  EXPECT_EQ(OfTop(R"("pluginPolicies":{"default":{"network":{"mode":"allowlist","allowlist":["h:99999"]}}},)"),
            "INVALID_PLAN_SCHEMA pattern pluginPolicies.default.network.allowlist[0]");
  EXPECT_EQ(OfTop(R"("pluginPolicies":{"byPlugin":{"acme/x":{"limits":{"timeoutMs":0}}}},)"),
            "INVALID_PLAN_SCHEMA minimum pluginPolicies.byPlugin['acme/x'].limits.timeoutMs");
}

// --- What comes out ---

TEST(BuildPlan, DefaultsOfTheDocument) {
  const Plan plan = MustParse(PlanText(R"([{"stepId":"a"}])"));
  EXPECT_EQ(plan.facts(), (RunFacts{.sequential = true}));
  EXPECT_EQ(plan.fallback, Fallback::kReject);
  EXPECT_EQ(plan.target_adapter, "any");
  const Step& step = plan.steps()[0];
  EXPECT_EQ(step.kind, "noop");
  EXPECT_EQ(plan.kind_defaulted, std::vector<uint32_t>{0});
  EXPECT_EQ(step.retry, RetryPolicy{});
  EXPECT_EQ(step.timeouts, Timeouts{});
  EXPECT_EQ(step.timeouts.total_ms, 5'403'000);
  EXPECT_EQ(step.logical_retries, 0);
}
TEST(BuildPlan, PolicyMembers_ComeFromStepThenDefaultsThenStandard) {
  const Plan plan = MustParse(
      PlanText(R"([{"stepId":"a","retryPolicy":{"maxAttempts":2},"timeouts":{"queueMs":9}},{"stepId":"b",)"
               R"("timeouts":{"totalMs":77}}])",
               R"("defaults":{"retryPolicy":{"initialIntervalMs":500,"maxAttempts":4,"backoffCoefficient":1.5},)"
               R"("timeouts":{"attemptMs":1000}},)"));
  const Step& a = plan.steps()[0];
  EXPECT_EQ(a.retry.max_attempts, 2);
  EXPECT_EQ(a.retry.initial_interval_ms, 500);
  EXPECT_EQ(a.retry.backoff_hundredths, 150);
  EXPECT_EQ(a.retry.max_interval_ms, 60'000);
  EXPECT_EQ(a.timeouts.attempt_ms, 1'000);
  EXPECT_EQ(a.timeouts.total_ms, 2 * 1'000 + 500);
  EXPECT_EQ(a.timeouts.queue_ms, 9);
  EXPECT_EQ(plan.steps()[1].timeouts.total_ms, 77);
  EXPECT_EQ(plan.steps()[1].retry.max_attempts, 4);
}
TEST(BuildPlan, WorkerClass_IsThatOfTheKindUnlessGiven) {
  const Plan plan =
      MustParse(PlanText(R"([{"stepId":"a","kind":"sql.query","params":{"connection":"c","query":"q"}},{"stepId":"b",)"
                         R"("workerClass":"data"}])"));
  EXPECT_EQ(plan.steps()[0].worker_class, WorkerClass::kData);
  EXPECT_EQ(plan.steps()[1].worker_class, WorkerClass::kData);
}

}  // namespace
}  // namespace lockstep::plan
