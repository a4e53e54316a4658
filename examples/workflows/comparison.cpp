// Asks several shops at once, each in a child workflow, and takes the best offer that comes in time: all_of and first_of, scopes
// that cancel what is no longer wanted, a local activity for work of moments.
#include <algorithm>

#include "orders.h"

namespace {

const wf::Activity<int64_t(std::string, std::string)> kAsk{"askPrice", {.start_to_close_ms = 10'000}};
const wf::LocalActivity<std::string(std::string)> kNormalize{"normalizeName", {.start_to_close_ms = 1'000}};
const wf::ChildOf<int64_t(std::string, std::string)> kAskShop{"askShop"};

class AskShopWorkflow {
 public:
  wf::Task<wf::Outcome<int64_t>> Run(std::string shop, std::string item) {
    if (shop == "slow") co_await wf::sleep(60'000);
    co_return co_await kAsk(shop, item);
  }
};
LOCKSTEP_REGISTER_WORKFLOW(AskShopWorkflow, "askShop")

class ComparisonWorkflow {
 public:
  wf::Task<wf::Outcome<std::string>> Run(std::string item, std::vector<std::string> shops) {
    const auto name = co_await kNormalize(item);
    if (!name) co_return name.failed();
    wf::CancelScope asking;
    auto offers = wf::start(asking.run(Ask(*name, shops)));
    auto patience = wf::timer(1'500);
    if (co_await wf::first_of(offers, patience) == 1) asking.cancel();
    const auto answers = co_await offers;
    std::string best;
    int64_t lowest = INT64_MAX;
    for (size_t i = 0; i < shops.size(); ++i) {
      if (!answers[i] || *answers[i] >= lowest) continue;
      lowest = *answers[i];
      best = shops[i];
    }
    if (best.empty()) co_return lockstep::Error("NO_OFFER", "no shop has " + *name);
    co_return best + ":" + std::to_string(lowest);
  }

 private:
  static wf::Task<std::vector<wf::Outcome<int64_t>>> Ask(std::string item, std::vector<std::string> shops) {
    std::vector<wf::Child<int64_t>> children;
    for (const std::string& shop : shops) {
      children.push_back(kAskShop.with({.workflow_id = wf::info().workflow_id + "/" + shop, .cancel = wf::CancelMode::kTryCancel})(shop, item));
    }
    co_return co_await wf::all_of(children);
  }
};
LOCKSTEP_REGISTER_WORKFLOW(ComparisonWorkflow, "comparison")

lockstep::Result<int64_t> AskPrice(std::string shop, std::string item) {
  if (shop == "empty") return lockstep::Fail("NO_SUCH_ITEM", item);
  return static_cast<int64_t>(100 * item.size() + shop.size());
}
std::string NormalizeName(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return name;
}
LOCKSTEP_REGISTER_ACTIVITY("askPrice", AskPrice)
LOCKSTEP_REGISTER_ACTIVITY("normalizeName", NormalizeName)

}  // namespace
