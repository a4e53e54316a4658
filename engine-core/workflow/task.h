// Coroutines of a workflow: `Task<T>` is lazy, runs on the one logical thread of its execution and is resumed only through
// that execution's FIFO ready queue, so that the order of everything follows from the history alone (spec 04, RT2).
// Frames come from an arena that lives as long as the execution.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <utility>
#include <variant>

namespace lockstep::workflow {

struct ScopeState;

namespace internal {

class FrameArena;
struct Machine;

// What a suspended coroutine waits for.
enum class WaitKind : uint8_t { kNotStarted, kTask, kCommand, kCondition, kTurn };

// What every suspended coroutine of a workflow has in common. All of an execution form a list in the order of their creation,
// so that a debugger can tell where each of them stands.
struct PromiseBase {
  std::coroutine_handle<> self;
  PromiseBase* continuation = nullptr;  // who awaits this task
  std::shared_ptr<ScopeState> scope;    // cancellation scope it runs in
  std::exception_ptr exception;
  std::source_location where;           // of the wait it is suspended in
  WaitKind waits = WaitKind::kNotStarted;
  const Machine* awaited = nullptr;     // kCommand: whose outcome, where the command is known
  PromiseBase* older = nullptr;
  PromiseBase* newer = nullptr;

  PromiseBase();
  ~PromiseBase();
  PromiseBase(const PromiseBase&) = delete;
  PromiseBase& operator=(const PromiseBase&) = delete;
  static void* operator new(size_t size);
  static void operator delete(void* frame, size_t size) noexcept;
};

// Makes `next` the running coroutine (its scope becomes the current one) and returns its handle for symmetric transfer.
std::coroutine_handle<> SwitchTo(PromiseBase* next) noexcept;
// Starts `child` on behalf of `parent`, which waits at `where`: it inherits the scope unless it already has one.
// Throws when the workflow task has gone on for too long.
std::coroutine_handle<> StartChild(PromiseBase* child, PromiseBase* parent, std::source_location where);

struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) const noexcept {
    PromiseBase* continuation = finished.promise().continuation;
    return continuation != nullptr ? SwitchTo(continuation) : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

template <typename T>
struct TaskPromise : PromiseBase {
  std::optional<T> value;
  template <typename U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T Take() {
    if (exception) std::rethrow_exception(exception);
    return std::move(*value);
  }
};

template <>
struct TaskPromise<void> : PromiseBase {
  void return_void() {}
  void Take() {
    if (exception) std::rethrow_exception(exception);
  }
};

}  // namespace internal

template <typename T = void>
class [[nodiscard]] Task {
 public:
  struct promise_type : internal::TaskPromise<T> {
    Task get_return_object() {
      auto handle = std::coroutine_handle<promise_type>::from_promise(*this);
      this->self = handle;
      return Task(handle);
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    internal::FinalAwaiter final_suspend() noexcept { return {}; }
    void unhandled_exception() { this->exception = std::current_exception(); }
  };

  Task() = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool valid() const { return handle_ != nullptr; }
  bool done() const { return handle_ && handle_.done(); }
  internal::PromiseBase* promise() const { return handle_ ? &handle_.promise() : nullptr; }
  // The value of a finished task; rethrows what it threw.
  T Take() { return handle_.promise().Take(); }

  struct Awaiter {
    std::coroutine_handle<promise_type> task;
    bool await_ready() const noexcept { return task.done(); }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting,
                                          std::source_location where = std::source_location::current()) const {
      return internal::StartChild(&task.promise(), &awaiting.promise(), where);
    }
    T await_resume() const { return task.promise().Take(); }
  };
  // A task is awaited once, by one coroutine.
  Awaiter operator co_await() const& noexcept { return Awaiter{handle_}; }
  Awaiter operator co_await() && noexcept { return Awaiter{handle_}; }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace lockstep::workflow
