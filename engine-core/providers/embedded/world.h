// What surrounds an embedded engine: time, and the work that it hands out. Real time with threads (`thread_world.h`),
// virtual time (replay/simulate) and a test that decides everything itself are three worlds around the same engine.
//
// Threads: the engine calls its world from one thread; how news reach that thread is the world's affair.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "engine-core/base/clock.h"
#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/providers/embedded/server_run.h"
#include "engine-core/workflow/execution.h"

namespace lockstep::embedded {

// What the world tells the engine. An answer for an attempt that is over, or told twice, changes nothing.
struct AttemptCompleted {
  AttemptToken token;
  Payloads result;
};
struct AttemptFailed {
  AttemptToken token;
  Failure failure;
};
struct AttemptCancelled {
  AttemptToken token;
  Payloads details;
};
struct AttemptBeat {
  AttemptToken token;
  Payloads details;
};
struct SignalSent {
  std::string name;
  Payloads input;
  std::string request_id;
};
struct CancelSent {
  std::string cause;
};
struct TerminateSent {
  std::string reason;
};
using News =
    std::variant<AttemptCompleted, AttemptFailed, AttemptCancelled, AttemptBeat, SignalSent, CancelSent, TerminateSent>;

// What goes wrong with the next workflow task.
enum class Mishap : uint8_t {
  kNone,
  kEvicted,     // the worker has forgotten the execution: it is rebuilt from the history
  kWorkerLost,  // the worker runs the code and its local activities, and is gone before it answers
  kWorkerIdle,  // the worker is gone before it takes the task
};

class World : public IClock {
 public:
  // Lets time pass, to `until` at the latest; returns early when there is news. kNever: until there is news. False:
  // nothing will ever happen (virtual time only).
  virtual bool Wait(UnixMillis until) = 0;
  virtual std::optional<News> TakeNews() = 0;
  virtual void StartAttempt(ActivityAttempt attempt) = 0;
  // The workflow wants the attempt cancelled; told once.
  virtual void CancelAttempt(AttemptToken token) = 0;
  // Nobody waits for the attempt any more: it timed out, or the execution is over.
  virtual void DropAttempt(AttemptToken token) = 0;
  // One try of a local activity, to its end.
  virtual Result<Json> RunLocal(const workflow::LocalActivityRequest& request, int32_t attempt) = 0;
  // A workflow task has begun; what the world tells the engine from now on is buffered.
  virtual void TaskStarted() {}
  virtual Mishap NextMishap() { return Mishap::kNone; }
};

}  // namespace lockstep::embedded
