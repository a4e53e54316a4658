// Truncated, bit-flipped, oversized, deeply nested, wrongly typed and empty input: one clear line each, never a crash.
#include "replay/history/compression.h"
#include "replay/history/history_testing.h"
#include "replay/history/integrity.h"
#include "replay/history/reader.h"
#include "replay/history/timeline.h"
#include "replay/history/writer.h"

namespace lockstep::history {
namespace {

// Every error is one line that starts with the file and tells expectation and finding.
void ExpectOneClearLine(const Error& error) {
  EXPECT_TRUE(error.code == "HISTORY_CORRUPT" || error.code == "FILE_TOO_LARGE") << error.code;
  EXPECT_TRUE(error.message.starts_with("bad.json: ")) << error.message;
  EXPECT_NE(error.message.find("expected "), std::string::npos) << error.message;
  EXPECT_NE(error.message.find("found"), std::string::npos) << error.message;
  EXPECT_EQ(error.message.find('\n'), std::string::npos) << error.message;
  for (const char c : error.message) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << error.message;
  EXPECT_LT(error.message.size(), 600U) << error.message;
}

// Either a clear error, or messages that all of the room can work with.
void ExpectErrorOrUsable(std::string_view bytes) {
  const auto loaded = ParseHistory(bytes, "bad.json");
  if (!loaded) return ExpectOneClearLine(loaded.error());
  CheckIntegrity(*loaded->history, loaded->info);
  RenderTimeline(*loaded);
  const auto again = ParseHistory(WriteJson(*loaded->history), "again");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(Difference(*again->history, *loaded->history), "");
}

std::vector<std::pair<std::string, std::string>> SmallFiles() {
  const std::string json = WriteJson(*Parsed(TestBytes("failed.pb")).history, {.indent = 0});
  return {{"json", json},
          {"protobuf", TestBytes("failed.pb")},
          {"json.gz", Compress(json, Compression::kGzip)},
          {"json.zst", Compress(json, Compression::kZstd)}};
}

TEST(BadInput, TruncatedAtEveryByte_IsAnError) {
  for (const auto& [form, bytes] : SmallFiles()) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      const std::string cut = bytes.substr(0, size);
      const auto loaded = ParseHistory(cut, "bad.json");
      // Protobuf has no end mark: a cut between two events is a shorter history.
      if (form == "protobuf" && loaded) continue;
      ASSERT_FALSE(loaded.has_value()) << form << " cut at " << size;
      ExpectOneClearLine(loaded.error());
    }
  }
}

TEST(BadInput, EveryFlippedBit_IsAnErrorOrAUsableHistory) {
  for (const auto& [form, bytes] : SmallFiles()) {
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string damaged = bytes;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      ExpectErrorOrUsable(damaged);
    }
  }
}

TEST(BadInput, EveryByteReplacedByNul_IsAnErrorOrAUsableHistory) {
  for (const auto& [form, bytes] : SmallFiles()) {
    for (size_t at = 0; at < bytes.size(); ++at) {
      std::string damaged = bytes;
      damaged[at] = '\0';
      ExpectErrorOrUsable(damaged);
    }
  }
}

TEST(BadInput, Empty_SaysSo) {
  EXPECT_EQ(Refused("").message, "bad.json: byte 0: expected a history, found an empty file");
  EXPECT_EQ(Refused(" \n\t").message, "bad.json: byte 0: expected a history, found only white space");
  EXPECT_EQ(Refused("\xEF\xBB\xBF").message, "bad.json: byte 0: expected a history, found an empty file");
  EXPECT_EQ(Refused(Compress("", Compression::kGzip)).message,
            "bad.json: byte 0: expected a history, found an empty file");
  EXPECT_EQ(Refused(Compress("", Compression::kZstd)).code, "HISTORY_CORRUPT");
}

