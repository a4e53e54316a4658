#include "replay/history/reader.h"

#include <unistd.h>

#include <fstream>
#include <thread>

#include "engine-core/base/base64.h"
#include "engine-core/base/json.h"
#include "replay/history/codec_tables.h"
#include "replay/history/compression.h"
#include "replay/history/history_testing.h"
#include "replay/history/integrity.h"
#include "replay/history/writer.h"

namespace lockstep::history {
namespace {

namespace api = temporal::api;
using namespace temporal::api::enums::v1;  // NOLINT: event types by their name

TEST(ReadHistory, ReadsEveryRecordedFile) {
  for (const std::string& name : RecordedHistories()) {
    const auto loaded = ReadHistory(TestData(name).string());
    ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
    EXPECT_GT(loaded->history->events_size(), 3) << name;
    EXPECT_EQ(loaded->info.unknown_fields, 0U) << name;
    EXPECT_TRUE(loaded->info.unknown_events.empty()) << name;
    EXPECT_FALSE(loaded->info.workflow_id.empty()) << name;
    EXPECT_EQ(loaded->info.format, name.ends_with(".pb") ? Format::kProtobuf : Format::kJson) << name;
  }
}

// spec 04 RT1
TEST(ReadHistory, JsonOfEveryToolAndProtobufDecodeToTheSameMessages) {
  for (const std::string run : {"everything", "failed"}) {
    const auto binary = ReadHistory(TestData(run + ".pb").string());
    ASSERT_TRUE(binary.has_value());
    for (const std::string form : {".cli.json", ".cli.jsonl", ".python.json"}) {
      const auto json = ReadHistory(TestData(run + form).string());
      ASSERT_TRUE(json.has_value()) << json.error().ToString();
      EXPECT_EQ(Difference(*json->history, *binary->history), "") << run << form;
      EXPECT_EQ(WriteBinary(*json->history), WriteBinary(*binary->history)) << run << form;
    }
  }
}

TEST(ReadHistory, ProtobufAgreesWithTheMessagesTheSdkSerialized) {
  const std::string bytes = TestBytes("everything.pb");
  History expected;
  ASSERT_TRUE(expected.ParseFromString(bytes));
  EXPECT_EQ(Difference(*Parsed(bytes).history, expected), "");
}

TEST(ReadHistory, ReadsFilesCompressedAndNamesWhatItFound) {
  const auto folder = TemporaryDirectory::Create();
  ASSERT_TRUE(folder.has_value());
  const std::string path = (folder->path() / "history").string();
  const std::string plain = TestBytes("failed.cli.json");
  for (const Compression compression : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    const std::string bytes = Compress(plain, compression);
    ASSERT_TRUE(WriteFileAtomically(path, bytes).has_value());
    const auto loaded = ReadHistory(path);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
    EXPECT_EQ(loaded->info.compression, compression);
    EXPECT_EQ(loaded->info.bytes, bytes.size());
    EXPECT_EQ(loaded->info.uncompressed_bytes, plain.size());
    EXPECT_EQ(loaded->info.path, path);
    EXPECT_EQ(loaded->history->events_size(), 5);
  }
}

TEST(ReadHistory, ReadsStandardInput) {
  const int saved = ::dup(STDIN_FILENO);
  FILE* file = std::fopen(TestData("failed.cli.json").c_str(), "r");
  ASSERT_NE(file, nullptr);
  ::dup2(::fileno(file), STDIN_FILENO);
  const auto loaded = ReadHistory("-");
  ::dup2(saved, STDIN_FILENO);
  ::close(saved);
  std::fclose(file);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_EQ(loaded->history->events_size(), 5);
  EXPECT_EQ(loaded->info.path, "-");
}

TEST(ParseHistory, TakesEveryShapeOfTheDocument) {
  const std::string event = R"({"eventId":"1","eventType":"EVENT_TYPE_TIMER_FIRED"})";
  const std::string other = R"({"eventId":2,"eventType":"TimerFired"})";
  for (const std::string& text : {
           R"({"events":[)" + event + "," + other + "]}",
           R"({"history":{"events":[)" + event + "," + other + "]}}",
           R"({"history":[)" + event + "," + other + "]}",
           R"({"workflowExecution":{"workflowId":"w","runId":"r"},"events":[)" + event + "," + other +
               R"(],"more":{"a":[1]}})",
           "[" + event + "," + other + "]",
           "\xEF\xBB\xBF[" + event + "," + other + "]",
           "\n \t[" + event + "," + other + "] \n",
           "\n{\n\"events\":[" + event + "," + other + "]}",
           event + "\n" + other + "\n",
           R"({"events":[)" + event + R"(]}{"events":[)" + other + "]}",
           R"({"history":{"events":[)" + event + "," + other +
               R"(]},"rawHistory":[],"nextPageToken":"","archived":false})",
       }) {
    const LoadedHistory loaded = Parsed(text);
    ASSERT_EQ(loaded.history->events_size(), 2) << text;
    EXPECT_EQ(loaded.history->events(1).event_id(), 2) << text;
    EXPECT_EQ(loaded.history->events(1).event_type(), EVENT_TYPE_TIMER_FIRED) << text;
  }
}

TEST(ParseHistory, TellsIdsFromAroundTheEventsElseFromTheFirst) {
  EXPECT_EQ(Parsed(R"({"workflowExecution":{"workflowId":"w","runId":"r"},"events":[]})").info.workflow_id, "w");
  EXPECT_EQ(Parsed(R"({"workflow_id":"w","run_id":"r","history":{"events":[]}})").info.run_id, "r");
  const auto recorded = ReadHistory(TestData("executed.plain.json").string());
  ASSERT_TRUE(recorded.has_value());
  EXPECT_EQ(recorded->info.workflow_id, "executed.plain");
  EXPECT_EQ(ParsedEvent(R"("eventType":1,"workflowExecutionStartedEventAttributes":{"workflowId":"from event"})")
                .info.workflow_id,
            "from event");
}

TEST(ParseHistory, ReadsRawHistoryOfAResponse) {
  const std::string binary = TestBytes("failed.pb");
  const LoadedHistory loaded = Parsed(R"({"rawHistory":[{"encodingType":"ENCODING_TYPE_PROTO3","data":")" +
                                      Base64Encode(binary) + R"("}],"history":null})");
  EXPECT_EQ(WriteBinary(*loaded.history), WriteBinary(*Parsed(binary).history));
}

