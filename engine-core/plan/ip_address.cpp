// The ranges are one table per family.
#include "engine-core/plan/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine-core/base/bytes.h"

namespace lockstep::plan {
namespace {

struct Range {
  std::array<uint8_t, 16> prefix;
  int bits;
  AddressClass address_class;
};

constexpr Range kV4[] = {
    {{0}, 8, AddressClass::kForbidden},           // this network
    {{10}, 8, AddressClass::kPrivate},            // RFC 1918
    {{100, 64}, 10, AddressClass::kPrivate},      // shared address space
    {{127}, 8, AddressClass::kForbidden},         // loopback
    {{169, 254}, 16, AddressClass::kForbidden},   // link-local, cloud metadata
    {{172, 16}, 12, AddressClass::kPrivate},      // RFC 1918
    {{192, 0, 0}, 24, AddressClass::kForbidden},  // protocol assignments
    {{192, 168}, 16, AddressClass::kPrivate},     // RFC 1918
    {{198, 18}, 15, AddressClass::kForbidden},    // benchmarks
    {{224}, 4, AddressClass::kForbidden},         // multicast
    {{240}, 4, AddressClass::kForbidden},         // reserved, broadcast
};
constexpr Range kV6[] = {
    {{0xfc}, 7, AddressClass::kPrivate},           // unique local
    {{0xfe, 0x80}, 10, AddressClass::kForbidden},  // link-local
    {{0xfe, 0xc0}, 10, AddressClass::kForbidden},  // site-local
    {{0xff}, 8, AddressClass::kForbidden},         // multicast
};

bool InRange(const uint8_t* bytes, const Range& range) {
  for (int bit = 0; bit < range.bits; bit += 8) {
    const int taken = std::min(8, range.bits - bit);
    const auto mask = static_cast<uint8_t>(0xFF << (8 - taken));
    if (((bytes[bit / 8] ^ range.prefix[static_cast<size_t>(bit / 8)]) & mask) != 0) return false;
  }
  return true;
}

template <size_t N>
AddressClass Worst(const uint8_t* bytes, const Range (&ranges)[N]) {
  AddressClass worst = AddressClass::kPublic;
  for (const Range& range : ranges) {
    if (InRange(bytes, range)) worst = std::max(worst, range.address_class);
  }
  return worst;
}

bool AllZero(const uint8_t* bytes, size_t count) {
  return std::all_of(bytes, bytes + count, [](uint8_t b) { return b == 0; });
}

}  // namespace

std::optional<IpAddress> ParseIpAddress(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  IpAddress out;
  if (inet_pton(AF_INET, terminated.c_str(), out.bytes.data()) == 1) return out;
  out.is_v6 = true;
  if (inet_pton(AF_INET6, terminated.c_str(), out.bytes.data()) == 1) return out;
  return std::nullopt;
}

bool LooksLikeOddIpv4(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  const auto strict = ParseIpAddress(host);
  if (strict && !strict->is_v6) return false;
  const auto parts = Split(host, '.');
  if (parts.size() > 4) return false;
  // Like the classic resolver: every part is a number, decimal, octal or hexadecimal.
  return std::ranges::all_of(parts, [](std::string_view part) {
    if (part.starts_with("0x") || part.starts_with("0X")) {
      return std::ranges::all_of(
          part.substr(2), [](char c) { return IsAsciiDigit(c) || (AsciiLower(c) >= 'a' && AsciiLower(c) <= 'f'); });
    }
    return !part.empty() && std::ranges::all_of(part, IsAsciiDigit);
  });
}

AddressClass Classify(const IpAddress& address) {
  const uint8_t* bytes = address.bytes.data();
  if (!address.is_v6) return Worst(bytes, kV4);
  AddressClass worst = Worst(bytes, kV6);
  const auto carried = [&](size_t offset) { worst = std::max(worst, Worst(bytes + offset, kV4)); };
  const bool mapped = AllZero(bytes, 10) && bytes[10] == 0xFF && bytes[11] == 0xFF;
  // ::, ::1 and IPv4-compatible addresses all begin with 96 zero bits; none of them is a public host.
  if (AllZero(bytes, 12)) worst = AddressClass::kForbidden;
  if (mapped) carried(12);
  constexpr std::array<uint8_t, 12> kNat64 = {0x00, 0x64, 0xff, 0x9b};
  if (std::equal(kNat64.begin(), kNat64.end(), bytes)) carried(12);
  if (bytes[0] == 0x20 && bytes[1] == 0x02) carried(2);
  // Teredo hides its IPv4 address by inversion; nothing legitimate is served from it.
  if (bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0 && bytes[3] == 0) worst = AddressClass::kForbidden;
  return worst;
}

}  // namespace lockstep::plan
