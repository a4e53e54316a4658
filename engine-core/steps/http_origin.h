// URLs of `http.request` and the origins an operator allows. A URL must be plain enough that no two readers can
// disagree about its host: no user-info, no fragment, no backslash, no white space, no control characters.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine-core/steps/worker_configuration.h"

namespace lockstep::steps {

struct HttpUrl {
  std::string scheme;  // `http` or `https`
  std::string host;    // lower case; an IPv6 address without brackets
  int port = 0;
  std::string target;  // path and query, begins with `/`
};

std::optional<HttpUrl> ParseHttpUrl(std::string_view url);
// `host`, `host:port`, `scheme://host`, `scheme://host:port`; scheme defaults to https, port to the scheme's; port `*`:
// any.
std::optional<HttpOrigin> ParseAllowedOrigin(std::string_view text);
bool Allows(const HttpOrigin& origin, const HttpUrl& url);

// Which part of the network a textual address belongs to: as the URI policy of plans judges it, but loopback told
// apart.
enum class AddressClass : uint8_t { kPublic, kLoopback, kPrivate, kForbidden };
AddressClass ClassOf(std::string_view address);

}  // namespace lockstep::steps
