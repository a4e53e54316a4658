#include "engine-core/providers/temporal/connection.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <unistd.h>

#include <map>
#include <string>

namespace lockstep::provider {
namespace {

using Variables = std::map<std::string, std::string>;

Result<ConnectionOptions> Read(const Variables& variables) {
  return FromEnvironment([&variables](std::string_view name) -> std::optional<std::string> {
    const auto it = variables.find(std::string(name));
    return it == variables.end() ? std::nullopt : std::optional(it->second);
  });
}

// The variable that was refused.
std::string Refused(const Variables& variables) {
  const auto options = Read(variables);
  if (options) return "accepted";
  EXPECT_EQ(options.error().code, "TEMPORAL_CONFIG_INVALID");
  EXPECT_EQ(options.error().message.find(options.error().Detail("variable")), 0u) << options.error().message;
  EXPECT_FALSE(options.error().retryable);
  return options.error().Detail("variable");
}

// Spec 04 section 10.
TEST(Connection, Defaults) {
  const auto options = Read({});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->address, "127.0.0.1:7233");
  EXPECT_EQ(options->namespace_name, "default");
  EXPECT_EQ(options->task_queue, "");
  EXPECT_EQ(options->connect_timeout_ms, 5'000);
  EXPECT_EQ(options->request_timeout_ms, 10'000);
  EXPECT_FALSE(options->tls.enabled);
}

TEST(Connection, EveryVariableIsRead) {
  const auto options = Read({{"TEMPORAL_ADDRESS", "temporal.internal:17233"},
                             {"TEMPORAL_NAMESPACE", "prod"},
                             {"TEMPORAL_TASK_QUEUE", "tq-control-dev"},
                             {"TEMPORAL_IDENTITY", "me"},
                             {"TEMPORAL_CONNECT_TIMEOUT_MS", "1"},
                             {"TEMPORAL_REQUEST_TIMEOUT_MS", "3600000"},
                             {"TEMPORAL_API_KEY", "key"},
                             {"TEMPORAL_TLS_SERVER_CA_CERT_PATH", "ca"},
                             {"TEMPORAL_TLS_CLIENT_CERT_PATH", "cert"},
                             {"TEMPORAL_TLS_CLIENT_KEY_PATH", "private"},
                             {"TEMPORAL_TLS_SERVER_NAME", "name"}});
  ASSERT_TRUE(options) << options.error().ToString();
  EXPECT_EQ(options->address, "temporal.internal:17233");
  EXPECT_EQ(options->namespace_name, "prod");
  EXPECT_EQ(options->task_queue, "tq-control-dev");
  EXPECT_EQ(options->identity, "me");
  EXPECT_EQ(options->connect_timeout_ms, 1);
  EXPECT_EQ(options->request_timeout_ms, 3'600'000);
  EXPECT_EQ(options->api_key, "key");
  EXPECT_TRUE(options->tls.enabled);
  EXPECT_EQ(options->tls.ca_file, "ca");
  EXPECT_EQ(options->tls.cert_file, "cert");
  EXPECT_EQ(options->tls.key_file, "private");
  EXPECT_EQ(options->tls.server_name, "name");
}

TEST(Connection, InvalidValue_IsRefused_NamingTheVariable) {
  for (const char* address : {"", "host", "host:", ":7233", "host:0", "host:65536", "host:7233x", "http://host:7233",
                              "::1:7233", "a b:1", "host:-1", "host:+7233"}) {
    EXPECT_EQ(Refused({{"TEMPORAL_ADDRESS", address}}), "TEMPORAL_ADDRESS") << address;
  }
  for (const char* name : {"", "a", "with space", "tab\there"}) {
    EXPECT_EQ(Refused({{"TEMPORAL_NAMESPACE", name}}), "TEMPORAL_NAMESPACE") << name;
  }
  for (const char* variable : {"TEMPORAL_CONNECT_TIMEOUT_MS", "TEMPORAL_REQUEST_TIMEOUT_MS"}) {
    for (const char* value : {"", "0", "-1", "5s", "1.5", " 5", "3600001", "99999999999999999999"}) {
      EXPECT_EQ(Refused({{variable, value}}), variable) << value;
    }
  }
  EXPECT_EQ(Refused({{"TEMPORAL_TASK_QUEUE", std::string(201, 'q')}}), "TEMPORAL_TASK_QUEUE");
  EXPECT_EQ(Refused({{"TEMPORAL_IDENTITY", "a b"}}), "TEMPORAL_IDENTITY");
  EXPECT_EQ(Refused({{"TEMPORAL_TLS", "yes"}}), "TEMPORAL_TLS");
}

TEST(Connection, Addresses_ThatAreFine) {
  for (const char* address : {"localhost:1", "10.0.0.1:65535", "[::1]:7233", "a-b.c.example:443"}) {
    EXPECT_EQ(Refused({{"TEMPORAL_ADDRESS", address}}), "accepted") << address;
  }
}

TEST(Connection, ApiKey_TurnsTlsOn_AndIsNeverSentInTheClear) {
  const auto options = Read({{"TEMPORAL_API_KEY", "secret-key"}});
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->tls.enabled);
  const auto clear = Read({{"TEMPORAL_API_KEY", "secret-key"}, {"TEMPORAL_TLS", "false"}});
  ASSERT_FALSE(clear);
  EXPECT_EQ(clear.error().Detail("variable"), "TEMPORAL_TLS");
  const auto bad = Read({{"TEMPORAL_API_KEY", "secret key"}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message.find("secret key"), std::string::npos);  // a key is never printed
}

TEST(Connection, ClientCertificateAndKey_ComeTogether) {
  EXPECT_EQ(Refused({{"TEMPORAL_TLS_CLIENT_CERT_PATH", "c"}}), "TEMPORAL_TLS_CLIENT_KEY_PATH");
  EXPECT_EQ(Refused({{"TEMPORAL_TLS_CLIENT_KEY_PATH", "k"}}), "TEMPORAL_TLS_CLIENT_CERT_PATH");
}

TEST(Connection, OptionsBuiltInCode_AreCheckedAlike) {
  ConnectionOptions options;
  EXPECT_TRUE(CheckConnectionOptions(options));
  options.address.clear();
  EXPECT_EQ(CheckConnectionOptions(options).error().code, "TEMPORAL_CLIENT_NOT_CONFIGURED");
  options = {};
  options.namespace_name.clear();
  EXPECT_EQ(CheckConnectionOptions(options).error().code, "TEMPORAL_CLIENT_NOT_CONFIGURED");
  options = {};
  options.request_timeout_ms = 0;
  EXPECT_EQ(CheckConnectionOptions(options).error().code, "TEMPORAL_CONFIG_INVALID");
}

TEST(Connection, AnyValue_IsEitherRefusedOrKept) {
  rc::check([](const std::string& address, const std::string& timeout) {
    const auto options = Read({{"TEMPORAL_ADDRESS", address}, {"TEMPORAL_REQUEST_TIMEOUT_MS", timeout}});
    if (!options) {
      RC_ASSERT(options.error().code == "TEMPORAL_CONFIG_INVALID");
    } else {
      RC_ASSERT(options->address == address);
    }
  });
}

TEST(Connection, DefaultIdentity_NamesProcessAndHost) {
  const std::string identity = DefaultIdentity();
  EXPECT_EQ(identity.find(std::to_string(getpid()) + "@"), 0u);
  EXPECT_GT(identity.size(), std::to_string(getpid()).size() + 1);
}

}  // namespace
}  // namespace lockstep::provider
