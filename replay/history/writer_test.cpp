#include "replay/history/writer.h"

#include <rapidcheck.h>

#include "engine-core/base/json.h"
#include "replay/history/history_testing.h"

namespace lockstep::history {
namespace {

TEST(WriteJson, EqualsWhatTheCliPrintsToTheByte) {
  int files = 0;
  for (const std::string& name : RecordedHistories()) {
    const std::string text = TestBytes(name);
    if (name.ends_with(".cli.json")) {
      EXPECT_EQ(WriteJson(*Parsed(text).history), text) << name;
    } else if (name.ends_with(".cli.jsonl")) {
      EXPECT_EQ(WriteJson(*Parsed(text).history, {.indent = 0}) + "\n", text) << name;
    } else {
      continue;
    }
    ++files;
  }
  EXPECT_GT(files, 10);
}

TEST(WriteJson, SpellsEnumsInCamelCaseWhereAsked) {
  const std::string text = WriteJson(*Parsed(TestBytes("failed.cli.json")).history, {.enums = EnumSpelling::kCamel});
  EXPECT_NE(text.find(R"("eventType": "WorkflowExecutionStarted")"), std::string::npos);
  EXPECT_NE(text.find(R"("kind": "Normal")"), std::string::npos);
  EXPECT_EQ(text.find("EVENT_TYPE_"), std::string::npos);
}

TEST(WriteJson, WritesAnEmptyHistory) {
  EXPECT_EQ(WriteJson(History(), {.indent = 0}), R"({"events":[]})");
  EXPECT_EQ(Parsed(WriteJson(History())).history->events_size(), 0);
}

TEST(WriteJson, WritesTimesThatHaveNoTextAsObjects) {
  History history;
  auto* event = history.add_events();
  event->mutable_event_time()->set_seconds(INT64_MAX);
  event->mutable_timer_started_event_attributes()->mutable_start_to_fire_timeout()->set_seconds(INT64_MIN);
  event->mutable_timer_started_event_attributes()->mutable_start_to_fire_timeout()->set_nanos(-1);
  const std::string text = WriteJson(history, {.indent = 0});
  EXPECT_NE(text.find(R"("eventTime":{"seconds":"9223372036854775807"})"), std::string::npos) << text;
  EXPECT_EQ(Difference(*Parsed(text).history, history), "");
}

TEST(WriteHistory, RoundTripsRandomHistoriesInEveryForm) {
  EXPECT_TRUE(rc::check("read(write(history)) == history", [](uint64_t seed) {
    History history;
    RandomHistory(seed).Fill(&history);
    std::vector<WriteOptions> forms;
    for (const Compression compression : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
      for (const EnumSpelling enums : {EnumSpelling::kScreaming, EnumSpelling::kCamel}) {
        forms.push_back({Format::kJson, compression, {enums, seed % 2 == 0 ? 2 : 0}});
      }
      if (history.events_size() > 0) forms.push_back({Format::kProtobuf, compression, {}});
    }
    for (const WriteOptions& form : forms) {
      const auto loaded = ParseHistory(EncodeHistory(history, form), "random");
      RC_ASSERT(loaded.has_value());
      RC_ASSERT(Difference(*loaded->history, history) == "");
      RC_ASSERT(loaded->info.unknown_fields == 0U);
      RC_ASSERT(loaded->info.format == form.format);
      RC_ASSERT(loaded->info.compression == form.compression);
    }
  }));
}

TEST(WriteJson, IsJsonForAnyHistory) {
  EXPECT_TRUE(rc::check("the strict parser takes what the writer writes", [](uint64_t seed) {
    History history;
    RandomHistory(seed).Fill(&history);
    JsonLimits limits;
    limits.max_depth = 100;
    RC_ASSERT(ParseJson(WriteJson(history), limits).has_value());
  }));
}

TEST(WriteHistory, WritesAFileAsItsNameAsks) {
  const auto folder = TemporaryDirectory::Create();
  ASSERT_TRUE(folder.has_value());
  const LoadedHistory source = Parsed(TestBytes("everything.pb"));
  struct Case {
    std::string name;
    Format format;
    Compression compression;
  };
  for (const Case& c :
       {Case{"h.json", Format::kJson, Compression::kNone}, Case{"h.json.gz", Format::kJson, Compression::kGzip},
        Case{"h.pb.zst", Format::kProtobuf, Compression::kZstd}, Case{"h.pb", Format::kProtobuf, Compression::kNone}}) {
    const std::string path = (folder->path() / c.name).string();
    ASSERT_TRUE(WriteHistory(path, *source.history, OptionsForPath(path)).has_value());
    const auto loaded = ReadHistory(path);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
    EXPECT_EQ(loaded->info.format, c.format) << c.name;
    EXPECT_EQ(loaded->info.compression, c.compression) << c.name;
    EXPECT_EQ(Difference(*loaded->history, *source.history), "") << c.name;
  }
}

TEST(WriteHistory, ReportsAFolderThatIsNotThere) {
  const auto status = WriteHistory("/nonexistent-folder/h.json", History(), {});
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, "FILE_NOT_FOUND");
}

}  // namespace
}  // namespace lockstep::history