TEST(BadInput, AnythingThatIsNoHistory_SaysWhatWasExpected) {
  EXPECT_EQ(Refused("{}").message, "bad.json: the top: expected a history with `events`, found an object without");
  EXPECT_EQ(Refused(R"({"planId":"p","steps":[]})").message,
            "bad.json: the top: expected a history with `events`, found an object without");
  EXPECT_EQ(Refused("null").message,
            "bad.json: the top: expected a history (an object, or an array of events), found null");
  EXPECT_EQ(Refused("\"x\"").message,
            "bad.json: the top: expected a history (an object, or an array of events), found \"x\"");
  EXPECT_EQ(Refused("12").message,
            "bad.json: the top: expected a history (an object, or an array of events), found 12");
  ExpectOneClearLine(Refused("this is no history"));
  ExpectOneClearLine(Refused("<html>"));
  ExpectOneClearLine(Refused(std::string("\0\0\0\0", 4)));
  ExpectOneClearLine(
      Refused("\x7F"
              "ELF\x02\x01\x01"));
  EXPECT_NE(Refused("\xFF\xFE{\0").message.find("found UTF-16"), std::string::npos);
  EXPECT_NE(
      Refused(Compress(Compress("{}", Compression::kGzip), Compression::kGzip)).message.find("compressed data again"),
      std::string::npos);
}

