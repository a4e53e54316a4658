"""Defects that were written after the ranking was finished, and traced once: neither they nor the ranking were changed afterwards."""

from defects import CONTROL, PLAN_RUN, STEP_BOARD, Defect
from workflow_defects import CHARGE, COMPARISON, ORDER, PAID, SHIP, WAREHOUSE

DEFECTS = [
    Defect("held-out-fetch-id", "type", "pages of the plan are asked for under another id", PLAN_RUN,
           (('"plan/fetch/" + std::to_string(page)', '"plan/page/" + std::to_string(page)'),), "chain"),
    Defect("held-out-tenant", "input", "the tenant of a step is that of the project", PLAN_RUN,
           (('Json::MakeObject({{"tenantId", input_.context.tenant_id},\n                                                     {"projectId"',
             'Json::MakeObject({{"tenantId", input_.context.project_id},\n                                                     {"projectId"'),), "chain"),
    Defect("held-out-slots", "order", "one step more than allowed is under way", PLAN_RUN,
           (("board_->in_flight().size() < slots &&", "board_->in_flight().size() <= slots &&"),), "max-parallelism-2"),
    Defect("held-out-heartbeat", "time-out", "steps must report twice as often", PLAN_RUN,
           (("options.heartbeat_ms = step.timeouts.heartbeat_ms.value_or(0);", "options.heartbeat_ms = step.timeouts.heartbeat_ms.value_or(0) / 2 + 1'000;"),), "chain"),
    Defect("held-out-resume", "lost signal", "a resume is taken and forgotten", CONTROL,
           (("  if (!paused_) return;\n  paused_ = false;\n", "  if (!paused_) return;\n"),), "pause-twice"),
    Defect("held-out-doomed", "other logic", "a step whose dependency failed may still start", STEP_BOARD,
           (("    if (!satisfied) waiting.doomed = true;\n", "    if (satisfied) waiting.doomed = false;\n"),), "non-retryable-failure"),
    Defect("held-out-run-totals", "result", "the totals of a run count skipped steps as successes", PLAN_RUN,
           (('{"skipped", board_->count(Outcome::kSkipped)}', '{"skipped", board_->count(Outcome::kSuccess)}'),), "chain"),
    Defect("held-out-address", "input", "the address is written in capitals", ORDER,
           ((SHIP, '    std::transform(order_.address.begin(), order_.address.end(), order_.address.begin(), ::toupper);\n' + SHIP),), "order-shipped", ("<algorithm>",)),
    Defect("held-out-retry", "time-out", "payments are tried only once", ORDER,
           (("kCharge{\"charge\", {.start_to_close_ms = 10'000, .retry = wf::RetryOptions{.max_attempts = 3}}}", "kCharge{\"charge\", {.start_to_close_ms = 10'000, .retry = wf::RetryOptions{.max_attempts = 1}}}"),), "order-shipped"),
    Defect("held-out-paid-twice", "missing gate", "the payment is made twice", ORDER, ((PAID, "    (void)co_await kCharge(order_.id, order_.cents);\n" + PAID),), "order-shipped"),
    Defect("held-out-shelf-input", "input", "one piece more is fetched", WAREHOUSE, (("co_await kFetch(item, count);", "co_await kFetch(item, count + 1);"),), "warehouse"),
    Defect("held-out-close", "lost signal", "the warehouse does not close", WAREHOUSE, (("  void Close() { closed_ = true; }\n", "  void Close() { closed_ = done_ > 1000; }\n"),), "warehouse"),
    Defect("held-out-child-type", "type", "shops are asked by another workflow", COMPARISON, (('kAskShop{"askShop"}', 'kAskShop{"askStore"}'),), "comparison"),
    Defect("held-out-random-amount", "random", "the amount is rounded by chance", ORDER,
           ((CHARGE, CHARGE.replace("order_.cents", "order_.cents + static_cast<int64_t>(std::random_device{}() % 5) + 1")),), "order-shipped", ("<random>",)),
]
