#include "engine-core/base/json.h"

#define RAPIDJSON_HAS_STDSTRING 1
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <charconv>
#include <cmath>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"

namespace lockstep {
namespace {

constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

// Builds a Json from RapidJSON's events and enforces the limits the reader itself does not know.
class Builder : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Builder> {
 public:
  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  bool Null() { return Add(Json()); }
  bool Bool(bool value) { return Add(Json(value)); }
  bool Int(int value) { return Add(Json(value)); }
  bool Uint(unsigned value) { return Add(Json(value)); }
  bool Int64(int64_t value) { return AddInteger(value); }
  bool Uint64(uint64_t value) {
    if (value <= static_cast<uint64_t>(INT64_MAX)) return AddInteger(static_cast<int64_t>(value));
    // As the reader does with longer ones: the canonical form writes doubles of this size without a fraction.
    return Double(static_cast<double>(value));
  }
  LOCKSTEP_TRUSTED("only asks whether a parsed number is finite and in range: no arithmetic, no rounding")
  bool Double(double value) {
    if (!std::isfinite(value)) return Refuse("a finite number");
    if (limits_.safe_integers_only && std::abs(value) > static_cast<double>(kMaxSafeInteger)) {
      return Refuse("a number within +/-(2^53-1)");
    }
    return Add(Json(value));
  }
  bool String(const char* text, rapidjson::SizeType length, bool) {
    const std::string_view view(text, length);
    return CheckString(view) && Add(Json(view));
  }
  bool Key(const char* text, rapidjson::SizeType length, bool) {
    const std::string_view view(text, length);
    if (!CheckString(view)) return false;
    auto& members = stack_.back().AsObject();
    if (members.find(view) != members.end()) return Refuse("each key once, found \"" + std::string(view) + "\" again");
    keys_.back().assign(view);
    return true;
  }
  bool StartObject() { return Open(Json::MakeObject()); }
  bool EndObject(rapidjson::SizeType) { return Close(); }
  bool StartArray() { return Open(Json::MakeArray()); }
  bool EndArray(rapidjson::SizeType) { return Close(); }

  Json TakeRoot() { return std::move(root_); }
  const std::string& refusal() const { return refusal_; }

 private:
  bool Refuse(std::string expected) {
    refusal_ = std::move(expected);
    return false;
  }
  bool CheckString(std::string_view text) {
    if (text.size() > limits_.max_string_bytes) {
      return Refuse("a string of at most " + std::to_string(limits_.max_string_bytes) + " bytes");
    }
    return IsValidUtf8(text) || Refuse("well-formed UTF-8");
  }
  bool AddInteger(int64_t value) {
    if (limits_.safe_integers_only && (value > kMaxSafeInteger || value < -kMaxSafeInteger)) {
      return Refuse("an integer within +/-(2^53-1)");
    }
    return Add(Json(value));
  }
  bool Add(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (stack_.back().is_array()) {
      stack_.back().AsArray().push_back(std::move(value));
    } else {
      stack_.back().AsObject().emplace(std::move(keys_.back()), std::move(value));
    }
    return true;
  }
  bool Open(Json container) {
    if (stack_.size() >= limits_.max_depth) {
      return Refuse("nesting of at most " + std::to_string(limits_.max_depth) + " levels");
    }
    stack_.push_back(std::move(container));
    keys_.emplace_back();
    return true;
  }
  bool Close() {
    Json done = std::move(stack_.back());
    stack_.pop_back();
    keys_.pop_back();
    return Add(std::move(done));
  }

