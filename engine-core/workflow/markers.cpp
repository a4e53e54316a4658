#include "engine-core/workflow/markers.h"

#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>

#include "engine-core/workflow/payload.h"

namespace lockstep::workflow {
namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;

template <typename Marker>
std::optional<Json> Detail(const Marker& marker, std::string_view key) {
  const auto it = marker.details().find(std::string(key));
  if (it == marker.details().end()) return std::nullopt;
  auto json = ReadFirstJson(it->second);
  if (!json) return std::nullopt;
  return std::move(*json);
}

template <typename Marker>
std::optional<LocalActivityMarker> LocalActivityOf(const Marker& marker) {
  const auto data = Detail(marker, kDataKey);
  if (!data || !data->is_object()) return std::nullopt;
  LocalActivityMarker result;
  result.activity_id = data->GetString("ActivityID");
  result.activity_type = data->GetString("ActivityType");
  result.replay_time = data->GetString("ReplayTime");
  result.attempt = static_cast<int32_t>(data->GetInt("Attempt", 1));
  result.backoff_ms = data->GetInt("Backoff") / kNanosPerMilli;
  return result;
}

template <typename Marker>
std::string InputDigest(const Marker& marker) {
  const auto digest = Detail(marker, kInputDigestKey);
  return digest && digest->is_string() ? digest->AsString() : std::string();
}

void SetDetail(MarkerCommand* marker, std::string_view key, const Json& value) {
  (*marker->mutable_details())[std::string(key)] = JsonPayloads(value);
}

template <typename Marker>
std::string IdOf(std::string_view name, const Marker& marker) {
  const auto text = [&](std::string_view key) {
    const auto value = Detail(marker, key);
    return value ? (value->is_string() ? value->AsString() : CanonicalJson(*value)) : std::string();
  };
  if (name == kVersionMarker) return text(kVersionChangeIdKey);
  if (name == kSideEffectMarker) return text(kSideEffectIdKey);
  if (name == kLocalActivityMarker) {
    const auto data = Detail(marker, kDataKey);
    // Each attempt that ended in a back-off has a marker of its own.
    return data ? data->GetString("ActivityID") + "#" + std::to_string(data->GetInt("Attempt", 1)) : std::string();
  }
  return {};
}

}  // namespace

void FillVersionMarker(std::string_view change_id, int version, bool attribute_updated, MarkerCommand* marker) {
  marker->set_marker_name(std::string(kVersionMarker));
  SetDetail(marker, kVersionChangeIdKey, change_id);
  SetDetail(marker, kVersionKey, version);
  if (attribute_updated) SetDetail(marker, kVersionAttributeKey, true);
}

void FillSideEffectMarker(int64_t id, const Json& value, MarkerCommand* marker) {
  marker->set_marker_name(std::string(kSideEffectMarker));
  SetDetail(marker, kSideEffectIdKey, id);
  SetDetail(marker, kDataKey, value);
}

void FillLocalActivityMarker(const LocalActivityMarker& data, std::string_view input_digest, MarkerCommand* marker) {
  marker->set_marker_name(std::string(kLocalActivityMarker));
  // Canonical JSON written by hand: a replay writes one for every event that the engine appends.
  std::string text = "{\"ActivityID\":";
  AppendJsonString(data.activity_id, &text);
  text += ",\"ActivityType\":";
  AppendJsonString(data.activity_type, &text);
  text += ",\"Attempt\":" + std::to_string(data.attempt) + ",\"Backoff\":" +
          std::to_string(std::clamp<int64_t>(data.backoff_ms, 0, INT64_MAX / kNanosPerMilli) * kNanosPerMilli) + ",\"ReplayTime\":";
  AppendJsonString(data.replay_time, &text);
  text += "}";
  Payload* payload = (*marker->mutable_details())[std::string(kDataKey)].add_payloads();
  (*payload->mutable_metadata())["encoding"] = "json/plain";
  payload->set_data(std::move(text));
  if (!input_digest.empty()) SetDetail(marker, kInputDigestKey, input_digest);
}

std::optional<VersionMarkerData> ReadVersionMarker(const MarkerEvent& marker) {
  const auto change_id = Detail(marker, kVersionChangeIdKey);
  const auto version = Detail(marker, kVersionKey);
  if (!change_id || !change_id->is_string() || !version || !version->is_int()) return std::nullopt;
  const auto updated = Detail(marker, kVersionAttributeKey);
  return VersionMarkerData{change_id->AsString(), static_cast<int>(version->AsInt()),
                           updated && updated->is_bool() && updated->AsBool()};
}

std::optional<SideEffectMarkerData> ReadSideEffectMarker(const MarkerEvent& marker) {
  const auto id = Detail(marker, kSideEffectIdKey);
  auto value = Detail(marker, kDataKey);
  if (!id || !id->is_int() || !value) return std::nullopt;
  std::optional<SideEffectMarkerData> data(std::in_place);
  data->id = id->AsInt();
  data->value = std::move(*value);
  return data;
}

std::optional<LocalActivityMarker> ReadLocalActivityMarker(const MarkerEvent& marker) { return LocalActivityOf(marker); }
std::optional<LocalActivityMarker> ReadLocalActivityMarker(const MarkerCommand& marker) { return LocalActivityOf(marker); }

std::string InputDigestOf(const MarkerEvent& marker) { return InputDigest(marker); }
std::string InputDigestOf(const MarkerCommand& marker) { return InputDigest(marker); }

std::string_view MarkerIdKey(std::string_view name) {
  if (name == kVersionMarker) return kVersionChangeIdKey;
  if (name == kSideEffectMarker) return kSideEffectIdKey;
  if (name == kLocalActivityMarker) return kDataKey;
  return {};
}

std::string MarkerId(std::string_view name, const MarkerEvent& marker) { return IdOf(name, marker); }
std::string MarkerId(std::string_view name, const MarkerCommand& marker) { return IdOf(name, marker); }

}  // namespace lockstep::workflow
