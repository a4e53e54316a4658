// Renders a lint result: text in clang style, JSON, SARIF 2.1.0, GitHub workflow commands. Pure functions of the result.
#pragma once

#include <string>

#include "analyzer/lint/lint.h"
#include "engine-core/base/json.h"

namespace lockstep::analyzer {

struct OutputOptions {
  bool colour = false;
  std::string base;  // paths below it are shown relative to it
};

std::string RenderText(const LintResult& result, const OutputOptions& options);
Json RenderJson(const LintResult& result, const OutputOptions& options);
// spec 00 section 4: ruleId, level, codeFlows from root to site, partialFingerprints, fixes.
Json RenderSarif(const LintResult& result, const OutputOptions& options);
std::string RenderGithub(const LintResult& result, const OutputOptions& options);
// A unified diff of one file.
std::string RenderDiff(const std::string& file, const std::string& before, const std::string& after);

}  // namespace lockstep::analyzer
