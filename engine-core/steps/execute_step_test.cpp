// `executeStep`: what goes in, what comes out, how it fails (spec 04 sections 5.1, 5.2, 10); and the kinds without a
// world.
#include "engine-core/steps/execute_step.h"

#include "engine-core/base/sha256.h"
#include "engine-core/steps/carriable.h"
#include "engine-core/steps/step_error.h"
#include "engine-core/steps/testing/step_test.h"

namespace lockstep::steps {
namespace {

class ExecuteStepTest : public testing::StepTest {
 protected:
  // An executor that does what a test wants.
  using Body = std::function<Result<StepOutput>(const StepRequest&, activity::ActivityContext&)>;
  void RegisterKind(const std::string& kind, Body body) {
    class Scripted final : public StepExecutor {
     public:
      explicit Scripted(Body body) : body_(std::move(body)) {}
      Result<StepOutput> Execute(const StepRequest& request, activity::ActivityContext& context, Services&) override {
        return body_(request, context);
      }

     private:
      Body body_;
    };
    services_.executors.Register(kind, std::make_shared<Scripted>(std::move(body)));
  }
  Result<Json> Echo(Json message) { return Run("echo", Json::MakeObject({{"message", std::move(message)}})); }
};

TEST_F(ExecuteStepTest, Noop_HasNoResult) {
  const auto value = Run("noop", Json::MakeObject());
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_EQ(value->GetString("status"), "SUCCESS");
  EXPECT_EQ(value->Find("result"), nullptr);
  EXPECT_EQ(CanonicalJson(*value->Find("artifactRefs")), "[]");
  EXPECT_EQ(CanonicalJson(*value->Find("probes")), "{}");
  EXPECT_EQ(value->GetInt("engineAttemptId"), 1);
  EXPECT_TRUE(value->Find("durationMs")->is_int());
}

TEST_F(ExecuteStepTest, Echo_ReturnsItsMessageOfAnyKind) {
  for (const Json& message :
       {Json("text"), Json(7), Json(nullptr), Json(Json::Array{1, "a"}), Json::MakeObject({{"a", true}})}) {
    EXPECT_EQ(*Echo(message)->Find("result"), message);
  }
  EXPECT_ERROR(Run("echo", Json::MakeObject()), "INVALID_STEP_SCHEMA");
  EXPECT_ERROR(Run("noop", Json::MakeObject({{"x", 1}})), "INVALID_STEP_SCHEMA");
}

TEST_F(ExecuteStepTest, Sleep_IsNeverWorkForAWorker) {
  EXPECT_ERROR(Run("sleep", Json::MakeObject({{"durationMs", 5}})), "PERMANENT_STEP_ERROR");
}

TEST_F(ExecuteStepTest, EngineAttempt_IsTheAttemptOfTheActivity) {
  context_.info_value.attempt = 3;
  EXPECT_EQ(Run("noop", Json::MakeObject())->GetInt("engineAttemptId"), 3);
  EXPECT_EQ(Run("sleep", Json::MakeObject({{"durationMs", 5}})).error().Detail("engineAttemptId"), "3");
}

TEST_F(ExecuteStepTest, Fail_NeedsTestKinds) {
  EXPECT_ERROR(Run("fail", Json::MakeObject({{"mode", "permanent"}})), "STEP_KIND_NOT_ALLOWED");
}

TEST_F(ExecuteStepTest, Fail_Modes) {
  services_.configuration.test_kinds = true;
  const auto permanent = Run("fail", Json::MakeObject({{"mode", "permanent"}}));
  EXPECT_ERROR(permanent, "PERMANENT_STEP_ERROR");
  EXPECT_FALSE(permanent.error().retryable);
  const auto transient = Run("fail", Json::MakeObject({{"mode", "transient"}}));
  EXPECT_ERROR(transient, "TRANSIENT_STEP_ERROR");
  EXPECT_TRUE(transient.error().retryable);
  EXPECT_ERROR(Run("fail", Json::MakeObject({{"mode", "sometimes"}})), "INVALID_STEP_SCHEMA");
}

// One row per attempt: did it fail?
TEST_F(ExecuteStepTest, Fail_CountsAttemptsOverEngineAndLogicalRetries) {
  services_.configuration.test_kinds = true;
  const auto fails = [this](const char* mode, int64_t fail_attempts, int64_t max_attempts, int64_t logical,
                            int32_t engine) {
    logical_attempt_ = logical;
    context_.info_value.attempt = engine;
    Json input = Input("fail", Json::MakeObject({{"mode", mode}, {"failAttempts", fail_attempts}}));
    input.Find("step")->Set("maxAttempts", max_attempts);
    return !RunInput(std::move(input)).has_value();
  };
  EXPECT_FALSE(fails("transient", 0, 3, 1, 1));
  EXPECT_TRUE(fails("transient", 2, 3, 1, 1));
  EXPECT_TRUE(fails("transient", 2, 3, 1, 2));
  EXPECT_FALSE(fails("transient", 2, 3, 1, 3));
  // A step that fails once, with one logical retry (golden plan `plan-retry`).
  EXPECT_TRUE(fails("transient", 1, 1, 1, 1));
  EXPECT_FALSE(fails("transient", 1, 1, 2, 1));
  EXPECT_TRUE(fails("permanent", 1, 3, 1, 1));
  EXPECT_FALSE(fails("permanent", 1, 3, 2, 1));
  // Two attempts of the first logical attempt, then one more.
  EXPECT_TRUE(fails("transient", 3, 2, 2, 1));
  EXPECT_FALSE(fails("transient", 3, 2, 2, 2));
}

TEST_F(ExecuteStepTest, Kind_Unknown_IsAStepSchemaError) {
  const auto value = Run("plugin", Json::MakeObject());
  EXPECT_ERROR(value, "INVALID_STEP_SCHEMA");
  EXPECT_EQ(value.error().issues.at(0).code, "kind_unknown");
}

TEST_F(ExecuteStepTest, Skipped_IsPassedOn) {
  RegisterKind("test.skip", [](const StepRequest&, activity::ActivityContext&) {
    StepOutput output;
    output.status = StepStatus::kSkipped;
    return output;
  });
  EXPECT_EQ(Run("test.skip", Json::MakeObject())->GetString("status"), "SKIPPED");
}

TEST_F(ExecuteStepTest, Request_ReachesTheExecutorWhole) {
  StepRequest seen;
  RegisterKind("test.look", [&seen](const StepRequest& request, activity::ActivityContext&) {
    seen = request;
    return StepOutput{};
  });
  AddSecret("db", "password", "s3cr3t-value\n");
  const std::string digest = Sha256Hex("x");
  Json input =
      ParseJson(
          R"({"step":{"stepId":"a/b","kind":"test.look","params":{"p":1},"target":{"schema":"mart"},"maxAttempts":4,
      "secretRefs":[{"name":"PW","secretId":"db","key":"password"}],"future":true},
      "ctx":{"tenantId":"t1","projectId":"p1","environmentId":"dev","runId":"r1","more":1},"logicalAttemptId":2,
      "artifacts":[{"kind":"stdout","uri":"artifact:sha256/)" +
          digest + R"(","sha256":")" + digest + R"("}],
      "probes":["","/a"],"future":1})")
          .value();
  ASSERT_TRUE(RunInput(input).has_value());
  EXPECT_EQ(seen.step_id, "a/b");
  EXPECT_EQ(seen.params.GetInt("p"), 1);
  EXPECT_EQ(seen.target.at("schema"), "mart");
  EXPECT_EQ(seen.logical_attempt_id, 2);
  EXPECT_EQ(seen.max_attempts, 4);
  EXPECT_EQ(seen.run.run_id, "r1");
  EXPECT_EQ(seen.inputs.at(0).sha256, digest);
  EXPECT_EQ(seen.secrets.at("PW"), "s3cr3t-value");
  EXPECT_EQ(seen.probes.size(), 2u);
}

