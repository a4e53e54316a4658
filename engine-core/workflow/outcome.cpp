#include "engine-core/workflow/outcome.h"

#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/failure/v1/message.pb.h>

#include "engine-core/workflow/payload.h"

namespace lockstep::workflow {

Failed ApplicationFailure(std::string type, std::string message, const temporal::api::common::v1::Payloads& details, bool retryable) {
  auto failure = std::make_shared<temporal::api::failure::v1::Failure>();
  failure->set_message(message);
  failure->set_source("LockstepCpp");
  auto* info = failure->mutable_application_failure_info();
  info->set_type(type);
  info->set_non_retryable(!retryable);
  if (details.payloads_size() > 0) *info->mutable_details() = details;
  return {Error(std::move(type), std::move(message), retryable), std::move(failure)};
}

Failed Failed::Because(const Failed& cause) const {
  auto failure = std::make_shared<temporal::api::failure::v1::Failure>();
  FillFailure(failure.get());
  cause.FillFailure(failure->mutable_cause());
  return {error, std::move(failure)};
}

void Failed::FillFailure(temporal::api::failure::v1::Failure* failure) const {
  if (chain != nullptr) {
    *failure = *chain;
  } else {
    ErrorToFailure(error, failure);
  }
}

}  // namespace lockstep::workflow
