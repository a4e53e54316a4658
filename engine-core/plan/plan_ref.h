// PlanRef: the only form in which a plan enters a public operation (spec 01 sections 1 and 2). A value of this type has
// passed every rule of section 2; where it may point to is the URI policy's business.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/base/time.h"

namespace lockstep::plan {

// Limits of spec 01 sections 2 and 10.
inline constexpr size_t kMaxPlanRefBytes = 8 * 1024;
inline constexpr size_t kMaxUriBytes = 2048;
inline constexpr int64_t kMaxPlanBytes = 8 * 1024 * 1024;

enum class Compression : uint8_t { kNone, kGzip };

struct PlanRef {
  std::string uri;
  // Lower-case hex, 64 digits: digest of the uncompressed document.
  std::string sha256;
  std::string schema_version;
  std::string plan_id;
  std::string plan_version;
  std::optional<int64_t> size_bytes;
  std::optional<UnixMillis> expires_at;
  Compression compression = Compression::kNone;
  friend bool operator==(const PlanRef&, const PlanRef&) = default;
};

// Error PLAN_REF_INVALID with issues (paths such as `sha256`). Stage 1 of loading.
LOCKSTEP_DETERMINISTIC Result<PlanRef> ParsePlanRef(const Json& json);
// The same over text; also refuses what is no JSON.
LOCKSTEP_DETERMINISTIC Result<PlanRef> ParsePlanRefText(std::string_view text);
// Members at their default are left out.
LOCKSTEP_DETERMINISTIC Json ToJson(const PlanRef& ref);

// (`planId`, `planVersion`) maps to one digest per tenant: PLAN_VERSION_CONFLICT when `known_sha256` (what the store
// has for the pair) differs. The caller looks it up, because this room knows no store.
LOCKSTEP_DETERMINISTIC Status CheckVersionConflict(const std::optional<std::string>& known_sha256, const PlanRef& ref);

}  // namespace lockstep::plan