TEST_F(ExecuteStepTest, Input_WrongShapes_NameTheirPlace) {
  const auto path_of = [this](const std::function<void(Json*)>& damage) {
    Json input = Input("noop", Json::MakeObject());
    damage(&input);
    const auto value = RunInput(std::move(input));
    EXPECT_ERROR(value, "INVALID_STEP_SCHEMA");
    return value.has_value() || value.error().issues.empty() ? std::string() : value.error().issues.front().path;
  };
  EXPECT_EQ(path_of([](Json* input) { *input = Json("text"); }), "$");
  EXPECT_EQ(path_of([](Json* input) { input->AsObject().erase("step"); }), "step");
  EXPECT_EQ(path_of([](Json* input) { input->AsObject().erase("ctx"); }), "ctx");
  EXPECT_EQ(path_of([](Json* input) { input->Find("ctx")->Set("runId", 7); }), "ctx.runId");
  EXPECT_EQ(path_of([](Json* input) { input->Find("ctx")->Set("tenantId", "../x"); }), "ctx.tenantId");
  EXPECT_EQ(path_of([](Json* input) { input->Find("step")->Set("stepId", "RUN"); }), "step.stepId");
  EXPECT_EQ(path_of([](Json* input) { input->Find("step")->AsObject().erase("kind"); }), "step.kind");
  EXPECT_EQ(path_of([](Json* input) { input->Find("step")->Set("params", "x"); }), "params");
  EXPECT_EQ(path_of([](Json* input) { input->Find("step")->Set("target", Json::MakeObject({{"schema", 1}})); }),
            "target.schema");
  EXPECT_EQ(path_of([](Json* input) { input->Set("logicalAttemptId", 0); }), "logicalAttemptId");
  EXPECT_EQ(path_of([](Json* input) { input->Set("artifacts", Json(Json::Array{"x"})); }), "artifacts[0]");
  EXPECT_EQ(path_of([](Json* input) { input->Set("probes", Json(Json::Array{"a"})); }), "probes[0]");
  EXPECT_EQ(path_of([](Json* input) {
              input->Find("step")->Set(
                  "secretRefs", Json(Json::Array{Json::MakeObject({{"name", "1"}, {"secretId", "a"}, {"key", "k"}})}));
            }),
            "secretRefs[0].name");
  EXPECT_ERROR(ExecuteStep(context_, {}, services_), "INVALID_STEP_SCHEMA");
}

