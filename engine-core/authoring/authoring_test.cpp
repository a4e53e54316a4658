// What users write workflows with: values as payloads, typed calls, classes, and concurrency, each driven by a scripted server.
#include "engine-core/authoring/lockstep.h"

#include <gmock/gmock.h>
#include <google/protobuf/duration.pb.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/failure/v1/message.pb.h>

#include "engine-core/workflow/testing/expect.h"

struct Item {
  std::string name;
  int32_t count = 1;
  std::optional<std::string> note;
  std::vector<double> weights;
  std::map<std::string, bool> flags;
};
LOCKSTEP_JSON(Item, name, count, note, weights, flags)

struct Box {
  std::vector<Item> items;
};
LOCKSTEP_JSON(Box, items)

namespace lockstep::workflow::testing {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// --- payloads ------------------------------------------------------------------------------------------------------------

TEST(Payloads, Structs_TravelAsCanonicalJson_UnderTheirMembersNames) {
  const Item item{.name = "tea", .count = 2, .weights = {1.5}, .flags = {{"hot", true}}};
  const Payload payload = Encode(Box{{item}});
  EXPECT_EQ(payload.metadata().at("encoding"), "json/plain");
  EXPECT_EQ(payload.data(), R"({"items":[{"count":2,"flags":{"hot":true},"name":"tea","weights":[1.5]}]})");
  const auto box = Decode<Box>(payload);
  ASSERT_TRUE(box);
  EXPECT_EQ(box->items[0].name, "tea");
  EXPECT_EQ(box->items[0].note, std::nullopt);
  EXPECT_TRUE(box->items[0].flags.at("hot"));
}

TEST(Payloads, WhatDoesNotFit_IsNamedByItsPlace) {
  const auto read = [](std::string_view text) {
    Payload payload;
    SetJson(ParseJson(text).value(), &payload);
    const auto box = Decode<Box>(payload);
    return box ? std::string("fits") : box.error().code + " " + box.error().message;
  };
  EXPECT_EQ(read(R"({"items":[]})"), "fits");
  EXPECT_EQ(read(R"({"items":[],"newer":1})"), "fits");
  EXPECT_EQ(read("{}"), "PAYLOAD_UNREADABLE /items: expected a value, found nothing");
  EXPECT_EQ(read("[]"), "PAYLOAD_UNREADABLE expected object, found array");
  EXPECT_THAT(read(R"({"items":[{"name":"a","count":"x","weights":[],"flags":{}}]})"), HasSubstr("/items/0/count: expected integer, found string"));
  EXPECT_THAT(read(R"({"items":[{"name":"a","count":5000000000,"weights":[],"flags":{}}]})"), HasSubstr("integer of 4 bytes, found 5000000000"));
  EXPECT_THAT(read(R"({"items":[{"name":"a","count":1,"weights":[],"flags":{"a/b":1}}]})"), HasSubstr("/items/0/flags/a~1b: expected boolean"));
}

TEST(Payloads, ProtobufMessages_TravelAsJsonProtobuf_AndAreReadInThreeForms) {
  google::protobuf::Duration duration;
  duration.set_seconds(3);
  const Payload payload = Encode(duration);
  EXPECT_EQ(payload.metadata().at("encoding"), "json/protobuf");
  EXPECT_EQ(payload.metadata().at("messageType"), "google.protobuf.Duration");
  EXPECT_EQ(payload.data(), "\"3s\"");
  EXPECT_EQ(Decode<google::protobuf::Duration>(payload)->seconds(), 3);
  Payload binary;
  (*binary.mutable_metadata())["encoding"] = "binary/protobuf";
  binary.set_data(duration.SerializeAsString());
  EXPECT_EQ(Decode<google::protobuf::Duration>(binary)->seconds(), 3);
  EXPECT_EQ(Decode<google::protobuf::Duration>(Encode(std::string("3s")))->seconds(), 3);
  (*binary.mutable_metadata())["messageType"] = "another.Type";
  EXPECT_THAT(Decode<google::protobuf::Duration>(binary).error().message, HasSubstr("another.Type"));
}

TEST(Payloads, ArgumentLists_MayBeShorterWhereTheParameterIsOptional_AndLonger) {
  const auto both = DecodeAll<int64_t, std::optional<std::string>>(EncodeAll(int64_t{1}, std::string("x"), true));
  ASSERT_TRUE(both);
  EXPECT_EQ(std::get<1>(*both), "x");
  EXPECT_TRUE((DecodeAll<int64_t, std::optional<std::string>>(EncodeAll(int64_t{1}))));
  EXPECT_THAT((DecodeAll<int64_t, int64_t>(EncodeAll(int64_t{1})).error().message), HasSubstr("argument 2"));
  EXPECT_THAT((DecodeAll<int64_t>(EncodeAll(true)).error().message), HasSubstr("argument 1: expected integer, found boolean"));
}

// --- classes ---------------------------------------------------------------------------------------------------------------

const Activity<std::string(std::string, int64_t)> kCompose{"compose", {.activity_id = "compose", .start_to_close_ms = 1'000}};
const ChildOf<int64_t(std::string)> kCount{"count"};

class Shop {
 public:
  Task<Outcome<std::string>> Run(std::string name, std::optional<int64_t> times) {
    const auto text = co_await kCompose(name, times.value_or(1));
    if (!text) co_return text.failed();
    co_await wait_until([this] { return closed_ && all_handlers_finished(); });
    co_return *text + " " + std::to_string(stock_);
  }
  void Close() { closed_ = true; }
  Task<void> Restock(int64_t count) {
    co_await sleep(1'000);
    stock_ += count;
  }
  int64_t Stock() const { return stock_; }
  Status CheckTake(int64_t count) const { return count > 0 ? Status() : Fail("BAD_COUNT", "nothing to take"); }
  Outcome<int64_t> Take(int64_t count) {
    if (count > stock_) return Error("SOLD_OUT", "too few");
    return stock_ -= count;
  }

 private:
  bool closed_ = false;
  int64_t stock_ = 10;
};
LOCKSTEP_REGISTER_WORKFLOW(Shop, "test", Signal("close", &Shop::Close), Signal("restock", &Shop::Restock), Query("stock", &Shop::Stock),
                           Update("take", &Shop::Take, &Shop::CheckTake), CommonCore())

int64_t Length(std::string text) { return static_cast<int64_t>(text.size()); }
Result<std::string> Whoami(activity::ActivityContext& context) { return context.info().activity_type; }
LOCKSTEP_REGISTER_ACTIVITY("length", Length)
LOCKSTEP_REGISTER_ACTIVITY("whoami", Whoami)

WorkflowRegistry Linked() {
  WorkflowRegistry workflows;
  activity::ActivityRegistry activities;
  RegisterLinkedWorkflows(&workflows, &activities);
  return workflows;
}

TEST(Classes, HandlersAreInPlaceBeforeTheFirstMessage_AndShareTheObject) {
  const WorkflowRegistry registry = Linked();
  ScriptOptions options;
  options.input = EncodeAll(std::string("tea"), int64_t{2});
  HistoryScript script(registry, options);
  script.Signal("restock", EncodeAll(int64_t{5}));
  script.Update("u1", "take", Json(3));
  script.Update("u2", "take", Json(0));
  script.Update("u3", "take", Json(100));
  script.Update("u4", "take", Json("three"));
  script.RunTask();
  EXPECT_THAT(script.rejected_updates(), ElementsAre(std::pair("u2", "BAD_COUNT"), std::pair("u4", "PAYLOAD_UNREADABLE")));
  EXPECT_EQ(script.execution().Query("stock", {}).value()->payloads(0).data(), "7");
  script.FireTimer("1");
  script.CompleteActivity("compose", Json("tea tea"));
  script.Signal("close", Payloads());
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"tea tea 12\"");
  ExpectReplays(registry, script.history());
}

TEST(Classes, FailureOfACall_EndsTheRunWithItsWholeChain) {
  const WorkflowRegistry registry = Linked();
  ScriptOptions options;
  options.input = EncodeAll(std::string("tea"));
  HistoryScript script(registry, options);
  script.RunTask();
  script.FailActivity("compose", Error("BROKEN", "no ink"));
  script.RunTask();
  const HistoryEvent* event = FindEvent(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_FAILED);
  ASSERT_NE(event, nullptr);
  const auto& failure = event->workflow_execution_failed_event_attributes().failure();
  EXPECT_EQ(failure.activity_failure_info().activity_type().name(), "compose");
  EXPECT_EQ(failure.cause().application_failure_info().type(), "BROKEN");
  ExpectReplays(registry, script.history());
}

TEST(Classes, UnreadableInput_FailsTheRun_AndAnUnreadableSignalIsDropped) {
  const WorkflowRegistry registry = Linked();
  HistoryScript bad(registry, {});
  bad.RunTask();
  EXPECT_NE(FindEvent(bad.history(), EVENT_TYPE_WORKFLOW_EXECUTION_FAILED), nullptr);
  ScriptOptions options;
  options.input = EncodeAll(std::string("tea"));
  std::string warned;
  options.execution.log = [&warned](LogLevel, std::string_view message) { warned = message; };
  HistoryScript script(registry, options);
  script.RunTask();
  script.Signal("restock", EncodeAll(std::string("many")));
  script.RunTask();
  EXPECT_THAT(warned, HasSubstr("signal restock dropped"));
  EXPECT_TRUE(script.broken().empty());
}

TEST(Classes, CancelledWorkflow_EndsAsCancelled) {
  const WorkflowRegistry registry = Linked();
  ScriptOptions options;
  options.input = EncodeAll(std::string("tea"));
  HistoryScript script(registry, options);
  script.RunTask();
  script.RequestCancel();
  script.RunTask();
  EXPECT_NE(FindEvent(script.history(), EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED), nullptr);
  ExpectReplays(registry, script.history());
}

TEST(Classes, TypedCall_KeepsTheUsersLine) {
  const uint32_t line = __LINE__ + 2;
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    const auto call = kCompose("a", 1);
    co_await wait_until([] { return false; });
    co_return completed(Json());
  });
  HistoryScript script(registry, {});
  script.RunTask();
  const WorkflowRegistry nothing = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> { co_return completed(Json()); });
  HistoryScript empty(nothing, {});
  empty.RunTask();
  History history = empty.history();
  const auto divergences = Replay(registry, history).divergences;
  bool found = false;
  for (const Divergence& divergence : divergences) found = found || (divergence.where.line == line && divergence.kind == DivergenceKind::kSurplusCommand);
  EXPECT_TRUE(found);
}

