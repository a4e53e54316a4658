// Reads the two data files and proves what their schemas cannot say. A matrix that exists is consistent.
#include "engine-core/contracts/capability_matrix.h"

#include <algorithm>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/contracts/embedded.h"
#include "engine-core/contracts/json_schema.h"

namespace lockstep::contracts {
namespace {

std::unexpected<Error> Bad(const std::string& what) { return Fail("CAPABILITY_DATA_INVALID", what); }

std::vector<std::string> Texts(const Json* list) {
  std::vector<std::string> out;
  if (list == nullptr) return out;
  for (const Json& text : list->AsArray()) out.push_back(text.AsString());
  return out;
}

std::optional<std::string> OptionalText(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  if (value == nullptr) return std::nullopt;
  return value->AsString();
}

Stage StageOf(std::string_view name) {
  constexpr std::string_view kNames[] = {"proposed", "experimental", "stable", "deprecated", "removed"};
  return static_cast<Stage>(std::find(std::begin(kNames), std::end(kNames), name) - std::begin(kNames));
}

Support SupportOf(std::string_view name) {
  constexpr std::string_view kNames[] = {"unsupported", "degraded", "emulated", "native"};
  return static_cast<Support>(std::find(std::begin(kNames), std::end(kNames), name) - std::begin(kNames));
}

// `YYYY-MM-DD`, at least twelve months from the first to the second.
bool NoticeIsLongEnough(const std::string& from, const std::string& to) {
  const auto year = ParseInt64(std::string_view(from).substr(0, 4));
  std::string earliest = std::to_string(*year + 1);
  earliest.insert(0, 4 - std::min<size_t>(4, earliest.size()), '0');
  return to >= earliest + from.substr(4);
}

Result<Capability> ReadCapability(const Json& entry) {
  Capability out;
  out.id = entry.GetString("id");
  out.stage = StageOf(entry.GetString("stage"));
  const auto introduced = ParseMinorVersion(entry.GetString("introducedIn"));
  const auto latest = ParseMinorVersion(entry.GetString("latest"));
  if (!introduced || !latest) return Bad(out.id + ": expected versions vMAJOR.MINOR");
  out.introduced_in = *introduced;
  out.latest = *latest;
  bool lists_introduced = false, lists_latest = false;
  for (const Json& one : entry.Find("versions")->AsArray()) {
    const auto version = ParseMinorVersion(one.GetString("version"));
    if (!version || *version > *latest) return Bad(out.id + ": `latest` is not the greatest version");
    lists_introduced |= *version == *introduced;
    lists_latest |= *version == *latest;
  }
  if (!lists_introduced || !lists_latest) return Bad(out.id + ": introducedIn and latest must be among `versions`");
  out.alias_of = OptionalText(entry, "aliasOf");
  out.replaced_by = OptionalText(entry, "replacedBy");
  if (const Json* notice = entry.Find("deprecation"); notice != nullptr) {
    out.removal_at = notice->GetString("removalAt");
    if (!NoticeIsLongEnough(notice->GetString("deprecatedAt"), out.removal_at)) {
      return Bad(out.id + ": expected at least twelve months between deprecatedAt and removalAt");
    }
  }
  out.implies = Texts(entry.Find("implies"));
  return out;
}

Adapter ReadAdapter(const Json& entry) {
  Adapter out;
  out.name = entry.GetString("name");
  out.provider_versions = Texts(entry.Find("providerVersions"));
  for (const Json& row : entry.Find("rows")->AsArray()) {
    CapabilityRow read;
    read.capability = row.GetString("capability");
    read.version = ParseMinorVersion(row.GetString("version")).value_or(MinorVersion{});
    read.support = SupportOf(row.GetString("support"));
    read.limitations = Texts(row.Find("limitations"));
    if (const Json* latency = row.Find("latencyP99Ms"); latency != nullptr) read.latency_p99_ms = latency->AsInt();
    out.rows.push_back(std::move(read));
  }
  std::ranges::sort(out.rows, {}, &CapabilityRow::capability);
  const Json& limits = *entry.Find("limits");
  out.limits.max_signal_size_bytes = limits.GetInt("maxSignalSizeBytes");
  out.limits.max_signals_per_run_per_minute = limits.GetInt("maxSignalsPerRunPerMinute");
  out.limits.max_signal_deferral_minutes = limits.GetInt("maxSignalDeferralMinutes");
  out.limits.max_history_event_bytes = limits.GetInt("maxHistoryEventBytes");
  out.limits.max_task_input_bytes = limits.GetInt("maxTaskInputBytes");
  out.limits.max_task_output_bytes = limits.GetInt("maxTaskOutputBytes");
  out.limits.max_workflow_definition_bytes = limits.GetInt("maxWorkflowDefinitionBytes");
  return out;
}

Status CheckShape(std::string_view schema, const Json& document) {
  const auto violations = JsonSchema::Embedded(schema).Check(document);
  if (violations.empty()) return {};
  return Bad(violations.front().pointer + ": " + violations.front().message);
}

// Depth-first over `implies`; a chain longer than the registry is a cycle.
bool ImpliesItself(const CapabilityMatrix& matrix, const Capability& start, const std::string& id, size_t depth) {
  if (depth > matrix.capabilities().size()) return true;
  const Capability* here = matrix.Find(id);
  if (here == nullptr) return false;
  return std::ranges::any_of(here->implies, [&](const std::string& next) {
    return next == start.id || ImpliesItself(matrix, start, next, depth + 1);
  });
}

}  // namespace

std::string MinorVersion::ToString() const { return "v" + std::to_string(major) + "." + std::to_string(minor); }

std::optional<MinorVersion> ParseMinorVersion(std::string_view text) {
  if (!text.starts_with('v')) return std::nullopt;
  const auto parts = Split(text.substr(1), '.');
  if (parts.size() != 2) return std::nullopt;
  int numbers[2] = {};
  for (size_t i = 0; i < 2; ++i) {
    const std::string_view part = parts[i];
    const bool digits = std::ranges::all_of(part, IsAsciiDigit);
    if (part.empty() || part.size() > 6 || !digits || (part.size() > 1 && part[0] == '0')) return std::nullopt;
    numbers[i] = static_cast<int>(*ParseInt64(part));
  }
  return MinorVersion{numbers[0], numbers[1]};
}

std::string_view SupportName(Support support) {
  constexpr std::string_view kNames[] = {"unsupported", "degraded", "emulated", "native"};
  return kNames[static_cast<size_t>(support)];
}

const CapabilityRow* Adapter::FindRow(std::string_view capability) const {
  const auto it = std::ranges::lower_bound(rows, capability, {}, &CapabilityRow::capability);
  return it != rows.end() && it->capability == capability ? &*it : nullptr;
}

const Capability* CapabilityMatrix::Find(std::string_view id) const {
  const auto it = std::ranges::lower_bound(capabilities_, id, {}, &Capability::id);
  return it != capabilities_.end() && it->id == id ? &*it : nullptr;
}

const Adapter* CapabilityMatrix::FindAdapter(std::string_view name) const {
  const auto it = std::ranges::find(adapters_, name, &Adapter::name);
  return it == adapters_.end() ? nullptr : &*it;
}

const CapabilityRow& CapabilityMatrix::EffectiveRow(const Adapter& adapter, std::string_view id) const {
  const CapabilityRow* best = adapter.FindRow(id);
  LOCKSTEP_CHECK(best != nullptr, std::string(id));
  for (const Capability& stronger : capabilities_) {
    if (std::ranges::find(stronger.implies, id) == stronger.implies.end()) continue;
    const CapabilityRow& row = EffectiveRow(adapter, stronger.id);
    if (row.support > best->support) best = &row;
  }
  return *best;
}

Result<CapabilityMatrix> CapabilityMatrix::Parse(const Json& registry, const Json& adapters) {
  LOCKSTEP_TRY(CheckShape("schemas/capabilities.registry.schema.json", registry));
  LOCKSTEP_TRY(CheckShape("schemas/adapters.capabilities.schema.json", adapters));
  CapabilityMatrix out;
  out.registry_version_ = registry.GetString("contractVersion");
  for (const Json& entry : registry.Find("capabilities")->AsArray()) {
    LOCKSTEP_ASSIGN(Capability capability, ReadCapability(entry));
    out.capabilities_.push_back(std::move(capability));
  }
  std::ranges::sort(out.capabilities_, {}, &Capability::id);
  const auto twice = std::ranges::adjacent_find(out.capabilities_, {}, &Capability::id);
  if (twice != out.capabilities_.end()) return Bad(twice->id + ": registered twice");
  for (const Capability& one : out.capabilities_) {
    std::vector<std::string> named = one.implies;
    for (const auto& other : {one.alias_of, one.replaced_by}) {
      if (other) named.push_back(*other);
    }
    for (const std::string& id : named) {
      if (out.Find(id) == nullptr) return Bad(one.id + ": names the unknown id " + id);
    }
    if (one.alias_of && out.Find(*one.alias_of)->alias_of) return Bad(one.id + ": alias of an alias");
    if (ImpliesItself(out, one, one.id, 0)) return Bad(one.id + ": implies itself");
  }
  for (const Json& entry : adapters.Find("adapters")->AsArray()) {
    Adapter adapter = ReadAdapter(entry);
    if (out.FindAdapter(adapter.name) != nullptr) return Bad(adapter.name + ": declared twice");
    for (const Capability& one : out.capabilities_) {
      if (adapter.FindRow(one.id) == nullptr) return Bad(adapter.name + ": no row for " + one.id);
    }
    if (adapter.rows.size() != out.capabilities_.size()) return Bad(adapter.name + ": a row too many");
    out.adapters_.push_back(std::move(adapter));
  }
  return out;
}

const CapabilityMatrix& CapabilityMatrix::Embedded() {
  static const CapabilityMatrix matrix = [] {
    const auto registry = ParseJson(EmbeddedText("capabilities.registry.json"));
    const auto adapters = ParseJson(EmbeddedText("adapters.capabilities.json"));
    LOCKSTEP_CHECK(registry.has_value() && adapters.has_value());
    auto parsed = Parse(*registry, *adapters);
    LOCKSTEP_CHECK(parsed.has_value(), parsed.error().message);
    return std::move(*parsed);
  }();
  return matrix;
}

}  // namespace lockstep::contracts
