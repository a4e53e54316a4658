"""Seeded defects in the example workflows (examples/workflows), as defects.py has them for the interpreter. `record` is a history of
histories/, recorded by record_examples.py. `base` edits make the text that was in step, where that is not the example as it stands.
"""

from defects import Defect

ORDER = "examples/workflows/order.cpp"
WAREHOUSE = "examples/workflows/warehouse.cpp"
COMPARISON = "examples/workflows/comparison.cpp"

CHARGE = "    const auto payment = co_await kCharge(order_.id, order_.cents);\n"
PAID = '    state_ = "paid";\n'
SHIP = "    const auto parcel = co_await kShip(order_.id, order_.address);\n"
WAIT = "    co_await wf::wait_until([this] { return confirmed_; }, 2'000);\n"
ASK = "    for (const std::string& shop : shops) {\n"
CHILD = 'children.push_back(kAskShop.with({.workflow_id = wf::info().workflow_id + "/" + shop, .cancel = wf::CancelMode::kTryCancel})(shop, item));'

# Orders are insured, behind a gate.
INSURANCE = '    if (wf::get_version("insured", wf::kDefaultVersion, 1) == 1) co_await kCharge(order_.id + "/insurance", 100);\n'
INSURED = ((PAID, PAID + INSURANCE),)


def charge(cents):
    return ((CHARGE, CHARGE.replace("order_.cents", cents)),)


