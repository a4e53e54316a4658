#include "replay/history/event_names.h"

#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>

#include "replay/history/codec_tables.h"
#include "replay/history/reader.h"

namespace lockstep::history {
namespace {

const EnumTable& EventTypes() {
  static const EnumTable* table = EventTable().FindName("eventType")->enumeration;
  return *table;
}

// The text of a newer server in our spelling: `EVENT_TYPE_SOMETHING_NEW` -> `SomethingNew`.
std::string NormalName(std::string_view text) {
  constexpr std::string_view kPrefix = "EVENT_TYPE_";
  if (!text.starts_with(kPrefix)) return std::string(text);
  std::string out;
  bool upper = true;
  for (const char c : text.substr(kPrefix.size())) {
    if (c == '_') {
      upper = true;
      continue;
    }
    out.push_back(!upper && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    upper = false;
  }
  return out;
}

// They stand in the order of the file, which is that of the ids unless the history is damaged; then a bounded search
// must do.
const UnknownEvent* FindUnknown(int64_t event_id, const std::vector<UnknownEvent>& unknown) {
  const auto it = std::lower_bound(unknown.begin(), unknown.end(), event_id,
                                   [](const UnknownEvent& event, int64_t wanted) { return event.event_id < wanted; });
  if (it != unknown.end() && it->event_id == event_id) return &*it;
  constexpr size_t kLongestSearch = 1024;
  for (size_t i = 0; i < std::min(unknown.size(), kLongestSearch); ++i) {
    if (unknown[i].event_id == event_id) return &unknown[i];
  }
  return nullptr;
}

}  // namespace

bool IsKnownEventType(int event_type) { return event_type != 0 && !EventTypes().CamelName(event_type).empty(); }

std::string EventTypeName(int event_type) {
  const std::string_view name = EventTypes().CamelName(event_type);
  return name.empty() ? "Unknown(" + std::to_string(event_type) + ")" : std::string(name);
}

std::string EventTypeName(const temporal::api::history::v1::HistoryEvent& event, const HistoryInfo& info) {
  if (event.event_type() == 0) {
    const UnknownEvent* unknown = FindUnknown(event.event_id(), info.unknown_events);
    if (unknown != nullptr) return NormalName(unknown->type);
  }
  return EventTypeName(event.event_type());
}

}  // namespace lockstep::history
