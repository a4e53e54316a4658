// Precompiled system headers. Files of one target begin with the same headers of libraries; reading those once and loading the result
// for every file saves most of what a summary costs.
//
// Only headers of the system go into it: what the analyzer looks at is always read from its source, so a summary is the same with and
// without a precompiled header. Thread-safe once built.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analyzer/callgraph/frontend.h"

namespace lockstep::analyzer {

struct Precompiled {
  std::string path;
  std::vector<Dependency> dependencies;  // what was read for it
};

// Compiles `includes` (lines of `#include <...>`) under the flags of a command. Nothing when they do not compile or pull in a header that
// is not the system's.
std::optional<Precompiled> Precompile(const CompileCommand& command, const std::string& includes, const std::string& path);

// The source of a precompiled header, which has to stay beside it.
std::string PreludeOf(const std::string& path);

// The precompiled headers of one run: for every group of commands that share a header made by CMake (`target_precompile_headers`) and
// their flags. The files live in `directory` and are removed with the object.
class PrecompiledHeaders {
 public:
  explicit PrecompiledHeaders(std::string directory) : directory_(std::move(directory)) {}
  ~PrecompiledHeaders();
  PrecompiledHeaders(const PrecompiledHeaders&) = delete;
  PrecompiledHeaders& operator=(const PrecompiledHeaders&) = delete;

  // Builds what at least `kWorthwhile` of the commands can use, with `jobs` threads.
  void Build(const std::vector<const CompileCommand*>& commands, unsigned jobs);
  // Nothing when there is none for the command.
  const Precompiled* For(const CompileCommand& command) const;

 private:
  static constexpr size_t kWorthwhile = 3;
  std::string directory_;
  std::map<std::string, std::optional<Precompiled>> built_;  // by key of the group
};

// The header that a command includes before its file because CMake precompiles it; empty when there is none.
std::string ForcedHeader(const std::vector<std::string>& arguments, const std::string& directory);
// Its text without the pragma that would make everything it includes count as the system's.
std::optional<std::string> ForcedHeaderText(const std::string& header);

}  // namespace lockstep::analyzer
