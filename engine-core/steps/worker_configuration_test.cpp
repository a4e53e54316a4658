#include "engine-core/steps/worker_configuration.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <fstream>

#include "engine-core/base/files.h"

namespace lockstep::steps {
namespace {

constexpr char kFull[] = R"(processes:
  programs:
    - sh
    - /opt/tools/clean
  roots: [/srv/work, /srv/other/]
  maxOutputBytes: 1048576
  maxArtifactBytes: 2097152
dbt:
  program: /opt/dbt/bin/dbt
  projectDir: /srv/dbt
  profilesDir: /srv/profiles
  env:
    PATH: /usr/bin:/bin
sql:
  busyTimeoutMs: 100
  maxResultBytes: 4096
  connections:
    warehouse: {driver: sqlite, path: /srv/wh.db, mode: ro}
    scratch:
      path: /srv/scratch.db
      mode: rwc
http:
  allowedHosts:
    - api.example.com
    - http://127.0.0.1:*
  allowLoopback: true
  allowPrivateNetworks: true
  connectTimeoutMs: 10
  requestTimeoutMs: 20
  maxResponseBytes: 30
  caFile: /etc/ca.pem
secretsDirectory: /run/secrets
testKinds: true
)";

TEST(WorkerConfiguration, ReadsEverySetting) {
  const auto parsed = ParseWorkerConfiguration(kFull, "worker.yaml");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  const WorkerConfiguration& c = *parsed;
  EXPECT_EQ(c.processes.programs.at("clean"), "/opt/tools/clean");
  EXPECT_TRUE(c.processes.programs.at("sh").ends_with("/sh"));
  EXPECT_EQ(c.processes.roots.size(), 2u);
  EXPECT_EQ(c.processes.max_output_bytes, 1048576u);
  EXPECT_EQ(c.processes.max_artifact_bytes, 2097152u);
  EXPECT_EQ(c.processes.kill_grace_ms, 5000);
  EXPECT_EQ(c.dbt.program, "/opt/dbt/bin/dbt");
  EXPECT_EQ(c.dbt.project_dir, "/srv/dbt");
  EXPECT_EQ(c.dbt.profiles_dir, "/srv/profiles");
  EXPECT_EQ(c.dbt.env.at("PATH"), "/usr/bin:/bin");
  EXPECT_EQ(c.sql.busy_timeout_ms, 100);
  EXPECT_EQ(c.sql.connections.at("warehouse").mode, SqlConnection::Mode::kReadOnly);
  EXPECT_EQ(c.sql.connections.at("scratch").mode, SqlConnection::Mode::kCreate);
  ASSERT_EQ(c.http.allowed.size(), 2u);
  EXPECT_EQ(c.http.allowed[0], (HttpOrigin{"https", "api.example.com", 443}));
  EXPECT_EQ(c.http.allowed[1], (HttpOrigin{"http", "127.0.0.1", std::nullopt}));
  EXPECT_TRUE(c.http.allow_loopback);
  EXPECT_EQ(c.http.max_response_bytes, 30u);
  EXPECT_EQ(c.secrets_directory, "/run/secrets");
  EXPECT_TRUE(c.test_kinds);
}

TEST(WorkerConfiguration, JsonIsYamlToo) {
  const auto parsed =
      ParseWorkerConfiguration(R"({"processes":{"programs":{"py":"/usr/bin/python3"}},"testKinds":true})", "w.json");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->processes.programs.at("py"), "/usr/bin/python3");
}

TEST(WorkerConfiguration, EmptyDocument_AllowsNothing) {
  for (const char* text : {"", "# only a comment\n", "{}", "processes:\n"}) {
    const auto parsed = ParseWorkerConfiguration(text, "w");
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
    EXPECT_TRUE(parsed->processes.programs.empty());
    EXPECT_TRUE(parsed->http.allowed.empty());
    EXPECT_FALSE(parsed->test_kinds);
  }
}

