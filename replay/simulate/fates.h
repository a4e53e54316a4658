// What a seed decides. Every decision has a name (`step/s3/1#2:fail`, `task.1.7:lost`, `signal.0`) and is drawn from
// the seed and that name alone, so that leaving one decision out changes no other: a failing seed shrinks to the few
// names that matter, and those names are the script that reproduces it.
//
// Threads: used by one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/result.h"

namespace lockstep::simulate {

// Kinds of trouble, each of which can be left out (`--faults`).
enum class Fault : uint8_t {
  kDurations,
  kFailures,
  kTimeouts,
  kSignals,
  kCrashes,
  kEvictions,
  kDuplicates,
  kLate,
  kStore,
  kSlowTasks
};
inline constexpr int kFaults = 10;
std::string_view FaultName(Fault fault);

class FaultSet {
 public:
  static FaultSet All();
  static FaultSet None() { return FaultSet(); }
  bool Has(Fault fault) const { return (bits_ >> static_cast<int>(fault)) & 1; }
  void Add(Fault fault) { bits_ |= 1U << static_cast<int>(fault); }
  std::string ToString() const;  // `all`, `none`, or names with commas

 private:
  uint32_t bits_ = 0;
};
// `all`, `none`, or names separated by commas. Error: USAGE, naming the known ones.
Result<FaultSet> ParseFaults(std::string_view text);

class Fates {
 public:
  Fates(uint64_t seed, FaultSet faults) : seed_(seed), faults_(faults) {}
  // Only these decisions are taken, everything else goes well.
  void Only(std::set<std::string> names) { only_ = std::move(names); }

  // Whether the named thing happens, in so many of a thousand cases.
  bool Happens(Fault fault, const std::string& name, int permille);
  // Uniform in [low, high]; `otherwise` where the fault is off or the decision left out.
  int64_t Number(Fault fault, const std::string& name, int64_t low, int64_t high, int64_t otherwise);
  // A number that is no decision: part of one that was taken, or of the plan.
  uint64_t Raw(std::string_view name) const;
  int64_t RawBelow(std::string_view name, int64_t below) const {
    return static_cast<int64_t>(Raw(name) % static_cast<uint64_t>(below));
  }

  uint64_t seed() const { return seed_; }
  FaultSet faults() const { return faults_; }
  // Decisions that were taken and did not go well, in order.
  const std::vector<std::string>& taken() const { return taken_; }

 private:
  bool Allowed(Fault fault, const std::string& name) const {
    return faults_.Has(fault) && (!only_ || only_->contains(name));
  }

  uint64_t seed_;
  FaultSet faults_;
  std::optional<std::set<std::string>> only_;
  std::vector<std::string> taken_;
};

}  // namespace lockstep::simulate
