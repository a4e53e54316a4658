// Finds the commit that broke a replay (`lockstep bisect`): builds revisions in a private clone, replays the history
// with each build, and halves what is left. Needs the git program. Invariants: the user's repository and work tree are
// only read (the clone borrows its objects); every verdict is on disk before the next revision is tried, so that an
// interrupted search goes on where it stopped.
//
// Below `work`: tree/ (the clone, with its build), history/ (a copy of what is replayed), state.json,
// logs/<revision>.log
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace lockstep::replay {

enum class RevisionVerdict : uint8_t {
  kGood,
  kBad,
  kSkipped,  // does not build, or its program cannot replay this history at all
};
std::string_view RevisionVerdictName(RevisionVerdict verdict);  // `good`, `bad`, `skipped`

struct BisectOptions {
  std::filesystem::path repository;  // any folder of the user's tree
  std::string history;               // history or record directory
  std::string good;
  std::string bad;
  std::string build_command;  // by the shell, in the clone's top
  // By the shell in the clone's top; LOCKSTEP_HISTORY holds the path. Exit code 0: in step, 1: diverged, others: cannot
  // tell.
  std::string replay_command;
  std::filesystem::path work;  // empty: below the user's cache folder, by repository, history and revisions
  bool fresh = false;          // forget what is known
  int64_t build_timeout_ms = 3'600'000;
  int64_t replay_timeout_ms = 300'000;
  const std::atomic<bool>* interrupt = nullptr;
  std::function<void(const std::string& line)> progress;
};

struct TriedRevision {
  std::string revision;
  std::string subject;
  RevisionVerdict verdict = RevisionVerdict::kSkipped;
  std::string why;     // of a skipped one
  bool known = false;  // from an earlier run
};

struct BisectReport {
  std::string good;  // full revisions
  std::string bad;
  std::vector<TriedRevision> tried;  // in the order they were asked for
  bool bad_in_step = false;          // nothing to find: the bad revision replays
  // One: the first bad commit. Several: skipped revisions lie in between, it is one of them.
  std::vector<std::string> suspects;
  std::string author_date;  // of the single suspect
  std::string subject;
  std::vector<std::string> files;  // it changed
  std::filesystem::path work;
};

// Errors: GIT_FAILED, GIT_REVISION_UNKNOWN, GIT_NO_PATH (good is no ancestor of bad), BISECT_GOOD_DIVERGES,
// BISECT_NOTHING_BUILDS, PROGRAM_*, FILE_*, INTERRUPTED.
Result<BisectReport> Bisect(const BisectOptions& options);

Json ToJson(const BisectReport& report);
std::string RenderBisect(const BisectReport& report, const std::string& history, bool color);

}  // namespace lockstep::replay
