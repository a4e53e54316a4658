// The event catalog (spec 02 section 3) as a table: which types exist, which of them drive the machines, and the shape
// of their payloads. Payloads are open (unknown members pass); what the table names is checked. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::state {

struct Shape;

enum class ValueKind : uint8_t {
  kText,      // non-empty string, at most `max_bytes`
  kFreeText,  // string, possibly empty, at most `max_bytes`
  kAscii,     // non-empty printable ASCII
  kWord,      // one of `words`
  kBool,
  kCount,       // integer of at least 0
  kPositive,    // integer of at least 1
  kSha256,      // 64 lower-case hex digits
  kTime,        // YYYY-MM-DDThh:mm:ss.mmmZ
  kIdentifier,  // the pattern of run ids
  kPlanVersion,
  kSchemaVersion,  // v<major>.<minor>
  kStepId,
  kUuid,
  kObject,  // of `shape`, when given
  kAny,     // any value whose canonical text has at most `max_bytes`
};

struct Member {
  std::string_view name;
  bool required = true;
  ValueKind kind = ValueKind::kText;
  bool array = false;  // a list of values of `kind`
  size_t max_bytes = 2048;
  size_t max_items = SIZE_MAX;
  std::span<const std::string_view> words = {};
  const Shape* shape = nullptr;
};

struct Shape {
  std::span<const Member> members;
};

enum class EventClass : uint8_t {
  kRun,   // drives the run machine
  kStep,  // drives the step attempt machine
  kAudit  // never changes a status
};

struct EventSpec {
  std::string_view type;
  EventClass event_class;
  bool occurs_once;  // `logicalAttemptId` is always 1 (spec 02 section 4.2)
  const Shape* payload;
  // True when the payload has a required member.
  bool payload_required() const;
};

// The catalog in the order of the specification.
LOCKSTEP_DETERMINISTIC std::span<const EventSpec> EventCatalog();
// nullptr for a type the catalog does not know.
LOCKSTEP_DETERMINISTIC const EventSpec* FindEventSpec(std::string_view type);
// A type of section 3.1: what the terminal guard of the store refuses after the end of a run.
LOCKSTEP_DETERMINISTIC bool IsLifecycleEvent(std::string_view type);
// Types that begin with `Step` carry a `stepId`, known or not.
LOCKSTEP_DETERMINISTIC bool IsStepEventType(std::string_view type);

LOCKSTEP_DETERMINISTIC const Shape& MetaShape();
LOCKSTEP_DETERMINISTIC const Shape& ArtifactRefShape();
LOCKSTEP_DETERMINISTIC const Shape& ErrorShape();

// Holds an object against a shape; the error names the member by its path below `path` (SCHEMA_VALIDATION_FAILED).
LOCKSTEP_DETERMINISTIC Status CheckShape(const Shape& shape, const Json& object, const std::string& path);

}  // namespace lockstep::state
