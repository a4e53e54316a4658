// The writers of `json.h`: canonical (RFC 8785) and pretty.
#include <array>
#include <charconv>
#include <cmath>

#include "engine-core/base/check.h"
#include "engine-core/base/json.h"
#include "engine-core/base/marks.h"

namespace lockstep {
namespace {

// Number::toString of ECMAScript from the shortest digits that read back to the same double.
LOCKSTEP_TRUSTED("the shortest digits of a double are a function of its bits")
void AppendNumber(double value, std::string* out) {
  LOCKSTEP_CHECK(std::isfinite(value), "JSON has no NaN and no infinity");
  if (value == 0) {
    out->push_back('0');
    return;
  }
  std::array<char, 40> buffer{};
  const auto done = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::abs(value), std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<size_t>(done.ptr - buffer.data()));
  const size_t exponent_at = text.find('e');
  std::string digits;
  for (const char c : text.substr(0, exponent_at)) {
    if (c != '.') digits.push_back(c);
  }
  int exponent = 0;
  const size_t exponent_text = exponent_at + (text[exponent_at + 1] == '+' ? 2 : 1);
  std::from_chars(text.data() + exponent_text, text.data() + text.size(), exponent);
  const int count = static_cast<int>(digits.size());
  const int point = exponent + 1;  // the value is 0.DIGITS * 10^point
  if (value < 0) out->push_back('-');
  if (count <= point && point <= 21) {
    out->append(digits).append(static_cast<size_t>(point - count), '0');
  } else if (0 < point && point <= 21) {
    out->append(digits, 0, static_cast<size_t>(point)).append(1, '.').append(digits, static_cast<size_t>(point));
  } else if (-6 < point && point <= 0) {
    out->append("0.").append(static_cast<size_t>(-point), '0').append(digits);
  } else {
    out->push_back(digits[0]);
    if (count > 1) out->append(1, '.').append(digits, 1);
    out->push_back('e');
    out->push_back(point - 1 < 0 ? '-' : '+');
    out->append(std::to_string(std::abs(point - 1)));
  }
}

void AppendInt(int64_t value, std::string* out) {
  std::array<char, 24> buffer{};
  const auto done = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  out->append(buffer.data(), done.ptr);
}

void AppendScalar(const Json& value, std::string* out) {
  switch (value.kind()) {
    case Json::Kind::kNull: out->append("null"); return;
    case Json::Kind::kBool: out->append(value.AsBool() ? "true" : "false"); return;
    case Json::Kind::kInt: AppendInt(value.AsInt(), out); return;
    case Json::Kind::kDouble: AppendNumber(value.AsDouble(), out); return;
    case Json::Kind::kString: AppendJsonString(value.AsString(), out); return;
    case Json::Kind::kArray:
    case Json::Kind::kObject: break;
  }
  LOCKSTEP_CHECK(false, "not a scalar");
}

void AppendPretty(const Json& value, size_t indent, std::string* out) {
  const auto line = [&](size_t depth) { out->append(1, '\n').append(depth * 2, ' '); };
  bool first = true;
  if (value.is_array() && !value.AsArray().empty()) {
    out->push_back('[');
    for (const Json& element : value.AsArray()) {
      if (!first) out->push_back(',');
      first = false;
      line(indent + 1);
      AppendPretty(element, indent + 1, out);
    }
    line(indent);
    out->push_back(']');
  } else if (value.is_object() && !value.AsObject().empty()) {
    out->push_back('{');
    for (const auto& [key, member] : value.AsObject()) {
      if (!first) out->push_back(',');
      first = false;
      line(indent + 1);
      AppendJsonString(key, out);
      out->append(": ");
      AppendPretty(member, indent + 1, out);
    }
    line(indent);
    out->push_back('}');
  } else {
    AppendCanonicalJson(value, out);
  }
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out->push_back('"');
  size_t plain = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out->append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"': out->append("\\\""); break;
      case '\\': out->append("\\\\"); break;
      case '\b': out->append("\\b"); break;
      case '\f': out->append("\\f"); break;
      case '\n': out->append("\\n"); break;
      case '\r': out->append("\\r"); break;
      case '\t': out->append("\\t"); break;
      default:
        out->append("\\u00");
        out->push_back(kHex[c >> 4]);
        out->push_back(kHex[c & 15]);
    }
  }
  out->append(text, plain);
  out->push_back('"');
}

void AppendCanonicalJson(const Json& value, std::string* out) {
  bool first = true;
  if (value.is_array()) {
    out->push_back('[');
    for (const Json& element : value.AsArray()) {
      if (!first) out->push_back(',');
      first = false;
      AppendCanonicalJson(element, out);
    }
    out->push_back(']');
  } else if (value.is_object()) {
    out->push_back('{');
    for (const auto& [key, member] : value.AsObject()) {
      if (!first) out->push_back(',');
      first = false;
      AppendJsonString(key, out);
      out->push_back(':');
      AppendCanonicalJson(member, out);
    }
    out->push_back('}');
  } else {
    AppendScalar(value, out);
  }
}

std::string CanonicalJson(const Json& value) {
  std::string out;
  AppendCanonicalJson(value, &out);
  return out;
}

std::string PrettyJson(const Json& value) {
  std::string out;
  AppendPretty(value, 0, &out);
  out.push_back('\n');
  return out;
}

}  // namespace lockstep