TEST(ParseHistory, ReadsAResponseInProtobuf) {
  const std::string binary = TestBytes("failed.pb");
  // History as field 1, then a page token; raw history as field 2 with data as field 2 of a blob.
  const auto field = [](char tag, const std::string& content) {
    std::string out(1, tag);
    for (size_t size = content.size();; size >>= 7) {
      if (size < 0x80) return out.append(1, static_cast<char>(size)) + content;
      out.push_back(static_cast<char>((size & 0x7F) | 0x80));
    }
  };
  const std::string expected = WriteBinary(*Parsed(binary).history);
  EXPECT_EQ(WriteBinary(*Parsed(field('\x0A', binary) + field('\x1A', "token")).history), expected);
  EXPECT_EQ(WriteBinary(*Parsed(field('\x12', "\x08\x01" + field('\x12', binary))).history), expected);
}

TEST(ParseHistory, ProtobufThatStartsLikeJsonIsProtobuf) {
  for (const size_t length : {0x5BU, 0x7BU, 0x22U, 0x20U}) {
    History history;
    auto* event = history.add_events();
    event->set_event_id(1);
    event->mutable_timer_fired_event_attributes()->set_timer_id("");
    while (event->ByteSizeLong() < length)
      event->mutable_timer_fired_event_attributes()->mutable_timer_id()->push_back('x');
    ASSERT_EQ(event->ByteSizeLong(), length);
    EXPECT_EQ(Difference(*Parsed(history.SerializeAsString()).history, history), "");
  }
}

