// Renders results: the same facts as text, Markdown, HTML, SARIF, JUnit and GitHub annotations. Pure functions of
// results and options, so that equal input gives equal bytes. JSON is the model itself (model.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/result.h"
#include "reports/model/model.h"

namespace lockstep::reports {

struct RenderOptions {
  bool color = false;
  std::string title = "Lockstep";
  // Links to file and line: `<repository>/blob/<commit>/<file>#L<line>`. Either empty: no links.
  std::string repository;  // https://github.com/owner/name
  std::string commit;
  // Files below it are shown relative to it.
  std::string base;
  // Where the whole report is, for what a short form leaves out; may be empty.
  std::string full_report;
  std::string tool_version;
  // Findings and totals only (text, github): for those who run one command and read its output.
  bool brief = false;
  // YYYY-MM-DD: suppressions that expire soon are told by it; empty: none is.
  std::string today;
  // Results of the base branch: findings are then told apart as new, fixed or as before, by their fingerprints.
  std::vector<v1::Result> base_results;
};

enum class Format : uint8_t { kText, kMarkdown, kHtml, kSarif, kJunit, kGithub, kJson };
// `text`, `md`, `html`, `sarif`, `junit`, `github`, `json`.
Result<Format> FormatFromName(std::string_view name);

// GitHub refuses a comment of more than 65 536 characters; spec 07 section 8.1 says 60 000.
inline constexpr size_t kMaxMarkdownCharacters = 60'000;
// GitHub's limits for code scanning: results in a run, and how many of them it shows.
inline constexpr size_t kMaxSarifResults = 25'000;
inline constexpr size_t kShownSarifResults = 5'000;
inline constexpr size_t kMaxSarifRules = 25'000;
inline constexpr size_t kMaxSarifLocations = 1'000;
// The line by which the comment is found again.
inline constexpr std::string_view kCommentMarker = "<!-- lockstep-determinism -->";

std::string Render(const std::vector<v1::Result>& results, Format format, const RenderOptions& options);

std::string RenderText(const std::vector<v1::Result>& results, const RenderOptions& options);
std::string RenderMarkdown(const std::vector<v1::Result>& results, const RenderOptions& options);
std::string RenderHtml(const std::vector<v1::Result>& results, const RenderOptions& options);
std::string RenderSarif(const std::vector<v1::Result>& results, const RenderOptions& options);
std::string RenderJunit(const std::vector<v1::Result>& results, const RenderOptions& options);
std::string RenderGithub(const std::vector<v1::Result>& results, const RenderOptions& options);

}  // namespace lockstep::reports
