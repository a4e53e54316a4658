// Commands and the events that record them as JSON with the same members, payloads decoded, so that two can be set side
// by side and compared field by field. Members that only the server knows are left out.
#pragma once

#include "engine-core/base/json.h"
#include "engine-core/workflow/slices.h"

namespace temporal::api::command::v1 {
class Command;
}

namespace lockstep::replay {

// {"command": `ActivityTaskScheduled step/a/1`, "attributes": {...}}
Json CommandJson(const temporal::api::command::v1::Command& command);
Json CommandEventJson(const workflow::HistoryEvent& event);

// The name of the activity, workflow or signal that it is about, or of the marker; empty when it has none.
std::string CommandTypeName(const temporal::api::command::v1::Command& command);
std::string EventTypeNameOf(const workflow::HistoryEvent& event);

// RFC 6901 pointer below /attributes for an attribute path (`retryPolicy.maximumAttempts`).
std::string AttributePointer(std::string_view field);
// The attribute alone, without the place inside its payload: `input` of `input/0/cursor/x`.
inline std::string AttributeOf(std::string_view field) { return std::string(field.substr(0, field.find('/'))); }

}  // namespace lockstep::replay
