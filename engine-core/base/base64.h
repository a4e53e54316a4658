// Base64 with padding (RFC 4648 section 4), as protobuf JSON writes bytes. The decoder also takes the URL alphabet and
// missing padding, because histories found in the wild carry both.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

std::string Base64Encode(std::string_view bytes);
std::optional<std::string> Base64Decode(std::string_view text);
// Appends the decoded bytes to `out`; false (and `out` unspecified) when the text is not base64.
bool Base64DecodeTo(std::string_view text, std::string* out);

}  // namespace lockstep
