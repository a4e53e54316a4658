#include "engine-core/interpreter/testing/run_fuzz.h"

#include <google/protobuf/descriptor.h>

namespace lockstep::interpreter::testing {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using workflow::HistoryEvent;

constexpr int kMaxMoves = 60;
constexpr size_t kMaxSteps = 8;

std::string StepName(size_t number) { return "s" + std::to_string(number); }

Json AnyStep(Decisions* decisions, size_t number) {
  Json step = Json::MakeObject({{"stepId", StepName(number)}, {"kind", "noop"}});
  Json depends = Json::MakeArray();
  for (size_t other = 0; other < number; ++other) {
    if (decisions->OneIn(3)) depends.Push(StepName(other));
  }
  const bool has_dependency = !depends.AsArray().empty();
  const Json first = has_dependency ? depends.AsArray()[0] : Json();
  step.Set("dependsOn", std::move(depends));
  switch (decisions->Below(8)) {
    case 0: step.Set("kind", "sleep").Set("params", Json::MakeObject({{"durationMs", 1 + decisions->Byte()}})); break;
    case 1: step.Set("kind", "sleep").Set("params", Json::MakeObject({{"durationMs", "${params.wait}"}})); break;
    case 2:
      step.Set("kind", "echo").Set("params", Json::MakeObject({{"message", has_dependency ? "${steps['" + first.AsString() + "'].result.n}" : "${signals['GO_NOW'][0].x}"}}));
      break;
    case 3:
      if (has_dependency) step.Set("runIf", Json::MakeArray().Push(Json::MakeObject({{"step", first}, {"path", "/n"}, {"op", "lt"}, {"value", 100}})));
      break;
    case 4: {
      const char* const modes[] = {"fail", "skip", "proceed"};
      step.Set("waitForSignal", Json::MakeObject({{"name", "GO_NOW"}, {"count", static_cast<int64_t>(1 + decisions->Below(2))}, {"timeoutMs", 1 + decisions->Byte()}, {"onTimeout", modes[decisions->Below(3)]}}));
      break;
    }
    case 5: step.Set("logicalRetries", static_cast<int64_t>(decisions->Below(3))); break;
    default: break;
  }
  return step;
}

std::string AnyPlan(Decisions* decisions, size_t* size) {
  *size = 1 + decisions->Below(kMaxSteps);
  Json steps = Json::MakeArray();
  for (size_t i = 0; i < *size; ++i) steps.Push(AnyStep(decisions, i));
  const char* const modes[] = {"fail_run", "continue", "hold"};
  Json metadata = Json::MakeObject({{"onStepFailure", modes[decisions->Below(3)]}, {"maxParallelism", static_cast<int64_t>(1 + decisions->Below(4))}});
  if (decisions->OneIn(4)) metadata.Set("runTimeoutMs", 1'000 + 10 * decisions->Byte());
  return SimplePlan(CanonicalJson(steps), CanonicalJson(metadata),
                    R"({"params":{"wait":5},"customSignals":[{"name":"GO_NOW","payloadSchema":{"type":"object"},"effect":"open_gate","allowedRunStates":["RUNNING","PAUSED"]}]})");
}

StepAnswer AnyAnswer(Decisions* decisions) {
  using namespace temporal::api::enums::v1;  // NOLINT: time-out types
  switch (decisions->Below(10)) {
    case 0: return FailPermanent();
    case 1: return FailTransient(static_cast<int32_t>(1 + decisions->Below(3)));
    case 2: return TimeOut(decisions->OneIn(2) ? TIMEOUT_TYPE_HEARTBEAT : TIMEOUT_TYPE_SCHEDULE_TO_START);
    case 3: {
      StepAnswer answer;
      answer.output = AnyJson(decisions);
      return answer;
    }
    default: return Succeed(Json::MakeObject({{"n", decisions->Byte()}}));
  }
}

void AnyMove(PlanScript* run, Decisions* decisions, size_t size) {
  const Json step = Json::MakeObject({{"stepId", StepName(decisions->Below(size + 1))}});
  switch (decisions->Below(18)) {
    case 0: run->SignalOnly("PAUSE"); return;
    case 1: run->SignalOnly("RESUME"); return;
    case 2: run->Signal("RETRY_STEP", step); return;
    case 3: run->Signal("RETRY_STEP", Json(step).Set("force", true)); return;
    case 4: run->SignalOnly("SKIP_STEP", step); return;
    case 5: run->SignalOnly("UPDATE_PARAMS", Json::MakeObject({{"params", Json::MakeObject({{"wait", AnyJson(decisions)}})}})); return;
    case 6: run->SignalOnly("INJECT_OVERRIDE", Json(step).Set("override", Json::MakeObject({{"message", AnyJson(decisions)}}))); return;
    case 7: run->SignalOnly("UPDATE_TARGET", Json(step).Set("newTarget", Json::MakeObject({{"schema", "x"}}))); return;
    case 8: run->SignalOnly("CUSTOM:GO_NOW", Json::MakeObject({{"x", AnyJson(decisions)}})); return;
    case 9: run->script().Signal(decisions->OneIn(2) ? "pause" : "custom", AnyJson(decisions)); return;
    case 10: run->FireNextTimer(); return;
    case 11:
      if (decisions->OneIn(4)) run->Signal("CANCEL");
      return;
    case 12: run->script().Evict(); return;
    case 13: run->Task(); return;
    default: {
      const auto open = run->OpenSteps();
      if (!open.empty()) run->Answer(open[decisions->Below(open.size())], AnyAnswer(decisions));
      return;
    }
  }
}

void CollectPayloads(Message* message, std::vector<workflow::Payload*>* found) {
  if (auto* payload = dynamic_cast<workflow::Payload*>(message)) {
    found->push_back(payload);
    return;
  }
  const auto* reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      CollectPayloads(reflection->MutableMessage(message, field), found);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
      Message* entry = reflection->MutableRepeatedMessage(message, field, i);
      if (field->is_map()) {
        const FieldDescriptor* value = field->message_type()->FindFieldByNumber(2);
        if (value->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) CollectPayloads(entry->GetReflection()->MutableMessage(entry, value), found);
      } else {
        CollectPayloads(entry, found);
      }
    }
  }
}

