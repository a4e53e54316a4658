// The engine's own activities against real stores: the plan store, the event log, the snapshot.
#include "engine-core/steps/engine_activities.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "engine-core/base/check.h"
#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"
#include "engine-core/plan/loader.h"
#include "engine-core/plan/step_table.h"
#include "engine-core/plan/test_support/mem_fetcher.h"
#include "engine-core/state/memory/memory_store.h"
#include "engine-core/state/sqlite/sqlite_store.h"
#include "engine-core/state/testing/event_builder.h"
#include "engine-core/steps/testing/step_test.h"

namespace lockstep::steps {
namespace {

using state::testing::EventBuilder;

constexpr char kPlan[] =
    R"({"metadata":{"planId":"hello-world","planVersion":"1.0.0","schemaVersion":"v1.1"},"steps":[)"
    R"({"stepId":"s1","kind":"echo","params":{"message":"hi"},"dependsOn":[]},)"
    R"({"stepId":"s2","dependsOn":["s1"],"kind":"noop"}]})";

// Holds the write lock of a database file.
class SqliteLock {
 public:
  explicit SqliteLock(const std::string& path) {
    EXPECT_EQ(sqlite3_open(path.c_str(), &db_), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db_, "begin immediate", nullptr, nullptr, nullptr), SQLITE_OK);
  }
  ~SqliteLock() { sqlite3_close(db_); }

 private:
  sqlite3* db_ = nullptr;
};

class EngineActivitiesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    services_ = MakeServices({}, state::MakeMemoryStore({&clock_, &ids_, nullptr}),
                             artifacts::OpenDirectoryStore(directory_.path() / "artifacts").value());
    services_->clock = &clock_;
    RegisterEngineActivities(&registry_, services_);
  }
  Result<Json> Call(const char* type, Json::Array arguments) {
    const activity::ActivityFunction* function = registry_.Find(type);
    LOCKSTEP_CHECK(function != nullptr, type);
    return (*function)(context_, arguments);
  }
  Json PinnedPlan(const std::string& bytes = kPlan, const std::string& tenant = "t1") {
    EXPECT_TRUE(services_->store->PutPlan(state::TenantScope(tenant), bytes).has_value());
    return plan::ToJson(plan::PinPlan(bytes).value());
  }
  static Json Ctx(const std::string& tenant = "t1") { return Json::MakeObject({{"tenantId", tenant}}); }
  void Bootstrap(EventBuilder& builder) {
    const std::vector<state::EventWrite> first{builder.Queued()};
    ASSERT_TRUE(services_->store->BootstrapRun(state::TenantScope("t1"), builder.Metadata(), first).has_value());
  }
  static Json Request(const std::vector<state::EventWrite>& events, const std::string& run_id = "run-1") {
    Json list = Json::MakeArray();
    for (const auto& event : events) list.Push(state::ToJson(event));
    return Json::MakeObject({{"tenantId", "t1"}, {"runId", run_id}, {"events", std::move(list)}});
  }

  TemporaryDirectory directory_ = TemporaryDirectory::Create("lockstep-activities").value();
  state::testing::ManualClock clock_{state::testing::kEpoch};
  state::testing::CountingIds ids_;
  std::shared_ptr<Services> services_;
  activity::ActivityRegistry registry_;
  testing::FakeActivityContext context_;
};

TEST_F(EngineActivitiesTest, Registers_TheCatalogue) {
  EXPECT_EQ(registry_.Types(),
            (std::vector<std::string>{"compileRunSnapshot", "emitEvents", "executeStep", "fetchPlan", "validatePlan"}));
}

// ---- fetchPlan ----

TEST_F(EngineActivitiesTest, FetchPlan_GivesThePagesOfTheStepTable) {
  const Json ref = PinnedPlan();
  const auto page = Call("fetchPlan", {ref, 0, Ctx()});
  ASSERT_TRUE(page.has_value()) << page.error().ToString();
  const plan::StepTable table = plan::AssembleStepTable({*page}).value();
  EXPECT_EQ(table.plan_sha256, Sha256Hex(kPlan));
  EXPECT_EQ(table.steps.size(), 2u);
  EXPECT_EQ(table.steps[0].params.GetString("message"), "hi");
  EXPECT_ERROR(Call("fetchPlan", {ref, 1, Ctx()}), "INVALID_WORKFLOW_STATE");
}

