// The comment against a server on loopback that keeps comments like GitHub does and can be told to misbehave. The shape
// of every request against GitHub's own description is checked end to end (e2e/gate/test_comment.py).
#include "reports/comment/github_comment.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "engine-core/base/json.h"
#include "reports/render/render.h"

namespace lockstep::reports {
namespace {

const std::string kBody = std::string(kCommentMarker) + "\nverdict";

class Server {
 public:
  Server() {
    server_.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      const std::lock_guard lock(mutex_);
      requests.push_back(request.method + " " + request.path);
      authorization = request.get_header_value("Authorization");
      if (failures > 0) {
        --failures;
        response.status = failure_status;
        for (const auto& [name, value] : failure_headers) response.set_header(name, value);
        response.set_content("{\"message\":\"not now\"}", "application/json");
        return httplib::Server::HandlerResponse::Handled;
      }
      return httplib::Server::HandlerResponse::Unhandled;
    });
    server_.Get("/repos/o/r/issues/7/comments", [this](const httplib::Request& request, httplib::Response& response) {
      const int page = request.has_param("page") ? std::stoi(request.get_param_value("page")) : 1;
      Json list = Json::MakeArray();
      size_t index = 0;
      for (const auto& [id, body] : comments) {
        if (index / page_size + 1 == static_cast<size_t>(page))
          list.Push(Json::MakeObject(
              {{"id", id}, {"body", body}, {"html_url", "https://example.com/c" + std::to_string(id)}}));
        ++index;
      }
      if (static_cast<size_t>(page) * page_size < comments.size())
        response.set_header("Link", "<" + url() + "/repos/o/r/issues/7/comments?per_page=100&page=" +
                                        std::to_string(page + 1) + ">; rel=\"next\"");
      response.set_content(CanonicalJson(list), "application/json");
    });
    server_.Post("/repos/o/r/issues/7/comments", [this](const httplib::Request& request, httplib::Response& response) {
      const int64_t id = 100 + static_cast<int64_t>(comments.size());
      comments[id] = ParseJson(request.body)->GetString("body");
      response.status = 201;
      response.set_content("{\"id\":" + std::to_string(id) + ",\"html_url\":\"https://example.com/c\"}",
                           "application/json");
    });
    server_.Patch(R"(/repos/o/r/issues/comments/(\d+))",
                  [this](const httplib::Request& request, httplib::Response& response) {
                    comments[std::stoll(request.matches[1].str())] = ParseJson(request.body)->GetString("body");
                    response.set_content("{\"id\":1,\"html_url\":\"https://example.com/c\"}", "application/json");
                  });
    server_.Get("/repos/o/r/pulls/7", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("{\"head\":{\"sha\":\"abc\"}}", "application/json");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~Server() {
    server_.stop();
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  CommentTarget Target() {
    CommentTarget target;
    target.api_url = url();
    target.repository = "o/r";
    target.pull_request = 7;
    target.token = "t0ken";
    target.wait = [this](int64_t ms) { waits.push_back(ms); };
    return target;
  }

  std::map<int64_t, std::string> comments;
  size_t page_size = 100;
  int failures = 0;
  int failure_status = 500;
  std::map<std::string, std::string> failure_headers;
  std::vector<std::string> requests;
  std::string authorization;
  std::vector<int64_t> waits;

 private:
  httplib::Server server_;
  int port_ = 0;
  std::mutex mutex_;
  std::thread thread_;
};

TEST(GithubComment, IsCreatedOnce_ThenUpdatedInPlace_ThenLeftAlone) {
  Server server;
  server.comments[5] = "a remark that quotes " + std::string(kCommentMarker);
  const auto first = UpsertComment(server.Target(), kBody);
  ASSERT_TRUE(first.has_value()) << first.error().ToString();
  EXPECT_TRUE(first->created);
  const auto second = UpsertComment(server.Target(), kBody + " 2");
  ASSERT_TRUE(second.has_value());
  EXPECT_FALSE(second->created);
  EXPECT_EQ(server.comments.size(), 2U);
  EXPECT_EQ(server.comments.rbegin()->second, kBody + " 2");
  const auto third = UpsertComment(server.Target(), kBody + " 2");
  ASSERT_TRUE(third.has_value());
  EXPECT_TRUE(third->unchanged);
  EXPECT_EQ(server.authorization, "Bearer t0ken");
}

TEST(GithubComment, IsFoundOnALaterPage) {
  Server server;
  server.page_size = 2;
  for (int64_t i = 1; i <= 5; ++i) server.comments[i] = "other";
  server.comments[6] = kBody;
  const auto posted = UpsertComment(server.Target(), kBody + " new");
  ASSERT_TRUE(posted.has_value()) << posted.error().ToString();
  EXPECT_FALSE(posted->created);
  EXPECT_EQ(server.comments[6], kBody + " new");
}

TEST(GithubComment, RetriesWithGrowingPauses_AndHonoursRetryAfter) {
  Server server;
  server.failures = 2;
  ASSERT_TRUE(UpsertComment(server.Target(), kBody).has_value());
  EXPECT_EQ(server.waits, (std::vector<int64_t>{500, 1000}));
  server.waits.clear();
  server.failures = 1;
  server.failure_status = 403;
  server.failure_headers = {{"Retry-After", "7"}};
  ASSERT_TRUE(UpsertComment(server.Target(), kBody + "x").has_value());
  EXPECT_EQ(server.waits, (std::vector<int64_t>{7000}));
}

TEST(GithubComment, GivesUpOnAServerThatNeverAnswers) {
  Server server;
  server.failures = 1000;
  const auto posted = UpsertComment(server.Target(), kBody);
  ASSERT_FALSE(posted.has_value());
  EXPECT_EQ(posted.error().code, "COMMENT_UNAVAILABLE");
  EXPECT_EQ(server.waits.size(), 4U);
}

TEST(GithubComment, AMissingPermissionIsToldAtOnce) {
  for (const int status : {401, 403, 404}) {
    Server server;
    server.failures = 1000;
    server.failure_status = status;
    const auto posted = UpsertComment(server.Target(), kBody);
    ASSERT_FALSE(posted.has_value());
    EXPECT_EQ(posted.error().code, "COMMENT_NOT_PERMITTED");
    EXPECT_TRUE(server.waits.empty());
    EXPECT_EQ(posted.error().message.find("t0ken"), std::string::npos);
  }
}

TEST(GithubComment, GoesOnlyToThePullRequestWithTheHeadThatWasChecked) {
  Server server;
  CommentTarget target = server.Target();
  target.head_sha = "abc";
  EXPECT_TRUE(UpsertComment(target, kBody).has_value());
  target.head_sha = "def";
  EXPECT_EQ(UpsertComment(target, kBody + "x").error().code, "COMMENT_TARGET_INVALID");
  EXPECT_EQ(server.comments.begin()->second, kBody);
}

TEST(GithubComment, RefusesTargetsThatItMustNotSendATokenTo) {
  Server server;
  for (const char* url : {"http://example.com", "ftp://x", "", "https://", "https://a@b"}) {
    CommentTarget target = server.Target();
    target.api_url = url;
    EXPECT_FALSE(UpsertComment(target, kBody).has_value()) << url;
  }
  for (const char* repository : {"", "o", "o/r/x", "../r", "o/ r", "o/.."}) {
    CommentTarget target = server.Target();
    target.repository = repository;
    EXPECT_EQ(UpsertComment(target, kBody).error().code, "COMMENT_TARGET_INVALID") << repository;
  }
  CommentTarget target = server.Target();
  target.token.clear();
  EXPECT_EQ(UpsertComment(target, kBody).error().code, "COMMENT_TOKEN_MISSING");
  EXPECT_TRUE(server.requests.empty());
}

}  // namespace
}  // namespace lockstep::reports
