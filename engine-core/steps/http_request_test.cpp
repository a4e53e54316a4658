// `http.request` against a real server on the loopback network.
#include "engine-core/steps/http_request.h"

#include <arpa/inet.h>
#include <httplib.h>

#include <atomic>

#include "engine-core/base/sha256.h"
#include "engine-core/steps/descriptor.h"
#include "engine-core/steps/testing/step_test.h"

namespace lockstep::steps {
namespace {

class HttpRequestTest : public testing::StepTest {
 protected:
  void SetUp() override {
    StepTest::SetUp();
    AddRoutes();
    port_ = server_.bind_to_any_port("127.0.0.1");
    ASSERT_GT(port_, 0);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    ASSERT_TRUE(testing::Eventually([this] { return server_.is_running(); }));
    HttpSettings& settings = services_.configuration.http;
    settings.allowed = {HttpOrigin{"http", "127.0.0.1", port_}};
    settings.allow_loopback = true;
  }
  void TearDown() override {
    release_ = true;
    server_.stop();
    thread_.join();
  }
  void AddRoutes() {
    server_.Get("/json", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(R"({"b":[1,2],"a":"x"})", "application/json; charset=utf-8");
    });
    server_.Get("/text", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("plain words", "text/plain");
    });
    server_.Get("/binary", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(std::string("\0\1\2", 3), "application/octet-stream");
    });
    server_.Get("/large", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(std::string(200000, 'x'), "text/plain");
    });
    server_.Get("/big-number", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(R"({"id":9007199254740993})", "application/json");
    });
    server_.Get("/broken-json", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("{", "application/json");
    });
    server_.Get(R"(/status/(\d+))", [](const httplib::Request& request, httplib::Response& response) {
      response.status = std::stoi(request.matches[1]);
      response.set_header("Retry-After", "3600");
      response.set_content("because of reasons", "text/plain");
    });
    server_.Get("/redirect",
                [](const httplib::Request&, httplib::Response& response) { response.set_redirect("/json"); });
    const auto echo = [](const httplib::Request& request, httplib::Response& response) {
      Json out = Json::MakeObject({{"method", request.method}, {"target", request.target}, {"body", request.body}});
      for (const char* name : {"Content-Type", "X-Token", "Authorization", "User-Agent"}) {
        if (request.has_header(name)) out.Set(name, request.get_header_value(name));
      }
      response.set_content(CanonicalJson(out), "application/json");
    };
    server_.Get("/echo", echo);
    server_.Post("/echo", echo);
    server_.Put("/echo", echo);
    server_.Patch("/echo", echo);
    server_.Delete("/echo", echo);
    server_.Get("/slow", [this](const httplib::Request&, httplib::Response& response) {
      ++slow_;
      while (!release_) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      response.set_content("late", "text/plain");
    });
    server_.Get("/endless", [this](const httplib::Request&, httplib::Response& response) {
      response.set_chunked_content_provider("text/plain", [this](size_t, httplib::DataSink& sink) {
        ++slow_;
        return sink.write(std::string(1000, 'y').c_str(), 1000) && !release_;
      });
    });
  }

  std::string Url(const std::string& target) const { return "http://127.0.0.1:" + std::to_string(port_) + target; }
  Json Params(const std::string& method, const std::string& target) const {
    return Json::MakeObject({{"method", method}, {"url", Url(target)}});
  }
  Result<Json> Get(const std::string& target) { return Run("http.request", Params("GET", target)); }

  httplib::Server server_;
  std::thread thread_;
  int port_ = 0;
  std::atomic<int> slow_{0};
  std::atomic<bool> release_{false};
};

TEST_F(HttpRequestTest, Json_StandsInTheResult) {
  const auto value = Get("/json");
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_EQ(
      CanonicalJson(*value->Find("result")),
      R"({"bodyBytes":19,"contentType":"application/json; charset=utf-8","json":{"a":"x","b":[1,2]},"status":200})");
  EXPECT_TRUE(value->Find("artifactRefs")->AsArray().empty());
}

TEST_F(HttpRequestTest, Text_StandsInTheResult) {
  EXPECT_EQ(Get("/text")->At("/result/text")->AsString(), "plain words");
  // No reader may change a number, so JSON that the log cannot carry stays text.
  EXPECT_EQ(Get("/big-number")->At("/result/text")->AsString(), R"({"id":9007199254740993})");
  EXPECT_EQ(Get("/broken-json")->At("/result/text")->AsString(), "{");
}

TEST_F(HttpRequestTest, BinaryOrLargeBody_BecomesAnArtifact) {
  const auto binary = Get("/binary");
  EXPECT_EQ(ArtifactOfKind(*binary, "response"), std::string("\0\1\2", 3));
  const auto large = Get("/large");
  EXPECT_EQ(large->At("/result/bodyRef/sha256")->AsString(), Sha256Hex(std::string(200000, 'x')));
  EXPECT_EQ(large->At("/result/text"), nullptr);
}

