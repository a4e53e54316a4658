#include "engine-core/workflow/markers.h"

#include <temporal/api/command/v1/message.pb.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>

#include "engine-core/base/base64.h"
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

// `{"seconds":1,"nanos":500000000}`, as the common core writes times; null and anything else counts as zero.
int64_t CoreMillis(const Json& data, std::string_view key) {
  const Json* time = data.Find(key);
  if (time == nullptr || !time->is_object()) return 0;
  constexpr int64_t kMostSeconds = 253'402'300'799;
  return std::clamp<int64_t>(time->GetInt("seconds"), -kMostSeconds, kMostSeconds) * 1'000 + time->GetInt("nanos") / kNanosPerMilli;
}

Json CoreTime(int64_t millis) {
  int64_t seconds = millis / 1'000, rest = millis % 1'000;
  if (rest < 0) {
    --seconds;
    rest += 1'000;
  }
  return Json::MakeObject({{"seconds", seconds}, {"nanos", rest * kNanosPerMilli}});
}

LocalActivityMarker CoreLocalActivityOf(const Json& data) {
  LocalActivityMarker result;
  result.dialect = MarkerDialect::kCore;
  result.activity_id = data.GetString("activity_id");
  result.activity_type = data.GetString("activity_type");
  result.attempt = static_cast<int32_t>(data.GetInt("attempt", 1));
  result.backoff_ms = std::max<int64_t>(0, CoreMillis(data, "backoff"));
  result.sequence = static_cast<uint32_t>(data.GetInt("seq"));
  result.complete_ms = CoreMillis(data, "complete_time");
  result.schedule_ms = CoreMillis(data, "original_schedule_time");
  return result;
}

template <typename Marker>
std::optional<LocalActivityMarker> LocalActivityOf(const Marker& marker) {
  const auto data = Detail(marker, kDataKey);
  if (!data || !data->is_object()) return std::nullopt;
  if (marker.marker_name() == kCoreLocalActivityMarker) return CoreLocalActivityOf(*data);
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
  if (name == kMutableSideEffectMarker) return text(kSideEffectIdKey);
  if (name == kCorePatchMarker) {
    const auto data = Detail(marker, kPatchDataKey);
    return data && data->is_object() ? data->GetString("id") : std::string();
  }
  if (IsLocalActivityMarker(name)) {
    const auto data = LocalActivityOf(marker);
    // Each attempt that ended in a back-off has a marker of its own.
    return data ? data->activity_id + "#" + std::to_string(data->attempt) : std::string();
  }
  return {};
}

constexpr std::string_view kPayloadsType = "temporal.api.common.v1.Payloads";

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

void FillPatchMarker(std::string_view patch_id, bool deprecated, MarkerCommand* marker) {
  marker->set_marker_name(std::string(kCorePatchMarker));
  SetDetail(marker, kPatchDataKey, Json::MakeObject({{"id", patch_id}, {"deprecated", deprecated}}));
}

// The id of the marker is unique, the id of the side effect stands beside its value, which is itself a message of payloads.
void FillMutableSideEffectMarker(std::string_view id, int64_t call, const Json& value, MarkerCommand* marker) {
  marker->set_marker_name(std::string(kMutableSideEffectMarker));
  SetDetail(marker, kSideEffectIdKey, std::string(id) + "_" + std::to_string(call));
  SetDetail(marker, kCallCounterKey, call);
  MarkerPayloads data = JsonPayloads(id);
  const MarkerPayloads wrapped = JsonPayloads(value);
  Json payloads = Json::MakeArray();
  for (const Payload& payload : wrapped.payloads()) {
    Json metadata = Json::MakeObject();
    for (const auto& [key, text] : payload.metadata()) metadata.Set(key, Base64Encode(text));
    payloads.Push(Json::MakeObject({{"metadata", std::move(metadata)}, {"data", Base64Encode(payload.data())}}));
  }
  AddJson(Json::MakeObject({{"payloads", std::move(payloads)}}), &data);
  Payload* second = data.mutable_payloads(1);
  (*second->mutable_metadata())["encoding"] = "json/protobuf";
  (*second->mutable_metadata())["messageType"] = kPayloadsType;
  (*marker->mutable_details())[std::string(kDataKey)] = std::move(data);
}

