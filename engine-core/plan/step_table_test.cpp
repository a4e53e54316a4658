// The step table in a history: round trip, pages, and that damage is told.
#include "engine-core/plan/step_table.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine-core/base/files.h"
#include "engine-core/plan/test_support/plans.h"

namespace lockstep::plan {
namespace {

// What the table does not carry.
StepTable Trimmed(StepTable table) {
  for (Step& step : table.steps) step.description.clear();
  for (CustomSignal& signal : table.custom_signals) signal.payload_schema = Json::MakeObject();
  return table;
}
StepTable Fixture(const std::string& file) {
  const auto text = ReadFile(LOCKSTEP_SOURCE_DIR "/fixtures/plans/" + file);
  return MustParse(*text).table;
}

TEST(StepTable, EveryGoodPlan_RoundTrips) {
  for (const char* file :
       {"good/orders-daily.json", "good/conditional.v1.1.json", "good/sequential.v1.0.json", "good/gate.json",
        "golden/plan-minimal.json", "golden/plan-parallel.json", "golden/plan-retry.json",
        "golden/plan-hold-retry.json", "golden/plan-cancel-and-resume.json"}) {
    const StepTable table = Fixture(file);
    const auto back = ParseStepTable(*ParseJson(CanonicalJson(StepTableJson(table))));
    ASSERT_TRUE(back.has_value()) << file << back.error().ToString();
    EXPECT_EQ(*back, Trimmed(table)) << file;
  }
}
TEST(StepTable, MinimalPlan_IsCompact) {
  EXPECT_EQ(CanonicalJson(StepTableJson(Fixture("golden/plan-minimal.json"))),
            R"({"planId":"plan-minimal",)"
            R"("planSha256":"a986878982b35e031985b91826b534555abef216b207f77caf3827dd02e6c90a","planVersion":"1.0.0",)"
            R"("sequential":true,"stepCount":1,"steps":[{"kind":"noop","stepId":"s1"}]})");
}
TEST(StepTable, CarriesNeitherCostHintsNorPayloadSchemas) {
  const std::string text = CanonicalJson(StepTableJson(Fixture("good/orders-daily.json")));
  for (const char* word : {"costHint", "payloadSchema", "description", "budget"})
    EXPECT_EQ(text.find(word), std::string::npos) << word;
}

StepTable AnyTable() {
  StepTable table;
  table.plan_sha256 = std::string(64, 'a');
  table.plan_id = "p";
  table.plan_version = "1";
  table.facts.on_step_failure =
      *rc::gen::element(OnStepFailure::kFailRun, OnStepFailure::kContinue, OnStepFailure::kHold);
  table.facts.max_parallelism = *rc::gen::inRange(1, 257);
  table.facts.sequential = *rc::gen::arbitrary<bool>();
  table.facts.requires_approval = *rc::gen::arbitrary<bool>();
  if (*rc::gen::arbitrary<bool>()) table.facts.run_timeout_ms = *rc::gen::inRange<int64_t>(1'000, 100'000);
  table.params.Set("n", *rc::gen::inRange(0, 9));
  const uint32_t count = *rc::gen::inRange<uint32_t>(1, 20);
  for (uint32_t i = 0; i < count; ++i) {
    Step step;
    step.index = i;
    step.step_id = "s" + std::to_string(i);
    step.kind = *rc::gen::element<std::string>("noop", "echo", "sql.query");
    if (table.facts.sequential) {
      if (i > 0) step.depends_on = {i - 1};
    } else {
      for (uint32_t d = 0; d < i; ++d) {
        if (*rc::gen::inRange(0, 4) == 0) step.depends_on.push_back(d);
      }
    }
    if (*rc::gen::arbitrary<bool>()) step.params.Set("text", *rc::gen::element<std::string>("x", "${run.id}", "ä\n"));
    if (*rc::gen::arbitrary<bool>()) step.retry.max_attempts = *rc::gen::inRange(1, 21);
    step.retry.backoff_hundredths = *rc::gen::inRange(100, 1'001);
    step.timeouts.attempt_ms = *rc::gen::inRange<int64_t>(1, 5'000'000);
    if (*rc::gen::arbitrary<bool>()) step.timeouts.queue_ms = 7;
    step.logical_retries = *rc::gen::inRange(0, 11);
    step.worker_class = *rc::gen::element(WorkerClass::kControl, WorkerClass::kData, WorkerClass::kIsolation);
    if (*rc::gen::arbitrary<bool>()) step.target["schema"] = "mart";
    if (*rc::gen::arbitrary<bool>()) step.secret_refs.push_back({"n", "id", "k", std::nullopt});
    if (i > 0 && *rc::gen::arbitrary<bool>()) step.run_if.push_back({i - 1, "/x", CompareOp::kLt, Json(3)});
    if (*rc::gen::arbitrary<bool>())
      step.wait_for_signal = WaitForSignal{"GOX", *rc::gen::inRange(1, 101), std::nullopt, GateTimeout::kSkip};
    table.steps.push_back(std::move(step));
  }
  return table;
}

TEST(StepTable, RandomTables_RoundTripWholeAndInPages) {
  rc::check([] {
    const StepTable table = AnyTable();
    const auto back = ParseStepTable(*ParseJson(CanonicalJson(StepTableJson(table))));
    RC_ASSERT(back.has_value());
    RC_ASSERT(*back == table);
    const size_t max_bytes = *rc::gen::inRange<size_t>(1'000, 4'000);
    const auto pages = StepTablePages(table, max_bytes);
    RC_ASSERT(pages.has_value());
    for (size_t i = 0; i < pages->size(); ++i) {
      RC_ASSERT(CanonicalJson((*pages)[i]).size() <= max_bytes);
      RC_ASSERT(*StepTablePage(table, i, max_bytes) == (*pages)[i]);
    }
    const auto assembled = AssembleStepTable(*pages);
    RC_ASSERT(assembled.has_value());
    RC_ASSERT(*assembled == table);
  });
}

TEST(StepTablePages, StepThatFitsNowhere_PLAN_TOO_LARGE) {
  const StepTable table = Fixture("good/orders-daily.json");
  EXPECT_EQ(StepTablePages(table, 50).error().code, "PLAN_TOO_LARGE");
}
TEST(StepTablePage, BeyondTheLast_INVALID_WORKFLOW_STATE) {
  EXPECT_EQ(StepTablePage(Fixture("golden/plan-minimal.json"), 1).error().code, "INVALID_WORKFLOW_STATE");
}

TEST(AssembleStepTable, MissingSwappedOrForeignPages_INVALID_WORKFLOW_STATE) {
  StepTable table = Fixture("golden/plan-cancel-and-resume.json");
  const auto pages = *StepTablePages(table, 400);
  ASSERT_GE(pages.size(), 2U);
  const auto code = [](std::vector<Json> list) { return AssembleStepTable(list).error().code; };
  EXPECT_EQ(code({}), "INVALID_WORKFLOW_STATE");
  EXPECT_EQ(code({pages[0]}), "INVALID_WORKFLOW_STATE");
  auto swapped = pages;
  std::swap(swapped[0], swapped[1]);
  EXPECT_EQ(code(swapped), "INVALID_WORKFLOW_STATE");
  auto foreign = pages;
  foreign[1].Set("planSha256", std::string(64, 'b'));
  EXPECT_EQ(code(foreign), "INVALID_WORKFLOW_STATE");
}

TEST(ParseStepTable, DamagedTables_AreRefusedOrConsistent) {
  const Json good = StepTableJson(Fixture("good/conditional.v1.1.json"));
  rc::check([&] {
    Json bad = good;
    // Replace, drop or add one member somewhere.
    Json* here = &bad;
    for (int depth = *rc::gen::inRange(1, 5); depth > 0 && (here->is_object() || here->is_array()); --depth) {
      if (here->is_object() && !here->AsObject().empty()) {
        auto it = here->AsObject().begin();
        std::advance(it, *rc::gen::inRange<size_t>(0, here->AsObject().size()));
        here = &it->second;
      } else if (here->is_array() && !here->AsArray().empty()) {
        here = &here->AsArray()[*rc::gen::inRange<size_t>(0, here->AsArray().size())];
      }
    }
    *here =
        *rc::gen::element(Json(), Json(-1), Json(99'999), Json("x"), Json::MakeArray(), Json::MakeObject(), Json(true));
    const auto table = ParseStepTable(bad);
    if (!table) {
      RC_ASSERT(table.error().code == "INVALID_WORKFLOW_STATE");
      return;
    }
    for (const Step& step : table->steps) {
      for (const uint32_t d : step.depends_on) RC_ASSERT(d < table->steps.size());
      for (const Predicate& p : step.run_if) RC_ASSERT(p.step < table->steps.size());
    }
    RC_ASSERT(ParseStepTable(StepTableJson(*table)).has_value());
  });
}

}  // namespace
}  // namespace lockstep::plan
