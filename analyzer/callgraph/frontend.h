// Runs Clang on one file of a compilation database and returns its summary. Thread-safe: every call has its own file manager
// and working directory. A file that does not compile yields a unit with Clang's own first message in `error`; a crash of the
// compiler is contained and reported the same way.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "analyzer/callgraph/summary.h"
#include "analyzer/models/model_set.h"

namespace clang {
class SourceManager;
}

namespace lockstep::analyzer {

struct Precompiled;

struct CompileCommand {
  std::string directory;
  std::string file;  // absolute
  std::vector<std::string> arguments;  // [0] is the compiler
};

// Reads compile_commands.json of a build directory. Relative directories and files are made absolute, several commands of one
// file are reduced to the first, and the result is sorted by file.
// Errors: FILE_NOT_FOUND, COMPILE_COMMANDS_INVALID.
Result<std::vector<CompileCommand>> ReadCompileCommands(const std::string& build_directory);
// A command for a file that the database does not list (a header): the one of the file whose path is most alike.
CompileCommand InferCommand(const std::vector<CompileCommand>& known, const std::string& file);

struct AnalyzeOptions {
  // Precompiled system headers to load before the file (precompiled.h); they change nothing but the time it takes.
  const Precompiled* headers = nullptr;
  // When to give up on the bodies that are left; the compiler itself cannot be interrupted.
  std::optional<std::chrono::steady_clock::time_point> deadline;
};
Unit AnalyzeFile(const CompileCommand& command, const ModelSet& models, const AnalyzeOptions& options = {});

// The arguments that Clang is really given, and a note for every flag of another compiler that was dropped.
std::vector<std::string> AdjustArguments(const CompileCommand& command, std::vector<std::string>* notes);

// How dependencies are stamped, and those of one compiler run.
std::string StampOf(const std::string& path, bool system);
std::vector<Dependency> DependenciesOf(const clang::SourceManager& sources);

}  // namespace lockstep::analyzer
