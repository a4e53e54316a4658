// The sixteen stages in their order, each with its code (spec 01 section 4); golden and example plans; hostile input.
#include "engine-core/plan/loader.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine-core/base/files.h"
#include "engine-core/plan/gzip.h"
#include "engine-core/plan/test_support/mem_fetcher.h"
#include "engine-core/plan/test_support/plans.h"

namespace lockstep::plan {

class PlanCachePeer {
 public:
  static void Damage(PlanCache* cache, const std::string& tenant_id, const std::string& sha256) {
    cache->entries_.at({tenant_id, sha256}).bytes[0] ^= 1;
  }
};

namespace {

const std::string kGood = PlanText(R"([{"stepId":"a","kind":"noop"}])");

std::string Code(const Result<VerifiedPlan>& result) { return result ? "ok" : result.error().code; }
std::string VerifyCode(const std::string& text, const VerifyContext& context = Context()) {
  return Code(Verify(RefFor(text), text, context));
}

class AdmitTest : public testing::Test {
 protected:
  Result<VerifiedPlan> Load(const Json& ref) { return Admit(ref, context_, environment_); }
  Json Ref(const std::string& bytes) {
    fetcher_.Put("plan", bytes);
    return ToJson(RefFor(bytes));
  }
  MemFetcher fetcher_;
  PlanCache cache_;
  VerifyContext context_ = Context();
  AdmitEnvironment environment_{MemPolicy(), {}, &fetcher_, nullptr};
};

TEST_F(AdmitTest, GoodPlan_PassesAllStages) {
  const auto plan = Load(Ref(kGood));
  ASSERT_TRUE(plan.has_value()) << plan.error().ToString();
  EXPECT_EQ(plan->plan().table.plan_sha256, Sha256Hex(kGood));
  EXPECT_EQ(plan->bytes(), kGood);
  EXPECT_EQ(plan->report().status, ReportStatus::kValid);
  EXPECT_EQ(plan->ref().uri, "mem://plan");
}
TEST_F(AdmitTest, Stage1_PLAN_REF_INVALID) {
  Json ref = Ref(kGood);
  ref.Set("planId", "a|b");
  EXPECT_EQ(Code(Load(ref)), "PLAN_REF_INVALID");
}
TEST_F(AdmitTest, Stage2_PLAN_URI_NOT_ALLOWED_BeforeAnyFetch) {
  Json ref = Ref(kGood);
  ref.Set("uri", "https://plans.example.com/a");
  const auto plan = Load(ref);
  EXPECT_EQ(Code(plan), "PLAN_URI_NOT_ALLOWED");
  EXPECT_EQ(plan.error().Detail("check"), "scheme_allowlist");
  EXPECT_EQ(plan.error().Detail("planUri"), "https://plans.example.com/a");
  EXPECT_EQ(fetcher_.fetches(), 0);
}
TEST_F(AdmitTest, Stage3_PLAN_SCHEMA_VERSION_UNKNOWN) {
  Json ref = Ref(kGood);
  ref.Set("schemaVersion", "v1.3");
  EXPECT_EQ(Code(Load(ref)), "PLAN_SCHEMA_VERSION_UNKNOWN");
  EXPECT_EQ(fetcher_.fetches(), 0);
}
TEST_F(AdmitTest, Stage4_PLAN_REF_EXPIRED) {
  Json ref = Ref(kGood);
  ref.Set("expiresAt", FormatUtcMillis(context_.now));
  EXPECT_EQ(Code(Load(ref)), "PLAN_REF_EXPIRED");
  EXPECT_EQ(fetcher_.fetches(), 0);
  ref.Set("expiresAt", FormatUtcMillis(context_.now + 1));
  EXPECT_EQ(Code(Load(ref)), "ok");
}
TEST_F(AdmitTest, Stage5_PLAN_FETCH_FAILED_IsTheOnlyRetryableOne) {
  Json ref = Ref(kGood);
  ref.Set("uri", "mem://elsewhere");
  const auto plan = Load(ref);
  EXPECT_EQ(Code(plan), "PLAN_FETCH_FAILED");
  EXPECT_TRUE(plan.error().retryable);
}
TEST_F(AdmitTest, Stage5_PLAN_TOO_LARGE) {
  context_.max_plan_bytes = 20;
  EXPECT_EQ(Code(Load(Ref(kGood))), "PLAN_TOO_LARGE");
}
TEST_F(AdmitTest, StagesBeforeTheFailingOneDecide) {
  // Wrong everywhere: the earliest stage speaks.
  Json ref = Ref("not a plan");
  ref.Set("expiresAt", "2000-01-01T00:00:00.000Z").Set("uri", "file:///etc/passwd").Set("schemaVersion", "v9.9");
  EXPECT_EQ(Code(Load(ref)), "PLAN_URI_NOT_ALLOWED");
  ref.Set("uri", "mem://plan");
  EXPECT_EQ(Code(Load(ref)), "PLAN_SCHEMA_VERSION_UNKNOWN");
  ref.Set("schemaVersion", "v1.2");
  EXPECT_EQ(Code(Load(ref)), "PLAN_REF_EXPIRED");
  ref.AsObject().erase("expiresAt");
  EXPECT_EQ(Code(Load(ref)), "INVALID_PLAN_SCHEMA");
}
TEST_F(AdmitTest, Cache_SparesTheFetchPerTenantAndRechecksTheDigest) {
  environment_.cache = &cache_;
  const Json ref = Ref(kGood);
  EXPECT_EQ(Code(Load(ref)), "ok");
  EXPECT_EQ(Code(Load(ref)), "ok");
  EXPECT_EQ(fetcher_.fetches(), 1);
  context_.scope.tenant_id = "other";
  EXPECT_EQ(Code(Load(ref)), "ok");
  EXPECT_EQ(fetcher_.fetches(), 2);
  PlanCachePeer::Damage(&cache_, "other", Sha256Hex(kGood));
  EXPECT_EQ(Code(Load(ref)), "ok");
  EXPECT_EQ(fetcher_.fetches(), 3);
}
TEST_F(AdmitTest, Cache_HoldsUncompressedBytesOfACompressedReference) {
  environment_.cache = &cache_;
  Json ref = Ref(kGood);
  fetcher_.Put("plan", Gzip(kGood));
  ref.Set("compression", "gzip");
  EXPECT_EQ(Code(Load(ref)), "ok");
  const auto again = Load(ref);
  ASSERT_EQ(Code(again), "ok");
  EXPECT_EQ(fetcher_.fetches(), 1);
  EXPECT_EQ(ToJson(again->ref()), ref);
}

TEST(PlanCache, DropsTheOldestAndRefusesForeignBytes) {
  PlanCache cache(10);
  cache.Put("t", Sha256Hex("aaaa"), "aaaa");
  cache.Put("t", Sha256Hex("bbbb"), "bbbb");
  EXPECT_TRUE(cache.Get("t", Sha256Hex("aaaa")).has_value());
  cache.Put("t", Sha256Hex("cccc"), "cccc");
  EXPECT_FALSE(cache.Get("t", Sha256Hex("bbbb")).has_value());
  EXPECT_TRUE(cache.Get("t", Sha256Hex("aaaa")).has_value());
  cache.Put("t", Sha256Hex("dddd"), "eeee");
  EXPECT_FALSE(cache.Get("t", Sha256Hex("dddd")).has_value());
  EXPECT_EQ(cache.size_bytes(), 8U);
}

TEST(Verify, Stage5_PLAN_TOO_LARGE) {
  VerifyContext context = Context();
  context.max_plan_bytes = 20;
  EXPECT_EQ(VerifyCode(kGood, context), "PLAN_TOO_LARGE");
}
TEST(Verify, Stage6_PLAN_ENCODING_INVALID) {
  PlanRef ref = RefFor(kGood);
  ref.compression = Compression::kGzip;
  EXPECT_EQ(Code(Verify(ref, kGood, Context())), "PLAN_ENCODING_INVALID");
  EXPECT_EQ(Code(Verify(ref, Gzip(kGood), Context())), "ok");
}
TEST(Verify, Stage6_BombIs_PLAN_TOO_LARGE) {
  PlanRef ref = RefFor(kGood);
  ref.compression = Compression::kGzip;
  EXPECT_EQ(Code(Verify(ref, Gzip(std::string(5'000'000, ' ')), Context())), "PLAN_TOO_LARGE");
}
TEST(Verify, Stage7_PLAN_INTEGRITY_VALIDATION_FAILED_CarriesBothDigests) {
  const auto plan = Verify(RefFor(kGood), kGood + " ", Context());
  ASSERT_EQ(Code(plan), "PLAN_INTEGRITY_VALIDATION_FAILED");
  const Error& error = plan.error();
  EXPECT_FALSE(error.retryable);
  EXPECT_EQ(error.Detail("category"), "VALIDATION_ERROR");
  EXPECT_EQ(error.Detail("expectedSha256"), Sha256Hex(kGood));
  EXPECT_EQ(error.Detail("actualSha256"), Sha256Hex(kGood + " "));
  EXPECT_EQ(error.Detail("planUri"), "mem://plan");
  EXPECT_EQ(error.Detail("planId"), "p");
  EXPECT_EQ(error.Detail("planVersion"), "1");
}
TEST(Verify, Stage7_EveryFlippedBitIsNoticed) {
  rc::check([] {
    std::string bytes = kGood;
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] ^= static_cast<char>(1 << *rc::gen::inRange(0, 8));
    RC_ASSERT(Code(Verify(RefFor(kGood), bytes, Context())) == "PLAN_INTEGRITY_VALIDATION_FAILED");
  });
}
TEST(Verify, Stage8_PLAN_SIZE_MISMATCH) {
  PlanRef ref = RefFor(kGood);
  ref.size_bytes = static_cast<int64_t>(kGood.size()) + 1;
  EXPECT_EQ(Code(Verify(ref, kGood, Context())), "PLAN_SIZE_MISMATCH");
  ref.size_bytes = static_cast<int64_t>(kGood.size());
  EXPECT_EQ(Code(Verify(ref, kGood, Context())), "ok");
}
TEST(Verify, Stage9_INVALID_PLAN_SCHEMA) { EXPECT_EQ(VerifyCode("{}"), "INVALID_PLAN_SCHEMA"); }
TEST(Verify, Stage10_PLAN_SCHEMA_VERSION_MISMATCH) {
  const std::string text = PlanText(R"([{"stepId":"a","kind":"noop"}])", "", "", "v1.1");
  EXPECT_EQ(VerifyCode(text), "PLAN_SCHEMA_VERSION_MISMATCH");
  // Also when the body's version would not allow what the reference's does, and the other way round.
  const std::string newer = PlanText(R"([{"stepId":"a","kind":"noop"}])", "\"costHints\":{},");
  EXPECT_EQ(Code(Verify(RefFor(newer, "v1.0"), newer, Context())), "PLAN_SCHEMA_VERSION_MISMATCH");
  EXPECT_EQ(VerifyCode(PlanText(R"([{"stepId":"a","kind":"noop"}])", "", "", "v2.0")), "PLAN_SCHEMA_VERSION_MISMATCH");
}
TEST(Verify, Stage11_PLAN_REF_MISMATCH) {
  PlanRef ref = RefFor(kGood);
  ref.plan_id = "q";
  EXPECT_EQ(Code(Verify(ref, kGood, Context())), "PLAN_REF_MISMATCH");
  ref = RefFor(kGood);
  ref.plan_version = "2";
  const auto plan = Verify(ref, kGood, Context());
  ASSERT_EQ(Code(plan), "PLAN_REF_MISMATCH");
  EXPECT_EQ(plan.error().issues[0].path, "metadata.planVersion");
}
TEST(Verify, Stage12_INVALID_PLAN_SCHEMA_OfTheGraph) {
  EXPECT_EQ(VerifyCode(PlanText(R"([{"stepId":"a","kind":"nope","dependsOn":["b"]}])")), "INVALID_PLAN_SCHEMA");
}
TEST(Verify, Stage13_INVALID_STEP_SCHEMA) {
  EXPECT_EQ(VerifyCode(PlanText(R"([{"stepId":"a","kind":"nope"}])", "", R"(,"targetAdapter":"mock")")),
            "INVALID_STEP_SCHEMA");
}
TEST(Verify, Stage14_TARGET_ADAPTER_MISMATCH) {
  EXPECT_EQ(VerifyCode(PlanText(R"([{"stepId":"a"}])", "", R"(,"targetAdapter":"mock","requiresCapabilities":["zz"])")),
            "TARGET_ADAPTER_MISMATCH");
}
TEST(Verify, Stage14_UnknownAdapterOfTheRun_INVALID_TARGET_ADAPTER) {
  VerifyContext context = Context();
  context.target_adapter = "airflow";
  EXPECT_EQ(VerifyCode(kGood, context), "INVALID_TARGET_ADAPTER");
}
TEST(Verify, Stage15_CAPABILITIES_NOT_SUPPORTED_CarriesTheReport) {
  const std::string text =
      PlanText(R"([{"stepId":"a","taskQueue":"foreign"}])", "", R"(,"requiresCapabilities":["zz"])");
  const auto plan = Verify(RefFor(text), text, Context());
  ASSERT_EQ(Code(plan), "CAPABILITIES_NOT_SUPPORTED");
  EXPECT_EQ(plan.error().issues[0].code, "CAPABILITY_UNKNOWN");
  EXPECT_EQ(plan.error().issues[0].path, "metadata.requiresCapabilities[0]");
  EXPECT_EQ(J(plan.error().Detail("report")).GetString("status"), "ERRORS");
}
TEST(Verify, Stage16_TASK_QUEUE_NOT_ALLOWED) {
  const std::string text = PlanText(R"([{"stepId":"a","taskQueue":"tq-isolation-other-dev"}])");
  EXPECT_EQ(VerifyCode(text), "TASK_QUEUE_NOT_ALLOWED");
  VerifyContext context = Context();
  context.scope.allowed_queues = {"tq-isolation-other-dev"};
  EXPECT_EQ(VerifyCode(text, context), "ok");
}
TEST(Verify, Stage16_PLUGIN_POLICY_WEAKENS_PLATFORM) {
  PluginPlatform platform;
  VerifyContext context = Context();
  context.plugin_platform = &platform;
  EXPECT_EQ(VerifyCode(PlanText(R"([{"stepId":"a","kind":"plugin","plugin":{"pluginId":"x","version":"1"}}])",
                                R"("pluginPolicies":{"default":{"trustTier":"partner"}},)"),
                       context),
            "PLUGIN_POLICY_WEAKENS_PLATFORM");
}
TEST(Verify, Stage16_CUSTOM_SIGNAL_INVALID) {
  EXPECT_EQ(VerifyCode(PlanText(R"([{"stepId":"a"}])", R"("customSignals":[{"name":"PAUSE","payloadSchema":{}}],)")),
            "CUSTOM_SIGNAL_INVALID");
}
TEST(Verify, LastStage13_IsWhatAWorkerRepeats) {
  VerifyContext context = Context();
  context.last_stage = 13;
  const std::string text = PlanText(R"([{"stepId":"a","taskQueue":"foreign"}])", "",
                                    R"(,"targetAdapter":"mock","requiresCapabilities":["zz"])");
  EXPECT_EQ(VerifyCode(text, context), "ok");
  EXPECT_EQ(VerifyCode(PlanText(R"([{"stepId":"a","kind":"nope"}])"), context), "INVALID_STEP_SCHEMA");
}

TEST(PlanStoreFetcher, ReadsByDigest) {
  const auto pinned = PinPlan(kGood);
  ASSERT_TRUE(pinned.has_value());
  PlanStoreFetcher fetcher([](const std::string& sha256) -> Result<std::string> {
    if (sha256 == Sha256Hex(kGood)) return kGood;
    return Fail("STATE_STORE_TIMEOUT", "no answer");
  });
  AdmitEnvironment environment{UriPolicy{}, {}, &fetcher, nullptr};
  EXPECT_EQ(Code(Admit(ToJson(*pinned), Context(), environment)), "ok");
  PlanRef other = *pinned;
  other.sha256 = std::string(64, '0');
  other.uri = "plan:" + other.sha256;
  const auto missing = Admit(ToJson(other), Context(), environment);
  EXPECT_EQ(Code(missing), "PLAN_FETCH_FAILED");
  EXPECT_TRUE(missing.error().retryable);
  EXPECT_EQ(fetcher.Fetch(*pinned, {.max_bytes = 5}).error().code, "PLAN_TOO_LARGE");
}
TEST(SchemeFetcher, ChoosesBySchemeAndTellsWhatIsMissing) {
  SchemeFetcher fetcher;
  auto memory = std::make_shared<MemFetcher>();
  fetcher.Register("mem", memory);
  PlanRef ref = RefFor(kGood);
  memory->Put("plan", kGood);
  EXPECT_EQ(*fetcher.Fetch(ref, {}), kGood);
  ref.uri = "s3://bucket/x";
  const auto missing = fetcher.Fetch(ref, {});
  EXPECT_EQ(missing.error().code, "PLAN_FETCH_FAILED");
  EXPECT_FALSE(missing.error().retryable);
}

TEST(PinPlan, DigestVectorOfTheMinimalPlan) {
  const auto bytes = ReadFile(LOCKSTEP_SOURCE_DIR "/fixtures/plans/golden/plan-minimal.json");
  ASSERT_EQ(bytes->size(), 123U);
  const auto ref = PinPlan(*bytes);
  ASSERT_TRUE(ref.has_value());
  EXPECT_EQ(ref->uri, "plan:a986878982b35e031985b91826b534555abef216b207f77caf3827dd02e6c90a");
  EXPECT_EQ(ref->size_bytes, 123);
  EXPECT_EQ(ref->schema_version, "v1.2");
}
TEST(PinPlan, OlderPlan_KeepsItsVersionAndVerifies) {
  const auto bytes = ReadFile(LOCKSTEP_SOURCE_DIR "/fixtures/plans/good/sequential.v1.0.json");
  const auto ref = PinPlan(*bytes);
  ASSERT_TRUE(ref.has_value());
  EXPECT_EQ(ref->schema_version, "v1.0");
  EXPECT_EQ(Code(Verify(*ref, *bytes, Context())), "ok");
}

TEST(Fixtures, GoldenAndGoodPlansLoad) {
  size_t plans = 0;
  for (const char* folder : {"golden", "good"}) {
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(LOCKSTEP_SOURCE_DIR "/fixtures/plans/") + folder)) {
      const auto bytes = ReadFile(entry.path());
      const auto ref = PinPlan(*bytes, true);
      ASSERT_TRUE(ref.has_value()) << entry.path() << ref.error().ToString();
      const auto plan = Verify(*ref, *bytes, Context());
      EXPECT_EQ(Code(plan), "ok") << entry.path() << (plan ? "" : plan.error().ToString());
      ++plans;
    }
  }
  EXPECT_GE(plans, 9U);
}
TEST(Fixtures, BadPlansFailAsListed) {
  std::ifstream list(LOCKSTEP_SOURCE_DIR "/fixtures/plans/bad/expected.txt");
  size_t plans = 0;
  for (std::string line; std::getline(list, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string file, code, issue, path;
    words >> file >> code >> issue >> path;
    const auto bytes = ReadFile(LOCKSTEP_SOURCE_DIR "/fixtures/plans/bad/" + file);
    ASSERT_TRUE(bytes.has_value()) << file;
    EXPECT_EQ(Outcome(*bytes), issue == "-" ? code : code + " " + issue + " " + path) << file;
    ++plans;
  }
  EXPECT_EQ(plans, 10U);
}
TEST(Fixtures, FullExample_IsReadAsWritten) {
  const Plan plan = MustParse(*ReadFile(LOCKSTEP_SOURCE_DIR "/fixtures/plans/good/orders-daily.json"));
  EXPECT_EQ(plan.facts().on_step_failure, OnStepFailure::kHold);
  EXPECT_EQ(plan.facts().max_parallelism, 4);
  EXPECT_EQ(plan.table.custom_signals[0].required_role, Role::kEngineer);
  const Step& model = plan.steps()[2];
  EXPECT_EQ(model.depends_on, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(model.retry.max_attempts, 5);
  EXPECT_EQ(model.logical_retries, 1);
  EXPECT_EQ(model.target.at("schema"), "mart");
  EXPECT_EQ(model.wait_for_signal->name, "RELEASE");
  EXPECT_EQ(plan.steps()[1].plugin->version, "1.4.0");
  EXPECT_EQ(plan.steps()[1].worker_class, WorkerClass::kIsolation);
}

TEST(ParsePlanDocument, MutatedPlans_NeverCrashAndFailWithKnownCodes) {
  std::vector<std::string> seeds;
  for (const char* file :
       {"good/orders-daily.json", "good/conditional.v1.1.json", "good/sequential.v1.0.json", "good/gate.json"}) {
    seeds.push_back(*ReadFile(std::string(LOCKSTEP_SOURCE_DIR "/fixtures/plans/") + file));
  }
  rc::check([&] {
    Json document = J(*rc::gen::elementOf(seeds));
    Json* here = &document;
    for (int depth = *rc::gen::inRange(1, 8); depth > 0; --depth) {
      if (here->is_object() && !here->AsObject().empty()) {
        auto it = here->AsObject().begin();
        std::advance(it, *rc::gen::inRange<size_t>(0, here->AsObject().size()));
        here = &it->second;
      } else if (here->is_array() && !here->AsArray().empty()) {
        here = &here->AsArray()[*rc::gen::inRange<size_t>(0, here->AsArray().size())];
      }
    }
    *here = *rc::gen::element(Json(), Json(0), Json(-1), Json(1e300), Json("x"), Json("${"), Json("${params.a}"),
                              Json("plugin"), Json("v1.0"), Json("v1.1"), Json::MakeArray(), Json::MakeObject(),
                              Json(true), Json(Json::Array{Json("extract.orders")}), Json::MakeObject({{"$ref", "#"}}),
                              Json(std::string(70'000, 'x')));
    const std::string outcome = Outcome(CanonicalJson(document));
    const std::string code = outcome.substr(0, outcome.find(' '));
    RC_ASSERT((std::set<std::string>{"ok", "INVALID_PLAN_SCHEMA", "INVALID_STEP_SCHEMA", "CUSTOM_SIGNAL_INVALID",
                                     "PLAN_SCHEMA_VERSION_UNKNOWN", "PLUGIN_POLICY_WEAKENS_PLATFORM"}
                   .contains(code)));
  });
}
TEST(ParsePlanDocument, DamagedText_NeverCrashes) {
  const std::string seed = *ReadFile(LOCKSTEP_SOURCE_DIR "/fixtures/plans/good/conditional.v1.1.json");
  rc::check([&] {
    std::string text = seed;
    for (int i = *rc::gen::inRange(1, 4); i > 0; --i)
      text[*rc::gen::inRange<size_t>(0, text.size())] = *rc::gen::arbitrary<char>();
    ParsePlanDocument(text.substr(0, *rc::gen::inRange<size_t>(0, text.size() + 1)));
  });
}
TEST(ParsePlanDocument, ManyWrongKeysInManySteps_IsBounded) {
  std::string steps = "[";
  for (int i = 0; i < 10'000; ++i)
    steps += (i == 0 ? "" : ",") + ("{\"stepId\":\"s" + std::to_string(i) + "\",\"kind\":\"noop\",\"x\":1}");
  const auto parsed = ParsePlanDocument(PlanText(steps + "]"));
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().issues.size(), 256U);
  EXPECT_EQ(parsed.error().Detail("issueCount"), "10000");
  EXPECT_EQ(parsed.error().issues[0].path, "steps[0].x");
}

}  // namespace
}  // namespace lockstep::plan
