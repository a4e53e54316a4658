// What every adapter can do (spec 06 sections 2 to 4), read from the embedded data files capabilities.registry.json and
// adapters.capabilities.json. The tables are immutable, sorted by wire id, and complete: every adapter has a row for
// every id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::contracts {

// `vMAJOR.MINOR`.
struct MinorVersion {
  int major = 0;
  int minor = 0;
  friend auto operator<=>(const MinorVersion&, const MinorVersion&) = default;
  std::string ToString() const;
};
// Exactly `^v[0-9]+\.[0-9]+$` without leading zeros and with at most six digits each.
LOCKSTEP_DETERMINISTIC std::optional<MinorVersion> ParseMinorVersion(std::string_view text);

// Ordered from weak to strong.
enum class Support : uint8_t { kUnsupported, kDegraded, kEmulated, kNative };
std::string_view SupportName(Support support);

enum class Stage : uint8_t { kProposed, kExperimental, kStable, kDeprecated, kRemoved };

struct Capability {
  std::string id;
  Stage stage = Stage::kStable;
  MinorVersion introduced_in;
  MinorVersion latest;
  // The id this one is an older name of.
  std::optional<std::string> alias_of;
  std::optional<std::string> replaced_by;
  std::string removal_at;
  // Weaker ids that this one covers.
  std::vector<std::string> implies;
};

struct CapabilityRow {
  std::string capability;
  MinorVersion version;
  Support support = Support::kUnsupported;
  std::vector<std::string> limitations;
  std::optional<int64_t> latency_p99_ms;
};

struct AdapterLimits {
  int64_t max_signal_size_bytes = 0;
  int64_t max_signals_per_run_per_minute = 0;
  int64_t max_signal_deferral_minutes = 0;
  int64_t max_history_event_bytes = 0;  // 0: does not apply
  int64_t max_task_input_bytes = 0;
  int64_t max_task_output_bytes = 0;
  int64_t max_workflow_definition_bytes = 0;  // 0: does not apply
};

struct Adapter {
  std::string name;
  std::vector<std::string> provider_versions;
  std::vector<CapabilityRow> rows;  // sorted by capability
  AdapterLimits limits;
  const CapabilityRow* FindRow(std::string_view capability) const;
};

class CapabilityMatrix {
 public:
  // Error CAPABILITY_DATA_INVALID names the broken rule: schema, unknown id, missing or doubled row, cyclic
  // implication, notice below twelve months, versions out of order.
  static Result<CapabilityMatrix> Parse(const Json& registry, const Json& adapters);
  // The matrix of this build.
  LOCKSTEP_TRUSTED("parsed once from constant text; every thread sees the same value")
  static const CapabilityMatrix& Embedded();

  const Capability* Find(std::string_view id) const;
  // `temporal`, `conductor` or `mock`.
  const Adapter* FindAdapter(std::string_view name) const;
  const std::vector<Capability>& capabilities() const { return capabilities_; }
  const std::vector<Adapter>& adapters() const { return adapters_; }
  const std::string& registry_version() const { return registry_version_; }

  // The strongest row that covers `id` on `adapter`: its own or that of a stronger capability that implies it.
  const CapabilityRow& EffectiveRow(const Adapter& adapter, std::string_view id) const;

 private:
  std::vector<Capability> capabilities_;  // sorted by id
  std::vector<Adapter> adapters_;         // in the order temporal, conductor, mock of the data file
  std::string registry_version_;
};

}  // namespace lockstep::contracts
