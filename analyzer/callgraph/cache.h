// The summary cache: content-addressed, safe to share and to delete. An entry is found by (tool build, models, compile command,
// main file) and is valid while every file that was read still has the stamp it was read with. Files with findings and files
// that do not compile are cached like any other.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "analyzer/callgraph/frontend.h"

namespace lockstep::analyzer {

class SummaryCache {
 public:
  // An empty directory turns the cache off.
  SummaryCache(std::string directory, std::string models_digest);
  std::optional<Unit> Load(const CompileCommand& command);
  // Failures to write are ignored: the next run is merely slower.
  void Store(const CompileCommand& command, const Unit& unit);
  // Results over many files: bytes under a key, with everything that was read.
  std::optional<std::string> LoadRun(const std::string& key);
  void StoreRun(const std::string& key, const std::vector<Dependency>& dependencies, const std::string& bytes);

 private:
  std::string PathOf(const CompileCommand& command) const;
  std::string RunPathOf(const std::string& key) const;
  const std::string& Stamp(const std::string& path, bool system);
  std::string directory_;
  std::string salt_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::string> stamps_;
};

}  // namespace lockstep::analyzer
