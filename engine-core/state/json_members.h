// Members that the stored forms of this room leave out when there is nothing to say.
#pragma once

#include <string>
#include <string_view>

#include "engine-core/base/json.h"

namespace lockstep::state {

inline void SetUnlessEmpty(Json* json, std::string_view name, const std::string& text) {
  if (!text.empty()) json->Set(name, text);
}

}  // namespace lockstep::state
