// The two readers of JSON beside each other: the fast one must not take, refuse or read anything differently. What it
// leaves to the other is read by the other in both cases, so only what it takes is put to the test, and good texts are
// checked to be taken.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "replay/history/decode_target.h"
#include "replay/history/history_testing.h"
#include "replay/history/json_handler.h"
#include "replay/history/json_tokens.h"
#include "replay/history/reader.h"
#include "replay/history/writer.h"

namespace lockstep::history {
namespace {

std::string Told(const Result<LoadedHistory>& loaded) {
  if (!loaded) return loaded.error().ToString();
  std::string told = WriteBinary(*loaded->history) + "\n" + loaded->info.workflow_id + " " + loaded->info.run_id + " " +
                     std::to_string(loaded->info.unknown_fields);
  for (const UnknownEvent& event : loaded->info.unknown_events) told += " " + std::to_string(event.event_id) + event.type;
  return told;
}

std::string Fast(const std::string& text) { return Told(ParseHistory(text, "x")); }
std::string Plain(const std::string& text) { return Told(ParseHistory(text, "x", {.plain_json = true})); }

// Whether the fast reader takes the text itself.
bool Taken(std::string text) {
  const std::string_view plain(text.data(), text.size());
  const size_t size = plain.size();
  text.append(kParsePadding, '\0');
  google::protobuf::Arena arena;
  HistoryInfo info;
  DecodeTarget target;
  target.arena = &arena;
  target.history = google::protobuf::Arena::CreateMessage<History>(&arena);
  target.info = &info;
  target.messages_left = DecodeTarget::MessageBudget(size);
  JsonHandler handler(&target);
  JsonTokens tokens;
  return tokens.Read({text.data(), size}, &handler);
}

std::string Event(const std::string& members) { return R"({"events":[{"eventId":"1",)" + members + "}]}"; }

TEST(JsonWays, RecordedFilesAreReadTheFastWayWithTheSameResult) {
  for (const std::string& name : RecordedHistories()) {
    if (!name.ends_with(".json")) continue;
    const std::string text = TestBytes(name);
    EXPECT_TRUE(Taken(text)) << name;
    EXPECT_EQ(Fast(text), Plain(text)) << name;
  }
}

TEST(JsonWays, EscapesInNamesAndTextsAreUndone) {
  const std::string text = Event(
      R"("event\u0054ime":"2024-01-02T03:04:05Z","workflowExecutionSignaledEventAttributes":)"
      R"({"signalName":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00","identity":"\u0000"})");
  EXPECT_TRUE(Taken(text));
  const auto loaded = Parsed(text);
  const auto& attributes = loaded.history->events(0).workflow_execution_signaled_event_attributes();
  EXPECT_EQ(attributes.signal_name(), "a\"\\/\b\f\n\r\t\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_EQ(attributes.identity(), std::string(1, '\0'));
  EXPECT_TRUE(loaded.history->events(0).has_event_time());
  EXPECT_EQ(Fast(text), Plain(text));
}

// Each is good or bad JSON of a kind that a list of tokens alone does not tell apart.
TEST(JsonWays, OddTextsAreJudgedAlike) {
  const std::vector<std::string> texts = {
      "", " ", "{", "}", "[", "]", "[]", "{}", "[,]", "{,}", "[1,]", R"({"events":[],})", R"({"events":[]}})",
      R"({"events":[]} )", R"({"events":[]} x)", R"({"events":[]}{"events":[]})", R"({"events":[] "a":1})",
      R"({"events" []})", R"({"events":[]:})", R"({events:[]})", R"({"events":[]"})", R"({"a":"b"c,"events":[]})",
      R"({"a":"b" "c","events":[]})", R"({"a":truefalse,"events":[]})", R"({"a":true false,"events":[]})",
      R"({"a":tru,"events":[]})", R"({"a":nulls,"events":[]})", R"({"a":01,"events":[]})", R"({"a":-,"events":[]})",
      R"({"a":+1,"events":[]})", R"({"a":.5,"events":[]})", R"({"a":1.,"events":[]})", R"({"a":1e,"events":[]})",
      R"({"a":1e+,"events":[]})", R"({"a":1e99,"events":[]})", R"({"a":1e999,"events":[]})", R"({"a":-0,"events":[]})",
      R"({"a":1E-5,"events":[]})", R"({"a":0x10,"events":[]})", R"({"a":1 2,"events":[]})", R"({"a":NaN,"events":[]})",
      R"({"a":-Infinity,"events":[]})", "{\"a\":1\x01,\"events\":[]}", "{\"a\":1\x0c,\"events\":[]}",
      "{\"a\":\"\x01\",\"events\":[]}", "{\"a\":\"\xff\",\"events\":[]}", "{\"a\":\"\xed\xa0\x80\",\"events\":[]}",
      R"({"a":"\ud800","events":[]})", R"({"a":"\udc00","events":[]})", R"({"a":"\ud800\u0041","events":[]})",
      R"({"a":"\uD83D\uDE0","events":[]})", R"({"a":"\x41","events":[]})", R"({"a":"\","events":[]})",
      R"({"\u0065vents":[]})", R"({"events":[],"events":[]})", std::string("{\"events\":[]}\0", 14),
      std::string("{\"events\":[]\0}", 14), "\"events\"", "1", "null", R"({"events":[null]})", R"({"events":[1]})",
      R"({"events":{"a":1}})", R"([{"eventId":"1"}])", R"([[{"eventId":"1"}]])", "/**/{\"events\":[]}",
      "{\"a\":" + std::string(400, '1') + ",\"events\":[]}", "{\"a\":1." + std::string(400, '1') + ",\"events\":[]}",
      "{\"a\":" + std::string(70, '[') + std::string(70, ']') + ",\"events\":[]}",
      std::string(200, '[') + std::string(200, ']'), std::string(1000, ' ') + "{\"events\":[]}" + std::string(1000, '\n')};
  for (const std::string& text : texts) EXPECT_EQ(Fast(text), Plain(text)) << text;
}

TEST(JsonWays, DamagedHistoriesAreJudgedAlike) {
  const std::vector<std::string> seeds = {TestBytes("failed.cli.json"), TestBytes("executed.shorthand.json"),
                                          Event(R"("a":[{"b":"\u00e9\n"},-1.5e3,true,null],"eventType":"TimerFired")")};
  EXPECT_TRUE(rc::check("a damaged text is judged alike by both readers", [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    std::string text = seeds[below(seeds.size())];
    constexpr std::string_view kPieces = "{}[]:,\"\\ \n0-1.eE+tfnu\x01\xC3\xA9\xED";
    for (size_t edits = 1 + below(3); edits > 0 && !text.empty(); --edits) {
      const size_t at = below(text.size());
      switch (below(4)) {
        case 0:
          text.erase(at, 1 + below(8));
          break;
        case 1:
          text.insert(at, 1, kPieces[below(kPieces.size())]);
          break;
        case 2:
          text[at] = kPieces[below(kPieces.size())];
          break;
        default:
          text.resize(at);
      }
    }
    RC_ASSERT(Fast(text) == Plain(text));
  }));
}

}  // namespace
}  // namespace lockstep::history