TEST_F(EngineActivitiesTest, FetchPlan_TenantByDefaultOrByRequest_NeverByAnother) {
  const Json ref = PinnedPlan();
  EXPECT_ERROR(Call("fetchPlan", {ref, 0}), "PLAN_FETCH_FAILED");
  EXPECT_ERROR(Call("fetchPlan", {ref, 0, Ctx("t2")}), "PLAN_FETCH_FAILED");
  services_->default_tenant = "t1";
  EXPECT_TRUE(Call("fetchPlan", {ref, 0}).has_value());
}

TEST_F(EngineActivitiesTest, FetchPlan_CacheOfOneTenantServesNoOther) {
  const Json ref = PinnedPlan();
  ASSERT_TRUE(Call("fetchPlan", {ref, 0, Ctx("t1")}).has_value());
  EXPECT_ERROR(Call("fetchPlan", {ref, 0, Ctx("t2")}), "PLAN_FETCH_FAILED");
}

TEST_F(EngineActivitiesTest, FetchPlan_Missing_IsRetryable) {
  const Json ref = plan::ToJson(plan::PinPlan(kPlan).value());
  const auto page = Call("fetchPlan", {ref, 0, Ctx()});
  EXPECT_ERROR(page, "PLAN_FETCH_FAILED");
  EXPECT_TRUE(page.error().retryable);
}

TEST_F(EngineActivitiesTest, FetchPlan_TamperedBytes_AreAnIntegrityFailureAndNeverRetried) {
  auto mem = std::make_shared<plan::MemFetcher>();
  services_->plans.uri_policy = plan::MemPolicy();
  services_->plans.fetcher = mem;
  plan::PlanRef ref = plan::PinPlan(kPlan).value();
  std::string tampered = kPlan;
  tampered[tampered.find("hi")] = 'H';
  ref.uri = mem->Put("plan", tampered);
  const auto page = Call("fetchPlan", {plan::ToJson(ref), 0, Ctx()});
  EXPECT_ERROR(page, "PLAN_INTEGRITY_VALIDATION_FAILED");
  EXPECT_FALSE(page.error().retryable);
  EXPECT_EQ(page.error().Detail("expectedSha256"), Sha256Hex(kPlan));
  EXPECT_EQ(page.error().Detail("actualSha256"), Sha256Hex(tampered));
  EXPECT_EQ(page.error().Detail("category"), "VALIDATION_ERROR");
}

TEST_F(EngineActivitiesTest, FetchPlan_UriPolicy_HoldsForTheWorkerToo) {
  plan::PlanRef ref = plan::PinPlan(kPlan).value();
  for (const char* uri : {"https://plans.example.com/a.json", "mem://plan", "file:///etc/passwd"}) {
    ref.uri = uri;
    EXPECT_ERROR(Call("fetchPlan", {plan::ToJson(ref), 0, Ctx()}), "PLAN_URI_NOT_ALLOWED");
  }
}

TEST_F(EngineActivitiesTest, FetchPlan_ExpiryWasCheckedAtAdmission_NotAgain) {
  PinnedPlan();
  plan::PlanRef ref = plan::PinPlan(kPlan).value();
  ref.expires_at = state::testing::kEpoch - 1;
  EXPECT_TRUE(Call("fetchPlan", {plan::ToJson(ref), 0, Ctx()}).has_value());
}

TEST_F(EngineActivitiesTest, FetchPlan_TestKinds_NeedTheSwitch) {
  const std::string bytes = R"({"metadata":{"planId":"p","planVersion":"1","schemaVersion":"v1.1"},)"
                            R"("steps":[{"stepId":"s1","kind":"fail","params":{"mode":"permanent"}}]})";
  services_->store->PutPlan(state::TenantScope("t1"), bytes).value();
  const Json ref = plan::ToJson(plan::PinPlan(bytes, true).value());
  EXPECT_ERROR(Call("fetchPlan", {ref, 0, Ctx()}), "INVALID_STEP_SCHEMA");
  services_->configuration.test_kinds = true;
  EXPECT_TRUE(Call("fetchPlan", {ref, 0, Ctx()}).has_value());
}

