// The scheme `mem` (spec 01 section 3, check 8): plans in memory, for tests only. Nothing but tests links
// lockstep_plan_testing, so no shipped program can be talked into it.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "engine-core/plan/fetch.h"

namespace lockstep::plan {

class MemFetcher : public IPlanFetcher {
 public:
  // Stores bytes and returns their URI, `mem://<key>`.
  std::string Put(const std::string& key, std::string bytes);
  void FailNext(Error error);
  int fetches() const;
  Result<std::string> Fetch(const PlanRef& ref, const FetchLimits& limits) override;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> objects_;
  std::optional<Error> next_error_;
  int fetches_ = 0;
};

// A policy that lets `mem` and nothing else through.
UriPolicy MemPolicy();

}  // namespace lockstep::plan