TEST(WorkerConfiguration, Errors_AreOneLineWithPlaceExpectationAndFinding) {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& c : {
           Case{"processes:\n  programs: sh\n", "w:2: processes.programs: expected a mapping, found `sh`"},
           Case{"\nfoo: 1\n", "w:2: foo: expected a known setting, found `foo`"},
           Case{"http:\n  allowedHost: []\n", "w:2: http.allowedHost: expected a known setting, found `allowedHost`"},
           Case{"testKinds: yes\n", "w:1: testKinds: expected true or false, found `yes`"},
           Case{"testKinds: \"true\"\n", "w:1: testKinds: expected true or false, found `true`"},
           Case{"sql:\n  busyTimeoutMs: -1\n",
                "w:2: sql.busyTimeoutMs: expected an integer from 0 to 86400000, found `-1`"},
           Case{"sql:\n  busyTimeoutMs: 1.5\n",
                "w:2: sql.busyTimeoutMs: expected an integer from 0 to 86400000, found `1.5`"},
           Case{"processes:\n  programs: [bin/sh]\n",
                "w:2: processes.programs[0]: expected an absolute path, found `bin/sh`"},
           Case{"processes:\n  programs: [no-such-program-here]\n",
                "w:2: processes.programs[0]: expected a program in /usr/local/bin, /usr/bin or /bin, or an absolute "
                "path, found `no-such-program-here`"},
           Case{"sql:\n  connections:\n    a: {driver: oracle, path: /x}\n",
                "w:3: sql.connections.a.driver: expected `sqlite`, found `oracle`"},
           Case{"sql:\n  connections:\n    a: {mode: rw}\n",
                "w:3: sql.connections.a.path: expected an absolute path, found a mapping"},
           Case{"sql:\n  connections:\n    a: {path: /x, mode: w}\n",
                "w:3: sql.connections.a.mode: expected `ro`, `rw` or `rwc`, found `w`"},
           Case{"http:\n  allowedHosts: ['*']\n",
                "w:2: http.allowedHosts[0]: expected `host`, `host:port` or `scheme://host:port` with http or https, "
                "found `*`"},
           Case{"dbt:\n  projectDir: /srv\n", "w:1: dbt.program: expected an absolute path, found nothing"},
           Case{"testKinds: true\ntestKinds: false\n", "w:2: testKinds: expected the name once, found `testKinds`"},
           Case{"- a\n- b\n", "w:1: the document: expected a mapping, found a list"},
       }) {
    const auto parsed = ParseWorkerConfiguration(c.text, "w");
    ASSERT_FALSE(parsed.has_value()) << c.text;
    EXPECT_EQ(parsed.error().code, "WORKER_CONFIG_INVALID");
    EXPECT_EQ(parsed.error().message, c.message);
  }
}

TEST(WorkerConfiguration, BrokenYaml_NamesTheLine) {
  const auto parsed = ParseWorkerConfiguration("http:\n  allowedHosts: [a\nsql: {\n", "w");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_TRUE(parsed.error().message.starts_with("w:")) << parsed.error().message;
  EXPECT_EQ(parsed.error().message.find('\n'), std::string::npos);
}

TEST(WorkerConfiguration, LoadsFiles) {
  const auto directory = TemporaryDirectory::Create("lockstep-config").value();
  std::ofstream(directory.path() / "w.yaml") << "testKinds: true\n";
  EXPECT_TRUE(LoadWorkerConfiguration(directory.path() / "w.yaml")->test_kinds);
  EXPECT_EQ(LoadWorkerConfiguration(directory.path() / "missing.yaml").error().code, "WORKER_CONFIG_INVALID");
}

TEST(WorkerConfiguration, Property_AnyTextIsReadOrRefusedInOneLine) {
  rc::check("no text breaks the reader", [](const std::string& noise) {
    const size_t cut = noise.size() * 7 % sizeof kFull;
    const auto parsed = ParseWorkerConfiguration(std::string(kFull, cut) + noise, "w");
    if (!parsed) RC_ASSERT(parsed.error().message.find('\n') == std::string::npos);
  });
}

}  // namespace
}  // namespace lockstep::steps
