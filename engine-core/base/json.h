// JSON as a value. Objects keep their members in RFC 8785 order (UTF-16 code units), so that walking one is deterministic
// and writing one is canonical without sorting. Integers within +/-(2^63) stay integers; everything else with a fraction or
// exponent is a double.
//
// `ParseJson` is strict (spec 01 section 10): no duplicate keys, no byte-order mark, no NaN, no trailing data, bounded
// nesting and string length, valid UTF-8; an error names line, column and what was expected.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine-core/base/result.h"

namespace lockstep {

// Orders UTF-8 texts by their UTF-16 code units, as RFC 8785 section 3.2.3 wants members ordered.
struct Utf16Less {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json, Utf16Less>;
  enum class Kind : uint8_t { kNull, kBool, kInt, kDouble, kString, kArray, kObject };

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(static_cast<int64_t>(value)) {}
  Json(unsigned value) : value_(static_cast<int64_t>(value)) {}
  Json(int64_t value) : value_(value) {}
  Json(long long value) : value_(static_cast<int64_t>(value)) {}
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  // Sizes are the one unsigned type the standard library hands out everywhere.
  static Json Size(size_t value) { return Json(static_cast<int64_t>(value)); }
  static Json MakeObject(std::initializer_list<std::pair<const std::string, Json>> members) { return Json(Object(members)); }
  static Json MakeArray() { return Json(Array{}); }
  static Json MakeObject() { return Json(Object{}); }

  Kind kind() const { return static_cast<Kind>(value_.index()); }
  bool is_null() const { return kind() == Kind::kNull; }
  bool is_bool() const { return kind() == Kind::kBool; }
  bool is_int() const { return kind() == Kind::kInt; }
  bool is_double() const { return kind() == Kind::kDouble; }
  bool is_number() const { return is_int() || is_double(); }
  bool is_string() const { return kind() == Kind::kString; }
  bool is_array() const { return kind() == Kind::kArray; }
  bool is_object() const { return kind() == Kind::kObject; }
  // `null`, `boolean`, `integer`, `number`, `string`, `array`, `object`: for messages.
  std::string_view KindName() const;

  // The value; the kind must be right (checked).
  bool AsBool() const;
  int64_t AsInt() const;
  // Integers convert.
  double AsDouble() const;
  const std::string& AsString() const;
  const Array& AsArray() const;
  const Object& AsObject() const;
  Array& AsArray();
  Object& AsObject();

  // Member of an object, or nullptr (also when this is no object).
  const Json* Find(std::string_view key) const;
  Json* Find(std::string_view key);
  // Members with a default, for documents whose shape has been checked.
  std::string GetString(std::string_view key, std::string_view fallback = {}) const;
  int64_t GetInt(std::string_view key, int64_t fallback = 0) const;
  bool GetBool(std::string_view key, bool fallback = false) const;
  // Sets a member; this becomes an object when it is null.
  Json& Set(std::string_view key, Json value);
  // Appends; this becomes an array when it is null.
  Json& Push(Json value);
  // RFC 6901. nullptr when nothing is there; a malformed pointer finds nothing.
  const Json* At(std::string_view pointer) const;

  friend bool operator==(const Json&, const Json&) = default;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

struct JsonLimits {
  size_t max_depth = 64;
  size_t max_string_bytes = 64 * 1024;
  // Integers outside +/-(2^53 - 1) are refused (spec 01 section 10) when set.
  bool safe_integers_only = false;
};

// `code` of the error is JSON_INVALID; details carry `line`, `column` and `offset`.
Result<Json> ParseJson(std::string_view text, const JsonLimits& limits = {});

// RFC 8785. Doubles follow ECMAScript's Number::toString; a NaN or infinity is a broken invariant.
std::string CanonicalJson(const Json& value);
void AppendCanonicalJson(const Json& value, std::string* out);
// Two spaces an indent, members in the same order, a final newline: for files that people read and diff.
std::string PrettyJson(const Json& value);
// Just the quoted string.
void AppendJsonString(std::string_view text, std::string* out);

// RFC 7396.
void MergePatch(Json* target, const Json& patch);

// Escapes one reference token of a JSON Pointer (`~` and `/`).
std::string JsonPointerToken(std::string_view token);

}  // namespace lockstep
