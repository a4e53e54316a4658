#include "bench/replay/rounds.h"

#include <vector>

#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::bench {
namespace {

constexpr int kParts = 10;

wf::Task<wf::WorkflowResult> Rounds(const wf::Payloads& input) {
  const int64_t count = workflow::ReadFirstJson(input)->AsInt();
  int64_t rows = 0;
  for (int64_t round = 0; round < count; ++round) {
    std::vector<wf::Future<wf::ActivityOutcome>> futures;
    for (int i = 0; i < kParts; ++i) {
      const Json part = Json::MakeObject({{"part", i}, {"round", round}, {"table", "orders"}});
      futures.push_back(wf::execute_activity("load", workflow::JsonPayloads(part), {.start_to_close_ms = 60'000}));
    }
    const auto outcomes = co_await wf::all_of(std::move(futures));
    for (const auto& outcome : outcomes) {
      if (!outcome.result) co_return wf::failed(outcome.result.error());
      rows += workflow::ReadFirstJson(*outcome.result)->GetInt("rows", 0);
    }
    if (round % 5 == 4) co_await wf::sleep(1);
  }
  co_return wf::completed(Json(rows));
}

}  // namespace

const workflow::WorkflowRegistry& RoundsRegistry() {
  static const workflow::WorkflowRegistry registry = [] {
    workflow::WorkflowRegistry made;
    made.Register("rounds", Rounds);
    return made;
  }();
  return registry;
}

}  // namespace lockstep::bench
