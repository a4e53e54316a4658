#include "engine-core/steps/http_request.h"

#include <httplib.h>
#include <netdb.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "engine-core/base/bytes.h"
#include "engine-core/steps/artifact_sink.h"
#include "engine-core/steps/carriable.h"
#include "engine-core/steps/http_origin.h"
#include "engine-core/steps/heartbeat.h"
#include "engine-core/steps/params.h"
#include "engine-core/steps/services.h"
#include "engine-core/steps/step_error.h"
#include "engine-core/steps/text.h"

namespace lockstep::steps {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kInlineBodyBytes = 24'000;
constexpr size_t kErrorBodyBytes = 1024;
constexpr int64_t kWatchTickMs = 20;

struct Exchange {
  std::string method;
  HttpUrl url;
  httplib::Headers headers;
  std::string body;
  std::vector<int64_t> expect_status;  // empty: 200 to 299

  bool Expects(int status) const {
    if (expect_status.empty()) return status >= 200 && status <= 299;
    return std::find(expect_status.begin(), expect_status.end(), status) != expect_status.end();
  }
  std::string Place() const { return "http.request " + method + " " + url.scheme + "://" + url.host; }
};

// ---- parameters ----

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return IsAsciiAlnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// Headers that frame the message or name its receiver: ours alone.
bool IsReservedHeader(const std::string& name) {
  static constexpr std::string_view kReserved[] = {
      "host",    "content-length", "transfer-encoding", "connection",         "upgrade", "te",
      "trailer", "expect",         "keep-alive",        "proxy-authorization"};
  const std::string lower = AsciiLower(name);
  return std::find(std::begin(kReserved), std::end(kReserved), lower) != std::end(kReserved);
}

// Replaces `{{secret:NAME}}` by the value of that secret of the step.
Result<std::string> FillSecrets(const std::string& text, const std::string& place, const StepRequest& request) {
  constexpr std::string_view kOpen = "{{secret:";
  constexpr std::string_view kClose = "}}";
  std::string out;
  size_t at = 0;
  while (true) {
    const size_t open = text.find(kOpen, at);
    if (open == std::string::npos) return out + text.substr(at);
    const size_t close = text.find(kClose, open);
    if (close == std::string::npos) return Fail(ParamError(place, "expected `}}` after `{{secret:`"));
    const std::string name = text.substr(open + kOpen.size(), close - open - kOpen.size());
    const auto secret = request.secrets.find(name);
    if (secret == request.secrets.end())
      return Fail(ParamError(place, "expected the name of a secret of this step, found `" + ShortText(name) + "`"));
    out += text.substr(at, open - at) + secret->second;
    at = close + kClose.size();
  }
}

Result<httplib::Headers> BuildHeaders(const std::map<std::string, std::string>& given, const StepRequest& request) {
  httplib::Headers headers{{"User-Agent", "lockstep"}};
  for (const auto& [name, text] : given) {
    const std::string place = "params.headers." + ShortText(name);
    if (!IsToken(name) || IsReservedHeader(name))
      return Fail(ParamError(place, "expected a header that a step may set"));
    LOCKSTEP_ASSIGN(const std::string value, FillSecrets(text, place, request));
    const bool clean = std::all_of(value.begin(), value.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
    if (!clean) return Fail(ParamError(place, "expected a value without control characters"));
    if (AsciiLower(name) == "user-agent") headers.erase("User-Agent");
    headers.emplace(name, value);
  }
  return headers;
}

Result<Exchange> ReadParameters(const StepRequest& request) {
  static constexpr std::string_view kMethods[] = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"};
  ParamReader reader(request.params);
  Exchange out;
  out.method = reader.RequiredString("method");
  const std::string url = reader.RequiredString("url");
  const std::map<std::string, std::string> headers = reader.StringMap("headers");
  const Json* body = reader.Any("body");
  out.expect_status = reader.Integers("expectStatus", {}, 100, 599);
  if (std::find(std::begin(kMethods), std::end(kMethods), out.method) == std::end(kMethods)) {
    reader.Reject("method", "expected one of DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
  }
  const auto parsed = ParseHttpUrl(url);
  if (!parsed) reader.Reject("url", "expected an absolute http or https URL without user-info and fragment");
  LOCKSTEP_TRY(reader.Finish());
  out.url = *parsed;
  LOCKSTEP_ASSIGN(out.headers, BuildHeaders(headers, request));
  if (body != nullptr) {
    out.body = body->is_string() ? body->AsString() : CanonicalJson(*body);
    const char* type = body->is_string() ? "text/plain; charset=utf-8" : "application/json";
    if (out.headers.find("Content-Type") == out.headers.end()) out.headers.emplace("Content-Type", type);
  }
  return out;
}

// ---- where it may go ----

std::unexpected<Error> HostRefused(const HttpUrl& url, const std::string& why) {
  return Fail(StepError("HTTP_HOST_NOT_ALLOWED", Category::kUser, false, "params.url: host `" + url.host + "` " + why));
}

std::optional<std::string> Objection(AddressClass address_class, const HttpSettings& settings) {
  switch (address_class) {
    case AddressClass::kPublic:
      return std::nullopt;
    case AddressClass::kLoopback:
      return settings.allow_loopback ? std::nullopt : std::optional<std::string>("is on the loopback network");
    case AddressClass::kPrivate:
      return settings.allow_private_networks ? std::nullopt : std::optional<std::string>("is on a private network");
    case AddressClass::kForbidden:
      return "has an address that no step may use";
  }
  return std::nullopt;
}

// Every address the host has, all of them checked; in the resolver's order.
Result<std::vector<std::string>> ResolveHost(const HttpUrl& url, const HttpSettings& settings) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(url.host.c_str(), nullptr, &hints, &list);
  if (code != 0)
    return Fail(TransientError("params.url: host `" + url.host + "` does not resolve: " + ::gai_strerror(code)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  std::vector<std::string> out;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
    if (const auto objection = Objection(ClassOf(text), settings)) return HostRefused(url, *objection);
    out.emplace_back(text);
  }
  if (out.empty()) return HostRefused(url, "has no address");
  return out;
}

// ---- the exchange ----

// Ends the exchange from another thread when the step is cancelled or its time is over, and reports progress meanwhile.
class Watcher {
 public:
  enum class Verdict : uint8_t { kNone, kCancelled, kTimedOut, kAttemptOver };

  Watcher(activity::ActivityContext& context, httplib::Client& client, SteadyClock::time_point deadline,
          std::optional<SteadyClock::time_point> attempt_end)
      : context_(context), client_(client), deadline_(deadline), attempt_end_(attempt_end), thread_([this] {
          Watch();
        }) {}
  ~Watcher() { Stop(); }

  Verdict Stop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
    return verdict_;
  }

 private:
  Verdict Judge() {
    const auto now = SteadyClock::now();
    if (context_.WaitForCancellation(kWatchTickMs)) return Verdict::kCancelled;
    if (attempt_end_ && now >= *attempt_end_) return Verdict::kAttemptOver;
    return now >= deadline_ ? Verdict::kTimedOut : Verdict::kNone;
  }

  void Watch() {
    auto next_heartbeat = SteadyClock::now();
    while (!done_) {
      if (verdict_ == Verdict::kNone) {
        verdict_ = Judge();
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(kWatchTickMs));
      }
      // Again and again, because a connection that is only being made cannot be stopped yet.
      if (verdict_ != Verdict::kNone) client_.stop();
      if (const auto now = SteadyClock::now(); now >= next_heartbeat) {
        context_.Heartbeat(Json());
        next_heartbeat = now + kHeartbeatInterval;
      }
    }
  }

  activity::ActivityContext& context_;
  httplib::Client& client_;
  SteadyClock::time_point deadline_;
  std::optional<SteadyClock::time_point> attempt_end_;
  std::atomic<bool> done_{false};
  Verdict verdict_ = Verdict::kNone;  // read by others after the join only
  std::thread thread_;
};

// What has been received. The body of an answer that the step does not expect is only looked at for the message.
struct Answer {
  int status = 0;
  std::string content_type;
  std::string location;
  std::string head;  // the beginning of the body
  std::optional<ArtifactSink> sink;
  uint64_t body_bytes = 0;
  bool too_large = false;
  std::optional<Error> store_error;
};

class Client {
 public:
  Client(const Exchange& exchange, const StepRequest& request, activity::ActivityContext& context, Services& services)
      : exchange_(exchange),
        request_(request),
        context_(context),
        services_(services),
        settings_(services.configuration.http) {}