  const JsonLimits& limits_;
  std::vector<Json> stack_;
  std::vector<std::string> keys_;
  Json root_;
  std::string refusal_;
};

Error ParseFailure(std::string_view text, size_t offset, const std::string& what) {
  size_t line = 1;
  size_t line_start = 0;
  for (size_t i = 0; i < offset && i < text.size(); ++i) {
    if (text[i] == '\n') {
      ++line;
      line_start = i + 1;
    }
  }
  const std::string line_text = std::to_string(line);
  const std::string column_text = std::to_string(offset - line_start + 1);
  return Error("JSON_INVALID", "line " + line_text + ", column " + column_text + ": " + what)
      .With("line", line_text)
      .With("column", column_text)
      .With("offset", std::to_string(offset));
}

// Code points of well-formed UTF-8; malformed bytes count as themselves so that the order stays total.
uint32_t NextCodePoint(std::string_view* text) {
  const auto byte = [&](size_t i) {
    return i < text->size() ? static_cast<uint32_t>(static_cast<unsigned char>((*text)[i])) : 0U;
  };
  const uint32_t first = byte(0);
  size_t length = 1;
  uint32_t value = first;
  if (first >= 0xF0) {
    length = 4;
    value = (first & 7) << 18 | (byte(1) & 63) << 12 | (byte(2) & 63) << 6 | (byte(3) & 63);
  } else if (first >= 0xE0) {
    length = 3;
    value = (first & 15) << 12 | (byte(1) & 63) << 6 | (byte(2) & 63);
  } else if (first >= 0xC0) {
    length = 2;
    value = (first & 31) << 6 | (byte(1) & 63);
  }
  text->remove_prefix(std::min(length, text->size()));
  return value;
}

// First UTF-16 unit of a code point, shifted so that the second one still decides between equal first ones.
uint32_t Utf16Rank(uint32_t code_point) {
  if (code_point < 0x10000) return code_point << 16;
  const uint32_t rest = code_point - 0x10000;
  return (0xD800 + (rest >> 10)) << 16 | (0xDC00 + (rest & 0x3FF));
}

}  // namespace

bool Utf16Less::operator()(std::string_view a, std::string_view b) const {
  // Below U+E000 byte order and UTF-16 order agree; the slow path runs only where they may not.
  const size_t common = std::min(a.size(), b.size());
  size_t i = 0;
  while (i < common && a[i] == b[i]) ++i;
  if (i == common) return a.size() < b.size();
  const auto left = static_cast<unsigned char>(a[i]), right = static_cast<unsigned char>(b[i]);
  if (left < 0xEE && right < 0xEE) return left < right;
  while (i > 0 && (static_cast<unsigned char>(a[i]) & 0xC0) == 0x80) --i;
  a.remove_prefix(i);
  b.remove_prefix(i);
  const uint32_t left_rank = Utf16Rank(NextCodePoint(&a)), right_rank = Utf16Rank(NextCodePoint(&b));
  if (left_rank != right_rank) return left_rank < right_rank;
  return left < right;
}

std::string_view Json::KindName() const {
  constexpr std::string_view kNames[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
  return kNames[value_.index()];
}

bool Json::AsBool() const {
  LOCKSTEP_CHECK(is_bool(), std::string(KindName()));
  return std::get<bool>(value_);
}
int64_t Json::AsInt() const {
  LOCKSTEP_CHECK(is_int(), std::string(KindName()));
  return std::get<int64_t>(value_);
}
double Json::AsDouble() const {
  LOCKSTEP_CHECK(is_number(), std::string(KindName()));
  return is_int() ? static_cast<double>(std::get<int64_t>(value_)) : std::get<double>(value_);
}
const std::string& Json::AsString() const {
  LOCKSTEP_CHECK(is_string(), std::string(KindName()));
  return std::get<std::string>(value_);
}
const Json::Array& Json::AsArray() const {
  LOCKSTEP_CHECK(is_array(), std::string(KindName()));
  return std::get<Array>(value_);
}
const Json::Object& Json::AsObject() const {
  LOCKSTEP_CHECK(is_object(), std::string(KindName()));
  return std::get<Object>(value_);
}
Json::Array& Json::AsArray() {
  LOCKSTEP_CHECK(is_array(), std::string(KindName()));
  return std::get<Array>(value_);
}
Json::Object& Json::AsObject() {
  LOCKSTEP_CHECK(is_object(), std::string(KindName()));
  return std::get<Object>(value_);
}

const Json* Json::Find(std::string_view key) const {
  if (!is_object()) return nullptr;
  const auto& members = std::get<Object>(value_);
  const auto it = members.find(key);
  return it == members.end() ? nullptr : &it->second;
}
Json* Json::Find(std::string_view key) { return const_cast<Json*>(std::as_const(*this).Find(key)); }

std::string Json::GetString(std::string_view key, std::string_view fallback) const {
  const Json* member = Find(key);
  return member != nullptr && member->is_string() ? member->AsString() : std::string(fallback);
}
int64_t Json::GetInt(std::string_view key, int64_t fallback) const {
  const Json* member = Find(key);
  return member != nullptr && member->is_int() ? member->AsInt() : fallback;
}
bool Json::GetBool(std::string_view key, bool fallback) const {
  const Json* member = Find(key);
  return member != nullptr && member->is_bool() ? member->AsBool() : fallback;
}

Json& Json::Set(std::string_view key, Json value) {
  if (is_null()) value_ = Object{};
  AsObject().insert_or_assign(std::string(key), std::move(value));
  return *this;
}
Json& Json::Push(Json value) {
  if (is_null()) value_ = Array{};
  AsArray().push_back(std::move(value));
  return *this;
}

const Json* Json::At(std::string_view pointer) const {
  const Json* here = this;
  if (pointer.empty()) return here;
  if (pointer.front() != '/') return nullptr;
  for (const std::string_view raw : Split(pointer.substr(1), '/')) {
    std::string token;
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '~') {
        token.push_back(raw[i]);
      } else if (i + 1 < raw.size() && (raw[i + 1] == '0' || raw[i + 1] == '1')) {
        token.push_back(raw[++i] == '0' ? '~' : '/');
      } else {
        return nullptr;
      }
    }
    if (here->is_object()) {
      here = here->Find(token);
    } else if (here->is_array()) {
      const bool canonical = token == "0" || (!token.empty() && token[0] != '0' && IsAsciiDigit(token[0]));
      const auto index = canonical ? ParseInt64(token) : std::nullopt;
      if (!index || static_cast<size_t>(*index) >= here->AsArray().size()) return nullptr;
      here = &here->AsArray()[static_cast<size_t>(*index)];
    } else {
      return nullptr;
    }
    if (here == nullptr) return nullptr;
  }
  return here;
}

