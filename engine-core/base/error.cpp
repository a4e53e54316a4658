#include "engine-core/base/result.h"

namespace lockstep {

std::string Error::Detail(std::string_view name) const {
  for (const auto& [key, value] : details) {
    if (key == name) return value;
  }
  return {};
}

std::string Error::ToString() const { return code + ": " + message; }

}  // namespace lockstep
