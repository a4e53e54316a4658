// What the tests of step kinds share: a worker with its stores in a temporary directory, and one call to run a step
// through `executeStep`, as a provider does.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "engine-core/base/files.h"
#include "engine-core/steps/artifacts/directory_store.h"
#include "engine-core/steps/execute_step.h"
#include "engine-core/steps/secrets.h"
#include "engine-core/steps/testing/fake_activity_context.h"

namespace lockstep::steps::testing {

// Waits for what another thread or process will do. False only when something is broken: the bound is no measurement.
inline bool Eventually(const std::function<bool()>& condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

class StepTest : public ::testing::Test {
 protected:
  void SetUp() override {
    services_.artifacts = artifacts::OpenDirectoryStore(directory_.path() / "artifacts").value();
    services_.secrets = DirectorySecrets(directory_.path() / "secrets");
    context_.info_value.attempt = 1;
  }

  std::filesystem::path Path(const std::string& name) const { return directory_.path() / name; }
  std::string PathText(const std::string& name) const { return Path(name).string(); }

  void AddSecret(const std::string& secret_id, const std::string& key, const std::string& value) {
    const auto folder = Path("secrets/t1/dev/" + secret_id);
    std::filesystem::create_directories(folder);
    std::ofstream(folder / key) << value;
  }

  static Json Ctx() {
    return Json::MakeObject({{"tenantId", "t1"}, {"projectId", "p1"}, {"environmentId", "dev"}, {"runId", "run-1"}});
  }
  Json Input(const std::string& kind, Json params) const {
    Json step = Json::MakeObject({{"stepId", "s1"}, {"kind", kind}, {"params", std::move(params)}});
    if (!secret_refs_.is_null()) step.Set("secretRefs", secret_refs_);
    if (!target_.is_null()) step.Set("target", target_);
    Json input = Json::MakeObject({{"step", std::move(step)}, {"ctx", Ctx()}, {"logicalAttemptId", logical_attempt_}});
    if (!probes_.is_null()) input.Set("probes", probes_);
    return input;
  }
  Result<Json> Run(const std::string& kind, Json params) { return RunInput(Input(kind, std::move(params))); }
  Result<Json> RunInput(Json input) { return ExecuteStep(context_, Json::Array{std::move(input)}, services_); }

  // Runs on another thread, cancels once `begun` holds, and gives back how the step ended.
  Result<Json> RunAndCancel(const std::string& kind, Json params, const std::function<bool()>& begun) {
    Result<Json> out = Fail("NEVER_SET", "");
    std::thread worker([&] { out = Run(kind, std::move(params)); });
    EXPECT_TRUE(Eventually(begun));
    context_.Cancel();
    worker.join();
    return out;
  }

  std::string Artifact(const Json& ref) const {
    return services_.artifacts->Get(ref.GetString("uri"), UINT64_MAX).value();
  }
  // The content of the first artifact of that kind.
  std::string ArtifactOfKind(const Json& value, const std::string& kind) const {
    for (const Json& ref : value.Find("artifactRefs")->AsArray()) {
      if (ref.GetString("kind") == kind) return Artifact(ref);
    }
    ADD_FAILURE() << "no artifact of kind " << kind << " in " << CanonicalJson(value);
    return {};
  }

  TemporaryDirectory directory_ = TemporaryDirectory::Create("lockstep-steps").value();
  FakeActivityContext context_;
  Services services_;
  Json secret_refs_;
  Json target_;
  Json probes_;
  int64_t logical_attempt_ = 1;
};

// For EXPECT_TRUE: the result is an error of this code.
template <typename T>
::testing::AssertionResult FailsWith(const Result<T>& result, std::string_view code) {
  if (result.has_value()) return ::testing::AssertionFailure() << "expected " << code << ", found a value";
  if (result.error().code == code) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "expected " << code << ", found " << result.error().ToString();
}
#define EXPECT_ERROR(result, code) EXPECT_TRUE(::lockstep::steps::testing::FailsWith(result, code))

}  // namespace lockstep::steps::testing
