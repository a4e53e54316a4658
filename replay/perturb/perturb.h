// Replays under conditions that must not matter (spec 07 section 6, R4): commands, engine events and both hashes have
// to come out the same. Variants inside the process (workers, eviction) run here; the others run this program again, in
// another environment or with a library loaded that disturbs allocator, hashes, clocks, host name and locale
// (preload.cpp).
//
// Errors: USAGE (an unknown variant), PERTURB_CHILD_FAILED (a child that gives no fingerprints).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "replay/session/batch.h"

namespace lockstep::replay {

struct Perturbation {
  std::string_view name;
  std::string_view meaning;
};
// In the order in which they run.
std::vector<Perturbation> Perturbations();
// `all`, or names separated by commas. Error: USAGE, naming the known ones.
Result<std::vector<std::string>> ParsePerturbations(std::string_view text);

// Everything a replay gives that must not change, a line each: what a child prints, and what is compared.
// {"histories": [{"path", "lines": [...]}]}
Json Fingerprints(const BatchResult& result);

struct PerturbOptions {
  std::vector<std::string> inputs;
  BatchOptions batch;
  std::vector<std::string> names;  // of perturbations
  std::vector<std::string> child;  // program and arguments that print the fingerprints of the paths appended to them
  std::filesystem::path preload;   // the library of preload.cpp
  std::function<void(const std::string& line)> progress;
};

struct PerturbDifference {
  std::string path;
  std::string expected;  // first line that differs
  std::string actual;
};
struct PerturbRow {
  std::string name;
  std::string variant;  // `TZ=Pacific/Kiritimati`
  size_t histories = 0;
  std::vector<PerturbDifference> differences;
};
struct PerturbResult {
  BatchResult plain;
  std::vector<PerturbRow> rows;
  bool identical() const;
};

Result<PerturbResult> Perturb(const PerturbOptions& options);

Json ToJson(const PerturbResult& result, bool strict);
std::string RenderText(const PerturbResult& result, bool strict, bool color);

}  // namespace lockstep::replay
