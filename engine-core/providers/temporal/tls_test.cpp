// TLS, the API key and the headers, against a small gRPC server in this process with a certificate made for the test.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "engine-core/base/files.h"
#include "engine-core/providers/temporal/client.h"
#include "temporal/api/workflowservice/v1/service.grpc.pb.h"

extern char** environ;

namespace lockstep::provider {
namespace {

namespace service = ::temporal::api::workflowservice::v1;

// Runs the openssl program in a folder; true when it succeeded.
bool OpenSsl(const std::filesystem::path& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(),
                   {"sh", "-c", "cd \"$0\" && exec openssl \"$@\" >openssl.log 2>&1", folder.string()});
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  if (posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv.data(), environ) != 0) return false;
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool MakeCertificate(const std::filesystem::path& folder, const std::string& stem, const std::string& name) {
  return OpenSsl(folder, {"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                          "-addext", "subjectAltName=DNS:" + name, "-keyout", stem + ".key", "-out", stem + ".pem"});
}

class HeaderKeeper final : public service::WorkflowService::Service {
 public:
  grpc::Status GetSystemInfo(grpc::ServerContext* context, const service::GetSystemInfoRequest*,
                             service::GetSystemInfoResponse* response) override {
    std::lock_guard lock(mutex_);
    for (const auto& [name, value] : context->client_metadata()) {
      headers_[std::string(name.data(), name.size())] = std::string(value.data(), value.size());
    }
    response->set_server_version("test");
    return grpc::Status::OK;
  }
  std::string Header(const std::string& name) {
    std::lock_guard lock(mutex_);
    return headers_[name];
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> headers_;
};

class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = TemporaryDirectory::Create("lockstep-tls");
    ASSERT_TRUE(folder);
    folder_ = std::make_unique<TemporaryDirectory>(std::move(*folder));
    ASSERT_TRUE(MakeCertificate(folder_->path(), "server", "temporal.test"));
    ASSERT_TRUE(MakeCertificate(folder_->path(), "client", "worker.test"));
    grpc::SslServerCredentialsOptions ssl(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    ssl.pem_root_certs = ReadFile(Path("client.pem")).value();
    ssl.pem_key_cert_pairs.push_back({ReadFile(Path("server.key")).value(), ReadFile(Path("server.pem")).value()});
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(ssl), &port_);
    builder.RegisterService(&keeper_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void TearDown() override {
    if (server_) server_->Shutdown();
  }

  std::string Path(const std::string& name) const { return (folder_->path() / name).string(); }
  ConnectionOptions Options() const {
    ConnectionOptions options;
    options.address = "127.0.0.1:" + std::to_string(port_);
    options.namespace_name = "prod";
    options.connect_timeout_ms = 3'000;
    options.api_key = "the-key";
    options.tls = {true, Path("server.pem"), Path("client.pem"), Path("client.key"), "temporal.test"};
    return options;
  }

  std::unique_ptr<TemporaryDirectory> folder_;
  HeaderKeeper keeper_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

TEST_F(TlsTest, MutualTls_CarriesApiKeyAndNamespace) {
  Client client(Options());
  const auto info = client.Ping();
  ASSERT_TRUE(info) << info.error().ToString();
  EXPECT_EQ(info->version, "test");
  EXPECT_EQ(keeper_.Header("authorization"), "Bearer the-key");
  EXPECT_EQ(keeper_.Header("temporal-namespace"), "prod");
  EXPECT_EQ(keeper_.Header("client-name"), "lockstep");
}

TEST_F(TlsTest, ServerThatIsNotTrusted_IsRefused) {
  ConnectionOptions options = Options();
  options.connect_timeout_ms = 600;
  options.tls.ca_file = Path("client.pem");
  EXPECT_EQ(Client(options).Ping().error().code, "TEMPORAL_CLIENT_NOT_CONNECTED");
  options.tls.ca_file = Path("server.pem");
  options.tls.server_name = "somebody.else";
  EXPECT_EQ(Client(options).Ping().error().code, "TEMPORAL_CLIENT_NOT_CONNECTED");
  EXPECT_EQ(keeper_.Header("authorization"), "");
}

TEST_F(TlsTest, UnreadableFiles_AreConfigurationErrors_NamingTheVariable) {
  ConnectionOptions options = Options();
  options.tls.ca_file = Path("missing.pem");
  const Error missing = Client(options).Ping().error();
  EXPECT_EQ(missing.code, "TEMPORAL_CONFIG_INVALID");
  EXPECT_EQ(missing.Detail("variable"), "TEMPORAL_TLS_SERVER_CA_CERT_PATH");
  options = Options();
  options.tls.key_file = Path("openssl.log");
  EXPECT_EQ(Client(options).Ping().error().Detail("variable"), "TEMPORAL_TLS_CLIENT_KEY_PATH");
}

}  // namespace
}  // namespace lockstep::provider
