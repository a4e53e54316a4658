// IP addresses as the URI policy sees them (spec 01 section 3, check 5). Strict: only dotted quads and RFC 4291 text
// count as addresses, and whatever some resolver might read as one (`127.1`, `0x7f000001`, `2130706433`, `0177.0.0.1`)
// is called out.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "engine-core/base/marks.h"

namespace lockstep::plan {

struct IpAddress {
  bool is_v6 = false;
  // Network order; an IPv4 address stands in the first four.
  std::array<uint8_t, 16> bytes{};
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

// Without brackets and zone. Nothing for anything but the strict forms.
LOCKSTEP_DETERMINISTIC std::optional<IpAddress> ParseIpAddress(std::string_view text);

// A host name that the classic C resolver would take for an IPv4 address in an odd spelling.
LOCKSTEP_DETERMINISTIC bool LooksLikeOddIpv4(std::string_view host);

enum class AddressClass : uint8_t {
  kPublic,
  // RFC 1918, fc00::/7, 100.64.0.0/10: refused by default.
  kPrivate,
  // Loopback, link-local with the metadata address, unspecified, multicast, reserved: never allowed.
  kForbidden,
};
// IPv4 inside IPv6 (mapped, compatible, NAT64, 6to4, Teredo) is judged as what it carries when that is worse.
LOCKSTEP_DETERMINISTIC AddressClass Classify(const IpAddress& address);

}  // namespace lockstep::plan