TEST_F(HttpRequestTest, Body_TextAsItIs_OtherValuesAsJson) {
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    Json params = Params(method, "/echo?a=b%20c");
    params.Set("body", Json::MakeObject({{"z", 1}, {"a", true}}));
    const auto value = Run("http.request", params);
    ASSERT_TRUE(value.has_value()) << value.error().message;
    EXPECT_EQ(value->At("/result/json/method")->AsString(), method);
    EXPECT_EQ(value->At("/result/json/target")->AsString(), "/echo?a=b%20c");
    EXPECT_EQ(value->At("/result/json/body")->AsString(), R"({"a":true,"z":1})");
    EXPECT_EQ(value->At("/result/json/Content-Type")->AsString(), "application/json");
  }
  Json params = Params("POST", "/echo");
  params.Set("body", "raw text").Set("headers", Json::MakeObject({{"content-type", "text/csv"}}));
  const auto value = Run("http.request", params);
  EXPECT_EQ(value->At("/result/json/body")->AsString(), "raw text");
  EXPECT_EQ(value->At("/result/json/Content-Type")->AsString(), "text/csv");
}

TEST_F(HttpRequestTest, Headers_CarrySecrets_ThatTheResultDoesNotShow) {
  AddSecret("api", "token", "t0ken-value");
  secret_refs_ = Json(Json::Array{Json::MakeObject({{"name", "TOKEN"}, {"secretId", "api"}, {"key", "token"}})});
  Json params = Params("GET", "/echo");
  params.Set("headers", Json::MakeObject({{"Authorization", "Bearer {{secret:TOKEN}}"}, {"X-Token", "plain"}}));
  const auto value = Run("http.request", params);
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_EQ(value->At("/result/json/Authorization")->AsString(), "Bearer ***");
  EXPECT_EQ(value->At("/result/json/X-Token")->AsString(), "plain");
  params.Set("headers", Json::MakeObject({{"Authorization", "{{secret:OTHER}}"}}));
  EXPECT_ERROR(Run("http.request", params), "INVALID_STEP_SCHEMA");
}

TEST_F(HttpRequestTest, Status_Unexpected_ServerErrorsAndThrottling_AreTransient) {
  for (const char* status : {"500", "503", "429", "408"}) {
    const auto value = Get(std::string("/status/") + status);
    EXPECT_ERROR(value, "TRANSIENT_STEP_ERROR");
    EXPECT_TRUE(value.error().retryable);
    EXPECT_EQ(value.error().Detail("httpStatus"), status);
    EXPECT_NE(value.error().message.find("because of reasons"), std::string::npos);
    EXPECT_EQ(value.error().message.find("3600"), std::string::npos);
  }
}

TEST_F(HttpRequestTest, Status_Unexpected_ClientErrors_ArePermanent) {
  for (const char* status : {"400", "401", "404", "409", "410"}) {
    EXPECT_ERROR(Get(std::string("/status/") + status), "PERMANENT_STEP_ERROR");
  }
}

TEST_F(HttpRequestTest, Status_Expected_IsSuccess_AndTwoHundredIsNotWhenUnlisted) {
  Json params = Params("GET", "/status/404");
  params.Set("expectStatus", Json(Json::Array{404}));
  const auto value = Run("http.request", params);
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_EQ(value->At("/result/status")->AsInt(), 404);
  Json other = Params("GET", "/json");
  other.Set("expectStatus", Json(Json::Array{404}));
  EXPECT_ERROR(Run("http.request", other), "PERMANENT_STEP_ERROR");
}

TEST_F(HttpRequestTest, Redirect_IsNotFollowed) {
  EXPECT_ERROR(Get("/redirect"), "PERMANENT_STEP_ERROR");
  Json params = Params("GET", "/redirect");
  params.Set("expectStatus", Json(Json::Array{302}));
  EXPECT_EQ(Run("http.request", params)->At("/result/location")->AsString(), "/json");
}

TEST_F(HttpRequestTest, Head_HasNoBody) {
  const auto value = Run("http.request", Params("HEAD", "/json"));
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_EQ(value->At("/result/bodyBytes")->AsInt(), 0);
}

TEST_F(HttpRequestTest, ConnectionRefused_IsTransient) {
  // Bound but not listening: the port is ours and refuses.
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  services_.configuration.http.allowed = {HttpOrigin{"http", "127.0.0.1", std::nullopt}};
  const std::string url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  EXPECT_ERROR(Run("http.request", Json::MakeObject({{"method", "GET"}, {"url", url}})), "TRANSIENT_STEP_ERROR");
}

TEST_F(HttpRequestTest, Response_AboveTheBound_IsRefused) {
  services_.configuration.http.max_response_bytes = 1000;
  EXPECT_ERROR(Get("/large"), "HTTP_RESPONSE_TOO_LARGE");
  EXPECT_ERROR(Get("/endless"), "HTTP_RESPONSE_TOO_LARGE");
  EXPECT_TRUE(Get("/json").has_value());
}

TEST_F(HttpRequestTest, Host_NotListed_IsRefusedBeforeAnythingIsSent) {
  services_.configuration.http.allowed = {HttpOrigin{"https", "api.example.com", 443}};
  const auto value = Get("/json");
  EXPECT_ERROR(value, "HTTP_HOST_NOT_ALLOWED");
  EXPECT_FALSE(value.error().retryable);
}

