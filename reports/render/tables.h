// What spec 07 section 8.1 wants beside findings and divergences, computed once for every renderer: the plan table, steps, changed
// commands, suppressions and trusted marks, perturbations, the comparison with the base branch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reports/render/facts.h"

namespace lockstep::reports {

// Lint and replay of a plan meet in one row, by its id.
struct PlanFacts {
  std::string id;
  std::string version;
  std::string file;  // empty: known from histories only
  bool linted = false;
  int errors = 0, warnings = 0, notes = 0;
  int replays = 0, passed = 0, divergences = 0;
  int64_t artifacts = 0, artifacts_matching = 0;

  std::string Lint() const;       // `clean`, `1 error, 2 notes`, `-`
  std::string Replays() const;    // `2/3`, `-`
  std::string Artifacts() const;  // `66 %`, `-`; 100 only when every one matches
  std::string Status() const;     // FAILED, WARNINGS, PASSED
};
// What is wrong first, then by id.
std::vector<PlanFacts> PlanTable(const std::vector<v1::Result>& results);

// One step of a plan that was linted, or in which a history diverges.
struct StepFacts {
  std::string plan;
  std::string step;
  std::string kind;
  std::string status;  // error, diverged, warning, note, clean
  std::string note;    // the worst about it
};
std::vector<StepFacts> StepTable(const std::vector<v1::Result>& results);

struct SuppressionFacts {
  const v1::Finding* finding = nullptr;
  bool is_new = false;    // not on the base
  bool expiring = false;  // within kExpiringDays of today
  int days = 0;           // until it expires; only with `expiring`
};
inline constexpr int kExpiringDays = 14;
// New and expiring ones first. One for each place and rule, however many roots reach it.
std::vector<SuppressionFacts> SuppressionTable(const std::vector<v1::Result>& results, const RenderOptions& options);
// `shown only (owner team), expires 2026-12-01, in 7 days`, in plain words.
std::string SuppressionWords(const SuppressionFacts& facts);

struct TrustFacts {
  const v1::TrustedMark* mark = nullptr;
  bool is_new = false;
};
std::vector<TrustFacts> TrustTable(const std::vector<v1::Result>& results, const RenderOptions& options);

// `gated by "stamped-steps"`, `gate missing`.
std::string GateWords(const v1::CommandChange& change);
// `identical on 3 histories`, `differs on 1 of 3 histories`.
std::string PerturbationWords(const v1::PerturbationRow& row);

// All of the above a line each, for formats that have no tables; steps only where there is something to say.
std::vector<std::string> FactLines(const std::vector<v1::Result>& results, const RenderOptions& options);

}  // namespace lockstep::reports
