#include "engine-core/state/keys.h"

#include <gtest/gtest.h>

#include "engine-core/state/event.h"
#include "engine-core/state/testing/event_builder.h"

namespace lockstep::state {
namespace {

constexpr std::string_view kU = "0d3c6a9e-4f0c-4a8e-9d5d-3d4c0f7dbb8a";

struct KeyVector {
  std::string_view run_id, step_id;
  int32_t attempt;
  std::string_view event_type, plan_id, plan_version, key;
};

TEST(IdempotencyKey, EqualsEveryVectorOfSpec02Section42) {
  const KeyVector vectors[] = {
      {kU, "model.orders", 1, "StepStarted", "plan_abc", "2",
       "7f4b974658a54fb2aee9ecb9cefebd2eec27f3fd01f0f8c0d031dfc4a5b96e3c"},
      {kU, "", 1, "RunStarted", "plan_abc", "2", "204197f81e5dc1a8491d8e411c440a730c51a741cd48a74863d3e5c4c452640d"},
      {kU, "model.orders", 2, "StepFailed", "plan_abc", "2",
       "599945c1a8023ece5d2ae5132a4397b8cfbe9fa1c4c08d6fc4193a9bd9a2ebcd"},
      {kU, "", 1, "RunFailed", "plan_abc", "3", "b5a178e6f30962ca3d17b573c0d4c5f96d7623be5fe62a972644785fc05a003b"},
      {kU, "seed.customers", 1, "StepSkipped", "plan_abc", "1",
       "6bfdbe26d62eac0c00cf2683aae31115e76e4d33d515e39957627be091367b31"},
      {kU, "model.orders", 10, "StepStarted", "plan_abc", "2",
       "12760c5b5259ce67b002675b5fdca77bee6878e9d400fda1d9fdbc335cf3b5fa"},
      {kU, "", 1, "RunPaused", "plan_abc", "2", "f4c16516208d041660c8e9517c6d510daaa43f311d87799c9527674a9c68f4bf"},
      {kU, "", 2, "RunPaused", "plan_abc", "2", "24b5104194bbed1adc10135e971cd554ca45d5f5c586ea8ed902a8dcd9504e88"},
      {kU, "", 2, "RunResumed", "plan_abc", "2", "c01c72766dd068d7a5389315b92a783cda53ab06bc9829591ee1da5f120acfbb"},
      {kU, "", 1, "SignalRejected", "plan_abc", "2",
       "a9885d303317a13624bf8675db87bf7fddc9043f12a3d4778bfea5024008b5e9"},
      {kU, "", 3, "SignalAccepted", "plan_abc", "2",
       "a31be36b3b382e57e55dc2f21627a350027d60e58d67537e0dccc52051798de6"},
      {"run-001", "", 1, "RunQueued", "plan-minimal", "1.0.0",
       "081d6b7c339a9e682fd8444d62b8e8298195c56b811d51f1df674e89387fa89a"},
  };
  for (const KeyVector& v : vectors) {
    EXPECT_EQ(IdempotencyKey(v.run_id, v.step_id, v.attempt, v.event_type, v.plan_id, v.plan_version), v.key)
        << v.event_type;
  }
}

struct LegacyVector {
  std::string_view run_id, step_id;
  int32_t attempt;
  std::string_view event_type, plan_version, key;
};
constexpr LegacyVector kLegacyVectors[] = {
    {"run-001", "model.orders", 1, "StepStarted", "1.2.0",
     "6c99484df8a52a1dc3f2533b796f7257c11f57149d3fe3277d4c7ab98433d033"},
    {"run-001", "", 1, "RunStarted", "1.2.0", "d219f09c191299aed8f136206aac54aba08233611a71d86470eb60174fb086b4"},
    {"run-001", "model.orders", 2, "StepFailed", "1.2.0",
     "4f18c2cf80d85cdea73fac0533dd58b1eb5d3acc92b6c13d6b445c821122c1e4"},
    {"run-001", "", 1, "RunFailed", "1.2.0", "ca371c53bc82cae11e9cacc286e8c769b06048e86714a8b1d79125cc37d04564"},
    {"run-002", "seed.customers", 1, "StepSkipped", "2026.02.19",
     "7132ad0fe081216bb22aeceb390c290b0737afdef5ac2d5f39a4b46181e157d0"},
};

TEST(LegacyIdempotencyKey, EqualsTheRetiredFiveFieldVectors) {
  for (const LegacyVector& v : kLegacyVectors) {
    EXPECT_EQ(LegacyIdempotencyKey(v.run_id, v.step_id, v.attempt, v.event_type, v.plan_version), v.key);
  }
}

TEST(CheckKey, RefusesEveryRetiredKey) {
  for (const LegacyVector& v : kLegacyVectors) {
    testing::EventBuilder builder{std::string(v.run_id), "t1", "plan_abc", std::string(v.plan_version)};
    EventWrite event =
        v.step_id.empty() ? builder.Run(v.event_type, v.attempt) : builder.Step(v.event_type, v.step_id, v.attempt);
    ASSERT_TRUE(CheckKey(event));
    event.idempotency_key = v.key;
    const Status status = CheckKey(event);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, "IDEMPOTENCY_KEY_MISMATCH");
  }
}

TEST(IdempotencyKey, IgnoresTenantProjectEnvironmentAndEngineAttempt) {
  testing::EventBuilder builder{std::string(kU), "t1", "plan_abc", "2"};
  EventWrite event = builder.Step("StepStarted", "model.orders");
  event.tenant_id = "other";
  event.project_id = "p9";
  event.environment_id = "prod";
  event.engine_attempt_id = 7;
  EXPECT_EQ(KeyOf(event), "7f4b974658a54fb2aee9ecb9cefebd2eec27f3fd01f0f8c0d031dfc4a5b96e3c");
}

TEST(IdempotencyKey, IsVerbatimAndCaseSensitive) {
  const std::string key = IdempotencyKey("run-1", "s1", 1, "StepStarted", "p", "1");
  EXPECT_NE(key, IdempotencyKey("Run-1", "s1", 1, "StepStarted", "p", "1"));
  EXPECT_NE(key, IdempotencyKey("run-1", "s1 ", 1, "StepStarted", "p", "1"));
  EXPECT_NE(key, IdempotencyKey("run-1", "s1", 11, "StepStarted", "p", "1"));
}

TEST(RunRequestKey, EqualsTheVectorOfSpec03Section33) {
  EXPECT_EQ(RunRequestKey("t1", "p1", "dev", "plan_abc", "2", "req-0001"),
            "38e7aab84230f0e7e3cf50b16ddc8daac3cb81eb3d901c0228ae0d41e0486631");
}

TEST(SignalFingerprint, EqualsTheVectorsOfSpec03Section8) {
  EXPECT_EQ(SignalFingerprint("PAUSE", Json::MakeObject({{"reason", "deploy"}}), ""),
            "7a4b9e2ba284999864b84e72b1d591f5c9ce2561ed8e75012398d932b479be53");
  EXPECT_EQ(
      SignalFingerprint("UPDATE_PARAMS", Json::MakeObject({{"params", Json::MakeObject({{"cutoff", "2026-02-19"}})}}),
                        "late data"),
      "f15a6f23a9fb6d7f63498eefa8f6fed59f8f54460f9e97af195f6a234e2d2f7f");
}

}  // namespace
}  // namespace lockstep::state
