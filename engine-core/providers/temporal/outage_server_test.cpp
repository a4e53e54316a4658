// The worker while its server, or the way to it, goes away and comes back.
#include <gtest/gtest.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include <atomic>

#include "engine-core/base/files.h"
#include "engine-core/providers/temporal/server_test_support.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::provider::testing {
namespace {

using activity::ActivityContext;

// Five activities in a row, each signalled.
wf::Task<wf::WorkflowResult> ChainWorkflow(const wf::Payloads&) {
  int64_t done = 0;
  int64_t allowed = 0;
  wf::set_signal_handler("go", [&allowed](const wf::Payloads&) { ++allowed; });
  while (done < 5) {
    co_await wf::wait_until([&] { return allowed > done; });
    auto outcome =
        co_await wf::execute_activity("step", workflow::JsonPayloads(Json(done)), {.start_to_close_ms = 1'000});
    if (!outcome.result) co_return wf::failed(outcome.result.error());
    ++done;
  }
  co_return wf::completed(Json(done));
}

void Register(Bench& bench) {
  bench.workflows.Register("chain", ChainWorkflow);
  bench.activities.Register(
      "step", [](ActivityContext&, const Json::Array& arguments) -> Result<Json> { return arguments[0]; });
}

TEST(Outage, CutConnections_AreRetried_NothingIsLost) {
  Proxy proxy(SharedServer().port());
  Bench bench;
  Register(bench);
  WorkerOptions options = bench.Options();
  options.connection.address = "127.0.0.1:" + std::to_string(proxy.port());
  // A task whose answer to the poll was cut off is lost until it times out; short times keep the test short.
  options.sticky_schedule_to_start_ms = 1'000;
  const auto worker = bench.StartWorker(options);
  const auto ref = bench.Start("chain", Json(), 1'000);
  for (int i = 0; i < 5; ++i) {
    bench.Signal(ref, "go");
    proxy.Cut();
  }
  EXPECT_EQ(bench.Result(ref), Json(5));
  EXPECT_GT(proxy.connections(), 1);
  EXPECT_EQ(worker->stats().divergences, 0u) << bench.log.Text();
}

TEST(Outage, ClientCalls_RideOutAShortOutage) {
  Proxy proxy(SharedServer().port());
  ConnectionOptions connection = SharedServer().Connection();
  connection.address = "127.0.0.1:" + std::to_string(proxy.port());
  Client client(connection);
  ASSERT_TRUE(client.Ping());
  proxy.Close();
  std::thread opener([&proxy] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    proxy.Open();
  });
  const auto ping = client.Ping();
  opener.join();
  EXPECT_TRUE(ping) << ping.error().ToString();
  proxy.Close();
  ConnectionOptions hasty = connection;
  hasty.connect_timeout_ms = 200;
  EXPECT_EQ(Client(hasty).Ping().error().code, "TEMPORAL_CLIENT_NOT_CONNECTED");
}

TEST(Outage, ServerKilledAndRestarted_RunsGoOn_OneLogLineEachWay) {
  auto folder = TemporaryDirectory::Create();
  ASSERT_TRUE(folder);
  DevServerOptions server_options = ServerOptions();
  server_options.db_file = folder->path() / "temporal.db";
  auto server = DevServer::Start(server_options);
  ASSERT_TRUE(server) << server.error().ToString();

  Bench bench((*server)->Connection());
  Register(bench);
  std::atomic<bool> entered = false;
  bench.activities.Register("over-the-outage",
                            [&entered](ActivityContext& context, const Json::Array&) -> Result<Json> {
                              entered = true;
                              if (context.WaitForCancellation(1'500)) return Fail("CANCELLED", "stop");
                              return Json("kept");
                            });
  bench.workflows.Register("patient", [](const wf::Payloads&) -> wf::Task<wf::WorkflowResult> {
    auto outcome = co_await wf::execute_activity("over-the-outage", wf::Payloads(), {.start_to_close_ms = 30'000});
    if (!outcome.result) co_return wf::failed(outcome.result.error());
    co_return wf::completed(Json::MakeObject({{"attempt", Json(outcome.attempt)}}));
  });
  WorkerOptions options = bench.Options();
  options.sticky_schedule_to_start_ms = 1'000;
  const auto worker = bench.StartWorker(options);
  const auto chain = bench.Start("chain", Json(), 2'000);
  const auto patient = bench.Start("patient", Json(), 2'000);
  bench.Signal(chain, "go");
  ASSERT_TRUE(Eventually([&] {
    return entered.load() &&
           bench.CountEvents(chain, ::temporal::api::enums::v1::EVENT_TYPE_ACTIVITY_TASK_COMPLETED) == 1;
  }));

  (*server)->Kill();
  ASSERT_TRUE(Eventually([&] { return !worker->stats().server_reachable; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(1'800));  // the activity ends meanwhile
  const Status restarted = (*server)->Restart();
  ASSERT_TRUE(restarted) << restarted.error().ToString();
  ASSERT_TRUE(Eventually([&] { return worker->stats().server_reachable; })) << bench.log.Text();

  for (int i = 1; i < 5; ++i) bench.Signal(chain, "go");
  EXPECT_EQ(bench.Result(patient).GetInt("attempt"), 1) << bench.log.Text();  // its result outlived the outage
  EXPECT_EQ(bench.Result(chain), Json(5));
  EXPECT_EQ(bench.log.Count("is unreachable"), 1) << bench.log.Text();
  EXPECT_EQ(bench.log.Count("is reachable again"), 1) << bench.log.Text();
  EXPECT_EQ(worker->stats().outages, 1u);
}

TEST(Outage, WorkerStartedBeforeItsServer_WaitsForIt_AndStopsPromptlyWithoutIt) {
  Proxy proxy(SharedServer().port());
  proxy.Close();
  Bench bench;
  Register(bench);
  WorkerOptions options = bench.Options();
  options.connection.address = "127.0.0.1:" + std::to_string(proxy.port());
  const auto worker = bench.StartWorker(options);
  const auto ref = bench.Start("chain");
  for (int i = 0; i < 5; ++i) bench.Signal(ref, "go");
  ASSERT_TRUE(Eventually([&] { return worker->stats().outages == 1; }));
  proxy.Open();
  EXPECT_EQ(bench.Result(ref), Json(5));
  proxy.Close();
  ASSERT_TRUE(Eventually([&] { return !worker->stats().server_reachable; }));
  const auto start = std::chrono::steady_clock::now();
  worker->Shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Outage, UnknownNamespace_IsComplainedAboutOnce) {
  Bench bench;
  Register(bench);
  WorkerOptions options = bench.Options();
  options.connection.namespace_name = "no-such-namespace";
  const auto worker = bench.StartWorker(options);
  EXPECT_TRUE(Eventually([&] { return bench.log.Count("no-such-namespace") >= 2; }))
      << bench.log.Text();  // start line and complaint
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_EQ(bench.log.Count("poll of"), 1) << bench.log.Text();
}

}  // namespace
}  // namespace lockstep::provider::testing
