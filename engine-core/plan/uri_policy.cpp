// The checks are functions in a table, run in the order of the specification.
#include "engine-core/plan/uri_policy.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/plan/ip_address.h"
#include "engine-core/plan/plan_ref.h"

namespace lockstep::plan {
namespace {

Error NotAllowed(std::string_view check, const std::string& why) {
  return Error("PLAN_URI_NOT_ALLOWED", "plan URI (check " + std::string(check) + "): " + why)
      .With("check", std::string(check))
      .With("category", "VALIDATION_ERROR");
}
std::unexpected<Error> Refuse(std::string_view check, const std::string& why) { return Fail(NotAllowed(check, why)); }

bool IsHexDigit(char c) { return IsAsciiDigit(c) || (AsciiLower(c) >= 'a' && AsciiLower(c) <= 'f'); }

// unreserved, gen-delims without `#` and brackets, sub-delims (RFC 3986 section 2); `%` is looked at apart.
bool IsUriChar(char c) {
  constexpr std::string_view kOthers = "-._~:/?@!$&'()*+,;=[]%";
  return IsAsciiAlnum(c) || kOthers.find(c) != std::string_view::npos;
}

Status CheckCharacters(std::string_view uri) {
  if (uri.empty() || uri.size() > kMaxUriBytes)
    return Refuse(kCheckParse, "expected 1 to 2048 bytes, found " + std::to_string(uri.size()));
  for (size_t i = 0; i < uri.size(); ++i) {
    if (uri[i] == '#') return Refuse(kCheckParse, "expected no fragment");
    if (uri[i] == '\\') return Refuse(kCheckParse, "expected no backslash");
    if (!IsUriChar(uri[i]))
      return Refuse(kCheckParse, "expected characters of RFC 3986, found byte " + HexEncode(uri.substr(i, 1)));
    if (uri[i] != '%') continue;
    if (i + 2 >= uri.size() || !IsHexDigit(uri[i + 1]) || !IsHexDigit(uri[i + 2])) {
      return Refuse(kCheckParse, "expected two hex digits after %");
    }
    const char decoded = (*HexDecode(uri.substr(i + 1, 2)))[0];
    if (decoded == '/' || decoded == '\\') return Refuse(kCheckParse, "expected no encoded slash or backslash");
    if (static_cast<unsigned char>(decoded) < 0x20 || decoded == 0x7F)
      return Refuse(kCheckParse, "expected no encoded control character");
  }
  return {};
}

Status CheckSegments(std::string_view path) {
  for (const std::string_view raw : Split(path, '/')) {
    std::string segment;
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == '%') {
        segment += *HexDecode(raw.substr(i + 1, 2));
        i += 2;
      } else {
        segment.push_back(raw[i]);
      }
    }
    if (segment == "." || segment == "..")
      return Refuse(kCheckParse, "expected no dot segment, found \"" + std::string(raw) + "\"");
  }
  return {};
}

bool IsHostName(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  return std::ranges::all_of(host, [](char c) { return IsAsciiAlnum(c) || c == '-' || c == '.' || c == '_'; });
}

