// Wire names of the enumerations and the two look-ups.
#include "engine-core/plan/plan.h"

#include <algorithm>
#include <array>

namespace lockstep::plan {
namespace {

constexpr std::array<std::string_view, 3> kOnStepFailure = {"fail_run", "continue", "hold"};
constexpr std::array<std::string_view, 3> kWorkerClass = {"control", "data", "isolation"};
constexpr std::array<std::string_view, 3> kFallback = {"reject", "emulate", "degrade"};
constexpr std::array<std::string_view, 3> kTrustTier = {"untrusted", "partner", "trusted"};
constexpr std::array<std::string_view, 7> kCompareOp = {"eq", "ne", "lt", "le", "gt", "ge", "exists"};
constexpr std::array<std::string_view, 3> kGateTimeout = {"fail", "skip", "proceed"};
constexpr std::array<std::string_view, 2> kSignalScope = {"run", "step"};
constexpr std::array<std::string_view, 3> kSignalEffect = {"record", "set_params", "open_gate"};
constexpr std::array<std::string_view, 3> kRole = {"Operator", "Engineer", "Admin"};

template <typename Enum, size_t N>
std::optional<Enum> Find(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto it = std::ranges::find(names, name);
  if (it == names.end()) return std::nullopt;
  return static_cast<Enum>(it - names.begin());
}

}  // namespace

#define LOCKSTEP_PLAN_ENUM(Enum)                                                    \
  std::string_view Name(Enum value) { return k##Enum[static_cast<size_t>(value)]; } \
  template <>                                                                       \
  std::optional<Enum> FromName<Enum>(std::string_view name) {                       \
    return Find<Enum>(k##Enum, name);                                               \
  }
LOCKSTEP_PLAN_ENUM(OnStepFailure)
LOCKSTEP_PLAN_ENUM(WorkerClass)
LOCKSTEP_PLAN_ENUM(Fallback)
LOCKSTEP_PLAN_ENUM(TrustTier)
LOCKSTEP_PLAN_ENUM(CompareOp)
LOCKSTEP_PLAN_ENUM(GateTimeout)
LOCKSTEP_PLAN_ENUM(SignalScope)
LOCKSTEP_PLAN_ENUM(SignalEffect)
LOCKSTEP_PLAN_ENUM(Role)
#undef LOCKSTEP_PLAN_ENUM

const Step* StepTable::FindStep(std::string_view step_id) const {
  const auto it = std::ranges::find(steps, step_id, &Step::step_id);
  return it == steps.end() ? nullptr : &*it;
}

const CustomSignal* StepTable::FindSignal(std::string_view name) const {
  const auto it = std::ranges::find(custom_signals, name, &CustomSignal::name);
  return it == custom_signals.end() ? nullptr : &*it;
}

}  // namespace lockstep::plan
