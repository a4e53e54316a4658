// Values that a replay takes from the history: gates of changes in both dialects, side effects, search attributes that go
// with them. Each is decided once in an execution, and the marker that records it is a command like any other.
#include <temporal/api/enums/v1/command_type.pb.h>

#include <algorithm>

#include "engine-core/base/check.h"
#include "engine-core/workflow/markers.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/runtime.h"

namespace lockstep::workflow::internal {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary

int Runtime::GetVersion(std::string_view change_id, int min, int max, std::source_location where) {
  NoteLocation(where);
  if (min > max) throw std::logic_error("version range of " + std::string(change_id) + " is empty");
  const auto known = versions_.find(change_id);
  const auto recorded = recorded_versions_.find(change_id);
  const bool has_marker = recorded != recorded_versions_.end();
  int version = max;
  if (known != versions_.end()) {
    version = known->second;
  } else if (replaying_) {
    version = has_marker ? recorded->second.version : kDefaultVersion;
  } else if (const auto pin = options_.version_pins.find(change_id); pin != options_.version_pins.end()) {
    version = std::min(version, pin->second);
  }
  if ((version < min || version > max) && versions_out_of_range_.emplace(change_id).second) {
    Divergence divergence = Describe(DivergenceKind::kVersionRange, has_marker ? recorded->second.event : nullptr, nullptr);
    if (!has_marker) divergence.event_id = info_.history_length;
    divergence.command = "Version " + std::string(change_id);
    divergence.expected = std::to_string(version);
    divergence.actual = std::to_string(min) + ".." + std::to_string(max);
    divergence.where = ToSourceLine(where);
    Report(std::move(divergence));
  }
  if (known != versions_.end()) return version;
  Require(Allowed::kEverything, "a version asked for");
  versions_.emplace(std::string(change_id), version);
  // Before the gate there was no marker: neither a replay nor a pinned recording writes one.
  if (version == kDefaultVersion && !has_marker) return version;
  const bool update_attribute = !replaying_ || recorded->second.attribute_updated;
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_RECORD_MARKER);
  auto* marker = command->mutable_record_marker_command_attributes();
  if (has_marker && recorded->second.patch) {
    patches_.insert(std::string(change_id));
    FillPatchMarker(change_id, recorded->second.deprecated, marker);
  } else {
    FillVersionMarker(change_id, version, update_attribute, marker);
  }
  Issue(CommandKind::kMarker, command, std::string(change_id), where);
  if (!update_attribute) return version;
  UpdateVersionAttribute(where);
  return version;
}

// One list of all gates of the execution; the common core has no numbers to tell.
void Runtime::UpdateVersionAttribute(std::source_location where) {
  std::set<std::string, std::less<>> all = patches_;
  for (const auto& [id, value] : versions_) {
    if (!patches_.contains(id)) all.insert(id + "-" + std::to_string(value));
  }
  Json list = Json::MakeArray();
  for (const std::string& entry : all) list.Push(entry);
  UpsertAttributes({{std::string(kVersionAttribute), std::move(list), "KeywordList"}}, where);
}

// A gate without numbers. Answers are remembered: what the first call of an execution said, every later one says.
bool Runtime::Patched(std::string_view patch_id, bool deprecated, std::source_location where) {
  NoteLocation(where);
  if (const auto known = versions_.find(patch_id); known != versions_.end()) return known->second != kDefaultVersion;
  const auto recorded = recorded_versions_.find(patch_id);
  const bool has_marker = recorded != recorded_versions_.end();
  bool taken = !replaying_ || has_marker;
  if (const auto pin = options_.version_pins.find(patch_id); !replaying_ && pin != options_.version_pins.end()) {
    taken = pin->second > kDefaultVersion;
  }
  Require(Allowed::kEverything, "a patch asked for");
  versions_.emplace(std::string(patch_id), taken ? 1 : kDefaultVersion);
  if (!taken) return false;
  if (has_marker && !recorded->second.patch) {  // recorded by the gate with numbers: its marker is the one to expect
    versions_.erase(versions_.find(patch_id));
    return GetVersion(patch_id, kDefaultVersion, std::max(1, recorded->second.version), where) != kDefaultVersion;
  }
  patches_.insert(std::string(patch_id));
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_RECORD_MARKER);
  // That a gate is on its way out changes nothing for a run that passed it before.
  FillPatchMarker(patch_id, has_marker ? recorded->second.deprecated : deprecated, command->mutable_record_marker_command_attributes());
  Issue(CommandKind::kMarker, command, std::string(patch_id), where);
  if (!has_marker || recorded->second.attribute_updated) UpdateVersionAttribute(where);
  return true;
}

Json Runtime::SideEffect(const std::function<Json()>& produce, std::source_location where) {
  NoteLocation(where);
  Require(Allowed::kEverything, "a side effect recorded");
  const auto id = static_cast<int64_t>(++side_effects_);
  const auto recorded = recorded_side_effects_.find(id);
  // Without a recorded value in a replay the marker is surplus; matching says so, and the value no longer matters.
  Json value;
  if (recorded != recorded_side_effects_.end()) {
    value = recorded->second;
  } else {
    const Narrow narrow(&allowed_, Allowed::kNoCommands);
    value = produce();
  }
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_RECORD_MARKER);
  FillSideEffectMarker(id, value, command->mutable_record_marker_command_attributes());
  Issue(CommandKind::kMarker, command, std::to_string(id), where);
  return value;
}

// Like SideEffect, but recorded only where the value differs from the one before.
Json Runtime::MutableSideEffect(std::string_view id, const std::function<Json()>& produce, std::source_location where) {
  NoteLocation(where);
  Require(Allowed::kEverything, "a side effect recorded");
  MutableValue& last = mutable_values_[std::string(id)];
  const int64_t call = ++last.calls;
  Json value;
  const auto recorded = recorded_mutable_.find({std::string(id), call});
  if (recorded != recorded_mutable_.end()) {
    value = recorded->second;
  } else if (replaying_ && last.value) {
    return *last.value;
  } else {
    const Narrow narrow(&allowed_, Allowed::kNoCommands);
    value = produce();
    if (last.value && *last.value == value) return value;
  }
  last.value = value;
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_RECORD_MARKER);
  FillMutableSideEffectMarker(id, call, value, command->mutable_record_marker_command_attributes());
  Issue(CommandKind::kMarker, command, std::string(id), where);
  return value;
}

void Runtime::UpsertAttributes(const std::vector<SearchAttribute>& attributes, std::source_location where) {
  NoteLocation(where);
  Require(Allowed::kEverything, "a command issued");
  Command* command = NewCommand();
  command->set_command_type(COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES);
  auto* fields = command->mutable_upsert_workflow_search_attributes_command_attributes()
                     ->mutable_search_attributes()
                     ->mutable_indexed_fields();
  for (const SearchAttribute& attribute : attributes) {
    Payload& payload = (*fields)[attribute.name];
    SetJson(attribute.value, &payload);
    (*payload.mutable_metadata())["type"] =
        !attribute.type.empty() ? attribute.type : (attribute.value.is_array() ? "KeywordList" : "Keyword");
  }
  Issue(CommandKind::kSearchAttributes, command, {}, where);
}

}  // namespace lockstep::workflow::internal