TEST_F(EngineActivitiesTest, FetchPlan_BadArguments) {
  EXPECT_ERROR(Call("fetchPlan", {}), "PLAN_REF_INVALID");
  EXPECT_ERROR(Call("fetchPlan", {Json::MakeObject()}), "PLAN_REF_INVALID");
  EXPECT_ERROR(Call("fetchPlan", {PinnedPlan(), -1, Ctx()}), "INVALID_WORKFLOW_STATE");
  EXPECT_ERROR(Call("fetchPlan", {PinnedPlan(), "0", Ctx()}), "INVALID_WORKFLOW_STATE");
}

// ---- validatePlan ----

Json ValidateRequest(Json ref, const char* adapter, bool degraded) {
  return Json::MakeObject({{"planRef", std::move(ref)},
                           {"targetAdapter", adapter},
                           {"ctx", Json::MakeObject({{"tenantId", "t1"}})},
                           {"admission", Json::MakeObject({{"reportSha256", ""}, {"degraded", degraded}})}});
}
std::string PlanThatNeeds(const std::string& capability, const std::string& fallback) {
  return R"({"metadata":{"planId":"p","planVersion":"1","schemaVersion":"v1.1","fallbackBehavior":")" + fallback +
         R"(","requiresCapabilities":[")" + capability + R"("]},"steps":[{"stepId":"s1","kind":"noop"}]})";
}

TEST_F(EngineActivitiesTest, ValidatePlan_NativeCapabilities_AreValid) {
  const auto verdict = Call("validatePlan", {ValidateRequest(PinnedPlan(), "temporal", false)});
  ASSERT_TRUE(verdict.has_value()) << verdict.error().ToString();
  EXPECT_TRUE(verdict->GetBool("valid"));
  EXPECT_FALSE(verdict->GetBool("degraded"));
  EXPECT_EQ(verdict->GetString("reportSha256").size(), 64u);
  EXPECT_EQ(verdict->Find("message"), nullptr);
}

TEST_F(EngineActivitiesTest, ValidatePlan_MissingCapability_IsInvalidWithAMessage) {
  const Json ref = PinnedPlan(PlanThatNeeds("workflow.child.workflows", "reject"));
  const auto verdict = Call("validatePlan", {ValidateRequest(ref, "conductor", false)});
  ASSERT_TRUE(verdict.has_value()) << verdict.error().ToString();
  EXPECT_FALSE(verdict->GetBool("valid", true));
  EXPECT_EQ(verdict->GetString("status"), "ERRORS");
  EXPECT_NE(verdict->GetString("message").find("CAPABILITY_NOT_SUPPORTED"), std::string::npos);
}

TEST_F(EngineActivitiesTest, ValidatePlan_DegradedAgainstTheAdmission_IsInvalid) {
  const Json ref = PinnedPlan(PlanThatNeeds("cancel.cooperative", "degrade"));
  EXPECT_FALSE(Call("validatePlan", {ValidateRequest(ref, "conductor", false)})->GetBool("valid", true));
  EXPECT_TRUE(Call("validatePlan", {ValidateRequest(ref, "conductor", true)})->GetBool("valid"));
}

TEST_F(EngineActivitiesTest, ValidatePlan_BadRequest) {
  EXPECT_ERROR(Call("validatePlan", {}), "SCHEMA_VALIDATION_FAILED");
  EXPECT_ERROR(Call("validatePlan", {Json::MakeObject()}), "PLAN_REF_INVALID");
  EXPECT_ERROR(Call("validatePlan", {Json::MakeObject({{"planRef", PinnedPlan()}})}), "SCHEMA_VALIDATION_FAILED");
}

// ---- emitEvents, compileRunSnapshot ----