TEST_F(HttpRequestTest, Host_OtherPortOrScheme_IsAnotherOrigin) {
  services_.configuration.http.allowed = {HttpOrigin{"http", "127.0.0.1", port_ == 1 ? 2 : port_ - 1}};
  EXPECT_ERROR(Get("/json"), "HTTP_HOST_NOT_ALLOWED");
  services_.configuration.http.allowed = {HttpOrigin{"https", "127.0.0.1", port_}};
  EXPECT_ERROR(Get("/json"), "HTTP_HOST_NOT_ALLOWED");
}

TEST_F(HttpRequestTest, Host_OnLoopback_NeedsTheSwitch_WhateverItsName) {
  HttpSettings& settings = services_.configuration.http;
  settings.allow_loopback = false;
  settings.allowed.push_back(HttpOrigin{"http", "localhost", std::nullopt});
  EXPECT_ERROR(Get("/json"), "HTTP_HOST_NOT_ALLOWED");
  EXPECT_ERROR(Run("http.request", Json::MakeObject({{"method", "GET"},
                                                     {"url", "http://localhost:" + std::to_string(port_) + "/json"}})),
               "HTTP_HOST_NOT_ALLOWED");
}

TEST_F(HttpRequestTest, Host_LinkLocal_IsNeverAllowed) {
  services_.configuration.http.allowed.push_back(HttpOrigin{"http", "169.254.169.254", 80});
  EXPECT_ERROR(Run("http.request", Json::MakeObject({{"method", "GET"}, {"url", "http://169.254.169.254/latest"}})),
               "HTTP_HOST_NOT_ALLOWED");
}

TEST_F(HttpRequestTest, Timeout_OfTheRequest_IsTransient) {
  services_.configuration.http.request_timeout_ms = 50;
  const auto value = Get("/slow");
  EXPECT_ERROR(value, "TRANSIENT_STEP_ERROR");
}

TEST_F(HttpRequestTest, Timeout_OfAnEndlessBody_IsTransient) {
  services_.configuration.http.request_timeout_ms = 100;
  services_.configuration.http.max_response_bytes = UINT64_MAX;
  EXPECT_ERROR(Get("/endless"), "TRANSIENT_STEP_ERROR");
}

TEST_F(HttpRequestTest, Timeout_OfTheAttempt_IsStepTimeout) {
  context_.info_value.start_to_close_ms = 50;
  EXPECT_ERROR(Get("/slow"), "STEP_TIMEOUT");
}

TEST_F(HttpRequestTest, Cancel_EndsAWaitingRequest) {
  const auto value = RunAndCancel("http.request", Params("GET", "/slow"), [this] { return slow_ > 0; });
  EXPECT_ERROR(value, "CANCELLED");
}

TEST_F(HttpRequestTest, Cancel_EndsAnEndlessBody) {
  services_.configuration.http.max_response_bytes = UINT64_MAX;
  const auto value = RunAndCancel("http.request", Params("GET", "/endless"), [this] { return slow_ > 3; });
  EXPECT_ERROR(value, "CANCELLED");
}

TEST_F(HttpRequestTest, Params_WrongShapes_NameTheirPlace) {
  const auto path_of = [this](const Json& params) {
    const auto value = Run("http.request", params);
    EXPECT_ERROR(value, "INVALID_STEP_SCHEMA");
    return value.has_value() || value.error().issues.empty() ? std::string() : value.error().issues.front().path;
  };
  const auto with = [this](const char* name, Json value) { return Params("GET", "/json").Set(name, std::move(value)); };
  EXPECT_EQ(path_of(with("method", "TRACE")), "params.method");
  EXPECT_EQ(path_of(with("method", "get")), "params.method");
  EXPECT_EQ(path_of(with("url", "ftp://127.0.0.1/")), "params.url");
  EXPECT_EQ(path_of(with("url", "http://user:pw@127.0.0.1/")), "params.url");
  EXPECT_EQ(path_of(with("url", "http://127.0.0.1/a b")), "params.url");
  EXPECT_EQ(path_of(with("url", "http://127.0.0.1/\r\nX: y")), "params.url");
  EXPECT_EQ(path_of(with("expectStatus", Json(Json::Array{99}))), "params.expectStatus[0]");
  EXPECT_EQ(path_of(with("headers", Json::MakeObject({{"Host", "other"}}))), "params.headers.Host");
  EXPECT_EQ(path_of(with("headers", Json::MakeObject({{"X-A", "a\r\nX-B: b"}}))), "params.headers.X-A");
  EXPECT_EQ(path_of(with("headers", Json::MakeObject({{"bad name", "a"}}))), "params.headers.bad name");
  EXPECT_EQ(path_of(with("headers", Json::MakeObject({{"X-A", 1}}))), "params.headers.X-A");
  EXPECT_EQ(path_of(with("headers", Json::MakeObject({{"X-A", "{{secret:A"}}))), "params.headers.X-A");
  EXPECT_EQ(path_of(with("timeout", 1)), "params.timeout");
}

}  // namespace
}  // namespace lockstep::steps
