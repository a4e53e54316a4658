// Workflows as classes. A class has a member coroutine `Run` and handlers; one macro names them all and makes the class known
// to whatever loads the program or library it stands in:
//
//   class Order {
//    public:
//     wf::Task<wf::Outcome<Receipt>> Run(OrderInput input);
//     void Approve(std::string who);                          // a signal that changes state
//     wf::Task<void> Ship(Parcel parcel);                     // a signal whose handler works on its own
//     int64_t Open() const;                                   // a query
//     Status CheckResize(int64_t count) const;                // the validator of
//     wf::Task<wf::Outcome<int64_t>> Resize(int64_t count);   // an update
//   };
//   LOCKSTEP_REGISTER_WORKFLOW(Order, "order", wf::Signal("approve", &Order::Approve), wf::Signal("ship", &Order::Ship),
//                              wf::Query("open", &Order::Open), wf::Update("resize", &Order::Resize, &Order::CheckResize))
//
// `Run` may return Task<R>, Task<Outcome<R>>, Task<Result<R>>, Task<void>, or Task<WorkflowResult> to continue as new. Update
// handlers likewise, with or without Task; queries return R, Outcome<R> or Result<R>. Arguments are decoded as payloads.h says;
// those that cannot be read fail the run, refuse the update or the query, and drop the signal with a warning.
//
// An instance lives as long as its execution. Handlers are in place before the first message is delivered, and code that waits
// for a message goes on before the other events of the same task are applied (`WorkflowConventions::messages_first`).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "engine-core/authoring/async.h"
#include "engine-core/authoring/calls.h"
#include "engine-core/authoring/library.h"
#include "engine-core/authoring/payloads.h"
#include "engine-core/workflow/registry.h"

namespace lockstep::workflow {

namespace internal {

template <typename F>
struct MethodTraits;
template <typename C, typename R, typename... A>
struct MethodTraits<R (C::*)(A...)> {
  using Class = C;
  using Return = R;
  using Arguments = std::tuple<std::remove_cvref_t<A>...>;
  static Result<Arguments> Decode(const Payloads& payloads) { return DecodeAll<std::remove_cvref_t<A>...>(payloads); }
};
template <typename C, typename R, typename... A>
struct MethodTraits<R (C::*)(A...) const> : MethodTraits<R (C::*)(A...)> {};

template <typename T>
struct TaskTraits {
  static constexpr bool kTask = false;
  using Value = T;
};
template <typename T>
struct TaskTraits<Task<T>> {
  static constexpr bool kTask = true;
  using Value = T;
};

template <typename C, typename M, typename Arguments>
auto Apply(C* self, M method, Arguments arguments) {
  return std::apply([&](auto&&... argument) { return (self->*method)(std::move(argument)...); }, std::move(arguments));
}

// Whatever a member function returns, as payloads or a failure.
inline Outcome<Payloads> ToOutcome(Unit) { return EncodeAll(Json()); }
template <typename T>
Outcome<Payloads> ToOutcome(const T& value) {
  return EncodeAll<T>(value);
}
template <typename T>
Outcome<Payloads> ToOutcome(const Outcome<T>& outcome) {
  if (!outcome.ok()) return outcome.failed();
  return ToOutcome(*outcome);
}
template <typename T>
Outcome<Payloads> ToOutcome(const Result<T>& result) {
  if (!result) return Failed(result.error());
  if constexpr (std::is_void_v<T>) {
    return ToOutcome(Unit{});
  } else {
    return ToOutcome(*result);
  }
}

template <typename C, typename M>
Task<Outcome<Payloads>> CallToOutcome(std::shared_ptr<C> self, M method, Payloads input) {
  auto arguments = MethodTraits<M>::Decode(input);
  if (!arguments) co_return Failed(arguments.error());
  using Return = typename MethodTraits<M>::Return;
  using Value = typename TaskTraits<Return>::Value;
  if constexpr (TaskTraits<Return>::kTask) {
    auto task = Apply(self.get(), method, std::move(*arguments));
    if constexpr (std::is_void_v<Value>) {
      co_await task;
      co_return ToOutcome(Unit{});
    } else {
      co_return ToOutcome(co_await task);
    }
  } else if constexpr (std::is_void_v<Return>) {
    Apply(self.get(), method, std::move(*arguments));
    co_return ToOutcome(Unit{});
  } else {
    co_return ToOutcome(Apply(self.get(), method, std::move(*arguments)));
  }
}

// A failure that a cancellation of the whole workflow brought about ends it as cancelled.
WorkflowResult EndWith(Outcome<Payloads> outcome, Location where);

template <typename C>
Task<WorkflowResult> RunClass(std::shared_ptr<C> self, Payloads input, Location where) {
  using Method = decltype(&C::Run);
  if constexpr (std::is_same_v<typename MethodTraits<Method>::Return, Task<WorkflowResult>>) {
    auto arguments = MethodTraits<Method>::Decode(input);
    if (!arguments) co_return failed(arguments.error(), where);
    auto task = Apply(self.get(), &C::Run, std::move(*arguments));
    co_return co_await task;
  } else {
    auto task = CallToOutcome(self, &C::Run, std::move(input));
    co_return EndWith(co_await task, where);
  }
}

void WarnUnreadableSignal(std::string_view name, const Error& error);

}  // namespace internal

// `wf::complete(value)` and `wf::next(arguments...)`: for a Run that returns Task<WorkflowResult>.
template <typename T>
WorkflowResult complete(const T& value, Location where = Location::current()) {
  return completed(EncodeAll<T>(value), where);
}

template <typename M>
class Signal {
 public:
  Signal(std::string name, M method) : name_(std::move(name)), method_(method) {}
  template <typename C>
  void Bind(const std::shared_ptr<C>& self) const {
    set_signal_handler(name_, [self = std::weak_ptr<C>(self), name = name_, method = method_](const Payloads& input) {
      const auto object = self.lock();
      auto arguments = internal::MethodTraits<M>::Decode(input);
      if (!arguments) return internal::WarnUnreadableSignal(name, arguments.error());
      if constexpr (internal::TaskTraits<typename internal::MethodTraits<M>::Return>::kTask) {
        spawn_handler(internal::Apply(object.get(), method, std::move(*arguments)));
      } else {
        internal::Apply(object.get(), method, std::move(*arguments));
      }
    });
  }

