// Shadowing: replays executions of a running server against this build (`lockstep replay --from-server QUERY`), without
// touching them. What is replayed is chosen to differ: the listed executions are dealt out by workflow type, status and
// length in turn. What is saved is a corpus: a history is kept when it exercises a transition that nothing kept before
// does. Invariants: nothing but reading is asked of the server; a search that is interrupted goes on with what it has
// not seen (state file); what is saved was in step, also after redaction. Errors: those of the client,
// SHADOW_STATE_INVALID, REDACT_RULES_INVALID, FILE_*, INTERRUPTED.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine-core/base/result.h"
#include "engine-core/providers/temporal/connection.h"
#include "replay/record/redact.h"
#include "replay/session/batch.h"

namespace lockstep::replay {

struct ShadowOptions {
  provider::ConnectionOptions connection;
  std::string query;                   // of the visibility store; empty: everything
  int64_t limit = 100;                 // executions replayed
  int64_t scan = 0;                    // executions listed to choose from; 0: ten times the limit
  double sample = 1;                   // chance of each listed execution to be considered
  uint64_t seed = 1;                   // of that chance
  int64_t stop_after_divergences = 0;  // 0: go through all
  int64_t max_seconds = 0;             // 0: no limit
  unsigned parallel = 4;               // histories fetched at once
  std::filesystem::path save;          // corpus; empty: nothing is kept
  std::filesystem::path state;         // what has been seen; empty: not resumable
  std::optional<RedactRules> redact;
  BatchOptions batch;  // registry, jobs and what else concerns the replay
  const std::atomic<bool>* interrupt = nullptr;
  std::function<void(const std::string& line)> progress;
};

struct ShadowReport {
  BatchResult result;  // paths are `workflowId/runId`
  int64_t listed = 0;
  int64_t sampled_out = 0;
  int64_t seen_before = 0;  // by the state file
  int64_t vanished = 0;     // gone, or without history, when fetched
  int64_t saved = 0;
  int64_t without_news = 0;         // in step, and nothing new to the corpus
  int64_t broken_by_redaction = 0;  // no longer in step once redacted, so not saved
  int64_t transitions = 0;          // exercised by what was replayed
  int64_t corpus_transitions = 0;   // by the corpus as it is now
  std::string stopped_by;           // `limit`, `divergences`, `time`, or empty: nothing was left
};

Result<ShadowReport> Shadow(const ShadowOptions& options);
Json ToJson(const ShadowReport& report, bool strict);
std::string RenderShadow(const ShadowReport& report, bool strict, bool color);

}  // namespace lockstep::replay
