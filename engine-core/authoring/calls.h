// Typed calls: an activity, a child workflow or a Nexus operation declared once with its signature and used like a function.
// Outcomes are values (`Outcome<R>`); the source line of each call goes with its command.
//
//   inline const wf::Activity<std::string(std::string, int64_t)> kCompose{"compose", {.start_to_close_ms = 10'000}};
//   ...
//   auto letter = co_await kCompose("hello", 2);           // Outcome<std::string>
//   if (!letter) co_return letter.failed();
//   auto urgent = kCompose.with({.start_to_close_ms = 500})("now", 1);   // under way; await it later
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "engine-core/authoring/async.h"
#include "engine-core/authoring/payloads.h"

namespace lockstep::workflow {

namespace internal {

// A first argument that knows the line of the call.
template <typename T>
struct At {
  T value;
  Location where;
  template <typename U>
    requires std::is_convertible_v<U&&, T>
  At(U&& value_in, Location where_in = Location::current()) : value(std::forward<U>(value_in)), where(where_in) {}
};

template <typename R>
Outcome<R> OutcomeOf(const Result<Payloads>& result, const FailurePtr& chain) {
  if (!result) return Failed(result.error(), chain);
  auto value = DecodeResult<R>(*result);
  if (!value) return Failed(value.error());
  return std::move(*value);
}

// `Future` of a command with its payloads, seen as R.
template <typename R, typename Raw>
class [[nodiscard]] TypedFuture {
 public:
  explicit TypedFuture(Future<Raw> raw) : raw_(std::move(raw)) {}
  bool ready() const { return raw_.ready(); }
  struct Awaiter {
    typename Future<Raw>::Awaiter raw;
    bool await_ready() const noexcept { return raw.await_ready(); }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting, Location where = Location::current()) const {
      raw.await_suspend(awaiting, where);
    }
    Outcome<R> await_resume() const {
      const Raw outcome = raw.await_resume();
      return OutcomeOf<R>(outcome.result, outcome.chain);
    }
  };
  Awaiter operator co_await() const { return Awaiter{raw_.operator co_await()}; }
  const Future<Raw>& raw() const { return raw_; }

 private:
  Future<Raw> raw_;
};

// Void results are Unit.
template <typename R>
using ValueOf = std::conditional_t<std::is_void_v<R>, Unit, R>;

}  // namespace internal

template <typename R>
using ActivityFuture = internal::TypedFuture<R, ActivityOutcome>;

namespace internal {

inline ActivityOptions WithDefaults(ActivityOptions options) {
  // What every official SDK does where nothing else is asked for: stay on the workers of this version.
  if (options.task_queue.empty() || options.task_queue == info().task_queue) options.use_workflow_build_id = true;
  return options;
}
inline ChildWorkflowOptions WithDefaults(ChildWorkflowOptions options) {
  if (options.task_queue.empty() || options.task_queue == info().task_queue) options.inherit_build_id = true;
  return options;
}

// How each kind of call is issued.
struct ActivityIssuer {
  using Options = ActivityOptions;
  template <typename R>
  using FutureType = TypedFuture<R, ActivityOutcome>;
  template <typename R>
  static FutureType<R> Issue(const std::string& name, Payloads input, const Options& options, Location where) {
    return FutureType<R>(execute_activity(name, std::move(input), WithDefaults(options), where));
  }
};
struct LocalActivityIssuer {
  using Options = LocalActivityOptions;
  template <typename R>
  using FutureType = TypedFuture<R, ActivityOutcome>;
  template <typename R>
  static FutureType<R> Issue(const std::string& name, Payloads input, const Options& options, Location where) {
    return FutureType<R>(local_activity(name, std::move(input), options, where));
  }
};

}  // namespace internal

// A child under way. Awaiting it waits for its end.
template <typename R>
class [[nodiscard]] Child {
 public:
  explicit Child(ChildWorkflow child) : child_(std::move(child)), result_(child_.result) {}
  const std::string& workflow_id() const { return child_.workflow_id; }
  const Future<ChildStart>& started() const { return child_.started; }
  bool ready() const { return result_.ready(); }
  auto operator co_await() const { return result_.operator co_await(); }
  template <typename... A>
  Future<Status> signal(internal::At<std::string_view> name, const A&... arguments) const {
    return child_.signal(name.value, EncodeAll(arguments...), name.where);
  }

 private:
  ChildWorkflow child_;
  internal::TypedFuture<R, ChildOutcome> result_;
};

