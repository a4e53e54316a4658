// Concurrency inside a workflow: tasks beside the caller, waiting for all of several things or for the first, channels,
// semaphores and the mutex. All of it runs on the execution's one logical thread; waiters are served in the order in which
// they began to wait, so that everything follows from the history.
#pragma once

#include <algorithm>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "engine-core/workflow/outcome.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::workflow {

// Anything that will be ready: a command's future, a typed call, a task that was started.
template <typename F>
concept Awaitable = requires(const F& future) {
  { future.ready() } -> std::convertible_to<bool>;
  future.operator co_await();
};

namespace internal {

template <typename T>
struct AsyncState : FutureState<T> {
  std::exception_ptr error;
};

template <typename F>
using AwaitedType = std::remove_cvref_t<decltype(std::declval<const F&>().operator co_await().await_resume())>;

template <typename T>
Task<void> RunAsync(Task<T> body, std::shared_ptr<AsyncState<std::conditional_t<std::is_void_v<T>, Unit, T>>> state) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await body;
      state->value.emplace();
    } else {
      state->value.emplace(co_await body);
    }
  } catch (...) {
    state->error = std::current_exception();
  }
  state->SetReady();
}

}  // namespace internal

// A task that runs beside its starter; awaiting it gives its value, or throws what it threw (`Cancelled`).
template <typename T>
class [[nodiscard]] Async {
 public:
  explicit Async(std::shared_ptr<internal::AsyncState<T>> state) : state_(std::move(state)) {}
  bool ready() const { return state_->ready; }

  struct Awaiter {
    std::shared_ptr<internal::AsyncState<T>> state;
    bool await_ready() const noexcept { return state->ready; }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting, Location where = Location::current()) const {
      state->Await(&awaiting.promise(), where);
    }
    T await_resume() const {
      if (state->error) std::rethrow_exception(state->error);
      return *state->value;
    }
  };
  Awaiter operator co_await() const { return Awaiter{state_}; }

 private:
  std::shared_ptr<internal::AsyncState<T>> state_;
};

// Starts `body` at the caller's next wait, in the caller's scope.
template <typename T>
auto start(Task<T> body) {
  using Value = std::conditional_t<std::is_void_v<T>, Unit, T>;
  auto state = std::make_shared<internal::AsyncState<Value>>();
  spawn(internal::RunAsync(std::move(body), state));
  return Async<Value>(std::move(state));
}

// The values of all, in the order of the arguments, whatever the order in which they came.
template <Awaitable... F>
  requires(sizeof...(F) > 0)
Task<std::tuple<internal::AwaitedType<F>...>> all_of(F... futures) {
  // Braces evaluate from left to right.
  co_return std::tuple<internal::AwaitedType<F>...>{co_await futures...};
}
template <Awaitable F>
Task<std::vector<internal::AwaitedType<F>>> all_of(std::vector<F> futures) {
  std::vector<internal::AwaitedType<F>> values;
  values.reserve(futures.size());
  for (const F& future : futures) values.push_back(co_await future);
  co_return values;
}

// The index of the first that is ready; of several ready in one task the one named first. Throws Cancelled.
template <Awaitable... F>
  requires(sizeof...(F) > 0)
Task<size_t> first_of(F... futures) {
  const auto first = [&]() -> std::optional<size_t> {
    size_t index = 0;
    std::optional<size_t> found;
    ((found = !found && futures.ready() ? std::optional(index) : found, ++index), ...);
    return found;
  };
  co_await wait_until([&first] { return first().has_value(); });
  co_return *first();
}
template <Awaitable F>
Task<size_t> first_of(std::vector<F> futures) {
  const auto first = [&futures]() -> std::optional<size_t> {
    for (size_t i = 0; i < futures.size(); ++i) {
      if (futures[i].ready()) return i;
    }
    return std::nullopt;
  };
  co_await wait_until([&first] { return first().has_value(); });
  co_return *first();
}

