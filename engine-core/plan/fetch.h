// The fetch port (stage 5 of spec 01 section 4) and the implementations that need no network. Edge code: it does I/O.
//
// A fetcher returns the stored bytes as they are (maybe compressed) and promises nothing about them; the loader
// verifies. Errors: PLAN_FETCH_FAILED (retryable) for transport errors, time-outs and missing objects, PLAN_TOO_LARGE,
// PLAN_URI_NOT_ALLOWED for what only shows while fetching (checks 7 and 8).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "engine-core/base/result.h"
#include "engine-core/plan/plan_ref.h"
#include "engine-core/plan/uri_policy.h"

namespace lockstep::plan {

// `plan.fetchTimeoutMs`
inline constexpr int64_t kFetchTimeoutMs = 30'000;

struct FetchLimits {
  // For the whole download.
  int64_t timeout_ms = kFetchTimeoutMs;
  int64_t max_bytes = kMaxPlanBytes;
};

class IPlanFetcher {
 public:
  virtual ~IPlanFetcher() = default;
  // `ref.uri` has passed the URI policy. Thread-safe.
  virtual Result<std::string> Fetch(const PlanRef& ref, const FetchLimits& limits) = 0;
};

// `plan:<sha256>`: reads the content-addressed plan store through a function, so that this room need not know the state
// store.
class PlanStoreFetcher : public IPlanFetcher {
 public:
  using Read = std::function<Result<std::string>(const std::string& sha256)>;
  explicit PlanStoreFetcher(Read read) : read_(std::move(read)) {}
  Result<std::string> Fetch(const PlanRef& ref, const FetchLimits& limits) override;

 private:
  Read read_;
};

// Chooses by scheme. A scheme without a fetcher fails with PLAN_FETCH_FAILED, not retryable.
class SchemeFetcher : public IPlanFetcher {
 public:
  void Register(std::string scheme, std::shared_ptr<IPlanFetcher> fetcher);
  Result<std::string> Fetch(const PlanRef& ref, const FetchLimits& limits) override;

 private:
  std::map<std::string, std::shared_ptr<IPlanFetcher>, std::less<>> by_scheme_;
};

inline std::unexpected<Error> FetchFailed(const std::string& what, bool retryable = true) {
  return Fail("PLAN_FETCH_FAILED", "plan fetch: " + what, retryable);
}

}  // namespace lockstep::plan
