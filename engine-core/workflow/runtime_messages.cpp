// What reaches a running execution from outside: signals, updates, queries. Messages keep the order in which they came;
// handlers run before the main coroutine of the same task (RT7).
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include <algorithm>

#include "engine-core/base/check.h"
#include "engine-core/workflow/markers.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/runtime.h"

namespace lockstep::workflow::internal {
namespace {

// Tells the list of spawned tasks that one is over.
struct Done {
  Runtime* runtime;
  ~Done() { runtime->NoteSpawnedDone(); }
};

}  // namespace

using UpdateRequest = temporal::api::update::v1::Request;
using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary

// What a task brings from outside, in the order in which it came: a signal where its event stands, an update after the event
// that its sequencing id names.
void Runtime::DeliverMessages(const TaskSlice& slice) {
  const std::vector<std::shared_ptr<UpdateState>> updates = UpdatesOf(slice);
  size_t next = 0;
  for (const HistoryEvent* event : slice.events) {
    while (next < updates.size() && updates[next]->sequencing_event_id < event->event_id()) DeliverUpdate(updates[next++]);
    if (event->event_type() != EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) continue;
    const auto& signal = event->workflow_execution_signaled_event_attributes();
    // Beside updates, which are coroutines, a signal keeps its place only as one, too.
    if (conventions_.messages_first) {
      Spawn(RunSignal(signal.signal_name(), signal.input()));
    } else {
      DeliverSignal(signal.signal_name(), signal.input());
    }
  }
  while (next < updates.size()) DeliverUpdate(updates[next++]);
}

// A live task brings updates beside its events; after a reset they come as events of their own. A replay knows an update by its
// acceptance: what was rejected left no trace.
std::vector<std::shared_ptr<UpdateState>> Runtime::UpdatesOf(const TaskSlice& slice) {
  std::vector<std::shared_ptr<UpdateState>> updates;
  const auto add = [&](const std::string& id, const std::string& message_id, int64_t after, const UpdateRequest* request) {
    const auto admitted = admitted_updates_.find(id);
    if (request == nullptr && admitted == admitted_updates_.end()) return;  // matching misses what the history has of it
    for (const auto& known : updates) {
      if (known->id == id) return;
    }
    auto update = std::make_shared<UpdateState>();
    update->id = id;
    update->message_id = message_id;
    update->sequencing_event_id = request != nullptr ? after : admitted->second.event_id;
    update->request = request != nullptr ? *request : admitted->second.request;
    update->validate = slice.completed == nullptr;
    updates.push_back(std::move(update));
  };
  for (const HistoryEvent* event : slice.events) {
    if (event->event_type() != EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED) continue;
    const UpdateRequest& request = event->workflow_execution_update_admitted_event_attributes().request();
    admitted_updates_[request.meta().update_id()] = {request, event->event_id()};
    if (slice.completed == nullptr) add(request.meta().update_id(), request.meta().update_id() + "/request", 0, nullptr);
  }
  for (const HistoryEvent* event : slice.recorded) {
    if (event->event_type() != EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED) continue;
    const auto& accepted = event->workflow_execution_update_accepted_event_attributes();
    add(accepted.protocol_instance_id(), accepted.accepted_request_message_id(), accepted.accepted_request_sequencing_event_id(),
        accepted.has_accepted_request() ? &accepted.accepted_request() : nullptr);
  }
  for (const UpdateDelivery& delivery : slice.updates) add(delivery.id, delivery.message_id, delivery.sequencing_event_id, delivery.request);
  // The server lists them in this order; a damaged history may not.
  std::stable_sort(updates.begin(), updates.end(),
                   [](const auto& a, const auto& b) { return a->sequencing_event_id < b->sequencing_event_id; });
  return updates;
}

Task<void> Runtime::RunSignal(std::string name, Payloads input) {
  const Done done{this};
  DeliverSignal(name, input);
  co_return;
}

void Runtime::DeliverSignal(const std::string& name, const Payloads& input) {
  const auto it = signal_handlers_.find(name);
  const Narrow narrow(&allowed_, Allowed::kNoCommands);
  try {
    // Copies: a handler may put another one in its place.
    if (it != signal_handlers_.end()) {
      const auto handler = it->second;
      handler(input);
    } else if (default_signal_handler_) {
      const auto handler = default_signal_handler_;
      handler(name, input);
    } else {
      buffered_signals_.emplace_back(name, input);
    }
  } catch (...) {
    BreakWithCurrentException();
  }
}

void Runtime::SetSignalHandler(std::string_view name, std::function<void(const Payloads&)> handler) {
  Require(Allowed::kNoCommands, "a handler set");
  const std::string key(name);
  signal_handlers_[key] = std::move(handler);
  // One at a time: a handler may set further handlers, or throw.
  for (size_t i = 0; i < buffered_signals_.size();) {
    if (buffered_signals_[i].first != key) {
      ++i;
      continue;
    }
    const Payloads input = std::move(buffered_signals_[i].second);
    buffered_signals_.erase(buffered_signals_.begin() + static_cast<std::ptrdiff_t>(i));
    const auto current = signal_handlers_[key];
    const Narrow narrow(&allowed_, Allowed::kNoCommands);
    current(input);
  }
}

void Runtime::SetDefaultSignalHandler(std::function<void(std::string_view, const Payloads&)> handler) {
  Require(Allowed::kNoCommands, "a handler set");
  default_signal_handler_ = std::move(handler);
  while (!buffered_signals_.empty() && default_signal_handler_) {
    const auto [name, input] = std::move(buffered_signals_.front());
    buffered_signals_.pop_front();
    const auto current = default_signal_handler_;
    const Narrow narrow(&allowed_, Allowed::kNoCommands);
    current(name, input);
  }
}

void Runtime::SetQueryHandler(std::string_view name, std::function<Result<Json>(const Json::Array&)> handler) {
  Require(Allowed::kNoCommands, "a handler set");
  query_handlers_[std::string(name)] = std::move(handler);
}

Result<std::unique_ptr<Payloads>> Runtime::Query(std::string_view name, const Payloads& args) {
  const EnterRuntime enter(this);
  const auto it = query_handlers_.find(name);
  if (it == query_handlers_.end()) {
    std::string known;
    for (const auto& [query, handler] : query_handlers_) known += (known.empty() ? "" : ", ") + query;
    return Fail("QUERY_UNKNOWN", "no query " + std::string(name) + "; known: " + (known.empty() ? "none" : known));
  }
  const auto failed = [&](const std::string& why) { return Fail("QUERY_FAILED", std::string(name) + ": " + why); };
  const auto arguments = ReadJson(args);
  if (!arguments) return failed(arguments.error().message);
  const Narrow narrow(&allowed_, Allowed::kReadOnly);
  // A query takes no step of the workflow, whatever its handler reads.
  const auto resumptions = std::exchange(resumptions_, 0);
  const auto restore = [&](auto result) {
    resumptions_ = resumptions;
    return result;
  };
  try {
    const Result<Json> answer = it->second(*arguments);
    if (!answer) return restore(Result<std::unique_ptr<Payloads>>(failed(answer.error().ToString())));
    return restore(Result<std::unique_ptr<Payloads>>(std::make_unique<Payloads>(JsonPayloads(*answer))));
  } catch (const std::exception& error) {
    return restore(Result<std::unique_ptr<Payloads>>(failed(error.what())));
  } catch (...) {
    return restore(Result<std::unique_ptr<Payloads>>(failed("threw something that is no std::exception")));
  }
}

// --- updates -------------------------------------------------------------------------------------------------------------

// Each update is a task of its own, so that what its handler does keeps its place among the signals around it.
void Runtime::DeliverUpdate(std::shared_ptr<UpdateState> update) {
  if (Over()) return;
  Spawn(RunUpdate(std::move(update)));
}

void Runtime::SetUpdateHandler(std::string_view name, UpdateHandler handler) {
  Require(Allowed::kNoCommands, "a handler set");
  update_handlers_[std::string(name)] = std::make_shared<const UpdateHandler>(std::move(handler));
  std::vector<std::shared_ptr<UpdateState>> waiting;
  for (auto& update : std::exchange(waiting_updates_, {})) {
    (update->request.input().name() == name ? waiting : waiting_updates_).push_back(std::move(update));
  }
  for (auto& update : waiting) Spawn(RunUpdate(std::move(update)));
}

Task<void> Runtime::RunUpdate(std::shared_ptr<UpdateState> update) {
  const Done done{this};
  const auto found = update_handlers_.find(update->request.input().name());
  if (found == update_handlers_.end()) {
    waiting_updates_.push_back(std::move(update));
    co_return;
  }
  const std::shared_ptr<const UpdateHandler> handler = found->second;
  try {
    if (!Admit(update, *handler)) co_return;
    Outcome<Payloads> outcome = Failed{Error("CANCELLED", "cancelled in the update's handler"), nullptr};
    NoteHandler(1);
    try {
      outcome = co_await handler->run(update->request.input().args());
    } catch (const Cancelled&) {
    }
    NoteHandler(-1);
    *update->response.mutable_meta() = update->request.meta();
    if (outcome.ok()) {
      *update->response.mutable_outcome()->mutable_success() = *outcome;
    } else {
      outcome.failed().FillFailure(update->response.mutable_outcome()->mutable_failure());
    }
    Step(update->machine, MachineInput::kAnswer, nullptr, nullptr);
  } catch (...) {
    BreakWithCurrentException();
  }
}

bool Runtime::Admit(const std::shared_ptr<UpdateState>& update, const UpdateHandler& handler) {
  if (update->validate && handler.validate) {
    const Narrow narrow(&allowed_, Allowed::kReadOnly);
    if (const Status valid = handler.validate(update->request.input().args()); !valid) {
      Reject(update, valid.error());
      return false;
    }
  }
  temporal::api::update::v1::Acceptance acceptance;
  acceptance.set_accepted_request_message_id(update->message_id);
  acceptance.set_accepted_request_sequencing_event_id(update->sequencing_event_id);
  *acceptance.mutable_accepted_request() = update->request;
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_PROTOCOL_MESSAGE);
  command->mutable_protocol_message_command_attributes()->set_message_id(update->id + std::string(kUpdateAcceptSuffix));
  update->machine = Issue(CommandKind::kUpdate, command, update->id, handler.where);
  update->machine->update = update;
  AddMessage(*update, kUpdateAcceptSuffix, acceptance);
  return true;
}