TEST_F(ExecuteStepTest, Result_AtTheInlineLimit_StaysInline_OneByteMoreTravelsAsAnArtifact) {
  const std::string fits(kMaxInlineResultBytes - 2, 'x');  // and two quotes
  const auto inline_value = Echo(fits);
  EXPECT_NE(inline_value->Find("result"), nullptr);
  EXPECT_EQ(inline_value->Find("resultRef"), nullptr);
  const auto value = Echo(fits + "x");
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_EQ(value->Find("result"), nullptr);
  EXPECT_EQ(Artifact(*value->Find("resultRef")), "\"" + fits + "x\"");
  EXPECT_EQ(value->Find("artifactRefs")->AsArray().at(0), *value->Find("resultRef"));
  EXPECT_EQ(value->Find("resultRef")->GetString("kind"), "result");
}

TEST_F(ExecuteStepTest, Result_ThatAnEventCannotCarry_TravelsAsAnArtifact) {
  Json deep("x");
  for (size_t level = 1; level < kMaxResultDepth; ++level) deep = Json(Json::Array{std::move(deep)});
  EXPECT_NE(Echo(deep)->Find("result"), nullptr);
  EXPECT_NE(Echo(Json(Json::Array{std::move(deep)}))->Find("resultRef"), nullptr);
  for (const Json& number : {Json(int64_t{9007199254740991}), Json(1.5), Json(1e300), Json(-9007199254740991.0)}) {
    EXPECT_NE(Echo(number)->Find("result"), nullptr) << CanonicalJson(number);
  }
  for (const Json& number : {Json(int64_t{9007199254740992}), Json(1e18), Json(int64_t{INT64_MIN})}) {
    const auto value = Echo(Json::MakeObject({{"n", number}}));
    EXPECT_EQ(value->Find("result"), nullptr) << CanonicalJson(number);
    EXPECT_EQ(Artifact(*value->Find("resultRef")), R"({"n":)" + CanonicalJson(number) + "}");
  }
}

