// Lints plan files: finds them under paths, runs the rules, places each finding by JSON Pointer, line and column,
// applies
// `.lockstep.yaml`, and gives every finding a fingerprint that survives moved steps and renamed files. `lockstep lint`
// calls exactly this. The result is a pure function of the files and their configuration.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analyzer/callgraph/program.h"
#include "analyzer/plan/sql.h"
#include "analyzer/registry/registry.h"
#include "engine-core/base/result.h"

namespace lockstep::analyzer {

struct PlanFinding {
  const Rule* rule = nullptr;
  Severity severity = Severity::kError;
  Verdict verdict = Verdict::kPayloadOnly;
  std::string file;
  std::string pointer;  // RFC 6901
  std::string step_id;  // empty: the plan itself
  size_t line = 1;      // of the first byte of the value
  size_t column = 1;
  std::string what;
  std::string fingerprint;
  std::string source_line;
  std::string Message() const;
};

// What the loader would say about the file; the rules still ran where they could.
struct PlanProblem {
  std::string file;
  std::string code;
  std::string message;  // names pointer, line and column
  // Not even a document that rules can look at, or one that no engine would accept: exit code 3. Parameters that a kind
  // refuses are only told.
  bool corrupt = false;
};

struct PlanReport {
  std::string file;
  std::string plan_id;
  std::string plan_version;
  size_t steps = 0;
  std::vector<std::pair<std::string, std::string>> step_kinds;  // step id and kind, in the order of the plan
  std::vector<PlanFinding> findings;
  std::vector<PlanProblem> problems;
};

struct PlanLintOptions {
  SqlDialect dialect = SqlDialect::kGeneric;
  std::string config;  // an extra configuration file
};

// One document. `file` is for messages.
PlanReport LintPlan(const std::string& file, const std::string& bytes, const PlanLintOptions& options);
// Reads each file, lints it and applies the configurations around it. Errors: FILE_NOT_FOUND and the like,
// CONFIG_INVALID.
Result<std::vector<PlanReport>> LintPlanFiles(const std::vector<std::string>& files, const PlanLintOptions& options);

struct PlanFiles {
  std::vector<std::string> files;  // sorted within each path, each once
};
// Files named, and `*.json` below folders that hold a plan; hidden folders, record directories' histories and build
// trees are skipped. A file that is named counts also when it is no plan, so that a mistake is told. Error
// INPUT_NOT_FOUND.
Result<PlanFiles> FindPlans(const std::vector<std::string>& paths);

}  // namespace lockstep::analyzer
