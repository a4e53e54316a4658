#include "engine-core/steps/simple_kinds.h"

#include "engine-core/steps/params.h"
#include "engine-core/steps/services.h"
#include "engine-core/steps/step_error.h"

namespace lockstep::steps {
namespace {

class Noop final : public StepExecutor {
 public:
  Result<StepOutput> Execute(const StepRequest& request, activity::ActivityContext&, Services&) override {
    LOCKSTEP_TRY(ParamReader(request.params).Finish());
    return StepOutput{};
  }
};

class Echo final : public StepExecutor {
 public:
  Result<StepOutput> Execute(const StepRequest& request, activity::ActivityContext&, Services&) override {
    ParamReader reader(request.params);
    const Json* message = reader.Any("message");
    if (message == nullptr) reader.Reject("message", "expected a value, found nothing");
    LOCKSTEP_TRY(reader.Finish());
    StepOutput output;
    output.result = *message;
    return output;
  }
};

// Spec 04 W10: a `sleep` step is a timer of the workflow. That one arrives here means that the workflow is at fault.
class SleepGuard final : public StepExecutor {
 public:
  Result<StepOutput> Execute(const StepRequest& request, activity::ActivityContext&, Services&) override {
    return Fail(PermanentError("step `" + request.step_id +
                               "`: kind `sleep` is a timer of the workflow and never work for a worker"));
  }
};

class Failing final : public StepExecutor {
 public:
  Result<StepOutput> Execute(const StepRequest& request, activity::ActivityContext& context,
                             Services& services) override {
    if (!services.configuration.test_kinds) {
      return Fail(StepError(
          "STEP_KIND_NOT_ALLOWED", Category::kUser, false,
          "step `" + request.step_id + "`: kind `fail` needs `testKinds: true` in the worker's configuration"));
    }
    ParamReader reader(request.params);
    const std::string mode = reader.RequiredString("mode");
    const auto fail_attempts = reader.OptionalInteger("failAttempts", 0, 1000);
    if (mode != "transient" && mode != "permanent") reader.Reject("mode", "expected `transient` or `permanent`");
    LOCKSTEP_TRY(reader.Finish());
    const int64_t attempt = AttemptsSoFar(request, context.info().attempt, mode == "permanent");
    if (fail_attempts && attempt > *fail_attempts) return StepOutput{};
    const std::string message =
        "step `" + request.step_id + "` fails as its plan asks (attempt " + std::to_string(attempt) + ")";
    return Fail(mode == "permanent" ? PermanentError(message) : TransientError(message));
  }

 private:
  // This attempt included, over all logical attempts. A logical attempt that failed permanently took one engine
  // attempt; one that failed transiently took all it may.
  static int64_t AttemptsSoFar(const StepRequest& request, int32_t engine_attempt, bool permanent) {
    const int64_t of_each_before = permanent || request.max_attempts < 1 ? 1 : request.max_attempts;
    return (request.logical_attempt_id - 1) * of_each_before + (permanent ? 1 : engine_attempt);
  }
};

}  // namespace

void RegisterSimpleKinds(ExecutorRegistry* registry) {
  registry->Register("noop", std::make_shared<Noop>());
  registry->Register("echo", std::make_shared<Echo>());
  registry->Register("sleep", std::make_shared<SleepGuard>());
  registry->Register("fail", std::make_shared<Failing>());
}

}  // namespace lockstep::steps
