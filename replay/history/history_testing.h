// For the tests of this room: recorded files, random histories made through reflection, comparison of messages.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "engine-core/base/files.h"
#include "replay/history/reader.h"

namespace lockstep::history {

using temporal::api::history::v1::History;
using temporal::api::history::v1::HistoryEvent;

inline std::filesystem::path TestData(const std::string& name) {
  return std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "replay/history/testdata" / name;
}
inline std::string TestBytes(const std::string& name) {
  auto bytes = ReadFile(TestData(name));
  EXPECT_TRUE(bytes.has_value()) << name;
  return bytes.value_or("");
}
// Every recorded history, by file name.
inline std::vector<std::string> RecordedHistories() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(TestData(""))) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".json") || name.ends_with(".jsonl") || name.ends_with(".pb")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}
inline LoadedHistory Parsed(std::string_view bytes) {
  auto loaded = ParseHistory(bytes, "test");
  EXPECT_TRUE(loaded.has_value()) << (loaded ? "" : loaded.error().ToString());
  if (!loaded) return *ParseHistory(R"({"events":[]})", "test");
  return std::move(*loaded);
}
// One event with these members, after an id and a time.
inline LoadedHistory ParsedEvent(const std::string& members) {
  return Parsed(R"({"events":[{"eventId":"1","eventTime":"2024-01-02T03:04:05Z",)" + members + "}]}");
}
inline Error Refused(std::string_view bytes, const ReadOptions& options = {}) {
  auto loaded = ParseHistory(bytes, "bad.json", options);
  EXPECT_FALSE(loaded.has_value()) << bytes.substr(0, 200);
  return loaded ? Error() : loaded.error();
}

inline std::string Difference(const google::protobuf::Message& left, const google::protobuf::Message& right) {
  google::protobuf::util::MessageDifferencer differ;
  google::protobuf::util::DefaultFieldComparator comparator;
  comparator.set_treat_nan_as_equal(true);
  differ.set_field_comparator(&comparator);
  std::string report;
  differ.ReportDifferencesToString(&report);
  return differ.Compare(left, right) ? "" : report;
}

// Fills a message with random values: every kind of field, boundary numbers, texts with everything JSON has to escape.
class RandomHistory {
 public:
  explicit RandomHistory(uint64_t seed) : random_(seed) {}

  void Fill(History* history) {
    const int events = Number(0, 6);
    for (int i = 0; i < events; ++i) FillMessage(history->add_events(), 0);
    // Reflection may have given a map the same key twice: what travels decides.
    ASSERT_TRUE(history->ParseFromString(std::string(history->SerializeAsString())));
  }

 private:
  using Message = google::protobuf::Message;
  using Field = google::protobuf::FieldDescriptor;

  int Number(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool Chance(int percent) { return Number(1, 100) <= percent; }
  int64_t Integer() {
    static constexpr int64_t kEdges[] = {
        0, 1, -1, 42, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, (int64_t{1} << 53) + 1};
    return kEdges[Number(0, 8)];
  }
  std::string Text() {
    static const std::string kPieces[] = {"",  "a", "\"", "\\",     "/",    "\n", "\x01", "\x7f",
                                          "ü", "€", "😀", "\u2028", "</b>", "0",  " "};
    std::string out;
    for (int i = Number(0, 5); i > 0; --i) out += kPieces[Number(0, 14)];
    return out;
  }
  std::string Bytes() {
    std::string out;
    for (int i = Number(0, 9); i > 0; --i) out.push_back(static_cast<char>(Number(0, 255)));
    return out;
  }
  double Real() {
    static const double kEdges[] = {0.0,         1.0, -2.5, 0.1, 1e300, 5e-324, std::numeric_limits<double>::infinity(),
                                    std::nan("")};
    return kEdges[Number(0, 7)];
  }

  void FillMessage(Message* message, int depth) {
    const auto* descriptor = message->GetDescriptor();
    const auto* reflection = message->GetReflection();
    // Most fields of an event are alternatives: one of them is drawn below.
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const Field* field = descriptor->field(i);
      if (field->real_containing_oneof() != nullptr || !Chance(50)) continue;
      FillField(message, reflection, field, depth);
    }
    for (int i = 0; i < descriptor->real_oneof_decl_count(); ++i) {
      const auto* oneof = descriptor->oneof_decl(i);
      if (Chance(85)) FillField(message, reflection, oneof->field(Number(0, oneof->field_count() - 1)), depth);
    }
  }