 private:
  std::string name_;
  M method_;
};

template <typename M>
class Query {
 public:
  Query(std::string name, M method) : name_(std::move(name)), method_(method) {}
  template <typename C>
  void Bind(const std::shared_ptr<C>& self) const {
    set_query_handler(name_, [self = std::weak_ptr<C>(self), method = method_](const Json::Array& input) -> Result<Json> {
      Payloads payloads;
      for (const Json& argument : input) AddJson(argument, &payloads);
      auto arguments = internal::MethodTraits<M>::Decode(payloads);
      if (!arguments) return std::unexpected(arguments.error());
      const Outcome<Payloads> answer = internal::ToOutcome(internal::Apply(self.lock().get(), method, std::move(*arguments)));
      if (!answer.ok()) return std::unexpected(answer.error());
      return ReadFirstJson(*answer);
    });
  }

 private:
  std::string name_;
  M method_;
};

// `check` has the parameters of `method`, returns Status and is const.
template <typename M, typename V = std::nullptr_t>
class Update {
 public:
  Update(std::string name, M method, V check = {}, Location where = Location::current())
      : name_(std::move(name)), method_(method), check_(check), where_(where) {}
  template <typename C>
  void Bind(const std::shared_ptr<C>& self) const {
    const std::weak_ptr<C> weak = self;
    UpdateHandler handler;
    handler.where = where_;
    handler.run = [weak, method = method_](const Payloads& input) { return internal::CallToOutcome(weak.lock(), method, input); };
    if constexpr (std::is_same_v<V, std::nullptr_t>) {
      handler.validate = [](const Payloads& input) -> Status {
        const auto arguments = internal::MethodTraits<M>::Decode(input);
        if (!arguments) return std::unexpected(arguments.error());
        return {};
      };
    } else {
      handler.validate = [weak, check = check_](const Payloads& input) -> Status {
        auto arguments = internal::MethodTraits<M>::Decode(input);
        if (!arguments) return std::unexpected(arguments.error());
        return internal::Apply(static_cast<const C*>(weak.lock().get()), check, std::move(*arguments));
      };
    }
    set_update_handler(name_, std::move(handler));
  }

 private:
  std::string name_;
  M method_;
  V check_;
  Location where_;
};

// Conventions as one of the parts: `wf::CommonCore()` makes histories that workers of the official Python, TypeScript and .NET
// SDKs can take over, and takes over theirs.
struct CommonCore {};

namespace internal {

template <typename C, typename... Parts>
void RegisterClass(WorkflowRegistry* registry, Location where, std::string type, Parts... parts) {
  WorkflowConventions conventions{.messages_first = true};
  conventions.common_core = (std::is_same_v<Parts, CommonCore> || ...);
  registry->Register(
      std::move(type),
      [where, parts = std::tuple(std::move(parts)...)](const Payloads& input) {
        auto self = std::make_shared<C>();
        const auto bind = [&self](const auto& part) {
          if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(part)>, CommonCore>) part.Bind(self);
        };
        std::apply([&](const auto&... part) { (bind(part), ...); }, parts);
        return RunClass<C>(std::move(self), input, where);
      },
      conventions);
}

}  // namespace internal
}  // namespace lockstep::workflow

#define LOCKSTEP_REGISTER_WORKFLOW(Class, ...)                                                                          \
  static const ::lockstep::workflow::internal::LibraryPart LOCKSTEP_UNIQUE(lockstep_workflow_)(                         \
      [](::lockstep::workflow::WorkflowRegistry* workflows, ::lockstep::activity::ActivityRegistry*) {                  \
        ::lockstep::workflow::internal::RegisterClass<Class>(workflows, ::std::source_location::current(), __VA_ARGS__); \
      });