  Result<Answer> Run(const std::vector<std::string>& addresses) {
    const auto start = SteadyClock::now();
    deadline_ = start + std::chrono::milliseconds(settings_.request_timeout_ms);
    if (const int64_t limit = context_.info().start_to_close_ms; limit > 0)
      attempt_end_ = start + std::chrono::milliseconds(limit);
    if (context_.cancelled())
      return Fail(CancelledError(exchange_.Place() + ": stopped because the step was cancelled"));
    // Only a connection that was never made may be tried at the next address: nothing has been sent yet.
    for (size_t i = 0;; ++i) {
      bool unconnected = false;
      auto answer = Attempt(addresses[i], &unconnected);
      if (answer || !unconnected || i + 1 == addresses.size()) return answer;
    }
  }

 private:
  std::unique_ptr<httplib::Client> Connectable(const std::string& address) const {
    const HttpUrl& url = exchange_.url;
    const bool ipv6 = url.host.find(':') != std::string::npos;
    const std::string host = ipv6 ? "[" + url.host + "]" : url.host;
    auto client = std::make_unique<httplib::Client>(url.scheme + "://" + host + ":" + std::to_string(url.port));
    client->set_hostname_addr_map({{url.host, address}});
    client->set_connection_timeout(std::chrono::milliseconds(settings_.connect_timeout_ms));
    client->set_read_timeout(std::chrono::milliseconds(settings_.request_timeout_ms));
    client->set_write_timeout(std::chrono::milliseconds(settings_.request_timeout_ms));
    client->set_follow_location(false);
    client->set_keep_alive(false);
    client->set_url_encode(false);
    if (!settings_.ca_file.empty()) client->set_ca_cert_path(settings_.ca_file.c_str());
    client->enable_server_certificate_verification(true);
    return client;
  }

