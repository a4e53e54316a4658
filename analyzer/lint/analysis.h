// What the analysis of a whole program found, before configuration, suppressions and baselines have their say, and its cache: a run
// over unchanged files reads one entry instead of every summary. An entry is found by the compile commands, the models and the
// options of the link step, and is valid while every file that was read still has its stamp.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analyzer/callgraph/cache.h"
#include "analyzer/callgraph/program.h"

namespace lockstep::analyzer {

struct Analysis {
  LinkResult linked;
  size_t files = 0;
  size_t compiled = 0;
  std::vector<std::pair<std::string, std::string>> broken;  // file, Clang's message
  std::vector<std::string> notes;
  std::vector<std::string> sources;  // files of the program that were read, sorted
  std::vector<std::pair<std::string, std::vector<std::string>>> includes;  // main file, what it read
};

// Everything the result depends on beside the files themselves.
std::string AnalysisKey(const std::vector<CompileCommand>& commands, const LinkOptions& options);
std::string EncodeAnalysis(const Analysis& analysis);
// Nothing when the bytes are not what the encoder wrote.
std::optional<Analysis> DecodeAnalysis(const std::string& bytes);

}  // namespace lockstep::analyzer
