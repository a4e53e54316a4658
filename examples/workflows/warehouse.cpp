// A warehouse that never ends: updates with validators change its stock one at a time, a queue feeds a packer, and once it has
// done enough it continues as new with what it knows.
#include "orders.h"

namespace {

const wf::Activity<int64_t(std::string, int64_t)> kFetch{"fetchFromShelf", {.start_to_close_ms = 10'000}};
constexpr int64_t kUpdatesPerExecution = 100;

class WarehouseWorkflow {
 public:
  wf::Task<wf::WorkflowResult> Run(std::vector<Stock> stock) {
    for (const Stock& entry : stock) stock_[entry.item] = entry.count;
    wf::spawn(Pack());
    co_await wf::wait_until([this] { return closed_ || done_ >= kUpdatesPerExecution; });
    // Handlers that still work would be cut off.
    co_await wf::wait_until([] { return wf::all_handlers_finished(); });
    parcels_.close();
    if (closed_) co_return wf::complete(Known());
    co_return wf::continue_as_new(wf::EncodeAll(Known()));
  }

  lockstep::Status CheckTake(std::string item, int64_t count) const {
    const auto found = stock_.find(item);
    if (count < 1) return lockstep::Fail("BAD_COUNT", "expected at least 1, found " + std::to_string(count));
    if (found == stock_.end()) return lockstep::Fail("NO_SUCH_ITEM", item);
    return {};
  }
  // One at a time: between the look at the stock and the change of it lies an activity.
  wf::Task<wf::Outcome<int64_t>> Take(std::string item, int64_t count) {
    const auto lock = co_await mutex_.lock();
    if (stock_[item] < count) co_return lockstep::Error("SOLD_OUT", item + ": " + std::to_string(stock_[item]) + " left");
    const auto fetched = co_await kFetch(item, count);
    if (!fetched) co_return fetched.failed();
    stock_[item] -= *fetched;
    ++done_;
    co_await parcels_.send(item);
    co_return stock_[item];
  }
  void Deliver(Stock delivery) { stock_[delivery.item] += delivery.count; }
  void Close() { closed_ = true; }
  std::vector<Stock> Known() const {
    std::vector<Stock> known;
    for (const auto& [item, count] : stock_) known.push_back({item, count});
    return known;
  }
  int64_t Packed() const { return packed_; }

 private:
  wf::Task<void> Pack() {
    while (co_await parcels_.receive()) ++packed_;
  }

  std::map<std::string, int64_t> stock_;
  wf::Mutex mutex_;
  wf::Channel<std::string> parcels_{16};
  int64_t done_ = 0;
  int64_t packed_ = 0;
  bool closed_ = false;
};
LOCKSTEP_REGISTER_WORKFLOW(WarehouseWorkflow, "warehouse", wf::Update("take", &WarehouseWorkflow::Take, &WarehouseWorkflow::CheckTake),
                           wf::Signal("deliver", &WarehouseWorkflow::Deliver), wf::Signal("close", &WarehouseWorkflow::Close),
                           wf::Query("stock", &WarehouseWorkflow::Known), wf::Query("packed", &WarehouseWorkflow::Packed))

int64_t FetchFromShelf(std::string, int64_t count) { return count; }
LOCKSTEP_REGISTER_ACTIVITY("fetchFromShelf", FetchFromShelf)

}  // namespace
