// The HTTPS fetcher against a real server on the loopback interface, with a certificate made for the test.
#include "engine-core/plan/https_fetcher.h"

#include <gtest/gtest.h>
#include <httplib.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <thread>

#include "engine-core/base/files.h"

namespace lockstep::plan {
namespace {

constexpr char kHost[] = "plans.example.com";

// A self-signed certificate for kHost, valid for an hour around the present.
struct Certificate {
  EVP_PKEY* key = EVP_RSA_gen(2048);
  X509* x509 = X509_new();
  Certificate() {
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -1'800);
    X509_gmtime_adj(X509_getm_notAfter(x509), 1'800);
    X509_set_pubkey(x509, key);
    X509_NAME* name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(kHost), -1, -1, 0);
    X509_set_issuer_name(x509, name);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:plans.example.com");
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(x509, key, EVP_sha256());
  }
  ~Certificate() {
    X509_free(x509);
    EVP_PKEY_free(key);
  }
  std::string Pem() const {
    BIO* memory = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(memory, x509);
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory, &data);
    std::string out(data, static_cast<size_t>(size));
    BIO_free(memory);
    return out;
  }
};

class HttpsFetcherTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_.emplace(std::move(*TemporaryDirectory::Create()));
    const auto ca_file = folder_->path() / "ca.pem";
    ASSERT_TRUE(WriteFileAtomically(ca_file, certificate_.Pem()).has_value());
    server_ = std::make_unique<httplib::SSLServer>(certificate_.x509, certificate_.key);
    server_->Get("/plan.json", [this](const httplib::Request&, httplib::Response& response) {
      ++hits_;
      response.set_content("the plan", "application/json");
    });
    server_->Get("/moved", [](const httplib::Request&, httplib::Response& response) {
      response.set_redirect("https://plans.example.com/plan.json");
    });
    server_->Get("/big", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(std::string(100'000, 'x'), "text/plain");
    });
    server_->Get("/slow", [this](const httplib::Request&, httplib::Response& response) {
      response.set_chunked_content_provider("text/plain", [this](size_t, httplib::DataSink& sink) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        return !stopping_ && sink.write("x", 1);
      });
    });
    port_ = server_->bind_to_any_port("127.0.0.1");
    ASSERT_GT(port_, 0);
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    // Stopping a server that does not listen yet would be lost.
    while (!server_->is_running()) std::this_thread::yield();
    options_.policy.allowed_schemes = {"https"};
    options_.policy.hosts = {{"https", kHost, port_}};
    options_.ca_file = ca_file.string();
    options_.resolve = [](const std::string&) -> Result<std::vector<std::string>> {
      return std::vector<std::string>{"93.184.216.34"};
    };
    options_.connect_to = "127.0.0.1";
  }
  void TearDown() override {
    stopping_ = true;
    server_->stop();
    if (thread_.joinable()) thread_.join();
  }
  Result<std::string> Get(const std::string& path, FetchLimits limits = {}) {
    PlanRef ref;
    ref.uri = std::string("https://") + kHost + ":" + std::to_string(port_) + path;
    return HttpsFetcher(options_).Fetch(ref, limits);
  }
  static std::string Code(const Result<std::string>& result) { return result ? "ok" : result.error().code; }

  std::optional<TemporaryDirectory> folder_;
  Certificate certificate_;
  std::unique_ptr<httplib::SSLServer> server_;
  std::thread thread_;
  HttpsFetcherOptions options_;
  int port_ = 0;
  std::atomic<int> hits_ = 0;
  std::atomic<bool> stopping_ = false;
};

TEST_F(HttpsFetcherTest, ReturnsTheBody) {
  const auto body = Get("/plan.json");
  ASSERT_EQ(Code(body), "ok") << body.error().ToString();
  EXPECT_EQ(*body, "the plan");
}
TEST_F(HttpsFetcherTest, Redirect_IsNotFollowed) {
  const auto body = Get("/moved");
  ASSERT_EQ(Code(body), "PLAN_URI_NOT_ALLOWED");
  EXPECT_EQ(body.error().Detail("check"), "redirect");
  EXPECT_EQ(hits_, 0);
}
TEST_F(HttpsFetcherTest, AnyForbiddenAddress_StopsBeforeConnecting) {
  options_.resolve = [](const std::string&) -> Result<std::vector<std::string>> {
    return std::vector<std::string>{"93.184.216.34", "169.254.169.254"};
  };
  const auto body = Get("/plan.json");
  ASSERT_EQ(Code(body), "PLAN_URI_NOT_ALLOWED");
  EXPECT_EQ(body.error().Detail("check"), "resolved_address");
  EXPECT_EQ(hits_, 0);
}
TEST_F(HttpsFetcherTest, TooLargeBody_PLAN_TOO_LARGE) {
  EXPECT_EQ(Code(Get("/big", {.max_bytes = 1'000})), "PLAN_TOO_LARGE");
}
TEST_F(HttpsFetcherTest, EndlessBody_EndsWithTheTimeout) {
  const auto body = Get("/slow", {.timeout_ms = 300});
  ASSERT_EQ(Code(body), "PLAN_FETCH_FAILED");
  EXPECT_TRUE(body.error().retryable);
}
TEST_F(HttpsFetcherTest, MissingObject_PLAN_FETCH_FAILED) { EXPECT_EQ(Code(Get("/ghost")), "PLAN_FETCH_FAILED"); }
TEST_F(HttpsFetcherTest, UntrustedCertificate_PLAN_FETCH_FAILED) {
  options_.ca_file.clear();
  EXPECT_EQ(Code(Get("/plan.json")), "PLAN_FETCH_FAILED");
}
TEST_F(HttpsFetcherTest, CertificateOfAnotherHost_PLAN_FETCH_FAILED) {
  options_.policy.hosts = {{"https", "other.example.com", port_}};
  PlanRef ref;
  ref.uri = "https://other.example.com:" + std::to_string(port_) + "/plan.json";
  EXPECT_EQ(Code(HttpsFetcher(options_).Fetch(ref, {})), "PLAN_FETCH_FAILED");
  EXPECT_EQ(hits_, 0);
}
TEST_F(HttpsFetcherTest, HostWithoutAddress_PLAN_FETCH_FAILED) {
  options_.resolve = [](const std::string&) -> Result<std::vector<std::string>> { return std::vector<std::string>{}; };
  EXPECT_EQ(Code(Get("/plan.json")), "PLAN_FETCH_FAILED");
}
TEST_F(HttpsFetcherTest, UriThatThePolicyRefuses_IsRefusedHereToo) {
  options_.policy.hosts.clear();
  EXPECT_EQ(Code(Get("/plan.json")), "PLAN_URI_NOT_ALLOWED");
}

}  // namespace
}  // namespace lockstep::plan