namespace internal {

// A place in a line, kept for as long as its owner waits.
struct Turn {
  explicit Turn(std::deque<uint64_t>* line_in) : line(line_in), number(line->empty() ? 0 : line->back() + 1) {
    line->push_back(number);
  }
  ~Turn() { std::erase(*line, number); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool mine() const { return line->front() == number; }
  std::deque<uint64_t>* line;
  uint64_t number;
};

struct SemaphoreState {
  size_t free = 0;
  std::deque<uint64_t> line;
};

}  // namespace internal

// Lets at most `permits` holders through at a time. Copies refer to the same semaphore.
class Semaphore {
 public:
  explicit Semaphore(size_t permits) : state_(std::make_shared<internal::SemaphoreState>()) { state_->free = permits; }

  // Gives its permit back when it goes; may outlive the semaphore.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(state_, other.state_);
      return *this;
    }
    ~Permit() { release(); }
    void release() {
      if (const auto state = std::exchange(state_, nullptr)) ++state->free;
    }
    explicit operator bool() const { return state_ != nullptr; }

   private:
    friend class Semaphore;
    explicit Permit(std::shared_ptr<internal::SemaphoreState> state) : state_(std::move(state)) {}
    std::shared_ptr<internal::SemaphoreState> state_;
  };

  // In the order of asking. Throws Cancelled, and then holds nothing.
  Task<Permit> acquire(Location where = Location::current()) {
    const std::shared_ptr<internal::SemaphoreState> state = state_;
    const internal::Turn turn(&state->line);
    co_await wait_until([&] { return turn.mine() && state->free > 0; }, where);
    --state->free;
    co_return Permit(state);
  }
  // Without waiting; an empty permit when others wait or none is free.
  Permit try_acquire() {
    if (!state_->line.empty() || state_->free == 0) return Permit();
    --state_->free;
    return Permit(state_);
  }
  size_t waiting() const { return state_->line.size(); }

 private:
  std::shared_ptr<internal::SemaphoreState> state_;
};

class Mutex {
 public:
  using Lock = Semaphore::Permit;
  Task<Lock> lock(Location where = Location::current()) { return semaphore_.acquire(where); }
  Lock try_lock() { return semaphore_.try_acquire(); }

 private:
  Semaphore semaphore_{1};
};

// A queue between tasks of one workflow. Copies refer to the same channel.
template <typename T>
class Channel {
 public:
  // A bounded channel makes senders wait; capacity 0 is taken as 1.
  explicit Channel(size_t capacity = SIZE_MAX) : state_(std::make_shared<State>()) { state_->capacity = std::max<size_t>(capacity, 1); }

  // False when the channel is closed. Throws Cancelled.
  Task<bool> send(T value, Location where = Location::current()) {
    const std::shared_ptr<State> state = state_;
    const internal::Turn turn(&state->senders);
    co_await wait_until([&] { return state->closed || (turn.mine() && state->values.size() < state->capacity); }, where);
    if (state->closed) co_return false;
    state->values.push_back(std::move(value));
    co_return true;
  }
  bool try_send(T value) {
    if (state_->closed || !state_->senders.empty() || state_->values.size() >= state_->capacity) return false;
    state_->values.push_back(std::move(value));
    return true;
  }
  // Nothing when the channel is closed and empty. Throws Cancelled.
  Task<std::optional<T>> receive(Location where = Location::current()) {
    const std::shared_ptr<State> state = state_;
    const internal::Turn turn(&state->receivers);
    co_await wait_until([&] { return turn.mine() && (state->closed || !state->values.empty()); }, where);
    if (state->values.empty()) co_return std::nullopt;
    std::optional<T> value(std::move(state->values.front()));
    state->values.pop_front();
    co_return value;
  }
  std::optional<T> try_receive() {
    if (!state_->receivers.empty() || state_->values.empty()) return std::nullopt;
    std::optional<T> value(std::move(state_->values.front()));
    state_->values.pop_front();
    return value;
  }
  // What was sent can still be received; senders are told.
  void close() { state_->closed = true; }
  bool closed() const { return state_->closed; }
  size_t size() const { return state_->values.size(); }

 private:
  struct State {
    std::deque<T> values;
    size_t capacity = SIZE_MAX;
    bool closed = false;
    std::deque<uint64_t> senders, receivers;
  };
  std::shared_ptr<State> state_;
};

}  // namespace lockstep::workflow
