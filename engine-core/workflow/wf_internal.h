// Small parts that the sources of the workflow API share: how options become fields of commands.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/runtime.h"

namespace lockstep::workflow::internal {

template <typename T>
void Set(const std::shared_ptr<FutureState<T>>& state, T value) {
  state->value.emplace(std::move(value));
  state->SetReady();
}

template <typename T>
Future<T> Ready(T value) {
  auto state = std::make_shared<FutureState<T>>();
  state->value.emplace(std::move(value));
  state->ready = true;
  return Future<T>(std::move(state));
}

inline void SetDuration(int64_t millis, google::protobuf::Duration* duration) {
  duration->set_seconds(millis / 1000);
  duration->set_nanos(static_cast<int32_t>(millis % 1000 * 1'000'000));
}

inline void FillRetry(const RetryOptions& retry, temporal::api::common::v1::RetryPolicy* policy) {
  SetDuration(retry.initial_interval_ms, policy->mutable_initial_interval());
  policy->set_backoff_coefficient(retry.backoff_coefficient);
  if (retry.max_interval_ms > 0) SetDuration(retry.max_interval_ms, policy->mutable_maximum_interval());
  policy->set_maximum_attempts(retry.max_attempts);
  for (const std::string& type : retry.non_retryable_types) policy->add_non_retryable_error_types(type);
}

inline void FillMetadata(std::string_view summary, std::string_view details, Command* command) {
  if (!summary.empty()) SetJson(summary, command->mutable_user_metadata()->mutable_summary());
  if (!details.empty()) SetJson(details, command->mutable_user_metadata()->mutable_details());
}

inline void FillMemo(const Json& memo, temporal::api::common::v1::Memo* filled) {
  if (!memo.is_object()) return;
  for (const auto& [key, value] : memo.AsObject()) SetJson(value, &(*filled->mutable_fields())[key]);
}

template <typename Attributes>
void FillPriority(const Priority& priority, Attributes* attributes) {
  if (priority.empty()) return;
  attributes->mutable_priority()->set_priority_key(priority.key);
  attributes->mutable_priority()->set_fairness_key(priority.fairness_key);
  attributes->mutable_priority()->set_fairness_weight(priority.fairness_weight);
}

}  // namespace lockstep::workflow::internal