  void FillField(Message* message, const google::protobuf::Reflection* reflection, const Field* field, int depth) {
    if (field->is_repeated()) {
      for (int i = Number(1, 3); i > 0; --i) Add(message, reflection, field, depth);
      return;
    }
    switch (field->cpp_type()) {
      case Field::CPPTYPE_BOOL:
        return reflection->SetBool(message, field, Chance(50));
      case Field::CPPTYPE_INT32:
        return reflection->SetInt32(message, field, static_cast<int32_t>(Integer()));
      case Field::CPPTYPE_INT64:
        return reflection->SetInt64(message, field, Integer());
      case Field::CPPTYPE_UINT32:
        return reflection->SetUInt32(message, field, static_cast<uint32_t>(Integer()));
      case Field::CPPTYPE_UINT64:
        return reflection->SetUInt64(message, field, static_cast<uint64_t>(Integer()));
      case Field::CPPTYPE_FLOAT:
        return reflection->SetFloat(message, field, static_cast<float>(Real()));
      case Field::CPPTYPE_DOUBLE:
        return reflection->SetDouble(message, field, Real());
      case Field::CPPTYPE_ENUM:
        return reflection->SetEnumValue(message, field, EnumValue(field));
      case Field::CPPTYPE_STRING:
        return reflection->SetString(message, field, StringValue(field));
      case Field::CPPTYPE_MESSAGE:
        return FillSub(reflection->MutableMessage(message, field), depth);
    }
  }
  void Add(Message* message, const google::protobuf::Reflection* reflection, const Field* field, int depth) {
    switch (field->cpp_type()) {
      case Field::CPPTYPE_UINT32:
        return reflection->AddUInt32(message, field, static_cast<uint32_t>(Integer()));
      case Field::CPPTYPE_ENUM:
        return reflection->AddEnumValue(message, field, EnumValue(field));
      case Field::CPPTYPE_STRING:
        return reflection->AddString(message, field, StringValue(field));
      case Field::CPPTYPE_MESSAGE:
        return FillSub(reflection->AddMessage(message, field), depth, field->is_map());
      default:
        FAIL() << field->full_name() << ": a kind of list no history had so far";
    }
  }
  std::string StringValue(const Field* field) { return field->type() == Field::TYPE_BYTES ? Bytes() : Text(); }
  int EnumValue(const Field* field) {
    if (Chance(5)) return 1'000'000;  // a newer server's
    return field->enum_type()->value(Number(0, field->enum_type()->value_count() - 1))->number();
  }
  void FillSub(Message* message, int depth, bool map_entry = false) {
    const std::string& type = message->GetDescriptor()->full_name();
    if (type == "google.protobuf.Timestamp" || type == "google.protobuf.Duration") {
      FillTime(message, type.ends_with("Duration"));
    } else if (depth < 8 || map_entry) {
      FillMessage(message, depth + 1);
    }
  }
  void FillTime(Message* message, bool may_be_negative) {
    static constexpr int64_t kSeconds[] = {0, 1, 59, 1'700'000'000, 253'402'300'799};
    static constexpr int32_t kNanos[] = {0, 1, 1'000, 250'000'000, 999'999'999};
    const int64_t sign = may_be_negative && Chance(20) ? -1 : 1;
    const auto* descriptor = message->GetDescriptor();
    message->GetReflection()->SetInt64(message, descriptor->FindFieldByNumber(1), sign * kSeconds[Number(0, 4)]);
    message->GetReflection()->SetInt32(message, descriptor->FindFieldByNumber(2),
                                       static_cast<int32_t>(sign) * kNanos[Number(0, 4)]);
  }

  std::mt19937_64 random_;
};

}  // namespace lockstep::history