TEST_F(ExecuteStepTest, Probes_AreTheScalarsOfTheWholeResult) {
  probes_ = ParseJson(R"(["/n","/t","/f","/none","/o","/list/1","/long","/absent"])").value();
  Json message = ParseJson(R"({"n":1.5,"t":"x","f":false,"none":null,"o":{"a":1},"list":[1,2]})").value();
  message.Set("long", std::string(254, 'y'));
  const std::string expected =
      R"({"/f":false,"/list/1":2,"/long":")" + std::string(254, 'y') + R"(","/n":1.5,"/none":null,"/t":"x"})";
  EXPECT_EQ(CanonicalJson(*Echo(message)->Find("probes")), expected);
  message.Set("long", std::string(300, 'y'));
  EXPECT_EQ(Echo(message)->Find("probes")->Find("/long"), nullptr);
  // Also when the result itself does not travel.
  message.Set("ballast", std::string(kMaxInlineResultBytes, 'z'));
  const auto spilled = Echo(message);
  EXPECT_EQ(spilled->Find("result"), nullptr);
  EXPECT_EQ(spilled->Find("probes")->Find("/t")->AsString(), "x");
}

TEST_F(ExecuteStepTest, ArtifactRefs_TooMany_AreRefused) {
  RegisterKind("test.many", [](const StepRequest&, activity::ActivityContext&) {
    StepOutput output;
    for (int i = 0; i < 400; ++i)
      output.artifacts.push_back({artifacts::ArtifactUri(Sha256Hex("x")), "file:x", Sha256Hex("x"), 1, ""});
    return output;
  });
  EXPECT_ERROR(Run("test.many", Json::MakeObject()), "ARTIFACT_LIMIT_EXCEEDED");
}

TEST_F(ExecuteStepTest, Error_CarriesCategorySourceAttemptAndDuration) {
  const auto value = Run("sleep", Json::MakeObject({{"durationMs", 5}}));
  EXPECT_EQ(value.error().Detail("category"), "USER");
  EXPECT_EQ(value.error().Detail("source"), "activity");
  EXPECT_EQ(value.error().Detail("engineAttemptId"), "1");
  EXPECT_FALSE(value.error().Detail("durationMs").empty());
  EXPECT_EQ(Run("nowhere", Json::MakeObject()).error().Detail("category"), "VALIDATION_ERROR");
}

TEST_F(ExecuteStepTest, Error_LongText_IsCut_AndAboveFourKilobytesKeptAsAnArtifact) {
  std::string text;
  RegisterKind("test.fail", [&text](const StepRequest&, activity::ActivityContext&) -> Result<StepOutput> {
    return Fail(PermanentError(text));
  });
  text = std::string(3000, 'a') + "\xc3\xa4";
  auto value = Run("test.fail", Json::MakeObject());
  EXPECT_EQ(value.error().message.size(), kMaxErrorMessageBytes);
  EXPECT_EQ(value.error().Detail("errorText"), text);
  text = std::string(5000, 'b');
  value = Run("test.fail", Json::MakeObject());
  EXPECT_EQ(value.error().message, std::string(kMaxErrorMessageBytes, 'b'));
  EXPECT_EQ(value.error().Detail("errorText"), "");
  EXPECT_EQ(Artifact(ParseJson(value.error().Detail("errorArtifact")).value()), text);
}

TEST_F(ExecuteStepTest, Secrets_AreMaskedInResultAndError) {
  AddSecret("db", "password", "s3cr3t-value");
  secret_refs_ = Json(Json::Array{Json::MakeObject({{"name", "PW"}, {"secretId", "db"}, {"key", "password"}})});
  RegisterKind("test.leak", [](const StepRequest& request, activity::ActivityContext&) {
    StepOutput output;
    output.result = Json::MakeObject({{"said", "it is " + request.secrets.at("PW")}});
    return output;
  });
  EXPECT_EQ(Run("test.leak", Json::MakeObject())->At("/result/said")->AsString(), "it is ***");
  RegisterKind("test.cry", [](const StepRequest& request, activity::ActivityContext&) -> Result<StepOutput> {
    return Fail(PermanentError("bad " + request.secrets.at("PW")));
  });
  EXPECT_EQ(Run("test.cry", Json::MakeObject()).error().message, "bad ***");
}

