// Fetchers without a network.
#include "engine-core/plan/fetch.h"

#include "engine-core/base/bytes.h"

namespace lockstep::plan {

Result<std::string> PlanStoreFetcher::Fetch(const PlanRef& ref, const FetchLimits& limits) {
  constexpr std::string_view kScheme = "plan:";
  const std::string_view digest = std::string_view(ref.uri).substr(ref.uri.find(':') + 1);
  if (!AsciiLower(ref.uri).starts_with(kScheme) || !IsLowerHex(digest, 64)) {
    return FetchFailed("expected plan:SHA256, found \"" + ref.uri + "\"", false);
  }
  auto bytes = read_(std::string(digest));
  // Damaged bytes are a digest mismatch wherever it is noticed (spec 01 section 4): a security alarm, never retried.
  if (!bytes && bytes.error().code == "STATE_STORE_CORRUPT") {
    return Fail(Error("PLAN_INTEGRITY_VALIDATION_FAILED", "plan store: " + bytes.error().message)
                    .With("expectedSha256", std::string(digest))
                    .With("actualSha256", bytes.error().Detail("actualSha256"))
                    .With("planUri", ref.uri)
                    .With("planId", ref.plan_id)
                    .With("planVersion", ref.plan_version));
  }
  if (!bytes) return FetchFailed("plan store: " + bytes.error().ToString());
  if (static_cast<int64_t>(bytes->size()) > limits.max_bytes) {
    return Fail("PLAN_TOO_LARGE", "plan store: expected at most " + std::to_string(limits.max_bytes) +
                                      " bytes, found " + std::to_string(bytes->size()));
  }
  return bytes;
}

void SchemeFetcher::Register(std::string scheme, std::shared_ptr<IPlanFetcher> fetcher) {
  by_scheme_.insert_or_assign(std::move(scheme), std::move(fetcher));
}

Result<std::string> SchemeFetcher::Fetch(const PlanRef& ref, const FetchLimits& limits) {
  const std::string scheme = AsciiLower(ref.uri.substr(0, ref.uri.find(':')));
  const auto it = by_scheme_.find(scheme);
  if (it == by_scheme_.end()) return FetchFailed("no fetcher for the scheme \"" + scheme + "\" in this program", false);
  return it->second->Fetch(ref, limits);
}

}  // namespace lockstep::plan
