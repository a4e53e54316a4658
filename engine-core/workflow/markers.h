// Markers in two dialects: as Temporal's Go SDK writes them (spec 00 section 5), so that its tools show them, and as the SDKs
// built on its common core (Python, TypeScript, .NET, Ruby) write them, for workflows whose histories go back and forth
// between those and C++. One key of our own: `lockstep-input` holds the digest of a local activity's input, without which a
// changed input would pass unseen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine-core/base/json.h"

namespace temporal::api::command::v1 {
class RecordMarkerCommandAttributes;
}
namespace temporal::api::history::v1 {
class MarkerRecordedEventAttributes;
}
namespace temporal::api::common::v1 {
class Payloads;
}

namespace lockstep::workflow {

// What a workflow writes; reading understands both, whatever it writes.
enum class MarkerDialect : uint8_t { kGo, kCore };

inline constexpr std::string_view kVersionMarker = "Version";
inline constexpr std::string_view kCorePatchMarker = "core_patch";
inline constexpr std::string_view kCoreLocalActivityMarker = "core_local_activity";
inline constexpr std::string_view kMutableSideEffectMarker = "MutableSideEffect";
inline constexpr std::string_view kPatchDataKey = "patch-data";
inline constexpr std::string_view kCallCounterKey = "mutable-side-effect-call-counter";
inline constexpr std::string_view kSideEffectMarker = "SideEffect";
inline constexpr std::string_view kLocalActivityMarker = "LocalActivity";
inline constexpr std::string_view kVersionChangeIdKey = "change-id";
inline constexpr std::string_view kVersionKey = "version";
inline constexpr std::string_view kVersionAttributeKey = "version-search-attribute-updated";
inline constexpr std::string_view kSideEffectIdKey = "side-effect-id";
inline constexpr std::string_view kDataKey = "data";
inline constexpr std::string_view kResultKey = "result";
inline constexpr std::string_view kInputDigestKey = "lockstep-input";

struct LocalActivityMarker {
  std::string activity_id;
  std::string activity_type;
  std::string replay_time;  // RFC 3339
  int32_t attempt = 1;
  int64_t backoff_ms = 0;
  MarkerDialect dialect = MarkerDialect::kGo;
  // kCore only.
  uint32_t sequence = 0;
  int64_t complete_ms = 0;   // workflow time plus how long it took
  int64_t schedule_ms = 0;   // of the first attempt
};
inline bool IsLocalActivityMarker(std::string_view name) {
  return name == kLocalActivityMarker || name == kCoreLocalActivityMarker;
}

using MarkerCommand = temporal::api::command::v1::RecordMarkerCommandAttributes;
using MarkerEvent = temporal::api::history::v1::MarkerRecordedEventAttributes;
using MarkerPayloads = temporal::api::common::v1::Payloads;

// `attribute_updated`: the search attribute `TemporalChangeVersion` is upserted with it, as a command of its own.
void FillVersionMarker(std::string_view change_id, int version, bool attribute_updated, MarkerCommand* marker);
void FillSideEffectMarker(int64_t id, const Json& value, MarkerCommand* marker);
// The common core's gate: taken or not, no number. `deprecated`: the code no longer has the branch before it.
void FillPatchMarker(std::string_view patch_id, bool deprecated, MarkerCommand* marker);
// The n-th call for this id in the execution gave a value that differs from the one before.
void FillMutableSideEffectMarker(std::string_view id, int64_t call, const Json& value, MarkerCommand* marker);
// An empty digest is left out.
void FillLocalActivityMarker(const LocalActivityMarker& data, std::string_view input_digest, MarkerCommand* marker);

// As recorded, but for what the code decides: ids and times that only the recording side knew stay as they are.
void CopyCoreLocalActivityMarker(const LocalActivityMarker& data, std::string_view input_digest, const MarkerEvent& recorded,
                                 MarkerCommand* marker);

struct VersionMarkerData {
  std::string change_id;
  int version = 0;
  bool attribute_updated = false;
};
std::optional<VersionMarkerData> ReadVersionMarker(const MarkerEvent& marker);
struct SideEffectMarkerData {
  int64_t id = 0;
  Json value;
};
std::optional<SideEffectMarkerData> ReadSideEffectMarker(const MarkerEvent& marker);
struct PatchMarkerData {
  std::string patch_id;
  bool deprecated = false;
};
std::optional<PatchMarkerData> ReadPatchMarker(const MarkerEvent& marker);
struct MutableSideEffectMarkerData {
  std::string id;
  int64_t call = 0;
  Json value;
};
std::optional<MutableSideEffectMarkerData> ReadMutableSideEffectMarker(const MarkerEvent& marker);
// Either dialect.
std::optional<LocalActivityMarker> ReadLocalActivityMarker(const MarkerEvent& marker);
std::optional<LocalActivityMarker> ReadLocalActivityMarker(const MarkerCommand& marker);
// Empty when the marker has none.
std::string InputDigestOf(const MarkerEvent& marker);
std::string InputDigestOf(const MarkerCommand& marker);

// The detail that the id below is read from; empty for foreign markers. Equal bytes in it mean equal ids.
std::string_view MarkerIdKey(std::string_view name);
// What tells one marker of a name from another: change id, side-effect id, local activity id; empty for foreign markers.
std::string MarkerId(std::string_view name, const MarkerEvent& marker);
std::string MarkerId(std::string_view name, const MarkerCommand& marker);

}  // namespace lockstep::workflow
