#include "replay/simulate/fates.h"

#include <algorithm>

namespace lockstep::simulate {
namespace {

constexpr std::string_view kNames[kFaults] = {"durations", "failures",   "timeouts", "signals", "crashes",
                                              "evictions", "duplicates", "late",     "store",   "slow-tasks"};

uint64_t Mix(uint64_t value) {
  value ^= value >> 30;
  value *= 0xbf58476d1ce4e5b9;
  value ^= value >> 27;
  value *= 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

std::string_view FaultName(Fault fault) { return kNames[static_cast<size_t>(fault)]; }

FaultSet FaultSet::All() {
  FaultSet all;
  for (int i = 0; i < kFaults; ++i) all.Add(static_cast<Fault>(i));
  return all;
}

std::string FaultSet::ToString() const {
  if (bits_ == All().bits_) return "all";
  std::string text;
  for (int i = 0; i < kFaults; ++i) {
    if (Has(static_cast<Fault>(i))) text += (text.empty() ? "" : ",") + std::string(kNames[i]);
  }
  return text.empty() ? "none" : text;
}

Result<FaultSet> ParseFaults(std::string_view text) {
  if (text == "all") return FaultSet::All();
  FaultSet set;
  if (text == "none") return set;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view name = text.substr(0, comma);
    const auto* found = std::find(std::begin(kNames), std::end(kNames), name);
    if (found == std::end(kNames)) {
      std::string known = "all, none";
      for (const std::string_view each : kNames) known += ", " + std::string(each);
      return Fail("USAGE", "--faults: expected some of " + known + "; found " + std::string(name));
    }
    set.Add(static_cast<Fault>(found - std::begin(kNames)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return set;
}

uint64_t Fates::Raw(std::string_view name) const {
  uint64_t hash = 0xcbf29ce484222325 ^ Mix(seed_ + 0x9e3779b97f4a7c15);
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return Mix(hash);
}

bool Fates::Happens(Fault fault, const std::string& name, int permille) {
  if (!Allowed(fault, name) || RawBelow(name, 1000) >= permille) return false;
  taken_.push_back(name);
  return true;
}

int64_t Fates::Number(Fault fault, const std::string& name, int64_t low, int64_t high, int64_t otherwise) {
  if (!Allowed(fault, name)) return otherwise;
  taken_.push_back(name);
  return low + RawBelow(name, high - low + 1);
}

}  // namespace lockstep::simulate