Result<Json> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (text.starts_with("\xEF\xBB\xBF")) return Fail(ParseFailure(text, 0, "expected JSON, found a byte-order mark"));
  if (text.empty()) return Fail(ParseFailure(text, 0, "expected JSON, found an empty document"));
  Builder builder(limits);
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseFullPrecisionFlag;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, builder);
  if (!result.IsError()) {
    // The reader takes a NUL byte for the end.
    if (stream.Tell() < text.size()) return Fail(ParseFailure(text, stream.Tell(), "expected the end of the document, found a NUL byte"));
    return builder.TakeRoot();
  }
  const size_t offset = std::min(result.Offset(), text.size());
  if (!builder.refusal().empty()) return Fail(ParseFailure(text, offset, "expected " + builder.refusal()));
  std::string what = rapidjson::GetParseError_En(result.Code());
  if (!what.empty() && what.back() == '.') what.pop_back();
  return Fail(ParseFailure(text, offset, what));
}

void MergePatch(Json* target, const Json& patch) {
  if (!patch.is_object()) {
    *target = patch;
    return;
  }
  if (!target->is_object()) *target = Json::MakeObject();
  for (const auto& [key, value] : patch.AsObject()) {
    if (value.is_null()) {
      if (const auto it = target->AsObject().find(key); it != target->AsObject().end()) target->AsObject().erase(it);
    } else {
      MergePatch(&target->AsObject()[key], value);
    }
  }
}

std::string JsonPointerToken(std::string_view token) {
  std::string out;
  for (const char c : token) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace lockstep