namespace internal {

struct ChildIssuer {
  using Options = ChildWorkflowOptions;
  template <typename R>
  using FutureType = Child<R>;
  template <typename R>
  static FutureType<R> Issue(const std::string& name, Payloads input, const Options& options, Location where) {
    return FutureType<R>(start_child_workflow(name, std::move(input), WithDefaults(options), where));
  }
};

template <typename Issuer, typename Signature>
class Call;

template <typename Issuer, typename R, typename... A>
class Call<Issuer, R(A...)> {
 public:
  using Options = typename Issuer::Options;
  using FutureType = typename Issuer::template FutureType<ValueOf<R>>;
  explicit Call(std::string name, Options options = {}) : name_(std::move(name)), options_(std::move(options)) {}

  const std::string& name() const { return name_; }
  const Options& options() const { return options_; }
  // The same call with other options.
  Call with(Options options) const { return Call(name_, std::move(options)); }

  FutureType operator()(At<A>... arguments) const
    requires(sizeof...(A) > 0)
  {
    const Location where = std::get<0>(std::tie(arguments...)).where;
    return Issuer::template Issue<ValueOf<R>>(name_, EncodeAll<A...>(arguments.value...), options_, where);
  }
  FutureType operator()(Location where = Location::current()) const
    requires(sizeof...(A) == 0)
  {
    return Issuer::template Issue<ValueOf<R>>(name_, Payloads(), options_, where);
  }

 private:
  std::string name_;
  Options options_;
};

}  // namespace internal

// `Activity<R(A...)>`: scheduled on a task queue, retried by the server.
template <typename Signature>
using Activity = internal::Call<internal::ActivityIssuer, Signature>;
// `LocalActivity<R(A...)>`: run by this worker inside the workflow task, for work of moments.
template <typename Signature>
using LocalActivity = internal::Call<internal::LocalActivityIssuer, Signature>;
// `ChildOf<R(A...)>`: a workflow of that type as a child.
template <typename Signature>
using ChildOf = internal::Call<internal::ChildIssuer, Signature>;

// A workflow elsewhere, known by its id; an empty run id means whichever runs now.
class External {
 public:
  explicit External(std::string workflow_id, std::string run_id = {})
      : workflow_id_(std::move(workflow_id)), run_id_(std::move(run_id)) {}
  template <typename... A>
  Future<Status> signal(internal::At<std::string_view> name, const A&... arguments) const {
    return signal_external(workflow_id_, run_id_, name.value, EncodeAll(arguments...), name.where);
  }
  Future<Status> cancel(std::string_view reason = {}, Location where = Location::current()) const {
    return cancel_external(workflow_id_, run_id_, reason, where);
  }

 private:
  std::string workflow_id_;
  std::string run_id_;
};

// An operation of a Nexus service under way. Awaiting it waits for its end.
template <typename R>
class [[nodiscard]] Operation {
 public:
  explicit Operation(NexusOperation operation) : operation_(std::move(operation)) {}
  bool ready() const { return operation_.result.ready(); }
  const Future<Result<std::string>>& started() const { return operation_.started; }
  struct Awaiter {
    Future<NexusOutcome>::Awaiter raw;
    bool await_ready() const noexcept { return raw.await_ready(); }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting, Location where = Location::current()) const {
      raw.await_suspend(awaiting, where);
    }
    Outcome<R> await_resume() const {
      const NexusOutcome outcome = raw.await_resume();
      if (!outcome.result) return Failed(outcome.result.error(), outcome.chain);
      auto value = Decode<R>(*outcome.result);
      if (!value) return Failed(value.error());
      return std::move(*value);
    }
  };
  Awaiter operator co_await() const { return Awaiter{operation_.result.operator co_await()}; }

 private:
  NexusOperation operation_;
};

// A service behind an endpoint: `NexusService calculator("math", "calculator"); co_await calculator.call<int64_t>("triple", 14);`
class NexusService {
 public:
  NexusService(std::string endpoint, std::string service, NexusOptions options = {})
      : endpoint_(std::move(endpoint)), service_(std::move(service)), options_(std::move(options)) {}
  template <typename R, typename A>
  Operation<R> call(internal::At<std::string_view> operation, const A& argument) const {
    return Operation<R>(start_nexus_operation(endpoint_, service_, operation.value, Encode(argument), options_, operation.where));
  }

 private:
  std::string endpoint_;
  std::string service_;
  NexusOptions options_;
};

}  // namespace lockstep::workflow