  Result<Answer> Attempt(const std::string& address, bool* unconnected) {
    const auto client = Connectable(address);
    Answer answer;
    httplib::Request request;
    request.method = exchange_.method;
    request.path = exchange_.url.target;
    request.headers = exchange_.headers;
    request.body = exchange_.body;
    request.response_handler = [&answer](const httplib::Response& response) {
      answer.status = response.status;
      answer.content_type = AsciiLower(response.get_header_value("Content-Type"));
      answer.location = response.get_header_value("Location");
      return true;
    };
    request.content_receiver = [this, &answer](const char* data, size_t size, uint64_t, uint64_t) {
      return Receive(std::string_view(data, size), &answer);
    };
    httplib::Response response;
    httplib::Error error = httplib::Error::Success;
    Watcher watcher(context_, *client, deadline_, attempt_end_);
    const bool sent = client->send(request, response, error);
    const Watcher::Verdict verdict = watcher.Stop();
    if (sent && answer.status == 0) answer.status = response.status;
    if (auto failure = Failure(sent, error, verdict, answer, unconnected)) return Fail(std::move(*failure));
    return answer;
  }

  bool Receive(std::string_view bytes, Answer* answer) {
    answer->body_bytes += bytes.size();
    if (!exchange_.Expects(answer->status)) {
      answer->head += bytes.substr(0, kErrorBodyBytes - std::min(kErrorBodyBytes, answer->head.size()));
      return answer->head.size() < kErrorBodyBytes;
    }
    if (answer->body_bytes > settings_.max_response_bytes) {
      answer->too_large = true;
      return false;
    }
    if (auto stored = Keep(bytes, answer); !stored) {
      answer->store_error = std::move(stored).error();
      return false;
    }
    return true;
  }

  Status Keep(std::string_view bytes, Answer* answer) {
    if (!answer->sink && answer->head.size() + bytes.size() <= kInlineBodyBytes) {
      answer->head += bytes;
      return {};
    }
    if (!answer->sink) {
      LOCKSTEP_ASSIGN(answer->sink, ArtifactSink::Open(*services_.artifacts, request_.redactor, UINT64_MAX));
      LOCKSTEP_TRY(answer->sink->Write(std::exchange(answer->head, {})));
    }
    return answer->sink->Write(bytes);
  }

  std::optional<Error> Failure(bool sent, httplib::Error error, Watcher::Verdict verdict, const Answer& answer,
                               bool* unconnected) const {
    const std::string place = exchange_.Place();
    if (answer.store_error) return answer.store_error;
    if (answer.too_large) {
      return StepError("HTTP_RESPONSE_TOO_LARGE", Category::kUser, false,
                       place + ": expected a body of at most " + std::to_string(settings_.max_response_bytes) +
                           " bytes, found more");
    }
    const bool looked_at_enough = answer.status != 0 && !exchange_.Expects(answer.status);
    if (sent || (looked_at_enough && error == httplib::Error::Canceled)) return Unexpected(answer);
    if (verdict == Watcher::Verdict::kCancelled)
      return CancelledError(place + ": stopped because the step was cancelled");
    if (verdict == Watcher::Verdict::kAttemptOver)
      return TimeoutError(place + ": stopped because the attempt's time was over");
    if (verdict == Watcher::Verdict::kTimedOut) {
      return TransientError(place + ": expected an answer within " + std::to_string(settings_.request_timeout_ms) +
                            " ms, found none");
    }
    const std::string text = place + ": " + httplib::to_string(error);
    if (error == httplib::Error::SSLServerVerification || error == httplib::Error::SSLLoadingCerts) {
      return StepError("HTTP_TLS_FAILED", Category::kUser, false, text);
    }
    *unconnected = error == httplib::Error::Connection || error == httplib::Error::ConnectionTimeout;
    return TransientError(text);
  }

