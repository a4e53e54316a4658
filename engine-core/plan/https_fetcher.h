// Fetches plans over HTTPS, and over plain HTTP where the URI policy lists the host. The host is resolved once, every
// address it has must pass check 7 of the URI policy, and the connection goes to the first of them, so a second look-up
// cannot point elsewhere. Redirects are not followed; size and total time are bounded.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine-core/plan/fetch.h"

namespace lockstep::plan {

struct HttpsFetcherOptions {
  UriPolicy policy;
  // File with further trusted certificates (PEM); empty: the system's.
  std::string ca_file;
  // Textual addresses of a host; empty function: the system's resolver.
  std::function<Result<std::vector<std::string>>(const std::string& host)> resolve;
  // For tests: connect here instead of to the address that was checked.
  std::string connect_to;
};

class HttpsFetcher : public IPlanFetcher {
 public:
  explicit HttpsFetcher(HttpsFetcherOptions options) : options_(std::move(options)) {}
  Result<std::string> Fetch(const PlanRef& ref, const FetchLimits& limits) override;

 private:
  HttpsFetcherOptions options_;
};

}  // namespace lockstep::plan