namespace {

void FillCoreLocalActivityMarker(const LocalActivityMarker& data, MarkerCommand* marker) {
  marker->set_marker_name(std::string(kCoreLocalActivityMarker));
  SetDetail(marker, kDataKey,
            Json::MakeObject({{"seq", static_cast<int64_t>(data.sequence)},
                              {"attempt", data.attempt},
                              {"activity_id", data.activity_id},
                              {"activity_type", data.activity_type},
                              {"complete_time", CoreTime(data.complete_ms)},
                              {"backoff", data.backoff_ms > 0 ? CoreTime(data.backoff_ms) : Json()},
                              {"original_schedule_time", CoreTime(data.schedule_ms)}}));
}

}  // namespace

void FillLocalActivityMarker(const LocalActivityMarker& data, std::string_view input_digest, MarkerCommand* marker) {
  if (data.dialect == MarkerDialect::kCore) {
    FillCoreLocalActivityMarker(data, marker);
    if (!input_digest.empty()) SetDetail(marker, kInputDigestKey, input_digest);
    return;
  }
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

void CopyCoreLocalActivityMarker(const LocalActivityMarker& data, std::string_view input_digest, const MarkerEvent& recorded,
                                 MarkerCommand* marker) {
  marker->set_marker_name(std::string(kCoreLocalActivityMarker));
  auto json = Detail(recorded, kDataKey);
  Json copy = json && json->is_object() ? std::move(*json) : Json::MakeObject();
  copy.Set("activity_type", data.activity_type);
  copy.Set("seq", static_cast<int64_t>(data.sequence));
  SetDetail(marker, kDataKey, copy);
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

std::optional<PatchMarkerData> ReadPatchMarker(const MarkerEvent& marker) {
  const auto data = Detail(marker, kPatchDataKey);
  if (!data || !data->is_object() || data->GetString("id").empty()) return std::nullopt;
  const Json* deprecated = data->Find("deprecated");
  return PatchMarkerData{data->GetString("id"), deprecated != nullptr && deprecated->is_bool() && deprecated->AsBool()};
}

std::optional<MutableSideEffectMarkerData> ReadMutableSideEffectMarker(const MarkerEvent& marker) {
  const auto found = marker.details().find(std::string(kDataKey));
  if (found == marker.details().end() || found->second.payloads_size() < 2) return std::nullopt;
  const auto id = ReadJson(found->second.payloads(0));
  const auto wrapped = ReadJson(found->second.payloads(1));
  const auto call = Detail(marker, kCallCounterKey);
  if (!id || !id->is_string() || !wrapped || !wrapped->is_object() || !call || !call->is_int()) return std::nullopt;
  const Json* payloads = wrapped->Find("payloads");
  if (payloads == nullptr || !payloads->is_array() || payloads->AsArray().empty()) return std::nullopt;
  const Json& first = payloads->AsArray().front();
  Payload payload;
  const Json* metadata = first.is_object() ? first.Find("metadata") : nullptr;
  if (metadata == nullptr || !metadata->is_object()) return std::nullopt;
  for (const auto& [key, text] : metadata->AsObject()) {
    const auto bytes = text.is_string() ? Base64Decode(text.AsString()) : std::nullopt;
    if (!bytes) return std::nullopt;
    (*payload.mutable_metadata())[key] = *bytes;
  }
  const auto bytes = Base64Decode(first.GetString("data"));
  if (!bytes) return std::nullopt;
  payload.set_data(*bytes);
  auto value = ReadJson(payload);
  if (!value) return std::nullopt;
  return MutableSideEffectMarkerData{id->AsString(), call->AsInt(), std::move(*value)};
}

std::optional<LocalActivityMarker> ReadLocalActivityMarker(const MarkerEvent& marker) { return LocalActivityOf(marker); }
std::optional<LocalActivityMarker> ReadLocalActivityMarker(const MarkerCommand& marker) { return LocalActivityOf(marker); }

std::string InputDigestOf(const MarkerEvent& marker) { return InputDigest(marker); }
std::string InputDigestOf(const MarkerCommand& marker) { return InputDigest(marker); }

std::string_view MarkerIdKey(std::string_view name) {
  if (name == kVersionMarker) return kVersionChangeIdKey;
  if (name == kSideEffectMarker) return kSideEffectIdKey;
  if (name == kLocalActivityMarker) return kDataKey;
  if (name == kCorePatchMarker) return kPatchDataKey;
  if (name == kMutableSideEffectMarker) return kSideEffectIdKey;
  return {};
}

std::string MarkerId(std::string_view name, const MarkerEvent& marker) { return IdOf(name, marker); }
std::string MarkerId(std::string_view name, const MarkerCommand& marker) { return IdOf(name, marker); }

}  // namespace lockstep::workflow
