// Small helpers on byte strings that several rooms need: hex, UTF-8 validity, ASCII case and splitting without locale.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

std::string HexEncode(std::string_view bytes);
// Lower- or upper-case digits; nothing when the length is odd or a digit is wrong.
std::optional<std::string> HexDecode(std::string_view hex);
bool IsLowerHex(std::string_view text, size_t length);

// Well-formed UTF-8 as RFC 3629 defines it (no surrogates, no overlong forms).
bool IsValidUtf8(std::string_view text);
// Cuts at most `max_bytes`, never inside a code point.
std::string_view TruncateUtf8(std::string_view text, size_t max_bytes);

// What may go to a terminal or into JSON: control characters and bytes that are no UTF-8 become `\\xNN`.
std::string PrintableUtf8(std::string_view text);

char AsciiLower(char c);
std::string AsciiLower(std::string_view text);
inline bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }
inline bool IsAsciiAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
inline bool IsAsciiAlnum(char c) { return IsAsciiDigit(c) || IsAsciiAlpha(c); }

std::vector<std::string_view> Split(std::string_view text, char separator);
// Whole text as a base-10 number, no sign for unsigned targets, no spaces; nothing on overflow.
std::optional<int64_t> ParseInt64(std::string_view text);

}  // namespace lockstep
