#include "replay/record/record.h"

#include <gtest/gtest.h>

#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"

namespace lockstep::replay {
namespace {

namespace fs = std::filesystem;

Record SmallRecord() {
  Record record;
  record.plan = R"({"steps":[]})";
  record.manifest = Json::MakeObject({{"formatVersion", kRecordFormatVersion},
                                      {"planSha256", Sha256Hex(record.plan)},
                                      {"histories", Json(Json::Array{Json("history.json"), Json("history.2.json")})}});
  record.input = Json::MakeObject({{"a", 1}});
  record.histories = {"{\"events\":[]}", "{\"events\":[]}"};
  record.commands = {{2, 5, 7, "TimerStarted 1", "d", {"engine-core/x.cpp", 12, "Run"}}};
  record.snapshots[3] = Json::MakeObject({{"status", "COMPLETED"}});
  record.artifacts[Sha256Hex("bytes")] = "bytes";
  return record;
}

class RecordTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.emplace(*TemporaryDirectory::Create());
    ASSERT_TRUE(WriteRecord(SmallRecord(), path()).has_value());
  }
  fs::path path() const { return folder_->path() / "record"; }
  std::string ReadError() const {
    const auto record = ReadRecord(path());
    EXPECT_FALSE(record.has_value());
    return record ? std::string() : record.error().ToString();
  }
  std::optional<TemporaryDirectory> folder_;
};

TEST_F(RecordTest, WriteThenRead_GivesTheSame) {
  const auto record = ReadRecord(path(), {.artifacts = true});
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const Record expected = SmallRecord();
  EXPECT_EQ(record->manifest, expected.manifest);
  EXPECT_EQ(record->plan, expected.plan);
  EXPECT_EQ(record->input, expected.input);
  EXPECT_EQ(record->histories, expected.histories);
  ASSERT_EQ(record->commands.size(), 1U);
  EXPECT_EQ(record->commands[0].where, expected.commands[0].where);
  EXPECT_EQ(record->commands[0].history, 2);
  EXPECT_EQ(record->snapshots, expected.snapshots);
  EXPECT_EQ(record->artifacts, expected.artifacts);
}

TEST_F(RecordTest, BrokenSum_IsRefusedAndNamesTheFile) {
  ASSERT_TRUE(WriteFileAtomically(path() / "history.json", "{\"events\":[1]}").has_value());
  EXPECT_NE(ReadError().find("history.json: expected sha256"), std::string::npos);
}

TEST_F(RecordTest, MissingFile_IsRefused) {
  fs::remove(path() / "commands.jsonl");
  EXPECT_NE(ReadError().find("commands.jsonl: expected by SHA256SUMS"), std::string::npos);
}

TEST_F(RecordTest, UnlistedFile_IsRefused) {
  ASSERT_TRUE(WriteFileAtomically(path() / "extra.json", "{}").has_value());
  EXPECT_NE(ReadError().find("extra.json: expected a line"), std::string::npos);
}

TEST_F(RecordTest, MissingSums_AreRefused) {
  fs::remove(path() / "SHA256SUMS");
  EXPECT_NE(ReadError().find("SHA256SUMS"), std::string::npos);
}

TEST_F(RecordTest, SumsThatPointOutside_AreRefused) {
  ASSERT_TRUE(WriteFileAtomically(path() / "SHA256SUMS", std::string(64, 'a') + "  ../x\n").has_value());
  EXPECT_NE(ReadError().find("line 1"), std::string::npos);
}

TEST_F(RecordTest, PlanWithAnotherDigest_IsRefused) {
  const std::string plan = R"({"steps":[1]})";
  ASSERT_TRUE(WriteFileAtomically(path() / "plan.json", plan).has_value());
  auto sums = *ReadFile(path() / "SHA256SUMS");
  const std::string old = Sha256Hex(SmallRecord().plan);
  sums.replace(sums.find(old + "  plan.json"), old.size(), Sha256Hex(plan));
  ASSERT_TRUE(WriteFileAtomically(path() / "SHA256SUMS", sums).has_value());
  EXPECT_NE(ReadError().find("plan.json: expected the plan with sha256"), std::string::npos);
}

TEST_F(RecordTest, ExistingTarget_IsOnlyReplacedOnRequest) {
  const auto again = WriteRecord(SmallRecord(), path());
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, "RECORD_EXISTS");
  EXPECT_TRUE(WriteRecord(SmallRecord(), path(), true).has_value());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_->path()), {}), 1);
}

TEST(Scrub, RemovesCredentialsAndKeepsTheRest) {
  std::string text = R"({"url":"postgres://user:secret@host/db","auth":"Bearer abcdefghijklmnop1234","id":"AKIAABCDEFGHIJKLMNOP","n":"plain"})";
  EXPECT_EQ(ScrubSecrets(&text), 3U);
  EXPECT_EQ(text.find("secret"), std::string::npos);
  EXPECT_EQ(text.find("AKIA"), std::string::npos);
  EXPECT_EQ(text.find("abcdefghijklmnop"), std::string::npos);
  EXPECT_NE(text.find("plain"), std::string::npos);
  EXPECT_NE(text.find("host/db"), std::string::npos);
}

TEST(Scrub, LeavesOrdinaryTextAlone) {
  std::string text = R"({"uri":"plan:abc","time":"10:20:30","url":"http://127.0.0.1:8080/x"})";
  const std::string before = text;
  EXPECT_EQ(ScrubSecrets(&text), 0U);
  EXPECT_EQ(text, before);
}

}  // namespace
}  // namespace lockstep::replay