TEST(ParseHistory, TakesNamesInBothSpellings) {
  const LoadedHistory camel = ParsedEvent(R"("eventType":"TimerStarted","timerStartedEventAttributes":{"timerId":"t",)"
                                          R"("startToFireTimeout":"1s","workflowTaskCompletedEventId":"4"})");
  const LoadedHistory snake = Parsed(R"({"events":[{"event_id":1,"event_time":"2024-01-02T03:04:05Z",)"
                                     R"("event_type":"TimerStarted","timer_started_event_attributes":{"timer_id":"t",)"
                                     R"("start_to_fire_timeout":"1s","workflow_task_completed_event_id":4}}]})");
  EXPECT_EQ(Difference(*camel.history, *snake.history), "");
}

TEST(ParseHistory, TakesEveryEnumOfAHistoryInEverySpelling) {
  // One enum field of each type, found through the tables, at its place in an event.
  int enums = 0;
  for (const FieldEntry& attributes : EventTable().fields) {
    if (attributes.message == nullptr) continue;
    for (const FieldEntry& field : attributes.message->fields) {
      if (field.kind != ValueKind::kEnum || field.container != Container::kSingular) continue;
      const auto* type = field.field->enum_type();
      ++enums;
      for (int i = 0; i < type->value_count(); ++i) {
        const int number = type->value(i)->number();
        const std::string screaming(field.enumeration->ScreamingName(number)),
            camel(field.enumeration->CamelName(number));
        for (const std::string& spelling : {'"' + screaming + '"', '"' + camel + '"', std::to_string(number)}) {
          const LoadedHistory loaded =
              ParsedEvent('"' + attributes.json_name + R"(":{")" + field.json_name + "\":" + spelling + "}");
          const auto& event = loaded.history->events(0);
          const auto& message = event.GetReflection()->GetMessage(event, attributes.field);
          EXPECT_EQ(message.GetReflection()->GetEnumValue(message, field.field), number) << field.json_name << spelling;
          EXPECT_EQ(loaded.info.unknown_fields, 0U) << spelling;
        }
      }
    }
  }
  EXPECT_GT(enums, 15);
}

TEST(ParseHistory, StripsTheEnumsPrefix) {
  const LoadedHistory loaded =
      ParsedEvent(R"("eventType":"WorkflowExecutionStarted",)"
                  R"("workflowExecutionStartedEventAttributes":{"taskQueue":{"kind":"Normal"},)"
                  R"("initiator":"CronSchedule",)"
                  R"("continuedFailure":{"activityFailureInfo":{"retryState":"MaximumAttemptsReached"}}})");
  const auto& started = loaded.history->events(0).workflow_execution_started_event_attributes();
  EXPECT_EQ(started.task_queue().kind(), TASK_QUEUE_KIND_NORMAL);
  EXPECT_EQ(started.initiator(), CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE);
  EXPECT_EQ(started.continued_failure().activity_failure_info().retry_state(), RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED);
}

TEST(ParseHistory, TakesNumbersAsNumbersStringsAndLongs) {
  for (const std::string value :
       {"\"9007199254740993\"", "9007199254740993", R"({"low":1,"high":2097152,"unsigned":false})"}) {
    EXPECT_EQ(ParsedEvent("\"taskId\":" + value).history->events(0).task_id(), 9007199254740993) << value;
  }
  EXPECT_EQ(ParsedEvent(R"("taskId":"-9223372036854775808")").history->events(0).task_id(), INT64_MIN);
  EXPECT_EQ(ParsedEvent(R"("taskId":{"low":-1,"high":-1,"unsigned":false})").history->events(0).task_id(), -1);
  EXPECT_EQ(ParsedEvent(R"("taskId":12.0)").history->events(0).task_id(), 12);
  EXPECT_EQ(ParsedEvent(R"("taskId":1.2e3)").history->events(0).task_id(), 1200);
}

TEST(ParseHistory, TakesDurationsAndTimesAsTextsAndObjects) {
  const auto timeout = [](const std::string& value) {
    const auto loaded = ParsedEvent(R"("timerStartedEventAttributes":{"startToFireTimeout":)" + value + "}");
    const auto& duration = loaded.history->events(0).timer_started_event_attributes().start_to_fire_timeout();
    return std::pair<int64_t, int32_t>(duration.seconds(), duration.nanos());
  };
  using Pair = std::pair<int64_t, int32_t>;
  EXPECT_EQ(timeout("\"10s\""), Pair(10, 0));
  EXPECT_EQ(timeout("\"0.250s\""), Pair(0, 250'000'000));
  EXPECT_EQ(timeout("\"1.000000001s\""), Pair(1, 1));
  EXPECT_EQ(timeout("\"-0.5s\""), Pair(0, -500'000'000));
  EXPECT_EQ(timeout(R"({"seconds":"3","nanos":7})"), Pair(3, 7));
  EXPECT_EQ(timeout(R"({"seconds":3})"), Pair(3, 0));
  EXPECT_EQ(timeout(R"({"seconds":{"low":5,"high":0,"unsigned":false},"nanos":0})"), Pair(5, 0));
  const auto time = [](const std::string& value) {
    const auto loaded = Parsed(R"({"events":[{"eventTime":)" + value + "}]}");
    return std::pair<int64_t, int32_t>(loaded.history->events(0).event_time().seconds(),
                                       loaded.history->events(0).event_time().nanos());
  };
  EXPECT_EQ(time("\"1970-01-01T00:00:01.000000002Z\""), Pair(1, 2));
  EXPECT_EQ(time("\"1970-01-01T01:00:01+01:00\""), Pair(1, 0));
  EXPECT_EQ(time(R"({"seconds":"1700000000","nanos":5})"), Pair(1'700'000'000, 5));
}

TEST(ParseHistory, NullIsAbsent) {
  const LoadedHistory loaded =
      ParsedEvent(R"("eventType":"TimerStarted","userMetadata":null,"links":null,"taskId":null,)"
                  R"("workflowExecutionStartedEventAttributes":null,)"
                  R"("timerStartedEventAttributes":{"timerId":null,"startToFireTimeout":null})");
  EXPECT_FALSE(loaded.history->events(0).has_user_metadata());
  EXPECT_TRUE(loaded.history->events(0).has_timer_started_event_attributes());
  EXPECT_FALSE(loaded.history->events(0).timer_started_event_attributes().has_start_to_fire_timeout());
}

std::string Encoding(const api::common::v1::Payload& payload) { return payload.metadata().at("encoding"); }

api::common::v1::Payloads Input(const std::string& json) {
  return ParsedEvent(R"("eventType":"WorkflowExecutionSignaled","workflowExecutionSignaledEventAttributes":{"input":)" +
                     json + "}")
      .history->events(0)
      .workflow_execution_signaled_event_attributes()
      .input();
}

TEST(ParseHistory, TakesBytesInBothAlphabetsPaddedOrNotAndAsJavaScriptPrintsThem) {
  const std::string bytes("\xFB\xFF\xFE", 3);
  for (const std::string value : {"\"+//+\"", "\"-__-\"", "[251,255,254]", R"({"type":"Buffer","data":[251,255,254]})",
                                  R"({"0":251,"1":255,"2":254})"}) {
    EXPECT_EQ(Input(R"({"payloads":[{"metadata":{"encoding":"YQ"},"data":)" + value + "}]}").payloads(0).data(), bytes)
        << value;
  }
  EXPECT_EQ(Input(R"({"payloads":[{"metadata":{"encoding":"YQ=="},"data":"YQ"}]})").payloads(0).data(), "a");
}

TEST(ParseHistory, ReadsShorthandPayloadsAsPlainJson) {
  const auto payloads = Input(R"([ {"a" : [1, 2.50, 1e2], "b":"\u00fc\n"}, null, "text", true, {}, {"data":"aGk="},)"
                              R"( {"metadata":{"size":3},"data":1} ])");
  ASSERT_EQ(payloads.payloads_size(), 7);
  EXPECT_EQ(payloads.payloads(0).data(), "{\"a\":[1,2.50,1e2],\"b\":\"ü\\n\"}");
  EXPECT_EQ(Encoding(payloads.payloads(0)), "json/plain");
  EXPECT_EQ(Encoding(payloads.payloads(1)), "binary/null");
  EXPECT_EQ(payloads.payloads(1).data(), "");
  EXPECT_EQ(payloads.payloads(2).data(), "\"text\"");
  EXPECT_EQ(payloads.payloads(3).data(), "true");
  EXPECT_EQ(payloads.payloads(4).data(), "{}");
  EXPECT_EQ(payloads.payloads(5).data(), R"({"data":"aGk="})");
  EXPECT_EQ(payloads.payloads(6).data(), R"({"metadata":{"size":3},"data":1})");
}

TEST(ParseHistory, ReadsShorthandOfProtobufMessages) {
  const auto payload = Input(R"([{"value":1,"_protoMessageType":"some.Message","x":[]}])").payloads(0);
  EXPECT_EQ(Encoding(payload), "json/protobuf");
  EXPECT_EQ(payload.metadata().at("messageType"), "some.Message");
  EXPECT_EQ(payload.data(), R"({"value":1,"x":[]})");
}

TEST(ParseHistory, TakesRealPayloadsInAShorthandListAndDecodedOnesInAPlainList) {
  const auto mixed = Input(
      R"([{"metadata":{"encoding":"YmluYXJ5L3BsYWlu"},"data":"aGk="},{"metadata":{"encoding":"YmluYXJ5L251bGw="}},7])");
  EXPECT_EQ(Encoding(mixed.payloads(0)), "binary/plain");
  EXPECT_EQ(mixed.payloads(0).data(), "hi");
  EXPECT_EQ(Encoding(mixed.payloads(1)), "binary/null");
  EXPECT_EQ(mixed.payloads(2).data(), "7");
  // As the Web UI's download with decoded payloads.
  const auto decoded = Input(R"({"payloads":["text",{"a":{"b":null}}, 3]})");
  EXPECT_EQ(decoded.payloads(0).data(), "\"text\"");
  EXPECT_EQ(decoded.payloads(1).data(), R"({"a":{"b":null}})");
  EXPECT_EQ(decoded.payloads(2).data(), "3");
}

TEST(ParseHistory, KeepsPayloadsWithoutDataOrMetadata) {
  const auto payloads = Input(R"({"payloads":[{"metadata":{"encoding":"YmluYXJ5L3BsYWlu"}},{"data":"aGk="},{}]})");
  EXPECT_EQ(Encoding(payloads.payloads(0)), "binary/plain");
  EXPECT_EQ(payloads.payloads(1).data(), "hi");
  EXPECT_EQ(payloads.payloads(1).metadata_size(), 0);
  EXPECT_EQ(payloads.payloads(2).metadata_size(), 0);
  const auto external = Input(
      R"({"payloads":[{"metadata":{"encoding":"YQ=="},"data":"","externalPayloads":[{"sizeBytes":"12","newer":1}]}]})");
  ASSERT_EQ(external.payloads(0).external_payloads_size(), 1);
  EXPECT_EQ(external.payloads(0).external_payloads(0).size_bytes(), 12);
}

TEST(ParseHistory, ShorthandStandsWhereverAPayloadDoes) {
  const LoadedHistory loaded = ParsedEvent(R"("eventType":"MarkerRecorded","userMetadata":{"summary":"why"},)"
                                           R"("markerRecordedEventAttributes":{"markerName":"m","details":{"a":[1],)"
                                           R"("b":{"payloads":[]}},"header":{"fields":{"h":{"x":1},"n":null}}})");
  const auto& event = loaded.history->events(0);
  EXPECT_EQ(event.user_metadata().summary().data(), "\"why\"");
  EXPECT_EQ(event.marker_recorded_event_attributes().details().at("a").payloads(0).data(), "1");
  EXPECT_EQ(event.marker_recorded_event_attributes().details().at("b").payloads_size(), 0);
  EXPECT_EQ(event.marker_recorded_event_attributes().header().fields().at("h").data(), R"({"x":1})");
  EXPECT_EQ(Encoding(event.marker_recorded_event_attributes().header().fields().at("n")), "binary/null");
}

TEST(ParseHistory, DecodesTheClisShorthandToWhatItPrintsWithout) {
  const auto close_event = [](const std::string& file) {
    const auto document = ParseJson(TestBytes(file));
    EXPECT_TRUE(document.has_value());
    const LoadedHistory loaded = Parsed("{\"events\":[" + CanonicalJson(*document->Find("closeEvent")) + "]}");
    const auto& payload =
        loaded.history->events(0).workflow_execution_completed_event_attributes().result().payloads(0);
    EXPECT_EQ(Encoding(payload), "json/plain") << file;
    return CanonicalJson(*ParseJson(payload.data()));
  };
  EXPECT_EQ(close_event("executed.shorthand.json"), close_event("executed.plain.json"));
}

TEST(ParseHistory, SkipsAndCountsUnknownFields) {
  const LoadedHistory loaded =
      ParsedEvent(R"("eventType":"TimerFired","brandNew":{"deep":[{"a":1}]},)"
                  R"("timerFiredEventAttributes":{"timerId":"t","another":"x"},"other":[1,[2]])");
  EXPECT_EQ(loaded.info.unknown_fields, 3U);
  EXPECT_EQ(loaded.history->events(0).timer_fired_event_attributes().timer_id(), "t");
  EXPECT_EQ(ParsedEvent(R"("eventType":"WorkflowTaskScheduled",)"
                        R"("workflowTaskScheduledEventAttributes":{"taskQueue":{"kind":"TASK_QUEUE_KIND_QUANTUM)"
                        R"("}})")
                .info.unknown_fields,
            1U);
}

