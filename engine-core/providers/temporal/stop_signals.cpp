// See stop_signals.h. The handler only writes the signal's number into a pipe.
#include "engine-core/providers/temporal/stop_signals.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <thread>

#include "engine-core/base/check.h"
#include "engine-core/providers/temporal/worker.h"

namespace lockstep::provider {
namespace {

constexpr std::array<int, 2> kSignals = {SIGTERM, SIGINT};
std::array<int, 2> pipe_ends = {-1, -1};
std::array<struct sigaction, 2> former;
std::atomic<bool> installed = false;

void Note(int signal) {
  const int before = errno;
  const char number = static_cast<char>(signal);
  [[maybe_unused]] const ssize_t written = write(pipe_ends[1], &number, 1);
  errno = before;
}

}  // namespace

StopSignals::StopSignals() {
  LOCKSTEP_CHECK(!installed.exchange(true), "a second StopSignals in one process");
  LOCKSTEP_CHECK(pipe2(pipe_ends.data(), O_CLOEXEC | O_NONBLOCK) == 0, "no pipe for signals");
  struct sigaction action{};
  action.sa_handler = Note;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &former[i]);
}

StopSignals::~StopSignals() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &former[i], nullptr);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  installed = false;
}

int StopSignals::Wait(int64_t timeout_ms) {
  pollfd wait = {pipe_ends[0], POLLIN, 0};
  for (;;) {
    const int ready = poll(&wait, 1, static_cast<int>(timeout_ms));
    char number = 0;
    if (ready > 0 && read(pipe_ends[0], &number, 1) == 1) return number;
    if (ready == 0) return 0;
    if (ready < 0 && errno != EINTR) return 0;
  }
}

Status RunUntilStopped(Worker& worker, StopSignals& signals) {
  LOCKSTEP_TRY(worker.Start());
  signals.Wait();
  std::atomic<bool> drained = false;
  std::thread drain([&] {
    worker.Shutdown();
    drained = true;
  });
  while (!drained) {
    if (signals.Wait(50) != 0) worker.Shutdown(0);
  }
  drain.join();
  return {};
}

}  // namespace lockstep::provider
