// Activities as plain functions, for workers that serve them. Arguments and results are decoded and encoded as payloads.h says;
// a function that wants to heartbeat or to learn of its cancellation takes an ActivityContext first.
//
//   Result<std::string> Compose(std::string greeting, std::string name);
//   LOCKSTEP_REGISTER_ACTIVITY("compose", Compose)
//
// A failure is returned as an Error: its code is the failure's type, `retryable == false` ends the retrying (activity/activity.h).
#pragma once

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "engine-core/activity/activity.h"
#include "engine-core/authoring/library.h"
#include "engine-core/authoring/payloads.h"

namespace lockstep::workflow::internal {

template <typename R>
Result<Json> ActivityResult(const R& value) {
  return JsonCodec<R>::To(value);
}
template <typename R>
Result<Json> ActivityResult(const Result<R>& result) {
  if (!result) return std::unexpected(result.error());
  if constexpr (std::is_void_v<R>) {
    return Json();
  } else {
    return JsonCodec<R>::To(*result);
  }
}

template <typename R, typename Function, typename... A>
activity::ActivityFunction WrapActivity(Function function) {
  return [function](activity::ActivityContext& context, const Json::Array& input) -> Result<Json> {
    Payloads payloads;
    for (const Json& argument : input) AddJson(argument, &payloads);
    auto arguments = DecodeAll<std::remove_cvref_t<A>...>(payloads);
    if (!arguments) return std::unexpected(arguments.error());
    return std::apply(
        [&](auto&&... argument) -> Result<Json> {
          if constexpr (std::is_void_v<R>) {
            function(context, std::move(argument)...);
            return Json();
          } else {
            return ActivityResult(function(context, std::move(argument)...));
          }
        },
        std::move(*arguments));
  };
}

template <typename R, typename... A>
activity::ActivityFunction MakeActivity(R (*function)(A...)) {
  const auto with_context = [function](activity::ActivityContext&, auto&&... argument) { return function(std::move(argument)...); };
  return WrapActivity<R, decltype(with_context), A...>(with_context);
}
template <typename R, typename... A>
activity::ActivityFunction MakeActivity(R (*function)(activity::ActivityContext&, A...)) {
  return WrapActivity<R, decltype(function), A...>(function);
}

}  // namespace lockstep::workflow::internal

#define LOCKSTEP_REGISTER_ACTIVITY(name, function)                                                                     \
  static const ::lockstep::workflow::internal::LibraryPart LOCKSTEP_UNIQUE(lockstep_activity_)(                        \
      [](::lockstep::workflow::WorkflowRegistry*, ::lockstep::activity::ActivityRegistry* activities) {                \
        if (activities != nullptr) activities->Register(name, ::lockstep::workflow::internal::MakeActivity(function)); \
      });
