#include "engine-core/steps/text.h"

#include <algorithm>

#include "engine-core/base/bytes.h"

namespace lockstep::steps {
namespace {

// Length of the well-formed code point at the beginning of `text`; 0 when there is none.
size_t CodePointLength(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  return length <= text.size() && IsValidUtf8(text.substr(0, length)) ? length : 0;
}

}  // namespace

std::string PrintableText(std::string_view bytes) {
  std::string out;
  // A cut in the middle of a code point leaves continuation bytes at the beginning: they are no finding.
  while (!bytes.empty() && (static_cast<unsigned char>(bytes.front()) & 0xc0) == 0x80) bytes.remove_prefix(1);
  while (!bytes.empty()) {
    const size_t length = CodePointLength(bytes);
    const auto lead = static_cast<unsigned char>(bytes.front());
    const bool control = (lead < 0x20 && lead != '\n' && lead != '\t') || lead == 0x7f;
    if (length == 0 || control) {
      out += '?';
    } else {
      out += bytes.substr(0, length);
    }
    bytes.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

std::string ShortText(std::string_view bytes) {
  constexpr size_t kMaxQuote = 200;
  std::string text = PrintableText(bytes.substr(0, kMaxQuote));
  std::replace_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return bytes.size() > kMaxQuote ? text + "..." : text;
}

}  // namespace lockstep::steps
