// Does the adapter offer what the plan needs? (spec 01 section 8, spec 06 section 5.) Pure; the same plan, adapter and
// matrix give the same report, `generatedAt` aside.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"
#include "engine-core/base/time.h"
#include "engine-core/contracts/capability_matrix.h"
#include "engine-core/plan/plan.h"

namespace lockstep::plan {

struct CapabilityContext {
  // The adapter of the run context: `temporal`, `conductor` or `mock`.
  std::string target_adapter;
  std::string adapter_version;
  // The deployment's switch for capabilities in stage `experimental`.
  bool allow_experimental = false;
  UnixMillis now = 0;
};

enum class ReportStatus : uint8_t { kValid, kWarnings, kErrors };
std::string_view Name(ReportStatus status);

struct CapabilityCheck {
  std::string capability;
  std::optional<std::string> required_version;
  // Whether the run may rely on it under the plan's fallbackBehavior.
  bool supported = false;
  // Absent when the adapter does not have it at all, or nobody knows it.
  std::optional<contracts::Support> adapter_support;
  std::optional<std::string> declared_version;
  std::string recommendation;
};

struct ReportItem {
  std::string code;
  std::string capability;  // empty: none
  std::string path;        // empty: none
  std::string message;
};

struct Remediation {
  std::optional<Fallback> fallback;
  std::vector<std::string> capabilities;
  std::string target_adapter;  // empty: none
  bool empty() const { return !fallback && capabilities.empty() && target_adapter.empty(); }
};

struct ValidationReport {
  std::string plan_id;
  std::string plan_version;
  UnixMillis generated_at = 0;
  std::string target_adapter;
  std::string adapter_version;
  std::string registry_version;
  // Sorted ids with support other than unsupported.
  std::vector<std::string> adapter_capabilities;
  ReportStatus status = ReportStatus::kValid;
  // Sorted by wire id.
  std::vector<CapabilityCheck> checks;
  std::vector<ReportItem> errors;
  std::vector<ReportItem> warnings;
  Remediation remediation;
  // The run relies on an emulated or degraded row: `RunStarted.degraded`.
  bool degraded = false;

  std::vector<std::string> WarningCodes() const;  // sorted, without duplicates
};

LOCKSTEP_DETERMINISTIC ValidationReport
ValidateCapabilities(const Plan& plan, const CapabilityContext& context,
                     const contracts::CapabilityMatrix& matrix = contracts::CapabilityMatrix::Embedded());

// The JSON of spec 06 section 5.1.
LOCKSTEP_DETERMINISTIC Json ToJson(const ValidationReport& report);
// SHA-256 of the canonical JSON without `generatedAt`: what `RunQueued` carries and what a worker compares.
LOCKSTEP_DETERMINISTIC std::string ReportDigest(const ValidationReport& report);

}  // namespace lockstep::plan
