#include "engine-core/steps/http_origin.h"

#include <algorithm>
#include <array>

#include "engine-core/base/bytes.h"
#include "engine-core/plan/ip_address.h"

namespace lockstep::steps {
namespace {

constexpr int kAnyPort = -1;

struct Authority {
  std::string host;
  std::optional<int> port;
};

int DefaultPort(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

std::optional<std::string> SchemeOf(std::string_view* text) {
  for (const std::string_view scheme : {"https", "http"}) {
    const std::string prefix = std::string(scheme) + "://";
    if (AsciiLower(text->substr(0, prefix.size())) != prefix) continue;
    text->remove_prefix(prefix.size());
    return std::string(scheme);
  }
  return std::nullopt;
}

bool IsHostName(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '.' || host.back() == '.') return false;
  return std::all_of(host.begin(), host.end(),
                     [](char c) { return IsAsciiAlnum(c) || c == '-' || c == '.' || c == '_'; });
}

bool IsIpv6(std::string_view host) {
  const auto address = plan::ParseIpAddress(host);
  return address && address->is_v6;
}

std::optional<int> ParsePort(std::string_view text, bool star) {
  if (star && text == "*") return kAnyPort;
  const bool digits = !text.empty() && text.size() <= 5 && std::all_of(text.begin(), text.end(), IsAsciiDigit);
  const auto port = digits ? ParseInt64(text) : std::nullopt;
  if (!port || *port < 1 || *port > 65535) return std::nullopt;
  return static_cast<int>(*port);
}

std::optional<Authority> ParseAuthority(std::string_view text, bool star) {
  Authority out;
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos || !IsIpv6(text.substr(1, end - 1))) return std::nullopt;
    out.host = AsciiLower(text.substr(1, end - 1));
    rest = text.substr(end + 1);
  } else {
    const size_t colon = std::min(text.find(':'), text.size());
    if (!IsHostName(text.substr(0, colon))) return std::nullopt;
    out.host = AsciiLower(text.substr(0, colon));
    rest = text.substr(colon);
  }
  if (rest.empty()) return out;
  if (rest.front() != ':') return std::nullopt;
  out.port = ParsePort(rest.substr(1), star);
  if (!out.port) return std::nullopt;
  return out;
}

// 127.0.0.0/8 and ::1, also when IPv4 stands inside IPv6.
bool IsLoopback(const plan::IpAddress& address) {
  static constexpr std::array<uint8_t, 16> kV6Loopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!address.is_v6) return address.bytes[0] == 127;
  const bool mapped = std::equal(kMapped.begin(), kMapped.end(), address.bytes.begin());
  return address.bytes == kV6Loopback || (mapped && address.bytes[12] == 127);
}

}  // namespace

std::optional<HttpUrl> ParseHttpUrl(std::string_view url) {
  const bool plain =
      std::all_of(url.begin(), url.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '\\' && c != '#'; });
  if (!plain || url.size() > 8192) return std::nullopt;
  const auto scheme = SchemeOf(&url);
  if (!scheme) return std::nullopt;
  const size_t end = std::min(url.find_first_of("/?"), url.size());
  const auto authority = ParseAuthority(url.substr(0, end), false);
  if (!authority) return std::nullopt;
  HttpUrl out{*scheme, authority->host, authority->port.value_or(DefaultPort(*scheme)), std::string(url.substr(end))};
  if (!out.target.starts_with('/')) out.target.insert(0, "/");
  return out;
}

std::optional<HttpOrigin> ParseAllowedOrigin(std::string_view text) {
  const std::string scheme = SchemeOf(&text).value_or("https");
  const auto authority = ParseAuthority(text, true);
  if (!authority) return std::nullopt;
  HttpOrigin out{scheme, authority->host, authority->port.value_or(DefaultPort(scheme))};
  if (out.port == kAnyPort) out.port.reset();
  return out;
}

bool Allows(const HttpOrigin& origin, const HttpUrl& url) {
  return origin.scheme == url.scheme && origin.host == url.host && (!origin.port || *origin.port == url.port);
}

AddressClass ClassOf(std::string_view text) {
  const auto address = plan::ParseIpAddress(text);
  if (!address) return AddressClass::kForbidden;
  if (IsLoopback(*address)) return AddressClass::kLoopback;
  switch (plan::Classify(*address)) {
    case plan::AddressClass::kPublic:
      return AddressClass::kPublic;
    case plan::AddressClass::kPrivate:
      return AddressClass::kPrivate;
    case plan::AddressClass::kForbidden:
      return AddressClass::kForbidden;
  }
  return AddressClass::kForbidden;
}

}  // namespace lockstep::steps
