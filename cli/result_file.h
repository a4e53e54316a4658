// `--result FILE`: what a command found as the one result model (reports/model/result.proto), which `lockstep report` renders. The
// commands that judge have it: replay, lint, simulate, trace.
#pragma once

#include <CLI/CLI.hpp>

#include <chrono>
#include <string>
#include <string_view>

#include "engine-core/base/result.h"

namespace lockstep::cli {

class ResultFile {
 public:
  void AddOption(CLI::App* command);
  // `document` is what the command prints with `--format json`. Adds version, command line and duration; does nothing when no file
  // was asked for.
  Status Write(std::string_view document) const;

 private:
  std::string file_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace lockstep::cli
