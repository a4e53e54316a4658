#include "engine-core/steps/carriable.h"

#include <algorithm>
#include <cmath>

namespace lockstep::steps {
namespace {

constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;
// From here on canonical JSON writes a double with an exponent.
constexpr double kFirstWithExponent = 1e21;

bool IsCarriableAt(const Json& value, size_t depth) {
  if (depth > kMaxResultDepth) return false;
  const auto below = [depth](const Json& element) { return IsCarriableAt(element, depth + 1); };
  if (value.is_number()) return IsCarriableNumber(value);
  if (value.is_array()) return std::all_of(value.AsArray().begin(), value.AsArray().end(), below);
  if (!value.is_object()) return true;
  return std::all_of(value.AsObject().begin(), value.AsObject().end(),
                     [&below](const auto& member) { return below(member.second); });
}

}  // namespace

bool IsCarriableNumber(const Json& number) {
  if (number.is_int()) return number.AsInt() <= kMaxSafeInteger && number.AsInt() >= -kMaxSafeInteger;
  const double value = number.AsDouble();
  if (!std::isfinite(value)) return false;
  const bool written_as_integer = std::trunc(value) == value && std::abs(value) < kFirstWithExponent;
  return !written_as_integer || std::abs(value) <= static_cast<double>(kMaxSafeInteger);
}

bool IsCarriable(const Json& value) { return IsCarriableAt(value, 1); }

}  // namespace lockstep::steps