TEST_F(EngineActivitiesTest, EmitEvents_AppendsAndAnswersPerEvent) {
  EventBuilder builder;
  Bootstrap(builder);
  const std::vector<state::EventWrite> events{builder.Run("RunStarted"), builder.Step("StepStarted", "s1")};
  const auto value = Call("emitEvents", {Request(events)});
  ASSERT_TRUE(value.has_value()) << value.error().ToString();
  const Json::Array& appended = value->Find("appended")->AsArray();
  ASSERT_EQ(appended.size(), 2u);
  EXPECT_EQ(appended[0].GetString("eventId"), events[0].event_id);
  EXPECT_EQ(appended[0].GetInt("runSeq"), 2);
  EXPECT_EQ(appended[1].GetInt("runSeq"), 3);
  EXPECT_EQ(appended[0].GetString("persistedAt"), "2026-02-12T00:00:00.000Z");
  EXPECT_FALSE(appended[0].GetBool("idempotent", true));
  EXPECT_EQ(appended[1].GetString("digest"), Sha256Hex(CanonicalJson(state::ToJson(events[1]))));
  EXPECT_EQ(value->GetInt("headSeq"), 3);
  const auto snapshot = services_->store->GetSnapshot(state::TenantScope("t1"), "run-1").value();
  EXPECT_EQ(value->GetString("snapshotHash"), state::SnapshotHash(*snapshot));
}

TEST_F(EngineActivitiesTest, EmitEvents_RepeatAnswersFromTheStoredRow) {
  EventBuilder builder;
  Bootstrap(builder);
  state::EventWrite event = builder.Run("RunStarted");
  const auto first = Call("emitEvents", {Request({event})});
  const std::string original = event.event_id;
  event.event_id = state::testing::TestUuid(4711);
  const auto second = Call("emitEvents", {Request({event})});
  ASSERT_TRUE(second.has_value()) << second.error().ToString();
  EXPECT_TRUE(second->At("/appended/0/idempotent")->AsBool());
  EXPECT_EQ(second->At("/appended/0/eventId")->AsString(), original);
  EXPECT_EQ(second->GetInt("headSeq"), first->GetInt("headSeq"));
}

TEST_F(EngineActivitiesTest, EmitEvents_DefectsOfTheProducer_AreNotRetryable) {
  EventBuilder builder;
  Bootstrap(builder);
  const state::EventWrite good = builder.Run("RunStarted");
  state::EventWrite wrong_key = good;
  wrong_key.idempotency_key = std::string(64, '0');
  state::EventWrite foreign = good;
  foreign.run_id = "run-2";
  state::EventWrite no_step = builder.Step("StepStarted", "s1");
  no_step.step_id.clear();
  struct Case {
    Json request;
    const char* code;
  };
  const std::vector<state::EventWrite> many(101, good);
  for (const Case& c :
       {Case{Request({wrong_key}), "IDEMPOTENCY_KEY_MISMATCH"}, Case{Request({foreign}), "SCHEMA_VALIDATION_FAILED"},
        Case{Request({no_step}), "SCHEMA_VALIDATION_FAILED"}, Case{Request({}), "SCHEMA_VALIDATION_FAILED"},
        Case{Request(many), "SCHEMA_VALIDATION_FAILED"},
        Case{Json::MakeObject({{"tenantId", "t1"}}), "SCHEMA_VALIDATION_FAILED"},
        Case{Json("x"), "SCHEMA_VALIDATION_FAILED"}}) {
    const auto value = Call("emitEvents", {c.request});
    EXPECT_ERROR(value, c.code);
    EXPECT_FALSE(value.error().retryable) << c.code;
  }
  EXPECT_EQ(services_->store->HeadSeq(state::TenantScope("t1"), "run-1").value(), 1);
}

TEST_F(EngineActivitiesTest, EmitEvents_UnknownRun_IsNotRetryable) {
  EventBuilder builder;
  const auto value = Call("emitEvents", {Request({builder.Run("RunStarted")})});
  EXPECT_ERROR(value, "RUN_NOT_FOUND");
  EXPECT_FALSE(value.error().retryable);
}