// Leaves no trace: there is a message, and no command to go with it.
void Runtime::Reject(const std::shared_ptr<UpdateState>& update, const Error& error) {
  update->rejection.set_rejected_request_message_id(update->message_id);
  update->rejection.set_rejected_request_sequencing_event_id(update->sequencing_event_id);
  *update->rejection.mutable_rejected_request() = update->request;
  ErrorToFailure(error, update->rejection.mutable_failure());
  Machine machine;
  machine.spec = &SpecOf(CommandKind::kUpdate);
  machine.id = update->id;
  machine.update = update;
  Step(&machine, MachineInput::kReject, nullptr, nullptr);
}

// Nobody will come for them: the code has had its turn.
void Runtime::RejectUnknownUpdates() {
  std::string known;
  for (const auto& [name, handler] : update_handlers_) known += (known.empty() ? "" : ", ") + name;
  for (const auto& update : std::exchange(waiting_updates_, {})) {
    if (!update->validate) continue;  // matching misses its acceptance
    Reject(update, Error("UPDATE_UNKNOWN", "no update " + update->request.input().name() + "; known: " + (known.empty() ? "none" : known)));
  }
}

void Runtime::EmitAnswer(Machine* machine) {
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_PROTOCOL_MESSAGE);
  command->mutable_protocol_message_command_attributes()->set_message_id(machine->id + std::string(kUpdateCompleteSuffix));
  issued_.push_back({command, machine, true, false, machine->where});
  AddMessage(*machine->update, kUpdateCompleteSuffix, machine->update->response);
}

void Runtime::AddMessage(const UpdateState& update, std::string_view suffix, const google::protobuf::Message& body) {
  auto& message = messages_.emplace_back();
  message.set_id(update.id + std::string(suffix));
  message.set_protocol_instance_id(update.id);
  message.mutable_body()->PackFrom(body);
}

}  // namespace lockstep::workflow::internal
