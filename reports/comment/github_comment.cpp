#include "reports/comment/github_comment.h"

#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/base/json.h"
#include "reports/render/render.h"

namespace lockstep::reports {
namespace {

constexpr JsonLimits kLimits{.max_depth = 48, .max_string_bytes = 1 << 20};
constexpr int kPageSize = 100;
constexpr int kMaxPages = 50;

struct Reply {
  int status = 0;
  std::string body;
  std::string next;  // path of the next page
  std::optional<int64_t> retry_after_s;
  bool rate_limited = false;
};

bool IsSegment(std::string_view text) {
  return !text.empty() && text.size() <= 100 && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAsciiAlnum(c) || c == '-' || c == '_' || c == '.'; });
}

// `https://host[:port][/prefix]`
struct Endpoint {
  std::string origin;
  std::string prefix;
};
Result<Endpoint> ParseApiUrl(const std::string& url) {
  const bool https = url.starts_with("https://");
  const bool loopback =
      url.starts_with("http://127.0.0.1") || url.starts_with("http://localhost") || url.starts_with("http://[::1]");
  if (!https && !loopback) return Fail("COMMENT_TARGET_INVALID", "api url: expected https://..., found " + url);
  const size_t host = url.find("://") + 3;
  const size_t slash = url.find('/', host);
  Endpoint endpoint{url.substr(0, slash), slash == std::string::npos ? std::string() : url.substr(slash)};
  while (endpoint.prefix.ends_with('/')) endpoint.prefix.pop_back();
  if (endpoint.origin.find('@') != std::string::npos || endpoint.origin.size() <= host)
    return Fail("COMMENT_TARGET_INVALID", "api url: expected a host, found " + url);
  return endpoint;
}

std::string MessageOf(const std::string& body) {
  const auto json = ParseJson(body, kLimits);
  return PrintableUtf8(json && json->is_object() ? json->GetString("message", "no message") : "no message")
      .substr(0, 300);
}

class Api {
 public:
  Api(const CommentTarget& target, const Endpoint& endpoint)
      : target_(target), endpoint_(endpoint), client_(endpoint.origin) {
    client_.set_connection_timeout(10);
    client_.set_read_timeout(30);
    client_.set_write_timeout(30);
    client_.set_follow_location(false);
    client_.enable_server_certificate_verification(true);
  }

  // Every request with retries. `path` is below the API's prefix.
  Result<Reply> Send(const std::string& method, const std::string& path, const std::string& body = {}) {
    int64_t wait = target_.first_wait_ms;
    for (int attempt = 1;; ++attempt) {
      const auto reply = Once(method, path, body);
      const bool again = !reply || reply->status == 429 || reply->status >= 500 || reply->rate_limited;
      if (!again) return Judge(*reply, method, path);
      if (attempt >= target_.attempts) {
        if (!reply)
          return Fail("COMMENT_UNAVAILABLE",
                      method + " " + path + ": " + reply.error() + ", " + std::to_string(attempt) + " attempts", true);
        return Fail("COMMENT_UNAVAILABLE",
                    method + " " + path + ": expected an answer, found status " + std::to_string(reply->status) + " (" +
                        MessageOf(reply->body) + "), " + std::to_string(attempt) + " attempts",
                    true);
      }
      int64_t pause = wait;
      if (reply && reply->retry_after_s) pause = std::max(pause, *reply->retry_after_s * 1000);
      pause = std::min(pause, target_.longest_wait_ms);
      if (target_.wait)
        target_.wait(pause);
      else
        std::this_thread::sleep_for(std::chrono::milliseconds(pause));
      wait = std::min(wait * 2, target_.longest_wait_ms);
    }
  }

