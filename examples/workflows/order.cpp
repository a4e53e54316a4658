// An order that is paid, packed and shipped: activities with retries, a signal that changes the order while it waits, a query,
// and compensation when a later step fails.
#include "orders.h"

namespace {

const wf::Activity<std::string(std::string, int64_t)> kCharge{"charge", {.start_to_close_ms = 10'000, .retry = wf::RetryOptions{.max_attempts = 3}}};
const wf::Activity<void(std::string)> kRefund{"refund", {.start_to_close_ms = 10'000}};
const wf::Activity<std::string(std::string, std::string)> kShip{"ship", {.start_to_close_ms = 10'000, .retry = wf::RetryOptions{.max_attempts = 2}}};

class OrderWorkflow {
 public:
  wf::Task<wf::Outcome<Receipt>> Run(Order order) {
    order_ = order;
    const auto payment = co_await kCharge(order_.id, order_.cents);
    if (!payment) co_return payment.failed();
    state_ = "paid";
    // The customer may still change the address for a moment.
    co_await wf::wait_until([this] { return confirmed_; }, 2'000);
    const auto parcel = co_await kShip(order_.id, order_.address);
    if (!parcel) {
      state_ = "refunding";
      co_await kRefund(*payment);
      co_return wf::Failed(lockstep::Error("NOT_SHIPPED", "the order could not be shipped")).Because(parcel.failed());
    }
    state_ = "shipped";
    co_return Receipt{.order = order_.id, .payment = *payment, .parcel = *parcel};
  }

  void ChangeAddress(std::string address) { order_.address = address; }
  void Confirm() { confirmed_ = true; }
  std::string State() const { return state_; }

 private:
  Order order_;
  std::string state_ = "new";
  bool confirmed_ = false;
};
LOCKSTEP_REGISTER_WORKFLOW(OrderWorkflow, "order", wf::Signal("changeAddress", &OrderWorkflow::ChangeAddress),
                           wf::Signal("confirm", &OrderWorkflow::Confirm), wf::Query("state", &OrderWorkflow::State))

// --- the activities, served by the same library ---------------------------------------------------------------------------

std::string Charge(std::string order, int64_t cents) { return "payment-" + order + "-" + std::to_string(cents); }
void Refund(std::string) {}
lockstep::Result<std::string> Ship(std::string order, std::string address) {
  if (address == "nowhere") return lockstep::Fail("NO_SUCH_ADDRESS", "nobody delivers to " + address);
  return "parcel-" + order;
}
LOCKSTEP_REGISTER_ACTIVITY("charge", Charge)
LOCKSTEP_REGISTER_ACTIVITY("refund", Refund)
LOCKSTEP_REGISTER_ACTIVITY("ship", Ship)

}  // namespace