void DamageJson(Json* json, Decisions* decisions) {
  Json* place = json;
  for (size_t depth = decisions->Below(8); depth > 0; --depth) {
    if (place->is_object() && !place->AsObject().empty()) {
      auto it = place->AsObject().begin();
      std::advance(it, static_cast<int64_t>(decisions->Below(place->AsObject().size())));
      place = &it->second;
    } else if (place->is_array() && !place->AsArray().empty()) {
      place = &place->AsArray()[decisions->Below(place->AsArray().size())];
    }
  }
  if (place->is_object() && decisions->OneIn(3) && !place->AsObject().empty()) {
    auto it = place->AsObject().begin();
    std::advance(it, static_cast<int64_t>(decisions->Below(place->AsObject().size())));
    place->AsObject().erase(it);
  } else if (place->is_int() && decisions->OneIn(2)) {
    *place = Json(place->AsInt() / 2 + decisions->Byte());
  } else {
    *place = AnyJson(decisions);
  }
}

// One number or text somewhere in the event.
void DamageField(Message* message, Decisions* decisions, int depth) {
  const auto* reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  if (fields.empty()) return;
  const FieldDescriptor* field = fields[decisions->Below(fields.size())];
  if (field->is_repeated()) return;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64: reflection->SetInt64(message, field, decisions->OneIn(8) ? INT64_MIN + decisions->Byte() : decisions->Byte()); return;
    case FieldDescriptor::CPPTYPE_INT32: reflection->SetInt32(message, field, decisions->OneIn(8) ? INT32_MAX : decisions->Byte()); return;
    case FieldDescriptor::CPPTYPE_ENUM: reflection->SetEnumValue(message, field, decisions->Byte() % 16); return;
    case FieldDescriptor::CPPTYPE_STRING:
      if (field->type() == FieldDescriptor::TYPE_STRING) reflection->SetString(message, field, std::string(decisions->Below(3), static_cast<char>('a' + decisions->Below(26))));
      return;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (depth > 0) DamageField(reflection->MutableMessage(message, field), decisions, depth - 1);
      return;
    default: return;
  }
}

}  // namespace