TEST_F(ExecuteStepTest, Secrets_Missing_FailTheStepBeforeItBegins) {
  secret_refs_ = Json(Json::Array{Json::MakeObject({{"name", "PW"}, {"secretId", "nowhere"}, {"key", "k"}})});
  const auto value = Run("noop", Json::MakeObject());
  EXPECT_ERROR(value, "SECRET_NOT_FOUND");
  EXPECT_FALSE(value.error().retryable);
  services_.secrets = nullptr;
  EXPECT_ERROR(Run("noop", Json::MakeObject()), "SECRET_NOT_FOUND");
}

TEST_F(ExecuteStepTest, Secrets_OfAnotherTenant_LookMissing) {
  const auto folder = Path("secrets/other/dev/db");
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "password") << "foreign";
  std::ofstream(Path("secrets/loose")) << "loose";
  const RunIdentity run{"t1", "p1", "dev", "r1"};
  for (const SecretRef& ref : {SecretRef{"A", "../../other/dev/db", "password", ""}, SecretRef{"A", "..", "..", ""},
                               SecretRef{"A", "db", "password", ""}, SecretRef{"A", "db", "../../../loose", ""},
                               SecretRef{"A", "", "k", ""}}) {
    EXPECT_ERROR(services_.secrets->Resolve(run, ref), "SECRET_NOT_FOUND");
  }
}

TEST_F(ExecuteStepTest, Secrets_PinnedVersion) {
  AddSecret("db@7", "password", "seventh");
  AddSecret("db", "password", "latest");
  const RunIdentity run{"t1", "p1", "dev", "r1"};
  EXPECT_EQ(services_.secrets->Resolve(run, {"A", "db", "password", ""}).value(), "latest");
  EXPECT_EQ(services_.secrets->Resolve(run, {"A", "db", "password", "7"}).value(), "seventh");
  EXPECT_ERROR(services_.secrets->Resolve(run, {"A", "db", "password", "8"}), "SECRET_NOT_FOUND");
}

TEST_F(ExecuteStepTest, Cancelled_BeforeTheStart_DoesNothing) {
  bool ran = false;
  RegisterKind("test.mark", [&ran](const StepRequest&, activity::ActivityContext&) {
    ran = true;
    return StepOutput{};
  });
  context_.Cancel();
  const auto value = Run("test.mark", Json::MakeObject());
  EXPECT_ERROR(value, "CANCELLED");
  EXPECT_FALSE(value.error().retryable);
  EXPECT_FALSE(ran);
}

TEST_F(ExecuteStepTest, ParametersAfterResolution_AreHeldAgainstTheSchemaOfTheKind) {
  const auto value =
      Run("http.request",
          Json::MakeObject({{"method", "GET"}, {"url", "https://h/"}, {"expectStatus", Json(Json::Array{200, 200})}}));
  EXPECT_ERROR(value, "INVALID_STEP_SCHEMA");
  EXPECT_EQ(value.error().issues.at(0).path, "params.expectStatus");
}

TEST(MakeServices, TakesSecretsFromTheConfiguredDirectory) {
  WorkerConfiguration configuration;
  EXPECT_EQ(MakeServices(configuration, nullptr, nullptr)->secrets, nullptr);
  configuration.secrets_directory = "/run/secrets";
  EXPECT_NE(MakeServices(configuration, nullptr, nullptr)->secrets, nullptr);
}

TEST(ExecutorRegistry, BuiltInKinds) {
  EXPECT_EQ(BuiltInExecutors().Kinds(),
            (std::vector<std::string>{"dbt.compile", "dbt.run", "dbt.test", "echo", "fail", "http.request", "noop",
                                      "process.run", "sleep", "sql.query"}));
}

}  // namespace
}  // namespace lockstep::steps
