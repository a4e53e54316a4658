// Any bytes into the history codec: it must neither crash nor hang nor use more memory than its limits allow. What it
// accepts must survive everything the room does with a history: both writers and back to equal messages, integrity
// check, time line.
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/message_differencer.h>
#include <temporal/api/history/v1/message.pb.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine-core/base/json.h"
#include "replay/history/integrity.h"
#include "replay/history/reader.h"
#include "replay/history/timeline.h"
#include "replay/history/writer.h"

namespace {

using namespace lockstep::history;  // NOLINT: the target is about this one room

[[noreturn]] void Broken(const char* what, const std::string& detail) {
  std::fprintf(stderr, "%s: %s\n", what, detail.c_str());
  std::abort();
}

void ExpectSame(const LoadedHistory& first, const std::string& bytes, const char* form) {
  const auto again = ParseHistory(bytes, form);
  if (!again) Broken("what was written is not read back", again.error().message);
  google::protobuf::util::MessageDifferencer differ;
  google::protobuf::util::DefaultFieldComparator comparator;
  comparator.set_treat_nan_as_equal(true);
  differ.set_field_comparator(&comparator);
  if (!differ.Compare(*first.history, *again->history)) Broken("what was read back differs", form);
}

void ExpectOneLine(const lockstep::Error& error) {
  if (error.message.empty() || error.code.empty()) Broken("an error says nothing", error.code);
  if (error.message.find('\n') != std::string::npos) Broken("an error has more than one line", error.message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const google::protobuf::LogSilencer silence;
  ReadOptions options;
  options.max_bytes = 4 << 20;  // what a small compressed input may grow to
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto loaded = ParseHistory(bytes, "fuzz", options);
  options.plain_json = true;
  const auto plain = ParseHistory(bytes, "fuzz", options);
  if (loaded.has_value() != plain.has_value()) Broken("the two readers of JSON disagree", loaded ? "the fast one takes it" : "the plain one takes it");
  if (!loaded) {
    ExpectOneLine(loaded.error());
    if (loaded.error().message != plain.error().message) Broken("the two readers of JSON disagree", loaded.error().message);
    return 0;
  }
  if (WriteBinary(*loaded->history) != WriteBinary(*plain->history)) Broken("the two readers of JSON read different events", "");
  const auto& history = *loaded->history;
  ExpectSame(*loaded, WriteJson(history, {.enums = EnumSpelling::kScreaming, .indent = 0}), "json");
  ExpectSame(*loaded, WriteJson(history, {.enums = EnumSpelling::kCamel, .indent = 2}, &loaded->info), "camel json");
  if (history.events_size() > 0) ExpectSame(*loaded, WriteBinary(history), "protobuf");
  CheckIntegrity(history, loaded->info);
  RenderTimeline(*loaded, {.color = true, .width = 80});
  lockstep::CanonicalJson(InspectJson(*loaded));
  return 0;
}
