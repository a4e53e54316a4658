// The difference of two JSON values under the name that the replay rooms use.
#pragma once

#include "engine-core/base/json_diff.h"

namespace lockstep::replay {

using lockstep::DiffJson;
using lockstep::JsonDifference;

}  // namespace lockstep::replay
