// Compares commands with the events that recorded them: the identity of each (kind and id), and, field by field, its
// attributes with the grade that a difference has (spec 00 section 6). One table per kind; the live worker, the replayer and
// the tests of both use it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "engine-core/workflow/divergence.h"
#include "engine-core/workflow/slices.h"

namespace temporal::api::command::v1 {
class Command;
}
namespace temporal::api::update::v1 {
class Response;
}

namespace lockstep::workflow {

using Command = temporal::api::command::v1::Command;

// Which command this is: `ScheduleActivityTask` with the activity id, `RecordMarker` with `Version` and the change id, ...
struct CommandIdentity {
  int event_type = 0;  // of the event that records it
  std::string id;
  friend bool operator==(const CommandIdentity&, const CommandIdentity&) = default;
  std::string ToString() const;  // `ActivityTaskScheduled step/a/1`
};
CommandIdentity IdentityOf(const Command& command);
CommandIdentity IdentityOf(const HistoryEvent& event);
// The same question without making strings.
bool SameIdentity(const Command& command, const HistoryEvent& event);

// The id of a message that answers an update is the update's id and one of these: the command that carries it into the
// history holds nothing else to tell which update it is about and whether it begins or ends it.
inline constexpr std::string_view kUpdateAcceptSuffix = "/accept";
inline constexpr std::string_view kUpdateCompleteSuffix = "/complete";

// What a command says beside its own attributes, and what a server had to go by when it filled in what it left open.
struct FieldContext {
  int64_t workflow_run_timeout_ms = 0;  // 0: none
  const temporal::api::update::v1::Response* update_response = nullptr;  // of the message that ends an update
};
struct FieldDifference {
  // Attribute path in protobuf JSON spelling: `input`, `retryPolicy.maximumAttempts`, `details.data`. A local activity's
  // marker has `activityType`, `input` (its digest) and `result` in place of the details that hold them.
  std::string field;
  Grade grade;
  std::string expected;  // from the event
  std::string actual;    // from the command
};
// Calls `report` for each differing field; the identities must be equal. What a command leaves open and the server fills in
// (time-outs, the default retry policy) is no difference, and neither is what the server caps.
void CompareFields(const Command& command, const HistoryEvent& event, const FieldContext& context,
                   const std::function<void(FieldDifference)>& report);

// `ActivityTaskScheduled` for 10; `EventType99` for a number this build does not know.
std::string EventTypeName(int event_type);
// Step id inside an activity id of spec 04 section 5.1 (`step/<stepId>/<n>`, `event/<type>/<stepId or RUN>/<n>`), else empty.
std::string StepIdOf(std::string_view activity_id);
// Of an event that records an activity or a local activity.
std::string StepIdOf(const HistoryEvent& event);
// What a command calls, in the words of the code: the type of an activity, local activity or child workflow, the operation of
// a Nexus service, the name of a signal; empty for the others.
std::string TargetOf(const Command& command);
std::string TargetOf(const HistoryEvent& event);

}  // namespace lockstep::workflow
