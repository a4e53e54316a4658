// A client in C++ for the interop suite: one call a process, arguments as JSON where they are JSON and as text otherwise, the
// answer as JSON on standard output.
#include <cstdio>
#include <string>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/providers/temporal/client.h"
#include "engine-core/workflow/payload.h"
#include "temporal/api/common/v1/message.pb.h"

namespace {

using namespace lockstep;  // NOLINT: a program of one file

workflow::Payloads Arguments(const std::vector<std::string>& words, size_t from) {
  workflow::Payloads payloads;
  for (size_t i = from; i < words.size(); ++i) {
    const auto json = ParseJson(words[i]);
    workflow::AddJson(json ? *json : Json(words[i]), &payloads);
  }
  return payloads;
}

Result<Json> First(Result<std::unique_ptr<workflow::Payloads>> payloads) {
  if (!payloads) return std::unexpected(payloads.error());
  return workflow::ReadFirstJson(**payloads);
}

Result<Json> Wait(provider::Client& client, const std::string& id) {
  LOCKSTEP_ASSIGN(const auto outcome, client.WaitForResult(id, {}, 30'000));
  if (outcome.status == provider::WorkflowStatus::kCancelled) return Json::MakeObject({{"cancelled", true}});
  if (outcome.status != provider::WorkflowStatus::kCompleted) return Json::MakeObject({{"failed", outcome.failure.code}});
  return workflow::ReadFirstJson(*outcome.result);
}

Result<Json> Call(provider::Client& client, const std::vector<std::string>& words) {
  const std::string verb = words[0], id = words.size() > 2 && words[0] == "start" ? words[2] : words[1];
  if (verb == "start") {
    provider::StartOptions start;
    start.workflow_type = words[1];
    start.workflow_id = id;
    start.task_queue = words[3];
    LOCKSTEP_ASSIGN(const auto ref, client.StartWorkflow(start, Arguments(words, 4)));
    return Json(ref.run_id);
  }
  if (verb == "signal") {
    LOCKSTEP_TRY(client.Signal(id, {}, words[2], Arguments(words, 3)));
    return Json(true);
  }
  if (verb == "query") return First(client.Query(id, {}, words[2], Arguments(words, 3)));
  if (verb == "update") {
    auto answer = First(client.Update(id, {}, words[2], Arguments(words, 3), 20'000));
    if (!answer) return Json::MakeObject({{"failed", answer.error().code}});
    return answer;
  }
  if (verb == "cancel") {
    LOCKSTEP_TRY(client.RequestCancel(id, {}, "asked to"));
    return Json(true);
  }
  if (verb == "reset") {
    LOCKSTEP_TRY(client.Reset(id, {}, std::stoll(words[2]), "again"));
    return Wait(client, id);
  }
  if (verb == "result") return Wait(client, id);
  return Fail("USAGE", "no verb " + verb);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + std::min(argc, 2), argv + argc);
  if (words.size() < 2) return 2;
  provider::ConnectionOptions connection;
  connection.address = argv[1];
  provider::Client client(connection);
  const auto answer = Call(client, words);
  if (!answer) {
    std::fprintf(stderr, "%s\n", answer.error().ToString().c_str());
    return 1;
  }
  std::printf("%s\n", CanonicalJson(*answer).c_str());
  return 0;
}
