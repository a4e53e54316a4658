#include "engine-core/state/event_log_file.h"

#include <gtest/gtest.h>

#include "engine-core/base/files.h"
#include "engine-core/state/testing/event_builder.h"

namespace lockstep::state {
namespace {

using testing::EventBuilder;
using testing::RecordedAll;

std::vector<EventRecord> Records() {
  EventBuilder builder;
  return RecordedAll(testing::HelloWorldEvents(builder));
}

TEST(EventLog, RoundTripsThroughText) {
  const auto records = Records();
  const std::string text = FormatEventLog(records);
  const auto parsed = ParseEventLog(text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, records);
  EXPECT_EQ(FormatEventLog(*parsed), text);
  EXPECT_TRUE(ParseEventLog("")->empty());
}

TEST(EventLog, RoundTripsThroughAFile) {
  const auto folder = TemporaryDirectory::Create();
  ASSERT_TRUE(folder);
  const auto path = folder->path() / "events.jsonl";
  ASSERT_TRUE(WriteEventLogFile(path, Records()));
  EXPECT_EQ(*ReadEventLogFile(path), Records());
  EXPECT_EQ(ReadEventLogFile(folder->path() / "absent.jsonl").error().code, "FILE_NOT_FOUND");
}

// The line an error names; 0 when the text was read.
std::string BadLine(const std::string& text) {
  const auto parsed = ParseEventLog(text);
  if (parsed) return "0";
  EXPECT_EQ(parsed.error().code, "EVENT_LOG_INVALID");
  return parsed.error().Detail("line");
}

TEST(EventLog, ErrorsNameTheLine) {
  const auto records = Records();
  const auto line = [&](size_t i) { return FormatEventLog(std::span(records).subspan(i, 1)); };
  EXPECT_EQ(BadLine(line(0) + "{\n"), "2");
  EXPECT_EQ(BadLine(line(0) + "\n" + line(1)), "2");
  EXPECT_EQ(BadLine(line(0) + line(1).substr(0, line(1).size() - 1)), "2");
  EXPECT_EQ(BadLine(line(1) + line(0)), "2");
  EXPECT_EQ(BadLine(line(0) + line(0)), "2");
  EventBuilder other("run-2");
  EXPECT_EQ(BadLine(line(0) + line(1) + FormatEventLog(std::vector{testing::Recorded(other.Run("RunStarted"), 9)})),
            "3");
  EventRecord wrong_key = records[2];
  wrong_key.idempotency_key = std::string(64, '0');
  EXPECT_EQ(BadLine(line(0) + FormatEventLog(std::vector{wrong_key})), "2");
  EXPECT_EQ(BadLine(line(0) + line(2)), "0") << "gaps are legal";
}

}  // namespace
}  // namespace lockstep::state