// --- concurrency -----------------------------------------------------------------------------------------------------------

TEST(Concurrency, AllOf_GivesValuesInTheOrderOfTheArguments_AndFirstOfTheIndex) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    auto slow = timer(2'000);
    auto quick = timer(1'000);
    const size_t first = co_await first_of(slow, quick);
    const auto work = start([]() -> Task<int> {
      co_await sleep(500);
      co_return 7;
    }());
    const auto [a, b, c] = co_await all_of(slow, quick, work);
    co_return completed(Json(std::to_string(first) + (a ? " a" : "") + (b ? " b" : "") + " " + std::to_string(c)));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  script.FireTimer("2");
  script.RunTask();
  script.FireTimer("3");
  script.RunTask();
  script.FireTimer("1");
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"1 a b 7\"");
  ExpectReplays(registry, script.history());
}

TEST(Concurrency, Async_ThrowsCancelledWhereItIsAwaited) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    CancelScope scope;
    const auto sleeper = start(scope.run(sleep(60'000)));
    co_await yield();
    scope.cancel();
    try {
      co_await sleeper;
    } catch (const Cancelled&) {
      co_return completed(Json("cancelled"));
    }
    co_return completed(Json("slept"));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"cancelled\"");
}

TEST(Concurrency, Mutex_IsHandedOverInTheOrderOfAsking_AlsoPastOneThatGaveUp) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    Mutex mutex;
    std::string order;
    CancelScope impatient;
    const auto hold = [](Mutex& mutex, std::string& order, std::string name) -> Task<void> {
      const auto lock = co_await mutex.lock();
      order += name;
      co_await sleep(1'000);
    };
    const auto a = start(hold(mutex, order, "a"));
    const auto b = start(impatient.run(hold(mutex, order, "b")));
    const auto c = start(hold(mutex, order, "c"));
    const auto d = start(hold(mutex, order, "d"));
    co_await yield();
    EXPECT_FALSE(mutex.try_lock());
    impatient.cancel();
    co_await all_of(a, c, d);
    EXPECT_TRUE(mutex.try_lock());
    co_return completed(Json(order));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  for (const char* timer : {"1", "2", "3"}) {
    script.FireTimer(timer);
    script.RunTask();
  }
  EXPECT_EQ(ResultOf(script.history()), "\"acd\"");
  ExpectReplays(registry, script.history());
}

TEST(Concurrency, Channel_BlocksSendersWhenFull_AndReceiversWhenEmpty_AndEndsWhenClosed) {
  const WorkflowRegistry registry = OneWorkflow([](const Payloads&) -> Task<WorkflowResult> {
    Channel<int> channel(2);
    std::string got;
    const auto producer = start([](Channel<int> channel) -> Task<int> {
      int sent = 0;
      for (int i = 1; i <= 5; ++i) {
        if (co_await channel.send(i)) ++sent;
      }
      channel.close();
      co_return sent;
    }(channel));
    co_await yield();
    EXPECT_EQ(channel.size(), 2u);
    EXPECT_FALSE(channel.try_send(9));
    while (const auto value = co_await channel.receive()) got += std::to_string(*value);
    EXPECT_FALSE(co_await channel.send(6));
    EXPECT_EQ(channel.try_receive(), std::nullopt);
    co_return completed(Json(got + "/" + std::to_string(co_await producer)));
  });
  HistoryScript script(registry, {});
  script.RunTask();
  EXPECT_EQ(ResultOf(script.history()), "\"12345/5\"");
  ExpectReplays(registry, script.history());
}

}  // namespace
}  // namespace lockstep::workflow::testing