 private:
  std::expected<Reply, std::string> Once(const std::string& method, const std::string& path, const std::string& body) {
    const httplib::Headers headers = {{"Authorization", "Bearer " + target_.token},
                                      {"Accept", "application/vnd.github+json"},
                                      {"X-GitHub-Api-Version", "2022-11-28"},
                                      {"User-Agent", "lockstep"}};
    const std::string full = endpoint_.prefix + path;
    httplib::Result result = method == "GET"    ? client_.Get(full, headers)
                             : method == "POST" ? client_.Post(full, headers, body, "application/json")
                                                : client_.Patch(full, headers, body, "application/json");
    if (!result) return std::unexpected("no connection (" + httplib::to_string(result.error()) + ")");
    Reply reply{result->status, result->body, NextOf(result->get_header_value("Link")), std::nullopt, false};
    if (result->has_header("Retry-After")) reply.retry_after_s = ParseInt64(result->get_header_value("Retry-After"));
    // A spent or secondary rate limit answers 403; a missing permission does too, without these signs.
    reply.rate_limited = reply.status == 403 &&
                         (reply.retry_after_s.has_value() || result->get_header_value("X-RateLimit-Remaining") == "0");
    return reply;
  }

  // `<https://host/path?page=2>; rel="next", ...`: its path, when it is on our host.
  std::string NextOf(const std::string& link) const {
    for (const std::string_view part : Split(link, ',')) {
      if (part.find("rel=\"next\"") == std::string_view::npos) continue;
      const size_t begin = part.find('<');
      const size_t end = part.find('>');
      if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) continue;
      const std::string url(part.substr(begin + 1, end - begin - 1));
      if (url.starts_with(endpoint_.origin + endpoint_.prefix + "/"))
        return url.substr(endpoint_.origin.size() + endpoint_.prefix.size());
    }
    return {};
  }

  static Result<Reply> Judge(const Reply& reply, const std::string& method, const std::string& path) {
    if (reply.status >= 200 && reply.status < 300) return reply;
    const std::string found = "found status " + std::to_string(reply.status) + " (" + MessageOf(reply.body) + ")";
    if (reply.status == 401) return Fail("COMMENT_NOT_PERMITTED", "the token was refused: " + found);
    if (reply.status == 403 || reply.status == 404) {
      return Fail("COMMENT_NOT_PERMITTED",
                  "the token may not comment here: expected the permission `pull-requests: write` (a pull request from "
                  "a fork has none; post from a second job), " +
                      found);
    }
    return Fail("COMMENT_REJECTED", method + " " + path + ": " + found);
  }

  const CommentTarget& target_;
  const Endpoint& endpoint_;
  httplib::Client client_;
};

bool HasMarker(const std::string& body) {
  // On a line of its own: a quotation of the comment in another is not it.
  return body.starts_with(kCommentMarker) || body.find("\n" + std::string(kCommentMarker)) != std::string::npos;
}

struct Found {
  int64_t id = 0;
  std::string body;
  std::string url;
};

// The oldest comment with the marker, over all pages.
Result<std::optional<Found>> FindComment(Api* api, const std::string& base, int64_t number) {
  std::string path = base + "/issues/" + std::to_string(number) + "/comments?per_page=" + std::to_string(kPageSize);
  for (int page = 0; page < kMaxPages && !path.empty(); ++page) {
    LOCKSTEP_ASSIGN(const Reply reply, api->Send("GET", path));
    const auto list = ParseJson(reply.body, kLimits);
    if (!list || !list->is_array())
      return Fail("COMMENT_REJECTED", "GET " + path + ": expected a JSON array, found " +
                                          (list ? std::string(list->KindName()) : list.error().message));
    for (const Json& entry : list->AsArray()) {
      // Anybody can write the marker: only a comment by a bot or by the token's owner can be updated; others answer
      // 403.
      const std::string body = entry.is_object() && entry.Find("body") != nullptr && entry.Find("body")->is_string()
                                   ? entry.GetString("body")
                                   : std::string();
      if (HasMarker(body) && entry.Find("id") != nullptr && entry.Find("id")->is_int())
        return Found{entry.GetInt("id"), body, entry.GetString("html_url")};
    }
    path = reply.next;
  }
  return std::nullopt;
}