TEST(BadInput, Oversized_IsRefusedBeforeItIsParsed) {
  const ReadOptions small{.max_bytes = 1000};
  const std::string large = TestBytes("failed.cli.json");
  EXPECT_EQ(Refused(large, small).code, "FILE_TOO_LARGE");
  EXPECT_EQ(Refused(large, small).message,
            "bad.json: expected at most 1000 bytes, found " + std::to_string(large.size()));
  const std::string bomb = Compress(std::string(100'000, ' ') + "{}", Compression::kZstd);
  EXPECT_EQ(Refused(bomb, small).message, "bad.json: expected at most 1000 bytes after decompression, found more");
  const auto file = ReadHistory(TestData("failed.cli.json").string(), small);
  ASSERT_FALSE(file.has_value());
  EXPECT_EQ(file.error().code, "FILE_TOO_LARGE");
}

TEST(BadInput, AMissingFileOrAFolder_NamesIt) {
  const auto missing = ReadHistory("no/such/history.json");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, "FILE_NOT_FOUND");
  EXPECT_NE(missing.error().message.find("no/such/history.json"), std::string::npos);
  const auto folder = ReadHistory(TestData("").string());
  ASSERT_FALSE(folder.has_value());
  EXPECT_EQ(folder.error().code, "FILE_NOT_REGULAR");
}

std::string Nested(size_t levels, const std::string& open, const std::string& close) {
  std::string out, end;
  for (size_t i = 0; i < levels; ++i) {
    out += open;
    end += close;
  }
  return out + end;
}

TEST(BadInput, DeeplyNested_IsRefusedWhereverItIs) {
  const std::string cause = Nested(100'000, "{\"cause\":", "}");
  for (const std::string& text : {
           Nested(1'000'000, "{\"history\":", "}"),
           R"({"events":[{"unknown":)" + Nested(100'000, "[", "]") + "}]}",
           R"({"unknown":)" + Nested(100'000, "{\"a\":", "}") + "}",
           R"({"events":[{"workflowExecutionFailedEventAttributes":{"failure":)" + Nested(80, "{\"cause\":", "}") +
               "}}]}",
           R"({"events":[{"workflowExecutionSignaledEventAttributes":{"input":[)" + Nested(100'000, "[", "]") + "]}}]}",
       }) {
    const Error error = Refused(text);
    ExpectOneClearLine(error);
    EXPECT_NE(error.message.find("expected nesting of at most 64 levels"), std::string::npos) << error.message;
  }
  ExpectOneClearLine(Refused(std::string(1'000'000, '[')));
  History history;
  auto* failure = history.add_events()->mutable_workflow_execution_failed_event_attributes()->mutable_failure();
  for (int i = 0; i < 80; ++i) failure = failure->mutable_cause();
  EXPECT_NE(Refused(history.SerializeAsString()).message.find("expected nesting of at most 64 levels"),
            std::string::npos);
}

TEST(BadInput, NestingUpToTheLimit_IsRead) {
  History history;
  auto* failure = history.add_events()->mutable_workflow_execution_failed_event_attributes()->mutable_failure();
  for (int i = 0; i < 59; ++i) failure = failure->mutable_cause();
  const LoadedHistory binary = Parsed(history.SerializeAsString());
  EXPECT_EQ(Difference(*Parsed(WriteJson(*binary.history)).history, history), "");
  failure->mutable_cause();
  EXPECT_FALSE(ParseHistory(history.SerializeAsString(), "f").has_value());
  EXPECT_FALSE(ParseHistory(WriteJson(history), "f").has_value());
}

struct WrongType {
  std::string event;  // members of event 1
  std::string message;
};

TEST(BadInput, WronglyTyped_NamesPointerExpectationAndFinding) {
  const std::string timer = R"("timerStartedEventAttributes":)";
  const std::string signal = R"("workflowExecutionSignaledEventAttributes":)";
  const std::string long_text(100, 'x');
  const std::vector<WrongType> cases = {
      {R"("eventId":true)", "/events/1/eventId: expected a 64-bit integer (a number or a string), found true"},
      {R"("eventId":"12x")", "/events/1/eventId: expected a 64-bit integer (a number or a string), found \"12x\""},
      {R"("eventId":1.5)", "/events/1/eventId: expected a 64-bit integer (a number or a string), found 1.5"},
      {R"("eventId":"9223372036854775808")",
       "/events/1/eventId: expected a 64-bit integer (a number or a string), found \"9223372036854775808\""},
      {R"("eventId":[1])", "/events/1/eventId: expected a scalar, found an array"},
      {R"("eventId":{"low":"1"})", "/events/1/eventId/low: expected a 32-bit number, found \"1\""},
      {R"("eventTime":"yesterday")",
       "/events/1/eventTime: expected a time such as \"2024-01-31T12:00:00.5Z\", found \"yesterday\""},
      {R"("eventTime":17)", "/events/1/eventTime: expected a time such as \"2024-01-31T12:00:00.5Z\", found 17"},
      {R"("eventType":true)", "/events/1/eventType: expected the name or number of an enum value, found true"},
      {R"("eventType":{})", "/events/1/eventType: expected a scalar, found an object"},
      {R"("workerMayIgnore":"yes")", "/events/1/workerMayIgnore: expected true or false, found \"yes\""},
      {timer + "[]", "/events/1/timerStartedEventAttributes: expected an object, found an array"},
      {timer + "7", "/events/1/timerStartedEventAttributes: expected an object, found 7"},
      {timer + R"({"timerId":5})", "/events/1/timerStartedEventAttributes/timerId: expected a string, found 5"},
      {timer + R"({"startToFireTimeout":"abc"})",
       "/events/1/timerStartedEventAttributes/startToFireTimeout: expected a duration such as \"10s\" or \"0.250s\", "
       "found \"abc\""},
      {timer + R"({"startToFireTimeout":"1m"})",
       "/events/1/timerStartedEventAttributes/startToFireTimeout: expected a duration such as \"10s\" or \"0.250s\", "
       "found \"1m\""},
      {timer + R"({"timerId":"a","timerId":"b"})",
       "/events/1/timerStartedEventAttributes/timerId: expected each field once, found `timerId` again"},
      {timer + R"({"timerId":"a","timer_id":"b"})",
       "/events/1/timerStartedEventAttributes/timer_id: expected each field once, found `timerId` again"},
      {timer + R"({},"timerFiredEventAttributes":{})",
       "/events/1/timerFiredEventAttributes: expected at most one of `attributes`, found a second one"},
      {signal + R"({"input":"text"})",
       "/events/1/workflowExecutionSignaledEventAttributes/input: expected payloads (an object or an array), found "
       "\"text\""},
      {signal + R"({"input":{"payloads":{}}})",
       "/events/1/workflowExecutionSignaledEventAttributes/input/payloads: expected an array, found an object"},
      {signal + R"({"input":{"payloads":[{"metadata":{"encoding":"YQ=="},"data":"?"}]}})",
       "/events/1/workflowExecutionSignaledEventAttributes/input/payloads/0/data: expected base64, found \"?\""},
      {signal + R"({"input":{"payloads":[{"metadata":{"encoding":"!"},"data":"YQ=="}]}})",
       "/events/1/workflowExecutionSignaledEventAttributes/input/payloads/0/metadata/encoding: expected base64, found "
       "\"!\""},
      {signal + R"({"signalName":")" + long_text + R"(","signalName":1})",
       "/events/1/workflowExecutionSignaledEventAttributes/signalName: expected each field once, found `signalName` "
       "again"},
      {signal + R"({"header":{"fields":{"a/b":1,"a/b":2}}})",
       "/events/1/workflowExecutionSignaledEventAttributes/header/fields/a~1b: expected each key once, found `a/b` "
       "again"},
      {R"("links":{})", "/events/1/links: expected an array, found an object"},
      {R"("links":[null])", "/events/1/links/0: expected an object, found null"},
      {R"("taskId":")" + long_text + "\"",
       "/events/1/taskId: expected a 64-bit integer (a number or a string), found \"" + long_text.substr(0, 60) +
           "...\""},
  };
  for (const WrongType& c : cases) {
    const Error error = Refused(R"({"events":[{},{)" + c.event + "}]}");
    EXPECT_EQ(error.code, "HISTORY_CORRUPT");
    EXPECT_EQ(error.message, "bad.json: " + c.message);
    EXPECT_TRUE(error.Detail("pointer").starts_with("/events/1/")) << error.Detail("pointer");
    ExpectOneClearLine(error);
  }
  EXPECT_EQ(Refused(R"({"events":{}})").message, "bad.json: /events: expected an array of events, found an object");
  EXPECT_EQ(Refused(R"({"events":"x"})").message, "bad.json: /events: expected an array of events, found \"x\"");
  EXPECT_EQ(Refused(R"({"events":[{}, 3]})").message, "bad.json: /events/1: expected an event (an object), found 3");
  EXPECT_EQ(Refused(R"([null])").message, "bad.json: /0: expected an event (an object), found null");
  EXPECT_EQ(Refused(R"({"history":"x"})").message, "bad.json: /history: expected a history (an object), found \"x\"");
  EXPECT_EQ(Refused(R"({"rawHistory":[{"encodingType":"Json","data":"e30="}]})").message,
            "bad.json: /rawHistory/0/data: expected ENCODING_TYPE_PROTO3, found ENCODING_TYPE_JSON");
}

TEST(BadInput, BrokenJson_NamesByteLineAndPointer) {
  const Error comma = Refused("{\"events\": [\n  {\"eventId\": \"1\" \"eventType\": 1}\n]}");
  EXPECT_EQ(comma.message,
            "bad.json: byte 31 (line 2, column 19, in /events/0/eventId): expected `,` or `}` after a member, found "
            "\"\"eventType\":\"");
  EXPECT_EQ(comma.Detail("offset"), "31");
  const Error cut = Refused("{\"events\": [{\"eventId\": ");
  EXPECT_EQ(
      cut.message,
      "bad.json: byte 24 (line 1, column 25, in /events/0/eventId): expected a JSON value, found the end of the file "
      "(truncated)");
  EXPECT_NE(Refused(R"({"events":[]} trailing)").message.find("expected the end of the file, found \"trailing\""),
            std::string::npos);
  EXPECT_NE(Refused(std::string("{\"events\":[]}\0\0", 15)).message.find("expected the end of the file"),
            std::string::npos);
  ExpectOneClearLine(Refused("{\"events\":[{\"eventId\":\"\\ud800\"}]}"));
  ExpectOneClearLine(Refused("{\"events\":[{\"eventId\":\"\\udc00\"}]}"));
  ExpectOneClearLine(Refused("{\"events\":[{\"\xC3\x28\":1}]}"));
  ExpectOneClearLine(Refused("{\"events\":[{\"x\":\"\xED\xA0\x80\"}]}"));
  ExpectOneClearLine(Refused("{\"events\":[{\"x\":NaN}]}"));
  ExpectOneClearLine(Refused("{'events':[]}"));
  ExpectOneClearLine(Refused("{\"events\":[1e999999999]}"));
}

TEST(BadInput, BrokenProtobuf_NamesByteAndField) {
  History history;
  history.add_events()->set_event_id(1);
  auto* event = history.add_events();
  event->set_event_id(2);
  event->mutable_timer_fired_event_attributes()->set_timer_id("timer");
  std::string bytes = history.SerializeAsString();
  bytes[bytes.find("timer")] = '\xFF';
  EXPECT_EQ(Refused(bytes).message,
            "bad.json: byte 13 (/events/1/timerFiredEventAttributes/timerId): expected UTF-8, found other bytes");
  EXPECT_EQ(Refused(history.SerializeAsString().substr(0, 12)).Detail("pointer"), "/events/1");
  ExpectOneClearLine(Refused(std::string("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 12)));
  ExpectOneClearLine(Refused(std::string("\x0A\x02\x0F\x00", 4)));
}

TEST(BadInput, MillionsOfEmptyMessages_AreRefused) {
  std::string binary;
  for (int i = 0; i < 1'000'000; ++i) binary.append("\x0A\x00", 2);
  EXPECT_NE(Refused(binary).message.find("expected fewer messages"), std::string::npos);
  std::string json = "[{}";
  for (int i = 0; i < 1'000'000; ++i) json += ",{}";
  EXPECT_NE(Refused(json + "]").message.find("expected fewer messages"), std::string::npos);
}

}  // namespace
}  // namespace lockstep::history