  // Nothing when the status is one the step expects. A Retry-After is not followed: when to try again is the plan's
  // decision.
  std::optional<Error> Unexpected(const Answer& answer) const {
    if (exchange_.Expects(answer.status)) return std::nullopt;
    std::string message =
        exchange_.Place() + ": expected status " + ExpectedText() + ", found " + std::to_string(answer.status);
    if (!answer.head.empty()) message += "; body: " + request_.redactor.Redact(PrintableText(answer.head));
    const bool transient = answer.status >= 500 || answer.status == 429 || answer.status == 408;
    Error error = transient ? TransientError(std::move(message)) : PermanentError(std::move(message));
    return std::move(error).With("httpStatus", std::to_string(answer.status));
  }

  std::string ExpectedText() const {
    if (exchange_.expect_status.empty()) return "200 to 299";
    std::string out;
    for (const int64_t status : exchange_.expect_status) out += (out.empty() ? "" : ", ") + std::to_string(status);
    return out;
  }

  const Exchange& exchange_;
  const StepRequest& request_;
  activity::ActivityContext& context_;
  Services& services_;
  const HttpSettings& settings_;
  SteadyClock::time_point deadline_;
  std::optional<SteadyClock::time_point> attempt_end_;
};

bool IsTextType(std::string_view type) {
  return type.empty() || type.starts_with("text/") || type.starts_with("application/json") ||
         type.starts_with("application/xml") || type.find("+json") != std::string_view::npos ||
         type.find("+xml") != std::string_view::npos;
}

bool IsJsonType(std::string_view type) {
  return type.starts_with("application/json") || type.find("+json") != std::string_view::npos;
}

// A body that is small and text stands in the result, as `json` where it is JSON; any other becomes an artifact.
Result<StepOutput> OutputOf(Answer answer, const StepRequest& request, Services& services) {
  StepOutput output;
  Json& result = output.result.emplace(
      Json::MakeObject({{"status", answer.status}, {"bodyBytes", Json(static_cast<int64_t>(answer.body_bytes))}}));
  if (!answer.content_type.empty()) result.Set("contentType", PrintableText(answer.content_type));
  if (!answer.location.empty()) result.Set("location", PrintableText(answer.location));
  if (answer.body_bytes == 0) return output;
  if (!answer.sink && IsTextType(answer.content_type) && IsValidUtf8(answer.head)) {
    auto json = IsJsonType(answer.content_type) ? ParseJson(answer.head) : Result<Json>(Fail("JSON_INVALID", ""));
    if (json && IsCarriable(*json)) {
      result.Set("json", std::move(*json));
    } else {
      result.Set("text", answer.head);
    }
    return output;
  }
  if (!answer.sink) {
    LOCKSTEP_ASSIGN(answer.sink, ArtifactSink::Open(*services.artifacts, request.redactor, UINT64_MAX));
    LOCKSTEP_TRY(answer.sink->Write(answer.head));
  }
  LOCKSTEP_ASSIGN(artifacts::ArtifactRef ref, answer.sink->Commit("response"));
  result.Set("bodyRef", artifacts::ToJson(ref));
  output.artifacts.push_back(std::move(ref));
  return output;
}

class HttpRequest final : public StepExecutor {
 public:
  Result<StepOutput> Execute(const StepRequest& request, activity::ActivityContext& context,
                             Services& services) override {
    LOCKSTEP_ASSIGN(const Exchange exchange, ReadParameters(request));
    const HttpSettings& settings = services.configuration.http;
    const bool listed = std::any_of(settings.allowed.begin(), settings.allowed.end(),
                                    [&exchange](const HttpOrigin& origin) { return Allows(origin, exchange.url); });
    if (!listed)
      return HostRefused(exchange.url, "with this scheme and port is not among the hosts that this worker allows");
    LOCKSTEP_ASSIGN(const std::vector<std::string> addresses, ResolveHost(exchange.url, settings));
    LOCKSTEP_ASSIGN(Answer answer, Client(exchange, request, context, services).Run(addresses));
    return OutputOf(std::move(answer), request, services);
  }
};

}  // namespace

std::shared_ptr<StepExecutor> HttpRequestExecutor() { return std::make_shared<HttpRequest>(); }

}  // namespace lockstep::steps
