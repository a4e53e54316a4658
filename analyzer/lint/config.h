// `.lockstep.yaml`: what a folder and everything below it wants from the analyzer. The file nearest to a source file decides
// for rules and severities of findings in it; roots, models, registry and baseline are gathered from all files between the
// working directory and the sources.
//
//   rules:      {determinism-wall-clock: off | note | warning | error, "determinism-plan-*": off}
//   roots:      [name-or-pattern]          # qualified names that are workflow roots beside the marks
//   deterministic: [name-or-pattern]       # the same for scope S2
//   models:     [file.yaml]                # relative to this file
//   exclude:    [pattern]                  # paths below this folder in which findings are not reported
//   ignore:     [pattern]                  # sources below this folder that are no part of the program, such as tests
//   scope:      off                        # scope S4: only suppression hygiene
//   change_registry: file.yaml             # id: {min: 0, max: 1}
//   command_baseline: file.json            # written by --write-command-baseline
//   max_suppression_days: 90
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analyzer/callgraph/program.h"
#include "engine-core/base/result.h"

namespace lockstep::analyzer {

struct DirectoryConfig {
  std::string directory;  // absolute
  std::string file;
  std::vector<std::pair<std::string, std::string>> rules;  // pattern, level; the last match wins
  std::vector<std::string> roots;
  std::vector<std::string> deterministic;
  std::vector<std::string> models;  // absolute paths
  std::vector<std::string> exclude;
  std::vector<std::string> ignore;
  bool off = false;
  std::optional<std::map<std::string, GateBounds>> change_registry;
  std::string command_baseline;  // absolute path
  std::optional<int> max_suppression_days;
};

// Reads one file. Error code CONFIG_INVALID, with file and line.
Result<DirectoryConfig> ReadConfig(const std::string& file);
Result<std::map<std::string, GateBounds>> ReadChangeRegistry(const std::string& file);
Result<std::map<std::string, Skeleton>> ReadCommandBaseline(const std::string& file);
std::string WriteCommandBaseline(const std::map<std::string, Skeleton>& skeletons);

// The configurations that apply to files, outermost first; each file is read once.
class ConfigTree {
 public:
  // `extra` is a file given with --config; it applies everywhere and last.
  explicit ConfigTree(std::string extra = {}) : extra_(std::move(extra)) {}
  Result<std::vector<const DirectoryConfig*>> For(const std::string& source_file);
  // What was read so far.
  std::vector<const DirectoryConfig*> All() const;

 private:
  Result<const DirectoryConfig*> In(const std::string& directory);
  std::string extra_;
  std::map<std::string, std::unique_ptr<DirectoryConfig>> known_;  // nullptr: no file there
};

// Whether a source is left out of the analysis.
bool Ignored(const std::vector<const DirectoryConfig*>& configs, const std::string& file);

// The level of a rule for a file: nothing means off.
std::optional<Severity> LevelFor(const std::vector<const DirectoryConfig*>& configs, const std::string& rule, const std::string& file,
                                 Severity severity);

}  // namespace lockstep::analyzer