Status ParseAuthority(std::string_view authority, bool web, ParsedUri* out) {
  if (authority.find('@') != std::string_view::npos) return Refuse(kCheckParse, "expected no user information");
  std::string_view host = authority, port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    const auto address =
        close == std::string_view::npos ? std::nullopt : ParseIpAddress(authority.substr(1, close - 1));
    if (!address || !address->is_v6) return Refuse(kCheckParse, "expected an IPv6 address in brackets");
    host = authority.substr(1, close - 1);
    out->host_is_ip_literal = true;
    const std::string_view rest = authority.substr(close + 1);
    if (!rest.empty() && rest[0] != ':') return Refuse(kCheckParse, "expected a port after the address");
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else if (const size_t colon = authority.find(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
    has_port = true;
  }
  if (has_port) {
    const auto number = ParseInt64(port);
    const bool plain = !port.empty() && port[0] != '0' && std::ranges::all_of(port, IsAsciiDigit);
    if (!plain || !number || *number > 65535)
      return Refuse(kCheckParse, "expected a port from 1 to 65535, found \"" + std::string(port) + "\"");
    out->port = static_cast<int>(*number);
  }
  if (!out->host_is_ip_literal && !IsHostName(host)) {
    if (web || host.find_first_of("[]") != std::string_view::npos)
      return Refuse(kCheckParse, "expected a host name, found \"" + std::string(host) + "\"");
  }
  out->host = web ? AsciiLower(host) : std::string(host);
  return {};
}

bool IsWeb(std::string_view scheme) { return scheme == "https" || scheme == "http"; }

// --- The checks after parsing ---

using Check = Status (*)(const UriPolicy&, const ParsedUri&);

Status DenyList(const UriPolicy&, const ParsedUri& uri) {
  constexpr std::string_view kDenied[] = {"file", "ftp", "gopher", "data", "jar", "ldap", "dict", "smb"};
  if (std::ranges::find(kDenied, uri.scheme) == std::end(kDenied)) return {};
  return Refuse(kCheckDenyList, "the scheme \"" + uri.scheme + "\" is never allowed");
}

Status SchemeAllowlist(const UriPolicy& policy, const ParsedUri& uri) {
  const bool listed =
      std::ranges::any_of(policy.allowed_schemes, [&](const std::string& s) { return AsciiLower(s) == uri.scheme; });
  if (listed) return {};
  return Refuse(kCheckSchemeAllowlist, "the scheme \"" + uri.scheme + "\" is not among the allowed ones");
}

Status HostRuleCheck(const UriPolicy& policy, const ParsedUri& uri) {
  if (!IsWeb(uri.scheme)) return {};
  // The default port of http only counts when a rule names it.
  const int port = uri.port != -1 ? uri.port : uri.scheme == "https" ? 443 : 80;
  const bool listed = std::ranges::any_of(policy.hosts, [&](const HostRule& rule) {
    return rule.scheme == uri.scheme && AsciiLower(rule.host) == uri.host && rule.port == port;
  });
  if (listed) return {};
  return Refuse(kCheckHostRule, "\"" + uri.scheme + "://" + uri.host + ":" + std::to_string(port) +
                                    "\" is not among the allowed hosts");
}

Status ForbiddenHost(const UriPolicy& policy, const ParsedUri& uri) {
  if (!IsWeb(uri.scheme)) return {};
  std::string_view host = uri.host;
  while (host.ends_with('.')) host.remove_suffix(1);
  const auto forbidden = [&] { return Refuse(kCheckForbiddenHost, "the host \"" + uri.host + "\" is never allowed"); };
  if (host == "localhost" || host.ends_with(".localhost") || host == "local" || host.ends_with(".local"))
    return forbidden();
  if (LooksLikeOddIpv4(host)) return forbidden();
  const auto address = ParseIpAddress(host);
  if (!address) return {};
  const AddressClass address_class = Classify(*address);
  if (address_class == AddressClass::kForbidden) return forbidden();
  if (address_class == AddressClass::kPrivate && !policy.allow_private_addresses) {
    return Refuse(kCheckForbiddenHost, "the private address \"" + uri.host + "\" is not allowed");
  }
  return {};
}

Status ObjectPrefix(const UriPolicy& policy, const ParsedUri& uri) {
  if (IsWeb(uri.scheme) || uri.scheme == "plan" || uri.scheme == "mem") return {};
  const std::string port = uri.port == -1 ? "" : ":" + std::to_string(uri.port);
  const std::string whole = uri.scheme + "://" + uri.host + port + uri.path;
  const bool listed = std::ranges::any_of(policy.object_prefixes, [&](const std::string& prefix) {
    const size_t scheme_end = prefix.find("://");
    if (scheme_end == std::string::npos || !prefix.ends_with('/') || prefix.size() == scheme_end + 3) return false;
    const std::string lowered = AsciiLower(prefix.substr(0, scheme_end)) + prefix.substr(scheme_end);
    return whole.size() > lowered.size() && whole.starts_with(lowered);
  });
  if (listed && !uri.host.empty()) return {};
  return Refuse(kCheckObjectPrefix, "\"" + whole + "\" lies below none of the allowed prefixes");
}

Status TestScheme(const UriPolicy& policy, const ParsedUri& uri) {
  if (uri.scheme != "mem" || policy.test_fixtures) return {};
  return Refuse(kCheckTestScheme, "the scheme \"mem\" exists in test builds only");
}

Status PlanScheme(const UriPolicy&, const ParsedUri& uri) {
  if (uri.scheme != "plan" || (!uri.has_authority && uri.query.empty() && IsLowerHex(uri.path, 64))) return {};
  return Refuse(kCheckParse, "expected plan: and 64 hex digits");
}

constexpr Check kChecks[] = {PlanScheme,    DenyList,     SchemeAllowlist, HostRuleCheck,
                             ForbiddenHost, ObjectPrefix, TestScheme};

}  // namespace

