#include "engine-core/base/base64.h"

#include <array>
#include <cstdint>

namespace lockstep {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> MakeValues() {
  std::array<int8_t, 256> values{};
  values.fill(-1);
  for (int i = 0; i < 64; ++i) values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int8_t>(i);
  values['-'] = 62;
  values['_'] = 63;
  return values;
}
constexpr std::array<int8_t, 256> kValues = MakeValues();

}  // namespace

std::string Base64Encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  size_t i = 0;
  const auto at = [&](size_t index) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[index])); };
  for (; i + 3 <= bytes.size(); i += 3) {
    const uint32_t word = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    for (const int shift : {18, 12, 6, 0}) out.push_back(kAlphabet[word >> shift & 63]);
  }
  const size_t rest = bytes.size() - i;
  if (rest == 1) {
    const uint32_t word = at(i) << 16;
    out.append({kAlphabet[word >> 18 & 63], kAlphabet[word >> 12 & 63], '=', '='});
  } else if (rest == 2) {
    const uint32_t word = at(i) << 16 | at(i + 1) << 8;
    out.append({kAlphabet[word >> 18 & 63], kAlphabet[word >> 12 & 63], kAlphabet[word >> 6 & 63], '='});
  }
  return out;
}

bool Base64DecodeTo(std::string_view text, std::string* out) {
  size_t padding = 0;
  while (!text.empty() && text.back() == '=' && padding < 2) {
    text.remove_suffix(1);
    ++padding;
  }
  if (text.size() % 4 == 1) return false;
  if (padding != 0 && (text.size() + padding) % 4 != 0) return false;
  const size_t before = out->size();
  const size_t whole = text.size() / 4, rest = text.size() % 4;
  const auto at = [&](size_t i) { return static_cast<int32_t>(kValues[static_cast<unsigned char>(text[i])]); };
  int32_t bad = 0;  // negative once any character was
  int32_t last = 0;
  // Room for a whole group more than there may be, so that each is written at once.
  out->resize_and_overwrite(before + whole * 3 + 3, [&](char* data, size_t) {
    char* to = data + before;
    for (size_t i = 0; i < whole * 4; i += 4, to += 3) {
      const int32_t word = at(i) << 18 | at(i + 1) << 12 | at(i + 2) << 6 | at(i + 3);
      bad |= at(i) | at(i + 1) | at(i + 2) | at(i + 3);
      to[0] = static_cast<char>(word >> 16);
      to[1] = static_cast<char>(word >> 8);
      to[2] = static_cast<char>(word);
    }
    if (rest >= 2) {
      last = at(whole * 4) << 12 | at(whole * 4 + 1) << 6 | (rest == 3 ? at(whole * 4 + 2) : 0);
      bad |= last;
      *to++ = static_cast<char>(last >> 10);
      if (rest == 3) *to++ = static_cast<char>(last >> 2);
    }
    return static_cast<size_t>(to - data);
  });
  if (bad < 0) {
    out->resize(before);
    return false;
  }
  // Bits beyond the last byte must be zero, else two texts would decode to the same bytes.
  return (last & (rest == 2 ? 0x3FF : 0x3)) == 0;
}

std::optional<std::string> Base64Decode(std::string_view text) {
  std::string out;
  if (!Base64DecodeTo(text, &out)) return std::nullopt;
  return out;
}

}  // namespace lockstep