std::string BodyJson(const std::string& body) {
  std::string text = "{\"body\":";
  AppendJsonString(body, &text);
  return text + "}";
}

Result<PostedComment> ReadPosted(const Reply& reply, bool created) {
  const auto json = ParseJson(reply.body, kLimits);
  if (!json || !json->is_object())
    return Fail("COMMENT_REJECTED", "expected the comment as JSON, found something else");
  return PostedComment{json->GetInt("id"), json->GetString("html_url"), created, false};
}

}  // namespace

Result<PostedComment> UpsertComment(const CommentTarget& target, const std::string& body) {
  if (target.token.empty()) return Fail("COMMENT_TOKEN_MISSING", "expected a token in GITHUB_TOKEN, found none");
  // A header must not be split.
  if (target.token.find_first_of("\r\n ") != std::string::npos)
    return Fail("COMMENT_TOKEN_MISSING", "expected a token without blanks in GITHUB_TOKEN");
  const auto parts = Split(target.repository, '/');
  if (parts.size() != 2 || !IsSegment(parts[0]) || !IsSegment(parts[1]))
    return Fail("COMMENT_TARGET_INVALID", "repository: expected owner/name, found " +
                                              (target.repository.empty() ? "nothing" : target.repository));
  if (target.pull_request <= 0) return Fail("COMMENT_TARGET_INVALID", "pull request: expected a number, found none");
  LOCKSTEP_ASSIGN(const Endpoint endpoint, ParseApiUrl(target.api_url));
  Api api(target, endpoint);
  const std::string base = "/repos/" + target.repository;
  if (!target.head_sha.empty()) {
    LOCKSTEP_ASSIGN(const Reply pull, api.Send("GET", base + "/pulls/" + std::to_string(target.pull_request)));
    const auto json = ParseJson(pull.body, kLimits);
    const Json* head = json ? json->At("/head/sha") : nullptr;
    if (head == nullptr || !head->is_string() || head->AsString() != target.head_sha) {
      return Fail("COMMENT_TARGET_INVALID", "pull request " + std::to_string(target.pull_request) + ": expected head " +
                                                target.head_sha + ", found " +
                                                (head != nullptr && head->is_string() ? head->AsString() : "none"));
    }
  }
  LOCKSTEP_ASSIGN(const auto found, FindComment(&api, base, target.pull_request));
  if (found && found->body == body) return PostedComment{found->id, found->url, false, true};
  if (found) {
    const auto updated = api.Send("PATCH", base + "/issues/comments/" + std::to_string(found->id), BodyJson(body));
    if (updated) return ReadPosted(*updated, false);
    // Somebody else's comment that quotes the marker: ours comes beside it.
    if (updated.error().code != "COMMENT_NOT_PERMITTED") return Fail(updated.error());
  }
  LOCKSTEP_ASSIGN(
      const Reply created,
      api.Send("POST", base + "/issues/" + std::to_string(target.pull_request) + "/comments", BodyJson(body)));
  return ReadPosted(created, true);
}

Result<std::string> ReadCommentBody(const std::string& file) {
  LOCKSTEP_ASSIGN(std::string body, ReadFile(file, 4 << 20));
  if (!IsValidUtf8(body)) return Fail("RESULT_INVALID", file + ": expected UTF-8 text, found other bytes");
  if (!body.starts_with(kCommentMarker))
    return Fail("RESULT_INVALID", file + ": expected a report that begins with the marker line, found another text");
  if (body.size() > 4 * kMaxMarkdownCharacters || body.size() > 262'144)
    return Fail("RESULT_INVALID", file + ": expected at most " + std::to_string(kMaxMarkdownCharacters) +
                                      " characters, found " + std::to_string(body.size()) + " bytes");
  return body;
}

}  // namespace lockstep::reports
