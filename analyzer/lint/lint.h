// The whole C++ analysis as one call: compilation database, cache, workers, link step, configuration, suppressions, baseline and
// change filter. The tool and the tests call exactly this.
//
// The result is a pure function of the sources, the compile commands, the models, the configuration and `today`; the number of
// jobs, the cache and the order in which files finish leave no trace.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analyzer/callgraph/program.h"
#include "analyzer/models/model_set.h"
#include "engine-core/base/result.h"

namespace lockstep::analyzer {

struct LintOptions {
  std::string build_directory;          // holds compile_commands.json
  std::vector<std::string> paths;       // report only below these; empty: everything
  std::vector<std::string> roots;       // patterns, beside marks and configuration
  std::vector<std::string> deterministic;
  std::vector<std::string> models;      // files
  std::string config;                   // an extra configuration file
  std::string cache_directory;          // empty: no cache
  std::string baseline;                 // findings listed there are not reported
  std::string changed_since;            // git revision
  std::string command_baseline;
  std::string today;                    // YYYY-MM-DD, for expiry dates
  unsigned jobs = 1;
  unsigned file_seconds = 300;          // a file that takes longer is left behind; 0: no limit
};

// What a suppression comment says.
struct SuppressedBy {
  std::string reason;
  std::string owner;
  std::string expires;  // YYYY-MM-DD
};

// A root whose commands differ from the stored ones.
struct CommandChange {
  std::string root;
  std::vector<std::string> gates;  // change ids that the stored root did not ask for; empty: the change is not gated
};

struct FileProblem {
  std::string file;
  std::string message;
};

struct LintResult {
  std::vector<Finding> findings;
  std::vector<Finding> suppressed;
  std::vector<SuppressedBy> suppressed_by;  // of `suppressed`, one each
  std::vector<CommandChange> command_changes;
  std::string models;  // digest of the model files
  size_t baselined = 0;
  size_t unaffected = 0;  // not caused by the change
  std::vector<TrustedMark> trusted;
  std::vector<std::string> roots;
  std::map<std::string, Skeleton> skeletons;
  std::vector<FileProblem> broken;  // files that do not compile
  std::vector<std::string> notes;
  size_t files = 0;
  size_t from_cache = 0;
  bool blocking() const;
};

// Errors: COMPILE_COMMANDS_INVALID, FILE_NOT_FOUND, CONFIG_INVALID, MODEL_INVALID, BASELINE_INVALID, NOTHING_TO_ANALYSE (a path
// that matches nothing), NOTHING_COMPILES, GIT_FAILED.
Result<LintResult> RunLint(const LintOptions& options);
// Whether a compiler that overran its budget is still busy: the program must then leave without tearing anything down.
bool LeftWorkBehind();

// The baseline file: a JSON document with the fingerprints of findings.
std::string WriteBaseline(const std::vector<Finding>& findings);
Result<std::multiset<std::string>> ReadBaseline(const std::string& path);

// Applies the edits of findings to their files and writes them (or only returns the texts, file by file, when `dry_run`).
// Overlapping edits: the first one wins. Returns the number of edits applied.
Result<std::map<std::string, std::string>> ApplyFixes(const std::vector<Finding>& findings, bool dry_run, size_t* applied);

}  // namespace lockstep::analyzer
