// The matrix of spec 06 section 4, row by row, and the rules its data files must keep.
#include "engine-core/contracts/capability_matrix.h"

#include <gtest/gtest.h>

#include <map>

#include "engine-core/contracts/embedded.h"

namespace lockstep::contracts {
namespace {

Json Registry() { return *ParseJson(EmbeddedText("capabilities.registry.json")); }
Json Adapters() { return *ParseJson(EmbeddedText("adapters.capabilities.json")); }

std::string ErrorOf(const Json& registry, const Json& adapters) {
  const auto parsed = CapabilityMatrix::Parse(registry, adapters);
  return parsed ? "" : parsed.error().ToString();
}

struct ExpectedRow {
  const char* id;
  const char* temporal;
  const char* conductor;
  const char* mock;
};
constexpr ExpectedRow kExpected[] = {
    {"basic-execution", "native", "native", "native"},
    {"signal.pause.native", "native", "emulated", "native"},
    {"signal.pause.emulated", "native", "native", "native"},
    {"cancel.cooperative", "native", "degraded", "native"},
    {"cancel.forced", "native", "native", "native"},
    {"workflow.child.workflows", "native", "unsupported", "unsupported"},
    {"workflow.fan.dynamic", "native", "unsupported", "unsupported"},
    {"workflow.fan.parallel", "native", "native", "native"},
    {"query.workflow.state", "native", "emulated", "native"},
    {"query.task.state", "native", "native", "native"},
    {"replay.full", "native", "degraded", "native"},
    {"replay.task", "native", "native", "native"},
    // Mock supports rotation (spec 00 section 5).
    {"workflow.continue.as.new", "native", "emulated", "native"},
    {"history.rotation", "native", "emulated", "native"},
    {"signals.rate.limit", "native", "native", "native"},
    {"signals.concurrent", "native", "emulated", "native"},
};

TEST(CapabilityMatrix, EveryRowOfTheMatrixIsAsSpecified) {
  const auto& matrix = CapabilityMatrix::Embedded();
  ASSERT_EQ(matrix.capabilities().size(), std::size(kExpected));
  for (const auto& row : kExpected) {
    EXPECT_EQ(SupportName(matrix.FindAdapter("temporal")->FindRow(row.id)->support), row.temporal) << row.id;
    EXPECT_EQ(SupportName(matrix.FindAdapter("conductor")->FindRow(row.id)->support), row.conductor) << row.id;
    EXPECT_EQ(SupportName(matrix.FindAdapter("mock")->FindRow(row.id)->support), row.mock) << row.id;
  }
}

TEST(CapabilityMatrix, ConductorWithoutBaselineAndAlias_HasCountOfAcceptance) {
  std::map<Support, int> counts;
  for (const auto& row : CapabilityMatrix::Embedded().FindAdapter("conductor")->rows) {
    if (row.capability != "basic-execution" && row.capability != "history.rotation") ++counts[row.support];
  }
  EXPECT_EQ(counts[Support::kNative], 6);
  EXPECT_EQ(counts[Support::kEmulated], 4);
  EXPECT_EQ(counts[Support::kDegraded], 2);
  EXPECT_EQ(counts[Support::kUnsupported], 2);
}

TEST(CapabilityMatrix, LimitsAreAsSpecified) {
  const auto& matrix = CapabilityMatrix::Embedded();
  EXPECT_EQ(matrix.FindAdapter("temporal")->limits.max_signal_size_bytes, 64'000);
  EXPECT_EQ(matrix.FindAdapter("temporal")->limits.max_history_event_bytes, 50'000'000);
  EXPECT_EQ(matrix.FindAdapter("temporal")->limits.max_signal_deferral_minutes, 1'440);
  EXPECT_EQ(matrix.FindAdapter("conductor")->limits.max_task_input_bytes, 32'000);
  EXPECT_EQ(matrix.FindAdapter("conductor")->limits.max_task_output_bytes, 32'000);
  EXPECT_EQ(matrix.FindAdapter("conductor")->limits.max_workflow_definition_bytes, 1'000'000);
  EXPECT_EQ(matrix.FindAdapter("mock")->limits.max_signal_deferral_minutes, 0);
  EXPECT_EQ(matrix.FindAdapter("mock")->limits.max_signals_per_run_per_minute, 60);
}

TEST(CapabilityMatrix, AliasAndImplicationsAreRegistered) {
  const auto& matrix = CapabilityMatrix::Embedded();
  EXPECT_EQ(matrix.Find("history.rotation")->alias_of, "workflow.continue.as.new");
  EXPECT_EQ(matrix.Find("history.rotation")->stage, Stage::kDeprecated);
  EXPECT_EQ(matrix.Find("signal.pause.native")->implies, std::vector<std::string>{"signal.pause.emulated"});
  EXPECT_EQ(matrix.Find("cancel.cooperative")->implies, std::vector<std::string>{"cancel.forced"});
  EXPECT_EQ(matrix.Find("replay.full")->implies, std::vector<std::string>{"replay.task"});
  EXPECT_EQ(matrix.Find("query.workflow.state")->implies, std::vector<std::string>{"query.task.state"});
}

TEST(CapabilityMatrix, StrongerCapabilityCoversWeakerOne) {
  Json adapters = Adapters();
  // Take emulated pause away from the first adapter; its native pause still covers it.
  for (Json& row : adapters.Find("adapters")->AsArray()[0].Find("rows")->AsArray()) {
    if (row.GetString("capability") == "signal.pause.emulated") row.Set("support", "unsupported");
  }
  const auto matrix = CapabilityMatrix::Parse(Registry(), adapters);
  ASSERT_TRUE(matrix.has_value());
  const auto& row = matrix->EffectiveRow(matrix->adapters()[0], "signal.pause.emulated");
  EXPECT_EQ(row.support, Support::kNative);
  EXPECT_EQ(row.capability, "signal.pause.native");
}

TEST(CapabilityMatrix, MissingRow_IsRefused) {
  Json adapters = Adapters();
  auto& rows = adapters.Find("adapters")->AsArray()[1].Find("rows")->AsArray();
  rows[3].Set("capability", rows[4].GetString("capability"));
  EXPECT_NE(ErrorOf(Registry(), adapters).find("conductor: no row for"), std::string::npos);
}

TEST(CapabilityMatrix, EmulatedRowWithoutLimitations_IsRefused) {
  Json adapters = Adapters();
  for (Json& row : adapters.Find("adapters")->AsArray()[1].Find("rows")->AsArray()) row.AsObject().erase("limitations");
  EXPECT_NE(ErrorOf(Registry(), adapters).find("CAPABILITY_DATA_INVALID"), std::string::npos);
}

TEST(CapabilityMatrix, ShortNotice_IsRefused) {
  Json registry = Registry();
  for (Json& entry : registry.Find("capabilities")->AsArray()) {
    if (Json* notice = entry.Find("deprecation"); notice != nullptr) notice->Set("removalAt", "2027-02-28");
  }
  EXPECT_NE(ErrorOf(registry, Adapters()).find("twelve months"), std::string::npos);
}

TEST(CapabilityMatrix, DeprecatedWithoutNotice_IsRefused) {
  Json registry = Registry();
  registry.Find("capabilities")->AsArray()[0].Set("stage", "deprecated");
  EXPECT_NE(ErrorOf(registry, Adapters()), "");
}

TEST(CapabilityMatrix, ImplicationCycle_IsRefused) {
  Json registry = Registry();
  for (Json& entry : registry.Find("capabilities")->AsArray()) {
    if (entry.GetString("id") == "replay.task") entry.Set("implies", Json(Json::Array{Json("replay.full")}));
  }
  EXPECT_NE(ErrorOf(registry, Adapters()).find("implies itself"), std::string::npos);
}

TEST(CapabilityMatrix, LatestBelowAListedVersion_IsRefused) {
  Json registry = Registry();
  registry.Find("capabilities")->AsArray()[0].Find("versions")->AsArray()[0].Set("version", "v1.1");
  EXPECT_NE(ErrorOf(registry, Adapters()).find("latest"), std::string::npos);
}

TEST(MinorVersion, OnlyTheCanonicalFormParses) {
  EXPECT_EQ(ParseMinorVersion("v1.2")->ToString(), "v1.2");
  EXPECT_EQ(ParseMinorVersion("v10.0")->major, 10);
  for (const char* bad :
       {"", "v", "v1.", "v.1", "1.2", "s1", "v1.2.0", "v1.2 ", "v01.2", "v1.x", "V1.2", "v1234567.0", "v-1.0"}) {
    EXPECT_FALSE(ParseMinorVersion(bad)) << bad;
  }
}

}  // namespace
}  // namespace lockstep::contracts
