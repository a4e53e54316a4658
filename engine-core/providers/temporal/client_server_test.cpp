// The client and the development server's keeper against the real server.
#include <gtest/gtest.h>
#include <signal.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <thread>

#include "engine-core/base/clock.h"
#include "engine-core/base/files.h"
#include "engine-core/providers/temporal/client.h"
#include "engine-core/providers/temporal/server_test_support.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::provider::testing {
namespace {

// Nobody polls this queue: the runs stay open until a test ends them.
StartOptions Idle(const std::string& id = "run-" + SystemIdGenerator().NewUuid()) {
  StartOptions start;
  start.workflow_id = id;
  start.workflow_type = "idle";
  start.task_queue = "tq-control-nobody";
  return start;
}

struct ClientTest : ::testing::Test {
  Client client{SharedServer().Connection()};
};

TEST_F(ClientTest, Connect_IsLazyAndSingleFlight) {
  EXPECT_FALSE(client.IsConnected());
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { good += client.EnsureConnected().has_value() ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_TRUE(client.IsConnected());
}

TEST_F(ClientTest, SingleFlight_OpensOneConnection) {
  Proxy proxy(SharedServer().port());
  ConnectionOptions connection = SharedServer().Connection();
  connection.address = "127.0.0.1:" + std::to_string(proxy.port());
  Client shared(connection);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { EXPECT_TRUE(shared.Ping()); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(proxy.connections(), 1);
}

TEST_F(ClientTest, Ping_TellsTheServerVersion) {
  const auto info = client.Ping();
  ASSERT_TRUE(info) << info.error().ToString();
  EXPECT_FALSE(info->version.empty());
}

TEST_F(ClientTest, Closed_RefusesUntilConnectedAgain) {
  ASSERT_TRUE(client.Ping());
  client.Close();
  client.Close();
  EXPECT_EQ(client.Ping().error().code, "TEMPORAL_CLIENT_NOT_CONNECTED");
  EXPECT_EQ(client.EnsureConnected().error().code, "TEMPORAL_CLIENT_NOT_CONNECTED");
  EXPECT_FALSE(client.IsConnected());
  ASSERT_TRUE(client.Connect());
  EXPECT_TRUE(client.Ping());
}

TEST_F(ClientTest, Close_EndsRunningCalls) {
  const auto ref = client.StartWorkflow(Idle(), Payloads());
  ASSERT_TRUE(ref);
  std::thread waiter([&] {
    const auto outcome = client.WaitForResult(ref->workflow_id, ref->run_id, 60'000);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, "TEMPORAL_CLIENT_NOT_CONNECTED");
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  client.Close();
  waiter.join();
}

TEST(ClientConnection, NobodyListens_IsNotConnected_WithinTheTimeout) {
  ConnectionOptions connection;
  {
    Proxy gone(1);  // a port that is free again after this
    connection.address = "127.0.0.1:" + std::to_string(gone.port());
  }
  connection.connect_timeout_ms = 400;
  Client client(connection);
  const auto start = std::chrono::steady_clock::now();
  const auto ping = client.Ping();
  ASSERT_FALSE(ping);
  EXPECT_EQ(ping.error().code, "TEMPORAL_CLIENT_NOT_CONNECTED");
  EXPECT_TRUE(ping.error().retryable);
  EXPECT_NE(ping.error().message.find(connection.address), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(ClientConnection, NotConfigured) {
  ConnectionOptions connection;
  connection.address.clear();
  EXPECT_EQ(Client(connection).Ping().error().code, "TEMPORAL_CLIENT_NOT_CONFIGURED");
}

// Spec 04 section 1.1: already started is success and yields the existing reference, for open and closed runs.
TEST_F(ClientTest, StartWorkflow_Twice_YieldsTheExistingReference) {
  const StartOptions start = Idle();
  const auto first = client.StartWorkflow(start, Payloads());
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_FALSE(first->already_started);
  StartOptions elsewhere = start;
  elsewhere.task_queue = "tq-control-other";
  const auto second = client.StartWorkflow(elsewhere, Payloads());
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_TRUE(second->already_started);
  EXPECT_EQ(second->run_id, first->run_id);
  EXPECT_EQ(second->task_queue, start.task_queue);
  ASSERT_TRUE(client.Terminate(start.workflow_id, "", "test"));
  const auto third = client.StartWorkflow(start, Payloads());
  ASSERT_TRUE(third) << third.error().ToString();
  EXPECT_TRUE(third->already_started);
  EXPECT_EQ(third->run_id, first->run_id);
}

TEST_F(ClientTest, StartWorkflow_CarriesInputMemoAttributesAndTimeouts) {
  StartOptions start = Idle();
  start.memo = {{"planId", Json("p1")}};
  start.search_attributes = {{"tenantId", "t-" + start.workflow_id}};
  const auto ref = client.StartWorkflow(start, workflow::JsonPayloads(Json(5)));
  ASSERT_TRUE(ref) << ref.error().ToString();
  const auto description = client.Describe(start.workflow_id);
  ASSERT_TRUE(description);
  EXPECT_EQ(description->summary.status, WorkflowStatus::kRunning);
  EXPECT_EQ(description->summary.workflow_type, "idle");
  EXPECT_EQ(description->summary.first_run_id, ref->run_id);
  ASSERT_EQ(description->summary.memo.size(), 1u);
  EXPECT_EQ(description->summary.memo[0].second, Json("p1"));
  const auto history = client.GetHistory(start.workflow_id);
  ASSERT_TRUE(history);
  const auto& started = (*history)->events(0).workflow_execution_started_event_attributes();
  EXPECT_EQ(started.workflow_task_timeout().seconds(), 10);
  EXPECT_EQ(started.workflow_execution_timeout().seconds(), 0);
  EXPECT_EQ(workflow::ReadFirstJson(started.input()).value(), Json(5));
  EXPECT_TRUE(Eventually([&] {
    const auto page = client.List("tenantId = 't-" + start.workflow_id + "'");
    return page && page->workflows.size() == 1 && page->workflows[0].workflow_id == start.workflow_id;
  }));
  EXPECT_EQ(client.Count("tenantId = 't-" + start.workflow_id + "'").value_or(-1), 1);
}

TEST_F(ClientTest, WorkflowId_ThatIsImpossible_IsRefusedBeforeSending) {
  for (const std::string& id : {std::string(), std::string(1'001, 'x'), std::string("a\nb"), std::string("\xff\xfe")}) {
    EXPECT_EQ(client.StartWorkflow(Idle(id), Payloads()).error().code, "WORKFLOW_ID_INVALID");
    EXPECT_EQ(client.Describe(id).error().code, "WORKFLOW_ID_INVALID");
  }
}

TEST_F(ClientTest, UnknownRun_IsInvalidRunRef) {
  const std::string id = "nobody-" + SystemIdGenerator().NewUuid();
  EXPECT_EQ(client.Describe(id).error().code, "ADAPTER_INVALID_RUN_REF");
  EXPECT_EQ(client.Signal(id, "", "x", Payloads()).error().code, "ADAPTER_INVALID_RUN_REF");
  EXPECT_EQ(client.RequestCancel(id, "", "x").error().code, "ADAPTER_INVALID_RUN_REF");
  EXPECT_EQ(client.Terminate(id, "", "x").error().code, "ADAPTER_INVALID_RUN_REF");
  EXPECT_EQ(client.GetHistory(id).error().code, "ADAPTER_INVALID_RUN_REF");
  EXPECT_EQ(client.WaitForResult(id, "", 1'000).error().code, "ADAPTER_INVALID_RUN_REF");
  const Error error = client.Describe(id).error();
  EXPECT_EQ(error.Detail("provider"), "temporal");
  EXPECT_EQ(error.Detail("operation"), "getProviderStatus");
  EXPECT_EQ(error.Detail("runRef"), id);
}

TEST_F(ClientTest, CancelAndTerminate_OnAClosedRun_AreNoOps) {
  const StartOptions start = Idle();
  ASSERT_TRUE(client.StartWorkflow(start, Payloads()));
  ASSERT_TRUE(client.Terminate(start.workflow_id, "", "over"));
  EXPECT_TRUE(client.Terminate(start.workflow_id, "", "again"));
  EXPECT_TRUE(client.RequestCancel(start.workflow_id, "", "again"));
  EXPECT_TRUE(client.RequestCancel(start.workflow_id, "", "and again"));
  const auto outcome = client.WaitForResult(start.workflow_id, "", 5'000);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->status, WorkflowStatus::kTerminated);
  EXPECT_EQ(outcome->failure.code, "PROVIDER_TERMINATED");
  EXPECT_EQ(client.Signal(start.workflow_id, "", "late", Payloads()).error().code, "ADAPTER_INVALID_RUN_REF");
}

TEST_F(ClientTest, Signal_WithOneRequestId_IsAppliedOnce) {
  const StartOptions start = Idle();
  ASSERT_TRUE(client.StartWorkflow(start, Payloads()));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.Signal(start.workflow_id, "", "pause", Payloads(), "request-1"));
  const auto history = client.GetHistory(start.workflow_id);
  ASSERT_TRUE(history);
  int signals = 0;
  for (const auto& event : (*history)->events()) {
    signals += event.event_type() == ::temporal::api::enums::v1::EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED ? 1 : 0;
  }
  EXPECT_EQ(signals, 1);
}

TEST_F(ClientTest, SignalWithStart_StartsOnce) {
  StartOptions start = Idle();
  start.id_reuse = IdReuse::kAllowDuplicate;
  const auto first = client.SignalWithStart(start, Payloads(), "go", Payloads());
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_FALSE(first->already_started);
  const auto second = client.SignalWithStart(start, Payloads(), "go", Payloads());
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->already_started);
  EXPECT_EQ(second->run_id, first->run_id);
}

TEST_F(ClientTest, WaitForResult_TimesOut) {
  const StartOptions start = Idle();
  ASSERT_TRUE(client.StartWorkflow(start, Payloads()));
  EXPECT_EQ(client.WaitForResult(start.workflow_id, "", 200).error().code, "ADAPTER_TIMEOUT");
}

TEST_F(ClientTest, TooLargeAMessage_IsRefusedWithItsSize) {
  const auto result = client.StartWorkflow(Idle(), workflow::JsonPayloads(Json(std::string(5 * 1024 * 1024, 'x'))));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "PAYLOAD_TOO_LARGE");
  EXPECT_FALSE(result.error().retryable);
}

TEST_F(ClientTest, Namespaces_AreRegisteredOnceAndDescribed) {
  EXPECT_EQ(client.DescribeNamespace("second").value().name, "second");
  const std::string name = "pr-" + SystemIdGenerator().NewUuid().substr(0, 8);
  ASSERT_TRUE(client.RegisterNamespace(name, 7));
  ASSERT_TRUE(client.RegisterNamespace(name, 7));
  EXPECT_EQ(client.DescribeNamespace(name).value().retention_ms, int64_t{7} * 24 * 3'600 * 1'000);
  const auto missing = client.DescribeNamespace("no-such-namespace");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "ADAPTER_PROVIDER_ERROR");
}

// --- the keeper of the development server
// --------------------------------------------------------------------------------

TEST(DevServerTest, Program_IsFoundByOption_Variable_Venv_Path) {
  auto folder = TemporaryDirectory::Create();
  ASSERT_TRUE(folder);
  const auto program = folder->path() / "bin" / "temporal";
  ASSERT_TRUE(CreateDirectories(program.parent_path()));
  ASSERT_TRUE(WriteFileAtomically(program, "#!/bin/sh\n"));
  const auto with = [](std::string name, std::string value) {
    return [name, value](std::string_view asked) { return asked == name ? std::optional(value) : std::nullopt; };
  };
  DevServerOptions options;
  EXPECT_EQ(FindDevServerProgram(options, with("LOCKSTEP_TEMPORAL_BIN", program)).error().code,
            "DEV_SERVER_NOT_FOUND");  // not executable
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  EXPECT_EQ(FindDevServerProgram(options, with("LOCKSTEP_TEMPORAL_BIN", program)).value(), program);
  EXPECT_EQ(FindDevServerProgram(options, with("PATH", "/nowhere::" + program.parent_path().string())).value(),
            program);
  options.venv = folder->path();
  EXPECT_EQ(FindDevServerProgram(options, with("PATH", "/nowhere")).value(), program);
  options.program = folder->path() / "missing";
  const auto missing = FindDevServerProgram(options, with("LOCKSTEP_TEMPORAL_BIN", program));
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("missing"), std::string::npos);
}

TEST(DevServerTest, ProgramThatFails_IsReportedWithItsLog) {
  auto folder = TemporaryDirectory::Create();
  ASSERT_TRUE(folder);
  const auto program = folder->path() / "temporal";
  ASSERT_TRUE(WriteFileAtomically(program, "#!/bin/sh\necho it will not do >&2\nexit 3\n"));
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  DevServerOptions options;
  options.program = program;
  const auto server = DevServer::Start(options);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, "DEV_SERVER_FAILED");
  EXPECT_NE(server.error().message.find("it will not do"), std::string::npos) << server.error().message;
}

TEST(DevServerTest, RestartWithADatabase_RemembersRuns_AndStopEndsTheProcess) {
  auto folder = TemporaryDirectory::Create();
  ASSERT_TRUE(folder);
  DevServerOptions options = ServerOptions();
  options.db_file = folder->path() / "temporal.db";
  auto server = DevServer::Start(options);
  ASSERT_TRUE(server) << server.error().ToString();
  const int first_pid = (*server)->pid();
  const uint16_t port = (*server)->port();
  Client client((*server)->Connection());
  const StartOptions start = Idle();
  ASSERT_TRUE(client.StartWorkflow(start, Payloads()));
  (*server)->Kill();
  EXPECT_EQ((*server)->pid(), -1);
  EXPECT_NE(kill(first_pid, 0), 0);
  const Status restarted = (*server)->Restart();
  ASSERT_TRUE(restarted) << restarted.error().ToString();
  EXPECT_EQ((*server)->port(), port);
  const auto description = client.Describe(start.workflow_id);
  ASSERT_TRUE(description) << description.error().ToString();
  EXPECT_EQ(description->summary.status, WorkflowStatus::kRunning);
  const int second_pid = (*server)->pid();
  (*server)->Stop();
  EXPECT_NE(kill(second_pid, 0), 0);
}

}  // namespace
}  // namespace lockstep::provider::testing