DEFECTS = [
    Defect("shops-asked-backwards", "order", "the shops are asked in the opposite order", COMPARISON,
           ((ASK, "    for (const std::string& shop : std::vector<std::string>(shops.rbegin(), shops.rend())) {\n"),), "comparison"),
    Defect("shipped-before-paid", "order", "the parcel is sent off before the payment", ORDER,
           ((SHIP, ""), (CHARGE, SHIP + CHARGE)), "order-shipped"),
    Defect("lock-dropped", "order", "updates no longer wait for each other", WAREHOUSE,
           (("    const auto lock = co_await mutex_.lock();\n", ""),), "warehouse"),
    Defect("shipping-renamed", "type", "parcels are sent by another activity", ORDER, (('kShip{"ship"', 'kShip{"send"'),), "order-shipped"),
    Defect("normalizing-renamed", "type", "another local activity tidies up the name", COMPARISON, (('kNormalize{"normalizeName"', 'kNormalize{"tidyName"'),), "comparison"),
    Defect("amount-in-euros", "input", "the amount is handed over in another unit", ORDER, charge("order_.cents / 100"), "order-shipped"),
    Defect("old-address", "input", "the parcel goes to the address of the start", ORDER,
           (("  void ChangeAddress(std::string address) { order_.address = address; }\n", "  void ChangeAddress(std::string address) { address_ = address; }\n"),
            ('  std::string state_ = "new";\n', '  std::string state_ = "new";\n  std::string address_;\n')), "order-shipped"),
    Defect("patience-of-orders", "timer", "an order waits a second longer for its confirmation", ORDER, ((WAIT, WAIT.replace("2'000", "3'000")),), "order-waited"),
    Defect("patience-of-comparisons", "timer", "offers have less time", COMPARISON, (("wf::timer(1'500)", "wf::timer(1'200)"),), "comparison-hurried"),
    Defect("payment-in-receipt", "result", "the receipt names the order where it should name the payment", ORDER, ((".payment = *payment,", ".payment = order_.id,"),), "order-shipped"),
    Defect("offer-without-price", "result", "the answer leaves out the price", COMPARISON, (('    co_return best + ":" + std::to_string(lowest);\n', "    co_return best;\n"),), "comparison"),
    Defect("new-pause", "missing gate", "a pause before the parcel, without a gate", ORDER, ((SHIP, "    co_await wf::sleep(1'000);\n" + SHIP),), "order-shipped"),
    Defect("new-check", "missing gate", "a second charge for large orders, without a gate", ORDER,
           ((PAID, '    if (order_.cents > 1'"'"'000) co_await kCharge(order_.id + "/fee", 50);\n' + PAID),), "order-shipped"),
    Defect("insurance-dropped", "retired gate", "a gate is removed with what it guarded", ORDER, ((INSURANCE, ""),), "order-insured", base=INSURED),
    Defect("insurance-for-all", "retired gate", "a gate is removed, its new side stays", ORDER,
           (('    if (wf::get_version("insured", wf::kDefaultVersion, 1) == 1) co_await', "    co_await"),), "order-insured", base=INSURED),
    Defect("shops-in-a-set", "hash order", "the shops are asked in the order of a hash table", COMPARISON,
           ((ASK, "    for (const std::string& shop : std::unordered_set<std::string>(shops.begin(), shops.end())) {\n"),), "comparison", ("<unordered_set>",)),
    Defect("clock-in-order", "time", "the payment carries the time of the machine", ORDER, ((CHARGE, CHARGE.replace("order_.id,", 'order_.id + "@" + std::to_string(std::time(nullptr)),')),), "order-shipped", ("<ctime>",)),
    Defect("clock-decides-patience", "time", "how long to wait depends on the hour of the machine", ORDER,
           ((WAIT, WAIT.replace("2'000", "1'000 + std::chrono::system_clock::now().time_since_epoch().count() % 1'000")),), "order-waited", ("<chrono>",)),
    Defect("random-child-id", "random", "child workflows get random ids", COMPARISON,
           ((CHILD, CHILD.replace('"/" + shop', '"/" + shop + std::to_string(std::random_device{}())')),), "comparison", ("<random>",)),
    Defect("count-of-orders", "global", "a counter of the process numbers the payments", ORDER,
           ((CHARGE, CHARGE.replace("order_.id,", 'order_.id + "#" + std::to_string(++charged),')), ("class OrderWorkflow {\n", "int charged = 0;\n\nclass OrderWorkflow {\n")), "order-shipped"),
    Defect("priced-by-a-thread", "thread", "a thread of its own computes the amount", ORDER,
           ((CHARGE, "    int64_t amount = 0;\n    std::thread([&] { amount = order_.cents + static_cast<int64_t>(std::hash<std::thread::id>()(std::this_thread::get_id()) % 97); }).join();\n"
             + CHARGE.replace("order_.cents", "amount")),), "order-shipped", ("<thread>",)),
    Defect("fee-from-the-environment", "environment", "the amount depends on the machine's time zone variable", ORDER,
           charge('order_.cents + (std::getenv("TZ") != nullptr ? 1 : 2)'), "order-shipped", ("<cstdlib>",)),
    Defect("cancellation-swallowed", "swallowed cancellation", "a cancelled order goes on", ORDER,
           ((WAIT, "    try {\n  " + WAIT + "    } catch (...) {\n    }\n"),), "order-cancelled"),
    Defect("wait-detached", "swallowed cancellation", "the wait no longer hears of the cancellation", ORDER,
           ((WAIT, "    co_await wf::detached(Patience());\n"), (" private:\n  Order order_;\n", " private:\n  wf::Task<void> Patience() { co_await wf::wait_until([this] { return confirmed_; }, 2'000); }\n\n  Order order_;\n")), "order-cancelled"),
    Defect("confirmation-lost", "lost signal", "a confirmation does nothing", ORDER, (("  void Confirm() { confirmed_ = true; }\n", "  void Confirm() {}\n"),), "order-shipped"),
    Defect("confirmation-renamed", "lost signal", "the confirmation has another name", ORDER, (('wf::Signal("confirm",', 'wf::Signal("confirmed",'),), "order-shipped"),
    Defect("delivery-replaces", "lost signal", "a delivery replaces what is on the shelf", WAREHOUSE, (("stock_[delivery.item] += delivery.count", "stock_[delivery.item] = delivery.count"),), "warehouse"),
    Defect("amount-in-floating-point", "float", "the amount is computed in floating point", ORDER, charge("static_cast<int64_t>(static_cast<float>(order_.cents) / 1.1F * 1.19F)"), "order-shipped"),
    Defect("amount-by-locale", "locale", "the payment is labelled with a number that the locale writes", ORDER,
           ((CHARGE, '    std::ostringstream label;\n    label << std::showpoint << static_cast<double>(order_.cents) / 100;\n' + CHARGE.replace("order_.id,", 'order_.id + ":" + label.str(),')),), "order-shipped", ("<sstream>",)),
    Defect("cents-without-a-value", "undefined behaviour", "the amount is read from memory that nobody wrote", ORDER,
           charge("order_.cents + *std::make_unique_for_overwrite<volatile unsigned char[]>(48).get() + 1"), "order-shipped", ("<memory>",)),
    Defect("more-attempts", "time-out", "the parcel is tried once more", ORDER, ((".max_attempts = 2", ".max_attempts = 3"),), "order-shipped"),
    Defect("longer-fetch", "time-out", "the shelf has more time", WAREHOUSE, (('kFetch{"fetchFromShelf", {.start_to_close_ms = 10\'000}}', 'kFetch{"fetchFromShelf", {.start_to_close_ms = 15\'000}}'),), "warehouse"),
    Defect("sold-out-too-early", "other logic", "the last piece is not sold", WAREHOUSE, (("if (stock_[item] < count) co_return", "if (stock_[item] <= count) co_return"),), "warehouse"),
    Defect("shops-never-cancelled", "other logic", "what is late is no longer cancelled", COMPARISON, (("if (co_await wf::first_of(offers, patience) == 1) asking.cancel();", "if (co_await wf::first_of(offers, patience) > 1) asking.cancel();"),), "comparison-hurried"),
    Defect("no-refund", "other logic", "a failed order keeps the money", ORDER, (("      co_await kRefund(*payment);\n", ""),), "order-refunded"),
    Defect("rotates-early", "other logic", "the warehouse starts anew after a few updates", WAREHOUSE, (("constexpr int64_t kUpdatesPerExecution = 100;", "constexpr int64_t kUpdatesPerExecution = 2;"),), "warehouse"),
]
