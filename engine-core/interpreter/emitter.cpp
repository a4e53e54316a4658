#include "engine-core/interpreter/emitter.h"

#include "engine-core/base/time.h"
#include "engine-core/state/event.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::interpreter {
namespace {

constexpr size_t kMaxBatch = 100;
// Greatest canonical size of one append: it travels as one payload.
constexpr size_t kMaxBatchBytes = 1024 * 1024;

}  // namespace

Emitter::Emitter(const RunInput& input, std::string plan_id, std::string plan_version)
    : input_(input), plan_id_(std::move(plan_id)), plan_version_(std::move(plan_version)) {}

state::EventWrite Emitter::Build(const Draft& draft, std::string event_id) const {
  state::EventWrite event;
  event.event_id = std::move(event_id);
  event.event_type = std::string(draft.type);
  event.run_id = input_.context.run_id;
  event.tenant_id = input_.context.tenant_id;
  event.project_id = input_.context.project_id;
  event.environment_id = input_.context.environment_id;
  event.plan_id = plan_id_;
  event.plan_version = plan_version_;
  event.logical_attempt_id = draft.attempt;
  event.engine_attempt_id = std::max(1, draft.engine_attempt);
  event.emitted_at = FormatUtcMillis(wf::now());
  event.step_id = draft.step_id;
  event.payload = draft.payload;
  event.idempotency_key = state::KeyOf(event);
  return event;
}

Status Emitter::Check(const Draft& draft) const { return state::Validate(Build(draft, "00000000-0000-4000-8000-000000000000")); }

uint64_t Emitter::Emit(Draft draft, std::source_location where) {
  const state::EventWrite event = Build(draft, wf::uuid4());
  // Spec 04 section 5.1: activity ids are deterministic.
  std::string id = "event/" + event.event_type + "/" + (draft.step_id.empty() ? "RUN" : draft.step_id) + "/" +
                   std::to_string(draft.attempt);
  queue_.push_back({state::ToJson(event), std::move(id), where});
  return ++issued_;
}

wf::Task<void> Emitter::Run() {
  while (true) {
    co_await wf::wait_until([this] { return !queue_.empty() && !refused_; });
    Json events = Json::MakeArray();
    const std::string id = queue_.front().activity_id;
    const std::source_location where = queue_.front().where;
    std::vector<std::source_location> parts;
    size_t bytes = 0;
    uint64_t count = 0;
    while (!queue_.empty() && count < kMaxBatch) {
      const size_t size = CanonicalJson(queue_.front().event).size();
      if (count > 0 && bytes + size > kMaxBatchBytes) break;
      bytes += size;
      events.Push(std::move(queue_.front().event));
      parts.push_back(queue_.front().where);
      queue_.pop_front();
      ++count;
    }
    Json batch = Json::MakeObject(
        {{"tenantId", input_.context.tenant_id}, {"runId", input_.context.run_id}, {"events", std::move(events)}});
    if (co_await Append(std::move(batch), id, where, std::move(parts))) durable_ += count;
  }
}

// Spec 04 section 11: after ten minutes without success an alert, then again every minute; nothing is dispatched meanwhile.
wf::Task<bool> Emitter::Append(Json batch, std::string activity_id, std::source_location where, std::vector<std::source_location> parts) {
  for (int round = 1;; ++round) {
    wf::LocalActivityOptions options;
    options.activity_id = round == 1 ? activity_id : activity_id + "~" + std::to_string(round);
    options.start_to_close_ms = 10'000;
    options.schedule_to_close_ms = input_.policy.append_retry_ms;
    options.parts = parts;
    const wf::ActivityOutcome outcome =
        co_await wf::local_activity("emitEvents", workflow::JsonPayloads(batch), std::move(options), where);
    if (outcome.result) co_return true;
    const Error& error = outcome.result.error();
    if (!error.retryable) {
      refused_ = error;
      co_return false;
    }
    wf::log_warning("P1 STATE_STORE_UNAVAILABLE: events of run " + input_.context.run_id + " cannot be appended: " + error.message);
    co_await wf::sleep(input_.policy.append_pause_ms, where);
  }
}

}  // namespace lockstep::interpreter
