// Plans in memory.
#include "engine-core/plan/test_support/mem_fetcher.h"

namespace lockstep::plan {

std::string MemFetcher::Put(const std::string& key, std::string bytes) {
  const std::lock_guard lock(mutex_);
  objects_.insert_or_assign("mem://" + key, std::move(bytes));
  return "mem://" + key;
}

void MemFetcher::FailNext(Error error) {
  const std::lock_guard lock(mutex_);
  next_error_ = std::move(error);
}

int MemFetcher::fetches() const {
  const std::lock_guard lock(mutex_);
  return fetches_;
}

Result<std::string> MemFetcher::Fetch(const PlanRef& ref, const FetchLimits& limits) {
  const std::lock_guard lock(mutex_);
  ++fetches_;
  if (next_error_) {
    Error error = std::move(*next_error_);
    next_error_.reset();
    return Fail(std::move(error));
  }
  const auto it = objects_.find(ref.uri);
  if (it == objects_.end()) return FetchFailed("nothing at " + ref.uri);
  if (static_cast<int64_t>(it->second.size()) > limits.max_bytes)
    return Fail("PLAN_TOO_LARGE", "plan fetch: more than the allowed bytes");
  return it->second;
}

UriPolicy MemPolicy() {
  UriPolicy policy;
  policy.allowed_schemes = {"mem"};
  policy.test_fixtures = true;
  return policy;
}

}  // namespace lockstep::plan
