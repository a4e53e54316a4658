#include "engine-core/base/json_diff.h"

#include <algorithm>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/sha256.h"

namespace lockstep {
namespace {

constexpr size_t kMaxText = 200;

std::string Shown(const Json* value) {
  if (value == nullptr) return {};
  const std::string text = CanonicalJson(*value);
  if (text.size() <= kMaxText) return text;
  return std::string(TruncateUtf8(text, kMaxText)) + "... (" + std::to_string(text.size()) + " bytes, sha256 " +
         Sha256Hex(text).substr(0, 12) + ")";
}

class Differ {
 public:
  explicit Differ(size_t limit) : limit_(limit) {}

  void Compare(const Json* expected, const Json* actual, const std::string& pointer) {
    if (found_.size() >= limit_) return;
    if (expected != nullptr && actual != nullptr) {
      if (*expected == *actual) return;
      if (expected->is_object() && actual->is_object()) return CompareObjects(*expected, *actual, pointer);
      if (expected->is_array() && actual->is_array()) return CompareArrays(*expected, *actual, pointer);
    }
    found_.push_back({pointer, Shown(expected), Shown(actual)});
  }

  std::vector<JsonDifference> Take() { return std::move(found_); }

 private:
  void CompareObjects(const Json& expected, const Json& actual, const std::string& pointer) {
    std::set<std::string_view, Utf16Less> keys;
    for (const auto& [key, value] : expected.AsObject()) keys.insert(key);
    for (const auto& [key, value] : actual.AsObject()) keys.insert(key);
    for (const std::string_view key : keys) {
      Compare(expected.Find(key), actual.Find(key), pointer + "/" + JsonPointerToken(key));
    }
  }

  void CompareArrays(const Json& expected, const Json& actual, const std::string& pointer) {
    const auto& left = expected.AsArray();
    const auto& right = actual.AsArray();
    for (size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
      Compare(i < left.size() ? &left[i] : nullptr, i < right.size() ? &right[i] : nullptr, pointer + "/" + std::to_string(i));
    }
  }

  size_t limit_;
  std::vector<JsonDifference> found_;
};

}  // namespace

std::vector<JsonDifference> DiffJson(const Json& expected, const Json& actual, size_t limit) {
  Differ differ(limit);
  differ.Compare(&expected, &actual, {});
  return differ.Take();
}

}  // namespace lockstep