Result<ParsedUri> ParseUri(std::string_view uri) {
  LOCKSTEP_TRY(CheckCharacters(uri));
  const size_t colon = uri.find(':');
  const std::string_view scheme = uri.substr(0, colon == std::string_view::npos ? 0 : colon);
  const bool scheme_good = !scheme.empty() && IsAsciiAlpha(scheme[0]) && std::ranges::all_of(scheme, [](char c) {
    return IsAsciiAlnum(c) || c == '+' || c == '-' || c == '.';
  });
  if (!scheme_good) return Refuse(kCheckParse, "expected an absolute URI with a scheme");
  ParsedUri out;
  out.scheme = AsciiLower(scheme);
  std::string_view rest = uri.substr(colon + 1);
  const size_t question = rest.find('?');
  if (question != std::string_view::npos) {
    out.query = rest.substr(question);
    rest = rest.substr(0, question);
  }
  out.has_authority = rest.starts_with("//");
  if (out.has_authority) {
    const size_t slash = std::min(rest.find('/', 2), rest.size());
    LOCKSTEP_TRY(ParseAuthority(rest.substr(2, slash - 2), IsWeb(out.scheme), &out));
    rest = rest.substr(slash);
  } else if (IsWeb(out.scheme)) {
    return Refuse(kCheckParse, "expected // and a host");
  }
  if (rest.find_first_of("[]") != std::string_view::npos)
    return Refuse(kCheckParse, "expected no brackets in the path");
  LOCKSTEP_TRY(CheckSegments(rest));
  out.path = rest;
  return out;
}

Result<ParsedUri> CheckUri(const UriPolicy& policy, std::string_view uri) {
  LOCKSTEP_ASSIGN(ParsedUri parsed, ParseUri(uri));
  for (const Check check : kChecks) LOCKSTEP_TRY(check(policy, parsed));
  return parsed;
}

Status CheckResolvedAddress(const UriPolicy& policy, std::string_view address) {
  const auto parsed = ParseIpAddress(address);
  if (!parsed) return Refuse(kCheckResolvedAddress, "expected an address, found \"" + std::string(address) + "\"");
  const AddressClass address_class = Classify(*parsed);
  const bool allowed = address_class == AddressClass::kPublic ||
                       (address_class == AddressClass::kPrivate && policy.allow_private_addresses);
  if (allowed) return {};
  return Refuse(kCheckResolvedAddress, "the host resolves to \"" + std::string(address) + "\", which is not allowed");
}

Error RedirectRefused(std::string_view uri, std::string_view location) {
  return NotAllowed(kCheckRedirect, "\"" + std::string(uri) + "\" redirects to \"" +
                                        std::string(TruncateUtf8(location, 200)) + "\"; redirects are not followed");
}

}  // namespace lockstep::plan
