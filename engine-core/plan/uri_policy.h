// Where a plan may be fetched from (spec 01 section 3). All checks but the seventh run before any network access; the
// seventh runs on every resolved address, and the connection is pinned to an address that passed. Every failure is
// PLAN_URI_NOT_ALLOWED with the name of the check in detail `check`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::plan {

// Names of the checks, in their order.
inline constexpr std::string_view kCheckParse = "parse";
inline constexpr std::string_view kCheckDenyList = "deny_list";
inline constexpr std::string_view kCheckSchemeAllowlist = "scheme_allowlist";
inline constexpr std::string_view kCheckHostRule = "host_rule";
inline constexpr std::string_view kCheckForbiddenHost = "forbidden_host";
inline constexpr std::string_view kCheckObjectPrefix = "object_prefix";
inline constexpr std::string_view kCheckResolvedAddress = "resolved_address";
inline constexpr std::string_view kCheckRedirect = "redirect";
inline constexpr std::string_view kCheckTestScheme = "test_scheme";

struct HostRule {
  // `https` or `http`.
  std::string scheme = "https";
  // Exact, compared without case; no trailing dot; an IPv6 address without brackets.
  std::string host;
  int port = 443;
};

struct UriPolicy {
  // Lower case. The content-addressed plan store is allowed by default (spec 00 section 5); an empty list denies
  // everything.
  std::vector<std::string> allowed_schemes = {"plan"};
  // For `https` and `http`; none listed, none allowed.
  std::vector<HostRule> hosts;
  // For every other scheme with an authority: `s3://bucket/folder/`. Each must end in `/`; one that does not never
  // matches.
  std::vector<std::string> object_prefixes;
  // Lets RFC 1918, shared and unique-local addresses through check 5.
  bool allow_private_addresses = false;
  // Set by test support only: `mem` exists.
  bool test_fixtures = false;
};

struct ParsedUri {
  std::string scheme;  // lower case
  bool has_authority = false;
  // Lower case for http and https, without brackets for an IPv6 address; as written for others.
  std::string host;
  bool host_is_ip_literal = false;
  // -1: none given.
  int port = -1;
  std::string path;
  // With the question mark; empty when there is none.
  std::string query;
};

// Check 1 alone.
LOCKSTEP_DETERMINISTIC Result<ParsedUri> ParseUri(std::string_view uri);

// Checks 1 to 6 and 8.
LOCKSTEP_DETERMINISTIC Result<ParsedUri> CheckUri(const UriPolicy& policy, std::string_view uri);

// Check 7: `address` as the resolver gave it, textual, without brackets and zone.
LOCKSTEP_DETERMINISTIC Status CheckResolvedAddress(const UriPolicy& policy, std::string_view address);

// For fetchers that got a redirect answer: the failure of check 8.
LOCKSTEP_DETERMINISTIC Error RedirectRefused(std::string_view uri, std::string_view location);

}  // namespace lockstep::plan