TEST(ParseHistory, SkipsAndCountsUnknownFieldsOfProtobuf) {
  const std::string plain = TestBytes("failed.pb");
  History history;
  ASSERT_TRUE(history.ParseFromString(plain));
  auto* unknown = history.mutable_events(1)->GetReflection()->MutableUnknownFields(history.mutable_events(1));
  unknown->AddVarint(9999, 1);
  unknown->AddLengthDelimited(9998, "content");
  unknown->AddGroup(9997)->AddFixed32(1, 2);
  const LoadedHistory loaded = Parsed(history.SerializeAsString());
  EXPECT_EQ(loaded.info.unknown_fields, 3U);
  EXPECT_EQ(WriteBinary(*loaded.history), WriteBinary(*Parsed(plain).history));
}

TEST(ParseHistory, KeepsUnknownEventsAndRemembersTheirType) {
  const LoadedHistory loaded =
      Parsed(R"([{"eventId":"1","eventType":"EVENT_TYPE_FROM_THE_FUTURE","workerMayIgnore":true,)"
             R"("fromTheFutureEventAttributes":{}},{"eventId":"2","eventType":4711},)"
             R"({"workerMayIgnore":false,"eventType":"Newer","eventId":"3"}])");
  ASSERT_EQ(loaded.history->events_size(), 3);
  const std::vector<UnknownEvent> expected = {
      {1, "EVENT_TYPE_FROM_THE_FUTURE", true}, {2, "4711", false}, {3, "Newer", false}};
  EXPECT_EQ(loaded.info.unknown_events, expected);
  EXPECT_EQ(loaded.history->events(1).event_type(), 4711);
  EXPECT_EQ(Parsed(WriteBinary(*loaded.history)).info.unknown_events, (std::vector<UnknownEvent>{{2, "4711", false}}));
  EXPECT_EQ(Parsed(WriteJson(*loaded.history, {}, &loaded.info)).info.unknown_events, expected);
}

TEST(ParseHistory, KnowsEveryMapOfTheApi) { EXPECT_EQ(MapFieldsWithoutAccess(), std::vector<std::string>{}); }

TEST(ParseHistory, ReadsOnManyThreads) {
  const std::string text = TestBytes("everything.cli.json");
  const std::string expected = WriteBinary(*Parsed(text).history);
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);
  for (size_t i = 0; i < equal.size(); ++i) {
    threads.emplace_back([&, i] { equal[i] = WriteBinary(*ParseHistory(text, "t")->history) == expected ? 1 : 0; });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 1));
}

}  // namespace
}  // namespace lockstep::history
