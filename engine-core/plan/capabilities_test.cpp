// The decision table and the report (spec 01 section 8, spec 06 section 5), cell by cell.
#include "engine-core/plan/capabilities.h"

#include <gtest/gtest.h>

#include "engine-core/contracts/embedded.h"
#include "engine-core/contracts/json_schema.h"
#include "engine-core/plan/test_support/plans.h"

namespace lockstep::plan {
namespace {

Plan Requires(std::string_view list, std::string_view fallback = "reject", std::string_view more = "") {
  return MustParse(PlanText(R"([{"stepId":"a","kind":"noop"}])", "",
                            ",\"requiresCapabilities\":" + std::string(list) + ",\"fallbackBehavior\":\"" +
                                std::string(fallback) + "\"" + std::string(more)));
}
ValidationReport Report(const Plan& plan, std::string adapter = "conductor") {
  return ValidateCapabilities(plan, {std::move(adapter), "", false, 0});
}
std::string Codes(const ValidationReport& report) {
  std::string out;
  for (const auto& item : report.errors) out += "E:" + item.code + " ";
  for (const auto& item : report.warnings) out += "W:" + item.code + " ";
  return out + std::string(Name(report.status));
}

TEST(DecisionTable, EveryCell) {
  struct Row {
    const char* id;
    const char* reject;
    const char* emulate;
    const char* degrade;
  };
  const char* error = "E:CAPABILITY_NOT_SUPPORTED ERRORS";
  const Row rows[] = {
      {"basic-execution", "VALID", "VALID", "VALID"},
      {"signals.concurrent", error, "W:CAPABILITY_EMULATED WARNINGS", "W:CAPABILITY_EMULATED WARNINGS"},
      {"signal.pause.native", error, "W:CAPABILITY_EMULATED W:LATENCY_EXPECTED WARNINGS",
       "W:CAPABILITY_EMULATED W:LATENCY_EXPECTED WARNINGS"},
      {"cancel.cooperative", error, error, "W:CAPABILITY_DEGRADED WARNINGS"},
      {"workflow.fan.dynamic", error, error, error},
      {"no.such.thing", "E:CAPABILITY_UNKNOWN ERRORS", "E:CAPABILITY_UNKNOWN ERRORS", "E:CAPABILITY_UNKNOWN ERRORS"}};
  for (const Row& row : rows) {
    const std::string list = "[\"" + std::string(row.id) + "\"]";
    EXPECT_EQ(Codes(Report(Requires(list, "reject"))), row.reject) << row.id;
    EXPECT_EQ(Codes(Report(Requires(list, "emulate"))), row.emulate) << row.id;
    EXPECT_EQ(Codes(Report(Requires(list, "degrade"))), row.degrade) << row.id;
  }
}
TEST(DecisionTable, OptionalRequirement_IsACheckRowWithoutAnError) {
  const auto report = Report(Requires(R"([{"id":"workflow.fan.dynamic","optional":true}])"));
  EXPECT_EQ(Codes(report), "VALID");
  ASSERT_EQ(report.checks.size(), 1U);
  EXPECT_FALSE(report.checks[0].supported);
  EXPECT_FALSE(report.checks[0].adapter_support.has_value());
  EXPECT_EQ(Codes(Report(Requires(R"([{"id":"no.such.thing","optional":true}])"))), "E:CAPABILITY_UNKNOWN ERRORS");
}
TEST(Capabilities, Temporal_HasEverythingNatively) {
  std::string list;
  for (const auto& one : contracts::CapabilityMatrix::Embedded().capabilities())
    list += (list.empty() ? "[\"" : ",\"") + one.id + "\"";
  EXPECT_EQ(Codes(Report(Requires(list + "]"), "temporal")), "W:CAPABILITY_DEPRECATED WARNINGS");
}
TEST(Capabilities, Alias_ResolvesAndWarns) {
  EXPECT_EQ(Codes(Report(Requires(R"(["history.rotation"])"), "temporal")), "W:CAPABILITY_DEPRECATED WARNINGS");
  EXPECT_EQ(Codes(Report(Requires(R"(["history.rotation"])"))),
            "E:CAPABILITY_NOT_SUPPORTED W:CAPABILITY_DEPRECATED ERRORS");
}
TEST(Capabilities, CAPABILITY_VERSION_TOO_OLD) {
  EXPECT_EQ(Codes(Report(Requires(R"([{"id":"basic-execution","minVersion":"v1.1"}])"))),
            "E:CAPABILITY_VERSION_TOO_OLD ERRORS");
  EXPECT_EQ(Codes(Report(Requires(R"([{"id":"basic-execution","minVersion":"v2.0"}])", "degrade"))),
            "E:CAPABILITY_VERSION_TOO_OLD ERRORS");
  EXPECT_EQ(Codes(Report(Requires(R"([{"id":"basic-execution","minVersion":"v0.9"}])"))),
            "E:CAPABILITY_VERSION_TOO_OLD ERRORS");
  EXPECT_EQ(Codes(Report(Requires(R"([{"id":"basic-execution","minVersion":"v1.0"}])"))), "VALID");
}
TEST(Capabilities, CAPABILITY_VERSION_INVALID) {
  EXPECT_EQ(Codes(Report(Requires(R"([{"id":"basic-execution","minVersion":"latest"}])"))),
            "E:CAPABILITY_VERSION_INVALID ERRORS");
}
TEST(Capabilities, SameIdTwice_HighestVersionCounts) {
  const auto report = Report(
      Requires(R"([{"id":"basic-execution","minVersion":"v1.3"},{"id":"basic-execution","minVersion":"v1.0"}])"));
  EXPECT_EQ(Codes(report), "E:CAPABILITY_VERSION_TOO_OLD ERRORS");
  ASSERT_EQ(report.checks.size(), 1U);
  EXPECT_EQ(report.checks[0].required_version, "v1.3");
}
TEST(Capabilities, ChecksAreSortedByWireId) {
  const auto report = Report(Requires(R"(["replay.task","basic-execution","cancel.forced"])"));
  EXPECT_EQ(report.checks[0].capability, "basic-execution");
  EXPECT_EQ(report.checks[1].capability, "cancel.forced");
  EXPECT_EQ(report.checks[2].capability, "replay.task");
}

contracts::CapabilityMatrix WithStage(std::string_view stage) {
  Json registry = J(contracts::EmbeddedText("capabilities.registry.json"));
  for (Json& entry : registry.Find("capabilities")->AsArray()) {
    if (entry.GetString("id") != "signals.concurrent") continue;
    entry.Set("stage", stage);
    if (stage == "deprecated")
      entry.Set("deprecation", J(R"({"deprecatedAt":"2026-01-01","removalAt":"2027-01-01","migrationGuide":"x"})"));
  }
  return *contracts::CapabilityMatrix::Parse(registry, J(contracts::EmbeddedText("adapters.capabilities.json")));
}
std::string WithStageCodes(std::string_view stage, bool allow_experimental = false) {
  return Codes(ValidateCapabilities(Requires(R"(["signals.concurrent"])"), {"temporal", "", allow_experimental, 0},
                                    WithStage(stage)));
}
TEST(Stages, proposed) { EXPECT_EQ(WithStageCodes("proposed"), "E:CAPABILITY_UNKNOWN ERRORS"); }
TEST(Stages, experimental) {
  EXPECT_EQ(WithStageCodes("experimental"), "E:CAPABILITY_EXPERIMENTAL_NOT_ALLOWED ERRORS");
  EXPECT_EQ(WithStageCodes("experimental", true), "VALID");
}
TEST(Stages, stable) { EXPECT_EQ(WithStageCodes("stable"), "VALID"); }
TEST(Stages, deprecated) { EXPECT_EQ(WithStageCodes("deprecated"), "W:CAPABILITY_DEPRECATED WARNINGS"); }
TEST(Stages, removed) { EXPECT_EQ(WithStageCodes("removed"), "E:CAPABILITY_REMOVED ERRORS"); }

TEST(Undeclared, ParallelSteps_NeedFanParallel) {
  const auto report =
      Report(MustParse(PlanText(R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop"}])")));
  EXPECT_EQ(Codes(report), "VALID");
  ASSERT_EQ(report.checks.size(), 1U);
  EXPECT_EQ(report.checks[0].capability, "workflow.fan.parallel");
  EXPECT_TRUE(
      Report(MustParse(PlanText(
                 R"([{"stepId":"a","kind":"noop","dependsOn":[]},{"stepId":"b","kind":"noop","dependsOn":["a"]}])")))
          .checks.empty());
}
TEST(Undeclared, GateThatTimesOutSoftly_NeedsFullReplay) {
  const auto plan = [](std::string_view on_timeout, std::string_view fallback) {
    return MustParse(PlanText(
        "[{\"stepId\":\"a\",\"kind\":\"noop\",\"waitForSignal\":{\"name\":\"GOX\",\"timeoutMs\":5,\"onTimeout\":\"" +
            std::string(on_timeout) + "\"}}]",
        R"("customSignals":[{"name":"GOX","payloadSchema":{},"effect":"open_gate"}],)",
        ",\"fallbackBehavior\":\"" + std::string(fallback) + "\""));
  };
  EXPECT_EQ(Codes(Report(plan("fail", "reject"))), "VALID");
  EXPECT_EQ(Codes(Report(plan("skip", "reject"))), "E:CAPABILITY_NOT_SUPPORTED W:CAPABILITY_UNDECLARED ERRORS");
  EXPECT_EQ(Codes(Report(plan("proceed", "degrade"))), "W:CAPABILITY_UNDECLARED W:CAPABILITY_DEGRADED WARNINGS");
  EXPECT_EQ(Codes(Report(plan("skip", "reject"), "temporal")), "VALID");
}
TEST(Warnings, STEP_KIND_DEFAULTED) {
  EXPECT_EQ(Codes(Report(MustParse(PlanText(R"([{"stepId":"a"}])")))), "W:STEP_KIND_DEFAULTED WARNINGS");
}
TEST(Warnings, PLUGIN_TRUST_TIER_MISSING) {
  const auto plan = [](std::string_view policies, std::string_view metadata = "") {
    return MustParse(
        PlanText(R"([{"stepId":"a","kind":"plugin","plugin":{"pluginId":"x","version":"1"}}])", policies, metadata));
  };
  EXPECT_EQ(Codes(Report(plan(""))), "W:PLUGIN_TRUST_TIER_MISSING WARNINGS");
  EXPECT_EQ(Codes(Report(plan(R"("pluginPolicies":{"default":{"trustTier":"untrusted"}},)"))), "VALID");
  EXPECT_EQ(Codes(Report(plan("", ",\"pluginTrustTier\":\"untrusted\""))), "VALID");
}
TEST(Target, TARGET_ADAPTER_MISMATCH) {
  EXPECT_EQ(Codes(Report(Requires("[]", "reject", ",\"targetAdapter\":\"temporal\""), "mock")),
            "E:TARGET_ADAPTER_MISMATCH ERRORS");
}
TEST(Target, INVALID_TARGET_ADAPTER) {
  EXPECT_EQ(Codes(Report(Requires("[]"), "airflow")), "E:INVALID_TARGET_ADAPTER ERRORS");
}

TEST(ReportJson, MatchesItsSchemaAndCarriesTheRemediation) {
  const auto& schema = contracts::JsonSchema::Embedded("schemas/validation-report.schema.json");
  for (const char* fallback : {"reject", "emulate", "degrade"}) {
    const Json json = ToJson(Report(Requires(
        R"(["signal.pause.native","cancel.cooperative","workflow.fan.dynamic","basic-execution"])", fallback)));
    EXPECT_TRUE(schema.Accepts(json)) << CanonicalJson(json);
  }
  const Json json = ToJson(Report(Requires(R"(["signal.pause.native","basic-execution"])")));
  EXPECT_TRUE(schema.Accepts(json));
  EXPECT_EQ(json.GetString("status"), "ERRORS");
  EXPECT_EQ(*json.Find("remediation"),
            J(R"({"suggestedFallbackBehavior":"emulate","suggestedCapabilities":["signal.pause.emulated"],)"
              R"("suggestedTargetAdapter":"temporal"})"));
  EXPECT_EQ(json.At("/capabilityChecks/1")->GetString("adapterSupport"), "emulated");
  EXPECT_FALSE(json.At("/capabilityChecks/1")->GetBool("supported"));
  EXPECT_EQ(json.At("/capabilityChecks/0")->GetString("declaredVersion"), "v1.0");
}
TEST(ReportJson, DegradedFlagFollowsTheRowsUsed) {
  EXPECT_TRUE(Report(Requires(R"(["signals.concurrent"])", "emulate")).degraded);
  EXPECT_FALSE(Report(Requires(R"(["basic-execution"])", "emulate")).degraded);
}
TEST(ReportDigest, IgnoresTheTimeAndNothingElse) {
  ValidationReport report = Report(Requires(R"(["basic-execution"])"));
  const std::string digest = ReportDigest(report);
  report.generated_at = 5;
  EXPECT_EQ(ReportDigest(report), digest);
  report.plan_id = "q";
  EXPECT_NE(ReportDigest(report), digest);
}

}  // namespace
}  // namespace lockstep::plan
