// The options of `lockstep replay --from-server`, and what they start.
#pragma once

#include "cli/command.h"
#include "cli/result_file.h"
#include "replay/session/batch.h"

namespace lockstep::cli {

struct ShadowCommand {
  std::string query;
  bool given = false;  // --from-server stands in the command
  std::string address;
  std::string namespace_name;
  int64_t limit = 100;
  int64_t scan = 0;
  double sample = 1;
  uint64_t seed = 1;
  int64_t stop_after = 0;
  int64_t max_seconds = 0;
  unsigned parallel = 4;
  std::string save;
  std::string state;
  std::string redact;
  void AddOptions(CLI::App* app);
};
int RunShadow(const ShadowCommand& command, const replay::BatchOptions& batch, bool strict, const ResultFile& result_file, const Output& output);

}  // namespace lockstep::cli
