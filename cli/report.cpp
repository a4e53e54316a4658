// `lockstep report`: renders results, and posts them as the pull-request comment.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "engine-core/base/time.h"
#include "reports/comment/github_comment.h"
#include "reports/render/render.h"

namespace lockstep::cli {
namespace {

struct Options {
  std::vector<std::string> results;
  std::string format = "md";
  std::string out;
  reports::RenderOptions render;
  std::vector<std::string> base;
  int64_t duration_ms = 0;
  bool comment = false;
  bool dry_run = false;
  std::string body;  // --comment: a Markdown file made before
  std::string fallback = "lockstep-report.md";
  reports::CommentTarget target;
};

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// What GitHub Actions tells every step; options go before.
void AddEnvironment(Options* options) {
  const std::string server = FromEnvironment("GITHUB_SERVER_URL");
  const std::string repository = FromEnvironment("GITHUB_REPOSITORY");
  if (options->render.repository.empty() && !repository.empty())
    options->render.repository = (server.empty() ? "https://github.com" : server) + "/" + repository;
  if (options->render.commit.empty()) options->render.commit = FromEnvironment("GITHUB_SHA");
  if (options->target.repository.empty()) options->target.repository = repository;
  if (options->target.api_url.empty()) options->target.api_url = FromEnvironment("GITHUB_API_URL");
  if (options->target.api_url.empty()) options->target.api_url = "https://api.github.com";
  options->target.token = FromEnvironment("GITHUB_TOKEN");
  if (options->target.token.empty()) options->target.token = FromEnvironment("GH_TOKEN");
}

Result<std::vector<reports::v1::Result>> ReadAll(const Options& options) {
  std::vector<reports::v1::Result> results;
  for (const std::string& file : options.results) {
    LOCKSTEP_ASSIGN(auto result, reports::ReadResult(file));
    results.push_back(std::move(result));
  }
  if (!results.empty() && options.duration_ms > 0) results.front().set_duration_ms(options.duration_ms);
  return results;
}

int PostComment(const Options& options, const std::vector<reports::v1::Result>& results) {
  std::string body;
  if (!options.body.empty()) {
    auto text = reports::ReadCommentBody(options.body);
    if (!text) return Report(text.error());
    body = std::move(*text);
  } else {
    body = reports::Render(results, reports::Format::kMarkdown, options.render);
  }
  const auto posted = reports::UpsertComment(options.target, body);
  if (posted) {
    const std::string text = std::string(posted->created     ? "created "
                                         : posted->unchanged ? "unchanged "
                                                             : "updated ") +
                             posted->url + "\n";
    return Output{.format = "text", .file = ""}.Write(text, kExitOk);
  }
  // The report must not be lost with the permission.
  if (const int kept = Output{.format = "text", .file = options.fallback}.Write(body, kExitOk); kept != kExitOk)
    return kept;
  const int code = Report(posted.error());
  std::fprintf(stderr, "lockstep: the report is in %s\n", options.fallback.c_str());
  return code;
}

int RunReport(Options options) {
  AddEnvironment(&options);
  options.render.base = std::filesystem::current_path().string();
  options.render.tool_version = LOCKSTEP_VERSION;
  if (options.render.today.empty()) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    options.render.today = FormatUtcMillis(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()).substr(0, 10);
  }
  const auto results = ReadAll(options);
  if (!results) return Report(results.error());
  for (const std::string& file : options.base) {
    auto base = reports::ReadResult(file);
    if (!base) return Report(base.error());
    options.render.base_results.push_back(std::move(*base));
  }
  if (options.comment) return PostComment(options, *results);
  if (results->empty())
    return Report(Error("USAGE", "report: expected at least one result, found none (see lockstep report --help)"));
  // A report that was written is a success, whatever it says: the gate judges by the results themselves.
  return Output{.format = "text", .file = options.out}.Write(
      reports::Render(*results, *reports::FormatFromName(options.format), options.render), kExitOk);
}

}  // namespace

void AddReport(CLI::App* app, Run* run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("report", "Render results, or post them as the pull-request comment");
  command->add_option("RESULT", options->results,
                      "What `lockstep replay|lint --format json` wrote; - reads standard input");
  command->add_option("--format", options->format, "How the report is written")
      ->check(CLI::IsMember({"md", "html", "sarif", "junit", "json", "github", "text"}))
      ->capture_default_str();
  command->add_option("--out", options->out, "File for the report instead of standard output");
  command->add_option("--baseline", options->base,
                      "Results of the base branch: tells new, fixed and known findings apart (md, html)");
  command->add_option("--title", options->render.title, "Title of the report")->capture_default_str();
  command->add_option("--repository-url", options->render.repository,
                      "For links, for instance https://github.com/owner/name (default: from GITHUB_*)");
  command->add_option("--commit", options->render.commit, "For links (default: GITHUB_SHA)");
  command->add_option("--full-report", options->render.full_report,
                      "Where the full report is: a URL or the name of an artifact");
  command->add_option("--duration-ms", options->duration_ms, "How long the checks took");
  command->add_option("--today", options->render.today, "Date by which suppressions expire soon (default: today, YYYY-MM-DD)")
      ->check([](const std::string& text) {
        return ParseUtcMillis(text + "T00:00:00.000Z") ? std::string() : "expected a date YYYY-MM-DD, found " + text;
      });
  command->add_flag("--comment", options->comment,
                    "Create or update the comment of a pull request (token: GITHUB_TOKEN)");
  command->add_option("--pull-request", options->target.pull_request, "Number of the pull request")
      ->check(CLI::Range(int64_t{1}, INT64_MAX, "NUMBER"));
  command->add_option("--repository", options->target.repository, "owner/name (default: GITHUB_REPOSITORY)");
  command->add_option("--api-url", options->target.api_url, "GitHub REST API (default: GITHUB_API_URL)");
  command->add_option("--head-sha", options->target.head_sha, "Post only when the pull request has this head");
  command->add_option("--body", options->body, "Post this Markdown file instead of rendering results");
  command->add_option("--fallback", options->fallback, "Where the report goes when it cannot be posted")
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  lockstep report replay.json lint.json --format md\n"
      "  lockstep report replay.json lint.json --format html --out report.html\n"
      "  lockstep report replay.json lint.json --comment --pull-request 12");
  command->callback([options, run] {
    if (options->comment && options->target.pull_request == 0)
      throw CLI::ValidationError("--comment", "expected --pull-request NUMBER, found none");
    *run = [options] { return RunReport(*options); };
  });
}

}  // namespace lockstep::cli