Json AnyJson(Decisions* decisions, int depth) {
  switch (decisions->Below(10)) {
    case 0: return Json();
    case 1: return Json(true);
    case 2: return Json(static_cast<int64_t>(decisions->Byte()) - 128);
    case 3: return Json(int64_t{INT64_MAX} - decisions->Byte());
    case 4: return Json(1.5 * decisions->Byte());
    case 5: return Json("x");
    case 6: return Json("${params.nothing}");
    case 7: return Json(int64_t{INT64_MIN});
    case 8: {
      Json array = Json::MakeArray();
      for (size_t i = decisions->Below(4); depth > 0 && i > 0; --i) array.Push(AnyJson(decisions, depth - 1));
      return array;
    }
    default: {
      const char* const names[] = {"status", "stepId", "n", "artifactRefs", "0", "params", "runSeq", "result"};
      Json object = Json::MakeObject();
      for (size_t i = decisions->Below(4); depth > 0 && i > 0; --i) object.Set(names[decisions->Below(std::size(names))], AnyJson(decisions, depth - 1));
      return object;
    }
  }
}

std::unique_ptr<PlanScript> RunFromBytes(std::span<const uint8_t> bytes) {
  Decisions decisions(bytes);
  size_t size = 0;
  const std::string plan = AnyPlan(&decisions, &size);
  PlanScriptOptions options;
  options.policy.continue_steps = static_cast<int64_t>(decisions.Below(4));
  auto run = std::make_unique<PlanScript>(plan, std::move(options));
  for (int move = 0; move < kMaxMoves && !run->closed() && !decisions.empty(); ++move) {
    if (!decisions.OneIn(4)) run->Quiet();
    if (!run->closed()) AnyMove(run.get(), &decisions, size);
  }
  if (!run->closed() && decisions.OneIn(2)) run->Quiet();
  return run;
}

void DamageHistory(History* history, Decisions* decisions) {
  for (size_t count = 1 + decisions->Below(6); count > 0 && history->events_size() > 0; --count) {
    const int position = static_cast<int>(decisions->Byte() * 256U + decisions->Byte()) % history->events_size();
    HistoryEvent* event = history->mutable_events(position);
    switch (decisions->Below(12)) {
      case 0: history->mutable_events()->DeleteSubrange(position, 1); break;
      case 1: *history->add_events() = HistoryEvent(*event); break;
      case 2: history->mutable_events()->SwapElements(position, static_cast<int>(decisions->Byte()) % history->events_size()); break;
      case 3: history->mutable_events()->DeleteSubrange(position, history->events_size() - position); break;
      case 4:
      case 5: DamageField(event, decisions, 4); break;
      default: {
        std::vector<workflow::Payload*> payloads;
        CollectPayloads(event, &payloads);
        if (payloads.empty()) break;
        workflow::Payload* payload = payloads[decisions->Below(payloads.size())];
        auto json = workflow::ReadJson(*payload);
        if (!json || decisions->OneIn(16)) {
          payload->set_data(std::string(decisions->Below(5), static_cast<char>(decisions->Byte())));
          break;
        }
        DamageJson(&*json, decisions);
        workflow::SetJson(*json, payload);
      }
    }
  }
  // Most damage is to what events say: their numbers stay in order, or the integrity check would end it all.
  if (decisions->OneIn(8)) return;
  for (int i = 0; i < history->events_size(); ++i) history->mutable_events(i)->set_event_id(i + 1);
}

}  // namespace lockstep::interpreter::testing