TEST_F(EngineActivitiesTest, EmitEvents_AfterTheEnd_IsAnInvalidTransition) {
  EventBuilder builder;
  Bootstrap(builder);
  ASSERT_TRUE(Call("emitEvents", {Request({builder.Run("RunStarted"), builder.Run("RunCompleted")})}).has_value());
  const auto value = Call("emitEvents", {Request({builder.Step("StepStarted", "s1")})});
  EXPECT_ERROR(value, "INVALID_TRANSITION");
  EXPECT_FALSE(value.error().retryable);
}

TEST_F(EngineActivitiesTest, StoreOutages_AreRetryable) {
  const auto check = [this](const char* type, Json request) {
    const auto value = Call(type, {std::move(request)});
    EXPECT_ERROR(value, "STATE_STORE_UNAVAILABLE");
    EXPECT_TRUE(value.error().retryable);
    EXPECT_EQ(value.error().Detail("category"), "PLATFORM");
    EXPECT_EQ(value.error().Detail("source"), "engine");
  };
  EventBuilder builder;
  const Json events = Request({builder.Run("RunStarted")});
  const Json run = Json::MakeObject({{"tenantId", "t1"}, {"runId", "run-1"}});
  services_->store = nullptr;
  check("emitEvents", events);
  check("compileRunSnapshot", run);
}

TEST_F(EngineActivitiesTest, EmitEvents_LockedSqliteFile_IsATimeoutThatMayBeRetried) {
  const std::string path = (directory_.path() / "state.db").string();
  ASSERT_TRUE(state::MigrateSqliteStore(path, clock_).has_value());
  state::SqliteOptions options;
  options.services = {&clock_, &ids_, nullptr};
  options.write_budget_ms = 20;
  services_->store = state::OpenSqliteStore(path, options).value();
  EventBuilder builder;
  Bootstrap(builder);
  SqliteLock lock(path);
  const auto value = Call("emitEvents", {Request({builder.Run("RunStarted")})});
  EXPECT_ERROR(value, "STATE_STORE_TIMEOUT");
  EXPECT_TRUE(value.error().retryable);
}

TEST_F(EngineActivitiesTest, CompileRunSnapshot_GivesBothHashes) {
  EventBuilder builder;
  const std::vector<state::EventWrite> events = state::testing::HelloWorldEvents(builder);
  const std::vector<state::EventWrite> first{events.front()};
  ASSERT_TRUE(services_->store->BootstrapRun(state::TenantScope("t1"), builder.Metadata(), first).has_value());
  ASSERT_TRUE(Call("emitEvents", {Request({events.begin() + 1, events.end()})}).has_value());
  const auto value = Call("compileRunSnapshot", {Json::MakeObject({{"tenantId", "t1"}, {"runId", "run-1"}})});
  ASSERT_TRUE(value.has_value()) << value.error().ToString();
  EXPECT_EQ(CanonicalJson(*value),
            R"({"outcomeHash":"bcaaee094be9179bbfcffeabc11cea12934c123333d80faea0313db9b690caeb",)"
            R"("snapshotHash":"fee90b78e635e29d2f842538a53b0f1132d1dece1ea013a60c9db77c5c17f013","snapshotSeq":7})");
}

TEST_F(EngineActivitiesTest, CompileRunSnapshot_UnknownRunOrForeignTenant) {
  EventBuilder builder;
  Bootstrap(builder);
  EXPECT_FALSE(Call("compileRunSnapshot", {Json::MakeObject({{"tenantId", "t1"}, {"runId", "run-9"}})}).has_value());
  EXPECT_ERROR(Call("compileRunSnapshot", {Json::MakeObject({{"tenantId", "t2"}, {"runId", "run-1"}})}),
               "RUN_NOT_FOUND");
  EXPECT_ERROR(Call("compileRunSnapshot", {Json::MakeObject({{"runId", "run-1"}})}), "SCHEMA_VALIDATION_FAILED");
}

}  // namespace
}  // namespace lockstep::steps
