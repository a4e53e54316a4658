// cpp-httplib does the protocol; a watch thread ends a transfer that exceeds its time, because the library bounds only
// single reads.
#include "engine-core/plan/https_fetcher.h"

#include <arpa/inet.h>
#include <httplib.h>
#include <netdb.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

namespace lockstep::plan {
namespace {

Result<std::vector<std::string>> SystemResolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int status = getaddrinfo(host.c_str(), nullptr, &hints, &found); status != 0) {
    return FetchFailed("cannot resolve \"" + host + "\": " + gai_strerror(status));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  std::vector<std::string> out;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    char text[INET6_ADDRSTRLEN] = {};
    const void* address = one->ai_family == AF_INET
                              ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(one->ai_addr)->sin_addr)
                              : &reinterpret_cast<const sockaddr_in6*>(one->ai_addr)->sin6_addr;
    if ((one->ai_family == AF_INET || one->ai_family == AF_INET6) &&
        inet_ntop(one->ai_family, address, text, sizeof text) != nullptr) {
      out.emplace_back(text);
    }
  }
  return out;
}

// Stops the client when the time is up, unless the transfer ends first.
class Watch {
 public:
  Watch(httplib::Client* client, int64_t timeout_ms)
      : thread_([this, client, timeout_ms] {
          std::unique_lock lock(mutex_);
          if (done_changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return done_; })) return;
          expired_ = true;
          client->stop();
        }) {}
  ~Watch() { Stop(); }
  // Whether the time ran out.
  bool Stop() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    done_changed_.notify_one();
    if (thread_.joinable()) thread_.join();
    return expired_;
  }
  bool expired() const { return expired_; }

 private:
  std::mutex mutex_;
  std::condition_variable done_changed_;
  bool done_ = false;
  std::atomic<bool> expired_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::string> HttpsFetcher::Fetch(const PlanRef& ref, const FetchLimits& limits) {
  LOCKSTEP_ASSIGN(const ParsedUri uri, CheckUri(options_.policy, ref.uri));
  LOCKSTEP_ASSIGN(const std::vector<std::string> addresses,
                  options_.resolve ? options_.resolve(uri.host) : SystemResolve(uri.host));
  if (addresses.empty()) return FetchFailed("\"" + uri.host + "\" has no address");
  for (const std::string& address : addresses) LOCKSTEP_TRY(CheckResolvedAddress(options_.policy, address));

  const std::string port = uri.port == -1 ? "" : ":" + std::to_string(uri.port);
  const std::string host = uri.host_is_ip_literal ? "[" + uri.host + "]" : uri.host;
  httplib::Client client(uri.scheme + "://" + host + port);
  client.set_hostname_addr_map({{uri.host, options_.connect_to.empty() ? addresses.front() : options_.connect_to}});
  client.set_follow_location(false);
  client.set_keep_alive(false);
  client.set_decompress(false);
  const auto timeout = std::chrono::milliseconds(limits.timeout_ms);
  client.set_connection_timeout(timeout);
  client.set_read_timeout(timeout);
  client.set_write_timeout(timeout);
  if (!options_.ca_file.empty()) client.set_ca_cert_path(options_.ca_file);
  client.enable_server_certificate_verification(true);

  std::string body, location;
  int status = 0;
  bool too_large = false;
  Watch watch(&client, limits.timeout_ms);
  const auto result = client.Get(
      uri.path.empty() ? "/" + uri.query : uri.path + uri.query, {{"Accept-Encoding", "identity"}},
      [&](const httplib::Response& response) {
        status = response.status;
        location = response.get_header_value("Location");
        return true;
      },
      [&](const char* data, size_t length) {
        if (watch.expired()) return false;
        if (status != 200) return true;
        too_large = static_cast<int64_t>(body.size() + length) > limits.max_bytes;
        if (!too_large) body.append(data, length);
        return !too_large;
      });
  if (watch.Stop())
    return FetchFailed("no answer from \"" + uri.host + "\" within " + std::to_string(limits.timeout_ms) + " ms");
  if (too_large)
    return Fail("PLAN_TOO_LARGE",
                "plan fetch: expected at most " + std::to_string(limits.max_bytes) + " bytes, found more");
  if (!result) return FetchFailed("\"" + uri.host + "\": " + httplib::to_string(result.error()));
  if (status >= 300 && status < 400) return Fail(RedirectRefused(ref.uri, location));
  if (status != 200) return FetchFailed("\"" + uri.host + "\" answered with status " + std::to_string(status));
  return body;
}

}  // namespace lockstep::plan
