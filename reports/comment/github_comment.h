// The one comment of a pull request, found again by its marker line and updated in place (spec 07 section 8.1), through
// GitHub's REST API (version 2022-11-28). Transient failures (429, 5xx, connection, secondary rate limits) are tried
// again with back-off; a missing permission is an error of its own, so that the caller can keep the report as a file.
//
// Blocking I/O; the token is sent to the API only, never logged, and never to another host than the one that was named.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine-core/base/result.h"

namespace lockstep::reports {

struct CommentTarget {
  std::string api_url;     // https://api.github.com, or that of an enterprise server
  std::string repository;  // owner/name
  int64_t pull_request = 0;
  std::string token;
  // When given, the pull request must have this head: a report from a fork names its pull request itself, and must not
  // reach another one.
  std::string head_sha;
  int attempts = 5;  // of each request
  int64_t first_wait_ms = 500;
  int64_t longest_wait_ms = 60'000;  // also what a Retry-After may ask for
  // For tests; nullptr sleeps.
  std::function<void(int64_t ms)> wait;
};

struct PostedComment {
  int64_t id = 0;
  std::string url;
  bool created = false;
  bool unchanged = false;  // it already said exactly this
};

// Errors: COMMENT_TARGET_INVALID, COMMENT_TOKEN_MISSING, COMMENT_NOT_PERMITTED (401, 403, 404), COMMENT_REJECTED (other
// 4xx), COMMENT_UNAVAILABLE (retryable).
Result<PostedComment> UpsertComment(const CommentTarget& target, const std::string& body);

// A body that another job has made, which may come from a fork: it must be UTF-8, carry the marker, and fit.
Result<std::string> ReadCommentBody(const std::string& file);

}  // namespace lockstep::reports
